/* linux.c -- clock, pending word, park and unpark, over futex(2) and the robust
   list that libc registered for this thread.  Not FUTEX_PRIVATE: the words are
   shared, and the kernel's wake at a death uses the shared key.  */
#include "linux.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../core/cmp.h"

#define SECOND_NS INT64_C(1000000000)
#define SLICE_MIN_NS INT64_C(1000000)  /* most waits are short: look early ... */
#define SLICE_MAX_NS INT64_C(50000000) /* ... but cost a long one 20 looks a second */

_Static_assert(sizeof(cmp_word) == sizeof(uint32_t), "futex words are 32 bits");

/* As struct futex_waitv, which headers before 5.16 lack. */
struct waitv {
    uint64_t expected;
    uint64_t address;
    uint32_t flags;
    uint32_t reserved;
};
#define WAITV_U32 2 /* FUTEX_32: a shared word of 32 bits */

static cmp_word lacks;    /* CMP_LACKS_*, by a test or the environment */
static cmp_word no_waitv; /* 1: it was tried, and is not there */

static FAST_THREAD_LOCAL struct robust_list_head *robust; /* NULL: not asked yet */
static _Thread_local struct robust_list_head nowhere;     /* stands in for a missing one */
static FAST_THREAD_LOCAL cmp_word *beneath;               /* pending when nothing else is */
static FAST_THREAD_LOCAL uint32_t tid;                    /* 0: not asked yet */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int atfork_errno;

static void register_atfork(void)
{
    atfork_errno = pthread_atfork(NULL, NULL, cmp_platform_after_fork);
}

int cmp_platform_init(void)
{
    pthread_once(&once, register_atfork);
    return -atfork_errno;
}

void cmp_platform_after_fork(void)
{
    /* libc empties the child's list and registers it again, but the memory of
       list_op_pending is inherited: the child's death would wake for the parent. */
    beneath = NULL;
    if (robust != NULL)
        robust->list_op_pending = NULL;
    robust = NULL;
    tid = 0;
    linux_robust_after_fork();
    linux_identity_after_fork();
}

void cmp_platform_pretend(uint32_t what)
{
    store_relaxed(&lacks, what);
    robust = NULL; /* asked anew */
    linux_robust_ask_anew();
}

bool cmp_lacks(uint32_t what)
{
    return (load_relaxed(&lacks) & what) != 0;
}

static uint32_t lack_named(const char *name, size_t length)
{
    static const char *const names[] = { /* bit 0, 1, ... */
        "waitv", "pidfd", "memfd", "dev_shm", "robust", "pending", "ofd", "backstop", "spin",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return UINT32_C(1) << i;
    return 0;
}

/* When the program or the library is loaded. */
__attribute__((constructor)) static void read_lacks(void)
{
    const char *text = secure_getenv("CMP_LACKS");
    uint32_t found = 0;

    while (text != NULL && *text != '\0') {
        size_t length = strcspn(text, ",");
        found |= lack_named(text, length);
        text += length + (text[length] == ',');
    }
    store_relaxed(&lacks, found);
}

int64_t cmp_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

int cmp_random(void *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        long rc = syscall(SYS_getrandom, (char *)bytes + done, n - done, 0);
        if (rc < 0 && errno != EINTR)
            return -errno;
        done += rc < 0 ? 0 : (size_t)rc;
    }
    return 0;
}

void cmp_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

uint32_t cmp_tid(void)
{
    if (tid == 0) {
        cmp_platform_init();
        tid = (uint32_t)syscall(SYS_gettid);
    }
    return tid;
}

static struct robust_list_head *registered_head(void)
{
    struct robust_list_head *head = NULL;
    size_t size;
    return syscall(SYS_get_robust_list, 0, &head, &size) == 0 ? head : NULL;
}

/* musl registers a thread's list with the first robust mutex of several processes
   that it locks. */
static void lock_one_robust_mutex(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t mutex;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    if (pthread_mutex_init(&mutex, &attr) == 0) {
        if (pthread_mutex_lock(&mutex) == 0)
            pthread_mutex_unlock(&mutex);
        pthread_mutex_destroy(&mutex);
    }
    pthread_mutexattr_destroy(&attr);
}

struct robust_list_head *linux_robust_head(void)
{
    struct robust_list_head *head = registered_head();
    if (head == NULL) {
        lock_one_robust_mutex();
        head = registered_head();
    }
    return head;
}

cmp_word *cmp_pending_keep(cmp_word *park)
{
    cmp_word *before = beneath;
    beneath = park;
    cmp_pending(park);
    return before;
}

cmp_word *cmp_pending_now(void)
{
    if (robust == NULL || robust->list_op_pending == NULL)
        return NULL;
    return (cmp_word *)(void *)((char *)robust->list_op_pending + robust->futex_offset);
}

void cmp_pending(cmp_word *park)
{
    if (park == NULL)
        park = beneath;
    if (robust == NULL) {
        cmp_platform_init();
        robust = cmp_lacks(CMP_LACKS_PENDING) ? NULL : linux_robust_head();
        if (robust == NULL)
            robust = &nowhere; /* the kernel never looks there: no death wake */
    }
    /* The kernel finds the word at entry + futex_offset.  Volatile and fenced:
       the store is in program order with the stores around it, which is all
       that the exit of this very thread needs, on every CPU. */
    compiler_barrier();
    *(struct robust_list *volatile *)&robust->list_op_pending =
        park == NULL ? NULL : (void *)((char *)park - robust->futex_offset);
    compiler_barrier();
}

static struct timespec *absolute(int64_t deadline_ns, struct timespec *at)
{
    if (deadline_ns == CMP_FOREVER)
        return NULL;
    if (deadline_ns < 0)
        deadline_ns = 0;
    at->tv_sec = (time_t)(deadline_ns / SECOND_NS);
    at->tv_nsec = (long)(deadline_ns % SECOND_NS);
    return at;
}

int linux_futex_wait(cmp_word *word, uint32_t expected, int64_t deadline_ns)
{
    struct timespec at;
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected,
                absolute(deadline_ns, &at), NULL, FUTEX_BITSET_MATCH_ANY) == 0)
        return 0;
    return -errno;
}

int linux_futex_waitv(const struct cmp_watch *words, int n, int64_t deadline_ns)
{
    struct timespec at;
    struct waitv waiters[CMP_PARK_MAX];

    for (int i = 0; i < n; i++)
        waiters[i] = (struct waitv){
            .expected = words[i].expected,
            .address = (uintptr_t)words[i].word,
            .flags = WAITV_U32,
        };
    long woken = syscall(SYS_futex_waitv, waiters, n, 0, absolute(deadline_ns, &at),
                         CLOCK_MONOTONIC);
    return woken < 0 ? -errno : (int)woken;
}

static bool all_as_expected(const struct cmp_watch *words, int n)
{
    for (int i = 0; i < n; i++)
        /* SYNC seq_cst: as the kernel's own comparison, after words[0] was
           armed by the caller; pairs with the store of whoever signals. */
        if (load_seqcst(words[i].word) != words[i].expected)
            return false;
    return true;
}

/* The guards are compared before the thread is queued, not after as by the
   kernel, so a change in between is noticed at the end of the slice only. */
static int park_sliced(const struct cmp_watch *words, int n, int64_t deadline_ns)
{
    int64_t slice = SLICE_MIN_NS;
    int differs = -EAGAIN; /* n once it was asleep */

    while (all_as_expected(words, n)) {
        int64_t now = cmp_now_ns();
        if (now >= deadline_ns)
            return -ETIMEDOUT;
        int64_t until = deadline_ns - now < slice ? deadline_ns : now + slice;
        int rc = linux_futex_wait(words[0].word, words[0].expected, until);
        if (rc == -EAGAIN)
            return differs;
        if (rc != -ETIMEDOUT)
            return rc; /* 0: the index of the park word */
        differs = n;
        slice = 2 * slice < SLICE_MAX_NS ? 2 * slice : SLICE_MAX_NS;
    }
    return differs;
}

int cmp_park(const struct cmp_watch *words, int n, int64_t deadline_ns)
{
    if (n < 1 || n > CMP_PARK_MAX)
        return -EINVAL;
    if (load_relaxed(&no_waitv) || cmp_lacks(CMP_LACKS_WAITV))
        return park_sliced(words, n, deadline_ns);

    int rc = linux_futex_waitv(words, n, deadline_ns);
    if (rc >= 0)
        return rc;
    switch (rc) {
    case -EAGAIN:
    case -ETIMEDOUT:
    case -EINTR:
    case -EINVAL:
        return rc;
    case -ENOSYS: /* before Linux 5.16, gVisor */
    case -EPERM:  /* refused by the sandbox, which means the same to us */
        store_relaxed(&no_waitv, 1);
    }
    return park_sliced(words, n, deadline_ns); /* also: no memory for the vector */
}

int cmp_unpark(cmp_word *park, int n)
{
    long woken = syscall(SYS_futex, park, FUTEX_WAKE, n, NULL, NULL, 0);
    return woken < 0 ? 0 : (int)woken;
}
