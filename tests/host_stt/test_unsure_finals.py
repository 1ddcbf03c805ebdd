"""Finals of which the model is unsure, with the starter model, which does not do this by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import generate_latest

from host_stt.config import Device, EngineConfig
from host_stt.contract import Float32Array, Priority, Transcript, Window
from host_stt.engines.configured import load_whisper, whisper_options
from host_stt.engines.loading import LoadedModel, load
from host_stt.engines.options import WhisperOptions
from host_stt.engines.rows import Plan, Row
from host_stt.engines.unsure_finals import LATER_SAMPLES, NOISY_DB, Attempt, UnsureFinals
from host_stt.engines.whisper import WhisperEngine
from host_stt.guards import DecodeResult
from host_stt.metrics import EngineMetrics
from host_stt.models import STARTER_FOLDER, ResolvedModel
from host_stt.noise import signal_to_noise_db, with_less_noise
from tests.support.speech import padded, say
from tests.support.windows import window

pytestmark = pytest.mark.model
PHRASES = ("alpha one proceed to gate seven", "bravo two hold position", "charlie three go ahead over")
SEARCHING = whisper_options(
    EngineConfig(model="starter", device=Device.CPU),
    ResolvedModel(STARTER_FOLDER, "starter", "test", is_starter=True),
    Device.CPU,
)
UNSURE = replace(SEARCHING, unsure_logprob=np.inf, noisy_logprob=np.inf, noise_reduction=True)
"""Each final counts as unsure, so that the starter model takes the way of a larger one in noise."""


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return load(STARTER_FOLDER, Device.CPU, "auto", 0)


def engine(loaded: LoadedModel, options: WhisperOptions) -> WhisperEngine:
    return WhisperEngine(loaded, "starter", options)


def noisy(text: str, snr_db: float, seed: int = 7) -> Float32Array:
    """Speech with white noise; the noise is measured against the whole clip."""
    speech = padded(say(text), 0.5, 0.5)
    noise = np.random.default_rng(seed).standard_normal(len(speech))
    level = float(np.sqrt(np.mean(np.square(speech)))) / 10 ** (snr_db / 20)
    return (speech + level * noise).astype(np.float32)


def read(
    engine: WhisperEngine, *clips: Float32Array, priority: Priority = Priority.FINAL
) -> list[Transcript]:
    windows = [
        window(f"w{n}", samples=samples, language="en", priority=priority) for n, samples in enumerate(clips)
    ]
    answers = engine.decode(windows)
    assert all(isinstance(answer, Transcript) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Transcript)]


@pytest.mark.parametrize("beam_size", [1, 5])
def test_the_surer_text_of_both_is_used_also_among_clear_rows(loaded: LoadedModel, beam_size: int) -> None:
    """Each noisy row alone, as it is and with less noise, says which of the two the batch must use."""
    clips = [noisy(text, 4.0) for text in PHRASES]
    alone = engine(loaded, replace(UNSURE, noise_reduction=False, beam_size=beam_size))
    as_it_is = read(alone, *clips)
    with_less = [read(alone, with_less_noise(clip))[0] for clip in clips]
    answers = read(
        engine(loaded, replace(UNSURE, beam_size=beam_size)), padded(say(PHRASES[0]), 0.5, 0.5), *clips
    )
    assert answers[0].text == PHRASES[0] and not answers[0].has_less_noise
    for plain, cleaned, answer in zip(as_it_is, with_less, answers[1:], strict=True):
        is_surer = cleaned.avg_logprob > plain.avg_logprob
        assert answer.has_less_noise is is_surer
        chosen = cleaned if is_surer else plain
        assert (answer.text, answer.words) == (chosen.text, chosen.words)
    assert any(answer.has_less_noise for answer in answers), "otherwise this test shows nothing"


def test_a_noisy_final_with_a_likely_text_is_decoded_with_less_noise_but_not_searched_wider(
    loaded: LoadedModel,
) -> None:
    clips = [noisy(text, 4.0) for text in PHRASES]
    likely = replace(UNSURE, unsure_logprob=-np.inf, beam_size_unsure=5)
    greedy = read(engine(loaded, replace(likely, noise_reduction=False)), *clips)
    answers = read(engine(loaded, likely), *clips)
    for plain, answer in zip(greedy, answers, strict=True):
        if answer.has_less_noise:
            assert answer.avg_logprob > plain.avg_logprob
        else:
            assert answer.text == plain.text and answer.avg_logprob == pytest.approx(plain.avg_logprob)
    assert any(answer.has_less_noise for answer in answers), "otherwise this test shows nothing"


def test_only_noisy_finals_are_decoded_with_less_noise(loaded: LoadedModel) -> None:
    clear, hissing = padded(say(PHRASES[0]), 0.5, 0.5), noisy(PHRASES[0], 4.0)
    assert signal_to_noise_db(hissing) < NOISY_DB <= signal_to_noise_db(clear)
    plain = engine(loaded, replace(UNSURE, noise_reduction=False))
    (answer,) = read(engine(loaded, UNSURE), clear)
    assert replace(answer, id="") == replace(read(plain, clear)[0], id="")
    for options in (replace(UNSURE, noise_reduction=False), replace(UNSURE, noisy_logprob=-np.inf)):
        assert not read(engine(loaded, options), hissing)[0].has_less_noise
    (interim,) = read(engine(loaded, UNSURE), hissing, priority=Priority.INTERIM)
    assert not interim.has_less_noise


LATER = replace(SEARCHING, unsure_logprob=-np.inf, doubtful_logprob=np.inf, second_reading=True)
"""Each final counts as doubtful, but none as unsure: one search, and a second reading."""
S = 16_000


def at(start_sample: int, samples: Float32Array) -> Window:
    return window(samples=samples, start_sample=start_sample, language="en")


def test_a_doubtful_final_is_read_again_a_little_later_in_its_window(loaded: LoadedModel) -> None:
    """The starter model is surer of some phrases when they stand elsewhere; their times stay as they are."""
    clips = [noisy(text, snr_db, seed) for text in PHRASES for snr_db in (2.0, 4.0, 6.0) for seed in (1, 2)]
    once, twice = (engine(loaded, replace(LATER, second_reading=is_on)) for is_on in (False, True))
    better = 0
    for clip in clips:
        shifted = np.pad(clip, (LATER_SAMPLES, 0))
        (first,), (second,) = once.decode([at(S, clip)]), once.decode([at(S - LATER_SAMPLES, shifted)])
        (answer,) = twice.decode([at(S, clip)])
        assert isinstance(first, Transcript) and isinstance(second, Transcript)
        assert isinstance(answer, Transcript)
        if min(first.avg_logprob, second.avg_logprob) < -1.0:
            continue  # the starter model repeats itself, and is decoded once more
        chosen = second if second.avg_logprob > first.avg_logprob else first
        better += chosen is second
        assert (answer.text, answer.words) == (chosen.text, chosen.words)
        assert answer.avg_logprob == pytest.approx(chosen.avg_logprob, abs=1e-3)
    assert 0 < better < len(clips), "otherwise this test shows nothing"


@pytest.mark.parametrize(("start_sample", "seconds"), [(LATER_SAMPLES - 1, 2.0), (S, 9.0), (S, 1.9)])
def test_without_room_around_it_and_if_it_is_short_a_final_is_read_once(
    start_sample: int, seconds: float
) -> None:
    """At the start of a channel there is no time before the window; behind 9 s of 10 s no second is left; and
    1.9 s may be a cough.
    """
    samples = np.zeros(round(seconds * S), np.float32)
    row = Row(0, at(start_sample, samples), samples, (), 1000, Plan(beam_size=1))
    attempt = Attempt([row], [row], [False])
    assert UnsureFinals(Written({False: ("hold", -0.5)}), LATER).searched_again(attempt, ["en"]) is attempt


def test_a_final_that_follows_final_words_is_read_once(loaded: LoadedModel) -> None:
    clips = [noisy(text, snr_db, seed) for text in PHRASES for snr_db in (2.0, 4.0) for seed in (1, 2)]
    once, twice = (engine(loaded, replace(LATER, second_reading=is_on)) for is_on in (False, True))
    for clip in clips:
        joined = replace(at(S, clip), is_joined=True)
        assert twice.decode([joined]) == once.decode([joined])
    assert any(twice.decode([at(S, clip)]) != once.decode([at(S, clip)]) for clip in clips)


class Written:
    """Answers of a model that are given, because no real one repeats itself at will: text and log probability
    by whether the audio has less noise.
    """

    def __init__(self, texts: dict[bool, tuple[str, float]]) -> None:
        self._texts = texts

    def encode(self, rows: list[Row]) -> list[Row]:
        return rows

    def joined(self, first: list[Row], second: list[Row]) -> list[Row]:
        return [*first, *second]

    def rows_of(self, encoded: list[Row], indices: list[int], count: int) -> list[Row]:
        assert count == len(encoded)
        return [encoded[index] for index in indices]

    def generate(self, rows: list[Row], languages: list[str], encoded: list[Row]) -> list[bool]:
        assert [row.has_less_noise for row in rows] == [row.has_less_noise for row in encoded]
        return [row.has_less_noise for row in encoded]

    def result_of(self, row: Row, language: str, output: bool) -> DecodeResult:
        text, logprob = self._texts[output]
        return DecodeResult(text, (), logprob, 0.0, is_capped=False)


@pytest.mark.parametrize(
    ("as_it_is", "with_less", "uses_less"),
    [
        (("hold hold hold hold hold hold", -0.25), ("hold position", -0.6), True),
        (("hold position", -0.6), ("hold hold hold hold hold hold", -0.25), False),
        (("hold on", -0.5), ("hold position", -0.3), True),
        (("hold on", -0.3), ("hold position", -0.5), False),
    ],
)
def test_a_text_that_repeats_itself_loses_however_sure_the_model_is(
    as_it_is: tuple[str, float], with_less: tuple[str, float], uses_less: bool
) -> None:
    samples = noisy(PHRASES[0], 4.0)
    row = Row(0, window(samples=samples, language="en"), samples, (), 1000, Plan(beam_size=1))
    decoder = Written({False: as_it_is, True: with_less})
    best = UnsureFinals(decoder, UNSURE).searched_again(Attempt([row], [row], [False]), ["en"])
    assert best.rows[0].has_less_noise is uses_less
    assert (best.outputs, best.encoded) == ([uses_less], best.rows)


def test_an_interim_of_a_noisy_channel_is_decoded_with_less_noise(loaded: LoadedModel) -> None:
    hissing = noisy(PHRASES[1], 4.0)
    asked = window(samples=hissing, language="en", priority=Priority.INTERIM, is_noisy=True)
    cleaned = window(samples=with_less_noise(hissing), language="en", priority=Priority.INTERIM)
    answer, expected = (engine(loaded, UNSURE).decode([one])[0] for one in (asked, cleaned))
    assert isinstance(answer, Transcript) and isinstance(expected, Transcript)
    assert answer.has_less_noise and not expected.has_less_noise
    assert answer.text == expected.text and answer.avg_logprob == pytest.approx(expected.avg_logprob)
    metrics = EngineMetrics()
    for one in (answer, expected):
        metrics.answered(Priority.INTERIM, one)
    counts = generate_latest(metrics.registry).decode()
    assert 'host_stt_engine_windows_with_less_noise_total{priority="interim"} 1.0' in counts
    (off,) = engine(loaded, replace(UNSURE, noise_reduction=False)).decode([asked])
    assert isinstance(off, Transcript) and not off.has_less_noise


def test_the_starter_model_reads_noise_as_it_is() -> None:
    """It was trained with noise."""
    config = EngineConfig(model="starter", device=Device.CPU)
    starter = ResolvedModel(STARTER_FOLDER, "starter", "test", is_starter=True)
    assert config.noise_reduction and config.second_reading
    options = whisper_options(config, starter, Device.CPU)
    assert not options.noise_reduction and not options.second_reading
    other = replace(starter, is_starter=False)
    options = whisper_options(config, other, Device.CPU)
    assert options.noise_reduction and options.second_reading
    off = config.model_copy(update={"noise_reduction": False, "second_reading": False})
    options = whisper_options(off, other, Device.CPU)
    assert not options.noise_reduction and not options.second_reading
    (answer,) = read(load_whisper(config, starter), noisy(PHRASES[0], 20.0))
    assert answer.text == PHRASES[0]
