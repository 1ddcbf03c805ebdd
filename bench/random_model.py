"""Make Whisper models with the real architecture and random weights, to measure speed.

Every matrix has the size of the published model, so encode, generate and align have their real cost; the text
is meaningless. Contains the table of sizes and a tokenizer of the real size (byte pairs, not Whisper's
words). A random model does not end a text in a useful way, so measure it with a fixed number of tokens.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import whisper_spec
from faster_whisper.tokenizer import _LANGUAGE_CODES as LANGUAGE_CODES
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

TEXT_TOKENS = 50257


@dataclass(frozen=True, slots=True)
class Size:
    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    mels: int = 80
    languages: int = 99


SIZES = {
    "tiny": Size(384, 4, 4, 6),
    "base": Size(512, 6, 6, 8),
    "small": Size(768, 12, 12, 12),
    "large-v3-turbo": Size(1280, 32, 4, 20, mels=128, languages=100),
    "large-v3": Size(1280, 32, 32, 20, mels=128, languages=100),
}
"""The published sizes of Whisper (openai/whisper, model cards)."""


def make(name: str, folder: Path, *, quantization: str = "int8", seed: int = 0) -> Path:
    """Write the model `name` to folder/random-NAME-QUANTIZATION and return that path; an existing one is
    kept.

    Raises KeyError for a name that is not in SIZES. Making large-v3 needs about 7 GB of memory.
    """
    size = SIZES[name]
    target = folder / f"random-{name}-{quantization}"
    if (target / "tokenizer.json").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    vocabulary, specials = _vocabulary(size)
    spec = _spec(size, len(vocabulary), np.random.default_rng(seed))
    spec.register_vocabulary(vocabulary)
    begin = specials["<|startoftranscript|>"]
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [220, specials["<|endoftext|>"]]
    spec.config.lang_ids = list(range(begin + 1, begin + 1 + size.languages))
    half = size.decoder_layers // 2
    spec.config.alignment_heads = list(itertools.product(range(half, size.decoder_layers), range(size.heads)))
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(target))
    (target / "preprocessor_config.json").write_text(json.dumps({"feature_size": size.mels}))
    _tokenizer(vocabulary, specials).save(str(target / "tokenizer.json"))
    return target


# --- weights --------------------------------------------------------------------------------------


def _spec(size: Size, tokens: int, rng: np.random.Generator) -> Any:
    spec = whisper_spec.WhisperSpec(size.encoder_layers, size.heads, size.decoder_layers, size.heads)
    d = size.width

    def normal(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return (rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)).astype(np.float32)

    def linear(part: Any, rows: int, columns: int) -> None:
        part.weight, part.bias = normal(rows, columns), np.zeros(rows, np.float32)

    def norm(part: Any) -> None:
        part.gamma, part.beta = np.ones(d, np.float32), np.zeros(d, np.float32)

    def self_attention(part: Any) -> None:
        norm(part.layer_norm)
        linear(part.linear[0], 3 * d, d)
        linear(part.linear[1], d, d)

    def cross_attention(part: Any) -> None:
        norm(part.layer_norm)
        linear(part.linear[0], d, d)
        linear(part.linear[1], 2 * d, d)
        linear(part.linear[2], d, d)

    def feed_forward(part: Any) -> None:
        norm(part.layer_norm)
        linear(part.linear_0, 4 * d, d)
        linear(part.linear_1, d, 4 * d)

    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight, encoder.conv1.bias = normal(d, size.mels, 3), np.zeros(d, np.float32)
    encoder.conv2.weight, encoder.conv2.bias = normal(d, d, 3), np.zeros(d, np.float32)
    encoder.position_encodings.encodings = normal(1500, d)
    decoder.position_encodings.encodings = normal(448, d)
    for layer in encoder.layer:
        self_attention(layer.self_attention)
        feed_forward(layer.ffn)
    for layer in decoder.layer:
        self_attention(layer.self_attention)
        cross_attention(layer.attention)
        feed_forward(layer.ffn)
    norm(encoder.layer_norm)
    norm(decoder.layer_norm)
    decoder.embeddings.weight = normal(tokens, d)
    decoder.projection.weight = decoder.embeddings.weight
    decoder.scale_embeddings = np.dtype("float32").type(1.0)
    return spec


# --- tokens ---------------------------------------------------------------------------------------


def _vocabulary(size: Size) -> tuple[list[str], dict[str, int]]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = (a + b for a, b in itertools.product(letters, repeat=2))
    tokens = [*letters, *itertools.islice(pairs, TEXT_TOKENS - len(letters) - 1), ""]
    specials = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        *(f"<|{code}|>" for code in LANGUAGE_CODES[: size.languages]),
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ]
    times = [f"<|{n * 0.02:.2f}|>" for n in range(1501)]
    ids = {token: TEXT_TOKENS + n for n, token in enumerate(specials)}
    return tokens + specials + times, ids


def _tokenizer(vocabulary: list[str], specials: dict[str, int]) -> Tokenizer:
    text = {token: n for n, token in enumerate(vocabulary[:TEXT_TOKENS])}
    merges = [(token[0], token[1]) for token in vocabulary[:TEXT_TOKENS] if len(token) == 2]
    tokenizer = Tokenizer(models.BPE(vocab=text, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in specials])
    times = vocabulary[TEXT_TOKENS + len(specials) :]
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in times])
    return tokenizer
