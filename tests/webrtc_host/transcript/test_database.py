"""Opening the record: its schema, upgrades, and what is refused or set aside."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, insert, make_url, select, text
from sqlalchemy.exc import IntegrityError

from tests.support import postgres
from tests.webrtc_host.conftest import DATABASES, OpenStore
from webrtc_host.errors import ConfigError
from webrtc_host.transcript import database, schema, schema_upgrade
from webrtc_host.transcript.restart import read_former
from webrtc_host.transcript.sqlite_database import FILE_NAME

WALL_MS = 1_795_241_401_234
TALKERS_SINCE = "0017"
UNREAD_INDEX = pytest.mark.filterwarnings("ignore:.*expression-based index")
"""SQLAlchemy does not read such an index in SQLite; the test of the record in memory compares it."""


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest) -> str:
    """`store.url` of a database without tables."""
    return "" if request.param == "sqlite" else postgres.an_empty_database()


@contextmanager
def bare(url: str, folder: Path) -> Iterator[Engine]:
    """The database with none of our settings."""
    if url:
        engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    else:
        engine = create_engine(f"sqlite:///{folder / FILE_NAME}")
    try:
        yield engine
    finally:
        engine.dispose()


def write_as_of(connection: Connection, revision: str) -> None:
    """A database as an earlier version made and filled it."""
    schema_upgrade.upgrade(connection, revision)
    for statement in (
        "INSERT INTO sessions (id, name, t0_wall_ms, is_current, is_held, head_seq, alive_ms)"
        f" VALUES ('s_old', 'night', {WALL_MS}, true, false, 2, 9000)",
        "INSERT INTO channels (session, channel, label, language, first_opened_ms, is_held)"
        " VALUES ('s_old', 'C01', 'Gate', 'ko', 100, false)",
        "INSERT INTO events VALUES ('s_old', 1, 'session.started', NULL, '{\"seq\":1}')",
        "INSERT INTO events VALUES ('s_old', 2, 'channel.state', 'C01', '{\"seq\":2}')",
        "INSERT INTO events VALUES ('s_old', 3, 'segment.final', 'C01',"
        ' \'{"seq":3,"talkers":[{"id":45,"start_ms":0,"label":"Engine 5"}]}\')',
        "INSERT INTO segments"
        " (id, session, seq, channel, utterance, start_ms, end_ms, wall_ms, text, raw, words, edits)"
        f" VALUES ('g_1', 's_old', 3, 'C01', 'u_1', 0, 900, {WALL_MS}, 'copy', 'copy', '[]', '[]')",
    ):
        connection.exec_driver_sql(statement)


@UNREAD_INDEX
async def test_the_migrations_make_the_tables_that_the_code_names(open_store: OpenStore) -> None:
    async with open_store() as store:
        differences = await store.write(
            lambda c: compare_metadata(MigrationContext.configure(c), schema.metadata)
        )
    assert differences == []


def test_a_record_in_memory_has_the_tables_that_the_migrations_make(tmp_path: Path) -> None:
    made = []
    for url in ("memory", ""):
        opened = database.open_database(url, tmp_path, 1)
        with opened.writer.connect() as connection:
            rows = connection.execute(text("SELECT type, name, tbl_name FROM sqlite_master"))
            made.append({tuple(row) for row in rows if "alembic" not in row[1] + row[2]})
        opened.dispose()
    assert made[0] == made[1]


@UNREAD_INDEX
@pytest.mark.parametrize("revision", schema_upgrade.known_revisions()[:-1])
async def test_a_record_of_every_earlier_schema_is_upgraded_with_its_data(
    open_store: OpenStore, url: str, tmp_path: Path, revision: str
) -> None:
    with bare(url, tmp_path) as engine, engine.begin() as connection:
        write_as_of(connection, revision)
    async with open_store() as store:
        former = await store.read(lambda connection: read_former(connection, 10))
        seqs = await store.read(lambda c: c.execute(select(schema.events.c.seq)).scalars().all())
        talkers = await store.read(lambda c: c.execute(select(schema.segments.c.talkers)).scalars().all())
        differences = await store.write(
            lambda c: compare_metadata(MigrationContext.configure(c), schema.metadata)
        )
    assert differences == []
    assert sorted(seqs) == [1, 2, 3]
    assert talkers == [" 45 engine 5 " if revision < TALKERS_SINCE else None]
    (session,) = former.sessions
    assert (session.id, session.head_seq, session.is_current) == ("s_old", 2, True)
    assert [(channel.channel, channel.label, channel.terms) for channel in session.channels] == [
        ("C01", "Gate", None)
    ]
    if not url:
        kept = tmp_path / f"record-before-upgrade-from-{revision}.sqlite3"
        with closing(sqlite3.connect(kept)) as before:
            assert before.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]
            assert before.execute("SELECT count(*) FROM events").fetchone() == (3,)


async def test_a_record_of_a_newer_version_is_refused_and_not_changed(
    open_store: OpenStore, url: str, tmp_path: Path
) -> None:
    async with open_store():
        pass
    with bare(url, tmp_path) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("CREATE TABLE of_the_future (what TEXT)"))
    before = _files(tmp_path)
    with pytest.raises(
        ConfigError, match=r"written by a newer version of host-stt \(its schema is 9999.*untouched"
    ):
        async with open_store():
            pass
    assert _files(tmp_path) == before


def test_a_database_that_is_not_a_record_is_refused_and_not_changed(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
        other.commit()
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="is a database, but not a record of host-stt"):
        database.open_database("", tmp_path, 1)
    assert file.read_bytes() == before


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:10_000])


def _overwrite_the_head(file: Path) -> None:
    file.write_bytes(b"this is no database" + file.read_bytes()[19:])


def _overwrite_the_middle(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:16384] = bytes(12_288)
    file.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [_cut_short, _overwrite_the_head, _overwrite_the_middle])
def test_a_damaged_record_is_renamed_and_reported_and_a_new_one_is_made(
    tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / FILE_NAME
    opened = database.open_database("", tmp_path, 1)
    with opened.writer.connect() as connection, connection.begin():
        rows = [{"key": f"k{number}", "value": "x" * 500} for number in range(200)]
        connection.execute(insert(schema.meta), rows)
    opened.dispose()
    assert callable(damage)
    damage(file)
    damaged = file.read_bytes()
    with caplog.at_level(logging.ERROR):
        again = database.open_database("", tmp_path, 1)
    with again.writer.connect() as connection:
        assert connection.execute(select(schema.meta)).all() == []
    again.dispose()
    (aside,) = tmp_path.glob("record.sqlite3.damaged-*Z")
    assert aside.read_bytes() == damaged
    assert aside.name in caplog.text


def test_an_incomplete_end_of_the_wal_is_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    """SQLite's own repair: what stands behind the last whole commit of the WAL is as if never written."""
    opened = database.open_database("", tmp_path, 1)
    wal = tmp_path / f"{FILE_NAME}-wal"
    copy = tmp_path / "after"
    copy.mkdir()
    with opened.writer.connect() as connection:
        for number in range(20):
            with connection.begin():
                connection.execute(insert(schema.meta).values(key=f"k{number:02d}", value="x"))
        whole = wal.read_bytes()
        (copy / FILE_NAME).write_bytes((tmp_path / FILE_NAME).read_bytes())
    opened.dispose()
    (copy / wal.name).write_bytes(whole[: -len(whole) // 40])
    again = database.open_database("", copy, 1)
    with again.writer.connect() as connection:
        keys = connection.execute(select(schema.meta.c.key).order_by(schema.meta.c.key)).scalars().all()
    again.dispose()
    assert 0 < len(keys) < 20
    assert keys == [f"k{number:02d}" for number in range(len(keys))]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://u@h/d", "begins with mysql; the record can be in PostgreSQL"),
        ("sqlite:///x", "begins with sqlite; the record can be in PostgreSQL"),
        ("not a url", "is not a database URL"),
        ("postgresql://nobody:hidden@/none?host=/nowhere", r"postgresql.*cannot be used"),
    ],
)
def test_an_invalid_url_is_reported_in_one_sentence_without_its_password(
    tmp_path: Path, url: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence) as raised:
        database.open_database(url, tmp_path, 1)
    assert "hidden" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_database_that_another_server_uses_is_refused(url: str, tmp_path: Path) -> None:
    """PostgreSQL, by a lock that goes with its holder; beside SQLite lies the data folder's own lock."""
    first = database.open_database(url, tmp_path, 1)
    with first.writer.connect() as connection:
        database.hold(connection)
        refusal = ""
        try:
            database.open_database(url, tmp_path, 1).dispose()
        except ConfigError as error:
            refusal = str(error)
    first.dispose()
    assert ("another host-stt uses the database" in refusal) == bool(url)
    database.open_database(url, tmp_path, 1).dispose()


def test_a_record_on_a_read_only_disk_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(ConfigError, match=r"cannot be used .*store\.url=memory"):
        database.open_database("", tmp_path, 1)


@pytest.mark.parametrize("url", ["", database.MEMORY])
def test_each_sqlite_record_enforces_its_foreign_keys(url: str, tmp_path: Path) -> None:
    opened = database.open_database(url, tmp_path, 1)
    orphan = insert(schema.feeds).values(
        session="s_absent", opened_seq=1, channel="C01", connection="c", door="page", opened_ms=0
    )
    try:
        with pytest.raises(IntegrityError), opened.writer.begin() as connection:
            connection.execute(orphan)
    finally:
        opened.dispose()
