/* process.c -- a process that does nothing: fork, exit, wait.  */

#include "floor.h"

static void fork_and_wait(void *arg, long n)
{
    (void)arg;
    for (long i = 0; i < n; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            _exit(0);
        join_child(pid);
    }
}

int main(void)
{
    alarm(LIMIT_S);
    measure("process.fork", fork_and_wait, NULL, 200);
    return 0;
}
