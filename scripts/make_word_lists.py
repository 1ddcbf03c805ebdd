"""Make the lists of common words for the glossary's text stage from the package wordfreq.

  pip install --target DIR wordfreq
  PYTHONPATH=DIR python scripts/make_word_lists.py

Writes webrtc_host/glossary/words_en.txt.gz and words_ko.txt.gz: words of letters only, the most frequent
first. The data of wordfreq is under CC BY-SA 4.0, and so are the two lists (THIRD_PARTY_NOTICES.md).
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from wordfreq import get_frequency_dict

FOLDER = Path(__file__).resolve().parent.parent / "webrtc_host" / "glossary"
LETTERS = {"en": re.compile("[a-z]{2,}"), "ko": re.compile("[가-힣]{2,}")}


def main() -> None:
    for language, letters in LETTERS.items():
        frequencies = get_frequency_dict(language, "small")
        words = sorted(frequencies, key=lambda word: (-frequencies[word], word))
        kept = [word for word in words if letters.fullmatch(word)]
        packed = gzip.compress("\n".join(kept).encode(), 9, mtime=0)
        path = FOLDER / f"words_{language}.txt.gz"
        path.write_bytes(packed)
        print(f"{path.name}: {len(kept)} words, {len(packed)} bytes")


if __name__ == "__main__":
    main()
