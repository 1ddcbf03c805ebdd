"""The text stage for the terms of one connection: mis-hearings that its client itself has named.

It works like the server's glossary (`glossary_stage.py`), for one channel and before it. Invariant: an index
is made once for each list of the client. Its protocol limits the list: 200 spellings take 10 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from webrtc_host.glossary.correct import correct
from webrtc_host.glossary.entries import Entry, MisheardTerm, Snapshot
from webrtc_host.glossary.index import Index
from webrtc_host.speech.final_text import FinalText


class ConnectionTermsStage:
    """A `TextStage` for one channel."""

    def __init__(self, misheard: Callable[[], tuple[MisheardTerm, ...]]) -> None:
        """misheard: the terms that the channel's connection has named, at this moment."""
        self._misheard = misheard
        self._index_is_of: tuple[MisheardTerm, ...] = ()
        self._index: Index | None = None

    def __call__(self, final: FinalText) -> FinalText:
        misheard = self._misheard()
        if not misheard:
            return final
        if self._index is None or self._index_is_of is not misheard:
            self._index, self._index_is_of = index_of(misheard), misheard
        every = frozenset(range(len(self._index.entries)))
        found = correct(final.text, final.words, self._index, every, final.language)
        return replace(final, text=found.text, words=found.words, edits=(*final.edits, *found.edits))


def index_of(misheard: tuple[MisheardTerm, ...]) -> Index:
    entries = tuple(
        Entry(one.term, one.term, one.term, sounds_like=one.heard_as, place=f"connection[{number}]")
        for number, one in enumerate(misheard)
    )
    return Index.build(Snapshot(entries))
