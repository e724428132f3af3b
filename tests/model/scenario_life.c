/* scenario_life.c -- lifetime of objects: nothing that somebody can reach is freed, and
   what nobody can reach is free after two sweeps. */
#include "core/check.h"
#include "core/cond.h"
#include "core/object.h"
#include "core/slab.h"
#include "scenario.h"

#define CELL_BYTES 4096 /* 15 in a slab: a sweep is short */
#define JUDGE 4         /* a process that sweeps in the end */

static cmp_ref ref;             /* of the object that it is all about */
static cmp_word64 *word;        /* its word */
static bool has[ACTORS];        /* a handle in that process */
static struct cmp_embryo embryo;

static void make_object(void)
{
    void *at;
    MUST(cmp_object_create(CMP_TYPE_EVENT, CELL_BYTES, &ref, &at) == 0);
    word = cmp_view_word(cmp_view_of(cmp_object_index(ref)), cmp_object_index(ref));
    has[model_self()] = true;
}

/* The first process makes it, when the others are there already: it alone knows. */
static void join(void)
{
    join_family();
    if (model_self() == 0)
        make_object();
}

static void join_pinned(void)
{
    join();
    if (model_self() == 0)
        MUST(cmp_object_pin(ref) == 0);
}

static bool is_live(void)
{
    uint64_t seen = model_peek(word, 8);
    return cmp_word_phase(seen) == CMP_OBJECT_LIVE &&
           cmp_word_gen(seen) == (uint32_t)(ref >> 24);
}

/* Whether somebody has a handle.  An unborn process has what its parent still has. */
static bool is_reachable(void)
{
    for (int i = 0; i < ACTORS; i++)
        if (has[i] && model_phase(i) != UNBORN && !model_gone(i))
            return true;
    return false;
}

static void life_always(void)
{
    if (is_reachable())
        MUST(is_live());
}

static void say(void *arg, const char *what)
{
    (void)arg;
    model_violation("cmp_check: %s", what);
}

static bool runs(uint32_t pid)
{
    return pid >= FIRST_TID && pid < FIRST_TID + ACTORS && !model_gone((int)(pid - FIRST_TID));
}

static void life_final(void)
{
    model_no_sleepers();
    for (int i = 0; i < 2; i++)
        MUST(cmp_sweep() >= 0);
    MUST(is_live() == is_reachable());
    for (uint32_t i = 0; i < cmp_slot_count(); i++) {
        struct cmp_slot *s = cmp_slot_at(i);
        enum cmp_phase phase = cmp_state_phase(load64_relaxed(&s->state));
        MUST(phase == CMP_SLOT_FREE || (phase == CMP_SLOT_LIVE && runs(load_relaxed(&s->pid))));
    }
    cmp_check(say, NULL);
}

/* ---- what processes do ---------------------------------------------------------------- */

static void use(void)
{
    model_point("uses it");
    MUST(is_live());
}

static void drop(void)
{
    has[model_self()] = false;
    cmp_object_drop(ref);
}

static void owner_drops(void)
{
    use();
    drop();
}

static void owner_lives(void)
{
    model_point("lives");
}

static void sweeper(void)
{
    MUST(cmp_sweep() >= 0);
}

/* From a pickle of the first process, which keeps its pinned handle. */
static void taker(void)
{
    void *at;
    int rc = cmp_object_take(ref, CMP_TYPE_EVENT, &at);
    if (rc != 0) {
        MUST(rc == -ESTALE && model_gone(0));
        return;
    }
    has[model_self()] = true;
    owner_drops();
}

static void parent(void)
{
    has[2] = true; /* the child, from the fork on */
    model_fork(2);
    drop();
}

static void parent_of_none(void)
{
    drop();
}

static void creator(void)
{
    drop();
    void *at;
    cmp_ref other;
    MUST(cmp_object_create(CMP_TYPE_EVENT, CELL_BYTES, &other, &at) == 0);
    uint32_t index = cmp_object_index(other);
    uint64_t seen = model_peek(cmp_view_word(cmp_view_of(index), index), 8);
    MUST(cmp_word_phase(seen) == CMP_OBJECT_LIVE);
    ref = other;
    word = cmp_view_word(cmp_view_of(index), index);
    has[model_self()] = true;
    owner_drops();
}

static void spawner(void)
{
    if (cmp_embryo_create(&embryo) != 0)
        return;
    if (cmp_embryo_give(&embryo, ref) == 0) {
        has[1] = true; /* on its way */
        model_start(1);
    }
    cmp_embryo_sent(&embryo);
    drop();
}

static void spawned(void)
{
    void *at;
    MUST(cmp_embryo_adopt(&embryo) == 0);
    MUST(cmp_object_take(ref, CMP_TYPE_EVENT, &at) == 0);
    owner_drops();
}

/* ---- an object that is reached through another ------------------------------------------- */

static cmp_word64 *more_word;
static cmp_ref more;
static int source; /* the process that had it first */
static bool given; /* ... has given its own handle up */

static void make_cond(void)
{
    void *at, *block;
    MUST(cmp_object_create(CMP_TYPE_COND, CELL_BYTES, &ref, &at) == 0);
    MUST(cmp_object_create(CMP_TYPE_COND_MORE, CELL_BYTES, &more, &block) == 0);
    cmp_cond_init(at, cmp_object_index(ref));
    MUST(cmp_object_link(&((struct cmp_cond *)at)->more, more));
    word = cmp_view_word(cmp_view_of(cmp_object_index(ref)), cmp_object_index(ref));
    more_word = cmp_view_word(cmp_view_of(cmp_object_index(more)), cmp_object_index(more));
    /* As if another had made it, who alone may free it by its token. */
    MUST(cmp_object_pin(ref) == 0);
    cmp_object_drop(ref);
    source = model_self();
    has[source] = true;
    given = false;
}

static void join_cond(void)
{
    join_family();
    if (model_self() == 0)
        make_cond();
}

/* A sweep looks at the taker's table first, and then at that of the source. */
static void join_cond_other(void)
{
    join_family();
    if (model_self() == 1)
        make_cond();
}

static bool more_is_live(void)
{
    uint64_t seen = model_peek(more_word, 8);
    return cmp_word_phase(seen) == CMP_OBJECT_LIVE &&
           cmp_word_gen(seen) == (uint32_t)(more >> 24);
}

static void cond_always(void)
{
    life_always();
    if (is_reachable())
        MUST(more_is_live());
}

static void cond_final(void)
{
    life_final();
    MUST(more_is_live() == is_reachable());
}

static void cond_dropper(void)
{
    given = true;
    drop();
}

static void cond_taker(void)
{
    void *at;
    int rc = cmp_object_take(ref, CMP_TYPE_COND, &at);
    if (rc != 0) {
        MUST(rc == -ESTALE && (given || model_gone(source)));
        return;
    }
    has[model_self()] = true;
    owner_drops();
}

const struct scenario life_cond = {
    .name = "life-cond", .n_actors = 5, .setup = make_family, .join = join_cond,
    .budget = {.crashes = 1}, .full = {.crashes = 2}, .idle = 24, .judge = JUDGE,
    .body = {cond_dropper, cond_taker, sweeper}, .always = cond_always, .final = cond_final,
};

const struct scenario life_other = {
    .name = "life-other", .n_actors = 5, .setup = make_family, .join = join_cond_other,
    .budget = {.crashes = 1}, .full = {.crashes = 2}, .idle = 24, .judge = JUDGE,
    .body = {cond_taker, cond_dropper, sweeper}, .always = cond_always, .final = cond_final,
};

/* ---- a slot that is reaped, and used again, between the steps of another's sweep --------- */

/* The next claim begins at the first slot, process 0's. */
static void first_slot_next(void)
{
    store64_relaxed(&cmp_arena()->owner_words[CMP_ARENA_SLOT_HINT], 0);
}

static void join_source(void)
{
    join_cond();
    first_slot_next();
}

static void reaper(void)
{
    MUST(cmp_sweep() >= 0);
    model_fork(4);
}

static void nothing(void)
{
}

const struct scenario life_source = {
    .name = "life-source", .n_actors = 5, .setup = make_family, .join = join_source,
    .budget = {.crashes = 1}, .crashable = 1, .unborn = 16, .judge = 3, .idle = 8,
    .body = {cond_dropper, cond_taker, reaper, NULL, nothing},
    .always = cond_always, .final = cond_final,
};

/* Here it is process 1 that has the object. */
static void join_two(void)
{
    join_family();
    if (model_self() == 1)
        make_object();
    first_slot_next();
}

static void reaping_parent(void)
{
    MUST(cmp_sweep() >= 0);
    has[4] = true;
    model_fork(4);
    drop();
}

const struct scenario life_two = {
    .name = "life-two", .n_actors = 5, .setup = make_family, .join = join_two,
    .budget = {.crashes = 1}, .crashable = 1, .unborn = 16, .judge = 3, .idle = 8,
    .body = {owner_lives, reaping_parent, sweeper, NULL, owner_drops},
    .always = life_always, .final = life_final,
};

const struct scenario life_take = {
    .name = "life-take", .n_actors = 5, .setup = make_family, .join = join_pinned,
    .budget = {.crashes = 1}, .full = {.crashes = 2}, .idle = 24, .judge = JUDGE,
    .body = {owner_lives, taker, sweeper}, .always = life_always, .final = life_final,
};
const struct scenario life_drop = {
    .name = "life-drop", .n_actors = 5, .setup = make_family, .join = join,
    .budget = {.crashes = 1}, .full = {.crashes = 2}, .idle = 24, .judge = JUDGE,
    .body = {creator, sweeper, sweeper}, .always = life_always, .final = life_final,
};
const struct scenario life_fork = {
    .name = "life-fork", .n_actors = 5, .setup = make_family, .join = join,
    .budget = {.crashes = 1}, .full = {.crashes = 2}, .unborn = 4, .idle = 24, .judge = JUDGE,
    .body = {parent, sweeper, owner_drops}, .always = life_always, .final = life_final,
};
const struct scenario life_spawn = {
    .name = "life-spawn", .n_actors = 5, .setup = make_family, .join = join,
    .budget = {.crashes = 1}, .full = {.crashes = 2}, .late = 2, .idle = 24, .judge = JUDGE,
    .body = {spawner, spawned, sweeper}, .always = life_always, .final = life_final,
};
