/* kernel.c -- kernel(): what the kernel and the sandbox offer, as a dict.  */
#include "module.h"
#include "../platform/kernel.h"

static int read_op(void *kernel, int64_t deadline_ns)
{
    (void)deadline_ns;
    return cmp_kernel_read(kernel);
}

/* Both take over value, which may be NULL. */
static int put(PyObject *dict, const char *name, PyObject *value)
{
    int rc = value == NULL ? -1 : PyDict_SetItemString(dict, name, value);
    Py_XDECREF(value);
    return rc;
}

static int put_feature(PyObject *dict, const char *name, int state)
{
    return put(dict, name, state < 0 ? PyLong_FromLong(state) : PyBool_FromLong(state));
}

static int put_amount(PyObject *dict, const char *name, int64_t amount)
{
    return put(dict, name,
               amount == -1 ? Py_NewRef(Py_None) : PyLong_FromLongLong(amount));
}

static PyObject *kernel(PyObject *Py_UNUSED(mod), PyObject *Py_UNUSED(none))
{
    struct cmp_kernel k;
    int rc = pycmp_block(read_op, &k, CMP_FOREVER);
    if (rc < 0)
        return pycmp_raise(rc);

    PyObject *dict = PyDict_New();
    if (dict == NULL)
        return NULL;
#define PUT(name) || put_feature(dict, #name, k.name) < 0
    if (0 CMP_KERNEL_FEATURES(PUT)) {
        Py_DECREF(dict);
        return NULL;
    }
#undef PUT
#define PUT(name) || put_amount(dict, #name, k.name) < 0
    if (0 CMP_KERNEL_AMOUNTS(PUT))
        Py_CLEAR(dict);
#undef PUT
    return dict;
}

PyDoc_STRVAR(kernel_doc,
"kernel($module, /)\n"
"--\n"
"\n"
"Try out what this kernel and sandbox can do; takes a few milliseconds.\n"
"\n"
"Of a feature: True, False if it was tried and did not work, or the negative\n"
"errno with which it was refused.  Of an amount: an int, or None for no limit\n"
"or nothing there.");

PyMethodDef pycmp_kernel_methods[] = {
    {"kernel", kernel, METH_NOARGS, kernel_doc},
    {NULL, NULL, 0, NULL},
};
