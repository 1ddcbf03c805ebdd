#!/bin/sh
# The steps of both images: packages from the lock into PREFIX, then this source tree as a wheel.
#   docker/install.sh PREFIX [cpu|cuda]
# Both Dockerfiles run it, and a test runs it in a temporary folder. pip listens to its own PIP_... variables.
set -eu

prefix=${1:?where to install, such as /opt/host-stt}
variant=${2:-cpu}
root=$(cd "$(dirname "$0")/.." && pwd)

python3 -m venv "$prefix"
pip() { "$prefix/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }

lock=serve
[ "$variant" = cuda ] && lock=cuda
pip install -qq --require-hashes -r "$root/requirements/$lock.lock"

# The wheel is built outside PREFIX, so that no build tool ends up in the image.
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
python3 -m venv "$build/venv"
"$build/venv/bin/python" -m pip --disable-pip-version-check --no-input install -qq \
    --require-hashes -r "$root/requirements/build.lock"
"$build/venv/bin/python" -m build --wheel --no-isolation --outdir "$build" "$root" >/dev/null
pip install -qq --no-deps --no-index "$build"/*.whl

# They came with Python's own venv, are not needed any more, and would have to be kept up to date.
pip uninstall -qq --yes setuptools pip

"$prefix/bin/host-stt" --version
