"""The stored and sent form of a summary: its content, the cited lines, and what it covers.

Pure. `note` says in the summary's language what is not in it; the numbers stand beside it for programs.
"""

from __future__ import annotations

import json
from typing import Any

from webrtc_host.summaries.content import Line, Unseen, Why, cited_lines, of_body, to_body, unseen_body
from webrtc_host.summaries.making import Made
from webrtc_host.summaries.sources import Source
from webrtc_host.transcript.timecode import timecode

BY_THE_MODEL = (Why.TOO_LONG, Why.NO_ANSWER)
"""What is not seen because of the model; all else is read from the record each time."""

_COVERS = {"en": "Covers {from_}–{to} of {of}.", "ko": "전체 {of} 중 {from_}–{to}의 요약입니다."}
_WHY = {
    "en": {
        Why.LOST: "{ms} of audio never arrived",
        Why.SHED: "{ms} of audio was dropped because the server was too busy",
        Why.FAILED: "{ms} of audio could not be transcribed",
        Why.NOT_YET: "the text of the last {ms} was not there yet",
        Why.TOO_MANY: "{ms} was left out: there are too many lines for one summary",
        Why.TOO_LONG: "{ms} was left out: it is too long for the language model",
        Why.NO_ANSWER: "{ms} was left out: the language model gave no usable answer",
    },
    "ko": {
        Why.LOST: "소리 {ms} 분량이 도착하지 않았습니다",
        Why.SHED: "서버가 바빠 소리 {ms} 분량을 버렸습니다",
        Why.FAILED: "소리 {ms} 분량을 글로 옮기지 못했습니다",
        Why.NOT_YET: "마지막 {ms} 분량은 아직 글이 없었습니다",
        Why.TOO_MANY: "{ms} 분량은 한 요약에 담기에 줄이 너무 많아 빠졌습니다",
        Why.TOO_LONG: "{ms} 분량은 언어 모델이 읽기에 너무 길어 빠졌습니다",
        Why.NO_ANSWER: "{ms} 분량은 언어 모델이 쓸 수 있는 답을 주지 않아 빠졌습니다",
    },
}


def body_of(made: Made, source: Source, language: str) -> dict[str, Any]:
    """The JSON of a summary."""
    lines = {line.segment: line for line in source.lines}
    unseen = [*source.unseen, *made.unseen]
    return {
        "language": language,
        **to_body(made.content, lines),
        "covers": {"from_ms": source.from_ms, "to_ms": source.seen_to_ms, "of_ms": source.now_ms},
        "unseen": [unseen_body(one) for one in unseen],
        "note": _note(source, unseen, language),
        "lines": len(source.lines),
        "cited": _cited(made, source, lines),
    }


def _cited(made: Made, source: Source, lines: dict[str, Line]) -> dict[str, dict[str, Any]]:
    """The cited lines; those of a room also with their place in their session."""
    cited = cited_lines(made.content.cites, lines)
    for segment, entry in cited.items():
        if (place := source.places.get(segment)) is not None:
            entry.update(session=place.session, session_start_ms=place.start_ms, session_end_ms=place.end_ms)
    return cited


def encoded(body: dict[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def reusable(body: str | None) -> Made | None:
    """The content of a stored summary whose lines did not change.

    None: a part of it had no usable answer, so it is worth another try.
    """
    if body is None:
        return None
    found = json.loads(body)
    unseen = [
        Unseen(Why(one["why"]), one["from_ms"], one["to_ms"], one["ms"], one["channel"])
        for one in found["unseen"]
        if one["why"] in BY_THE_MODEL
    ]
    if any(one.why is Why.NO_ANSWER for one in unseen):
        return None
    return Made(of_body(found), tuple(unseen))


def _note(source: Source, unseen: list[Unseen], language: str) -> str:
    covers = _COVERS[language].format(
        from_=_clock(source.from_ms), to=_clock(source.seen_to_ms), of=_clock(source.now_ms)
    )
    by_why: dict[Why, int] = {}
    for one in unseen:
        by_why[one.why] = by_why.get(one.why, 0) + one.ms
    missing = [_WHY[language][why].format(ms=_clock(ms)) for why, ms in by_why.items()]
    sentence = "; ".join(missing)
    return covers if not missing else f"{covers} {sentence[0].upper()}{sentence[1:]}."


def _clock(ms: int) -> str:
    return timecode(ms).partition(".")[0]
