/* mutex.c -- the side lock of the core. */
#include <sys/mman.h>

#include "../../src/core/mutex.h"
#include "harness.h"

static struct cmp_mutex *mutex;

static void make_mutex(void)
{
    mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mutex == MAP_FAILED)
        abort();
    cmp_mutex_init(mutex);
    show_on_failure("mutex", mutex, sizeof *mutex);
}

static void take(int id)
{
    int rc = cmp_mutex_lock(mutex, CMP_FOREVER);
    if (rc != 0 && rc != -EOWNERDEAD)
        violation("actor %d: lock: %d", id, rc);
    enter(id, rc == -EOWNERDEAD);
}

static void user(int id)
{
    ready();
    take(id);
    leave(id);
    cmp_mutex_unlock(mutex);
}

static void owner(int id)
{
    take(id);
    mark(id);
    await_order(id);
    leave(id);
    cmp_mutex_unlock(mutex);
}

static void releaser(int id)
{
    take(id);
    ready();
    leave(id);
    cmp_mutex_unlock(mutex);
}

static bool is_free(void)
{
    return (load_seqcst(&mutex->node.word) & CMP_TID_MASK) == 0;
}

static void use_again(void)
{
    if (verdict->hangs == 0) {
        spawn(user);
        settle(NULL);
    }
}

enum { NO_OWNER, UNLOCKS, KILLED };
#define VICTIM_LAST 16
static void lock(int a, int b)
{
    int how = a & 15;
    make_mutex();
    struct actor *o = how == NO_OWNER ? NULL : spawn_marked(owner);
    if (a & VICTIM_LAST)
        spawn_sleepers(user, b);
    struct actor *v = spawn_victim(user);
    bool dead = lead(v);
    if (!(a & VICTIM_LAST))
        spawn_sleepers(user, b);
    if (how == UNLOCKS)
        give_order(o, 1);
    if (how == KILLED)
        kill_actor(o);
    if (!dead)
        lead_on(v);
    second_dies();
    settle(NULL);
    use_again();
}

/* An owner that comes in between the unlock and its wake. */
enum { NO_BARGER, BARGER, BARGER_KILLED };
static struct actor *barger;
static bool wants_barger;

static void barge(void)
{
    if (wants_barger && barger == NULL && is_free())
        barger = spawn_marked(owner);
}

static void unlock(int how, int b)
{
    make_mutex();
    struct actor *v = spawn_victim(releaser);
    spawn_sleepers(user, b);
    wants_barger = how != NO_BARGER;
    lead_looking(v, barge);
    if (barger != NULL) {
        usleep(200);
        if (how == BARGER_KILLED)
            kill_actor(barger);
        else
            give_order(barger, 1);
    }
    second_dies();
    settle(NULL);
    use_again();
}

/* The victim was woken, and somebody else has it already. */
static void woken_and_barged(int a, int b)
{
    (void)a;
    make_mutex();
    struct actor *o = spawn_marked(owner);
    struct actor *v = spawn_victim(user);
    run_to_sleep(v);
    spawn_sleepers(user, b);
    give_order(o, 1);
    settle(is_free);
    struct actor *other = spawn_marked(owner);
    other->bystander = true;
    lead_for(v, 30);
    give_order(other, 1);
    other->bystander = false;
    lead_on(v);
    second_dies();
    settle(NULL);
    use_again();
}

static const struct scenario list[] = {
    {"mutex: lock, free", lock, NO_OWNER, 0, 1, 0, 0},
    {"mutex: contended, first of 3", lock, UNLOCKS, 2, 1, 2, 0},
    {"mutex: contended, last of 3", lock, UNLOCKS | VICTIM_LAST, 2, 1, 2, 0},
    {"mutex: owner killed, alone", lock, KILLED, 0, 1, 0, 0},
    {"mutex: owner killed, first of 3", lock, KILLED, 2, 1, 2, 0},
    {"mutex: owner killed, last of 3", lock, KILLED | VICTIM_LAST, 2, 1, 2, 0},
    {"mutex: unlock, nobody waits", unlock, NO_BARGER, 0, 1, 0, 0},
    {"mutex: unlock, 3 wait", unlock, NO_BARGER, 3, 1, 3, 0},
    {"mutex: unlock, 3 wait, another owner barges in", unlock, BARGER, 3, 1, 3, 0},
    {"mutex: unlock, 3 wait, another owner barges in and is killed", unlock, BARGER_KILLED, 3, 1, 3, 0},
    {"mutex: woken, and another owner has barged in", woken_and_barged, 0, 1, 1, 1, 0},
};
SCENARIOS(list)
