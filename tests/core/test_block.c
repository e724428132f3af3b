/* Description: blocks: contents of all sizes, used again, given back, refused where there is
   no memory; held by children that drop them or are killed; forged; and what it costs. */
#include "../../src/core/block.h"
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "../../src/core/check.h"
#include "../../src/core/slab.h"
#include "living.h"
#include "peers.h"

#define KIB ((size_t)1024)
#define MIB ((size_t)1 << 20)
#define BIG (5 * (size_t)CMP_EXTENT_BYTES)

struct held {
    size_t bytes;
    cmp_ref ref;
    void *cell;
    unsigned char *data;
};

static int n_complaints;

static void say(void *arg, const char *what)
{
    (void)arg;
    n_complaints++;
    if (n_complaints == 1)
        fprintf(stderr, "cmp_check: %s\n", what);
}

static void check(void)
{
    n_complaints = 0;
    CHECK_EQ(cmp_check(say, NULL), 0);
}

static int create(struct held *b, size_t bytes, bool zero)
{
    void *data = NULL;
    b->bytes = bytes;
    int rc = cmp_block_create(bytes, zero, &b->ref, &b->cell, &data);
    b->data = data;
    return rc;
}

static struct held get(size_t bytes)
{
    struct held b;
    CHECK_EQ(create(&b, bytes, false), 0);
    return b;
}

static void fill(struct held *b, int with)
{
    memset(b->data, with, b->bytes);
}

static bool is_full_of(const struct held *b, int with)
{
    for (size_t i = 0; i < b->bytes; i++)
        if (b->data[i] != (unsigned char)with)
            return false;
    return true;
}

/* Extents that blocks have. */
static uint32_t n_in_blocks(void)
{
    uint32_t n = 0;
    bool in_block = false;
    for (uint32_t e = CMP_EXTENT_FIRST; e < cmp_extent_end(); e++) {
        uint32_t word = cmp_extent_word(e);
        if (word < CMP_EXTENT_TAIL || word >= CMP_EXTENT_CLAIM)
            in_block = word >> 24 == CMP_EXTENT_BLOCK;
        n += in_block;
    }
    return n;
}

static size_t memory_of_family(void)
{
    struct stat st;
    int fd = cmp_family_fd();
    return fd >= 0 && fstat(fd, &st) == 0 ? (size_t)st.st_blocks * 512 : 0;
}

/* ---- contents ---------------------------------------------------------------------- */

static void test_contents(void)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 50 * KIB, 64 * KIB, 64 * KIB + 1,
                                   5 * CMP_EXTENT_BYTES, 5 * CMP_EXTENT_BYTES + 1, MIB, 7 * MIB + 13};
    enum { N = sizeof sizes / sizeof *sizes };
    struct held b[2][N];
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < N; i++) {
            CHECK_EQ(create(&b[k][i], sizes[i], true), 0);
            CHECK(is_full_of(&b[k][i], 0));
            CHECK_EQ((uintptr_t)b[k][i].data % 64, 0);
            fill(&b[k][i], 2 * i + k + 1);
        }
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < N; i++)
            CHECK(is_full_of(&b[k][i], 2 * i + k + 1));
    check();
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < N; i++)
            cmp_object_drop(b[k][i].ref);
    for (int i = 0; i < N; i++) { /* used again, and zeroes all the same */
        CHECK_EQ(create(&b[0][i], sizes[i], true), 0);
        CHECK(is_full_of(&b[0][i], 0));
    }
    check();
}

static void test_too_much(void)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 45, (size_t)64 << 30,
                                   (size_t)1 << 36};
    struct held b;
    CHECK_EQ(cmp_family_init(), 0);
    uint32_t end = cmp_extent_end();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK_EQ(create(&b, sizes[i], false), -ENOMEM);
    CHECK_EQ(cmp_extent_end(), end);
    check();
}

/* ---- used again, given back ---------------------------------------------------------- */

static void test_again(void)
{
    struct held a = get(BIG), b = get(BIG);
    void *at = a.data;
    cmp_object_drop(a.ref);
    a = get(BIG - 1000);
    CHECK(a.data == at);
    cmp_object_drop(a.ref);
    struct held c = get(2 * BIG); /* too large */
    CHECK(c.data != at);
    cmp_object_drop(c.ref);
    at = c.data;
    a = get(BIG + BIG / 5);
    CHECK(a.data != at); /* half of it would be wasted */
    CHECK(b.data != a.data);
    check();
}

static void test_given_back(void)
{
    enum { N = 6 };
    struct held b[N];
    for (int i = 0; i < N; i++)
        b[i] = get(64 * MIB);
    CHECK_EQ(n_in_blocks(), N * 1024);
    for (int i = 0; i < N; i++)
        cmp_object_drop(b[i].ref);
    CHECK(n_in_blocks() <= CMP_BLOCK_WARM_BYTES / CMP_EXTENT_BYTES);
    CHECK(n_in_blocks() > 0);
    check();
    CHECK_EQ(cmp_block_trim(64 * MIB) % 1024, 0);
    CHECK_EQ(n_in_blocks(), 1024);
    CHECK_EQ(cmp_block_trim(0), 1024);
    CHECK_EQ(n_in_blocks(), 0);
    CHECK(memory_of_family() < 4 * MIB);
    b[0] = get(64 * MIB);
    CHECK(is_full_of(&b[0], 0));
    check();
}

/* A lot of them. */
static void test_many(void)
{
    enum { N = 2000 };
    static struct held b[N];
    for (int i = 0; i < N; i++) {
        b[i] = get(257 * KIB);
        *(int *)(void *)b[i].data = i;
    }
    for (int i = 0; i < N; i++)
        CHECK_EQ(*(int *)(void *)b[i].data, i);
    check();
    for (int i = 0; i < N; i++)
        cmp_object_drop(b[i].ref);
    CHECK(n_in_blocks() <= 5 * CMP_BLOCK_WARM_BYTES / 4 / CMP_EXTENT_BYTES);
    check();
}

/* ---- no memory ------------------------------------------------------------------------ */

static void fill_up(size_t bytes, int expected)
{
    enum { MOST = 200 };
    struct held b[MOST];
    int n = 0, rc = 0;
    while (n < MOST && (rc = create(&b[n], bytes, true)) == 0)
        fill(&b[n], n + 1), n++;
    CHECK_EQ(rc, expected);
    CHECK(n > 1 && n < MOST);
    struct held more;
    CHECK_EQ(create(&more, 16 * bytes, false), expected);
    check();
    for (int i = 0; i < n; i++)
        CHECK(is_full_of(&b[i], i + 1));
    cmp_object_drop(b[0].ref); /* there is room again, for others too */
    more = get(bytes - 5000);
    cmp_object_drop(more.ref);
    for (int i = 1; i < n; i++)
        cmp_object_drop(b[i].ref);
    more = get(2 * bytes);
    fill(&more, 1);
    check();
}

static void limit_to(int resource, rlim_t value)
{
    struct rlimit limit = {value, value};
    CHECK_EQ(setrlimit((__typeof__(RLIMIT_AS))resource, &limit), 0);
}

static void test_file_limit(void)
{
    limit_to(RLIMIT_FSIZE, 40 * MIB);
    fill_up(3 * MIB, -EFBIG);
}

static void test_file_limit_small(void)
{
    limit_to(RLIMIT_FSIZE, 20 * MIB);
    struct held b;
    int rc;
    while ((rc = create(&b, 60 * KIB, true)) == 0)
        fill(&b, 5);
    CHECK_EQ(rc, -EFBIG);
    check();
}

/* What big ones keep makes room for small ones. */
static void test_kept_for_others(void)
{
    limit_to(RLIMIT_FSIZE, 40 * MIB);
    struct held b = get(30 * MIB);
    fill(&b, 1);
    cmp_object_drop(b.ref);
    for (int i = 0; i < 300; i++) {
        b = get(60 * KIB);
        fill(&b, 2);
    }
    check();
}

/* Have the arena lie in a /dev/shm of that size; false: that takes root. */
static bool is_shm_small(const char *size)
{
    if (unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, size) < 0)
        return false;
    cmp_platform_pretend(CMP_LACKS_MEMFD);
    return true;
}

static void test_full_shm(void)
{
    if (is_shm_small("size=24m"))
        fill_up(3 * MIB, -ENOMEM);
}

/* Nothing but what waits for a sweep is in the way, of a cell that only lacks its pages. */
static void test_left_in_the_way(void)
{
    enum { MOST = 2000 };
    static struct held b[MOST];
    if (!is_shm_small("size=2m"))
        return;
    struct held first = get(20 * KIB);
    int n = 0;
    for (size_t bytes = 200 * KIB; bytes > KIB; bytes /= 2)
        while (n < MOST && create(&b[n], bytes, true) == 0)
            CHECK_EQ(cmp_object_pin(b[n++].ref), 0);
    CHECK(n > 5 && n < MOST);
    for (int i = 0; i < n; i++) {
        cmp_object_drop(b[i].ref);
        cmp_object_drop(b[i].ref);
    }
    fill(&first, 1);
    struct held second = get(20 * KIB);
    fill(&second, 2);
    CHECK(is_full_of(&first, 1));
    check();
}

/* The program has closed the descriptor, and the file can be no longer: what is in it. */
static void test_no_descriptor(void)
{
    struct held b = get(8 * MIB);
    cmp_object_drop(b.ref);
    cmp_block_trim(0);
    close(cmp_family_fd());
    CHECK_EQ(create(&b, 6 * MIB, true), 0);
    CHECK(is_full_of(&b, 0));
    fill(&b, 7);
    struct held more;
    CHECK_EQ(create(&more, 600 * MIB, false), -EBADF);
    CHECK(is_full_of(&b, 7));
    check();
}

/* Clearing locked memory goes another way. */
static void test_locked_memory(void)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
        return;
    struct held b = get(8 * MIB);
    fill(&b, 1);
    cmp_object_drop(b.ref);
    size_t before = memory_of_family();
    CHECK_EQ(cmp_block_trim(0), 128);
    CHECK(memory_of_family() <= before - 8 * MIB);
    b = get(8 * MIB);
    CHECK(is_full_of(&b, 0));
    check();
}

/* ---- who holds it ---------------------------------------------------------------------- */

static struct held theirs;

static void inherit(void *arg)
{
    (void)arg;
    CHECK(is_full_of(&theirs, 3));
    fill(&theirs, 4);
}

static void test_child(size_t bytes, bool killed)
{
    begin();
    theirs = get(bytes);
    fill(&theirs, 3);
    cmp_ref ref = theirs.ref;
    pid_t pid = start_peer(inherit, NULL);
    await(&stage->ready, 1);
    CHECK(is_full_of(&theirs, 4));
    cmp_object_drop(ref);
    CHECK(cmp_sweep() >= 0);
    CHECK(lives(ref));
    struct held other = get(bytes);
    CHECK(other.data != theirs.data);
    if (killed)
        kill_and_reap(pid);
    else {
        tell(&stage->go);
        CHECK_EQ(status_of(pid), 0);
    }
    CHECK(cmp_sweep() >= 1);
    CHECK(!lives(ref));
    check();
    cmp_object_drop(other.ref);
}

static void test_children(void)
{
    test_child(MIB, true);
    test_child(MIB, false);
    test_child(50 * KIB, true);
    test_child(50 * KIB, false);
}

/* Left to the sweep again and again: it comes before fresh memory. */
static void test_swept_in_time(void)
{
    for (int i = 0; i < 3000; i++) {
        struct held b = get(i % 2 == 0 ? MIB : 60 * KIB);
        CHECK_EQ(cmp_object_pin(b.ref), 0);
        cmp_object_drop(b.ref);
        cmp_object_drop(b.ref);
    }
    CHECK(memory_of_family() < 16 * MIB);
    check();
}

/* More than what may be kept, and nobody makes another. */
static void test_swept_and_given_back(void)
{
    enum { N = 5 };
    struct held b[N];
    for (int i = 0; i < N; i++) {
        b[i] = get(100 * MIB);
        CHECK_EQ(cmp_object_pin(b[i].ref), 0);
        cmp_object_drop(b[i].ref);
    }
    for (int i = 0; i < N; i++)
        cmp_object_drop(b[i].ref);
    CHECK(n_in_blocks() <= 7 * CMP_BLOCK_WARM_BYTES / 4 / CMP_EXTENT_BYTES);
    CHECK(cmp_sweep() >= 0);
    CHECK(n_in_blocks() <= CMP_BLOCK_WARM_BYTES / CMP_EXTENT_BYTES);
    check();
}

/* ---- forged ------------------------------------------------------------------------------ */

static void test_take(void)
{
    struct held big = get(MIB), small = get(1000);
    void *data;
    CHECK_EQ(cmp_block_take(big.ref, MIB, &data), 0);
    CHECK(data == big.data);
    CHECK_EQ(cmp_block_take(big.ref, MIB - 70000, &data), 0);
    CHECK_EQ(cmp_block_take(big.ref, MIB + 1, &data), -EINVAL);
    CHECK_EQ(cmp_block_take(big.ref, 1000, &data), -EINVAL); /* that is no big one */
    CHECK_EQ(cmp_block_take(small.ref, 1000, &data), 0);
    CHECK(data == small.data);
    CHECK_EQ(cmp_block_take(small.ref, 1025, &data), -EINVAL);
    CHECK_EQ(cmp_block_take(small.ref, MIB, &data), -EINVAL);
    CHECK_EQ(cmp_block_take(small.ref + (1 << 24), 1000, &data), -ESTALE);
    CHECK_EQ(cmp_block_take(0, 1000, &data), -EINVAL);
    CHECK_EQ(cmp_block_take(UINT64_MAX, MIB, &data), -EINVAL);
    cmp_object_drop(small.ref);
    cmp_object_drop(small.ref);
    CHECK_EQ(cmp_block_take(small.ref, 1000, &data), -ESTALE);
    check();
}

static void complains(const char *about)
{
    n_complaints = 1; /* say nothing */
    if (cmp_check(say, NULL) < 1) {
        n_failed++;
        fprintf(stderr, "cmp_check does not see %s\n", about);
    }
}

static void test_forged(void)
{
    struct held a = get(MIB), b = get(MIB);
    cmp_word64 *place = &((struct cmp_big *)a.cell)->place;
    uint64_t own = load64_relaxed(place), other = load64_relaxed(&((struct cmp_big *)b.cell)->place);
    void *data;
    static const struct {
        const char *what;
        uint64_t change;
    } forged[] = {
        {"one extent less", (uint64_t)-1 << 32},
        {"one extent more", (uint64_t)1 << 32},
        {"the next extent", 1},
    };
    for (int i = 0; i < 3; i++) {
        store64_relaxed(place, own + forged[i].change);
        complains(forged[i].what);
    }
    uint64_t bad[] = {0, other, UINT64_MAX, UINT64_C(1) << 32, UINT64_C(7) << 32 | 0xffffff};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        store64_relaxed(place, bad[i]);
        complains("a forged place");
        CHECK_EQ(cmp_block_take(a.ref, MIB, &data), -EUCLEAN);
    }
    store64_relaxed(place, own);
    check();
}

/* ---- several at once ----------------------------------------------------------------------- */

static void *make_and_drop(void *arg)
{
    uintptr_t seed = (uintptr_t)arg;
    for (unsigned int i = 0; i < (SLOW ? 100 : 600); i++) {
        size_t bytes = (seed * 7919 + i * 104729) % (2 * MIB);
        struct held b = get(bytes);
        int with = (int)(seed + i) & 255;
        memset(b.data, with, bytes);
        if (i % 5 == 0)
            cmp_object_pin(b.ref);
        if (i % 5 == 0)
            cmp_object_drop(b.ref);
        if (i % 37 == 0)
            cmp_block_trim(0);
        CHECK(is_full_of(&b, with));
        cmp_object_drop(b.ref);
    }
    return NULL;
}

static void test_at_once(void)
{
    enum { N = 4 };
    pthread_t threads[2];
    pid_t pids[N];
    CHECK_EQ(cmp_family_init(), 0);
    for (int i = 0; i < N; i++)
        if ((pids[i] = fork_child()) == 0) {
            make_and_drop((void *)(uintptr_t)(i + 1));
            _exit(n_failed != 0);
        }
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, make_and_drop, (void *)(uintptr_t)(i + 10));
    for (int i = 0; i < 20; i++) {
        check();
        usleep(5000);
    }
    kill_and_reap(pids[0]);
    for (int i = 1; i < N; i++)
        CHECK_EQ(status_of(pids[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK(cmp_sweep() >= 0);
    check();
    cmp_block_trim(0);
    CHECK_EQ(n_in_blocks(), 0);
}

/* ---- what it costs --------------------------------------------------------------------------- */

static void show_costs(void)
{
    enum { N = 10000 };
    struct held b = get(MIB);
    cmp_object_drop(b.ref);
    int64_t begin_ns = cmp_now_ns();
    for (int i = 0; i < N; i++) {
        b = get(MIB);
        cmp_object_drop(b.ref);
    }
    printf("1 MiB made and dropped again: %.2f us\n", (double)(cmp_now_ns() - begin_ns) / 1000 / N);
}

static void in_a_child(void (*test)(void))
{
    pid_t pid = fork_child();
    if (pid == 0) {
        test();
        fflush(stdout);
        _exit(n_failed != 0);
    }
    int status = status_of(pid);
    CHECK_EQ(status, 0);
}

int main(void)
{
    start(140);
    stage = shared(sizeof *stage);
    void (*const tests[])(void) = {
        test_contents, test_too_much, test_again, test_given_back, test_many, test_file_limit,
        test_file_limit_small, test_kept_for_others, test_full_shm,
        test_left_in_the_way, test_no_descriptor, test_locked_memory, test_children,
        test_swept_in_time, test_swept_and_given_back, test_take, test_forged, test_at_once,
        show_costs,
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        int before = n_failed;
        in_a_child(tests[i]);
        if (n_failed != before)
            fprintf(stderr, "in test %d\n", (int)i);
    }
    return done();
}
