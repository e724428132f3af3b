/* wait.c -- slices, and the spin policy.  */
#include "wait.h"
#include "../platform/kernel.h"

/* ---- does a death wake? ------------------------------------------------------- */

/* 0: not asked; a time: a thread asks since then; or one of these. */
#define DEATH_WAKES INT64_C(1)
#define DEATH_IS_SILENT INT64_C(2)
#define ASKING_MAX_NS INT64_C(5000000000)
#define TRIES 3u /* on a machine so busy that the test's time ran out */

static cmp_word64 death_wake;
static cmp_word tries;

static bool ask_kernel(void)
{
    struct cmp_kernel kernel;
    if (cmp_lacks(CMP_LACKS_ROBUST) || cmp_lacks(CMP_LACKS_PENDING) || !cmp_robust_works())
        return false;
    cmp_kernel_read(&kernel);
    return kernel.robust_wake == 1 && kernel.pending_wake == 1;
}

bool cmp_death_wakes(void)
{
    uint64_t seen = load64_relaxed(&death_wake);
    int64_t now_ns = cmp_now_ns();

    if (seen == DEATH_WAKES || seen == DEATH_IS_SILENT)
        return seen == DEATH_WAKES;
    /* The one who asks may be a thread that a fork has left in the parent. */
    if (seen != 0 && now_ns - (int64_t)seen < ASKING_MAX_NS)
        return false;
    if (!cas64_strong(&death_wake, &seen, (uint64_t)now_ns))
        return false;
    bool wakes = ask_kernel();
    bool again = !wakes && add_seqcst(&tries, 1) + 1 < TRIES;
    store64_relaxed(&death_wake, wakes ? DEATH_WAKES : again ? 0 : DEATH_IS_SILENT);
    return wakes;
}

/* ---- naps --------------------------------------------------------------------- */

#define SLICE_MIN_NS INT64_C(100000000)
#define SLICE_DOUBT_NS INT64_C(1000000000)  /* the longest where a death may be silent */
#define SLICE_MAX_NS INT64_C(30000000000)
#define NO_LIMIT INT64_MAX

static _Thread_local cmp_look_fn look;

cmp_look_fn cmp_wait_look(cmp_look_fn want)
{
    cmp_look_fn before = look;
    look = want;
    return before;
}

/* The wait stays as it is meanwhile, its pending word too. */
static int look_away(void)
{
    cmp_look_fn wanted = look;
    cmp_word *pending = cmp_pending_now(), *before = cmp_pending_keep(pending);

    look = NULL;
    int rc = wanted();
    look = wanted;
    cmp_pending_keep(before);
    cmp_pending(pending);
    return rc;
}

static int64_t next_slice(int64_t slice_ns)
{
    if (slice_ns < SLICE_DOUBT_NS / 2)
        return 2 * slice_ns;
    if (slice_ns < SLICE_DOUBT_NS || !cmp_death_wakes())
        return SLICE_DOUBT_NS;
    return 2 * slice_ns < SLICE_MAX_NS ? 2 * slice_ns : SLICE_MAX_NS;
}

int cmp_nap_at_most(struct cmp_nap *nap, const struct cmp_watch *words, int n,
                    int64_t deadline_ns, int64_t limit_ns)
{
    if (nap->slice_ns == 0)
        nap->slice_ns = SLICE_MIN_NS;
    nap->slice_over = false;
    nap->woken = -1;

    int64_t now_ns = cmp_now_ns();
    if (now_ns < deadline_ns && look != NULL) {
        if (look_away() != 0)
            return -EINTR;
        now_ns = cmp_now_ns();
    }
    if (now_ns >= deadline_ns)
        return -ETIMEDOUT;
    int64_t length_ns = cmp_lacks(CMP_LACKS_BACKSTOP) ? NO_LIMIT : nap->slice_ns;
    if (limit_ns < length_ns)
        length_ns = limit_ns;
    bool sliced = length_ns < deadline_ns - now_ns;

    int rc = cmp_park(words, n, sliced ? now_ns + length_ns : deadline_ns);
    if (rc == -EAGAIN)
        return 0; /* not asleep: it took nobody's wake */
    if (rc == -EINVAL)
        return rc;
    nap->slept = true;
    if (rc == -ETIMEDOUT && sliced) {
        nap->slice_over = true;
        if (length_ns == nap->slice_ns && limit_ns > length_ns)
            nap->slice_ns = next_slice(nap->slice_ns);
        return 0;
    }
    if (rc == -EINTR && look != NULL)
        return 0; /* what came is seen before the next sleep */
    if (rc < 0)
        return rc;
    nap->woken = rc < n ? rc : -1;
    nap->slice_over = rc >= n;
    return 0;
}

int cmp_nap(struct cmp_nap *nap, const struct cmp_watch *words, int n, int64_t deadline_ns)
{
    return cmp_nap_at_most(nap, words, n, deadline_ns, NO_LIMIT);
}

/* ---- waking ------------------------------------------------------------------- */

void cmp_wake(cmp_word *park, uint32_t armed, int n)
{
    int woken = cmp_unpark(park, n);
    CMP_HOOK("wake.woke");
    if (woken > 0 || !cas_strong(park, &armed, 0))
        return;
    CMP_HOOK("wake.disarmed");
    cmp_unpark(park, n); /* who has fallen asleep between the two */
    CMP_HOOK("wake.woke_again");
}

/* ---- spinning ------------------------------------------------------------------ */

/* A wake from sleep costs some 60 us across processors: as much as three spins in
   vain.  So a spin that succeeds doubles the next, one in vain cuts a quarter off, and
   they balance where a quarter to a third of them succeed.  One shorter than
   SPIN_MIN_NS is none: then only every 16th wait tries, and every 32nd, 64th ... up to
   512th if it keeps failing.  Time, not PAUSEs: one of those takes 10 ns or 40.

   All this holds while nobody else wants this processor.  Whether somebody does, the
   yields tell that follow a spin in vain: they come back at once if not.  If so, what
   spinning burns is another's, perhaps the peer's own time: the next one is a quarter
   as long, so that two of three must succeed.  */
#define SPIN_MAX_NS 20000u
#define SPIN_NEW_NS 4000u /* after a trial that succeeded */
#define SPIN_MIN_NS 1000u
#define IDLE_LOG2_MIN 4u
#define PATIENCE_MAX 5u
#define LOOKS_PER_CLOCK 8

/* Two yields pass the processor to a peer that waits for it, cheaper than sleeping.
   If others run instead, and that takes long, then a sleeper would be given the
   processor back sooner, by its wake: so that is rarely tried again.  */
#define N_YIELDS 2
#define YIELD_CROWDED_NS INT64_C(5000)
#define YIELD_LONG_NS INT64_C(100000)
#define NO_YIELDS 255u

static uint32_t minus(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

/* One call less to sit out. */
static bool sits_out(cmp_word *calls)
{
    uint32_t left = load_relaxed(calls);
    if (left == 0)
        return false;
    store_relaxed(calls, left - 1);
    return true;
}

static uint32_t budget_of(struct cmp_spin *spin)
{
    uint32_t budget_ns = minus(SPIN_MAX_NS, load_relaxed(&spin->cut_ns));
    return budget_ns >= SPIN_MIN_NS ? budget_ns : 0;
}

static void set_budget(struct cmp_spin *spin, uint32_t budget_ns)
{
    store_relaxed(&spin->cut_ns, minus(SPIN_MAX_NS, budget_ns));
}

static void learn_success(struct cmp_spin *spin, uint32_t budget_ns)
{
    set_budget(spin, budget_ns == 0 ? SPIN_NEW_NS : 2 * budget_ns);
    store_relaxed(&spin->patience, minus(load_relaxed(&spin->patience), 1));
}

/* budget_ns: 0 if it was a trial.  */
static void learn_failure(struct cmp_spin *spin, uint32_t budget_ns, bool crowded)
{
    uint32_t patience = load_relaxed(&spin->patience);

    set_budget(spin, crowded ? budget_ns / 4 : budget_ns / 4 * 3);
    store_relaxed(&spin->idle, (1u << (IDLE_LOG2_MIN + patience)) - 1);
    if (budget_ns == 0 && patience < PATIENCE_MAX)
        store_relaxed(&spin->patience, patience + 1);
}

static bool spin_for(uint32_t budget_ns, bool (*ready)(const void *), const void *arg)
{
    int64_t until_ns = 0;
    do {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (ready(arg))
                return true;
            cmp_pause();
        }
        if (until_ns == 0) /* the shortest waits never see the clock */
            until_ns = cmp_now_ns() + budget_ns;
    } while (cmp_now_ns() < until_ns);
    return ready(arg);
}

/* *crowded: others than the peer had use for this processor. */
static bool yield_twice(struct cmp_spin *spin, bool (*ready)(const void *), const void *arg,
                        bool *crowded)
{
    if (sits_out(&spin->no_yield)) {
        *crowded = true;
        return false;
    }
    int64_t since_ns = cmp_now_ns();
    bool is_ready = false;
    for (int i = 0; i < N_YIELDS && !is_ready; i++) {
        cmp_yield();
        is_ready = ready(arg);
    }
    int64_t took_ns = cmp_now_ns() - since_ns;
    *crowded = took_ns > YIELD_CROWDED_NS;
    if (took_ns > YIELD_LONG_NS)
        store_relaxed(&spin->no_yield, NO_YIELDS);
    return is_ready;
}

bool cmp_spin(struct cmp_spin *spin, int peer_cpu, bool (*ready)(const void *),
              const void *arg)
{
    bool crowded;

    if (cmp_lacks(CMP_LACKS_SPIN))
        return false;
    if (peer_cpu == cmp_cpu() || cmp_parallelism() == 1)
        return yield_twice(spin, ready, arg, &crowded);
    uint32_t budget_ns = budget_of(spin);
    if (budget_ns == 0 && sits_out(&spin->idle))
        return yield_twice(spin, ready, arg, &crowded);
    if (spin_for(budget_ns != 0 ? budget_ns : SPIN_MAX_NS, ready, arg)) {
        learn_success(spin, budget_ns);
        return true;
    }
    bool is_ready = yield_twice(spin, ready, arg, &crowded);
    learn_failure(spin, budget_ns, crowded);
    return is_ready;
}
