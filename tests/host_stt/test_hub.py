from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest

from host_stt import hub
from host_stt.errors import HubUnreachable, ModelDamaged, ModelError, ModelNotFound
from host_stt.models import STARTER_FOLDER
from tests.host_stt.conftest import SMALL
from tests.support.hub import COMMIT, FakeHub

HubOf = Callable[..., FakeHub]
WEIGHTS = (STARTER_FOLDER / "model.bin").stat().st_size


def fetched(target: Path, stall_s: float = 5.0, within_s: float = 5.0) -> list[hub.Progress]:
    seen: list[hub.Progress] = []
    hub.fetch(hub.ask(SMALL, within_s), target, stall_s, seen.append)
    return seen


def assert_is_the_starter(folder: Path) -> None:
    for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.json"):
        assert (folder / name).read_bytes() == (STARTER_FOLDER / name).read_bytes()


def test_our_hub_speaks_as_the_real_library_expects(hub_of: HubOf, tmp_path: Path) -> None:
    served = hub_of()
    folder = huggingface_hub.snapshot_download(
        SMALL, endpoint=served.url, cache_dir=tmp_path, allow_patterns=list(hub.FILES)
    )
    assert_is_the_starter(Path(folder))


def test_the_hub_says_what_there_is(hub_of: HubOf) -> None:
    hub_of()
    model = hub.ask(SMALL, 5)
    assert model.commit == COMMIT
    assert {file.name for file in model.files} >= {"config.json", "model.bin", "tokenizer.json"}
    weights = next(file for file in model.files if file.name == "model.bin")
    assert weights.size_bytes == WEIGHTS and len(weights.sha256) == 64
    config = next(file for file in model.files if file.name == "config.json")
    assert len(config.git_sha1) == 40


def test_a_download_arrives_whole_and_tells_how_far_it_is(hub_of: HubOf, tmp_path: Path) -> None:
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


def test_a_second_run_resumes_what_the_first_left(hub_of: HubOf, tmp_path: Path) -> None:
    hub_of(stall_at_byte=WEIGHTS // 2)
    with pytest.raises(HubUnreachable, match="resumes there"):
        fetched(tmp_path / "small", stall_s=0.3)
    served = hub_of()
    fetched(tmp_path / "small")
    assert_is_the_starter(tmp_path / "small")
    assert served.ranges() == [f"bytes={WEIGHTS // 2}-"]


def test_a_server_without_ranges_begins_again(hub_of: HubOf, tmp_path: Path) -> None:
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
    with pytest.raises(ModelDamaged, match="model.bin .* another content"):
        fetched(tmp_path / "small")
    assert not (tmp_path / "small").exists()
    assert not list((tmp_path / "small.incoming").glob("model.bin*"))
    hub_of()
    fetched(tmp_path / "small")
    assert_is_the_starter(tmp_path / "small")


def test_a_damaged_part_of_an_earlier_run_is_found_out(hub_of: HubOf, tmp_path: Path) -> None:
    hub_of()
    weights = next(file for file in hub.ask(SMALL, 5).files if file.name == "model.bin")
    incoming = tmp_path / "small.incoming"
    incoming.mkdir()
    (incoming / f"model.bin.{weights.digest[:16]}.part").write_bytes(b"x" * 1000)
    with pytest.raises(ModelDamaged):
        fetched(tmp_path / "small")
    fetched(tmp_path / "small")
    assert_is_the_starter(tmp_path / "small")


@pytest.mark.parametrize("repository", ["nobody/nothing", "Systran/faster-whisper-smal"])
def test_a_model_that_is_not_there_is_said_not_to_be(hub_of: HubOf, repository: str) -> None:
    hub_of()
    with pytest.raises(ModelNotFound, match=repository) as caught:
        hub.ask(repository, 5)
    assert not isinstance(caught.value, HubUnreachable)


def test_a_file_that_went_missing_is_said_to_be(hub_of: HubOf, tmp_path: Path) -> None:
    served = hub_of()
    model = hub.ask(SMALL, 5)
    served.without = ("tokenizer.json",)
    with pytest.raises(ModelNotFound):
        hub.fetch(model, tmp_path / "small", 5)


def test_a_repository_of_another_kind_is_told_apart(hub_of: HubOf) -> None:
    hub_of(without=("model.bin",))
    with pytest.raises(ModelNotFound, match="no model.bin"):
        hub.ask(SMALL, 5)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_hub_in_trouble_counts_as_unreachable(hub_of: HubOf, status: int) -> None:
    hub_of(status=status)
    with pytest.raises(HubUnreachable, match=str(status)):
        hub.ask(SMALL, 5)


@pytest.fixture
def black_hole(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        yield listener


def assert_unreachable_within(limit_s: float) -> None:
    began = time.monotonic()
    with pytest.raises(HubUnreachable):
        hub.ask(SMALL, 0.5)
    assert time.monotonic() - began < limit_s


def test_a_black_hole_is_given_up_in_time(black_hole: socket.socket) -> None:
    assert_unreachable_within(5)


def test_an_answer_that_trickles_is_given_up_in_time(black_hole: socket.socket) -> None:
    done = threading.Event()

    def trickle() -> None:
        connection, _ = black_hole.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not done.wait(0.1):
                connection.sendall(b" ")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        assert_unreachable_within(5)
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:9", "http://hub.invalid", "http://192.0.2.1", "nonsense", "http://127.0.0.1:70000"],
    ids=["refused", "no such name", "no route", "no address", "no port"],
)
def test_a_hub_that_is_not_there_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert_unreachable_within(5)


def test_offline_means_not_asked(hub_of: HubOf, monkeypatch: pytest.MonkeyPatch) -> None:
    served = hub_of()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubUnreachable, match="HF_HUB_OFFLINE"):
        hub.ask(SMALL, 5)
    assert served.requests == []


def test_something_else_on_that_address_is_no_hub(monkeypatch: pytest.MonkeyPatch, hub_of: HubOf) -> None:
    served = hub_of(repositories=("files/config",))
    monkeypatch.setenv("HF_ENDPOINT", served.url + "/files/config.json?")
    with pytest.raises(HubUnreachable, match="does not answer as a model hub"):
        hub.ask(SMALL, 5)


def test_the_token_goes_to_the_hub_and_not_to_its_file_servers(
    hub_of: HubOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    served = hub_of(token="hf_secret")
    fetched(tmp_path / "small")
    assert served.file_server_tokens and set(served.file_server_tokens) == {""}


def test_a_disk_that_is_too_small_is_said_to_be(
    hub_of: HubOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub_of()
    almost_full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("host_stt.hub.shutil.disk_usage", lambda path: almost_full)
    with pytest.raises(ModelError, match="GB are free"):
        fetched(tmp_path / "small")


def test_two_downloads_at_once_make_one_model(hub_of: HubOf, tmp_path: Path) -> None:
    served = hub_of()
    model = hub.ask(SMALL, 5)
    threads = [threading.Thread(target=hub.fetch, args=(model, tmp_path / "small", 5)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_is_the_starter(tmp_path / "small")
    assert sum(path == "/files/model.bin" for _, path, _ in served.requests) == 1
