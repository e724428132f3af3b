/* Description: a process killed between the store that others wait for and its
   wake: the kernel wakes a sleeper on the pending word; without the pending word
   nobody does; a forked child does not inherit it. */
#include "../../src/core/cmp.h"
#include "../../src/platform/kernel.h"
#include "../../src/platform/platform.h"
#include "check.h"

struct page {
    cmp_word park;
    cmp_word ready;
};

static struct page *page;

/* One that sleeps until woken: exits 0; or for 300 ms in vain: exits 2.  Forever
   where a wake is due, so that no busy machine makes the test fail. */
static pid_t start_sleeper(bool forever)
{
    xchg_seqcst(&page->park, PARK_ARMED);
    pid_t pid = fork_child();
    if (pid == 0) {
        struct cmp_watch words[] = {{&page->park, PARK_ARMED}};
        int rc = cmp_park(words, 1, forever ? CMP_FOREVER : cmp_now_ns() + 300 * MS);
        _exit(rc == -ETIMEDOUT ? 2 : rc != 0); /* 0: woken on the park word */
    }
    CHECK(reaches(pid, 'S'));
    sleep_ms(20);
    return pid;
}

static void kill_self(void)
{
    kill(getpid(), SIGKILL);
}

static int sleeper_after(bool wake_is_due, void (*victim)(void))
{
    pid_t sleeper = start_sleeper(wake_is_due);
    pid_t pid = fork_child();
    if (pid == 0) {
        victim();
        _exit(1);
    }
    int status = status_of(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = status_of(sleeper);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void die_with_pending(void)
{
    cmp_pending(&page->park);
    kill_self();
}

static void die_after_clearing(void)
{
    cmp_pending(&page->park);
    cmp_pending(NULL);
    kill_self();
}

/* As on a kernel that heeds no pending word. */
static void die_lacking(void)
{
    cmp_platform_pretend(CMP_LACKS_PENDING);
    cmp_pending(&page->park);
    kill_self();
}

static void die_without(void)
{
    kill_self();
}

/* The victim is forked by a process with a pending word, as a lock in use would
   have it: its own death must wake nobody. */
static void die_forked_from_pending(void)
{
    cmp_pending(&page->park);
    pid_t pid = fork();
    if (pid == 0)
        kill_self();
    status_of(pid);
    sleep_ms(400); /* until the sleeper's time is over; then clear, and end */
    cmp_pending(NULL);
    kill_self();
}

static void *pend_in_thread(void *arg)
{
    (void)arg;
    cmp_pending(&page->park);
    store_release(&page->ready, 1);
    for (;;)
        pause();
    return NULL;
}

static void die_with_pending_in_thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, pend_in_thread, NULL);
    while (!load_acquire(&page->ready))
        sleep_ms(1);
    kill_self();
}

static void *end_pending(void *arg)
{
    (void)arg;
    cmp_pending(&page->park);
    return NULL;
}

/* A thread that ends, its process living on, counts too. */
static void test_thread_end(void)
{
    pthread_t t;
    pid_t sleeper = start_sleeper(true);
    pthread_create(&t, NULL, end_pending, NULL);
    pthread_join(t, NULL);
    CHECK_EQ(status_of(sleeper), 0);
}

int main(void)
{
    struct cmp_kernel kernel;
    start(60);
    if (!proc_is_usable())
        skip("there is no /proc of this pid namespace to watch the sleepers in");
    cmp_kernel_read(&kernel);
    if (kernel.pending_wake != 1)
        skip("this kernel does not wake for a pending word that is armed");
    page = shared(sizeof *page);

    CHECK_EQ(sleeper_after(true, die_with_pending), 0);
    CHECK_EQ(sleeper_after(true, die_with_pending_in_thread), 0);
    CHECK_EQ(sleeper_after(false, die_without), 2);
    CHECK_EQ(sleeper_after(false, die_after_clearing), 2);
    CHECK_EQ(sleeper_after(false, die_lacking), 2);
    CHECK_EQ(sleeper_after(false, die_forked_from_pending), 2);
    test_thread_end();

    return done();
}
