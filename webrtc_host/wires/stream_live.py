"""The codec of the conversation API's stream: audio in, `transcript_segment` out, `final_summary` last. Pure.

The client has two message types to read, so an error is a `final_summary` too, with the status FAILED.
Invariants: each final line is one `transcript_segment`, in the order of the record; the last message to a
client that did not leave is one `final_summary`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from host_stt.contract import RequestError
from webrtc_host.media.encodings import SNIFF_BYTES, Container
from webrtc_host.wires.json_text import json_object
from webrtc_host.wires.messages import (
    MAIN,
    SERVER_STOPPING,
    STOPPED,
    Action,
    Audio,
    Concluded,
    End,
    Final,
    Finish,
    Frame,
    Goodbye,
    Open,
    Opened,
    Result,
    StreamSpec,
)
from webrtc_host.wires.stream_options import FORMAT, StreamOptions, format_of, options_of

TEXT_CHARS_MAX = 64 * 1024
ENDS = frozenset(("end", "stop", "finish", "finalize", "eos", "eof", "close", "done", "complete"))
"""Messages that end the audio: the text itself, or `type`, `event` or `action` of its object."""
KINDS = ("type", "event", "action")
PROCESSING, COMPLETED, FAILED = "PROCESSING", "COMPLETED", "FAILED"


class StreamCodec:
    def __init__(self, stream: str, address: Mapping[str, object], language: str) -> None:
        """stream: its id. address: the parameters of the query. language: of a stream that names none.

        Raises RequestError 422 for a parameter that cannot be meant.
        """
        self._stream = stream
        self._address = dict(address)
        self._language = language
        self._options = options_of(self._address, language)
        self._head = b""  # audio whose format is not known yet
        self._is_open = False
        self._summary: Mapping[str, Any] | None = None
        self.opened: Opened | None = None

    # --- from the client ---

    def begin(self) -> list[Action]:
        """Open at once when the address names the format, so that a refusal is an HTTP response."""
        is_named = any(self._address.get(name) for name in FORMAT)
        return self._open(self._options) if is_named and not self._options.needs_audio else []

    def on_text(self, text: str, now_s: float) -> list[Action]:
        if len(text) > TEXT_CHARS_MAX:
            raise RequestError("too_large", f"a text message is over {TEXT_CHARS_MAX} characters", 413)
        if _is_end(text):
            return [*self._rest(), Finish()]
        if self._is_open or self._head:
            return []  # keep-alives, and messages for other servers
        fields = {name: value for name, value in json_object(text).items() if value is not None}
        self._options = options_of({**self._address, **fields}, self._language)
        is_named = any(fields.get(name) for name in FORMAT)
        return self._open(self._options) if is_named and not self._options.needs_audio else []

    def on_bytes(self, data: bytes) -> list[Action]:
        if self._is_open:
            return [Audio(data)]
        self._head += data
        wants = SNIFF_BYTES if self._options.format.encoding is Container.ANY else 1
        return self._rest() if len(self._head) >= wants else []

    def _rest(self) -> list[Action]:
        """Open with the audio that came before the format was known."""
        if self._is_open or not self._head:
            return []
        head, self._head = self._head, b""
        return [*self._open(self._options, head), Audio(head)]

    def _open(self, options: StreamOptions, head: bytes = b"") -> list[Action]:
        self._is_open = True
        stream = StreamSpec(MAIN, options.channel, options.label, options.language)
        audio = format_of(options.format, head) if options.needs_audio else options.format
        return [Open(audio, (stream,), session=options.session)]

    # --- to the client ---

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case Opened():
                self.opened = result
            case Final() if result.text:
                return [self._segment(result)]
            case Concluded():
                self._summary = result.data
            case _:
                pass
        return []

    def on_end(self, end: End) -> Goodbye:
        if end.error is not None:
            error = {"code": end.error.code, "message": end.error.message}
            return Goodbye(_close_code(end.error), end.reason, (self._last(FAILED, error),))
        if self._summary is not None:
            summary = _said(type="final_summary", stream_id=self._stream, **self._summary)
            return Goodbye(1000, end.reason, (summary,))
        if self.opened is None:
            error = {"code": "no_audio", "message": "the stream ended before any audio came"}
            return Goodbye(1000, end.reason, (self._last(FAILED, error),))
        # Without a summary, a client that said that it is done is told that the server stops.
        reason = SERVER_STOPPING if end.reason == STOPPED else end.reason
        message = "the stream was ended by the server; its text is kept, and its summary is made later"
        code = 1001 if reason == SERVER_STOPPING else 1000
        return Goodbye(code, reason, (self._last(FAILED, {"code": reason, "message": message}),))

    def _segment(self, final: Final) -> str:
        opened = self.opened
        return _said(
            type="transcript_segment",
            stream_id=self._stream,
            status=PROCESSING,
            session=None if opened is None else opened.session,
            channel=None if opened is None else opened.channels[final.stream],
            segment=final.segment,
            text=final.text,
            language=final.language,
            conf=final.conf,
            start_ms=final.start_ms,
            end_ms=final.end_ms,
            start_s=final.start_ms / 1000,
            end_s=final.end_ms / 1000,
            words=[
                {"text": word.text, "start_ms": word.start_ms, "end_ms": word.end_ms, "p": word.p}
                for word in final.words
            ],
        )

    def _last(self, status: str, error: Mapping[str, str]) -> str:
        return _said(
            type="final_summary",
            stream_id=self._stream,
            status=status,
            title=None,
            summary=None,
            content=None,
            session=None if self.opened is None else self.opened.session,
            warning=None,
            error=dict(error),
        )


def _is_end(text: str) -> bool:
    word = text.strip().strip('"').lower()
    if word in ENDS:
        return True
    if not word.startswith("{"):
        return False
    try:
        message = json_object(text)
    except RequestError:
        return False
    return any(
        isinstance(value := message.get(kind), str) and value.strip().lower() in ENDS for kind in KINDS
    )


def _close_code(error: RequestError) -> int:
    """4000 plus the HTTP status; 1013 (try again later) for a server that is full."""
    return 1013 if error.status == 503 else 4000 + error.status


def _said(**fields: Any) -> str:
    return json.dumps(fields, ensure_ascii=False)
