"""Change the model of a running `host-stt serve`: write the configuration, restart the engine.

Of the configuration, a restart reads engine.model again and nothing else. Channels keep their audio
meanwhile, and their text waits. Invariant: one change at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from host_stt_cli.config import Config
from host_stt_cli.config_writer import config_to_change, write_model
from host_stt_cli.engine_process import EngineProcess
from host_stt_cli.errors import StartError
from host_stt_cli.options import ConfigOptions
from webrtc_host.desk.model_api import AUTO, ModelNotChanged


class ModelChange:
    """The change for the engine of this process."""

    def __init__(
        self,
        config: Config,
        file: Path,
        options: ConfigOptions,
        line_of: Callable[[Config], bytes],
        engine: EngineProcess,
    ) -> None:
        """config: in force, read from `file` with `options`. line_of: what the engine reads at its start."""
        self._config = config
        self._file = file
        self._options = options
        self._line_of = line_of
        self._engine = engine
        self._one_at_a_time = asyncio.Lock()

    async def use(self, name: str) -> str:
        """Write engine.model into the configuration, restart the engine, and say so.

        Raises ModelNotChanged where the file cannot be changed or does not count.
        """
        if self._is_set_on_the_command_line:
            raise ModelNotChanged(
                "the server was started with --set engine.model, which counts more than the configuration; "
                "start it without"
            )
        async with self._one_at_a_time:
            try:
                await asyncio.to_thread(write_model, config_to_change(self._file), name)
            except StartError as error:
                raise ModelNotChanged(error.message) from error
            return await self._restart()

    async def restart(self) -> str:
        """Restart the engine with the model that the configuration names now, and say what was done."""
        async with self._one_at_a_time:
            return await self._restart()

    async def _restart(self) -> str:
        try:
            model = self._options.load().config.engine.model
        except StartError as error:
            return f"the engine was not restarted: {'; '.join(error.message.splitlines())}"
        if model == self._config.engine.model and model != AUTO:
            why = ""
            if self._is_set_on_the_command_line:
                why = ": --set engine.model on its command line counts more than the configuration"
            return f"the engine was not restarted: this server uses engine.model {model} already{why}"
        engine = self._config.engine.model_copy(update={"model": model})
        self._config = self._config.model_copy(update={"engine": engine})
        await self._engine.restart(self._line_of(self._config))
        return (
            f"the engine is restarted with engine.model: {model}; channels keep their audio, and their text "
            f"waits for some seconds"
        )

    @property
    def _is_set_on_the_command_line(self) -> bool:
        return any(item.partition("=")[0].strip() == "engine.model" for item in self._options.sets)
