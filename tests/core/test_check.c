/* Description: cmp_check finds each kind of damage, says so, and finds nothing in a
   sound arena, also beside processes that are at work. */
#include "../../src/core/check.h"
#include "../../src/core/cond.h"
#include "../../src/core/held.h"
#include "../../src/core/lock.h"
#include "../../src/core/object.h"
#include "../../src/core/slab.h"
#include "peers.h"

static char said[200];

static void keep(void *arg, const char *what)
{
    (void)arg;
    snprintf(said, sizeof said, "%s", what);
}

static void show(void *arg, const char *what)
{
    (void)arg;
    fprintf(stderr, "cmp_check: %s\n", what);
}

/* With *word damaged there is a complaint that has `part` in it; mended, none. */
static void check_damage(cmp_word64 *word, uint64_t value, const char *part)
{
    uint64_t before = load64_relaxed(word);
    said[0] = '\0';
    store64_relaxed(word, value);
    int n = cmp_check(keep, NULL);
    store64_relaxed(word, before);
    if (n < 1 || strstr(said, part) == NULL)
        fprintf(stderr, "expected '%s', got %d: '%s'\n", part, n, said);
    CHECK(n >= 1 && strstr(said, part) != NULL);
    CHECK_EQ(cmp_check(show, NULL), 0);
}

static void check_damage32(cmp_word *word, uint32_t value, const char *part)
{
    uint32_t before = load_relaxed(word);
    said[0] = '\0';
    store_relaxed(word, value);
    int n = cmp_check(keep, NULL);
    store_relaxed(word, before);
    if (n < 1 || strstr(said, part) == NULL)
        fprintf(stderr, "expected '%s', got %d: '%s'\n", part, n, said);
    CHECK(n >= 1 && strstr(said, part) != NULL);
    CHECK_EQ(cmp_check(show, NULL), 0);
}

static cmp_ref make(enum cmp_type type, size_t bytes, void *cell)
{
    cmp_ref ref = 0;
    CHECK_EQ(cmp_object_create(type, bytes, &ref, cell), 0);
    return ref;
}

static struct cmp_view *view(cmp_ref ref)
{
    cmp_process_lock();
    struct cmp_view *v = cmp_view_of(cmp_object_index(ref));
    cmp_process_unlock();
    return v;
}

static void test_slots(void)
{
    struct cmp_slot *s = cmp_me_slot(), *other = cmp_slot_at(100);
    check_damage(&other->state, UINT64_C(7) << 29, "phase");
    check_damage32(&s->hold[3].word, 12345, "hold word 3");
    check_damage32(&s->pid, 0, "no pid");
    check_damage32(&s->held[1], 3, "bits in extent");
    check_damage32(&s->held[2], load_relaxed(&s->held[0]), "twice");
    uint32_t nowhere = (uint32_t)cmp_slab_count() << CMP_CELL_BITS | 5;
    CHECK_EQ(cmp_held_set(s, nowhere), 0);
    CHECK(cmp_check(keep, NULL) >= 1 && strstr(said, "cannot be") != NULL);
    cmp_held_clear_bit(s, nowhere);
    CHECK_EQ(cmp_check(show, NULL), 0);
}

static void test_objects(void)
{
    struct cmp_lock *lock;
    struct cmp_cond *cond;
    cmp_ref ref = make(CMP_TYPE_LOCK, sizeof *lock, &lock);
    cmp_lock_init(lock, cmp_object_index(ref), false);
    cmp_ref ref2 = make(CMP_TYPE_COND, sizeof *cond, &cond);
    cmp_cond_init(cond, cmp_object_index(ref2));
    CHECK_EQ(cmp_check(show, NULL), 0);

    struct cmp_view *v = view(ref);
    cmp_word64 *word = cmp_view_word(v, cmp_object_index(ref));
    check_damage(word, load64_relaxed(word) | 32, "phase");
    check_damage(word, CMP_OBJECT_LIVE, "generation 0");
    check_damage(word, 0, "it is free");
    check_damage32(&v->slab->type, CMP_TYPE_EVENT, "has changed");
    check_damage32(&lock->word, 5, "lock"); /* what its own check says */
    check_damage32(&lock->park, 5, "lock");
    check_damage(&cond->more, ref, "cannot be linked");
    check_damage(&cond->more, UINT64_MAX, "cannot be linked");

    cmp_held_clear_bit(cmp_me_slot(), cmp_object_index(ref));
    CHECK(cmp_check(keep, NULL) >= 1 && strstr(said, "its bit is 0") != NULL);
    CHECK_EQ(cmp_held_set(cmp_me_slot(), cmp_object_index(ref)), 0);
    cmp_object_drop(ref);
    cmp_object_drop(ref2);
}

static int work(void *arg)
{
    (void)arg;
    while (load_acquire(&stage->go) == 0) {
        struct cmp_lock *lock;
        uint32_t dead;
        cmp_ref ref = make(CMP_TYPE_LOCK, sizeof *lock, &lock);
        cmp_lock_init(lock, cmp_object_index(ref), false);
        cmp_lock_try_acquire(lock, &dead);
        pid_t pid = fork_child();
        if (pid == 0)
            _exit(0);
        cmp_lock_release(lock);
        cmp_object_drop(ref);
        status_of(pid);
    }
    return 0;
}

static void test_beside_others(void)
{
    pid_t pid[3];
    begin();
    for (int i = 0; i < 3; i++)
        pid[i] = start_child(work, NULL);
    for (int i = 0; i < (SLOW ? 5 : 40); i++) {
        if (i % 8 == 5)
            kill(pid[0], i % 16 == 5 ? SIGSTOP : SIGCONT);
        CHECK_EQ(cmp_check(show, NULL), 0);
        usleep(1000);
    }
    kill(pid[0], SIGKILL);
    tell(&stage->go);
    for (int i = 0; i < 3; i++)
        status_of(pid[i]);
    cmp_sweep();
    CHECK_EQ(cmp_check(show, NULL), 0);
}

int main(void)
{
    start(100);
    CHECK_EQ(cmp_check(keep, NULL), -ENOTCONN);
    start_family(100);
    CHECK_EQ(cmp_check(NULL, NULL), 0);
    test_objects();
    test_slots();
    test_beside_others();
    return done();
}
