#!/bin/sh
# Copy a source tree for the model, with small constants: states are smaller, and the
# bounds are reached.   usage: shrink.sh SRC OUT
set -eu
rm -rf "$2"
mkdir -p "$2"
cp -R "$1/core" "$1/platform" "$2"

# change FILE SED: it must change something
change()
{
    sed "$2" "$1" >"$1.new"
    if cmp -s "$1" "$1.new"; then
        echo "shrink.sh: nothing to change in $1: $2" >&2
        exit 1
    fi
    mv "$1.new" "$1"
}

change "$2/platform/platform.h" 's/^\(#define CMP_PARK_MAX\) 128/\1 10/'
change "$2/core/sem.h" 's/^\(#define CMP_SEM_OWNED\) 64/\1 3/; s/sizeof(struct cmp_sem) == 288/1/'
change "$2/core/cond.h" 's/^\(#define CMP_COND_NODES\) 16/\1 4/; s/sizeof(struct cmp_cond) == 160/1/'
change "$2/core/owner.h" 's/^\(#define CMP_SLOT_BITS\) 13/\1 3/; s/^\(#define CMP_SLOTS_PER_EXTENT\) 128u/\1 8u/'
change "$2/core/arena.h" 's/^\(#define CMP_SLOT_EXTENTS\) 64u/\1 1u/'
change "$2/core/held.c" 's/^\(#define PAGE_BYTES\) 4096u/\1 8u/; s/^\(#define CHUNK_PAGES\) .*/\1 32u/'
change "$2/core/arena.h" 's/^\(#define CMP_SLABS\) 16384u/\1 8u/'
change "$2/core/slab.h" 's/^\(#define CMP_SLAB_BITS\) 14/\1 3/'
