/* pickled.c -- what is not of plain types, by pickle's protocol 5.

   ForkingPickler writes to a file whose write() keeps the pieces that it is given, which
   are large objects themselves or 64 KiB; so a large pickle is copied once, into its block.
   Contiguous buffers of PYCMP_LARGE bytes and more stay outside of the pickle.  */
#include "codec.h"

/* ---- what the pickler calls; self is a list that keeps ----------------------------------- */

/* A view of what is not bytes: its length is in the pickle already.  */
static PyObject *keep_piece(PyObject *list, PyObject *piece)
{
    PyObject *kept = PyBytes_CheckExact(piece) ? Py_NewRef(piece) : PyMemoryView_FromObject(piece);
    int rc = kept == NULL ? -1 : PyList_Append(list, kept);

    Py_XDECREF(kept);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* True: into the pickle with it.  */
static PyObject *keep_buffer(PyObject *list, PyObject *buffer)
{
    const Py_buffer *view = PyPickleBuffer_GetBuffer(buffer);

    if (view == NULL)
        return NULL;
    if (view->len < PYCMP_LARGE || !PyBuffer_IsContiguous(view, 'A'))
        Py_RETURN_TRUE;
    PyObject *raw = PyObject_CallMethod(buffer, "raw", NULL);
    int rc = raw == NULL ? -1 : PyList_Append(list, raw);
    Py_XDECREF(raw);
    return rc < 0 ? NULL : Py_NewRef(Py_False);
}

static PyMethodDef keep_piece_def = {"write", keep_piece, METH_O, NULL};
static PyMethodDef keep_buffer_def = {"buffer_callback", keep_buffer, METH_O, NULL};

/* An object whose attribute `write` that is.  */
static PyObject *file_of(pycmp_state *st, PyObject *write)
{
    PyObject *args[] = {write}, *names = Py_BuildValue("(s)", "write");
    PyObject *file = names == NULL ? NULL : PyObject_Vectorcall(st->SimpleNamespace, args, 0, names);

    Py_XDECREF(names);
    return file;
}

/* ForkingPickler(file, 5, True, buffer_callback).dump(obj) */
static int dump(pycmp_state *st, PyObject *obj, PyObject *pieces, PyObject *buffers)
{
    PyObject *file = NULL, *type = NULL, *pickler = NULL, *done = NULL;
    PyObject *write = PyCFunction_New(&keep_piece_def, pieces);
    PyObject *callback = PyCFunction_New(&keep_buffer_def, buffers);

    if (write != NULL && callback != NULL)
        file = file_of(st, write);
    if (file != NULL)
        type = PyObject_GetAttrString(st->reduction, "ForkingPickler");
    if (type != NULL)
        pickler = PyObject_CallFunction(type, "OiOO", file, 5, Py_True, callback);
    if (pickler != NULL)
        done = PyObject_CallMethod(pickler, "dump", "(O)", obj);
    Py_XDECREF(done);
    Py_XDECREF(pickler);
    Py_XDECREF(type);
    Py_XDECREF(file);
    Py_XDECREF(callback);
    Py_XDECREF(write);
    return done == NULL ? -1 : 0;
}

/* ---- the message --------------------------------------------------------------------------- */

static int put_buffers(struct pycmp_message *m, PyObject *buffers)
{
    Py_ssize_t n = PyList_GET_SIZE(buffers);
    Py_buffer view;

    if (pycmp_message_put(m, CMP_KIND_PICKLE, (uint64_t)n) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (PyObject_GetBuffer(PyList_GET_ITEM(buffers, i), &view, PyBUF_SIMPLE) < 0)
            return -1;
        enum cmp_kind kind = view.readonly ? CMP_KIND_BYTES : CMP_KIND_BYTEARRAY;
        if (pycmp_message_payload(m, kind, &view) < 0)
            return -1;
    }
    return 0;
}

/* Many pieces, one buffer.  */
static int put_large_pickle(struct pycmp_message *m, PyObject *pieces)
{
    Py_buffer view;

    if (pycmp_message_tag(m, CMP_KIND_BYTES_OUT) < 0)
        return -1;
    m->n_buffers++;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pieces); i++)
        if (PyObject_GetBuffer(PyList_GET_ITEM(pieces, i), &view, PyBUF_SIMPLE) < 0 ||
            pycmp_message_attach(m, &view) < 0)
            return -1;
    return 0;
}

static int put_small_pickle(struct pycmp_message *m, PyObject *pieces, Py_ssize_t n)
{
    Py_buffer view;

    if (pycmp_message_put(m, CMP_KIND_BYTES, (uint64_t)n) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pieces); i++) {
        if (PyObject_GetBuffer(PyList_GET_ITEM(pieces, i), &view, PyBUF_SIMPLE) < 0)
            return -1;
        unsigned char *to = pycmp_message_room(m, (size_t)view.len);
        if (to != NULL) {
            memcpy(to, view.buf, (size_t)view.len);
            m->used += (size_t)view.len;
        }
        PyBuffer_Release(&view);
        if (to == NULL)
            return -1;
    }
    return 0;
}

static int put_pickle(struct pycmp_message *m, PyObject *pieces)
{
    Py_ssize_t n = 0;

    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pieces); i++) {
        PyObject *piece = PyList_GET_ITEM(pieces, i);
        n += PyBytes_Check(piece) ? PyBytes_GET_SIZE(piece) : PyMemoryView_GET_BUFFER(piece)->len;
    }
    return n < PYCMP_LARGE ? put_small_pickle(m, pieces, n) : put_large_pickle(m, pieces);
}

int pycmp_pickle(pycmp_state *st, struct pycmp_message *m, PyObject *obj)
{
    PyObject *pieces = PyList_New(0), *buffers = PyList_New(0);
    int rc = -1;

    if (pieces != NULL && buffers != NULL && dump(st, obj, pieces, buffers) == 0 &&
        put_buffers(m, buffers) == 0)
        rc = put_pickle(m, pieces);
    Py_XDECREF(pieces);
    Py_XDECREF(buffers);
    return rc;
}

int pycmp_dump_foreign(struct pycmp_message *m, PyObject *obj, PyObject *dumps)
{
    Py_buffer view;
    PyObject *bytes = PyObject_CallOneArg(dumps, obj);
    int rc = bytes == NULL ? -1 : PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE);

    Py_XDECREF(bytes); /* the view has a reference */
    if (rc < 0)
        return -1;
    if (pycmp_message_tag(m, CMP_KIND_FOREIGN) == 0)
        return pycmp_message_payload(m, CMP_KIND_BYTES, &view);
    PyBuffer_Release(&view);
    return -1;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* The unpickler's EOFError says that a pickle is cut off, and would be taken for the end of the
   pipe.  One that has come through a frame is somebody's own, and stays as it is.  */
static void tell_cut_off(pycmp_state *st)
{
    PyObject *type, *cause, *traceback, *error;

    if (!PyErr_ExceptionMatches(PyExc_EOFError))
        return;
    PyErr_Fetch(&type, &cause, &traceback);
    if (traceback != NULL) {
        PyErr_Restore(type, cause, traceback);
        return;
    }
    PyErr_NormalizeException(&type, &cause, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    PyErr_SetString(st->UnpicklingError, "the pickle of a message is cut off");
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    PyException_SetCause(error, cause);
    PyErr_Restore(type, error, traceback);
}

static PyObject *call_with_buffers(PyObject *loads, PyObject *data, PyObject *buffers)
{
    PyObject *args[] = {data, buffers};
    PyObject *names = Py_BuildValue("(s)", "buffers");
    PyObject *value = names == NULL ? NULL : PyObject_Vectorcall(loads, args, 1, names);

    Py_XDECREF(names);
    return value;
}

static PyObject *call_loads(pycmp_state *st, PyObject *loads, PyObject *data, PyObject *buffers)
{
    bool any = buffers != NULL && PyList_GET_SIZE(buffers) > 0;
    PyObject *value = any ? call_with_buffers(loads, data, buffers) : PyObject_CallOneArg(loads, data);

    if (value == NULL)
        tell_cut_off(st);
    return value;
}

/* Without a copy of it: pickle.loads has let go of the view when it returns.  */
static PyObject *load_in_place(pycmp_state *st, PyObject *loads, const void *data, size_t n,
                               PyObject *buffers)
{
    PyObject *view = PyMemoryView_FromMemory((char *)data, (Py_ssize_t)n, PyBUF_READ);
    PyObject *value = view == NULL ? NULL : call_loads(st, loads, view, buffers);

    Py_XDECREF(view);
    return value;
}

static PyObject *load_copy(pycmp_state *st, PyObject *loads, const void *data, size_t n,
                           PyObject *buffers)
{
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)n);
    PyObject *value = bytes == NULL ? NULL : call_loads(st, loads, bytes, buffers);

    Py_XDECREF(bytes);
    return value;
}

/* ForkingPickler.loads, which somebody may have replaced.  */
static PyObject *usual_loads(pycmp_state *st)
{
    PyObject *type = PyObject_GetAttrString(st->reduction, "ForkingPickler");
    PyObject *loads = type == NULL ? NULL : PyObject_GetAttrString(type, "loads");

    Py_XDECREF(type);
    return loads;
}

PyObject *pycmp_unpickle(pycmp_state *st, const void *data, size_t n, PyObject *buffers)
{
    PyObject *loads = usual_loads(st), *value = NULL;

    if (loads != NULL)
        value = PyCFunction_Check(loads) ? load_in_place(st, loads, data, n, buffers)
                                         : load_copy(st, loads, data, n, buffers);
    Py_XDECREF(loads);
    return value;
}

PyObject *pycmp_load_foreign(pycmp_state *st, const void *data, size_t n, PyObject *loads)
{
    PyObject *chosen = loads == NULL ? usual_loads(st) : Py_NewRef(loads);
    PyObject *value = chosen == NULL ? NULL : load_copy(st, chosen, data, n, NULL);

    Py_XDECREF(chosen);
    return value;
}

/* ---- who has registered what ---------------------------------------------------------------------- */

int pycmp_complex_is_plain(pycmp_state *st)
{
    PyObject *key = (PyObject *)&PyComplex_Type;
    PyObject *type = PyObject_GetAttrString(st->reduction, "ForkingPickler");
    PyObject *extra = type == NULL ? NULL : PyObject_GetAttrString(type, "_extra_reducers");
    int plain = extra == NULL ? -1 : PySequence_Contains(extra, key);

    if (plain >= 0) {
        PyObject *reducer = plain ? NULL : PyObject_GetItem(st->dispatch_table, key);
        plain = reducer != NULL && reducer == st->pickle_complex;
        Py_XDECREF(reducer);
    }
    Py_XDECREF(extra);
    Py_XDECREF(type);
    if (plain <= 0) /* whatever is missing: pickle knows what to do then */
        PyErr_Clear();
    return plain > 0;
}

static PyObject *attribute_of(const char *module, const char *name)
{
    PyObject *mod = PyImport_ImportModule(module);
    PyObject *value = mod == NULL ? NULL : PyObject_GetAttrString(mod, name);

    Py_XDECREF(mod);
    return value;
}

int pycmp_codec_init(pycmp_state *st)
{
    st->reduction = PyImport_ImportModule("multiprocessing.reduction");
    st->UnpicklingError = attribute_of("pickle", "UnpicklingError");
    st->dispatch_table = attribute_of("copyreg", "dispatch_table");
    st->pickle_complex = attribute_of("copyreg", "pickle_complex");
    st->SimpleNamespace = attribute_of("types", "SimpleNamespace");
    return st->reduction == NULL || st->UnpicklingError == NULL || st->dispatch_table == NULL ||
           st->pickle_complex == NULL || st->SimpleNamespace == NULL ? -1 : 0;
}
