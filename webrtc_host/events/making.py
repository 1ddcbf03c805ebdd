"""Makes the events that more than one part of the server writes: one function for each of these types.

The rules of such an event are here, so all writers follow the same ones. A test fails when another module
constructs one of these classes. Pure; times are whole milliseconds since the session's t = 0.
"""

from __future__ import annotations

from enum import StrEnum

from webrtc_host.events.segments import Edit, SegmentRevised, SpeechEnded, SpeechStarted, TimedWord
from webrtc_host.events.sessions import ChannelStateChanged, ErrorReported
from webrtc_host.seams import ChannelState

WITHOUT_SIGNAL = frozenset((ChannelState.NO_SIGNAL, ChannelState.DISCONNECTED))
"""States in which no audio arrives. Only these have a reason, and only the other ones have a language."""


class ErrorCode(StrEnum):
    """The codes of `error` events. docs/reference/events.md says what each means to a watcher."""

    HISTORY_TRUNCATED = "history_truncated"
    SINCE_AHEAD = "since_ahead"
    ARCHIVE_SHED = "archive_shed"
    ARCHIVE_DEGRADED = "archive_degraded"
    ARCHIVE_RECOVERED = "archive_recovered"
    SERVER_STOPPING = "server_stopping"
    INTERNAL = "internal"


def channel_state(
    channel: str,
    state: ChannelState,
    at_ms: int,
    *,
    language: str | None = None,
    reason: str | None = None,
) -> ChannelStateChanged:
    """`channel.state`, from the pipeline (is there speech?) and from the channel (does audio arrive?).

    language: the language of the speech, once it is fixed. reason: why no audio arrives. Raises ValueError
    for a language in a state without audio, and for a reason in a state with audio.
    """
    if state in WITHOUT_SIGNAL:
        if language is not None:
            raise ValueError(f"channel {channel}: the state {state} has no language, but got {language!r}")
    elif reason is not None:
        raise ValueError(f"channel {channel}: the state {state} has no reason, but got {reason!r}")
    return ChannelStateChanged(channel=channel, state=state, language=language, reason=reason, at_ms=at_ms)


def segment_revised(
    channel: str,
    segment: str,
    revision: int,
    *,
    old_text: str,
    text: str,
    by: str,
    raw: str | None = None,
    words: tuple[TimedWord, ...] | None = None,
    edits: tuple[Edit, ...] = (),
    glossary_version: int | None = None,
) -> SegmentRevised:
    """`segment.revised`, from the review and from operators. revision: one more than the newest revision.

    raw: the engine's new text, when it decoded the audio again. Raises ValueError for a text that stays as it
    was.
    """
    if text == old_text:
        raise ValueError(f"the revision of {segment} has the text that the line has already")
    return SegmentRevised(
        channel=channel,
        segment=segment,
        revision=revision,
        old_text=old_text,
        text=text,
        raw=raw,
        words=words,
        edits=edits,
        glossary_version=glossary_version,
        by=by,
    )


def speech_started(channel: str, utterance: str, start_ms: int) -> SpeechStarted:
    """`speech.started`, from the live pipeline and from recovery."""
    return SpeechStarted(channel=channel, utterance=utterance, start_ms=start_ms)


def speech_ended(channel: str, utterance: str, start_ms: int, end_ms: int, rule: str) -> SpeechEnded:
    """`speech.ended`, from the live pipeline and from recovery. rule: why the utterance ended.

    The end is never before the start. Recovery takes the start from the record, and the record may have put
    it later than the end that recovery finds.
    """
    return SpeechEnded(
        channel=channel,
        utterance=utterance,
        start_ms=start_ms,
        end_ms=max(start_ms, end_ms),
        rule=str(rule),
    )


def error_report(code: ErrorCode, message: str, *, channel: str | None = None) -> ErrorReported:
    """`error`. message: one sentence for people. channel: None when it concerns the whole session.

    Raises ValueError for an empty message: a code alone does not help the person who watches.
    """
    if not message:
        raise ValueError(f"an error {code} needs a message for the person who watches")
    return ErrorReported(channel=channel, code=str(code), message=message)
