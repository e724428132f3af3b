/* wait.c -- the one GIL drop, and the deadlines that go with it.  */
#include "module.h"
#include <math.h>
#include <unistd.h>
#include "../core/wait.h"
#include "../platform/platform.h"

#define SECOND_NS 1e9
#define LONGEST_SECONDS 4e9 /* a century: longer is for ever, and now + it fits */

/* Whether this thread is the one that runs signal handlers.  (Where Python was started
   in another thread than the first, it is not, and a signal that comes while it spins
   may wait for the end of its first slice.)  */
static bool runs_handlers(void)
{
    return cmp_tid() == (uint32_t)getpid();
}

static int run_as(enum cmp_wait_mode mode, int (*op)(void *, int64_t), void *obj,
                  int64_t deadline_ns)
{
    cmp_wait_as(mode);
    int rc = op(obj, deadline_ns);
    cmp_wait_as(CMP_WAIT_WHOLE);
    return rc;
}

/* A signal that comes before the sleep does not end it: only a flag tells of it.  So
   look at the flag when all spinning is over.  */
int pycmp_block(int (*op)(void *, int64_t), void *obj, int64_t deadline_ns)
{
    enum cmp_wait_mode mode = CMP_WAIT_AWAKE;
    int rc;

    do {
        Py_BEGIN_ALLOW_THREADS
        rc = run_as(mode, op, obj, deadline_ns);
        if (rc == -EINTR && mode == CMP_WAIT_AWAKE && !runs_handlers())
            rc = run_as(CMP_WAIT_ASLEEP, op, obj, deadline_ns);
        Py_END_ALLOW_THREADS
        mode = CMP_WAIT_ASLEEP;
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

int pycmp_duration(PyObject *timeout, int64_t *duration_ns)
{
    double seconds;

    *duration_ns = CMP_FOREVER;
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
        *duration_ns = to_ns(seconds);
    return 0;
}

int64_t pycmp_deadline_after(int64_t duration_ns)
{
    return duration_ns == CMP_FOREVER ? CMP_FOREVER : cmp_now_ns() + duration_ns;
}
