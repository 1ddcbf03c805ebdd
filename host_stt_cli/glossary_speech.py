"""`host-stt glossary speak`, `test` and `train`: measure a glossary on speech. No server is needed."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from host_stt_cli import logs
from host_stt_cli.config import Config
from host_stt_cli.errors import StartError
from host_stt_cli.glossary_lab import audio_set, report, training
from host_stt_cli.glossary_lab.conditions import CONDITIONS
from host_stt_cli.glossary_lab.phrases import lab_glossary
from host_stt_cli.glossary_lab.reading import LabReader, default_cache
from host_stt_cli.glossary_lab.text_stage import common_words, text_stage
from host_stt_cli.options import ConfigOptions, config_options
from webrtc_host.glossary.entries import Snapshot
from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.schema import parse
from webrtc_host.glossary.yaml_file import read_file

LANGUAGES = ("en", "ko")
REPORT = "glossary-lab.json"
_AUDIO = click.Path(path_type=Path, exists=True, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--recordings", type=_AUDIO, metavar="DIR", help="Recordings to use as well: en/NAME.flac, NAME.txt."
)
@click.option("--phrases", default=160, show_default=True, type=click.IntRange(8, 2000), help="Per language.")
def speak(folder: Path, recordings: Path | None, phrases: int) -> None:
    """Make a set of speech in FOLDER: phrases with and without terms, clean, by telephone and by radio.

    Uses espeak-ng and hibari-tts where they are installed. Korean call signs are spoken in front of the
    Korean recordings.
    """
    clips = audio_set.write_set(folder, recordings, phrases)
    (folder / "glossary.json").write_text(json.dumps(lab_glossary(), ensure_ascii=False, indent=1), "utf-8")
    click.echo(f"{len(clips)} clips and glossary.json are in {folder}.")


@click.command("test")
@click.option("--audio", required=True, type=_AUDIO, metavar="DIR", help="A set of `speak`, or recordings.")
@click.option(
    "--glossary", "file", type=_FILE, metavar="FILE", help="Default: glossary.json in DIR, else the lab's."
)
@click.option("--limit", default=0, type=click.IntRange(0), help="Clips of each kind and condition. 0: all.")
@click.option("--condition", "conditions", multiple=True, type=click.Choice(CONDITIONS), help="Default: all.")
@click.option("--language", "languages", multiple=True, type=click.Choice(LANGUAGES), help="Default: both.")
@click.option(
    "--json", "json_file", type=_FILE, metavar="FILE", help=f"Default: {REPORT} in the data folder."
)
@click.option(
    "--cache", type=click.Path(path_type=Path), metavar="DIR", help="Where results of the model are kept."
)
@config_options
def test_command(
    options: ConfigOptions,
    audio: Path,
    file: Path | None,
    limit: int,
    conditions: tuple[str, ...],
    languages: tuple[str, ...],
    json_file: Path | None,
    cache: Path | None,
) -> None:
    """Read recordings with and without a glossary, and score the terms and the other words.

    Shows each stage: no glossary, the prompt alone, the text stage alone, and both.
    """
    config = _config(options)
    snapshot = _snapshot(file, audio)
    clips = report.with_terms(audio_set.read_set(audio), snapshot)
    clips = report.chosen(clips, limit, conditions, languages)
    if not clips:
        raise StartError(f"{audio} has no clips in these conditions and languages.")
    reader = LabReader(config.engine_in_force(), cache or default_cache())
    found = report.run(reader, audio, clips, snapshot, text_stage(snapshot), _progress)
    _write(json_file or config.data.dir / REPORT, found)
    for line in report.table(found):
        click.echo(line)


@click.command()
@click.option("--glossary", "file", type=_FILE, metavar="FILE", help="Default: the one in the data folder.")
@click.option("--language", "languages", multiple=True, type=click.Choice(LANGUAGES), help="Default: both.")
@click.option(
    "--voices", default=3, show_default=True, type=click.IntRange(1, 20), help="Voices per language."
)
@click.option("--limit", default=0, type=click.IntRange(0), help="Terms. 0: all.")
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Write the proposals there.")
@click.option(
    "--cache", type=click.Path(path_type=Path), metavar="DIR", help="Where results of the model are kept."
)
@config_options
def train(
    options: ConfigOptions,
    file: Path | None,
    languages: tuple[str, ...],
    voices: int,
    limit: int,
    json_file: Path | None,
    cache: Path | None,
) -> None:
    """Speak each term, read it with the model, and propose what the model writes as aliases.

    Nothing is changed: put the aliases that you accept into the glossary yourself.
    """
    config = _config(options)
    snapshot = _snapshot(file or config.data.dir / "glossary.yaml", None)
    entries = snapshot.entries[: limit or None]
    if not entries:
        raise StartError("the glossary has no terms; name one with --glossary.")
    reader = LabReader(config.engine_in_force(), cache or default_cache())
    found: list[training.Heard] = []
    with tempfile.TemporaryDirectory() as name:
        for language in languages or LANGUAGES:
            clips = training.spoken_clips(Path(name), entries, language, voices)
            found += training.mishearings(reader, Path(name), clips, snapshot, common_words())
    if json_file is not None:
        _write(json_file, {"proposals": [heard.as_json() for heard in found]})
    for heard in found:
        why = f"  not proposed: {heard.refused}" if heard.refused else ""
        click.echo(f"{heard.canonical}  {heard.language}  {heard.text!r}  {heard.times}{why}")
    click.echo(f"{sum(not heard.refused for heard in found)} aliases are proposed for {len(entries)} terms.")


def _config(options: ConfigOptions) -> Config:
    config = options.load().config
    logs.set_up("glossary", config.log.level if config.log.level != "info" else "warning")
    return config


def _snapshot(file: Path | None, audio: Path | None) -> Snapshot:
    """The glossary of a file. Without one: that of the set of speech, or the lab's own."""
    try:
        if file is not None:
            if not file.is_file():
                raise StartError(f"{file} cannot be read: there is no such file.")
            found = parse(json.loads(file.read_text("utf-8"))) if file.suffix == ".json" else read_file(file)
        else:
            made = audio / "glossary.json" if audio is not None else None
            is_made = made is not None and made.is_file()
            found = parse(json.loads(made.read_text("utf-8")) if made and is_made else lab_glossary())
    except (GlossaryError, ValueError) as error:
        raise StartError(f"the glossary cannot be used: {error}") from error
    return Snapshot(found.entries(), 1, found.defaults.plain())


def _write(file: Path, body: dict[str, Any]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(body, ensure_ascii=False, indent=1), encoding="utf-8")
    except OSError as error:
        raise StartError(f"{file} cannot be written: {error.strerror}.") from error


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {of} decodes", nl=done == of, err=True)
