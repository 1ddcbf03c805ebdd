"""A built wheel in an empty environment serves the page, its default settings and the starter model."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.server import ROOT, Server


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        capture_output=True,
        timeout=110,
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.setup
def test_the_wheel_contains_every_file_that_the_server_needs(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    needed = [
        *("host_stt_cli/defaults/host-stt.yaml", "host_stt_cli/defaults/glossary.yaml"),
        "host_stt_cli/defaults/glossary.example.yaml",
        "webrtc_host/summaries/templates/radio.ko.yaml",
        *(
            f"host_stt/starter/{name}"
            for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.json")
        ),
        *(
            str(path.relative_to(ROOT))
            for path in (ROOT / "demo").rglob("*")
            if path.suffix in (".html", ".js", ".css")
        ),
    ]
    assert [name for name in needed if name not in names] == []
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        *("demo", "host_stt", "host_stt_cli", "host_stt_common", "webrtc_host")
    }
    assert "host_stt/engines/whisper.py" in names and "host_stt/engines/fake.py" not in names
    licences = {name.rpartition("/")[2] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "THIRD_PARTY_NOTICES.md"}


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """An environment with the wheel in it; its dependencies come from the environment of the tests."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], timeout=60, check=True)
    packages = venv / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            "--target",
            packages,
            wheel,
        ],
        timeout=60,
        check=True,
    )
    # By a path of its own, which brings no .pth file of that environment with it: not the source tree either.
    (packages / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    where = "import host_stt, webrtc_host, host_stt_cli, demo; print(host_stt.__file__, demo.__file__)"
    found = subprocess.run(
        [venv / "bin" / "python", "-c", where],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={},
    )
    assert all(path.startswith(str(packages)) for path in found.stdout.split())
    return venv


@pytest.mark.net
@pytest.mark.setup
async def test_the_installed_wheel_serves_the_page_and_the_starter_model(
    installed: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [str(installed / "bin" / "python"), "-m", "host_stt_cli", "serve"]
    with Server(empty, argv=command, model="auto", PYTHONPATH="") as server:
        server.wait_ready()
        settings = server.wait_for(r"Settings +(\S+)$")[1]
        assert settings.startswith(str(installed))
        assert settings.endswith("host_stt_cli/defaults/host-stt.yaml")
        status, page = await server.get("/")
        assert (status, "<title>" in page) == (200, True)
        for script in ("mic.js", "style.css"):
            assert (await server.get(f"/{script}"))[0] == 200
        status, ready = await server.get("/ready")
        assert (status, ready["engine"]["model"]) == (200, "starter")
        status, glossary = await server.get("/api/glossary")
        assert (status, glossary["terms"]) == (200, [])
