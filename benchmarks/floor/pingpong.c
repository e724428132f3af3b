/* pingpong.c -- the round trip between two processes: every mechanism, the same loop.

   A table has two sides; `hit` hands the turn to the other side, `await` waits for one's own.  Spinning is
   measured across two processors only: on one it would measure the scheduler's time slice.  */

#include "floor.h"
#include <sys/eventfd.h>

struct side {
    _Alignas(128) _Atomic uint32_t turns; /* how often the turn came to this side; written by the other */
    _Alignas(128) uint32_t taken;         /* r/w by this side only, so on a line of its own */
    int in, out;                          /* descriptors: await reads in, the other side's hit writes out */
};

struct mechanism {
    const char *name;
    long turns[2]; /* per round: on one processor, across two; 0 for not at all */
    void (*open)(struct side *);
    void (*hit)(struct side *other);
    void (*await)(struct side *mine);
};

struct table {
    const struct mechanism *m;
    long turns;
    struct side side[2];
};

static void open_word(struct side *s)
{
    s->turns = s->taken = 0;
}

static void open_pipe(struct side *s)
{
    int fd[2];
    CHECK(pipe(fd) == 0);
    s->in = fd[0], s->out = fd[1];
}

static void open_eventfd(struct side *s)
{
    CHECK((s->in = s->out = eventfd(0, 0)) >= 0);
}

static void hit_word(struct side *other)
{
    uint32_t turns = atomic_load_explicit(&other->turns, memory_order_relaxed);
    atomic_store_explicit(&other->turns, turns + 1, memory_order_release); /* SYNC with came */
}

static void hit_futex(struct side *other)
{
    hit_word(other);
    futex_wake(&other->turns);
}

static void hit_fd(struct side *other)
{
    uint64_t one = 1;
    CHECK(write(other->out, &one, sizeof one) == sizeof one);
}

static int came(struct side *mine)
{
    return atomic_load_explicit(&mine->turns, memory_order_acquire) != mine->taken;
}

static void await_spinning(struct side *mine)
{
    while (!came(mine))
        pause_cpu();
    mine->taken++;
}

static void await_yielding(struct side *mine)
{
    while (!came(mine))
        sched_yield();
    mine->taken++;
}

static void await_futex(struct side *mine)
{
    while (!came(mine))
        futex_wait(&mine->turns, mine->taken);
    mine->taken++;
}

static void await_fd(struct side *mine)
{
    uint64_t turns;
    CHECK(read(mine->in, &turns, sizeof turns) == sizeof turns && turns == 1);
}

static const struct mechanism mechanisms[] = {
    {"spin", {0, 100000}, open_word, hit_word, await_spinning},
    {"yield", {20000, 20000}, open_word, hit_word, await_yielding},
    {"futex", {5000, 1000}, open_word, hit_futex, await_futex},
    {"pipe", {5000, 1000}, open_pipe, hit_fd, await_fd},
    {"eventfd", {5000, 1000}, open_eventfd, hit_fd, await_fd},
};

static void play(void *arg, long n)
{
    struct table *t = arg;
    for (long i = 0; i < n; i++) {
        t->m->hit(&t->side[1]);
        t->m->await(&t->side[0]);
    }
}

static void reply(void *arg)
{
    struct table *t = arg;
    for (long i = 0; i < t->turns * (ROUNDS + 1); i++) {
        t->m->await(&t->side[1]);
        t->m->hit(&t->side[0]);
    }
}

static void run(struct table *t, const struct mechanism *m, int across)
{
    char name[64];
    t->m = m;
    t->turns = m->turns[across];
    m->open(&t->side[0]);
    m->open(&t->side[1]);
    pid_t child = start_child(nth_cpu(across), reply, t);
    snprintf(name, sizeof name, "pingpong.%s.%s", m->name, across ? "cross" : "same");
    measure(name, play, t, t->turns);
    join_child(child);
}

int main(void)
{
    alarm(LIMIT_S);
    struct table *t = shared_memory(sizeof *t);
    int cpus = nth_cpu(1) < 0 ? 1 : 2;
    pin(nth_cpu(0));
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        for (int across = 0; across < cpus; across++)
            if (mechanisms[i].turns[across] > 0)
                run(t, &mechanisms[i], across);
    return 0;
}
