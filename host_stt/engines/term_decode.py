"""The second decode of finals with the glossary in the prompt, and the check of the terms it proposes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from threading import Lock
from typing import Any

from host_stt.contract import Window
from host_stt.engines.loading import LoadedModel
from host_stt.engines.row_decoder import RowDecoder
from host_stt.engines.rows import Decoded, Plan, Row
from host_stt.engines.term_check import checked_text, may_have_terms
from host_stt.engines.term_doubt import is_sure
from host_stt.engines.term_finals import TermFinal
from host_stt.prompt import PromptWriter


class TermDecoder:
    """Adds the glossary terms that the audio supports to accepted outputs.

    frames_of: a window and its number of samples -> its padded length, in frames. sure_min: finals whose
    words all have this probability are not decoded again; above 1, all are. Safe from any thread.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        decoder: RowDecoder,
        prompts: PromptWriter,
        frames_of: Callable[[Window, int], int],
        sure_min: float,
    ) -> None:
        self._loaded = loaded
        self._decoder = decoder
        self._prompts = prompts
        self._frames_of = frames_of
        self._sure_min = sure_min
        self._lock = Lock()
        self._finals: Counter[TermFinal] = Counter()

    def checked(self, believed: list[Decoded]) -> list[Decoded]:
        """The outputs, with the terms that a decode with the glossary in the prompt hears and the audio
        supports.
        """
        rows = [
            (index, self._row_with_terms(decoded))
            for index, decoded in enumerate(believed)
            if self._is_worth_a_decode(decoded)
        ]
        result = list(believed)
        rows.sort(key=lambda pair: pair[1].key)
        for _, group in groupby(rows, key=lambda pair: pair[1].key):
            pairs = list(group)
            checked = self._check_terms([believed[index] for index, _ in pairs], [row for _, row in pairs])
            for (index, _), decoded in zip(pairs, checked, strict=True):
                result[index] = decoded
        return result

    def finals(self) -> dict[TermFinal, int]:
        """Finals with terms and text since the model was loaded, by whether they were decoded again."""
        with self._lock:
            return {one: self._finals[one] for one in TermFinal}

    def _is_worth_a_decode(self, decoded: Decoded) -> bool:
        if not may_have_terms(decoded):
            return False
        sure = is_sure(decoded.words, decoded.row.window.terms, self._sure_min)
        with self._lock:
            self._finals[TermFinal.SURE if sure else TermFinal.CHECKED] += 1
        return not sure

    def _row_with_terms(self, decoded: Decoded) -> Row:
        row = decoded.row
        return replace(
            row,
            previous=tuple(self._prompts.previous(row.window.terms, "")),
            frames=self._frames_of(row.window, len(row.samples)),
            plan=Plan(1, is_last=True),
        )

    def _check_terms(self, plain: list[Decoded], rows: list[Row]) -> list[Decoded]:
        """plain: the outputs without the glossary. rows: the same windows, with it in their prompt."""
        encoded = self._decoder.encode(rows)
        languages = [decoded.language for decoded in plain]
        outputs = self._decoder.generate(rows, languages, encoded, has_logits=True)
        checked = []
        for index, (decoded, row, output) in enumerate(zip(plain, rows, outputs, strict=True)):
            heard = self._decoder.heard(row, decoded.language, output)
            scores = _RowScores(self._decoder, row, decoded.language, encoded, index)
            text = checked_text(decoded.result.text, heard, row.window.terms, scores)
            checked.append(self._with_text(decoded, row, text, encoded, index, len(rows)))
        return checked

    def _with_text(
        self, decoded: Decoded, row: Row, text: str, encoded: Any, index: int, count: int
    ) -> Decoded:
        """The output with another text, and words with times of this text."""
        if text == decoded.result.text:
            return decoded
        tokens = tuple(self._loaded.tokenizers[decoded.language].encode(" " + text))
        changed = replace(decoded, row=row, result=replace(decoded.result, text=text, tokens=tokens))
        (changed,) = self._decoder.with_words([changed], self._decoder.rows_of(encoded, [index], count))
        return replace(changed, row=decoded.row)


@dataclass(frozen=True, slots=True)
class _RowScores:
    """Log probabilities of texts for one row of encoded audio."""

    decoder: RowDecoder
    row: Row
    language: str
    encoded: Any
    index: int

    def for_audio(self, texts: Sequence[str]) -> list[float]:
        return self.decoder.quick_log_probabilities(self.row, self.language, self.encoded, self.index, texts)

    def without_audio(self, texts: Sequence[str]) -> list[float]:
        return self.decoder.prior_log_probabilities(self.language, self.encoded, texts)
