"""What a summary says: its sentences with the segments that they cite, its topics, and what it did not see.

Pure. A `Line` is a final as a summary reads it. `to_body` and `of_body` turn a summary into JSON and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SECTIONS = ("summary", "decisions", "actions")
"""The sections that are lists of sentences, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Line:
    """A final with its newest text. Times are milliseconds since the session's t = 0."""

    segment: str
    channel: str
    label: str
    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line of a room is: its session, and its times there in ms."""

    session: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and the segments that it cites; each of them was among the lines that were read."""

    text: str
    cites: tuple[str, ...]
    is_unsure: bool = False
    """True when the sentence shares no word with the lines that it cites."""


@dataclass(frozen=True, slots=True)
class Topic:
    title: str
    cites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """The checked content of a summary."""

    title: str = ""
    summary: tuple[Sentence, ...] = ()
    decisions: tuple[Sentence, ...] = ()
    actions: tuple[Sentence, ...] = ()
    topics: tuple[Topic, ...] = ()
    dropped: int = 0
    """Sentences and topics that were left out because they cite no line that was read."""

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        return (*self.summary, *self.decisions, *self.actions)

    @property
    def cites(self) -> tuple[str, ...]:
        """All cited segments, each once, in the order of the text."""
        sentences = [cite for one in self.sentences for cite in one.cites]
        topics = [cite for one in self.topics for cite in one.cites]
        return tuple(dict.fromkeys((*sentences, *topics)))


class Why(StrEnum):
    """Why a part of the asked time is not in a summary."""

    LOST = "lost"  # the audio never arrived
    SHED = "shed"  # the audio was dropped because too much was waiting
    FAILED = "failed"  # the engine could not decode the audio
    NOT_YET = "not_yet"  # the text is not there yet
    TOO_MANY = "too_many"  # there are more lines than one summary reads
    TOO_LONG = "too_long"  # a line is longer than the model's context
    NO_ANSWER = "no_answer"  # the model gave no answer that could be used


@dataclass(frozen=True, slots=True)
class Unseen:
    """A time that a summary did not see. channel: None for all channels. ms: how much of the range."""

    why: Why
    from_ms: int
    to_ms: int
    ms: int
    channel: str | None = None


def to_body(content: Content, lines: Mapping[str, Line]) -> dict[str, Any]:
    """JSON of the content. lines: by segment, at least those that are cited."""
    return {
        "title": content.title,
        **{name: [_sentence_body(one) for one in getattr(content, name)] for name in SECTIONS},
        "topics": [
            {
                "title": one.title,
                "start_ms": min(lines[cite].start_ms for cite in one.cites),
                "cites": list(one.cites),
            }
            for one in content.topics
        ],
        "dropped": content.dropped,
    }


def of_body(body: Mapping[str, Any]) -> Content:
    """The content from its JSON."""
    return Content(
        title=body["title"],
        **{name: tuple(_sentence_of(one) for one in body[name]) for name in SECTIONS},
        topics=tuple(Topic(one["title"], tuple(one["cites"])) for one in body["topics"]),
        dropped=body["dropped"],
    )


def cited_lines(cites: Iterable[str], lines: Mapping[str, Line]) -> dict[str, dict[str, Any]]:
    """The place of each cited segment, for readers that jump to it."""
    return {
        cite: {
            "channel": lines[cite].channel,
            "start_ms": lines[cite].start_ms,
            "end_ms": lines[cite].end_ms,
            "text": lines[cite].text,
        }
        for cite in cites
    }


def unseen_body(one: Unseen) -> dict[str, Any]:
    return {
        "why": one.why.value,
        "channel": one.channel,
        "from_ms": one.from_ms,
        "to_ms": one.to_ms,
        "ms": one.ms,
    }


def _sentence_body(sentence: Sentence) -> dict[str, Any]:
    return {"text": sentence.text, "cites": list(sentence.cites), "is_unsure": sentence.is_unsure}


def _sentence_of(body: Mapping[str, Any]) -> Sentence:
    return Sentence(body["text"], tuple(body["cites"]), bool(body["is_unsure"]))
