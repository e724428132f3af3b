/* Description: Condition: who is notified, in which order, and how many; deadlines,
   signals and their handlers; a thousand threads, and too many; waiters and notifiers
   that die, at each hook where there are hooks; what the dead were given; stopped
   processes; kernels that lack something; tickets that wrap; damage; no system call
   where nobody waits. */
#include "../../src/core/cond.h"
#include "../../src/core/object.h"
#include "die.h"

#define NOTE (UINT32_C(1) << 31)
#define NODES_MAX (16 + 126 + 1022 + 8190)

/* What the tests and their children share. */
static struct cmp_lock *l;
static struct cmp_cond *c;
static struct log {
    cmp_word n;           /* waits that ended with a notify */
    cmp_word who[4096];   /* in this order */
    cmp_word n_timed_out;
} *done_log;

static void begin_with(bool recursive, uint32_t first_ticket)
{
    cmp_ref ref;
    void *cell;
    begin();
    memset(done_log, 0, sizeof *done_log);
    cmp_lock_init(l, 3, recursive);
    CHECK_EQ(cmp_object_create(CMP_TYPE_COND, sizeof *c, &ref, &cell), 0); /* links need one */
    c = cell;
    cmp_cond_init(c, cmp_object_index(ref));
    store_relaxed(&c->ticket, first_ticket);
}

static void begin_idle(void)
{
    begin_with(false, 0);
}

static void acquire(void)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(l, CMP_FOREVER, &dead);
    if (rc == -EOWNERDEAD) {
        cmp_lock_mark_consistent(l);
        rc = 0;
    }
    CHECK_EQ(rc, 0);
}

static void release(void)
{
    CHECK_EQ(cmp_lock_release(l), 0);
}

static uint32_t notify(uint32_t n)
{
    acquire();
    uint32_t got = cmp_cond_notify(c, n);
    release();
    return got;
}

/* The lock is held before and after. */
static int wait_held(int64_t deadline_ns)
{
    struct cmp_cond_wait w;
    int rc = cmp_cond_enter(c, l, &w);
    if (rc < 0)
        return rc;
    tell(&stage->inside);
    while ((rc = cmp_cond_wait(c, &w, deadline_ns)) == -EINTR)
        ;
    acquire();
    cmp_cond_leave(c, l, &w);
    return rc;
}

/* For start_child and threads: wait once, and be recorded under that number.  */
static int wait_as(void *number)
{
    acquire();
    int rc = wait_held(CMP_FOREVER);
    if (rc == 0)
        store_relaxed(&done_log->who[add_seqcst(&done_log->n, 1)], (uint32_t)(uintptr_t)number);
    release();
    return -rc;
}

static void *wait_as_thread(void *number)
{
    CHECK_EQ(wait_as(number), 0);
    return NULL;
}

static void await_waiting(uint32_t n)
{
    while (cmp_cond_n_waiting(c) != n)
        usleep(50);
}

/* n processes that wait in the order of their numbers, and sleep by now. */
static void start_waiters(pid_t *children, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t queued = load_seqcst(&stage->inside);
        children[i] = start_child(wait_as, (void *)(uintptr_t)i);
        await(&stage->inside, queued + 1);
    }
    for (uint32_t i = 0; i < n; i++)
        CHECK(reaches(children[i], 'S'));
}

static void await_done(uint32_t n)
{
    while (load_seqcst(&done_log->n) < n)
        usleep(50);
    CHECK_EQ(load_seqcst(&done_log->n), n);
}

static void check_cell(void)
{
    const char *what = cmp_cond_check(c);
    if (what != NULL)
        fprintf(stderr, "%s\n", what);
    CHECK(what == NULL);
}

static void check_empty(void)
{
    check_cell();
    CHECK_EQ(cmp_cond_n_waiting(c), 0);
    for (int i = 0; i < CMP_COND_NODES; i++)
        CHECK_EQ(load64_seqcst(&c->waiter[i]), 0);
    CHECK(!cmp_lock_held(l));
}

static uint32_t n_noted(void)
{
    uint32_t n = 0;
    for (int i = 0; i < CMP_COND_NODES; i++)
        n += ((uint32_t)load64_seqcst(&c->waiter[i]) & NOTE) != 0;
    return n;
}

/* ---- one process ------------------------------------------------------------------ */

static void test_alone(bool recursive)
{
    struct cmp_cond_wait w;
    begin_with(recursive, 0);
    CHECK_EQ(cmp_cond_enter(c, l, &w), -EPERM);
    CHECK_EQ(cmp_cond_notify(c, 1), 0);
    CHECK_EQ(cmp_cond_notify(c, UINT32_MAX), 0);
    uint32_t depth = recursive ? 3 : 1;
    for (uint32_t i = 0; i < depth; i++)
        acquire();
    CHECK_EQ(wait_held(0), -ETIMEDOUT);
    CHECK_EQ(wait_held(INT64_MIN), -ETIMEDOUT);
    int64_t deadline = after_ms(5);
    CHECK_EQ(wait_held(deadline), -ETIMEDOUT);
    CHECK(cmp_now_ns() >= deadline);
    CHECK_EQ(cmp_lock_depth(l), depth);

    CHECK_EQ(cmp_cond_enter(c, l, &w), 0);
    CHECK(!cmp_lock_held(l));
    CHECK_EQ(cmp_cond_n_waiting(c), 1);
    CHECK_EQ(cmp_cond_notify(c, 2), 1);
    CHECK_EQ(cmp_cond_notify(c, 2), 0);
    CHECK_EQ(cmp_cond_n_waiting(c), 0);
    check_cell();
    CHECK_EQ(cmp_cond_wait(c, &w, 0), 0);
    acquire();
    cmp_cond_leave(c, l, &w);
    CHECK_EQ(cmp_lock_depth(l), depth);
    for (uint32_t i = 0; i < depth; i++)
        release();
    check_empty();
}

static void test_quit(void)
{
    struct cmp_cond_wait w[3];
    begin_idle();
    for (int i = 0; i < 2; i++) {
        acquire();
        CHECK_EQ(cmp_cond_enter(c, l, &w[i]), 0);
    }
    cmp_cond_quit(c, &w[0]);
    CHECK_EQ(cmp_cond_n_waiting(c), 1);
    CHECK_EQ(cmp_cond_wait(c, &w[1], 0), -ETIMEDOUT);

    for (int i = 0; i < 3; i++) {
        if (i == 2)
            CHECK_EQ(cmp_cond_notify(c, 1), 1); /* w[0]; w[2] comes later */
        acquire();
        CHECK_EQ(cmp_cond_enter(c, l, &w[i]), 0);
    }
    cmp_cond_quit(c, &w[0]); /* passed on to w[1] */
    CHECK_EQ(cmp_cond_n_waiting(c), 1);
    cmp_cond_quit(c, &w[1]); /* nobody else waited at that time */
    CHECK_EQ(cmp_cond_n_waiting(c), 1);
    CHECK_EQ(cmp_cond_wait(c, &w[2], after_ms(2)), -ETIMEDOUT);
    CHECK_EQ(cmp_cond_wait(c, &w[2], 0), -EINVAL);
    for (int i = 0; i < 3; i++) {
        acquire();
        cmp_cond_leave(c, l, &w[i]);
        release();
    }
    check_empty();
}

static void *notify_all_slowly(void *arg)
{
    uint32_t n = (uint32_t)(uintptr_t)arg;
    await_waiting(n);
    sleep_ms(20);
    CHECK_EQ(notify(UINT32_MAX), n);
    return NULL;
}

static void *notify_each(void *arg)
{
    uint32_t n = (uint32_t)(uintptr_t)arg;
    await_waiting(n);
    for (uint32_t i = 0; i < n; i++) {
        CHECK_EQ(notify(1), 1);
        if (i % 8 == 0)
            await_done(i + 1);
    }
    return NULL;
}

static void test_many_threads(void *(*notifier)(void *))
{
    int n = SLOW ? 200 : 1000;
    pthread_t t;
    begin_idle();
    pthread_create(&t, NULL, notifier, (void *)(uintptr_t)n);
    in_threads(n, wait_as_thread, NULL);
    pthread_join(t, NULL);
    CHECK_EQ(load_seqcst(&done_log->n), n);
    check_empty();
}

static void test_too_many(void)
{
    struct cmp_cond_wait *w = calloc(NODES_MAX + 1, sizeof *w);
    begin_idle();
    for (int i = 0; i <= NODES_MAX; i++) {
        acquire();
        CHECK_EQ(cmp_cond_enter(c, l, &w[i]), i < NODES_MAX ? 0 : -ENOMEM);
    }
    CHECK(cmp_lock_is_mine(l));
    release();
    CHECK_EQ(cmp_cond_n_waiting(c), NODES_MAX);
    CHECK_EQ(cmp_cond_notify(c, 2), 2);
    CHECK_EQ(cmp_cond_wait(c, &w[0], 0), 0);
    CHECK_EQ(cmp_cond_wait(c, &w[1], 0), 0);
    check_cell();
    CHECK_EQ(cmp_cond_notify(c, UINT32_MAX), NODES_MAX - 2);
    acquire();
    for (int i = 0; i < NODES_MAX; i++)
        cmp_cond_leave(c, l, &w[i]);
    release();
    check_empty();
    free(w);
}

/* What is written before a notify, also without the lock, is seen after the wait: for
   ThreadSanitizer.  */
static int published;

static void *wait_and_read(void *arg)
{
    wait_as_thread(arg);
    CHECK_EQ(published, 1);
    return NULL;
}

static void test_publishes(void)
{
    for (int i = 0; i < 20; i++) {
        pthread_t t;
        begin_idle();
        published = 0;
        pthread_create(&t, NULL, wait_and_read, NULL);
        await_waiting(1);
        published = 1;
        CHECK_EQ(cmp_cond_notify(c, 1), 1);
        pthread_join(t, NULL);
    }
}

/* ---- order ------------------------------------------------------------------------- */

static void test_order(uint32_t first_ticket, bool with_lock)
{
    enum { N = 20 };
    pid_t children[N];
    begin_with(false, first_ticket);
    start_waiters(children, N);
    for (uint32_t i = 0; i < 5; i++) {
        CHECK_EQ(with_lock ? notify(1) : cmp_cond_notify(c, 1), 1);
        await_done(i + 1);
        CHECK_EQ(load_relaxed(&done_log->who[i]), i);
    }
    CHECK_EQ(notify(10), 10);
    await_done(15);
    bool seen[N] = {false};
    for (int i = 5; i < 15; i++)
        seen[load_relaxed(&done_log->who[i])] = true;
    for (int i = 5; i < 15; i++)
        CHECK(seen[i]);
    CHECK_EQ(cmp_cond_n_waiting(c), 5);
    check_cell();
    CHECK_EQ(notify(UINT32_MAX), 5);
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    check_empty();
}

/* Every notify that was given is somebody's, time-outs or not. */
enum { BRIEF_WAITS = 300 };

static int wait_briefly(void *arg)
{
    (void)arg;
    for (int i = 0; i < BRIEF_WAITS; i++) {
        acquire();
        int rc = wait_held(cmp_now_ns() + (i % 7) * 50000);
        add_seqcst(rc == 0 ? &done_log->n : &done_log->n_timed_out, 1);
        CHECK(rc == 0 || rc == -ETIMEDOUT);
        release();
    }
    tell(&stage->ready);
    return 0;
}

static void *wait_briefly_in_thread(void *arg)
{
    wait_briefly(arg);
    return NULL;
}

static void *notify_until_done(void *arg)
{
    uint32_t given = 0;
    while (load_seqcst(&stage->ready) != 6) {
        given += notify(1 + given % 3);
        given += cmp_cond_notify(c, 1);
        usleep(20);
    }
    *(uint32_t *)arg = given;
    return NULL;
}

static void test_none_lost(void)
{
    pid_t children[3];
    pthread_t notifier;
    uint32_t given = 0;
    begin_idle();
    for (int i = 0; i < 3; i++)
        children[i] = start_child(wait_briefly, NULL);
    pthread_create(&notifier, NULL, notify_until_done, &given);
    in_threads(3, wait_briefly_in_thread, NULL);
    pthread_join(notifier, NULL);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    CHECK_EQ(load_seqcst(&done_log->n), given);
    CHECK_EQ(load_seqcst(&done_log->n) + load_seqcst(&done_log->n_timed_out), 6 * BRIEF_WAITS);
    check_empty();
}

/* ---- signals, fork ------------------------------------------------------------------ */

/* An interrupted waiter keeps its place, and its handler may use the condition. */
static void test_signals(void)
{
    struct sigaction before;
    struct cmp_cond_wait w;
    pid_t child;
    begin_idle();
    pid_t pesterer = start_pesterer(&before);
    acquire();
    CHECK_EQ(cmp_cond_enter(c, l, &w), 0);
    CHECK_EQ(cmp_cond_wait(c, &w, CMP_FOREVER), -EINTR);
    start_waiters(&child, 1);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(cmp_cond_wait(c, &w, after_ms(50000)), -EINTR);
    CHECK_EQ(notify(1), 1);
    CHECK_EQ(cmp_cond_wait(c, &w, CMP_FOREVER), 0);
    acquire();
    cmp_cond_leave(c, l, &w);
    release();
    CHECK_EQ(load_seqcst(&done_log->n), 0);
    CHECK_EQ(notify(1), 1);
    CHECK_EQ(exit_code(child), 0);
    stop_pesterer(pesterer, &before);
    check_empty();
}

/* A signal handler that forks: both go on waiting, each for a notify of its own. */
static void test_fork_within(void)
{
    struct cmp_cond_wait w;
    begin_idle();
    acquire();
    CHECK_EQ(cmp_cond_enter(c, l, &w), 0);
    pid_t child = fork_child();
    if (child == 0) {
        CHECK_EQ(cmp_cond_wait(c, &w, CMP_FOREVER), 0);
        acquire();
        cmp_cond_leave(c, l, &w);
        release();
        _exit(n_failed);
    }
    await_waiting(2);
    CHECK_EQ(notify(1), 1);
    CHECK_EQ(cmp_cond_wait(c, &w, CMP_FOREVER), 0);
    acquire();
    cmp_cond_leave(c, l, &w);
    release();
    CHECK_EQ(cmp_cond_n_waiting(c), 1);

    pid_t quitter = fork_child(); /* with a copy of a wait that is over */
    if (quitter == 0) {
        cmp_cond_quit(c, &w);
        _exit(0);
    }
    CHECK_EQ(exit_code(quitter), 0);
    CHECK_EQ(notify(1), 1);
    CHECK_EQ(exit_code(child), 0);
    check_empty();
}

/* ---- deaths -------------------------------------------------------------------------- */

static void test_dead_take_none(void)
{
    enum { N = 6 };
    pid_t children[N];
    begin_idle();
    start_waiters(children, N);
    check_killed(children[0]);
    check_killed(children[2]);
    check_killed(children[3]);
    CHECK_EQ(notify(2), 2);
    await_done(2);
    CHECK_EQ(load_relaxed(&done_log->who[0]) + load_relaxed(&done_log->who[1]), 1 + 4);
    check_killed(children[5]);
    CHECK_EQ(notify(UINT32_MAX), 0);
    CHECK_EQ(exit_code(children[1]), 0);
    CHECK_EQ(exit_code(children[4]), 0);
    check_empty();
}

/* Notified, and killed before it has the lock: the next one gets it, not a later one. */
static void test_notified_dies(uint32_t n)
{
    enum { N = 5 };
    pid_t children[N];
    begin_idle();
    start_waiters(children, N);
    acquire();
    CHECK_EQ(cmp_cond_notify(c, n), n);
    for (uint32_t i = 0; i < n; i++)
        check_killed(children[i]);
    release();
    await_done(n < N - n ? n : N - n);
    CHECK_EQ(cmp_cond_n_waiting(c), n < N - n ? N - 2 * n : 0);
    notify(UINT32_MAX);
    for (uint32_t i = n; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    check_cell();
}

/* The notified one dies, and nobody else waited then: who comes later must not wake up. */
static void test_not_to_later_ones(void)
{
    pid_t first, later;
    begin_idle();
    start_waiters(&first, 1);
    acquire();
    CHECK_EQ(cmp_cond_notify(c, 1), 1);
    check_killed(first);
    release();
    start_waiters(&later, 1);
    sleep_ms(20);
    CHECK_EQ(load_seqcst(&done_log->n), 0);
    CHECK_EQ(cmp_cond_n_waiting(c), 1);
    CHECK_EQ(notify(2), 1);
    CHECK_EQ(exit_code(later), 0);
    check_empty();
}

static void enter_only(void *wait)
{
    acquire();
    CHECK_EQ(cmp_cond_enter(c, l, wait), 0);
}

/* Nodes of the dead are used again, before a block is added. */
static void test_nodes_come_back(void)
{
    struct cmp_cond_wait w;
    begin_idle();
    for (int i = 1; i <= 2 * CMP_COND_NODES + 3; i++) {
        check_killed(start_peer(enter_only, &w));
        CHECK_EQ(cmp_cond_n_waiting(c), (i - 1) % CMP_COND_NODES + 1);
    }
    CHECK_EQ(load64_seqcst(&c->more), 0);
    CHECK_EQ(cmp_cond_notify(c, UINT32_MAX), 0);
    check_empty();
}

/* As cmp_cond_notify, up to the wake.  */
static int notify_and_die(void *arg)
{
    (void)arg;
    cmp_pending(&c->park);
    for (int i = 0; i < CMP_COND_NODES; i++) {
        uint64_t s = load64_seqcst(&c->waiter[i]);
        if (s != 0)
            store64_seqcst(&c->waiter[i], (uint64_t)load_seqcst(&c->ticket) << 32 |
                                              NOTE | ((uint32_t)s & CMP_CODE_MASK));
    }
    kill(getpid(), SIGKILL);
    return 0;
}

static void test_notifier_forged(void)
{
    enum { N = 4 };
    pid_t children[N];
    begin_idle();
    start_waiters(children, N);
    exit_code(start_child(notify_and_die, NULL));
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    check_empty();
}

static int notify_n(void *n)
{
    notify((uint32_t)(uintptr_t)n);
    return 0;
}

/* Those it had marked wake up, the oldest ones; the others still wait.  */
static void test_notifier_dies(const char *hook, int nth, uint32_t n)
{
    enum { N = 4 };
    pid_t children[N];
    begin_idle();
    start_waiters(children, N);
    CHECK_EQ(has_died(start_victim(hook, nth, notify_n, (void *)(uintptr_t)n)), HOOKED);
    uint32_t woken = (uint32_t)nth + 1;
    await_done(woken);
    for (uint32_t i = 0; i < woken; i++)
        CHECK(load_relaxed(&done_log->who[i]) < woken);
    CHECK_EQ(notify(UINT32_MAX), N - woken);
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    check_empty();
}

/* Killed at a hook of its wait, before or behind three others: no notify is lost, unless
   the victim has used it.  */
static void test_waiter_dies(const char *hook, bool victim_first, uint32_t n)
{
    enum { N = 3 };
    pid_t children[N], victim;
    begin_idle();
    if (!victim_first)
        start_waiters(children, N);
    victim = start_victim(hook, 0, wait_as, (void *)N);
    await_sleep_or_end(victim);
    if (victim_first)
        start_waiters(children, N);
    CHECK_EQ(notify(n), n);
    await_done(n - (victim_first && strcmp(hook, "cond.leave.freed") == 0));
    while (n_noted() != 0)
        usleep(50);
    notify(UINT32_MAX);
    CHECK(has_died(victim));
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    check_cell();
}

/* The first waiter is killed with a notify; the one who is to pass it on dies, too.
   twice: then it may be passed on twice. */
static void test_repairer_dies(const char *hook, bool twice)
{
    enum { N = 3 };
    pid_t first, victim, children[N];
    begin_idle();
    start_waiters(&first, 1);
    victim = start_victim(hook, 0, wait_as, (void *)N);
    await_waiting(2);
    CHECK(reaches(victim, 'S'));
    start_waiters(children, N);
    acquire();
    CHECK_EQ(cmp_cond_notify(c, 1), 1);
    check_killed(first);
    release();
    while (n_noted() != 0 || load_seqcst(&done_log->n) == 0)
        usleep(50);
    uint32_t woken = load_seqcst(&done_log->n);
    CHECK(woken == 1 || (woken == 2 && twice));
    notify(UINT32_MAX);
    has_died(victim);
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    check_cell();
}

static int quit_notified(void *arg)
{
    struct cmp_cond_wait w;
    (void)arg;
    acquire();
    CHECK_EQ(cmp_cond_enter(c, l, &w), 0);
    tell(&stage->ready);
    await(&stage->go, 1);
    cmp_cond_quit(c, &w);
    acquire();
    cmp_cond_leave(c, l, &w);
    release();
    return 0;
}

/* Its notify goes on to the next, whether it dies or not; to both, if it dies at the last
   of these. */
static void test_quitter_dies(const char *hook)
{
    enum { N = 2 };
    pid_t children[N], victim;
    begin_idle();
    victim = start_victim(hook, 0, quit_notified, NULL);
    await(&stage->ready, 1);
    start_waiters(children, N);
    CHECK_EQ(notify(1), 1);
    store_seqcst(&stage->go, 1);
    CHECK_EQ(has_died(victim), HOOKED);
    while (n_noted() != 0 || load_seqcst(&done_log->n) == 0)
        usleep(50);
    notify(UINT32_MAX);
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    check_cell();
}

static int wait_briefly_once(void *arg)
{
    (void)arg;
    acquire();
    wait_held(after_ms(1));
    release();
    return 0;
}

/* It had given up, or not quite: the next one gets the notify. */
static void test_dies_giving_up(void)
{
    pid_t other;
    begin_idle();
    CHECK_EQ(has_died(start_victim("cond.wait.timed_out", 0, wait_briefly_once, NULL)), HOOKED);
    start_waiters(&other, 1);
    CHECK_EQ(notify(1), 1);
    CHECK_EQ(exit_code(other), 0);
    check_empty();
}

/* The one who needs a block dies when he has made it. */
static void test_dies_growing(const char *hook)
{
    enum { N = CMP_COND_NODES + 1 };
    struct cmp_cond_wait w[N];
    begin_idle();
    for (int i = 0; i < N; i++) {
        if (i == N - 1)
            CHECK_EQ(has_died(start_victim(hook, 0, wait_as, NULL)), HOOKED);
        acquire();
        CHECK_EQ(cmp_cond_enter(c, l, &w[i]), 0);
    }
    CHECK_EQ(cmp_cond_notify(c, UINT32_MAX), N);
    acquire();
    for (int i = 0; i < N; i++)
        cmp_cond_leave(c, l, &w[i]);
    release();
    check_empty();
}

static void test_deaths_at_hooks(void)
{
    static const char *const of_notify[] = {"cond.notify.marked", "cond.notify.woke"};
    static const char *const of_wait[] = {
        "cond.enter.ticket", "cond.enter.queued", "cond.enter.released", "cond.wait.looked",
        "cond.wait.woken",   "cond.wait.noted",   "cond.leave.held",     "cond.leave.freed",
    };
    static const char *const of_repair[] = {
        "cond.repair.dead", "cond.repair.relayed", "cond.pass.adopted", "cond.pass.passed",
        "cond.notify.marked", "cond.notify.woke",
    };
    for (int i = 0; i < 2; i++)
        for (int nth = 0; nth < 3; nth++) {
            test_notifier_dies(of_notify[i], nth, 3);
            test_notifier_dies(of_notify[i], nth, UINT32_MAX);
        }
    for (size_t i = 0; i < sizeof of_wait / sizeof of_wait[0]; i++)
        for (uint32_t n = 1; n < 4; n++)
            for (int first = 0; first < 2; first++)
                test_waiter_dies(of_wait[i], first, n);
    for (size_t i = 0; i < sizeof of_repair / sizeof of_repair[0]; i++)
        test_repairer_dies(of_repair[i], i >= 3);
    test_dies_giving_up();
    test_dies_growing("cond.grow.made");
    test_dies_growing("cond.grow.linked");
    test_quitter_dies("cond.quit.pending");
    test_quitter_dies("cond.pass.adopted");
    test_quitter_dies("cond.pass.passed");
}

/* ---- those without words, and more than can be watched -------------------------------- */

/* Its first thread, which has registered it, ends while another one waits: then it has no
   hold words, and nobody is told when it dies.  */
static int wait_without_words(void *number)
{
    pthread_t t;
    pthread_create(&t, NULL, wait_as_thread, number);
    await_waiting(1);
    sleep_ms(5);
    pthread_exit(NULL);
}

static void test_notified_dies_unheard(uint32_t lacks)
{
    pid_t first, second;
    begin_idle();
    cmp_platform_pretend(lacks);
    first = start_child(wait_without_words, (void *)7);
    CHECK(reaches(first, 'Z'));
    start_waiters(&second, 1);
    acquire();
    CHECK_EQ(cmp_cond_notify(c, 1), 1);
    check_killed(first);
    release();
    CHECK_EQ(exit_code(second), 0);
    CHECK_EQ(load_relaxed(&done_log->who[0]), 0);
    cmp_platform_pretend(0);
    check_empty();
}

static void test_more_processes_than_words(void)
{
    enum { N = 140 };
    pid_t children[N];
    begin_idle();
    start_waiters(children, N);
    acquire();
    CHECK_EQ(cmp_cond_notify(c, 3), 3);
    for (int i = 0; i < 2; i++)
        check_killed(children[i]);
    release();
    await_done(3);
    for (int i = 0; i < 3; i++)
        CHECK(load_relaxed(&done_log->who[i]) >= 2 && load_relaxed(&done_log->who[i]) < 5);
    CHECK_EQ(notify(UINT32_MAX), N - 5);
    for (int i = 2; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    check_empty();
}

/* ---- stopped and killed at random ------------------------------------------------------ */

/* A bounded buffer of one: numbers go through it in order. */
static cmp_word *slot_full, *next_in, *next_out;

static int produce(void *last)
{
    for (;;) {
        acquire();
        while (load_relaxed(slot_full))
            wait_held(CMP_FOREVER);
        uint32_t n = load_relaxed(next_in);
        bool over = n >= (uint32_t)(uintptr_t)last;
        if (!over) {
            store_relaxed(next_in, n + 1);
            store_relaxed(slot_full, 1);
        }
        cmp_cond_notify(c, UINT32_MAX);
        release();
        if (over)
            return 0;
    }
}

static int consume(void *last)
{
    for (;;) {
        acquire();
        while (!load_relaxed(slot_full) && load_relaxed(next_out) < (uint32_t)(uintptr_t)last)
            wait_held(CMP_FOREVER);
        bool over = load_relaxed(next_out) >= (uint32_t)(uintptr_t)last;
        if (!over) {
            store_relaxed(slot_full, 0);
            store_relaxed(next_out, load_relaxed(next_out) + 1);
        }
        cmp_cond_notify(c, UINT32_MAX);
        release();
        if (over)
            return 0;
    }
}

static void test_stopped(uint32_t last)
{
    enum { N = 3 };
    pid_t children[N];
    begin_idle();
    slot_full = &done_log->who[0], next_in = &done_log->who[1], next_out = &done_log->who[2];
    for (int i = 0; i < N; i++)
        children[i] = start_child(i == 0 ? produce : consume, (void *)(uintptr_t)last);
    unsigned int seed = 1;
    while (load_relaxed(next_out) < last) {
        seed = seed * 1103515245 + 12345;
        pid_t child = children[(seed >> 16) % N];
        kill(child, SIGSTOP);
        usleep(seed >> 20 & 511);
        kill(child, SIGCONT);
    }
    notify(UINT32_MAX);
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    check_empty();
}

/* Waiters are killed anywhere, under a hail of notifies: the rest still get theirs. */
static void test_killed_at_random(int rounds)
{
    enum { N = 4 };
    pid_t children[N];
    begin_idle();
    for (int i = 0; i < N; i++)
        children[i] = start_child(wait_briefly, NULL);
    for (int i = 0; i < rounds; i++) {
        usleep((useconds_t)(i * 37 % 400));
        notify(1 + (uint32_t)i % 2);
        int k = i % N;
        kill_and_reap(children[k]);
        children[k] = start_child(wait_briefly, NULL);
        check_cell();
    }
    for (int i = 0; i < N; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    cmp_cond_notify(c, UINT32_MAX);
    check_cell();
}

/* ---- kernels, damage, system calls -------------------------------------------------------- */

static void test_lacking(uint32_t lacks)
{
    cmp_platform_pretend(lacks);
    test_alone(true);
    test_order(0, false);
    test_notified_dies(2);
    cmp_platform_pretend(0);
}

static void test_damage(void)
{
    struct cmp_cond_wait w;
    begin_idle();
    acquire();
    store_relaxed(&c->park, 0);
    CHECK(cmp_cond_check(c) != NULL);
    CHECK_EQ(cmp_cond_enter(c, l, &w), -EUCLEAN);
    store_relaxed(&c->park, PARK_ARMED);
    for (int how = 0; how < 3; how++) {
        CHECK_EQ(cmp_cond_enter(c, l, &w), 0);
        if (how == 0)
            store64_relaxed(w.waiter, UINT64_C(0x123456789abcdef));
        else if (how == 1)
            store64_relaxed(w.waiter, 0);
        else
            store_relaxed(&c->park, 7);
        CHECK_EQ(how == 1, cmp_cond_check(c) == NULL);
        CHECK_EQ(cmp_cond_wait(c, &w, CMP_FOREVER), -EUCLEAN);
        cmp_cond_quit(c, &w);
        acquire();
        cmp_cond_leave(c, l, &w);
        store_relaxed(&c->park, PARK_ARMED);
        memset(c->waiter, 0, sizeof c->waiter);
    }
    /* Nodes that mean nothing, a chain that leads nowhere. */
    for (int i = 0; i < CMP_COND_NODES; i++)
        store64_relaxed(&c->waiter[i], UINT64_C(0xdeadbeef00000001) * (uint64_t)(i + 1));
    CHECK_EQ(cmp_cond_notify(c, 1) + cmp_cond_notify(c, UINT32_MAX), 0);
    store64_relaxed(&c->more, UINT64_C(0x1234567812345678));
    CHECK_EQ(cmp_cond_enter(c, l, &w), -EUCLEAN);
    cmp_ref ref;
    void *cell;
    CHECK_EQ(cmp_object_create(CMP_TYPE_COND_MORE, 8192, &ref, &cell), 0);
    memset(cell, 0, 8192); /* its depth is not 1 */
    store64_relaxed(&c->more, ref);
    CHECK_EQ(cmp_cond_enter(c, l, &w), -EUCLEAN);
    CHECK_EQ(cmp_cond_notify(c, 1), 0);
    memset(c->waiter, 0, sizeof c->waiter);
    CHECK(cmp_cond_check(c) != NULL);
    CHECK(cmp_lock_is_mine(l));
    release();
}

static void use_it(void *arg)
{
    struct cmp_cond_wait w;
    uint32_t dead;
    (void)arg;
    CHECK_EQ(cmp_lock_acquire(l, CMP_FOREVER, &dead), 0);
    CHECK_EQ(cmp_cond_notify(c, 1) + cmp_cond_notify(c, UINT32_MAX), 0);
    CHECK_EQ(cmp_cond_enter(c, l, &w), 0);
    CHECK_EQ(cmp_cond_wait(c, &w, 0), -ETIMEDOUT);
    CHECK_EQ(cmp_lock_acquire(l, CMP_FOREVER, &dead), 0);
    cmp_cond_leave(c, l, &w);
    CHECK_EQ(cmp_lock_release(l), 0);
}

int main(void)
{
    start_family(140);
    l = shared(sizeof *l);
    done_log = shared(sizeof *done_log);
    for (int recursive = 0; recursive < 2; recursive++)
        test_alone(recursive);
    test_quit();
    test_damage();
    test_many_threads(notify_all_slowly);
    test_many_threads(notify_each);
    test_too_many();
    test_publishes();
    test_signals();
    test_fork_within();
    test_notified_dies_unheard(0);
    test_notified_dies_unheard(CMP_LACKS_ROBUST | CMP_LACKS_PENDING);
    if (!SLOW)
        test_more_processes_than_words();
    without_slices();
    test_order(0, true);
    test_order(UINT32_MAX - 4, false);
    test_none_lost();
    test_dead_take_none();
    for (uint32_t n = 1; n <= 3; n++)
        test_notified_dies(n);
    test_not_to_later_ones();
    test_nodes_come_back();
    test_notifier_forged();
    if (HOOKED)
        test_deaths_at_hooks();
    test_stopped(SLOW ? 2000 : 10000);
    test_killed_at_random(60);
    test_lacking(CMP_LACKS_WAITV);
    test_lacking(CMP_LACKS_ROBUST | CMP_LACKS_PENDING);
    test_lacking(CMP_LACKS_SPIN);
    begin_idle();
    check_no_system_call(use_it, NULL);
    return done();
}
