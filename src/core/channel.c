#include "channel.h"
#include <string.h>

static size_t bytes_of(uint32_t n_rings, uint32_t cap)
{
    return sizeof(struct cmp_channel) + n_rings * cmp_ring_bytes(cap);
}

static bool read_shape(struct cmp_channel *c, size_t cell_bytes, struct cmp_channel_shape *s)
{
    s->n_rings = *(volatile uint32_t *)&c->n_rings;
    s->cap = *(volatile uint32_t *)&c->cap;
    return (s->n_rings == 1 || s->n_rings == 2) && cmp_ring_cap_is_sound(s->cap) &&
           bytes_of(s->n_rings, s->cap) <= cell_bytes;
}

static struct cmp_ring *ring_at(struct cmp_channel *c, const struct cmp_channel_shape *s, uint32_t i)
{
    return (struct cmp_ring *)(void *)((char *)(c + 1) + i * cmp_ring_bytes(s->cap));
}

/* ---- create ------------------------------------------------------------------------------ */

static int create_end(cmp_ref channel, uint32_t number, cmp_ref *ref)
{
    void *cell;
    int rc = cmp_object_create(CMP_TYPE_END, sizeof(struct cmp_channel_end_cell), ref, &cell);
    if (rc < 0)
        return rc;
    struct cmp_channel_end_cell *end = cell;
    store64_relaxed(&end->channel, 0);
    end->number = number;
    cmp_object_hold(channel);
    if (cmp_object_link(&end->channel, channel))
        return 0;
    cmp_object_drop(channel);
    cmp_object_drop(*ref);
    return -EUCLEAN;
}

static int create_ends(cmp_ref channel, struct cmp_channel *c, cmp_ref ends[2])
{
    int rc = create_end(channel, 0, &ends[0]);
    if (rc < 0)
        return rc;
    CMP_HOOK("channel.create.linked");
    rc = create_end(channel, 1, &ends[1]);
    if (rc < 0) {
        cmp_object_drop(ends[0]);
        return rc;
    }
    store64_relaxed(&c->end[0], ends[0]);
    store64_relaxed(&c->end[1], ends[1]);
    return 0;
}

int cmp_channel_create(bool duplex, uint32_t cap, cmp_ref ends[2])
{
    struct cmp_channel_shape s = {duplex ? 2 : 1, cap};
    cmp_ref ref;
    void *cell;

    if (!cmp_ring_cap_is_sound(cap))
        return -EINVAL;
    int rc = cmp_object_create(CMP_TYPE_CHANNEL, bytes_of(s.n_rings, cap), &ref, &cell);
    if (rc < 0)
        return rc;
    CMP_HOOK("channel.create.made");
    struct cmp_channel *c = cell;
    memset(c, 0, sizeof *c);
    for (uint32_t i = 0; i < s.n_rings; i++)
        cmp_ring_init(ring_at(c, &s, i));
    c->n_rings = s.n_rings;
    c->cap = cap;
    rc = create_ends(ref, c, ends);
    cmp_object_drop(ref); /* the ends link it */
    return rc;
}

/* ---- open and close ------------------------------------------------------------------------ */

static struct cmp_port port_of(struct cmp_channel_end *end, const struct cmp_channel_shape *s, uint32_t putter)
{
    if (s->n_rings == 1 && putter == 0)
        return (struct cmp_port){0};
    return (struct cmp_port){ring_at(end->channel, s, s->n_rings == 1 ? 0 : putter), s->cap,
                             &end->peer, NULL};
}

/* Hold the channel of an end, of which the caller has a hold: it names the channel meanwhile, as
   a record would.  0; -EUCLEAN: it has none; or another -errno.  */
static int grip(struct cmp_channel_end_cell *cell, struct cmp_moved *g)
{
    uint32_t bytes;
    cmp_ref ref = load64_seqcst(&cell->channel);
    g->ref = 0;
    g->channel = cmp_object_linked_bytes(ref, CMP_TYPE_CHANNEL, &bytes);
    if (g->channel == NULL || !read_shape(g->channel, bytes, &g->shape))
        return -EUCLEAN;
    int rc = cmp_object_arrive(&ref, 1);
    if (rc < 0)
        return rc == -ESTALE || rc == -EINVAL ? -EUCLEAN : rc;
    g->ref = ref;
    return 0;
}

/* The cell of an end, its hold being the caller's. */
static int open_cell(struct cmp_channel_end_cell *cell, cmp_ref ref, struct cmp_channel_end *end)
{
    struct cmp_moved g;
    uint32_t number = *(volatile uint32_t *)&cell->number;

    if (number > 1)
        return -EUCLEAN;
    int rc = grip(cell, &g);
    if (rc < 0)
        return rc;
    *end = (struct cmp_channel_end){.ref = ref, .channel_ref = g.ref, .channel = g.channel};
    cmp_peer_init(&end->peer, load64_relaxed(&end->channel->end[1 - number]),
                  &end->channel->closes);
    end->out = port_of(end, &g.shape, number);
    end->in = port_of(end, &g.shape, 1 - number);
    return 0;
}

int cmp_channel_take(cmp_ref ref, struct cmp_channel_end *end)
{
    void *cell;
    int rc = cmp_object_take(ref, CMP_TYPE_END, &cell);
    if (rc < 0)
        return rc;
    rc = open_cell(cell, ref, end);
    if (rc < 0)
        cmp_object_drop(ref);
    return rc;
}

int cmp_channel_open(cmp_ref ref, struct cmp_channel_end *end)
{
    int rc = cmp_channel_take(ref, end);
    if (rc == 0)
        cmp_object_drop(ref); /* once more than it shall be held */
    return rc;
}

/* All who wait in a channel look again, which this process holds for that.  */
static void rouse_all(struct cmp_channel *c, const struct cmp_channel_shape *s)
{
    /* SYNC seq_cst: after the bit of the end, before the looks at who sleeps; pairs with
       cmp_peer_look. */
    add_seqcst(&c->closes, 1);
    CMP_HOOK("peer.close.counted");
    for (uint32_t i = 0; i < s->n_rings; i++) {
        cmp_side_rouse(&ring_at(c, s, i)->get);
        cmp_side_rouse(&ring_at(c, s, i)->put);
    }
    CMP_HOOK("peer.close.woke");
}

void cmp_channel_close(struct cmp_channel_end *end)
{
    bool both = end->in.ring != NULL && end->out.ring != NULL;
    struct cmp_channel_shape s = {both ? 2 : 1, end->in.ring != NULL ? end->in.cap : end->out.cap};
    cmp_object_drop(end->ref);
    CMP_HOOK("peer.close.dropped");
    rouse_all(end->channel, &s);
    cmp_object_drop(end->channel_ref);
}

/* ---- put -------------------------------------------------------------------------------------- */

/* If it is an end, hold its channel before it is put: nobody can ask later.  0 or -errno.  */
static int note_end(cmp_ref ref, struct cmp_moved *g)
{
    struct cmp_channel_end_cell *cell = cmp_object_linked(ref, CMP_TYPE_END);
    g->ref = 0;
    if (cell == NULL || cmp_object_bytes(ref) == 0) /* not held: the put will say so */
        return 0;
    int rc = grip(cell, g);
    return rc == -EUCLEAN ? 0 : rc; /* nobody can have that open */
}

static void forget_ends(const struct cmp_moved *moved, int n)
{
    for (int i = 0; i < n; i++)
        if (moved[i].ref != 0)
            cmp_object_drop(moved[i].ref);
}

int cmp_channel_note(const cmp_ref *refs, int n, struct cmp_moved *moved)
{
    int rc = 0, i = 0;
    for (; rc == 0 && i < n && i < CMP_RECORD_REFS; i++)
        rc = note_end(refs[i], &moved[i]);
    if (rc < 0)
        forget_ends(moved, i);
    return rc;
}

void cmp_channel_tell(const struct cmp_moved *moved, int n, bool was_put)
{
    for (int i = 0; was_put && i < n; i++)
        if (moved[i].ref != 0)
            rouse_all(moved[i].channel, &moved[i].shape);
    forget_ends(moved, n);
}

int cmp_channel_put(struct cmp_channel_end *end, const struct cmp_outgoing *m, int64_t deadline_ns)
{
    struct cmp_moved moved[CMP_RECORD_REFS];

    if (m->n_refs >= CMP_RECORD_REFS)
        return -E2BIG;
    int rc = cmp_channel_note(m->refs, m->n_refs, moved);
    if (rc < 0)
        return rc;
    rc = cmp_ring_put(&end->out, m, deadline_ns);
    CMP_HOOK("channel.put.done");
    cmp_channel_tell(moved, m->n_refs, rc == 0);
    return rc;
}

void cmp_channel_drop(const cmp_ref *refs, int n)
{
    for (int i = 0; i < n; i++) {
        struct cmp_moved moved;
        note_end(refs[i], &moved);
        cmp_object_drop(refs[i]);
        CMP_HOOK("channel.drop.dropped");
        if (moved.ref != 0)
            rouse_all(moved.channel, &moved.shape);
        forget_ends(&moved, 1);
    }
}

bool cmp_channel_has_peer(struct cmp_channel_end *end)
{
    return cmp_peer_is_there(&end->peer);
}

/* ---- looks -------------------------------------------------------------------------------------- */

void cmp_channel_each_ref(struct cmp_channel *c, uint32_t cell_bytes,
                          void (*visit)(void *arg, cmp_ref ref), void *arg)
{
    struct cmp_channel_shape s;
    if (!read_shape(c, cell_bytes, &s))
        return;
    for (uint32_t i = 0; i < s.n_rings; i++)
        cmp_ring_each_ref(ring_at(c, &s, i), s.cap, visit, arg);
}

struct quest {
    cmp_ref ref;
    bool found;
};

static void compare_ref(void *arg, cmp_ref ref)
{
    struct quest *q = arg;
    q->found |= (ref & ~CMP_REF_ALONE) == q->ref;
}

void cmp_channel_each_taker(struct cmp_channel *c, uint32_t cell_bytes, cmp_ref ref,
                            void (*visit)(void *arg, cmp_ref end), void *arg)
{
    struct cmp_channel_shape s;
    if (!read_shape(c, cell_bytes, &s))
        return;
    for (uint32_t i = 0; i < s.n_rings; i++) {
        struct quest q = {.ref = ref};
        cmp_ring_each_ref(ring_at(c, &s, i), s.cap, compare_ref, &q);
        if (q.found)
            visit(arg, load64_relaxed(&c->end[s.n_rings == 1 ? 0 : 1 - i]));
    }
}

const char *cmp_channel_check(struct cmp_channel *c, uint32_t cell_bytes)
{
    struct cmp_channel_shape s;
    const char *what = NULL;
    if (*(volatile uint32_t *)&c->n_rings == 0 || *(volatile uint32_t *)&c->cap == 0)
        return NULL; /* not formatted yet */
    if (!read_shape(c, cell_bytes, &s))
        return "the channel has not the rings that it says";
    for (uint32_t i = 0; what == NULL && i < s.n_rings; i++)
        what = cmp_ring_check(ring_at(c, &s, i), s.cap);
    return what;
}
