#include "barrier.h"
#include "owner.h"
#include "vigil.h"

#define STATE_ACTION 1u
#define STATE_BROKEN 2u
#define PHASE_SHIFT 2
#define PHASE_MASK UINT32_C(0x3fffffff)
#define HISTORY_SHIFT 32 /* 16 bits */
#define EPOCH_SHIFT 48   /* 16 bits */
#define HISTORY 16u      /* phases whose outcome is known for certain */

#define NOT_OVER 2    /* these are not statuses of any function in the header */
#define LOOK_AGAIN 3

static struct cmp_spin spin;

/* One wait of one thread for the end of one phase. */
struct party {
    struct cmp_barrier *barrier;
    uint32_t n_parties;
    uint32_t index; /* CMP_BARRIER_NONE: all places were taken */
    uint32_t phase;
    uint16_t epoch; /* when it arrived */
    uint64_t state; /* as last seen */
    struct cmp_vigil vigil;
};

size_t cmp_barrier_bytes(uint32_t n_parties)
{
    return offsetof(struct cmp_barrier, arrival) + n_parties * sizeof(cmp_word64);
}

void cmp_barrier_init(struct cmp_barrier *b, uint32_t index, uint32_t n_parties, bool has_action)
{
    store64_relaxed(&b->state, UINT64_C(1) << PHASE_SHIFT);
    store_relaxed(&b->park[0], 0);
    store_relaxed(&b->park[1], 0);
    b->n_parties = n_parties;
    b->not_n_parties = ~n_parties;
    b->has_action = has_action;
    b->node = index % CMP_HOLD_WORDS;
    for (uint32_t i = 0; i < n_parties; i++)
        store64_relaxed(&b->arrival[i], 0);
}

/* 0: damaged.  No damage shall have us run beyond the cell.  */
static uint32_t parties(const struct cmp_barrier *b)
{
    uint32_t n = b->n_parties;
    return n == ~b->not_n_parties && n <= CMP_BARRIER_PARTIES_MAX ? n : 0;
}

/* ---- the state word ---------------------------------------------------------------- */

static uint32_t phase_of(uint64_t state)
{
    return (uint32_t)state >> PHASE_SHIFT;
}

static uint64_t broken(uint64_t state)
{
    return (state | STATE_BROKEN) & ~(uint64_t)STATE_ACTION;
}

static uint16_t epoch_of(uint64_t state)
{
    return (uint16_t)(state >> EPOCH_SHIFT);
}

static uint16_t history_of(uint64_t state)
{
    return (uint16_t)(state >> HISTORY_SHIFT);
}

static uint64_t next_phase(uint64_t state, bool was_broken)
{
    uint16_t epoch = (uint16_t)(epoch_of(state) + was_broken);
    uint16_t history = (uint16_t)(history_of(state) << 1 | was_broken);
    return (uint64_t)epoch << EPOCH_SHIFT | (uint64_t)history << HISTORY_SHIFT |
           (uint32_t)((phase_of(state) + 1) << PHASE_SHIFT);
}

/* What a caller keeps between two calls: the phase, and as much of the epoch as there is
   room for.  */
static uint32_t token_of(const struct party *y)
{
    return (uint32_t)(y->epoch & 3) << 30 | y->phase;
}

/* The latest epoch that it can have meant. */
static void read_token(struct party *y, uint32_t token)
{
    uint16_t epoch = epoch_of(load64_seqcst(&y->barrier->state));
    y->phase = token & PHASE_MASK;
    y->epoch = (uint16_t)(epoch - ((epoch - (token >> 30)) & 3));
}

static bool later(uint32_t phase, uint32_t other)
{
    return (int32_t)((phase - other) << PHASE_SHIFT) > 0;
}

/* How that party's phase ended: 0 or -EPIPE; NOT_OVER.  */
static int outcome(uint64_t state, const struct party *y)
{
    uint32_t since = (phase_of(state) - y->phase) & PHASE_MASK;
    bool was_broken;
    if (since == 0)
        return state & STATE_BROKEN ? -EPIPE : NOT_OVER;
    if (since <= HISTORY)
        was_broken = history_of(state) >> (since - 1) & 1;
    else /* if no phase was broken since, that one was not either */
        was_broken = epoch_of(state) != y->epoch || history_of(state) != 0;
    return was_broken ? -EPIPE : 0;
}

static cmp_word *park_of(struct cmp_barrier *b, uint32_t phase)
{
    return &b->park[phase & 1];
}

/* The half of a 64-bit word that a nap can have as a guard. */
static cmp_word *half(cmp_word64 *word, bool high)
{
    cmp_word *halves = (cmp_word *)(void *)word;
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? halves + high : halves + !high;
}

/* Change the state and wake everybody in it.  False: it was no longer that.  Requires
   that park_of its phase is pending.  */
static bool move(struct cmp_barrier *b, uint64_t state, uint64_t to)
{
    cmp_word *park = park_of(b, phase_of(state));
    /* SYNC seq_cst: reads the arrivals and is read by all who arrived; before the look
       at park, which they arm before they look at the state. */
    if (!cas64_strong(&b->state, &state, to))
        return false;
    CMP_HOOK("barrier.move.changed");
    if (load_seqcst(park) != 0) {
        xchg_seqcst(park, 0);
        CMP_HOOK("barrier.move.disarmed");
        cmp_unpark(park, CMP_UNPARK_ALL);
        CMP_HOOK("barrier.move.woke");
    }
    return true;
}

/* ---- arrive ---------------------------------------------------------------------------- */

/* Whether a place of that phase is taken.  One of a later phase says that the phase is
   over, or, if it is not, that it has been left alone for half the numbers there are.  */
static bool is_taken(struct party *y, uint64_t arrival, bool *over)
{
    uint32_t phase = (uint32_t)(arrival >> 32);
    if (phase == y->phase)
        return true;
    *over = later(phase, y->phase) && phase_of(load64_seqcst(&y->barrier->state)) != y->phase;
    return *over;
}

/* Take a place that is free.  0, -EAGAIN: none is; LOOK_AGAIN: the phase is over.  With
   mine, only one that this process had before: then the other places tell of others.  */
static int take_place(struct party *y, bool mine)
{
    uint64_t word = (uint64_t)y->phase << 32 | y->vigil.me;
    bool over = false;

    for (uint32_t i = 0; i < y->n_parties; i++) {
        uint64_t seen = load64_seqcst(&y->barrier->arrival[i]);
        while ((!mine || (uint32_t)seen == y->vigil.me) && !is_taken(y, seen, &over)) {
            /* SYNC seq_cst: before the look at the state, and at the other arrivals. */
            if (!cas64_strong(&y->barrier->arrival[i], &seen, word))
                continue;
            y->index = i;
            CMP_HOOK("barrier.wait.arrived");
            return 0;
        }
        if (over)
            return LOOK_AGAIN;
    }
    return -EAGAIN;
}

/* 0: arrived, or y->index is CMP_BARRIER_NONE.  -EPIPE: it is broken.  Park is pending
   from before the arrival on: if this party dies, another one wakes and looks.  */
static int arrive(struct party *y)
{
    int rc;
    do {
        uint64_t state = load64_seqcst(&y->barrier->state);
        y->phase = phase_of(state);
        y->epoch = epoch_of(state);
        y->index = CMP_BARRIER_NONE;
        if (state & STATE_BROKEN)
            return -EPIPE;
        cmp_pending(park_of(y->barrier, y->phase));
        CMP_HOOK("barrier.wait.pending");
        rc = take_place(y, true);
        if (rc == -EAGAIN)
            rc = take_place(y, false);
    } while (rc == LOOK_AGAIN);
    return 0;
}

/* ---- wait for the end of a phase ------------------------------------------------------- */

/* Somebody who had arrived is dead: nobody need wait any more.  */
static int break_for(struct party *y, uint32_t code)
{
    struct cmp_barrier *b = y->barrier;
    CMP_HOOK("barrier.break.dead");
    cmp_owner_relay(code, y->vigil.node); /* the kernel has woken one, of any primitive */
    CMP_HOOK("barrier.break.relayed");
    move(b, y->state, broken(y->state));
    return LOOK_AGAIN;
}

/* Whether this is a party: the child of one that forked is not.  */
static bool has_place(const struct party *y)
{
    uint64_t word = (uint64_t)y->phase << 32 | y->vigil.me;
    return y->index < y->n_parties &&
           load64_relaxed(&y->barrier->arrival[y->index]) == word;
}

/* A party leaves its wait, and its phase is not over: one of the sleepers looks again,
   and from then on watches it.  Before, nobody needed to: park was pending.  */
static void pull(struct party *y)
{
    cmp_word *park = park_of(y->barrier, y->phase);
    if (load_seqcst(park) != 0)
        cmp_unpark(park, 1);
}

static int all_have_come(struct party *y)
{
    struct cmp_barrier *b = y->barrier;
    uint64_t state = y->state;

    if (state & STATE_ACTION)
        return NOT_OVER;
    if (!b->has_action) {
        move(b, state, next_phase(state, false));
        return LOOK_AGAIN;
    }
    if (!has_place(y))
        return NOT_OVER;
    if (!cas64_strong(&b->state, &state, state | STATE_ACTION))
        return LOOK_AGAIN;
    CMP_HOOK("barrier.act.taken");
    pull(y);
    CMP_HOOK("barrier.act.pulled");
    return CMP_BARRIER_ACT;
}

/* Look at everything, and collect the words to sleep on: those who have arrived are
   watched, and the arrival of the others must not go unseen before the sleep.
   0, -EPIPE, CMP_BARRIER_ACT, -EUCLEAN; LOOK_AGAIN; NOT_OVER: sleep.  */
static int look(struct party *y)
{
    struct cmp_barrier *b = y->barrier;
    bool all = true;
    /* SYNC acquire (seq_cst): pairs with move. */
    y->state = load64_seqcst(&b->state);
    int rc = outcome(y->state, y);
    if (rc != NOT_OVER)
        return rc;
    cmp_vigil_begin(&y->vigil);
    cmp_vigil_guard(&y->vigil, park_of(b, y->phase), PARK_ARMED);
    cmp_vigil_guard(&y->vigil, half(&b->state, false), (uint32_t)y->state);
    for (uint32_t i = 0; i < y->n_parties; i++) {
        uint64_t seen = load64_seqcst(&b->arrival[i]);
        if (seen >> 32 != y->phase) {
            all = false;
            cmp_vigil_guard(&y->vigil, half(&b->arrival[i], true), (uint32_t)(seen >> 32));
        } else if (cmp_vigil_ended(&y->vigil, (uint32_t)seen))
            return break_for(y, (uint32_t)seen);
    }
    if (all)
        return all_have_come(y);
    if ((y->state & STATE_ACTION) == 0)
        return NOT_OVER;
    return load64_seqcst(&b->state) == y->state ? -EUCLEAN : LOOK_AGAIN;
}

/* Give up: a party breaks it.  -ETIMEDOUT, LOOK_AGAIN.  */
static int give_up(struct party *y)
{
    if (has_place(y) && !move(y->barrier, y->state, broken(y->state)))
        return LOOK_AGAIN;
    return -ETIMEDOUT;
}

static int nap(struct party *y, int64_t deadline_ns)
{
    CMP_HOOK("barrier.wait.looked");
    /* SYNC seq_cst: armed before the last look at the state, by the kernel; see move.  */
    xchg_seqcst(park_of(y->barrier, y->phase), PARK_ARMED);
    CMP_HOOK("barrier.wait.armed");
    int rc = cmp_vigil_nap(&y->vigil, deadline_ns);
    CMP_HOOK("barrier.wait.woken");
    return rc == 0 ? LOOK_AGAIN : rc;
}

static int sleep_through(struct party *y, int64_t deadline_ns)
{
    bool too_late = false;
    int rc;
    do {
        rc = look(y);
        if (rc != NOT_OVER)
            continue;
        if ((y->state & STATE_ACTION) && has_place(y))
            deadline_ns = CMP_FOREVER; /* all have come; as in threading */
        else if (too_late) { /* and the last look did not help */
            rc = give_up(y);
            continue;
        }
        rc = nap(y, deadline_ns);
        too_late = rc == -ETIMEDOUT;
        if (too_late)
            rc = LOOK_AGAIN;
    } while (rc == LOOK_AGAIN);
    return rc;
}

static bool moved(const void *arg)
{
    const struct party *y = arg;
    return load64_seqcst(&y->barrier->state) != y->state;
}

/* The processor of somebody who is missing, -1 if unknown.  */
static int missing_cpu(struct party *y)
{
    for (uint32_t i = 0; i < y->n_parties; i++) {
        uint64_t seen = load64_relaxed(&y->barrier->arrival[i]);
        uint32_t code = (uint32_t)seen;
        if (seen >> 32 != y->phase && code != 0 && code != y->vigil.me)
            return cmp_owner_cpu(code);
    }
    return -1;
}

static void spin_first(struct party *y, int64_t deadline_ns)
{
    if (deadline_ns != CMP_FOREVER && cmp_now_ns() >= deadline_ns)
        return;
    cmp_owner_seen_here();
    cmp_spin(&spin, missing_cpu(y), moved, y);
}

/* Park is pending on entry, and no longer on return.  */
static int stay(struct party *y, int64_t deadline_ns)
{
    int rc = look(y);
    if (rc == NOT_OVER)
        spin_first(y, deadline_ns);
    if (rc == NOT_OVER || rc == LOOK_AGAIN)
        rc = sleep_through(y, deadline_ns);
    if ((rc == 0 || rc == -EPIPE) && y->vigil.nap.slept) {
        /* The wake may have been the kernel's, for this thread alone.  */
        CMP_HOOK("barrier.wait.relay");
        cmp_unpark(park_of(y->barrier, y->phase), CMP_UNPARK_ALL);
        CMP_HOOK("barrier.wait.relayed");
    }
    if (rc == -EINTR && has_place(y))
        pull(y);
    cmp_pending(NULL);
    if (rc == -EINTR)
        CMP_HOOK("barrier.wait.interrupted");
    return rc;
}

static int party_init(struct party *y, struct cmp_barrier *b)
{
    uint32_t me = cmp_me();
    y->barrier = b;
    y->n_parties = parties(b);
    if (me == 0)
        return -EUSERS;
    if (y->n_parties == 0)
        return -EUCLEAN;
    cmp_vigil_init(&y->vigil, me, b->node);
    return 0;
}

int cmp_barrier_wait(struct cmp_barrier *b, int64_t deadline_ns, uint32_t *index,
                     uint32_t *phase)
{
    struct party y;
    int rc = party_init(&y, b);

    *index = CMP_BARRIER_NONE;
    *phase = 0;
    while (rc == 0) {
        rc = arrive(&y);
        if (rc == 0)
            rc = stay(&y, deadline_ns);
        *index = y.index;
        *phase = token_of(&y);
        if (y.index != CMP_BARRIER_NONE)
            break;
        if (rc == -EPIPE && !cmp_barrier_broken(b))
            rc = 0; /* that was for the others: it was reset */
    }
    cmp_pending(NULL);
    return rc;
}

int cmp_barrier_resume(struct cmp_barrier *b, int64_t deadline_ns, uint32_t index, uint32_t phase)
{
    struct party y;
    int rc = party_init(&y, b);
    if (rc < 0)
        return rc;
    y.index = index;
    read_token(&y, phase);
    cmp_pending(park_of(b, y.phase));
    CMP_HOOK("barrier.wait.resumed");
    rc = stay(&y, deadline_ns);
    return index == CMP_BARRIER_NONE && (rc == 0 || rc == -EPIPE) ? -EAGAIN : rc;
}

/* ---- quit, act, abort, reset -------------------------------------------------------------- */

void cmp_barrier_quit(struct cmp_barrier *b, uint32_t index, uint32_t phase)
{
    struct party y;
    if (party_init(&y, b) < 0)
        return;
    y.index = index;
    read_token(&y, phase);
    cmp_pending(park_of(b, y.phase));
    do
        y.state = load64_seqcst(&b->state);
    while (outcome(y.state, &y) == NOT_OVER && give_up(&y) == LOOK_AGAIN);
    cmp_pending(NULL);
}

int cmp_barrier_acted(struct cmp_barrier *b, uint32_t phase)
{
    struct party y = {.barrier = b};
    read_token(&y, phase);
    cmp_pending(park_of(b, y.phase));
    CMP_HOOK("barrier.act.done");
    uint64_t state = load64_seqcst(&b->state);
    int rc = outcome(state, &y);
    /* Nobody but the actor ends a phase in ACTION, unless by breaking it.  */
    if (rc == NOT_OVER)
        rc = (state & STATE_ACTION) && move(b, state, next_phase(state, false)) ? 0 : -EPIPE;
    cmp_pending(NULL);
    return rc;
}

static void end_phase(struct cmp_barrier *b, bool by_reset)
{
    uint64_t state, to;
    do {
        state = load64_seqcst(&b->state);
        if (!by_reset && (state & STATE_BROKEN))
            break;
        to = by_reset ? next_phase(state, true) : broken(state);
        cmp_pending(park_of(b, phase_of(state)));
    } while (!move(b, state, to));
    cmp_pending(NULL);
}

void cmp_barrier_abort(struct cmp_barrier *b)
{
    end_phase(b, false);
}

void cmp_barrier_reset(struct cmp_barrier *b)
{
    end_phase(b, true);
}

/* ---- looks ------------------------------------------------------------------------ */

bool cmp_barrier_broken(struct cmp_barrier *b)
{
    return (load64_seqcst(&b->state) & STATE_BROKEN) != 0;
}

uint32_t cmp_barrier_n_waiting(struct cmp_barrier *b)
{
    uint64_t state = load64_seqcst(&b->state);
    uint32_t n = 0, n_parties = parties(b);
    if (state & STATE_BROKEN)
        return 0;
    for (uint32_t i = 0; i < n_parties; i++)
        n += load64_relaxed(&b->arrival[i]) >> 32 == phase_of(state);
    return n;
}

const char *cmp_barrier_check(struct cmp_barrier *b)
{
    uint32_t n_parties = parties(b);
    uint64_t state = load64_seqcst(&b->state);

    if (n_parties == 0)
        return "the barrier's number of parties is damaged";
    if ((state & STATE_ACTION) && (state & STATE_BROKEN))
        return "the barrier is broken and in its action";
    for (int i = 0; i < 2; i++) {
        uint32_t park = load_relaxed(&b->park[i]);
        if (park != 0 && park != PARK_ARMED)
            return "a park word of the barrier is neither 0 nor armed";
    }
    if (b->node >= CMP_HOLD_WORDS || b->has_action > 1)
        return "the barrier watches a hold word that is none, or has half an action";
    for (uint32_t i = 0; i < n_parties; i++) {
        uint64_t seen = load64_relaxed(&b->arrival[i]);
        if (seen != 0 && ((seen >> 32) > PHASE_MASK || cmp_owner_hold((uint32_t)seen, 0) == NULL))
            return "a party of the barrier has no process slot";
    }
    return NULL;
}
