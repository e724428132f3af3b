#include "cond.h"
#include "object.h"
#include "owner.h"
#include "vigil.h"

#define NODE_NOTE (UINT32_C(1) << 31)
#define NODE_WAIT (UINT32_C(1) << 30)

#define BLOCKS_MAX 3u

/* Further nodes, in the cell of a CMP_TYPE_COND_MORE. */
struct block {
    cmp_word64 more;
    cmp_word depth; /* 1, 2, 3: tells its size */
    uint32_t reserved;
    cmp_word64 waiter[];
};

static struct cmp_spin spin;

void cmp_cond_init(struct cmp_cond *c, uint32_t index)
{
    *c = (struct cmp_cond){.park = PARK_ARMED, .node = index % CMP_HOLD_WORDS};
}

/* ---- a node's word ---------------------------------------------------------------- */

static uint64_t word_of(uint32_t ticket, uint32_t flag, uint32_t code)
{
    return (uint64_t)ticket << 32 | flag | code;
}

static uint32_t ticket_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static uint32_t code_of(uint64_t word)
{
    return (uint32_t)word & CMP_CODE_MASK;
}

static bool waits(uint64_t word)
{
    return ((uint32_t)word & ~(CMP_CODE_MASK & ~CMP_CODE_TAG)) == (NODE_WAIT | CMP_CODE_TAG);
}

static bool is_noted(uint64_t word)
{
    return ((uint32_t)word & ~(CMP_CODE_MASK & ~CMP_CODE_TAG)) == (NODE_NOTE | CMP_CODE_TAG);
}

static bool before(uint32_t ticket, uint32_t other)
{
    return (int32_t)(ticket - other) < 0;
}

/* The half that is slept on. */
static cmp_word *low_half(cmp_word64 *waiter)
{
    cmp_word *half = (cmp_word *)(void *)waiter;
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? half : half + 1;
}

/* ---- all nodes, one after the other ------------------------------------------------ */

struct walk {
    cmp_word64 *next, *end;
    cmp_word64 *more; /* link to the block after that */
    uint32_t depth;   /* of the block that next is in; 0: the cell */
};

static size_t block_bytes(uint32_t depth)
{
    return (size_t)128 << 3 * depth; /* 1, 8, 64 KiB */
}

static struct walk all_nodes(struct cmp_cond *c)
{
    return (struct walk){c->waiter, c->waiter + CMP_COND_NODES, &c->more, 0};
}

static void walk_block(struct walk *at, struct block *b, uint32_t depth)
{
    at->next = b->waiter;
    at->end = (cmp_word64 *)(void *)((char *)b + block_bytes(depth));
    at->more = &b->more;
    at->depth = depth;
}

/* NULL after the last one, and where the chain is damaged.  */
static cmp_word64 *next_node(struct walk *at)
{
    if (at->next == at->end) {
        /* SYNC seq_cst: pairs with cmp_object_link, whose block is formatted. */
        cmp_ref ref = load64_seqcst(at->more);
        if (ref == 0 || at->depth == BLOCKS_MAX)
            return NULL;
        struct block *b = cmp_object_linked(ref, CMP_TYPE_COND_MORE);
        if (b == NULL || load_relaxed(&b->depth) != at->depth + 1)
            return NULL;
        walk_block(at, b, at->depth + 1);
    }
    return at->next++;
}

/* ---- notify ------------------------------------------------------------------------- */

/* Whoever finds a process dead wakes all who watch its word: the kernel has woken one,
   of any primitive.  The caller has park pending.  */
static void relay(struct cmp_cond *c, uint32_t code)
{
    CMP_HOOK("cond.repair.dead");
    cmp_owner_relay(code, c->node);
    CMP_HOOK("cond.repair.relayed");
}

/* A waiter, if it lives, becomes a notified one.  Whether it did; *word: what the node
   holds, if it has changed under our hands.  */
static bool note(struct cmp_cond *c, cmp_word64 *waiter, uint64_t *word, uint32_t bound)
{
    uint32_t code = code_of(*word);
    if (cmp_peer_ended(code, c->node)) {
        relay(c, code);
        if (cas64_strong(waiter, word, 0))
            *word = 0;
        return false;
    }
    /* SYNC release (seq_cst): pairs with the load in cmp_cond_wait.  */
    if (!cas64_strong(waiter, word, word_of(bound, NODE_NOTE, code)))
        return false;
    CMP_HOOK("cond.notify.marked");
    cmp_unpark(low_half(waiter), 1);
    CMP_HOOK("cond.notify.woke");
    return true;
}

/* The waiter with the lowest ticket before `bound`, NULL if there is none.  */
static cmp_word64 *find_oldest(struct cmp_cond *c, uint32_t bound, uint64_t *word)
{
    struct walk at = all_nodes(c);
    cmp_word64 *oldest = NULL;
    for (cmp_word64 *waiter; (waiter = next_node(&at)) != NULL;) {
        uint64_t seen = load64_seqcst(waiter);
        if (!waits(seen) || !before(ticket_of(seen), bound))
            continue;
        if (oldest == NULL || before(ticket_of(seen), ticket_of(*word))) {
            oldest = waiter;
            *word = seen;
        }
    }
    return oldest;
}

static bool note_oldest(struct cmp_cond *c, uint32_t bound)
{
    cmp_word64 *oldest;
    uint64_t word;
    while ((oldest = find_oldest(c, bound, &word)) != NULL)
        if (note(c, oldest, &word, bound))
            return true;
    return false;
}

/* In one pass: where all get one, their order does not matter.  */
static uint32_t note_all(struct cmp_cond *c, uint32_t bound, uint32_t n)
{
    struct walk at = all_nodes(c);
    uint32_t n_noted = 0;
    for (cmp_word64 *waiter; n_noted < n && (waiter = next_node(&at)) != NULL;) {
        uint64_t seen = load64_seqcst(waiter);
        bool noted = false;
        while (!noted && waits(seen) && before(ticket_of(seen), bound))
            noted = note(c, waiter, &seen, bound);
        n_noted += noted;
    }
    return n_noted;
}

static void remember_notifier(struct cmp_cond *c)
{
    uint32_t me = load_relaxed(&cmp_me_code), last = load_relaxed(&c->notifier[0]);
    cmp_owner_seen_here();
    if (me == last)
        return;
    store_relaxed(&c->notifier[1], last);
    store_relaxed(&c->notifier[0], me);
}

uint32_t cmp_cond_notify(struct cmp_cond *c, uint32_t n)
{
    uint32_t n_noted = 0;

    remember_notifier(c);
    cmp_pending(&c->park);
    uint32_t bound = load_seqcst(&c->ticket);
    if (n > 1 && n >= cmp_cond_n_waiting(c))
        n_noted = note_all(c, bound, n);
    else
        while (n_noted < n && note_oldest(c, bound))
            n_noted++;
    cmp_pending(NULL);
    return n_noted;
}

/* ---- after a death ------------------------------------------------------------------- */

/* A notify that its waiter will not use goes to the oldest who waited when it was
   given.  The node is the caller's meanwhile: if he dies, it is again a dead one's.
   False: the node has changed hands, see *word.  */
static bool pass_on(struct cmp_cond *c, cmp_word64 *waiter, uint64_t *word, uint32_t me)
{
    uint64_t mine = word_of(ticket_of(*word), NODE_NOTE, me);
    if (!cas64_strong(waiter, word, mine))
        return false;
    CMP_HOOK("cond.pass.adopted");
    note_oldest(c, ticket_of(mine));
    CMP_HOOK("cond.pass.passed");
    cas64_strong(waiter, &mine, 0);
    return true;
}

static bool free_dead(struct cmp_cond *c, cmp_word64 *waiter, uint64_t *word, uint32_t me)
{
    if (waits(*word))
        return cas64_strong(waiter, word, 0);
    return pass_on(c, waiter, word, me);
}

/* Settle everything that the dead may have left: wake the notified who live, pass on
   what the dead were given, free their nodes.  own: the caller's node, or NULL.  */
static void repair(struct cmp_cond *c, struct cmp_vigil *v, const cmp_word64 *own)
{
    struct walk at = all_nodes(c);
    uint32_t relayed = 0;

    cmp_vigil_begin(v);
    for (cmp_word64 *waiter; (waiter = next_node(&at)) != NULL;) {
        uint64_t seen = load64_seqcst(waiter);
        while (waits(seen) || is_noted(seen)) {
            uint32_t code = code_of(seen);
            if (!cmp_vigil_ended(v, code)) {
                if (is_noted(seen) && waiter != own)
                    cmp_unpark(low_half(waiter), 1);
                break;
            }
            if (code != relayed)
                relay(c, code);
            relayed = code;
            if (free_dead(c, waiter, &seen, v->me))
                break;
        }
    }
}

/* ---- enter ----------------------------------------------------------------------------- */

/* Add the next block to the chain.  0, -ENOMEM, -EUCLEAN or another -errno.  */
static int grow(struct cmp_cond *c)
{
    struct walk at = all_nodes(c);
    cmp_ref ref;
    void *cell;

    while (next_node(&at) != NULL)
        ;
    if (at.depth == BLOCKS_MAX)
        return -ENOMEM;
    if (load64_seqcst(at.more) != 0)
        return -EUCLEAN;
    int rc = cmp_object_create(CMP_TYPE_COND_MORE, block_bytes(at.depth + 1), &ref, &cell);
    if (rc < 0)
        return rc;
    struct walk in;
    struct block *b = cell;
    walk_block(&in, b, at.depth + 1);
    store64_relaxed(&b->more, 0);
    store_relaxed(&b->depth, in.depth);
    while (in.next != in.end)
        store64_relaxed(in.next++, 0);
    CMP_HOOK("cond.grow.made");
    if (!cmp_object_link(at.more, ref))
        cmp_object_drop(ref); /* another was there first */
    CMP_HOOK("cond.grow.linked");
    return 0;
}

static cmp_word64 *take_node(struct cmp_cond *c, uint64_t word)
{
    struct walk at = all_nodes(c);
    for (cmp_word64 *waiter; (waiter = next_node(&at)) != NULL;) {
        uint64_t seen = load64_relaxed(waiter);
        /* SYNC seq_cst: before the lock is released, under which others notify. */
        if (seen == 0 && cas64_strong(waiter, &seen, word))
            return waiter;
    }
    return NULL;
}

/* No node is free: free those of the dead; else add a block.  */
static int make_room(struct cmp_cond *c, struct cmp_cond_wait *w, uint64_t word)
{
    struct cmp_vigil vigil;
    int rc = 0;

    cmp_vigil_init(&vigil, w->owner, c->node);
    cmp_pending(&c->park);
    repair(c, &vigil, NULL);
    cmp_pending(NULL);
    while ((w->waiter = take_node(c, word)) == NULL && rc == 0)
        rc = grow(c);
    return w->waiter != NULL ? 0 : rc;
}

static int queue_up(struct cmp_cond *c, struct cmp_cond_wait *w, uint32_t me)
{
    /* SYNC seq_cst: tickets are in the order in which the lock was held.  */
    w->ticket = add_seqcst(&c->ticket, 1);
    w->owner = me;
    CMP_HOOK("cond.enter.ticket");
    uint64_t word = word_of(w->ticket, NODE_WAIT, me);
    w->waiter = take_node(c, word);
    int rc = w->waiter != NULL ? 0 : make_room(c, w, word);
    CMP_HOOK("cond.enter.queued");
    return rc;
}

int cmp_cond_enter(struct cmp_cond *c, struct cmp_lock *l, struct cmp_cond_wait *w)
{
    uint32_t me = cmp_me();

    *w = (struct cmp_cond_wait){.depth = 1};
    if (me == 0)
        return -EUSERS;
    if (load_relaxed(&c->park) != PARK_ARMED)
        return -EUCLEAN;
    if (!cmp_lock_is_mine(l))
        return -EPERM;
    int rc = queue_up(c, w, me);
    if (rc < 0)
        return rc;
    rc = cmp_lock_release_all(l, &w->depth);
    if (rc < 0)
        cmp_cond_quit(c, w);
    CMP_HOOK("cond.enter.released");
    return rc;
}

/* ---- wait ------------------------------------------------------------------------------- */

#define STILL_WAITING 1 /* not a status of any function in the header */

static uint64_t own_word(const struct cmp_cond_wait *w)
{
    return word_of(w->ticket, NODE_WAIT, w->owner);
}

/* 0: notified; STILL_WAITING; -EUCLEAN.  */
static int look(struct cmp_cond *c, const struct cmp_cond_wait *w)
{
    /* SYNC acquire (seq_cst): pairs with the CAS of note. */
    uint64_t seen = load64_seqcst(w->waiter);
    if (is_noted(seen) && code_of(seen) == w->owner)
        return 0;
    if (seen != own_word(w) || load_relaxed(&c->park) != PARK_ARMED)
        return -EUCLEAN;
    return STILL_WAITING;
}

/* The words to sleep on.  The node first, and again after park: with the first, a nap
   tells when nothing but a notify has ended it; the second is compared when the thread
   is on park already, so that a notifier who dies cannot slip through in between.
   False: somebody who is to be watched has ended.  */
static bool collect(struct cmp_cond *c, const struct cmp_cond_wait *w, struct cmp_vigil *v)
{
    struct walk at = all_nodes(c);
    uint32_t low = (uint32_t)own_word(w);

    cmp_vigil_begin(v);
    cmp_vigil_guard(v, low_half(w->waiter), low);
    cmp_vigil_guard(v, &c->park, PARK_ARMED);
    cmp_vigil_guard(v, low_half(w->waiter), low);
    for (cmp_word64 *waiter; (waiter = next_node(&at)) != NULL;) {
        uint64_t seen = load64_seqcst(waiter);
        bool matters = is_noted(seen) || (waits(seen) && before(ticket_of(seen), w->ticket));
        if (matters && cmp_vigil_ended(v, code_of(seen)))
            return false;
    }
    return true;
}

/* The deadline has passed, and everything was looked at once more.  */
static int time_out(struct cmp_cond_wait *w)
{
    uint64_t seen = own_word(w);
    CMP_HOOK("cond.wait.timed_out");
    if (!cas64_strong(w->waiter, &seen, 0))
        return STILL_WAITING;
    w->waiter = NULL;
    return -ETIMEDOUT;
}

static int sleep_until_noted(struct cmp_cond *c, struct cmp_cond_wait *w, int64_t deadline_ns)
{
    struct cmp_vigil v;
    bool too_late = false;
    int rc;

    cmp_vigil_init(&v, w->owner, c->node);
    while ((rc = look(c, w)) == STILL_WAITING) {
        if (!collect(c, w, &v)) {
            repair(c, &v, w->waiter);
            continue;
        }
        if (too_late && (rc = time_out(w)) != STILL_WAITING)
            return rc;
        CMP_HOOK("cond.wait.looked");
        rc = cmp_vigil_nap(&v, deadline_ns);
        CMP_HOOK("cond.wait.woken");
        if (rc == -ETIMEDOUT) {
            too_late = true;
            v.nap.slice_over = v.nap.slept; /* short time-outs see no slices */
        } else if (rc < 0)
            return look(c, w) == 0 ? 0 : rc;
        else if (v.nap.woken > 0)
            repair(c, &v, w->waiter);
    }
    return rc;
}

struct spin_arg {
    struct cmp_cond *cond;
    struct cmp_cond_wait *wait;
};

static bool changed(const void *arg)
{
    const struct spin_arg *a = arg;
    return look(a->cond, a->wait) != STILL_WAITING;
}

/* Where the process runs that notified last, this one aside: it may do so again.  */
static int notifier_cpu(struct cmp_cond *c, uint32_t me)
{
    uint32_t code = load_relaxed(&c->notifier[0]);
    if (code == me)
        code = load_relaxed(&c->notifier[1]);
    return code == 0 || code == me ? -1 : cmp_owner_cpu(code);
}

int cmp_cond_wait(struct cmp_cond *c, struct cmp_cond_wait *w, int64_t deadline_ns)
{
    struct spin_arg arg = {c, w};
    uint32_t me = cmp_me();
    int rc;

    if (me == 0)
        return -EUSERS;
    if (w->waiter == NULL)
        return -EINVAL;
    if (w->owner != me && (rc = queue_up(c, w, me)) < 0)
        return rc;
    if ((deadline_ns == CMP_FOREVER || cmp_now_ns() < deadline_ns) &&
        cmp_spin(&spin, notifier_cpu(c, me), changed, &arg))
        return look(c, w);
    cmp_pending(&c->park);
    rc = sleep_until_noted(c, w, deadline_ns);
    CMP_HOOK("cond.wait.noted");
    cmp_pending(NULL);
    return rc;
}

/* ---- quit, leave --------------------------------------------------------------------------- */

/* Whether the node is of this process: the child of a fork has a copy of its parent's
   wait.  */
static bool is_mine(const struct cmp_cond_wait *w)
{
    return w->waiter != NULL && w->owner == cmp_me();
}

void cmp_cond_quit(struct cmp_cond *c, struct cmp_cond_wait *w)
{
    if (is_mine(w)) {
        uint64_t seen = own_word(w);
        cmp_pending(&c->park);
        CMP_HOOK("cond.quit.pending");
        if (!cas64_strong(w->waiter, &seen, 0) && is_noted(seen) && code_of(seen) == w->owner)
            pass_on(c, w->waiter, &seen, w->owner);
        cmp_pending(NULL);
    }
    w->waiter = NULL;
}

void cmp_cond_leave(struct cmp_cond *c, struct cmp_lock *l, struct cmp_cond_wait *w)
{
    (void)c;
    CMP_HOOK("cond.leave.held");
    if (is_mine(w)) {
        uint64_t seen = load64_seqcst(w->waiter);
        if (is_noted(seen) && code_of(seen) == w->owner)
            /* SYNC seq_cst: with the lock held; from here on the notify was used. */
            cas64_strong(w->waiter, &seen, 0);
    }
    CMP_HOOK("cond.leave.freed");
    w->waiter = NULL;
    cmp_lock_set_depth(l, w->depth);
}

/* ---- looks ---------------------------------------------------------------------------------- */

uint32_t cmp_cond_n_waiting(struct cmp_cond *c)
{
    struct walk at = all_nodes(c);
    uint32_t n = 0;
    for (cmp_word64 *waiter; (waiter = next_node(&at)) != NULL;)
        n += waits(load64_relaxed(waiter));
    return n;
}

const char *cmp_cond_check(struct cmp_cond *c)
{
    struct walk at = all_nodes(c);

    if (load_relaxed(&c->park) != PARK_ARMED)
        return "the park word of the condition is not armed";
    if (c->node >= CMP_HOLD_WORDS)
        return "the condition watches a hold word that is none";
    for (cmp_word64 *waiter; (waiter = next_node(&at)) != NULL;) {
        uint64_t seen = load64_seqcst(waiter);
        if (seen != 0 && !waits(seen) && !is_noted(seen))
            return "a node of the condition is neither free, nor waiting, nor notified";
        /* The ticket after the node: it only grows.  */
        if (seen != 0 && before(load_seqcst(&c->ticket), ticket_of(seen) + waits(seen)))
            return "a waiter of the condition has a ticket that was not given out";
    }
    if (load64_seqcst(at.more) != 0)
        return "the chain of nodes of the condition is damaged";
    return NULL;
}
