/* connection.c -- Connection, one end of a pipe.

   Any number of threads may be in its calls.  close() forbids further ones; the end is given
   up when the last of those has returned.  In the child of a fork there are none of them.  */
#include "handle.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <structmember.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "connection.h"
#include "../core/arena.h"
#include "../core/atomics.h"

#define RING_BYTES (UINT32_C(1) << 16)

/* ---- the bell -------------------- */

/* Its byte: not one that multiprocessing.reduction.send_handle() sends along with a descriptor, the number
   of them, which stays for recv_handle().  */
#define RING '\xff'
static const char ring_byte = RING;

static void strike(void *arg)
{
    int before = errno;
    while (send(((Connection *)arg)->fd, &ring_byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
    errno = before;
}

static int count(void *arg)
{
    int n = 0;
    return ioctl(((Connection *)arg)->fd, FIONREAD, &n) == 0 ? n : 0;
}

/* How many bytes of its own come next, n at most.  */
static ssize_t own_bytes(Connection *c, char *bytes, size_t n)
{
    ssize_t got, own = 0;
    do
        got = recv(c->fd, bytes, n, MSG_DONTWAIT | MSG_PEEK);
    while (got < 0 && errno == EINTR);
    while (own < got && bytes[own] == RING)
        own++;
    return own;
}

static void take(void *arg, int n)
{
    char bytes[256];
    int before = errno;
    while (n > 0) {
        size_t some = n < (int)sizeof bytes ? (size_t)n : sizeof bytes;
        ssize_t own = own_bytes(arg, bytes, some);
        if (own <= 0 || (recv(((Connection *)arg)->fd, bytes, (size_t)own, MSG_DONTWAIT) < 0 && errno != EINTR))
            break;
        n -= (int)own;
    }
    errno = before;
}

static void hang_bell(Connection *c)
{
    c->bell = (struct cmp_bell){c, strike, count, take};
    if (c->end.in.ring != NULL)
        c->end.in.bell = &c->bell;
    if (c->end.out.ring != NULL)
        c->end.out.bell = &c->bell;
}

/* ---- calls in progress -------------------- */

/* With the GIL up to there: the child of a fork in the middle would have the end, and think it closed.  */
static void give_up(Connection *c)
{
    if (c->end.channel != NULL)
        cmp_channel_close(&c->end);
    else
        cmp_object_drop(c->handle.ref); /* its state was bad: it was not opened */
    Py_BEGIN_ALLOW_THREADS
    if (c->fd >= 0)
        close(c->fd);
    Py_END_ALLOW_THREADS
}

/* If it is closed and nobody uses it.  */
static void give_up_once(Connection *c)
{
    uint32_t seen = CLOSED;
    if (load_seqcst(&c->users) == CLOSED && cas_strong(&c->users, &seen, CLOSED | GONE))
        give_up(c);
}

/* After a fork, forget the calls of other threads.  */
static void recount(PyObject *self)
{
    Connection *c = pycmp_connection(self);
    uint32_t me = cmp_me();

    if (load_relaxed(&c->era) == me)
        return;
    Py_BEGIN_CRITICAL_SECTION(self);
    if (load_relaxed(&c->era) != me) {
        and_seqcst(&c->users, CLOSED | GONE);
        store_relaxed(&c->era, me);
    }
    Py_END_CRITICAL_SECTION();
}

static PyObject *raise_text(const char *text)
{
    PyErr_SetString(PyExc_OSError, text);
    return NULL;
}

void pycmp_done(PyObject *self, uint32_t era)
{
    Connection *c = pycmp_connection(self);
    if (load_relaxed(&c->era) != era)
        return; /* a signal handler has forked: this is the child, and has counted anew */
    add_seqcst(&c->users, UINT32_MAX);
    give_up_once(c);
}

/* A call begins.  0, or -1 and an exception; *era is for pycmp_done().  */
int pycmp_begin(PyObject *self, uint32_t *era)
{
    Connection *c = pycmp_connection(self);
    if (pycmp_cell(self) == NULL)
        return -1;
    recount(self);
    *era = load_relaxed(&c->era);
    if ((add_seqcst(&c->users, 1) & CLOSED) == 0)
        return 0;
    pycmp_done(self, *era);
    raise_text("handle is closed");
    return -1;
}

int pycmp_begin_read(PyObject *self, uint32_t *era)
{
    if (pycmp_begin(self, era) < 0)
        return -1;
    if (pycmp_connection(self)->end.in.ring != NULL && !pycmp_connection(self)->deaf)
        return 0;
    pycmp_done(self, *era);
    raise_text("connection is write-only");
    return -1;
}

int pycmp_begin_write(PyObject *self, uint32_t *era)
{
    if (pycmp_begin(self, era) < 0)
        return -1;
    if (pycmp_connection(self)->end.out.ring != NULL)
        return 0;
    pycmp_done(self, *era);
    raise_text("connection is read-only");
    return -1;
}

struct open_op {
    const Connection *c;
    int (*op)(void *, int64_t);
    void *obj;
};

static int open_op(void *arg, int64_t deadline_ns)
{
    struct open_op *o = arg;
    return load_seqcst((cmp_word *)(uintptr_t)&o->c->users) & CLOSED ? -ECANCELED : o->op(o->obj, deadline_ns);
}

int pycmp_block_open(struct cmp_channel_end *end, int (*op)(void *, int64_t), void *obj,
                     int64_t deadline_ns)
{
    struct open_op o = {(Connection *)(void *)((char *)end - offsetof(Connection, end)), op, obj};
    int rc = pycmp_block(open_op, &o, deadline_ns);
    if (rc != -ECANCELED)
        return rc;
    raise_text("handle is closed");
    return -EINTR;
}

void pycmp_connection_close(PyObject *self)
{
    Connection *c = pycmp_connection(self);
    if (c->handle.cell == NULL)
        return;
    pycmp_begin_anew();
    recount(self);
    or_seqcst(&c->users, CLOSED);
    give_up_once(c);
}

static PyObject *Connection_close(PyObject *self, PyObject *Py_UNUSED(none))
{
    pycmp_connection_close(self);
    Py_RETURN_NONE;
}

/* ---- readiness -------------------- */

static int wait_op(void *arg, int64_t deadline_ns)
{
    return cmp_ring_wait(arg, deadline_ns);
}

/* True: recv() would not wait, be it that it raises EOFError.  */
static PyObject *wait_for_message(Connection *c, int64_t duration_ns)
{
    int rc = pycmp_block_open(&c->end, wait_op, &c->end.in,
                              duration_ns == 0 ? 0 : pycmp_deadline_after(duration_ns));
    if (rc == 0 || rc == -EPIPE)
        Py_RETURN_TRUE;
    if (rc == -ETIMEDOUT)
        Py_RETURN_FALSE;
    return pycmp_raise(rc);
}

static PyObject *Connection_poll(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *kwnames)
{
    PyObject *timeout, *result = NULL;
    int64_t duration_ns = 0;
    uint32_t era;

    if (pycmp_begin_read(self, &era) < 0)
        return NULL;
    if (pycmp_only_argument("poll", "timeout", args, nargs, kwnames, &timeout) == 0 &&
        (timeout == NULL || pycmp_duration(timeout, &duration_ns) == 0))
        result = wait_for_message(pycmp_connection(self), duration_ns);
    pycmp_done(self, era);
    return result;
}

static PyObject *Connection_is_ready(PyObject *self, PyObject *Py_UNUSED(none))
{
    uint32_t era;
    PyObject *result;

    if (pycmp_begin(self, &era) < 0)
        return NULL;
    if (pycmp_connection(self)->end.in.ring != NULL)
        result = wait_for_message(pycmp_connection(self), 0);
    else
        result = PyBool_FromLong(!cmp_channel_has_peer(&pycmp_connection(self)->end));
    pycmp_done(self, era);
    return result;
}

/* Whether what comes next in the socket is of send_handle().  */
static PyObject *Connection_has_handle(PyObject *self, PyObject *Py_UNUSED(none))
{
    uint32_t era;
    char byte = RING;

    if (pycmp_begin(self, &era) < 0)
        return NULL;
    ssize_t got = recv(pycmp_connection(self)->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    pycmp_done(self, era);
    return PyBool_FromLong(got == 1 && byte != RING);
}

static int poll_op(void *arg, int64_t deadline_ns)
{
    (void)deadline_ns;
    return cmp_ring_poll(arg);
}

/* Each call also takes away what the killed have left in the socket.  */
static PyObject *Connection_fileno(PyObject *self, PyObject *Py_UNUSED(none))
{
    PyObject *result = NULL;
    uint32_t era;

    if (pycmp_begin(self, &era) < 0)
        return NULL;
    Connection *c = pycmp_connection(self);
    int rc = c->end.in.ring == NULL ? 0 : pycmp_block_open(&c->end, poll_op, &c->end.in, CMP_FOREVER);
    if (rc < 0 && rc != -EPIPE)
        pycmp_raise(rc);
    else
        result = PyLong_FromLong(c->fd);
    pycmp_done(self, era);
    return result;
}

static PyObject *Connection_closed(PyObject *self, void *Py_UNUSED(closure))
{
    Connection *c = pycmp_connection(self);
    return PyBool_FromLong(c->handle.cell == NULL || load_seqcst(&c->users) & CLOSED);
}

static PyObject *Connection_readable(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(pycmp_connection(self)->end.in.ring != NULL && !pycmp_connection(self)->deaf);
}

static PyObject *Connection_writable(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(pycmp_connection(self)->end.out.ring != NULL);
}

/* For a copy of it: nobody is going to ask it whether there is something to receive.  */
static PyObject *Connection_fd(PyObject *self, void *Py_UNUSED(closure))
{
    uint32_t era;
    if (pycmp_begin(self, &era) < 0)
        return NULL;
    PyObject *fd = PyLong_FromLong(pycmp_connection(self)->fd);
    pycmp_done(self, era);
    return fd;
}

static PyObject *Connection_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
    return Py_NewRef(self);
}

static PyObject *Connection_exit(PyObject *self, PyObject *const *Py_UNUSED(args),
                                 Py_ssize_t Py_UNUSED(nargs))
{
    pycmp_connection_close(self);
    Py_RETURN_NONE;
}

/* ---- making -------------------- */

/* self takes over a hold of the end and, if that succeeds, the descriptor.  0, or -1 and an
   exception.  */
static int begin(PyObject *self, cmp_ref ref, int fd)
{
    Connection *c = pycmp_connection(self);
    int rc = cmp_channel_open(ref, &c->end);
    if (rc < 0) {
        cmp_object_drop(ref);
        pycmp_raise(rc);
        return -1;
    }
    c->fd = fd;
    hang_bell(c);
    store_relaxed(&c->era, cmp_me());
    return pycmp_handle_open(self, ref, c->end.channel);
}

/* A socketpair with one byte on its way to each side that receives, as bells have it.  */
static int make_sockets(int fds[2], bool duplex)
{
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
    if (rc == 0 && send(fds[1], &ring_byte, 1, MSG_NOSIGNAL) == 1 &&
        (!duplex || send(fds[0], &ring_byte, 1, MSG_NOSIGNAL) == 1))
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    if (rc == 0) {
        close(fds[0]);
        close(fds[1]);
    }
    return -1;
}

/* A new instance for end i; what is not taken over is let go.  */
static PyObject *new_end(PyTypeObject *type, cmp_ref ref, int fd)
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL && begin(self, ref, fd) == 0)
        return self;
    if (self == NULL)
        cmp_object_drop(ref);
    else
        Py_DECREF(self);
    close(fd);
    return NULL;
}

static PyObject *make_pair(PyTypeObject *type, int duplex)
{
    cmp_ref refs[2];
    int fds[2] = {-1, -1};

    if (make_sockets(fds, duplex) < 0)
        return NULL;
    int rc = cmp_channel_create(duplex, RING_BYTES, refs);
    if (rc < 0) {
        close(fds[0]);
        close(fds[1]);
        if (rc == -EBADF)
            pycmp_raise_closed();
        return pycmp_raise(rc);
    }
    PyObject *first = new_end(type, refs[0], fds[0]), *second = new_end(type, refs[1], fds[1]);
    PyObject *pair = first == NULL || second == NULL ? NULL : PyTuple_Pack(2, first, second);
    Py_XDECREF(first);
    Py_XDECREF(second);
    return pair;
}

static PyObject *connections(PyObject *mod, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"type", "duplex", NULL};
    static const struct pycmp_signature sig = {"connections", names, 2, 0};
    pycmp_state *st = PyModule_GetState(mod);
    PyObject *in[2];

    if (pycmp_args(&sig, args, nargs, kwnames, in) < 0)
        return NULL;
    if (!PyType_Check(in[0]) || !PyType_IsSubtype((PyTypeObject *)in[0], st->ConnectionType))
        return PyErr_Format(PyExc_TypeError, "%R is no type of connections", in[0]);
    int two_ways = PyObject_IsTrue(in[1]);
    if (two_ways < 0 || pycmp_family() < 0)
        return NULL;
    return make_pair((PyTypeObject *)in[0], two_ways);
}

PyDoc_STRVAR(connections_doc,
"connections($module, /, type, duplex)\n"
"--\n"
"\n"
"Return the two ends of a new pipe; unless it is duplex, the second one sends.");

PyMethodDef pycmp_connection_functions[] = {
    {"connections", PYCMP_FAST(connections), METH_FASTCALL | METH_KEYWORDS, connections_doc},
    {NULL, NULL, 0, NULL},
};

static PyObject *Connection_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                                PyObject *Py_UNUSED(kwargs))
{
    Connection *c = (Connection *)type->tp_alloc(type, 0);
    if (c != NULL)
        c->fd = -1;
    return (PyObject *)c;
}

/* ---- pickles -------------------- */

/* Not by a message: from now on this process is not the only one to know it, see object.h.  */
static void tell(cmp_ref ref)
{
    if (cmp_object_pin(ref) == 0)
        cmp_object_drop(ref);
}

/* (family, reference, attributes), and whether a message holds it for the receiver; else the caller
   does, until the receiver has it.  */
static PyObject *Connection_place(PyObject *self, PyObject *Py_UNUSED(none))
{
    PyObject *result = NULL;
    uint32_t era;
    if (pycmp_begin(self, &era) < 0)
        return NULL;
    cmp_ref ref = pycmp_connection(self)->handle.ref;
    int goes_along = pycmp_reference_goes_along(ref);
    if (goes_along == 0)
        tell(ref);
    if (goes_along >= 0)
        result = Py_BuildValue("((y#KO)O)", (const char *)cmp_family_id(), (Py_ssize_t)16,
                               (unsigned long long)ref, Py_None, goes_along ? Py_True : Py_False);
    pycmp_done(self, era);
    return result;
}

static PyObject *Connection_getstate(PyObject *self, PyObject *none)
{
    uint32_t era;
    if (pycmp_begin(self, &era) < 0)
        return NULL;
    PyObject *state = pycmp_handle_getstate(self, none);
    pycmp_done(self, era);
    return state;
}

/* The state of Handle, with a descriptor, which is taken over if this succeeds; or with -1, and
   _take_fd() follows.  */
static PyObject *Connection_setstate(PyObject *self, PyObject *state)
{
    Connection *c = pycmp_connection(self);
    PyObject *extra[1];
    long long fd;

    if (!PyTuple_Check(state) || PyTuple_GET_SIZE(state) != 4)
        return PyErr_Format(PyExc_ValueError, "%R is no state of a connection", state);
    if (pycmp_integer(PyTuple_GET_ITEM(state, 3), "fd", -1, INT_MAX, &fd) < 0 ||
        pycmp_handle_setstate(self, state, CMP_TYPE_END, extra, 1) < 0)
        return NULL;
    if (load_seqcst(&c->users) & CLOSED)
        return raise_text("handle is closed"); /* by what its attributes have run */
    int rc = cmp_channel_open(c->handle.ref, &c->end);
    if (rc < 0) {
        cmp_object_drop(c->handle.ref);
        c->handle.cell = NULL;
        return pycmp_raise(rc);
    }
    c->fd = (int)fd;
    hang_bell(c);
    store_relaxed(&c->era, cmp_me());
    Py_RETURN_NONE;
}

/* Its descriptor, which is taken over.  */
static PyObject *Connection_take_fd(PyObject *self, PyObject *value)
{
    Connection *c = pycmp_connection(self);
    PyObject *result = NULL;
    long long fd;
    uint32_t era;

    if (pycmp_begin(self, &era) < 0)
        return NULL;
    if (c->fd >= 0)
        PyErr_SetString(PyExc_ValueError, "this end has a descriptor");
    else if (pycmp_integer(value, "fd", 0, INT_MAX, &fd) == 0) {
        c->fd = (int)fd;
        result = Py_NewRef(Py_None);
    }
    pycmp_done(self, era);
    return result;
}

/* Another handle on the same end, with a descriptor of its own.  */
static PyObject *duplicate(PyObject *self)
{
    cmp_ref ref = pycmp_connection(self)->handle.ref;
    int fd = fcntl(pycmp_connection(self)->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    int rc = cmp_object_hold(ref);
    if (rc == 0)
        return new_end(Py_TYPE(self), ref, fd);
    close(fd);
    return pycmp_raise(rc);
}

static PyObject *Connection_duplicate(PyObject *self, PyObject *Py_UNUSED(none))
{
    uint32_t era;
    if (pycmp_begin(self, &era) < 0)
        return NULL;
    PyObject *other = duplicate(self);
    pycmp_done(self, era);
    return other;
}

/* ---- life -------------------- */

/* Also what keeps the standard library's __del__ from being called.  */
static void Connection_finalize(PyObject *self)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    pycmp_connection_close(self);
    PyErr_Restore(type, value, traceback);
}

static void Connection_dealloc(PyObject *self)
{
    Connection *c = pycmp_connection(self);
    PyObject_GC_UnTrack(self);
    if (c->handle.cell != NULL) {
        pycmp_connection_close(self);
        c->handle.cell = NULL; /* its hold has ended with that */
    }
    PyMem_RawFree((void *)(uintptr_t)load64_relaxed(&c->buffer));
    Py_CLEAR(c->dumps);
    Py_CLEAR(c->loads);
    PyObject_GC_Track(self); /* Handle expects that */
    pycmp_handle_dealloc(self);
}

static int Connection_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(pycmp_connection(self)->dumps);
    Py_VISIT(pycmp_connection(self)->loads);
    return pycmp_handle_traverse(self, visit, arg);
}

static int Connection_clear(PyObject *self)
{
    Py_CLEAR(pycmp_connection(self)->dumps);
    Py_CLEAR(pycmp_connection(self)->loads);
    return pycmp_handle_clear(self);
}

PyDoc_STRVAR(send_doc,
"send($self, /, obj)\n"
"--\n"
"\n"
"Send an object.  Waits while there is no room; BrokenPipeError if nobody has the\n"
"other end.");

PyDoc_STRVAR(recv_doc,
"recv($self, /)\n"
"--\n"
"\n"
"Return the next object, waiting for it; EOFError if there will be none.");

PyDoc_STRVAR(send_bytes_doc,
"send_bytes($self, /, buf, offset=0, size=None)\n"
"--\n"
"\n"
"Send bytes of a buffer as one message.");

PyDoc_STRVAR(recv_bytes_doc,
"recv_bytes($self, /, maxlength=None)\n"
"--\n"
"\n"
"Return the bytes of the next message; OSError if it is longer than maxlength.");

PyDoc_STRVAR(recv_bytes_into_doc,
"recv_bytes_into($self, /, buf, offset=0)\n"
"--\n"
"\n"
"Receive a message into a writable buffer, and return how many bytes it had.\n"
"\n"
"BufferTooShort, with the message as its argument, if it has no room for it.");

PyDoc_STRVAR(poll_doc,
"poll($self, /, timeout=0.0)\n"
"--\n"
"\n"
"Whether there is something to receive, or the end of it, in time; None waits for ever.");

PyDoc_STRVAR(fileno_doc,
"fileno($self, /)\n"
"--\n"
"\n"
"A descriptor that is readable when there is something to receive.");

PyDoc_STRVAR(close_doc,
"close($self, /)\n"
"--\n"
"\n"
"Give the end up in this process.");

static PyMethodDef Connection_methods[] = {
    {"send", PYCMP_FAST(pycmp_connection_send), METH_FASTCALL | METH_KEYWORDS, send_doc},
    {"recv", pycmp_connection_recv, METH_NOARGS, recv_doc},
    {"send_bytes", PYCMP_FAST(pycmp_connection_send_bytes), METH_FASTCALL | METH_KEYWORDS, send_bytes_doc},
    {"recv_bytes", PYCMP_FAST(pycmp_connection_recv_bytes), METH_FASTCALL | METH_KEYWORDS, recv_bytes_doc},
    {"recv_bytes_into", PYCMP_FAST(pycmp_connection_recv_bytes_into), METH_FASTCALL | METH_KEYWORDS,
     recv_bytes_into_doc},
    {"poll", PYCMP_FAST(Connection_poll), METH_FASTCALL | METH_KEYWORDS, poll_doc},
    {"fileno", Connection_fileno, METH_NOARGS, fileno_doc},
    {"close", Connection_close, METH_NOARGS, close_doc},
    {"__enter__", Connection_enter, METH_NOARGS, NULL},
    {"__exit__", PYCMP_FAST(Connection_exit), METH_FASTCALL, NULL},
    {"__getstate__", Connection_getstate, METH_NOARGS, NULL},
    {"__setstate__", Connection_setstate, METH_O, NULL},
    {"_is_ready", Connection_is_ready, METH_NOARGS, NULL},
    {"_take_fd", Connection_take_fd, METH_O, NULL},
    {"_has_handle", Connection_has_handle, METH_NOARGS, NULL},
    {"_place", Connection_place, METH_NOARGS, NULL},
    {"_duplicate", Connection_duplicate, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Connection_getset[] = {
    {"closed", Connection_closed, NULL, "Whether it is closed.", NULL},
    {"readable", Connection_readable, NULL, "Whether it can receive.", NULL},
    {"writable", Connection_writable, NULL, "Whether it can send.", NULL},
    {"_fd", Connection_fd, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Connection_members[] = {
    {"dumps", T_OBJECT, offsetof(Connection, dumps), 0,
     "What send() writes objects by; None: pickle.  The other end needs the loads of it."},
    {"loads", T_OBJECT, offsetof(Connection, loads), 0, "What recv() reads them by."},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Connection_doc,
"One end of a pipe, in shared memory.");

static PyType_Slot Connection_slots[] = {
    {Py_tp_doc, (void *)Connection_doc},
    {Py_tp_new, Connection_new},
    {Py_tp_dealloc, Connection_dealloc},
    {Py_tp_finalize, Connection_finalize},
    {Py_tp_traverse, Connection_traverse},
    {Py_tp_clear, Connection_clear},
    {Py_tp_methods, Connection_methods},
    {Py_tp_getset, Connection_getset},
    {Py_tp_members, Connection_members},
    {0, NULL},
};

PyType_Spec pycmp_connection_spec = {
    .name = "cmp._cmp.Connection",
    .basicsize = sizeof(Connection),
    .flags = PYCMP_HANDLE_FLAGS,
    .slots = Connection_slots,
};
