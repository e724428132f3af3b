/* peer.h -- does anybody hold an object?  For the ends of a pipe: a message can come as long
   as somebody has the other end.

   Layout    in shared memory there is one word, beside what is waited on:
               closes  grows whenever a process may have let go of such an object
   Invariant an object is held by processes that live or are being started, or by a record on its
             way (ring.h), whose reader is such a process, or has the reading end on its way likewise.
             Where there is none of these it will never be held again; and that is what
             cmp_peer_look says, at some moment between its call and its return.  So an end in
             a record that nobody can ever get is gone, before a sweep has freed it.
             A waiter watches the hold word of one process that has it, and closes.  Who
             lets go clears his bit first, then changes closes, then wakes all waiters.
             While nobody can be watched (the holder is being started, or ORPHANED, or it is in
             a record), the wait is cut into naps of limit_ns.
   Ordering  bits, object words, positions of rings and closes are sequentially consistent.
   If a process dies
             holding it: its hold words wake a waiter, who looks for another holder.  Its words
             are enough, for what matters is a store of a thread that has ended.
             letting go, between bit and wake: so do its words
                                                  peer.close.dropped, .counted, .woke
             woken by a hold word: who has the seat wakes the others, or his seat does
   Fork      known is a hint, true of the child too.  */
#ifndef CMP_PEER_H
#define CMP_PEER_H

#include <stdbool.h>
#include "../platform/platform.h"
#include "cmp.h"
#include "object.h"

/* The other end, as this process sees it.  Any thread may use it.  */
struct cmp_peer {
    cmp_ref ref;
    cmp_word *closes;
    cmp_word64 known; /* closes << 32 | owner code of one that held it at that time */
};

/* What to sleep on. */
struct cmp_peer_watch {
    struct cmp_watch closes;
    struct cmp_watch hold; /* word NULL: nobody who is to be watched */
    int64_t limit_ns;
    uint32_t code;
};
#define CMP_PEER_WATCH_INIT {.limit_ns = INT64_MAX}

void cmp_peer_init(struct cmp_peer *p, cmp_ref ref, cmp_word *closes);

/* Whether it is held.  0: *watch is what tells when that may have changed; -EPIPE: by
   nobody any more.  doubt: ask the kernel whether who is watched has ended.  */
int cmp_peer_look(struct cmp_peer *p, bool doubt, struct cmp_peer_watch *watch);

/* The same, for one who does not wait; where nothing has changed it is a few loads.  */
bool cmp_peer_is_there(struct cmp_peer *p);

/* After a sleep on a watch: if the process that was watched has died, wake all who sleep on the
   same word.  */
void cmp_peer_relay(const struct cmp_peer_watch *watch);

#endif /* CMP_PEER_H */
