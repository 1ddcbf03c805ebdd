"""Speak phrases with espeak-ng and flite inside this process, and get the time of every word.

Contains the bindings of both libraries and the list of voices. Both synthesizers are called through ctypes,
because a process per phrase takes ten times as long as the speech itself, and only the libraries report word
starts. Not thread-safe, because neither library is: use one speaker per process.
"""

import ctypes
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft as scipy_fft

from training.grammar import Language, Phrase

SAMPLE_RATE = 16_000

ENGLISH_ACCENTS = (
    *("en-us",) * 4,
    *("en",) * 2,
    *"en-gb-scotland en-gb-x-rp en-gb-x-gbclan en-gb-x-gbcwmd en-us-nyc en-029".split(),
)
VARIANTS = (
    "m1 m2 m3 m4 m5 m7 m8 f1 f2 f4 f5 croak klatt klatt2 klatt3 klatt5 klatt6 adam Alex Andrea Andy Annie "
    "antonio aunty belinda benjamin boris caleb david Denis Diogo ed edward Gene Gene2 gustave announcer "
    "Henrique iven iven2 iven3 Jacky john kaukovalta Marco Mario max Michael michel miguel Mike Nguyen "
    "paul pedro RicishayMax rob robert robosoft robosoft3 steph steph3 Tweaky zac anikaRobot AnxiousAndy "
    "grandpa norbert sandro shelby travis victor whisper whisperf"
).split()
HELD_OUT_VARIANTS = (
    "m6 f3 klatt4 edward2 linda marcelo steph2 grandma Lee pablo quincy anika Alicia Hugo".split()
)
"""espeak-ng variants that are never used for training."""
FLITE_VOICES = "kal kal16 awb slt".split()
HELD_OUT_FLITE_VOICES = ["rms"]


@dataclass(frozen=True, slots=True)
class Voice:
    """The voice and its settings."""

    synthesizer: str
    name: str
    rate_wpm: int = 150  # espeak-ng only
    pitch: int = 50  # espeak-ng only, 0-99
    stretch: float = 1.0  # flite only, longer above 1
    warp: float = 1.0  # above 1: faster and higher; gives voices that no synthesizer has


@dataclass(frozen=True, slots=True)
class Speech:
    """One spoken phrase, with at most some 10 ms of silence at both ends."""

    phrase: Phrase
    voice: Voice
    samples: npt.NDArray[np.int16]  # 16 kHz
    word_starts: npt.NDArray[np.int32]  # one per word, in samples; a word ends where the next one begins


def draw_voice(rng: random.Random, language: Language) -> Voice:
    """Draw a voice for training; a quarter of the espeak-ng voices are its unchanged default voices."""
    if language == "en" and rng.random() < 0.4:
        name, stretch = rng.choice(FLITE_VOICES), rng.uniform(0.8, 1.25)
        return Voice("flite", name, stretch=stretch, warp=rng.choice((1.0, rng.uniform(0.85, 1.18))))
    accent = "ko" if language == "ko" else rng.choice(ENGLISH_ACCENTS)
    if rng.random() < (0.3 if language == "ko" else 0.25):
        default = "ko" if language == "ko" else rng.choice(("en-us", "en-us", "en"))
        return Voice("espeak-ng", default, rng.choice((150, 150, 175)))
    warp = rng.uniform(0.85, 1.18) if rng.random() < 0.4 else 1.0
    name = f"{accent}+{rng.choice(VARIANTS)}"
    return Voice("espeak-ng", name, rng.randint(115, 195), rng.randint(20, 80), warp=warp)


class _EspeakEvent(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # in characters, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # in ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_WORD_EVENT = 1
_SYNCHRONOUS = 2
_RATE, _PITCH = 1, 3
_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_EspeakEvent)
)


class Espeak:
    """espeak-ng through its C library."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._rate_hz = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
        if self._rate_hz <= 0:
            raise RuntimeError("espeak-ng did not start: install the package espeak-ng-data")
        self._blocks: list[npt.NDArray[np.int16]] = []
        self._words: list[tuple[int, int]] = []  # character, time in ms
        self._callback = _CALLBACK(self._on_audio)  # stored, because the library has no reference to it
        self._library.espeak_SetSynthCallback(self._callback)

    def _on_audio(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type:
            if events[index].type == _WORD_EVENT:
                self._words.append((events[index].text_position - 1, events[index].audio_position))
            index += 1
        return 0

    def speak(self, text: str, voice: Voice) -> tuple[npt.NDArray[np.float32], int, list[float]]:
        """Return samples, their rate and the start of each word in seconds."""
        if self._library.espeak_SetVoiceByName(voice.name.encode()):
            raise ValueError(f"espeak-ng has no voice {voice.name}")
        self._library.espeak_SetParameter(_RATE, voice.rate_wpm, 0)
        self._library.espeak_SetParameter(_PITCH, voice.pitch, 0)
        self._blocks, self._words = [], []
        raw = text.encode()
        self._library.espeak_Synth(raw, ctypes.c_size_t(len(raw) + 1), 0, 0, 0, _UTF8, None, None)
        audio = np.concatenate(self._blocks or [np.zeros(0, np.int16)]).astype(np.float32)
        return audio, self._rate_hz, _word_starts(text, self._words, len(audio) / self._rate_hz)


def _word_starts(text: str, events: list[tuple[int, int]], seconds: float) -> list[float]:
    """One start time for each word. If espeak-ng joins a word with the next one (`to the`), its start is
    estimated from its letters.
    """
    known = {character: milliseconds / 1000 for character, milliseconds in events}
    points = sorted({**{0: 0.0}, **known, len(text) + 1: seconds}.items())
    starts, character = [], 0
    for word in text.split(" "):
        starts.append(float(np.interp(character, [p[0] for p in points], [p[1] for p in points])))
        character += len(word) + 1
    return starts


class _FliteWave(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]


class _FliteVoice(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("features", ctypes.c_void_p)]


class Flite:
    """flite through its C library."""

    def __init__(self) -> None:
        libraries = {
            name: ctypes.CDLL(f"lib{name}.so.1", ctypes.RTLD_GLOBAL)
            for name in ("flite", "flite_usenglish", "flite_cmulex")
        }
        self._library = libraries["flite"]
        self._library.flite_init()
        self._declare()
        self._voices = {}
        for name in (*FLITE_VOICES, *HELD_OUT_FLITE_VOICES):
            register = getattr(ctypes.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
            register.restype = ctypes.POINTER(_FliteVoice)
            register.argtypes = [ctypes.c_char_p]
            self._voices[name] = register(None)

    def _declare(self) -> None:
        pointer, text, lib = ctypes.c_void_p, ctypes.c_char_p, self._library
        for name, result, arguments in (
            ("flite_synth_text", pointer, [text, ctypes.POINTER(_FliteVoice)]),
            ("utt_wave", ctypes.POINTER(_FliteWave), [pointer]),
            ("utt_relation", pointer, [pointer, text]),
            ("relation_head", pointer, [pointer]),
            ("item_next", pointer, [pointer]),
            ("ffeature_float", ctypes.c_float, [pointer, text]),
            ("feat_set_float", None, [pointer, text, ctypes.c_float]),
            ("delete_utterance", None, [pointer]),
        ):
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments

    def speak(self, text: str, voice: Voice) -> tuple[npt.NDArray[np.float32], int, list[float]]:
        """Return samples, their rate and the start of each word in seconds."""
        lib, handle = self._library, self._voices[voice.name]
        lib.feat_set_float(handle.contents.features, b"duration_stretch", voice.stretch)
        utterance = lib.flite_synth_text(text.encode(), handle)
        wave = lib.utt_wave(utterance).contents
        audio = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).astype(np.float32)
        starts = []
        item = lib.relation_head(lib.utt_relation(utterance, b"Word"))
        while item:
            starts.append(lib.ffeature_float(item, b"R:SylStructure.daughter1.daughter1.R:Segment.p.end"))
            item = lib.item_next(item)
        rate_hz = wave.sample_rate
        lib.delete_utterance(utterance)
        return audio, rate_hz, starts


class Speaker:
    """Both synthesizers with one method."""

    def __init__(self) -> None:
        self._synthesizers: dict[str, Espeak | Flite] = {"espeak-ng": Espeak(), "flite": Flite()}

    def speak(self, phrase: Phrase, voice: Voice) -> Speech | None:
        """Speak the phrase at full scale without silence at the ends; None if the voice gives too little
        audio.
        """
        raw, rate_hz, starts = self._synthesizers[voice.synthesizer].speak(phrase.text, voice)
        if len(starts) != len(phrase.text.split()) or len(raw) < rate_hz // 5:
            return None
        audio = _resampled(raw, round(len(raw) * SAMPLE_RATE / rate_hz / voice.warp))
        scale = len(audio) / len(raw) * rate_hz
        loud = np.flatnonzero(np.abs(audio) > 0.01 * np.abs(audio).max(initial=1.0))
        if len(loud) < SAMPLE_RATE // 10:
            return None
        first, last = max(0, int(loud[0]) - 160), int(loud[-1]) + 160
        audio = audio[first:last]
        words = np.clip(np.array(starts) * scale - first, 0, len(audio)).astype(np.int32)
        words[0] = 0
        return Speech(phrase, voice, (audio / np.abs(audio).max() * 24_000).astype(np.int16), words)


def _resampled(samples: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    """`samples` stretched to about `count` samples, band-limited. Both ends are silent, so the circular
    effect of the FFT does no harm.
    """
    if count == len(samples):
        return samples
    padded = scipy_fft.next_fast_len(len(samples) + 1, real=True)
    target = round(count * padded / len(samples))
    spectrum = scipy_fft.rfft(samples, padded)[: target // 2 + 1]
    stretched: npt.NDArray[np.float32] = scipy_fft.irfft(spectrum, target).astype(np.float32)
    stretched *= target / padded
    return stretched[:count]
