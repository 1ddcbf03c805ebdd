"""`host-stt backup DEST`: copy the data folder, also while a server writes to it.

Copies the database first, as it is at one moment, then the audio, which only grows. Audio that is newer than
the database has no text in the copy; a server that starts on the copy transcribes it. So nothing is missing.
Invariant: DEST gets its name only when it is complete; it is a data folder itself, and private.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import click

from host_stt_cli.data_folder import LOCK_NAME, PID_NAME, keep_private
from host_stt_cli.errors import StartError
from host_stt_cli.options import ConfigOptions, config_options
from webrtc_host.transcript.database import MEMORY
from webrtc_host.transcript.sqlite_database import FILE_NAME, copy_sqlite

LEFT_OUT = ("models", LOCK_NAME, PID_NAME)
"""Entries of the data folder that are not copied: models can be fetched again, the others belong to a
process.
"""
UNFINISHED = ".unfinished"


@click.command()
@click.argument("dest", type=click.Path(path_type=Path), metavar="DEST")
@config_options
def backup(options: ConfigOptions, dest: Path) -> None:
    """Copy the record, the audio and the settings of the data folder to the new folder DEST.

    A server may be running on the data folder. To restore, start a server with --set data.dir=DEST, or on a
    copy of DEST.
    """
    keep_private()
    config = options.load().config
    source = config.data.dir.expanduser().absolute()
    dest = dest.expanduser().absolute()
    refuse(source, dest)
    work = dest.with_name(dest.name + UNFINISHED)
    try:
        work.mkdir(parents=True)
        copied = copy_folder(source, work)
        os.sync()
        work.rename(dest)
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(work, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error
        raise StartError(f"the backup could not be written to {dest}: {reason}.") from error
    click.echo(f"{dest}: {copied} files, complete.")
    if config.store.url and config.store.url != MEMORY:
        click.echo("The record is in the database of store.url; back that up with pg_dump.")


def refuse(source: Path, dest: Path) -> None:
    """Raise StartError if `source` cannot be copied, or not to `dest`."""
    if not source.is_dir():
        raise StartError(
            f"there is no data folder {source}; name the folder with --set data.dir=FOLDER, or --config FILE."
        )
    if dest.exists():
        raise StartError(f"{dest} exists already; name a new folder.")
    if dest.is_relative_to(source):
        raise StartError(f"{dest} is inside the data folder; name a folder outside of {source}.")
    unfinished = dest.with_name(dest.name + UNFINISHED)
    if unfinished.exists():
        raise StartError(f"{unfinished} is left from a backup that did not finish; remove it first.")


def copy_folder(source: Path, dest: Path) -> int:
    """Copy a data folder into an empty folder. Returns the number of files."""
    copied = 0
    if (source / FILE_NAME).exists():
        copy_sqlite(source / FILE_NAME, dest / FILE_NAME)
        copied += 1
    for file in _files(source):
        target = dest / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(file, target)
            target.chmod(target.stat().st_mode & 0o700)  # copy2 copies the mode; keep only the owner's part
        except FileNotFoundError:
            continue  # retention removed the file during the copy
        copied += 1
    return copied


def _files(source: Path) -> Iterator[Path]:
    for top in sorted(source.iterdir()):
        if top.name in LEFT_OUT or top.name.startswith(FILE_NAME):
            continue
        if top.is_file():
            yield top
        for folder, _, names in os.walk(top):
            yield from (Path(folder) / name for name in sorted(names))
