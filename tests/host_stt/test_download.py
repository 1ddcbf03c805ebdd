from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest

from host_stt import hub
from host_stt.download import Progress, fetch
from host_stt.errors import HubUnreachable, ModelDamaged, ModelError, ModelNotFound
from host_stt.models import STARTER_FOLDER
from tests.host_stt.conftest import SMALL
from tests.support.hub import FakeHub

HubOf = Callable[..., FakeHub]
WEIGHTS = (STARTER_FOLDER / "model.bin").stat().st_size


def fetched(target: Path, stall_s: float = 5.0, within_s: float = 5.0) -> list[Progress]:
    seen: list[Progress] = []
    fetch(hub.ask(SMALL, within_s), target, stall_s, seen.append)
    return seen


def assert_is_the_starter(folder: Path) -> None:
    for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.json"):
        assert (folder / name).read_bytes() == (STARTER_FOLDER / name).read_bytes()


def test_the_test_hub_works_with_the_real_hub_library(hub_of: HubOf, tmp_path: Path) -> None:
    served = hub_of()
    folder = huggingface_hub.snapshot_download(
        SMALL, endpoint=served.url, cache_dir=tmp_path, allow_patterns=list(hub.FILES)
    )
    assert_is_the_starter(Path(folder))


def test_a_download_is_complete_and_reports_its_progress(hub_of: HubOf, tmp_path: Path) -> None:
    hub_of()
    seen = fetched(tmp_path / "small")
    assert_is_the_starter(tmp_path / "small")
    assert [p.done_bytes for p in seen] == sorted(p.done_bytes for p in seen)
    assert seen[-1].done_bytes == seen[-1].total_bytes > WEIGHTS
    assert not list(tmp_path.glob("*.incoming"))


def test_a_cut_connection_resumes_where_it_was(hub_of: HubOf, tmp_path: Path) -> None:
    served = hub_of(cut_after_bytes=WEIGHTS // 2 + 1)
    fetched(tmp_path / "small")
    assert_is_the_starter(tmp_path / "small")
    assert served.ranges() == [f"bytes={WEIGHTS // 2 + 1}-"]


def test_a_second_run_resumes_an_unfinished_download(hub_of: HubOf, tmp_path: Path) -> None:
    hub_of(stall_at_byte=WEIGHTS // 2)
    with pytest.raises(HubUnreachable, match="resumes there"):
        fetched(tmp_path / "small", stall_s=0.3)
    served = hub_of()
    fetched(tmp_path / "small")
    assert_is_the_starter(tmp_path / "small")
    assert served.ranges() == [f"bytes={WEIGHTS // 2}-"]


def test_a_download_starts_again_when_the_server_has_no_range_requests(hub_of: HubOf, tmp_path: Path) -> None:
    part_bytes = WEIGHTS // 3
    served = hub_of(ignore_ranges=True)
    model = hub.ask(SMALL, 5)
    weights = next(file for file in model.files if file.name == "model.bin")
    incoming = tmp_path / "small.incoming"
    incoming.mkdir()
    (incoming / f"model.bin.{weights.digest[:16]}.part").write_bytes(b"x" * part_bytes)
    fetched(tmp_path / "small")
    assert_is_the_starter(tmp_path / "small")
    assert served.ranges() == [f"bytes={part_bytes}-"]


def test_a_wrong_hash_removes_the_file_and_says_so(hub_of: HubOf, tmp_path: Path) -> None:
    hub_of(spoil=True)
    with pytest.raises(ModelDamaged, match="model.bin .* differs"):
        fetched(tmp_path / "small")
    assert not (tmp_path / "small").exists()
    assert not list((tmp_path / "small.incoming").glob("model.bin*"))
    hub_of()
    fetched(tmp_path / "small")
    assert_is_the_starter(tmp_path / "small")


def test_a_damaged_part_of_an_earlier_download_is_detected(hub_of: HubOf, tmp_path: Path) -> None:
    hub_of()
    weights = next(file for file in hub.ask(SMALL, 5).files if file.name == "model.bin")
    incoming = tmp_path / "small.incoming"
    incoming.mkdir()
    (incoming / f"model.bin.{weights.digest[:16]}.part").write_bytes(b"x" * 1000)
    with pytest.raises(ModelDamaged):
        fetched(tmp_path / "small")
    fetched(tmp_path / "small")
    assert_is_the_starter(tmp_path / "small")


def test_a_file_that_is_missing_on_the_hub_is_named(hub_of: HubOf, tmp_path: Path) -> None:
    served = hub_of()
    model = hub.ask(SMALL, 5)
    served.without = ("tokenizer.json",)
    with pytest.raises(ModelNotFound):
        fetch(model, tmp_path / "small", 5)


def test_the_token_goes_to_the_hub_and_not_to_its_file_servers(
    hub_of: HubOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    served = hub_of(token="hf_secret")
    fetched(tmp_path / "small")
    assert served.file_server_tokens and set(served.file_server_tokens) == {""}


def test_a_download_that_does_not_fit_the_disk_is_refused_with_a_message(
    hub_of: HubOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub_of()
    almost_full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("host_stt.download.shutil.disk_usage", lambda path: almost_full)
    with pytest.raises(ModelError, match="GB are free"):
        fetched(tmp_path / "small")


def test_two_parallel_downloads_install_one_model(hub_of: HubOf, tmp_path: Path) -> None:
    served = hub_of()
    model = hub.ask(SMALL, 5)
    threads = [threading.Thread(target=fetch, args=(model, tmp_path / "small", 5)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_is_the_starter(tmp_path / "small")
    assert sum(path == "/files/model.bin" for _, path, _ in served.requests) == 1
