"""The codec of OpenAI's Realtime transcription, over a WebSocket or beside a WebRTC call. Pure.

The server speaks first (`session.created`). The source is opened by the first audio, because the settings
come after the upgrade; the audio of a call is opened by its door. Deltas are append-only, and together they
are the transcript of `completed`. `error` is sent only for a mistake of the client, and never as a warning:
some clients end the connection for it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from host_stt.contract import RequestError
from webrtc_host.media.encodings import Encoding
from webrtc_host.wires.messages import (
    SERVER_STOPPING,
    Action,
    Audio,
    End,
    Failed,
    Final,
    Forced,
    ForceEnd,
    Frame,
    Goodbye,
    Interim,
    Open,
    Opened,
    Result,
    Say,
    SetLanguage,
    SetTerms,
    SpeechBegan,
    SpeechStopped,
    StreamSpec,
    Tick,
    UtteranceDone,
)
from webrtc_host.wires.openai_events import Events
from webrtc_host.wires.openai_items import Item, Items
from webrtc_host.wires.openai_options import Settings, updated

STREAM = "0"
COMMIT_MS_MIN = 100
"""Less audio than this cannot be committed."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the address, and the server, say about a connection."""

    session: str | None
    channel: str | None
    label: str
    hangover_ms: int
    """Silence that ends an utterance on this server."""
    model: Callable[[], str]
    """The name of the engine's model."""
    is_call: bool = False
    """The audio comes by WebRTC."""


class OpenAiLive:
    def __init__(self, settings: Settings, place: Place, prefix: str, now_s: int) -> None:
        """prefix: makes the ids of this connection unique. now_s: the present, in Unix seconds."""
        self._settings = settings
        self._place = place
        self._events = Events(prefix, now_s)
        self._items = Items(prefix)
        self._bytes = 0  # of audio, since the connection began
        self._committed_bytes = 0
        self._received_ms = self._live_ms = 0
        self.opened: Opened | None = None

    @property
    def settings(self) -> Settings:
        return self._settings

    # --- from the client ---

    def begin(self) -> list[Action]:
        return [Say((*self.greeting(),))]

    def greeting(self) -> list[Frame]:
        """`session.created`."""
        return [self._session("session.created")]

    def on_bytes(self, data: bytes) -> list[Action]:
        return self._refused("binary messages have no meaning here; send JSON", "invalid_message")

    def on_text(self, text: str, now_s: float) -> list[Action]:
        try:
            message: Any = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            return self._refused("a message is a JSON object with a `type`", "invalid_json")
        given = message.get("event_id")
        event_id = given if isinstance(given, str) and len(given) <= 512 else None
        match message["type"]:
            case "input_audio_buffer.append":
                return self._append(message.get("audio"), event_id)
            case "input_audio_buffer.commit":
                return self._commit(event_id)
            case "input_audio_buffer.clear":
                return self._clear()
            case "conversation.item.retrieve":
                return self._retrieve(message.get("item_id"), event_id)
            case "session.update":
                return self._update(message.get("session"), event_id)
        kind = message["type"][:60]
        return self._refused(f"{kind!r} is no event of a transcription session", "invalid_value", event_id)

    def _append(self, audio: object, event_id: str | None) -> list[Action]:
        if self._place.is_call:
            return self._refused("the audio of a call comes by WebRTC", "invalid_value", event_id)
        try:
            data = base64.b64decode(audio, validate=True) if isinstance(audio, str) else None
        except (binascii.Error, ValueError):
            data = None
        if data is None:
            return self._refused("`audio` is the base64 of the audio", "invalid_value", event_id, "audio")
        if not data:
            return []
        actions: list[Action] = [] if self._bytes else [self._open()]
        self._bytes += len(data)
        return [*actions, Audio(data)]

    def _open(self) -> Open:
        settings, place = self._settings, self._place
        spec = StreamSpec(STREAM, place.channel, place.label, settings.language, settings.terms)
        return Open(settings.format, (spec,), session=place.session)

    def _update(self, session: object, event_id: str | None) -> list[Action]:
        """Change what is given. When one value is refused, nothing changes."""
        before = self._settings
        try:
            after = updated(before, session)
        except RequestError as error:
            return self._refused(error.message, "invalid_value", event_id, error.code)
        is_open = self._place.is_call or bool(self._bytes)
        if is_open and after.format != before.format:
            path = "session.audio.input.format"
            return self._refused(
                f"`{path}` cannot change after the first audio", "invalid_value", event_id, path
            )
        self._settings = after
        actions: list[Action] = []
        if is_open and after.language != before.language:
            actions.append(SetLanguage(after.language))
        if is_open and after.terms != before.terms:
            actions.append(SetTerms(after.terms))
        return [*actions, Say((self._session("session.updated"),))]

    def _commit(self, event_id: str | None) -> list[Action]:
        new_ms = self._audio_ms() - self._audio_ms(self._committed_bytes)
        if not self._place.is_call and new_ms < COMMIT_MS_MIN:
            message = f"at least {COMMIT_MS_MIN} ms of audio are needed, and the buffer has {new_ms:.0f} ms"
            return self._refused(message, "input_audio_buffer_commit_empty", event_id)
        if self._settings.turns is not None:
            # The utterance that runs now ends, and its item with it.
            return [ForceEnd(STREAM, mark="commit"), *self._say(self._ended_pause())]
        item = self._items.open or self._items.new(self._settings.delay)
        item.wait_for_force()
        frames = self._committed(item, round(self._audio_ms()))
        return [Say(tuple(frames)), ForceEnd(STREAM, mark=item.id)]

    def _clear(self) -> list[Action]:
        actions: list[Action] = [Say((self._events.cleared(),))]
        if not self._place.is_call and self._bytes == self._committed_bytes:
            return actions
        item = self._items.open or self._items.new(self._settings.delay)
        item.drop()
        item.wait_for_force()
        self._items.commit(item, round(self._audio_ms()))
        self._committed_bytes = self._bytes
        return [*actions, ForceEnd(STREAM, mark=item.id)]

    def _retrieve(self, item_id: object, event_id: str | None) -> list[Action]:
        if not isinstance(item_id, str) or item_id not in self._items.texts:
            return self._refused("there is no item with this id", "item_not_found", event_id, "item_id")
        return [Say((self._events.retrieved(item_id, self._items.texts[item_id]),))]

    def _audio_ms(self, count: int | None = None) -> float:
        """The audio so far, or so many bytes of it."""
        if self._place.is_call:
            return float(self._received_ms)
        width = 2 if self._settings.format.encoding is Encoding.S16 else 1
        count = self._bytes if count is None else count
        return count * 1000 / (width * self._settings.format.sample_rate)

    # --- to the client ---

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case Opened():
                self.opened = result
                self._events.opened(result.channels[STREAM])
            case Tick():
                clock = result.streams[STREAM]
                self._received_ms, self._live_ms = clock.received_ms, clock.live_ms
                return self._ended_turn()
            case SpeechBegan():
                return self._began(result)
            case SpeechStopped():
                return self._stopped(result)
            case Forced():
                return self._forced(result.mark)
        item = (
            self._items.of(result.utterance)
            if isinstance(result, Interim | Final | Failed | UtteranceDone)
            else None
        )
        if item is None:
            return []
        match result:
            case Interim():
                return self._delta(item, item.interim(result.utterance, result.text))
            case Final():
                return self._delta(item, item.final(result))
            case Failed():
                item.fail(result.code)
            case UtteranceDone():
                self._items.done(result.utterance)
                return [*self._delta(item, item.done(result.utterance)), *self._completed()]
        return []

    def on_end(self, end: End) -> Goodbye:
        frames: list[Frame] = []
        for item in [*self._items.committed, *([self._items.open] if self._items.open else [])]:
            frames += self._delta(item, item.close())
            if item is self._items.open and (
                item.text or item.is_started
            ):  # too late for the client's commit
                frames += self._turn_stopped(item)
        frames += self._completed()
        code, reason = close_of(end)
        if code == 1008 and end.error is not None:
            frames.append(self._events.error(end.error.message, end.error.code))
        return Goodbye(code, reason, tuple(frames))

    def _began(self, began: SpeechBegan) -> list[Frame]:
        item = self._items.committed_at(began.start_ms)
        if item is not None:
            self._items.began(item, began.utterance, began.start_ms)
            return []
        item = self._items.open or self._items.new(self._settings.delay)
        is_first = item.start_ms is None
        self._items.began(item, began.utterance, began.start_ms)
        turns = self._settings.turns
        if turns is None or not is_first:
            return []
        item.start()
        return [self._events.speech_started(item, max(0, began.start_ms - turns.padding_ms))]

    def _stopped(self, stopped: SpeechStopped) -> list[Frame]:
        item = self._items.of(stopped.utterance)
        if item is None:
            return []
        item.stopped(stopped.utterance, stopped.end_ms)
        turns = self._settings.turns
        if item is not self._items.open or turns is None or item.is_speaking:
            return []
        is_cut = stopped.rule != "hangover"  # forced, or the audio stopped: no more silence is awaited
        if is_cut or turns.silence_ms <= self._place.hangover_ms:
            return self._turn_stopped(item)
        return []

    def _ended_turn(self) -> list[Frame]:
        """The end of a turn whose silence is long enough now."""
        item, turns = self._items.open, self._settings.turns
        if item is None or turns is None or item.start_ms is None or item.is_speaking:
            return []
        return self._turn_stopped(item) if self._live_ms - item.end_ms >= turns.silence_ms else []

    def _ended_pause(self) -> list[Frame]:
        """The end of a turn whose speech has stopped already, because the client asked for it."""
        item = self._items.open
        if item is None or item.start_ms is None or item.is_speaking:
            return []
        return self._turn_stopped(item)

    def _turn_stopped(self, item: Item) -> list[Frame]:
        stopped = [self._events.speech_stopped(item)] if item.is_started else []
        return [*stopped, *self._committed(item, item.end_ms), *self._completed()]

    def _committed(self, item: Item, at_ms: int) -> list[Frame]:
        from_ms = (item.start_ms or 0) if item.is_started else round(self._audio_ms(self._committed_bytes))
        item.note_audio(from_ms)
        self._committed_bytes = self._bytes
        self._items.commit(item, at_ms)
        return self._events.committed(item)

    def _forced(self, mark: str) -> list[Frame]:
        for item in self._items.committed:
            if item.id == mark:
                item.forced()
        return self._completed()

    def _delta(self, item: Item, delta: str) -> list[Frame]:
        return [self._events.delta(item, delta)] if delta and not item.is_dropped else []

    def _completed(self) -> list[Frame]:
        complete = self._items.take_complete()
        return [self._events.completed(item) for item in complete if not item.is_dropped]

    def _session(self, kind: str) -> Frame:
        body = self._settings.body(self._place.model(), self._place.hangover_ms)
        return self._events.session(kind, body)

    @staticmethod
    def _say(frames: list[Frame]) -> list[Action]:
        return [Say(tuple(frames))] if frames else []

    def _refused(
        self, message: str, code: str, event_id: str | None = None, param: str | None = None
    ) -> list[Action]:
        return [Say((self._events.error(message, code, event_id, param),), is_complaint=True)]


def close_of(end: End) -> tuple[int, str]:
    """The close code and the reason. OpenAI's client connects again after 1011, 1012 and 1013."""
    error = end.error
    if error is None:
        return (1012 if end.reason == SERVER_STOPPING else 1000), end.reason
    if error.code == "idle":
        return 1000, error.message
    if error.retry_after_s is not None or error.status in (429, 503):
        return 1013, error.message
    return (1008 if error.status < 500 else 1011), error.message
