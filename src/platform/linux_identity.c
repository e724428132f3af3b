/* linux_identity.c -- who a process is, and whether it lives.

   A pidfd decides: it is readable once every thread of the process has ended,
   so a zombie is dead, a stopped process is alive, and so is one whose first
   thread has left while others run (/proc says Z for that one).  A pidfd names
   whoever has the pid now, hence the comparison of inode or start time after it
   was opened: if the one asked about has died since, it differs or is gone.  */
#include "linux.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "../core/cmp.h"

#define PIDFS_MAGIC 0x50494446 /* PID_FS_MAGIC of newer headers */

/* Whether /proc numbers processes as this process does. */
enum { PROC_UNKNOWN, PROC_OURS, PROC_OF_OTHERS };
static cmp_word proc_state;

void linux_identity_after_fork(void)
{
    store_relaxed(&proc_state, PROC_UNKNOWN); /* the child may be in a new namespace */
}

int linux_read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, size - 1);
    int rc = n < 0 ? -errno : (int)n;
    close(fd);
    text[n < 0 ? 0 : n] = '\0';
    return rc;
}

/* A container may show the /proc of an outer namespace, whose pids are others;
   or none at all. */
static bool proc_is_ours(void)
{
    uint32_t state = load_relaxed(&proc_state);
    if (state == PROC_UNKNOWN) {
        char name[16];
        ssize_t n = readlink("/proc/self", name, sizeof name - 1);
        name[n < 0 ? 0 : n] = '\0';
        state = atoi(name) == getpid() ? PROC_OURS : PROC_OF_OTHERS;
        cmp_platform_init(); /* a forked child must ask again */
        store_relaxed(&proc_state, state);
    }
    return state == PROC_OURS;
}

/* Numbered as in proc(5); field 1 is the pid. */
enum { FIELD_STATE = 3, FIELD_FLAGS = 9, FIELD_THREADS = 20, FIELD_START = 22, FIELD_STACK = 28 };

static bool parse_stat(const char *text, struct linux_stat *line)
{
    /* Field 2, the command, may hold blanks and parentheses: count from its end. */
    const char *at = strrchr(text, ')');
    uint64_t number[FIELD_STACK + 1];

    if (at == NULL || at[1] != ' ' || at[2] == '\0')
        return false;
    line->state = at[2];
    at += 3;
    for (int field = FIELD_STATE + 1; field <= FIELD_STACK; field++) {
        char *end;
        number[field] = strtoull(at, &end, 10);
        if (end == at)
            return false;
        at = end;
    }
    line->flags = number[FIELD_FLAGS];
    line->n_threads = number[FIELD_THREADS];
    line->start_time = number[FIELD_START];
    line->stack = number[FIELD_STACK];
    return true;
}

/* name: a pid, "self" ...  0, or -errno (-ENOENT, -ESRCH: no such process). */
static int read_stat(const char *name, struct linux_stat *line)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%s/stat", name);
    int rc = linux_read_file(path, text, sizeof text);
    if (rc < 0)
        return rc;
    return parse_stat(text, line) ? 0 : -ENOENT; /* it ended while it was read */
}

int linux_read_stat(uint32_t pid, struct linux_stat *line)
{
    char name[16];
    if (!proc_is_ours())
        return -ENOTSUP;
    snprintf(name, sizeof name, "%u", pid);
    return read_stat(name, line);
}

uint64_t cmp_exec_mark(void)
{
    struct linux_stat line;
    /* This thread's own: the first one, when it has left, has no memory to tell of. */
    if (read_stat("thread-self", &line) < 0 && read_stat("self", &line) < 0)
        return 0;
    return line.stack;
}

static uint64_t pidns_ino(const char *name)
{
    char path[32];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%s/ns/pid", name);
    return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

uint64_t linux_own_pidns(void)
{
    return pidns_ino("self");
}

int linux_pidfd_open(int pid)
{
    if (cmp_lacks(CMP_LACKS_PIDFD))
        return -ENOSYS;
    long fd = syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : (int)fd;
}

bool linux_pidfd_ended(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    do
        n = poll(&p, 1, 0);
    while (n < 0 && errno == EINTR);
    return n > 0 && (p.revents & (POLLIN | POLLHUP)) != 0;
}

uint64_t linux_pidfs_ino(int fd)
{
    struct statfs fs;
    struct stat st;
    if (fstatfs(fd, &fs) < 0 || fs.f_type != PIDFS_MAGIC || fstat(fd, &st) < 0)
        return 0; /* before 6.9 all pidfds share one inode */
    return (uint64_t)st.st_ino;
}

/* A pid that now is the id of a thread is refused as -EINVAL, by newer kernels as
   -ENOENT. */
bool linux_no_such_process(int rc)
{
    return rc == -ESRCH || rc == -EINVAL || rc == -ENOENT;
}

bool linux_out_of_descriptors(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM;
}

/* Whether process pid is there, and the inode of its pidfd, or 0, in *ino.
   0, -ESRCH, or -EMFILE and its like. */
static int look_at(int pid, uint64_t *ino)
{
    int fd = linux_pidfd_open(pid);
    *ino = 0;
    if (fd >= 0) {
        *ino = linux_pidfs_ino(fd);
        close(fd);
        return 0;
    }
    if (linux_no_such_process(fd))
        return -ESRCH;
    if (linux_out_of_descriptors(fd))
        return fd;
    return kill(pid, 0) == 0 || errno != ESRCH ? 0 : -ESRCH;
}

int cmp_identity_self(struct cmp_identity *id)
{
    struct linux_stat line;
    *id = (struct cmp_identity){.pid = (uint32_t)getpid(), .tid = cmp_tid()};
    if (read_stat("self", &line) == 0)
        id->start_time = line.start_time;
    id->pidns_ino = pidns_ino("self");
    look_at(getpid(), &id->pidfs_ino);
    return 0;
}

int cmp_identity_of(int pid, struct cmp_identity *id)
{
    struct cmp_identity found = {.pid = (uint32_t)pid, .tid = (uint32_t)pid};
    struct linux_stat line;
    char name[16];
    uint64_t ino_after;

    if (pid < 1)
        return -EINVAL;
    int rc = look_at(pid, &found.pidfs_ino);
    if (rc < 0)
        return rc;
    rc = linux_read_stat((uint32_t)pid, &line);
    if (linux_out_of_descriptors(rc))
        return rc;
    if (rc == 0) {
        snprintf(name, sizeof name, "%d", pid);
        found.start_time = line.start_time;
        found.pidns_ino = pidns_ino(name);
    }
    /* The same inode before and after: what /proc said in between is of one
       process, not of two that had the pid in turn. */
    rc = look_at(pid, &ino_after);
    if (rc < 0)
        return rc;
    if (ino_after != found.pidfs_ino)
        return -ESRCH;
    *id = found;
    return 0;
}

static int alive_by_pidfd(int fd, const struct cmp_identity *id)
{
    struct linux_stat line;
    if (linux_pidfd_ended(fd))
        return 0;
    if (id->pidfs_ino != 0) {
        uint64_t ino = linux_pidfs_ino(fd);
        if (ino != 0)
            return ino == id->pidfs_ino;
    }
    if (id->start_time == 0)
        return 1;
    int rc = linux_read_stat(id->pid, &line);
    if (rc == 0)
        return line.start_time == id->start_time;
    if (linux_out_of_descriptors(rc))
        return rc;
    return !linux_pidfd_ended(fd); /* /proc is hidden from us, or it went just now */
}

/* Without pidfds, or without a descriptor for one: by /proc, else by signal 0,
   to which a zombie and a reused pid look alive. */
static int alive_by_proc(const struct cmp_identity *id)
{
    struct linux_stat line;
    if (kill((pid_t)id->pid, 0) < 0 && errno == ESRCH)
        return 0;
    int rc = linux_read_stat(id->pid, &line);
    if (linux_out_of_descriptors(rc))
        return rc;
    if (rc < 0)
        return kill((pid_t)id->pid, 0) == 0 || errno != ESRCH;
    if (id->start_time != 0 && line.start_time != id->start_time)
        return 0;
    /* The first thread alone reads as Z when it left before the others. */
    return line.n_threads > 1 || (line.state != 'Z' && line.state != 'X');
}

int cmp_is_alive(const struct cmp_identity *id)
{
    if (id->pid < 1 || id->pid > INT_MAX)
        return -EINVAL;
    if (id->pidns_ino != 0) {
        uint64_t mine = pidns_ino("self");
        if (mine != 0 && mine != id->pidns_ino)
            return -EXDEV;
    }
    int fd = linux_pidfd_open((int)id->pid);
    if (linux_no_such_process(fd))
        return 0;
    if (fd < 0)
        return alive_by_proc(id);
    int rc = alive_by_pidfd(fd, id);
    close(fd);
    return rc;
}
