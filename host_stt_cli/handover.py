"""The engine's settings on their way from `serve` to its child: one line of JSON through a pipe.

The tokens go this way too, so they never stand in a list of processes; among them the secret that `serve`
makes for its own two servers.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from pydantic import SecretStr

from host_stt.config import EngineConfig
from host_stt_cli.config import Config


def pair_secret(config: Config) -> str | None:
    """A token for 8082 to call the engine with, where callers are asked for one; else None.

    Without it an engine that knows no `auth.token` (only `auth.tokens` is set) would ask nobody.
    """
    return secrets.token_urlsafe(32) if config.asks_token else None


def to_line(config: Config, port: int, pair_secret: str | None = None) -> bytes:
    """What the parent writes. port: the one chosen, where the settings leave it open."""
    settings = config.engine_in_force(pair_secret)
    body: dict[str, Any] = settings.model_dump(mode="json", exclude={"token", "tokens"})
    token = settings.token.get_secret_value() if settings.token else None
    tokens = [one.get_secret_value() for one in settings.tokens]
    secret = {"token": token, "tokens": tokens}
    return json.dumps({"engine": {**body, "port": port}, **secret, "level": config.log.level}).encode()


def from_line(line: bytes) -> tuple[EngineConfig, str]:
    """(settings, log level) of `to_line`."""
    body = json.loads(line)
    settings = EngineConfig.model_validate(body["engine"])
    token = SecretStr(body["token"]) if body["token"] else None
    tokens = tuple(SecretStr(one) for one in body["tokens"])
    return settings.model_copy(update={"token": token, "tokens": tokens}), body["level"]
