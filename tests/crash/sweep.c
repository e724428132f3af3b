/* sweep.c -- sweeps that are killed, stopped for long, or overtaken by what moves. */
#include "../../src/core/cond.h"
#include "objects.h"

#define N_FRESH 8
static void hoarder(int id)
{
    cmp_ref ref;
    void *cell;
    for (int i = 0; i < 4; i++)
        if (cmp_object_create(CMP_TYPE_EVENT, CELL, &ref, &cell) == 0)
            sign(cell, 11);
    mark(id);
    for (;;)
        pause();
}

/* Dead processes, and what they held. */
static void leave_garbage(int n)
{
    for (int i = 0; i < n; i++)
        kill_actor(spawn_marked(hoarder));
}

static void sweep(int a, int b)
{
    (void)a, (void)b;
    keep_some();
    leave_garbage(2);
    lead(spawn_victim(sweeper));
    survive();
}

/* The same, in places that the director will use again: it made them, another inherited
   them. */
static void leave_garbage_here(int n)
{
    cmp_ref ref[N_FRESH];
    for (int i = 0; i < n; i++)
        sign(make(CMP_TYPE_EVENT, CELL, &ref[i]), 11);
    struct actor *h = spawn_marked(hoarder);
    for (int i = 0; i < n; i++)
        cmp_object_drop(ref[i]);
    kill_actor(h);
}

/* A sweeper that was stopped for long: what it meant to free has been freed by another, and
   lives again, as something else. */
static void sweep_stopped(int a, int b)
{
    (void)a, (void)b;
    cmp_ref fresh[N_FRESH];
    keep_some();
    for (int i = N_KEPT + N_FRESH; i < FULL_SLAB; i++)
        make(CMP_TYPE_EVENT, CELL, NULL);
    leave_garbage_here(N_FRESH); /* no other place is free */
    struct actor *v = spawn_victim(sweeper);
    stop_here(v);
    cmp_sweep();
    for (uint32_t i = 0; i < N_FRESH; i++)
        sign(make(CMP_TYPE_EVENT, CELL, &fresh[i]), 200 + i);
    struct actor *h = spawn_marked(hoarder);
    h->bystander = true;
    release_actor(v);
    settle(NULL);
    for (uint32_t i = 0; i < N_FRESH; i++)
        if (!is_living(fresh[i]))
            violation("a late sweeper freed an object that lives");
    uint32_t word;
    if (cmp_owner_hint(load_seqcst(&board->code[h->id]), 0, &word) != CMP_HINT_ALIVE)
        violation("a late sweeper freed the slot of one who lives");
    check_kept();
}

static void late_sweeper(int id)
{
    await_order(id);
    sweeper(id);
}

/* Two sweepers in step: one stands, the other dies. */
static void sweep_in_step(int a, int b)
{
    (void)a, (void)b;
    keep_some();
    leave_garbage(1);
    struct actor *v = spawn_victim(sweeper);
    stop_here(v);
    spawn_second(sweeper);
    second_dies();
    release_actor(v);
    settle(NULL);
    survive();
}

/* ---- what moves while a sweep is under way ------------------------------------------------- */

/* The object (ref[0]) is held by one actor only, and goes from there to where the sweep may
   have looked already. */
enum move { BY_TAKE, BY_FORK, BY_EMBRYO, BY_LINK };
static enum move move;
static struct cmp_cond *cond;

static cmp_ref the_object(void)
{
    return load64_seqcst(&board->ref[0]);
}

/* Takes it when told, in a slot before that of the holder. */
static void receiver(int id)
{
    void *cell;
    mark(id);
    await_order(id);
    int rc = cmp_object_take(the_object(), CMP_TYPE_EVENT, &cell);
    if (rc != 0)
        violation("take: %d", rc);
    store_seqcst(&board->count[0], 1);
    for (;;)
        pause();
}

static void fork_it(void)
{
    pid_t pid = fork();
    while (pid == 0)
        pause();
    store_seqcst(&board->count[2], (uint32_t)pid);
}

static void make_link(cmp_ref *ref)
{
    void *cell;
    if (cmp_object_create(CMP_TYPE_COND_MORE, 1024, ref, &cell) != 0) {
        violation("create failed");
        return;
    }
    memset(cell, 0, 1024);
    ((uint32_t *)cell)[2] = 1; /* the first block of the chain, see cond.c */
}

/* Has it, and moves it on when told. */
static void holder(int id)
{
    struct cmp_embryo e;
    cmp_ref ref = the_object();
    await_order(id);
    if (move == BY_EMBRYO) {
        use_slot_next(load_seqcst(&board->count[3]));
        if (cmp_embryo_create(&e) != 0 || e.slot != load_seqcst(&board->count[3]))
            violation("no embryo in that slot");
    }
    if (move == BY_LINK) {
        make_link(&ref);
        store64_seqcst(&board->ref[0], ref);
    }
    mark(id);
    while (load_seqcst(&board->order[id]) != 1)
        usleep(20);
    if (move == BY_FORK)
        fork_it();
    if (move == BY_EMBRYO && cmp_embryo_give(&e, ref) != 0)
        violation("give failed");
    if (move == BY_LINK && !cmp_object_link(&cond->more, ref))
        violation("link failed");
    cmp_object_drop(ref);
    store_seqcst(&board->count[1], 1);
    for (;;)
        pause();
}

static bool is_received(void)
{
    return load_seqcst(&board->count[0]) != 0;
}

static bool is_moved(void)
{
    return load_seqcst(&board->count[1]) != 0;
}

static void overtaken(int how, int b)
{
    cmp_ref ref;
    (void)b;
    move = (enum move)how;
    keep_some();
    cond = make(CMP_TYPE_COND, sizeof *cond, &ref);
    cmp_cond_init(cond, cmp_object_index(ref));
    struct actor *to = spawn_marked(receiver);
    struct actor *low = spawn_marked(hoarder); /* its slot is for the embryo, before the holder's */
    store_seqcst(&board->count[3], load_seqcst(&board->code[low->id]) % CMP_SLOTS);
    sign(make(CMP_TYPE_EVENT, CELL, &ref), 9);
    store64_seqcst(&board->ref[0], ref);
    struct actor *from = spawn(holder);
    kill_actor(low);
    cmp_sweep();
    give_order(from, 2);
    await_mark(from);
    give_order(from, 0);
    cmp_object_drop(ref);
    to->bystander = from->bystander = true;
    struct actor *v = spawn_victim_later(late_sweeper);
    kill_actor(spawn_marked(hoarder));
    give_order(v, 1);
    stand_ready(v);
    stop_here(v);
    if (move == BY_TAKE) {
        give_order(to, 1);
        await(is_received);
    }
    give_order(from, 1);
    if (!await(is_moved))
        hang("the holder does not move it");
    release_actor(v);
    settle(NULL);
    if (!is_living(the_object()))
        violation("what moved while a sweep was under way was freed");
    if (move == BY_FORK)
        kill_process((pid_t)load_seqcst(&board->count[2]));
    check_kept();
}

static const struct scenario list[] = {
    {"sweep: after two deaths", sweep, 0, 0, 5, 1, 0},
    {"sweep: stopped while its places are used again", sweep_stopped, 0, 0, 5, 0, 0},
    {"sweep: two in step, one dies", sweep_in_step, 0, 0, 251, 1, IN_STEP},
    {"sweep: stopped while an object is taken, then dropped", overtaken, BY_TAKE, 0, 13, 0, 0},
    {"sweep: stopped while an object goes to a forked child", overtaken, BY_FORK, 0, 13, 0, 0},
    {"sweep: stopped while an object is given to an embryo", overtaken, BY_EMBRYO, 0, 13, 0, 0},
    {"sweep: stopped while an object is linked", overtaken, BY_LINK, 0, 13, 0, 0},
};
SCENARIOS(list)
