/* orphan.c -- die_with_parent().  */
#include "module.h"
#include "../platform/orphan.h"

static PyObject *die_with_parent(PyObject *Py_UNUSED(mod), PyObject *const *args,
                                 Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"parent_pid", "sentinel", NULL};
    static const struct pycmp_signature sig = {"die_with_parent", names, 1, 0};
    PyObject *in[2];
    long long parent_pid, sentinel = -1;

    if (pycmp_args(&sig, args, nargs, kwnames, in) < 0 ||
        pycmp_integer(in[0], "parent_pid", 1, INT_MAX, &parent_pid) < 0)
        return NULL;
    if (in[1] != NULL && pycmp_integer(in[1], "sentinel", -1, INT_MAX, &sentinel) < 0)
        return NULL;
    if (pycmp_watch_exec() < 0)
        return NULL;
    int rc = cmp_die_with_parent((int)parent_pid, (int)sentinel);
    if (rc == -ECHILD)
        return pycmp_raise_os(ECHILD,
                              "process %d is not the parent of this one: pass a sentinel",
                              (int)parent_pid);
    if (rc < 0)
        return pycmp_raise(rc);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(die_with_parent_doc,
"die_with_parent($module, /, parent_pid, sentinel=-1)\n"
"--\n"
"\n"
"From now on end at once, with EXIT_PARENT_DIED, when process parent_pid dies.\n"
"\n"
"Needs sentinel, the read end of a pipe that parent_pid alone holds the other\n"
"end of, if parent_pid is not the parent of this process; ChildProcessError\n"
"without one.  Call it from the main thread.  Does not return if parent_pid is\n"
"already dead.  When it raises, an earlier watch stays.");

PyMethodDef pycmp_orphan_methods[] = {
    {"die_with_parent", (PyCFunction)(void (*)(void))die_with_parent,
     METH_FASTCALL | METH_KEYWORDS, die_with_parent_doc},
    {NULL, NULL, 0, NULL},
};
