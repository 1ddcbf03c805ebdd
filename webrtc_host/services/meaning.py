"""Search by meaning: makes a vector of every final and summary, and finds those nearest to a question.

`run` is one of the server's start steps; it waits for texts without a vector. Without `embeddings` in the
configuration nothing runs, and a search says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np

from webrtc_host.config import EmbeddingsConfig
from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.services.embeddings import Embeddings, EmbeddingsError, TextRefused
from webrtc_host.services.summary_meanings import HITS_MAX, SummaryHit, SummaryMeanings
from webrtc_host.transcript import meanings as rows
from webrtc_host.transcript.search import Hit, SearchIndex, TextSearch
from webrtc_host.transcript.store import Store
from webrtc_host.transcript.summary_meanings import OF_ROOMS, OF_SESSIONS
from webrtc_host.transcript.vector_index import VectorIndex, cosine, packed, unpacked

logger = logging.getLogger(__name__)

T = TypeVar("T")

CANDIDATES = 400
"""Lines that are compared exactly. Filters of a query, except the session, choose among them."""
PAUSE_S, RETRY_S = 1.0, 15.0
PAGE, NOTE_PAGE = 20_000, 1000
"""Rows of one read, and of one transaction: events wait behind it."""
NUMBER_MAX = 2**62
FUSION = 60
"""Reciprocal rank fusion: the rank of a line in each list counts as 1 / (60 + rank)."""


@dataclass(frozen=True, slots=True)
class Found:
    """The nearest lines and summaries, each the best first; lines with their score."""

    lines: list[tuple[Hit, float]] = field(default_factory=list)
    summaries: list[SummaryHit] = field(default_factory=list)


class MeaningSearch:
    def __init__(
        self, store: Store, words: SearchIndex, config: EmbeddingsConfig, *, pause_s: float = PAUSE_S
    ) -> None:
        self._store = store
        self._words = words
        self._config = config
        self._embeddings = Embeddings(config)
        self._index = VectorIndex(config.lines_max)
        self._summaries = tuple(
            SummaryMeanings(store, of, config.model, config.batch, config.lines_max)
            for of in (OF_SESSIONS, OF_ROOMS)
        )
        self._pause_s = pause_s
        self._failures = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """One of the server's start steps."""
        if not self._config.is_set:
            yield
            return
        task = asyncio.create_task(self._run(), name="search by meaning")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def find(self, query: TextSearch) -> Found:
        """The lines and summaries nearest to the words of the query, with their similarity.

        Raises RequestError 501 without `embeddings`, Overloaded when their server fails, StoreError.
        """
        if not self._config.is_set:
            message = "search by meaning is not set up: name a server in `embeddings`, or use mode=words"
            raise RequestError("not_configured", message, 501)
        if not query.words.strip():
            return Found()
        try:
            (vector,) = await self._embeddings.of([query.words])
        except EmbeddingsError as error:
            message = f"{error}: {error.said}" if error.said else str(error)
            raise Overloaded("embeddings_failed", message, retry_after_s=RETRY_S) from error
        summaries = [hit for one in self._summaries for hit in await one.nearest(vector, query)]
        summaries.sort(key=lambda hit: (-hit.score, hit.summary))
        return Found(await self._lines(vector, query), summaries[: min(query.limit, HITS_MAX)])

    async def _lines(self, vector: Sequence[float], query: TextSearch) -> list[tuple[Hit, float]]:
        among = None
        if (room := query.room) is not None:
            among = await self._store.read(partial(rows.numbers_of_room, room=room))
        elif (session := query.session) is not None:
            among = await self._store.read(partial(rows.numbers_of, session=session))
        numbers = await asyncio.to_thread(self._index.nearest, vector, CANDIDATES, among)
        vectors = await self._store.read(lambda c: rows.vectors_of(c, numbers))
        question = np.asarray(vector, dtype=np.float32)
        scores = {segment: cosine(question, unpacked(text)) for segment, text in vectors.items()}
        hits = await self._words.among(query, sorted(scores))
        ranked = sorted(hits, key=lambda hit: (-scores[hit.segment], -hit.number))
        return [(hit, round(scores[hit.segment], 4)) for hit in ranked[: query.limit]]

    async def find_both(self, query: TextSearch) -> Found:
        """The lines of both searches, those first that stand high in both lists; and the summaries."""
        meant = await self.find(query)
        near = [hit for hit, _ in meant.lines]
        exact = (await self._words.find(replace(query, before=None)))[: query.limit]
        points: dict[str, float] = {}
        for found in (near, exact):
            for rank, hit in enumerate(found):
                points[hit.segment] = points.get(hit.segment, 0.0) + 1.0 / (FUSION + rank)
        by_segment = {hit.segment: hit for hit in (*near, *exact)}
        ranked = sorted(by_segment.values(), key=lambda hit: (-points[hit.segment], -hit.number))
        lines = [(hit, round(points[hit.segment], 5)) for hit in ranked[: query.limit]]
        return Found(lines, meant.summaries)

    def statistics(self) -> dict[str, float]:
        return {"lines": len(self._index), "failures": self._failures}

    async def _run(self) -> None:
        await self._patiently(self._load)
        for summaries in self._summaries:
            await self._patiently(summaries.load)
        after: str | None = ""
        while after is not None:
            after = await self._patiently(partial(self._note_page, after))
        while True:
            is_more = await self._patiently(self._step)
            for summaries in self._summaries:
                is_more |= await self._patiently(partial(summaries.step, self._vectors))
            if not is_more:
                await asyncio.sleep(self._pause_s)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of the work; while it fails, it is tried again after a while."""
        while True:
            try:
                return await work()
            except (StoreError, Overloaded, EmbeddingsError) as error:
                self._failures += 1
                logger.warning("the search by meaning waits: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _note_page(self, after: str) -> str | None:
        model = self._config.model
        return await self._store.write(lambda c: rows.note_page(c, model, after, NOTE_PAGE))

    async def _load(self) -> None:
        """Read the vectors of former runs, the newest first."""
        below = NUMBER_MAX
        while len(self._index) < self._config.lines_max:
            found = await self._store.read(partial(rows.page, below=below, limit=PAGE))
            for row in found:
                if unpacked(row.vector).any():
                    self._index.add(row.number, row.vector)
            if len(found) < PAGE:
                return
            below = found[-1].number

    async def _step(self) -> bool:
        """Make the vectors of some lines; True when there may be more."""
        found = await self._store.read(lambda c: rows.waiting(c, self._config.batch))
        if not found:
            return False
        # A line without text has the vector of a space: servers refuse empty texts.
        vectors = await self._vectors([row.text.strip() or " " for row in found])
        made = {row.segment: (row, packed(vector)) for row, vector in zip(found, vectors, strict=True)}
        model = self._config.model
        values = [(segment, row.text, text) for segment, (row, text) in made.items()]
        for segment in await self._store.write(lambda c: rows.put(c, model, values)):
            row, text = made[segment]
            if unpacked(text).any():
                self._index.add(row.number, text)
        return len(found) == self._config.batch

    async def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """The vectors of the texts. A text that the server refuses has a vector that is near to nothing."""
        try:
            return await self._embeddings.of(texts)
        except TextRefused as error:
            if len(texts) == 1:
                logger.warning("a line cannot be found by its meaning: %s", error)
                return [[0.0]]
            middle = len(texts) // 2
            return [*await self._vectors(texts[:middle]), *await self._vectors(texts[middle:])]
