/* ring.c -- records: writing, reading, taking out.

   Longer than most: who puts, who gets and who looks from outside rely on each other's order
   of accesses to one layout, and are to be read side by side.  */
#include "ring.h"
#include <string.h>
#include "block.h"
#include "owner.h"

enum kind { PAD = 1, PLAIN, BLOCK };

#define HUSH_NS INT64_C(100000000) /* for one who puts and was preempted, as his byte woke us */

/* What the bell says: nothing; or that there are messages; or that too, though it may be false. */
enum { SILENT, TOLD, STALE };

static struct cmp_spin spin_put, spin_get;

void cmp_ring_init(struct cmp_ring *r)
{
    memset(r, 0, sizeof *r);
    store_relaxed(&r->bell, TOLD);
}

/* ---- records ----------------------------------------------------------------------------- */

struct record {
    uint32_t bytes;
    uint32_t tag;
    uint32_t n_refs;
    uint32_t kind;
};

static uint64_t word_of(const struct record *h)
{
    return (uint64_t)h->bytes << 32 | (h->tag & 0xffff) << 16 | h->n_refs << 8 | h->kind;
}

static struct record record_of(uint64_t word)
{
    return (struct record){(uint32_t)(word >> 32), (uint32_t)word >> 16,
                           (uint32_t)word >> 8 & 0xff, (uint32_t)word & 0xff};
}

static uint64_t length_of(const struct record *h)
{
    return 8 + 8 * (uint64_t)h->n_refs + (((uint64_t)h->bytes + 7) & ~UINT64_C(7));
}

static cmp_word64 *word_at(const struct cmp_port *p, uint64_t at)
{
    return &p->ring->words[(at & (p->cap - 1)) / 8];
}

static uint64_t to_end(const struct cmp_port *p, uint64_t at)
{
    return p->cap - (at & (p->cap - 1));
}

static bool is_position(const struct cmp_port *p, uint64_t head, uint64_t tail)
{
    return tail - head <= p->cap && (head | tail) % 8 == 0;
}

/* Whether a record can be that, with so many bytes of the ring from its beginning on. */
static bool is_sound(const struct cmp_port *p, const struct record *h, uint64_t at, uint64_t n)
{
    uint64_t length = length_of(h);
    if (h->kind == PAD)
        return h->n_refs == 0 && length == to_end(p, at) && length < n;
    return (h->kind == PLAIN || (h->kind == BLOCK && h->n_refs > 0 && h->bytes == 8)) &&
           h->n_refs <= CMP_RECORD_REFS && length <= p->cap / 4 && length <= to_end(p, at) &&
           length <= n;
}

/* ---- put ------------------------------------------------------------------------------------ */

struct put {
    const struct cmp_port *port;
    const struct cmp_outgoing *m;
    struct record record;
    cmp_ref refs[CMP_RECORD_REFS]; /* that go into the record, the block first */
};

/* What it takes, with the PAD before it. */
static uint64_t room_for(const struct put *op, uint64_t at)
{
    uint64_t length = length_of(&op->record), left = to_end(op->port, at);
    return length > left ? left + length : length;
}

static bool has_room(void *arg)
{
    struct put *op = arg;
    struct cmp_ring *r = op->port->ring;
    uint64_t head = load64_seqcst(&r->get.at), tail = load64_seqcst(&r->put.at);
    return room_for(op, tail) + (tail - head) <= op->port->cap || !is_position(op->port, head, tail);
}

static void write_parts(char *to, const struct cmp_outgoing *m)
{
    for (int i = 0; i < m->n_parts; i++)
        if (m->parts[i].n > 0) {
            memcpy(to, m->parts[i].bytes, m->parts[i].n);
            to += m->parts[i].n;
        }
}

static void write_record(struct put *op, uint64_t at)
{
    const struct cmp_port *p = op->port;
    if (length_of(&op->record) > to_end(p, at)) {
        struct record pad = {.bytes = (uint32_t)to_end(p, at) - 8, .kind = PAD};
        store64_release(word_at(p, at), word_of(&pad));
        at += to_end(p, at);
    }
    /* SYNC release: after the look at where get is; pairs with visit_record. */
    store64_release(word_at(p, at), word_of(&op->record));
    cmp_word64 *payload = word_at(p, at + 8) + op->record.n_refs;
    if (op->record.kind == BLOCK)
        store64_relaxed(payload, op->m->bytes);
    else
        write_parts((char *)(void *)payload, op->m);
    CMP_HOOK("ring.put.written");
}

/* Behind the PAD, if there is one. */
static cmp_word64 *refs_at(struct put *op, uint64_t at)
{
    if (length_of(&op->record) > to_end(op->port, at))
        at += to_end(op->port, at);
    return word_at(op->port, at) + 1;
}

/* The process lock is held over the commit: nobody here sees an object both in the record and
   in the sender's hands, so a cell that the receiver has freed is taken only after that.  */
static int commit_with_refs(struct put *op, uint64_t at, uint64_t end)
{
    struct cmp_ring *r = op->port->ring;
    cmp_ref named[CMP_RECORD_REFS];
    int n = (int)op->record.n_refs;

    store_seqcst(&r->has_refs, 1);
    cmp_process_lock();
    int rc = cmp_object_leave(op->refs, n, named);
    if (rc == 0) {
        cmp_word64 *refs = refs_at(op, at);
        for (int i = 0; i < n; i++)
            store64_relaxed(&refs[i], named[i]);
        CMP_HOOK("ring.put.refs");
        cmp_side_publish(&r->put, &r->get, end);
        cmp_object_left(op->refs, n);
    }
    cmp_process_unlock();
    if (rc == 0)
        cmp_side_announce(&r->put, &r->get);
    return rc;
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
    write_record(op, at);
    int rc = 0;
    if (op->record.n_refs > 0)
        rc = commit_with_refs(op, at, at + need);
    else
        cmp_side_commit(&r->put, &r->get, at + need);
    if (rc == 0)
        strike_bell(op->port);
    return rc;
}

static uint64_t sum_of(const struct cmp_outgoing *m)
{
    uint64_t n = 0;
    for (int i = 0; i < m->n_parts; i++)
        n += m->parts[i].n;
    return n;
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

static int put_block(struct put *op, cmp_ref block, int64_t deadline_ns)
{
    op->record.kind = BLOCK;
    op->record.bytes = 8;
    op->record.n_refs++;
    op->refs[0] = block;
    return put_prepared(op, deadline_ns);
}

/* The copy is made where nobody waits for it. */
static int put_copied(struct put *op, int64_t deadline_ns)
{
    struct cmp_outgoing by_block = *op->m;
    cmp_ref block;
    void *cell, *data;

    int rc = cmp_block_create(by_block.bytes, false, &block, &cell, &data);
    if (rc < 0)
        return rc;
    write_parts(data, op->m);
    op->m = &by_block;
    rc = put_block(op, block, deadline_ns);
    if (rc < 0)
        cmp_object_drop(block);
    return rc;
}

int cmp_ring_put(const struct cmp_port *p, const struct cmp_outgoing *m, int64_t deadline_ns)
{
    struct cmp_outgoing summed = *m;
    struct put op = {.port = p, .m = &summed};

    if (m->n_refs < 0 || m->n_refs >= CMP_RECORD_REFS)
        return -E2BIG;
    if (p->peer != NULL && !cmp_peer_is_there(p->peer))
        return -EPIPE;
    for (int i = 0; i < m->n_refs; i++)
        op.refs[i + 1] = m->refs[i];
    op.record = (struct record){.tag = m->tag, .n_refs = (uint32_t)m->n_refs, .kind = PLAIN};
    if (m->block != 0)
        return put_block(&op, m->block, deadline_ns);
    summed.bytes = sum_of(m);
    if (summed.bytes + 8 * ((uint64_t)m->n_refs + 1) > p->cap / 4)
        return put_copied(&op, deadline_ns);
    op.record.bytes = (uint32_t)summed.bytes;
    memmove(op.refs, op.refs + 1, (size_t)m->n_refs * sizeof op.refs[0]);
    return put_prepared(&op, deadline_ns);
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
static int find_record(const struct cmp_port *p, uint64_t *at, struct record *h)
{
    struct cmp_ring *r = p->ring;
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
    *h = record_of(load64_relaxed(word_at(p, *at)));
    if (h->kind == PAD && is_sound(p, h, *at, tail - *at)) {
        *at += to_end(p, *at);
        *h = record_of(load64_relaxed(word_at(p, *at)));
        if (h->kind == PAD)
            return -EUCLEAN;
    }
    return is_sound(p, h, *at, tail - *at) ? 0 : -EUCLEAN;
}

static void read_refs(struct cmp_incoming *m, cmp_word64 *from, const struct record *h)
{
    m->n_refs = (int)h->n_refs;
    for (int i = 0; i < m->n_refs; i++)
        m->refs[i] = load64_relaxed(&from[i]);
}

static int read_record(struct get *op, uint64_t at, const struct record *h)
{
    struct cmp_incoming *m = op->m;
    cmp_word64 *refs = word_at(op->port, at) + 1;
    int rc = 0;

    *m = (struct cmp_incoming){.bytes = h->bytes, .tag = (uint16_t)h->tag, .data = op->buffer};
    if (h->kind == BLOCK)
        m->bytes = load64_relaxed(&refs[h->n_refs]);
    else
        memcpy(op->buffer, (char *)(void *)(refs + h->n_refs), h->bytes);
    CMP_HOOK("ring.get.copied");
    if (h->n_refs > 0) {
        read_refs(m, refs, h);
        rc = cmp_object_arrive(m->refs, m->n_refs);
        CMP_HOOK("ring.get.arrived");
    }
    if (rc < 0)
        m->n_refs = 0;
    for (int i = 0; i < m->n_refs; i++)
        m->refs[i] &= ~CMP_REF_ALONE;
    if (rc == 0 && h->kind == BLOCK) {
        m->block = m->refs[0];
        memmove(m->refs, m->refs + 1, (size_t)--m->n_refs * sizeof m->refs[0]);
    }
    return rc;
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

static bool is_damage(int rc)
{
    return rc == -ESTALE || rc == -EINVAL;
}

static int get_locked(void *arg)
{
    struct get *op = arg;
    struct cmp_ring *r = op->port->ring;
    struct record h;
    uint64_t at;

    int rc = find_record(op->port, &at, &h);
    if (rc < 0)
        return rc;
    rc = read_record(op, at, &h);
    if (rc < 0 && !is_damage(rc))
        return rc;
    cmp_side_commit(&r->get, &r->put, at + length_of(&h));
    hush_if_empty(op->port);
    return rc < 0 ? -ESTALE : 0;
}

/* Whatever its size: a large block may have a short message. */
static int take_block(cmp_ref ref, uint64_t bytes, void **data)
{
    int rc = cmp_block_take(ref, (size_t)bytes, data);
    return rc == -EINVAL && bytes <= CMP_BLOCK_SMALL_MAX
               ? cmp_block_take(ref, CMP_BLOCK_SMALL_MAX + 1, data) : rc;
}

/* Where the data of a block are.  It is held.  */
static int open_block(struct cmp_incoming *m)
{
    void *data;
    if (m->block == 0)
        return 0;
    if (take_block(m->block, m->bytes, &data) < 0) {
        cmp_incoming_drop(m);
        return -ESTALE;
    }
    cmp_object_drop(m->block); /* once is enough */
    m->data = data;
    return 0;
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
    return rc < 0 ? rc : open_block(m);
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
    struct record h;
    uint64_t at;

    int rc = find_record(op->port, &at, &h);
    if (rc == 0)
        op->m->bytes = h.kind == BLOCK ? load64_relaxed(word_at(op->port, at) + 1 + h.n_refs)
                                       : h.bytes;
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

void cmp_incoming_drop(struct cmp_incoming *m)
{
    if (m->block != 0)
        cmp_object_drop(m->block);
    for (int i = 0; i < m->n_refs; i++)
        cmp_object_drop(m->refs[i]);
    m->block = 0;
    m->n_refs = 0;
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
    cmp_ref refs[CMP_RECORD_REFS];
    /* SYNC acquire: before the look at the position; who overwrites it has seen that
       position go on.  (By a payload: so on machines where all see a store at once.)  */
    struct record h = record_of(load64_acquire(word_at(p, at)));
    if (!is_sound(p, &h, at, tail - at))
        return 0;
    for (uint32_t i = 0; i < h.n_refs; i++)
        refs[i] = load64_acquire(word_at(p, at) + 1 + i);
    if (load64_seqcst(&p->ring->get.at) > at)
        return 0;
    for (uint32_t i = 0; i < h.n_refs; i++)
        visit(arg, refs[i]);
    return length_of(&h);
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
