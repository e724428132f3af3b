/* Description: the traces of the dead. A process is killed at every hook of every move,
   another one at every hook of the sweep that follows; then one undisturbed sweep
   leaves what the living hold and nothing else. Without hooks (a build without
   -include tests/core/hooks.h) each runs once to its end. */
#include "../../src/core/arena.h"
#include "../../src/core/check.h"
#include "../../src/core/cond.h"
#include "../../src/core/object.h"
#include "../../src/core/slab.h"
#include "living.h"
#include "peers.h"

#ifdef __SANITIZE_THREAD__
#define TSAN 1 /* it loses its way where the first thread ends, or threads are left by a fork */
#else
#define TSAN 0
#endif

/* ---- dying at a hook ------------------------------------------------------------- */

static long die_at = -1; /* so many hooks from here */
static pid_t spared;     /* this process does not die, its child may */

void cmp_at_hook(const char *point);
void cmp_at_hook(const char *point)
{
    (void)point;
    if (getpid() != spared && die_at >= 0 && die_at-- == 0)
        kill(getpid(), SIGKILL);
}

static void say(void *arg, const char *what)
{
    fprintf(stderr, "%s: cmp_check: %s\n", (char *)arg, what);
}

/* ---- the scene of a move ---------------------------------------------------------- */

/* Made by the test before the move, known to all. */
static struct {
    cmp_ref ref;     /* held by the test, which lives on */
    cmp_ref lost;    /* by the actor alone */
    cmp_ref offered; /* held by the test and not by the actor */
    cmp_ref cond, more;
    struct cmp_cond *cell;
    struct cmp_embryo embryo;
} scene;

static cmp_ref make(enum cmp_type type, size_t bytes, void **cell)
{
    cmp_ref ref = 0;
    void *ignored;
    CHECK_EQ(cmp_object_create(type, bytes, &ref, cell == NULL ? &ignored : cell), 0);
    return ref;
}

static uint64_t n_living(void)
{
    uint64_t n = 0;
    cmp_process_lock();
    for (uint32_t i = 0; i < cmp_slab_count(); i++) {
        struct cmp_view *v = cmp_slab_view(i);
        for (uint32_t j = 0; j < v->count; j++)
            n += cmp_word_phase(load64_relaxed(&v->words[j])) == CMP_OBJECT_LIVE;
    }
    cmp_process_unlock();
    return n;
}

static uint32_t n_taken_slots(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0, end = cmp_slot_count(); i < end; i++)
        n += cmp_state_phase(load64_seqcst(&cmp_slot_at(i)->state)) != CMP_SLOT_FREE;
    return n;
}

static uint32_t n_claimed_extents(void)
{
    uint32_t n = 0, end = load_relaxed(&cmp_arena()->n_extents);
    for (uint32_t e = 0; e < end; e++)
        n += (cmp_extent_word(e) & CMP_EXTENT_CLAIM) != 0;
    return n;
}

/* ---- moves ----------------------------------------------------------------------- */

static void create(void)
{
    make(CMP_TYPE_LOCK, 64, NULL);
}

static void create_in_new_slab(void)
{
    static size_t bytes = 128;
    make(CMP_TYPE_BARRIER, bytes, NULL);
    make(CMP_TYPE_COND_MORE, 65536, NULL);
}

static void create_and_drop(void)
{
    cmp_object_drop(make(CMP_TYPE_EVENT, 64, NULL));
}

static void drop(void)
{
    cmp_object_drop(scene.lost);
    cmp_object_drop(scene.ref);
}

static void take(void)
{
    void *cell;
    CHECK_EQ(cmp_object_take(scene.offered, CMP_TYPE_LOCK, &cell), 0);
    cmp_object_drop(scene.offered);
}

static void take_stale(void)
{
    void *cell;
    CHECK(cmp_object_take(scene.offered + (UINT64_C(1) << 24), CMP_TYPE_LOCK, &cell) < 0);
}

/* The first block of further nodes, as cond.c has it. */
static cmp_ref make_block(void)
{
    void *cell;
    cmp_ref ref = make(CMP_TYPE_COND_MORE, 1024, &cell);
    memset(cell, 0, 1024);
    store_relaxed((cmp_word *)cell + 2, 1);
    return ref;
}

static void link_more(void)
{
    cmp_ref more = make_block();
    CHECK(cmp_object_link(&scene.cell->more, more));
    more = make_block();
    CHECK(!cmp_object_link(&scene.cell->more, more));
    cmp_object_drop(more);
}

static void fork_once(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    die_at = -1;
    status_of(pid);
}

/* The child dies while it is born.  */
static void be_born(void)
{
    spared = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        cmp_me();
        _exit(0);
    }
    if (WIFSIGNALED(status_of(pid)))
        _exit(0);
}

/* The first child lives on, with what it has, until its parent is dead. */
static void fork_twice(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        die_at = -1;
        while (getppid() == parent)
            usleep(100);
        _exit(0);
    }
    fork_once();
}

static void start_embryo(void)
{
    struct cmp_embryo embryo;
    CHECK_EQ(cmp_embryo_create(&embryo), 0);
    CHECK_EQ(cmp_embryo_give(&embryo, scene.lost), 0);
    CHECK_EQ(cmp_embryo_give(&embryo, scene.ref), 0);
    cmp_embryo_abandon(&embryo);
}

static void adopt(void)
{
    void *cell;
    CHECK_EQ(cmp_embryo_adopt(&scene.embryo), 0);
    CHECK_EQ(cmp_object_take(scene.offered, CMP_TYPE_LOCK, &cell), 0);
}

/* There is a dead process, and something to free. */
static void sweep(void)
{
    for (int i = 0; i < 3; i++)
        cmp_object_pin(make(CMP_TYPE_EVENT, 64, NULL));
    spared = getpid();
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    status_of(pid);
    spared = 0;
    cmp_sweep();
}

static void *act_and_end(void *arg)
{
    (void)arg;
    cmp_me();
    return NULL;
}

static void *after_the_first(void *arg)
{
    pthread_t t;
    pthread_join(*(pthread_t *)arg, NULL);
    for (int i = 0; i < 2; i++) {
        pthread_create(&t, NULL, act_and_end, NULL);
        pthread_join(t, NULL);
    }
    die_at = -1;
    tell(&stage->count);
    _exit(n_failed);
}

/* The first thread ends, then two who have taken over its words. */
static void orphan(void)
{
    static pthread_t first;
    pthread_t t;
    first = pthread_self();
    pthread_create(&t, NULL, after_the_first, &first);
    pthread_exit(NULL);
}

static const struct move {
    const char *name;
    void (*act)(void);
} moves[] = {
    {"create", create},         {"create in a new slab", create_in_new_slab},
    {"create and drop", create_and_drop}, {"drop", drop},
    {"take", take},             {"take what is stale", take_stale},
    {"link", link_more},        {"fork", fork_once},
    {"fork twice", fork_twice}, {"birth", be_born}, {"embryo", start_embryo},
    {"adopt", adopt},           {"sweep", sweep},
    {"thread ends", orphan}, /* the last: not under TSan */
};
enum { N_MOVES = sizeof moves / sizeof *moves - TSAN };

/* ---- trials ---------------------------------------------------------------------- */

/* The actor: it has inherited scene.ref, cond and lost, drops what it must not hold. */
static void act_alone(const struct move *move, long k)
{
    scene.lost = make(CMP_TYPE_LOCK, 64, NULL);
    cmp_object_drop(scene.offered);
    die_at = k;
    move->act();
    die_at = -1;
    tell(&stage->count); /* it came to the end: there is no k-th hook */
    _exit(n_failed);
}

static void wait_all(void)
{
    while (wait(NULL) > 0)
        ;
}

/* One actor is killed at hook k, a sweeper at hook j.  */
static void trial(const struct move *move, long k, long j, bool *k_past, bool *j_past)
{
    begin();
    CHECK_EQ(cmp_embryo_create(&scene.embryo), 0);
    CHECK_EQ(cmp_embryo_give(&scene.embryo, scene.offered), 0);
    pid_t pid = fork_child();
    if (pid == 0)
        act_alone(move, k);
    cmp_embryo_sent(&scene.embryo);
    status_of(pid);
    *k_past = load_acquire(&stage->count) != 0;

    pid = fork_child(); /* its own death is one to be noticed, too */
    if (pid == 0) {
        die_at = j;
        cmp_sweep();
        die_at = -1;
        tell(&stage->result);
        _exit(0);
    }
    status_of(pid);
    *j_past = load_acquire(&stage->result) != 0;
    wait_all();
}

/* What the test holds is there; all else is gone, also the slots and the extents. */
static void check_clean(const char *name, uint64_t n_before)
{
    int before = n_failed;
    cmp_sweep();
    CHECK(lives(scene.ref) && lives(scene.offered) && lives(scene.cond));
    cmp_ref more = load64_relaxed(&scene.cell->more);
    CHECK(more == 0 || lives(more));
    CHECK_EQ(n_living(), n_before + (more != 0));
    CHECK_EQ(n_taken_slots(), 1);
    CHECK_EQ(n_claimed_extents(), 0);
    CHECK_EQ(cmp_check(say, (void *)(uintptr_t)name), 0);
    CHECK_EQ(cmp_sweep(), 0);
    if (n_failed != before)
        fprintf(stderr, "... after a death in: %s\n", name);
}

static void make_scene(void)
{
    scene.ref = make(CMP_TYPE_LOCK, 64, NULL);
    scene.offered = make(CMP_TYPE_LOCK, 64, NULL);
    scene.cond = make(CMP_TYPE_COND, sizeof *scene.cell, (void **)&scene.cell);
    cmp_cond_init(scene.cell, cmp_object_index(scene.cond));
}

static void drop_scene(void)
{
    cmp_object_drop(scene.ref);
    cmp_object_drop(scene.offered);
    cmp_object_drop(scene.cond);
    cmp_sweep();
}

static long test_move(const struct move *move, long j_step)
{
    bool k_past = false, j_past = false;
    long k, n = 0;
    for (k = 0; !k_past && n_failed == 0; k++) {
        for (long j = 0; (j == 0 || !j_past) && n_failed == 0; j += j_step) {
            char name[80];
            make_scene();
            uint64_t n_before = n_living();
            snprintf(name, sizeof name, "%s, hook %ld, sweeper at %ld", move->name, k, j);
            trial(move, k, j, &k_past, &j_past);
            check_clean(name, n_before);
            drop_scene();
            n++;
        }
    }
    printf("%s: %ld hooks, %ld trials\n", move->name, k - 1, n);
    return n;
}

/* ---- sweepers side by side ------------------------------------------------------- */

static int sweep_always(void *arg)
{
    (void)arg;
    while (load_acquire(&stage->go) == 0) {
        cmp_sweep();
        int n = cmp_check(say, (void *)(uintptr_t)"beside others");
        if (n != 0)
            return 1;
    }
    return 0;
}

/* Objects move from process to process, so that each is always held by one that
   lives, while two sweepers look, one of which is stopped now and then. */
static void test_baton(void)
{
    begin();
    pid_t sweeper[2];
    for (int i = 0; i < 2; i++)
        sweeper[i] = start_child(sweep_always, NULL);
    cmp_ref ref = make(CMP_TYPE_LOCK, 64, NULL);
    for (int i = 0; i < (SLOW ? 20 : 150); i++) {
        pid_t pid = fork_child(); /* it has the object by the fork ... */
        if (pid == 0) {
            tell(&stage->ready);
            await(&stage->count, (uint32_t)i + 1);
            _exit(0);
        }
        cmp_object_drop(ref); /* ... and alone ... */
        await(&stage->ready, (uint32_t)i + 1);
        if (i % 7 == 3)
            kill(sweeper[1], SIGSTOP);
        void *cell;
        CHECK_EQ(cmp_object_take(ref, CMP_TYPE_LOCK, &cell), 0); /* ... and gives it back */
        tell(&stage->count);
        if (i % 7 == 5)
            kill(sweeper[1], SIGCONT);
        status_of(pid);
        CHECK(lives(ref));
    }
    kill(sweeper[1], SIGCONT);
    tell(&stage->go);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(exit_code(sweeper[i]), 0);
    cmp_object_drop(ref);
    cmp_sweep();
    CHECK(!lives(ref));
}

static void test_nothing_to_do(void)
{
    cmp_sweep();
    CHECK_EQ(cmp_sweep(), 0);
    int64_t begin_ns = cmp_now_ns();
    for (int i = 0; i < 100; i++)
        CHECK_EQ(cmp_sweep(), 0);
    printf("a sweep without reason: %ld ns\n", (long)(cmp_now_ns() - begin_ns) / 100);
}

int main(void)
{
    start_family(140);
    test_nothing_to_do();
    test_baton();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    cmp_sweep();
    for (int i = 0; i < N_MOVES; i++)
        test_move(&moves[i], 5);
    return done();
}
