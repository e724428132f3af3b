/* handle.c -- Handle, the base of the types of synchronisation: its life, its
   attributes and its pickles.

   A pickle is copyreg.__newobj__(type), then __setstate__ with what __getstate__
   returned; so subclasses add to either as they would in Python.  */
#include "handle.h"
#include <stddef.h>
#include <string.h>
#include <structmember.h>
#include "../core/arena.h"
#include "../core/block.h"
#include "way.h"

#define ID_BYTES 16
#define STATE_SIZE 3

static inline struct pycmp_handle *handle_of(PyObject *self)
{
    return (struct pycmp_handle *)self;
}

/* ---- life ---------------------------------------------------------------------- */

PyObject *pycmp_handle_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                           PyObject *Py_UNUSED(kwargs))
{
    return type->tp_alloc(type, 0);
}

void *pycmp_cell_missing(PyObject *self)
{
    PyErr_Format(PyExc_RuntimeError, "%s.__init__() was not called", Py_TYPE(self)->tp_name);
    return NULL;
}

int pycmp_object_create(enum cmp_type type, size_t bytes, cmp_ref *ref, void **cell)
{
    if (pycmp_family() < 0)
        return -1;
    int rc = cmp_object_create(type, bytes, ref, cell);
    if (rc == 0)
        return 0;
    if (rc == -EBADF)
        pycmp_raise_closed();
    else
        pycmp_raise(rc);
    return -1;
}

int pycmp_handle_open(PyObject *self, cmp_ref ref, void *cell)
{
    struct pycmp_handle *h = handle_of(self);
    bool first;

    Py_BEGIN_CRITICAL_SECTION(self);
    first = h->cell == NULL;
    if (first) {
        h->ref = ref;
        h->cell = cell;
    }
    Py_END_CRITICAL_SECTION();
    if (first)
        return 0;
    cmp_object_drop(ref);
    PyErr_Format(PyExc_RuntimeError, "this %s has been initialised before",
                 Py_TYPE(self)->tp_name);
    return -1;
}

int pycmp_no_arguments(const char *type, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t n_keywords = kwargs == NULL ? 0 : PyDict_GET_SIZE(kwargs);

    if (PyTuple_GET_SIZE(args) == 0 && n_keywords == 0)
        return 0;
    if (PyTuple_GET_SIZE(args) == 0 && n_keywords == 1 &&
        PyDict_GetItemString(kwargs, "ctx") != NULL)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes no arguments but ctx=", type);
    return -1;
}

int pycmp_handle_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(handle_of(self)->dict);
    return 0;
}

int pycmp_handle_clear(PyObject *self)
{
    Py_CLEAR(handle_of(self)->dict);
    return 0;
}

/* Giving back takes a while, in which other threads go on. */
static void drop(cmp_ref ref)
{
    if (!cmp_object_drop_first(ref))
        return;
    Py_BEGIN_ALLOW_THREADS
    cmp_block_settle();
    Py_END_ALLOW_THREADS
}

void pycmp_handle_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    struct pycmp_handle *h = handle_of(self);

    PyObject_GC_UnTrack(self);
    if (h->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    Py_CLEAR(h->dict);
    if (h->cell != NULL)
        drop(h->ref);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- pickles: writing ------------------------------------------------------------ */

/* What object.__getstate__ says: None, a dict, or (dict, dict of slots).  */
static PyObject *attributes(PyObject *self)
{
    return PyObject_CallMethod((PyObject *)&PyBaseObject_Type, "__getstate__", "O", self);
}

PyObject *pycmp_handle_getstate(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct pycmp_handle *h = handle_of(self);

    if (pycmp_cell(self) == NULL || pycmp_reference_leaves(h->ref) < 0)
        return NULL;
    PyObject *others = attributes(self);
    if (others == NULL)
        return NULL;
    return Py_BuildValue("(y#KN)", (const char *)cmp_family_id(), (Py_ssize_t)ID_BYTES,
                         (unsigned long long)h->ref, others);
}

static PyObject *Handle_reduce(PyObject *self, PyObject *Py_UNUSED(none))
{
    PyObject *result = NULL, *newobj = NULL, *state = NULL;
    PyObject *copyreg = PyImport_ImportModule("copyreg");

    if (copyreg != NULL)
        newobj = PyObject_GetAttrString(copyreg, "__newobj__");
    if (newobj != NULL)
        state = PyObject_CallMethod(self, "__getstate__", NULL);
    if (state != NULL)
        result = Py_BuildValue("(O(O)O)", newobj, Py_TYPE(self), state);
    Py_XDECREF(copyreg);
    Py_XDECREF(newobj);
    Py_XDECREF(state);
    return result;
}

/* ---- pickles: reading ------------------------------------------------------------ */

static int bad_state(PyObject *self, PyObject *state)
{
    PyErr_Format(PyExc_ValueError, "%R is no state of a %s", state, Py_TYPE(self)->tp_name);
    return -1;
}

static int check_family(PyObject *self, PyObject *id)
{
    const unsigned char *own = cmp_family_id();

    if (own != NULL && memcmp(PyBytes_AS_STRING(id), own, ID_BYTES) == 0)
        return 0;
    PyErr_Format(PyExc_RuntimeError,
                 "this %s belongs to another family of processes: it can only be loaded in a "
                 "process that cmp or a fork started, directly or not, from the same one",
                 Py_TYPE(self)->tp_name);
    return -1;
}

static int take(PyObject *self, cmp_ref ref, enum cmp_type type, PyObject *state)
{
    void *cell;
    int rc = cmp_object_take(ref, type, &cell);

    if (rc == 0) {
        pycmp_reference_arrived(ref);
        return pycmp_handle_open(self, ref, cell);
    }
    if (rc == -EINVAL)
        return bad_state(self, state);
    if (rc == -ESTALE)
        PyErr_Format(PyExc_RuntimeError,
                     "this %s is gone: the last process that had it has dropped it",
                     Py_TYPE(self)->tp_name);
    else
        pycmp_raise(rc);
    return -1;
}

static int set_items(PyObject *self, PyObject *items)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;

    while (PyDict_Next(items, &at, &name, &value))
        if (PyObject_SetAttr(self, name, value) < 0)
            return -1;
    return 0;
}

static int set_dict(PyObject *self, PyObject *items)
{
    PyObject *dict = PyObject_GenericGetDict(self, NULL);
    int rc = dict == NULL ? -1 : PyDict_Update(dict, items);
    Py_XDECREF(dict);
    return rc;
}

/* As pickle does it without __setstate__: the dict directly, slots by setattr.  */
static int set_attributes(PyObject *self, PyObject *others, PyObject *state)
{
    PyObject *dict = others, *slots = Py_None;

    if (PyTuple_Check(others) && PyTuple_GET_SIZE(others) == 2) {
        dict = PyTuple_GET_ITEM(others, 0);
        slots = PyTuple_GET_ITEM(others, 1);
    }
    if ((dict != Py_None && !PyDict_Check(dict)) || (slots != Py_None && !PyDict_Check(slots)))
        return bad_state(self, state);
    if (dict != Py_None && set_dict(self, dict) < 0)
        return -1;
    return slots == Py_None ? 0 : set_items(self, slots);
}

int pycmp_handle_setstate(PyObject *self, PyObject *state, enum cmp_type type,
                          PyObject **extra, Py_ssize_t n_extra)
{
    if (!PyTuple_Check(state) || PyTuple_GET_SIZE(state) != STATE_SIZE + n_extra)
        return bad_state(self, state);
    PyObject *id = PyTuple_GET_ITEM(state, 0), *number = PyTuple_GET_ITEM(state, 1);
    if (!PyBytes_Check(id) || PyBytes_GET_SIZE(id) != ID_BYTES || !PyLong_Check(number))
        return bad_state(self, state);
    if (check_family(self, id) < 0)
        return -1;
    cmp_ref ref = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred()) {
        PyErr_Clear(); /* negative, or too large */
        return bad_state(self, state);
    }
    for (Py_ssize_t i = 0; i < n_extra; i++)
        extra[i] = PyTuple_GET_ITEM(state, STATE_SIZE + i);
    if (take(self, ref, type, state) < 0)
        return -1;
    return set_attributes(self, PyTuple_GET_ITEM(state, 2), state);
}

/* ---- methods of one's own ----------------------------------------------------------- */

static int add_methods(PyTypeObject *type, PyMethodDef *methods)
{
    for (PyMethodDef *m = methods; m != NULL && m->ml_name != NULL; m++) {
        PyObject *name = PyUnicode_InternFromString(m->ml_name);
        if (name == NULL)
            return -1;
        int known = PyDict_Contains(type->tp_dict, name);
        PyObject *method = known == 0 ? PyDescr_NewMethod(type, m) : NULL;
        int rc = known;
        if (known == 0)
            rc = method == NULL ? -1 : PyObject_SetAttr((PyObject *)type, name, method);
        Py_XDECREF(method);
        Py_DECREF(name);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static bool is_native(pycmp_state *st, PyTypeObject *type)
{
    return PyType_IsSubtype(type, st->HandleType) || PyType_IsSubtype(type, st->GuardedType);
}

static PyObject *own_methods(PyObject *mod, PyObject *cls)
{
    pycmp_state *st = PyModule_GetState(mod);

    if (!PyType_Check(cls) || !is_native(st, (PyTypeObject *)cls))
        return PyErr_Format(PyExc_TypeError, "%R is no class with a native base", cls);
    PyTypeObject *type = (PyTypeObject *)cls;
    for (PyTypeObject *base = type->tp_base; base != NULL; base = base->tp_base)
        if (is_native(st, base) && add_methods(type, base->tp_methods) < 0)
            return NULL;
    return Py_NewRef(cls);
}

PyDoc_STRVAR(own_methods_doc,
"own_methods($module, cls, /)\n"
"--\n"
"\n"
"Give the class, which is returned, the methods of its native bases as its own.\n"
"\n"
"The interpreter has short cuts for calls of native methods only where they belong\n"
"to the very class of the instance.");

PyMethodDef pycmp_handle_functions[] = {
    {"own_methods", own_methods, METH_O, own_methods_doc},
    {NULL, NULL, 0, NULL},
};

/* ---- the type ---------------------------------------------------------------------- */

static PyObject *Handle_index(PyObject *self, PyObject *Py_UNUSED(none))
{
    if (pycmp_cell(self) == NULL)
        return NULL;
    return PyLong_FromUnsignedLong(cmp_object_index(handle_of(self)->ref));
}

static PyMethodDef Handle_methods[] = {
    {"__reduce__", Handle_reduce, METH_NOARGS, NULL},
    {"__getstate__", pycmp_handle_getstate, METH_NOARGS, NULL},
    {"_index", Handle_index, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Handle_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Handle_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(struct pycmp_handle, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct pycmp_handle, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Handle_slots[] = {
    {Py_tp_dealloc, pycmp_handle_dealloc},
    {Py_tp_traverse, pycmp_handle_traverse},
    {Py_tp_clear, pycmp_handle_clear},
    {Py_tp_methods, Handle_methods},
    {Py_tp_getset, Handle_getset},
    {Py_tp_members, Handle_members},
    {0, NULL},
};

PyType_Spec pycmp_handle_spec = {
    .name = "cmp._cmp.Handle",
    .basicsize = sizeof(struct pycmp_handle),
    .flags = PYCMP_HANDLE_FLAGS | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Handle_slots,
};
