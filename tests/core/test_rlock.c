/* Description: RLock: depth, by thread; only its thread releases it; released and taken
   up again at any depth, as Condition does; its owner killed at any depth; a fork holds
   nothing; many threads. */
#include "../../src/core/lock.h"
#include "peers.h"

static struct cmp_lock *l;
static uint32_t dead;

static void begin_free(void)
{
    begin();
    cmp_lock_init(l, 11, true);
    dead = 0;
}

static int acquire(void)
{
    int rc = cmp_lock_acquire(l, CMP_FOREVER, &dead);
    CHECK(cmp_lock_check(l) == NULL);
    return rc;
}

static int acquire_ms(int64_t ms)
{
    return cmp_lock_acquire(l, after_ms(ms), &dead);
}

static int release(void)
{
    int rc = cmp_lock_release(l);
    CHECK(cmp_lock_check(l) == NULL);
    return rc;
}

static void test_depth(void)
{
    begin_free();
    CHECK_EQ(release(), -EPERM);
    for (uint32_t depth = 1; depth <= 5; depth++) {
        CHECK_EQ(depth == 3 ? cmp_lock_try_acquire(l, &dead) : acquire(), 0);
        CHECK_EQ(cmp_lock_depth(l), depth);
        CHECK(cmp_lock_is_mine(l) && cmp_lock_held(l));
    }
    for (uint32_t depth = 5; depth-- > 0;) {
        CHECK_EQ(release(), 0);
        CHECK_EQ(cmp_lock_depth(l), depth);
        CHECK_EQ(cmp_lock_held(l), depth > 0);
    }
    CHECK(!cmp_lock_is_mine(l));
    CHECK_EQ(release(), -EPERM);
}

static void test_overflow(void)
{
    begin_free();
    CHECK_EQ(acquire(), 0);
    cmp_lock_set_depth(l, UINT32_MAX - 1);
    CHECK_EQ(acquire(), 0);
    CHECK_EQ(acquire(), -EOVERFLOW);
    CHECK_EQ(cmp_lock_try_acquire(l, &dead), -EOVERFLOW);
    CHECK_EQ(cmp_lock_depth(l), UINT32_MAX);
    cmp_lock_set_depth(l, 1);
    CHECK_EQ(release(), 0);
    CHECK(!cmp_lock_held(l));
}

static void test_release_all(void)
{
    uint32_t depth = 0;
    begin_free();
    CHECK_EQ(cmp_lock_release_all(l, &depth), -EPERM);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(acquire(), 0);
    CHECK_EQ(cmp_lock_release_all(l, &depth), 0);
    CHECK_EQ(depth, 3);
    CHECK(!cmp_lock_held(l));
    CHECK_EQ(acquire(), 0);
    CHECK_EQ(cmp_lock_depth(l), 1);
    cmp_lock_set_depth(l, depth);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(release(), 0);
    CHECK(!cmp_lock_held(l));

    cmp_lock_init(l, 3, false); /* a Lock has no depth */
    CHECK_EQ(cmp_lock_release_all(l, &depth), -EPERM);
    CHECK_EQ(acquire(), 0);
    CHECK_EQ(cmp_lock_release_all(l, &depth), 0);
    CHECK_EQ(depth, 1);
}

static void *other_thread(void *arg)
{
    uint32_t who, depth;
    (void)arg;
    CHECK(!cmp_lock_is_mine(l) && cmp_lock_held(l));
    CHECK_EQ(cmp_lock_depth(l), 0);
    CHECK_EQ(cmp_lock_release(l), -EPERM);
    CHECK_EQ(cmp_lock_release_all(l, &depth), -EPERM);
    CHECK_EQ(cmp_lock_try_acquire(l, &who), -EAGAIN);
    CHECK_EQ(cmp_lock_acquire(l, after_ms(20), &who), -ETIMEDOUT);
    return NULL;
}

static int forked(void *arg)
{
    other_thread(arg);
    return 0;
}

static void test_others_hold_nothing(void)
{
    begin_free();
    CHECK_EQ(acquire(), 0);
    CHECK_EQ(acquire(), 0);
    in_threads(1, other_thread, NULL);
    CHECK_EQ(exit_code(start_child(forked, NULL)), 0);
    CHECK_EQ(cmp_lock_depth(l), 2);
    CHECK_EQ(release(), 0);
    CHECK_EQ(release(), 0);
}

enum { TURNS = 5000 };

static void take_turns(int n)
{
    uint32_t who;
    for (int i = 0; i < n; i++) {
        for (int depth = 0; depth < 3; depth++)
            CHECK_EQ(cmp_lock_acquire(l, CMP_FOREVER, &who), 0);
        CHECK_EQ(add_seqcst(&stage->inside, 1), 0);
        store_relaxed(&stage->count, load_relaxed(&stage->count) + 1);
        add_seqcst(&stage->inside, UINT32_MAX);
        for (int depth = 0; depth < 3; depth++)
            CHECK_EQ(cmp_lock_release(l), 0);
    }
}

static void *turns_of_thread(void *arg)
{
    take_turns(*(int *)arg);
    return NULL;
}

static int turns_of_process(void *arg)
{
    int n = *(int *)arg;
    in_threads(2, turns_of_thread, &n);
    return 0;
}

static void test_exclusion(void)
{
    pid_t children[3];
    int turns = TURNS, few = 3;
    begin_free();
    for (int i = 0; i < 3; i++)
        children[i] = start_child(turns_of_process, &turns);
    in_threads(2, turns_of_thread, &turns);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(exit_code(children[i]), 0);
    CHECK_EQ(load_seqcst(&stage->count), 8 * TURNS);
    begin_free();
    in_threads(SLOW ? 100 : 300, turns_of_thread, &few);
    CHECK(!cmp_lock_held(l));
}

static void acquire_twice(void *arg)
{
    (void)arg;
    CHECK_EQ(acquire(), 0);
    CHECK_EQ(acquire(), 0);
}

static void test_owner_killed(void)
{
    begin_free();
    pid_t owner = start_peer(acquire_twice, NULL);
    uint32_t code = cmp_lock_owner(l);
    CHECK_EQ(acquire_ms(20), -ETIMEDOUT);
    check_killed(owner);
    CHECK_EQ(acquire(), -EOWNERDEAD);
    CHECK_EQ(dead, code);
    CHECK_EQ(cmp_lock_depth(l), 1);
    CHECK_EQ(acquire(), 0); /* again: told once */
    CHECK(cmp_lock_owner_died(l));
    CHECK_EQ(release(), 0);
    CHECK_EQ(release(), 0);
    CHECK_EQ(release(), -EPERM);
    CHECK_EQ(acquire(), 0);
    CHECK(cmp_lock_owner_died(l));
    cmp_lock_mark_consistent(l);
    CHECK(!cmp_lock_owner_died(l));
    CHECK_EQ(release(), 0);
}

/* What a killed owner leaves: the word taken, holder and depth of an earlier one. */
static void test_left_half_taken(void)
{
    begin_free();
    CHECK_EQ(acquire(), 0);
    CHECK_EQ(release(), 0);
    pid_t owner = start_peer(acquire_twice, NULL);
    store64_seqcst(&l->holder, (uint64_t)cmp_me() << 32 | 1);
    l->depth = 77;
    check_killed(owner);
    CHECK_EQ(acquire(), -EOWNERDEAD);
    CHECK_EQ(cmp_lock_depth(l), 1);
    CHECK_EQ(release(), 0);
}

static void test_damage(void)
{
    begin_free();
    store_seqcst(&l->word, 4);
    CHECK_EQ(cmp_lock_try_acquire(l, &dead), -EUCLEAN);
    CHECK_EQ(acquire_ms(1000), -EUCLEAN);
    CHECK_EQ(cmp_lock_release(l), -EPERM);
    CHECK(cmp_lock_check(l) != NULL);
    begin_free();
    CHECK_EQ(acquire_ms(0), 0);
    store_seqcst(&l->word, 0); /* freed behind its back */
    CHECK_EQ(cmp_lock_release(l), -EPERM);
    CHECK_EQ(acquire_ms(0), 0);
    CHECK_EQ(cmp_lock_release(l), 0);
    begin_free();
    store_seqcst(&l->word, UINT32_C(1) << 31);
    CHECK(cmp_lock_check(l) != NULL); /* a gate */
}

static void use_uncontended(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        cmp_lock_acquire(l, CMP_FOREVER, &dead);
        cmp_lock_try_acquire(l, &dead);
        cmp_lock_release(l);
        cmp_lock_release(l);
        cmp_lock_is_mine(l);
        cmp_lock_depth(l);
    }
}

int main(void)
{
    start_family(120);
    l = shared(sizeof *l);
    test_depth();
    test_overflow();
    test_release_all();
    test_others_hold_nothing();
    test_exclusion();
    test_owner_killed();
    test_left_half_taken();
    test_damage();
    begin_free();
    check_no_system_call(use_uncontended, NULL);
    return done();
}
