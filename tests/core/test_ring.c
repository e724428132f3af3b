/* Description: rings and channels: contents of all sizes, wrap-around, full, empty, deadlines,
   signals; many threads and processes at one end; blocks and objects that travel, and who holds
   them; the end of the last holder of the other end; forged positions, records, references. */
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "../../src/core/block.h"
#include "../../src/core/channel.h"
#include "../../src/core/check.h"
#include "../../src/core/slab.h"
#include "living.h"
#include "peers.h"

#define CAP CMP_RING_MIN
#define PLAIN_MAX (CAP / 4 - 8)

static void say(void *arg, const char *what)
{
    (void)arg;
    fprintf(stderr, "cmp_check: %s\n", what);
}

static void check(void)
{
    CHECK_EQ(cmp_check(say, NULL), 0);
}

struct pair {
    struct cmp_channel_end a, b;
};

/* On the heap, as ends do not move. */
static struct pair *new_pair(bool duplex, uint32_t cap)
{
    struct pair *p = malloc(sizeof *p);
    cmp_ref ends[2];
    CHECK_EQ(cmp_channel_create(duplex, cap, ends), 0);
    CHECK_EQ(cmp_channel_open(ends[0], &p->a), 0);
    CHECK_EQ(cmp_channel_open(ends[1], &p->b), 0);
    return p;
}

static void close_pair(struct pair *p)
{
    cmp_channel_close(&p->a);
    cmp_channel_close(&p->b);
    free(p);
}

/* ---- messages that can be told from each other ----------------------------------------- */

static unsigned char pattern(uint32_t seed, size_t i)
{
    return (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

static unsigned char *make_bytes(uint32_t seed, size_t n)
{
    unsigned char *bytes = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(seed, i);
    return bytes;
}

static bool has_pattern(const unsigned char *bytes, uint32_t seed, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != pattern(seed, i))
            return false;
    return true;
}

/* In three parts, one of them empty. */
static int put_pattern(struct cmp_channel_end *e, uint32_t seed, size_t n, int64_t deadline_ns)
{
    unsigned char *bytes = make_bytes(seed, n);
    struct cmp_part parts[] = {{bytes, n / 3}, {NULL, 0}, {bytes + n / 3, n - n / 3}};
    struct cmp_outgoing m = {.parts = parts, .n_parts = 3, .tag = (uint16_t)seed};
    int rc = cmp_channel_put(e, &m, deadline_ns);
    free(bytes);
    return rc;
}

static int get_pattern(struct cmp_channel_end *e, uint32_t seed, size_t n, int64_t deadline_ns)
{
    char buffer[CMP_RING_MAX / 4];
    struct cmp_incoming m;
    int rc = cmp_ring_get(&e->in, buffer, &m, deadline_ns);
    if (rc < 0)
        return rc;
    CHECK_EQ(m.bytes, n);
    CHECK_EQ(m.tag, (uint16_t)seed);
    CHECK_EQ(m.n_refs, 0);
    CHECK_EQ(m.block != 0, n > cmp_ring_plain_max(e->in.cap));
    CHECK(m.bytes == n && has_pattern(m.data, seed, n));
    cmp_incoming_drop(&m);
    return rc;
}

static void test_sizes(void)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 63, 64, PLAIN_MAX - 1, PLAIN_MAX, PLAIN_MAX + 1,
                                   5000, 65536, 65537, 1 << 20, 3 << 20};
    struct pair *p = new_pair(true, CAP);
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            uint64_t bytes = 99;
            CHECK_EQ(put_pattern(&p->a, i + round, sizes[i], 0), 0);
            CHECK_EQ(cmp_ring_peek(&p->b.in, &bytes, 0), 0);
            CHECK_EQ(bytes, sizes[i]);
            CHECK_EQ(cmp_ring_wait(&p->b.in, 0), 0);
            CHECK_EQ(get_pattern(&p->b, i + round, sizes[i], 0), 0);
            CHECK_EQ(get_pattern(&p->b, 0, 0, 0), -ETIMEDOUT);
            CHECK_EQ(put_pattern(&p->b, i + round, sizes[i], 0), 0); /* the other way */
            CHECK_EQ(get_pattern(&p->a, i + round, sizes[i], 0), 0);
        }
    check();
    close_pair(p);
}

/* Records of every length at every offset. */
static void test_wrap(void)
{
    struct pair *p = new_pair(false, CAP);
    uint32_t put = 0, got = 0;
    for (int i = 0; i < 40000; i++) {
        size_t n = (put * 2654435761u >> 7) % (PLAIN_MAX + 1);
        if (put_pattern(&p->b, put, n, 0) == 0) {
            put++;
            continue;
        }
        uint32_t keep = put - got > 3 ? got + 3 : put;
        for (; got < keep; got++)
            CHECK_EQ(get_pattern(&p->a, got, (got * 2654435761u >> 7) % (PLAIN_MAX + 1), 0), 0);
    }
    CHECK(put > 20000);
    for (; got < put; got++)
        CHECK_EQ(get_pattern(&p->a, got, (got * 2654435761u >> 7) % (PLAIN_MAX + 1), 0), 0);
    CHECK_EQ(cmp_ring_fill(p->a.in.ring), 0);
    check();
    close_pair(p);
}

static void test_full(void)
{
    struct pair *p = new_pair(true, CAP);
    cmp_ref none[2];
    uint32_t n = 0;
    while (put_pattern(&p->a, n, 8, 0) == 0)
        n++;
    CHECK_EQ(n, CAP / 16);
    CHECK_EQ(cmp_ring_fill(p->a.out.ring), CAP);
    CHECK_EQ(put_pattern(&p->a, n, 0, 0), -ETIMEDOUT);
    CHECK_EQ(put_pattern(&p->a, n, 1 << 20, after_ms(5)), -ETIMEDOUT); /* its block goes */
    CHECK_EQ(get_pattern(&p->b, 0, 8, 0), 0);
    CHECK_EQ(put_pattern(&p->a, n, 100, 0), -ETIMEDOUT);
    CHECK_EQ(put_pattern(&p->a, n, 8, 0), 0);
    for (uint32_t i = 1; i <= n; i++)
        CHECK_EQ(get_pattern(&p->b, i, 8, 0), 0);
    int64_t before = cmp_now_ns();
    CHECK_EQ(get_pattern(&p->b, 0, 0, after_ms(30)), -ETIMEDOUT);
    CHECK_EQ(cmp_ring_wait(&p->b.in, after_ms(30)), -ETIMEDOUT);
    CHECK(cmp_now_ns() - before >= 60 * MS);
    CHECK_EQ(cmp_channel_create(true, 1000, none), -EINVAL);
    check();
    close_pair(p);
}

static void test_no_system_calls_body(void *arg)
{
    struct pair *p = arg;
    char buffer[CAP / 4];
    struct cmp_part part = {"12345678", 8};
    struct cmp_outgoing out = {.parts = &part, .n_parts = 1};
    struct cmp_incoming m;
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(cmp_channel_put(&p->a, &out, CMP_FOREVER), 0);
        CHECK_EQ(cmp_ring_get(&p->b.in, buffer, &m, CMP_FOREVER), 0);
    }
}

static void test_no_system_calls(void)
{
    struct pair *p = new_pair(true, CAP);
    check_no_system_call(test_no_system_calls_body, p);
    close_pair(p);
}

/* ---- waiting ------------------------------------------------------------------------------ */

static struct pair *table; /* of the test that runs */

static int get_one(void *arg)
{
    char buffer[CAP / 4];
    struct cmp_incoming m;
    (void)arg;
    tell(&stage->ready);
    int rc = cmp_ring_get(&table->b.in, buffer, &m, after_ms(20000));
    if (rc == 0)
        add_seqcst(&stage->result, *(const uint32_t *)m.data);
    return -rc;
}

static void put_number(uint32_t number)
{
    struct cmp_part part = {&number, 4};
    struct cmp_outgoing m = {.parts = &part, .n_parts = 1};
    CHECK_EQ(cmp_channel_put(&table->a, &m, CMP_FOREVER), 0);
}

/* Each of several sleepers gets one; also with slices switched off. */
static void test_wakes(void)
{
    pid_t child[5];
    uint32_t sum = 0;
    begin();
    table = new_pair(true, CAP);
    cmp_platform_pretend(CMP_LACKS_BACKSTOP);
    for (int i = 0; i < 5; i++)
        child[i] = start_child(get_one, NULL);
    await(&stage->ready, 5);
    for (uint32_t i = 1; i <= 5; i++) {
        if (i % 2)
            sleep_ms(5);
        put_number(i * i);
        sum += i * i;
    }
    for (int i = 0; i < 5; i++)
        CHECK_EQ(exit_code(child[i]), 0);
    cmp_platform_pretend(0);
    CHECK_EQ(load_seqcst(&stage->result), sum);
    check();
    close_pair(table);
}

static int put_and_await_got(void *arg)
{
    (void)arg;
    put_number(1);
    tell(&stage->ready);
    int rc = cmp_ring_wait_got(&table->a.out, cmp_ring_end(&table->a.out), after_ms(20000));
    if (rc == 0)
        add_seqcst(&stage->result, 1);
    return -rc;
}

/* Who puts waits until all up to there was got, until a deadline, or until nobody can.  */
static void test_wait_got(void)
{
    struct cmp_port *out;
    pid_t child[3];
    begin();
    table = new_pair(true, CAP);
    out = &table->a.out;
    CHECK_EQ(cmp_ring_wait_got(out, cmp_ring_end(out), 0), 0);
    for (int i = 0; i < 3; i++)
        child[i] = start_child(put_and_await_got, NULL);
    await(&stage->ready, 3);
    for (int i = 0; i < 3; i++)
        CHECK(reaches(child[i], 'S'));
    CHECK_EQ(cmp_ring_wait_got(out, cmp_ring_end(out), after_ms(1)), -ETIMEDOUT);
    CHECK_EQ(load_seqcst(&stage->result), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(get_one(NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(exit_code(child[i]), 0);
    CHECK_EQ(load_seqcst(&stage->result), 3 + 3); /* theirs, and what was got */
    put_number(1);
    cmp_channel_close(&table->b);
    CHECK_EQ(cmp_ring_wait_got(out, cmp_ring_end(out), CMP_FOREVER), -EPIPE);
    cmp_channel_close(&table->a);
    free(table);
    check();
}

static int put_of_size(void *n)
{
    tell(&stage->ready);
    int rc = put_pattern(&table->a, 9, (size_t)(uintptr_t)n, after_ms(20000));
    tell(&stage->result);
    return -rc;
}

/* Who wants less is served behind one in the seat who wants more; also with slices switched off.  */
static void test_different_wants(void)
{
    pid_t large, small;
    begin();
    table = new_pair(true, CAP);
    cmp_platform_pretend(CMP_LACKS_BACKSTOP);
    int n = 0;
    while (put_pattern(&table->a, 9, 8, 0) == 0)
        n++;
    large = start_child(put_of_size, (void *)(uintptr_t)PLAIN_MAX);
    await(&stage->ready, 1);
    CHECK(reaches(large, 'S'));
    small = start_child(put_of_size, (void *)(uintptr_t)8);
    await(&stage->ready, 2);
    CHECK(reaches(small, 'S'));
    CHECK_EQ(get_pattern(&table->b, 9, 8, 0), 0);
    CHECK_EQ(exit_code(small), 0);
    CHECK_EQ(load_seqcst(&stage->result), 1);
    for (int i = 0; i < n; i++)
        CHECK_EQ(get_pattern(&table->b, 9, 8, 0), 0);
    CHECK_EQ(exit_code(large), 0);
    CHECK_EQ(get_pattern(&table->b, 9, PLAIN_MAX, 0), 0);
    cmp_platform_pretend(0);
    check();
    close_pair(table);
}

static void test_signal(void)
{
    struct sigaction before;
    table = new_pair(true, CAP);
    pid_t pesterer = start_pesterer(&before);
    CHECK_EQ(get_pattern(&table->b, 0, 0, after_ms(20000)), -EINTR);
    CHECK_EQ(cmp_ring_wait(&table->b.in, after_ms(20000)), -EINTR);
    while (put_pattern(&table->a, 1, 8, 0) == 0)
        ;
    CHECK_EQ(put_pattern(&table->a, 1, 8, after_ms(20000)), -EINTR);
    stop_pesterer(pesterer, &before);
    CHECK_EQ(get_pattern(&table->b, 1, 8, 0), 0);
    check();
    close_pair(table);
}

/* A handler that runs in the middle of the wait, and uses the same end. */
static int nested;
static int look_and_get(void)
{
    if (nested++ == 0) {
        put_number(7);
        CHECK_EQ(cmp_ring_wait(&table->b.in, after_ms(5000)), 0);
        char buffer[CAP / 4];
        struct cmp_incoming m;
        CHECK_EQ(cmp_ring_get(&table->b.in, buffer, &m, after_ms(5000)), 0);
        CHECK_EQ(*(const uint32_t *)m.data, 7);
        CHECK_EQ(cmp_ring_get(&table->b.in, buffer, &m, after_ms(20)), -ETIMEDOUT);
    }
    return nested > 2;
}

static void test_handler(void)
{
    table = new_pair(true, CAP);
    nested = 0;
    cmp_look_fn before = cmp_wait_look(look_and_get);
    CHECK_EQ(get_pattern(&table->b, 0, 0, after_ms(20000)), -EINTR);
    cmp_wait_look(before);
    CHECK(nested >= 3);
    put_number(1);
    CHECK_EQ(cmp_ring_wait(&table->b.in, 0), 0);
    check();
    close_pair(table);
}

/* ... and forks: the child has neither seat nor lock.  */
static int look_and_fork(void)
{
    static pid_t child;
    if (nested++ > 0)
        return 0;
    child = fork_child();
    if (child == 0)
        return 1;
    CHECK_EQ(exit_code(child), 0);
    return 0;
}

static void test_fork_in_handler(void)
{
    table = new_pair(true, CAP);
    pid_t parent = getpid();
    nested = 0;
    cmp_look_fn before = cmp_wait_look(look_and_fork);
    int rc = get_pattern(&table->b, 0, 0, after_ms(100));
    if (getpid() != parent) {
        uint32_t seat = load_seqcst(&table->b.in.ring->get.seat.node.word) & CMP_TID_MASK;
        CHECK_EQ(rc, -EINTR);
        CHECK_EQ(seat, parent); /* it still waits there */
        _exit(n_failed != 0);
    }
    CHECK_EQ(rc, -ETIMEDOUT);
    cmp_wait_look(before);
    check();
    close_pair(table);
}

/* One in the seat is stopped: others are served, one after the other. */
static int get_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        tell(&stage->ready);
        char buffer[CAP / 4];
        struct cmp_incoming m;
        if (cmp_ring_get(&table->b.in, buffer, &m, after_ms(20000)) != 0)
            return 1;
    }
    return 0;
}

static void test_stopped(void)
{
    begin();
    table = new_pair(true, CAP);
    pid_t stopped = start_child(get_one, NULL);
    await(&stage->ready, 1);
    CHECK(reaches(stopped, 'S'));
    kill(stopped, SIGSTOP);
    CHECK(reaches(stopped, 'T'));
    cmp_platform_pretend(CMP_LACKS_BACKSTOP);
    pid_t other = start_child(get_many, NULL);
    for (uint32_t i = 0; i < 20; i++) {
        await(&stage->ready, 2 + i);
        CHECK(reaches(other, 'S'));
        put_number(i);
    }
    CHECK_EQ(exit_code(other), 0);
    cmp_platform_pretend(0);
    kill(stopped, SIGCONT);
    put_number(5);
    CHECK_EQ(exit_code(stopped), 0);
    CHECK_EQ(load_seqcst(&stage->result), 5);
    check();
    close_pair(table);
}

/* ---- many at one end -------------------------------------------------------------------------- */

enum { PRODUCERS = 4, CONSUMERS = 4, EACH = SLOW ? 400 : 3000 };

/* Number, producer, and a length that follows from both. */
static size_t length_of(uint32_t producer, uint32_t i)
{
    uint32_t mixed = (i * 2654435761u) ^ (producer * 40503u);
    return i % 97 == 0 ? 700 + mixed % 100000 : 8 + mixed % 300;
}

static void produce(uint32_t producer)
{
    for (uint32_t i = 0; i < EACH; i++) {
        size_t n = length_of(producer, i);
        unsigned char *bytes = make_bytes(i, n);
        memcpy(bytes, &producer, 4);
        memcpy(bytes + 4, &i, 4);
        struct cmp_part part = {bytes, n};
        struct cmp_outgoing m = {.parts = &part, .n_parts = 1};
        CHECK_EQ(cmp_channel_put(&table->a, &m, CMP_FOREVER), 0);
        free(bytes);
    }
}

/* What one consumer gets of one producer is in order. */
static void consume(void)
{
    uint32_t next[PRODUCERS] = {0}, producer, i;
    char buffer[CAP / 4];
    struct cmp_incoming m;
    while (cmp_ring_get(&table->b.in, buffer, &m, CMP_FOREVER) == 0 && m.bytes > 0) {
        memcpy(&producer, m.data, 4);
        memcpy(&i, (const char *)m.data + 4, 4);
        CHECK(producer < PRODUCERS && i >= next[producer]);
        if (producer >= PRODUCERS)
            return;
        next[producer] = i + 1;
        CHECK_EQ(m.bytes, length_of(producer, i));
        const unsigned char *bytes = m.data;
        for (size_t k = 8; k < m.bytes; k++)
            if (bytes[k] != pattern(i, k)) {
                CHECK_EQ(bytes[k], pattern(i, k));
                break;
            }
        cmp_incoming_drop(&m);
        add_seqcst(&stage->count, 1);
    }
}

static int consume_child(void *arg)
{
    (void)arg;
    consume();
    return 0;
}

static int produce_child(void *arg)
{
    produce((uint32_t)(uintptr_t)arg);
    return 0;
}

static void put_ends(int n)
{
    struct cmp_outgoing m = {.n_parts = 0};
    for (int i = 0; i < n; i++)
        CHECK_EQ(cmp_channel_put(&table->a, &m, CMP_FOREVER), 0);
}

static void test_many_processes(void)
{
    pid_t child[PRODUCERS + CONSUMERS];
    begin();
    table = new_pair(true, CAP);
    for (int i = 0; i < CONSUMERS; i++)
        child[i] = start_child(consume_child, NULL);
    for (int i = 0; i < PRODUCERS; i++)
        child[CONSUMERS + i] = start_child(produce_child, (void *)(uintptr_t)i);
    for (int i = 0; i < PRODUCERS; i++)
        CHECK_EQ(exit_code(child[CONSUMERS + i]), 0);
    put_ends(CONSUMERS);
    for (int i = 0; i < CONSUMERS; i++)
        CHECK_EQ(exit_code(child[i]), 0);
    CHECK_EQ(load_seqcst(&stage->count), PRODUCERS * EACH);
    CHECK_EQ(cmp_ring_fill(table->b.in.ring), 0);
    check();
    close_pair(table);
}

static void *produce_or_consume(void *arg)
{
    (void)arg;
    uint32_t who = add_seqcst(&stage->ready, 1);
    if (who >= PRODUCERS) {
        consume();
        return NULL;
    }
    produce(who);
    if (add_seqcst(&stage->inside, 1) + 1 == PRODUCERS)
        put_ends(CONSUMERS);
    return NULL;
}

static void test_many_threads(void)
{
    begin();
    table = new_pair(true, CAP);
    in_threads(PRODUCERS + CONSUMERS, produce_or_consume, NULL);
    CHECK_EQ(load_seqcst(&stage->count), PRODUCERS * EACH);
    check();
    close_pair(table);
}

/* ---- what travels ------------------------------------------------------------------------------ */

static cmp_ref make_object(void)
{
    cmp_ref ref;
    void *cell;
    CHECK_EQ(cmp_object_create(CMP_TYPE_EVENT, 8, &ref, &cell), 0);
    memset(cell, 0, 8);
    return ref;
}

static bool is_held(cmp_ref ref)
{
    return cmp_object_bytes(ref) > 0;
}

static void test_refs(void)
{
    struct pair *p = new_pair(true, CAP);
    char buffer[CAP / 4];
    struct cmp_incoming m;
    cmp_ref refs[3] = {make_object(), make_object(), make_object()};
    struct cmp_part part = {"hello", 5};
    struct cmp_outgoing out = {.parts = &part, .n_parts = 1, .refs = refs, .n_refs = 3, .tag = 9};

    cmp_object_hold(refs[1]); /* it is kept as well */
    CHECK_EQ(cmp_channel_put(&p->a, &out, 0), 0);
    CHECK(!is_held(refs[0]) && is_held(refs[1]) && !is_held(refs[2]));
    cmp_sweep();
    CHECK(lives(refs[0]) && lives(refs[1]) && lives(refs[2]));
    CHECK_EQ(cmp_channel_put(&p->a, &out, 0), -EINVAL); /* no longer its own */
    CHECK_EQ(cmp_ring_get(&p->b.in, buffer, &m, 0), 0);
    CHECK(m.n_refs == 3 && m.bytes == 5 && m.tag == 9 && memcmp(m.data, "hello", 5) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(m.refs[i] == refs[i] && is_held(refs[i]));
    cmp_incoming_drop(&m);
    CHECK(!lives(refs[0]) && !lives(refs[2])); /* at once: nobody else knew them */
    CHECK(is_held(refs[1]));
    cmp_object_drop(refs[1]);
    CHECK(!is_held(refs[1]));
    check();
    close_pair(p);
}

/* A block that the sender has made goes as it is; and one with objects beside it. */
static void test_own_block(void)
{
    struct pair *p = new_pair(true, CAP);
    char buffer[CAP / 4];
    struct cmp_incoming m;
    static const size_t sizes[] = {100, 70000};
    for (int i = 0; i < 4; i++) {
        cmp_ref ref, object = make_object();
        void *cell, *data;
        size_t n = i < 2 ? sizes[i] : 50; /* a short message in a large block too */
        CHECK_EQ(cmp_block_create(sizes[i % 2], false, &ref, &cell, &data), 0);
        memset(data, 'x', n);
        struct cmp_outgoing out = {.block = ref, .bytes = n, .refs = &object, .n_refs = i % 2};
        CHECK_EQ(cmp_channel_put(&p->a, &out, 0), 0);
        CHECK(!is_held(ref));
        cmp_sweep();
        CHECK(lives(ref));
        CHECK_EQ(cmp_ring_get(&p->b.in, buffer, &m, 0), 0);
        CHECK(m.block == ref && m.bytes == n && m.data == data && m.n_refs == i % 2);
        CHECK(((const char *)m.data)[n - 1] == 'x');
        cmp_incoming_drop(&m);
        CHECK(!lives(ref));
        if (i % 2 == 0)
            cmp_object_drop(object);
    }
    check();
    close_pair(p);
}

/* The sender is dead, then the ring: what was on its way lives as long as that. */
static int put_and_go(void *arg)
{
    (void)arg;
    CHECK_EQ(put_pattern(&table->a, 3, 1 << 20, 0), 0);
    CHECK_EQ(put_pattern(&table->a, 4, 40000, 0), 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static void test_dead_sender(void)
{
    cmp_ref refs[2];
    table = new_pair(true, CAP);
    status_of(start_child(put_and_go, NULL));
    cmp_sweep();
    for (int i = 0; i < 2; i++)
        refs[i] = load64_relaxed(&table->b.in.ring->words[i == 0 ? 1 : 4]) & ~CMP_REF_ALONE;
    CHECK(lives(refs[0]) && lives(refs[1]));
    CHECK_EQ(get_pattern(&table->b, 3, 1 << 20, 0), 0);
    CHECK(!lives(refs[0]) && lives(refs[1])); /* its token came with it */
    close_pair(table);
    cmp_sweep();
    CHECK(!lives(refs[1]));
    check();
}

/* Put an end that is open here, and have it no more.  */
static void send_end(struct cmp_channel_end *over, struct cmp_channel_end *end)
{
    struct cmp_outgoing out = {.refs = &end->ref, .n_refs = 1};
    cmp_object_hold(end->ref);
    CHECK_EQ(cmp_channel_put(over, &out, 0), 0);
    cmp_channel_close(end);
}

/* An end that travels is not closed meanwhile, and is once its receiver has died. */
static int get_end_and_die(void *arg)
{
    char buffer[CAP / 4];
    struct cmp_incoming m;
    (void)arg;
    CHECK_EQ(cmp_ring_get(&table->b.in, buffer, &m, CMP_FOREVER), 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static void test_travelling_end(void)
{
    struct pair *other = new_pair(true, CAP);
    cmp_ref ref = other->a.ref;
    table = new_pair(true, CAP);

    CHECK_EQ(put_pattern(&other->b, 1, 8, 0), 0);
    send_end(&table->a, &other->a);
    CHECK(!is_held(ref));
    cmp_sweep();
    CHECK(cmp_channel_has_peer(&other->b));
    CHECK_EQ(get_pattern(&other->b, 0, 0, after_ms(30)), -ETIMEDOUT);
    status_of(start_child(get_end_and_die, NULL));
    CHECK_EQ(get_pattern(&other->b, 0, 0, CMP_FOREVER), -EPIPE);
    CHECK_EQ(put_pattern(&other->b, 1, 8, CMP_FOREVER), -EPIPE);
    CHECK(!cmp_channel_has_peer(&other->b));
    cmp_channel_close(&other->b);
    free(other);
    close_pair(table);
    cmp_sweep();
    CHECK(!lives(ref));
    check();
}

/* An end is there as long as somebody can still get the record that it is in, at however many
   removes, and is gone as soon as nobody can: the sweep comes later.  */
static void test_end_that_nobody_can_get(void)
{
    struct pair *other = new_pair(true, CAP), *outer = new_pair(false, CAP), *inner = new_pair(true, CAP);
    cmp_ref end = other->a.ref, reader = inner->b.ref;

    send_end(&inner->a, &other->a); /* read by inner->b */
    send_end(&outer->b, &inner->b); /* which is read by outer->a */
    cmp_channel_close(&inner->a);
    cmp_channel_close(&outer->b);
    cmp_sweep();
    CHECK(cmp_channel_has_peer(&other->b));
    CHECK_EQ(get_pattern(&other->b, 0, 0, after_ms(30)), -ETIMEDOUT);
    cmp_channel_close(&outer->a);
    CHECK(lives(end));
    CHECK_EQ(get_pattern(&other->b, 0, 0, CMP_FOREVER), -EPIPE);
    CHECK(!cmp_channel_has_peer(&other->b));
    cmp_channel_close(&other->b);
    cmp_sweep();
    CHECK(!lives(end) && !lives(reader));
    check();
    free(other);
    free(outer);
    free(inner);
}

/* Who has only the writing end of the pipe that it is in will not get it.  */
static void test_end_without_a_reader(void)
{
    struct pair *other = new_pair(true, CAP), *p = new_pair(true, CAP);
    cmp_ref end = other->a.ref;

    send_end(&p->a, &other->a);
    CHECK(cmp_channel_has_peer(&other->b));
    cmp_channel_close(&p->b);
    CHECK(!cmp_channel_has_peer(&other->b));
    cmp_channel_close(&p->a);
    cmp_channel_close(&other->b);
    cmp_sweep();
    CHECK(!lives(end));
    check();
    free(other);
    free(p);
}

/* Two ends, each in the records that the other one would read.  */
static void test_ends_in_each_other(void)
{
    struct pair *x = new_pair(true, CAP), *y = new_pair(true, CAP), *other = new_pair(true, CAP);
    cmp_ref x_b = x->b.ref, y_b = y->b.ref, end = other->a.ref;

    send_end(&x->a, &other->a); /* read by x_b */
    send_end(&x->a, &y->b);     /* with y_b, by x_b */
    CHECK(cmp_channel_has_peer(&other->b));
    send_end(&y->a, &x->b); /* which is read by y_b */
    CHECK(!cmp_channel_has_peer(&other->b));
    CHECK(!cmp_channel_has_peer(&x->a) && !cmp_channel_has_peer(&y->a));
    cmp_channel_close(&x->a);
    cmp_channel_close(&y->a);
    cmp_sweep();
    CHECK(!lives(x_b) && !lives(y_b) && !lives(end));
    check();
    cmp_channel_close(&other->b);
    free(x);
    free(y);
    free(other);
}

/* More removes than are looked at: then it is said to be there.  */
static void test_end_at_many_removes(void)
{
    enum { N = 40 };
    struct pair *other = new_pair(true, CAP), *chain[N];
    struct cmp_channel_end *end = &other->a;

    for (int i = 0; i < N; i++) {
        chain[i] = new_pair(false, CAP);
        send_end(&chain[i]->b, end);
        cmp_channel_close(&chain[i]->b);
        CHECK(cmp_channel_has_peer(&other->b));
        end = &chain[i]->a;
    }
    cmp_channel_close(end);
    CHECK(cmp_channel_has_peer(&other->b));
    cmp_sweep();
    CHECK(!cmp_channel_has_peer(&other->b)); /* its object is freed */
    cmp_channel_close(&other->b);
    for (int i = 0; i < N; i++)
        free(chain[i]);
    free(other);
    check();
}

/* Whoever waits is told when holds end that were no connection's, such as a message's.  */
static void *drop_soon(void *arg)
{
    cmp_ref refs[2] = {make_object(), *(cmp_ref *)arg};
    sleep_ms(50);
    cmp_channel_drop(refs, 2);
    CHECK(!is_held(refs[0]) && !is_held(refs[1]));
    return NULL;
}

static void test_dropped_end(void)
{
    struct pair *p = new_pair(true, CAP);
    pthread_t thread;

    cmp_object_hold(p->a.ref);
    cmp_channel_close(&p->a);
    CHECK_EQ(pthread_create(&thread, NULL, drop_soon, &p->a.ref), 0);
    CHECK_EQ(get_pattern(&p->b, 0, 0, CMP_FOREVER), -EPIPE);
    pthread_join(thread, NULL);
    cmp_channel_close(&p->b);
    free(p);
    check();
}

/* ---- the end of the other end --------------------------------------------------------------------- */

static void test_closed(void)
{
    struct pair *p = new_pair(true, CAP);
    CHECK_EQ(put_pattern(&p->a, 1, 8, 0), 0);
    CHECK_EQ(put_pattern(&p->a, 2, 5000, 0), 0);
    cmp_channel_close(&p->a);
    CHECK_EQ(cmp_ring_wait(&p->b.in, 0), 0);
    CHECK_EQ(get_pattern(&p->b, 1, 8, CMP_FOREVER), 0);
    CHECK_EQ(get_pattern(&p->b, 2, 5000, 0), 0);
    CHECK_EQ(get_pattern(&p->b, 0, 0, 0), -EPIPE);
    CHECK_EQ(get_pattern(&p->b, 0, 0, CMP_FOREVER), -EPIPE);
    CHECK_EQ(cmp_ring_wait(&p->b.in, CMP_FOREVER), -EPIPE);
    CHECK_EQ(put_pattern(&p->b, 1, 8, 0), -EPIPE);
    CHECK_EQ(put_pattern(&p->b, 1, 9000, CMP_FOREVER), -EPIPE);
    cmp_channel_close(&p->b);
    free(p);
    check();
}

static void *close_soon(void *arg)
{
    sleep_ms(20);
    cmp_channel_close(arg);
    return NULL;
}

static void *get_at_end(void *arg)
{
    CHECK_EQ(get_pattern(arg, 0, 0, CMP_FOREVER), -EPIPE);
    return NULL;
}

/* By another thread of the same process, while several sleep. */
static void test_closed_meanwhile(void)
{
    struct pair *p = new_pair(true, CAP);
    pthread_t closer;
    cmp_platform_pretend(CMP_LACKS_BACKSTOP);
    pthread_create(&closer, NULL, close_soon, &p->a);
    in_threads(4, get_at_end, &p->b);
    pthread_join(closer, NULL);
    cmp_platform_pretend(0);
    cmp_channel_close(&p->b);
    free(p);
    check();
}

static void hold_other_end(void *arg)
{
    (void)arg;
    cmp_channel_close(&table->b);
}

static int wait_for_end(void *arg)
{
    cmp_channel_close(&table->a);
    tell(&stage->ready);
    int rc = arg == NULL ? get_pattern(&table->b, 0, 0, after_ms(20000))
                         : put_pattern(&table->b, 0, 100, after_ms(20000));
    store_seqcst(&stage->result, (uint32_t)(cmp_now_ns() / 1000));
    return -rc;
}

/* Its last holder is killed, getters and putters in other processes sleep. */
static void test_killed(void *putters)
{
    pid_t holder, waiter[3];
    begin();
    table = new_pair(true, CAP);
    while (putters != NULL && put_pattern(&table->b, 0, 100, 0) == 0)
        ;
    holder = start_peer(hold_other_end, NULL);
    for (int i = 0; i < 3; i++)
        waiter[i] = start_child(wait_for_end, putters);
    await(&stage->ready, 4);
    cmp_channel_close(&table->a);
    cmp_channel_close(&table->b);
    free(table);
    for (int i = 0; i < 3; i++)
        CHECK(reaches(waiter[i], 'S'));
    sleep_ms(5);
    kill(holder, SIGKILL);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(exit_code(waiter[i]), EPIPE);
    status_of(holder);
    check();
}

/* ---- the bell ----------------------------------------------------------------------------------------- */

static int sockets[2]; /* who puts writes into 0, who gets reads from 1 */

static void strike(void *arg)
{
    (void)arg;
    CHECK(send(sockets[0], "", 1, MSG_DONTWAIT) == 1);
}

static int count_bytes(void *arg)
{
    int n = 0;
    (void)arg;
    CHECK_EQ(ioctl(sockets[1], FIONREAD, &n), 0);
    return n;
}

static void take_bytes(void *arg, int n)
{
    char bytes[64];
    (void)arg;
    for (; n > 0; n--)
        CHECK(recv(sockets[1], bytes, 1, MSG_DONTWAIT) == 1);
}

static bool is_readable(void)
{
    struct pollfd p = {.fd = sockets[1], .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static const struct cmp_bell bell = {NULL, strike, count_bytes, take_bytes};

static struct pair *new_pair_with_bell(void)
{
    struct pair *p = new_pair(true, CAP);
    p->a.out.bell = p->b.in.bell = &bell;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    strike(NULL); /* as channel.h has it */
    return p;
}

static void close_with_bell(struct pair *p)
{
    close(sockets[0]);
    close(sockets[1]);
    close_pair(p);
}

static void test_bell(void)
{
    struct pair *p = new_pair_with_bell();
    CHECK_EQ(put_pattern(&p->a, 1, 8, 0), 0);
    CHECK_EQ(get_pattern(&p->b, 1, 8, 0), 0);
    CHECK_EQ(count_bytes(NULL), 1); /* nobody asks */
    CHECK_EQ(cmp_ring_poll(&p->b.in), 0);
    CHECK(!is_readable());
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(put_pattern(&p->a, 1, 8, 0), 0);
        CHECK_EQ(put_pattern(&p->a, 2, 9000, 0), 0);
        CHECK_EQ(count_bytes(NULL), 1);
        CHECK_EQ(get_pattern(&p->b, 1, 8, 0), 0);
        CHECK(is_readable());
        CHECK_EQ(get_pattern(&p->b, 2, 9000, 0), 0);
        CHECK(!is_readable());
    }
    close_with_bell(p);
    p = new_pair_with_bell();
    CHECK_EQ(put_pattern(&p->a, 1, 8, 0), 0);
    CHECK_EQ(cmp_ring_poll(&p->b.in), 0); /* asked late: it is readable by the first byte */
    CHECK_EQ(count_bytes(NULL), 1);
    CHECK_EQ(get_pattern(&p->b, 1, 8, 0), 0);
    CHECK(!is_readable());
    close_with_bell(p);
}

/* Who puts stands still at his byte, with the lock, until `stage->count` says more.  */
static void strike_late(void *arg)
{
    strike(arg);
    store_seqcst(&stage->ready, 1);
    while (load_seqcst(&stage->count) == 0)
        usleep(1000);
}

static const struct cmp_bell late_bell = {NULL, strike_late, count_bytes, take_bytes};

static void *put_late(void *arg)
{
    struct cmp_port port = table->a.out;
    struct cmp_channel_end end = table->a;
    (void)arg;
    port.bell = &late_bell;
    end.out = port;
    CHECK_EQ(put_pattern(&end, 1, 8, CMP_FOREVER), 0);
    return NULL;
}

/* Its message is taken meanwhile: the byte is there for nothing, and the next message brings
   another one; who looks into the ring takes it away.  */
static void test_bell_struck_late(void)
{
    for (int look = 0; look < 2; look++) {
        pthread_t thread;
        begin();
        table = new_pair_with_bell();
        CHECK_EQ(cmp_ring_poll(&table->b.in), 0);
        CHECK_EQ(pthread_create(&thread, NULL, put_late, NULL), 0);
        while (load_seqcst(&stage->ready) == 0)
            usleep(1000);
        CHECK_EQ(get_pattern(&table->b, 1, 8, CMP_FOREVER), 0);
        CHECK_EQ(count_bytes(NULL), 1);
        CHECK_EQ(cmp_ring_wait(&table->b.in, 0), -ETIMEDOUT); /* nor does this wait for him */
        store_seqcst(&stage->count, 1);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        if (look == 1)
            CHECK_EQ(cmp_ring_wait(&table->b.in, 0), -ETIMEDOUT);
        CHECK_EQ(count_bytes(NULL), 1 - look);
        CHECK_EQ(put_pattern(&table->a, 2, 8, 0), 0);
        CHECK_EQ(count_bytes(NULL), 2 - look);
        CHECK_EQ(get_pattern(&table->b, 2, 8, 0), 0);
        CHECK_EQ(count_bytes(NULL), 0);
        close_with_bell(table);
    }
}

/* Several at both ends: nobody who waits for the descriptor alone waits in vain. */
static void *put_or_select(void *arg)
{
    (void)arg;
    if (add_seqcst(&stage->ready, 1) < 2) {
        for (int i = 0; i < 2 * EACH; i++) {
            CHECK_EQ(put_pattern(&table->a, 1, 8, CMP_FOREVER), 0);
            if (i % 5 == 0)
                sched_yield();
        }
        return NULL;
    }
    while (load_seqcst(&stage->count) < 4 * EACH) {
        struct pollfd p = {.fd = sockets[1], .events = POLLIN};
        poll(&p, 1, load_seqcst(&stage->count) < 4 * EACH - 1 ? 10000 : 1);
        if (get_pattern(&table->b, 1, 8, 0) == 0)
            add_seqcst(&stage->count, 1);
    }
    return NULL;
}

static void test_bell_of_many(void)
{
    begin();
    table = new_pair_with_bell();
    CHECK_EQ(cmp_ring_poll(&table->b.in), 0);
    int64_t before = cmp_now_ns();
    in_threads(3, put_or_select, NULL);
    CHECK(cmp_now_ns() - before < 9000 * MS * (SLOW ? 5 : 1)); /* a time-out of poll would show */
    CHECK(!is_readable());
    CHECK_EQ(count_bytes(NULL), 0);
    close_with_bell(table);
}

/* ---- forged ------------------------------------------------------------------------------------------- */

static void get_forged(struct pair *p, int expected)
{
    char buffer[CAP / 4];
    struct cmp_incoming m;
    CHECK_EQ(cmp_ring_get(&p->b.in, buffer, &m, 0), expected);
}

static uint64_t record(uint64_t bytes, uint64_t n_refs, uint64_t kind)
{
    return bytes << 32 | n_refs << 8 | kind;
}

static void test_forged_records(void)
{
    static const uint64_t headers[][3] = {
        {8, 0, 0}, {8, 0, 4}, {8, 0, 255}, {9, 0, 2}, {UINT32_MAX, 0, 2}, {CAP, 0, 2},
        {8, 0, 1}, {CAP - 8, 0, 1}, {8, 255, 2}, {8, 0, 3}, {16, 1, 3}, {8, 1, 3},
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct pair *p = new_pair(true, CAP);
        CHECK_EQ(put_pattern(&p->a, 1, 8, 0), 0);
        store64_relaxed(&p->b.in.ring->words[0], record(headers[i][0], headers[i][1], headers[i][2]));
        get_forged(p, -EUCLEAN);
        uint64_t bytes;
        CHECK_EQ(cmp_ring_peek(&p->b.in, &bytes, 0), -EUCLEAN);
        store_seqcst(&p->b.in.ring->has_refs, 1);
        cmp_sweep(); /* it does not believe it either */
        store64_relaxed(&p->b.in.ring->words[0], record(8, 0, 2));
        get_forged(p, 0);
        close_pair(p);
    }
}

static void test_forged_positions(void)
{
    static const uint64_t positions[] = {1, 15, 24 + CAP, UINT64_MAX, UINT64_MAX - 7, 1 << 20};
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        struct pair *p = new_pair(true, CAP);
        CHECK_EQ(put_pattern(&p->a, 1, 8, 0), 0);
        store64_relaxed(&p->b.in.ring->put.at, positions[i]);
        get_forged(p, -EUCLEAN);
        CHECK_EQ(put_pattern(&p->a, 1, 8, 0), -EUCLEAN);
        cmp_sweep();
        CHECK(cmp_check(NULL, NULL) > 0);
        store64_relaxed(&p->b.in.ring->put.at, 16);
        store64_relaxed(&p->b.in.ring->get.seen, 0);
        store64_relaxed(&p->b.in.ring->put.seen, 0);
        CHECK_EQ(get_pattern(&p->b, 1, 8, 0), 0);
        close_pair(p);
    }
    check();
}

/* A reference to nothing, to what is gone, to what is no block, to a block that is shorter:
   that message is lost, the next one comes. */
static void test_forged_refs(void)
{
    cmp_ref object = make_object(), gone = make_object(), small;
    void *cell, *data;
    cmp_object_drop(gone);
    CHECK_EQ(cmp_block_create(100, false, &small, &cell, &data), 0);
    const cmp_ref refs[] = {0, 1, UINT64_MAX, UINT64_C(1) << 55, gone, object, small,
                            gone | CMP_REF_ALONE, object | CMP_REF_ALONE};
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
        struct pair *p = new_pair(true, CAP);
        CHECK_EQ(put_pattern(&p->a, 1, 20000, 0), 0);
        CHECK_EQ(put_pattern(&p->a, 2, 30, 0), 0);
        cmp_ref before = load64_relaxed(&p->b.in.ring->words[1]) & ~CMP_REF_ALONE;
        store64_relaxed(&p->b.in.ring->words[1], refs[i]);
        get_forged(p, -ESTALE);
        CHECK_EQ(get_pattern(&p->b, 2, 30, 0), 0);
        close_pair(p);
        cmp_sweep();
        CHECK(!lives(before));
        CHECK(is_held(object) && is_held(small));
    }
    cmp_object_drop(object);
    cmp_object_drop(small);
    check();
}

static void test_forged_channel(void)
{
    struct cmp_channel_end again;
    struct pair *p = new_pair(true, CAP);
    struct cmp_channel *c = p->a.channel;
    c->cap = 1 << 18; /* its cell has no room for that */
    CHECK_EQ(cmp_channel_take(p->a.ref, &again), -EUCLEAN);
    CHECK(cmp_check(NULL, NULL) > 0);
    c->cap = CAP + 8;
    CHECK_EQ(cmp_channel_take(p->a.ref, &again), -EUCLEAN);
    c->cap = CAP;
    c->n_rings = 3;
    CHECK_EQ(cmp_channel_take(p->a.ref, &again), -EUCLEAN);
    c->n_rings = 2;
    CHECK_EQ(cmp_channel_take(p->a.ref, &again), 0);
    CHECK_EQ(cmp_channel_take(p->a.ref + (1 << 24), &again), -ESTALE);
    cmp_channel_close(&again);
    close_pair(p);
    check();
}

/* Anything anywhere but in lock words, which may be those of a living owner for all that one can
   know: every call ends, with what it may say, and reads and writes nothing beyond its buffers.  */
static uint64_t random_word(void)
{
    static const uint64_t likely[] = {0, 1, 8, 16, CAP, CAP - 8, CAP + 8, 2 * CAP, UINT32_MAX, UINT64_MAX,
                                      UINT64_MAX - 7, UINT64_C(1) << 63, UINT64_C(1) << 55};
    static uint64_t state = 88172645463325252u;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    switch (state >> 60) {
    case 0: case 1: case 2: case 3: case 4:
        return likely[state % (sizeof likely / sizeof *likely)];
    case 5: case 6: case 7: case 8: case 9: /* almost a record */
        return record(state >> 8 & 0xfff, state >> 20 & 3, state & 3);
    case 10: case 11:
        return state >> 20 & (4 * CAP - 1);
    default:
        return state;
    }
}

static void forge(struct cmp_ring *r)
{
    cmp_word64 *const positions[] = {&r->put.at, &r->get.at, &r->put.seen, &r->get.seen};
    cmp_word *const words[] = {&r->has_refs, &r->polled, &r->bell, &r->put.park, &r->get.park, &r->get.cpu};
    uint64_t where = random_word() % 16;
    if (where < 3)
        store64_relaxed(positions[random_word() % 4], random_word());
    else if (where == 3)
        store_relaxed(words[random_word() % 6], (uint32_t)random_word());
    else
        store64_relaxed(&r->words[random_word() % 16], random_word());
}

static void check_rc(const char *what, int rc)
{
    if (rc == 0 || rc == -ETIMEDOUT || rc == -EUCLEAN || rc == -ESTALE)
        return;
    fprintf(stderr, "%s of what was forged: %d\n", what, rc);
    n_failed++;
}

static void use_forged(struct pair *p)
{
    char *buffer = malloc(PLAIN_MAX); /* not a byte more */
    struct cmp_incoming m;
    uint64_t bytes;
    for (int i = 0; i < 5; i++) {
        check_rc("peek", cmp_ring_peek(&p->b.in, &bytes, 0));
        check_rc("wait", cmp_ring_wait(&p->b.in, i == 0 ? after_ms(1) : 0));
        int rc = cmp_ring_get(&p->b.in, buffer, &m, i == 1 ? after_ms(1) : 0);
        check_rc("get", rc);
        if (rc != 0)
            continue;
        CHECK(m.block != 0 || m.bytes <= PLAIN_MAX);
        if (m.block != 0 && m.bytes > 0)
            CHECK(((const volatile char *)m.data)[m.bytes - 1] >= CHAR_MIN); /* it is there */
        cmp_incoming_drop(&m);
    }
    check_rc("put", put_pattern(&p->a, 1, 40, 0));
    check_rc("put", put_pattern(&p->a, 1, 5000, after_ms(1)));
    check_rc("poll", cmp_ring_poll(&p->b.in));
    cmp_ring_fill(p->b.in.ring);
    free(buffer);
}

static void test_forged_at_random(void)
{
    struct pair *other = new_pair(true, CAP);
    cmp_ref object = make_object();
    for (uint32_t i = 0; i < (SLOW ? 300 : 3000); i++) {
        struct pair *p = new_pair(true, CAP);
        struct cmp_outgoing out = {.refs = &object, .n_refs = 1};
        cmp_object_hold(object);
        CHECK_EQ(put_pattern(&p->a, 1, 8, 0), 0);
        CHECK_EQ(cmp_channel_put(&p->a, &out, 0), 0);
        CHECK_EQ(put_pattern(&p->a, 2, i % 2 ? 5000 : 70000, 0), 0);
        for (uint64_t n = random_word() % 4; n < 4; n++)
            forge(p->b.in.ring);
        use_forged(p);
        cmp_sweep();
        cmp_check(NULL, NULL); /* nor does that believe it */
        CHECK_EQ(put_pattern(&other->a, i, i % 3000, 0), 0);
        CHECK_EQ(get_pattern(&other->b, i, i % 3000, 0), 0);
        close_pair(p);
    }
    cmp_sweep();
    CHECK(is_held(object));
    cmp_object_drop(object);
    close_pair(other);
    check();
}

/* ---- many channels -------------------------------------------------------------------------------------- */

static void test_ten_thousand(void)
{
    uint32_t before = 0;
    for (int i = 0; i < (SLOW ? 1000 : 10000); i++) {
        struct pair *p = new_pair(i % 2, 4096);
        CHECK_EQ(put_pattern(&p->b, 1, i % 10 ? 8 : 5000, 0), 0);
        close_pair(p);
        if (i == 500)
            before = load_seqcst(&cmp_arena()->n_extents);
    }
    CHECK(load_seqcst(&cmp_arena()->n_extents) <= 2 * before + 64);
    check();
}

int main(void)
{
    start_family(120);
    test_sizes();
    test_wrap();
    test_full();
    test_no_system_calls();
    test_wakes();
    test_wait_got();
    test_different_wants();
    test_signal();
    test_handler();
    test_fork_in_handler();
    test_stopped();
    test_many_processes();
    test_many_threads();
    test_refs();
    test_own_block();
    test_dead_sender();
    test_travelling_end();
    test_end_that_nobody_can_get();
    test_end_without_a_reader();
    test_ends_in_each_other();
    test_end_at_many_removes();
    test_dropped_end();
    test_closed();
    test_closed_meanwhile();
    test_killed(NULL);
    test_killed("put");
    test_bell();
    test_bell_struck_late();
    test_bell_of_many();
    test_forged_records();
    test_forged_positions();
    test_forged_refs();
    test_forged_channel();
    test_forged_at_random();
    test_ten_thousand();
    return done();
}
