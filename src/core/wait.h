/* wait.h -- how every primitive waits: spin a little, yield, then sleep in slices.

   A wait of a primitive is a loop: look at the state; if it must wait, arm the park
   word, look again, nap; whatever ended the nap, look again at everything.

   Layout    process-local only, but for the park words of others in cmp_wake.
               slices    100 ms, doubling: to 30 s where a test in this process
                         saw that a death wakes the sleepers, to 1 s elsewhere
               cmp_spin  one for each kind of wait; all zeroes is one that has
                         learnt nothing yet
   Invariant nothing is taken for granted but a slice: for a nap that a wake should
             have ended and did not, the owner of the lock, say, is confirmed alive
             when slice_over is set.  With CMP_LACKS_BACKSTOP there are no slices,
             only deadlines and the limits of cmp_nap_at_most.
   Ordering  none: cmp_nap is cmp_park, cmp_spin only reads, by the caller's ready().
   If a process dies
             nothing of this file is shared.
             cmp_wake: park is pending, the kernel wakes one more: wake.woke, .disarmed,
             .woke_again
   Fork      what was learnt goes to the child: how spinning pays, whether deaths
             wake.  A test of deaths that ran in another thread is done again.  */
#ifndef CMP_WAIT_H
#define CMP_WAIT_H

#include <stdbool.h>
#include "../platform/platform.h"
#include "cmp.h"

#define CMP_CONFIRM_NS INT64_C(10000000)   /* between two looks at a dying owner */
#define CMP_ORPHAN_NS INT64_C(100000000)   /* ... at one that has no word to watch */

/* One wait of one thread, over all its sleeps. */
struct cmp_nap {
    int64_t slice_ns; /* length of the next sleep; 0: the first one's */
    bool slept;       /* it was asleep once, so it may have taken a wake */
    bool slice_over;  /* the last sleep ended with its slice, or nobody knows by what */
    int woken;        /* index of the word that ended the last sleep; -1: none, or unknown */
};
#define CMP_NAP_INIT {.woken = -1}

/* Sleep once.  0: look again; -ETIMEDOUT: the deadline has passed; -EINTR: a signal
   arrived, or look() says so; -EINVAL: as cmp_park has it.  Not with -EAGAIN: a word that differed is a
   reason to look again.  */
int cmp_nap(struct cmp_nap *nap, const struct cmp_watch *words, int n, int64_t deadline_ns);

/* ... with the slice cut to at most limit_ns this once.  The limit is kept under
   CMP_LACKS_BACKSTOP too: it is for what has no wake by design.  */
int cmp_nap_at_most(struct cmp_nap *nap, const struct cmp_watch *words, int n,
                    int64_t deadline_ns, int64_t limit_ns);

/* Wake up to n of those who sleep on a park word that is armed, which is pending.  The
   word is disarmed after the wake, and only if nobody was asleep: who is stopped before
   the wake leaves it armed for the next one who has a reason to wake.  */
void cmp_wake(cmp_word *park, uint32_t armed, int n);

/* What spinning was worth so far, for one kind of wait in this process.  Any thread
   may write any field: a lost update costs a little time. */
struct cmp_spin {
    cmp_word cut_ns;   /* by so much failures have shortened the spin */
    cmp_word idle;     /* so many calls do not spin, then one tries again */
    cmp_word patience; /* log2 of the next idle, less 4 */
    cmp_word no_yield; /* so many calls do not yield */
};

/* Wait without sleeping, as long as that is likely to pay: spin for at most 20 us,
   if the thread for which we wait may be running (peer_cpu: where it was last seen,
   -1 if unknown), then yield twice.  Whether ready(arg) became true.  */
bool cmp_spin(struct cmp_spin *spin, int peer_cpu, bool (*ready)(const void *),
              const void *arg);

/* For a caller who has to look at something that wakes nobody, such as the flags that
   signal handlers of Python leave: look() is called by this thread before each sleep,
   and after a signal has ended one.  0: sleep on; else the wait ends with -EINTR.  It
   may take its time and use anything, the object that is waited for included.  What
   comes between its return and the sleep, which are some instructions, is seen after
   that slice.  NULL: a signal ends the wait.  Returns the one before.
   If the process dies in an operation that look() does, the word that was pending for
   the wait is not: whoever needs that one wake has the slices alone.  */
typedef int (*cmp_look_fn)(void);
cmp_look_fn cmp_wait_look(cmp_look_fn look);

/* Whether a death in this family wakes those who wait for it, as far as this process
   knows.  Asking costs some milliseconds once, or three times if the answer is no.  */
bool cmp_death_wakes(void);

#endif /* CMP_WAIT_H */
