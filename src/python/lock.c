/* lock.c -- Lock and RLock.  */
#include "lock.h"
#include "../core/owner.h"

#define RELEASED_TOO_OFTEN "semaphore or lock released too many times"
#define NOT_OWNED "attempt to release recursive lock not owned by thread"

/* ---- who has it ------------------------------------------------------------------ */

static uint64_t this_thread(void)
{
    return PyThread_get_thread_ident();
}

void pycmp_lock_taken(PyObject *lock)
{
    store64_relaxed(&((struct pycmp_lock *)lock)->thread, this_thread());
}

void pycmp_lock_left(PyObject *lock)
{
    store64_relaxed(&((struct pycmp_lock *)lock)->thread, 0);
}

static uint64_t taken_by(PyObject *lock)
{
    return load64_relaxed(&((struct pycmp_lock *)lock)->thread);
}

bool pycmp_lock_taken_here(PyObject *lock)
{
    struct cmp_lock *l = pycmp_lock_cell(lock);
    return cmp_lock_is_mine(l) && (l->recursive || taken_by(lock) == this_thread());
}

bool pycmp_lock_is_mine(PyObject *lock)
{
    return pycmp_lock_taken_here(lock) ||
           (taken_by(lock) == 0 && cmp_lock_is_mine(pycmp_lock_cell(lock)));
}

/* ---- a dead owner ------------------------------------------------------------------ */

/* " (SIGKILL)", or nothing where Python has no name for it.  */
static PyObject *signal_name(int number)
{
    PyObject *name = NULL, *text = NULL;
    PyObject *signals = PyImport_ImportModule("signal");
    PyObject *member = signals == NULL ? NULL
                       : PyObject_CallMethod(signals, "Signals", "i", number);

    if (member != NULL)
        name = PyObject_GetAttrString(member, "name");
    if (name != NULL)
        text = PyUnicode_FromFormat(" (%U)", name);
    Py_XDECREF(signals);
    Py_XDECREF(member);
    Py_XDECREF(name);
    if (text != NULL)
        return text;
    PyErr_Clear();
    return PyUnicode_FromString("");
}

/* "process 12, was killed by signal 9 (SIGKILL)", as far as it is known.  */
static PyObject *tell_end(uint32_t dead)
{
    struct cmp_story story;

    cmp_owner_story(dead, &story);
    if (story.pid == 0)
        return PyUnicode_FromString("a process that is gone, ended");
    if (!story.has_status)
        return PyUnicode_FromFormat("process %d, ended", story.pid);
    if (story.status >= 0)
        return PyUnicode_FromFormat("process %d, exited with status %d", story.pid,
                                    story.status);
    PyObject *name = signal_name(-story.status);
    if (name == NULL)
        return NULL;
    PyObject *text = PyUnicode_FromFormat("process %d, was killed by signal %d%U", story.pid,
                                          -story.status, name);
    Py_DECREF(name);
    return text;
}

int pycmp_lock_warn(PyObject *lock, uint32_t dead)
{
    pycmp_state *st = pycmp_state_of(lock);
    PyObject *end = st == NULL ? NULL : tell_end(dead);
    PyObject *type = end == NULL ? NULL : PyType_GetQualName(Py_TYPE(lock));
    int rc = -1;

    if (type != NULL)
        rc = PyErr_WarnFormat(st->OwnerDiedWarning, 1,
                              "%U at %p was taken over: its owner, %U while it held the lock; "
                              "what the lock guards may be half changed", type, (void *)lock,
                              end);
    Py_XDECREF(end);
    Py_XDECREF(type);
    return rc;
}

/* The lock is held, taken over from the dead.  0, or -1, an exception and not held. */
static int warn_or_release(PyObject *lock, uint32_t dead)
{
    if (pycmp_lock_warn(lock, dead) == 0)
        return 0;
    cmp_lock_release(pycmp_lock_cell(lock));
    return -1;
}

/* ---- acquire and release ------------------------------------------------------------ */

struct acquire_op {
    struct cmp_lock *lock;
    uint32_t dead;
};

static int acquire_op(void *arg, int64_t deadline_ns)
{
    struct acquire_op *op = arg;
    return cmp_lock_acquire(op->lock, deadline_ns, &op->dead);
}

PyObject *pycmp_lock_acquire(PyObject *lock, int64_t duration_ns)
{
    struct acquire_op op = {.lock = pycmp_lock_cell(lock)};
    int rc = cmp_lock_try_acquire(op.lock, &op.dead);

    if (rc == -EAGAIN && duration_ns > 0)
        rc = pycmp_block(acquire_op, &op, pycmp_deadline_after(duration_ns));
    if (rc == -EAGAIN || rc == -ETIMEDOUT)
        Py_RETURN_FALSE;
    if (rc == -EOWNERDEAD)
        rc = warn_or_release(lock, op.dead);
    if (rc < 0)
        return pycmp_raise(rc);
    if (!op.lock->recursive)
        pycmp_lock_taken(lock);
    Py_RETURN_TRUE;
}

static PyObject *raise_not_held(struct cmp_lock *l)
{
    if (l->recursive)
        PyErr_SetString(PyExc_AssertionError, NOT_OWNED);
    else if (cmp_lock_held(l))
        PyErr_SetString(PyExc_ValueError, "this lock was taken over from a process that ended; "
                                          "only the process that holds it may release it");
    else
        PyErr_SetString(PyExc_ValueError, RELEASED_TOO_OFTEN);
    return NULL;
}

PyObject *pycmp_lock_release(PyObject *lock)
{
    struct cmp_lock *l = pycmp_lock_cell(lock);

    if (!l->recursive)
        pycmp_lock_left(lock); /* before others can have it */
    int rc = cmp_lock_release(l);
    if (rc == -EPERM)
        return raise_not_held(l);
    if (rc < 0)
        return pycmp_raise(rc);
    Py_RETURN_NONE;
}

/* ---- methods ------------------------------------------------------------------------- */

static PyObject *Lock_acquire(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    int64_t duration_ns;

    if (pycmp_cell(self) == NULL || pycmp_patience(args, nargs, kwnames, &duration_ns) < 0)
        return NULL;
    return pycmp_lock_acquire(self, duration_ns);
}

static PyObject *Lock_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
    return pycmp_cell(self) == NULL ? NULL : pycmp_lock_acquire(self, CMP_FOREVER);
}

static PyObject *Lock_release(PyObject *self, PyObject *Py_UNUSED(none))
{
    return pycmp_cell(self) == NULL ? NULL : pycmp_lock_release(self);
}

static PyObject *Lock_exit(PyObject *self, PyObject *const *Py_UNUSED(args),
                           Py_ssize_t Py_UNUSED(nargs))
{
    return pycmp_cell(self) == NULL ? NULL : pycmp_lock_release(self);
}

static PyObject *Lock_locked(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_lock *l = pycmp_cell(self);
    return l == NULL ? NULL : PyBool_FromLong(cmp_lock_held(l));
}

static PyObject *Lock_mark_consistent(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_lock *l = pycmp_cell(self);
    if (l == NULL)
        return NULL;
    cmp_lock_mark_consistent(l);
    Py_RETURN_NONE;
}

static PyObject *Lock_owner_died(PyObject *self, void *Py_UNUSED(closure))
{
    struct cmp_lock *l = pycmp_cell(self);
    return l == NULL ? NULL : PyBool_FromLong(cmp_lock_owner_died(l));
}

static bool is_method(PyObject *method, PyObject *self, PyCFunction function)
{
    return PyCFunction_Check(method) && PyCFunction_GET_SELF(method) == self &&
           PyCFunction_GET_FUNCTION(method) == function;
}

bool pycmp_lock_has(PyObject *lock, PyObject *acquire, PyObject *release)
{
    return is_method(acquire, lock, PYCMP_FAST(Lock_acquire)) &&
           is_method(release, lock, Lock_release) && ((struct pycmp_handle *)lock)->cell != NULL;
}

/* What multiprocessing's SemLock has.  */

static PyObject *Lock_is_mine(PyObject *self, PyObject *Py_UNUSED(none))
{
    return pycmp_cell(self) == NULL ? NULL : PyBool_FromLong(pycmp_lock_is_mine(self));
}

static PyObject *Lock_is_zero(PyObject *self, PyObject *none)
{
    return Lock_locked(self, none);
}

static PyObject *Lock_get_value(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_lock *l = pycmp_cell(self);
    return l == NULL ? NULL : PyLong_FromLong(!cmp_lock_held(l));
}

/* How often it was acquired by this process, by another thread: at least once.  */
static PyObject *Lock_count(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_lock *l = pycmp_cell(self);
    if (l == NULL)
        return NULL;
    uint32_t owner = cmp_lock_owner(l);
    uint32_t depth = cmp_lock_depth(l);
    if (l->recursive && depth > 0)
        return PyLong_FromUnsignedLong(depth);
    return PyLong_FromLong(owner != 0 && owner == cmp_me());
}

static int open_new(PyObject *self, enum cmp_type type, bool recursive)
{
    cmp_ref ref;
    void *cell;

    if (pycmp_object_create(type, sizeof(struct cmp_lock), &ref, &cell) < 0)
        return -1;
    cmp_lock_init(cell, cmp_object_index(ref), recursive);
    return pycmp_handle_open(self, ref, cell);
}

static int Lock_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (pycmp_no_arguments("Lock", args, kwargs) < 0)
        return -1;
    return open_new(self, CMP_TYPE_LOCK, false);
}

static int RLock_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (pycmp_no_arguments("RLock", args, kwargs) < 0)
        return -1;
    return open_new(self, CMP_TYPE_RLOCK, true);
}

static PyObject *load_state(PyObject *self, PyObject *state, enum cmp_type type)
{
    if (pycmp_handle_setstate(self, state, type, NULL, 0) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *Lock_setstate(PyObject *self, PyObject *state)
{
    return load_state(self, state, CMP_TYPE_LOCK);
}

static PyObject *RLock_setstate(PyObject *self, PyObject *state)
{
    return load_state(self, state, CMP_TYPE_RLOCK);
}

/* ---- the types ----------------------------------------------------------------------- */

PyDoc_STRVAR(acquire_doc,
"acquire($self, /, block=True, timeout=None, *, blocking=True)\n"
"--\n"
"\n"
"Acquire the lock; return whether that was possible in time.\n"
"\n"
"If the process that held it has ended, the lock is taken over: this succeeds,\n"
"with an OwnerDiedWarning.  block and blocking are the same.");

PyDoc_STRVAR(release_doc,
"release($self, /)\n"
"--\n"
"\n"
"Release the lock.  An RLock: only the thread that has it may.");

PyDoc_STRVAR(locked_doc,
"locked($self, /)\n"
"--\n"
"\n"
"Whether anybody holds the lock.");

PyDoc_STRVAR(enter_doc,
"__enter__($self, /)\n"
"--\n"
"\n");

PyDoc_STRVAR(exit_doc,
"__exit__($self, /, *args)\n"
"--\n"
"\n");

PyDoc_STRVAR(mark_consistent_doc,
"mark_consistent($self, /)\n"
"--\n"
"\n"
"Say that what the lock guards is in order again after its owner died.");

PyDoc_STRVAR(owner_died_doc,
"Whether a process ended while it held the lock, until mark_consistent().");

#define LOCK_METHODS(setstate) \
    {"acquire", PYCMP_FAST(Lock_acquire), METH_FASTCALL | METH_KEYWORDS, acquire_doc}, \
    {"release", Lock_release, METH_NOARGS, release_doc}, \
    {"locked", Lock_locked, METH_NOARGS, locked_doc}, \
    {"mark_consistent", Lock_mark_consistent, METH_NOARGS, mark_consistent_doc}, \
    {"__enter__", Lock_enter, METH_NOARGS, enter_doc}, \
    {"__exit__", PYCMP_FAST(Lock_exit), METH_FASTCALL, exit_doc}, \
    {"__setstate__", setstate, METH_O, NULL}, \
    {"_is_mine", Lock_is_mine, METH_NOARGS, NULL}, \
    {"_is_zero", Lock_is_zero, METH_NOARGS, NULL}, \
    {"_get_value", Lock_get_value, METH_NOARGS, NULL}, \
    {"_count", Lock_count, METH_NOARGS, NULL}, \
    {NULL, NULL, 0, NULL}

static PyMethodDef Lock_methods[] = {LOCK_METHODS(Lock_setstate)};
static PyMethodDef RLock_methods[] = {LOCK_METHODS(RLock_setstate)};

static PyGetSetDef Lock_getset[] = {
    {"owner_died", Lock_owner_died, NULL, owner_died_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(Lock_doc,
"Lock(*, ctx)\n"
"--\n"
"\n"
"A lock that one process or thread holds at a time.");

PyDoc_STRVAR(RLock_doc,
"RLock(*, ctx)\n"
"--\n"
"\n"
"A lock that the thread which holds it may acquire again.");

static PyType_Slot Lock_slots[] = {
    {Py_tp_doc, (void *)Lock_doc},
    {Py_tp_new, pycmp_handle_new},
    {Py_tp_init, Lock_init},
    {Py_tp_dealloc, pycmp_handle_dealloc},
    {Py_tp_traverse, pycmp_handle_traverse},
    {Py_tp_clear, pycmp_handle_clear},
    {Py_tp_methods, Lock_methods},
    {Py_tp_getset, Lock_getset},
    {0, NULL},
};

static PyType_Slot RLock_slots[] = {
    {Py_tp_doc, (void *)RLock_doc},
    {Py_tp_new, pycmp_handle_new},
    {Py_tp_init, RLock_init},
    {Py_tp_dealloc, pycmp_handle_dealloc},
    {Py_tp_traverse, pycmp_handle_traverse},
    {Py_tp_clear, pycmp_handle_clear},
    {Py_tp_methods, RLock_methods},
    {Py_tp_getset, Lock_getset},
    {0, NULL},
};

PyType_Spec pycmp_lock_spec = {
    .name = "cmp._cmp.Lock",
    .basicsize = sizeof(struct pycmp_lock),
    .flags = PYCMP_HANDLE_FLAGS,
    .slots = Lock_slots,
};

PyType_Spec pycmp_rlock_spec = {
    .name = "cmp._cmp.RLock",
    .basicsize = sizeof(struct pycmp_lock),
    .flags = PYCMP_HANDLE_FLAGS,
    .slots = RLock_slots,
};
