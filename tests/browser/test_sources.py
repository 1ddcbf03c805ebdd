"""The files of the pages, read as text: small rooms that ask nothing of other servers."""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.stub import DEMO
from webrtc_host.seams import Source


def _sources() -> list[Path]:
    return sorted(path for path in DEMO.iterdir() if path.suffix in (".js", ".css", ".html", ".svg"))


def test_no_source_names_another_server_or_holds_inline_scripts() -> None:
    for path in _sources():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://(?!\$\{location)", text), path.name
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=\"", text), path.name


def test_every_source_is_one_room() -> None:
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in _sources()}
    assert {name: n for name, n in lengths.items() if n >= 300} == {}


def test_the_clips_are_small() -> None:
    assert sum(path.stat().st_size for path in (DEMO / "clips").iterdir()) < 200_000


def test_the_pages_know_every_source_of_a_final_that_was_not_live() -> None:
    text = (DEMO / "transcript.js").read_text("utf-8")
    (listed,) = re.findall(r"LATER_SOURCES = new Set\(\[([^\]]*)\]\)", text)
    assert re.findall(r'"([^"]+)"', listed) == [source.value for source in Source]
    for name in ("strings-en.js", "strings-ko.js"):
        strings = (DEMO / name).read_text("utf-8")
        assert all(f'"text.source.{source.value}":' in strings for source in Source), name
