"""Settings of the 8082 process, as `config/host-stt.yaml` documents them, with checks of every value.

`host_stt_cli.config` reads the file, `${NAME}` and `--set`. The speech stages have their own frozen
dataclasses, which are fields here, so that one file configures everything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from host_stt_common.languages import HOW, read_language
from host_stt_common.names import name_of
from host_stt_common.pages import checked_origin
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.settings.channels import ChannelKeeping, ChannelSignal, each_channel_once
from webrtc_host.settings.radio import RadioConfig
from webrtc_host.settings.types import Port, Settings, address_of, network_of
from webrtc_host.settings.wyoming import WyomingSettings
from webrtc_host.speech.settings import SpeechConfig


def _ice_url(text: str) -> str:
    scheme, _, rest = text.partition(":")
    if scheme not in ("stun", "stuns", "turn", "turns") or not rest:
        raise ValueError(f"{text!r} is not a STUN or TURN address, such as turn:turn.example:3478")
    return text


class MediaConfig(Settings):
    """Where 8082 listens, and how peers reach it."""

    host: str = "127.0.0.1"
    port: Port = 8082
    announce: tuple[
        Annotated[str, AfterValidator(address_of)], ...
    ] = ()  # addresses for ICE candidates, in place of the found ones
    ice_servers: tuple[IceServer, ...] = ()  # empty by default: clients on the same network need none
    # An offer whose client does not connect in time is closed
    connect_timeout_s: float = Field(20.0, gt=0, le=300)
    # Without packets for so long: channel.state no_signal
    no_signal_after_s: float = Field(3.0, gt=0, le=300)
    no_signal_after_s_of: Annotated[tuple[ChannelSignal, ...], AfterValidator(each_channel_once)] = ()
    # A client that lost its connection can get its channels back for so long
    resume_s: float = Field(900.0, ge=0, le=86_400)
    backfill_s: float = Field(60.0, ge=1, le=3600)  # audio that one client may send after a gap, at once
    trusted_proxies: tuple[
        Annotated[str, AfterValidator(network_of)], ...
    ] = ()  # networks whose X-Forwarded-For and -Proto are trusted
    allowed_origins: tuple[
        Annotated[str, AfterValidator(checked_origin)], ...
    ] = ()  # other origins whose pages may call; the same origin always may

    def no_signal_samples(self, channel: str) -> int:
        """16 kHz samples without audio after which this channel has no signal. channel: such as C01."""
        of_channel = {one.channel: one.no_signal_after_s for one in self.no_signal_after_s_of}
        return round(of_channel.get(channel, self.no_signal_after_s) * 1000) * SAMPLES_PER_MS


class IceServer(Settings):
    urls: Annotated[tuple[Annotated[str, AfterValidator(_ice_url)], ...], Field(min_length=1)]
    username: str = ""
    credential: str = ""
    secret: str = ""  # shared with the TURN server: the server makes credentials from it that expire
    credential_s: int = Field(86_400, ge=60, le=2_592_000)  # how long such a credential can open new relays

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
    listeners: int = Field(64, ge=1, le=10_000)  # desks that get live audio at the same time
    watcher_queue: int = Field(2000, ge=10, le=1_000_000)  # events waiting for one slow watcher
    body_bytes: int = Field(1_048_576, ge=1024)  # JSON and SDP bodies
    push_bytes: int = Field(64 * 1024 * 1024, ge=1024)  # one uploaded file
    push_s: int = Field(600, ge=1, le=7200)  # its length
    events_in_memory: int = Field(10_000, ge=100)  # per session; older ones are read from the record
    events_unsaved: int = Field(100_000, ge=1000)  # waiting for a record that cannot be written
    # Per address; up to ten seconds' worth may be saved up
    requests_per_s: float = Field(100.0, ge=1, le=100_000)
    # Open connections of one address without a valid token
    connections_before_token: int = Field(128, ge=1, le=100_000)
    connections_per_address: int = Field(1100, ge=1, le=1_000_000)  # open requests and streams of one address
    connections: int = Field(4000, ge=1, le=1_000_000)  # the same, of all addresses


TOKEN_CHARS_MIN, TOKEN_CHARS_MAX = 8, 500


def _token(text: str) -> str:
    """A token that callers can send: too long to be guessed, without spaces at its ends."""
    if not TOKEN_CHARS_MIN <= len(text) <= TOKEN_CHARS_MAX:
        raise ValueError(
            f"it has {len(text)} characters; a token has at least {TOKEN_CHARS_MIN} and at most "
            f"{TOKEN_CHARS_MAX} (openssl rand -base64 24 makes one)"
        )
    if text != text.strip() or not text.isprintable():
        raise ValueError("it has a space at an end, or a character that cannot be printed; remove that")
    return text


def _token_or_none(text: str) -> str:
    return text and _token(text)


class AccessToken(Settings):
    """A token of one person or program, with its role."""

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
            raise ValueError("two of `tokens` have the same name; the audit log could not distinguish them")
        if len(set(secrets)) < len(secrets):
            raise ValueError("a token is given twice in `token` and `tokens`; each needs its own")
        return self


class CoverageSettings(Settings):
    """Coverage: the state of every millisecond of every channel."""

    report_every_s: float = Field(10.0, ge=0.1, le=600)  # a longer run is reported in pieces of this length
    check: bool = False  # check the coverage after every change; for development


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


class ArchiveConfig(Settings):
    """The archive: the audio of every channel, as it came, on disk."""

    enabled: bool = True
    flush_ms: int = Field(250, ge=100, le=10_000)  # audio that a power cut may destroy
    segment_s: int = Field(300, ge=10, le=3600)  # length of a file
    keep_days: float = Field(30.0, ge=0, le=36_500)  # 0: no limit
    keep_days_of: Annotated[tuple[ChannelKeeping, ...], AfterValidator(each_channel_once)] = ()
    keep_days_text: float = Field(0.0, ge=0, le=36_500)  # ended sessions with text and audio; 0: no limit
    keep_bytes: int = Field(0, ge=0)  # of all audio; 0: no limit
    free_bytes_min: int = Field(1_073_741_824, ge=0)  # of the disk, kept free for everything else
    range_s_max: int = Field(3600, ge=1, le=86_400)  # longest range of one response of the audio routes
    recover: bool = True  # after a crash, transcribe archived audio without text


class JobsConfig(Settings):
    """Recordings that are transcribed as jobs."""

    engine: Literal["record", "procrastinate"] = "record"  # who gives the jobs to workers
    queue_url: Annotated[str, Field(max_length=2000, repr=False)] = ""  # of procrastinate; empty: store.url
    at_once: int = Field(2, ge=1, le=16)  # jobs that are worked on at the same time
    open: int = Field(1000, ge=1, le=100_000)  # jobs that are queued or running
    file_bytes: int = Field(4 * 1024**3, ge=1024)  # of one file
    file_s: int = Field(24 * 3600, ge=1, le=7 * 86_400)  # length of one recording
    channels: int = Field(16, ge=1, le=64)  # of one recording
    free_bytes_min: int = Field(1024**3, ge=0)  # of the disk, which uploads leave free
    uploads: int = Field(100, ge=1, le=10_000)  # unfinished resumable uploads
    upload_s: float = Field(86_400.0, ge=60, le=30 * 86_400)  # without new data, until such a one is removed
    url_s: float = Field(3600.0, ge=1, le=86_400)  # time to fetch a file from an address
    # Networks that are not public, and from which files may be fetched in spite of that
    url_networks: tuple[Annotated[str, AfterValidator(network_of)], ...] = ()
    # While speech comes live: part of the engine's time that jobs may use
    live_share: float = Field(0.05, gt=0, le=1)


class WebhooksConfig(Settings):
    """Webhooks: events as signed HTTP requests to other programs."""

    allow: tuple[
        Annotated[str, AfterValidator(network_of)], ...
    ] = ()  # addresses and networks that are not public, and that webhooks may be sent to
    timeout_s: float = Field(10.0, ge=0.1, le=60)  # for one attempt
    outbox: int = Field(1000, ge=10, le=100_000)  # deliveries that may wait for one webhook


class DoorSettings(Settings):
    """A door for the clients of another service's protocol."""

    enabled: bool = True


class TelephoneSettings(DoorSettings):
    """Calls of Twilio and Telnyx."""

    auth_token: Annotated[str, Field(max_length=200, repr=False)] = ""  # of the Twilio account
    public_url: Annotated[str, Field(max_length=500)] = ""  # of this server, as Twilio knows it
    skip_ms: int = Field(0, ge=0, le=10_000)  # at the beginning of each track: noise of the connection


def _language(text: str) -> str:
    code = read_language(text)
    if code is None:
        raise ValueError(f"{text[:40]!r} is not a known language; {HOW}")
    return code


class WorkerSettings(DoorSettings):
    """The HTTP calls of a transcription worker."""

    language: Annotated[str, AfterValidator(_language)] = "ko"  # of the recordings
    wait_s: float = Field(1800.0, ge=0.1, le=86_400)  # longest wait of one request for its text


class ConversationSettings(DoorSettings):
    """The HTTP calls of the conversation API."""

    language: Annotated[str, AfterValidator(_language)] = "auto"  # of recordings that name none


class DoorsConfig(Settings):
    """Which protocols of other services are served."""

    assemblyai: DoorSettings = DoorSettings()
    conversation: ConversationSettings = ConversationSettings()
    deepgram: DoorSettings = DoorSettings()
    openai_realtime: DoorSettings = DoorSettings()
    openai_files: DoorSettings = DoorSettings()
    pipecat: DoorSettings = DoorSettings()
    radio_uploads: DoorSettings = DoorSettings()
    speechmatics: DoorSettings = DoorSettings()
    telephone: TelephoneSettings = TelephoneSettings()
    vosk: DoorSettings = DoorSettings()
    whisperlive: DoorSettings = DoorSettings()
    wyoming: WyomingSettings = WyomingSettings()
    worker: WorkerSettings = WorkerSettings()


def _http_url(text: str) -> str:
    """An address without a password: the log and error texts show it."""
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError(f"{text[:60]!r} is not an address such as http://127.0.0.1:1234/v1")
    if parts.username or parts.password or parts.query:
        raise ValueError("the address holds a user, a password or a query; put a key into api_key")
    return text


class LlmConfig(Settings):
    """The language model that writes summaries; without one, summaries consist of chosen lines."""

    kind: Literal["none", "openai", "ollama"] = "none"
    base_url: Annotated[str, Field(max_length=500), AfterValidator(_http_url)] = ""
    model: Annotated[str, Field(max_length=200)] = ""
    api_key: Annotated[str, Field(max_length=2000, repr=False)] = ""
    context_tokens: int = Field(8192, ge=1024, le=10_000_000)  # that the model reads and writes at most
    timeout_s: float = Field(600.0, ge=1, le=7200)  # one answer; a small machine takes minutes
    retries: int = Field(3, ge=0, le=10)  # of one request
    workers: int = Field(1, ge=1, le=16)  # summaries that are made at the same time

    @model_validator(mode="after")
    def _whole(self) -> LlmConfig:
        if self.kind != "none" and not (self.base_url and self.model):
            raise ValueError(f"kind {self.kind} needs base_url and model")
        return self


class EmbeddingsConfig(Settings):
    """The server that makes vectors of texts, for the search by meaning."""

    base_url: Annotated[str, Field(max_length=500), AfterValidator(_http_url)] = ""  # empty: no such search
    model: Annotated[str, Field(max_length=200)] = ""
    api_key: Annotated[str, Field(max_length=2000, repr=False)] = ""
    timeout_s: float = Field(60.0, ge=1, le=3600)  # of one request
    batch: int = Field(64, ge=1, le=2048)  # lines in one request
    lines_max: int = Field(1_000_000, ge=1000, le=20_000_000)  # newest lines that can be found

    @property
    def is_set(self) -> bool:
        return bool(self.base_url and self.model)

    @model_validator(mode="after")
    def _whole(self) -> EmbeddingsConfig:
        if bool(self.base_url) != bool(self.model):
            raise ValueError("base_url and model belong together; give both, or none")
        return self


class SummariesConfig(Settings):
    """Summaries of what was said."""

    templates_dir: Path | None = None  # the operator's own templates, in addition to the packaged ones
    update_s: float = Field(60.0, ge=1, le=3600)  # between two updates of a summary that is followed
    waiting_max: int = Field(100, ge=1, le=10_000)  # summaries that wait to be made
    followed_max: int = Field(32, ge=1, le=1000)  # summaries that are kept up to date


class ReviewConfig(Settings):
    """The review of live text: lines are decoded once more with all the speech around them."""

    enabled: bool = True
    pause_s: float = Field(2.0, ge=0.5, le=60)  # of a quiet channel, before its lines are reviewed
    queue_max: int = Field(500, ge=1, le=10_000)  # groups of lines that wait; the oldest is dropped


class MediaProcessConfig(Settings):
    """The whole configuration of the 8082 process; the command line makes it from the configuration file."""

    media: MediaConfig = Field(default_factory=lambda: MediaConfig())
    limits: LimitsConfig = LimitsConfig()
    auth: AuthConfig | Literal["none"] = AuthConfig()
    speech: SpeechConfig = SpeechConfig()
    data: DataConfig = DataConfig()
    store: StoreSettings = StoreSettings()
    archive: ArchiveConfig = ArchiveConfig()
    jobs: JobsConfig = JobsConfig()
    doors: DoorsConfig = DoorsConfig()
    review: ReviewConfig = ReviewConfig()
    coverage: CoverageSettings = CoverageSettings()
    webhooks: WebhooksConfig = WebhooksConfig()
    llm: LlmConfig = LlmConfig()
    summaries: SummariesConfig = SummariesConfig()
    embeddings: EmbeddingsConfig = EmbeddingsConfig()
    radio: RadioConfig = RadioConfig()
    engine_url: str = "http://127.0.0.1:8081"
    engine_token: SecretStr | None = None  # None: the token of `auth`, or the first administrator's
    glossary_file: Path | None = None  # the first glossary, used while data.dir has none

    @property
    def token(self) -> str:
        """The administrator's token; empty: the server requires no token."""
        return "" if self.auth == "none" else self.auth.token

    @property
    def tokens(self) -> tuple[AccessToken, ...]:
        """Further tokens, with their roles."""
        return () if self.auth == "none" else self.auth.tokens

    @property
    def token_for_engine(self) -> str:
        if self.engine_token is not None:
            return self.engine_token.get_secret_value()
        admins = [one.token for one in self.tokens if one.role == "admin"]
        return self.token or (admins[0] if admins else "")


MediaConfig.model_rebuild()
