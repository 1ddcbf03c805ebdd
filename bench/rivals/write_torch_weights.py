"""Write the weights of a CTranslate2 Whisper folder as a PyTorch file, for WhisperLiveKit's default policy.

    python bench/rivals/write_torch_weights.py MODEL_FOLDER OUTPUT.pt

WhisperLiveKit runs this policy's decoder in PyTorch. The weights are the same numbers; only names and the
joined query, key and value matrices change. Runs in the environment of WhisperLiveKit, and needs nothing of
this project. The format of `model.bin` is that of CTranslate2's `model_spec.py`, binary version 6.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

BINARY_VERSION = 6
DTYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
Array = np.ndarray[Any, Any]


def read_variables(file: BinaryIO) -> dict[str, Array]:
    """The variables of a `model.bin` by name. Raises ValueError for another version of the format."""
    (version,) = struct.unpack("<I", file.read(4))
    if version != BINARY_VERSION:
        raise ValueError(f"model.bin has binary version {version}; this script reads {BINARY_VERSION}")
    _read_text(file)  # the name of the specification
    _, count = struct.unpack("<II", file.read(8))
    variables = {}
    for _ in range(count):
        name = _read_text(file)
        (rank,) = struct.unpack("<B", file.read(1))
        shape = struct.unpack(f"<{rank}I", file.read(4 * rank))
        dtype, size = struct.unpack("<BI", file.read(5))
        variables[name] = np.frombuffer(file.read(size), DTYPES[dtype]).reshape(shape)
    return variables


def _read_text(file: BinaryIO) -> str:
    (size,) = struct.unpack("<H", file.read(2))
    return file.read(size).rstrip(b"\0").decode()


def openai_names(variables: dict[str, Array]) -> dict[str, Array]:
    """The variables with the names and shapes of OpenAI's implementation."""
    state: dict[str, Array] = {
        "encoder.positional_embedding": variables["encoder/position_encodings/encodings"],
        "decoder.positional_embedding": variables["decoder/position_encodings/encodings"],
        "decoder.token_embedding.weight": variables["decoder/embeddings/weight"],
    }
    for name in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            state[f"encoder.{name}.{part}"] = variables[f"encoder/{name}/{part}"]
    for side, last in (("encoder", "ln_post"), ("decoder", "ln")):
        state |= _norm(variables, f"{side}/layer_norm", f"{side}.{last}")
        for layer in range(layers_of(variables, side)):
            state |= _layer(variables, f"{side}/layer_{layer}", f"{side}.blocks.{layer}")
    return state


def layers_of(variables: dict[str, Array], side: str) -> int:
    return len(
        {
            name.split("/")[1]
            for name in variables
            if name.startswith(f"{side}/layer_") and "norm" not in name.split("/")[1]
        }
    )


def _layer(variables: dict[str, Array], name: str, to: str) -> dict[str, Array]:
    state = _norm(variables, f"{name}/self_attention/layer_norm", f"{to}.attn_ln")
    state |= _linear(
        variables, f"{name}/self_attention/linear_0", [f"{to}.attn.{p}" for p in ("query", "key", "value")]
    )
    state |= _linear(variables, f"{name}/self_attention/linear_1", [f"{to}.attn.out"])
    if f"{name}/attention/linear_0/weight" in variables:
        state |= _norm(variables, f"{name}/attention/layer_norm", f"{to}.cross_attn_ln")
        state |= _linear(variables, f"{name}/attention/linear_0", [f"{to}.cross_attn.query"])
        state |= _linear(
            variables, f"{name}/attention/linear_1", [f"{to}.cross_attn.{p}" for p in ("key", "value")]
        )
        state |= _linear(variables, f"{name}/attention/linear_2", [f"{to}.cross_attn.out"])
    state |= _norm(variables, f"{name}/ffn/layer_norm", f"{to}.mlp_ln")
    state |= _linear(variables, f"{name}/ffn/linear_0", [f"{to}.mlp.0"])
    state |= _linear(variables, f"{name}/ffn/linear_1", [f"{to}.mlp.2"])
    return state


def _norm(variables: dict[str, Array], name: str, to: str) -> dict[str, Array]:
    return {f"{to}.weight": variables[f"{name}/gamma"], f"{to}.bias": variables[f"{name}/beta"]}


def _linear(variables: dict[str, Array], name: str, to: list[str]) -> dict[str, Array]:
    """One matrix of CTranslate2 as one for each name in `to`. Keys have no bias at OpenAI."""
    state = {}
    for part in ("weight", "bias"):
        for target, values in zip(to, np.split(variables[f"{name}/{part}"], len(to)), strict=True):
            if (part, target.rpartition(".")[2]) != ("bias", "key"):
                state[f"{target}.{part}"] = values
    return state


def dimensions(variables: dict[str, Array]) -> dict[str, int]:
    state, mels, _ = variables["encoder/conv1/weight"].shape
    return {
        "n_mels": mels,
        "n_audio_ctx": len(variables["encoder/position_encodings/encodings"]),
        "n_audio_state": state,
        "n_audio_head": int(variables["encoder/num_heads"]),
        "n_audio_layer": layers_of(variables, "encoder"),
        "n_vocab": len(variables["decoder/embeddings/weight"]),
        "n_text_ctx": len(variables["decoder/position_encodings/encodings"]),
        "n_text_state": state,
        "n_text_head": int(variables["decoder/num_heads"]),
        "n_text_layer": layers_of(variables, "decoder"),
    }


def main() -> None:
    import torch  # type: ignore[import-not-found]  # only in the environment of WhisperLiveKit

    folder, output = map(Path, sys.argv[1:3])
    with (folder / "model.bin").open("rb") as file:
        variables = read_variables(file)
    state = {name: torch.from_numpy(values.copy()) for name, values in openai_names(variables).items()}
    torch.save({"dims": dimensions(variables), "model_state_dict": state}, output)


if __name__ == "__main__":
    main()
