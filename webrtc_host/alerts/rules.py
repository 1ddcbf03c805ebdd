"""The rules of the alerts: the form of the list, its checks, and its warnings.

No clock, no file, no thread. `parse` checks everything, so a list that exists can be used. Mistakes name the
rule and the field. Every key has an effect; a key that is not here is a mistake.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from host_stt_common.plain import plain_mistake
from webrtc_host.alerts.patterns import PATTERN_CHARS_MAX, BadPattern, Pattern
from webrtc_host.glossary.list_values import channel_id, minute_of, one_line, time_of_day
from webrtc_host.glossary.mistakes import KeyPath, Mistake, dotted
from webrtc_host.glossary.normalise import key_of
from webrtc_host.seams import AlertCause, AlertLevel
from webrtc_host.transcript.event_codec import encode_json

RULES_MAX = 200
GROUPS_MAX = 64
TERMS_MAX = 200
"""Terms of one rule."""
TERMS_OF_ALL_MAX = 2_000
MISTAKES_MAX = 50
COOLDOWN_S_MIN, COOLDOWN_S_MAX = 5, 86_400
WAIT_S_MAX = 86_400


def _term(value: str) -> str:
    if not key_of(value):
        raise ValueError("has no letter and no digit")
    return value


def _no_null(value: object) -> object:
    """An empty value in the file counts as no value."""
    return [] if value is None or value == "" else value


Name = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(one_line)]
TermText = Annotated[
    str, Field(min_length=1, max_length=100), AfterValidator(one_line), AfterValidator(_term)
]
ChannelId = Annotated[str, AfterValidator(channel_id)]
ChannelList = Annotated[list[ChannelId], Field(max_length=64), BeforeValidator(_no_null)]
TimeOfDay = Annotated[str, AfterValidator(time_of_day)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Hours(_Part):
    """A time of day, in local time; `to` before `from` means past midnight."""

    from_time: TimeOfDay = Field(alias="from")
    to_time: TimeOfDay = Field(alias="to")

    def has(self, minute: int) -> bool:
        """minute: of the day, 0 to 1439."""
        first, end = minute_of(self.from_time), minute_of(self.to_time)
        return first <= minute < end if first < end else minute >= first or minute < end


class Escalation(_Part):
    after_s: int = Field(ge=10, le=WAIT_S_MAX, description="seconds without an acknowledgement")
    level: AlertLevel = AlertLevel.CRITICAL


class Group(_Part):
    name: Name
    channels: Annotated[list[ChannelId], Field(min_length=1, max_length=64)]


class Rule(_Part):
    name: Name
    level: AlertLevel = AlertLevel.WARNING
    enabled: bool = True
    when: AlertCause = Field(description="what the rule waits for")
    terms: Annotated[list[TermText], Field(max_length=TERMS_MAX), BeforeValidator(_no_null)] = Field(
        default=[], description="for `terms`: words, or terms of the glossary with all their spellings"
    )
    inside_words: bool = Field(False, description="for `terms`: also as a part of a longer word")
    pattern: str = Field(
        "", max_length=PATTERN_CHARS_MAX, description="for `pattern`: a regular expression of RE2"
    )
    after_s: float | None = Field(
        None, ge=1, le=WAIT_S_MAX, description="for `silence` and `no_signal`: seconds"
    )
    interims: bool = Field(True, description="for text: raise a provisional alert from an interim")
    channels: ChannelList = Field(default=[], description="empty, without `groups`: all channels")
    groups: Annotated[list[Name], Field(max_length=GROUPS_MAX), BeforeValidator(_no_null)] = []
    cooldown_s: int = Field(
        60, ge=COOLDOWN_S_MIN, le=COOLDOWN_S_MAX, description="at most one alert of a channel in this time"
    )
    quiet: Annotated[list[Hours], Field(max_length=4), BeforeValidator(_no_null)] = Field(
        default=[], description="times of day without alerts of this rule"
    )
    escalate: Escalation | None = None

    def is_quiet(self, minute: int) -> bool:
        return any(hours.has(minute) for hours in self.quiet)

    @property
    def is_over_text(self) -> bool:
        return self.when in (AlertCause.TERMS, AlertCause.PATTERN)


class RuleList(_Part):
    """The file `alerts.yaml`, and the body of `PUT /api/alerts/rules`."""

    groups: Annotated[list[Group], Field(max_length=GROUPS_MAX), BeforeValidator(_no_null)] = []
    rules: Annotated[list[Rule], Field(max_length=RULES_MAX), BeforeValidator(_no_null)] = []

    def channels_of(self, rule: Rule) -> frozenset[str] | None:
        """The channels of a rule; None: all."""
        if not rule.channels and not rule.groups:
            return None
        of_groups = (id for one in self.groups if one.name in rule.groups for id in one.channels)
        return frozenset((*rule.channels, *of_groups))


@dataclass(frozen=True, slots=True)
class Warning:
    """Something that the operator should know of a rule that can be used."""

    rule: str
    message: str


class RulesError(ValueError):
    """The rules are invalid. mistakes: at least one; their `term` is the name of the rule."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(_sentence(one) for one in mistakes[:5]))


def parse(body: Any) -> RuleList:
    """The list, checked. Raises RulesError with all mistakes."""
    if not isinstance(body, dict):
        raise RulesError([Mistake((), "the rules are not a mapping with `rules`")])
    try:
        found = RuleList.model_validate(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[:MISTAKES_MAX]
        raise RulesError([_mistake(one["loc"], one["msg"], body) for one in wrong]) from error
    if mistakes := list(_checked(found)):
        raise RulesError(mistakes[:MISTAKES_MAX])
    return found


def as_dict(found: RuleList) -> dict[str, Any]:
    """The list in the form of the file: only the keys that differ from their defaults."""
    return found.model_dump(mode="json", exclude_defaults=True, by_alias=True)


def version_of(found: RuleList) -> str:
    """The same list has the same version, on every server and after every restart."""
    return sha256(encode_json(as_dict(found))).hexdigest()[:16]


def warnings_of(found: RuleList) -> list[Warning]:
    return [Warning(rule.name, message) for rule in found.rules for message in _warnings(rule)]


def _warnings(rule: Rule) -> Iterator[str]:
    if rule.when is AlertCause.PATTERN and Pattern(rule.pattern).matches_everything():
        yield (
            "the pattern matches nearly every line, so only the cooldown limits this rule: one alert in "
            f"{rule.cooldown_s} s for each channel"
        )
    if rule.when is AlertCause.TERMS and (short := [one for one in rule.terms if len(key_of(one)) < 2]):
        yield f"the term {short[0]!r} has one letter, so it is found in many lines"


def _checked(found: RuleList) -> Iterator[Mistake]:
    """Mistakes between fields, which the types do not find."""
    yield from _twice("groups", [one.name for one in found.groups])
    yield from _twice("rules", [one.name for one in found.rules])
    known = {one.name for one in found.groups}
    for i, rule in enumerate(found.rules):
        for field, message in _of_rule(rule, known):
            yield Mistake(("rules", i, field), message, rule.name)
    if (total := sum(len(rule.terms) for rule in found.rules)) > TERMS_OF_ALL_MAX:
        yield Mistake(("rules",), f"the rules have {total} terms together; the limit is {TERMS_OF_ALL_MAX}")


def _of_rule(rule: Rule, groups: set[str]) -> Iterator[tuple[str, str]]:
    when = rule.when
    if when is AlertCause.TERMS and not rule.terms:
        yield "terms", "is empty; a rule with `when: terms` needs at least one term"
    if when is AlertCause.PATTERN:
        try:
            if not rule.pattern:
                raise BadPattern("is empty; a rule with `when: pattern` needs a regular expression")
            Pattern(rule.pattern)
        except BadPattern as error:
            yield "pattern", str(error)
    needs_time = when in (AlertCause.SILENCE, AlertCause.NO_SIGNAL)
    if needs_time and rule.after_s is None:
        yield "after_s", f"is missing; a rule with `when: {when}` needs a number of seconds"
    unused = {
        "terms": bool(rule.terms) and when is not AlertCause.TERMS,
        "inside_words": rule.inside_words and when is not AlertCause.TERMS,
        "pattern": bool(rule.pattern) and when is not AlertCause.PATTERN,
        "after_s": rule.after_s is not None and not needs_time,
    }
    for field, is_unused in unused.items():
        if is_unused:
            yield field, f"has no meaning for a rule with `when: {when}`; remove it"
    for name in rule.groups:
        if name not in groups:
            yield "groups", f"names the group {name!r}, which is not in `groups`"
    order = list(AlertLevel)
    if rule.escalate is not None and order.index(rule.escalate.level) <= order.index(rule.level):
        yield "escalate", f"has the level {rule.escalate.level}, which is not above {rule.level}"


def _twice(part: str, names: list[str]) -> Iterator[Mistake]:
    for i, name in enumerate(names):
        if name in names[:i]:
            yield Mistake((part, i, "name"), f"the name {name!r} is in use already; each needs its own", name)


def _mistake(place: tuple[int | str, ...], message: str, body: dict[str, Any]) -> Mistake:
    path: KeyPath = tuple(place)
    try:
        found = body["rules"][path[1]]["name"] if path[0] == "rules" else ""
    except (KeyError, IndexError, TypeError):
        found = ""
    return Mistake(path, plain_mistake(message), found[:60] if isinstance(found, str) else "")


def _sentence(one: Mistake) -> str:
    place = f"rule {one.term!r}, " if one.term and one.path[:1] == ("rules",) else ""
    where = dotted(one.path[2:]) if place else dotted(one.path)
    return f"{place}{where}: {one.message}" if where or place else one.message
