/* cell.c -- the least that making and dropping an object in shared memory can cost: one CAS to take a cell out of a
   bitmap, 64 bytes to format it, one atomic operation to give it back.  */

#include "floor.h"

struct cells {
    _Atomic uint64_t taken;
    _Alignas(64) char cell[64][64];
};

static void take_and_free(void *arg, long n)
{
    struct cells *c = arg;
    for (long i = 0; i < n; i++) {
        uint64_t taken = atomic_load_explicit(&c->taken, memory_order_relaxed);
        int free;
        do
            free = __builtin_ctzll(~taken);
        while (!atomic_compare_exchange_weak_explicit(&c->taken, &taken, taken | 1ull << free, memory_order_acquire,
                                                      memory_order_relaxed));
        memset(c->cell[free], 0, sizeof c->cell[free]);
        __asm__ volatile("" ::"r"(c->cell[free]) : "memory");
        atomic_fetch_and_explicit(&c->taken, ~(1ull << free), memory_order_release);
    }
}

int main(void)
{
    alarm(LIMIT_S);
    pin(nth_cpu(0));
    measure("cell.take", take_and_free, shared_memory(sizeof(struct cells)), 5000000);
    return 0;
}
