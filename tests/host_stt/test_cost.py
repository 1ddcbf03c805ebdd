from __future__ import annotations

from host_stt.cost import CostModel


def test_the_cost_of_a_machine_is_learnt_from_its_calls() -> None:
    cost = CostModel()
    for turn in range(800):
        rows = 1 + turn % 16
        cost.observe(False, 10, rows, 0.040 + rows * 0.006)
    for rows in (1, 4, 16):
        truth = 0.040 + rows * 0.006
        assert abs(cost.predict_s(False, 10, rows) - truth) < 0.1 * truth


def test_the_cost_follows_a_slower_machine_after_a_few_calls() -> None:
    cost = CostModel()
    for _ in range(50):
        cost.observe(False, 10, 4, 0.050)
    for _ in range(8):
        cost.observe(False, 10, 4, 0.200)
    assert cost.predict_s(False, 10, 4) > 0.150


def test_the_cost_of_finals_does_not_change_the_cost_of_interims() -> None:
    cost = CostModel()
    before = cost.predict_s(False, 10, 1)
    for _ in range(50):
        cost.observe(True, 10, 1, 3.0)
    assert cost.predict_s(False, 10, 1) == before
    assert cost.predict_s(True, 10, 1) > 2.5


def test_a_longer_window_has_a_higher_cost_before_any_call() -> None:
    cost = CostModel()
    assert cost.predict_s(True, 30, 1) > cost.predict_s(True, 10, 1)
