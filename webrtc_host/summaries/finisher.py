"""The summary of a recording: made when all of a job's text is there, and kept with the job.

`jobs.work` calls it (`Finisher`). A job without a template gets no summary.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy import Row

from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.session.session import Session
from webrtc_host.summaries.scopes import Scope
from webrtc_host.summaries.service import SummaryService


class JobSummary:
    """Call it with the row of a job and its session; it returns when the summary is done or failed."""

    def __init__(
        self, service: SummaryService, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._service = service
        self._sleep = sleep

    async def __call__(self, job: Row[Any], session: Session) -> Mapping[str, Any] | None:
        """None: the job asks for no summary. A summary that failed says why. Raises StoreError."""
        template = json.loads(job.options).get("summary")
        if not template:
            return None
        return await made(self._service, Scope(session.id, template=template), self._sleep)


async def made(
    service: SummaryService, scope: Scope, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> dict[str, Any]:
    """The result of a summary, when it is done or failed: its content, or why there is none.

    Waits while the queue of summaries is full. Raises StoreError.
    """
    while True:
        try:
            row = await service.make(scope)
            break
        except Overloaded as error:
            await sleep(error.retry_after_s or 1.0)
        except RequestError as error:
            return {"status": "failed", "error": error.message}
    return {
        "summary": row.id,
        "status": row.status,
        "error": row.error,
        "maker": row.maker,
        "model": row.model,
        "content": None if row.body is None else json.loads(row.body),
    }
