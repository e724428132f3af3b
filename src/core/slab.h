/* slab.h -- where objects lie: slabs of cells of one type and one size.

   Layout    an extent, or several neighbours for cells above 16 KiB:
               struct cmp_slab, 192 bytes
               the object words, 8 bytes each:  ver32 | gen26 | phase6
               the cells, each at a multiple of 64
             An index is slab14 | j10; the directory of slabs (arena.h) names the
             extent of each.  Cells of 64 bytes: 907 in an extent, 72 bytes each.
   Phases    FREE, LIVE.  gen grows when an object is freed, and skips 0; a
             reference names the gen.  ver grows with every touch and every change
             of phase, so that a sweep sees that something moved.
   Invariant a slab keeps type and size as long as the arena lives: what the kernel
             stores late into a lock or park word hits one of the same kind.
   Ordering  the directory names a slab after its header was stored.
   If a process dies
             with a slab claimed or named, not published: cmp_extent_recover.
             between the pages of a large cell and their bit: allocated again
                                                               slab.commit.pages
             giving them back: they have no bit, so they will be allocated again
                                                               slab.uncommit.bit
   Fork      views are private and inherited; hints go their own way, fork.c.  */
#ifndef CMP_SLAB_H
#define CMP_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include "arena.h"
#include "object.h"

#define CMP_SLAB_BITS 14
#define CMP_CELL_BITS 10
#define CMP_CELLS_MAX (1u << CMP_CELL_BITS)
#define CMP_CELL_BYTES_MAX (1u << 20)
_Static_assert(CMP_SLABS == 1u << CMP_SLAB_BITS, "an index has 24 bits");

/* Object words. */
#define CMP_OBJECT_FREE 0u
#define CMP_OBJECT_LIVE 1u
#define CMP_OBJECT_TOUCH (UINT64_C(1) << 32)
#define CMP_GEN_MASK ((UINT32_C(1) << 26) - 1)

static inline uint32_t cmp_word_phase(uint64_t word)
{
    return (uint32_t)word & 63;
}

static inline uint32_t cmp_word_gen(uint64_t word)
{
    return (uint32_t)word >> 6;
}

/* The word after `from`, changed to that gen and phase. */
static inline uint64_t cmp_word_next(uint64_t from, uint32_t gen, uint32_t phase)
{
    return ((from >> 32) + 1) << 32 | (uint64_t)gen << 6 | phase;
}

static inline uint32_t cmp_gen_after(uint32_t gen)
{
    gen = (gen + 1) & CMP_GEN_MASK;
    return gen == 0 ? 1 : gen;
}

struct cmp_slab {
    cmp_word type;       /* enum cmp_type */
    cmp_word cell_bytes; /* with the type it decides the rest of the layout */
    cmp_word cursor;     /* where the next process looks for free cells; any value is right */
    uint32_t reserved[13];
    cmp_word64 committed[CMP_CELLS_MAX / 64]; /* large cells: whose pages are allocated; the bit
                                                 changes by who has brought the cell to life */
};
_Static_assert(sizeof(struct cmp_slab) == 192, "shared layout");

/* What this process knows of one object: how often it holds it, the number of the
   fork since when nobody else can know it (0: somebody may), and whether one hold came
   from an embryo, for the first taker.  Of what is held, the object word tells the gen:
   it cannot change.  Small, since a fork copies the page tables of all of them.  */
struct cmp_hold {
    uint32_t count : 20; /* at its maximum it stays: held until the process ends */
    uint32_t token : 11;
    uint32_t adopted : 1;
};
_Static_assert(sizeof(struct cmp_hold) == 4, "a million of them are 4 MB");
#define CMP_HOLD_COUNT_MAX ((1u << 20) - 1)
#define CMP_HOLD_TOKEN_MAX ((1u << 11) - 1)

/* What this process knows of a slab; checked against damage when it was made. */
struct cmp_view {
    struct cmp_slab *slab;
    cmp_word64 *words;
    char *cells;
    struct cmp_hold *holds;
    uint32_t extent;
    uint32_t number;
    uint32_t type;
    uint32_t cell_bytes;
    uint32_t count;
    uint32_t n_free; /* an estimate; 0: look elsewhere */
};

/* Everything below requires the process lock.  */

/* The view of a slab, NULL if there is no such slab or it is damaged.  */
struct cmp_view *cmp_slab_view(uint32_t number);

/* The view of an index, NULL if it can be none.  */
static inline struct cmp_view *cmp_view_of(uint32_t index)
{
    struct cmp_view *v = cmp_slab_view(index >> CMP_CELL_BITS);
    return v != NULL && index % CMP_CELLS_MAX < v->count ? v : NULL;
}

static inline cmp_word64 *cmp_view_word(struct cmp_view *v, uint32_t index)
{
    return &v->words[index % CMP_CELLS_MAX];
}

/* Forget all tokens of this process.  */
void cmp_slab_void_tokens(void);

static inline struct cmp_hold *cmp_view_hold(struct cmp_view *v, uint32_t index)
{
    return &v->holds[index % CMP_CELLS_MAX];
}

static inline void *cmp_view_cell(struct cmp_view *v, uint32_t index)
{
    return v->cells + (size_t)(index % CMP_CELLS_MAX) * v->cell_bytes;
}

/* How many slabs there are.  */
uint32_t cmp_slab_count(void);

/* The bytes that a cell of at least so many has, 0 if that is too many; and how many
   such cells a slab has, and where they begin. */
uint32_t cmp_slab_cell_bytes(size_t bytes);
uint32_t cmp_slab_cells(uint32_t cell_bytes);
uint32_t cmp_slab_cells_at(uint32_t cell_bytes);

/* The index of a cell that was seen FREE, of that type and size: another process
   may have it by now.  0 or -errno.  */
int cmp_slab_hint(enum cmp_type type, uint32_t cell_bytes, uint32_t *index);

/* One more slab of that type and size; others may use its cells too.  0 or -errno.  */
int cmp_slab_add(enum cmp_type type, uint32_t cell_bytes);

/* Fresh memory for n cells of 64 bytes is about to be taken: sweep, if that costs less and
   there is a reason to.  Whether objects were freed.  */
bool cmp_slab_sweep(uint64_t n);

/* That cell is free: have it used again soon.  */
void cmp_slab_freed(struct cmp_view *v, uint32_t index);

/* Have the pages of a cell allocated that this process has brought to life: so what is said
   of them and what they are changes in one process at a time.  0 or -errno.  */
int cmp_slab_commit(struct cmp_view *v, uint32_t index);

/* Whether that cell has pages of its own, which can be given back; and do so, of a cell that
   this process has brought to life and nobody needs.  Its contents are zeroes then, in part. */
bool cmp_slab_has_pages(struct cmp_view *v, uint32_t index);
void cmp_slab_uncommit(struct cmp_view *v, uint32_t index);

/* After a sweep, which has set n_free of every view: so many objects live.  */
void cmp_slab_swept(uint64_t n_live);

/* The arena is unmapped: know nothing.  */
void cmp_slab_forget(void);

/* In a forked child: leave the parent its hints.  */
void cmp_slab_forked(void);

#endif /* CMP_SLAB_H */
