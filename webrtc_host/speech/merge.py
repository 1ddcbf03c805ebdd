"""Merge: the transcripts of one utterance's windows become committed words and an interim tail.

Pure. Owns the commit point of an utterance, the order of its windows (answers may come in any) and the words
held back inside an overlap until the next window has read them too. Knows no engine and no events of the
wire. Invariants: the commit point only moves forward; a word is committed once; an interim holds only text
after the commit point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from host_stt.contract import Priority, Transcript, Word
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.joining import Overlap, join, without_repeated_tail
from webrtc_host.speech.windowing import WindowWanted
from webrtc_host.speech.words import ALIKE, keys_of, mid_sample, similarity, text_of, words_of

CONTEXT_SAMPLES = 600 * SAMPLES_PER_MS
"""Committed words this close before a window take part in aligning it: its first word may be the end of the
last."""
TAIL_WORDS = 60
"""Committed words kept to find them again in an interim that was asked before they were final."""


@dataclass(frozen=True, slots=True)
class Committed:
    """Words that will not change. Empty words still move the commit point."""

    utterance_id: str
    words: tuple[Word, ...]
    start_sample: int
    end_sample: int  # the new commit point
    avg_logprob: float
    language: str
    is_last: bool


@dataclass(frozen=True, slots=True)
class InterimText:
    utterance_id: str
    text: str
    stable_chars: int  # a prefix that has not changed since the last revision
    revision: int
    start_sample: int
    end_sample: int
    language: str


MergeEvent = Committed | InterimText


class UtteranceMerge:
    """Windows of one utterance in, in any order; what may be shown out."""

    def __init__(self, utterance_id: str, start_sample: int) -> None:
        self._id = utterance_id
        self._commit_sample = start_sample
        self._waiting: dict[int, tuple[WindowWanted, Transcript | None]] = {}
        self._next_number = 0
        self._tail: list[Word] = []  # the newest committed words
        self._held: list[Word] = []  # read by one window, waiting for the next
        self._held_end = start_sample  # where the window that read them ends
        self._logprob = 0.0
        self._language = ""
        self._shown: list[Word] = []
        self._shown_to = start_sample
        self._revision = 0
        self._is_done = False

    @property
    def commit_sample(self) -> int:
        return self._commit_sample

    @property
    def is_done(self) -> bool:
        """The last final was committed, or failed."""
        return self._is_done

    def history(self, words: int) -> str:
        """The newest committed words, for the prompt of the next window."""
        return text_of(self._tail[-words:]) if words else ""

    def feed(self, window: WindowWanted, transcript: Transcript) -> list[MergeEvent]:
        if window.priority is Priority.INTERIM:
            return self._interim(window, transcript)
        return self._final(window, transcript)

    def fail(self, window: WindowWanted) -> list[MergeEvent]:
        """A final window that will never be answered: what was held for it is committed as it is."""
        return self._final(window, None)

    def _final(self, window: WindowWanted, transcript: Transcript | None) -> list[MergeEvent]:
        self._waiting[window.number] = (window, transcript)
        events: list[MergeEvent] = []
        while self._next_number in self._waiting and not self._is_done:
            ready, reading = self._waiting.pop(self._next_number)
            self._next_number += 1
            events += self._skip(ready) if reading is None else self._take(ready, reading)
        if events and not self._is_done:
            events += self._rest_as_interim()
        return events

    def _take(self, window: WindowWanted, transcript: Transcript) -> list[MergeEvent]:
        row = self._joined(window, words_of(transcript))
        self._language = transcript.language
        self._logprob = transcript.avg_logprob
        if window.is_last:
            row = without_repeated_tail(row, window.speech_end_sample)
            self._held = []
            return [self._commit(row, window.end_sample, is_last=True)]
        self._held = [w for w in row if mid_sample(w) >= window.next_start_sample]
        ready = row[: len(row) - len(self._held)]
        self._held = row[len(ready) :]
        self._held_end = window.end_sample
        return [self._commit(ready, window.next_start_sample, is_last=False)]

    def _joined(self, window: WindowWanted, words: list[Word]) -> list[Word]:
        context = [w for w in self._tail if w.end_sample > window.start_sample - CONTEXT_SAMPLES]
        left = [*context, *self._held]
        if not left:
            return words
        overlap = Overlap(window.start_sample, max(self._held_end, window.start_sample))
        return join(left, words, overlap, fixed=len(context))

    def _skip(self, window: WindowWanted) -> list[MergeEvent]:
        row = without_repeated_tail([*self._tail[-3:], *self._held], self._held_end)[len(self._tail[-3:]) :]
        self._held = []
        end = window.end_sample if window.is_last else window.next_start_sample
        if not row and not window.is_last:
            self._commit_sample = max(self._commit_sample, end)
            return []
        return [self._commit(row, end, is_last=window.is_last)]

    def _commit(self, words: Sequence[Word], end_sample: int, *, is_last: bool) -> Committed:
        start = self._commit_sample
        self._commit_sample = max(start, end_sample)
        self._tail = [*self._tail, *words][-TAIL_WORDS:]
        self._shown = self._shown[_repeated_head(words, self._shown) :]
        self._is_done = is_last
        return Committed(
            self._id, tuple(words), start, self._commit_sample, self._logprob, self._language, is_last
        )

    def _rest_as_interim(self) -> list[MergeEvent]:
        """What is left of the line after a commit, so that nobody reads the final words twice until the next
        interim."""
        rest = self._shown if len(self._shown) >= len(self._held) else self._held
        return [self._show(list(rest), self._shown_to)] if self._revision and rest else []

    def _interim(self, window: WindowWanted, transcript: Transcript) -> list[MergeEvent]:
        if self._is_done or window.end_sample <= self._shown_to:
            return []
        words = words_of(transcript)
        # Only what the window could hear: a sliver of a word is heard by nobody.
        audible = window.start_sample + 60 * SAMPLES_PER_MS
        words = words[_repeated_head([w for w in self._tail if w.end_sample > audible], words) :]
        if not words:
            return []
        self._language = transcript.language
        return [self._show(words, window.end_sample)]

    def _show(self, words: list[Word], end_sample: int) -> InterimText:
        text = text_of(words)
        self._revision += 1
        stable = _common_prefix(text_of(self._shown), text)
        self._shown, self._shown_to = words, max(self._shown_to, end_sample)
        return InterimText(
            self._id, text, stable, self._revision, self._commit_sample, self._shown_to, self._language
        )


def _common_prefix(before: str, now: str) -> int:
    """Length in characters of the common prefix, back to a word's end."""
    if now.startswith(before):
        return len(before)
    same = next((i for i, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), len(now))
    if same == len(now):
        return same
    return now.rfind(" ", 0, same + 1) if " " in now[: same + 1] else 0


def _repeated_head(said: Sequence[Word], words: Sequence[Word]) -> int:
    """How many of the first words are a reading of `said`, the words just before them.

    Edit distance in words against every head of `words`; times play no part, an interim's are guesses.
    """
    if not said or not words:
        return 0
    said_keys, keys = keys_of(said), keys_of(words[: 2 * len(said) + 4])
    # row[p]: cost of reading said[:i] as keys[:p]. Leaving out a word of either side costs 0.7, a likely pair
    # its unlikeness.
    row = [0.7 * p for p in range(len(keys) + 1)]
    for spoken in said_keys:
        above, row = row, [row[0] + 0.7]
        for p, key in enumerate(keys, 1):
            likeness = similarity(spoken, key)
            pair = 1.0 - likeness if likeness >= ALIKE else 1.5
            row.append(min(above[p] + 0.7, row[p - 1] + 0.7, above[p - 1] + pair))
    return min(range(len(row)), key=lambda p: (row[p], p))
