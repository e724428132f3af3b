/* event.c -- Event: set, clear, wait; pulses. */
#include "../../src/core/event.h"
#include "harness.h"

static struct cmp_event *event;

static void make_event(void)
{
    event = make(CMP_TYPE_EVENT, sizeof *event, NULL);
    cmp_event_init(event);
    show_on_failure("event", event, sizeof *event);
}

static void waiter(int id)
{
    ready();
    int rc = cmp_event_wait(event, CMP_FOREVER);
    if (rc != 0)
        violation("actor %d: wait: %d", id, rc);
}

static void setter(int id)
{
    (void)id;
    ready();
    cmp_event_set(event);
}

static void pulser(int id)
{
    (void)id;
    ready();
    cmp_event_set(event);
    cmp_event_clear(event);
}

/* The victim sets, b wait: all of them wake, or none. */
static void set(int pulse, int b)
{
    make_event();
    spawn_sleepers(waiter, b);
    uint32_t before = load_seqcst(&event->count);
    lead(spawn_victim(pulse ? pulser : setter));
    second_dies();
    if (load_seqcst(&event->count) == before)
        cmp_event_set(event);
    settle(NULL);
    cmp_event_set(event);
    spawn(waiter);
    settle(NULL);
}

/* The victim waits, first or last of b + 1; then it is set, and perhaps cleared at once. */
#define PULSE 1
#define VICTIM_LAST 2
static void wait_for(int how, int b)
{
    make_event();
    if (how & VICTIM_LAST)
        spawn_sleepers(waiter, b);
    struct actor *v = spawn_victim(waiter);
    bool dead = lead(v);
    if (!(how & VICTIM_LAST))
        spawn_sleepers(waiter, b);
    cmp_event_set(event);
    if (how & PULSE)
        cmp_event_clear(event);
    if (!dead)
        lead_on(v);
    second_dies();
    settle(NULL);
}

/* As in sem.c: set() killed at each point, a waiter at each of its own up to its sleep. */
static void set_before_sleep(int a, int b)
{
    (void)a, (void)b;
    make_event();
    struct actor *v = spawn_victim(waiter);
    stop_here(v);
    spawn_second(setter);
    second_dies();
    release_actor(v);
    if (!cmp_event_is_set(event))
        cmp_event_set(event);
    settle(NULL);
}

static const struct scenario list[] = {
    {"event: set, nobody waits", set, 0, 0, 1, 0, 0},
    {"event: set, 3 wait", set, 0, 3, 1, 3, 0},
    {"event: set and clear, 3 wait", set, 1, 3, 1, 3, 0},
    {"event: wait, first of 3, set", wait_for, 0, 2, 1, 2, 0},
    {"event: wait, last of 3, set", wait_for, VICTIM_LAST, 2, 1, 2, 0},
    {"event: wait, first of 3, set and clear", wait_for, PULSE, 2, 1, 2, 0},
    {"event: wait, last of 3, set and clear", wait_for, PULSE | VICTIM_LAST, 2, 1, 2, 0},
    {"event: set() killed while another is about to sleep", set_before_sleep, 0, 0, 5, 1, IN_STEP},
};
SCENARIOS(list)
