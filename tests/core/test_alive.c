/* Description: who is alive: running, stopped, without its first thread; and who is
   dead: killed, zombie, reaped, another process with the same pid, a thread id.
   Each by pidfd and, pretending that there is none, by /proc. */
#include <sys/resource.h>
#include <sys/syscall.h>
#include "../../src/platform/kernel.h"
#include "../../src/platform/platform.h"
#include "check.h"

static struct cmp_identity identity_of(pid_t pid)
{
    struct cmp_identity id = {0};
    CHECK_EQ(cmp_identity_of(pid, &id), 0);
    return id;
}

static pid_t start_idle(void)
{
    pid_t pid = fork_child();
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static void test_running_stopped_dead(void)
{
    pid_t pid = start_idle();
    struct cmp_identity id = identity_of(pid);
    siginfo_t info;

    CHECK_EQ(cmp_is_alive(&id), 1);
    kill(pid, SIGSTOP);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
    CHECK_EQ(cmp_is_alive(&id), 1);
    kill(pid, SIGCONT);
    CHECK_EQ(cmp_is_alive(&id), 1);
    kill(pid, SIGKILL);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(state_of(pid, pid), 'Z');
    CHECK_EQ(cmp_is_alive(&id), 0);
    status_of(pid);
    CHECK_EQ(cmp_is_alive(&id), 0);
}

static void *go_on(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return NULL;
}

/* /proc says Z for the first thread, although the process lives. */
static void test_first_thread_gone(void)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        pthread_t t;
        pthread_create(&t, NULL, go_on, NULL);
        pthread_exit(NULL);
    }
    CHECK(reaches(pid, 'Z'));
    struct cmp_identity id = identity_of(pid);
    CHECK_EQ(cmp_is_alive(&id), 1);
    id.pidfs_ino = 0; /* then start_time, which is the first thread's, decides */
    CHECK_EQ(cmp_is_alive(&id), 1);

    siginfo_t info;
    kill(pid, SIGKILL);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(cmp_is_alive(&id), 0);
    status_of(pid);
    CHECK_EQ(cmp_is_alive(&id), 0);
}

/* As if the pid had been given to a later process. */
static void test_reused_pid(void)
{
    pid_t pid = start_idle();
    struct cmp_identity id = identity_of(pid), old = id;

    old.start_time--;
    old.pidfs_ino = 0;
    CHECK_EQ(cmp_is_alive(&old), 0);
    if (id.pidfs_ino != 0) {
        old = id;
        old.pidfs_ino--;
        CHECK_EQ(cmp_is_alive(&old), 0);
        old = id; /* the inode decides: a start time may be told differently in a */
        old.start_time--; /* time namespace */
        CHECK_EQ(cmp_is_alive(&old), 1);
    }
    old = (struct cmp_identity){.pid = (uint32_t)pid}; /* nothing known but the pid */
    CHECK_EQ(cmp_is_alive(&old), 1);
    kill_and_reap(pid);
    CHECK_EQ(cmp_is_alive(&old), 0);
}

static void *tell_tid(void *tid)
{
    store_release(tid, (uint32_t)syscall(SYS_gettid));
    return go_on(NULL);
}

static void test_bad_pids(void)
{
    struct cmp_identity id = {.pid = 0};
    CHECK_EQ(cmp_is_alive(&id), -EINVAL);
    id.pid = UINT32_MAX;
    CHECK_EQ(cmp_is_alive(&id), -EINVAL);
    id.pid = INT_MAX;
    CHECK_EQ(cmp_is_alive(&id), 0);
    struct cmp_identity self;
    cmp_identity_self(&self);
    CHECK_EQ(cmp_is_alive(&self), 1);
    self.pidns_ino++;
    CHECK_EQ(cmp_is_alive(&self), -EXDEV);
}

/* A pid that is now the id of a thread: the process of that pid is gone. */
static void test_thread_id(void)
{
    static cmp_word tid;
    pthread_t t;
    pthread_create(&t, NULL, tell_tid, &tid);
    while (load_acquire(&tid) == 0)
        sleep_ms(1);
    struct cmp_identity id = {.pid = load_acquire(&tid)};
    CHECK_EQ(cmp_is_alive(&id), 0);
}

/* Without a descriptor left it says so, or finds out: never a wrong answer. */
static void test_no_descriptors(void)
{
    pid_t idle = start_idle();
    struct cmp_identity id = identity_of(idle);
    pid_t pid = fork_child();
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_NOFILE, &none);
        int rc = cmp_is_alive(&id);
        CHECK(rc == 1 || rc == -EMFILE);
        kill(idle, SIGKILL); /* not reaped: still nothing may be claimed wrongly */
        rc = cmp_is_alive(&id);
        CHECK(rc == 0 || rc == 1 || rc == -EMFILE);
        _exit(n_failed);
    }
    CHECK_EQ(status_of(pid), 0);
    kill_and_reap(idle);
}

static void count_descriptors_around(void (*test)(void))
{
    int before = dup(0), after;
    close(before);
    test();
    after = dup(0);
    close(after);
    CHECK_EQ(before, after);
}

int main(void)
{
    struct cmp_kernel kernel;
    start(60);
    if (!proc_is_usable())
        skip("there is no /proc of this pid namespace to compare with");
    cmp_kernel_read(&kernel);
    for (int round = 0; round < 2; round++) {
        cmp_platform_pretend(round ? CMP_LACKS_PIDFD : 0);
        count_descriptors_around(test_running_stopped_dead);
        count_descriptors_around(test_first_thread_gone);
        count_descriptors_around(test_reused_pid);
        count_descriptors_around(test_bad_pids);
        count_descriptors_around(test_no_descriptors);
    }
    cmp_platform_pretend(0);
    if (kernel.pidfd_open == 1)
        test_thread_id(); /* by pidfd only: /proc has threads too */
    return done();
}
