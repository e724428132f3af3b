/* wait.c -- the one GIL drop, and the deadlines that go with it.  */
#include "module.h"
#include <math.h>
#include <stdbool.h>
#include "../platform/platform.h"

#define SECOND_NS 1e9
#define LONGEST_SECONDS 4e9 /* a century: longer is for ever, and now + it fits */

int pycmp_block(int (*op)(void *, int64_t), void *obj, int64_t deadline_ns)
{
    int rc;
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = op(obj, deadline_ns);
        Py_END_ALLOW_THREADS
    } while (rc == -EINTR && PyErr_CheckSignals() == 0);
    return rc;
}

static bool is_real(PyObject *value)
{
    PyNumberMethods *number = Py_TYPE(value)->tp_as_number;
    return number != NULL && (number->nb_float != NULL || number->nb_index != NULL);
}

/* An int or Fraction beyond the range of a float: infinite, by its sign.  */
static int infinite(PyObject *value, double *seconds)
{
    PyObject *zero = PyLong_FromLong(0);
    if (zero == NULL)
        return -1;
    int negative = PyObject_RichCompareBool(value, zero, Py_LT);
    Py_DECREF(zero);
    *seconds = negative ? -INFINITY : INFINITY;
    return negative < 0 ? -1 : 0;
}

static int to_seconds(PyObject *timeout, double *seconds)
{
    if (!is_real(timeout)) {
        PyErr_Format(PyExc_TypeError,
                     "timeout must be a number of seconds or None, not %R", timeout);
        return -1;
    }
    *seconds = PyFloat_AsDouble(timeout);
    if (*seconds != -1.0 || !PyErr_Occurred())
        return 0;
    if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
        PyErr_Clear();
        return infinite(timeout, seconds);
    }
    if (PyErr_ExceptionMatches(PyExc_ValueError)) { /* Decimal('sNaN') */
        PyErr_Clear();
        *seconds = NAN;
        return 0;
    }
    return -1;
}

/* Rounded up: a sleep is never shorter than asked for.  (ceil() is in libm.) */
static int64_t to_ns(double seconds)
{
    double exact = seconds * SECOND_NS;
    int64_t ns = (int64_t)exact;
    return (double)ns < exact ? ns + 1 : ns;
}

int pycmp_deadline(PyObject *timeout, int64_t *deadline_ns)
{
    double seconds;

    *deadline_ns = CMP_FOREVER;
    if (timeout == Py_None)
        return 0;
    if (to_seconds(timeout, &seconds) < 0)
        return -1;
    if (isnan(seconds)) {
        PyErr_Format(PyExc_ValueError, "timeout must be a number of seconds, not %R",
                     timeout);
        return -1;
    }
    if (seconds < 0)
        seconds = 0;
    if (seconds < LONGEST_SECONDS)
        *deadline_ns = cmp_now_ns() + to_ns(seconds);
    return 0;
}
