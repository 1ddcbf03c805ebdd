#!/usr/bin/env python3
"""Make the clips of the pages: text in, audio and JSON in demo/clips out.

Run it by hand when a phrase changes; the clips are committed. Needs espeak-ng. The test clips of the
microphone page are MP3, because every browser decodes it (Safari only decodes Ogg since 2025). The clips of
the simulated channels are Ogg Opus, because only the server decodes them and they are a third of the size.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import av

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
_RADIO_EN = (
    "alpha one proceed to gate seven over",
    "bravo two we are at the north entrance, the gate is closed",
    "tower two, radio check, how copy",
    "all units hold your position, stand by",
    "medic four send a medic to the car park please",
    "security three, there is smoke at the loading dock",
    "engine five, on my way to checkpoint four, ten minutes",
    "camera two hold that shot, cue the lights",
    "base, this is blue six, nothing to report, out",
    "delta nine, lost child found at platform two, over",
)
_RADIO_KO = (
    "알파원 정문으로 이동하라 이상",
    "브라보투 현재 위치 보고하라",
    "본부 수신 양호 환자 두명 이송 중 이상",
    "찰리쓰리 주차장 연기 발생 구급차 보내라",
    "전 대원 대기하라 무대 통제 완료",
    "블루원 옥상 이상 없음 관제실로 복귀하라",
)
_VOICES_EN = ("en-us", "en-gb", "en-us+m3", "en-gb+f2", "en-us+f3")
_VOICES_KO = ("ko", "ko+f2", "ko+m3")
RADIO_PHRASES = (
    *(
        Clip("en", f"en-{i + 1:02}.ogg", text, _VOICES_EN[i % len(_VOICES_EN)], 145 + i % 3 * 8)
        for i, text in enumerate(_RADIO_EN)
    ),
    *(
        Clip("ko", f"ko-{i + 1:02}.ogg", text, _VOICES_KO[i % len(_VOICES_KO)], 145 + i % 3 * 8)
        for i, text in enumerate(_RADIO_KO)
    ),
)


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


def make(folder: Path, clips: tuple[Clip, ...], codec: Codec, index: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        for clip in clips:
            wav = Path(temporary) / "spoken.wav"
            speak(clip, wav)
            encode(wav, folder / clip.file, codec)
            print(f"{clip.file}: {(folder / clip.file).stat().st_size} bytes, “{clip.text}”")
    body = [asdict(clip) for clip in clips]
    (folder / index).write_text(json.dumps(body, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(CLIPS, PHRASES, MP3, "clips.json")
    make(RADIO, RADIO_PHRASES, OPUS, "clips.json")
