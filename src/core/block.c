/* block.c -- blocks: small ones are cells, big ones have extents of their own.  */
#include "block.h"
#include <string.h>
#include "arena.h"
#include "slab.h"
#include "sweep.h"

#define WARM_EXTENTS (CMP_BLOCK_WARM_BYTES / CMP_EXTENT_BYTES)
#define LOOK_AFTER (WARM_EXTENTS / 4) /* extents that became free: see whether it is too much */
#define ASK_FROM (((size_t)16 << 20) / CMP_EXTENT_BYTES) /* extents: whether there is memory */
#define CELL_BYTES ((uint32_t)sizeof(struct cmp_big))
#define RECENT 16u
#define AT_ONCE 256 /* that many are taken from their objects under one lock */

/* Extents that came free since this process has last looked how many there are; and that it
   has left to the sweep, since it last swept for them. */
static cmp_word n_freed, n_left;

/* The last ones that became free here: hints, looked at before all others. */
static uint32_t recent[RECENT], n_recent;

static uint32_t extents_of(size_t bytes)
{
    return (uint32_t)((bytes + CMP_EXTENT_BYTES - 1) / CMP_EXTENT_BYTES);
}

static uint64_t place_of(uint32_t e, uint32_t n)
{
    return (uint64_t)n << 32 | e;
}

static uint32_t kind_of_index(uint32_t index)
{
    return CMP_EXTENT_KIND(CMP_EXTENT_BLOCK, index);
}

/* ---- free objects ------------------------------------------------------------------ */

static struct cmp_big *big_at(struct cmp_view *v, uint32_t index)
{
    return cmp_view_cell(v, index);
}

static bool is_big(const struct cmp_view *v)
{
    return v != NULL && v->type == CMP_TYPE_BIG && v->cell_bytes == CELL_BYTES;
}

typedef bool visitor(void *arg, struct cmp_view *v, uint32_t index, uint64_t place);

/* Call visit for that one if it is seen free.  What visit says, else true. */
static bool visit_free(struct cmp_view *v, uint32_t index, visitor *visit, void *arg)
{
    return cmp_word_phase(load64_relaxed(cmp_view_word(v, index))) != CMP_OBJECT_FREE ||
           visit(arg, v, index, load64_relaxed(&big_at(v, index)->place));
}

/* ... for each, until visit says false. */
static void each_free(visitor *visit, void *arg)
{
    for (uint32_t i = 0, n = cmp_slab_count(); i < n; i++) {
        struct cmp_view *v = cmp_slab_view(i);
        for (uint32_t j = 0; is_big(v) && j < v->count; j++)
            if (!visit_free(v, i << CMP_CELL_BITS | j, visit, arg))
                return;
    }
}

static void each_recent(visitor *visit, void *arg)
{
    for (uint32_t i = 0; i < RECENT && i < n_recent; i++) {
        struct cmp_view *v = cmp_view_of(recent[i]);
        if (is_big(v) && !visit_free(v, recent[i], visit, arg))
            return;
    }
}

struct search {
    uint32_t n; /* extents wanted, 0: none at all */
    uint32_t best_n;
    struct cmp_view *v; /* NULL: not found */
    uint32_t index;
};

/* One with as many extents, or up to half as many more. */
static bool compare(void *arg, struct cmp_view *v, uint32_t index, uint64_t place)
{
    struct search *s = arg;
    uint32_t n = cmp_place_extents(place);
    if (cmp_view_hold(v, index)->count > 0)
        return true; /* damage: it was freed under us */
    if (n < s->n || n > s->n + s->n / 2 || (s->v != NULL && n >= s->best_n))
        return true;
    *s = (struct search){.n = s->n, .best_n = n, .v = v, .index = index};
    return n > s->n;
}

/* Bring to life a free object with n extents or some more; 0: with none.  0; -EAGAIN:
   there is none; or another -errno. */
static int revive(uint32_t n, struct cmp_view **v, cmp_ref *ref)
{
    for (;;) {
        struct search s = {.n = n};
        each_recent(compare, &s);
        if (s.v == NULL)
            each_free(compare, &s);
        if (s.v == NULL)
            return -EAGAIN;
        int rc = cmp_object_revive(s.v, s.index, ref);
        if (rc == -EAGAIN)
            continue; /* another process has it */
        *v = s.v;
        if (rc < 0 || cmp_place_extents(load64_relaxed(&big_at(s.v, s.index)->place)) == s.best_n)
            return rc;
        cmp_object_drop_locked(*ref); /* somebody had it meanwhile */
    }
}

/* ---- create ------------------------------------------------------------------------ */

/* Fresh memory costs more than a sweep, which may find what fits. */
static int recycle_locked(uint32_t n, struct cmp_view **v, cmp_ref *ref)
{
    if (cmp_me_slot() == NULL)
        return -cmp_me_errno();
    int rc = revive(n, v, ref);
    if (rc == -EAGAIN && cmp_slab_sweep((uint64_t)n * (CMP_EXTENT_BYTES / CELL_BYTES)))
        rc = revive(n, v, ref);
    return rc;
}

/* An object without extents. */
static int make_empty(struct cmp_view **v, cmp_ref *ref)
{
    int rc = revive(0, v, ref);
    while (rc == -EAGAIN) {
        rc = cmp_slab_add(CMP_TYPE_BIG, CELL_BYTES);
        if (rc == 0)
            rc = revive(0, v, ref);
    }
    return rc;
}

static int name_extents(uint32_t e, uint32_t n, struct cmp_view **v, cmp_ref *ref)
{
    int rc = make_empty(v, ref);
    if (rc < 0)
        return rc;
    uint32_t index = cmp_object_index(*ref);
    CMP_HOOK("block.create.live");
    /* SYNC seq_cst: before the word; pairs with cmp_block_kind_of. */
    store64_seqcst(&big_at(*v, index)->place, place_of(e, n));
    CMP_HOOK("block.create.named");
    cmp_extent_publish(e, kind_of_index(index));
    CMP_HOOK("block.create.published");
    return 0;
}

/* The kernel does not refuse what it has not got: it kills. */
static bool is_too_much(uint32_t n)
{
    int64_t left = n < ASK_FROM ? -1 : cmp_memory_left();
    return left >= 0 && (int64_t)n > left / 16 * 15 / CMP_EXTENT_BYTES;
}

/* The extents before the object, since their pages take time: the lock is free meanwhile,
   and no fork waits for them. */
static int create_fresh(uint32_t n, struct cmp_view **v, cmp_ref *ref)
{
    int64_t e = is_too_much(n) ? -ENOMEM : cmp_extent_claim(n, true);
    if (e < 0)
        return (int)e;
    CMP_HOOK("block.create.claimed");
    cmp_process_lock();
    int rc = name_extents((uint32_t)e, n, v, ref);
    cmp_process_unlock();
    if (rc < 0)
        cmp_extent_give((uint32_t)e);
    return rc;
}

static bool is_short(int rc)
{
    return rc == -ENOMEM || rc == -EFBIG;
}

static int create_big(size_t bytes, bool zero, cmp_ref *ref, void **cell, void **data)
{
    uint32_t n = extents_of(bytes);
    struct cmp_view *v;
    int rc = cmp_family_init();
    if (rc < 0)
        return rc;
    cmp_me();
    cmp_process_lock();
    rc = recycle_locked(n, &v, ref);
    cmp_process_unlock();
    bool used = rc == 0;
    if (rc == -EAGAIN)
        rc = create_fresh(n, &v, ref);
    if (is_short(rc) && cmp_block_make_room())
        rc = create_fresh(n, &v, ref);
    cmp_block_settle();
    if (rc < 0)
        return rc;
    *cell = big_at(v, cmp_object_index(*ref));
    rc = cmp_block_data(*ref, *cell, bytes, data);
    if (rc < 0)
        cmp_object_drop(*ref);
    else if (used && zero)
        memset(*data, 0, bytes);
    return rc;
}

static int create_small(size_t bytes, bool zero, cmp_ref *ref, void **cell, void **data)
{
    int rc = cmp_object_create(CMP_TYPE_BLOCK, bytes, ref, cell);
    if (rc < 0)
        return rc;
    *data = *cell;
    if (zero)
        memset(*data, 0, bytes);
    return 0;
}

int cmp_block_create(size_t bytes, bool zero, cmp_ref *ref, void **cell, void **data)
{
    if (bytes <= CMP_BLOCK_SMALL_MAX)
        return create_small(bytes, zero, ref, cell, data);
    if (bytes > (size_t)(CMP_EXTENTS_MAX - 1) * CMP_EXTENT_BYTES)
        return -ENOMEM;
    return create_big(bytes, zero, ref, cell, data);
}

/* ---- use --------------------------------------------------------------------------- */

enum cmp_type cmp_block_type(size_t bytes)
{
    return bytes <= CMP_BLOCK_SMALL_MAX ? CMP_TYPE_BLOCK : CMP_TYPE_BIG;
}

/* A claim on it is one that is being recovered from the dead, for this very object. */
static bool is_sound(uint32_t e, uint32_t n, uint32_t index)
{
    uint32_t word = cmp_extent_word(e);
    return (word == kind_of_index(index) || word >= CMP_EXTENT_CLAIM) && n > 0 &&
           n < CMP_EXTENTS_MAX - e && cmp_extent_at(e) != NULL &&
           cmp_extent_at(e + n - 1) != NULL;
}

static int data_of_big(cmp_ref ref, void *cell, size_t bytes, void **data)
{
    uint64_t place = load64_seqcst(&((struct cmp_big *)cell)->place);
    uint32_t e = cmp_place_extent(place), n = cmp_place_extents(place);
    if (!is_sound(e, n, cmp_object_index(ref)))
        return -EUCLEAN;
    *data = cmp_extent_at(e);
    return bytes <= (size_t)n * CMP_EXTENT_BYTES ? 0 : -EINVAL;
}

int cmp_block_data(cmp_ref ref, void *cell, size_t bytes, void **data)
{
    if (cmp_block_type(bytes) == CMP_TYPE_BIG)
        return data_of_big(ref, cell, bytes, data);
    *data = cell;
    return bytes <= cmp_object_bytes(ref) ? 0 : -EINVAL;
}

int cmp_block_linked_locked(cmp_ref ref, size_t bytes, void **data)
{
    enum cmp_type type = cmp_block_type(bytes);
    uint32_t cell_bytes;
    void *cell = cmp_object_linked_locked(ref, type, &cell_bytes);
    if (cell == NULL)
        return -EUCLEAN;
    *data = cell;
    if (type == CMP_TYPE_BIG)
        return data_of_big(ref, cell, bytes, data) == 0 ? 0 : -EUCLEAN;
    return bytes <= cell_bytes ? 0 : -EUCLEAN;
}

int cmp_block_linked(cmp_ref ref, size_t bytes, void **data)
{
    cmp_process_lock();
    int rc = cmp_block_linked_locked(ref, bytes, data);
    cmp_process_unlock();
    return rc;
}

int cmp_block_take(cmp_ref ref, size_t bytes, void **data)
{
    void *cell;
    int rc = cmp_object_take(ref, cmp_block_type(bytes), &cell);
    if (rc < 0)
        return rc;
    rc = cmp_block_data(ref, cell, bytes, data);
    if (rc < 0)
        cmp_object_drop(ref);
    return rc;
}

/* ---- giving back ------------------------------------------------------------------- */

struct surplus {
    size_t keep; /* extents */
    uint32_t n;
    uint32_t extents[AT_ONCE];
};

/* Take the extents from a free object: they are this process's claim then.  Not those that
   somebody recovers from the dead just now. */
static bool strip(struct cmp_view *v, uint32_t index, uint64_t place)
{
    cmp_ref ref;
    if (cmp_object_revive(v, index, &ref) < 0)
        return false;
    CMP_HOOK("block.give.live");
    struct cmp_big *big = big_at(v, index);
    bool mine = load64_seqcst(&big->place) == place &&
                cmp_extent_unpublish(cmp_place_extent(place), kind_of_index(index)) == 0;
    if (mine) {
        CMP_HOOK("block.give.claimed");
        store64_seqcst(&big->place, 0); /* SYNC: before the extents are cleared */
        CMP_HOOK("block.give.unnamed");
    }
    cmp_object_drop_locked(ref);
    CMP_HOOK("block.give.dropped");
    return mine;
}

/* The first ones that fit stay. */
static bool keep_or_strip(void *arg, struct cmp_view *v, uint32_t index, uint64_t place)
{
    struct surplus *s = arg;
    if (place == 0)
        return true;
    if (cmp_place_extents(place) <= s->keep)
        s->keep -= cmp_place_extents(place);
    else if (strip(v, index, place))
        s->extents[s->n++] = cmp_place_extent(place);
    return s->n < AT_ONCE;
}

/* The pages of free cells: of one size they are of no use to another.  How many cells. */
static uint32_t empty_cells(struct cmp_view *v)
{
    uint32_t n = 0;
    cmp_ref ref;
    for (uint32_t j = 0; j < v->count; j++) {
        uint32_t index = v->number << CMP_CELL_BITS | j;
        if (cmp_word_phase(load64_relaxed(&v->words[j])) != CMP_OBJECT_FREE ||
            !cmp_slab_has_pages(v, index) || cmp_object_revive(v, index, &ref) < 0)
            continue;
        cmp_slab_uncommit(v, index);
        cmp_object_drop_locked(ref);
        n++;
    }
    return n;
}

static uint32_t empty_all_cells(void)
{
    uint32_t n = 0;
    cmp_process_lock();
    for (uint32_t i = 0, end = cmp_me_slot() == NULL ? 0 : cmp_slab_count(); i < end; i++) {
        struct cmp_view *v = cmp_slab_view(i);
        n += v != NULL && v->type == CMP_TYPE_BLOCK ? empty_cells(v) : 0;
    }
    cmp_process_unlock();
    return n;
}

static uint32_t n_behind(uint32_t e)
{
    uint32_t n = 1;
    while (cmp_extent_word(e + n) == (CMP_EXTENT_TAIL | n))
        n++;
    return n;
}

/* Clearing takes time: without the lock. */
uint32_t cmp_block_trim(size_t keep_bytes)
{
    uint32_t n_given = 0;
    struct surplus s = {.n = AT_ONCE};
    if (cmp_arena() == NULL)
        return 0;
    cmp_me();
    while (s.n == AT_ONCE) {
        s = (struct surplus){.keep = keep_bytes / CMP_EXTENT_BYTES};
        cmp_process_lock();
        if (cmp_me_slot() != NULL)
            each_free(keep_or_strip, &s);
        store_relaxed(&n_freed, 0);
        cmp_process_unlock();
        for (uint32_t i = 0; i < s.n; i++) {
            n_given += n_behind(s.extents[i]);
            cmp_extent_give(s.extents[i]);
        }
    }
    return keep_bytes > 0 ? n_given : n_given + empty_all_cells();
}

/* Up to one more than the limit, beyond which it does not matter. */
static void add_extents(cmp_word *sum, struct cmp_big *big, uint32_t limit)
{
    uint32_t n = cmp_place_extents(load64_relaxed(&big->place)), before = load_relaxed(sum);
    store_relaxed(sum, before > limit || n > limit ? limit + 1 : before + n);
}

void cmp_block_freed(struct cmp_view *v, uint32_t index)
{
    add_extents(&n_freed, big_at(v, index), LOOK_AFTER);
    recent[n_recent % RECENT] = index;
    n_recent = n_recent + 1 < 2 * RECENT ? n_recent + 1 : RECENT; /* all of them are there */
}

void cmp_block_left(struct cmp_big *big)
{
    add_extents(&n_left, big, WARM_EXTENTS);
}

void cmp_block_swept(void)
{
    store_relaxed(&n_freed, LOOK_AFTER + 1);
    store_relaxed(&n_left, 0);
}

/* The sweep comes too late where nobody makes anything any more. */
static void sweep_for_left(void)
{
    cmp_me();
    cmp_process_lock();
    cmp_sweep_if_any();
    store_relaxed(&n_left, 0);
    cmp_process_unlock();
}

bool cmp_block_is_unsettled(void)
{
    return load_relaxed(&n_left) > WARM_EXTENTS || load_relaxed(&n_freed) > LOOK_AFTER;
}

bool cmp_block_make_room(void)
{
    cmp_process_lock();
    bool swept = cmp_sweep_if_any() > 0;
    cmp_process_unlock();
    return cmp_block_trim(0) > 0 || swept;
}

void cmp_block_settle(void)
{
    if (load_relaxed(&n_left) > WARM_EXTENTS)
        sweep_for_left();
    if (load_relaxed(&n_freed) > LOOK_AFTER)
        cmp_block_trim(CMP_BLOCK_WARM_BYTES);
}

/* ---- who names an extent ------------------------------------------------------------- */

static bool names(struct cmp_slab *slab, uint32_t j, uint32_t e)
{
    char *cells = (char *)slab + cmp_slab_cells_at(CELL_BYTES);
    struct cmp_big *big = (void *)(cells + (size_t)j * CELL_BYTES);
    /* SYNC seq_cst: pairs with name_extents and strip. */
    return cmp_place_extent(load64_seqcst(&big->place)) == e;
}

/* The slabs themselves, not this process's views, for which there may be no memory. */
uint32_t cmp_block_kind_of(uint32_t e)
{
    for (uint32_t i = 0, n = cmp_slab_count(); i < n; i++) {
        struct cmp_slab *slab = cmp_extent_at(load_acquire(&cmp_slab_directory()[i]));
        if (slab == NULL)
            return cmp_extent_word(e);
        if (load_relaxed(&slab->type) != CMP_TYPE_BIG ||
            load_relaxed(&slab->cell_bytes) != CELL_BYTES)
            continue;
        for (uint32_t j = 0; j < cmp_slab_cells(CELL_BYTES); j++)
            if (names(slab, j, e))
                return kind_of_index(i << CMP_CELL_BITS | j);
    }
    return 0;
}
