#!/bin/sh
# Build the stress test and run it.
#   usage: tests/stress/run.sh [SECONDS [SEED]]
#          tests/stress/run.sh bugs [NAME]...
# bugs: with the seeded bugs named below, or those, which it must find.
# CC (default gcc) and CFLAGS are taken from the environment.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${CC:=gcc}" "${CFLAGS:=-O2 -g}"
out=build/stress
mkdir -p "$out" || exit 1

# FOLDER with core and platform, NAME of the program
build()
{
    # shellcheck disable=SC2086
    $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -pthread $CFLAGS \
        "$1"/src/core/*.c "$1"/src/platform/*.c "$1/tests/stress/stress.c" -o "$out/$2"
}

# One bug of each kind: robbed, in a false state, lost, not woken, freed too early.
BUGS="block_freed_early lock_no_confirmation sem_no_owner lock_wakes_nobody"

bug()
{
    seed=$(ls tests/stress/seeds/"$1.sed" tests/crash/seeds/"$1.sed" 2>/dev/null | head -n 1)
    [ -n "$seed" ] || { echo "there is no seed $1" >&2; return 1; }
    file=$(sed -n 's/^# file: *//p' "$seed")
    rm -rf "$out/$1"
    mkdir -p "$out/$1/tests"
    cp -r src "$out/$1" && cp -r tests/stress tests/core "$out/$1/tests" || return 1
    sed -E -i -f "$seed" "$out/$1/$file"
    cmp -s "$file" "$out/$1/$file" && { echo "$1 changes nothing" >&2; return 1; }
    CFLAGS="$CFLAGS -w" build "$out/$1" "$1/stress" || return 1
    timeout -k 5 90 "$out/$1/stress" 60 1 1 >"$out/$1.log" 2>&1
    status=$?
    if [ $status != 1 ]; then
        echo "NOT FOUND $1, status $status"
        cat "$out/$1.log"
        return 1
    fi
    echo "found     $1: $(grep -m 1 FAILED "$out/$1.log")"
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
build . stress || exit 1
exec "$out/stress" "$@"
