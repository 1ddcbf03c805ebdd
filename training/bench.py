"""Test samples, and the finished model that decodes them through `faster_whisper.WhisperModel`.

The sentences are from the held-out part of the grammar; the voices are the trained ones or held-out ones.
Everything is drawn from its own seed.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer

from training.clips import heard_whole
from training.grammar import Language, draw_phrase
from training.synthesis import (
    ENGLISH_ACCENTS,
    HELD_OUT_FLITE_VOICES,
    HELD_OUT_VARIANTS,
    SAMPLE_RATE,
    Speaker,
    Speech,
    Voice,
    draw_voice,
)

Samples = npt.NDArray[np.float32]
VoiceDraw = Callable[[random.Random], Voice]


@dataclass(frozen=True, slots=True)
class Sample:
    """Audio, and its allowed texts: the first one, or another one if a word is only partly audible."""

    samples: Samples
    language: Language
    texts: tuple[str, ...]
    phrases: tuple[Speech, ...] = ()
    starts_s: tuple[float, ...] = ()  # of each phrase


class Bench:
    """Draws test samples and decodes them."""

    def __init__(self, model: Path, seed: int, threads: int = 1) -> None:
        self.model = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=threads)
        self._speaker = Speaker()
        self._seed = seed

    def decode(
        self, samples: Samples, language: Language | None, **options: Any
    ) -> tuple[str, list[Any], str]:
        """Decode the samples; return the text, its segments and the language."""
        options = {"without_timestamps": False, "temperature": 0.0, **options}
        segments, about = self.model.transcribe(
            samples,
            language=language,
            beam_size=1,
            condition_on_previous_text=False,
            vad_filter=False,
            **options,
        )
        heard = list(segments)
        return " ".join(segment.text.strip() for segment in heard), heard, about.language

    def first_stamp_s(self, tokens: list[int]) -> float:
        """The time of the first timestamp token, in seconds from the start of the window."""
        first: int = self.model.hf_tokenizer.token_to_id("<|0.00|>")
        return next((token - first) * 0.02 for token in tokens if token >= first)

    def decode_short(self, samples: Samples, language: Language, window_s: int) -> str:
        """Decode one window of `window_s` seconds without padding it to 30 s."""
        features = pad_or_trim(self.model.feature_extractor(samples), window_s * 100)
        tokenizer = Tokenizer(self.model.hf_tokenizer, True, task="transcribe", language=language)
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        view = StorageView.from_array(np.ascontiguousarray(features[None], np.float32))
        result = self.model.model.generate(view, [prompt], beam_size=1, max_length=200)[0]
        text: str = tokenizer.decode(result.sequences_ids[0])
        return text

    def phrases(self, name: str, count: int, language: Language, voice: VoiceDraw) -> Iterator[Speech]:
        rng = random.Random(f"{self._seed}/{name}/{language}")
        made = 0
        while made < count:
            speech = self._speaker.speak(draw_phrase(rng, language, held_out=True), voice(rng))
            if speech is not None:
                made += 1
                yield speech

    def whole(self, speech: Speech, rng: random.Random) -> Sample:
        """The whole phrase, with up to a second of silence around it and a little noise."""
        lead = rng.uniform(0.1, 1.0)
        samples = _with_silence(_sound(speech, rng), lead, rng.uniform(0.1, 1.0))
        samples = samples + _hiss(rng, len(samples))
        return Sample(samples, speech.phrase.language, (speech.phrase.text,), (speech,), (lead,))

    def cut(self, speech: Speech, rng: random.Random, at_start: bool) -> Sample:
        """The phrase without its first or last part; a partly audible word may be in the text or not."""
        seconds = len(speech.samples) / SAMPLE_RATE
        cut_s = rng.uniform(0.2, 0.8) * seconds
        sound = _sound(speech, rng)
        begin_s, end_s = (-cut_s, seconds - cut_s) if at_start else (0.0, cut_s)
        kept = sound[int(cut_s * SAMPLE_RATE) :] if at_start else sound[: int(cut_s * SAMPLE_RATE)]
        words, heard = speech.phrase.text.split(), heard_whole(speech, begin_s, end_s).words
        more = words[-len(heard) - 1 :] if at_start else words[: len(heard) + 1]
        return Sample(kept + _hiss(rng, len(kept)), speech.phrase.language, (" ".join(heard), " ".join(more)))

    def window(self, speeches: list[Speech], rng: random.Random) -> Sample:
        """Two to eight phrases with pauses, in at most 30 s."""
        position, pieces, starts, kept = rng.uniform(0.1, 1.0), list[Samples](), list[float](), list[Speech]()
        pieces.append(np.zeros(int(position * SAMPLE_RATE), np.float32))
        for speech in speeches:
            pause = rng.uniform(0.2, 2.0)
            seconds = len(speech.samples) / SAMPLE_RATE
            if position + seconds > 29.8:
                break
            starts.append(position)
            kept.append(speech)
            pieces += [_sound(speech, rng), np.zeros(int(pause * SAMPLE_RATE), np.float32)]
            position += seconds + int(pause * SAMPLE_RATE) / SAMPLE_RATE
        samples = np.concatenate(pieces)[: 30 * SAMPLE_RATE]
        text = " ".join(speech.phrase.text for speech in kept)
        return Sample(
            samples + _hiss(rng, len(samples)), kept[0].phrase.language, (text,), tuple(kept), tuple(starts)
        )


def default_voice(language: Language) -> VoiceDraw:
    return lambda rng: Voice("espeak-ng", "ko" if language == "ko" else "en-us", 150)


def trained_voice(language: Language) -> VoiceDraw:
    return lambda rng: draw_voice(rng, language)


def held_out_variant(language: Language) -> VoiceDraw:
    accents = ("ko",) if language == "ko" else ENGLISH_ACCENTS
    return lambda rng: Voice(
        "espeak-ng",
        f"{rng.choice(accents)}+{rng.choice(HELD_OUT_VARIANTS)}",
        rng.randint(130, 180),
        rng.randint(35, 65),
    )


def held_out_flite(rng: random.Random) -> Voice:
    return Voice("flite", rng.choice(HELD_OUT_FLITE_VOICES), stretch=rng.uniform(0.9, 1.15))


def _sound(speech: Speech, rng: random.Random) -> Samples:
    return (speech.samples * np.float32(10 ** (rng.uniform(-16, 0) / 20) / 32_768)).astype(np.float32)


def _with_silence(samples: Samples, before_s: float, after_s: float) -> Samples:
    return np.pad(samples, (int(before_s * SAMPLE_RATE), int(after_s * SAMPLE_RATE)))


def _hiss(rng: random.Random, count: int) -> Samples:
    generator = np.random.default_rng(rng.getrandbits(32))
    level = np.float32(10 ** (rng.uniform(-70, -36) / 20) / 3)
    return generator.standard_normal(count, dtype=np.float32) * level
