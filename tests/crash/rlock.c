/* rlock.c -- RLock: what it has beyond a Lock, the thread and the depth. */
#include "../../src/core/lock.h"
#include "harness.h"

static struct cmp_lock *lock;

static void make_lock(void)
{
    cmp_ref ref;
    lock = make(CMP_TYPE_RLOCK, sizeof *lock, &ref);
    cmp_lock_init(lock, cmp_object_index(ref), true);
    show_on_failure("rlock", lock, sizeof *lock);
}

static void take(int id, bool outermost)
{
    uint32_t dead = 0;
    int rc = cmp_lock_acquire(lock, CMP_FOREVER, &dead);
    if (rc != 0 && !(outermost && rc == -EOWNERDEAD))
        violation("actor %d: acquire: %d", id, rc);
    if (outermost)
        enter(id, rc == -EOWNERDEAD);
}

static void take_twice(int id)
{
    take(id, true);
    take(id, false);
    if (cmp_lock_depth(lock) != 2)
        violation("actor %d has acquired it twice: depth %u", id, cmp_lock_depth(lock));
}

static void give_twice(int id)
{
    int rc = cmp_lock_release(lock);
    if (rc != 0 || !cmp_lock_is_mine(lock))
        violation("actor %d: first release: %d", id, rc);
    leave(id);
    rc = cmp_lock_release(lock);
    if (rc != 0 || cmp_lock_is_mine(lock))
        violation("actor %d: last release: %d", id, rc);
    if (cmp_lock_release(lock) != -EPERM)
        violation("actor %d released once too often", id);
}

static void user(int id)
{
    ready();
    take_twice(id);
    give_twice(id);
}

static void owner(int id)
{
    take_twice(id);
    mark(id);
    await_order(id);
    give_twice(id);
}

static void releaser(int id)
{
    take_twice(id);
    ready();
    give_twice(id);
}

static void use_again(void)
{
    if (verdict->hangs == 0) {
        spawn(user);
        settle(NULL);
    }
}

enum { NO_OWNER, RELEASES, KILLED };
static void acquire(int how, int b)
{
    make_lock();
    struct actor *o = how == NO_OWNER ? NULL : spawn_marked(owner);
    struct actor *v = spawn_victim(user);
    bool dead = lead(v);
    spawn_sleepers(user, b);
    if (how == RELEASES)
        give_order(o, 1);
    if (how == KILLED)
        kill_actor(o);
    if (!dead)
        lead_on(v);
    second_dies();
    settle(NULL);
    use_again();
}

static void release(int a, int b)
{
    (void)a;
    make_lock();
    struct actor *v = spawn_victim(releaser);
    spawn_sleepers(user, b);
    lead(v);
    second_dies();
    settle(NULL);
    use_again();
}

static const struct scenario list[] = {
    {"rlock: acquire and release twice, free", acquire, NO_OWNER, 0, 1, 0, 0},
    {"rlock: contended, first of 3", acquire, RELEASES, 2, 2, 2, 0},
    {"rlock: take-over, first of 3", acquire, KILLED, 2, 2, 2, 0},
    {"rlock: release, 2 wait", release, 0, 2, 1, 2, 0},
};
SCENARIOS(list)
