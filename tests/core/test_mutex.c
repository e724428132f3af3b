/* Description: the robust side lock excludes threads and processes, times out, is
   interrupted, and is freed when its owner dies: holding it, or woken and not yet
   holding it; without a robust list too, after a slice. */
#include "../../src/core/mutex.h"
#include "peers.h"

static struct cmp_mutex *m;

static void begin_free(void)
{
    begin();
    cmp_mutex_init(m);
}

static uint32_t word(void)
{
    return load_seqcst(&m->node.word);
}

static void test_free(void)
{
    begin_free();
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(cmp_mutex_lock(m, CMP_FOREVER), 0);
        CHECK_EQ(word(), cmp_tid());
        CHECK_EQ(cmp_mutex_try_lock(m), -EAGAIN);
        CHECK_EQ(cmp_mutex_lock(m, 0), -ETIMEDOUT);
        cmp_mutex_unlock(m);
        CHECK_EQ(word() & CMP_TID_MASK, 0);
    }
    CHECK_EQ(cmp_mutex_try_lock(m), 0);
    cmp_mutex_unlock(m);
    CHECK_EQ(word(), 0);
}

enum { TURNS = 20000 };

static void take_turns(int n)
{
    for (int i = 0; i < n; i++) {
        CHECK_EQ(cmp_mutex_lock(m, CMP_FOREVER), 0);
        CHECK_EQ(add_seqcst(&stage->inside, 1), 0);
        store_relaxed(&stage->count, load_relaxed(&stage->count) + 1);
        add_seqcst(&stage->inside, UINT32_MAX);
        cmp_mutex_unlock(m);
    }
}

static int turns_of_process(void *arg)
{
    (void)arg;
    take_turns(TURNS);
    return 0;
}

static void *turns_of_thread(void *arg)
{
    (void)arg;
    take_turns(TURNS / 4);
    return NULL;
}

static void test_exclusion(void)
{
    pid_t children[4];
    begin_free();
    for (int i = 0; i < 4; i++)
        children[i] = start_child(turns_of_process, NULL);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    CHECK_EQ(load_seqcst(&stage->count), 4 * TURNS);
    begin_free();
    in_threads(4, turns_of_thread, NULL);
    CHECK_EQ(load_seqcst(&stage->count), TURNS);
    CHECK_EQ(word() & CMP_TID_MASK, 0);
}

static void lock_it(void *arg)
{
    (void)arg;
    CHECK_EQ(cmp_mutex_lock(m, CMP_FOREVER), 0);
}

static void test_time_out_and_signal(void)
{
    struct sigaction before;
    begin_free();
    pid_t owner = start_peer(lock_it, NULL);
    int64_t deadline = after_ms(30);
    CHECK_EQ(cmp_mutex_lock(m, deadline), -ETIMEDOUT);
    CHECK(cmp_now_ns() >= deadline);
    pid_t pesterer = start_pesterer(&before);
    CHECK_EQ(cmp_mutex_lock(m, CMP_FOREVER), -EINTR);
    stop_pesterer(pesterer, &before);
    check_killed(owner);
    CHECK_EQ(cmp_mutex_lock(m, CMP_FOREVER), -EOWNERDEAD);
    cmp_mutex_unlock(m);
}

static int lock_and_tell(void *arg)
{
    (void)arg;
    int rc = cmp_mutex_lock(m, CMP_FOREVER);
    tell(&stage->count);
    cmp_mutex_unlock(m);
    return rc == -EOWNERDEAD ? 1 : rc != 0 ? 2 : 0;
}

/* The first to come is told, and the others are not. */
static void test_owner_killed(int n_waiters)
{
    pid_t waiters[8];
    int told = 0;
    begin_free();
    pid_t owner = start_peer(lock_it, NULL);
    for (int i = 0; i < n_waiters; i++)
        waiters[i] = start_child(lock_and_tell, NULL);
    sleep_ms(20);
    CHECK_EQ(load_seqcst(&stage->count), 0);
    check_killed(owner);
    for (int i = 0; i < n_waiters; i++) {
        int code = exit_code(waiters[i]);
        CHECK(code == 0 || code == 1);
        told += code;
    }
    if (n_waiters > 0)
        CHECK_EQ(told, 1);
    CHECK_EQ(cmp_mutex_lock(m, CMP_FOREVER), n_waiters > 0 ? 0 : -EOWNERDEAD);
    cmp_mutex_unlock(m);
    CHECK_EQ(cmp_mutex_try_lock(m), 0);
    cmp_mutex_unlock(m);
}

/* The one who recovers dies too. */
static void test_heir_killed(void)
{
    begin_free();
    check_killed(start_peer(lock_it, NULL));
    pid_t heir = fork_child();
    if (heir == 0) {
        CHECK_EQ(cmp_mutex_lock(m, CMP_FOREVER), -EOWNERDEAD);
        kill(getpid(), SIGKILL);
    }
    CHECK_EQ(exit_code(heir), -SIGKILL);
    CHECK_EQ(cmp_mutex_lock(m, CMP_FOREVER), -EOWNERDEAD);
    cmp_mutex_unlock(m);
}

/* A stopped sleeper is killed after the wake that was meant for it. */
static void test_woken_one_killed(void)
{
    begin_free();
    CHECK_EQ(cmp_mutex_lock(m, CMP_FOREVER), 0);
    pid_t a = start_child(lock_and_tell, NULL);
    CHECK(reaches(a, 'S'));
    sleep_ms(10);
    pid_t b = start_child(lock_and_tell, NULL);
    CHECK(reaches(b, 'S'));
    sleep_ms(10);
    cmp_mutex_unlock(m);
    kill_and_reap(a); /* wherever it is by now */
    int code = exit_code(b);
    CHECK(code == 0 || code == 1);
}

static void *hold_and_end(void *arg)
{
    (void)arg;
    CHECK_EQ(cmp_mutex_lock(m, CMP_FOREVER), 0);
    return NULL;
}

/* The owner is a thread: its process lives on. */
static void test_thread_ends(void)
{
    begin_free();
    in_threads(1, hold_and_end, NULL);
    CHECK_EQ(cmp_mutex_lock(m, CMP_FOREVER), -EOWNERDEAD);
    cmp_mutex_unlock(m);
}

/* Nobody marks the word: the waiter finds out when its slice is over, not before the
   owner is dead. */
static void test_without_robust_list(void)
{
    begin_free();
    pid_t owner = fork_child();
    if (owner == 0) {
        cmp_platform_pretend(CMP_LACKS_ROBUST | CMP_LACKS_PENDING);
        lock_it(NULL);
        tell(&stage->ready);
        for (;;)
            pause();
    }
    await(&stage->ready, 1);
    CHECK_EQ(cmp_mutex_lock(m, after_ms(250)), -ETIMEDOUT);
    check_killed(owner);
    CHECK_EQ(word() & CMP_OWNER_DIED, 0);
    CHECK_EQ(cmp_mutex_lock(m, after_ms(20000)), -EOWNERDEAD);
    cmp_mutex_unlock(m);
}

static void use_uncontended(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        cmp_mutex_lock(m, CMP_FOREVER);
        cmp_mutex_unlock(m);
        cmp_mutex_try_lock(m);
        cmp_mutex_unlock(m);
    }
}

int main(void)
{
    start_family(120);
    if (!cmp_robust_works())
        skip("there is no robust list here");
    m = shared(sizeof *m);
    test_free();
    test_exclusion();
    test_time_out_and_signal();
    for (int n = 0; n <= 6; n += 3)
        test_owner_killed(n);
    test_heir_killed();
    test_woken_one_killed();
    test_thread_ends();
    test_without_robust_list();
    begin_free();
    check_no_system_call(use_uncontended, NULL);
    return done();
}
