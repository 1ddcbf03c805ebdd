"""The codec of the Vosk server's WebSocket protocol. Pure.

A client sends one message and waits for one reply, so a message that gets none stops it for ever. The reply
is the newest text that is known; it never waits for the engine. When an utterance is final, the next reply is
its result, in order.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from host_stt.contract import RequestError
from webrtc_host.events import TimedWord
from webrtc_host.media.encodings import AudioFormat, Encoding
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
    Forced,
    ForceEnd,
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

RATE = 8000
"""Hz, where the client does not say another rate."""
RATES = range(4000, 48_001)
PHRASES_MAX, PHRASE_CHARS_MAX = 1000, 200
RESULTS_MAX = 100
"""Results that wait for the client's next message."""
NOT_READABLE = 1003
"""Close code for a message that cannot be read: the protocol has no error message."""


@dataclass(slots=True)
class _Utterance:
    """The finals of an utterance so far."""

    words: list[TimedWord] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    conf: float = 0.0


class VoskCodec:
    def __init__(self, channel: str | None, session: str | None) -> None:
        """channel: None for the next free one. session: None for the current one."""
        self._channel, self._session = channel, session
        self._rate = RATE
        self._has_words = True
        self._alternatives = 0
        self._terms: tuple[str, ...] | None = None
        self._is_open = False
        self._partial = ""
        self._utterances: dict[str, _Utterance] = {}
        self._results: deque[str] = deque(maxlen=RESULTS_MAX)
        self._resets = 0  # `reset` messages that wait for their reply
        self.opened: Opened | None = None

    # --- from the client ---

    def begin(self) -> list[Action]:
        return []

    def on_text(self, text: str, now_s: float) -> list[Action]:
        message = json_object(text)
        if "config" in message:
            self._configure(message["config"])
            return []
        if "eof" in message:
            return [Finish()] if self._is_open else [self._open(), Finish()]
        if "reset" in message:
            if not self._is_open:
                return [Say((self._result([], ""),))]
            self._resets += 1
            return [ForceEnd()]
        raise RequestError("bad_message", "the message has none of config, eof and reset", 400)

    def on_bytes(self, data: bytes) -> list[Action]:
        opening: list[Action] = [] if self._is_open else [self._open()]
        return [*opening, Audio(data), Say((self._reply(),))]

    def _open(self) -> Open:
        self._is_open = True
        stream = StreamSpec(MAIN, self._channel, terms=self._terms)
        return Open(AudioFormat(Encoding.S16, self._rate), (stream,), session=self._session)

    def _configure(self, config: Any) -> None:
        """Take the settings of a `config` message. Those of a running stream do not change its rate."""
        if not isinstance(config, dict):
            raise RequestError("bad_message", "config is not a JSON object", 400)
        rate = config.get("sample_rate", self._rate)
        if not isinstance(rate, int | float) or isinstance(rate, bool) or int(rate) not in RATES:
            message = f"sample_rate must be a number from {RATES[0]} to {RATES[-1]}"
            raise RequestError("bad_message", message, 400)
        if self._is_open and int(rate) != self._rate:
            raise RequestError("bad_message", "sample_rate cannot change after the first audio", 400)
        self._rate = int(rate)
        self._has_words = config.get("words", self._has_words) not in (False, 0)
        alternatives = config.get("max_alternatives", self._alternatives)
        self._alternatives = alternatives if isinstance(alternatives, int) else 0
        phrases = config.get("phrase_list")
        if isinstance(phrases, list):
            words = [
                one.strip() for one in phrases if isinstance(one, str) and one.strip() not in ("", "[unk]")
            ]
            if len(words) > PHRASES_MAX or any(len(one) > PHRASE_CHARS_MAX for one in words):
                message = f"phrase_list has room for {PHRASES_MAX} phrases of {PHRASE_CHARS_MAX} characters"
                raise RequestError("bad_message", message, 400)
            self._terms = tuple(words)

    # --- to the client ---

    def on_result(self, result: Result) -> list[Frame]:
        match result:
            case Opened():
                self.opened = result
            case Interim():
                said = " ".join(self._utterances.get(result.utterance, _Utterance()).texts)
                self._partial = f"{said} {result.text}".strip()
            case Final():
                known = self._utterances.setdefault(result.utterance, _Utterance())
                known.texts.append(result.text)
                known.words += result.words
                self._partial = " ".join(known.texts)
            case UtteranceDone():
                known = self._utterances.pop(result.utterance, _Utterance())
                self._partial = ""
                if known.texts:
                    self._results.append(self._result(known.words, " ".join(known.texts)))
            case Forced() if self._resets:
                self._resets -= 1
                return [self._results.popleft() if self._results else self._result([], "")]
            case _:
                pass
        return []

    def on_end(self, end: End) -> Goodbye:
        if end.error is not None:
            code = NOT_READABLE if end.error.status in (400, 415, 422) else 1011
            return Goodbye(code, end.error.message[:120])
        if end.reason == STOPPED:
            # One reply to `eof`: everything that was not given yet, so that no result is lost.
            return Goodbye(1000, "", (self._joined(),))
        return Goodbye(1001 if end.reason == SERVER_STOPPING else 1000, end.reason)

    def _reply(self) -> str:
        return self._results.popleft() if self._results else json.dumps({"partial": self._partial})

    def _joined(self) -> str:
        """The results that wait, as one."""
        words: list[dict[str, Any]] = []
        texts: list[str] = []
        for one in map(json.loads, self._results):
            best = one["alternatives"][0] if "alternatives" in one else one
            words += best.get("result", [])
            texts.append(best["text"])
        self._results.clear()
        return self._as_reply(words, " ".join(filter(None, texts)))

    def _result(self, words: Sequence[TimedWord], text: str) -> str:
        return self._as_reply([_word(word) for word in words], text)

    def _as_reply(self, words: list[dict[str, Any]], text: str) -> str:
        fields: dict[str, Any] = {"result": words} if words and self._has_words else {}
        if self._alternatives:
            mean = sum(word["conf"] for word in words) / len(words) if words else 0.0
            return json.dumps({"alternatives": [{"confidence": round(mean, 6), "text": text, **fields}]})
        return json.dumps({**fields, "text": text})


def _word(word: TimedWord) -> dict[str, Any]:
    return {"conf": word.p, "start": word.start_ms / 1000, "end": word.end_ms / 1000, "word": word.text}
