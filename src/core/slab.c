/* slab.c -- views of slabs, hints of free cells, new slabs.  */
#include "slab.h"
#include <stdlib.h>
#include "sweep.h"

#define HEAD_BYTES ((uint32_t)sizeof(struct cmp_slab))
#define SMALL_STEP 64u
#define SMALL_MAX 1024u  /* cells up to here in steps of 64; beyond, four sizes per octave */
#define N_SIZES (SMALL_MAX / SMALL_STEP + 4 * 10)
#define MANY_EXTENTS_FROM 16384u /* larger cells have slabs of several extents ... */
#define CELLS_MIN 4u             /* ... with at least so many cells */
#define COMMIT_EACH_FROM 4096u   /* larger cells get their pages one by one */
#define PAGE_BYTES ((size_t)4096)
#define HINTS 256u
#define CHUNK 32u /* cells looked at at once: 4 cache lines of words, ours for a while */

/* Cells of one type and size: what this process knows. */
struct class {
    uint32_t n_hints;
    uint32_t n_slabs;
    uint32_t room;   /* of slabs */
    uint32_t at;     /* look here first */
    uint32_t hints[HINTS];
    uint32_t *slabs; /* numbers */
};

static struct cmp_view *views[CMP_SLABS];
static uint32_t n_views; /* all below were looked at */
static struct class *classes[CMP_N_TYPES][N_SIZES];

/* ---- sizes ----------------------------------------------------------------------- */

static uint32_t size_at(uint32_t i)
{
    if (i < SMALL_MAX / SMALL_STEP)
        return (i + 1) * SMALL_STEP;
    i -= SMALL_MAX / SMALL_STEP;
    return (SMALL_MAX << i / 4) / 4 * (5 + i % 4);
}

/* N_SIZES if it is too much. */
static uint32_t size_index(size_t bytes)
{
    uint32_t i = SMALL_MAX / SMALL_STEP;
    if (bytes <= SMALL_MAX)
        return bytes == 0 ? 0 : (uint32_t)(bytes - 1) / SMALL_STEP;
    while (i < N_SIZES && size_at(i) < bytes)
        i++;
    return i;
}

uint32_t cmp_slab_cell_bytes(size_t bytes)
{
    uint32_t i = size_index(bytes);
    return i < N_SIZES ? size_at(i) : 0;
}

static uint32_t cells_at(uint32_t count)
{
    return (HEAD_BYTES + count * 8 + 63) / 64 * 64;
}

static uint32_t extents_of(uint32_t cell_bytes)
{
    uint32_t bytes = cells_at(CELLS_MIN) + CELLS_MIN * cell_bytes;
    return cell_bytes < MANY_EXTENTS_FROM
               ? 1 : (bytes + CMP_EXTENT_BYTES - 1) / CMP_EXTENT_BYTES;
}

uint32_t cmp_slab_cells(uint32_t cell_bytes)
{
    uint32_t bytes = extents_of(cell_bytes) * CMP_EXTENT_BYTES;
    uint32_t count = (bytes - HEAD_BYTES) / (cell_bytes + 8);
    while (cells_at(count) + count * cell_bytes > bytes)
        count--;
    return count;
}

uint32_t cmp_slab_cells_at(uint32_t cell_bytes)
{
    return cells_at(cmp_slab_cells(cell_bytes));
}

/* ---- views ----------------------------------------------------------------------- */

static struct class *class_of(uint32_t type, uint32_t cell_bytes)
{
    struct class **class = &classes[type][size_index(cell_bytes)];
    if (*class == NULL)
        *class = calloc(1, sizeof **class);
    return *class;
}

static bool add_to_class(struct cmp_view *v)
{
    struct class *c = class_of(v->type, v->cell_bytes);
    if (c == NULL)
        return false;
    if (c->n_slabs == c->room) {
        uint32_t room = c->room == 0 ? 8 : 2 * c->room;
        uint32_t *slabs = realloc(c->slabs, room * sizeof *slabs);
        if (slabs == NULL)
            return false;
        c->slabs = slabs;
        c->room = room;
    }
    c->slabs[c->n_slabs++] = v->number;
    return true;
}

/* Read the header once, and believe it only if it is one that we would write. */
static bool read_header(struct cmp_view *v)
{
    v->type = load_relaxed(&v->slab->type);
    v->cell_bytes = load_relaxed(&v->slab->cell_bytes);
    if (v->type == 0 || v->type >= CMP_N_TYPES || v->cell_bytes > CMP_CELL_BYTES_MAX ||
        cmp_slab_cell_bytes(v->cell_bytes) != v->cell_bytes)
        return false;
    v->count = cmp_slab_cells(v->cell_bytes);
    v->n_free = v->count;
    v->words = (cmp_word64 *)(void *)(v->slab + 1);
    v->cells = (char *)v->slab + cmp_slab_cells_at(v->cell_bytes);
    return cmp_extent_at(v->extent + extents_of(v->cell_bytes) - 1) != NULL;
}

static struct cmp_view *make_view(uint32_t number, uint32_t extent)
{
    struct cmp_view *v = calloc(1, sizeof *v);
    if (v == NULL)
        return NULL;
    v->number = number;
    v->extent = extent;
    v->slab = cmp_extent_at(extent);
    if (v->slab != NULL && read_header(v)) {
        v->holds = calloc(v->count, sizeof *v->holds);
        if (v->holds != NULL && add_to_class(v))
            return v;
        free(v->holds);
    }
    free(v);
    return NULL;
}

struct cmp_view *cmp_slab_view(uint32_t number)
{
    if (number >= CMP_SLABS)
        return NULL;
    if (views[number] != NULL)
        return views[number];
    cmp_word *directory = cmp_slab_directory();
    /* SYNC acquire: pairs with cmp_extent_link; the header was stored before. */
    uint32_t extent = directory == NULL ? 0 : load_acquire(&directory[number]);
    if (extent != 0)
        views[number] = make_view(number, extent);
    return views[number];
}

uint32_t cmp_slab_count(void)
{
    cmp_word *directory = cmp_slab_directory();
    while (directory != NULL && n_views < CMP_SLABS && load_acquire(&directory[n_views]) != 0)
        n_views++;
    return n_views;
}

void cmp_slab_void_tokens(void)
{
    for (uint32_t i = 0; i < n_views; i++)
        for (uint32_t j = 0; views[i] != NULL && j < views[i]->count; j++)
            views[i]->holds[j].token = 0;
}

static void look_for_new_slabs(void)
{
    for (uint32_t i = n_views, n = cmp_slab_count(); i < n; i++)
        cmp_slab_view(i);
}

/* ---- new slabs ------------------------------------------------------------------- */

static int claim_slab(uint32_t type, uint32_t cell_bytes, uint32_t *extent)
{
    bool whole = cell_bytes <= COMMIT_EACH_FROM;
    int64_t e = cmp_extent_claim(extents_of(cell_bytes), whole);
    if (e < 0)
        return (int)e;
    int rc = whole ? 0 : cmp_extent_commit((uint32_t)e, 0, cmp_slab_cells_at(cell_bytes));
    if (rc < 0) {
        cmp_extent_give((uint32_t)e);
        return rc;
    }
    struct cmp_slab *slab = cmp_extent_at((uint32_t)e);
    store_relaxed(&slab->type, type);
    store_relaxed(&slab->cell_bytes, cell_bytes);
    *extent = (uint32_t)e;
    return 0;
}

/* Another process may be faster, and use the place in the directory. */
int cmp_slab_add(enum cmp_type type, uint32_t cell_bytes)
{
    for (;;) {
        uint32_t number = cmp_slab_count(), extent = 0;
        if (number == CMP_SLABS)
            return -ENOMEM;
        int rc = claim_slab(type, cell_bytes, &extent);
        if (rc < 0)
            return rc;
        CMP_HOOK("slab.add.claimed");
        rc = cmp_extent_link(extent, &cmp_slab_directory()[number],
                             CMP_EXTENT_KIND(CMP_EXTENT_SLAB, number));
        if (rc == 0)
            return cmp_slab_view(number) == NULL ? -ENOMEM : 0;
        if (rc != -EEXIST)
            return rc;
    }
}

int cmp_slab_commit(struct cmp_view *v, uint32_t index)
{
    uint32_t j = index % CMP_CELLS_MAX;
    if (v->cell_bytes <= COMMIT_EACH_FROM ||
        (load64_relaxed(&v->slab->committed[j / 64]) >> (j % 64) & 1) != 0)
        return 0;
    int rc = cmp_extent_commit(v->extent, (size_t)((char *)cmp_view_cell(v, j) - (char *)v->slab),
                               v->cell_bytes);
    CMP_HOOK("slab.commit.pages");
    if (rc == 0)
        or64_seqcst(&v->slab->committed[j / 64], UINT64_C(1) << (j % 64));
    return rc;
}

bool cmp_slab_has_pages(struct cmp_view *v, uint32_t index)
{
    uint32_t j = index % CMP_CELLS_MAX;
    return v->cell_bytes > COMMIT_EACH_FROM &&
           (load64_relaxed(&v->slab->committed[j / 64]) >> (j % 64) & 1) != 0;
}

void cmp_slab_uncommit(struct cmp_view *v, uint32_t index)
{
    uint32_t j = index % CMP_CELLS_MAX;
    size_t begin = (size_t)((char *)cmp_view_cell(v, index) - cmp_arena_base);
    size_t end = (begin + v->cell_bytes) / PAGE_BYTES * PAGE_BYTES; /* the rest is others' too */
    begin = (begin + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    /* SYNC seq_cst: before the cell is free again; pairs with take_cell's look. */
    and64_seqcst(&v->slab->committed[j / 64], ~(UINT64_C(1) << (j % 64)));
    CMP_HOOK("slab.uncommit.bit");
    if (begin < end)
        cmp_map_clear(&cmp_arena_map, begin, end - begin);
}

/* ---- hints ----------------------------------------------------------------------- */

/* The next few cells of a slab, which no other process is likely to look at: those
   that are free become hints. */
static void scan_chunk(struct class *c, struct cmp_view *v)
{
    uint32_t n_chunks = (v->count + CHUNK - 1) / CHUNK;
    uint32_t from = add_seqcst(&v->slab->cursor, 1) % n_chunks * CHUNK;
    uint32_t to = from + CHUNK < v->count ? from + CHUNK : v->count;
    for (uint32_t j = to; j-- > from && c->n_hints < HINTS;)
        if (cmp_word_phase(load64_relaxed(&v->words[j])) == CMP_OBJECT_FREE)
            c->hints[c->n_hints++] = v->number << CMP_CELL_BITS | j;
}

/* A slab that may have free cells: look until some are found, or everywhere. */
static void scan_slab(struct class *c, struct cmp_view *v)
{
    for (uint32_t i = 0; i * CHUNK < v->count && c->n_hints == 0; i++)
        scan_chunk(c, v);
    v->n_free = c->n_hints == 0 || v->n_free <= c->n_hints ? 0 : v->n_free - c->n_hints;
}

static uint64_t n_live; /* objects in all, after the last sweep */
static uint64_t n_made; /* cells that became hints since, counted in the smallest */

static bool find_hints(struct class *c)
{
    uint32_t cell_bytes = SMALL_STEP;
    look_for_new_slabs();
    for (uint32_t i = 0; i < c->n_slabs && c->n_hints == 0; i++) {
        struct cmp_view *v = views[c->slabs[c->at % c->n_slabs]];
        cell_bytes = v->cell_bytes;
        if (v->n_free > 0)
            scan_slab(c, v);
        if (c->n_hints == 0)
            c->at++;
    }
    n_made += c->n_hints * (cell_bytes / SMALL_STEP);
    return c->n_hints > 0;
}

void cmp_slab_swept(uint64_t live)
{
    n_live = live;
    n_made = 0;
}

/* A sweep looks at all that lives: with so many cells used since the last one, its
   cost is shared out.  Until then fresh cells, half as many as live, are cheaper. */
bool cmp_slab_sweep(uint64_t n)
{
    n_made += n;
    return 2 * n_made >= n_live && cmp_sweep_if_any() > 0;
}

static int refill(struct class *c, uint32_t type, uint32_t cell_bytes)
{
    if (find_hints(c) || (cmp_slab_sweep(0) && find_hints(c)))
        return 0;
    int rc = cmp_slab_add(type, cell_bytes);
    if (rc == 0)
        return find_hints(c) ? 0 : -EAGAIN; /* others took all of it */
    if (cmp_sweep_if_any() > 0 && find_hints(c))
        return 0;
    return rc;
}

int cmp_slab_hint(enum cmp_type type, uint32_t cell_bytes, uint32_t *index)
{
    struct class *c = class_of(type, cell_bytes);
    if (c == NULL)
        return -ENOMEM;
    while (c->n_hints == 0) {
        int rc = refill(c, type, cell_bytes);
        if (rc < 0 && rc != -EAGAIN)
            return rc;
    }
    *index = c->hints[--c->n_hints];
    return 0;
}

void cmp_slab_freed(struct cmp_view *v, uint32_t index)
{
    struct class *c = class_of(v->type, v->cell_bytes);
    if (c != NULL && c->n_hints < HINTS)
        c->hints[c->n_hints++] = index;
    else
        v->n_free++;
}

void cmp_slab_forget(void)
{
    for (uint32_t i = 0; i < n_views; i++) {
        if (views[i] != NULL)
            free(views[i]->holds);
        free(views[i]);
        views[i] = NULL;
    }
    n_views = 0;
    for (uint32_t type = 0; type < CMP_N_TYPES; type++)
        for (uint32_t i = 0; i < N_SIZES; i++) {
            if (classes[type][i] != NULL)
                free(classes[type][i]->slabs);
            free(classes[type][i]);
            classes[type][i] = NULL;
        }
    n_live = n_made = 0;
}

void cmp_slab_forked(void)
{
    for (uint32_t type = 0; type < CMP_N_TYPES; type++)
        for (uint32_t i = 0; i < N_SIZES; i++)
            if (classes[type][i] != NULL)
                classes[type][i]->n_hints = 0;
}
