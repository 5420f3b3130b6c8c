# Sourced by the other scripts: installs the locked packages into .venv unless they are there. Needs bash and Python 3.11 to 3.13 only.
# The hashes in constraints/ decide what may be installed. uv makes it faster, and pip takes its place where uv does not work.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv="$PWD/.venv"
lock=constraints/airflow-3.3.txt
# If it is set, every process compiles Airflow again, which takes ten seconds.
unset PYTHONDONTWRITEBYTECODE

say() { printf '%-10s%s\n' "$1" "$2"; }

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3; do
        # Run it: a name on the PATH may be a shim without an interpreter.
        if "$candidate" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    say python "no Python 3.11, 3.12 or 3.13 with the venv module was found." >&2
    say "" "Install one (on Debian and Ubuntu: python3 and python3-venv), or name it: PYTHON=/path/to/python3.11 $0" >&2
    return 1
}

install_locked() {
    if "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes -r constraints/bootstrap.txt &&
        "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes -r "$lock"; then
        return
    fi
    say python "uv failed; trying pip, which takes a few minutes"
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes -r "$lock"
}

make_environment() {
    local stamp="$venv/.locked" wanted python started=$SECONDS
    wanted="$(cat "$lock" constraints/bootstrap.txt pyproject.toml | sha256sum | cut -d' ' -f1) $PWD"
    if [[ -x "$venv/bin/python" && "$(cat "$stamp" 2>/dev/null)" == "$wanted" ]]; then
        return
    fi
    if ! "$venv/bin/python" -c '' 2>/dev/null; then
        python="$(find_python)" || return
        rm -rf "$venv"
        "$python" -m venv "$venv"
    fi
    say python "installing $lock into .venv"
    install_locked
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
    printf '%s' "$wanted" >"$stamp"
    say python "$("$venv/bin/python" --version) · $(grep -c '^[a-z].*==' "$lock") locked packages  ready in $((SECONDS - started))s"
}

# One at a time: two scripts started together must not install into the same folder.
mkdir -p .local
exec 9>.local/environment.lock
if command -v flock >/dev/null; then
    flock 9
fi
make_environment
exec 9>&-
