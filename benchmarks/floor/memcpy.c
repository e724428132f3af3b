/* memcpy.c -- copying into shared memory: into pages that are there already, and into a fresh memfd.

   Fresh means what a new message buffer costs: create, map, copy (which faults every page in), unmap.  */

#include "floor.h"

#define BYTES_PER_ROUND (64L << 20) /* small sizes are copied so often that a round moves as much */

static double gb_per_s(size_t bytes, long n, double ns)
{
    return bytes * (double)n / ns;
}

static double copy_warm(char *to, const char *from, size_t bytes, long n)
{
    double start = now_ns();
    for (long i = 0; i < n; i++) {
        memcpy(to, from, bytes);
        __asm__ volatile("" ::: "memory");
    }
    return gb_per_s(bytes, n, now_ns() - start);
}

static double copy_fresh(const char *from, size_t bytes, long n)
{
    double start = now_ns();
    for (long i = 0; i < n; i++) {
        int fd = memfd_create("floor", MFD_CLOEXEC);
        CHECK(fd >= 0 && ftruncate(fd, bytes) == 0);
        char *to = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(to != MAP_FAILED);
        memcpy(to, from, bytes);
        __asm__ volatile("" ::: "memory");
        CHECK(munmap(to, bytes) == 0 && close(fd) == 0);
    }
    return gb_per_s(bytes, n, now_ns() - start);
}

static void copy(const char *size, size_t bytes)
{
    char name[64];
    double values[ROUNDS];
    char *from = malloc(bytes), *to = shared_memory(bytes);
    long n = bytes < BYTES_PER_ROUND ? BYTES_PER_ROUND / bytes : 1;
    CHECK(from != NULL);
    memset(from, 1, bytes);
    memset(to, 0, bytes);
    for (int round = 0; round < ROUNDS; round++)
        values[round] = copy_warm(to, from, bytes, n);
    CHECK(memcmp(to, from, bytes) == 0);
    snprintf(name, sizeof name, "memcpy.warm.%s", size);
    report(name, "GB/s", values, ROUNDS);
    for (int round = 0; round < ROUNDS; round++)
        values[round] = copy_fresh(from, bytes, n);
    snprintf(name, sizeof name, "memcpy.fresh.%s", size);
    report(name, "GB/s", values, ROUNDS);
    CHECK(munmap(to, bytes) == 0);
    free(from);
}

int main(void)
{
    alarm(LIMIT_S);
    pin(nth_cpu(0));
    copy("64K", 64L << 10);
    copy("1M", 1L << 20);
    copy("16M", 16L << 20);
    copy("256M", 256L << 20);
    return 0;
}
