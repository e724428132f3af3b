#!/bin/sh
# Build the model of a source tree.   usage: build.sh SRC OUT [BASE]
# SRC has core/ and platform/; OUT/model is the program.  What is the same in BASE, where
# another tree was built with the same headers, is taken from there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
src=$1 out=$2 base=${3:-}
: "${CC:=gcc}"
mkdir -p "$out"

# The file under test, unoptimised so that its stack keeps nothing that is dead.
tested="-std=c11 -D_GNU_SOURCE -gdwarf-4 -O0 -fsanitize=thread -finstrument-functions
    -fno-omit-frame-pointer -ftrivial-auto-var-init=zero -fno-stack-protector
    -fcf-protection=none -fno-pie -fno-common -U_FORTIFY_SOURCE
    -w -Werror=implicit-function-declaration
    -D_Thread_local= -D__thread=
    -Dmalloc=model_malloc -Dcalloc=model_calloc -Drealloc=model_realloc -Dfree=model_free
    -Dmemcpy=model_memcpy -Dmemset=model_memset -Dmemcmp=model_memcmp
    -Dpthread_once=model_pthread_once -Dpthread_atfork=model_pthread_atfork
    -Dpthread_mutex_lock=model_mutex_lock -Dpthread_mutex_unlock=model_mutex_unlock
    -Datexit=model_atexit -I $here -I $src"
engine="-std=c11 -D_GNU_SOURCE -gdwarf-4 -O2 -fno-omit-frame-pointer -fno-pie -fcf-protection=none
    -fno-stack-protector -Wall -Wextra -Werror -I $src"

# gcc 12 and later: fewer states that differ in nothing that matters
if ! echo 'int x;' | $CC -ftrivial-auto-var-init=zero -x c -c - -o /dev/null 2>/dev/null; then
    tested=$(echo "$tested" | sed 's/-ftrivial-auto-var-init=zero//')
fi

# compile SOURCE OBJECT SECTION: its statics go to SECTION
compile()
{
    # shellcheck disable=SC2086
    $CC $tested -c "$1" -o "$2"
    objcopy --rename-section ".data=$3data" --rename-section ".bss=$3bss" \
        --rename-section ".data.rel.local=$3data" "$2"
}

objects=
for source in "$src"/core/*.c; do
    name=$(basename "$source" .c)
    if [ -n "$base" ] && cmp -s "$source" "$base/../src/core/$name.c"; then
        objects="$objects $base/$name.o"
        continue
    fi
    compile "$source" "$out/$name.o" core
    objects="$objects $out/$name.o"
done
if [ -n "$base" ]; then
    # shellcheck disable=SC2086
    $CC -no-pie -o "$out/model" $objects "$base"/scenario_*.o "$base"/model_*.o
    exit
fi
for source in "$here"/scenario_*.c; do
    compile "$source" "$out/$(basename "$source" .c).o" seen
done
# shellcheck disable=SC2086
{
    $CC $engine -c "$here/explore.c" -o "$out/model_explore.o"
    $CC $engine -Wno-builtin-declaration-mismatch -Wno-frame-address -Wno-psabi \
        -c "$here/ops.c" -o "$out/model_ops.o"
    $CC $engine -O1 -finstrument-functions -fno-optimize-sibling-calls \
        -c "$here/platform.c" -o "$out/model_platform.o"
    $CC -no-pie -o "$out/model" $objects "$out"/scenario_*.o "$out"/model_*.o
}
