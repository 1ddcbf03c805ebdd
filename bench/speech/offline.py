"""The same recordings through `faster_whisper.transcribe`, whole and at leisure: what the weights can do.

Greedy (beam 1) and beam 5, every other option as the library has it; the language is given. Texts are kept in
a file by recording, model and decoder, because they do not change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faster_whisper import WhisperModel

from bench.speech.clips import Recording

BEAMS = {"offline greedy": 1, "offline beam 5": 5}


class Offline:
    """Reads recordings with one model. kept: a JSON file of texts; None keeps nothing."""

    def __init__(self, model: Path, kept: Path | None) -> None:
        self._folder, self._file = model, kept
        self._model: WhisperModel | None = None
        self._sha256 = hashlib.sha256((model / "model.bin").read_bytes()).hexdigest()
        self._texts: dict[str, str] = {}
        if kept is not None and kept.is_file():
            self._texts = json.loads(kept.read_text(encoding="utf-8"))

    def read(self, recordings: Sequence[Recording]) -> list[dict[str, str]]:
        """The texts of each recording by decoder name; nothing for recordings without speech."""
        texts = [self._of(one) if one.is_speech else {} for one in recordings]
        if self._file is not None:
            self._file.write_text(json.dumps(self._texts, ensure_ascii=False, indent=0), encoding="utf-8")
        return texts

    def _of(self, recording: Recording) -> dict[str, str]:
        return {name: self._text(recording, name, beam) for name, beam in BEAMS.items()}

    def _text(self, recording: Recording, name: str, beam: int) -> str:
        key = f"{recording.sha256} {self._sha256} {name}"
        if key not in self._texts:
            segments, _ = self._loaded().transcribe(
                recording.samples, language=recording.language, beam_size=beam
            )
            self._texts[key] = " ".join(segment.text.strip() for segment in segments)
        return self._texts[key]

    def _loaded(self) -> Any:
        if self._model is None:
            self._model = WhisperModel(str(self._folder), device="cpu", compute_type="int8")
        return self._model
