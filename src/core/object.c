/* object.c -- making, holding, handing on.

   What moves a reference is one small function each, in the order that the sweep
   relies on: add the new one, touch, remove the old one.  All of them are in this
   file, long as it is: they are one protocol, to be read side by side.  */
#include "object.h"
#include "arena.h"
#include "block.h"
#include "channel.h"
#include "cond.h"
#include "held.h"
#include "queue.h"
#include "slab.h"
#include "sweep.h"

#define INDEX_MASK ((UINT32_C(1) << 24) - 1)

/* Changes with each fork of this process: an object whose token is of this number was
   made since, so no other process can hold it unless it was told. */
static uint32_t fork_number = 1;

static uint32_t grow(uint32_t count, uint32_t by)
{
    return count + by < CMP_HOLD_COUNT_MAX ? count + by : CMP_HOLD_COUNT_MAX;
}

uint32_t cmp_object_index(cmp_ref ref)
{
    return (uint32_t)ref & INDEX_MASK;
}

static uint32_t gen_of(cmp_ref ref)
{
    return (uint32_t)(ref >> 24) & CMP_GEN_MASK;
}

static cmp_ref ref_of(uint32_t gen, uint32_t index)
{
    return (cmp_ref)gen << 24 | index;
}

/* ---- moves ----------------------------------------------------------------------- */

/* Whether that word is of the living object of that gen. */
static bool is_live(uint64_t word, uint32_t gen)
{
    return cmp_word_phase(word) == CMP_OBJECT_LIVE && cmp_word_gen(word) == gen;
}

/* Between add and remove: a sweep that missed the new reference looks again. */
static bool touch(cmp_word64 *word, uint32_t gen)
{
    /* SYNC seq_cst: after the add, before the remove; pairs with the sweep's passes. */
    return is_live(add64_seqcst(word, CMP_OBJECT_TOUCH), gen);
}

/* FREE -> LIVE.  The gen that it lives in, 0: somebody else has it. */
static uint32_t bring_to_life(cmp_word64 *word)
{
    uint64_t seen = load64_relaxed(word);
    uint32_t gen = cmp_word_gen(seen) == 0 ? 1 : cmp_word_gen(seen);
    if (cmp_word_phase(seen) != CMP_OBJECT_FREE ||
        /* SYNC seq_cst: after the bit of its holder; pairs with the sweep. */
        !cas64_strong(word, &seen, cmp_word_next(seen, gen, CMP_OBJECT_LIVE)))
        return 0;
    return gen;
}

/* LIVE -> FREE, by the only process that can know the object.  */
static bool free_by_token(cmp_word64 *word, uint32_t gen)
{
    uint64_t seen = load64_relaxed(word);
    while (is_live(seen, gen))
        /* SYNC seq_cst: after the bit was cleared; pairs with bring_to_life. */
        if (cas64_strong(word, &seen, cmp_word_next(seen, cmp_gen_after(gen), CMP_OBJECT_FREE)))
            return true;
    return false; /* a damaged word, or one that a sweep has freed */
}

/* ---- this process's holds -------------------------------------------------------- */

/* The view and the hold of an object that this process holds; NULL if it does not. */
static struct cmp_hold *held(cmp_ref ref, struct cmp_view **view)
{
    uint32_t index = cmp_object_index(ref);
    *view = cmp_view_of(index);
    if (*view == NULL || ref >> 50 != 0)
        return NULL;
    struct cmp_hold *h = cmp_view_hold(*view, index);
    uint64_t word = load64_relaxed(cmp_view_word(*view, index));
    return h->count > 0 && is_live(word, gen_of(ref)) ? h : NULL;
}

static void hold_first(struct cmp_hold *h, uint32_t token)
{
    *h = (struct cmp_hold){.count = 1, .token = token};
}

/* An object was left to the sweep.  */
static void note_drop(void)
{
    struct cmp_slot *s = cmp_me_slot();
    if (s != NULL)
        store_relaxed(&s->drops, load_relaxed(&s->drops) + 1);
}

/* Whether other objects live only as long as this one.  */
static bool has_links(struct cmp_view *v, uint32_t index)
{
    if (v->type == CMP_TYPE_QUEUE)
        return cmp_queue_has_refs(cmp_view_cell(v, index));
    cmp_word64 *link = cmp_object_link_in(v->type, cmp_view_cell(v, index));
    return link != NULL && load64_relaxed(link) != 0;
}

/* What is free by now is used again soon. */
static void note_free(struct cmp_view *v, uint32_t index)
{
    if (v->type == CMP_TYPE_BIG)
        cmp_block_freed(v, index);
    else
        cmp_slab_freed(v, index);
}

/* The last hold of this process ends. */
static void let_go(struct cmp_view *v, struct cmp_hold *h, uint32_t index, uint32_t gen)
{
    struct cmp_slot *s = cmp_me_slot();
    bool alone = h->token == fork_number && s != NULL, links = alone && has_links(v, index);

    if (s != NULL)
        cmp_held_clear_bit(s, index);
    CMP_HOOK("object.drop.bit");
    if (alone && free_by_token(cmp_view_word(v, index), gen))
        note_free(v, index);
    else
        links = true;
    if (links)
        note_drop();
    if (links && v->type == CMP_TYPE_BIG)
        cmp_block_left(cmp_view_cell(v, index));
}

static void drop_locked(cmp_ref ref)
{
    struct cmp_view *v;
    struct cmp_hold *h = held(ref, &v);
    if (h == NULL || h->count == CMP_HOLD_COUNT_MAX)
        return;
    if (--h->count == 0)
        let_go(v, h, cmp_object_index(ref), gen_of(ref));
}

/* ---- create ---------------------------------------------------------------------- */

/* Take a cell that was seen free.  0, -EAGAIN: it is not, or another -errno. */
static int take_cell(struct cmp_view *v, uint32_t index, cmp_ref *ref)
{
    struct cmp_slot *s = cmp_me_slot();
    struct cmp_hold *h = cmp_view_hold(v, index);
    if (h->count > 0)
        return -EAGAIN; /* damage: it was freed under us */
    int rc = cmp_held_set(s, index);
    if (rc < 0)
        return rc;
    CMP_HOOK("object.create.bit");
    uint32_t gen = bring_to_life(cmp_view_word(v, index));
    if (gen == 0) {
        cmp_held_clear_bit(s, index);
        note_drop(); /* as in take_from_others */
        return -EAGAIN;
    }
    CMP_HOOK("object.create.live");
    hold_first(h, fork_number);
    *ref = ref_of(gen, index);
    rc = cmp_slab_commit(v, index); /* not before: another may be giving its pages back */
    if (rc < 0)
        drop_locked(*ref);
    return rc;
}

int cmp_object_revive(struct cmp_view *v, uint32_t index, cmp_ref *ref)
{
    return take_cell(v, index, ref);
}

static int create_locked(enum cmp_type type, uint32_t cell_bytes, cmp_ref *ref, void **cell)
{
    uint32_t index;
    int rc;
    if (cmp_me_slot() == NULL)
        return -cmp_me_errno();
    do {
        rc = cmp_slab_hint(type, cell_bytes, &index);
        if (rc < 0)
            return rc;
        struct cmp_view *v = cmp_view_of(index);
        rc = take_cell(v, index, ref);
        *cell = cmp_view_cell(v, index);
    } while (rc == -EAGAIN);
    return rc;
}

static int create(enum cmp_type type, uint32_t cell_bytes, cmp_ref *ref, void **cell)
{
    cmp_process_lock();
    int rc = create_locked(type, cell_bytes, ref, cell);
    cmp_process_unlock();
    return rc;
}

int cmp_object_create(enum cmp_type type, size_t bytes, cmp_ref *ref, void **cell)
{
    uint32_t cell_bytes = cmp_slab_cell_bytes(bytes);
    int rc = cmp_family_init();
    if (rc < 0)
        return rc;
    cmp_me();
    if (cell_bytes == 0 || (uint32_t)type - 1 >= CMP_N_TYPES - 1)
        return -EINVAL;
    rc = create(type, cell_bytes, ref, cell);
    /* What blocks keep for later is needed now, and what waits for a sweep. */
    if ((rc == -ENOMEM || rc == -EFBIG) && cmp_block_make_room())
        rc = create(type, cell_bytes, ref, cell);
    return rc;
}

/* ---- hold, drop, pin ------------------------------------------------------------- */

int cmp_object_hold(cmp_ref ref)
{
    struct cmp_view *v;
    cmp_process_lock();
    struct cmp_hold *h = held(ref, &v);
    if (h != NULL)
        h->count = grow(h->count, 1);
    cmp_process_unlock();
    return h == NULL ? -EINVAL : 0;
}

bool cmp_object_drop_first(cmp_ref ref)
{
    cmp_process_lock();
    drop_locked(ref);
    cmp_process_unlock();
    return cmp_block_is_unsettled();
}

void cmp_object_drop(cmp_ref ref)
{
    if (cmp_object_drop_first(ref))
        cmp_block_settle();
}

void cmp_object_drop_locked(cmp_ref ref)
{
    drop_locked(ref);
}

size_t cmp_object_bytes(cmp_ref ref)
{
    struct cmp_view *v;
    cmp_process_lock();
    size_t bytes = held(ref, &v) == NULL ? 0 : v->cell_bytes;
    cmp_process_unlock();
    return bytes;
}

int cmp_object_pin(cmp_ref ref)
{
    struct cmp_view *v;
    cmp_process_lock();
    struct cmp_hold *h = held(ref, &v);
    if (h != NULL) {
        h->count = grow(h->count, 1);
        h->token = 0;
    }
    cmp_process_unlock();
    return h == NULL ? -EINVAL : 0;
}

/* ---- take ------------------------------------------------------------------------ */

/* Whether the process of that slot held the object and lived on after that, in one
   life of the slot: then no sweep can have missed both it and the touch before. */
static bool is_source(uint32_t number, uint32_t index)
{
    struct cmp_slot *s = cmp_slot_at(number);
    if (s == NULL || s == cmp_me_slot())
        return false;
    /* SYNC seq_cst: state, bit, state, death, in this order and after the touch;
       pairs with the reaper, and with the sweep's first look at the dead. */
    uint64_t before = load64_seqcst(&s->state), after;
    if (cmp_state_phase(before) < CMP_SLOT_EMBRYO || !cmp_held_test(s, index))
        return false;
    after = load64_seqcst(&s->state);
    return cmp_state_gen(after) == cmp_state_gen(before) &&
           cmp_state_phase(after) >= CMP_SLOT_EMBRYO && !cmp_slot_dead(number, after, false) &&
           cmp_state_gen(load64_seqcst(&s->state)) == cmp_state_gen(before);
}

static bool has_source(uint32_t index)
{
    for (uint32_t i = 0, n = cmp_slot_count(); i < n; i++)
        if (is_source(i, index))
            return true;
    return false;
}

/* An object that this process does not hold.  */
static int take_from_others(struct cmp_view *v, struct cmp_hold *h, uint32_t index, uint32_t gen)
{
    struct cmp_slot *s = cmp_me_slot();
    cmp_word64 *word = cmp_view_word(v, index);
    if (!is_live(load64_relaxed(word), gen))
        return -ESTALE;
    int rc = cmp_held_set(s, index);
    if (rc < 0)
        return rc;
    CMP_HOOK("object.take.bit");
    if (touch(word, gen) && has_source(index)) {
        CMP_HOOK("object.take.source");
        hold_first(h, 0);
        return 0;
    }
    cmp_held_clear_bit(s, index);
    note_drop(); /* a sweep in between may have kept the object for that bit */
    return -ESTALE;
}

static int take_again(struct cmp_view *v, struct cmp_hold *h, uint32_t index, uint32_t gen)
{
    if (!is_live(load64_relaxed(cmp_view_word(v, index)), gen))
        return -ESTALE;
    if (h->adopted)
        h->adopted = false; /* the embryo's hold is this one's from now on */
    else
        h->count = grow(h->count, 1);
    return 0;
}

static int take_locked(cmp_ref ref, enum cmp_type type, void **cell)
{
    uint32_t index = cmp_object_index(ref), gen = gen_of(ref);
    struct cmp_view *v = cmp_view_of(index);
    if (ref >> 50 != 0 || gen == 0 || v == NULL || v->type != (uint32_t)type)
        return -EINVAL;
    if (cmp_me_slot() == NULL)
        return -cmp_me_errno();
    struct cmp_hold *h = cmp_view_hold(v, index);
    int rc = h->count > 0 ? take_again(v, h, index, gen) : take_from_others(v, h, index, gen);
    if (rc == 0)
        *cell = cmp_view_cell(v, index);
    return rc;
}

int cmp_object_take(cmp_ref ref, enum cmp_type type, void **cell)
{
    cmp_me();
    cmp_process_lock();
    int rc = take_locked(ref, type, cell);
    cmp_process_unlock();
    return rc;
}

/* ---- links ----------------------------------------------------------------------- */

cmp_word64 *cmp_object_link_in(uint32_t type, void *cell)
{
    switch (type) {
    case CMP_TYPE_COND:
        return &((struct cmp_cond *)cell)->more;
    case CMP_TYPE_COND_MORE:
    case CMP_TYPE_END:
        return (cmp_word64 *)cell;
    default:
        return NULL;
    }
}

bool cmp_object_has_refs(uint32_t type)
{
    return type == CMP_TYPE_COND || type == CMP_TYPE_COND_MORE || type == CMP_TYPE_END ||
           type == CMP_TYPE_CHANNEL || type == CMP_TYPE_QUEUE;
}

void cmp_object_each_ref(const struct cmp_view *v, void *cell,
                         void (*visit)(void *arg, cmp_ref ref), void *arg)
{
    cmp_word64 *link = cmp_object_link_in(v->type, cell);
    /* SYNC seq_cst: pairs with link_locked. */
    cmp_ref ref = link == NULL ? 0 : load64_seqcst(link);
    if (ref != 0)
        visit(arg, ref);
    if (v->type == CMP_TYPE_CHANNEL)
        cmp_channel_each_ref(cell, v->cell_bytes, visit, arg);
    if (v->type == CMP_TYPE_QUEUE)
        cmp_queue_each_ref(cell, v->cell_bytes, visit, arg);
}

static bool link_locked(cmp_word64 *link, cmp_ref ref)
{
    uint64_t none = 0;
    struct cmp_view *v;
    struct cmp_hold *h = held(ref, &v);
    /* SYNC seq_cst: add before touch; pairs with the sweep's trace. */
    if (h == NULL || !cas64_strong(link, &none, ref))
        return false;
    CMP_HOOK("object.link.added");
    touch(cmp_view_word(v, cmp_object_index(ref)), gen_of(ref));
    CMP_HOOK("object.link.touched");
    h->token = 0;
    if (--h->count == 0) {
        cmp_held_clear_bit(cmp_me_slot(), cmp_object_index(ref));
        CMP_HOOK("object.link.removed");
    }
    return true;
}

bool cmp_object_link(cmp_word64 *link, cmp_ref ref)
{
    cmp_process_lock();
    bool done = cmp_me_slot() != NULL && link_locked(link, ref);
    cmp_process_unlock();
    return done;
}

void *cmp_object_linked(cmp_ref ref, enum cmp_type type)
{
    uint32_t bytes;
    return cmp_object_linked_bytes(ref, type, &bytes);
}

void *cmp_object_linked_locked(cmp_ref ref, enum cmp_type type, uint32_t *bytes)
{
    uint32_t index = cmp_object_index(ref);
    void *cell = NULL;
    struct cmp_view *v = ref >> 50 != 0 ? NULL : cmp_view_of(index);
    if (v != NULL && v->type == (uint32_t)type &&
        is_live(load64_seqcst(cmp_view_word(v, index)), gen_of(ref)))
        cell = cmp_view_cell(v, index);
    *bytes = cell == NULL ? 0 : v->cell_bytes;
    return cell;
}

void *cmp_object_linked_bytes(cmp_ref ref, enum cmp_type type, uint32_t *bytes)
{
    cmp_process_lock();
    void *cell = cmp_object_linked_locked(ref, type, bytes);
    cmp_process_unlock();
    return cell;
}

/* ---- records --------------------------------------------------------------------- */

int cmp_object_leave(const cmp_ref *refs, int n, cmp_ref *as_named)
{
    struct cmp_view *v;
    struct cmp_hold *h;
    if (cmp_me_slot() == NULL)
        return -cmp_me_errno();
    for (int i = 0; i < n; i++) {
        if ((h = held(refs[i], &v)) == NULL)
            return -EINVAL;
        bool alone = h->count == 1 && h->token == fork_number;
        as_named[i] = refs[i] | (alone ? CMP_REF_ALONE : 0);
    }
    return 0;
}

static void leave_one(cmp_ref ref)
{
    struct cmp_view *v;
    uint32_t index = cmp_object_index(ref);
    struct cmp_hold *h = held(ref, &v);
    if (h == NULL) /* it may be in the record twice */
        return;
    /* SYNC seq_cst: after the commit; pairs with the sweep's passes. */
    touch(cmp_view_word(v, index), gen_of(ref));
    CMP_HOOK("object.left.touched");
    h->token = 0;
    if (h->count == CMP_HOLD_COUNT_MAX || --h->count > 0)
        return;
    cmp_held_clear_bit(cmp_me_slot(), index);
    CMP_HOOK("object.left.removed");
}

void cmp_object_left(const cmp_ref *refs, int n)
{
    for (int i = 0; i < n; i++)
        leave_one(refs[i]);
}

static int arrive_anew(struct cmp_view *v, struct cmp_hold *h, uint32_t index, cmp_ref ref,
                       bool alone)
{
    struct cmp_slot *s = cmp_me_slot();
    int rc = cmp_held_set(s, index);
    if (rc < 0)
        return rc;
    CMP_HOOK("object.arrive.bit");
    if (!touch(cmp_view_word(v, index), gen_of(ref))) {
        cmp_held_clear_bit(s, index);
        note_drop(); /* as in take_from_others */
        return -ESTALE;
    }
    CMP_HOOK("object.arrive.touched");
    hold_first(h, alone ? fork_number : 0);
    return 0;
}

static int arrive_one(cmp_ref named)
{
    cmp_ref ref = named & ~CMP_REF_ALONE;
    uint32_t index = cmp_object_index(ref);
    struct cmp_view *v = cmp_view_of(index);
    if (ref >> 50 != 0 || gen_of(ref) == 0 || v == NULL)
        return -EINVAL;
    if (cmp_me_slot() == NULL)
        return -cmp_me_errno();
    struct cmp_hold *h = cmp_view_hold(v, index);
    if (!is_live(load64_relaxed(cmp_view_word(v, index)), gen_of(ref)))
        return -ESTALE;
    if (h->count == 0)
        return arrive_anew(v, h, index, ref, named & CMP_REF_ALONE);
    h->count = grow(h->count, 1);
    h->token = 0;
    return 0;
}

/* It stays in the record, so nobody may free it for want of a holder. */
static void unarrive(cmp_ref named)
{
    struct cmp_view *v;
    struct cmp_hold *h = held(named & ~CMP_REF_ALONE, &v);
    if (h != NULL) {
        h->token = 0;
        drop_locked(named & ~CMP_REF_ALONE);
    }
}

int cmp_object_arrive(const cmp_ref *named, int n)
{
    int rc = 0, i = 0;
    cmp_me();
    cmp_process_lock();
    while (i < n && (rc = arrive_one(named[i])) == 0)
        i++;
    while (rc < 0 && i-- > 0)
        unarrive(named[i]);
    cmp_process_unlock();
    return rc;
}

void cmp_object_unarrive(const cmp_ref *named, int n)
{
    cmp_process_lock();
    for (int i = 0; i < n; i++)
        unarrive(named[i]);
    cmp_process_unlock();
}

static void ask_cell(const struct cmp_view *v, uint32_t j, cmp_ref ref,
                     void (*visit)(void *arg, cmp_ref taker), void *arg)
{
    uint64_t word = load64_seqcst(&v->words[j]);
    void *cell = v->cells + (size_t)j * v->cell_bytes;
    if (cmp_word_phase(word) != CMP_OBJECT_LIVE)
        return;
    if (v->type == CMP_TYPE_CHANNEL)
        cmp_channel_each_taker(cell, v->cell_bytes, ref, visit, arg);
    else if (cmp_queue_names(cell, v->cell_bytes, ref))
        visit(arg, ref_of(cmp_word_gen(word), v->number << CMP_CELL_BITS | j));
}

void cmp_object_each_taker(cmp_ref ref, void (*visit)(void *arg, cmp_ref taker), void *arg)
{
    for (uint32_t i = 0, n = cmp_slab_count(); i < n; i++) {
        struct cmp_view *v = cmp_slab_view(i);
        bool has_records = v != NULL && (v->type == CMP_TYPE_CHANNEL || v->type == CMP_TYPE_QUEUE);
        for (uint32_t j = 0; has_records && j < v->count; j++)
            ask_cell(v, j, ref, visit, arg);
    }
}

/* ---- embryos --------------------------------------------------------------------- */

static int create_embryo(struct cmp_embryo *embryo)
{
    if (cmp_me_slot() == NULL)
        return -cmp_me_errno();
    int rc = cmp_slot_claim(embryo);
    if (rc < 0)
        return rc;
    CMP_HOOK("embryo.create.claimed");
    cmp_held_clear(cmp_slot_at(embryo->slot));
    if (embryo->fd < 0) /* no birth locks here: the child needs the file all the same */
        embryo->fd = cmp_map_copy_fd(cmp_family_map());
    if (cmp_slot_conceive(embryo))
        return 0;
    cmp_slot_birth_over(embryo);
    return -EAGAIN;
}

int cmp_embryo_create(struct cmp_embryo *embryo)
{
    int rc = cmp_family_init();
    if (rc < 0)
        return rc;
    cmp_me();
    cmp_process_lock();
    rc = create_embryo(embryo);
    cmp_process_unlock();
    return rc;
}

/* The slot of an embryo that still is one. */
static struct cmp_slot *embryo_slot(const struct cmp_embryo *embryo)
{
    struct cmp_slot *s = cmp_slot_at(embryo->slot);
    uint64_t state = s == NULL ? 0 : load64_seqcst(&s->state);
    return cmp_state_phase(state) == CMP_SLOT_EMBRYO && cmp_state_gen(state) == embryo->gen
               ? s : NULL;
}

static int give_locked(const struct cmp_embryo *embryo, cmp_ref ref)
{
    struct cmp_view *v;
    struct cmp_hold *h = held(ref, &v);
    struct cmp_slot *s = embryo_slot(embryo);
    if (h == NULL)
        return -EINVAL;
    if (s == NULL)
        return -ESTALE;
    int rc = cmp_held_set(s, cmp_object_index(ref));
    if (rc < 0)
        return rc;
    CMP_HOOK("embryo.give.bit");
    touch(cmp_view_word(v, cmp_object_index(ref)), gen_of(ref));
    h->token = 0;
    return 0;
}

int cmp_embryo_give(const struct cmp_embryo *embryo, cmp_ref ref)
{
    cmp_process_lock();
    int rc = give_locked(embryo, ref);
    cmp_process_unlock();
    return rc;
}

void cmp_embryo_abandon(struct cmp_embryo *embryo)
{
    cmp_process_lock();
    cmp_slot_release(embryo);
    note_drop();
    CMP_HOOK("embryo.abandon.released");
    if (embryo->fd >= 0)
        cmp_birth_end(embryo->fd, embryo->slot);
    cmp_slot_birth_over(embryo);
    cmp_process_unlock();
}

void cmp_embryo_sent(struct cmp_embryo *embryo)
{
    cmp_slot_birth_over(embryo);
}

struct adoption {
    struct cmp_slot *slot; /* this process's */
    int rc;
};

static void adopt_one(struct adoption *a, uint32_t index)
{
    struct cmp_view *v = cmp_view_of(index);
    if (v == NULL)
        return; /* damage: no object has that index */
    struct cmp_hold *h = cmp_view_hold(v, index);
    if (h->count > 0)
        return;
    int rc = cmp_held_set(a->slot, index);
    if (rc < 0) {
        a->rc = rc;
        return;
    }
    CMP_HOOK("embryo.adopt.bit");
    uint64_t word = add64_seqcst(cmp_view_word(v, index), CMP_OBJECT_TOUCH); /* SYNC: as touch */
    if (cmp_word_phase(word) != CMP_OBJECT_LIVE) {
        cmp_held_clear_bit(a->slot, index);
        note_drop(); /* as in take_from_others */
        return;
    }
    hold_first(h, 0);
    h->adopted = true;
}

static void adopt_some(void *arg, uint32_t index, uint64_t bits)
{
    for (; bits != 0; bits &= bits - 1)
        adopt_one(arg, index + (uint32_t)__builtin_ctzll(bits));
}

static int adopt_locked(const struct cmp_embryo *embryo)
{
    struct adoption a = {.slot = cmp_me_slot()};
    struct cmp_slot *s = embryo_slot(embryo);
    if (a.slot == NULL)
        return -cmp_me_errno();
    if (s == NULL)
        return -ESTALE;
    cmp_held_each(s, adopt_some, &a);
    CMP_HOOK("embryo.adopt.all");
    if (a.rc < 0)
        return a.rc;
    cmp_slot_release(embryo);
    CMP_HOOK("embryo.adopt.released");
    if (embryo->fd >= 0)
        cmp_birth_end(embryo->fd, embryo->slot);
    return 0;
}

int cmp_embryo_adopt(const struct cmp_embryo *embryo)
{
    cmp_me();
    cmp_process_lock();
    int rc = adopt_locked(embryo);
    cmp_process_unlock();
    return rc;
}

/* ---- fork ------------------------------------------------------------------------ */

void cmp_object_forking(void)
{
    if (++fork_number <= CMP_HOLD_TOKEN_MAX)
        return;
    cmp_slab_void_tokens();
    fork_number = 1;
}

void cmp_object_forked(void)
{
    cmp_slab_forked();
}
