/* guarded.c -- Guarded, GuardedValue, GuardedArray, GuardedString: a ctypes object and
   the lock that every access to it takes.

   What a value becomes, and which it takes, is ctypes' business: all accesses go to the
   ctypes object, but for those of which the answer is beyond doubt, plain ints and
   floats in memory of the simple types.  For these, memory is read and written here. */
#include "lock.h"
#include <stddef.h>
#include <string.h>
#include <structmember.h>

#if PY_VERSION_HEX < 0x030D0000
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* All but dict and weakrefs: r/o after __init__.  */
struct guarded {
    PyObject_HEAD
    PyObject *obj;   /* NULL until __init__ has run, then for good */
    PyObject *lock;
    bool native;     /* its acquire and release are those of Lock or RLock */
    char code;       /* of the items, as in `array`; 0: leave all to ctypes */
    size_t size;     /* of an item */
    char *memory;
    Py_ssize_t length;
    PyObject *dict;
    PyObject *weakrefs;
};

static inline struct guarded *guarded_of(PyObject *self)
{
    return (struct guarded *)self;
}

/* ---- under the lock ---------------------------------------------------------------- */

/* NULL and an exception before __init__.  */
static struct guarded *initialised(PyObject *self)
{
    if (guarded_of(self)->obj != NULL)
        return guarded_of(self);
    PyErr_Format(PyExc_RuntimeError, "%s.__init__() was not called", Py_TYPE(self)->tp_name);
    return NULL;
}

/* 0, or -1, an exception, and not held.  */
static int enter(PyObject *self)
{
    struct guarded *g = initialised(self);
    PyObject *answer;

    if (g == NULL)
        return -1;
    if (g->native)
        answer = pycmp_lock_acquire(g->lock, CMP_FOREVER);
    else
        answer = PyObject_CallMethod(g->lock, "acquire", NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

static int release(struct guarded *g)
{
    PyObject *answer = g->native ? pycmp_lock_release(g->lock)
                                 : PyObject_CallMethod(g->lock, "release", NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* Release; the access has given rc, -1 with an exception, which stays the one that is
   raised.  */
static int leave(PyObject *self, int rc)
{
    PyObject *type, *value, *traceback;

    if (rc == 0)
        return release(guarded_of(self));
    PyErr_Fetch(&type, &value, &traceback);
    release(guarded_of(self));
    PyErr_Restore(type, value, traceback); /* instead of what release may have set */
    return -1;
}

/* The same for an access that gives an object.  */
static PyObject *leave_with(PyObject *self, PyObject *result)
{
    if (leave(self, result == NULL ? -1 : 0) < 0)
        Py_CLEAR(result);
    return result;
}

/* ---- items in memory ---------------------------------------------------------------- */

/* do(code, C type, to Python, from Python, class) of each type that is read and written
   here; class: int or float. */
#define NUMBERS(do) \
    do('b', signed char, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('B', unsigned char, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('h', short, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('H', unsigned short, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('i', int, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('I', unsigned int, PyLong_FromUnsignedLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('l', long, PyLong_FromLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('L', unsigned long, PyLong_FromUnsignedLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('q', long long, PyLong_FromLongLong, PyLong_AsUnsignedLongLongMask, PyLong) \
    do('Q', unsigned long long, PyLong_FromUnsignedLongLong, PyLong_AsUnsignedLongLongMask, \
       PyLong) \
    do('f', float, PyFloat_FromDouble, PyFloat_AS_DOUBLE, PyFloat) \
    do('d', double, PyFloat_FromDouble, PyFloat_AS_DOUBLE, PyFloat)

static size_t size_of(char code)
{
    switch (code) {
#define SIZE(letter, type, to, from, class) case letter: return sizeof(type);
    NUMBERS(SIZE)
#undef SIZE
    case 'c': return 1;
    default: return 0;
    }
}

static PyObject *load(char code, const char *at)
{
    switch (code) {
#define LOAD(letter, type, to, from, class) \
    case letter: { type value; memcpy(&value, at, sizeof value); return to(value); }
    NUMBERS(LOAD)
#undef LOAD
    default: return PyBytes_FromStringAndSize(at, 1); /* 'c' */
    }
}

/* False: leave it to ctypes. */
static bool store(char code, char *at, PyObject *value)
{
    switch (code) {
#define STORE(letter, type, to, from, class) \
    case letter: { \
        if (!class##_CheckExact(value)) \
            return false; \
        type number = (type)from(value); \
        memcpy(at, &number, sizeof number); \
        return true; \
    }
    NUMBERS(STORE)
#undef STORE
    default: return false;
    }
}

/* The item that a plain int names, NULL for all that is to be left to ctypes.  */
static char *item_at(struct guarded *g, PyObject *key)
{
    if (g->code == 0 || !PyLong_CheckExact(key))
        return NULL;
    Py_ssize_t i = PyLong_AsSsize_t(key);
    if (i == -1 && PyErr_Occurred())
        PyErr_Clear(); /* too large: -1 is, for ctypes, as wrong */
    else if (i >= -g->length && i < g->length)
        return g->memory + (size_t)(i < 0 ? i + g->length : i) * g->size;
    return NULL;
}

/* ---- slices --------------------------------------------------------------------------- */

struct slice {
    Py_ssize_t start, step, length;
};

/* 0: resolved, and all its items are in memory; 1: leave it to ctypes; -1: an exception. */
static int resolve(struct guarded *g, PyObject *key, struct slice *s)
{
    Py_ssize_t stop;

    if (g->code == 0 || !PySlice_Check(key))
        return 1;
    if (PySlice_Unpack(key, &s->start, &stop, &s->step) < 0)
        return -1;
    s->length = PySlice_AdjustIndices(g->length, &s->start, &stop, s->step);
    return 0;
}

static inline char *slice_at(struct guarded *g, const struct slice *s, Py_ssize_t i)
{
    return g->memory + (size_t)(s->start + i * s->step) * g->size;
}

static PyObject *load_list(struct guarded *g, const struct slice *s)
{
    PyObject *list = PyList_New(s->length);

    for (Py_ssize_t i = 0; list != NULL && i < s->length; i++) {
        PyObject *item = load(g->code, slice_at(g, s, i));
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
static bool store_buffer(struct guarded *g, const struct slice *s, PyObject *value)
{
    Py_buffer view;

    if (PyObject_GetBuffer(value, &view, PyBUF_ND | PyBUF_FORMAT) < 0) {
        PyErr_Clear();
        return false;
    }
    bool fits = view.ndim == 1 && view.shape[0] == s->length &&
                same_format(g->code, g->size, view.format, view.itemsize);
    if (fits)
        memmove(slice_at(g, s, 0), view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return fits;
}

/* The same for a list or tuple; what was stored before an item that is not plain, ctypes
   will store once more.  */
static bool store_items(struct guarded *g, const struct slice *s, PyObject *value)
{
    bool stored;

    Py_BEGIN_CRITICAL_SECTION(value);
    stored = PySequence_Fast_GET_SIZE(value) == s->length;
    for (Py_ssize_t i = 0; stored && i < s->length; i++)
        stored = store(g->code, slice_at(g, s, i), PySequence_Fast_GET_ITEM(value, i));
    Py_END_CRITICAL_SECTION();
    return stored;
}

static bool store_slice(struct guarded *g, const struct slice *s, PyObject *value)
{
    if (s->step == 1 && s->length > 0 && PyObject_CheckBuffer(value))
        return store_buffer(g, s, value);
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
        return store_items(g, s, value);
    return false;
}

/* ---- Guarded ----------------------------------------------------------------------------- */

static PyObject *Guarded_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                             PyObject *Py_UNUSED(kwargs))
{
    return type->tp_alloc(type, 0);
}

/* Where the items of obj are, if this process may count on their staying there.  0, or -1
   and an exception.  */
static int find_items(struct guarded *g, PyObject *obj, const char *code)
{
    Py_buffer view;

    g->size = size_of(*code);
    if (g->size == 0)
        return 0;
    if (PyObject_GetBuffer(obj, &view, PyBUF_SIMPLE) < 0)
        return -1;
    g->memory = view.buf;
    g->length = view.len / (Py_ssize_t)g->size;
    g->code = *code;
    PyBuffer_Release(&view);
    return 0;
}

/* 0, or -1 and an exception: nothing was set.  */
static int set_up(struct guarded *g, PyObject *obj, PyObject *lock, const char *code)
{
    PyObject *acquire = PyObject_GetAttrString(lock, "acquire");
    PyObject *release = acquire == NULL ? NULL : PyObject_GetAttrString(lock, "release");

    int rc = release == NULL ? -1 : find_items(g, obj, code);

    if (rc == 0) {
        g->native = pycmp_lock_has(lock, acquire, release);
        g->lock = Py_NewRef(lock);
        g->obj = Py_NewRef(obj);
    }
    Py_XDECREF(acquire);
    Py_XDECREF(release);
    return rc;
}

static int Guarded_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "", "", NULL};
    PyObject *obj, *lock;
    const char *code = "";
    int rc = -1;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|s:Guarded", names, &obj, &lock, &code))
        return -1;
    Py_BEGIN_CRITICAL_SECTION(self);
    if (guarded_of(self)->obj == NULL)
        rc = set_up(guarded_of(self), obj, lock, code);
    else
        PyErr_Format(PyExc_RuntimeError, "this %s has been initialised before",
                     Py_TYPE(self)->tp_name);
    Py_END_CRITICAL_SECTION();
    return rc;
}

static int Guarded_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct guarded *g = guarded_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(g->obj);
    Py_VISIT(g->lock);
    Py_VISIT(g->dict);
    return 0;
}

static int Guarded_clear(PyObject *self)
{
    struct guarded *g = guarded_of(self);
    Py_CLEAR(g->obj); /* from now on it is as before __init__ */
    Py_CLEAR(g->lock);
    Py_CLEAR(g->dict);
    return 0;
}

static void Guarded_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    if (guarded_of(self)->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    Guarded_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *Guarded_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct guarded *g = initialised(self);

    if (g == NULL)
        return NULL;
    if (g->native)
        return pycmp_lock_acquire(g->lock, CMP_FOREVER);
    return PyObject_CallMethod(g->lock, "__enter__", NULL);
}

static PyObject *Guarded_exit(PyObject *self, PyObject *args)
{
    struct guarded *g = initialised(self);

    if (g == NULL)
        return NULL;
    if (g->native)
        return pycmp_lock_release(g->lock);
    PyObject *exit = PyObject_GetAttrString(g->lock, "__exit__");
    PyObject *answer = exit == NULL ? NULL : PyObject_CallObject(exit, args);
    Py_XDECREF(exit);
    return answer;
}

static PyObject *Guarded_get_obj(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct guarded *g = initialised(self);
    return g == NULL ? NULL : Py_NewRef(g->obj);
}

static PyObject *Guarded_get_lock(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct guarded *g = initialised(self);
    return g == NULL ? NULL : Py_NewRef(g->lock);
}

/* acquire and release: the methods of the lock, as they are attributes in the standard
   library.  */
static PyObject *Guarded_of_lock(PyObject *self, void *name)
{
    struct guarded *g = initialised(self);
    return g == NULL ? NULL : PyObject_GetAttrString(g->lock, name);
}

/* ---- an attribute of the ctypes object, under the lock ---------------------------------- */

static PyObject *get_attribute(PyObject *self, void *name)
{
    if (enter(self) < 0)
        return NULL;
    return leave_with(self, PyObject_GetAttrString(guarded_of(self)->obj, name));
}

static int refuse_to_delete(const char *what)
{
    PyErr_Format(PyExc_AttributeError, "can't delete %s", what);
    return -1;
}

static int set_attribute(PyObject *self, PyObject *value, void *name)
{
    if (value == NULL)
        return refuse_to_delete(name);
    if (enter(self) < 0)
        return -1;
    return leave(self, PyObject_SetAttrString(guarded_of(self)->obj, name, value));
}

/* ---- GuardedValue ---------------------------------------------------------------------- */

static PyObject *Value_get(PyObject *self, void *name)
{
    struct guarded *g = guarded_of(self);

    if (g->code == 0)
        return get_attribute(self, name);
    if (enter(self) < 0)
        return NULL;
    return leave_with(self, load(g->code, g->memory));
}

static int Value_set(PyObject *self, PyObject *value, void *name)
{
    struct guarded *g = guarded_of(self);

    if (g->code == 0 || value == NULL)
        return set_attribute(self, value, name);
    if (enter(self) < 0)
        return -1;
    if (store(g->code, g->memory, value))
        return leave(self, 0);
    return leave(self, PyObject_SetAttrString(g->obj, name, value));
}

/* ---- GuardedArray ---------------------------------------------------------------------- */

static PyObject *load_key(struct guarded *g, PyObject *key)
{
    const char *item = item_at(g, key);
    struct slice s;

    if (item != NULL)
        return load(g->code, item);
    int rc = resolve(g, key, &s);
    if (rc < 0)
        return NULL;
    return rc == 0 && g->code != 'c' ? load_list(g, &s) : PyObject_GetItem(g->obj, key);
}

static int store_key(struct guarded *g, PyObject *key, PyObject *value)
{
    char *item = item_at(g, key);
    struct slice s;

    if (item != NULL && store(g->code, item, value))
        return 0;
    int rc = resolve(g, key, &s);
    if (rc < 0 || (rc == 0 && store_slice(g, &s, value)))
        return rc;
    return PyObject_SetItem(g->obj, key, value);
}

static PyObject *Array_subscript(PyObject *self, PyObject *key)
{
    if (enter(self) < 0)
        return NULL;
    return leave_with(self, load_key(guarded_of(self), key));
}

static int Array_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    if (value == NULL) {
        PyErr_Format(PyExc_TypeError, "'%s' object doesn't support item deletion",
                     Py_TYPE(self)->tp_name);
        return -1;
    }
    if (enter(self) < 0)
        return -1;
    return leave(self, store_key(guarded_of(self), key, value));
}

static Py_ssize_t Array_length(PyObject *self)
{
    struct guarded *g = initialised(self);

    if (g == NULL)
        return -1;
    return g->code != 0 ? g->length : PyObject_Size(g->obj);
}

/* ---- the types ------------------------------------------------------------------------- */

PyDoc_STRVAR(get_obj_doc,
"get_obj($self, /)\n"
"--\n"
"\n"
"Return the ctypes object.");

PyDoc_STRVAR(get_lock_doc,
"get_lock($self, /)\n"
"--\n"
"\n"
"Return the lock that guards it.");

static PyMethodDef Guarded_methods[] = {
    {"get_obj", Guarded_get_obj, METH_NOARGS, get_obj_doc},
    {"get_lock", Guarded_get_lock, METH_NOARGS, get_lock_doc},
    {"__enter__", Guarded_enter, METH_NOARGS, NULL},
    {"__exit__", Guarded_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Guarded_members[] = {
    {"_obj", T_OBJECT_EX, offsetof(struct guarded, obj), READONLY, NULL},
    {"_lock", T_OBJECT_EX, offsetof(struct guarded, lock), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(struct guarded, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct guarded, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef Guarded_getset[] = {
    {"acquire", Guarded_of_lock, NULL, NULL, "acquire"},
    {"release", Guarded_of_lock, NULL, NULL, "release"},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyGetSetDef Value_getset[] = {
    {"value", Value_get, Value_set, NULL, "value"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyGetSetDef String_getset[] = {
    {"value", get_attribute, set_attribute, NULL, "value"},
    {"raw", get_attribute, set_attribute, NULL, "raw"},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(Guarded_doc, "A ctypes object and the lock that guards it.");

#define LIFE \
    {Py_tp_new, Guarded_new}, \
    {Py_tp_dealloc, Guarded_dealloc}, \
    {Py_tp_traverse, Guarded_traverse}, \
    {Py_tp_clear, Guarded_clear}

static PyType_Slot Guarded_slots[] = {
    LIFE,
    {Py_tp_init, Guarded_init},
    {Py_tp_doc, (void *)Guarded_doc},
    {Py_tp_methods, Guarded_methods},
    {Py_tp_members, Guarded_members},
    {Py_tp_getset, Guarded_getset},
    {0, NULL},
};

static PyType_Slot Value_slots[] = {
    LIFE,
    {Py_tp_getset, Value_getset},
    {0, NULL},
};

static PyType_Slot Array_slots[] = {
    LIFE,
    {Py_mp_length, Array_length},
    {Py_mp_subscript, Array_subscript},
    {Py_mp_ass_subscript, Array_ass_subscript},
    {0, NULL},
};

static PyType_Slot String_slots[] = {
    LIFE,
    {Py_tp_getset, String_getset},
    {0, NULL},
};

#define SPEC(variable, type_name, its_slots) \
    PyType_Spec variable = { \
        .name = "cmp._cmp." type_name, \
        .basicsize = sizeof(struct guarded), \
        .flags = PYCMP_HANDLE_FLAGS, \
        .slots = its_slots, \
    }

SPEC(pycmp_guarded_spec, "Guarded", Guarded_slots);
SPEC(pycmp_guarded_value_spec, "GuardedValue", Value_slots);
SPEC(pycmp_guarded_array_spec, "GuardedArray", Array_slots);
SPEC(pycmp_guarded_string_spec, "GuardedString", String_slots);
