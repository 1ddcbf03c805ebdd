"""The states of the conversation API, and the fields of its `final_summary`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PENDING, PROCESSING, COMPLETED, FAILED = "PENDING", "PROCESSING", "COMPLETED", "FAILED"


def summary_fields(
    status: str, summary: Mapping[str, Any] | None, error: Mapping[str, str] | None
) -> dict[str, Any]:
    """status: of the text. summary: the result of `summaries.finisher`; None: there is none.

    error: why there is no text. Without a summary, the error says why there is none.
    """
    content = None if summary is None else summary.get("content")
    if error is None and content is None:
        why = "" if summary is None else summary.get("error") or ""
        error = {"code": "summary_failed", "message": why or "there is no summary of this recording"}
    return {
        "status": status,
        "title": None if content is None else content["title"],
        "summary": None if content is None else " ".join(one["text"] for one in content["summary"]),
        "content": content,
        "error": error,
    }
