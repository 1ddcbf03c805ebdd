"""How long searches without words take in a record of many lines, and what their index costs.

    python -m scripts.bench_search_filters [LINES] [--postgresql URL]

Fills an empty record twice, without and with the indexes `ix_segments_newest` and `ix_segments_radios`, in
transactions of 20 lines as a busy server writes them, and prints: time of the inserts, size, and the median
of 7 searches for the newest 50 lines. The first row has the query of the versions before the indexes. The
URL is that of an empty database.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, text

from scripts.bench_search import lines
from webrtc_host.transcript import search
from webrtc_host.transcript.database import open_database
from webrtc_host.transcript.engines import Database
from webrtc_host.transcript.schema import channels, segments, sessions
from webrtc_host.transcript.search import TextSearch

LINES = 200_000
SESSIONS = 12
CHANNELS = 16
LINES_OF_A_WRITE = 20
REPEATS = 7
INDEXES = ("ix_segments_newest", "ix_segments_radios")
LENGTHS_MS = (400, 6_000)  # of the generated lines
FORMER = (
    "SELECT CAST(substr(segments.id, 3) AS BIGINT) AS number, {columns} FROM segments {joins} "
    "WHERE 1 = 1 {filters} ORDER BY number DESC LIMIT :limit"
)
SEARCHES: dict[str, TextSearch] = {
    "2 s and more (two thirds)": TextSearch("", length_min_ms=2_000),
    "5.99 s (1 in 500)": TextSearch("", length_min_ms=5_990),
    "none so long": TextSearch("", length_min_ms=7_000),
    "2 s, one session": TextSearch("", length_min_ms=2_000, session="s_0000000005"),
    "a radio of many": TextSearch("", talker="engine 5"),
    "a radio of none": TextSearch("", talker="medic 77"),
}


def rows(spoken: list[str]) -> Iterator[dict[str, Any]]:
    chance = random.Random(7)
    word = '{"word":"gate","start_ms":100000,"end_ms":100300,"conf":-0.2}'
    for number, line in enumerate(spoken, 1):
        start_ms = number * 100
        yield {
            "id": f"g_{number}",
            "session": f"s_{number * SESSIONS // (len(spoken) + 1):010}",
            "seq": number,
            "channel": f"C{chance.randint(1, CHANNELS):02}",
            "utterance": f"u_{number}",
            "start_ms": start_ms,
            "end_ms": start_ms + chance.randint(*LENGTHS_MS),
            "wall_ms": start_ms,
            "text": line,
            "raw": line,
            "language": "ko",
            "conf": -0.2,
            "words": f"[{','.join([word] * len(line.split()))}]",
            "edits": "[]",
            "talkers": " 4501 engine 5 " if number % 3 == 0 else None,
        }


def fill(database: Database, spoken: list[str]) -> float:
    """Returns the seconds that the inserts of the lines took."""
    with database.writer.begin() as connection:
        for number in range(SESSIONS):
            session = f"s_{number:010}"
            values = {"id": session, "name": "night", "t0_wall_ms": 0, "is_current": False, "is_held": False}
            connection.execute(insert(sessions), {**values, "head_seq": 0, "alive_ms": 0})
            named = [
                {"session": session, "channel": f"C{one:02}", "label": "Gate", "language": "ko"}
                | {"first_opened_ms": 0, "is_held": False}
                for one in range(1, CHANNELS + 1)
            ]
            connection.execute(insert(channels), named)
    made = list(rows(spoken))
    began_s = time.perf_counter()
    with database.writer.connect() as connection:
        for at in range(0, len(made), LINES_OF_A_WRITE):
            with connection.begin():
                connection.execute(insert(segments), made[at : at + LINES_OF_A_WRITE])
    return time.perf_counter() - began_s


def took_ms(connection: Connection, query: TextSearch) -> float:
    times = []
    for _ in range(REPEATS):
        began_s = time.perf_counter()
        search._find(connection, query=query, wanted=())
        times.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(times)


def measure(database: Database, spoken: list[str], name: str) -> str:
    filled_s = fill(database, spoken)
    readers = database.readers or database.writer
    with readers.connect() as connection:
        cells = [name, f"{filled_s:.1f}", f"{megabytes(connection):.0f}"]
        cells += [f"{took_ms(connection, query):.1f}" for query in SEARCHES.values()]
    return f"| {' | '.join(cells)} |"


def opened(url: str, folder: Path) -> Database:
    """The record without its tables' rows. PostgreSQL: the former ones are removed."""
    database = open_database(url, folder, 1)
    with database.writer.begin() as connection:
        connection.execute(delete(sessions))
    return database


def megabytes(connection: Connection) -> float:
    """Of the lines with their indexes."""
    if connection.dialect.name == "postgresql":
        found = connection.execute(text("SELECT pg_total_relation_size('segments')"))
    else:
        found = connection.execute(
            text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        )
    return int(found.scalar_one()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("lines", nargs="?", type=int, default=LINES)
    parser.add_argument("--postgresql", default="", metavar="URL")
    options = parser.parse_args()
    spoken = lines(options.lines)
    print(f"{len(spoken)} lines, load {os.getloadavg()[0]:.1f}")
    print("| | inserts, s | size, MB |", " | ".join(SEARCHES), "|")
    print("|---" * (3 + len(SEARCHES)) + "|")
    now = search._WORDLESS_FROM
    for name, form, has_index in (("before", FORMER, False), ("with the indexes", now, True)):
        with tempfile.TemporaryDirectory() as folder:
            database = opened(options.postgresql, Path(folder))
            if not has_index:
                with database.writer.begin() as connection:
                    for one in INDEXES:
                        connection.execute(text(f"DROP INDEX {one}"))
            search._WORDLESS_FROM = form
            print(measure(database, spoken, name))
            if not has_index and options.postgresql:
                with database.writer.begin() as connection:
                    for index in segments.indexes:
                        if index.name in INDEXES:
                            index.create(connection)
            database.dispose()


if __name__ == "__main__":
    main()
