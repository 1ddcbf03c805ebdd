"""What the engine does with the glossary terms of a window.

`prompt`: the terms are in the prompt of each decode. `checked`: finals are decoded without them; a second
decode with them proposes terms, and the model compares the text with each term and without it
(`engines/term_check.py`). `off`: the terms are not used by the engine.
"""

from __future__ import annotations

from enum import StrEnum


class TermsUse(StrEnum):
    AUTO = "auto"
    CHECKED = "checked"
    PROMPT = "prompt"
    OFF = "off"


def settled_use(use: TermsUse, is_starter: bool) -> TermsUse:
    """The meaning of a setting for a model.

    is_starter: the bundled model. It was trained with terms in the prompt and writes them as they are listed;
    stock models write terms that were not said.
    """
    if use is not TermsUse.AUTO:
        return use
    return TermsUse.PROMPT if is_starter else TermsUse.CHECKED
