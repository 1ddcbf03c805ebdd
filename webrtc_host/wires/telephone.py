"""The codec of Twilio's Media Streams, and of Telnyx's variant. Pure.

Each track of the call (inbound: the caller; outbound: the other side) is a channel. Audio is placed by the
timestamps of the messages, not by their arrival: a gap between two messages becomes silence of that length,
and what comes twice or too late is left out. Telnyx's messages may come in another order; a few of them wait
until the missing one is there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from host_stt.contract import RequestError
from webrtc_host.media.encodings import AudioFormat, Encoding
from webrtc_host.wires.json_text import json_object
from webrtc_host.wires.messages import (
    SERVER_STOPPING,
    Action,
    Audio,
    End,
    Finish,
    Frame,
    Goodbye,
    Open,
    Opened,
    Result,
    StreamSpec,
)

INBOUND, OUTBOUND = "inbound", "outbound"
ENCODINGS = {
    "audio/x-mulaw": Encoding.ULAW,
    "pcmu": Encoding.ULAW,
    "pcma": Encoding.ALAW,
    "l16": Encoding.S16,
}
"""As Twilio and Telnyx name them, in lower case."""
SILENCE = {Encoding.ULAW: b"\xff", Encoding.ALAW: b"\xd5", Encoding.S16: b"\0\0"}
"""One sample of silence."""
RATES = (8000, 16_000, 24_000, 48_000)
GAP_MS_MAX = 60_000
"""A longer gap between two timestamps is not filled: the clock of the sender is wrong."""
GAP_MS_MIN = 40
"""Timestamps are rounded to 20 ms and jump by one packet, so a shorter gap is none."""
PAYLOAD_BYTES_MAX = 64 * 1024
WAITING_MAX = 8
"""Messages of a track that wait for an earlier one."""
TEXTS_MAX = 200
SECRET_PARAMETERS = ("token", "key")
"""Names of custom parameters that may hold the server's token."""


@dataclass(frozen=True, slots=True)
class CallOptions:
    channel: str | None
    """Of the inbound track; None: the next free one."""
    session: str | None
    skip_ms: int = 0
    """At the beginning of each track: the noise while a line is connected. It becomes silence."""
    needs_key: bool = False
    """Whether the start of the stream must hold the server's token in its parameters."""


@dataclass(slots=True)
class _Track:
    audio: AudioFormat
    skip_ms: int
    to_ms: float | None = None
    """Where the audio so far ends, in the sender's milliseconds; None: none has come."""
    next_chunk: int | None = None
    waiting: dict[int, tuple[float | None, bytes]] = field(default_factory=dict)


class TelephoneCodec:
    def __init__(self, options: CallOptions, check_key: Callable[[str], None]) -> None:
        """check_key: raises RequestError for a key that may not send audio."""
        self._options, self._check_key = options, check_key
        self._tracks: dict[str, _Track] = {}
        self._is_started = False
        self.opened: dict[str, Opened] = {}

    def begin(self) -> list[Action]:
        return []

    def on_bytes(self, data: bytes) -> list[Action]:
        raise RequestError("bad_message", "audio belongs into `media` messages, not into binary ones", 400)

    def on_text(self, text: str, now_s: float) -> list[Action]:
        message = json_object(text)
        match message.get("event"):
            case "start":
                return self._start(_part(message, "start"))
            case "media":
                return self._media(_part(message, "media"))
            case "stop":
                return [*self._late(), Finish()]
            case _:  # connected, mark, dtmf, error and what may be added
                return []

    def on_result(self, result: Result) -> list[Frame]:
        if isinstance(result, Opened):
            self.opened[result.source] = result
        return []  # the protocol has no message for text; desks and watchers get it

    def on_end(self, end: End) -> Goodbye:
        if end.error is not None:
            code = 1013 if end.error.status in (429, 503) else 1008
            return Goodbye(code, end.error.message[:120])
        return Goodbye(1001 if end.reason == SERVER_STOPPING else 1000)

    def _start(self, start: dict[str, Any]) -> list[Action]:
        if self._is_started:
            raise RequestError("bad_message", "`start` came twice", 400)
        parameters = start.get("customParameters", start.get("custom_parameters"))
        given = parameters if isinstance(parameters, dict) else {}
        if self._options.needs_key:
            self._check_key(next((str(given[name]) for name in SECRET_PARAMETERS if name in given), ""))
        self._is_started = True
        form = start.get("mediaFormat", start.get("media_format"))
        audio = _format(form if isinstance(form, dict) else {})
        tracks = [track for track in _tracks(start.get("tracks")) if track in (INBOUND, OUTBOUND)]
        actions: list[Action] = []
        for track in tracks or [INBOUND]:
            channel = self._options.channel if track == INBOUND or len(tracks) == 1 else None
            spec = StreamSpec(
                track,
                _text(given.get(f"{track}_channel")) or channel,
                label=_text(given.get(f"{track}_label")),
                language=_text(given.get("language")),
            )
            session = _text(given.get("session")) or self._options.session
            actions.append(Open(audio, (spec,), source=track, session=session))
            self._tracks[track] = _Track(audio, self._options.skip_ms)
        return actions

    def _media(self, media: dict[str, Any]) -> list[Action]:
        if not self._is_started:
            raise RequestError("bad_message", "`media` came before `start`", 400)
        name = media.get("track", INBOUND)
        track = self._tracks.get(name if isinstance(name, str) else "")
        if track is None:
            raise RequestError("bad_message", f"`start` did not name the track {str(name)[:20]!r}", 400)
        data = _payload(media.get("payload"))
        at_ms, chunk = _number(media.get("timestamp")), _number(media.get("chunk"))
        if chunk is None:
            return self._placed(str(name), track, at_ms, data)
        return self._in_order(str(name), track, int(chunk), at_ms, data)

    def _in_order(
        self, name: str, track: _Track, chunk: int, at_ms: float | None, data: bytes
    ) -> list[Action]:
        expected = track.next_chunk if track.next_chunk is not None else chunk
        if chunk < expected or chunk in track.waiting:
            return []  # it came twice, or after its place was given up
        track.waiting[chunk] = (at_ms, data)
        track.next_chunk = expected
        actions: list[Action] = []
        while track.waiting and (track.next_chunk in track.waiting or len(track.waiting) > WAITING_MAX):
            first = min(track.waiting)
            actions += self._placed(name, track, *track.waiting.pop(first))
            track.next_chunk = first + 1
        return actions

    def _late(self) -> list[Action]:
        """What still waits for an earlier message, at the end of the call."""
        actions: list[Action] = []
        for name, track in self._tracks.items():
            for chunk in sorted(track.waiting):
                actions += self._placed(name, track, *track.waiting[chunk])
            track.waiting.clear()
        return actions

    def _placed(self, name: str, track: _Track, at_ms: float | None, data: bytes) -> list[Action]:
        """The audio, after silence for the time that is missing before it."""
        silence = SILENCE[Encoding(track.audio.encoding)]
        per_ms = track.audio.sample_rate * len(silence) / 1000
        length_ms = len(data) / per_ms
        before = b""
        if at_ms is None or track.to_ms is None:
            at_ms = track.to_ms or at_ms or 0.0
        elif GAP_MS_MIN <= at_ms - track.to_ms <= GAP_MS_MAX:
            samples = round((at_ms - track.to_ms) * track.audio.sample_rate / 1000)
            before = silence * samples
        elif at_ms + length_ms <= track.to_ms - GAP_MS_MIN:
            return []  # this time was given already
        else:
            at_ms = track.to_ms  # rounding of the timestamp, or a clock that jumped
        track.to_ms = at_ms + length_ms
        if track.skip_ms > 0:
            track.skip_ms -= round(length_ms)
            data = silence * (len(data) // len(silence))
        return [Audio(before + data, name)]


def _format(form: dict[str, Any]) -> AudioFormat:
    name = str(form.get("encoding", "audio/x-mulaw"))
    encoding = ENCODINGS.get(name.lower())
    rate = _number(form.get("sampleRate", form.get("sample_rate", RATES[0])))
    if encoding is None or rate not in RATES:
        message = f"the stream is {name[:40]!r} at {rate} Hz; µ-law, A-law and L16 at 8 to 48 kHz can be read"
        raise RequestError("bad_audio", message, 415)
    return AudioFormat(encoding, int(rate))


def _tracks(given: Any) -> list[str]:
    """Twilio gives a list; Telnyx one name, or `both_tracks`."""
    if isinstance(given, str):
        name = given.removesuffix("_track").removesuffix("_tracks")
        return [INBOUND, OUTBOUND] if name == "both" else [name]
    return [one for one in given if isinstance(one, str)] if isinstance(given, list) else []


def _part(message: dict[str, Any], name: str) -> dict[str, Any]:
    part = message.get(name)
    if not isinstance(part, dict):
        raise RequestError("bad_message", f"the message has no object {name!r}", 400)
    return part


def _payload(given: Any) -> bytes:
    if not isinstance(given, str) or len(given) > PAYLOAD_BYTES_MAX * 2:
        raise RequestError("bad_audio", "the payload is not base64 text of a usual length", 400)
    try:
        data = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError("bad_audio", "the payload is not base64", 400) from error
    if len(data) > PAYLOAD_BYTES_MAX:
        raise RequestError("too_large", f"a payload has {PAYLOAD_BYTES_MAX} bytes at most", 413)
    return data


def _number(given: Any) -> float | None:
    """A number, also one that is written as text, as Twilio writes all of them. None: it is not one."""
    try:
        value = float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if 0 <= value < 2**53 else None


def _text(given: Any) -> str | None:
    return given[:TEXTS_MAX] if isinstance(given, str) and given else None
