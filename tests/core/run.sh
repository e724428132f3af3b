#!/bin/sh
# Build every tests/core/test_*.c against all of src/core and src/platform, without
# Python, and run each, JOBS at a time (2).
#   usage: tests/core/run.sh core|asan|ubsan|tsan [NAME...]
# With names, only the tests test_NAME.c.  CC (default gcc) and CFLAGS are taken from
# the environment; TIMEOUT is the seconds that one test may take.
set -u
cd "$(dirname "$0")/../.." || exit 1

one=
[ "${1:-}" != --one ] || { one=$2 && shift 2; } # xargs calls us so
mode=${1:-core}
[ $# -gt 0 ] && shift
names=${*:-}
: "${CC:=gcc}" "${CFLAGS:=-O2 -g}" "${TIMEOUT:=150}" "${JOBS:=2}"
out=build/core/$mode

case $mode in
core)  sanitize= ;;
asan)  sanitize="-fsanitize=address -fno-omit-frame-pointer" ;;
ubsan) sanitize="-fsanitize=undefined -fno-sanitize-recover=all" ;;
tsan)  sanitize="-fsanitize=thread" ;;
*)     echo "$0: $mode is not one of core, asan, ubsan, tsan" >&2; exit 2 ;;
esac
report=
case $mode in # what its sanitizer says when it sees the bug of xfail_$mode.c
asan)  report="ERROR: AddressSanitizer: heap-buffer-overflow" ;;
ubsan) report="runtime error: signed integer overflow" ;;
tsan)  report="WARNING: ThreadSanitizer: data race" ;;
esac
# A child of a threaded process may start threads: the tests do so on purpose.
export TSAN_OPTIONS="die_after_fork=0 ${TSAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1 ${UBSAN_OPTIONS:-}"
flags="-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -pthread $CFLAGS $sanitize"

# ThreadSanitizer needs the addresses that a fixed layout gives it.
aslr_off=
if [ "$mode" = tsan ] && setarch "$(uname -m)" -R true 2>/dev/null; then
    aslr_off="setarch $(uname -m) -R"
fi

objects_of()
{
    for source in src/core/*.c src/platform/*.c; do
        [ -e "$source" ] && echo "$out/$(echo "$source" | tr / _ | sed 's/c$/o/')"
    done
}

# build SOURCE PROGRAM: link one test
build()
{
    # shellcheck disable=SC2046,SC2086
    $CC $flags "$1" $(objects_of) -o "$2"
}

# verdict WORD NAME LOG: one line, and the log of a failure
verdict()
{
    echo "$1" >"$out/$2.verdict"
    case $1 in
    ok)   echo "ok       $2" ;;
    skip) echo "skip     $2: $(sed -n 's/^skipped: //p' "$3")" ;;
    *)    printf '%-8s %s\n%s\n' "$1" "$2" "$(sed 's/^/         /' "$3")" ;;
    esac
}

run_test()
{
    name=$(basename "$1" .c)
    log=$out/$name.log
    if ! build "$1" "$out/$name" >"$log" 2>&1; then
        verdict "no build" "$name" "$log"
        return
    fi
    $aslr_off timeout -k 5 "$TIMEOUT" "$out/$name" >"$log" 2>&1 </dev/null
    rc=$?
    case $rc in
    0)  verdict ok "$name" "$log" ;;
    77) verdict skip "$name" "$log" ;;
    *)  echo "exit status $rc" >>"$log"; verdict FAILED "$name" "$log" ;;
    esac
}

# A program with a bug must fail, and for that bug: else the sanitizer is blind.  So ok is:
# it fails.
run_xfail()
{
    name=xfail_$mode
    log=$out/$name.log
    if build "tests/core/$name.c" "$out/$name" >"$log" 2>&1 &&
        ! $aslr_off timeout -k 5 "$TIMEOUT" "$out/$name" >"$log" 2>&1 </dev/null &&
        grep -q "$report" "$log"; then
        verdict ok "$name" "$log"
    else
        echo "the sanitizer did not report: $report" >>"$log"
        verdict FAILED "$name" "$log"
    fi
}

case $one in
*/xfail_*) run_xfail && exit ;;
?*) run_test "$one" && exit ;;
esac

mkdir -p "$out" || exit 1
rm -f "$out"/*.o "$out"/*.verdict # of sources that are no more
for source in src/core/*.c src/platform/*.c; do
    [ -e "$source" ] || continue
    object=$out/$(echo "$source" | tr / _ | sed 's/c$/o/')
    # shellcheck disable=SC2086
    $CC $flags -c "$source" -o "$object" || exit 1
done

# shellcheck disable=SC2046
undefined=$(nm -u $(objects_of)) || {
    echo "nm (of binutils) is needed to see that src/core and src/platform do not know Python" >&2
    exit 1
}
python_symbols=$(echo "$undefined" | grep -E ' _?Py' | sort -u)
if [ -n "$python_symbols" ]; then
    echo "src/core and src/platform must not know Python:" $python_symbols >&2
    exit 1
fi

wanted=$(for source in tests/core/test_*.c "tests/core/xfail_$mode.c"; do
    name=$(basename "$source" .c)
    case " $names " in
    "  ") [ ! -e "$source" ] || echo "$source" ;;
    *" ${name#test_} "*) echo "$source" ;;
    esac
done)
echo "$wanted" | xargs -P "$JOBS" -I{} "$0" --one {} "$mode"

# count WORD
count()
{
    grep -lx "$1" "$out"/*.verdict 2>/dev/null | wc -l
}
passed=$(count ok) skipped=$(count skip)
failed=$(($(echo "$wanted" | wc -l) - passed - skipped))
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
