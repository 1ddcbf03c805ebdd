"""Reads the clips of the lab with the engine in this process, and keeps every result on disk.

A result is found again by a hash of the audio, the model, the settings and the terms. So a change of the text
stage or of the scores needs no decode.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from host_stt.config import EngineConfig
from host_stt.contract import WINDOW_SAMPLES_MAX, Priority, Transcript, Window, Word
from host_stt.engines.configured import load_whisper
from host_stt.engines.whisper import WhisperEngine
from host_stt.resolving import resolve_model
from host_stt_cli.errors import StartError
from host_stt_cli.glossary_lab.audio_set import Clip, read_audio

BATCH = 8
ENGINE_STATE = 4
"""Raise it when the engine's text for the same window changes; old results are then not used."""


def default_cache() -> Path:
    """The folder for results on this machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "host-stt" / "glossary-lab"


@dataclass(frozen=True, slots=True)
class Read:
    """What the engine wrote for a clip."""

    text: str
    words: tuple[Word, ...]


class LabReader:
    """Loads the model at the first clip that is not in the cache. cache: None keeps nothing."""

    def __init__(self, config: EngineConfig, cache: Path | None) -> None:
        self._config = config
        self._cache = cache
        self._engine: WhisperEngine | None = None
        self._model = resolve_model(config)
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)

    @property
    def model(self) -> str:
        return self._model.name

    def read(
        self, folder: Path, clips: Sequence[Clip], terms: Sequence[Sequence[str]]
    ) -> Iterator[tuple[Clip, Read]]:
        """The results of the clips, in order. terms: for each clip; empty: without a glossary.

        Raises StartError when a clip cannot be decoded.
        """
        for start in range(0, len(clips), BATCH):
            part = range(start, min(start + BATCH, len(clips)))
            windows = [_window(folder, clips[n], terms[n]) for n in part]
            yield from zip((clips[n] for n in part), self._batch(windows), strict=True)

    def _batch(self, windows: Sequence[Window]) -> Iterator[Read]:
        files = [self._file(window) for window in windows]
        known = [_from_file(file) for file in files]
        missing = [n for n, one in enumerate(known) if one is None]
        if missing:
            answers = self._loaded().decode([windows[n] for n in missing])
            for n, answer in zip(missing, answers, strict=True):
                if not isinstance(answer, Transcript):
                    raise StartError(f"{windows[n].channel}: {answer.message}.")
                known[n] = one = Read(answer.text, answer.words)
                _to_file(files[n], one)
        yield from (one for one in known if one is not None)

    def _loaded(self) -> WhisperEngine:
        if self._engine is None:
            self._engine = load_whisper(self._config, self._model)
        return self._engine

    def _file(self, window: Window) -> Path | None:
        if self._cache is None:
            return None
        config, weights = self._config, (self._model.path / "model.bin").stat().st_size
        about: list[object] = [self._model.name, weights, config.beam_size, config.final_window.value]
        if window.terms:
            about += [config.terms_use.value, config.terms_form.value, config.terms_tokens, *window.terms]
        digest = hashlib.sha256(window.samples.tobytes())
        digest.update(json.dumps([ENGINE_STATE, window.language, *about]).encode())
        return self._cache / f"{digest.hexdigest()[:32]}.json"


def _window(folder: Path, clip: Clip, terms: Sequence[str]) -> Window:
    samples = read_audio(folder / clip.audio)
    if len(samples) > WINDOW_SAMPLES_MAX:
        raise StartError(f"{folder / clip.audio} is longer than 30 s; cut it into utterances.")
    name = hashlib.sha256(clip.audio.encode()).hexdigest()[:16]
    return Window(name, "lab", samples, 0, Priority.FINAL, clip.language, tuple(terms))


def _from_file(file: Path | None) -> Read | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file is not None else None
    except (OSError, ValueError):
        return None
    return None if found is None else Read(found["text"], tuple(Word(*word) for word in found["words"]))


def _to_file(file: Path | None, read: Read) -> None:
    if file is not None:
        words = [[w.text, w.start_sample, w.end_sample, w.probability, w.leading_space] for w in read.words]
        body = {"text": read.text, "words": words}
        file.write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
