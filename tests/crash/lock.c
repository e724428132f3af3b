/* lock.c -- Lock: acquire, release, take-over, gates. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../../src/core/lock.h"
#include "harness.h"

static struct cmp_lock *lock;

static void make_lock(void)
{
    cmp_ref ref;
    lock = make(CMP_TYPE_LOCK, sizeof *lock, &ref);
    cmp_lock_init(lock, cmp_object_index(ref), false);
    show_on_failure("lock", lock, sizeof *lock);
}

static bool take(int id)
{
    uint32_t dead = 0;
    int rc = cmp_lock_acquire(lock, CMP_FOREVER, &dead);
    if (rc != 0 && rc != -EOWNERDEAD)
        violation("actor %d: acquire: %d", id, rc);
    enter(id, rc == -EOWNERDEAD);
    return rc == -EOWNERDEAD;
}

static void give(int id)
{
    leave(id);
    int rc = cmp_lock_release(lock);
    if (rc != 0)
        violation("actor %d: release: %d", id, rc);
}

static void user(int id)
{
    ready();
    take(id);
    give(id);
}

/* How an owner ends its ownership. */
enum { NO_OWNER, RELEASES, KILLED, LEAVES, EXECS, KILLED_SLOT_REUSED, N_ENDS };

static void owner(int id)
{
    take(id);
    mark(id);
    switch (await_order(id)) {
    case LEAVES:
        cmp_owner_leave();
        _exit(0);
    case EXECS:
        cmp_owner_leave();
        execl("/bin/sleep", "sleep", "1000", (char *)NULL);
        _exit(1);
    }
    give(id);
}

static void idler(int id)
{
    mark(id);
    for (;;)
        pause();
}

/* A new process in the slot of a dead one. */
static void reuse_slot(uint32_t code)
{
    cmp_sweep();
    use_slot_next(code % CMP_SLOTS);
    struct actor *a = spawn_marked(idler);
    a->bystander = true;
    uint32_t his = load_seqcst(&board->code[a->id]);
    if (his % CMP_SLOTS != code % CMP_SLOTS || his == code)
        violation("a new process did not get the slot of %#x but %#x", code, his);
}

static struct actor *execing;

static bool has_execed(void)
{
    uint32_t word;
    return cmp_owner_hint(load_seqcst(&board->code[execing->id]), lock->node, &word) != CMP_HINT_ALIVE;
}

static void end_ownership(struct actor *o, int how)
{
    int status;
    switch (how) {
    case RELEASES:
        give_order(o, RELEASES);
        break;
    case KILLED:
        kill_actor(o);
        break;
    case LEAVES:
        give_order(o, LEAVES);
        waitpid(o->pid, &status, 0);
        o->gone = true;
        break;
    case EXECS:
        execing = o;
        o->bystander = true;
        give_order(o, EXECS);
        if (!await(has_execed))
            violation("the owner has not replaced itself");
        break;
    case KILLED_SLOT_REUSED:
        kill_actor(o);
        reuse_slot(load_seqcst(&board->code[o->id]));
        break;
    }
}

/* The lock still works, for one who comes afterwards. */
static void use_again(void)
{
    if (verdict->hangs == 0) {
        spawn(user);
        settle(NULL);
    }
}

/* b sleepers and the victim want a lock whose owner then ends as `how` says. */
#define VICTIM_LAST 16
static void acquire(int a, int b)
{
    int how = a & 15;
    make_lock();
    struct actor *o = how == NO_OWNER ? NULL : spawn_marked(owner);
    if (a & VICTIM_LAST)
        spawn_sleepers(user, b);
    struct actor *v = spawn_victim(user);
    bool dead = lead(v);
    if (!(a & VICTIM_LAST))
        spawn_sleepers(user, b);
    if (o != NULL)
        end_ownership(o, how);
    if (!dead)
        lead_on(v);
    second_dies();
    settle(NULL);
    use_again();
}

/* ---- take-over withheld: the first thread has ended, another one lives ---------------- */

static void *pause_for_ever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

/* Its words say that it is dead; it is not. */
static void headless_owner(int id)
{
    pthread_t thread;
    take(id);
    pthread_create(&thread, NULL, pause_for_ever, NULL);
    mark(id);
    await_order(id);
    syscall(SYS_exit, 0);
}

static struct actor *beheaded;

static bool is_headless(void)
{
    uint32_t word;
    uint32_t code = load_seqcst(&board->code[beheaded->id]);
    return cmp_owner_hint(code, lock->node, &word) != CMP_HINT_ALIVE;
}

static void acquire_withheld(int a, int b)
{
    make_lock();
    struct actor *o = spawn_marked(headless_owner);
    if (a & VICTIM_LAST)
        spawn_sleepers(user, b);
    struct actor *v = spawn_victim(user);
    bool dead = lead(v);
    if (!(a & VICTIM_LAST))
        spawn_sleepers(user, b);
    store_seqcst(&board->count[7], 1); /* taking over is wrong from here ... */
    beheaded = o;
    give_order(o, 1);
    if (!await(is_headless))
        violation("the first thread of the owner has not ended");
    if (!dead)
        lead_for(v, 25); /* two slices of confirming */
    usleep(500);
    store_seqcst(&board->count[7], 0); /* ... to here */
    kill_actor(o);
    if (!dead)
        lead_on(v);
    second_dies();
    settle(NULL);
    use_again();
}

/* ---- release ------------------------------------------------------------------------- */

static void releaser(int id)
{
    take(id);
    ready();
    give(id);
}

/* An owner that comes in between the release and its wake. */
enum { NO_BARGER, BARGER, BARGER_KILLED };
static struct actor *barger;
static bool wants_barger;

static void barge(void)
{
    if (wants_barger && barger == NULL && !cmp_lock_held(lock))
        barger = spawn_marked(owner);
}

static void end_barger(int how)
{
    if (barger == NULL)
        return;
    usleep(200);
    if (how == BARGER_KILLED)
        kill_actor(barger);
    else
        give_order(barger, RELEASES);
}

static void release(int how, int b)
{
    make_lock();
    struct actor *v = spawn_victim(releaser);
    spawn_sleepers(user, b);
    wants_barger = how != NO_BARGER;
    lead_looking(v, barge);
    end_barger(how);
    second_dies();
    settle(NULL);
    use_again();
}

static void foreign_releaser(int id)
{
    ready();
    store_seqcst(&board->result[id], (uint32_t)cmp_lock_release(lock));
}

/* Released by a process that does not hold it, which dies; then by its owner, if still held. */
static void release_foreign(int a, int b)
{
    (void)a;
    make_lock();
    struct actor *o = spawn_marked(owner);
    spawn_sleepers(user, b);
    store_seqcst(&board->inside, 0);
    lead(spawn_victim(foreign_releaser));
    usleep(100);
    if (cmp_lock_owner(lock) == load_seqcst(&board->code[o->id])) {
        store_seqcst(&board->inside, (uint32_t)o->id + 1);
        give_order(o, RELEASES);
    } else {
        o->bystander = true;
    }
    second_dies();
    settle(NULL);
    use_again();
}

/* Stopped at each point of its release, while the dead owner's lock is taken over: it must
   not free the lock of the new owner. */
static void release_foreign_paused(int a, int b)
{
    (void)a, (void)b;
    make_lock();
    struct actor *o = spawn_marked(owner);
    struct actor *v = spawn_victim(foreign_releaser);
    enum reached r = drive(v, trial_k(), hang_limit_ms());
    kill_actor(o);
    store_seqcst(&board->inside, 0);
    struct actor *heir = spawn_marked(owner);
    bool died = cmp_lock_owner_died(lock);
    if (r == ENDED) {
        victim_ended();
    } else {
        release_actor(v);
        heir->bystander = true;
        settle(NULL);
        heir->bystander = false;
    }
    if (cmp_lock_owner(lock) != load_seqcst(&board->code[heir->id]))
        violation("the new owner's lock was released");
    if (died && r != ENDED && (int)load_seqcst(&board->result[v->id]) != -EPERM)
        violation("a release after a take-over returned %d", (int)load_seqcst(&board->result[v->id]));
    give_order(heir, RELEASES);
    settle(NULL);
}

/* ---- gates ---------------------------------------------------------------------------- */

/* A lock that was once released by another process is opened by its holder's death only if
   that was a kill: also when its slot is another's by then. */
static void gate(int how, int b)
{
    make_lock();
    struct actor *first = spawn_marked(owner);
    int rc = cmp_lock_release(lock);
    store_seqcst(&board->inside, 0);
    first->bystander = true;
    struct actor *o = spawn_marked(owner);
    struct actor *v = spawn_victim(user);
    bool dead = lead(v);
    if (how != KILLED_SLOT_REUSED)
        spawn_sleepers(user, b);
    end_ownership(o, how);
    if (how == KILLED_SLOT_REUSED)
        spawn_sleepers(user, b);
    if (how != KILLED && how != KILLED_SLOT_REUSED) {
        if (!dead)
            lead_for(v, 4);
        usleep(3000);
        if (cmp_lock_owner(lock) != load_seqcst(&board->code[o->id]) || n_finished() != 0)
            violation("a gate that was left closed was opened");
        store_seqcst(&board->inside, 0);
        rc |= cmp_lock_release(lock);
    }
    if (rc != 0)
        violation("release of the gate: %d", rc);
    if (!dead)
        lead_on(v);
    second_dies();
    settle(NULL);
    use_again();
}

/* ---- time-outs, and other windows ------------------------------------------------------- */

static void impatient(int id)
{
    uint32_t dead = 0;
    ready();
    int rc = cmp_lock_acquire(lock, cmp_now_ns() + 15 * MS, &dead);
    if (rc == -ETIMEDOUT)
        return;
    enter(id, rc == -EOWNERDEAD);
    give(id);
}

/* The one who watches the owner gives up; then the owner dies. */
static void watcher_gives_up(int a, int b)
{
    (void)a;
    make_lock();
    struct actor *o = spawn_marked(owner);
    struct actor *v = spawn_victim(impatient);
    bool dead = lead(v);
    spawn_sleepers(user, b);
    if (!dead)
        lead_on(v);
    kill_actor(o);
    second_dies();
    settle(NULL);
    use_again();
}

/* One process arms the park word and is killed, at each of its points, while another one
   stands at each of its own, and the lock has been released in between. */
static void rearmed_by_the_dead(int a, int b)
{
    (void)a, (void)b;
    make_lock();
    struct actor *o = spawn_marked(owner);
    struct actor *v = spawn_victim(user);
    stop_here(v);
    struct actor *dying = spawn_second(user);
    v->bystander = dying->bystander = true;
    give_order(o, RELEASES);
    settle(NULL);
    v->bystander = dying->bystander = false;
    second_dies();
    release_actor(v);
    settle(NULL);
    use_again();
}

/* A releaser is killed at each of its points, another one stands at each of its own. */
static void release_before_sleep(int a, int b)
{
    (void)a, (void)b;
    make_lock();
    spawn_second(releaser);
    struct actor *v = spawn_victim(user);
    stop_here(v);
    second_dies();
    release_actor(v);
    settle(NULL);
    use_again();
}

/* A dead owner of two locks; each has a sleeper.  The kernel wakes one sleeper on each hold
   word: if the locks share one, the other sleeper is woken by the first one's relay.  The
   victim is the first one; if it dies before that, only the back-stop is left. */
static struct cmp_lock *other_lock;

static void two_lock_owner(int id)
{
    uint32_t dead;
    cmp_lock_acquire(other_lock, CMP_FOREVER, &dead);
    take(id);
    mark(id);
    await_order(id);
}

static void other_user(int id)
{
    uint32_t dead;
    (void)id;
    ready();
    cmp_lock_acquire(other_lock, CMP_FOREVER, &dead);
    cmp_lock_release(other_lock);
}

static void two_locks(int same_word, int b)
{
    cmp_ref ref;
    make_lock();
    other_lock = make(CMP_TYPE_LOCK, sizeof *other_lock, &ref);
    cmp_lock_init(other_lock, same_word ? lock->node : lock->node + 1, false);
    struct actor *o = spawn_marked(two_lock_owner);
    struct actor *v = spawn_victim(other_user);
    run_to_sleep(v);
    spawn_sleepers(user, 1);
    kill_actor(o);
    if (b)
        release_actor(v);
    else
        lead_on(v);
    if (b)
        victim_ended();
    int64_t begin = cmp_now_ns();
    settle(NULL);
    if (options.verbose)
        fprintf(stderr, "waited %.1f ms\n", (double)(cmp_now_ns() - begin) / 1e6);
    use_again();
}

/* A sleeper that still watches a former owner of its lock: after a hand-over only one of
   them looks again.  The former owner has another lock by now, with the same hold word, and
   dies: the kernel may wake the stale watcher, who has nothing to do with it. */
static void moves_on(int id)
{
    uint32_t dead;
    take(id);
    mark(id);
    await_order(id);
    give(id);
    cmp_lock_acquire(other_lock, CMP_FOREVER, &dead);
    ready();
    cmp_lock_release(other_lock);
}

static bool other_is_free(void)
{
    return !cmp_lock_held(other_lock);
}

static void stale_watcher(int a, int b)
{
    cmp_ref ref;
    (void)a;
    make_lock();
    other_lock = make(CMP_TYPE_LOCK, sizeof *other_lock, &ref);
    cmp_lock_init(other_lock, lock->node, false);
    show_on_failure("other lock", other_lock, sizeof *other_lock);
    struct actor *v = spawn_victim_later(moves_on);
    await_mark(v);
    struct actor *next = spawn(owner);
    await_sleep(next);
    spawn_sleepers(user, b);
    give_order(v, 1);
    await_mark(next);
    stand_ready(v);
    spawn_sleepers(other_user, 1);
    lead(v);
    usleep(300);
    next->bystander = true;
    settle(other_is_free);
    next->bystander = false;
    give_order(next, RELEASES);
    second_dies();
    settle(NULL);
    use_again();
}

/* ---- a thread of the dead owner that still stores ---------------------------------------- */

enum { BLOCK = 32 << 20, PAGE = 4096 };
static char *block;
static int block_fd;

static void *store_for_ever(void *arg)
{
    mark((int)(intptr_t)arg);
    for (;;)
        if (pread(block_fd, block, BLOCK, 0) < 0)
            abort();
    return arg;
}

static void storing_owner(int id)
{
    pthread_t thread;
    take(id);
    pthread_create(&thread, NULL, store_for_ever, (void *)(intptr_t)id);
    for (;;)
        pause();
}

static void heir(int id)
{
    take(id);
    for (long i = 0; i < BLOCK; i += PAGE)
        block[i] = 77;
    usleep(20000);
    for (long i = 0; i < BLOCK; i += PAGE)
        if (block[i] != 77) {
            violation("the dead owner still stores");
            break;
        }
    give(id);
}

/* Not by points: k only varies the moment of the kill. */
static void storing_owner_killed(int a, int b)
{
    (void)b;
    make_lock();
    block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    block_fd = memfd_create("block", MFD_CLOEXEC);
    if (block == MAP_FAILED || block_fd < 0 || ftruncate(block_fd, BLOCK) < 0) {
        violation("no memory for the test: %s", strerror(errno));
        return;
    }
    struct actor *o = spawn_marked(storing_owner);
    spawn_sleepers(heir, 1);
    usleep((useconds_t)(700 * trial_k()));
    verdict->n_kills++;
    o->bystander = true;
    kill(o->pid, SIGKILL); /* and do not wait for its end */
    settle(NULL);
    if (trial_k() == a)
        victim_ended();
}

static const struct scenario list[] = {
    {"lock: acquire, free", acquire, NO_OWNER, 0, 1, 0, 0},
    {"lock: contended, first of 3, owner releases", acquire, RELEASES, 2, 1, 2, 0},
    {"lock: contended, last of 3, owner releases", acquire, RELEASES | VICTIM_LAST, 2, 1, 2, 0},
    {"lock: take-over, alone", acquire, KILLED, 0, 1, 0, 0},
    {"lock: take-over, first of 3", acquire, KILLED, 2, 1, 2, 0},
    {"lock: take-over, last of 3", acquire, KILLED | VICTIM_LAST, 2, 1, 2, 0},
    {"lock: take-over withheld, first of 3", acquire_withheld, 0, 2, 2, 2, 0},
    {"lock: take-over withheld, last of 3", acquire_withheld, VICTIM_LAST, 2, 2, 2, 0},
    {"lock: owner leaves in order, first of 3", acquire, LEAVES, 2, 2, 2, 0},
    {"lock: owner execs, first of 3", acquire, EXECS, 2, 2, 2, 0},
    {"lock: owner killed, its slot reused, first of 3", acquire, KILLED_SLOT_REUSED, 2, 2, 2, 0},
    {"lock: release, nobody waits", release, NO_BARGER, 0, 1, 0, 0},
    {"lock: release, 1 waits", release, NO_BARGER, 1, 1, 1, 0},
    {"lock: release, 3 wait", release, NO_BARGER, 3, 1, 3, 0},
    {"lock: release, 3 wait, another owner barges in", release, BARGER, 3, 1, 3, 0},
    {"lock: release, 3 wait, another owner barges in and is killed", release, BARGER_KILLED, 3, 1, 3, 0},
    {"lock: release by another process, nobody waits", release_foreign, 0, 0, 1, 0, 0},
    {"lock: release by another process, 3 wait", release_foreign, 0, 3, 1, 3, 0},
    {"lock: release by another process, stopped over a take-over", release_foreign_paused, 0, 0, 1, 0, 0},
    {"lock: gate, holder killed: taken over", gate, KILLED, 2, 2, 2, 0},
    {"lock: gate, holder left in order: stays closed", gate, LEAVES, 2, 2, 2, 0},
    {"lock: gate, holder exec'd: stays closed", gate, EXECS, 2, 2, 2, 0},
    {"lock: gate, holder killed, slot reused", gate, KILLED_SLOT_REUSED, 2, 2, 2, 0},
    {"lock: the watcher gives up, then the owner dies", watcher_gives_up, 0, 2, 4, 2, 0},
    {"lock: armed again by a dead one before another sleeps", rearmed_by_the_dead, 0, 0, 9, 1, IN_STEP},
    {"lock: releaser killed while another is about to sleep", release_before_sleep, 0, 0, 7, 1, IN_STEP},
    {"lock: owner of two locks dies, own hold words", two_locks, 0, 0, 1, 0, 0},
    {"lock: owner of two locks dies, one hold word, nobody else", two_locks, 1, 1, 1, 0, OWN_WAY},
    {"lock: owner of two locks dies, one hold word (slices)", two_locks, 1, 0, 3, 0, SLICES},
    {"lock: a former owner dies, whom others still watch", stale_watcher, 0, 3, 1, 0, 0},
    {"lock: owner killed while its second thread stores", storing_owner_killed, 9, 0, 1, 0, OWN_WAY},
};
SCENARIOS(list)
