/* exec.c -- what the core is told around os.exec*, by an audit hook.

   The hook runs before os.exec* replaces the program: it takes the parent watch off,
   says that this process leaves its family in order, and queues a pending call that
   takes both back.  That call runs when the interpreter does, which it only does if
   the exec failed.  (A hook written in Python, on the same event, runs the
   interpreter too, and so has both taken back: nothing tells the two apart.  The
   program may then be killed when the thread that forked it ends, and a lock that it
   left to others to release may be taken over.)  */
#include "module.h"
#include <string.h>
#include "../core/atomics.h"
#include "../core/owner.h"
#include "../platform/orphan.h"

static cmp_word hooked; /* 1: this process has the hook, for good */

static int back_again(void *Py_UNUSED(arg))
{
    cmp_parent_watch_on(); /* nobody is there to be told that it failed */
    cmp_owner_stay();
    return 0;
}

static int on_audit(const char *event, PyObject *Py_UNUSED(args), void *Py_UNUSED(data))
{
    /* Queued first: without a way back (the queue is full) all stays as it is. */
    if (strcmp(event, "os.exec") == 0 && Py_AddPendingCall(back_again, NULL) == 0) {
        cmp_parent_watch_off();
        cmp_owner_leave();
    }
    return 0;
}

int pycmp_watch_exec(void)
{
    if (xchg_seqcst(&hooked, 1) == 1)
        return 0;
    if (PySys_AddAuditHook(on_audit, NULL) == 0)
        return 0;
    store_relaxed(&hooked, 0);
    return -1;
}
