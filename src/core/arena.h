/* arena.h -- the shared memory of one process family.

   Layout    a file of extents of 64 KiB; nothing in it is a pointer, except the
             links of robust nodes, which are of use to one process alone.
               extent 0   struct cmp_arena: header and directories
               extent 1   the table of the first GiB, one word per extent
               extent 2   the directory of slabs
               extent 3   the first process slots
               the last 63 extents of the first GiB: the tables of the others
             A word of a table is one of
               0                  free: its bytes are zeroes, or beyond the file
               kind               taken; 1 to CMP_EXTENT_TAIL - 1, the taker's
                                  choice, by convention CMP_EXTENT_KIND(k, payload)
               TAIL | distance    belongs to the extent so many before it
               CLAIM | owner code that process is taking it, or giving it back
   Invariant only who put CLAIM | own code into a word, or adopted it there from
             the dead, frees or publishes that extent and its tails.  A directory
             names no extent that is free.  A free extent is all zeroes.
             n_covered is raised after the file was lengthened: for those whose program
             has closed the descriptor.
             n_extents is past every word that is not 0 or FIXED, n_slabs past every
             word of the directory of slabs that is not 0.
   Ordering  a word of a table or directory is published after the extent's
             contents; who reads it sees them.
   If a process dies
             with an extent claimed: arena.claim.head
             with some of its tails claimed: arena.claim.tail
             with the file longer than said: a hint less       arena.grow.longer
             with the file grown, contents in part: arena.claim.grown
               all three: cmp_extent_recover clears and frees it
             named by the directory, not yet published: arena.link.linked
               recover finds it there and publishes it
             while giving back: arena.give.claimed, arena.give.cleared and
               arena.give.tail: recover goes on
             while recovering: arena.recover.adopted: its claim now, as above
             claiming without an owner code (a process that registers and finds no
               slot): the extent is lost to the family, 64 KiB
   Fork      the mapping is inherited.  cmp_family_before_fork and _after_fork
             belong into the handlers of pthread_atfork.  */
#ifndef CMP_ARENA_H
#define CMP_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include "../platform/platform.h"
#include "cmp.h"

#define CMP_EXTENT_BITS 16
#define CMP_EXTENT_BYTES 65536u
#define CMP_LAYOUT_VERSION 1u

/* Words of the extent tables. */
#define CMP_EXTENT_CLAIM (UINT32_C(1) << 31)
#define CMP_EXTENT_TAIL (UINT32_C(0x7f) << 24)
#define CMP_EXTENT_KIND(kind, payload) ((uint32_t)(kind) << 24 | (payload))
enum cmp_extent_kind {
    CMP_EXTENT_FIXED = 1, /* header, tables, directory of slabs: never given back */
    CMP_EXTENT_SLOTS,     /* 128 process slots */
    CMP_EXTENT_SLAB,      /* objects */
    CMP_EXTENT_HELD,      /* what a process holds */
    CMP_EXTENT_BLOCK,     /* payload */
};

/* Extents with a place of their own. */
#define CMP_EXTENT_SLABS_AT 2u /* the directory of slabs */
#define CMP_EXTENT_SLOTS_AT 3u /* the first 128 process slots */
#define CMP_EXTENT_FIRST 3u    /* the first that cmp_extent_at finds */

#define CMP_SLOT_EXTENTS 64u
#define CMP_SLABS 16384u
#define CMP_EXTENTS_MAX (64u * CMP_SLABS) /* of 64 GiB */

/* The header: extent 0. */
struct cmp_arena {
    cmp_word64 magic; /* stored last */
    uint32_t layout_version;
    uint32_t header_bytes; /* of this struct */
    unsigned char id[16];
    uint32_t extent_bytes;
    uint32_t node_offset; /* of the word in a robust node: differs by libc */
    uint32_t reserved[22];

    cmp_word n_extents; /* past the last that was ever claimed; never falls */
    cmp_word hint;      /* look here for a free one; any value is right */
    cmp_word n_slabs;   /* past the last that was ever named; never falls */
    cmp_word n_covered; /* extents that the file has at least; never falls */
    uint32_t reserved_2[12];

    cmp_word slot_extent[CMP_SLOT_EXTENTS]; /* of each 128 process slots, 0: none */

    cmp_word64 owner_words[64];   /* for owner.c to name */
    cmp_word64 object_words[448]; /* for object.c to name */
};
_Static_assert(sizeof(struct cmp_arena) <= CMP_EXTENT_BYTES, "one extent");

/* ---- the family ------------------------------------------------------------------ */

/* Make the family's arena, or keep the one that this process has: map it, take a
   process slot, have forks prepared.  Idempotent and thread-safe.  0 or -errno. */
int cmp_family_init(void);

/* Become a member of the family whose file is fd, which becomes cmp_family_fd() if it
   succeeds; where this process was a member before, fd stays the caller's: it may
   carry a birth lock, and is to be closed after the adoption.  -EEXIST: it already is
   in another; -EPROTO: another layout (*version tells, may be NULL); -EPERM: another
   user's; -EINVAL: no arena; or another -errno.  */
int cmp_family_join(int fd, uint32_t *version);

/* The descriptor of the arena: -1 while there is none, or it is shared by fork
   alone.  */
int cmp_family_fd(void);

/* 16 bytes that no other family has; NULL while there is none.  */
const unsigned char *cmp_family_id(void);

/* For the prepare handler of a fork: make the arena if there is none, and let no
   other thread be in the middle of that.  0 or -errno: forking goes on either way,
   and cmp_family_after_fork is due, in parent and child.  */
int cmp_family_before_fork(void);
void cmp_family_after_fork(void);

/* The map under the arena, for the birth locks; valid while there is an arena.  */
const struct cmp_map *cmp_family_map(void);

/* ---- what arena.c asks of owner.c ------------------------------------------------ */

/* Have forks prepared.  Idempotent; called before any lock is taken.  0 or -errno. */
int cmp_owner_atfork_install(void);

/* Take a slot for this process in the arena, link its words, set cmp_me_code.  On
   failure nothing is left linked.  0 or -errno.  */
int cmp_owner_register(void);

/* ---- extents --------------------------------------------------------------------- */

/* NULL while there is none.  */
extern char *cmp_arena_base;
extern cmp_word cmp_arena_n; /* extents that this process may touch; 3: no arena */

static inline struct cmp_arena *cmp_arena(void)
{
    /* SYNC acquire: pairs with the store in set_accessible; base is set before. */
    return load_acquire(&cmp_arena_n) > CMP_EXTENT_FIRST
               ? (struct cmp_arena *)(void *)cmp_arena_base : NULL;
}

void *cmp_extent_at_slow(uint32_t e);

/* Where extent e begins in this process, NULL if there is no such extent: also
   for numbers that another process has added, or forged.  The fixed extents 0 to 2
   are none.  */
static inline void *cmp_extent_at(uint32_t e)
{
    /* SYNC acquire: as in cmp_arena. */
    uint32_t n = load_acquire(&cmp_arena_n);
    if (e - CMP_EXTENT_FIRST < n - CMP_EXTENT_FIRST)
        return cmp_arena_base + ((size_t)e << CMP_EXTENT_BITS);
    return cmp_extent_at_slow(e);
}

/* The directory of slabs: CMP_SLABS words, each the number of an extent or 0.
   NULL while there is no arena.  */
static inline cmp_word *cmp_slab_directory(void)
{
    return cmp_arena() == NULL ? NULL
        : (cmp_word *)(void *)(cmp_arena_base + CMP_EXTENT_SLABS_AT * CMP_EXTENT_BYTES);
}

/* The word of extent e in its table, 0 if there is none.  */
uint32_t cmp_extent_word(uint32_t e);

/* Past the last extent that was ever claimed.  */
uint32_t cmp_extent_end(void);

/* Claim n neighbouring extents, all zeroes; with commit, their pages are allocated,
   so that touching them cannot fail.  The first one's number, or -errno: -ENOMEM,
   -EFBIG, ...  The caller formats them, then links or publishes or gives them. */
int64_t cmp_extent_claim(unsigned int n, bool commit);

/* Name claimed extent e in *where, which must read 0, then publish it as kind.  0;
   -EEXIST: *where was not 0, and e was given back: use what is there.  */
int cmp_extent_link(uint32_t e, cmp_word *where, uint32_t kind);

/* Publish claimed extent e as kind: it stays until it is given back.  */
void cmp_extent_publish(uint32_t e, uint32_t kind);

/* Claim and publish.  The first one's number, or -errno.  */
int64_t cmp_extent_take(unsigned int n, uint32_t kind);

/* Claim a published extent of that kind again.  0; -EINVAL: it is of another kind by now. */
int cmp_extent_unpublish(uint32_t e, uint32_t kind);

/* Give back an extent with its tails, claimed or published, that nobody uses and
   no directory names.  Not for what held locks or park words: the kernel may write
   there later.  0; -EINVAL: it is not taken.  */
int cmp_extent_give(uint32_t e);

/* Allocate the pages of a part of an extent, or several.  0 or -errno.  */
int cmp_extent_commit(uint32_t e, size_t offset, size_t bytes);

/* Of a process that is certainly dead, before its slot is freed: free what it was
   claiming, publish what it had named.  Any process, any number at once.
   kind_of: what claimed extent e is, if something else than the directories of
   struct cmp_arena names it, else 0; its word, that is a claim of this process, to leave
   it as it is; may be NULL.  How many, or -errno.  */
int cmp_extent_recover(uint32_t code, uint32_t (*kind_of)(uint32_t e));

/* Verify tables and directories; say() once for each thing that is wrong.  How many. */
int cmp_extent_check(void (*say)(void *arg, const char *what), void *arg);

/* ---- between arena.c and extent.c ------------------------------------------------ */

extern struct cmp_map cmp_arena_map;

/* Make accessible what another process has added, and for grow: add more if there
   is less than that.  0 or -errno, as cmp_map_reach and cmp_map_grow.  */
int cmp_arena_reach(size_t bytes);
int cmp_arena_grow(size_t bytes);

/* Fill in the tables of a new arena.  */
void cmp_extent_format(void);

#endif /* CMP_ARENA_H */
