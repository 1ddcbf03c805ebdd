"""`host-stt watch DIR`: submit every recording that appears in a folder to a running server."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import click

from host_stt_cli.errors import StartError
from host_stt_cli.job import fields_of, option_fields
from host_stt_cli.job_client import JobClient, JobRefused, ServerOptions, job_client, server_options
from host_stt_cli.watched_folder import Version, WatchedFolder

LOOK_S = 2.0


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@option_fields
@click.option(
    "--settle",
    type=click.FloatRange(0, 3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="A file is complete when it has not changed for so long.",
)
@click.option("--once", is_flag=True, help="Submit what is complete, and end.")
@server_options
def watch(
    folder: Path,
    language: str,
    channels: str,
    no_glossary: bool,
    summary: str,
    settle: float,
    once: bool,
    server: str,
    token: str,
) -> None:
    """Submit every recording that appears in DIR or its subfolders, each once.

    What was submitted is remembered in DIR/.host-stt-watch.jsonl. While the server cannot be reached, or has
    no room, recordings wait; one that it refuses is reported and not sent again, unless the file changes.
    """
    if not folder.is_dir():
        raise StartError(f"there is no folder {folder}.")
    watched = WatchedFolder(folder, settle, time.monotonic)
    fields = fields_of(language, channels, not no_glossary, summary)
    try:
        asyncio.run(_watch(watched, ServerOptions(server, token), fields, settle, is_once=once))
    except KeyboardInterrupt:
        sys.exit(130)


async def _watch(
    watched: WatchedFolder, options: ServerOptions, fields: dict[str, str], settle_s: float, *, is_once: bool
) -> None:
    async with job_client(options) as client:
        trouble = ""
        is_first = True
        while True:
            trouble = await submit_ready(watched, client, fields, trouble)
            if is_once and not is_first:
                if trouble:
                    sys.exit(2)
                return
            await asyncio.sleep(settle_s if is_once else LOOK_S)
            is_first = False


async def submit_ready(
    watched: WatchedFolder, client: JobClient, fields: dict[str, str], trouble: str = ""
) -> str:
    """Submit the complete recordings. Returns why some have to wait; empty: none has to.

    trouble: the reason that was reported last; it is not reported again.
    """
    for version in watched.ready():
        try:
            await _submit(watched, client, version, fields)
        except (JobRefused, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if not isinstance(error, JobRefused) or error.is_passing:
                if reason != trouble:
                    click.echo(f"host-stt: {version.name} waits: {reason}", err=True)
                return reason
            click.echo(f"host-stt: {version.name} is refused: {reason}", err=True)
            watched.remember(version, reason)
    return ""


async def _submit(
    watched: WatchedFolder, client: JobClient, version: Version, fields: dict[str, str]
) -> None:
    job = await client.submit_file(watched.folder / version.name, fields, version.key)
    if watched.is_unchanged(version):  # otherwise the next look finds another version, and submits that
        watched.remember(version, job["job"])
        click.echo(f"{job['job']}  {version.name}")
