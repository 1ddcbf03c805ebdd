"""Objects are complete after their constructor, and only their own module changes them afterwards.

Read from the sources. An attribute of another object may be written in two cases: the module defines the
class (a record that the module keeps), or the same function made the object a moment before.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("host_stt", "host_stt_common", "webrtc_host", "host_stt_cli")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
EXCEPTIONS: dict[str, set[str]] = {
    # Objects of libraries that have no other way to be set.
    "host_stt_cli/loadtest/bar.py": {"n"},  # tqdm
    "host_stt_cli/transcribe.py": {"n", "total"},  # tqdm
    "host_stt_cli/yaml_source.py": {"yaml_implicit_resolvers"},  # PyYAML: a class attribute of our subclass
    "webrtc_host/doors/socket_messages.py": {"max_size"},  # how much an asyncio transport reads at once
    "webrtc_host/listening/desk_peer.py": {"direction"},  # aiortc
    "webrtc_host/media/container.py": {"__cause__"},  # an exception that another thread raises later
    "webrtc_host/media/libopus.py": {"restype", "argtypes"},  # ctypes
    "webrtc_host/transcript/engines.py": {"isolation_level"},  # sqlite3, from SQLAlchemy's `connect` event
    # The modules that replace internals of aiortc and aioice; each checks at the start that they exist.
    "webrtc_host/transport/aioice_seam.py": {"_local_username", "get_component_candidates"},
    "webrtc_host/transport/aiortc_settings.py": {
        "DYNAMIC_PAYLOAD_TYPES",
        "_validate_peer_identity",
        "get_host_addresses",
    },
    "webrtc_host/transport/direct_path.py": {"_RTCDtlsTransport__rx_bytes", "_RTCDtlsTransport__rx_packets"},
    "webrtc_host/transport/rtp_out.py": {
        *("_RTCRtpSender__ntp_timestamp", "_RTCRtpSender__rtp_timestamp"),
        *("_RTCRtpSender__octet_count", "_RTCRtpSender__packet_count"),
    },
    "webrtc_host/transport/tap.py": {"_handle_rtp_packet", "route_rtp"},
    # The facts of one load test: a record without rules, which the run fills in and the report reads.
    "host_stt_cli/loadtest/run.py": {
        *("ready", "alone", "before", "after", "t0_s", "from_ms", "to_ms", "spoken", "broken"),
    },
}
"""By module: attributes of objects of other modules that it writes, with the reason."""
CALLBACK_LISTS = re.compile(r"\.(on_\w+|\w*(listeners|callbacks|observers|hooks)|after_\w+)\.append\(")
"""A callback that is added to another object after its construction."""
LIBRARY_LISTS = {
    "host_stt/gate.py": {"on_response_prepare"},  # aiohttp's application
    "webrtc_host/http/server.py": {"on_response_prepare"},
    "webrtc_host/assembly/routes.py": {"on_response_prepare"},
    "webrtc_host/app.py": {"on_shutdown"},
}


class Writes(ast.NodeVisitor):
    """Collects what a module writes: (line, the written attribute as text, its name)."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str, str]] = []
        self._made: list[set[str]] = [set()]  # names of objects made in the function, innermost last

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._made.append(set())
        self.generic_visit(node)
        self._made.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # the name that `ast` calls

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._note(target)
        if isinstance(node.value, ast.Call):
            self._made[-1] |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._note(node.target)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._note(node.target)
        if isinstance(node.value, ast.Call) and isinstance(node.target, ast.Name):
            self._made[-1].add(node.target.id)
        self.generic_visit(node)

    def _note(self, target: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self._note(part)
        elif isinstance(target, ast.Attribute):
            base = target.value
            is_own = isinstance(base, ast.Name) and base.id in {"self", "cls", *self._made[-1]}
            if not is_own:
                self.found.append((target.lineno, ast.unparse(target), target.attr))


def _attributes(tree: ast.Module) -> set[str]:
    """The attributes of all classes that the module defines."""
    return {name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for name in _of_class(node)}


def _of_class(node: ast.ClassDef) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            yield one.target.id
        elif isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store):
            if isinstance(one.value, ast.Name) and one.value.id == "self":
                yield one.attr


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _written(path: Path) -> dict[str, str]:
    """What a module writes of objects of other modules: the attribute, with the line and the expression."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    writes = Writes()
    writes.visit(tree)
    own = _attributes(tree)
    return {name: f"line {line}: {text}" for line, text, name in writes.found if name not in own}


def test_only_the_module_of_a_class_writes_its_attributes() -> None:
    written = {_name(path): found for path in SOURCES if (found := _written(path))}
    refused = {
        name: wrong
        for name, found in written.items()
        if (wrong := [where for one, where in found.items() if one not in EXCEPTIONS.get(name, ())])
    }
    assert refused == {}
    needless = {name: unused for name in EXCEPTIONS if (unused := EXCEPTIONS[name] - written[name].keys())}
    assert needless == {}


def test_callbacks_are_given_to_the_constructor() -> None:
    added = {
        _name(path): names
        for path in SOURCES
        if (names := {found[1] for found in CALLBACK_LISTS.finditer(path.read_text(encoding="utf-8"))})
    }
    assert added == LIBRARY_LISTS


def test_no_code_asks_which_log_it_has() -> None:
    """The interface of a log (`ReadableLog`, `SessionLog`) has all that its users need."""
    asking = re.compile(r"isinstance\([^()]*,[^()]*Log\b")
    assert [path for path in SOURCES if asking.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "source",
    ["other.x = 1", "self.part.x = 1", "other.x += 1", "a, other.x = 1, 2", "def f(other):\n    other.x = 1"],
)
def test_a_write_to_another_object_is_found(source: str) -> None:
    writes = Writes()
    writes.visit(ast.parse(source))
    assert [name for _, _, name in writes.found] == ["x"]


@pytest.mark.parametrize(
    "source", ["self.x = 1", "def f():\n    made = Thing()\n    made.x = 1", "x = 1", "table[other.x] = 1"]
)
def test_other_writes_are_not_counted(source: str) -> None:
    writes = Writes()
    writes.visit(ast.parse(source))
    assert writes.found == []
