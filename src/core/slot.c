/* slot.c -- the table of slots: claiming, being born, reaping.  */
#include "arena.h"
#include "owner.h"
#include "sweep.h"
#include "held.h"

/* ---- the table ------------------------------------------------------------------- */

struct cmp_slot *cmp_slot_at(uint32_t number)
{
    struct cmp_arena *arena = cmp_arena();
    if (number >= CMP_SLOTS || arena == NULL)
        return NULL;
    /* SYNC acquire: pairs with cmp_extent_link in grow. */
    uint32_t e = load_acquire(&arena->slot_extent[number / CMP_SLOTS_PER_EXTENT]);
    struct cmp_slot *slots = e == 0 ? NULL : cmp_extent_at(e);
    return slots == NULL ? NULL : &slots[number % CMP_SLOTS_PER_EXTENT];
}

uint32_t cmp_slot_count(void)
{
    struct cmp_arena *arena = cmp_arena();
    uint32_t n = 0;
    while (arena != NULL && n < CMP_SLOT_EXTENTS && load_acquire(&arena->slot_extent[n]) != 0)
        n++;
    return n * CMP_SLOTS_PER_EXTENT;
}

/* 128 slots more.  */
static int grow(void)
{
    struct cmp_arena *arena = cmp_arena();
    uint32_t n = cmp_slot_count() / CMP_SLOTS_PER_EXTENT;
    if (n == CMP_SLOT_EXTENTS)
        return -EUSERS;
    int64_t e = cmp_extent_claim(1, true);
    if (e < 0)
        return (int)e;
    int rc = cmp_extent_link((uint32_t)e, &arena->slot_extent[n],
                             CMP_EXTENT_KIND(CMP_EXTENT_SLOTS, n));
    return rc == -EEXIST ? 0 : rc;
}

/* ---- claim, birth ---------------------------------------------------------------- */

static uint64_t state_of(uint32_t gen, enum cmp_phase phase, uint64_t low)
{
    return (uint64_t)gen << 32 | (uint64_t)phase << 29 | low;
}

/* What stands in the state of a slot that this process claims.  Without a birth
   lock, who claimed it; zeroes for a process that has no slot itself.  */
static uint64_t claimer(bool locked)
{
    struct cmp_slot *s = cmp_me_slot();
    if (locked)
        return 0;
    if (s == NULL)
        return CMP_STATE_UNLOCKED | CMP_STATE_NOBODY;
    uint32_t gen = cmp_state_gen(load64_relaxed(&s->state));
    return CMP_STATE_UNLOCKED | (gen & 0x7fff) << CMP_SLOT_BITS | cmp_me_number();
}

static void clear_slot(struct cmp_slot *s)
{
    store64_relaxed(&s->ending, 0);
    store64_relaxed(&s->start_time, 0);
    store64_relaxed(&s->pidfs_ino, 0);
    store64_relaxed(&s->exec_mark, 0);
    store_relaxed(&s->pid, 0);
    store_relaxed(&s->cpu, 0);
}

/* The birth lock first: a sweep that finds CLAIM finds it held, or its claimer
   dead.  Whether the slot was free, and is ours now. */
static bool try_claim(uint32_t number, struct cmp_embryo *embryo)
{
    struct cmp_slot *s = cmp_slot_at(number);
    if (s == NULL)
        return false;
    uint64_t state = load64_seqcst(&s->state);
    if (cmp_state_phase(state) != CMP_SLOT_FREE)
        return false;
    /* A process with the TID of the one before it would store the same words. */
    if (cmp_me_slot() == NULL && load_relaxed(&s->tid) == cmp_tid())
        return false;
    int fd = cmp_birth_open(cmp_family_map(), number);
    if (fd == -EAGAIN || fd == -EACCES)
        return false; /* somebody claims it now, or was born just now */
    CMP_HOOK("slot.claim.locked");
    uint32_t gen = cmp_state_gen(state);
    if (!cas64_strong(&s->state, &state, state_of(gen, CMP_SLOT_CLAIM, claimer(fd >= 0)))) {
        cmp_close(fd);
        return false;
    }
    CMP_HOOK("slot.claim.claimed");
    *embryo = (struct cmp_embryo){.slot = number, .gen = gen, .fd = fd < 0 ? -1 : fd};
    clear_slot(s);
    CMP_HOOK("slot.claim.cleared");
    return true;
}

static bool claim_any(struct cmp_embryo *embryo)
{
    cmp_word64 *hint = &cmp_arena()->owner_words[CMP_ARENA_SLOT_HINT];
    uint32_t n = cmp_slot_count();
    uint32_t first = (uint32_t)load64_relaxed(hint);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t number = (first + i) % n;
        if (try_claim(number, embryo)) {
            store64_relaxed(hint, number + 1);
            return true;
        }
    }
    return false;
}

/* All are taken: reap the dead.  Unless many were, have more slots too, so that
   the sweeps of a growing family cost a constant time per process. */
static int make_room(void)
{
    uint32_t n = cmp_slot_count();
    int64_t reaped = cmp_sweep_slots();
    if (reaped > n / 4)
        return 0;
    int rc = grow();
    return rc < 0 && reaped > 0 ? 0 : rc;
}

int cmp_slot_claim(struct cmp_embryo *embryo)
{
    for (int tries = 0; tries < 64; tries++) {
        if (claim_any(embryo))
            return 0;
        int rc = make_room();
        if (rc < 0)
            return rc;
    }
    return -EUSERS; /* others were faster, time and again */
}

static bool move_on(const struct cmp_embryo *embryo, enum cmp_phase from, uint64_t want)
{
    struct cmp_slot *s = cmp_slot_at(embryo->slot);
    if (s == NULL)
        return false;
    uint64_t state = load64_relaxed(&s->state);
    if (cmp_state_gen(state) != embryo->gen || cmp_state_phase(state) != from)
        return false;
    if (cmp_state_phase(want) == CMP_SLOT_EMBRYO)
        want |= state & (CMP_STATE_UNLOCKED | CMP_STATE_LOW);
    /* SYNC seq_cst: publishes the table; pairs with the sweep's look at states. */
    return cas64_strong(&s->state, &state, want);
}

bool cmp_slot_conceive(const struct cmp_embryo *embryo)
{
    return move_on(embryo, CMP_SLOT_CLAIM, state_of(embryo->gen, CMP_SLOT_EMBRYO, 0));
}

void cmp_slot_release(const struct cmp_embryo *embryo)
{
    uint64_t freed = state_of(embryo->gen + 1, CMP_SLOT_FREE, 0);
    if (!move_on(embryo, CMP_SLOT_EMBRYO, freed))
        move_on(embryo, CMP_SLOT_CLAIM, freed);
}

void cmp_slot_birth_over(struct cmp_embryo *embryo)
{
    if (embryo->fd >= 0)
        cmp_close(embryo->fd);
    embryo->fd = -1;
}

/* ---- death ----------------------------------------------------------------------- */

static bool words_died(struct cmp_slot *s)
{
    for (unsigned int i = 0; i < CMP_HOLD_WORDS; i++)
        if ((load_seqcst(&s->hold[i].word) & (CMP_OWNER_DIED | CMP_TID_MASK)) == CMP_OWNER_DIED)
            return true;
    return false;
}

enum cmp_end cmp_slot_confirm(struct cmp_look *look, struct cmp_slot *s, uint64_t state,
                              int64_t deadline_ns)
{
    struct cmp_identity id = {
        .pid = load_relaxed(&s->pid),
        .tid = load_relaxed(&s->tid),
        .start_time = load64_relaxed(&s->start_time),
        .pidns_ino = load64_relaxed(&s->pidns_ino),
        .pidfs_ino = load64_relaxed(&s->pidfs_ino),
    };
    uint64_t exec_mark = load64_relaxed(&s->exec_mark);
    bool died = cmp_state_phase(state) == CMP_SLOT_LIVE && words_died(s);
    /* SYNC seq_cst: all of it was of this process, linked this often. */
    if (load64_seqcst(&s->state) != state)
        return CMP_END_NOT_YET; /* ask again */
    return cmp_end_confirm(look, &id, exec_mark, id.tid == id.pid, died, deadline_ns);
}

/* Of a slot that was claimed without a birth lock: the claimer, while it lives, may
   go on with it.  After EMBRYO a child may exist of whom nobody knows: it stays. */
static bool claimer_dead(uint64_t state)
{
    struct cmp_slot *s = cmp_slot_at((uint32_t)state & (CMP_SLOTS - 1));
    if (cmp_state_phase(state) != CMP_SLOT_CLAIM || (state & CMP_STATE_LOW) == CMP_STATE_NOBODY ||
        s == NULL)
        return false;
    uint64_t now = load64_seqcst(&s->state);
    if ((cmp_state_gen(now) & 0x7fff) != (state >> CMP_SLOT_BITS & 0x7fff))
        return true;
    return cmp_slot_dead((uint32_t)state & (CMP_SLOTS - 1), now, false);
}

/* Whether the birth lock of that slot is free: nobody has it, also not through the
   descriptor by which this very process joined, which a question would not tell.  So
   take it, for a moment.  */
static bool nobody_bears(uint32_t number)
{
    int fd = cmp_birth_open(cmp_family_map(), number);
    if (fd >= 0)
        cmp_close(fd);
    return fd >= 0;
}

bool cmp_slot_dead(uint32_t number, uint64_t state, bool words)
{
    struct cmp_slot *s = cmp_slot_at(number);
    struct cmp_look look = CMP_LOOK_INIT;
    enum cmp_end end;

    if (s == NULL || s == cmp_me_slot())
        return false;
    switch (cmp_state_phase(state)) {
    case CMP_SLOT_LIVE:
        if (words && (load_seqcst(&s->hold[0].word) & CMP_TID_MASK) != 0)
            return false;
        /* fall through */
    case CMP_SLOT_ORPHANED:
        end = cmp_slot_confirm(&look, s, state, 0);
        cmp_look_close(&look);
        return end != CMP_END_NOT_YET;
    case CMP_SLOT_CLAIM:
    case CMP_SLOT_EMBRYO:
        if ((state & CMP_STATE_UNLOCKED) != 0)
            return claimer_dead(state);
        /* The lock lasts until after the next phase: look at the state again. */
        return nobody_bears(number) && load64_seqcst(&s->state) == state;
    default:
        return false;
    }
}

bool cmp_slot_reap(uint32_t number, uint64_t state)
{
    struct cmp_slot *s = cmp_slot_at(number);
    uint64_t freed = state_of(cmp_state_gen(state) + 1, CMP_SLOT_FREE, 0);
    if (s == NULL || !cas64_strong(&s->state, &state, freed))
        return false;
    CMP_HOOK("slot.reap.freed");
    if (cmp_state_phase(state) == CMP_SLOT_LIVE)
        for (unsigned int i = 0; i < CMP_HOLD_WORDS; i++)
            cmp_unpark(&s->hold[i].word, CMP_UNPARK_ALL);
    return true;
}
