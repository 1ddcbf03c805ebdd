"""The spoken corpus: thousands of phrases, synthesised once and stored as flat arrays that processes can map.

A corpus folder contains shards `NNN.npz` (offsets, words) and `NNN.npy` (audio, int16 at 16 kHz). Shard k of
seed s is the same on every machine with the same synthesizers, so any number of processes may make the shards
in any order.
"""

import io
import json
import logging
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from training.grammar import Language, Phrase, draw_phrase
from training.synthesis import SAMPLE_RATE, Speaker, Speech, Voice, draw_voice

logger = logging.getLogger(__name__)

PHRASES_PER_SHARD = 2_500
OPUS_SHARE = 0.25  # of the phrases, at 14-40 kb/s, because browsers send Opus
PHRASE_SECONDS_MAX = 9.0


def opus_coded(samples: npt.NDArray[np.float32], bits_per_second: int) -> npt.NDArray[np.float32]:
    """`samples` (16 kHz, float in [-1, 1]) encoded to Opus and decoded again, with the same length."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as sink:
        stream = sink.add_stream("libopus", rate=48_000, layout="mono")
        stream.bit_rate = bits_per_second
        stream.options = {"application": "voip", "frame_duration": "20"}
        frame = av.AudioFrame.from_ndarray(
            (samples * 32_767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = SAMPLE_RATE
        up = av.AudioResampler("s16", "mono", 48_000)
        for piece in up.resample(frame) + up.resample(None):
            sink.mux(stream.encode(piece))
        sink.mux(stream.encode(None))
    buffer.seek(0)
    down, heard = av.AudioResampler("flt", "mono", SAMPLE_RATE), []
    with av.open(buffer, "r") as source:
        for decoded in source.decode(audio=0):
            heard += [piece.to_ndarray()[0] for piece in down.resample(decoded)]
        heard += [piece.to_ndarray()[0] for piece in down.resample(None)]
    coded = np.concatenate(heard)[: len(samples)]
    return np.pad(coded, (0, len(samples) - len(coded))).astype(np.float32)


def make_shard(folder: Path, number: int, seed: int) -> float:
    """Make one shard; return its seconds of audio. An existing shard is kept (0 s)."""
    target = folder / f"{number:03d}.npz"
    if target.exists():
        return 0.0
    rng, speaker = random.Random(f"{seed}/{number}"), Speaker()
    sounds: list[npt.NDArray[np.int16]] = []
    words: list[npt.NDArray[np.int32]] = []
    texts: list[tuple[str, Language]] = []
    while len(sounds) < PHRASES_PER_SHARD:
        phrase = draw_phrase(rng)
        speech = speaker.speak(phrase, draw_voice(rng, phrase.language))
        if speech is None or len(speech.samples) > PHRASE_SECONDS_MAX * SAMPLE_RATE:
            continue
        samples = speech.samples
        if rng.random() < OPUS_SHARE:
            sound = (samples / np.float32(32_768)).astype(np.float32)
            coded = opus_coded(sound, rng.randint(14_000, 40_000))
            samples = np.clip(coded * 32_768, -32_768, 32_767).astype(np.int16)
        sounds.append(samples)
        words.append(speech.word_starts)
        texts.append((phrase.text, phrase.language))
    np.save(folder / f"{number:03d}.npy", np.concatenate(sounds))
    np.savez(
        target,
        sound_ends=np.cumsum([len(sound) for sound in sounds]),
        word_ends=np.cumsum([len(word) for word in words]),
        word_starts=np.concatenate(words),
        texts=np.array(json.dumps(texts, ensure_ascii=False)),
    )
    return sum(len(sound) for sound in sounds) / SAMPLE_RATE


def make_corpus(folder: Path, shards: int, seed: int, processes: int) -> None:
    """Make shards 0 to `shards` - 1, in processes, because neither synthesizer can be used twice in one."""
    folder.mkdir(parents=True, exist_ok=True)
    # One task per process, because flite and espeak-ng lose a little memory with every change of voice.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        jobs = [pool.submit(make_shard, folder, number, seed) for number in range(shards)]
        for number, job in enumerate(jobs):
            logger.info("shard %d of %d: %.1f h of speech", number + 1, shards, job.result() / 3600)


class Corpus:
    """The spoken phrases of a folder. The audio is memory-mapped, not read."""

    def __init__(self, folder: Path) -> None:
        self._sounds: list[npt.NDArray[np.int16]] = []
        self._words: list[npt.NDArray[np.int32]] = []
        self._ends: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
        self.places: dict[Language, list[tuple[int, int]]] = {"en": [], "ko": []}
        self._phrases: list[list[Phrase]] = []
        for path in sorted(folder.glob("*.npz")):
            shard = np.load(path)
            phrases = [Phrase(text, language) for text, language in json.loads(str(shard["texts"]))]
            for index, phrase in enumerate(phrases):
                self.places[phrase.language].append((len(self._sounds), index))
            self._phrases.append(phrases)
            self._words.append(shard["word_starts"])
            self._ends.append((np.r_[0, shard["sound_ends"]], np.r_[0, shard["word_ends"]]))
            self._sounds.append(np.load(path.with_suffix(".npy"), mmap_mode="r"))
        if not self._sounds:
            raise FileNotFoundError(f"no corpus in {folder}: run the stage `corpus` first")

    def draw(self, rng: random.Random, language: Language) -> Speech:
        shard, index = rng.choice(self.places[language])
        sound_ends, word_ends = self._ends[shard]
        return Speech(
            self._phrases[shard][index],
            Voice("corpus", ""),
            self._sounds[shard][sound_ends[index] : sound_ends[index + 1]],
            self._words[shard][word_ends[index] : word_ends[index + 1]],
        )

    def characters(self) -> str:
        """All characters of the texts, sorted."""
        return "".join(
            sorted({character for shard in self._phrases for phrase in shard for character in phrase.text})
        )
