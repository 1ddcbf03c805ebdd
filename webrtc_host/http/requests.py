"""Read the query and the JSON body of a request through a model, and refuse mistakes in plain words.

Holds the models and field types that several routes share, and turns pydantic's errors into ours. The OpenAPI
document is made from the same models, so it says what is checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from host_stt_common.channel_ids import (
    CHANNEL_PATTERN,
    NAMED_MAX,
    BadChannelId,
    channel_ids_of,
    is_channel_id,
)
from host_stt_common.names import name_of
from host_stt_common.plain import plain_mistake, shown
from webrtc_host.errors import RequestError
from webrtc_host.http.fields import check_fields

MS_MAX = 2**53

Model = TypeVar("Model", bound=BaseModel)


def _whole(value: object) -> object:
    """Only digits: no sign, no spaces, no underscores."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit()) or len(value) > 16 or int(value) > MS_MAX:
            raise PydanticCustomError("bad_number", "is a whole number from 0 up")
        return int(value)
    return value


def _channels(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return channel_ids_of(value)
    except BadChannelId as error:
        raise PydanticCustomError("bad_channel", "is C01, or several: C01,C02") from error


def _channel(value: str) -> str:
    if not is_channel_id(value):
        raise PydanticCustomError("bad_channel", "is a channel such as C01")
    return value


def _moment(value: object) -> object:
    """ISO 8601; without an offset it is UTC."""
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
        utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return round((utc - datetime.fromtimestamp(0, UTC)).total_seconds() * 1000)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("bad_time", "is a moment like 2026-11-21T06:10:00Z") from error


def _name(value: str) -> str:
    try:
        return name_of(value)
    except ValueError as error:
        raise PydanticCustomError(
            "bad_name", "is printable text, not empty; it {why}", {"why": str(error)}
        ) from error


Whole = Annotated[
    int, BeforeValidator(_whole), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MS_MAX})
]
Ms = Annotated[int, Field(ge=0, le=MS_MAX)]
"""Milliseconds in a JSON body."""
ChannelName = Annotated[
    str, AfterValidator(_channel), WithJsonSchema({"type": "string", "pattern": f"^{CHANNEL_PATTERN}$"})
]
Channels = Annotated[
    frozenset[str],
    BeforeValidator(_channels),
    WithJsonSchema(
        {"type": "string", "pattern": rf"^{CHANNEL_PATTERN}(,{CHANNEL_PATTERN}){{0,{NAMED_MAX - 1}}}$"}
    ),
]
Moment = Annotated[int, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_name)]


class Query(BaseModel):
    """The query of a route. `read_query` refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Body(BaseModel):
    """The JSON body of a route. Unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RangeQuery(Query):
    channel: Channels | None = Field(None, description="C01, or several: C01,C02; default: all channels")
    from_ms: Whole = Field(0, description="since the session's t = 0")
    to_ms: Whole | None = Field(None, description="not included; default: the end")


def check_range(from_ms: int, to_ms: int | None) -> None:
    """Raise RequestError 422 for a range that ends before it begins."""
    if to_ms is not None and to_ms < from_ms:
        message = f"to_ms is {to_ms}, which lies before from_ms {from_ms}; swap them"
        raise RequestError("inverted_range", message, 422)


def read_query(request: web.Request, model: type[Model]) -> Model:
    """The query as `model`. An empty value counts as no value, and `token` is accepted in every query.

    Raises RequestError: 422 for an unknown name, 400 for an invalid value.
    """
    check_fields(request.query, (*model.model_fields, "token"), "the address")
    return _read(model, {name: value for name, value in request.query.items() if value != ""})


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """The JSON body as `model`. Raises RequestError: 400 for no JSON object, 422 for an invalid field."""
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise RequestError("bad_json", "the body is not JSON", 400) from error
    if not isinstance(body, dict):
        raise RequestError("bad_json", "the body is no JSON object", 400)
    return _read(model, body, 422)


def _read(model: type[Model], values: Mapping[str, Any], status: int = 400) -> Model:
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        mistake = error.errors()[0]
        name = ".".join(str(part) for part in mistake["loc"]) or "it"
        code = mistake["type"] if mistake["type"].startswith("bad_") else "bad_field"
        text = plain_mistake(mistake["msg"])
        text = text[0].lower() + text[1:]
        message = f"{name} {text}" if mistake["type"].startswith("bad_") else f"{name}: {text}"
        if mistake["type"] in ("missing", "extra_forbidden"):
            raise RequestError(code, f"{name} {text}", status) from error
        raise RequestError(code, f"{message}, not {shown(mistake['input'])}", status) from error
