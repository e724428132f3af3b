/* object.h -- what lives in the arena, and for how long.

   Layout    a reference is a generation (26 bits) and an index (24 bits), see slab.h
             for the index and the object word, held.h for who holds what.
   Invariant an object lives while a living process, or one that is being started, has
             its bit set, or while what lives links it.  Nobody counts: what a sweep
             cannot reach, it frees.  Every move adds the new reference, touches the
             object, and removes the old one, in this order.
             A process that made an object and has told nobody since (no fork, no
             pickle, no embryo, no link) has a token for it, and frees it itself when
             its last hold ends: one process, at once.  Everything else waits for the
             next sweep, which comes when cells or slots run out.
   Ordering  the contents of a cell are the creator's until it hands the reference on;
             who gets the reference by whatever channel sees them.
   If a process dies
             creating: object.create.bit: nothing yet; object.create.live: an object
             that only the dead hold
             dropping: object.drop.bit: an object that nobody holds
             taking: object.take.bit, object.take.source: as held by the dead
             linking: object.link.added, .touched: in the link, and held by the dead;
             object.link.removed: in the link
             sending: record.put.named: not in the record yet; object.left.touched: in the
             record, and held by the dead; object.left.removed: in the record
             receiving: object.arrive.bit, .touched: in the record, and held by the
             dead; the next one receives it, token and all
             starting a child: embryo.create.claimed, embryo.give.bit,
             embryo.abandon.released; the birth lock tells whether it will be born
             adopting: embryo.adopt.bit, .all: held by the embryo, whose birth lock goes
             with the process; embryo.adopt.released: held by the dead
             sweeping: sweep.judged, .copied, .mark.pass, .marked: nothing was written;
             sweep.free.object, sweep.freed, sweep.opened, sweep.reap.recovered: some are
             freed.
             Whatever is left, the next sweep of any process frees.  None of it needs
             repair, and none waits for a stopped process.
   Fork      the child holds all that the parent holds, from before fork() returns,
             whatever the parent drops then.  Tokens end, in both.
             A child without a slot (cmp_me_errno) holds nothing: every call says so.
   Records   a record of a ring (record.h) holds what it names, as a process does: from its
             commit, which adds, until it is taken out, which removes.  If the sender's
             token was still good, it goes along, as a bit of the reference.  */
#ifndef CMP_OBJECT_H
#define CMP_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include "cmp.h"
#include "owner.h"

typedef uint64_t cmp_ref; /* generation << 24 | index; never 0 */

/* What an object is.  The number is part of the layout. */
enum cmp_type {
    CMP_TYPE_LOCK = 1,
    CMP_TYPE_RLOCK,
    CMP_TYPE_SEM,
    CMP_TYPE_EVENT,
    CMP_TYPE_COND,
    CMP_TYPE_COND_MORE, /* further nodes of a condition, reached through it alone */
    CMP_TYPE_BARRIER,
    CMP_TYPE_BLOCK, /* see block.h */
    CMP_TYPE_BIG,
    CMP_TYPE_CHANNEL, /* see channel.h */
    CMP_TYPE_END,
    CMP_TYPE_QUEUE, /* see queue.h */
    CMP_N_TYPES
};

/* Make an object with a cell of at least `bytes` (aligned to 64), whose contents
   are all zeroes or left over from an object of the same type: the caller
   formats it.  This process holds it once.  Makes the family's arena if need be.
   0; -EINVAL: no such type, or more than 1 MiB; -EUSERS: this process has no slot;
   -ENOMEM or another -errno.  */
int cmp_object_create(enum cmp_type type, size_t bytes, cmp_ref *ref, void **cell);

/* Hold it once more, once less, in this process; for a handle that is there.
   0; -EINVAL: this process does not hold it; drop then does nothing.  */
int cmp_object_hold(cmp_ref ref);
void cmp_object_drop(cmp_ref ref);

/* drop, but for what may take a while: true if there is some, for cmp_block_settle.  */
bool cmp_object_drop_first(cmp_ref ref);

/* A reference leaves for an unknown reader: keep the object as long as this
   process lives.  0; -EINVAL: this process does not hold it.  */
int cmp_object_pin(cmp_ref ref);

/* A reference has come in: check it, find its cell, hold it once.  An object that
   this process does not hold must be held by another one that lives.  0; -ESTALE: the
   object is gone; -EINVAL: it never was one, or is of another type; -EUSERS, -ENOMEM. */
int cmp_object_take(cmp_ref ref, enum cmp_type type, void **cell);

/* How many bytes the cell of an object has that this process holds, 0 if it does not.  */
size_t cmp_object_bytes(cmp_ref ref);

/* Its index, from which locks choose their hold word.  */
uint32_t cmp_object_index(cmp_ref ref);

/* From an object to another that lives as long as it does (COND -> COND_MORE ->
   COND_MORE, END -> CHANNEL): link is a word in the cell, 0 or a reference; for COND_MORE
   and END, its first.
   Sweeps trace it.  Publishes ref, of which this process's hold ends; false if another
   was there first, or this process does not hold ref: nothing changed.  Requires that
   this process holds, directly or by links, what the link lies in.  */
bool cmp_object_link(cmp_word64 *link, cmp_ref ref);

/* The cell of a linked reference, NULL if it is damaged; and how many bytes it has.  */
void *cmp_object_linked(cmp_ref ref, enum cmp_type type);
void *cmp_object_linked_bytes(cmp_ref ref, enum cmp_type type, uint32_t *bytes);

/* The same, with the process lock.  */
void *cmp_object_linked_locked(cmp_ref ref, enum cmp_type type, uint32_t *bytes);

/* ---- what goes by records, for record.c --------------------------------------------- */

/* In a record, of a reference: nobody else knows the object.  */
#define CMP_REF_ALONE (UINT64_C(1) << 63)

/* One hold of each is about to go into a record: gives the references as the record must name
   them.  0; -EINVAL: this process does not hold one of them; nothing changed.  Requires the
   process lock, from here until after cmp_object_left.  */
int cmp_object_leave(const cmp_ref *refs, int n, cmp_ref *as_named);

/* The record was committed: those holds have ended.  */
void cmp_object_left(const cmp_ref *refs, int n);

/* Hold each once that a record names, which is not taken out yet; or that is linked in what this
   process holds.  0; or none is held:
   -ESTALE, -EINVAL: one of them is no living object (the record is damaged, or was forged);
   -EUSERS, -ENOMEM or another -errno: this process cannot hold it.  */
int cmp_object_arrive(const cmp_ref *named, int n);

/* ... and it stays there: those holds end.  */
void cmp_object_unarrive(const cmp_ref *named, int n);

/* Call visit for each end of a pipe that will get a record which names the object, if anybody
   has that end, and for each queue with such a record.  Requires the process lock.  */
void cmp_object_each_taker(cmp_ref ref, void (*visit)(void *arg, cmp_ref taker), void *arg);

/* A child that is not forked by this process (spawn, fork server), struct cmp_embryo
   in owner.h.  Its descriptor is one of the arena's file; it carries the birth lock:
   as long as any process has it, the embryo is not given up.
     The creator   create, give what the child will load, have the child inherit fd, or
                   send it to the fork server; then sent().  Or abandon().
     The fork server closes its copy once the child is forked.
     The child     cmp_family_join(fd): from then on fd is its arena's descriptor, and
                   stays open; cmp_embryo_adopt with the same slot, gen and fd: the lock
                   is given up, whoever else still has the descriptor.
   Where there are no birth locks fd is -1: pass on a copy of cmp_family_fd(), and adopt
   with fd -1.  */

/* Prepare a slot.  0; -EUSERS: all are taken; or another -errno.  */
int cmp_embryo_create(struct cmp_embryo *embryo);

/* Have the embryo hold an object that this process holds.  0; -EINVAL: it does not;
   -ESTALE: the embryo is none any more; -ENOMEM.  */
int cmp_embryo_give(const struct cmp_embryo *embryo, cmp_ref ref);

/* The start failed, no child will adopt; or: the child, or the fork server, has the
   descriptor.  Both close this process's own.  */
void cmp_embryo_abandon(struct cmp_embryo *embryo);
void cmp_embryo_sent(struct cmp_embryo *embryo);

/* In the child, a member of the family by now: hold what the embryo held.  The first
   cmp_object_take of each takes that hold over; what is never taken is held until the
   process ends.  0; -ESTALE: there is no such embryo (any more); -EUSERS; -ENOMEM.  */
int cmp_embryo_adopt(const struct cmp_embryo *embryo);

/* Free what nobody can reach any more, and the slots of the dead, asking the kernel
   about each process.  Any process, any number at once; it is also done on its own
   when cells or slots run out.  The number of objects freed, or -errno.  */
int64_t cmp_sweep(void);

/* ---- for block.c: both require the process lock, and a slot --------------------------- */

struct cmp_view;

/* As cmp_object_create, of the free cell of that index.  0; -EAGAIN: it is not free; or
   another -errno.  */
int cmp_object_revive(struct cmp_view *v, uint32_t index, cmp_ref *ref);
void cmp_object_drop_locked(cmp_ref ref);

/* ---- for sweep.c ------------------------------------------------------------------- */

/* Where a cell of that type keeps its link, NULL: it has none.  */
cmp_word64 *cmp_object_link_in(uint32_t type, void *cell);

/* Call visit(arg, ref) for all that an object of that view names, by its link or in records.
   Of what is under way or damaged some may be missing or wrong: see object words.  */
void cmp_object_each_ref(const struct cmp_view *v, void *cell,
                         void (*visit)(void *arg, cmp_ref ref), void *arg);
bool cmp_object_has_refs(uint32_t type);

/* ---- for fork.c: both require the process lock ------------------------------------ */

void cmp_object_forking(void); /* in the parent: the child holds what it holds */
void cmp_object_forked(void);  /* in the child */

#endif /* CMP_OBJECT_H */
