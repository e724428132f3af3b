#!/bin/sh
# Coverage-guided fuzzing of the decoder, by libFuzzer: of the grammar alone (fuzz_wire.c), and
# of the whole of it within Python (fuzz_codec.c).
#   usage: tests/fuzz/run.sh [SECONDS]     each target, for so long (10)
#          tests/fuzz/run.sh bugs [NAME]... with the seeded bugs, which it must find
# CC (default clang), PYTHON (default python3) and CFLAGS are taken from the environment.  What a
# run has found interesting stays in build/fuzz/corpus.  An input that fails is printed and kept
# in build/fuzz: run the target with that file.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${CC:=clang}" "${PYTHON:=python3}" "${CFLAGS:=-O1 -g}"
out=build/fuzz
sanitize="-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined"
mkdir -p "$out" || exit 1

if ! echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { (void)d; return n < 0; }' |
    $CC -x c - -fsanitize=fuzzer,address -o "$out/probe" 2>"$out/probe.log"; then
    echo "fuzzing needs clang with libFuzzer: apt-get install clang libclang-rt-dev" >&2
    cat "$out/probe.log" >&2
    exit 77
fi

# Include folder, and library with its folder, of a Python that can be embedded; else nothing.
embedding()
{
    "$PYTHON" - <<'END'
import os, sysconfig
var = sysconfig.get_config_var
library = os.path.join(var("LIBDIR") or "", var("LDLIBRARY") or "")
if var("Py_ENABLE_SHARED") and os.path.exists(library):
    print(sysconfig.get_path("include"), var("LIBDIR"), "-lpython" + var("LDVERSION"))
END
}

# FOLDER with the sources, TARGET, PROGRAM
build()
{
    if [ "$2" = wire ]; then
        # shellcheck disable=SC2086
        $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra $CFLAGS $sanitize \
            "$1/src/core/wire.c" "$1/tests/fuzz/fuzz_wire.c" -o "$3"
        return
    fi
    # shellcheck disable=SC2046
    set -- "$1" "$3" $(embedding)
    # shellcheck disable=SC2086
    $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -pthread $CFLAGS $sanitize -I"$3" \
        "$1"/src/*/*.c "$1/tests/fuzz/fuzz_codec.c" -L"$4" -Wl,-rpath,"$4" "$5" -o "$2"
}

# PROGRAM CORPUS SECONDS: 0, or what libFuzzer ends with when it has found something
fuzz()
{
    mkdir -p "$2"
    PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 timeout -k 5 $(($3 + 60)) "$1" -max_total_time="$3" \
        -max_len=256 -rss_limit_mb=2000 -timeout=10 -print_final_stats=1 -artifact_prefix="$1-" "$2" \
        >"$1.log" 2>&1
}

targets()
{
    echo wire
    if [ -n "$(embedding)" ]; then echo codec; else
        echo "fuzz_codec is left out: $PYTHON comes without a shared library to embed" >&2; fi
}

# NAME of a seed; a corpus of its own, so that it is found from nothing
bug()
{
    seed=tests/fuzz/seeds/$1.sed
    [ -e "$seed" ] || { echo "there is no seed $1" >&2; return 1; }
    file=$(sed -n 's/^# file: *//p' "$seed") target=$(sed -n 's/^# target: *//p' "$seed")
    targets 2>/dev/null | grep -qx "$target" || { echo "left out  $1"; return 0; }
    rm -rf "${out:?}/$1"
    mkdir -p "$out/$1/tests"
    cp -r src "$out/$1" && cp -r tests/fuzz "$out/$1/tests" || return 1
    sed -E -i -f "$seed" "$out/$1/$file"
    cmp -s "$file" "$out/$1/$file" && { echo "$1 changes nothing" >&2; return 1; }
    CFLAGS="$CFLAGS -w" build "$out/$1" "$target" "$out/$1/fuzz" || return 1
    if fuzz "$out/$1/fuzz" "$out/$1/corpus" 60; then
        echo "NOT FOUND $1"
        return 1
    fi
    echo "found     $1: $(grep -m 1 -aE '^(SUMMARY|[A-Za-z]*Error)|libFuzzer: ' "$out/$1/fuzz.log")"
    rm -rf "${out:?}/$1"
}

failed=0
if [ "${1:-}" = bugs ]; then
    shift
    for name in ${*:-$(ls tests/fuzz/seeds | sed 's/\.sed$//')}; do
        bug "$name" || failed=1
    done
    exit $failed
fi
for target in $(targets); do
    build . "$target" "$out/$target" || exit 1
    if fuzz "$out/$target" "$out/corpus/$target" "${1:-10}"; then
        echo "ok       fuzz_$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$target.log") inputs," \
            "$(grep -a ' cov: ' "$out/$target.log" | tail -n 1 | sed -E 's/.*cov: ([0-9]+).*/\1/') edges"
    else
        failed=1
        echo "FAILED   fuzz_$target"
        tail -n 60 "$out/$target.log"
    fi
done
exit $failed
