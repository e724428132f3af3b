/* encode.c -- objects of plain types, written in the grammar of core/wire.h.

   A shared reference is found as in marshal: who has no reference but its container's (and
   ours) cannot come again, all others are remembered by their address.  When one comes
   again, the tag that was written for it gets the mark SHARED, and AGAIN names its place;
   so messages without shared references carry no trace of this.  */
#include "codec.h"

#define HELD 2       /* references to what only its container and we refer to */
#define ANY_NUMBER 0 /* of a key: the dicts of instances share one table of keys, which counts once */
#define FEW 8

/* Besides 0 and -1 with an exception. */
enum { NOT_SEEN = 1, TO_PICKLE };

struct seen {
    PyObject *object; /* referred to, so that nothing else gets its address */
    size_t at;        /* where its tag stands */
};

struct encoder {
    pycmp_state *st;
    struct pycmp_message *m;
    unsigned depth;
    PyObject *path[CMP_WIRE_DEPTH]; /* the containers that are being written */
    size_t n_seen, mask;
    struct seen few[FEW], *table;   /* table: NULL until few is full */
};

#if PY_VERSION_HEX < 0x030D0000
static PyObject *PyList_GetItemRef(PyObject *list, Py_ssize_t i)
{
    return Py_XNewRef(PyList_GetItem(list, i));
}
#endif

/* ---- what has been seen -------------------------------------------------------------- */

/* Where it is in the table, or would be.  */
static struct seen *slot_of(struct seen *table, size_t mask, const PyObject *obj)
{
    size_t i = (size_t)(((uint64_t)(uintptr_t)obj >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32) & mask;

    while (table[i].object != NULL && table[i].object != obj)
        i = (i + 1) & mask;
    return &table[i];
}

static void copy_seen(struct encoder *e, struct seen *table, size_t mask)
{
    struct seen *old = e->table == NULL ? e->few : e->table;
    size_t n = e->table == NULL ? e->n_seen : e->mask + 1;

    for (size_t i = 0; i < n; i++)
        if (old[i].object != NULL)
            *slot_of(table, mask, old[i].object) = old[i];
}

static int grow_seen(struct encoder *e)
{
    size_t n = e->table == NULL ? 8 * FEW : 4 * (e->mask + 1);
    struct seen *table = PyMem_RawCalloc(n, sizeof *table);

    if (table == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    copy_seen(e, table, n - 1);
    PyMem_RawFree(e->table);
    e->table = table;
    e->mask = n - 1;
    return 0;
}

static struct seen *find_seen(struct encoder *e, const PyObject *obj)
{
    if (e->table != NULL)
        return slot_of(e->table, e->mask, obj);
    size_t i = 0;
    while (i < e->n_seen && e->few[i].object != obj)
        i++;
    return &e->few[i];
}

static void forget_seen(struct encoder *e)
{
    struct seen *all = e->table == NULL ? e->few : e->table;
    size_t n = e->table == NULL ? e->n_seen : e->mask + 1;

    for (size_t i = 0; i < n; i++)
        Py_XDECREF(all[i].object);
    PyMem_RawFree(e->table);
}

static bool is_open(const struct encoder *e, const PyObject *obj)
{
    for (unsigned i = 0; i < e->depth; i++)
        if (e->path[i] == obj)
            return true;
    return false;
}

/* NOT_SEEN, and its tag is about to be written; or 0 and AGAIN has been.  */
static int put_again(struct encoder *e, PyObject *obj)
{
    bool full = e->table == NULL ? e->n_seen == FEW : e->n_seen > e->mask / 2;
    if (full && grow_seen(e) < 0)
        return -1;
    struct seen *seen = find_seen(e, obj);
    if (e->table == NULL ? seen == &e->few[e->n_seen] : seen->object == NULL) {
        *seen = (struct seen){Py_NewRef(obj), e->m->used};
        e->n_seen++;
        return NOT_SEEN;
    }
    if (is_open(e, obj))
        return TO_PICKLE;
    e->m->head[seen->at] |= CMP_WIRE_SHARED;
    return pycmp_message_put(e->m, CMP_KIND_AGAIN, seen->at);
}

/* ---- values without others in them ----------------------------------------------------- */

static int put_raw(struct encoder *e, enum cmp_kind kind, const void *data, size_t n)
{
    unsigned char *to = pycmp_message_room(e->m, 1 + n);
    if (to == NULL)
        return -1;
    *to = (unsigned char)kind;
    memcpy(to + 1, data, n);
    e->m->used += 1 + n;
    return 0;
}

#if PY_VERSION_HEX >= 0x030D0000
static Py_ssize_t bytes_of_long(PyObject *obj)
{
    return PyLong_AsNativeBytes(obj, NULL, 0, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
}

static int store_long(PyObject *obj, unsigned char *to, Py_ssize_t n)
{
    return PyLong_AsNativeBytes(obj, to, n, Py_ASNATIVEBYTES_LITTLE_ENDIAN) < 0 ? -1 : 0;
}
#else
static Py_ssize_t bytes_of_long(PyObject *obj)
{
    size_t n = _PyLong_NumBits(obj);
    return n == (size_t)-1 ? -1 : (Py_ssize_t)(n / 8 + 1); /* with a bit for the sign */
}

static int store_long(PyObject *obj, unsigned char *to, Py_ssize_t n)
{
    return _PyLong_AsByteArray((PyLongObject *)obj, to, (size_t)n, 1, 1);
}
#endif

static int put_bigint(struct encoder *e, PyObject *obj)
{
    Py_ssize_t n = bytes_of_long(obj);

    if (n < 0 || pycmp_message_put(e->m, CMP_KIND_BIGINT, (uint64_t)n) < 0)
        return -1;
    unsigned char *to = pycmp_message_room(e->m, (size_t)n);
    if (to == NULL || store_long(obj, to, n) < 0)
        return -1;
    e->m->used += (size_t)n;
    return 0;
}

static int put_int(struct encoder *e, PyObject *obj)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(obj, &overflow);

    if (overflow != 0)
        return put_bigint(e, obj);
    unsigned char *to = pycmp_message_room(e->m, CMP_WIRE_START_MAX);
    if (to == NULL)
        return -1;
    e->m->used += cmp_wire_put_int(to, number);
    return 0;
}

static int put_float(struct encoder *e, PyObject *obj)
{
    double number = PyFloat_AS_DOUBLE(obj);
    return put_raw(e, CMP_KIND_FLOAT, &number, sizeof number);
}

/* The only one of these types for which pickle asks who has registered a reducer.  */
static int put_complex(struct encoder *e, PyObject *obj)
{
    Py_complex number = PyComplex_AsCComplex(obj);
    int plain = pycmp_complex_is_plain(e->st);

    if (plain <= 0)
        return plain < 0 ? -1 : TO_PICKLE;
    return put_raw(e, CMP_KIND_COMPLEX, &number, sizeof number);
}

static int put_payload(struct encoder *e, enum cmp_kind kind, PyObject *owner, const void *data,
                       Py_ssize_t n)
{
    Py_buffer view;

    if (n < PYCMP_LARGE)
        return pycmp_message_bytes(e->m, kind, data, n);
    if (PyBuffer_FillInfo(&view, owner, (void *)data, n, 1, PyBUF_SIMPLE) < 0)
        return -1;
    return pycmp_message_payload(e->m, kind, &view);
}

static int put_str(struct encoder *e, PyObject *obj)
{
    if (PyUnicode_IS_COMPACT_ASCII(obj))
        return put_payload(e, CMP_KIND_STR, obj, PyUnicode_DATA(obj), PyUnicode_GET_LENGTH(obj));
    PyObject *utf8 = PyUnicode_AsEncodedString(obj, "utf-8", "surrogatepass");
    if (utf8 == NULL)
        return -1;
    int rc = put_payload(e, CMP_KIND_STR, utf8, PyBytes_AS_STRING(utf8), PyBytes_GET_SIZE(utf8));
    Py_DECREF(utf8);
    return rc;
}

static int put_bytes(struct encoder *e, PyObject *obj)
{
    return put_payload(e, CMP_KIND_BYTES, obj, PyBytes_AS_STRING(obj), PyBytes_GET_SIZE(obj));
}

/* While there is a view of it, nobody can resize it.  */
static int put_bytearray(struct encoder *e, PyObject *obj)
{
    Py_buffer view;

    if (PyObject_GetBuffer(obj, &view, PyBUF_SIMPLE) < 0)
        return -1;
    return pycmp_message_payload(e->m, CMP_KIND_BYTEARRAY, &view);
}

/* ---- containers: whoever else changes one meanwhile leaves it to pickle ----------------- */

static int put_value(struct encoder *e, PyObject *obj, Py_ssize_t held);

static int begin(struct encoder *e, enum cmp_kind kind, PyObject *obj, Py_ssize_t n)
{
    if (e->depth == CMP_WIRE_DEPTH)
        return TO_PICKLE;
    e->path[e->depth++] = obj;
    return pycmp_message_put(e->m, kind, (uint64_t)n);
}

static int end(struct encoder *e, int rc, bool whole)
{
    e->depth--;
    return rc == 0 && !whole ? TO_PICKLE : rc;
}

static int put_and_drop(struct encoder *e, PyObject *item)
{
    int rc = put_value(e, item, HELD);
    Py_DECREF(item);
    return rc;
}

static int put_tuple(struct encoder *e, PyObject *tuple)
{
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    int rc = begin(e, CMP_KIND_TUPLE, tuple, n);

    for (Py_ssize_t i = 0; rc == 0 && i < n; i++)
        rc = put_and_drop(e, Py_NewRef(PyTuple_GET_ITEM(tuple, i)));
    return end(e, rc, true);
}

static int put_list(struct encoder *e, PyObject *list)
{
    Py_ssize_t n = PyList_GET_SIZE(list);
    int rc = begin(e, CMP_KIND_LIST, list, n);

    for (Py_ssize_t i = 0; rc == 0 && i < n; i++) {
        PyObject *item = PyList_GetItemRef(list, i);
        if (item != NULL)
            rc = put_and_drop(e, item);
        else {
            PyErr_Clear();
            rc = TO_PICKLE;
        }
    }
    return end(e, rc, PyList_GET_SIZE(list) == n);
}

static int put_set(struct encoder *e, enum cmp_kind kind, PyObject *set)
{
    Py_ssize_t n = PySet_GET_SIZE(set);
    PyObject *items = PyObject_GetIter(set), *item;
    int rc = items == NULL ? -1 : begin(e, kind, set, n);

    while (rc == 0 && (item = PyIter_Next(items)) != NULL) {
        rc = put_and_drop(e, item);
        n--;
    }
    Py_XDECREF(items);
    if (items == NULL || (rc == 0 && PyErr_Occurred()))
        return -1;
    return end(e, rc, n == 0);
}

static int put_items(struct encoder *e, PyObject *dict, Py_ssize_t n)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    int rc = 0;

    while (rc == 0 && PyDict_Next(dict, &at, &key, &value)) {
        Py_INCREF(key);
        Py_INCREF(value);
        rc = put_value(e, key, ANY_NUMBER);
        if (rc == 0)
            rc = put_value(e, value, HELD);
        Py_DECREF(key);
        Py_DECREF(value);
        n--;
    }
    return rc == 0 && n != 0 ? TO_PICKLE : rc;
}

static int put_dict(struct encoder *e, PyObject *dict)
{
    int rc;

    Py_BEGIN_CRITICAL_SECTION(dict);
    Py_ssize_t n = PyDict_GET_SIZE(dict);
    rc = begin(e, CMP_KIND_DICT, dict, n);
    if (rc == 0)
        rc = put_items(e, dict, n);
    Py_END_CRITICAL_SECTION();
    return end(e, rc, true);
}

/* ---- any value ---------------------------------------------------------------------- */

/* The caller has a reference of its own to it; more than held: it may come again.  0, -1 and an
   exception, or TO_PICKLE.  */
static int put_value(struct encoder *e, PyObject *obj, Py_ssize_t held)
{
    PyTypeObject *type = Py_TYPE(obj);

    if (type == &PyLong_Type)
        return put_int(e, obj);
    if (type == &PyFloat_Type)
        return put_float(e, obj);
    if (obj == Py_None)
        return pycmp_message_tag(e->m, CMP_KIND_NONE);
    if (type == &PyBool_Type)
        return pycmp_message_tag(e->m, obj == Py_True ? CMP_KIND_TRUE : CMP_KIND_FALSE);
    if (Py_REFCNT(obj) > held) {
        int rc = put_again(e, obj);
        if (rc != NOT_SEEN)
            return rc;
    }
    if (type == &PyUnicode_Type)
        return put_str(e, obj);
    if (type == &PyTuple_Type)
        return put_tuple(e, obj);
    if (type == &PyList_Type)
        return put_list(e, obj);
    if (type == &PyDict_Type)
        return put_dict(e, obj);
    if (type == &PyBytes_Type)
        return put_bytes(e, obj);
    if (type == &PyByteArray_Type)
        return put_bytearray(e, obj);
    if (type == &PySet_Type)
        return put_set(e, CMP_KIND_SET, obj);
    if (type == &PyFrozenSet_Type)
        return put_set(e, CMP_KIND_FROZENSET, obj);
    if (type == &PyComplex_Type)
        return put_complex(e, obj);
    return TO_PICKLE;
}

static void message_open(struct pycmp_message *m)
{
    m->head = m->small;
    m->used = m->n_buffers = m->n_pieces = m->piece_room = 0;
    m->room = sizeof m->small;
    m->pieces = NULL;
    m->cargo = NULL;
}

/* By dumps, or pickle if it is NULL.  */
static int put_pickle(pycmp_state *st, struct pycmp_message *m, PyObject *obj, PyObject *dumps,
                      bool carries)
{
    if (carries && (m->cargo = pycmp_cargo_open()) == NULL)
        return -1;
    int rc = dumps != NULL ? pycmp_dump_foreign(m, obj, dumps) : pycmp_pickle(st, m, obj);
    if (carries)
        pycmp_cargo_close(m->cargo);
    return rc;
}

int pycmp_encode(pycmp_state *st, struct pycmp_message *m, PyObject *obj, PyObject *dumps,
                 bool carries)
{
    int rc;

    message_open(m);
    if (dumps != NULL)
        rc = put_pickle(st, m, obj, dumps, carries);
    else {
        struct encoder e; /* path and few need no values */
        e.st = st;
        e.m = m;
        e.depth = 0;
        e.n_seen = 0;
        e.table = NULL;
        rc = put_and_drop(&e, Py_NewRef(obj));
        forget_seen(&e);
        if (rc == TO_PICKLE) {
            pycmp_message_free(m);
            message_open(m);
            rc = put_pickle(st, m, obj, NULL, carries);
        }
    }
    if (rc < 0)
        pycmp_message_free(m);
    return rc;
}
