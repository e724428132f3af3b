/* linux.h -- what the files of this folder share among themselves.

   Newer system calls are named here by number, so that headers older than the
   running kernel do not cost us the call; x86-64 and aarch64 share the numbers
   from 424 on.  No function named here keeps a descriptor open.  */
#ifndef CMP_LINUX_H
#define CMP_LINUX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include "platform.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

/* The robust list's offsets, timespecs and start times are read as 64 bits.  */
_Static_assert(sizeof(long) == 8, "cmp needs a 64-bit system");

/* For a few words that are looked at often: 7 ns less per cmp_pending in a shared
   library.  musl refuses to load such a one.  */
#ifdef __GLIBC__
#define FAST_THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define FAST_THREAD_LOCAL _Thread_local
#endif

struct robust_list_head;

/* linux.c */

/* The robust list that libc registered for this thread, or NULL.  */
struct robust_list_head *linux_robust_head(void);

/* One sleep on one word.  0: woken; -EAGAIN: another value; -ETIMEDOUT, -EINTR ... */
int linux_futex_wait(cmp_word *word, uint32_t expected, int64_t deadline_ns);

/* The bare futex_waitv(2), with the same results, but the index of the word that was
   woken for 0; -ENOSYS or -EPERM: not here.  */
int linux_futex_waitv(const struct cmp_watch *words, int n, int64_t deadline_ns);

/* linux_robust.c */

void linux_robust_after_fork(void);
void linux_robust_ask_anew(void);

/* linux_identity.c */

/* A close-on-exec descriptor for process pid, or -errno.  */
int linux_pidfd_open(int pid);

/* Whether every thread of the process behind a pidfd has ended.  */
bool linux_pidfd_ended(int fd);

/* The inode of a pidfd where it identifies the process, else 0.  */
uint64_t linux_pidfs_ino(int fd);

/* Whether pidfd_open found that no process has this pid.  */
bool linux_no_such_process(int rc);

/* Whether a call failed for lack of a descriptor, or of memory for one.  */
bool linux_out_of_descriptors(int rc);

/* What is read of /proc/PID/stat. */
struct linux_stat {
    char state;
    uint64_t flags; /* PF_* */
    uint64_t n_threads;
    uint64_t start_time;
    uint64_t stack; /* where the stack began; 0: gone, or none of our business */
};

/* 0; -ENOENT or -ESRCH: no such process; -ENOTSUP: /proc is missing, or numbers
   processes otherwise; -EMFILE and its like.  */
int linux_read_stat(uint32_t pid, struct linux_stat *line);

/* The inode of this process's pid namespace, 0: not known.  */
uint64_t linux_own_pidns(void);

/* Read a small file as a string.  Its length, or -errno.  */
int linux_read_file(const char *path, char *text, size_t size);

void linux_identity_after_fork(void);

/* linux_map.c */

/* fd, or, if that is 0, 1 or 2, a duplicate above them, with fd closed: whoever finds
   a standard stream closed may open another there, and children get theirs in that
   place.  A negative one is returned as it is; -EMFILE.  */
int linux_above_stdio(int fd);

/* linux_cpu.c */

/* How many processors this thread may run on, at least 1.  */
int linux_affinity(void);

/* linux_cgroup.c */

/* Thousandths of a CPU that the control groups named in the file `membership`
   (/proc/self/cgroup) may use, by the hierarchies under `mount`; -1: no limit. */
int64_t linux_cpu_quota_milli(const char *membership, const char *mount);

/* Bytes that those groups may still take; -1: no limit. */
int64_t linux_memory_left(const char *membership, const char *mount);

#endif /* CMP_LINUX_H */
