/* block.h -- payload in the arena: bytes of any number, with the life of an object.

   Layout    up to CMP_BLOCK_SMALL_MAX bytes: an object of CMP_TYPE_BLOCK, whose cell is
             the payload.  More: an object of CMP_TYPE_BIG, whose cell is struct cmp_big
             and names the extents of the payload:
               place   n_extents << 32 | first extent; 0: it has none
             Those extents are of kind CMP_EXTENT_BLOCK, with the object's index.
   Invariant a big object keeps its extents while it is free, to be used again by who
             wants about as many; one process at a time may change place: it has brought
             the free object to life, and has a claim on the extent that place named, or
             is to name.  So an extent of kind BLOCK is named by the object of its index,
             and by no other.
             What is kept by free objects is given back where it is more than
             CMP_BLOCK_WARM_BYTES, and all of it before an allocation fails, when the free
             cells above 4 KiB give back their pages too.
   Ordering  place is stored before the reference goes anywhere, as contents are.
   If a process dies
             creating: block.create.claimed: claimed extents that nothing names:
             cmp_extent_recover frees them
             block.create.live: an object without extents, which only the dead hold
             block.create.named: named, and claimed: recover publishes them
             block.create.published: an object that only the dead hold
             giving back: block.give.live: an object that only the dead hold
             block.give.claimed: named, and claimed: recover publishes them
             block.give.unnamed, block.give.dropped: claimed, not named: recover frees
             All else is the sweep's (object.h).
   Fork      as for any object; what this process remembers of free ones are hints.  */
#ifndef CMP_BLOCK_H
#define CMP_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include "object.h"

#define CMP_BLOCK_SMALL_MAX ((size_t)1 << 16)
#define CMP_BLOCK_WARM_BYTES ((size_t)256 << 20)

struct cmp_big {
    cmp_word64 place;
    cmp_word64 reserved[7];
};
_Static_assert(sizeof(struct cmp_big) == 64, "shared layout");

static inline uint32_t cmp_place_extent(uint64_t place)
{
    return (uint32_t)place;
}

static inline uint32_t cmp_place_extents(uint64_t place)
{
    return (uint32_t)(place >> 32);
}

/* Make a block of so many bytes at *data, aligned to 64, whose pages are allocated:
   touching them cannot fail.  All zeroes with zero, else whatever was left there.  This
   process holds it once: cmp_object_hold, _drop, _pin and cmp_embryo_give are for *ref.
   *cell is for cmp_block_data.  0; -ENOMEM, -EFBIG: it cannot be had, and nothing has
   changed; -EUSERS or another -errno, as cmp_object_create.  */
int cmp_block_create(size_t bytes, bool zero, cmp_ref *ref, void **cell, void **data);

/* What type of object a block of so many bytes is.  */
enum cmp_type cmp_block_type(size_t bytes);

/* Of a block that this process holds, with its cell as cmp_object_take gives it: where its
   bytes are.  0; -EINVAL: it has not so many; -EUCLEAN: it is damaged.  */
int cmp_block_data(cmp_ref ref, void *cell, size_t bytes, void **data);

/* ... of one that something else keeps alive meanwhile, by its reference alone.  0; -EUCLEAN:
   it is no such block.  */
int cmp_block_linked(cmp_ref ref, size_t bytes, void **data);
int cmp_block_linked_locked(cmp_ref ref, size_t bytes, void **data); /* with the process lock */

/* A reference has come in: cmp_object_take and cmp_block_data.  */
int cmp_block_take(cmp_ref ref, size_t bytes, void **data);

/* Give back the extents of free objects, but for so many bytes; with 0 the pages of free
   cells too.  How many extents and cells. */
uint32_t cmp_block_trim(size_t keep_bytes);

/* An allocation has failed: sweep, and give back all that is kept.  Whether there may be room
   now.  Without the process lock.  */
bool cmp_block_make_room(void);

/* Verify that extents and objects name each other; say() once for each thing that is
   wrong.  How many.  For cmp_check.  */
int cmp_block_check(void (*say)(void *arg, const char *what), void *arg);

/* ---- for object.c and sweep.c ------------------------------------------------------ */

/* A big object has become free; or is left to the sweep; or a sweep has freed objects.
   Require the process lock. */
void cmp_block_freed(struct cmp_view *v, uint32_t index);
void cmp_block_left(struct cmp_big *big);
void cmp_block_swept(void);

/* Sweep, and give back, where it may be too much: a second for some GB.  Without the process
   lock.  And whether it may be.  */
void cmp_block_settle(void);
bool cmp_block_is_unsettled(void);

/* What extent e is, if a big object names it, else 0: for cmp_extent_recover.  The word of
   e itself where that cannot be told now.  Requires the process lock.  */
uint32_t cmp_block_kind_of(uint32_t e);

#endif /* CMP_BLOCK_H */
