/* vigil.h -- sleep on a primitive's words, and watch other processes meanwhile.

   Condition and Barrier wait for what other processes do, and must notice when one of
   those dies.  One look of such a wait collects the words of its next nap: first the
   primitive's own, then the hold words of the processes that matter.  A process is
   watched once, however many of its threads matter; one's own needs no watching.

   Layout    process-local only.
   Invariant a process that was looked at and found alive either has its hold word among
             the words, or the nap is cut: to 100 ms at first, doubling to 1 s.  That is
             so for one without hold words (ORPHANED), and once CMP_PARK_MAX words
             are full.
             Words may be silent about a death; so after a nap that nothing but its
             slice has ended, the kernel is asked about everybody; or, if that nap was
             cut, which may be every second, about one in 128.
             Whoever has slept on a hold word and finds it changed wakes all on it,
             whatever its own wait says by then: it may have taken the only wake that the
             kernel has for that word, on behalf of another primitive's sleepers.
   Ordering  none of its own: cmp_owner_hint and cmp_nap.
   If a process dies
             nothing of this file is shared.
   Fork      none: lives on the stack of one wait.  */
#ifndef CMP_VIGIL_H
#define CMP_VIGIL_H

#include <stdbool.h>
#include "../platform/platform.h"
#include "cmp.h"
#include "wait.h"

/* One wait of one thread, over all its looks. */
struct cmp_vigil {
    uint32_t me;       /* owner code of this process */
    uint32_t node;     /* which hold word of a process is watched */
    bool doubt;        /* the last nap ended with its slice */
    bool was_cut;      /* ... which was cut */
    uint32_t turn;     /* whom the doubt concerns then */
    bool cut;          /* the next nap is cut: somebody cannot be watched */
    int64_t cut_ns;    /* ... to this */
    struct cmp_nap nap;
    int n_words;
    int n_seen;
    struct cmp_watch words[CMP_PARK_MAX];
    bool is_hold[CMP_PARK_MAX]; /* that word is a hold word, to be relayed if it dies */
    uint32_t seen[CMP_PARK_MAX]; /* owner codes looked at, and found alive */
};

void cmp_vigil_init(struct cmp_vigil *v, uint32_t me, uint32_t node);

/* Begin a look: no words, nobody seen.  */
void cmp_vigil_begin(struct cmp_vigil *v);

/* Have the nap take place only while *word holds that value.  */
void cmp_vigil_guard(struct cmp_vigil *v, cmp_word *word, uint32_t expected);

/* Whether the process of that code has ended.  If not, watch it.  */
bool cmp_vigil_ended(struct cmp_vigil *v, uint32_t code);

/* Nap once on what was collected; as cmp_nap.  v->nap tells about it.  */
int cmp_vigil_nap(struct cmp_vigil *v, int64_t deadline_ns);

/* The same question about one process, outside of a wait.  */
bool cmp_peer_ended(uint32_t code, uint32_t node);

#endif /* CMP_VIGIL_H */
