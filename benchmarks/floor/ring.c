/* ring.c -- one producer process, one consumer process, messages of 64 bytes through a ring in shared memory.

   Both sides copy whole messages, and the consumer checks the number in each.  Who finds the ring full or empty
   spins for so many PAUSEs; then it arms the other side's flag and sleeps on it.  */

#include "floor.h"

#define SLOTS 1024
#define FOREVER LONG_MAX

struct message {
    uint64_t words[8];
};

struct end {
    _Alignas(128) _Atomic uint32_t position; /* messages done by this end */
    _Atomic uint32_t armed;                  /* 1: the other end may be asleep on this word */
};

struct ring {
    struct end head, tail; /* the producer moves tail, the consumer head */
    long spins;            /* r/o: PAUSEs before a side sleeps; FOREVER: it never does */
    long messages;         /* r/o: per round */
    _Alignas(128) struct message slots[SLOTS];
};

static int still(struct end *other, uint32_t stale)
{
    return atomic_load_explicit(&other->position, memory_order_acquire) == stale;
}

/* Wait until the other end's position is no longer `stale`.  */
static void await(struct ring *r, struct end *other, uint32_t stale)
{
    for (long i = 0; still(other, stale); i++) {
        if (i < r->spins) {
            pause_cpu();
            continue;
        }
        atomic_store(&other->armed, 1);
        /* SYNC with advance: one of the two sees the other's store, as both are sequentially consistent.  The sleep
           is on the flag and not on the position: an exchange that comes late takes this arming away too.  */
        if (atomic_load(&other->position) == stale)
            futex_wait(&other->armed, 1);
    }
}

static void advance(struct ring *r, struct end *mine, uint32_t position)
{
    if (r->spins == FOREVER) {
        atomic_store_explicit(&mine->position, position, memory_order_release);
        return;
    }
    atomic_store(&mine->position, position); /* SYNC with await */
    if (atomic_load(&mine->armed) && atomic_exchange(&mine->armed, 0))
        futex_wake(&mine->armed);
}

static void consume(void *arg)
{
    struct ring *r = arg;
    struct message m;
    for (uint32_t i = 0; i < r->messages * (ROUNDS + 1); i++) {
        await(r, &r->tail, i);
        m = r->slots[i % SLOTS];
        CHECK(m.words[0] == i && m.words[7] == i);
        advance(r, &r->head, i + 1);
    }
}

static void produce(void *arg, long n)
{
    struct ring *r = arg;
    uint32_t i = r->tail.position, end = i + n;
    for (; i != end; i++) {
        await(r, &r->head, i - SLOTS);
        struct message m = {{i, 1, 2, 3, 4, 5, 6, i}};
        r->slots[i % SLOTS] = m;
        advance(r, &r->tail, i + 1);
    }
}

static void run(const char *name, long spins, int across, long messages)
{
    struct ring *r = shared_memory(sizeof *r);
    r->spins = spins;
    r->messages = messages;
    pid_t child = start_child(nth_cpu(across), consume, r);
    measure(name, produce, r, messages);
    join_child(child);
    CHECK(munmap(r, sizeof *r) == 0);
}

int main(void)
{
    alarm(LIMIT_S);
    int second = nth_cpu(1) >= 0;
    pin(nth_cpu(0));
    run("ring.block.same", 0, 0, 200000);
    if (second) {
        run("ring.spin.cross", FOREVER, 1, 200000);
        run("ring.spin200.cross", 200, 1, 200000);
        run("ring.block.cross", 0, 1, 50000);
    }
    return 0;
}
