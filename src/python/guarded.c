/* guarded.c -- Guarded, GuardedValue, GuardedArray, GuardedString: a ctypes object and
   the lock that every access to it takes.

   All accesses go to the ctypes object, but for those of simple items: items.h.  */
#include "lock.h"
#include <stddef.h>
#include <structmember.h>
#include "items.h"

/* All but dict and weakrefs: r/o after __init__.  */
struct guarded {
    PyObject_HEAD
    PyObject *obj;   /* NULL until __init__ has run, then for good */
    PyObject *lock;
    bool native;     /* its acquire and release are those of Lock or RLock */
    struct pycmp_items items;
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

/* ---- Guarded ----------------------------------------------------------------------------- */

static PyObject *Guarded_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                             PyObject *Py_UNUSED(kwargs))
{
    return type->tp_alloc(type, 0);
}

static int raise_initialised(PyObject *self)
{
    PyErr_Format(PyExc_RuntimeError, "this %s has been initialised before", Py_TYPE(self)->tp_name);
    return -1;
}

/* 0, or -1 and an exception: nothing was set.  */
static int set_up(struct guarded *g, PyObject *obj, PyObject *lock, char code)
{
    PyObject *acquire = PyObject_GetAttrString(lock, "acquire");
    PyObject *release = acquire == NULL ? NULL : PyObject_GetAttrString(lock, "release");
    struct pycmp_items items;
    int rc = release == NULL ? -1 : pycmp_items_find(&items, obj, code);

    /* All that may run Python code, this very __init__ included, comes before. */
    if (rc == 0 && g->obj != NULL)
        rc = raise_initialised((PyObject *)g);
    if (rc == 0) {
        g->native = pycmp_lock_has(lock, acquire, release);
        g->items = items;
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
    int rc;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|s:Guarded", names, &obj, &lock, &code))
        return -1;
    Py_BEGIN_CRITICAL_SECTION(self);
    rc = set_up(guarded_of(self), obj, lock, *code);
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

    if (g->items.code == 0)
        return get_attribute(self, name);
    if (enter(self) < 0)
        return NULL;
    return leave_with(self, pycmp_item_load(g->items.code, g->items.memory));
}

static int Value_set(PyObject *self, PyObject *value, void *name)
{
    struct guarded *g = guarded_of(self);

    if (g->items.code == 0 || value == NULL)
        return set_attribute(self, value, name);
    if (enter(self) < 0)
        return -1;
    if (pycmp_item_store(g->items.code, g->items.memory, value))
        return leave(self, 0);
    return leave(self, PyObject_SetAttrString(g->obj, name, value));
}

/* ---- GuardedArray ---------------------------------------------------------------------- */

static PyObject *Array_subscript(PyObject *self, PyObject *key)
{
    struct guarded *g = guarded_of(self);

    if (enter(self) < 0)
        return NULL;
    return leave_with(self, pycmp_items_get(&g->items, g->obj, key));
}

static int Array_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    struct guarded *g = guarded_of(self);

    if (value == NULL) {
        PyErr_Format(PyExc_TypeError, "'%s' object doesn't support item deletion",
                     Py_TYPE(self)->tp_name);
        return -1;
    }
    if (enter(self) < 0)
        return -1;
    return leave(self, pycmp_items_set(&g->items, g->obj, key, value));
}

static Py_ssize_t Array_length(PyObject *self)
{
    struct guarded *g = initialised(self);

    if (g == NULL)
        return -1;
    return g->items.code != 0 ? g->items.length : PyObject_Size(g->obj);
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
