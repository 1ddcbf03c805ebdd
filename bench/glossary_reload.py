"""How long the server takes to use a changed glossary file of 2,000 terms.

    python -m bench.glossary_reload [TERMS]

Prints the processor time and the time of each reload: read, check, expand, make the index of the text stage.
The file changes by one term each time, as when an editor corrects one.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from webrtc_host.glossary.schema import parse
from webrtc_host.glossary.store import Glossary
from webrtc_host.glossary.yaml_file import dump
from webrtc_host.speech.glossary_stage import GlossaryStage

ROUNDS = 12
LATIN = "ka ro mi ten sol bra vo del ta lin ner gos".split()
HANGUL = "가 로 미 텐 솔 브 보 델 타 린 너 고".split()
SECOND_NS = 1_000_000_000


def term(number: int) -> dict[str, Any]:
    """A call sign of four syllables and a digit, in both scripts."""
    parts = [number // len(LATIN) ** power % len(LATIN) for power in range(4)]
    latin, hangul = "".join(LATIN[i] for i in parts).title(), "".join(HANGUL[i] for i in parts)
    digit = number % 9 + 1
    return {
        "canonical": f"{latin}-{digit}",
        "display": {"ko": f"{hangul}{digit}호"},
        "aliases": [f"{latin} {digit}", f"{hangul} {digit}"],
        "class": "callsign",
    }


def main(terms: int) -> None:
    listed = [term(number) for number in range(terms)]
    texts = [dump(parse({"terms": part})) for part in (listed, listed[:-1])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "glossary.yaml"
        path.write_text(texts[0], encoding="utf-8")
        glossary = Glossary(path)
        GlossaryStage(glossary)
        glossary.load()
        wall_ms, processor_ms = [], []
        for number in range(1, ROUNDS + 1):
            path.write_text(texts[number % 2], encoding="utf-8")
            os.utime(path, ns=(number * SECOND_NS, number * SECOND_NS))
            glossary.reload()  # the first look after a change waits until the file has settled
            began, began_on_processor = time.perf_counter(), time.thread_time()
            assert glossary.reload() is not None
            wall_ms.append(1000 * (time.perf_counter() - began))
            processor_ms.append(1000 * (time.thread_time() - began_on_processor))
    print(f"{terms} terms, {len(texts[0].encode())} bytes, {ROUNDS} reloads")
    for name, values in (("processor", processor_ms), ("elapsed", wall_ms)):
        print(f"{name}: median {statistics.median(values):.0f} ms, most {max(values):.0f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
