/* queue.c -- what cmp's own queue (src/core/queue.h) costs without Python: one put and get in one process, a backlog put
   and then got, streams of many to many, one by one and in batches.  The limits to compare it with are in pingpong.c and
   ring.c, its sibling in channel.c.  */

#include "floor.h"
#include "../../src/core/arena.h"
#include "../../src/core/queue.h"

#define BACKLOG 200000
#define BATCH 32

struct talk {
    cmp_ref ref;
    size_t bytes;    /* of a message */
    long n_messages; /* that a producer puts */
    int batch;
};

static char payload[1 << 20];

static struct cmp_queue *open_queue(cmp_ref ref)
{
    struct cmp_queue *q = malloc(sizeof *q);
    CHECK(q != NULL && cmp_queue_take(ref, q) == 0);
    return q;
}

static struct talk *begin(size_t bytes, uint32_t limit)
{
    struct talk *t = shared_memory(sizeof *t);
    t->bytes = bytes;
    t->batch = 1;
    CHECK(cmp_queue_create(limit, false, &t->ref) == 0);
    return t;
}

static void put(struct cmp_queue *q, size_t n)
{
    struct cmp_part part = {payload, n};
    struct cmp_outgoing m = {.parts = &part, .n_parts = 1};
    CHECK(cmp_queue_put(q, &m, CMP_FOREVER) == 0);
}

static void get(struct cmp_queue *q, size_t n)
{
    char buffer[CMP_QUEUE_PLAIN_MAX];
    struct cmp_incoming m;
    CHECK(cmp_queue_get(q, buffer, &m, CMP_FOREVER) == 0);
    CHECK(m.bytes == n);
    cmp_incoming_drop(&m);
}

/* ---- one process ---------------------------------------------------------------------- */

static void put_and_get(void *arg, long n)
{
    struct talk *t = arg;
    static struct cmp_queue *q;
    if (q == NULL || q->ref != t->ref)
        q = open_queue(t->ref);
    for (long i = 0; i < n; i++) {
        put(q, t->bytes);
        get(q, t->bytes);
    }
}

static void put_then_get(void *arg, long n)
{
    struct talk *t = arg;
    struct cmp_queue *q = open_queue(t->ref);
    for (long i = 0; i < n; i++)
        put(q, t->bytes);
    for (long i = 0; i < n; i++)
        get(q, t->bytes);
}

/* ---- many ------------------------------------------------------------------------------- */

static void produce(void *arg)
{
    struct talk *t = arg;
    struct cmp_queue *q = open_queue(t->ref);
    struct cmp_part part = {payload, t->bytes};
    struct cmp_outgoing m[BATCH];
    for (int i = 0; i < BATCH; i++)
        m[i] = (struct cmp_outgoing){.parts = &part, .n_parts = 1};
    for (long i = 0; i < t->n_messages;) {
        int n = cmp_queue_put_many(q, m, t->n_messages - i < t->batch ? 1 : t->batch, CMP_FOREVER);
        CHECK(n >= 1);
        i += n;
    }
}

/* Until the queue is shut and empty. */
static void consume(void *arg)
{
    struct talk *t = arg;
    struct cmp_queue *q = open_queue(t->ref);
    static char buffer[BATCH * 512];
    struct cmp_incoming m[BATCH];
    int n;
    while ((n = cmp_queue_get_many(q, buffer, sizeof buffer, m, t->batch, CMP_FOREVER)) >= 1)
        CHECK(m[0].bytes == t->bytes);
    CHECK(n == -ESHUTDOWN);
}

static void run_many(const char *name, int n_producers, int n_consumers, uint32_t limit, int batch, long n)
{
    double values[3];
    for (int round = 0; round < 3; round++) {
        struct talk *t = begin(8, limit);
        pid_t producer[16], consumer[16];
        t->n_messages = n / n_producers;
        t->batch = batch;
        struct cmp_queue *q = open_queue(t->ref);
        for (int i = 0; i < n_consumers; i++)
            consumer[i] = start_child(nth_cpu(i % 2), consume, t);
        double since = now_ns();
        for (int i = 0; i < n_producers; i++)
            producer[i] = start_child(nth_cpu((i + 1) % 2), produce, t);
        for (int i = 0; i < n_producers; i++)
            join_child(producer[i]);
        CHECK(cmp_queue_shutdown(q, false) == 0);
        for (int i = 0; i < n_consumers; i++)
            join_child(consumer[i]);
        values[round] = (now_ns() - since) / n;
        cmp_object_drop(t->ref);
        cmp_object_drop(t->ref);
    }
    report(name, "ns", values, 3);
}

int main(void)
{
    alarm(LIMIT_S);
    CHECK(cmp_family_init() == 0);
    int second = nth_cpu(1) >= 0;
    pin(nth_cpu(0));
    struct talk *t = begin(8, 0);
    measure("queue.put+get.8", put_and_get, t, 200000);
    t->bytes = 1000;
    measure("queue.put+get.1000", put_and_get, t, 200000);
    measure("queue.put+get.8.bounded", put_and_get, begin(8, 100), 200000);
    measure("queue.backlog", put_then_get, begin(8, 0), BACKLOG);
    if (!second)
        return 0;
    run_many("queue.1p1c", 1, 1, 0, 1, 500000);
    run_many("queue.1p1c.bounded", 1, 1, 100, 1, 500000);
    run_many("queue.4p4c", 4, 4, 0, 1, 500000);
    run_many("queue.1p1c.batch", 1, 1, 0, BATCH, 2000000);
    run_many("queue.4p4c.batch", 4, 4, 0, BATCH, 2000000);
    return 0;
}
