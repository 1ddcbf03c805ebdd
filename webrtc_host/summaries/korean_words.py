"""Korean words by a morphological analyser, when one is installed (the extra `korean`).

`kiwipiepy` needs 150 MB on disk and 250 MB of memory, so it is an extra. It is loaded when the first Korean
text is summarised without a language model. Its dictionaries of names are left out: they double the memory.
"""

from __future__ import annotations

import functools
import importlib.util
import logging

from webrtc_host.summaries.extract_words import Words, is_common

logger = logging.getLogger(__name__)

NAMES = ("NN", "XR", "SL", "SN")
"""Parts of speech that can stand for a text: nouns, roots, foreign words, numbers."""
VERBS = ("VV", "VA")


@functools.cache
def is_installed() -> bool:
    return importlib.util.find_spec("kiwipiepy") is not None


@functools.cache
def analyser() -> Words | None:
    """None: it is not installed, or cannot be loaded. Takes a second when it is called first."""
    if not is_installed():
        return None
    try:
        from kiwipiepy import Kiwi

        kiwi = Kiwi(num_workers=1, load_default_dict=False, load_multi_dict=False)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        logger.warning("kiwipiepy cannot be loaded, so Korean words are cut by a rule: %s", error)
        return None

    def words(text: str) -> tuple[list[str], list[str]]:
        tokens = [token for token in kiwi.tokenize(text) if not is_common(token.form)]
        names = [token.form for token in tokens if token.tag.startswith(NAMES) and len(token.form) > 1]
        return [token.form for token in tokens if token.tag.startswith((*NAMES, *VERBS))], names

    return words
