/* Description: Lock: exclusion, deadlines and signals; an owner that is killed, exits,
   execs or is stopped; DIED until mark_consistent; gates; threads of one process;
   kernels that do not tell of deaths; damaged cells; no system call when free. */
#include "../../src/core/lock.h"
#include "../../src/core/object.h"
#include "peers.h"

#define GATE (UINT32_C(1) << 31)
#define DIED (UINT32_C(1) << 30)

static struct cmp_lock *l;
static uint32_t dead;

static void begin_free(void)
{
    begin();
    cmp_lock_init(l, 5, false);
    dead = 0;
}

static int acquire(void)
{
    int rc = cmp_lock_acquire(l, CMP_FOREVER, &dead);
    CHECK(cmp_lock_check(l) == NULL);
    return rc;
}

static int acquire_ms(int64_t ms)
{
    return cmp_lock_acquire(l, after_ms(ms), &dead);
}

static int release(void)
{
    int rc = cmp_lock_release(l);
    CHECK(cmp_lock_check(l) == NULL);
    return rc;
}

static void acquire_it(void *arg)
{
    (void)arg;
    CHECK_EQ(acquire(), 0);
}

static uint32_t flags(void)
{
    return load_seqcst(&l->word) & (GATE | DIED);
}

static void test_free(void)
{
    begin_free();
    CHECK_EQ(release(), -EPERM);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(i == 1 ? cmp_lock_try_acquire(l, &dead) : acquire(), 0);
        CHECK(cmp_lock_held(l) && cmp_lock_is_mine(l));
        CHECK_EQ(cmp_lock_owner(l), cmp_me());
        CHECK_EQ(cmp_lock_depth(l), 1);
        CHECK_EQ(cmp_lock_try_acquire(l, &dead), -EAGAIN);
        CHECK_EQ(cmp_lock_acquire(l, 0, &dead), -ETIMEDOUT);
        CHECK_EQ(cmp_lock_acquire(l, INT64_MIN, &dead), -ETIMEDOUT);
        CHECK_EQ(release(), 0);
        CHECK(!cmp_lock_held(l) && !cmp_lock_is_mine(l));
        CHECK_EQ(cmp_lock_depth(l), 0);
    }
    CHECK_EQ(flags(), 0);
    CHECK_EQ(dead, 0);
}

enum { TURNS = 20000 };

static void take_turns(int n)
{
    uint32_t who;
    for (int i = 0; i < n; i++) {
        CHECK_EQ(cmp_lock_acquire(l, CMP_FOREVER, &who), 0);
        CHECK_EQ(add_seqcst(&stage->inside, 1), 0);
        store_relaxed(&stage->count, load_relaxed(&stage->count) + 1);
        add_seqcst(&stage->inside, UINT32_MAX);
        CHECK_EQ(cmp_lock_release(l), 0);
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
    take_turns(*(int *)arg);
    return NULL;
}

static void test_exclusion(void)
{
    pid_t children[4];
    int turns = TURNS / 4;
    begin_free();
    for (int i = 0; i < 4; i++)
        children[i] = start_child(turns_of_process, NULL);
    in_threads(4, turns_of_thread, &turns);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    CHECK_EQ(load_seqcst(&stage->count), 5 * TURNS);
    CHECK(!cmp_lock_held(l));
    CHECK_EQ(flags(), 0);
}

static void test_many_threads(void)
{
    int turns = 3;
    begin_free();
    in_threads(SLOW ? 200 : 1000, turns_of_thread, &turns);
    CHECK_EQ(load_seqcst(&stage->count), SLOW ? 600 : 3000);
}

static void test_time_out_and_signal(void)
{
    struct sigaction before;
    begin_free();
    pid_t owner = start_peer(acquire_it, NULL);
    int64_t deadline = after_ms(30);
    CHECK_EQ(cmp_lock_acquire(l, deadline, &dead), -ETIMEDOUT);
    CHECK(cmp_now_ns() >= deadline);
    pid_t pesterer = start_pesterer(&before);
    CHECK_EQ(acquire(), -EINTR);
    CHECK_EQ(acquire_ms(50000), -EINTR);
    stop_pesterer(pesterer, &before);
    check_killed(owner);
    CHECK_EQ(acquire(), -EOWNERDEAD);
    CHECK_EQ(release(), 0);
}

/* A thread that holds it and asks again waits, as any other would. */
static void test_self_deadlock(void)
{
    begin_free();
    CHECK_EQ(acquire(), 0);
    CHECK_EQ(acquire_ms(150), -ETIMEDOUT);
    CHECK_EQ(release(), 0);
}

static int acquire_and_tell(void *arg)
{
    (void)arg;
    uint32_t who = 0;
    int rc = cmp_lock_acquire(l, CMP_FOREVER, &who);
    tell(&stage->count);
    bool died = cmp_lock_owner_died(l);
    CHECK_EQ(cmp_lock_release(l), 0);
    CHECK(rc == 0 || (rc == -EOWNERDEAD && who == load_seqcst(&stage->result)));
    return 2 * died + (rc == -EOWNERDEAD);
}

/* One of the waiters takes it over; all of them see the flag. */
static void test_owner_killed(int n_waiters)
{
    pid_t waiters[8];
    int told = 0;
    begin_free();
    pid_t owner = start_peer(acquire_it, NULL);
    uint32_t code = cmp_lock_owner(l);
    store_seqcst(&stage->result, code);
    for (int i = 0; i < n_waiters; i++)
        waiters[i] = start_child(acquire_and_tell, NULL);
    sleep_ms(20);
    CHECK_EQ(load_seqcst(&stage->count), 0);
    check_killed(owner);
    for (int i = 0; i < n_waiters; i++) {
        int how = exit_code(waiters[i]);
        CHECK(how == 2 || how == 3);
        told += how & 1;
    }
    if (n_waiters == 0) {
        CHECK_EQ(acquire(), -EOWNERDEAD);
        CHECK_EQ(dead, code);
        CHECK_EQ(release(), 0);
    } else {
        CHECK_EQ(told, 1);
    }
    CHECK_EQ(load_relaxed(&l->dead), code);
    CHECK_EQ(acquire(), 0);
    CHECK(cmp_lock_owner_died(l));
    cmp_lock_mark_consistent(l);
    CHECK(!cmp_lock_owner_died(l));
    CHECK(cmp_lock_is_mine(l));
    CHECK_EQ(release(), 0);
    CHECK_EQ(flags(), 0);
}

static void test_try_sees_the_dead(void)
{
    begin_free();
    pid_t owner = start_peer(acquire_it, NULL);
    CHECK_EQ(cmp_lock_try_acquire(l, &dead), -EAGAIN);
    check_killed(owner);
    CHECK_EQ(cmp_lock_try_acquire(l, &dead), -EOWNERDEAD);
    CHECK_EQ(release(), 0);
}

static int exec_true(void *arg)
{
    (void)arg;
    acquire_it(NULL);
    tell(&stage->ready);
    await(&stage->go, 1);
    execl("/bin/sleep", "sleep", "100", (char *)NULL);
    return 98;
}

static int exit_holding(void *arg)
{
    acquire_it(NULL);
    tell(&stage->ready);
    await(&stage->go, 1);
    if (*(bool *)arg)
        cmp_owner_leave();
    return 0;
}

static pid_t start_waiting(int (*body)(void *), void *arg)
{
    pid_t pid = start_child(body, arg);
    await(&stage->ready, 1);
    return pid;
}

/* A lock, not a gate: taken over however its owner ended. */
static void test_owner_exits(bool in_order)
{
    begin_free();
    pid_t owner = start_waiting(exit_holding, &in_order);
    CHECK_EQ(acquire_ms(20), -ETIMEDOUT);
    tell(&stage->go);
    CHECK_EQ(acquire(), -EOWNERDEAD);
    CHECK_EQ(release(), 0);
    CHECK_EQ(exit_code(owner), 0);
}

static void test_owner_execs(void)
{
    begin_free();
    pid_t owner = start_waiting(exec_true, NULL);
    tell(&stage->go);
    CHECK_EQ(acquire_ms(20000), -EOWNERDEAD);
    CHECK_EQ(release(), 0);
    check_killed(owner); /* it lived on, as another program */
}

static void test_stopped_is_alive(void)
{
    begin_free();
    pid_t owner = start_peer(acquire_it, NULL);
    kill(owner, SIGSTOP);
    CHECK(reaches(owner, 'T'));
    CHECK_EQ(acquire_ms(350), -ETIMEDOUT); /* over slices too */
    CHECK_EQ(cmp_lock_try_acquire(l, &dead), -EAGAIN);
    kill(owner, SIGCONT);
    check_killed(owner);
    CHECK_EQ(acquire(), -EOWNERDEAD);
    CHECK_EQ(release(), 0);
}

/* Taken over from the dead, it is nobody else's to release. */
static int release_foreign(void *arg)
{
    (void)arg;
    return -cmp_lock_release(l);
}

static void test_release_after_take_over(void)
{
    begin_free();
    check_killed(start_peer(acquire_it, NULL));
    CHECK_EQ(acquire(), -EOWNERDEAD);
    CHECK_EQ(exit_code(start_child(release_foreign, NULL)), EPERM);
    CHECK(cmp_lock_is_mine(l));
    cmp_lock_mark_consistent(l);
    CHECK_EQ(exit_code(start_child(release_foreign, NULL)), 0);
    CHECK(!cmp_lock_held(l));
    CHECK_EQ(flags(), GATE);
    CHECK_EQ(release(), -EPERM);
}

/* ---- gates ---- */

static void make_gate(void)
{
    begin_free();
    CHECK_EQ(acquire(), 0);
    CHECK_EQ(exit_code(start_child(release_foreign, NULL)), 0);
    CHECK_EQ(flags(), GATE);
}

static int acquire_closed(void *arg)
{
    (void)arg;
    uint32_t who;
    return cmp_lock_acquire(l, CMP_FOREVER, &who) == 0 ? 0 : 1;
}

/* Whoever closed it has left: it stays closed until somebody opens it. */
static void check_closed_then_open(void)
{
    CHECK_EQ(acquire_ms(150), -ETIMEDOUT);
    CHECK_EQ(cmp_lock_try_acquire(l, &dead), -EAGAIN);
    pid_t waiter = start_child(acquire_closed, NULL);
    CHECK(reaches(waiter, 'S'));
    sleep_ms(10);
    CHECK_EQ(release(), 0);
    CHECK_EQ(exit_code(waiter), 0); /* and it leaves without opening it ... */
}

static void test_gate_left_in_order(void)
{
    bool in_order = true;
    make_gate();
    pid_t owner = start_waiting(exit_holding, &in_order);
    tell(&stage->go);
    CHECK_EQ(exit_code(owner), 0);
    check_closed_then_open();
}

static void test_gate_execs(void)
{
    make_gate();
    pid_t owner = start_waiting(exec_true, NULL);
    tell(&stage->go);
    for (int i = 0; i < 1000 && cmp_lock_owner(l) == 0; i++)
        usleep(100);
    sleep_ms(50);
    check_closed_then_open();
    check_killed(owner);
}

static void test_gate_killed(void)
{
    bool in_order = false;
    make_gate();
    check_killed(start_peer(acquire_it, NULL));
    CHECK_EQ(acquire(), -EOWNERDEAD);
    CHECK_EQ(flags(), GATE | DIED);
    CHECK_EQ(release(), 0);
    make_gate();
    pid_t owner = start_waiting(exit_holding, &in_order); /* _exit alone is no order */
    tell(&stage->go);
    CHECK_EQ(exit_code(owner), 0);
    CHECK_EQ(acquire(), -EOWNERDEAD);
    CHECK_EQ(release(), 0);
}

/* A signal from process to process, as the standard library's own tests use it. */
static int ping(void *arg)
{
    struct cmp_lock *gates = arg;
    uint32_t who;
    for (int i = 0; i < 2000; i++) {
        CHECK_EQ(cmp_lock_acquire(&gates[0], CMP_FOREVER, &who), 0);
        CHECK_EQ(cmp_lock_release(&gates[1]), 0);
    }
    return 0;
}

/* Nor when a sweep has freed its slot, which alone can tell how it ended. */
static void test_gate_killed_and_swept(void)
{
    struct cmp_lock *usual = l;
    cmp_ref ref;
    void *cell;
    CHECK_EQ(cmp_object_create(CMP_TYPE_LOCK, sizeof *l, &ref, &cell), 0);
    l = cell;
    make_gate();
    check_killed(start_peer(acquire_it, NULL));
    uint32_t owner = cmp_lock_owner(l);
    cmp_sweep();
    uint32_t value;
    CHECK_EQ(cmp_owner_hint(owner, 0, &value), CMP_HINT_GONE);
    CHECK_EQ(acquire_ms(10000), -EOWNERDEAD);
    CHECK_EQ(release(), 0);
    cmp_object_drop(ref);
    l = usual;
}

static void test_gate_ping_pong(void)
{
    struct cmp_lock *gates = shared(2 * sizeof *gates);
    begin();
    for (int i = 0; i < 2; i++) {
        cmp_lock_init(&gates[i], (uint32_t)i, false);
        CHECK_EQ(cmp_lock_acquire(&gates[i], CMP_FOREVER, &dead), 0);
    }
    pid_t child = start_child(ping, gates);
    for (int i = 0; i < 2000; i++) {
        CHECK_EQ(cmp_lock_release(&gates[0]), 0);
        CHECK_EQ(cmp_lock_acquire(&gates[1], CMP_FOREVER, &dead), 0);
    }
    CHECK_EQ(exit_code(child), 0);
    munmap(gates, 2 * sizeof *gates);
}

/* ---- threads ---- */

static void *release_in_thread(void *arg)
{
    (void)arg;
    sleep_ms(30);
    CHECK_EQ(cmp_lock_release(l), 0);
    return NULL;
}

static void *acquire_in_thread(void *arg)
{
    (void)arg;
    uint32_t who;
    CHECK_EQ(cmp_lock_acquire(l, CMP_FOREVER, &who), 0);
    return NULL;
}

/* Held by its own process, it is waited for; any thread may release it. */
static void test_threads(void)
{
    pthread_t t;
    begin_free();
    CHECK_EQ(acquire(), 0);
    pthread_create(&t, NULL, release_in_thread, NULL);
    CHECK_EQ(acquire(), 0);
    pthread_join(t, NULL);
    CHECK_EQ(release(), 0);
    CHECK_EQ(flags(), 0);
    in_threads(1, acquire_in_thread, NULL); /* that thread has ended, not its process */
    CHECK_EQ(acquire_ms(150), -ETIMEDOUT);
    CHECK_EQ(release(), 0);
}

/* Its first thread, which registered it, has ended: its words say nothing, /proc shows
   a zombie, and it lives all the same.  Its death is noticed. */
static void *stay_alive(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void test_first_thread_ended(void)
{
    begin_free();
    pid_t owner = fork_child();
    if (owner == 0) {
        pthread_t t;
        acquire_it(NULL);
        pthread_create(&t, NULL, stay_alive, NULL);
        tell(&stage->ready);
        pthread_exit(NULL);
    }
    await(&stage->ready, 1);
    CHECK(reaches(owner, 'Z'));
    CHECK_EQ(acquire_ms(250), -ETIMEDOUT);
    CHECK_EQ(cmp_lock_try_acquire(l, &dead), -EAGAIN);
    pid_t waiter = start_child(acquire_and_tell, NULL);
    store_seqcst(&stage->result, cmp_lock_owner(l));
    sleep_ms(20);
    check_killed(owner);
    CHECK_EQ(exit_code(waiter), 3);
    CHECK_EQ(acquire(), 0);
    CHECK_EQ(release(), 0);
}

/* ---- kernels that lack something ---- */

static void test_owner_without_words(uint32_t lacks)
{
    begin_free();
    cmp_platform_pretend(lacks);
    pid_t owner = start_peer(acquire_it, NULL);
    CHECK_EQ(acquire_ms(20), -ETIMEDOUT);
    pid_t waiter = start_child(acquire_and_tell, NULL);
    store_seqcst(&stage->result, cmp_lock_owner(l));
    sleep_ms(130);
    CHECK_EQ(load_seqcst(&stage->count), 0);
    check_killed(owner);
    CHECK_EQ(exit_code(waiter), 3);
    CHECK_EQ(acquire(), 0);
    CHECK_EQ(release(), 0);
    cmp_platform_pretend(0);
}

/* ---- damage ---- */

static void check_unclean(uint32_t word)
{
    begin_free();
    store_seqcst(&l->word, word);
    CHECK_EQ(cmp_lock_try_acquire(l, &dead), -EUCLEAN);
    CHECK_EQ(acquire_ms(1000), -EUCLEAN);
    CHECK(cmp_lock_check(l) != NULL);
}

static void test_damage(void)
{
    check_unclean(1);
    check_unclean(0x1fffffff);
    check_unclean(DIED | 4711);
    check_unclean(GATE | DIED | CMP_CODE_TAG | 0x1fff); /* a slot that there is not */
    begin_free();
    store_seqcst(&l->word, 5);
    CHECK_EQ(cmp_lock_release(l), -EUCLEAN);
    begin_free();
    CHECK_EQ(acquire_ms(0), 0);
    l->node = 8;
    CHECK_EQ(acquire_ms(1000), -EUCLEAN);
    CHECK(cmp_lock_check(l) != NULL);
    l->node = 5;
    store_seqcst(&l->park, 12345);
    CHECK(cmp_lock_check(l) != NULL);
    CHECK_EQ(acquire_ms(10), -ETIMEDOUT);
    CHECK_EQ(cmp_lock_release(l), 0);
}

/* A code of a slot in use, but of another life: its process is gone for good. */
static void test_owner_gone(void)
{
    begin_free();
    uint32_t old = cmp_me() ^ (1u << CMP_SLOT_BITS);
    store_seqcst(&l->word, old);
    CHECK_EQ(acquire(), -EOWNERDEAD);
    CHECK_EQ(dead, old);
    CHECK_EQ(release(), 0);
    begin_free();
    store_seqcst(&l->word, GATE | old); /* how it ended nobody can tell */
    CHECK_EQ(acquire_ms(30), -ETIMEDOUT);
    CHECK_EQ(release(), 0);
}

static void use_uncontended(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        cmp_lock_acquire(l, CMP_FOREVER, &dead);
        cmp_lock_try_acquire(l, &dead);
        cmp_lock_release(l);
        cmp_lock_held(l);
        cmp_lock_is_mine(l);
    }
}

int main(void)
{
    start_family(240);
    l = shared(sizeof *l);
    test_free();
    test_exclusion();
    test_many_threads();
    test_time_out_and_signal();
    test_self_deadlock();
    for (int n = 0; n <= 6; n += 3)
        test_owner_killed(n);
    test_try_sees_the_dead();
    test_owner_exits(true);
    test_owner_exits(false);
    test_owner_execs();
    test_stopped_is_alive();
    test_release_after_take_over();
    test_gate_left_in_order();
    test_gate_execs();
    test_gate_killed();
    test_gate_killed_and_swept();
    test_gate_ping_pong();
    test_threads();
    test_first_thread_ended();
    test_owner_without_words(CMP_LACKS_ROBUST | CMP_LACKS_PENDING);
    test_owner_without_words(CMP_LACKS_WAITV);
    test_owner_without_words(CMP_LACKS_PIDFD);
    test_owner_without_words(CMP_LACKS_BACKSTOP);
    test_damage();
    test_owner_gone();
    begin_free();
    check_no_system_call(use_uncontended, NULL);
    return done();
}
