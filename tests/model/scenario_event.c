/* scenario_event.c -- the park word, by way of Event: nobody misses a set(). */
#include "core/event.h"
#include "scenario.h"

static struct cmp_event *event;
static uint32_t seen[ACTORS]; /* count when its wait began */
static bool waiting[ACTORS];

static void event_setup(void)
{
    make_family();
    event = cell(0);
    cmp_event_init(event);
}

static void wait_for_event(int64_t deadline_ns)
{
    int self = model_self();
    seen[self] = cmp_event_count(event);
    waiting[self] = true;
    int rc;
    while ((rc = cmp_event_wait_since(event, seen[self], deadline_ns)) == -EINTR)
        ;
    MUST(rc == 0 || rc == -ETIMEDOUT);
    MUST(rc != 0 || seen[self] % 2 == 1 || load_relaxed(&event->count) != seen[self]);
    waiting[self] = false;
}

static void waiter(void)
{
    wait_for_event(CMP_FOREVER);
}

static void waiter_twice(void)
{
    wait_for_event(SOON);
    wait_for_event(CMP_FOREVER);
}

static void setter(void)
{
    cmp_event_set(event);
}

static void pulser(void)
{
    cmp_event_set(event);
    cmp_event_clear(event);
}

/* Who still sleeps must not have missed anything. */
static void event_final(void)
{
    uint32_t count = load_relaxed(&event->count);
    for (int i = 0; i < ACTORS; i++)
        if (model_phase(i) == ASLEEP)
            MUST(waiting[i] && seen[i] % 2 == 0 && seen[i] == count);
        else
            MUST(model_phase(i) != READY);
    MUST(cmp_event_check(event) == NULL);
}

const struct scenario event_set = {
    .name = "event-set", .n_actors = 4, .setup = event_setup, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 2},
    .body = {waiter, waiter, waiter, setter}, .final = event_final,
};
const struct scenario event_pulse = {
    .name = "event-pulse", .n_actors = 3, .setup = event_setup, .join = join_family,
    .budget = {.crashes = 1, .timeouts = 1, .signals = 1, .spurious = 1},
    .body = {waiter_twice, waiter, pulser}, .final = event_final,
};
const struct scenario event_setters = {
    .name = "event-setters", .n_actors = 4, .setup = event_setup, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 2},
    .body = {waiter, waiter, pulser, setter}, .final = event_final,
};
