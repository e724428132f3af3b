/* block.c -- Block: bytes in the arena, with the buffer protocol.  */
#include "handle.h"
#include "../core/block.h"

#define NO_GIL_FROM ((Py_ssize_t)1 << 17) /* more bytes may take a while to have and to fill */

struct block {
    struct pycmp_handle handle;
    void *data;
    Py_ssize_t nbytes;
};

static struct block *block_of(PyObject *self)
{
    return (struct block *)self;
}

/* Where its bytes are, NULL and a RuntimeError before __init__.  */
static void *data_of(PyObject *self)
{
    return pycmp_cell(self) == NULL ? NULL : block_of(self)->data;
}

/* ---- making one --------------------------------------------------------------------- */

struct wanted {
    Py_ssize_t nbytes;
    int zero;
    cmp_ref ref;
    void *cell;
    void *data;
};

static int create(struct wanted *w)
{
    return cmp_block_create((size_t)w->nbytes, w->zero != 0, &w->ref, &w->cell, &w->data);
}

static int raise_create(Py_ssize_t nbytes, int rc)
{
    if (rc == -ENOMEM || rc == -EFBIG)
        PyErr_Format(PyExc_MemoryError, "%zd bytes of shared memory cannot be had: %s", nbytes,
                     rc == -EFBIG ? "they would exceed the limit of the size of files (ulimit -f)"
                                  : "ask for less, or raise the limit of memory (of the machine, "
                                    "its control group, ulimit -v)");
    else if (rc == -EBADF)
        pycmp_raise_closed();
    else
        pycmp_raise(rc);
    return -1;
}

static int make(struct wanted *w)
{
    int rc;
    if (pycmp_family() < 0)
        return -1;
    if (w->nbytes < NO_GIL_FROM)
        rc = create(w);
    else {
        Py_BEGIN_ALLOW_THREADS
        rc = create(w);
        Py_END_ALLOW_THREADS
    }
    return rc == 0 ? 0 : raise_create(w->nbytes, rc);
}

/* 0, or -1 and an exception.  */
static int to_nbytes(PyObject *value, Py_ssize_t *nbytes)
{
    long long n;
    if (pycmp_clamped(value, "nbytes", &n) < 0)
        return -1;
    if (n < 0) {
        PyErr_Format(PyExc_ValueError, "nbytes must be at least 0, not %R", value);
        return -1;
    }
    if (n == LLONG_MAX) {
        PyErr_Format(PyExc_MemoryError, "%R bytes of shared memory cannot be had", value);
        return -1;
    }
    *nbytes = (Py_ssize_t)n;
    return 0;
}

static void set_data(PyObject *self, void *data, Py_ssize_t nbytes)
{
    block_of(self)->data = data;
    block_of(self)->nbytes = nbytes;
}

static int Block_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"nbytes", "zero", NULL};
    struct wanted w = {.zero = 1};
    PyObject *nbytes;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|p:Block", names, &nbytes, &w.zero) ||
        to_nbytes(nbytes, &w.nbytes) < 0 || make(&w) < 0 ||
        pycmp_handle_open(self, w.ref, w.cell) < 0)
        return -1;
    set_data(self, w.data, w.nbytes);
    return 0;
}

/* ---- pickles ------------------------------------------------------------------------ */

/* The state of Handle, with nbytes added.  */
static PyObject *Block_getstate(PyObject *self, PyObject *none)
{
    PyObject *state = pycmp_handle_getstate(self, none);
    PyObject *extra = state == NULL ? NULL : Py_BuildValue("(n)", block_of(self)->nbytes);
    PyObject *result = extra == NULL ? NULL : PySequence_Concat(state, extra);

    Py_XDECREF(state);
    Py_XDECREF(extra);
    return result;
}

static int bad_size(PyObject *self, PyObject *nbytes)
{
    PyErr_Format(PyExc_ValueError, "%R is no size of this %s", nbytes, Py_TYPE(self)->tp_name);
    return -1;
}

/* What the last item of a state says.  0, or -1 and an exception.  */
static int size_in_state(PyObject *self, PyObject *state, Py_ssize_t *nbytes)
{
    Py_ssize_t n = PyTuple_Check(state) ? PyTuple_GET_SIZE(state) : 0;
    PyObject *item = n == 0 ? Py_None : PyTuple_GET_ITEM(state, n - 1);

    *nbytes = PyLong_Check(item) ? PyLong_AsSsize_t(item) : -1;
    if (*nbytes >= 0)
        return 0;
    PyErr_Clear(); /* too large */
    return bad_size(self, item);
}

static PyObject *Block_setstate(PyObject *self, PyObject *state)
{
    PyObject *extra[1];
    Py_ssize_t nbytes;
    void *data;

    if (size_in_state(self, state, &nbytes) < 0 ||
        pycmp_handle_setstate(self, state, cmp_block_type((size_t)nbytes), extra, 1) < 0)
        return NULL;
    int rc = cmp_block_data(block_of(self)->handle.ref, block_of(self)->handle.cell,
                            (size_t)nbytes, &data);
    if (rc == -EINVAL)
        bad_size(self, extra[0]);
    else if (rc < 0)
        pycmp_raise(rc);
    if (rc < 0)
        return NULL;
    set_data(self, data, nbytes);
    Py_RETURN_NONE;
}

/* ---- the bytes ---------------------------------------------------------------------- */

/* The view holds self, and self the memory.  */
static int Block_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    void *data = data_of(self);
    if (data != NULL)
        return PyBuffer_FillInfo(view, self, data, block_of(self)->nbytes, 0, flags);
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_RuntimeError, "this %s has no memory", Py_TYPE(self)->tp_name);
    view->obj = NULL;
    return -1;
}

static Py_ssize_t Block_length(PyObject *self)
{
    return pycmp_cell(self) == NULL ? -1 : block_of(self)->nbytes;
}

static PyObject *Block_nbytes(PyObject *self, void *Py_UNUSED(closure))
{
    return pycmp_cell(self) == NULL ? NULL : PyLong_FromSsize_t(block_of(self)->nbytes);
}

static PyMethodDef Block_methods[] = {
    {"__getstate__", Block_getstate, METH_NOARGS, NULL},
    {"__setstate__", Block_setstate, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Block_getset[] = {
    {"nbytes", Block_nbytes, NULL, "How many bytes it has.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(Block_doc,
"Block(nbytes, zero=True)\n"
"--\n"
"\n"
"Memory that processes share; it goes when no process has it any more.\n"
"\n"
"A writable buffer of nbytes bytes, which its views keep alive.  With zero=False its\n"
"first contents may be anything.  MemoryError if it cannot be had: using it never\n"
"fails.");

static PyType_Slot Block_slots[] = {
    {Py_tp_doc, (void *)Block_doc},
    {Py_tp_new, pycmp_handle_new},
    {Py_tp_init, Block_init},
    {Py_tp_dealloc, pycmp_handle_dealloc},
    {Py_tp_traverse, pycmp_handle_traverse},
    {Py_tp_clear, pycmp_handle_clear},
    {Py_tp_methods, Block_methods},
    {Py_tp_getset, Block_getset},
    {Py_sq_length, Block_length},
    {Py_bf_getbuffer, Block_getbuffer},
    {0, NULL},
};

PyType_Spec pycmp_block_spec = {
    .name = "cmp._cmp.Block",
    .basicsize = sizeof(struct block),
    .flags = PYCMP_HANDLE_FLAGS,
    .slots = Block_slots,
};
