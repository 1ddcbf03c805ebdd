"""The options that all commands with a configuration share, and how they are read."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from host_stt_cli.config import Loaded, load
from host_stt_cli.yaml_source import KeyPath


@dataclass(frozen=True, slots=True)
class ConfigOptions:
    """The options as typed. `load` reads them, so that the command reports a mistake, not the parser."""

    file: Path | None
    sets: tuple[str, ...]
    tls: str | None
    tls_cert: Path | None
    tls_key: Path | None

    def load(self) -> Loaded:
        options: dict[KeyPath, Any] = {}
        if self.tls is not None:
            options["tls", "mode"] = self.tls
        if self.tls_cert is not None:
            options["tls", "cert"] = str(self.tls_cert)
        if self.tls_key is not None:
            options["tls", "key"] = str(self.tls_key)
        return load(self.file, self.sets, options)


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets them as its first argument."""

    @click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The configuration file. Default: config/host-stt.yaml here, else the packaged defaults.",
    )
    @click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change one setting, such as media.port=8090; may be repeated. The value is read as YAML.",
    )
    @click.option(
        "--tls",
        type=click.Choice(["off", "self-signed"]),
        help="self-signed: serve https with a certificate that is made once in the data folder.",
    )
    @click.option(
        "--tls-cert",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Serve https with this certificate.",
    )
    @click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="The certificate's key.")
    @functools.wraps(command)
    def with_options(
        *,
        config_file: Path | None,
        sets: tuple[str, ...],
        tls: str | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        **more: Any,
    ) -> None:
        command(ConfigOptions(config_file, sets, tls, tls_cert, tls_key), **more)

    return with_options
