/* segment.c -- Segment: one mapping of a named segment of shared memory.

   It has no method that unmaps: memory that a view reaches stays as long as this object, which
   every view holds, NumPy's arrays included, even if the memoryview that they were made from
   is released.  So nothing that is done with views can touch memory that is gone.  */
#include "module.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <structmember.h>
#include "../platform/platform.h"

typedef struct {
    PyObject_HEAD
    void *base; /* NULL: not mapped */
    Py_ssize_t size;
    int fd; /* -1: closed */
} Segment;

/* What is wanted, while it is being made. */
struct wish {
    const char *name;
    int flags;
    int mode;
    PyObject *size; /* None: as large as it is */
    int reserve;
};

/* OSError(-rc) with the name as file name, as the standard library has it. */
static int raise_named(int rc, const char *name)
{
    PyObject *shown = PyUnicode_DecodeFSDefault(name);

    if (shown != NULL) {
        errno = -rc;
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, shown);
        Py_DECREF(shown);
    }
    return -1;
}

static int raise_no_room(PyObject *wanted, uint64_t room)
{
    pycmp_raise_os(ENOSPC,
                   "shared memory of %S bytes was wanted, but /dev/shm has only %llu bytes free: "
                   "ask for less, or make it larger (docker run --shm-size=..., or as root "
                   "mount -o remount,size=... /dev/shm)",
                   wanted, (unsigned long long)room);
    return -1;
}

static int open_it(Segment *self, const struct wish *wish)
{
    Py_BEGIN_ALLOW_THREADS
    self->fd = cmp_segment_open(wish->name, wish->flags, (unsigned int)wish->mode);
    Py_END_ALLOW_THREADS
    if (self->fd >= 0)
        return 0;
    int rc = self->fd;
    self->fd = -1;
    return raise_named(rc, wish->name);
}

/* A mapping that finds no memory when it is touched ends the program: what is not there is
   refused before.  */
static int make_room(Segment *self, const struct wish *wish)
{
    long long bytes;
    uint64_t room;

    if (pycmp_clamped(wish->size, "size", &bytes) < 0)
        return -1;
    int rc = cmp_segment_room(self->fd, &room);
    if (rc == 0 && (uint64_t)bytes > room)
        return raise_no_room(wish->size, room);
    if (rc == 0)
        rc = cmp_segment_resize(self->fd, (uint64_t)bytes);
    if (rc < 0)
        return raise_named(rc, wish->name);
    self->size = (Py_ssize_t)bytes;
    return 0;
}

static int find_size(Segment *self, const struct wish *wish)
{
    uint64_t bytes;
    int rc = cmp_segment_size(self->fd, &bytes);

    if (rc == 0 && bytes > PY_SSIZE_T_MAX)
        rc = -ENOMEM;
    if (rc < 0)
        return raise_named(rc, wish->name);
    if (bytes == 0) {
        PyErr_Format(PyExc_ValueError,
                     "the shared memory %s is empty: who created it has given it no size (yet); "
                     "if that process was killed, unlink the file of that name in /dev/shm",
                     wish->name);
        return -1;
    }
    self->size = (Py_ssize_t)bytes;
    return 0;
}

/* Others may have taken what was free when make_room() looked. */
static int raise_not_reserved(int rc, const struct wish *wish, uint64_t bytes, int fd)
{
    uint64_t room = 0;

    if (rc != -ENOSPC)
        return raise_named(rc, wish->name);
    cmp_segment_room(fd, &room);
    PyObject *wanted = PyLong_FromUnsignedLongLong(bytes);
    if (wanted == NULL)
        return -1;
    raise_no_room(wanted, room);
    Py_DECREF(wanted);
    return -1;
}

static int reserve(Segment *self, const struct wish *wish)
{
    uint64_t bytes = (uint64_t)self->size, done = 0;
    int rc;

    do {
        Py_BEGIN_ALLOW_THREADS
        rc = cmp_segment_reserve(self->fd, bytes, &done);
        Py_END_ALLOW_THREADS
        if (rc == -EINTR && PyErr_CheckSignals() < 0)
            return -1;
    } while (rc == -EINTR);
    return rc < 0 ? raise_not_reserved(rc, wish, bytes, self->fd) : 0;
}

static int map_it(Segment *self, const struct wish *wish)
{
    int rc = cmp_segment_map(self->fd, (size_t)self->size, &self->base);
    return rc < 0 ? raise_named(rc, wish->name) : 0;
}

static void close_fd(Segment *self)
{
    /* Two threads may close it at once, also where no GIL keeps them apart. */
    cmp_close(__atomic_exchange_n(&self->fd, -1, __ATOMIC_RELAXED));
}

/* Only what this very call has created is taken away again when the rest fails. */
static int fill(Segment *self, const struct wish *wish)
{
    if (open_it(self, wish) < 0)
        return -1;
    if ((wish->size == Py_None ? find_size(self, wish) : make_room(self, wish)) == 0 &&
        (!wish->reserve || reserve(self, wish) == 0) && map_it(self, wish) == 0)
        return 0;
    if ((wish->flags & O_CREAT) && (wish->flags & O_EXCL))
        cmp_segment_unlink(wish->name);
    return -1;
}

static PyObject *Segment_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *name;
    struct wish wish;

    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Segment() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O&iiOp:Segment", PyUnicode_FSConverter, &name, &wish.flags,
                          &wish.mode, &wish.size, &wish.reserve))
        return NULL;
    wish.name = PyBytes_AS_STRING(name);
    Segment *self = (Segment *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->fd = -1;
        if (fill(self, &wish) < 0)
            Py_CLEAR(self);
    }
    Py_DECREF(name);
    return (PyObject *)self;
}

static void Segment_dealloc(Segment *self)
{
    PyTypeObject *type = Py_TYPE(self);

    close_fd(self);
    if (self->base != NULL)
        cmp_segment_unmap(self->base, (size_t)self->size);
    type->tp_free(self);
    Py_DECREF(type);
}

static int Segment_getbuffer(Segment *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, self->base, self->size, 0, flags);
}

static Py_ssize_t Segment_length(Segment *self)
{
    return self->size;
}

static PyObject *Segment_close(Segment *self, PyObject *Py_UNUSED(none))
{
    close_fd(self);
    Py_RETURN_NONE;
}

static PyMethodDef Segment_methods[] = {
    {"close", (PyCFunction)(void (*)(void))Segment_close, METH_NOARGS,
     "close($self, /)\n--\n\nClose the descriptor; the memory stays as long as this object."},
    {NULL, NULL, 0, NULL},
};

/* fd may be set: programs close it themselves, and say so. */
static PyMemberDef Segment_members[] = {
    {"fd", T_INT, offsetof(Segment, fd), 0, "The descriptor; -1 once it is closed."},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Segment_doc,
"Segment(name, flags, mode, size, reserve, /)\n"
"--\n"
"\n"
"Open or create the named segment, flags and mode being os.open()'s, and map it.\n"
"It gets that size, unless that is None.  What was created is removed again when\n"
"the rest fails.  A buffer; it is unmapped when this object goes.");

static PyType_Slot Segment_slots[] = {
    {Py_tp_doc, (void *)Segment_doc},
    {Py_tp_new, Segment_new},
    {Py_tp_dealloc, Segment_dealloc},
    {Py_tp_methods, Segment_methods},
    {Py_tp_members, Segment_members},
    {Py_bf_getbuffer, Segment_getbuffer},
    {Py_sq_length, Segment_length},
    {0, NULL},
};

PyType_Spec pycmp_segment_spec = {
    .name = "cmp._cmp.Segment",
    .basicsize = sizeof(Segment),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Segment_slots,
};

/* Call function with the name as the system has it.  Its status, or -1 and an exception.  */
static int by_name(int (*function)(const char *), PyObject *arg)
{
    PyObject *name;

    if (!PyUnicode_FSConverter(arg, &name))
        return -1;
    int rc = function(PyBytes_AS_STRING(name));
    if (rc < 0)
        rc = raise_named(rc, PyBytes_AS_STRING(name));
    Py_DECREF(name);
    return rc;
}

static PyObject *unlink_segment(PyObject *Py_UNUSED(mod), PyObject *name)
{
    if (by_name(cmp_segment_unlink, name) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *segment_exists(PyObject *Py_UNUSED(mod), PyObject *name)
{
    int found = by_name(cmp_segment_exists, name);
    return found < 0 ? NULL : PyBool_FromLong(found);
}

PyDoc_STRVAR(unlink_doc,
"unlink_segment($module, name, /)\n"
"--\n"
"\n"
"Take the name of a segment away; its memory goes with the last mapping.");

PyDoc_STRVAR(exists_doc,
"segment_exists($module, name, /)\n"
"--\n"
"\n"
"Whether there is a segment of that name; OSError: no segment can have it.");

PyMethodDef pycmp_segment_methods[] = {
    {"unlink_segment", unlink_segment, METH_O, unlink_doc},
    {"segment_exists", segment_exists, METH_O, exists_doc},
    {NULL, NULL, 0, NULL},
};
