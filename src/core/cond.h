/* cond.h -- Condition.

   A queue of waiters, oldest first.  notify() takes the oldest one that lives out of
   it; a notify counts as used only once its waiter has the lock again, so a waiter who
   dies before that passes it on.

   Layout    160 bytes, and up to three blocks of further nodes.
               park    always PARK_ARMED: all waiters sleep on it, and whoever owes
                       them something names it as pending.  Nobody changes it.
               ticket  the next waiter's; it wraps, older means less by less than 2^31
               node    0..7, which hold word of a process is watched; r/o after init
               notifier  owner codes of the last two processes that notified: a hint
                       for where to look while spinning
               more    reference of a block, 0: none yet; set once
               waiter  one word a node, ticket << 32 | low half:
                 0                       free
                 WAIT bit 30 | code      waits since that ticket, and sleeps on the low
                                         half
                 NOTE bit 31 | code      notified; to be passed on if that process dies.
                                         The ticket is the next one when it was notified,
                                         so all waiters of that time are older
                 Anything else is damage.  The low half is slept on and never pending.
             A block has `more` for the next one, its place in the chain (1, 2, 3), and
             126, 1022, 8190 nodes: 9354 waiters in all.
   Invariant every change of a node is a CAS from its full 64 bits, which never come
             twice: nobody stores over a node that has changed hands.
             A waiter who sleeps is on park, on his own node, and on the hold word of
             every process that has an older or a notified node.  If one of these dies,
             or someone dies with park pending, a waiter wakes, and if he dies too the
             next one; he passes on what the dead have left.  If a notified one lives
             and still sleeps, a thread with park pending is awake and will wake him.
   Ordering  notify releases, wait acquires; what the lock protects, the lock orders.
   If a process dies
             waiting: it takes no notify.  notify() and repairs free its nodes, and
             wake all who watch its hold word, since the kernel has woken only one
                                             cond.enter.queued, .released, cond.wait.*
             in notify, after the CAS and before the wake: park is pending, the kernel
             wakes one waiter, who wakes all the notified          cond.notify.marked
             ... between two of several: the rest are not notified  cond.notify.woke
             notified, until it is about to leave: passed on to the oldest who waited
             when it was notified; never to one who came later, even if nobody
             else is left                               cond.wait.noted, cond.leave.held
             ... after that: it was used                              cond.leave.freed
             passing on a dead one's notify, which it has adopted first: again a dead
             one's notify                                          cond.pass.adopted
             ... which it has passed on, and not yet freed: passed on twice, so one
             waiter more wakes up. That takes two deaths, or one of a waiter who gives
             up, within a few instructions
                       cond.pass.passed, and cond.notify.marked, .woke in passing on
             giving up: its own notify is passed on in the same way  cond.quit.pending
             before it relays a death: park is pending            cond.repair.dead
             adding a block: it is linked in one step, or was never there
   Fork      the child of a waiter queues up anew, when it calls wait.

   The death of a waiter in a process without hold words (ORPHANED), or of one of more
   than 125 other processes, is seen after 100 ms to 1 s: naps are cut, see vigil.h.
   If the lock is broken into (released by somebody else), waiters may queue up in
   another order than that of their tickets; an older one may then have to wait for a
   slice until a dead younger one's notify is passed on to him.  */
#ifndef CMP_COND_H
#define CMP_COND_H

#include <stdbool.h>
#include "../platform/platform.h"
#include "cmp.h"
#include "lock.h"

#define CMP_COND_NODES 16 /* in the cell; further ones in linked objects */

struct cmp_cond {
    cmp_word park;
    cmp_word ticket;
    uint32_t node;
    uint32_t reserved;
    cmp_word64 more;
    cmp_word notifier[2];
    cmp_word64 waiter[CMP_COND_NODES];
};
_Static_assert(sizeof(struct cmp_cond) == 160, "shared layout");

/* One wait, process-local. */
struct cmp_cond_wait {
    cmp_word64 *waiter; /* this one's node; NULL: none (any more) */
    uint32_t ticket;
    uint32_t depth;     /* what the lock was held with */
    uint32_t owner;     /* code of the process that queued up */
};

/* Format *c, nobody waiting.  index: the object's, which chooses the hold word.  Not
   concurrent with any other call on *c.  */
void cmp_cond_init(struct cmp_cond *c, uint32_t index);

/* A wait in four steps, so that signal handlers can run in the middle of it
   without losing the place in the queue:
     enter  queue up, then release *l entirely.  0; -EPERM: *l is not held by the
            caller; -ENOMEM: too many waiters; -EUSERS: this process has no slot;
            -EUCLEAN: the cell is damaged.  On failure nothing changed.
     wait   sleep.  0: notified; -EINTR: still queued, call again; -ETIMEDOUT: no
            longer queued, not notified; -EUCLEAN: the cell is damaged, quit.  In the
            child of a fork also what enter returns.
     quit   give up (a handler raised).  A notify that had come is passed on.
     leave  after wait or quit, with *l acquired again by the caller: consume the
            notify, free the node, set the depth of *l.  */
int cmp_cond_enter(struct cmp_cond *c, struct cmp_lock *l, struct cmp_cond_wait *w);
int cmp_cond_wait(struct cmp_cond *c, struct cmp_cond_wait *w, int64_t deadline_ns);
void cmp_cond_quit(struct cmp_cond *c, struct cmp_cond_wait *w);
void cmp_cond_leave(struct cmp_cond *c, struct cmp_lock *l, struct cmp_cond_wait *w);

/* Wake the n oldest waiters that live; UINT32_MAX: all.  How many were notified.  The
   caller may hold the lock or not.  */
uint32_t cmp_cond_notify(struct cmp_cond *c, uint32_t n);

/* How many are queued and not notified, the dead who were not yet noticed included.  */
uint32_t cmp_cond_n_waiting(struct cmp_cond *c);

/* Verify what holds of a cell at any moment.  NULL, or what is wrong.  */
const char *cmp_cond_check(struct cmp_cond *c);

#endif /* CMP_COND_H */
