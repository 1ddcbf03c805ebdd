"""The browser pages in the server's responses."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from tests.support.desk import a_config, running_desk
from webrtc_host.http.pages import CONTENT_TYPES

DEMO = Path(str(files("demo")))


@pytest.mark.parametrize(
    ("path", "content_type"), [("/", "text/html"), ("/watch", "text/html"), ("/mic.js", "text/javascript")]
)
async def test_a_page_comes_with_its_type_unchanged_until_it_changes(
    tmp_path: Path, path: str, content_type: str
) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        async with desk.client.get(desk.url + path) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == f"{content_type}; charset=utf-8"
            assert response.headers["Cache-Control"] == "no-cache"
            assert "script-src 'self'" in response.headers["Content-Security-Policy"]
            etag = response.headers["ETag"]
        async with desk.client.get(desk.url + path, headers={"If-None-Match": etag}) as again:
            assert again.status == 304
            assert await again.read() == b""


def packaged() -> list[Path]:
    return [p for p in DEMO.rglob("*") if p.is_file() and "__pycache__" not in p.parts]


async def test_every_file_of_the_pages_is_served_and_nothing_else(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        for file in packaged():
            name = file.relative_to(DEMO).as_posix()
            async with desk.client.get(f"{desk.url}/{name}") as response:
                served = response.status == 200
                assert served == (Path(name).suffix in CONTENT_TYPES), name
                if served:
                    assert await response.read() == file.read_bytes()
        for path in ("/__init__.py", "/../pyproject.toml", "/%2e%2e/pyproject.toml", "/clips/", "/clips"):
            assert (await desk.get(path))[0] == 404


def test_no_page_names_another_host() -> None:
    for page in DEMO.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "//" not in text.replace("http://www.w3.org/2000/svg", ""), f"{page.name} loads from elsewhere"
        assert "<script>" not in text, f"{page.name} has inline script, which the policy forbids"
        assert " style=" not in text, f"{page.name} has inline style, which the policy forbids"
