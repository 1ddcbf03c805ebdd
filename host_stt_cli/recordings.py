"""Find the recordings that a command line names, and the file for the text of each. Runs before a model
loads.

A folder means all recordings in it and its subfolders, found by their endings. Invariant: no two recordings
are written to the same file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from host_stt_cli.errors import StartError

SUFFIXES = frozenset(
    "aac ac3 eac3 aif aiff aifc al alaw amr ape asf au avi caf dts flac flv gsm m2ts m4a m4b m4v mka mkv mov "
    "mp2 mp3 mp4 mpeg mpg mpga mts mulaw oga ogg ogv opus ra rm sbc snd tak ts tta ul ulaw voc w64 wav wave "
    "webm wma wmv wv 3g2 3gp 3gpp ds2 dsf dss dv g722 ircam mpc mxf nist nut oma qcp shn sln sox sph "
    "wtv".split()
)


@dataclass(frozen=True, slots=True)
class Job:
    """One recording. target: the file for its text; None: standard output."""

    recording: Path
    target: Path | None


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    subfolder: Path  # relative to the named folder; empty for a file that was named itself


def jobs_of(named: Sequence[Path], suffix: str, output: Path | None) -> list[Job]:
    """The recordings, and the file for each text. suffix: the ending of the texts, such as `srt`.

    With `output`, each text goes there as NAME.SUFFIX. Without it, the text of a single file goes to standard
    output, and texts for a folder go next to their recordings as NAME.wav.SUFFIX. Raises StartError.
    """
    missing = [str(path) for path in named if not path.exists()]
    if missing:
        raise StartError("\n".join(f"there is no file {name}." for name in missing))
    has_folder = any(path.is_dir() for path in named)
    found = [one for path in named for one in _recordings(path)]
    if output is not None:
        return _into(output, found, suffix)
    if has_folder:
        return [Job(one.path, one.path.with_name(f"{one.path.name}.{suffix}")) for one in found]
    if len(found) > 1:
        raise StartError("several files need --output DIR, where each one gets its own file.")
    return [Job(found[0].path, None)]


def _recordings(named: Path) -> Iterator[_Found]:
    if not named.is_dir():
        yield _Found(named, Path())
        return
    found = [
        path
        for path in sorted(named.rglob("*"))
        if path.suffix[1:].lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        raise StartError(
            f"the folder {named} contains no recording (.wav, .mp3, .m4a, .ogg, .webm and the like)."
        )
    for path in found:
        yield _Found(path, path.parent.relative_to(named))


def _into(output: Path, found: Sequence[_Found], suffix: str) -> list[Job]:
    targets = [output / one.subfolder / f"{one.path.stem}.{suffix}" for one in found]
    shared = {target for target, count in Counter(targets).items() if count > 1}
    jobs: dict[Path, Path] = {}
    for one, plain in zip(found, targets, strict=True):
        # Two recordings with the same name and different endings, such as a.wav and a.mp3.
        target = plain.with_name(f"{one.path.name}.{suffix}") if plain in shared else plain
        if target in jobs:
            raise StartError(
                f"two files would both be written to {target}; transcribe them into different folders."
            )
        jobs[target] = one.path
    for folder in sorted({target.parent for target in jobs}):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(f"the folder {folder} cannot be made: {error.strerror}.") from error
    return [Job(recording, target) for target, recording in jobs.items()]
