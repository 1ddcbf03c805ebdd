#!/bin/sh
# The steps of all images: install the locked packages into PREFIX, then this source tree as a wheel.
#   docker/install.sh PREFIX [cpu|cuda|runpod]
# All Dockerfiles run it, and a test runs it in a temporary folder. pip reads its usual PIP_... variables.
set -eu

prefix=${1:?name the folder to install to, such as /opt/host-stt}
variant=${2:-cpu}
root=$(cd "$(dirname "$0")/.." && pwd)

python3 -m venv "$prefix"
pip() { "$prefix/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }

lock=serve
case "$variant" in cuda | runpod) lock=$variant ;; esac
# The lock names every package. Without --no-deps, pip also wants a hash for `pydantic[email]`, an extra without files.
pip install -qq --no-deps --require-hashes -r "$root/requirements/$lock.lock"

# The wheel is built outside PREFIX, so no build tool gets into the image.
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
python3 -m venv "$build/venv"
"$build/venv/bin/python" -m pip --disable-pip-version-check --no-input install -qq \
    --require-hashes -r "$root/requirements/build.lock"
"$build/venv/bin/python" -m build --wheel --no-isolation --outdir "$build" "$root" >/dev/null
pip install -qq --no-deps --no-index "$build"/*.whl

# Both came with Python's venv. They are not needed any more, and would need security updates.
pip uninstall -qq --yes setuptools pip

"$prefix/bin/host-stt" --version
