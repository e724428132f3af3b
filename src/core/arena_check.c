/* arena_check.c -- the part of cmp_check that is about extents.

   It looks beside running processes: what is wrong is so only if it still is after
   a second look at the word that said so.  */
#include "arena.h"
#include <stdio.h>

struct report {
    void (*say)(void *arg, const char *what);
    void *arg;
    int n;
};

static void wrong(struct report *r, const char *what, uint32_t e, uint32_t word)
{
    char text[120];
    snprintf(text, sizeof text, "extent %u: %s (%#x)", e, what, word);
    r->say(r->arg, text);
    r->n++;
}

/* A tail belongs to an extent that is taken, or being taken. */
static void check_tail(struct report *r, uint32_t e, uint32_t word)
{
    uint32_t distance = word & ~CMP_EXTENT_TAIL;
    bool far = distance == 0 || distance > e - CMP_EXTENT_FIRST;
    uint32_t head = far ? 0 : cmp_extent_word(e - distance);
    if ((head == 0 || (head >= CMP_EXTENT_TAIL && head < CMP_EXTENT_CLAIM)) &&
        cmp_extent_word(e) == word)
        wrong(r, "belongs to none", e, word);
}

/* What its kind says names it. */
static void check_kind(struct report *r, uint32_t e, uint32_t word)
{
    uint32_t kind = word >> 24, payload = word & 0xffffff;
    cmp_word *directory = NULL;
    if (kind == CMP_EXTENT_SLOTS && payload < CMP_SLOT_EXTENTS)
        directory = cmp_arena()->slot_extent;
    else if (kind == CMP_EXTENT_SLAB && payload < CMP_SLABS)
        directory = cmp_slab_directory();
    else if (kind == CMP_EXTENT_SLOTS || kind == CMP_EXTENT_SLAB)
        wrong(r, "is of a number that cannot be", e, word);
    if (directory != NULL && load_acquire(&directory[payload]) != e &&
        cmp_extent_word(e) == word)
        wrong(r, "is not named by its directory", e, word);
}

static void check_directory(struct report *r, const char *name, cmp_word *directory,
                            uint32_t n, enum cmp_extent_kind kind)
{
    char text[120];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t e = load_acquire(&directory[i]), word = cmp_extent_word(e);
        if (e == 0 || word >= CMP_EXTENT_CLAIM || word == CMP_EXTENT_KIND(kind, i) ||
            load_acquire(&directory[i]) != e)
            continue;
        snprintf(text, sizeof text, "%s %u: names extent %u, which is %#x", name, i, e, word);
        r->say(r->arg, text);
        r->n++;
    }
}

/* Nothing is named past what the header says. */
static void check_ends(struct report *r, uint32_t end)
{
    struct cmp_arena *arena = cmp_arena();
    for (uint32_t e = end; e % CMP_SLABS != 0; e++) {
        uint32_t word = cmp_extent_word(e);
        if (word != 0 && word >> 24 != CMP_EXTENT_FIXED && e >= cmp_extent_end())
            wrong(r, "is past the end of them", e, word);
    }
    for (uint32_t i = 0; i < CMP_SLABS; i++) {
        uint32_t e = load_acquire(&cmp_slab_directory()[i]);
        if (e != 0 && i >= load_seqcst(&arena->n_slabs)) /* SYNC: pairs with raise_end */
            wrong(r, "is named past the last slab", e, i);
    }
}

int cmp_extent_check(void (*say)(void *arg, const char *what), void *arg)
{
    struct cmp_arena *arena = cmp_arena();
    struct report r = {say, arg, 0};

    if (arena == NULL)
        return 0;
    uint32_t n = load_acquire(&arena->n_extents), end = cmp_extent_end();
    if (n <= CMP_EXTENT_SLOTS_AT || n > end)
        wrong(&r, "cannot be the end of them", n, end);
    check_ends(&r, end);
    for (uint32_t e = CMP_EXTENT_FIRST; e < end; e++) {
        uint32_t word = cmp_extent_word(e);
        if (word >= CMP_EXTENT_CLAIM || word == 0)
            continue; /* whose claim it is, the sweep looks at */
        if (word >= CMP_EXTENT_TAIL)
            check_tail(&r, e, word);
        else
            check_kind(&r, e, word);
    }
    check_directory(&r, "slots", arena->slot_extent, CMP_SLOT_EXTENTS, CMP_EXTENT_SLOTS);
    check_directory(&r, "slab", cmp_slab_directory(), CMP_SLABS, CMP_EXTENT_SLAB);
    return r.n;
}
