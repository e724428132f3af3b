/* lock.h -- Lock and RLock.

   The owner is a process; for an RLock also a thread of it.  A lock whose owner ended
   is taken over by the next who wants it, once no thread of that process can store any
   more.

   Layout    32 bytes.
               word   GATE bit 31 | DIED bit 30 | owner code in bits 0..29:
                 code 0              free
                 owner code          held by that process
                 DIED                was taken over from the dead; until mark_consistent
                 GATE                was once released by a process that did not hold it:
                                     a signal rather than a lock; for good
                 The flags stay while the code comes and goes.  Another code without
                 CMP_CODE_TAG, or one that names no slot, is damage.
               park   0, or PARK_ARMED: somebody may be asleep.  The only word of a
                      lock that is ever pending.  Nobody sleeps on `word` to be woken:
                      it is a guard, compared after the sleeper is queued on park.
               node   0..7, which hold word of the owner the sleepers watch
               dead   owner code from which it was last taken over, 0: never
               holder RLock: owner code << 32 | TID of the thread that has it; 0: none.
                      Written by that thread alone.  A value left over from another
                      process never equals one's own; from an ended thread of this
                      process whose TID was given again it does, as in threading.
               depth  RLock: how often holder has acquired it
   Invariant held by the CAS that puts a code where there was none, or over that of an
             owner confirmed ended, and by nothing else; freed by one CAS, which leaves
             the flags, or sets GATE in the same step.
             If anybody sleeps on park, then (a) a sleeper watches the hold word of the
             owner in `word`, or the owner has none to watch and the sleepers look at
             it every 100 ms, or (b) a thread whose pending word is park is awake, and
             will wake one sleeper or sleep as in (a); its death wakes one.
   Ordering  release releases, acquire acquires, also a take-over.
   If a process dies
             holding it: the kernel wakes one sleeper on its hold word.  Who finds an
             owner's word dead wakes all who watch it (lock.takeover.seen, .relayed:
             the kernel has woken only one, of any lock with this node: two locks of one
             dead owner that share a hold word, and the first one woken killed before it
             relays, are left to the slices: measured 51 ms, the rest of the first one; at
             the most 30 s), then confirms (lock.takeover.confirming), then takes over by
             CAS.  A GATE whose owner left in order, or exec'd, is not taken over: it waits
             for its release.  One whose owner was killed is none any more: a sweep takes
             the flag before it frees the owner's slot.
             in acquire, before the CAS: nothing happened       lock.acquire.pending
             ... after it: it held the lock       lock.acquire.taken, lock.takeover.taken
             RLock, before holder and depth are set: they are the next owner's to set
                                                  lock.acquire.taken, .held
             about to sleep: nothing happened    lock.acquire.armed, .looked
             woken, before it took or watched: pending, the kernel wakes the next
                                                  lock.acquire.woken, .relayed
             before or after its pull: the same   lock.acquire.pull, .pulled
             in release, RLock with holder cleared: as holding it   lock.release.unheld
             ... freed, before the wake: pending, the kernel wakes one
                               lock.release.freed, and those of cmp_wake
             in mark_consistent: one bit of one word.
   Fork      the child holds nothing: the code and the TID are the parent's.

   Acquire, once slow, leaves this way: if it slept, it wakes one sleeper on park (the
   pull), who looks again and watches the present owner; also on a time-out, and when the
   handler of a signal raises.  */
#ifndef CMP_LOCK_H
#define CMP_LOCK_H

#include <stdbool.h>
#include "../platform/platform.h"
#include "cmp.h"

struct cmp_lock {
    cmp_word word;
    cmp_word park;
    uint32_t node; /* r/o after init, as recursive */
    cmp_word dead;
    cmp_word64 holder;
    uint32_t depth; /* r/w by holder only */
    uint32_t recursive;
};
_Static_assert(sizeof(struct cmp_lock) == 32, "shared layout");

/* Format *l, free.  index: the object's, which chooses the hold word.  Not concurrent
   with any other call on *l but cmp_lock_open_gate.  */
void cmp_lock_init(struct cmp_lock *l, uint32_t index, bool recursive);

/* Acquire it; an RLock also again.  0; -EOWNERDEAD: acquired, and the last owner
   (*dead, an owner code) ended holding it; -EAGAIN from try_acquire; -ETIMEDOUT,
   -EINTR; -EUSERS: this process has no slot; -EOVERFLOW: an RLock UINT32_MAX times;
   -EUCLEAN: the cell is damaged.  A Lock that this very thread holds is waited for.
   try_acquire makes system calls only when the owner seems to have ended.  */
int cmp_lock_try_acquire(struct cmp_lock *l, uint32_t *dead);
int cmp_lock_acquire(struct cmp_lock *l, int64_t deadline_ns, uint32_t *dead);

/* Release it.  0; -EPERM: not held (Lock), not held by this thread (RLock), or (Lock)
   it was taken over from the dead, nobody has called mark_consistent, and it is not
   this process's.  A Lock that another process holds is released, and a GATE from
   then on.  */
int cmp_lock_release(struct cmp_lock *l);

/* For Condition: release an RLock whatever its depth, and have that depth again
   once it is acquired.  For a Lock the depth is 1.  -EPERM as above.  */
int cmp_lock_release_all(struct cmp_lock *l, uint32_t *depth);
void cmp_lock_set_depth(struct cmp_lock *l, uint32_t depth);

bool cmp_lock_held(struct cmp_lock *l);         /* by anybody, the dead included */
bool cmp_lock_is_mine(struct cmp_lock *l);      /* RLock: by this thread; Lock: by this process */
uint32_t cmp_lock_depth(struct cmp_lock *l);    /* RLock; 0 unless mine */
uint32_t cmp_lock_owner(struct cmp_lock *l);    /* owner code, 0: free */
bool cmp_lock_owner_died(struct cmp_lock *l);   /* DIED */
void cmp_lock_mark_consistent(struct cmp_lock *l);

/* Verify what holds of a cell at any moment.  NULL, or what is wrong.  */
const char *cmp_lock_check(struct cmp_lock *l);

/* For a sweep, before it frees the slots of the dead: a gate whose owner was killed is
   none any more.  */
void cmp_lock_open_gate(struct cmp_lock *l, bool (*was_killed)(void *arg, uint32_t code),
                        void *arg);

#endif /* CMP_LOCK_H */
