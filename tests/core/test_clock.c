/* Description: the clock never goes back, is the monotonic one, and runs on in a
   forked child; the thread id is cached and right in every thread and child. */
#include <sys/syscall.h>
#include "../../src/platform/platform.h"
#include "check.h"

static void test_monotonic(void)
{
    int64_t last = cmp_now_ns();
    for (int i = 0; i < 100000; i++) {
        int64_t now = cmp_now_ns();
        if (now < last) {
            CHECK(now >= last);
            break;
        }
        last = now;
    }
    struct timespec t;
    int64_t before = cmp_now_ns();
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t at = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    CHECK(before <= at && at <= cmp_now_ns());
}

static void test_sleep_takes_its_time(void)
{
    int64_t before = cmp_now_ns();
    sleep_ms(20);
    CHECK(cmp_now_ns() - before >= 20 * MS);
}

static void *tid_is_right(void *result)
{
    uint32_t tid = (uint32_t)syscall(SYS_gettid);
    *(bool *)result = cmp_tid() == tid && cmp_tid() == tid;
    return NULL;
}

static void test_tid(void)
{
    bool here = false, in_thread = false;
    pthread_t t;
    tid_is_right(&here);
    CHECK(here);
    CHECK_EQ(cmp_tid(), getpid());
    pthread_create(&t, NULL, tid_is_right, &in_thread);
    pthread_join(t, NULL);
    CHECK(in_thread);

    pid_t child = fork_child();
    if (child == 0) {
        tid_is_right(&here);
        _exit(!here);
    }
    CHECK_EQ(status_of(child), 0);
}

int main(void)
{
    start(30);
    CHECK_EQ(cmp_platform_init(), 0);
    CHECK_EQ(cmp_platform_init(), 0);
    test_monotonic();
    test_sleep_takes_its_time();
    test_tid();
    return done();
}
