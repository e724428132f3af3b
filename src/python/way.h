/* way.h -- where the references go that pickles name: to a child that is being started, along with
   a message, or to readers whom nobody knows.

   Each thread has the ways that it has entered and not left, the innermost of which takes what the
   thread pickles, whoever's pickle it is: what a finalizer or a signal handler writes meanwhile, by
   means that are not cmp's own, goes the same way.  Without one an object is pinned.

   A cargo is the way into a message: the objects are held once each for it, until the record of the
   message holds them (core/ring.h); and at the other end until the message was read.  What goes
   along need not live longer than that, wherever its sender is by then.
   If the process dies: it held them, as anything else.
   Fork      the child has a cargo of its own, if the thread that forks was filling it; other threads'
             stay with it until it ends.  */
#ifndef PYCMP_WAY_H
#define PYCMP_WAY_H

#include "module.h"
#include "../core/ring.h"

struct pycmp_way {
    int (*take)(struct pycmp_way *way, cmp_ref ref); /* 1; 0: no room; -1 and an exception */
    struct pycmp_way *outer;
};

/* It may be left in any order, but by the same thread; the memory is the caller's, and not of a
   stack: a greenlet's may be elsewhere when it is looked for.  */
void pycmp_way_enter(struct pycmp_way *way);
void pycmp_way_leave(struct pycmp_way *way);
bool pycmp_way_is_innermost(const struct pycmp_way *way);

/* A pickle that names an object is being written: the innermost way takes it.  1; 0: none does;
   -1 and an exception.  */
int pycmp_reference_goes_along(cmp_ref ref);

/* The same, but where none takes it the object lives as long as this process.  0, or -1 and an
   exception.  */
int pycmp_reference_leaves(cmp_ref ref);

/* ---- cargoes ------------------------------------------------------------------------ */

#define PYCMP_CARGO_MAX (CMP_RECORD_REFS - 2) /* a block may go with them */

struct pycmp_cargo {
    struct pycmp_way way;
    int n;
    cmp_ref refs[PYCMP_CARGO_MAX]; /* each held once, and there once */
};

/* An empty one, that is entered; NULL and a MemoryError.  close: no more comes in.  free: with what
   has not gone on; or NULL.  All with the GIL.  */
struct pycmp_cargo *pycmp_cargo_open(void);
void pycmp_cargo_close(struct pycmp_cargo *cargo);
void pycmp_cargo_free(struct pycmp_cargo *cargo);

/* ---- arrivals -------------------------------------------------------------------------- */

/* What came with a message that this thread is going to read; NULL and a MemoryError.  */
struct pycmp_arrival;
struct pycmp_arrival *pycmp_arrival_begin(const cmp_ref *refs, int n);

/* A pickle that this thread reads has brought a handle on that object.  */
void pycmp_reference_arrived(cmp_ref ref);

/* It was read, or cannot be: sorts refs, which are those that came, and gives the number of the
   first, which have become handles.  */
int pycmp_arrival_end(struct pycmp_arrival *arrival, cmp_ref *refs);

#endif /* PYCMP_WAY_H */
