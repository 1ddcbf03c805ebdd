"""Checks of fields by name: unknown fields are refused, and so are two different values of one field. Pure.

A field that is silently ignored is noticed too late: audio at half speed, or text in another session.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from webrtc_host.errors import RequestError

SHOWN_CHARS = 40


def check_fields(given: Collection[str], known: Collection[str], where: str) -> None:
    """Raises RequestError 422 `unknown_field` for the first of `given` that is not known.

    where: the place of the fields, for the message: "the body", "the first message".
    """
    for name in given:
        if name not in known:
            raise RequestError(
                "unknown_field",
                f"{where} has a field {_shown(name)}, which is not known here; known: {', '.join(known)}",
                422,
            )


def merged(address: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a query and of the message after it. None and "" in the message count as no value.

    Raises RequestError 422 `contradiction` when both have a field with different values.
    """
    both = dict(address)
    for name, value in message.items():
        if value is None or (value == "" and name in both):
            continue
        if name in both and both[name] != value:
            raise contradiction(name, both[name], value)
        both[name] = value
    return both


def contradiction(name: str, in_address: object, in_message: object) -> RequestError:
    return RequestError(
        "contradiction",
        f"`{name}` is {_shown(in_address)} in the address and {_shown(in_message)} in the message; "
        "say it once",
        422,
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"
