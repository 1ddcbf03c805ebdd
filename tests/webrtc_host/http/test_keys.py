"""Where the clients of a protocol put their key."""

from __future__ import annotations

import pytest

from webrtc_host.http.keys import KeyPlaces

DEEPGRAM = KeyPlaces(schemes=("token", "bearer"), subprotocols=("token", "bearer"))
BARE = KeyPlaces(schemes=("", "bearer"))
OPENAI = KeyPlaces(subprotocol_prefix="openai-insecure-api-key.", headers=("X-API-Key",), query=())


@pytest.mark.parametrize(
    ("places", "headers", "query", "key"),
    [
        (KeyPlaces(), {"Authorization": "Bearer K"}, {}, "K"),
        (KeyPlaces(), {"Authorization": "Token K"}, {"token": "Q"}, "Q"),
        (KeyPlaces(), {}, {}, ""),
        (DEEPGRAM, {"Authorization": "TOKEN  K"}, {}, "K"),
        (DEEPGRAM, {"Sec-WebSocket-Protocol": "token, K"}, {}, "K"),
        (DEEPGRAM, {"Sec-WebSocket-Protocol": "other, bearer,K"}, {}, "K"),
        (DEEPGRAM, {"Sec-WebSocket-Protocol": "token"}, {"token": "Q"}, "Q"),
        (BARE, {"Authorization": "K"}, {}, "K"),
        (BARE, {"Authorization": "bearer K"}, {}, "K"),
        (BARE, {"Authorization": "basic K"}, {}, ""),
        (OPENAI, {"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.K"}, {}, "K"),
        (OPENAI, {"X-API-Key": "K"}, {"token": "Q"}, "K"),
        (OPENAI, {}, {"token": "Q"}, ""),
    ],
)
def test_the_key_is_found(
    places: KeyPlaces, headers: dict[str, str], query: dict[str, str], key: str
) -> None:
    assert places.key_in(headers, query) == key
