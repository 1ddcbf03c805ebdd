"""The recordings of an evaluation: where they are, what is said in them, and in which kind of speech.

A folder holds `LANGUAGE/NAME.flac` with the spoken words in `LANGUAGE/NAME.txt`, and `nonspeech/NAME.flac`
without words. The kind of a recording is in its name: `en-tel-hello.flac` is a telephone recording.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from faster_whisper.audio import decode_audio

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_cli.errors import StartError
from host_stt_common.languages import read_language

SUFFIXES = frozenset({".flac", ".wav", ".mp3", ".ogg", ".opus", ".m4a"})
NONSPEECH = "nonspeech"  # name of the folder, and of the kind
KINDS = {
    "callsign": "numbers",
    "cmd": "command",
    "conv": "spontaneous",
    "num": "numbers",
    "radiosim": "radio",
    "talk": "spontaneous",
    "tel": "telephone",
}
"""From the second part of a file name to the kind; a part that is not listed is the kind itself."""


@dataclass(frozen=True)
class Recording:
    path: Path
    language: str  # a code; empty for non-speech
    kind: str
    words: str = ""  # what is said; empty for non-speech
    audio: Float32Array | None = field(default=None, compare=False)  # generated, in place of a file

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def is_speech(self) -> bool:
        return self.kind != NONSPEECH

    @property
    def group(self) -> str:
        """The row of the report that this recording belongs to."""
        return f"{self.language} {self.kind}" if self.is_speech else self.kind

    @cached_property
    def samples(self) -> Float32Array:
        """(n,) float32 at 16 kHz."""
        if self.audio is not None:
            return self.audio
        samples: Float32Array = decode_audio(str(self.path), sampling_rate=SAMPLE_RATE)
        return samples

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def recordings_in(folder: Path, limit: int | None = None, kinds: Sequence[str] = ()) -> list[Recording]:
    """The recordings below a folder, in order of their names.

    limit: at most so many of each group. kinds: only these groups or kinds; empty: all. Raises StartError
    when a recording in a language has no words beside it, and when nothing is left.
    """
    found = [_recording(path) for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
    wanted = [one for one in found if not kinds or {one.group, one.kind} & set(kinds)]
    counts: Counter[str] = Counter()
    chosen: list[Recording] = []
    for one in wanted:
        counts[one.group] += 1
        if limit is None or counts[one.group] <= limit:
            chosen.append(one)
    if not chosen:
        known = ", ".join(sorted({one.group for one in found})) or "no recording at all"
        raise StartError(f"{folder} holds no recording to play: it holds {known}.")
    return chosen


def _recording(path: Path) -> Recording:
    if path.parent.name == NONSPEECH:
        return Recording(path, "", NONSPEECH)
    language = read_language(path.parent.name)
    if language is None:
        raise StartError(
            f"{path}: the folder {path.parent.name!r} is no language; put recordings in folders such as "
            f"en, ko or {NONSPEECH}."
        )
    words = path.with_suffix(".txt")
    if not words.is_file():
        raise StartError(f"{path} has no words beside it; write what is said to {words.name}.")
    return Recording(path, language, _kind(path.stem), " ".join(words.read_text(encoding="utf-8").split()))


def _kind(stem: str) -> str:
    """`en-tel-hello` is telephone; a name without such a part is `other`."""
    parts = stem.split("-")
    return KINDS.get(parts[1], parts[1]) if len(parts) > 2 else "other"
