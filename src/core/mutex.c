#include "mutex.h"
#include "owner.h"
#include "wait.h"

/* cmp_pending takes a park word, 0 or PARK_ARMED; this word is the other kind that it
   may name: one that carries the TID of its owner. */
_Static_assert(CMP_WAITERS == PARK_ARMED, "a free mutex is a legal park word");

#define LOOK_AGAIN 1 /* not a status of any function in the header */

static struct cmp_spin spin;

void cmp_mutex_init(struct cmp_mutex *m)
{
    *m = (struct cmp_mutex){0};
}

static bool is_locked(uint32_t word)
{
    return (word & CMP_TID_MASK) != 0;
}

/* One attempt; waiters: CMP_WAITERS if this thread has slept, so others may still. */
static int take(struct cmp_mutex *m, uint32_t tid, uint32_t *seen, uint32_t waiters)
{
    *seen = load_relaxed(&m->node.word);
    while (!is_locked(*seen)) {
        uint32_t before = *seen;
        /* SYNC acquire (seq_cst): pairs with the CAS or store of cmp_mutex_unlock, or
           with the kernel's mark: what the last owner stored is visible. */
        if (cas_strong(&m->node.word, seen, tid | (before & CMP_WAITERS) | waiters))
            return before & CMP_OWNER_DIED ? -EOWNERDEAD : 0;
    }
    return -EAGAIN;
}

/* With the word taken and pending: from now on the list tells the kernel. */
static void settle(struct cmp_mutex *m, uint32_t tid)
{
    CMP_HOOK("mutex.lock.taken");
    cmp_robust_link(&m->node);
    CMP_HOOK("mutex.lock.linked");
    store64_relaxed(&m->holder, (uint64_t)load_relaxed(&cmp_me_code) << 32 | tid);
    cmp_pending(NULL);
    CMP_HOOK("mutex.lock.locked");
}

/* Frees the word as the kernel would have.  */
void cmp_mutex_doubt(struct cmp_mutex *m, uint32_t seen)
{
    uint64_t holder = load64_relaxed(&m->holder);
    uint32_t code = (uint32_t)(holder >> 32);

    if ((uint32_t)holder != (seen & CMP_TID_MASK) || code == 0 ||
        code == load_relaxed(&cmp_me_code))
        return;
    if (cmp_owner_has_ended(code))
        cas_strong(&m->node.word, &seen, CMP_OWNER_DIED | CMP_WAITERS);
}

static bool looks_free(const void *arg)
{
    return !is_locked(load_relaxed(&((struct cmp_mutex *)(uintptr_t)arg)->node.word));
}

/* Whether WAITERS is in the word now, as the caller has seen it or by his own hand. */
static bool mark(struct cmp_mutex *m, uint32_t seen)
{
    return (seen & CMP_WAITERS) || cas_strong(&m->node.word, &seen, seen | CMP_WAITERS);
}

static int wait_once(struct cmp_mutex *m, struct cmp_nap *nap, uint32_t seen,
                     int64_t deadline_ns)
{
    if (nap->slice_over)
        cmp_mutex_doubt(m, seen);
    if (!mark(m, seen))
        return LOOK_AGAIN;
    CMP_HOOK("mutex.lock.marked");
    struct cmp_watch words[] = {{&m->node.word, seen | CMP_WAITERS}};
    int rc = cmp_nap(nap, words, 1, deadline_ns);
    CMP_HOOK("mutex.lock.woken");
    return rc == 0 ? LOOK_AGAIN : rc;
}

static int lock_slow(struct cmp_mutex *m, uint32_t tid, int64_t deadline_ns)
{
    struct cmp_nap nap = CMP_NAP_INIT;
    uint32_t seen;
    int rc;

    cmp_spin(&spin, -1, looks_free, m);
    do {
        rc = take(m, tid, &seen, nap.slept ? CMP_WAITERS : 0);
        if (rc == -EAGAIN)
            rc = wait_once(m, &nap, seen, deadline_ns);
    } while (rc == LOOK_AGAIN);
    return rc;
}

static int settle_if_taken(struct cmp_mutex *m, uint32_t tid, int rc)
{
    if (rc == 0 || rc == -EOWNERDEAD)
        settle(m, tid);
    else
        cmp_pending(NULL);
    return rc;
}

int cmp_mutex_try_lock(struct cmp_mutex *m)
{
    uint32_t tid = cmp_tid(), seen;
    cmp_me(); /* for holder; it may use the pending word itself */
    cmp_pending(&m->node.word);
    return settle_if_taken(m, tid, take(m, tid, &seen, 0));
}

int cmp_mutex_lock(struct cmp_mutex *m, int64_t deadline_ns)
{
    uint32_t tid = cmp_tid(), seen;
    cmp_me(); /* as above */
    cmp_pending(&m->node.word);
    int rc = take(m, tid, &seen, 0);
    if (rc == -EAGAIN)
        rc = lock_slow(m, tid, deadline_ns);
    return settle_if_taken(m, tid, rc);
}

int cmp_mutex_lock_or_mark(struct cmp_mutex *m, bool slept, uint32_t *seen)
{
    uint32_t tid = cmp_tid();
    int rc;

    cmp_me(); /* as above */
    cmp_pending(&m->node.word);
    do {
        rc = take(m, tid, seen, slept ? CMP_WAITERS : 0);
        if (rc != -EAGAIN)
            return settle_if_taken(m, tid, rc);
    } while (!mark(m, *seen));
    *seen |= CMP_WAITERS;
    CMP_HOOK("mutex.mark.marked");
    return rc;
}

bool cmp_mutex_is_mine(struct cmp_mutex *m)
{
    return (load_relaxed(&m->node.word) & CMP_TID_MASK) == cmp_tid();
}

void cmp_mutex_unlock(struct cmp_mutex *m)
{
    uint32_t seen = cmp_tid();
    cmp_pending(&m->node.word);
    cmp_robust_unlink(&m->node);
    CMP_HOOK("mutex.unlock.unlinked");
    /* SYNC release (seq_cst): pairs with the CAS of take. */
    if (!cas_strong(&m->node.word, &seen, 0)) {
        /* WAITERS stays in the free word: whoever locks it before the woken one does
           will wake the next.  It goes when the wake has found nobody. */
        store_seqcst(&m->node.word, CMP_WAITERS);
        CMP_HOOK("mutex.unlock.freed");
        int woken = cmp_unpark(&m->node.word, 1);
        CMP_HOOK("mutex.unlock.woke");
        seen = CMP_WAITERS;
        if (woken == 0 && cas_strong(&m->node.word, &seen, 0))
            /* Somebody may have marked the word between that wake and this CAS, for a
               thread that has locked, unlocked and died since. */
            cmp_unpark(&m->node.word, 1);
    }
    cmp_pending(NULL);
}
