"""Whisper on CTranslate2: groups of windows in, transcripts out.

Decides what is decoded and which outputs are accepted: padded length, prompt, guards, further decodes. The
model is called in `row_decoder` and `term_decode`. Loading is in `loading`, thresholds in `guards`, prompts
in `prompt`. Called from one thread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from host_stt.config import Device
from host_stt.contract import (
    SAMPLE_RATE,
    Answer,
    Float32Array,
    Priority,
    Task,
    Transcript,
    Window,
    WindowError,
)
from host_stt.engines.base import Between, Early, nothing_between
from host_stt.engines.comparison import TextComparison
from host_stt.engines.guesses import (
    best_language,
    confirms,
    is_disturbed_by_prompt,
    is_doubtful_guess,
    other_languages,
)
from host_stt.engines.loading import LoadedModel, load
from host_stt.engines.options import WhisperOptions
from host_stt.engines.row_decoder import RowDecoder
from host_stt.engines.rows import (
    BEAM_CAREFUL,
    FRAME_SAMPLES,
    FRAMES_FULL,
    SHORTENED_SAMPLES,
    Decoded,
    Plan,
    Row,
    more_carefully,
    next_decode,
    no_speech_result,
    padded_frames,
    transcript_of,
    with_verdict,
    without_false_copy,
    without_repetition,
)
from host_stt.engines.term_decode import TermDecoder
from host_stt.engines.term_finals import TermFinal
from host_stt.guards import Verdict, is_quiet, judge, says_twice
from host_stt.noise import with_less_noise
from host_stt.prompt import PromptWriter
from host_stt.terms_use import TermsUse
from host_stt.tickets import Group
from host_stt.window_forms import WindowForm
from host_stt_common.languages import language_for


class WhisperEngine:
    """A CTranslate2 Whisper model. `name` is its name in outputs."""

    def __init__(self, loaded: LoadedModel, name: str, options: WhisperOptions | None = None) -> None:
        self._loaded = loaded
        self._name = name
        self._options = options or WhisperOptions()
        tokenizer = loaded.tokenizers[loaded.languages[0]]
        self._prompts = PromptWriter(
            tokenizer.encode,
            tokenizer.eot,
            self._options.budget,
            self._options.terms_form,
        )
        self._decoder = RowDecoder(loaded, self._options)
        self._terms = TermDecoder(loaded, self._decoder, self._prompts, self._frames, self._options.sure_min)
        self._comparison = TextComparison(self._decoder)

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        name: str,
        options: WhisperOptions | None = None,
        *,
        device: Device = Device.AUTO,
        compute_type: str = "auto",
        cpu_threads: int = 0,
        device_index: int = 0,
    ) -> WhisperEngine:
        return cls(load(folder, device, compute_type, cpu_threads, device_index), name, options)

    @property
    def model(self) -> str:
        return self._name

    @property
    def languages(self) -> tuple[str, ...]:
        return self._loaded.languages

    @property
    def can_translate(self) -> bool:
        return self._loaded.can_translate

    @property
    def device(self) -> Device:
        return self._loaded.device

    @property
    def compute_type(self) -> str:
        return self._loaded.compute_type

    @property
    def terms_use(self) -> TermsUse:
        return self._options.terms_use

    def fitting_terms(self, terms: Sequence[str]) -> list[str]:
        """The terms that a prompt has room for. Safe from any thread."""
        return [] if self.terms_use is TermsUse.OFF else list(self._prompts.packed(terms))

    def searching_all_finals(self) -> WhisperEngine | None:
        """The same loaded model with a wider search and a second reading for each final; None: it has no
        wider search.
        """
        options = self._options
        if options.beam_size > 1 or options.beam_size_unsure == 1:
            return None
        doubting = replace(options, unsure_logprob=math.inf, doubtful_logprob=math.inf)
        return WhisperEngine(self._loaded, self._name, doubting)

    def checking_all_finals(self) -> WhisperEngine | None:
        """The same loaded model with the check of terms for each final; None: it does not use terms."""
        if self.terms_use is TermsUse.OFF:
            return None
        return WhisperEngine(self._loaded, self._name, replace(self._options, sure_min=math.inf))

    def term_finals(self) -> dict[TermFinal, int]:
        return self._terms.finals()

    def close(self) -> None:
        self._loaded.whisper.unload_model()

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        return self.decode_early(windows, lambda row, answer: None)

    def decode_early(
        self, windows: Sequence[Window], early: Early, between: Between = nothing_between
    ) -> list[Answer]:
        # Interrupting calls of interims made the first text 0.4 s later (p95), and no final sooner.
        is_live = any(window.priority is not Priority.BACKGROUND for window in windows)
        pause = nothing_between if is_live else between
        answers: dict[int, Answer] = {}
        rows: list[Row] = []
        for index, window in enumerate(windows):
            samples = window.as_float32()
            language = language_for(window.language, self.languages)
            if language is None:
                answers[index] = self._unknown_language(window)
            elif window.task is Task.TRANSLATE and not self.can_translate:
                text = f"the model {self._name} cannot translate"
                answers[index] = WindowError(window.id, "not_supported", text)
            elif is_quiet(samples):
                answers[index] = no_speech_result(window, self.languages[0], self._name)
            else:
                rows.append(self._first_row(index, replace(window, language=language), samples))
        sent: set[int] = set()
        while rows:
            believed, rows = self._decode_and_judge(rows, pause)
            if self.terms_use is TermsUse.CHECKED:
                believed = self._terms.checked(believed)
            answers |= {one.row.index: self._transcript(one) for one in believed}
            for index in answers.keys() - sent if rows else ():
                sent.add(index)
                early(index, answers[index])
            if rows:
                # A careful decode takes longer than a first one, so new live finals go before it.
                pause = between
                between()
        return [answers[index] for index in range(len(windows))]

    def _transcript(self, decoded: Decoded) -> Transcript:
        transcript = transcript_of(decoded, self._name)
        if not decoded.row.window.known_text:
            return transcript
        return replace(transcript, gain=self._comparison.gain(decoded))

    def group(self, window: Window) -> Group:
        previous = self._previous(window)
        seconds = self._frames(window, len(window.samples)) * FRAME_SAMPLES // SAMPLE_RATE
        options = window.is_second_decode or window.is_careful
        return Group(window.priority, seconds, len(previous), options=options)

    def shortened(self, window: Window) -> Window:
        cut = len(window.samples) - SHORTENED_SAMPLES
        if self._options.interim_window is WindowForm.FULL or cut <= 0:
            return window
        return replace(window, samples=window.samples[cut:], start_sample=window.start_sample + cut)

    # --- rows and groups --------------------------------------------------------------------------

    def _first_row(self, index: int, window: Window, samples: Float32Array) -> Row:
        is_final = window.priority.is_final
        # A final is decoded as it is and, if the model is unsure of it, with less noise too. An interim is
        # decoded once.
        has_less_noise = window.is_noisy and not is_final and self._options.noise_reduction
        if has_less_noise:
            samples = with_less_noise(samples)
        previous = tuple(self._previous(window))
        frames = self._frames(window, len(samples))
        # For an interim in a full window and without a prompt, a more careful decode is not worth its time.
        is_last = not is_final and frames == FRAMES_FULL and not previous
        # The starter model, with its small vocabulary, was not trained to write timestamps.
        is_thorough = window.is_second_decode or window.is_careful
        has_timestamps = is_thorough and not self._loaded.has_small_vocabulary
        plan = Plan(
            self._beam_size(window),
            is_careful=is_last,
            is_last=is_last,
            has_timestamps=has_timestamps,
        )
        return Row(index, window, samples, previous, frames, plan, has_less_noise=has_less_noise)

    def _previous(self, window: Window) -> list[int]:
        """The prompt of the first decode. It has terms only where they are not checked by a second one."""
        terms = window.terms if self._options.terms_use is TermsUse.PROMPT else ()
        return self._prompts.previous(terms, window.history)

    def _beam_size(self, window: Window) -> int:
        if window.is_careful:
            return max(BEAM_CAREFUL, self._options.beam_size)
        return self._options.beam_size if window.priority.is_final else 1

    def _frames(self, window: Window, samples: int) -> int:
        """The padded length of this many samples of a window, in frames."""
        is_final = window.priority.is_final
        form = self._options.final_window if is_final else self._options.interim_window
        return FRAMES_FULL if window.is_careful else padded_frames(form, samples, is_final=is_final)

    def _decode_and_judge(self, rows: list[Row], between: Between) -> tuple[list[Decoded], list[Row]]:
        """Decode rows. Returns (accepted outputs, rows to decode again because a guard rejected them)."""
        believed: list[Decoded] = []
        again: list[Row] = []
        for decoded in self._decoder.decode(rows, between):
            if self._options.tokens_per_s is not None:
                believed.append(decoded)
            elif row := self._in_another_language(decoded):
                again.append(row)
            elif isinstance(judged := self._judged(self._in_best_language(decoded)), Row):
                again.append(judged)
            else:
                believed.append(judged)
        return believed, again

    @staticmethod
    def _judged(decoded: Decoded) -> Decoded | Row:
        """The accepted output, or the row to decode again."""
        decoded = without_false_copy(decoded)
        rule = judge(decoded.result)
        is_disturbed = is_disturbed_by_prompt(decoded)
        # A text that comes twice in the careful decode too was said twice.
        is_twice = says_twice(decoded.result.text) and not decoded.row.plan.is_careful
        is_doubted = is_disturbed or is_twice or (rule is not None and rule.verdict is Verdict.RETRY)
        if is_doubted and (row := next_decode(decoded)):
            return replace(row, echo=decoded) if is_disturbed and rule is None else row
        if (echo := decoded.row.echo) and confirms(decoded.row, decoded):
            return echo
        if is_doubted and decoded.row.instead:
            return without_repetition(decoded.row.instead)  # sampling gave nothing better
        return without_repetition(with_verdict(decoded, rule)) if is_doubted else with_verdict(decoded, rule)

    def _in_another_language(self, decoded: Decoded) -> Row | None:
        """The row in the next language to try; None if there is none."""
        row = decoded.row
        others = row.others
        if not row.tried and is_doubtful_guess(decoded, judge(decoded.result)):
            others = other_languages(decoded, self._options.auto_languages, self.languages)
        if not others:
            return None
        # With careful options at once, so that the right language does not lose because of a loop.
        row = row if row.tried else more_carefully(row)
        tried = (*decoded.row.tried, decoded)
        return replace(row, language=others[0], others=others[1:], tried=tried, guesses=decoded.guesses)

    def _in_best_language(self, decoded: Decoded) -> Decoded:
        """The best of the outputs in several languages; the output itself if there is only one."""
        row = decoded.row
        if not row.tried:
            return decoded
        best = best_language((*row.tried, decoded), self._options.auto_languages)
        return replace(best, row=replace(best.row, language=best.language, tried=(), others=()))

    def _unknown_language(self, window: Window) -> WindowError:
        known = ", ".join(self.languages[:8]) + (" and more" if len(self.languages) > 8 else "")
        return WindowError(
            window.id,
            "unknown_language",
            f"the model {self._name} does not have the language {window.language!r}; it has {known}",
        )
