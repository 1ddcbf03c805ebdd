"""How a group of lines is decoded once more, and whether its new text is used.

Pure: windows for the engine and words for the lines. `service` reads the archive and asks the engine; the
evaluation (`bench/speech`) does the same without a server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from host_stt.contract import AUTO, EndReason, Float32Array, Priority, Transcript, Window, Word
from webrtc_host.review.lines import Group
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.words import words_of

DEADLINE_MS = 60_000


def language_of(group: Group) -> str:
    return group.language or AUTO


def windows_of(
    number: int, channel: str, group: Group, samples: Float32Array, terms: Sequence[str] = ()
) -> Iterator[Window]:
    """The windows that decode a group, in two ways. samples: (n,) float32, the group's audio.

    As a final: in the short form where it fits, without timestamps. And carefully: in 30 s, with timestamps
    and a wide search. Each way has errors that the other one has not.
    """
    for is_careful in (False, True):
        yield Window(
            id=f"review-{number}-{'careful' if is_careful else 'final'}",
            channel=channel,
            samples=samples,
            start_sample=group.from_ms * SAMPLES_PER_MS,
            priority=Priority.BACKGROUND,
            language=language_of(group),
            terms=tuple(terms),
            deadline_ms=DEADLINE_MS,
            is_careful=is_careful,
            known_text=group.text,
        )


def best_words(transcripts: Sequence[Transcript]) -> list[Word] | None:
    """The words of the likeliest text; None if the model finds the live text as likely as each of them."""
    better = [one for one in transcripts if one.end_reason is EndReason.COMPLETE and (one.gain or 0) > 0]
    return words_of(max(better, key=lambda one: one.gain or 0)) if better else None
