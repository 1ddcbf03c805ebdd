"""The documentation, held to the tree and to the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from host_stt.config import EngineConfig
from host_stt.server import create_app
from scripts import make_reference
from tests.support.server import ROOT
from webrtc_host.app import build_app
from webrtc_host.config import MediaProcessConfig
from webrtc_host.seams import EventType

TRACKED = subprocess.run(
    ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout
PAGES = sorted(ROOT / name for name in TRACKED.split("\0") if name.endswith(".md") and (ROOT / name).exists())
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_has_a_target(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", target.read_text(encoding="utf-8"))
            assert anchor in [slug(heading) for heading in headings], link


def test_every_page_of_the_docs_that_code_names_exists() -> None:
    files = [ROOT / name for name in TRACKED.split("\0") if re.search(r"\.(py|js|yaml|toml|sh)$", name)]
    for file in files:
        for name in re.findall(
            r"docs/[\w/-]+\.md", file.read_text(encoding="utf-8") if file.exists() else ""
        ):
            assert (ROOT / name).exists(), f"{file.relative_to(ROOT)} names {name}"


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.exists():
                waiting.append(target)
    assert [page for page in PAGES if page.is_relative_to(ROOT / "docs") and page not in seen] == []


@pytest.mark.parametrize("name", make_reference.PAGES)
def test_the_generated_reference_is_up_to_date(name: str) -> None:
    written = (make_reference.FOLDER / name).read_text(encoding="utf-8")
    assert written == make_reference.PAGES[name](), "run: .venv/bin/python -m scripts.make_reference"


def routes(app: web.Application) -> set[str]:
    """ "METHOD /path" of every route that is no file of a page."""
    found = set()
    for route in app.router.routes():
        path = route.resource.canonical if route.resource else ""
        if route.method not in ("HEAD", "OPTIONS") and not re.search(r"\.\w+$", path):
            found.add(f"{route.method} {path}")
    return found


def test_every_route_of_both_servers_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
    said = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^\s`?]*)", text))
    assert routes(build_app(MediaProcessConfig())) | routes(create_app(EngineConfig())) == said


def test_every_event_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
    said = {name: stored == "yes" for name, stored in re.findall(r"(?m)^\| `([a-z.]+)` \| (yes|no) \|", text)}
    assert said == {kind.value: kind.is_stored for kind in EventType}


def test_the_licence_is_the_whole_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
