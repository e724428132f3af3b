/* Description: Barrier: rounds of processes and threads, indices, n_waiting; time-outs,
   abort, reset; actions, and those that fail; signals; parties that die, at each hook
   where there are hooks; more processes than parties, more parties than can be watched;
   stopped processes; kernels that lack something; phases that wrap; damage; no system
   call for one party. */
#include "../../src/core/barrier.h"
#include "die.h"

#define PHASE_BITS 30
#define BYTES (64 + 8 * CMP_BARRIER_PARTIES_MAX)

static struct cmp_barrier *b;

static void begin_with(uint32_t n_parties, bool has_action)
{
    begin();
    cmp_barrier_init(b, 6, n_parties, has_action);
}

static int wait_until(int64_t deadline_ns, uint32_t *index)
{
    uint32_t phase;
    int rc = cmp_barrier_wait(b, deadline_ns, index, &phase);
    while (rc == -EINTR)
        rc = cmp_barrier_resume(b, deadline_ns, *index, phase);
    if (rc != CMP_BARRIER_ACT)
        return rc;
    tell(&stage->result);
    return cmp_barrier_acted(b, phase);
}

static int wait_once(void)
{
    uint32_t index;
    return wait_until(CMP_FOREVER, &index);
}

/* For start_child: 0 or a positive errno. */
static int pass(void *arg)
{
    (void)arg;
    return -wait_once();
}

static void *pass_in_thread(void *rc)
{
    CHECK_EQ(wait_once(), (int)(intptr_t)rc);
    return NULL;
}

static void await_arrived(uint32_t n)
{
    while (cmp_barrier_n_waiting(b) != n)
        usleep(50);
}

/* n processes that have arrived, and sleep. */
static void start_parties(pid_t *children, uint32_t n)
{
    uint32_t before = cmp_barrier_n_waiting(b);
    for (uint32_t i = 0; i < n; i++) {
        children[i] = start_child(pass, NULL);
        await_arrived(before + i + 1);
    }
    for (uint32_t i = 0; i < n; i++)
        CHECK(reaches(children[i], 'S'));
}

static void check_all(const pid_t *children, int n, int code)
{
    for (int i = 0; i < n; i++)
        CHECK_EQ(exit_code(children[i]), code);
}

static void check_cell(void)
{
    const char *what = cmp_barrier_check(b);
    if (what != NULL)
        fprintf(stderr, "%s\n", what);
    CHECK(what == NULL);
}

/* ---- rounds -------------------------------------------------------------------- */

static void test_alone(void)
{
    for (int action = 0; action < 2; action++) {
        uint32_t index, phase;
        begin_with(1, action);
        for (uint32_t i = 0; i < 5; i++) {
            CHECK_EQ(cmp_barrier_wait(b, 0, &index, &phase), action ? CMP_BARRIER_ACT : 0);
            CHECK_EQ(index, 0);
            CHECK_EQ(cmp_barrier_n_waiting(b), action);
            if (action)
                CHECK_EQ(cmp_barrier_acted(b, phase), 0);
            check_cell();
        }
        cmp_barrier_abort(b);
        CHECK(cmp_barrier_broken(b));
        CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EPIPE);
        cmp_barrier_abort(b);
        cmp_barrier_reset(b);
        CHECK(!cmp_barrier_broken(b));
        CHECK_EQ(cmp_barrier_wait(b, 0, &index, &phase), action ? CMP_BARRIER_ACT : 0);
    }
}

/* Nobody leaves round i before all have come to it, and indices are given once each.  */
struct rounds {
    cmp_word came[100];     /* per round, modulo */
    cmp_word64 indices[100];
    uint32_t n_rounds;
    uint32_t n_parties;
};
static struct rounds *rounds;

static int go_round(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < rounds->n_rounds; i++) {
        uint32_t index, k = i % 100;
        if (i >= 50) { /* all have left round i - 50 */
            store_relaxed(&rounds->came[(i - 50) % 100], 0);
            store64_relaxed(&rounds->indices[(i - 50) % 100], 0);
        }
        add_seqcst(&rounds->came[k], 1);
        if (wait_until(CMP_FOREVER, &index) != 0)
            return 1;
        CHECK_EQ(load_seqcst(&rounds->came[k]), rounds->n_parties);
        uint64_t before = or64_seqcst(&rounds->indices[k], UINT64_C(1) << index);
        CHECK(index < rounds->n_parties && !(before >> index & 1));
    }
    return 0;
}

static void *go_round_in_thread(void *arg)
{
    CHECK_EQ(go_round(arg), 0);
    return NULL;
}

static void test_rounds(int processes, int threads, uint32_t n_rounds, bool action)
{
    pid_t children[8];
    begin_with((uint32_t)(processes + threads), action);
    memset(rounds, 0, sizeof *rounds);
    rounds->n_rounds = n_rounds;
    rounds->n_parties = (uint32_t)(processes + threads);
    for (int i = 0; i < processes; i++)
        children[i] = start_child(go_round, NULL);
    if (threads)
        in_threads(threads, go_round_in_thread, NULL);
    check_all(children, processes, 0);
    CHECK_EQ(load_seqcst(&stage->result), action ? n_rounds : 0);
    check_cell();
}

/* One of three is stopped and continued at random. */
static void test_stopped(uint32_t n_rounds)
{
    enum { N = 3 };
    pid_t children[N];
    unsigned int seed = 7;
    begin_with(N, true);
    memset(rounds, 0, sizeof *rounds);
    rounds->n_rounds = n_rounds;
    rounds->n_parties = N;
    for (int i = 0; i < N; i++)
        children[i] = start_child(go_round, NULL);
    for (int i = 0; i < 300; i++) {
        seed = seed * 1103515245 + 12345;
        pid_t child = children[(seed >> 16) % N];
        kill(child, SIGSTOP);
        usleep(seed >> 20 & 511);
        kill(child, SIGCONT);
        usleep(seed >> 19 & 255);
    }
    check_all(children, N, 0);
    CHECK(!cmp_barrier_broken(b));
}

static void test_many_threads(bool action)
{
    int n = SLOW ? 200 : 1000;
    begin_with((uint32_t)n, action);
    in_threads(n, pass_in_thread, (void *)0);
    CHECK_EQ(load_seqcst(&stage->result), action);
    CHECK_EQ(cmp_barrier_n_waiting(b), 0);
    check_cell();
}

/* ---- broken ---------------------------------------------------------------------- */

static void test_time_out(void)
{
    uint32_t index;
    pid_t children[3];
    int64_t deadlines[] = {0, INT64_MIN, after_ms(5)};
    for (int i = 0; i < 3; i++) {
        begin_with(4, i == 2);
        start_parties(children, 3 - (uint32_t)i);
        CHECK_EQ(cmp_barrier_n_waiting(b), 3 - i);
        if (i == 0) {
            CHECK_EQ(wait_until(after_ms(1000), &index), 0); /* that was the last one */
            check_all(children, 3, 0);
            start_parties(children, 3 - 1);
            CHECK_EQ(wait_until(deadlines[i], &index), -ETIMEDOUT);
            check_all(children, 2, EPIPE);
        } else {
            CHECK_EQ(wait_until(deadlines[i], &index), -ETIMEDOUT);
            check_all(children, 3 - i, EPIPE);
        }
        CHECK(cmp_now_ns() >= deadlines[i]);
        CHECK(cmp_barrier_broken(b));
        CHECK_EQ(cmp_barrier_n_waiting(b), 0);
        CHECK_EQ(wait_until(0, &index), -EPIPE);
        check_cell();
    }
}

static void test_abort_and_reset(bool reset)
{
    pid_t children[3];
    begin_with(4, false);
    for (int i = 0; i < 10; i++) {
        start_parties(children, 3);
        if (reset)
            cmp_barrier_reset(b);
        else
            cmp_barrier_abort(b);
        CHECK_EQ(cmp_barrier_broken(b), !reset);
        CHECK_EQ(cmp_barrier_n_waiting(b), 0);
        if (!reset)
            cmp_barrier_reset(b);
        check_all(children, 3, EPIPE);
        start_parties(children, 3);
        CHECK_EQ(wait_once(), 0);
        check_all(children, 3, 0);
    }
    check_cell();
}

/* Resets rain down while parties go round and round: each gets 0 or -EPIPE. */
static int go_until_told(void *arg)
{
    (void)arg;
    while (load_seqcst(&stage->go) == 0) {
        int rc = wait_once();
        if (rc != 0 && rc != -EPIPE)
            return 1;
        if (rc == 0)
            tell(&stage->count);
    }
    cmp_barrier_abort(b);
    return 0;
}

static void test_resets(void)
{
    pid_t children[3];
    begin_with(3, false);
    for (int i = 0; i < 3; i++)
        children[i] = start_child(go_until_told, NULL);
    for (int i = 0; i < 2000; i++) {
        cmp_barrier_reset(b);
        if (i % 8 == 0)
            usleep(50);
    }
    store_seqcst(&stage->go, 1);
    cmp_barrier_abort(b);
    check_all(children, 3, 0);
}

/* ---- more processes than parties ---------------------------------------------------- */

static void test_more_processes(bool action)
{
    enum { N = 5 };
    pid_t children[N];
    begin_with(2, action);
    for (int i = 0; i < N; i++)
        children[i] = start_child(go_until_told, NULL);
    while (load_seqcst(&stage->count) < 2000)
        usleep(100);
    store_seqcst(&stage->go, 1);
    cmp_barrier_abort(b);
    check_all(children, N, 0);
    CHECK_EQ(load_seqcst(&stage->count) % 2, 0);
    uint32_t unfinished = load_seqcst(&stage->result) - load_seqcst(&stage->count) / 2;
    CHECK(action ? unfinished <= 1 : unfinished == -(load_seqcst(&stage->count) / 2));
}

/* ---- actions -------------------------------------------------------------------------- */

enum { SUCCEEDS, FAILS, IS_RESET, IS_ABORTED, DIES, N_ACTIONS };

static int act(void *how)
{
    uint32_t index, phase;
    if (cmp_barrier_wait(b, CMP_FOREVER, &index, &phase) != CMP_BARRIER_ACT)
        return 1;
    tell(&stage->ready);
    await(&stage->go, 1);
    if ((intptr_t)how == FAILS) {
        cmp_barrier_quit(b, index, phase);
        return 0;
    }
    if ((intptr_t)how == DIES)
        kill(getpid(), SIGKILL);
    CHECK_EQ(cmp_barrier_acted(b, phase), (intptr_t)how == SUCCEEDS ? 0 : -EPIPE);
    return 0;
}

static void test_action(intptr_t how)
{
    pid_t children[4], actor;
    begin_with(5, true);
    for (int i = 0; i < 4; i++)
        children[i] = 0;
    start_parties(children, 4);
    actor = start_child(act, (void *)how);
    await(&stage->ready, 1);
    CHECK_EQ(cmp_barrier_n_waiting(b), 5);
    sleep_ms(3);
    for (int i = 0; i < 4; i++)
        CHECK(!has_ended(children[i]));
    if (how == IS_RESET)
        cmp_barrier_reset(b);
    if (how == IS_ABORTED)
        cmp_barrier_abort(b);
    store_seqcst(&stage->go, 1);
    CHECK_EQ(exit_code(actor), how == DIES ? -SIGKILL : 0);
    check_all(children, 4, how == SUCCEEDS ? 0 : EPIPE);
    CHECK_EQ(cmp_barrier_broken(b), how != SUCCEEDS && how != IS_RESET);
    check_cell();
}

static int wait_30_ms(void *arg)
{
    uint32_t index;
    (void)arg;
    return -wait_until(after_ms(30), &index);
}

/* As in threading: once all have come, nobody's time is over before the action's end.  Who
   was not among them may give up; that breaks nothing.  */
static void test_no_time_out_in_action(void)
{
    begin_with(2, true);
    pid_t actor, waiter = start_child(wait_30_ms, NULL);
    await_arrived(1);
    actor = start_child(act, (void *)SUCCEEDS);
    while (load_seqcst(&stage->ready) == 0 && !has_ended(actor))
        usleep(200);
    bool in_time = load_seqcst(&stage->ready) == 1; /* or the machine was slow */
    if (in_time) {
        CHECK_EQ(exit_code(start_child(wait_30_ms, NULL)), ETIMEDOUT);
        CHECK(!cmp_barrier_broken(b));
    }
    store_seqcst(&stage->go, 1);
    CHECK_EQ(exit_code(waiter), in_time ? 0 : ETIMEDOUT);
    CHECK_EQ(exit_code(actor), !in_time);
}

/* ---- signals ---------------------------------------------------------------------------- */

static void test_signals(void)
{
    struct sigaction before;
    uint32_t index, phase;
    pid_t other;
    begin_with(2, false);
    pid_t pesterer = start_pesterer(&before);
    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EINTR);
    CHECK_EQ(cmp_barrier_n_waiting(b), 1);
    CHECK_EQ(cmp_barrier_resume(b, after_ms(50000), index, phase), -EINTR);
    other = start_child(pass, NULL);
    CHECK_EQ(exit_code(other), 0); /* it went on, for all had come */
    CHECK_EQ(cmp_barrier_resume(b, CMP_FOREVER, index, phase), 0);

    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EINTR);
    other = start_child(pass, NULL);
    CHECK_EQ(exit_code(other), 0);
    cmp_barrier_quit(b, index, phase); /* that phase is over: nothing is broken */
    CHECK(!cmp_barrier_broken(b));

    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EINTR);
    cmp_barrier_quit(b, index, phase);
    CHECK(cmp_barrier_broken(b));
    stop_pesterer(pesterer, &before);
}

/* More phases than the history has go by while one is away; it still knows, unless one of
   them was broken.  */
static void test_long_away(uint32_t n, bool reset)
{
    struct sigaction before;
    uint32_t index, phase;
    begin_with(2, false);
    pid_t pesterer = start_pesterer(&before);
    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EINTR);
    stop_pesterer(pesterer, &before);
    CHECK_EQ(exit_code(start_child(pass, NULL)), 0);
    for (uint32_t i = 1; i < n; i++) {
        pid_t pair[2] = {start_child(pass, NULL), start_child(pass, NULL)};
        check_all(pair, 2, 0);
    }
    if (reset)
        cmp_barrier_reset(b);
    CHECK_EQ(cmp_barrier_resume(b, CMP_FOREVER, index, phase), n < 16 || !reset ? 0 : -EPIPE);
}

static int signalled_wait(void *arg)
{
    uint32_t index, phase;
    struct sigaction action = {.sa_handler = on_signal};
    (void)arg;
    sigaction(SIGUSR1, &action, NULL);
    int rc = cmp_barrier_wait(b, CMP_FOREVER, &index, &phase);
    CHECK_EQ(rc, -EINTR);
    tell(&stage->ready);
    await(&stage->go, 1);
    return -cmp_barrier_resume(b, CMP_FOREVER, index, phase);
}

/* One who has arrived, behind others who sleep already, and is away in a signal handler:
   it is watched there, too. */
static void test_dies_in_handler(bool dies)
{
    pid_t children[3], away;
    begin_with(5, false);
    start_parties(children, 3);
    away = start_child(signalled_wait, NULL);
    await_arrived(4);
    while (load_seqcst(&stage->ready) == 0) {
        kill(away, SIGUSR1);
        usleep(500);
    }
    for (int i = 0; i < 3; i++)
        CHECK(reaches(children[i], 'S'));
    if (dies)
        check_killed(away);
    else
        cmp_barrier_abort(b);
    check_all(children, 3, EPIPE);
    store_seqcst(&stage->go, 1);
    if (!dies)
        CHECK_EQ(exit_code(away), EPIPE);
    CHECK(cmp_barrier_broken(b));
}

/* A handler that forks: the child waits for the outcome, and is no party. */
static void test_fork_within(void)
{
    struct sigaction before;
    uint32_t index, phase;
    begin_with(2, true);
    pid_t pesterer = start_pesterer(&before);
    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EINTR);
    stop_pesterer(pesterer, &before);
    pid_t hasty = fork_child();
    if (hasty == 0) {
        CHECK_EQ(cmp_barrier_resume(b, 0, index, phase), -ETIMEDOUT);
        cmp_barrier_quit(b, index, phase);
        _exit(n_failed);
    }
    CHECK_EQ(exit_code(hasty), 0);
    CHECK(!cmp_barrier_broken(b));
    pid_t child = fork_child();
    if (child == 0)
        _exit(-cmp_barrier_resume(b, CMP_FOREVER, index, phase));
    CHECK_EQ(exit_code(start_child(pass, NULL)), 0);
    CHECK_EQ(exit_code(child), 0);
    CHECK_EQ(cmp_barrier_resume(b, CMP_FOREVER, index, phase), 0);
}

/* ---- deaths ------------------------------------------------------------------------------- */

static void test_party_dies(uint32_t which)
{
    pid_t children[4];
    begin_with(5, false);
    start_parties(children, 4);
    check_killed(children[which]);
    for (uint32_t i = 0; i < 4; i++)
        if (i != which)
            CHECK_EQ(exit_code(children[i]), EPIPE);
    CHECK(cmp_barrier_broken(b));
    CHECK_EQ(wait_once(), -EPIPE);
    cmp_barrier_reset(b);
    start_parties(children, 4);
    CHECK_EQ(wait_once(), 0);
    check_all(children, 4, 0);
}

/* As cmp_barrier_wait, up to the arrival: the last one, who lets nobody go. */
static int arrive_and_die(void *arg)
{
    (void)arg;
    uint64_t phase = (uint32_t)load64_seqcst(&b->state) >> 2;
    cmp_pending(&b->park[phase & 1]);
    for (uint32_t i = 0; i < b->n_parties; i++)
        if (load64_seqcst(&b->arrival[i]) >> 32 != phase) {
            store64_seqcst(&b->arrival[i], phase << 32 | cmp_me());
            break;
        }
    kill(getpid(), SIGKILL);
    return 0;
}

/* As the one who ends a phase, up to the wake. */
static int end_and_die(void *disarms)
{
    uint64_t state = load64_seqcst(&b->state);
    uint32_t phase = (uint32_t)state >> 2;
    cmp_pending(&b->park[phase & 1]);
    store64_seqcst(&b->state, (uint64_t)(phase + 1) << 2);
    if (disarms)
        xchg_seqcst(&b->park[phase & 1], 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static void test_forged_deaths(void)
{
    pid_t children[3];
    begin_with(4, false);
    start_parties(children, 3);
    exit_code(start_child(arrive_and_die, NULL));
    int first = exit_code(children[0]); /* 0 if one of them looked before it was dead */
    check_all(children + 1, 2, first);
    CHECK(first == 0 || first == EPIPE);
    CHECK_EQ(cmp_barrier_broken(b), first == EPIPE);
    for (int disarms = 0; disarms < 2; disarms++) {
        begin_with(4, false);
        start_parties(children, 3);
        exit_code(start_child(end_and_die, disarms ? b : NULL));
        check_all(children, 3, 0);
    }
}

static int sleep_in_its_place(void *arg)
{
    uint32_t index, phase;
    struct sigaction action = {.sa_handler = on_signal};
    (void)arg;
    sigaction(SIGUSR1, &action, NULL);
    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EINTR);
    execl("/bin/sleep", "sleep", "1000", (char *)NULL);
    return 1;
}

static void test_party_execs(void)
{
    pid_t children[2], execs;
    begin_with(4, false);
    start_parties(children, 2);
    execs = start_child(sleep_in_its_place, NULL);
    await_arrived(3);
    CHECK(reaches(execs, 'S'));
    while (!cmp_barrier_broken(b)) {
        kill(execs, SIGUSR1);
        usleep(500);
    }
    check_all(children, 2, EPIPE);
    kill_and_reap(execs);
}

static void *stay_arrived(void *arg)
{
    uint32_t index, phase;
    (void)arg;
    sigset_t all;
    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EINTR);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    tell(&stage->ready);
    for (;;)
        pause();
    return NULL;
}

static pthread_t staying;

/* Its first thread ends, the other one has arrived, and is away in a handler: no word tells
   of its death.  */
static int arrive_without_words(void *arg)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    pthread_create(&staying, NULL, stay_arrived, arg);
    while (load_seqcst(&stage->ready) == 0) {
        pthread_kill(staying, SIGUSR1);
        usleep(500);
    }
    tell(&stage->ready);
    pthread_exit(NULL);
}

static void test_dies_unheard(uint32_t lacks)
{
    pid_t children[2], unheard;
    begin_with(4, false);
    cmp_platform_pretend(lacks);
    unheard = start_child(arrive_without_words, NULL);
    await(&stage->ready, 2);
    CHECK(reaches(unheard, 'Z'));
    start_parties(children, 2);
    check_killed(unheard);
    check_all(children, 2, EPIPE);
    cmp_platform_pretend(0);
}

static void test_more_parties_than_words(void)
{
    enum { N = 130 };
    pid_t children[N];
    begin_with(N + 1, false);
    start_parties(children, N);
    check_killed(children[1]);
    CHECK_EQ(exit_code(children[0]), EPIPE);
    check_all(children + 2, N - 2, EPIPE);
}

/* The victim comes first, second or last of three, and dies at a hook.  All others get the
   same: if it had arrived, or done nothing, they need not wait for ever.  */
static bool victim_is_in(uint32_t n_others)
{
    return cmp_barrier_n_waiting(b) > n_others;
}

static void test_dies_at(const char *hook, uint32_t place, bool action)
{
    enum { N = 3 };
    pid_t children[N - 1], victim;
    begin_with(N, action);
    start_parties(children, place);
    victim = start_victim(hook, 0, pass, NULL);
    for (int i = 0; i < 200 && !has_ended(victim) && !victim_is_in(place); i++)
        usleep(500);
    for (uint32_t i = place; i < N - 1; i++)
        children[i] = start_child(pass, NULL);
    bool died = false;
    for (int i = 0; i < 200 && !has_ended(victim); i++)
        usleep(500);
    if (has_ended(victim))
        died = has_died(victim);
    usleep(2000);
    if (died && !cmp_barrier_broken(b)) /* it was on its way in: the others wait */
        cmp_barrier_abort(b);
    if (!died && has_ended(victim) == 0 && !HOOKED)
        has_died(victim);
    int first = exit_code(children[0]);
    CHECK(first == 0 || first == EPIPE);
    CHECK_EQ(exit_code(children[1]), first);
    check_cell();
}

static void test_deaths_at_hooks(void)
{
    static const char *const hooks[] = {
        "barrier.wait.pending", "barrier.wait.arrived", "barrier.wait.looked",
        "barrier.wait.armed",   "barrier.wait.woken",   "barrier.wait.relay",
        "barrier.wait.relayed", "barrier.act.taken",    "barrier.act.pulled",
        "barrier.act.done",     "barrier.move.changed", "barrier.move.disarmed",
        "barrier.move.woke",
    };
    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; i++)
        for (uint32_t place = 0; place < 3; place++)
            for (int action = 0; action < 2; action++)
                test_dies_at(hooks[i], place, action);
}

/* One who has arrived is killed; who finds it dead first dies, too. */
static void test_breaker_dies(const char *hook)
{
    pid_t children[2], first, victim;
    begin_with(5, false);
    start_parties(&first, 1);
    victim = start_victim(hook, 0, pass, NULL);
    await_arrived(2);
    start_parties(children, 2);
    check_killed(first);
    check_all(children, 2, EPIPE);
    has_died(victim);
    CHECK(cmp_barrier_broken(b));
}

static int abort_it(void *reset)
{
    if (reset)
        cmp_barrier_reset(b);
    else
        cmp_barrier_abort(b);
    return 0;
}

static void test_aborter_dies(const char *hook, bool reset)
{
    pid_t children[2];
    begin_with(3, false);
    start_parties(children, 2);
    CHECK_EQ(has_died(start_victim(hook, 0, abort_it, reset ? b : NULL)), HOOKED);
    check_all(children, 2, EPIPE);
    CHECK_EQ(cmp_barrier_broken(b), !reset);
}

static void test_more_deaths_at_hooks(void)
{
    static const char *const of_break[] = {
        "barrier.break.dead", "barrier.break.relayed", "barrier.move.changed",
        "barrier.move.disarmed", "barrier.move.woke",
    };
    for (int i = 0; i < 5; i++)
        test_breaker_dies(of_break[i]);
    for (int i = 2; i < 5; i++)
        for (int reset = 0; reset < 2; reset++)
            test_aborter_dies(of_break[i], reset);
}

/* ---- kernels, wrap, damage, system calls ---------------------------------------------------- */

static void test_lacking(uint32_t lacks)
{
    cmp_platform_pretend(lacks);
    test_rounds(2, 1, 200, true);
    test_forged_deaths();
    test_party_dies(2);
    cmp_platform_pretend(0);
}

static void test_wrap(void)
{
    pid_t children[2];
    begin_with(3, true);
    uint32_t last = (UINT32_C(1) << PHASE_BITS) - 1;
    store64_relaxed(&b->state, (uint64_t)((last - 2) << 2));
    for (uint32_t i = 0; i < 3; i++)
        store64_relaxed(&b->arrival[i], (uint64_t)(last - 3) << 32 | cmp_me());
    for (int i = 0; i < 6; i++) {
        start_parties(children, 2);
        CHECK_EQ(wait_once(), 0);
        check_all(children, 2, 0);
        check_cell();
    }
    CHECK_EQ((uint32_t)load64_seqcst(&b->state) >> 2, 3);
    /* Places left alone for so long that they seem to be of a later phase.  */
    for (uint32_t i = 0; i < 3; i++)
        store64_relaxed(&b->arrival[i], UINT64_C(1000) << 32 | cmp_me());
    start_parties(children, 2);
    CHECK_EQ(wait_once(), 0);
    check_all(children, 2, 0);
}

static void test_damage(void)
{
    uint32_t index, phase;
    begin_with(3, true);
    b->n_parties = 4000000;
    CHECK(cmp_barrier_check(b) != NULL);
    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EUCLEAN);
    CHECK_EQ(cmp_barrier_n_waiting(b), 0);
    begin_with(3, true);
    store64_relaxed(&b->state, 1 << 2 | 1); /* in its action, and nobody has come */
    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EUCLEAN);
    begin_with(3, true);
    store64_relaxed(&b->state, 1 << 2 | 3);
    CHECK(cmp_barrier_check(b) != NULL);
    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EPIPE);
    begin_with(3, true);
    store_relaxed(&b->park[1], 99);
    CHECK(cmp_barrier_check(b) != NULL);
    CHECK_EQ(cmp_barrier_wait(b, 0, &index, &phase), -ETIMEDOUT);
    CHECK(cmp_barrier_check(b) == NULL);
    begin_with(3, true);
    b->node = 12345;
    CHECK(cmp_barrier_check(b) != NULL);
    store64_relaxed(&b->arrival[0], UINT64_C(1) << 32 | 77); /* arrived, and nobody */
    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), -EPIPE);
    begin_with(3, true);
    CHECK_EQ(cmp_barrier_resume(b, 0, 12345, 1), -ETIMEDOUT); /* no such party */
    CHECK(!cmp_barrier_broken(b));
}

static void use_it(void *arg)
{
    uint32_t index, phase;
    (void)arg;
    CHECK_EQ(cmp_barrier_wait(b, CMP_FOREVER, &index, &phase), CMP_BARRIER_ACT);
    CHECK_EQ(cmp_barrier_acted(b, phase), 0);
    CHECK_EQ(cmp_barrier_n_waiting(b), 0);
    cmp_barrier_abort(b);
    CHECK(cmp_barrier_broken(b));
    cmp_barrier_reset(b);
}

int main(void)
{
    start_family(140);
    b = shared(BYTES);
    rounds = shared(sizeof *rounds);
    test_alone();
    test_wrap();
    test_damage();
    test_rounds(2, 0, SLOW ? 2000 : 100000, false);
    test_rounds(0, 2, SLOW ? 2000 : 20000, false);
    test_rounds(2, 3, SLOW ? 300 : 2000, false);
    test_rounds(3, 2, SLOW ? 300 : 2000, true);
    for (int action = 0; action < 2; action++)
        test_many_threads(action);
    test_time_out();
    test_signals();
    for (int reset = 0; reset < 2; reset++)
        for (uint32_t n = 5; n <= 17; n += 12)
            test_long_away(n, reset);
    test_fork_within();
    test_dies_unheard(0);
    test_dies_unheard(CMP_LACKS_ROBUST | CMP_LACKS_PENDING);
    if (!SLOW)
        test_more_parties_than_words();
    without_slices();
    for (int reset = 0; reset < 2; reset++)
        test_abort_and_reset(reset);
    test_resets();
    for (int action = 0; action < 2; action++)
        test_more_processes(action);
    for (intptr_t how = 0; how < N_ACTIONS; how++)
        test_action(how);
    test_no_time_out_in_action();
    for (int dies = 0; dies < 2; dies++)
        test_dies_in_handler(dies);
    for (uint32_t which = 0; which < 4; which++)
        test_party_dies(which);
    test_forged_deaths();
    test_party_execs();
    if (HOOKED) {
        test_deaths_at_hooks();
        test_more_deaths_at_hooks();
    }
    test_stopped(SLOW ? 1000 : 20000);
    test_lacking(CMP_LACKS_WAITV);
    test_lacking(CMP_LACKS_ROBUST | CMP_LACKS_PENDING);
    test_lacking(CMP_LACKS_SPIN);
    begin_with(1, true);
    check_no_system_call(use_it, NULL);
    return done();
}
