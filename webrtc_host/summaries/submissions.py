"""Submissions: answers of learners, about which the language model writes feedback in the background.

What was submitted is in the record, so a restart loses nothing. Invariants: one submission is worked on at a
time; an attempt that is submitted twice is one submission.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from sqlalchemy import Row

from webrtc_host.errors import Overloaded, StoreError
from webrtc_host.summaries.client import LanguageModel, ModelError
from webrtc_host.summaries.feedback import AGAIN, SCHEMA, Submission, feedback_of, messages_of
from webrtc_host.summaries.reading_answers import NoAnswer
from webrtc_host.transcript import submissions as rows
from webrtc_host.transcript.store import Store
from webrtc_host.transcript.submissions import NewSubmission, SubmissionState

logger = logging.getLogger(__name__)

OPEN_MAX = 1000
RETRY_S = 5.0
NO_MODEL = "LLM_NOT_CONFIGURED"
NO_MODEL_TEXT = (
    "no language model is configured on this server, so no feedback can be written; set llm.kind, "
    "llm.base_url and llm.model"
)


class SubmissionService:
    """One per process; `running` is one of the server's start steps."""

    def __init__(self, store: Store, model: LanguageModel | None, wall_ms: Callable[[], int]) -> None:
        """model: None: there is no language model."""
        self._store, self._model, self._wall_ms = store, model, wall_ms
        self._wake = asyncio.Event()

    @property
    def has_model(self) -> bool:
        return self._model is not None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        working = asyncio.create_task(self._work(), name="submissions")
        try:
            yield
        finally:
            working.cancel()
            await asyncio.wait((working,))

    async def submit(self, attempt: str, body: str, who: str | None) -> Row[Any]:
        """Queue a submission; returns its row, or that of the same attempt before.

        Raises SubmissionsFull, StoreError.
        """
        new = NewSubmission(attempt, body, self._wall_ms(), who)
        row = await self._store.write(partial(rows.add, new=new, open_max=OPEN_MAX))
        self._wake.set()
        return row

    async def find(self, attempt: str) -> Row[Any] | None:
        return await self._store.read(partial(rows.find, attempt=attempt))

    async def remove(self, attempt: str) -> bool:
        return await self._store.write(partial(rows.remove, attempt=attempt))

    async def _work(self) -> None:
        while True:
            self._wake.clear()  # before the read: a submission during the read makes another one
            try:
                row = await self._store.write(rows.take)
                if row is not None:
                    values = await self._answered(row)
                    await self._store.write(partial(rows.finish, taken=row, values=values))
            except (StoreError, Overloaded) as error:
                logger.warning("no submission can be worked on now: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            if row is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._wake.wait()

    async def _answered(self, row: Row[Any]) -> dict[str, Any]:
        """The columns of a submission that is done."""
        code, text, feedback = "LLM_FAILURE", "", None
        try:
            if self._model is None:
                code, text = NO_MODEL, NO_MODEL_TEXT
            else:
                feedback = await self._ask(self._model, submission_of(json.loads(row.body)))
        except (ModelError, NoAnswer) as error:
            text = str(error)[:500]
            # The sentence may repeat what was written, so it is in the record and not in the log.
            logger.warning("no feedback for a submission (%s)", type(error).__name__)
        except Exception:
            text = "a fault of the server; its log has the details"
            logger.exception("a submission failed")
        state = SubmissionState.FAILED if feedback is None else SubmissionState.COMPLETED
        return {
            "state": state.value,
            "feedback": None if feedback is None else json.dumps(feedback, ensure_ascii=False),
            "error_code": code if feedback is None else None,
            "error": text if feedback is None else None,
            "model": None if self._model is None else self._model.name,
            "done_wall_ms": self._wall_ms(),
        }

    async def _ask(self, model: LanguageModel, submission: Submission) -> dict[str, Any]:
        """Raises ModelError; NoAnswer when the model gave no usable answer twice."""
        messages = messages_of(submission, model.context_tokens)
        try:
            return feedback_of((await model.answer(messages, SCHEMA)).text, submission)
        except NoAnswer:
            again = [*messages, {"role": "user", "content": AGAIN}]
            return feedback_of((await model.answer(again, SCHEMA)).text, submission)


def submission_of(body: dict[str, Any]) -> Submission:
    """From the stored JSON, which `desk.solo_api` has checked."""
    return Submission(body["userText"], tuple(body["keywords"]), body["modelAnswer"], tuple(body["history"]))
