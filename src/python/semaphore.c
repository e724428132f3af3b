/* semaphore.c -- Semaphore and BoundedSemaphore.

   `with` takes permits that come back if this process ends while it holds them,
   acquire() takes permits that do not; see core/sem.h.  */
#include "handle.h"
#include "../core/sem.h"

#define RELEASED_TOO_OFTEN "semaphore or lock released too many times"

/* ---- acquire and release ------------------------------------------------------------ */

struct acquire_op {
    struct cmp_sem *sem;
    bool with;
};

static int acquire_op(void *arg, int64_t deadline_ns)
{
    struct acquire_op *op = arg;
    return cmp_sem_acquire(op->sem, op->with, deadline_ns);
}

static PyObject *acquire(struct cmp_sem *sem, bool with, int64_t duration_ns)
{
    struct acquire_op op = {sem, with};
    int rc = cmp_sem_try_acquire(sem, with);

    if (rc == -EAGAIN && duration_ns > 0)
        rc = pycmp_block(acquire_op, &op, pycmp_deadline_after(duration_ns));
    if (rc == -EAGAIN || rc == -ETIMEDOUT)
        Py_RETURN_FALSE;
    if (rc < 0)
        return pycmp_raise(rc);
    Py_RETURN_TRUE;
}

static PyObject *release(struct cmp_sem *sem, bool with, uint32_t n)
{
    int rc = cmp_sem_release(sem, with, n);

    if (rc == -EPERM || rc == -EOVERFLOW) {
        PyErr_SetString(PyExc_ValueError, RELEASED_TOO_OFTEN);
        return NULL;
    }
    if (rc < 0)
        return pycmp_raise(rc);
    Py_RETURN_NONE;
}

/* ---- methods ------------------------------------------------------------------------- */

static PyObject *Semaphore_acquire(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *kwnames)
{
    struct cmp_sem *sem = pycmp_cell(self);
    int64_t duration_ns;

    if (sem == NULL || pycmp_patience(args, nargs, kwnames, &duration_ns) < 0)
        return NULL;
    return acquire(sem, false, duration_ns);
}

static PyObject *Semaphore_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_sem *sem = pycmp_cell(self);
    return sem == NULL ? NULL : acquire(sem, true, CMP_FOREVER);
}

/* 0, or -1 and an exception as threading has it.  */
static int to_count(PyObject *n, uint32_t *count)
{
    long long value;

    if (pycmp_clamped(n, "n", &value) < 0)
        return -1;
    if (value >= 1) {
        *count = value > CMP_SEM_MAX ? CMP_SEM_MAX + 1 : (uint32_t)value;
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "n must be one or more, not %R", n);
    return -1;
}

static PyObject *Semaphore_release(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *kwnames)
{
    struct cmp_sem *sem = pycmp_cell(self);
    PyObject *n;
    uint32_t count = 1;

    if (sem == NULL || pycmp_only_argument("release", "n", args, nargs, kwnames, &n) < 0)
        return NULL;
    if (n != NULL && to_count(n, &count) < 0)
        return NULL;
    return release(sem, false, count);
}

static PyObject *Semaphore_exit(PyObject *self, PyObject *const *Py_UNUSED(args),
                                Py_ssize_t Py_UNUSED(nargs))
{
    struct cmp_sem *sem = pycmp_cell(self);
    return sem == NULL ? NULL : release(sem, true, 1);
}

static PyObject *Semaphore_get_value(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_sem *sem = pycmp_cell(self);
    return sem == NULL ? NULL : PyLong_FromUnsignedLong(cmp_sem_value(sem));
}

static PyObject *Semaphore_locked(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_sem *sem = pycmp_cell(self);
    return sem == NULL ? NULL : PyBool_FromLong(cmp_sem_value(sem) == 0);
}

/* What multiprocessing's SemLock has.  Permits belong to nobody in particular. */

static PyObject *Semaphore_is_mine(PyObject *self, PyObject *Py_UNUSED(none))
{
    return pycmp_cell(self) == NULL ? NULL : PyBool_FromLong(0);
}

static PyObject *Semaphore_count(PyObject *self, PyObject *Py_UNUSED(none))
{
    return pycmp_cell(self) == NULL ? NULL : PyLong_FromLong(0);
}

static PyObject *Semaphore_maximum(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_sem *sem = pycmp_cell(self);
    if (sem == NULL)
        return NULL;
    return PyLong_FromUnsignedLong(sem->bounded ? sem->initial : CMP_SEM_MAX);
}

/* ---- construction ---------------------------------------------------------------------- */

static int to_value(PyObject *number, uint32_t *value)
{
    long long n;

    if (pycmp_clamped(number, "value", &n) < 0)
        return -1;
    if (n < 0) {
        PyErr_Format(PyExc_ValueError, "semaphore initial value must be >= 0, not %R", number);
        return -1;
    }
    if (n > CMP_SEM_MAX) {
        PyErr_Format(PyExc_ValueError, "semaphore initial value must be <= %u, not %R",
                     (unsigned int)CMP_SEM_MAX, number);
        return -1;
    }
    *value = (uint32_t)n;
    return 0;
}

static int init(PyObject *self, PyObject *args, PyObject *kwargs, bool bounded)
{
    static char *names[] = {"value", "ctx", NULL};
    PyObject *number = NULL, *ctx = NULL;
    uint32_t value = 1;
    cmp_ref ref;
    void *cell;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs,
                                     bounded ? "|O$O:BoundedSemaphore" : "|O$O:Semaphore",
                                     names, &number, &ctx) ||
        (number != NULL && to_value(number, &value) < 0) ||
        pycmp_object_create(CMP_TYPE_SEM, sizeof(struct cmp_sem), &ref, &cell) < 0)
        return -1;
    cmp_sem_init(cell, cmp_object_index(ref), value, bounded);
    return pycmp_handle_open(self, ref, cell);
}

static int Semaphore_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return init(self, args, kwargs, false);
}

static int BoundedSemaphore_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return init(self, args, kwargs, true);
}

static PyObject *Semaphore_setstate(PyObject *self, PyObject *state)
{
    if (pycmp_handle_setstate(self, state, CMP_TYPE_SEM, NULL, 0) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- the types ----------------------------------------------------------------------- */

PyDoc_STRVAR(acquire_doc,
"acquire($self, /, block=True, timeout=None, *, blocking=True)\n"
"--\n"
"\n"
"Take a permit; return whether that was possible in time.\n"
"\n"
"block and blocking are the same.");

PyDoc_STRVAR(release_doc,
"release($self, /, n=1)\n"
"--\n"
"\n"
"Give n permits.");

PyDoc_STRVAR(get_value_doc,
"get_value($self, /)\n"
"--\n"
"\n"
"How many permits there are to take.");

PyDoc_STRVAR(locked_doc,
"locked($self, /)\n"
"--\n"
"\n"
"Whether there is no permit to take.");

PyDoc_STRVAR(enter_doc,
"__enter__($self, /)\n"
"--\n"
"\n"
"Take a permit, which comes back if this process ends before __exit__.");

PyDoc_STRVAR(exit_doc,
"__exit__($self, /, *args)\n"
"--\n"
"\n");

static PyMethodDef Semaphore_methods[] = {
    {"acquire", PYCMP_FAST(Semaphore_acquire), METH_FASTCALL | METH_KEYWORDS, acquire_doc},
    {"release", PYCMP_FAST(Semaphore_release), METH_FASTCALL | METH_KEYWORDS, release_doc},
    {"get_value", Semaphore_get_value, METH_NOARGS, get_value_doc},
    {"locked", Semaphore_locked, METH_NOARGS, locked_doc},
    {"__enter__", Semaphore_enter, METH_NOARGS, enter_doc},
    {"__exit__", PYCMP_FAST(Semaphore_exit), METH_FASTCALL, exit_doc},
    {"__setstate__", Semaphore_setstate, METH_O, NULL},
    {"_is_mine", Semaphore_is_mine, METH_NOARGS, NULL},
    {"_is_zero", Semaphore_locked, METH_NOARGS, NULL},
    {"_get_value", Semaphore_get_value, METH_NOARGS, NULL},
    {"_count", Semaphore_count, METH_NOARGS, NULL},
    {"_maximum", Semaphore_maximum, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(Semaphore_doc,
"Semaphore(value=1, *, ctx)\n"
"--\n"
"\n"
"A counter of permits that acquire() lowers, waiting while it is 0.");

PyDoc_STRVAR(BoundedSemaphore_doc,
"BoundedSemaphore(value=1, *, ctx)\n"
"--\n"
"\n"
"A semaphore that has never more permits than at first.");

static PyType_Slot Semaphore_slots[] = {
    {Py_tp_doc, (void *)Semaphore_doc},
    {Py_tp_new, pycmp_handle_new},
    {Py_tp_init, Semaphore_init},
    {Py_tp_dealloc, pycmp_handle_dealloc},
    {Py_tp_traverse, pycmp_handle_traverse},
    {Py_tp_clear, pycmp_handle_clear},
    {Py_tp_methods, Semaphore_methods},
    {0, NULL},
};

static PyType_Slot BoundedSemaphore_slots[] = {
    {Py_tp_doc, (void *)BoundedSemaphore_doc},
    {Py_tp_new, pycmp_handle_new},
    {Py_tp_init, BoundedSemaphore_init},
    {Py_tp_dealloc, pycmp_handle_dealloc},
    {Py_tp_traverse, pycmp_handle_traverse},
    {Py_tp_clear, pycmp_handle_clear},
    {0, NULL},
};

PyType_Spec pycmp_semaphore_spec = {
    .name = "cmp._cmp.Semaphore",
    .basicsize = sizeof(struct pycmp_handle),
    .flags = PYCMP_HANDLE_FLAGS,
    .slots = Semaphore_slots,
};

PyType_Spec pycmp_bounded_semaphore_spec = {
    .name = "cmp._cmp.BoundedSemaphore",
    .basicsize = sizeof(struct pycmp_handle),
    .flags = PYCMP_HANDLE_FLAGS,
    .slots = BoundedSemaphore_slots,
};
