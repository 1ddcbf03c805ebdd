"""The terms that are sent with a channel's windows: which, in which spelling, and in which order.

Pure but for the times of heard terms, which one object keeps. The engine packs as many terms into its prompt
as fit, in this order: heard in the last ten minutes, on the roster, with a boost, the rest in the order of
the file. Whisper continues in the language of its prompt, so a channel gets only terms with a spelling in the
script of its language; each term that is left out has a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from host_stt.contract import AUTO, TERMS_MAX
from webrtc_host.glossary.entries import Entry, PromptTerms, Snapshot
from webrtc_host.glossary.spelling import key_of

HEARD_S = 600.0
"""A term that was heard within this time comes first."""
HEARD_MAX = 500
"""Heard terms that are remembered for each channel."""
WORDS_MAX = 5
"""Words of a term, at most, when heard terms are looked for."""
ENDING_MAX = 3
"""Syllables of a Korean particle behind a term."""
AUTO_BOTH_MAX = 5
"""On a channel with automatic language, so many terms are sent in both scripts."""


class Rank(IntEnum):
    """Why a term stands where it stands; a smaller number comes first."""

    CONNECTION = 0  # sent by the channel's own connection
    HEARD = 1
    ROSTER = 2
    BOOST = 3
    LISTED = 4


class LeftOut(StrEnum):
    """Why a term is not sent."""

    CHANNEL = "the term is for other channels"
    LANGUAGE = "the term is for another language"
    SCRIPT = "the term has no spelling in the script of the channel's language"
    ROSTER = "the term is not on the roster at this time"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A term that is sent. text: in the spelling for the channel."""

    canonical: str
    text: str
    rank: Rank


@dataclass(frozen=True, slots=True)
class Choice:
    """What is sent with a channel's windows, and what is not."""

    chosen: tuple[Chosen, ...]
    left_out: tuple[tuple[str, LeftOut], ...]
    version: int

    @property
    def terms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.text for one in self.chosen))


def choose(
    snapshot: Snapshot,
    channel: str,
    language: str | None,
    minute: int,
    heard: Mapping[str, float],
    own: Iterable[str] = (),
) -> Choice:
    """The terms for a channel, the most important first.

    language: of the channel; None: unknown or automatic. minute: of the day, local time. heard: canonical
    form -> when it was heard (larger is later), without old ones. own: terms of the channel's connection.
    """
    chosen = [Chosen(term, term, Rank.CONNECTION) for term in own]
    left_out: list[tuple[str, LeftOut]] = []
    ranked: list[tuple[tuple[float, ...], Entry, Rank]] = []
    for index, entry in enumerate(snapshot.entries):
        reason = _reason_against(entry, channel, language, minute)
        if reason is not None:
            left_out.append((entry.canonical, reason))
            continue
        rank = _rank(entry, snapshot, heard)
        ranked.append(((rank, -heard.get(entry.canonical, 0.0), -entry.boost, float(index)), entry, rank))
    for _, entry, rank in sorted(ranked, key=lambda item: item[0]):
        is_first = len(chosen) < AUTO_BOTH_MAX
        chosen += [Chosen(entry.canonical, text, rank) for text in _texts(entry, language, is_first)]
    return Choice(tuple(chosen), tuple(left_out), snapshot.version)


def _reason_against(entry: Entry, channel: str, language: str | None, minute: int) -> LeftOut | None:
    if not entry.is_for(channel):
        return LeftOut.CHANNEL
    if not entry.is_for(channel, language):
        return LeftOut.LANGUAGE
    if not entry.is_on_roster(minute):
        return LeftOut.ROSTER
    if language is not None and not _is_in_script(entry.shown(language), language):
        return LeftOut.SCRIPT
    return None


def _rank(entry: Entry, snapshot: Snapshot, heard: Mapping[str, float]) -> Rank:
    if entry.canonical in heard:
        return Rank.HEARD
    if entry.active is not None:
        return Rank.ROSTER
    return Rank.BOOST if entry.boost > snapshot.defaults.boost else Rank.LISTED


def _texts(entry: Entry, language: str | None, is_first: bool) -> tuple[str, ...]:
    """The spellings that are sent. is_first: the term is among the most important ones."""
    if language is not None:
        return (entry.shown(language),)
    both = (entry.canonical, entry.display_en, entry.display_ko) if is_first else (entry.canonical,)
    return tuple(dict.fromkeys(both))


def _is_in_script(text: str, language: str) -> bool:
    """Whether a text fits the language: Hangul letters for Korean, none of them for other languages."""
    has_hangul = any("가" <= letter <= "힣" for letter in text)
    has_latin = any("a" <= letter <= "z" for letter in text.casefold())
    return not has_latin and has_hangul if language == "ko" else not has_hangul


class HeardTerms:
    """When each term was last heard on each channel. Used on one thread."""

    def __init__(self, now: Callable[[], float]) -> None:
        """now: seconds on a clock that never goes back."""
        self._now = now
        self._heard: dict[str, dict[str, float]] = {}
        self._keys_of: Snapshot | None = None
        self._keys: dict[str, str] = {}

    def note(self, channel: str, text: str, snapshot: Snapshot) -> None:
        """Note the terms in a text, as the text stage writes them. Quick for any number of terms."""
        if self._keys_of is not snapshot:
            self._keys_of, self._keys = snapshot, _keys(snapshot.entries)
        heard = self._heard.setdefault(channel, {})
        for canonical in _terms_in(text, self._keys):
            heard.pop(canonical, None)
            heard[canonical] = self._now()
        for canonical in list(heard)[: max(0, len(heard) - HEARD_MAX)]:
            del heard[canonical]

    def on(self, channel: str) -> dict[str, float]:
        """Canonical form -> when it was heard, for terms of the last HEARD_S seconds."""
        since = self._now() - HEARD_S
        return {c: at for c, at in self._heard.get(channel, {}).items() if at > since}


def _keys(entries: Iterable[Entry]) -> dict[str, str]:
    """The keys of all canonical forms and displays, and the canonical form of each."""
    return {
        key_of(text): entry.canonical
        for entry in entries
        for text in (entry.canonical, entry.display_en, entry.display_ko)
    }


def _terms_in(text: str, keys: Mapping[str, str]) -> Iterator[str]:
    """Canonical forms of the terms in a text: runs of words, the last one with or without a particle."""
    words = [key_of(word) for word in text.split()]
    for first in range(len(words)):
        key = ""
        for last in words[first : first + WORDS_MAX]:
            key += last
            for cut in range(min(ENDING_MAX, len(last) - 1) + 1):
                if (canonical := keys.get(key[: len(key) - cut])) and (not cut or not key[-cut:].isascii()):
                    yield canonical
                    break


class ChannelPrompts:
    """The choice for a channel now: the glossary in use, the heard terms and the time of day."""

    def __init__(
        self, snapshot: Callable[[], Snapshot], heard: HeardTerms, minute: Callable[[], int]
    ) -> None:
        """minute: of the day, local time."""
        self._snapshot = snapshot
        self.heard = heard
        self._minute = minute

    def choice(self, channel: str, language: str | None, own: Iterable[str] = ()) -> Choice:
        """language: a code, `auto` or None."""
        known = None if language == AUTO else language
        return choose(self._snapshot(), channel, known, self._minute(), self.heard.on(channel), own)

    def prompt_for(self, channel: str, language: str | None = None, own: Iterable[str] = ()) -> PromptTerms:
        """The terms of one window. own: terms of the channel's connection, which come first."""
        choice = self.choice(channel, language, own)
        echo_guard = self._snapshot().defaults.echo_guard
        return PromptTerms(choice.terms[:TERMS_MAX], choice.version, echo_guard)
