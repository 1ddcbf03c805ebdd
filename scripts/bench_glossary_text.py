"""How right and how fast is the glossary's text stage? On what the engine wrote, and with 2,000 terms.

  python scripts/bench_glossary_text.py
  python scripts/bench_glossary_text.py --misses

Scores bench/mishearings/collected.tsv (scripts/collect_mishearings.py), in two halves: `sounds_like` is
learnt from the tuning half only, and the held-out half shows what that is worth. Then it measures the time of
the index and of one line. Prints Markdown.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.mishearings.learning import learn, with_heard  # noqa: E402
from bench.mishearings.phrases import CALL_SIGNS  # noqa: E402
from bench.mishearings.scoring import (  # noqa: E402
    Half,
    Kind,
    Outcome,
    Row,
    index_of,
    play,
    read_rows,
    score,
)
from webrtc_host.glossary import dictionary  # noqa: E402
from webrtc_host.glossary.correct import correct  # noqa: E402
from webrtc_host.glossary.entries import Entry, Snapshot  # noqa: E402
from webrtc_host.glossary.index import Index  # noqa: E402
from webrtc_host.glossary.schema import parse  # noqa: E402
from webrtc_host.glossary.yaml_file import read_file  # noqa: E402

FOLDER = ROOT / "bench" / "mishearings"
TERMS = 2_000


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--misses", action="store_true", help="list the wrong edits and the missed terms")
    options = parser.parse_args()
    started = time.process_time()
    dictionary.load()
    load_ms = 1000 * (time.process_time() - started)
    rows, entries = read_rows(FOLDER / "collected.tsv"), read_file(FOLDER / "glossary.yaml").entries()
    plain = played(rows, entries)
    heard = learn([one for one in plain if one.row.half is Half.TUNING], entries)
    learnt = played(rows, with_heard(entries, heard))
    print(HEAD)
    for name, outcomes in (("no", plain), ("learnt", learnt)):
        print("\n".join(_table(name, outcomes)))
    print(f"\n{_kinds(learnt)}\n")
    print("\n".join(_speed(rows, load_ms)))
    if options.misses:
        print("\n".join(_misses(learnt)))
    return 0


HEAD = (
    "| `sounds_like` | language | half | sentences | edits | wrong | precision | recall, near "
    "| recall, far | lost |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def played(rows: Iterable[Row], entries: Sequence[Entry]) -> list[Outcome]:
    index, by_name = index_of(entries)
    return [play(row, index, by_name) for row in rows]


def _table(name: str, outcomes: Sequence[Outcome]) -> Iterable[str]:
    for language in ("en", "ko"):
        for half in Half:
            s = score(o for o in outcomes if o.row.language == language and o.row.half is half)
            near, far = s.count(Kind.FORM, Kind.NEAR), s.count(Kind.FORM, Kind.NEAR, Kind.FAR)
            lost = s.count(Kind.LOST)[1]
            cells = (name, language, half.value, s.rows, s.edits, s.wrong_edits, _percent(s.precision))
            recalls = (
                f"{_percent(s.recall)} of {sum(near)}",
                f"{_percent(s.recall_with_far)} of {sum(far)}",
            )
            yield f"| {' | '.join(map(str, (*cells, *recalls, lost)))} |"


def _kinds(outcomes: Sequence[Outcome]) -> str:
    counts: dict[str, int] = {}
    for one in outcomes:
        for edit in one.corrected.edits:
            counts[edit.kind] = counts.get(edit.kind, 0) + 1
    traps = [one for one in outcomes if not one.row.terms]
    changed = sum(bool(one.corrected.edits) for one in traps)
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
    return f"Edits by kind: {kinds}. Sentences without a term: {len(traps)}, changed: {changed}."


def _speed(rows: Sequence[Row], load_ms: float) -> Iterable[str]:
    """The index of 2,000 terms, and each sentence once against it."""
    started = time.process_time()
    entries = parse(_large()).entries()[:TERMS]
    parse_ms = 1000 * (time.process_time() - started)
    builds = []
    for _ in range(3):
        gc.collect()
        started = time.process_time()
        index = Index.build(Snapshot(entries, 1))
        builds.append(1000 * (time.process_time() - started))
    scope = frozenset(range(len(entries)))
    times = []
    for row in rows:
        started = time.process_time()
        correct(row.wrote, row.words, index, scope, row.language)
        times.append(1000 * (time.process_time() - started))
    cuts = statistics.quantiles(times, n=100)
    yield "| what | processor time |\n|---|---|"
    yield f"| read the word lists, once for a process | {load_ms:.0f} ms |"
    yield f"| check and expand a list of {len(entries)} terms (as JSON) | {parse_ms:.0f} ms |"
    yield f"| index of {len(entries)} terms, median of 3 | {statistics.median(builds):.0f} ms |"
    percentiles = " / ".join(f"{cuts[n]:.2f}" for n in (49, 94, 98))
    yield f"| one line, p50 / p95 / p99 of {len(times)} | {percentiles} ms |"


def _large() -> dict[str, object]:
    """20 names with 90 numbers, and 200 places: 2,000 terms with 18,000 spoken forms."""
    names = {english: [korean] for english, korean in CALL_SIGNS.items()}
    first = ("North", "South", "East", "West", "Upper", "Lower", "Old", "New", "Grand", "Little")
    second = "Harbor Bridge Tunnel Station Market Hospital Airport Stadium Museum Plaza".split()
    third = ("", " Annex")
    places = [f"{a} {b}{c}" for a in first for b in second for c in third]
    return {
        "terms": [{"canonical": place, "class": "place"} for place in places],
        "patterns": [{"class": "callsign", "base": names, "number": "1-90"}],
    }


def _misses(outcomes: Sequence[Outcome]) -> Iterable[str]:
    for one in outcomes:
        missed = [name for name, kind in one.missed if kind in (Kind.FORM, Kind.NEAR)]
        if one.wrong or missed:
            texts = f"{one.row.said} | {one.row.wrote} | {one.corrected.text}"
            yield f"wrong {one.wrong}, missed {missed}: {texts}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    raise SystemExit(main())
