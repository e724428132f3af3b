/* barrier.h -- Barrier.

   A given number of parties wait for each other, phase after phase.  An arrival is
   marked with its phase, and one of another phase counts as none: so nothing is ever
   cleared, and those who are let go may come again at once.

   Layout    32 bytes and 8 for each party.
               state   bits 48..63 epoch: how many phases ended broken; bits 32..47
                       history: bit 32 + i is set if phase - 1 - i did; bits 2..31
                       phase, which starts at 1 and wraps; then
                 neither    open: who comes waits until all have come
                 ACTION 1   all have come, one of them runs the action
                 BROKEN 2   until reset
                       Both are damage, and so is ACTION while somebody is missing.
               park[2] 0, or PARK_ARMED: somebody of a phase of that parity may be
                       asleep.  Two, lest the kernel's one wake goes to a sleeper of the
                       next phase.  The only words of a barrier that are ever pending.
               n_parties, not_n_parties  a number and its complement; r/o after init, as
                       has_action and node (0..7, which hold word is watched)
               arrival phase << 32 | owner code, 0: never used; the high half is a guard
   Invariant a phase ends by one CAS of state, and only with all arrived, or broken and
             by a reset; who was in it reads the outcome there, or in the history.
             An arrival's phase is never later than that of state.
             Every party who has arrived and is not in a wait (it runs the action, or
             signal handlers) is watched by a sleeper, if there is one; the others have
             park pending, and so has whoever must still wake others.
   Ordering  an arrival releases, the end of its phase acquires: what any party wrote
             before, all read after.
   If a process dies
             before its arrival: nothing happened            barrier.wait.pending
             arrived: broken, by who finds it dead, without waiting for its end to be
             confirmed (but see ORPHANED in vigil.h)
                  barrier.wait.arrived, .looked, .armed, .woken, .interrupted, .resumed
             in the action: the same                   barrier.act.taken, .pulled, .done
             who ends a phase, after the CAS and before the wake: park is pending, the
             kernel wakes one, who wakes all       barrier.move.changed, .disarmed, .woke
             woken, before it has woken the others: pending, the kernel wakes the next
                                                   barrier.wait.woken, .relay, .relayed
             about to break it for a death: pending        barrier.break.dead, .relayed
             in abort and reset: as who ends a phase
   Fork      the child of a waiting party is none: it waits for the outcome of that
             phase, and never runs the action.

   More processes than parties may use it.  Who finds all places taken waits for the
   next phase.  Then a party can be away for more than 16 phases; if one of those was
   broken, its own counts as broken.  And who sleeps in a phase may take the one wake
   that the kernel gives for a dead party of the phase two before; then those are left to
   their slices.
   With more than 126 words to watch naps are cut, see vigil.h.  */
#ifndef CMP_BARRIER_H
#define CMP_BARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include "../platform/platform.h"
#include "cmp.h"

#define CMP_BARRIER_PARTIES_MAX 65000u

struct cmp_barrier {
    cmp_word64 state;
    cmp_word park[2];
    uint32_t n_parties;
    uint32_t not_n_parties;
    uint32_t has_action;
    uint32_t node;
    cmp_word64 arrival[];
};
_Static_assert(sizeof(struct cmp_barrier) == 32, "shared layout");

/* Format *b, of cmp_barrier_bytes(n_parties).  Requires that 1 <= n_parties <=
   CMP_BARRIER_PARTIES_MAX.  index: the object's, which chooses the hold word.  Not
   concurrent with any other call on *b.  */
size_t cmp_barrier_bytes(uint32_t n_parties);
void cmp_barrier_init(struct cmp_barrier *b, uint32_t index, uint32_t n_parties, bool has_action);

#define CMP_BARRIER_ACT 1 /* run the action, then call cmp_barrier_acted */
#define CMP_BARRIER_NONE UINT32_MAX /* an index: not arrived */

/* Wait for the others.  *index: which party this one is, 0 to n_parties - 1; *phase: for
   the calls below.
   0: all came; CMP_BARRIER_ACT; -EPIPE: broken; -ETIMEDOUT: likewise, it is broken now
   (but not if all places were taken, *index == CMP_BARRIER_NONE; and nobody times
   out while the action runs: all have come); -EINTR: still arrived: run signal handlers,
   then cmp_barrier_resume, or cmp_barrier_quit; -EUSERS: this process has no slot;
   -EUCLEAN: the cell is damaged.
   resume: the same, and -EAGAIN: the phase is over, and with *index ==
   CMP_BARRIER_NONE this thread was not in it: call cmp_barrier_wait.  */
int cmp_barrier_wait(struct cmp_barrier *b, int64_t deadline_ns, uint32_t *index, uint32_t *phase);
int cmp_barrier_resume(struct cmp_barrier *b, int64_t deadline_ns, uint32_t index, uint32_t phase);

/* After -EINTR, or in the action, an exception was raised: give up, which breaks the
   barrier for the others, unless that phase is over.  */
void cmp_barrier_quit(struct cmp_barrier *b, uint32_t index, uint32_t phase);

/* The action was run: let all go.  -EPIPE if it was broken or reset meanwhile.  */
int cmp_barrier_acted(struct cmp_barrier *b, uint32_t phase);

/* Break it.  And: break it for those inside, open it for those who come.  */
void cmp_barrier_abort(struct cmp_barrier *b);
void cmp_barrier_reset(struct cmp_barrier *b);

/* How many have arrived in this phase; 0 if it is broken.  */
uint32_t cmp_barrier_n_waiting(struct cmp_barrier *b);
bool cmp_barrier_broken(struct cmp_barrier *b);

/* Verify what holds of a cell at any moment.  NULL, or what is wrong.  */
const char *cmp_barrier_check(struct cmp_barrier *b);

#endif /* CMP_BARRIER_H */
