# Shared by the scripts in scripts/: a virtual environment with the locked packages, and Debian packages if run as root.
# Source it after `set -euo pipefail`. It can run again: finished steps are skipped, and then nothing is downloaded.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VENV=${HOST_STT_VENV:-$ROOT/.venv}

# Keep compiled modules, also where the environment says otherwise: the tests start about a hundred Python processes,
# and without compiled modules each of them compiles every source again. Git ignores the __pycache__ folders.
unset PYTHONDONTWRITEBYTECODE

say() { printf '%s\n' "host-stt: $*" >&2; }
die() { say "$*"; exit 2; }

# set_up NAME: the environment of requirements/NAME.lock in $VENV, with this source tree importable from anywhere.
set_up() {
    local lock=$ROOT/requirements/$1.lock stamp=$VENV/.installed-$1 wanted
    need_python
    make_environment
    wanted="$("$VENV/bin/python" -c 'import sys; print(sys.version)') $(sha256sum <"$lock")"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        say "installing the locked packages (requirements/$1.lock); this takes a few minutes the first time"
        "$VENV/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
            --require-hashes -r "$lock" >&2 ||
            die "the packages of requirements/$1.lock could not be installed; see pip's message above (is the package index reachable?)"
        printf '%s\n' "$wanted" >"$stamp"
    fi
    link_source
}

need_python() {
    local python=${PYTHON:-python3}
    command -v "$python" >/dev/null || die "there is no $python here: install Python 3.11 or newer (Debian: apt-get install python3)"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$("$python" --version) is too old: host-stt needs Python 3.11 or newer (set PYTHON to another one)"
}

make_environment() {
    local python=${PYTHON:-python3}
    "$VENV/bin/python" -m pip --version >/dev/null 2>&1 && return
    "$python" -c 'import ensurepip, venv' 2>/dev/null || debian_packages python3-venv
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "$("$python" --version) cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv)"
    say "making a virtual environment in $VENV"
    "$python" -m venv --clear "$VENV" || die "no virtual environment could be made in $VENV"
}

# Link the source tree instead of building it: nothing is downloaded, and an edit takes effect at the next start.
link_source() {
    local packages
    packages=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$ROOT" >"$packages/host-stt-source.pth"
    printf '#!/bin/sh\nexec "%s" -m host_stt_cli "$@"\n' "$VENV/bin/python" >"$VENV/bin/host-stt"
    chmod +x "$VENV/bin/host-stt"
}

# debian_packages NAME...: install missing packages, or print their names. Never fails: the program that needs one reports it.
debian_packages() {
    local missing=() name
    command -v dpkg-query >/dev/null || { say "this is not Debian; please install: $*"; return 0; }
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        say "missing Debian packages; as root: apt-get install ${missing[*]}"
        return 0
    fi
    say "installing Debian packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # RUNLEVEL=1: do not start a service that a package installs (nginx).
    { apt-get -qq update && RUNLEVEL=1 apt-get -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 install "${missing[@]}"; } >/dev/null ||
        say "apt-get could not install: ${missing[*]}"
}
