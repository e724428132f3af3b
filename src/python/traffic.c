/* traffic.c -- what goes through connections: send, recv and their like for bytes.  */
#include "connection.h"
#include "../core/atomics.h"

/* ---- sending ------------------------------------------------------------------------------------ */

static PyObject *send_object(PyObject *self, PyObject *obj)
{
    Connection *c = pycmp_connection(self);
    pycmp_state *st = pycmp_state_of(self);
    struct pycmp_message m;
    uint32_t era;
    int rc = -1;

    if (st == NULL || pycmp_begin_write(self, &era) < 0)
        return NULL;
    PyObject *dumps = c->dumps == NULL || c->dumps == Py_None ? NULL : Py_NewRef(c->dumps);
    if (pycmp_encode(st, &m, obj, dumps, true) == 0) {
        rc = pycmp_send_message(&c->end, &m);
        pycmp_message_free(&m);
    }
    Py_XDECREF(dumps);
    pycmp_done(self, era);
    if (rc < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyObject *pycmp_connection_send(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames)
{
    static const char *const names[] = {"obj", NULL};
    static const struct pycmp_signature sig = {"send", names, 1, 0};
    PyObject *obj;

    if (nargs == 1 && kwnames == NULL)
        return send_object(self, args[0]);
    return pycmp_args(&sig, args, nargs, kwnames, &obj) < 0 ? NULL : send_object(self, obj);
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

/* A buffer, or a TypeError.  kind: what the buffer should have been.  */
static int get_buffer(PyObject *obj, Py_buffer *view, int flags, const char *kind)
{
    if (PyObject_GetBuffer(obj, view, flags) == 0)
        return 0;
    if (PyErr_ExceptionMatches(PyExc_BufferError))
        PyErr_Format(PyExc_TypeError, "a %s bytes-like object is required, not %R", kind, Py_TYPE(obj));
    return -1;
}

static int send_view(PyObject *self, const Py_buffer *view, PyObject *offset, PyObject *size)
{
    long long from, length;
    if (choose(view->len, offset, size, &from, &length) < 0)
        return -1;
    return pycmp_send_bytes(&pycmp_connection(self)->end, (const char *)view->buf + from, (size_t)length);
}

PyObject *pycmp_connection_send_bytes(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                       PyObject *kwnames)
{
    static const char *const names[] = {"buf", "offset", "size", NULL};
    static const struct pycmp_signature sig = {"send_bytes", names, 1, 0};
    PyObject *in[3];
    Py_buffer view;
    uint32_t era;
    int rc = -1;

    if (pycmp_begin_write(self, &era) < 0)
        return NULL;
    if (pycmp_args(&sig, args, nargs, kwnames, in) == 0 &&
        get_buffer(in[0], &view, PyBUF_SIMPLE, "contiguous") == 0) {
        rc = send_view(self, &view, in[1], in[2]);
        PyBuffer_Release(&view);
    }
    pycmp_done(self, era);
    if (rc < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- receiving ------------------------------------------------------------------------------------ */

static void *borrow_buffer(Connection *c)
{
    void *buffer = (void *)(uintptr_t)xchg64_seqcst(&c->buffer, 0);
    if (buffer == NULL)
        buffer = PyMem_RawMalloc(cmp_ring_plain_max(c->end.in.cap));
    if (buffer == NULL)
        PyErr_NoMemory();
    return buffer;
}

static void return_buffer(Connection *c, void *buffer)
{
    PyMem_RawFree((void *)(uintptr_t)xchg64_seqcst(&c->buffer, (uintptr_t)buffer));
}

/* Receive a message and have use(it) make the result.  */
static PyObject *receive(PyObject *self, PyObject *(*use)(PyObject *, struct pycmp_parcel *, void *),
                         void *arg)
{
    Connection *c = pycmp_connection(self);
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
    Connection *c = pycmp_connection(self);
    pycmp_state *st = pycmp_state_of(self);
    PyObject *loads, *result;
    struct pycmp_arrival *arrival;

    if (pycmp_parcel_begin(p, &arrival) < 0)
        return NULL;
    loads = c->loads == NULL || c->loads == Py_None ? NULL : Py_NewRef(c->loads);
    if (p->is_object)
        result = pycmp_decode(st, p->data, p->n, p->buffers == NULL ? NULL : p->buffers + 1,
                              p->n_buffers, loads);
    else if (loads != NULL)
        result = pycmp_load_foreign(st, p->data, p->n, loads);
    else
        result = pycmp_unpickle(st, p->data, p->n, NULL);
    Py_XDECREF(loads);
    pycmp_parcel_end(p, arrival, result != NULL);
    return result;
}

PyObject *pycmp_connection_recv(PyObject *self, PyObject *Py_UNUSED(none))
{
    uint32_t era;
    if (pycmp_begin_read(self, &era) < 0)
        return NULL;
    PyObject *result = receive(self, to_object, NULL);
    pycmp_done(self, era);
    return result;
}

/* What the object's pickle would have been.  */
static PyObject *pickle_of(PyObject *self, struct pycmp_parcel *p)
{
    Connection *c = pycmp_connection(self);
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
    if (pycmp_connection(self)->end.out.ring != NULL)
        pycmp_connection(self)->deaf = true;
    else
        pycmp_connection_close(self);
    PyErr_SetString(PyExc_OSError, "bad message length");
    return NULL;
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

PyObject *pycmp_connection_recv_bytes(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                       PyObject *kwnames)
{
    PyObject *given, *result = NULL;
    long long most = -1;
    uint32_t era;

    if (pycmp_begin_read(self, &era) < 0)
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
    pycmp_done(self, era);
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
        PyObject *message = pickle != NULL ? Py_NewRef(pickle) : bytes_of(self, p);
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

    if (get_buffer(buffer, &to.view, PyBUF_WRITABLE, "writable contiguous") < 0)
        return NULL;
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

PyObject *pycmp_connection_recv_bytes_into(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                                            PyObject *kwnames)
{
    static const char *const names[] = {"buf", "offset", NULL};
    static const struct pycmp_signature sig = {"recv_bytes_into", names, 1, 0};
    PyObject *in[2], *result = NULL;
    uint32_t era;

    if (pycmp_begin_read(self, &era) < 0)
        return NULL;
    if (pycmp_args(&sig, args, nargs, kwnames, in) == 0)
        result = receive_into(self, in[0], in[1]);
    pycmp_done(self, era);
    return result;
}
