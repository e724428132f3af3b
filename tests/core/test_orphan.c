/* Description: a process ends when its parent process dies, while it sleeps and
   while it computes, however early the parent dies; and goes on when only the thread
   that forked it ends.  (By signal; by sentinel: test_sentinel.c.) */
#include <fcntl.h>
#include "orphans.h"

static pid_t child_of_me(enum how how)
{
    pid_t me = getpid();
    pid_t pid = fork_child();
    if (pid == 0) {
        store_release(&page->child, (uint32_t)getpid());
        if (cmp_die_with_parent(me, -1) != 0)
            _exit(1);
        stay(how);
    }
    return pid;
}

/* A parent whose first thread forks the child and then goes on. */
static pid_t start_parent(enum how how)
{
    reset();
    pid_t pid = fork_child();
    if (pid == 0) {
        child_of_me(how);
        for (;;)
            pause();
    }
    await(&page->ready);
    return pid;
}

static void test_parent_killed(enum how how)
{
    pid_t parent = start_parent(how);
    pid_t child = (pid_t)load_acquire(&page->child);
    kill_and_reap(parent);
    check_gone(child);
}

static void *fork_in_thread(void *arg)
{
    (void)arg;
    child_of_me(SLEEPING);
    await(&page->ready);
    return NULL;
}

static void *go_on(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return NULL;
}

/* The forking thread ends, the process lives: the signal comes, and is ignored. */
static void test_forking_thread_ends(int more_threads)
{
    reset();
    pid_t parent = fork_child();
    if (parent == 0) {
        pthread_t t;
        for (int i = 0; i < more_threads; i++)
            pthread_create(&t, NULL, go_on, NULL);
        pthread_create(&t, NULL, fork_in_thread, NULL);
        pthread_join(t, NULL);
        store_release(&page->stage, 1);
        for (;;)
            pause();
    }
    await(&page->stage);
    pid_t child = (pid_t)load_acquire(&page->child);
    check_lives(child);
    kill_and_reap(parent);
    check_gone(child);
}

static void test_first_thread_leaves(void)
{
    reset();
    pid_t parent = fork_child();
    if (parent == 0) {
        pthread_t t;
        child_of_me(SLEEPING);
        pthread_create(&t, NULL, go_on, NULL);
        pthread_exit(NULL);
    }
    await(&page->ready);
    CHECK(reaches(parent, 'Z'));
    pid_t child = (pid_t)load_acquire(&page->child);
    check_lives(child);
    kill_and_reap(parent);
    check_gone(child);
}

/* Dead before the call: as a zombie, and reaped. */
static void test_dead_before_call(bool reaped)
{
    reset();
    pid_t parent = fork_child();
    if (parent == 0) {
        pid_t me = getpid();
        if (fork_child() == 0) {
            store_release(&page->child, (uint32_t)getpid());
            await(&page->stage);
            cmp_die_with_parent(me, -1);
            _exit(1);
        }
        for (;;)
            pause();
    }
    await(&page->child);
    pid_t child = (pid_t)load_acquire(&page->child);
    kill(parent, SIGKILL);
    CHECK(ended(parent, 10000));
    if (reaped)
        status_of(parent);
    store_release(&page->stage, 1);
    check_gone(child);
    if (!reaped)
        status_of(parent);
}

/* Whether every child of the test ends by itself, adopted orphans included. */
static bool all_end(int ms)
{
    int status;
    for (int i = 0; i < ms * 10;) {
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0)
            return errno == ECHILD;
        if (pid == 0) {
            usleep(100);
            i++;
        }
    }
    return false;
}

/* SIGKILL at a random moment of fork and call: nobody is left over. */
static void test_kill_race(void)
{
    for (int i = 0; i < 200; i++) {
        reset();
        pid_t parent = fork_child();
        if (parent == 0) {
            child_of_me(i % 2 ? COMPUTING : SLEEPING);
            for (;;)
                pause();
        }
        usleep(50 + (useconds_t)(i * 37) % 900);
        kill_and_reap(parent); /* its child, if it was born, is ours from here on */
        CHECK(all_end(10000));
    }
}

static int pdeath_signal(void)
{
    int sig = -1;
    prctl(PR_GET_PDEATHSIG, &sig);
    return sig;
}

/* A grandchild is not watched, its on and off do nothing, and the handler it
   inherited leaves it alone. */
static void test_fork_clears(void)
{
    reset();
    pid_t child = fork_child();
    if (child == 0) {
        CHECK_EQ(cmp_die_with_parent(getppid(), -1), 0);
        int sig = pdeath_signal();
        CHECK(sig >= SIGRTMIN && sig <= SIGRTMAX - 3);
        pid_t grandchild = fork_child();
        if (grandchild == 0) {
            CHECK_EQ(pdeath_signal(), 0);
            CHECK_EQ(cmp_parent_watch_off(), 0);
            CHECK_EQ(cmp_parent_watch_on(), 0);
            CHECK_EQ(pdeath_signal(), 0);
            raise(sig);
            CHECK_EQ(cmp_die_with_parent(getppid(), -1), 0);
            CHECK_EQ(pdeath_signal(), sig);
            raise(sig); /* the parent lives: ignored */
            _exit(n_failed);
        }
        CHECK_EQ(status_of(grandchild), 0);
        _exit(n_failed);
    }
    CHECK_EQ(status_of(child), 0);
}

/* exec with the watch off: the program outlives the thread that forked it, and
   the parent too; an exec that fails can be followed by on. */
static void *fork_and_exec(void *arg)
{
    pid_t me = getpid();
    if (fork_child() == 0) {
        store_release(&page->child, (uint32_t)getpid());
        if (cmp_die_with_parent(me, -1) != 0)
            _exit(1);
        cmp_parent_watch_off();
        execl("/nowhere/at/all", "all", (char *)NULL);
        cmp_parent_watch_on();
        if (pdeath_signal() == 0)
            _exit(1);
        if (!arg)
            stay(SLEEPING);
        cmp_parent_watch_off();
        store_release(&page->ready, 1);
        execlp("sleep", "sleep", "100", (char *)NULL);
        _exit(1);
    }
    await(&page->ready);
    sleep_ms(20);
    return NULL;
}

static void test_exec(bool succeeds)
{
    reset();
    pid_t parent = fork_child();
    if (parent == 0) {
        pthread_t t;
        pthread_create(&t, NULL, fork_and_exec, succeeds ? page : NULL);
        pthread_join(t, NULL);
        store_release(&page->stage, 1);
        for (;;)
            pause();
    }
    await(&page->stage);
    pid_t child = (pid_t)load_acquire(&page->child);
    check_lives(child); /* the thread that forked it has ended */
    kill_and_reap(parent);
    if (!succeeds) {
        check_gone(child);
        return;
    }
    check_lives(child);
    int status = kill_and_reap(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* What the kernel does to a watched process is known: blocked in every thread it
   waits, and so it does while the process is stopped. */
static void test_blocked(void)
{
    pid_t parent = start_parent(BLOCKED);
    pid_t child = (pid_t)load_acquire(&page->child);
    sleep_ms(5);
    kill_and_reap(parent);
    check_lives(child);
    kill_and_reap(child);
}

static void test_stopped(void)
{
    pid_t parent = start_parent(SLEEPING);
    pid_t child = (pid_t)load_acquire(&page->child);
    kill(child, SIGSTOP);
    CHECK(reaches(child, 'T'));
    kill_and_reap(parent);
    check_lives(child);
    kill(child, SIGCONT);
    check_gone(child);
}

/* The mask is inherited: the call must let its signal through. */
static void test_inherited_mask(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = start_parent(SLEEPING);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pid_t child = (pid_t)load_acquire(&page->child);
    kill_and_reap(parent);
    check_gone(child);
}

static void other_handler(int sig)
{
    (void)sig;
}

/* Signals in use are left alone; with none left the call says so. */
static void test_choice_of_signal(void)
{
    pid_t child = fork_child();
    if (child == 0) {
        struct sigaction now;
        signal(SIGRTMAX - 3, other_handler);
        signal(SIGRTMAX - 4, SIG_IGN);
        CHECK_EQ(cmp_die_with_parent(getppid(), -1), 0);
        CHECK_EQ(pdeath_signal(), SIGRTMAX - 5);
        sigaction(SIGRTMAX - 3, NULL, &now);
        CHECK(now.sa_handler == other_handler);
        CHECK_EQ(cmp_die_with_parent(getppid(), -1), 0);
        CHECK_EQ(pdeath_signal(), SIGRTMAX - 5);
        for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
            signal(sig, other_handler);
        CHECK_EQ(cmp_die_with_parent(getppid(), -1), -EBUSY);
        _exit(n_failed);
    }
    CHECK_EQ(status_of(child), 0);
}

/* Arming fails (a path cannot be made to signal): the watch of before goes on. */
static void test_failure_changes_nothing(void)
{
    reset();
    pid_t parent = fork_child();
    if (parent == 0) {
        pid_t me = getpid();
        if (fork_child() == 0) {
            int fds[2];
            char path[64];
            store_release(&page->child, (uint32_t)getpid());
            CHECK_EQ(cmp_die_with_parent(me, -1), 0);
            int sig = pdeath_signal();
            CHECK_EQ(pipe(fds), 0);
            snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
            int fd = open(path, O_PATH);
            CHECK(fd >= 0);
            CHECK_EQ(cmp_die_with_parent(getpid(), fd), -EBADF);
            CHECK_EQ(cmp_die_with_parent(getpid(), -1), -ECHILD);
            CHECK_EQ(pdeath_signal(), sig);
            close(fds[1]); /* the pipe that is not watched ends */
            raise(sig);
            if (n_failed)
                _exit(1);
            stay(SLEEPING);
        }
        for (;;)
            pause();
    }
    await(&page->ready);
    pid_t child = (pid_t)load_acquire(&page->child);
    check_lives(child);
    kill_and_reap(parent);
    check_gone(child);
}

/* What the watched process sleeps in goes on when the signal comes for nothing. */
static void test_calls_are_restarted(void)
{
    int fds[2];
    char byte = 0;
    reset();
    CHECK_EQ(pipe(fds), 0);
    pid_t child = fork_child();
    if (child == 0) {
        if (cmp_die_with_parent(getppid(), -1) != 0)
            _exit(1);
        store_release(&page->result, (uint32_t)pdeath_signal());
        _exit(read(fds[0], &byte, 1) == 1 && byte == 'x' ? 0 : 2);
    }
    await(&page->result);
    CHECK(reaches(child, 'S'));
    for (int i = 0; i < 20; i++) {
        kill(child, (int)load_acquire(&page->result));
        usleep(200);
    }
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(status_of(child), 0);
    close(fds[0]);
    close(fds[1]);
}

/* setresuid clears it, as documented; a second call sets it again. */
static void test_second_call_after_setuid(void)
{
    if (geteuid() != 0) {
        printf("not tried: change of user (not root)\n");
        return;
    }
    reset();
    pid_t parent = fork_child();
    if (parent == 0) {
        pid_t me = getpid();
        if (fork_child() == 0) {
            store_release(&page->child, (uint32_t)getpid());
            CHECK_EQ(cmp_die_with_parent(me, -1), 0);
            if (setresuid(65534, 65534, 65534) != 0)
                _exit(1);
            CHECK_EQ(pdeath_signal(), 0);
            CHECK_EQ(cmp_die_with_parent(me, -1), 0);
            if (n_failed)
                _exit(1);
            stay(SLEEPING);
        }
        for (;;)
            pause();
    }
    await(&page->ready);
    kill_and_reap(parent);
    check_gone((pid_t)load_acquire(&page->child));
}

int main(void)
{
    start_with_orphans();
    for (int i = 0; i < 10; i++) {
        test_parent_killed(SLEEPING);
        test_parent_killed(COMPUTING);
    }
    test_forking_thread_ends(0);
    for (int i = 0; i < 10; i++)
        test_forking_thread_ends(8);
    test_first_thread_leaves();
    test_dead_before_call(true);
    test_dead_before_call(false);
    test_kill_race();
    test_fork_clears();
    test_exec(true);
    test_exec(false);
    test_blocked();
    test_stopped();
    test_inherited_mask();
    test_choice_of_signal();
    test_failure_changes_nothing();
    test_calls_are_restarted();
    test_second_call_after_setuid();
    return done();
}
