/* mutex.h -- robust side lock: a leaf lock of cmp's own, held for a few stores.

   The owner's TID is in the word and the node in the owner's robust list, so the
   kernel frees it at the owner's death: no confirmation is needed, for the owner is
   the very thread that died.

   Layout    48 bytes; all zeroes is a free mutex.
               node.word  TID | OWNER_DIED | WAITERS:
                 0                   free
                 WAITERS             free; somebody was woken, or may still sleep
                 TID [| WAITERS]     locked by that thread
                 OWNER_DIED [| W.]   the kernel freed it at its owner's death
               holder     owner code << 32 | TID of who locked it last; for the
                          back-stop, believed only while that TID is in the word
   Invariant locked by the CAS that puts a TID where there was none, and by nothing
             else.  If somebody sleeps, WAITERS is in the word, or a thread whose
             pending word this is is awake.
   Ordering  unlock releases, lock acquires.
   If a process dies
             before it is in the list: pending, and the word carries its TID: the
             kernel frees it as if it were           mutex.lock.taken, .linked
             holding it: OWNER_DIED, one sleeper woken          mutex.lock.locked
             woken, before it took it: pending with no TID in the word, so the
             kernel wakes the next                               mutex.lock.woken
             marking the word: nothing happened  mutex.lock.marked, mutex.mark.marked
             in unlock, out of the list and before the word is free: pending with
             its TID                                        mutex.unlock.unlinked
             ... free, before the wake: pending, the kernel wakes one
                                          mutex.unlock.freed, mutex.unlock.woke
             Where the kernel does not tell (no robust list; the list was lost in an
             out-of-memory kill), a sleeper whose slice is over confirms the death of
             holder's process and takes the mutex over.
             Left to the slices too, two deaths: between unlock's wake, which found
             nobody, and its CAS to 0 another thread locks, the last waiter marks WAITERS,
             the other unlocks and dies before its wake; and then this one
             dies between its CAS and its second wake.
   Fork      a mutex held by another thread of the parent stays the parent's.

   One at a time per thread besides a seat (side.h), and in hush_bell of ring.c; none while
   another word is pending: a thread has one pending word.  Never held while Python runs, but
   for seats.  */
#ifndef CMP_MUTEX_H
#define CMP_MUTEX_H

#include <stdbool.h>
#include "../platform/platform.h"
#include "cmp.h"

struct cmp_mutex {
    struct cmp_node node;
    cmp_word64 holder;
};
_Static_assert(sizeof(struct cmp_mutex) == 48, "shared layout");

/* Format *m, free.  Not concurrent with any other call on *m.  */
void cmp_mutex_init(struct cmp_mutex *m);

/* Lock it.  0, or -EOWNERDEAD: locked, and the last owner died holding it: re-derive
   what it protects before the unlock; if this thread dies on the way, the next one is
   told the same.  -EAGAIN from try_lock; -ETIMEDOUT, -EINTR: not locked.  */
int cmp_mutex_try_lock(struct cmp_mutex *m);
int cmp_mutex_lock(struct cmp_mutex *m, int64_t deadline_ns);

/* Requires that this thread has locked it.  */
void cmp_mutex_unlock(struct cmp_mutex *m);

/* For who waits for something else than *m too, hence sleeps by itself.  As try_lock, but
   -EAGAIN leaves *m pending, and CMP_WAITERS in its word, which is *seen then: whoever
   unlocks it, or dies holding it, wakes a sleeper on that word.  slept: this thread has
   slept on it since its last call.  */
int cmp_mutex_lock_or_mark(struct cmp_mutex *m, bool slept, uint32_t *seen);

/* A sleep on *seen has ended with its slice: if its owner's process has ended and the kernel
   did not tell, free it.  */
void cmp_mutex_doubt(struct cmp_mutex *m, uint32_t seen);

/* Whether this thread has it locked.  (The child of a fork has not, nor its parent's.)  */
bool cmp_mutex_is_mine(struct cmp_mutex *m);

#endif /* CMP_MUTEX_H */
