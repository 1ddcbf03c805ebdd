from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from host_stt.config import EngineConfig


@pytest.mark.parametrize("key", EngineConfig.model_fields)
def test_every_key_says_what_it_is_and_its_default(key: str) -> None:
    description = EngineConfig.model_fields[key].description or ""
    assert "efault" in description and description.endswith(".")


def test_the_defaults_are_the_documented_ones() -> None:
    config = EngineConfig()
    assert (config.model, config.device, config.compute_type) == ("auto", "auto", "auto")
    assert (config.host, config.port, config.token, config.open_to_all) == ("127.0.0.1", 8081, None, False)
    assert config.models_dir == Path("data/models")


@pytest.mark.parametrize(
    "wrong",
    [
        {"modell": "small"},
        {"model": ""},
        {"device": "gpu"},
        {"compute_type": "int4"},
        {"port": 65536},
        {"port": -1},
        {"beam_size": 0},
        {"cpu_threads": -1},
        {"terms_tokens": 201},
        {"batch_max": 0},
        {"queue_finals": 0},
        {"hub_probe_s": 0},
        {"interim_window": "tiny"},
        {"auto_languages": ["klingon"]},
        {"auto_languages": ["auto"]},
    ],
)
def test_a_value_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EngineConfig(**wrong)


def test_the_configuration_is_frozen_and_does_not_print_its_token() -> None:
    config = EngineConfig.model_validate({"token": "s3cret"})
    assert "s3cret" not in repr(config) + str(config.model_dump())
    with pytest.raises(ValidationError):
        config.port = 1  # type: ignore[misc]  # the point of the test


def test_the_languages_of_auto_may_be_written_as_clients_write_them() -> None:
    assert EngineConfig(auto_languages=("en-US", "Korean")).auto_languages == ("en", "ko")
