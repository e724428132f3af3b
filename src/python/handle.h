/* handle.h -- what the Python types of synchronisation have in common: each instance
   is a handle on an object of the arena.

   The object lives while any process of the family has a handle on it, or a reference
   under way (core/object.h); several handles of one process may be on one object.  */
#ifndef PYCMP_HANDLE_H
#define PYCMP_HANDLE_H

#include "module.h"
#include "../core/object.h"

struct pycmp_handle {
    PyObject_HEAD
    void *cell;         /* NULL until __init__ or __setstate__ have run, then for good */
    cmp_ref ref;        /* valid while cell is not NULL */
    PyObject *dict;     /* attributes, NULL until there is one */
    PyObject *weakrefs;
};

/* The cell of self, NULL and a RuntimeError before __init__.  */
void *pycmp_cell_missing(PyObject *self);
static inline void *pycmp_cell(PyObject *self)
{
    void *cell = ((struct pycmp_handle *)self)->cell;
    return cell != NULL ? cell : pycmp_cell_missing(self);
}

/* In __init__: make an object; pycmp_handle_open, once its cell is formatted, makes
   self the handle on it.  0, or -1 and an exception.  */
int pycmp_object_create(enum cmp_type type, size_t bytes, cmp_ref *ref, void **cell);
int pycmp_handle_open(PyObject *self, cmp_ref ref, void *cell);

/* Whether a call of __init__ was given nothing but ctx=, which is not used: objects
   know no context.  0, or -1 and a TypeError.  */
int pycmp_no_arguments(const char *type, PyObject *args, PyObject *kwargs);

/* A pickle of self has begun: the state is (family, reference, attributes), with the
   reference on its way, see way.h.  New reference, NULL and an exception.  */
PyObject *pycmp_handle_getstate(PyObject *self, PyObject *none);

/* The counterpart, in a handle that is not open: take the reference if the object is
   there and of this type, then the attributes.  extra[n_extra]: what a type has added
   to the state, borrowed.  0, or -1 and an exception.  */
int pycmp_handle_setstate(PyObject *self, PyObject *state, enum cmp_type type,
                          PyObject **extra, Py_ssize_t n_extra);

/* What every type below Handle has to name in its spec.  */
PyObject *pycmp_handle_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
void pycmp_handle_dealloc(PyObject *self);
int pycmp_handle_traverse(PyObject *self, visitproc visit, void *arg);
int pycmp_handle_clear(PyObject *self);

#define PYCMP_HANDLE_FLAGS \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE)
#define PYCMP_FAST(function) ((PyCFunction)(void (*)(void))(function))

#endif /* PYCMP_HANDLE_H */
