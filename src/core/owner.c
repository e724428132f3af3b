/* owner.c -- slots: registration, thread exit, questions about an owner code.  The
   stores of the first two and the loads of the third are one protocol, hence one file.

   How slots are claimed and reaped is in slot.c, what a fork does in fork.c.  */
#include "owner.h"
#include <pthread.h>
#include <stdlib.h>
#include "arena.h"
#include "held.h"

#define LEFT (UINT64_C(1) << 33)
#define HAS_STATUS (UINT64_C(1) << 32)
#define STATUS_MASK UINT64_C(0xffffffff)
#define ENDING_GEN(gen) ((uint64_t)((gen) & 0xffff) << 48)

cmp_word cmp_me_code;

static pthread_mutex_t process_mutex = PTHREAD_MUTEX_INITIALIZER;

/* This process, under process_mutex. */
static struct {
    struct cmp_slot *slot; /* NULL: it has none */
    uint32_t number;
    uint32_t gen;
    int error;     /* why it has none; positive */
    bool known;    /* its identity is complete */
    bool wordless; /* it goes without robust words */
} me;

/* Its code also while cmp_me_code is 0 because there is something to be done first;
   for those who must not wait for the mutex.  */
static cmp_word place_code;

static _Thread_local bool registered_here; /* this thread's list has the words */

void cmp_process_lock(void)
{
    pthread_mutex_lock(&process_mutex);
}

void cmp_process_unlock(void)
{
    pthread_mutex_unlock(&process_mutex);
}

struct cmp_slot *cmp_me_slot(void)
{
    return me.slot;
}

uint32_t cmp_me_number(void)
{
    return me.number;
}

int cmp_me_errno(void)
{
    return me.slot != NULL ? 0 : me.error != 0 ? me.error : ENOTCONN;
}

/* ---- this process ---------------------------------------------------------------- */

static uint64_t with_phase(uint64_t state, enum cmp_phase phase)
{
    return (state & ~(UINT64_C(7) << 29)) | (uint64_t)phase << 29;
}

/* The same generation, LIVE or ORPHANED, linked once more. */
static uint64_t next_life(uint64_t state, enum cmp_phase phase)
{
    return (uint64_t)cmp_state_gen(state) << 32 | (uint64_t)phase << 29 |
           ((state + 1) & CMP_STATE_LOW);
}

static void store_identity(const struct cmp_identity *id)
{
    struct cmp_slot *s = me.slot;
    store_relaxed(&s->pid, id->pid);
    store_relaxed(&s->tid, id->tid);
    store64_relaxed(&s->pidns_ino, id->pidns_ino);
    store64_relaxed(&s->start_time, id->start_time);
    store64_relaxed(&s->pidfs_ino, id->pidfs_ino);
}

/* The kernel compares TIDs as they are in the dying thread's own namespace: words
   of one family are all of one namespace, the one in which the arena was made.  */
static bool in_foreign_namespace(uint64_t pidns_ino)
{
    uint64_t home = 0;
    if (pidns_ino == 0)
        return false;
    cas64_strong(&cmp_arena()->owner_words[CMP_ARENA_PIDNS], &home, pidns_ino);
    return home != 0 && home != pidns_ino;
}

/* The words first, then LIVE: whoever finds LIVE finds the words. */
static void link_words(void)
{
    struct cmp_slot *s = me.slot;
    uint32_t tid = cmp_tid();
    for (unsigned int i = 0; i < CMP_HOLD_WORDS; i++) {
        cmp_robust_link(&s->hold[i]);
        CMP_HOOK("owner.link.linked");
        /* SYNC seq_cst: before the store of LIVE; pairs with cmp_owner_hint. */
        store_seqcst(&s->hold[i].word, tid | CMP_WAITERS);
    }
    registered_here = true;
}

static void unlink_words(void)
{
    for (unsigned int i = 0; i < CMP_HOLD_WORDS; i++) {
        cmp_word *word = &me.slot->hold[i].word;
        cmp_pending(word); /* killed from here on: one sleeper is woken */
        cmp_robust_unlink(&me.slot->hold[i]);
        CMP_HOOK("owner.orphan.unlinked");
        store_seqcst(word, 0);
        CMP_HOOK("owner.orphan.zeroed");
        cmp_unpark(word, CMP_UNPARK_ALL);
    }
    cmp_pending(NULL);
    registered_here = false;
}

/* ORPHANED first, then the words: whoever finds a word without TID and then still
   LIVE knows that the kernel wrote it.  */
static void orphan(void)
{
    uint64_t state = load64_relaxed(&me.slot->state);
    store_relaxed(&cmp_me_code, 0);
    /* SYNC seq_cst: before the words; pairs with cmp_owner_hint. */
    store64_seqcst(&me.slot->state, with_phase(state, CMP_SLOT_ORPHANED));
    CMP_HOOK("owner.orphan.marked");
    unlink_words();
}

/* The thread whose list holds the words ends before the process. */
static void thread_ends(void)
{
    if (!registered_here)
        return;
    cmp_process_lock();
    if (me.slot != NULL && !me.wordless && load_relaxed(&me.slot->tid) == cmp_tid())
        orphan();
    cmp_process_unlock();
}

/* Link the words into this thread's list and go LIVE from whatever phase it is.
   Returns false, and changes nothing, if the slot is not ours any more. */
static bool enlist(uint64_t state)
{
    struct cmp_slot *s = me.slot;
    uint32_t tid = cmp_tid();
    store_relaxed(&s->tid, tid);
    store64_relaxed(&s->exec_mark, tid == load_relaxed(&s->pid) ? 0 : cmp_exec_mark());
    link_words();
    CMP_HOOK("owner.link.words");
    if (cas64_strong(&s->state, &state, next_life(state, CMP_SLOT_LIVE)))
        return true;
    unlink_words();
    return false;
}

static bool become_live(uint64_t state)
{
    if (me.wordless) {
        for (unsigned int i = 0; i < CMP_HOLD_WORDS; i++)
            store_seqcst(&me.slot->hold[i].word, 0);
        return cas64_strong(&me.slot->state, &state, next_life(state, CMP_SLOT_ORPHANED));
    }
    if (cmp_at_thread_exit(thread_ends) < 0)
        return false;
    return enlist(state);
}

static void take_place(const struct cmp_embryo *place)
{
    me.slot = cmp_slot_at(place->slot);
    me.number = place->slot;
    me.gen = place->gen;
    me.known = false;
    me.wordless = !cmp_robust_works();
    store_relaxed(&place_code, cmp_code_of(me.number, me.gen));
}

static void lose_place(int error)
{
    store_relaxed(&cmp_me_code, 0);
    store_relaxed(&place_code, 0);
    me.slot = NULL;
    me.error = error;
    registered_here = false;
}

/* The dearest parts of the identity are found out when they first matter: from
   the first owner code that this process hands out.  Until then its pid alone
   tells of its death, or the words do.  */
static void complete_identity(void)
{
    struct cmp_identity id;
    cmp_identity_self(&id);
    id.tid = load_relaxed(&me.slot->tid); /* of the words, not of this thread */
    store_identity(&id);
    me.known = true;
}

static uint32_t me_locked(void)
{
    if (me.slot == NULL)
        return 0;
    if (!me.known)
        complete_identity();
    uint64_t state = load64_relaxed(&me.slot->state);
    if (!me.wordless && cmp_state_phase(state) == CMP_SLOT_ORPHANED && !become_live(state))
        return 0;
    uint32_t code = cmp_code_of(me.number, me.gen);
    store_relaxed(&cmp_me_code, code);
    return code;
}

uint32_t cmp_me_slow(void)
{
    cmp_process_lock();
    uint32_t code = me_locked();
    cmp_process_unlock();
    return code;
}

static void leave_at_exit(void)
{
    cmp_owner_leave();
}

static int register_locked(void)
{
    struct cmp_embryo place;
    struct cmp_identity id;
    static bool exit_known;

    if (me.slot != NULL)
        return 0;
    if (!exit_known && atexit(leave_at_exit) != 0)
        return -ENOMEM;
    exit_known = true;
    int rc = cmp_slot_claim(&place);
    if (rc < 0) {
        lose_place(-rc);
        return rc;
    }
    take_place(&place);
    cmp_held_clear(me.slot);
    cmp_identity_self(&id);
    store_identity(&id);
    me.known = true;
    me.wordless = me.wordless || in_foreign_namespace(id.pidns_ino);
    CMP_HOOK("owner.register.claimed");
    if (!become_live(load64_relaxed(&me.slot->state))) {
        lose_place(ENOMEM);
        rc = -ENOMEM;
    } else
        me_locked();
    cmp_slot_birth_over(&place);
    return rc;
}

int cmp_owner_register(void)
{
    cmp_process_lock();
    int rc = register_locked();
    cmp_process_unlock();
    return rc;
}

void cmp_owner_born(const struct cmp_embryo *embryo, int error)
{
    uint64_t pidns = me.slot == NULL ? 0 : load64_relaxed(&me.slot->pidns_ino);

    lose_place(error);
    if (embryo == NULL)
        return;
    take_place(embryo);
    /* The one thread of a forked child is its first. */
    struct cmp_identity id = {.pid = cmp_tid(), .tid = cmp_tid(), .pidns_ino = pidns};
    store_identity(&id);
    if (me.wordless || !cmp_same_pids_as_parent())
        complete_identity(); /* no words will tell of its death, or of none here */
    me.wordless = me.wordless || in_foreign_namespace(load64_relaxed(&me.slot->pidns_ino));
    CMP_HOOK("owner.born.identity");
    if (!become_live(load64_relaxed(&me.slot->state)))
        lose_place(ENOMEM);
}

/* ---- questions about a code ------------------------------------------------------ */

static uint16_t code_gen(uint32_t code)
{
    return (uint16_t)(code >> CMP_SLOT_BITS);
}

static struct cmp_slot *slot_of(uint32_t code)
{
    if ((code & ~CMP_CODE_MASK) != 0 || (code & CMP_CODE_TAG) == 0)
        return NULL;
    return cmp_slot_at(code & (CMP_SLOTS - 1));
}

/* Whether that state is of the process of that code, which was LIVE before anybody
   saw the code.  */
static bool is_of(uint64_t state, uint32_t code)
{
    enum cmp_phase phase = cmp_state_phase(state);
    return (uint16_t)cmp_state_gen(state) == code_gen(code) &&
           (phase == CMP_SLOT_LIVE || phase == CMP_SLOT_ORPHANED);
}

cmp_word *cmp_owner_hold(uint32_t code, unsigned int node)
{
    struct cmp_slot *s = slot_of(code);
    return s == NULL ? NULL : &s->hold[node % CMP_HOLD_WORDS].word;
}

enum cmp_hint cmp_owner_hint(uint32_t code, unsigned int node, uint32_t *word)
{
    struct cmp_slot *s = slot_of(code);
    *word = 0;
    if (s == NULL)
        return CMP_HINT_GONE;
    uint64_t before = load64_seqcst(&s->state), state;
    for (;; before = state) {
        /* SYNC seq_cst: the word before the state: a reaper changes the state
           before the next process stores its words, a thread that ends stores
           ORPHANED before it zeroes them.  The state on both sides, since it may
           have been ORPHANED and LIVE again in between.  */
        *word = load_seqcst(&s->hold[node % CMP_HOLD_WORDS].word);
        state = load64_seqcst(&s->state);
        if (!is_of(state, code))
            return CMP_HINT_GONE;
        if (cmp_state_phase(state) == CMP_SLOT_ORPHANED)
            return CMP_HINT_ORPHANED;
        if ((*word & CMP_TID_MASK) != 0)
            return CMP_HINT_ALIVE;
        if (state == before)
            return CMP_HINT_DEAD;
    }
}

void cmp_owner_relay(uint32_t code, unsigned int node)
{
    cmp_word *word = cmp_owner_hold(code, node);
    if (word != NULL)
        cmp_unpark(word, CMP_UNPARK_ALL);
}

enum cmp_end cmp_owner_confirm(struct cmp_look *look, uint32_t code, bool *known,
                               int64_t deadline_ns)
{
    struct cmp_slot *s = slot_of(code);
    enum cmp_end end = CMP_END_ENDED;
    uint64_t state = s == NULL ? 0 : load64_seqcst(&s->state);

    *known = s != NULL && is_of(state, code);
    if (*known)
        end = cmp_slot_confirm(look, s, state, deadline_ns);
    if (*known && !is_of(load64_seqcst(&s->state), code))
        *known = false;
    if (*known)
        return end;
    cmp_look_close(look);
    return CMP_END_ENDED; /* reaped: a sweep confirmed it */
}

bool cmp_owner_has_ended(uint32_t code)
{
    struct cmp_look look = CMP_LOOK_INIT;
    bool known;
    enum cmp_end end = cmp_owner_confirm(&look, code, &known, 0);
    cmp_look_close(&look);
    return end != CMP_END_NOT_YET;
}

bool cmp_owner_left_in_order(uint32_t code)
{
    struct cmp_slot *s = slot_of(code);
    if (s == NULL)
        return true;
    uint64_t ending = load64_seqcst(&s->ending);
    /* SYNC seq_cst: the state after it; pairs with the claimer, who comes after
       the reaper's change of the state.  */
    if (!is_of(load64_seqcst(&s->state), code))
        return true;
    return (ending & LEFT) != 0 && ending >> 48 == code_gen(code);
}

static bool tells_of(uint64_t state, uint32_t code);

/* Set and clear bits of a slot's ending, which starts anew with each gen.  Once a status
   is noted, no other one: a later process may have had the same pid. */
static void note_ending(struct cmp_slot *s, uint32_t code, uint64_t clear, uint64_t set)
{
    uint64_t seen = load64_seqcst(&s->ending), want;
    uint32_t gen = code_gen(code);
    do {
        if (!tells_of(load64_seqcst(&s->state), code) ||
            (seen >> 48 == gen && (seen & HAS_STATUS) != 0))
            return;
        want = seen >> 48 == gen ? seen : ENDING_GEN(gen);
        want = (want & ~clear) | set;
    } while (!cas64_strong(&s->ending, &seen, want));
}

/* Of this process, in whatever state it is, without waiting for anybody: exit
   handlers and signal handlers come here.  */
static void note_own_ending(uint64_t clear, uint64_t set)
{
    uint32_t code = load_relaxed(&place_code);
    struct cmp_slot *s = slot_of(code);
    if (s != NULL)
        note_ending(s, code, clear, set);
}

void cmp_owner_leave(void)
{
    note_own_ending(0, LEFT);
}

void cmp_owner_stay(void)
{
    note_own_ending(LEFT, 0);
}

/* Whether a slot still has the story of that code: it is still that process's, or
   was reaped and not claimed again.  */
static bool tells_of(uint64_t state, uint32_t code)
{
    return is_of(state, code) || (cmp_state_phase(state) == CMP_SLOT_FREE &&
                                  (uint16_t)(cmp_state_gen(state) - 1) == code_gen(code));
}

void cmp_owner_story(uint32_t code, struct cmp_story *story)
{
    struct cmp_slot *s = slot_of(code);
    *story = (struct cmp_story){0};
    if (s == NULL)
        return;
    uint32_t pid = load_relaxed(&s->pid);
    uint64_t ending = load64_seqcst(&s->ending);
    if (!tells_of(load64_seqcst(&s->state), code))
        return;
    story->pid = (int)pid;
    if (ending >> 48 == code_gen(code) && (ending & HAS_STATUS) != 0) {
        story->has_status = true;
        story->status = (int)(int32_t)(uint32_t)(ending & STATUS_MASK);
    }
}

int cmp_owner_pid(uint32_t code)
{
    struct cmp_story story;
    cmp_owner_story(code, &story);
    return story.pid;
}

/* The generation whose process had that slot, if it is over; else -1. */
static int64_t ended_gen(struct cmp_slot *s)
{
    struct cmp_look look = CMP_LOOK_INIT;
    uint64_t state = load64_seqcst(&s->state);
    enum cmp_end end = CMP_END_NOT_YET;

    switch (cmp_state_phase(state)) {
    case CMP_SLOT_FREE:
        return (int64_t)(uint32_t)(cmp_state_gen(state) - 1);
    case CMP_SLOT_LIVE:
    case CMP_SLOT_ORPHANED:
        end = cmp_slot_confirm(&look, s, state, 0);
        cmp_look_close(&look);
        break;
    default:
        break;
    }
    return end == CMP_END_NOT_YET ? -1 : (int64_t)cmp_state_gen(state);
}

void cmp_owner_ended(int pid, int status)
{
    uint32_t n = cmp_slot_count();
    for (uint32_t i = 0; i < n; i++) {
        struct cmp_slot *s = cmp_slot_at(i);
        if (s == NULL || load_relaxed(&s->pid) != (uint32_t)pid)
            continue;
        int64_t gen = ended_gen(s); /* a later process may have the pid already */
        if (gen >= 0)
            note_ending(s, cmp_code_of(i, (uint32_t)gen), STATUS_MASK,
                        HAS_STATUS | (uint32_t)status);
    }
}

int cmp_owner_cpu(uint32_t code)
{
    struct cmp_slot *s = slot_of(code);
    return s == NULL ? -1 : (int)(load_relaxed(&s->cpu) & 0xffff) - 1;
}

void cmp_owner_seen_here(void)
{
    struct cmp_slot *s = slot_of(load_relaxed(&place_code));
    if (s != NULL)
        store_relaxed(&s->cpu, (uint32_t)cmp_cpu() + 1);
}
