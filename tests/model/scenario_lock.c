/* scenario_lock.c -- side lock, Lock, RLock. */
#include "core/arena.h"
#include "core/lock.h"
#include "core/mutex.h"
#include "core/owner.h"
#include "scenario.h"

static struct cmp_mutex *mutex;
static struct cmp_lock *lock;
static int holder; /* 1 + who is between acquire and release, 0: nobody */

/* ---- side lock ------------------------------------------------------------------ */

static void mutex_setup(void)
{
    make_family();
    mutex = cell(0);
    cmp_mutex_init(mutex);
    holder = 0;
}

static void mutex_once(int64_t deadline_ns)
{
    int rc = cmp_mutex_lock(mutex, deadline_ns);
    if (rc == -ETIMEDOUT || rc == -EINTR)
        return;
    MUST(rc == 0 || rc == -EOWNERDEAD);
    MUST(holder == 0 || model_gone(holder - 1));
    MUST(holder == 0 || rc == -EOWNERDEAD);
    holder = model_self() + 1;
    model_point("holds the mutex");
    MUST(holder == model_self() + 1);
    holder = 0;
    cmp_mutex_unlock(mutex);
}

static void mutex_one(void)
{
    mutex_once(SOON);
}

static void mutex_two(void)
{
    mutex_once(SOON);
    mutex_once(CMP_FOREVER);
}

static void mutex_try(void)
{
    int rc = cmp_mutex_try_lock(mutex);
    if (rc == -EAGAIN)
        return;
    MUST(rc == 0 || rc == -EOWNERDEAD);
    MUST(holder == 0 || model_gone(holder - 1));
    holder = 0;
    cmp_mutex_unlock(mutex);
}

const struct scenario mutex_2 = {
    .name = "mutex-2", .n_actors = 2, .setup = mutex_setup, .join = join_family,
    .budget = {.crashes = 2, .timeouts = 1, .signals = 1, .spurious = 1},
    .body = {mutex_two, mutex_two}, .final = model_no_sleepers,
};
const struct scenario mutex_3 = {
    .name = "mutex-3", .n_actors = 3, .setup = mutex_setup, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 2},
    .body = {mutex_two, mutex_two, mutex_one}, .final = model_no_sleepers,
};
const struct scenario mutex_4 = {
    .name = "mutex-4", .n_actors = 4, .setup = mutex_setup, .join = join_family,
    .budget = {.crashes = 1}, .crashable = 3,
    .body = {mutex_one, mutex_one, mutex_one, mutex_try}, .final = model_no_sleepers,
};

/* ---- Lock ------------------------------------------------------------------------- */

static void lock_setup(void)
{
    make_family();
    lock = cell(0);
    cmp_lock_init(lock, 0, false);
    holder = 0;
}

static void rlock_setup(void)
{
    lock_setup();
    cmp_lock_init(lock, 3, true);
}

/* Whether it was acquired. */
static bool enter(int64_t deadline_ns)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(lock, deadline_ns, &dead);
    if (rc == -ETIMEDOUT || rc == -EINTR)
        return false;
    MUST(rc == 0 || rc == -EOWNERDEAD);
    MUST(holder == 0 || rc == -EOWNERDEAD);
    if (holder != 0) {
        enum phase phase = model_phase(holder - 1);
        MUST(phase == ENDED || phase == EXECED);
    }
    holder = model_self() + 1;
    model_point("holds the lock");
    return true;
}

static void leave(void)
{
    MUST(holder == model_self() + 1);
    holder = 0;
    MUST(cmp_lock_release(lock) == 0);
}

static void lock_one(void)
{
    if (enter(SOON))
        leave();
}

static void lock_forever(void)
{
    if (enter(CMP_FOREVER))
        leave();
}

static void lock_two(void)
{
    lock_one();
    lock_forever();
}

static void lock_then_soon(void)
{
    lock_forever();
    lock_one();
}

static void lock_try(void)
{
    uint32_t dead;
    int rc = cmp_lock_try_acquire(lock, &dead);
    if (rc == -EAGAIN)
        return;
    MUST(rc == 0 || rc == -EOWNERDEAD);
    MUST(holder == 0 || model_phase(holder - 1) == ENDED);
    holder = model_self() + 1;
    leave();
}

static void rlock_nested(void)
{
    uint32_t dead;
    if (!enter(SOON))
        return;
    MUST(cmp_lock_acquire(lock, CMP_FOREVER, &dead) == 0);
    MUST(cmp_lock_depth(lock) == 2);
    MUST(cmp_lock_release(lock) == 0);
    model_point("holds it once");
    MUST(cmp_lock_is_mine(lock));
    leave();
    MUST(cmp_lock_release(lock) == -EPERM);
}

static void lock_final(void)
{
    model_no_sleepers();
    MUST(cmp_lock_check(lock) == NULL);
}

const struct scenario lock_2 = {
    .name = "lock-2", .n_actors = 2, .setup = lock_setup, .join = join_family,
    .budget = {.crashes = 1, .execs = 1, .timeouts = 1, .signals = 1, .spurious = 1},
    .body = {lock_two, lock_two}, .final = lock_final,
};
const struct scenario lock_3 = {
    .name = "lock-3", .n_actors = 3, .setup = lock_setup, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 2, .timeouts = 1},
    .body = {lock_one, lock_one, lock_one}, .final = lock_final,
};
const struct scenario lock_timeout = {
    .name = "lock-timeout", .n_actors = 3, .setup = lock_setup, .join = join_family,
    .budget = {.crashes = 1, .timeouts = 1}, .full = {.crashes = 1, .timeouts = 1, .signals = 1},
    .crashable = 4, .body = {lock_then_soon, lock_forever, lock_forever}, .final = lock_final,
};
const struct scenario lock_barge = {
    .name = "lock-barge", .n_actors = 3, .setup = lock_setup, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 2},
    .body = {lock_two, lock_one, lock_try}, .final = lock_final,
};
const struct scenario rlock_2 = {
    .name = "rlock-2", .n_actors = 2, .setup = rlock_setup, .join = join_family,
    .budget = {.crashes = 1, .timeouts = 1},
    .body = {rlock_nested, rlock_nested}, .final = lock_final,
};

/* ---- two locks that share a hold word ------------------------------------------------- */

static struct cmp_lock *other;

static void shared_setup(void)
{
    lock_setup();
    other = cell(1);
    cmp_lock_init(other, 8, false);
}

static void shared_holder(void)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(other, CMP_FOREVER, &dead);
    MUST(rc == 0 || rc == -EOWNERDEAD);
    lock_forever();
    MUST(cmp_lock_release(other) == 0);
}

static void shared_other(void)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(other, CMP_FOREVER, &dead);
    MUST(rc == 0 || rc == -EOWNERDEAD);
    MUST(cmp_lock_release(other) == 0);
}

const struct scenario lock_shared = {
    .name = "lock-shared", .n_actors = 3, .setup = shared_setup, .join = join_family,
    .budget = {.crashes = 1}, .crashable = 1,
    .body = {shared_holder, lock_forever, shared_other}, .final = lock_final,
};

/* ---- released by another process -------------------------------------------------------- */

static void releaser(void)
{
    uint32_t owner = cmp_lock_owner(lock);
    if (owner != 0 && cmp_lock_release(lock) == 0)
        holder = 0;
}

static void release_victim(void)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(lock, CMP_FOREVER, &dead);
    MUST(rc == 0 || rc == -EOWNERDEAD);
    model_point("holds the lock");
    rc = cmp_lock_release(lock); /* somebody else may have done it */
    MUST(rc == 0 || rc == -EPERM);
}

/* From the dead, it is the heir's alone. */
static void release_heir(void)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(lock, CMP_FOREVER, &dead);
    MUST(rc == 0 || rc == -EOWNERDEAD);
    model_point("holds the lock");
    if (rc == -EOWNERDEAD)
        MUST(cmp_lock_is_mine(lock) && cmp_lock_owner_died(lock));
    rc = cmp_lock_release(lock);
    MUST(rc == 0 || rc == -EPERM);
}

const struct scenario lock_release = {
    .name = "lock-release", .n_actors = 3, .setup = lock_setup, .join = join_family,
    .budget = {.crashes = 1}, .crashable = 1,
    .body = {release_victim, releaser, release_heir}, .final = lock_final,
};

/* ---- gates: released by another process ---------------------------------------------- */

static bool left_in_order;

static void gate_setup(void)
{
    lock_setup();
    left_in_order = false;
}

/* Closes the gate, and ends in order while it is closed. */
static void gate_closer(void)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(lock, CMP_FOREVER, &dead);
    MUST(rc == 0 || rc == -EOWNERDEAD);
    model_point("has closed it");
    cmp_owner_leave();
    left_in_order = true;
    model_exit();
}

static void gate_opener(void)
{
    for (int i = 0; i < 2; i++)
        cmp_lock_release(lock);
}

static void pass_once(void)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(lock, CMP_FOREVER, &dead);
    MUST(rc == 0 || rc == -EOWNERDEAD);
    if (rc == -EOWNERDEAD && left_in_order)
        MUST(!(model_peek(&lock->word, 4) >> 31));
    cmp_lock_release(lock); /* the opener may have come between */
}

static void gate_passer(void)
{
    pass_once();
    pass_once();
}

/* A waiter may be left only before a gate that was closed by one who left in order. */
static void gate_final(void)
{
    for (int i = 0; i < 3; i++)
        if (model_phase(i) == ASLEEP)
            MUST(load_relaxed(&lock->word) >> 31 && cmp_lock_owner(lock) == code_of[0] &&
                 left_in_order);
    MUST(cmp_lock_check(lock) == NULL);
}

const struct scenario gate_3 = {
    .name = "gate-3", .n_actors = 3, .setup = gate_setup, .join = join_family,
    .budget = {.crashes = 1},
    .body = {gate_closer, gate_opener, gate_passer}, .final = gate_final,
};
