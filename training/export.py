"""Convert a checkpoint to the folder that faster-whisper loads: int8 weights, token table, tokenizer.

Fills in CTranslate2's specification directly, without a Hugging Face model in between.
"""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from ctranslate2.specs import common_spec
from ctranslate2.specs.whisper_spec import WhisperSpec
from torch import Tensor, nn

from training.model import ALIGNMENT_HEADS, Attention, Layer, Learner, Shape, Whisper
from training.vocabulary import LANGUAGES, Vocabulary

logger = logging.getLogger(__name__)


def load_learner(checkpoint: Path, vocabulary: Vocabulary) -> Learner:
    """The learner in the state of a checkpoint."""
    state = torch.load(checkpoint, weights_only=True)
    learner = Learner(Shape(), len(vocabulary), vocabulary.first_stamp, len(state["characters"]))
    learner.load_state_dict(state["learner"])
    logger.info("checkpoint of step %d", state["step"])
    return learner.eval()


@torch.no_grad()
def export(
    checkpoint: Path,
    vocabulary: Vocabulary,
    out: Path,
    alignment_heads: tuple[tuple[int, int], ...] = ALIGNMENT_HEADS,
) -> None:
    """Write the weights, their config, the token table, the tokenizer and the features' config to `out`."""
    whisper = load_learner(checkpoint, vocabulary).whisper
    shape = whisper.shape
    spec = WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    _fill_encoder(spec.encoder, whisper)
    _fill_decoder(spec.decoder, whisper)
    spec.register_vocabulary(list(vocabulary.tokens))
    spec.config.suppress_ids = []
    # Stock models may not begin with the end of the text or a bare space. This model must be able to: without
    # timestamps, silence is the end token, and a listed name that is spelt in pieces begins with a space.
    spec.config.suppress_ids_begin = []
    spec.config.lang_ids = [vocabulary.ids[f"<|{language}|>"] for language in LANGUAGES]
    spec.config.alignment_heads = [list(head) for head in alignment_heads]
    spec.validate()
    spec.optimize(quantization="int8")
    out.mkdir(parents=True, exist_ok=True)
    spec.save(str(out))
    vocabulary.save(out / "tokenizer.json")
    features = {
        "feature_size": 80,
        "sampling_rate": 16_000,
        "hop_length": 160,
        "chunk_length": 30,
        "n_fft": 400,
    }
    (out / "preprocessor_config.json").write_text(json.dumps(features, indent=2) + "\n", encoding="utf-8")


def _fill_encoder(spec: Any, whisper: Whisper) -> None:
    for target, source in ((spec.conv1, whisper.conv1), (spec.conv2, whisper.conv2)):
        target.weight, target.bias = source.weight, source.bias
    spec.position_encodings.encodings = whisper.audio_positions
    _fill_norm(spec.layer_norm, whisper.encoder_norm)
    for target, layer in zip(spec.layer, whisper.encoder, strict=True):
        _fill_layer(target, layer)


def _fill_decoder(spec: Any, whisper: Whisper) -> None:
    spec.embeddings.weight = whisper.tokens.weight
    spec.projection.weight = whisper.tokens.weight
    spec.position_encodings.encodings = whisper.text_positions
    _fill_norm(spec.layer_norm, whisper.decoder_norm)
    for target, layer in zip(spec.layer, whisper.decoder, strict=True):
        _fill_layer(target, layer)
        cross = layer.cross
        target.attention.linear[0].weight, target.attention.linear[0].bias = (
            cross.query.weight,
            cross.query.bias,
        )
        _fuse(target.attention.linear[1], cross.key, cross.value)
        _fill_linear(target.attention.linear[2], cross.out)
        _fill_norm(target.attention.layer_norm, layer.cross_norm)


def _fill_layer(spec: Any, layer: Layer) -> None:
    attention: Attention = layer.attention
    _fuse(spec.self_attention.linear[0], attention.query, attention.key, attention.value)
    _fill_linear(spec.self_attention.linear[1], attention.out)
    _fill_norm(spec.self_attention.layer_norm, layer.attention_norm)
    _fill_linear(spec.ffn.linear_0, layer.expand)
    _fill_linear(spec.ffn.linear_1, layer.contract)
    _fill_norm(spec.ffn.layer_norm, layer.mlp_norm)


def _fill_norm(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma, spec.beta = norm.weight, norm.bias


def _fill_linear(spec: common_spec.LinearSpec, linear: nn.Linear) -> None:
    spec.weight, spec.bias = linear.weight, linear.bias


def _fuse(spec: common_spec.LinearSpec, *linears: nn.Linear) -> None:
    spec.weight = torch.cat([linear.weight for linear in linears])
    spec.bias = torch.cat([_bias(linear) for linear in linears])


def _bias(linear: nn.Linear) -> Tensor:
    return torch.zeros(linear.out_features) if linear.bias is None else linear.bias
