/* scenario_side.c -- the two sides of a ring or queue, with a record that is one word: who puts and
   who gets, each with a seat for the one who waits.  */
#include "core/side.h"
#include "scenario.h"

static struct cmp_side *put, *get;
static cmp_word *slot; /* two of them; a record is its position and 1 */
static uint32_t room;  /* r/o: records that there is room for */
static uint64_t got;   /* positions that were got, one bit each */
static bool waits_to_get[ACTORS], waits_to_put[ACTORS];

static void side_setup(void)
{
    make_family();
    put = cell(0);
    get = put + 1;
    slot = cell(1);
    room = 1;
}

static bool can_put(void *arg)
{
    (void)arg;
    uint64_t head = load64_seqcst(&get->at);
    return load64_seqcst(&put->at) - head < room;
}

static bool can_get(void *arg)
{
    (void)arg;
    uint64_t head = load64_seqcst(&get->at);
    return load64_seqcst(&put->at) != head;
}

static int put_one(void *arg)
{
    uint64_t at = load64_relaxed(&put->at);
    if (!can_put(arg))
        return -EAGAIN;
    store_relaxed(&slot[at % 2], (uint32_t)at + 1);
    cmp_side_commit(put, get, at + 1);
    return 0;
}

static int get_one(void *arg)
{
    uint64_t at = load64_relaxed(&get->at);
    if (!can_get(arg))
        return -EAGAIN;
    MUST(load_relaxed(&slot[at % 2]) == at + 1);
    *(uint64_t *)arg = at;
    cmp_side_commit(get, put, at + 1);
    return 0;
}

static int do_put(int64_t deadline_ns)
{
    static struct cmp_spin spin;
    struct cmp_turn turn = {.side = put, .other = get, .possible = can_put, .act = put_one, .spin = &spin};
    return cmp_turn_take(&turn, deadline_ns);
}

static int do_get(uint64_t *at, int64_t deadline_ns)
{
    static struct cmp_spin spin;
    struct cmp_turn turn = {.side = get, .other = put, .possible = can_get, .act = get_one, .arg = at, .spin = &spin};
    return cmp_turn_take(&turn, deadline_ns);
}

static void getter_until(int64_t deadline_ns)
{
    uint64_t at = 0;
    int rc;
    waits_to_get[model_self()] = true;
    while ((rc = do_get(&at, deadline_ns)) == -EINTR)
        ;
    waits_to_get[model_self()] = false;
    MUST(rc == 0 || (rc == -ETIMEDOUT && deadline_ns != CMP_FOREVER));
    if (rc == 0) {
        MUST((got >> at & 1) == 0);
        got |= UINT64_C(1) << at;
    }
}

static void getter(void)
{
    getter_until(CMP_FOREVER);
}

static void impatient_getter(void)
{
    getter_until(SOON);
}

static void putter(void)
{
    int rc;
    waits_to_put[model_self()] = true;
    while ((rc = do_put(CMP_FOREVER)) == -EINTR)
        ;
    MUST(rc == 0);
    waits_to_put[model_self()] = false;
}

/* Who looks, and leaves it as it is. */
static void looker(void)
{
    static struct cmp_spin spin;
    struct cmp_turn turn = {.side = get, .other = put, .possible = can_get, .spin = &spin};
    int rc;
    waits_to_get[model_self()] = true;
    while ((rc = cmp_turn_take(&turn, CMP_FOREVER)) == -EINTR)
        ;
    waits_to_get[model_self()] = false;
    MUST(rc == 0);
}

/* Who still sleeps has nothing to do. */
static void side_final(void)
{
    bool empty = !can_get(NULL), full = !can_put(NULL);
    for (int i = 0; i < ACTORS; i++)
        if (model_phase(i) == ASLEEP)
            MUST((waits_to_get[i] && empty) || (waits_to_put[i] && full));
        else
            MUST(model_phase(i) != READY);
    MUST(cmp_side_check(put) == NULL && cmp_side_check(get) == NULL);
}

const struct scenario side_get = {
    .name = "side-get", .n_actors = 3, .setup = side_setup, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 2},
    .body = {getter, getter, putter}, .final = side_final,
};
const struct scenario side_put = {
    .name = "side-put", .n_actors = 3, .setup = side_setup, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 1, .spurious = 1},
    .body = {getter, putter, putter}, .final = side_final,
};
const struct scenario side_timeout = {
    .name = "side-timeout", .n_actors = 3, .setup = side_setup, .join = join_family,
    .budget = {.crashes = 1, .timeouts = 1}, .full = {.crashes = 1, .timeouts = 1, .signals = 1},
    .body = {impatient_getter, getter, putter}, .final = side_final,
};
const struct scenario side_look = {
    .name = "side-look", .n_actors = 3, .setup = side_setup, .join = join_family,
    .budget = {.crashes = 1}, .full = {.crashes = 2},
    .body = {looker, getter, putter}, .final = side_final,
};
const struct scenario side_relay = {
    .name = "side-relay", .n_actors = 4, .setup = side_setup, .join = join_family,
    .budget = {.crashes = 2},
    .crashable = 7, .body = {getter, getter, getter, putter}, .final = side_final,
};
