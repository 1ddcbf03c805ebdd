#!/usr/bin/env python3
"""Speak host_stt/measuring.wav, the audio with which `engine.model: auto` measures what a model costs.

Run by hand when the sentence changes; the file is committed. Needs espeak-ng. The clip ends with the last
word: silence would make a window look cheaper than speech of the same length.
"""

from __future__ import annotations

import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
from faster_whisper.audio import decode_audio

TARGET = Path(__file__).resolve().parent.parent / "host_stt" / "measuring.wav"
SENTENCE = (
    "Control, this is the gate team. Two vehicles are waiting at the north entrance, "
    "and the drivers ask for directions."
)
VOICE = "en-us"
WORDS_PER_MINUTE = 170
SAMPLE_RATE = 16_000
SILENT_BELOW = 0.01  # of full scale


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        command = ["espeak-ng", "-v", VOICE, "-s", str(WORDS_PER_MINUTE), "-w", str(spoken), SENTENCE]
        subprocess.run(command, check=True)
        samples = decode_audio(str(spoken), sampling_rate=SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(samples) > SILENT_BELOW)
    samples = samples[loud[0] : loud[-1] + 1]
    with wave.open(str(TARGET), "wb") as clip:
        clip.setnchannels(1)
        clip.setsampwidth(2)
        clip.setframerate(SAMPLE_RATE)
        clip.writeframes((samples * 32767).astype("<i2").tobytes())
    print(f"{TARGET.name}: {len(samples) / SAMPLE_RATE:.2f} s, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
