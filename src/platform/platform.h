/* platform.h -- everything src/core needs from an operating system.
   The files of one system implement it (linux*.c); no other file names the OS.

   Layout    struct cmp_identity, 32 bytes, may lie in shared memory.
             Park words hold 0 or PARK_ARMED and nothing else, ever: the kernel
             compares a dying thread's pending word with its TID.
   Invariant a thread has at most one pending word.
   Ordering  cmp_pending orders nothing but itself: the stores after it, in this
             thread, come later in the eyes of the kernel when the thread dies.
             cmp_park and cmp_unpark are system calls on the words; the atomic
             accesses around them are the caller's and carry the orders.
   If a process dies
             with a pending word: the kernel wakes one sleeper on it, where it
             can (kernel.h says so); elsewhere the sleepers' slices notice.
             asleep in cmp_park: it leaves no trace; a wake it got is lost with
             it unless the word is pending.
   Fork      the child of a fork starts with no pending word, and asks anew for
             its thread id, its robust list and its namespaces.  A child made by
             a bare clone() must call cmp_platform_after_fork() itself.  */
#ifndef CMP_PLATFORM_H
#define CMP_PLATFORM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../core/atomics.h"

#define PARK_ARMED (UINT32_C(1) << 31)
#define CMP_PARK_MAX 128 /* words in one cmp_park: as many as the kernel takes */
#define CMP_UNPARK_ALL INT_MAX

/* One word of a cmp_park, and the value at which it lets the thread sleep. */
struct cmp_watch {
    cmp_word *word;
    uint32_t expected;
};

/* Who a process is: enough to tell it from a later one with the same pid.
   A field of 0 is not known.  */
struct cmp_identity {
    uint32_t pid;        /* in its own pid namespace */
    uint32_t tid;        /* the thread that asked; of another process: its pid */
    uint64_t start_time; /* of the process, in clock ticks since boot */
    uint64_t pidns_ino;  /* its pid namespace */
    uint64_t pidfs_ino;  /* unique until the next boot; Linux 6.9 and later */
};
_Static_assert(sizeof(struct cmp_identity) == 32, "shared layout");

/* Prepare this process: have the state of this folder reset in forked children.
   Called by whatever needs it; calling it early only brings the error to light.
   Idempotent.  0 or -ENOMEM.  */
int cmp_platform_init(void);

/* Forget, in the child of a fork, what was true of the parent's thread only. */
void cmp_platform_after_fork(void);

/* Nanoseconds on the clock that deadlines are measured against.  */
int64_t cmp_now_ns(void);

/* Bytes that nobody can guess.  0 or -errno.  */
int cmp_random(void *bytes, size_t n);

/* Close it, unless it is negative.  */
void cmp_close(int fd);

/* The calling thread's id, as it stands in robust words.  Cached.  */
uint32_t cmp_tid(void);

/* From now on, if this thread dies, one sleeper on *park is woken; NULL ends
   that.  Two plain stores.  At most one park word at a time.  Without a robust
   list it does nothing, and sleepers are left to their slices.  */
void cmp_pending(cmp_word *park);

/* For code that runs in the middle of an operation, and does whole operations of its own:
   what is pending now; have that word pending instead of NULL from now on.  keep returns
   the one before, to be given back.  */
cmp_word *cmp_pending_now(void);
cmp_word *cmp_pending_keep(cmp_word *park);

/* Sleep until woken on any of the n words, provided that on entry each holds
   its expected value.  words[0] is the park word; the others are guards, which
   nobody wakes, and hold words, which the kernel wakes when their owner dies.
   Each is compared after the thread is queued on those before it.  Requires
   that 1 <= n <= CMP_PARK_MAX.  May return 0 spuriously: look again.
   Where the kernel cannot watch several words, the sleep is on words[0] alone
   and in slices of at most 50 ms, between which the others are compared.
   The index of the word that was woken, the highest if several were; n where
   that is not known (a slice was over, no futex_waitv); -EAGAIN: a word differed,
   the thread was not asleep and took nobody's wake; -ETIMEDOUT, -EINTR, or
   -EINVAL for a bad n or a misaligned word.  */
int cmp_park(const struct cmp_watch *words, int n, int64_t deadline_ns);

/* Wake up to n sleepers on *park, in every process that maps it.  Return how
   many were woken.  */
int cmp_unpark(cmp_word *park, int n);

/* Who this process is.  What cannot be found out is 0.  Always returns 0.  */
int cmp_identity_self(struct cmp_identity *id);

/* In the child of a fork, just after it: whether pids mean the same here as in the
   parent.  Cheaper than to compare pidns_ino.  */
bool cmp_same_pids_as_parent(void);

/* Who process pid is, as far as it can be found out; a zombie still has an
   identity.  0; -ESRCH: no process of that id; -EINVAL: pid < 1; -EMFILE, -ENFILE
   or -ENOMEM: could not look.  */
int cmp_identity_of(int pid, struct cmp_identity *id);

/* Whether any thread of that process may still run: 1, 0, or a negative errno
   where it cannot be told (-EXDEV: it lives in another pid namespace; -EMFILE:
   no descriptor left).  A stopped process is alive, a zombie is not, nor is one
   whose pid now belongs to another.  pidfs_ino decides where it is known, then
   start_time; with neither, pid alone.  */
int cmp_is_alive(const struct cmp_identity *id);

/* ---- robust words: platform/linux_robust.c ---------------------------------- */

#define CMP_TID_MASK UINT32_C(0x3fffffff)   /* what the kernel compares with a dying TID */
#define CMP_OWNER_DIED UINT32_C(0x40000000) /* what it leaves instead of the TID */
#define CMP_WAITERS UINT32_C(0x80000000)    /* it wakes one sleeper only if this is set */

/* An entry of a thread's robust list, in shared memory; word is at the offset
   from next that libc has registered with the kernel.  */
struct cmp_node {
#ifdef __GLIBC__
    cmp_word word;
    uint32_t reserved[5];
#else /* musl */
    uint32_t reserved_1;
    cmp_word word;
    uint32_t reserved[4];
#endif
    void *prev, *next; /* of the list of the thread that linked it: process-local */
};
_Static_assert(sizeof(struct cmp_node) == 40, "shared layout");
_Static_assert(offsetof(struct cmp_node, next) == offsetof(struct cmp_node, prev) + 8,
               "libc finds prev before next");

/* Whether this thread has a robust list whose offset fits struct cmp_node.  */
bool cmp_robust_works(void);

/* Put *node into, or take it out of, this thread's list.  A death between the
   stores of either leaves a list that the kernel can walk.  The word is the
   caller's: link, then store TID | CMP_WAITERS.  Without a list they do nothing.
   Requires that unlink is called by the thread that linked, or its forked copy. */
void cmp_robust_link(struct cmp_node *node);
void cmp_robust_unlink(struct cmp_node *node);

/* Have fn called when this thread ends before its process: one fn a thread, a later
   one replaces it.  It may ask for it again: it is called again.  0 or -errno.  */
int cmp_at_thread_exit(void (*fn)(void));

/* ---- death, with certainty: platform/linux_end.c ----------------------------- */

enum cmp_end {
    CMP_END_NOT_YET, /* alive, or some thread of it may still store */
    CMP_END_ENDED,   /* no thread of it can store any more */
    CMP_END_EXECED,  /* the process lives on as another program */
};

/* A pidfd kept between the looks of one wait. */
struct cmp_look {
    int fd;
};
#define CMP_LOOK_INIT {-1}

/* A number that an exec of this process changes, 0 where it cannot be known.  */
uint64_t cmp_exec_mark(void);

/* Whether the process of *id has ended, waiting for it until the deadline at most
   (in the past: look once).  exec_mark: its cmp_exec_mark() at registration when
   a thread other than its first registered it, else 0; by_leader says which.
   hint: its robust words read CMP_OWNER_DIED, so EXECED is possible: that they do,
   and the process lives, is what proves an exec.  Without the hint only ENDED and
   NOT_YET are told.  May return NOT_YET early, at a signal.  */
enum cmp_end cmp_end_confirm(struct cmp_look *look, const struct cmp_identity *id,
                             uint64_t exec_mark, bool by_leader, bool hint,
                             int64_t deadline_ns);
void cmp_look_close(struct cmp_look *look);

/* ---- memory of a family: platform/linux_map.c -------------------------------- */

/* A file without a name, mapped at the same offsets in every process of a
   family, at any address.  The address space is reserved once; what lies before
   `accessible` may be touched, and is covered by the file.  */
struct cmp_map {
    char *base;
    size_t reserved;       /* bytes of address space */
    cmp_word64 accessible; /* bytes; grows, never shrinks */
    int fd;                /* close-on-exec, above 2; -1: shared by fork alone */
    uint64_t dev, ino;     /* of the file: the program may close fd, and use its number */
};

/* map->fd; -ENOTSUP: there is none; -EBADF: the program has closed it, or put another
   file in its place, which is left alone.  What is mapped stays usable.  */
int cmp_map_fd(const struct cmp_map *map);

/* A copy of that descriptor, for another process.  Or a -errno.  */
int cmp_map_copy_fd(const struct cmp_map *map);

/* Make the file, of at least `bytes`, and map it.  0 or -errno.  */
int cmp_map_create(struct cmp_map *map, size_t bytes);

/* Map the file behind fd, which the map owns from then on if it succeeds; or, if
   fd is 0, 1 or 2, a duplicate: then map->fd differs, and fd is to be closed.
   -EPERM: it belongs to another user; -EINVAL: not such a file.  */
int cmp_map_attach(struct cmp_map *map, int fd);

/* Have the file cover at least `bytes` and make them accessible; the file never
   shrinks, also when several processes grow it at once.  0, -ENOMEM (address
   space used up), -EFBIG (RLIMIT_FSIZE) or another -errno.  Thread-safe.  */
int cmp_map_grow(struct cmp_map *map, size_t bytes);

/* Make accessible what another process added, up to `bytes`; -ERANGE: the file
   is not so long.  Where the program has closed the descriptor, so that nobody can be
   asked, it is as long as is `said`.  Thread-safe.  */
int cmp_map_reach(struct cmp_map *map, size_t bytes, size_t said);

/* Allocate the pages of a range, so that touching them cannot fail.  0, -ENOMEM
   (also where the file system is full) or another -errno.  */
int cmp_map_commit(struct cmp_map *map, size_t offset, size_t bytes);

/* About how many bytes can be allocated before the kernel kills for it: the lesser of what
   the system has available and what the control groups allow; -1: not known.  Takes
   50 us.  */
int64_t cmp_memory_left(void);

/* Have a range of whole pages read as zeroes, and free their memory where possible. */
void cmp_map_clear(struct cmp_map *map, size_t offset, size_t bytes);

/* Whether fd is a descriptor of the map's file.  */
bool cmp_map_same_file(const struct cmp_map *map, int fd);

/* Unmap it and close its descriptor, unless that is -1.  */
void cmp_map_detach(struct cmp_map *map);

/* The birth lock of process slot `slot`: a descriptor of its own of the family's
   file with a lock on byte 2^50 + slot, which lasts while any process has that
   descriptor.  -EAGAIN: somebody has it; -ENOTSUP where such locks or /proc are
   missing; -EMFILE or -ENFILE.  */
int cmp_birth_open(const struct cmp_map *map, unsigned int slot);

/* Whether anybody holds that lock: 1, 0 or -ENOTSUP.  */
int cmp_birth_held(const struct cmp_map *map, unsigned int slot);

/* Give the lock up, whoever else has the descriptor; it stays open.  */
void cmp_birth_end(int fd, unsigned int slot);

/* ---- processors: platform/linux_cpu.c ---------------------------------------- */

/* The processor that this thread runs on, as of now; -1: not known.  */
int cmp_cpu(void);

/* How many threads can run at once: the lesser of affinity and the control
   groups' quota, at least 1.  Cached for a second.  */
int cmp_parallelism(void);

/* Let another thread run; a moment's pause of a spinning processor.  */
void cmp_yield(void);
void cmp_pause(void);

/* ---- named segments: platform/linux_segment.c ------------------------------- */

/* Shared memory with a name, as POSIX has it, for programs of any kind; nothing of cmp's
   lies in it.  A name may begin with slashes and has none after.  The kernel owns it all:
   whoever is killed, when ever, leaves a segment that is whole or has size 0.  */

/* Open or create it; flags and mode are open()'s.  A descriptor that no other program
   inherits, or -errno; -EINVAL or -ENAMETOOLONG: no segment can have this name.  */
int cmp_segment_open(const char *name, int flags, unsigned int mode);

/* Take the name away; the memory goes with the last mapping.  0 or -errno.  */
int cmp_segment_unlink(const char *name);

/* Whether there is one of that name: 1, 0 or -errno, as for cmp_segment_open.  */
int cmp_segment_exists(const char *name);

/* How large it is.  0 or -errno.  */
int cmp_segment_size(int fd, uint64_t *bytes);

/* How much memory is free where segments lie; UINT64_MAX: no limit.  0 or -errno.  */
int cmp_segment_room(int fd, uint64_t *bytes);

/* Make it so large; what is new is zero, and has no memory until it is touched.  0 or
   -errno.  */
int cmp_segment_resize(int fd, uint64_t bytes);

/* Give memory to its first bytes, those from *done on; *done grows on the way.  0; -EINTR:
   call again; or -errno.  */
int cmp_segment_reserve(int fd, uint64_t bytes, uint64_t *done);

/* Map it, readable and writable.  0 or -errno.  */
int cmp_segment_map(int fd, size_t bytes, void **base);
void cmp_segment_unmap(void *base, size_t bytes);

/* Lock the file, against other processes, and wait for it; whoever dies or closes a
   descriptor of it gives its lock up.  0; -EINTR: call again; or -errno.  */
int cmp_file_lock(int fd);
void cmp_file_unlock(int fd);

/* ---- for tests ---------------------------------------------------------------- */

/* Behave as if the system lacked these.  Inherited by fork; also read at start-up
   from the environment variable CMP_LACKS, names separated by commas: waitv pidfd
   memfd dev_shm robust pending ofd backstop spin.  cmp_platform_pretend reaches
   threads that have used none of this yet, and the calling one.  */
#define CMP_LACKS_WAITV 1u
#define CMP_LACKS_PIDFD 2u
#define CMP_LACKS_MEMFD 4u    /* no memory files: an unlinked file in /dev/shm */
#define CMP_LACKS_DEV_SHM 8u  /* ... nor that: memory shared by fork alone */
#define CMP_LACKS_ROBUST 16u  /* no robust list: deaths are seen at slices only */
#define CMP_LACKS_PENDING 32u /* the kernel heeds no pending word */
#define CMP_LACKS_OFD 64u     /* no birth locks */
#define CMP_LACKS_BACKSTOP 128u /* sleeps have no slices: to prove that none is needed */
#define CMP_LACKS_SPIN 256u   /* never spin */
void cmp_platform_pretend(uint32_t lacks);
bool cmp_lacks(uint32_t what);

#endif /* CMP_PLATFORM_H */
