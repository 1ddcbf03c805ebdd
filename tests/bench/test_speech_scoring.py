from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.speech import report
from bench.speech.clips import Recording, recordings_in
from bench.speech.noises import KINDS, noises
from bench.speech.normalise import plain, spelled
from bench.speech.played import Line, Listener, Played, Utterance
from bench.speech.scoring import errors, ghosts, joins, languages, waits_ms
from host_stt_cli.errors import StartError
from host_stt_cli.loadtest.measures import Arrived
from tests.support.speech import silence


def recording(words: str, language: str = "de", kind: str = "read") -> Recording:
    return Recording(Path(f"{language}-{kind}-1.flac"), language, kind, words)


def line(text: str, at_ms: float, utterance: str = "u_1", start_ms: float = 0.0, end_ms: float = 0.0) -> Line:
    return Line(text, start_ms, end_ms, at_ms, utterance, "de", (end_ms,))


def played(words: str, lines: Sequence[Line], utterances: Sequence[Utterance] = ()) -> Played:
    return Played(recording(words), lines, utterances)


# --- the compared form ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["k l 861", "kl 8 6 1", "k l eight six one", "kl861"])
def test_spelled_letters_and_digits_are_the_same_however_they_are_written(text: str) -> None:
    assert spelled(text) == "kl 8 6 1"


def test_a_single_letter_between_words_stays_a_word() -> None:
    assert spelled("this is a test") == "this is a test"


def test_plain_text_has_no_case_and_no_punctuation() -> None:
    assert plain("안녕하세요, Mr. O'Neill!") == "안녕하세요 mr o neill"


# --- error rates ----------------------------------------------------------------------------------------


def test_word_errors_are_counted_by_kind() -> None:
    found = errors("eins zwei drei vier fünf sechs", "eins zwo drei fünf sechs sieben", "de")
    assert (found.substituted, found.deleted, found.inserted, found.units) == (1, 1, 1, 6)
    assert found.rate == 0.5


def test_korean_counts_characters_without_spaces_unless_asked() -> None:
    said, read = "한 잔 드시겠어요?", "한잔 드시겠어요"
    assert errors(said, read, "ko").rate == 0.0
    assert errors(said, read, "ko", with_spaces=True).deleted == 1


# --- joins ----------------------------------------------------------------------------------------------


def test_a_word_missing_at_a_join_is_lost_there() -> None:
    lines = [line("eins zwei drei vier", 1000), line("sechs sieben acht neun", 5000)]
    found = joins(played("eins zwei drei vier fünf sechs sieben acht neun", lines))
    assert (found.count, found.lost, found.doubled) == (1, 1, 0)


def test_a_word_twice_at_a_join_is_doubled_there() -> None:
    lines = [line("eins zwei drei vier", 1000), line("vier fünf sechs", 5000)]
    found = joins(played("eins zwei drei vier fünf sechs", lines))
    assert (found.count, found.lost, found.doubled) == (1, 0, 1)


def test_a_word_missing_far_from_a_join_is_not_the_joins() -> None:
    lines = [line("b c d e f g h", 1000), line("i j", 5000)]
    assert joins(played("a b c d e f g h i j", lines)).lost == 0


def test_lines_that_became_final_together_have_no_join() -> None:
    assert joins(played("eins zwei", [line("eins", 1000), line("zwei", 1010)])).count == 0


def test_the_end_of_an_utterance_is_no_join() -> None:
    assert joins(played("eins zwei", [line("eins", 1000, "u_1"), line("zwei", 3000, "u_2")])).count == 0


# --- times ----------------------------------------------------------------------------------------------


def test_a_word_waits_from_its_end_to_the_arrival_of_its_line() -> None:
    lines = [line("eins", 3000, "u_1", 0, 1000), line("zwei", 9000, "u_2", 2000, 8000)]
    spans = [Utterance("u_1", 0, 1000), Utterance("u_2", 2000, 8000)]
    one = played("eins zwei", lines, spans)
    assert waits_ms([one], is_unbroken=False)["max"] == 2000
    assert waits_ms([one], is_unbroken=True) == {"n": 1, "p50": 1000, "p95": 1000, "p99": 1000, "max": 1000}


def test_a_line_is_late_when_it_comes_long_after_its_utterance() -> None:
    lines = [line("eins", 1500), line("zwei", 4500)]
    assert played("eins zwei", lines, [Utterance("u_1", 0, 1000)]).late == 1


def test_events_become_lines_on_the_time_of_the_recording() -> None:
    final = {
        "type": "segment.final",
        "channel": "C01",
        "text": "eins zwei",
        "start_ms": 2100,
        "end_ms": 3000,
        "utterance": "u_1",
        "language": "de",
        "words": [{"text": "eins", "end_ms": 2500}, {"text": "zwei", "end_ms": 3000}],
    }
    ended = {"type": "speech.ended", "channel": "C01", "utterance": "u_1", "start_ms": 2050, "end_ms": 3050}
    shed = {"type": "coverage", "channel": "C01", "state": "shed", "from_ms": 1500, "to_ms": 2600}
    other = final | {"channel": "C02", "text": "drei"}
    arrived = [Arrived(4000, event) for event in (final, ended, shed, other)]
    found = Listener("C01", arrived).played(recording("eins zwei"), 2000, 5000)
    assert found.text == "eins zwei"
    (only,) = found.lines
    assert (only.start_ms, only.end_ms, only.at_ms, only.word_ends_ms) == (100, 1000, 2000, (500, 1000))
    assert found.utterances == [Utterance("u_1", 50, 1050)]
    assert found.unheard_ms == 600


# --- invented lines, languages ----------------------------------------------------------------------------


def test_only_lines_with_words_are_ghosts() -> None:
    one = Played(recording("", "", "nonspeech"), [line("…", 1), line("Thank you.", 2)], [])
    assert ghosts(one) == ["Thank you."]


def test_a_recording_without_text_has_no_language() -> None:
    assert languages([played("eins", [line("eins", 1)]), played("zwei", [])]) == {"de": 1, "none": 1}


# --- the report -------------------------------------------------------------------------------------------


def test_the_report_has_a_row_for_each_group_and_one_for_each_language() -> None:
    speech = played("eins zwei", [line("eins zwei", 1000, end_ms=500)], [Utterance("u_1", 0, 600)])
    speech.recording.__dict__["samples"] = silence(1.0)
    noise = Played(recording("", "", "nonspeech"), [line("Thank you.", 2)], [])
    noise.recording.__dict__["samples"] = silence(60.0)
    run: dict[str, Any] = {"way": "Over WebRTC", "command": "x", "model": "base", "note": ""}
    offline = [{"offline greedy": "eins", "offline beam 5": "eins zwei"}, {}]
    found = report.build([speech, noise], offline, run)
    assert list(found["groups"]) == ["de read", "de, all", "nonspeech"]
    assert found["groups"]["de read"]["rates"]["offline greedy"]["deleted"] == 1
    assert found["groups"]["nonspeech"]["ghosts"] == 1
    text = report.markdown(json.loads(json.dumps(found)))
    assert "| de read | 1 | WER | 2 | 0.0 % (0, 0, 0) | 50.0 % (0, 1, 0) | 0.0 % (0, 0, 0) |" in text
    assert "1.0 minutes in 1 recordings, 1 lines with words: “Thank you.”" in text


def test_generated_noise_is_the_same_each_time_and_never_clips_or_breaks() -> None:
    first, second = noises(len(KINDS)), noises(len(KINDS))
    assert len({one.name for one in first}) == len(KINDS)
    for one, again in zip(first, second, strict=True):
        assert not one.is_speech and one.seconds == 60
        assert np.array_equal(one.samples, again.samples)
        assert np.isfinite(one.samples).all() and np.abs(one.samples).max() <= 1
    assert not first[-1].samples.any(), "digital silence"
    assert all(one.samples.any() for one in first[:-1])


# --- which recordings -------------------------------------------------------------------------------------


def folder_of(tmp_path: Path, *names: str) -> Path:
    for name in names:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"")
        if file.parent.name != "nonspeech":
            file.with_suffix(".txt").write_text("  some\nwords ", encoding="utf-8")
    return tmp_path


def test_language_and_kind_come_from_folder_and_name(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "en/en-tel-hello.flac", "ko/ko-talk-1.wav", "nonspeech/ns-music-1.flac")
    found = recordings_in(folder)
    assert [one.group for one in found] == ["en telephone", "ko spontaneous", "nonspeech"]
    assert [one.words for one in found] == ["some words", "some words", ""]


def test_a_limit_counts_each_group_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "en/en-tel-a.flac", "en/en-tel-b.flac", "en/en-read-a.flac")
    assert [one.name for one in recordings_in(folder, limit=1)] == ["en-read-a.flac", "en-tel-a.flac"]
    assert [one.name for one in recordings_in(folder, kinds=["en read"])] == ["en-read-a.flac"]


def test_a_recording_without_words_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "en/en-tel-a.flac")
    (folder / "en" / "en-tel-a.txt").unlink()
    with pytest.raises(StartError, match="en-tel-a.flac has no words beside it; write what is said to"):
        recordings_in(folder)


def test_a_folder_that_is_no_language_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="the folder 'misc' is no language"):
        recordings_in(folder_of(tmp_path, "misc/a.flac"))
