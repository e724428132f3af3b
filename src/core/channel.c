#include "channel.h"
#include <string.h>

/* Its shape, read once and believed only if its cell has room for it. */
struct shape {
    uint32_t n_rings;
    uint32_t cap;
};

static size_t bytes_of(uint32_t n_rings, uint32_t cap)
{
    return sizeof(struct cmp_channel) + n_rings * cmp_ring_bytes(cap);
}

static bool read_shape(struct cmp_channel *c, size_t cell_bytes, struct shape *s)
{
    s->n_rings = *(volatile uint32_t *)&c->n_rings;
    s->cap = *(volatile uint32_t *)&c->cap;
    return (s->n_rings == 1 || s->n_rings == 2) && cmp_ring_cap_is_sound(s->cap) &&
           bytes_of(s->n_rings, s->cap) <= cell_bytes;
}

static struct cmp_ring *ring_at(struct cmp_channel *c, const struct shape *s, uint32_t i)
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
    struct shape s = {duplex ? 2 : 1, cap};
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

static struct cmp_port port_of(struct cmp_channel_end *end, const struct shape *s, uint32_t putter)
{
    if (s->n_rings == 1 && putter == 0)
        return (struct cmp_port){0};
    return (struct cmp_port){ring_at(end->channel, s, s->n_rings == 1 ? 0 : putter), s->cap,
                             &end->peer, NULL};
}

/* The cell of an end, its hold being the caller's. */
static int open_cell(struct cmp_channel_end_cell *cell, cmp_ref ref, struct cmp_channel_end *end)
{
    struct shape s;
    uint32_t number = *(volatile uint32_t *)&cell->number;
    cmp_ref channel = load64_seqcst(&cell->channel);
    uint32_t bytes;

    *end = (struct cmp_channel_end){.ref = ref};
    end->channel = cmp_object_linked_bytes(channel, CMP_TYPE_CHANNEL, &bytes);
    if (end->channel == NULL || number > 1 || !read_shape(end->channel, bytes, &s))
        return -EUCLEAN;
    cmp_peer_init(&end->peer, load64_relaxed(&end->channel->end[1 - number]),
                  &end->channel->closes);
    end->out = port_of(end, &s, number);
    end->in = port_of(end, &s, 1 - number);
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

/* All who wait in a channel look again.  The cell keeps its type, whatever becomes of it. */
static void rouse_all(struct cmp_channel *c, const struct shape *s)
{
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
    struct shape s = {both ? 2 : 1, end->in.ring != NULL ? end->in.cap : end->out.cap};
    cmp_object_drop(end->ref);
    CMP_HOOK("peer.close.dropped");
    rouse_all(end->channel, &s);
}

/* ---- put -------------------------------------------------------------------------------------- */

static void note_end(cmp_ref ref, struct cmp_moved *m)
{
    struct cmp_channel_end_cell *cell = cmp_object_linked(ref, CMP_TYPE_END);
    struct shape s = {0};
    uint32_t bytes;
    *m = (struct cmp_moved){0};
    if (cell != NULL)
        m->channel = cmp_object_linked_bytes(load64_seqcst(&cell->channel), CMP_TYPE_CHANNEL, &bytes);
    if (m->channel != NULL && !read_shape(m->channel, bytes, &s))
        m->channel = NULL;
    m->n_rings = s.n_rings;
    m->cap = s.cap;
}

void cmp_channel_note(const cmp_ref *refs, int n, struct cmp_moved *moved)
{
    for (int i = 0; i < n && i < CMP_RECORD_REFS; i++)
        note_end(refs[i], &moved[i]);
}

void cmp_channel_tell(const struct cmp_moved *moved, int n)
{
    for (int i = 0; i < n && i < CMP_RECORD_REFS; i++) {
        struct shape s = {moved[i].n_rings, moved[i].cap};
        if (moved[i].channel != NULL)
            rouse_all(moved[i].channel, &s);
    }
}

int cmp_channel_put(struct cmp_channel_end *end, const struct cmp_outgoing *m, int64_t deadline_ns)
{
    struct cmp_moved moved[CMP_RECORD_REFS];

    cmp_channel_note(m->refs, m->n_refs, moved);
    int rc = cmp_ring_put(&end->out, m, deadline_ns);
    CMP_HOOK("channel.put.done");
    if (rc == 0)
        cmp_channel_tell(moved, m->n_refs);
    return rc;
}

bool cmp_channel_has_peer(struct cmp_channel_end *end)
{
    return cmp_peer_is_there(&end->peer);
}

/* ---- looks -------------------------------------------------------------------------------------- */

void cmp_channel_each_ref(struct cmp_channel *c, uint32_t cell_bytes,
                          void (*visit)(void *arg, cmp_ref ref), void *arg)
{
    struct shape s;
    if (!read_shape(c, cell_bytes, &s))
        return;
    for (uint32_t i = 0; i < s.n_rings; i++)
        cmp_ring_each_ref(ring_at(c, &s, i), s.cap, visit, arg);
}

const char *cmp_channel_check(struct cmp_channel *c, uint32_t cell_bytes)
{
    struct shape s;
    const char *what = NULL;
    if (*(volatile uint32_t *)&c->n_rings == 0 || *(volatile uint32_t *)&c->cap == 0)
        return NULL; /* not formatted yet */
    if (!read_shape(c, cell_bytes, &s))
        return "the channel has not the rings that it says";
    for (uint32_t i = 0; what == NULL && i < s.n_rings; i++)
        what = cmp_ring_check(ring_at(c, &s, i), s.cap);
    return what;
}
