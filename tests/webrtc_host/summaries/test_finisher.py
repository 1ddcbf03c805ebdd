"""The summary of a recording: made with its job, kept with it, and removed with its text."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.webrtc_host.jobs.helpers import a_server, accepted, events_of, job_of, named, talk, wav
from tests.webrtc_host.recovery.crashing import word_per_half_second
from tests.webrtc_host.speech.engine_server import engine_server
from webrtc_host.errors import Overloaded
from webrtc_host.keys import RECORD, SUMMARIES
from webrtc_host.summaries.finisher import JobSummary
from webrtc_host.transcript import records

REDACTION = {"channel": "C01", "from_ms": 0, "to_ms": 60_000, "audio": False, "reason": "private"}
SOUND = wav(talk("alpha one proceed to gate seven", pause_s=1.0))


async def test_a_job_with_a_template_ends_with_a_summary_that_goes_with_its_session(tmp_path: Path) -> None:
    async with engine_server(word_per_half_second) as engine, a_server(tmp_path, engine) as desk:
        job = await accepted(desk, SOUND, summary="radio")
        events = await events_of(desk, job)
        (summary,) = named(events, "final_summary")
        assert [name for name, _, _ in events[-2:]] == ["final_summary", "completed"]
        assert (summary["status"], summary["maker"]) == ("done", "extract")
        found = await job_of(desk, job)
        session = found["session"]
        cites = summary["content"]["summary"][0]["cites"]
        assert cites[0] in summary["content"]["cited"]
        _, kept = await desk.get(f"/api/sessions/{session}/summaries/{summary['summary']}")
        assert (kept["template"], kept["status"]) == ("radio", "done")
        path = f"{desk.url}/api/sessions/{session}/redactions"
        async with desk.client.post(path, json=REDACTION) as response:
            assert response.status in (200, 201), await response.text()
        await desk.written()
        assert (await job_of(desk, job))["results"] == {}, "a redaction takes it along"
        assert (await desk.get(f"/api/sessions/{session}/summaries"))[1]["summaries"] == []

        store = desk.app[RECORD].store
        await store.write(
            lambda c: c.exec_driver_sql("""UPDATE jobs SET results = '{"final_summary": {}}'""")
        )
        await store.write(lambda c: records.remove(c, session))
        assert (await job_of(desk, job))["results"] == {}, "so does the removal of the session"


async def test_a_template_that_is_not_there_does_not_fail_the_job(tmp_path: Path) -> None:
    async with a_server(tmp_path) as desk:
        asks: Any = SimpleNamespace(options='{"summary": "no-such-template"}')
        result = await JobSummary(desk.app[SUMMARIES])(asks, desk.session)
        assert result is not None and result["status"] == "failed"
        assert "radio" in result["error"], "it names the templates that there are"


async def test_a_job_waits_while_the_queue_of_summaries_is_full(tmp_path: Path) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async with a_server(tmp_path) as desk:
        service: Any = desk.app[SUMMARIES]
        refusals = [Overloaded("too_many_summaries", "busy", retry_after_s=7)]

        class Busy:
            async def make(self, scope: Any) -> Any:
                if refusals:
                    raise refusals.pop()
                return await service.make(scope)

        finish = JobSummary(Busy(), sleep=sleep)  # type: ignore[arg-type]  # the part of the service it uses
        session = desk.session
        await desk.settled()
        asks: Any = SimpleNamespace(options='{"summary": "general"}')
        result = await finish(asks, session)
        assert result is not None and result["status"] == "done"
        assert waits == [7]
        asks_none: Any = SimpleNamespace(options="{}")
        assert await finish(asks_none, session) is None
