"""The messages between a codec and the shared conversation, and the interface of a codec.

A codec handles one protocol and nothing else: it turns the client's frames into actions, and results into
frames. It has no I/O, no task and no clock. `conversation.py` performs the actions and has the socket, the
channels and the limits. Names: a *source* is one input of audio bytes; it feeds one *stream* per channel.
All times of results are whole milliseconds since the first sample of the stream's source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from host_stt.contract import RequestError
from webrtc_host.events import TimedWord
from webrtc_host.glossary.entries import MisheardTerm
from webrtc_host.media.encodings import AudioFormat

Frame = str | bytes
"""A text frame or a binary frame of a WebSocket."""
MAIN = ""
"""The name of the source where a connection has only one."""

PEER_CLOSED = "peer_closed"
CONNECTION_LOST = "connection_lost"
"""Reasons of an end: the client left without saying that it is done, with a close frame or without one."""
STOPPED = "stopped"
"""The client said that it is done."""
SERVER_STOPPING = "server_stopping"


# --- from the client to the server: actions --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream of a source, and the channel that it asks for. None: no request."""

    name: str
    channel: str | None = None
    """None: the next free channel, which then gets the language `auto` and no terms unless they are given."""
    label: str | None = None
    language: str | None = None
    """Whisper's code, or `auto`."""
    terms: tuple[str, ...] | None = None
    misheard: tuple[MisheardTerm, ...] = ()
    """Those of `terms` whose mis-hearings the client names."""


@dataclass(frozen=True, slots=True)
class Open:
    """Begin a source. With one stream, the audio's channels are mixed down; with more, there is one stream
    for each audio channel, which only raw encodings have.
    """

    format: AudioFormat
    streams: tuple[StreamSpec, ...]
    source: str = MAIN
    session: str | None = None
    """Id of the session; None: the current one."""
    start_sample: int | None = None
    """Position of the first sample on the session's timeline, at 16 kHz; None: at its arrival."""
    resume: str | None = None
    """Resume token of a client that fed the channel before."""


@dataclass(frozen=True, slots=True)
class Audio:
    """Audio of a source, as the client sent it."""

    data: bytes
    source: str = MAIN


@dataclass(frozen=True, slots=True)
class Say:
    """Send frames to the client now."""

    frames: tuple[Frame, ...]
    is_complaint: bool = False
    """The client's message could not be read. A connection with too many of them is closed."""


@dataclass(frozen=True, slots=True)
class SetTerms:
    """The terms that all streams of the connection expect from now on."""

    terms: tuple[str, ...]
    misheard: tuple[MisheardTerm, ...] = ()


@dataclass(frozen=True, slots=True)
class SetLanguage:
    """The language that all streams of the connection have from now on: Whisper's code, or `auto`."""

    language: str


@dataclass(frozen=True, slots=True)
class ForceEnd:
    """End the running utterance of a stream (None: of all) now. The codec gets `Forced` when it is final.

    Without a mark, one that comes while another is being done changes nothing. With a mark, each is done and
    gets its own `Forced`, in order.
    """

    stream: str | None = None
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """The client is done with a source (None: with all). Everything pending becomes final; then the codec
    gets `SourceFinished`, or `on_end` when the whole connection ends.
    """

    source: str | None = None


Action = Open | Audio | Say | SetTerms | SetLanguage | ForceEnd | Finish


# --- from the server to the client: results ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """A source is open."""

    source: str
    session: str
    connection: str
    channels: dict[str, str]
    """Name of each stream -> its channel."""
    now_ms: int
    """The present, on the session's clock."""


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    stream: str
    utterance: str
    start_ms: int


@dataclass(frozen=True, slots=True)
class Interim:
    """The text of an utterance after its last final; it replaces the interim before."""

    stream: str
    utterance: str
    text: str
    stable_chars: int
    """Characters at the beginning that were in the last interim too."""
    start_ms: int
    end_ms: int
    language: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The speech of an utterance has ended. Its last finals may still come."""

    stream: str
    utterance: str
    start_ms: int
    end_ms: int
    rule: str
    """Of endpointing, as in `speech.ended`."""


@dataclass(frozen=True, slots=True)
class Final:
    """A line of text that does not change any more."""

    stream: str
    utterance: str
    text: str
    words: tuple[TimedWord, ...]
    start_ms: int
    end_ms: int
    language: str | None = None
    conf: float | None = None
    """Mean log probability, 0 at best."""
    segment: str = ""
    """Its id in the record."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine could not decode a part of an utterance."""

    stream: str
    utterance: str
    start_ms: int
    end_ms: int
    code: str


@dataclass(frozen=True, slots=True)
class UtteranceDone:
    """All finals of an utterance whose speech has stopped were given."""

    stream: str
    utterance: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Settled:
    """Everything of a stream before `to_ms` is final: text that was given, silence, lost or failed."""

    stream: str
    to_ms: int


@dataclass(frozen=True, slots=True)
class Forced:
    """A `ForceEnd` is done: the finals of the audio that came before it were given."""

    stream: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class SourceFinished:
    """A `Finish` of one source is done, and its channels are closed."""

    source: str


@dataclass(frozen=True, slots=True)
class Concluded:
    """What a door made of the whole text, after its last final (`concluding.Companion`)."""

    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StreamClock:
    """Where a stream is now."""

    received_ms: int
    """Audio received so far."""
    live_ms: int
    """The same, plus the time since audio last arrived."""
    pause_ms: int
    """The silence since the last speech, in the audio that was analysed; 0 during speech."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes: about ten times a second."""

    streams: dict[str, StreamClock]


Result = (
    Opened
    | SpeechBegan
    | Interim
    | SpeechStopped
    | Final
    | Failed
    | UtteranceDone
    | Settled
    | Forced
    | SourceFinished
    | Concluded
    | Tick
)


@dataclass(frozen=True, slots=True)
class End:
    """Why a connection ends. All finals were given before, unless the server could not do so in time."""

    reason: str
    """As in `channel.closed`: STOPPED, PEER_CLOSED, SERVER_STOPPING, `taken_over`, `session_ended`, ..."""
    error: RequestError | None = None
    """The client's or the server's error that ends it; status as in HTTP."""
    seq: int | None = None
    """seq of the connection's last event; None: no channel was opened."""

    @property
    def has_left(self) -> bool:
        return self.error is None and self.reason in (PEER_CLOSED, CONNECTION_LOST)


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The last frames, and the close frame after them."""

    code: int = 1000
    reason: str = ""
    frames: tuple[Frame, ...] = field(default=())


class Codec(Protocol):
    """One connection in one protocol. Every method raises RequestError to end the connection with it."""

    def begin(self) -> list[Action]:
        """What the request itself asks for: an `Open` when the address says all. Called once, first."""
        ...

    def on_text(self, text: str, now_s: float) -> list[Action]:
        """A text frame. now_s: a clock that never goes back, in seconds."""
        ...

    def on_bytes(self, data: bytes) -> list[Action]:
        """A binary frame."""
        ...

    def on_result(self, result: Result) -> list[Frame]:
        """The frames that tell the client about a result."""
        ...

    def on_end(self, end: End) -> Goodbye:
        """The end. The frames are not sent to a client that has left (`End.has_left`)."""
        ...
