"""`host-stt transcribe`: turn recordings into text or subtitles, without a server.

Loads the model as the engine does, and transcribes each file as the engine's `POST /v1/audio/transcriptions`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from tqdm import tqdm

from host_stt.contract import AUTO, RequestError
from host_stt.files.fields import terms_of
from host_stt.files.formats import Format, Recording, written
from host_stt.files.job import FileJob, FileOptions
from host_stt.files.job import transcribe as read
from host_stt.service import EngineService
from host_stt.state import Phase
from host_stt_cli import logs
from host_stt_cli.errors import StartError
from host_stt_cli.options import ConfigOptions, config_options
from host_stt_cli.recordings import Job, jobs_of
from host_stt_common.languages import HOW, read_language

FORMATS = {
    "txt": Format.TEXT,
    "srt": Format.SRT,
    "vtt": Format.VTT,
    "json": Format.JSON,
    "verbose_json": Format.VERBOSE_JSON,
}
_BOTH = frozenset({"segment", "word"})
_WAIT_S = 0.05


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE|FOLDER...")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="txt",
    show_default=True,
    help="verbose_json has segments and words with times.",
)
@click.option("--language", default=AUTO, help="Code (en, ko, pt-BR) or name (Korean). Default: detected.")
@click.option("--hotwords", default="", metavar="LIST", help="Terms to prefer, separated by commas.")
@click.option(
    "--track", type=click.IntRange(0, 999), help="Audio track, from 0. Default: the first with speech."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write NAME.FORMAT there for each recording. Default: standard output for one FILE, next to the "
    "recordings (NAME.wav.FORMAT) for a FOLDER.",
)
@config_options
def transcribe(
    options: ConfigOptions,
    files: tuple[Path, ...],
    form: str,
    language: str,
    hotwords: str,
    track: int | None,
    output: Path | None,
) -> None:
    """Transcribe recordings to text or subtitles, in this process; no server is needed.

    A FOLDER means all recordings in it and its subfolders. A recording that cannot be transcribed is reported
    on stderr and does not stop the others; the exit status is then 2.
    """
    jobs = jobs_of(files, "json" if form == "verbose_json" else form, output)
    asked = FileOptions(_language(language), _terms(hotwords), track=track)
    config = options.load().config
    logs.set_up("transcribe", config.log.level if config.log.level != "info" else "warning")
    service = EngineService(config.engine_in_force())
    with _running(service):
        failed = [_one(service, job, asked, FORMATS[form]) for job in jobs].count(False)
    if failed:
        raise StartError(f"{failed} of {len(jobs)} recordings could not be transcribed.")


def _language(given: str) -> str:
    code = read_language(given)
    if code is None:
        raise StartError(f"--language: {given[:40]!r} is not known; {HOW}.")
    return code


def _terms(hotwords: str) -> tuple[str, ...]:
    try:
        return terms_of([hotwords])
    except RequestError as error:
        raise StartError(f"--hotwords: {error.message}.") from error


@contextmanager
def _running(service: EngineService) -> Iterator[None]:
    """Load the model; it is available inside the block. Raises StartError if it cannot be loaded."""
    service.start()
    try:
        while not (now := service.state.now).is_ready:
            if now.phase is Phase.FAILED:
                raise StartError(f"{now.message.rstrip('.')}.")
            time.sleep(_WAIT_S)
        yield
    finally:
        service.stop()


def _one(service: EngineService, job: Job, asked: FileOptions, form: Format) -> bool:
    """True if it was transcribed and written. Otherwise prints the reason on stderr; the next file may
    work.
    """
    file = job.recording
    try:
        recording = _read(service, file, asked)
        if recording.facts is not None and (warning := recording.facts.warning()):
            click.echo(f"host-stt: {file}: {warning}.", err=True)
        text = written(recording, form, _BOTH if form is Format.VERBOSE_JSON else frozenset())
        if job.target is None:
            sys.stdout.write(text if text.endswith("\n") else text + "\n")
        else:
            job.target.write_text(text, encoding="utf-8")
    except RequestError as error:
        click.echo(f"host-stt: {file}: {error.message}.", err=True)
        return False
    except OSError as error:
        click.echo(f"host-stt: {error.filename or file}: {error.strerror or error}.", err=True)
        return False
    return True


def _read(service: EngineService, file: Path, asked: FileOptions) -> Recording:
    # disable=None: no progress bar if stderr is not a terminal.
    with tqdm(desc=file.name, unit="s", disable=None, file=sys.stderr) as bar:

        def on_progress(done_s: float, announced_s: float | None) -> None:
            bar.total = round(announced_s) if announced_s else None
            bar.update(round(done_s) - bar.n)

        recording = asyncio.run(read(FileJob(file, asked, service), on_progress))
        bar.total = bar.n = round(recording.duration_s)
        bar.refresh()
    return recording
