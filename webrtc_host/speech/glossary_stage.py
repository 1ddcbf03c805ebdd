"""The glossary's text stage on a running server: which terms a line may have, and the index of each version.

It connects `glossary.correct` with the glossary in use. Invariant: an index is made once for a version, in
the thread that changes the glossary, so the event loop never makes one while text waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from webrtc_host.glossary import dictionary
from webrtc_host.glossary.correct import carried, correct
from webrtc_host.glossary.entries import Snapshot
from webrtc_host.glossary.index import Index, Scope, scope_of
from webrtc_host.glossary.store import Glossary
from webrtc_host.speech.final_text import FinalText

SCOPES_MAX = 256
"""Scopes kept: one for each channel and language, for the current minute."""


class GlossaryStage:
    """A `TextStage`. Finals and interims are corrected alike."""

    def __init__(self, glossary: Glossary, now: Callable[[], datetime] = datetime.now) -> None:
        """now: the local time, for the rosters of the terms."""
        self._glossary = glossary
        self._now = now
        self.indices: tuple[Index, ...] = ()  # the newest first; two, for a change while text is corrected
        self._scopes: dict[tuple[str, str | None], Scope] = {}
        self._scopes_are_for: tuple[Index, int] | None = None
        glossary.prepare.append(self.prepare)

    def prepare(self, snapshot: Snapshot) -> Index:
        """Make the index of a glossary before it is used. Blocking; any thread may call it."""
        dictionary.load()
        index = Index.build(snapshot)
        self.indices = (index, *self.indices[:1])
        return index

    def __call__(self, final: FinalText) -> FinalText:
        index = self._index()
        if not index.entries:
            return final
        scope = self._scope(index, final.channel, final.language)
        found = correct(final.text, final.words, index, scope, final.language)
        return replace(
            final,
            text=found.text,
            words=found.words,
            edits=(*carried(final.edits, found.edits), *found.edits),
            glossary_version=index.version,
        )

    def _index(self) -> Index:
        snapshot = self._glossary.snapshot
        for index in self.indices:
            if index.snapshot is snapshot:
                return index
        return self.prepare(snapshot)

    def _scope(self, index: Index, channel: str, language: str | None) -> Scope:
        moment = self._now()
        minute = moment.hour * 60 + moment.minute
        if self._scopes_are_for != (index, minute) or len(self._scopes) >= SCOPES_MAX:
            self._scopes_are_for, self._scopes = (index, minute), {}
        key = (channel, language)
        scope = self._scopes.get(key)
        if scope is None:
            scope = self._scopes[key] = scope_of(index.entries, channel, language, minute)
        return scope
