/* module.h -- what the files of the binding share.  */
#ifndef PYCMP_MODULE_H
#define PYCMP_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "../core/cmp.h"

typedef struct {
    PyTypeObject *IdentityType;
    PyTypeObject *RedirectType;
} pycmp_state;

/* Functions of the module, by the file that has them.  */
extern PyMethodDef pycmp_kernel_methods[];
extern PyMethodDef pycmp_orphan_methods[];
extern PyMethodDef pycmp_identity_methods[];

extern PyStructSequence_Desc pycmp_identity_desc;
extern PyType_Spec pycmp_redirect_spec;

/* status.c */

/* Set the exception for status rc (< 0) and return NULL.  Keeps an exception
   that is already set, so -EINTR after a raising signal handler passes.  */
PyObject *pycmp_raise(int rc);

/* wait.c */

/* Run op without the GIL, retrying after signals whose handlers return.  The
   status of op; -EINTR only with the exception of a signal handler set.  */
int pycmp_block(int (*op)(void *, int64_t), void *obj, int64_t deadline_ns);

/* None and inf -> CMP_FOREVER; a real number of seconds, negative for 0 ->
   absolute deadline.  0, or -1 and an exception that names the value.  */
int pycmp_deadline(PyObject *timeout, int64_t *deadline_ns);

/* args.c */

/* The parameters of a METH_FASTCALL | METH_KEYWORDS function. */
struct pycmp_signature {
    const char *function;
    const char *const *names; /* ends with NULL */
    int n_required;
};

/* Sort the arguments of a call into out[], one (borrowed) for each name, NULL
   where it was not given.  0, or -1 and a TypeError.  */
int pycmp_args(const struct pycmp_signature *sig, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames, PyObject **out);

/* An integer from low to high.  0, or -1 and a TypeError or ValueError that
   names the parameter and the value.  */
int pycmp_integer(PyObject *value, const char *name, long long low, long long high,
                  long long *out);

#endif /* PYCMP_MODULE_H */
