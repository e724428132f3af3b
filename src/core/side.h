/* side.h -- one of the two sides of a ring or queue: who may act on it, and who waits.

   Those who put have one side, those who get the other.  A side has a lock, held for the
   copy of one record; a position, whose store is the commit; and a seat.  One waiter at a
   time has the seat, and sleeps on the side's park word; all others, the followers, sleep
   on the seat.  So a sleeper holds nothing that anybody else needs.

   Layout    192 bytes, three cache lines; all zeroes is a side at position 0.
               lock   robust, for one record
               seen   where the other side was, when one who had the lock looked last
               seat   robust; may be held asleep
               park   0, or PARK_ARMED: who has the seat may be asleep on it
               cpu    1 + the processor on which this side last waited, or woke
               at     the position, 64 bits, which only grows: all before it is done
   Invariant at changes by one who has the lock, to what is finished by then.
             If the other side has gone on so that somebody could act who sleeps here,
             then one of them is awake, or the other side has park pending, or the one
             in the seat is stopped.  For:
             - Who sleeps in the seat has armed park first, and sleeps only while the other
               side is where it was when he looked after that: both are compared by the
               kernel.  Who commits looks at park after that.
             - Whoever leaves the seat, or dies in it, wakes a follower, who takes the seat
               before anything else, and looks before he sleeps.  If another is quicker,
               the follower sees to it that the seat is marked, so that its holder will
               wake him again, and only then asks for the lock.
             - Who commits and finds park armed, and nobody asleep on it, wakes a follower:
               the one in the seat is late, stopped, dead, or occupied by a signal handler.
               A follower arms park too before he sleeps: so the next commit wakes another
               one, as long as it is so.
             - Where turns differ, whoever finds that the other side has gone on, and not far
               enough for himself, wakes the next follower, and so does who has acted: all
               get to look at each position.
   Ordering  the store of at releases, the load of it by the other side acquires.  That store,
             arming, and the looks after both are sequentially consistent.
   If a process dies
             holding the lock: freed by the kernel; what was not committed did not happen
             after its commit and before its wake: the other side's park is pending, the
             kernel wakes who sleeps in that seat; who is about to sleep sees the position
                                side.commit.pending, .done, side.signal.armed, .disarmed
             ... after the wake met nobody, before that of a follower: whoever has the
             other seat is awake and looks, or has died and the seat tells
                                                          side.signal.woke, .followed
             in the seat, asleep or awake: the seat tells, a follower takes it
                              side.wait.seated, .armed, .looked, .woken, .leaving, .left
             woken on the seat: it is pending; held by another by now, it is marked
                           mutex.mark.marked, side.follow.armed, .free, .looked, .woken
             ... after it acted, before it has passed the wake on: another commit, or a
             slice, does; that needs one stopped in the seat too         side.follow.acted
   Left to the slices: a follower's is 1 s at most
             - the one in the seat is stopped after a wake was delivered to him, and before
               he used it, or before he has armed park; and nobody has come to follow since
             - one is stopped in the seat, and a committer is killed between his commit and his
               second wake, or the follower who got that before he has armed park again
             - one is stopped while he has the lock: that side stands still until he
               goes on.  A call with a deadline ends 10 ms after it.
             - mutex.h has one with two deaths
   Signals   handlers run in the middle of a wait, as everywhere (wait.h).  One who is in the
             seat keeps it meanwhile, and is to others as one who is stopped is: they
             are served by followers.
   Fork      the child of one who waits in a handler does not have his seat, nor the lock.  */
#ifndef CMP_SIDE_H
#define CMP_SIDE_H

#include <stdbool.h>
#include "cmp.h"
#include "mutex.h"
#include "peer.h"
#include "wait.h"

struct cmp_side {
    struct cmp_mutex lock;
    cmp_word64 seen;
    uint64_t reserved;
    struct cmp_mutex seat;
    cmp_word park;
    cmp_word cpu;
    uint64_t reserved_too;
    cmp_word64 at;
    uint64_t reserved_last[7];
};
_Static_assert(sizeof(struct cmp_side) == 192, "shared layout");

/* What is to be done on a side, and when that is possible.  Process-local.  */
struct cmp_turn {
    struct cmp_side *side, *other;
    /* Whether it is possible, without the lock: a yes may be out of date, a no is true of
       some moment since the call.  */
    bool (*possible)(void *arg);
    /* Do it, with the lock.  0: done, after cmp_side_commit; -EAGAIN: it is not possible now;
       or another -errno.  NULL: to know that it is possible is enough.  */
    int (*act)(void *arg);
    void *arg;
    /* Others who wait on this side may be able to act where this one is not: they want less. */
    bool differs;
    struct cmp_peer *peer; /* without whom it can never become possible; NULL: it always may */
    cmp_word *halt; /* once that is not 0 it is possible for good, on both sides; NULL: none */
    struct cmp_spin *spin;
};

/* Do it as soon as it is possible.  0; -ETIMEDOUT: it was not until the deadline; -EINTR;
   -EPIPE: it is not, and nobody is left who could change that; or what act says.  */
int cmp_turn_take(const struct cmp_turn *turn, int64_t deadline_ns);

/* Of the lock's owner: this side has come to `at`; and wake who waits for that.  Between the
   two the other side's park is pending.  */
void cmp_side_publish(struct cmp_side *side, struct cmp_side *other, uint64_t at);
void cmp_side_announce(struct cmp_side *side, struct cmp_side *other);

static inline void cmp_side_commit(struct cmp_side *side, struct cmp_side *other, uint64_t at)
{
    cmp_side_publish(side, other, at);
    cmp_side_announce(side, other);
}

/* Wake all who wait on this side, since something else has changed by a seq_cst store at which
   they are to look again.  */
void cmp_side_rouse(struct cmp_side *side);

/* Whoever waits on either side of a turn with a halt word sleeps on that too.  It may be
   pending while it changes: then the kernel wakes one of them if the process dies, who is to
   call cmp_unpark(halt, CMP_UNPARK_ALL), as whoever changes it.  */

/* Verify what holds at any moment.  NULL, or what is wrong.  */
const char *cmp_side_check(struct cmp_side *side);

#endif /* CMP_SIDE_H */
