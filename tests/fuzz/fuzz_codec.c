/* Description: whatever the bytes are, decode() makes an object of them that can be sent again
   and comes out with a repr of the same length, or raises UnpicklingError; and no memory is misused.

   The first byte of the input says how many buffers there are.  Pickles are left out: they
   may run anything.  */
#include "../../src/python/codec.h"

#define BUFFERS 4

PyMODINIT_FUNC PyInit__cmp(void);

static PyObject *decode, *recode, *UnpicklingError;

static PyObject *need(PyObject *obj)
{
    if (obj == NULL) {
        PyErr_Print();
        abort();
    }
    return obj;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    PyImport_AppendInittab("_cmp", PyInit__cmp);
    Py_InitializeEx(0);
    PyObject *mod = need(PyImport_ImportModule("_cmp"));
    decode = need(PyObject_GetAttrString(mod, "decode"));
    recode = need(PyObject_GetAttrString(mod, "recode"));
    UnpicklingError = need(PyObject_GetAttrString(need(PyImport_ImportModule("pickle")),
                                                  "UnpicklingError"));
    return 0;
}

static PyObject *some_buffers(unsigned char n)
{
    PyObject *buffers = need(PyTuple_New(n % (BUFFERS + 1)));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(buffers); i++)
        PyTuple_SET_ITEM(buffers, i, need(PyBytes_FromStringAndSize("abc", i)));
    return buffers;
}

/* Sets are equal whatever their order; a NaN is not, but its repr is.  */
static void must_travel(PyObject *obj)
{
    PyObject *same = need(PyObject_CallOneArg(recode, obj));
    if (Py_TYPE(same) != Py_TYPE(obj))
        abort();
    PyObject *a = need(PyObject_Repr(obj)), *b = need(PyObject_Repr(same));
    if (PyUnicode_GET_LENGTH(a) != PyUnicode_GET_LENGTH(b))
        abort();
    Py_DECREF(a);
    Py_DECREF(b);
    Py_DECREF(same);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    if (n < 1 || cmp_wire_is_pickle(data + 1, n - 1))
        return -1;
    PyObject *obj = PyObject_CallFunction(decode, "y#N", (const char *)data + 1,
                                          (Py_ssize_t)n - 1, some_buffers(data[0]));
    if (obj != NULL)
        must_travel(obj);
    else if (!PyErr_ExceptionMatches(UnpicklingError))
        need(NULL);
    PyErr_Clear();
    Py_XDECREF(obj);
    return 0;
}
