/* identity.c -- identity(), is_alive(), now_ns(): the platform's view of
   processes and of time, for the package and its tests.  */
#include "module.h"
#include "../platform/platform.h"

static PyStructSequence_Field identity_fields[] = {
    {"pid", "process id, in its own pid namespace"},
    {"tid", "id of the thread that asked; of another process, its pid"},
    {"start_time", "clock ticks since boot"},
    {"pidns_ino", "inode of its pid namespace"},
    {"pidfs_ino", "inode of its pidfd, unique until the next boot"},
    {NULL, NULL},
};

PyStructSequence_Desc pycmp_identity_desc = {
    .name = "cmp._cmp.Identity",
    .doc = "Who a process is; 0 in a field stands for not known.",
    .fields = identity_fields,
    .n_in_sequence = 5,
};

static PyObject *identity_of(PyTypeObject *type, const struct cmp_identity *id)
{
    const uint64_t values[] = {
        id->pid, id->tid, id->start_time, id->pidns_ino, id->pidfs_ino,
    };
    PyObject *result = PyStructSequence_New(type);
    if (result == NULL)
        return NULL;
    for (int i = 0; i < 5; i++) {
        PyObject *value = PyLong_FromUnsignedLongLong(values[i]);
        if (value == NULL) {
            Py_DECREF(result);
            return NULL;
        }
        PyStructSequence_SetItem(result, i, value);
    }
    return result;
}

static PyObject *identity(PyObject *mod, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames)
{
    static const char *const names[] = {"pid", NULL};
    static const struct pycmp_signature sig = {"identity", names, 0, 0};
    pycmp_state *st = PyModule_GetState(mod);
    struct cmp_identity id;
    PyObject *pid_arg;
    long long pid;
    int rc;

    if (pycmp_args(&sig, args, nargs, kwnames, &pid_arg) < 0)
        return NULL;
    if (pid_arg == NULL || pid_arg == Py_None) {
        rc = cmp_identity_self(&id);
    } else {
        if (pycmp_integer(pid_arg, "pid", 1, INT_MAX, &pid) < 0)
            return NULL;
        rc = cmp_identity_of((int)pid, &id);
    }
    return rc < 0 ? pycmp_raise(rc) : identity_of(st->IdentityType, &id);
}

static PyObject *is_alive(PyObject *Py_UNUSED(mod), PyObject *const *args,
                          Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"pid", "start_time", NULL};
    static const struct pycmp_signature sig = {"is_alive", names, 2, 0};
    PyObject *in[2];
    long long pid, start_time;

    if (pycmp_args(&sig, args, nargs, kwnames, in) < 0 ||
        pycmp_integer(in[0], "pid", 1, INT_MAX, &pid) < 0 ||
        pycmp_integer(in[1], "start_time", 0, LLONG_MAX, &start_time) < 0)
        return NULL;
    struct cmp_identity id = {.pid = (uint32_t)pid, .start_time = (uint64_t)start_time};
    int rc = cmp_is_alive(&id);
    return rc < 0 ? pycmp_raise(rc) : PyBool_FromLong(rc);
}

static PyObject *now_ns(PyObject *Py_UNUSED(mod), PyObject *Py_UNUSED(none))
{
    return PyLong_FromLongLong(cmp_now_ns());
}

PyDoc_STRVAR(identity_doc,
"identity($module, /, pid=None)\n"
"--\n"
"\n"
"Who process pid (default: this one) is, as an Identity.\n"
"\n"
"ProcessLookupError if there is none; a zombie still has an identity.");

PyDoc_STRVAR(is_alive_doc,
"is_alive($module, /, pid, start_time)\n"
"--\n"
"\n"
"Whether the process that had this pid and start time may still run.\n"
"\n"
"A stopped process is alive; a zombie is not, nor is one whose pid now belongs\n"
"to another.  A start_time of 0 is not known: then pid alone decides.");

PyDoc_STRVAR(now_ns_doc,
"now_ns($module, /)\n"
"--\n"
"\n"
"Nanoseconds on the clock of all deadlines, the monotonic one.");

PyMethodDef pycmp_identity_methods[] = {
    {"identity", (PyCFunction)(void (*)(void))identity,
     METH_FASTCALL | METH_KEYWORDS, identity_doc},
    {"is_alive", (PyCFunction)(void (*)(void))is_alive,
     METH_FASTCALL | METH_KEYWORDS, is_alive_doc},
    {"now_ns", now_ns, METH_NOARGS, now_ns_doc},
    {NULL, NULL, 0, NULL},
};
