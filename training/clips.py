"""Training clips: windows of audio with the tokens that the model must write for them.

A clip is what a live server decodes: a phrase, part of a phrase, several phrases in up to 30 s, or no speech
at all. The label has exactly the words that are completely audible. Batch k of a seed is always the same, in
every process.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from scipy import fft as scipy_fft

from training.corpus import Corpus
from training.grammar import Language, call_signs, random_canonical_call, written_words
from training.sounds import SoundBank
from training.synthesis import SAMPLE_RATE
from training.vocabulary import Vocabulary

MEL_BANDS = 80
POSITION_S = 0.02  # length of one encoder position
WINDOW_S = 30
IGNORED = -100
_WORD_TOLERANCE_S = 0.03  # a word that loses at most this counts as complete

# Clips of each window length in a batch, so that every batch takes about the same work.
BATCH_CLIPS = {4: 16, 6: 12, 10: 8, 15: 4, 20: 4, 30: 2}
# Share of windows with two to eight phrases; the others have one or two.
SHARE_OF_SEVERAL = {4: 0.0, 6: 0.0, 10: 0.5, 15: 0.8, 20: 0.85, 30: 0.75}
# Up to this step, the window lengths are drawn with these weights. Cross-attention starts on short windows;
# the end of the training must have windows of 30 s. The limits are steps, not shares of the training, so a
# longer training begins like a shorter one.
CURRICULUM: tuple[tuple[float, dict[int, float]], ...] = (
    (800, {4: 0.8, 6: 0.2}),
    (2_000, {4: 0.5, 6: 0.2, 10: 0.25, 30: 0.05}),
    (4_000, {4: 0.25, 6: 0.15, 10: 0.35, 15: 0.08, 20: 0.07, 30: 0.1}),
    # At this point the first 10 s of a window were decoded well, and later parts were guessed.
    (4_660, {6: 0.08, 10: 0.17, 15: 0.2, 20: 0.25, 30: 0.3}),
    (5_250, {4: 0.35, 6: 0.2, 10: 0.25, 15: 0.08, 20: 0.06, 30: 0.06}),
    (float("inf"), {4: 0.2, 6: 0.18, 10: 0.26, 15: 0.13, 20: 0.11, 30: 0.12}),
)


@dataclass(frozen=True, slots=True)
class Mix:
    """How often a clip has one of the harder forms."""

    cut_start: float
    cut_end: float
    listed: float  # share of the spoken call signs that are in the list, if there is one
    lists: tuple[float, float, float]  # batches without a list, with a short one, with a long one


# Up to this step. After 4,660 steps, 31 % of the words were wrong in phrases without their start, and
# unlisted call signs were written as if they were listed.
MIXES: tuple[tuple[float, Mix], ...] = (
    (4_660, Mix(0.2, 0.25, 0.75, (0.45, 0.48, 0.07))),
    (5_250, Mix(0.35, 0.35, 0.5, (0.35, 0.6, 0.05))),
    # After 5,250, 28 % of the listed call signs were not written in their listed form.
    (float("inf"), Mix(0.4, 0.35, 0.6, (0.35, 0.57, 0.08))),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """The completely audible words of one phrase; times in seconds from the start of the window."""

    words: list[str]
    bounds: list[tuple[float, float]]


@dataclass(slots=True)
class Scene:
    """Audio and its words."""

    samples: npt.NDArray[np.float32]
    language: Language
    heard: list[Heard] = field(default_factory=list)
    has_speech: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """Input and output of the decoder: labels[i] follows inputs[i] and is audible at spans[i]."""

    inputs: list[int]
    labels: list[int]
    spans: list[tuple[float, float] | None]
    characters: str


class SceneMaker:
    """Places phrases from the corpus into windows."""

    def __init__(self, corpus: Corpus, sounds: SoundBank) -> None:
        self._corpus = corpus
        self._sounds = sounds

    def draw(self, rng: random.Random, noise_rng: np.random.Generator, window_s: int, mix: Mix) -> Scene:
        language: Language = "ko" if rng.random() < 0.25 else "en"
        if rng.random() < 0.055:
            count = window_s * SAMPLE_RATE
            count = count if rng.random() < 0.6 else rng.randint(count // 20, count)
            return Scene(self._sounds.not_speech(noise_rng, count), language, has_speech=False)
        scene = self._speech(rng, language, window_s, mix)
        self._add_background(rng, noise_rng, scene)
        return scene

    def _speech(self, rng: random.Random, language: Language, window_s: int, mix: Mix) -> Scene:
        cut_start, cut_end = rng.random() < mix.cut_start, rng.random() < mix.cut_end
        several = window_s >= 10 and rng.random() < SHARE_OF_SEVERAL[window_s]
        phrases = rng.randint(2, 8) if several else 1 if rng.random() < 0.75 else 2
        limit = window_s * SAMPLE_RATE
        sound, heard = np.zeros(limit, np.float32), []
        position = int(rng.uniform(0, 1.0 if rng.random() < 0.8 else window_s / 2) * SAMPLE_RATE)
        gain, start, end = rng.uniform(-18, 0), 0, 0
        laid: list[tuple[Any, int]] = []
        for number in range(phrases):
            speech = self._corpus.draw(rng, language)
            length = len(speech.samples)
            if number == 0 and cut_start:
                position = -int(rng.uniform(0.05, 0.9) * length)
            if position + length > limit:
                if number == 0:
                    position = min(position, max(0, limit - length)) if rng.random() < 0.7 else position
                if position >= limit - SAMPLE_RATE // 10 or (number and not cut_end):
                    break
            start, end = position, min(position + length, limit)
            level = gain if rng.random() < 0.6 else rng.uniform(-18, 0)
            source = speech.samples[max(0, -start) : end - start]
            sound[max(0, start) : end] += source * np.float32(10 ** (level / 20) / 32_768)
            laid.append((speech, start))
            position += length + int(rng.uniform(0.1, 0.6 if rng.random() < 0.4 else 2.0) * SAMPLE_RATE)
        if cut_end and end - max(0, start) > SAMPLE_RATE // 5:
            end = max(0, start) + int(rng.uniform(0.15, 1.0) * (end - max(0, start)))
            kept = end
            if rng.random() < 0.3:  # the speaker stops inside a word, and the window continues
                kept = min(limit, end + int(rng.uniform(0, window_s) * SAMPLE_RATE))
        else:
            kept = min(limit, end + int(rng.uniform(0, 1.2) * SAMPLE_RATE))
            if rng.random() < 0.3:
                kept = limit
        sound[end:] = 0
        for speech, begin in laid:
            whole = heard_whole(speech, begin / SAMPLE_RATE, end / SAMPLE_RATE)
            if whole.words:
                heard.append(whole)
        return Scene(sound[: max(kept, 800)], language, heard)

    def _add_background(self, rng: random.Random, noise_rng: np.random.Generator, scene: Scene) -> None:
        count = len(scene.samples)
        if rng.random() < 0.65:
            scene.samples += self._sounds.background(noise_rng, count) * np.float32(
                10 ** (rng.uniform(-75, -26) / 20)
            )
        if rng.random() < 0.12:
            scene.samples += self._sounds.other(noise_rng, count) * np.float32(
                10 ** (rng.uniform(-60, -30) / 20)
            )


def heard_whole(speech: Any, begin_s: float, end_s: float) -> Heard:
    starts = speech.word_starts / SAMPLE_RATE + begin_s
    ends = np.append(starts[1:], begin_s + len(speech.samples) / SAMPLE_RATE)
    words = speech.phrase.text.split()
    whole = [
        index
        for index in range(len(words))
        if starts[index] >= -_WORD_TOLERANCE_S and ends[index] <= end_s + _WORD_TOLERANCE_S
    ]
    return Heard(
        [words[index] for index in whole],
        [(max(0.0, float(starts[index])), min(float(ends[index]), end_s)) for index in whole],
    )


class TargetMaker:
    """Makes the tokens for a scene; in about half of them after a glossary or earlier text."""

    def __init__(self, vocabulary: Vocabulary, corpus: Corpus) -> None:
        self._vocabulary = vocabulary
        self._corpus = corpus

    def make(
        self, rng: random.Random, scene: Scene, offset_s: float, names_max: int | None, mix: Mix
    ) -> Target:
        ids = self._vocabulary.ids
        spoken = {sign for part in scene.heard for sign in call_signs(" ".join(part.words)).values()}
        listed, prompt = set[str](), list[int]()
        if names_max is not None:
            listed, prompt = self._prompt(rng, spoken, scene.language, names_max, mix)
        inputs = [*prompt, ids["<|startoftranscript|>"], ids[f"<|{scene.language}|>"], ids["<|transcribe|>"]]
        language = ids[f"<|{scene.language}|>"] if scene.has_speech else ids["<|nospeech|>"]
        labels = [IGNORED] * len(prompt) + [language, IGNORED]
        spans: list[tuple[float, float] | None] = [None] * len(labels)
        with_stamps = rng.random() < 0.6
        if not with_stamps:
            inputs.append(ids["<|notimestamps|>"])
            labels.append(IGNORED)
            spans.append(None)
        elif not scene.heard:
            self._append(labels, spans, self._vocabulary.stamp(offset_s), None)
        for part in scene.heard:
            if with_stamps:
                start = part.bounds[0][0]
                self._append(
                    labels, spans, self._vocabulary.stamp(start + offset_s), (start - 0.04, start + 0.06)
                )
            self._append_words(labels, spans, part, listed)
            if with_stamps:
                end = part.bounds[-1][1]
                self._append(labels, spans, self._vocabulary.stamp(end + offset_s), (end - 0.06, end + 0.04))
        after = scene.heard[-1].bounds[-1][1] if scene.heard else None
        self._append(labels, spans, ids["<|endoftext|>"], None if after is None else (after, after + 0.3))
        inputs += labels[len(inputs) - 1 : -1]
        return Target(inputs, labels, spans, " ".join(word for part in scene.heard for word in part.words))

    @staticmethod
    def _append(
        labels: list[int],
        spans: list[tuple[float, float] | None],
        token: int,
        span: tuple[float, float] | None,
    ) -> None:
        labels.append(token)
        spans.append(span)

    def _append_words(
        self, labels: list[int], spans: list[tuple[float, float] | None], part: Heard, listed: set[str]
    ) -> None:
        first = 0
        for word, count in written_words(part.words, listed):
            start, end = part.bounds[first][0], part.bounds[first + count - 1][1]
            first += count
            tokens = self._vocabulary.word(word)
            share = (end - start) / len(tokens)
            for index, token in enumerate(tokens):
                self._append(labels, spans, token, (start + index * share, start + (index + 1) * share))

    def _prompt(
        self, rng: random.Random, spoken: set[str], language: Language, names_max: int, mix: Mix
    ) -> tuple[set[str], list[int]]:
        """Draw the text before the start token: listed call signs, earlier text, both or nothing."""
        kind, listed, text = rng.random(), set[str](), ""
        if kind < 0.1:
            return listed, []
        if kind < 0.8:
            listed = {sign for sign in sorted(spoken) if rng.random() < mix.listed}
            others = {random_canonical_call(rng) for _ in range(rng.randint(0, names_max))} - spoken
            names = sorted(listed | others)
            rng.shuffle(names)
            text = ", ".join(names)
        if kind > 0.65:
            earlier = self._corpus.draw(rng, language).phrase.text
            signs = set(call_signs(earlier).values()) - (spoken - listed)
            text += " " + " ".join(
                word for word, _ in written_words(earlier.split(), signs if rng.random() < 0.5 else ())
            )
        tokens = self._vocabulary.text(text)
        return listed, [self._vocabulary.ids["<|startofprev|>"], *tokens] if tokens else []


class LogMel:
    """faster-whisper's features, after the frequency response of a random radio channel."""

    def __init__(self) -> None:
        self._filters = FeatureExtractor(feature_size=MEL_BANDS).mel_filters
        self._window = np.hanning(401)[:-1].astype(np.float32)
        centres = (self._filters @ np.arange(201)) / self._filters.sum(1) * SAMPLE_RATE / 400
        self._centres_hz = centres.astype(np.float32)

    def channel(self, rng: random.Random) -> npt.NDArray[np.float32]:
        """Power gain of each band: a slope, and in half of the clips a telephone-like band."""
        decibels = np.zeros(MEL_BANDS, np.float32)
        if rng.random() < 0.5:
            decibels += rng.uniform(-4, 4) * np.log2(self._centres_hz / 1_000)
        if rng.random() < 0.5:
            low, high = rng.uniform(40, 350), rng.uniform(2_800, 7_500)
            depth = rng.uniform(20, 60)
            decibels -= np.clip(np.log2(low / self._centres_hz) * 24, 0, depth)
            decibels -= np.clip(np.log2(self._centres_hz / high) * 48, 0, depth)
        return (10 ** (decibels / 10)).astype(np.float32)

    def __call__(
        self, samples: npt.NDArray[np.float32], gain: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return (80, frames): one frame per 10 ms, and one more at the end as in faster-whisper."""
        padded = np.pad(np.pad(samples, (0, 160)), 200, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160][:-1]
        spectrum = scipy_fft.rfft(frames * self._window, axis=1)
        mel = self._filters @ (spectrum.real**2 + spectrum.imag**2).T
        if gain is not None:
            mel *= gain[:, None]
        log = np.log10(np.maximum(mel, 1e-10))
        log = np.maximum(log, log.max() - 8)
        features: npt.NDArray[np.float32] = ((log + 4) / 4).astype(np.float32)
        return features


class BatchDataset:
    """Batch number -> tensors. The seed and the number determine everything in a batch."""

    def __init__(self, corpus: Corpus, vocabulary: Vocabulary, characters: str, seed: int) -> None:
        self._scenes = SceneMaker(corpus, SoundBank(seed))
        self._targets = TargetMaker(vocabulary, corpus)
        self._mel = LogMel()
        self._end = vocabulary.ids["<|endoftext|>"]
        self._character = {character: index + 1 for index, character in enumerate(characters)}
        self._seed = seed

    def half(self, step: int, rank: int) -> dict[str, torch.Tensor]:
        """The half of batch `step` for one process; both halves have windows of the same length."""
        weights = next(weights for until, weights in CURRICULUM if step < until)
        mix = next(mix for until, mix in MIXES if step < until)
        window_s = random.Random(f"{self._seed}/{step}").choices(list(weights), list(weights.values()))[0]
        rng, noise_rng = (
            random.Random(f"{self._seed}/{step}/{rank}"),
            np.random.default_rng([self._seed, step, rank]),
        )
        clips, positions = BATCH_CLIPS[window_s] // 2, window_s * 50
        mel = np.zeros((clips, MEL_BANDS, window_s * 100), np.float32)
        offsets, targets = np.zeros(clips, np.int64), list[Target]()
        # Draw one kind of glossary per batch, because the longest prompt decides the cost of a batch.
        names_max = rng.choices((None, 6, 24), mix.lists)[0]
        for index in range(clips):
            scene = self._scenes.draw(rng, noise_rng, window_s, mix)
            # A quarter of the short windows get late positions of a 30 s window, so that late positions and
            # timestamps are learnt at the cost of early ones.
            if window_s <= 10 and rng.random() < 0.25:
                offsets[index] = rng.randint(0, WINDOW_S * 50 - positions)
            features = self._mel(scene.samples, self._mel.channel(rng) if rng.random() < 0.7 else None)
            width = min(features.shape[1], window_s * 100)
            mel[index, :, :width] = features[:, :width]  # the rest stays 0, as faster-whisper pads
            if rng.random() < 0.3:
                low = rng.randint(0, MEL_BANDS - 8)
                mel[index, low : low + rng.randint(1, 8), :width] = features.mean()
            targets.append(self._targets.make(rng, scene, float(offsets[index]) * POSITION_S, names_max, mix))
        return {
            "mel": torch.from_numpy(mel),
            "offsets": torch.from_numpy(offsets),
            **self._tensors(targets, positions),
        }

    def _tensors(self, targets: list[Target], positions: int) -> dict[str, torch.Tensor]:
        length = max(len(target.inputs) for target in targets)
        inputs = torch.full((len(targets), length), self._end)
        labels = torch.full((len(targets), length), IGNORED)
        spans = torch.zeros((len(targets), length, 2), dtype=torch.int32)  # empty where no span is known
        for row, target in enumerate(targets):
            inputs[row, : len(target.inputs)] = torch.tensor(target.inputs)
            labels[row, : len(target.labels)] = torch.tensor(target.labels)
            for column, span in enumerate(target.spans):
                if span is not None:
                    first = min(max(0, round(span[0] / POSITION_S)), positions - 1)
                    spans[row, column, 0] = first
                    spans[row, column, 1] = min(max(first + 1, round(span[1] / POSITION_S)), positions)
        texts = [[self._character[character] for character in target.characters] for target in targets]
        return {
            "inputs": inputs,
            "labels": labels,
            "spans": spans,
            "characters": torch.tensor([character for text in texts for character in text], dtype=torch.long),
            "character_counts": torch.tensor([len(text) for text in texts], dtype=torch.long),
        }
