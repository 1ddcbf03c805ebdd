"""The form of the glossary file: every key, its checks, and the entries that the list expands to.

No clock, no file, no thread. `expand.py` turns patterns into entries, `checks.py` compares terms with each
other. Every key of the models has an effect; a key that is not here is a mistake.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema
from pydantic_core import ErrorDetails

from host_stt.contract import TERM_CHARS_MAX
from host_stt_common.channel_ids import CHANNEL_PATTERN
from host_stt_common.plain import plain_mistake
from webrtc_host.glossary import entries
from webrtc_host.glossary.checks import CANONICAL, MISTAKES_MAX, Protected, Spelling, between_terms
from webrtc_host.glossary.entries import MINUTES_OF_DAY, Entry
from webrtc_host.glossary.expand import ExpandedPattern, expand, numbers_of, with_own_terms
from webrtc_host.glossary.list_values import channel_id, minute_of, one_line, time_of_day
from webrtc_host.glossary.mistakes import GlossaryError, KeyPath, Mistake

ENTRIES_MAX = 4_000
"""Terms after the patterns are expanded."""
SPELLINGS_MAX = 100
"""Aliases, mis-hearings and protected words of one term, each."""


def _numbers(value: str) -> str:
    numbers_of(value)
    return value


def _number_text(value: object) -> object:
    """A single number in JSON may be a number: 7 is "7"."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str, Field(min_length=1, max_length=TERM_CHARS_MAX), AfterValidator(one_line)]
Spellings = Annotated[list[Text], Field(max_length=SPELLINGS_MAX)]
ChannelId = Annotated[
    str,
    AfterValidator(channel_id),
    WithJsonSchema({"type": "string", "pattern": f"^{CHANNEL_PATTERN}$"}),
]
TimeOfDay = Annotated[
    str, AfterValidator(time_of_day), WithJsonSchema({"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"})
]
Boost = Annotated[float, Field(gt=0, le=20)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Post(_Part):
    """Thresholds of the fuzzy match."""

    min_similarity: Annotated[float, Field(ge=0.5, le=1)] = 0.86
    min_jamo: Annotated[int, Field(ge=1, le=50)] = 5
    margin: Annotated[float, Field(ge=0, le=0.5)] = 0.08


class Defaults(_Part):
    boost: Boost = 1.0
    post: Post = Post()
    echo_guard: bool = True

    def plain(self) -> entries.Defaults:
        return entries.Defaults(
            self.boost, self.post.min_similarity, self.post.min_jamo, self.post.margin, self.echo_guard
        )


class Display(_Part):
    en: Text | None = None
    ko: Text | None = None


class Active(_Part):
    """The roster, in local time; `to` before `from` means past midnight."""

    from_time: TimeOfDay = Field(alias="from")
    to_time: TimeOfDay = Field(alias="to")

    def minutes(self) -> tuple[int, int]:
        return minute_of(self.from_time) % MINUTES_OF_DAY, minute_of(self.to_time)


class Alert(_Part):
    level: Literal["info", "warning", "critical"] = "info"


class _Scope(_Part):
    """The keys that terms and patterns share."""

    kind: Literal["callsign", "place", "code", "person"] | None = Field(None, alias="class")
    never: Spellings = Field(default_factory=list)  # words that stay as they are
    channels: Annotated[list[ChannelId], Field(min_length=1)] | None = None  # None: all
    active: Active | None = None  # None: always
    boost: Boost | None = None  # None: that of the defaults
    alert: Alert | None = None
    language: Literal["en", "ko"] | None = None  # None: on channels of every language

    def common(self, defaults: Defaults) -> dict[str, Any]:
        """The shared fields of an `Entry`."""
        return {
            "kind": self.kind,
            "never": tuple(self.never),
            "channels": None if self.channels is None else frozenset(self.channels),
            "active": None if self.active is None else self.active.minutes(),
            "boost": defaults.boost if self.boost is None else self.boost,
            "alert": None if self.alert is None else self.alert.level,
            "language": self.language,
        }


class Term(_Scope):
    canonical: Text  # as the text should have it
    display: Display | None = None
    aliases: Spellings = Field(default_factory=list)  # become `canonical`
    sounds_like: Spellings = Field(default_factory=list)  # mis-hearings, applied behind a guard

    def entry(self, defaults: Defaults, place: str) -> Entry:
        shown = self.display or Display()
        displays = [text for text in (shown.en, shown.ko) if text is not None]
        spellings = dict.fromkeys((*self.aliases, *displays))
        spellings.pop(self.canonical, None)
        return Entry(
            canonical=self.canonical,
            display_en=shown.en or self.canonical,
            display_ko=shown.ko or self.canonical,
            aliases=tuple(spellings),
            sounds_like=tuple(self.sounds_like),
            place=place,
            **self.common(defaults),
        )


class Pattern(_Scope):
    """Names times numbers: `base: {Blue: [블루]}, number: 1-9` is Blue-1 to Blue-9."""

    base: Annotated[dict[Text, Spellings], Field(min_length=1, max_length=200)]
    number: Annotated[str, BeforeValidator(_number_text), AfterValidator(_numbers)]
    join: Annotated[str, Field(max_length=3)] = "-"
    sounds_like: dict[Text, Spellings] = Field(default_factory=dict)  # mis-hearings of a name, without number

    @model_validator(mode="after")
    def _knows_the_names(self) -> Pattern:
        for name in self.sounds_like:
            if name not in self.base:
                raise ValueError(f"sounds_like has the name {name!r}, which base does not have")
        return self

    def expanded(self, defaults: Defaults, place: str) -> list[ExpandedPattern]:
        numbers, common = numbers_of(self.number), self.common(defaults)
        return expand(self.base, numbers, self.join, common, place, self.sounds_like)


class GlossaryList(_Part):
    """The file. `version` is the version of its format; `Snapshot.version` counts the changes."""

    version: Literal[1] = 1
    defaults: Defaults = Defaults()
    terms: Annotated[list[Term], Field(max_length=ENTRIES_MAX)] = Field(default_factory=list)
    patterns: Annotated[list[Pattern], Field(max_length=ENTRIES_MAX)] = Field(default_factory=list)

    def entries(self) -> tuple[Entry, ...]:
        """All terms in the order of the file: `terms` first, then the expanded patterns."""
        own = [term.entry(self.defaults, f"terms[{i}]") for i, term in enumerate(self.terms)]
        made = [
            one
            for i, pattern in enumerate(self.patterns)
            for one in pattern.expanded(self.defaults, f"patterns[{i}]")
        ]
        return tuple(with_own_terms(own, made))


def parse(body: Any) -> GlossaryList:
    """The list, checked. Raises GlossaryError: every mistake of form, or those of terms among each other."""
    if not isinstance(body, dict):
        raise GlossaryError([Mistake((), "the glossary is not a mapping with `version` and `terms`")])
    try:
        found = GlossaryList.model_validate(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[:MISTAKES_MAX]
        raise GlossaryError([_mistake(one, body) for one in wrong]) from error
    if mistakes := _between_terms(found):
        raise GlossaryError(mistakes)
    return found


def _between_terms(found: GlossaryList) -> list[Mistake]:
    expanded = len(found.terms) + sum(len(p.base) * len(numbers_of(p.number)) for p in found.patterns)
    if expanded > ENTRIES_MAX:
        message = f"the patterns expand the list to {expanded} terms; the limit is {ENTRIES_MAX}"
        return [Mistake(("patterns",), message)]
    return between_terms(list(_spellings(found)), list(_protected(found)))


def _spellings(found: GlossaryList) -> Iterator[Spelling]:
    own = [term.entry(found.defaults, "") for term in found.terms]
    names = {entry.canonical for entry in own}
    for i, entry in enumerate(own):
        yield Spelling(entry, ("terms", i, "canonical"), entry.canonical, CANONICAL)
    for i, pattern in enumerate(found.patterns):
        for one in pattern.expanded(found.defaults, ""):
            if one.entry.canonical not in names:
                yield Spelling(one.entry, ("patterns", i, "base"), one.entry.canonical, CANONICAL)
    for i, (term, entry) in enumerate(zip(found.terms, own, strict=True)):
        for j, text in enumerate(term.aliases):
            yield Spelling(entry, ("terms", i, "aliases", j), text, "an alias")
        for language, text in (term.display or Display()).model_dump(exclude_none=True).items():
            yield Spelling(entry, ("terms", i, "display", language), text, "the display")
        for j, text in enumerate(term.sounds_like):
            yield Spelling(entry, ("terms", i, "sounds_like", j), text, "a mis-hearing")


def _protected(found: GlossaryList) -> Iterator[Protected]:
    for name, parts in (("terms", found.terms), ("patterns", found.patterns)):
        for i, part in enumerate(parts):
            canonical = part.canonical if isinstance(part, Term) else ""
            entry = Entry(canonical, canonical, canonical)
            for j, text in enumerate(part.never):
                yield Protected(entry, (name, i, "never", j), text)


def as_dict(found: GlossaryList) -> dict[str, Any]:
    """The list in the form of the file: only the keys that were given."""
    body = {"version": 1, **found.model_dump(mode="json", exclude_unset=True, by_alias=True)}
    for part in ("terms", "patterns"):
        if part in body:
            body[part] = [dict(sorted(one.items(), key=_place)) for one in body[part]]
    return body


_ORDER = "canonical base number join display aliases sounds_like never".split()


def _place(item: tuple[str, Any]) -> int:
    """Names before everything else; the other keys in the order of the models."""
    return _ORDER.index(item[0]) if item[0] in _ORDER else len(_ORDER)


_MODELS: dict[str, type[_Part]] = {
    "terms": Term,
    "patterns": Pattern,
    "defaults": Defaults,
    "post": Post,
    "display": Display,
    "active": Active,
    "alert": Alert,
}


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a model as the file has them."""
    return [info.alias or name for name, info in model.model_fields.items()]


def _mistake(wrong: ErrorDetails, body: dict[str, Any]) -> Mistake:
    path: KeyPath = tuple(part for part in wrong["loc"] if part != "[key]")
    message = plain_mistake(wrong["msg"])
    match wrong["type"]:
        case "extra_forbidden":
            message = _unknown_key(path)
        case "string_type" if isinstance(wrong["input"], int | float):
            message = f"should be text; write it in quotes: {str(wrong['input'])!r}"
        case "too_long":
            limit = (wrong.get("ctx") or {}).get("max_length")
            message = f"has more than {limit} items; remove some, or use patterns"
    return Mistake(path, message, _term_at(path, body))


def _unknown_key(path: KeyPath) -> str:
    names = [part for part in path[:-1] if isinstance(part, str)]
    known = keys_of(_MODELS.get(names[-1], GlossaryList) if names else GlossaryList)
    near = difflib.get_close_matches(str(path[-1]).casefold(), known, 1, 0.6)
    return "is not a key of the glossary here; " + (
        f"did you mean `{near[0]}`?" if near else f"the keys here are {', '.join(known)}"
    )


def _term_at(path: KeyPath, body: dict[str, Any]) -> str:
    """The canonical form of the term that the path leads into, for the message."""
    if len(path) < 2 or path[0] != "terms":
        return ""
    try:
        found = body["terms"][path[1]]["canonical"]
    except (KeyError, IndexError, TypeError):
        return ""
    return found.strip()[:60] if isinstance(found, str) else ""
