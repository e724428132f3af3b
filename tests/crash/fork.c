/* fork.c -- fork, with parent or child killed at every point around it; processes that join
   by a descriptor.

   What is asked: does what the survivor holds live, and nothing else; is every slot of the
   dead free again after a sweep. */
#include <sys/wait.h>

#include "../../src/core/block.h"
#include "../../src/core/event.h"
#include "objects.h"

#define BLOCK_BYTES (2 * (size_t)CMP_EXTENT_BYTES + 100)
#define WORD_EVERY (CMP_EXTENT_BYTES / 4)

static cmp_ref make_event(uint32_t count)
{
    cmp_ref ref = 0;
    void *cell;
    int rc = cmp_object_create(CMP_TYPE_EVENT, CELL, &ref, &cell);
    if (rc != 0) {
        violation("create: %d", rc);
        return 0;
    }
    cmp_event_init(cell);
    store_seqcst(&((struct cmp_event *)cell)->count, count);
    return ref;
}

/* It can be used, and is the one that was made. */
static bool take_event(const char *who, cmp_ref ref, uint32_t count)
{
    void *cell;
    int rc = cmp_object_take(ref, CMP_TYPE_EVENT, &cell);
    if (rc != 0)
        violation("%s cannot take what it holds: %d", who, rc);
    else if (load_seqcst(&((struct cmp_event *)cell)->count) != count)
        violation("%s finds something else in its object", who);
    return rc == 0;
}

static void check_event(const char *who, cmp_ref ref, uint32_t count)
{
    if (take_event(who, ref, count))
        cmp_object_drop(ref);
}

/* ---- what is handed on: an event, or a block of several extents, for all of a trial ----------- */

#define EVENTS 0u
#define BLOCKS 1u

static void hand_on(unsigned int what)
{
    store_seqcst(&board->count[1], what);
}

static bool is_block(void)
{
    return load_seqcst(&board->count[1]) == BLOCKS;
}

static uint32_t *word_of(void *data, size_t at)
{
    return (uint32_t *)(void *)((char *)data + (at + 4 <= BLOCK_BYTES ? at : BLOCK_BYTES - 4));
}

static cmp_ref make_block(uint32_t count)
{
    cmp_ref ref = 0;
    void *cell, *data;
    int rc = cmp_block_create(BLOCK_BYTES, false, &ref, &cell, &data);
    if (rc < 0) {
        violation("create: %d", rc);
        return 0;
    }
    for (size_t at = 0; at < BLOCK_BYTES + WORD_EVERY; at += WORD_EVERY)
        *word_of(data, at) = count + (uint32_t)at;
    return ref;
}

static bool take_block(const char *who, cmp_ref ref, uint32_t count)
{
    void *data;
    int rc = cmp_block_take(ref, BLOCK_BYTES, &data);
    if (rc < 0) {
        violation("%s cannot take the block that it holds: %d", who, rc);
        return false;
    }
    for (size_t at = 0; at < BLOCK_BYTES + WORD_EVERY; at += WORD_EVERY)
        if (*word_of(data, at) != count + (uint32_t)at) {
            violation("%s finds something else in its block at %zu", who, at);
            break;
        }
    return true;
}

static cmp_ref make_gift(uint32_t count)
{
    return is_block() ? make_block(count) : make_event(count);
}

static bool take_gift(const char *who, uint32_t count)
{
    cmp_ref ref = load64_seqcst(&board->ref[0]);
    return is_block() ? take_block(who, ref, count) : take_event(who, ref, count);
}

static void check_gift(const char *who, uint32_t count)
{
    if (take_gift(who, count))
        cmp_object_drop(load64_seqcst(&board->ref[0]));
}

/* A block that was freed too early is another's memory then. */
static void take_memory(void)
{
    cmp_object_drop(make_gift(5));
}

/* ---- fork ---------------------------------------------------------------------------------- */

/* ref[0] is made by the parent: only it and its child hold it.  result: born and well. */
static void check_child(void)
{
    int id = my_actor();
    store_seqcst(&board->code[id], cmp_me());
    if (cmp_me() == 0)
        violation("the child has no slot: %d", cmp_me_errno());
    check_gift("the child", 17);
    cmp_ref own = make_event(3);
    check_event("the child", own, 3);
    store_seqcst(&board->result[id], 1);
    store_seqcst(&board->stage[id], FINISHED);
}

static void forker(int id)
{
    store64_seqcst(&board->ref[0], make_gift(17));
    store64_seqcst(&board->ref[1], make_gift(18));
    cmp_object_drop(load64_seqcst(&board->ref[1]));
    ready();
    pid_t pid = fork();
    if (pid == 0) {
        check_child();
        for (;;)
            pause();
    }
    if (pid < 0)
        violation("actor %d: fork failed", id);
    check_gift("the parent", 17);
    check_event("the parent", make_event(5), 5);
}

/* Its child ends at once. */
static void lone_forker(int id)
{
    int status = 0;
    ready();
    pid_t pid = fork();
    if (pid == 0)
        _exit(cmp_me() == 0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0 || status != 0)
        violation("actor %d: fork %d, its child's status %#x", id, (int)pid, status);
}

static void sweep_up(void)
{
    if (second_dies_too()) {
        spawn_second(sweeper);
        second_dies();
    }
    cmp_sweep();
}

static void check_survivors(const struct actor *parent, const struct actor *child)
{
    cmp_ref ref = load64_seqcst(&board->ref[0]);
    bool held = !parent->gone || (child != NULL && !child->gone);
    sweep_up();
    take_memory();
    if (held && !is_living(ref))
        violation("what a survivor holds was freed");
    if (!held && is_living(ref))
        violation("what nobody holds lives");
    if (held)
        check_gift("the director", 17);
    if (child != NULL && !child->gone && load_seqcst(&board->result[child->id]) != 1)
        violation("the child is not well");
}

/* A child of a traced process begins traced.  */
static void let_child_run(struct actor *parent)
{
    struct actor *child = adopt_child(parent);
    if (child == NULL)
        return;
    child->bystander = true;
    release_actor(child);
}

/* One forks and is killed, while another stands at each point of its own fork. */
static void two_fork(int a, int b)
{
    (void)a, (void)b;
    struct actor *v = spawn_victim(lone_forker);
    stop_here(v);
    let_child_run(v);
    struct actor *other = spawn_second(lone_forker);
    second_dies();
    let_child_run(other);
    v->bystander = other->bystander = true;
    struct actor *late = spawn(lone_forker);
    settle(NULL);
    v->bystander = false;
    release_actor(v);
    settle(NULL);
    cmp_sweep();
    uint32_t code = load_seqcst(&board->code[v->id]), word;
    if (cmp_owner_hint(code, 0, &word) != CMP_HINT_ALIVE || !is_finished(late))
        violation("who forked beside the dead is not well");
}

/* The parent is killed at each point; the child, if it was born, lives on. */
static void parent_dies(int early_sweep, int what)
{
    hand_on((unsigned int)what);
    struct actor *v = spawn_victim(forker);
    lead(v);
    struct actor *child = adopt_child(v);
    if (child != NULL) {
        child->bystander = true;
        if (early_sweep)
            cmp_sweep();
        release_actor(child);
        await_mark(child);
    }
    check_survivors(v, child);
}

/* The child is killed at each point of its birth; the parent lives on. */
static void child_dies(int a, int what)
{
    (void)a;
    hand_on((unsigned int)what);
    struct actor *parent = spawn_victim_later(forker);
    stand_ready(parent);
    parent->trail = NULL;
    if (!run_to_fork(parent)) {
        violation("the parent does not fork");
        return;
    }
    struct actor *child = adopt_as_victim(parent);
    release_actor(parent);
    child->bystander = true;
    settle(NULL);
    lead(child);
    check_survivors(parent, child);
}

/* ---- embryos: processes that were not forked by a member ------------------------------------- */

#define HAS_SENT 1u

static void starter(int id)
{
    struct cmp_embryo e;
    cmp_ref ref = make_gift(17);
    store64_seqcst(&board->ref[0], ref);
    ready();
    int rc = cmp_embryo_create(&e);
    if (rc == 0)
        rc = cmp_embryo_give(&e, ref);
    if (rc != 0)
        violation("actor %d: embryo: %d", id, rc);
    send_with_fd(&e, sizeof e, e.fd);
    store_seqcst(&board->count[0], HAS_SENT);
    cmp_embryo_sent(&e);
    cmp_object_drop(ref);
}

/* Joins, and adopts what it was given. */
static void joiner(int id)
{
    struct cmp_embryo e;
    uint32_t version;
    bool there = receive_with_fd(&e, sizeof e, &e.fd);
    ready();
    if (!there)
        return;
    int rc = cmp_family_join(e.fd, &version);
    if (rc == 0)
        rc = cmp_embryo_adopt(&e);
    if (rc != 0) {
        violation("actor %d: join, adopt: %d", id, rc);
        return;
    }
    store_seqcst(&board->code[id], cmp_me());
    take_gift("the child", 17); /* what it was given, for good */
    check_event("the child", make_event(4), 4);
    store_seqcst(&board->result[id], 1);
}

/* The starter is killed at each point; the child, if it was told, gets its object. */
static void starter_dies(int a, int what)
{
    (void)a;
    hand_on((unsigned int)what);
    struct actor *v = spawn_victim(starter);
    lead(v);
    cmp_sweep();
    struct actor *child = summon(joiner);
    settle(NULL);
    bool told = load_seqcst(&board->count[0]) == HAS_SENT;
    if (told && load_seqcst(&board->result[child->id]) != 1)
        violation("the child was told, and is not well");
    sweep_up();
    take_memory();
    bool held = !v->gone || load_seqcst(&board->result[child->id]) == 1;
    if (held && !is_living(load64_seqcst(&board->ref[0])))
        violation("what a survivor holds was freed");
    if (held)
        check_gift("the director", 17);
}

/* The child is killed at each point of joining and adopting. */
static void joiner_dies(int a, int what)
{
    (void)a;
    hand_on((unsigned int)what);
    struct actor *s = spawn(starter);
    settle(NULL);
    cmp_sweep();
    if (!is_living(load64_seqcst(&board->ref[0])))
        violation("what an embryo holds was freed");
    struct actor *v = summon_victim(joiner);
    lead(v);
    sweep_up();
    if (v->gone && is_living(load64_seqcst(&board->ref[0])))
        violation("what nobody holds lives");
    if (!v->gone && !is_living(load64_seqcst(&board->ref[0])))
        violation("what the child holds was freed");
    (void)s;
}

static void abandoner(int id)
{
    struct cmp_embryo e;
    cmp_ref ref = make_gift(17);
    store64_seqcst(&board->ref[0], ref);
    int rc = cmp_embryo_create(&e);
    if (rc == 0)
        rc = cmp_embryo_give(&e, ref);
    if (rc != 0)
        violation("actor %d: embryo: %d", id, rc);
    cmp_object_drop(ref);
    ready();
    cmp_embryo_abandon(&e);
}

static void abandon(int a, int what)
{
    (void)a;
    hand_on((unsigned int)what);
    lead(spawn_victim(abandoner));
    sweep_up();
    if (is_living(load64_seqcst(&board->ref[0])))
        violation("what an abandoned embryo was given lives");
}

static const struct scenario list[] = {
    {"fork: parent killed", parent_dies, 0, EVENTS, 3, 1, 0},
    {"fork: parent killed, a sweep before the child runs", parent_dies, 1, EVENTS, 5, 0, 0},
    {"fork: child killed", child_dies, 0, EVENTS, 3, 1, 0},
    {"fork: one killed while another forks", two_fork, 0, EVENTS, 41, 1, IN_STEP},
    {"fork: a process is started that is no fork, its starter killed", starter_dies, 0, EVENTS, 3, 1, STRANGERS},
    {"fork: a process that joins is killed", joiner_dies, 0, EVENTS, 5, 1, STRANGERS},
    {"fork: starting one is given up", abandon, 0, EVENTS, 1, 1, 0},
    {"fork: a block goes to a child, the parent killed", parent_dies, 0, BLOCKS, 5, 1, 0},
    {"fork: a block goes to a child, which is killed", child_dies, 0, BLOCKS, 5, 1, 0},
    {"fork: a block is given to one started, the starter killed", starter_dies, 0, BLOCKS, 5, 1, STRANGERS},
    {"fork: a block is given to one that joins and is killed", joiner_dies, 0, BLOCKS, 7, 1, STRANGERS},
    {"fork: a block is given, starting is given up", abandon, 0, BLOCKS, 1, 1, 0},
};
SCENARIOS(list)
