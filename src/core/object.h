/* object.h -- what lives in the arena, and for how long.

   A reference is a generation and an index.  An object lives while a process of
   the family holds it: each process has a bitmap of what it holds, a sweep
   frees what no process holds.  See the prototype-proved rules:
   add the new reference, touch the object, remove the old reference.
   ...  */
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
    CMP_N_TYPES
};

/* Make an object with a cell of at least `bytes` (aligned to 64), whose contents
   are all zeroes or left over from an object of the same type: the caller
   formats it.  This process holds it once.  0, -ENOMEM or another -errno.  */
int cmp_object_create(enum cmp_type type, size_t bytes, cmp_ref *ref, void **cell);

/* Hold it once more, once less, in this process; for a handle that is there. */
int cmp_object_hold(cmp_ref ref);
void cmp_object_drop(cmp_ref ref);

/* A reference leaves for an unknown reader: keep the object as long as this
   process lives.  0 or -errno.  */
int cmp_object_pin(cmp_ref ref);

/* A reference has come in: check it, find its cell, hold it once.  -ESTALE: the
   object is gone; -EINVAL: it never was one, or is of another type.  */
int cmp_object_take(cmp_ref ref, enum cmp_type type, void **cell);

/* Its index, from which locks choose their hold word.  */
uint32_t cmp_object_index(cmp_ref ref);

/* From an object to another that lives as long as it does (COND -> COND_MORE):
   link is a word in the cell, 0 or a reference.  Sweeps trace it.  Publishes ref,
   of which this process's hold ends; false if another was there first.  */
bool cmp_object_link(cmp_word64 *link, cmp_ref ref);

/* The cell of a linked reference, NULL if it is damaged.  */
void *cmp_object_linked(cmp_ref ref, enum cmp_type type);

/* Prepare a slot for a child that is not forked by this process.  0 or -errno. */
int cmp_embryo_create(struct cmp_embryo *embryo);

/* Have the embryo hold a reference that this process holds.  0 or -errno.  */
int cmp_embryo_give(const struct cmp_embryo *embryo, cmp_ref ref);

/* The start failed, or: it is done, and this process's descriptor may go.  */
void cmp_embryo_abandon(struct cmp_embryo *embryo);
void cmp_embryo_sent(struct cmp_embryo *embryo);

/* In the child, a member of the family by now: take over what the embryo holds.
   From then on cmp_object_take finds it.  */
int cmp_embryo_adopt(const struct cmp_embryo *embryo);

/* Free what nobody can reach any more, and the slots of the dead.  Any process,
   any number at once.  The number of objects freed, or -errno.  */
int64_t cmp_sweep(void);

/* ---- for sweep.c ------------------------------------------------------------------- */

/* Where a cell of that type keeps its link, NULL: it has none.  */
cmp_word64 *cmp_object_link_in(uint32_t type, void *cell);

/* ---- for fork.c: both require the process lock ------------------------------------ */

void cmp_object_forking(void); /* in the parent: the child holds what it holds */
void cmp_object_forked(void);  /* in the child */

#endif /* CMP_OBJECT_H */
