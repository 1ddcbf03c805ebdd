"""The errors of 8082, by scope.

    RequestError   the caller's: a code, a status, a plain sentence (host_stt.contract)
     └ Overloaded  the server's, for the moment: 429 or 503 with Retry-After
    EngineError    one window could not be decoded; the channel continues
    StoreError     the record cannot be written; transcription continues
    ConfigError    the server cannot start with this configuration; one sentence, exit status 2

Every other exception is a fault of the server: the log gets one traceback, the connection closes with an
error event, and all others continue.
"""

from __future__ import annotations

from host_stt.contract import RequestError

__all__ = ["ConfigError", "EngineError", "Overloaded", "RequestError", "StoreError"]


class Overloaded(RequestError):
    def __init__(self, code: str, message: str, *, retry_after_s: float, status: int = 503) -> None:
        super().__init__(code, message, status, retry_after_s=retry_after_s)


class EngineError(Exception):
    """code: as in `host_stt.contract.WindowError.code`; or `unreachable`, `deadline`, set on this side."""

    def __init__(self, code: str, message: str, *, is_retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.is_retryable = is_retryable


class StoreError(Exception):
    pass


class ConfigError(Exception):
    """The text is one sentence that names the key, the value and the way out."""
