/* cond.c -- Condition: notify, wait, time-outs; who comes first, and what the dead had got. */
#include "../../src/core/cond.h"
#include "harness.h"

static struct cmp_lock *lock;
static struct cmp_cond *cond;
static uint32_t n_notify;
static bool recursive;

/* Of a waiter's word; the upper half is its ticket. */
#define WAITER_NOTED (UINT32_C(1) << 31)

static void make_cond(void)
{
    cmp_ref ref;
    lock = make(recursive ? CMP_TYPE_RLOCK : CMP_TYPE_LOCK, sizeof *lock, &ref);
    cmp_lock_init(lock, cmp_object_index(ref), recursive);
    cond = make(CMP_TYPE_COND, sizeof *cond, &ref);
    cmp_cond_init(cond, cmp_object_index(ref));
    show_on_failure("lock", lock, sizeof *lock);
    show_on_failure("condition", cond, offsetof(struct cmp_cond, waiter) + 6 * sizeof cond->waiter[0]);
}

static void take(int id)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(lock, CMP_FOREVER, &dead);
    if (rc != 0 && rc != -EOWNERDEAD)
        violation("actor %d: acquire: %d", id, rc);
    if (recursive && cmp_lock_acquire(lock, CMP_FOREVER, &dead) != 0)
        violation("actor %d: acquire again failed", id);
}

static void give(int id)
{
    uint32_t depth = cmp_lock_depth(lock);
    if (depth != (recursive ? 2 : 1))
        violation("actor %d: depth %u", id, depth);
    for (uint32_t i = 0; i < depth; i++)
        if (cmp_lock_release(lock) != 0)
            violation("actor %d: release failed", id);
}

static void acquire_only(int id)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(lock, CMP_FOREVER, &dead);
    if (rc != 0 && rc != -EOWNERDEAD)
        violation("actor %d: acquire: %d", id, rc);
}

static void wait_until(int id, int64_t deadline_ns)
{
    struct cmp_cond_wait w;
    take(id);
    ready();
    int rc = cmp_cond_enter(cond, lock, &w);
    if (rc != 0)
        violation("actor %d: enter: %d", id, rc);
    rc = cmp_cond_wait(cond, &w, deadline_ns);
    acquire_only(id);
    cmp_cond_leave(cond, lock, &w);
    if (rc == 0)
        store_seqcst(&board->result[id], 1 + add_seqcst(&board->count[0], 1));
    else if (rc != -ETIMEDOUT || deadline_ns == CMP_FOREVER)
        violation("actor %d: wait: %d", id, rc);
    give(id);
}

static void waiter(int id)
{
    wait_until(id, CMP_FOREVER);
}

static void impatient(int id)
{
    wait_until(id, cmp_now_ns() + 15 * MS);
}

static void notifier(int id)
{
    (void)id;
    ready();
    cmp_cond_notify(cond, n_notify);
}

/* Waiters that were notified and have not consumed it, the dead included. */
static uint32_t n_noted(void)
{
    uint32_t n = 0;
    for (int i = 0; i < CMP_COND_NODES; i++)
        n += ((uint32_t)load64_seqcst(&cond->waiter[i]) & WAITER_NOTED) != 0;
    return n;
}

static bool nobody_is_noted(void)
{
    return n_noted() == 0;
}

static uint32_t n_notified(void)
{
    uint32_t n = 0;
    for (int i = 0; i < MAX_ACTORS; i++)
        n += load_seqcst(&board->result[i]) != 0;
    return n;
}

static void director_takes(void)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(lock, cmp_now_ns() + hang_limit_ms() * MS, &dead);
    if (rc != 0 && rc != -EOWNERDEAD)
        hang("the director cannot acquire the lock: %d", rc);
}

static void director_gives(void)
{
    int rc = cmp_lock_release(lock);
    if (rc != 0)
        violation("the director's release: %d", rc);
}

/* Who still waits is told now, and must finish. */
static void notify_the_rest(void)
{
    if (verdict->hangs != 0)
        return;
    cmp_cond_notify(cond, UINT32_MAX);
    settle(NULL);
}

/* The victim notifies, b wait; it dies: as many as it had marked wake up, the oldest. */
#define OLDEST_LAST 16 /* ... in the kernel's queue */
static void notify(int a, int b)
{
    n_notify = a & 15;
    make_cond();
    spawn_sleepers(waiter, b);
    if (a & OLDEST_LAST) {
        cmp_unpark(&cond->park, 1);
        usleep(300);
    }
    director_takes(); /* the notified queue up behind the lock */
    lead(spawn_victim(notifier));
    uint32_t given = n_noted();
    if (victim_has_ended() && given != n_notify)
        violation("notify(%u) notified %u", n_notify, given);
    director_gives();
    second_dies();
    settle(nobody_is_noted);
    uint32_t woken = n_notified();
    if (woken > given)
        violation("%u were notified, %u woke up", given, woken);
    for (uint32_t i = 0; i < given && woken == given && !second_dies_too(); i++)
        if (load_seqcst(&board->result[i]) == 0)
            violation("%u woke up, but not number %u in the queue", woken, i);
    notify_the_rest();
}

static bool is_queued(const struct actor *a)
{
    uint32_t code = load_seqcst(&board->code[a->id]);
    for (int i = 0; i < CMP_COND_NODES; i++)
        if (((uint32_t)load64_seqcst(&cond->waiter[i]) & CMP_CODE_MASK) == code)
            return true;
    return false;
}

/* Whose node is free again may not have said yet that it woke up. */
static uint32_t n_awaited;

static bool enough_woke_up(void)
{
    return all_finished() || n_notified() >= n_awaited;
}

/* The oldest of b + 1 waiters is the victim; then notify(n).  A notify that it had got and
   not consumed goes to the next. */
#define LOCK_HELD 16 /* the director holds the lock until the victim has had its chance */
#define RECURSIVE 32
static void wait_oldest(int a, int b)
{
    uint32_t n = a & 15;
    recursive = a & RECURSIVE;
    make_cond();
    struct actor *v = spawn_victim(waiter);
    bool consumed = false, dead = lead(v);
    spawn_sleepers(waiter, b);
    director_takes();
    uint32_t given = cmp_cond_notify(cond, n);
    if (given != n)
        violation("notify(%u) notified %u", n, given);
    if (!(a & LOCK_HELD))
        director_gives();
    if (!dead && (a & LOCK_HELD))
        lead_for(v, 30);
    if (a & LOCK_HELD)
        director_gives();
    if (!dead && !v->gone) {
        drive(v, trial_k(), hang_limit_ms());
        consumed = !is_queued(v) && !is_finished(v);
        lead_on(v);
    }
    second_dies();
    settle(nobody_is_noted);
    n_awaited = n - consumed;
    if (!second_dies_too())
        await(enough_woke_up);
    uint32_t woken = n_notified();
    if (woken > n || (all_finished() ? 0 : woken + consumed < n && !second_dies_too()))
        violation("notify(%u): %u woke up%s", n, woken, consumed ? ", and the victim had" : "");
    notify_the_rest();
}

/* The victim gives up; before or after that it is killed; then notify(1): nobody loses it. */
static void time_out(int a, int b)
{
    (void)a;
    make_cond();
    struct actor *v = spawn_victim(impatient);
    bool dead = lead(v);
    spawn_sleepers(waiter, b);
    if (!dead)
        lead_on(v);
    director_takes();
    cmp_cond_notify(cond, 1);
    director_gives();
    second_dies();
    settle(nobody_is_noted);
    if (n_notified() > 1)
        violation("notify(1): %u woke up", n_notified());
    notify_the_rest();
}

/* One who gave up for another reason, after a notify: passes it on. */
static void quitter(int id)
{
    struct cmp_cond_wait w;
    take(id);
    cmp_cond_enter(cond, lock, &w);
    mark(id);
    await_order(id);
    ready();
    cmp_cond_quit(cond, &w);
    acquire_only(id);
    cmp_cond_leave(cond, lock, &w);
    give(id);
}

static void quit(int notified, int b)
{
    make_cond();
    store_seqcst(&board->order[0], 1);
    struct actor *v = spawn_victim(quitter);
    spawn_sleepers(waiter, b);
    if (notified)
        cmp_cond_notify(cond, 1);
    lead(v);
    second_dies();
    settle(nobody_is_noted);
    /* Its death between passing on and freeing its node passes it on twice. */
    uint32_t woken = n_notified();
    if (notified && !second_dies_too() && (woken == 0 || woken > 1 + verdict->n_kills))
        violation("the notify of one who quit woke %u", woken);
    notify_the_rest();
}

/* Older waiters die, one that waits and one that was notified; the victim finds them, frees
   their nodes and passes the notify on. */
static void repair(int notified, int b)
{
    make_cond();
    struct actor *one = spawn(waiter);
    await_sleep(one);
    struct actor *two = spawn(waiter);
    await_sleep(two);
    struct actor *v = spawn_victim(waiter);
    bool dead = lead(v);
    spawn_sleepers(waiter, b);
    if (notified) { /* `one` has it, and no lock to consume it */
        director_takes();
        cmp_cond_notify(cond, 1);
    }
    kill_actor(one);
    kill_actor(two);
    if (notified)
        director_gives();
    if (notified && !dead)
        lead_on(v);
    else if (!dead)
        lead_on_or_leave_asleep(v);
    second_dies();
    settle(nobody_is_noted);
    uint32_t woken = n_notified();
    if (woken > 1 + verdict->n_kills && !second_dies_too())
        violation("notify(1): %u woke up", woken);
    notify_the_rest();
}

/* The victim notifies, and finds the oldest waiters dead. */
static void notify_the_dead(int a, int b)
{
    (void)a, (void)b;
    n_notify = 1;
    make_cond();
    struct actor *one = spawn(waiter);
    await_sleep(one);
    struct actor *two = spawn(waiter);
    await_sleep(two);
    struct actor *v = spawn_victim(notifier);
    kill_actor(one); /* nobody is there to notice */
    kill_actor(two);
    lead(v);
    settle(nobody_is_noted);
    spawn_sleepers(waiter, 1);
    cmp_cond_notify(cond, 1);
    settle(NULL);
}

/* More waiters than the cell has nodes. */
static void wait_many(int a, int b)
{
    (void)a;
    make_cond();
    spawn_sleepers(waiter, b);
    struct actor *v = spawn_victim(waiter);
    bool dead = lead(v);
    director_takes();
    cmp_cond_notify(cond, UINT32_MAX);
    director_gives();
    if (!dead)
        lead_on(v);
    settle(NULL);
}

static const struct scenario list[] = {
    {"condition: notify(1), 3 wait", notify, 1, 3, 1, 3, 0},
    {"condition: notify(2), 3 wait", notify, 2, 3, 2, 3, 0},
    {"condition: notify(3), 3 wait", notify, 3, 3, 2, 3, 0},
    {"condition: notify(1), 3 wait, the oldest last in the kernel's queue", notify, 1 | OLDEST_LAST, 3, 1, 3, 0},
    {"condition: wait, oldest of 3, notify(1)", wait_oldest, 1, 2, 1, 2, 0},
    {"condition: wait, oldest of 3, notify(2)", wait_oldest, 2, 2, 1, 2, 0},
    {"condition: wait, oldest of 3, notify(1), lock held meanwhile", wait_oldest, 1 | LOCK_HELD, 2, 2, 2, 0},
    {"condition: wait with an RLock, oldest of 2, notify(1)", wait_oldest, 1 | RECURSIVE, 1, 2, 1, 0},
    {"condition: wait, oldest of 3 times out, notify(1)", time_out, 0, 2, 4, 2, 0},
    {"condition: quit, not notified", quit, 0, 2, 1, 2, 0},
    {"condition: quit, notified: passed on", quit, 1, 2, 1, 2, 0},
    {"condition: two older waiters die, the victim sees to it", repair, 0, 1, 2, 1, 0},
    {"condition: ... one of them notified: passed on", repair, 1, 1, 2, 1, 0},
    {"condition: notify(1), two dead wait", notify_the_dead, 0, 0, 1, 0, 0},
    {"condition: wait, the 17th, notify_all", wait_many, 0, 16, 7, 0, 0},
    {"condition: wait, the 19th, notify_all", wait_many, 0, 18, 7, 0, 0},
};
SCENARIOS(list)
