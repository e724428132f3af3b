/* linux_segment.c -- named segments: files in /dev/shm, where every libc has them.

   Opened here by path, since shm_open() lies in a library of its own before glibc 2.34.  */
#include "linux.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FOLDER "/dev/shm/"

/* Pages are allocated in pieces, since the kernel takes back the whole piece when a signal
   comes in between.  */
#define PIECE (UINT64_C(1) << 20)

struct path {
    char text[sizeof FOLDER + NAME_MAX];
};

static int path_of(const char *name, struct path *path)
{
    name += strspn(name, "/");
    size_t length = strlen(name);

    if (length == 0 || strchr(name, '/') != NULL)
        return -EINVAL;
    if (length > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(path->text, FOLDER, sizeof FOLDER - 1);
    memcpy(path->text + sizeof FOLDER - 1, name, length + 1);
    return 0;
}

int cmp_segment_open(const char *name, int flags, unsigned int mode)
{
    struct path path;
    int rc = path_of(name, &path);

    if (rc < 0)
        return rc;
    int fd = open(path.text, flags | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return errno == EISDIR ? -EINVAL : -errno; /* "." and ".." */
    return linux_above_stdio(fd);
}

int cmp_segment_unlink(const char *name)
{
    struct path path;
    int rc = path_of(name, &path);

    if (rc < 0)
        return rc;
    return unlink(path.text) < 0 ? -errno : 0;
}

int cmp_segment_exists(const char *name)
{
    struct path path;
    struct stat st;
    int rc = path_of(name, &path);

    if (rc < 0)
        return rc;
    if (lstat(path.text, &st) == 0)
        return 1;
    return errno == ENOENT ? 0 : -errno;
}

int cmp_segment_size(int fd, uint64_t *bytes)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    *bytes = (uint64_t)st.st_size;
    return 0;
}

int cmp_segment_room(int fd, uint64_t *bytes)
{
    struct statvfs room;

    if (fstatvfs(fd, &room) < 0)
        return -errno;
    *bytes = room.f_blocks == 0 ? UINT64_MAX : (uint64_t)room.f_bavail * room.f_frsize;
    return 0;
}

int cmp_segment_resize(int fd, uint64_t bytes)
{
    if (bytes > INT64_MAX)
        return -EFBIG;
    return ftruncate(fd, (off_t)bytes) < 0 ? -errno : 0;
}

int cmp_segment_reserve(int fd, uint64_t bytes, uint64_t *done)
{
    while (*done < bytes) {
        uint64_t piece = bytes - *done < PIECE ? bytes - *done : PIECE;
        if (fallocate(fd, 0, (off_t)*done, (off_t)piece) < 0)
            return -errno;
        *done += piece;
    }
    return 0;
}

int cmp_segment_map(int fd, size_t bytes, void **base)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED)
        return -errno;
    *base = p;
    return 0;
}

void cmp_segment_unmap(void *base, size_t bytes)
{
    munmap(base, bytes);
}

static struct flock all_of_it(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

int cmp_file_lock(int fd)
{
    struct flock lock = all_of_it(F_WRLCK);
    return fcntl(fd, F_SETLKW, &lock) < 0 ? -errno : 0;
}

void cmp_file_unlock(int fd)
{
    struct flock lock = all_of_it(F_UNLCK);
    fcntl(fd, F_SETLK, &lock);
}
