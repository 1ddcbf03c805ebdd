"""The codec of the WhisperLive server's WebSocket protocol. Pure.

The client's first message is a JSON object with its options and its `uid`, which is in every message to it.
Then it sends audio, and at last the bytes `END_OF_AUDIO`. Each message with text holds the last segments:
those that stand, and the provisional one, which replaces the provisional one before.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from host_stt.contract import SAMPLE_RATE, RequestError
from host_stt_common.languages import AUTO, HOW, read_language
from webrtc_host.events import TimedWord
from webrtc_host.media.encodings import AudioFormat, Encoding
from webrtc_host.wires.deepgram_query import checked_terms
from webrtc_host.wires.estimates import UNKNOWN_CONFIDENCE
from webrtc_host.wires.json_text import json_object
from webrtc_host.wires.messages import (
    MAIN,
    SERVER_STOPPING,
    STOPPED,
    Action,
    Audio,
    End,
    Final,
    Finish,
    Frame,
    Goodbye,
    Interim,
    Open,
    Opened,
    Result,
    Say,
    StreamSpec,
    UtteranceDone,
)

LABEL = "WhisperLive"
BACKEND = "faster_whisper"
"""Its clients keep segments only from a server that says this name."""
END_OF_AUDIO = b"END_OF_AUDIO"
ENCODINGS = {"float32": Encoding.F32, "int16": Encoding.S16}
SEGMENTS, SEGMENTS_MAX = 10, 100
"""Segments in one message: where the client does not say how many, and at most."""
UID_CHARS_MAX = 200
BUSY_STATUS = (429, 503)
"""Of an error after which the client may try again."""
NOT_READABLE, FAULT, RESTART = 1003, 1011, 1012


@dataclass(frozen=True, slots=True)
class Options:
    """What the client's first message says."""

    uid: str
    language: str
    """Whisper's code, or `auto`."""
    encoding: Encoding
    segments: int
    terms: tuple[str, ...]
    has_words: bool
    wants_translation: bool

    @classmethod
    def of(cls, message: Mapping[str, Any], uid: str) -> Options:
        """Raises RequestError 400 for what would change the text, or cannot be read."""
        if message.get("task", "transcribe") != "transcribe":
            raise _bad("this server writes what was said and does not translate; `task` is transcribe")
        audio = message.get("audio_format", "float32")
        if not isinstance(audio, str) or audio not in ENCODINGS:
            raise _bad(f"`audio_format` is one of {', '.join(ENCODINGS)}")
        count = message.get("send_last_n_segments", SEGMENTS)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise _bad("`send_last_n_segments` is a whole number from 1")
        return cls(
            uid,
            _language(message.get("language")),
            ENCODINGS[audio],
            min(count, SEGMENTS_MAX),
            _terms(message.get("hotwords")),
            message.get("word_timestamps") is True,
            message.get("enable_translation") is True,
        )


class WhisperLiveCodec:
    def __init__(self, channel: str | None, session: str | None) -> None:
        """channel: None for the next free one. session: None for the current one."""
        self._channel, self._session = channel, session
        self._uid = ""
        self._options: Options | None = None
        self._is_told_language = False
        self._finals: deque[dict[str, Any]] = deque(maxlen=SEGMENTS)
        self._end_ms = 0  # of the last segment that stands
        self.opened: Opened | None = None

    # --- from the client ---

    def begin(self) -> list[Action]:
        return []

    def on_text(self, text: str, now_s: float) -> list[Action]:
        if self._options is not None:
            raise _bad("only the first message is text; audio is binary")
        message = json_object(text)
        uid = message.get("uid")
        if not isinstance(uid, str) or not 0 < len(uid) <= UID_CHARS_MAX:
            raise _bad(f"`uid` is text of 1 to {UID_CHARS_MAX} characters")
        self._uid = uid  # before the options, so that the client accepts the message about a wrong one
        options = self._options = Options.of(message, uid)
        self._finals = deque(maxlen=options.segments)
        self._is_told_language = options.language != AUTO
        stream = StreamSpec(MAIN, self._channel, LABEL, options.language, options.terms)
        actions: list[Action] = []
        if options.wants_translation:
            warning = "this server does not translate; only the transcript comes"
            actions.append(Say((self._message(status="WARNING", message=warning),)))
        return [*actions, Open(AudioFormat(options.encoding, SAMPLE_RATE), (stream,), session=self._session)]

    def on_bytes(self, data: bytes) -> list[Action]:
        if self._options is None:
            raise _bad("the first message is a JSON object with `uid`")
        return [Finish()] if data == END_OF_AUDIO else [Audio(data)]

    # --- to the client ---

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case Opened():
                self.opened = result
                return [self._message(message="SERVER_READY", backend=BACKEND)]
            case Interim() if result.text:
                provisional = self._segment(result.text, result.start_ms, result.end_ms, is_final=False)
                return [self._message(segments=[*self._finals, provisional])]
            case Final() if result.text:
                return [*self._language_of(result), self._final(result)]
            case UtteranceDone() if self._finals:
                # Without this message, a provisional segment that became no text would stay on the screen.
                return [self._message(segments=list(self._finals))]
        return []

    def on_end(self, end: End) -> Goodbye:
        error = end.error
        if error is not None and error.status in BUSY_STATUS:
            return Goodbye(1000, error.message, self._told(status="WAIT", message=_minutes(error)))
        if error is not None:
            frames = self._told(status="ERROR", message=error.message)
            return Goodbye(FAULT if error.status >= 500 else NOT_READABLE, error.message, frames)
        if end.reason == SERVER_STOPPING:
            return Goodbye(RESTART, end.reason)
        if end.reason == STOPPED:
            return Goodbye(1000)
        return Goodbye(1000, end.reason, self._told(message="DISCONNECT"))

    def _language_of(self, final: Final) -> list[Frame]:
        """Told once, with the first text, where the client asked for no language."""
        if self._is_told_language or final.language is None:
            return []
        self._is_told_language = True
        return [self._message(language=final.language, language_prob=UNKNOWN_CONFIDENCE)]

    def _final(self, final: Final) -> Frame:
        segment = self._segment(final.text, final.start_ms, final.end_ms, is_final=True)
        if self._options is not None and self._options.has_words:
            segment["words"] = [_word(word) for word in final.words]
        self._end_ms = max(self._end_ms, final.end_ms)
        self._finals.append(segment)
        return self._message(segments=list(self._finals))

    def _segment(self, text: str, start_ms: int, end_ms: int, *, is_final: bool) -> dict[str, Any]:
        """A segment. It begins with a space, as Whisper's do: the client leaves out a line that says the same
        as the one before, and compares them without this space. It also leaves out a line that begins before
        the end of the last one, so that does not happen.
        """
        start_ms = max(start_ms, self._end_ms)
        times = {"start": _seconds(start_ms), "end": _seconds(max(start_ms, end_ms))}
        return {**times, "text": f" {text}", "completed": is_final}

    def _told(self, **fields: Any) -> tuple[Frame, ...]:
        """A message with the client's `uid`; the client ignores messages without it."""
        return (self._message(**fields),) if self._uid else ()

    def _message(self, **fields: Any) -> str:
        return json.dumps({"uid": self._uid, **fields}, ensure_ascii=False)


def _language(given: object) -> str:
    if given is None or given == "":
        return AUTO
    code = read_language(given) if isinstance(given, str) else None
    if code is None:
        raise _bad(f"`language` {str(given)[:20]!r} is not known; {HOW}")
    return code


def _terms(given: object) -> tuple[str, ...]:
    """The hotwords, with a comma, semicolon or line between two of them."""
    if given is None:
        return ()
    if not isinstance(given, str):
        raise _bad("`hotwords` is text, with a comma between two terms")
    return checked_terms(re.split(r"[,;\n]", given))


def _word(word: TimedWord) -> dict[str, Any]:
    start, end = _seconds(word.start_ms), _seconds(word.end_ms)
    return {"word": word.text, "start": start, "end": end, "probability": word.p}


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.3f}"


def _minutes(error: RequestError) -> float:
    """How long the client may wait before it tries again."""
    return round((error.retry_after_s or 60.0) / 60, 3)


def _bad(message: str) -> RequestError:
    return RequestError("bad_message", message, 400)
