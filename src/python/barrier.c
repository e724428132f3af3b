/* barrier.c -- Barrier.  */
#include "handle.h"
#include "../core/barrier.h"

struct barrier {
    struct pycmp_handle handle;
    PyObject *action;  /* None, or what one party calls; NULL only once cleared */
    PyObject *timeout; /* of every wait that names none */
};

static PyObject *raise_broken(void)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *error = threading == NULL ? NULL
                      : PyObject_GetAttrString(threading, "BrokenBarrierError");
    if (error != NULL)
        PyErr_SetNone(error);
    Py_XDECREF(threading);
    Py_XDECREF(error);
    return NULL;
}

/* ---- wait ------------------------------------------------------------------------------- */

struct wait_op {
    struct cmp_barrier *barrier;
    bool arrived;
    uint32_t index, phase;
};

static int wait_op(void *arg, int64_t deadline_ns)
{
    struct wait_op *op = arg;
    int rc = op->arrived
                 ? cmp_barrier_resume(op->barrier, deadline_ns, op->index, op->phase)
                 : cmp_barrier_wait(op->barrier, deadline_ns, &op->index, &op->phase);
    if (rc == -EINTR)
        op->arrived = op->index != CMP_BARRIER_NONE;
    return rc;
}

/* All have come: run the action, then let them go.  0, or -1 and an exception.  */
static int act(PyObject *self, struct wait_op *op)
{
    PyObject *action = Py_XNewRef(((struct barrier *)self)->action);
    PyObject *result = action == NULL || action == Py_None ? Py_NewRef(Py_None)
                       : PyObject_CallNoArgs(action);

    Py_XDECREF(action);
    if (result == NULL) {
        cmp_barrier_quit(op->barrier, op->index, op->phase);
        return -1;
    }
    Py_DECREF(result);
    int rc = cmp_barrier_acted(op->barrier, op->phase);
    if (rc == -EPIPE)
        raise_broken();
    else if (rc < 0)
        pycmp_raise(rc);
    return rc;
}

static PyObject *wait_for_all(PyObject *self, struct cmp_barrier *barrier, int64_t duration_ns)
{
    struct wait_op op = {.barrier = barrier};
    int rc = pycmp_block(wait_op, &op, pycmp_deadline_after(duration_ns));

    if (rc == -EPIPE || rc == -ETIMEDOUT)
        return raise_broken();
    if (rc < 0) {
        pycmp_raise(rc);
        if (rc == -EINTR && op.arrived) /* a signal handler raised: the others wait in vain */
            cmp_barrier_quit(barrier, op.index, op.phase);
        return NULL;
    }
    if (rc == CMP_BARRIER_ACT && act(self, &op) < 0)
        return NULL;
    return PyLong_FromUnsignedLong(op.index);
}

static PyObject *Barrier_wait(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    struct cmp_barrier *barrier = pycmp_cell(self);
    int64_t duration_ns = CMP_FOREVER;
    PyObject *timeout;

    if (barrier == NULL ||
        pycmp_only_argument("wait", "timeout", args, nargs, kwnames, &timeout) < 0)
        return NULL;
    if (timeout == NULL || timeout == Py_None)
        timeout = ((struct barrier *)self)->timeout;
    if (timeout != NULL && pycmp_duration(timeout, &duration_ns) < 0)
        return NULL;
    return wait_for_all(self, barrier, duration_ns);
}

/* ---- the rest ------------------------------------------------------------------------------ */

static PyObject *Barrier_reset(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_barrier *barrier = pycmp_cell(self);
    if (barrier == NULL)
        return NULL;
    cmp_barrier_reset(barrier);
    Py_RETURN_NONE;
}

static PyObject *Barrier_abort(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_barrier *barrier = pycmp_cell(self);
    if (barrier == NULL)
        return NULL;
    cmp_barrier_abort(barrier);
    Py_RETURN_NONE;
}

static PyObject *Barrier_parties(PyObject *self, void *Py_UNUSED(closure))
{
    struct cmp_barrier *barrier = pycmp_cell(self);
    return barrier == NULL ? NULL : PyLong_FromUnsignedLong(barrier->n_parties);
}

static PyObject *Barrier_n_waiting(PyObject *self, void *Py_UNUSED(closure))
{
    struct cmp_barrier *barrier = pycmp_cell(self);
    return barrier == NULL ? NULL : PyLong_FromUnsignedLong(cmp_barrier_n_waiting(barrier));
}

static PyObject *Barrier_broken(PyObject *self, void *Py_UNUSED(closure))
{
    struct cmp_barrier *barrier = pycmp_cell(self);
    return barrier == NULL ? NULL : PyBool_FromLong(cmp_barrier_broken(barrier));
}

static int to_parties(PyObject *number, uint32_t *parties)
{
    long long n;

    if (pycmp_clamped(number, "parties", &n) < 0)
        return -1;
    if (n < 1) {
        PyErr_SetString(PyExc_ValueError, "parties must be > 0");
        return -1;
    }
    if (n > CMP_BARRIER_PARTIES_MAX) {
        PyErr_Format(PyExc_ValueError, "parties must be at most %u, not %R",
                     (unsigned int)CMP_BARRIER_PARTIES_MAX, number);
        return -1;
    }
    *parties = (uint32_t)n;
    return 0;
}

/* 0, or -1 and an exception.  */
static int check_timeout(PyObject *timeout)
{
    int64_t duration_ns;
    return pycmp_duration(timeout, &duration_ns);
}

static void set_action(PyObject *self, PyObject *action, PyObject *timeout)
{
    struct barrier *b = (struct barrier *)self;

    Py_XSETREF(b->action, Py_NewRef(action));
    Py_XSETREF(b->timeout, Py_NewRef(timeout));
}

static int Barrier_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"parties", "action", "timeout", "ctx", NULL};
    PyObject *number, *action = Py_None, *timeout = Py_None, *ctx = NULL;
    uint32_t parties;
    cmp_ref ref;
    void *cell;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO$O:Barrier", names, &number, &action,
                                     &timeout, &ctx) ||
        to_parties(number, &parties) < 0 || check_timeout(timeout) < 0 ||
        pycmp_object_create(CMP_TYPE_BARRIER, cmp_barrier_bytes(parties), &ref, &cell) < 0)
        return -1;
    cmp_barrier_init(cell, cmp_object_index(ref), parties, action != Py_None);
    if (pycmp_handle_open(self, ref, cell) < 0)
        return -1;
    set_action(self, action, timeout);
    return 0;
}

/* The state of Handle, with action and timeout added.  */
static PyObject *Barrier_getstate(PyObject *self, PyObject *none)
{
    struct barrier *b = (struct barrier *)self;
    PyObject *state = pycmp_handle_getstate(self, none);
    PyObject *extra = state == NULL ? NULL
                      : PyTuple_Pack(2, b->action == NULL ? Py_None : b->action,
                                     b->timeout == NULL ? Py_None : b->timeout);
    PyObject *result = extra == NULL ? NULL : PySequence_Concat(state, extra);

    Py_XDECREF(state);
    Py_XDECREF(extra);
    return result;
}

static PyObject *Barrier_setstate(PyObject *self, PyObject *state)
{
    PyObject *extra[2];

    if (pycmp_handle_setstate(self, state, CMP_TYPE_BARRIER, extra, 2) < 0)
        return NULL;
    set_action(self, extra[0], extra[1]);
    Py_RETURN_NONE;
}

static int Barrier_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((struct barrier *)self)->action);
    Py_VISIT(((struct barrier *)self)->timeout);
    return pycmp_handle_traverse(self, visit, arg);
}

static int Barrier_clear(PyObject *self)
{
    Py_CLEAR(((struct barrier *)self)->action);
    Py_CLEAR(((struct barrier *)self)->timeout);
    return pycmp_handle_clear(self);
}

static void Barrier_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((struct barrier *)self)->action);
    Py_CLEAR(((struct barrier *)self)->timeout);
    pycmp_handle_dealloc(self);
}

PyDoc_STRVAR(wait_doc,
"wait($self, /, timeout=None)\n"
"--\n"
"\n"
"Wait until all parties have come; return which this one is, 0 to parties - 1.\n"
"\n"
"threading.BrokenBarrierError if the barrier is broken or reset meanwhile: by\n"
"abort(), by a wait that timed out, by an action that raised, or by the end of a\n"
"process that had come.");

PyDoc_STRVAR(reset_doc,
"reset($self, /)\n"
"--\n"
"\n"
"Make the barrier as new; those who wait get BrokenBarrierError.");

PyDoc_STRVAR(abort_doc,
"abort($self, /)\n"
"--\n"
"\n"
"Break the barrier, for those who wait and those who come, until reset().");

static PyMethodDef Barrier_methods[] = {
    {"wait", PYCMP_FAST(Barrier_wait), METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"reset", Barrier_reset, METH_NOARGS, reset_doc},
    {"abort", Barrier_abort, METH_NOARGS, abort_doc},
    {"__getstate__", Barrier_getstate, METH_NOARGS, NULL},
    {"__setstate__", Barrier_setstate, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Barrier_getset[] = {
    {"parties", Barrier_parties, NULL, "How many have to come.", NULL},
    {"n_waiting", Barrier_n_waiting, NULL, "How many have come and wait.", NULL},
    {"broken", Barrier_broken, NULL, "Whether the barrier is broken.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(Barrier_doc,
"Barrier(parties, action=None, timeout=None, *, ctx)\n"
"--\n"
"\n"
"A place where a fixed number of processes or threads wait for one another.");

static PyType_Slot Barrier_slots[] = {
    {Py_tp_doc, (void *)Barrier_doc},
    {Py_tp_new, pycmp_handle_new},
    {Py_tp_init, Barrier_init},
    {Py_tp_dealloc, Barrier_dealloc},
    {Py_tp_traverse, Barrier_traverse},
    {Py_tp_clear, Barrier_clear},
    {Py_tp_methods, Barrier_methods},
    {Py_tp_getset, Barrier_getset},
    {0, NULL},
};

PyType_Spec pycmp_barrier_spec = {
    .name = "cmp._cmp.Barrier",
    .basicsize = sizeof(struct barrier),
    .flags = PYCMP_HANDLE_FLAGS,
    .slots = Barrier_slots,
};
