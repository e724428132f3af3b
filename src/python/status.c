/* status.c -- the one place where a status of the core becomes an exception.

   -ENOMEM is MemoryError.  Any other is the OSError of its number, of the subclass
   that PyErr_SetFromErrno chooses: -ESRCH is ProcessLookupError, -ECHILD
   ChildProcessError, -EPERM PermissionError, and so on.  */
#include "module.h"

PyObject *pycmp_raise(int rc)
{
    if (PyErr_Occurred())
        return NULL;
    if (rc >= 0)
        return PyErr_Format(PyExc_SystemError, "status %d is not an error", rc);
    if (rc == -ENOMEM)
        return PyErr_NoMemory();
    errno = -rc;
    return PyErr_SetFromErrno(PyExc_OSError);
}
