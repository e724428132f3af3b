/* lock.h -- the Python locks, as Condition uses them.  */
#ifndef PYCMP_LOCK_H
#define PYCMP_LOCK_H

#include "handle.h"
#include "../core/atomics.h"
#include "../core/lock.h"

/* An instance of Lock or RLock.  thread: which thread of this process has a Lock, as
   far as this handle was used to acquire it; 0: none, or not known.  It is for
   Condition and for repr(): the core knows the process only.  */
struct pycmp_lock {
    struct pycmp_handle handle;
    cmp_word64 thread;
};

static inline struct cmp_lock *pycmp_lock_cell(PyObject *lock)
{
    return ((struct pycmp_handle *)lock)->cell;
}

/* acquire(), waiting up to duration_ns (0: not at all).  True, False, or NULL and an
   exception, with the lock not held: also that of an OwnerDiedWarning.  */
PyObject *pycmp_lock_acquire(PyObject *lock, int64_t duration_ns);

/* release().  None, or NULL and an exception.  */
PyObject *pycmp_lock_release(PyObject *lock);

/* Whether the calling thread has it: for a Lock, through this very object; or, is_mine,
   through another one, as far as this process knows.  */
bool pycmp_lock_taken_here(PyObject *lock);
bool pycmp_lock_is_mine(PyObject *lock);

/* Whether these bound methods are pycmp_lock_acquire and pycmp_lock_release of this
   object, which may be any; and it is a lock that is open.  */
bool pycmp_lock_has(PyObject *lock, PyObject *acquire, PyObject *release);

/* Note that the calling thread has it, or that none has.  */
void pycmp_lock_taken(PyObject *lock);
void pycmp_lock_left(PyObject *lock);

/* Emit OwnerDiedWarning for a lock taken over from owner code `dead`.  0, or -1 and
   an exception.  */
int pycmp_lock_warn(PyObject *lock, uint32_t dead);

#endif /* PYCMP_LOCK_H */
