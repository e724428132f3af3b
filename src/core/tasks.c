#include "tasks.h"
#include "owner.h"
#include "queue.h"
#include "vigil.h"

#define COUNT_BITS 34
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

static uint32_t code_of(uint64_t word)
{
    return (uint32_t)(word >> COUNT_BITS);
}

/* Disarmed before the wake: while idle is pending the kernel wakes one, who wakes all. */
static void wake_joiners(struct cmp_tasks *t)
{
    if (load_seqcst(&t->idle) == 0)
        return;
    xchg_seqcst(&t->idle, 0);
    CMP_HOOK("tasks.done.disarmed");
    cmp_unpark(&t->idle, CMP_UNPARK_ALL);
    CMP_HOOK("tasks.done.woke");
}

/* ---- this process's word ----------------------------------------------------------------- */

/* NULL: it has none.  The last one is tried first. */
static cmp_word64 *find_mine(struct cmp_tasks *t, uint32_t me)
{
    static cmp_word last;
    uint32_t at = load_relaxed(&last) % CMP_CONSUMERS;
    for (uint32_t i = 0; i < CMP_CONSUMERS; i++) {
        uint32_t j = (at + i) % CMP_CONSUMERS;
        if (code_of(load64_relaxed(&t->consumer[j])) == me) {
            store_relaxed(&last, j);
            return &t->consumer[j];
        }
    }
    return NULL;
}

static bool is_free(uint64_t word)
{
    return word == 0 || ((word & COUNT_MASK) == 0 && cmp_peer_ended(code_of(word), 0));
}

/* A new one, for which those who wait are to watch too. */
static void enroll(struct cmp_tasks *t, uint32_t me, uint32_t n)
{
    uint32_t i = 0;
    while (i < CMP_CONSUMERS && !is_free(load64_relaxed(&t->consumer[i])))
        i++;
    if (i == CMP_CONSUMERS) {
        store_seqcst(&t->full, 1);
        return;
    }
    cmp_pending(&t->idle);
    store_relaxed(&t->pid[i], (uint32_t)cmp_owner_pid(me));
    store64_seqcst(&t->consumer[i], (uint64_t)me << COUNT_BITS | n);
    CMP_HOOK("tasks.take.noted");
    wake_joiners(t);
    CMP_HOOK("tasks.take.woke");
    cmp_pending(NULL);
}

void cmp_tasks_take(struct cmp_tasks *t, uint32_t n)
{
    uint32_t me = cmp_me();
    cmp_word64 *mine = me == 0 ? NULL : find_mine(t, me);
    if (me == 0)
        store_seqcst(&t->full, 1);
    else if (mine == NULL)
        enroll(t, me, n);
    else
        add64_seqcst(mine, n);
}

/* Another process may have got it; then nobody's count falls. */
static void give_back(struct cmp_tasks *t)
{
    uint32_t me = load_relaxed(&cmp_me_code);
    cmp_word64 *mine = me == 0 ? NULL : find_mine(t, me);
    uint64_t seen = mine == NULL ? 0 : load64_relaxed(mine);
    while ((seen & COUNT_MASK) != 0 && code_of(seen) == me && !cas64_strong(mine, &seen, seen - 1))
        ;
}

/* ---- done with ---------------------------------------------------------------------------- */

static bool is_all_done(struct cmp_tasks *t, cmp_word64 *put)
{
    uint64_t done = load64_seqcst(&t->done);
    return done == cmp_queue_items(load64_seqcst(put));
}

int cmp_tasks_done(struct cmp_tasks *t, cmp_word64 *put)
{
    uint64_t done = load64_seqcst(&t->done);
    int rc = 0;

    cmp_pending(&t->idle);
    do
        rc = done < cmp_queue_items(load64_seqcst(put)) ? 0 : -EINVAL;
    while (rc == 0 && !cas64_strong(&t->done, &done, done + 1));
    CMP_HOOK("tasks.done.counted");
    if (rc == 0)
        give_back(t);
    if (rc == 0 && is_all_done(t, put))
        wake_joiners(t);
    cmp_pending(NULL);
    return rc;
}

/* ---- join ----------------------------------------------------------------------------------- */

struct join {
    struct cmp_tasks *t;
    cmp_word64 *put, *got;
    struct cmp_loss *loss;
    struct cmp_vigil vigil;
    uint64_t known; /* the sum of the codes that were looked at last */
};

static cmp_word *low_half(cmp_word64 *word)
{
    cmp_word *half = (cmp_word *)(void *)word;
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? half : half + 1;
}

/* Watch all consumers.  Whether items are lost. */
static bool look_for_loss(struct join *j)
{
    uint64_t got = cmp_queue_items(load64_seqcst(j->got)), living = 0, known = 0;
    *j->loss = (struct cmp_loss){0};
    for (uint32_t i = 0; i < CMP_CONSUMERS; i++) {
        uint64_t word = load64_seqcst(&j->t->consumer[i]), count = word & COUNT_MASK;
        known += code_of(word);
        if (word == 0)
            continue;
        if (!cmp_vigil_ended(&j->vigil, code_of(word))) {
            living += count;
        } else if (count > 0) {
            if (j->loss->count == 0)
                j->loss->pid = (int)load_relaxed(&j->t->pid[i]);
            j->loss->count += count;
        }
    }
    if (known != j->known) /* the wake may have been the kernel's, for one who has died since */
        cmp_unpark(&j->t->idle, CMP_UNPARK_ALL);
    j->known = known;
    int64_t lost = (int64_t)(got - load64_seqcst(&j->t->done) - living);
    if (j->loss->count == 0 || load_seqcst(&j->t->full) != 0)
        return false;
    if (lost <= 0)
        j->vigil.cut = true; /* it may be seen soon that they are */
    else if ((uint64_t)lost < j->loss->count)
        j->loss->count = (uint64_t)lost;
    return lost > 0;
}

static int join_once(struct join *j, int64_t deadline_ns)
{
    cmp_word *guard = low_half(&j->t->done);
    /* SYNC seq_cst: armed before the last look; pairs with wake_joiners. */
    xchg_seqcst(&j->t->idle, PARK_ARMED);
    uint32_t stands = load_seqcst(guard);
    if (is_all_done(j->t, j->put))
        return 0;
    cmp_vigil_begin(&j->vigil);
    cmp_vigil_guard(&j->vigil, &j->t->idle, PARK_ARMED);
    cmp_vigil_guard(&j->vigil, guard, stands);
    if (look_for_loss(j))
        return -EOWNERDEAD;
    CMP_HOOK("tasks.join.armed");
    return cmp_vigil_nap(&j->vigil, deadline_ns);
}

int cmp_tasks_join(struct cmp_tasks *t, cmp_word64 *put, cmp_word64 *got, struct cmp_loss *loss,
                   int64_t deadline_ns)
{
    struct join j = {.t = t, .put = put, .got = got, .loss = loss};
    int rc = 0;

    cmp_vigil_init(&j.vigil, cmp_me(), 0);
    cmp_pending(&t->idle);
    while (rc == 0 && !is_all_done(t, put))
        rc = join_once(&j, deadline_ns);
    bool all_done = is_all_done(t, put);
    if (j.vigil.nap.slept && all_done)
        cmp_unpark(&t->idle, CMP_UNPARK_ALL); /* it may have been the kernel's only wake */
    cmp_pending(NULL);
    return all_done ? 0 : rc;
}

const char *cmp_tasks_check(struct cmp_tasks *t)
{
    if (load_seqcst(&t->idle) & ~PARK_ARMED)
        return "a queue's idle word is neither 0 nor armed";
    for (uint32_t i = 0; i < CMP_CONSUMERS; i++) {
        uint32_t code = code_of(load64_seqcst(&t->consumer[i]));
        if (code != 0 && (code & CMP_CODE_TAG) == 0)
            return "a consumer's code is none";
    }
    return NULL;
}
