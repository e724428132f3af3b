/* naming.c -- Naming: a mutex of this process and a lock on a file, taken as one by `with`.

   In C, so that nothing comes between: an exception that a signal handler raises in a method
   written in Python, after the lock was taken or before it was given up, would leave it to a
   process that lives, and all others of the family waiting.  */
#include "module.h"
#include <errno.h>
#include <stdbool.h>
#include "../platform/platform.h"

typedef struct {
    PyObject_HEAD
    PyObject *mutex; /* an RLock */
    int fd;
    bool entered; /* the mutex is held, by this object */
    bool locked;  /* the file, too */
} Naming;

static PyObject *Naming_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "", NULL};
    PyObject *mutex;
    int fd;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oi:Naming", names, &mutex, &fd))
        return NULL;
    Naming *self = (Naming *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->mutex = Py_NewRef(mutex);
    self->fd = fd;
    return (PyObject *)self;
}

/* 0, or -1 and an exception; without a lock where the file has none, or is closed.  */
static int lock_file(Naming *self)
{
    int rc;

    do {
        Py_BEGIN_ALLOW_THREADS
        rc = cmp_file_lock(self->fd);
        Py_END_ALLOW_THREADS
        if (rc == -EINTR && PyErr_CheckSignals() < 0)
            return -1;
    } while (rc == -EINTR);
    self->locked = rc == 0;
    return 0;
}

/* -1 and an exception, or whether this thread has the mutex: then it has the file, too.  */
static int is_nested(Naming *self)
{
    PyObject *answer = PyObject_CallMethod(self->mutex, "_is_owned", NULL);
    int nested = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return nested;
}

static int release(Naming *self)
{
    PyObject *answer = PyObject_CallMethod(self->mutex, "release", NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

static PyObject *Naming_enter(Naming *self, PyObject *Py_UNUSED(none))
{
    int nested = is_nested(self);
    PyObject *answer = nested < 0 ? NULL : PyObject_CallMethod(self->mutex, "acquire", NULL);

    Py_XDECREF(answer);
    if (answer == NULL)
        return NULL;
    if (nested > 0 || lock_file(self) == 0) {
        self->entered = true;
        return Py_NewRef(self);
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    release(self);
    PyErr_Restore(type, value, traceback);
    return NULL;
}

static PyObject *Naming_exit(Naming *self, PyObject *Py_UNUSED(args))
{
    if (self->locked)
        cmp_file_unlock(self->fd);
    self->locked = false;
    if (self->entered) {
        self->entered = false;
        if (release(self) < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

static void Naming_dealloc(Naming *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *error, *value, *traceback;

    PyErr_Fetch(&error, &value, &traceback);
    if (self->locked) /* what traces the program may raise where no signal handler runs */
        cmp_file_unlock(self->fd);
    if (self->entered && release(self) < 0)
        PyErr_WriteUnraisable(self->mutex);
    PyErr_Restore(error, value, traceback);
    Py_XDECREF(self->mutex);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef Naming_methods[] = {
    {"__enter__", (PyCFunction)(void (*)(void))Naming_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))Naming_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(Naming_doc,
"Naming(mutex, fd, /)\n"
"--\n"
"\n"
"`with` takes an RLock, and then, unless this thread had it already, a lock on the\n"
"file against other processes; if the file is closed, the RLock alone.");

static PyType_Slot Naming_slots[] = {
    {Py_tp_doc, (void *)Naming_doc},
    {Py_tp_new, Naming_new},
    {Py_tp_dealloc, Naming_dealloc},
    {Py_tp_methods, Naming_methods},
    {0, NULL},
};

PyType_Spec pycmp_naming_spec = {
    .name = "cmp._cmp.Naming",
    .basicsize = sizeof(Naming),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Naming_slots,
};
