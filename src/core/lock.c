#include "lock.h"
#include "owner.h"
#include "wait.h"

#define LOCK_GATE (UINT32_C(1) << 31)
#define LOCK_DIED (UINT32_C(1) << 30)
#define LOCK_FLAGS (LOCK_GATE | LOCK_DIED)

#define LOOK_AGAIN 1 /* not a status of any function in the header */

static struct cmp_spin spin;

void cmp_lock_init(struct cmp_lock *l, uint32_t index, bool recursive)
{
    /* A sweep may be looking at the word, of the lock that the cell was before. */
    store_relaxed(&l->word, 0);
    store_relaxed(&l->park, 0);
    store_relaxed(&l->dead, 0);
    store64_relaxed(&l->holder, 0);
    l->node = index % CMP_HOLD_WORDS;
    l->depth = 0;
    l->recursive = recursive;
}

static uint32_t owner_of(uint32_t word)
{
    return word & CMP_CODE_MASK;
}

/* ---- a slow acquire: looks at the word, naps, looks again ------------------------ */

struct attempt {
    struct cmp_lock *lock;
    uint32_t me;
    uint32_t *dead;
    bool block;           /* may sleep; ends with the deadline */
    bool spun;
    int64_t deadline_ns;
    struct cmp_nap nap;
    struct cmp_look look; /* at the process of `suspect` */
    uint32_t suspect;
    uint32_t relayed;     /* owner code whose hold word this attempt has relayed */
};

/* What one look has seen of a held lock. */
struct sight {
    uint32_t word;
    cmp_word *hold;      /* NULL: no word tells of the owner's death, or none matters */
    uint32_t hold_value;
    int64_t limit_ns;    /* of the next nap */
};

/* The whole of an uncontended acquire.  *seen: the word, if it was not free.  */
static bool take_free(struct cmp_lock *l, uint32_t me, uint32_t *seen)
{
    *seen = load_relaxed(&l->word);
    while (owner_of(*seen) == 0)
        /* SYNC acquire (seq_cst): pairs with the CAS of free_word. */
        if (cas_strong(&l->word, seen, *seen | me))
            return true;
    return false;
}

static int take_over(struct attempt *a, uint32_t seen)
{
    struct cmp_lock *l = a->lock;
    uint32_t owner = owner_of(seen);

    /* SYNC acquire (seq_cst): the owner's end was confirmed by the kernel, so what it
       stored is visible.  The CAS fails if another waiter was faster. */
    if (!cas_strong(&l->word, &seen, a->me | LOCK_DIED | (seen & LOCK_GATE)))
        return LOOK_AGAIN;
    CMP_HOOK("lock.takeover.taken");
    store_relaxed(&l->dead, owner);
    *a->dead = owner;
    return -EOWNERDEAD;
}

/* Whether the owner has certainly ended; waits for that until then at most. */
static enum cmp_end confirm(struct attempt *a, uint32_t owner, int64_t until_ns)
{
    bool known;
    if (a->suspect != owner)
        cmp_look_close(&a->look);
    a->suspect = owner;
    CMP_HOOK("lock.takeover.confirming");
    return cmp_owner_confirm(&a->look, owner, &known, until_ns);
}

/* The owner has ended: 0 if that does not open its gate.  */
static int inherit(struct attempt *a, struct sight *s, enum cmp_end end)
{
    CMP_HOOK("lock.takeover.confirmed");
    if ((s->word & LOCK_GATE) &&
        (end == CMP_END_EXECED || cmp_owner_left_in_order(owner_of(s->word)))) {
        s->hold = NULL;
        return 0;
    }
    return take_over(a, s->word);
}

/* Nothing, or nothing more, says that the owner is dead: make sure.  0: it lives.  */
static int look_behind(struct attempt *a, struct sight *s)
{
    enum cmp_end end = confirm(a, owner_of(s->word), 0);
    return end == CMP_END_NOT_YET ? 0 : inherit(a, s, end);
}

/* The owner's hold word says that it is dead.  Everybody who watches that word must
   know, for the kernel has woken only one of them; then each confirms for itself,
   this thread with its pending word set: if it dies, the kernel wakes the next.  */
static int look_at_dying(struct attempt *a, struct sight *s)
{
    uint32_t owner = owner_of(s->word);

    if (a->relayed != owner) {
        CMP_HOOK("lock.takeover.seen");
        cmp_owner_relay(owner, a->lock->node);
        a->relayed = owner;
        CMP_HOOK("lock.takeover.relayed");
    }
    int64_t until_ns = a->block ? cmp_now_ns() + CMP_CONFIRM_NS : 0;
    if (until_ns > a->deadline_ns)
        until_ns = a->deadline_ns;
    enum cmp_end end = confirm(a, owner, until_ns);
    if (end != CMP_END_NOT_YET)
        return inherit(a, s, end);
    if (!a->block)
        return -EAGAIN;
    if (cmp_now_ns() >= until_ns)
        return until_ns == a->deadline_ns ? -ETIMEDOUT : LOOK_AGAIN;
    s->hold = NULL; /* a signal, or damage, ended it early: sleep, since that tells */
    s->limit_ns = CMP_CONFIRM_NS;
    return 0;
}

/* 0: the owner lives, or its gate stays closed; what to sleep on is in *s.  */
static int look_at_owner(struct attempt *a, struct sight *s)
{
    uint32_t owner = owner_of(s->word), node = a->lock->node;

    s->hold = node < CMP_HOLD_WORDS ? cmp_owner_hold(owner, node) : NULL;
    if (s->hold == NULL)
        return -EUCLEAN;
    enum cmp_hint hint = cmp_owner_hint(owner, node, &s->hold_value);
    if (owner == a->me)
        return 0; /* this process, which lives, whatever its words say */
    switch (hint) {
    case CMP_HINT_ALIVE:
        return a->nap.slice_over ? look_behind(a, s) : 0;
    case CMP_HINT_ORPHANED:
        s->hold = NULL;
        s->limit_ns = CMP_ORPHAN_NS;
        return look_behind(a, s);
    case CMP_HINT_DEAD:
    case CMP_HINT_GONE:
        break;
    }
    return look_at_dying(a, s);
}

static bool looks_free(const void *arg)
{
    struct cmp_lock *l = (struct cmp_lock *)(uintptr_t)arg;
    return owner_of(load_relaxed(&l->word)) == 0;
}

static bool spin_once(struct attempt *a, uint32_t owner)
{
    if (a->spun)
        return false;
    a->spun = true;
    cmp_owner_seen_here();
    int cpu = owner == a->me ? -1 : cmp_owner_cpu(owner);
    return cmp_spin(&spin, cpu, looks_free, a->lock);
}

static int nap(struct attempt *a, const struct sight *s)
{
    struct cmp_lock *l = a->lock;
    struct cmp_watch words[] = {
        {&l->park, PARK_ARMED}, {&l->word, s->word}, {s->hold, s->hold_value},
    };

    /* SYNC seq_cst: armed before the last look at the word, here and by the kernel;
       cmp_lock_release frees the word before it looks at park. */
    xchg_seqcst(&l->park, PARK_ARMED);
    CMP_HOOK("lock.acquire.armed");
    if (load_seqcst(&l->word) != s->word)
        return LOOK_AGAIN;
    CMP_HOOK("lock.acquire.looked");
    int rc = cmp_nap_at_most(&a->nap, words, s->hold != NULL ? 3 : 2, a->deadline_ns,
                             s->limit_ns);
    CMP_HOOK("lock.acquire.woken");
    /* That word may have taken the only wake that the kernel has for it, and the lock
       may have gone on to another owner meanwhile: then nobody below would relay. */
    if (s->hold != NULL && load_seqcst(s->hold) != s->hold_value)
        cmp_unpark(s->hold, CMP_UNPARK_ALL);
    CMP_HOOK("lock.acquire.relayed");
    if (rc != -ETIMEDOUT)
        return rc == 0 ? LOOK_AGAIN : rc;
    /* One more look at everything, the owner included: with short deadlines, no other
       ever comes after a slice. */
    a->block = false;
    a->nap.slice_over = a->nap.slept;
    return LOOK_AGAIN;
}

static int look(struct attempt *a)
{
    struct sight s = {.limit_ns = INT64_MAX};

    if (take_free(a->lock, a->me, &s.word))
        return 0;
    int rc = look_at_owner(a, &s);
    if (rc != 0)
        return rc;
    if (!a->block)
        return -EAGAIN;
    if (s.hold != NULL && spin_once(a, owner_of(s.word)))
        return LOOK_AGAIN;
    return nap(a, &s);
}

static int acquire_slow(struct cmp_lock *l, uint32_t me, bool block, int64_t deadline_ns,
                        uint32_t *dead)
{
    struct attempt a = {
        .lock = l, .me = me, .dead = dead, .block = block, .deadline_ns = deadline_ns,
        .nap = CMP_NAP_INIT, .look = CMP_LOOK_INIT,
    };
    int rc;

    cmp_pending(&l->park);
    CMP_HOOK("lock.acquire.pending");
    while ((rc = look(&a)) == LOOK_AGAIN)
        ;
    if (a.nap.slept) {
        /* The pull: this thread may have taken the one wake, and the others may watch
           an owner that is no more; one of them looks again and passes it on. */
        CMP_HOOK("lock.acquire.pull");
        cmp_unpark(&l->park, 1);
        CMP_HOOK("lock.acquire.pulled");
    }
    cmp_look_close(&a.look);
    cmp_pending(NULL);
    if (a.spun)
        cmp_owner_seen_here();
    return rc == -EAGAIN && block ? -ETIMEDOUT : rc;
}

/* ---- acquire, release ------------------------------------------------------------- */

static uint64_t myself(uint32_t me)
{
    return (uint64_t)me << 32 | cmp_tid();
}

static int acquire_again(struct cmp_lock *l)
{
    if (l->depth == UINT32_MAX)
        return -EOVERFLOW;
    l->depth++;
    return 0;
}

static int acquire(struct cmp_lock *l, bool block, int64_t deadline_ns, uint32_t *dead)
{
    uint32_t me = cmp_me(), seen;
    int rc = 0;

    if (me == 0)
        return -EUSERS;
    if (l->recursive && load64_relaxed(&l->holder) == myself(me))
        return acquire_again(l);
    if (!take_free(l, me, &seen))
        rc = acquire_slow(l, me, block, deadline_ns, dead);
    if (rc != 0 && rc != -EOWNERDEAD)
        return rc;
    CMP_HOOK("lock.acquire.taken");
    if (l->recursive) {
        store64_relaxed(&l->holder, myself(me));
        CMP_HOOK("lock.acquire.held");
        l->depth = 1;
    }
    return rc;
}

int cmp_lock_try_acquire(struct cmp_lock *l, uint32_t *dead)
{
    return acquire(l, false, 0, dead);
}

int cmp_lock_acquire(struct cmp_lock *l, int64_t deadline_ns, uint32_t *dead)
{
    return acquire(l, true, deadline_ns, dead);
}

/* One CAS frees, and sets GATE if it frees for another process: a flag set before or
   after would be wrong about who owned the lock in between.  */
static int free_word(struct cmp_lock *l, uint32_t me)
{
    uint32_t seen = load_relaxed(&l->word), want;
    do {
        uint32_t owner = owner_of(seen);
        if (owner == 0)
            return -EPERM;
        if (!(owner & CMP_CODE_TAG))
            return -EUCLEAN;
        want = seen & LOCK_FLAGS;
        if (owner != me) {
            if (l->recursive || (seen & LOCK_DIED))
                return -EPERM;
            want |= LOCK_GATE;
        }
        /* SYNC release (seq_cst): pairs with the CAS of take_free; and before the look
           at park, which a waiter arms before it looks at the word. */
    } while (!cas_strong(&l->word, &seen, want));
    return 0;
}

void cmp_lock_open_gate(struct cmp_lock *l, bool (*was_killed)(void *arg, uint32_t code),
                        void *arg)
{
    uint32_t seen = load_relaxed(&l->word);
    while ((seen & LOCK_GATE) && owner_of(seen) != 0 && was_killed(arg, owner_of(seen)))
        if (cas_strong(&l->word, &seen, seen & ~LOCK_GATE))
            break;
}

static int release(struct cmp_lock *l)
{
    uint32_t me = cmp_me(); /* may use the pending word itself */
    cmp_pending(&l->park);
    int rc = free_word(l, me);
    CMP_HOOK("lock.release.freed");
    if (rc == 0 && load_seqcst(&l->park) != 0)
        cmp_wake(&l->park, PARK_ARMED, 1);
    cmp_pending(NULL);
    return rc;
}

static bool holds(struct cmp_lock *l)
{
    uint32_t me = cmp_me();
    return me != 0 && load64_relaxed(&l->holder) == myself(me);
}

/* An RLock that this thread holds. */
static int release_held(struct cmp_lock *l)
{
    store64_relaxed(&l->holder, 0);
    CMP_HOOK("lock.release.unheld");
    return release(l);
}

int cmp_lock_release_all(struct cmp_lock *l, uint32_t *depth)
{
    *depth = 1;
    if (!l->recursive)
        return release(l);
    if (!holds(l))
        return -EPERM;
    *depth = l->depth;
    return release_held(l);
}

int cmp_lock_release(struct cmp_lock *l)
{
    if (!l->recursive)
        return release(l);
    if (!holds(l))
        return -EPERM;
    if (l->depth > 1) {
        l->depth--;
        return 0;
    }
    return release_held(l);
}

void cmp_lock_set_depth(struct cmp_lock *l, uint32_t depth)
{
    if (l->recursive)
        l->depth = depth;
}

/* ---- looks ------------------------------------------------------------------------- */

uint32_t cmp_lock_owner(struct cmp_lock *l)
{
    return owner_of(load_relaxed(&l->word));
}

bool cmp_lock_held(struct cmp_lock *l)
{
    return cmp_lock_owner(l) != 0;
}

bool cmp_lock_is_mine(struct cmp_lock *l)
{
    uint32_t me = cmp_me();
    return l->recursive ? holds(l) : me != 0 && cmp_lock_owner(l) == me;
}

uint32_t cmp_lock_depth(struct cmp_lock *l)
{
    if (!cmp_lock_is_mine(l))
        return 0;
    return l->recursive ? l->depth : 1;
}

bool cmp_lock_owner_died(struct cmp_lock *l)
{
    return (load_relaxed(&l->word) & LOCK_DIED) != 0;
}

void cmp_lock_mark_consistent(struct cmp_lock *l)
{
    and_seqcst(&l->word, ~LOCK_DIED);
}

const char *cmp_lock_check(struct cmp_lock *l)
{
    uint32_t word = load_relaxed(&l->word), park = load_relaxed(&l->park);

    if (owner_of(word) != 0 && cmp_owner_hold(owner_of(word), 0) == NULL)
        return "the lock word names no process slot";
    if (l->recursive > 1)
        return "the lock is neither a Lock nor an RLock";
    if (l->recursive && (word & LOCK_GATE))
        return "an RLock is a gate";
    if (park != 0 && park != PARK_ARMED)
        return "the park word of the lock is neither 0 nor armed";
    if (l->node >= CMP_HOLD_WORDS)
        return "the lock watches a hold word that is none";
    if (!l->recursive && load64_relaxed(&l->holder) != 0)
        return "a Lock has a holding thread";
    return NULL;
}
