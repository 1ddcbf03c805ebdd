"""Pass the engine's settings from `serve` to its child: one line of JSON through a pipe.

The tokens are sent this way too, so they never appear in a list of processes. One of them is the secret that
`serve` makes for requests between its two servers.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from pydantic import SecretStr

from host_stt.config import EngineConfig
from host_stt_cli.config import Config


def pair_secret(config: Config) -> str | None:
    """A token for the requests of 8082 to the engine; None if no token is required.

    If only `auth.tokens` is set and `auth.token` is not, the engine would have no token without this one and
    would accept every caller.
    """
    return secrets.token_urlsafe(32) if config.asks_token else None


def to_line(config: Config, port: int, pair_secret: str | None = None) -> bytes:
    """The line that the parent writes. port: the chosen port, because the settings may leave it open (0)."""
    settings = config.engine_in_force(pair_secret)
    body: dict[str, Any] = settings.model_dump(mode="json", exclude={"token", "tokens"})
    token = settings.token.get_secret_value() if settings.token else None
    tokens = [one.get_secret_value() for one in settings.tokens]
    secret = {"token": token, "tokens": tokens}
    return json.dumps({"engine": {**body, "port": port}, **secret, "level": config.log.level}).encode()


def from_line(line: bytes) -> tuple[EngineConfig, str]:
    """Read the line of `to_line`; returns (settings, log level)."""
    body = json.loads(line)
    settings = EngineConfig.model_validate(body["engine"])
    token = SecretStr(body["token"]) if body["token"] else None
    tokens = tuple(SecretStr(one) for one in body["tokens"])
    return settings.model_copy(update={"token": token, "tokens": tokens}), body["level"]
