"""Compares what a model wrote with the lines that it read.

Pure. The rules:
- A citation of an id that was not among the lines is removed.
- A sentence or a topic without a citation that is left is dropped, and counted.
- A sentence that shares no word with the lines that it cites is kept and marked (`is_unsure`). Words of
  another script say nothing, so a Korean sentence about English lines is not marked.
Invariant: every citation of the result is a line that the model read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from webrtc_host.summaries.content import Content, Line, Sentence, Topic
from webrtc_host.summaries.reading_answers import Claim, Draft

_HANGUL = re.compile(r"[가-힣]+")
_WORD = re.compile(r"[A-Za-z0-9]+")
COMMON_CHARS_MAX = 3
"""Latin words up to this length (the, and, for) are in every text, so they support no sentence."""


def checked(draft: Draft, lines: Mapping[str, Line]) -> Content:
    """The content of a draft after all checks. lines: what the model read, by segment."""
    summary = _sentences(draft.summary, lines)
    decisions = _sentences(draft.decisions, lines)
    actions = _sentences(draft.actions, lines)
    topics = tuple(
        Topic(claim.text, cites) for claim in draft.topics if (cites := _known(claim, lines)) is not None
    )
    given = (*draft.summary, *draft.decisions, *draft.actions, *draft.topics)
    kept = len(summary) + len(decisions) + len(actions) + len(topics)
    by_time = tuple(sorted(topics, key=lambda one: min(lines[cite].start_ms for cite in one.cites)))
    return Content(draft.title, summary, decisions, actions, by_time, dropped=len(given) - kept)


def is_supported(sentence: str, cited: str) -> bool:
    """Whether a sentence shares a word with the text of its lines, or cannot be compared with it."""
    is_comparable = False
    for features in (_pairs, _words):
        ours, theirs = features(sentence), features(cited)
        if ours and theirs:
            is_comparable = True
            if ours & theirs:
                return True
    return not is_comparable


def _sentences(claims: tuple[Claim, ...], lines: Mapping[str, Line]) -> tuple[Sentence, ...]:
    found = []
    for claim in claims:
        cites = _known(claim, lines)
        if cites is not None:
            cited = " ".join(lines[cite].text for cite in cites)
            found.append(Sentence(claim.text, cites, is_unsure=not is_supported(claim.text, cited)))
    return tuple(found)


def _known(claim: Claim, lines: Mapping[str, Line]) -> tuple[str, ...] | None:
    """The citations that are among the lines; None when there is none."""
    return tuple(cite for cite in claim.cites if cite in lines) or None


def _pairs(text: str) -> set[str]:
    """Pairs of neighbouring Hangul syllables. Whole words rarely agree: Korean joins particles to them."""
    return {run[at : at + 2] for run in _HANGUL.findall(text) for at in range(len(run) - 1) if len(run) > 1}


def _words(text: str) -> set[str]:
    """Latin words and numbers, without their endings: `proceeds` and `proceeding` begin alike."""
    return {
        word.casefold()[:5]
        for word in _WORD.findall(text)
        if len(word) > COMMON_CHARS_MAX or any(letter.isdigit() for letter in word)
    }
