from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from host_stt import hub
from host_stt.errors import HubUnreachable, ModelNotFound
from host_stt.models import STARTER_FOLDER
from tests.host_stt.conftest import SMALL
from tests.support.hub import COMMIT, FakeHub

HubOf = Callable[..., FakeHub]
WEIGHTS = (STARTER_FOLDER / "model.bin").stat().st_size


def test_the_hub_lists_the_files_of_a_model(hub_of: HubOf) -> None:
    hub_of()
    model = hub.ask(SMALL, 5)
    assert model.commit == COMMIT
    assert {file.name for file in model.files} >= {"config.json", "model.bin", "tokenizer.json"}
    weights = next(file for file in model.files if file.name == "model.bin")
    assert weights.size_bytes == WEIGHTS and len(weights.sha256) == 64
    config = next(file for file in model.files if file.name == "config.json")
    assert len(config.git_sha1) == 40


@pytest.mark.parametrize("repository", ["nobody/nothing", "Systran/faster-whisper-smal"])
def test_a_missing_model_is_reported_as_missing(hub_of: HubOf, repository: str) -> None:
    hub_of()
    with pytest.raises(ModelNotFound, match=repository) as caught:
        hub.ask(repository, 5)
    assert not isinstance(caught.value, HubUnreachable)


def test_a_repository_without_weights_is_reported(hub_of: HubOf) -> None:
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


def test_a_hub_that_never_responds_is_given_up_in_time(black_hole: socket.socket) -> None:
    assert_unreachable_within(5)


def test_a_very_slow_response_is_given_up_in_time(black_hole: socket.socket) -> None:
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
def test_an_unreachable_hub_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert_unreachable_within(5)


def test_the_hub_gets_no_request_when_offline_is_set(hub_of: HubOf, monkeypatch: pytest.MonkeyPatch) -> None:
    served = hub_of()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubUnreachable, match="HF_HUB_OFFLINE"):
        hub.ask(SMALL, 5)
    assert served.requests == []


def test_another_server_on_the_hub_address_is_not_taken_for_a_hub(
    monkeypatch: pytest.MonkeyPatch, hub_of: HubOf
) -> None:
    served = hub_of(repositories=("files/config",))
    monkeypatch.setenv("HF_ENDPOINT", served.url + "/files/config.json?")
    with pytest.raises(HubUnreachable, match="does not respond like a model hub"):
        hub.ask(SMALL, 5)
