#!/bin/sh
# Build tests/crash and run it: with the sources as they are (points are instructions), with
# hooks (points are hooks), and with bugs seeded, each of which must be found.
#   usage: tests/crash/run.sh crash|full|steps|hooks|pairs|square|seeds [PART OF A NAME]...
# crash: steps, hooks, pairs of hooks, seeds.  full: also every pair of instructions, in
# steps of SQUARE_STEP (default 3).  For seeds, the names are those of files in seeds/.
# CC (default gcc), CFLAGS, JOBS (workers), SEEDS (parts of names, where none are given) and TIME
# are taken from the environment.  TIME: so many seconds for instructions, and for pairs of hooks,
# see -t in main.c; default: as long as all of them take.
set -u
cd "$(dirname "$0")/../.." || exit 1

mode=${1:-crash}
[ $# -gt 0 ] && shift
: "${CC:=gcc}" "${CFLAGS:=-O2 -g}" "${JOBS:=0}" "${SQUARE_STEP:=3}" "${TIME:=0}" "${SEEDS:=}"
out=build/crash
flags="-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -pthread $CFLAGS"
failed=

# objects FOLDER SOURCE_ROOT FLAGS: compile src/core and src/platform below SOURCE_ROOT
objects()
{
    mkdir -p "$out/$1" || exit 1
    for source in "$2"/src/core/*.c "$2"/src/platform/*.c; do
        object=$out/$1/$(basename "$(dirname "$source")")_$(basename "$source" .c).o
        # shellcheck disable=SC2086
        $CC $flags $3 -c "$source" -o "$object" || exit 1
    done
}

# harness FOLDER: compile the scenarios, once for all programs
harness()
{
    mkdir -p "$out/$1" || exit 1
    for source in tests/crash/*.c; do
        # shellcheck disable=SC2086
        $CC $flags -c "$source" -o "$out/$1/$(basename "$source" .c).o" || exit 1
    done
}

# program FOLDER: link what was compiled
program()
{
    # shellcheck disable=SC2086
    $CC $flags -rdynamic -Wl,-z,now "$out/harness/"*.o "$out/$1/"*.o -o "$out/$1/crash" || exit 1
}

all_hooks()
{
    grep -rhoE 'CMP_HOOK\("[^"]+"\)' src/core src/platform | sed 's/.*"\(.*\)".*/\1/' | sort -u
}

# run TITLE PROGRAM ARGUMENTS...
run()
{
    echo "== $1"
    shift
    "$@" || failed="$failed $(basename "$(dirname "$1")")"
}

steps()
{
    run "killed at every instruction" "$out/plain/crash" -n "$JOBS" -t "$TIME" single "$@"
}

hooks()
{
    run "killed at every hook" "$out/hooked/crash" -n "$JOBS" -H "$out/hooks.txt" single "$@"
}

pairs()
{
    run "two killed, at every pair of hooks" "$out/hooked/crash" -n "$JOBS" -t "$TIME" -H "$out/hooks.txt" double "$@"
}

square()
{
    run "two killed, at every pair of instructions (in steps of $SQUARE_STEP)" \
        "$out/plain/crash" -n "$JOBS" -s "$SQUARE_STEP" double "$@"
}

# A seed is a sed script; its first lines say, after #:  what is wrong  /  file:  /  finds:
field()
{
    sed -n "s/^# $2: *//p" "$1"
}

# Apply it to a copy of its file, and build with that.
build_seed()
{
    name=$1 seed=$2 file=$3
    for folder in src/core src/platform; do
        mkdir -p "$out/seed/$name/$folder" && cp -p $folder/*.h "$out/seed/$name/$folder/" || return 1
    done
    sed -E -f "$seed" "$file" >"$out/seed/$name/$file" || return 1
    if cmp -s "$file" "$out/seed/$name/$file"; then
        echo "it changes nothing in $file" >&2
        return 1
    fi
    cp -p "$out/plain/"*.o "$out/seed/$name/" || return 1
    # shellcheck disable=SC2086
    $CC $flags -w -c "$out/seed/$name/$file" \
        -o "$out/seed/$name/$(basename "$(dirname "$file")")_$(basename "$file" .c).o" || return 1
    program "seed/$name"
}

# One seed: its scenario must report a hang or a violation.
run_seed()
{
    seed=$1 name=$(basename "$1" .sed) log=$out/seed/$(basename "$1" .sed).log
    if ! build_seed "$name" "$seed" "$(field "$seed" file)" >"$log" 2>&1; then
        echo "no build  $name"
        sed 's/^/         /' "$log"
        return 1
    fi
    field "$seed" finds | while read -r scenario; do
        timeout 120 "$out/seed/$name/crash" -n 1 -l 700 -m 1 single "$scenario" >"$log" 2>&1
        grep -qE '^[0-9]+ scenarios, .*, [1-9][0-9]* (hangs|violations)' "$log" || exit 1
    done || {
        printf 'NOT FOUND %-28s %s\n' "$name" "$(sed -n '1s/^# //p' "$seed")"
        sed 's/^/         /' "$log"
        return 1
    }
    printf 'found     %-28s %s\n' "$name" "$(sed -n '1s/^# //p' "$seed")"
    rm -rf "$out/seed/$name"
}

seeds()
{
    echo "== seeded bugs: each must be found"
    wanted=${*:-$SEEDS}
    list=
    for seed in tests/crash/seeds/*.sed; do
        [ -z "$wanted" ] && list="$list $seed"
        for part in $wanted; do
            case $seed in *"$part"*) list="$list $seed" && break ;; esac
        done
    done
    rm -rf "$out/seed"
    mkdir -p "$out/seed"
    workers=$JOBS
    [ "$workers" -gt 0 ] || workers=$(nproc)
    # shellcheck disable=SC2086
    printf '%s\n' $list | xargs -P "$workers" -n 1 "$0" one_seed || failed="$failed seeds"
}

if [ "$mode" = one_seed ]; then
    run_seed "$1"
    exit
fi

rm -rf "$out/plain" "$out/hooked" "$out/harness"
mkdir -p "$out" || exit 1
harness harness
objects plain . ""
program plain
all_hooks >"$out/hooks.txt"
case $mode in
crash | full | hooks | pairs)
    objects hooked . "-include tests/core/hooks.h"
    program hooked
    ;;
esac

begin=$(date +%s)
case $mode in
steps | hooks | pairs | square | seeds) "$mode" "$@" ;;
crash) steps "$@"; hooks "$@"; pairs "$@"; [ $# -gt 0 ] || seeds ;;
full) steps "$@"; hooks "$@"; pairs "$@"; square "$@"; [ $# -gt 0 ] || seeds ;;
*) echo "$0: $mode is not one of crash, full, steps, hooks, pairs, square, seeds" >&2; exit 2 ;;
esac
echo "$(($(date +%s) - begin)) s"
[ -z "$failed" ] || { echo "FAILED:$failed" >&2; exit 1; }
