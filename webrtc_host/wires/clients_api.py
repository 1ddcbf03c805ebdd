"""`GET /api/clients`: the settings for the clients of other services, and which of them send audio now."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import Field

from webrtc_host.config import MediaProcessConfig
from webrtc_host.desk.levels import levels_of
from webrtc_host.http.requests import Query, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.wires.client_settings import ClientSettings, KeyPlace, clients_of

BASE_PATTERN = r"^https?://[A-Za-z0-9._~:\[\]/-]+$"
"""No character in it has a meaning in the examples, so an address cannot change what they do."""


class ClientsQuery(Query):
    base: str | None = Field(
        None,
        max_length=300,
        pattern=BASE_PATTERN,
        description="the address of this server, as the caller knows it; default: the address of the request",
    )


class ClientEntry(Response):
    id: str
    name: str
    doors: list[DoorKind] = Field(description="as in `channel.opened`; empty: whole files, and no channel")
    address: str
    key: KeyPlace = Field(description="where the client has the token")
    language: str = Field(description="of the example")
    example: str
    needs_https: bool


class FeedEntry(Response):
    door: DoorKind
    session: str
    channel: str
    label: str
    rms_db: float | None = Field(description="loudness in dBFS; null: no audio in the last second")


class ClientsResponse(Response):
    asks_token: bool = Field(description="false: every key is accepted")
    clients: list[ClientEntry] = Field(description="the clients that the configuration turns on")
    feeds: list[FeedEntry] = Field(description="the channels that a client of any kind holds now")


class ClientsApi:
    def __init__(self, config: MediaProcessConfig, registry: SessionRegistry) -> None:
        self._config, self._registry = config, registry

    @Route(
        "GET",
        "/api/clients",
        Role.VIEWER,
        "Settings for the clients of other services, and which of them send audio",
        query=ClientsQuery,
        response=ClientsResponse,
    )
    async def clients(self, request: web.Request) -> web.Response:
        base = read_query(request, ClientsQuery).base or str(request.url.origin())
        config = self._config
        clients = clients_of(config.doors, config.radio, base)
        return json_response(
            {
                "asks_token": bool(config.token or config.tokens),
                "clients": [_entry(client) for client in clients],
                "feeds": self._feeds(),
            }
        )

    def _feeds(self) -> list[dict[str, Any]]:
        levels = {session.id: levels_of(session) for session in self._registry}
        return [
            {
                "door": connection.door.value,
                "session": connection.session.id,
                "channel": channel.id,
                "label": channel.label,
                "rms_db": levels.get(connection.session.id, {}).get(channel.id, (None, None))[0],
            }
            for connection in self._registry.connections.values()
            for channel in connection.channels
        ]


def _entry(client: ClientSettings) -> dict[str, Any]:
    return {
        "id": client.id,
        "name": client.name,
        "doors": client.doors,
        "address": client.address,
        "key": client.key,
        "language": client.language,
        "example": client.example,
        "needs_https": client.needs_https,
    }
