/* Description: words of ours in the thread's robust list: marked at a death, woken,
   left alone once taken out; beside libc's own robust mutexes; killed at each
   instruction of link and unlink; and the call at the end of a thread. */
#include <fcntl.h>
#include <sched.h>
#include <sys/ptrace.h>
#include "../../src/core/cmp.h"
#include "../../src/platform/kernel.h"
#include "../../src/platform/platform.h"
#include "check.h"

enum { N = 4 };

struct page {
    struct cmp_node node[N];
    pthread_mutex_t plain, inheriting;
    cmp_word called;
    cmp_word ready;
};

static struct page *page;

static void hold(struct cmp_node *node)
{
    cmp_robust_link(node);
    store_release(&node->word, cmp_tid() | CMP_WAITERS);
}

/* The word stays: the kernel would still mark it if the node were in the list. */
static void let_go(struct cmp_node *node)
{
    cmp_robust_unlink(node);
}

/* Else it must be as its owner left it. */
static bool is_marked(int i)
{
    uint32_t word = load_acquire(&page->node[i].word);
    CHECK((word & CMP_WAITERS) != 0);
    CHECK((word & CMP_OWNER_DIED) == 0 || (word & CMP_TID_MASK) == 0);
    return (word & CMP_OWNER_DIED) != 0;
}

/* Run it in a child that is killed then. */
static void kill_after(void (*victim)(void))
{
    memset(page->node, 0, sizeof page->node);
    pid_t pid = fork_child();
    if (pid == 0) {
        victim();
        kill(getpid(), SIGKILL);
    }
    CHECK(WIFSIGNALED(status_of(pid)));
}

static void link_all(void)
{
    for (int i = 0; i < N; i++)
        hold(&page->node[i]);
}

static void test_marks(void)
{
    kill_after(link_all);
    for (int i = 0; i < N; i++)
        CHECK(is_marked(i));
}

static uint32_t unlinked; /* a bit for each that was taken out again, then 1: last first */

static void link_some(void)
{
    link_all();
    for (int n = 0; n < N; n++) {
        int i = unlinked >> N ? N - 1 - n : n;
        if (unlinked >> i & 1)
            let_go(&page->node[i]);
    }
}

static void test_unlink(void)
{
    for (unlinked = 0; unlinked < 2u << N; unlinked++) {
        kill_after(link_some);
        for (int i = 0; i < N; i++)
            CHECK(is_marked(i) == !(unlinked >> i & 1));
    }
}

/* A sleeper on the word is woken by the mark. */
static void test_wakes(void)
{
    memset(page->node, 0, sizeof page->node);
    pid_t victim = fork_child();
    if (victim == 0) {
        hold(&page->node[0]);
        for (;;)
            pause();
    }
    uint32_t word = (uint32_t)victim | CMP_WAITERS;
    while (load_acquire(&page->node[0].word) != word)
        sleep_ms(1);
    pid_t sleeper = fork_child();
    if (sleeper == 0) {
        struct cmp_watch words[] = {{&page->node[0].word, word}};
        _exit(cmp_park(words, 1, CMP_FOREVER));
    }
    CHECK(reaches(sleeper, 'S'));
    sleep_ms(5);
    kill_and_reap(victim);
    CHECK_EQ(status_of(sleeper), 0);
    CHECK(is_marked(0));
}

/* An exec marks too, though the process lives. */
static void test_exec(void)
{
    int ends[2];
    memset(page->node, 0, sizeof page->node);
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        hold(&page->node[0]);
        dup2(ends[0], 0); /* cat lives until our end is closed */
        execlp("cat", "cat", (char *)NULL);
        _exit(99);
    }
    close(ends[0]);
    for (int i = 0; i < 10000 && !(load_acquire(&page->node[0].word) & CMP_OWNER_DIED); i++)
        sleep_ms(1);
    CHECK(is_marked(0));
    CHECK_EQ(kill(pid, 0), 0);
    close(ends[1]);
    CHECK_EQ(status_of(pid), 0);
}

static void make_mutexes(void)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&page->plain, &attr);
    pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&page->inheriting, &attr);
}

static void mix(void)
{
    hold(&page->node[0]);
    pthread_mutex_lock(&page->inheriting);
    hold(&page->node[1]);
    pthread_mutex_lock(&page->plain);
    hold(&page->node[2]);
}

static void mix_and_remove_ours(void)
{
    mix();
    let_go(&page->node[1]);
    let_go(&page->node[0]);
    let_go(&page->node[2]);
}

static void mix_and_remove_theirs(void)
{
    mix();
    pthread_mutex_unlock(&page->inheriting);
    pthread_mutex_unlock(&page->plain);
}

static void recover(pthread_mutex_t *mutex, bool was_held)
{
    CHECK_EQ(pthread_mutex_lock(mutex), was_held ? EOWNERDEAD : 0);
    if (was_held)
        pthread_mutex_consistent(mutex);
    pthread_mutex_unlock(mutex);
}

static void test_beside_libc(void)
{
    make_mutexes();
    for (int round = 0; round < 3; round++) {
        kill_after(round == 0 ? mix : round == 1 ? mix_and_remove_ours : mix_and_remove_theirs);
        for (int i = 0; i < 3; i++)
            CHECK(is_marked(i) == (round != 1));
        recover(&page->plain, round != 2);
        recover(&page->inheriting, round != 2);
    }
}

/* Nodes 0 to 2 are held; 1 goes and comes back, over and over. */
static void link_and_unlink(void)
{
    for (int i = 0; i < 3; i++)
        hold(&page->node[i]);
    pthread_mutex_lock(&page->inheriting);
    raise(SIGSTOP);
    cmp_robust_unlink(&page->node[1]);
    cmp_robust_link(&page->node[1]);
    cmp_robust_unlink(&page->node[1]);
    cmp_robust_unlink(&page->node[2]);
    cmp_robust_link(&page->node[1]);
    _exit(0);
}

/* Killed after so many instructions: nodes 0 and libc's mutex are in the list all
   the time, so a list that ends early leaves one unmarked.  False: it came through. */
static bool kill_at_step(int steps)
{
    int status;
    memset(page->node, 0, sizeof page->node);
    make_mutexes();
    pid_t pid = fork_child();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        link_and_unlink();
    }
    status = status_of(pid);
    for (int i = 0; i < steps && WIFSTOPPED(status); i++) {
        ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
        status = status_of(pid);
    }
    if (!WIFSTOPPED(status))
        return false;
    kill_and_reap(pid);
    CHECK(is_marked(0));
    recover(&page->inheriting, true);
    return true;
}

/* A sanitizer adds many instructions, and makes a fork dear. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE(steps) (37 + (steps) / 4)
#else
#define STRIDE(steps) 1
#endif

/* On one processor: a step is then ten times cheaper. */
static void test_killed_at_each_instruction(void)
{
    int steps = 0;
    cpu_set_t before, one;
    sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&one);
    CPU_SET(cmp_cpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    while (n_failed == 0 && kill_at_step(steps))
        steps += STRIDE(steps);
    CHECK(steps > 50);
    sched_setaffinity(0, sizeof before, &before);
}

static void link_then_pretend(void)
{
    link_all();
    cmp_platform_pretend(CMP_LACKS_ROBUST);
}

static void test_lacking(void)
{
    kill_after(link_then_pretend); /* what is in the list stays */
    CHECK(is_marked(0) && is_marked(N - 1));
    pid_t pid = fork_child();
    if (pid == 0) {
        cmp_platform_pretend(CMP_LACKS_ROBUST);
        CHECK(!cmp_robust_works());
        kill_after(link_all);
        CHECK(!is_marked(0));
        kill_after(link_some);
        _exit(n_failed);
    }
    CHECK_EQ(status_of(pid), 0);
    CHECK(cmp_robust_works());
}

/* The child of a fork starts with an empty list of its own. */
static void test_fork(void)
{
    memset(page->node, 0, sizeof page->node);
    hold(&page->node[0]);
    void *prev = page->node[0].prev;
    pid_t pid = fork_child();
    if (pid == 0) {
        hold(&page->node[1]);
        kill(getpid(), SIGKILL);
    }
    status_of(pid);
    CHECK(is_marked(1));
    CHECK_EQ(load_acquire(&page->node[0].word), cmp_tid() | CMP_WAITERS);
    CHECK(page->node[0].prev == prev); /* the child has not touched our list */
    let_go(&page->node[0]);
}

/* ---- the end of a thread ------------------------------------------------------- */

static void note_call(void)
{
    if (add_seqcst(&page->called, 1) == 0)
        CHECK_EQ(cmp_at_thread_exit(note_call), 0); /* again, in the next round */
}

static void *register_call(void *arg)
{
    (void)arg;
    CHECK_EQ(cmp_at_thread_exit(note_call), 0);
    return NULL;
}

static void *run_nothing(void *arg)
{
    return arg;
}

static void run_thread(void *(*fn)(void *))
{
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, fn, NULL), 0);
    pthread_join(t, NULL);
}

static void *fork_registered(void *arg)
{
    (void)arg;
    register_call(NULL);
    pid_t pid = fork_child();
    if (pid == 0)
        pthread_exit(NULL); /* the last thread: the child ends with 0 */
    CHECK_EQ(status_of(pid), 0);
    CHECK_EQ(load_seqcst(&page->called), 2);
    return NULL;
}

static void test_thread_exit(void)
{
    store_relaxed(&page->called, 0);
    run_thread(run_nothing);
    CHECK_EQ(load_seqcst(&page->called), 0);
    run_thread(register_call);
    CHECK_EQ(load_seqcst(&page->called), 2);

    pid_t pid = fork_child();
    if (pid == 0) {
        store_relaxed(&page->called, 0);
        register_call(NULL);
        exit(n_failed); /* the end of the process is not the end of the thread */
    }
    CHECK_EQ(status_of(pid), 0);
    CHECK_EQ(load_seqcst(&page->called), 0);

    run_thread(fork_registered); /* the child's thread ends, then this one */
    CHECK_EQ(load_seqcst(&page->called), 3);
}

int main(void)
{
    struct cmp_kernel kernel;
    start(120);
    page = shared(sizeof *page);
    test_thread_exit();
    cmp_kernel_read(&kernel);
    if (kernel.robust_wake != 1 || !cmp_robust_works())
        skip("there is no robust list that the kernel acts on, or its offset is another");
    test_marks();
    test_unlink();
    test_wakes();
    test_exec();
    test_beside_libc();
    test_killed_at_each_instruction();
    test_lacking();
    test_fork();
    return done();
}
