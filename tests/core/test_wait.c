/* Description: naps end by a wake, a word that differs, a slice, a limit, a deadline or
   a signal, and say which; slices grow; spinning learns when it does not pay, and when
   it does again, and never happens on one processor. */
#include "../../src/core/wait.h"
#include "../../src/platform/kernel.h"
#include "peers.h"

static cmp_word *park, *guard;

static struct cmp_watch words[2];

static void arm(void)
{
    store_seqcst(guard, 7);
    xchg_seqcst(park, PARK_ARMED);
    words[0] = (struct cmp_watch){park, PARK_ARMED};
    words[1] = (struct cmp_watch){guard, 7};
}

static int nap_ms(struct cmp_nap *nap, int64_t *ms)
{
    int64_t before = cmp_now_ns();
    int rc = cmp_nap(nap, words, 2, CMP_FOREVER);
    *ms = (cmp_now_ns() - before) / MS;
    return rc;
}

static void test_deadline(void)
{
    struct cmp_nap nap = CMP_NAP_INIT;
    arm();
    int64_t deadlines[] = {INT64_MIN, 0, cmp_now_ns()};
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(cmp_nap(&nap, words, 2, deadlines[i]), -ETIMEDOUT);
        CHECK(!nap.slept);
    }
    int64_t deadline = after_ms(20);
    CHECK_EQ(cmp_nap(&nap, words, 2, deadline), -ETIMEDOUT);
    CHECK(cmp_now_ns() >= deadline);
    CHECK(nap.slept && !nap.slice_over && nap.woken == -1);
}

static void test_word_that_differs(void)
{
    struct cmp_nap nap = CMP_NAP_INIT;
    arm();
    store_seqcst(guard, 8);
    CHECK_EQ(cmp_nap(&nap, words, 2, CMP_FOREVER), 0);
    CHECK(!nap.slept && !nap.slice_over && nap.woken == -1);
}

static void test_slices_grow(void)
{
    struct cmp_nap nap = CMP_NAP_INIT;
    int64_t ms;
    arm();
    for (int64_t slice = 100; slice <= 400; slice *= 2) {
        CHECK_EQ(nap_ms(&nap, &ms), 0);
        CHECK(nap.slept && nap.slice_over);
        CHECK(ms >= slice - 1);
        CHECK(ms < slice + 3000);
    }
    nap.slice_ns = 1000 * MS; /* the next ones, without waiting for them */
    CHECK_EQ(cmp_nap_at_most(&nap, words, 2, CMP_FOREVER, MS), 0);
    CHECK_EQ(nap.slice_ns, 1000 * MS); /* a limit is not a slice */
    CHECK(nap.slice_over);
}

static void test_limit(void)
{
    struct cmp_nap nap = CMP_NAP_INIT;
    arm();
    int64_t before = cmp_now_ns();
    CHECK_EQ(cmp_nap_at_most(&nap, words, 2, CMP_FOREVER, 10 * MS), 0);
    CHECK(nap.slice_over);
    CHECK(cmp_now_ns() - before >= 10 * MS);
    CHECK_EQ(cmp_nap_at_most(&nap, words, 2, after_ms(5), 1000 * MS), -ETIMEDOUT);
}

static void test_no_backstop(void)
{
    struct cmp_nap nap = CMP_NAP_INIT;
    arm();
    cmp_platform_pretend(CMP_LACKS_BACKSTOP);
    int64_t before = cmp_now_ns();
    CHECK_EQ(cmp_nap(&nap, words, 2, after_ms(250)), -ETIMEDOUT); /* in one go */
    CHECK(cmp_now_ns() - before >= 250 * MS);
    CHECK(!nap.slice_over);
    CHECK_EQ(cmp_nap_at_most(&nap, words, 2, CMP_FOREVER, 10 * MS), 0);
    cmp_platform_pretend(0);
}

static int waker(void *arg)
{
    cmp_word *word = arg;
    while (cmp_unpark(word, 1) == 0)
        usleep(1000);
    return 0;
}

static void test_wake(void)
{
    struct cmp_kernel kernel;
    cmp_kernel_read(&kernel);
    cmp_word *which[] = {park, guard};
    for (int i = 0; i < (kernel.futex_waitv == 1 ? 2 : 1); i++) {
        struct cmp_nap nap = CMP_NAP_INIT;
        arm();
        pid_t child = start_child(waker, which[i]);
        do
            CHECK_EQ(cmp_nap(&nap, words, 2, CMP_FOREVER), 0);
        while (nap.slice_over);
        CHECK(nap.slept);
        CHECK_EQ(nap.woken, i);
        CHECK_EQ(exit_code(child), 0);
    }
}

static void test_signal(void)
{
    struct cmp_nap nap = CMP_NAP_INIT;
    struct sigaction before;
    arm();
    pid_t pesterer = start_pesterer(&before);
    int rc;
    do
        rc = cmp_nap(&nap, words, 2, CMP_FOREVER);
    while (rc == 0 && nap.slice_over); /* the signal is slow to come */
    CHECK_EQ(rc, -EINTR);
    CHECK(nap.slept);
    stop_pesterer(pesterer, &before);
}

/* Before each sleep, with the pending word kept, also when a wait ends within it. */
static int n_looks, looks_allowed;

static int look(void)
{
    struct cmp_nap nap = CMP_NAP_INIT;
    CHECK(cmp_pending_now() == park);
    cmp_pending(guard); /* an operation of its own */
    CHECK_EQ(cmp_nap_at_most(&nap, words, 2, CMP_FOREVER, MS), 0);
    cmp_pending(NULL);
    CHECK(cmp_pending_now() == park);
    return ++n_looks > looks_allowed;
}

static void test_look(void)
{
    struct cmp_nap nap = CMP_NAP_INIT;
    struct sigaction before;
    arm();
    n_looks = 0;
    looks_allowed = 6;
    cmp_pending(park);
    pid_t pesterer = start_pesterer(&before);
    CHECK(cmp_wait_look(look) == NULL);
    for (int i = 0; i < 6; i++) /* signals and slices end no wait */
        CHECK_EQ(cmp_nap(&nap, words, 2, CMP_FOREVER), 0);
    CHECK_EQ(cmp_nap(&nap, words, 2, CMP_FOREVER), -EINTR);
    CHECK(cmp_pending_now() == park);
    CHECK_EQ(n_looks, 7);
    CHECK_EQ(cmp_nap(&nap, words, 2, 0), -ETIMEDOUT); /* no sleep, no look */
    CHECK_EQ(n_looks, 7);
    CHECK(cmp_wait_look(NULL) == look);
    stop_pesterer(pesterer, &before);
    cmp_pending(NULL);
    CHECK(cmp_pending_now() == NULL);
}

/* On a busy machine the time of such a look may run out: so several. */
static void test_death_wakes(void)
{
    struct cmp_kernel kernel;
    bool known = false, true_here = false;
    for (int i = 0; i < 5 && !(known && true_here); i++) {
        cmp_kernel_read(&kernel);
        true_here |= kernel.robust_wake == 1 && kernel.pending_wake == 1;
        known |= cmp_death_wakes();
    }
    CHECK(!known || true_here);
    int64_t before = cmp_now_ns();
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(cmp_death_wakes(), known);
    CHECK(cmp_now_ns() - before < 5000 * MS); /* it asks no more */
}

static bool at_once(const void *arg)
{
    (void)arg;
    return true;
}

static int looks;

static bool never(const void *arg)
{
    (void)arg;
    looks++;
    return false;
}

static int looks_per_spin(struct cmp_spin *spin, int peer_cpu)
{
    enum { N = 2000 };
    looks = 0;
    for (int i = 0; i < N; i++)
        cmp_spin(spin, peer_cpu, never, NULL);
    return looks / N;
}

static void test_spin_learns(void)
{
    struct cmp_spin spin = {0};
    bool many = cmp_parallelism() > 1;

    int64_t first = cmp_now_ns();
    CHECK(!cmp_spin(&spin, -1, never, NULL));
    first = cmp_now_ns() - first;
    CHECK(!many || first >= 20000); /* the whole budget */

    looks_per_spin(&spin, -1);
    CHECK(load_relaxed(&spin.cut_ns) >= 19000 || !many);
    CHECK(looks_per_spin(&spin, -1) < 100); /* gave up: 500 to 2000 before */

    int recovered_after = 0;
    while (many && load_relaxed(&spin.cut_ns) > 0 && recovered_after < 600) {
        cmp_spin(&spin, -1, at_once, NULL);
        recovered_after++;
    }
    CHECK(recovered_after < 600);
    CHECK(cmp_spin(&spin, -1, at_once, NULL));
}

static void test_spin_not_where_useless(void)
{
    struct cmp_spin spin = {0};
    cmp_platform_pretend(CMP_LACKS_SPIN);
    CHECK(!cmp_spin(&spin, -1, at_once, NULL));
    cmp_platform_pretend(0);

    pid_t child = fork_child();
    if (child == 0) {
        struct cmp_spin here = {0};
        pin_to_one_cpu();
        sleep_ms(1100); /* until what is known of the processors is renewed */
        CHECK_EQ(cmp_parallelism(), 1);
        CHECK(looks_per_spin(&here, -1) <= 2); /* two yields */
        CHECK(looks_per_spin(&here, cmp_cpu()) <= 2);
        _exit(n_failed != 0);
    }
    CHECK_EQ(exit_code(child), 0);
}

int main(void)
{
    start_family(120);
    park = &stage->ready;
    guard = &stage->go;
    test_deadline();
    test_word_that_differs();
    test_limit();
    test_slices_grow();
    test_no_backstop();
    test_wake();
    test_signal();
    test_look();
    test_death_wakes();
    test_spin_learns();
    test_spin_not_where_useless();
    cmp_platform_pretend(CMP_LACKS_WAITV);
    test_deadline();
    test_word_that_differs();
    test_signal();
    return done();
}
