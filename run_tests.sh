#!/usr/bin/env bash
# Runs linter, type checker and the fast tests.  --full adds the slow tests; everything else goes to
# pytest, alone (./run_tests.sh tests/utils -k answers).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source scripts/environment.sh

full=0
arguments=()
for argument in "$@"; do
    if [ "$argument" = --full ]; then full=1; else arguments+=("$argument"); fi
done

# The report's tests drive a browser, those of many nodes use network namespaces; where a tool
# cannot be installed they skip and say so.
install_tool() { # command, Debian package
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "tests: installing $2 with apt-get" >&2
        local quick=(-o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)
        { apt-get -qq "${quick[@]}" update && DEBIAN_FRONTEND=noninteractive \
            apt-get -qq -y --no-install-recommends "${quick[@]}" install "$2"; } \
            >/dev/null 2>&1 || echo "tests: $2 could not be installed" >&2
    fi
}

set_up_environment --tests
install_tool chromium chromium
install_tool ip iproute2

if [ "${#arguments[@]}" = 0 ]; then
    "$PYTHON" -m ruff check .
    "$PYTHON" -m ruff format --check -q .
    "$PYTHON" -m mypy
fi
if [ "$full" = 1 ]; then
    exec "$PYTHON" -m pytest ${arguments[@]+"${arguments[@]}"}
fi
exec "$PYTHON" -m pytest -m "not slow" ${arguments[@]+"${arguments[@]}"}
