"""The text of a final before it is written, and the stages that may change it.

Pure. A stage is a function from a `FinalText` to a `FinalText`, for example a correction by the glossary. The
stages run in their order, once for each final, on the live path, for late audio and for uploads alike. They
also run on each interim, so that a watcher does not see a term change when its line becomes final.
Invariant: whatever the stages do, `raw` stays the engine's text, and a stage that fails costs no final.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from host_stt.contract import Word
from webrtc_host.events import Edit


@dataclass(frozen=True, slots=True)
class FinalText:
    """One line of text that does not change any more, before it is written as `segment.final`.

    words: may be empty. Their times are samples of the session, like those of the line.
    """

    channel: str
    utterance: str
    start_sample: int
    end_sample: int
    text: str
    """What is shown: the engine's text, with what the stages changed."""
    raw: str
    """The engine's text."""
    language: str | None
    avg_logprob: float
    words: Sequence[Word]
    glossary_version: int
    edits: tuple[Edit, ...] = ()
    """What the stages changed, for those who want to show or undo it."""
    is_provisional: bool = False
    """True for an interim: its text may still change, and it has no words."""

    @property
    def conf(self) -> float:
        """The confidence on the wire: the mean log probability, rounded."""
        return round(self.avg_logprob, 3)


TextStage = Callable[[FinalText], FinalText]
"""Returns the final with another text, other words or more edits. A stage runs on the event loop, between the
engine's result and the emission, so it must be quick and must not block."""
OnFailure = Callable[[TextStage, Exception], None]


def apply_stages(stages: Sequence[TextStage], final: FinalText, on_failure: OnFailure) -> FinalText:
    """The final after all stages. A stage that raises is skipped; `on_failure` gets its error."""
    for stage in stages:
        try:
            final = replace(stage(final), raw=final.raw)
        except (
            Exception
        ) as error:  # a stage is an addition to the text, and the text must not be lost with it
            on_failure(stage, error)
    return final
