#!/bin/sh
# Run the soak of pipes, see soak.py.
#   usage: tests/stress/soak.sh [SECONDS [SEED]]
#          tests/stress/soak.sh bugs [NAME]...
# bugs: with the extension built with the seeded bugs named below, or those, which it must find.
# PYTHON (default .venv/bin/python) runs it, in the tree that `make build` has built.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${PYTHON:=$PWD/.venv/bin/python}"
out=build/soak

# One bug of each kind: torn, doubled, lost, and an end that is not seen.
BUGS="ring_commit_first soak_twice soak_dropped peer_not_watched"

bug()
{
    seed=$(ls tests/stress/seeds/"$1.sed" tests/crash/seeds/"$1.sed" 2>/dev/null | head -n 1)
    [ -n "$seed" ] || { echo "there is no seed $1" >&2; return 1; }
    file=$(sed -n 's/^# file: *//p' "$seed")
    rm -rf "$out/$1"
    mkdir -p "$out/$1/tests" || return 1
    cp -r src cmp setup.py pyproject.toml README.md "$out/$1" && cp -r tests/stress "$out/$1/tests" || return 1
    sed -E -i -f "$seed" "$out/$1/$file"
    cmp -s "$file" "$out/$1/$file" && { echo "$1 changes nothing" >&2; return 1; }
    (cd "$out/$1" && CFLAGS="-w" "$PYTHON" setup.py -q build_ext --inplace --force >build.log 2>&1) || {
        cat "$out/$1/build.log" >&2
        return 1
    }
    timeout -k 5 120 "$PYTHON" "$out/$1/tests/stress/soak.py" 60 1 1 >"$out/$1.log" 2>&1
    status=$?
    if ! grep -q FAILED "$out/$1.log"; then
        echo "NOT FOUND $1, status $status"
        cat "$out/$1.log"
        return 1
    fi
    echo "found     $1: $(grep -m 1 FAILED "$out/$1.log" | cut -c 1-150)"
    rm -rf "${out:?}/$1"
}

if [ "${1:-}" = bugs ]; then
    shift
    failed=0
    for name in ${*:-$BUGS}; do
        bug "$name" || failed=1
    done
    exit $failed
fi
exec "$PYTHON" tests/stress/soak.py "$@"
