/* Description: the end of a process, with certainty: never told of one that lives, is
   stopped, has lost its first thread or some descriptors' worth of evidence; told of
   one that is a zombie, reaped, replaced, or another program; with pidfds and without. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "../../src/core/cmp.h"
#include "../../src/platform/platform.h"
#include "check.h"

struct page {
    struct cmp_identity id;
    cmp_word ready;
    cmp_word64 mark;
    struct cmp_node node; /* in the robust list of a victim's first thread */
    cmp_word64 stored[1024];
};

static struct page *page;
static bool has_pidfds = true;

static enum cmp_end confirm_as(const struct cmp_identity *id, uint64_t mark, bool by_leader,
                               bool hint)
{
    struct cmp_look look = CMP_LOOK_INIT;
    enum cmp_end end = cmp_end_confirm(&look, id, mark, by_leader, hint, 0);
    CHECK(end == CMP_END_NOT_YET || look.fd == -1);
    cmp_look_close(&look);
    CHECK_EQ(look.fd, -1);
    return end;
}

static enum cmp_end confirm(const struct cmp_identity *id)
{
    return confirm_as(id, 0, true, false);
}

static void await_ready(void)
{
    while (!load_acquire(&page->ready))
        sleep_ms(1);
}

/* A child that has said who it is, and does fn. */
static pid_t start_victim(void (*fn)(void))
{
    store_relaxed(&page->ready, 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        cmp_identity_self(&page->id);
        fn();
        _exit(0);
    }
    await_ready();
    return pid;
}

static void idle(void)
{
    store_release(&page->ready, 1);
    for (;;)
        pause();
}

static void test_alive_and_dead(void)
{
    pid_t pid = start_victim(idle);
    CHECK_EQ(confirm(&page->id), CMP_END_NOT_YET);
    kill(pid, SIGSTOP);
    CHECK(reaches(pid, 'T'));
    CHECK_EQ(confirm(&page->id), CMP_END_NOT_YET);
    kill(pid, SIGCONT);
    CHECK_EQ(confirm(&page->id), CMP_END_NOT_YET);
    kill(pid, SIGKILL);
    siginfo_t info; /* a zombie, but not of its first thread alone */
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(confirm(&page->id), CMP_END_ENDED);
    CHECK_EQ(confirm_as(&page->id, 0, true, true), CMP_END_ENDED);
    status_of(pid);
    CHECK_EQ(confirm(&page->id), CMP_END_ENDED);
    CHECK_EQ(confirm_as(&page->id, 0, true, true), CMP_END_ENDED);
}

/* Somebody else has the pid now. */
static void test_replaced(void)
{
    pid_t pid = start_victim(idle);
    struct cmp_identity id = page->id;
    id.start_time++;
    id.pidfs_ino = 0;
    CHECK_EQ(confirm(&id), CMP_END_ENDED);
    CHECK_EQ(confirm_as(&id, 0, true, true), CMP_END_ENDED);
    if (has_pidfds && page->id.pidfs_ino != 0) {
        id = page->id;
        id.pidfs_ino++;
        CHECK_EQ(confirm(&id), CMP_END_ENDED);
        id.start_time = 0;
        CHECK_EQ(confirm(&id), CMP_END_ENDED);
    }
    kill_and_reap(pid);
}

/* The pid has become the id of a thread. */
static void *hold_tid(void *arg)
{
    page->id.pid = (uint32_t)syscall(SYS_gettid);
    store_release(&page->ready, 1);
    for (;;)
        pause();
    return arg;
}

static void idle_with_thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, hold_tid, NULL);
    for (;;)
        pause();
}

static void test_pid_of_a_thread(void)
{
    if (!has_pidfds)
        return; /* to signal 0 the thread is there */
    pid_t pid = start_victim(idle_with_thread);
    page->id.start_time = page->id.pidfs_ino = 0;
    CHECK_EQ(confirm(&page->id), CMP_END_ENDED);
    kill_and_reap(pid);
}

/* Nothing is told of another pid namespace, or by damaged words. */
static void test_unknowable(void)
{
    pid_t pid = start_victim(idle);
    struct cmp_identity id = page->id;
    kill_and_reap(pid);
    CHECK_EQ(confirm(&id), CMP_END_ENDED);
    id.pidns_ino++;
    CHECK_EQ(confirm(&id), CMP_END_NOT_YET);
    CHECK_EQ(confirm_as(&id, 0, true, true), CMP_END_NOT_YET);
    id = page->id;
    id.pid = 0;
    CHECK_EQ(confirm(&id), CMP_END_NOT_YET);
    id.pid = UINT32_MAX;
    CHECK_EQ(confirm(&id), CMP_END_NOT_YET);
}

/* ---- threads ------------------------------------------------------------------- */

static void *outlive(void *arg)
{
    (void)arg;
    while (state_of(getpid(), getpid()) != 'Z')
        sleep_ms(1);
    idle();
    return NULL;
}

static void leave_a_thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, outlive, NULL);
    pthread_exit(NULL);
}

/* /proc says Z of it, and it lives. */
static void test_first_thread_leaves(void)
{
    pid_t pid = start_victim(leave_a_thread);
    CHECK_EQ(state_of(pid, pid), 'Z');
    CHECK_EQ(confirm(&page->id), CMP_END_NOT_YET);
    CHECK_EQ(confirm_as(&page->id, 0, true, true), CMP_END_NOT_YET);
    CHECK_EQ(confirm_as(&page->id, 1, false, true), CMP_END_NOT_YET);
    kill(pid, SIGKILL);
    struct cmp_look look = CMP_LOOK_INIT;
    CHECK_EQ(cmp_end_confirm(&look, &page->id, 0, true, true, cmp_now_ns() + 20000 * MS),
             CMP_END_ENDED);
    status_of(pid);
}

/* A second thread is inside a system call that stores, when the process is killed. */
static void *store_by_the_kernel(void *arg)
{
    struct iovec to = {page->stored, sizeof page->stored};
    int fd = open("/dev/urandom", O_RDONLY);
    store_release(&page->ready, 1);
    for (;;)
        if (readv(fd, &to, 1) < 0)
            break;
    return arg;
}

static void store_in_a_thread(void)
{
    pthread_t t;
    cmp_robust_link(&page->node);
    store_release(&page->node.word, cmp_tid() | CMP_WAITERS);
    pthread_create(&t, NULL, store_by_the_kernel, NULL);
    for (;;)
        pause();
}

static void test_nothing_is_stored_after(void)
{
    static uint64_t before[1024];
    for (int i = 0; i < 20; i++) {
        struct cmp_look look = CMP_LOOK_INIT;
        pid_t pid = start_victim(store_in_a_thread);
        kill(pid, SIGKILL);
        if (cmp_robust_works()) /* the mark is the earliest sign, and a hint only */
            while ((load_acquire(&page->node.word) & CMP_OWNER_DIED) == 0)
                ;
        CHECK_EQ(cmp_end_confirm(&look, &page->id, 0, true, cmp_robust_works(),
                                 cmp_now_ns() + 20000 * MS), CMP_END_ENDED);
        memcpy(before, page->stored, sizeof before);
        sleep_ms(5);
        CHECK(memcmp(before, page->stored, sizeof before) == 0);
        status_of(pid);
    }
}

/* ---- exec ---------------------------------------------------------------------- */

static int program_ends[2]; /* cat, that lives until ours is closed */

static void run_program(void)
{
    dup2(program_ends[0], 0);
    store_release(&page->ready, 1);
    execlp("cat", "cat", (char *)NULL);
    _exit(99);
}

static void *run_program_in_thread(void *arg)
{
    store64_relaxed(&page->mark, cmp_exec_mark());
    run_program();
    return arg;
}

static void run_from_a_thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, run_program_in_thread, NULL);
    for (;;)
        pause();
}

static bool runs_cat(pid_t pid)
{
    char path[32], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *f = fopen(path, "r");
    if (f != NULL) {
        if (fgets(name, sizeof name, f) == NULL)
            name[0] = '\0';
        fclose(f);
    }
    return strcmp(name, "cat\n") == 0;
}

static pid_t start_program(void (*fn)(void))
{
    CHECK_EQ(pipe2(program_ends, O_CLOEXEC), 0);
    pid_t pid = start_victim(fn);
    close(program_ends[0]);
    for (int i = 0; i < 10000 && !runs_cat(pid); i++)
        sleep_ms(1);
    return pid;
}

static void end_program(pid_t pid)
{
    close(program_ends[1]);
    CHECK_EQ(status_of(pid), 0);
}

static void test_exec(void)
{
    pid_t pid = start_program(run_program);
    CHECK_EQ(confirm(&page->id), CMP_END_NOT_YET); /* no hint, no answer */
    CHECK_EQ(confirm_as(&page->id, 0, true, true), CMP_END_EXECED);
    kill(pid, SIGSTOP);
    CHECK(reaches(pid, 'T'));
    CHECK_EQ(confirm_as(&page->id, 0, true, true), CMP_END_EXECED);
    kill(pid, SIGCONT);
    end_program(pid);
    CHECK_EQ(confirm_as(&page->id, 0, true, true), CMP_END_ENDED);
}

static void test_exec_from_a_thread(void)
{
    pid_t pid = start_program(run_from_a_thread);
    uint64_t mark = load64_relaxed(&page->mark);
    CHECK(mark != 0);
    CHECK_EQ(confirm_as(&page->id, mark, false, true), CMP_END_EXECED);
    CHECK_EQ(confirm_as(&page->id, 0, false, true), CMP_END_NOT_YET);
    CHECK_EQ(confirm_as(&page->id, mark, false, false), CMP_END_NOT_YET);
    end_program(pid);
    CHECK_EQ(confirm_as(&page->id, mark, false, true), CMP_END_ENDED);
}

/* Another thread than the first linked the words, and ended: no exec. */
static void *register_and_end(void *arg)
{
    store64_relaxed(&page->mark, cmp_exec_mark());
    return arg;
}

static void lose_the_registering_thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, register_and_end, NULL);
    pthread_join(t, NULL);
    idle();
}

static void test_thread_ends_without_exec(void)
{
    pid_t pid = start_victim(lose_the_registering_thread);
    uint64_t mark = load64_relaxed(&page->mark);
    CHECK(mark != 0);
    CHECK_EQ(confirm_as(&page->id, mark, false, true), CMP_END_NOT_YET);
    kill_and_reap(pid);
    CHECK_EQ(confirm_as(&page->id, mark, false, true), CMP_END_ENDED);
}

/* The mark of a thread is that of its process, also once the first one has left. */
static void *mark_alone(void *arg)
{
    while (state_of(getpid(), getpid()) != 'Z')
        sleep_ms(1);
    CHECK_EQ(cmp_exec_mark(), *(uint64_t *)arg);
    _exit(n_failed);
}

static void test_mark(void)
{
    static uint64_t mark;
    mark = cmp_exec_mark();
    CHECK(mark != 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        pthread_t t;
        pthread_create(&t, NULL, mark_alone, &mark);
        pthread_exit(NULL);
    }
    CHECK_EQ(status_of(pid), 0);
}

/* ---- waiting ------------------------------------------------------------------- */

static void *kill_later(void *arg)
{
    sleep_ms(100);
    kill(*(pid_t *)arg, SIGKILL);
    return NULL;
}

/* It sleeps until the end, not until the deadline; and not beyond that. */
static void test_waiting(bool hint)
{
    pthread_t t;
    struct cmp_look look = CMP_LOOK_INIT;
    pid_t pid = start_victim(idle);
    int64_t began = cmp_now_ns();
    hint = hint && has_pidfds; /* a hint of one that lives would mean an exec */
    CHECK_EQ(cmp_end_confirm(&look, &page->id, 0, false, hint, began + 30 * MS),
             CMP_END_NOT_YET);
    CHECK(cmp_now_ns() - began >= 30 * MS);
    CHECK(!has_pidfds || look.fd >= 0); /* kept for the next time */
    pthread_create(&t, NULL, kill_later, &pid);
    CHECK_EQ(cmp_end_confirm(&look, &page->id, 0, false, hint, CMP_FOREVER), CMP_END_ENDED);
    CHECK(cmp_now_ns() - began < 10000 * MS);
    pthread_join(t, NULL);
    status_of(pid);
}

static void on_signal(int sig)
{
    (void)sig;
}

static void test_signal(void)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    struct cmp_look look = CMP_LOOK_INIT;
    pid_t pid = start_victim(idle), parent = getpid();
    sigaction(SIGUSR1, &action, &before);
    pid_t nag = fork_child();
    if (nag == 0)
        for (;;) {
            sleep_ms(2);
            kill(parent, SIGUSR1);
        }
    CHECK_EQ(cmp_end_confirm(&look, &page->id, 0, true, false, CMP_FOREVER), CMP_END_NOT_YET);
    cmp_look_close(&look);
    kill_and_reap(nag);
    sigaction(SIGUSR1, &before, NULL);
    kill_and_reap(pid);
}

/* ---- no descriptor left -------------------------------------------------------- */

static void test_no_descriptor(void)
{
    struct rlimit few = {64, 64};
    int fd = -1, last = -1;
    struct cmp_look look = CMP_LOOK_INIT;

    pid_t pid = start_victim(idle);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        last = fd;
    CHECK_EQ(confirm(&page->id), CMP_END_NOT_YET);
    CHECK_EQ(confirm_as(&page->id, 1, false, true), CMP_END_NOT_YET);
    kill(pid, SIGKILL);
    siginfo_t info; /* a zombie, which signal 0 finds alive */
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(cmp_end_confirm(&look, &page->id, 0, true, true, cmp_now_ns() + 20000 * MS),
             CMP_END_ENDED);
    close(last);
    CHECK_EQ(open("/dev/null", O_RDONLY | O_CLOEXEC), last);
    status_of(pid);
    CHECK_EQ(confirm(&page->id), CMP_END_ENDED); /* no process of that pid: no doubt */
}

/* Somebody closes every descriptor, the kept one too. */
static void test_descriptor_stolen(void)
{
    if (!has_pidfds)
        return;
    struct cmp_look look = CMP_LOOK_INIT;
    pid_t pid = start_victim(idle);
    CHECK_EQ(cmp_end_confirm(&look, &page->id, 0, false, false, 0), CMP_END_NOT_YET);
    close(look.fd);
    CHECK_EQ(cmp_end_confirm(&look, &page->id, 0, false, false, cmp_now_ns() + 50 * MS),
             CMP_END_NOT_YET);
    kill(pid, SIGKILL);
    CHECK_EQ(cmp_end_confirm(&look, &page->id, 0, false, false, cmp_now_ns() + 20000 * MS),
             CMP_END_ENDED);
    status_of(pid);
}

static void in_a_child(void (*test)(void))
{
    pid_t pid = fork_child();
    if (pid == 0) {
        test();
        _exit(n_failed);
    }
    CHECK_EQ(status_of(pid), 0);
}

static void test_all(void)
{
    test_alive_and_dead();
    test_replaced();
    test_pid_of_a_thread();
    test_unknowable();
    test_first_thread_leaves();
    test_nothing_is_stored_after();
    test_exec();
    test_exec_from_a_thread();
    test_thread_ends_without_exec();
    test_waiting(false);
    test_waiting(true);
    test_signal();
    in_a_child(test_no_descriptor);
    test_descriptor_stolen();
}

int main(void)
{
    start(120);
    if (!proc_is_usable())
        skip("there is no /proc of this pid namespace");
    page = shared(sizeof *page);
    test_mark();
    test_all();
    has_pidfds = false;
    cmp_platform_pretend(CMP_LACKS_PIDFD);
    test_all();
    return done();
}
