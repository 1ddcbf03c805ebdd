"""The talkgroups of the configuration: which ones fit together, and which entry a call gets."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from webrtc_host.doors.radio.talkgroups import Talkgroups
from webrtc_host.settings.radio import RadioConfig

ONE = {"talkgroup": 1, "channel": "C01"}


def test_an_entry_that_names_the_system_comes_before_one_of_every_system() -> None:
    config = RadioConfig.model_validate(
        {"talkgroups": [ONE, {"talkgroup": 1, "channel": "C02", "systems": ["11", "County"]}]}
    )
    talkgroups = Talkgroups(config.talkgroups, config.unknown, 64)
    found = [talkgroups.find(systems, 1) for systems in (("11",), ("x", "county"), ("12",), (), None)]
    assert [one and one.channel for one in found] == ["C02", "C02", "C01", "C01", "C01"]
    assert talkgroups.find(("11",), 2) is None
    assert talkgroups.has_system("anything")


@pytest.mark.parametrize(
    ("talkgroups", "complaint"),
    [
        ([ONE, {"talkgroup": 2, "channel": "C01"}], "two talkgroups feed the channel C01: 1 and 2"),
        ([ONE, {"talkgroup": 1, "channel": "C02"}], "talkgroup 1 is named twice"),
        (
            [{**ONE, "systems": ["a"]}, {"talkgroup": 1, "channel": "C02", "systems": ["b", "A"]}],
            "talkgroup 1 is named twice",
        ),
        ([{"talkgroup": -1, "channel": "C01"}], "greater than or equal to 0"),
        ([{"talkgroup": 1, "channel": "fire"}], "pattern"),
        ([{**ONE, "systems": [" "]}], "radio system"),
        ([{**ONE, "colour": "red"}], "not permitted"),
    ],
)
def test_talkgroups_that_do_not_fit_together_are_refused(
    talkgroups: list[dict[str, Any]], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        RadioConfig.model_validate({"talkgroups": talkgroups})


def test_the_settings_of_simplestream_are_checked() -> None:
    for wrong in ({"host": "here"}, {"allow": ["everyone"]}, {"port": 70_000}, {"hang_s": 0}):
        with pytest.raises(ValidationError):
            RadioConfig.model_validate({"simplestream": wrong})
