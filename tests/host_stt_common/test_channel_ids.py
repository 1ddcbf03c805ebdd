from __future__ import annotations

import pytest

from host_stt_common.channel_ids import (
    NAMED_MAX,
    BadChannelId,
    channel_id_of,
    channel_ids_of,
    is_channel_id,
)


def test_a_channel_id_is_a_letter_and_two_digits() -> None:
    assert [channel_id_of(number) for number in (1, 16, 99)] == ["C01", "C16", "C99"]
    assert all(is_channel_id(channel_id_of(number)) for number in range(1, 100))


@pytest.mark.parametrize("text", ["", "C1", "C001", "c01", "C01\n", " C01", "C٠١", "C0x", "D01", "C01,C02"])
def test_any_other_text_is_not_a_channel_id(text: str) -> None:
    assert not is_channel_id(text)


def test_a_list_names_each_channel_once() -> None:
    assert channel_ids_of("C01") == {"C01"}
    assert channel_ids_of("C02, C01 ,C02") == {"C01", "C02"}


@pytest.mark.parametrize(
    ("text", "name"), [("", ""), ("C01,", ""), ("C01,radio", "radio"), ("C01;C02", "C01;C02")]
)
def test_the_error_for_a_list_names_the_wrong_channel(text: str, name: str) -> None:
    with pytest.raises(BadChannelId, match="C01, C02") as caught:
        channel_ids_of(text)
    assert caught.value.name == name


def test_the_length_of_a_list_is_limited() -> None:
    with pytest.raises(BadChannelId):
        channel_ids_of(",".join(["C01"] * (NAMED_MAX + 2)))
