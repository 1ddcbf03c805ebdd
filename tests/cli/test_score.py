"""`host-stt score`: the normalisation, the figures, the files, and the mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from host_stt_cli.main import main
from host_stt_cli.scores.normalise import normalised

GLOSSARY = """
version: 1
terms:
  - {canonical: Alpha-1, display: {ko: 알파원}}
  - {canonical: Bravo-2, display: {ko: 브라보투}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def score(reference: str, hypothesis: str, *options: str, suffix: str = ".txt") -> Result:
    ref, hyp = Path(f"ref{suffix}"), Path(f"hyp{suffix}")
    ref.write_text(reference, encoding="utf-8")
    hyp.write_text(hypothesis, encoding="utf-8")
    return CliRunner().invoke(main, ["score", str(ref), str(hyp), *options])


def figures(reference: str, hypothesis: str, *options: str, suffix: str = ".txt") -> dict[str, Any]:
    done = score(reference, hypothesis, "--json", *options, suffix=suffix)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("language", "text", "same"),
    [
        ("en", "Twenty-one, please! Don't wait.", "2 1 please dont wait"),
        ("en", "two one 21", "2 1 2 1"),
        ("en", "Alpha one has two patients at 3pm", "alpha 1 has 2 patients at 3pm"),
        ("en", "We go to the gate for tea.", "we go to the gate for tea"),
        ("ko", "일곱 시 삼십 분에", "7 시 3 0 분에"),
        ("ko", "7시 30분에", "7 시 3 0 분에"),
        ("ko", "환자 세 명, 이층!", "환자 3 명 2 층"),
        ("ko", "하나, 십이 이상", "1 1 2 이상"),
        ("ko", "사과와 오이, 이사", "사과와 오이 이사"),
    ],
)
def test_both_sides_are_normalised(language: str, text: str, same: str) -> None:
    assert normalised(text, language) == same


def test_spaces_count_in_the_word_errors_of_korean_and_not_in_its_character_errors() -> None:
    found = figures("커피 한 잔 주세요", "커피 한잔 주세요")
    assert found["language"] == "ko"
    assert found["cer_without_spaces"]["rate"] == 0
    assert found["wer"]["rate"] == 0  # the number and its counter are two words on both sides
    found = figures("서울 역 앞에서 만나요", "서울역 앞에서 만나요")
    assert (found["cer_without_spaces"]["rate"], found["wer"]["rate"]) == (0, 0.5)
    assert found["cer_with_spaces"]["deleted"] == 1


def test_errors_are_counted_over_all_lines() -> None:
    found = figures("one two three\nfour five", "1 two tree\n4")
    assert found["wer"] == {"rate": 0.4, "substituted": 1, "deleted": 1, "inserted": 0, "of": 5}
    assert found["lines"] == 2


def test_an_empty_reference_line_counts_what_was_inserted() -> None:
    found = figures("a\t\nb\thello there", "a\tno one spoke\nb\thello there", suffix=".tsv")
    assert found["wer"]["inserted"] == 3 and found["wer"]["of"] == 2


def test_terms_are_scored_line_by_line() -> None:
    Path("glossary.yaml").write_text(GLOSSARY, encoding="utf-8")
    said = "alpha one, proceed\nbravo two, over\nthe gate is closed\nthe road is open"
    read = "Alpha-1 proceed\nBravo 2 over\nAlpha-1 is closed\nthe road is open"
    terms = figures(said, read, "--terms", "glossary.yaml")["terms"]
    assert terms == {
        "said": 2,
        "recall": 0.5,
        "recall_any": 1.0,
        "precision": 0.6667,
        "false": 1,
        "lines_without": 2,
        "false_lines": 0.5,
    }
    korean = figures("알파 하나 응답", "알파원 응답", "--terms", "glossary.yaml")["terms"]
    assert (korean["recall"], korean["precision"]) == (1.0, 1.0)


def test_without_a_spoken_term_the_table_has_no_recall() -> None:
    Path("glossary.yaml").write_text(GLOSSARY, encoding="utf-8")
    Path("said.txt").write_text("the gate is closed\n", encoding="utf-8")
    done = CliRunner().invoke(main, ["score", "said.txt", "said.txt", "--terms", "glossary.yaml"])
    assert "Term recall                -   no term was said\n" in done.stdout
    assert "in any spelling" not in done.stdout


def test_the_table_names_every_figure_and_the_normalisation() -> None:
    Path("glossary.yaml").write_text(GLOSSARY, encoding="utf-8")
    lines = score("alpha one over", "Alpha-1 out", "--terms", "glossary.yaml").stdout.splitlines()
    assert lines[0] == "1 line, language en"
    assert " ".join(lines[1].split()) == "WER 33.33 % 1 substituted, 0 deleted, 0 inserted of 3"
    assert [line[:20].strip() for line in lines[2:8]] == [
        *("CER without spaces", "CER with spaces", "Term recall", "in any spelling", "Term precision"),
        "False insertions",
    ]
    assert lines[8].startswith("Normalisation: Unicode NFKC")


def test_subtitles_are_compared_as_a_whole() -> None:
    Path("read.srt").write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nhello\n\n2\n00:00:01,000 --> 00:00:02,000\n<i>there</i> 2026\n",
        encoding="utf-8",
    )
    Path("said.txt").write_text("hello there\n2026\n", encoding="utf-8")
    done = CliRunner().invoke(main, ["score", "said.txt", "read.srt", "--json"])
    assert json.loads(done.stdout)["wer"]["rate"] == 0


@pytest.mark.parametrize(
    ("reference", "hypothesis", "suffix", "says"),
    [
        ("a\nb\n", "a\n", ".txt", "ref.txt has 2 lines and hyp.txt has 1"),
        ("\n", "a\n", ".txt", "ref.txt has no text"),
        ("a\n", "", ".txt", "hyp.txt has no text"),
        ("...\n", "a\n", ".txt", "ref.txt has no words after normalisation"),
        ("a b\n", "a\tb\n", ".tsv", "ref.tsv:1: there is no tab"),
        ("a\tb\na\tc\n", "a\tb\n", ".tsv", "ref.tsv:2: the id 'a' is in the file twice"),
        ("a\tb\nc\td\n", "a\tb\n", ".tsv", "hyp.tsv has no line with the id 'c'"),
        ("a\tb\n", "a\tb\nc\td\n", ".tsv", "hyp.tsv has the id 'c', which ref.tsv does not have"),
    ],
)
def test_a_mistake_is_a_plain_sentence(reference: str, hypothesis: str, suffix: str, says: str) -> None:
    done = score(reference, hypothesis, suffix=suffix)
    assert done.exit_code == 2
    assert done.stderr.startswith("host-stt: ") and says in done.stderr


def test_a_file_that_is_missing_or_not_text_is_named() -> None:
    missing = CliRunner().invoke(main, ["score", "ref.txt", "x"])
    assert missing.exit_code == 2 and "ref.txt cannot be read: No such file" in missing.stderr
    Path("ref.txt").write_bytes(b"\xff\xfe\x00")
    assert "ref.txt is not UTF-8 text" in CliRunner().invoke(main, ["score", "ref.txt", "ref.txt"]).stderr
    done = score("a", "a", "--terms", "none.yaml")
    assert done.exit_code == 2 and "none.yaml cannot be read" in done.stderr
    Path("bad.yaml").write_text("terms: 3\n", encoding="utf-8")
    assert "the glossary cannot be used: bad.yaml" in score("a", "a", "--terms", "bad.yaml").stderr
