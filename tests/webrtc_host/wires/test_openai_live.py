"""The codec of OpenAI's Realtime transcription alone: settings, items, deltas, ends, and any input."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.media.encodings import AudioFormat, Encoding
from webrtc_host.wires.messages import (
    PEER_CLOSED,
    SERVER_STOPPING,
    Action,
    Audio,
    End,
    Failed,
    Final,
    Forced,
    ForceEnd,
    Frame,
    Interim,
    Open,
    Result,
    Say,
    SetLanguage,
    SetTerms,
    SpeechBegan,
    SpeechStopped,
    StreamClock,
    Tick,
    UtteranceDone,
)
from webrtc_host.wires.openai_deltas import Deltas
from webrtc_host.wires.openai_live import OpenAiLive, Place
from webrtc_host.wires.openai_options import Delay, Settings, terms_of_prompt, updated

TRANSCRIPTION = "conversation.item.input_audio_transcription"
CLIENT_COMMITS: dict[str, Any] = {"audio": {"input": {"turn_detection": None}}}
SECOND = 48_000
"""Bytes of 24 kHz."""


class Talk:
    """A codec with what it said."""

    def __init__(self, session: dict[str, Any] | None = None, *, is_call: bool = False) -> None:
        place = Place(None, None, "OpenAI", 500, lambda: "base", is_call)
        self.codec = OpenAiLive(Settings(), place, "x", 1_000)
        self.said: list[dict[str, Any]] = []
        self.done: list[Action] = []
        self._do(self.codec.begin())
        if session is not None:
            self.send("session.update", session=session)

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        return self.text(json.dumps({"type": kind, **fields}))

    def text(self, text: str) -> list[dict[str, Any]]:
        return self._do(self.codec.on_text(text, 0.0))

    def hear(self, seconds: float = 1.0) -> None:
        self.send("input_audio_buffer.append", audio=base64.b64encode(bytes(int(SECOND * seconds))).decode())

    def get(self, *results: Result) -> list[dict[str, Any]]:
        return self._note([frame for result in results for frame in self.codec.on_result(result)])

    def tick(self, live_ms: int) -> list[dict[str, Any]]:
        return self.get(Tick({"0": StreamClock(live_ms, live_ms, 0)}))

    def deltas(self, item: str) -> str:
        kind = f"{TRANSCRIPTION}.delta"
        return "".join(one["delta"] for one in self.said if one["type"] == kind and one["item_id"] == item)

    def completed(self) -> dict[str, str]:
        done = [one for one in self.said if one["type"] == f"{TRANSCRIPTION}.completed"]
        return {one["item_id"]: one["transcript"] for one in done}

    def _do(self, actions: list[Action]) -> list[dict[str, Any]]:
        self.done += [one for one in actions if not isinstance(one, Say)]
        return self._note([frame for one in actions if isinstance(one, Say) for frame in one.frames])

    def _note(self, frames: list[Frame]) -> list[dict[str, Any]]:
        said = [json.loads(frame) for frame in frames]
        self.said += said
        return said


def began(name: str = "u1", at: int = 0) -> SpeechBegan:
    return SpeechBegan("0", name, at)


def interim(text: str, name: str = "u1") -> Interim:
    return Interim("0", name, text, 0, 0, 500)


def final(text: str, name: str = "u1", end: int = 900) -> Final:
    return Final("0", name, text, (), 0, end, "en")


def stopped(name: str = "u1", end: int = 900, rule: str = "hangover") -> SpeechStopped:
    return SpeechStopped("0", name, 0, end, rule)


def done(name: str = "u1") -> UtteranceDone:
    return UtteranceDone("0", name, 0, 900)


def kinds(said: list[dict[str, Any]]) -> list[str]:
    return [one["type"].replace(TRANSCRIPTION, "…").replace("input_audio_buffer", "buffer") for one in said]


def test_the_server_speaks_first_and_names_the_settings_in_force() -> None:
    talk = Talk()
    assert kinds(talk.said) == ["session.created"]
    session = talk.said[0]["session"]
    assert session["type"] == "transcription" and session["expires_at"] > 1_000_000
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert session["audio"]["input"]["transcription"]["model"] == "base"


def test_an_update_changes_only_what_it_has_and_null_clears() -> None:
    talk = Talk()
    transcription = {
        "model": "whisper-1",
        "language": "ko",
        "keywords": ["Gate 7"],
        "prompt": "a sentence of more words.",
    }
    talk.send("session.update", session={"audio": {"input": {"transcription": transcription}}})
    talk.send("session.update", session={"audio": {"input": {"transcription": {"delay": "xhigh"}}}})
    now = talk.codec.settings
    assert (now.language, now.terms, now.delay) == ("ko", ("Gate 7",), Delay.XHIGH)
    talk.send("session.update", session={"audio": {"input": {"transcription": None, "turn_detection": None}}})
    now = talk.codec.settings
    assert (now.language, now.terms, now.turns) == ("auto", (), None)


def test_a_live_model_has_no_turn_detection_whatever_the_client_asks() -> None:
    given = {"transcription": {"model": "gpt-live-transcribe"}, "turn_detection": {"type": "server_vad"}}
    talk = Talk({"audio": {"input": given}})
    assert kinds(talk.said) == ["session.created", "session.updated"]
    assert talk.said[-1]["session"]["audio"]["input"]["turn_detection"] is None


def test_the_source_is_opened_by_the_first_audio_with_the_settings_so_far() -> None:
    given = {"format": {"type": "audio/pcmu"}, "transcription": {"language": "en", "keywords": ["Alpha"]}}
    talk = Talk({"audio": {"input": given}})
    assert talk.done == []
    talk.hear()
    first, audio = talk.done
    assert isinstance(first, Open) and first.format == AudioFormat(Encoding.ULAW, 8_000)
    assert (first.streams[0].language, first.streams[0].terms) == ("en", ("Alpha",))
    assert isinstance(audio, Audio) and len(audio.data) == SECOND
    talk.send(
        "session.update", session={"audio": {"input": {"transcription": {"language": "ko", "keywords": []}}}}
    )
    assert talk.done[2:] == [SetLanguage("ko"), SetTerms(())]
    (error,) = talk.send("session.update", session={"audio": {"input": {"format": {"type": "audio/pcma"}}}})
    assert error["error"]["param"] == "session.audio.input.format"


def test_what_the_client_commits_is_one_item_with_deltas_before_the_commit() -> None:
    talk = Talk(CLIENT_COMMITS)
    talk.hear()
    said = talk.get(began(), interim("one two"), interim("one two three"), interim("one two three four"))
    assert kinds(said) == ["….delta"] and said[0]["delta"] == "one two"
    said = talk.send("input_audio_buffer.commit")
    assert kinds(said) == ["buffer.committed", "conversation.item.added", "conversation.item.done"]
    item = said[0]["item_id"]
    assert talk.done[-1] == ForceEnd("0", item)
    said = talk.get(stopped(rule="forced"), final("one two three four"), done(), Forced("0", item))
    assert kinds(said) == ["….delta", "….completed"]
    assert talk.completed() == {item: "one two three four"} and talk.deltas(item) == "one two three four"
    assert said[-1]["usage"] == {"type": "duration", "seconds": 1.0}
    assert said[-1]["languages"] == [{"code": "en"}]


def test_audio_after_a_commit_belongs_to_the_next_item() -> None:
    talk = Talk(CLIENT_COMMITS)
    talk.hear()
    talk.get(began("u1", 100))
    first = talk.send("input_audio_buffer.commit")[0]["item_id"]
    talk.hear()
    # The speech after the commit begins before the first item's final is there, and a late one came before.
    talk.get(stopped("u1", 600, "forced"), began("u2", 700), began("u3", 1000), final("next", "u3"))
    talk.get(final("first", "u1"), done("u1"), stopped("u2", 950, "forced"), final("late", "u2"), done("u2"))
    second = talk.send("input_audio_buffer.commit")
    assert second[0]["previous_item_id"] == first
    talk.get(Forced("0", first), stopped("u3", 1900, "forced"), done("u3"), Forced("0", second[0]["item_id"]))
    assert talk.completed() == {first: "first late", second[0]["item_id"]: "next"}


def test_an_item_can_be_asked_for_again() -> None:
    talk = Talk(CLIENT_COMMITS)
    talk.hear()
    item = talk.send("input_audio_buffer.commit")[0]["item_id"]
    (early,) = talk.send("conversation.item.retrieve", item_id=item)
    talk.get(began(), final("one"), stopped(), done(), Forced("0", item))
    (late,) = talk.send("conversation.item.retrieve", item_id=item)
    assert [one["item"]["content"][0]["transcript"] for one in (early, late)] == [None, "one"]
    assert kinds(talk.send("conversation.item.retrieve", item_id="item_none")) == ["error"]


def test_an_item_without_speech_is_completed_with_no_text() -> None:
    talk = Talk(CLIENT_COMMITS)
    talk.hear()
    item = talk.send("input_audio_buffer.commit")[0]["item_id"]
    talk.get(Forced("0", item))
    assert talk.completed() == {item: ""}


def test_an_empty_commit_is_refused_and_a_clear_drops_what_was_said() -> None:
    talk = Talk(CLIENT_COMMITS)
    (error,) = talk.send("input_audio_buffer.commit", event_id="mine")
    assert error["error"]["code"] == "input_audio_buffer_commit_empty"
    assert error["error"]["event_id"] == "mine"
    talk.hear()
    talk.get(began())
    assert kinds(talk.send("input_audio_buffer.clear")) == ["buffer.cleared"]
    mark = talk.done[-1]
    assert isinstance(mark, ForceEnd)
    assert talk.get(stopped(rule="forced"), final("dropped"), done(), Forced("0", mark.mark)) == []
    assert kinds(talk.send("input_audio_buffer.commit")) == ["error"]


def test_turn_detection_says_start_stop_and_commit() -> None:
    talk = Talk()
    talk.hear()
    said = talk.get(began(at=400))
    assert kinds(said) == ["buffer.speech_started"] and said[0]["audio_start_ms"] == 100
    said = talk.get(stopped(end=900))
    assert kinds(said)[:2] == ["buffer.speech_stopped", "buffer.committed"]
    assert said[0]["audio_end_ms"] == 900
    said = talk.get(final("one"), done())
    assert kinds(said) == ["….delta", "….completed"]
    assert said[-1]["usage"]["seconds"] == 0.5


def test_a_longer_silence_joins_utterances_to_one_turn() -> None:
    turns = {"type": "server_vad", "silence_duration_ms": 1500}
    talk = Talk({"audio": {"input": {"turn_detection": turns}}})
    talk.hear(4)
    talk.get(began("u1", 0), stopped("u1", 900), final("one", "u1"), done("u1"))
    assert talk.tick(2000) == []
    talk.get(began("u2", 2100), stopped("u2", 2500), final("two", "u2"), done("u2"))
    assert talk.tick(3900) == []
    assert kinds(talk.tick(4000))[-1] == "….completed"
    assert list(talk.completed().values()) == ["one two"]


def test_a_part_that_failed_is_said_for_its_item() -> None:
    talk = Talk()
    talk.hear()
    said = talk.get(began(), stopped(), Failed("0", "u1", 0, 900, "deadline"), done())
    assert kinds(said)[-1] == "….failed" and said[-1]["error"]["code"] == "deadline"


def test_the_end_has_the_close_code_that_the_client_understands() -> None:
    def code(end: End) -> tuple[int, list[str]]:
        goodbye = Talk().codec.on_end(end)
        return goodbye.code, kinds([json.loads(frame) for frame in goodbye.frames])

    assert code(End(SERVER_STOPPING)) == (1012, [])
    assert code(End(PEER_CLOSED)) == (1000, [])
    full = Overloaded("no_free_channel", "full", retry_after_s=5.0, status=429)
    assert code(End("refused", full)) == (1013, [])
    assert code(End("bad", RequestError("too_many_bad_messages", "bad", 400))) == (1008, ["error"])
    assert code(End("failed", RequestError("internal", "bad", 500))) == (1011, [])


def test_a_server_that_stops_gives_the_words_of_the_open_item() -> None:
    talk = Talk(CLIENT_COMMITS)
    talk.hear()
    talk.get(began(), final("one two"))
    goodbye = talk.codec.on_end(End(SERVER_STOPPING))
    talk._note(list(goodbye.frames))
    assert list(talk.completed().values()) == ["one two"]


def test_a_prompt_gives_terms_and_its_sentences_do_not() -> None:
    assert terms_of_prompt("Alpha 1, Gate Seven\nThis is a sentence about the radio of the port.") == [
        "Alpha 1",
        "Gate Seven",
    ]


WORDS = st.lists(st.sampled_from(["one", "two", "Two.", "three,", "넷", "五", "六"]), max_size=6)


@given(st.sampled_from(list(Delay)), st.lists(st.tuples(st.booleans(), WORDS), max_size=12))
@settings(max_examples=150, deadline=None)
def test_deltas_are_the_text_and_final_lines_are_all_of_it_unless_words_were_early(
    delay: Delay, steps: list[tuple[bool, list[str]]]
) -> None:
    deltas, sent, finals = Deltas(delay), "", ""
    for is_final, words in steps:
        text = " ".join(words)
        sent += deltas.final(text) if is_final else deltas.interim(text)
        finals += text if is_final else ""
        assert sent == deltas.text
    if delay is Delay.XHIGH:
        assert sent.replace(" ", "") == finals.replace(" ", "")


def test_words_that_stay_are_sent_early_and_the_final_adds_the_rest() -> None:
    deltas = Deltas(Delay.LOW)
    said = [
        deltas.interim(text)
        for text in ("alpha", "alpha bravo", "alpha bravo charlie", "alpha bravo charlie delta")
    ]
    assert said == ["", "", "alpha", " bravo"]
    assert deltas.final("Alpha bravo charlie delta.") == " charlie delta."
    assert deltas.final("Echo.") == " Echo."


def test_a_final_that_differs_from_early_words_adds_no_word_twice() -> None:
    deltas = Deltas(Delay.MINIMAL)
    for text in ("alpha bravo gate", "alpha bravo gate eleven"):
        deltas.interim(text)
    assert deltas.text == "alpha bravo gate"
    assert deltas.final("Alpha bravo, grate eleven.") == " eleven."
    deltas.end_utterance()
    assert deltas.final("Next") == " Next"


def test_scripts_without_spaces_are_joined_without_spaces() -> None:
    deltas = Deltas(Delay.MINIMAL)
    deltas.interim("五六七")
    assert deltas.interim("五六七八") == "五六七"
    assert (deltas.final("五六七八九"), deltas.final("十")) == ("八九", "十")


EVENTS = st.one_of(
    st.tuples(st.just("began"), st.integers(0, 6)),
    st.tuples(st.just("stopped"), st.integers(0, 6)),
    st.tuples(st.just("done"), st.integers(0, 6)),
    st.tuples(st.just("interim"), st.integers(0, 6), WORDS),
    st.tuples(st.just("final"), st.integers(0, 6), WORDS),
    st.tuples(st.just("tick"), st.integers(0, 9000)),
    st.tuples(st.just("hear"), st.just(0)),
    st.tuples(st.just("commit"), st.just(0)),
    st.tuples(st.just("clear"), st.just(0)),
    st.tuples(st.just("turns"), st.booleans()),
    st.tuples(st.just("forced"), st.just(0)),
)


@given(st.lists(EVENTS, max_size=40))
@settings(max_examples=120, deadline=None)
def test_whatever_comes_the_deltas_of_each_item_are_its_transcript(steps: list[tuple[Any, ...]]) -> None:
    talk = Talk()
    open_, ended, forces = set[str](), set[str](), 0
    for kind, value, *more in steps:
        name, text = f"u{value}", " ".join(more[0]) if more else ""
        match kind:
            case "began" if name not in open_ | ended:
                open_.add(name)
                talk.get(began(name, 1000 * value))
            case "stopped" if name in open_:
                talk.get(stopped(name, 1000 * value + 900))
            case "done" if name in open_:
                open_.discard(name)
                ended.add(name)
                talk.get(stopped(name, 1000 * value + 900), done(name))
            case "interim" if name in open_:
                talk.get(interim(text, name))
            case "final" if name in open_:
                talk.get(final(text, name))
            case "tick":
                talk.tick(value)
            case "hear":
                talk.hear(0.2)
            case "commit" | "clear":
                talk.send(f"input_audio_buffer.{kind}")
            case "turns":
                turns = {"type": "server_vad"} if value else None
                talk.send("session.update", session={"audio": {"input": {"turn_detection": turns}}})
            case "forced":
                marks = [one.mark for one in talk.done if isinstance(one, ForceEnd)]
                if forces < len(marks):
                    talk.get(Forced("0", marks[forces]))
                    forces += 1
    talk._note(list(talk.codec.on_end(End(SERVER_STOPPING)).frames))
    assert talk.completed() == {item: talk.deltas(item) for item in talk.completed()}
    committed = [one["item_id"] for one in talk.said if one["type"] == "input_audio_buffer.committed"]
    assert len(set(committed)) == len(committed)
    ends = (f"{TRANSCRIPTION}.completed", f"{TRANSCRIPTION}.failed")
    assert sorted(committed) == sorted(one["item_id"] for one in talk.said if one["type"] in ends)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from(["session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "x"])
INPUT = st.fixed_dictionaries(
    {},
    optional={
        "format": JSON | st.fixed_dictionaries({"type": st.just("audio/pcm"), "rate": JSON}),
        "turn_detection": JSON
        | st.fixed_dictionaries({"type": st.just("server_vad"), "silence_duration_ms": JSON}),
        "transcription": JSON
        | st.fixed_dictionaries(
            {}, optional={"model": JSON, "language": JSON, "languages": JSON, "keywords": JSON, "delay": JSON}
        ),
    },
)


@given(
    st.lists(
        st.text(max_size=30)
        | st.builds(
            lambda kind, session, audio: json.dumps(
                {"type": kind, "session": session, "audio": audio, "event_id": audio}
            ),
            KINDS,
            JSON | st.fixed_dictionaries({"audio": st.fixed_dictionaries({"input": INPUT})}),
            JSON,
        ),
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_text_gets_an_answer_and_leaves_the_codec_whole(texts: list[str]) -> None:
    talk = Talk()
    for text in texts:
        talk.text(text)
    assert talk.codec.on_bytes(b"\x00")
    assert kinds(talk.send("session.update", session={}))[-1] == "session.updated"


@given(JSON)
@settings(max_examples=100, deadline=None)
def test_settings_are_refused_only_with_the_name_of_the_parameter(value: Any) -> None:
    try:
        after = updated(Settings(), value)
    except RequestError as error:
        assert error.code.startswith("session") and error.status == 400
    else:
        json.dumps(after.body("base", 500))
