"""Generate three pages of docs/reference/ from the code: configuration, command line, metrics.

Run it after a change of settings, options or metrics: `.venv/bin/python -m scripts.make_reference`. A test
compares the pages with the code.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click

from host_stt import metrics as engine_metrics
from host_stt_cli.config import DERIVED, Config, packaged
from host_stt_cli.main import main as command_line
from host_stt_cli.schema import annotations_at, choices, fields_of, key_paths
from host_stt_cli.yaml_source import KeyPath, dotted, read_yaml
from host_stt_common.metrics import Metric
from webrtc_host.app import build_app
from webrtc_host.config import MediaProcessConfig
from webrtc_host.desk import metric_list
from webrtc_host.http.routes import ROUTES

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "reference"
WIDTH = 100
HELP_NAMES = ["-h", "--help"]

CONFIGURATION_HEAD = """# Configuration

All settings. `scripts/make_reference.py` makes this page from the code and `config/host-stt.yaml`; a test
checks that the three agree. Start with `host-stt serve --config FILE`. Change one setting for one run with
`--set KEY=VALUE` (the value is read as YAML). `host-stt check` names the key and the line of every mistake.
`${NAME}` inside a value is taken from the environment. `auth: none` may replace the section `auth`.
"""
CLI_HEAD = """# The command line

`scripts/make_reference.py` makes this page from the code; a test compares them. `scripts/serve` installs what
is missing and runs `host-stt serve`. In a source tree the command is `.venv/bin/host-stt`.

Exit status: 0 after an orderly end, 2 if the command cannot start (one sentence on stderr for each reason).
SIGTERM, SIGINT and SIGHUP end the server in order: it transcribes the last words first, within 8 s.
"""
METRICS_HEAD = """# Metrics

The metrics in the response of `GET /metrics` of each server, in Prometheus' text format. The page is written
from the declarations in the code by `scripts/make_reference.py`; tests compare it with the code and with
running servers. Prometheus writes a counter with the ending `_total`, a histogram with `_bucket`, `_sum` and
`_count`, and an info with `_info`. No metric has the channel as a label; the events of a channel say what
happens on it. 8081 also has the metrics `process_...` of the Prometheus client.
"""
REQUESTS_HEAD = """# Requests of 8082

Every request of 8082 except the pages: the role that it needs, and its action in the audit. The page is
written from the declarations in the code by `scripts/make_reference.py`; a test compares. [HTTP](http.md)
describes the requests, [Tokens and roles](../howto/access.md) the roles and the audit. A request that sends
audio writes its audit line when the feed begins (`fed`; `made` for a new session). To change the hold of a
session, `PATCH` also needs the role `supervisor`. HEAD works where GET does, except for event streams and
WebSockets.
"""


def configuration() -> str:
    text = packaged("host-stt.yaml").read_text(encoding="utf-8")
    lines = read_yaml(text, "", {}, lambda _: False).lines
    # Entries of a list stand on the line of their key, which comes before them.
    keys = {line: path for path, line in reversed(lines.items())}
    comments = dict(_comments(text.splitlines(), keys))
    parts = [CONFIGURATION_HEAD]
    for path in key_paths(Config):
        if path in DERIVED:
            continue
        if any(fields_of(kind) for kind in annotations_at(Config, path)):
            parts.append(f"\n{'#' * (len(path) + 1)} {dotted(path)}\n\n{comments[path]}\n")
            if _has_values(path):
                parts.append("\n| key | values | default | |\n|---|---|---|---|\n")
        else:
            default = _shown(_value_at(Config(), path))
            parts.append(f"| `{dotted(path)}` | {_values(path)} | `{default}` | {comments[path]} |\n")
    return "".join(parts)


def _comments(lines: list[str], keys: dict[int, KeyPath]) -> Iterator[tuple[KeyPath, str]]:
    """(path, its comment); a key directly below another one has the same comment."""
    comment: list[str] = []
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if number in keys:
            yield keys[number], " ".join(comment).replace("|", "\\|")
            if number < len(lines) and number + 1 not in keys:
                comment = []
        elif stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
        else:
            comment = []


def _has_values(path: KeyPath) -> bool:
    children = [p for p in key_paths(Config) if p[:-1] == path]
    return any(not any(fields_of(kind) for kind in annotations_at(Config, child)) for child in children)


def _values(path: KeyPath) -> str:
    return " or ".join(dict.fromkeys(_name(kind) for kind in annotations_at(Config, path)))


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) is tuple:
        item = choices(get_args(kind)[0])[0]
        return "list of " + ("items" if fields_of(item) else _name(item))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    names = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`", Path: "path"}
    return "`null`" if kind is type(None) else names[kind]


def _value_at(config: Any, path: KeyPath) -> Any:
    for part in path:
        config = getattr(config, str(part))
    return config


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "[]" if not value else repr(list(value))
    if isinstance(value, enum.Enum):
        return str(value.value)
    return "null" if value is None else '""' if value == "" else str(value)


def cli() -> str:
    return "".join([CLI_HEAD, *_helps(_context("host-stt", command_line, None))])


def _context(name: str, command: click.Command, parent: click.Context | None) -> click.Context:
    return click.Context(
        command,
        parent,
        info_name=name,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=HELP_NAMES,
    )


def _helps(context: click.Context) -> Iterator[str]:
    command = context.command
    yield f"\n## {context.command_path}\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if child := command.get_command(context, name):
                yield from _helps(_context(name, child, context))


def metrics() -> str:
    servers = {"8082, the media server": metric_list.METRICS, "8081, the engine": engine_metrics.METRICS}
    return "".join([METRICS_HEAD, *(_metrics_of(name, declared) for name, declared in servers.items())])


def _metrics_of(server: str, declared: Sequence[Metric]) -> str:
    rows = []
    for metric in sorted(declared, key=lambda one: one.name):
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |\n")
    head = f"\n## {server}\n\n| name | kind | labels | |\n|---|---|---|---|\n"
    return head + "".join(rows)


def requests() -> str:
    routes = build_app(MediaProcessConfig())[ROUTES].values()
    rows = [REQUESTS_HEAD, "\n| request | role | action in the audit | |\n|---|---|---|---|\n"]
    for route in sorted(routes, key=lambda one: (one.path, one.method)):
        if route.is_documented:
            role, action = (f"`{text}`" if text else "" for text in (route.role, route.audit))
            rows.append(
                f"| `{route.method} {route.path}` | {role or 'none'} | {action} | {route.summary} |\n"
            )
    return "".join(rows)


PAGES = {"configuration.md": configuration, "cli.md": cli, "metrics.md": metrics, "requests.md": requests}

if __name__ == "__main__":
    for page, make in PAGES.items():
        (FOLDER / page).write_text(make(), encoding="utf-8")
