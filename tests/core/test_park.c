/* Description: cmp_park and cmp_unpark: deadlines, wakes and which word it was,
   guards, signals, bad arguments, by futex_waitv and by the sliced fallback, between threads and
   between processes. */
#include "../../src/core/cmp.h"
#include "../../src/platform/kernel.h"
#include "../../src/platform/platform.h"
#include "check.h"

struct page {
    cmp_word park;
    cmp_word guard;
    cmp_word other;
    cmp_word turn;
};

static struct page *page;
static bool sliced;

static int park_until(int64_t deadline_ns)
{
    struct cmp_watch words[] = {
        {&page->park, PARK_ARMED}, {&page->guard, 5}, {&page->other, 6},
    };
    return cmp_park(words, 3, deadline_ns);
}

static void arm(void)
{
    store_relaxed(&page->guard, 5);
    store_relaxed(&page->other, 6);
    xchg_seqcst(&page->park, PARK_ARMED);
}

static void test_deadlines(void)
{
    arm();
    CHECK_EQ(park_until(cmp_now_ns() - 1), -ETIMEDOUT);
    CHECK_EQ(park_until(0), -ETIMEDOUT);
    CHECK_EQ(park_until(INT64_MIN), -ETIMEDOUT);
    int64_t waits[] = {0, 1, 3 * MS, 120 * MS};
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        int64_t deadline = cmp_now_ns() + waits[i];
        CHECK_EQ(park_until(deadline), -ETIMEDOUT);
        CHECK(cmp_now_ns() >= deadline);
        CHECK(cmp_now_ns() < deadline + 5000 * MS);
    }
}

/* How a child that parks with all its time ended: as park_until, errors as 100. */
static pid_t start_parked(void)
{
    pid_t child = fork_child();
    if (child == 0) {
        int rc = park_until(CMP_FOREVER);
        _exit(rc < 0 ? 100 : rc);
    }
    return child;
}

static int parked_result(pid_t child)
{
    int status = status_of(child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Far deadlines and none: as long as a word differs, it returns at once. */
static void test_mismatch_returns_at_once(void)
{
    cmp_word *words[] = {&page->park, &page->guard, &page->other};
    int64_t deadlines[] = {CMP_FOREVER, CMP_FOREVER - 1, cmp_now_ns() + 50000 * MS};
    for (int w = 0; w < 3; w++)
        for (int d = 0; d < 3; d++) {
            arm();
            xchg_seqcst(words[w], 99);
            CHECK_EQ(park_until(deadlines[d]), -EAGAIN);
        }
}

static void test_one_word_and_many(void)
{
    static struct cmp_watch words[CMP_PARK_MAX + 1];
    arm();
    for (int i = 0; i <= CMP_PARK_MAX; i++)
        words[i] = (struct cmp_watch){i ? &page->guard : &page->park, i ? 5 : PARK_ARMED};
    CHECK_EQ(cmp_park(words, 1, cmp_now_ns() + 2 * MS), -ETIMEDOUT);
    CHECK_EQ(cmp_park(words, CMP_PARK_MAX, cmp_now_ns() + 2 * MS), -ETIMEDOUT);
    CHECK_EQ(cmp_park(words, CMP_PARK_MAX + 1, cmp_now_ns()), -EINVAL);
    CHECK_EQ(cmp_park(words, 0, cmp_now_ns()), -EINVAL);
    CHECK_EQ(cmp_park(words, -1, cmp_now_ns()), -EINVAL);
    words[CMP_PARK_MAX - 1].expected = 4;
    CHECK_EQ(cmp_park(words, CMP_PARK_MAX, CMP_FOREVER), -EAGAIN);
}

/* A child sleeps for ever; the wake must end it. */
static void test_wake_from_another_process(void)
{
    arm();
    pid_t child = start_parked();
    int woken = 0;
    for (int i = 0; i < 100000 && woken == 0; i++) {
        usleep(100);
        woken = cmp_unpark(&page->park, 1);
    }
    CHECK_EQ(woken, 1);
    CHECK_EQ(parked_result(child), 0);
    CHECK_EQ(cmp_unpark(&page->park, CMP_UNPARK_ALL), 0);
}

static void test_wake_counts(void)
{
    enum { N = 4 };
    pid_t children[N];
    arm();
    for (int i = 0; i < N; i++)
        if ((children[i] = fork_child()) == 0) {
            /* a slice may end and be taken up again between two wakes */
            while (load_seqcst(&page->turn) == 0)
                park_until(CMP_FOREVER);
            _exit(0);
        }
    int most = 0;
    for (int i = 0; i < 100000 && most < N; i++) {
        usleep(1000); /* they all go back to sleep in between */
        int n = cmp_unpark(&page->park, CMP_UNPARK_ALL);
        CHECK(n <= N);
        most = n > most ? n : most;
    }
    CHECK_EQ(most, N);
    store_relaxed(&page->turn, 1);
    xchg_seqcst(&page->guard, 0); /* who is not asleep yet does not go to sleep */
    cmp_unpark(&page->park, CMP_UNPARK_ALL);
    for (int i = 0; i < N; i++)
        CHECK_EQ(status_of(children[i]), 0);
    store_relaxed(&page->turn, 0);
}

/* Nobody wakes a guard, but the kernel does wake a hold word: the sleep must end,
   at once and naming the word or, sliced, when the slice does. */
static void test_hold_word(void)
{
    arm();
    pid_t child = start_parked();
    reaches(child, 'S');
    sleep_ms(5);
    int64_t before = cmp_now_ns();
    xchg_seqcst(&page->other, 0);
    int woken = cmp_unpark(&page->other, 1);
    CHECK(woken == 1 || sliced);
    CHECK_EQ(parked_result(child), sliced ? 3 : 2);
    CHECK(cmp_now_ns() - before < 5000 * MS);
}

/* Of two words woken the sleeper is told the last; the second wake may come when it
   has left already, and finds nobody. */
static void test_highest_index(void)
{
    for (int i = 0; i < 20; i++) {
        arm();
        pid_t child = start_parked();
        CHECK(reaches(child, 'S'));
        sleep_ms(2);
        CHECK_EQ(cmp_unpark(&page->park, 1), 1);
        int late = cmp_unpark(&page->other, 1);
        CHECK_EQ(parked_result(child), late ? 2 : 0);
    }
}

/* Sliced, a guard that changes late is seen soon, although nobody wakes: slices
   do not grow for ever.  (By futex_waitv a guard is compared once.) */
static void test_late_change_of_guard(void)
{
    arm();
    pid_t child = start_parked();
    sleep_ms(300);
    int64_t before = cmp_now_ns();
    xchg_seqcst(&page->guard, 0);
    CHECK_EQ(parked_result(child), 3);
    CHECK(cmp_now_ns() - before < 2000 * MS);
}

static void on_alarm(int sig)
{
    (void)sig;
}

/* A handler without SA_RESTART ends the sleep; the signals repeat, lest the one
   comes before the sleep.  A sliced sleep may also end by EAGAIN: never, here. */
static void test_signal_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_alarm}, before;
    arm();
    sigaction(SIGUSR1, &action, &before);
    pid_t parent = getpid();
    pid_t child = fork_child();
    if (child == 0)
        for (;;) {
            sleep_ms(2);
            kill(parent, SIGUSR1);
        }
    CHECK_EQ(park_until(CMP_FOREVER), -EINTR);
    CHECK_EQ(park_until(cmp_now_ns() + 50000 * MS), -EINTR);
    kill_and_reap(child);
    sigaction(SIGUSR1, &before, NULL);
}

static void *pong(void *arg)
{
    for (uint32_t i = 0; i < (uint32_t)(uintptr_t)arg; i++) {
        while (load_seqcst(&page->turn) != 2 * i + 1) {
            xchg_seqcst(&page->park, PARK_ARMED);
            uint32_t seen = load_seqcst(&page->turn);
            if (seen == 2 * i + 1)
                break;
            struct cmp_watch words[] = {{&page->park, PARK_ARMED}, {&page->turn, seen}};
            cmp_park(words, 2, CMP_FOREVER);
        }
        xchg_seqcst(&page->turn, 2 * i + 2);
        xchg_seqcst(&page->other, 0);
        cmp_unpark(&page->other, 1);
    }
    return NULL;
}

/* Two park words, two threads: a lost wake hangs here, or takes a slice. */
static void test_ping_pong(void)
{
    enum { ROUNDS = 2000 };
    pthread_t t;
    store_relaxed(&page->turn, 0);
    pthread_create(&t, NULL, pong, (void *)(uintptr_t)ROUNDS);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        xchg_seqcst(&page->turn, 2 * i + 1);
        xchg_seqcst(&page->park, 0);
        cmp_unpark(&page->park, 1);
        while (load_seqcst(&page->turn) != 2 * i + 2) {
            xchg_seqcst(&page->other, PARK_ARMED);
            if (load_seqcst(&page->turn) == 2 * i + 2)
                break;
            struct cmp_watch words[] = {
                {&page->other, PARK_ARMED}, {&page->turn, 2 * i + 1},
            };
            cmp_park(words, 2, CMP_FOREVER);
        }
    }
    pthread_join(t, NULL);
    CHECK_EQ(load_seqcst(&page->turn), 2 * ROUNDS);
    store_relaxed(&page->turn, 0);
}

static void test_all(void)
{
    test_deadlines();
    test_mismatch_returns_at_once();
    test_one_word_and_many();
    test_wake_from_another_process();
    test_wake_counts();
    test_hold_word();
    if (!sliced)
        test_highest_index();
    if (sliced)
        test_late_change_of_guard();
    test_signal_interrupts();
    test_ping_pong();
}

int main(void)
{
    struct cmp_kernel kernel;
    start(120);
    page = shared(sizeof *page);
    cmp_kernel_read(&kernel);
    sliced = kernel.futex_waitv != 1;
    test_all();
    sliced = true;
    cmp_platform_pretend(CMP_LACKS_WAITV);
    test_all();
    return done();
}
