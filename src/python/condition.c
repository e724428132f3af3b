/* condition.c -- Condition, on a Lock or RLock.

   A wait queues up, releases the lock, sleeps, and acquires the lock again
   (core/cond.h).  Python's signal handlers run in the middle without costing the
   place in the queue; one that raises ends the wait, with the lock held again, unless
   it raises, or another does, while the lock is waited for: then the exception leaves
   without it, and __exit__ lets it pass.  */
#include "lock.h"
#include "../core/cond.h"

#define NOT_ACQUIRED "must acquire() condition before using wait()"

struct condition {
    struct pycmp_handle handle;
    PyObject *lock; /* NULL until __init__; a strong reference, for good */
};

/* The lock of self, if self is open; else NULL and a RuntimeError.  */
static PyObject *lock_of(PyObject *self)
{
    return pycmp_cell(self) == NULL ? NULL : ((struct condition *)self)->lock;
}

/* The condition and its lock, if the caller holds that.  NULL and an AssertionError
   that says `otherwise`.  */
static struct cmp_cond *held(PyObject *self, PyObject **lock, const char *otherwise)
{
    *lock = lock_of(self);
    if (*lock == NULL)
        return NULL;
    if (pycmp_lock_is_mine(*lock))
        return pycmp_cell(self);
    PyErr_SetString(PyExc_AssertionError, otherwise);
    return NULL;
}

/* ---- the lock ------------------------------------------------------------------------- */

static PyObject *Condition_acquire(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *kwnames)
{
    PyObject *lock = lock_of(self);
    int64_t duration_ns;

    if (lock == NULL || pycmp_patience(args, nargs, kwnames, &duration_ns) < 0)
        return NULL;
    return pycmp_lock_acquire(lock, duration_ns);
}

static PyObject *Condition_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
    PyObject *lock = lock_of(self);
    return lock == NULL ? NULL : pycmp_lock_acquire(lock, CMP_FOREVER);
}

static PyObject *Condition_release(PyObject *self, PyObject *Py_UNUSED(none))
{
    PyObject *lock = lock_of(self);
    return lock == NULL ? NULL : pycmp_lock_release(lock);
}

static PyObject *Condition_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *lock = lock_of(self);
    if (lock == NULL)
        return NULL;
    if (nargs > 0 && args[0] != Py_None && !pycmp_lock_taken_here(lock))
        Py_RETURN_NONE; /* wait() has left without the lock: its exception counts */
    return pycmp_lock_release(lock);
}

/* ---- wait ------------------------------------------------------------------------------- */

struct wait_op {
    struct cmp_cond *cond;
    struct cmp_lock *lock;
    struct cmp_cond_wait wait;
    uint32_t dead;
};

static int wait_op(void *arg, int64_t deadline_ns)
{
    struct wait_op *op = arg;
    return cmp_cond_wait(op->cond, &op->wait, deadline_ns);
}

static int lock_op(void *arg, int64_t deadline_ns)
{
    struct wait_op *op = arg;
    return cmp_lock_acquire(op->lock, deadline_ns, &op->dead);
}

/* After the sleep: acquire the lock as it was held.  0, or -1 and an exception: of a
   warning, with the lock held; of anything else, without it, and the notify that
   ended the sleep goes to another.  */
static int lock_again(struct wait_op *op, PyObject *lock)
{
    int rc = cmp_lock_try_acquire(op->lock, &op->dead);

    if (rc == -EAGAIN)
        rc = pycmp_block(lock_op, op, CMP_FOREVER);
    if (rc < 0 && rc != -EOWNERDEAD) {
        cmp_cond_quit(op->cond, &op->wait);
        pycmp_raise(rc);
        return -1;
    }
    cmp_cond_leave(op->cond, op->lock, &op->wait);
    pycmp_lock_taken(lock);
    return rc == -EOWNERDEAD ? pycmp_lock_warn(lock, op->dead) : 0;
}

/* Give the wait up for the exception that is set, which stays the one that is raised. */
static void give_up(struct wait_op *op, PyObject *lock)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    cmp_cond_quit(op->cond, &op->wait);
    lock_again(op, lock);
    PyErr_Restore(type, value, traceback); /* instead of what lock_again may have set */
}

/* 1: notified; 0: timed out; -1 and an exception.  */
static int wait_until(PyObject *self, int64_t deadline_ns)
{
    struct wait_op op;
    PyObject *lock;

    op.cond = held(self, &lock, NOT_ACQUIRED);
    if (op.cond == NULL)
        return -1;
    op.lock = pycmp_lock_cell(lock);
    pycmp_lock_left(lock); /* before others can have it */
    int rc = cmp_cond_enter(op.cond, op.lock, &op.wait);
    if (rc < 0) {
        pycmp_lock_taken(lock);
        if (rc == -EPERM)
            PyErr_SetString(PyExc_AssertionError, NOT_ACQUIRED);
        else
            pycmp_raise(rc);
        return -1;
    }
    rc = pycmp_block(wait_op, &op, deadline_ns);
    if (rc < 0 && rc != -ETIMEDOUT) {
        pycmp_raise(rc);
        give_up(&op, lock);
        return -1;
    }
    if (lock_again(&op, lock) < 0)
        return -1;
    return rc == 0;
}

static int duration_of(const char *function, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames, int64_t *duration_ns)
{
    PyObject *timeout;

    *duration_ns = CMP_FOREVER;
    if (pycmp_only_argument(function, "timeout", args, nargs, kwnames, &timeout) < 0)
        return -1;
    return timeout == NULL ? 0 : pycmp_duration(timeout, duration_ns);
}

static PyObject *Condition_wait(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames)
{
    int64_t duration_ns;

    if (duration_of("wait", args, nargs, kwnames, &duration_ns) < 0)
        return NULL;
    int rc = wait_until(self, pycmp_deadline_after(duration_ns));
    return rc < 0 ? NULL : PyBool_FromLong(rc);
}

static bool is_over(int64_t deadline_ns)
{
    return deadline_ns != CMP_FOREVER && cmp_now_ns() >= deadline_ns;
}

static PyObject *Condition_wait_for(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                    PyObject *kwnames)
{
    static const char *const names[] = {"predicate", "timeout", NULL};
    static const struct pycmp_signature sig = {"wait_for", names, 1, 0};
    PyObject *in[2];
    int64_t duration_ns = CMP_FOREVER;

    if (pycmp_args(&sig, args, nargs, kwnames, in) < 0 ||
        (in[1] != NULL && pycmp_duration(in[1], &duration_ns) < 0))
        return NULL;
    int64_t deadline_ns = pycmp_deadline_after(duration_ns);
    for (;;) {
        PyObject *result = PyObject_CallNoArgs(in[0]);
        int truth = result == NULL ? -1 : PyObject_IsTrue(result);
        if (truth != 0 || is_over(deadline_ns)) {
            if (truth < 0)
                Py_CLEAR(result);
            return result;
        }
        Py_DECREF(result);
        if (wait_until(self, deadline_ns) < 0)
            return NULL;
    }
}

/* ---- notify ------------------------------------------------------------------------------ */

static PyObject *notify(PyObject *self, uint32_t n)
{
    PyObject *lock;
    struct cmp_cond *cond = held(self, &lock, "lock is not owned");

    if (cond == NULL)
        return NULL;
    if (n > 0)
        cmp_cond_notify(cond, n);
    Py_RETURN_NONE;
}

static PyObject *Condition_notify(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                  PyObject *kwnames)
{
    long long value = 1;
    PyObject *n;

    if (pycmp_only_argument("notify", "n", args, nargs, kwnames, &n) < 0 ||
        (n != NULL && pycmp_clamped(n, "n", &value) < 0))
        return NULL;
    return notify(self, value <= 0 ? 0 : value < UINT32_MAX ? (uint32_t)value : UINT32_MAX);
}

static PyObject *Condition_notify_all(PyObject *self, PyObject *Py_UNUSED(none))
{
    return notify(self, UINT32_MAX);
}

/* ---- the rest ------------------------------------------------------------------------------ */

static PyObject *Condition_n_waiting(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_cond *cond = pycmp_cell(self);
    return cond == NULL ? NULL : PyLong_FromUnsignedLong(cmp_cond_n_waiting(cond));
}

static PyObject *Condition_get_lock(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_XNewRef(lock_of(self));
}

/* Have self on this lock.  0, or -1 and an exception.  */
static int set_lock(PyObject *self, PyObject *lock)
{
    struct condition *c = (struct condition *)self;
    pycmp_state *st = pycmp_state_of(self);

    if (st == NULL)
        return -1;
    if (!PyObject_TypeCheck(lock, st->LockType) && !PyObject_TypeCheck(lock, st->RLockType)) {
        PyErr_Format(PyExc_TypeError, "lock must be a Lock or RLock of cmp, not %R of %s", lock,
                     Py_TYPE(lock)->tp_name);
        return -1;
    }
    if (pycmp_cell(lock) == NULL)
        return -1;
    bool was_set;
    Py_BEGIN_CRITICAL_SECTION(self);
    was_set = c->lock != NULL;
    if (!was_set)
        c->lock = Py_NewRef(lock);
    Py_END_CRITICAL_SECTION();
    if (was_set)
        PyErr_Format(PyExc_RuntimeError, "this %s has been initialised before",
                     Py_TYPE(self)->tp_name);
    return was_set ? -1 : 0;
}

/* self could not be opened: it may be tried again.  */
static void forget_lock(PyObject *self)
{
    if (((struct pycmp_handle *)self)->cell == NULL)
        Py_CLEAR(((struct condition *)self)->lock);
}

static int Condition_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"lock", "ctx", NULL};
    PyObject *lock, *ctx = NULL;
    cmp_ref ref;
    void *cell;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$O:Condition", names, &lock, &ctx) ||
        set_lock(self, lock) < 0)
        return -1;
    if (pycmp_object_create(CMP_TYPE_COND, sizeof(struct cmp_cond), &ref, &cell) < 0) {
        forget_lock(self);
        return -1;
    }
    cmp_cond_init(cell, cmp_object_index(ref));
    return pycmp_handle_open(self, ref, cell);
}

/* The state of Handle, with the lock added.  */
static PyObject *Condition_getstate(PyObject *self, PyObject *none)
{
    PyObject *lock = lock_of(self);
    PyObject *state = lock == NULL ? NULL : pycmp_handle_getstate(self, none);
    PyObject *extra = state == NULL ? NULL : PyTuple_Pack(1, lock);
    PyObject *result = extra == NULL ? NULL : PySequence_Concat(state, extra);

    Py_XDECREF(state);
    Py_XDECREF(extra);
    return result;
}

static PyObject *Condition_setstate(PyObject *self, PyObject *state)
{
    /* The lock first: an open condition has one. */
    if (PyTuple_Check(state) && PyTuple_GET_SIZE(state) == 4 &&
        set_lock(self, PyTuple_GET_ITEM(state, 3)) < 0)
        return NULL;
    PyObject *lock;
    if (pycmp_handle_setstate(self, state, CMP_TYPE_COND, &lock, 1) < 0) {
        forget_lock(self);
        return NULL;
    }
    Py_RETURN_NONE;
}

static int Condition_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((struct condition *)self)->lock); /* cycles through it are broken in it */
    return pycmp_handle_traverse(self, visit, arg);
}

static void Condition_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    PyObject *lock = ((struct condition *)self)->lock;
    pycmp_handle_dealloc(self);
    Py_XDECREF(lock);
}

PyDoc_STRVAR(acquire_doc,
"acquire($self, /, block=True, timeout=None, *, blocking=True)\n"
"--\n"
"\n"
"Acquire the lock; return whether that was possible in time.");

PyDoc_STRVAR(release_doc,
"release($self, /)\n"
"--\n"
"\n"
"Release the lock.");

PyDoc_STRVAR(enter_doc,
"__enter__($self, /)\n"
"--\n"
"\n");

PyDoc_STRVAR(exit_doc,
"__exit__($self, /, *args)\n"
"--\n"
"\n");

PyDoc_STRVAR(wait_doc,
"wait($self, /, timeout=None)\n"
"--\n"
"\n"
"Release the lock, wait until notified, acquire the lock again; return whether\n"
"it was notified in time.");

PyDoc_STRVAR(wait_for_doc,
"wait_for($self, /, predicate, timeout=None)\n"
"--\n"
"\n"
"Wait until predicate() is true; return what it returned last.");

PyDoc_STRVAR(notify_doc,
"notify($self, /, n=1)\n"
"--\n"
"\n"
"Wake up the n longest waiting, or fewer if there are not so many.");

PyDoc_STRVAR(notify_all_doc,
"notify_all($self, /)\n"
"--\n"
"\n"
"Wake up all who wait.");

static PyMethodDef Condition_methods[] = {
    {"acquire", PYCMP_FAST(Condition_acquire), METH_FASTCALL | METH_KEYWORDS, acquire_doc},
    {"release", Condition_release, METH_NOARGS, release_doc},
    {"__enter__", Condition_enter, METH_NOARGS, enter_doc},
    {"__exit__", PYCMP_FAST(Condition_exit), METH_FASTCALL, exit_doc},
    {"wait", PYCMP_FAST(Condition_wait), METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"wait_for", PYCMP_FAST(Condition_wait_for), METH_FASTCALL | METH_KEYWORDS, wait_for_doc},
    {"notify", PYCMP_FAST(Condition_notify), METH_FASTCALL | METH_KEYWORDS, notify_doc},
    {"notify_all", Condition_notify_all, METH_NOARGS, notify_all_doc},
    {"__getstate__", Condition_getstate, METH_NOARGS, NULL},
    {"__setstate__", Condition_setstate, METH_O, NULL},
    {"_n_waiting", Condition_n_waiting, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Condition_getset[] = {
    {"_lock", Condition_get_lock, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(Condition_doc,
"Condition(lock, *, ctx)\n"
"--\n"
"\n"
"A condition variable on a Lock or RLock.");

static PyType_Slot Condition_slots[] = {
    {Py_tp_doc, (void *)Condition_doc},
    {Py_tp_new, pycmp_handle_new},
    {Py_tp_init, Condition_init},
    {Py_tp_dealloc, Condition_dealloc},
    {Py_tp_traverse, Condition_traverse},
    {Py_tp_clear, pycmp_handle_clear},
    {Py_tp_methods, Condition_methods},
    {Py_tp_getset, Condition_getset},
    {0, NULL},
};

PyType_Spec pycmp_condition_spec = {
    .name = "cmp._cmp.Condition",
    .basicsize = sizeof(struct condition),
    .flags = PYCMP_HANDLE_FLAGS,
    .slots = Condition_slots,
};
