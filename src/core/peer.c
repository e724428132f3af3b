#include "peer.h"
#include "held.h"
#include "owner.h"
#include "slab.h"
#include "wait.h"

#define BIRTH_NS INT64_C(10000000) /* between two looks at what is on its way */

void cmp_peer_init(struct cmp_peer *p, cmp_ref ref, cmp_word *closes)
{
    *p = (struct cmp_peer){.ref = ref, .closes = closes};
}

static uint32_t node_of(const struct cmp_peer *p)
{
    return cmp_object_index(p->ref) % CMP_HOLD_WORDS;
}

/* What is known of the process of one slot.  */
enum holder {
    NOBODY,    /* it does not hold it, or has ended */
    UNWATCHED, /* it does, and its end will wake nobody */
    WATCHED,
};

static enum holder ask_process(const struct cmp_peer *p, uint32_t code, bool doubt,
                               struct cmp_peer_watch *watch)
{
    uint32_t word;
    switch (cmp_owner_hint(code, node_of(p), &word)) {
    case CMP_HINT_ALIVE:
        if (doubt && cmp_owner_has_ended(code))
            return NOBODY;
        watch->code = code;
        watch->hold = (struct cmp_watch){cmp_owner_hold(code, node_of(p)), word};
        return WATCHED;
    case CMP_HINT_ORPHANED:
        if (cmp_owner_has_ended(code))
            return NOBODY;
        watch->limit_ns = CMP_ORPHAN_NS;
        return UNWATCHED;
    case CMP_HINT_DEAD:
        cmp_owner_relay(code, node_of(p)); /* the kernel has woken one, of any primitive */
        return NOBODY;
    default:
        return NOBODY;
    }
}

/* Requires the process lock. */
static enum holder ask_slot(const struct cmp_peer *p, uint32_t number, bool doubt,
                            struct cmp_peer_watch *watch)
{
    struct cmp_slot *s = cmp_slot_at(number);
    uint64_t state = s == NULL ? 0 : load64_seqcst(&s->state);
    enum holder holder = UNWATCHED;

    if (cmp_state_phase(state) < CMP_SLOT_EMBRYO || !cmp_held_test(s, cmp_object_index(p->ref)))
        return NOBODY;
    if (number == cmp_me_number() && cmp_me_slot() != NULL) {
        watch->limit_ns = INT64_MAX; /* its own end need not wake it */
        watch->code = cmp_code_of(number, cmp_state_gen(state));
        return WATCHED;
    }
    if (cmp_state_phase(state) != CMP_SLOT_EMBRYO)
        holder = ask_process(p, cmp_code_of(number, cmp_state_gen(state)), doubt, watch);
    else if (cmp_slot_dead(number, state, false))
        holder = NOBODY;
    else
        watch->limit_ns = BIRTH_NS;
    /* A bit of the slot's next process says nothing about this one; look at that again. */
    if (cmp_state_gen(load64_seqcst(&s->state)) != cmp_state_gen(state))
        return ask_slot(p, number, doubt, watch);
    return holder;
}

/* Who can be watched, or else anybody. */
static enum holder ask_all(const struct cmp_peer *p, bool doubt, struct cmp_peer_watch *watch)
{
    uint32_t known = (uint32_t)load64_relaxed((cmp_word64 *)(uintptr_t)&p->known);
    enum holder best = NOBODY;

    if (cmp_me_slot() != NULL)
        best = ask_slot(p, cmp_me_number(), doubt, watch);
    if (best != WATCHED && known != 0)
        best = ask_slot(p, known & (CMP_SLOTS - 1), doubt, watch);
    for (uint32_t i = 0, n = cmp_slot_count(); best != WATCHED && i < n; i++) {
        enum holder holder = ask_slot(p, i, doubt, watch);
        if (holder != NOBODY)
            best = holder;
    }
    return best;
}

/* Who could bring the object: it is in a record, for an end that may be in a record itself.  */
#define TRAIL 32

struct trail {
    int n;
    bool lost; /* there are more */
    struct {
        cmp_ref ref;
        uint64_t word; /* as it was before anybody was asked */
    } steps[TRAIL];
};

static uint64_t word_of(cmp_ref ref)
{
    uint32_t index = cmp_object_index(ref);
    struct cmp_view *v = ref >> 50 != 0 ? NULL : cmp_view_of(index);
    return v == NULL ? 0 : load64_seqcst(cmp_view_word(v, index));
}

static void add_step(void *arg, cmp_ref ref)
{
    struct trail *t = arg;
    for (int i = 0; i < t->n; i++)
        if (t->steps[i].ref == ref)
            return;
    uint64_t word = word_of(ref);
    if (cmp_word_phase(word) != CMP_OBJECT_LIVE || cmp_word_gen(word) != (uint32_t)(ref >> 24))
        return;
    t->lost |= t->n == TRAIL;
    if (!t->lost) {
        t->steps[t->n].ref = ref;
        t->steps[t->n++].word = word;
    }
}

/* Who holds it; or whether anybody does, or can get what holds it.  */
static enum holder follow_trail(const struct cmp_peer *p, bool doubt, struct trail *t,
                                struct cmp_peer_watch *watch)
{
    add_step(t, p->ref);
    for (int i = 0; i < t->n && !t->lost; i++) {
        struct cmp_peer_watch unused = CMP_PEER_WATCH_INIT;
        struct cmp_peer taker = {.ref = t->steps[i].ref};
        enum holder holder = i == 0 ? ask_all(p, doubt, watch) : ask_all(&taker, doubt, &unused);
        if (holder != NOBODY && i == 0)
            return holder;
        if (holder != NOBODY) {
            watch->limit_ns = BIRTH_NS;
            return UNWATCHED;
        }
        cmp_object_each_taker(t->steps[i].ref, add_step, t);
    }
    if (t->lost)
        watch->limit_ns = BIRTH_NS;
    return t->lost ? UNWATCHED : NOBODY;
}

static bool has_moved(const struct trail *t)
{
    for (int i = 0; i < t->n; i++)
        if (word_of(t->steps[i].ref) != t->steps[i].word)
            return true;
    return false;
}

/* An object's word changes whenever a reference to it moves, after the new place has it
   and before the old one has not: so where nothing has changed, no place was missed.  */
static enum holder find_holder(const struct cmp_peer *p, bool doubt, struct cmp_peer_watch *watch)
{
    struct trail t;
    do {
        t.n = 0;
        t.lost = false;
        watch->limit_ns = INT64_MAX;
        watch->hold.word = NULL;
        enum holder holder = follow_trail(p, doubt, &t, watch);
        if (holder != NOBODY)
            return holder;
    } while (has_moved(&t));
    return NOBODY;
}

int cmp_peer_look(struct cmp_peer *p, bool doubt, struct cmp_peer_watch *watch)
{
    /* SYNC seq_cst: before the bits; pairs with who lets go, and changes it after his. */
    uint32_t closes = load_seqcst(p->closes);
    watch->closes = (struct cmp_watch){p->closes, closes};
    cmp_process_lock();
    enum holder holder = find_holder(p, doubt, watch);
    cmp_process_unlock();
    store64_relaxed(&p->known, holder == WATCHED ? (uint64_t)closes << 32 | watch->code : 0);
    return holder == NOBODY ? -EPIPE : 0;
}

bool cmp_peer_is_there(struct cmp_peer *p)
{
    struct cmp_peer_watch watch = CMP_PEER_WATCH_INIT;
    uint64_t known = load64_relaxed(&p->known);
    uint32_t word;

    if (known != 0 && load_seqcst(p->closes) == (uint32_t)(known >> 32) &&
        cmp_owner_hint((uint32_t)known, node_of(p), &word) == CMP_HINT_ALIVE)
        return true;
    return cmp_peer_look(p, false, &watch) == 0;
}

void cmp_peer_relay(const struct cmp_peer_watch *watch)
{
    if (watch->hold.word != NULL && load_seqcst(watch->hold.word) != watch->hold.expected)
        cmp_unpark(watch->hold.word, CMP_UNPARK_ALL);
}
