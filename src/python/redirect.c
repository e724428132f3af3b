/* redirect.c -- Redirect: a callable that passes every call on to a function,
   with another name in place of some names.

   It stands in for builtins.__import__.  In C, because every import statement
   of the program goes through it, and because a Python function would show up
   in the traceback of every module that fails to import.  */
#include "module.h"
#include <stdbool.h>
#include <string.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *function;  /* what is called in the end */
    PyObject *package;   /* the name of the package that is redirected */
    PyObject *translate; /* called like function; returns the name to use */
} Redirect;

/* The garbage collector may have cleared what others can still call.  */
static bool is_cleared(Redirect *self)
{
    if (self->function != NULL && self->translate != NULL)
        return false;
    PyErr_SetString(PyExc_ReferenceError, "this Redirect was cleared by the garbage collector");
    return true;
}

/* Whether name is the package or a module in it.  */
static bool is_in_package(Redirect *self, PyObject *name)
{
    if (!PyUnicode_Check(name))
        return false;
    Py_ssize_t length = PyUnicode_GET_LENGTH(self->package);
    if (PyUnicode_GET_LENGTH(name) < length ||
        PyUnicode_Tailmatch(name, self->package, 0, length, -1) != 1)
        return false;
    return PyUnicode_GET_LENGTH(name) == length || PyUnicode_READ_CHAR(name, length) == '.';
}

/* Where the argument `name` of a call stands, or -1.  */
static Py_ssize_t position_of_name(size_t nargs, PyObject *kwnames)
{
    if (nargs > 0)
        return 0;
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++)
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, i), "name") == 0)
            return i;
    return -1;
}

static PyObject *call_translated(Redirect *self, PyObject *const *args, size_t nargsf,
                                 PyObject *kwnames, Py_ssize_t at)
{
    size_t n = (size_t)PyVectorcall_NARGS(nargsf);
    PyObject *result = NULL;

    n += kwnames == NULL ? 0 : (size_t)PyTuple_GET_SIZE(kwnames);
    PyObject *name = PyObject_Vectorcall(self->translate, args, nargsf, kwnames);
    PyObject **changed = PyMem_New(PyObject *, n);
    if (changed == NULL) {
        PyErr_NoMemory();
    } else if (name != NULL) {
        memcpy(changed, args, n * sizeof *args);
        changed[at] = name;
        result = PyObject_Vectorcall(self->function, changed,
                                     nargsf & ~PY_VECTORCALL_ARGUMENTS_OFFSET, kwnames);
    }
    PyMem_Free(changed);
    Py_XDECREF(name);
    return result;
}

static PyObject *Redirect_vectorcall(PyObject *callable, PyObject *const *args,
                                     size_t nargsf, PyObject *kwnames)
{
    Redirect *self = (Redirect *)callable;
    Py_ssize_t at = position_of_name((size_t)PyVectorcall_NARGS(nargsf), kwnames);

    if (is_cleared(self))
        return NULL;
    if (at >= 0 && is_in_package(self, args[at]))
        return call_translated(self, args, nargsf & ~PY_VECTORCALL_ARGUMENTS_OFFSET, kwnames, at);
    return PyObject_Vectorcall(self->function, args, nargsf, kwnames);
}

static PyObject *Redirect_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"function", "package", "translate", NULL};
    PyObject *function, *package, *translate;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OUO:Redirect", names, &function,
                                     &package, &translate))
        return NULL;
    Redirect *self = (Redirect *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = Redirect_vectorcall;
    self->function = Py_NewRef(function);
    self->package = Py_NewRef(package);
    self->translate = Py_NewRef(translate);
    return (PyObject *)self;
}

/* What every type has of its own, and hides the function's.  */
static bool hides(PyObject *name)
{
    return PyUnicode_CompareWithASCIIString(name, "__module__") == 0 ||
           PyUnicode_CompareWithASCIIString(name, "__doc__") == 0;
}

/* __name__, __module__, __doc__ and all that is not here are the function's.  */
static PyObject *Redirect_getattro(PyObject *self, PyObject *name)
{
    if (!hides(name)) {
        PyObject *value = PyObject_GenericGetAttr(self, name);
        if (value != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError))
            return value;
        PyErr_Clear();
    }
    if (is_cleared((Redirect *)self))
        return NULL;
    return PyObject_GetAttr(((Redirect *)self)->function, name);
}

static int Redirect_traverse(Redirect *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->function);
    Py_VISIT(self->translate);
    return 0;
}

static int Redirect_clear(Redirect *self)
{
    Py_CLEAR(self->function);
    Py_CLEAR(self->translate);
    return 0;
}

static void Redirect_dealloc(Redirect *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Redirect_clear(self);
    Py_CLEAR(self->package);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Pickled by name, as the function that it stands in for would be.  */
static PyObject *Redirect_reduce(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return PyObject_GetAttrString(self, "__qualname__");
}

static PyMethodDef Redirect_methods[] = {
    {"__reduce__", Redirect_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Redirect_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Redirect, vectorcall), READONLY, NULL},
    {"__wrapped__", T_OBJECT_EX, offsetof(Redirect, function), READONLY,
     "The function that is called in the end."},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Redirect_doc,
"Redirect(function, package, translate)\n"
"--\n"
"\n"
"Call function; if its argument `name` is package or a module in it, with\n"
"what translate returns for the same arguments in place of that name.");

static PyType_Slot Redirect_slots[] = {
    {Py_tp_doc, (void *)Redirect_doc},
    {Py_tp_new, Redirect_new},
    {Py_tp_dealloc, Redirect_dealloc},
    {Py_tp_traverse, Redirect_traverse},
    {Py_tp_clear, Redirect_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_getattro, Redirect_getattro},
    {Py_tp_members, Redirect_members},
    {Py_tp_methods, Redirect_methods},
    {0, NULL},
};

PyType_Spec pycmp_redirect_spec = {
    .name = "cmp._cmp.Redirect",
    .basicsize = sizeof(Redirect),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Redirect_slots,
};
