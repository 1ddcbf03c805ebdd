"""Runs the lab over a set of clips, and makes its report: a JSON object and a readable table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from host_stt_cli.glossary_lab.audio_set import Clip
from host_stt_cli.glossary_lab.phrases import Kind
from host_stt_cli.glossary_lab.reading import LabReader
from host_stt_cli.glossary_lab.scoring import Score, Spellings, add
from host_stt_cli.glossary_lab.stages import Correct, Stage, prompt_terms
from webrtc_host.glossary.entries import Snapshot

HIBARI, RECORDING = "hibari", "recording"
Group = tuple[str, str, str]
"""Language, condition and kind."""
COLUMNS = ("clips", "terms", "recall", "canonical", "precision", "false_insertions", "error_rate")
HEADS = ("clips", "terms", "recall", "canonical", "precision", "invented", "WER/CER")


def with_terms(clips: Sequence[Clip], snapshot: Snapshot) -> list[Clip]:
    """The clips, with the terms of recordings, which are found in their words, and the kind that follows."""
    spellings = Spellings(snapshot.entries)
    found = []
    for clip in clips:
        terms = clip.terms or tuple(spellings.in_text(clip.text))
        if not clip.terms and (terms or not clip.kind):
            kind = Kind.SEVERAL if len(terms) > 1 else Kind.ONE if terms else Kind.NONE
            clip = replace(clip, terms=terms, kind=kind.value)
        found.append(clip)
    return found


def chosen(
    clips: Sequence[Clip], limit: int, conditions: Sequence[str], languages: Sequence[str]
) -> list[Clip]:
    """The clips of these conditions and languages (empty: all), at most `limit` of each group, evenly."""
    groups: dict[Group, list[Clip]] = defaultdict(list)
    for clip in clips:
        if (not conditions or clip.condition in conditions) and (not languages or clip.language in languages):
            groups[clip.language, clip.condition, clip.kind].append(clip)
    found: list[Clip] = []
    for group in groups.values():
        count = min(limit, len(group)) if limit else len(group)
        found += [group[n * len(group) // count] for n in range(count)]
    return found


def run(
    reader: LabReader,
    folder: Path,
    clips: Sequence[Clip],
    snapshot: Snapshot,
    correct: Correct | None,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Read and score the clips in every stage.

    clips: with their terms, as from `with_terms`. correct: the text stage; None: leave out its stages.
    """
    spellings = Spellings(snapshot.entries)
    scores: dict[tuple[Group, Stage], Score] = defaultdict(Score)
    per_term: dict[str, dict[str, Any]] = {}
    stages = [stage for stage in Stage if correct is not None or not stage.has_text_stage]
    done = 0
    for has_prompt in (False, True):
        terms = [prompt_terms(snapshot, clip.language) if has_prompt else () for clip in clips]
        for clip, read in reader.read(folder, clips, terms):
            for stage in (stage for stage in stages if stage.has_prompt is has_prompt):
                text = read.text
                if stage.has_text_stage and correct is not None:
                    text = correct(text, read.words, clip.language)
                _count(scores, per_term, clip, stage, spellings, text)
            done += 1
            progress(done, 2 * len(clips))
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": reader.model,
        "glossary_terms": len(snapshot.entries),
        "clips": len(clips),
        "rows": list(_rows(scores)),
        "terms": [{"canonical": name, **figures} for name, figures in sorted(per_term.items())],
    }


def _count(
    scores: dict[tuple[Group, Stage], Score],
    per_term: dict[str, dict[str, Any]],
    clip: Clip,
    stage: Stage,
    spellings: Spellings,
    text: str,
) -> None:
    said = clip.terms
    kinds = [clip.kind, f"with terms, {_voice_kind(clip)}"] if said and clip.voice else [clip.kind]
    for kind in kinds:
        group = (clip.language, clip.condition, kind)
        add(scores[group, stage], spellings, clip.language, clip.text, said, text)
    found = spellings.in_text(text)
    for term in {*said, *found}:
        row = per_term.setdefault(term, {"said": 0, "found": defaultdict(int), "invented": defaultdict(int)})
        row["said"] += stage is Stage.NONE and term in said
        row["found"][stage] += term in said and term in found
        row["invented"][stage] += term not in said


def _voice_kind(clip: Clip) -> str:
    """The kind of voice: each has its own row, because formant voices are much harder than natural ones."""
    return {HIBARI: "natural voice", RECORDING: "recording"}.get(clip.voice, "formant voice")


def _rows(scores: dict[tuple[Group, Stage], Score]) -> Iterator[dict[str, Any]]:
    for (language, condition, kind), stage in scores:
        score = scores[(language, condition, kind), stage]
        about = {"language": language, "condition": condition, "kind": kind, "stage": stage.value}
        yield about | score.as_json() | {"invented_terms": score.invented_terms}


def table(report: dict[str, Any]) -> Iterator[str]:
    """The rows as a Markdown table: groups in order, and their stages below each other."""
    yield f"Model {report['model']}, {report['glossary_terms']} terms, {report['clips']} clips."
    yield ""
    yield "| " + " | ".join(("language", "condition", "kind", "stage", *HEADS)) + " |"
    yield "|" + "---|" * (4 + len(HEADS))
    rows = sorted(report["rows"], key=lambda r: (r["language"], r["condition"], r["kind"]))
    for row in rows:
        cells = [row["language"], row["condition"], row["kind"], row["stage"]]
        yield "| " + " | ".join((*cells, *(_cell(row[name]) for name in COLUMNS))) + " |"


def _cell(value: float | int | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{100 * value:.1f} %"
