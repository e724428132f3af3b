/* extent.c -- the tables of extents: claiming, linking, giving back, recovering.

   A table word has one writer at a time: whoever moved it from 0 to its own claim,
   or from a dead process's claim to its own.  So nothing here needs a lock.  */
#include "arena.h"
#include "owner.h"

#define WORDS (CMP_EXTENT_BYTES / sizeof(cmp_word)) /* of a table: one GiB */
#define TABLES (CMP_EXTENTS_MAX / (uint32_t)WORDS)

/* ---- tables -------------------------------------------------------------------- */

static size_t bytes_of(uint32_t n_extents)
{
    return (size_t)n_extents << CMP_EXTENT_BITS;
}

/* The tables of the GiB after the first lie together at the end of the first, so
   that a block may cross from one GiB to the next. */
static uint32_t table_extent(uint32_t gib)
{
    return gib == 0 ? 1 : (uint32_t)WORDS - TABLES + gib;
}

static cmp_word *word_at(uint32_t e)
{
    char *table = cmp_arena_base + bytes_of(table_extent(e / (uint32_t)WORDS));
    return (cmp_word *)(void *)table + e % WORDS;
}

void cmp_extent_format(void)
{
    struct cmp_arena *arena = (struct cmp_arena *)(void *)cmp_arena_base;
    for (uint32_t e = 0; e < CMP_EXTENT_SLOTS_AT; e++)
        store_relaxed(word_at(e), CMP_EXTENT_KIND(CMP_EXTENT_FIXED, 0));
    store_relaxed(word_at(CMP_EXTENT_SLOTS_AT), CMP_EXTENT_KIND(CMP_EXTENT_SLOTS, 0));
    for (uint32_t gib = 1; gib < TABLES; gib++)
        store_relaxed(word_at(table_extent(gib)), CMP_EXTENT_KIND(CMP_EXTENT_FIXED, gib));
    store_relaxed(&arena->hint, CMP_EXTENT_SLOTS_AT + 1);
    store_relaxed(&arena->n_extents, CMP_EXTENT_SLOTS_AT + 1);
}

/* The word of extent e, NULL if its table is not there. */
static cmp_word *find_word(uint32_t e)
{
    if (cmp_arena() == NULL || e >= CMP_EXTENTS_MAX)
        return NULL;
    size_t end = bytes_of(table_extent(e / (uint32_t)WORDS) + 1);
    return cmp_arena_reach(end) == 0 ? word_at(e) : NULL;
}

/* ... which is made if need be, with its pages, lest the access be a SIGBUS. */
static int make_word(uint32_t e, cmp_word **word)
{
    uint32_t table = table_extent(e / (uint32_t)WORDS);
    if (e >= CMP_EXTENTS_MAX || e >= cmp_arena_map.reserved >> CMP_EXTENT_BITS)
        return -ENOMEM;
    if (table >= load_acquire(&cmp_arena_n)) { /* SYNC acquire: as in cmp_arena */
        int rc = cmp_arena_grow(bytes_of(table + 1));
        if (rc == 0)
            rc = cmp_map_commit(&cmp_arena_map, bytes_of(table), CMP_EXTENT_BYTES);
        if (rc < 0)
            return rc;
    }
    *word = word_at(e);
    return 0;
}

uint32_t cmp_extent_word(uint32_t e)
{
    cmp_word *word = find_word(e);
    /* SYNC acquire: pairs with the store in cmp_extent_publish. */
    return word == NULL ? 0 : load_acquire(word);
}

uint32_t cmp_extent_end(void)
{
    if (cmp_arena() == NULL)
        return 0;
    /* SYNC seq_cst: pairs with raise_end, which comes before the claim. */
    uint32_t end = load_seqcst(&cmp_arena()->n_extents);
    for (uint32_t gib = 1; gib < TABLES && gib * (uint32_t)WORDS < end; gib++)
        if (find_word(gib * (uint32_t)WORDS) == NULL) /* damaged: there is no table */
            return gib * (uint32_t)WORDS;
    return end < CMP_EXTENTS_MAX ? end : CMP_EXTENTS_MAX;
}

void *cmp_extent_at_slow(uint32_t e)
{
    if (cmp_arena() == NULL || e < CMP_EXTENT_FIRST || e >= CMP_EXTENTS_MAX ||
        cmp_arena_reach(bytes_of(e + 1)) < 0)
        return NULL;
    return cmp_arena_base + bytes_of(e);
}

/* ---- claiming ------------------------------------------------------------------ */

/* By this process's slot, whatever its words say: cmp_me_code can be 0 for a while. */
static uint32_t my_claim(void)
{
    struct cmp_slot *s = cmp_me_slot();
    if (s == NULL)
        return CMP_EXTENT_CLAIM;
    return CMP_EXTENT_CLAIM | cmp_code_of(cmp_me_number(), cmp_state_gen(load64_relaxed(&s->state)));
}

/* Before the word that is at end - 1: whoever looks for what the dead have left ends
   there. */
static void raise_end(cmp_word *n, uint32_t end)
{
    uint32_t seen = load_relaxed(n);
    /* SYNC seq_cst: comes before the word; pairs with cmp_extent_end, and for slabs
       with kind_in_directories. */
    while (seen < end && !cas_seqcst(n, &seen, end))
        ;
}

/* Extent e and its tails.  It is this process's. */
static uint32_t count(uint32_t e)
{
    uint32_t n = 1;
    while (cmp_extent_word(e + n) == (CMP_EXTENT_TAIL | n))
        n++;
    return n;
}

/* Free the tails from the last on, then the extent itself. */
static void free_claim(uint32_t e)
{
    for (uint32_t n = count(e); --n > 0;) {
        store_release(word_at(e + n), 0);
        CMP_HOOK("arena.give.tail");
    }
    /* SYNC release: the extent was cleared before; pairs with the CAS in claim_at. */
    store_release(word_at(e), 0);
    if (e < load_relaxed(&cmp_arena()->hint))
        store_relaxed(&cmp_arena()->hint, e);
}

/* ... after it was written to: zeroes again. */
static void clear_claim(uint32_t e)
{
    size_t begin = bytes_of(e), end = bytes_of(e + count(e));
    /* A dead process may have claimed it before the file covered it. */
    if (cmp_arena_reach(end) < 0)
        end = load64_seqcst(&cmp_arena_map.accessible);
    if (begin < end)
        cmp_map_clear(&cmp_arena_map, begin, end - begin);
    CMP_HOOK("arena.give.cleared");
    free_claim(e);
}

/* Extents e to e + n - 1, if all are free: 0, -EBUSY (*next: try from there), -ENOMEM. */
static int claim_at(uint32_t e, unsigned int n, uint32_t *next)
{
    cmp_word *word;
    uint32_t seen = 0;

    int rc = make_word(e, &word);
    if (rc < 0)
        return rc;
    *next = e + 1;
    if (load_relaxed(word) != 0)
        return -EBUSY;
    if (e + n > cmp_arena_map.reserved >> CMP_EXTENT_BITS)
        return -ENOMEM;
    raise_end(&cmp_arena()->n_extents, e + n);
    /* SYNC seq_cst: of two who want it, one gets it; what a former taker stored
       comes before its release. */
    if (!cas_strong(word, &seen, my_claim()))
        return -EBUSY;
    CMP_HOOK("arena.claim.head");
    for (unsigned int i = 1; i < n; i++) {
        rc = make_word(e + i, &word);
        seen = 0;
        if (rc == 0 && !cas_strong(word, &seen, CMP_EXTENT_TAIL | i)) /* SYNC: as above */
            rc = -EBUSY;
        if (rc < 0) {
            *next = e + i + 1;
            free_claim(e);
            return rc;
        }
        CMP_HOOK("arena.claim.tail");
    }
    return 0;
}

static int64_t claim_from(uint32_t start, uint32_t end, unsigned int n)
{
    uint32_t e = start;
    while (e < end) {
        int rc = claim_at(e, n, &e);
        if (rc == 0)
            return e - 1;
        if (rc != -EBUSY)
            return rc;
    }
    return -ENOMEM;
}

/* Claimed words, whatever lies behind them. */
static int64_t claim_words(unsigned int n)
{
    cmp_word *hint = &cmp_arena()->hint;
    uint32_t seen = load_relaxed(hint);
    int64_t e = claim_from(seen, CMP_EXTENTS_MAX, n);
    if (e == -ENOMEM)
        e = claim_from(CMP_EXTENT_FIRST, seen, n);
    if (e >= 0 && n == 1) /* unless somebody has freed another meanwhile */
        cas_strong(hint, &seen, (uint32_t)e + 1);
    return e;
}

int64_t cmp_extent_claim(unsigned int n, bool commit)
{
    if (cmp_arena() == NULL || n == 0 || n >= CMP_EXTENTS_MAX)
        return -EINVAL;
    int64_t e = claim_words(n);
    if (e < 0)
        return e;
    int rc = cmp_arena_grow(bytes_of((uint32_t)e + n));
    if (rc < 0) {
        free_claim((uint32_t)e);
        return rc;
    }
    if (commit)
        rc = cmp_map_commit(&cmp_arena_map, bytes_of((uint32_t)e), bytes_of(n));
    if (rc < 0) {
        clear_claim((uint32_t)e); /* some pages were allocated */
        return rc;
    }
    CMP_HOOK("arena.claim.grown");
    return e;
}

void cmp_extent_publish(uint32_t e, uint32_t kind)
{
    /* SYNC release: pairs with cmp_extent_word; after the extent's contents. */
    store_release(word_at(e), kind);
}

int cmp_extent_link(uint32_t e, cmp_word *where, uint32_t kind)
{
    cmp_word *slabs = cmp_slab_directory();
    uint32_t seen = 0;
    if (where >= slabs && where < slabs + CMP_SLABS)
        raise_end(&cmp_arena()->n_slabs, (uint32_t)(where - slabs) + 1);
    /* SYNC seq_cst: pairs with the load of whoever follows *where; after the
       extent's contents. */
    if (!cas_strong(where, &seen, e)) {
        clear_claim(e);
        return -EEXIST;
    }
    CMP_HOOK("arena.link.linked");
    cmp_extent_publish(e, kind);
    return 0;
}

int64_t cmp_extent_take(unsigned int n, uint32_t kind)
{
    int64_t e = cmp_extent_claim(n, true);
    if (e >= 0)
        cmp_extent_publish((uint32_t)e, kind);
    return e;
}

int cmp_extent_unpublish(uint32_t e, uint32_t kind)
{
    cmp_word *word = find_word(e);
    if (word == NULL || kind == 0 || kind >= CMP_EXTENT_TAIL ||
        kind >> 24 == CMP_EXTENT_FIXED ||
        !cas_strong(word, &kind, my_claim())) /* SYNC seq_cst: one giver */
        return -EINVAL;
    CMP_HOOK("arena.give.claimed");
    return 0;
}

int cmp_extent_give(uint32_t e)
{
    uint32_t seen = cmp_extent_word(e);
    int rc = seen == my_claim() ? 0 : cmp_extent_unpublish(e, seen);
    if (rc == 0)
        clear_claim(e);
    return rc;
}

int cmp_extent_commit(uint32_t e, size_t offset, size_t bytes)
{
    size_t end = bytes_of(e) + offset + bytes;
    if (cmp_arena() == NULL || cmp_arena_reach(end) < 0)
        return -EINVAL;
    return cmp_map_commit(&cmp_arena_map, bytes_of(e) + offset, bytes);
}

/* ---- what the dead have left --------------------------------------------------- */

/* What extent e is, if a directory of the header names it, else 0. */
static uint32_t kind_in_directories(uint32_t e)
{
    struct cmp_arena *arena = cmp_arena();
    cmp_word *slab = cmp_slab_directory();
    uint32_t n_slabs = load_seqcst(&arena->n_slabs); /* SYNC: pairs with raise_end */
    for (uint32_t i = 0; i < CMP_SLOT_EXTENTS; i++)
        if (load_acquire(&arena->slot_extent[i]) == e)
            return CMP_EXTENT_KIND(CMP_EXTENT_SLOTS, i);
    for (uint32_t i = 0; i < n_slabs && i < CMP_SLABS; i++)
        if (load_acquire(&slab[i]) == e)
            return CMP_EXTENT_KIND(CMP_EXTENT_SLAB, i);
    return 0;
}

int cmp_extent_recover(uint32_t code, uint32_t (*kind_of)(uint32_t e))
{
    int n = 0;
    if (cmp_arena() == NULL || code == 0)
        return -EINVAL;
    for (uint32_t e = CMP_EXTENT_FIRST, end = cmp_extent_end(); e < end; e++) {
        cmp_word *word = word_at(e);
        uint32_t seen = CMP_EXTENT_CLAIM | code;
        /* SYNC seq_cst: of several who find it, one goes on; if that one dies too,
           the claim is its own, and found by its own code. */
        if (load_acquire(word) != seen || !cas_strong(word, &seen, my_claim()))
            continue;
        CMP_HOOK("arena.recover.adopted");
        uint32_t kind = kind_in_directories(e);
        if (kind == 0 && kind_of != NULL)
            kind = kind_of(e);
        if (kind != 0)
            cmp_extent_publish(e, kind);
        else
            clear_claim(e);
        n++;
    }
    /* It may have died between freeing one and saying so. */
    store_relaxed(&cmp_arena()->hint, CMP_EXTENT_FIRST);
    return n;
}
