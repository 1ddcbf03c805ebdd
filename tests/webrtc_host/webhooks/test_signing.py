"""The signature, checked by the example of the documentation."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from webrtc_host.webhooks.signing import headers_of, new_secret

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "alerts.md"


def documented() -> Callable[..., bool]:
    """The function `is_genuine` of the page."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    names: dict[str, Callable[..., bool]] = {}
    exec(code, names)
    return names["is_genuine"]


def test_the_documented_check_accepts_a_delivery_and_refuses_every_change_of_it() -> None:
    secret, body = new_secret(), '{"type":"webhook.test","글":"가"}'.encode()
    headers = headers_of(secret, "d_1", "webhook.test", body, 1_700_000_000)
    is_genuine = documented()
    assert is_genuine(secret, headers, body, now_s=1_700_000_010)
    assert not is_genuine(secret, headers, body + b" ", now_s=1_700_000_010)
    assert not is_genuine(new_secret(), headers, body, now_s=1_700_000_010)
    assert not is_genuine(secret, {**headers, "webhook-id": "d_2"}, body, now_s=1_700_000_010)
    assert not is_genuine(secret, headers, body, now_s=1_700_000_900), "a replay of an old delivery"


def test_the_headers_name_the_delivery_the_event_and_the_schema() -> None:
    headers = headers_of(new_secret(), "d_1", "alert.raised", b"{}", 5)
    assert (headers["webhook-id"], headers["webhook-event"], headers["webhook-schema"]) == (
        *("d_1", "alert.raised", "1"),
    )
