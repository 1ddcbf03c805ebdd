"""How long a search by meaning takes among many lines: `python -m bench.meaning_search [LINES]`.

The comparison with the signs of all vectors, then reading and comparing the vectors of the best lines, as
`services.meaning` does it. Vectors are random numbers of the length 384; the time does not depend on them.
"""

from __future__ import annotations

import resource
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from webrtc_host.services.meaning import CANDIDATES
from webrtc_host.transcript.vector_index import VectorIndex, cosine, packed, unpacked

LENGTH = 384
QUERIES = 100
DIFFERENT = 1000


def main(lines: int) -> None:
    random = np.random.default_rng(1)
    texts = [packed(vector) for vector in random.standard_normal((DIFFERENT, LENGTH))]
    index = VectorIndex(lines)
    with tempfile.TemporaryDirectory() as folder:
        record = sqlite3.connect(Path(folder) / "record.sqlite3")
        record.execute("CREATE TABLE meanings (segment TEXT PRIMARY KEY, vector TEXT)")
        rows = ((f"g_{number}", texts[number % DIFFERENT]) for number in range(lines))
        record.executemany("INSERT INTO meanings VALUES (?, ?)", rows)
        record.commit()
        for number in range(lines):
            index.add(number, texts[number % DIFFERENT])
        times = [_search(index, record, random.standard_normal(LENGTH).tolist()) for _ in range(QUERIES)]
        record.close()
    p50, p95 = np.percentile(times, (50, 95))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{lines} lines, {QUERIES} queries: p50 {p50:.0f} ms, p95 {p95:.0f} ms; {memory} MB in the process")


def _search(index: VectorIndex, record: sqlite3.Connection, vector: list[float]) -> float:
    begin_s = time.perf_counter()
    names = [f"g_{number}" for number in index.nearest(vector, CANDIDATES)]
    marks = ",".join("?" * len(names))
    found = record.execute(f"SELECT segment, vector FROM meanings WHERE segment IN ({marks})", names)
    question = np.asarray(vector, dtype=np.float32)
    sorted((cosine(question, unpacked(text)), segment) for segment, text in found)
    return (time.perf_counter() - begin_s) * 1000


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
