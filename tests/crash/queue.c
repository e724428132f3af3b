/* queue.c -- queues: put, get, batches, going on to the next segment, shutting down, joining.

   As ring.c: every message has a number, and contents that follow from it; what a trial asks is whether
   each that was put was got once, whole, in its producer's order, but for those that a killed
   getter was taking.  The first segment holds older messages at first.  */
#include "../../src/core/queue.h"
#include "../../src/core/wait.h"
#include "harness.h"

#define SMALL 24u
#define LARGE 984u  /* four of them fill the first segment */
#define BLOCK 6000u /* goes by a block */
#define N_FULL 4u
#define BATCH 3u
#define PER_ACTOR 5u
#define OF_DIRECTOR 40u /* the first number of the director's */
#define STALE 1000u     /* numbers of messages that are gone */

static struct cmp_queue q;
static struct cmp_loss loss;
static uint32_t size_of_messages, n_turns, next_of_director;
static int n_lost; /* may be */

/* board->ref[0]: numbers that were got; [1]: whose put has begun; [2]: has returned. */
enum { GOT, BEGUN, PUT };

/* ---- messages ------------------------------------------------------------------------- */

static unsigned char byte_of(uint32_t number, size_t i)
{
    return (unsigned char)(number * 41 + i * 13 + (i >> 8) + 1);
}

static void fill(unsigned char *bytes, uint32_t number, size_t n)
{
    for (size_t i = 4; i < n; i++)
        bytes[i] = byte_of(number, i);
    memcpy(bytes, &number, 4);
}

static int put_sized(uint32_t number, size_t n, int64_t deadline_ns)
{
    static unsigned char bytes[BLOCK];
    fill(bytes, number, n);
    struct cmp_part part = {bytes, n};
    struct cmp_outgoing m = {.parts = &part, .n_parts = 1};
    return cmp_queue_put(&q, &m, deadline_ns);
}

static void note(int list, uint32_t number)
{
    or64_seqcst(&board->ref[list], UINT64_C(1) << number);
}

static void put_number(uint32_t number, int64_t deadline_ns)
{
    note(BEGUN, number);
    int rc = put_sized(number, size_of_messages, deadline_ns);
    if (rc == 0)
        note(PUT, number);
    else
        violation("put of %u: %d", number, rc);
}

/* The last one of each producer that this process has got. */
static void check_order(uint32_t number)
{
    static uint32_t last[OF_DIRECTOR / PER_ACTOR + 1];
    uint32_t who = number < OF_DIRECTOR ? number / PER_ACTOR : OF_DIRECTOR / PER_ACTOR;
    if (last[who] > number + 1)
        violation("%u was got after %u", number, last[who] - 1);
    last[who] = number + 1;
}

static void check_message(const struct cmp_incoming *m)
{
    uint32_t number = STALE;
    const unsigned char *bytes = m->data;
    if (m->bytes != size_of_messages) {
        violation("a message of %d bytes", (int)m->bytes);
        return;
    }
    memcpy(&number, bytes, 4);
    if (number >= STALE) {
        violation("an old message (%u) was got again, or one that was never written", number);
        return;
    }
    for (size_t i = 4; i < m->bytes; i++)
        if (bytes[i] != byte_of(number, i)) {
            violation("message %u is torn at %d", number, (int)i);
            return;
        }
    if (or64_seqcst(&board->ref[GOT], UINT64_C(1) << number) >> number & 1)
        violation("message %u was got twice", number);
    check_order(number);
}

static int get_some(int n, int64_t deadline_ns)
{
    static char buffer[2 * CMP_QUEUE_PLAIN_MAX];
    struct cmp_incoming m[BATCH];
    int rc = cmp_queue_get_many(&q, buffer, sizeof buffer, m, n, deadline_ns);
    for (int i = 0; i < rc; i++) {
        check_message(&m[i]);
        cmp_incoming_drop(&m[i]);
    }
    return rc;
}

/* ---- roles ----------------------------------------------------------------------------- */

static void getter(int id)
{
    ready();
    for (uint32_t i = 0; i < n_turns; i++) {
        int rc = get_some(1, CMP_FOREVER);
        if (rc != 1)
            violation("actor %d: get: %d", id, rc);
    }
    store_seqcst(&board->result[id], 1);
}

static void batch_getter(int id)
{
    ready();
    int rc = get_some(BATCH, CMP_FOREVER);
    if (rc < 1)
        violation("actor %d: get_many: %d", id, rc);
}

static void putter(int id)
{
    ready();
    for (uint32_t i = 0; i < n_turns; i++)
        put_number((uint32_t)id * PER_ACTOR + i, CMP_FOREVER);
    store_seqcst(&board->result[id], 1);
}

static void batch_putter(int id)
{
    static unsigned char bytes[BATCH][LARGE];
    struct cmp_part parts[BATCH];
    struct cmp_outgoing m[BATCH] = {0};
    uint32_t first = (uint32_t)id * PER_ACTOR;
    for (uint32_t i = 0; i < BATCH; i++) {
        fill(bytes[i], first + i, size_of_messages);
        parts[i] = (struct cmp_part){bytes[i], size_of_messages};
        m[i].parts = &parts[i];
        m[i].n_parts = 1;
        note(BEGUN, first + i);
    }
    ready();
    for (uint32_t i = 0; i < BATCH;) {
        int rc = cmp_queue_put_many(&q, m + i, (int)(BATCH - i), CMP_FOREVER);
        if (rc < 1) {
            violation("actor %d: put_many: %d", id, rc);
            return;
        }
        while (rc-- > 0)
            note(PUT, first + i++);
    }
}

/* ---- the director ------------------------------------------------------------------------ */

static void take_stale(void)
{
    char buffer[CMP_QUEUE_PLAIN_MAX];
    struct cmp_incoming m;
    if (cmp_queue_get(&q, buffer, &m, 0) != 0)
        violation("an old message is not there");
}

/* Once round in the first segment, with old messages. */
static void wear(uint64_t bytes)
{
    uint32_t n = size_of_messages < SMALL || size_of_messages > LARGE ? SMALL : size_of_messages;
    for (uint32_t i = 0; i < bytes / (n + 8); i++) {
        if (put_sized(STALE + i, n, 0) != 0)
            violation("the queue is not worn");
        take_stale();
    }
}

static void make_queue(uint32_t bytes, uint32_t turns, uint32_t limit)
{
    cmp_ref ref;
    int rc = cmp_queue_create(limit, true, &ref);
    if (rc == 0)
        rc = cmp_queue_open(ref, &q);
    if (rc < 0) {
        violation("there is no queue: %d", rc);
        exit(1);
    }
    size_of_messages = bytes;
    n_turns = turns;
    show_on_failure("puts", &q.cell->put, sizeof(struct cmp_side));
    show_on_failure("gets", &q.cell->get, sizeof(struct cmp_side));
    show_on_failure("places", &q.cell->put_place, 4 * sizeof(struct cmp_place));
    wear(2 * CMP_SEGMENT_HOME);
}

static void director_puts(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t number = OF_DIRECTOR + next_of_director++;
        put_number(number, cmp_now_ns() + hang_limit_ms() * MS);
        if (!(load64_seqcst(&board->ref[PUT]) >> number & 1))
            hang("the director cannot put");
    }
}

static void director_gets(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int rc = get_some(1, cmp_now_ns() + hang_limit_ms() * MS);
        if (rc != 1)
            hang("the director cannot get: %d", rc);
    }
}

static bool is_empty(void)
{
    return cmp_queue_size(&q) == 0;
}

static int count_bits(uint64_t bits)
{
    return __builtin_popcountll(bits);
}

/* Take out what is left, then go through the books; whoever comes later has a queue that works. */
static void account(void)
{
    int rc;
    uint32_t n = (uint32_t)cmp_queue_size(&q);
    director_gets(n);
    rc = get_some(1, 0);
    if (rc != -ETIMEDOUT && rc != -ESHUTDOWN)
        violation("of %u items all were got, and at the end get says %d", n, rc);
    uint64_t got = load64_seqcst(&board->ref[GOT]), begun = load64_seqcst(&board->ref[BEGUN]);
    uint64_t put = load64_seqcst(&board->ref[PUT]);
    if (got & ~begun)
        violation("messages %llx were got, and never put", (unsigned long long)(got & ~begun));
    if (count_bits(put & ~got) > n_lost)
        violation("messages %llx are lost", (unsigned long long)(put & ~got));
    if (cmp_queue_is_shut(&q))
        return;
    director_puts(2);
    director_gets(2);
}

/* ---- put ------------------------------------------------------------------------------------- */

/* The victim puts, b sleep; what it has put arrives. */
static void put(int bytes, int b)
{
    make_queue((uint32_t)bytes, 1, 0);
    spawn_sleepers(getter, b);
    n_turns = 2;
    n_lost = second_dies_too();
    lead(spawn_victim(putter));
    n_turns = 1;
    second_dies();
    settle(is_empty);
    if (b > 0)
        director_puts((uint32_t)b);
    settle(NULL);
    account();
}

/* All of a batch, or nothing. */
static void put_batch(int bytes, int b)
{
    make_queue((uint32_t)bytes, 1, 0);
    spawn_sleepers(getter, b);
    struct actor *v = spawn_victim(batch_putter);
    lead(v);
    settle(is_empty);
    if (b > 0)
        director_puts((uint32_t)b);
    settle(NULL);
    account();
    uint64_t got = load64_seqcst(&board->ref[GOT]) >> ((uint32_t)v->id * PER_ACTOR) & 7;
    if (got != 0 && got != 7)
        violation("of a batch of 3, there were only %llx", (unsigned long long)got);
}

/* The queue is full; the victim waits there, first or last of b + 1. */
#define LAST 4096
#define MANY 8192
static void put_full(int how, int b)
{
    role *mine = how & MANY ? batch_putter : putter;
    make_queue((uint32_t)how & ~(uint32_t)(LAST | MANY), 1, 2);
    n_lost = second_dies_too();
    director_puts(2);
    if (how & LAST)
        spawn_sleepers(putter, b);
    struct actor *v = spawn_victim(mine);
    bool dead = lead(v);
    if (!(how & LAST))
        spawn_sleepers(putter, b);
    director_gets(2);
    if (!dead)
        lead_on_or_leave_asleep(v); /* one of a batch may have no room */
    second_dies();
    while (!all_finished() && cmp_queue_size(&q) > 0)
        director_gets(1);
    settle(NULL);
    account();
}

/* The segment is full: the victim goes on to the next, and puts one more. */
static void put_on(int batch, int b)
{
    make_queue(LARGE, 2, 0);
    director_puts(N_FULL);
    n_lost = second_dies_too();
    lead(spawn_victim(batch ? batch_putter : putter));
    cmp_sweep();
    director_puts(2);
    n_turns = 1;
    for (int i = 0; i < b; i++)
        spawn(getter);
    settle(NULL);
    account();
}

/* The victim goes on to the next segment after some of this one, in one batch or in turns. */
static void get_up_to(int batch, int b)
{
    (void)b;
    make_queue(LARGE, 3, 0);
    n_lost = batch ? BATCH : 1;
    director_puts(N_FULL + 2);
    director_gets(N_FULL - 1);
    lead(spawn_victim(batch ? batch_getter : getter));
    cmp_sweep();
    account();
}

/* The victim goes on to a smaller one. */
static void put_back(int a, int b)
{
    (void)a, (void)b;
    make_queue(SMALL, 1, 0);
    for (uint32_t i = 0; i < 28; i++)
        if (put_sized(STALE, LARGE, 0) != 0)
            violation("the queue does not grow");
    for (uint32_t i = 0; i < 28; i++)
        take_stale();
    struct cmp_place *p;
    do {
        if (put_sized(STALE, LARGE, 0) != 0)
            violation("the queue cannot be worn");
        take_stale();
        p = &q.cell->put_place[load64_seqcst(&q.cell->put.at) & 1];
    } while (p->at - p->from < p->cap);
    do {
        p = &q.cell->put_place[load64_seqcst(&q.cell->put.at) & 1];
        if (p->cap - p->at % p->cap <= SMALL + 8)
            break;
        if (put_sized(STALE, SMALL, 0) != 0)
            violation("the queue cannot be worn");
        take_stale();
    } while (p->cap > 4 * CMP_SEGMENT_HOME);
    lead(spawn_victim(putter));
    cmp_sweep();
    account();
}

/* ---- get ------------------------------------------------------------------------------------- */

/* Messages are there, or the queue is full and b putters sleep; the victim gets two. */
static void get(int how, int b)
{
    bool many = how & MANY;
    make_queue((uint32_t)how & ~(uint32_t)MANY, 1, b > 0 ? 4 : 0);
    n_lost = many ? BATCH : 1;
    director_puts(4);
    spawn_sleepers(putter, b);
    n_turns = 2;
    lead(spawn_victim(many ? batch_getter : getter));
    second_dies();
    while (!all_finished() && cmp_queue_size(&q) > 0)
        director_gets(1);
    settle(NULL);
    account();
}

/* Whether the second segment has no room for another large message: nothing of it was taken. */
static bool is_second_full(void)
{
    struct cmp_place *p = &q.cell->put_place[load64_seqcst(&q.cell->put.at) & 1];
    uint64_t left = p->cap - p->at % p->cap, length = LARGE + 8;
    return p->cap == 2 * CMP_SEGMENT_HOME &&
           p->at - p->from + length + (left < length ? left : 0) + 40 > p->cap;
}

/* Two segments are full of old messages, and the next that is put goes into the third.  How many. */
static int fill_two(void)
{
    int n = 0;
    for (; !is_second_full(); n++)
        if (put_sized(STALE, LARGE, 0) != 0)
            violation("the queue does not grow");
    return n;
}

static void take_two(int n)
{
    while (n-- > 0)
        take_stale();
    if (q.cell->get_place[load64_seqcst(&q.cell->get.at) & 1].cap != 2 * CMP_SEGMENT_HOME)
        violation("the second segment was left too early");
}

/* ... and one must go on to the next segment for the first of them. */
static void get_on(int bytes, int batch)
{
    make_queue((uint32_t)bytes, 2, 0);
    n_lost = batch ? BATCH : 1;
    int n = fill_two();
    director_puts(3);
    take_two(n);
    lead(spawn_victim(batch ? batch_getter : getter));
    cmp_sweep();
    account();
}

/* The queue is empty; the victim waits there, first or last of b + 1; then b + 1 come. */
static void get_empty(int how, int b)
{
    role *mine = how & MANY ? batch_getter : getter;
    make_queue((uint32_t)how & ~(uint32_t)(LAST | MANY), 1, 0);
    n_lost = (how & MANY ? (int)BATCH : 1) + second_dies_too();
    if (how & LAST)
        spawn_sleepers(getter, b);
    struct actor *v = spawn_victim(mine);
    bool dead = lead(v);
    if (!(how & LAST))
        spawn_sleepers(getter, b);
    director_puts((uint32_t)b + 1);
    if (!dead)
        lead_on(v);
    second_dies();
    settle(is_empty);
    director_puts((uint32_t)b + 1);
    settle(NULL);
    account();
}

/* ---- while others sweep ------------------------------------------------------------------------ */

enum { PUTTER, GETTER, SWEEPER_OF_PUT, SWEEPER_OF_GOT };

static void sweeping(int id)
{
    (void)id;
    ready();
    cmp_sweep();
}

/* One stands at each point of a put that goes on to a new segment, or of a get that leaves one,
   while the director sweeps; or a sweeper does, while the director puts or gets so. */
static void move_stopped(int who, int b)
{
    (void)b;
    make_queue(LARGE, 1, 0);
    int n = fill_two();
    if (who == GETTER || who == SWEEPER_OF_GOT)
        director_puts(1);
    take_two(n);
    kill_actor(spawn_marked(mark)); /* a reason to sweep */
    struct actor *v = spawn_victim(who == PUTTER ? putter : who == GETTER ? getter : sweeping);
    stop_here(v);
    if (who == SWEEPER_OF_PUT)
        director_puts(1);
    else if (who == SWEEPER_OF_GOT)
        director_gets(1);
    else
        cmp_sweep();
    release_actor(v);
    settle(NULL);
    account();
}

/* ---- shutting down -------------------------------------------------------------------------------- */

static bool at_once;

static void shutter(int id)
{
    ready();
    int rc = cmp_queue_shutdown(&q, at_once);
    if (rc != 0)
        violation("actor %d: shutdown: %d", id, rc);
}

static void await_shut(int id)
{
    ready();
    int rc = get_some(1, CMP_FOREVER);
    if (rc != -ESHUTDOWN)
        violation("actor %d: get says %d", id, rc);
}

static void await_shut_full(int id)
{
    ready();
    int rc = put_sized(STALE, size_of_messages, CMP_FOREVER);
    if (rc != -ESHUTDOWN)
        violation("actor %d: put says %d", id, rc);
}

static bool is_not_shut(void)
{
    return !cmp_queue_is_shut(&q);
}

/* b wait, for items or for room; whoever dies, either all are told, or it is not shut. */
static void shut_down(int full, int b)
{
    make_queue(SMALL, 1, 1);
    if (full)
        director_puts(1);
    struct actor *first = spawn_sleeper(full ? await_shut_full : await_shut);
    for (int i = 1; i < b; i++)
        spawn_sleeper(full ? await_shut_full : await_shut);
    if (b > 2) {
        /* The one in the seat becomes the last in the kernel's queue. */
        kill(first->pid, SIGSTOP);
        usleep(500);
        kill(first->pid, SIGCONT);
        await_sleep(first);
    }
    lead(spawn_victim(shutter));
    second_dies();
    settle(is_not_shut);
    cmp_queue_shutdown(&q, false);
    settle(NULL);
    account();
}

/* Items that lie in two segments are let go, by the victim or by the next who asks. */
static void shut_at_once(int a, int b)
{
    (void)a, (void)b;
    make_queue(LARGE, 1, 0);
    director_puts(N_FULL + 2);
    size_of_messages = BLOCK;
    director_puts(1);
    at_once = true;
    n_lost = N_FULL + 3;
    lead(spawn_victim(shutter));
    cmp_sweep();
    if (!cmp_queue_is_shut(&q))
        cmp_queue_shutdown(&q, true);
    int rc = get_some(1, CMP_FOREVER);
    if (rc != -ESHUTDOWN || cmp_queue_size(&q) != 0)
        violation("it is shut at once, and get says %d, size %d", rc, (int)cmp_queue_size(&q));
    account();
}

/* ---- done with ------------------------------------------------------------------------------------- */

static void doer(int id)
{
    ready();
    int rc = cmp_queue_task_done(&q);
    if (rc != 0)
        violation("actor %d: task_done: %d", id, rc);
}

static void joiner(int id)
{
    ready();
    int rc = cmp_queue_join(&q, &loss, CMP_FOREVER);
    if (rc != 0)
        violation("actor %d: join: %d", id, rc);
}

static void make_done_queue(void)
{
    make_queue(SMALL, 1, 0);
    while (cmp_queue_unfinished(&q) > 0)
        cmp_queue_task_done(&q);
    director_puts(1);
    director_gets(1);
}

static bool is_unfinished(void)
{
    return cmp_queue_unfinished(&q) > 0;
}

/* b join; the victim is done with the last item. */
static void be_done(int b, int unused)
{
    (void)unused;
    make_done_queue();
    n_lost = 1;
    spawn_sleepers(joiner, b);
    lead(spawn_victim(doer));
    second_dies();
    settle(is_unfinished);
    if (is_unfinished())
        cmp_queue_task_done(&q);
    settle(NULL);
    account();
}

/* The victim joins, first or last of b + 1. */
static void join(int last, int b)
{
    make_done_queue();
    if (last)
        spawn_sleepers(joiner, b);
    struct actor *v = spawn_victim(joiner);
    bool dead = lead(v);
    if (!last)
        spawn_sleepers(joiner, b);
    cmp_queue_task_done(&q);
    if (!dead)
        lead_on(v);
    second_dies();
    settle(NULL);
    account();
}

/* The victim gets two and is done with one, or has got one and is done with that; then it ends.  b join. */
static void consumer(int id)
{
    if (n_turns > 0)
        ready();
    int rc = get_some(1, 0);
    if (rc == 1 && n_turns > 0)
        rc = get_some(1, 0);
    if (n_turns == 0)
        ready();
    if (rc != 1 || cmp_queue_task_done(&q) != 0)
        violation("actor %d: get and done: %d", id, rc);
}

static void careful_joiner(int id)
{
    struct cmp_loss lost;
    int rc = cmp_queue_join(&q, &lost, CMP_FOREVER);
    uint32_t n = (uint32_t)cmp_queue_unfinished(&q);
    if (rc != 0 && rc != -EOWNERDEAD)
        violation("actor %d: join: %d", id, rc);
    if (rc == -EOWNERDEAD && (lost.count == 0 || lost.count > n || lost.pid != (int)load64_seqcst(&board->ref[8])))
        violation("actor %d: %d lost of %u, by %d", id, (int)lost.count, n, lost.pid);
}

static void consumer_dies(int both, int b)
{
    make_done_queue();
    cmp_queue_task_done(&q);
    director_puts(2);
    n_turns = (uint32_t)both;
    n_lost = 2;
    struct actor *v = spawn_victim(consumer);
    store64_seqcst(&board->ref[8], (uint64_t)v->pid);
    spawn_sleepers(careful_joiner, b);
    lead(v);
    kill_actor(v);
    while (cmp_queue_size(&q) > 0) {
        director_gets(1);
        cmp_queue_task_done(&q);
    }
    second_dies();
    settle(NULL);
    while (cmp_queue_unfinished(&q) > 0)
        cmp_queue_task_done(&q);
    if (cmp_queue_join(&q, &loss, 0) != 0)
        violation("all is done, and join waits");
    account();
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static void maker(int id)
{
    (void)id;
    cmp_ref ref;
    ready();
    if (cmp_queue_create(0, false, &ref) != 0 || cmp_queue_open(ref, &q) != 0) {
        violation("create failed");
        return;
    }
    for (uint32_t i = 0; i <= N_FULL; i++)
        if (put_sized(1, LARGE, 0) != 0)
            violation("put into a new one failed");
    cmp_object_drop(q.ref);
}

static void create(int a, int b)
{
    (void)a, (void)b;
    make_queue(SMALL, 1, 0);
    lead(spawn_victim(maker));
    cmp_sweep();
    account();
}

static const struct scenario list[] = {
    {"queue: put, nobody waits", put, SMALL, 0, 13, 0, 0},
    {"queue: put, 3 wait", put, SMALL, 3, 37, 1, 0},
    {"queue: put by a block, 1 waits", put, BLOCK, 1, 199, 0, 0},
    {"queue: put of a batch, nobody waits", put_batch, SMALL, 0, 23, 0, 0},
    {"queue: put of a batch, 2 wait", put_batch, SMALL, 2, 37, 0, 0},
    {"queue: put, full, first of 3", put_full, SMALL, 2, 61, 1, 0},
    {"queue: put, full, last of 3", put_full, SMALL | LAST, 2, 61, 1, 0},
    {"queue: put of a batch, full, first of 2", put_full, SMALL | MANY, 1, 71, 0, 0},
    {"queue: put, on to the next segment", put_on, 0, 0, 47, 0, 0},
    {"queue: put, on to the next segment, 2 get", put_on, 0, 2, 97, 0, 0},
    {"queue: put of a batch, on to the next segment", put_on, 1, 0, 97, 0, 0},
    {"queue: put, on to a smaller segment", put_back, 0, 0, 97, 0, 0},
    {"queue: get, nobody waits", get, SMALL, 0, 31, 0, 0},
    {"queue: get, full, 2 wait", get, SMALL, 2, 31, 1, 0},
    {"queue: get of a batch, nobody waits", get, SMALL | MANY, 0, 23, 0, 0},
    {"queue: get of a batch, full, 2 wait", get, SMALL | MANY, 2, 37, 0, 0},
    {"queue: get, on to the next segment", get_on, LARGE, 0, 61, 0, 0},
    {"queue: get of a batch, on to the next segment", get_on, LARGE, 1, 61, 0, 0},
    {"queue: get, up to the next segment", get_up_to, 0, 0, 61, 0, 0},
    {"queue: get of a batch, up to the next segment", get_up_to, 1, 0, 61, 0, 0},
    {"queue: get by a block, on to the next segment", get_on, BLOCK, 0, 197, 0, 0},
    {"queue: get, empty, first of 3", get_empty, SMALL, 2, 31, 1, 0},
    {"queue: get, empty, last of 3", get_empty, SMALL | LAST, 2, 47, 1, 0},
    {"queue: get of a batch, empty, first of 2", get_empty, SMALL | MANY, 1, 71, 0, 0},
    {"queue: put, on to the next segment, stopped while others sweep", move_stopped, PUTTER, 0, 47, 0, 0},
    {"queue: get, on to the next segment, stopped while others sweep", move_stopped, GETTER, 0, 31, 0, 0},
    {"queue: sweep, stopped while another puts", move_stopped, SWEEPER_OF_PUT, 0, 97, 0, 0},
    {"queue: sweep, stopped while another gets", move_stopped, SWEEPER_OF_GOT, 0, 97, 0, 0},
    {"queue: shut down, 2 wait for items", shut_down, 0, 2, 7, 1, 0},
    {"queue: shut down, 2 wait for room", shut_down, 1, 2, 7, 1, 0},
    {"queue: shut down, 3 wait, the seat last", shut_down, 0, 3, 7, 0, 0},
    {"queue: shut down at once, two segments", shut_at_once, 0, 0, 97, 0, 0},
    {"queue: done, 3 join", be_done, 3, 0, 3, 1, 0},
    {"queue: join, first of 3", join, 0, 2, 11, 1, 0},
    {"queue: join, last of 3", join, 1, 2, 11, 1, 0},
    {"queue: get and done, 2 join, its items are lost", consumer_dies, 1, 2, 71, 0, 0},
    {"queue: done with one of one, 2 join", consumer_dies, 0, 2, 17, 0, 0},
    {"queue: create, on to the next segment, drop", create, 0, 0, 397, 0, 0},
};
SCENARIOS(list)
