"""The speech room put together: the way to the engine, the glossary, and a pipeline for every open channel.

Owns their lifetimes and nothing of what they do.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from webrtc_host.channel import Channel, Pipeline
from webrtc_host.config import MediaProcessConfig
from webrtc_host.errors import ConfigError
from webrtc_host.speech.glossary import Glossary, GlossaryError
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.transcriber import EngineClient, TranscriberConfig

logger = logging.getLogger(__name__)

GLOSSARY_FILE = "glossary.yaml"


class SpeechRoom:
    """Made once for the process; `running` is its cleanup context."""

    def __init__(self, config: MediaProcessConfig) -> None:
        self._config = config
        self.ids = Ids()
        self.glossary = Glossary(config.data.dir / GLOSSARY_FILE)
        self.engine = EngineClient(TranscriberConfig(url=config.engine_url, token=config.token_for_engine))

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        self._load_glossary()
        await self.engine.start()
        yield
        await self.engine.close()

    def make_pipeline(self, channel: Channel) -> Pipeline:
        """What reads the audio of a channel that has just opened."""
        raise NotImplementedError

    def statistics(self) -> dict[str, float]:
        figures = self.engine.statistics()
        names = ("is_connected", "waiting", "in_flight", "answered", "shed", "failed", "retried", "resent")
        return {name: float(getattr(figures, name)) for name in names}

    def _load_glossary(self) -> None:
        """The glossary of the data folder; on a first start, a copy of the one that came with the program."""
        path = self._config.data.dir / GLOSSARY_FILE
        try:
            _copy_once(self._config.glossary_file, path)
            self.glossary.load()
        except (GlossaryError, OSError) as error:
            raise ConfigError(f"the glossary cannot be used: {error}") from error


def _copy_once(source: Path | None, path: Path) -> None:
    if source is None or path.exists() or not source.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
