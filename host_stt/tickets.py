"""What the planner takes and gives: a waiting window, a batch of them, and the refusal of one. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum

from host_stt.contract import BEHIND, Priority, Window, WindowError


class ShedReason(StrEnum):
    REPLACED = "replaced"
    FINAL_ARRIVED = "final_came"
    STALE = "stale"
    OVERLOAD = "overload"
    FULL = "full"
    BEHIND = "behind"


SENTENCES = {
    ShedReason.REPLACED: "a newer interim of its channel replaced it",
    ShedReason.FINAL_ARRIVED: "a final of the same speech arrived",
    ShedReason.STALE: "it waited too long to be useful",
    ShedReason.OVERLOAD: "the engine is overloaded and decodes finals only",
    ShedReason.FULL: "too many windows are waiting; send this one again in a second",
    ShedReason.BEHIND: "it waited longer than its limit; newer speech is decoded first",
}


@dataclass(frozen=True, slots=True)
class Group:
    """What the rows of one call must have in common: CTranslate2 applies the first row's options to all."""

    priority: Priority
    # Interims and finals never share a call: finals need word times, and their beam may differ.
    window_s: int  # rows are padded to this
    prompt_tokens: int  # before <|startoftranscript|>, the same in every row
    options: Hashable = None  # anything else that an engine cannot mix in a call


@dataclass(frozen=True, slots=True)
class Ticket:
    """A waiting window. `number` is unique in the pool; window ids of different sources may be equal."""

    number: int
    source: str  # the connection that sent it; equal channel names of two sources are different channels
    window: Window
    group: Group
    arrived_s: float

    @property
    def lane(self) -> tuple[str, str]:
        return self.source, self.window.channel

    @property
    def end_sample(self) -> int:
        return self.window.start_sample + len(self.window.samples)


@dataclass(frozen=True, slots=True)
class Refused:
    """A ticket that will not be decoded, with the reason, and the response to send for it."""

    ticket: Ticket
    reason: ShedReason

    @property
    def answer(self) -> WindowError:
        if self.reason is ShedReason.BEHIND:
            return WindowError(self.ticket.window.id, BEHIND, SENTENCES[self.reason], is_retryable=False)
        is_interim = self.ticket.window.priority is Priority.INTERIM
        code = "overloaded" if self.reason is ShedReason.FULL and not is_interim else "shed"
        # A client that gets "overloaded" sends the window again. A shed interim is not sent again, because
        # the next interim of its channel replaces it.
        return WindowError(self.ticket.window.id, code, SENTENCES[self.reason], is_retryable=not is_interim)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for one call, all of the same group, the oldest first."""

    tickets: tuple[Ticket, ...]
    predicted_s: float

    @property
    def group(self) -> Group:
        return self.tickets[0].group
