/* die.h -- children that kill themselves at a hook.

   Only a build with hooks.h has hooks; in another one such a child does what it is
   told and lives.  HOOKED tells.  */
#ifndef CMP_TEST_DIE_H
#define CMP_TEST_DIE_H

#include "peers.h"

#ifdef CMP_HOOKS_H
#define HOOKED 1
#else
#define HOOKED 0
#endif

static const char *die_at; /* NULL: nowhere */
static int die_after;      /* ... but pass it so often before */

#if HOOKED
void cmp_at_hook(const char *point)
{
    if (die_at != NULL && strcmp(die_at, point) == 0 && die_after-- == 0)
        kill(getpid(), SIGKILL);
}
#endif

/* Sleeps have no slices from here on: to prove that none is needed. */
static inline void without_slices(void)
{
    cmp_platform_pretend(CMP_LACKS_BACKSTOP);
}

/* A child that runs body(arg) and dies at its n-th passage of that hook; it exits with
   what body returned if it does not come there.  */
static inline pid_t start_victim(const char *hook, int n, int (*body)(void *), void *arg)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        die_at = hook;
        die_after = n;
        int rc = body(arg);
        die_at = NULL;
        _exit(n_failed != 0 ? 99 : rc);
    }
    return pid;
}

/* Whether the victim has died, or will within 10 s, by SIGKILL; false: it exited.  */
static inline bool has_died(pid_t pid)
{
    int status = status_of(pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Whether it has ended, without waiting for it; it remains to be reaped.  */
static inline bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* Wait until it sleeps, or has ended.  */
static inline void await_sleep_or_end(pid_t pid)
{
    for (int i = 0; i < 100000 && !has_ended(pid) && state_of(pid, pid) != 'S'; i++)
        usleep(100);
}

#endif /* CMP_TEST_DIE_H */
