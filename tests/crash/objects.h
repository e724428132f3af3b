/* objects.h -- what the scenarios of objects, sweeps, blocks and extents share. */
#ifndef CMP_CRASH_OBJECTS_H
#define CMP_CRASH_OBJECTS_H

#include "harness.h"

#define CELL 64
#define FULL_SLAB 907 /* objects in one slab of such cells */
#define N_KEPT 3

/* Whether all bytes of an extent are.  In arena.c.  */
bool is_zero(uint32_t e);

/* Objects of the director's, each with a signature in it.  */
extern cmp_ref kept[N_KEPT];
void keep_some(void);
void check_kept(void);

/* A signature is an event's count that nobody else gives it.  */
void sign(void *cell, uint32_t signature);
bool is_signed(void *cell, uint32_t signature);

/* n new objects are new: none of them is one that lives.  */
void check_fresh(int n);

/* The role of one that sweeps; and what the survivors of a trial must find.  */
void sweeper(int id);
void survive(void);

#endif /* CMP_CRASH_OBJECTS_H */
