/* owner.h -- the process table: who is who in a family, and who is dead.

   Layout    struct cmp_slot, 512 bytes, at most CMP_SLOTS of them, made 128 at a
             time.  state: gen32 | phase3 | UNLOCKED | 28 bits: of CLAIM and EMBRYO
             the creator (gen15 | slot13), of LIVE and ORPHANED how often the words
             were linked.  An owner code names a process in 30 bits, the form in
             which locks and nodes carry it:
               bit 29 TAG, always set: a code is never 0 and never looks like a TID
               bits 13..28 the low 16 bits of the slot's gen, bits 0..12 the slot
             hold[0..7] are robust words of the thread that registered the
             process: TID | CMP_WAITERS while it lives; the kernel puts
             CMP_OWNER_DIED there at its death, or exec, and wakes one sleeper.
   Phases    FREE; CLAIM: being prepared, no root; EMBRYO: its references are
             complete, the process is not born; LIVE; ORPHANED: LIVE, but the
             thread that registered it has ended: its words say nothing (0), and
             death is told by pidfd or start time alone, until the next
             thread of the process that enters cmp links them again.  A process
             without robust words (no robust list, another pid namespace) is
             ORPHANED all its life.
   Invariant a slot's gen grows when it is freed, and only then; so at most one process
             has a code at any time.  (16 bits of it: after 65536 processes in the same
             slot a code comes again.  Slots are used in turn to make that long.)
             Whoever finds LIVE finds the words linked; whoever finds a word without a
             TID and LIVE on both sides of it knows that the kernel wrote it, or that
             the thread ended without its exit hook: ask cmp_owner_confirm.
             Only what was proved dead is freed.  CLAIM and EMBRYO are proved dead by
             the birth lock: its descriptor is in the creator, then in the child, until
             the slot is LIVE.  With UNLOCKED set there was none to be had (no such
             locks, no descriptor left): CLAIM goes with its creator, an EMBRYO whose
             child is killed before it is LIVE keeps slot and objects for good.
   Ordering  a state is published after what it says; who reads the word first and the
             state second (cmp_owner_hint) is never told that a living process is gone.
   If a process dies
             while it claims: the birth lock is free, a sweep frees the slot
                           slot.claim.locked, .claimed, owner.register.claimed
             while it forks, before or after its own death: likewise, or the child
             takes the slot over        fork.prepare.*, owner.born.identity
             while it links its words: not LIVE yet; or ORPHANED, which is true
                                             owner.link.linked, owner.link.words
             LIVE: the kernel marks the words and wakes one sleeper on each; who wakes
             wakes the others (cmp_owner_relay)              fork.child.born
             while a thread's words are withdrawn: ORPHANED, one sleeper is woken on
             each word; the others on it look again at the end of their slices, if the
             process dies in the instant before it wakes them
                            owner.orphan.marked, .unlinked, .zeroed
             while it frees a slot: slot.reap.freed, whose sleepers look again at the
             end of their slices
             Also left to the slices: who sleeps on a word of a child whose TID is that
             of the slot's former process cannot see the change.  A process that finds
             a slot for itself avoids that; a parent does not know the child's TID.
   Fork      see fork.c: the child is LIVE, with words of its own, when fork() returns
             in it.  What else there is to know of it (start time, pidfs) is found out
             when it first asks for its code.  A fork never fails for want of a slot:
             cmp_me() is 0 in that child and cmp_me_errno() is EUSERS.
   Exec      the kernel marks the words: EXECED, and the slot is freed.  In a process
             that is ORPHANED it goes unseen until the end.
   Others    a process in another pid namespace than the maker of the arena is ORPHANED
             all its life; its end can be told from within its own namespace only.  */
#ifndef CMP_OWNER_H
#define CMP_OWNER_H

#include <stdbool.h>
#include "../platform/platform.h"
#include "cmp.h"

#define CMP_SLOT_BITS 13
#define CMP_SLOTS (1u << CMP_SLOT_BITS)
#define CMP_SLOTS_PER_EXTENT 128u
#define CMP_HOLD_WORDS 8
#define CMP_CODE_TAG (UINT32_C(1) << 29)
#define CMP_CODE_MASK UINT32_C(0x3fffffff)

/* The owner code of a process by its slot. */
static inline uint32_t cmp_code_of(uint32_t number, uint32_t gen)
{
    return CMP_CODE_TAG | (gen & 0xffff) << CMP_SLOT_BITS | number;
}

/* Bits of a slot's state beside gen and phase. */
#define CMP_STATE_UNLOCKED (UINT64_C(1) << 28) /* of CLAIM, EMBRYO: without birth lock */
#define CMP_STATE_LOW ((UINT64_C(1) << 28) - 1)
#define CMP_STATE_NOBODY CMP_STATE_LOW /* the creator is no process of the family yet */

/* Of owner_words in struct cmp_arena. */
#define CMP_ARENA_SLOT_HINT 0 /* where to look for a free slot; any value is right */
#define CMP_ARENA_PIDNS 1     /* the pid namespace in which the arena was made */

#define CMP_HELD_CHUNKS 16     /* pairs of extents, each with the bits of 2^20 objects */
#define CMP_HELD_PAGES 512     /* in all of them: 1 bit of held_pages each */

enum cmp_phase {
    CMP_SLOT_FREE,
    CMP_SLOT_CLAIM,
    CMP_SLOT_EMBRYO,
    CMP_SLOT_LIVE,
    CMP_SLOT_ORPHANED,
};

struct cmp_slot {
    struct cmp_node hold[CMP_HOLD_WORDS];
    cmp_word64 state;
    cmp_word64 start_time; /* as in struct cmp_identity; 0 until it is found out */
    cmp_word64 pidns_ino;
    cmp_word64 pidfs_ino;
    cmp_word64 exec_mark;
    cmp_word64 ending; /* gen16 << 48 | LEFT | HAS_STATUS | status */
    cmp_word pid;
    cmp_word tid;   /* of the thread whose list holds the words */
    cmp_word cpu;   /* 1 + the processor it was last seen on */
    cmp_word drops; /* how often it left an object to the sweep; only grows */
    cmp_word held[CMP_HELD_CHUNKS];             /* first extent of each pair, or 0 */
    cmp_word64 held_pages[CMP_HELD_PAGES / 64]; /* which pages may hold a bit */
};
_Static_assert(sizeof(struct cmp_slot) == 512, "shared layout");

static inline uint32_t cmp_state_gen(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

static inline enum cmp_phase cmp_state_phase(uint64_t state)
{
    return (enum cmp_phase)(state >> 29 & 7);
}

/* The owner code of this process; 0 if it has none (no family, or the table is
   full): cmp_me_errno() says why.  Also links the words again that an ended
   thread has left, hence a call in every operation that takes something.  */
extern cmp_word cmp_me_code;
uint32_t cmp_me_slow(void);
static inline uint32_t cmp_me(void)
{
    uint32_t code = load_relaxed(&cmp_me_code);
    return code != 0 ? code : cmp_me_slow();
}
int cmp_me_errno(void); /* positive: EUSERS, ENOMEM; ENOTCONN: no arena; 0: it has one */

/* What its words alone say about the process of an owner code.  */
enum cmp_hint {
    CMP_HINT_ALIVE,    /* *word is its hold word's value: sleep on it to see it die */
    CMP_HINT_DEAD,     /* its registering thread is gone: wake all on the hold word, confirm */
    CMP_HINT_GONE,     /* the slot has gone on: a sweep confirmed its death */
    CMP_HINT_ORPHANED, /* no words to watch: confirm at slices */
};

/* Read the hold word `node` (0..7) of that process, then its slot's state.  Any
   32-bit value may be given: one that is no code, or names no slot, is GONE.  */
enum cmp_hint cmp_owner_hint(uint32_t code, unsigned int node, uint32_t *word);

/* That hold word, to sleep on or to wake; NULL for what names no slot.  */
cmp_word *cmp_owner_hold(uint32_t code, unsigned int node);

/* Wake everybody who sleeps on that hold word.  Whoever finds it dead must: the
   kernel has woken only one, of any primitive.  */
void cmp_owner_relay(uint32_t code, unsigned int node);

/* Whether that process has certainly ended; see cmp_end_confirm.  GONE counts as
   CMP_END_ENDED with *known = false, where known tells whether the slot
   still is that process's.  Sleeps until the deadline at most.  */
enum cmp_end cmp_owner_confirm(struct cmp_look *look, uint32_t code, bool *known,
                               int64_t deadline_ns);

/* The same without waiting, once.  */
bool cmp_owner_has_ended(uint32_t code);

/* Whether its end was orderly (exit functions, exec), or nobody can tell any
   more.  Ask after cmp_owner_confirm said so.  */
bool cmp_owner_left_in_order(uint32_t code);

/* This process is about to end in order, or to exec; and: it did not, after all. */
void cmp_owner_leave(void);
void cmp_owner_stay(void);

/* How a process ended, as far as its slot still tells. */
struct cmp_story {
    int pid;         /* 0: not known any more */
    bool has_status; /* its parent has waited for it and said how */
    int status;      /* as from os.waitstatus_to_exitcode: negative for a signal */
};
void cmp_owner_story(uint32_t code, struct cmp_story *story);

/* Its parent has waited for process pid: note how it ended.  */
void cmp_owner_ended(int pid, int status);

/* The pid of the process of that code if its slot still tells, else 0.  */
int cmp_owner_pid(uint32_t code);

/* The processor it was last seen on (a hint for spinning), -1 if unknown; and:
   this process is on this one now.  */
int cmp_owner_cpu(uint32_t code);
void cmp_owner_seen_here(void);

/* ---- for object.c, sweep.c, fork.c, check.c --------------------------------------- */

/* One mutex of the process guards its registry of references, its own slot, and
   its sweeps.  Held across a fork.  */
void cmp_process_lock(void);
void cmp_process_unlock(void);

/* The slot of that number, NULL if there is none (yet, or the number is bad).  */
struct cmp_slot *cmp_slot_at(uint32_t number);

/* How many slots there are: all below that number exist, as far as undamaged.  */
uint32_t cmp_slot_count(void);

/* This process's own slot, NULL if it has none.  */
struct cmp_slot *cmp_me_slot(void);
uint32_t cmp_me_number(void);

/* A process that is being started, before it is one.  */
struct cmp_embryo {
    uint32_t slot;
    uint32_t gen;
    int fd; /* of the arena, with the birth lock if there are such; goes to the child; -1: none */
};

/* Claim a slot: FREE -> CLAIM; what the table holds is left over from its last
   process.  Requires the process lock.
   -EUSERS: all are taken, by processes not proved dead; -ENOMEM ...  */
int cmp_slot_claim(struct cmp_embryo *embryo);

/* CLAIM -> EMBRYO: its table is complete.  False: it is not ours any more.  */
bool cmp_slot_conceive(const struct cmp_embryo *embryo);

/* CLAIM or EMBRYO -> FREE: it will not be born, or its table was taken over.  */
void cmp_slot_release(const struct cmp_embryo *embryo);

/* Close this process's descriptor with the birth lock.  */
void cmp_slot_birth_over(struct cmp_embryo *embryo);

/* As cmp_owner_confirm, of a LIVE or ORPHANED slot; NOT_YET if it is not in that
   state any more.  */
enum cmp_end cmp_slot_confirm(struct cmp_look *look, struct cmp_slot *s, uint64_t state,
                              int64_t deadline_ns);

/* Whether the process of slot `number` with that state word is proved dead; see
   sweep.h.  words: its words' TID is proof enough that it lives.  */
bool cmp_slot_dead(uint32_t number, uint64_t state, bool words);

/* state -> FREE with the next gen, if it still is that; all who sleep on its
   words are woken.  */
bool cmp_slot_reap(uint32_t number, uint64_t state);

/* In a forked child: this process is the embryo now; NULL: it has none, for the
   reason given.  Requires the process lock.  */
void cmp_owner_born(const struct cmp_embryo *embryo, int error);

#endif /* CMP_OWNER_H */
