"""`/api/webhooks`: the receivers of events, their state, their deliveries, and a test.

Only the routes; `webrtc_host.webhooks` stores and sends. The secret of a webhook is in the response to the
request that makes it, and in no other one.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import Row

from webrtc_host.desk.session_view import wall_of
from webrtc_host.http.audit import DETAIL
from webrtc_host.http.requests import Body, Name, Query, read_body, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.webhooks.addresses import check_url
from webrtc_host.webhooks.outbox import SUBSCRIBABLE
from webrtc_host.webhooks.service import WebhookService
from webrtc_host.webhooks.signing import new_secret

WEBHOOKS = "/api/webhooks"
WEBHOOK = WEBHOOKS + "/{webhook}"


def _url(value: str) -> str:
    try:
        return check_url(value)
    except ValueError as error:
        raise PydanticCustomError("bad_url", "{why}", {"why": str(error)}) from error


def _events(value: list[str]) -> list[str]:
    for name in value:
        if name not in SUBSCRIBABLE:
            known = ", ".join(SUBSCRIBABLE)
            raise PydanticCustomError("bad_event", "has an unknown event; known: {known}", {"known": known})
    return sorted(set(value), key=SUBSCRIBABLE.index)


Url = Annotated[str, Field(max_length=2_000), AfterValidator(_url)]
Events = Annotated[list[str], Field(min_length=1, max_length=20), AfterValidator(_events)]


class NewWebhook(Body):
    name: Name
    url: Url = Field(description="http or https, without a password")
    events: Events = Field(description="names of events: " + ", ".join(SUBSCRIBABLE))


class WebhookChange(Body):
    name: Name | None = None
    url: Url | None = None
    events: Events | None = None
    state: Literal["active", "off"] | None = Field(None, description="active: also after a pause")


class DeliveriesQuery(Query):
    limit: int = Field(50, ge=1, le=200)


class WebhookEntry(Response):
    webhook: str
    name: str
    url: str
    events: list[str]
    state: Literal["active", "paused", "off"]
    failures: int = Field(description="failed attempts since the last success")
    reason: str | None = Field(description="the last failure; null after a success")
    waiting: int = Field(description="deliveries in the outbox")
    dropped: int = Field(description="deliveries that did not fit into the outbox")
    created_wall: str


class WebhookWithSecret(WebhookEntry):
    secret: str = Field(description="the key of the signature; no other response has it")


class WebhooksResponse(Response):
    webhooks: list[WebhookEntry]
    events: list[str] = Field(description="the events that a webhook can subscribe to")


class DeliveryEntry(Response):
    delivery: str
    event: str
    state: Literal["waiting", "delivered", "failed"]
    tries: int
    created_wall: str
    next_wall: str | None = Field(description="of the next attempt; null: there is none")
    done_wall: str | None
    status: int | None = Field(description="of the last response")
    error: str | None


class DeliveriesResponse(Response):
    deliveries: list[DeliveryEntry] = Field(description="newest first")


class WebhookTestResponse(Response):
    is_delivered: bool
    status: int | None
    error: str | None
    took_ms: int


class RemovedResponse(Response):
    webhook: str
    is_removed: bool


class WebhooksApi:
    def __init__(self, service: WebhookService) -> None:
        self._service = service

    @Route("GET", WEBHOOKS, Role.ADMIN, "The webhooks", response=WebhooksResponse)
    async def list(self, request: web.Request) -> web.Response:
        read_query(request, Query)
        found = [_entry(row) for row in await self._service.all()]
        return json_response({"webhooks": found, "events": list(SUBSCRIBABLE)})

    @Route(
        "POST",
        WEBHOOKS,
        Role.ADMIN,
        "Add a webhook",
        audit="added webhook",
        body=NewWebhook,
        response=WebhookWithSecret,
        status=201,
        errors=(409, 422),
    )
    async def add(self, request: web.Request) -> web.Response:
        body = await read_body(request, NewWebhook)
        self._service.check_address(body.url)
        row, secret = await self._service.add(body.name, body.url, body.events)
        request[DETAIL] = f"{row.id} {body.name}"
        return json_response({**_entry(row), "secret": secret}, 201)

    @Route(
        "PATCH",
        WEBHOOK,
        Role.ADMIN,
        "Change a webhook, turn it off or on, or end its pause",
        audit="changed webhook",
        body=WebhookChange,
        response=WebhookEntry,
        errors=(404, 422),
    )
    async def change(self, request: web.Request) -> web.Response:
        body = await read_body(request, WebhookChange)
        if body.url is not None:
            self._service.check_address(body.url)
        values: dict[str, Any] = body.model_dump(exclude_none=True)
        if body.events is not None:
            values["events"] = json.dumps(body.events)
        request[DETAIL] = f"{_id(request)} {','.join(sorted(values))}"
        return json_response(_entry(await self._service.change(_id(request), values)))

    @Route(
        "DELETE",
        WEBHOOK,
        Role.ADMIN,
        "Remove a webhook with its deliveries",
        audit="removed webhook",
        response=RemovedResponse,
        errors=(404,),
    )
    async def remove(self, request: web.Request) -> web.Response:
        request[DETAIL] = _id(request)
        await self._service.remove(_id(request))
        return json_response({"webhook": _id(request), "is_removed": True})

    @Route(
        "POST",
        WEBHOOK + "/secret",
        Role.ADMIN,
        "Give a webhook a new secret; the old one is invalid at once",
        audit="changed secret of webhook",
        response=WebhookWithSecret,
        errors=(404,),
    )
    async def renew_secret(self, request: web.Request) -> web.Response:
        request[DETAIL] = _id(request)
        secret = new_secret()
        row = await self._service.change(_id(request), {"secret": secret})
        return json_response({**_entry(row), "secret": secret})

    @Route(
        "POST",
        WEBHOOK + "/test",
        Role.ADMIN,
        "Send `webhook.test` now, and wait for the outcome",
        audit="tested webhook",
        response=WebhookTestResponse,
        errors=(404,),
    )
    async def test(self, request: web.Request) -> web.Response:
        request[DETAIL] = _id(request)
        outcome = await self._service.test(_id(request))
        return json_response(
            {
                "is_delivered": outcome.error is None,
                "status": outcome.status,
                "error": outcome.error,
                "took_ms": outcome.took_ms,
            }
        )

    @Route(
        "GET",
        WEBHOOK + "/deliveries",
        Role.ADMIN,
        "The newest deliveries of a webhook",
        query=DeliveriesQuery,
        response=DeliveriesResponse,
        errors=(404,),
    )
    async def deliveries(self, request: web.Request) -> web.Response:
        query = read_query(request, DeliveriesQuery)
        found = await self._service.deliveries(_id(request), query.limit)
        return json_response({"deliveries": [_delivery(row) for row in found]})


def _id(request: web.Request) -> str:
    return request.match_info["webhook"][:64]


def _entry(row: Row[Any]) -> dict[str, Any]:
    return {
        "webhook": row.id,
        "name": row.name,
        "url": row.url,
        "events": json.loads(row.events),
        "state": row.state,
        "failures": row.failures,
        "reason": row.reason,
        "waiting": row.waiting,
        "dropped": row.dropped,
        "created_wall": wall_of(row.created_wall_ms),
    }


def _delivery(row: Row[Any]) -> dict[str, Any]:
    is_waiting = row.state == "waiting"
    return {
        "delivery": row.id,
        "event": row.event,
        "state": row.state,
        "tries": row.tries,
        "created_wall": wall_of(row.created_wall_ms),
        "next_wall": wall_of(row.next_wall_ms) if is_waiting else None,
        "done_wall": None if row.done_wall_ms is None else wall_of(row.done_wall_ms),
        "status": row.status,
        "error": row.error,
    }
