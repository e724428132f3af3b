#include "module.h"
#include "../platform/orphan.h"
#include "../platform/platform.h"

static int add_functions(PyObject *mod)
{
    PyMethodDef *const all[] = {
        pycmp_identity_methods,
        pycmp_kernel_methods,
        pycmp_orphan_methods,
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (PyModule_AddFunctions(mod, all[i]) < 0)
            return -1;
    return 0;
}

static int add_struct(PyObject *mod, PyStructSequence_Desc *desc, PyTypeObject **slot)
{
    *slot = PyStructSequence_NewType(desc);
    return *slot == NULL ? -1 : PyModule_AddType(mod, *slot);
}

static int add_type(PyObject *mod, PyType_Spec *spec, PyTypeObject **slot)
{
    *slot = (PyTypeObject *)PyType_FromModuleAndSpec(mod, spec, NULL);
    return *slot == NULL ? -1 : PyModule_AddType(mod, *slot);
}

static int module_exec(PyObject *mod)
{
    pycmp_state *st = PyModule_GetState(mod);
    int rc = cmp_platform_init();
    if (rc < 0) {
        pycmp_raise(rc);
        return -1;
    }
    if (add_functions(mod) < 0 ||
        add_struct(mod, &pycmp_identity_desc, &st->IdentityType) < 0 ||
        add_type(mod, &pycmp_redirect_spec, &st->RedirectType) < 0)
        return -1;
    return PyModule_AddIntConstant(mod, "EXIT_PARENT_DIED", CMP_EXIT_PARENT_DIED);
}

static int module_traverse(PyObject *mod, visitproc visit, void *arg)
{
    pycmp_state *st = PyModule_GetState(mod);
    Py_VISIT(st->IdentityType);
    Py_VISIT(st->RedirectType);
    return 0;
}

static int module_clear(PyObject *mod)
{
    pycmp_state *st = PyModule_GetState(mod);
    Py_CLEAR(st->IdentityType);
    Py_CLEAR(st->RedirectType);
    return 0;
}

static void module_free(void *mod)
{
    module_clear(mod);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

PyDoc_STRVAR(module_doc, "The C core of cmp.  Not an interface: import cmp instead.");

static struct PyModuleDef module_def = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "cmp._cmp",
    .m_doc = module_doc,
    .m_size = sizeof(pycmp_state),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__cmp(void)
{
    return PyModuleDef_Init(&module_def);
}
