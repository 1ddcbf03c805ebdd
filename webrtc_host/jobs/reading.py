"""Reads one channel of a recording as stretches: audio in order, with the piece of it that holds speech.

Blocking: use `reader()`, one thread for all jobs. `host_stt_common.audio_file` decodes,
`host_stt_common.cutting` finds pauses. Invariants: the stretches of a channel follow each other without a gap
or an overlap; about a minute of audio is in memory at most, whatever the length of the recording. A reading
that begins in the middle cuts as the one from the beginning did, so a kill does not change the text.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_common.audio_facts import AudioFacts
from host_stt_common.audio_file import AudioFile
from host_stt_common.audio_tracks import FRAME, Detector
from host_stt_common.cutting import Cutter
from host_stt_common.leveling import levelled
from webrtc_host.jobs.probing import PlannedChannel
from webrtc_host.speech.vad import VadConfig, make_detector

TURN_BLOCKS = 4
"""Blocks of one second between two turns of the thread: another job may read in between, and `channels` lets
the thread rest while somebody speaks."""
CHUNK_SAMPLES = 4 * SAMPLE_RATE  # 125 frames
"""The detector gets chunks that begin at multiples of this, wherever reading begins: the gain for quiet
speech depends on the chunk."""
WARM_UP_CHUNKS = 2
"""Audio before the place where reading begins, for the detector: its result depends on the last seconds."""
SILENCE_SAMPLES = 20 * SAMPLE_RATE
"""Silence is handed on in stretches of this length, so that progress shows."""


@dataclass(frozen=True, slots=True)
class Windows:
    """`cutting.CutLimits` of a model, in samples."""

    window_samples: int
    pause_samples: int


WHISPER_WINDOWS = Windows(14 * SAMPLE_RATE, 2 * SAMPLE_RATE)
"""Whisper pads a window to 10, 15, 20 or 30 s, and its cost follows the padded length. 14 s: a live final
waits for one such window at most, and most of the 15 s are used."""
STARTER_WINDOWS = Windows(12 * SAMPLE_RATE, SAMPLE_RATE // 2)
"""The starter model was trained on single phrases."""


def windows_for(*, is_starter: bool | None, is_ready: bool) -> Windows | None:
    """The limits for the engine's model. None: the engine has not reported its model yet.

    A job waits for it: other limits after a restart would cut the rest of its recording in another way.
    """
    if is_starter is None and not is_ready:
        return None
    return STARTER_WINDOWS if is_starter else WHISPER_WINDOWS


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a channel. samples: (n,) float32. speech: first sample and end, on the recording's timeline.

    is_text: False: its text is in the record already; only the archive lacks its audio.
    """

    start_sample: int
    samples: Float32Array
    speech: tuple[int, int] | None = None
    is_text: bool = True

    @property
    def end_sample(self) -> int:
        return self.start_sample + len(self.samples)

    @property
    def window(self) -> Float32Array:
        """The samples of the speech."""
        assert self.speech is not None
        start, end = self.speech
        return self.samples[start - self.start_sample : end - self.start_sample]


class Turn:
    """No stretch yet; the thread may continue with another job."""


@dataclass(frozen=True, slots=True)
class ReadFrom:
    """Where reading begins. text_sample: up to here there is text. audio_sample: up to here there is audio in
    the archive.
    """

    text_sample: int = 0
    audio_sample: int = 0

    @property
    def cut_sample(self) -> int:
        """The first sample to cut: the first whole frame without text."""
        return -(-self.text_sample // FRAME) * FRAME

    @property
    def listen_sample(self) -> int:
        """The first sample for the detector."""
        return max(0, self.cut_sample // CHUNK_SAMPLES - WARM_UP_CHUNKS) * CHUNK_SAMPLES


class ChannelReader:
    """One channel of one recording. Call `next` until it returns AudioFacts, and `close` in any case."""

    def __init__(
        self,
        path: Path,
        planned: PlannedChannel,
        windows: Windows,
        seconds_max: int,
        *,
        name: str = "",
        start: ReadFrom = ReadFrom(),
        detector: Callable[[], Detector] | None = None,
    ) -> None:
        """name: of the file, from its sender."""
        self._path, self._planned, self._windows = path, planned, windows
        self._seconds_max, self._name, self._start = seconds_max, name, start
        self._make_detector = detector or voice_detector
        self._steps = self._read()

    def next(self) -> Stretch | Turn | AudioFacts:
        """Raises AudioFileError for a file that cannot be read any further."""
        try:
            return next(self._steps)
        except StopIteration as end:
            facts: AudioFacts = end.value
            return facts

    def close(self) -> None:
        self._steps.close()

    def _read(self) -> Generator[Stretch | Turn, None, AudioFacts]:
        planned, start = self._planned, self._start
        cutting = _Cutting(start, self._windows, self._make_detector())
        early = _Early(start)
        with AudioFile(
            self._path, self._seconds_max, name=self._name, track=planned.track, side=planned.side
        ) as opened:
            at = 0
            for number, samples in enumerate(opened, start=1):
                first, at = at, at + len(samples)
                yield from early.take(first, samples)
                if at > start.listen_sample:
                    yield from cutting.feed(samples[max(0, start.listen_sample - first) :])
                if number % TURN_BLOCKS == 0:
                    yield Turn()
            yield from cutting.flush()
            return opened.facts


class _Early:
    """Audio that has text already, and that the archive lacks: after a crash, a few seconds at most."""

    def __init__(self, start: ReadFrom) -> None:
        self._start = start

    def take(self, first: int, samples: Float32Array) -> Generator[Stretch, None, None]:
        low = max(first, self._start.audio_sample)
        high = min(first + len(samples), self._start.cut_sample)
        if low < high:
            yield Stretch(low, samples[low - first : high - first].copy(), is_text=False)


class _Cutting:
    """Cuts the audio from `cut_sample` on; it gets the audio from `listen_sample` on."""

    def __init__(self, start: ReadFrom, windows: Windows, detector: Detector) -> None:
        self._detector = detector
        self._skip = start.cut_sample - start.listen_sample  # only for the detector's state
        self._unheard: Float32Array = np.zeros(0, np.float32)
        self._heard: Float32Array = np.zeros(0, np.float32)  # probabilities that the cutter has not taken yet
        self._origin = self._at = start.cut_sample  # handed on up to `_at`
        self._held: Float32Array = np.zeros(0, np.float32)
        self._cutter = Cutter(windows, self._taken)

    def feed(self, samples: Float32Array) -> Generator[Stretch, None, None]:
        self._unheard = np.concatenate((self._unheard, samples))
        while len(self._unheard) >= CHUNK_SAMPLES:
            chunk, self._unheard = self._unheard[:CHUNK_SAMPLES], self._unheard[CHUNK_SAMPLES:]
            yield from self._cut(chunk)

    def flush(self) -> Generator[Stretch, None, None]:
        yield from self._cut(self._unheard)
        for piece in self._cutter.flush():
            yield self._upto(self._origin + piece.end_sample, self._origin + piece.start_sample)
        if len(self._held):
            yield self._upto(self._at + len(self._held))

    def _cut(self, chunk: Float32Array) -> Generator[Stretch, None, None]:
        if not len(chunk):
            return
        heard = self._detector(np.pad(chunk, (0, -len(chunk) % FRAME)))
        skipped = min(self._skip, len(chunk))
        self._skip -= skipped
        self._heard = np.concatenate((self._heard, heard[skipped // FRAME :]))
        samples = chunk[skipped:]
        self._held = np.concatenate((self._held, samples))
        for piece in self._cutter.feed(samples):
            yield self._upto(self._origin + piece.end_sample, self._origin + piece.start_sample)
        decided = self._origin + self._cutter.decided_sample
        if decided - self._at >= SILENCE_SAMPLES:
            yield self._upto(decided)

    def _taken(self, samples: Float32Array) -> Float32Array:
        """The probabilities of the next samples, for the cutter."""
        frames = len(samples) // FRAME
        taken, self._heard = self._heard[:frames], self._heard[frames:]
        return taken

    def _upto(self, end: int, speech_start: int | None = None) -> Stretch:
        samples = self._held[: end - self._at].copy()
        self._held = self._held[len(samples) :]
        start, self._at = self._at, self._at + len(samples)
        speech = None if speech_start is None else (max(start, speech_start), self._at)
        return Stretch(start, samples, speech)


def voice_detector() -> Detector:
    """The speech detector of live channels, for blocks of a recording; quiet speech is raised first."""
    detector = make_detector(VadConfig())

    def probabilities(samples: Float32Array) -> Float32Array:
        frames = levelled(samples).reshape(-1, FRAME)
        return np.array([detector.probability(frame) for frame in frames], np.float32)

    return probabilities


@lru_cache(maxsize=1)
def reader() -> ThreadPoolExecutor:
    """The thread that decodes recordings; it starts when it is first needed.

    It has the priority of the process. With a lower one, the kernel takes the processor from it on a busy
    machine while it holds the interpreter's lock, and the event loop of all live channels waits for that
    thread (docs/explanation/jobs.md).
    """
    return ThreadPoolExecutor(1, thread_name_prefix="read-jobs")
