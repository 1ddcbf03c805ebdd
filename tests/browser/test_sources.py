"""The files of the pages, read as text: small rooms that ask nothing of other servers."""

from __future__ import annotations

import re
from pathlib import Path

from tests.browser.stub import DEMO


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
