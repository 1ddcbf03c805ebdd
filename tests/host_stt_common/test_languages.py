"""One reading of language tags for every door: what clients send, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt_common.languages import AUTO, NAMES, language_for, name_of, read_language

TAGS = {
    "en": "en EN en-US en_US eng English english en-GB-oxendict en-Latn-US en_US.UTF-8 en-US-x-twain",
    "ko": "ko KO ko-KR ko_KR kor Korean 한국어 ko_KR.UTF-8 ko_KR.EUC-KR ko-Kore-KR ko-Hang",
    "zh": "zh zh-CN zh-TW zh-HK zh-Hans-CN zh-Hant cmn cmn-Hans-CN zho Chinese Mandarin zh-cmn-Hans-CN 中文",
    "yue": "yue zh-yue yue-Hant-HK Cantonese",
    "no": "no nb nb-NO nob Norwegian nor no-NO",
    "nn": "nn nn-NO nno Nynorsk",
    "he": "he iw iw-IL heb Hebrew",
    "jw": "jw jv jv-ID jav Javanese",
    "tl": "tl fil fil-PH tgl Filipino Tagalog",
    "pt": "pt pt-BR por pt_PT@euro Português",
    "es": "es es-419 spa Castilian español",
    "sr": "sr sr-Latn-RS srp",
    "de": "de de-DE ger deu Deutsch de_DE@euro de-CH-1996",
    "id": "id in in-ID ind",
    "ro": "ro mo ron rum Moldovan",
    "ar": "ar ar-EG arb arz ara",
    "fa": "fa fa-IR per fas Farsi",
    AUTO: "auto Auto AUTO detect auto-detect multi und",
}
CASES = [(tag, code) for code, tags in TAGS.items() for tag in tags.split()]


@pytest.mark.parametrize(("tag", "code"), CASES)
def test_a_tag_is_read_as_whispers_code(tag: str, code: str) -> None:
    assert read_language(tag) == code


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("", AUTO),
        ("   ", AUTO),
        (" en ", "en"),
        ("\tko-KR\n", "ko"),
        ("en - US", "en"),
        ("en US", "en"),
        ("English (United States)", "en"),
        ("Haitian  Creole", "ht"),
        ("Norwegian Bokmål", "no"),
        ("Mandarin Chinese", "zh"),
        ("Tiếng Việt", "vi"),
        ("\uff45\uff4e", "en"),  # full-width letters
    ],
)
def test_blanks_and_names_of_several_words_are_read(tag: str, code: str) -> None:
    assert read_language(tag) == code


@pytest.mark.parametrize(
    "tag",
    ["xx", "tlh", "klingon", "e", "C", "en;q=0.9", "en,ko", "no speech", "en--US", "-", "日", "e" * 500],
)
def test_unknown_text_is_not_guessed_as_a_language(tag: str) -> None:
    assert read_language(tag) is None


def test_every_code_and_name_reads_as_itself() -> None:
    assert len(NAMES) == 100
    assert {read_language(code) for code in NAMES} == set(NAMES)
    assert {code: read_language(name.upper()) for code, name in NAMES.items()} == {c: c for c in NAMES}


@given(st.text(max_size=80))
def test_any_text_gives_a_known_code_or_none(text: str) -> None:
    assert read_language(text) in {*NAMES, AUTO, None}


def test_cantonese_becomes_chinese_for_a_model_without_cantonese() -> None:
    assert language_for("yue", ("en", "zh")) == "zh"
    assert language_for("yue", ("en", "yue", "zh")) == "yue"
    assert language_for("nn", ("no",)) == "no"
    assert language_for("yue", ("en",)) is None
    assert language_for(AUTO, ("en",)) == AUTO


def test_a_language_without_a_name_is_its_code() -> None:
    assert (name_of("ko"), name_of("tlh")) == ("korean", "tlh")
