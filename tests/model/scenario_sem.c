/* scenario_sem.c -- Semaphore, BoundedSemaphore. */
#include "core/sem.h"
#include "scenario.h"

static struct cmp_sem *sem;
static int n_holding, n_max; /* permits that live processes have; the most there may be */
static bool holds[ACTORS];

static void setup(uint32_t value, bool bounded)
{
    make_family();
    sem = cell(0);
    cmp_sem_init(sem, 0, value, bounded);
    n_max = (int)value;
    n_holding = 0;
}

static void setup_0(void)
{
    setup(0, false);
}

static void setup_1(void)
{
    setup(1, true);
}

static void setup_2(void)
{
    setup(2, false);
}

static void setup_5(void)
{
    setup(5, false); /* more than have words */
}

static bool take(bool with, int64_t deadline_ns)
{
    int rc = cmp_sem_acquire(sem, with, deadline_ns);
    if (rc == -ETIMEDOUT || rc == -EINTR)
        return false;
    MUST(rc == 0);
    n_holding++;
    holds[model_self()] = true;
    int n_dead = 0; /* theirs came back, or are lost */
    for (int i = 0; i < ACTORS; i++)
        n_dead += holds[i] && model_gone(i);
    MUST(n_holding - n_dead <= n_max);
    return true;
}

static void give(bool with)
{
    n_holding--;
    holds[model_self()] = false;
    MUST(cmp_sem_release(sem, with, 1) == 0);
}

static void with_once(void)
{
    if (take(true, CMP_FOREVER)) {
        model_point("holds a permit");
        give(true);
    }
}

static void with_soon(void)
{
    if (take(true, SOON)) {
        model_point("holds a permit");
        give(true);
    }
}

static void bare_take(void)
{
    take(false, CMP_FOREVER);
}

static void bare_take_soon(void)
{
    take(false, SOON);
}

static void post(void)
{
    n_max++;
    cmp_sem_release(sem, false, 1);
}

static void post_2(void)
{
    n_max += 2;
    cmp_sem_release(sem, false, 2);
}

/* Whether a permit word names a process that has ended: that is seen at a slice. */
static bool owed_by_the_dead(void)
{
    for (uint32_t i = 0; i < sem->n_words; i++)
        for (int k = 0; k < ACTORS; k++)
            if (load_relaxed(&sem->permit[i]) == code_of[k] && model_gone(k))
                return true;
    return false;
}

static void sem_final(void)
{
    bool sleeps = false;
    for (int i = 0; i < ACTORS; i++)
        sleeps |= model_phase(i) == ASLEEP || model_phase(i) == READY;
    if (sleeps)
        MUST(cmp_sem_value(sem) == 0);
    MUST(cmp_sem_check(sem) == NULL);
}

/* Who takes with `with`, and gives back, leaves nobody asleep but for the dead. */
static void with_final(void)
{
    sem_final();
    if (!owed_by_the_dead())
        model_no_sleepers();
}

const struct scenario sem_post = {
    .name = "sem-post", .n_actors = 4, .setup = setup_0, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 2},
    .body = {bare_take, bare_take, post, post}, .final = sem_final,
};
const struct scenario sem_burst = {
    .name = "sem-burst", .n_actors = 4, .setup = setup_0, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 1, .timeouts = 1},
    .body = {bare_take, bare_take_soon, bare_take, post_2}, .final = sem_final,
};
const struct scenario sem_timeout = {
    .name = "sem-timeout", .n_actors = 3, .setup = setup_0, .join = join_family,
    .budget = {.crashes = 1, .timeouts = 1, .signals = 1, .spurious = 1},
    .body = {bare_take_soon, bare_take, post}, .final = sem_final,
};
const struct scenario sem_with = {
    .name = "sem-with", .n_actors = 3, .setup = setup_1, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 2, .timeouts = 1},
    .body = {with_once, with_once, with_soon}, .final = with_final,
};
const struct scenario sem_two = {
    .name = "sem-two", .n_actors = 3, .setup = setup_2, .join = join_family,
    .budget = {.crashes = 1, .timeouts = 1},
    .body = {with_once, with_once, with_soon}, .final = with_final,
};
const struct scenario sem_surplus = {
    .name = "sem-surplus", .n_actors = 3, .setup = setup_5, .join = join_family,
    .budget = {.crashes = 1},
    .body = {with_once, bare_take, post}, .final = sem_final,
};
