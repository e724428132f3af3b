/* Description: objects: create, hold, drop, pin; references that are stale or forged;
   spawn's embryos; links; cells of all sizes; a million of them; and what it costs. */
#include "../../src/core/barrier.h"
#include "../../src/core/check.h"
#include "../../src/core/cond.h"
#include "../../src/core/lock.h"
#include "../../src/core/object.h"
#include "../../src/core/slab.h"
#include "peers.h"

#ifdef __SANITIZE_THREAD__
#define TSAN 1 /* it loses its way where the first thread ends, or threads are left by a fork */
#else
#define TSAN 0
#endif

static void say(void *arg, const char *what)
{
    (void)arg;
    fprintf(stderr, "cmp_check: %s\n", what);
}

static cmp_ref make(enum cmp_type type, size_t bytes, void **cell)
{
    cmp_ref ref = 0;
    void *ignored;
    CHECK_EQ(cmp_object_create(type, bytes, &ref, cell == NULL ? &ignored : cell), 0);
    return ref;
}

static cmp_ref make_lock(void)
{
    void *cell;
    cmp_ref ref = make(CMP_TYPE_LOCK, sizeof(struct cmp_lock), &cell);
    if (ref != 0)
        cmp_lock_init(cell, cmp_object_index(ref), false);
    return ref;
}

static uint64_t word_of(cmp_ref ref)
{
    uint32_t index = cmp_object_index(ref);
    cmp_process_lock();
    uint64_t word = load64_relaxed(cmp_view_word(cmp_view_of(index), index));
    cmp_process_unlock();
    return word;
}

static bool lives(cmp_ref ref)
{
    uint64_t word = word_of(ref);
    return cmp_word_phase(word) == CMP_OBJECT_LIVE && cmp_word_gen(word) == ref >> 24;
}

static uint32_t n_extents(void)
{
    return load_relaxed(&cmp_arena()->n_extents);
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- one process ----------------------------------------------------------------- */

static void test_counts(void)
{
    void *cell, *again;
    cmp_ref ref = make(CMP_TYPE_EVENT, 12, &cell);
    CHECK(ref != 0 && ((uintptr_t)cell & 63) == 0);
    CHECK_EQ(cmp_object_hold(ref), 0);
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_EVENT, &again), 0);
    CHECK(again == cell);
    cmp_object_drop(ref);
    cmp_object_drop(ref);
    CHECK(lives(ref));
    cmp_object_drop(ref);
    CHECK(!lives(ref)); /* at once: nobody else can know it */
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_EVENT, &again), -ESTALE);
    CHECK_EQ(cmp_object_hold(ref), -EINVAL);
    CHECK_EQ(cmp_object_pin(ref), -EINVAL);
    cmp_object_drop(ref); /* one too many: nothing happens */

    cmp_ref next = make(CMP_TYPE_EVENT, 12, &again); /* its cell, in its next life */
    CHECK(again == cell && next != ref);
    CHECK_EQ(cmp_object_index(next), cmp_object_index(ref));
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_EVENT, &again), -ESTALE);
    CHECK_EQ(cmp_object_pin(next), 0);
    cmp_object_drop(next);
    CHECK(lives(next)); /* pinned */
    CHECK_EQ(cmp_sweep(), 0);
    CHECK_EQ(cmp_object_take(next, CMP_TYPE_EVENT, &again), 0);
}

static void test_forged(void)
{
    void *cell;
    cmp_ref ref = make_lock(), bad[] = {
        0, 1, UINT64_MAX, ref | UINT64_C(1) << 50, ref | UINT64_C(1) << 63,
        ref & 0xffffff, UINT64_C(1) << 24 | 0xffffff, ref | 1023, (cmp_ref)1 << 24 | 500 << 10,
    };
    uint64_t random = 1;
    for (unsigned int i = 0; i < 20000; i++) {
        cmp_ref r = i < sizeof bad / sizeof *bad ? bad[i] : random;
        random = random * 6364136223846793005u + 1442695040888963407u;
        int rc = cmp_object_take(r, CMP_TYPE_LOCK, &cell);
        CHECK(rc == -EINVAL || rc == -ESTALE);
        cmp_object_drop(r);
        cmp_object_hold(r);
        cmp_object_linked(r, CMP_TYPE_COND_MORE);
    }
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_SEM, &cell), -EINVAL);
    CHECK_EQ(cmp_object_take(ref, (enum cmp_type)1000, &cell), -EINVAL);
    CHECK_EQ(cmp_object_create((enum cmp_type)0, 64, &ref, &cell), -EINVAL);
    CHECK_EQ(cmp_object_create(CMP_N_TYPES, 64, &ref, &cell), -EINVAL);
    CHECK_EQ(cmp_object_create(CMP_TYPE_LOCK, CMP_CELL_BYTES_MAX + 1, &ref, &cell), -EINVAL);
    CHECK_EQ(cmp_object_create(CMP_TYPE_LOCK, SIZE_MAX, &ref, &cell), -EINVAL);
    CHECK_EQ(cmp_check(say, NULL), 0);
}

/* Every size, its cell written from end to end, and its neighbours unharmed. */
static void test_sizes(void)
{
    enum { N = 120 };
    static cmp_ref ref[N];
    static unsigned char *cell[N];
    static size_t size[N];
    for (int i = 0; i < N; i++) {
        size[i] = i < 40 ? (size_t)i * 40 : (size_t)1 << (10 + (i - 40) % 11);
        ref[i] = make(CMP_TYPE_COND_MORE, size[i], (void **)&cell[i]);
        memset(cell[i], i, size[i]);
    }
    for (int i = 0; i < N; i++) {
        for (size_t k = 0; k < size[i]; k += 61)
            if (cell[i][k] != i)
                CHECK_EQ(cell[i][k], i);
        memset(cell[i], 0, size[i]);
        cmp_object_drop(ref[i]);
    }
    for (uint32_t bytes = 64; bytes <= CMP_CELL_BYTES_MAX; bytes += bytes / 7 / 64 * 64 + 64) {
        uint32_t cell_bytes = cmp_slab_cell_bytes(bytes);
        CHECK(cell_bytes >= bytes && cell_bytes <= bytes + bytes / 4 + 63);
        CHECK(cmp_slab_cells(cell_bytes) >= 3 && cmp_slab_cells(cell_bytes) <= CMP_CELLS_MAX);
    }
    uint32_t each = CMP_EXTENT_BYTES / cmp_slab_cells(cmp_slab_cell_bytes(sizeof(struct cmp_lock)));
    CHECK(each + 1 <= 128); /* 1: its bits */
    printf("a lock: %u bytes of arena\n", each);
}

/* The gen of a cell about to wrap. */
static void test_gen_wraps(void)
{
    void *cell;
    cmp_ref ref = make_lock(), next;
    uint32_t index = cmp_object_index(ref);
    cmp_process_lock();
    cmp_word64 *word = cmp_view_word(cmp_view_of(index), index);
    store64_relaxed(word, UINT64_MAX << 32 | (uint64_t)CMP_GEN_MASK << 6 | CMP_OBJECT_LIVE);
    cmp_process_unlock();
    ref = (cmp_ref)CMP_GEN_MASK << 24 | index;
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_LOCK, &cell), 0);
    cmp_object_drop(ref);
    cmp_object_drop(ref);
    CHECK(!lives(ref));
    next = make_lock();
    CHECK_EQ(cmp_object_index(next), index);
    CHECK_EQ(next >> 24, 1);
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_LOCK, &cell), -ESTALE);
    cmp_object_drop(next);
}

static void test_links(void)
{
    struct cmp_cond *cond;
    cmp_word64 *more[2];
    cmp_ref ref = make(CMP_TYPE_COND, sizeof *cond, (void **)&cond);
    cmp_ref first = make(CMP_TYPE_COND_MORE, 1024, (void **)&more[0]);
    cmp_ref second = make(CMP_TYPE_COND_MORE, 8192, (void **)&more[1]);
    cmp_ref third = make(CMP_TYPE_COND_MORE, 1024, NULL);
    cmp_cond_init(cond, cmp_object_index(ref));
    store64_relaxed(more[0], 0);
    store64_relaxed(more[1], 0);
    CHECK(cmp_object_link(&cond->more, first));
    CHECK(cmp_object_link(more[0], second));
    CHECK(!cmp_object_link(more[0], third)); /* another was there first */
    CHECK(!cmp_object_link(more[1], first)); /* its hold has ended */
    cmp_object_drop(third);
    CHECK(cmp_object_linked(first, CMP_TYPE_COND_MORE) == (void *)more[0]);
    CHECK(cmp_object_linked(first, CMP_TYPE_COND) == NULL);
    cmp_sweep();
    CHECK(lives(first) && lives(second));
    cmp_object_drop(ref);
    CHECK(!lives(ref));
    CHECK(cmp_object_linked(first, CMP_TYPE_COND_MORE) == (void *)more[0]);
    CHECK_EQ(cmp_sweep(), 2); /* nobody reaches them any more */
    CHECK(!lives(first) && !lives(second));
    CHECK(cmp_object_linked(first, CMP_TYPE_COND_MORE) == NULL);

    /* In a ring, and held by nobody: no count would ever free them. */
    first = make(CMP_TYPE_COND_MORE, 1024, (void **)&more[0]);
    second = make(CMP_TYPE_COND_MORE, 1024, (void **)&more[1]);
    store64_relaxed(more[0], 0);
    store64_relaxed(more[1], 0);
    cmp_object_hold(first);
    CHECK(cmp_object_link(more[1], first) && cmp_object_link(more[0], second));
    cmp_sweep();
    CHECK(lives(first) && lives(second));
    cmp_object_drop(first);
    CHECK_EQ(cmp_sweep(), 2);
}

/* ---- several processes ----------------------------------------------------------- */

static cmp_ref shared_ref(int i)
{
    return (cmp_ref)load_acquire(&stage->count) << 32 | (load_acquire(&stage->result) + (uint32_t)i);
}

static void share_ref(cmp_ref ref)
{
    store_release(&stage->count, (uint32_t)(ref >> 32));
    store_release(&stage->result, (uint32_t)ref);
}

static void hold_one(void *arg)
{
    (void)arg;
    share_ref(make_lock());
}

/* A reference that came by other ways than a fork. */
static void test_take_from_others(void)
{
    void *cell;
    begin();
    pid_t pid = start_peer(hold_one, NULL);
    cmp_ref ref = shared_ref(0);
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_LOCK, &cell), 0);
    check_killed(pid);
    cmp_sweep();
    CHECK(lives(ref)); /* this process holds it too */
    cmp_object_drop(ref);
    CHECK_EQ(cmp_sweep(), 1);
    CHECK(!lives(ref));
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_LOCK, &cell), -ESTALE);

    begin(); /* its only holder is dead, and no sweep has noticed: too late */
    pid = start_peer(hold_one, NULL);
    ref = shared_ref(0);
    check_killed(pid);
    CHECK(lives(ref));
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_LOCK, &cell), -ESTALE);
    CHECK_EQ(cmp_sweep(), 1);

    begin(); /* a stopped holder is a holder */
    pid = start_peer(hold_one, NULL);
    ref = shared_ref(0);
    kill(pid, SIGSTOP);
    CHECK(reaches(pid, 'T'));
    CHECK_EQ(cmp_sweep(), 0);
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_LOCK, &cell), 0);
    cmp_object_drop(ref);
    check_killed(pid);
    CHECK_EQ(cmp_sweep(), 1);
}

/* What spawn does, with a fork that forgets all it inherited. */
static int child_of_spawn(struct cmp_embryo *embryo, cmp_ref ref)
{
    void *cell;
    for (int i = 0; i < 3; i++) /* of the copies */
        cmp_object_drop(ref);
    CHECK_EQ(cmp_embryo_adopt(embryo), 0);
    CHECK_EQ(cmp_embryo_adopt(embryo), -ESTALE);
    tell(&stage->ready);
    await(&stage->go, 1); /* the parent has dropped it by now */
    CHECK_EQ(cmp_sweep(), 0);
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_LOCK, &cell), 0);
    cmp_object_drop(ref);
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_LOCK, &cell), -ESTALE); /* that was the one hold */
    return 0;
}

static void test_embryo(void)
{
    struct cmp_embryo embryo;
    cmp_ref ref = make_lock();
    begin();
    CHECK_EQ(cmp_embryo_create(&embryo), 0);
    CHECK(embryo.fd >= 0);
    CHECK_EQ(cmp_embryo_give(&embryo, ref), 0);
    CHECK_EQ(cmp_embryo_give(&embryo, ref), 0);
    CHECK_EQ(cmp_embryo_give(&embryo, ref + 1), -EINVAL);
    pid_t pid = fork_child();
    if (pid == 0)
        _exit(child_of_spawn(&embryo, ref) || n_failed);
    cmp_embryo_sent(&embryo);
    cmp_object_drop(ref);
    await(&stage->ready, 1);
    cmp_sweep();
    CHECK(lives(ref));
    tell(&stage->go);
    CHECK_EQ(exit_code(pid), 0);
    cmp_sweep();
    CHECK(!lives(ref));
}

/* The parent drops at once, the child is killed before it has adopted. */
static void test_embryo_dies(void)
{
    struct cmp_embryo embryo;
    cmp_ref ref = make_lock();
    begin();
    CHECK_EQ(cmp_embryo_create(&embryo), 0);
    CHECK_EQ(cmp_embryo_give(&embryo, ref), 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        cmp_object_drop(ref);
        tell(&stage->ready);
        for (;;)
            pause(); /* it has the descriptor */
    }
    await(&stage->ready, 1);
    cmp_embryo_sent(&embryo);
    cmp_object_drop(ref);
    CHECK_EQ(cmp_sweep(), 0);
    CHECK(lives(ref));
    kill(pid, SIGSTOP);
    CHECK(reaches(pid, 'T'));
    CHECK_EQ(cmp_sweep(), 0);
    CHECK(lives(ref));
    check_killed(pid);
    CHECK_EQ(cmp_sweep(), 1);
    CHECK(!lives(ref));

    ref = make_lock(); /* the start fails */
    CHECK_EQ(cmp_embryo_create(&embryo), 0);
    CHECK_EQ(cmp_embryo_give(&embryo, ref), 0);
    cmp_object_drop(ref);
    CHECK_EQ(cmp_sweep(), 0);
    cmp_embryo_abandon(&embryo);
    CHECK_EQ(embryo.fd, -1);
    CHECK_EQ(cmp_sweep(), 1);
    CHECK(!lives(ref));
    CHECK_EQ(cmp_embryo_adopt(&embryo), -ESTALE);
}

/* A real exec, which joins by the descriptor. */
static int main_of_child(char **argv)
{
    struct cmp_embryo embryo = {
        .slot = (uint32_t)atoi(argv[2]), .gen = (uint32_t)atoi(argv[3]), .fd = atoi(argv[4])};
    cmp_ref ref = strtoull(argv[5], NULL, 0);
    uint32_t version;
    void *cell;
    start(60);
    CHECK_EQ(cmp_family_join(embryo.fd, &version), 0);
    CHECK_EQ(cmp_sweep(), 0); /* nor does it take itself for dead */
    CHECK_EQ(cmp_embryo_adopt(&embryo), 0);
    CHECK_EQ(cmp_object_take(ref, CMP_TYPE_LOCK, &cell), 0);
    pid_t pid = fork_child(); /* inherits the descriptor */
    if (pid == 0)
        _exit(cmp_me() == 0);
    CHECK_EQ(status_of(pid), 0);
    return done();
}

static void test_spawn(char *program)
{
    struct cmp_embryo embryo;
    char slot[16], gen[16], fd[16], text[32];
    cmp_ref ref = make_lock();
    CHECK_EQ(cmp_embryo_create(&embryo), 0);
    CHECK_EQ(cmp_embryo_give(&embryo, ref), 0);
    pid_t pid = vfork();
    if (pid == 0) {
        int copy = dup(embryo.fd); /* without close-on-exec */
        snprintf(slot, sizeof slot, "%u", embryo.slot);
        snprintf(gen, sizeof gen, "%u", embryo.gen);
        snprintf(fd, sizeof fd, "%d", copy);
        snprintf(text, sizeof text, "%#llx", (unsigned long long)ref);
        execl(program, program, "child", slot, gen, fd, text, (char *)NULL);
        _exit(127);
    }
    cmp_embryo_sent(&embryo);
    cmp_object_drop(ref);
    CHECK_EQ(exit_code(pid), 0);
    CHECK_EQ(cmp_sweep(), 1);
    CHECK(!lives(ref));
}

/* Each its own, and all of them apart. */
static int create_many(void *arg)
{
    enum { N = 3000 };
    static cmp_ref refs[N];
    static uint64_t *cells[N];
    uint64_t me = (uint64_t)(intptr_t)arg << 32;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < N; i++) {
            refs[i] = make(CMP_TYPE_EVENT, 64, (void **)&cells[i]);
            *cells[i] = me | (uint64_t)i;
        }
        for (int i = 0; i < N; i++) {
            if (*cells[i] != (me | (uint64_t)i))
                CHECK_EQ(*cells[i], me | (uint64_t)i);
            *cells[i] = 0;
            cmp_object_drop(refs[i]);
        }
    }
    return 0;
}

static void test_at_once(void)
{
    pid_t pid[4];
    for (intptr_t i = 0; i < 4; i++)
        pid[i] = start_child(create_many, (void *)(i + 1));
    for (int i = 0; i < 4; i++)
        CHECK_EQ(exit_code(pid[i]), 0);
    CHECK_EQ(cmp_check(say, NULL), 0);
}

/* ---- how many, how fast ---------------------------------------------------------- */

static void test_flat(void)
{
    long n = SLOW ? 100000 : 10000000;
    cmp_ref ref;
    void *cell;
    make_lock(); /* the slab is there */
    uint32_t before = n_extents();
    int64_t begin_ns = cpu_ns();
    for (long i = 0; i < n; i++) {
        if (cmp_object_create(CMP_TYPE_LOCK, sizeof(struct cmp_lock), &ref, &cell) < 0)
            CHECK(false);
        cmp_object_drop(ref);
    }
    printf("create and drop: %.0f ns of processor time\n", (double)(cpu_ns() - begin_ns) / (double)n);
    CHECK_EQ(n_extents(), before);
}

/* Left to the sweep each time, since a child might have it. */
static void test_flat_without_token(void)
{
    uint32_t before = n_extents();
    int n = SLOW ? 20 : 100;
    for (int i = 0; i < n; i++) {
        cmp_ref refs[300];
        for (int k = 0; k < 300; k++)
            refs[k] = make(CMP_TYPE_RLOCK, 64, NULL);
        pid_t pid = fork_child();
        if (pid == 0)
            _exit(0);
        status_of(pid);
        for (int k = 0; k < 300; k++)
            cmp_object_drop(refs[k]);
    }
    /* 30000 in all, 907 in a slab; the slots of the children have bits. */
    printf("%d forks between 300 objects each: %u extents\n", n, n_extents() - before);
    uint32_t n_rlock = 0;
    cmp_process_lock();
    for (uint32_t i = 0; i < cmp_slab_count(); i++)
        n_rlock += cmp_slab_view(i)->type == CMP_TYPE_RLOCK;
    cmp_process_unlock();
    CHECK(n_rlock <= 8);
}

static long fork_us(void)
{
    long best = LONG_MAX;
    for (int i = 0; i < 10; i++) {
        int64_t begin_ns = cmp_now_ns();
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        long us = (long)((cmp_now_ns() - begin_ns) / 1000);
        best = us < best ? us : best;
        status_of(pid);
    }
    return best;
}

static int million(void)
{
    long n = SLOW ? 100000 : 1000000;
    cmp_ref *refs = malloc((size_t)n * sizeof *refs);
    CHECK_EQ(cmp_family_init(), 0);
    long us = fork_us();
    int64_t begin_ns = cpu_ns();
    for (long i = 0; i < n; i++)
        refs[i] = make_lock();
    printf("%ld objects: %.0f ns each to make, %.1f bytes each; a fork %ld us with them, %ld without\n",
           n, (double)(cpu_ns() - begin_ns) / (double)n,
           (double)n_extents() * CMP_EXTENT_BYTES / (double)n, fork_us(), us);
    CHECK(lives(refs[0]) && lives(refs[n / 2]) && lives(refs[n - 1]));
    for (long i = 0; i < n; i++)
        cmp_object_drop(refs[i]); /* after a fork: to the sweep */
    begin_ns = cpu_ns();
    CHECK_EQ(cmp_sweep(), n);
    printf("a sweep that frees them all: %.1f ms\n", (double)(cpu_ns() - begin_ns) / 1e6);
    uint32_t before = n_extents();
    for (long i = 0; i < n; i++)
        refs[i] = make_lock();
    CHECK_EQ(n_extents(), before);
    for (long i = 0; i < n; i++)
        cmp_object_drop(refs[i]);
    CHECK_EQ(cmp_check(say, NULL), 0);
    free(refs);
    fflush(stdout);
    return n_failed;
}

static void *churn(void *arg)
{
    for (int i = 0; i < (SLOW ? 300 : 3000); i++) {
        cmp_ref ref = make_lock();
        cmp_object_hold(ref);
        cmp_object_drop(ref);
        cmp_object_drop(ref);
    }
    return arg;
}

static void test_threads(void)
{
    pthread_t t[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&t[i], NULL, churn, NULL);
    for (int i = 0; i < 20; i++) {
        pid_t pid = TSAN ? -1 : fork_child();
        if (pid == 0)
            _exit(churn(NULL) != NULL || n_failed);
        if (pid > 0)
            CHECK_EQ(exit_code(pid), 0);
        cmp_sweep();
    }
    for (int i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    cmp_sweep();
    CHECK_EQ(cmp_check(say, NULL), 0);
}

int main(int argc, char **argv)
{
    if (argc > 5)
        return main_of_child(argv);
    start(140);
    pid_t pid = fork_child();
    if (pid == 0)
        _exit(million() != 0);
    CHECK_EQ(status_of(pid), 0);
    start_family(140);
    test_counts();
    test_forged();
    test_sizes();
    test_gen_wraps();
    test_links();
    test_take_from_others();
    test_embryo();
    test_embryo_dies();
    test_spawn(argv[0]);
    test_at_once();
    test_flat();
    test_flat_without_token();
    test_threads();
    cmp_sweep();
    CHECK_EQ(cmp_check(say, NULL), 0);
    return done();
}
