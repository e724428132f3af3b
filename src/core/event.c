#include "event.h"
#include "wait.h"

#define EVENT_SET UINT32_C(1) /* bit 0 of the count */

static struct cmp_spin spin;

/* One wait: over as soon as the count is odd, or no longer what it was. */
struct wait {
    struct cmp_event *event;
    uint32_t seen;
};

void cmp_event_init(struct cmp_event *e)
{
    *e = (struct cmp_event){0};
}

uint32_t cmp_event_count(struct cmp_event *e)
{
    /* SYNC acquire: pairs with the CAS of cmp_event_set. */
    return load_acquire(&e->count);
}

bool cmp_event_is_set(struct cmp_event *e)
{
    return (cmp_event_count(e) & EVENT_SET) != 0;
}

/* Where those sleep who wait at that count, or at the odd one after it.  */
static cmp_word *park_of(struct cmp_event *e, uint32_t count)
{
    return &e->park[count >> 1 & 1];
}

/* Make the count odd, with the park word pending of those whom that concerns: it is
   returned.  *changed: whether it was even.  */
static cmp_word *make_odd(struct cmp_event *e, bool *changed)
{
    uint32_t count = load_relaxed(&e->count);
    /* SYNC seq_cst: before the look at park, which a waiter arms before it looks at the
       count.  The CAS is there for an odd count too: a program that clears the event
       and then looks at its data must see what was written before a set() that found
       the event set. */
    do {
        cmp_pending(park_of(e, count));
        CMP_HOOK("event.set.pending");
    } while (!cas_strong(&e->count, &count, count | EVENT_SET));
    *changed = !(count & EVENT_SET);
    return park_of(e, count);
}

static void tell_cpu(struct cmp_event *e)
{
    uint32_t cpu = (uint32_t)cmp_cpu() + 1;
    if (load_relaxed(&e->cpu) != cpu)
        store_relaxed(&e->cpu, cpu);
}

void cmp_event_set(struct cmp_event *e)
{
    bool changed;
    cmp_word *park = make_odd(e, &changed);
    CMP_HOOK("event.set.changed");
    /* Also if it was set before: who set it may have been stopped before its wake. */
    if (load_seqcst(park) != 0)
        cmp_wake(park, PARK_ARMED, CMP_UNPARK_ALL);
    cmp_pending(NULL);
    if (changed)
        tell_cpu(e);
}

void cmp_event_clear(struct cmp_event *e)
{
    uint32_t count = cmp_event_count(e);
    while (count & EVENT_SET)
        /* SYNC seq_cst: reads from the CAS of every set() before it; see make_odd. */
        if (cas_strong(&e->count, &count, count + 1))
            return;
}

static bool is_over(const void *arg)
{
    const struct wait *w = arg;
    /* SYNC seq_cst: pairs with the CAS of cmp_event_set, after park was armed. */
    return (w->seen & EVENT_SET) || load_seqcst(&w->event->count) != w->seen;
}

static int sleep_until_over(const struct wait *w, struct cmp_nap *nap, int64_t deadline_ns)
{
    cmp_word *park = park_of(w->event, w->seen);
    struct cmp_watch words[] = {{park, PARK_ARMED}, {&w->event->count, w->seen}};
    int rc = 0;

    while (rc == 0) {
        /* SYNC seq_cst: armed before the last look at the count, here and by the kernel. */
        xchg_seqcst(park, PARK_ARMED);
        CMP_HOOK("event.wait.armed");
        if (is_over(w))
            return 0;
        rc = cmp_nap(nap, words, 2, deadline_ns);
        CMP_HOOK("event.wait.woken");
    }
    return is_over(w) ? 0 : rc;
}

int cmp_event_wait_since(struct cmp_event *e, uint32_t seen, int64_t deadline_ns)
{
    struct wait w = {e, seen};
    struct cmp_nap nap = CMP_NAP_INIT;

    if (is_over(&w))
        return 0;
    if (deadline_ns != CMP_FOREVER && cmp_now_ns() >= deadline_ns)
        return -ETIMEDOUT;
    if (cmp_spin(&spin, (int)load_relaxed(&e->cpu) - 1, is_over, &w))
        return 0;
    cmp_word *park = park_of(e, seen);
    cmp_pending(park);
    int rc = sleep_until_over(&w, &nap, deadline_ns);
    if (rc == 0 && nap.slept) {
        /* The wake may have come from the kernel, for a setter or another waiter that
           died: then it was for this thread alone.  Armed or not: the setter may have
           died after it disarmed. */
        CMP_HOOK("event.wait.relay");
        cmp_unpark(park, CMP_UNPARK_ALL);
        CMP_HOOK("event.wait.relayed");
    }
    cmp_pending(NULL);
    return rc;
}

int cmp_event_wait(struct cmp_event *e, int64_t deadline_ns)
{
    return cmp_event_wait_since(e, cmp_event_count(e), deadline_ns);
}

const char *cmp_event_check(struct cmp_event *e)
{
    for (int i = 0; i < 2; i++) {
        uint32_t park = load_relaxed(&e->park[i]);
        if (park != 0 && park != PARK_ARMED)
            return "a park word of the event is neither 0 nor armed";
    }
    return NULL;
}
