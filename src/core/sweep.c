/* sweep.c -- finding what nobody can reach: mark what the processes hold, follow links,
   look again at what moved meanwhile, free the rest.

   Any process, any number at once.  Nothing shared is written before the last step,
   in which each object and each slot is freed by one compare-and-swap from what was
   seen.  So a sweeper may be stopped for an hour, or die, at any point.  */
#include "sweep.h"
#include <stdlib.h>
#include <string.h>
#include "arena.h"
#include "block.h"
#include "held.h"
#include "lock.h"
#include "slab.h"

#define TOO_LONG_NS (INT64_C(10) * 1000000000) /* a version may have wrapped */
#define MARK_WORDS (CMP_CELLS_MAX / 64)

enum verdict { NO_ROOT, ROOT, DEAD };

/* A slot as it was first seen, or when it was scanned. */
struct seen {
    uint64_t state;
    enum verdict verdict;
};

struct sweep {
    uint32_t n_slots;
    uint32_t n_slabs;
    bool found;    /* in this pass */
    bool words;    /* a TID in its words proves that a process lives */
    int64_t begin_ns;
    struct seen *slots;     /* CMP_SLOTS */
    uint64_t **copies;      /* the object words of each slab; NULL: no view */
    uint64_t (*marks)[MARK_WORDS];
    uint64_t (*traced)[MARK_WORDS];
};

/* Of the last completed sweep of this process. */
static uint64_t drops_then;
static bool swept_once;

/* ---- memory ---------------------------------------------------------------------- */

static void end(struct sweep *w)
{
    for (uint32_t i = 0; w->copies != NULL && i < w->n_slabs; i++)
        free(w->copies[i]);
    free(w->copies);
    free(w->slots);
    free(w->marks);
    free(w->traced);
}

static int begin(struct sweep *w, bool words)
{
    *w = (struct sweep){.words = words, .n_slabs = cmp_slab_count()};
    w->slots = calloc(CMP_SLOTS, sizeof *w->slots);
    w->copies = calloc(w->n_slabs + 1, sizeof *w->copies);
    w->marks = calloc(w->n_slabs + 1, sizeof *w->marks);
    w->traced = calloc(w->n_slabs + 1, sizeof *w->traced);
    return w->slots && w->copies && w->marks && w->traced ? 0 : -ENOMEM;
}

/* ---- slots ----------------------------------------------------------------------- */

static uint64_t state_at(uint32_t i)
{
    struct cmp_slot *s = cmp_slot_at(i);
    /* SYNC seq_cst: pairs with every change of a phase. */
    return s == NULL ? 0 : load64_seqcst(&s->state);
}

static bool may_be_root(uint64_t state)
{
    return cmp_state_phase(state) >= CMP_SLOT_EMBRYO;
}

/* Step 1: who is dead is decided here, once.  A root stays one to the end of this
   sweep, also if it dies meanwhile. */
static uint32_t judge_slots(struct sweep *w)
{
    uint32_t n_dead = 0;
    w->n_slots = cmp_slot_count();
    for (uint32_t i = 0; i < w->n_slots; i++) {
        struct seen *seen = &w->slots[i];
        seen->state = state_at(i);
        if (cmp_slot_dead(i, seen->state, w->words)) {
            seen->verdict = DEAD;
            n_dead++;
        } else if (may_be_root(seen->state))
            seen->verdict = ROOT;
    }
    return n_dead;
}

/* ---- marks ----------------------------------------------------------------------- */

static bool is_marked(struct sweep *w, uint32_t slab, uint32_t j)
{
    return (w->marks[slab][j / 64] >> (j % 64) & 1) != 0;
}

/* 64 objects from that index on; damage may name what does not exist. */
static void mark_bits(void *arg, uint32_t index, uint64_t bits)
{
    struct sweep *w = arg;
    uint32_t slab = index >> CMP_CELL_BITS;
    if (slab < w->n_slabs)
        w->marks[slab][index % CMP_CELLS_MAX / 64] |= bits;
}

static void scan_slot(struct sweep *w, uint32_t i)
{
    struct cmp_slot *s = cmp_slot_at(i);
    if (s != NULL)
        cmp_held_each(s, mark_bits, w);
}

/* Step 2. */
static int copy_words(struct sweep *w)
{
    w->begin_ns = cmp_now_ns();
    for (uint32_t i = 0; i < w->n_slabs; i++) {
        struct cmp_view *v = cmp_slab_view(i);
        if (v == NULL)
            continue;
        w->copies[i] = malloc(v->count * sizeof **w->copies);
        if (w->copies[i] == NULL)
            return -ENOMEM;
        for (uint32_t j = 0; j < v->count; j++)
            /* SYNC seq_cst: before the scan of any table; pairs with touch. */
            w->copies[i][j] = load64_seqcst(&v->words[j]);
    }
    return 0;
}

/* Step 4, for one object.  What it names may be left over: that marks too much. */
static void trace_ref(void *arg, cmp_ref ref)
{
    struct sweep *w = arg;
    uint32_t index = cmp_object_index(ref), slab = index >> CMP_CELL_BITS;
    if (slab >= w->n_slabs || is_marked(w, slab, index % CMP_CELLS_MAX))
        return;
    mark_bits(w, index & ~63u, UINT64_C(1) << (index % 64));
    w->found = true;
}

static void trace_slab(struct sweep *w, uint32_t i)
{
    struct cmp_view *v = cmp_slab_view(i);
    if (v == NULL || !cmp_object_has_refs(v->type))
        return;
    for (uint32_t k = 0; k < MARK_WORDS; k++)
        for (uint64_t new = w->marks[i][k] & ~w->traced[i][k]; new != 0; new &= new - 1) {
            uint32_t j = k * 64 + (uint32_t)__builtin_ctzll(new);
            w->traced[i][k] |= UINT64_C(1) << (j % 64);
            if (j < v->count)
                cmp_object_each_ref(v, cmp_view_cell(v, j), trace_ref, w);
        }
}

static void trace(struct sweep *w)
{
    for (uint32_t i = 0; i < w->n_slabs; i++)
        trace_slab(w, i);
}

/* Step 5: tables that were published since, also by a later life of a dead slot. */
static void look_at_slots_again(struct sweep *w)
{
    w->n_slots = cmp_slot_count();
    for (uint32_t i = 0; i < w->n_slots; i++) {
        struct seen *seen = &w->slots[i];
        uint64_t state = state_at(i);
        bool same = cmp_state_gen(state) == cmp_state_gen(seen->state);
        if (!may_be_root(state) || seen->verdict == ROOT || (seen->verdict == DEAD && same))
            continue;
        *seen = (struct seen){.state = state, .verdict = ROOT};
        scan_slot(w, i);
        w->found = true;
    }
}

/* ... and objects that moved from where this sweep had not looked to where it had. */
static void look_at_words_again(struct sweep *w, uint32_t i)
{
    struct cmp_view *v = cmp_slab_view(i);
    for (uint32_t j = 0; v != NULL && j < v->count; j++)
        if (!is_marked(w, i, j) && load64_seqcst(&v->words[j]) != w->copies[i][j]) {
            mark_bits(w, i << CMP_CELL_BITS | (j & ~63u), UINT64_C(1) << (j % 64));
            w->found = true;
        }
}

static void mark(struct sweep *w)
{
    for (uint32_t i = 0; i < w->n_slots; i++)
        if (w->slots[i].verdict == ROOT)
            scan_slot(w, i);
    do {
        w->found = false;
        trace(w);
        CMP_HOOK("sweep.mark.pass");
        look_at_slots_again(w);
        for (uint32_t i = 0; i < w->n_slabs; i++)
            look_at_words_again(w, i);
    } while (w->found);
}

/* Step 6. */
static bool is_void(struct sweep *w)
{
    for (uint32_t i = 0; i < w->n_slots; i++)
        if (w->slots[i].verdict == ROOT &&
            cmp_state_gen(state_at(i)) != cmp_state_gen(w->slots[i].state))
            return true;
    return cmp_now_ns() - w->begin_ns > TOO_LONG_NS;
}

/* ---- step 7 ---------------------------------------------------------------------- */

static bool free_object(cmp_word64 *word, uint64_t seen)
{
    uint32_t gen = cmp_gen_after(cmp_word_gen(seen));
    /* SYNC seq_cst: from what was copied, or not at all; pairs with touch. */
    return cas64_strong(word, &seen, cmp_word_next(seen, gen, CMP_OBJECT_FREE));
}

struct tally {
    int64_t freed;
    uint64_t live;
};

static void free_in_slab(struct sweep *w, uint32_t i, struct tally *t)
{
    struct cmp_view *v = cmp_slab_view(i);
    uint32_t n_free = 0;
    for (uint32_t j = 0; v != NULL && w->copies[i] != NULL && j < v->count; j++) {
        uint64_t seen = w->copies[i][j];
        if (cmp_word_phase(seen) == CMP_OBJECT_FREE)
            n_free++;
        else if (is_marked(w, i, j))
            t->live++;
        else if (free_object(&v->words[j], seen)) {
            CMP_HOOK("sweep.free.object");
            n_free++;
            t->freed++;
        }
    }
    if (v != NULL)
        v->n_free = n_free;
}

static uint32_t kind_of(uint32_t e)
{
    uint32_t kind = cmp_held_kind_of(e);
    return kind != 0 ? kind : cmp_block_kind_of(e);
}

/* The slot's state word names it as it was while it lived. */
static void recover_extents(uint32_t i, uint64_t state)
{
    if (cmp_state_phase(state) >= CMP_SLOT_LIVE)
        cmp_extent_recover(cmp_code_of(i, cmp_state_gen(state)), kind_of);
}

/* Of a slot that is about to be freed: afterwards nobody can tell any more. */
static bool was_killed(void *sweep, uint32_t code)
{
    struct sweep *w = sweep;
    uint32_t i = code & (CMP_SLOTS - 1);
    return i < w->n_slots && w->slots[i].verdict == DEAD &&
           cmp_code_of(i, cmp_state_gen(w->slots[i].state)) == code &&
           !cmp_owner_left_in_order(code);
}

static void open_gates(struct sweep *w)
{
    /* Not w->n_slabs, which was read before they were found dead. */
    for (uint32_t i = 0, n = cmp_slab_count(); i < n; i++) {
        struct cmp_view *v = cmp_slab_view(i);
        for (uint32_t j = 0; v != NULL && v->type == CMP_TYPE_LOCK && j < v->count; j++)
            if (cmp_word_phase(load64_seqcst(&v->words[j])) == CMP_OBJECT_LIVE)
                cmp_lock_open_gate(cmp_view_cell(v, j), was_killed, w);
    }
}

static int64_t reap_slots(struct sweep *w)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < w->n_slots; i++)
        if (w->slots[i].verdict == DEAD) {
            recover_extents(i, w->slots[i].state);
            CMP_HOOK("sweep.reap.recovered");
            n += cmp_slot_reap(i, w->slots[i].state);
        }
    return n;
}

/* ---- all of it ------------------------------------------------------------------- */

static uint64_t count_drops(void)
{
    uint64_t n = 0;
    for (uint32_t i = 0, end = cmp_slot_count(); i < end; i++) {
        struct cmp_slot *s = cmp_slot_at(i);
        n += s == NULL ? 0 : load_relaxed(&s->drops);
    }
    return n;
}

static int run(struct sweep *w, bool words, struct tally *t, int64_t *n_slots)
{
    uint64_t drops = count_drops();
    int rc = begin(w, words);
    if (rc < 0)
        return rc;
    uint32_t n_dead = judge_slots(w);
    if (n_dead == 0 && swept_once && drops == drops_then)
        return -EAGAIN;
    CMP_HOOK("sweep.judged");
    rc = copy_words(w);
    if (rc < 0)
        return rc;
    CMP_HOOK("sweep.copied");
    mark(w);
    if (is_void(w))
        return -ECANCELED;
    CMP_HOOK("sweep.marked");
    for (uint32_t i = 0; i < w->n_slabs; i++)
        free_in_slab(w, i, t);
    CMP_HOOK("sweep.freed");
    if (n_dead > 0)
        open_gates(w);
    CMP_HOOK("sweep.opened");
    *n_slots = reap_slots(w);
    drops_then = drops;
    swept_once = true;
    cmp_slab_swept(t->live);
    if (t->freed > 0)
        cmp_block_swept();
    return 0;
}

static int sweep(bool words, struct tally *t, int64_t *n_slots)
{
    struct sweep w;
    *t = (struct tally){0};
    *n_slots = 0;
    if (cmp_arena() == NULL)
        return -EAGAIN;
    int rc = run(&w, words, t, n_slots);
    end(&w);
    return rc;
}

int64_t cmp_sweep_slots(void)
{
    struct tally t;
    int64_t n_slots;
    int rc = sweep(false, &t, &n_slots);
    return rc == 0 ? n_slots : rc == -EAGAIN ? 0 : rc;
}

int64_t cmp_sweep_if_any(void)
{
    struct tally t;
    int64_t n_slots;
    int rc = sweep(true, &t, &n_slots);
    return rc < 0 ? rc : t.freed;
}

int64_t cmp_sweep(void)
{
    struct tally t;
    int64_t n_slots;
    cmp_me(); /* what it recovers of the dead, it claims by its own code first */
    cmp_process_lock();
    int rc = sweep(false, &t, &n_slots);
    if (rc == -ECANCELED)
        rc = sweep(false, &t, &n_slots);
    cmp_process_unlock();
    cmp_block_settle();
    return rc == 0 ? t.freed : rc == -EAGAIN || rc == -ECANCELED ? 0 : rc;
}
