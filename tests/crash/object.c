/* object.c -- objects made, handed on, linked and dropped.

   Nobody waits here.  What a trial asks is: does every object live that somebody holds,
   with what he wrote into it; does nothing else live after a sweep (accounts.c); can the
   next one still make as many objects as there is room for.  */
#include "../../src/core/cond.h"
#include "../../src/core/event.h"
#include "objects.h"


/* Objects of the director's, with a pattern in each. */
cmp_ref kept[N_KEPT];

static struct cmp_event *event_of(void *cell)
{
    return cell;
}

/* A living event is marked by a count that nobody else gives it. */
void sign(void *cell, uint32_t signature)
{
    cmp_event_init(event_of(cell));
    store_seqcst(&event_of(cell)->count, signature);
}

bool is_signed(void *cell, uint32_t signature)
{
    return load_seqcst(&event_of(cell)->count) == signature;
}

void keep_some(void)
{
    for (uint32_t i = 0; i < N_KEPT; i++)
        sign(make(CMP_TYPE_EVENT, CELL, &kept[i]), 1000 + i);
}

void check_kept(void)
{
    for (uint32_t i = 0; i < N_KEPT; i++) {
        void *cell;
        int rc = cmp_object_take(kept[i], CMP_TYPE_EVENT, &cell);
        if (rc != 0 || !is_signed(cell, 1000 + i)) {
            violation("object %#lx, which the director holds, is lost: %d", (unsigned long)kept[i], rc);
            continue;
        }
        cmp_object_drop(kept[i]);
    }
}

/* New objects are new: none of them is one that lives. */
void check_fresh(int n)
{
    for (int i = 0; i < n; i++) {
        cmp_ref ref;
        void *cell = make(CMP_TYPE_EVENT, CELL, &ref);
        for (int j = 0; j < N_KEPT; j++)
            if (cmp_object_index(ref) == cmp_object_index(kept[j]))
                violation("a new object has the place of one that lives");
        sign(cell, 7);
    }
    check_kept();
}

void sweeper(int id)
{
    ready();
    int64_t rc = cmp_sweep();
    if (rc < 0)
        violation("actor %d: sweep: %d", id, (int)rc);
}

/* The victim is dead.  Another one that sweeps up after it may die too.  */
void survive(void)
{
    if (second_dies_too()) {
        spawn_second(sweeper);
        second_dies();
    }
    if (cmp_sweep() < 0)
        violation("sweep failed");
    check_kept();
    check_fresh(20);
}

/* ---- create and drop --------------------------------------------------------------------- */

static void maker(int id)
{
    cmp_ref ref;
    void *cell;
    ready();
    int rc = cmp_object_create(CMP_TYPE_EVENT, CELL, &ref, &cell);
    if (rc != 0)
        violation("actor %d: create: %d", id, rc);
    sign(cell, 5);
    cmp_object_drop(ref);
}

/* prefill: so many objects are there before, so that a new slab is needed, or none is.  */
static void create(int prefill, int b)
{
    (void)b;
    keep_some();
    for (int i = N_KEPT; i < prefill; i++)
        make(CMP_TYPE_EVENT, CELL, NULL);
    lead(spawn_victim(maker));
    survive();
}

/* The first of its type and size; several of large ones, whose slab is many extents. */
static void big_maker(int id)
{
    cmp_ref ref;
    void *cell;
    ready();
    int rc = cmp_object_create(CMP_TYPE_BARRIER, 40000, &ref, &cell);
    if (rc != 0)
        violation("actor %d: create: %d", id, rc);
    else
        memset(cell, 0, 40000);
    cmp_object_drop(ref);
}

static void create_big(int a, int b)
{
    (void)a, (void)b;
    keep_some();
    lead(spawn_victim(big_maker));
    survive();
    cmp_object_drop(0);
    cmp_ref ref;
    memset(make(CMP_TYPE_BARRIER, 40000, &ref), 0, 40000);
    cmp_object_drop(ref);
}

/* What the director made: nobody else holds it in the end but the victim. */
static void dropper(int id)
{
    (void)id;
    ready();
    cmp_object_drop(load64_seqcst(&board->ref[0]));
}

static void drop_inherited(int a, int b)
{
    (void)a, (void)b;
    cmp_ref ref;
    keep_some();
    sign(make(CMP_TYPE_EVENT, CELL, &ref), 9);
    store64_seqcst(&board->ref[0], ref);
    struct actor *v = spawn_victim(dropper);
    cmp_object_drop(ref);
    cmp_sweep();
    if (!is_living(ref))
        violation("an object was freed that the victim holds");
    lead(v);
    kill_actor(v);
    survive();
    if (is_living(ref))
        violation("an object lives that nobody holds");
}

/* ---- take ---------------------------------------------------------------------------------- */

static void taker(int id)
{
    void *cell;
    cmp_ref ref = load64_seqcst(&board->ref[0]);
    ready();
    int rc = cmp_object_take(ref, CMP_TYPE_EVENT, &cell);
    store_seqcst(&board->result[id], (uint32_t)rc + 1000);
    if (rc == 0 && !is_signed(cell, 9))
        violation("actor %d took an object, and it was another", id);
    if (rc == 0)
        store_seqcst(&board->count[1], 1);
}

/* Made after the victim was forked, which so does not hold it; the only holder is this
   one, who has inherited it. */
static void giver(int id)
{
    mark(id);
    await_order(id);
    cmp_object_drop(load64_seqcst(&board->ref[0]));
}

static struct actor *give_to_giver(void)
{
    cmp_ref ref;
    sign(make(CMP_TYPE_EVENT, CELL, &ref), 9);
    store64_seqcst(&board->ref[0], ref);
    struct actor *g = spawn_marked(giver);
    g->bystander = true;
    cmp_object_drop(ref);
    return g;
}

static void late_taker(int id)
{
    await_order(id);
    taker(id);
}

static struct actor *victim_takes(void)
{
    struct actor *v = spawn_victim_later(late_taker);
    keep_some();
    return v;
}

enum { GIVER_LIVES, GIVER_DEAD };
static void take(int how, int b)
{
    (void)b;
    struct actor *v = victim_takes();
    struct actor *g = give_to_giver();
    give_order(v, 1);
    stand_ready(v);
    if (how == GIVER_DEAD)
        kill_actor(g);
    lead(v);
    survive();
    bool has_it = load_seqcst(&board->count[1]) != 0;
    if (how == GIVER_LIVES && victim_has_ended() && !has_it)
        violation("take: %d", (int)load_seqcst(&board->result[v->id]) - 1000);
    if ((how == GIVER_LIVES || (has_it && !v->gone)) && !is_living(load64_seqcst(&board->ref[0])))
        violation("an object was freed that somebody holds");
}

/* The victim stands at each point of take, while the last holder drops it (or dies), a sweep
   passes and its place is used again. */
enum { HOLDER_DROPS, HOLDER_DIES };
static void take_stopped(int how, int b)
{
    (void)b;
    struct actor *v = victim_takes();
    struct actor *g = give_to_giver();
    cmp_ref ref = load64_seqcst(&board->ref[0]);
    give_order(v, 1);
    stand_ready(v);
    stop_here(v);
    if (how == HOLDER_DIES) {
        kill_actor(g);
    } else {
        give_order(g, 1);
        g->bystander = false;
        v->bystander = true;
        settle(NULL);
        v->bystander = false;
    }
    cmp_sweep();
    check_fresh(3);
    release_actor(v);
    settle(NULL);
    cmp_sweep();
    bool has_it = load_seqcst(&board->count[1]) != 0;
    if (has_it && !is_living(ref))
        violation("it was taken, and freed");
    if (!has_it && is_living(ref))
        violation("it was not taken, and lives");
}

/* ---- links --------------------------------------------------------------------------------- */

static struct cmp_cond *cond;

static void linker(int id)
{
    cmp_ref ref;
    void *cell;
    ready();
    int rc = cmp_object_create(CMP_TYPE_COND_MORE, 1024, &ref, &cell);
    if (rc != 0)
        violation("actor %d: create: %d", id, rc);
    memset(cell, 0, 1024);
    ((uint32_t *)cell)[2] = 1; /* the first block of the chain, see cond.c */
    if (!cmp_object_link(&cond->more, ref))
        cmp_object_drop(ref);
}

static void link_one(int competitors, int b)
{
    (void)b;
    cmp_ref ref;
    keep_some();
    cond = make(CMP_TYPE_COND, sizeof *cond, &ref);
    cmp_cond_init(cond, cmp_object_index(ref));
    struct actor *v = spawn_victim(linker);
    stop_here(v);
    for (int i = 0; i < competitors; i++)
        spawn(linker);
    v->bystander = true;
    settle(NULL);
    lead(v);
    survive();
    cmp_ref linked = load64_seqcst(&cond->more);
    if (linked != 0 && !is_living(linked))
        violation("what the condition links was freed");
    if (linked == 0 && (competitors > 0 || victim_has_ended()))
        violation("nothing is linked");
}

static const struct scenario list[] = {
    {"object: create and drop", create, 0, 0, 1, 1, 0},
    {"object: create and drop, in a new slab", create, FULL_SLAB, 0, 7, 1, 0},
    {"object: create and drop, the first of a large type", create_big, 0, 0, 11, 1, 0},
    {"object: drop what another made", drop_inherited, 0, 0, 1, 1, 0},
    {"object: take", take, GIVER_LIVES, 0, 1, 0, 0},
    {"object: take from the dead", take, GIVER_DEAD, 0, 3, 0, 0},
    {"object: take, stopped while the last holder drops it", take_stopped, HOLDER_DROPS, 0, 1, 0, 0},
    {"object: take, stopped while the last holder dies", take_stopped, HOLDER_DIES, 0, 1, 0, 0},
    {"object: link", link_one, 0, 0, 5, 1, 0},
    {"object: link, another was there first", link_one, 1, 0, 7, 0, 0},
};
SCENARIOS(list)
