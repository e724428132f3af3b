/* tasks.h -- what was got from a queue and is not done with, and who has it.

   Layout    struct cmp_tasks, in the cell of a queue (queue.h).
               done      so many items are done with
               idle      0, or PARK_ARMED: somebody may wait until that is all
               full      there were more consumers than words: nobody can be told what was lost
               consumer  of each process that has got something:  code30 | count34, count: so
                         many items it has got, and has not said that it is done with them
               pid       of that process: its slot does not tell for ever
   Invariant what living processes have got and are not done with is never more than their
             counts: a count grows before the commit of get, with its lock, and falls after
             done has grown.  So where the difference is more than those counts, items are
             lost with the dead, at least so many.
             A code is new in a word only after idle was pending, and before all who wait are
             woken: they watch the hold words of all consumers.
   Ordering  all sequentially consistent; who looks reads the position of get, then the counts, then
             done: so it never sees too many lost.
   If a process dies
             before the commit of get: it has a count for what is still there; nobody adds that up
                                                                  tasks.take.noted, .woke
             with items: the kernel marks its hold words
             done with an item, before the wake: idle is pending, the kernel wakes one who joins,
             and he all others                           tasks.done.counted, .disarmed, .woke
             woken so: idle is pending                          tasks.join.armed, vigil.nap.relayed
   Fork      the child has got nothing.
   Left to polling, ten times a second and less: one dies with items, and before a joiner has seen
             it another is between the two stores of a get, or of a task_done.  */
#ifndef CMP_TASKS_H
#define CMP_TASKS_H

#include <stdbool.h>
#include "cmp.h"
#include "../platform/platform.h"

#define CMP_CONSUMERS 128

struct cmp_tasks {
    cmp_word64 done;
    cmp_word idle;
    cmp_word full;
    uint64_t reserved[6];
    cmp_word64 consumer[CMP_CONSUMERS];
    cmp_word pid[CMP_CONSUMERS];
};
_Static_assert(sizeof(struct cmp_tasks) == 1600, "shared layout");

/* Items that are lost: the process that had them, 0: not known, and how many. */
struct cmp_loss {
    int pid;
    uint64_t count;
};

/* This process is about to get n items.  Requires the lock of get.  */
void cmp_tasks_take(struct cmp_tasks *t, uint32_t n);

/* One item is done with, of those that were put.  put: the position of put, see queue.h.
   0; -EINVAL: so many were not put.  */
int cmp_tasks_done(struct cmp_tasks *t, cmp_word64 *put);

/* Wait until all that was put is done with.  0; -EOWNERDEAD: a process has ended with some of it,
   see *loss; -ETIMEDOUT or -EINTR.  */
int cmp_tasks_join(struct cmp_tasks *t, cmp_word64 *put, cmp_word64 *got, struct cmp_loss *loss,
                   int64_t deadline_ns);

/* Verify what holds at any moment.  NULL, or what is wrong.  */
const char *cmp_tasks_check(struct cmp_tasks *t);

#endif /* CMP_TASKS_H */
