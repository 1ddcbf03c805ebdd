"""The report of an evaluation: figures by group as JSON, and the same as Markdown tables.

Pure, but for the name of this machine's processor.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.speech.clips import NONSPEECH
from bench.speech.normalise import STATED
from bench.speech.played import LATE_MS, Played
from bench.speech.scoring import NEAR_WORDS, UNBROKEN_MS, group_scores

VERSION = 1
DECODERS = ("live", "after review", "offline greedy", "offline beam 5")


def build(played: Sequence[Played], offline: Sequence[dict[str, str]], run: dict[str, Any]) -> dict[str, Any]:
    """run: how it was made (`command`, `model`, `way`, `note`, ...), copied into the report."""
    by_group: dict[str, list[int]] = {}
    for index, one in enumerate(played):
        by_group.setdefault(one.recording.group, []).append(index)
        if one.recording.is_speech:
            by_group.setdefault(f"{one.recording.language}, all", []).append(index)
    groups = {
        name: group_scores([played[i] for i in indexes], [offline[i] for i in indexes])
        for name, indexes in sorted(by_group.items())
    }
    machine = {"processor": _processor(), "cores": os.cpu_count()}
    facts = {"version": VERSION, "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "machine": machine}
    return facts | run | {"normalisation": STATED, "recordings": len(played), "groups": groups}


def markdown(report: dict[str, Any]) -> str:
    """The report for people. Texts of the recordings are left out; only invented lines are shown."""
    groups = report["groups"]
    speech = {name: figures for name, figures in groups.items() if "rates" in figures}
    parts = [_head(report)]
    if speech:
        parts += [_rates(speech), _korean_spaces(speech), _joins(speech), _times(speech), _ends(speech)]
    parts += [_languages(groups)]
    if NONSPEECH in groups:
        parts.append(_nonspeech(groups[NONSPEECH]))
    parts.append(_losses(groups))
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(report: dict[str, Any]) -> str:
    machine = report["machine"]
    return "\n".join(
        [
            f"{report['way']}. {report['recordings']} recordings, model {report['model']}, "
            f"{report['made']}, {machine['cores']} cores ({machine['processor']}).",
            *([f"{report['note']}"] if report.get("note") else []),
            "",
            f"Command: `{report['command']}`",
            "",
            f"Compared form: {report['normalisation']}",
        ]
    )


def _rates(groups: dict[str, Any]) -> str:
    rows = []
    for name, figures in groups.items():
        rates = figures["rates"]
        cells = [_rate(rates.get(decoder, rates["live"])) for decoder in _decoders(groups)]
        row = [name, figures["recordings"], rates["unit"], rates["live"]["of"], *cells]
        rows.append(row)
    decoders = _decoders(groups)
    head = ["group", "recordings", "unit", "of", *(f"{decoder} (S, D, I)" for decoder in decoders)]
    return "**Errors** (S substituted, D deleted, I inserted)\n\n" + _table(head, rows)


def _decoders(groups: dict[str, Any]) -> list[str]:
    """The columns. A group without a revised line has the live text after the review, too."""
    return [one for one in DECODERS if any(one in figures["rates"] for figures in groups.values())]


def _korean_spaces(groups: dict[str, Any]) -> str:
    decoders = _decoders(groups)
    rows = []
    for name, figures in groups.items():
        if live := figures["rates"].get("live, with spaces"):
            rates = (figures["rates"].get(f"{one}, with spaces", live) for one in decoders)
            rows.append([name, *map(_rate, rates)])
    if not rows:
        return ""
    return "**Character errors with spaces**\n\n" + _table(["group", *decoders], rows)


def _joins(groups: dict[str, Any]) -> str:
    head = ["group", "utterances", "lines", "lines per utterance", "without text", "joins", "lost", "doubled"]
    rows = [
        [
            name,
            figures["utterances"],
            figures["lines"],
            _plain(figures["lines_per_utterance"]),
            figures["without_text"],
            figures["joins"]["count"],
            figures["joins"]["lost_words"],
            figures["joins"]["doubled_words"],
        ]
        for name, figures in groups.items()
    ]
    text = f"**Lines and joins** (lost and doubled: words within {NEAR_WORDS} words of a join)\n\n"
    return text + _table(head, rows)


def _times(groups: dict[str, Any]) -> str:
    head = ["group", "all words, p50 / p95", "words", "unbroken speech, p50 / p95", "words"]
    rows = [
        [
            name,
            _spread(figures["word_final_ms"]),
            figures["word_final_ms"]["n"],
            _spread(figures["unbroken_word_final_ms"]),
            figures["unbroken_word_final_ms"]["n"],
        ]
        for name, figures in groups.items()
    ]
    text = (
        f"**From the end of a word to its final text**, in seconds (unbroken speech: utterances of more than "
        f"{UNBROKEN_MS / 1000:g} s)\n\n"
    )
    return text + _table(head, rows)


def _ends(groups: dict[str, Any]) -> str:
    head = ["group", "start off by, p50 / p95 (bias)", "end off by, p50 / p95 (bias)", "recordings"]
    rows = [
        [name, _off(figures["start_ms"]), _off(figures["end_ms"]), figures["start_ms"]["n"]]
        for name, figures in groups.items()
    ]
    text = "**Start and end of the text**, in milliseconds against Silero's detector on the recording\n\n"
    return text + _table(head, rows)


def _languages(groups: dict[str, Any]) -> str:
    rows = [
        [name, ", ".join(f"{code} {count}" for code, count in sorted(figures["languages"].items()))]
        for name, figures in groups.items()
    ]
    return "**Language of the text** (recordings)\n\n" + _table(["group", "languages"], rows)


def _nonspeech(figures: dict[str, Any]) -> str:
    texts = "; ".join(f"“{text}”" for text in figures["ghost_texts"]) or "none"
    return (
        f"**Non-speech**: {figures['seconds'] / 60:.1f} minutes in {figures['recordings']} recordings, "
        f"{figures['ghosts']} lines with words: {texts}"
    )


def _losses(groups: dict[str, Any]) -> str:
    rows = [figures for name, figures in groups.items() if not name.endswith(", all")]
    late, failed = (sum(figures[key] for figures in rows) for key in ("late", "failed"))
    unheard = sum(figures["unheard_s"] for figures in rows)
    return (
        f"**Load**: {late} lines came more than {LATE_MS / 1000:g} s after the end of their utterance, "
        f"{failed} windows failed, {unheard:.1f} s of audio were shed, lost or failed."
    )


def _rate(figures: dict[str, Any]) -> str:
    counts = ", ".join(str(figures[key]) for key in ("substituted", "deleted", "inserted"))
    return f"{100 * figures['rate']:.1f} % ({counts})"


def _spread(figures: dict[str, float]) -> str:
    return f"{figures['p50'] / 1000:.1f} / {figures['p95'] / 1000:.1f}" if figures["n"] else "-"


def _off(figures: dict[str, float]) -> str:
    if not figures["n"]:
        return "-"
    return f"{figures['p50']:.0f} / {figures['p95']:.0f} ({figures['bias']:+.0f})"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
