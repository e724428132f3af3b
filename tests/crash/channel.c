/* channel.c -- the ends of a channel: closed, left by the dead, put into another one, made.

   What a trial asks is: does everybody who waits learn that nobody has the other end, and nobody
   who waits for one that is there; is nothing touched that has become another's.  */
#include "../../src/core/wait.h"
#include "rings.h"

/* ---- the end of the other end ------------------------------------------------------------------------ */

static void closer(int id)
{
    (void)id;
    cmp_channel_close(&b_end); /* the getters have that */
    ready();
    cmp_channel_close(&a_end);
}

static void get_until_end(int id)
{
    int rc = get_one(CMP_FOREVER);
    if (rc == 0)
        rc = get_one(CMP_FOREVER);
    if (rc != -EPIPE)
        violation("actor %d: at the end, get says %d", id, rc);
}

static void await_end(int id)
{
    cmp_channel_close(&a_end);
    ready();
    get_until_end(id);
}

static void await_end_full(int id)
{
    cmp_channel_close(&b_end);
    ready();
    int rc = put_sized(&a_end, 1, LARGE, CMP_FOREVER);
    if (rc != -EPIPE)
        violation("actor %d: at the end, put says %d", id, rc);
}

static void other_closer(int id)
{
    (void)id;
    cmp_channel_close(&a_end);
    ready();
    cmp_channel_close(&b_end);
}

/* The victim has the last one of the other ends, and closes it, or dies on the way. */
static void close_last(int b, int full)
{
    make_ring(full ? LARGE : SMALL, 1);
    if (full)
        director_puts(N_FULL);
    for (int i = 0; i < b; i++)
        spawn_sleeper(full ? await_end_full : await_end);
    struct actor *v = spawn_victim_later(full ? other_closer : closer);
    cmp_channel_close(&a_end);
    cmp_channel_close(&b_end);
    stand_ready(v);
    lead(v);
    second_dies();
    settle(NULL);
}

/* Two have one of the last other ends each: the victim stands where it closes its own, the other
   one closes the last but that. */
static void ordered_closer(int id)
{
    cmp_channel_close(&b_end);
    mark(id);
    await_order(id);
    cmp_channel_close(&a_end);
}

static void close_both(int a, int b)
{
    (void)a;
    make_ring(SMALL, 1);
    for (int i = 0; i < b; i++)
        spawn_sleeper(await_end);
    struct actor *v = spawn_victim_later(closer), *other = spawn_marked(ordered_closer);
    cmp_channel_close(&a_end);
    cmp_channel_close(&b_end);
    stand_ready(v);
    stop_here(v);
    give_order(other, 1);
    while (!is_finished(other))
        usleep(20);
    lead(v);
    settle(NULL);
}

/* ---- nobody has the other end -------------------------------------------------------------------- */

static void poll_at_end(int id)
{
    cmp_channel_close(&a_end);
    ready();
    int rc = cmp_ring_wait(&b_end.in, CMP_FOREVER);
    if (rc != 0)
        violation("actor %d: a message is there, and wait says %d", id, rc);
}

static void poll_until_end(int id)
{
    cmp_channel_close(&a_end);
    ready();
    int rc = cmp_ring_wait(&b_end.in, CMP_FOREVER);
    if (rc != -EPIPE)
        violation("actor %d: at the end, wait says %d", id, rc);
}

static void put_at_end(int id)
{
    cmp_channel_close(&b_end);
    ready();
    int rc = put_sized(&a_end, 1, SMALL, CMP_FOREVER);
    if (rc != -EPIPE)
        violation("actor %d: at the end, put says %d", id, rc);
}

/* All other ends are closed before the victim begins; one message is there. */
enum { GETS, PUTS, POLLS, CLOSES };
static void at_end(int who, int how)
{
    static role *const roles[] = {await_end, put_at_end, poll_at_end, closer};
    make_ring(SMALL | how, 1);
    director_puts(1);
    struct actor *v = spawn_victim_later(roles[who]);
    cmp_channel_close(&a_end);
    cmp_channel_close(&b_end);
    stand_ready(v);
    lead(v);
    settle(NULL);
}

/* ---- the last holder is killed --------------------------------------------------------------------- */

static void holder(int id)
{
    cmp_channel_close(&b_end);
    mark(id);
    await_order(id);
}

static void other_holder(int id)
{
    cmp_channel_close(&a_end);
    mark(id);
    await_order(id);
}

static struct actor *waiting[2];

static void spawn_waiting(role *fn, int b)
{
    for (int i = 0; i < b; i++)
        waiting[i] = spawn_sleeper(fn);
}

/* They have looked, and sleep again, on what tells of whoever is left. */
static void await_waiting(int b)
{
    for (int i = 0; i < b; i++)
        await_sleep(waiting[i]);
}

/* The victim waits, first or last of b + 1; then the last holder is killed. */
static void holder_dies(int how, int b)
{
    int who = how & SIZE, last = how & LAST;
    role *waits = who == PUTS ? await_end_full : who == POLLS ? poll_until_end : await_end;
    make_ring(who == PUTS ? LARGE : SMALL, 1);
    if (who == PUTS)
        director_puts(N_FULL);
    struct actor *h = spawn_marked(who == PUTS ? other_holder : holder);
    if (last)
        spawn_waiting(waits, b);
    struct actor *v = spawn_victim(waits);
    bool dead = lead(v);
    if (!last)
        spawn_waiting(waits, b);
    cmp_channel_close(&a_end);
    cmp_channel_close(&b_end);
    await_waiting(b);
    kill_actor(h);
    if (!dead)
        lead_on(v);
    second_dies();
    settle(NULL);
}

static void standing_at_end(int id)
{
    cmp_wait_look(stand);
    await_end(id);
}

/* One is about to sleep; the victim closes what it waits for. */
static void close_before_sleep(int a, int b)
{
    (void)a, (void)b;
    make_ring(SMALL, 1);
    struct actor *v = spawn_victim_later(closer);
    struct actor *s = spawn(standing_at_end);
    cmp_channel_close(&a_end);
    cmp_channel_close(&b_end);
    await_mark(s);
    stand_ready(v);
    lead(v);
    give_order(s, 1);
    settle(NULL);
}

static void await_end_when_told(int id)
{
    cmp_channel_close(&a_end);
    mark(id);
    await_order(id);
    get_until_end(id);
}

/* The victim stands where it closes the last other end, when one comes to wait for that. */
static void close_meanwhile(int a, int b)
{
    (void)a, (void)b;
    make_ring(SMALL, 1);
    struct actor *v = spawn_victim_later(closer), *s = spawn_marked(await_end_when_told);
    cmp_channel_close(&a_end);
    cmp_channel_close(&b_end);
    stand_ready(v);
    stop_here(v);
    give_order(s, 1);
    await_sleep(s);
    release_actor(v);
    settle(NULL);
}

/* An end goes by another channel; the victim puts it, or gets it; then it is gone. */
static struct cmp_channel_end c_end, d_end;

static void await_end_alone(int id)
{
    cmp_channel_close(&c_end);
    cmp_channel_close(&d_end);
    await_end(id);
}

static void put_end(int id)
{
    struct cmp_outgoing m = {.refs = &a_end.ref, .n_refs = 1};
    (void)id;
    cmp_object_hold(a_end.ref);
    cmp_channel_close(&a_end);
    cmp_channel_close(&b_end); /* who waits has that */
    ready();
    int rc = cmp_channel_put(&c_end, &m, 0);
    if (rc != 0)
        violation("put of an end: %d", rc);
}

static void get_end(int id)
{
    char buffer[CAP / 4];
    struct cmp_incoming m;
    struct cmp_channel_end got;
    (void)id;
    cmp_channel_close(&a_end);
    await_order(id);
    ready();
    int rc = cmp_ring_get(&d_end.in, buffer, &m, 0);
    if (rc != 0 || m.n_refs != 1 || cmp_channel_open(m.refs[0], &got) != 0)
        violation("get of an end: %d", rc);
    else
        cmp_channel_close(&got);
}

/* As one whose message could not be read.  Those who wait watch it by then: they look every 10 ms
   where an end is that is on its way.  */
static void get_end_in_vain(int id)
{
    char buffer[CAP / 4];
    struct cmp_incoming m;
    (void)id;
    cmp_channel_close(&a_end);
    await_order(id);
    int rc = cmp_ring_get(&d_end.in, buffer, &m, 0);
    if (rc != 0 || m.n_refs != 1) {
        violation("get of an end: %d", rc);
        return;
    }
    usleep(30000);
    ready();
    cmp_channel_drop(m.refs, 1);
}

enum { GET_END, PUT_END, GET_IN_VAIN };
static role *const carriers[] = {get_end, put_end, get_end_in_vain};

static void make_channel(struct cmp_channel_end *one, struct cmp_channel_end *other)
{
    cmp_ref ends[2];
    if (cmp_channel_create(true, CAP, ends) != 0 || cmp_channel_open(ends[0], one) != 0 ||
        cmp_channel_open(ends[1], other) != 0) {
        violation("there is no further channel");
        exit(1);
    }
}

/* Closed before it is put, as put_end() does it: nothing but the put tells that it is on its way.
   Those who wait sleep again by then.  */
static void director_puts_end(int b)
{
    struct cmp_outgoing m = {.refs = &a_end.ref, .n_refs = 1};
    cmp_object_hold(a_end.ref);
    cmp_channel_close(&a_end);
    await_waiting(b);
    if (cmp_channel_put(&c_end, &m, 0) != 0)
        violation("put of an end failed");
}

/* Nobody closes an end of the channel at the end of this: that would wake them all.  */
static void end_travels(int what, int b)
{
    bool put = what == PUT_END;
    make_ring(SMALL, 1);
    make_channel(&c_end, &d_end);
    struct actor *v = spawn_victim_later(carriers[what]);
    spawn_waiting(await_end_alone, b);
    cmp_channel_close(&b_end);
    if (put) {
        cmp_channel_close(&a_end);
        stand_ready(v);
        lead(v);
        kill_actor(v);
        bool there = cmp_ring_wait(&d_end.in, 0) == 0;
        if (there && (usleep(3000), n_finished() > (victim_has_ended() ? 1 : 0)))
            violation("an end is on its way, and they wait no longer");
        cmp_channel_close(&c_end);
        cmp_channel_close(&d_end); /* nobody can get it any more, before the sweep too */
    } else {
        director_puts_end(b);
        give_order(v, 1);
        stand_ready(v);
        lead(v);
        cmp_channel_close(&c_end);
        cmp_channel_close(&d_end);
    }
    settle(NULL);
}

/* ---- the channel becomes another ---------------------------------------------------------------------- */

static void get_end_and_close(void)
{
    char buffer[CAP / 4];
    struct cmp_incoming m;
    struct cmp_channel_end got;
    if (cmp_ring_get(&d_end.in, buffer, &m, 0) == 0 && cmp_channel_open(m.refs[0], &got) == 0)
        cmp_channel_close(&got);
}

/* As many cells as are needed to be given one that is free by now. */
#define FULL_SLAB 450

/* The victim closes an end, or puts it, and stands still; its channel ends, and the cell becomes
   another's: what the victim does then is not done to that.  */
static void close_stopped(int put, int b)
{
    struct cmp_channel *old, *anew = NULL;
    (void)b;
    make_ring(SMALL, 1);
    old = a_end.channel;
    if (put)
        make_channel(&c_end, &d_end);
    struct actor *v = spawn_victim_later(put ? put_end : closer);
    cmp_channel_close(&a_end);
    cmp_channel_close(&b_end);
    stand_ready(v);
    stop_here(v);
    if (put)
        get_end_and_close();
    cmp_sweep();
    for (int i = 0; i < FULL_SLAB && anew != old; i++) {
        anew = make(CMP_TYPE_CHANNEL, sizeof *anew + 2 * cmp_ring_bytes(CAP), NULL);
        memset(anew, 0, sizeof *anew);
    }
    release_actor(v);
    settle(NULL);
    if (anew == old && load_seqcst(&old->closes) != 0)
        violation("another object was told of the end of a channel");
}

/* ---- channels ------------------------------------------------------------------------------------------ */

static void maker(int id)
{
    struct cmp_channel_end one, other;
    (void)id;
    ready();
    make_channel(&one, &other);
    if (put_sized(&one, 1, BLOCK, 0) != 0)
        violation("put into a new one failed");
    cmp_channel_close(&one);
    cmp_channel_close(&other);
}

static void create(int a, int b)
{
    (void)a, (void)b;
    make_ring(SMALL, 1);
    lead(spawn_victim(maker));
    cmp_sweep();
    use();
    account();
}

static const struct scenario list[] = {
    {"channel: the last other end is closed, 1 waits", close_last, 1, 0, 7, 1, 0},
    {"channel: the last other end is closed, 3 wait", close_last, 3, 0, 11, 1, 0},
    {"channel: full, the last other end is closed, 3 wait", close_last, 3, 1, 11, 1, 0},
    {"channel: closed while one is about to sleep", close_before_sleep, 0, 0, 3, 0, 0},
    {"channel: put of an end, 2 wait for its end", end_travels, PUT_END, 2, 47, 0, 0},
    {"channel: get of an end, 2 wait for its end", end_travels, GET_END, 2, 47, 0, 0},
    {"channel: get of an end, dropped, 2 wait for its end", end_travels, GET_IN_VAIN, 2, 15, 0, 0},
    {"channel: close, stopped while one comes to wait", close_meanwhile, 0, 0, 11, 0, 0},
    {"channel: close, stopped while the last but one is closed", close_both, 0, 2, 11, 0, 0},
    {"channel: close, stopped while the channel goes", close_stopped, 0, 0, 11, 0, 0},
    {"channel: put of an end, stopped while its channel goes", close_stopped, 1, 0, 47, 0, 0},
    {"channel: get, the other end is closed", at_end, GETS, 0, 31, 0, 0},
    {"channel: get of an own block, the other end is closed", at_end, GETS, OWN, 55, 0, 0},
    {"channel: put, the other end is closed", at_end, PUTS, 0, 31, 0, 0},
    {"channel: put of an own block, the other end is closed", at_end, PUTS, OWN, 71, 0, 0},
    {"channel: wait, the other end is closed", at_end, POLLS, 0, 11, 0, 0},
    {"channel: close, the other end is closed", at_end, CLOSES, 0, 11, 0, 0},
    {"channel: get, first of 3, the last holder is killed", holder_dies, GETS, 2, 47, 0, 0},
    {"channel: get, last of 3, the last holder is killed", holder_dies, GETS | LAST, 2, 47, 0, 0},
    {"channel: put, full, first of 3, the last holder is killed", holder_dies, PUTS, 2, 47, 0, 0},
    {"channel: put, full, last of 3, the last holder is killed", holder_dies, PUTS | LAST, 2, 47, 0, 0},
    {"channel: wait, first of 3, the last holder is killed", holder_dies, POLLS, 2, 47, 0, 0},
    {"channel: wait, last of 3, the last holder is killed", holder_dies, POLLS | LAST, 2, 47, 0, 0},
    {"channel: create, put by a block, close", create, 0, 0, 247, 0, 0},
};
SCENARIOS(list)
