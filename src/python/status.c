/* status.c -- the one place where a status of the core becomes an exception.

   -ENOMEM is MemoryError.  Any other is the OSError of its number, of the subclass
   that OSError() chooses: -ESRCH is ProcessLookupError, -ECHILD ChildProcessError,
   -EPERM PermissionError, and so on.  */
#include "module.h"

/* In place of the system's words, which say nothing of what it is about here. */
static const struct {
    int number;
    const char *text;
} TEXTS[] = {
    {EUSERS, "the process table of this family is full: it has 8192 places"},
    {EBADF, "the program has closed the descriptor of this family's shared memory: what there "
            "is stays usable, but it cannot grow; leave the descriptors alone that cmp opened"},
    {EUCLEAN, "this object is damaged in shared memory; cmp.check() may tell more"},
};

static PyObject *raise_with(int number, const char *text)
{
    PyObject *args = Py_BuildValue("(is)", number, text);

    if (args != NULL)
        PyErr_SetObject(PyExc_OSError, args);
    Py_XDECREF(args);
    return NULL;
}

PyObject *pycmp_raise(int rc)
{
    if (PyErr_Occurred())
        return NULL;
    if (rc >= 0)
        return PyErr_Format(PyExc_SystemError, "status %d is not an error", rc);
    if (rc == -ENOMEM)
        return PyErr_NoMemory();
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
        if (TEXTS[i].number == -rc)
            return raise_with(-rc, TEXTS[i].text);
    errno = -rc;
    return PyErr_SetFromErrno(PyExc_OSError);
}
