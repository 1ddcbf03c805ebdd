"""The text stage: which texts become which, with words and edits."""

from __future__ import annotations

import pytest

from host_stt.contract import Word
from tests.webrtc_host.glossary.helpers import BODY, index_of, said, usual
from webrtc_host.glossary.correct import correct
from webrtc_host.glossary.index import scope_of


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("Alpha one, proceed.", "Alpha-1, proceed."),
        ("ALPHA 1 proceed", "Alpha-1 proceed"),
        ("Alfa-1, Bravo Two, radio check", "Alpha-1, Bravo-2, radio check"),
        ("Alpha1 and Bravo2.", "Alpha-1 and Bravo-2."),
        ("Alpha, one, proceed", "Alpha-1, proceed"),
        ("Delta niner, this is tower fife. Echo tree", "Delta-9, this is Tower-5. Echo-3"),
        ("Bravo to, go ahead", "Bravo-2, go ahead"),
        ("Charlie 8th, hold", "Charlie-8, hold"),
        ("Eagle 9'er is here", "Eagle-9 is here"),
        ("Alpha one's driver", "Alpha-1's driver"),
        ("Copy that Gold 1.", "Copy that Gold-1."),
        ("K.P. 7, kilo papa seven, kp-7", "KP-7, KP-7, KP-7"),
        ("Gate twelve, Zulu two one", "Gate 12, Zulu-21"),
        ("sky hook is down", "Skyhook is down"),
        ("Engine 7 two patients", "Engine-7 two patients"),
        ("알파 원 are here", "Alpha-1 are here"),
        ("Tengo 5, switch", "Tango-5, switch"),
        ("Youngson Station is closed", "Yongsan Station is closed"),
        ("Goal 3, over", "Gold-3, over"),
    ],
)
def test_english(text: str, corrected: str) -> None:
    assert said(text).text == corrected


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("알파 원이 도착", "알파원이 도착"),
        ("알파 하나, 수신 양호", "알파원, 수신 양호"),
        ("알파일이 출동", "알파원이 출동"),
        ("브라보 둘에게는 전달", "브라보투에게는 전달"),
        ("브라보쓰리입니다", "브라보쓰리입니다"),
        ("브라보 삼입니다", "브라보쓰리입니다"),
        ("델타 아홉 응답", "델타나인 응답"),
        ("알파 1이 도착", "알파원이 도착"),
        ("Alpha-1 응답하라", "알파원 응답하라"),
        ("알파투팀 이동", "알파투팀 이동"),
        ("블루 투 연결", "블루투 연결"),
        ("게이트 십이 폐쇄", "게이트 12 폐쇄"),
        ("줄루 둘 하나 응답", "줄루 21 응답"),
        ("케이피 칠 확인", "KP-7 확인"),
        ("알바원에게 전달", "알파원에게 전달"),
        ("불루투 응답하라", "블루투 응답하라"),
        ("용산력에서 사고", "용산역에서 사고"),
    ],
)
def test_korean(text: str, corrected: str) -> None:
    assert said(text, "ko").text == corrected


def test_without_a_language_the_canonical_form_is_written() -> None:
    index = usual()
    found = correct("알파 원", (), index, scope_of(index.entries, "C01", None, 0), None)
    assert found.text == "Alpha-1"


def test_an_edit_says_what_became_what_and_where() -> None:
    found = said("Bravo two and Tengo 5.")
    number, sound = found.edits
    assert (number.before, number.after, number.term, number.kind) == (
        "Bravo two",
        "Bravo-2",
        "Bravo-2",
        "number",
    )
    assert (sound.before, sound.after, sound.kind) == ("Tengo 5", "Tango-5", "phonetic")
    assert number.score == 1.0 and sound.score is not None and 0.86 <= sound.score < 1
    for edit in found.edits:
        assert found.text[edit.start : edit.end] == edit.after


def test_a_text_that_is_right_has_no_edits() -> None:
    found = said("Alpha-1 and Gate 12 are clear.")
    assert (found.text, found.edits) == ("Alpha-1 and Gate 12 are clear.", ())


def word(text: str, start: int, end: int, p: float = 0.9, *, space: bool = True) -> Word:
    return Word(text, start, end, p, space)


def test_words_of_an_edit_become_one_word_with_the_time_of_all() -> None:
    words = (
        *(word("Bravo", 0, 500, 0.9), word("two,", 600, 900, 0.4)),
        *(word("go", 1000, 1100), word("ahead.", 1200, 1500)),
    )
    index = usual()
    found = correct("Bravo two, go ahead.", words, index, scope_of(index.entries, "C01", "en", 0), "en")
    assert found.words == (
        *(word("Bravo-2,", 0, 900, 0.4), word("go", 1000, 1100), word("ahead.", 1200, 1500)),
    )


def test_a_particle_stays_in_the_word_and_times_stay_in_order() -> None:
    words = (
        *(word("알파", 0, 400), word("원", 400, 700), word("이", 700, 800, space=False)),
        *(word("도착", 900, 1300), word(".", 1300, 1310, space=False)),
    )
    index = usual()
    found = correct("알파 원이 도착.", words, index, scope_of(index.entries, "C01", "ko", 0), "ko")
    assert [(w.text, w.start_sample, w.end_sample) for w in found.words] == [
        *(("알파원", 0, 700), ("이", 700, 800), ("도착", 900, 1300), (".", 1300, 1310)),
    ]


def test_words_that_are_not_those_of_the_text_are_left_alone() -> None:
    words = (word("something", 0, 100), word("else", 100, 200))
    index = usual()
    found = correct("Bravo two", words, index, scope_of(index.entries, "C01", "en", 0), "en")
    assert (found.text, found.words) == ("Bravo-2", words)


def test_only_terms_of_the_channel_the_language_and_the_roster_are_written() -> None:
    body = {
        "terms": [
            {"canonical": "Alpha-1", "channels": ["C01"]},
            {"canonical": "Bravo-2", "active": {"from": "06:00", "to": "18:00"}},
            {"canonical": "Echo-3", "language": "ko"},
        ]
    }
    index = index_of(body)
    text = "alpha one, bravo two, echo three"

    def at(channel: str, hour: int, language: str) -> str:
        return correct(text, (), index, scope_of(index.entries, channel, language, 60 * hour), language).text

    assert at("C01", 12, "en") == "Alpha-1, Bravo-2, echo three"
    assert at("C02", 12, "en") == "alpha one, Bravo-2, echo three"
    assert at("C01", 20, "ko") == "Alpha-1, bravo two, Echo-3"


def test_mishearings_of_a_name_count_for_all_its_numbers() -> None:
    assert said("Letter 4, Goal 9, over").text == "Ladder-4, Gold-9, over"


def test_two_terms_with_one_spelling_leave_the_text_as_it_is() -> None:
    index = index_of(
        {
            "terms": [
                {"canonical": "Alpha-1", "sounds_like": ["elf one"]},
                {"canonical": "Elf-1", "channels": ["C02"]},
            ]
        }
    )
    assert said("elf one, over", index=index).text == "Alpha-1, over"
    assert said("elf one, over", index=index, channel="C02").text == "Elf-1, over"


def test_a_doubtful_word_may_become_a_term_and_a_sure_one_may_not() -> None:
    assert said("Tangle 2, we have smoke", p=0.9).text == "Tangle 2, we have smoke"
    assert said("Tangle 2, we have smoke", p=0.3).text == "Tango-2, we have smoke"


def test_the_thresholds_of_the_file_are_used() -> None:
    strict = index_of(BODY | {"defaults": {"post": {"min_similarity": 0.99}}})
    assert said("Tengo 5, switch", index=strict).text == "Tengo 5, switch"
    long_only = index_of(BODY | {"defaults": {"post": {"min_jamo": 20}}})
    assert said("Tengo 5, switch", index=long_only).text == "Tengo 5, switch"
    wide = index_of({"terms": [{"canonical": "Tango-5"}, {"canonical": "Tungo-5"}]})
    assert said("Tengo 5, switch", index=wide).text == "Tengo 5, switch"  # two names are equally near
