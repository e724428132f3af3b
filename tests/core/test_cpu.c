/* Description: the processor a thread runs on, and how many can run at once. */
#include <sched.h>
#include "../../src/core/cmp.h"
#include "../../src/platform/kernel.h"
#include "../../src/platform/platform.h"
#include "check.h"

static void pin_to(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
}

static void test_cpu(const cpu_set_t *all)
{
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, all)) {
            pin_to(cpu);
            CHECK_EQ(cmp_cpu(), cpu);
        }
    CHECK_EQ(sched_setaffinity(0, sizeof *all, all), 0);
}

/* The lesser of both, rounded up; a change is seen within a second or so. */
static void test_parallelism(const cpu_set_t *all)
{
    struct cmp_kernel k;
    cmp_kernel_read(&k);
    int64_t most = CPU_COUNT(all);
    if (k.cpu_quota_milli >= 0 && (k.cpu_quota_milli + 999) / 1000 < most)
        most = (k.cpu_quota_milli + 999) / 1000;
    CHECK_EQ(cmp_parallelism(), most < 1 ? 1 : most);

    int first = cmp_cpu();
    pin_to(first);
    int64_t began = cmp_now_ns();
    while (cmp_parallelism() != 1 && cmp_now_ns() - began < 10000 * MS)
        sleep_ms(20);
    CHECK_EQ(cmp_parallelism(), 1);
    CHECK_EQ(sched_setaffinity(0, sizeof *all, all), 0);
}

/* Cached: a hundred thousand calls do not read a hundred thousand files. */
static void test_cheap(void)
{
    int64_t began = cmp_now_ns();
    for (int i = 0; i < 100000; i++)
        cmp_parallelism();
    CHECK(cmp_now_ns() - began < 1000 * MS);
}

static void *ask(void *arg)
{
    for (int i = 0; i < 1000; i++)
        CHECK(cmp_parallelism() >= 1);
    return arg;
}

static void test_threads(void)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, ask, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

int main(void)
{
    cpu_set_t all;
    start(60);
    CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    test_cpu(&all);
    test_parallelism(&all);
    test_cheap();
    test_threads();
    cmp_yield();
    cmp_pause();
    return done();
}
