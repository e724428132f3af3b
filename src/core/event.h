/* event.h -- Event.

   A flag that processes set, clear and wait for.  It is a counter, odd while set, so
   that a waiter learns of a set() that a clear() has followed at once.

   Layout    16 bytes; all zeroes is a valid event that is clear.
               count  odd: set, even: clear; every change adds one.  All values are
                      legal.
               park   0, or PARK_ARMED: somebody may be asleep.  Two words, used in
                      turn: those who wait at count n sleep on park[n >> 1 & 1], and
                      who sets it to n + 1 wakes there.  So the one wake that the
                      kernel has for a dead setter cannot go to a waiter whose wait
                      is not over.  Only these words of an event are ever pending.
               cpu    1 + the processor of the last set(), 0: unknown; a hint
   Invariant count changes by a CAS that adds one, and by nothing else.
             If somebody sleeps on a park word and count is no longer what he saw, a
             thread whose pending word it is is awake and will wake all who sleep there.
   Ordering  set releases, is_set and wait acquire, clear does both.  A set() of what
             is set already is a write too: who clears it afterwards sees what came
             before that set().
   If a process dies
             in set, before the CAS: nothing happened        event.set.pending
             ... after it and before the wake: park is pending, so the kernel wakes
             one sleeper, who wakes all   event.set.changed, and those of cmp_wake
             in clear: one CAS.
             in wait, about to sleep: park stays armed, which costs the next set() a
             system call                                     event.wait.armed
             ... woken, before it has woken all: pending, the kernel wakes the next
                                                 event.wait.woken, .relay, .relayed
             Nobody notices the death of a waiter.
   Fork      safe: no process-local state but what spinning has taught.

   A waiter that is away for exactly 2^32 changes does not notice them.  */
#ifndef CMP_EVENT_H
#define CMP_EVENT_H

#include <stdbool.h>
#include "../platform/platform.h"
#include "cmp.h"

struct cmp_event {
    cmp_word count;
    cmp_word park[2];
    cmp_word cpu;
};
_Static_assert(sizeof(struct cmp_event) == 16, "shared layout");

/* Format *e, clear.  Not concurrent with any other call on *e.  */
void cmp_event_init(struct cmp_event *e);

/* One load. */
bool cmp_event_is_set(struct cmp_event *e);

/* Set it, and wake all who wait.  No system call if nobody does.  */
void cmp_event_set(struct cmp_event *e);
void cmp_event_clear(struct cmp_event *e);

/* Wait until it is set, or was set since the call.  0, -ETIMEDOUT, -EINTR.  */
int cmp_event_wait(struct cmp_event *e, int64_t deadline_ns);

/* The same in two steps, so that a wait that goes on after -EINTR does not miss a
   set() that came in between: the count now, and wait until it is set, or was set
   since its count was `seen`.  */
uint32_t cmp_event_count(struct cmp_event *e);
int cmp_event_wait_since(struct cmp_event *e, uint32_t seen, int64_t deadline_ns);

/* Verify what holds of a cell at any moment.  NULL, or what is wrong.  */
const char *cmp_event_check(struct cmp_event *e);

#endif /* CMP_EVENT_H */
