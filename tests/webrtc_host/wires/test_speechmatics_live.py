"""The codec of Speechmatics' real-time API, without a socket."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import RequestError
from tests.support.streams import Utterance, final, results_of, tick, utterances
from webrtc_host.errors import Overloaded
from webrtc_host.events import TimedWord
from webrtc_host.glossary.entries import MisheardTerm
from webrtc_host.media.encodings import Container, Encoding
from webrtc_host.wires.messages import (
    MAIN,
    SERVER_STOPPING,
    STOPPED,
    Audio,
    End,
    Failed,
    Final,
    Finish,
    Forced,
    ForceEnd,
    Interim,
    Open,
    Opened,
    Result,
    Say,
    SetTerms,
    SpeechBegan,
    SpeechStopped,
    UtteranceDone,
)
from webrtc_host.wires.speechmatics_live import SpeechmaticsLive, type_and_code_of

RAW = {"type": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000}


def codec(language: str = "", channels: tuple[str, ...] = ()) -> SpeechmaticsLive:
    return SpeechmaticsLive("id-1", language, None, channels, "base")


def sent(made: SpeechmaticsLive, message: str, **fields: Any) -> list[Any]:
    return made.on_text(json.dumps({"message": message, **fields}), 0)


def started(made: SpeechmaticsLive, **config: Any) -> list[Any]:
    fields = {"language": "en", **config}
    return sent(made, "StartRecognition", audio_format=RAW, transcription_config=fields)


def said(made: SpeechmaticsLive, *results: Result) -> list[dict[str, Any]]:
    return [json.loads(frame) for result in results for frame in made.on_result(result)]


def frames_of(action: Any) -> list[dict[str, Any]]:
    assert isinstance(action, Say)
    return [json.loads(frame) for frame in action.frames]


def source_opened(name: str, channel: str) -> Opened:
    return Opened(name, "s_1", "c_1", {name: channel}, 0)


def test_the_start_names_audio_language_terms_and_channel() -> None:
    vocabulary = [{"content": "gate seven", "sounds_like": ["gait seven"]}, "alpha"]
    made = codec(channels=("C05",))
    (start,) = started(made, additional_vocab=vocabulary, model="enhanced", max_delay=1.5)
    assert isinstance(start, Open)
    assert (start.format.encoding, start.format.sample_rate, start.source) == (Encoding.S16, 16_000, MAIN)
    (stream,) = start.streams
    assert (stream.language, stream.terms, stream.channel) == ("en", ("gate seven", "alpha"), "C05")
    assert stream.misheard == (MisheardTerm("gate seven", ("gait seven",)),)
    (message,) = said(made, source_opened(MAIN, "C05"))
    assert (message["message"], message["id"]) == ("RecognitionStarted", "id-1")
    assert (message["session"], message["channels"]) == ("s_1", {MAIN: "C05"})

    (start,) = sent(codec("ko"), "StartRecognition", audio_format={"type": "file"}, transcription_config={})
    assert start.format.encoding is Container.ANY
    assert start.streams[0].language == "ko"
    for language in ("auto", "multi", "cmn_en"):
        (start,) = started(codec(), language=language)
        assert start.streams[0].language == "auto"
    (start,) = started(codec(), language="multi", language_hints=["ko"])
    assert start.streams[0].language == "ko"


def test_every_message_of_audio_is_acknowledged_in_order() -> None:
    made = codec()
    started(made)
    for number in (1, 2):
        audio, added = made.on_bytes(b"12")
        assert audio == Audio(b"12")
        assert frames_of(added) == [{"message": "AudioAdded", "seq_no": number}]
    # Their SDK counts what was acknowledged, so `last_seq_no` may be lower than what it has sent.
    assert sent(made, "EndOfStream", last_seq_no=1) == [Finish()]


def test_channels_named_at_the_start_are_opened_together() -> None:
    made = codec(channels=("C07",))
    left, right = started(made, diarization="channel", channel_diarization_labels=["left", "right"])
    assert [(one.source, one.streams[0].channel, one.streams[0].label) for one in (left, right)] == [
        ("left", "C07", "left"),
        ("right", None, "right"),
    ]
    assert said(made, source_opened("left", "C07")) == []
    (message,) = said(made, source_opened("right", "C01"))
    assert message["channels"] == {"left": "C07", "right": "C01"}
    data = base64.b64encode(b"1234").decode()
    for number in (1, 2):
        audio, added = sent(made, "AddChannelAudio", channel="left", data=data)
        assert audio == Audio(b"1234", "left")
        assert frames_of(added) == [{"message": "ChannelAudioAdded", "channel": "left", "seq_no": number}]
    assert sent(made, "EndOfChannel", channel="left", last_seq_no=2) == [Finish("left")]
    with pytest.raises(RequestError, match="has ended"):
        sent(made, "AddChannelAudio", channel="left", data=data)
    assert sent(made, "EndOfChannel", channel="right", last_seq_no=0) == [Finish()]


def test_channels_may_be_named_by_their_audio() -> None:
    made = codec()
    (say,) = started(made, diarization="channel")
    assert frames_of(say)[0]["message"] == "RecognitionStarted"
    start, audio, _ = sent(made, "AddChannelAudio", channel="north", data="AAA=")
    assert (start.source, audio.source) == ("north", "north")
    assert len(sent(made, "AddChannelAudio", channel="north", data="AAA=")) == 2
    assert said(made, source_opened("north", "C01")) == []


def test_partials_replace_and_finals_append_with_punctuation_of_their_own() -> None:
    made = codec()
    started(made, enable_partials=True)
    said(made, source_opened(MAIN, "C01"))
    (partial,) = said(made, Interim(MAIN, "u_1", "alpha won", 0, 500, 1400, "en"))
    assert partial["message"] == "AddPartialTranscript"
    assert partial["metadata"] == {"transcript": "alpha won", "start_time": 0.5, "end_time": 1.4}
    words = (TimedWord("Alpha,", 500, 900, 0.9), TimedWord("one.", 900, 1500, 0.8))
    (message,) = said(made, Final(MAIN, "u_1", "Alpha, one.", words, 500, 1500, "en"))
    assert message["message"] == "AddTranscript"
    assert message["metadata"]["transcript"] == "Alpha, one. "
    shown = [(one["type"], one["alternatives"][0]["content"]) for one in message["results"]]
    assert shown == [("word", "Alpha"), ("punctuation", ","), ("word", "one"), ("punctuation", ".")]
    assert [one.get("is_eos") for one in message["results"]] == [None, False, None, True]
    assert message["results"][0] == {
        **{"type": "word", "start_time": 0.5, "end_time": 0.9},
        "alternatives": [{"content": "Alpha", "confidence": 0.9, "language": "en"}],
    }
    (failed,) = said(made, Failed(MAIN, "u_2", 2000, 3000, "engine"))
    assert (failed["message"], failed["results"]) == ("AddTranscript", [])

    quiet = codec()
    started(quiet)
    assert said(quiet, Interim(MAIN, "u_1", "alpha", 0, 500, 1400)) == []


def test_results_of_channels_name_their_channel() -> None:
    made = codec()
    started(made, diarization="channel", channel_diarization_labels=["left", "right"])
    (message,) = said(made, final("alpha", 500, 1500, stream="right"))
    assert message["channel"] == "right"
    assert message["results"][0]["channel"] == "right"


def test_the_end_of_an_utterance_is_told_after_the_silence_or_when_forced() -> None:
    made = codec()
    started(made, conversation_config={"end_of_utterance_silence_trigger": 0.8})
    spoken: tuple[Result, ...] = (
        SpeechBegan(MAIN, "u_1", 500),
        SpeechStopped(MAIN, "u_1", 500, 1500, "hangover"),
    )
    assert said(made, *spoken, tick(2500, 1000, MAIN)) == []  # its final has not come
    said(made, final("alpha", 500, 1500, stream=MAIN), UtteranceDone(MAIN, "u_1", 500, 1500))
    assert said(made, tick(2200, 700, MAIN)) == []
    (message,) = said(made, tick(2300, 800, MAIN))
    assert message == {"message": "EndOfUtterance", "metadata": {"start_time": 1.5, "end_time": 1.5}}
    assert said(made, tick(9000, 7500, MAIN)) == []

    made = codec()
    started(made)
    assert sent(made, "ForceEndOfUtterance", timestamp=1.5) == [ForceEnd()]
    (message,) = said(made, *spoken, UtteranceDone(MAIN, "u_1", 500, 1500), Forced(MAIN))
    assert message["metadata"]["end_time"] == 1.5
    assert said(made, tick(9000, 7500, MAIN)) == []


def test_the_configuration_can_change() -> None:
    made = codec()
    started(made)
    config = {"enable_partials": True, "additional_vocab": [{"content": "gate"}]}
    assert sent(made, "SetRecognitionConfig", transcription_config=config) == [SetTerms(("gate",))]
    config = {"additional_vocab": [{"content": "gate", "sounds_like": [" gait", "..."]}]}
    misheard = (MisheardTerm("gate", ("gait",)),)
    assert sent(made, "SetRecognitionConfig", transcription_config=config) == [SetTerms(("gate",), misheard)]
    assert len(said(made, Interim(MAIN, "u_1", "alpha", 0, 500, 1400))) == 1
    assert sent(made, "SetRecognitionConfig", transcription_config={"max_delay": 2}) == []
    (say,) = sent(made, "GetSpeakers")
    assert frames_of(say) == [{"message": "SpeakersResult", "speakers": []}]


def test_a_translation_gets_a_warning() -> None:
    made = codec()
    fields = {
        "audio_format": RAW,
        "transcription_config": {},
        "translation_config": {"target_languages": ["fr"]},
    }
    _, warning = sent(made, "StartRecognition", **fields)
    assert frames_of(warning)[0]["type"] == "unsupported_translation_pair"


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"language": "nowhere"}, "invalid_model"),
        ({"language": 7}, "invalid_model"),
        ({"diarization": "some"}, "invalid_config"),
        ({"diarization": []}, "invalid_config"),
        ({"diarization": "channel", "channel_diarization_labels": ["a", "a"]}, "invalid_config"),
        ({"diarization": "channel", "channel_diarization_labels": [""]}, "invalid_config"),
        ({"diarization": "channel", "channel_diarization_labels": ["a"] * 65}, "invalid_config"),
        ({"additional_vocab": "gate"}, "invalid_config"),
        ({"additional_vocab": [{"sounds_like": ["gate"]}]}, "invalid_config"),
        ({"additional_vocab": [{"content": "gate", "sounds_like": "gait"}]}, "invalid_config"),
        ({"additional_vocab": [{"content": "gate", "sounds_like": ["x" * 300]}]}, "invalid_config"),
        ({"additional_vocab": [{"content": "gate", "sounds_like": ["gait"] * 201}]}, "invalid_config"),
        ({"enable_partials": "yes"}, "invalid_config"),
        ({"conversation_config": {"end_of_utterance_silence_trigger": -1}}, "invalid_config"),
        ({"transcript_filtering_config": {"replacements": [{"from": "a", "to": "b"}]}}, "invalid_config"),
    ],
)
def test_a_wrong_configuration_is_refused(config: dict[str, Any], kind: str) -> None:
    with pytest.raises(RequestError) as refused:
        started(codec(), **config)
    assert type_and_code_of(refused.value)[0] == kind


def test_messages_in_the_wrong_order_or_form_are_refused() -> None:
    def refused(made: SpeechmaticsLive, text: str | bytes) -> str:
        with pytest.raises(RequestError) as error:
            _ = made.on_text(text, 0) if isinstance(text, str) else made.on_bytes(text)
        return type_and_code_of(error.value)[0]

    for text in ("", "[]", "7", "{", '{"message": 7}', "[" * 100_000):
        assert refused(codec(), text) == "invalid_message"
    for early in (b"12", '{"message":"EndOfStream"}', '{"message":"AddChannelAudio"}'):
        assert refused(codec(), early) == "protocol_error"
    for wrong in ({"type": "raw"}, {**RAW, "sample_rate": 1}, {**RAW, "encoding": "g729"}):
        message = {"message": "StartRecognition", "audio_format": wrong}
        assert refused(codec(), json.dumps(message)) == "invalid_audio_type"
    made = codec()
    started(made)
    assert refused(made, '{"message":"StartRecognition"}') == "protocol_error"
    assert refused(made, '{"message":"AddChannelAudio","channel":"a","data":""}') == "protocol_error"
    assert refused(made, '{"message":"EndOfChannel","channel":"a"}') == "protocol_error"
    assert refused(made, '{"message":"Nothing"}') == "invalid_message"
    made = codec()
    started(made, diarization="channel", channel_diarization_labels=["left"])
    assert refused(made, b"12") == "protocol_error"
    assert refused(made, '{"message":"AddChannelAudio","channel":"other","data":""}') == "protocol_error"
    assert refused(made, '{"message":"AddChannelAudio","channel":"left","data":"?"}') == "invalid_message"
    assert refused(made, '{"message":"AddChannelAudio","channel":"left"}') == "invalid_message"


def test_errors_have_their_type_and_close_code() -> None:
    for error, kind, code in (
        (RequestError("bad_audio", "no audio", 415), "invalid_audio_type", 1003),
        (RequestError("too_large", "too long", 413), "data_error", 1003),
        (RequestError("idle", "nothing came", 408), "idle_timeout", 4006),
        (Overloaded("too_many", "all are taken", retry_after_s=1, status=429), "quota_exceeded", 4005),
        (Overloaded("too_slow", "not read", retry_after_s=1), "job_error", 1013),
        (RequestError("internal", "a fault", 500), "unknown_error", 1011),
    ):
        goodbye = codec().on_end(End(error.code, error))
        assert goodbye.code == code
        (message,) = [json.loads(frame) for frame in goodbye.frames]
        assert message == {"message": "Error", "type": kind, "reason": error.message, "code": code}
    made = codec()
    started(made)
    goodbye = made.on_end(End(STOPPED))
    assert (goodbye.code, [json.loads(frame) for frame in goodbye.frames]) == (
        1000,
        [{"message": "EndOfTranscript"}],
    )
    assert made.on_end(End(SERVER_STOPPING)).code == 1001


@given(said_=utterances)
def test_the_transcripts_put_together_are_the_whole_text(said_: list[Utterance]) -> None:
    made = codec()
    labels = {"diarization": "channel", "channel_diarization_labels": ["0"]}
    started(
        made, enable_partials=True, conversation_config={"end_of_utterance_silence_trigger": 0.5}, **labels
    )
    made.on_result(source_opened("0", "C01"))
    results = [one for one in results_of(said_) if not isinstance(one, Opened)]
    messages = said(made, *results)
    texts = [one["metadata"]["transcript"] for one in messages if one["message"] == "AddTranscript"]
    assert "".join(texts).strip() == " ".join(text for one in said_ for text in one.finals)
    ends = [one["metadata"]["end_time"] for one in messages if one["message"] == "AddTranscript"]
    assert ends == sorted(ends)
    said_ends = [one["metadata"]["end_time"] for one in messages if one["message"] == "EndOfUtterance"]
    assert said_ends == sorted(said_ends)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CONFIG_NAMES = st.sampled_from(
    (
        *("language", "diarization", "channel_diarization_labels", "additional_vocab", "enable_partials"),
        *("conversation_config", "transcript_filtering_config", "language_hints"),
    )
)
KINDS = st.sampled_from(
    (
        *("AddChannelAudio", "EndOfStream", "EndOfChannel", "ForceEndOfUtterance", "SetRecognitionConfig"),
        *("GetSpeakers", "StartRecognition", "Nothing"),
    )
)


@given(
    config=st.dictionaries(CONFIG_NAMES, VALUES, max_size=4),
    kind=KINDS,
    fields=st.dictionaries(
        st.sampled_from(("channel", "data", "transcription_config", "audio_format")), VALUES, max_size=3
    ),
)
def test_every_message_is_followed_or_refused(
    config: dict[str, Any], kind: str, fields: dict[str, Any]
) -> None:
    made = codec()
    messages = (
        {"message": "StartRecognition", "audio_format": RAW, "transcription_config": config},
        {**fields, "message": kind},
    )
    for message in messages:
        try:
            made.on_text(json.dumps(message), 0)
        except RequestError as error:
            assert error.status == 400


@given(text=st.text(max_size=50))
def test_no_text_breaks_the_codec(text: str) -> None:
    with pytest.raises(RequestError):
        codec().on_text(text, 0)
