"""The files of the pages, read as text: short, without other servers, and in agreement with this server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.stub import DEMO
from tests.support.page_constants import page_list
from webrtc_host.http.pages import NAMED
from webrtc_host.seams import EventType, Source
from webrtc_host.session.channel import ORDERLY_ENDS


def _sources() -> list[Path]:
    return sorted(path for path in DEMO.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg"))


def test_no_source_names_another_server_or_holds_inline_scripts() -> None:
    for path in _sources():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://(?!\$\{location)", text), path.name
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=\"", text), path.name


def test_every_source_is_shorter_than_300_lines() -> None:
    lengths = {str(path.relative_to(DEMO)): len(path.read_text("utf-8").splitlines()) for path in _sources()}
    assert {name: n for name, n in lengths.items() if n >= 300} == {}


def test_light_colours_are_the_same_by_the_system_and_by_choice() -> None:
    css = (DEMO / "style.css").read_text("utf-8")
    system = css.partition(":root:not([data-theme]) {")[2].partition("}")[0]
    chosen = css.partition(':root[data-theme="light"] {')[2].partition("}")[0]
    colours = re.findall(r"(--[\w-]+): ([^;]+);", system)
    assert len(colours) > 10
    assert re.findall(r"(--[\w-]+): ([^;]+);", chosen) == colours


def test_the_clips_are_small() -> None:
    assert sum(path.stat().st_size for path in (DEMO / "clips").rglob("*.*")) < 300_000


def test_the_pages_know_every_event_type_of_the_server() -> None:
    assert page_list("EVENT_TYPES") == [kind.value for kind in EventType]


def test_the_pages_know_which_ends_are_no_failure() -> None:
    assert page_list("ORDERLY_ENDS") == sorted(ORDERLY_ENDS)


def test_the_pages_know_every_source_of_a_final_that_was_not_live() -> None:
    assert page_list("SOURCES") == [source.value for source in Source]
    for name in ("strings-en.js", "strings-ko.js"):
        strings = (DEMO / name).read_text("utf-8")
        assert all(f'"text.source.{source.value}":' in strings for source in Source), name


@pytest.mark.parametrize(("path", "name"), NAMED.items())
def test_every_page_has_the_same_navigation_and_marks_itself(path: str, name: str) -> None:
    (nav,) = re.findall(r"<nav .*?</nav>", (DEMO / name).read_text("utf-8"), re.DOTALL)
    links = re.findall(r"<a href=\"([^\"]+)\"([^>]*)>(\w+)</a>", nav)
    assert [text for _, _, text in links] == [
        *("Speak", "Desk", "Watch", "Recordings", "Glossary", "Health", "Reference"),
    ]
    assert ["/" + link.removeprefix(".") for link, _, _ in links] == list(NAMED)
    assert ["/" + link.removeprefix(".") for link, more, _ in links if "aria-current" in more] == [path]
