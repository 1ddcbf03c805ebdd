"""How a Whisper engine decodes: the settings of the config, with each `auto` already resolved."""

from __future__ import annotations

from dataclasses import dataclass

from host_stt.engines.rows import DOUBTFUL_LOGPROB, NOISY_LOGPROB, UNSURE_LOGPROB
from host_stt.engines.term_doubt import SURE_MIN
from host_stt.prompt import PromptBudget, PromptForm
from host_stt.terms_use import TermsUse
from host_stt.window_forms import WindowForm


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    beam_size: int = 1  # for finals
    beam_size_unsure: int = 1  # for finals whose greedy text is unsure; 1: no further search
    unsure_logprob: float = UNSURE_LOGPROB  # a text under this average log probability is unsure
    noise_reduction: bool = False  # whether finals of noisy audio are also decoded with less noise
    noisy_logprob: float = NOISY_LOGPROB  # unless their text has at least this average log probability
    second_reading: bool = False  # whether doubtful finals are also read a little later in the window
    doubtful_logprob: float = DOUBTFUL_LOGPROB  # a text under this average log probability is doubtful
    interim_window: WindowForm = WindowForm.FULL  # never `auto`, which is resolved before
    final_window: WindowForm = WindowForm.FULL
    auto_languages: tuple[str, ...] = ()
    budget: PromptBudget = PromptBudget()
    terms_use: TermsUse = TermsUse.PROMPT  # never `auto`, which is resolved before
    terms_form: PromptForm = PromptForm.LISTED
    # a final whose words all have this probability gets no decode with the glossary; above 1: each gets one
    sure_min: float = SURE_MIN
    # to measure random weights: exactly this many tokens, and no further decodes
    tokens_per_s: float | None = None
