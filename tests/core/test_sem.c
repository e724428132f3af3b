/* Description: semaphores of 0, 1, 64, 65 permits, bounded or not: counting, bounds,
   deadlines and signals; many waiters; permits of dead `with` holders come back, others
   do not; damaged cells; no system call when a permit is free. */
#include "../../src/core/sem.h"
#include "peers.h"

static struct cmp_sem *s;

static void begin_with(uint32_t value, bool bounded)
{
    begin();
    cmp_sem_init(s, 3, value, bounded);
    CHECK(cmp_sem_check(s) == NULL);
    CHECK_EQ(cmp_sem_value(s), value);
}

static int acquire_ms(int64_t ms, bool with)
{
    int rc = cmp_sem_acquire(s, with, after_ms(ms));
    CHECK(cmp_sem_check(s) == NULL);
    return rc;
}

static int release(bool with, uint32_t n)
{
    int rc = cmp_sem_release(s, with, n);
    CHECK(cmp_sem_check(s) == NULL);
    return rc;
}

static void take_all(uint32_t value, bool with)
{
    for (uint32_t i = 0; i < value; i++)
        CHECK_EQ(i & 1 ? cmp_sem_try_acquire(s, with) : acquire_ms(10000, with), 0);
    CHECK_EQ(cmp_sem_value(s), 0);
    CHECK_EQ(cmp_sem_try_acquire(s, with), -EAGAIN);
    CHECK_EQ(cmp_sem_acquire(s, with, 0), -ETIMEDOUT);
    int64_t deadline = after_ms(5);
    CHECK_EQ(cmp_sem_acquire(s, with, deadline), -ETIMEDOUT);
    CHECK(cmp_now_ns() >= deadline);
}

static void test_count(uint32_t value, bool bounded, bool with)
{
    begin_with(value, bounded);
    take_all(value, with);
    for (uint32_t i = 1; i <= value; i++) {
        CHECK_EQ(release(with, 1), 0);
        CHECK_EQ(cmp_sem_value(s), i);
    }
    if (bounded) {
        CHECK_EQ(release(with, 1), -EPERM);
        CHECK_EQ(cmp_sem_value(s), value);
        return;
    }
    for (uint32_t i = 1; i <= 70; i++) { /* past its words too */
        CHECK_EQ(release(with, 1), 0);
        CHECK_EQ(cmp_sem_value(s), value + i);
    }
    take_all(value + 70, with);
}

static void test_release_many(void)
{
    begin_with(2, false);
    take_all(2, false);
    CHECK_EQ(release(false, 100), 0);
    CHECK_EQ(cmp_sem_value(s), 100);
    take_all(100, false);
    CHECK_EQ(release(true, 3), 0);
    CHECK_EQ(cmp_sem_value(s), 3);
}

static void test_all_or_none(void)
{
    begin_with(5, true);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(cmp_sem_try_acquire(s, i == 1), 0);
    CHECK_EQ(release(false, 4), -EPERM);
    CHECK_EQ(cmp_sem_value(s), 2);
    CHECK_EQ(release(false, UINT32_MAX), -EPERM);
    CHECK_EQ(cmp_sem_value(s), 2);
    CHECK_EQ(release(false, 3), 0);
    CHECK_EQ(cmp_sem_value(s), 5);
    begin_with(100, true); /* the counter */
    CHECK_EQ(cmp_sem_try_acquire(s, true), 0);
    CHECK_EQ(release(false, 2), -EPERM);
    CHECK_EQ(cmp_sem_value(s), 99);
    CHECK_EQ(release(true, 1), 0);
}

static void test_maximum(void)
{
    begin_with(0, false);
    CHECK_EQ(release(false, CMP_SEM_MAX), 0);
    CHECK_EQ(cmp_sem_value(s), CMP_SEM_MAX);
    CHECK_EQ(release(false, 1), -EOVERFLOW);
    CHECK_EQ(release(true, UINT32_MAX), -EOVERFLOW);
    CHECK_EQ(cmp_sem_value(s), CMP_SEM_MAX);
    CHECK_EQ(cmp_sem_try_acquire(s, true), 0);
    CHECK_EQ(release(false, 2), -EOVERFLOW);
    CHECK_EQ(cmp_sem_value(s), CMP_SEM_MAX - 1);
    CHECK_EQ(release(false, 1), 0);
    begin_with(CMP_SEM_MAX, false);
    CHECK_EQ(release(false, 1), -EOVERFLOW);
    CHECK_EQ(cmp_sem_try_acquire(s, false), 0);
    CHECK_EQ(release(false, 1), 0);
}

/* A bare release does not take the record of another process's `with`. */
static void acquire_with(void *arg)
{
    for (int i = 0; i < *(int *)arg; i++)
        CHECK_EQ(cmp_sem_acquire(s, true, CMP_FOREVER), 0);
}

static void acquire_bare(void *arg)
{
    for (int i = 0; i < *(int *)arg; i++)
        CHECK_EQ(cmp_sem_acquire(s, false, CMP_FOREVER), 0);
}

static void test_release_of_others(void)
{
    int one = 1;
    begin_with(1, false);
    pid_t holder = start_peer(acquire_with, &one);
    CHECK_EQ(release(false, 1), 0); /* one more than before, and the record stands */
    CHECK_EQ(cmp_sem_try_acquire(s, false), 0);
    check_killed(holder);
    CHECK_EQ(acquire_ms(10000, false), 0);
    begin_with(1, true);
    holder = start_peer(acquire_with, &one);
    CHECK_EQ(release(false, 1), 0); /* bounded: any owner's */
    CHECK_EQ(release(false, 1), -EPERM);
    CHECK_EQ(cmp_sem_value(s), 1);
    check_killed(holder);
}

/* ---- contention ---- */

enum { TURNS = 10000 };

struct use {
    uint32_t permits;
    int turns;
    bool with;
};

static void take_turns(const struct use *use)
{
    for (int i = 0; i < use->turns; i++) {
        CHECK_EQ(cmp_sem_acquire(s, use->with, CMP_FOREVER), 0);
        CHECK(add_seqcst(&stage->inside, 1) < use->permits);
        add_seqcst(&stage->inside, UINT32_MAX);
        tell(&stage->count);
        CHECK_EQ(cmp_sem_release(s, use->with, 1), 0);
    }
}

static int turns_of_process(void *arg)
{
    take_turns(arg);
    return 0;
}

static void *turns_of_thread(void *arg)
{
    take_turns(arg);
    return NULL;
}

static void test_contention(uint32_t permits, bool bounded, bool with)
{
    struct use use = {permits, TURNS / (permits > 2 ? 4 : 1), with};
    pid_t children[4];
    begin_with(permits, bounded);
    for (int i = 0; i < 4; i++)
        children[i] = start_child(turns_of_process, &use);
    in_threads(2, turns_of_thread, &use);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    CHECK_EQ(load_seqcst(&stage->count), 6 * use.turns);
    CHECK_EQ(cmp_sem_value(s), permits);
    CHECK(cmp_sem_check(s) == NULL);
}

static void *take_one(void *arg)
{
    CHECK_EQ(cmp_sem_acquire(s, false, CMP_FOREVER), 0);
    tell(&stage->count);
    return arg;
}

/* A thousand threads asleep on one semaphore of 0; a burst of releases, or one. */
static void *release_for_all(void *arg)
{
    uint32_t n = *(uint32_t *)arg;
    sleep_ms(100);
    CHECK_EQ(cmp_sem_release(s, false, n / 2), 0);
    for (uint32_t i = n / 2; i < n; i++)
        CHECK_EQ(cmp_sem_release(s, false, 1), 0);
    return NULL;
}

static void test_many_waiters(void)
{
    uint32_t n = SLOW ? 200 : 1000;
    pthread_t t;
    begin_with(0, false);
    pthread_create(&t, NULL, release_for_all, &n);
    in_threads((int)n, take_one, NULL);
    pthread_join(t, NULL);
    CHECK_EQ(load_seqcst(&stage->count), n);
    CHECK_EQ(cmp_sem_value(s), 0);
}

static int take_in_process(void *arg)
{
    take_one(arg);
    return 0;
}

/* Three releases in a burst let three sleepers go, though each wakes one. */
static void test_burst(uint32_t initial)
{
    pid_t children[3];
    begin_with(initial, false);
    for (uint32_t i = 0; i < initial; i++)
        CHECK_EQ(cmp_sem_try_acquire(s, false), 0);
    for (int i = 0; i < 3; i++)
        children[i] = start_child(take_in_process, NULL);
    for (int i = 0; i < 3; i++)
        CHECK(reaches(children[i], 'S'));
    sleep_ms(10);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(release(false, 1), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(exit_code(children[i]), 0);
}

static void test_signal(void)
{
    struct sigaction before;
    begin_with(1, false);
    CHECK_EQ(cmp_sem_try_acquire(s, false), 0);
    pid_t pesterer = start_pesterer(&before);
    CHECK_EQ(cmp_sem_acquire(s, false, CMP_FOREVER), -EINTR);
    CHECK_EQ(cmp_sem_acquire(s, true, after_ms(50000)), -EINTR);
    stop_pesterer(pesterer, &before);
    CHECK_EQ(cmp_sem_value(s), 0);
}

/* ---- deaths ---- */

/* All permits of a killed `with` holder come back, to as many waiters. */
static void test_holder_killed(int permits, bool bounded)
{
    pid_t waiters[3];
    begin_with((uint32_t)permits, bounded);
    pid_t holder = start_peer(acquire_with, &permits);
    CHECK_EQ(acquire_ms(150, false), -ETIMEDOUT);
    int n = permits < 3 ? permits : 3;
    for (int i = 0; i < n; i++)
        waiters[i] = start_child(take_in_process, NULL);
    sleep_ms(20);
    CHECK_EQ(load_seqcst(&stage->count), 0);
    check_killed(holder);
    int64_t before = cmp_now_ns();
    for (int i = 0; i < n; i++)
        CHECK_EQ(exit_code(waiters[i]), 0);
    CHECK(cmp_now_ns() - before < 5000 * MS);
    for (int i = n; i < permits; i++)
        CHECK_EQ(cmp_sem_try_acquire(s, true), 0);
    CHECK_EQ(cmp_sem_try_acquire(s, true), -EAGAIN);
    CHECK(cmp_sem_check(s) == NULL);
}

static void test_bare_holder_killed(uint32_t permits, bool with)
{
    int n = (int)permits;
    begin_with(permits, false);
    check_killed(start_peer(with ? acquire_with : acquire_bare, &n));
    CHECK_EQ(acquire_ms(250, true), -ETIMEDOUT);
    CHECK_EQ(cmp_sem_try_acquire(s, true), -EAGAIN);
    CHECK_EQ(release(false, 1), 0);
    CHECK_EQ(acquire_ms(0, true), 0);
}

static void test_stopped_is_alive(void)
{
    int one = 1;
    begin_with(1, true);
    pid_t holder = start_peer(acquire_with, &one);
    kill(holder, SIGSTOP);
    CHECK(reaches(holder, 'T'));
    CHECK_EQ(acquire_ms(350, true), -ETIMEDOUT);
    kill(holder, SIGCONT);
    check_killed(holder);
    CHECK_EQ(acquire_ms(10000, true), 0);
}

static int exit_holding(void *arg)
{
    acquire_with(arg);
    return 0;
}

static void test_holder_exits(void)
{
    int one = 1;
    begin_with(1, false);
    CHECK_EQ(exit_code(start_child(exit_holding, &one)), 0);
    CHECK_EQ(cmp_sem_value(s), 0);
    CHECK_EQ(cmp_sem_try_acquire(s, false), 0);
    CHECK_EQ(release(false, 1), 0);
}

static void test_kernel_lacks(uint32_t lacks)
{
    cmp_platform_pretend(lacks);
    if (!(lacks & CMP_LACKS_BACKSTOP))
        test_holder_killed(2, true);
    test_burst(1);
    test_contention(1, true, true);
    cmp_platform_pretend(0);
}

/* ---- damage ---- */

static void check_unclean(uint32_t permit)
{
    begin_with(2, true);
    CHECK_EQ(cmp_sem_try_acquire(s, true), 0);
    store_seqcst(&s->permit[1], permit);
    CHECK_EQ(cmp_sem_try_acquire(s, false), -EUCLEAN);
    CHECK_EQ(cmp_sem_acquire(s, true, after_ms(1000)), -EUCLEAN);
    CHECK(cmp_sem_check(s) != NULL);
    CHECK_EQ(cmp_sem_release(s, true, 1), 0); /* of the other word */
    CHECK_EQ(cmp_sem_try_acquire(s, true), 0);
    /* An error, or what was damaged has been freed. */
    CHECK(cmp_sem_release(s, false, 2) < 0 || cmp_sem_check(s) == NULL);
    cmp_sem_value(s);
}

static void test_damage(void)
{
    check_unclean(3);
    check_unclean(0x80000000);
    check_unclean(0x1fffffff);
    check_unclean(CMP_CODE_TAG | 0x40000000 | (cmp_me() & 0x1fff));
    check_unclean(CMP_CODE_TAG | 0x1fff); /* a slot that there is not */
    begin_with(1, false);
    s->n_words = 65;
    CHECK_EQ(cmp_sem_try_acquire(s, false), -EUCLEAN);
    CHECK_EQ(cmp_sem_acquire(s, false, CMP_FOREVER), -EUCLEAN);
    CHECK_EQ(cmp_sem_release(s, false, 1), -EUCLEAN);
    CHECK(cmp_sem_check(s) != NULL);
    cmp_sem_value(s);
    for (int bounded = 0; bounded < 2; bounded++) {
        begin_with(100, bounded);
        store_seqcst(&s->surplus, UINT32_MAX);
        CHECK_EQ(cmp_sem_acquire(s, false, CMP_FOREVER), -EUCLEAN);
        CHECK_EQ(cmp_sem_release(s, false, 1), -EUCLEAN);
        CHECK(cmp_sem_check(s) != NULL);
        CHECK(cmp_sem_value(s) <= CMP_SEM_MAX);
    }
    begin_with(0, false);
    s->node = 8;
    CHECK_EQ(cmp_sem_acquire(s, false, CMP_FOREVER), -EUCLEAN);
    CHECK(cmp_sem_check(s) != NULL);
    begin_with(0, false);
    store_seqcst(&s->permit[5], 0);
    CHECK(cmp_sem_check(s) != NULL);
}

static void use_uncontended(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        cmp_sem_acquire(s, true, CMP_FOREVER);
        cmp_sem_acquire(s, false, CMP_FOREVER);
        cmp_sem_release(s, false, 1);
        cmp_sem_try_acquire(s, false);
        cmp_sem_release(s, false, 1);
        cmp_sem_release(s, true, 1);
        cmp_sem_value(s);
    }
}

int main(void)
{
    start_family(240);
    s = shared(sizeof *s);
    uint32_t values[] = {0, 1, 2, 63, 64, 65, 200};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        for (int how = 0; how < 4; how++)
            test_count(values[i], how & 1, how & 2);
    test_release_many();
    test_all_or_none();
    test_maximum();
    test_release_of_others();
    for (int how = 0; how < 4; how++) {
        test_contention(1, how & 1, how & 2);
        test_contention(3, how & 1, how & 2);
    }
    test_contention(64, true, true);
    test_contention(65, true, true);
    test_many_waiters();
    test_burst(0);
    test_burst(3);
    test_signal();
    test_holder_killed(1, true);
    test_holder_killed(5, false);
    test_holder_killed(64, true);
    test_bare_holder_killed(2, false);
    test_bare_holder_killed(65, true);
    test_stopped_is_alive();
    test_holder_exits();
    test_kernel_lacks(CMP_LACKS_ROBUST | CMP_LACKS_PENDING);
    test_kernel_lacks(CMP_LACKS_WAITV);
    test_kernel_lacks(CMP_LACKS_PIDFD);
    test_kernel_lacks(CMP_LACKS_BACKSTOP);
    test_damage();
    begin_with(2, false);
    check_no_system_call(use_uncontended, NULL);
    begin_with(65, true);
    check_no_system_call(use_uncontended, NULL);
    return done();
}
