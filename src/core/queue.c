/* queue.c -- putting, getting, going on to the next segment; shutting down.

   Longer than most: who puts, who gets and who looks from outside rely on each other's order
   of accesses to one layout, and are to be read side by side.  */
#include "queue.h"
#include <string.h>
#include "block.h"
#include "channel.h"

#define NEXT_LENGTH 24u
#define RESERVE 40u /* behind every record: a NEXT, and a PAD before it */
#define LONGEST (CMP_QUEUE_PLAIN_MAX + 8)

static struct cmp_spin spin_put, spin_get;

/* ---- positions and places ---------------------------------------------------------------- */

/* The position after n more items, whose place is the other one. */
static uint64_t position_after(uint64_t at, uint64_t n)
{
    return (at + 2 * n) ^ 1;
}

/* A struct cmp_place as it was read. */
struct place {
    uint64_t at;
    uint64_t from;
    cmp_ref segment; /* as it is named */
    uint32_t cap;
};

static bool is_cap(uint64_t cap, cmp_ref segment)
{
    if (segment == 0)
        return cap == CMP_SEGMENT_HOME;
    return cap > CMP_SEGMENT_HOME && cap <= CMP_SEGMENT_MAX && (cap & (cap - 1)) == 0;
}

static bool read_place(struct cmp_place *from, struct place *p)
{
    /* SYNC acquire: pairs with write_place; see the second look at the position. */
    p->at = load64_acquire(&from->at);
    p->from = load64_acquire(&from->from);
    p->segment = load64_acquire(&from->segment);
    uint64_t cap = load64_acquire(&from->cap);
    p->cap = (uint32_t)cap;
    return is_cap(cap, p->segment) && p->at % 8 == 0 && p->at >= p->from;
}

static void write_place(struct cmp_place *to, const struct place *p)
{
    /* SYNC release: after the commit that made this place the other one. */
    store64_release(&to->at, p->at);
    store64_release(&to->from, p->from);
    store64_release(&to->segment, p->segment);
    store64_release(&to->cap, p->cap);
}

/* The place of a side, for who has not its lock.  Whether it can be one. */
static bool see_place(struct cmp_side *side, struct cmp_place *places, uint64_t *at, struct place *p)
{
    bool can_be;
    do {
        *at = load64_seqcst(&side->at);
        can_be = read_place(&places[*at & 1], p);
    } while (load64_seqcst(&side->at) != *at);
    return can_be;
}

static cmp_ref ref_of(cmp_ref named)
{
    return named & ~CMP_REF_ALONE;
}

static size_t segment_bytes(uint32_t cap)
{
    return sizeof(struct cmp_segment) + cap;
}

static void know(struct cmp_segment_known *known, cmp_ref ref, struct cmp_segment *s, uint32_t cap)
{
    /* SYNC release: a fork in another thread copies all of it, or ref 0.  */
    store64_release(&known->ref, 0);
    known->segment = s;
    known->cap = cap;
    store64_release(&known->ref, ref);
}

/* Where a segment is, with the lock that it is known under.  0 or -EUCLEAN. */
static int find_segment(struct cmp_queue *q, struct cmp_segment_known *known, const struct place *p,
                        struct cmp_segment **s)
{
    cmp_ref ref = ref_of(p->segment);
    void *data;

    *s = &q->cell->home;
    if (ref == 0)
        return 0;
    if (load64_relaxed(&known->ref) != ref || known->cap != p->cap) {
        int rc = cmp_block_linked(ref, segment_bytes(p->cap), &data);
        if (rc < 0)
            return rc;
        know(known, ref, data, p->cap);
    }
    *s = known->segment;
    return 0;
}

/* ---- put ------------------------------------------------------------------------------------ */

struct put {
    struct cmp_queue *q;
    const struct cmp_outgoing *m;
    int n;
    struct cmp_draft draft; /* of the first */
    int n_put;
    uint64_t n_bytes;
    struct place p; /* where the next record goes */
    struct cmp_segment *segment;
    uint64_t low; /* what the next one must not go round to */
    bool is_low_new;
    bool may_shrink;
    uint32_t wants; /* a segment of so many bytes, made without the lock: */
    cmp_ref spare;
    uint32_t spare_cap;
    void *spare_data;
    int n_named; /* what the records will name: */
    cmp_ref refs[CMP_RECORD_REFS + 1];
    cmp_word64 *where[CMP_RECORD_REFS + 1];
};

static struct cmp_strip strip_of(struct cmp_segment *s, uint32_t cap)
{
    return (struct cmp_strip){s->words, cap};
}

static bool can_put(void *arg)
{
    const struct put *op = arg;
    struct cmp_queue_cell *c = op->q->cell;
    if (op->q->limit == 0 || load_seqcst(&c->shut) != 0)
        return true;
    uint64_t put = cmp_queue_items(load64_seqcst(&c->put.at));
    /* Never more in it than were put by then: a no is true of this moment. */
    return (int64_t)(put - cmp_queue_items(load64_seqcst(&c->get.at))) < (int64_t)op->q->limit;
}

/* How many of op->n there is room for; -ESHUTDOWN, -EAGAIN or -EUCLEAN. */
static int count_room(const struct put *op)
{
    struct cmp_queue_cell *c = op->q->cell;
    uint32_t limit = op->q->limit;
    if (load_seqcst(&c->shut) != 0)
        return -ESHUTDOWN;
    /* SYNC seq_cst: after the look at shut; and pairs with the commit of get. */
    int64_t n = (int64_t)(cmp_queue_items(load64_relaxed(&c->put.at)) - cmp_queue_items(load64_seqcst(&c->get.at)));
    if (n < 0 || (limit != 0 && n > limit))
        return -EUCLEAN;
    if (limit == 0 || op->n < limit - n)
        return op->n;
    return n == limit ? -EAGAIN : (int)(limit - n);
}

static bool look_low(struct put *op)
{
    struct cmp_queue_cell *c = op->q->cell;
    struct place get;
    uint64_t at;
    bool can_be = see_place(&c->get, c->get_place, &at, &get);
    store64_relaxed(&c->put.seen, get.at);
    op->low = get.at > op->p.from ? get.at : op->p.from;
    op->is_low_new = true;
    return can_be && op->low <= op->p.at;
}

static bool fits(const struct put *op, uint64_t length)
{
    struct cmp_strip strip = strip_of(op->segment, op->p.cap);
    return length <= op->p.cap / 4 &&
           op->p.at - op->low + cmp_strip_room(&strip, op->p.at, length) + RESERVE <= op->p.cap;
}

/* About to go round once more, in a segment that is not small. */
static bool goes_round(const struct put *op, uint64_t length)
{
    struct cmp_strip strip = strip_of(op->segment, op->p.cap);
    return op->may_shrink && op->p.cap > 4 * CMP_SEGMENT_HOME &&
           op->p.at - op->p.from >= op->p.cap && cmp_strip_left(&strip, op->p.at) <= length;
}

/* The size of the segment that the next record needs; 0: none; -EUCLEAN. */
static int64_t next_cap(struct put *op, uint64_t length)
{
    uint32_t cap = op->p.cap < CMP_SEGMENT_MAX ? 2 * op->p.cap : op->p.cap;
    bool may_shrink = goes_round(op, length);
    if ((may_shrink || !fits(op, length)) && !op->is_low_new && !look_low(op))
        return -EUCLEAN;
    if (may_shrink && op->p.at - op->low < op->p.cap / 8)
        cap = op->p.cap / 4;
    else if (fits(op, length))
        return 0;
    while (cap < 4 * length)
        cap *= 2;
    return cap;
}

static void name(struct put *op, cmp_ref ref, cmp_word64 *where)
{
    op->refs[op->n_named] = ref;
    op->where[op->n_named++] = where;
}

/* The record that leads to the spare segment; all that follows goes there. */
static void grow(struct put *op)
{
    struct cmp_draft next = {.record = {.kind = CMP_RECORD_NEXT, .n_refs = 1, .bytes = 8},
                             .m = {.bytes = op->spare_cap}};
    struct cmp_strip strip = strip_of(op->segment, op->p.cap);

    name(op, op->spare, cmp_draft_write(&next, &strip, op->p.at));
    store64_relaxed(&op->segment->next_cap, op->spare_cap);
    store64_release(&op->segment->next, op->spare);
    op->p.at += cmp_strip_room(&strip, op->p.at, NEXT_LENGTH);
    op->p.from = op->low = op->p.at;
    op->p.segment = op->spare;
    op->p.cap = op->spare_cap;
    op->segment = op->spare_data;
    op->segment->next = 0;
    CMP_HOOK("queue.grow.written");
}

/* One more record.  0; 1: not with this commit; -ENOBUFS: not without a new segment; -EUCLEAN. */
static int write_one(struct put *op, const struct cmp_draft *d)
{
    uint64_t length = cmp_record_length(&d->record);
    int64_t cap = next_cap(op, length);
    if (cap < 0)
        return -EUCLEAN;
    if (cap > 0 && op->n_put > 0)
        return 1;
    if (cap > 0 && op->spare_cap < cap) {
        op->wants = (uint32_t)cap;
        return -ENOBUFS;
    }
    if (cap > 0)
        grow(op);
    struct cmp_strip strip = strip_of(op->segment, op->p.cap);
    cmp_word64 *refs = cmp_draft_write(d, &strip, op->p.at);
    for (uint32_t i = 0; i < d->record.n_refs; i++)
        name(op, d->refs[i], &refs[i]);
    op->p.at += cmp_strip_room(&strip, op->p.at, length);
    op->n_bytes += length;
    op->n_put++;
    CMP_HOOK("queue.put.written");
    return 0;
}

/* Those that follow, as long as they are plain. */
static int write_more(struct put *op, int n)
{
    int rc = 0;
    struct cmp_draft d;
    if (op->draft.record.n_refs > 0)
        return 0;
    while (rc == 0 && op->n_put < n && op->n_bytes < CMP_QUEUE_BATCH_BYTES) {
        const struct cmp_outgoing *m = &op->m[op->n_put];
        if (!cmp_outgoing_is_plain(m, LONGEST) || cmp_draft_make(&d, m, LONGEST) < 0)
            break;
        rc = write_one(op, &d);
    }
    return rc < 0 ? rc : 0;
}

static int commit_put(struct put *op, uint64_t at)
{
    struct cmp_queue_cell *c = op->q->cell;
    uint64_t end = position_after(at, (uint64_t)op->n_put);

    write_place(&c->put_place[end & 1], &op->p);
    CMP_HOOK("queue.put.placed");
    if (op->draft.record.n_refs > 0)
        store_seqcst(&c->has_refs, 1);
    if (op->n_named > 0)
        return cmp_record_commit(&c->put, &c->get, end, op->refs, op->where, op->n_named);
    cmp_side_commit(&c->put, &c->get, end);
    return 0;
}

static int put_locked(void *arg)
{
    struct put *op = arg;
    struct cmp_queue_cell *c = op->q->cell;
    uint64_t at = load64_relaxed(&c->put.at), seen = load64_relaxed(&c->put.seen);

    op->n_put = op->n_named = 0;
    op->n_bytes = 0;
    int n = count_room(op);
    if (n < 0)
        return n;
    if (!read_place(&c->put_place[at & 1], &op->p) || op->p.at < seen)
        return -EUCLEAN;
    op->low = seen > op->p.from ? seen : op->p.from;
    op->is_low_new = false;
    int rc = find_segment(op->q, &op->q->puts, &op->p, &op->segment);
    if (rc == 0)
        rc = write_one(op, &op->draft);
    if (rc == 0)
        rc = write_more(op, n);
    if (rc == 0)
        rc = commit_put(op, at);
    if (rc == 0 && op->p.segment == op->spare)
        op->spare = 0; /* the queue has it */
    return rc;
}

static void drop_spare(struct put *op)
{
    if (op->spare != 0)
        cmp_object_drop(op->spare);
    op->spare = 0;
    op->spare_cap = 0;
}

/* Where nobody waits for it.  0, -ENOMEM or another -errno. */
static int make_spare(struct put *op)
{
    void *cell;
    drop_spare(op);
    int rc = cmp_block_create(segment_bytes(op->wants), false, &op->spare, &cell, &op->spare_data);
    if (rc == 0)
        op->spare_cap = op->wants;
    else
        op->spare = 0;
    CMP_HOOK("queue.grow.made");
    if (rc < 0 && op->may_shrink) {
        op->may_shrink = false; /* perhaps it was not needed */
        return 0;
    }
    return rc;
}

/* Whoever has slept may have got the wake of one who shut the queue, and died. */
static void relay_shut(struct cmp_queue_cell *c)
{
    if (load_seqcst(&c->shut) != 0)
        cmp_unpark(&c->shut, CMP_UNPARK_ALL);
}

/* At once; if that is not possible, by the deadline. */
static int take_turn(struct cmp_queue_cell *c, struct cmp_turn *turn, int64_t deadline_ns)
{
    turn->halt = &c->shut;
    int rc = cmp_turn_take(turn, 0);
    if (rc != -ETIMEDOUT || deadline_ns <= 0)
        return rc;
    rc = cmp_turn_take(turn, deadline_ns);
    relay_shut(c);
    return rc;
}

static int put_prepared(struct put *op, int64_t deadline_ns)
{
    struct cmp_queue_cell *c = op->q->cell;
    struct cmp_turn turn = {
        .side = &c->put, .other = &c->get, .possible = can_put, .act = put_locked,
        .arg = op, .spin = &spin_put,
    };
    int rc;
    do
        rc = take_turn(c, &turn, deadline_ns);
    while (rc == -ENOBUFS && (rc = make_spare(op)) == 0);
    drop_spare(op);
    return rc;
}

int cmp_queue_put_many(struct cmp_queue *q, const struct cmp_outgoing *m, int n,
                       int64_t deadline_ns)
{
    struct cmp_moved moved[CMP_RECORD_REFS];
    struct put op;

    op.q = q;
    op.m = m;
    op.n = n < CMP_QUEUE_BATCH ? n : CMP_QUEUE_BATCH;
    op.may_shrink = true;
    op.spare = 0;
    op.spare_cap = 0;
    int rc = cmp_draft_make(&op.draft, m, LONGEST);
    if (rc < 0)
        return rc;
    int n_moved = m->n_refs;
    rc = cmp_channel_note(m->refs, n_moved, moved);
    if (rc < 0)
        n_moved = 0;
    else
        rc = put_prepared(&op, deadline_ns);
    CMP_HOOK("queue.put.done");
    cmp_channel_tell(moved, n_moved, rc == 0);
    if (rc < 0)
        cmp_draft_undo(&op.draft);
    return rc < 0 ? rc : op.n_put;
}

/* ---- get ------------------------------------------------------------------------------------- */

struct get {
    struct cmp_queue *q;
    char *buffer;
    size_t bytes;
    struct cmp_incoming *m;
    int n;
    bool empties; /* an item is got though none shall be */
    int n_got;
    struct place p; /* of the next record */
    struct cmp_segment *segment;
    cmp_ref left; /* the segment that p was in, as it is named; 0: still is, or it is the first */
    struct cmp_record record; /* of the last that was copied */
};

static bool can_get(void *arg)
{
    struct cmp_queue_cell *c = ((struct get *)arg)->q->cell;
    uint64_t head = load64_seqcst(&c->get.at);
    return cmp_queue_items(load64_seqcst(&c->put.at)) != cmp_queue_items(head) || load_seqcst(&c->shut) != 0;
}

/* How many are to be got now; -EAGAIN, -ESHUTDOWN or -EUCLEAN. */
static int count_items(const struct get *op, uint64_t at)
{
    struct cmp_queue_cell *c = op->q->cell;
    bool shut = load_seqcst(&c->shut) != 0;
    /* SYNC seq_cst: after the look at shut: nothing is put after that; and pairs with the
       commit of put: the records are whole.  */
    int64_t n = (int64_t)(cmp_queue_items(load64_seqcst(&c->put.at)) - cmp_queue_items(at));
    if (n < 0)
        return -EUCLEAN;
    if (shut && load_seqcst(&c->immediate) != 0 && !op->empties)
        return -ESHUTDOWN;
    if (n == 0)
        return shut ? -ESHUTDOWN : -EAGAIN;
    return n < op->n ? (int)n : op->n;
}

/* Behind a NEXT: on to the segment that it names. */
static int go_on(struct get *op, uint64_t at)
{
    struct cmp_strip strip = strip_of(op->segment, op->p.cap);
    cmp_word64 *words = cmp_strip_at(&strip, at);
    struct place to = {.at = at + NEXT_LENGTH, .from = at + NEXT_LENGTH};
    uint64_t cap = load64_relaxed(words + 2);

    to.segment = load64_relaxed(words + 1);
    to.cap = (uint32_t)cap;
    if (to.segment == 0 || !is_cap(cap, to.segment))
        return -EUCLEAN;
    op->left = op->p.segment;
    op->p = to;
    return find_segment(op->q, &op->q->gets, &op->p, &op->segment);
}

/* The next record, in which segment it may be.  0 or -EUCLEAN; 1: not with this commit. */
static int find_record(struct get *op, uint64_t *at)
{
    struct cmp_strip strip = strip_of(op->segment, op->p.cap);
    *at = op->p.at;
    int rc = cmp_record_find(&strip, at, op->p.cap, &op->record);
    if (rc < 0 || op->record.kind != CMP_RECORD_NEXT)
        return rc;
    if (op->n_got > 0)
        return 1;
    rc = go_on(op, *at);
    if (rc < 0)
        return rc;
    strip = strip_of(op->segment, op->p.cap);
    *at = op->p.at;
    rc = cmp_record_find(&strip, at, op->p.cap, &op->record);
    return rc == 0 && op->record.kind == CMP_RECORD_NEXT ? -EUCLEAN : rc;
}

/* Copy one more.  0; 1: that was the last for this commit; 2: it was not copied; -EUCLEAN. */
static int read_one(struct get *op)
{
    uint64_t at;
    int rc = find_record(op, &at);
    if (rc != 0)
        return op->n_got > 0 ? 2 : rc;
    size_t length = ((size_t)op->record.bytes + 7) & ~(size_t)7;
    bool has_refs = op->record.n_refs > 0;
    if (op->n_got > 0 && (has_refs || length > op->bytes))
        return 2;
    if (length > op->bytes)
        return -EUCLEAN;
    struct cmp_strip strip = strip_of(op->segment, op->p.cap);
    cmp_record_copy(&strip, at, &op->record, op->buffer, &op->m[op->n_got]);
    CMP_HOOK("queue.get.copied");
    op->buffer += length;
    op->bytes -= length;
    op->p.at = at + cmp_record_length(&op->record);
    op->n_got++;
    return has_refs;
}

/* Hold what is about to be taken out.  As cmp_record_arrive.  */
static int hold_all(struct get *op)
{
    int rc = 0;
    if (op->left != 0) {
        rc = cmp_object_arrive(&op->left, 1);
        CMP_HOOK("queue.get.left");
    }
    if (rc < 0)
        return cmp_record_is_damaged(rc) ? -EUCLEAN : rc;
    if (op->m[0].n_refs > 0)
        rc = cmp_record_arrive(&op->m[0], &op->record);
    if (rc < 0 && !cmp_record_is_damaged(rc) && op->left != 0)
        cmp_object_unarrive(&op->left, 1);
    return rc;
}

static int get_locked(void *arg)
{
    struct get *op = arg;
    struct cmp_queue_cell *c = op->q->cell;
    uint64_t at = load64_relaxed(&c->get.at);
    int rc, n = count_items(op, at);

    if (n < 0)
        return n;
    if (!read_place(&c->get_place[at & 1], &op->p))
        return -EUCLEAN;
    rc = find_segment(op->q, &op->q->gets, &op->p, &op->segment);
    uint32_t copied = 0;
    while (rc == 0 && op->n_got < n && copied < CMP_QUEUE_BATCH_BYTES) {
        rc = read_one(op);
        copied += op->record.bytes;
    }
    if (rc >= 0)
        rc = hold_all(op);
    if (rc < 0 && !cmp_record_is_damaged(rc)) {
        op->left = 0;
        return rc;
    }
    uint64_t end = position_after(at, (uint64_t)op->n_got);
    if (op->q->counts)
        cmp_tasks_take(&c->tasks, (uint32_t)op->n_got);
    write_place(&c->get_place[end & 1], &op->p);
    CMP_HOOK("queue.get.placed");
    cmp_side_commit(&c->get, &c->put, end);
    return rc < 0 ? -ESTALE : 0;
}

static int get_turn(struct get *op, int (*act)(void *), int64_t deadline_ns)
{
    struct cmp_queue_cell *c = op->q->cell;
    struct cmp_turn turn = {
        .side = &c->get, .other = &c->put, .possible = can_get, .act = act, .arg = op,
        .spin = &spin_get,
    };
    return take_turn(c, &turn, deadline_ns);
}

static int get_some(struct get *op, int64_t deadline_ns)
{
    op->n_got = 0;
    op->left = 0;
    op->n = op->n < CMP_QUEUE_BATCH ? op->n : CMP_QUEUE_BATCH;
    int rc = get_turn(op, get_locked, deadline_ns);
    CMP_HOOK("queue.got.out");
    if (op->left != 0)
        cmp_object_drop(ref_of(op->left));
    CMP_HOOK("queue.got.left");
    return rc < 0 ? rc : cmp_record_open(&op->m[0]);
}

/* Nobody has got it: if ends of channels are in it, tell who waits for them. */
static void let_go(struct cmp_incoming *m)
{
    cmp_channel_drop(m->refs, m->n_refs);
    m->n_refs = 0;
    cmp_incoming_drop(m);
}

/* Take out all that is there. */
static int empty_all(struct cmp_queue *q)
{
    char buffer[CMP_QUEUE_PLAIN_MAX];
    struct cmp_incoming m;
    int rc;
    do {
        struct get op = {.q = q, .buffer = buffer, .bytes = sizeof buffer, .m = &m, .n = 1,
                         .empties = true};
        rc = get_some(&op, 0);
        if (rc == 0)
            let_go(&m);
        if (rc == 0 || rc == -ESTALE)
            cmp_queue_task_done(q);
    } while (rc == 0 || rc == -ESTALE);
    return rc == -ESHUTDOWN || rc == -ETIMEDOUT ? 0 : rc;
}

int cmp_queue_get_many(struct cmp_queue *q, void *buffer, size_t bytes, struct cmp_incoming *m,
                       int n, int64_t deadline_ns)
{
    struct get op = {.q = q, .buffer = buffer, .bytes = bytes, .m = m, .n = n};
    int rc = get_some(&op, deadline_ns);
    /* Who was to take out the rest may have died. */
    if (rc == -ESHUTDOWN && load_seqcst(&q->cell->immediate) != 0)
        empty_all(q);
    return rc < 0 ? rc : op.n_got;
}

static int wait_locked(void *arg)
{
    struct get *op = arg;
    int n = count_items(op, load64_relaxed(&op->q->cell->get.at));
    return n < 0 ? n : 0;
}

int cmp_queue_wait(struct cmp_queue *q, int64_t deadline_ns)
{
    struct get op = {.q = q, .n = 1};
    return get_turn(&op, wait_locked, deadline_ns);
}

/* ---- counts, shutdown ------------------------------------------------------------------------ */

uint64_t cmp_queue_size(struct cmp_queue *q)
{
    struct cmp_queue_cell *c = q->cell;
    uint64_t got = load64_seqcst(&c->get.at), put, again;
    while (put = load64_seqcst(&c->put.at), (again = load64_seqcst(&c->get.at)) != got)
        got = again;
    return cmp_queue_items(put) - cmp_queue_items(got);
}

uint64_t cmp_queue_unfinished(struct cmp_queue *q)
{
    uint64_t done = load64_seqcst(&q->cell->tasks.done);
    return cmp_queue_items(load64_seqcst(&q->cell->put.at)) - done;
}

bool cmp_queue_is_shut(struct cmp_queue *q)
{
    return load_seqcst(&q->cell->shut) != 0;
}

/* With the lock of who puts: what they have seen of it does not change before their commit. */
int cmp_queue_shutdown(struct cmp_queue *q, bool immediate)
{
    struct cmp_queue_cell *c = q->cell;
    int rc = cmp_mutex_lock(&c->put.lock, CMP_FOREVER);
    if (rc < 0 && rc != -EOWNERDEAD)
        return rc;
    if (immediate)
        store_seqcst(&c->immediate, 1);
    cmp_pending(&c->shut);
    store_seqcst(&c->shut, CMP_SHUT);
    CMP_HOOK("queue.shut.stored");
    cmp_unpark(&c->shut, CMP_UNPARK_ALL);
    CMP_HOOK("queue.shut.woke");
    cmp_pending(NULL);
    cmp_mutex_unlock(&c->put.lock);
    return immediate ? empty_all(q) : 0;
}

/* ---- create and open --------------------------------------------------------------------------- */

#define CELL_BYTES (sizeof(struct cmp_queue_cell) + CMP_SEGMENT_HOME)

int cmp_queue_create(uint32_t limit, bool counts, cmp_ref *ref)
{
    struct place first = {.cap = CMP_SEGMENT_HOME};
    void *cell;
    int rc = cmp_object_create(CMP_TYPE_QUEUE, CELL_BYTES, ref, &cell);
    if (rc < 0)
        return rc;
    struct cmp_queue_cell *c = cell;
    memset(c, 0, sizeof *c);
    c->limit = limit;
    c->counts = counts;
    write_place(&c->put_place[0], &first);
    write_place(&c->get_place[0], &first);
    return 0;
}

int cmp_queue_take(cmp_ref ref, struct cmp_queue *q)
{
    void *cell;
    int rc = cmp_object_take(ref, CMP_TYPE_QUEUE, &cell);
    if (rc < 0)
        return rc;
    *q = (struct cmp_queue){.ref = ref, .cell = cell};
    q->limit = *(volatile uint32_t *)&q->cell->limit;
    q->counts = *(volatile uint32_t *)&q->cell->counts != 0;
    if (cmp_object_bytes(ref) >= CELL_BYTES)
        return 0;
    cmp_object_drop(ref);
    return -EUCLEAN;
}

int cmp_queue_open(cmp_ref ref, struct cmp_queue *q)
{
    int rc = cmp_queue_take(ref, q);
    if (rc == 0)
        cmp_object_drop(ref); /* once more than it shall be held */
    return rc;
}

/* ---- looks ---------------------------------------------------------------------------------------- */

#define MANY_SEGMENTS (1 << 16) /* more than an arena has room for */

/* One look through a queue, from a position of get on. */
struct walk {
    struct cmp_queue_cell *c;
    void (*visit)(void *arg, cmp_ref ref);
    void *arg;
    uint64_t at; /* of get, as it began */
    uint64_t end; /* items that were put */
    struct place p, last;
    struct cmp_segment *segment;
};

static bool find_walked(struct walk *w)
{
    void *data = &w->c->home;
    if (w->p.segment != 0 && cmp_block_linked_locked(ref_of(w->p.segment), segment_bytes(w->p.cap), &data) < 0)
        return false;
    w->segment = data;
    return true;
}

/* Whether the segments from that of get on, as it was, are those of the queue. */
static bool is_first_left(struct walk *w, cmp_ref first)
{
    struct place p;
    uint64_t at;
    return !see_place(&w->c->get, w->c->get_place, &at, &p) || p.segment != first;
}

/* All segments, by their heads.  Whether get went on to another one meanwhile. */
static bool walk_segments(struct walk *w)
{
    cmp_ref first = w->p.segment;
    for (int i = 0; i < MANY_SEGMENTS && ref_of(w->p.segment) != ref_of(w->last.segment); i++) {
        if (!find_walked(w))
            return is_first_left(w, first);
        w->p.segment = load64_acquire(&w->segment->next);
        uint64_t cap = load64_acquire(&w->segment->next_cap);
        w->p.cap = (uint32_t)cap;
        if (is_first_left(w, first))
            return true;
        if (w->p.segment == 0 || !is_cap(cap, w->p.segment))
            return false;
        w->visit(w->arg, w->p.segment);
    }
    return false;
}

/* The record of item i.  False: get has gone past it, or it is damaged. */
static bool walk_record(struct walk *w, uint64_t i, struct cmp_record *h, cmp_ref *refs)
{
    struct cmp_strip strip = strip_of(w->segment, w->p.cap);
    uint64_t length = cmp_record_look(&strip, w->p.at, w->p.cap, h, refs);
    bool leads_on = length > 0 && h->kind == CMP_RECORD_NEXT;
    uint64_t number = leads_on ? cmp_record_number(&strip, w->p.at, h) : 0;
    if (length == 0 || cmp_queue_items(load64_seqcst(&w->c->get.at)) > i)
        return false;
    for (uint32_t j = 0; j < h->n_refs; j++)
        w->visit(w->arg, refs[j]);
    w->p.at += length;
    if (!leads_on)
        return true;
    w->p.segment = refs[0];
    w->p.cap = (uint32_t)number;
    return refs[0] != 0 && is_cap(number, refs[0]) && find_walked(w);
}

/* All records.  Whether get was quicker. */
static bool walk_records(struct walk *w)
{
    struct cmp_record h;
    cmp_ref refs[CMP_RECORD_REFS];
    if (!find_walked(w))
        return load64_seqcst(&w->c->get.at) != w->at;
    for (uint64_t i = cmp_queue_items(w->at); (int64_t)(w->end - i) > 0; i++)
        do
            if (!walk_record(w, i, &h, refs))
                return cmp_queue_items(load64_seqcst(&w->c->get.at)) > i;
        while (h.kind == CMP_RECORD_PAD || h.kind == CMP_RECORD_NEXT);
    return false;
}

void cmp_queue_each_ref(struct cmp_queue_cell *c, uint32_t cell_bytes,
                        void (*visit)(void *arg, cmp_ref ref), void *arg)
{
    struct walk w = {.c = c, .visit = visit, .arg = arg};
    uint64_t put;
    bool again = true;

    while (again && cell_bytes >= CELL_BYTES) {
        if (!see_place(&c->get, c->get_place, &w.at, &w.p))
            return; /* not formatted yet, or damaged */
        /* SYNC seq_cst: what is put after this look was touched after it, see object.h. */
        if (!see_place(&c->put, c->put_place, &put, &w.last))
            return;
        w.end = cmp_queue_items(put);
        if (w.p.segment != 0)
            visit(arg, w.p.segment);
        again = load_seqcst(&c->has_refs) != 0 ? walk_records(&w) : walk_segments(&w);
    }
}

struct quest {
    cmp_ref ref;
    bool found;
};

static void compare_ref(void *arg, cmp_ref ref)
{
    struct quest *quest = arg;
    quest->found |= ref_of(ref) == quest->ref;
}

bool cmp_queue_names(struct cmp_queue_cell *c, uint32_t cell_bytes, cmp_ref ref)
{
    struct quest quest = {.ref = ref};
    if (load_seqcst(&c->has_refs) != 0)
        cmp_queue_each_ref(c, cell_bytes, compare_ref, &quest);
    return quest.found;
}

bool cmp_queue_has_refs(struct cmp_queue_cell *c)
{
    return load_relaxed(&c->has_refs) != 0 || load64_relaxed(&c->put_place[0].segment) != 0 ||
           load64_relaxed(&c->put_place[1].segment) != 0;
}

const char *cmp_queue_check(struct cmp_queue_cell *c, uint32_t cell_bytes)
{
    struct place get, put;
    uint64_t got, at;
    if (load64_seqcst(&c->put_place[0].cap) == 0)
        return NULL; /* not formatted yet */
    if (cell_bytes < CELL_BYTES)
        return "a queue in a cell that is too small";
    if (!see_place(&c->get, c->get_place, &got, &get) || !see_place(&c->put, c->put_place, &at, &put))
        return "a queue has a place that cannot be";
    if ((int64_t)(cmp_queue_items(at) - cmp_queue_items(got)) < 0 || put.at < get.at)
        return "more was got from a queue than was put";
    if (load_seqcst(&c->shut) & ~CMP_SHUT)
        return "a queue is neither shut nor not";
    const char *what = cmp_tasks_check(&c->tasks);
    if (what == NULL)
        what = cmp_side_check(&c->put);
    return what != NULL ? what : cmp_side_check(&c->get);
}
