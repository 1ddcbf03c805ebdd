"""The form of the rules: mistakes name rule and field, and a rule that matches everything has a warning."""

from __future__ import annotations

import time
from typing import Any

import pytest

from webrtc_host.alerts.patterns import BadPattern, Pattern, Span
from webrtc_host.alerts.rules import Rule, RulesError, as_dict, parse, version_of, warnings_of


def a_rule(**fields: Any) -> dict[str, Any]:
    return {"name": "mayday", "when": "terms", "terms": ["mayday"], **fields}


def test_a_list_is_the_same_after_it_was_written_and_read() -> None:
    body = {
        "groups": [{"name": "fire", "channels": ["C01", "C02"]}],
        "rules": [
            a_rule(groups=["fire"], quiet=[{"from": "22:00", "to": "06:00"}], level="critical"),
            {"name": "quiet tower", "when": "silence", "after_s": 600, "channels": ["C03"]},
        ],
    }
    found = parse(body)
    again = parse(as_dict(found))
    assert again == found and version_of(again) == version_of(found)
    assert found.channels_of(found.rules[0]) == frozenset({"C01", "C02"})
    assert found.channels_of(found.rules[1]) == frozenset({"C03"})


@pytest.mark.parametrize(
    ("rule", "field", "says"),
    [
        (a_rule(terms=[]), "terms", "needs at least one term"),
        (a_rule(terms=["!!"]), "terms[0]", "no letter and no digit"),
        (a_rule(level="loud"), "level", "warning"),
        (a_rule(cooldown_s=0), "cooldown_s", "5"),
        (a_rule(channels=["X9"]), "channels[0]", "C01"),
        (a_rule(groups=["fire"]), "groups", "'fire', which is not in `groups`"),
        (a_rule(quiet=[{"from": "25:00", "to": "06:00"}]), "quiet[0].from", "00:00 to 24:00"),
        (a_rule(pattern="a"), "pattern", "no meaning"),
        (a_rule(colour="red"), "colour", "not known"),
        (a_rule(escalate={"after_s": 60, "level": "info"}), "escalate", "not above warning"),
        (a_rule(when="pattern", terms=[], pattern="(a"), "pattern", "no regular expression: missing )"),
        (a_rule(when="pattern", terms=[], pattern=r"(?=a)b"), "pattern", "unbounded time"),
        (a_rule(when="pattern", terms=[], pattern=r"(a)\1"), "pattern", "backreferences"),
        (a_rule(when="pattern", terms=[], pattern="((a{100}){100}){100}"), "pattern", "re"),
        (a_rule(when="pattern", terms=[]), "pattern", "is empty"),
        (a_rule(when="silence", terms=[]), "after_s", "is missing"),
    ],
)
def test_a_mistake_names_the_rule_and_the_field(rule: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(RulesError) as error:
        parse({"rules": [rule]})
    assert error.value.mistakes[0].term == "mayday"
    assert str(error.value).startswith(f"rule 'mayday', {field}: ")
    assert says in str(error.value)


def test_two_rules_with_one_name_are_refused() -> None:
    with pytest.raises(RulesError, match="in use already"):
        parse({"rules": [a_rule(), a_rule()]})


@pytest.mark.parametrize("pattern", [".*", "x*", "", "[a-z가-힣]", r"[\w가-힣]+"])
def test_a_pattern_that_matches_everything_is_noticed(pattern: str) -> None:
    assert Pattern(pattern).matches_everything()


def test_a_rule_that_matches_everything_has_a_warning_with_its_cooldown() -> None:
    found = parse({"rules": [a_rule(when="pattern", terms=[], pattern=".*", cooldown_s=30)]})
    (warning,) = warnings_of(found)
    assert warning.rule == "mayday" and "one alert in 30 s" in warning.message
    assert warnings_of(parse({"rules": [a_rule()]})) == []


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}"])
def test_no_pattern_needs_more_than_linear_time(pattern: str) -> None:
    """Python's `re` would need years for these."""
    began = time.process_time()
    Pattern(pattern).find("a" * 5000 + "!")
    assert time.process_time() - began < 0.5


def test_a_pattern_counts_characters_and_ignores_case() -> None:
    assert Pattern("구급차|MayDay").find("알파원 구급차 요청") == Span(4, 7)
    assert Pattern("MayDay").find("a mayday call") == Span(2, 8)
    with pytest.raises(BadPattern, match="limit"):
        Pattern("a" * 501)


def test_quiet_hours_may_go_past_midnight() -> None:
    rule = Rule.model_validate(a_rule(quiet=[{"from": "22:00", "to": "06:00"}]))
    assert [rule.is_quiet(hour * 60) for hour in (21, 22, 0, 5, 6)] == [False, True, True, True, False]
