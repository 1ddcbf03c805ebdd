"""The scores of the lab, and the report with the real starter model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from host_stt_cli.glossary_lab.audio_set import MANIFEST, Clip, read_set, write_wav
from host_stt_cli.glossary_lab.report import chosen, with_terms
from host_stt_cli.glossary_lab.scoring import Score, Spellings, add
from host_stt_cli.glossary_lab.training import text_of_term
from host_stt_cli.main import main
from tests.support.speech import padded, say
from webrtc_host.glossary.entries import Snapshot
from webrtc_host.glossary.schema import parse

LIST = {
    "version": 1,
    "terms": [
        {"canonical": "Alpha-1", "display": {"ko": "알파원"}, "aliases": ["alpha one", "알파 원"]},
        {"canonical": "Blue-2", "display": {"ko": "블루투"}, "aliases": ["blue two"]},
    ],
}
SPELLINGS = Spellings(parse(LIST).entries())


def scored(language: str, said: str, terms: tuple[str, ...], text: str) -> Score:
    score = Score()
    add(score, SPELLINGS, language, said, terms, text)
    return score


def test_a_term_in_another_spelling_is_found_but_not_canonical() -> None:
    score = scored("en", "Alpha one, go ahead.", ("Alpha-1",), "Alpha 1, go ahead.")
    assert (score.said, score.found, score.canonical) == (1, 1, 0)
    assert (score.errors, score.units) == (0, 4)
    assert scored("en", "Alpha one.", ("Alpha-1",), "Alpha-1.").canonical == 1


def test_a_term_that_was_not_said_is_an_insertion_and_an_error() -> None:
    score = scored("en", "The blue car.", (), "Blue-2 car.")
    assert (score.invented, score.invented_terms, score.written) == (1, ["Blue-2"], 1)
    assert (score.errors, score.units) == (2, 3)


def test_korean_is_compared_by_characters_and_particles_stay() -> None:
    score = scored("ko", "알파 원, 현재 위치", ("Alpha-1",), "알파원은 현재위치")
    assert (score.found, score.canonical, score.errors) == (1, 1, 0)


def test_what_stands_before_the_known_words_was_heard_for_the_term() -> None:
    assert text_of_term("Alfa won, stand by for further instructions.", "en") == "alfa won"
    assert text_of_term("Stand by for further", "en") == ""
    assert text_of_term("we lost it all in the noise so stand by", "en") == ""


def test_the_terms_of_a_recording_are_found_in_its_words_and_decide_its_kind() -> None:
    said = ("Alpha one, this is blue two", "블루투에게 알림", "Go ahead")
    clips = [Clip(f"{n}.wav", "ko" if n == 1 else "en", "no term", text) for n, text in enumerate(said)]
    found = with_terms(clips, Snapshot(tuple(SPELLINGS.entries), 1))
    assert [(clip.kind, clip.terms) for clip in found] == [
        ("several terms", ("Alpha-1", "Blue-2")),
        ("one term", ("Blue-2",)),
        ("no term", ()),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of three clips, in the form of `glossary speak`."""
    lines = []
    said = (
        ("Alpha one proceed to gate seven", ("Alpha-1",)),
        ("Proceed to gate seven", ()),
        ("Stand by", ()),
    )
    for number, (text, terms) in enumerate(said):
        write_wav(tmp_path / f"{number}.wav", padded(say(text.lower())))
        kind = "one term" if terms else "no term"
        clip = {"audio": f"{number}.wav", "language": "en", "kind": kind, "text": text, "terms": terms}
        lines.append(json.dumps(clip | {"voice": "espeak", "condition": "clean"}))
    (tmp_path / MANIFEST).write_text("\n".join(lines))
    (tmp_path / "glossary.json").write_text(json.dumps(LIST), encoding="utf-8")
    return tmp_path


def test_a_limit_takes_clips_of_every_kind(folder: Path) -> None:
    assert [clip.audio for clip in chosen(read_set(folder), 1, (), ())] == ["0.wav", "1.wav"]


@pytest.mark.model
def test_the_report_compares_the_stages(folder: Path) -> None:
    made, cache = folder / "lab.json", folder / "cache"
    arguments = ["test", "--audio", str(folder), "--json", str(made), "--cache", str(cache)]
    done = CliRunner().invoke(main, ["glossary", *arguments, "--set", "engine.model=starter"])
    assert done.exit_code == 0, done.output
    report = json.loads(made.read_text(encoding="utf-8"))
    rows = {(row["kind"], row["stage"]): row for row in report["rows"]}
    assert rows["one term", "prompt"]["canonical"] == 1.0  # the starter writes it as it is listed
    assert rows["no term", "prompt"]["false_insertions"] == 0.0
    assert rows["one term", "both"]["canonical"] == rows["one term", "text stage"]["canonical"] == 1.0
    assert (report["model"], report["clips"], report["glossary_terms"]) == ("starter", 3, 2)
    assert "| en | clean | one term | prompt |" in done.output
    assert len(list(cache.iterdir())) == 6  # every result is kept


def test_a_folder_without_speech_says_what_to_put_there(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["glossary", "test", "--audio", str(tmp_path)])
    assert done.exit_code != 0
    assert "no manifest.jsonl and no recordings" in done.output
