/* scenario_cond.c -- Condition: who was notified goes on, and nobody else. */
#include "core/cond.h"
#include "core/lock.h"
#include "scenario.h"

static struct cmp_cond *cond;
static struct cmp_lock *lock;
static uint32_t ticket[ACTORS]; /* of its wait */
static bool queued[ACTORS];     /* its wait has neither ended nor been given up */
static int n_used;              /* notifies that were given and used */

/* What a notify() gave, to those with tickets before the bound. */
static struct call {
    uint32_t bound;
    int given, used_before;
} calls[4];
static int n_calls;

static void cond_setup(void)
{
    make_family();
    lock = cell(0);
    cond = cell(1);
    cmp_lock_init(lock, 0, false);
    cmp_cond_init(cond, 0);
}

static void acquire(void)
{
    uint32_t dead;
    int rc;
    while ((rc = cmp_lock_acquire(lock, CMP_FOREVER, &dead)) == -EINTR)
        ;
    MUST(rc == 0 || rc == -EOWNERDEAD);
}

/* Nobody who lives and queued up earlier is still waiting. */
static void must_be_next(int self)
{
    for (int i = 0; i < ACTORS; i++) {
        if (i == self || !queued[i] || model_gone(i))
            continue;
        for (int k = 0; k < CMP_COND_NODES; k++) {
            uint64_t node = model_peek(&cond->waiter[k], 8);
            if ((uint32_t)node == (UINT32_C(1) << 30 | code_of[i]))
                MUST((int32_t)(ticket[i] - ticket[self]) > 0);
        }
    }
}

static int wait_once(int64_t deadline_ns)
{
    struct cmp_cond_wait w;
    int self = model_self(), rc;
    acquire();
    rc = cmp_cond_enter(cond, lock, &w);
    MUST(rc == 0);
    ticket[self] = w.ticket;
    queued[self] = true;
    while ((rc = cmp_cond_wait(cond, &w, deadline_ns)) == -EINTR)
        ;
    MUST(rc == 0 || rc == -ETIMEDOUT);
    if (rc == 0)
        must_be_next(self);
    acquire();
    cmp_cond_leave(cond, lock, &w);
    n_used += rc == 0;
    queued[self] = false;
    MUST(cmp_lock_release(lock) == 0);
    return rc;
}

static void waiter(void)
{
    wait_once(CMP_FOREVER);
}

static void waiter_soon(void)
{
    wait_once(SOON);
}

/* A signal handler raises in the middle of the wait. */
static void quitter(void)
{
    struct cmp_cond_wait w;
    acquire();
    MUST(cmp_cond_enter(cond, lock, &w) == 0);
    ticket[model_self()] = w.ticket;
    queued[model_self()] = true;
    int rc = cmp_cond_wait(cond, &w, CMP_FOREVER);
    if (rc == -EINTR) {
        cmp_cond_quit(cond, &w);
        queued[model_self()] = false;
    }
    acquire();
    cmp_cond_leave(cond, lock, &w);
    n_used += rc == 0;
    queued[model_self()] = false;
    MUST(cmp_lock_release(lock) == 0);
}

static void notify(uint32_t n)
{
    acquire();
    struct call call = {.bound = (uint32_t)model_peek(&cond->ticket, 4), .used_before = n_used};
    call.given = (int)cmp_cond_notify(cond, n);
    calls[n_calls++] = call;
    MUST(cmp_lock_release(lock) == 0);
}

static void notify_1(void)
{
    notify(1);
}

static void notify_1_twice(void)
{
    notify(1);
    notify(1);
}

static void notify_all(void)
{
    notify(UINT32_MAX);
}

static bool lives(uint32_t code)
{
    for (int i = 0; i < ACTORS; i++)
        if (code_of[i] == code)
            return !model_gone(i);
    return false;
}

/* A live one that still waits: those who queued up before a notify() as it did have
   used as many notifies as that gave. */
static void must_not_have_missed(int i)
{
    int given = 0, used = 0;
    for (int k = 0; k < n_calls; k++)
        if ((int32_t)(ticket[i] - calls[k].bound) < 0) {
            if (given == 0)
                used = n_used - calls[k].used_before;
            given += calls[k].given;
        }
    MUST(used >= given);
}

/* A notify that a node still has is one that somebody should have had: the node's
   process, which lives and sleeps, or one that queued up before it. */
static void cond_final(void)
{
    for (int k = 0; k < CMP_COND_NODES; k++) {
        uint64_t node = load64_relaxed(&cond->waiter[k]);
        uint32_t code = (uint32_t)node & CMP_CODE_MASK;
        if (!((uint32_t)node >> 31))
            continue;
        MUST(!lives(code));
        for (int i = 0; i < ACTORS; i++)
            if (model_phase(i) == ASLEEP)
                MUST((int32_t)(ticket[i] - (uint32_t)(node >> 32)) >= 0);
    }
    for (int i = 0; i < ACTORS; i++)
        if (model_phase(i) == ASLEEP || model_phase(i) == READY) {
            MUST(queued[i]); /* and not for the lock */
            must_not_have_missed(i);
        }
    MUST(cmp_cond_check(cond) == NULL);
    MUST(cmp_lock_check(lock) == NULL);
}

const struct scenario cond_1 = {
    .name = "cond-1", .n_actors = 2, .setup = cond_setup, .join = join_family,
    .budget = {.crashes = 1, .timeouts = 1, .signals = 1, .spurious = 1},
    .body = {waiter_soon, notify_1}, .final = cond_final,
};
const struct scenario cond_2 = {
    .name = "cond-2", .n_actors = 3, .setup = cond_setup, .join = join_family,
    .budget = {.crashes = 1}, .crashable = 5,
    .body = {waiter, waiter, notify_1}, .final = cond_final,
};
const struct scenario cond_timeout = {
    .name = "cond-timeout", .n_actors = 3, .setup = cond_setup, .join = join_family,
    .budget = {.timeouts = 1}, .full = {.crashes = 1, .timeouts = 1},
    .body = {waiter_soon, waiter, notify_1}, .final = cond_final,
};
const struct scenario cond_quit = {
    .name = "cond-quit", .n_actors = 3, .setup = cond_setup, .join = join_family,
    .budget = {.signals = 1}, .full = {.crashes = 1, .signals = 1},
    .body = {quitter, waiter, notify_1}, .final = cond_final,
};
const struct scenario cond_all = {
    .name = "cond-all", .n_actors = 3, .setup = cond_setup, .join = join_family,
    .budget = {.crashes = 1}, .crashable = 4,
    .body = {waiter, waiter, notify_all}, .final = cond_final,
};
const struct scenario cond_twice = {
    .name = "cond-twice", .n_actors = 3, .setup = cond_setup, .join = join_family,
    .budget = {0}, .full = {.crashes = 1},
    .body = {waiter, waiter, notify_1_twice}, .final = cond_final,
};
