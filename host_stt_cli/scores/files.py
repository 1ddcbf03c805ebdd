"""Read a file of lines for `host-stt score`: plain text, TSV with ids, SRT or WebVTT.

Every mistake is a StartError with a sentence that names the file and the way out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from host_stt_cli.errors import StartError

_TIMES = re.compile(r"^[\d:.,]+\s+-->\s+[\d:.,]+")
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class Pair:
    """id: of the line, or its number from 1 on."""

    id: str
    reference: str
    hypothesis: str


def pairs_of(reference: Path, hypothesis: Path, *, is_whole: bool) -> list[Pair]:
    """The lines of both files, side by side. is_whole: all lines of a file are one text."""
    texts, other = _read(reference), _read(hypothesis)
    has_subtitles = any(path.suffix.lower() in (".srt", ".vtt") for path in (reference, hypothesis))
    if is_whole or has_subtitles:
        pairs = [Pair("all", " ".join(texts.values()), " ".join(other.values()))]
    elif _has_ids(reference) and _has_ids(hypothesis):
        pairs = list(_by_id(reference, hypothesis, texts, other))
    elif len(texts) != len(other):
        raise StartError(
            f"{reference} has {len(texts)} lines and {hypothesis} has {len(other)}, so they cannot "
            "be compared line by line. Write TSV files with an id in front of each line, or use --whole."
        )
    else:
        lines = zip(texts.values(), other.values(), strict=True)
        pairs = [Pair(str(number), said, read) for number, (said, read) in enumerate(lines, 1)]
    return pairs


def _by_id(reference: Path, hypothesis: Path, texts: dict[str, str], other: dict[str, str]) -> Iterator[Pair]:
    unknown = [name for name in other if name not in texts]
    if unknown:
        raise StartError(f"{hypothesis} has the id {unknown[0]!r}, which {reference} does not have.")
    missing = [name for name in texts if name not in other]
    if missing:
        raise StartError(
            f"{hypothesis} has no line with the id {missing[0]!r}; {len(missing)} ids are missing. "
            "For a line without text, write the id and a tab."
        )
    for name, said in texts.items():
        yield Pair(name, said, other[name])


def _has_ids(path: Path) -> bool:
    return path.suffix.lower() == ".tsv"


def _read(path: Path) -> dict[str, str]:
    """The lines of a file by id or number. A TSV keeps lines without text; other empty lines are skipped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StartError(f"{path} is not UTF-8 text. Convert it first: iconv -t utf-8.") from error
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.") from error
    lines = text.splitlines()
    match path.suffix.lower():
        case ".tsv":
            found = dict(_with_ids(path, lines))
        case ".srt" | ".vtt":
            found = {str(number): line for number, line in enumerate(_spoken(lines), 1)}
        case _:
            kept = [line.strip() for line in lines if line.strip()]
            found = {str(number): line for number, line in enumerate(kept, 1)}
    if not any(one.strip() for one in found.values()):
        raise StartError(f"{path} has no text.")
    return found


def _with_ids(path: Path, lines: list[str]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, tab, text = line.partition("\t")
        if not tab:
            raise StartError(f"{path}:{number}: there is no tab between the id and the text.")
        if name in seen:
            raise StartError(f"{path}:{number}: the id {name!r} is in the file twice.")
        seen.add(name)
        yield name, text.strip()


def _spoken(lines: list[str]) -> Iterator[str]:
    """The texts of subtitles: without numbers, times, tags and the notes of WebVTT."""
    is_text = False
    for line in lines:
        if _TIMES.match(line):
            is_text = True
        elif not line.strip():
            is_text = False
        elif is_text:
            yield _TAG.sub("", line).strip()
