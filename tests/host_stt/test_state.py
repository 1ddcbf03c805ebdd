from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from host_stt.download import Progress
from host_stt.model_cost import AvailableModel, ModelCost
from host_stt.state import EngineState, ModelFacts, Phase

FACTS = ModelFacts("small", "auto: the default on a CPU", False, "cpu", "int8", ("en",))


def test_each_step_of_the_start_is_reported() -> None:
    state = EngineState()
    assert state.now.body() == {"ready": False, "state": "starting", "message": "looking for the model"}
    state.downloading(Progress("model.bin", 5_000_000, 10_000_000))
    body = state.now.body()
    assert body["message"] == "downloading 5 of 10 MB" and body["progress"]["done_bytes"] == 5_000_000
    state.measuring("small")
    body = state.now.body()
    assert (body["state"], body["message"]) == ("measuring", "measuring how fast small is on this machine")
    assert "progress" not in body
    state.loading(FACTS)
    assert "progress" not in state.now.body() and state.now.body()["model"] == "small"
    state.ready(FACTS)
    body = state.now.body()
    assert body["ready"] and body["model_reason"] == FACTS.reason and body["is_starter"] is False


def test_ready_lists_every_model_on_the_machine_with_its_cost() -> None:
    others = (
        AvailableModel("small", Path("/m/small"), ModelCost(0.9, 0.8, 6.6), is_chosen=True),
        AvailableModel("mine", Path("/m/mine"), note="its accuracy is not known"),
    )
    state = EngineState()
    state.ready(replace(FACTS, available=others, channels_expected=2))
    body = state.now.body()
    assert body["channels_expected"] == 2
    assert [(one["name"], one["is_chosen"], one["final_ms"]) for one in body["models"]] == [
        ("small", True, 900),
        ("mine", False, None),
    ]


def test_the_state_stopping_does_not_change_any_more() -> None:
    state = EngineState()
    state.stopping()
    state.ready(FACTS)
    state.failed("too late")
    assert state.now.phase is Phase.STOPPING and not state.now.is_ready
