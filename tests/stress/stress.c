/* stress.c -- ten processes use every primitive at random; a director kills, stops and
   continues them at random, and replaces the dead.

   usage: stress [SECONDS [SEED [FAILURES]]]   it ends after so many failures, 20

   No sleep has a slice (CMP_LACKS_BACKSTOP), so a lost wake-up is a worker that, in one
   of the pauses without kills and stops, finishes nothing for STUCK_S seconds.  Permits taken by `with` are found at slices only: who
   wants one of those has a deadline.  Half of the workers wait for ever nowhere but for
   locks, so that those who do are always served.
   Fails on: two in a critical section; an owner that lives, or is stopped, and is robbed;
   a death that the next owner is not told of; more permits than there are; a stuck
   worker; a lock or permit that stays with the dead; a block that has other contents than
   it was given, or whose extents do not come back; anything that cmp_check() finds.  */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/core/arena.h"
#include "../../src/core/barrier.h"
#include "../../src/core/block.h"
#include "../../src/core/check.h"
#include "../../src/core/cond.h"
#include "../../src/core/event.h"
#include "../../src/core/lock.h"
#include "../../src/core/object.h"
#include "../../src/core/owner.h"
#include "../../src/core/sem.h"

enum { N_WORKERS = 10, N_LOCKS = 3, N_PERMITS = 3, N_PARTIES = 3, N_PUBLIC = 32, N_LIVES = 1 << 21 };
#define MS INT64_C(1000000)
#define STUCK_S 8

/* What all share besides the arena.  A life is one incarnation of a worker. */
struct ground {
    cmp_word inside[N_LOCKS];      /* the life in the critical section */
    cmp_word has_permit[N_WORKERS]; /* its life, while it has one of the N_PERMITS */
    cmp_word life[N_WORKERS];
    cmp_word64 beats[N_WORKERS];
    cmp_word doing[N_WORKERS];
    cmp_word next_life;
    cmp_word items; /* guarded by cond_lock */
    cmp_word64 public[N_PUBLIC]; /* references of objects that may be gone */
    cmp_word64 block[N_PUBLIC];  /* ... of blocks; the place tells the size */
    cmp_word64 n[16];            /* how often each kind of operation succeeded */
    cmp_word64 n_heirs, n_broken;
    cmp_word n_failures;
    unsigned char killed[N_LIVES];
};
static struct ground *ground;

static struct cmp_lock *lock[N_LOCKS], *cond_lock;
static struct cmp_sem *permits, *signals;
static struct cmp_event *event;
static struct cmp_cond *cond;
static struct cmp_barrier *barrier;

static void fail(const char *format, ...)
{
    va_list args;
    if (add_seqcst(&ground->n_failures, 1) > 20)
        return;
    va_start(args, format);
    fputs("FAILED: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static uint32_t next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

/* ---- workers ------------------------------------------------------------------------- */

struct worker {
    int number;
    uint32_t life, random;
    bool patient; /* may wait for ever */
};

static int64_t some_deadline(struct worker *w)
{
    uint32_t r = next_random(&w->random);
    if (w->patient && r % 2)
        return CMP_FOREVER;
    return cmp_now_ns() + r % 2000000;
}

/* Mostly short, now and then long enough to be killed or stopped in: asleep, or running. */
static void compute(struct worker *w)
{
    uint32_t r = next_random(&w->random);
    if (r % 16 == 1)
        usleep(r >> 8 & 2047);
    for (volatile uint32_t i = r % 64 ? r % 1000 : 200000; i > 0; i--)
        ;
}

static bool expected(int rc, const char *what)
{
    if (rc != 0 && rc != -ETIMEDOUT && rc != -EAGAIN)
        fail("%s: %s", what, strerror(-rc));
    return rc == 0;
}

/* Nobody may be there, unless this process inherits from one who was killed. */
static void enter(struct worker *w, int n, bool heir)
{
    uint32_t before = xchg_seqcst(&ground->inside[n], w->life);
    if (before != 0 && !heir)
        fail("lock %d: life %u came in beside %u", n, w->life, before);
    if (before != 0 && heir && !ground->killed[before])
        fail("lock %d: life %u robbed %u, which lives", n, w->life, before);
    if (heir)
        add64_seqcst(&ground->n_heirs, 1);
}

static void leave(struct worker *w, int n)
{
    uint32_t seen = w->life;
    if (!cas_strong(&ground->inside[n], &seen, 0))
        fail("lock %d: life %u was inside, then %u", n, w->life, seen);
}

static bool use_lock(struct worker *w)
{
    uint32_t r = next_random(&w->random), dead;
    int n = (int)(r % N_LOCKS), depth = lock[n]->recursive ? 1 + (int)(r >> 8 & 1) : 1;
    int rc = r & 1024 ? cmp_lock_acquire(lock[n], r & 2048 ? CMP_FOREVER : some_deadline(w), &dead)
                      : cmp_lock_try_acquire(lock[n], &dead);
    if (rc != -EOWNERDEAD && !expected(rc, "acquire"))
        return false;
    enter(w, n, rc == -EOWNERDEAD);
    for (int i = 1; i < depth; i++)
        expected(cmp_lock_acquire(lock[n], CMP_FOREVER, &dead), "acquire again");
    if (rc == -EOWNERDEAD && r & 4096)
        cmp_lock_mark_consistent(lock[n]);
    compute(w);
    for (int i = 1; i < depth; i++)
        expected(cmp_lock_release(lock[n]), "release inner");
    leave(w, n);
    expected(cmp_lock_release(lock[n]), "release");
    return true;
}

static void count_permits(void)
{
    int n = 0;
    for (int i = 0; i < N_WORKERS; i++) {
        uint32_t life = load_seqcst(&ground->has_permit[i]);
        n += life != 0 && !ground->killed[life];
    }
    if (n > N_PERMITS)
        fail("%d have one of %d permits", n, N_PERMITS);
}

static bool use_permit(struct worker *w)
{
    if (!expected(cmp_sem_acquire(permits, true, cmp_now_ns() + 3 * MS), "acquire `with`"))
        return false;
    store_seqcst(&ground->has_permit[w->number], w->life);
    count_permits();
    compute(w);
    store_seqcst(&ground->has_permit[w->number], 0);
    expected(cmp_sem_release(permits, true, 1), "release `with`");
    return true;
}

static bool take_signal(struct worker *w)
{
    return expected(cmp_sem_acquire(signals, false, some_deadline(w)), "semaphore acquire");
}

static bool give_signal(struct worker *w)
{
    if (cmp_sem_value(signals) > 30)
        return false;
    return expected(cmp_sem_release(signals, false, 1 + next_random(&w->random) % 3), "semaphore release");
}

static bool wait_event(struct worker *w)
{
    return expected(cmp_event_wait(event, some_deadline(w)), "event wait");
}

static bool pulse(struct worker *w)
{
    (void)w;
    cmp_event_set(event);
    cmp_event_clear(event);
    return true;
}

/* After a death inside, items and notifications may not fit: tell everybody.  */
static bool lock_cond(int64_t deadline_ns)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(cond_lock, deadline_ns, &dead);
    if (rc == -EOWNERDEAD)
        cmp_cond_notify(cond, UINT32_MAX);
    return rc == -EOWNERDEAD || expected(rc, "acquire for the condition");
}

static bool consume(struct worker *w)
{
    struct cmp_cond_wait wait;
    int64_t deadline_ns = some_deadline(w);
    bool done = false;
    if (!lock_cond(CMP_FOREVER))
        return false;
    while (load_seqcst(&ground->items) == 0) {
        if (!expected(cmp_cond_enter(cond, cond_lock, &wait), "condition enter"))
            break;
        int rc = cmp_cond_wait(cond, &wait, deadline_ns);
        lock_cond(CMP_FOREVER);
        cmp_cond_leave(cond, cond_lock, &wait);
        if (!expected(rc, "condition wait"))
            break;
    }
    if (load_seqcst(&ground->items) > 0) {
        add_seqcst(&ground->items, UINT32_MAX);
        done = true;
    }
    expected(cmp_lock_release(cond_lock), "release for the condition");
    return done;
}

static bool produce(struct worker *w)
{
    (void)w;
    if (!lock_cond(CMP_FOREVER))
        return false;
    if (load_seqcst(&ground->items) < 10) {
        add_seqcst(&ground->items, 1);
        cmp_cond_notify(cond, 1);
    }
    expected(cmp_lock_release(cond_lock), "release for the condition");
    return true;
}

static bool meet(struct worker *w)
{
    uint32_t index, phase;
    int rc = cmp_barrier_wait(barrier, some_deadline(w), &index, &phase);
    if (rc == -EPIPE || rc == -ETIMEDOUT) {
        add64_seqcst(&ground->n_broken, 1);
        cmp_barrier_reset(barrier);
        return false;
    }
    if (rc == CMP_BARRIER_ACT)
        rc = cmp_barrier_acted(barrier, phase);
    return rc != -EPIPE && expected(rc, "barrier wait");
}

/* Objects that come and go, and are found by others while they live. */
static bool trade(struct worker *w)
{
    cmp_word64 *place = &ground->public[next_random(&w->random) % N_PUBLIC];
    void *cell;
    cmp_ref ref = load64_seqcst(place);
    int rc = ref == 0 ? -ESTALE : cmp_object_take(ref, CMP_TYPE_EVENT, &cell);
    if (rc == 0) {
        cmp_event_set(cell);
        if (!cmp_event_is_set(cell))
            fail("a shared event was formatted anew");
        compute(w);
        cmp_object_drop(ref);
        return true;
    }
    if (rc != -ESTALE)
        return expected(rc, "take");
    if (!expected(cmp_object_create(CMP_TYPE_EVENT, sizeof(struct cmp_event), &ref, &cell), "create"))
        return false;
    cmp_event_init(cell);
    store64_seqcst(place, ref);
    compute(w);
    if (next_random(&w->random) % 4)
        cmp_object_drop(ref);
    return true;
}

static size_t block_bytes(uint32_t i)
{
    static const size_t bytes[] = {100, 5000, 70000, 200000, 300000, 500000, 1 << 20, 5 << 20};
    return bytes[i % (sizeof bytes / sizeof *bytes)];
}

/* A word in every 4 KiB, which no other block has. */
static void stamp(void *data, size_t bytes, cmp_ref ref)
{
    for (size_t at = 0; at + 8 <= bytes; at += 4096)
        *(volatile uint64_t *)(void *)((char *)data + at) = ref ^ at << 40;
}

static void check_stamp(const void *data, size_t bytes, cmp_ref ref)
{
    for (size_t at = 0; at + 8 <= bytes; at += 4096)
        if (*(const volatile uint64_t *)(const void *)((const char *)data + at) != (ref ^ at << 40)) {
            fail("a block of %zu bytes has other contents at %zu", bytes, at);
            return;
        }
}

static bool make_block(struct worker *w, cmp_word64 *place, size_t bytes)
{
    cmp_ref ref;
    void *cell, *data;
    if (!expected(cmp_block_create(bytes, false, &ref, &cell, &data), "create a block"))
        return false;
    stamp(data, bytes, ref);
    if (next_random(&w->random) % 4) { /* others may take it, or it is one's own */
        cmp_object_pin(ref);
        cmp_object_drop(ref);
        store64_seqcst(place, ref);
    }
    compute(w);
    check_stamp(data, bytes, ref);
    cmp_object_drop(ref);
    return true;
}

/* Blocks that come and go, with contents. */
static bool use_block(struct worker *w)
{
    uint32_t i = next_random(&w->random) % N_PUBLIC;
    void *data;
    cmp_ref ref = load64_seqcst(&ground->block[i]);
    int rc = ref == 0 ? -ESTALE : cmp_block_take(ref, block_bytes(i), &data);
    if (rc == -ESTALE)
        return make_block(w, &ground->block[i], block_bytes(i));
    if (!expected(rc, "take a block"))
        return false;
    compute(w);
    check_stamp(data, block_bytes(i), ref);
    cmp_object_drop(ref);
    if (next_random(&w->random) % 64 == 0)
        cmp_block_trim(0);
    return true;
}

static bool sweep(struct worker *w)
{
    (void)w;
    int64_t rc = cmp_sweep();
    if (rc < 0)
        fail("sweep: %s", strerror((int)-rc));
    return rc >= 0;
}

static uint32_t new_life(void)
{
    uint32_t life = add_seqcst(&ground->next_life, 1) + 1;
    if (life < N_LIVES)
        return life;
    fail("more than %d lives", N_LIVES);
    _exit(1);
}

static void live(int number, uint32_t life, bool for_ever);

/* A child that works a little, and is not waited for if its parent is killed. */
static bool fork_child(struct worker *w)
{
    pid_t pid = fork();
    if (pid == 0) {
        live(w->number, new_life(), false);
        _exit(0);
    }
    int status;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0 || status != 0)
        fail("a child ended with status %#x", status);
    return true;
}

static const struct {
    const char *name;
    bool (*run)(struct worker *w);
    int weight;
} operations[] = {
    {"lock", use_lock, 30},       {"permit", use_permit, 8},   {"take", take_signal, 6},
    {"give", give_signal, 6},     {"wait", wait_event, 6},     {"pulse", pulse, 6},
    {"consume", consume, 8},      {"produce", produce, 8},     {"meet", meet, 6},
    {"trade", trade, 10},         {"block", use_block, 10},    {"sweep", sweep, 1},         {"fork", fork_child, 1},
};
enum { N_OPERATIONS = sizeof operations / sizeof *operations };

static int choose(struct worker *w)
{
    int total = 0;
    for (int i = 0; i < N_OPERATIONS; i++)
        total += operations[i].weight;
    int at = (int)(next_random(&w->random) % (uint32_t)total), i = 0;
    while ((at -= operations[i].weight) >= 0)
        i++;
    return i;
}

static void live(int number, uint32_t life, bool for_ever)
{
    struct worker w = {.number = number, .life = life, .random = life * 2654435761u + 1};
    w.patient = for_ever && number >= N_WORKERS / 2;
    if (for_ever)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    cmp_platform_pretend(CMP_LACKS_BACKSTOP | (w.life % 2 ? CMP_LACKS_SPIN : 0));
    for (int n = 0; for_ever || n < 20; n++) {
        int i = choose(&w);
        if (!for_ever && (i == N_OPERATIONS - 1 || operations[i].run == use_permit))
            continue;
        if (for_ever)
            store_seqcst(&ground->doing[number], (uint32_t)i);
        if (operations[i].run(&w))
            add64_seqcst(&ground->n[i], 1);
        add64_seqcst(&ground->beats[number], 1);
    }
}

/* ---- the director ----------------------------------------------------------------------- */

static pid_t pids[N_WORKERS];
static long n_stops, n_kills, n_refills, n_checks;

static void start_worker(int i)
{
    uint32_t life = new_life();
    store_seqcst(&ground->has_permit[i], 0);
    store_seqcst(&ground->life[i], life);
    fflush(NULL);
    pids[i] = fork();
    if (pids[i] == 0) {
        live(i, life, true);
        _exit(0);
    }
    if (pids[i] < 0)
        fail("fork: %s", strerror(errno));
}

static void kill_worker(int i)
{
    int status;
    ground->killed[load_seqcst(&ground->life[i])] = 1;
    kill(pids[i], SIGKILL);
    waitpid(pids[i], &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail("worker %d ended by itself: status %#x", i, status);
    n_kills++;
}

static bool is_worker(pid_t pid)
{
    for (int i = 0; i < N_WORKERS; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* Children of killed workers that have ended.  A worker stays for kill_worker to see. */
static void reap_orphans(void)
{
    siginfo_t info = {0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0 &&
           !is_worker(info.si_pid)) {
        waitpid(info.si_pid, NULL, 0);
        info.si_pid = 0;
    }
}

static void disturb(uint32_t *random)
{
    int i = (int)(next_random(random) % N_WORKERS);
    usleep(next_random(random) % 1500);
    if (next_random(random) % 3) {
        kill(pids[i], SIGSTOP);
        n_stops++;
        usleep(next_random(random) % 3000);
        if (next_random(random) % 6) {
            kill(pids[i], SIGCONT);
            return;
        }
    }
    kill_worker(i);
    start_worker(i);
}

static void tell_what_is_stuck(int i)
{
    fail("worker %d (life %u) is stuck in %s", i, load_seqcst(&ground->life[i]),
         operations[load_seqcst(&ground->doing[i]) % N_OPERATIONS].name);
    for (int n = 0; n < N_LOCKS; n++)
        fprintf(stderr, "  lock %d: word %x park %x\n", n, load_seqcst(&lock[n]->word), load_seqcst(&lock[n]->park));
    fprintf(stderr, "  cond lock: word %x park %x; items %u\n", load_seqcst(&cond_lock->word),
            load_seqcst(&cond_lock->park), load_seqcst(&ground->items));
    fprintf(stderr, "  signals: %u free, park %x; event: %u, park %x\n", cmp_sem_value(signals),
            load_seqcst(&signals->park), load_seqcst(&event->count), load_seqcst(&event->park[0]));
    fprintf(stderr, "  barrier: state %llx, %u wait\n", (unsigned long long)load64_seqcst(&barrier->state),
            cmp_barrier_n_waiting(barrier));
    char command[64];
    snprintf(command, sizeof command, "cat /proc/%d/syscall /proc/%d/wchan >&2", (int)pids[i], (int)pids[i]);
    if (system(command) != 0)
        fprintf(stderr, "  (nothing more is known of it)\n");
}

static void complain(void *arg, const char *what)
{
    fail("check() %s: %s", (const char *)arg, what);
}

static void check(const char *when)
{
    int rc = cmp_check(complain, (void *)when);
    if (rc < 0)
        fail("check() %s: %s", when, strerror(-rc));
    n_checks++;
}

/* Every 20 ms: signals that died with their taker are replaced.  Every second: check().  */
static void look_around(void)
{
    static int64_t next_ns, next_check_ns;
    int64_t now_ns = cmp_now_ns();
    if (now_ns < next_ns)
        return;
    next_ns = now_ns + 20 * MS;
    reap_orphans();
    if (cmp_sem_value(signals) == 0) {
        n_refills++;
        cmp_sem_release(signals, false, 1);
    }
    if (now_ns < next_check_ns)
        return;
    next_check_ns = now_ns + 1000 * MS;
    check("beside the workers");
}

/* Once nobody is stopped or killed any more, each worker finishes what it is at. */
static void let_all_go_on(void)
{
    uint64_t before[N_WORKERS];
    for (int i = 0; i < N_WORKERS; i++) {
        before[i] = load64_seqcst(&ground->beats[i]);
        kill(pids[i], SIGCONT);
    }
    int64_t until_ns = cmp_now_ns() + STUCK_S * 1000 * MS;
    for (int i = 0; i < N_WORKERS; i++) {
        while (load64_seqcst(&ground->beats[i]) == before[i] && cmp_now_ns() < until_ns) {
            usleep(500);
            look_around();
        }
        if (load64_seqcst(&ground->beats[i]) == before[i])
            tell_what_is_stuck(i);
    }
}

static void *make(enum cmp_type type, size_t bytes, uint32_t *index)
{
    cmp_ref ref;
    void *cell;
    int rc = cmp_object_create(type, bytes, &ref, &cell);
    if (rc < 0) {
        fprintf(stderr, "cmp_object_create: %s\n", strerror(-rc));
        exit(1);
    }
    *index = cmp_object_index(ref);
    return cell;
}

static struct cmp_lock *make_lock(bool recursive)
{
    uint32_t index;
    struct cmp_lock *l = make(recursive ? CMP_TYPE_RLOCK : CMP_TYPE_LOCK, sizeof *l, &index);
    cmp_lock_init(l, index, recursive);
    return l;
}

static void make_objects(void)
{
    uint32_t index;
    for (int i = 0; i < N_LOCKS; i++)
        lock[i] = make_lock(i == N_LOCKS - 1);
    cond_lock = make_lock(false);
    permits = make(CMP_TYPE_SEM, sizeof *permits, &index);
    cmp_sem_init(permits, index, N_PERMITS, true);
    signals = make(CMP_TYPE_SEM, sizeof *signals, &index);
    cmp_sem_init(signals, index, 2, false);
    event = make(CMP_TYPE_EVENT, sizeof *event, &index);
    cmp_event_init(event);
    cond = make(CMP_TYPE_COND, sizeof *cond, &index);
    cmp_cond_init(cond, index);
    barrier = make(CMP_TYPE_BARRIER, cmp_barrier_bytes(N_PARTIES), &index);
    cmp_barrier_init(barrier, index, N_PARTIES, true);
}

/* All who held anything are dead: it is there again. */
static void take_all(void)
{
    uint32_t dead;
    int64_t deadline_ns = cmp_now_ns() + STUCK_S * 1000 * MS;
    for (int i = 0; i < N_LOCKS; i++)
        if (cmp_lock_acquire(lock[i], deadline_ns, &dead) == -ETIMEDOUT)
            fail("lock %d does not come back", i);
    for (int i = 0; i < N_PERMITS; i++)
        if (cmp_sem_acquire(permits, true, deadline_ns) < 0)
            fail("permit %d of %d does not come back", i + 1, N_PERMITS);
}

/* ... and what is free is empty. */
static void check_blocks(void)
{
    cmp_block_trim(0);
    for (uint32_t e = CMP_EXTENT_FIRST; e < cmp_extent_end(); e++) {
        uint32_t word = cmp_extent_word(e);
        const uint64_t *words = cmp_extent_at(e);
        if (word >= CMP_EXTENT_CLAIM || (word < CMP_EXTENT_TAIL && word >> 24 == CMP_EXTENT_BLOCK))
            fail("extent %u is left: %#x", e, word);
        for (size_t i = 0; word == 0 && words != NULL && i < CMP_EXTENT_BYTES / 8; i += 64)
            if (words[i] != 0) {
                fail("extent %u is free and not clean", e);
                break;
            }
    }
}

/* The children of killed workers end by themselves.  One that does not is stuck, and is
   killed, so that the test ends. */
static void await_orphans(void)
{
    char path[64];
    int64_t until_ns = cmp_now_ns() + STUCK_S * 1000 * MS;
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0 && cmp_now_ns() < until_ns)
        if (pid == 0)
            usleep(1000);
    if (pid < 0)
        return;
    fail("a child of a killed worker is stuck");
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *children = fopen(path, "r");
    for (int child; children != NULL && fscanf(children, "%d", &child) == 1;)
        kill(child, SIGKILL);
    if (children != NULL)
        fclose(children);
}

static void report(int seconds)
{
    printf("%d s, %d processes:", seconds, N_WORKERS);
    for (int i = 0; i < N_OPERATIONS; i++)
        printf(" %llu %s%s", (unsigned long long)load64_seqcst(&ground->n[i]), operations[i].name,
               i < N_OPERATIONS - 1 ? "," : "\n");
    printf("%ld SIGSTOP, %ld SIGKILL, %llu take-overs, %llu broken barriers, %ld permits replaced, %ld times check()\n",
           n_stops, n_kills, (unsigned long long)load64_seqcst(&ground->n_heirs),
           (unsigned long long)load64_seqcst(&ground->n_broken), n_refills, n_checks);
    printf("%u failures\n", load_seqcst(&ground->n_failures));
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 30;
    uint32_t random = argc > 2 ? (uint32_t)atoi(argv[2]) | 1 : (uint32_t)getpid() * 2654435761u | 1;
    uint32_t most_failures = argc > 3 ? (uint32_t)atoi(argv[3]) : 20;
    printf("stress: %d s, seed %u\n", seconds, random);
    ground = mmap(NULL, sizeof *ground, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ground == MAP_FAILED)
        return 2;
    cmp_platform_pretend(CMP_LACKS_BACKSTOP);
    int rc = cmp_family_init();
    if (rc < 0) {
        fprintf(stderr, "cmp_family_init: %s\n", strerror(-rc));
        return 2;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    make_objects();
    for (int i = 0; i < N_WORKERS; i++)
        start_worker(i);
    int64_t end_ns = cmp_now_ns() + seconds * 1000 * MS;
    while (cmp_now_ns() < end_ns && load_seqcst(&ground->n_failures) < most_failures) {
        for (int i = 0; i < 100; i++) {
            disturb(&random);
            look_around();
        }
        let_all_go_on();
    }
    for (int i = 0; i < N_WORKERS; i++)
        kill_worker(i);
    await_orphans();
    sweep(&(struct worker){0});
    take_all();
    check_blocks();
    check("after all died");
    report(seconds);
    return load_seqcst(&ground->n_failures) != 0;
}
