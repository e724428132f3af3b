/* items.c -- where the items of a ctypes object are, and slices of them.  */
#include "items.h"

static size_t size_of(char code)
{
    switch (code) {
#define SIZE(letter, type, to, from, class) case letter: return sizeof(type);
    PYCMP_NUMBERS(SIZE)
#undef SIZE
    case 'c': return 1;
    default: return 0;
    }
}

int pycmp_items_find(struct pycmp_items *items, PyObject *obj, char code)
{
    size_t size = size_of(code);
    Py_buffer view;

    *items = (struct pycmp_items){0};
    if (size == 0)
        return 0;
    if (PyObject_GetBuffer(obj, &view, PyBUF_SIMPLE) < 0)
        return -1;
    *items = (struct pycmp_items){
        .code = code, .size = size, .memory = view.buf, .length = view.len / (Py_ssize_t)size};
    PyBuffer_Release(&view);
    return 0;
}

/* ---- slices ---------------------------------------------------------------------------- */

struct slice {
    Py_ssize_t start, step, length;
};

/* 0: resolved, and all its items are in memory; 1: leave it to ctypes; -1: an exception. */
static int resolve(const struct pycmp_items *items, PyObject *key, struct slice *s)
{
    Py_ssize_t stop;

    if (items->code == 0 || !PySlice_Check(key))
        return 1;
    if (PySlice_Unpack(key, &s->start, &stop, &s->step) < 0)
        return -1;
    s->length = PySlice_AdjustIndices(items->length, &s->start, &stop, s->step);
    return 0;
}

static inline char *slice_at(const struct pycmp_items *items, const struct slice *s, Py_ssize_t i)
{
    return items->memory + (size_t)(s->start + i * s->step) * items->size;
}

static PyObject *load_list(const struct pycmp_items *items, const struct slice *s)
{
    PyObject *list = PyList_New(s->length);

    for (Py_ssize_t i = 0; list != NULL && i < s->length; i++) {
        PyObject *item = pycmp_item_load(items->code, slice_at(items, s, i));
        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, item);
    }
    return list;
}

/* Whether items of this format are, byte by byte, what those of `code` would become
   if they were assigned one by one.  */
static bool same_format(char code, size_t size, const char *format, Py_ssize_t itemsize)
{
    if (format == NULL)
        format = "B";
    if (*format == '@' || *format == '=' || (PY_LITTLE_ENDIAN && *format == '<'))
        format++;
    if (*format == 0 || format[1] != 0 || itemsize != (Py_ssize_t)size)
        return false;
    if (code == 'f' || code == 'd')
        return *format == code;
    return code == 'c' ? strchr("Bc", *format) != NULL : strchr("bBhHiIlLqQ", *format) != NULL;
}

/* Whether value, which has a buffer, was copied into the slice.  */
static bool store_buffer(const struct pycmp_items *items, const struct slice *s, PyObject *value)
{
    Py_buffer view;

    if (PyObject_GetBuffer(value, &view, PyBUF_ND | PyBUF_FORMAT) < 0) {
        PyErr_Clear();
        return false;
    }
    bool fits = view.ndim == 1 && view.shape[0] == s->length &&
                same_format(items->code, items->size, view.format, view.itemsize);
    if (fits)
        memmove(slice_at(items, s, 0), view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return fits;
}

/* The same for a list or tuple; what was stored before an item that is not plain, ctypes
   will store once more.  */
static bool store_items(const struct pycmp_items *items, const struct slice *s, PyObject *value)
{
    bool stored;

    Py_BEGIN_CRITICAL_SECTION(value);
    stored = PySequence_Fast_GET_SIZE(value) == s->length;
    for (Py_ssize_t i = 0; stored && i < s->length; i++)
        stored = pycmp_item_store(items->code, slice_at(items, s, i), PySequence_Fast_GET_ITEM(value, i));
    Py_END_CRITICAL_SECTION();
    return stored;
}

static bool store_slice(const struct pycmp_items *items, const struct slice *s, PyObject *value)
{
    if (s->step == 1 && s->length > 0 && PyObject_CheckBuffer(value))
        return store_buffer(items, s, value);
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
        return store_items(items, s, value);
    return false;
}

PyObject *pycmp_items_get_slow(const struct pycmp_items *items, PyObject *obj, PyObject *key)
{
    struct slice s;
    int rc = resolve(items, key, &s);

    if (rc < 0)
        return NULL;
    return rc == 0 && items->code != 'c' ? load_list(items, &s) : PyObject_GetItem(obj, key);
}

int pycmp_items_set_slow(const struct pycmp_items *items, PyObject *obj, PyObject *key,
                         PyObject *value)
{
    struct slice s;
    int rc = resolve(items, key, &s);

    if (rc < 0 || (rc == 0 && store_slice(items, &s, value)))
        return rc;
    return PyObject_SetItem(obj, key, value);
}
