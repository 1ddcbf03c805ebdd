"""Search by meaning among summaries: a vector of each one, and the summaries nearest to a question.

`meaning` calls it, beside the search among finals: one object for the summaries of sessions, one for those
of rooms. Invariant: at most `limit` vectors are held; the oldest ones are dropped. A summary that was
deleted, or has a newer revision, is no hit.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Row

from webrtc_host.transcript.search import TextSearch
from webrtc_host.transcript.store import Store
from webrtc_host.transcript.summary_meanings import Key, SummaryVectors
from webrtc_host.transcript.vector_index import VectorIndex, cosine, packed, unpacked

CANDIDATES = 100
HITS_MAX = 10
PAGE = 5000
TEXTS = ("summary", "decisions", "actions")
Vectors = Callable[[Sequence[str]], Awaitable[list[list[float]]]]


@dataclass(frozen=True, slots=True)
class SummaryHit:
    """A summary that was found. from_ms, to_ms: what it covers. channel: None: all channels.

    session: empty for the summary of a room. summary: its id, or that of the room.
    """

    session: str
    session_name: str  # or the title of the room
    summary: str
    channel: str | None
    title: str
    text: str
    from_ms: int
    to_ms: int
    made_wall_ms: int
    score: float


class SummaryMeanings:
    def __init__(self, store: Store, rows: SummaryVectors, model: str, batch: int, limit: int) -> None:
        self._store, self._rows = store, rows
        self._model, self._batch, self._limit = model, batch, limit
        self._index = VectorIndex(limit)
        self._numbers: dict[Key, int] = {}
        self._keys: dict[int, Key] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._index)

    async def load(self) -> None:
        """Read the vectors of former runs."""
        after: Key = ("", "")
        while len(self._index) < self._limit:
            found = await self._store.read(
                partial(self._rows.page, model=self._model, after=after, limit=PAGE)
            )
            for row in found:
                self._add((row.session, row.summary), row.vector)
            if len(found) < PAGE:
                return
            after = (found[-1].session, found[-1].summary)

    async def step(self, vectors: Vectors) -> bool:
        """Make the vectors of some summaries; True when there may be more."""
        found = await self._store.read(partial(self._rows.waiting, model=self._model, limit=self._batch))
        if not found:
            return False
        made = await vectors([_text_of(row.body) or " " for row in found])
        values = [
            ((row.session, row.id), row.revision, packed(vector))
            for row, vector in zip(found, made, strict=True)
        ]
        taken = set(await self._store.write(partial(self._rows.put, model=self._model, made=values)))
        for key, _, vector in values:
            if key in taken:
                self._add(key, vector)
        return len(found) == self._batch

    async def nearest(self, vector: Sequence[float], query: TextSearch) -> list[SummaryHit]:
        """The nearest first. Filters that only lines have (a term, a mark, a language) let none through."""
        only_lines = (
            *(query.term, query.conf_min, query.language, query.from_ms, query.to_ms),
            *(query.talker, query.length_min_ms),
        )
        if query.marked or any(one is not None for one in only_lines):
            return []
        among = None
        if query.session is not None or query.room is not None:
            among = [number for key, number in self._numbers.items() if _is_of(key, query)]
        numbers = self._index.nearest(vector, CANDIDATES, among)
        keys = [self._keys[number] for number in numbers if number in self._keys]
        if not keys:
            return []
        question = np.asarray(vector, dtype=np.float32)
        found = await self._store.read(partial(self._rows.found, keys=keys))
        hits = [_hit(row, cosine(question, unpacked(row.vector))) for row in found if _is_within(row, query)]
        return sorted(hits, key=lambda hit: (-hit.score, hit.summary))[: min(query.limit, HITS_MAX)]

    def _add(self, key: Key, vector: str) -> None:
        if not unpacked(vector).any():
            return
        if key not in self._numbers:
            if len(self._numbers) >= self._limit:  # the index drops its oldest one, too
                oldest = min(self._keys)
                del self._numbers[self._keys.pop(oldest)]
            self._numbers[key], self._keys[self._next] = self._next, key
            self._next += 1
        self._index.add(self._numbers[key], vector)


def _is_of(key: Key, query: TextSearch) -> bool:
    """Whether it is the summary of the room that the query names, or one of its session."""
    if query.room is not None:
        return key == ("", query.room)
    return key[0] == query.session


def _is_within(row: Row[Any], query: TextSearch) -> bool:
    if not row.session:  # a room: its channels are those of several sessions, and recordings have no date
        from_wall_ms, to_wall_ms = row.began_wall_ms, row.made_wall_ms or row.began_wall_ms
        is_of_other_channel = query.channels is not None
    else:
        covers = json.loads(row.body)["covers"]
        from_wall_ms, to_wall_ms = row.began_wall_ms + covers["from_ms"], row.began_wall_ms + covers["to_ms"]
        is_of_other_channel = query.channels is not None and row.channel not in (None, *query.channels)
    if is_of_other_channel:
        return False
    if query.from_wall_ms is not None and to_wall_ms <= query.from_wall_ms:
        return False
    return query.to_wall_ms is None or from_wall_ms < query.to_wall_ms


def _hit(row: Row[Any], score: float) -> SummaryHit:
    body = json.loads(row.body)
    return SummaryHit(
        session=row.session,
        session_name=row.session_name,
        summary=row.id,
        channel=row.channel,
        title=body["title"],
        text=" ".join(one["text"] for one in body["summary"]),
        from_ms=body["covers"]["from_ms"],
        to_ms=body["covers"]["to_ms"],
        made_wall_ms=row.made_wall_ms or 0,
        score=round(score, 4),
    )


def _text_of(stored: str) -> str:
    """What is compared: title, sentences and topics."""
    body = json.loads(stored)
    sentences = [one["text"] for name in TEXTS for one in body.get(name, ())]
    topics = [one["title"] for one in body.get("topics", ())]
    return "\n".join(part for part in (body["title"], *sentences, *topics) if part).strip()
