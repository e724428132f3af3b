/* status.c -- the one place where a status of the core becomes an exception.

   -ENOMEM is MemoryError.  Any other is the OSError of its number, of the subclass
   that OSError() chooses: -ESRCH is ProcessLookupError, -ECHILD ChildProcessError,
   -EPERM PermissionError, and so on.  */
#include "module.h"
#include <string.h>
#include "../core/owner.h"

PyObject *pycmp_raise_os(int number, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    PyObject *text = PyUnicode_FromFormatV(format, values);
    va_end(values);
    PyObject *args = text == NULL ? NULL : Py_BuildValue("(iN)", number, text);
    if (args != NULL)
        PyErr_SetObject(PyExc_OSError, args);
    Py_XDECREF(args);
    return NULL;
}

/* Why this process is not in the process table, as it cannot acquire anything.  */
static PyObject *raise_no_slot(void)
{
    int number = cmp_me_errno();

    if (number == 0 || number == EUSERS)
        return pycmp_raise_os(EUSERS, "the process table of this family is full: it has %u places",
                              CMP_SLOTS);
    return pycmp_raise_os(number,
                          "this process has no place in the process table of its family: %s",
                          strerror(number));
}

PyObject *pycmp_raise(int rc)
{
    if (PyErr_Occurred())
        return NULL;
    if (rc >= 0)
        return PyErr_Format(PyExc_SystemError, "status %d is not an error", rc);
    if (rc == -ENOMEM)
        return PyErr_NoMemory();
    if (rc == -EUSERS)
        return raise_no_slot();
    if (rc == -EUCLEAN)
        return pycmp_raise_os(EUCLEAN, "this object is damaged in shared memory; cmp.check() may "
                                       "tell more");
    errno = -rc;
    return PyErr_SetFromErrno(PyExc_OSError);
}

void pycmp_raise_closed(void)
{
    pycmp_raise_os(EBADF, "the program has closed the descriptor of this family's shared memory: "
                          "what there is stays usable, but it cannot grow, nor go to a process that "
                          "is not forked; leave descriptors alone that others opened");
}
