"""Errors of 8082 by whose they are.

    RequestError   theirs: a code, a status, a plain sentence (host_stt.contract)
     └ Overloaded  ours for the moment: 429 or 503 with Retry-After
    EngineError    one window could not be decoded; the channel goes on
    StoreError     the record is degraded; text still flows
    ConfigError    the server cannot start like this; one sentence, exit status 2

Anything else is a bug: one traceback, that connection closes with an error event, the others live.
"""

from __future__ import annotations

from host_stt.contract import RequestError

__all__ = ["ConfigError", "EngineError", "Overloaded", "RequestError", "StoreError"]


class Overloaded(RequestError):
    def __init__(self, code: str, message: str, *, retry_after_s: float, status: int = 503) -> None:
        super().__init__(code, message, status, retry_after_s=retry_after_s)


class EngineError(Exception):
    """code: as `host_stt.contract.WindowError.code`, or `unreachable`, `deadline` from this side."""

    def __init__(self, code: str, message: str, *, is_retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.is_retryable = is_retryable


class StoreError(Exception):
    pass


class ConfigError(Exception):
    """Text is one sentence that names the key, the value and the way out."""
