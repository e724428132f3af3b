/* platform.h -- everything src/core needs from an operating system.
   The files of one system implement it (linux*.c); no other file names the OS.

   Layout    struct cmp_identity, 32 bytes, may lie in shared memory.
             Park words hold 0 or PARK_ARMED and nothing else, ever: the kernel
             compares a dying thread's pending word with its TID.
   Invariant a thread has at most one pending word.
   Ordering  cmp_pending orders nothing but itself: the stores after it, in this
             thread, come later in the eyes of the kernel when the thread dies.
             cmp_park and cmp_unpark are system calls on the words; the atomic
             accesses around them are the caller's and carry the orders.
   If a process dies
             with a pending word: the kernel wakes one sleeper on it, where it
             can (kernel.h says so); elsewhere the sleepers' slices notice.
             asleep in cmp_park: it leaves no trace; a wake it got is lost with
             it unless the word is pending.
   Fork      the child of a fork starts with no pending word, and asks anew for
             its thread id, its robust list and its namespaces.  A child made by
             a bare clone() must call cmp_platform_after_fork() itself.  */
#ifndef CMP_PLATFORM_H
#define CMP_PLATFORM_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include "../core/atomics.h"

#define PARK_ARMED (UINT32_C(1) << 31)
#define CMP_PARK_MAX 128 /* words in one cmp_park: as many as the kernel takes */
#define CMP_UNPARK_ALL INT_MAX

/* One word of a cmp_park, and the value at which it lets the thread sleep. */
struct cmp_watch {
    cmp_word *word;
    uint32_t expected;
};

/* Who a process is: enough to tell it from a later one with the same pid.
   A field of 0 is not known.  */
struct cmp_identity {
    uint32_t pid;        /* in its own pid namespace */
    uint32_t tid;        /* the thread that asked; of another process: its pid */
    uint64_t start_time; /* of the process, in clock ticks since boot */
    uint64_t pidns_ino;  /* its pid namespace */
    uint64_t pidfs_ino;  /* unique until the next boot; Linux 6.9 and later */
};
_Static_assert(sizeof(struct cmp_identity) == 32, "shared layout");

/* Prepare this process: have the state of this folder reset in forked children.
   Called by whatever needs it; calling it early only brings the error to light.
   Idempotent.  0 or -ENOMEM.  */
int cmp_platform_init(void);

/* Forget, in the child of a fork, what was true of the parent's thread only. */
void cmp_platform_after_fork(void);

/* Nanoseconds on the clock that deadlines are measured against.  */
int64_t cmp_now_ns(void);

/* The calling thread's id, as it stands in robust words.  Cached.  */
uint32_t cmp_tid(void);

/* From now on, if this thread dies, one sleeper on *park is woken; NULL ends
   that.  Two plain stores.  At most one park word at a time.  Without a robust
   list it does nothing, and sleepers are left to their slices.  */
void cmp_pending(cmp_word *park);

/* Sleep until woken on any of the n words, provided that on entry each holds
   its expected value.  words[0] is the park word; the others are guards, which
   nobody wakes, and hold words, which the kernel wakes when their owner dies.
   Each is compared after the thread is queued on those before it.  Requires
   that 1 <= n <= CMP_PARK_MAX.  May return 0 spuriously: look again.
   Where the kernel cannot watch several words, the sleep is on words[0] alone
   and in slices of at most 50 ms, between which the others are compared.
   0, -ETIMEDOUT, -EINTR, or -EINVAL for a bad n or a misaligned word.  */
int cmp_park(const struct cmp_watch *words, int n, int64_t deadline_ns);

/* Wake up to n sleepers on *park, in every process that maps it.  Return how
   many were woken.  */
int cmp_unpark(cmp_word *park, int n);

/* Who this process is.  What cannot be found out is 0.  Always returns 0.  */
int cmp_identity_self(struct cmp_identity *id);

/* Who process pid is, as far as it can be found out; a zombie still has an
   identity.  0; -ESRCH: no process of that id; -EINVAL: pid < 1; -EMFILE, -ENFILE
   or -ENOMEM: could not look.  */
int cmp_identity_of(int pid, struct cmp_identity *id);

/* Whether any thread of that process may still run: 1, 0, or a negative errno
   where it cannot be told (-EXDEV: it lives in another pid namespace; -EMFILE:
   no descriptor left).  A stopped process is alive, a zombie is not, nor is one
   whose pid now belongs to another.  pidfs_ino decides where it is known, then
   start_time; with neither, pid alone.  */
int cmp_is_alive(const struct cmp_identity *id);

/* For tests: behave as if the system lacked these.  Inherited by fork.  */
#define CMP_LACKS_WAITV 1u
#define CMP_LACKS_PIDFD 2u
void cmp_platform_pretend(uint32_t lacks);

#endif /* CMP_PLATFORM_H */
