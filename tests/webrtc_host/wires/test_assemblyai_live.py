"""The codec of AssemblyAI's streaming v3, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import RequestError
from tests.support.streams import Utterance, final, opened, results_of, tick, utterances
from webrtc_host.errors import Overloaded
from webrtc_host.media.encodings import Container, Encoding
from webrtc_host.wires.assemblyai_live import AssemblyAiLive, code_of
from webrtc_host.wires.assemblyai_options import options_of
from webrtc_host.wires.messages import (
    CONNECTION_LOST,
    SERVER_STOPPING,
    STOPPED,
    Audio,
    End,
    Failed,
    Finish,
    Forced,
    ForceEnd,
    Interim,
    Open,
    Result,
    Say,
    SetLanguage,
    SetTerms,
    Settled,
    SpeechBegan,
    SpeechStopped,
    UtteranceDone,
)
from webrtc_host.wires.query import Query

LONGEST_S = 100.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def codec(clock: Clock | None = None, /, **query: str) -> AssemblyAiLive:
    options = options_of(Query({"sample_rate": "16000", **query}.items()))
    return AssemblyAiLive(options, "id-1", LONGEST_S, clock or Clock(), "base")


def said(made: AssemblyAiLive, *results: Result) -> list[dict[str, Any]]:
    return [json.loads(frame) for result in results for frame in made.on_result(result)]


def turns(messages: list[dict[str, Any]]) -> list[tuple[int, bool, bool, str]]:
    return [
        (one["turn_order"], one["end_of_turn"], one["turn_is_formatted"], one["transcript"])
        for one in messages
        if one["type"] == "Turn"
    ]


BEGAN = SpeechBegan("0", "u_1", 500)
INTERIM = Interim("0", "u_1", "alpha won", 0, 500, 1400)
SPEECH_STOPPED = SpeechStopped("0", "u_1", 500, 1500, "hangover")
FINAL = final("alpha one", 500, 1500)
DONE = UtteranceDone("0", "u_1", 500, 1500)
SPOKEN: tuple[Result, ...] = (opened("0"), BEGAN, tick(1400), INTERIM, tick(2000, 500), SPEECH_STOPPED, FINAL)


def test_the_first_message_names_the_session() -> None:
    assert said(codec(), opened("0")) == [
        {
            "type": "Begin",
            "id": "id-1",
            "expires_at": 1100,
            "configuration": {"model": "base"},
            "session": "s_1",
            "channel": "C01",
        }
    ]


def test_a_turn_replaces_its_text_and_ends_after_the_silence() -> None:
    made = codec()
    messages = said(made, *SPOKEN, DONE)
    assert [one["type"] for one in messages] == ["Begin", "SpeechStarted", "Turn", "Turn", "Turn"]
    assert messages[1]["timestamp"] == 500
    assert turns(messages) == [
        (0, False, False, "alpha won"),
        (0, False, False, "alpha one"),
        (0, True, False, "alpha one"),
    ]
    assert [word["word_is_final"] for word in messages[2]["words"]] == [False, False]
    (word,) = messages[-1]["words"]
    assert word == {"text": "alpha", "start": 500, "end": 1500, "confidence": 0.9, "word_is_final": True}
    assert messages[-1]["end_of_turn_confidence"] == 0.7
    assert messages[-1]["language_code"] == "en"
    assert said(made, tick(9000, 7500)) == []


def test_formatted_text_repeats_the_end_of_the_turn() -> None:
    messages = said(codec(format_turns="True", include_partial_turns="false"), *SPOKEN, DONE)
    assert turns(messages) == [(0, True, False, "alpha one"), (0, True, True, "alpha one")]


def test_the_silence_that_ends_a_turn_can_be_chosen() -> None:
    made = codec(min_turn_silence="1000", max_turn_silence="3000")
    assert turns(said(made, *SPOKEN, DONE))[-1][1] is False
    assert turns(said(made, tick(2400, 900))) == []
    assert turns(said(made, tick(2500, 1000))) == [(0, True, False, "alpha one")]

    made = codec(end_of_turn_confidence_threshold="1", max_turn_silence="3000")
    said(made, *SPOKEN, DONE)
    assert turns(said(made, tick(4400, 2900))) == []
    assert turns(said(made, tick(4500, 3000))) == [(0, True, False, "alpha one")]


def test_two_utterances_with_a_short_pause_are_one_turn() -> None:
    made = codec(min_turn_silence="1000", max_turn_silence="3000")
    said(made, *SPOKEN, DONE)
    second = (
        SpeechBegan("0", "u_2", 2200),
        SpeechStopped("0", "u_2", 2200, 3000, "hangover"),
        final("gate", 2200, 3000, "u_2"),
        UtteranceDone("0", "u_2", 2200, 3000),
    )
    messages = said(made, *second, tick(4000, 1000))
    assert turns(messages)[-1] == (0, True, False, "alpha one gate")
    assert [one["type"] for one in messages] == ["Turn", "Turn"]


def test_a_client_can_force_the_end() -> None:
    made = codec(end_of_turn_confidence_threshold="1", max_turn_silence="60000")
    said(made, opened("0"), BEGAN, tick(1400), INTERIM)
    assert made.on_text('{"type":"ForceEndpoint"}', 0) == [ForceEnd()]
    said(made, SPEECH_STOPPED, FINAL, DONE)
    # Speech goes on: its interim is not part of the turn that was ended.
    said(made, SpeechBegan("0", "u_2", 1500), Interim("0", "u_2", "gate", 0, 1500, 1800))
    assert turns(said(made, Forced("0"))) == [(0, True, False, "alpha one")]
    assert said(made, Forced("0")) == []
    messages = said(made, Interim("0", "u_2", "gate", 0, 1500, 1900))
    assert messages[0] == {"type": "SpeechStarted", "timestamp": 1500}
    assert turns(messages) == [(1, False, False, "gate")]


def test_a_failed_part_gives_a_turn_without_text_and_noise_gives_none() -> None:
    failed = Failed("0", "u_1", 500, 1500, "engine")
    messages = said(codec(), opened("0"), BEGAN, tick(2000, 500), SPEECH_STOPPED, failed, DONE)
    assert turns(messages) == [(0, True, False, "")]
    assert len(said(codec(), opened("0"), BEGAN, tick(2000, 500), SPEECH_STOPPED, DONE)) == 1


def test_silence_and_heartbeats_are_told_when_the_client_asks() -> None:
    clock = Clock()
    made = codec(clock, acknowledge_silence="true", session_heartbeat="true")
    said(made, opened("0"))
    assert said(made, Settled("0", 900)) == []
    assert said(made, Settled("0", 1100)) == [{"type": "Silence", "start_ms": 0, "end_ms": 1100}]
    said(made, SpeechBegan("0", "u_1", 1200))
    assert said(made, Settled("0", 1200)) == []
    said(made, SpeechStopped("0", "u_1", 1200, 3000, "hangover"), UtteranceDone("0", "u_1", 1200, 3000))
    assert said(made, Settled("0", 4000)) == [{"type": "Silence", "start_ms": 3000, "end_ms": 4000}]
    clock.now_s += 5
    assert said(made, tick(4000)) == [
        {
            "type": "Heartbeat",
            "total_audio_received_ms": 4000,
            "total_duration_ms": 5000,
            "realtime_factor": 0.8,
            "max_speech_probability": 1.0,
        }
    ]
    clock.now_s += 5
    assert said(made, tick(4000))[0]["max_speech_probability"] == 0.0


def test_the_configuration_changes_as_given_or_not_at_all() -> None:
    made = codec(keyterms_prompt='["gate"]')

    def configured(**fields: Any) -> list[Any]:
        return made.on_text(json.dumps({"type": "UpdateConfiguration", **fields}), 0)

    assert configured(keyterms_prompt=["Alpha-1"], language_codes=["ko"]) == [
        SetTerms(("Alpha-1",)),
        SetLanguage("ko"),
    ]
    assert configured(min_turn_silence=300, prompt="numbers", vad_threshold=0.5) == []
    wrongs: tuple[dict[str, Any], ...] = (
        {"keyterms_prompt": "gate"},
        {"keyterms_prompt": [1]},
        {"language_codes": ["nowhere"]},
        {"max_turn_silence": True},
        {"max_turn_silence": "x"},
        {"end_of_turn_confidence_threshold": 2},
        {"format_turns": []},
        {"filter_profanity": True, "keyterms_prompt": ["other"]},
    )
    for wrong in wrongs:
        (say,) = configured(**wrong)
        assert isinstance(say, Say)
        assert say.is_complaint
        assert json.loads(say.frames[0])["type"] == "Warning", wrong
    assert configured(keyterms_prompt=["Alpha-1"]) == []


def test_the_query_names_the_audio_the_language_and_the_terms() -> None:
    (open_,) = codec(
        keyterms_prompt='["gate seven","alpha"]', language_codes='["en"]', channel="C05", session="s_9"
    ).begin()
    assert isinstance(open_, Open)
    assert (open_.format.encoding, open_.format.sample_rate, open_.session) == (Encoding.S16, 16_000, "s_9")
    (stream,) = open_.streams
    assert (stream.channel, stream.language, stream.terms) == ("C05", "en", ("gate seven", "alpha"))
    for query, language in (
        ({}, "auto"),
        ({"language_codes": '["en","ko"]'}, "auto"),
        ({"language_code": "ko"}, "ko"),
        ({"speech_model": "universal-streaming-english"}, "en"),
        ({"language_codes": '["en"]', "language_detection": "True"}, "auto"),
    ):
        assert options_of(Query({"sample_rate": "8000", **query}.items())).settings.language == language
    for name, encoding in (("opus", Encoding.OPUS), ("ogg_opus", Container.OGG), ("aac", Container.AAC)):
        assert options_of(Query([("encoding", name)])).audio.encoding is encoding


@pytest.mark.parametrize(
    "query",
    [
        {"sample_rate": ""},
        {"sample_rate": "-1"},
        {"encoding": "g729"},
        {"keyterms_prompt": '{"a": 1}'},
        {"keyterms_prompt": "[" * 30_000},
        {"language_codes": '["nowhere"]'},
        {"webhook_url": "http://127.0.0.1/"},
        {"llm_gateway": "{}"},
        {"redact_pii": "True"},
        {"inactivity_timeout": "1"},
        {"format_turns": "perhaps"},
        {"min_turn_silence": "nan"},
    ],
)
def test_a_query_that_cannot_be_followed_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(RequestError) as refused:
        codec(**query)
    assert refused.value.status == 400


def test_messages_of_the_client() -> None:
    made = codec()
    assert made.on_text('{"type":"Terminate"}', 0) == [Finish()]
    assert made.on_text('{"type":"KeepAlive"}', 0) == []
    assert made.on_bytes(b"12") == [Audio(b"12")]
    for text in ("", "[]", "7", '{"type":"Nothing"}', "{", "[" * 100_000):
        (say,) = made.on_text(text, 0)
        assert isinstance(say, Say)
        assert say.is_complaint
        assert json.loads(say.frames[0])["warning_code"] == 3006


def test_the_end_closes_the_turn_and_says_the_duration() -> None:
    clock = Clock()
    made = codec(clock)
    said(made, *SPOKEN)
    clock.now_s += 4
    goodbye = made.on_end(End(STOPPED))
    messages = [json.loads(frame) for frame in goodbye.frames]
    assert goodbye.code == 1000
    assert turns(messages) == [(0, True, False, "alpha one")]
    assert messages[-1] == {
        "type": "Termination",
        "audio_duration_seconds": 2,
        "session_duration_seconds": 4,
    }
    assert codec().on_end(End(SERVER_STOPPING)).code == 1001
    assert codec().on_end(End(CONNECTION_LOST)).code == 1000


def test_an_error_is_said_before_the_close_frame_with_its_code() -> None:
    for error, code in (
        (RequestError("bad_audio", "no audio", 415), 3006),
        (RequestError("too_large", "too long", 413), 3007),
        (RequestError("idle", "nothing came", 408), 3008),
        (Overloaded("too_many", "all are taken", retry_after_s=1, status=429), 3009),
        (Overloaded("too_slow", "not read", retry_after_s=1), 1013),
        (RequestError("internal", "a fault", 500), 3005),
    ):
        assert code_of(error) == code
        goodbye = codec().on_end(End(error.code, error))
        assert goodbye.code == code
        assert [json.loads(frame) for frame in goodbye.frames] == [
            {"type": "Error", "error_code": code, "error": error.message}
        ]


def test_a_session_has_a_longest_time() -> None:
    clock = Clock()
    made = codec(clock)
    said(made, opened("0"))
    clock.now_s += LONGEST_S + 1
    with pytest.raises(RequestError) as ended:
        made.on_result(tick(1000))
    assert code_of(ended.value) == 3008


@given(
    said_=utterances,
    query=st.sampled_from(
        ({}, {"format_turns": "true"}, {"min_turn_silence": "3000", "max_turn_silence": "5000"})
    ),
)
def test_every_turn_ends_once_and_no_text_is_lost_or_repeated(
    said_: list[Utterance], query: dict[str, str]
) -> None:
    made = codec(acknowledge_silence="true", **query)
    frames = [frame for result in results_of(said_) for frame in made.on_result(result)]
    messages = [json.loads(frame) for frame in (*frames, *made.on_end(End(STOPPED)).frames)]
    assert messages[0]["type"] == "Begin"
    assert messages[-1]["type"] == "Termination"
    order, ended, formatted = 0, [], []
    for _, is_end, is_formatted, text in turns(messages):
        if is_formatted:
            formatted.append(text)
        elif is_end:
            ended.append(text)
    if "format_turns" in query:
        assert formatted == ended
    for one in messages:
        if one["type"] != "Turn":
            continue
        assert one["turn_order"] == order
        if one["end_of_turn"] and (one["turn_is_formatted"] or "format_turns" not in query):
            order += 1
    assert " ".join(text for text in ended if text) == " ".join(t for one in said_ for t in one.finals)
    at = 0
    for one in messages:
        if one["type"] == "Silence":
            assert at <= one["start_ms"] < one["end_ms"]
            at = one["end_ms"]


@given(text=st.text(max_size=50))
def test_no_text_message_breaks_the_codec(text: str) -> None:
    made = codec()
    for message in (text, json.dumps({"type": text}), json.dumps([text])):
        made.on_text(message, 0)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    (
        *("keyterms_prompt", "language_codes", "language_code", "language_detection", "format_turns"),
        *("min_turn_silence", "max_turn_silence", "end_of_turn_confidence_threshold", "filter_profanity"),
        *("session_heartbeat", "acknowledge_silence", "min_end_of_turn_silence_when_confident"),
    )
)


@given(fields=st.dictionaries(NAMES, VALUES, max_size=4))
def test_no_configuration_breaks_the_codec(fields: dict[str, Any]) -> None:
    made = codec()
    for action in made.on_text(json.dumps({"type": "UpdateConfiguration", **fields}), 0):
        assert isinstance(action, Say | SetTerms | SetLanguage)


@given(fields=st.dictionaries(NAMES, st.text(max_size=30), max_size=4))
def test_every_query_is_read_or_refused(fields: dict[str, str]) -> None:
    try:
        codec(**fields)
    except RequestError as error:
        assert error.status == 400
