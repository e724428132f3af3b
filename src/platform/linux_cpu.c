/* linux_cpu.c -- where this thread runs, and how many can run at once.  */
#include "linux.h"
#include <sched.h>
#include <unistd.h>
#include "../core/cmp.h"

#define FRESH_NS INT64_C(1000000000) /* how long an answer is good for */

static cmp_word parallelism;  /* 0: not asked yet */
static cmp_word64 asked_at_ns;

int cmp_cpu(void)
{
    return sched_getcpu(); /* from rseq or the vDSO: no system call */
}

/* The system call itself, with room for 65,536: cpu_set_t ends at 1,024. */
int linux_affinity(void)
{
    unsigned long mask[65536 / (8 * sizeof(unsigned long))];
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    int n = 0;
    if (bytes <= 0)
        n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    for (size_t i = 0; bytes > 0 && i < (size_t)bytes / sizeof mask[0]; i++)
        n += __builtin_popcountl(mask[i]);
    return n > 0 ? n : 1;
}

static int ask(void)
{
    int64_t n = linux_affinity();
    int64_t milli = linux_cpu_quota_milli("/proc/self/cgroup", "/sys/fs/cgroup");
    int64_t quota = (milli + 999) / 1000;
    if (milli >= 0 && quota < n)
        n = quota;
    return n > 0 ? (int)n : 1;
}

/* Good to a few milliseconds, and cheap. */
static uint64_t coarse_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int cmp_parallelism(void)
{
    uint32_t n = load_relaxed(&parallelism);
    uint64_t now = coarse_now_ns(), then = load64_relaxed(&asked_at_ns);
    /* SYNC seq_cst: the CAS has one thread of many ask anew.  The others go on with
       the old answer, which is why its order does not matter. */
    if (n == 0 || (now - then >= FRESH_NS && cas64_strong(&asked_at_ns, &then, now))) {
        n = (uint32_t)ask();
        store_relaxed(&parallelism, n);
        store64_relaxed(&asked_at_ns, now);
    }
    return (int)n;
}

void cmp_yield(void)
{
    sched_yield();
}

void cmp_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* yield is a no-op on most of them */
#else
    compiler_barrier();
#endif
}
