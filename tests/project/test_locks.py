"""requirements/*.lock: exact versions with hashes, no index named, and notices for every package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from host_stt_cli import __version__
from tests.support.server import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def pins(lock: Path) -> set[str]:
    """ "name==version ; marker" of every package."""
    text = lock.read_text(encoding="utf-8")
    return {line.rstrip(" \\") for line in text.splitlines() if re.match(r"[a-z0-9]", line)}


def names(lock: Path) -> set[str]:
    return {pin.partition("==")[0] for pin in pins(lock)}


def test_there_is_a_lock_for_each_use() -> None:
    assert [lock.stem for lock in LOCKS] == ["build", "cuda", "runpod", "serve", "test"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_package_is_exact_and_has_hashes(lock: Path) -> None:
    for block in re.split(r"\n(?=[a-z0-9])", lock.read_text(encoding="utf-8").strip()):
        assert re.match(r"[a-z0-9._-]+==\S+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_no_index_is_named(lock: Path) -> None:
    assert not re.search(r"://|--(extra-)?index-url|--find-links", lock.read_text(encoding="utf-8"))


def test_the_locks_agree_on_every_package() -> None:
    serve, cuda, test, build = (
        pins(ROOT / "requirements" / f"{n}.lock") for n in ("serve", "cuda", "test", "build")
    )

    def by_name(found: set[str]) -> dict[str, set[str]]:
        grouped: dict[str, set[str]] = {}
        for pin in found:
            grouped.setdefault(pin.partition("==")[0], set()).add(pin.partition(" ;")[0])
        return grouped

    everything = by_name(test)
    for other in (serve, cuda, build):
        for name, versions in by_name(other).items():
            if name in everything:
                assert versions <= everything[name], name
    assert {pin.partition("==")[0] for pin in cuda - serve} == {
        "nvidia-cublas-cu12",
        "nvidia-cuda-nvrtc-cu12",
    }


def test_the_lock_for_runpod_adds_packages_and_changes_none() -> None:
    runpod, cuda = (pins(ROOT / "requirements" / f"{n}.lock") for n in ("runpod", "cuda"))
    assert {pin.partition(" ;")[0] for pin in cuda} <= {pin.partition(" ;")[0] for pin in runpod}
    assert "runpod" in names(ROOT / "requirements" / "runpod.lock")


def test_every_direct_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for wanted in project["project"]["dependencies"]:
        assert re.split(r"[\[<>=]", wanted)[0] in names(ROOT / "requirements" / "serve.lock"), wanted
    for group in ("test", "build"):
        for wanted in project["dependency-groups"][group]:
            assert re.split(r"[\[<>=]", wanted)[0] in names(ROOT / "requirements" / "test.lock"), wanted


def test_the_notices_name_every_package_that_runs_with_the_server() -> None:
    text = (ROOT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")
    table = text.partition("## Packages that the server runs with")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"(?m)^\| ([a-z0-9._-]+) \| (.+) \|$", table))
    assert set(rows) - {"package"} == names(ROOT / "requirements" / "serve.lock")
    assert all(licence.strip() for licence in rows.values())


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"(?m)^## (\S+)", changelog)[1] == __version__  # type: ignore[index]  # it has a heading
