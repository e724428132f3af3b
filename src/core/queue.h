/* queue.h -- records of any length, first in first out, from many to many: bounded by a number of
   items, or not at all.

   Layout    an object of CMP_TYPE_QUEUE, struct cmp_queue_cell, 6.2 KB.  Records (record.h) lie
             in a chain of segments, each a strip of bytes: the first one is in the cell, the
             others are blocks (block.h), struct cmp_segment.
               put, get   the two sides (side.h).  A position is  items << 1 | parity:  so many
                          items were put, or got; their difference is what is in the queue
               put_place, get_place   two each, the one of the position's parity is valid: where the
                          next record goes, or begins.  at: its position in bytes, from the
                          beginning of the queue; segment, cap: which strip that is in; from:
                          where that segment begins
               limit      as many items at most; 0: any number
               shut       0, or CMP_SHUT; immediate: what is there shall not be got either
               has_refs   a record with references was put once: sweeps must look
               counts     whose consumers are to be known; tasks: see tasks.h
             A segment with no room for one more record ends with a record of kind NEXT, which
             names the next one, of twice its bytes, up to CMP_SEGMENT_MAX.  For sweeps alone its
             head says the same; true once the place of put has left the segment.
             Until that a segment is gone round in: a queue that is emptied as fast as it is
             filled needs no other.  One that was gone round in, and was nearly empty then, is followed
             by a smaller one.
   Invariant as side.h and record.h: one store, of a position, is the commit of one item or a
             batch, with the place after it and the segment that it has gone on to.  The
             other place is scratch.  So there is nothing to repair.
             Who gets the first item behind a NEXT takes out that record with it: the segment that
             was left is held by him then, and let go.  The next one is named by the place.
   Ordering  places are stored before the position, by release; who has not the lock reads a
             place between two equal reads of the position.
             shut is stored with the lock of put: nothing is put after that.  It is slept on by all
             who wait, as is said in side.h.
   If a process dies
             putting, before its commit: nothing was put; a new segment is held by the dead alone
                          queue.put.written, queue.grow.written, queue.put.placed, record.put.named
             ... after it: all of its batch was put
                                               object.left.*, queue.put.done, and those of side.h
             getting, before its commit: all is still there
                                    queue.get.copied, queue.get.left, queue.get.placed, record.get.*
             ... after it: those items are lost; blocks that came with them and the segment
             that was left are held by the dead alone                    queue.got.out, queue.got.left
             shutting down: not shut; or shut, and shut is pending: the kernel wakes one who
             waits, and he all others                                queue.shut.stored, queue.shut.woke
             done with an item, or joining: see tasks.h
   Fork      as record.h.

   Nothing in shared memory is believed: see -EUCLEAN and -ESTALE below.  */
#ifndef CMP_QUEUE_H
#define CMP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include "cmp.h"
#include "object.h"
#include "record.h"
#include "side.h"
#include "tasks.h"

#define CMP_SEGMENT_HOME UINT32_C(4096)
#define CMP_SEGMENT_MAX (UINT32_C(1) << 20)
#define CMP_QUEUE_PLAIN_MAX 4088u /* the longest message in a record; buffers must be so long */
#define CMP_QUEUE_BATCH 64        /* items at most that go in one hold of a lock, */
#define CMP_QUEUE_BATCH_BYTES UINT32_C(32768) /* ... and bytes, but for the last item */
#define CMP_SHUT PARK_ARMED

struct cmp_place {
    cmp_word64 at;
    cmp_word64 from;
    cmp_word64 segment; /* a reference, as a record names it; 0: the one in the cell */
    cmp_word64 cap;
};

struct cmp_segment {
    cmp_word64 next;
    cmp_word64 next_cap;
    uint64_t reserved[6];
    cmp_word64 words[];
};
_Static_assert(sizeof(struct cmp_segment) == 64, "shared layout");

struct cmp_queue_cell {
    struct cmp_side put, get;
    struct cmp_place put_place[2];
    struct cmp_place get_place[2];
    uint32_t limit;
    cmp_word shut;
    cmp_word immediate;
    cmp_word has_refs;
    uint32_t counts;
    uint32_t reserved[11];
    struct cmp_tasks tasks;
    struct cmp_segment home;
};
_Static_assert(sizeof(struct cmp_queue_cell) == 2240, "shared layout");

/* How many items a position of a side counts.  */
static inline uint64_t cmp_queue_items(uint64_t at)
{
    return at >> 1;
}

/* A segment as this process has found it.  ref is 0 while the rest changes.  */
struct cmp_segment_known {
    cmp_word64 ref;
    struct cmp_segment *segment;
    uint32_t cap;
};

/* A queue, as this process has it.  Any thread may use it; it does not move.  */
struct cmp_queue {
    cmp_ref ref;
    struct cmp_queue_cell *cell;
    uint32_t limit; /* copied where it was checked */
    bool counts;
    struct cmp_segment_known puts, gets; /* for who has that lock */
};

/* Make one, and hold it once.  counts: cmp_queue_join shall tell of consumers that died.  0 or as
   cmp_object_create.  */
int cmp_queue_create(uint32_t limit, bool counts, cmp_ref *ref);

/* Use one that this process holds; that hold is the caller's to give, and cmp_object_drop(q->ref)
   ends the use.  And: a reference has come in by other ways: cmp_object_take, and open.
   0, -EINVAL or -EUCLEAN; or as cmp_object_take.  */
int cmp_queue_open(cmp_ref ref, struct cmp_queue *q);
int cmp_queue_take(cmp_ref ref, struct cmp_queue *q);

/* Put n messages, at least 1, in this order and with nothing between them; or the first of
   them, as many as there is room for, and as fit into one hold of the lock; one that has objects
   goes alone.  How many were put, all at once; -ETIMEDOUT: no room until the deadline;
   -ESHUTDOWN; -EINTR; -ENOMEM; -E2BIG: too many references; -EINVAL: one is not held;
   -EUCLEAN: the queue is damaged for good.  On failure nothing changed.  */
int cmp_queue_put_many(struct cmp_queue *q, const struct cmp_outgoing *m, int n,
                       int64_t deadline_ns);

/* Get the next messages, up to n, at least 1, as many as are there and as fit into the buffer and
   one hold of the lock; one that has objects comes alone.  How many, all taken out at once;
   -ETIMEDOUT: there is none until the deadline; -ESHUTDOWN: nor will there be; -EINTR;
   -ENOMEM, -EUSERS: this process cannot hold what comes with it, which stays there; -ESTALE: one was
   damaged, and is gone; -EUCLEAN: the queue is.  Requires bytes >= CMP_QUEUE_PLAIN_MAX.  */
int cmp_queue_get_many(struct cmp_queue *q, void *buffer, size_t bytes, struct cmp_incoming *m,
                       int n, int64_t deadline_ns);

/* One message: 0 or as above.  */
static inline int cmp_queue_put(struct cmp_queue *q, const struct cmp_outgoing *m,
                                int64_t deadline_ns)
{
    int rc = cmp_queue_put_many(q, m, 1, deadline_ns);
    return rc < 0 ? rc : 0;
}

static inline int cmp_queue_get(struct cmp_queue *q, void *buffer, struct cmp_incoming *m,
                                int64_t deadline_ns)
{
    int rc = cmp_queue_get_many(q, buffer, CMP_QUEUE_PLAIN_MAX, m, 1, deadline_ns);
    return rc < 0 ? rc : 0;
}

/* Wait until there is a message.  0 or as get.  */
int cmp_queue_wait(struct cmp_queue *q, int64_t deadline_ns);

/* How many items are in it, were put, and are not done with: exact, at a moment of the call.  */
uint64_t cmp_queue_size(struct cmp_queue *q);
uint64_t cmp_queue_unfinished(struct cmp_queue *q);

/* From now on no put succeeds, and no get once it is empty; all who wait are woken.  immediate:
   nor does any get, and what is in the queue is taken out and let go, its items are done with.
   0; -EINTR: not shut; or, with immediate, as get: shut, but not all is taken out.  */
int cmp_queue_shutdown(struct cmp_queue *q, bool immediate);
bool cmp_queue_is_shut(struct cmp_queue *q);

/* One item that was got is done with, and wait until all are that were put: as tasks.h has it.  */
static inline int cmp_queue_task_done(struct cmp_queue *q)
{
    return cmp_tasks_done(&q->cell->tasks, &q->cell->put.at);
}

static inline int cmp_queue_join(struct cmp_queue *q, struct cmp_loss *loss, int64_t deadline_ns)
{
    return cmp_tasks_join(&q->cell->tasks, &q->cell->put.at, &q->cell->get.at, loss, deadline_ns);
}

/* ---- for object.c and check.c ------------------------------------------------------- */

/* Call visit for every segment, and for every reference in records.  Beside who puts and gets:
   what is named now and is still there at the end is visited.  Requires the process lock.  */
void cmp_queue_each_ref(struct cmp_queue_cell *c, uint32_t cell_bytes,
                        void (*visit)(void *arg, cmp_ref ref), void *arg);

/* Whether a record of it names the object.  As each_ref.  */
bool cmp_queue_names(struct cmp_queue_cell *c, uint32_t cell_bytes, cmp_ref ref);

/* Whether something may live by it alone.  */
bool cmp_queue_has_refs(struct cmp_queue_cell *c);

/* Verify what holds of a cell at any moment.  NULL, or what is wrong.  */
const char *cmp_queue_check(struct cmp_queue_cell *c, uint32_t cell_bytes);

#endif /* CMP_QUEUE_H */
