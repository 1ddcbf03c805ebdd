"""Search by meaning: with a stand-in for the server of embeddings, in SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.desk import Desk, a_config, running_desk
from tests.support.embeddings import FakeEmbeddings, embeddings_server
from tests.support.polling import until
from webrtc_host.http.responses import SearchResponse
from webrtc_host.jobs import rooms as rooms_module
from webrtc_host.keys import MEANING, RECORD, ROOMS, SUMMARIES
from webrtc_host.services import meaning
from webrtc_host.services.embeddings import Embeddings, EmbeddingsError
from webrtc_host.summaries.scopes import Scope
from webrtc_host.transcript import meanings, records
from webrtc_host.transcript.rooms import RoomStream
from webrtc_host.transcript.summary_meanings import OF_ROOMS
from webrtc_host.transcript.vector_index import VectorIndex, cosine, packed, unpacked

SAID = ("the lorry has no petrol", "it will rain tonight", "연료 트럭이 게이트에 있습니다", "good morning")


@asynccontextmanager
async def a_desk(
    folder: Path, server: FakeEmbeddings, url: str = "memory", **more: Any
) -> AsyncIterator[Desk]:
    embeddings = {"base_url": server.url, "model": "concepts-1", "api_key": "secret-key", **more}
    async with running_desk(a_config(folder, embeddings=embeddings, store={"url": url})) as desk:
        yield desk


async def indexed(desk: Desk, count: int) -> None:
    await until(lambda: desk.app[MEANING].statistics()["lines"] == count)


def say(desk: Desk) -> None:
    for number, text in enumerate(SAID):
        desk.final(text, "C01" if number % 2 == 0 else "C02", number * 1000)


async def texts(desk: Desk, q: str, **query: Any) -> list[str]:
    status, body = await desk.get("/api/search", q=q, **query)
    assert status == 200, body
    SearchResponse.model_validate(body)
    return [hit["text"] for hit in body["hits"]]


async def summaries(desk: Desk, q: str, **query: Any) -> list[dict[str, Any]]:
    status, body = await desk.get("/api/search", q=q, mode="meaning", **query)
    assert status == 200, body
    SearchResponse.model_validate(body)
    return list(body["summaries"])


async def a_room(desk: Desk) -> str:
    """A room with the first line of C01, and its summary."""
    rooms = desk.app[ROOMS]
    room = str((await rooms.create("Yard", "meeting", "en")).row.id)
    await rooms.add_stream(room, RoomStream("v_1", desk.session.id, "C01", 0))
    await rooms.end_stream("v_1", 1500)
    await rooms.ask_summary(room)
    await until(lambda: summaries(desk, "fuel truck", room=room))
    return room


async def test_lines_are_found_by_what_they_mean_also_after_a_restart(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms_module, "LOOK_S", 3600)  # the summary of a room is made when the test asks
    async with embeddings_server() as server:
        async with a_desk(tmp_path, server, url) as desk:
            say(desk)
            await indexed(desk, 4)
            assert await texts(desk, "fuel truck", mode="words") == []
            found = await texts(desk, "fuel truck", mode="meaning", limit=2)
            assert set(found) == {SAID[0], SAID[2]}
            assert found[0] == SAID[0], "the Korean line is about a gate, too"
            assert (await texts(desk, "weather", mode="meaning"))[0] == SAID[1]
            assert await texts(desk, "fuel truck", mode="meaning", channel="C02", limit=1) == [SAID[3]]
            assert await texts(desk, "", mode="meaning") == []
            both = await texts(desk, "rain", mode="both")
            assert both[0] == SAID[1]
            session = desk.session.id
            assert (await desk.app[SUMMARIES].make(Scope(session))).status == "done"
            await until(lambda: summaries(desk, "fuel truck"))
            room = await a_room(desk)
        asked = len(server.batches)
        async with a_desk(tmp_path, server, url) as desk:
            await indexed(desk, 4)
            assert len(server.batches) == asked, "vectors of the former run are kept"
            assert (await texts(desk, "fuel", mode="meaning", session=session))[0] in (SAID[0], SAID[2])
            assert await texts(desk, "fuel", mode="meaning", session="s_none") == []
            (summary,) = await until(lambda: summaries(desk, "fuel truck", session=session))
            assert (summary["kind"], summary["session"]) == ("summary", session)
            status, whole = await desk.get(summary["href"])
            assert status == 200 and whole["content"]["title"] == summary["title"]
            assert whole["content"]["summary"][0]["text"] in summary["text"]
            assert await summaries(desk, "fuel truck", session="s_none") == []
            for mode, q in (("meaning", "fuel"), ("words", "lorry"), ("both", "fuel")):
                assert await texts(desk, q, mode=mode, room=room) == [SAID[0]]
                assert await texts(desk, q, mode=mode, room="r_none") == []
            (of_room,) = await until(lambda: summaries(desk, "fuel truck", room=room))
            assert (of_room["session"], of_room["room"]) == (None, room)
            assert of_room["session_name"] == "Yard"
            status, whole = await desk.get(of_room["href"])
            assert status == 200 and whole["summary"]["content"]["title"] == of_room["title"]
            assert {one["room"] for one in await summaries(desk, "fuel truck")} == {None, room}
            assert await summaries(desk, "fuel truck", room=room, channel="C01") == []
            assert await summaries(desk, "fuel truck", room=room, until="2020-01-01T00:00:00Z") == []
            assert await summaries(desk, "fuel truck", marked="star") == []
            store = desk.app[RECORD].store
            await store.write(lambda c: records.remove(c, session))
            assert await texts(desk, "fuel", mode="meaning") == []
            assert await summaries(desk, "fuel truck") == []
            assert await store.read(lambda c: meanings.page(c, 2**62, 10)) == []
            assert await store.read(lambda c: OF_ROOMS.page(c, "concepts-1", ("", ""), 10)) == []


async def test_lines_of_former_runs_and_of_another_model_get_new_vectors(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, store={"url": ""})) as desk:
        say(desk)
        await desk.settled()
    async with embeddings_server() as server:
        async with a_desk(tmp_path, server, "") as desk:
            await indexed(desk, 4)
        server.length = 32
        async with a_desk(tmp_path, server, "", model="concepts-2") as desk:
            await until(lambda: sum(map(len, server.batches)) == 8)
            # They are asked for, but not stored yet: until then nothing is found.
            found = await until(lambda: texts(desk, "weather", mode="meaning"))
            assert found[0] == SAID[1]


async def test_without_a_server_a_search_by_meaning_says_what_is_missing(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        for mode in ("meaning", "both"):
            status, body = await desk.get("/api/search", q="fuel", mode=mode)
            assert (status, body["error"]["code"]) == (501, "not_configured")
            assert "`embeddings`" in body["error"]["message"]


async def test_a_server_that_fails_is_named_and_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meaning, "RETRY_S", 0.02)
    async with embeddings_server(statuses=[(500, "out of memory secret-key")]) as server:
        async with a_desk(tmp_path, server) as desk:
            say(desk)
            await indexed(desk, 4)
            assert desk.app[MEANING].statistics()["failures"] == 1
            server.statuses.append((500, "out of memory secret-key"))
            status, body = await desk.get("/api/search", q="fuel", mode="meaning")
            assert (status, body["error"]["code"]) == (503, "embeddings_failed")
            assert "out of memory [key]" in body["error"]["message"]
            status, body = await desk.get("/api/search", q="fuel", mode="meaning", before="g_3")
            assert (status, body["error"]["code"]) == (422, "no_pages")


async def test_a_line_that_the_server_refuses_does_not_stop_the_others(tmp_path: Path) -> None:
    async with embeddings_server(refused="rain") as server, a_desk(tmp_path, server) as desk:
        say(desk)
        await indexed(desk, 3)
        assert SAID[1] not in await texts(desk, "weather", mode="meaning")


@pytest.mark.parametrize(
    "body", [{}, [], {"data": [{"index": 0, "embedding": []}]}, {"data": [{"index": 0, "embedding": ["x"]}]}]
)
async def test_a_malformed_answer_is_named(body: Any) -> None:
    async with embeddings_server(body=body) as server:
        config = a_config(Path(), embeddings={"base_url": server.url, "model": "m"}).embeddings
        with pytest.raises(EmbeddingsError, match="vector|cannot be read"):
            await Embeddings(config).of(["text"])


def test_a_packed_vector_keeps_its_direction() -> None:
    vector = np.random.default_rng(1).standard_normal(384).astype(np.float32)
    assert cosine(vector, unpacked(packed(vector.tolist()))) > 0.999
    assert cosine(vector, unpacked(packed([0.0] * 384))) == 0.0
    assert cosine(vector, unpacked(packed([1.0] * 3))) == 0.0


def test_the_nearest_vectors_are_found_among_many_and_the_oldest_are_dropped() -> None:
    random = np.random.default_rng(2)
    table = random.standard_normal((3000, 384)).astype(np.float32)
    index = VectorIndex(2000)
    for number, vector in enumerate(table):
        index.add(number, packed(vector))
    assert len(index) == 2000
    for number in (1000, 2345, 2999):
        noisy = table[number] + 0.3 * random.standard_normal(384)
        assert number in index.nearest(noisy.tolist(), 10)
        assert index.nearest(noisy.tolist(), 10, among=[number, 5]) == [number], "5 was dropped"
    assert 999 not in index.nearest(table[999].tolist(), 2000)
    index.add(2999, packed(table[0]))
    assert 2999 in index.nearest(table[0].tolist(), 3), "a new vector replaces the one before"
    index.add(1, packed([1.0, -1.0]))
    assert index.nearest([1.0, -1.0], 5) == [1], "vectors of another length start anew"
    assert index.nearest([1.0] * 384, 5) == []
