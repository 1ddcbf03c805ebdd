"""`host-stt glossary export-clips`: lines that people corrected, with their audio, to tune a model.

Asks a running server, so it works for every record (SQLite or PostgreSQL), needs the same rights as a person
who listens, and writes the same audit lines. The folder is in the form that `load_dataset("audiofolder")` of
Hugging Face `datasets` loads: `metadata.jsonl` and WAV files of 16 kHz, one channel.
Invariant: `metadata.jsonl` names only files that are complete.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from host_stt.contract import SAMPLE_RATE
from host_stt_cli.errors import StartError
from host_stt_common.audio_file import AudioFile, AudioFileError

METADATA = "metadata.jsonl"
CLIPS = "clips"
SECONDS_MAX = 120
LEAD_MS = 200
"""Audio before the first word and after the last one; word times are off by up to this time."""
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. url: such as http://127.0.0.1:8082."""

    url: str
    token: str = ""

    def get(self, path: str, **query: object) -> bytes:
        """Raises StartError when the server refuses the request or does not respond."""
        named = urllib.parse.urlencode({key: value for key, value in query.items() if value is not None})
        address = f"{self.url.rstrip('/')}{path}" + (f"?{named}" if named else "")
        request = urllib.request.Request(address)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            if error.code == 404 and path.endswith("/audio"):
                raise NoAudio from error
            raise StartError(f"{self.url} refused {path}: {_sentence(error)}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise StartError(
                f"{self.url} does not respond ({reason}). Start the server, or give its address with --url."
            ) from error


class NoAudio(Exception):
    """The audio of a line is not kept any more."""


@click.command("export-clips")
@click.argument("dest", type=click.Path(path_type=Path), metavar="DEST")
@click.option("--url", default="http://127.0.0.1:8082", show_default=True, help="The running server.")
@click.option(
    "--token",
    envvar="HOST_STT_TOKEN",
    default="",
    help="Its token, with the role listener. Or HOST_STT_TOKEN.",
)
@click.option(
    "--session", "sessions", multiple=True, metavar="ID", help="Only this session; may be repeated."
)
@click.option("--all", "is_all", is_flag=True, help="Also the lines without a correction.")
def export_clips(dest: Path, url: str, token: str, sessions: tuple[str, ...], is_all: bool) -> None:
    """Write the lines that people corrected, with their audio, to the new folder DEST.

    DEST/metadata.jsonl has a line for each clip: file_name, text (as corrected), raw (as the model wrote it),
    language, channel, session, segment, duration. Load it with
    datasets.load_dataset("audiofolder", data_dir="DEST").
    """
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise StartError(f"{dest} exists and is not empty. Name a new folder.")
    server = Server(url, token)
    written = missing = 0
    try:
        (dest / CLIPS).mkdir(parents=True, exist_ok=True)
        with (dest / METADATA).open("w", encoding="utf-8") as metadata:
            for session in sessions or tuple(sessions_of(server)):
                for line in lines_of(server, session, is_all=is_all):
                    entry = export(server, line, session, dest)
                    if entry is None:
                        missing += 1
                        continue
                    metadata.write(json.dumps(entry, ensure_ascii=False) + "\n")
                    written += 1
    except OSError as error:
        raise StartError(f"{dest} cannot be written: {error.strerror or error}.") from error
    click.echo(f"{dest}: {written} clips.")
    if missing:
        click.echo(f"{missing} lines have no audio any more and were left out.")


def sessions_of(server: Server) -> Iterator[str]:
    """The ids of all sessions, newest first."""
    before = None
    while True:
        page = json.loads(server.get("/api/sessions", before=before))
        yield from (one["session"] for one in page["sessions"])
        if (before := page["next_before"]) is None:
            return


def lines_of(server: Server, session: str, *, is_all: bool) -> Iterator[dict[str, Any]]:
    """The finals of a session that have a revision; is_all: every final with text."""
    after = None
    path = f"/api/sessions/{urllib.parse.quote(session, safe='')}/segments"
    while True:
        page = json.loads(server.get(path, after=after))
        yield from (one for one in page["segments"] if one["text"].strip() and (is_all or "revision" in one))
        if (after := page["next_after"]) is None:
            return


def export(server: Server, line: dict[str, Any], session: str, dest: Path) -> dict[str, Any] | None:
    """Write the clip of one line and return its entry; None when its audio is not kept any more."""
    segment = str(line["segment"])
    try:
        audio = server.get(f"/api/segments/{segment}/audio", lead_ms=LEAD_MS, trail_ms=LEAD_MS)
    except NoAudio:
        return None
    name = f"{CLIPS}/{segment}.wav"
    try:
        samples = write_wav(dest / name, audio)
    except AudioFileError as error:
        raise StartError(f"the audio of {segment} cannot be read: {error.message}.") from error
    return {
        "file_name": name,
        "text": line["text"],
        "raw": line.get("raw") or line["text"],
        "language": line.get("language"),
        "channel": line["channel"],
        "session": session,
        "segment": segment,
        "duration": round(samples / SAMPLE_RATE, 3),
    }


def write_wav(path: Path, audio: bytes) -> int:
    """Write a recording as a WAV file of 16 kHz, 16 bits, one channel. Returns its samples."""
    with AudioFile(audio, SECONDS_MAX, name="clip.opus") as source:
        samples = np.concatenate(list(source))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return len(samples)


def _sentence(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code}"
