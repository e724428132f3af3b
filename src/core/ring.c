/* ring.c -- room for records, commits, and the bell.

   Longer than most: who puts, who gets and who looks from outside rely on each other's order
   of accesses to one layout, and are to be read side by side.  */
#include "ring.h"
#include <string.h>

#define HUSH_NS INT64_C(100000000) /* for one who puts and was preempted, as his byte woke us */

/* What the bell says: nothing; or that there are messages; or that too, though it may be false. */
enum { SILENT, TOLD, STALE };

static struct cmp_spin spin_put, spin_get;

void cmp_ring_init(struct cmp_ring *r)
{
    memset(r, 0, sizeof *r);
    store_relaxed(&r->bell, TOLD);
}

static struct cmp_strip strip_of(const struct cmp_port *p)
{
    return (struct cmp_strip){p->ring->words, p->cap};
}

static bool is_position(const struct cmp_port *p, uint64_t head, uint64_t tail)
{
    return tail - head <= p->cap && (head | tail) % 8 == 0;
}

/* ---- put ------------------------------------------------------------------------------------ */

struct put {
    const struct cmp_port *port;
    struct cmp_draft draft;
};

/* What it takes, with the PAD before it. */
static uint64_t room_for(const struct put *op, uint64_t at)
{
    struct cmp_strip strip = strip_of(op->port);
    return cmp_strip_room(&strip, at, cmp_record_length(&op->draft.record));
}

static bool has_room(void *arg)
{
    struct put *op = arg;
    struct cmp_ring *r = op->port->ring;
    uint64_t head = load64_seqcst(&r->get.at), tail = load64_seqcst(&r->put.at);
    return room_for(op, tail) + (tail - head) <= op->port->cap || !is_position(op->port, head, tail);
}

static cmp_word64 *write_record(const struct put *op, uint64_t at)
{
    struct cmp_strip strip = strip_of(op->port);
    cmp_word64 *refs = cmp_draft_write(&op->draft, &strip, at);
    CMP_HOOK("ring.put.written");
    return refs;
}

static int commit_with_refs(struct put *op, cmp_word64 *refs, uint64_t end)
{
    struct cmp_ring *r = op->port->ring;
    cmp_word64 *where[CMP_RECORD_REFS];
    int n = (int)op->draft.record.n_refs;

    for (int i = 0; i < n; i++)
        where[i] = &refs[i];
    store_seqcst(&r->has_refs, 1);
    return cmp_record_commit(&r->put, &r->get, end, op->draft.refs, where, n);
}

/* Whether nothing is there.  Requires the lock of one of the sides. */
static bool is_empty(struct cmp_ring *r)
{
    return load64_seqcst(&r->put.at) == load64_seqcst(&r->get.at);
}

/* The byte before the word: killed between them, it leaves a byte too much, not too few. */
static void strike_bell(const struct cmp_port *p)
{
    struct cmp_ring *r = p->ring;
    /* SYNC seq_cst: both after the commit; pairs with cmp_ring_poll and with hush_bell. */
    if (p->bell == NULL || load_seqcst(&r->polled) == 0)
        return;
    if (load_seqcst(&r->bell) != TOLD) {
        p->bell->strike(p->bell->arg);
        CMP_HOOK("ring.bell.struck");
        store_seqcst(&r->bell, TOLD);
    }
    /* SYNC seq_cst: after the word; pairs with hush_bell, where it cannot have our lock. */
    if (is_empty(r))
        store_seqcst(&r->bell, STALE);
}

static int put_locked(void *arg)
{
    struct put *op = arg;
    struct cmp_ring *r = op->port->ring;
    uint64_t at = load64_relaxed(&r->put.at), seen = load64_relaxed(&r->put.seen);
    uint64_t need = room_for(op, at), cap = op->port->cap;

    if (at - seen > cap || at - seen + need > cap) {
        /* SYNC acquire (seq_cst): pairs with the commit of get: it has been copied. */
        seen = load64_seqcst(&r->get.at);
        store64_relaxed(&r->put.seen, seen);
    }
    if (!is_position(op->port, seen, at))
        return -EUCLEAN;
    if (at - seen + need > cap)
        return -EAGAIN;
    cmp_word64 *refs = write_record(op, at);
    int rc = 0;
    if (op->draft.record.n_refs > 0)
        rc = commit_with_refs(op, refs, at + need);
    else
        cmp_side_commit(&r->put, &r->get, at + need);
    if (rc == 0)
        strike_bell(op->port);
    return rc;
}

static int put_prepared(struct put *op, int64_t deadline_ns)
{
    struct cmp_ring *r = op->port->ring;
    struct cmp_turn turn = {
        .side = &r->put, .other = &r->get, .possible = has_room, .act = put_locked, .arg = op,
        .differs = true, .peer = op->port->peer, .spin = &spin_put,
    };
    return cmp_turn_take(&turn, deadline_ns);
}

int cmp_ring_put(const struct cmp_port *p, const struct cmp_outgoing *m, int64_t deadline_ns)
{
    struct put op = {.port = p};

    if (m->n_refs < 0 || m->n_refs >= CMP_RECORD_REFS)
        return -E2BIG;
    if (p->peer != NULL && !cmp_peer_is_there(p->peer))
        return -EPIPE;
    int rc = cmp_draft_make(&op.draft, m, p->cap / 4);
    if (rc < 0)
        return rc;
    rc = put_prepared(&op, deadline_ns);
    if (rc < 0)
        cmp_draft_undo(&op.draft);
    return rc;
}

uint64_t cmp_ring_end(const struct cmp_port *p)
{
    return load64_seqcst(&p->ring->put.at);
}

struct wait_got {
    struct cmp_ring *ring;
    uint64_t end;
    bool damaged;
};

static bool is_got(void *arg)
{
    struct wait_got *op = arg;
    uint64_t head = load64_seqcst(&op->ring->get.at);
    op->damaged = head % 8 != 0;
    return op->damaged || head >= op->end;
}

int cmp_ring_wait_got(const struct cmp_port *p, uint64_t end, int64_t deadline_ns)
{
    struct cmp_ring *r = p->ring;
    struct wait_got op = {r, end, false};
    struct cmp_turn turn = {
        .side = &r->put, .other = &r->get, .possible = is_got, .arg = &op, .differs = true,
        .peer = p->peer, .spin = &spin_put,
    };
    int rc = cmp_turn_take(&turn, deadline_ns);
    return rc == 0 && op.damaged ? -EUCLEAN : rc;
}

/* ---- get ------------------------------------------------------------------------------------- */

struct get {
    const struct cmp_port *port;
    void *buffer;
    struct cmp_incoming *m;
};

static bool has_record(void *arg)
{
    struct cmp_ring *r = ((struct get *)arg)->port->ring;
    uint64_t head = load64_seqcst(&r->get.at);
    return load64_seqcst(&r->put.at) != head;
}

/* The next record, and where it begins, behind the PAD if there is one.  0; -EAGAIN: there
   is none; -EUCLEAN.  Requires the lock. */
static int find_record(const struct cmp_port *p, uint64_t *at, struct cmp_record *h)
{
    struct cmp_ring *r = p->ring;
    struct cmp_strip strip = strip_of(p);
    uint64_t tail = load64_relaxed(&r->get.seen);

    *at = load64_relaxed(&r->get.at);
    if (tail - *at > p->cap || tail == *at) {
        /* SYNC acquire (seq_cst): pairs with the commit of put: the record is whole. */
        tail = load64_seqcst(&r->put.at);
        store64_relaxed(&r->get.seen, tail);
    }
    if (!is_position(p, *at, tail))
        return -EUCLEAN;
    if (tail == *at)
        return -EAGAIN;
    int rc = cmp_record_find(&strip, at, tail - *at, h);
    return rc == 0 && h->kind == CMP_RECORD_NEXT ? -EUCLEAN : rc;
}

static int read_record(struct get *op, uint64_t at, const struct cmp_record *h)
{
    struct cmp_strip strip = strip_of(op->port);
    cmp_record_copy(&strip, at, h, op->buffer, op->m);
    CMP_HOOK("ring.get.copied");
    return cmp_record_arrive(op->m, h);
}

/* The lock of who puts, for one who gets and has his own: no handlers run meanwhile.  */
static bool lock_both(struct cmp_ring *r, int64_t until_ns)
{
    cmp_look_fn look = cmp_wait_look(NULL);
    int rc;
    do
        rc = cmp_mutex_lock(&r->put.lock, until_ns);
    while (rc == -EINTR);
    cmp_wait_look(look);
    return rc == 0 || rc == -EOWNERDEAD;
}

/* If the ring is empty now, so shall be the descriptor.  With both locks: one who puts might
   else add his byte for what was got before that.  One who is stopped there is waited for until
   then; his byte stays, for the next time, and the next message brings one of its own, for
   those who are told of new bytes only.  */
static void hush_bell(const struct cmp_port *p, int64_t until_ns)
{
    struct cmp_ring *r = p->ring;
    if (!lock_both(r, until_ns)) {
        /* SYNC seq_cst: after the commit of get; pairs with strike_bell. */
        store_seqcst(&r->bell, STALE);
        return;
    }
    if (is_empty(r)) {
        /* The word before the bytes, as in strike_bell. */
        store_seqcst(&r->bell, SILENT);
        CMP_HOOK("ring.bell.cleared");
        p->bell->take(p->bell->arg, p->bell->count(p->bell->arg));
        CMP_HOOK("ring.bell.taken");
    }
    cmp_mutex_unlock(&r->put.lock);
}

static void hush_if_empty(const struct cmp_port *p)
{
    struct cmp_ring *r = p->ring;
    if (p->bell != NULL && load_seqcst(&r->polled) != 0 && is_empty(r))
        hush_bell(p, cmp_now_ns() + HUSH_NS);
}

static int get_locked(void *arg)
{
    struct get *op = arg;
    struct cmp_ring *r = op->port->ring;
    struct cmp_record h;
    uint64_t at;

    int rc = find_record(op->port, &at, &h);
    if (rc < 0)
        return rc;
    rc = read_record(op, at, &h);
    if (rc < 0 && !cmp_record_is_damaged(rc))
        return rc;
    cmp_side_commit(&r->get, &r->put, at + cmp_record_length(&h));
    hush_if_empty(op->port);
    return rc < 0 ? -ESTALE : 0;
}

static int get_turn(struct get *op, bool (*possible)(void *), int (*act)(void *),
                    int64_t deadline_ns)
{
    struct cmp_ring *r = op->port->ring;
    struct cmp_turn turn = {
        .side = &r->get, .other = &r->put, .possible = possible, .act = act, .arg = op,
        .peer = op->port->peer, .spin = &spin_get,
    };
    return cmp_turn_take(&turn, deadline_ns);
}

int cmp_ring_get(const struct cmp_port *p, void *buffer, struct cmp_incoming *m,
                 int64_t deadline_ns)
{
    struct get op = {.port = p, .buffer = buffer, .m = m};
    int rc = get_turn(&op, has_record, get_locked, deadline_ns);
    CMP_HOOK("ring.got.out");
    return rc < 0 ? rc : cmp_record_open(m);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

/* Without waiting for anybody who puts. */
static int hush_stale(void *arg)
{
    const struct cmp_port *p = ((struct get *)arg)->port;
    if (is_empty(p->ring))
        hush_bell(p, 0);
    return 0;
}

int cmp_ring_wait(const struct cmp_port *p, int64_t deadline_ns)
{
    struct get op = {.port = p};
    int rc = get_turn(&op, has_record, NULL, deadline_ns);
    if (rc == -ETIMEDOUT && p->bell != NULL && load_relaxed(&p->ring->bell) == STALE)
        get_turn(&op, always, hush_stale, 0);
    return rc;
}

static int hush_locked(void *arg)
{
    hush_if_empty(((struct get *)arg)->port);
    return 0;
}

int cmp_ring_poll(const struct cmp_port *p)
{
    struct get op = {.port = p};
    /* SYNC seq_cst: before the look at the ring; pairs with strike_bell. */
    store_seqcst(&p->ring->polled, 1);
    CMP_HOOK("ring.poll.said");
    int rc = get_turn(&op, always, hush_locked, 0);
    if (rc != -ETIMEDOUT)
        return rc;
    /* One is stopped who gets.  As in hush_bell. */
    store_seqcst(&p->ring->bell, STALE);
    return 0;
}

static int peek_locked(void *arg)
{
    struct get *op = arg;
    struct cmp_strip strip = strip_of(op->port);
    struct cmp_record h;
    uint64_t at;

    int rc = find_record(op->port, &at, &h);
    if (rc == 0)
        op->m->bytes = h.kind == CMP_RECORD_BLOCK ? cmp_record_number(&strip, at, &h) : h.bytes;
    return rc;
}

int cmp_ring_peek(const struct cmp_port *p, uint64_t *bytes, int64_t deadline_ns)
{
    struct cmp_incoming m;
    struct get op = {.port = p, .m = &m};
    int rc = get_turn(&op, has_record, peek_locked, deadline_ns);
    if (rc == 0)
        *bytes = m.bytes;
    return rc;
}

/* ---- looks ------------------------------------------------------------------------------------ */

uint64_t cmp_ring_fill(struct cmp_ring *r)
{
    uint64_t head = load64_seqcst(&r->get.at);
    return load64_seqcst(&r->put.at) - head;
}

/* Read one record, and look whether it was still there after that.  How many bytes on the
   next one is; 0: the ring has gone on meanwhile, or is damaged.  */
static uint64_t visit_record(const struct cmp_port *p, uint64_t at, uint64_t tail,
                             void (*visit)(void *arg, cmp_ref ref), void *arg)
{
    struct cmp_strip strip = strip_of(p);
    cmp_ref refs[CMP_RECORD_REFS];
    struct cmp_record h;
    uint64_t length = cmp_record_look(&strip, at, tail - at, &h, refs);
    if (length == 0 || load64_seqcst(&p->ring->get.at) > at)
        return 0;
    for (uint32_t i = 0; i < h.n_refs; i++)
        visit(arg, refs[i]);
    return length;
}

void cmp_ring_each_ref(struct cmp_ring *r, uint32_t cap,
                       void (*visit)(void *arg, cmp_ref ref), void *arg)
{
    const struct cmp_port p = {.ring = r, .cap = cap};
    if (load_seqcst(&r->has_refs) == 0)
        return;
    /* SYNC seq_cst: what is put after this look was touched after it, see object.h. */
    uint64_t tail = load64_seqcst(&r->put.at), at = load64_seqcst(&r->get.at);
    while (at < tail && is_position(&p, at, tail)) {
        uint64_t length = visit_record(&p, at, tail, visit, arg);
        uint64_t head = load64_seqcst(&r->get.at);
        if (length == 0 && head <= at)
            return; /* damaged */
        at = head > at + length ? head : at + length;
    }
}

const char *cmp_ring_check(struct cmp_ring *r, uint32_t cap)
{
    const struct cmp_port p = {.ring = r, .cap = cap};
    uint64_t head = load64_seqcst(&r->get.at), tail = load64_seqcst(&r->put.at);
    if (load64_seqcst(&r->get.at) == head && !is_position(&p, head, tail))
        return "a ring has positions that cannot be";
    const char *what = cmp_side_check(&r->put);
    return what != NULL ? what : cmp_side_check(&r->get);
}
