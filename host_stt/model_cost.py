"""The cost of a model on this machine, and the estimated delay of final text with it. Pure.

The estimate for `channels` channels that each speak half of the time:

    mean_s = final_s + UNSURE_SHARE x (unsure_s - final_s)
    load   = (channels - 1) x TALK_SHARE x mean_s / speech_s
    wait_s = mean_s / (2 x (1 - load)) x ln(load / 0.05)     0 when load is 0.05 or less
    p95_s  = unsure_s + interim_s + wait_s                   without interim_s for one channel

`unsure_s` is a final with the wider search and the second reading of unsure texts. More than one final in
twenty gets them, so it counts in full for the p95. `load` is the share of time that the engine needs for
the finals of the other channels. `wait_s` is the time that 95 of 100 windows wait for those finals at most:
a queue of calls of equal length that begin at random (M/D/1). `interim_s` stands for an interim that is
decoded at the same time and shares the cores. From a load of 1 the engine falls behind, and there is no
estimate.

The time begins when the engine has the window: the silence that ends an utterance comes before it
(speech.endpointing.hangover_ms). Where channels have glossary terms, `with_terms` gives the cost, an upper
bound: finals of clear speech need no check of their terms (docs/explanation/glossary.md). The estimate
ignores other work on the machine, second decodes, the review, recordings and windows that are longer than the
measured one, which all make text later; and it ignores that several finals share one call, which makes text
earlier, most of all on a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

P95_LIMIT_S = 1.0
"""The limit of the delay of final text at p95 for a model that `auto` chooses."""
TALK_SHARE = 0.5
"""Share of time that each channel speaks; also the load test's default."""
_LATE_SHARE = 0.05
UNSURE_SHARE = 0.3
"""Part of the speech whose final is read again: 179 of 651 s (docs/explanation/windows.md)."""


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Seconds for one window, decoded alone."""

    final_s: float
    interim_s: float
    speech_s: float  # length of the window's audio, all of it speech
    searched_s: float = 0.0  # of a final with the search of unsure finals; 0: there is no such search
    termed_s: float = 0.0  # of a final with glossary terms; 0: they are not used
    has_terms: bool = False  # whether the times of finals contain the glossary terms

    def __post_init__(self) -> None:
        times = (self.final_s, self.interim_s, self.speech_s, self.unsure_s)
        if not all(math.isfinite(one) and one > 0 for one in times):
            raise ValueError(f"a cost must be a time above 0, not {self}")

    @property
    def unsure_s(self) -> float:
        """Of a final whose greedy text is unsure."""
        return max(self.final_s, self.searched_s)

    def with_terms(self) -> ModelCost:
        """The cost where every channel has glossary terms: each final takes longer by the time of the check.

        An upper bound, because the check is left out where the text leaves no doubt. The same cost if the
        engine does not use them.
        """
        if not self.termed_s:
            return self
        added_s = max(0.0, self.termed_s - self.final_s)
        searched_s = self.searched_s + added_s if self.searched_s else 0.0
        return replace(self, final_s=self.final_s + added_s, searched_s=searched_s, has_terms=True)

    def p95_s(self, channels: int) -> float | None:
        """Estimated delay of final text at p95 for this number of channels. None: the engine falls behind."""
        mean_s = self.final_s + UNSURE_SHARE * (self.unsure_s - self.final_s)
        load = (channels - 1) * TALK_SHARE * mean_s / self.speech_s
        if load >= 1:
            return None
        wait_s = mean_s / (2 * (1 - load)) * math.log(load / _LATE_SHARE) if load > _LATE_SHARE else 0.0
        return self.unsure_s + (self.interim_s if channels > 1 else 0.0) + wait_s

    def keeps_limit(self, channels: int) -> bool:
        p95_s = self.p95_s(channels)
        return p95_s is not None and p95_s <= P95_LIMIT_S

    def sentence(self, channels: int) -> str:
        """The figures as a sentence."""
        terms = " with glossary terms" if self.has_terms else ""
        window = f"a window of {self.speech_s:.1f} s{terms} takes {self.final_s:.2f} s"
        p95_s = self.p95_s(channels)
        if p95_s is None:
            return f"{window}; text of {_channels(channels)} would fall behind (estimate)"
        return f"{window}; final text of {_channels(channels)} within {p95_s:.2f} s at p95 (estimate)"


@dataclass(frozen=True, slots=True)
class AvailableModel:
    """A model that needs no download, with its cost if it was measured."""

    name: str
    path: Path
    cost: ModelCost | None = None
    note: str = ""  # why it has no cost, or why `auto` does not take it
    is_chosen: bool = False

    def body(self, channels: int) -> dict[str, object]:
        """The JSON for /ready. Times in milliseconds; null if unknown."""
        p95_s = self.cost.p95_s(channels) if self.cost else None
        return {
            "name": self.name,
            "is_chosen": self.is_chosen,
            "final_ms": round(self.cost.final_s * 1000) if self.cost else None,
            "final_p95_ms": None if p95_s is None else round(p95_s * 1000),
            "keeps_limit": self.cost.keeps_limit(channels) if self.cost else None,
            "note": self.note,
        }

    def sentence(self, channels: int) -> str:
        """One line for the log and the terminal."""
        said = self.cost.sentence(channels) if self.cost else "not measured"
        is_slow = self.cost is not None and not self.cost.keeps_limit(channels)
        parts = [said, f"over the limit of {P95_LIMIT_S:g} s" if is_slow else "", self.note]
        return "; ".join(part for part in parts if part)


def _channels(number: int) -> str:
    return "1 channel" if number == 1 else f"{number} channels"
