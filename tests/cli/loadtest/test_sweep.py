from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from host_stt_cli.loadtest.sweep import largest


@given(st.integers(0, 64), st.integers(1, 64), st.integers(1, 64))
async def test_the_edge_is_found_without_trying_a_number_twice(edge: int, first: int, most: int) -> None:
    tried: list[int] = []

    async def holds(channels: int) -> bool:
        tried.append(channels)
        return channels <= edge

    assert await largest(holds, first, most) == min(edge, most)
    assert len(tried) == len(set(tried)) and all(1 <= n <= most for n in tried)
    assert len(tried) <= 14
