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
#include "parcel.h"
#include "../core/arena.h"
#include "../core/atomics.h"

#define RING_BYTES (UINT32_C(1) << 16)

#define CLOSED (UINT32_C(1) << 31) /* of users: no more calls */
#define GONE (UINT32_C(1) << 30)   /* and the end is given up; below: calls in progress */

typedef struct {
    struct pycmp_handle handle;
    struct cmp_channel_end end;
    struct cmp_bell bell;
    cmp_word users;
    cmp_word era;    /* the process that counts them */
    cmp_word64 buffer; /* one for receiving, that nobody uses; or 0 */
    int fd;          /* a socket; the other end's is the other one of the pair */
    bool deaf;       /* it was too long a message for recv_bytes(maxlength) */
    PyObject *dumps; /* what objects are written and read by; NULL: pickle */
    PyObject *loads;
} Connection;

static Connection *of(PyObject *self)
{
    return (Connection *)self;
}

/* ---- the bell ---------------------------------------------------------------------------- */

static void strike(void *arg)
{
    int before = errno;
    while (send(((Connection *)arg)->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
    errno = before;
}

static int count(void *arg)
{
    int n = 0;
    return ioctl(((Connection *)arg)->fd, FIONREAD, &n) == 0 ? n : 0;
}

static void take(void *arg, int n)
{
    char bytes[256];
    int before = errno;
    while (n > 0) {
        size_t some = n < (int)sizeof bytes ? (size_t)n : sizeof bytes;
        ssize_t got = recv(((Connection *)arg)->fd, bytes, some, MSG_DONTWAIT);
        if (got <= 0 && errno != EINTR)
            break;
        n -= got > 0 ? (int)got : 0;
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

/* ---- calls in progress ----------------------------------------------------------------------- */

static void give_up(Connection *c)
{
    Py_BEGIN_ALLOW_THREADS
    cmp_channel_close(&c->end);
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
    Connection *c = of(self);
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

static void leave(PyObject *self, uint32_t era)
{
    Connection *c = of(self);
    if (load_relaxed(&c->era) != era)
        return; /* a signal handler has forked: this is the child, and has counted anew */
    add_seqcst(&c->users, UINT32_MAX);
    give_up_once(c);
}

/* A call begins.  0, or -1 and an exception; *era is for leave().  */
static int enter(PyObject *self, uint32_t *era)
{
    Connection *c = of(self);
    if (pycmp_cell(self) == NULL)
        return -1;
    recount(self);
    *era = load_relaxed(&c->era);
    if ((add_seqcst(&c->users, 1) & CLOSED) == 0)
        return 0;
    leave(self, *era);
    raise_text("handle is closed");
    return -1;
}

static int enter_to_read(PyObject *self, uint32_t *era)
{
    if (enter(self, era) < 0)
        return -1;
    if (of(self)->end.in.ring != NULL && !of(self)->deaf)
        return 0;
    leave(self, *era);
    raise_text("connection is write-only");
    return -1;
}

static int enter_to_write(PyObject *self, uint32_t *era)
{
    if (enter(self, era) < 0)
        return -1;
    if (of(self)->end.out.ring != NULL)
        return 0;
    leave(self, *era);
    raise_text("connection is read-only");
    return -1;
}

static void close_it(PyObject *self)
{
    Connection *c = of(self);
    if (c->handle.cell == NULL)
        return;
    recount(self);
    or_seqcst(&c->users, CLOSED);
    give_up_once(c);
}

static PyObject *Connection_close(PyObject *self, PyObject *Py_UNUSED(none))
{
    close_it(self);
    Py_RETURN_NONE;
}

/* ---- sending ------------------------------------------------------------------------------------ */

static PyObject *Connection_send(PyObject *self, PyObject *obj)
{
    Connection *c = of(self);
    pycmp_state *st = pycmp_state_of(self);
    struct pycmp_message m;
    uint32_t era;
    int rc = -1;

    if (st == NULL || enter_to_write(self, &era) < 0)
        return NULL;
    PyObject *dumps = c->dumps == NULL || c->dumps == Py_None ? NULL : Py_NewRef(c->dumps);
    if (pycmp_encode(st, &m, obj, dumps) == 0) {
        rc = pycmp_send_message(&c->end, &m);
        pycmp_message_free(&m);
    }
    Py_XDECREF(dumps);
    leave(self, era);
    if (rc < 0)
        return NULL;
    Py_RETURN_NONE;
}

static int bad_value(const char *text)
{
    PyErr_SetString(PyExc_ValueError, text);
    return -1;
}

/* offset and size as they were given, NULL if not.  0, or -1 and an exception.  */
static int choose(Py_ssize_t n, PyObject *offset, PyObject *size, long long *from, long long *length)
{
    *from = 0;
    if (offset != NULL && pycmp_clamped(offset, "offset", from) < 0)
        return -1;
    if (*from < 0)
        return bad_value("offset is negative");
    if (n < *from)
        return bad_value("buffer length < offset");
    *length = n - *from;
    if (size == NULL || size == Py_None)
        return 0;
    if (pycmp_clamped(size, "size", length) < 0)
        return -1;
    if (*length < 0)
        return bad_value("size is negative");
    if (*length > n - *from)
        return bad_value("buffer length < offset + size");
    return 0;
}

static int send_view(PyObject *self, const Py_buffer *view, PyObject *offset, PyObject *size)
{
    long long from, length;
    if (choose(view->len, offset, size, &from, &length) < 0)
        return -1;
    return pycmp_send_bytes(&of(self)->end, (const char *)view->buf + from, (size_t)length);
}

static PyObject *Connection_send_bytes(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                       PyObject *kwnames)
{
    static const char *const names[] = {"buf", "offset", "size", NULL};
    static const struct pycmp_signature sig = {"send_bytes", names, 1, 0};
    PyObject *in[3];
    Py_buffer view;
    uint32_t era;
    int rc = -1;

    if (enter_to_write(self, &era) < 0)
        return NULL;
    if (pycmp_args(&sig, args, nargs, kwnames, in) == 0 &&
        PyObject_GetBuffer(in[0], &view, PyBUF_SIMPLE) == 0) {
        rc = send_view(self, &view, in[1], in[2]);
        PyBuffer_Release(&view);
    }
    leave(self, era);
    if (rc < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- receiving ------------------------------------------------------------------------------------ */

static void *borrow_buffer(Connection *c)
{
    void *buffer = (void *)(uintptr_t)atomic_exchange(&c->buffer, 0);
    if (buffer == NULL)
        buffer = PyMem_RawMalloc(cmp_ring_plain_max(c->end.in.cap));
    if (buffer == NULL)
        PyErr_NoMemory();
    return buffer;
}

static void return_buffer(Connection *c, void *buffer)
{
    PyMem_RawFree((void *)(uintptr_t)atomic_exchange(&c->buffer, (uintptr_t)buffer));
}

/* Receive a message and have use(it) make the result.  */
static PyObject *receive(PyObject *self, PyObject *(*use)(PyObject *, struct pycmp_parcel *, void *),
                         void *arg)
{
    Connection *c = of(self);
    pycmp_state *st = pycmp_state_of(self);
    struct pycmp_parcel p;
    PyObject *result = NULL;

    void *buffer = st == NULL ? NULL : borrow_buffer(c);
    if (buffer == NULL)
        return NULL;
    if (pycmp_receive(st, &c->end, buffer, &p) == 0) {
        result = use(self, &p, arg);
        pycmp_parcel_release(&p);
    }
    return_buffer(c, buffer);
    return result;
}

static PyObject *to_object(PyObject *self, struct pycmp_parcel *p, void *Py_UNUSED(arg))
{
    Connection *c = of(self);
    pycmp_state *st = pycmp_state_of(self);
    PyObject *loads = c->loads == NULL || c->loads == Py_None ? NULL : Py_NewRef(c->loads);
    PyObject *result;

    if (p->is_object)
        result = pycmp_decode(st, p->data, p->n, p->buffers == NULL ? NULL : p->buffers + 1,
                              p->n_buffers, loads);
    else if (loads != NULL)
        result = pycmp_load_foreign(st, p->data, p->n, loads);
    else
        result = pycmp_unpickle(st, p->data, p->n, NULL);
    Py_XDECREF(loads);
    return result;
}

static PyObject *Connection_recv(PyObject *self, PyObject *Py_UNUSED(none))
{
    uint32_t era;
    if (enter_to_read(self, &era) < 0)
        return NULL;
    PyObject *result = receive(self, to_object, NULL);
    leave(self, era);
    return result;
}

/* What the object's pickle would have been.  */
static PyObject *pickle_of(PyObject *self, struct pycmp_parcel *p)
{
    Connection *c = of(self);
    PyObject *object = to_object(self, p, NULL), *view = NULL, *bytes = NULL;

    if (object != NULL && c->dumps != NULL && c->dumps != Py_None)
        view = PyObject_CallOneArg(c->dumps, object);
    else if (object != NULL) {
        PyObject *type = PyObject_GetAttrString(pycmp_state_of(self)->reduction, "ForkingPickler");
        view = type == NULL ? NULL : PyObject_CallMethod(type, "dumps", "(O)", object);
        Py_XDECREF(type);
    }
    if (view != NULL)
        bytes = PyBytes_FromObject(view);
    Py_XDECREF(view);
    Py_XDECREF(object);
    return bytes;
}

static PyObject *bytes_of(PyObject *self, struct pycmp_parcel *p)
{
    if (p->is_object)
        return pickle_of(self, p);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)p->n);
    if (bytes != NULL)
        pycmp_copy(PyBytes_AS_STRING(bytes), p->data, p->n);
    return bytes;
}

static PyObject *bad_length(PyObject *self)
{
    if (of(self)->end.out.ring != NULL)
        of(self)->deaf = true;
    else
        close_it(self);
    return raise_text("bad message length");
}

static PyObject *to_bytes(PyObject *self, struct pycmp_parcel *p, void *arg)
{
    long long most = *(long long *)arg;

    if (!p->is_object && most >= 0 && (unsigned long long)most < p->n)
        return bad_length(self);
    PyObject *bytes = bytes_of(self, p);
    if (bytes == NULL || most < 0 || PyBytes_GET_SIZE(bytes) <= most)
        return bytes;
    Py_DECREF(bytes);
    return bad_length(self);
}

static PyObject *Connection_recv_bytes(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                       PyObject *kwnames)
{
    PyObject *given, *result = NULL;
    long long most = -1;
    uint32_t era;

    if (enter_to_read(self, &era) < 0)
        return NULL;
    if (pycmp_only_argument("recv_bytes", "maxlength", args, nargs, kwnames, &given) == 0) {
        bool is_given = given != NULL && given != Py_None;
        if (is_given && pycmp_clamped(given, "maxlength", &most) < 0)
            ;
        else if (is_given && most < 0)
            bad_value("negative maxlength");
        else
            result = receive(self, to_bytes, &most);
    }
    leave(self, era);
    return result;
}

struct target {
    Py_buffer view;
    long long offset;
};

static PyObject *too_short(PyObject *message)
{
    PyObject *context = message == NULL ? NULL : PyImport_ImportModule("multiprocessing.context");
    PyObject *type = context == NULL ? NULL : PyObject_GetAttrString(context, "BufferTooShort");
    if (type != NULL)
        PyErr_SetObject(type, message);
    Py_XDECREF(type);
    Py_XDECREF(context);
    return NULL;
}

static PyObject *into_target(PyObject *self, struct pycmp_parcel *p, void *arg)
{
    struct target *to = arg;
    PyObject *pickle = p->is_object ? pickle_of(self, p) : NULL, *result = NULL;
    if (p->is_object && pickle == NULL)
        return NULL;
    const void *data = pickle != NULL ? PyBytes_AS_STRING(pickle) : p->data;
    size_t n = pickle != NULL ? (size_t)PyBytes_GET_SIZE(pickle) : p->n;

    if (n <= (size_t)(to->view.len - to->offset)) {
        pycmp_copy((char *)to->view.buf + to->offset, data, n);
        result = PyLong_FromSize_t(n);
    } else {
        PyObject *message = bytes_of(self, p);
        too_short(message);
        Py_XDECREF(message);
    }
    Py_XDECREF(pickle);
    return result;
}

static PyObject *receive_into(PyObject *self, PyObject *buffer, PyObject *offset)
{
    struct target to = {.offset = 0};
    PyObject *result = NULL;

    if (PyObject_GetBuffer(buffer, &to.view, PyBUF_WRITABLE) < 0) {
        if (PyErr_ExceptionMatches(PyExc_BufferError))
            PyErr_Format(PyExc_TypeError, "a writable bytes-like object is required, not %R",
                         Py_TYPE(buffer));
        return NULL;
    }
    if (offset != NULL && pycmp_clamped(offset, "offset", &to.offset) < 0)
        ;
    else if (to.offset < 0)
        bad_value("negative offset");
    else if (to.offset > to.view.len)
        bad_value("offset too large");
    else
        result = receive(self, into_target, &to);
    PyBuffer_Release(&to.view);
    return result;
}

static PyObject *Connection_recv_bytes_into(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                            PyObject *kwnames)
{
    static const char *const names[] = {"buf", "offset", NULL};
    static const struct pycmp_signature sig = {"recv_bytes_into", names, 1, 0};
    PyObject *in[2], *result = NULL;
    uint32_t era;

    if (enter_to_read(self, &era) < 0)
        return NULL;
    if (pycmp_args(&sig, args, nargs, kwnames, in) == 0)
        result = receive_into(self, in[0], in[1]);
    leave(self, era);
    return result;
}

/* ---- readiness --------------------------------------------------------------------------------------- */

static int wait_op(void *arg, int64_t deadline_ns)
{
    return cmp_ring_wait(arg, deadline_ns);
}

/* True: recv() would not wait, be it that it raises EOFError.  */
static PyObject *wait_for_message(Connection *c, int64_t duration_ns)
{
    int rc = pycmp_block(wait_op, &c->end.in,
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

    if (enter_to_read(self, &era) < 0)
        return NULL;
    if (pycmp_only_argument("poll", "timeout", args, nargs, kwnames, &timeout) == 0 &&
        (timeout == NULL || pycmp_duration(timeout, &duration_ns) == 0))
        result = wait_for_message(of(self), duration_ns);
    leave(self, era);
    return result;
}

static PyObject *Connection_is_ready(PyObject *self, PyObject *Py_UNUSED(none))
{
    uint32_t era;
    PyObject *result;

    if (enter(self, &era) < 0)
        return NULL;
    if (of(self)->end.in.ring != NULL)
        result = wait_for_message(of(self), 0);
    else
        result = PyBool_FromLong(!cmp_channel_has_peer(&of(self)->end));
    leave(self, era);
    return result;
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

    if (enter(self, &era) < 0)
        return NULL;
    int rc = of(self)->end.in.ring == NULL ? 0 : pycmp_block(poll_op, &of(self)->end.in, CMP_FOREVER);
    if (rc < 0 && rc != -EPIPE)
        pycmp_raise(rc);
    else
        result = PyLong_FromLong(of(self)->fd);
    leave(self, era);
    return result;
}

static PyObject *Connection_closed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(of(self)->handle.cell == NULL || load_seqcst(&of(self)->users) & CLOSED);
}

static PyObject *Connection_readable(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(of(self)->end.in.ring != NULL && !of(self)->deaf);
}

static PyObject *Connection_writable(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(of(self)->end.out.ring != NULL);
}

/* For a copy of it: nobody is going to ask it whether there is something to receive.  */
static PyObject *Connection_fd(PyObject *self, void *Py_UNUSED(closure))
{
    uint32_t era;
    if (enter(self, &era) < 0)
        return NULL;
    PyObject *fd = PyLong_FromLong(of(self)->fd);
    leave(self, era);
    return fd;
}

static PyObject *Connection_enter(PyObject *self, PyObject *Py_UNUSED(none))
{
    return Py_NewRef(self);
}

static PyObject *Connection_exit(PyObject *self, PyObject *const *Py_UNUSED(args),
                                 Py_ssize_t Py_UNUSED(nargs))
{
    close_it(self);
    Py_RETURN_NONE;
}

/* ---- making ------------------------------------------------------------------------------------------- */

/* self takes over a hold of the end and, if that succeeds, the descriptor.  0, or -1 and an
   exception.  */
static int begin(PyObject *self, cmp_ref ref, int fd)
{
    Connection *c = of(self);
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

/* A socketpair with one byte on its way to each side, as bells have it.  */
static int make_sockets(int fds[2])
{
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
    if (rc == 0 && send(fds[0], "", 1, MSG_NOSIGNAL) == 1 && send(fds[1], "", 1, MSG_NOSIGNAL) == 1)
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

    if (make_sockets(fds) < 0)
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

/* ---- pickles --------------------------------------------------------------------------------------------- */

/* (family, reference, attributes).  Nobody holds it for the receiver: the caller does, until the
   receiver has it.  */
static PyObject *Connection_place(PyObject *self, PyObject *Py_UNUSED(none))
{
    uint32_t era;
    if (enter(self, &era) < 0)
        return NULL;
    /* From now on this process is not the only one to know it, see object.h. */
    if (cmp_object_pin(of(self)->handle.ref) == 0)
        cmp_object_drop(of(self)->handle.ref);
    PyObject *place = Py_BuildValue("(y#KO)", (const char *)cmp_family_id(), (Py_ssize_t)16,
                                    (unsigned long long)of(self)->handle.ref, Py_None);
    leave(self, era);
    return place;
}

static PyObject *Connection_getstate(PyObject *self, PyObject *none)
{
    uint32_t era;
    if (enter(self, &era) < 0)
        return NULL;
    PyObject *state = pycmp_handle_getstate(self, none);
    leave(self, era);
    return state;
}

/* The state of Handle, with a descriptor, which is taken over if this succeeds.  */
static PyObject *Connection_setstate(PyObject *self, PyObject *state)
{
    Connection *c = of(self);
    PyObject *extra[1];
    long long fd;

    if (!PyTuple_Check(state) || PyTuple_GET_SIZE(state) != 4)
        return PyErr_Format(PyExc_ValueError, "%R is no state of a connection", state);
    if (pycmp_integer(PyTuple_GET_ITEM(state, 3), "fd", 0, INT_MAX, &fd) < 0 ||
        pycmp_handle_setstate(self, state, CMP_TYPE_END, extra, 1) < 0)
        return NULL;
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

/* Another handle on the same end, with a descriptor of its own.  */
static PyObject *duplicate(PyObject *self)
{
    cmp_ref ref = of(self)->handle.ref;
    int fd = fcntl(of(self)->fd, F_DUPFD_CLOEXEC, 0);
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
    if (enter(self, &era) < 0)
        return NULL;
    PyObject *other = duplicate(self);
    leave(self, era);
    return other;
}

/* ---- life -------------------------------------------------------------------------------------------------- */

/* Also what keeps the standard library's __del__ from being called.  */
static void Connection_finalize(PyObject *self)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    close_it(self);
    PyErr_Restore(type, value, traceback);
}

static void Connection_dealloc(PyObject *self)
{
    Connection *c = of(self);
    PyObject_GC_UnTrack(self);
    if (c->handle.cell != NULL) {
        close_it(self);
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
    Py_VISIT(of(self)->dumps);
    Py_VISIT(of(self)->loads);
    return pycmp_handle_traverse(self, visit, arg);
}

static int Connection_clear(PyObject *self)
{
    Py_CLEAR(of(self)->dumps);
    Py_CLEAR(of(self)->loads);
    return pycmp_handle_clear(self);
}

PyDoc_STRVAR(send_doc,
"send($self, obj, /)\n"
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
    {"send", Connection_send, METH_O, send_doc},
    {"recv", Connection_recv, METH_NOARGS, recv_doc},
    {"send_bytes", PYCMP_FAST(Connection_send_bytes), METH_FASTCALL | METH_KEYWORDS, send_bytes_doc},
    {"recv_bytes", PYCMP_FAST(Connection_recv_bytes), METH_FASTCALL | METH_KEYWORDS, recv_bytes_doc},
    {"recv_bytes_into", PYCMP_FAST(Connection_recv_bytes_into), METH_FASTCALL | METH_KEYWORDS,
     recv_bytes_into_doc},
    {"poll", PYCMP_FAST(Connection_poll), METH_FASTCALL | METH_KEYWORDS, poll_doc},
    {"fileno", Connection_fileno, METH_NOARGS, fileno_doc},
    {"close", Connection_close, METH_NOARGS, close_doc},
    {"__enter__", Connection_enter, METH_NOARGS, NULL},
    {"__exit__", PYCMP_FAST(Connection_exit), METH_FASTCALL, NULL},
    {"__getstate__", Connection_getstate, METH_NOARGS, NULL},
    {"__setstate__", Connection_setstate, METH_O, NULL},
    {"_is_ready", Connection_is_ready, METH_NOARGS, NULL},
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
