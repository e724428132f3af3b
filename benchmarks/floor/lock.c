/* lock.c -- the least that a lock in shared memory can cost: one CAS to take it, one exchange to free it; what it
   costs to be safe from a death; and what two processes pay that want it all the time.  */

#include "floor.h"
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>

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

/* The same, while the kernel is told of the word, so that a death between the release and the wake wakes somebody. */
static void lock_and_unlock_pending(void *arg, long n)
{
    struct robust_list_head *head;
    size_t size;
    CHECK(syscall(SYS_get_robust_list, 0, &head, &size) == 0);
    struct robust_list *entry = (struct robust_list *)((char *)arg - head->futex_offset);
    for (long i = 0; i < n; i++) {
        *(struct robust_list *volatile *)&head->list_op_pending = entry;
        lock_and_unlock(arg, 1);
        *(struct robust_list *volatile *)&head->list_op_pending = NULL;
    }
}

static void post_and_wait(void *arg, long n)
{
    for (long i = 0; i < n; i++) {
        CHECK(sem_trywait(arg) == 0);
        CHECK(sem_post(arg) == 0);
    }
}

static void lock_and_unlock_robust(void *arg, long n)
{
    for (long i = 0; i < n; i++) {
        CHECK(pthread_mutex_lock(arg) == 0);
        CHECK(pthread_mutex_unlock(arg) == 0);
    }
}

/* Two processes, one on each of two processors, increment one counter under one lock: 0 free, 1 held, 2 held and
   somebody may sleep.  */
struct counter {
    _Alignas(64) _Atomic uint32_t word;
    uint64_t value;
    _Alignas(64) _Atomic uint32_t asked; /* rounds that the other one is to play */
    _Alignas(64) _Atomic uint32_t done;
    long turns;
};

static void increment(struct counter *c)
{
    uint32_t expected = 0;
    if (!atomic_compare_exchange_strong(&c->word, &expected, 1))
        while (atomic_exchange(&c->word, 2) != 0)
            futex_wait(&c->word, 2);
    c->value++;
    if (atomic_exchange(&c->word, 0) == 2)
        syscall(SYS_futex, &c->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void play(void *arg)
{
    struct counter *c = arg;
    for (uint32_t round = 0; round < ROUNDS + 1; round++) {
        while (atomic_load(&c->asked) == round)
            pause_cpu();
        for (long i = 0; i < c->turns; i++)
            increment(c);
        atomic_store(&c->done, round + 1);
    }
}

/* n increments, half of them by each */
static void play_both(void *arg, long n)
{
    struct counter *c = arg;
    uint64_t before = c->value; /* the other one begins as soon as it is asked */
    uint32_t round = atomic_fetch_add(&c->asked, 1);
    for (long i = 0; i < n / 2; i++)
        increment(c);
    while (atomic_load(&c->done) == round)
        pause_cpu();
    CHECK(c->value == before + (uint64_t)n);
}

static void measure_two(struct counter *c)
{
    c->turns = 200000;
    pid_t child = start_child(nth_cpu(1), play, c);
    measure("lock.two", play_both, c, 2 * c->turns);
    join_child(child);
}

static void *robust_mutex(void)
{
    pthread_mutex_t *mutex = shared_memory(4096);
    pthread_mutexattr_t attr;
    CHECK(pthread_mutexattr_init(&attr) == 0);
    CHECK(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0);
    CHECK(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutex_init(mutex, &attr) == 0);
    return mutex;
}

int main(void)
{
    alarm(LIMIT_S);
    pin(nth_cpu(0));
    measure("lock.cas", lock_and_unlock, shared_memory(4096), 5000000);
    measure("lock.cas.pending", lock_and_unlock_pending, shared_memory(4096), 5000000);
    sem_t *sem = shared_memory(4096);
    CHECK(sem_init(sem, 1, 1) == 0);
    measure("lock.sem_t", post_and_wait, sem, 5000000);
    measure("lock.pthread.robust", lock_and_unlock_robust, robust_mutex(), 5000000);
    if (nth_cpu(1) >= 0)
        measure_two(shared_memory(4096));
    return 0;
}
