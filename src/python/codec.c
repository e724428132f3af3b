/* codec.c -- the memory of messages; and the codec as functions, for tests.  */
#include "codec.h"

#define NO_GIL_FROM ((size_t)1 << 17) /* more bytes may take a while to copy */

/* ---- heads ------------------------------------------------------------------------------- */

unsigned char *pycmp_message_grow(struct pycmp_message *m, size_t n)
{
    size_t room = 2 * m->room > m->used + n ? 2 * m->room : m->used + n;
    unsigned char *head = m->head == m->small ? PyMem_RawMalloc(room)
                                              : PyMem_RawRealloc(m->head, room);
    if (head == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (m->head == m->small)
        memcpy(head, m->small, m->used);
    m->head = head;
    m->room = room;
    return head + m->used;
}

int pycmp_message_bytes(struct pycmp_message *m, enum cmp_kind kind, const void *data, Py_ssize_t n)
{
    unsigned char *to = pycmp_message_room(m, CMP_WIRE_START_MAX + (size_t)n);
    if (to == NULL)
        return -1;
    size_t start = cmp_wire_put(to, kind, (uint64_t)n);
    memcpy(to + start, data, (size_t)n);
    m->used += start + (size_t)n;
    return 0;
}

/* ---- buffers ------------------------------------------------------------------------------ */

int pycmp_message_attach(struct pycmp_message *m, Py_buffer *view)
{
    if (m->n_pieces == m->piece_room) {
        size_t room = m->piece_room == 0 ? 4 : 2 * m->piece_room;
        Py_buffer *pieces = PyMem_RawRealloc(m->pieces, room * sizeof *pieces);
        if (pieces == NULL) {
            PyBuffer_Release(view);
            PyErr_NoMemory();
            return -1;
        }
        m->pieces = pieces;
        m->piece_room = room;
    }
    m->pieces[m->n_pieces++] = *view;
    return 0;
}

int pycmp_message_payload(struct pycmp_message *m, enum cmp_kind kind, Py_buffer *view)
{
    int rc = -1;

    if (view->len >= PYCMP_LARGE && pycmp_message_tag(m, cmp_kind_out(kind)) == 0) {
        m->n_buffers++;
        return pycmp_message_attach(m, view);
    }
    if (view->len < PYCMP_LARGE)
        rc = pycmp_message_bytes(m, kind, view->buf, view->len);
    PyBuffer_Release(view);
    return rc;
}

/* Past the pieces of buffer i.  */
static size_t pieces_end(const struct pycmp_message *m, size_t i)
{
    return i + 1 == m->n_buffers ? m->n_pieces : i + 1;
}

size_t pycmp_buffer_bytes(const struct pycmp_message *m, size_t i)
{
    size_t n = 0;

    for (size_t piece = i; piece < pieces_end(m, i); piece++)
        n += (size_t)m->pieces[piece].len;
    return n;
}

void pycmp_buffer_copy(const struct pycmp_message *m, size_t i, void *to)
{
    unsigned char *at = to;

    for (size_t piece = i; piece < pieces_end(m, i); piece++) {
        memcpy(at, m->pieces[piece].buf, (size_t)m->pieces[piece].len);
        at += m->pieces[piece].len;
    }
}

void pycmp_message_free(struct pycmp_message *m)
{
    for (size_t i = 0; i < m->n_pieces; i++)
        PyBuffer_Release(&m->pieces[i]);
    PyMem_RawFree(m->pieces);
    if (m->head != m->small)
        PyMem_RawFree(m->head);
    pycmp_cargo_free(m->cargo);
}

/* ---- as functions: encode, decode, recode ---------------------------------------------------- */

static PyObject *block_of(pycmp_state *st, const struct pycmp_message *m, size_t i)
{
    size_t n = pycmp_buffer_bytes(m, i);
    PyObject *block = PyObject_CallFunction((PyObject *)st->BlockType, "nO", (Py_ssize_t)n, Py_False);
    Py_buffer view;

    if (block == NULL || PyObject_GetBuffer(block, &view, PyBUF_WRITABLE) < 0) {
        Py_XDECREF(block);
        return NULL;
    }
    if (n < NO_GIL_FROM)
        pycmp_buffer_copy(m, i, view.buf);
    else {
        Py_BEGIN_ALLOW_THREADS
        pycmp_buffer_copy(m, i, view.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&view);
    return block;
}

static PyObject *blocks_of(pycmp_state *st, const struct pycmp_message *m)
{
    PyObject *blocks = PyTuple_New((Py_ssize_t)m->n_buffers);

    for (size_t i = 0; blocks != NULL && i < m->n_buffers; i++) {
        PyObject *block = block_of(st, m, i);
        if (block == NULL)
            Py_CLEAR(blocks);
        else
            PyTuple_SET_ITEM(blocks, (Py_ssize_t)i, block);
    }
    return blocks;
}

/* Gets the buffers of a tuple; *n: how many, to be released.  0, or -1 and an exception.  */
static int get_views(PyObject *buffers, Py_buffer *views, struct cmp_span *spans, size_t *n)
{
    for (*n = 0; *n < (size_t)PyTuple_GET_SIZE(buffers); (*n)++) {
        PyObject *buffer = PyTuple_GET_ITEM(buffers, (Py_ssize_t)*n);
        if (PyObject_GetBuffer(buffer, &views[*n], PyBUF_SIMPLE) < 0)
            return -1;
        spans[*n] = (struct cmp_span){views[*n].buf, (size_t)views[*n].len};
    }
    return 0;
}

/* buffers: a tuple of what has the buffer protocol.  */
static PyObject *decode_tuple(pycmp_state *st, const void *head, size_t n, PyObject *buffers,
                              PyObject *loads)
{
    size_t n_buffers = (size_t)PyTuple_GET_SIZE(buffers), n_views = 0;
    PyObject *value = NULL;

    if (n_buffers == 0)
        return pycmp_decode(st, head, n, NULL, 0, loads);
    Py_buffer *views = PyMem_RawMalloc(n_buffers * sizeof *views);
    struct cmp_span *spans = PyMem_RawMalloc(n_buffers * sizeof *spans);
    if (views == NULL || spans == NULL)
        PyErr_NoMemory();
    else if (get_views(buffers, views, spans, &n_views) == 0)
        value = pycmp_decode(st, head, n, spans, n_buffers, loads);
    while (n_views > 0)
        PyBuffer_Release(&views[--n_views]);
    PyMem_RawFree(spans);
    PyMem_RawFree(views);
    return value;
}

static PyObject *encode(PyObject *mod, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"obj", "dumps", NULL};
    static const struct pycmp_signature sig = {"encode", names, 1, 0};
    pycmp_state *st = PyModule_GetState(mod);
    struct pycmp_message m;
    PyObject *in[2];

    if (pycmp_args(&sig, args, nargs, kwnames, in) < 0 ||
        pycmp_encode(st, &m, in[0], in[1] == Py_None ? NULL : in[1], false) < 0)
        return NULL;
    PyObject *blocks = blocks_of(st, &m);
    PyObject *result = blocks == NULL ? NULL : Py_BuildValue("(y#O)", (const char *)m.head,
                                                            (Py_ssize_t)m.used, blocks);
    Py_XDECREF(blocks);
    pycmp_message_free(&m);
    return result;
}

static PyObject *decode(PyObject *mod, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"head", "buffers", "loads", NULL};
    static const struct pycmp_signature sig = {"decode", names, 1, 0};
    pycmp_state *st = PyModule_GetState(mod);
    PyObject *in[3], *value = NULL;
    Py_buffer head;

    if (pycmp_args(&sig, args, nargs, kwnames, in) < 0)
        return NULL;
    PyObject *buffers = in[1] == NULL ? PyTuple_New(0) : PySequence_Tuple(in[1]);
    if (buffers != NULL && PyObject_GetBuffer(in[0], &head, PyBUF_SIMPLE) == 0) {
        value = decode_tuple(st, head.buf, (size_t)head.len, buffers,
                             in[2] == Py_None ? NULL : in[2]);
        PyBuffer_Release(&head);
    }
    Py_XDECREF(buffers);
    return value;
}

static PyObject *recode(PyObject *mod, PyObject *obj)
{
    pycmp_state *st = PyModule_GetState(mod);
    struct pycmp_message m;
    PyObject *value = NULL;

    if (pycmp_encode(st, &m, obj, NULL, false) < 0)
        return NULL;
    PyObject *blocks = blocks_of(st, &m);
    if (blocks != NULL)
        value = decode_tuple(st, m.head, m.used, blocks, NULL);
    Py_XDECREF(blocks);
    pycmp_message_free(&m);
    return value;
}

PyDoc_STRVAR(encode_doc,
"encode($module, /, obj, dumps=None)\n"
"--\n"
"\n"
"Write the object as a message: (head, a tuple of Blocks).");

PyDoc_STRVAR(decode_doc,
"decode($module, /, head, buffers=(), loads=None)\n"
"--\n"
"\n"
"Return the object of a message; UnpicklingError: it is damaged.");

PyDoc_STRVAR(recode_doc,
"recode($module, obj, /)\n"
"--\n"
"\n"
"Return what arrives when the object is sent: decode(*encode(obj)) in one call.");

PyMethodDef pycmp_codec_methods[] = {
    {"encode", (PyCFunction)(void (*)(void))encode, METH_FASTCALL | METH_KEYWORDS, encode_doc},
    {"decode", (PyCFunction)(void (*)(void))decode, METH_FASTCALL | METH_KEYWORDS, decode_doc},
    {"recode", recode, METH_O, recode_doc},
    {NULL, NULL, 0, NULL},
};
