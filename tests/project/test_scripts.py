"""The scripts that a newcomer runs: their checks, and that a second start has nothing to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT

SCRIPTS = [*(ROOT / "scripts" / name for name in ("serve", "test", "check", "lock")), ROOT / ".ci" / "run"]


def setup(code: str, *, venv: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `code` after scripts/lib/setup.sh, with `venv` as its environment."""
    return subprocess.run(
        ["bash", "-c", f'set -euo pipefail; . "{ROOT}/scripts/lib/setup.sh"; {code}'],
        env={**os.environ, "HOST_STT_VENV": str(venv), "PYTHON": sys.executable, **environ},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_each_script_is_executable_and_valid_bash(script: Path) -> None:
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)


def test_ci_runs_the_readme_s_test_command() -> None:
    assert "scripts/test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert "scripts/test " in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    done = setup("need_python", venv=tmp_path / "venv", PYTHON=str(old))
    assert done.returncode == 2
    assert "Python 3.9.2 is too old: host-stt needs Python 3.11 or newer" in done.stderr


def test_a_missing_python_is_reported_in_one_sentence(tmp_path: Path) -> None:
    done = setup("need_python", venv=tmp_path / "venv", PYTHON="no-such-python")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "there is no no-such-python here" in done.stderr


def test_compiled_modules_are_kept_for_the_next_process(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("", encoding="ascii")
    code = f'cd "{tmp_path}"; "$PYTHON" -c "import one"'
    done = setup(code, venv=tmp_path / "venv", PYTHONDONTWRITEBYTECODE="1", PYTHONPYCACHEPREFIX="")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "__pycache__").glob("one.*.pyc"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(folder of a new environment, what the script printed while it made it)."""
    venv = tmp_path_factory.mktemp("scripts") / "venv"
    first = setup("make_environment; link_source", venv=venv)
    assert first.returncode == 0, first.stderr
    return venv, first.stderr


@pytest.mark.setup
def test_an_environment_is_made_once_and_has_the_command(
    environment: tuple[Path, str], tmp_path: Path
) -> None:
    venv, printed = environment
    assert "making a virtual environment" in printed
    made = (venv / "bin" / "host-stt").stat().st_ino
    second = setup("make_environment", venv=venv)
    assert (second.returncode, second.stderr) == (0, "")
    assert (venv / "bin" / "host-stt").stat().st_ino == made
    where = subprocess.run(
        [venv / "bin" / "python", "-c", "import host_stt_cli; print(host_stt_cli.__file__)"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(ROOT)


@pytest.mark.setup
def test_packages_are_installed_only_when_the_lock_changed(environment: tuple[Path, str]) -> None:
    venv, _ = environment
    # The stamp of an installation that was done, as set_up writes it.
    stamp = """
        printf '%s\\n' "$("$VENV/bin/python" -c 'import sys; print(sys.version)') \
$(sha256sum <"$ROOT/requirements/serve.lock")" >"$VENV/.installed-serve"
        set_up serve
    """
    done = setup(stamp, venv=venv, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert done.returncode == 0, done.stderr
    assert "installing" not in done.stderr
    changed = setup(
        'echo old >"$VENV/.installed-serve"; set_up serve', venv=venv, PIP_NO_INDEX="1", PIP_FIND_LINKS=""
    )
    assert changed.returncode == 2
    assert "installing the locked packages (requirements/serve.lock)" in changed.stderr
    assert "could not be installed; see pip's message above" in changed.stderr
    assert (venv / ".installed-serve").read_text(encoding="ascii") == "old\n"


def test_missing_debian_packages_are_named_for_those_who_are_not_root(tmp_path: Path) -> None:
    done = setup("id() { echo 1000; }; debian_packages no-such-package-here", venv=tmp_path / "venv")
    assert done.returncode == 0
    assert done.stderr == "host-stt: missing Debian packages; as root: apt-get install no-such-package-here\n"


def test_on_another_system_the_needs_are_named(tmp_path: Path) -> None:
    done = setup("command() { return 1; }; debian_packages chromium", venv=tmp_path / "venv")
    assert (done.returncode, done.stderr) == (0, "host-stt: this is not Debian; please install: chromium\n")
