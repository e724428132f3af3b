/* check.c -- verifies the whole arena; see check.h for what.  */
#include "check.h"
#include <stdarg.h>
#include <stdio.h>
#include "arena.h"
#include "barrier.h"
#include "block.h"
#include "channel.h"
#include "cond.h"
#include "event.h"
#include "held.h"
#include "lock.h"
#include "object.h"
#include "queue.h"
#include "sem.h"
#include "slab.h"

#define LOOKS 3 /* at what may change under the eyes */

struct check {
    void (*say)(void *arg, const char *what);
    void *arg;
    int n;
    uint32_t slot; /* the one whose bits are looked at */
    uint64_t state;
};

__attribute__((format(printf, 2, 3)))
static void complain(struct check *c, const char *format, ...)
{
    char what[160];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    c->n++;
    if (c->say != NULL)
        c->say(c->arg, what);
}

static void pass_on(void *arg, const char *what)
{
    complain(arg, "%s", what);
}

/* ---- slots ----------------------------------------------------------------------- */

static bool is_unchanged(struct check *c)
{
    struct cmp_slot *s = cmp_slot_at(c->slot);
    return s != NULL && load64_seqcst(&s->state) == c->state;
}

static void check_bits(void *arg, uint32_t index, uint64_t bits)
{
    struct check *c = arg;
    for (; bits != 0; bits &= bits - 1) {
        uint32_t i = index + (uint32_t)__builtin_ctzll(bits);
        if (cmp_view_of(i) == NULL && is_unchanged(c))
            complain(c, "slot %u holds object %#x, which there cannot be", c->slot, i);
    }
}

static void check_words(struct check *c, struct cmp_slot *s)
{
    const uint32_t died = CMP_WAITERS | CMP_OWNER_DIED;
    for (unsigned int i = 0; i < CMP_HOLD_WORDS; i++) {
        uint32_t word = load_seqcst(&s->hold[i].word);
        bool fine = (word & ~CMP_WAITERS) == 0 || (word & died) == died ||
                    word == (load_relaxed(&s->tid) | CMP_WAITERS);
        if (!fine && cmp_state_phase(c->state) == CMP_SLOT_LIVE && is_unchanged(c))
            complain(c, "slot %u: hold word %u is %#x", c->slot, i, word);
    }
}

static void check_chunks(struct check *c, struct cmp_slot *s)
{
    for (uint32_t i = 0; i < CMP_HELD_CHUNKS; i++) {
        uint32_t e = load_acquire(&s->held[i]);
        uint32_t word = e == 0 ? 0 : cmp_extent_word(e);
        /* A death between the two leaves it named and still claimed. */
        if (e != 0 && word >> 24 != CMP_EXTENT_HELD && (word & CMP_EXTENT_CLAIM) == 0)
            complain(c, "slot %u: bits in extent %u, which is %#x", c->slot, e, word);
        for (uint32_t other = 0; other < i; other++)
            if (e != 0 && load_acquire(&s->held[other]) == e)
                complain(c, "slot %u: extent %u twice", c->slot, e);
    }
}

static void check_slot(struct check *c, uint32_t i)
{
    struct cmp_slot *s = cmp_slot_at(i);
    if (s == NULL) {
        complain(c, "slot %u: its extent is not there", i);
        return;
    }
    c->slot = i;
    c->state = load64_seqcst(&s->state);
    enum cmp_phase phase = cmp_state_phase(c->state);
    if (phase > CMP_SLOT_ORPHANED)
        complain(c, "slot %u: phase %d", i, (int)phase);
    check_chunks(c, s);
    if (phase == CMP_SLOT_LIVE || phase == CMP_SLOT_ORPHANED) {
        if (load_relaxed(&s->pid) == 0 && is_unchanged(c))
            complain(c, "slot %u: no pid", i);
        check_words(c, s);
    }
    if (phase >= CMP_SLOT_EMBRYO)
        cmp_held_each(s, check_bits, c);
}

/* ---- objects --------------------------------------------------------------------- */

static const char *check_barrier(void *cell, uint32_t cell_bytes)
{
    struct cmp_barrier *b = cell;
    uint32_t n = *(volatile uint32_t *)&b->n_parties;
    if (n > CMP_BARRIER_PARTIES_MAX || cmp_barrier_bytes(n) > cell_bytes)
        return "more parties than its cell has room for";
    return cmp_barrier_check(b);
}

static const char *check_cell(struct cmp_view *v, void *cell)
{
    switch (v->type) {
    case CMP_TYPE_LOCK:
    case CMP_TYPE_RLOCK:
        return cmp_lock_check(cell);
    case CMP_TYPE_SEM:
        return cmp_sem_check(cell);
    case CMP_TYPE_EVENT:
        return cmp_event_check(cell);
    case CMP_TYPE_COND:
        return cmp_cond_check(cell);
    case CMP_TYPE_BARRIER:
        return check_barrier(cell, v->cell_bytes);
    case CMP_TYPE_CHANNEL:
        return cmp_channel_check(cell, v->cell_bytes);
    case CMP_TYPE_QUEUE:
        return cmp_queue_check(cell, v->cell_bytes);
    default:
        return NULL;
    }
}

static struct cmp_view *view_of_link(cmp_ref ref)
{
    cmp_process_lock();
    struct cmp_view *v = ref >> 50 != 0 ? NULL : cmp_view_of(cmp_object_index(ref));
    cmp_process_unlock();
    return v;
}

/* What a cell links must be a cell of further nodes, or a channel, of whatever generation: it
   may be left over until the creator has formatted the cell. */
static const char *check_link(struct cmp_view *v, void *cell)
{
    cmp_word64 *link = cmp_object_link_in(v->type, cell);
    uint64_t ref = link == NULL ? 0 : load64_seqcst(link);
    if (ref == 0)
        return NULL;
    struct cmp_view *to = view_of_link(ref);
    uint32_t wanted = v->type == CMP_TYPE_END ? CMP_TYPE_CHANNEL : CMP_TYPE_COND_MORE;
    return to != NULL && to->type == wanted
               ? NULL : "it links what cannot be linked";
}

static void check_object(struct check *c, struct cmp_view *v, uint32_t j)
{
    uint32_t index = v->number << CMP_CELL_BITS | j;
    uint64_t word = load64_seqcst(&v->words[j]);
    const char *what = NULL;

    if (cmp_word_phase(word) > CMP_OBJECT_LIVE)
        complain(c, "object %#x: phase %u", index, cmp_word_phase(word));
    if (cmp_word_phase(word) != CMP_OBJECT_LIVE)
        return;
    if (cmp_word_gen(word) == 0)
        complain(c, "object %#x: it lives in generation 0", index);
    for (int look = 0; look < LOOKS; look++) {
        what = check_link(v, cmp_view_cell(v, j));
        if (what == NULL)
            what = check_cell(v, cmp_view_cell(v, j));
        uint64_t now = load64_seqcst(&v->words[j]);
        if (what == NULL || cmp_word_gen(now) != cmp_word_gen(word))
            return;
    }
    complain(c, "object %#x of type %u: %s", index, v->type, what);
}

/* This process's counts and bits change together, under the lock that is held. */
static void check_hold(struct check *c, struct cmp_view *v, uint32_t j)
{
    uint32_t index = v->number << CMP_CELL_BITS | j;
    uint32_t count = cmp_view_hold(v, j)->count;
    bool bit = cmp_held_test(cmp_me_slot(), index);
    if (bit != (count > 0))
        complain(c, "object %#x: this process counts %u, its bit is %d", index, count, bit);
    if (count > 0 && cmp_word_phase(load64_seqcst(&v->words[j])) != CMP_OBJECT_LIVE)
        complain(c, "object %#x: this process holds it, and it is free", index);
}

/* The view of a slab, in which this process's holds are looked at on the way. */
static struct cmp_view *check_holds(struct check *c, uint32_t i)
{
    cmp_process_lock();
    struct cmp_view *v = cmp_slab_view(i);
    for (uint32_t j = 0; v != NULL && cmp_me_slot() != NULL && j < v->count; j++)
        check_hold(c, v, j);
    cmp_process_unlock();
    return v;
}

/* The cells without the lock: their own checks may ask for what they link.  */
static void check_slab(struct check *c, uint32_t i)
{
    struct cmp_view *v = check_holds(c, i);
    if (v == NULL) {
        complain(c, "slab %u: its header is damaged, or memory is short", i);
        return;
    }
    if (load_relaxed(&v->slab->type) != v->type ||
        load_relaxed(&v->slab->cell_bytes) != v->cell_bytes)
        complain(c, "slab %u: its header has changed", i);
    for (uint32_t j = 0; j < v->count; j++)
        check_object(c, v, j);
}

static uint32_t check_slots(struct check *c)
{
    cmp_process_lock();
    uint32_t n_slabs = cmp_slab_count();
    for (uint32_t i = 0, n = cmp_slot_count(); i < n; i++)
        check_slot(c, i);
    cmp_process_unlock();
    return n_slabs;
}

/* ---- all of it ------------------------------------------------------------------- */

int cmp_check(void (*say)(void *arg, const char *what), void *arg)
{
    struct check c = {.say = say, .arg = arg};
    if (cmp_arena() == NULL)
        return -ENOTCONN;
    cmp_extent_check(pass_on, &c);
    cmp_block_check(pass_on, &c);
    uint32_t n_slabs = check_slots(&c);
    for (uint32_t i = 0; i < n_slabs; i++)
        check_slab(&c, i);
    return c.n;
}
