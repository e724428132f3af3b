/* module.h -- what the files of the binding share.  */
#ifndef PYCMP_MODULE_H
#define PYCMP_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include "../core/cmp.h"

#if PY_VERSION_HEX < 0x030D0000 /* the GIL does it */
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

typedef struct {
    PyTypeObject *IdentityType;
    PyTypeObject *RedirectType;
    PyTypeObject *EmbryoType;
    PyTypeObject *SegmentType;
    PyTypeObject *NamingType;
    PyTypeObject *HandleType; /* the base of those that follow */
    PyTypeObject *LockType;
    PyTypeObject *RLockType;
    PyTypeObject *SemaphoreType;
    PyTypeObject *BoundedSemaphoreType;
    PyTypeObject *EventType;
    PyTypeObject *ConditionType;
    PyTypeObject *BarrierType;
    PyTypeObject *BlockType;
    PyTypeObject *ConnectionType;
    PyTypeObject *GuardedType; /* the base of those that follow */
    PyTypeObject *GuardedValueType;
    PyTypeObject *GuardedArrayType;
    PyTypeObject *GuardedStringType;
    PyObject *OwnerDiedWarning;
    PyObject *UnpicklingError;
    PyObject *SimpleNamespace;
    PyObject *reduction;      /* multiprocessing's module */
    PyObject *dispatch_table; /* these two are of copyreg */
    PyObject *pickle_complex;
} pycmp_state;

/* Functions of the module, by the file that has them.  */
extern PyMethodDef pycmp_codec_methods[];
extern PyMethodDef pycmp_connection_functions[];
extern PyMethodDef pycmp_family_methods[];
extern PyMethodDef pycmp_handle_functions[];
extern PyMethodDef pycmp_identity_methods[];
extern PyMethodDef pycmp_kernel_methods[];
extern PyMethodDef pycmp_orphan_methods[];
extern PyMethodDef pycmp_segment_methods[];

extern PyStructSequence_Desc pycmp_identity_desc;
extern PyType_Spec pycmp_redirect_spec;
extern PyType_Spec pycmp_embryo_spec;
extern PyType_Spec pycmp_segment_spec;
extern PyType_Spec pycmp_naming_spec;
extern PyType_Spec pycmp_handle_spec;
extern PyType_Spec pycmp_lock_spec;
extern PyType_Spec pycmp_rlock_spec;
extern PyType_Spec pycmp_semaphore_spec;
extern PyType_Spec pycmp_bounded_semaphore_spec;
extern PyType_Spec pycmp_event_spec;
extern PyType_Spec pycmp_condition_spec;
extern PyType_Spec pycmp_barrier_spec;
extern PyType_Spec pycmp_block_spec;
extern PyType_Spec pycmp_connection_spec;
extern PyType_Spec pycmp_guarded_spec;
extern PyType_Spec pycmp_guarded_value_spec;
extern PyType_Spec pycmp_guarded_array_spec;
extern PyType_Spec pycmp_guarded_string_spec;

/* module.c */

/* The state of the module that made the type of self, or a base of it.  NULL and a
   TypeError if none did.  */
pycmp_state *pycmp_state_of(PyObject *self);

/* status.c */

/* Set the exception for status rc (< 0) and return NULL.  Keeps an exception
   that is already set, so -EINTR after a raising signal handler passes.  */
PyObject *pycmp_raise(int rc);

/* Set OSError(number, text), of the subclass of that number, and return NULL.  The format
   is PyUnicode_FromFormat's.  */
PyObject *pycmp_raise_os(int number, const char *format, ...);

/* OSError: the program has closed the descriptor of the arena.  */
void pycmp_raise_closed(void);

/* wait.c */

/* Run op without the GIL, retrying after signals whose handlers return.  The
   status of op; -EINTR only with the exception of a signal handler set.  */
int pycmp_block(int (*op)(void *, int64_t), void *obj, int64_t deadline_ns);

/* Of a signal handler that has changed what this thread may be waiting for: its op is called anew.  */
void pycmp_begin_anew(void);

/* How long, in two steps, so that a wait that need not sleep reads no clock.  First:
   None and inf -> CMP_FOREVER, a real number of seconds -> at least 0.  0, or -1 and
   an exception that names the value.  Then: the deadline, that much after now.  */
int pycmp_duration(PyObject *timeout, int64_t *duration_ns);
int64_t pycmp_deadline_after(int64_t duration_ns);

/* exec.c */

/* From now on an os.exec* of this process is known to the core before it happens,
   and taken back if it fails.  Idempotent.  0, or -1 and an exception.  */
int pycmp_watch_exec(void);

/* family.c */

/* Have the arena of this process family.  0, or -1 and an exception.  */
int pycmp_family(void);

/* args.c */

/* The parameters of a METH_FASTCALL | METH_KEYWORDS function. */
struct pycmp_signature {
    const char *function;
    const char *const *names; /* ends with NULL */
    int n_required;
    int n_positional; /* 0: all */
};

/* Sort the arguments of a call into out[], one (borrowed) for each name, NULL
   where it was not given.  0, or -1 and a TypeError.  */
int pycmp_args(const struct pycmp_signature *sig, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames, PyObject **out);

/* An integer from low to high.  0, or -1 and a TypeError or ValueError that
   names the parameter and the value.  */
int pycmp_integer(PyObject *value, const char *name, long long low, long long high,
                  long long *out);

/* An integer of any size, one beyond long long as the nearest that is not.  0, or -1
   and a TypeError that names the parameter and the value.  */
int pycmp_clamped(PyObject *value, const char *name, long long *out);

/* acquire(block=True, timeout=None, *, blocking=True): how long it may wait in ns, 0
   for not at all.  block and blocking are the same.  0, or -1 and an exception.  */
int pycmp_patience(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                   int64_t *duration_ns);

/* wait(timeout=None): the only argument, NULL if it was not given.  0, or -1 and a
   TypeError.  */
int pycmp_only_argument(const char *function, const char *name, PyObject *const *args,
                        Py_ssize_t nargs, PyObject *kwnames, PyObject **out);

#endif /* PYCMP_MODULE_H */
