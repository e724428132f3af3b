#include "orphan.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../core/cmp.h"
#include "linux.h"

#define BY_FD (UINT32_C(1) << 31) /* beyond any pid and any descriptor */

/* Read by the signal handler, in any thread and at any moment: so what is watched
   is one word, which changes in one step.  armed_by differs from getpid() in a
   forked child, which inherits handler and memory but is not watched. */
static cmp_word armed_by;     /* pid; 0: nobody */
static cmp_word watched;      /* the parent's pid, or BY_FD | the sentinel */
static cmp_word watch_signal; /* not for the handler */

static bool hung_up(int fd)
{
    struct pollfd p = {.fd = fd, .events = 0};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP) != 0;
}

static bool orphaned(void)
{
    uint32_t what = load_relaxed(&watched);
    return what & BY_FD ? hung_up((int)(what & ~BY_FD)) : (uint32_t)getppid() != what;
}

static void on_signal(int sig)
{
    int saved = errno;
    (void)sig;
    /* SYNC acquire: pairs with the store of armed_by in watch; without it a child
       of a fork could judge by what its parent watched. */
    if (load_acquire(&armed_by) == (uint32_t)getpid() && orphaned())
        _exit(CMP_EXIT_PARENT_DIED);
    errno = saved;
}

/* The highest real-time signal that nobody uses, below those that debuggers and
   libraries like to take; or the one that we have already.  -EBUSY: none. */
static int choose_signal(void)
{
    struct sigaction now;
    for (int sig = SIGRTMAX - 3; sig >= SIGRTMIN; sig--) {
        if (sigaction(sig, NULL, &now) < 0 || (now.sa_flags & SA_SIGINFO))
            continue;
        if (now.sa_handler == SIG_DFL || now.sa_handler == on_signal)
            return sig;
    }
    return -EBUSY;
}

static int catch_signal(void)
{
    struct sigaction action = {
        .sa_handler = on_signal,
        .sa_flags = SA_RESTART | SA_ONSTACK,
    };
    sigset_t set;
    int sig = choose_signal();
    if (sig < 0)
        return sig;
    if (sigaction(sig, &action, NULL) < 0)
        return -errno;
    sigemptyset(&set);
    sigaddset(&set, sig);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL); /* a mask is inherited over fork and exec */
    return sig;
}

static int set_async(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    flags = on ? flags | O_ASYNC : flags & ~O_ASYNC;
    return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

/* Have the signal sent; then look, for the parent may have died before. */
static int arm(void)
{
    uint32_t what = load_relaxed(&watched);
    int sig = (int)load_relaxed(&watch_signal), fd = (int)(what & ~BY_FD);
    int rc = 0;

    if (!(what & BY_FD)) {
        if (prctl(PR_SET_PDEATHSIG, sig) < 0)
            return -errno;
    } else {
        if (fcntl(fd, F_SETOWN, getpid()) < 0 || fcntl(fd, F_SETSIG, sig) < 0)
            return -errno;
        rc = set_async(fd, true);
    }
    if (rc == 0 && orphaned())
        _exit(CMP_EXIT_PARENT_DIED);
    return rc;
}

static int disarm(uint32_t what)
{
    if (what & BY_FD)
        return set_async((int)(what & ~BY_FD), false);
    return prctl(PR_SET_PDEATHSIG, 0) < 0 ? -errno : 0;
}

static bool armed_here(void)
{
    /* SYNC acquire: pairs with the store of armed_by in watch, perhaps by another
       thread; else arm and disarm could act on what was watched before. */
    return load_acquire(&armed_by) == (uint32_t)getpid();
}

/* After a failure: what was watched before is watched still.  A signal that came
   meanwhile was judged by the other, so look. */
static void watch_as_before(uint32_t what, int sig)
{
    store_relaxed(&watched, what);
    store_relaxed(&watch_signal, (uint32_t)sig);
    if (orphaned())
        _exit(CMP_EXIT_PARENT_DIED);
}

static int watch(uint32_t what)
{
    bool again = armed_here();
    uint32_t before = load_relaxed(&watched);
    int sig_before = (int)load_relaxed(&watch_signal);
    int sig = catch_signal();
    if (sig < 0)
        return sig;
    store_relaxed(&watched, what);
    store_relaxed(&watch_signal, (uint32_t)sig);
    /* SYNC release: pairs with on_signal and armed_here, which read the others
       after it. */
    store_release(&armed_by, (uint32_t)getpid());
    int rc = arm();
    if (rc < 0 && again)
        watch_as_before(before, sig_before);
    else if (rc < 0)
        store_relaxed(&armed_by, 0);
    else if (again && before != what && (before | what) & BY_FD)
        disarm(before); /* fails only if the old sentinel was closed, which disarms too */
    return rc;
}

static int watch_sentinel(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
        return -EINVAL; /* a file accepts O_ASYNC and never signals */
    return watch(BY_FD | (uint32_t)fd);
}

int cmp_die_with_parent(int parent_pid, int sentinel_fd)
{
    struct cmp_identity parent = {.pid = (uint32_t)parent_pid};

    if (parent_pid < 1)
        return -EINVAL;
    pid_t ppid = getppid();
    if (ppid == parent_pid)
        return watch((uint32_t)parent_pid);
    /* A parent outside our pid namespace reads as 0, and its pid means nothing
       here. */
    if (ppid != 0 && cmp_is_alive(&parent) == 0)
        _exit(CMP_EXIT_PARENT_DIED);
    return sentinel_fd < 0 ? -ECHILD : watch_sentinel(sentinel_fd);
}

int cmp_parent_watch_off(void)
{
    return armed_here() ? disarm(load_relaxed(&watched)) : 0;
}

int cmp_parent_watch_on(void)
{
    return armed_here() ? arm() : 0;
}
