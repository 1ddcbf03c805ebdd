"""Load the engine for a model by the config, with the meaning of each `auto` for this model."""

from __future__ import annotations

from host_stt.config import Device, EngineConfig
from host_stt.engines.loading import load
from host_stt.engines.options import WhisperOptions
from host_stt.engines.whisper import WhisperEngine
from host_stt.models import ResolvedModel
from host_stt.prompt import PREVIOUS_TOKENS_MAX, PromptBudget, PromptForm
from host_stt.terms_use import settled_use
from host_stt.window_forms import settled

_HISTORY_TOKENS = 64


def whisper_options(config: EngineConfig, model: ResolvedModel, device: Device) -> WhisperOptions:
    """The options of the config; each `auto` gets its value for this model. device: where it runs."""
    is_cpu = device is Device.CPU
    # The starter model was not trained with its own previous text. With it, 20 % of the words in a minute of
    # continuous speech were wrong, without it 2 % (2026-11-21, test_unbroken_speech.py).
    history = 0 if model.is_starter else min(_HISTORY_TOKENS, PREVIOUS_TOKENS_MAX - config.terms_tokens)
    return WhisperOptions(
        beam_size=config.beam_size,
        beam_size_unsure=config.beam_size_unsure,
        # The starter model was trained with noise, and reads it better as it is.
        noise_reduction=config.noise_reduction and not model.is_starter,
        # Its limits and its gain were measured with base (docs/explanation/windows.md).
        second_reading=config.second_reading and not model.is_starter,
        interim_window=settled(config.interim_window, model.path, model.is_starter, is_cpu=is_cpu),
        final_window=settled(config.final_window, model.path, model.is_starter, is_cpu=is_cpu),
        auto_languages=config.auto_languages,
        budget=PromptBudget(config.terms_tokens, history),
        terms_use=settled_use(config.terms_use, model.is_starter),
        terms_form=PromptForm.LISTED if model.is_starter else config.terms_form,
    )


def load_whisper(config: EngineConfig, model: ResolvedModel) -> WhisperEngine:
    """Load the Whisper engine with the options of the config."""
    device_index = config.gpus[0] if config.gpus else 0
    loaded = load(model.path, config.device, config.compute_type, config.cpu_threads, device_index)
    return WhisperEngine(loaded, model.name, whisper_options(config, model, loaded.device))
