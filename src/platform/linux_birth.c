/* linux_birth.c -- what the child of a fork asks about itself.  */
#include "platform.h"
#include <unistd.h>

/* The first process of a new pid namespace, and those that others put into it: their
   parent has no number there.  A parent that has died leaves its children to another
   process of the same namespace.  */
bool cmp_same_pids_as_parent(void)
{
    return getppid() != 0;
}
