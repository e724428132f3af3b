/* linux_deathwatch.c -- see by the death of a child what the kernel does at one.

   The children are made by a bare clone without an exit signal: no SIGCHLD, no
   pthread_atfork handlers, and an application's waitpid(-1) does not find them.
   They make bare system calls and nothing else (libc's state may be that of a
   thread that is not there), with every signal blocked, and end by themselves in
   time if nobody ends them.  */
#include "linux_deathwatch.h"
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../core/cmp.h"
#include "linux.h"

#define NAP_NS 200000
#define CHILD_NAPS 2000               /* 400 ms, plus what the scheduler adds */
#define SLEEP_NS INT64_C(50000000)    /* what is not woken by a death in this time never is, */
#define BOUND_NS INT64_C(2000000000)  /* but the death may be late on a busy machine */
#define TRIES 3                       /* a death may fall between two sleeps, or before the first */

/* What parent and child share: one page. */
struct stage {
    cmp_word word;            /* the one slept on */
    cmp_word side;            /* where the child moves the sleeper to, to see it */
    cmp_word ready;           /* 1: the child has set the scene */
    cmp_word result;          /* of the child, where it is the one that sees */
    struct robust_list entry; /* word lies futex_offset bytes from it */
};

static void conclude(struct stage *s, int result)
{
    /* SYNC release: pairs with conclusion; the child's steps come before its word. */
    store_release(&s->result, (uint32_t)result);
}

static int conclusion(struct stage *s)
{
    /* SYNC acquire: pairs with conclude, perhaps of a process that still runs. */
    return (int)load_acquire(&s->result);
}

static void nap(void)
{
    struct timespec t = {.tv_nsec = NAP_NS};
    syscall(SYS_nanosleep, &t, NULL);
}

static pid_t spawn(void)
{
    long pid = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    return pid < 0 ? -errno : (pid_t)pid;
}

static void leave(void)
{
    syscall(SYS_exit_group, 0);
}

/* Wait for that child, or with -1 for any; whatever its exit signal. */
static pid_t await(pid_t pid, int *status)
{
    long rc;
    do
        rc = syscall(SYS_wait4, pid, status, __WALL, NULL);
    while (rc < 0 && errno == EINTR);
    return (pid_t)rc;
}

static void kill_hard(pid_t pid)
{
    syscall(SYS_kill, pid, SIGKILL);
}

static int set_death_signal(int sig)
{
    return syscall(SYS_prctl, PR_SET_PDEATHSIG, sig, 0, 0, 0) < 0 ? -errno : 0;
}

static bool requeue_one(cmp_word *from, cmp_word *to)
{
    /* Wake none, move one, provided that *from is what it is.
       SYNC seq_cst: as the kernel's own comparison; pairs with its marking of the
       word at a death.  An older value would only fail, and be tried again. */
    return syscall(SYS_futex, from, FUTEX_CMP_REQUEUE, 0, (void *)1, to,
                   load_seqcst(from)) == 1;
}

/* A thread that is queued on a futex can be moved, so moving it to another word
   and back tells that it sleeps, however slow the machine is. */
static void wait_for_sleeper(struct stage *s)
{
    for (int i = 0; i < CHILD_NAPS; i++) {
        if (requeue_one(&s->word, &s->side)) {
            requeue_one(&s->side, &s->word);
            return;
        }
        nap();
    }
}

/* The child: register a list of its own, with the word in it or pending, and be
   killed while the parent sleeps on the word. */
static void die_holding(struct stage *s, uint32_t value, bool listed)
{
    struct robust_list_head head = {
        .list = {&head.list},
        .futex_offset =
            (long)offsetof(struct stage, word) - (long)offsetof(struct stage, entry),
    };
    if (syscall(SYS_set_robust_list, &head, sizeof head) < 0) {
        conclude(s, -errno);
        return;
    }
    if (listed) {
        value = (uint32_t)syscall(SYS_gettid) | FUTEX_WAITERS;
        s->entry.next = &head.list;
        head.list.next = &s->entry;
    } else {
        head.list_op_pending = &s->entry;
    }
    /* SYNC release: with the next one; the word holds its value before ready. */
    store_release(&s->word, value);
    /* SYNC release: pairs with the load of ready in sleep_until_death, which else
       could sleep on a word that is not in place. */
    store_release(&s->ready, 1);
    wait_for_sleeper(s);
    kill_hard((pid_t)syscall(SYS_getpid));
}

static bool has_ended(pid_t child)
{
    siginfo_t info = {0};
    return syscall(SYS_waitid, P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL) == 0 &&
           info.si_pid == child;
}

/* 0 once the scene is set; 1 if it is not in time; -errno of the child. */
static int await_scene(struct stage *s, int64_t bound_ns)
{
    /* SYNC acquire: pairs with the store of ready in die_holding; then word and
       entry are as the child wants them. */
    while (!load_acquire(&s->ready)) {
        if (conclusion(s) < 0)
            return conclusion(s);
        if (cmp_now_ns() > bound_ns)
            return 1;
        nap();
    }
    return 0;
}

/* 1 if the child's death woke us from the word, 0 if not, -errno of the child. */
static int sleep_until_death(struct stage *s, pid_t child, bool listed)
{
    int64_t bound_ns = cmp_now_ns() + BOUND_NS;
    int rc = await_scene(s, bound_ns);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    uint32_t value = load_relaxed(&s->word);
    do
        rc = linux_futex_wait(&s->word, value, cmp_now_ns() + SLEEP_NS);
    while (rc == -EINTR || (rc == -ETIMEDOUT && !has_ended(child) && cmp_now_ns() < bound_ns));
    if (rc < 0 && rc != -EAGAIN)
        return rc == -ETIMEDOUT ? 0 : rc;
    /* SYNC seq_cst: pairs with the kernel's marking of the word, before its wake. */
    return !listed || (load_seqcst(&s->word) & FUTEX_OWNER_DIED) != 0;
}

static int try_death_wake_once(struct stage *s, uint32_t value, bool listed)
{
    *s = (struct stage){0};
    pid_t child = spawn();
    if (child == 0) {
        die_holding(s, value, listed);
        leave();
    }
    if (child < 0)
        return child;
    int rc = sleep_until_death(s, child, listed);
    kill_hard(child);
    await(child, NULL);
    return rc;
}

static int try_death_wake(struct stage *s, uint32_t value, bool listed)
{
    int rc = 0;
    for (int i = 0; i < TRIES && rc == 0; i++)
        rc = try_death_wake_once(s, value, listed);
    return rc;
}

/* The child's child's child: to be killed when its parent ends. */
static void await_parent_death(struct stage *s)
{
    int rc = set_death_signal(SIGKILL);
    if (rc < 0)
        conclude(s, rc);
    /* SYNC release: pairs with end_as_parent, which else could end before the death
       signal is set. */
    store_release(&s->ready, 1);
    for (int i = 0; i < CHILD_NAPS; i++)
        nap();
}

static void end_as_parent(struct stage *s)
{
    pid_t child = spawn();
    if (child == 0) {
        await_parent_death(s);
        leave();
    }
    if (child < 0) {
        conclude(s, child);
        return;
    }
    /* SYNC acquire: pairs with the store of ready in await_parent_death. */
    for (int i = 0; i < CHILD_NAPS && !load_acquire(&s->ready); i++)
        nap();
}

/* The child: adopts the orphan, so that no zombie goes to an init that may not
   reap, and sees how it ended. */
static void adopt_and_look(struct stage *s)
{
    int status, killed = 0, set = -1;

    signal(SIGCHLD, SIG_DFL); /* ignored by the caller, the orphan would vanish unseen */
    if (syscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
        int rc = set_death_signal(SIGKILL); /* then believe what is read back */
        syscall(SYS_prctl, PR_GET_PDEATHSIG, &set, 0, 0, 0);
        conclude(s, rc < 0 ? rc : set == SIGKILL);
        return;
    }
    pid_t child = spawn();
    if (child == 0) {
        end_as_parent(s);
        leave();
    }
    if (child < 0) {
        conclude(s, child);
        return;
    }
    while (await(-1, &status) > 0)
        killed |= WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (conclusion(s) == 0)
        conclude(s, killed);
}

static int try_parent_death_signal(struct stage *s)
{
    *s = (struct stage){0};
    pid_t child = spawn();
    if (child == 0) {
        adopt_and_look(s);
        leave();
    }
    if (child < 0)
        return child;
    await(child, NULL); /* bounded by the naps of those below it */
    return conclusion(s);
}

/* After unshare(CLONE_NEWPID) the next child becomes the init of a namespace,
   which its death would close for the application's own children. */
static bool children_go_elsewhere(void)
{
    struct stat own, children;
    return stat("/proc/self/ns/pid", &own) == 0 &&
           stat("/proc/self/ns/pid_for_children", &children) == 0 &&
           own.st_ino != children.st_ino;
}

static void all_refused(struct cmp_kernel *k, int rc)
{
    k->robust_wake = k->pending_wake = k->pending_wake_zero = rc;
    k->parent_death_signal = rc;
}

void linux_deathwatch(struct cmp_kernel *k)
{
    sigset_t all, before;

    if (children_go_elsewhere()) {
        all_refused(k, -EXDEV);
        return;
    }
    struct stage *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) {
        all_refused(k, -errno);
        return;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    k->robust_wake = try_death_wake(s, 0, true);
    k->pending_wake = try_death_wake(s, PARK_ARMED, false);
    k->pending_wake_zero = try_death_wake(s, 0, false);
    k->parent_death_signal = try_parent_death_signal(s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(s, sizeof *s);
}
