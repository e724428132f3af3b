/* call.c -- a function call that the compiler cannot see through, and the cheapest system call.  */

#include "floor.h"

static __attribute__((noinline)) void nothing(void)
{
    __asm__ volatile("");
}

static void call_function(void *arg, long n)
{
    (void)arg;
    for (long i = 0; i < n; i++)
        nothing();
}

static void call_system(void *arg, long n)
{
    (void)arg;
    for (long i = 0; i < n; i++)
        syscall(SYS_getppid);
}

int main(void)
{
    alarm(LIMIT_S);
    pin(nth_cpu(0));
    measure("call.function", call_function, NULL, 20000000);
    measure("call.system", call_system, NULL, 500000);
    return 0;
}
