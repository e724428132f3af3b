/* fork.c -- what happens around a fork, in the handlers of pthread_atfork.

   prepare: the arena is there, the process lock is held, the child's slot is an
   EMBRYO with everything that this process holds.  A fork is never refused: what
   cannot be had is missing in the child alone, whose cmp_me_errno() says why.  */
#include <pthread.h>
#include "arena.h"
#include "held.h"
#include "object.h"
#include "owner.h"

/* The child of the fork that is under way, under the process lock. */
static struct {
    struct cmp_embryo embryo;
    int rc; /* 0: there is one */
} birth;

static int prepare_child(void)
{
    struct cmp_slot *s = cmp_me_slot();
    if (s == NULL)
        return -cmp_me_errno();
    int rc = cmp_slot_claim(&birth.embryo);
    if (rc < 0)
        return rc;
    CMP_HOOK("fork.prepare.claimed");
    rc = cmp_held_copy(cmp_slot_at(birth.embryo.slot), s);
    CMP_HOOK("fork.prepare.copied");
    if (rc == 0 && !cmp_slot_conceive(&birth.embryo))
        rc = -EAGAIN;
    if (rc < 0) {
        cmp_slot_release(&birth.embryo);
        cmp_slot_birth_over(&birth.embryo);
        return rc;
    }
    CMP_HOOK("fork.prepare.embryo");
    return 0;
}

static void prepare(void)
{
    int rc = cmp_family_before_fork();
    cmp_me(); /* the extents that are taken for the child carry our code */
    cmp_process_lock();
    birth.rc = rc < 0 ? rc : prepare_child();
    cmp_object_forking();
}

static void in_parent(void)
{
    if (birth.rc == 0)
        cmp_slot_birth_over(&birth.embryo);
    cmp_process_unlock();
    cmp_family_after_fork();
}

static void in_child(void)
{
    cmp_owner_born(birth.rc == 0 ? &birth.embryo : NULL, -birth.rc);
    CMP_HOOK("fork.child.born");
    if (birth.rc == 0)
        cmp_slot_birth_over(&birth.embryo);
    cmp_object_forked();
    cmp_process_unlock();
    cmp_family_after_fork();
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int install_rc;

/* The platform's handlers first: in the child they run before ours. */
static void install(void)
{
    install_rc = cmp_platform_init();
    if (install_rc == 0)
        install_rc = -pthread_atfork(prepare, in_parent, in_child);
}

int cmp_owner_atfork_install(void)
{
    pthread_once(&once, install);
    return install_rc;
}
