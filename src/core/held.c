#include "held.h"
#include "arena.h"

#define PAGE_BYTES 4096u
#define PAGE_WORDS (PAGE_BYTES / 8)
#define PAGE_BITS (PAGE_BYTES * 8)
#define CHUNK_EXTENTS 2u
#define CHUNK_PAGES (CHUNK_EXTENTS * CMP_EXTENT_BYTES / PAGE_BYTES)
_Static_assert(CHUNK_PAGES * CMP_HELD_CHUNKS == CMP_HELD_PAGES, "all pages have a chunk");

/* Where page p of that slot is, NULL if it has no memory. */
static cmp_word64 *page_at(struct cmp_slot *s, uint32_t p)
{
    uint32_t e = load_acquire(&s->held[p / CHUNK_PAGES]);
    /* The last extent of the chunk must be there too. */
    if (e == 0 || cmp_extent_at(e + CHUNK_EXTENTS - 1) == NULL)
        return NULL;
    char *chunk = cmp_extent_at(e);
    return chunk == NULL ? NULL
        : (cmp_word64 *)(void *)(chunk + (size_t)(p % CHUNK_PAGES) * PAGE_BYTES);
}

static bool page_in_use(struct cmp_slot *s, uint32_t p)
{
    return (load64_seqcst(&s->held_pages[p / 64]) >> (p % 64) & 1) != 0;
}

static int add_chunk(struct cmp_slot *s, uint32_t chunk)
{
    int64_t e = cmp_extent_claim(CHUNK_EXTENTS, false);
    if (e < 0)
        return (int)e;
    int rc = cmp_extent_link((uint32_t)e, &s->held[chunk],
                             CMP_EXTENT_KIND(CMP_EXTENT_HELD, chunk));
    return rc == -EEXIST ? 0 : rc;
}

/* Have n pages from page p on, all in one chunk, with their memory allocated. */
static int make_pages(struct cmp_slot *s, uint32_t p, uint32_t n)
{
    uint32_t chunk = p / CHUNK_PAGES;
    int rc = load_acquire(&s->held[chunk]) == 0 ? add_chunk(s, chunk) : 0;
    if (rc < 0)
        return rc;
    if (page_at(s, p) == NULL)
        return -EUCLEAN;
    return cmp_extent_commit(load_relaxed(&s->held[chunk]), (p % CHUNK_PAGES) * PAGE_BYTES,
                             n * PAGE_BYTES);
}

static void use_page(struct cmp_slot *s, uint32_t p)
{
    or64_seqcst(&s->held_pages[p / 64], UINT64_C(1) << (p % 64));
    CMP_HOOK("held.set.page");
}

int cmp_held_set(struct cmp_slot *s, uint32_t index)
{
    uint32_t p = index / PAGE_BITS;
    if (!page_in_use(s, p)) {
        int rc = make_pages(s, p, 1);
        if (rc < 0)
            return rc;
        use_page(s, p);
    }
    cmp_word64 *page = page_at(s, p);
    if (page == NULL)
        return -EUCLEAN;
    cmp_word64 *word = &page[index / 64 % PAGE_WORDS];
    /* SYNC seq_cst: add before touch; pairs with the sweep's scan. */
    store64_seqcst(word, load64_relaxed(word) | UINT64_C(1) << (index % 64));
    return 0;
}

void cmp_held_clear_bit(struct cmp_slot *s, uint32_t index)
{
    uint32_t p = index / PAGE_BITS;
    cmp_word64 *page = page_in_use(s, p) ? page_at(s, p) : NULL;
    if (page == NULL)
        return;
    cmp_word64 *word = &page[index / 64 % PAGE_WORDS];
    /* SYNC release: remove after the touch of whatever took its place. */
    store64_release(word, load64_relaxed(word) & ~(UINT64_C(1) << (index % 64)));
}

bool cmp_held_test(struct cmp_slot *s, uint32_t index)
{
    uint32_t p = index / PAGE_BITS;
    cmp_word64 *page = page_in_use(s, p) ? page_at(s, p) : NULL;
    return page != NULL &&
           (load64_seqcst(&page[index / 64 % PAGE_WORDS]) >> (index % 64) & 1) != 0;
}

/* The pages in use of one chunk, one bit each. */
static uint32_t chunk_pages(struct cmp_slot *s, uint32_t chunk)
{
    _Static_assert(CHUNK_PAGES == 32, "half a word");
    return (uint32_t)(load64_seqcst(&s->held_pages[chunk / 2]) >> (chunk % 2 * 32));
}

static void clear_page(struct cmp_slot *s, uint32_t p)
{
    cmp_word64 *page = page_at(s, p);
    for (uint32_t i = 0; page != NULL && i < PAGE_WORDS; i++)
        store64_relaxed(&page[i], 0);
    /* SYNC seq_cst: the zeroes first. */
    and64_seqcst(&s->held_pages[p / 64], ~(UINT64_C(1) << (p % 64)));
}

static int copy_page(struct cmp_slot *to, struct cmp_slot *from, uint32_t p)
{
    cmp_word64 *source = page_at(from, p), *target = page_at(to, p);
    if (source == NULL || target == NULL)
        return -EUCLEAN;
    use_page(to, p);
    for (uint32_t i = 0; i < PAGE_WORDS; i++)
        store64_relaxed(&target[i], load64_relaxed(&source[i]));
    return 0;
}

static void clear_pages(struct cmp_slot *s, uint32_t chunk, uint32_t pages)
{
    for (; pages != 0; pages &= pages - 1)
        clear_page(s, chunk * CHUNK_PAGES + (uint32_t)__builtin_ctz(pages));
}

void cmp_held_clear(struct cmp_slot *s)
{
    for (uint32_t c = 0; c < CMP_HELD_CHUNKS; c++)
        clear_pages(s, c, chunk_pages(s, c));
}

static int copy_chunk(struct cmp_slot *to, struct cmp_slot *from, uint32_t chunk)
{
    uint32_t pages = chunk_pages(from, chunk);
    clear_pages(to, chunk, chunk_pages(to, chunk) & ~pages);
    if (pages == 0)
        return 0;
    uint32_t low = (uint32_t)__builtin_ctz(pages), high = 31 - (uint32_t)__builtin_clz(pages);
    int rc = make_pages(to, chunk * CHUNK_PAGES + low, high - low + 1);
    for (; rc == 0 && pages != 0; pages &= pages - 1)
        rc = copy_page(to, from, chunk * CHUNK_PAGES + (uint32_t)__builtin_ctz(pages));
    return rc;
}

int cmp_held_copy(struct cmp_slot *to, struct cmp_slot *from)
{
    int rc = 0;
    for (uint32_t c = 0; rc == 0 && c < CMP_HELD_CHUNKS; c++)
        rc = copy_chunk(to, from, c);
    return rc;
}

static void visit_page(struct cmp_slot *s, uint32_t p,
                       void (*visit)(void *arg, uint32_t index, uint64_t bits), void *arg)
{
    cmp_word64 *page = page_at(s, p);
    for (uint32_t i = 0; page != NULL && i < PAGE_WORDS; i++) {
        /* SYNC seq_cst: pairs with cmp_held_set, which comes before a touch. */
        uint64_t bits = load64_seqcst(&page[i]);
        if (bits != 0)
            visit(arg, p * PAGE_BITS + i * 64, bits);
    }
}

void cmp_held_each(struct cmp_slot *s, void (*visit)(void *arg, uint32_t index, uint64_t bits),
                   void *arg)
{
    for (uint32_t c = 0; c < CMP_HELD_CHUNKS; c++)
        for (uint32_t pages = chunk_pages(s, c); pages != 0; pages &= pages - 1)
            visit_page(s, c * CHUNK_PAGES + (uint32_t)__builtin_ctz(pages), visit, arg);
}

uint32_t cmp_held_kind_of(uint32_t e)
{
    for (uint32_t i = 0, n = cmp_slot_count(); i < n; i++) {
        struct cmp_slot *s = cmp_slot_at(i);
        for (uint32_t c = 0; s != NULL && c < CMP_HELD_CHUNKS; c++)
            if (load_acquire(&s->held[c]) == e)
                return CMP_EXTENT_KIND(CMP_EXTENT_HELD, c);
    }
    return 0;
}
