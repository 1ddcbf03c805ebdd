"""The text stage of the server, as the lab calls it."""

from __future__ import annotations

from host_stt.contract import Word
from host_stt_cli.glossary_lab.stages import NOON, Correct
from host_stt_cli.glossary_lab.training import IsCommon
from webrtc_host.glossary import dictionary
from webrtc_host.glossary.correct import correct
from webrtc_host.glossary.entries import Snapshot
from webrtc_host.glossary.index import Index, scope_of

CHANNEL = "C01"


def text_stage(snapshot: Snapshot) -> Correct:
    """A function that corrects a text as the server does for a channel C01 at noon."""
    dictionary.load()
    index = Index.build(snapshot)
    scopes = {language: scope_of(index.entries, CHANNEL, language, NOON) for language in ("en", "ko")}

    def corrected(text: str, words: tuple[Word, ...], language: str) -> str:
        scope = scopes.get(language) or scope_of(index.entries, CHANNEL, language, NOON)
        return correct(text, words, index, scope, language).text

    return corrected


def common_words() -> IsCommon:
    """The dictionary of the text stage."""
    dictionary.load()
    return dictionary.is_common
