/* status.c -- the one place where a status of the core becomes an exception.

   -ENOMEM is MemoryError.  Any other is the OSError of its number, of the subclass
   that OSError() chooses: -ESRCH is ProcessLookupError, -ECHILD ChildProcessError,
   -EPERM PermissionError, and so on.  */
#include "module.h"
#include <string.h>
#include "../core/owner.h"

/* OSError(number, text).  */
static PyObject *raise_with(int number, PyObject *text)
{
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
        return raise_with(EUSERS, PyUnicode_FromFormat(
            "the process table of this family is full: it has %u places", CMP_SLOTS));
    return raise_with(number, PyUnicode_FromFormat(
        "this process has no place in the process table of its family: %s",
        strerror(number)));
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
    if (rc == -EBADF)
        return raise_with(EBADF, PyUnicode_FromString(
            "the program has closed the descriptor of this family's shared memory: what there is "
            "stays usable, but it cannot grow; leave descriptors alone that others opened"));
    if (rc == -EUCLEAN)
        return raise_with(EUCLEAN, PyUnicode_FromString(
            "this object is damaged in shared memory; cmp.check() may tell more"));
    errno = -rc;
    return PyErr_SetFromErrno(PyExc_OSError);
}
