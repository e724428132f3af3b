/* thread.c -- threads that end before their process: its words go with them, and are linked
   again by the next thread that enters cmp.

   Meanwhile its death is told by the kernel alone, at slices of 100 ms, which are no
   back-stop: they stay when that is off. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "../../src/core/lock.h"
#include "harness.h"

static struct cmp_lock *lock;
static cmp_ref lock_ref;

static void make_lock(void)
{
    lock = make(CMP_TYPE_LOCK, sizeof *lock, &lock_ref);
    cmp_lock_init(lock, cmp_object_index(lock_ref), false);
    store64_seqcst(&board->ref[0], lock_ref);
    show_on_failure("lock", lock, sizeof *lock);
}

static void take(int id)
{
    uint32_t dead;
    int rc = cmp_lock_acquire(lock, CMP_FOREVER, &dead);
    if (rc != 0 && rc != -EOWNERDEAD)
        violation("actor %d: acquire: %d", id, rc);
    enter(id, rc == -EOWNERDEAD);
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
    take(id);
    give(id);
}

/* ---- the first thread ends, another one goes on --------------------------------------------- */

/* Not by libc's functions: the first thread may have a breakpoint in one of them.  */
static long raw_syscall(long nr, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static bool first_thread_is_gone(void)
{
    char text[256];
    long fd = raw_syscall(SYS_open, (long)(uintptr_t)"/proc/self/stat", O_RDONLY | O_CLOEXEC, 0);
    long n = raw_syscall(SYS_read, fd, (long)(uintptr_t)text, sizeof text);
    raw_syscall(SYS_close, fd, 0, 0);
    while (n > 0 && text[n - 1] != ')')
        n--;
    return n > 0 && text[n + 1] == 'Z';
}

static void *go_on(void *arg)
{
    int id = (int)(intptr_t)arg;
    while (!first_thread_is_gone())
        raw_syscall(SYS_sched_yield, 0, 0, 0);
    store_seqcst(&board->stage[id], FINISHED); /* as far as the tracer is concerned */
    await_order(id);
    give(id);
    take(id);
    give(id);
    store_seqcst(&board->result[id], 1);
    for (;;)
        pause();
    return NULL;
}

static void *end(void *arg)
{
    (void)arg;
    pthread_exit(NULL);
}

/* The first pthread_exit() of a program loads a library: do it here, so that the tracer
   finds the victim's code in its own memory too, and kills nobody in the loader. */
static void load_pthread_exit(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, end, NULL);
    pthread_join(thread, NULL);
}

static void first_ends(int id)
{
    pthread_t thread;
    take(id);
    pthread_create(&thread, NULL, go_on, (void *)(intptr_t)id);
    ready();
    pthread_exit(NULL);
}

static bool has_gone_on(void)
{
    for (int i = 0; i < MAX_ACTORS; i++)
        if (load_seqcst(&board->result[i]) == 1)
            return true;
    return false;
}

/* Barriers, conditions and ends of channels believe the words alone: looked at after each point,
   where they are few or are gone through one by one anyway.  */
static struct actor *ending;

static void lives_on(void)
{
    uint32_t word;
    if (!ending->gone && cmp_owner_hint(load_seqcst(&board->code[ending->id]), lock->node, &word) == CMP_HINT_DEAD)
        violation("the words of a process say that it is dead, and it lives");
}

/* The thread that has registered the process ends, with the lock held. */
static void first_thread_ends(int a, int b)
{
    (void)a;
    load_pthread_exit();
    make_lock();
    struct actor *v = ending = spawn_victim(first_ends);
    spawn_sleepers(user, b);
    if (options.hooked || trial_k() == MAX_POINTS)
        lead_looking(v, lives_on);
    else
        lead(v);
    if (!v->gone) {
        give_order(v, 1);
        if (!await(has_gone_on))
            hang("the second thread does not go on");
    }
    settle(NULL);
}

/* The same, and the process is killed when that thread is gone. */
static void first_thread_ended(int a, int b)
{
    (void)a;
    load_pthread_exit();
    make_lock();
    struct actor *v = spawn_victim(first_ends);
    spawn_sleepers(user, b);
    release_actor(v);
    v->bystander = true;
    for (int n = 0; n < 10000 && !is_finished(v); n++)
        usleep(100);
    kill_actor(v);
    verdict->n_kills++;
    victim_ended();
    settle(NULL);
}

/* ---- registered by another thread than the first --------------------------------------------- */

static void *join_family(void *arg)
{
    uint32_t version, dead;
    int fd = *(int *)arg;
    void *cell;
    int rc = cmp_family_join(fd, &version);
    if (rc == 0)
        rc = cmp_object_take(load64_seqcst(&board->ref[0]), CMP_TYPE_LOCK, &cell);
    if (rc != 0) {
        violation("join, take: %d", rc);
        return NULL;
    }
    lock = cell;
    cmp_lock_acquire(lock, CMP_FOREVER, &dead);
    return NULL;
}

/* The thread that joined has the lock, and ends; the first one goes on. */
static void joiner(int id)
{
    pthread_t thread;
    int fd, nothing;
    if (!receive_with_fd(&nothing, sizeof nothing, &fd))
        return;
    pthread_create(&thread, NULL, join_family, &fd);
    pthread_join(thread, NULL);
    enter(id, false);
    ready();
    store_seqcst(&board->code[id], cmp_me());
    give(id);
    take(id);
    give(id);
}

static void relink(int a, int b)
{
    int nothing = 0;
    (void)a;
    make_lock();
    send_with_fd(&nothing, sizeof nothing, cmp_family_fd());
    struct actor *v = summon_victim(joiner);
    spawn_sleepers(user, b);
    lead(v);
    settle(NULL);
}

static const struct scenario list[] = {
    {"thread: the first one ends with a lock held, 2 wait", first_thread_ends, 0, 2, 7, 0, 0},
    {"thread: killed when the first one has ended, 2 wait", first_thread_ended, 0, 2, 1, 0, 0},
    {"thread: the one that registered has ended, linked again", relink, 0, 2, 7, 0, STRANGERS},
};
SCENARIOS(list)
