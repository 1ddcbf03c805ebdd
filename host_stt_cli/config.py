"""The whole configuration: one file, with `--set` on top, checked before anything starts.

Contains the top level of the keys, the search for the file, and the rules about several sections (an address
open to others needs a token). The sections are defined in the packages that use them. `load` reports the
file, line and key of every mistake. Invariant: config/host-stt.yaml, an empty file and `Config()` are equal;
a test checks it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError

from host_stt.config import EngineConfig
from host_stt_cli.addresses import beyond_loopback, refuse_exposed, refuse_open, url
from host_stt_cli.errors import StartError
from host_stt_cli.glossary_file import GLOSSARY_NAME, glossary_file, has_terms
from host_stt_cli.schema import holds_text, suggestion
from host_stt_cli.yaml_source import KeyPath, Mistake, Source, dotted, read_value, read_yaml
from host_stt_common.plain import plain_mistake
from webrtc_host.config import (
    ArchiveConfig,
    AuthConfig,
    CoverageSettings,
    DataConfig,
    DoorsConfig,
    EmbeddingsConfig,
    JobsConfig,
    LimitsConfig,
    LlmConfig,
    MediaConfig,
    MediaProcessConfig,
    ReviewConfig,
    StoreSettings,
    SummariesConfig,
    TlsConfig,
    WebhooksConfig,
)
from webrtc_host.settings.radio import RadioConfig
from webrtc_host.settings.types import Settings
from webrtc_host.speech.settings import SpeechConfig

SECRETS = ("token", "credential", "url", "api_key")
DERIVED = {
    ("engine", "token"): "auth.token",
    ("engine", "tokens"): "auth.tokens",
    ("engine", "open_to_all"): "auth",
}
"""Fields that the engine gets from another section; they are not keys of the file."""
FILE_NAME = "host-stt.yaml"


class LogConfig(Settings):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Settings):
    """All keys of `config/host-stt.yaml`."""

    media: MediaConfig = Field(default_factory=MediaConfig)
    engine: EngineConfig = Field(default_factory=EngineConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    store: StoreSettings = Field(default_factory=StoreSettings)
    archive: ArchiveConfig = Field(default_factory=ArchiveConfig)
    jobs: JobsConfig = Field(default_factory=JobsConfig)
    doors: DoorsConfig = Field(default_factory=DoorsConfig)
    review: ReviewConfig = Field(default_factory=ReviewConfig)
    coverage: CoverageSettings = Field(default_factory=CoverageSettings)
    webhooks: WebhooksConfig = Field(default_factory=WebhooksConfig)
    radio: RadioConfig = Field(default_factory=RadioConfig)
    auth: AuthConfig | Literal["none"] = Field(default_factory=AuthConfig)
    tls: TlsConfig = Field(default_factory=TlsConfig)
    speech: SpeechConfig = Field(default_factory=SpeechConfig)
    llm: LlmConfig = Field(default_factory=LlmConfig)
    summaries: SummariesConfig = Field(default_factory=SummariesConfig)
    embeddings: EmbeddingsConfig = Field(default_factory=EmbeddingsConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    log: LogConfig = Field(default_factory=LogConfig)

    @property
    def token(self) -> str:
        """Empty if no token is required."""
        return "" if self.auth == "none" else self.auth.token

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every token and key, so that the log can remove them."""
        keys = (self.llm.api_key, self.embeddings.api_key)
        return (*self._tokens, *(one for one in keys if one))

    @property
    def asks_token(self) -> bool:
        return bool(self._tokens)

    @property
    def _tokens(self) -> tuple[str, ...]:
        if self.auth == "none":
            return ()
        return tuple(one for one in (self.auth.token, *(each.token for each in self.auth.tokens)) if one)

    def refuse_open(self, section: Literal["media", "engine"]) -> None:
        """Raise StartError if others can reach the section's port, and neither a token nor `auth: none` is
        set.

        Others can reach it by its host, or on loopback through a proxy or a page of an allowed origin.
        """
        is_guarded = bool(self.token) or self.auth == "none" or (section == "media" and self.asks_token)
        if section == "engine":
            refuse_open("engine.host", self.engine.host, is_guarded=is_guarded)
            origins = (("engine.allowed_origins", beyond_loopback(self.engine.allowed_origins)),)
            refuse_exposed(origins, is_guarded=is_guarded or self.asks_token)
            return
        media = self.media
        refuse_open("media.host", media.host, is_guarded=is_guarded)
        exposing = (
            ("media.trusted_proxies", media.trusted_proxies),
            ("media.announce", beyond_loopback(media.announce)),
            ("media.allowed_origins", beyond_loopback(media.allowed_origins)),
        )
        refuse_exposed(exposing, is_guarded=is_guarded)

    def media_process(
        self, data: Path, engine_port: int, pair_secret: str | None = None
    ) -> MediaProcessConfig:
        """The settings of 8082. data: the data folder as an absolute path; engine_port: the engine's port.

        pair_secret: the token for requests to the engine; None: a token of `auth`.
        """
        return MediaProcessConfig(
            media=self.media,
            limits=self.limits,
            auth=self.auth,
            speech=self.speech,
            data=DataConfig(dir=data),
            store=self.store,
            archive=self.archive,
            jobs=self.jobs,
            doors=self.doors,
            review=self.review,
            coverage=self.coverage,
            webhooks=self.webhooks,
            llm=self.llm,
            summaries=self.summaries,
            embeddings=self.embeddings,
            radio=self.radio,
            engine_url=url("http", self.engine.host, engine_port),
            engine_token=None if pair_secret is None else SecretStr(pair_secret),
            glossary_file=find_file(None, GLOSSARY_NAME),
        )

    @property
    def glossary_file(self) -> Path:
        """The file that the server uses, or will copy at its first start."""
        return glossary_file(self.data.dir, find_file(None, GLOSSARY_NAME))

    def engine_in_force(self, pair_secret: str | None = None) -> EngineConfig:
        """The engine's settings with values from other sections: the tokens, a folder in the data folder, and
        whether there are glossary terms.

        pair_secret: a token for requests between the two servers, if `serve` made one.
        """
        derived: dict[str, Any] = {"open_to_all": self.auth == "none"}
        if self.token:
            derived["token"] = SecretStr(self.token)
        admins = () if self.auth == "none" else tuple(t.token for t in self.auth.tokens if t.role == "admin")
        derived["tokens"] = tuple(
            SecretStr(one) for one in (*admins, *([pair_secret] if pair_secret else []))
        )
        if self.engine.models_dir == EngineConfig().models_dir:  # the default means "inside data.dir"
            derived["models_dir"] = self.data.dir / "models"
        if self.engine.terms_expected is None:
            derived["terms_expected"] = has_terms(self.glossary_file)
        return self.engine.model_copy(update=derived)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that was read without mistakes, and the file that it came from."""

    config: Config
    file: Path


class ConfigMistakes(StartError):
    """All mistakes of a configuration, one line each."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


def packaged(name: str) -> Path:
    """A default file of the program: inside the wheel, or in config/ of a source tree."""
    inside = Path(__file__).parent / "defaults" / name
    return inside if inside.exists() else Path(__file__).parent.parent / "config" / name


def find_file(asked: Path | None, name: str = FILE_NAME) -> Path:
    """The file that was named, else config/`name` in the current folder, else the packaged one."""
    if asked is not None:
        return asked
    here = Path("config") / name
    return here if here.is_file() else packaged(name)


def load(
    file: Path | None = None,
    sets: Sequence[str] = (),
    options: Mapping[KeyPath, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Loaded:
    """Read the configuration: the file, then the options of the command line on top.

    sets: `key.path=value` as typed; the value is read as YAML. options: values of other command line options.
    Raises ConfigMistakes with all mistakes.
    """
    path = find_file(file)
    source = read_yaml(_read(path), str(path), environ, _is_text)
    overlay = _Overlay(source, {})
    for item in sets:
        overlay.take_set(item, environ)
    for key, value in (options or {}).items():
        overlay.put(key, value, "the command line")
    _tls_mode_from_files(overlay)
    mistakes = [*source.mistakes, *_derived_keys(overlay)]
    config = _validate(overlay, mistakes)
    if config is not None:
        mistakes += _across_sections(config, overlay)
    if config is None or mistakes:
        raise ConfigMistakes(mistakes)
    return Loaded(config, path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise StartError(f"the config file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise StartError(f"the config file {path} is not UTF-8 text (byte {error.start}).") from error


def _is_text(path: KeyPath) -> bool:
    return holds_text(Config, path)


@dataclass(slots=True)
class _Overlay:
    """Values of the command line on top of those of the file; remembers where each value came from."""

    source: Source
    origins: dict[KeyPath, str]

    def take_set(self, item: str, environ: Mapping[str, str]) -> None:
        name = f"--set {item.partition('=')[0]}"
        key, equals, text = item.partition("=")
        path = tuple(key.strip().split("."))
        if not equals or not all(path):
            self.source.mistakes.append(Mistake(name, "write it as --set key.path=value"))
            return
        value, mistakes = read_value(text, name, path, environ, _is_text)
        self.source.mistakes += mistakes
        self.put(path, value, name)

    def put(self, path: KeyPath, value: Any, origin: str) -> None:
        data = self.source.data
        for part in path[:-1]:
            if not isinstance(data.get(str(part)), dict):
                data[str(part)] = {}
            data = data[str(part)]
        data[str(path[-1])] = value
        self.origins[path] = origin

    def where(self, path: KeyPath) -> str:
        for key, origin in self.origins.items():
            if path[: len(key)] == key:
                return origin
        return self.source.where(path)


def _tls_mode_from_files(overlay: _Overlay) -> None:
    """Set tls.mode to `files` if cert or key is given and mode is off, except after `--tls off`."""
    tls = overlay.source.data.get("tls")
    if not isinstance(tls, dict) or ("tls", "mode") in overlay.origins:
        return
    if tls.get("mode", "off") == "off" and (tls.get("cert") or tls.get("key")):
        tls["mode"] = "files"


def _derived_keys(overlay: _Overlay) -> list[Mistake]:
    """Remove fields that are set by another key, with a mistake that names that key."""
    mistakes = []
    for path, meant in DERIVED.items():
        section = overlay.source.data.get(str(path[0]))
        if isinstance(section, dict) and section.pop(path[1], None) is not None:
            mistakes.append(
                Mistake(overlay.where(path), f"{dotted(path)}: there is no such key; did you mean {meant}?")
            )
    return mistakes


def _validate(overlay: _Overlay, mistakes: list[Mistake]) -> Config | None:
    """The configuration; None if invalid. Adds one mistake, the first, for each place to `mistakes`."""
    try:
        return Config.model_validate(overlay.source.data)
    except ValidationError as error:
        places = {mistake.where for mistake in mistakes}
        for mistake in _mistakes_of(error, overlay):
            if mistake.where not in places or mistake.where.startswith("--set"):
                mistakes.append(mistake)
        return None


def _mistakes_of(error: ValidationError, overlay: _Overlay) -> list[Mistake]:
    mistakes: list[Mistake] = []
    for detail in error.errors(include_url=False):
        location = detail["loc"]
        if location[0] == "auth" and detail["type"] == "literal_error" and isinstance(detail["input"], dict):
            continue  # error of the `none` alternative; the other alternative has the real error
        path = _path_of(location, detail["type"] == "extra_forbidden")
        mistake = Mistake(
            overlay.where(path), _sentence(path, detail["type"], detail["msg"], detail["input"])
        )
        if mistake not in mistakes:
            mistakes.append(mistake)
    return mistakes


def _path_of(location: tuple[int | str, ...], last_is_a_key: bool) -> KeyPath:
    """The key path. Pydantic adds the names of union members to a location; they are not keys."""
    last = len(location) - 1
    return tuple(
        part
        for index, part in enumerate(location)
        if isinstance(part, int) or (last_is_a_key and index == last) or re.fullmatch(r"[a-z0-9_]+", part)
    )


def _sentence(path: KeyPath, kind: str, message: str, value: Any) -> str:
    key = dotted(path)
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        meant = suggestion(Config, path)
        return f"{key}: there is no such key" + (f"; did you mean {meant}?" if meant else "")
    if path == ("auth",):
        return "auth: write `auth: {token: ...}`, or `auth: none` to require no token"
    shown = "the value" if path[-1] in SECRETS else _short(value)
    message = plain_mistake(message)
    return (
        f"{key}: {shown} is not accepted: it {message}"
        if message.startswith("should")
        else f"{key}: {message}"
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _across_sections(config: Config, overlay: _Overlay) -> list[Mistake]:
    mistakes = []
    tls = config.tls
    if tls.mode == "files" and not (tls.cert and tls.key):
        there, missing = ("cert", "key") if tls.cert else ("key", "cert") if tls.key else ("mode", "cert")
        said = f"tls.{there} is given without tls.{missing}; a certificate needs both tls.cert and tls.key"
        mistakes.append(Mistake(overlay.where(("tls", there)), said))
    mistakes += _unused_certificate(tls, overlay)
    same_host = config.media.host == config.engine.host
    if config.media.port == config.engine.port != 0 and same_host:
        mistakes.append(
            Mistake(
                overlay.where(("engine", "port")), f"media.port and engine.port are both {config.media.port}"
            )
        )
    return mistakes


def _unused_certificate(tls: TlsConfig, overlay: _Overlay) -> list[Mistake]:
    """A certificate beside a mode that does not use it. `--tls MODE` may replace the file's certificate."""
    if tls.mode == "files":
        return []
    for name in ("cert", "key"):
        replaced = ("tls", "mode") in overlay.origins and ("tls", name) not in overlay.origins
        if getattr(tls, name) and not replaced:
            why = ", which makes its own certificate" if tls.mode == "self-signed" else ""
            said = f"tls.{name} is given, and tls.mode is {tls.mode}{why}; leave one of the two out"
            return [Mistake(overlay.where(("tls", name)), said)]
    return []
