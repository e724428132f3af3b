/* linux_deathwatch.h -- the features of kernel.h that it takes a death to see. */
#ifndef CMP_LINUX_DEATHWATCH_H
#define CMP_LINUX_DEATHWATCH_H

#include "kernel.h"

/* Fill robust_wake, pending_wake, pending_wake_zero, parent_death_signal.  */
void linux_deathwatch(struct cmp_kernel *kernel);

#endif /* CMP_LINUX_DEATHWATCH_H */
