/* check.h -- fsck of the arena: the oracle of the crash tests.

   What it verifies holds at any moment, beside running processes, stopped ones and
   the traces of dead ones, so none of it is a matter of luck:
     - the extent tables (arena.h), and that blocks and their extents name each other
     - every slot is in one of its phases; what it names are extents of bits; every
       bit that is set in a root names a cell that exists
     - every slab of the directory is sound, its object words are in one of their
       phases; what lives has a generation
     - what an object links is a cell of the right type
     - every living cell keeps its type's own invariants (cmp_lock_check, ...)
     - this process's private counts and its bits are the same
   Left out, because it may be so for a while: objects that nobody holds (a sweep
   frees them), bits of objects that are free (a death between bit and object).
   A complaint that may come from looking twice at what changes is only made if it
   comes three times.  */
#ifndef CMP_CHECK_ARENA_H
#define CMP_CHECK_ARENA_H

/* Verify every invariant of the family's arena that holds at any moment, also
   beside running processes.  say() is called once for each thing that is wrong; it
   must not call cmp.  The number of them, or -errno; -ENOTCONN: there is no arena.  */
int cmp_check(void (*say)(void *arg, const char *what), void *arg);

#endif /* CMP_CHECK_ARENA_H */
