"""The command `host-stt capture`: its options."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from host_stt_cli.capture.inputs import card_inputs_of, check_channels, media_input_of
from host_stt_cli.capture.run import CaptureOptions, run_capture, stopped_by_signals
from host_stt_cli.capture.sound_card import device_lines, load_library
from host_stt_cli.errors import StartError
from host_stt_cli.job_client import ServerOptions, server_options


@click.command()
@click.option(
    "--input",
    "inputs",
    multiple=True,
    envvar="HOST_STT_CAPTURE_INPUTS",
    metavar="CHANNEL=FILE|URL",
    help="A recording or a stream (RTSP, HLS, Icecast, http) as a channel; may be repeated. Default: "
    "$HOST_STT_CAPTURE_INPUTS, separated by spaces.",
)
@click.option(
    "--device",
    envvar="HOST_STT_CAPTURE_DEVICE",
    default="",
    metavar="NAME",
    help="A sound card: its number or part of its name. Default: $HOST_STT_CAPTURE_DEVICE, or the system's.",
)
@click.option(
    "--map",
    "card_map",
    envvar="HOST_STT_CAPTURE_MAP",
    default="",
    metavar="INPUT=CHANNEL,...",
    help="Inputs of the sound card as channels, such as 1=C03,2=C04. Default: $HOST_STT_CAPTURE_MAP.",
)
@click.option("--list", "is_list", is_flag=True, help="Show the sound cards and end.")
@click.option("--language", default="", help="Code (ko, en) or name (Korean). Default: detected.")
@click.option("--session", default="", metavar="ID", help="A session. Default: the server's current one.")
@server_options
def capture(
    inputs: tuple[str, ...],
    device: str,
    card_map: str,
    is_list: bool,
    language: str,
    session: str,
    server: str,
    token: str,
) -> None:
    """Send files, streams and inputs of a sound card to a running server as channels.

    Files are played at the speed of speech, and the command ends when all have been played. Streams are
    opened again when they break. Exit status 2 when a channel is refused, or a file cannot be read.
    """
    if is_list:
        lines = list(device_lines(load_library()))
        click.echo("\n".join(lines) if lines else "There is no sound card with an input.")
        return
    media = tuple(media_input_of(text) for text in inputs)
    card = card_inputs_of(card_map) if card_map else ()
    if device and not card:
        raise StartError("--device needs --map, which says which input is which channel, such as 1=C03.")
    check_channels(media, card)
    for one in media:
        if not one.is_url and not Path(one.source).is_file():
            raise StartError(f"--input {one.channel}: there is no file {one.source}.")
    if not server.startswith(("http://", "https://")):
        raise StartError(f"--server {server[:80]} is not a URL such as http://127.0.0.1:8082.")
    options = CaptureOptions(
        ServerOptions(server, token), media, card, device, language=language, session=session
    )
    if not asyncio.run(_capture(options)):
        sys.exit(2)


async def _capture(options: CaptureOptions) -> bool:
    stop = asyncio.Event()
    with stopped_by_signals(stop):
        return await run_capture(options, stop)
