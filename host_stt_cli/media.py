"""`host-stt media`: run the media server (8082) alone; `serve` uses these functions too.

Contains the order of a start: refuse an open address, lock the data folder, test the ports, make the
certificate, then listen. If a step fails, one sentence says why before anything runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import signal
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from aiohttp import web

from host_stt.memory import keep_window_memory
from host_stt_cli import announce, certificate, data_folder, logs
from host_stt_cli.config import Config, Loaded
from host_stt_cli.errors import StartError
from host_stt_cli.options import ConfigOptions, config_options
from host_stt_cli.ports import check_free, refusal
from host_stt_common.descriptors import raise_limit
from host_stt_common.garbage import freeze_startup_objects
from webrtc_host import app as host_app
from webrtc_host.desk.model_api import ChangeModel
from webrtc_host.errors import ConfigError
from webrtc_host.keys import READINESS
from webrtc_host.transcript.database import MEMORY

ANNOUNCE_S = 0.2
STOP_S = 8.0
"""Time limit from the signal to the end of the last process."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The results of the steps before the start."""

    loaded: Loaded
    folder: Path
    tls: ssl.SSLContext | None
    fingerprint: str

    @property
    def config(self) -> Config:
        return self.loaded.config


@click.command()
@config_options
def media(options: ConfigOptions) -> None:
    """Run the media server (port 8082) alone; the engine runs elsewhere, at engine.host and engine.port."""
    with prepared(options.load()) as ground:
        if ground.config.engine.port == 0:
            raise StartError("engine.port is 0; say where the engine listens with --set engine.port=PORT.")
        asyncio.run(_run(ground))


class Stop(asyncio.Event):
    """Set when the server must stop. Remembers the time, so that all steps together stay within STOP_S."""

    asked_s: float | None = None

    def set(self) -> None:
        if self.asked_s is None:
            self.asked_s = time.monotonic()
        super().set()

    def left_s(self) -> float:
        """Seconds of STOP_S that are left."""
        return STOP_S if self.asked_s is None else STOP_S - (time.monotonic() - self.asked_s)


async def _run(ground: Ground) -> None:
    stop = Stop()
    with stop_on_signals(stop):
        await listen(ground, make_app(ground, ground.config.engine.port), stop)


@contextlib.contextmanager
def prepared(loaded: Loaded) -> Iterator[Ground]:
    """Lock the data folder, test the ports, make the certificate, set up the log. Raises StartError."""
    config = loaded.config
    config.refuse_open("media")
    data_folder.keep_private()
    with data_folder.hold(config.data.dir, is_needed=config.store.url != MEMORY) as folder:
        check_free("media", config.media.host, config.media.port, with_udp=True)
        tls, fingerprint = _tls(config, folder)
        logs.set_up("media", config.log.level, *config.secrets)
        data_folder.warn_of_readers(folder)
        keep_window_memory()
        raise_limit()
        yield Ground(loaded, folder, tls, fingerprint)


def _tls(config: Config, folder: Path) -> tuple[ssl.SSLContext | None, str]:
    """(context, fingerprint of a certificate that this program made)."""
    if config.tls.mode == "self-signed":
        cert, key = certificate.self_signed(folder, datetime.datetime.now(datetime.UTC))
        return certificate.server_context(cert, key), certificate.fingerprint(cert)
    if config.tls.mode == "files" and config.tls.cert and config.tls.key:
        return certificate.server_context(config.tls.cert.expanduser(), config.tls.key.expanduser()), ""
    return None, ""


def make_app(
    ground: Ground,
    engine_port: int,
    pair_secret: str | None = None,
    change_model: ChangeModel | None = None,
) -> web.Application:
    """The application of 8082. pair_secret: its token for the engine; None: a token of `auth`."""
    return host_app.build_app(
        ground.config.media_process(ground.folder, engine_port, pair_secret), change_model=change_model
    )


async def listen(ground: Ground, app: web.Application, stop: asyncio.Event) -> None:
    """Serve until `stop`, and print the address. Raises StartError if the server cannot start."""
    media = ground.config.media
    announcer = asyncio.create_task(_announce_model(app))

    def on_listening(port: int) -> None:
        door = announce.Door(
            media.host, port, ground.tls is not None, ground.fingerprint, asks_token=ground.config.asks_token
        )
        announce.listening(door, certificate.local_names(), str(ground.loaded.file))
        freeze_startup_objects()

    try:
        await host_app.serve(
            app, media.host, media.port, ssl_context=ground.tls, stop=stop, on_listening=on_listening
        )
    except ConfigError as error:
        raise StartError(f"{error}") from error
    except OSError as error:
        raise refusal("media", media.host, media.port, error) from error
    finally:
        announcer.cancel()


async def _announce_model(app: web.Application) -> None:
    """Print the model each time another one is ready."""
    engine = app[READINESS].engine
    said = None
    while True:
        body = engine.status.body
        if engine.status.is_ready and (body.get("model"), body.get("model_reason")) != said:
            said = (body.get("model"), body.get("model_reason"))
            announce.model(body)
        await asyncio.sleep(ANNOUNCE_S)


@contextlib.contextmanager
def stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM, Ctrl-C and a closed terminal set `stop`; the server then transcribes the last words and
    ends.
    """
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGTERM, signal.SIGINT]
    # with nohup, a closed terminal must not stop the server
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
