#!/bin/sh
# tools/bootstrap.sh ENV...: create or update the environments .venvs/ENV from uv.lock.
# Needs only a Python 3.11 to 3.13 with venv and pip; uv itself is installed into .venvs/tools.
set -eu

UV_VERSION=0.13.8

cd "$(dirname "$0")/.."

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

# Prints the interpreter behind $1 (not a shim, and not the environment that happens to be active) when it is one we support.
supported() {
    "$1" -c 'import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 13); print(sys._base_executable)' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        supported "$PYTHON" && return
        fail "PYTHON=$PYTHON is $("$PYTHON" --version 2>/dev/null || echo 'not a Python that starts'); this project needs Python 3.11, 3.12 or 3.13."
    fi
    for candidate in python3.13 python3.12 python3.11 python3 python; do
        supported "$candidate" && return
    done
    fail "no Python 3.11, 3.12 or 3.13 found on PATH (python3 is $(python3 --version 2>/dev/null || echo absent)).
Install one, or name it: make PYTHON=/path/to/python3.13 demo"
}

install_uv() {
    [ "$(.venvs/tools/bin/uv --version 2>/dev/null | cut -d' ' -f2)" = "$UV_VERSION" ] && return
    printf '==> installing uv %s\n' "$UV_VERSION"
    rm -rf .venvs/tools
    "$python" -m venv .venvs/tools >/dev/null 2>&1 ||
        fail "$python cannot create a virtual environment. On Debian and Ubuntu: apt install python3-venv"
    .venvs/tools/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" ||
        fail "pip could not install uv $UV_VERSION: is the package index reachable?"
}

sync_environment() {
    stamp=".venvs/$1/.synced"
    # The folder is part of it: console scripts hold absolute paths, so a moved checkout needs a new environment.
    folder=$(cd .venvs && pwd -P)
    wanted="$folder $python $(cat uv.lock pyproject.toml | cksum)"
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    case "$(cat "$stamp" 2>/dev/null)" in "" | "$folder $python "*) ;; *) rm -rf ".venvs/$1" ;; esac
    printf '==> installing environment %s from uv.lock\n' "$1"
    started=$(date +%s)
    groups="--only-group $1"
    case "$1" in dev | scan) ;; *) groups="$groups --only-group test" ;; esac
    # shellcheck disable=SC2086  # two words per group
    UV_PROJECT_ENVIRONMENT=".venvs/$1" .venvs/tools/bin/uv sync --frozen --no-progress --quiet --python "$python" $groups ||
        fail "uv could not install the environment $1: see above. Run the same command again to go on where it stopped."
    printf '%s\n' "$wanted" >"$stamp"
    printf '    %s ready in %s s\n' "$1" "$(($(date +%s) - started))"
}

python=$(find_python)
install_uv
for environment in "$@"; do
    sync_environment "$environment"
done
