/* held.h -- which objects a process holds: a bitmap for each slot.

   Layout    one bit for each index that an object can have, 2^24 of them, in up to
             16 pairs of extents that the slot names, made when they are needed and
             kept for the slot's next process.  Page p of all of them (32768 bits)
             is in use, allocated and not all zeroes, only if bit p of held_pages
             is set.
   Invariant a bit that is set and the slot's phase EMBRYO, LIVE or ORPHANED: the
             object is held.  Bits are written by the slot's process alone, before
             its birth by its creator, each under the process lock.
   Ordering  a bit is set by a seq_cst store, before the touch of the object, and
             cleared by one; a sweep loads them so.
   If a process dies
             between the bit of a page and the first bit in it: a page of zeroes
                                                             held.set.page
             between extent and its name in the slot: cmp_extent_recover
             otherwise the slot is a root no more, all at once.
   Fork      the parent copies its own bits into the child's slot.  */
#ifndef CMP_HELD_H
#define CMP_HELD_H

#include <stdbool.h>
#include "owner.h"

/* Set a bit of that slot.  0, -ENOMEM or another -errno.  */
int cmp_held_set(struct cmp_slot *s, uint32_t index);
void cmp_held_clear_bit(struct cmp_slot *s, uint32_t index);
bool cmp_held_test(struct cmp_slot *s, uint32_t index);

/* Empty the table of a claimed slot.  */
void cmp_held_clear(struct cmp_slot *s);

/* Replace the table of claimed slot `to` by what slot `from` holds.  0 or -errno.  */
int cmp_held_copy(struct cmp_slot *to, struct cmp_slot *from);

/* Call visit(arg, first index, 64 bits) for each word that is not 0.  */
void cmp_held_each(struct cmp_slot *s, void (*visit)(void *arg, uint32_t index, uint64_t bits),
                   void *arg);

/* What extent e is, if a slot names it, else 0: for cmp_extent_recover.  */
uint32_t cmp_held_kind_of(uint32_t e);

#endif /* CMP_HELD_H */
