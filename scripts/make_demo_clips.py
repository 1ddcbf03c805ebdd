#!/usr/bin/env python3
"""Make the clips of the pages: text in, audio and JSON in demo/clips out.

Run it by hand when a phrase changes; the clips are committed. Needs espeak-ng, and for the simulated channels
`pip install hibari-tts==0.2.1` (Apache-2.0). The test clips of the microphone page are MP3, because every
browser decodes it (Safari only decodes Ogg since 2025). The clips of the simulated channels are Ogg Opus,
because only the server decodes them and they are a third of the size. Their voice is a natural one, because
Whisper misreads espeak-ng; for Korean there is no natural voice with a free licence, so they are English.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import wave
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

CLIPS = Path(__file__).resolve().parent.parent / "demo" / "clips"
RADIO = CLIPS / "radio"
SAMPLE_RATE = 24_000
LEAD_MS = 400  # silence before the clip, because real speech does not begin at the first sample


@dataclass(frozen=True, slots=True)
class Clip:
    language: str
    file: str
    text: str
    voice: str
    words_per_minute: int


@dataclass(frozen=True, slots=True)
class Codec:
    name: str
    bit_rate: int
    sample_format: str
    frame_samples: int


MP3 = Codec("libmp3lame", 48_000, "s16p", 1152)
OPUS = Codec("libopus", 24_000, "s16", 480)

PHRASES = (
    Clip("en", "en.mp3", "alpha one proceed to gate seven over", "en-us", 150),
    Clip("ko", "ko.mp3", "알파원 정문으로 이동하라 이상", "ko", 150),
)
RADIO_TEXTS = (
    "Alpha one, proceed to gate seven, over.",
    "Bravo two, we are at the north entrance. The gate is closed.",
    "Tower two, radio check. How do you read?",
    "All units, hold your position and stand by.",
    "Medic four, please send a medic to the car park.",
    "Security three, there is smoke at the loading dock.",
    "Engine five, on my way to checkpoint four. Ten minutes.",
    "Camera two, hold that shot. Cue the lights.",
    "Base, this is blue seven. Nothing to report. Out.",
    "Delta nine, we have found the lost child at platform two.",
    "Dispatch, the road is blocked by a fallen tree near the bridge.",
    "Copy that, we are returning to base for fuel.",
)
PITCHES = (1.0, 0.94, 1.05)
"""One voice at three pitches and speeds, so that the channels do not all have the same speaker."""


def natural(text: str, pitch: float, wav: Path) -> None:
    """Speak `text` with hibari's voice, `pitch` times as high and as fast."""
    from hibari import Hibari  # only for this script, so it is no dependency of the project

    samples = Hibari()(text)
    with wave.open(str(wav), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(round(SAMPLE_RATE * pitch))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def speak(clip: Clip, wav: Path) -> None:
    command = ["espeak-ng", "-v", clip.voice, "-s", str(clip.words_per_minute), "-w", str(wav), clip.text]
    subprocess.run(command, check=True)


def encode(wav: Path, out: Path, codec: Codec) -> None:
    with av.open(str(wav)) as source, av.open(str(out), "w") as target:
        stream = target.add_stream(codec.name, rate=SAMPLE_RATE, bit_rate=codec.bit_rate, layout="mono")
        graph = av.filter.Graph()
        tones = source.streams.audio[0]
        ends = (
            graph.add_abuffer(template=tones),
            graph.add("adelay", str(LEAD_MS)),
            graph.add(
                "aformat",
                f"sample_fmts={codec.sample_format}:sample_rates={SAMPLE_RATE}:channel_layouts=mono",
            ),
            graph.add("asetnsamples", str(codec.frame_samples)),
            graph.add("abuffersink"),
        )
        graph.link_nodes(*ends).configure()
        for frame in source.decode(tones):
            ends[0].push(frame)
            _drain(ends[-1], target, stream)
        ends[0].push(None)
        _drain(ends[-1], target, stream)
        target.mux(stream.encode(None))


def _drain(
    sink: av.filter.context.FilterContext, target: av.container.OutputContainer, stream: av.AudioStream
) -> None:
    while True:
        try:
            frame = sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        frame.pts = None
        target.mux(stream.encode(frame))


def write_index(folder: Path, clips: list[dict[str, Any]]) -> None:
    text = json.dumps(clips, ensure_ascii=False, indent=2)
    (folder / "clips.json").write_text(text + "\n", encoding="utf-8")


def make_test_clips(wav: Path) -> None:
    for clip in PHRASES:
        speak(clip, wav)
        encode(wav, CLIPS / clip.file, MP3)
    write_index(CLIPS, [asdict(clip) for clip in PHRASES])


def make_radio_clips(wav: Path) -> None:
    RADIO.mkdir(parents=True, exist_ok=True)
    clips = []
    for number, text in enumerate(RADIO_TEXTS):
        natural(text, PITCHES[number % len(PITCHES)], wav)
        file = f"en-{number + 1:02}.ogg"
        encode(wav, RADIO / file, OPUS)
        clips.append({"language": "en", "file": file, "text": text})
    write_index(RADIO, clips)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        make_test_clips(Path(temporary) / "spoken.wav")
        make_radio_clips(Path(temporary) / "spoken.wav")
