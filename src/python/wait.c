/* wait.c -- the one GIL drop, and the deadlines that go with it.  */
#include "module.h"
#include <math.h>
#include <unistd.h>
#include "../core/owner.h"
#include "../core/wait.h"
#include "../platform/platform.h"

#define SECOND_NS 1e9
#define LONGEST_SECONDS 4e9 /* a century: longer is for ever, and now + it fits */

static _Thread_local PyThreadState *outside; /* of this thread, while it has dropped the GIL */

/* Whether this thread is the one that runs signal handlers.  (Where Python was started
   in another thread than the first, it is not, and a signal that comes while it does not
   sleep waits for the end of its slice.)  */
static bool runs_handlers(void)
{
    static _Thread_local uint32_t asked;
    static _Thread_local bool answer;

    if (asked != cmp_tid()) {
        asked = cmp_tid();
        answer = asked == (uint32_t)getpid();
    }
    return answer;
}

static _Thread_local uint32_t changes; /* see pycmp_begin_anew */

void pycmp_begin_anew(void)
{
    changes++;
}

/* Run the handlers of signals that came.  In the child of a fork that one of them did,
   the wait is to be begun anew: it was the parent's.  */
static int run_handlers(void)
{
    uint32_t me = cmp_me(), before = changes;

    PyEval_RestoreThread(outside);
    int rc = PyErr_CheckSignals();
    outside = PyEval_SaveThread();
    return rc < 0 || cmp_me() != me || changes != before;
}

int pycmp_block(int (*op)(void *, int64_t), void *obj, int64_t deadline_ns)
{
    cmp_look_fn before = cmp_wait_look(runs_handlers() ? run_handlers : NULL);
    PyThreadState *further = outside; /* of a wait whose handler runs this one */
    int rc;

    do {
        outside = PyEval_SaveThread();
        rc = op(obj, deadline_ns);
        PyEval_RestoreThread(outside);
    } while (rc == -EINTR && !PyErr_Occurred() && PyErr_CheckSignals() == 0);
    outside = further;
    cmp_wait_look(before);
    return PyErr_Occurred() ? -EINTR : rc;
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
