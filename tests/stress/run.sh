#!/bin/sh
# Build the stress test and run it.   usage: tests/stress/run.sh [SECONDS [SEED]]
# CC (default gcc) and CFLAGS are taken from the environment.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${CC:=gcc}" "${CFLAGS:=-O2 -g}"
out=build/stress
mkdir -p "$out" || exit 1
# shellcheck disable=SC2086
$CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -pthread $CFLAGS \
    src/core/*.c src/platform/*.c tests/stress/stress.c -o "$out/stress" || exit 1
exec "$out/stress" "$@"
