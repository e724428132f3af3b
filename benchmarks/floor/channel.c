/* channel.c -- what cmp's own channel (src/core/channel.h) costs without Python: one put and get in one process, the
   round trip, the stream, messages that go by a block, and streams of many to many.  The limits to compare it with are
   in pingpong.c, ring.c and memcpy.c.  */

#include "floor.h"
#include "../../src/core/arena.h"
#include "../../src/core/block.h"
#include "../../src/core/channel.h"

#define CAP 16384

struct talk {
    cmp_ref ends[2];
    size_t bytes;    /* of a message */
    long n_messages; /* that the child gets */
    long n_together; /* that all children get together; 0: each its own */
    _Atomic long n_got;
};

static char payload[1 << 24];

static void put(struct cmp_channel_end *e, const void *data, size_t n)
{
    struct cmp_part part = {data, n};
    struct cmp_outgoing m = {.parts = &part, .n_parts = 1};
    CHECK(cmp_channel_put(e, &m, CMP_FOREVER) == 0);
}

static void get(struct cmp_channel_end *e, size_t n)
{
    char buffer[CAP / 4];
    struct cmp_incoming m;
    CHECK(cmp_ring_get(&e->in, buffer, &m, CMP_FOREVER) == 0);
    CHECK(m.bytes == n);
    if (m.block != 0) {
        memcpy(payload, m.data, n);
        cmp_incoming_drop(&m);
    }
}

static struct cmp_channel_end *open_end(cmp_ref ref)
{
    struct cmp_channel_end *e = malloc(sizeof *e);
    CHECK(e != NULL && cmp_channel_take(ref, e) == 0);
    return e;
}

/* ---- one process ---------------------------------------------------------------------- */

static void put_and_get(void *arg, long n)
{
    struct talk *t = arg;
    static struct cmp_channel_end *a, *b;
    if (a == NULL)
        a = open_end(t->ends[0]), b = open_end(t->ends[1]);
    for (long i = 0; i < n; i++) {
        put(a, payload, t->bytes);
        get(b, t->bytes);
    }
}

/* ---- two ------------------------------------------------------------------------------- */

static void echo(void *arg)
{
    struct talk *t = arg;
    struct cmp_channel_end *b = open_end(t->ends[1]);
    for (long i = 0; i < t->n_messages; i++) {
        get(b, t->bytes);
        put(b, payload, t->bytes);
    }
}

static void call(void *arg, long n)
{
    struct talk *t = arg;
    static struct cmp_channel_end *a;
    static cmp_ref open;
    if (open != t->ends[0])
        a = open_end(open = t->ends[0]);
    for (long i = 0; i < n; i++) {
        put(a, payload, t->bytes);
        get(a, t->bytes);
    }
}

static void drain(void *arg)
{
    struct talk *t = arg;
    struct cmp_channel_end *b = open_end(t->ends[1]);
    for (long i = 0; i < t->n_messages; i++)
        get(b, t->bytes);
}

static void feed(void *arg, long n)
{
    struct talk *t = arg;
    static struct cmp_channel_end *a;
    static cmp_ref open;
    if (open != t->ends[0])
        a = open_end(open = t->ends[0]);
    for (long i = 0; i < n; i++)
        put(a, payload, t->bytes);
}

static struct talk *begin(size_t bytes, long n)
{
    struct talk *t = shared_memory(sizeof *t);
    t->bytes = bytes;
    t->n_messages = n * (ROUNDS + 1);
    CHECK(cmp_channel_create(true, CAP, t->ends) == 0);
    return t;
}

static void run(const char *name, void (*child)(void *), void (*parent)(void *, long), size_t bytes, int across, long n)
{
    struct talk *t = begin(bytes, n);
    pid_t pid = start_child(nth_cpu(across), child, t);
    measure(name, parent, t, n);
    join_child(pid);
}

/* ---- many ------------------------------------------------------------------------------- */

static void produce(void *arg)
{
    struct talk *t = arg;
    struct cmp_channel_end *a = open_end(t->ends[0]);
    for (long i = 0; i < t->n_messages; i++)
        put(a, payload, t->bytes);
}

/* Until all have been got; the rest is told by as many empty messages. */
static void consume(void *arg)
{
    struct talk *t = arg;
    struct cmp_channel_end *b = open_end(t->ends[1]);
    char buffer[CAP / 4];
    struct cmp_incoming m;
    do
        CHECK(cmp_ring_get(&b->in, buffer, &m, CMP_FOREVER) == 0);
    while (m.bytes != 0);
}

static void run_many(const char *name, int n_producers, int n_consumers, long n)
{
    double best = 0;
    for (int round = 0; round < 3; round++) {
        struct talk *t = begin(64, 0);
        pid_t producer[16], consumer[16];
        t->n_messages = n / n_producers;
        struct cmp_channel_end *a = open_end(t->ends[0]);
        for (int i = 0; i < n_consumers; i++)
            consumer[i] = start_child(nth_cpu(i % 2), consume, t);
        double since = now_ns();
        for (int i = 0; i < n_producers; i++)
            producer[i] = start_child(nth_cpu(i % 2), produce, t);
        for (int i = 0; i < n_producers; i++)
            join_child(producer[i]);
        for (int i = 0; i < n_consumers; i++)
            put(a, payload, 0);
        for (int i = 0; i < n_consumers; i++)
            join_child(consumer[i]);
        double took = (now_ns() - since) / n;
        best = best == 0 || took < best ? took : best;
    }
    printf("%s %.1f ns %.1f %.1f\n", name, best, best, best);
}

int main(void)
{
    alarm(LIMIT_S);
    CHECK(cmp_family_init() == 0);
    int second = nth_cpu(1) >= 0;
    pin(nth_cpu(0));
    struct talk *t = begin(8, 0);
    measure("channel.put+get.8", put_and_get, t, 200000);
    t->bytes = 1 << 20;
    measure("channel.put+get.1MB", put_and_get, t, 200);
    run("channel.round.same", echo, call, 8, 0, 20000);
    run("channel.stream.same", drain, feed, 8, 0, 100000);
    if (!second)
        return 0;
    run("channel.round.cross", echo, call, 8, 1, 20000);
    run("channel.stream.cross", drain, feed, 8, 1, 100000);
    run("channel.round.1MB", echo, call, 1 << 20, 1, 200);
    run("channel.round.16MB", echo, call, 1 << 24, 1, 10);
    run_many("channel.1p1c", 1, 1, 500000);
    run_many("channel.4p1c", 4, 1, 500000);
    run_many("channel.1p4c", 1, 4, 500000);
    run_many("channel.4p4c", 4, 4, 500000);
    return 0;
}
