"""Which mis-hearings are proposed as aliases, and why others are not."""

from __future__ import annotations

import pytest

from host_stt_cli.glossary_lab.text_stage import common_words
from host_stt_cli.glossary_lab.training import _owners, _reason_against
from webrtc_host.glossary.schema import parse

LIST = {
    "version": 1,
    "terms": [
        {"canonical": "Medic-9", "aliases": ["medic nine"], "never": ["metic"]},
        {"canonical": "Ladder-3", "aliases": ["ladder three"]},
    ],
}
ENTRIES = parse(LIST).entries()


@pytest.mark.parametrize(
    ("term", "heard", "reason"),
    [
        (1, "rotter-3", ""),
        (1, "medic 9", "it is a spelling of Medic-9"),
        (0, "medicine", "it consists of ordinary words"),
        (0, "metic", "it is in the term's list `never`"),
        (1, "zxqv", "it does not sound like the term"),
    ],
)
def test_a_spelling_that_would_do_harm_is_not_proposed(term: int, heard: str, reason: str) -> None:
    assert _reason_against(ENTRIES[term], heard, "en", _owners(ENTRIES), common_words()) == reason
