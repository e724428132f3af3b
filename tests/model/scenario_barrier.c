/* scenario_barrier.c -- Barrier: all come, or it is broken for all. */
#include "core/barrier.h"
#include "scenario.h"

#define PHASES 8

static struct cmp_barrier *barrier;
static int n_parties;
static int calls[ACTORS];      /* of wait() */
static int verdict[PHASES];    /* 0: nobody has left it; 1: passed; -1: broken */
static uint32_t index_taken[PHASES];
static bool acting, disturbed; /* somebody runs the action; abort, reset, quit or time-out */

static void setup(int n, bool has_action)
{
    make_family();
    barrier = cell(0);
    n_parties = n;
    cmp_barrier_init(barrier, 0, (uint32_t)n, has_action);
}

static void setup_2(void)
{
    setup(2, false);
}

static void setup_3(void)
{
    setup(3, false);
}

static void setup_action(void)
{
    setup(2, true);
}

static int act(uint32_t phase)
{
    MUST(!acting);
    acting = true;
    model_point("runs the action");
    acting = false;
    return cmp_barrier_acted(barrier, phase);
}

/* All who were in one phase are told the same. */
static void note_verdict(uint32_t phase, int rc)
{
    int is = rc == 0 ? 1 : -1;
    MUST(verdict[phase % PHASES] == 0 || verdict[phase % PHASES] == is || disturbed);
    verdict[phase % PHASES] = is;
}

static void must_have_come(int round)
{
    int n = 0;
    for (int i = 0; i < ACTORS; i++)
        n += calls[i] >= round;
    MUST(n >= n_parties);
}

static int come(int64_t deadline_ns)
{
    uint32_t index, phase;
    int self = model_self(), round = ++calls[self];
    int rc = cmp_barrier_wait(barrier, deadline_ns, &index, &phase);
    while (rc == -EINTR || rc == -EAGAIN)
        rc = rc == -EINTR ? cmp_barrier_resume(barrier, deadline_ns, index, phase)
                          : cmp_barrier_wait(barrier, deadline_ns, &index, &phase);
    if (rc == CMP_BARRIER_ACT)
        rc = act(phase);
    MUST(rc == 0 || rc == -EPIPE || rc == -ETIMEDOUT);
    if (index == CMP_BARRIER_NONE) {
        MUST(rc != 0);
        return rc;
    }
    disturbed |= rc == -ETIMEDOUT;
    note_verdict(phase, rc);
    if (rc == 0) {
        MUST((index_taken[phase % PHASES] & 1u << index) == 0);
        index_taken[phase % PHASES] |= 1u << index;
        must_have_come(round);
    }
    return rc;
}

static void party(void)
{
    come(CMP_FOREVER);
}

static void party_soon(void)
{
    come(SOON);
}

static void party_twice(void)
{
    if (come(CMP_FOREVER) == 0)
        come(CMP_FOREVER);
}

static void aborter(void)
{
    disturbed = true;
    cmp_barrier_abort(barrier);
}

static void resetter(void)
{
    disturbed = true;
    cmp_barrier_reset(barrier);
}

static void quitter(void)
{
    uint32_t index, phase;
    calls[model_self()]++;
    int rc = cmp_barrier_wait(barrier, CMP_FOREVER, &index, &phase);
    if (rc == -EINTR) {
        disturbed = true;
        cmp_barrier_quit(barrier, index, phase);
    }
}

/* Who still sleeps waits for one who has not come, in a barrier that is not broken; and
   nobody who had come is dead. */
static void barrier_final(void)
{
    uint64_t state = load64_relaxed(&barrier->state);
    bool sleeps = false;
    int n_here = 0;
    for (int i = 0; i < ACTORS; i++)
        sleeps |= model_phase(i) == ASLEEP || model_phase(i) == READY;
    MUST(cmp_barrier_check(barrier) == NULL);
    if (!sleeps)
        return;
    MUST(!cmp_barrier_broken(barrier));
    for (int k = 0; k < n_parties; k++) {
        uint64_t arrival = load64_relaxed(&barrier->arrival[k]);
        if (arrival >> 32 != (uint32_t)state >> 2)
            continue;
        n_here++;
        for (int i = 0; i < ACTORS; i++)
            if (code_of[i] == (uint32_t)arrival)
                MUST(model_phase(i) == ASLEEP);
    }
    MUST(n_here < n_parties);
    for (int i = 0; i < ACTORS; i++)
        if (model_phase(i) == ASLEEP || model_phase(i) == READY)
            n_here--;
    MUST(n_here == 0);
}

const struct scenario barrier_2 = {
    .name = "barrier-2", .n_actors = 2, .setup = setup_2, .join = join_family,
    .budget = {.crashes = 1, .timeouts = 1, .signals = 1, .spurious = 1},
    .body = {party_twice, party_soon}, .final = barrier_final,
};
const struct scenario barrier_rounds = {
    .name = "barrier-rounds", .n_actors = 2, .setup = setup_2, .join = join_family,
    .budget = {.crashes = 1},
    .body = {party_twice, party_twice}, .final = barrier_final,
};
const struct scenario barrier_3 = {
    .name = "barrier-3", .n_actors = 3, .setup = setup_3, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 2},
    .body = {party, party, party}, .final = barrier_final,
};
/* The first to go on come again at once, and sleep beside those who still sleep. */
const struct scenario barrier_next = {
    .name = "barrier-next", .n_actors = 3, .setup = setup_3, .join = join_family,
    .budget = {.crashes = 1}, .crashable = 1,
    .body = {party, party, party_twice}, .final = barrier_final,
};
/* One party never comes. */
const struct scenario barrier_missing = {
    .name = "barrier-missing", .n_actors = 2, .setup = setup_3, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 1, .signals = 1},
    .body = {party, party}, .final = barrier_final,
};
const struct scenario barrier_action = {
    .name = "barrier-action", .n_actors = 2, .setup = setup_action, .join = join_family,
    .budget = {.crashes = 1, .signals = 1},
    .body = {party, party_twice}, .final = barrier_final,
};
const struct scenario barrier_abort = {
    .name = "barrier-abort", .n_actors = 3, .setup = setup_2, .join = join_family,
    .budget = {0}, .full = {.crashes = 1},
    .body = {party, party, aborter}, .final = barrier_final,
};
const struct scenario barrier_reset = {
    .name = "barrier-reset", .n_actors = 3, .setup = setup_2, .join = join_family,
    .budget = {0}, .full = {.crashes = 1},
    .body = {party, party, resetter}, .final = barrier_final,
};
const struct scenario barrier_quit = {
    .name = "barrier-quit", .n_actors = 2, .setup = setup_2, .join = join_family,
    .budget = {.crashes = 1, .signals = 2},
    .body = {quitter, party}, .final = barrier_final,
};
const struct scenario barrier_crowd = {
    .name = "barrier-crowd", .n_actors = 3, .setup = setup_2, .join = join_family,
    .budget = {0}, .full = {.crashes = 1},
    .body = {party, party, party}, .final = barrier_final,
};
