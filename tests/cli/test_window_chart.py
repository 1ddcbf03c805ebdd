"""`host-stt doctor --windows`: forms, recordings, and the table with the bundled model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from host_stt.config import Device
from host_stt.contract import SAMPLE_RATE
from host_stt.engines.loading import load
from host_stt.models import STARTER_FOLDER
from host_stt_cli.errors import StartError
from host_stt_cli.main import main
from host_stt_cli.window_chart import FORMS, ChartRow, Form, Padding, chart, clips_in, table
from tests.support.recordings import write_wav
from tests.support.speech import padded, say

PHRASE = "alpha one proceed to gate seven"


def recordings(folder: Path) -> Path:
    for language, text in (("en", PHRASE), ("ko", "알파 하나")):
        (folder / language).mkdir(parents=True)
        write_wav(folder / language / "one.wav", padded(say(text, language)))
        (folder / language / "one.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("form", "seconds", "frames"),
    [
        (Form(0, 30), 4.0, 3000),
        (Form(2.5, 10), 4.0, 1000),
        (Form(2.5, 10), 8.0, 1100),
        (Form(2.5, 5), 2.0, 500),
        (Form(0, 1), 4.2, 500),
        (Form(5, 10), 27.0, 3000),
    ],
)
def test_a_form_says_how_long_its_window_is(form: Form, seconds: float, frames: int) -> None:
    assert form.frames(seconds) == frames


def test_recordings_have_their_words_beside_them_and_their_language_as_folder(tmp_path: Path) -> None:
    folder = recordings(tmp_path)
    write_wav(folder / "en" / "without-words.wav", padded(say(PHRASE)))
    write_wav(folder / "en" / "long.wav", np.zeros(28 * SAMPLE_RATE, np.float32))
    (folder / "en" / "long.txt").write_text("too long", encoding="utf-8")
    found = clips_in(folder, ("en", "ko"))
    assert {language: [clip.name for clip in clips] for language, clips in found.items()} == {
        "en": ["one.wav"],
        "ko": ["one.wav"],
    }
    assert list(clips_in(folder, ("en",))) == ["en"]


def test_a_folder_without_recordings_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"contains no recording .* with its text"):
        clips_in(tmp_path, ("en",))


@pytest.mark.model
def test_the_full_window_reads_the_phrase_and_a_window_without_slack_may_be_flagged(tmp_path: Path) -> None:
    loaded = load(STARTER_FOLDER, Device.CPU, "auto", 2)
    clips = clips_in(recordings(tmp_path), loaded.languages)["en"]
    rows = list(chart(loaded, clips))
    assert [(row.form, row.padding) for row in rows] == [(form, each) for form in FORMS for each in Padding]
    ten_seconds = next(row for row in rows if row.form == Form(2.5, 10) and row.padding is Padding.MEL)
    assert ten_seconds.rate == 0.0 and ten_seconds.flagged == 0
    assert ten_seconds.encode_s < rows[0].encode_s


def test_the_table_gives_costs_relative_to_the_full_window() -> None:
    rows = [
        ChartRow(Form(0, 30), Padding.MEL, 0.2, 0.19, 1, 85, 0.5, 0.4),
        ChartRow(Form(2.5, 10), Padding.MEL, 0.18, 0.18, 0, 85, 0.1, 0.3),
    ]
    assert table("en", rows, "WER").splitlines()[2:] == [
        "| 30 s | log-mel zeros | 20.0 / 19.0 % | 1 of 85 | 1.00 | 1.00 |",
        "| speech + 2.5 s, at least 10 s | log-mel zeros | 18.0 / 18.0 % | 0 of 85 | 0.20 | 0.75 |",
    ]


def test_the_two_options_go_together(tmp_path: Path) -> None:
    for words in (["--windows"], ["--audio", str(tmp_path)]):
        done = CliRunner().invoke(main, ["doctor", *words])
        assert done.exit_code == 2
        assert "--windows and --audio DIR are only allowed together" in done.output
