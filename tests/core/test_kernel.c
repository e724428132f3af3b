/* Description: the look at the kernel agrees with itself and with other ways to
   ask, again and again, in any state of the process; and leaves nothing behind. */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include "../../src/platform/kernel.h"
#include "../../src/platform/platform.h"
#include "check.h"

static volatile sig_atomic_t n_signals;

static void count_signal(int sig)
{
    (void)sig;
    n_signals++;
}

static void test_ranges(const struct cmp_kernel *k)
{
#define ONE(name) \
    if (k->name < -4095 || k->name > 1) { \
        n_failed++; \
        fprintf(stderr, "%s is %d\n", #name, k->name); \
    }
    CMP_KERNEL_FEATURES(ONE)
#undef ONE
    CHECK(k->cpus >= 1);
    CHECK(k->rlimit_nofile == -1 || k->rlimit_nofile > 0);
    CHECK(k->dev_shm_free <= k->dev_shm_size);
    CHECK(k->cpu_quota_milli == -1 || k->cpu_quota_milli > 0);
}

/* One that depends on another cannot have more than that. */
static void test_consistent(const struct cmp_kernel *k)
{
    CHECK(k->robust_list == 1 || k->futex_offset == -1);
    CHECK(k->memfd == 1 || (k->memfd_seal != 1 && k->memfd_noexec != 1));
    CHECK(k->pidfd_open == 1 || (k->pidfd_send_signal != 1 && k->pidfs != 1));
    CHECK(k->pending_wake != 1 || k->pending_wake_zero == 1);

    struct cmp_identity self;
    cmp_identity_self(&self);
    CHECK((self.pidfs_ino != 0) == (k->pidfs == 1));
    CHECK((access("/dev/shm", F_OK) == 0) == (k->dev_shm >= 0));
}

static void test_nothing_left(void)
{
    struct cmp_kernel k;
    int status, set_before = -1, set_after = -1;
    int fd_before = dup(0), fd_after;
    sigset_t mask_before = {0}, mask_after = {0};

    close(fd_before);
    prctl(PR_GET_PDEATHSIG, &set_before);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    signal(SIGCHLD, count_signal);
    for (int i = 0; i < 3; i++)
        cmp_kernel_read(&k);
    signal(SIGCHLD, SIG_DFL);
    CHECK_EQ(n_signals, 0);
    CHECK(waitpid(-1, &status, WNOHANG | __WALL) == -1 && errno == ECHILD);
    fd_after = dup(0);
    close(fd_after);
    CHECK_EQ(fd_before, fd_after);
    prctl(PR_GET_PDEATHSIG, &set_after);
    CHECK_EQ(set_before, set_after);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    CHECK(memcmp(&mask_before, &mask_after, sizeof mask_after) == 0);
}

static bool same_features(const struct cmp_kernel *a, const struct cmp_kernel *b)
{
#define SAME(name) && a->name == b->name
    return 1 CMP_KERNEL_FEATURES(SAME);
#undef SAME
}

/* A look at a death can come to nothing on an overloaded machine: the features
   that need one are asked for again, and one yes is enough. */
static void read_patiently(struct cmp_kernel *k)
{
    for (int i = 0; i < 5; i++) {
        cmp_kernel_read(k);
        if (k->robust_wake && k->pending_wake && k->pending_wake_zero &&
            k->parent_death_signal)
            return;
    }
}

static void test_same_when_children_are_ignored(const struct cmp_kernel *first)
{
    struct cmp_kernel k;
    signal(SIGCHLD, SIG_IGN);
    read_patiently(&k);
    signal(SIGCHLD, SIG_DFL);
    CHECK(same_features(first, &k));
}

static void *read_in_thread(void *k)
{
    read_patiently(k);
    return NULL;
}

static void test_same_in_threads(const struct cmp_kernel *first)
{
    struct cmp_kernel k[3];
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, read_in_thread, &k[i]);
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
        CHECK(same_features(first, &k[i]));
    }
}

/* In a process that may open, write and create nothing it ends, and says so. */
static void test_poor_process(void)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        struct cmp_kernel k;
        struct rlimit none = {0, 0};
        signal(SIGXFSZ, SIG_IGN); /* a message of CHECK is a write, too */
        setrlimit(RLIMIT_FSIZE, &none);
        setrlimit(RLIMIT_NPROC, &none); /* means nothing to root */
        setrlimit(RLIMIT_NOFILE, &none);
        int64_t before = cmp_now_ns();
        cmp_kernel_read(&k);
        CHECK(cmp_now_ns() - before < 5000 * MS);
        CHECK(k.memfd < 0);
        CHECK(k.pidfd_open < 0);
        CHECK_EQ(k.rlimit_fsize, 0);
        CHECK_EQ(k.rlimit_nofile, 0);
        _exit(n_failed);
    }
    CHECK_EQ(status_of(pid), 0);
}

int main(void)
{
    struct cmp_kernel first;
    start(60);
    test_nothing_left(); /* first: nothing may have been left before */
    int64_t before = cmp_now_ns();
    CHECK_EQ(cmp_kernel_read(&first), 0);
    CHECK(cmp_now_ns() - before < 5000 * MS);
    read_patiently(&first);
    test_ranges(&first);
    test_consistent(&first);
    test_same_when_children_are_ignored(&first);
    test_same_in_threads(&first);
    test_poor_process();
    return done();
}
