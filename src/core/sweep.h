/* sweep.h -- finding what nobody can reach: for slot.c, slab.c and object.c.  */
#ifndef CMP_SWEEP_H
#define CMP_SWEEP_H

#include <stdint.h>

/* Both require the process lock.  */

/* Slots ran out: sweep, asking the kernel about every process.  How many slots were
   freed, or -errno.  */
int64_t cmp_sweep_slots(void);

/* Cells ran out: sweep, if an object was left to it or a process died since the last
   time.  How many objects were freed; -EAGAIN: there was no reason to; or -errno.  */
int64_t cmp_sweep_if_any(void);

#endif /* CMP_SWEEP_H */
