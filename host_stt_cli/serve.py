"""`host-stt serve`: run everything. This process is 8082; the engine (8081) is its child process.

Invariant of the end: 8082 stops first, while the engine can still decode the last words; then the engine
ends.
"""

from __future__ import annotations

import asyncio

import click
from aiohttp import web

from host_stt_cli.addresses import url
from host_stt_cli.engine_process import EngineProcess
from host_stt_cli.engine_restart import answer_requests
from host_stt_cli.engine_watch import until_silent
from host_stt_cli.errors import StartError
from host_stt_cli.handover import pair_secret, to_line
from host_stt_cli.media import ANNOUNCE_S, Ground, Stop, listen, make_app, prepared, stop_on_signals
from host_stt_cli.model_change import ModelChange
from host_stt_cli.options import ConfigOptions, config_options
from host_stt_cli.ports import check_free, free_port
from webrtc_host.keys import READINESS

MARGIN_S = 1.2  # reserved for the end of this process; on a busy machine Python needs a second to exit


@click.command()
@config_options
def serve(options: ConfigOptions) -> None:
    """Run everything: the media server (port 8082) and its child process, the speech engine (port 8081)."""
    with prepared(options.load()) as ground:
        engine = ground.config.engine
        ground.config.refuse_open("engine")
        check_free("engine", engine.host, engine.port)
        asyncio.run(_run(ground, engine.port or free_port(engine.host), options))


async def _run(ground: Ground, engine_port: int, options: ConfigOptions) -> None:
    stop = Stop()
    secret = pair_secret(ground.config)
    address = url("http", ground.config.engine.host, engine_port)
    engine = EngineProcess(
        to_line(ground.config, engine_port, secret),
        was_ready=lambda: app[READINESS].engine.was_ready,
        silence=lambda: until_silent(address),
    )
    change = ModelChange(
        ground.config,
        ground.loaded.file,
        options,
        lambda config: to_line(config, engine_port, secret),
        engine,
    )
    app = make_app(ground, engine_port, secret, change.use)
    with stop_on_signals(stop):
        watching = asyncio.create_task(engine.run(), name="engine process")
        # this task ends by itself only if the engine cannot start
        watching.add_done_callback(lambda _: stop.set())
        loading = asyncio.create_task(_model_failed(app), name="model loading")
        loading.add_done_callback(lambda _: stop.set())
        requests = asyncio.create_task(answer_requests(ground.folder, change.restart), name="restarts")
        try:
            await listen(ground, app, stop)
        finally:
            requests.cancel()
            loading.cancel()
            await engine.stop(grace_s=max(0.5, stop.left_s() - MARGIN_S))
        await watching
    if loading.done() and not loading.cancelled():
        raise StartError(loading.result())


async def _model_failed(app: web.Application) -> str:
    """Return the engine's sentence when the model cannot be used.

    Only before the model was ready once. A later failure does not concern the start, and a restart of the
    engine may solve it.
    """
    engine = app[READINESS].engine
    while engine.was_ready or engine.status.body.get("state") != "failed":  # noqa: ASYNC110  # polled
        await asyncio.sleep(ANNOUNCE_S)
    return str(engine.status.body.get("reason") or "the engine cannot use its model.")
