#include "sem.h"
#include "owner.h"
#include "wait.h"

#define PERMIT_FREE 0u
#define PERMIT_ANON 1u
#define PERMIT_ABSENT 2u

#define SCAN_MAX_NS INT64_C(1000000000) /* between two looks for dead `with` holders */
#define LOOK_AGAIN 1                    /* not a status of any function in the header */

static struct cmp_spin spin;

void cmp_sem_init(struct cmp_sem *s, uint32_t index, uint32_t value, bool bounded)
{
    bool owned = value <= CMP_SEM_OWNED;
    *s = (struct cmp_sem){
        .surplus = owned ? 0 : value,
        .initial = value,
        .bounded = bounded,
        .node = index % CMP_HOLD_WORDS,
        .n_words = !owned ? 0 : bounded ? value : CMP_SEM_OWNED,
    };
    for (uint32_t i = 0; i < CMP_SEM_OWNED; i++)
        store_relaxed(&s->permit[i], owned && i < value ? PERMIT_FREE : PERMIT_ABSENT);
}

static bool is_code(uint32_t permit)
{
    return (permit & CMP_CODE_TAG) && !(permit & ~CMP_CODE_MASK);
}

static bool is_sound(uint32_t permit)
{
    return permit <= PERMIT_ABSENT ||
           (is_code(permit) && cmp_owner_hold(permit, 0) != NULL);
}

/* ---- take -------------------------------------------------------------------------- */

static bool take_surplus(struct cmp_sem *s)
{
    uint32_t seen = load_relaxed(&s->surplus);
    while (seen > 0 && seen <= CMP_SEM_MAX)
        /* SYNC acquire (seq_cst): pairs with the CAS of give_surplus. */
        if (cas_strong(&s->surplus, &seen, seen - 1))
            return true;
    return false;
}

/* The whole of an uncontended acquire.  who: PERMIT_ANON or an owner code.  */
static bool take_free(struct cmp_sem *s, uint32_t n_words, uint32_t who)
{
    for (uint32_t i = 0; i < n_words; i++) {
        uint32_t seen = load_relaxed(&s->permit[i]);
        if (seen == PERMIT_ABSENT)
            break;
        /* SYNC acquire (seq_cst): pairs with the CAS of give_words. */
        if (seen == PERMIT_FREE && cas_strong(&s->permit[i], &seen, who))
            return true;
    }
    return take_surplus(s);
}

static bool any_free(struct cmp_sem *s, uint32_t n_words)
{
    for (uint32_t i = 0; i < n_words; i++) {
        uint32_t seen = load_seqcst(&s->permit[i]);
        if (seen == PERMIT_FREE)
            return true;
        if (seen == PERMIT_ABSENT)
            break;
    }
    return load_seqcst(&s->surplus) != 0;
}

/* ---- a slow acquire ------------------------------------------------------------------ */

struct attempt {
    struct cmp_sem *sem;
    uint32_t n_words;
    uint32_t me;
    uint32_t who;
    bool block; /* may sleep; ends with the deadline */
    bool spun;
    bool armed;
    bool owned; /* other processes hold permits by `with` */
    bool dying; /* one of them seems to have ended, which is to be confirmed */
    int64_t deadline_ns;
    struct cmp_nap nap;
    uint32_t relayed; /* owner code whose hold word was relayed last */
};

/* Whether the process of that code has certainly ended: one look.  */
static bool holder_ended(struct attempt *a, uint32_t code)
{
    uint32_t node = a->sem->node, value;

    enum cmp_hint hint = cmp_owner_hint(code, node, &value);
    if (hint == CMP_HINT_ALIVE && !a->nap.slice_over)
        return false;
    bool dead = hint == CMP_HINT_DEAD || hint == CMP_HINT_GONE;
    if (dead && a->relayed != code) {
        cmp_owner_relay(code, node);
        a->relayed = code;
    }
    bool ended = cmp_owner_has_ended(code);
    a->dying |= dead && !ended;
    return ended;
}

/* Take a permit that a dead process held by `with`.  0, -EAGAIN or -EUCLEAN.  */
static int take_from_dead(struct attempt *a)
{
    uint32_t asked = 0;
    bool ended = false;

    a->owned = a->dying = false;
    if (a->sem->node >= CMP_HOLD_WORDS || load_relaxed(&a->sem->surplus) > CMP_SEM_MAX)
        return -EUCLEAN;
    for (uint32_t i = 0; i < a->n_words; i++) {
        uint32_t seen = load_relaxed(&a->sem->permit[i]);
        if (seen == PERMIT_ABSENT)
            break;
        if (!is_sound(seen))
            return -EUCLEAN;
        if (seen == PERMIT_FREE || seen == PERMIT_ANON || seen == a->me)
            continue;
        a->owned = true;
        if (seen != asked)
            ended = holder_ended(a, asked = seen);
        if (!ended)
            continue;
        CMP_HOOK("sem.takeover.confirmed");
        /* SYNC acquire (seq_cst): the holder's end was confirmed by the kernel. */
        if (cas_strong(&a->sem->permit[i], &seen, a->who)) {
            CMP_HOOK("sem.takeover.taken");
            return 0;
        }
    }
    return -EAGAIN;
}

/* All that a release may change, with what it must be for a sleep.  How many words;
   0 if a permit is free.  */
static int guards(struct attempt *a, struct cmp_watch *words)
{
    struct cmp_sem *s = a->sem;
    int n = 0;

    words[n++] = (struct cmp_watch){&s->park, PARK_ARMED};
    for (uint32_t i = 0; i < a->n_words; i++) {
        uint32_t seen = load_seqcst(&s->permit[i]);
        if (seen == PERMIT_FREE)
            return 0;
        words[n++] = (struct cmp_watch){&s->permit[i], seen};
        if (seen == PERMIT_ABSENT)
            return n; /* a release would turn it FREE before it used a later word */
    }
    if (load_seqcst(&s->surplus) != 0)
        return 0;
    words[n++] = (struct cmp_watch){&s->surplus, 0};
    return n;
}

static int64_t nap_limit(const struct attempt *a)
{
    if (a->dying)
        return CMP_CONFIRM_NS;
    return a->owned && !cmp_lacks(CMP_LACKS_BACKSTOP) ? SCAN_MAX_NS : INT64_MAX;
}

static int nap(struct attempt *a)
{
    struct cmp_watch words[CMP_SEM_OWNED + 2];

    /* SYNC seq_cst: armed before the last look at the permits, here and by the kernel;
       cmp_sem_release changes a permit before it looks at park. */
    xchg_seqcst(&a->sem->park, PARK_ARMED);
    a->armed = true;
    CMP_HOOK("sem.acquire.armed");
    int n = guards(a, words);
    if (n == 0)
        return LOOK_AGAIN;
    CMP_HOOK("sem.acquire.looked");
    int rc = cmp_nap_at_most(&a->nap, words, n, a->deadline_ns, nap_limit(a));
    CMP_HOOK("sem.acquire.woken");
    if (rc != -ETIMEDOUT)
        return rc == 0 ? LOOK_AGAIN : rc;
    /* One more look at everything, the holders included: with short deadlines, no
       other ever comes after a slice. */
    a->block = false;
    a->nap.slice_over = a->nap.slept;
    return LOOK_AGAIN;
}

static bool looks_free(const void *arg)
{
    const struct attempt *a = arg;
    return any_free(a->sem, a->n_words);
}

static bool spin_once(struct attempt *a)
{
    if (a->spun)
        return false;
    a->spun = true;
    return cmp_spin(&spin, (int)load_relaxed(&a->sem->cpu) - 1, looks_free, a);
}

static int look(struct attempt *a)
{
    if (take_free(a->sem, a->n_words, a->who))
        return 0;
    int rc = take_from_dead(a);
    if (rc != -EAGAIN || !a->block)
        return rc;
    return spin_once(a) ? LOOK_AGAIN : nap(a);
}

static int acquire_slow(struct attempt *a)
{
    struct cmp_sem *s = a->sem;
    bool block = a->block;
    int rc;

    cmp_pending(&s->park);
    CMP_HOOK("sem.acquire.pending");
    while ((rc = look(a)) == LOOK_AGAIN)
        ;
    CMP_HOOK("sem.acquire.leaving");
    if (a->armed) {
        /* One wake may stand for several permits, and this thread may have taken it
           without a need: pass it on if one is left.  Others may still sleep. */
        xchg_seqcst(&s->park, PARK_ARMED);
        CMP_HOOK("sem.acquire.rearmed");
        if (a->owned || any_free(s, a->n_words))
            cmp_unpark(&s->park, 1);
        CMP_HOOK("sem.acquire.passed");
    }
    cmp_pending(NULL);
    return rc == -EAGAIN && block ? -ETIMEDOUT : rc;
}

static int acquire(struct cmp_sem *s, bool with, bool block, int64_t deadline_ns)
{
    uint32_t me = cmp_me(), n_words = s->n_words;

    if (with && me == 0)
        return -EUSERS;
    if (n_words > CMP_SEM_OWNED)
        return -EUCLEAN;
    uint32_t who = with ? me : PERMIT_ANON;
    if (!take_free(s, n_words, who)) {
        struct attempt a = {
            .sem = s, .n_words = n_words, .me = me, .who = who, .block = block,
            .deadline_ns = deadline_ns, .nap = CMP_NAP_INIT,
        };
        int rc = acquire_slow(&a);
        if (rc != 0)
            return rc;
    }
    CMP_HOOK("sem.acquire.taken");
    return 0;
}

int cmp_sem_try_acquire(struct cmp_sem *s, bool with)
{
    return acquire(s, with, false, 0);
}

int cmp_sem_acquire(struct cmp_sem *s, bool with, int64_t deadline_ns)
{
    return acquire(s, with, true, deadline_ns);
}

/* ---- give ---------------------------------------------------------------------------- */

#define ANY_OWNER UINT32_MAX /* matches every owner code */

static bool matches(uint32_t permit, uint32_t from)
{
    return from == ANY_OWNER ? is_code(permit) : permit == from;
}

/* Free up to n of the words that hold `from`.  How many.  */
static uint32_t give_words(struct cmp_sem *s, uint32_t n_words, uint32_t from, uint32_t n)
{
    uint32_t given = 0;
    for (uint32_t i = 0; i < n_words && given < n; i++) {
        uint32_t seen = load_relaxed(&s->permit[i]);
        /* SYNC release (seq_cst): pairs with the CAS of take_free; and before the look
           at park, which a waiter arms before it looks at the words. */
        if (matches(seen, from) && cas_strong(&s->permit[i], &seen, PERMIT_FREE)) {
            given++;
            CMP_HOOK("sem.release.freed");
        } else if (seen == PERMIT_ABSENT && from != PERMIT_ABSENT) {
            break;
        }
    }
    return given;
}

/* All n or none, up to the bound.  */
static int give_surplus(struct cmp_sem *s, uint32_t n, uint32_t bound, int error)
{
    uint32_t seen = load_relaxed(&s->surplus);
    do {
        if (seen > bound)
            return -EUCLEAN;
        if (n > bound - seen)
            return error;
        /* SYNC release (seq_cst): as in give_words, with take_surplus. */
    } while (!cas_strong(&s->surplus, &seen, seen + n));
    CMP_HOOK("sem.release.freed");
    return 0;
}

static bool is_damaged(struct cmp_sem *s, uint32_t n_words)
{
    for (uint32_t i = 0; i < n_words; i++)
        if (!is_sound(load_relaxed(&s->permit[i])))
            return true;
    return false;
}

static uint32_t count(struct cmp_sem *s, uint32_t n_words, uint32_t permit)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_words; i++)
        n += load_relaxed(&s->permit[i]) == permit;
    return n;
}

/* What one release has to go by. */
struct gift {
    uint32_t n_words;
    uint32_t first, second; /* whose words to free, in this order */
    uint32_t n;
    uint32_t given;
};

static void give_taken(struct cmp_sem *s, struct gift *g)
{
    g->given += give_words(s, g->n_words, g->first, g->n - g->given);
    if (g->second != g->first)
        g->given += give_words(s, g->n_words, g->second, g->n - g->given);
}

/* A scan is no snapshot: where permits move meanwhile, it can meet each of them while
   it is free.  So believe only several in a row.  */
#define SCANS 8

static int give_bounded(struct cmp_sem *s, struct gift *g)
{
    if (g->n_words == 0) {
        int rc = give_surplus(s, g->n, s->initial, -EPERM);
        g->given = rc == 0 ? g->n : 0;
        return rc;
    }
    for (int i = 0; i < SCANS; i++) {
        if (g->given == 0 && g->n > g->n_words - count(s, g->n_words, PERMIT_FREE))
            continue;
        give_taken(s, g);
        g->given += give_words(s, g->n_words, ANY_OWNER, g->n - g->given);
        if (g->given == g->n)
            return 0;
    }
    return is_damaged(s, g->n_words) ? -EUCLEAN : -EPERM;
}

static int give_unbounded(struct cmp_sem *s, struct gift *g)
{
    uint32_t surplus = load_relaxed(&s->surplus);

    if (surplus > CMP_SEM_MAX)
        return -EUCLEAN;
    if (g->n > CMP_SEM_MAX - surplus)
        return -EOVERFLOW;
    uint32_t room = CMP_SEM_MAX - surplus - g->n;
    if (room < CMP_SEM_OWNED && count(s, g->n_words, PERMIT_FREE) > room)
        return -EOVERFLOW;
    give_taken(s, g);
    g->given += give_words(s, g->n_words, PERMIT_ABSENT, g->n - g->given);
    if (g->given == g->n)
        return 0;
    int rc = give_surplus(s, g->n - g->given, CMP_SEM_MAX, -EOVERFLOW);
    if (rc == 0)
        g->given = g->n;
    return rc;
}

int cmp_sem_release(struct cmp_sem *s, bool with, uint32_t n)
{
    uint32_t me = cmp_me(); /* before pending, which it may use itself */
    uint32_t mine = me != 0 ? me : PERMIT_ANON;
    struct gift g = {
        .n_words = s->n_words, .n = n,
        .first = with ? mine : PERMIT_ANON, .second = with ? PERMIT_ANON : mine,
    };

    if (g.n_words > CMP_SEM_OWNED)
        return -EUCLEAN;
    cmp_pending(&s->park);
    CMP_HOOK("sem.release.pending");
    int rc = s->bounded ? give_bounded(s, &g) : give_unbounded(s, &g);
    if (g.given > 0 && load_seqcst(&s->park) != 0) {
        cmp_wake(&s->park, PARK_ARMED, g.given < CMP_SEM_MAX ? (int)g.given : CMP_UNPARK_ALL);
        store_relaxed(&s->cpu, (uint32_t)cmp_cpu() + 1);
    }
    cmp_pending(NULL);
    return rc;
}

/* ---- looks ----------------------------------------------------------------------------- */

uint32_t cmp_sem_value(struct cmp_sem *s)
{
    uint32_t n_words = s->n_words, surplus = load_relaxed(&s->surplus);
    uint32_t n = count(s, n_words <= CMP_SEM_OWNED ? n_words : 0, PERMIT_FREE);
    return surplus > CMP_SEM_MAX - n ? CMP_SEM_MAX : surplus + n;
}

/* Backwards: words leave ABSENT from the front, so one that is seen given was given
   after those before it.  */
static const char *check_permits(struct cmp_sem *s)
{
    bool later_given = false;
    for (uint32_t i = s->n_words; i-- > 0;) {
        uint32_t seen = load_seqcst(&s->permit[i]);
        if (!is_sound(seen))
            return "a permit word names no process slot";
        if (seen == PERMIT_ABSENT && later_given)
            return "a permit was given before an earlier one";
        if (seen == PERMIT_ABSENT && s->bounded)
            return "a bounded semaphore lacks a permit";
        later_given |= seen != PERMIT_ABSENT;
    }
    return NULL;
}

const char *cmp_sem_check(struct cmp_sem *s)
{
    uint32_t park = load_relaxed(&s->park), surplus = load_relaxed(&s->surplus);
    bool owned = s->initial <= CMP_SEM_OWNED;

    if (s->initial > CMP_SEM_MAX || s->bounded > 1 || s->node >= CMP_HOLD_WORDS)
        return "the semaphore is not one";
    if (s->n_words != (!owned ? 0 : s->bounded ? s->initial : CMP_SEM_OWNED))
        return "the semaphore has another number of permit words than it should";
    if (park != 0 && park != PARK_ARMED)
        return "the park word of the semaphore is neither 0 nor armed";
    if (surplus > (!s->bounded ? CMP_SEM_MAX : owned ? 0 : s->initial))
        return "the semaphore has more permits than it may";
    return check_permits(s);
}
