#include "orphan.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../core/cmp.h"
#include "linux.h"

#define NO_FD UINT32_MAX

/* Read by the signal handler.  armed_by is 0 while the others change, and differs
   from getpid() in a forked child, which inherits handler and memory but is not
   watched. */
static cmp_word armed_by;
static cmp_word watched_parent;
static cmp_word watched_fd; /* NO_FD: by the signal of the parent's death */
static cmp_word watch_signal;

static bool hung_up(int fd)
{
    struct pollfd p = {.fd = fd, .events = 0};
    return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP) != 0;
}

static bool orphaned(void)
{
    uint32_t fd = load_relaxed(&watched_fd);
    return fd == NO_FD ? (uint32_t)getppid() != load_relaxed(&watched_parent)
                       : hung_up((int)fd);
}

static void on_signal(int sig)
{
    int saved = errno;
    (void)sig;
    /* SYNC acquire: pairs with the store of armed_by in watch. */
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
    uint32_t fd = load_relaxed(&watched_fd);
    int sig = (int)load_relaxed(&watch_signal);
    int rc = 0;

    if (fd == NO_FD) {
        if (prctl(PR_SET_PDEATHSIG, sig) < 0)
            return -errno;
    } else {
        if (fcntl((int)fd, F_SETOWN, getpid()) < 0 || fcntl((int)fd, F_SETSIG, sig) < 0)
            return -errno;
        rc = set_async((int)fd, true);
    }
    if (rc == 0 && orphaned())
        _exit(CMP_EXIT_PARENT_DIED);
    return rc;
}

static int disarm(void)
{
    uint32_t fd = load_relaxed(&watched_fd);
    if (fd != NO_FD)
        return set_async((int)fd, false);
    return prctl(PR_SET_PDEATHSIG, 0) < 0 ? -errno : 0;
}

static bool armed_here(void)
{
    return load_acquire(&armed_by) == (uint32_t)getpid();
}

static int watch(int parent_pid, uint32_t fd)
{
    if (armed_here())
        disarm(); /* fails only if the old sentinel was closed, which disarms too */
    store_release(&armed_by, 0);
    int sig = catch_signal();
    if (sig < 0)
        return sig;
    store_relaxed(&watched_parent, (uint32_t)parent_pid);
    store_relaxed(&watched_fd, fd);
    store_relaxed(&watch_signal, (uint32_t)sig);
    /* SYNC release: pairs with on_signal, which reads the others after it. */
    store_release(&armed_by, (uint32_t)getpid());
    int rc = arm();
    if (rc < 0)
        store_release(&armed_by, 0);
    return rc;
}

static int watch_sentinel(int parent_pid, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
        return -EINVAL; /* a file accepts O_ASYNC and never signals */
    return watch(parent_pid, (uint32_t)fd);
}

int cmp_die_with_parent(int parent_pid, int sentinel_fd)
{
    struct cmp_identity parent = {.pid = (uint32_t)parent_pid};

    if (parent_pid < 1)
        return -EINVAL;
    pid_t ppid = getppid();
    if (ppid == parent_pid)
        return watch(parent_pid, NO_FD);
    /* A parent outside our pid namespace reads as 0, and its pid means nothing
       here. */
    if (ppid != 0 && cmp_is_alive(&parent) == 0)
        _exit(CMP_EXIT_PARENT_DIED);
    return sentinel_fd < 0 ? -ECHILD : watch_sentinel(parent_pid, sentinel_fd);
}

int cmp_parent_watch_off(void)
{
    return armed_here() ? disarm() : 0;
}

int cmp_parent_watch_on(void)
{
    return armed_here() ? arm() : 0;
}
