"""The codec of Deepgram v1, without a socket."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import RequestError
from tests.support.streams import Utterance, final, opened, results_of, tick, utterances
from webrtc_host.media.encodings import AudioFormat, Container, Encoding
from webrtc_host.wires.deepgram_live import SILENT_RANGE_MS, DeepgramLive
from webrtc_host.wires.deepgram_query import live_options
from webrtc_host.wires.messages import (
    SERVER_STOPPING,
    Audio,
    End,
    Finish,
    Forced,
    ForceEnd,
    Frame,
    Interim,
    Open,
    Result,
    Say,
    SetTerms,
    Settled,
    SpeechBegan,
    SpeechStopped,
    StreamSpec,
    UtteranceDone,
)
from webrtc_host.wires.query import Query

RAW = "encoding=linear16&sample_rate=16000"


def query_of(text: str) -> Query:
    return Query(parse_qsl(text, keep_blank_values=True))


def codec(more: str = "interim_results=true") -> DeepgramLive:
    return DeepgramLive(
        live_options(query_of(f"{RAW}&{more}")), "r-1", "2026-11-30T06:00:00Z", lambda: "base"
    )


def said(made: DeepgramLive, results: list[Result]) -> list[dict[str, Any]]:
    return [loaded(frame) for result in results for frame in made.on_result(result)]


def loaded(frame: Frame) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(frame)
    return body


def text_of(result: dict[str, Any]) -> str:
    text: str = result["channel"]["alternatives"][0]["transcript"]
    return text


def range_of(result: dict[str, Any]) -> tuple[float, float]:
    return result["start"], round(result["start"] + result["duration"], 3)


BEGAN = SpeechBegan("0", "u_1", 500)
STOPPED = SpeechStopped("0", "u_1", 500, 1500, "hangover")


def test_the_query_opens_one_stream() -> None:
    assert codec("language=ko-KR&keyterm=Alpha+1&keyterm=gate&keywords=seven:2&tag=tower").begin() == [
        Open(
            AudioFormat(Encoding.S16, 16_000),
            (StreamSpec("0", None, "tower", "ko", ("Alpha 1", "gate", "seven")),),
        )
    ]
    (start,) = DeepgramLive(live_options(query_of("channel=C05&session=s_1")), "r", "", str).begin()
    assert isinstance(start, Open)
    assert (start.format.encoding, start.session) == (Container.ANY, "s_1")
    assert start.streams[0].channel == "C05"
    assert start.streams[0].language == "auto"


def test_several_channels_are_several_streams() -> None:
    made = codec("channels=3&multichannel=true")
    (start,) = made.begin()
    assert isinstance(start, Open)
    assert [stream.name for stream in start.streams] == ["0", "1", "2"]
    (result,) = said(made, [opened("0", "1", "2"), final("alpha", 0, 500, stream="1")])
    assert result["channel_index"] == [1, 3]


@pytest.mark.parametrize(
    "query",
    [
        *("encoding=linear16", "encoding=speex&sample_rate=8000", f"{RAW}&channels=21", f"{RAW}&channels=0"),
        *("redact=pci", "callback=http%3A", "profanity_filter=true", "language=xx-none", "endpointing=soon"),
        *(f"{RAW}&utterance_end_ms=1000", f"{RAW}&interim_results=maybe", "multichannel=true&channels=2"),
        *(f"{RAW}&interim_results=true&utterance_end_ms=999", "sample_rate=x&encoding=mulaw"),
    ],
)
def test_a_query_that_cannot_be_followed_is_refused(query: str) -> None:
    with pytest.raises(RequestError) as refused:
        live_options(query_of(query))
    assert refused.value.status == 400
    assert refused.value.message


def test_unknown_parameters_and_false_ones_are_ignored() -> None:
    options = live_options(query_of(f"{RAW}&model=nova-3&smart_format=True&redact=false&vad_turnoff=5"))
    assert options.endpointing_ms == 10
    assert live_options(query_of("endpointing=false")).endpointing_ms is None
    assert live_options(query_of("endpointing=300")).endpointing_ms == 300


def test_an_interim_has_the_start_of_the_range_that_it_belongs_to() -> None:
    results = said(codec(), [BEGAN, Interim("0", "u_1", "al pha", 0, 500, 900, "en"), STOPPED])
    assert [(range_of(one), text_of(one), one["is_final"]) for one in results] == [
        ((0.0, 0.9), "al pha", False)
    ]
    words = results[0]["channel"]["alternatives"][0]["words"]
    assert [(word["word"], word["start"], word["end"]) for word in words] == [
        ("al", 0.5, 0.66),
        ("pha", 0.66, 0.9),
    ]
    assert said(codec("interim_results=false"), [BEGAN, Interim("0", "u_1", "al", 0, 500, 900)]) == []


def test_the_last_final_of_an_utterance_is_speech_final() -> None:
    made = codec()
    results = said(
        made,
        [
            *(BEGAN, final("alpha", 500, 1000), tick(1600), STOPPED, final("one.", 1000, 1500)),
            UtteranceDone("0", "u_1", 500, 1500),
        ],
    )
    assert [(range_of(one), one["speech_final"]) for one in results] == [
        ((0.0, 1.0), False),
        ((1.0, 1.5), True),
    ]
    word = results[1]["channel"]["alternatives"][0]["words"][0]
    assert (word["word"], word["punctuated_word"], word["confidence"]) == ("one", "one.", 0.9)
    assert results[0]["metadata"]["model_info"]["name"] == "base"


def test_an_utterance_whose_last_window_has_no_words_gets_its_speech_final_too() -> None:
    made = codec()
    results = said(
        made,
        [BEGAN, final("alpha", 500, 1000), tick(2100), STOPPED, UtteranceDone("0", "u_1", 500, 1500)],
    )
    assert [(range_of(one), text_of(one), one["speech_final"]) for one in results] == [
        ((0.0, 1.0), "alpha", False),
        ((1.0, 1.5), "", True),
    ]


def test_a_longer_endpointing_waits_and_speech_that_goes_on_prevents_it() -> None:
    made = codec("endpointing=1000")
    done = UtteranceDone("0", "u_1", 500, 1500)
    results = said(made, [BEGAN, tick(2000, 500), STOPPED, final("alpha", 500, 1500), done, tick(2400, 900)])
    assert [one["speech_final"] for one in results] == [False]
    assert said(made, [SpeechBegan("0", "u_2", 2450), tick(2600)]) == []
    stopped = SpeechStopped("0", "u_2", 2450, 3000, "hangover")
    last: list[Result] = [stopped, final("one", 2450, 3000, "u_2"), UtteranceDone("0", "u_2", 2450, 3000)]
    assert [one["speech_final"] for one in said(made, [*last, tick(3900, 900)])] == [False]
    assert [one["speech_final"] for one in said(made, [tick(4000, 1000)])] == [True]
    assert said(made, [tick(9000, 6000)]) == []


def test_without_endpointing_nothing_is_speech_final() -> None:
    made = codec("endpointing=false")
    results = said(made, results_of([Utterance(500, 1000, (), ("alpha",), 500, 3000, False)]))
    assert results
    assert not any(one["speech_final"] for one in results)


def test_silence_is_given_in_ranges_without_text() -> None:
    made = codec()
    assert said(made, [Settled("0", SILENT_RANGE_MS - 1)]) == []
    results = said(made, [Settled("0", 3100), Settled("0", 4000), Settled("0", 6100)])
    assert [(range_of(one), text_of(one)) for one in results] == [((0, 3.1), ""), ((3.1, 6.1), "")]


def test_speech_started_and_utterance_end_are_sent_where_they_are_wanted() -> None:
    made = codec("interim_results=true&vad_events=true&utterance_end_ms=1000")
    messages = said(
        made,
        [BEGAN, tick(2000), STOPPED, final("alpha", 500, 1500), UtteranceDone("0", "u_1", 500, 1500)],
    )
    assert messages[0] == {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.5}
    assert said(made, [tick(2499)]) == []
    assert said(made, [tick(2500), tick(2600)]) == [
        {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.5}
    ]


def test_finalize_gives_what_is_pending_and_marks_it() -> None:
    made = codec()
    assert made.on_text('{"type":"Finalize"}', 0) == [ForceEnd()]
    results = said(made, [BEGAN, STOPPED, final("alpha", 500, 1500), Forced("0")])
    assert [(one["from_finalize"], one["speech_final"]) for one in results] == [(True, True)]
    made.on_text('{"type": "Finalize"}', 0)
    (empty,) = said(made, [Forced("0")])
    assert (text_of(empty), empty["from_finalize"], empty["speech_final"]) == ("", True, False)
    (later,) = said(made, [Settled("0", 9000)])
    assert later["from_finalize"] is False


def test_keepalive_gets_no_reply_and_nonsense_an_error() -> None:
    made = codec()
    assert made.on_text('{"type":"KeepAlive"}', 0) == []
    for text in ("", "[]", "null", '{"type":"Nothing"}', "{", '{"type":["KeepAlive"]}', "[" * 100_000):
        (say,) = made.on_text(text, 0)
        assert isinstance(say, Say)
        assert say.is_complaint
        assert loaded(say.frames[0])["variant"] == "SchemaError"
    assert made.on_bytes(b"abc") == [Audio(b"abc")]
    assert made.on_bytes(b"") == [Finish()]
    assert made.on_text('{"type":"CloseStream"}', 0) == [Finish()]


def test_configure_replaces_clears_and_keeps_the_keyterms() -> None:
    def configured(**fields: Any) -> list[Any]:
        actions = codec().on_text(json.dumps({"type": "Configure", **fields}), 0)
        return [loaded(one.frames[0]) if isinstance(one, Say) else one for one in actions]

    success = {"type": "ConfigureSuccess", "request_id": "r-1"}
    assert configured(keyterms=["Alpha-1", " gate "]) == [
        SetTerms(("Alpha-1", "gate")),
        {**success, "keyterms": ["Alpha-1", "gate"]},
    ]
    assert configured(keyterms=[]) == [SetTerms(()), {**success, "keyterms": []}]
    assert configured(features={"numerals": True}) == [success]
    (failure,) = configured(keyterms=["word" * 20] * 3 + [f"term {n} of many words" for n in range(90)])
    assert failure["code"] == "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
    for wrong in ("Alpha", [1], ["a\nb"], {"a": 1}, [["a"]]):
        (error,) = configured(keyterms=wrong)
        assert error["variant"] == "SchemaError"


def test_the_end_closes_the_range_and_says_the_metadata_last() -> None:
    made = codec()
    made.on_bytes(b"abc")
    said(made, [opened("0"), BEGAN, final("alpha", 500, 1000), tick(1800)])
    goodbye = made.on_end(End("stopped", seq=7))
    last, metadata = map(loaded, goodbye.frames)
    assert (range_of(last), text_of(last), last["speech_final"]) == ((1.0, 1.8), "", True)
    assert (goodbye.code, metadata["type"], metadata["duration"]) == (1000, "Metadata", 1.8)
    assert metadata["channel_ids"] == ["C01"]
    assert metadata["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert made.on_end(End(SERVER_STOPPING)).code == 1001


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (RequestError("bad_audio", "no audio", 415), 1008, "DATA-0000"),
        (RequestError("idle", "nothing came", 408), 1011, "NET-0001"),
        (RequestError("engine_failed", "later", 503, retry_after_s=1), 1011, "NET-0000"),
        (RequestError("internal", "a fault", 500), 1011, "NET-0000"),
        (RequestError("too_many_bad_messages", "a flood", 400), 1008, "a flood"),
    ],
)
def test_an_error_has_the_close_code_of_the_service(error: RequestError, code: int, word: str) -> None:
    goodbye = codec().on_end(End(error.code, error))
    assert goodbye.code == code
    assert goodbye.reason.startswith(word)
    assert not any(loaded(frame)["type"] == "Metadata" for frame in goodbye.frames)


@given(
    said=utterances, query=st.sampled_from(("", "endpointing=700", "utterance_end_ms=1000", "vad_events=1"))
)
def test_final_ranges_are_contiguous_whatever_is_said(said: list[Utterance], query: str) -> None:
    made = codec(f"interim_results=true&{query}")
    at, texts = 0.0, []
    for result in results_of(said):
        for frame in made.on_result(result):
            message = loaded(frame)
            if message["type"] != "Results":
                continue
            assert message["start"] == at
            assert message["duration"] >= 0
            if message["is_final"]:
                at = range_of(message)[1]
                texts.append(text_of(message))
            else:
                assert text_of(message)
            words = message["channel"]["alternatives"][0]["words"]
            edges = [edge for word in words for edge in (word["start"], word["end"])]
            assert edges == sorted(edges)
    assert [text for text in texts if text] == [text for one in said for text in one.finals]
    last = [loaded(frame) for frame in made.on_end(End("stopped")).frames]
    assert [one["type"] for one in last].count("Metadata") == 1


@given(
    text=st.one_of(
        st.text(max_size=50),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=9),
            lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=9), each, max_size=3),
            max_leaves=8,
        ).map(lambda value: json.dumps({"type": "Configure", "keyterms": value})),
    )
)
def test_no_text_breaks_the_codec(text: str) -> None:
    for action in codec().on_text(text, 0):
        assert isinstance(action, Say | SetTerms | ForceEnd | Finish)


NAMES = (
    "encoding",
    "sample_rate",
    "channels",
    "endpointing",
    "utterance_end_ms",
    "keyterm",
    "language",
    "tag",
)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.text(max_size=20)), max_size=5))
def test_no_query_breaks_the_codec(pairs: list[tuple[str, str]]) -> None:
    try:
        live_options(Query(pairs))
    except RequestError as error:
        assert error.status == 400
