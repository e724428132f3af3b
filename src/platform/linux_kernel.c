/* linux_kernel.c -- kernel.h for Linux: the features that need nobody to die,
   and the amounts.  The others are in linux_deathwatch.c.  */
#include "kernel.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/futex.h>
#include "../core/cmp.h"
#include "linux.h"
#include "linux_deathwatch.h"

/* Of headers newer than some that we build with. */
#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#define TMPFS_TYPE 0x01021994 /* TMPFS_MAGIC */

#define SHM "/dev/shm"

static int refused(long rc)
{
    return rc < 0 ? -errno : 0;
}

static void read_robust_list(struct cmp_kernel *k)
{
    struct robust_list_head *head = linux_robust_head();
    k->robust_list = head != NULL;
    k->futex_offset = head != NULL ? head->futex_offset : -1;
}

/* Two words, both as expected, must sleep until the deadline; a guard that
   differs must not. */
static int try_futex_waitv(void)
{
    cmp_word park = PARK_ARMED, guard = 7;
    struct cmp_watch words[] = {{&park, PARK_ARMED}, {&guard, 7}};
    int rc = linux_futex_waitv(words, 2, cmp_now_ns() + 1000000);
    if (rc != -ETIMEDOUT)
        return rc >= 0 || rc == -EINTR || rc == -EAGAIN ? 0 : rc;
    words[1].expected = 8;
    return linux_futex_waitv(words, 2, cmp_now_ns() + 1000000) == -EAGAIN;
}

static int memfd(unsigned int flags)
{
    long fd = syscall(SYS_memfd_create, "cmp-probe", MFD_CLOEXEC | flags);
    return fd < 0 ? -errno : (int)fd;
}

/* 1 if the seals can be added and then stand: the second attempt is refused. */
static int try_seals(int fd)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return -errno;
    return fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) < 0 && errno == EPERM;
}

static void read_memfd(struct cmp_kernel *k)
{
    int fd = memfd(MFD_NOEXEC_SEAL);
    k->memfd_noexec = fd;
    if (fd >= 0) {
        int seals = fcntl(fd, F_GET_SEALS);
        k->memfd_noexec = seals >= 0 && (seals & F_SEAL_EXEC) != 0;
    } else {
        fd = memfd(MFD_ALLOW_SEALING);
    }
    if (fd < 0) {
        k->memfd = k->memfd_seal = fd;
        return;
    }
    k->memfd = 1;
    k->memfd_seal = try_seals(fd);
    close(fd);
}

/* Whether two processes have two inodes.  Where there is no other to compare
   with (pid 1 of a container), the type of the file system has to do. */
static int try_pidfs(int self_fd)
{
    uint64_t mine = linux_pidfs_ino(self_fd);
    int fd = getppid() > 0 ? linux_pidfd_open(getppid()) : -1;
    if (fd < 0)
        return mine != 0;
    uint64_t other = linux_pidfs_ino(fd);
    close(fd);
    return mine != 0 && other != 0 && mine != other;
}

static void read_pidfd(struct cmp_kernel *k)
{
    int fd = linux_pidfd_open(getpid());
    if (fd < 0) {
        k->pidfd_open = k->pidfd_send_signal = k->pidfs = fd;
        return;
    }
    k->pidfd_open = !linux_pidfd_ended(fd);
    int rc = refused(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    k->pidfd_send_signal = rc < 0 ? rc : 1;
    k->pidfs = try_pidfs(fd);
    close(fd);
}

/* Nameless where the file system can, so that nothing is left by a death. */
static int try_file_in_shm(void)
{
    int fd = -1;
#ifdef O_TMPFILE
    fd = open(SHM, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
#endif
    if (fd < 0) {
        char name[64];
        snprintf(name, sizeof name, SHM "/cmp-probe-%d-%u", (int)getpid(), cmp_tid());
        fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return -errno;
        unlink(name);
    }
    close(fd);
    return 1;
}

static void read_shm(struct cmp_kernel *k)
{
    struct stat dir, parent;
    struct statfs fs;
    struct statvfs room;

    k->dev_shm_size = k->dev_shm_free = -1;
    if (stat(SHM, &dir) < 0 || stat(SHM "/..", &parent) < 0 || statfs(SHM, &fs) < 0) {
        k->dev_shm = k->dev_shm_write = -errno;
        return;
    }
    k->dev_shm = dir.st_dev != parent.st_dev || fs.f_type == TMPFS_TYPE;
    k->dev_shm_write = try_file_in_shm();
    if (statvfs(SHM, &room) == 0) {
        k->dev_shm_size = (int64_t)room.f_blocks * (int64_t)room.f_frsize;
        k->dev_shm_free = (int64_t)room.f_bavail * (int64_t)room.f_frsize;
    }
}

/* int, because the parameter's type is an enum under glibc only */
static int64_t soft_limit(int resource)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return -1;
    return limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}

static void read_limits(struct cmp_kernel *k)
{
    k->rlimit_as = soft_limit(RLIMIT_AS);
    k->rlimit_fsize = soft_limit(RLIMIT_FSIZE);
    k->rlimit_nofile = soft_limit(RLIMIT_NOFILE);
    k->rlimit_memlock = soft_limit(RLIMIT_MEMLOCK);
    k->rlimit_nproc = soft_limit(RLIMIT_NPROC);
}

int cmp_kernel_read(struct cmp_kernel *k)
{
    *k = (struct cmp_kernel){0};
    read_robust_list(k);
    linux_deathwatch(k);
    k->futex_waitv = try_futex_waitv();
    read_memfd(k);
    read_pidfd(k);
    read_shm(k);
    read_limits(k);
    k->cpus = linux_affinity();
    k->cpu_quota_milli = linux_cpu_quota_milli("/proc/self/cgroup", "/sys/fs/cgroup");
    return 0;
}
