"""Make requests from the OpenAPI document, with allowed and forbidden values, with every role."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from bench.http_answers import Answer, faults_of

EXAMPLES = 6
"""Number of examples per operation in each round."""
ENDLESS = frozenset(("/events", "/ws", "/ws/pcm/{channel}", "/ws/backfill/{channel}"))
"""Streams; their errors are tested with raw bytes."""
ANSWER_S = 30.0


def fuzz_schema(
    url: str, tokens: dict[str, str], session: str, number: int, until_s: float, findings: Any
) -> None:
    """Run rounds over all operations until time.monotonic() reaches `until_s`. Blocking."""
    headers = {"Authorization": f"Bearer {tokens['admin']}"}
    schema = schemathesis.openapi.from_url(f"{url}/api/openapi.json", headers=headers)
    operations = [r.ok() for r in schema.get_all_operations() if isinstance(r, Ok)]
    callers = ["", *tokens.values()]
    for turn in itertools.count():
        random.Random(f"{number}:{turn}").shuffle(operations)
        for operation in operations:
            if time.monotonic() >= until_s:
                return
            if operation.path not in ENDLESS:
                _ask(operation, callers, session, hash((number, turn)), until_s, findings)


def _ask(
    operation: Any, callers: list[str], session: str, number: int, until_s: float, findings: Any
) -> None:
    name = f"{operation.method.upper()} {operation.path}"

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(operation.as_strategy(), st.booleans(), st.sampled_from(callers))
    def call(case: Any, is_known: bool, token: str) -> None:
        if time.monotonic() >= until_s:
            return
        if "session" in (case.path_parameters or {}) and is_known:
            case.path_parameters["session"] = session
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        findings.requests += 1
        try:
            response = case.call(headers=headers, timeout=ANSWER_S)
        except requests.exceptions.InvalidHeader:
            return  # `requests` refuses to send it; the raw byte tests have such heads
        except Exception as error:
            findings.fail(f"{name}: {error!r}"[:1000])
            return
        _judge(name, case, response, findings)

    try:
        call()
    except Exception as error:  # the operation cannot be called, or the response does not match the document
        findings.fail(f"{name}: {type(error).__name__}: {error}"[:1500])


def _judge(name: str, case: Any, response: Any, findings: Any) -> None:
    findings.answers[f"8082 document: {response.status_code}"] += 1
    headers = {key.lower(): ", ".join(values) for key, values in response.headers.items()}
    answer = Answer(response.status_code, headers, response.content or b"")
    if case.method.upper() == "HEAD":
        return
    for fault in faults_of(answer):
        findings.fail(f"{name}: {fault}; sent {case.as_curl_command()[:500]}")
