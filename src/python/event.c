/* event.c -- Event.  */
#include "handle.h"
#include "../core/event.h"

static PyObject *Event_is_set(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_event *event = pycmp_cell(self);
    return event == NULL ? NULL : PyBool_FromLong(cmp_event_is_set(event));
}

static PyObject *Event_set(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_event *event = pycmp_cell(self);
    if (event == NULL)
        return NULL;
    cmp_event_set(event);
    Py_RETURN_NONE;
}

static PyObject *Event_clear(PyObject *self, PyObject *Py_UNUSED(none))
{
    struct cmp_event *event = pycmp_cell(self);
    if (event == NULL)
        return NULL;
    cmp_event_clear(event);
    Py_RETURN_NONE;
}

struct wait_op {
    struct cmp_event *event;
    uint32_t seen; /* its count when the wait began: it ends also if it is set for a moment */
};

static int wait_op(void *arg, int64_t deadline_ns)
{
    struct wait_op *op = arg;
    return cmp_event_wait_since(op->event, op->seen, deadline_ns);
}

static PyObject *Event_wait(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    struct cmp_event *event = pycmp_cell(self);
    int64_t duration_ns = CMP_FOREVER;
    PyObject *timeout;

    if (event == NULL ||
        pycmp_only_argument("wait", "timeout", args, nargs, kwnames, &timeout) < 0)
        return NULL;
    if (timeout != NULL && pycmp_duration(timeout, &duration_ns) < 0)
        return NULL;
    struct wait_op op = {event, cmp_event_count(event)};
    if (cmp_event_is_set(event))
        Py_RETURN_TRUE;
    if (duration_ns == 0)
        Py_RETURN_FALSE;
    int rc = pycmp_block(wait_op, &op, pycmp_deadline_after(duration_ns));
    if (rc == -ETIMEDOUT)
        Py_RETURN_FALSE;
    if (rc < 0)
        return pycmp_raise(rc);
    Py_RETURN_TRUE;
}

static int Event_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    cmp_ref ref;
    void *cell;

    if (pycmp_no_arguments("Event", args, kwargs) < 0 ||
        pycmp_object_create(CMP_TYPE_EVENT, sizeof(struct cmp_event), &ref, &cell) < 0)
        return -1;
    cmp_event_init(cell);
    return pycmp_handle_open(self, ref, cell);
}

static PyObject *Event_setstate(PyObject *self, PyObject *state)
{
    if (pycmp_handle_setstate(self, state, CMP_TYPE_EVENT, NULL, 0) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(is_set_doc,
"is_set($self, /)\n"
"--\n"
"\n"
"Whether the event is set.");

PyDoc_STRVAR(set_doc,
"set($self, /)\n"
"--\n"
"\n"
"Set the event; all who wait for it go on.  Never waits itself.");

PyDoc_STRVAR(clear_doc,
"clear($self, /)\n"
"--\n"
"\n"
"Take it back: from now on wait() waits.");

PyDoc_STRVAR(wait_doc,
"wait($self, /, timeout=None)\n"
"--\n"
"\n"
"Wait until the event is set, also if it is cleared at once; return whether it\n"
"was, in time.");

static PyMethodDef Event_methods[] = {
    {"is_set", Event_is_set, METH_NOARGS, is_set_doc},
    {"set", Event_set, METH_NOARGS, set_doc},
    {"clear", Event_clear, METH_NOARGS, clear_doc},
    {"wait", PYCMP_FAST(Event_wait), METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"__setstate__", Event_setstate, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(Event_doc,
"Event(*, ctx)\n"
"--\n"
"\n"
"A flag that processes and threads can wait for.");

static PyType_Slot Event_slots[] = {
    {Py_tp_doc, (void *)Event_doc},
    {Py_tp_new, pycmp_handle_new},
    {Py_tp_init, Event_init},
    {Py_tp_dealloc, pycmp_handle_dealloc},
    {Py_tp_traverse, pycmp_handle_traverse},
    {Py_tp_clear, pycmp_handle_clear},
    {Py_tp_methods, Event_methods},
    {0, NULL},
};

PyType_Spec pycmp_event_spec = {
    .name = "cmp._cmp.Event",
    .basicsize = sizeof(struct pycmp_handle),
    .flags = PYCMP_HANDLE_FLAGS,
    .slots = Event_slots,
};
