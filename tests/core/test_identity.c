/* Description: who a process is: this one, its threads, its children, a zombie, one
   with a hostile name, one in another pid namespace, and one that is not there. */
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "../../src/platform/kernel.h"
#include "../../src/platform/platform.h"
#include "check.h"

static void *read_self(void *id)
{
    cmp_identity_self(id);
    return NULL;
}

static void test_self(void)
{
    struct cmp_identity id, again, of_thread, by_pid;
    pthread_t t;

    CHECK_EQ(cmp_identity_self(&id), 0);
    CHECK_EQ(id.pid, getpid());
    CHECK_EQ(id.tid, getpid());
    CHECK(id.start_time != 0);
    CHECK(id.pidns_ino != 0);
    cmp_identity_self(&again);
    CHECK(memcmp(&id, &again, sizeof id) == 0);

    pthread_create(&t, NULL, read_self, &of_thread);
    pthread_join(t, NULL);
    CHECK(of_thread.tid != id.tid);
    of_thread.tid = id.tid;
    CHECK(memcmp(&id, &of_thread, sizeof id) == 0);

    CHECK_EQ(cmp_identity_of(getpid(), &by_pid), 0);
    CHECK(memcmp(&id, &by_pid, sizeof id) == 0);
}

/* Field 2 of stat is the name, in parentheses, whatever it holds. */
static void test_hostile_name(void)
{
    const char *names[] = {") Z 1 (", "a b) R 7", "))))", "", "\n) X 0 0"};
    struct cmp_identity id, plain;
    cmp_identity_self(&plain);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        prctl(PR_SET_NAME, names[i]);
        cmp_identity_self(&id);
        CHECK_EQ(id.start_time, plain.start_time);
        CHECK_EQ(cmp_is_alive(&id), 1);
    }
    prctl(PR_SET_NAME, "test_identity");
}

static void test_children_differ(void)
{
    struct cmp_identity self, child, *told = shared(sizeof *told);
    cmp_identity_self(&self);
    pid_t pid = fork_child();
    if (pid == 0) {
        cmp_identity_self(told);
        _exit(0);
    }
    siginfo_t info; /* leaves it a zombie, which still has an identity */
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(cmp_identity_of(pid, &child), 0);
    CHECK_EQ(child.pid, pid);
    CHECK_EQ(told->pid, pid);
    CHECK_EQ(told->tid, pid);
    CHECK_EQ(told->start_time, child.start_time);
    CHECK_EQ(told->pidns_ino, self.pidns_ino);
    CHECK(child.pidfs_ino == told->pidfs_ino);
    CHECK(child.pidfs_ino == 0 || child.pidfs_ino != self.pidfs_ino);
    status_of(pid);
    CHECK_EQ(cmp_identity_of(pid, &child), -ESRCH);
    CHECK_EQ(child.pid, pid); /* untouched by a failure */
}

static void *wait_forever(void *tid)
{
    store_release(tid, (uint32_t)syscall(SYS_gettid));
    for (;;)
        pause();
    return NULL;
}

static void test_bad_pids(void)
{
    struct cmp_identity id;
    CHECK_EQ(cmp_identity_of(0, &id), -EINVAL);
    CHECK_EQ(cmp_identity_of(-5, &id), -EINVAL);
    CHECK_EQ(cmp_identity_of(INT_MAX, &id), -ESRCH);
}

/* A thread is no process; only a pidfd tells. */
static void test_thread_id(void)
{
    struct cmp_identity id;
    static cmp_word tid;
    pthread_t t;
    pthread_create(&t, NULL, wait_forever, &tid);
    while (load_acquire(&tid) == 0)
        sleep_ms(1);
    CHECK_EQ(cmp_identity_of((int)load_acquire(&tid), &id), -ESRCH);
}

/* The child of unshare(CLONE_NEWPID) sees itself as pid 1 and /proc of outside. */
static void test_other_namespace(void)
{
    struct cmp_identity self;
    cmp_identity_self(&self);
    pid_t pid = fork_child();
    if (pid == 0) {
        struct cmp_identity in, of;
        if (unshare(CLONE_NEWPID) < 0)
            _exit(SKIPPED);
        pid_t init = fork_child();
        if (init == 0) {
            cmp_identity_self(&in);
            CHECK_EQ(in.pid, 1);
            CHECK(in.start_time != 0);
            CHECK(in.pidns_ino != self.pidns_ino);
            CHECK_EQ(cmp_is_alive(&in), 1);
            CHECK_EQ(cmp_is_alive(&self), -EXDEV);
            CHECK_EQ(cmp_identity_of(1, &of), 0);
            CHECK_EQ(of.start_time, 0); /* /proc/1 is another process */
            CHECK_EQ(of.pidfs_ino, in.pidfs_ino);
            CHECK_EQ(cmp_identity_of(2, &of), -ESRCH);
            _exit(n_failed);
        }
        _exit(WEXITSTATUS(status_of(init)));
    }
    int status = status_of(pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        printf("not tried: another pid namespace (not allowed here)\n");
    else
        CHECK_EQ(status, 0);
}

static void test_without_pidfd(void)
{
    struct cmp_identity id;
    cmp_platform_pretend(CMP_LACKS_PIDFD);
    cmp_identity_self(&id);
    CHECK(id.start_time != 0);
    CHECK_EQ(id.pidfs_ino, 0);
    CHECK_EQ(cmp_identity_of(getpid(), &id), 0);
    CHECK_EQ(cmp_identity_of(INT_MAX, &id), -ESRCH);
    cmp_platform_pretend(0);
}

int main(void)
{
    struct cmp_kernel kernel;
    start(60);
    if (!proc_is_usable())
        skip("there is no /proc of this pid namespace to compare with");
    cmp_kernel_read(&kernel);
    test_self();
    test_hostile_name();
    test_children_differ();
    test_other_namespace();
    test_without_pidfd();
    test_bad_pids();
    if (kernel.pidfd_open == 1)
        test_thread_id();
    return done();
}
