"""Read YAML written by people: values, the line of every key, and `${NAME}` from the environment.

Only reads; `host_stt_cli.config` defines which keys exist. Only `true` and `false` are booleans (YAML 1.2):
`off`, `no` and `on` stay text, so `tls.mode: off` and the language code `no` keep their meaning.
Invariant: every key and list item that was read has its 1-based line in `Source.lines`.

Why not `ruamel.yaml`: it would replace only the rule for booleans. It gives `token: 0123` as the number 123
and stops at the first key that is there twice, so the values would still be built from the nodes here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]
IsText = Callable[[KeyPath], bool]
SECRETS = ("token", "credential", "secret", "api_key")
"""Keys that an option may not empty: with T unset, `--set auth.token=$T` would open the server to all
callers.
"""
_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file or an option. `where` is "FILE:LINE", or the option as typed."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(slots=True)
class Source:
    """The content of one file: plain data, the line of each key, and what could not be read."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def where(self, path: KeyPath) -> str:
        """ "FILE:LINE" of a key, or of the section around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def read_yaml(text: str, name: str, environ: Mapping[str, str], is_text: IsText) -> Source:
    """The settings in `text`. Mistakes are not raised but collected in the Source, with their lines.

    is_text: whether the key at a path is text, so that `token: 0123` stays "0123".
    """
    source = Source(name)
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        source.mistakes.append(Mistake(f"{name}:{line}", f"not valid YAML: {error.problem}"))
        return source
    except yaml.YAMLError as error:
        source.mistakes.append(Mistake(f"{name}:1", f"not valid YAML: {' '.join(str(error).split())}"))
        return source
    if node is None:
        return source
    if not isinstance(node, yaml.MappingNode):
        source.mistakes.append(Mistake(f"{name}:1", "the file must contain `key: value` lines"))
        return source
    source.data = _Builder(source, environ, is_text).mapping(node, ())
    return source


def read_value(
    text: str, name: str, path: KeyPath, environ: Mapping[str, str], is_text: IsText
) -> tuple[Any, list[Mistake]]:
    """The value of `--set key=text`, read as YAML. `name` is the place that mistakes name."""
    source = Source(name)
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        return None, [Mistake(name, f"not valid YAML: {problem}")]
    if node is None:
        if path[-1] in SECRETS:
            return "", [Mistake(name, f"{dotted(path)} is empty; give it a value, or leave the option out")]
        return ("" if is_text(path) else None), []
    if isinstance(node, yaml.MappingNode) and not node.flow_style and is_text(path):
        # YAML reads the address `::` as a mapping.
        node = yaml.ScalarNode("tag:yaml.org,2002:str", text, node.start_mark, node.end_mark)
    value = _Builder(source, environ, is_text).value(node, path)
    return value, [Mistake(name, mistake.message) for mistake in source.mistakes]


@dataclass(slots=True)
class _Builder:
    source: Source
    environ: Mapping[str, str]
    is_text: IsText

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        match node:
            case yaml.MappingNode():
                return self.mapping(node, path)
            case yaml.SequenceNode():
                return self.sequence(node, path)
            case yaml.ScalarNode():
                return self.scalar(node, path)
        raise TypeError(f"a YAML node of kind {type(node).__name__}")

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._mistake(line, "a key must be a plain word")
                continue
            key = str(key_node.value)
            if key in data:
                self._mistake(line, f"{dotted((*path, key))} is set a second time here; keep one")
            self.source.lines[*path, key] = line
            data[key] = self.value(value_node, (*path, key))
        return data

    def sequence(self, node: yaml.SequenceNode, path: KeyPath) -> list[Any]:
        for index, item in enumerate(node.value):
            self.source.lines[*path, index] = item.start_mark.line + 1
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        line = node.start_mark.line + 1
        if "${" in node.value:
            return self._from_environment(node.value, path, line)
        if node.tag != "tag:yaml.org,2002:null" and self.is_text(path):
            return node.value
        try:
            loader = _Loader("")
            try:
                return loader.construct_object(node, deep=True)
            finally:
                loader.dispose()
        except (yaml.YAMLError, ValueError):
            self._mistake(
                line, f"{dotted(path)}: {node.value!r} cannot be read as {node.tag.rpartition(':')[2]}"
            )
            return None

    def _from_environment(self, text: str, path: KeyPath, line: int) -> str:
        missing = [name for name in _NAME.findall(text) if name not in self.environ]
        for name in missing:
            self._mistake(line, f"{dotted(path)}: the environment variable {name} is not set")
        value = _NAME.sub(lambda found: self.environ.get(found[1], ""), text)
        if not value.strip() and not missing:
            names = ", ".join(_NAME.findall(text))
            # Accepting an empty token would mean that no token is required.
            said = f"{dotted(path)}: the environment variable {names} is empty"
            self._mistake(line, f"{said}; give it a value, or leave the key out")
        return value

    def _mistake(self, line: int, message: str) -> None:
        self.source.mistakes.append(Mistake(f"{self.source.name}:{line}", message))


def dotted(path: KeyPath) -> str:
    """("media", "ice_servers", 0, "urls") as "media.ice_servers[0].urls"."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
