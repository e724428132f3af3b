/* Description: Event: set, clear, wait; deadlines and signals; pulses; processes and a
   thousand threads; what a set publishes; setters and waiters that die, at each hook
   where there are hooks; stopped processes; kernels that lack something; damage; no
   system call where nobody waits. */
#include "../../src/core/event.h"
#include "die.h"

static struct cmp_event *e;

static void begin_clear(void)
{
    begin();
    cmp_event_init(e);
}

static int wait_ms(int64_t ms)
{
    return cmp_event_wait(e, after_ms(ms));
}

/* For start_child: 0 or a positive errno. */
static int wait_for_ever(void *arg)
{
    (void)arg;
    return -cmp_event_wait(e, CMP_FOREVER);
}

static void *wait_in_thread(void *arg)
{
    tell(&stage->ready);
    CHECK_EQ(cmp_event_wait(arg, CMP_FOREVER), 0);
    tell(&stage->count);
    return NULL;
}

static void test_alone(void)
{
    begin_clear();
    for (int i = 0; i < 3; i++) {
        CHECK(!cmp_event_is_set(e));
        CHECK_EQ(wait_ms(0), -ETIMEDOUT);
        CHECK_EQ(wait_ms(-5), -ETIMEDOUT);
        CHECK_EQ(cmp_event_wait(e, INT64_MIN), -ETIMEDOUT);
        int64_t deadline = after_ms(5);
        CHECK_EQ(cmp_event_wait(e, deadline), -ETIMEDOUT);
        CHECK(cmp_now_ns() >= deadline);
        for (int j = 0; j < 2; j++) {
            cmp_event_set(e);
            CHECK(cmp_event_is_set(e));
            CHECK_EQ(cmp_event_wait(e, 0), 0);
            CHECK_EQ(cmp_event_wait(e, CMP_FOREVER), 0);
        }
        uint32_t seen = cmp_event_count(e);
        cmp_event_clear(e);
        cmp_event_clear(e);
        CHECK_EQ(cmp_event_wait_since(e, seen - 1, 0), 0);
        CHECK_EQ(cmp_event_wait_since(e, seen + 1, 0), -ETIMEDOUT);
        CHECK(cmp_event_check(e) == NULL);
    }
    store_relaxed(&e->count, UINT32_MAX - 1); /* it wraps */
    for (int i = 0; i < 3; i++) {
        uint32_t seen = cmp_event_count(e);
        cmp_event_set(e);
        CHECK(cmp_event_is_set(e));
        cmp_event_clear(e);
        CHECK(!cmp_event_is_set(e));
        CHECK_EQ(cmp_event_wait_since(e, seen, CMP_FOREVER), 0);
    }
}

/* set, and clear at once if pulse: everybody who waits comes out. */
static void test_broadcast(bool pulse)
{
    enum { N = 8 };
    pid_t children[N];
    begin_clear();
    for (int i = 0; i < N; i++)
        children[i] = start_child(wait_for_ever, NULL);
    for (int i = 0; i < N; i++)
        CHECK(reaches(children[i], 'S'));
    cmp_event_set(e);
    if (pulse)
        cmp_event_clear(e);
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    CHECK(cmp_event_check(e) == NULL);
}

static void *set_when_all_wait(void *arg)
{
    await(&stage->ready, (uint32_t)(uintptr_t)arg);
    sleep_ms(20);
    cmp_event_set(e);
    return NULL;
}

static void test_many_threads(void)
{
    int n = SLOW ? 200 : 1000;
    pthread_t setter;
    begin_clear();
    pthread_create(&setter, NULL, set_when_all_wait, (void *)(uintptr_t)n);
    in_threads(n, wait_in_thread, e);
    pthread_join(setter, NULL);
    CHECK_EQ(load_seqcst(&stage->count), n);
}

/* What is written before a set is seen after the wait: for ThreadSanitizer. */
static int published;

static void *consume(void *arg)
{
    struct cmp_event *events = arg;
    for (int i = 1; i <= 2000; i++) {
        CHECK_EQ(cmp_event_wait(&events[0], CMP_FOREVER), 0);
        CHECK_EQ(published, i);
        cmp_event_clear(&events[0]);
        cmp_event_set(&events[1]);
    }
    return NULL;
}

static void test_publishes(void)
{
    struct cmp_event *events = shared(2 * sizeof *events);
    pthread_t consumer;
    cmp_event_init(&events[0]);
    cmp_event_init(&events[1]);
    pthread_create(&consumer, NULL, consume, events);
    for (int i = 1; i <= 2000; i++) {
        published = i;
        cmp_event_set(&events[0]);
        CHECK_EQ(cmp_event_wait(&events[1], CMP_FOREVER), 0);
        cmp_event_clear(&events[1]);
    }
    pthread_join(consumer, NULL);
}

/* Who clears the event and then looks sees what was written before a set() that found
   the event set: else the last number is missed, and the wait for it has no end. */
enum { LAST = 200000 };

static void *clear_and_look(void *arg)
{
    (void)arg;
    while (load_relaxed(&stage->count) != LAST) {
        CHECK_EQ(cmp_event_wait(e, CMP_FOREVER), 0);
        cmp_event_clear(e);
    }
    return NULL;
}

static void test_set_of_what_is_set(void)
{
    for (int i = 0; i < 5; i++) {
        pthread_t looker;
        begin_clear();
        pthread_create(&looker, NULL, clear_and_look, NULL);
        for (uint32_t n = 1; n <= LAST; n++) {
            store_relaxed(&stage->count, n);
            cmp_event_set(e);
        }
        pthread_join(looker, NULL);
    }
}

static void test_signals(void)
{
    struct sigaction before;
    begin_clear();
    pid_t pesterer = start_pesterer(&before);
    uint32_t seen = cmp_event_count(e);
    CHECK_EQ(cmp_event_wait_since(e, seen, CMP_FOREVER), -EINTR);
    CHECK_EQ(cmp_event_wait_since(e, seen, after_ms(50000)), -EINTR);
    /* Its handler uses the event itself; the wait goes on, and knows. */
    cmp_event_set(e);
    cmp_event_clear(e);
    CHECK_EQ(cmp_event_wait_since(e, seen, CMP_FOREVER), 0);
    stop_pesterer(pesterer, &before);
}

/* Ping-pong of two processes, one of them stopped and continued at random. */
static int pong(void *arg)
{
    struct cmp_event *events = arg;
    for (uint32_t n = load_relaxed(&stage->go); n > 0; n--) {
        if (cmp_event_wait(&events[0], CMP_FOREVER) != 0)
            return 1;
        cmp_event_clear(&events[0]);
        cmp_event_set(&events[1]);
    }
    return 0;
}

static void test_ping_pong(int n, bool stops)
{
    struct cmp_event *events = shared(2 * sizeof *events);
    begin();
    cmp_event_init(&events[0]);
    cmp_event_init(&events[1]);
    store_relaxed(&stage->go, (uint32_t)n);
    pid_t child = start_child(pong, events), stopper = 0;
    if (stops && (stopper = fork_child()) == 0)
        for (unsigned int seed = 1;; seed = seed * 1103515245 + 12345) {
            usleep(seed >> 16 & 1023);
            kill(child, SIGSTOP);
            usleep(seed >> 16 & 511);
            kill(child, SIGCONT);
        }
    for (int i = 0; i < n; i++) {
        cmp_event_set(&events[0]);
        CHECK_EQ(cmp_event_wait(&events[1], CMP_FOREVER), 0);
        cmp_event_clear(&events[1]);
    }
    if (stopper != 0)
        kill_and_reap(stopper);
    kill(child, SIGCONT);
    CHECK_EQ(exit_code(child), 0);
    munmap(events, 2 * sizeof *events);
}

/* Pulses at full speed: nobody who waits for one sleeps on beside them.  Waiters are
   killed all the time, which must not matter. */
static int wait_for_pulses(void *arg)
{
    (void)arg;
    while (load_relaxed(&stage->go) == 0) {
        if (cmp_event_wait(e, CMP_FOREVER) != 0)
            return 1;
        tell(&stage->count);
    }
    return 0;
}

static void test_pulses(void)
{
    enum { N = 4 };
    pid_t children[N];
    begin_clear();
    for (int i = 0; i < N; i++)
        children[i] = start_child(wait_for_pulses, NULL);
    for (int i = 0; i < 60; i++) {
        uint32_t before = load_seqcst(&stage->count);
        if (i % 10 == 0) {
            check_killed(children[i / 10 % N]);
            children[i / 10 % N] = start_child(wait_for_pulses, NULL);
        }
        for (int pulses = 0; pulses < 100; pulses++) {
            cmp_event_set(e);
            cmp_event_clear(e);
        }
        while (load_seqcst(&stage->count) == before) {
            cmp_event_set(e);
            cmp_event_clear(e);
        }
    }
    store_relaxed(&stage->go, 1);
    cmp_event_set(e);
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
}

/* One waits, and nobody else: the pulse must get through, however the two meet. */
static void test_no_pulse_lost(void)
{
    for (int i = 0; i < 60; i++) {
        begin_clear();
        pid_t child = start_child(wait_for_ever, NULL);
        if (i % 2)
            await_sleep_or_end(child);
        else
            while (load_seqcst(&e->park[0]) == 0)
                ; /* it is about to sleep */
        cmp_event_set(e);
        cmp_event_clear(e);
        CHECK_EQ(exit_code(child), 0);
    }
}

/* ---- deaths ---------------------------------------------------------------------- */

/* As cmp_event_set, up to the wake. */
static int set_and_die(void *disarms)
{
    cmp_pending(&e->park[0]);
    add_seqcst(&e->count, 1);
    if (disarms)
        xchg_seqcst(&e->park[0], 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static void start_sleepers(pid_t *children, int n)
{
    for (int i = 0; i < n; i++)
        children[i] = start_child(wait_for_ever, NULL);
    for (int i = 0; i < n; i++)
        CHECK(reaches(children[i], 'S'));
}

static void test_setter_forged(bool disarms)
{
    enum { N = 4 };
    pid_t children[N];
    begin_clear();
    start_sleepers(children, N);
    exit_code(start_child(set_and_die, disarms ? e : NULL));
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
}

static int set_it(void *pulse)
{
    cmp_event_set(e);
    if (pulse)
        cmp_event_clear(e);
    return 0;
}

static void test_setter_dies(const char *hook, bool pulse)
{
    enum { N = 4 };
    pid_t children[N];
    begin_clear();
    start_sleepers(children, N);
    CHECK_EQ(has_died(start_victim(hook, 0, set_it, pulse ? e : NULL)), HOOKED);
    if (cmp_event_count(e) == 0)
        cmp_event_set(e); /* it had done nothing yet */
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    CHECK(cmp_event_check(e) == NULL);
}

static void test_waiter_dies(const char *hook, bool victim_first, bool pulse)
{
    enum { N = 3 };
    pid_t children[N], victim = 0;
    begin_clear();
    if (!victim_first)
        start_sleepers(children, N);
    victim = start_victim(hook, 0, wait_for_ever, NULL);
    await_sleep_or_end(victim);
    if (victim_first)
        start_sleepers(children, N);
    cmp_event_set(e);
    if (pulse)
        cmp_event_clear(e);
    CHECK_EQ(has_died(victim), HOOKED);
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
}

static void test_deaths(void)
{
    static const char *const of_set[] = {
        "event.set.pending", "event.set.changed", "wake.woke", "wake.disarmed", "wake.woke_again",
    };
    static const char *const of_wait[] = {
        "event.wait.armed", "event.wait.woken", "event.wait.relay", "event.wait.relayed",
    };
    for (int i = 0; i < 4; i++)
        for (int pulse = 0; pulse < 2; pulse++)
            test_setter_dies(of_set[i], pulse);
    for (int i = 0; i < 4; i++)
        for (int how = 0; how < 4; how++)
            test_waiter_dies(of_wait[i], how & 1, how & 2);
}

/* ---- kernels, damage, system calls -------------------------------------------------- */

/* Without the kernel's help a dead setter's wake is left to the slices. */
static void test_lacking(uint32_t lacks)
{
    cmp_platform_pretend(lacks);
    test_alone();
    test_broadcast(true);
    test_setter_forged(true);
    test_ping_pong(50, false);
    cmp_platform_pretend(0);
}

static void test_damage(void)
{
    begin_clear();
    store_relaxed(&e->park[0], 12345);
    CHECK(cmp_event_check(e) != NULL);
    CHECK_EQ(wait_ms(2), -ETIMEDOUT);
    CHECK(cmp_event_check(e) == NULL);
    store_relaxed(&e->park[0], 12345);
    store_relaxed(&e->cpu, 0xdeadbeef);
    CHECK_EQ(wait_ms(2), -ETIMEDOUT);
    cmp_event_set(e);
    CHECK(cmp_event_check(e) == NULL);
    CHECK_EQ(wait_ms(0), 0);
}

static void use_it(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        CHECK(!cmp_event_is_set(e));
        CHECK_EQ(cmp_event_wait(e, 0), -ETIMEDOUT);
        cmp_event_set(e);
        cmp_event_set(e);
        CHECK(cmp_event_is_set(e));
        CHECK_EQ(cmp_event_wait(e, CMP_FOREVER), 0);
        cmp_event_clear(e);
        cmp_event_clear(e);
    }
}

int main(void)
{
    start_family(140);
    e = shared(sizeof *e);
    test_alone();
    test_damage();
    test_many_threads();
    test_publishes();
    test_set_of_what_is_set();
    test_signals();
    without_slices();
    for (int pulse = 0; pulse < 2; pulse++)
        test_broadcast(pulse);
    test_no_pulse_lost();
    test_pulses();
    test_setter_forged(false);
    test_setter_forged(true);
    if (HOOKED)
        test_deaths();
    test_ping_pong(SLOW ? 2000 : 20000, false);
    test_ping_pong(SLOW ? 5000 : 50000, true);
    test_lacking(CMP_LACKS_WAITV);
    test_lacking(CMP_LACKS_ROBUST | CMP_LACKS_PENDING);
    test_lacking(CMP_LACKS_SPIN);
    begin_clear();
    check_no_system_call(use_it, NULL);
    return done();
}
