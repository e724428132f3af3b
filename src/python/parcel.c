/* parcel.c -- see parcel.h.  */
#include "parcel.h"
#include <string.h>
#include "connection.h"
#include "../core/block.h"

#define NO_GIL_FROM ((size_t)1 << 17) /* more bytes may take a while to have and to copy */
#define TINY 128                      /* bytes, for which a block is not worth while */
#define CHARGE 64 /* bytes in a block for one byte of the ring */
#define WAITED_FROM ((size_t)1 << 21) /* more bytes must have been received for send() to return */

enum tag { BYTES, OBJECT, BYTES_OUT, OBJECT_OUT, N_TAGS };

static const char padding[CMP_RING_MAX / 4];

void pycmp_copy(void *to, const void *from, size_t n)
{
    if (n < NO_GIL_FROM) {
        memcpy(to, from, n);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    memcpy(to, from, n);
    Py_END_ALLOW_THREADS
}

/* ---- sending ----------------------------------------------------------------------------- */

/* What goes by a record: in it, or in a block.  */
struct contents {
    const void *data; /* bytes */
    struct pycmp_message *m; /* or an object */
    size_t total;
    struct pycmp_cargo *cargo; /* NULL: none */
};

static int n_refs_of(const struct contents *c)
{
    return c->cargo == NULL ? 0 : c->cargo->n;
}

struct put_op {
    struct cmp_channel_end *end;
    struct cmp_outgoing m;
};

struct got_op {
    const struct cmp_port *port;
    uint64_t end;
};

static int put_op(void *arg, int64_t deadline_ns)
{
    struct put_op *op = arg;
    return cmp_channel_put(op->end, &op->m, deadline_ns);
}

/* All that is named is the record's, once it was put.  */
static int put(struct put_op *op, struct pycmp_cargo *cargo)
{
    int rc = pycmp_block_open(op->end, put_op, op, CMP_FOREVER);
    if (rc == 0) {
        if (cargo != NULL)
            cargo->n = 0;
        return 0;
    }
    pycmp_raise(rc);
    return -1;
}

static int got_op(void *arg, int64_t deadline_ns)
{
    struct got_op *op = arg;
    return cmp_ring_wait_got(op->port, op->end, deadline_ns);
}

/* Wait until all that was sent so far has been received.  */
static int wait_got(struct cmp_channel_end *end)
{
    struct got_op op = {&end->out, cmp_ring_end(&end->out)};
    int rc = pycmp_block_open(end, got_op, &op, CMP_FOREVER);
    if (rc == 0)
        return 0;
    pycmp_raise(rc);
    return -1;
}

static int put_plain(struct cmp_channel_end *end, enum tag tag, const struct contents *c)
{
    struct cmp_part part = {c->data, c->total};
    struct put_op op = {end, {.parts = &part, .n_parts = 1, .n_refs = n_refs_of(c),
                              .tag = (uint16_t)tag}};
    if (c->cargo != NULL)
        op.m.refs = c->cargo->refs;
    return put(&op, c->cargo);
}

static bool goes_plain(const struct cmp_channel_end *end, const struct contents *c)
{
    size_t n = c->total + (size_t)n_refs_of(c) * sizeof(cmp_ref);
    return n <= cmp_ring_plain_max(end->out.cap) &&
           (n <= TINY || cmp_ring_fill(end->out.ring) <= end->out.cap / 2);
}

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* The number of buffers, then so many lengths and one.  */
static size_t table_bytes(size_t n_buffers)
{
    return aligned((n_buffers + 2) * sizeof(uint64_t));
}

static size_t total_of(const struct pycmp_message *m)
{
    size_t n = table_bytes(m->n_buffers) + aligned(m->used);
    for (size_t i = 0; i < m->n_buffers; i++)
        n += aligned(pycmp_buffer_bytes(m, i));
    return n;
}

static void fill_object(const struct pycmp_message *m, char *to)
{
    uint64_t *table = (uint64_t *)(void *)to;
    char *at = to + table_bytes(m->n_buffers);

    table[0] = m->n_buffers;
    table[1] = m->used;
    memcpy(at, m->head, m->used);
    at += aligned(m->used);
    for (size_t i = 0; i < m->n_buffers; i++) {
        table[i + 2] = pycmp_buffer_bytes(m, i);
        pycmp_buffer_copy(m, i, at);
        at += aligned(table[i + 2]);
    }
}

static int make_block(const struct contents *c, cmp_ref *block)
{
    void *cell, *data;
    int rc = cmp_block_create(c->total, false, block, &cell, &data);
    if (rc < 0)
        return rc;
    if (c->m != NULL)
        fill_object(c->m, data);
    else
        memcpy(data, c->data, c->total);
    return 0;
}

static int raise_no_block(size_t n, int rc)
{
    if (rc == -ENOMEM || rc == -EFBIG)
        PyErr_Format(PyExc_MemoryError, "%zu bytes of shared memory for a message cannot be had: %s", n,
                     rc == -EFBIG ? "they would exceed the limit of the size of files (ulimit -f)"
                                  : "send less at a time, or raise the limit of memory (of the "
                                    "machine, its control group, ulimit -v)");
    else if (rc == -EBADF)
        pycmp_raise_closed();
    else
        pycmp_raise(rc);
    return -1;
}

static void drop_block(cmp_ref block, size_t n)
{
    if (n < NO_GIL_FROM) {
        cmp_object_drop(block);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    cmp_object_drop(block);
    Py_END_ALLOW_THREADS
}

static size_t padding_for(const struct cmp_channel_end *end, const struct contents *c)
{
    size_t words = 2 + (size_t)n_refs_of(c); /* the total, and references */
    size_t most = cmp_ring_plain_max(end->out.cap) - words * sizeof(uint64_t);
    if (c->total <= most)
        return 0;
    return c->total / CHARGE < most ? c->total / CHARGE : most;
}

static int put_block(struct cmp_channel_end *end, enum tag tag, const struct contents *c)
{
    uint64_t total = c->total;
    cmp_ref refs[1 + PYCMP_CARGO_MAX];
    int rc;

    if (total < NO_GIL_FROM)
        rc = make_block(c, &refs[0]);
    else {
        Py_BEGIN_ALLOW_THREADS
        rc = make_block(c, &refs[0]);
        Py_END_ALLOW_THREADS
    }
    if (rc < 0)
        return raise_no_block(c->total, rc);
    if (c->cargo != NULL)
        memcpy(refs + 1, c->cargo->refs, (size_t)c->cargo->n * sizeof refs[0]);
    struct cmp_part parts[] = {{&total, sizeof total}, {padding, padding_for(end, c)}};
    struct put_op op = {end, {.parts = parts, .n_parts = 2, .refs = refs,
                              .n_refs = 1 + n_refs_of(c), .tag = (uint16_t)tag}};
    if (put(&op, c->cargo) == 0)
        return total > WAITED_FROM ? wait_got(end) : 0;
    drop_block(refs[0], c->total);
    return -1;
}

int pycmp_send_bytes(struct cmp_channel_end *end, const void *data, size_t n)
{
    struct contents c = {.data = data, .total = n};
    return goes_plain(end, &c) ? put_plain(end, BYTES, &c) : put_block(end, BYTES_OUT, &c);
}

int pycmp_send_message(struct cmp_channel_end *end, struct pycmp_message *m)
{
    struct contents c = {.data = m->head, .total = m->used, .cargo = m->cargo};
    if (m->n_buffers == 0 && goes_plain(end, &c))
        return put_plain(end, OBJECT, &c);
    c.m = m;
    c.total = total_of(m);
    return put_block(end, OBJECT_OUT, &c);
}

/* ---- receiving ------------------------------------------------------------------------------ */

struct get_op {
    struct cmp_channel_end *end;
    void *buffer;
    struct cmp_incoming *in;
};

static int get_op(void *arg, int64_t deadline_ns)
{
    struct get_op *op = arg;
    return cmp_ring_get(&op->end->in, op->buffer, op->in, deadline_ns);
}

static int raise_damaged(pycmp_state *st)
{
    PyErr_SetString(st->UnpicklingError, "a message was damaged in shared memory, and is lost; those "
                                         "after it are not");
    return -1;
}

static int raise_get(pycmp_state *st, int rc)
{
    if (rc == -EPIPE)
        PyErr_SetNone(PyExc_EOFError);
    else if (rc == -ESTALE)
        raise_damaged(st);
    else
        pycmp_raise(rc);
    return -1;
}

/* The parts of an object in a block of n bytes.  Each length is read once.  */
static int find_parts(struct pycmp_parcel *p, const char *data, size_t n)
{
    const volatile uint64_t *table = (const volatile uint64_t *)(const void *)data;
    size_t n_buffers = n < 2 * sizeof *table ? SIZE_MAX : table[0];

    if (n_buffers > n / sizeof *table || table_bytes(n_buffers) > n)
        return -ESTALE;
    p->buffers = PyMem_RawMalloc((n_buffers + 1) * sizeof *p->buffers);
    if (p->buffers == NULL)
        return -ENOMEM;
    size_t at = table_bytes(n_buffers);
    for (size_t i = 0; i <= n_buffers; i++) {
        uint64_t length = table[i + 1];
        if (length > n - at || aligned(length) > n - at)
            return -ESTALE;
        p->buffers[i] = (struct cmp_span){data + at, length};
        at += aligned(length);
    }
    p->data = p->buffers[0].data;
    p->n = p->buffers[0].n;
    p->n_buffers = n_buffers;
    return 0;
}

/* Of a message in a block.  */
static int open_block(struct pycmp_parcel *p, bool is_object)
{
    void *data;
    uint64_t total;

    if (p->in.n_refs < 1 || p->in.bytes < sizeof total)
        return -ESTALE;
    memcpy(&total, p->in.data, sizeof total);
    if (cmp_block_take(p->in.refs[0], total, &data) < 0)
        return -ESTALE;
    cmp_object_drop(p->in.refs[0]); /* once is enough */
    if (is_object)
        return find_parts(p, data, total);
    p->data = data;
    p->n = total;
    return 0;
}

static int open_parcel(struct pycmp_parcel *p)
{
    p->is_object = p->in.tag == OBJECT || p->in.tag == OBJECT_OUT;
    p->data = p->in.data;
    p->n = p->in.bytes;
    if (p->in.tag >= N_TAGS)
        return -ESTALE;
    return p->in.tag < BYTES_OUT ? 0 : open_block(p, p->is_object);
}

int pycmp_receive(pycmp_state *st, struct cmp_channel_end *end, void *buffer,
                  struct pycmp_parcel *p)
{
    struct get_op op = {end, buffer, &p->in};

    int rc = pycmp_block_open(end, get_op, &op, CMP_FOREVER);
    if (rc < 0)
        return raise_get(st, rc);
    p->buffers = NULL;
    p->n_buffers = 0;
    rc = open_parcel(p);
    if (rc == 0)
        return 0;
    pycmp_parcel_release(p);
    return raise_get(st, rc);
}

/* Behind the block, if there is one.  */
static int first_named(const struct pycmp_parcel *p)
{
    return p->in.tag == OBJECT_OUT || p->in.tag == BYTES_OUT;
}

int pycmp_parcel_begin(const struct pycmp_parcel *p, struct pycmp_arrival **arrival)
{
    int first = first_named(p);
    *arrival = NULL;
    if (p->in.n_refs <= first)
        return 0;
    *arrival = pycmp_arrival_begin(p->in.refs + first, p->in.n_refs - first);
    return *arrival == NULL ? -1 : 0;
}

void pycmp_parcel_end(struct pycmp_parcel *p, struct pycmp_arrival *arrival, bool was_read)
{
    int first = first_named(p);
    if (arrival == NULL)
        return;
    int n = pycmp_arrival_end(arrival, p->in.refs + first);
    if (was_read)
        p->in.n_refs = first + n;
}

/* Ends of pipes may be among them.  */
static void drop_all(struct pycmp_parcel *p)
{
    cmp_channel_drop(p->in.refs, p->in.n_refs);
    p->in.n_refs = 0;
    cmp_incoming_drop(&p->in);
}

void pycmp_parcel_release(struct pycmp_parcel *p)
{
    PyMem_RawFree(p->buffers);
    if (p->in.n_refs == 0 && p->in.block == 0)
        return;
    if (p->n < NO_GIL_FROM && p->n_buffers == 0 && p->in.n_refs <= first_named(p)) {
        drop_all(p);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    drop_all(p);
    Py_END_ALLOW_THREADS
}
