/* linux_map.c -- the memory of a family: a file without a name, and its mapping.

   The whole reserve is one mapping of the file without access, most of it past the
   file's end; growing is making the file longer, then a longer part of the mapping
   accessible.  Both only ever go up, so any thread of any process may do either at
   any time, without a lock.  */
#include "linux.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "../core/cmp.h"

/* Of headers newer than some that we build with. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define TMPFS_TYPE 0x01021994 /* TMPFS_MAGIC: memory files too */

#define MIB ((size_t)1 << 20)
#define RESERVE_MAX (65536 * MIB)
#define RESERVE_MIN (16 * MIB)
#define ANONYMOUS_MAX (256 * MIB) /* where it cannot be handed on, nobody needs much */
#define SHM "/dev/shm"

/* ---- the file ------------------------------------------------------------------ */

static bool out_of_descriptors(int rc)
{
    return rc == -EMFILE || rc == -ENFILE;
}

int linux_above_stdio(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    int rc = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    rc = rc < 0 ? -errno : rc;
    close(fd);
    return rc;
}

static int memory_file(void)
{
    unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    if (cmp_lacks(CMP_LACKS_MEMFD))
        return -ENOSYS;
    long fd = syscall(SYS_memfd_create, "cmp", flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = syscall(SYS_memfd_create, "cmp", flags);
    if (fd < 0)
        return -errno;
    fd = linux_above_stdio((int)fd);
    if (fd >= 0)
        fchmod((int)fd, 0600);
    return (int)fd;
}

/* Nameless where the file system can, so that nothing is left by a death. */
static int file_in_shm(void)
{
    static cmp_word counter;
    char name[64];
    int fd = -1;

    if (cmp_lacks(CMP_LACKS_DEV_SHM))
        return -ENOSYS;
#ifdef O_TMPFILE
    fd = open(SHM, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return linux_above_stdio(fd);
#endif
    snprintf(name, sizeof name, SHM "/cmp-%d-%u-%u", (int)getpid(), cmp_tid(),
             add_seqcst(&counter, 1));
    fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    unlink(name);
    return linux_above_stdio(fd);
}

/* Nobody can make it shorter, and nobody's access end in SIGBUS; nor run it. */
static void seal(int fd)
{
    fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC); /* Linux 6.3 */
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL);
}

static int64_t file_size(int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 ? -errno : (int64_t)st.st_size;
}

/* Past the limit the kernel would send SIGXFSZ. */
static bool over_file_limit(size_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           bytes > limit.rlim_cur;
}

static int allocate(int fd, size_t offset, size_t bytes)
{
    int rc;
    do
        rc = fallocate(fd, 0, (off_t)offset, (off_t)bytes) < 0 ? -errno : 0;
    while (rc == -EINTR);
    return rc == -ENOSPC ? -ENOMEM : rc;
}

/* The last byte is allocated, which makes the file as long, never shorter.  Where
   that is refused a truncation to more does it, behind the seal that keeps it from
   undoing another process's. */
static int lengthen(int fd, size_t bytes)
{
    int64_t size = file_size(fd);
    if (size < 0 || (size_t)size >= bytes)
        return size < 0 ? (int)size : 0;
    if (over_file_limit(bytes))
        return -EFBIG;
    int rc = allocate(fd, bytes - 1, 1);
    if (rc != -EOPNOTSUPP && rc != -ENOSYS)
        return rc;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
        return rc;
    if (ftruncate(fd, (off_t)bytes) == 0 || file_size(fd) >= (int64_t)bytes)
        return 0;
    return -errno;
}

/* ---- the mapping --------------------------------------------------------------- */

/* What the machine and the limits leave us: of a limited address space a quarter. */
static size_t reserve_wanted(void)
{
    struct rlimit limit;
    struct sysinfo info;
    uint64_t bytes = RESERVE_MAX;

    if (sysinfo(&info) == 0) {
        uint64_t twice = 2 * (uint64_t)info.totalram * info.mem_unit;
        bytes = twice < bytes ? twice : bytes;
    }
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur / 4 < bytes)
        bytes = limit.rlim_cur / 4;
    bytes = bytes > RESERVE_MIN ? bytes : RESERVE_MIN;
    return bytes / (2 * MIB) * (2 * MIB);
}

/* As much of `bytes` as can be had: -ENOMEM where the address space is used up or
   overcommitted, -EAGAIN where all of it is to be locked (mlockall). */
static int reserve(struct cmp_map *map, int flags, size_t bytes)
{
    for (; bytes >= RESERVE_MIN; bytes = bytes / 2 / MIB * MIB) {
        void *p = mmap(NULL, bytes, PROT_NONE, MAP_SHARED | MAP_NORESERVE | flags,
                       map->fd, 0);
        if (p != MAP_FAILED) {
            map->base = p;
            map->reserved = bytes;
            madvise(p, bytes, MADV_DONTDUMP);
            return 0;
        }
        if (errno != ENOMEM && errno != EAGAIN)
            return -errno;
    }
    return -ENOMEM;
}

static size_t page_down(size_t offset)
{
    return offset / (size_t)sysconf(_SC_PAGESIZE) * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t page_up(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

/* The file covers them. */
static int make_accessible(struct cmp_map *map, size_t bytes)
{
    uint64_t seen = load64_seqcst(&map->accessible);

    bytes = page_up(bytes);
    if (bytes <= seen)
        return 0;
    if (mprotect(map->base, bytes, PROT_READ | PROT_WRITE) < 0)
        return -errno;
    /* SYNC seq_cst: after the mprotect, so who reads the number may touch. */
    while (seen < bytes && !cas64_strong(&map->accessible, &seen, bytes))
        ;
    return 0;
}

static int create_behind(struct cmp_map *map, size_t bytes)
{
    int rc = lengthen(map->fd, page_up(bytes));
    if (rc < 0)
        return rc;
    seal(map->fd);
    rc = reserve(map, 0, reserve_wanted());
    if (rc < 0)
        return rc;
    rc = make_accessible(map, bytes);
    if (rc < 0)
        munmap(map->base, map->reserved);
    return rc;
}

/* The map of a file that nobody else has closed yet. */
static struct cmp_map map_of(int fd)
{
    struct stat st = {0};
    fstat(fd, &st);
    return (struct cmp_map){.fd = fd, .dev = (uint64_t)st.st_dev, .ino = (uint64_t)st.st_ino};
}

static int create_file(struct cmp_map *map, size_t bytes, int fd)
{
    if (fd < 0)
        return fd;
    *map = map_of(fd);
    int rc = create_behind(map, bytes);
    if (rc < 0)
        close(fd);
    return rc;
}

static int create_anonymous(struct cmp_map *map, size_t bytes)
{
    size_t wanted = reserve_wanted();
    *map = (struct cmp_map){.fd = -1};
    int rc = reserve(map, MAP_ANONYMOUS, wanted < ANONYMOUS_MAX ? wanted : ANONYMOUS_MAX);
    if (rc < 0)
        return rc;
    rc = make_accessible(map, bytes);
    if (rc < 0)
        munmap(map->base, map->reserved);
    return rc;
}

/* Whether another kind of file would fail the same way. */
static bool is_final(int rc)
{
    return rc == 0 || rc == -EFBIG || rc == -ENOMEM || out_of_descriptors(rc);
}

int cmp_map_create(struct cmp_map *map, size_t bytes)
{
    if (bytes == 0 || bytes > RESERVE_MIN)
        return -EINVAL;
    int rc = create_file(map, bytes, memory_file());
    if (!is_final(rc))
        rc = create_file(map, bytes, file_in_shm());
    if (!is_final(rc))
        rc = create_anonymous(map, bytes);
    return rc;
}

int cmp_map_fd(const struct cmp_map *map)
{
    struct stat st;
    if (map->fd < 0)
        return -ENOTSUP;
    bool ours = fstat(map->fd, &st) == 0 && (uint64_t)st.st_dev == map->dev &&
                (uint64_t)st.st_ino == map->ino;
    return ours ? map->fd : -EBADF;
}

int cmp_map_copy_fd(const struct cmp_map *map)
{
    int fd = cmp_map_fd(map);
    if (fd < 0)
        return fd;
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? -errno : fd;
}

static int check_file(int fd, size_t *bytes)
{
    struct stat st;
    struct statfs fs;

    if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || fs.f_type != TMPFS_TYPE || st.st_size <= 0)
        return -EINVAL;
    if (st.st_uid != geteuid())
        return -EPERM;
    *bytes = (size_t)st.st_size;
    return 0;
}

int cmp_map_attach(struct cmp_map *map, int fd)
{
    size_t bytes;
    int rc = check_file(fd, &bytes);
    if (rc < 0)
        return rc;
    int own = fd > 2 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0)
        return -errno;
    fcntl(own, F_SETFD, FD_CLOEXEC);
    *map = map_of(own);
    rc = reserve(map, 0, reserve_wanted());
    if (rc == 0) {
        rc = make_accessible(map, bytes < map->reserved ? bytes : map->reserved);
        if (rc < 0)
            munmap(map->base, map->reserved);
    }
    if (rc < 0 && own != fd)
        close(own);
    return rc;
}

int cmp_map_grow(struct cmp_map *map, size_t bytes)
{
    if (bytes > map->reserved)
        return -ENOMEM;
    if (bytes <= load64_seqcst(&map->accessible))
        return 0;
    int fd = cmp_map_fd(map);
    int rc = fd == -ENOTSUP ? 0 : fd < 0 ? fd : lengthen(fd, page_up(bytes));
    return rc < 0 ? rc : make_accessible(map, bytes);
}

int cmp_map_reach(struct cmp_map *map, size_t bytes, size_t said)
{
    if (bytes <= load64_seqcst(&map->accessible))
        return 0;
    int fd = cmp_map_fd(map);
    int64_t size = fd == -ENOTSUP ? (int64_t)map->reserved
                   : fd == -EBADF ? (int64_t)said : file_size(fd);
    if (size < 0)
        return (int)size;
    if (bytes > (size_t)size || bytes > map->reserved)
        return -ERANGE;
    return make_accessible(map, bytes);
}

/* Without a descriptor: by the mapping, where the kernel can (Linux 5.14); else touching
   has to do it. */
static int allocate_mapped(struct cmp_map *map, size_t offset, size_t bytes)
{
    size_t begin = page_down(offset);
    if (madvise(map->base + begin, offset + bytes - begin, MADV_POPULATE_WRITE) == 0)
        return 0;
    return errno == EFAULT || errno == ENOMEM ? -ENOMEM : 0;
}

/* In pieces: a signal undoes the whole of one. */
int cmp_map_commit(struct cmp_map *map, size_t offset, size_t bytes)
{
    int fd = cmp_map_fd(map), rc = 0;
    if (fd < 0)
        return allocate_mapped(map, offset, bytes);
    while (rc == 0 && bytes > 0) {
        size_t piece = bytes < MIB ? bytes : MIB;
        rc = allocate(fd, offset, piece);
        offset += piece;
        bytes -= piece;
    }
    return rc == -EOPNOTSUPP || rc == -ENOSYS ? 0 : rc;
}

static int punch(int fd, size_t offset, size_t bytes)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);
}

void cmp_map_clear(struct cmp_map *map, size_t offset, size_t bytes)
{
    if (madvise(map->base + offset, bytes, MADV_REMOVE) == 0 ||
        punch(cmp_map_fd(map), offset, bytes) == 0) /* locked memory is not removed */
        return;
    for (size_t i = 0; i < bytes; i += sizeof(cmp_word64))
        store64_relaxed((cmp_word64 *)(void *)(map->base + offset + i), 0);
}

bool cmp_map_same_file(const struct cmp_map *map, int fd)
{
    struct stat theirs;
    return map->fd >= 0 && fstat(fd, &theirs) == 0 && map->dev == (uint64_t)theirs.st_dev &&
           map->ino == (uint64_t)theirs.st_ino;
}

void cmp_map_detach(struct cmp_map *map)
{
    munmap(map->base, map->reserved);
    if (cmp_map_fd(map) >= 0)
        close(map->fd);
    *map = (struct cmp_map){.fd = -1};
}
