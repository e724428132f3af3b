#include "side.h"
#include "owner.h"

#define GRACE_NS INT64_C(10000000)    /* for a copy in progress, at the deadline */
#define FOLLOW_NS INT64_C(1000000000) /* a follower's longest sleep */
#define SEATED 1                      /* not a status of any function in the header */

/* The half of a position that every commit changes. */
static cmp_word *low_half(cmp_word64 *at)
{
    cmp_word *half = (cmp_word *)(void *)at;
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? half : half + 1;
}

/* ---- commit and wake ----------------------------------------------------------------- */

static void seen_here(struct cmp_side *s)
{
    store_relaxed(&s->cpu, (uint32_t)cmp_cpu() + 1);
}

/* Disarmed before the wake: until the one who is woken has run, further commits are then
   spared a call of the kernel each.  The lock is held meanwhile, so one who is stopped between the
   two keeps this side standing anyway.  */
static void signal_side(struct cmp_side *s)
{
    CMP_HOOK("side.signal.armed");
    xchg_seqcst(&s->park, 0);
    CMP_HOOK("side.signal.disarmed");
    int n = cmp_unpark(&s->park, 1);
    CMP_HOOK("side.signal.woke");
    if (n == 0 && load_seqcst(&s->seat.node.word) & CMP_WAITERS)
        cmp_unpark(&s->seat.node.word, 1);
    CMP_HOOK("side.signal.followed");
}

void cmp_side_publish(struct cmp_side *side, struct cmp_side *other, uint64_t at)
{
    cmp_pending(&other->park);
    CMP_HOOK("side.commit.pending");
    /* SYNC seq_cst: before the look at park; pairs with wait_in_seat, which arms it before
       it looks at the position.  Release: the record comes before it.  */
    store64_seqcst(&side->at, at);
    CMP_HOOK("side.commit.done");
}

void cmp_side_announce(struct cmp_side *side, struct cmp_side *other)
{
    if (load_seqcst(&other->park) == 0)
        return;
    signal_side(other);
    seen_here(side);
}

/* Nothing is disarmed: who is in the seat does not lose a wake by this.  Where a word does not
   tell of a sleeper there is none, or one for whom a wake is on its way.  */
void cmp_side_rouse(struct cmp_side *s)
{
    /* SYNC seq_cst: after what the caller has changed; pairs with sit_once and follow, who
       arm and mark before they look at that. */
    if (load_seqcst(&s->park) != 0)
        cmp_unpark(&s->park, CMP_UNPARK_ALL);
    if (load_seqcst(&s->seat.node.word) & CMP_WAITERS)
        cmp_unpark(&s->seat.node.word, CMP_UNPARK_ALL);
}

/* ---- one attempt ----------------------------------------------------------------------- */

/* At its deadline too a caller waits for one who copies: what is there, it shall get. */
static int lock_side(struct cmp_side *s, int64_t deadline_ns)
{
    int rc = cmp_mutex_try_lock(&s->lock);
    if (rc == -EAGAIN) {
        int64_t now_ns = cmp_now_ns(), from_ns = deadline_ns > now_ns ? deadline_ns : now_ns;
        rc = cmp_mutex_lock(&s->lock,
                            from_ns > CMP_FOREVER - GRACE_NS ? CMP_FOREVER : from_ns + GRACE_NS);
    }
    return rc == -EOWNERDEAD ? 0 : rc; /* positions tell all that is to be known */
}

static int attempt(const struct cmp_turn *t, int64_t deadline_ns)
{
    if (!t->possible(t->arg))
        return -EAGAIN;
    if (t->act == NULL)
        return 0;
    int rc = lock_side(t->side, deadline_ns);
    if (rc < 0)
        return rc;
    rc = t->act(t->arg);
    cmp_mutex_unlock(&t->side->lock);
    return rc;
}

/* ---- followers ------------------------------------------------------------------------- */

/* What a wait ends with where nobody is left; what was done before that comes first. */
static int ended(const struct cmp_turn *t)
{
    return t->possible(t->arg) ? -EAGAIN : -EPIPE;
}

/* Where the other side stands may be of use to another one.  *passed: for where that was told last.  */
static void pass_on(const struct cmp_turn *t, uint32_t stands, uint32_t *passed)
{
    if (!t->differs || stands == *passed)
        return;
    *passed = stands;
    CMP_HOOK("side.pass.seen");
    if (load_seqcst(&t->side->seat.node.word) & CMP_WAITERS)
        cmp_unpark(&t->side->seat.node.word, 1);
    CMP_HOOK("side.pass.done");
}

#define MOST_WORDS 5

/* What every waiter of a turn sleeps on.  How many words there are then.  */
static int more_words(const struct cmp_turn *t, const struct cmp_peer_watch *peer,
                      struct cmp_watch *words, int n)
{
    if (t->peer != NULL)
        words[n++] = peer->closes;
    if (t->halt != NULL)
        words[n++] = (struct cmp_watch){t->halt, 0};
    return n;
}

static int follow_once(const struct cmp_turn *t, struct cmp_nap *nap, uint32_t seat,
                       uint32_t *passed, int64_t deadline_ns)
{
    struct cmp_peer_watch peer = CMP_PEER_WATCH_INIT;
    cmp_word *guard = low_half(&t->other->at);
    uint32_t stands = load_seqcst(guard);

    if (t->possible(t->arg)) {
        CMP_HOOK("side.follow.free");
        cmp_pending(NULL);
        int rc = attempt(t, deadline_ns);
        CMP_HOOK("side.follow.acted");
        if (rc != -EAGAIN && nap->slept && (t->differs || t->possible(t->arg)))
            cmp_unpark(&t->side->seat.node.word, 1); /* who has the seat may be stopped */
        return rc;
    }
    pass_on(t, stands, passed);
    if (t->peer != NULL && cmp_peer_look(t->peer, nap->slice_over, &peer) < 0)
        return ended(t);
    CMP_HOOK("side.follow.looked");
    struct cmp_watch words[MOST_WORDS] = {{&t->side->seat.node.word, seat}, {guard, stands}};
    int n = more_words(t, &peer, words, 2);
    int64_t limit_ns = cmp_lacks(CMP_LACKS_BACKSTOP) ? INT64_MAX : FOLLOW_NS;
    int rc = cmp_nap_at_most(nap, words, n, deadline_ns,
                             peer.limit_ns < limit_ns ? peer.limit_ns : limit_ns);
    CMP_HOOK("side.follow.woken");
    if (nap->slice_over)
        cmp_mutex_doubt(&t->side->seat, seat);
    return rc == 0 ? -EAGAIN : rc;
}

/* Until the seat is taken: SEATED; or as cmp_turn_take.  */
static int follow(const struct cmp_turn *t, int64_t deadline_ns)
{
    struct cmp_nap nap = CMP_NAP_INIT;
    struct cmp_side *s = t->side;
    uint32_t seat, passed = load_seqcst(low_half(&t->other->at));
    int rc;

    do {
        if (cmp_mutex_lock_or_mark(&s->seat, nap.slept, &seat) != -EAGAIN)
            return SEATED;
        /* For the one in the seat, who may be stopped: see side.h. */
        xchg_seqcst(&s->park, PARK_ARMED);
        CMP_HOOK("side.follow.armed");
        rc = follow_once(t, &nap, seat, &passed, deadline_ns);
    } while (rc == -EAGAIN);
    cmp_pending(NULL);
    if (rc != -ETIMEDOUT)
        return rc;
    rc = attempt(t, deadline_ns);
    return rc == -EAGAIN ? -ETIMEDOUT : rc;
}

/* ---- in the seat ------------------------------------------------------------------------- */

static int sit_once(const struct cmp_turn *t, struct cmp_nap *nap, uint32_t *passed, int64_t deadline_ns)
{
    struct cmp_peer_watch peer = CMP_PEER_WATCH_INIT;
    cmp_word *guard = low_half(&t->other->at);

    /* SYNC seq_cst: armed before the last look, here and by the kernel; pairs with
       cmp_side_commit. */
    xchg_seqcst(&t->side->park, PARK_ARMED);
    CMP_HOOK("side.wait.armed");
    uint32_t stands = load_seqcst(guard);
    if (t->possible(t->arg))
        return -EAGAIN;
    pass_on(t, stands, passed);
    if (t->peer != NULL && cmp_peer_look(t->peer, nap->slice_over, &peer) < 0)
        return ended(t);
    CMP_HOOK("side.wait.looked");
    struct cmp_watch words[MOST_WORDS] = {{&t->side->park, PARK_ARMED}, {guard, stands}};
    int n = more_words(t, &peer, words, 2);
    if (peer.hold.word != NULL)
        words[n++] = peer.hold;
    int rc = cmp_nap_at_most(nap, words, n, deadline_ns, peer.limit_ns);
    CMP_HOOK("side.wait.woken");
    cmp_peer_relay(&peer);
    return rc == 0 ? -EAGAIN : rc;
}

static int wait_in_seat(const struct cmp_turn *t, int64_t deadline_ns)
{
    struct cmp_nap nap = CMP_NAP_INIT;
    /* Who had the seat before may have died of a wake, and not have passed it on. */
    uint32_t passed = load_seqcst(low_half(&t->other->at)) + 1;
    bool is_late = false;

    for (;;) {
        int rc = attempt(t, deadline_ns);
        if (rc != -EAGAIN)
            return rc;
        if (is_late)
            return -ETIMEDOUT;
        rc = sit_once(t, &nap, &passed, deadline_ns);
        is_late = rc == -ETIMEDOUT;
        if (rc != -EAGAIN && !is_late)
            return rc;
    }
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int at_end(const struct cmp_turn *t)
{
    int rc = attempt(t, 0);
    return rc == -EAGAIN ? -EPIPE : rc;
}

static bool is_possible(const void *turn)
{
    const struct cmp_turn *t = turn;
    return t->possible(t->arg);
}

int cmp_turn_take(const struct cmp_turn *t, int64_t deadline_ns)
{
    int rc = attempt(t, deadline_ns);
    if (rc != -EAGAIN)
        return rc;
    if (deadline_ns <= 0)
        return t->peer == NULL || cmp_peer_is_there(t->peer) ? -ETIMEDOUT : at_end(t);
    if (cmp_spin(t->spin, (int)load_relaxed(&t->other->cpu) - 1, is_possible, t)) {
        rc = attempt(t, deadline_ns);
        if (rc != -EAGAIN)
            return rc;
    }
    seen_here(t->side);
    rc = follow(t, deadline_ns);
    if (rc != SEATED)
        return rc;
    CMP_HOOK("side.wait.seated");
    rc = wait_in_seat(t, deadline_ns);
    CMP_HOOK("side.wait.leaving");
    if (cmp_mutex_is_mine(&t->side->seat))
        cmp_mutex_unlock(&t->side->seat);
    CMP_HOOK("side.wait.left");
    return rc;
}

static bool is_sound(struct cmp_mutex *m)
{
    uint32_t word = load_relaxed(&m->node.word);
    return (word & CMP_TID_MASK) == 0 || (word & CMP_OWNER_DIED) == 0;
}

const char *cmp_side_check(struct cmp_side *s)
{
    uint32_t park = load_relaxed(&s->park);
    if (park != 0 && park != PARK_ARMED)
        return "a park word is neither 0 nor armed";
    if (!is_sound(&s->lock) || !is_sound(&s->seat))
        return "a side lock is no TID, and not free";
    return NULL;
}
