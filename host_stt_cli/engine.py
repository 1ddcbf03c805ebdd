"""`host-stt engine`: run the speech engine (8081), alone or as the child of `serve`."""

from __future__ import annotations

import logging
import os
import sys

import click

from host_stt import errors
from host_stt.server import engine_main
from host_stt_cli import logs
from host_stt_cli.data_folder import keep_private
from host_stt_cli.engine_process import end_with_parent
from host_stt_cli.errors import StartError
from host_stt_cli.handover import from_line
from host_stt_cli.options import ConfigOptions, config_options
from host_stt_cli.ports import check_free
from host_stt_common.descriptors import raise_limit


@click.command()
@config_options
@click.option("--from-parent", is_flag=True, hidden=True, help="Read the settings from standard input.")
def engine(options: ConfigOptions, from_parent: bool) -> None:
    """Run the speech engine (port 8081) alone."""
    keep_private()
    if from_parent:
        settings, level = from_line(sys.stdin.buffer.readline())
        end_with_parent(sys.stdin.fileno())
    else:
        config = options.load().config
        config.refuse_open("engine")
        settings, level = config.engine_in_force(), config.log.level
    check_free("engine", settings.host, settings.port)
    tokens = [*([settings.token] if settings.token else []), *settings.tokens]
    logs.set_up("engine", level, *(token.get_secret_value() for token in tokens))
    raise_limit()
    try:
        status = engine_main(settings)
    except (errors.StartError, errors.ModelError) as error:
        raise StartError(str(error)) from error
    logging.shutdown()
    # Not sys.exit: the interpreter would end while a thread is still inside the model's library (for example
    # loading it), and the library then aborts the process. There is nothing to clean up.
    os._exit(status)
