"""`host-stt serve`: everything. This process is 8082 and owns the engine (8081) as its child.

Invariant of the end: 8082 stops first, with the engine still there to read the last words; then the engine
ends.
"""

from __future__ import annotations

import asyncio

import click
from aiohttp import web

from host_stt_cli.addresses import url
from host_stt_cli.engine_process import EngineProcess
from host_stt_cli.engine_watch import until_silent
from host_stt_cli.errors import StartError
from host_stt_cli.handover import pair_secret, to_line
from host_stt_cli.media import ANNOUNCE_S, Ground, Stop, listen, make_app, prepared, stop_on_signals
from host_stt_cli.options import ConfigOptions, config_options
from host_stt_cli.ports import check_free, free_port
from webrtc_host.app import READINESS

MARGIN_S = 1.2  # kept of the time to stop for our own end; on a busy box Python takes a second to leave


@click.command()
@config_options
def serve(options: ConfigOptions) -> None:
    """Run everything: the media server (port 8082) and, watched over by it, the speech engine (port 8081)."""
    with prepared(options.load()) as ground:
        engine = ground.config.engine
        ground.config.refuse_open("engine")
        check_free("engine", engine.host, engine.port)
        asyncio.run(_run(ground, engine.port or free_port(engine.host)))


async def _run(ground: Ground, engine_port: int) -> None:
    stop = Stop()
    secret = pair_secret(ground.config)
    app = make_app(ground, engine_port, secret)
    address = url("http", ground.config.engine.host, engine_port)
    engine = EngineProcess(
        to_line(ground.config, engine_port, secret),
        was_ready=lambda: app[READINESS].engine.was_ready,
        silence=lambda: until_silent(address),
    )
    with stop_on_signals(stop):
        watching = asyncio.create_task(engine.run(), name="engine process")
        watching.add_done_callback(lambda _: stop.set())  # it only ends by itself when it cannot start at all
        loading = asyncio.create_task(_model_failed(app), name="model loading")
        loading.add_done_callback(lambda _: stop.set())
        try:
            await listen(ground, app, stop)
        finally:
            loading.cancel()
            await engine.stop(grace_s=max(0.5, stop.left_s() - MARGIN_S))
        await watching
    if loading.done() and not loading.cancelled():
        raise StartError(loading.result())


async def _model_failed(app: web.Application) -> str:
    """Returns when the model cannot be used, with the engine's sentence.

    Only before it was ready once: what happens to a later engine is no matter of the start, and may mend.
    """
    engine = app[READINESS].engine
    while engine.was_ready or engine.reading.body.get("state") != "failed":  # noqa: ASYNC110  # polled
        await asyncio.sleep(ANNOUNCE_S)
    return str(engine.reading.body.get("reason") or "the engine cannot use its model.")
