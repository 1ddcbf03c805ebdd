"""The glossary in the form that the prompt stage and the text stage read: expanded, frozen, plain.

Pure. `schema.py` makes the entries from the file; patterns are expanded and defaults are filled in.
Invariant: a snapshot never changes, so any thread may read it, and a stage may keep what it computed from it.
"""

from __future__ import annotations

from dataclasses import dataclass

MINUTES_OF_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Entry:
    """One term, or one term that a pattern expands to."""

    canonical: str
    """The form that is stored, searched and alerted on."""
    display_en: str
    display_ko: str
    """How pages show the term to readers of English and of Korean; `canonical` where the file gives none."""
    aliases: tuple[str, ...] = ()
    """Spellings that become `canonical`, compared after normalisation: those of the file, then the displays,
    then the spoken forms that a pattern generates. Without `canonical` itself."""
    sounds_like: tuple[str, ...] = ()
    """Mis-hearings from the file. A guard decides whether they are applied."""
    never: tuple[str, ...] = ()
    """Words that stay as they are, although they resemble the term."""
    kind: str | None = None
    """`class` in the file: callsign, place, code or person."""
    channels: frozenset[str] | None = None
    """The channels of the term; None: all."""
    active: tuple[int, int] | None = None
    """The roster in minutes of the day, local time: first minute, and the minute after the last one. The
    second number is smaller when the roster goes past midnight. None: always."""
    boost: float = 1.0
    alert: str | None = None
    """The level of the alert: info, warning or critical."""
    language: str | None = None
    """en or ko: the term is used only on channels with this language. None: with every language."""
    place: str = ""
    """Where the file has it, such as `terms[3]` or `patterns[0]`, for messages."""

    def is_for(self, channel: str, language: str | None = None) -> bool:
        """Whether the term is used on this channel. language: of the channel; None: unknown or automatic."""
        if self.channels is not None and channel not in self.channels:
            return False
        return self.language is None or language is None or language == self.language

    def is_on_roster(self, minute: int) -> bool:
        """minute: of the day, local time, 0 to 1439."""
        if self.active is None:
            return True
        first, end = self.active
        return first <= minute < end if first < end else minute >= first or minute < end

    def shown(self, language: str) -> str:
        """The display for a reader of `language`."""
        return {"en": self.display_en, "ko": self.display_ko}.get(language, self.canonical)


@dataclass(frozen=True, slots=True)
class MisheardTerm:
    """A term that a client names for its own audio, with its mis-hearings. A guard applies them, as for
    `Entry.sounds_like`.
    """

    term: str
    heard_as: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for terms that say nothing else, and the thresholds of the text stage."""

    boost: float = 1.0
    min_similarity: float = 0.86
    """A fuzzy match needs at least this similarity, 0 to 1."""
    min_jamo: int = 5
    """Terms with fewer jamo or letters than this are never matched fuzzily."""
    margin: float = 0.08
    """How much better than the second-best term a fuzzy match must be."""
    echo_guard: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The list in use at one moment. version: what the finals decoded with it carry."""

    entries: tuple[Entry, ...] = ()
    version: int = 0
    defaults: Defaults = Defaults()


@dataclass(frozen=True, slots=True)
class PromptTerms:
    """The terms that are sent with one window, and the glossary version that its segments will have."""

    terms: tuple[str, ...]
    version: int
    echo_guard: bool = True
