/* sem.h -- Semaphore and BoundedSemaphore: a bag of permit words.

   Layout    288 bytes.
               park     0, or PARK_ARMED: somebody may be asleep on it
               permit[i], i < n_words:
                 FREE       there for the taking
                 ANON       taken by a bare acquire: nobody's
                 ABSENT     beyond the initial value, never given yet; all of them
                            come after all others, and none becomes ABSENT again
                 owner code taken by `with`: comes back if that process dies
                 Any other value is damage.
               surplus  permits without a word: all, where initial > 64; else those
                        given when no word was ABSENT any more
               n_words  initial > 64: 0; bounded: initial; else 64
               node     0..7, which hold word tells of an owner's death
               cpu      1 + the processor of the last release that woke somebody, 0:
                        none yet; a hint for spinning
   Invariant a permit is taken by the CAS of one word from FREE (or from the code of a
             process confirmed ended), or of surplus down by one, and by nothing else;
             given by the CAS of one word to FREE, or of surplus up.  Bounded: never
             more permits free than initial.
             If a permit is free and somebody sleeps, a thread whose pending word is
             park is awake.  A sleeper has every word that a release may change as a
             guard, compared after it is queued on park: a sequence word in their place
             loses a wake if its writer dies.
   Ordering  release releases, acquire acquires.
   If a process dies
             holding a permit by `with`: the next waiter whose slice is over (1 s at
             most) confirms that and takes it  sem.takeover.confirmed, .taken; one that
             fails to take at once looks for such permits too.  Permits from surplus,
             and those of a bare acquire, do not come back, as in POSIX.
             in acquire, before the CAS: nothing happened  sem.acquire.pending
             ... after it: as holding it                   sem.acquire.taken
             about to sleep: nothing happened      sem.acquire.armed, .looked
             woken, before it took: pending, the kernel wakes the next
                                                   sem.acquire.woken
             before or after it passes the wake on: the same
                                            sem.acquire.leaving, .rearmed, .passed
             in release, after the CAS and before the wake: pending, the kernel wakes
             one, who passes it on   sem.release.freed, and those of cmp_wake
             in release(n), between two permits: those given are given
                                                   sem.release.freed
   Fork      the child holds nothing: permits taken by `with` are the parent's.

   `with` is by process: one thread's release may give the word that another thread of
   it took.  Their number is what counts.  Releases that race with each other or with
   acquires: the value is looked at first, word by word, while others change them.  So
   release(n) past a bound may be noticed half way: the permits given until then are
   given, and the error is returned.  Two that race may together exceed CMP_SEM_MAX by
   what the words hold, 64; a bounded one never exceeds its initial value.  */
#ifndef CMP_SEM_H
#define CMP_SEM_H

#include <stdbool.h>
#include "../platform/platform.h"
#include "cmp.h"

#define CMP_SEM_MAX ((uint32_t)INT32_MAX)
#define CMP_SEM_OWNED 64 /* up to so many permits can have owners */

struct cmp_sem {
    cmp_word park;
    cmp_word surplus;
    uint32_t initial; /* r/o after init, as bounded, node, n_words */
    uint32_t bounded;
    uint32_t node;
    uint32_t n_words;
    cmp_word cpu;
    uint32_t reserved;
    cmp_word permit[CMP_SEM_OWNED];
};
_Static_assert(sizeof(struct cmp_sem) == 288, "shared layout");

/* Format *s with `value` permits, at most CMP_SEM_MAX.  Not concurrent with any other
   call on *s.  */
void cmp_sem_init(struct cmp_sem *s, uint32_t index, uint32_t value, bool bounded);

/* Take a permit; with: it comes back if this process dies.  0; -EAGAIN from
   try_acquire; -ETIMEDOUT, -EINTR; -EUSERS: `with`, and this process has no slot;
   -EUCLEAN: none was free, and the cell is damaged.  */
int cmp_sem_try_acquire(struct cmp_sem *s, bool with);
int cmp_sem_acquire(struct cmp_sem *s, bool with, int64_t deadline_ns);

/* Give n permits, all or none (but see above).  with: what this process took by
   `with` first.  0; -EOVERFLOW: past CMP_SEM_MAX; -EPERM: a bounded one would exceed
   its initial value; -EUCLEAN.  */
int cmp_sem_release(struct cmp_sem *s, bool with, uint32_t n);

/* Permits that are free; those of the dead are not until somebody looks for them.
   Exact if nobody else is at it.  */
uint32_t cmp_sem_value(struct cmp_sem *s);

/* Verify what holds of a cell at any moment.  NULL, or what is wrong.  */
const char *cmp_sem_check(struct cmp_sem *s);

#endif /* CMP_SEM_H */
