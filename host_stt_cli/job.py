"""`host-stt job`: submit recordings to a running server, list them, read their text, cancel them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from host_stt_cli.errors import StartError
from host_stt_cli.job_client import JobClient, JobRefused, ServerOptions, job_client, server_options

ENDS = ("completed", "failed", "cancelled")


def fields_of(
    language: str, channels: str, glossary: bool, summary: str = "", title: str = ""
) -> dict[str, str]:
    """The fields of a new job."""
    fields = {
        "language": language,
        "channels": channels,
        "glossary": str(glossary).lower(),
        "summary": summary,
        "title": title,
    }
    return {name: value for name, value in fields.items() if value}


def option_fields(command: Any) -> Any:
    """Add the options of a new job to a command."""
    for option in (
        click.option(
            "--summary", default="", metavar="TEMPLATE", help="Make a summary, such as general or meeting."
        ),
        click.option("--no-glossary", is_flag=True, help="No terms and no corrections from the glossary."),
        click.option(
            "--channels",
            type=click.Choice(["auto", "split", "mix"]),
            default="auto",
            show_default=True,
            help="auto: one channel for each speaker's track; split: each side of each track; mix: one.",
        ),
        click.option("--language", default="", help="Code (ko, en) or name (Korean). Default: detected."),
    ):
        command = option(command)
    return command


@click.group()
def job() -> None:
    """Recordings on a running server: submit, list, show, cancel."""


@job.command()
@click.argument("recordings", nargs=-1, required=True, metavar="FILE|URL...")
@option_fields
@click.option("--title", default="", help="Name of the session. Default: the file's name.")
@click.option("--key", default="", help="The same key gives the same job, however often it is sent.")
@click.option("--follow", is_flag=True, help="Print the text as it is made, until the jobs have ended.")
@server_options
def submit(
    recordings: tuple[str, ...],
    language: str,
    channels: str,
    no_glossary: bool,
    summary: str,
    title: str,
    key: str,
    follow: bool,
    server: str,
    token: str,
) -> None:
    """Submit recordings. Prints the id of each job.

    Exit status 2 when one is refused, or fails while --follow waits for it.
    """
    fields = fields_of(language, channels, not no_glossary, summary, title)
    if key and len(recordings) > 1:
        raise StartError("--key names one job, so it works with one recording only.")
    _run(_submit(ServerOptions(server, token), recordings, fields, key, is_followed=follow))


@job.command("list")
@click.argument("words", default="", metavar="[WORDS]")
@click.option("--state", type=click.Choice(["queued", "running", *ENDS]), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Write the response of the server.")
@server_options
def list_jobs(words: str, state: str | None, limit: int, as_json: bool, server: str, token: str) -> None:
    """List the newest jobs. WORDS: a part of the title or of the file's name."""
    query = {"q": words, "state": state or "", "limit": str(limit)}
    _run(_list(ServerOptions(server, token), {k: v for k, v in query.items() if v}, as_json=as_json))


@job.command()
@click.argument("job_id", metavar="JOB")
@click.option("--follow", is_flag=True, help="Print the text from the beginning, until the job has ended.")
@server_options
def show(job_id: str, follow: bool, server: str, token: str) -> None:
    """Show a job as JSON, or its text with --follow."""
    _run(_show(ServerOptions(server, token), job_id, is_followed=follow))


@job.command()
@click.argument("job_id", metavar="JOB")
@server_options
def cancel(job_id: str, server: str, token: str) -> None:
    """Cancel a job. What is transcribed already stays."""
    _run(_cancel(ServerOptions(server, token), job_id))


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(130)


async def _submit(
    options: ServerOptions,
    recordings: tuple[str, ...],
    fields: dict[str, str],
    key: str,
    *,
    is_followed: bool,
) -> None:
    has_failed = False
    async with job_client(options) as client:
        made = []
        for recording in recordings:
            try:
                made.append(await _submitted(client, recording, fields, key))
            except (JobRefused, OSError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                click.echo(f"host-stt: {recording}: {reason}", err=True)
                has_failed = True
                continue
            if not is_followed:
                click.echo(made[-1])
        for job_id in made if is_followed else ():
            has_failed |= not await _followed(client, job_id)
    if has_failed:
        sys.exit(2)


async def _submitted(client: JobClient, recording: str, fields: dict[str, str], key: str) -> str:
    if recording.startswith(("http://", "https://")):
        return str((await client.submit_url(recording, fields, key))["job"])
    return str((await client.submit_file(Path(recording), fields, key))["job"])


async def _list(options: ServerOptions, query: dict[str, str], *, as_json: bool) -> None:
    async with job_client(options) as client:
        body = await client.page(**query)
    if as_json:
        click.echo(json.dumps(body, ensure_ascii=False, indent=1))
        return
    for one in body["jobs"]:
        total = "" if one["total_s"] is None else f" of {clock(one['total_s'])}"
        click.echo(f"{one['job']}  {one['state']:<9}  {clock(one['done_s'])}{total}  {one['title']}")


async def _show(options: ServerOptions, job_id: str, *, is_followed: bool) -> None:
    async with job_client(options) as client:
        if not is_followed:
            click.echo(json.dumps(await client.get(job_id), ensure_ascii=False, indent=1))
        elif not await _followed(client, job_id):
            sys.exit(2)


async def _cancel(options: ServerOptions, job_id: str) -> None:
    async with job_client(options) as client:
        body = await client.cancel(job_id)
    click.echo(f"{body['job']}  {body['state']}")


async def _followed(client: JobClient, job_id: str) -> bool:
    """Print the text of a job as it is made. False: it did not complete."""
    async for name, data in client.events(job_id):
        if name == "transcript_segment":
            click.echo(f"[{clock(data['start_s'])}] {data['channel']} {data['text']}")
        elif name == "final_summary":
            _print_summary(data)
        elif name == "failed":
            click.echo(f"host-stt: {job_id}: {data['error']['message']}", err=True)
        if name in ENDS:
            return name == "completed"
    return False


def _print_summary(data: dict[str, Any]) -> None:
    if data["content"] is None:
        click.echo(f"host-stt: no summary was made: {data['error']}", err=True)
        return
    content = data["content"]
    sentences = [one["text"] for one in content["summary"]]
    click.echo("\n".join(["", content["title"] or "", *sentences, content["note"]]))


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


@job.command()
@click.option(
    "--queue", envvar="HOST_STT_QUEUE", required=True, metavar="URL", help="PostgreSQL; $HOST_STT_QUEUE."
)
@click.option(
    "--engine", default="http://127.0.0.1:8081", show_default=True, metavar="URL", help="Its own engine."
)
@click.option(
    "--engine-token", envvar="HOST_STT_ENGINE_TOKEN", default="", help="Also $HOST_STT_ENGINE_TOKEN."
)
@click.option(
    "--at-once", type=click.IntRange(1, 16), default=1, show_default=True, help="Jobs at the same time."
)
@server_options
def worker(queue: str, engine: str, engine_token: str, at_once: int, server: str, token: str) -> None:
    """Lend an engine to the jobs of a server whose `jobs.engine` is procrastinate.

    --queue: the PostgreSQL database with the queue. --engine: the engine beside this worker.
    """
    from host_stt_cli import job_worker
    from host_stt_common.job_queue import NoQueue

    options = job_worker.WorkerOptions(queue, server, token, engine, engine_token, at_once)
    try:
        asyncio.run(job_worker.run(options, lambda line: click.echo(line)))
    except NoQueue as error:
        raise StartError(str(error)) from error
