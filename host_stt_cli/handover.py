"""The engine's settings on their way from `serve` to its child: one line of JSON through a pipe.

The token goes this way too, so it never stands in a list of processes.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import SecretStr

from host_stt.config import EngineConfig
from host_stt_cli.config import Config


def to_line(config: Config, port: int) -> bytes:
    """What the parent writes. port: the one chosen, where the settings leave it open."""
    settings = config.engine_in_force()
    body: dict[str, Any] = settings.model_dump(mode="json", exclude={"token"})
    token = settings.token.get_secret_value() if settings.token else None
    return json.dumps({"engine": {**body, "port": port}, "token": token, "level": config.log.level}).encode()


def from_line(line: bytes) -> tuple[EngineConfig, str]:
    """(settings, log level) of `to_line`."""
    body = json.loads(line)
    settings = EngineConfig.model_validate(body["engine"])
    token = SecretStr(body["token"]) if body["token"] else None
    return settings.model_copy(update={"token": token}), body["level"]
