"""The settings of a user on the server: the same for all screens of the user, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Desk, a_config, running_desk
from tests.webrtc_host.desk.test_lines_api import TOKENS, ask, bearer
from webrtc_host.desk.settings_api import BYTES_MAX
from webrtc_host.keys import RECORD
from webrtc_host.transcript import user_settings

PATH = "/api/me/settings"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    config = a_config(tmp_path, tokens=TOKENS)
    async with running_desk(config, headers=bearer("kim")) as desk:
        yield desk


async def put(desk: Desk, settings: Any, match: str | None = None, who: str = "kim") -> tuple[int, Any]:
    return await ask(desk, "PUT", PATH, {"settings": settings}, who=who, match=match)


async def test_each_user_has_own_settings_of_any_form_and_any_role(desk: Desk) -> None:
    assert await ask(desk, "GET", PATH) == (200, {"user": "kim", "version": 0, "settings": {}})
    mine = {
        "keys": {"mute": "q"},
        "listening": {"volume": 0.5, "channels": {"C01": {"isMuted": True}}},
        "x": "\u0000가",
    }
    assert (await put(desk, mine))[1]["version"] == 1
    assert (await put(desk, {"view": "log"}, who="eye"))[1] == {
        **{"user": "eye", "version": 1},
        "settings": {"view": "log"},
    }
    assert await ask(desk, "GET", PATH) == (200, {"user": "kim", "version": 1, "settings": mine})
    assert (await ask(desk, "GET", PATH, who="lee"))[1]["settings"] == {}


async def test_the_second_of_two_screens_that_change_at_once_is_told(desk: Desk) -> None:
    answers = await asyncio.gather(put(desk, {"a": 1}, '"0"'), put(desk, {"b": 1}, '"0"'))
    assert sorted(status for status, _ in answers) == [200, 412]
    assert next(body for status, body in answers if status == 412)["error"]["code"] == "settings_changed"
    async with desk.client.get(desk.url + PATH) as response:
        assert (await response.json())["version"] == 1
        tag = response.headers["ETag"]
    assert (await put(desk, {"a": 1, "b": 1}, tag))[0] == 200
    assert (await put(desk, {"c": 1}))[1]["version"] == 3, "without If-Match the last change wins"


async def test_bad_settings_are_refused_and_change_nothing(desk: Desk) -> None:
    await put(desk, {"kept": True})
    for body, status in (
        ({"settings": {"x": "y" * BYTES_MAX}}, 413),
        ({"settings": []}, 422),
        ({"other": {}}, 422),
        ([], 400),
    ):
        assert (await ask(desk, "PUT", PATH, body))[0] == status
    assert (await put(desk, {}, match="three"))[0] == 400
    headers = {**bearer("kim"), "Content-Type": "application/json"}
    for raw, status in (('{"settings": {"x": NaN}}', 422), ('{"settings": ' + "[" * 9000, 400)):
        async with desk.client.put(desk.url + PATH, data=raw, headers=headers) as response:
            assert response.status == status
    assert (await ask(desk, "GET", PATH))[1]["settings"] == {"kept": True}


async def test_a_server_without_tokens_and_a_wall_link_have_no_user(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as open_desk:
        async with open_desk.client.get(open_desk.url + PATH) as response:
            assert await response.json() == {"user": None, "version": 0, "settings": {}}
        async with open_desk.client.put(open_desk.url + PATH, json={"settings": {}}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (409, "no_user")
        wish = {"kind": "wall", "name": "hall", "expires_in_s": 600}
        async with open_desk.client.post(open_desk.url + "/api/shares", json=wish) as response:
            token = (await response.json())["token"]
        async with open_desk.client.get(f"{open_desk.url}{PATH}?token={token}") as response:
            assert (await response.json())["user"] is None


async def test_the_record_keeps_the_settings_of_a_limited_number_of_users(desk: Desk) -> None:
    store = desk.app[RECORD].store
    for n, user in enumerate(("a", "b", "c")):
        await store.write(partial(user_settings.put, user=user, version=1, now_wall_ms=n, body="{}"))
    assert await store.write(partial(user_settings.forget_oldest, keep=2)) == 1
    kept = [await store.read(partial(user_settings.find, user=user)) for user in "abc"]
    assert [row.user if row else None for row in kept] == [None, "b", "c"]
