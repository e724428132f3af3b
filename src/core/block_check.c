/* block_check.c -- the part of cmp_check that is about the extents of blocks.

   As in arena_check.c it looks beside running processes: what is wrong is so only if it
   still is when looked at again.  */
#include "block.h"
#include <stdio.h>
#include "arena.h"
#include "slab.h"

#define LOOKS 3

struct report {
    void (*say)(void *arg, const char *what);
    void *arg;
    int n;
};

static void wrong(struct report *r, const char *what, uint32_t index, uint32_t e)
{
    char text[120];
    snprintf(text, sizeof text, "block %#x, extent %u: %s", index, e, what);
    r->say(r->arg, text);
    r->n++;
}

/* The object of that index, NULL if it is no big block. */
static struct cmp_big *find_big(uint32_t index)
{
    cmp_process_lock();
    struct cmp_view *v = cmp_view_of(index);
    cmp_process_unlock();
    return v != NULL && v->type == CMP_TYPE_BIG ? cmp_view_cell(v, index) : NULL;
}

static bool has_tails(uint32_t e, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        if (cmp_extent_word(e + i) != (CMP_EXTENT_TAIL | i))
            return false;
    return cmp_extent_word(e + n) != (CMP_EXTENT_TAIL | n);
}

/* What place names is this object's, all of it, or claimed by who changes that. */
static const char *check_place(uint64_t place, uint32_t index)
{
    uint32_t e = cmp_place_extent(place), n = cmp_place_extents(place);
    uint32_t word = cmp_extent_word(e);
    if (word >= CMP_EXTENT_CLAIM)
        return NULL;
    if (word != CMP_EXTENT_KIND(CMP_EXTENT_BLOCK, index))
        return "it names what is not its own";
    return n > 0 && n < CMP_EXTENTS_MAX - e && has_tails(e, n) ? NULL : "their number is wrong";
}

static void check_big(struct report *r, struct cmp_big *big, uint32_t index)
{
    uint64_t place = load64_seqcst(&big->place);
    const char *what = NULL;
    for (int look = 0; look < LOOKS; look++) {
        what = place == 0 ? NULL : check_place(place, index);
        if (what == NULL || load64_seqcst(&big->place) != place)
            return;
    }
    wrong(r, what, index, cmp_place_extent(place));
}

static void check_bigs(struct report *r)
{
    cmp_process_lock();
    uint32_t n = cmp_slab_count();
    cmp_process_unlock();
    for (uint32_t i = 0; i < n; i++) {
        uint32_t first = i << CMP_CELL_BITS;
        for (uint32_t j = 0; find_big(first) != NULL && j < cmp_slab_cells(sizeof(struct cmp_big));
             j++)
            check_big(r, find_big(first | j), first | j);
    }
}

static void check_extent(struct report *r, uint32_t e)
{
    uint32_t word = cmp_extent_word(e), index = word & 0xffffff;
    for (int look = 0; look < LOOKS; look++) {
        struct cmp_big *big = find_big(index);
        if (big != NULL && cmp_place_extent(load64_seqcst(&big->place)) == e)
            return;
        if (cmp_extent_word(e) != word)
            return;
    }
    wrong(r, "nobody names it", index, e);
}

int cmp_block_check(void (*say)(void *arg, const char *what), void *arg)
{
    struct report r = {say, arg, 0};
    check_bigs(&r);
    for (uint32_t e = CMP_EXTENT_FIRST, end = cmp_extent_end(); e < end; e++) {
        uint32_t word = cmp_extent_word(e);
        if (word < CMP_EXTENT_TAIL && word >> 24 == CMP_EXTENT_BLOCK)
            check_extent(&r, e);
    }
    return r.n;
}
