/* Description: a process that is not the child of the one it depends on (but of a
   fork server) ends at the end of file of a pipe or socket that the other holds. */
#include <fcntl.h>
#include <sys/socket.h>
#include "orphans.h"

/* A child of the test (its fork server) that watches `owner`, another child, which
   alone holds the other end.  `early` ends the owner before the call. */
static void test_sentinel(enum how how, bool socket, bool early)
{
    int fds[2];
    reset();
    CHECK_EQ(socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds), 0);
    pid_t owner = fork_child();
    if (owner == 0) {
        close(fds[0]);
        for (;;)
            pause();
    }
    close(fds[1]);
    pid_t child = fork_child();
    if (child == 0) {
        if (early)
            await(&page->stage);
        if (cmp_die_with_parent(owner, fds[0]) != 0)
            _exit(1);
        stay(how);
    }
    close(fds[0]);
    if (!early) {
        await(&page->ready);
        check_lives(child);
    }
    kill_and_reap(owner);
    store_release(&page->stage, 1);
    if (how == BLOCKED) {
        check_lives(child);
        kill_and_reap(child);
    } else {
        check_gone(child);
    }
}

/* The pid lives on as another process, so to speak; the pipe has ended. */
static void test_sentinel_ended_before(void)
{
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    close(fds[1]);
    pid_t other = fork_child();
    if (other == 0)
        for (;;)
            pause();
    pid_t child = fork_child();
    if (child == 0) {
        cmp_die_with_parent(other, fds[0]);
        _exit(1);
    }
    check_gone(child);
    kill_and_reap(other);
    close(fds[0]);
}

/* Off: the end of file goes unnoticed; on: it is seen at once. */
static void test_sentinel_off_and_on(void)
{
    int fds[2], back[2];
    char byte;
    reset();
    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(pipe(back), 0);
    pid_t owner = fork_child();
    if (owner == 0) {
        close(fds[0]);
        for (;;)
            pause();
    }
    close(fds[1]);
    pid_t child = fork_child();
    if (child == 0) {
        if (cmp_die_with_parent(owner, fds[0]) != 0 || cmp_parent_watch_off() != 0)
            _exit(1);
        store_release(&page->ready, 1);
        if (read(back[0], &byte, 1) != 1)
            _exit(1);
        cmp_parent_watch_on();
        _exit(1);
    }
    await(&page->ready);
    kill_and_reap(owner);
    check_lives(child);
    CHECK_EQ(write(back[1], "x", 1), 1);
    check_gone(child);
    close(fds[0]);
    close(back[0]);
    close(back[1]);
}

static void test_bad_arguments(void)
{
    int fds[2];
    CHECK_EQ(cmp_parent_watch_off(), 0); /* nothing to take off */
    CHECK_EQ(cmp_parent_watch_on(), 0);
    CHECK_EQ(cmp_die_with_parent(0, -1), -EINVAL);
    CHECK_EQ(cmp_die_with_parent(-1, -1), -EINVAL);
    pid_t stranger = fork_child();
    if (stranger == 0)
        for (;;)
            pause();
    CHECK_EQ(cmp_die_with_parent(stranger, -1), -ECHILD);
    CHECK_EQ(cmp_die_with_parent(stranger, 1000), -EBADF);
    fds[0] = open("/dev/null", O_RDONLY);
    CHECK_EQ(cmp_die_with_parent(stranger, fds[0]), -EINVAL);
    close(fds[0]);
    kill_and_reap(stranger);
}

int main(void)
{
    start_with_orphans();
    test_bad_arguments();
    for (int socket = 0; socket < 2; socket++)
        for (int early = 0; early < 2; early++) {
            test_sentinel(SLEEPING, socket, early);
            test_sentinel(COMPUTING, socket, early);
        }
    test_sentinel(BLOCKED, false, false);
    test_sentinel_ended_before();
    test_sentinel_off_and_on();
    return done();
}
