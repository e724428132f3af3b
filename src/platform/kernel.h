/* kernel.h -- what this kernel and sandbox can do, found by trying it.

   A version number says little: seccomp, gVisor, containers and limits take
   things away, distributions put things back.  So each feature is used once, in
   a child where it takes a death to see it.

   Layout    struct cmp_kernel, process-local: one int per feature, one int64_t
             per amount, generated from the two lists below.
               feature   1 yes; 0 it was tried and did not do what it should;
                         -errno the call was refused with that
               amount    -1 none: no limit, nothing there, or not to be found
   Invariant a look leaves nothing behind: no descriptor, child, zombie, signal,
             file or changed setting.  Its children send no SIGCHLD, cannot be
             waited for by mistake (only by __WALL) and run with every signal
             blocked, so the caller's handlers never see them.
   Ordering  none.
   If a process dies
             while looking: its children end by themselves within 200 ms.
   Fork      safe: no state.  */
#ifndef CMP_KERNEL_H
#define CMP_KERNEL_H

#include <stdint.h>

#define CMP_KERNEL_FEATURES(X)                                                  \
    X(robust_list)         /* libc registered a robust list for this thread */  \
    X(robust_wake)         /* a death marks a listed word and wakes a sleeper */ \
    X(pending_wake)        /* ... wakes one on a pending word PARK_ARMED */     \
    X(pending_wake_zero)   /* ... wakes one on a pending word 0: older rule */  \
    X(futex_waitv)         /* one sleep on several words */                     \
    X(memfd)               /* memory as a file without a name */                \
    X(memfd_seal)          /* ... that can be kept from shrinking */            \
    X(memfd_noexec)        /* ... that can be kept from being executed */       \
    X(pidfd_open)                                                               \
    X(pidfd_send_signal)                                                        \
    X(pidfs)               /* the inode of a pidfd is unique to its process */  \
    X(parent_death_signal) /* PR_SET_PDEATHSIG */                               \
    X(dev_shm)             /* /dev/shm is a file system of its own */           \
    X(dev_shm_write)       /* this process may create files there */

#define CMP_KERNEL_AMOUNTS(X)                                                   \
    X(futex_offset)      /* from a robust list entry to its word, in bytes */   \
    X(dev_shm_size)      /* bytes */                                            \
    X(dev_shm_free)      /* bytes */                                            \
    X(rlimit_as)         /* soft limits, as getrlimit has them */               \
    X(rlimit_fsize)                                                             \
    X(rlimit_nofile)                                                            \
    X(rlimit_memlock)                                                           \
    X(rlimit_nproc)                                                             \
    X(cpus)              /* in the affinity mask */                             \
    X(cpu_quota_milli)   /* of the control groups: 1500 is one and a half CPUs */

struct cmp_kernel {
#define CMP_KERNEL_FIELD(name) int name;
    CMP_KERNEL_FEATURES(CMP_KERNEL_FIELD)
#undef CMP_KERNEL_FIELD
#define CMP_KERNEL_FIELD(name) int64_t name;
    CMP_KERNEL_AMOUNTS(CMP_KERNEL_FIELD)
#undef CMP_KERNEL_FIELD
};

/* Try everything.  A few milliseconds, at most 200 for each feature where the
   machine is overloaded or the sandbox swallows a wake.  Always returns 0.  */
int cmp_kernel_read(struct cmp_kernel *kernel);

#endif /* CMP_KERNEL_H */
