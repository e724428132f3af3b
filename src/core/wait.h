/* wait.h -- how every primitive waits: spin a little, yield, then sleep in slices.

   A wait of a primitive is a loop: look at the state; if it must wait, arm the park
   word, look again, nap; whatever ended the nap, look again at everything.

   Layout    process-local only.
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
   arrived; -EINVAL: as cmp_park has it.  Not with -EAGAIN: a word that differed is a
   reason to look again.  */
int cmp_nap(struct cmp_nap *nap, const struct cmp_watch *words, int n, int64_t deadline_ns);

/* ... with the slice cut to at most limit_ns this once.  The limit is kept under
   CMP_LACKS_BACKSTOP too: it is for what has no wake by design.  */
int cmp_nap_at_most(struct cmp_nap *nap, const struct cmp_watch *words, int n,
                    int64_t deadline_ns, int64_t limit_ns);

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

/* How the waits of this thread go about it, until it says otherwise.  For a caller who
   has to look at something that wakes nobody, such as the flags that signal handlers
   of Python leave: he waits AWAKE, looks, and goes on ASLEEP, so that between his look
   and the sleep lie some instructions and not a spin.  What comes even then he sees
   after the first slice.  */
enum cmp_wait_mode {
    CMP_WAIT_WHOLE,  /* spin, then sleep: as ever */
    CMP_WAIT_AWAKE,  /* spin; where a sleep would begin, -EINTR */
    CMP_WAIT_ASLEEP, /* do not spin; -EINTR once where the second slice would begin */
};
void cmp_wait_as(enum cmp_wait_mode mode);

/* Whether a death in this family wakes those who wait for it, as far as this process
   knows.  Asking costs some milliseconds once, or three times if the answer is no.  */
bool cmp_death_wakes(void);

#endif /* CMP_WAIT_H */
