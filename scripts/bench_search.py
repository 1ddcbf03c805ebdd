"""Compare the search index of letter pairs with FTS5's trigrams and with no index.

    python -m scripts.bench_search [LINES]

Makes LINES radio lines (half Korean, half English) in SQLite files of a temporary folder, sends each index
the same queries and prints a table: build time, size, and the median of 20 queries for the newest 50 hits.
"""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from webrtc_host.transcript.search import match_sqlite
from webrtc_host.transcript.search_text import phrases, tokens

LINES = 200_000
REPEATS = 20
NAMES_KO = "알파원 알파투 브라보원 브라보투 찰리 델타 에코 본부 관제 구급 소방 지휘".split()
WORDS_KO = (
    "게이트로 이동 일번 이번 삼번 현장 도착 수신양호 대기 바랍니다 환자 이송 완료 화재 진압 중 도로 통제 "
    "응답 확인 출동 교차로 북쪽 남쪽 건물 옥상 지하 연기 인원 지원 요청"
).split()
NAMES_EN = "alpha bravo charlie delta echo control tower medic engine command".split()
WORDS_EN = (
    "proceed to gate seven on scene copy standing by patient transport complete fire under control road "
    "closed confirm respond north south building roof basement smoke request support unit five nine"
).split()
QUESTIONS = [
    "알파",
    "알파원",
    "게이트",
    "수신양호 본부",
    "환자 옥상",
    "gate",
    "patient roof",
    "없는말",
    "없음",
]


@dataclass(frozen=True, slots=True)
class Index:
    name: str
    make: str
    entry: Callable[[str], str]
    where: Callable[[str], tuple[str, list[str]]]


def _pairs(question: str) -> tuple[str, list[str]]:
    return "t MATCH ?", [match_sqlite(phrases(question))]


def _trigrams(question: str) -> tuple[str, list[str]]:
    """Words of three letters and more by the index. Shorter ones are not in the index: LIKE over all lines.

    A plain `x LIKE` would use the index too, and finds nothing below three letters (SQLite 3.40).
    """
    words = question.split()
    long = [word for word in words if len(word) >= 3]
    short = [word for word in words if len(word) < 3]
    conditions = (["t MATCH ?"] if long else []) + ["x || '' LIKE ?"] * len(short)
    given = [" ".join(f'"{word}"' for word in long)] if long else []
    return " AND ".join(conditions), [*given, *(f"%{word}%" for word in short)]


def _scan(question: str) -> tuple[str, list[str]]:
    words = question.split()
    return " AND ".join(["x LIKE ?"] * len(words)), [f"%{word}%" for word in words]


INDEXES = [
    Index(
        "pairs and words (ours)",
        "CREATE VIRTUAL TABLE t USING fts5(x, tokenize = 'ascii', columnsize = 0)",
        lambda line: " ".join(tokens(line)),
        _pairs,
    ),
    Index(
        "trigrams, LIKE below three",
        "CREATE VIRTUAL TABLE t USING fts5(x, tokenize = 'trigram')",
        str,
        _trigrams,
    ),
    Index("no index, LIKE", "CREATE TABLE t (x TEXT)", str, _scan),
]


def lines(count: int) -> list[str]:
    chance = random.Random(7)
    made = []
    for number in range(count):
        names, words = (NAMES_KO, WORDS_KO) if number % 2 else (NAMES_EN, WORDS_EN)
        row = [chance.choice(names), chance.choice(names), *chance.choices(words, k=chance.randint(3, 9))]
        made.append(" ".join(row))
    return made


def measure(index: Index, spoken: list[str], folder: Path) -> list[str]:
    file = folder / "search.sqlite3"
    file.unlink(missing_ok=True)
    connection = sqlite3.connect(file)
    connection.execute(index.make)
    began_s = time.perf_counter()
    with connection:
        connection.executemany("INSERT INTO t (x) VALUES (?)", ((index.entry(line),) for line in spoken))
    built_s = time.perf_counter() - began_s
    cells = [index.name, f"{built_s:.1f}", f"{file.stat().st_size / 1e6:.0f}"]
    for question in QUESTIONS:
        where, given = index.where(question)
        query = f"SELECT rowid FROM t WHERE {where} ORDER BY rowid DESC LIMIT 50"
        took_ms = []
        for _ in range(REPEATS):
            began_s = time.perf_counter()
            connection.execute(query, given).fetchall()
            took_ms.append((time.perf_counter() - began_s) * 1000)
        cells.append(f"{statistics.median(took_ms):.2f}")
    connection.close()
    return cells


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    spoken = lines(count)
    print(f"{count} lines, SQLite {sqlite3.sqlite_version}, load {os.getloadavg()[0]:.1f}")
    print("| index | built, s | size, MB |", " | ".join(QUESTIONS), "|")
    print("|---" * (3 + len(QUESTIONS)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for index in INDEXES:
            print("|", " | ".join(measure(index, spoken, Path(folder))), "|")


if __name__ == "__main__":
    main()
