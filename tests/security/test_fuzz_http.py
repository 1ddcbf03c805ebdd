"""Some seconds of mutated requests to a real server; `scripts/fuzz_http.py` runs for longer."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.http_answers import Answer, answers_of, faults_of, socket_faults
from bench.http_fuzz import case, engine_target, media_target, run
from bench.http_mutations import KINDS, spoilt

SECONDS = 4.0


@pytest.mark.net
@pytest.mark.timeout(300)
async def test_mutated_requests_cause_no_error_and_lose_no_audio(tmp_path: Path) -> None:
    findings = await run(tmp_path, SECONDS, seed=20, with_schema=False)
    assert findings.failures == []
    assert findings.requests > 50
    assert findings.figures["live channel fed, s"] > SECONDS


def test_a_seed_gives_the_same_requests_again() -> None:
    targets = (media_target(8082, "s"), engine_target(8081))
    once, again = ([case(targets, 7, n)[1].data for n in range(200)] for _ in range(2))
    assert once == again
    assert len(set(once)) > 150


def test_every_kind_can_be_made_for_both_ports() -> None:
    for target in (media_target(8082, "s"), engine_target(8081)):
        kinds = {spoilt(target, random.Random(n)).kind for n in range(600)}
        assert kinds == set(KINDS)


# --- the judge sees what it is there to see -------------------------------------------------------------


def answer(status: int, body: bytes, **headers: str) -> Answer:
    return Answer(status, headers, body)


GOOD = b'{"error": {"code": "x", "message": "y"}}'


@pytest.mark.parametrize(
    ("one", "fault"),
    [
        (answer(500, GOOD), "status 500"),
        (answer(400, b"400: Bad Request"), "without the error's form"),
        (answer(400, b'{"error": {"code": "", "message": "y"}}'), "says nothing"),
        (answer(503, GOOD), "without Retry-After"),
        (answer(400, b'{"error": {"code": "x", "message": "<class \'int\'>"}}'), "Python"),
    ],
)
def test_a_fault_is_named(one: Answer, fault: str) -> None:
    assert fault in " ".join(faults_of(one))


def test_good_answers_are_no_fault() -> None:
    good = (answer(400, GOOD), answer(200, b"<html>"), Answer(503, {"retry-after": "1"}, GOOD))
    assert [fault for one in good for fault in faults_of(one)] == []


def test_answers_are_taken_apart() -> None:
    data = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
        b"HTTP/1.1 101 Switching\r\n\r\n\x81\x02{}"
    )
    found, rest = answers_of(data)
    assert [(one.status, one.body) for one in found] == [(200, b"ok"), (200, b"ab"), (101, b"")]
    assert rest == b"\x81\x02{}" and socket_faults(rest) == []
    with pytest.raises(ValueError, match="no answer"):
        answers_of(b"HTTP/2.0 200 OK\r\n\r\n")


@pytest.mark.parametrize(
    "frames", [b"\x88\x02\x03\xf3", b"\x81\x01x", b"\x81\x82\0\0\0\0{}", b"\xa1\x02{}", b"\x88\x02\x0b\xb8"]
)
def test_bad_frames_are_faults(frames: bytes) -> None:
    assert socket_faults(frames) != []
