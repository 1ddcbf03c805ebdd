"""The shared conversation, with a codec of the test that has several sources in one socket."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.desk import Desk, abort_connection
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.wires import frames, hearing_desk, left_tasks, pcm16
from webrtc_host.errors import RequestError
from webrtc_host.http.keys import KeyPlaces
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.keys import WIRES
from webrtc_host.media.encodings import AudioFormat, Encoding
from webrtc_host.seams import EventType
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.wires import all_doors
from webrtc_host.wires.door import converse
from webrtc_host.wires.messages import (
    Action,
    Audio,
    End,
    Final,
    Finish,
    Forced,
    ForceEnd,
    Frame,
    Goodbye,
    Open,
    Opened,
    Result,
    SetTerms,
    Settled,
    SourceFinished,
    StreamSpec,
)
from webrtc_host.wires.site import Site, Traits

SPEECH = padded(say("proceed to gate seven"), 0.3, 0.2)
HEARD = "one two three four five six"


class SourcesCodec:
    """A message is [action, source, argument]; so is a reply."""

    def begin(self) -> list[Action]:
        return []

    def on_text(self, text: str, now_s: float) -> list[Action]:
        action, source, argument = json.loads(text)
        match action:
            case "open":
                spec = StreamSpec(source, argument)
                return [Open(AudioFormat(Encoding.S16, 16_000), (spec,), source)]
            case "audio":
                return [Audio(base64.b64decode(argument), source)]
            case "force":
                return [ForceEnd(source, argument or "")]
            case "terms":
                return [SetTerms(tuple(argument))]
            case "finish":
                return [Finish(source)]
        raise RequestError("bad_message", "no such action", 400)

    def on_bytes(self, data: bytes) -> list[Action]:
        return [Audio(data, "a")]

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case Opened():
                return [json.dumps(["opened", result.source, result.channels[result.source]])]
            case Final():
                return [json.dumps(["final", result.stream, result.text, result.start_ms, result.end_ms])]
            case Forced() if result.mark:
                return [json.dumps(["forced", result.stream, result.mark])]
            case Forced() | Settled():
                return [json.dumps([type(result).__name__.lower(), result.stream])]
            case SourceFinished():
                return [json.dumps(["finished", result.source])]
        return []

    def on_end(self, end: End) -> Goodbye:
        said = json.dumps(["end", end.reason, end.error.code if end.error else None])
        return Goodbye(4000 if end.error else 1000, end.reason, (said,))


class SourcesDoor:
    def __init__(self, site: Site) -> None:
        self._site = site

    @Route("GET", "/sources", Role.OPERATOR, "For tests", is_websocket=True, checks_key=True)
    async def handle(self, request: web.Request) -> web.StreamResponse:
        traits = Traits(DoorKind.SOCKET, first_message_s=5.0, idle_s=5.0)
        return await converse(
            *(self._site, traits, request, SourcesCodec),
            keys=KeyPlaces(),
            refuse=lambda error: web.Response(status=error.status, text=error.code),
        )


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(all_doors, "made", lambda site, *_: [SourcesDoor(site)])
    async with hearing_desk(tmp_path) as made:
        yield made


async def connect(desk: Desk) -> aiohttp.ClientWebSocketResponse:
    return await desk.client.ws_connect(f"{desk.url}/sources")


async def until_said(socket: aiohttp.ClientWebSocketResponse, kind: str) -> list[list[Any]]:
    """The replies up to the first of this kind."""
    said: list[list[Any]] = []
    while not said or said[-1][0] != kind:
        said.append(await socket.receive_json(timeout=20))
    return said


async def test_two_sources_of_one_socket_feed_two_channels_and_end_apart(desk: Desk) -> None:
    socket = await connect(desk)
    for source, channel in (("a", None), ("b", "C07")):
        await socket.send_json(["open", source, channel])
    assert await socket.receive_json() == ["opened", "a", "C01"]
    assert await socket.receive_json() == ["opened", "b", "C07"]
    for frame in frames(pcm16(SPEECH)):
        for source in ("a", "b"):
            await socket.send_json(["audio", source, base64.b64encode(frame).decode()])
    await socket.send_json(["finish", "a", None])
    said = await until_said(socket, "finished")
    finals = [one for one in said if one[0] == "final"]
    assert said[-1] == ["finished", "a"]
    assert [one[2] for one in finals if one[1] == "a"] == [HEARD]
    holder = desk.registry.holder_of(desk.session.channels["C07"])
    assert holder is not None
    assert [channel.id for channel in holder.channels] == ["C07"]
    await socket.send_json(["finish", None, None])
    said += await until_said(socket, "end")
    finals = [one for one in said if one[0] == "final"]
    assert [one[2] for one in finals if one[1] == "b"] == [HEARD]
    assert {tuple(one[3:]) for one in finals} == {tuple(finals[0][3:])}  # the same audio, the same times
    assert said[-1] == ["end", "stopped", None]
    await until(lambda: not desk.registry.connections and not left_tasks())
    assert not desk.subscribers.statistics().watchers


async def test_a_forced_end_gives_the_words_so_far_and_the_speech_goes_on(desk: Desk) -> None:
    socket = await connect(desk)
    await socket.send_json(["open", "a", None])
    await until_said(socket, "opened")
    sound = frames(pcm16(SPEECH))
    for frame in sound[: len(sound) // 2]:
        await socket.send_bytes(frame)
    await socket.send_json(["force", "a", None])
    said = await until_said(socket, "forced")
    assert [one[2] for one in said if one[0] == "final"]
    for frame in sound[len(sound) // 2 :]:
        await socket.send_bytes(frame)
    await socket.send_json(["finish", None, None])
    await until_said(socket, "end")
    ends = [json.loads(one.data) for one in desk.session.log.since(0) if b"speech.ended" in one.data]
    assert [one["rule"] for one in ends] == ["forced", "channel_closed"]
    assert ends[0]["end_ms"] <= ends[1]["start_ms"]


async def test_ends_with_marks_are_made_one_after_another(desk: Desk) -> None:
    socket = await connect(desk)
    await socket.send_json(["open", "a", None])
    await until_said(socket, "opened")
    for frame in frames(pcm16(SPEECH)):
        await socket.send_bytes(frame)
    for mark in ("one", "two", "three"):
        await socket.send_json(["force", "a", mark])
    marks: list[str] = []
    while len(marks) < 3:
        marks.append((await until_said(socket, "forced"))[-1][2])
    assert marks == ["one", "two", "three"]
    await socket.send_json(["finish", None, None])
    assert (await until_said(socket, "end"))[-1] == ["end", "stopped", None]


async def test_a_client_that_disappears_loses_no_word_that_was_received(desk: Desk) -> None:
    socket = await connect(desk)
    await socket.send_json(["open", "a", None])
    await until_said(socket, "opened")
    for frame in frames(pcm16(SPEECH)):
        await socket.send_bytes(frame)
    channel = desk.session.channels["C01"]
    await until(lambda: channel.end_sample > len(SPEECH) // 2)
    abort_connection(socket)
    await until(lambda: not desk.registry.connections and not left_tasks())
    await desk.settled()
    _, body = await desk.get(f"/api/sessions/{desk.session.id}/segments")
    assert [one["text"] for one in body["segments"]] == [HEARD]


async def test_an_error_of_the_client_ends_the_connection_with_the_words_so_far(desk: Desk) -> None:
    socket = await connect(desk)
    await socket.send_json(["open", "a", None])
    for frame in frames(pcm16(SPEECH)):
        await socket.send_bytes(frame)
    await socket.send_json(["nonsense", "a", None])
    said = await until_said(socket, "end")
    assert [one[2] for one in said if one[0] == "final"] == [HEARD]
    assert said[-1] == ["end", "bad_message", "bad_message"]
    assert (await socket.receive()).data == 4000


async def test_the_terms_of_a_connection_are_those_of_its_channels(desk: Desk) -> None:
    socket = await connect(desk)
    await socket.send_json(["open", "a", None])
    await until_said(socket, "opened")
    await socket.send_json(["terms", "a", ["Alpha-1"]])
    await until(lambda: desk.session.channels["C01"].terms == ("Alpha-1",))
    await socket.send_json(["finish", None, None])
    await until_said(socket, "end")
    again = await connect(desk)
    await again.send_json(["open", "a", None])
    await until_said(again, "opened")
    assert desk.session.channels["C01"].terms == ()  # not those of the client before
    await again.close()


async def test_a_source_whose_channel_is_taken_leaves_the_others(desk: Desk) -> None:
    first = await connect(desk)
    await first.send_json(["open", "a", "C03"])
    await until_said(first, "opened")
    await first.send_bytes(bytes(3200))
    second = await connect(desk)
    await second.send_json(["open", "a", "C03"])
    assert (await until_said(second, "end"))[-1] == ["end", "refused", "channel_fed"]
    await first.send_json(["finish", None, None])
    assert (await until_said(first, "end"))[-1] == ["end", "stopped", None]
    assert desk.app[WIRES].statistics()["refused"] == 1
    events = desk.session.log.since(0)
    assert sum(f'"{EventType.CHANNEL_OPENED}"'.encode() in one.data for one in events) == 1
