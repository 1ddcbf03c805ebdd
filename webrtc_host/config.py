"""Settings of the 8082 process, as `config/host-stt.yaml` documents them, checked at birth.

Owns shapes, defaults and limits; reading files, `${NAME}` and `--set` is `host_stt_cli.config`'s. The speech
cores keep their own frozen dataclasses; they are fields here, so one file configures all.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from host_stt_common.channel_ids import CHANNEL_PATTERN
from host_stt_common.names import name_of
from host_stt_common.pages import checked_origin
from webrtc_host.speech.settings import SpeechConfig

Port = Annotated[int, Field(ge=0, le=65535)]


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no IP address") from error
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address or network, such as 10.0.0.0/8") from error
    return text


def _ice_url(text: str) -> str:
    scheme, _, rest = text.partition(":")
    if scheme not in ("stun", "stuns", "turn", "turns") or not rest:
        raise ValueError(f"{text!r} is no STUN or TURN address, such as turn:turn.example:3478")
    return text


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MediaConfig(Settings):
    """The door of 8082: where it listens and how peers reach it."""

    host: str = "127.0.0.1"
    port: Port = 8082
    announce: tuple[
        Annotated[str, AfterValidator(_address)], ...
    ] = ()  # addresses put into ICE candidates in place of the found ones
    ice_servers: tuple[IceServer, ...] = ()  # none by default: a desk on one network needs none
    connect_timeout_s: float = Field(20.0, gt=0, le=300)  # an offer that never connects is closed
    no_signal_after_s: float = Field(3.0, gt=0, le=300)  # no packets for so long: channel.state no_signal
    resume_s: float = Field(900.0, ge=0, le=86_400)  # a lost client's channels are its own for so long
    backfill_s: float = Field(60.0, ge=1, le=3600)  # audio one client may send after a gap, in one go
    trusted_proxies: tuple[
        Annotated[str, AfterValidator(_network)], ...
    ] = ()  # networks whose X-Forwarded-For and -Proto are believed
    allowed_origins: tuple[
        Annotated[str, AfterValidator(checked_origin)], ...
    ] = ()  # pages of other origins that may call; same origin always may


class IceServer(Settings):
    urls: Annotated[tuple[Annotated[str, AfterValidator(_ice_url)], ...], Field(min_length=1)]
    username: str = ""
    credential: str = ""
    secret: str = ""  # shared with the TURN server: credentials are then made here and end by themselves
    credential_s: int = Field(86_400, ge=60, le=2_592_000)  # how long such a credential opens new relays

    @model_validator(mode="after")
    def _one_kind_of_password(self) -> IceServer:
        if self.secret and self.credential:
            raise ValueError("give `credential` or `secret`, not both")
        return self


class LimitsConfig(Settings):
    channels_per_session: int = Field(64, ge=1, le=64)
    media_lines_per_offer: int = Field(64, ge=1, le=64)
    channels_per_process: int = Field(256, ge=1, le=4096)
    sessions: int = Field(1000, ge=1, le=100_000)
    watchers: int = Field(1000, ge=1, le=100_000)
    watcher_queue: int = Field(2000, ge=10, le=1_000_000)  # events waiting for one slow watcher
    body_bytes: int = Field(1_048_576, ge=1024)  # JSON and SDP bodies
    push_bytes: int = Field(64 * 1024 * 1024, ge=1024)  # one uploaded file
    push_s: int = Field(600, ge=1, le=7200)  # its length
    events_in_memory: int = Field(10_000, ge=100)  # per session; older ones are read from the record
    events_unsaved: int = Field(100_000, ge=1000)  # waiting for a record that cannot be written
    requests_per_s: float = Field(100.0, ge=1, le=100_000)  # of one address; ten seconds' worth may be saved
    connections_before_token: int = Field(128, ge=1, le=100_000)  # open from one address, no token shown
    connections_per_address: int = Field(1100, ge=1, le=1_000_000)  # requests and streams in hand
    connections: int = Field(4000, ge=1, le=1_000_000)  # the same, of all


TOKEN_CHARS_MIN, TOKEN_CHARS_MAX = 8, 500


def _token(text: str) -> str:
    """A token as callers can send it: long enough not to be guessed, and without spaces at its ends."""
    if not TOKEN_CHARS_MIN <= len(text) <= TOKEN_CHARS_MAX:
        raise ValueError(
            f"it has {len(text)} characters; a token has at least {TOKEN_CHARS_MIN} and at most "
            f"{TOKEN_CHARS_MAX} (openssl rand -base64 24 makes one)"
        )
    if text != text.strip() or not text.isprintable():
        raise ValueError("it has a blank at an end, or a character that cannot be printed; leave that out")
    return text


def _token_or_none(text: str) -> str:
    return text and _token(text)


class AccessToken(Settings):
    """A token for somebody, with what it may do."""

    name: Annotated[str, Field(pattern=r"^[\w .@-]{1,40}$"), AfterValidator(name_of)]  # for the audit
    token: Annotated[str, AfterValidator(_token), Field(repr=False)]
    role: Literal["viewer", "listener", "operator", "supervisor", "admin"]


class AuthConfig(Settings):
    token: Annotated[str, AfterValidator(_token_or_none)] = Field(
        "", repr=False
    )  # the administrator's, and the engine's
    tokens: tuple[AccessToken, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> AuthConfig:
        names = [one.name for one in self.tokens]
        secrets = [*(one.token for one in self.tokens), *([self.token] if self.token else [])]
        if len(set(names)) < len(names):
            raise ValueError("two of `tokens` have one name; the audit could not tell them apart")
        if len(set(secrets)) < len(secrets):
            raise ValueError("a token stands twice in `token` and `tokens`; give each its own")
        return self


class CoverageSettings(Settings):
    """The ledger of what became of every second of every channel."""

    report_every_s: float = Field(10.0, ge=0.1, le=600)  # a run that goes on is told in such pieces
    check: bool = False  # look after every change whether the ledger is whole; for development


class TlsConfig(Settings):
    mode: Literal["off", "self-signed", "files"] = "off"
    cert: Path | None = None
    key: Path | None = None


class DataConfig(Settings):
    dir: Path = Path("data")


class StoreSettings(Settings):
    """Where the record (events, text, coverage) is kept. `store: memory` is short for `{url: memory}`."""

    url: Annotated[str, Field(max_length=2000)] = ""  # empty: SQLite in data.dir; memory; postgresql://...

    @model_validator(mode="before")
    @classmethod
    def _from_a_word(cls, value: object) -> object:
        return {"url": value} if isinstance(value, str) else value


class ChannelKeeping(Settings):
    """How long one channel's sound is kept, in place of `keep_days`."""

    channel: Annotated[str, Field(pattern=f"^{CHANNEL_PATTERN}$")]
    keep_days: float = Field(ge=0, le=36_500)


class ArchiveConfig(Settings):
    """The sound of every channel, as it came, on disk."""

    enabled: bool = True
    flush_ms: int = Field(250, ge=100, le=10_000)  # sound that a power cut may take
    segment_s: int = Field(300, ge=10, le=3600)  # length of a file
    keep_days: float = Field(30.0, ge=0, le=36_500)  # 0: for ever
    keep_days_of: tuple[ChannelKeeping, ...] = ()
    keep_days_text: float = Field(0.0, ge=0, le=36_500)  # of ended sessions, sound too; 0: for ever
    keep_bytes: int = Field(0, ge=0)  # of all sound; 0: no limit
    free_bytes_min: int = Field(1_073_741_824, ge=0)  # of the disk, left free for everything else
    range_s_max: int = Field(3600, ge=1, le=86_400)  # one answer of the audio routes
    recover: bool = True  # after a crash, read what was not yet read


class MediaProcessConfig(Settings):
    """All that the 8082 process needs to run; the command line puts it together from the one file."""

    media: MediaConfig = Field(default_factory=lambda: MediaConfig())
    limits: LimitsConfig = LimitsConfig()
    auth: AuthConfig | Literal["none"] = AuthConfig()
    speech: SpeechConfig = SpeechConfig()
    data: DataConfig = DataConfig()
    store: StoreSettings = StoreSettings()
    archive: ArchiveConfig = ArchiveConfig()
    coverage: CoverageSettings = CoverageSettings()
    engine_url: str = "http://127.0.0.1:8081"
    engine_token: SecretStr | None = None  # None: the token of `auth`, or the first administrator's
    glossary_file: Path | None = None  # the glossary to begin with, while data.dir holds none

    @property
    def token(self) -> str:
        """What callers of 8082 must carry; empty asks for none."""
        return "" if self.auth == "none" else self.auth.token

    @property
    def tokens(self) -> tuple[AccessToken, ...]:
        """Further ones, with their roles."""
        return () if self.auth == "none" else self.auth.tokens

    @property
    def token_for_engine(self) -> str:
        if self.engine_token is not None:
            return self.engine_token.get_secret_value()
        admins = [one.token for one in self.tokens if one.role == "admin"]
        return self.token or (admins[0] if admins else "")


MediaConfig.model_rebuild()
