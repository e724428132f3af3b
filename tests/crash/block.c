/* block.c -- blocks made, handed on, dropped, given back.

   What a trial asks is: are the bytes of every block its own, to the last; does every extent
   that no living block has come back, all zeroes (cmp_check looks who names which); have the
   cells of small ones the pages that they are said to have; can the next one be made.  */
#include <sys/stat.h>
#include "../../src/core/block.h"
#include "../../src/core/slab.h"
#include "objects.h"

#define SMALL ((size_t)50000)
#define BIG (5 * (size_t)CMP_EXTENT_BYTES - 100)
#define N_BLOCKS 3
#define N_FILLED 890 /* headers that live, so that looking for a free one is short */

struct held {
    size_t bytes;
    cmp_ref ref;
    char *data;
    uint64_t signature;
};

/* The director's. */
static struct held mine[3] = {{.bytes = SMALL}, {.bytes = BIG}, {.bytes = BIG + CMP_EXTENT_BYTES}};

static uint32_t extents_of(const struct held *b)
{
    return b->bytes <= CMP_BLOCK_SMALL_MAX
               ? 0 : (uint32_t)((b->bytes + CMP_EXTENT_BYTES - 1) / CMP_EXTENT_BYTES);
}

/* ---- contents ------------------------------------------------------------------------ */

/* Words all over it, the last one too. */
static uint64_t *word_in(const struct held *b, size_t i)
{
    size_t at = i * 16384;
    return (uint64_t *)(void *)(b->data + (at + 8 <= b->bytes ? at : (b->bytes - 8) / 8 * 8));
}

static void fill(struct held *b, uint64_t signature)
{
    b->signature = signature;
    for (size_t i = 0; i <= b->bytes / 16384; i++)
        *word_in(b, i) = signature + i;
}

static void verify(const struct held *b, const char *whose)
{
    for (size_t i = 0; i <= b->bytes / 16384; i++)
        if (*word_in(b, i) != b->signature + i) {
            violation("%s block has other contents at word %d", whose, (int)i);
            return;
        }
}

static bool get(struct held *b, uint64_t signature)
{
    void *cell, *data;
    int rc = cmp_block_create(b->bytes, false, &b->ref, &cell, &data);
    b->data = data;
    if (rc < 0)
        violation("create: %d", rc);
    else
        fill(b, signature);
    return rc == 0;
}

/* Headers without memory, of the director's. */
static void fill_headers(int n)
{
    for (int i = 0; i < n; i++)
        memset(make(CMP_TYPE_BIG, sizeof(struct cmp_big), NULL), 0, sizeof(struct cmp_big));
}

static void keep_blocks(void)
{
    for (int i = 0; i < 3; i++)
        get(&mine[i], 1000 * (uint64_t)(i + 1));
}

static void check_mine(void)
{
    for (int i = 0; i < 3; i++) {
        void *data;
        int rc = cmp_block_take(mine[i].ref, mine[i].bytes, &data);
        if (rc < 0 || data != mine[i].data) {
            violation("the director's block %d is lost: %d", i, rc);
            continue;
        }
        verify(&mine[i], "the director's");
        cmp_object_drop(mine[i].ref);
    }
}

/* Free ones that keep their memory. */
static void leave_warm(int n, size_t bytes)
{
    struct held b[8];
    for (int i = 0; i < n; i++) {
        b[i] = (struct held){.bytes = bytes};
        get(&b[i], 77);
    }
    for (int i = 0; i < n; i++)
        cmp_object_drop(b[i].ref);
}

/* ---- verdict ------------------------------------------------------------------------- */

/* New blocks are new, and do not get in each other's way. */
static void check_new(void)
{
    struct held b[N_BLOCKS];
    for (int i = 0; i < N_BLOCKS; i++) {
        b[i] = (struct held){.bytes = BIG};
        get(&b[i], 5000 + 100 * (uint64_t)i);
    }
    check_mine();
    for (int i = 0; i < N_BLOCKS; i++) {
        verify(&b[i], "a new");
        cmp_object_drop(b[i].ref);
    }
}

/* With all that is kept given back, the director's own are left, and what is free is clean. */
static void check_extents(void)
{
    uint32_t n = 0, n_mine = extents_of(&mine[0]) + extents_of(&mine[1]) + extents_of(&mine[2]);
    cmp_block_trim(0);
    for (uint32_t e = CMP_EXTENT_FIRST, in_block = 0; e < cmp_extent_end(); e++) {
        uint32_t word = cmp_extent_word(e);
        if (word < CMP_EXTENT_TAIL || word >= CMP_EXTENT_CLAIM)
            in_block = word >> 24 == CMP_EXTENT_BLOCK;
        n += in_block;
        if (word == 0 && !is_zero(e))
            violation("extent %u is free and not clean", e);
    }
    if (n != n_mine)
        violation("%u extents are in blocks, and the director has %u", n, n_mine);
}

static long n_pages(void)
{
    struct stat st;
    return fstat(cmp_family_fd(), &st) < 0 ? -1 : (long)st.st_blocks;
}

/* A cell that is said to have its pages is used without a look: allocating them again must
   add none. */
static void check_pages(void)
{
    cmp_process_lock();
    for (uint32_t i = 0; i < cmp_slab_count(); i++) {
        struct cmp_view *v = cmp_slab_view(i);
        for (uint32_t j = 0; v->type == CMP_TYPE_BLOCK && j < v->count; j++) {
            size_t at = (size_t)((char *)cmp_view_cell(v, j) - (char *)v->slab);
            long before = n_pages();
            if (cmp_slab_has_pages(v, j) &&
                (cmp_extent_commit(v->extent, at, v->cell_bytes) < 0 || n_pages() != before))
                violation("cell %d of slab %d lacks pages", (int)j, (int)i);
        }
    }
    cmp_process_unlock();
}

static void aftermath(void)
{
    if (second_dies_too()) {
        spawn_second(sweeper);
        second_dies();
    }
    if (cmp_sweep() < 0)
        violation("sweep failed");
    check_pages();
    check_mine();
    check_new();
    check_extents();
}

/* ---- create and drop ------------------------------------------------------------------ */

static size_t wanted;

static void maker(int id)
{
    struct held b = {.bytes = wanted};
    ready();
    if (get(&b, 100 * (uint64_t)id))
        verify(&b, "the actor's");
    cmp_object_drop(b.ref);
}

enum { FIRST, FRESH, RECYCLED };
static void create(int how, int small)
{
    wanted = small ? SMALL : BIG;
    if (how != FIRST)
        fill_headers(N_FILLED);
    keep_blocks();
    if (how == RECYCLED)
        leave_warm(2, BIG);
    lead(spawn_victim(maker));
    aftermath();
}

/* Before the director has any. */
static void create_first(int a, int b)
{
    (void)a, (void)b;
    wanted = BIG;
    lead(spawn_victim(maker));
    keep_blocks();
    aftermath();
}

static void dropper(int id)
{
    (void)id;
    ready();
    cmp_object_drop(load64_seqcst(&board->ref[0]));
}

/* Whoever drops it last leaves it to the sweep. */
static void drop_inherited(int small, int b)
{
    (void)b;
    struct held theirs = {.bytes = small ? SMALL : BIG};
    fill_headers(N_FILLED);
    keep_blocks();
    get(&theirs, 42);
    store64_seqcst(&board->ref[0], theirs.ref);
    struct actor *v = spawn_victim(dropper);
    cmp_object_drop(theirs.ref);
    cmp_sweep();
    if (!is_living(theirs.ref))
        violation("a block was freed that the victim holds");
    verify(&theirs, "the victim's");
    lead(v);
    kill_actor(v);
    aftermath();
}

/* ---- take ------------------------------------------------------------------------------ */

static void taker(int id)
{
    struct held b = {.bytes = BIG, .signature = 42};
    void *data;
    await_order(id);
    ready();
    int rc = cmp_block_take(load64_seqcst(&board->ref[0]), BIG, &data);
    if (rc < 0) {
        violation("take: %d", rc);
        return;
    }
    b.data = data;
    verify(&b, "the taken");
    cmp_object_drop(load64_seqcst(&board->ref[0]));
}

static void take(int a, int b)
{
    (void)a, (void)b;
    struct held theirs = {.bytes = BIG};
    struct actor *v = spawn_victim_later(taker);
    keep_blocks();
    get(&theirs, 42);
    cmp_object_pin(theirs.ref);
    store64_seqcst(&board->ref[0], theirs.ref);
    give_order(v, 1);
    stand_ready(v);
    lead(v);
    if (cmp_sweep() < 0)
        violation("sweep failed");
    verify(&theirs, "the giver's");
    cmp_object_drop(theirs.ref);
    cmp_object_drop(theirs.ref);
    aftermath();
}

/* ---- giving back ----------------------------------------------------------------------- */

static void trimmer(int id)
{
    (void)id;
    ready();
    cmp_block_trim(0);
}

static void trim(int n, int small)
{
    fill_headers(N_FILLED);
    keep_blocks();
    leave_warm(n, small ? SMALL : BIG);
    lead(spawn_victim(trimmer));
    aftermath();
}

/* It stands at each point, while what it gives back is wanted again. */
static void trim_stopped(int n, int small)
{
    fill_headers(N_FILLED);
    keep_blocks();
    leave_warm(n, small ? SMALL : BIG);
    struct actor *v = spawn_victim(trimmer);
    stop_here(v);
    struct held again[N_BLOCKS];
    for (int i = 0; i < N_BLOCKS; i++) {
        again[i] = (struct held){.bytes = small ? SMALL : BIG};
        get(&again[i], 300 + 100 * (uint64_t)i);
    }
    release_actor(v);
    settle(NULL);
    for (int i = 0; i < N_BLOCKS; i++) {
        verify(&again[i], "a new");
        cmp_object_drop(again[i].ref);
    }
    aftermath();
}

/* A maker stands at each point, while others make the same and give back. */
static void create_stopped(int warm, int small)
{
    wanted = small ? SMALL : BIG;
    fill_headers(N_FILLED);
    keep_blocks();
    leave_warm(warm, wanted);
    struct actor *v = spawn_victim(maker);
    stop_here(v);
    cmp_sweep();
    check_new();
    leave_warm(N_BLOCKS, wanted);
    cmp_block_trim(0);
    release_actor(v);
    settle(NULL);
    aftermath();
}

/* ---- what the dead have left ------------------------------------------------------------ */

/* As one that dies while it gives back, or makes: its object names what it claims. */
static void half_done(int id)
{
    struct held b = {.bytes = BIG};
    void *cell;
    get(&b, 9);
    cmp_object_take(b.ref, CMP_TYPE_BIG, &cell);
    uint32_t e = cmp_place_extent(load64_seqcst(&((struct cmp_big *)cell)->place));
    cmp_extent_unpublish(e, CMP_EXTENT_KIND(CMP_EXTENT_BLOCK, cmp_object_index(b.ref)));
    if (cmp_extent_claim(5, true) < 0)
        violation("claim failed");
    mark(id);
    await_order(id);
}

static void leave_half_done(int n)
{
    for (int i = 0; i < n; i++)
        kill_actor(spawn_marked(half_done));
}

static void recover(int a, int b)
{
    (void)a, (void)b;
    keep_blocks();
    leave_half_done(2);
    lead(spawn_victim(sweeper));
    aftermath();
}

static void recover_stopped(int a, int b)
{
    (void)a, (void)b;
    keep_blocks();
    leave_half_done(1);
    struct actor *v = spawn_victim(sweeper);
    stop_here(v);
    struct held again = {.bytes = BIG};
    get(&again, 300);
    cmp_block_trim(0);
    check_new();
    release_actor(v);
    settle(NULL);
    verify(&again, "a new");
    cmp_object_drop(again.ref);
    aftermath();
}

static const struct scenario list[] = {
    {"block: create and drop, small", create, FRESH, 1, 5, 1, 0},
    {"block: create and drop, small, the first", create, FIRST, 1, 5, 0, 0},
    {"block: create and drop, the first big one", create_first, 0, 0, 7, 0, 0},
    {"block: create and drop", create, FRESH, 0, 5, 1, 0},
    {"block: create and drop, recycled", create, RECYCLED, 0, 3, 1, 0},
    {"block: drop what another made", drop_inherited, 0, 0, 1, 1, 0},
    {"block: drop what another made, small", drop_inherited, 1, 0, 1, 0, 0},
    {"block: take", take, 0, 0, 3, 0, 0},
    {"block: give back", trim, 2, 0, 3, 1, 0},
    {"block: give back, stopped while it is wanted", trim_stopped, 2, 0, 3, 0, 0},
    {"block: give back, small", trim, 3, 1, 3, 1, 0},
    {"block: give back, small, stopped while it is wanted", trim_stopped, 3, 1, 3, 0, 0},
    {"block: create, stopped while others give back", create_stopped, 0, 0, 5, 0, 0},
    {"block: recycle, stopped while others give back", create_stopped, 2, 0, 3, 0, 0},
    {"block: create small, stopped while others give back", create_stopped, 0, 1, 3, 0, 0},
    {"block: recycle small, stopped while others give back", create_stopped, 2, 1, 3, 0, 0},
    {"block: recover", recover, 0, 0, 17, 1, 0},
    {"block: recover, stopped while others go on", recover_stopped, 0, 0, 17, 0, 0},
};
SCENARIOS(list)
