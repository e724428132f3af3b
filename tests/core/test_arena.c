/* Description: the arena: made once, joined through a descriptor, grown by several
   processes at once; extents claimed, linked, given back, recovered from the dead;
   under limits; damaged in its header, tables and directories. */
#include <fcntl.h>
#include <sys/resource.h>
#include "../../src/core/arena.h"
#include "../../src/core/owner.h"
#include "check.h"

#define KIND CMP_EXTENT_KIND(CMP_EXTENT_BLOCK, 7)

struct page {
    cmp_word ready, go, n, code;
    cmp_word64 fd, pid;
    cmp_word extent[4096];
};

static struct page *page;

/* Each in a process that has no family yet. */
static void in_a_child(void (*test)(void))
{
    memset(page, 0, sizeof *page);
    pid_t pid = fork_child();
    if (pid == 0) {
        test();
        _exit(n_failed != 0);
    }
    CHECK_EQ(status_of(pid), 0);
}

static void complain(void *arg, const char *what)
{
    if (arg != NULL)
        fprintf(stderr, "%s\n", what);
}

static void check_extents(void)
{
    CHECK_EQ(cmp_extent_check(complain, page), 0);
}

static bool is_zero(uint32_t e)
{
    uint64_t *words = cmp_extent_at(e);
    for (size_t i = 0; words != NULL && i < CMP_EXTENT_BYTES / 8; i++)
        if (words[i] != 0)
            return false;
    return words != NULL;
}

static void limit_to(int resource, rlim_t value)
{
    struct rlimit limit = {value, value};
    CHECK_EQ(setrlimit((__typeof__(RLIMIT_AS))resource, &limit), 0);
}

/* ---- making -------------------------------------------------------------------- */

static pthread_barrier_t together;

static void *init(void *arg)
{
    if (arg != NULL)
        pthread_barrier_wait(&together);
    CHECK_EQ(cmp_family_init(), 0);
    return arg;
}

static int n_open(void)
{
    int n = 0;
    for (int fd = 0; fd < 100; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_init(void)
{
    enum { N = 8 };
    pthread_t t[N];
    int before = n_open();
    CHECK(cmp_arena() == NULL);
    CHECK(cmp_family_id() == NULL);
    CHECK_EQ(cmp_family_fd(), -1);
    CHECK(cmp_slab_directory() == NULL);
    CHECK(cmp_extent_at(CMP_EXTENT_FIRST) == NULL);
    CHECK_EQ(cmp_extent_word(3), 0);
    CHECK_EQ(cmp_extent_claim(1, true), -EINVAL);
    CHECK_EQ(cmp_extent_check(complain, NULL), 0);
    pthread_barrier_init(&together, NULL, N);
    for (int i = 0; i < N; i++)
        pthread_create(&t[i], NULL, init, &together);
    for (int i = 0; i < N; i++)
        pthread_join(t[i], NULL);
    CHECK(cmp_arena() != NULL);
    CHECK(memcmp(cmp_family_id(), cmp_arena()->id, 16) == 0);
    CHECK(cmp_me() != 0);
    CHECK(cmp_family_fd() > 2);
    CHECK_EQ(n_open(), before + 1); /* one arena, not eight */
    check_extents();
}

static void id_of_another(void)
{
    CHECK_EQ(cmp_family_init(), 0);
    memcpy(page->extent, cmp_family_id(), 16);
}

static void test_ids_differ(void)
{
    unsigned char first[16];
    in_a_child(id_of_another);
    memcpy(first, page->extent, 16);
    in_a_child(id_of_another);
    CHECK(memcmp(first, page->extent, 16) != 0);
}

/* At the latest in the first fork, so that parent and child are of one family. */
static void test_made_by_a_fork(void)
{
    CHECK_EQ(cmp_owner_atfork_install(), 0);
    pid_t child = fork_child();
    if (child == 0) {
        CHECK(cmp_family_id() != NULL);
        memcpy(page->extent, cmp_arena()->id, 16);
        _exit(n_failed != 0);
    }
    CHECK_EQ(status_of(child), 0);
    CHECK(cmp_family_id() != NULL && memcmp(cmp_family_id(), page->extent, 16) == 0);
}

/* A fork beside a thread that makes the arena: the child has all of it, or makes its
   own, and never hangs. */
static void test_fork_beside_init(void)
{
    for (int i = 0; i < 10; i++) {
        pid_t pid = fork_child();
        if (pid == 0) {
            pthread_t t;
            CHECK_EQ(cmp_owner_atfork_install(), 0);
            pthread_create(&t, NULL, init, NULL);
            pthread_detach(t); /* its copy in the child would be a leak */
            pid_t child = fork_child();
            if (child == 0) {
                CHECK_EQ(cmp_family_init(), 0);
                CHECK(cmp_extent_take(1, KIND) > 0);
                _exit(n_failed != 0);
            }
            CHECK_EQ(status_of(child), 0);
            _exit(n_failed != 0);
        }
        CHECK_EQ(status_of(pid), 0);
    }
}

/* ---- extents ------------------------------------------------------------------- */

static void test_take_and_give(void)
{
    CHECK_EQ(cmp_family_init(), 0);
    int64_t e = cmp_extent_claim(1, true);
    CHECK(e > CMP_EXTENT_SLOTS_AT);
    CHECK_EQ(cmp_extent_word((uint32_t)e), CMP_EXTENT_CLAIM | cmp_me());
    CHECK(is_zero((uint32_t)e));
    memset(cmp_extent_at((uint32_t)e), 1, CMP_EXTENT_BYTES);
    cmp_extent_publish((uint32_t)e, KIND);
    CHECK_EQ(cmp_extent_word((uint32_t)e), KIND);
    int64_t other = cmp_extent_take(1, KIND);
    CHECK(other > 0 && other != e);
    CHECK_EQ(cmp_extent_give((uint32_t)e), 0);
    CHECK_EQ(cmp_extent_word((uint32_t)e), 0);
    CHECK(is_zero((uint32_t)e));
    CHECK_EQ(cmp_extent_give((uint32_t)e), -EINVAL);
    CHECK_EQ(cmp_extent_take(1, KIND), e); /* the lowest again */
    uint32_t never[] = {0, 1, 2, CMP_EXTENTS_MAX, UINT32_MAX, 100000};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        CHECK(cmp_extent_at(never[i]) == NULL);
        CHECK_EQ(cmp_extent_give(never[i]), -EINVAL);
    }
    CHECK_EQ(cmp_extent_claim(0, true), -EINVAL);
    CHECK_EQ(cmp_extent_claim(UINT32_MAX, true), -EINVAL);
    check_extents();
}

static void test_link(void)
{
    CHECK_EQ(cmp_family_init(), 0);
    cmp_word *directory = cmp_slab_directory();
    uint32_t kind = CMP_EXTENT_KIND(CMP_EXTENT_SLAB, 5);
    int64_t e = cmp_extent_claim(1, true), late = cmp_extent_claim(1, true);
    memset(cmp_extent_at((uint32_t)late), 1, CMP_EXTENT_BYTES);
    CHECK_EQ(cmp_extent_link((uint32_t)e, &directory[5], kind), 0);
    CHECK_EQ(load_acquire(&directory[5]), e);
    CHECK_EQ(cmp_extent_word((uint32_t)e), kind);
    CHECK_EQ(cmp_extent_link((uint32_t)late, &directory[5], kind), -EEXIST);
    CHECK_EQ(load_acquire(&directory[5]), e);
    CHECK_EQ(cmp_extent_word((uint32_t)late), 0);
    CHECK(is_zero((uint32_t)late));
    check_extents();
}

static void test_runs(void)
{
    CHECK_EQ(cmp_family_init(), 0);
    int64_t e = cmp_extent_take(5, KIND), after = cmp_extent_take(1, KIND);
    CHECK(e > 0 && after > 0 && (after < e || after >= e + 5));
    CHECK_EQ(cmp_extent_word((uint32_t)e), KIND);
    for (uint32_t i = 1; i < 5; i++) {
        CHECK_EQ(cmp_extent_word((uint32_t)e + i), CMP_EXTENT_TAIL | i);
        CHECK_EQ(cmp_extent_give((uint32_t)e + i), -EINVAL); /* only as a whole */
    }
    memset(cmp_extent_at((uint32_t)e), 1, 5 * CMP_EXTENT_BYTES);
    check_extents();
    CHECK_EQ(cmp_extent_give((uint32_t)e), 0);
    for (uint32_t i = 0; i < 5; i++) {
        CHECK_EQ(cmp_extent_word((uint32_t)e + i), 0);
        CHECK(is_zero((uint32_t)e + i));
    }
    CHECK_EQ(cmp_extent_word((uint32_t)after), KIND);
    check_extents();
}

/* A block of more than a GiB, that ends in the second or third; of which this process
   touches only the ends. */
static void test_large(void)
{
    enum { N = 16384 + 100 };
    CHECK_EQ(cmp_family_init(), 0);
    if (cmp_family_map()->reserved < (size_t)4 << 30)
        return;
    int64_t e = cmp_extent_claim(N, false);
    CHECK(e > 0);
    cmp_extent_publish((uint32_t)e, KIND);
    char *first = cmp_extent_at((uint32_t)e), *last = cmp_extent_at((uint32_t)e + N - 1);
    CHECK_EQ(last - first, (N - 1) * (ptrdiff_t)CMP_EXTENT_BYTES);
    first[0] = 1;
    last[CMP_EXTENT_BYTES - 1] = 2;
    CHECK_EQ(cmp_extent_commit((uint32_t)e, 4096, 65536), 0);
    CHECK_EQ(cmp_extent_commit(CMP_EXTENTS_MAX - 1, 0, 1), -EINVAL);
    check_extents();
    int64_t second = cmp_extent_claim(N, false); /* its first GiB boundary is the next */
    CHECK(second >= e + N);
    CHECK_EQ(cmp_extent_give((uint32_t)e), 0);
    CHECK_EQ(cmp_extent_give((uint32_t)second), 0);
    check_extents();
    /* Another process finds the tables that lie beyond what it has mapped so far. */
    e = cmp_extent_take(N, KIND);
    CHECK_EQ(cmp_extent_word((uint32_t)e + N - 1), CMP_EXTENT_TAIL | (N - 1));
}

/* All of a small reserve: then -ENOMEM; then, after one was given back, that one. */
static void test_used_up(void)
{
    static char last[64];
    cmp_platform_pretend(CMP_LACKS_MEMFD | CMP_LACKS_DEV_SHM);
    CHECK_EQ(cmp_family_init(), 0);
    CHECK_EQ(cmp_family_fd(), -1);
    CHECK(cmp_family_map()->reserved <= (size_t)256 << 20);
    int64_t e, run = -1, n = 0;
    while ((e = cmp_extent_claim(1, false)) > 0) {
        n++;
        run = e;
    }
    CHECK_EQ(e, -ENOMEM);
    CHECK(n > 200);
    CHECK(cmp_extent_at((uint32_t)run) != NULL);
    CHECK_EQ(cmp_extent_claim(2, false), -ENOMEM);
    CHECK_EQ(cmp_extent_give((uint32_t)run), 0);
    CHECK_EQ(cmp_extent_give((uint32_t)run - 3), 0);
    CHECK_EQ(cmp_extent_give((uint32_t)run - 4), 0);
    CHECK_EQ(cmp_extent_claim(2, false), run - 4);
    store_relaxed(&cmp_arena()->hint, (uint32_t)run + 1); /* it is a hint only */
    CHECK_EQ(cmp_extent_claim(1, false), run);
    store_relaxed(&cmp_arena()->hint, UINT32_MAX);
    CHECK_EQ(cmp_extent_claim(1, false), -ENOMEM);
    snprintf(last, sizeof last, "%d", (int)n);
    check_extents();
}

/* ---- several processes --------------------------------------------------------- */

enum { WORKERS = 4, EACH = 300 };

static void take_many(int me)
{
    for (int i = 0; i < EACH; i++) {
        int64_t e = cmp_extent_claim(1 + (unsigned int)(i % 3), i % 2 == 0);
        CHECK(e > 0);
        uint32_t *words = cmp_extent_at((uint32_t)e);
        CHECK_EQ(words[0], 0);
        words[0] = (uint32_t)(me * EACH + i + 1);
        if (i % 5 == 4) {
            CHECK_EQ(cmp_extent_give((uint32_t)e), 0);
            continue;
        }
        cmp_extent_publish((uint32_t)e, KIND);
        store_relaxed(&page->extent[me * EACH + i], (uint32_t)e);
    }
}

static void test_at_once(void)
{
    pid_t pids[WORKERS];
    CHECK_EQ(cmp_family_init(), 0);
    for (int i = 0; i < WORKERS; i++)
        if ((pids[i] = fork_child()) == 0) {
            take_many(i);
            _exit(n_failed != 0);
        }
    for (int i = 0; i < WORKERS; i++)
        CHECK_EQ(status_of(pids[i]), 0);
    for (int i = 0; i < WORKERS * EACH; i++) {
        uint32_t e = load_relaxed(&page->extent[i]);
        if (e == 0)
            continue;
        uint32_t *words = cmp_extent_at(e); /* beyond what this one has seen */
        CHECK(words != NULL && words[0] == (uint32_t)i + 1);
        CHECK_EQ(cmp_extent_word(e), KIND);
    }
    check_extents();
}

/* Two that claim and give back all the time are never given the same one. */
static void hammer(void)
{
    for (int i = 0; i < 4000; i++) {
        int64_t e = cmp_extent_claim(1 + (unsigned int)i % 2, false);
        CHECK(e > 0 && e < 4096);
        CHECK_EQ(add_seqcst(&page->extent[e], 1), 0);
        CHECK_EQ(cmp_extent_word((uint32_t)e), CMP_EXTENT_CLAIM | cmp_me());
        add_seqcst(&page->extent[e], (uint32_t)-1);
        CHECK_EQ(cmp_extent_give((uint32_t)e), 0);
    }
}

static void test_hammer(void)
{
    pid_t pids[3];
    CHECK_EQ(cmp_family_init(), 0);
    for (int i = 0; i < 3; i++)
        if ((pids[i] = fork_child()) == 0) {
            hammer();
            _exit(n_failed != 0);
        }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(status_of(pids[i]), 0);
    check_extents();
}

struct worker {
    int me;
};

static void *take_in_thread(void *arg)
{
    take_many(((struct worker *)arg)->me);
    return NULL;
}

static void test_threads_at_once(void)
{
    pthread_t t[WORKERS];
    struct worker w[WORKERS];
    CHECK_EQ(cmp_family_init(), 0);
    for (int i = 0; i < WORKERS; i++) {
        w[i].me = i;
        pthread_create(&t[i], NULL, take_in_thread, &w[i]);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(t[i], NULL);
    check_extents();
}

/* ---- joining ------------------------------------------------------------------- */

/* A process that has its own memory only; it gets the arena's descriptor as another
   description of the same file. */
static int open_family(void)
{
    char path[64];
    while (!load_acquire(&page->ready))
        sleep_ms(1);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)load64_relaxed(&page->pid),
             (int)load64_relaxed(&page->fd));
    return open(path, O_RDWR | O_CLOEXEC);
}

static void show_family(void)
{
    store64_relaxed(&page->pid, (uint64_t)getpid());
    store64_relaxed(&page->fd, (uint64_t)cmp_family_fd());
    store_release(&page->ready, 1);
}

static pid_t start_stranger(void (*fn)(void))
{
    pid_t pid = fork_child();
    if (pid == 0) {
        fn();
        _exit(n_failed != 0);
    }
    return pid;
}

static void join_and_share(void)
{
    uint32_t version = 0;
    CHECK(mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != NULL);
    int fd = open_family();
    CHECK_EQ(cmp_family_join(fd, &version), 0);
    CHECK_EQ(version, CMP_LAYOUT_VERSION);
    CHECK_EQ(cmp_family_fd(), fd);
    CHECK(cmp_me() != 0);
    CHECK(cmp_me() != load_relaxed(&page->code));
    uint32_t *words = cmp_extent_at(load_relaxed(&page->extent[0]));
    CHECK(words != NULL && words[5] == 99);
    if (words != NULL)
        words[6] = 100;

    int64_t e = cmp_extent_take(40, KIND); /* the other has not mapped so much */
    words = cmp_extent_at((uint32_t)e + 39);
    words[7] = 101;
    store_release(&page->extent[1], (uint32_t)e + 39);

    int again = dup(fd); /* once more is fine */
    CHECK_EQ(cmp_family_join(again, NULL), 0);
    CHECK_EQ(close(again), 0); /* it stayed ours */
    CHECK_EQ(cmp_family_join(fd, NULL), 0);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    CHECK_EQ(cmp_family_init(), 0);
    CHECK_EQ(cmp_family_fd(), fd);
    check_extents();
}

static void join_another(void)
{
    CHECK_EQ(cmp_family_init(), 0);
    int fd = open_family();
    CHECK_EQ(cmp_family_join(fd, NULL), -EEXIST);
    CHECK(fcntl(fd, F_GETFD) >= 0);
}

static void join_at_zero(void)
{
    int fd = open_family();
    close(0);
    CHECK_EQ(fcntl(fd, F_DUPFD, 0), 0);
    CHECK_EQ(cmp_family_join(0, NULL), 0);
    CHECK(cmp_family_fd() > 2);
    CHECK_EQ(close(0), 0); /* a copy was taken */
}

static void test_join(void)
{
    pid_t strangers[] = {start_stranger(join_and_share), start_stranger(join_another),
                         start_stranger(join_at_zero)};
    CHECK_EQ(cmp_family_init(), 0);
    int64_t e = cmp_extent_take(1, KIND);
    uint32_t *words = cmp_extent_at((uint32_t)e);
    words[5] = 99;
    store_relaxed(&page->extent[0], (uint32_t)e);
    store_relaxed(&page->code, cmp_me());
    show_family();
    for (int i = 0; i < 3; i++)
        CHECK_EQ(status_of(strangers[i]), 0);
    CHECK_EQ(words[6], 100);
    words = cmp_extent_at(load_relaxed(&page->extent[1]));
    CHECK(words != NULL && words[7] == 101);
    check_extents();
}

static void join_nothing(void)
{
    int ends[2];
    CHECK_EQ(cmp_family_join(-1, NULL), -EBADF);
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(cmp_family_join(ends[0], NULL), -EINVAL);
    CHECK(fcntl(ends[0], F_GETFD) >= 0);
    struct cmp_map map; /* a memory file, but no arena */
    CHECK_EQ(cmp_map_create(&map, 4096), 0);
    CHECK_EQ(cmp_family_join(dup(map.fd), NULL), -EINVAL);
    CHECK_EQ(cmp_map_grow(&map, 1 << 20), 0);
    CHECK_EQ(cmp_family_join(dup(map.fd), NULL), -EINVAL);
    CHECK(cmp_arena() == NULL);
    CHECK_EQ(cmp_family_init(), 0); /* and nothing has been left behind */
    CHECK(cmp_me() != 0);
}

/* ---- damage -------------------------------------------------------------------- */

/* What a join says, in a process of its own, while the bytes are flipped. */
static int join_result(void)
{
    int fd = open_family();
    uint32_t version = 0;
    int rc = cmp_family_join(fd, &version);
    if (rc < 0) {
        CHECK(fcntl(fd, F_GETFD) >= 0);
        CHECK(cmp_arena() == NULL);
        CHECK(cmp_family_id() == NULL);
    }
    if (rc == -EPROTO)
        CHECK(version != 0);
    return n_failed != 0 ? 1 : -rc;
}

static void test_damaged_header(void)
{
    static const struct {
        size_t offset, bytes;
        int rc;
    } fields[] = {
        {offsetof(struct cmp_arena, magic), 8, -EINVAL},
        {offsetof(struct cmp_arena, layout_version), 4, -EPROTO},
        {offsetof(struct cmp_arena, header_bytes), 4, -EPROTO},
        {offsetof(struct cmp_arena, extent_bytes), 4, -EPROTO},
        {offsetof(struct cmp_arena, node_offset), 4, -EPROTO},
    };
    enum { N = 24 };
    pid_t strangers[N];
    int n = 0;
    for (; n < N; n++) /* they have no family, so they are older than ours */
        if ((strangers[n] = fork_child()) == 0) {
            while (load_acquire(&page->go) != (uint32_t)n + 1)
                sleep_ms(1);
            _exit(join_result());
        }
    CHECK_EQ(cmp_family_init(), 0);
    show_family();
    n = 0;
    for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++)
        for (size_t i = 0; i < fields[f].bytes; i++, n++) {
            volatile char *byte = cmp_arena_base + fields[f].offset + i;
            *byte ^= 0x41;
            store_release(&page->go, (uint32_t)n + 1);
            int status = status_of(strangers[n]);
            CHECK_EQ(WIFEXITED(status) ? -WEXITSTATUS(status) : -9999, fields[f].rc);
            *byte ^= 0x41;
        }
    CHECK_EQ(n, N);
}

static void no_words(void *arg, const char *what)
{
    (void)what;
    ++*(int *)arg;
}

/* Whatever stands there, nothing crashes, and nothing is handed out that is not ours.
   What is wrong is said. */
static void exercise(void)
{
    int said = 0;
    int64_t e = cmp_extent_claim(1, true);
    if (e > 0) {
        ((volatile char *)cmp_extent_at((uint32_t)e))[CMP_EXTENT_BYTES - 1] = 1;
        cmp_extent_give((uint32_t)e);
    }
    e = cmp_extent_claim(3, false);
    if (e > 0)
        cmp_extent_give((uint32_t)e);
    cmp_extent_recover(CMP_CODE_TAG | 17, NULL);
    CHECK_EQ(cmp_extent_check(no_words, &said), said);
    for (uint32_t i = 0; i < CMP_SLOT_EXTENTS; i++) {
        volatile char *slots = cmp_extent_at(load_relaxed(&cmp_arena()->slot_extent[i]));
        if (slots != NULL)
            slots[CMP_EXTENT_BYTES - 1] += 0;
    }
}

static uint32_t random_word(unsigned int *seed)
{
    uint32_t some[] = {0, 1, 2, 3, 4, 5, 16383, 16384, CMP_EXTENTS_MAX - 1, CMP_EXTENTS_MAX,
                       UINT32_MAX, CMP_EXTENT_TAIL, CMP_EXTENT_TAIL | 1, CMP_EXTENT_TAIL | 0xffffff,
                       CMP_EXTENT_CLAIM, CMP_EXTENT_CLAIM | CMP_CODE_TAG | 17,
                       CMP_EXTENT_KIND(CMP_EXTENT_SLAB, 0xffffff), CMP_EXTENT_KIND(CMP_EXTENT_SLOTS, 99)};
    uint32_t r = (uint32_t)rand_r(seed);
    return r % 4 == 0 ? (uint32_t)rand_r(seed) * 3u : some[r / 4 % (sizeof some / sizeof some[0])];
}

static void test_damaged_words(void)
{
    unsigned int seed = 1;
    CHECK_EQ(cmp_family_init(), 0);
    struct cmp_arena *arena = cmp_arena();
    cmp_word *table = (cmp_word *)(void *)(cmp_arena_base + CMP_EXTENT_BYTES);
    uint32_t own_slots = load_relaxed(&arena->slot_extent[0]);
    cmp_extent_take(9, KIND);
    for (int i = 0; i < 200; i++) {
        if (i % 20 == 0) /* far ones are slow: they make the file long */
            store_relaxed(&arena->hint, random_word(&seed));
        store_relaxed(&arena->n_extents, i % 10 == 0 ? random_word(&seed) : 64);
        store_relaxed(&arena->n_slabs, random_word(&seed));
        store_relaxed(&arena->slot_extent[1 + i % 63], random_word(&seed));
        store_relaxed(&cmp_slab_directory()[rand_r(&seed) % CMP_SLABS], random_word(&seed));
        for (int n = 0; n < 5; n++)
            store_relaxed(&table[rand_r(&seed) % 64], random_word(&seed));
        exercise();
    }
    CHECK_EQ(load_relaxed(&arena->slot_extent[0]), own_slots);
}

/* Each kind of damage is found by the check. */
static void found(cmp_word *word, uint32_t damage)
{
    int said = 0;
    uint32_t was = load_relaxed(word);
    store_relaxed(word, damage);
    CHECK(cmp_extent_check(no_words, &said) > 0);
    CHECK(said > 0);
    store_relaxed(word, was);
    check_extents();
}

static void test_check(void)
{
    CHECK_EQ(cmp_family_init(), 0);
    struct cmp_arena *arena = cmp_arena();
    cmp_word *table = (cmp_word *)(void *)(cmp_arena_base + CMP_EXTENT_BYTES);
    int64_t e = cmp_extent_take(3, KIND);
    int64_t slab = cmp_extent_claim(1, true);
    CHECK_EQ(cmp_extent_link((uint32_t)slab, &cmp_slab_directory()[2],
                             CMP_EXTENT_KIND(CMP_EXTENT_SLAB, 2)), 0);
    found(&table[e], 0);                        /* tails of none */
    found(&table[e + 2], CMP_EXTENT_TAIL | 50); /* before the first */
    found(&table[e + 2], CMP_EXTENT_TAIL | 1);  /* of a tail */
    found(&table[slab], CMP_EXTENT_KIND(CMP_EXTENT_SLAB, 3));
    found(&table[slab], CMP_EXTENT_KIND(CMP_EXTENT_SLAB, CMP_SLABS));
    found(&table[slab], CMP_EXTENT_KIND(CMP_EXTENT_SLOTS, 0));
    found(&table[slab], CMP_EXTENT_KIND(CMP_EXTENT_SLOTS, CMP_SLOT_EXTENTS));
    found(&table[slab], 0);
    found(&table[slab], KIND);
    found(&cmp_slab_directory()[2], 0);
    found(&cmp_slab_directory()[7], (uint32_t)slab);
    found(&cmp_slab_directory()[16383], CMP_EXTENTS_MAX);
    found(&arena->slot_extent[0], 0);
    found(&arena->slot_extent[63], (uint32_t)e);
    found(&arena->n_extents, 0);
    found(&arena->n_extents, UINT32_MAX);
    found(&arena->n_extents, (uint32_t)slab);
    found(&arena->n_slabs, 2);
}

/* ---- deaths -------------------------------------------------------------------- */

static uint32_t kind_by_page(uint32_t e)
{
    return load_relaxed(&page->extent[9]) == e ? CMP_EXTENT_KIND(CMP_EXTENT_HELD, 1) : 0;
}

/* Dies in the middle of several claims: one published, one alone, one with tails, one
   written to, one named by the directory of slabs, one by something else. */
static void die_claiming(void)
{
    store_relaxed(&page->code, cmp_me());
    for (int i = 0; i < 6; i++)
        store_relaxed(&page->extent[i], (uint32_t)cmp_extent_claim(i == 2 ? 4 : 1, i % 2 == 0));
    cmp_extent_publish(load_relaxed(&page->extent[0]), KIND);
    memset(cmp_extent_at(load_relaxed(&page->extent[2])), 1, 4 * CMP_EXTENT_BYTES);
    memset(cmp_extent_at(load_relaxed(&page->extent[3])), 1, CMP_EXTENT_BYTES);
    memset(cmp_extent_at(load_relaxed(&page->extent[4])), 1, CMP_EXTENT_BYTES);
    store_relaxed(&cmp_arena()->n_slabs, 9);
    store_relaxed(&cmp_slab_directory()[8], load_relaxed(&page->extent[4]));
    store_relaxed(&page->extent[9], load_relaxed(&page->extent[5]));
    kill(getpid(), SIGKILL);
}

static void test_recover(void)
{
    uint32_t e[6];
    CHECK_EQ(cmp_family_init(), 0);
    CHECK_EQ(cmp_extent_recover(0, NULL), -EINVAL);
    pid_t pid = fork_child();
    if (pid == 0)
        die_claiming();
    CHECK(WIFSIGNALED(status_of(pid)));
    uint32_t code = load_relaxed(&page->code);
    for (int i = 0; i < 6; i++)
        e[i] = load_relaxed(&page->extent[i]);
    int64_t mine = cmp_extent_claim(2, true);
    CHECK_EQ(cmp_extent_word(e[1]), CMP_EXTENT_CLAIM | code);
    CHECK_EQ(cmp_extent_recover(code, kind_by_page), 5);
    CHECK_EQ(cmp_extent_recover(code, kind_by_page), 0);
    CHECK_EQ(cmp_extent_word(e[0]), KIND);
    CHECK_EQ(cmp_extent_word(e[1]), 0);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_EQ(cmp_extent_word(e[2] + i), 0);
        CHECK(is_zero(e[2] + i));
    }
    CHECK_EQ(cmp_extent_word(e[3]), 0);
    CHECK(is_zero(e[3]));
    CHECK_EQ(cmp_extent_word(e[4]), CMP_EXTENT_KIND(CMP_EXTENT_SLAB, 8));
    CHECK_EQ(*(char *)cmp_extent_at(e[4]), 1);
    CHECK_EQ(cmp_extent_word(e[5]), CMP_EXTENT_KIND(CMP_EXTENT_HELD, 1));
    CHECK_EQ(cmp_extent_word((uint32_t)mine), CMP_EXTENT_CLAIM | cmp_me());
    check_extents();
}

/* Several recover the same dead at once, while others claim. */
static void test_recover_at_once(void)
{
    pid_t pids[WORKERS];
    CHECK_EQ(cmp_family_init(), 0);
    for (int round = 0; round < 10; round++) {
        store_relaxed(&page->n, 0);
        store_relaxed(&page->go, 0);
        pid_t dead = fork_child();
        if (dead == 0) {
            store_relaxed(&page->code, cmp_me());
            for (int i = 0; i < 30; i++)
                cmp_extent_claim(1 + (unsigned int)i % 4, false);
            kill(getpid(), SIGKILL);
        }
        status_of(dead);
        for (int i = 0; i < WORKERS; i++)
            if ((pids[i] = fork_child()) == 0) {
                while (!load_acquire(&page->go))
                    ;
                add_seqcst(&page->n, (uint32_t)cmp_extent_recover(load_relaxed(&page->code), NULL));
                int64_t e = cmp_extent_claim(2, false);
                CHECK(e > 0 && is_zero((uint32_t)e) && is_zero((uint32_t)e + 1));
                memset(cmp_extent_at((uint32_t)e), 3, 2 * CMP_EXTENT_BYTES);
                CHECK_EQ(cmp_extent_give((uint32_t)e), 0);
                _exit(n_failed != 0);
            }
        store_release(&page->go, 1);
        for (int i = 0; i < WORKERS; i++)
            CHECK_EQ(status_of(pids[i]), 0);
        CHECK_EQ(load_relaxed(&page->n), 30);
    }
    check_extents();
    uint32_t n = load_relaxed(&cmp_arena()->n_extents), taken = 0;
    for (uint32_t e = CMP_EXTENT_SLOTS_AT + 1; e < n; e++) {
        uint32_t word = cmp_extent_word(e), kind = word >> 24;
        taken += word != 0 && kind != CMP_EXTENT_HELD && kind != CMP_EXTENT_SLAB &&
                 word < CMP_EXTENT_TAIL;
    }
    CHECK_EQ(taken, 0);
}

/* ---- limits -------------------------------------------------------------------- */

static void no_long_files(void)
{
    limit_to(RLIMIT_FSIZE, 4096);
    CHECK_EQ(cmp_family_init(), -EFBIG);
    CHECK(cmp_arena() == NULL);
}

static void no_longer_files(void)
{
    limit_to(RLIMIT_FSIZE, 21 * CMP_EXTENT_BYTES); /* less than a step more */
    CHECK_EQ(cmp_family_init(), 0);
    int64_t e;
    while ((e = cmp_extent_take(1, KIND)) > 0)
        ;
    CHECK_EQ(e, -EFBIG);
    CHECK_EQ(cmp_extent_claim(3, false), -EFBIG);
    CHECK_EQ(cmp_extent_word(20), KIND); /* all of what may be */
    for (e = 21; e < cmp_extent_end(); e++)
        CHECK_EQ(cmp_extent_word((uint32_t)e), 0);
    check_extents();
}

static void no_descriptor(void)
{
    limit_to(RLIMIT_NOFILE, 64);
    while (dup(0) >= 0)
        ;
    CHECK_EQ(cmp_family_init(), -EMFILE);
    for (int fd = 3; fd < 10; fd++)
        close(fd);
    CHECK_EQ(cmp_family_init(), 0);
}

static void no_files(void)
{
    cmp_platform_pretend(CMP_LACKS_MEMFD | CMP_LACKS_DEV_SHM);
    test_at_once();
}

static void only_dev_shm(void)
{
    cmp_platform_pretend(CMP_LACKS_MEMFD);
    test_join();
}

int main(void)
{
    start(140);
    page = shared(sizeof *page);
    in_a_child(test_init);
    test_ids_differ();
    in_a_child(test_made_by_a_fork);
    in_a_child(test_fork_beside_init);
    in_a_child(test_take_and_give);
    in_a_child(test_link);
    in_a_child(test_runs);
    in_a_child(test_large);
    in_a_child(test_used_up);
    in_a_child(test_at_once);
    in_a_child(test_hammer);
    in_a_child(test_threads_at_once);
    if (proc_is_usable()) {
        in_a_child(test_join);
        in_a_child(test_damaged_header);
        in_a_child(only_dev_shm);
    }
    in_a_child(join_nothing);
    in_a_child(test_damaged_words);
    in_a_child(test_check);
    in_a_child(test_recover);
    in_a_child(test_recover_at_once);
    in_a_child(no_long_files);
    in_a_child(no_longer_files);
    in_a_child(no_descriptor);
    in_a_child(no_files);
    return done();
}
