"""The codec of Deepgram v2 (Flux), without a socket."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import RequestError
from tests.support.streams import Utterance, final, opened, results_of, tick, utterances
from webrtc_host.wires.deepgram_query import turn_options
from webrtc_host.wires.deepgram_turn_table import TABLE, Move, Turn
from webrtc_host.wires.deepgram_turns import DeepgramTurns
from webrtc_host.wires.estimates import confidence_of
from webrtc_host.wires.messages import (
    SERVER_STOPPING,
    End,
    Finish,
    Forced,
    ForceEnd,
    Interim,
    Result,
    Say,
    SetTerms,
    SpeechBegan,
    SpeechStopped,
    UtteranceDone,
)
from webrtc_host.wires.query import Query


def codec(**query: str) -> DeepgramTurns:
    options = {"encoding": "linear16", "sample_rate": "16000", **query}
    return DeepgramTurns(turn_options(Query(options.items())), "r-1")


def said(made: DeepgramTurns, results: list[Result]) -> list[dict[str, Any]]:
    return [json.loads(frame) for result in results for frame in made.on_result(result)]


def moves(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["event"], one["transcript"]) for one in messages if one["type"] == "TurnInfo"]


BEGAN = SpeechBegan("0", "u_1", 500)
INTERIM = Interim("0", "u_1", "alpha", 0, 500, 1400)
STOPPED = SpeechStopped("0", "u_1", 500, 1500, "hangover")
FINAL = final("alpha one", 500, 1500)
DONE = UtteranceDone("0", "u_1", 500, 1500)


def test_a_turn_starts_with_its_first_words_and_ends_after_the_silence() -> None:
    made = codec()
    messages = said(made, [opened("0"), BEGAN, tick(1000), INTERIM, tick(2000, 500), STOPPED, FINAL, DONE])
    assert messages[0] == {"type": "Connected", "request_id": "r-1", "sequence_id": 0}
    assert moves(messages) == [
        ("StartOfTurn", "alpha"),
        ("Update", "alpha"),
        ("Update", "alpha one"),
        ("EndOfTurn", "alpha one"),
    ]
    end = messages[-1]
    assert (end["turn_index"], end["trigger"], end["end_of_turn_confidence"]) == (0, "model", 0.7)
    assert [one["sequence_id"] for one in messages] == list(range(len(messages)))
    assert (end["audio_window_start"], end["audio_window_end"]) == (0, 2.0)
    assert end["words"] == [{"word": "alpha", "confidence": 0.9, "start": 0.5, "end": 1.5}]


def test_a_higher_threshold_joins_two_utterances_in_one_turn() -> None:
    made = codec(eot_threshold="0.9")
    said(made, [opened("0"), BEGAN, tick(1400), INTERIM, tick(2000, 500), STOPPED, FINAL, DONE])
    second: list[Result] = [SpeechBegan("0", "u_2", 2500), SpeechStopped("0", "u_2", 2500, 3000, "hangover")]
    last: list[Result] = [final("gate", 2500, 3000, "u_2"), UtteranceDone("0", "u_2", 2500, 3000)]
    assert moves(said(made, [*second, tick(3500, 500), *last]))[-1] == ("Update", "alpha one gate")
    assert moves(said(made, [tick(4400, 1400), tick(4500, 1500)])) == [
        ("Update", "alpha one gate"),
        ("EndOfTurn", "alpha one gate"),
    ]


def test_an_eager_end_is_confirmed_with_the_same_text_or_resumed() -> None:
    made = codec(eager_eot_threshold="0.4")
    start: list[Result] = [opened("0"), BEGAN, tick(1400), Interim("0", "u_1", "alpha one", 0, 500, 1450)]
    messages = said(made, [*start, tick(1800, 300), tick(1900, 400)])
    assert moves(messages)[-1] == ("EagerEndOfTurn", "alpha one")
    assert moves(said(made, [tick(2000, 500), STOPPED, FINAL, DONE])) == [("EndOfTurn", "alpha one")]

    made = codec(eager_eot_threshold="0.4")
    said(made, [*start, tick(1800, 300)])
    assert moves(said(made, [tick(2000, 0)]))[0] == ("TurnResumed", "alpha one")

    made = codec(eager_eot_threshold="0.4")
    said(made, [*start, tick(1800, 300)])
    other = final("alpha won", 500, 1500)
    assert moves(said(made, [tick(2000, 500), STOPPED, other, DONE])) == [
        ("TurnResumed", "alpha won"),
        ("EndOfTurn", "alpha won"),
    ]


def test_an_interim_that_lacks_the_last_words_is_not_eager() -> None:
    made = codec(eager_eot_threshold="0.4")
    early = Interim("0", "u_1", "alpha", 0, 500, 900)
    messages = said(made, [opened("0"), BEGAN, tick(1000), early, tick(1800, 300)])
    assert "EagerEndOfTurn" not in [event for event, _ in moves(messages)]


def test_a_client_can_force_the_end() -> None:
    made = codec(eot_threshold="1.0")
    said(made, [opened("0"), BEGAN, tick(1400), INTERIM])
    assert made.on_text('{"type":"ForceEndTurn"}', 0) == [ForceEnd()]
    messages = said(made, [STOPPED, FINAL, DONE, Forced("0")])
    assert moves(messages) == [("Update", "alpha one"), ("EndOfTurn", "alpha one")]
    assert messages[-1]["trigger"] == "manual"
    made.on_text('{"type":"ForceEndTurn"}', 0)
    assert said(made, [Forced("0")]) == []


def test_with_the_highest_threshold_silence_ends_no_turn() -> None:
    made = codec(eot_threshold="1.0")
    said(made, [opened("0"), BEGAN, tick(1400), INTERIM, STOPPED, FINAL, DONE])
    assert moves(said(made, [tick(60_000, 58_500)])) == [("Update", "alpha one")]


def test_a_turn_ends_by_timeout_where_the_threshold_is_not_reached() -> None:
    made = codec(eot_threshold="0.995", eot_timeout_ms="4000")
    said(made, [opened("0"), BEGAN, tick(1400), INTERIM, STOPPED, FINAL, DONE, tick(5400, 3900)])
    messages = said(made, [tick(5500, 4000)])
    assert (messages[-1]["event"], messages[-1]["trigger"]) == ("EndOfTurn", "timeout")


def test_configure_changes_what_is_given_or_nothing() -> None:
    made = codec(keyterm="gate")

    def configured(**fields: Any) -> list[Any]:
        actions = made.on_text(json.dumps({"type": "Configure", **fields}), 0)
        return [json.loads(one.frames[0]) if isinstance(one, Say) else one for one in actions]

    (success,) = configured(thresholds={"eot_threshold": 0.8})
    assert success["thresholds"] == {
        "eot_threshold": 0.8,
        "eager_eot_threshold": None,
        "eot_timeout_ms": 5000,
    }
    assert success["keyterms"] == ["gate"]
    terms, success = configured(keyterms=["Alpha-1"], thresholds={"eager_eot_threshold": 0.5})
    assert terms == SetTerms(("Alpha-1",))
    assert success["thresholds"]["eager_eot_threshold"] == 0.5
    wrongs: tuple[dict[str, Any], ...] = (
        {"thresholds": {"eot_threshold": 2}, "keyterms": ["other"]},
        {"thresholds": []},
        {"keyterms": [1]},
        {"language_hints": ["nowhere"]},
        {"thresholds": {"eot_timeout_ms": True}},
    )
    for wrong in wrongs:
        (failure,) = configured(**wrong)
        assert failure["type"] == "ConfigureFailure"
    (unchanged,) = configured()
    assert unchanged["thresholds"]["eot_threshold"] == 0.8
    assert unchanged["keyterms"] == ["Alpha-1"]


def test_nonsense_gets_a_warning() -> None:
    made = codec()
    for text in ("", "[]", '{"type":"Nothing"}', "{", "[" * 100_000):
        (say,) = made.on_text(text, 0)
        assert isinstance(say, Say)
        assert say.is_complaint
        assert json.loads(say.frames[0])["type"] == "Warning"
    assert made.on_text('{"type":"CloseStream"}', 0) == [Finish()]


def test_the_end_closes_the_turn() -> None:
    made = codec()
    said(made, [opened("0"), BEGAN, tick(1400), INTERIM, STOPPED, FINAL])
    goodbye = made.on_end(End("stopped"))
    assert goodbye.code == 1000
    assert [json.loads(frame)["event"] for frame in goodbye.frames] == ["EndOfTurn"]
    assert codec().on_end(End(SERVER_STOPPING)).code == 1001
    failed = codec().on_end(End("bad_audio", RequestError("bad_audio", "no audio", 415)))
    assert failed.code == 1008
    assert json.loads(failed.frames[-1])["type"] == "Error"


def test_only_mono_has_turns() -> None:
    with pytest.raises(RequestError):
        codec(channels="2").begin()
    for wrong in ({"eot_threshold": "0.4"}, {"eager_eot_threshold": "x"}, {"eot_timeout_ms": "100"}):
        with pytest.raises(RequestError):
            codec(**wrong)


def test_the_confidence_never_falls() -> None:
    values = [confidence_of(ms) for ms in range(0, 6000, 10)]
    assert values == sorted(values)
    assert (values[0], confidence_of(350), values[-1]) == (0.05, 0.5, 0.99)


@given(
    said_=utterances,
    query=st.sampled_from(
        ({}, {"eager_eot_threshold": "0.3"}, {"eager_eot_threshold": "0.5", "eot_threshold": "0.9"})
    ),
)
def test_every_turn_follows_the_table(said_: list[Utterance], query: dict[str, str]) -> None:
    made = codec(**query)
    frames = [frame for result in results_of(said_) for frame in made.on_result(result)]
    messages = [json.loads(frame) for frame in (*frames, *made.on_end(End("stopped")).frames)]
    assert [one["sequence_id"] for one in messages] == list(range(len(messages)))
    turn, index, ended = Turn.NONE, 0, []
    for before, one in pairwise(messages):
        turn = TABLE[turn, Move(one["event"])]
        assert one["turn_index"] == index
        assert ("trigger" in one) is (one["event"] == "EndOfTurn")
        assert one["audio_window_start"] <= one["audio_window_end"]
        if one["event"] == "EagerEndOfTurn":
            assert one["transcript"]
        if one["event"] == "EndOfTurn":
            if before.get("event") == "EagerEndOfTurn":
                assert before["transcript"] == one["transcript"]
            index += 1
            ended.append(one["transcript"])
    assert turn is Turn.NONE
    finals = " ".join(text for one in said_ for text in one.finals)
    assert " ".join(text for text in ended if text) == finals
