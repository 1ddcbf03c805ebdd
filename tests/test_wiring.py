"""Objects are complete after their constructor, and only their own module changes them afterwards.

Read from the sources. An attribute of another object may be written in two cases: the module defines the
class (a record that the module keeps), or the same function made the object a moment before.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("host_stt", "host_stt_common", "webrtc_host", "host_stt_cli")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LIBRARIES: dict[str, set[str]] = {}


class Writes(ast.NodeVisitor):
    """Collects what a module writes: (line, the written attribute as text, its name)."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str, str]] = []
        self._made: list[set[str]] = [set()]  # names of objects made in the function, innermost last

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._made.append(set())
        self.generic_visit(node)
        self._made.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  # the name that `ast` calls

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


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_only_the_module_of_a_class_writes_its_attributes(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    writes = Writes()
    writes.visit(tree)
    own = _attributes(tree)
    allowed = LIBRARIES.get(str(path.relative_to(ROOT)), set())
    foreign = [f"line {line}: {text}" for line, text, name in writes.found if name not in own | allowed]
    assert foreign == []
