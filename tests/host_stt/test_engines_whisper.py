"""The real engine with the bundled starter model, and what is relied on in the libraries beneath it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from host_stt.config import Device, EngineConfig
from host_stt.contract import Answer, EndReason, Float32Array, Priority, Transcript, Window, WindowError
from host_stt.engines.base import Engine
from host_stt.engines.configured import load_whisper, whisper_options
from host_stt.engines.loading import (
    CALLS_AT_ONCE,
    LoadedModel,
    load,
)
from host_stt.engines.options import WhisperOptions
from host_stt.engines.row_decoder import POSITIONS_MAX, token_cap
from host_stt.engines.rows import BEAM_CAREFUL, TEMPERATURE, WORDS_SAMPLES_MIN, Row
from host_stt.engines.whisper import WhisperEngine
from host_stt.models import STARTER_FOLDER, ResolvedModel, warm_up
from tests.support.speech import padded, say, say_words, silence
from tests.support.windows import window

pytestmark = pytest.mark.model
PHRASE = "alpha one proceed to gate seven"
KOREAN = "알파원 정문 도착"
OFFSET = 48_000


CONFIG = EngineConfig(model="starter", device=Device.CPU)
STARTER = ResolvedModel(STARTER_FOLDER, "starter", "test", is_starter=True)


@pytest.fixture(scope="module")
def engine() -> WhisperEngine:
    return load_whisper(CONFIG, STARTER)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return load(STARTER_FOLDER, Device.CPU, "auto", 0)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of `generate`."""

    rows: int
    beam: int
    temperature: float
    previous: int  # tokens of the prompt
    tokens: list[int]  # number of new tokens of each row's first output


class Calls:
    """The model behind an engine, with each call of `generate` written down.

    is_endless: True if the model may not end a text, so that only its token limit ends it.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._whisper = loaded.whisper
        self._end = loaded.tokenizers["en"].eot
        self._start = loaded.tokenizers["en"].sot
        self.is_endless = False
        self.seen: list[Call] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whisper, name)

    def engine(self, loaded: LoadedModel, options: WhisperOptions | None = None) -> WhisperEngine:
        """An engine with this model; without `options`, with those of the starter model."""
        options = options or whisper_options(CONFIG, STARTER, Device.CPU)
        return WhisperEngine(replace(loaded, whisper=self), "starter", options)

    def generate(self, encoded: Any, prompts: list[list[int]], **options: Any) -> Any:
        if self.is_endless:
            options["suppress_tokens"] = [*options["suppress_tokens"], self._end]
        outputs = self._whisper.generate(encoded, prompts, **options)
        temperature = options.get("sampling_temperature", 0.0)
        previous = max(0, prompts[0].index(self._start) - 1)
        tokens = [len(output.sequences_ids[0]) for output in outputs]
        self.seen.append(Call(len(prompts), options["beam_size"], temperature, previous, tokens))
        return outputs


@pytest.fixture
def calls(loaded: LoadedModel) -> Calls:
    return Calls(loaded)


def capped_while(monkeypatch: pytest.MonkeyPatch, holds: Callable[[Row], bool]) -> None:
    """Let rows run into a limit of 4 tokens while `holds`."""

    def cap(row: Row, language: str, loaded: LoadedModel, options: WhisperOptions) -> int:
        return 4 if holds(row) else token_cap(row, language, loaded, options)

    monkeypatch.setattr("host_stt.engines.row_decoder.token_cap", cap)


@pytest.fixture(scope="module")
def stock_ways() -> WhisperEngine:
    """The same weights, decoded as stock weights are: 30 s windows, word times by attention."""
    return WhisperEngine.from_folder(STARTER_FOLDER, "starter", device=Device.CPU)


def read(engine: WhisperEngine, w: Window) -> Transcript:
    (answer,) = engine.decode([w])
    assert isinstance(answer, Transcript), answer
    return answer


def spoken(text: str = PHRASE, lang: str = "en", before_s: float = 0.5, after_s: float = 0.5) -> Float32Array:
    return padded(say(text, lang), before_s, after_s)


# --- what is said -------------------------------------------------------------------------------------


def test_the_whisper_engine_has_two_languages(engine: WhisperEngine) -> None:
    assert isinstance(engine, Engine)
    assert engine.languages == ("en", "ko")
    assert (engine.model, engine.device, engine.compute_type) == ("starter", Device.CPU, "int8")


@pytest.mark.parametrize("priority", Priority)
def test_an_english_phrase_is_transcribed(engine: WhisperEngine, priority: Priority) -> None:
    answer = read(engine, window(samples=spoken(), priority=priority, language="en"))
    assert answer.text == PHRASE
    assert answer.end_reason is EndReason.COMPLETE
    assert answer.avg_logprob > -0.5 and answer.no_speech_prob < 0.2
    assert 0 < answer.compression_ratio < 2.4


@pytest.mark.parametrize("priority", Priority)
def test_a_korean_phrase_is_transcribed(engine: WhisperEngine, priority: Priority) -> None:
    answer = read(engine, window(samples=spoken(KOREAN, "ko"), priority=priority, language="ko"))
    assert answer.text == KOREAN


def test_two_calls_at_the_same_time_give_what_each_gives_alone(engine: WhisperEngine) -> None:
    phrases = [(PHRASE, "en"), (KOREAN, "ko"), ("the north gate is open", "en")]
    windows = [window(samples=spoken(text, lang), language=lang) for text, lang in phrases]
    alone = [read(engine, one) for one in windows]
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        together = list(pool.map(lambda one: read(engine, one), windows * 4))
    assert together == alone * 4


def test_int16_samples_give_the_same_text_as_float_samples(engine: WhisperEngine) -> None:
    samples = (spoken() * 32767).astype(np.int16)
    assert read(engine, window(samples=samples, language="en")).text == PHRASE


@pytest.mark.parametrize(("text", "lang"), [(PHRASE, "en"), (KOREAN, "ko")])
def test_the_language_is_detected(engine: WhisperEngine, text: str, lang: str) -> None:
    answer = read(engine, window(samples=spoken(text, lang), language="auto"))
    assert (answer.language, answer.text) == (lang, text)
    assert answer.language_probability > 0.9


def test_language_detection_can_be_limited_to_some_languages() -> None:
    only_korean = WhisperEngine.from_folder(
        STARTER_FOLDER, "starter", WhisperOptions(auto_languages=("ko",)), device=Device.CPU
    )
    answer = read(only_korean, window(samples=spoken(), language="auto"))
    assert (answer.language, answer.language_probability) == ("ko", 1.0)


def test_an_unknown_language_fails_only_its_own_window(engine: WhisperEngine) -> None:
    bad, good = engine.decode([window("a", samples=spoken(), language="de"), window("b", samples=spoken())])
    assert isinstance(bad, WindowError) and bad.code == "unknown_language" and "en, ko" in bad.message
    assert isinstance(good, Transcript) and good.text == PHRASE


@pytest.mark.parametrize("priority", Priority)
def test_a_call_sign_of_the_glossary_is_written_as_in_the_glossary(
    engine: WhisperEngine, priority: Priority
) -> None:
    terms = ["Bravo-2", "Alpha-1", "Tango-9"]
    answer = read(engine, window(samples=spoken(), priority=priority, language="en", terms=terms))
    assert answer.text == "Alpha-1 proceed to gate seven"
    if priority is Priority.FINAL:
        assert answer.words[0].text == "Alpha-1"


def test_any_glossary_is_decoded_without_an_error(engine: WhisperEngine) -> None:
    wild = [
        "<|startoftranscript|>",
        "<|nospeech|>",
        "\x00",
        "🎙",
        "가" * 200,
        *(f"Kilo-{i}" for i in range(900)),
    ]
    answer = read(engine, window(samples=spoken(), language="en", terms=wild, history="x " * 1900))
    assert answer.end_reason in EndReason


# --- when it is said -----------------------------------------------------------------------------------


def test_word_times_are_within_300_ms_of_the_speech(engine: WhisperEngine) -> None:
    said = say_words(PHRASE, pause_ms=0)
    answer = read(engine, window(samples=padded(said.samples), start_sample=OFFSET, language="en"))
    assert [w.text for w in answer.words] == PHRASE.split()
    for word, (_, start, end) in zip(answer.words, said.words, strict=True):
        assert abs(word.start_sample - (OFFSET + 8000 + start)) <= 4800
        assert abs(word.end_sample - (OFFSET + 8000 + end)) <= 4800


@pytest.mark.parametrize("priority", Priority)
def test_a_segment_begins_and_ends_with_its_speech(engine: WhisperEngine, priority: Priority) -> None:
    samples = spoken(before_s=1.0, after_s=2.0)
    (segment,) = read(
        engine, window(samples=samples, start_sample=OFFSET, priority=priority, language="en")
    ).segments
    assert abs(segment.start_sample - (OFFSET + 16_000)) <= 1600
    assert abs(segment.end_sample - (OFFSET + len(samples) - 32_000)) <= 1600


@pytest.mark.parametrize(
    "text", [PHRASE, "bravo two stand by for orders", "tango nine we are at platform bravo over"]
)
def test_times_are_inside_the_window_and_never_go_back(engine: WhisperEngine, text: str) -> None:
    samples = spoken(text, before_s=0.1, after_s=0.0)
    answer = read(engine, window(samples=samples, start_sample=OFFSET, language="en"))
    floor = OFFSET
    for word in answer.words:
        assert floor <= word.start_sample <= word.end_sample <= OFFSET + len(samples)
        floor = word.end_sample
    assert answer.words and answer.words[-1].end_sample > OFFSET + len(samples) // 2


def test_the_joined_words_are_the_text(engine: WhisperEngine) -> None:
    for text, lang in ((PHRASE, "en"), (KOREAN, "ko")):
        answer = read(engine, window(samples=spoken(text, lang), language=lang))
        assert " ".join(w.text for w in answer.words) == answer.text
        assert all(0 <= w.probability <= 1 for w in answer.words)


def test_only_long_interims_have_words(engine: WhisperEngine) -> None:
    samples = spoken()
    short, long = samples[: WORDS_SAMPLES_MIN - 160], np.pad(samples, (0, WORDS_SAMPLES_MIN))
    assert read(engine, window(samples=short, priority=Priority.INTERIM)).words == ()
    assert [w.text for w in read(engine, window(samples=long, priority=Priority.INTERIM)).words]


# --- nothing is said -----------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", Priority)
@pytest.mark.parametrize("seconds", [0.001, 0.5, 10, 30])
def test_silence_gives_no_text(engine: WhisperEngine, priority: Priority, seconds: float) -> None:
    answer = read(engine, window(samples=silence(seconds), priority=priority))
    assert (answer.text, answer.segments, answer.end_reason) == ("", (), EndReason.NO_SPEECH)


@pytest.mark.parametrize("level", [0.001, 0.01])
def test_hiss_gives_no_text(engine: WhisperEngine, level: float) -> None:
    hiss = np.random.default_rng(5).standard_normal(10 * 16000).astype(np.float32) * np.float32(level)
    answer = read(engine, window(samples=hiss, language="en"))
    assert (answer.text, answer.end_reason) == ("", EndReason.NO_SPEECH)


@pytest.mark.parametrize("n", [1, 2, 159, 160, 161, 399, 400, 16000])
def test_a_window_of_any_length_is_decoded_without_an_error(engine: WhisperEngine, n: int) -> None:
    loud = np.random.default_rng(1).uniform(-1, 1, n).astype(np.float32)
    for priority in Priority:
        assert isinstance(engine.decode([window(samples=loud, priority=priority)])[0], Transcript)


def test_thirty_seconds_at_full_scale_are_decoded_without_an_error(engine: WhisperEngine) -> None:
    square = np.where(np.arange(30 * 16000) // 20 % 2, 1.0, -1.0).astype(np.float32)
    assert isinstance(engine.decode([window(samples=square)])[0], Transcript)


# --- together ------------------------------------------------------------------------------------------


def mixed_windows() -> list[Window]:
    """Languages, priorities, prompts and lengths of all kinds."""
    korean, short = spoken(KOREAN, "ko"), spoken(after_s=0.0)
    return [
        window("a", samples=spoken(), language="en"),
        window("b", samples=korean, language="auto"),
        window("c", samples=short, priority=Priority.INTERIM, language="en", terms=["Alpha-1", "Kilo-4"]),
        window("d", samples=silence(2)),
        window("e", samples=spoken(), language="en", terms=["Alpha-1"], history="bravo two stand by"),
        window("f", samples=np.concatenate([spoken(), silence(12)]), priority=Priority.INTERIM),
        window("g", samples=spoken("bravo two stand by for orders"), language="en", start_sample=OFFSET),
        window("h", samples=spoken(), language="xx"),
        window("i", samples=korean, language="ko", terms=["Alpha-1"]),
    ]


def test_windows_in_one_batch_get_the_same_text_as_alone(
    engine: WhisperEngine, stock_ways: WhisperEngine
) -> None:
    for each in (engine, stock_ways):
        together = each.decode(mixed_windows())
        alone = [each.decode([w])[0] for w in mixed_windows()]
        assert [a.id for a in together] == list("abcdefghi")
        assert [text_and_times(a) for a in together] == [text_and_times(a) for a in alone]


def test_windows_that_share_a_call_of_the_model_get_the_same_text_as_alone(
    loaded: LoadedModel, calls: Calls
) -> None:
    """Languages and prompts of one length in one call of the model, against a call each."""
    windows = [
        window(f"w{number}", samples=samples, language=language, terms=terms)
        for number, (samples, language, terms) in enumerate(
            (
                (spoken(), "en", ("Alpha-1", "Kilo-4")),
                (spoken("bravo two stand by for orders"), "en", ("Bravo-2", "Tango-9")),
                (spoken(KOREAN, "ko"), "ko", ()),
                (spoken(after_s=0), "en", ()),
            )
        )
    ]
    for options in (whisper_options(CONFIG, STARTER, Device.CPU), WhisperOptions()):
        each = calls.engine(loaded, options)
        calls.seen.clear()
        together = each.decode(windows)
        assert max(call.rows for call in calls.seen) > 1, "some windows shared a call"
        alone = [each.decode([one])[0] for one in windows]
        assert [text_and_times(one) for one in together] == [text_and_times(one) for one in alone]
        for one, other in zip(together, alone, strict=True):
            assert isinstance(one, Transcript) and isinstance(other, Transcript) and one.text
            assert one.avg_logprob == pytest.approx(other.avg_logprob, abs=0.02)


@pytest.mark.parametrize(
    "seconds", [1, *(pytest.param(seconds, marks=pytest.mark.long) for seconds in (5, 10)), 28]
)
def test_a_row_without_an_end_stops_at_its_token_limit(
    loaded: LoadedModel, calls: Calls, seconds: int
) -> None:
    """CTranslate2 makes min(max_length / 2, max_length - prompt) tokens: with and without a prompt."""
    calls.is_endless = True
    engine = calls.engine(loaded, WhisperOptions())
    sound = np.resize(spoken(), seconds * 16_000)
    for terms in ((), tuple(f"Kilo-{n}" for n in range(60))):
        engine.decode([window(samples=sound, language="en", priority=Priority.INTERIM, terms=terms)])
    assert {bool(call.previous) for call in calls.seen} == {True, False}
    for call in calls.seen:
        limit = min(16 * seconds + 10, POSITIONS_MAX // 2, POSITIONS_MAX - call.previous - 5)
        assert call.tokens == [limit]


def text_and_times(answer: Answer) -> object:
    if isinstance(answer, WindowError):
        return answer.code
    return answer.text, answer.language, [(s.start_sample, s.end_sample) for s in answer.segments]


def test_other_decoding_methods_also_transcribe_the_phrase(stock_ways: WhisperEngine) -> None:
    assert read(stock_ways, window(samples=spoken(), language="en")).text == PHRASE


def test_a_result_that_reaches_the_token_limit_is_decoded_again(
    engine: WhisperEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    capped_while(monkeypatch, lambda row: True)
    answer = read(engine, window(samples=spoken(), language="en"))
    assert answer.end_reason is EndReason.TOKEN_CAP
    assert answer.text and PHRASE.startswith(answer.text)


def three_windows() -> list[Window]:
    sounds = (spoken("bravo two stand by for orders"), spoken(), spoken(KOREAN, "ko"))
    return [
        window(name, samples=samples, language=language)
        for name, samples, language in zip("abc", sounds, ("en", "en", "ko"), strict=True)
    ]


def test_only_a_rejected_row_is_decoded_again_with_a_temperature(
    loaded: LoadedModel, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = calls.engine(loaded)
    untouched = [text_and_times(answer) for answer in engine.decode(three_windows())]
    calls.seen.clear()
    capped_while(monkeypatch, lambda row: row.window.id == "b" and not row.plan.temperature)
    answers = engine.decode(three_windows())
    assert sum(call.rows for call in calls.seen[:-2]) == 3, "all three, once"
    again = [(call.rows, call.beam, call.temperature) for call in calls.seen[-2:]]
    assert again == [(1, BEAM_CAREFUL, 0.0), (1, 1, TEMPERATURE)]
    read_again = answers[1]
    assert isinstance(read_again, Transcript)
    assert read_again.end_reason is EndReason.COMPLETE and read_again.words
    assert [text_and_times(answers[i]) for i in (0, 2)] == [untouched[i] for i in (0, 2)]


def test_a_sentence_that_was_said_twice_is_decoded_again_and_stays(loaded: LoadedModel, calls: Calls) -> None:
    engine = calls.engine(loaded)
    samples = np.concatenate([spoken(), spoken()])
    assert read(engine, window(samples=samples, language="en")).text == f"{PHRASE} {PHRASE}"
    assert [(call.beam, call.temperature) for call in calls.seen] == [(1, 0.0), (BEAM_CAREFUL, 0.0)]


def test_accepted_results_are_sent_before_a_rejected_row_is_decoded_again(
    loaded: LoadedModel, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    capped_while(monkeypatch, lambda row: row.window.id == "b" and not row.plan.temperature)
    early: dict[int, Answer] = {}
    reads_before: list[int] = []

    def note(row: int, answer: Answer) -> None:
        early[row] = answer
        reads_before.append(len(calls.seen))

    answers = calls.engine(loaded).decode_early(three_windows(), note)
    assert sorted(early) == [0, 2]
    assert max(reads_before) == len(calls.seen) - 2, "before the careful result and the drawn one"
    assert [answers[row] for row in early] == list(early.values())
    assert isinstance(answers[1], Transcript) and answers[1].text


def test_finals_are_decoded_between_the_steps_of_background_windows_with_the_same_text_as_alone(
    loaded: LoadedModel, calls: Calls
) -> None:
    engine = calls.engine(loaded)
    finals = [text_and_times(answer) for answer in engine.decode(three_windows())]
    background = window("g", samples=spoken(), priority=Priority.BACKGROUND)
    nested: list[list[Answer]] = []
    answers = engine.decode_early(
        [background], ignored, lambda: nested.append(engine.decode(three_windows()))
    )
    assert [[text_and_times(answer) for answer in one] for one in nested] == [finals]
    assert answers == engine.decode([background])


def test_a_call_of_interims_is_not_interrupted(loaded: LoadedModel, calls: Calls) -> None:
    interim = window("i", samples=spoken(), priority=Priority.INTERIM)
    read_before: list[int] = []
    calls.engine(loaded).decode_early([interim], ignored, lambda: read_before.append(len(calls.seen)))
    assert calls.seen and read_before == []


def test_nothing_goes_between_the_steps_of_live_finals_but_before_a_row_is_decoded_again(
    loaded: LoadedModel, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, read_before = calls.engine(loaded), list[int]()
    engine.decode_early(three_windows(), ignored, lambda: read_before.append(len(calls.seen)))
    assert read_before == []
    capped_while(monkeypatch, lambda row: row.window.id == "b" and not row.plan.temperature)
    calls.seen.clear()
    engine.decode_early(three_windows(), ignored, lambda: read_before.append(len(calls.seen)))
    first = len(calls.seen) - 2  # the last two: the careful decode and the one by sampling
    assert read_before == [first, first, first + 1, first + 1], "before and after the audio is encoded"


def ignored(row: int, answer: Answer) -> None:
    """An `Early` for tests that look at the returned results only."""


def test_the_first_result_is_kept_when_sampling_finds_no_better_one(
    loaded: LoadedModel, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    capped_while(monkeypatch, lambda row: True)
    answer = read(calls.engine(loaded), window(samples=spoken(), language="en"))
    assert [call.temperature for call in calls.seen] == [0.0, 0.0, TEMPERATURE]
    assert answer.end_reason is EndReason.TOKEN_CAP and PHRASE.startswith(answer.text)


def test_only_unsure_finals_get_a_wider_search(loaded: LoadedModel, calls: Calls) -> None:
    usual = whisper_options(CONFIG, STARTER, Device.CPU)
    wider = calls.engine(loaded, replace(usual, beam_size_unsure=5))
    windows = [*three_windows(), window("d", samples=spoken(), priority=Priority.INTERIM)]
    wider.decode(windows)
    assert {call.beam for call in calls.seen} == {1}, "clear speech is read once"
    calls.seen.clear()
    searching = wider.searching_all_finals()
    assert searching is not None
    unsure = searching.decode(windows)
    assert sum(call.rows for call in calls.seen if call.beam == 5) == 3, "each final once, no interim"
    always = calls.engine(loaded, replace(usual, beam_size=5)).decode(windows)
    assert [text_and_times(one) for one in always] == [text_and_times(one) for one in unsure]
    calls.seen.clear()
    without = calls.engine(loaded, replace(usual, beam_size_unsure=1))
    without.decode(windows)
    assert {call.beam for call in calls.seen} == {1}, "the setting turns it off"
    assert without.searching_all_finals() is None


def test_a_careful_window_is_decoded_in_thirty_seconds_with_a_wide_search(
    loaded: LoadedModel, calls: Calls
) -> None:
    engine = calls.engine(loaded)
    live, careful = (window(samples=spoken(), language="en", is_careful=one) for one in (False, True))
    assert engine.group(careful).window_s == 30 > engine.group(live).window_s
    assert engine.group(careful) != engine.group(live), "they never share a batch"
    assert read(engine, careful).text == PHRASE
    assert [call.beam for call in calls.seen] == [BEAM_CAREFUL]


@pytest.mark.parametrize(("known", "is_likelier"), [("", None), ("alpha one over", True), (PHRASE, False)])
def test_a_careful_window_says_how_much_likelier_its_text_is(
    engine: WhisperEngine, known: str, is_likelier: bool | None
) -> None:
    gain = read(engine, window(samples=spoken(), language="en", is_careful=True, known_text=known)).gain
    assert (None if gain is None else gain > 0) is is_likelier


def test_the_comparison_of_another_audio_or_text_is_not_used_again(loaded: LoadedModel, calls: Calls) -> None:
    louder = window(samples=2 * spoken(), language="en", known_text="alpha one over", is_careful=True)
    asked = [
        louder,
        replace(louder, is_careful=False),  # the same audio and text: the known text is scored once
        replace(louder, samples=spoken()),
        replace(louder, known_text="bravo two over"),
        replace(louder, known_text=PHRASE),
    ]
    one_engine = calls.engine(loaded)
    gains = [read(one_engine, one).gain for one in asked]
    alone = [read(calls.engine(loaded), one).gain for one in asked]
    assert gains == pytest.approx(alone, abs=1e-4)
    assert gains[0] == gains[1] and gains[4] == 0
    assert len({gains[0], gains[2], gains[3]}) == 3


def test_a_text_too_long_for_the_model_or_without_letters_is_not_compared(engine: WhisperEngine) -> None:
    for known in ("alpha " * 600, "..."):
        one = window(samples=spoken(), language="en", is_careful=True, known_text=known)
        assert read(engine, one).gain is None


def test_the_warm_up_clip_is_transcribed(engine: WhisperEngine) -> None:
    warm_up(engine, must_hear=True)


def test_a_larger_beam_gives_the_same_text(engine: WhisperEngine) -> None:
    wide = WhisperEngine.from_folder(
        STARTER_FOLDER, "starter", WhisperOptions(beam_size=5), device=Device.CPU
    )
    assert read(wide, window(samples=spoken(), language="en")).text == PHRASE
