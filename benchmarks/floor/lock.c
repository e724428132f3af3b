/* lock.c -- the least that a lock in shared memory can cost: one CAS to take it, one exchange to free it.  */

#include "floor.h"

static void lock_and_unlock(void *arg, long n)
{
    _Atomic uint32_t *word = arg;
    for (long i = 0; i < n; i++) {
        uint32_t expected = 0;
        CHECK(atomic_compare_exchange_strong_explicit(word, &expected, 1, memory_order_acquire,
                                                      memory_order_relaxed));
        CHECK(atomic_exchange_explicit(word, 0, memory_order_release) == 1);
    }
}

int main(void)
{
    alarm(LIMIT_S);
    pin(nth_cpu(0));
    measure("lock.cas", lock_and_unlock, shared_memory(4096), 5000000);
    return 0;
}
