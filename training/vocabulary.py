"""The token table of the starter model: byte-level BPE, Whisper's special tokens for two languages,
timestamps.

Small on purpose (about 2,500 rows instead of 51,865). CTranslate2 and faster-whisper still accept it as a
multilingual Whisper: the empty token is in the table, and id(<|nospeech|>) - id(<|startoftranscript|>) - 5 is
the number of languages.
"""

import json
import random
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from training.grammar import CALL_NAMES, DIGITS, draw_phrase

BPE_TOKENS = 1_000
LANGUAGES = ("en", "ko")
SECONDS_PER_STAMP = 0.02
STAMPS = 1_501
_SPECIAL = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{language}|>" for language in LANGUAGES),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)
# faster-whisper forbids the first token of each of these texts at every step. If that token were the bare
# space, the model could not write a word that begins with a rare pair of letters; so each text gets its own
# merges.
_FORBIDDEN_STARTS = (" -", " '", *(f" {note}" for note in "♩♪♫♬♭♮♯"))


class Vocabulary:
    """Text to ids. Ids: BPE tokens, the empty token, the special tokens, 1,501 timestamps."""

    def __init__(self, bpe: Tokenizer) -> None:
        self.bpe = bpe
        self._cache: dict[str, list[int]] = {}
        table = bpe.get_vocab()
        self.tokens = sorted(table, key=lambda token: table[token])
        self.tokens += ["", *_SPECIAL]
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        self.first_stamp = len(self.tokens)
        self.tokens += [f"<|{index * SECONDS_PER_STAMP:.2f}|>" for index in range(STAMPS)]

    def __len__(self) -> int:
        return len(self.tokens)

    def word(self, written: str) -> list[int]:
        """The ids of one word, with the space before it."""
        if written not in self._cache:
            self._cache[written] = self.bpe.encode(f" {written}").ids
        return self._cache[written]

    def text(self, written: str) -> list[int]:
        return [token for word in written.split() for token in self.word(word)]

    def stamp(self, seconds: float) -> int:
        return self.first_stamp + min(STAMPS - 1, max(0, round(seconds / SECONDS_PER_STAMP)))

    def save(self, path: Path) -> None:
        """Write a tokenizer.json with the whole table."""
        tokenizer = json.loads(self.bpe.to_str())
        last_plain = self.ids[""] + 1
        tokenizer["model"]["vocab"] = {token: index for index, token in enumerate(self.tokens[:last_plain])}
        tokenizer["added_tokens"] = [
            {
                "id": index,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": index < self.first_stamp,
            }
            for index, token in enumerate(self.tokens)
            if index >= last_plain
        ]
        path.write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n", encoding="utf-8")


def learn_vocabulary(seed: int, phrases: int = 30_000) -> Vocabulary:
    """Learn the BPE merges from newly drawn training phrases and all call signs of one digit."""
    rng = random.Random(seed)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=BPE_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )

    def lines() -> Iterable[str]:
        for _ in range(phrases):
            yield f" {draw_phrase(rng).text}"
        for name in CALL_NAMES:
            yield from (f" {name.capitalize()}-{digit}," for digit in range(len(DIGITS)) for _ in range(20))
        for start in _FORBIDDEN_STARTS:
            yield from (start for _ in range(500))

    bpe.train_from_iterator(lines(), trainer)
    return Vocabulary(bpe)


def load_vocabulary(path: Path) -> Vocabulary:
    """Load the BPE part that `learn_vocabulary` made, saved with `Tokenizer.save`."""
    return Vocabulary(Tokenizer.from_file(str(path)))
