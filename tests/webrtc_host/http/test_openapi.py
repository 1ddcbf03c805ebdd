"""The OpenAPI document describes the routes, and the routes do what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.desk import a_config, running_desk
from tests.support.thread import ThreadedDesk
from webrtc_host.app import build_app
from webrtc_host.http.openapi import document_of
from webrtc_host.http.routes import OPEN_TO_ALL, ROUTES

EXAMPLES = 8
"""Of each operation: enough for the edges of every parameter, and few for a busy machine."""


def test_every_route_except_the_pages_is_in_the_document(tmp_path: Path) -> None:
    app = build_app(a_config(tmp_path))
    document = document_of(app, "1.0")
    found = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    pages = {key for key, route in app[ROUTES].items() if not route.is_documented}
    assert found == app[ROUTES].keys() - pages
    assert ("GET", "/watch.html") in pages
    assert {app[ROUTES][key].role for key in pages} == {OPEN_TO_ALL}


def test_the_document_says_which_role_is_needed_and_what_is_checked(tmp_path: Path) -> None:
    paths = document_of(build_app(a_config(tmp_path)), "1.0")["paths"]
    assert "`admin`" in paths["/api/sessions/{session}"]["delete"]["description"]
    parameters = {one["name"]: one for one in paths["/api/search"]["get"]["parameters"]}
    assert parameters["limit"]["schema"]["maximum"] == 100
    assert parameters["from_ms"]["schema"]["minimum"] == 0
    assert "null" not in str(parameters)
    ids = [one["operationId"] for methods in paths.values() for one in methods.values()]
    assert len(set(ids)) == len(ids)


async def test_the_document_and_the_page_to_read_it_are_served(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        status, document = await desk.get("/api/openapi.json")
        assert (status, document["openapi"]) == (200, "3.1.0")
        for page in ("/reference", "/reference.html", "/reference.js", "/reference.css"):
            async with desk.client.get(desk.url + page) as response:
                assert response.status == 200, page


ASKED = re.compile(r"/api/(sessions|search|audit|openapi|glossary|ice)|/health")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedDesk]:
    """A server in a thread of its own, with two sessions, one of them ended."""
    relay = {"urls": ["turn:relay.example:3478"], "secret": "shared"}
    config = a_config(
        tmp_path_factory.mktemp("desk"),
        limits={"requests_per_s": 10_000},
        media={"ice_servers": [relay]},
    )
    with ThreadedDesk(config) as desk:
        yield desk


# The server's thread uses `random` while Hypothesis makes cases, which takes it for its own.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@pytest.mark.timeout(300)
def test_every_response_matches_the_document(served: ThreadedDesk) -> None:
    schema = schemathesis.openapi.from_url(f"{served.url}/api/openapi.json")
    asked = set()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if ASKED.match(operation.path):
            asked.add(f"{operation.method.upper()} {operation.path}")
            ask(operation, served.session)
    assert {
        "GET /api/search",
        "PATCH /api/sessions/{session}",
        "GET /health",
        "GET /api/ice",
        "PUT /api/glossary",
        "GET /api/glossary/prompt",
        "GET /api/sessions/{session}/export.csv",
    } <= asked


def ask(operation: schemathesis.APIOperation[Any, Any, Any, Any], session: str) -> None:
    """Some calls as the document allows them, and some as it does not."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(operation.as_strategy(), st.booleans())
    def call(case: Any, is_known: bool) -> None:
        if "session" in case.path_parameters and is_known:
            case.path_parameters["session"] = session
        # Refused though the document allows it: a range the wrong way round, a name that cannot be printed.
        excluded = [positive_data_acceptance]
        response = case.call()
        if response.status_code == 501:  # this server is not set up for it; the document must still name it
            excluded.append(not_a_server_error)
        case.validate_response(response, excluded_checks=excluded)

    call()
