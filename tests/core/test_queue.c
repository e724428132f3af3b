/* Description: queues: contents of all sizes, growth through segments and back, batches, bounds, exact counts;
   many threads and processes on both sides; blocks and objects that travel, and who holds them; shutdown; what is done
   with; memory that ends; forged places, records, segments. */
#include "../../src/core/block.h"
#include "../../src/core/channel.h"
#include "../../src/core/check.h"
#include "../../src/core/queue.h"
#include "../../src/core/slab.h"
#include "living.h"
#include "peers.h"

#define PLAIN_MAX CMP_QUEUE_PLAIN_MAX

static void say(void *arg, const char *what)
{
    (void)arg;
    fprintf(stderr, "cmp_check: %s\n", what);
}

static void check(void)
{
    CHECK_EQ(cmp_check(say, NULL), 0);
}

/* On the heap, as queues do not move. */
static struct cmp_queue *new_queue(uint32_t limit)
{
    struct cmp_queue *q = malloc(sizeof *q);
    cmp_ref ref;
    CHECK_EQ(cmp_queue_create(limit, true, &ref), 0);
    CHECK_EQ(cmp_queue_open(ref, q), 0);
    return q;
}

static void end_queue(struct cmp_queue *q)
{
    check();
    cmp_object_drop(q->ref);
    free(q);
}

/* ---- messages that can be told from each other ----------------------------------------- */

static unsigned char pattern(uint32_t seed, size_t i)
{
    return (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

static int put_pattern(struct cmp_queue *q, uint32_t seed, size_t n, int64_t deadline_ns)
{
    unsigned char *bytes = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(seed, i);
    struct cmp_part parts[] = {{bytes, n / 3}, {NULL, 0}, {bytes + n / 3, n - n / 3}};
    struct cmp_outgoing m = {.parts = parts, .n_parts = 3, .tag = (uint16_t)seed};
    int rc = cmp_queue_put(q, &m, deadline_ns);
    free(bytes);
    return rc;
}

static void check_pattern(struct cmp_incoming *m, uint32_t seed, size_t n)
{
    const unsigned char *bytes = m->data;
    size_t i = 0;
    CHECK_EQ(m->bytes, n);
    CHECK_EQ(m->tag, (uint16_t)seed);
    CHECK_EQ(m->n_refs, 0);
    CHECK_EQ(m->block != 0, n > PLAIN_MAX);
    while (i < n && m->bytes == n && bytes[i] == pattern(seed, i))
        i++;
    CHECK_EQ(i, n);
    cmp_incoming_drop(m);
}

static int get_pattern(struct cmp_queue *q, uint32_t seed, size_t n, int64_t deadline_ns)
{
    char buffer[PLAIN_MAX];
    struct cmp_incoming m;
    int rc = cmp_queue_get(q, buffer, &m, deadline_ns);
    if (rc == 0)
        check_pattern(&m, seed, n);
    return rc;
}

static int put_number(struct cmp_queue *q, uint64_t number, int64_t deadline_ns)
{
    struct cmp_part part = {&number, sizeof number};
    struct cmp_outgoing m = {.parts = &part, .n_parts = 1};
    return cmp_queue_put(q, &m, deadline_ns);
}

static int get_number(struct cmp_queue *q, uint64_t *number, int64_t deadline_ns)
{
    char buffer[PLAIN_MAX];
    struct cmp_incoming m;
    int rc = cmp_queue_get(q, buffer, &m, deadline_ns);
    if (rc == 0) {
        CHECK_EQ(m.bytes, sizeof *number);
        memcpy(number, m.data, sizeof *number);
    }
    return rc;
}

static void test_sizes(void)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 63, 64, 1000, 1016, 1017, 2000, PLAIN_MAX - 1,
                                   PLAIN_MAX, PLAIN_MAX + 1, 5000, 65536, 65537, 3 << 20};
    struct cmp_queue *q = new_queue(0);
    for (uint32_t round = 0; round < 40; round++)
        for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            CHECK_EQ(put_pattern(q, i + round, sizes[i], 0), 0);
            CHECK_EQ(cmp_queue_wait(q, 0), 0);
            CHECK_EQ(cmp_queue_size(q), 1);
            CHECK_EQ(get_pattern(q, i + round, sizes[i], 0), 0);
            CHECK_EQ(get_pattern(q, 0, 0, 0), -ETIMEDOUT);
            CHECK_EQ(cmp_queue_wait(q, 0), -ETIMEDOUT);
        }
    CHECK(load64_seqcst(&q->cell->put_place[load64_seqcst(&q->cell->put.at) & 1].cap) <= 16384);
    end_queue(q);
}

static size_t size_of(uint32_t i)
{
    return (i * 2654435761u >> 7) % (i % 16 == 0 ? PLAIN_MAX + 1 : 200);
}

/* A random walk of the number of items, each of another size: grows, goes round, shrinks. */
static void test_walk(void)
{
    struct cmp_queue *q = new_queue(0);
    uint32_t put = 0, got = 0, seed = 1;
    for (int i = 0; i < 300; i++) {
        seed = seed * 1103515245 + 12345;
        for (uint32_t n = (seed >> 8) % 300; n > 0; n--, put++)
            CHECK_EQ(put_pattern(q, put, size_of(put), 0), 0);
        CHECK_EQ(cmp_queue_size(q), put - got);
        seed = seed * 1103515245 + 12345;
        for (uint32_t n = (seed >> 8) % 320; n > 0 && got < put; n--, got++)
            CHECK_EQ(get_pattern(q, got, size_of(got), 0), 0);
        if (i % 50 == 0) {
            cmp_sweep();
            check();
        }
    }
    for (; got < put; got++)
        CHECK_EQ(get_pattern(q, got, size_of(got), 0), 0);
    CHECK_EQ(cmp_queue_size(q), 0);
    end_queue(q);
}

/* ---- growth ----------------------------------------------------------------------------- */

static uint64_t cap_of_puts(struct cmp_queue *q)
{
    return load64_seqcst(&q->cell->put_place[load64_seqcst(&q->cell->put.at) & 1].cap);
}

/* Bytes of the blocks that live. */
static uint64_t bytes_living(void)
{
    uint64_t n = 0;
    cmp_process_lock();
    for (uint32_t i = 0; i < cmp_slab_count() << CMP_CELL_BITS; i++) {
        struct cmp_view *v = cmp_view_of(i);
        if (v == NULL || cmp_word_phase(load64_seqcst(cmp_view_word(v, i))) != CMP_OBJECT_LIVE)
            continue;
        if (v->type == CMP_TYPE_BLOCK)
            n += v->cell_bytes;
        else if (v->type == CMP_TYPE_BIG)
            n += cmp_place_extents(load64_seqcst(&((struct cmp_big *)cmp_view_cell(v, i))->place)) * CMP_EXTENT_BYTES;
    }
    cmp_process_unlock();
    return n;
}

#define MANY (SLOW ? 100000 : 500000)

static void test_backlog(void)
{
    cmp_sweep(); /* of those before */
    uint64_t before = bytes_living(), number;
    struct cmp_queue *q = new_queue(0);
    CHECK(cmp_object_bytes(q->ref) <= 8192);
    for (uint64_t i = 0; i < MANY; i++)
        CHECK_EQ(put_number(q, i, CMP_FOREVER), 0);
    CHECK_EQ(cmp_queue_size(q), MANY);
    CHECK(bytes_living() - before <= 32 * (uint64_t)MANY);
    CHECK_EQ(cap_of_puts(q), CMP_SEGMENT_MAX);
    CHECK_EQ(cmp_sweep(), 0); /* nothing that is in use */
    check();
    for (uint64_t i = 0; i < MANY; i++)
        CHECK(get_number(q, &number, 0) == 0 && number == i);
    CHECK_EQ(get_number(q, &number, 0), -ETIMEDOUT);
    CHECK(bytes_living() - before <= 2 * CMP_SEGMENT_MAX); /* the last one */
    for (uint64_t i = 0; i < 200000; i++)
        CHECK(put_number(q, i, 0) == 0 && get_number(q, &number, 0) == 0 && number == i);
    CHECK_EQ(cap_of_puts(q), 4 * CMP_SEGMENT_HOME);
    CHECK(bytes_living() - before <= 8 * CMP_SEGMENT_HOME);
    end_queue(q);
    cmp_sweep();
    CHECK_EQ(bytes_living(), before);
}

/* ... while it is going on, and what else is named in records stays. */
static void test_sweep_of_records(void)
{
    struct cmp_queue *q = new_queue(0);
    char buffer[PLAIN_MAX];
    cmp_ref refs[300];
    void *cell;
    for (int i = 0; i < 300; i++) {
        CHECK_EQ(cmp_object_create(CMP_TYPE_EVENT, 64, &refs[i], &cell), 0);
        char text[200];
        memset(text, i, sizeof text);
        struct cmp_part part = {text, sizeof text};
        struct cmp_outgoing m = {.parts = &part, .n_parts = 1, .refs = &refs[i], .n_refs = 1};
        CHECK_EQ(cmp_queue_put(q, &m, 0), 0);
        CHECK_EQ(cmp_object_hold(refs[i]), -EINVAL); /* the record has it */
    }
    CHECK_EQ(cmp_sweep(), 0);
    check();
    for (int i = 0; i < 300; i++) {
        struct cmp_incoming m;
        CHECK_EQ(cmp_queue_get(q, buffer, &m, 0), 0);
        CHECK(m.n_refs == 1 && m.refs[0] == refs[i] && m.bytes == 200 && buffer[199] == (char)i);
        CHECK_EQ(cmp_object_hold(refs[i]), 0);
        cmp_object_drop(refs[i]);
        cmp_incoming_drop(&m);
        CHECK(!lives(refs[i])); /* its token came with it */
        if (i % 64 == 0)
            cmp_sweep();
    }
    end_queue(q);
}

/* ---- batches ---------------------------------------------------------------------------- */

static int put_numbers(struct cmp_queue *q, uint64_t from, int n, int64_t deadline_ns)
{
    struct cmp_outgoing m[100] = {0};
    struct cmp_part parts[100];
    uint64_t numbers[100];
    for (int i = 0; i < n; i++) {
        numbers[i] = from + (uint64_t)i;
        parts[i] = (struct cmp_part){&numbers[i], 8};
        m[i].parts = &parts[i];
        m[i].n_parts = 1;
    }
    return cmp_queue_put_many(q, m, n, deadline_ns);
}

static int get_numbers(struct cmp_queue *q, uint64_t *numbers, int n, int64_t deadline_ns)
{
    struct cmp_incoming m[100];
    char buffer[2 * PLAIN_MAX];
    int rc = cmp_queue_get_many(q, buffer, sizeof buffer, m, n, deadline_ns);
    for (int i = 0; i < rc; i++) {
        CHECK_EQ(m[i].bytes, 8);
        memcpy(&numbers[i], m[i].data, 8);
    }
    return rc;
}

static void test_batches(void)
{
    struct cmp_queue *q = new_queue(0);
    uint64_t put = 0, got = 0, numbers[100];
    for (int round = 0; round < 2000; round++) {
        int want = round % 7 * 16 + 1;
        int n = put_numbers(q, put, want, 0);
        CHECK(n >= 1 && n <= want && n <= CMP_QUEUE_BATCH);
        put += (uint64_t)n;
        CHECK_EQ(cmp_queue_size(q), put - got);
        if (round % 3 == 0)
            continue;
        n = get_numbers(q, numbers, round % 5 * 20 + 1, 0);
        CHECK(n >= 1 && n <= CMP_QUEUE_BATCH);
        for (int i = 0; i < n; i++)
            CHECK_EQ(numbers[i], got + (uint64_t)i);
        got += (uint64_t)n;
    }
    while (got < put) {
        int n = get_numbers(q, numbers, 100, 0);
        CHECK(n >= 1);
        CHECK_EQ(numbers[0], got);
        got += (uint64_t)n;
    }
    CHECK_EQ(get_numbers(q, numbers, 100, 0), -ETIMEDOUT);
    end_queue(q);
}

/* One that has objects, or is long, goes alone, in its turn. */
static void test_mixed_batch(void)
{
    struct cmp_queue *q = new_queue(0);
    static char long_text[10000];
    char buffer[PLAIN_MAX];
    struct cmp_incoming in[10];
    struct cmp_part small = {"abc", 3}, large = {long_text, sizeof long_text};
    struct cmp_outgoing m[] = {{.parts = &small, .n_parts = 1, .tag = 0},
                               {.parts = &small, .n_parts = 1, .tag = 1},
                               {.parts = &large, .n_parts = 1, .tag = 2},
                               {.parts = &small, .n_parts = 1, .tag = 3}};
    CHECK_EQ(cmp_queue_put_many(q, m, 4, 0), 2);
    CHECK_EQ(cmp_queue_put_many(q, m + 2, 2, 0), 1);
    CHECK_EQ(cmp_queue_put_many(q, m + 3, 1, 0), 1);
    CHECK_EQ(cmp_queue_get_many(q, buffer, sizeof buffer, in, 10, 0), 2);
    CHECK(in[0].tag == 0 && in[1].tag == 1 && memcmp(in[1].data, "abc", 3) == 0);
    CHECK_EQ(cmp_queue_get_many(q, buffer, sizeof buffer, in, 10, 0), 1);
    CHECK(in[0].tag == 2 && in[0].bytes == sizeof long_text && in[0].block != 0);
    cmp_incoming_drop(&in[0]);
    CHECK_EQ(cmp_queue_get_many(q, buffer, sizeof buffer, in, 10, 0), 1);
    CHECK_EQ(in[0].tag, 3);
    end_queue(q);
}

/* ---- bounds ----------------------------------------------------------------------------- */

static void test_bounded(void)
{
    for (uint32_t limit = 1; limit <= 300; limit += 13) {
        struct cmp_queue *q = new_queue(limit);
        uint64_t number;
        for (uint32_t i = 0; i < limit; i++)
            CHECK_EQ(put_number(q, i, 0), 0);
        CHECK_EQ(put_number(q, 0, 0), -ETIMEDOUT);
        CHECK_EQ(put_number(q, 0, after_ms(2)), -ETIMEDOUT);
        CHECK_EQ(put_pattern(q, 0, 100000, 0), -ETIMEDOUT); /* its block goes */
        CHECK_EQ(cmp_queue_size(q), limit);
        CHECK_EQ(get_number(q, &number, 0), 0);
        CHECK_EQ(number, 0);
        CHECK_EQ(put_numbers(q, limit, 10, 0), 1);
        CHECK_EQ(put_number(q, 0, 0), -ETIMEDOUT);
        for (uint32_t i = 1; i <= limit; i++) {
            CHECK_EQ(get_number(q, &number, 0), 0);
            CHECK_EQ(number, i);
        }
        CHECK_EQ(cmp_queue_size(q), 0);
        end_queue(q);
    }
}

static void test_no_system_calls_body(void *arg)
{
    uint64_t number;
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(put_number(arg, 1, CMP_FOREVER), 0);
        CHECK_EQ(get_number(arg, &number, CMP_FOREVER), 0);
        CHECK_EQ(cmp_queue_task_done(arg), 0);
    }
}

static void test_no_system_calls(void)
{
    struct cmp_queue *q = new_queue(0);
    check_no_system_call(test_no_system_calls_body, q);
    end_queue(q);
}

/* ---- many ------------------------------------------------------------------------------- */

#define N_SIDE 4
#define N_EACH (SLOW ? 2000 : 20000)
#define LAST_ONE UINT64_MAX

static struct cmp_queue *table; /* of the test that runs */

static int produce(void *arg)
{
    uint64_t who = (uint64_t)(uintptr_t)arg;
    for (uint64_t i = 0; i < N_EACH;) {
        if (i % 3 == 0) {
            int n = put_numbers(table, who << 32 | i, i + 20 < N_EACH ? 20 : 1, after_ms(30000));
            CHECK(n >= 1);
            i += n >= 1 ? (uint64_t)n : N_EACH;
        } else {
            CHECK_EQ(put_number(table, who << 32 | i, after_ms(30000)), 0);
            i++;
        }
    }
    return 0;
}

static int consume(void *arg)
{
    uint64_t last[N_SIDE] = {0}, numbers[100];
    (void)arg;
    for (int turn = 0;; turn++) {
        int n = get_numbers(table, numbers, turn % 4 == 0 ? 10 : 1, after_ms(30000));
        CHECK(n >= 1);
        if (n < 1)
            return 1;
        for (int i = 0; i < n; i++) {
            uint64_t who = numbers[i] >> 32, number = (uint32_t)numbers[i] + UINT64_C(1);
            if (numbers[i] == LAST_ONE) {
                while (++i < n) /* others' */
                    CHECK(numbers[i] == LAST_ONE && put_number(table, LAST_ONE, CMP_FOREVER) == 0);
                return 0;
            }
            CHECK(who < N_SIDE && number > last[who % N_SIDE]);
            last[who % N_SIDE] = number;
            add_seqcst(&stage->result, 1);
        }
    }
}

static void *consume_in_thread(void *arg)
{
    consume(arg);
    return NULL;
}

static void *produce_in_thread(void *arg)
{
    static cmp_word next;
    (void)arg;
    produce((void *)(uintptr_t)(add_seqcst(&next, 1) % N_SIDE));
    return NULL;
}

static void many(uint32_t limit)
{
    pid_t child[2 * N_SIDE];
    begin();
    table = new_queue(limit);
    for (int i = 0; i < N_SIDE; i++) {
        child[i] = start_child(consume, NULL);
        child[N_SIDE + i] = start_child(produce, (void *)(uintptr_t)i);
    }
    for (int i = 0; i < N_SIDE; i++)
        CHECK_EQ(exit_code(child[N_SIDE + i]), 0);
    for (int i = 0; i < N_SIDE; i++)
        CHECK_EQ(put_number(table, LAST_ONE, after_ms(30000)), 0);
    for (int i = 0; i < N_SIDE; i++)
        CHECK_EQ(exit_code(child[i]), 0);
    CHECK_EQ(load_seqcst(&stage->result), N_SIDE * N_EACH);
    CHECK_EQ(cmp_queue_size(table), 0);
    end_queue(table);
}

static void test_many_processes(void)
{
    many(0);
    many(1);
    many(7);
}

static void test_many_threads(void)
{
    pthread_t consumer[N_SIDE];
    begin();
    table = new_queue(100);
    for (int i = 0; i < N_SIDE; i++)
        pthread_create(&consumer[i], NULL, consume_in_thread, NULL);
    in_threads(N_SIDE, produce_in_thread, NULL);
    for (int i = 0; i < N_SIDE; i++)
        CHECK_EQ(put_number(table, LAST_ONE, after_ms(30000)), 0);
    for (int i = 0; i < N_SIDE; i++)
        pthread_join(consumer[i], NULL);
    CHECK_EQ(load_seqcst(&stage->result), N_SIDE * N_EACH);
    end_queue(table);
}

/* What was put stays when its producer is gone, a long backlog of it, and its objects. */
static int produce_and_die(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < 5000; i++)
        CHECK_EQ(put_pattern(table, i, i % 1000 == 0 ? 100000 : i % 300, 0), 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static void test_dead_producer(void)
{
    table = new_queue(0);
    CHECK_EQ(exit_code(start_child(produce_and_die, NULL)), -SIGKILL);
    cmp_sweep();
    CHECK_EQ(cmp_queue_size(table), 5000);
    for (uint32_t i = 0; i < 5000; i++)
        CHECK_EQ(get_pattern(table, i, i % 1000 == 0 ? 100000 : i % 300, 0), 0);
    end_queue(table);
    cmp_sweep();
}

/* An end of a channel that goes by a queue is not closed meanwhile, and is once its receiver has died;
   who waits for that is told. */
static struct cmp_channel_end other_end;

static int wait_for_end(void *arg)
{
    struct cmp_incoming m;
    char buffer[512];
    (void)arg;
    tell(&stage->ready);
    return -cmp_ring_get(&other_end.in, buffer, &m, after_ms(20000));
}

static int get_end_and_die(void *arg)
{
    char buffer[PLAIN_MAX];
    struct cmp_incoming m;
    (void)arg;
    CHECK_EQ(cmp_queue_get(table, buffer, &m, 0), 0);
    CHECK_EQ(m.n_refs, 1);
    kill(getpid(), SIGKILL);
    return 0;
}

static void test_travelling_end(void)
{
    cmp_ref ends[2];
    begin();
    table = new_queue(0);
    pid_t receiver = fork_child(); /* before there is the end */
    if (receiver == 0) {
        await(&stage->go, 1);
        _exit(get_end_and_die(NULL));
    }
    CHECK_EQ(cmp_channel_create(false, CMP_RING_MIN, ends), 0);
    CHECK_EQ(cmp_channel_open(ends[0], &other_end), 0);
    struct cmp_outgoing m = {.refs = &ends[1], .n_refs = 1};
    pid_t waiter = fork_child();
    if (waiter == 0) {
        cmp_object_drop(ends[1]);
        _exit(wait_for_end(NULL));
    }
    await(&stage->ready, 1);
    sleep_ms(20);
    CHECK_EQ(cmp_queue_put(table, &m, 0), 0);
    cmp_sweep();
    CHECK(cmp_channel_has_peer(&other_end));
    CHECK_EQ(waitpid(waiter, NULL, WNOHANG), 0);
    tell(&stage->go);
    CHECK_EQ(exit_code(receiver), -SIGKILL);
    CHECK_EQ(exit_code(waiter), EPIPE);
    CHECK(!cmp_channel_has_peer(&other_end));
    cmp_channel_close(&other_end);
    end_queue(table);
    cmp_sweep();
}

/* ---- shutdown ----------------------------------------------------------------------------- */

static int wait_to_get(void *arg)
{
    uint64_t number;
    (void)arg;
    tell(&stage->ready);
    return -get_number(table, &number, after_ms(20000));
}

static int wait_to_put(void *arg)
{
    (void)arg;
    tell(&stage->ready);
    return -put_number(table, 1, after_ms(20000));
}

static void test_shutdown(void)
{
    uint64_t number;
    pid_t child[6];
    for (int full = 0; full < 2; full++) {
        begin();
        table = new_queue(1);
        if (full)
            CHECK_EQ(put_number(table, 5, 0), 0);
        cmp_platform_pretend(CMP_LACKS_BACKSTOP);
        for (int i = 0; i < 6; i++)
            child[i] = start_child(full ? wait_to_put : wait_to_get, NULL);
        await(&stage->ready, 6);
        sleep_ms(20);
        CHECK(!cmp_queue_is_shut(table));
        CHECK_EQ(cmp_queue_shutdown(table, false), 0);
        CHECK(cmp_queue_is_shut(table));
        for (int i = 0; i < 6; i++)
            CHECK_EQ(exit_code(child[i]), ESHUTDOWN);
        cmp_platform_pretend(0);
        CHECK_EQ(put_number(table, 1, CMP_FOREVER), -ESHUTDOWN);
        if (full)
            CHECK(get_number(table, &number, CMP_FOREVER) == 0 && number == 5);
        CHECK_EQ(get_number(table, &number, CMP_FOREVER), -ESHUTDOWN);
        CHECK_EQ(cmp_queue_wait(table, CMP_FOREVER), -ESHUTDOWN);
        CHECK_EQ(cmp_queue_shutdown(table, false), 0);
        end_queue(table);
    }
}

static struct cmp_loss loss;

static int wait_to_join(void *arg)
{
    (void)arg;
    tell(&stage->ready);
    return -cmp_queue_join(table, &loss, after_ms(20000));
}

static void test_shutdown_at_once(void)
{
    cmp_sweep();
    uint64_t number, before = bytes_living();
    begin();
    table = new_queue(0);
    for (uint32_t i = 0; i < 1000; i++)
        CHECK_EQ(put_pattern(table, i, i % 100 == 0 ? 70000 : 100, 0), 0);
    CHECK_EQ(get_pattern(table, 0, 70000, 0), 0);
    pid_t child = start_child(wait_to_join, NULL);
    await(&stage->ready, 1);
    CHECK_EQ(cmp_queue_shutdown(table, true), 0);
    CHECK_EQ(get_number(table, &number, CMP_FOREVER), -ESHUTDOWN);
    CHECK_EQ(cmp_queue_size(table), 0);
    CHECK_EQ(cmp_queue_unfinished(table), 1);
    CHECK_EQ(cmp_queue_task_done(table), 0);
    CHECK_EQ(exit_code(child), 0);
    end_queue(table);
    cmp_sweep();
    CHECK_EQ(bytes_living(), before);
}

/* ---- done with ------------------------------------------------------------------------------ */

static void test_join(void)
{
    uint64_t number;
    pid_t child[3];
    begin();
    table = new_queue(0);
    CHECK_EQ(cmp_queue_join(table, &loss, 0), 0);
    CHECK_EQ(cmp_queue_task_done(table), -EINVAL);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(put_number(table, 1, 0), 0);
    CHECK_EQ(cmp_queue_join(table, &loss, 0), -ETIMEDOUT);
    CHECK_EQ(cmp_queue_join(table, &loss, after_ms(10)), -ETIMEDOUT);
    cmp_platform_pretend(CMP_LACKS_BACKSTOP);
    for (int i = 0; i < 3; i++)
        child[i] = start_child(wait_to_join, NULL);
    await(&stage->ready, 3);
    sleep_ms(10);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(get_number(table, &number, 0), 0);
        CHECK_EQ(cmp_queue_unfinished(table), 10 - i);
        CHECK_EQ(cmp_queue_join(table, &loss, 0), -ETIMEDOUT);
        CHECK_EQ(cmp_queue_task_done(table), 0);
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(exit_code(child[i]), 0);
    cmp_platform_pretend(0);
    CHECK_EQ(cmp_queue_join(table, &loss, 0), 0);
    CHECK_EQ(cmp_queue_task_done(table), -EINVAL);
    end_queue(table);
}

/* Gets so many, is done with one, and waits to be killed. */
static void get_and_keep(void *arg)
{
    uint64_t number;
    for (int i = 0; i < *(int *)arg; i++)
        CHECK_EQ(get_number(table, &number, 0), 0);
    CHECK_EQ(cmp_queue_task_done(table), 0);
}

static int wait_for_loss(void *arg)
{
    int rc = wait_to_join(NULL);
    CHECK_EQ(loss.pid, *(pid_t *)arg);
    CHECK_EQ(loss.count, 2);
    return -rc == -EOWNERDEAD ? 7 : 1;
}

/* Who dies with items is told of, to who waits then and who comes later; until somebody is done with them. */
static void test_lost_items(void)
{
    static int three = 3, five = 5;
    pid_t child[2];
    begin();
    table = new_queue(0);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(put_number(table, 1, 0), 0);
    cmp_platform_pretend(CMP_LACKS_BACKSTOP);
    pid_t good = start_peer(get_and_keep, &five);
    pid_t victim = start_peer(get_and_keep, &three);
    for (int i = 0; i < 2; i++)
        child[i] = start_child(wait_for_loss, &victim);
    await(&stage->ready, 4);
    sleep_ms(10);
    CHECK_EQ(cmp_queue_join(table, &loss, 0), -ETIMEDOUT);
    check_killed(victim);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(exit_code(child[i]), 7);
    cmp_sweep(); /* the slot has gone on */
    CHECK_EQ(cmp_queue_join(table, &loss, CMP_FOREVER), -EOWNERDEAD);
    CHECK(loss.pid == victim && loss.count == 2);
    cmp_platform_pretend(0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(cmp_queue_task_done(table), 0); /* on behalf of the dead */
    CHECK_EQ(cmp_queue_join(table, &loss, after_ms(5)), -ETIMEDOUT);
    check_killed(good);
    CHECK_EQ(cmp_queue_join(table, &loss, CMP_FOREVER), -EOWNERDEAD);
    CHECK_EQ(loss.count, 4);
    end_queue(table);
    cmp_sweep();
}

/* One who has got nothing when the wait begins is watched too; many consumers have room after each other. */
static int get_late_and_die(void *arg)
{
    uint64_t number;
    (void)arg;
    await(&stage->go, 1);
    CHECK_EQ(get_number(table, &number, 0), 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static int get_and_be_done(void *arg)
{
    uint64_t number;
    (void)arg;
    CHECK_EQ(get_number(table, &number, 0), 0);
    CHECK_EQ(cmp_queue_task_done(table), 0);
    return 0;
}

static void test_late_consumer(void)
{
    begin();
    table = new_queue(0);
    for (int i = 0; i < 300; i++) {
        CHECK_EQ(put_number(table, 1, 0), 0);
        CHECK_EQ(exit_code(start_child(get_and_be_done, NULL)), 0);
    }
    CHECK_EQ(cmp_queue_join(table, &loss, 0), 0);
    CHECK_EQ(put_number(table, 1, 0), 0);
    cmp_platform_pretend(CMP_LACKS_BACKSTOP);
    pid_t late = start_child(get_late_and_die, NULL);
    pid_t waiter = start_child(wait_to_join, NULL);
    await(&stage->ready, 1);
    sleep_ms(10);
    tell(&stage->go);
    CHECK_EQ(exit_code(late), -SIGKILL);
    CHECK_EQ(exit_code(waiter), EOWNERDEAD);
    cmp_platform_pretend(0);
    end_queue(table);
}

static void test_signal(void)
{
    struct sigaction before;
    uint64_t number;
    table = new_queue(1);
    pid_t pesterer = start_pesterer(&before);
    CHECK_EQ(get_number(table, &number, after_ms(20000)), -EINTR);
    CHECK_EQ(put_number(table, 3, CMP_FOREVER), 0);
    CHECK_EQ(put_number(table, 3, after_ms(20000)), -EINTR);
    CHECK_EQ(cmp_queue_join(table, &loss, after_ms(20000)), -EINTR);
    stop_pesterer(pesterer, &before);
    CHECK(get_number(table, &number, 0) == 0 && number == 3);
    end_queue(table);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* Each word of the cell gets each of some values: an error, or a queue that still works. */
static void test_damage(void)
{
    static const uint64_t values[] = {0, 1, 2, 8, 9, 4096, 1 << 20, (1 << 20) + 1, 1u << 31,
                                      UINT64_C(1) << 40, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 7};
    size_t at[] = {offsetof(struct cmp_queue_cell, put.at), offsetof(struct cmp_queue_cell, get.at),
                   offsetof(struct cmp_queue_cell, put.seen)};
    struct cmp_incoming m;
    char buffer[PLAIN_MAX];
    for (size_t i = 0; i < 3 + 16 + 40; i++)
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            struct cmp_queue *q = new_queue(0);
            for (int n = 0; n < 30; n++)
                CHECK_EQ(put_pattern(q, 1, 150, 0), 0); /* in two segments */
            size_t where = i < 3 ? at[i] : i < 19 ? offsetof(struct cmp_queue_cell, put_place) + 8 * (i - 3)
                                                  : offsetof(struct cmp_queue_cell, home) + 8 * (i - 19);
            *(uint64_t *)(void *)((char *)q->cell + where) = values[j];
            cmp_sweep();
            cmp_check(NULL, NULL);
            for (int n = 0; n < 40; n++) {
                int rc = cmp_queue_get(q, buffer, &m, 0);
                CHECK(rc == 0 || rc == -EUCLEAN || rc == -ESTALE || rc == -ETIMEDOUT);
                if (rc == 0)
                    cmp_incoming_drop(&m);
                rc = put_number(q, 1, 0);
                CHECK(rc == 0 || rc == -EUCLEAN || rc == -EINVAL || rc == -ENOMEM);
            }
            memset(q->cell, 0, sizeof *q->cell); /* what it names is gone */
            cmp_object_drop(q->ref);
            free(q);
            cmp_sweep();
        }
    check();
}

static void test_taken(void)
{
    struct cmp_queue q;
    cmp_ref ref;
    void *cell;
    CHECK_EQ(cmp_object_create(CMP_TYPE_EVENT, 64, &ref, &cell), 0);
    CHECK_EQ(cmp_queue_take(ref, &q), -EINVAL);
    CHECK_EQ(cmp_queue_take(0, &q), -EINVAL);
    cmp_object_drop(ref);
}

int main(void)
{
    start_family(140);
    test_sizes();
    test_walk();
    test_backlog();
    test_sweep_of_records();
    test_batches();
    test_mixed_batch();
    test_bounded();
    test_no_system_calls();
    test_dead_producer();
    test_travelling_end();
    test_many_processes();
    test_many_threads();
    test_shutdown();
    test_shutdown_at_once();
    test_join();
    test_lost_items();
    test_late_consumer();
    test_signal();
    test_damage();
    test_taken();
    return done();
}
