/* family.c -- the arena of this process family, how it reaches a child that is not
   forked, and what the package tells the core about processes.  */
#include "way.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "../core/arena.h"
#include "../core/atomics.h"
#include "../core/check.h"
#include "../core/object.h"
#include "../core/owner.h"

/* ---- having one ------------------------------------------------------------------ */

static cmp_word ready; /* 1: this process is a member, and its hook is in place */

static int become_ready(void)
{
    if (pycmp_watch_exec() < 0)
        return -1;
    store_release(&ready, 1);
    return 0;
}

int pycmp_family(void)
{
    if (load_acquire(&ready) == 1)
        return 0;
    int rc = cmp_family_init();
    if (rc == 0)
        return become_ready();
    pycmp_raise_os(-rc, "the shared memory of this family of processes cannot be made: %s",
                   strerror(-rc));
    return -1;
}

static PyObject *family_init(PyObject *Py_UNUSED(mod), PyObject *Py_UNUSED(none))
{
    if (pycmp_family() < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *family_fd(PyObject *Py_UNUSED(mod), PyObject *Py_UNUSED(none))
{
    return PyLong_FromLong(cmp_family_fd());
}

static PyObject *raise_no_member(int rc, uint32_t version)
{
    if (rc == -EPROTO)
        return PyErr_Format(PyExc_RuntimeError,
                            "the parent's cmp lays out shared memory in its version %u, this "
                            "one in version %u: all processes of a family need the same cmp",
                            (unsigned int)version, CMP_LAYOUT_VERSION);
    if (rc == -EEXIST)
        return PyErr_Format(PyExc_RuntimeError,
                            "this process has objects of another family already");
    return pycmp_raise_os(-rc, "the shared memory of the parent cannot be used: %s", strerror(-rc));
}

static bool is_given(PyObject *argument)
{
    return argument != NULL && argument != Py_None;
}

static PyObject *family_join(PyObject *Py_UNUSED(mod), PyObject *const *args,
                             Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"fd", "slot", "gen", NULL};
    static const struct pycmp_signature sig = {"family_join", names, 1, 0};
    PyObject *in[3];
    long long fd, slot = -1, gen = 0;
    uint32_t version = 0;

    if (pycmp_args(&sig, args, nargs, kwnames, in) < 0 ||
        pycmp_integer(in[0], "fd", 0, INT_MAX, &fd) < 0 ||
        (is_given(in[1]) && pycmp_integer(in[1], "slot", 0, CMP_SLOTS - 1, &slot) < 0) ||
        (is_given(in[2]) && pycmp_integer(in[2], "gen", 0, UINT32_MAX, &gen) < 0))
        return NULL;
    int rc = cmp_family_join((int)fd, &version);
    if (rc < 0)
        return raise_no_member(rc, version);
    struct cmp_embryo embryo = {.slot = (uint32_t)slot, .gen = (uint32_t)gen, .fd = (int)fd};
    rc = slot < 0 ? 0 : cmp_embryo_adopt(&embryo);
    /* Not before: this descriptor is what says that the embryo is still being born. */
    if (cmp_family_fd() != embryo.fd)
        cmp_embryo_sent(&embryo);
    if (rc < 0)
        return raise_no_member(rc, version);
    if (become_ready() < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- references on their way ------------------------------------------------------- */

/* A child that is being started by spawn or forkserver.  `with embryo:` has pickles
   that this thread writes give their references to it.  */
typedef struct {
    PyObject_HEAD
    struct cmp_embryo embryo; /* fd -1: none, this memory is shared by fork alone */
    bool open;                /* neither sent nor abandoned */
    uint32_t maker;           /* owner code of the process that is starting the child */
    struct pycmp_way way;
} Embryo;

static void raise_not_shared(void)
{
    if (cmp_map_fd(cmp_family_map()) == -EBADF)
        pycmp_raise_closed();
    else
        pycmp_raise_os(ENOTSUP, "locks, events and their like cannot go to a process that is "
                                "not forked, as this system offers no memory file");
}

static int give(struct pycmp_way *way, cmp_ref ref)
{
    Embryo *self = (Embryo *)(void *)((char *)way - offsetof(Embryo, way));

    if (!self->open || self->embryo.fd < 0) {
        raise_not_shared();
        return -1;
    }
    int rc = cmp_embryo_give(&self->embryo, ref);
    if (rc == 0)
        return 1;
    pycmp_raise(rc);
    return -1;
}

static PyObject *Embryo_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) > 0 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0))
        return PyErr_Format(PyExc_TypeError, "Embryo() takes no arguments");
    /* Without an arena there is nothing to give either: starting goes on. */
    if (pycmp_family() < 0) {
        if (!PyErr_ExceptionMatches(PyExc_OSError))
            return NULL;
        PyErr_Clear();
    }
    Embryo *self = (Embryo *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->embryo.fd = -1;
    if (cmp_family_fd() < 0)
        return (PyObject *)self;
    int rc = cmp_embryo_create(&self->embryo);
    if (rc < 0) {
        self->embryo.fd = -1;
        Py_DECREF(self);
        return pycmp_raise(rc);
    }
    self->maker = cmp_me();
    self->open = true;
    return (PyObject *)self;
}

/* Whether it is this process's to close; from now on it is closed.  */
static bool close_once(Embryo *self)
{
    bool was_open = self->open && self->maker == cmp_me(); /* else it is a forked copy */
    self->open = false;
    return was_open;
}

static PyObject *Embryo_enter(Embryo *self, PyObject *Py_UNUSED(none))
{
    if (self->way.take != NULL)
        return PyErr_Format(PyExc_RuntimeError, "this Embryo was entered before");
    self->way.take = give;
    pycmp_way_enter(&self->way);
    Py_INCREF(self);
    return Py_NewRef(self);
}

static PyObject *Embryo_exit(Embryo *self, PyObject *const *Py_UNUSED(args),
                             Py_ssize_t Py_UNUSED(nargs))
{
    if (!pycmp_way_is_innermost(&self->way))
        return PyErr_Format(PyExc_RuntimeError, "this Embryo was not entered last, here");
    pycmp_way_leave(&self->way);
    self->way.take = NULL;
    Py_DECREF(self);
    Py_RETURN_NONE;
}

static PyObject *Embryo_abandon(Embryo *self, PyObject *Py_UNUSED(none))
{
    if (close_once(self))
        cmp_embryo_abandon(&self->embryo);
    Py_RETURN_NONE;
}

static PyObject *Embryo_sent(Embryo *self, PyObject *Py_UNUSED(none))
{
    if (close_once(self))
        cmp_embryo_sent(&self->embryo);
    Py_RETURN_NONE;
}

/* (fd, slot, gen), or None if there is nothing to pass on.  */
static PyObject *Embryo_place(Embryo *self, void *Py_UNUSED(closure))
{
    if (self->embryo.fd < 0 || !self->open)
        Py_RETURN_NONE;
    return Py_BuildValue("(iII)", self->embryo.fd, (unsigned int)self->embryo.slot,
                         (unsigned int)self->embryo.gen);
}

static void Embryo_dealloc(Embryo *self)
{
    PyTypeObject *type = Py_TYPE(self);

    if (close_once(self))
        cmp_embryo_abandon(&self->embryo);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef Embryo_methods[] = {
    {"__enter__", (PyCFunction)(void (*)(void))Embryo_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))Embryo_exit, METH_FASTCALL, NULL},
    {"abandon", (PyCFunction)(void (*)(void))Embryo_abandon, METH_NOARGS,
     "The start failed: forget the child."},
    {"sent", (PyCFunction)(void (*)(void))Embryo_sent, METH_NOARGS,
     "The child has its descriptor: this process needs it no more."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Embryo_getset[] = {
    {"place", (getter)(void (*)(void))Embryo_place, NULL,
     "(fd, slot, gen): what the child passes to family_join(); None: nothing.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(Embryo_doc,
"Embryo()\n"
"--\n"
"\n"
"The place of a child that is being started, and what it will hold: references\n"
"in the pickles that this thread writes inside `with embryo:`.");

static PyType_Slot Embryo_slots[] = {
    {Py_tp_doc, (void *)Embryo_doc},
    {Py_tp_new, Embryo_new},
    {Py_tp_dealloc, Embryo_dealloc},
    {Py_tp_methods, Embryo_methods},
    {Py_tp_getset, Embryo_getset},
    {0, NULL},
};

PyType_Spec pycmp_embryo_spec = {
    .name = "cmp._cmp.Embryo",
    .basicsize = sizeof(Embryo),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Embryo_slots,
};

/* ---- how processes end ----------------------------------------------------------- */

static PyObject *leave(PyObject *Py_UNUSED(mod), PyObject *Py_UNUSED(none))
{
    cmp_owner_leave();
    Py_RETURN_NONE;
}

static PyObject *ended(PyObject *Py_UNUSED(mod), PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames)
{
    static const char *const names[] = {"pid", "status", NULL};
    static const struct pycmp_signature sig = {"ended", names, 2, 0};
    PyObject *in[2];
    long long pid, status;

    if (pycmp_args(&sig, args, nargs, kwnames, in) < 0 ||
        pycmp_integer(in[0], "pid", 1, INT_MAX, &pid) < 0 ||
        pycmp_integer(in[1], "status", INT_MIN, INT_MAX, &status) < 0)
        return NULL;
    cmp_owner_ended((int)pid, (int)status);
    Py_RETURN_NONE;
}

/* ---- check ------------------------------------------------------------------------- */

struct findings {
    char **lines;
    size_t n, room;
    bool lost; /* no memory for one more */
};

/* Under the process lock: the memory functions of Python may want the GIL (tracemalloc),
   whose holder may want that lock.  */
static void add_finding(void *arg, const char *what)
{
    struct findings *f = arg;

    if (f->n == f->room) {
        size_t room = f->room == 0 ? 16 : 2 * f->room;
        char **lines = realloc(f->lines, room * sizeof *lines);
        if (lines == NULL) {
            f->lost = true;
            return;
        }
        f->lines = lines;
        f->room = room;
    }
    char *line = malloc(strlen(what) + 1);
    if (line == NULL) {
        f->lost = true;
        return;
    }
    strcpy(line, what);
    f->lines[f->n++] = line;
}

static int check_op(void *findings, int64_t deadline_ns)
{
    (void)deadline_ns;
    return cmp_check(add_finding, findings);
}

static PyObject *to_list(const struct findings *f)
{
    if (f->lost)
        return PyErr_NoMemory();
    PyObject *list = PyList_New((Py_ssize_t)f->n);
    for (size_t i = 0; list != NULL && i < f->n; i++) {
        PyObject *line = PyUnicode_DecodeUTF8(f->lines[i], (Py_ssize_t)strlen(f->lines[i]),
                                              "replace");
        if (line == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, line);
    }
    return list;
}

static PyObject *check(PyObject *Py_UNUSED(mod), PyObject *Py_UNUSED(none))
{
    struct findings f = {NULL, 0, 0, false};

    if (cmp_family_id() == NULL)
        return PyList_New(0);
    int rc = pycmp_block(check_op, &f, CMP_FOREVER);
    PyObject *result = rc < 0 ? pycmp_raise(rc) : to_list(&f);
    for (size_t i = 0; i < f.n; i++)
        free(f.lines[i]);
    free(f.lines);
    return result;
}

/* ---- functions of the module --------------------------------------------------------- */

PyDoc_STRVAR(check_doc,
"check($module, /)\n"
"--\n"
"\n"
"Verify the shared memory of this family of processes; return what is wrong.\n"
"\n"
"Each string tells of one thing; an empty list means that all is well.  Other\n"
"processes may go on meanwhile.  OSError if it cannot look.");

PyDoc_STRVAR(family_init_doc,
"family_init($module, /)\n"
"--\n"
"\n"
"Have the shared memory of this family of processes.  Idempotent.");

PyDoc_STRVAR(family_fd_doc,
"family_fd($module, /)\n"
"--\n"
"\n"
"The descriptor of that memory; -1 if there is none yet, or fork alone shares it.");

PyDoc_STRVAR(family_join_doc,
"family_join($module, /, fd, slot=None, gen=None)\n"
"--\n"
"\n"
"Become a member of the family whose memory this is, with what the Embryo of\n"
"that place was given.  Takes over fd.");

PyDoc_STRVAR(leave_doc,
"leave($module, /)\n"
"--\n"
"\n"
"Say that this process is about to end in order.");

PyDoc_STRVAR(ended_doc,
"ended($module, /, pid, status)\n"
"--\n"
"\n"
"Say how process pid has ended: an exit status, or a negative signal number.");

PyMethodDef pycmp_family_methods[] = {
    {"check", check, METH_NOARGS, check_doc},
    {"family_init", family_init, METH_NOARGS, family_init_doc},
    {"family_fd", family_fd, METH_NOARGS, family_fd_doc},
    {"family_join", (PyCFunction)(void (*)(void))family_join,
     METH_FASTCALL | METH_KEYWORDS, family_join_doc},
    {"leave", leave, METH_NOARGS, leave_doc},
    {"ended", (PyCFunction)(void (*)(void))ended, METH_FASTCALL | METH_KEYWORDS, ended_doc},
    {NULL, NULL, 0, NULL},
};
