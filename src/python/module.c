/* module.c -- the module _cmp: its functions, types and state.  */
#include "module.h"
#include "codec.h"
#include "../core/arena.h"
#include "../platform/orphan.h"

static struct PyModuleDef module_def;

pycmp_state *pycmp_state_of(PyObject *self)
{
    PyObject *mod = PyType_GetModuleByDef(Py_TYPE(self), &module_def);
    return mod == NULL ? NULL : PyModule_GetState(mod);
}

static int add_functions(PyObject *mod)
{
    PyMethodDef *const all[] = {
        pycmp_codec_methods,
        pycmp_family_methods,
        pycmp_handle_functions,
        pycmp_identity_methods,
        pycmp_kernel_methods,
        pycmp_orphan_methods,
        pycmp_segment_methods,
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

/* base: NULL for object.  */
static int add_type(PyObject *mod, PyType_Spec *spec, PyTypeObject **slot, PyObject *base)
{
    *slot = (PyTypeObject *)PyType_FromModuleAndSpec(mod, spec, base);
    return *slot == NULL ? -1 : PyModule_AddType(mod, *slot);
}

/* The types that are handles on objects of the arena, and those that hold such.  */
static int add_families(PyObject *mod, pycmp_state *st)
{
    struct {
        PyType_Spec *spec;
        PyTypeObject **slot;
        PyTypeObject **base;
    } all[] = {
        {&pycmp_lock_spec, &st->LockType, &st->HandleType},
        {&pycmp_rlock_spec, &st->RLockType, &st->HandleType},
        {&pycmp_semaphore_spec, &st->SemaphoreType, &st->HandleType},
        {&pycmp_bounded_semaphore_spec, &st->BoundedSemaphoreType, &st->SemaphoreType},
        {&pycmp_event_spec, &st->EventType, &st->HandleType},
        {&pycmp_condition_spec, &st->ConditionType, &st->HandleType},
        {&pycmp_barrier_spec, &st->BarrierType, &st->HandleType},
        {&pycmp_block_spec, &st->BlockType, &st->HandleType},
        {&pycmp_guarded_value_spec, &st->GuardedValueType, &st->GuardedType},
        {&pycmp_guarded_array_spec, &st->GuardedArrayType, &st->GuardedType},
        {&pycmp_guarded_string_spec, &st->GuardedStringType, &st->GuardedArrayType},
    };

    if (add_type(mod, &pycmp_handle_spec, &st->HandleType, NULL) < 0 ||
        add_type(mod, &pycmp_guarded_spec, &st->GuardedType, NULL) < 0)
        return -1;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (add_type(mod, all[i].spec, all[i].slot, (PyObject *)*all[i].base) < 0)
            return -1;
    return 0;
}

PyDoc_STRVAR(OwnerDiedWarning_doc,
"A lock was acquired whose last owner ended while it held it.");

static int add_warning(PyObject *mod, pycmp_state *st)
{
    st->OwnerDiedWarning = PyErr_NewExceptionWithDoc("cmp.OwnerDiedWarning",
                                                     OwnerDiedWarning_doc,
                                                     PyExc_RuntimeWarning, NULL);
    if (st->OwnerDiedWarning == NULL)
        return -1;
    return PyModule_AddObjectRef(mod, "OwnerDiedWarning", st->OwnerDiedWarning);
}

static int module_exec(PyObject *mod)
{
    pycmp_state *st = PyModule_GetState(mod);
    int rc = cmp_owner_atfork_install(); /* the first fork makes the family's arena */
    if (rc < 0) {
        pycmp_raise(rc);
        return -1;
    }
    if (add_functions(mod) < 0 ||
        add_struct(mod, &pycmp_identity_desc, &st->IdentityType) < 0 ||
        add_type(mod, &pycmp_redirect_spec, &st->RedirectType, NULL) < 0 ||
        add_type(mod, &pycmp_embryo_spec, &st->EmbryoType, NULL) < 0 ||
        add_type(mod, &pycmp_segment_spec, &st->SegmentType, NULL) < 0 ||
        add_type(mod, &pycmp_naming_spec, &st->NamingType, NULL) < 0 ||
        add_families(mod, st) < 0 || add_warning(mod, st) < 0 || pycmp_codec_init(st) < 0)
        return -1;
    return PyModule_AddIntConstant(mod, "EXIT_PARENT_DIED", CMP_EXIT_PARENT_DIED);
}

#define OBJECTS(do) \
    do(IdentityType) do(RedirectType) do(EmbryoType) do(SegmentType) do(NamingType) do(HandleType) \
    do(LockType) do(RLockType) do(SemaphoreType) do(BoundedSemaphoreType) do(EventType) do(ConditionType) do(BarrierType) \
    do(BlockType) do(GuardedType) do(GuardedValueType) do(GuardedArrayType) \
    do(GuardedStringType) do(OwnerDiedWarning) do(UnpicklingError) do(SimpleNamespace) \
    do(reduction) do(dispatch_table) do(pickle_complex)

static int module_traverse(PyObject *mod, visitproc visit, void *arg)
{
    pycmp_state *st = PyModule_GetState(mod);
#define VISIT(name) Py_VISIT(st->name);
    OBJECTS(VISIT)
#undef VISIT
    return 0;
}

static int module_clear(PyObject *mod)
{
    pycmp_state *st = PyModule_GetState(mod);
#define CLEAR(name) Py_CLEAR(st->name);
    OBJECTS(CLEAR)
#undef CLEAR
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
