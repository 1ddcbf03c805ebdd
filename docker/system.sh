#!/bin/sh
# Install the Debian packages of the images. docker/system.sh build | run
#   build: packages that docker/install.sh needs; run: packages that the finished server needs.
set -eu

[ "$(id -u)" -eq 0 ] || { echo "docker/system.sh: must be run as root" >&2; exit 1; }
case "${1:-}" in
    build) packages="ca-certificates python3 python3-venv" ;;
    run) packages="ca-certificates python3" ;; # certificates for the model hub
    *) echo "docker/system.sh: give build or run" >&2; exit 2 ;;
esac
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
# shellcheck disable=SC2086  # a list of words
apt-get -qq -y --no-install-recommends install $packages >/dev/null
