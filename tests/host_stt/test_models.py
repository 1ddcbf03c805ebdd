from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import huggingface_hub
import pytest

from host_stt.config import EngineConfig
from host_stt.contract import Answer, Window
from host_stt.download import Progress
from host_stt.engines.fake import FakeEngine, script_of
from host_stt.errors import HubUnreachable, ModelDamaged, ModelError, ModelNotFound
from host_stt.model_names import repository_of
from host_stt.models import (
    STARTER_FOLDER,
    add_model,
    check_folder,
    find_model,
    list_models,
    warm_up,
)
from host_stt.resolving import resolve_model
from tests.host_stt.conftest import SMALL
from tests.support.hub import FakeHub

HubOf = Callable[..., FakeHub]


def config(tmp_path: Path, model: str = "auto") -> EngineConfig:
    return EngineConfig(
        model=model, device="cpu", models_dir=tmp_path / "models", hub_probe_s=2, download_stall_s=1
    )


@pytest.fixture
def starter_copy(tmp_path: Path) -> Path:
    folder = tmp_path / "my-model"
    shutil.copytree(STARTER_FOLDER, folder)
    return folder


# --- auto ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("known_cost")
def test_auto_on_a_cpu_is_small_downloaded_once(hub_of: HubOf, tmp_path: Path) -> None:
    served = hub_of()
    first = resolve_model(config(tmp_path))
    assert (first.name, first.is_starter) == ("small", False)
    assert first.path == tmp_path / "models" / "Systran--faster-whisper-small"
    asked = len(served.requests)
    assert resolve_model(config(tmp_path)) == first
    assert len(served.requests) == asked


def test_auto_without_a_hub_is_the_starter_and_says_so_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        model = resolve_model(config(tmp_path))
    assert model.is_starter and model.path == STARTER_FOLDER
    assert "small is not here" in model.reason and "cannot be reached" in model.reason
    assert "STARTER" in caplog.text and "host-stt model add" in caplog.text


@pytest.mark.parametrize("ways", [{"spoil": True}, {"repositories": ()}, {"status": 500}])
def test_auto_works_with_every_error_of_the_hub(
    hub_of: HubOf, tmp_path: Path, ways: dict[str, object]
) -> None:
    hub_of(**ways)
    assert resolve_model(config(tmp_path)).is_starter


def test_auto_is_decided_within_ten_seconds_by_default() -> None:
    assert EngineConfig().hub_probe_s <= 9


def test_auto_survives_a_models_folder_that_cannot_be_written(hub_of: HubOf, tmp_path: Path) -> None:
    hub_of()
    (tmp_path / "models").write_text("a file where the folder should be")
    assert resolve_model(config(tmp_path)).is_starter


@pytest.mark.usefixtures("known_cost")
def test_a_model_in_the_hubs_own_cache_is_used_without_asking(hub_of: HubOf, tmp_path: Path) -> None:
    served = hub_of()
    huggingface_hub.snapshot_download(SMALL, endpoint=served.url, cache_dir=tmp_path / "hub-cache")
    served.requests.clear()
    model = resolve_model(config(tmp_path))
    assert model.name == "small" and (tmp_path / "hub-cache") in model.path.parents
    assert served.requests == []


@pytest.mark.usefixtures("known_cost")
def test_progress_is_reported_during_a_download(hub_of: HubOf, tmp_path: Path) -> None:
    hub_of()
    seen: list[Progress] = []
    resolve_model(config(tmp_path), seen.append)
    assert seen and seen[-1].done_bytes == seen[-1].total_bytes


# --- named explicitly ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["small", SMALL])
def test_a_named_model_never_falls_back_and_says_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(HubUnreachable) as caught:
        resolve_model(config(tmp_path, name))
    said = str(caught.value)
    assert f"host-stt model add FOLDER --name {name}" in said
    assert SMALL in said and "model.bin" in said and str(tmp_path / "models") in said


def test_a_named_model_that_does_not_exist_is_an_error(hub_of: HubOf, tmp_path: Path) -> None:
    hub_of()
    with pytest.raises(ModelNotFound, match="nobody/nothing"):
        resolve_model(config(tmp_path, "nobody/nothing"))


def test_a_damaged_download_of_a_named_model_is_an_error(hub_of: HubOf, tmp_path: Path) -> None:
    hub_of(spoil=True)
    with pytest.raises(ModelDamaged, match="removed"):
        resolve_model(config(tmp_path, "small"))


def test_an_unknown_model_name_is_refused_with_the_list_of_names(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="large-v3-turbo"):
        resolve_model(config(tmp_path, "smol"))


def test_a_folder_is_used_where_it_is(tmp_path: Path, starter_copy: Path) -> None:
    model = resolve_model(config(tmp_path, str(starter_copy)))
    assert model.path == starter_copy and not model.is_starter


@pytest.mark.parametrize("name", ["/no/such/folder", "./nope", "~/nope"])
def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelNotFound, match="no model folder"):
        resolve_model(config(tmp_path, name))


def test_the_starter_can_be_chosen(tmp_path: Path) -> None:
    model = resolve_model(config(tmp_path, "starter"))
    assert model.is_starter and "config" in model.reason


def test_the_names_of_faster_whisper_are_known() -> None:
    assert repository_of("large-v3-turbo").endswith("/faster-whisper-large-v3-turbo")
    assert repository_of("org/name") == "org/name"


# --- folders -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("known_cost")
def test_an_added_model_is_found_by_its_name_and_listed(tmp_path: Path, starter_copy: Path) -> None:
    (starter_copy / "notes.txt").write_text("not ours")
    models = tmp_path / "models"
    added = add_model(starter_copy, models, "small")
    assert find_model("small", models) == added
    assert resolve_model(config(tmp_path)).path == added
    assert [(m.name, m.is_starter) for m in list_models(models)] == [("starter", True), ("small", False)]
    assert not (added / "notes.txt").exists()


def test_a_model_added_under_a_hub_id_is_found_by_it(tmp_path: Path, starter_copy: Path) -> None:
    add_model(starter_copy, tmp_path / "models", "org/name")
    assert not resolve_model(config(tmp_path, "org/name")).is_starter
    assert [m.name for m in list_models(tmp_path / "models")] == ["starter", "org/name"]


def test_a_folder_adds_under_its_own_name_once(tmp_path: Path, starter_copy: Path) -> None:
    models = tmp_path / "models"
    assert add_model(starter_copy, models).name == "my-model"
    with pytest.raises(ModelError, match="exists already"):
        add_model(starter_copy, models)


@pytest.mark.parametrize("name", ["auto", "starter", "../up", "a/b/c", "-x", "a b"])
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, starter_copy: Path, name: str) -> None:
    with pytest.raises(ModelError, match="cannot be a model's name"):
        add_model(starter_copy, tmp_path / "models", name)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("missing", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_an_incomplete_folder_is_refused_by_the_file_it_lacks(
    tmp_path: Path, starter_copy: Path, missing: str
) -> None:
    (starter_copy / missing).unlink()
    for attempt in (
        lambda: check_folder(starter_copy),
        lambda: add_model(starter_copy, tmp_path / "models"),
        lambda: resolve_model(config(tmp_path, str(starter_copy))),
    ):
        with pytest.raises(ModelDamaged, match=missing):
            attempt()


def test_a_config_that_is_no_json_is_refused(starter_copy: Path) -> None:
    (starter_copy / "config.json").write_text("{")
    with pytest.raises(ModelDamaged, match="not JSON"):
        check_folder(starter_copy)


# --- warm-up -------------------------------------------------------------------------------------------


def test_a_warm_up_without_text_fails_for_a_model_that_must_give_text() -> None:
    warm_up(FakeEngine(script_of("alpha one")), must_hear=True)
    warm_up(FakeEngine(), must_hear=False)
    with pytest.raises(ModelDamaged, match="gives no text"):
        warm_up(FakeEngine(), must_hear=True)


def test_a_warm_up_that_gives_an_error_fails() -> None:
    class Refuses(FakeEngine):
        def decode(self, windows: Sequence[Window]) -> list[Answer]:
            return FakeEngine(languages=("ko",)).decode(windows)

    with pytest.raises(ModelDamaged, match="cannot decode the test clip"):
        warm_up(Refuses(), must_hear=False)
