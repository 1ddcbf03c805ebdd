"""The speech of a run: clips with their text, from espeak-ng or from recordings, encoded to Opus once.

Contains the audio and its encoding; `plan` decides who speaks when. Invariant: a clip begins and ends with
speech, so the end of the clip is the true end of speech.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from host_stt_cli.errors import StartError
from host_stt_cli.loadtest.plan import Part, Saying

PHRASES = Path(__file__).with_name("phrases.json")
RATE = 48_000
FRAME = RATE // 50
VOICES = {"en": ("en-gb", "en-us"), "ko": ("ko",)}
WORDS_PER_MINUTE = (140, 160)
NOISE_DBFS = -66.0
"""There is noise under all audio, because digital silence is what a dead line sends and is treated as one."""
NOISE_FRAMES = 50
EDGE_FRAMES = 15
"""300 ms, what 8082 has before and behind the speech of a window."""
EDGE_DB = 40.0  # below the clip's peak: quieter audio at its ends is cut off
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
Sound = NDArray[np.int16]


@dataclass(frozen=True)
class Clip:
    """samples: (n,) int16 at 48 kHz, from the first to the last audible sample."""

    text: str
    language: str
    samples: Sound
    has_noise: bool = True  # noise is added before it is sent

    @property
    def ms(self) -> int:
        return len(self.samples) * 1000 // RATE

    @property
    def frames(self) -> int:
        return -(-len(self.samples) // FRAME)

    @cached_property
    def framed(self) -> Sound:
        """(frames, 960), with noise added where `has_noise` says so."""
        whole = np.pad(self.samples, (0, -len(self.samples) % FRAME)).reshape(-1, FRAME)
        if not self.has_noise:
            return whole
        return (whole + np.resize(noise(), whole.shape)).astype(np.int16)

    @cached_property
    def packets(self) -> tuple[bytes, ...]:
        return opus_packets(self.framed)

    @cached_property
    def at_16k(self) -> Sound:
        """(frames, 320), for inputs that take samples."""
        return to_16k(self.framed)

    def window_at_16k(self, *, is_encoded: bool) -> Sound:
        """(frames + 2 x EDGE_FRAMES, 320): the clip with the noise that a channel has before and behind it.

        is_encoded: as a receiver has it after decoding. Opus changes the audio.
        """
        edge = np.resize(noise(), (EDGE_FRAMES, FRAME))
        frames = np.concatenate([edge, self.framed, edge])
        return to_16k(opus_decoded(opus_packets(frames)) if is_encoded else frames)


def noise() -> Sound:
    """(NOISE_FRAMES, 960): one second of noise, for the time between the clips."""
    rng = np.random.default_rng(7)
    level = 32768 * 10 ** (NOISE_DBFS / 20)
    return np.round(rng.standard_normal((NOISE_FRAMES, FRAME)) * level).astype(np.int16)


def opus_packets(frames: Sound, kbps: int = 32) -> tuple[bytes, ...]:
    """One Opus packet for each frame. frames: (n, 960) int16. kbps: bit rate in kbit/s."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "s16"
    encoder.bit_rate = 1000 * kbps
    packets: list[bytes] = []
    for number, piece in enumerate(frames):
        frame = av.AudioFrame.from_ndarray(piece[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, number * FRAME, Fraction(1, RATE)
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return tuple(packets)


def opus_decoded(packets: Sequence[bytes]) -> Sound:
    """(n, 960) int16 at 48 kHz: the audio of the packets, in mono."""
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = RATE, "mono"
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet))]
    pieces = [piece.to_ndarray()[0] for frame in (*frames, None) for piece in resampler.resample(frame)]
    whole = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    return np.pad(whole, (0, -len(whole) % FRAME)).reshape(-1, FRAME)


def to_16k(frames: Sound) -> Sound:
    """(n, 960) at 48 kHz -> (n, 320) at 16 kHz, by removing the frequencies above 8 kHz."""
    flat = frames.reshape(-1).astype(np.float64)
    spectrum = np.fft.rfft(flat)[: len(flat) // 6 + 1]
    thin = np.fft.irfft(spectrum, len(flat) // 3) / 3
    return np.clip(np.round(thin), -32768, 32767).astype(np.int16).reshape(-1, FRAME // 3)


@dataclass(frozen=True)
class Voice:
    """The audio that one channel sends, frame by frame."""

    sayings: Sequence[Saying]  # in order
    starts: Sequence[int]  # the first frame of each
    clips: Sequence[Clip]
    silence: tuple[bytes, ...]
    silence_16k: Sound

    def packet(self, frame: int) -> bytes:
        if place := self.place(frame):
            return place[0].packets[place[1]]
        return self.silence[frame % len(self.silence)]

    def samples(self, frame: int) -> bytes:
        """320 samples of 16 bit at 16 kHz."""
        if place := self.place(frame):
            return bytes(place[0].at_16k[place[1]].tobytes())
        return bytes(self.silence_16k[frame % len(self.silence_16k)].tobytes())

    def place(self, frame: int) -> tuple[Clip, int] | None:
        """The clip at a frame, and the frame within it. Computed, because a table for an hour takes 300
        MB.
        """
        index = bisect_right(self.starts, frame) - 1
        if index < 0:
            return None
        clip, within = self.clips[self.sayings[index].clip], frame - self.starts[index]
        return (clip, within) if within < clip.frames else None


def voices(parts: Sequence[Part], clips: Sequence[Clip]) -> list[Voice]:
    bed = noise()
    silence, silence_16k = opus_packets(bed), to_16k(bed)
    said = [[saying for utterance in part.utterances for saying in utterance.sayings] for part in parts]
    return [Voice(each, [s.frame for s in each], clips, silence, silence_16k) for each in said]


# --- where clips come from ------------------------------------------------------------------------------


def spoken(language: str = "en", count: int = 48) -> list[Clip]:
    """The built-in phrases, spoken by espeak-ng. Raises StartError if espeak-ng is missing."""
    if not shutil.which("espeak-ng"):
        raise StartError(
            "espeak-ng, which speaks the test's phrases, is not installed: apt-get install espeak-ng, "
            "or give recordings with --audio DIR."
        )
    phrases = json.loads(PHRASES.read_text(encoding="utf-8"))["phrases"].get(language)
    if phrases is None:
        raise StartError(f"there are no built-in phrases in {language!r}; give recordings with --audio DIR.")
    return [_speak(text, language, number) for number, text in enumerate(phrases[:count])]


def _speak(text: str, language: str, number: int) -> Clip:
    voice = VOICES[language][number % len(VOICES[language])]
    wpm = WORDS_PER_MINUTE[number // 2 % len(WORDS_PER_MINUTE)]
    command = ["espeak-ng", "-v", voice, "-s", str(wpm), "--stdout", "--", text]
    said = subprocess.run(command, check=True, capture_output=True, timeout=60)
    return Clip(text, language, trimmed(decoded(io.BytesIO(said.stdout), f"espeak-ng's {text!r}")))


def given(folder: Path, language: str) -> list[Clip]:
    """The recordings in `folder`, each with its text in a .txt file. Raises StartError."""
    files = sorted(f for f in folder.glob("*") if f.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise StartError(f"{folder} contains no recordings ({', '.join(AUDIO_SUFFIXES)}).")
    missing = [file.name for file in files if not file.with_suffix(".txt").is_file()]
    if missing:
        raise StartError(
            f"{folder}: {missing[0]} has no words beside it ({Path(missing[0]).stem}.txt), "
            f"as have {len(missing) - 1} others."
            if len(missing) > 1
            else f"{folder}: {missing[0]} has no words beside it ({Path(missing[0]).stem}.txt)."
        )
    return [_given(file, language) for file in files]


def _given(file: Path, language: str) -> Clip:
    text = " ".join(file.with_suffix(".txt").read_text(encoding="utf-8").split())
    with file.open("rb") as opened:
        clip = Clip(text, language, trimmed(decoded(opened, file.name)))
    if not 200 <= clip.ms <= 25_000:
        raise StartError(f"{file} has {clip.ms / 1000:.1f} s of audio; a clip must be 0.2 to 25 s long.")
    return clip


def decoded(file: io.BytesIO | io.BufferedReader, name: str) -> Sound:
    """(n,) int16 at 48 kHz, mono."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    pieces: list[Sound] = []
    try:
        with av.open(file, "r") as container:
            for frame in (*container.decode(audio=0), None):
                pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
    except (av.FFmpegError, IndexError) as error:
        raise StartError(f"{name} cannot be read as audio: {error}") from error
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)


def trimmed(samples: Sound) -> Sound:
    """The samples without the quiet parts at both ends."""
    loud = np.abs(samples.astype(np.int32))
    over = np.flatnonzero(loud > loud.max(initial=0) * 10 ** (-EDGE_DB / 20))
    return samples[over[0] : over[-1] + 1] if len(over) else samples
