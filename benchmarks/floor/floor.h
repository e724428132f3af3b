/* floor.h -- clock, pinning, a shared page, a child, and the report, for the programs of this folder.

   Each program measures what one mechanism costs on this machine without Python: the limit that the rows of
   ../rows run against.  Every number is the median of ROUNDS rounds, printed as one line

       name median unit min max

   A program that has not ended after LIMIT_S seconds is killed by its alarm, and its child with it.  */

#ifndef FLOOR_H
#define FLOOR_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 11
#define LIMIT_S 60

#define CHECK(true_) ((true_) ? (void)0 : die(#true_, __FILE__, __LINE__))

static inline _Noreturn void die(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not true: %s (%s)\n", file, line, what, strerror(errno));
    _exit(1);
}

static inline double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static inline void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The nth processor that this program may run on when it starts, or -1.  */
static inline int nth_cpu(int n)
{
    static cpu_set_t allowed;
    static int known;
    if (!known)
        CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    known = 1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && n-- == 0)
            return cpu;
    return -1;
}

static inline void pin(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}

static inline void *shared_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

/* Run body(arg) in a child on the given processor; the child dies with its parent.  */
static inline pid_t start_child(int cpu, void (*body)(void *), void *arg)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(cpu);
        body(arg);
        _exit(0);
    }
    return pid;
}

static inline void join_child(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static inline void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static inline int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline void print_number(double value)
{
    printf(value >= 100 ? " %.0f" : " %.3g", value);
}

static inline void report(const char *name, const char *unit, double *values, int n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    printf("%s", name);
    print_number(values[n / 2]);
    printf(" %s", unit);
    print_number(values[0]);
    print_number(values[n - 1]);
    putchar('\n');
    fflush(stdout);
}

/* Report ns per turn of loop(arg, n); the first run warms up.  */
static inline void measure(const char *name, void (*loop)(void *, long), void *arg, long n)
{
    double values[ROUNDS];
    loop(arg, n);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        loop(arg, n);
        values[round] = (now_ns() - start) / n;
    }
    report(name, "ns", values, ROUNDS);
}

#endif
