/* ring.c -- rings: put, get, wait, peek, poll, blocks and objects that travel.

   Every message has a number, and contents that follow from it.  What a trial asks is: was each
   message that was put got once, whole, in its producer's order, but for the one that a killed
   getter was taking; does everybody wake who has a reason to.  The bytes of the ring are
   those of older messages at first, so that a record that was not written, or in part, shows.  */
#include <sched.h>
#include "../../src/core/block.h"
#include "../../src/core/wait.h"
#include "rings.h"

#define PER_ACTOR 4u
#define OF_DIRECTOR 40u /* the first number of the director's */
#define STALE 1000u     /* numbers of messages that are gone */

struct cmp_channel_end a_end, b_end;
uint32_t n_turns;
int n_killed_getters;
static uint32_t size_of_messages, next_of_director;
static size_t own_block; /* bytes of the block that who puts makes; 0: none */

/* board->ref[0]: numbers that were got; [1]: whose put has begun; [2]: has returned. */
enum { GOT, BEGUN, PUT };

/* ---- messages ------------------------------------------------------------------------- */

static unsigned char byte_of(uint32_t number, size_t i)
{
    return (unsigned char)(number * 37 + i * 11 + (i >> 8) + 1);
}

static void fill(unsigned char *bytes, uint32_t number, size_t n)
{
    for (size_t i = 4; i < n; i++)
        bytes[i] = byte_of(number, i);
    memcpy(bytes, &number, 4);
}

/* The record is as long as if it had the bytes itself. */
static int put_own(struct cmp_channel_end *e, uint32_t number, size_t n, int64_t deadline_ns)
{
    static const char padding[CAP / 4];
    uint64_t bytes = own_block;
    void *cell, *data;
    cmp_ref block;
    int rc = cmp_block_create(own_block, false, &block, &cell, &data);
    if (rc < 0)
        return rc;
    fill(data, number, n);
    struct cmp_part parts[] = {{&bytes, sizeof bytes}, {padding, n - 2 * sizeof bytes}};
    struct cmp_outgoing m = {.parts = parts, .n_parts = 2, .refs = &block, .n_refs = 1};
    rc = cmp_channel_put(e, &m, deadline_ns);
    if (rc < 0)
        cmp_object_drop(block);
    return rc;
}

int put_sized(struct cmp_channel_end *e, uint32_t number, size_t n, int64_t deadline_ns)
{
    if (own_block > 0)
        return put_own(e, number, n, deadline_ns);
    static unsigned char bytes[BLOCK];
    fill(bytes, number, n);
    struct cmp_part parts[] = {{bytes, 10}, {bytes + 10, n - 10}};
    struct cmp_outgoing m = {.parts = parts, .n_parts = 2};
    return cmp_channel_put(e, &m, deadline_ns);
}

static void note(int list, uint32_t number)
{
    or64_seqcst(&board->ref[list], UINT64_C(1) << number);
}

static void put_number(uint32_t number, int64_t deadline_ns)
{
    note(BEGUN, number);
    int rc = put_sized(&a_end, number, size_of_messages, deadline_ns);
    if (rc == 0)
        note(PUT, number);
    else if (rc != -ETIMEDOUT || deadline_ns == CMP_FOREVER)
        violation("put of %u: %d", number, rc);
}

/* Whose number it is; the last one of each producer that this process has got. */
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

/* As in src/python/parcel.c. */
static int open_own(struct cmp_incoming *m)
{
    uint64_t bytes;
    void *data;
    memcpy(&bytes, m->data, sizeof bytes);
    if (m->n_refs != 1 || bytes != own_block || cmp_block_take(m->refs[0], bytes, &data) < 0)
        return -EUCLEAN;
    cmp_object_drop(m->refs[0]);
    m->data = data;
    m->bytes = size_of_messages;
    return 0;
}

int get_one(int64_t deadline_ns)
{
    static char buffer[CAP / 4];
    struct cmp_incoming m;
    int rc = cmp_ring_get(&b_end.in, buffer, &m, deadline_ns);
    if (rc == 0 && own_block > 0)
        rc = open_own(&m);
    if (rc < 0)
        return rc;
    check_message(&m);
    cmp_incoming_drop(&m);
    return 0;
}

/* ---- roles ----------------------------------------------------------------------------- */

static void getter(int id)
{
    ready();
    for (uint32_t i = 0; i < n_turns; i++) {
        int rc = get_one(CMP_FOREVER);
        if (rc != 0)
            violation("actor %d: get: %d", id, rc);
    }
    store_seqcst(&board->result[id], 1);
}

static void putter(int id)
{
    ready();
    for (uint32_t i = 0; i < n_turns; i++)
        put_number((uint32_t)id * PER_ACTOR + i, CMP_FOREVER);
    store_seqcst(&board->result[id], 1);
}

static void impatient_getter(int id)
{
    (void)id;
    ready();
    int rc = get_one(cmp_now_ns() + 15 * MS);
    if (rc != 0 && rc != -ETIMEDOUT)
        violation("actor %d: get: %d", id, rc);
}

static void impatient_putter(int id)
{
    ready();
    put_number((uint32_t)id * PER_ACTOR, cmp_now_ns() + 15 * MS);
}

static void poller(int id)
{
    uint64_t bytes;
    ready();
    int rc = cmp_ring_wait(&b_end.in, CMP_FOREVER);
    if (rc == 0)
        rc = cmp_ring_peek(&b_end.in, &bytes, 0);
    if (rc != 0 && rc != -ETIMEDOUT)
        violation("actor %d: wait: %d", id, rc);
    else if (rc == 0 && bytes != size_of_messages)
        violation("actor %d: the next one has %d bytes", id, (int)bytes);
}

/* ---- the director ------------------------------------------------------------------------ */

static void open_ends(cmp_ref ends[2])
{
    int rc = cmp_channel_create(true, CAP, ends);
    if (rc == 0)
        rc = cmp_channel_open(ends[0], &a_end);
    if (rc == 0)
        rc = cmp_channel_open(ends[1], &b_end);
    if (rc < 0) {
        violation("there is no channel: %d", rc);
        exit(1);
    }
    show_on_failure("puts", &b_end.in.ring->put, sizeof(struct cmp_side));
    show_on_failure("gets", &b_end.in.ring->get, sizeof(struct cmp_side));
}

/* Once round, and on to a place where the next record but one needs a PAD. */
static void wear(void)
{
    uint32_t n = size_of_messages < SMALL || size_of_messages > LARGE ? SMALL : size_of_messages;
    char buffer[CAP / 4];
    struct cmp_incoming m;
    uint64_t end = 2 * CAP - (n < 400 ? 8 : 0);
    for (uint32_t i = 0; load64_seqcst(&b_end.in.ring->put.at) + n + 8 <= end; i++)
        if (put_sized(&a_end, STALE + i, n, 0) != 0 || cmp_ring_get(&b_end.in, buffer, &m, 0) != 0)
            violation("the ring is not worn");
}

void make_ring(int how, uint32_t turns)
{
    cmp_ref ends[2];
    size_of_messages = how & SIZE;
    n_turns = turns;
    open_ends(ends);
    wear();
    own_block = how & OWN ? 5000 : how & OWN_BIG ? CMP_BLOCK_SMALL_MAX + 5000 : 0;
}

void director_puts(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int64_t until = cmp_now_ns() + hang_limit_ms() * MS;
        uint32_t number = OF_DIRECTOR + next_of_director++;
        put_number(number, until);
        if (!(load64_seqcst(&board->ref[PUT]) >> number & 1))
            hang("the director cannot put");
    }
}

void director_gets(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int rc = get_one(cmp_now_ns() + hang_limit_ms() * MS);
        if (rc != 0)
            hang("the director cannot get: %d", rc);
    }
}

bool is_empty(void)
{
    return cmp_ring_fill(b_end.in.ring) == 0;
}

static int count_bits(uint64_t bits)
{
    return __builtin_popcountll(bits);
}

/* Take out what is left, then go through the books. */
void account(void)
{
    int rc;
    while ((rc = get_one(0)) == 0)
        ;
    if (rc != -ETIMEDOUT)
        violation("at the end, get says %d", rc);
    uint64_t got = load64_seqcst(&board->ref[GOT]), begun = load64_seqcst(&board->ref[BEGUN]);
    uint64_t put = load64_seqcst(&board->ref[PUT]);
    if (got & ~begun)
        violation("messages %llx were got, and never put", (unsigned long long)(got & ~begun));
    int lost = count_bits(put & ~got);
    if (lost > n_killed_getters)
        violation("%d messages are lost: %llx", lost, (unsigned long long)(put & ~got));
}

/* Whoever comes later has a ring that works. */
void use(void)
{
    director_puts(2);
    director_gets(2);
}

/* ---- put ------------------------------------------------------------------------------------- */

/* The victim puts, b sleep; what it has put arrives. */
static void put(int how, int b)
{
    make_ring(how, 1);
    spawn_sleepers(getter, b);
    n_turns = 2;
    n_killed_getters = second_dies_too();
    lead(spawn_victim(putter));
    n_turns = 1;
    second_dies();
    settle(is_empty);
    if (b > 0)
        director_puts((uint32_t)b);
    settle(NULL);
    account();
    use();
}

/* The ring is full; the victim waits there, first or last of b + 1. */
static void put_full(int how, int b)
{
    uint32_t bytes = how & SIZE;
    make_ring(how, 1);
    uint32_t n = 0;
    size_of_messages = LARGE;
    for (; !is_empty() ? cmp_ring_fill(b_end.in.ring) < CAP : true; n++)
        director_puts(1);
    size_of_messages = bytes;
    if (how & LAST)
        spawn_sleepers(putter, b);
    struct actor *v = spawn_victim(putter);
    bool dead = lead(v);
    if (!(how & LAST))
        spawn_sleepers(putter, b);
    size_of_messages = LARGE;
    director_gets(n);
    size_of_messages = bytes;
    if (!dead)
        lead_on(v);
    second_dies();
    settle(NULL);
    account();
    use();
}

static void patient_putter(int id)
{
    ready();
    put_number((uint32_t)id * PER_ACTOR, CMP_FOREVER);
    int rc = cmp_ring_wait_got(&a_end.out, cmp_ring_end(&a_end.out), CMP_FOREVER);
    if (rc != 0)
        violation("actor %d: wait_got: %d", id, rc);
    store_seqcst(&board->result[id], 1);
}

static void director_empties(void)
{
    while (!is_empty())
        director_gets(1);
}

static void late_patient_putter(int id)
{
    put_number((uint32_t)id * PER_ACTOR, CMP_FOREVER);
    uint64_t end = cmp_ring_end(&a_end.out);
    mark(id);
    await_order(id);
    int rc = cmp_ring_wait_got(&a_end.out, end, CMP_FOREVER);
    if (rc != 0)
        violation("actor %d: wait_got: %d", id, rc);
    store_seqcst(&board->result[id], 1);
}

/* The victim, in the seat, waits for more than the one does who follows.  */
static void wait_for_more(int a, int b)
{
    (void)a, (void)b;
    make_ring(SMALL, 1);
    struct actor *less = spawn_marked(late_patient_putter), *v = spawn_victim(patient_putter);
    bool dead = lead(v);
    give_order(less, 1);
    await_sleep(less);
    director_gets(1);
    if (!dead)
        lead_on_or_leave_asleep(v);
    settle(NULL);
    account();
    use();
}

/* The victim waits until its message was got, as b others do.  */
static void wait_got(int last, int b)
{
    make_ring(SMALL, 1);
    if (last)
        spawn_sleepers(patient_putter, b);
    struct actor *v = spawn_victim(patient_putter);
    bool dead = lead(v);
    if (!last)
        spawn_sleepers(patient_putter, b);
    director_empties();
    if (!dead)
        lead_on(v);
    second_dies();
    director_empties();
    settle(NULL);
    account();
    use();
}

/* ---- get ------------------------------------------------------------------------------------- */

/* Messages are there, or the ring is full and b putters sleep; the victim gets two. */
static void get(int how, int b)
{
    make_ring(how, 2);
    n_killed_getters = 1;
    director_puts(b > 0 ? N_FULL : 3);
    n_turns = 1;
    spawn_sleepers(putter, b);
    n_turns = 2;
    lead(spawn_victim(getter));
    second_dies();
    if (b > 0)
        director_gets(N_FULL - 2); /* room for all, whatever the victim has done */
    settle(NULL);
    account();
    use();
}

/* The ring is empty; the victim waits there, first or last of b + 1; then b + 1 come. */
static void get_empty(int how, int b)
{
    make_ring(how, 1);
    n_killed_getters = 1 + second_dies_too();
    if (how & LAST)
        spawn_sleepers(getter, b);
    struct actor *v = spawn_victim(getter);
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
    use();
}

/* The victim gives up; others are served. */
enum { GETS, PUTS };
static void time_out(int how, int b)
{
    int put = how & PUTS;
    make_ring(LARGE | (how & ~PUTS), 1);
    n_killed_getters = 1;
    if (put)
        director_puts(N_FULL);
    struct actor *v = spawn_victim(put ? impatient_putter : impatient_getter);
    bool dead = lead(v);
    spawn_sleepers(put ? putter : getter, b);
    if (!dead)
        lead_on(v);
    if (put)
        director_gets(N_FULL);
    else
        director_puts((uint32_t)b + 1);
    settle(NULL);
    account();
    use();
}

/* ---- wait and peek --------------------------------------------------------------------------- */

/* The victim only looks: one message comes, and one of b gets it. */
static void look(int first, int b)
{
    make_ring(SMALL, 1);
    n_killed_getters = second_dies_too();
    if (!first)
        spawn_sleepers(getter, b);
    struct actor *v = spawn_victim(poller);
    bool dead = lead(v);
    if (first)
        spawn_sleepers(getter, b);
    for (int i = 0; i < b; i++)
        director_puts(1);
    if (!dead)
        lead_on_or_leave_asleep(v);
    second_dies();
    settle(is_empty);
    director_puts((uint32_t)b);
    settle(NULL);
    account();
    use();
}

/* ---- one about to sleep, the other at work ------------------------------------------------------ */

/* Stands between its last look and its sleep, until it is told. */
int stand(void)
{
    mark(my_actor());
    await_order(my_actor());
    return 0;
}

static void standing_getter(int id)
{
    cmp_wait_look(stand);
    getter(id);
}

static void standing_putter(int id)
{
    cmp_wait_look(stand);
    putter(id);
}

static bool is_full(void)
{
    return cmp_ring_fill(b_end.in.ring) == CAP;
}

/* In the seat, or behind another in it, a getter is about to sleep; the victim puts. */
static void put_before_sleep(int behind, int b)
{
    (void)b;
    make_ring(SMALL, 1);
    n_killed_getters = behind;
    struct actor *first = behind ? spawn(getter) : NULL;
    if (behind)
        await_sleep(first);
    struct actor *s = spawn_marked(standing_getter);
    lead(spawn_victim(putter));
    if (behind)
        kill_actor(first);
    give_order(s, 1);
    settle(is_empty);
    director_puts(1);
    settle(NULL);
    account();
    use();
}

/* The victim stands at each point up to its sleep in the seat, and a message comes. */
static void put_before_sitting(int a, int b)
{
    (void)a, (void)b;
    make_ring(SMALL, 1);
    struct actor *v = spawn_victim(getter);
    stop_here(v);
    director_puts(1);
    release_actor(v);
    settle(NULL);
    account();
    use();
}

/* ... a putter; the victim gets. */
static void get_before_sleep(int a, int b)
{
    (void)a, (void)b;
    make_ring(LARGE, 1);
    n_killed_getters = 1;
    director_puts(N_FULL);
    struct actor *s = spawn_marked(standing_putter);
    lead(spawn_victim(getter));
    give_order(s, 1);
    settle(is_full);
    director_gets(1);
    settle(NULL);
    account();
    use();
}

/* The one in the seat was woken, and is killed before it runs; so is, at each point, the
   follower whom that wakes. */
static void relay(int a, int b)
{
    struct sched_param none = {0};
    (void)a, (void)b;
    make_ring(SMALL, 1);
    n_killed_getters = 2;
    struct actor *first = spawn(getter);
    await_sleep(first);
    sched_setscheduler(first->pid, SCHED_IDLE, &none);
    struct actor *v = spawn_victim(getter);
    bool dead = lead(v);
    struct actor *last = spawn(getter);
    await_sleep(last);
    director_puts(1);
    kill_actor(first);
    if (is_empty())
        director_puts(2); /* it was quicker; both are woken if it dies leaving the seat */
    if (!dead)
        lead_on(v);
    settle(is_empty);
    director_puts(2);
    settle(NULL);
    account();
    use();
}

/* ---- stopped in the seat ------------------------------------------------------------------------ */

static struct actor *spawn_stopped(void)
{
    struct actor *s = spawn(getter);
    await_sleep(s);
    kill(s->pid, SIGSTOP);
    usleep(500);
    s->bystander = true;
    return s;
}

static void wake_stopped(struct actor *s)
{
    kill(s->pid, SIGCONT);
    s->bystander = false;
    director_puts(1);
    settle(NULL);
}

/* One stands stopped in the seat, b follow: each is served at once, without a slice. */
static void stopped(int b, int unused)
{
    (void)unused;
    make_ring(SMALL, 1);
    struct actor *s = spawn_stopped();
    for (int i = 0; i < b; i++)
        await_sleep(spawn(getter));
    for (int i = 0; i < b; i++) {
        director_puts(1);
        settle(is_empty);
    }
    settle(NULL);
    wake_stopped(s);
    account();
    use();
    victim_ended();
}

/* ... a message comes while one is about to follow, whose turn it is: the seat tells nothing. */
static void put_before_following(int a, int b)
{
    (void)a, (void)b;
    make_ring(SMALL, 1);
    struct actor *s = spawn_stopped();
    struct actor *v = spawn_victim(getter);
    stop_here(v);
    director_puts(1);
    release_actor(v);
    settle(NULL);
    wake_stopped(s);
    account();
    use();
}

/* ... and who puts is killed: then it may take one. */
static void stopped_and_killed(int turns, int b)
{
    make_ring(SMALL, 1);
    struct actor *s = spawn_stopped();
    spawn_sleepers(getter, b);
    n_turns = (uint32_t)turns;
    lead(spawn_victim(putter));
    director_puts((uint32_t)b);
    settle(NULL);
    wake_stopped(s);
    account();
    use();
}

/* ... and the follower who is woken for him. */
static void behind_stopped(int a, int b)
{
    (void)a, (void)b;
    make_ring(SMALL, 1);
    n_killed_getters = 1;
    struct actor *s = spawn_stopped();
    struct actor *v = spawn_victim(getter);
    bool dead = lead(v);
    spawn_sleeper(getter);
    director_puts(1);
    if (!dead)
        lead_on(v);
    settle(is_empty);
    director_puts(1);
    settle(NULL);
    wake_stopped(s);
    account();
    use();
}

/* ---- the bell ------------------------------------------------------------------------------------- */

enum { BYTES = 3 }; /* board->count: what could be read from the descriptor */

static void strike(void *arg)
{
    (void)arg;
    add_seqcst(&board->count[BYTES], 1);
}

static int count_bytes(void *arg)
{
    (void)arg;
    return (int)load_seqcst(&board->count[BYTES]);
}

static void take_bytes(void *arg, int n)
{
    (void)arg;
    add_seqcst(&board->count[BYTES], -(uint32_t)n);
}

static const struct cmp_bell bell = {NULL, strike, count_bytes, take_bytes};

static void asker(int id)
{
    ready();
    if (cmp_ring_poll(&b_end.in) != 0)
        violation("actor %d: poll failed", id);
}

/* Whatever the victim has left: the next message shows, and with the last one the sign goes. */
static void ring_bell(int how, int n)
{
    make_ring(SMALL, 2);
    n_killed_getters = 1;
    a_end.out.bell = b_end.in.bell = &bell;
    strike(NULL);
    if (how != 2 && cmp_ring_poll(&b_end.in) != 0)
        violation("poll failed");
    director_puts((uint32_t)n);
    struct actor *v = spawn_victim(how == 0 ? putter : how == 1 ? getter : asker);
    lead(v);
    kill_actor(v);
    if (how == 2 && cmp_ring_poll(&b_end.in) != 0)
        violation("poll failed after another's");
    if (how != 0 && !is_empty() && count_bytes(NULL) == 0)
        violation("a message is there, and nothing shows it");
    director_puts(1);
    if (count_bytes(NULL) == 0)
        violation("a message came, and nothing shows it");
    account();
    if (count_bytes(NULL) != 0)
        violation("nothing is there, and %d bytes are", count_bytes(NULL));
    use();
}

/* ---- several at one side -------------------------------------------------------------------------- */

enum { PUTTER, GETTER, POLLER, ASKER };

/* The victim stands still at its point, with one or both locks perhaps, while b more come; then
   it is killed.  */
static void contend(int who, int b)
{
    static role *const roles[] = {putter, getter, poller, asker};
    make_ring(SMALL, 1);
    n_killed_getters = 1;
    if (who == ASKER) {
        a_end.out.bell = b_end.in.bell = &bell;
        strike(NULL);
    }
    director_puts((uint32_t)b + 2);
    struct actor *v = spawn_victim(roles[who]);
    stop_here(v);
    spawn_sleepers(who == PUTTER ? putter : getter, b);
    if (who == ASKER)
        spawn_sleepers(putter, 1);
    lead(v);
    settle(NULL);
    account();
    use();
}

/* ---- objects that travel -------------------------------------------------------------------------- */

static cmp_ref make_event(uint32_t signature)
{
    cmp_ref ref;
    uint32_t *cell = make(CMP_TYPE_EVENT, 64, &ref);
    memset(cell, 0, 64);
    cell[0] = signature * 2;
    return ref;
}

/* One object in a record, kept by the putter too if `keep`. */
static void send_object(bool keep, int64_t deadline_ns)
{
    cmp_ref ref = load64_seqcst(&board->ref[8]);
    struct cmp_outgoing m = {.refs = &ref, .n_refs = 1};
    if (ref == 0)
        ref = make_event(5);
    if (keep)
        cmp_object_hold(ref);
    int rc = cmp_channel_put(&a_end, &m, deadline_ns);
    if (rc != 0)
        violation("put of an object: %d", rc);
}

static void sender(int id)
{
    (void)id;
    ready();
    send_object(false, CMP_FOREVER);
}

static bool receive_object(void)
{
    char buffer[CAP / 4];
    struct cmp_incoming m;
    void *cell;
    int rc = cmp_ring_get(&b_end.in, buffer, &m, 0);
    if (rc == -ETIMEDOUT)
        return false;
    if (rc < 0 || m.n_refs != 1) {
        violation("get of an object: %d", rc);
        return true;
    }
    rc = cmp_object_take(m.refs[0], CMP_TYPE_EVENT, &cell);
    if (rc < 0 || *(uint32_t *)cell != 10)
        violation("an object came that is not the one that was put: %d", rc);
    cmp_object_drop(m.refs[0]);
    cmp_incoming_drop(&m);
    return true;
}

static void receiver(int id)
{
    await_order(id);
    ready();
    receive_object();
}

/* Made by the sender, who knows it alone; or the director's. */
static void send_killed(int of_director, int b)
{
    (void)b;
    make_ring(SMALL, 1);
    if (of_director)
        store64_seqcst(&board->ref[8], make_event(5));
    struct actor *v = spawn_victim(sender);
    if (of_director)
        cmp_object_drop(load64_seqcst(&board->ref[8])); /* the victim inherited it */
    lead(v);
    kill_actor(v);
    cmp_sweep();
    bool came = receive_object();
    if (!came && victim_has_ended())
        violation("an object was put, and did not come");
    cmp_sweep();
    use();
}

/* The director sends, the victim receives, the next one does if it could not. */
static void receive_killed(int keeps, int b)
{
    (void)b;
    void *cell;
    make_ring(SMALL, 1);
    struct actor *v = spawn_victim_later(receiver); /* it inherits no hold */
    cmp_ref ref = make_event(5);
    store64_seqcst(&board->ref[8], ref);
    send_object(keeps, 0);
    give_order(v, 1);
    stand_ready(v);
    lead(v);
    kill_actor(v);
    cmp_sweep();
    receive_object();
    cmp_sweep();
    if (keeps && cmp_object_take(ref, CMP_TYPE_EVENT, &cell) != 0)
        violation("an object that was sent and kept is gone");
    if (keeps && is_living(ref)) {
        cmp_object_drop(ref);
        cmp_object_drop(ref);
    }
    use();
}

/* One stands at each point of put, or of get, while others sweep; or a sweeper does, while an
   object goes by the ring. */
enum { SENDER, RECEIVER, SWEEPER, SWEEPER_OF_GOT };
static void sweeping(int id)
{
    (void)id;
    ready();
    cmp_sweep();
}

static void get_and_keep(cmp_ref ref)
{
    char buffer[CAP / 4];
    struct cmp_incoming m;
    if (cmp_ring_get(&b_end.in, buffer, &m, 0) != 0 || m.n_refs != 1 || m.refs[0] != ref)
        violation("another object came than was put");
}

static void drop_kept(cmp_ref ref)
{
    if (!is_living(ref))
        violation("an object was freed that the director has got");
    cmp_object_drop(ref);
}

static role *const movers[] = {sender, receiver, sweeping, sweeping};

static void move_stopped(int who, int b)
{
    (void)b;
    make_ring(SMALL, 1);
    struct actor *v = spawn_victim_later(movers[who]);
    cmp_ref ref = who == SENDER ? 0 : make_event(5);
    store64_seqcst(&board->ref[8], ref);
    kill_actor(spawn_marked(mark)); /* a reason to sweep */
    if (who == RECEIVER || who == SWEEPER_OF_GOT)
        send_object(false, 0);
    give_order(v, 1);
    stand_ready(v);
    stop_here(v);
    if (who == SWEEPER_OF_GOT)
        get_and_keep(ref);
    else if (who == SWEEPER)
        send_object(false, 0);
    else
        cmp_sweep();
    release_actor(v);
    settle(NULL);
    if (who == SWEEPER_OF_GOT)
        drop_kept(ref);
    else if (who != RECEIVER && !receive_object())
        violation("an object that was put did not come");
    use();
}

static const struct scenario list[] = {
    {"ring: put, nobody waits", put, SMALL, 0, 11, 0, 0},
    {"ring: put, 1 waits", put, SMALL, 1, 7, 1, 0},
    {"ring: put, 3 wait", put, LARGE, 3, 15, 1, 0},
    {"ring: put by a block, nobody waits", put, BLOCK, 0, 119, 0, 0},
    {"ring: put by a block, 1 waits", put, BLOCK, 1, 127, 0, 0},
    {"ring: put, full, first of 3", put_full, LARGE, 2, 31, 1, 0},
    {"ring: put, full, last of 3", put_full, LARGE | LAST, 2, 31, 1, 0},
    {"ring: put and wait until it was got, first of 3", wait_got, 0, 2, 31, 1, 0},
    {"ring: put and wait until it was got, last of 3", wait_got, 1, 2, 31, 1, 0},
    {"ring: wait in the seat for more than who follows", wait_for_more, 0, 0, 31, 0, 0},
    {"ring: get, nobody waits", get, SMALL, 0, 23, 0, 0},
    {"ring: get, full, 1 waits", get, LARGE, 1, 7, 1, 0},
    {"ring: get, full, 2 wait", get, LARGE, 2, 15, 1, 0},
    {"ring: get by a block", get, BLOCK, 0, 55, 0, 0},
    {"ring: get, empty, first of 3", get_empty, SMALL, 2, 11, 1, 0},
    {"ring: get, empty, last of 3", get_empty, SMALL | LAST, 2, 23, 1, 0},
    {"ring: get by a block, empty, first of 2", get_empty, BLOCK, 1, 71, 0, 0},
    {"ring: get by a block, empty, last of 2", get_empty, BLOCK | LAST, 1, 71, 0, 0},
    {"ring: get, empty, times out, 1 waits", time_out, GETS, 1, 55, 0, 0},
    {"ring: put, full, times out, 1 waits", time_out, PUTS, 1, 55, 0, 0},
    {"ring: put of an own block, full, times out, 1 waits", time_out, PUTS | OWN, 1, 119, 0, 0},
    {"ring: put of an own block, nobody waits", put, SMALL | OWN, 0, 119, 0, 0},
    {"ring: put of an own block, 1 waits", put, SMALL | OWN, 1, 127, 0, 0},
    {"ring: put of an own big block, 1 waits", put, SMALL | OWN_BIG, 1, 247, 0, 0},
    {"ring: put of an own block, full, first of 2", put_full, LARGE | OWN, 1, 127, 0, 0},
    {"ring: get of an own block, nobody waits", get, SMALL | OWN, 0, 55, 0, 0},
    {"ring: get of an own big block, nobody waits", get, SMALL | OWN_BIG, 0, 71, 0, 0},
    {"ring: get of an own block, full, 1 waits", get, LARGE | OWN, 1, 55, 0, 0},
    {"ring: get of an own block, empty, first of 3", get_empty, SMALL | OWN, 2, 71, 0, 0},
    {"ring: wait and peek, first of 2", look, 1, 1, 31, 1, 0},
    {"ring: wait and peek, last of 3", look, 0, 2, 31, 0, 0},
    {"ring: put, one is about to sleep in the seat", put_before_sleep, 0, 0, 3, 0, 0},
    {"ring: put, one is about to follow, the seat is killed", put_before_sleep, 1, 0, 3, 0, 0},
    {"ring: get, stopped before it sleeps in the seat, one puts", put_before_sitting, 0, 0, 3, 0, 0},
    {"ring: get, full, one is about to sleep in the seat", get_before_sleep, 0, 0, 3, 0, 0},
    {"ring: one woken in the seat is killed, then who follows", relay, 0, 0, 15, 0, 0},
    {"ring: one stopped in the seat, 3 follow, each is served", stopped, 3, 0, 1, 0, OWN_WAY},
    {"ring: one stopped in the seat, put, one is about to follow", put_before_following, 0, 0, 3, 0, 0},
    {"ring: put, one stopped in the seat, 2 follow (slices)", stopped_and_killed, 2, 2, 35, 0, SLICES},
    {"ring: get behind one stopped in the seat (slices)", behind_stopped, 0, 0, 41, 0, SLICES},
    {"ring: put of an object, its maker killed", send_killed, 0, 0, 47, 0, 0},
    {"ring: put of an object that others knew", send_killed, 1, 0, 23, 0, 0},
    {"ring: get of an object", receive_killed, 0, 0, 23, 0, 0},
    {"ring: get of an object that is kept, too", receive_killed, 1, 0, 15, 0, 0},
    {"ring: put of an object, stopped while others sweep", move_stopped, SENDER, 0, 47, 0, 0},
    {"ring: get of an object, stopped while others sweep", move_stopped, RECEIVER, 0, 15, 0, 0},
    {"ring: sweep, stopped while an object is put", move_stopped, SWEEPER, 0, 63, 0, 0},
    {"ring: sweep, stopped while an object is got", move_stopped, SWEEPER_OF_GOT, 0, 31, 0, 0},
    {"ring: put, stopped, 3 more put, then it is killed", contend, PUTTER, 3, 11, 0, 0},
    {"ring: get, stopped, 3 more get, then it is killed", contend, GETTER, 3, 15, 0, 0},
    {"ring: wait and peek, stopped, 3 get, then it is killed", contend, POLLER, 3, 15, 0, 0},
    {"ring: poll, stopped, 3 get and 1 puts, then it is killed", contend, ASKER, 3, 15, 0, 0},
    {"ring: put, polled", ring_bell, 0, 0, 31, 0, 0},
    {"ring: get, polled", ring_bell, 1, 2, 31, 0, 0},
    {"ring: poll, empty", ring_bell, 2, 0, 15, 0, 0},
    {"ring: poll, not empty", ring_bell, 2, 1, 15, 0, 0},
};
SCENARIOS(list)
