"""Merge: turns the results of one utterance's windows into committed words and an interim.

This module moves the commit point of an utterance, puts the windows into order (results may come in any
order), and holds back the words of an overlap until the next window has its result. `joining.py` merges the
words. Pure; the engine and the events are not known here.
Invariants: the commit point only moves forward; a word is committed once; an interim contains only text after
the commit point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from host_stt.contract import Priority, Transcript, Word
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.agreement import Agreed, Agreement, before_hole, has_times
from webrtc_host.speech.joining import (
    REPEATED_WORDS_MAX,
    Overlap,
    join,
    without_repeated_tail,
)
from webrtc_host.speech.said_words import after_said, from_sample, is_in, repeated_head
from webrtc_host.speech.spelled import without_said
from webrtc_host.speech.windowing import WindowSpec
from webrtc_host.speech.words import (
    is_behind,
    mid_sample,
    text_of,
    words_of,
)

CONTEXT_SAMPLES = 600 * SAMPLES_PER_MS
"""Committed words this close before a window take part in the alignment: its first word may be the end of the
last committed one.
"""
UNREAD_SAMPLES = 2000 * SAMPLES_PER_MS
"""An interim without a word for so much of its end was cut short: Whisper can end a text after a sentence
though speech goes on.
"""
EARLY_SAMPLES = 500 * SAMPLES_PER_MS
"""A word that ends so long before its utterance was said in an earlier one: no alignment is so wrong."""
TAIL_WORDS = 60
"""Committed words kept, to find them again in an interim that was sent before they were final."""


@dataclass(frozen=True, slots=True)
class Committed:
    """Words that do not change any more. Without words, it still moves the commit point."""

    utterance_id: str
    words: tuple[Word, ...]
    start_sample: int
    end_sample: int  # the new commit point
    avg_logprob: float
    language: str
    is_last: bool


@dataclass(frozen=True, slots=True)
class InterimText:
    """Text that may still change: what the utterance says after the commit point."""

    utterance_id: str
    text: str
    stable_chars: int  # length of the prefix that is the same as in the last revision
    revision: int
    start_sample: int
    end_sample: int
    language: str


MergeEvent = Committed | InterimText


class UtteranceMerge:
    """Takes results of one utterance's windows in any order; returns the text that may be shown."""

    def __init__(
        self, utterance_id: str, start_sample: int, before: Sequence[Word] = (), first_sample: int = 0
    ) -> None:
        """before: the newest final words of the utterance before, which windows may contain as context.

        Empty: they are not known. first_sample: where the audio of this utterance begins; if `before` is not
        known, words that end before it are taken for context. (Times are the worse guide: next to a pause the
        alignment is wrong by up to half a second.)
        """
        self._id = utterance_id
        self._commit_sample = start_sample
        self._waiting: dict[int, tuple[WindowSpec, Transcript | None]] = {}
        self._next_number = 0
        self._first_sample = first_sample
        self._tail: list[Word] = list(before)  # the newest committed words
        self._knows_before = bool(before)
        self._has_words = False  # words of this utterance are committed
        self._held: list[Word] = []  # words of an overlap that wait for the next window
        self._held_end = start_sample  # end of the window that they are from
        self._logprob = 0.0
        self._language = ""
        self._shown: list[Word] = []
        self._shown_to = start_sample
        self._revision = 0
        self._is_done = False
        self._agreement = Agreement()
        self._agreed_to = start_sample  # words before it were committed by agreement
        self._disputed_to = 0  # before it the interims differed: later readings of it are left out
        self._window_commit_sample = start_sample
        self._restart_sample = -1

    def know_before(self, before: Sequence[Word]) -> None:
        """The newest final words of the utterance before, if it ended after this one began.

        Nothing changes when this one has final words already.
        """
        if before and not self._knows_before and not self._has_words:
            self._tail, self._knows_before = list(before), True

    @property
    def restart_sample(self) -> int:
        """Where interims begin anew, after one that left out what follows the commit point; -1 before that.

        The same beginning would most likely give the same short text again.
        """
        return self._restart_sample

    @property
    def window_commit_sample(self) -> int:
        """The commit point that final windows have reached.

        Interims begin here: before words that were committed by agreement, because a model without the start
        of the sentence makes more errors.
        """
        return self._window_commit_sample

    @property
    def commit_sample(self) -> int:
        return self._commit_sample

    @property
    def has_words(self) -> bool:
        """Whether words of this utterance are committed."""
        return self._has_words

    @property
    def tail(self) -> Sequence[Word]:
        """The newest committed words."""
        return self._tail

    @property
    def is_done(self) -> bool:
        """True when the last final window was committed or has failed."""
        return self._is_done

    def history(self, words: int) -> str:
        """The newest committed words, as history in the prompt of the next window."""
        return text_of(self._tail[-words:]) if words else ""

    def feed(self, window: WindowSpec, transcript: Transcript) -> list[MergeEvent]:
        """Take the result of a window; returns what it commits, and the interim to show."""
        if window.priority is Priority.INTERIM:
            return self._interim(window, transcript)
        return self._final(window, transcript)

    def fail(self, window: WindowSpec) -> list[MergeEvent]:
        """A final window has failed: the words that were held for it are committed as they are."""
        return self._final(window, None)

    def _final(self, window: WindowSpec, transcript: Transcript | None) -> list[MergeEvent]:
        self._waiting[window.number] = (window, transcript)
        events: list[MergeEvent] = []
        while self._next_number in self._waiting and not self._is_done:
            # Windows are merged in order: a later result waits until the windows before it have one.
            ready, result = self._waiting.pop(self._next_number)
            self._next_number += 1
            events += self._skip(ready) if result is None else self._take(ready, result)
        if events and not self._is_done:
            events += self._interim_of_rest()
        return events

    def _take(self, window: WindowSpec, transcript: Transcript) -> list[MergeEvent]:
        heard = words_of(transcript)
        # Before the alignment too: it would take the whole word for a final one that begins at the same time.
        words = without_said(heard, heard, self._tail, window.start_sample)
        # And the rest of that word has no place in the alignment: it follows the last final word, but its
        # times may end beside it.
        rest = words[:1] if words and words[0] not in heard and not self._held else []
        row = [*rest, *self._joined(window, words[len(rest) :])]
        row = [word for word in row if self._is_mine(word)]
        row = without_said(row, heard, self._tail, window.start_sample)
        self._language = transcript.language
        self._logprob = transcript.avg_logprob
        if window.is_last:
            row = without_repeated_tail(row, window.speech_end_sample)
            # The committed words may be the beginning of a sentence that is written twice. A single word that
            # comes again was more likely said twice.
            said = self._tail[-REPEATED_WORDS_MAX:] if self._has_words else []
            end = window.speech_end_sample
            row = without_repeated_tail([*said, *row], end, words_min=2)[len(said) :]
            self._held = []
            return [self._commit_window(row, window.end_sample, is_last=True)]
        # Words after the start of the next window are held back: there the next window may be better.
        self._held = [w for w in row if mid_sample(w) >= window.next_start_sample]
        ready = row[: len(row) - len(self._held)]
        self._held = row[len(ready) :]
        self._held_end = window.end_sample
        return [self._commit_window(ready, window.next_start_sample, is_last=False)]

    def _joined(self, window: WindowSpec, words: list[Word]) -> list[Word]:
        context = [w for w in self._tail if w.end_sample > window.start_sample - CONTEXT_SAMPLES]
        left = [*context, *self._held]
        if not left:
            return [word for word in words if is_behind(word, window.context_end_sample)]
        reread_to = max(self._agreed_to, window.context_end_sample)
        overlap = Overlap(window.start_sample, max(self._held_end, window.start_sample, reread_to))
        row = self._after_disputed(join(left, words, overlap, fixed=len(context)))
        if reread_to <= window.start_sample or not context or is_in(context[-1], words):
            return row
        # The window spells the last committed word otherwise: not a second time.
        if self._agreed_to > window.context_end_sample:
            return [word for word in row if mid_sample(word) >= self._agreed_to]
        return [word for word in row if is_behind(word, context[-1].end_sample)]

    def _after_disputed(self, words: Sequence[Word]) -> list[Word]:
        """The words behind the last disputed one: its text cannot tell them apart from a second reading."""
        return [word for word in words if mid_sample(word) >= self._disputed_to]

    def _is_mine(self, word: Word) -> bool:
        """Whether a word belongs to this utterance, and not to the one before it.

        If the words of that one are known, they tell the two apart better than times do. But a word that it
        has missed must not appear here seconds after it was said.
        """
        tolerance = EARLY_SAMPLES if self._knows_before else 0
        return word.end_sample > self._first_sample - tolerance

    def _skip(self, window: WindowSpec) -> list[MergeEvent]:
        row = without_repeated_tail([*self._tail[-3:], *self._held], self._held_end)[len(self._tail[-3:]) :]
        self._held = []
        end = window.end_sample if window.is_last else window.next_start_sample
        if not row and not window.is_last:
            self._commit_sample = max(self._commit_sample, end)
            self._window_commit_sample = max(self._window_commit_sample, end)
            return []
        return [self._commit_window(row, end, is_last=window.is_last)]

    def _commit_window(self, words: Sequence[Word], end_sample: int, *, is_last: bool) -> Committed:
        self._window_commit_sample = max(self._window_commit_sample, end_sample)
        return self._commit(words, end_sample, is_last=is_last)

    def _commit(self, words: Sequence[Word], end_sample: int, *, is_last: bool) -> Committed:
        start = self._commit_sample
        self._commit_sample = max(start, end_sample)
        self._tail = [*self._tail, *words][-TAIL_WORDS:]
        self._has_words = self._has_words or bool(words)
        self._shown = self._shown[repeated_head(words, self._shown) :]
        self._is_done = is_last
        return Committed(
            self._id, tuple(words), start, self._commit_sample, self._logprob, self._language, is_last
        )

    def _interim_of_rest(self) -> list[MergeEvent]:
        """The rest of the interim after a commit, so that no watcher sees the final words twice."""
        rest = self._shown if len(self._shown) >= len(self._held) else self._held
        return [self._show(list(rest), self._shown_to)] if self._revision and rest else []

    def _interim(self, window: WindowSpec, transcript: Transcript) -> list[MergeEvent]:
        if self._is_done or window.end_sample <= self._shown_to:
            return []
        words = words_of(transcript)
        if has_times(transcript):
            words = [word for word in words if self._is_mine(word)]
        elif not self._knows_before and window.start_sample < self._first_sample:
            return []  # earlier words could be shown a second time
        # Words before the window's start are not in it; of a word with less than 60 ms in it, nothing is
        # audible.
        audible = window.start_sample + 60 * SAMPLES_PER_MS
        words = words[repeated_head([w for w in self._tail if w.end_sample > audible], words) :]
        if has_times(transcript) and self._has_words:
            words = after_said(words, self._tail)
        elif has_times(transcript) and self._knows_before:
            # The context may spell the words of the utterance before otherwise; a pause tells them apart.
            words = from_sample(words, self._tail[-1].end_sample)
        words = without_said(self._after_disputed(words), words, self._tail, window.start_sample)
        if not words:
            self._restart_after(window)
            return []
        self._language = transcript.language
        committed_to = self._tail[-1].end_sample if self._has_words and self._tail else 0
        heard = before_hole(words, committed_to) if has_times(transcript) else words
        agreed = self._agreement.feed(transcript, heard, window.end_sample, committed_to)
        events: list[MergeEvent] = [self._commit_agreed(agreed, transcript)] if agreed.words else []
        if agreed.count == len(heard):
            self._restart_after(window)
        words = words[agreed.count :]
        return [*events, self._show(words, window.end_sample)] if words else events

    def _restart_after(self, window: WindowSpec) -> None:
        """Let interims begin at the commit point, when this one has no word behind it."""
        if self._has_words and window.end_sample - self._commit_sample >= UNREAD_SAMPLES:
            self._restart_sample = self._commit_sample

    def _commit_agreed(self, agreed: Agreed, transcript: Transcript) -> Committed:
        self._logprob = transcript.avg_logprob
        self._agreed_to = agreed.words[-1].end_sample
        if agreed.is_disputed:
            self._disputed_to = self._agreed_to
        self._held = [word for word in self._held if mid_sample(word) >= self._agreed_to]
        return self._commit(agreed.words, self._agreed_to, is_last=False)

    def _show(self, words: list[Word], end_sample: int) -> InterimText:
        text = text_of(words)
        self._revision += 1
        stable = _common_prefix(text_of(self._shown), text)
        self._shown, self._shown_to = words, max(self._shown_to, end_sample)
        return InterimText(
            self._id, text, stable, self._revision, self._commit_sample, self._shown_to, self._language
        )


def _common_prefix(before: str, now: str) -> int:
    """Length in characters of the common prefix, up to the end of a word."""
    if now.startswith(before):
        return len(before)
    same = next((i for i, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), len(now))
    if same == len(now):
        return same
    return now.rfind(" ", 0, same + 1) if " " in now[: same + 1] else 0
