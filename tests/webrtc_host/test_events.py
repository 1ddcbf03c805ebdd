"""The event classes: one list for the server, its documentation and its pages, and who makes which event."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from tests.support.page_constants import page_list
from webrtc_host import events
from webrtc_host.events import ErrorCode, Event, channel_state, error_report, speech_ended
from webrtc_host.events.making import WITHOUT_SIGNAL
from webrtc_host.seams import ChannelState, EventType
from webrtc_host.speech.endpointing import Rule

ROOT = Path(__file__).parents[2]
CLASSES = {
    name: one.kind
    for name, one in inspect.getmembers(events, inspect.isclass)
    if issubclass(one, Event) and "kind" in vars(one)
}
MAKERS = {
    "SessionStarted": {"session.registry"},
    "SessionEnded": {"session.registry"},
    "ChannelOpened": {"session.channel"},
    "ChannelClosed": {"session.channel"},
    "ChannelStateChanged": {"events.making"},
    "SpeechStarted": {"events.making"},
    "SpeechEnded": {"events.making"},
    "SegmentInterim": {"speech.lines"},
    "SegmentFinal": {"speech.lines"},
    "SegmentRevised": {"events.making"},
    "SegmentMarked": {"services.line_changes"},
    "NoteAdded": {"services.line_changes"},
    "RangeRedacted": {"services.redactions"},
    "WindowFailed": {"speech.lines"},
    "CoverageChanged": {"transcript.coverage_tracker"},
    "AlertRaised": {"alerts.tracker"},
    "AlertConfirmed": {"alerts.tracker"},
    "AlertWithdrawn": {"alerts.tracker"},
    "AlertEscalated": {"alerts.tracker"},
    "AlertAcknowledged": {"alerts.tracker"},
    "SummaryUpdated": {"summaries.service"},
    "ErrorReported": {"events.making"},
}
"""The module of webrtc_host that constructs the events of each class."""


def test_the_server_its_documentation_and_its_pages_have_the_same_events() -> None:
    reference = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
    documented = re.findall(r"(?m)^\| `([a-z.]+)` \| (?:yes|no) \|", reference)
    assert set(CLASSES.values()) == set(EventType)
    assert documented == page_list("EVENT_TYPES") == [kind.value for kind in EventType]


def test_every_event_is_made_by_one_function() -> None:
    """Also no two functions of one module: the rules of an event are in one place."""
    found: dict[str, list[str]] = {name: [] for name in CLASSES}
    for path in sorted((ROOT / "webrtc_host").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "webrtc_host").with_suffix("").parts)
        for name in _constructed(ast.parse(path.read_text(encoding="utf-8"))):
            found[name].append(module)
    assert {name: set(modules) for name, modules in found.items()} == MAKERS
    assert [name for name, modules in found.items() if len(modules) > 1] == []


def _constructed(tree: ast.Module) -> list[str]:
    """The event classes that a module calls, by their name or as `events.Name`, once for each call.

    Other classes have some of these names (speech.endpointing), so the module must import the event's class.
    """
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("webrtc_host.events")
        for alias in node.names
    }
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    by_name = [call.id for call in calls if isinstance(call, ast.Name) and call.id in imported]
    by_module = [
        call.attr
        for call in calls
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.value.id == "events"
    ]
    return [name for name in (*by_name, *by_module) if name in CLASSES]


def test_the_documentation_lists_the_codes_of_error_events() -> None:
    reference = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
    table = reference.partition("## Errors that a watcher may get")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    codes = [code for row in rows for code in re.findall(r"`([a-z_]+)`", row) if code != "code"]
    assert codes == [code.value for code in ErrorCode]


@pytest.mark.parametrize("state", sorted(WITHOUT_SIGNAL))
def test_a_state_without_audio_has_a_reason_and_no_language(state: ChannelState) -> None:
    assert channel_state("C01", state, 5, reason="no_packets").reason == "no_packets"
    with pytest.raises(ValueError, match="C01.*no language"):
        channel_state("C01", state, 5, language="ko")


@pytest.mark.parametrize("state", sorted(set(ChannelState) - WITHOUT_SIGNAL))
def test_a_state_with_audio_has_a_language_and_no_reason(state: ChannelState) -> None:
    assert channel_state("C01", state, 5, language="ko").language == "ko"
    with pytest.raises(ValueError, match="C01.*no reason"):
        channel_state("C01", state, 5, reason="no_packets")


def test_speech_does_not_end_before_it_started() -> None:
    event = speech_ended("C01", "u_1", 5000, 4000, Rule.GAP)
    assert (event.start_ms, event.end_ms, event.rule) == (5000, 5000, "gap")


def test_an_error_without_a_message_is_not_sent() -> None:
    with pytest.raises(ValueError, match="since_ahead needs a message"):
        error_report(ErrorCode.SINCE_AHEAD, "")
