/* args.c -- arguments of hand-written METH_FASTCALL functions.  */
#include "module.h"

static int count(const char *const *names)
{
    int n = 0;
    while (names[n] != NULL)
        n++;
    return n;
}

static int place_keyword(const struct pycmp_signature *sig, PyObject *name,
                         PyObject *value, PyObject **out)
{
    for (int i = 0; sig->names[i] != NULL; i++) {
        if (PyUnicode_CompareWithASCIIString(name, sig->names[i]) != 0)
            continue;
        if (out[i] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'",
                         sig->function, name);
            return -1;
        }
        out[i] = value;
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'",
                 sig->function, name);
    return -1;
}

int pycmp_args(const struct pycmp_signature *sig, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames, PyObject **out)
{
    int n_names = count(sig->names);
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);

    if (nargs > n_names) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d argument%s (%zd given)",
                     sig->function, n_names, n_names == 1 ? "" : "s", nargs);
        return -1;
    }
    for (int i = 0; i < n_names; i++)
        out[i] = i < nargs ? args[i] : NULL;
    for (Py_ssize_t i = 0; i < n_keywords; i++)
        if (place_keyword(sig, PyTuple_GET_ITEM(kwnames, i), args[nargs + i], out) < 0)
            return -1;
    for (int i = 0; i < sig->n_required; i++)
        if (out[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() is missing the argument '%s'",
                         sig->function, sig->names[i]);
            return -1;
        }
    return 0;
}

int pycmp_integer(PyObject *value, const char *name, long long low, long long high,
                  long long *out)
{
    int overflow;

    if (!PyIndex_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an integer, not %R", name, value);
        return -1;
    }
    PyObject *index = PyNumber_Index(value);
    if (index == NULL)
        return -1;
    *out = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow != 0 || *out < low || *out > high) {
        PyErr_Format(PyExc_ValueError, "%s must be from %lld to %lld, not %R",
                     name, low, high, value);
        return -1;
    }
    return 0;
}
