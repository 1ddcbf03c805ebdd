"""The event classes: one list for the server, its documentation and its pages, and who makes which event."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from tests.support.page_constants import page_list
from webrtc_host import events
from webrtc_host.events import Event
from webrtc_host.seams import EventType

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
    # The pipeline knows of speech and of the engine, the channel of packets and of its connection.
    "ChannelStateChanged": {"session.channel", "speech.pipeline"},
    # Recovery announces an utterance at the edge of a gap later, and with other times, than the pipeline.
    "SpeechStarted": {"recovery.publishing", "speech.pipeline"},
    "SpeechEnded": {"recovery.publishing", "speech.pipeline"},
    "SegmentInterim": {"speech.lines"},
    "SegmentFinal": {"speech.lines"},
    "SegmentRevised": set(),  # nothing makes revisions yet
    "WindowFailed": {"speech.lines"},
    "CoverageChanged": {"transcript.coverage_tracker"},
    # Each part reports its own errors, with a code of its own.
    "ErrorReported": {"app", "desk.subscribers", "services.archive", "speech.pipeline"},
}
"""The modules of webrtc_host that construct an event of each class."""


def test_the_server_its_documentation_and_its_pages_have_the_same_events() -> None:
    reference = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
    documented = re.findall(r"(?m)^\| `([a-z.]+)` \| (?:yes|no) \|", reference)
    assert set(CLASSES.values()) == set(EventType)
    assert documented == page_list("EVENT_TYPES") == [kind.value for kind in EventType]


def test_every_event_is_made_where_the_table_says() -> None:
    found: dict[str, set[str]] = {name: set() for name in CLASSES}
    for path in sorted((ROOT / "webrtc_host").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "webrtc_host").with_suffix("").parts)
        for name in _constructed(ast.parse(path.read_text(encoding="utf-8"))):
            found[name].add(module)
    assert found == MAKERS


def _constructed(tree: ast.Module) -> set[str]:
    """The event classes that a module calls, by their name or as `events.Name`.

    Other classes have some of these names (speech.endpointing), so the module must import the event's class.
    """
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "webrtc_host.events"
        for alias in node.names
    }
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    by_name = {call.id for call in calls if isinstance(call, ast.Name)} & imported
    by_module = {
        call.attr
        for call in calls
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.value.id == "events"
    }
    return (by_name | by_module) & CLASSES.keys()
