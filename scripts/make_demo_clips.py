#!/usr/bin/env python3
"""Make the test clips of the microphone page: text in, demo/clips/*.mp3 and clips.json out.

Run it by hand when a phrase changes; the clips are committed. Needs espeak-ng. The format is MP3, because
every browser decodes it (Safari only decodes Ogg since 2025), and two clips together take under 100 kB.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import av

CLIPS = Path(__file__).resolve().parent.parent / "demo" / "clips"
BIT_RATE = 48_000
SAMPLE_RATE = 24_000
LEAD_MS = 400  # silence before the clip, because real speech does not begin at the first sample


@dataclass(frozen=True, slots=True)
class Clip:
    language: str
    file: str
    text: str
    voice: str
    words_per_minute: int


PHRASES = (
    Clip("en", "en.mp3", "alpha one proceed to gate seven over", "en-us", 150),
    Clip("ko", "ko.mp3", "알파원 정문으로 이동하라 이상", "ko", 150),
)


def speak(clip: Clip, wav: Path) -> None:
    command = ["espeak-ng", "-v", clip.voice, "-s", str(clip.words_per_minute), "-w", str(wav), clip.text]
    subprocess.run(command, check=True)


def encode(wav: Path, mp3: Path) -> None:
    with av.open(str(wav)) as source, av.open(str(mp3), "w") as target:
        stream = target.add_stream("libmp3lame", rate=SAMPLE_RATE, bit_rate=BIT_RATE, layout="mono")
        graph = av.filter.Graph()
        tones = source.streams.audio[0]
        ends = (
            graph.add_abuffer(template=tones),
            graph.add("adelay", str(LEAD_MS)),
            graph.add("aformat", f"sample_fmts=s16p:sample_rates={SAMPLE_RATE}:channel_layouts=mono"),
            graph.add("asetnsamples", "1152"),
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


def main() -> None:
    CLIPS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for clip in PHRASES:
            wav = Path(folder) / "spoken.wav"
            speak(clip, wav)
            encode(wav, CLIPS / clip.file)
            print(f"{clip.file}: {(CLIPS / clip.file).stat().st_size} bytes, “{clip.text}”")
    body = [asdict(clip) for clip in PHRASES]
    (CLIPS / "clips.json").write_text(json.dumps(body, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
