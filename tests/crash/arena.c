/* arena.c -- extents: taken, linked, given back, recovered from the dead.

   Nobody waits for anybody here, so the question is what is left: after a sweep no
   claim of the dead, no extent lost, nothing free that is not all zeroes. */
#include "objects.h"

#define KIND CMP_EXTENT_KIND(CMP_EXTENT_BLOCK, 3)
#define SLAB 77u /* no object lives there */
#define DIRT 0x5a

enum { BESIDE = 6 }; /* so many are taken beside a victim that stands still */

static uint32_t n_wanted; /* extents in a row */
static uint32_t given;

static void say(void *arg, const char *what)
{
    (void)arg;
    violation("%s", what);
}

static cmp_word *slab(void)
{
    cmp_word *directory = cmp_slab_directory();
    if (directory == NULL)
        abort();
    return &directory[SLAB];
}

/* ---- actors ---------------------------------------------------------------------- */

static void soil(int64_t e, uint32_t n)
{
    if (e > 0)
        memset(cmp_extent_at((uint32_t)e), DIRT, (size_t)n * CMP_EXTENT_BYTES);
    else
        violation("claim: %d", (int)e);
}

static void taker(int id)
{
    ready();
    int64_t e = cmp_extent_take(n_wanted, KIND);
    store_seqcst(&board->result[id], (uint32_t)e);
}

static void linker(int id)
{
    (void)id;
    ready();
    int64_t e = cmp_extent_claim(1, true);
    *(volatile char *)cmp_extent_at((uint32_t)e) = DIRT;
    cmp_extent_link((uint32_t)e, slab(),
                    CMP_EXTENT_KIND(CMP_EXTENT_SLAB, SLAB));
}

static void giver(int id)
{
    (void)id;
    ready();
    if (cmp_extent_give(given) != 0)
        violation("give: failed");
}

/* Holds claims until it is killed. */
static void claimer(int id)
{
    for (unsigned int n = 1; n <= 3; n++)
        soil(cmp_extent_claim(n, true), n);
    mark(id);
    await_order(id);
}

static uint32_t dead_code;

static void recoverer(int id)
{
    (void)id;
    ready();
    if (cmp_extent_recover(dead_code, NULL) < 0)
        violation("recover: failed");
}

/* ... that sleeps until the first one is dead. */
static void late_recoverer(int id)
{
    struct cmp_watch words[] = {{&board->count[0], 0}};
    ready();
    while (load_seqcst(&board->count[0]) == 0)
        cmp_park(words, 1, CMP_FOREVER);
    recoverer(id);
}

/* ---- verdict --------------------------------------------------------------------- */

bool is_zero(uint32_t e)
{
    const uint64_t *words = cmp_extent_at(e);
    for (size_t i = 0; words != NULL && i < CMP_EXTENT_BYTES / 8; i++)
        if (words[i] != 0)
            return false;
    return true;
}

/* Give what was published to nobody, then see that all else is free and clean. */
static void nothing_is_left(void)
{
    uint32_t mine = CMP_EXTENT_CLAIM | cmp_me();
    if (cmp_sweep() < 0)
        violation("sweep failed");
    for (uint32_t e = CMP_EXTENT_FIRST; e < cmp_extent_end(); e++) {
        uint32_t word = cmp_extent_word(e);
        if (word == KIND)
            cmp_extent_give(e);
        else if (word >= CMP_EXTENT_CLAIM && word != mine)
            violation("extent %u is still claimed by %#x", e, word);
        else if (word == 0 && !is_zero(e))
            violation("extent %u is free and not clean", e);
    }
    cmp_extent_check(say, NULL);
    for (uint32_t e = CMP_EXTENT_FIRST; e < cmp_extent_end(); e++)
        if (cmp_extent_word(e) >= CMP_EXTENT_TAIL && cmp_extent_word(e) < CMP_EXTENT_CLAIM &&
            cmp_extent_word(e - 1) == 0)
            violation("extent %u is a tail of nothing", e);
}

/* All is as before, so the same numbers come again. */
static void use_again(uint32_t lowest)
{
    int64_t e = cmp_extent_claim(4, true);
    if (e != lowest)
        violation("the next claim is at %d, not %u", (int)e, lowest);
    soil(e, 4);
    cmp_extent_give((uint32_t)e);
    nothing_is_left();
}

/* Where four in a row are free. */
static uint32_t lowest_free(void)
{
    int64_t e = cmp_extent_claim(4, false);
    cmp_extent_give((uint32_t)e);
    return (uint32_t)e;
}

/* ---- scenarios ------------------------------------------------------------------- */

/* beyond: those that were taken before are taken now. */
static void take(int n, int beyond)
{
    n_wanted = (uint32_t)n;
    uint32_t lowest = lowest_free();
    if (beyond)
        cmp_extent_take(4, KIND);
    lead(spawn_victim(taker));
    nothing_is_left();
    spawn(taker);
    settle(NULL);
    nothing_is_left();
    use_again(lowest);
}

/* Two want the same ones: the second finds the run broken, and goes on. */
static void take_broken(int n, int b)
{
    (void)b;
    n_wanted = (uint32_t)n;
    uint32_t lowest = lowest_free();
    int64_t gap = cmp_extent_claim(2, false), wall = cmp_extent_claim(1, false);
    cmp_extent_publish((uint32_t)wall, KIND);
    cmp_extent_give((uint32_t)gap);
    lead(spawn_victim(taker));
    nothing_is_left();
    use_again(lowest);
}

static bool one_is_done(void)
{
    return n_finished() == 1;
}

/* With a rival the victim may come second, and gives its own back. */
static void link_slab(int rival, int b)
{
    (void)b;
    struct actor *v = spawn_victim(linker);
    if (rival) {
        spawn(linker);
        await(one_is_done);
    }
    lead(v);
    nothing_is_left();
    uint32_t e = load_seqcst(slab());
    if (e != 0 && *(char *)cmp_extent_at(e) != DIRT)
        violation("the directory names extent %u, which was cleared", e);
    if (e != 0 && cmp_extent_word(e) != CMP_EXTENT_KIND(CMP_EXTENT_SLAB, SLAB))
        violation("the directory names extent %u, which is %#x", e, cmp_extent_word(e));
    store_seqcst(slab(), 0); /* as it was */
    if (e != 0)
        cmp_extent_give(e);
    nothing_is_left();
}

static void give(int n, int b)
{
    (void)b;
    uint32_t lowest = lowest_free();
    int64_t e = cmp_extent_take((unsigned int)n, KIND);
    soil(e, (uint32_t)n);
    given = (uint32_t)e;
    lead(spawn_victim(giver));
    nothing_is_left();
    use_again(lowest);
}

static void recover(int with_second, int b)
{
    (void)b;
    uint32_t lowest = lowest_free();
    struct actor *dead = spawn_marked(claimer);
    dead_code = load_seqcst(&board->code[dead->id]);
    if (with_second)
        spawn_sleeper(late_recoverer);
    struct actor *v = spawn_victim(recoverer);
    kill_actor(dead);
    lead(v);
    store_seqcst(&board->count[0], 1);
    cmp_unpark(&board->count[0], CMP_UNPARK_ALL);
    second_dies();
    settle(NULL);
    nothing_is_left();
    use_again(lowest);
}

/* A victim that is not killed but stopped, while others recover the same, take what
   is free to them, and write to it; then it goes on. */
static void take_beside(struct actor *v)
{
    int64_t taken[BESIDE];
    stop_here(v);
    if (dead_code != 0)
        cmp_extent_recover(dead_code, NULL);
    for (int i = 0; i < BESIDE; i++)
        soil(taken[i] = cmp_extent_take(1, KIND), 1);
    if (!is_finished(v))
        release_actor(v);
    settle(NULL);
    for (int i = 0; i < BESIDE; i++) {
        const char *bytes = cmp_extent_at((uint32_t)taken[i]);
        if (cmp_extent_word((uint32_t)taken[i]) != KIND || bytes[0] != DIRT ||
            bytes[CMP_EXTENT_BYTES - 1] != DIRT || load_seqcst(&board->result[v->id]) == taken[i])
            violation("extent %d was taken from under its owner", (int)taken[i]);
    }
    kill_actor(v);
}

static void take_stopped(int n, int b)
{
    (void)b;
    n_wanted = (uint32_t)n;
    uint32_t lowest = lowest_free();
    take_beside(spawn_victim(taker));
    nothing_is_left();
    use_again(lowest);
}

static void give_stopped(int n, int b)
{
    (void)b;
    uint32_t lowest = lowest_free();
    given = (uint32_t)cmp_extent_take((unsigned int)n, KIND);
    take_beside(spawn_victim(giver));
    nothing_is_left();
    use_again(lowest);
}

static void recover_stopped(int a, int b)
{
    (void)a, (void)b;
    uint32_t lowest = lowest_free();
    struct actor *dead = spawn_marked(claimer);
    dead_code = load_seqcst(&board->code[dead->id]);
    struct actor *v = spawn_victim(recoverer);
    kill_actor(dead);
    take_beside(v);
    nothing_is_left();
    use_again(lowest);
}

static const struct scenario list[] = {
    {"arena: take one extent", take, 1, 0, 1, 0, 0},
    {"arena: take one that was never taken", take, 1, 1, 1, 0, 0},
    {"arena: take three in a row", take, 3, 0, 1, 0, 0},
    {"arena: take more than is to be had in one place", take_broken, 4, 0, 1, 0, 0},
    {"arena: take one, stopped, while others go on", take_stopped, 1, 0, 1, 0, 0},
    {"arena: take three, stopped, while others go on", take_stopped, 3, 0, 1, 0, 0},
    {"arena: give back three, stopped, while others go on", give_stopped, 3, 0, 1, 0, 0},
    {"arena: link", link_slab, 0, 0, 1, 0, 0},
    {"arena: link, another was first", link_slab, 1, 0, 1, 0, 0},
    {"arena: give back one", give, 1, 0, 1, 0, 0},
    {"arena: give back three", give, 3, 0, 1, 0, 0},
    {"arena: recover", recover, 0, 0, 3, 0, 0},
    {"arena: recover, stopped, while others go on", recover_stopped, 0, 0, 5, 0, 0},
    {"arena: recover, and again what its killed recoverer had", recover, 1, 0, 9, 1, 0},
};
SCENARIOS(list)
