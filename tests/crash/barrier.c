/* barrier.c -- Barrier: rounds, actions, those who die on the way, abort and reset. */
#include "../../src/core/barrier.h"
#include "harness.h"

static struct cmp_barrier *barrier;
static int n_rounds;
static uint64_t first_state;

static void make_barrier(uint32_t parties, bool action)
{
    cmp_ref ref;
    barrier = make(CMP_TYPE_BARRIER, cmp_barrier_bytes(parties), &ref);
    cmp_barrier_init(barrier, cmp_object_index(ref), parties, action);
    first_state = load64_seqcst(&barrier->state);
    show_on_failure("barrier", barrier, cmp_barrier_bytes(parties));
}

/* count[0]: how often the action was run. */
static int pass(void)
{
    uint32_t index, phase;
    int rc = cmp_barrier_wait(barrier, CMP_FOREVER, &index, &phase);
    if (rc != CMP_BARRIER_ACT)
        return rc;
    add_seqcst(&board->count[0], 1);
    return cmp_barrier_acted(barrier, phase);
}

/* result: 1 + the rounds passed. */
static void party(int id)
{
    uint32_t n = 0;
    mark(id);
    ready();
    for (int i = 0; i < n_rounds; i++) {
        int rc = pass();
        if (rc != 0 && rc != -EPIPE)
            violation("actor %d: wait: %d", id, rc);
        if (rc != 0)
            break;
        n++;
    }
    store_seqcst(&board->result[id], n + 1);
}

static void resetter(int id)
{
    (void)id;
    ready();
    cmp_barrier_reset(barrier);
}

static void aborter(int id)
{
    (void)id;
    ready();
    cmp_barrier_abort(barrier);
}

/* Whether that process is among those who wait in the present round. */
static bool has_arrived(const struct actor *a)
{
    uint32_t code = load_seqcst(&board->code[a->id]);
    uint32_t phase = (uint32_t)load64_seqcst(&barrier->state) >> 2;
    for (uint32_t i = 0; i < barrier->n_parties; i++) {
        uint64_t w = load64_seqcst(&barrier->arrival[i]);
        if ((uint32_t)w == code && (uint32_t)(w >> 32) == phase)
            return true;
    }
    return false;
}

static void all_pass_the_same(void)
{
    uint32_t rounds = 0;
    for (int i = 0; i < MAX_ACTORS; i++) {
        uint32_t r = load_seqcst(&board->result[i]);
        if (r == 0)
            continue;
        if (rounds != 0 && r != rounds)
            violation("one has passed %u rounds, another %u", rounds - 1, r - 1);
        rounds = r;
    }
    if (barrier->has_action && rounds != 0 && load_seqcst(&board->count[0]) + 1 < rounds)
        violation("%u rounds, %u actions", rounds - 1, load_seqcst(&board->count[0]));
}

static struct actor *the_victim;

/* It died before it arrived: the others may wait for it.  */
static bool waits_for_the_dead(void)
{
    if (second_dies_too())
        return !cmp_barrier_broken(barrier); /* or the second one: who of them had arrived? */
    return the_victim->gone && !has_arrived(the_victim) && !cmp_barrier_broken(barrier) &&
           n_finished() == 0;
}

/* Three parties.  The victim comes first, second or last; it dies at each of its points, so
   the others pass, all of them, or all break. */
enum { FIRST, SECOND, LAST };
#define ACTION 4
#define ROUNDS 8
#define ONE_MISSING 16 /* four parties, three come */
static void rounds(int a, int b)
{
    int place = a & 3;
    (void)b;
    n_rounds = a & ROUNDS ? 3 : 1;
    make_barrier(a & ONE_MISSING ? 4 : 3, a & ACTION);
    for (int i = 0; i < place; i++)
        spawn_sleeper(party);
    struct actor *v = the_victim = spawn_victim(party);
    bool dead = lead(v);
    for (int i = place; i < 2; i++) {
        struct actor *p = spawn_marked(party);
        for (int n = 0; n < 200 && !is_asleep(p->pid) && !is_finished(p); n++)
            usleep(20);
    }
    if (!dead && (a & ONE_MISSING || (a & ROUNDS && second_dies_too())))
        lead_on_or_leave_asleep(v);
    else if (!dead)
        lead_on(v);
    second_dies();
    usleep(200);
    settle(waits_for_the_dead);
    if (!all_finished())
        cmp_barrier_abort(barrier);
    settle(NULL);
    if (!second_dies_too())
        all_pass_the_same();
}

/* Two of three sleep; the victim resets or aborts. */
static void reset(int aborts, int b)
{
    (void)b;
    n_rounds = 1;
    make_barrier(3, false);
    spawn_sleepers(party, 2);
    uint64_t before = load64_seqcst(&barrier->state);
    lead(spawn_victim(aborts ? aborter : resetter));
    second_dies();
    if (load64_seqcst(&barrier->state) == before)
        (aborts ? cmp_barrier_abort : cmp_barrier_reset)(barrier);
    settle(NULL);
    for (int i = 0; i < 2; i++)
        if (load_seqcst(&board->result[i]) > 1)
            violation("a party passed a barrier that was %s", aborts ? "aborted" : "reset");
    if (aborts || cmp_barrier_broken(barrier)) {
        if (!cmp_barrier_broken(barrier))
            violation("aborted, and not broken");
        cmp_barrier_reset(barrier);
    }
    struct actor *next[3];
    for (int i = 0; i < 3; i++)
        next[i] = spawn(party);
    settle(NULL);
    for (int i = 0; i < 3; i++)
        if (load_seqcst(&board->result[next[i]->id]) != 2 && verdict->hangs == 0)
            violation("the next round after a reset was not passed");
}

/* It died before it arrived, and the first phase is not over: the other one waits for it. */
static bool waits_for_who_never_came(void)
{
    return the_victim->gone && !has_arrived(the_victim) &&
           load64_seqcst(&barrier->state) == first_state;
}

/* A party stands at each of its points up to its sleep; the last one comes and is killed at
   each of its own. */
static void party_before_sleep(int a, int b)
{
    (void)a, (void)b;
    n_rounds = 1;
    make_barrier(2, false);
    struct actor *v = spawn_victim(party);
    stop_here(v);
    the_victim = spawn_second(party);
    second_dies();
    release_actor(v);
    usleep(200);
    settle(waits_for_who_never_came);
    if (!all_finished())
        cmp_barrier_abort(barrier);
    settle(NULL);
}

/* The victim sleeps as the only one when another party dies: it breaks the barrier. */
static void breaks(int a, int b)
{
    (void)a, (void)b;
    n_rounds = 1;
    make_barrier(3, false);
    struct actor *dying = spawn(party);
    await_sleep(dying);
    struct actor *v = spawn_victim(party);
    bool dead = lead(v);
    kill_actor(dying);
    if (!dead)
        lead_on(v);
    struct actor *late = spawn(party); /* finds it broken, or the dead */
    late->bystander = true;
    usleep(200);
    settle(NULL);
    for (int n = 0; n < 500 && !is_asleep(late->pid) && !is_finished(late); n++)
        usleep(20);
    late->bystander = false;
    if (!cmp_barrier_broken(barrier) && (!v->gone || has_arrived(v)))
        settle(NULL);
    else if (!cmp_barrier_broken(barrier))
        cmp_barrier_abort(barrier);
    settle(NULL);
}

static void on_signal(int signal)
{
    (void)signal;
}

/* Its wait is interrupted by a signal, and goes on. */
static void interrupted(int id)
{
    struct sigaction handler = {.sa_handler = on_signal};
    uint32_t index = CMP_BARRIER_NONE, phase = 0;
    sigaction(SIGUSR1, &handler, NULL);
    mark(id);
    ready();
    int rc = cmp_barrier_wait(barrier, CMP_FOREVER, &index, &phase);
    while (rc == -EINTR)
        rc = cmp_barrier_resume(barrier, CMP_FOREVER, index, phase);
    if (rc != 0 && rc != -EPIPE)
        violation("actor %d: wait: %d", id, rc);
    store_seqcst(&board->result[id], rc == 0 ? 2 : 1);
}

static void interrupt(int a, int b)
{
    (void)a, (void)b;
    n_rounds = 1;
    make_barrier(3, false);
    spawn_sleepers(party, 1);
    struct actor *v = the_victim = spawn_victim(interrupted);
    bool dead = lead(v);
    if (!dead) {
        kill(v->pid, SIGUSR1);
        lead_for(v, 3);
    }
    spawn(party);
    if (!v->gone && !is_finished(v))
        lead_on(v);
    second_dies();
    usleep(200);
    settle(waits_for_the_dead);
    if (!all_finished())
        cmp_barrier_abort(barrier);
    settle(NULL);
    if (!second_dies_too())
        all_pass_the_same();
}

static const struct scenario list[] = {
    {"barrier: 3 parties, victim first", rounds, FIRST, 0, 1, 0, 0},
    {"barrier: 3 parties, victim second", rounds, SECOND, 0, 1, 1, 0},
    {"barrier: 3 parties, victim last", rounds, LAST, 0, 1, 2, 0},
    {"barrier: 3 parties, action, victim first", rounds, FIRST | ACTION, 0, 2, 0, 0},
    {"barrier: 3 parties, action, victim last", rounds, LAST | ACTION, 0, 1, 2, 0},
    {"barrier: 3 parties, 3 rounds at once, victim first", rounds, FIRST | ROUNDS, 0, 3, 0, 0},
    {"barrier: 3 parties, 3 rounds at once, action, victim last", rounds, LAST | ACTION | ROUNDS, 0, 3, 2, 0},
    {"barrier: 3 of 4 parties come, victim first", rounds, FIRST | ONE_MISSING, 0, 1, 0, 0},
    {"barrier: 3 of 4 parties come, victim last", rounds, LAST | ONE_MISSING, 0, 1, 2, 0},
    {"barrier: another party dies, the victim breaks it", breaks, 0, 0, 2, 0, 0},
    {"barrier: interrupted by a signal, resumed", interrupt, 0, 0, 2, 1, 0},
    {"barrier: reset, 2 of 3 sleep", reset, 0, 0, 1, 2, 0},
    {"barrier: abort, 2 of 3 sleep", reset, 1, 0, 1, 2, 0},
    {"barrier: a party killed while another is about to sleep", party_before_sleep, 0, 0, 17, 1, IN_STEP},
};
SCENARIOS(list)
