"""Places of which one caller gets half."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from host_stt_common.callers import LOOPBACK
from host_stt_common.places import NoPlace, Places, share_of


def test_one_caller_gets_at_most_half_of_the_places() -> None:
    places = Places(4)
    with ExitStack() as stack:
        for key in ("a", "a", "b"):
            stack.enter_context(places.take(key))
        with pytest.raises(NoPlace) as refused, places.take("a"):
            raise AssertionError
        assert (refused.value.held, refused.value.who) == (2, "from your address")
        stack.enter_context(places.take("c"))
        with pytest.raises(NoPlace) as refused, places.take("d"):
            raise AssertionError
        assert (refused.value.held, refused.value.who) == (4, "from all callers")
    assert len(places) == 0 and places.callers == 0


def test_a_place_is_free_again_after_an_error() -> None:
    places = Places(2)
    with pytest.raises(ValueError, match="broken"), places.take("a"):
        raise ValueError("broken")
    with places.take("a"):
        assert len(places) == 1


@pytest.mark.parametrize(
    ("key", "total", "share"), [("a", 4, 2), ("a", 1, 1), ("a", 5, 2), (LOOPBACK, 4, 4), (LOOPBACK, 1, 1)]
)
def test_this_machine_itself_may_have_all(key: str, total: int, share: int) -> None:
    assert share_of(key, total) == share
