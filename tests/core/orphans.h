/* orphans.h -- what the tests of cmp_die_with_parent share.  */
#ifndef CMP_ORPHANS_H
#define CMP_ORPHANS_H

#include <sys/prctl.h>
#include "../../src/core/atomics.h"
#include "../../src/platform/orphan.h"
#include "check.h"

/* Orphans come to the test, which is their subreaper: so it can wait for them. */
struct page {
    cmp_word ready; /* the child is watched */
    cmp_word stage; /* of the parent */
    cmp_word child; /* pid */
    cmp_word spins; /* of a child that computes */
    cmp_word result;
};

static struct page *page;

enum how { SLEEPING, COMPUTING, BLOCKED };

static inline void reset(void)
{
    memset(page, 0, sizeof *page);
}

static inline void await(cmp_word *word)
{
    while (!load_acquire(word))
        usleep(50);
}

static inline bool ended(pid_t pid, int ms)
{
    siginfo_t info;
    for (int i = 0; i < ms * 10; i++) {
        info.si_pid = 0;
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid != 0)
            return true;
        usleep(100);
    }
    return false;
}

/* The child must have gone by itself, as it should; then it is no more. */
static inline void check_gone(pid_t child)
{
    CHECK(ended(child, 10000));
    int status = kill_and_reap(child);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), CMP_EXIT_PARENT_DIED);
}

static inline void check_lives(pid_t child)
{
    CHECK(!ended(child, 30));
}

/* ThreadSanitizer holds handlers back until a call of libc that it intercepts;
   pause is none of them. */
static inline void rest(enum how how)
{
#ifdef __SANITIZE_THREAD__
    (void)how;
    usleep(1000);
#else
    if (how != COMPUTING)
        pause();
#endif
}

static inline void stay(enum how how)
{
    sigset_t all;
    if (how == BLOCKED) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, NULL);
    }
    store_release(&page->ready, 1);
    for (;;) {
        store_relaxed(&page->spins, load_relaxed(&page->spins) + 1);
        rest(how);
    }
}

static inline void start_with_orphans(void)
{
    start(120);
    if (!proc_is_usable())
        skip("there is no /proc of this pid namespace to compare with");
    page = shared(sizeof *page);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        skip("orphans cannot be adopted here, so they cannot be observed");
}

#endif /* CMP_ORPHANS_H */
