"""Who may import whom, read from the sources: dependencies point inward, pure cores stay pure."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("host_stt", "host_stt_common", "webrtc_host", "host_stt_cli", "demo")
PURE = (
    "host_stt_common.audio_facts",
    "host_stt_common.channel_ids",
    "host_stt_common.container_facts",
    "host_stt_common.cutting",
    "host_stt_common.languages",
    "host_stt_common.leveling",
    "host_stt_common.levels",
    "host_stt_common.likeness",
    "host_stt_common.mixdown",
    "host_stt_common.multipart",
    "host_stt_common.names",
    "host_stt_common.public_addresses",
    "host_stt_common.number_limits",
    "host_stt_common.ranges",
    "host_stt_common.rates",
    "host_stt_common.read_rests",
    "host_stt_common.subtitles",
    "host_stt_common.tokens",
    "host_stt.contract",
    "host_stt.contract.messages",
    "host_stt.contract.wire",
    "host_stt.guards",
    "host_stt.holes",
    "host_stt.cost",
    "host_stt.files.config",
    "host_stt.files.formats",
    "host_stt.load_levels",
    "host_stt.planner",
    "host_stt.tickets",
    "host_stt.loudness",
    "webrtc_host.events",
    "webrtc_host.events.alerts",
    "webrtc_host.events.base",
    "webrtc_host.events.classes",
    "webrtc_host.events.making",
    "webrtc_host.events.segments",
    "webrtc_host.events.sessions",
    "webrtc_host.seams",
    "webrtc_host.glossary.checks",
    "webrtc_host.glossary.entries",
    "webrtc_host.glossary.expand",
    "webrtc_host.glossary.learning",
    "webrtc_host.glossary.mistakes",
    "webrtc_host.glossary.numbers",
    "webrtc_host.glossary.prompt",
    "webrtc_host.glossary.spelling",
    "webrtc_host.errors",
    "webrtc_host.http.keys",
    "webrtc_host.media.drift",
    "webrtc_host.media.encodings",
    "webrtc_host.media.stream_time",
    "webrtc_host.session.channel_audio",
    "webrtc_host.transport.flood",
    "webrtc_host.media.jitter",
    "webrtc_host.transport.packet_rate",
    "webrtc_host.media.opus_toc",
    "webrtc_host.media.pacing",
    "webrtc_host.media.ranges",
    "webrtc_host.media.recent_minimum",
    "webrtc_host.media.timeline",
    "webrtc_host.media.timeline_limits",
    "webrtc_host.recovery.announced",
    "webrtc_host.recovery.known",
    "webrtc_host.recovery.merge",
    "webrtc_host.recovery.plan",
    "webrtc_host.review.lines",
    "webrtc_host.speech.agreement",
    "webrtc_host.speech.endpointing",
    "webrtc_host.speech.final_text",
    "webrtc_host.speech.joining",
    "webrtc_host.speech.language",
    "webrtc_host.speech.merge",
    "webrtc_host.speech.said_words",
    "webrtc_host.speech.segments",
    "webrtc_host.speech.spelled",
    "webrtc_host.speech.unread",
    "webrtc_host.speech.windowing",
    "webrtc_host.speech.windowing_config",
    "webrtc_host.speech.words",
    "webrtc_host.summaries.checking",
    "webrtc_host.summaries.content",
    "webrtc_host.summaries.extract",
    "webrtc_host.summaries.extract_words",
    "webrtc_host.summaries.feedback",
    "webrtc_host.summaries.parts",
    "webrtc_host.summaries.reading_answers",
    "webrtc_host.summaries.wires",
    "webrtc_host.transcript.coverage",
    "webrtc_host.transcript.event_codec",
    "webrtc_host.transcript.event_log",
    "webrtc_host.transcript.export_formats",
    "webrtc_host.transcript.export_lines",
    "webrtc_host.transcript.redaction",
    "webrtc_host.transcript.revisions",
    "webrtc_host.transcript.search_text",
    "webrtc_host.transcript.timecode",
    "webrtc_host.transcript.vector_index",
    "webrtc_host.wires.assemblyai_live",
    "webrtc_host.wires.assemblyai_options",
    "webrtc_host.wires.deepgram_query",
    "webrtc_host.wires.deepgram_live",
    "webrtc_host.wires.deepgram_turn_table",
    "webrtc_host.wires.deepgram_turns",
    "webrtc_host.wires.deepgram_words",
    "webrtc_host.wires.estimates",
    "webrtc_host.wires.json_text",
    "webrtc_host.wires.messages",
    "webrtc_host.wires.openai_deltas",
    "webrtc_host.wires.openai_events",
    "webrtc_host.wires.openai_items",
    "webrtc_host.wires.openai_live",
    "webrtc_host.wires.openai_options",
    "webrtc_host.wires.pipecat",
    "webrtc_host.wires.query",
    "webrtc_host.wires.results",
    "webrtc_host.wires.speechmatics_agent",
    "webrtc_host.wires.speechmatics_config",
    "webrtc_host.wires.speechmatics_live",
    "webrtc_host.wires.stream_live",
    "webrtc_host.wires.stream_options",
    "webrtc_host.wires.telephone",
    "webrtc_host.wires.vosk",
    "webrtc_host.wires.whisperlive",
    "webrtc_host.wires.wyoming",
    "webrtc_host.wires.wyoming_events",
)
"""Cores: no task, no socket, no clock of their own; they import the standard library, numpy, each other."""
LAYERS = (
    {"errors", "life", "seams", "settings"},
    {"events"},
    {"glossary"},
    {"media", "speech"},
    {"config"},
    {"transcript"},
    {"archive"},
    {"session"},
    {"http", "transport"},
    {"services", "webhooks", "listening"},
    {"alerts"},
    {"summaries"},
    {"recovery"},
    {"jobs"},
    {"review"},
    {"desk", "doors"},
    {"wires"},
    {"keys"},
    {"assembly"},
    {"app"},
)
"""Parts of `webrtc_host`, lowest first: a part imports itself and parts of lower layers."""
LOOSE_FILES_MAX = 6
IMPURE_STANDARD = {"asyncio", "socket", "threading", "subprocess", "multiprocessing", "selectors", "logging"}
"""Of the standard library, what a core has no business with."""
PURE_ENOUGH = {"webrtc_host.speech.vad"}
"""Holds the detectors beside the frame length that endpointing counts in; the cores take only that length."""


def sources(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@cache
def import_statements(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """The import statements of a source, also inside functions. Each source is parsed once for all tests."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return tuple(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Modules a source names, also inside functions; `from a import b` is a.b when that is a module."""
    found: set[str] = set()
    for node in import_statements(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {_module(module, alias.name) for alias in node.names}
    return frozenset(found)


def _module(module: str, name: str) -> str:
    base = ROOT.joinpath(*module.split("."))
    return f"{module}.{name}" if (base / f"{name}.py").exists() or (base / name).is_dir() else module


ALL = [(name, path) for package in PACKAGES for name, path in sources(package)]


def _refused(name: str, path: Path) -> set[str]:
    """Imports of a module from the project's other packages that its own package may not have."""
    package = name.partition(".")[0]
    others = {
        i for i in imports_of(path) if i.partition(".")[0] in PACKAGES and i.partition(".")[0] != package
    }
    shared = {i for i in others if i.partition(".")[0] == "host_stt_common"}
    match package:
        case "webrtc_host":
            return others - shared - {"host_stt.contract"}
        case "host_stt":
            return others - shared
        case "host_stt_cli":
            return {i for i in others - shared if i.partition(".")[0] not in ("host_stt", "webrtc_host")}
    return others


def test_every_module_imports_only_what_its_package_may() -> None:
    assert {name: refused for name, path in ALL if (refused := _refused(name, path))} == {}


HOST = [(name, path) for name, path in ALL if name.startswith("webrtc_host.")]


def _layer(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def _not_lower(name: str, path: Path) -> set[str]:
    """Parts of `webrtc_host` that a module imports and that do not lie in a lower layer."""
    own = name.split(".")[1]
    if own == "transcript" and "migrations" in path.parts:
        return set()  # Alembic loads the migrations by their path
    parts = {i.split(".")[1] for i in imports_of(path) if i.startswith("webrtc_host.")} - {own}
    return {part for part in parts if _layer(part) >= _layer(own)}


def test_every_part_of_the_host_imports_only_parts_of_lower_layers() -> None:
    assert {name: wrong for name, path in HOST if (wrong := _not_lower(name, path))} == {}


def test_the_host_has_few_loose_files() -> None:
    loose = {path.stem for path in (ROOT / "webrtc_host").glob("*.py")} - {"__init__"}
    assert len(loose) <= LOOSE_FILES_MAX
    packages = {path.parent.name for path in (ROOT / "webrtc_host").glob("*/__init__.py")}
    assert loose | packages == set().union(*LAYERS)


def _impure(name: str) -> set[str]:
    """Imports of a core that are neither of the standard library, nor numpy, nor another core."""
    imported = imports_of(dict(ALL)[name])
    foreign = {i for i in imported if i.partition(".")[0] not in sys.stdlib_module_names and i not in PURE}
    beyond = {i for i in foreign if i.partition(".")[0] != "numpy"} - PURE_ENOUGH
    return beyond | ({i.partition(".")[0] for i in imported} & IMPURE_STANDARD)


def test_every_core_imports_only_the_standard_library_numpy_and_cores() -> None:
    assert {name: impure for name in PURE if (impure := _impure(name))} == {}


def test_the_list_of_cores_names_modules_that_exist() -> None:
    known = {name for name, _ in ALL}
    assert set(PURE) <= known


def test_no_two_modules_import_each_other() -> None:
    """Also not in a longer circle, and not for types alone: one of them lies above the other."""
    known = {name for name, _ in ALL}
    graph = {name: set(imports_of(path) & known) for name, path in ALL}
    assert _circles(graph) == []


def _circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules are taken away that import only what was taken away before; what is left lies on a circle, or
    above one.
    """
    left = dict(graph)
    while done := {name for name, imported in left.items() if not imported & left.keys()}:
        left = {name: imported for name, imported in left.items() if name not in done}
    used = {name for imported in left.values() for name in imported}
    return [[name, *sorted(left[name] & left.keys())] for name in left if name in used]


def _queries(name: str, path: Path) -> set[str]:
    """What a module outside the transcript package imports for queries."""
    if name.split(".")[1] == "transcript":
        return set()
    from_sqlalchemy = {i for i in imports_of(path) if i.partition(".")[0] == "sqlalchemy"}
    names = {
        alias.name
        for node in import_statements(path)
        if isinstance(node, ast.ImportFrom) and node.module == "sqlalchemy"
        for alias in node.names
    }
    return (from_sqlalchemy - {"sqlalchemy"}) | (names - {"Connection", "Row"})


def test_only_the_transcript_package_makes_queries() -> None:
    """Other packages pass connections and rows on, so they import these types and nothing else."""
    assert {name: wrong for name, path in HOST if (wrong := _queries(name, path))} == {}
