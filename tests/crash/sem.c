/* sem.c -- Semaphore: acquire, release, and permits that come back from the dead. */
#include "../../src/core/sem.h"
#include "harness.h"

static struct cmp_sem *sem;
static uint32_t n_posts; /* what a poster gives: n_posts times 1, or all at once */
static bool at_once;

static void make_sem(uint32_t value, bool bounded)
{
    cmp_ref ref;
    sem = make(CMP_TYPE_SEM, sizeof *sem, &ref);
    cmp_sem_init(sem, cmp_object_index(ref), value, bounded);
    show_on_failure("semaphore", sem, offsetof(struct cmp_sem, permit) + 8 * sizeof sem->permit[0]);
}

static void check_rc(int id, const char *what, int rc)
{
    if (rc != 0)
        violation("actor %d: %s: %d", id, what, rc);
}

static void taker(int id)
{
    ready();
    check_rc(id, "acquire", cmp_sem_acquire(sem, false, CMP_FOREVER));
    store_seqcst(&board->result[id], 1);
}

static void user(int id)
{
    ready();
    check_rc(id, "acquire", cmp_sem_acquire(sem, true, CMP_FOREVER));
    check_rc(id, "release", cmp_sem_release(sem, true, 1));
}

static void holder(int id)
{
    check_rc(id, "acquire", cmp_sem_acquire(sem, true, CMP_FOREVER));
    mark(id);
    await_order(id);
    check_rc(id, "release", cmp_sem_release(sem, true, 1));
}

static void poster(int id)
{
    ready();
    if (at_once)
        check_rc(id, "release", cmp_sem_release(sem, false, n_posts));
    for (uint32_t i = 0; !at_once && i < n_posts; i++)
        check_rc(id, "release", cmp_sem_release(sem, false, 1));
}

/* Permits that were acquired, by those who have said so. */
static uint32_t n_taken(void)
{
    uint32_t n = 0;
    for (int i = 0; i < MAX_ACTORS; i++)
        n += load_seqcst(&board->result[i]);
    return n;
}

static bool is_exhausted(void)
{
    return cmp_sem_value(sem) == 0;
}

static void post_here(uint32_t n)
{
    int rc = cmp_sem_release(sem, false, n);
    if (rc != 0)
        violation("the director's release of %u: %d", n, rc);
}

#define AT_ONCE 16
#define NO_WORDS 32 /* more than 64 permits: a counter only */

static void prepare(int how)
{
    at_once = how & AT_ONCE;
    if (!(how & NO_WORDS)) {
        make_sem(0, false);
        return;
    }
    make_sem(CMP_SEM_OWNED + 1, false);
    for (int i = 0; i < CMP_SEM_OWNED + 1; i++)
        cmp_sem_try_acquire(sem, false);
}

/* The victim gives, b wait.  What was given before its death arrives. */
static void post(int how, int b)
{
    prepare(how);
    n_posts = how & 15;
    spawn_sleepers(taker, b);
    lead(spawn_victim(poster));
    second_dies();
    settle(is_exhausted);
    uint32_t there = n_taken() + cmp_sem_value(sem);
    if (there > n_posts)
        violation("of %u permits there are %u", n_posts, there);
    post_here((uint32_t)b);
    settle(NULL);
}

/* The victim waits, first or last of b + 1; then a burst of b + 1 permits. */
#define VICTIM_LAST 64
static void wait_bare(int how, int b)
{
    prepare(how);
    if (how & VICTIM_LAST)
        spawn_sleepers(taker, b);
    struct actor *v = spawn_victim(taker);
    bool dead = lead(v);
    if (!(how & VICTIM_LAST))
        spawn_sleepers(taker, b);
    if (how & AT_ONCE)
        post_here((uint32_t)b + 1);
    for (int i = 0; !(how & AT_ONCE) && i < b + 1; i++)
        post_here(1);
    if (!dead)
        lead_on(v);
    second_dies();
    settle(is_exhausted);
    uint32_t there = n_taken() + cmp_sem_value(sem);
    if (there > (uint32_t)b + 1)
        violation("of %d permits there are %u", b + 1, there);
    post_here((uint32_t)b + 1);
    settle(NULL);
}

/* A bounded one of 2, both taken by `with`; b + 1 more want it, the victim among them.  It
   dies at each point of acquire, holding, and release: its permit comes back, at a slice,
   and no permit is made. */
enum { RELEASES, DIES };
static void with(int how, int b)
{
    make_sem(2, true);
    struct actor *one = spawn_marked(holder), *two = spawn_marked(holder);
    struct actor *v = spawn_victim(user);
    bool dead = lead(v);
    spawn_sleepers(user, b);
    if (how == DIES)
        kill_actor(one);
    else
        give_order(one, 1);
    if (!dead)
        lead_on(v);
    second_dies();
    two->bystander = true;
    settle(NULL);
    two->bystander = false;
    give_order(two, 1);
    settle(NULL);
    one = spawn_marked(holder);
    two = spawn_marked(holder);
    if (cmp_sem_value(sem) != 0)
        violation("two hold it, and %u permits are left", cmp_sem_value(sem));
    if (cmp_sem_release(sem, false, 3) != -EPERM)
        violation("more permits than at first were given");
    give_order(one, 1);
    give_order(two, 1);
    settle(NULL);
}

/* One permit, whose `with` holder dies; the victim takes it over. */
static void take_over(int a, int b)
{
    (void)a;
    make_sem(1, true);
    struct actor *h = spawn_marked(holder);
    struct actor *v = spawn_victim(user);
    bool dead = lead(v);
    spawn_sleepers(user, b);
    kill_actor(h);
    if (!dead)
        lead_on(v);
    second_dies();
    settle(NULL);
    if (cmp_sem_value(sem) != 1 && verdict->n_kills == 0)
        violation("one permit, and %u are there", cmp_sem_value(sem));
    h = spawn_marked(holder);
    if (cmp_sem_value(sem) != 0)
        violation("one permit has become more");
    give_order(h, 1);
    settle(NULL);
}

/* Given by one who has no permit, beside a `with` holder: who then dies, and leaves his. */
static void post_extra(int a, int b)
{
    (void)a, (void)b;
    make_sem(1, false);
    n_posts = 1;
    struct actor *h = spawn_marked(holder);
    lead(spawn_victim(poster));
    uint32_t given = cmp_sem_value(sem);
    if (given > 1)
        violation("one permit was given, %u are there", given);
    kill_actor(h);
    for (uint32_t i = 0; i < given + 1; i++)
        spawn(taker);
    settle(NULL);
}

/* A releaser is killed at each of its points, while a waiter stands at each of its own, up
   to its sleep. */
static void release_before_sleep(int a, int b)
{
    (void)a, (void)b;
    make_sem(0, false);
    n_posts = 1;
    struct actor *v = spawn_victim(taker);
    stop_here(v);
    spawn_second(poster);
    second_dies();
    release_actor(v);
    settle(is_exhausted);
    post_here(1);
    settle(NULL);
}

static const struct scenario list[] = {
    {"semaphore: release, nobody waits", post, 1, 0, 1, 0, 0},
    {"semaphore: release, 1 waits", post, 1, 1, 1, 1, 0},
    {"semaphore: release twice, 3 wait", post, 2, 3, 1, 3, 0},
    {"semaphore: release(2), 3 wait", post, 2 | AT_ONCE, 3, 1, 3, 0},
    {"semaphore: more than 64 permits, release, 3 wait", post, 1 | NO_WORDS, 3, 1, 0, 0},
    {"semaphore: wait, first of 3, 3 releases", wait_bare, 0, 2, 1, 2, 0},
    {"semaphore: wait, last of 3, 3 releases", wait_bare, VICTIM_LAST, 2, 1, 2, 0},
    {"semaphore: wait, first of 3, release(3)", wait_bare, AT_ONCE, 2, 1, 2, 0},
    {"semaphore: wait, last of 3, release(3)", wait_bare, AT_ONCE | VICTIM_LAST, 2, 1, 2, 0},
    {"semaphore: more than 64 permits, wait, first of 3", wait_bare, NO_WORDS, 2, 1, 0, 0},
    {"semaphore: with, 2 permits, 4 users (slices)", with, RELEASES, 3, 7, 0, SLICES},
    {"semaphore: with, a holder dead, 4 users (slices)", with, DIES, 3, 13, 0, SLICES},
    {"semaphore: with, take-over, first of 2 (slices)", take_over, 0, 1, 7, 0, SLICES},
    {"semaphore: with, take-over, alone (slices)", take_over, 0, 0, 29, 0, SLICES}, /* however busy the machine is */
    {"semaphore: release beside a `with` holder, who dies (slices)", post_extra, 0, 0, 1, 0, SLICES},
    {"semaphore: releaser killed while another is about to sleep", release_before_sleep, 0, 0, 5, 1, IN_STEP},
};
SCENARIOS(list)
