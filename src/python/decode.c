/* decode.c -- objects out of messages, of which nothing is trusted.

   Whatever is wrong ends in UnpicklingError: the functions below return NULL, without an
   exception where the grammar is violated.  */
#include "codec.h"

#define NO_GIL_FROM ((size_t)1 << 17) /* more bytes may take a while to copy */

struct decoder {
    struct cmp_reader reader;
    struct cmp_marks marks; /* what is made: references of our own */
};

static PyObject *make_value(struct decoder *d);

/* ---- values without others in them ------------------------------------------------------ */

static PyObject *make_bigint(const struct cmp_token *t)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_FromNativeBytes(t->data, t->n, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
#else
    return _PyLong_FromByteArray(t->data, t->n, 1, 1);
#endif
}

static PyObject *make_float(const struct cmp_token *t)
{
    double number;
    memcpy(&number, t->data, sizeof number);
    return PyFloat_FromDouble(number);
}

static PyObject *make_complex(const struct cmp_token *t)
{
    Py_complex number;
    memcpy(&number, t->data, sizeof number);
    return PyComplex_FromCComplex(number);
}

static PyObject *make_str(const struct cmp_token *t)
{
    return PyUnicode_DecodeUTF8(t->data, (Py_ssize_t)t->n, "surrogatepass");
}

static void copy_out(void *to, const struct cmp_token *t)
{
    if (t->n < NO_GIL_FROM)
        memcpy(to, t->data, t->n);
    else {
        Py_BEGIN_ALLOW_THREADS
        memcpy(to, t->data, t->n);
        Py_END_ALLOW_THREADS
    }
}

/* Made empty and filled: as from a pickle, b"x" is no singleton.  */
static PyObject *make_bytes(const struct cmp_token *t)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)t->n);
    if (bytes != NULL && t->n > 0)
        copy_out(PyBytes_AS_STRING(bytes), t);
    return bytes;
}

static PyObject *make_bytearray(const struct cmp_token *t)
{
    PyObject *array = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)t->n);
    if (array != NULL && t->n > 0)
        copy_out(PyByteArray_AS_STRING(array), t);
    return array;
}

static PyObject *make_again(struct decoder *d, const struct cmp_token *t)
{
    return Py_XNewRef((PyObject *)cmp_marks_find(&d->marks, t->n));
}

/* ---- containers ------------------------------------------------------------------------- */

static PyObject *make_tuple(struct decoder *d, size_t n)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)n);

    for (size_t i = 0; tuple != NULL && i < n; i++) {
        PyObject *item = make_value(d);
        if (item == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
    }
    return tuple;
}

static PyObject *make_list(struct decoder *d, size_t n)
{
    PyObject *list = PyList_New((Py_ssize_t)n);

    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *item = make_value(d);
        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

static PyObject *fill_set(struct decoder *d, PyObject *set, size_t n)
{
    for (size_t i = 0; set != NULL && i < n; i++) {
        PyObject *item = make_value(d);
        if (item == NULL || PySet_Add(set, item) < 0)
            Py_CLEAR(set);
        Py_XDECREF(item);
    }
    return set;
}

static PyObject *make_dict(struct decoder *d, size_t n)
{
    PyObject *dict = PyDict_New();

    for (size_t i = 0; dict != NULL && i < n; i++) {
        PyObject *key = make_value(d);
        PyObject *value = key == NULL ? NULL : make_value(d);
        if (value == NULL || PyDict_SetItem(dict, key, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *make_container(struct decoder *d, const struct cmp_token *t)
{
    PyObject *value = NULL;

    if (cmp_wire_enter(&d->reader) < 0)
        return NULL;
    switch (t->kind) {
    case CMP_KIND_TUPLE:     value = make_tuple(d, t->n); break;
    case CMP_KIND_LIST:      value = make_list(d, t->n); break;
    case CMP_KIND_SET:       value = fill_set(d, PySet_New(NULL), t->n); break;
    case CMP_KIND_FROZENSET: value = fill_set(d, PyFrozenSet_New(NULL), t->n); break;
    default:                 value = make_dict(d, t->n); break;
    }
    cmp_wire_leave(&d->reader);
    return value;
}

/* ---- any value -------------------------------------------------------------------------- */

static PyObject *make(struct decoder *d, const struct cmp_token *t)
{
    switch (t->kind) {
    case CMP_KIND_NONE:      return Py_NewRef(Py_None);
    case CMP_KIND_FALSE:     return Py_NewRef(Py_False);
    case CMP_KIND_TRUE:      return Py_NewRef(Py_True);
    case CMP_KIND_INT:       return PyLong_FromLongLong(t->integer);
    case CMP_KIND_BIGINT:    return make_bigint(t);
    case CMP_KIND_FLOAT:     return make_float(t);
    case CMP_KIND_COMPLEX:   return make_complex(t);
    case CMP_KIND_STR: case CMP_KIND_STR_OUT:
        return make_str(t);
    case CMP_KIND_BYTES: case CMP_KIND_BYTES_OUT:
        return make_bytes(t);
    case CMP_KIND_BYTEARRAY: case CMP_KIND_BYTEARRAY_OUT:
        return make_bytearray(t);
    case CMP_KIND_TUPLE: case CMP_KIND_LIST: case CMP_KIND_SET: case CMP_KIND_FROZENSET:
    case CMP_KIND_DICT:
        return make_container(d, t);
    case CMP_KIND_AGAIN:
        return make_again(d, t);
    default:
        return NULL;
    }
}

static PyObject *make_shared(struct decoder *d, const struct cmp_token *t)
{
    size_t mark;

    if (cmp_marks_add(&d->marks, t->at, &mark) < 0)
        return PyErr_NoMemory();
    PyObject *value = make(d, t);
    if (value != NULL)
        cmp_marks_set(&d->marks, mark, Py_NewRef(value));
    return value;
}

static PyObject *make_value(struct decoder *d)
{
    struct cmp_token t;

    if (cmp_wire_next(&d->reader, &t) < 0)
        return NULL;
    return t.shared ? make_shared(d, &t) : make(d, &t);
}

/* What damage may bring about is damage: an unhashable key, what is no UTF-8.  */
static PyObject *raise_damaged(pycmp_state *st, const struct decoder *d)
{
    const struct cmp_reader *r = &d->reader;

    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_MemoryError))
        return NULL;
    PyErr_Clear();
    return PyErr_Format(st->UnpicklingError, "a message of %zd bytes is damaged at byte %zd",
                        (Py_ssize_t)(r->end - r->start), (Py_ssize_t)(r->at - r->start));
}

static PyObject *make_plain(pycmp_state *st, struct decoder *d)
{
    PyObject *value = make_value(d);

    if (value != NULL && cmp_wire_close(&d->reader) < 0)
        Py_CLEAR(value);
    if (value == NULL)
        raise_damaged(st, d);
    for (size_t i = 0; i < d->marks.n; i++)
        Py_XDECREF((PyObject *)d->marks.all[i].made);
    cmp_marks_free(&d->marks);
    return value;
}

/* ---- pickles -------------------------------------------------------------------------------- */

/* The next value, if it is BYTES or one that is a buffer and allowed here.  */
static int next_payload(struct decoder *d, enum cmp_kind kind, struct cmp_token *t)
{
    if (cmp_wire_next(&d->reader, t) < 0 || t->shared)
        return -1;
    return t->kind == CMP_KIND_BYTES_OUT || t->kind == kind ? 0 : -1;
}

/* A list of the buffers of a pickle: bytes where the original was read-only, as pickle makes
   it within a pickle.  */
static PyObject *make_buffers(struct decoder *d, size_t n)
{
    PyObject *list = PyList_New((Py_ssize_t)n);

    for (size_t i = 0; list != NULL && i < n; i++) {
        struct cmp_token t;
        PyObject *buffer = next_payload(d, CMP_KIND_BYTEARRAY_OUT, &t) < 0 ? NULL : make(d, &t);
        if (buffer == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, buffer);
    }
    return list;
}

static PyObject *make_pickled(pycmp_state *st, struct decoder *d, PyObject *loads)
{
    struct cmp_token t, pickle;
    PyObject *buffers = NULL, *value = NULL;

    if (cmp_wire_next(&d->reader, &t) == 0) /* t.n: 0 for FOREIGN */
        buffers = make_buffers(d, t.kind == CMP_KIND_PICKLE ? t.n : 0);
    if (buffers == NULL || next_payload(d, CMP_KIND_BYTES, &pickle) < 0 ||
        cmp_wire_close(&d->reader) < 0)
        raise_damaged(st, d);
    else if (t.kind == CMP_KIND_PICKLE)
        value = pycmp_unpickle(st, pickle.data, pickle.n, buffers);
    else
        value = pycmp_load_foreign(st, pickle.data, pickle.n, loads);
    Py_XDECREF(buffers);
    return value;
}

PyObject *pycmp_decode(pycmp_state *st, const void *head, size_t n, const struct cmp_span *buffers,
                       size_t n_buffers, PyObject *loads)
{
    struct decoder d = {.marks = {NULL, 0, 0}};

    cmp_wire_open(&d.reader, head, n, buffers, n_buffers);
    return cmp_wire_is_pickle(head, n) ? make_pickled(st, &d, loads) : make_plain(st, &d);
}
