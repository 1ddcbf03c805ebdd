"""Which terms a channel's windows get, in which spelling and order."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from webrtc_host.glossary.entries import Defaults, Entry, Snapshot
from webrtc_host.glossary.prompt import (
    HEARD_S,
    ChannelPrompts,
    Choice,
    HeardTerms,
    LeftOut,
    Rank,
    choose,
)

NOON = 12 * 60


def entry(canonical: str, korean: str | None = None, **fields: object) -> Entry:
    return Entry(canonical, canonical, korean or canonical, **fields)  # type: ignore[arg-type]  # a test's fields


LIST = Snapshot(
    (
        entry("Alpha-1", "알파원"),
        entry("Gate 7"),
        entry("Blue-2", "블루투", boost=3.0),
        entry("Medic-9", "메딕나인", active=(6 * 60, 18 * 60)),
        entry("Night-1", "나이트원", active=(22 * 60, 6 * 60)),
        entry("Pier 4", "4번 부두", channels=frozenset({"C02"})),
    ),
    version=5,
)


def chosen(language: str | None, heard: Mapping[str, float] | None = None, **more: object) -> Choice:
    return choose(LIST, "C01", language, NOON, heard or {}, **more)  # type: ignore[arg-type]  # `own` alone


def test_terms_are_ranked_by_roster_boost_and_place_in_the_file() -> None:
    choice = chosen("en")
    assert choice.terms == ("Medic-9", "Blue-2", "Alpha-1", "Gate 7")
    assert [one.rank for one in choice.chosen] == [Rank.ROSTER, Rank.BOOST, Rank.LISTED, Rank.LISTED]
    assert choice.version == 5


def test_terms_that_were_heard_come_first_the_latest_at_the_top() -> None:
    assert chosen("en", {"Gate 7": 100.0, "Alpha-1": 200.0}).terms[:2] == ("Alpha-1", "Gate 7")


def test_terms_of_the_connection_come_before_all_others() -> None:
    assert chosen("en", {"Gate 7": 1.0}, own=("Harbour",)).terms[:2] == ("Harbour", "Gate 7")


def test_a_korean_channel_gets_no_latin_letters() -> None:
    choice = chosen("ko")
    assert choice.terms == ("메딕나인", "블루투", "알파원")
    assert ("Gate 7", LeftOut.SCRIPT) in choice.left_out


def test_every_term_that_is_left_out_has_its_reason() -> None:
    assert dict(chosen("en").left_out) == {"Night-1": LeftOut.ROSTER, "Pier 4": LeftOut.CHANNEL}


def test_a_term_for_one_language_stays_out_of_the_other() -> None:
    only = Snapshot((entry("본부", language="ko"),))
    assert choose(only, "C01", "en", NOON, {}).left_out == (("본부", LeftOut.LANGUAGE),)
    assert choose(only, "C01", "ko", NOON, {}).terms == ("본부",)


def test_automatic_language_gets_both_scripts_for_the_first_terms_alone() -> None:
    many = Snapshot(tuple(entry(f"Alpha-{n}", f"알파 {n}호") for n in range(1, 9)))
    terms = choose(many, "C01", None, NOON, {}).terms
    assert terms[:2] == ("Alpha-1", "알파 1호")
    assert terms[-4:] == ("Alpha-5", "Alpha-6", "Alpha-7", "Alpha-8")


@pytest.mark.parametrize("text", ["Alpha-1, come in.", "alpha 1 to base", "여기는 알파원, 이상"])
def test_a_term_in_a_final_counts_as_heard_for_ten_minutes(text: str) -> None:
    now = [1000.0]
    heard = HeardTerms(lambda: now[0])
    prompts = ChannelPrompts(lambda: LIST, heard, lambda: NOON)
    heard.note("C01", text, LIST)
    assert prompts.prompt_for("C01", "en").terms[0] == "Alpha-1"
    assert prompts.prompt_for("C03", "en").terms[0] == "Medic-9"
    now[0] += HEARD_S + 1
    assert prompts.prompt_for("C01", "en").terms[0] == "Medic-9"


def test_two_thousand_terms_are_looked_for_quickly() -> None:
    """Every final and interim is looked through, so the work must not grow with the number of terms."""
    many = Snapshot(tuple(entry(f"Alpha-{n}", f"알파 {n}호") for n in range(2000)))
    heard = HeardTerms(lambda: 1.0)
    heard.note("C01", "알파 7호에서 본부로, Alpha 12 is here", many)
    assert set(heard.on("C01")) == {"Alpha-7", "Alpha-12"}
    assert heard._keys_of is many  # made once; only words of the text are looked up


def test_the_echo_guard_of_the_file_goes_with_each_window() -> None:
    off = Snapshot(LIST.entries, 6, Defaults(echo_guard=False))
    heard = HeardTerms(lambda: 1.0)
    assert ChannelPrompts(lambda: LIST, heard, lambda: NOON).prompt_for("C01").echo_guard
    assert not ChannelPrompts(lambda: off, heard, lambda: NOON).prompt_for("C01").echo_guard
