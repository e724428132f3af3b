/* cmp.h -- vocabulary shared by every file in src/core.

   Status.  Functions that can fail return 0 or a negative errno, never both a
   status and a value.  -EAGAIN: would block.  -ETIMEDOUT: deadline passed.
   -EINTR: a signal arrived; nothing was acquired, call again.  -EOWNERDEAD:
   acquired, but the previous owner died holding it.

   Deadlines.  Always absolute CLOCK_MONOTONIC nanoseconds, so a caller may
   retry after -EINTR without arithmetic.  A deadline in the past means: look
   once, do not sleep.  */
#ifndef CMP_H
#define CMP_H

#include <errno.h>
#include <stdint.h>

#define CMP_FOREVER INT64_MAX
#define CMP_CACHELINE 64

/* Crash and interleaving points; tests/core/hooks.h gives them a body. */
#ifndef CMP_HOOK
#define CMP_HOOK(point) ((void)0)
#endif

#endif /* CMP_H */
