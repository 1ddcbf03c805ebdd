"""The form of the glossary: what its keys become, and the sentence of every mistake."""

from __future__ import annotations

from typing import Any

import pytest

from webrtc_host.glossary.entries import Entry
from webrtc_host.glossary.expand import numbers_of
from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.numbers import english_readings, korean_readings
from webrtc_host.glossary.schema import ENTRIES_MAX, parse
from webrtc_host.glossary.yaml_file import dump, parse_yaml


def entries(text: str) -> dict[str, Entry]:
    return {entry.canonical: entry for entry in parse_yaml(text).entries()}


def mistakes(text: str) -> list[str]:
    with pytest.raises(GlossaryError) as caught:
        parse_yaml(text)
    return [f"{one.line} {one}" for one in caught.value.mistakes]


def test_every_key_of_a_term_reaches_its_entry() -> None:
    text = """
terms:
- canonical: Alpha-1
  display: {en: Alpha One, ko: 알파원}
  aliases: [alpha 1, 알파 원]
  sounds_like: [알바원]
  never: [알파원산지]
  class: callsign
  channels: [C01]
  active: {from: 18:00, to: 06:00}
  boost: 3
  alert: {level: warning}
  language: ko
"""
    assert entries(text)["Alpha-1"] == Entry(
        canonical="Alpha-1",
        display_en="Alpha One",
        display_ko="알파원",
        aliases=("alpha 1", "알파 원", "Alpha One", "알파원"),
        sounds_like=("알바원",),
        never=("알파원산지",),
        kind="callsign",
        channels=frozenset({"C01"}),
        active=(1080, 360),
        boost=3.0,
        alert="warning",
        language="ko",
        place="terms[0]",
    )


def test_defaults_reach_the_entries_and_the_thresholds() -> None:
    found = parse_yaml(
        "defaults: {boost: 2, post: {min_similarity: 0.9, min_jamo: 6, margin: 0.1}, echo_guard: false}\n"
        "terms: [{canonical: A1}, {canonical: B1, boost: 5}]\n"
    )
    assert [entry.boost for entry in found.entries()] == [2, 5]
    plain = found.defaults.plain()
    assert (plain.min_similarity, plain.min_jamo, plain.margin, plain.echo_guard) == (0.9, 6, 0.1, False)


def test_a_pattern_of_two_lines_is_eighty_one_call_signs_with_both_languages() -> None:
    names = "{Alpha: [알파], Bravo: [브라보], Blue: [블루], Red: [레드], Gold: [골드],"
    names += " Tango: [탱고], Delta: [델타], Echo: [에코], Sierra: [시에라]}"
    found = entries(f"patterns:\n- {{class: callsign, number: 1-9, base: {names}}}\n")
    assert len(found) == 81
    blue = found["Blue-2"]
    assert (blue.display_en, blue.display_ko, blue.kind) == ("Blue-2", "블루투", "callsign")
    assert blue.aliases == ("Blue 2", "blue two", "블루 2", "블루투", "블루이", "블루둘")


def test_a_term_refines_what_a_pattern_expands_to_and_gets_its_spoken_forms() -> None:
    found = entries(
        "terms: [{canonical: Blue-1, sounds_like: [불루원], channels: [C02]}]\n"
        "patterns: [{base: {Blue: [블루]}, number: 1-2}]\n"
    )
    assert list(found) == ["Blue-1", "Blue-2"]
    assert found["Blue-1"].channels == frozenset({"C02"})
    assert {"blue one", "블루원"} <= set(found["Blue-1"].aliases)


def test_a_generated_alias_gives_way_to_a_spelling_of_the_file() -> None:
    found = entries(
        "terms: [{canonical: Two, aliases: [블루투]}]\npatterns: [{base: {Blue: [블루]}, number: 2}]\n"
    )
    assert "블루투" not in found["Blue-2"].aliases
    assert "블루이" in found["Blue-2"].aliases


def test_numbers_are_ranges_and_lists_and_keep_their_zeros() -> None:
    assert numbers_of("1-3") == ["1", "2", "3"]
    assert numbers_of("08-10,21") == ["08", "09", "10", "21"]
    assert parse({"patterns": [{"base": {"A": []}, "number": 7}]}).entries()[0].canonical == "A-7"


def test_numbers_are_spoken_in_both_languages() -> None:
    assert english_readings(9) == ("nine", "niner")
    assert english_readings(35) == ("thirty five", "three five", "tree fife")
    assert korean_readings(1) == ("원", "일", "하나")
    assert korean_readings(21) == ("트웬티원", "이십일", "스물하나", "투원", "이일", "둘하나")
    assert all(english_readings(n) and korean_readings(n) for n in range(100))


@pytest.mark.parametrize(("minute", "day", "night"), [(359, 0, 1), (360, 1, 0), (1079, 1, 0), (1080, 0, 1)])
def test_a_roster_may_go_past_midnight(minute: int, day: bool, night: bool) -> None:
    found = entries(
        "terms: [{canonical: D, active: {from: 06:00, to: 18:00}}, "
        "{canonical: N, active: {from: 18:00, to: 06:00}}]"
    )
    assert (found["D"].is_on_roster(minute), found["N"].is_on_roster(minute)) == (day, night)


def test_a_term_is_for_its_channels_and_its_language() -> None:
    entry = Entry("A", "A", "A", channels=frozenset({"C01"}), language="ko")
    assert entry.is_for("C01", "ko")
    assert entry.is_for("C01", None), "a channel whose language is not known yet"
    assert not entry.is_for("C01", "en")
    assert not entry.is_for("C02", "ko")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "terms:\n- canonical: A1\n- canonical: a1\n",
            "3 terms[1].canonical (term 'a1'): the term 'a1' is in the list twice; the first one "
            "is in terms[0]",
        ),
        (
            "terms:\n- canonical: A1\n  aliases:\n  - x1\n  - b1\n- canonical: B1\n",
            "5 terms[0].aliases[1] (term 'A1'): 'b1' is also the canonical form of the term 'B1'; keep it "
            "in one of them, or give the two terms different channels",
        ),
        (
            "terms:\n- canonical: A1\n  aliases: [x1]\n- canonical: B1\n  aliases: [X-1]\n",
            "5 terms[1].aliases[0] (term 'B1'): 'X-1' is also an alias of the term 'A1'",
        ),
        (
            "terms:\n- canonical: A1\n  sounds_like: [x1]\n- canonical: B1\n  display: {ko: x 1}\n",
            "5 terms[1].display.ko (term 'B1'): 'x 1' is also a mis-hearing of the term 'A1'",
        ),
        (
            "terms:\n- canonical: Blue 1\npatterns:\n- {base: {Blue: []}, number: 1-2}\n",
            "4 patterns[0].base (term 'Blue-1'): 'Blue-1' is also the canonical form of the term 'Blue 1'",
        ),
        (
            "terms:\n- canonical: A1\n  never: [B-1]\n- canonical: B1\n",
            "3 terms[0].never[0] (term 'A1'): 'B-1' is the canonical form of the term 'B1'; `never` "
            "would hide it",
        ),
        (
            "terms:\n- canonical: A1\n  active: {from: 6:00, to: 25:00}\n",
            "3 terms[0].active.from (term 'A1'): a time is from 00:00 to 24:00, such as 06:30, not '6:00'",
        ),
        (
            "terms:\n- canonical: A1\n  active: {from: 06:00}\n",
            "3 terms[0].active.to (term 'A1'): is missing",
        ),
        (
            "terms:\n- canonical: A1\n  channels: [1]\n",
            "3 terms[0].channels[0] (term 'A1'): a channel is C01, C02",
        ),
        ("terms:\n- canonical: A1\n  channels: []\n", "3 terms[0].channels (term 'A1'): "),
        (
            "terms:\n- canonical: A1\n  clas: code\n",
            "3 terms[0].clas (term 'A1'): is not a key of the glossary here",
        ),
        (
            "terms:\n- canonical: A1\n  class: unit\n",
            "3 terms[0].class (term 'A1'): should be 'callsign', 'place'",
        ),
        ("terms:\n- canonical: A1\n  alert: {levle: info}\n", "did you mean `level`?"),
        ("terms:\n- canonical: '--'\n", "2 terms[0].canonical (term '--'): '--' has no letter and no digit"),
        ("terms:\n- aliases: [x]\n", "2 terms[0].canonical: is missing"),
        ("terms:\n- canonical: A1\n  boost: 0\n", "3 terms[0].boost (term 'A1'): should be greater than 0"),
        ("defaults: {post: {min_simmilarity: 1}}\n", "did you mean `min_similarity`?"),
        (
            "patterns:\n- {base: {Blue: []}, number: 9-1}\n",
            "2 patterns[0].number: 9-1 ends before it begins; write 1-9",
        ),
        (
            "patterns:\n- {base: {Blue: []}, number: one}\n",
            "2 patterns[0].number: a number is like 1-9, 7 or 1-4,11",
        ),
        ("patterns:\n- {base: {Blue: []}}\n", "2 patterns[0].number: is missing"),
        (
            "patterns:\n- {base: {Blue: []}, number: 1}\n- {base: {blue: []}, number: 1}\n",
            "'blue-1' is in the list twice",
        ),
        (
            "patterns:\n" + "- {base: {A%d: []}, number: 1-1000}\n" * 5 % (1, 2, 3, 4, 5),
            f"expand the list to 5000 terms; the limit is {ENTRIES_MAX}",
        ),
        ("terms: []\nterms: []\n", "2 terms: is set a second time here; keep one"),
        ("terms: &a [*a]\n", "1 the file is not valid YAML: `*a` is not supported here; write the value out"),
        ("terms: [[[[[[[[[x]]]]]]]]]\n", "1 the file is not valid YAML: a value is nested too deeply"),
        ("terms: [\n", "1 the file is not valid YAML: "),
        ("terms: []\n---\nterms: []\n", "2 a second document begins here; the file has one"),
    ],
)
def test_a_mistake_names_its_line_its_place_and_the_way_out(text: str, says: str) -> None:
    found = mistakes(text)
    assert any(says in one for one in found), found


def test_all_mistakes_are_found_at_once() -> None:
    text = "terms:\n- canonical: A1\n  clas: code\n- canonical: B1\n  channels: [X]\n"
    text += "- canonical: C1\n  boost: 90\n"
    assert [one.split()[0] for one in mistakes(text)] == ["3", "5", "7"]


def test_terms_that_no_channel_shares_may_have_the_same_alias() -> None:
    found = entries(
        "terms: [{canonical: North-1, aliases: [one], channels: [C01]}, "
        "{canonical: South-1, aliases: [one], channels: [C02]}, "
        "{canonical: 북-1, aliases: [하나], language: ko}, {canonical: Hana, aliases: [하나], language: en}]"
    )
    assert len(found) == 4


def test_values_need_no_quotes() -> None:
    text = "terms: [{canonical: 112, aliases: [No, 10:30, 0123], active: {from: 18:00, to: 24:00}}]"
    found = entries(text)["112"]
    assert (found.aliases, found.active) == (("No", "10:30", "0123"), (1080, 1440))


def test_a_number_in_json_is_refused_with_the_way_out() -> None:
    body: dict[str, Any] = {"terms": [{"canonical": 112}]}
    with pytest.raises(GlossaryError, match="should be text; write it in quotes: '112'"):
        parse(body)


def test_what_is_written_is_what_was_read() -> None:
    text = "terms: [{canonical: A1, display: {ko: 에이원}, active: {from: 06:00, to: 18:00}, class: code}]\n"
    text += "patterns: [{base: {Blue: [블루]}, number: 01-03, join: ' '}]\n"
    found = parse_yaml(text)
    assert parse_yaml(dump(found)) == found


def test_a_written_file_has_the_name_first_and_short_lists_in_brackets() -> None:
    found = parse({"terms": [{"class": "code", "aliases": ["x", "y"], "canonical": "A1"}]})
    text = "version: 1\nterms:\n- canonical: A1\n  aliases: [x, y]\n  class: code\n"
    assert dump(found) == text
