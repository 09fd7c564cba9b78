# Sourced by the commands at the top: `set_up_environment [--tests]` sets PYTHON to an interpreter
# that has everything, the active one or .venv's, and says in a line which.

supported_python() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

set_up_environment() {
    local here base=""
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    for candidate in python python3 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && supported_python "$candidate"; then
            base=$candidate
            break
        fi
    done
    if [ -z "$base" ]; then
        echo "environment: Python 3.11 or 3.12 is needed; found" \
            "$(python3 --version 2>/dev/null || echo none)" >&2
        return 2
    fi
    PYTHON=$("$base" "$here/set_up.py" "$@") || return
    PATH=$(dirname "$PYTHON"):$PATH
    export PATH
}
