"""The items of OpenAI's Realtime transcription: which utterance belongs to which item, and its text. Pure.

An item is one turn of the client: one utterance or more. It is committed by the client or by turn detection,
and completed when all its text is final. Invariants: every utterance belongs to one item; the text of an item
has the order of its utterances; an item is committed once and completed once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from webrtc_host.wires.messages import Final
from webrtc_host.wires.openai_deltas import Deltas
from webrtc_host.wires.openai_options import Delay

EDGE_MS = 40
"""Speech that begins so shortly before a commit belongs to the next item: the detector works in 32 ms."""
TEXTS_MAX = 100
"""Items whose text is kept."""
WAITING_MAX = 200
"""Finals that wait for those of an earlier utterance; they come in order, so one or two are usual."""


@dataclass(slots=True)
class _Utterance:
    is_speaking: bool = True
    is_done: bool = False
    waiting: list[str] = field(default_factory=list)
    """Finals that came while an earlier utterance was not done."""


class Item:
    def __init__(self, item_id: str, delay: Delay, previous: str | None) -> None:
        """previous: id of the item before it."""
        self.id = item_id
        self.previous = previous
        self.start_ms: int | None = None  # of its speech
        self.end_ms = 0  # of its speech
        self.from_ms = 0  # of its audio, where the client commits
        self.commit_ms: int | None = None  # end of its audio; None: not committed
        self.is_started = False  # `speech_started` was sent
        self.is_dropped = False  # cleared by the client: it gets no events
        self.waits_for_force = False
        self.languages: dict[str, None] = {}
        self.failure: str | None = None  # code of a part that the engine could not decode
        self._deltas = Deltas(delay)
        self._utterances: OrderedDict[str, _Utterance] = OrderedDict()

    @property
    def text(self) -> str:
        return self._deltas.text

    @property
    def is_speaking(self) -> bool:
        return any(one.is_speaking for one in self._utterances.values())

    @property
    def is_complete(self) -> bool:
        """Committed, and all of its text is final."""
        return self.commit_ms is not None and not self.waits_for_force and not self._utterances

    def start(self) -> None:
        """`speech_started` was sent."""
        self.is_started = True

    def drop(self) -> None:
        """The client cleared it."""
        self.is_dropped = True

    def wait_for_force(self) -> None:
        """The end of its audio is being forced, so more text may come."""
        self.waits_for_force = True

    def forced(self) -> None:
        self.waits_for_force = False

    def fail(self, code: str) -> None:
        """The engine could not decode a part of it."""
        self.failure = code

    def note_audio(self, from_ms: int) -> None:
        """Where its audio begins."""
        self.from_ms = from_ms

    def began(self, utterance: str, start_ms: int) -> None:
        self._utterances[utterance] = _Utterance()
        self.start_ms = start_ms if self.start_ms is None else self.start_ms
        self.end_ms = max(self.end_ms, start_ms)

    def stopped(self, utterance: str, end_ms: int) -> None:
        self._utterances[utterance].is_speaking = False
        self.end_ms = max(self.end_ms, end_ms)

    def interim(self, utterance: str, text: str) -> str:
        """The delta; empty while an earlier utterance is not done."""
        return self._deltas.interim(text) if self._is_first(utterance) else ""

    def final(self, final: Final) -> str:
        if final.language:
            self.languages[final.language] = None
        if self._is_first(final.utterance):
            return self._deltas.final(final.text)
        waiting = self._utterances[final.utterance].waiting
        if len(waiting) < WAITING_MAX:
            waiting.append(final.text)
        return ""

    def done(self, utterance: str) -> str:
        """All finals of the utterance came. Returns the delta of those that waited for it."""
        self._utterances[utterance].is_done = True
        return self._advanced()

    def close(self) -> str:
        """Nothing more comes. Returns the last delta."""
        for one in self._utterances.values():
            one.is_done, one.is_speaking = True, False
        self.waits_for_force = False
        return self._advanced()

    def _advanced(self) -> str:
        delta = ""
        while self._utterances:
            utterance_id, first = next(iter(self._utterances.items()))
            delta += "".join(map(self._deltas.final, first.waiting))
            first.waiting.clear()
            if not first.is_done:
                break
            self._deltas.end_utterance()
            del self._utterances[utterance_id]
        return delta

    def _is_first(self, utterance: str) -> bool:
        return next(iter(self._utterances), None) == utterance


class Items:
    """The items of one connection that are not completed."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0
        self._last_committed: str | None = None
        self._of: dict[str, Item] = {}  # by utterance
        self.open: Item | None = None  # gets what comes now
        self.committed: list[Item] = []  # not completed
        self.texts: OrderedDict[str, str | None] = OrderedDict()
        """The last committed items, for clients that ask again; None: the text is not final yet."""

    def new(self, delay: Delay) -> Item:
        """A new open item. There is none open before."""
        self._count += 1
        self.open = Item(f"item_{self._prefix}{self._count:04d}", delay, None)
        return self.open

    def of(self, utterance: str) -> Item | None:
        return self._of.get(utterance)

    def began(self, item: Item, utterance: str, start_ms: int) -> None:
        item.began(utterance, start_ms)
        self._of[utterance] = item

    def done(self, utterance: str) -> None:
        self._of.pop(utterance, None)

    def committed_at(self, start_ms: int) -> Item | None:
        """The committed item whose audio has this moment, when the client committed it."""
        for item in self.committed:
            if item.waits_for_force and item.commit_ms is not None and start_ms < item.commit_ms - EDGE_MS:
                return item
        return None

    def commit(self, item: Item, at_ms: int) -> None:
        item.commit_ms = at_ms
        if not item.is_dropped:
            item.previous, self._last_committed = self._last_committed, item.id
            self._keep(item.id, None)
        self.committed.append(item)
        if self.open is item:
            self.open = None

    def take_complete(self) -> list[Item]:
        """The items that are complete now; they are forgotten."""
        complete = [item for item in self.committed if item.is_complete]
        self.committed = [item for item in self.committed if not item.is_complete]
        for item in complete:
            if not item.is_dropped:
                self._keep(item.id, item.text)
        return complete

    def _keep(self, item_id: str, text: str | None) -> None:
        self.texts[item_id] = text
        while len(self.texts) > TEXTS_MAX:
            self.texts.popitem(last=False)
