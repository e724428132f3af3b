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
    int most = sig->n_positional == 0 ? n_names : sig->n_positional;
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);

    if (nargs > most) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d%s argument%s (%zd given)",
                     sig->function, most, most == n_names ? "" : " positional",
                     most == 1 ? "" : "s", nargs);
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

/* *overflow: 0, or the sign of an integer that is no long long.  */
static int to_long_long(PyObject *value, const char *name, long long *out, int *overflow)
{
    if (!PyIndex_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an integer, not %R", name, value);
        return -1;
    }
    PyObject *index = PyNumber_Index(value);
    if (index == NULL)
        return -1;
    *out = PyLong_AsLongLongAndOverflow(index, overflow);
    Py_DECREF(index);
    return 0;
}

int pycmp_clamped(PyObject *value, const char *name, long long *out)
{
    int overflow;

    if (to_long_long(value, name, out, &overflow) < 0)
        return -1;
    if (overflow != 0)
        *out = overflow < 0 ? LLONG_MIN : LLONG_MAX;
    return 0;
}

int pycmp_integer(PyObject *value, const char *name, long long low, long long high,
                  long long *out)
{
    int overflow;

    if (to_long_long(value, name, out, &overflow) < 0)
        return -1;
    if (overflow != 0 || *out < low || *out > high) {
        PyErr_Format(PyExc_ValueError, "%s must be from %lld to %lld, not %R",
                     name, low, high, value);
        return -1;
    }
    return 0;
}

/* -1 and an exception, or whether to wait.  */
static int will_wait(PyObject *block, PyObject *blocking)
{
    if (block != NULL && blocking != NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "acquire() got both 'block' and 'blocking', which are the same");
        return -1;
    }
    if (block == NULL)
        block = blocking;
    return block == NULL ? 1 : PyObject_IsTrue(block);
}

int pycmp_patience(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                   int64_t *duration_ns)
{
    static const char *const names[] = {"block", "timeout", "blocking", NULL};
    static const struct pycmp_signature sig = {"acquire", names, 0, 2};
    PyObject *in[3];

    *duration_ns = CMP_FOREVER;
    if (nargs == 0 && kwnames == NULL)
        return 0;
    if (pycmp_args(&sig, args, nargs, kwnames, in) < 0)
        return -1;
    int wait = will_wait(in[0], in[2]);
    if (wait < 0 || (in[1] != NULL && pycmp_duration(in[1], duration_ns) < 0))
        return -1;
    if (wait == 0)
        *duration_ns = 0;
    return 0;
}

int pycmp_only_argument(const char *function, const char *name, PyObject *const *args,
                        Py_ssize_t nargs, PyObject *kwnames, PyObject **out)
{
    const char *const names[] = {name, NULL};
    const struct pycmp_signature sig = {.function = function, .names = names};

    *out = NULL;
    if (nargs == 0 && kwnames == NULL)
        return 0;
    return pycmp_args(&sig, args, nargs, kwnames, out);
}
