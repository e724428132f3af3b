/* linux_end.c -- whether a process has ended, with certainty: no thread of it can
   store any more.

   The marks in robust words come earlier: the first thread's are there while another
   may still be inside a system call that stores.  Whoever reuses what the dead
   process could write to asks here first, and gets ENDED only on the kernel's word:
     - no process has the pid, or another one (inode of the pidfd, start time);
     - the pidfd is readable: every thread has ended;
     - without pidfds, /proc shows the first thread as a zombie and no other.
   EXECED: the words were marked, and yet the first thread is neither a zombie nor
   on its way out.  That proves an exec if the first thread had linked the words; if
   another had, it may just have ended, and the exec must show in the stack's place.
   Everything else is NOT_YET.  */
#include "linux.h"
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../core/cmp.h"

#define MS INT64_C(1000000)
#define SLICE_NS (10 * MS)     /* between two looks for an exec */
#define NAP_MIN_NS MS          /* where there is no pidfd to sleep on ... */
#define NAP_MAX_NS (50 * MS)   /* ... these grow */
#define EXITING 4              /* PF_EXITING */

/* What one call is about. */
struct question {
    const struct cmp_identity *id;
    uint64_t exec_mark;
    bool by_leader;
    bool hint;
    bool near; /* the pid means the same process here as where it was taken */
};

static bool is_zombie(const struct linux_stat *line)
{
    return line->state == 'Z' || line->state == 'X';
}

/* line is of the very process, and its robust words are marked. */
static bool has_execed(const struct question *q, const struct linux_stat *line)
{
    if (is_zombie(line) || (line->flags & EXITING) != 0)
        return false;
    return q->by_leader || (q->exec_mark != 0 && line->stack != 0 &&
                            line->stack != q->exec_mark);
}

static bool is_another(const struct question *q, const struct linux_stat *line)
{
    return q->id->start_time != 0 && line->start_time != q->id->start_time;
}

/* -1: another process has the pid; 1: it is the one; 0: it cannot be told so. */
static int compare_inodes(const struct question *q, int fd)
{
    uint64_t ino = q->id->pidfs_ino != 0 ? linux_pidfs_ino(fd) : 0;
    return ino == 0 ? 0 : ino == q->id->pidfs_ino ? 1 : -1;
}

/* Of a process behind a pidfd. */
static enum cmp_end look_by_pidfd(int fd, const struct question *q)
{
    struct linux_stat line;
    bool execed = q->hint && q->near && linux_read_stat(q->id->pid, &line) == 0 &&
                  !is_another(q, &line) && has_execed(q, &line);
    if (execed)
        return CMP_END_EXECED;
    return linux_pidfd_ended(fd) ? CMP_END_ENDED : CMP_END_NOT_YET;
}

/* Without a descriptor to read with: it has no memory any more, and one thread at most. */
static bool is_spent(uint32_t pid)
{
    char path[40], target[1];
    struct stat task;

    snprintf(path, sizeof path, "/proc/%u/exe", (unsigned int)pid);
    if (readlink(path, target, sizeof target) >= 0 || errno != ENOENT)
        return false;
    snprintf(path, sizeof path, "/proc/%u/task", (unsigned int)pid);
    return stat(path, &task) == 0 && task.st_nlink == 3;
}

/* Without a pidfd. */
static enum cmp_end look_in_proc(const struct question *q)
{
    struct linux_stat line;
    if (!q->near)
        return CMP_END_NOT_YET;
    if (kill((pid_t)q->id->pid, 0) < 0 && errno == ESRCH)
        return CMP_END_ENDED;
    if (linux_read_stat(q->id->pid, &line) < 0)
        return is_spent(q->id->pid) ? CMP_END_ENDED : CMP_END_NOT_YET;
    if (is_another(q, &line) || (is_zombie(&line) && line.n_threads <= 1))
        return CMP_END_ENDED;
    return q->hint && has_execed(q, &line) ? CMP_END_EXECED : CMP_END_NOT_YET;
}

/* A refusal of the pid counts only if the call works at all. */
static bool pidfds_work(void)
{
    int fd = linux_pidfd_open(getpid());
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Open *look if need be and if possible, and compare. */
static enum cmp_end open_look(struct cmp_look *look, const struct question *q)
{
    struct linux_stat line;
    int fd = linux_pidfd_open((int)q->id->pid);
    if (linux_no_such_process(fd))
        return q->near && (fd == -ESRCH || pidfds_work()) ? CMP_END_ENDED
                                                          : CMP_END_NOT_YET;
    if (fd < 0)
        return look_in_proc(q);
    int same = compare_inodes(q, fd);
    if (same == 0 && linux_read_stat(q->id->pid, &line) == 0 && is_another(q, &line))
        same = -1;
    if (same < 0 || (same == 0 && !q->near)) {
        close(fd);
        return q->near ? CMP_END_ENDED : CMP_END_NOT_YET;
    }
    look->fd = fd;
    return CMP_END_NOT_YET;
}

static enum cmp_end look_once(struct cmp_look *look, const struct question *q)
{
    enum cmp_end end = CMP_END_NOT_YET;
    if (look->fd < 0)
        end = open_look(look, q);
    if (end == CMP_END_NOT_YET && look->fd >= 0)
        end = look_by_pidfd(look->fd, q);
    return end;
}

/* Sleep until the pidfd is readable, if there is one, or for that long.  False: a
   signal came. */
static bool nap(struct cmp_look *look, int64_t ns)
{
    struct pollfd p = {.fd = look->fd, .events = POLLIN};
    struct timespec t = {.tv_sec = ns / (1000 * MS), .tv_nsec = ns % (1000 * MS)};
    int n = ppoll(&p, look->fd >= 0, &t, NULL);
    if (n > 0 && (p.revents & POLLNVAL) != 0)
        look->fd = -1; /* somebody closed all descriptors: open another */
    return n >= 0 || errno != EINTR;
}

static int64_t time_left(int64_t deadline_ns)
{
    int64_t now = cmp_now_ns();
    return deadline_ns > now ? deadline_ns - now : 0;
}

static bool pid_means_the_same(const struct cmp_identity *id)
{
    return linux_own_pidns() == id->pidns_ino; /* both 0: there is no /proc */
}

enum cmp_end cmp_end_confirm(struct cmp_look *look, const struct cmp_identity *id,
                             uint64_t exec_mark, bool by_leader, bool hint,
                             int64_t deadline_ns)
{
    struct question q = {id, exec_mark, by_leader, hint, pid_means_the_same(id)};
    int64_t blind = NAP_MIN_NS; /* a nap where nothing can wake us */

    if (id->pid < 1 || id->pid > INT_MAX)
        return CMP_END_NOT_YET; /* damage is no proof */
    for (;;) {
        enum cmp_end end = look_once(look, &q);
        if (end != CMP_END_NOT_YET) {
            cmp_look_close(look);
            return end;
        }
        int64_t left = time_left(deadline_ns);
        int64_t slice = look->fd < 0 ? blind : hint ? SLICE_NS : left;
        if (left == 0 || !nap(look, left < slice ? left : slice))
            return CMP_END_NOT_YET;
        if (look->fd < 0 && blind < NAP_MAX_NS)
            blind *= 2;
    }
}

void cmp_look_close(struct cmp_look *look)
{
    if (look->fd >= 0)
        close(look->fd);
    look->fd = -1;
}
