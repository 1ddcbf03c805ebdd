"""Routes: each route of 8082 is declared once, beside its handler.

A `Route` holds the method, the path, the role, the action in the audit, and the models of request and
response. `add_routes` gives the declared routes of a service to aiohttp's router and keeps them in
`app[ROUTES]`. The check of the role (`auth`), the audit (`audit`) and the OpenAPI document (`openapi`) read
them from there.

Invariant: a route that was added in another way needs the role `admin`, writes no audit line, and is not in
the OpenAPI document. A test fails when there is such a route.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel

from webrtc_host.http.roles import Role

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
AnyHandler = TypeVar("AnyHandler", bound=Callable[..., object])
RouteKey = tuple[str, str]
"""(method, path template), such as ("GET", "/api/sessions/{session}")."""

OPEN_TO_ALL: Final = None
"""In place of a role: the route needs no token."""

_DECLARED = "_declared_routes"


@dataclass(frozen=True, slots=True)
class Route:
    """The declaration of one route. As a decorator of a handler method it stores itself on the method.

    A handler that serves several routes gets one decorator for each.
    """

    method: str
    path: str
    role: Role | None  # the lowest role that may send the request, or OPEN_TO_ALL
    summary: str  # in the OpenAPI document
    audit: str | None = None
    """The action in the audit line of a request that did not fail. None: the request writes no line here. A
    handler that opens a feed writes its line itself, when the feed begins (`audit.note_feed`)."""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    response: type[BaseModel] | None = None  # None: not JSON, or a body without a model
    content_type: str = "application/json"  # of the response
    status: int = 200  # of a response without an error
    errors: tuple[int, ...] = ()  # statuses besides those that every route has
    is_websocket: bool = False
    """The handler checks token and role after the upgrade, because a browser shows only close codes."""
    checks_key: bool = False
    """The handler checks token and role itself: clients of this protocol send the key in another place."""
    allow_head: bool = True  # whether HEAD works where GET does; False for a stream, which has no end
    is_documented: bool = True  # whether it is in the OpenAPI document

    @property
    def key(self) -> RouteKey:
        return (self.method, self.path)

    def __call__(self, handler: AnyHandler) -> AnyHandler:
        declared: tuple[Route, ...] = getattr(handler, _DECLARED, ())
        # Decorators run from the last one to the first; in front of the others keeps the order of the source.
        setattr(handler, _DECLARED, (self, *declared))
        return handler


ROUTES: web.AppKey[dict[RouteKey, Route]] = web.AppKey("routes", dict)
"""All routes of the application. Set by the first `add_route`."""


def add_routes(app: web.Application, *services: object) -> None:
    """Add the routes that the methods of each service declare (not those of a base class)."""
    for service in services:
        for name, member in vars(type(service)).items():
            for route in getattr(member, _DECLARED, ()):
                add_route(app, route, getattr(service, name))


def add_route(app: web.Application, route: Route, handler: Handler) -> None:
    """Raises ValueError when the application has a route with this method and path."""
    if ROUTES not in app:
        app[ROUTES] = {}
    if route.key in app[ROUTES]:
        raise ValueError(f"the route {route.method} {route.path} is declared twice")
    app[ROUTES][route.key] = route
    if route.method == hdrs.METH_GET:
        app.router.add_get(route.path, handler, allow_head=route.allow_head and not route.is_websocket)
    else:
        app.router.add_route(route.method, route.path, handler)


def route_of(request: web.BaseRequest) -> Route | None:
    """The declared route that serves this request; HEAD is served by GET's.

    None: no route matches the request, or the matching route is not declared.
    """
    if not isinstance(request, web.Request) or ROUTES not in request.app:
        return None
    resource = request.match_info.route.resource
    if resource is None:
        return None
    method = hdrs.METH_GET if request.method == hdrs.METH_HEAD else request.method
    return request.app[ROUTES].get((method, resource.canonical))


def needs_token(request: web.BaseRequest) -> bool:
    """Whether the token is checked before the handler runs."""
    route = route_of(request)
    return route is None or not (route.role is OPEN_TO_ALL or route.is_websocket or route.checks_key)


def needed_role(request: web.BaseRequest) -> Role:
    """The lowest role that may send this request: `admin` where the route is not declared."""
    route = route_of(request)
    return Role.ADMIN if route is None or route.role is None else route.role
