"""Who may import whom, read from the sources: dependencies point inward, pure cores stay pure."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("host_stt", "host_stt_common", "webrtc_host", "host_stt_cli", "demo")
PURE = (
    "host_stt_common.audio_facts",
    "host_stt_common.channel_ids",
    "host_stt_common.container_facts",
    "host_stt_common.languages",
    "host_stt_common.leveling",
    "host_stt_common.levels",
    "host_stt_common.likeness",
    "host_stt_common.mixdown",
    "host_stt_common.multipart",
    "host_stt_common.names",
    "host_stt_common.ranges",
    "host_stt_common.rates",
    "host_stt_common.subtitles",
    "host_stt_common.tokens",
    "host_stt.contract",
    "host_stt.guards",
    "host_stt.holes",
    "host_stt.cost",
    "host_stt.files.config",
    "host_stt.files.cutting",
    "host_stt.files.formats",
    "host_stt.load_levels",
    "host_stt.planner",
    "host_stt.loudness",
    "webrtc_host.events",
    "webrtc_host.seams",
    "webrtc_host.glossary.checks",
    "webrtc_host.glossary.entries",
    "webrtc_host.glossary.expand",
    "webrtc_host.glossary.learning",
    "webrtc_host.glossary.mistakes",
    "webrtc_host.glossary.numbers",
    "webrtc_host.glossary.spelling",
    "webrtc_host.media.drift",
    "webrtc_host.transport.flood",
    "webrtc_host.media.jitter",
    "webrtc_host.transport.packet_rate",
    "webrtc_host.media.opus_toc",
    "webrtc_host.media.pacing",
    "webrtc_host.media.ranges",
    "webrtc_host.media.timeline",
    "webrtc_host.recovery.announced",
    "webrtc_host.recovery.known",
    "webrtc_host.recovery.merge",
    "webrtc_host.recovery.plan",
    "webrtc_host.speech.agreement",
    "webrtc_host.speech.endpointing",
    "webrtc_host.speech.final_text",
    "webrtc_host.speech.joining",
    "webrtc_host.speech.language",
    "webrtc_host.speech.merge",
    "webrtc_host.speech.segments",
    "webrtc_host.speech.unread",
    "webrtc_host.speech.windowing",
    "webrtc_host.speech.words",
    "webrtc_host.transcript.coverage",
    "webrtc_host.transcript.event_codec",
    "webrtc_host.transcript.event_log",
    "webrtc_host.transcript.export_formats",
    "webrtc_host.transcript.export_lines",
    "webrtc_host.transcript.revisions",
    "webrtc_host.transcript.search_text",
    "webrtc_host.transcript.timecode",
)
"""Cores: no task, no socket, no clock of their own; they import the standard library, numpy, each other."""
LAYERS = (
    {"errors", "life", "seams"},
    {"events"},
    {"glossary"},
    {"media", "speech"},
    {"config"},
    {"transcript"},
    {"archive"},
    {"session"},
    {"http", "transport"},
    {"services"},
    {"recovery"},
    {"desk", "doors"},
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


def imports_of(path: Path) -> set[str]:
    """Modules a source names, also inside functions; `from a import b` is a.b when that is a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {_module(module, alias.name) for alias in node.names}
    return found


def _module(module: str, name: str) -> str:
    base = ROOT.joinpath(*module.split("."))
    return f"{module}.{name}" if (base / f"{name}.py").exists() or (base / name).is_dir() else module


ALL = [(name, path) for package in PACKAGES for name, path in sources(package)]


@pytest.mark.parametrize(("name", "path"), ALL, ids=[name for name, _ in ALL])
def test_a_module_imports_only_what_its_package_may(name: str, path: Path) -> None:
    package = name.partition(".")[0]
    others = {
        i for i in imports_of(path) if i.partition(".")[0] in PACKAGES and i.partition(".")[0] != package
    }
    shared = {i for i in others if i.partition(".")[0] == "host_stt_common"}
    match package:
        case "webrtc_host":
            assert others - shared <= {"host_stt.contract"}
        case "host_stt":
            assert others - shared == set()
        case "host_stt_common" | "demo":
            assert others == set()
        case "host_stt_cli":
            assert {i.partition(".")[0] for i in others - shared} <= {"host_stt", "webrtc_host"}


HOST = [(name, path) for name, path in ALL if name.startswith("webrtc_host.")]


def _layer(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize(("name", "path"), HOST, ids=[name for name, _ in HOST])
def test_a_part_of_the_host_imports_only_parts_of_lower_layers(name: str, path: Path) -> None:
    own = name.split(".")[1]
    if own == "transcript" and "migrations" in path.parts:
        return  # Alembic loads the migrations by their path
    parts = {i.split(".")[1] for i in imports_of(path) if i.startswith("webrtc_host.")} - {own}
    assert {part for part in parts if _layer(part) >= _layer(own)} == set()


def test_the_host_has_few_loose_files() -> None:
    loose = {path.stem for path in (ROOT / "webrtc_host").glob("*.py")} - {"__init__"}
    assert len(loose) <= LOOSE_FILES_MAX
    packages = {path.parent.name for path in (ROOT / "webrtc_host").glob("*/__init__.py")}
    assert loose | packages == set().union(*LAYERS)


@pytest.mark.parametrize("name", PURE)
def test_a_core_imports_only_the_standard_library_numpy_and_cores(name: str) -> None:
    imported = imports_of(ROOT.joinpath(*name.split(".")).with_suffix(".py"))
    foreign = {i for i in imported if i.partition(".")[0] not in sys.stdlib_module_names and i not in PURE}
    assert {i for i in foreign if i.partition(".")[0] != "numpy"} <= PURE_ENOUGH
    assert not {i.partition(".")[0] for i in imported} & IMPURE_STANDARD


def test_the_list_of_cores_names_modules_that_exist() -> None:
    known = {name for name, _ in ALL}
    assert set(PURE) <= known


def test_no_two_modules_import_each_other() -> None:
    """Also not in a longer circle, and not for types alone: one of them lies above the other."""
    graph = {name: imports_of(path) & {other for other, _ in ALL} for name, path in ALL}
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


@pytest.mark.parametrize(("name", "path"), HOST, ids=[name for name, _ in HOST])
def test_only_the_transcript_package_makes_queries(name: str, path: Path) -> None:
    """Other packages pass connections and rows on, so they import these types and nothing else."""
    if name.split(".")[1] == "transcript":
        return
    from_sqlalchemy = {i for i in imports_of(path) if i.partition(".")[0] == "sqlalchemy"}
    names = {
        alias.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "sqlalchemy"
        for alias in node.names
    }
    assert from_sqlalchemy <= {"sqlalchemy"}
    assert names <= {"Connection", "Row"}
