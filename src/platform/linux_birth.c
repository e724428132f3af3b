/* linux_birth.c -- birth locks, and what the child of a fork asks about itself.

   A lock of an open file description lasts as long as anybody has a descriptor of
   that description, so each birth has its own, made by opening the file anew.  */
#include "linux.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "../core/cmp.h"

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif

#define BIRTH_OFFSET (INT64_C(1) << 50) /* no file is so long */

static int birth_lock(int fd, int command, short type, unsigned int slot, short *found)
{
    struct flock lock = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = BIRTH_OFFSET + slot,
        .l_len = 1,
    };
    if (fd < 0 || cmp_lacks(CMP_LACKS_OFD))
        return -ENOTSUP;
    if (fcntl(fd, command, &lock) < 0)
        return errno == EAGAIN || errno == EACCES ? -EAGAIN : -ENOTSUP;
    *found = lock.l_type;
    return 0;
}

/* A descriptor of its own: another description of the same file. */
static int open_anew(int fd)
{
    char path[32];
    if (fd < 0)
        return -ENOTSUP;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE ? -errno : -ENOTSUP;
    return linux_above_stdio(fd);
}

int cmp_birth_open(const struct cmp_map *map, unsigned int slot)
{
    short found;
    int fd = open_anew(cmp_map_fd(map));
    if (fd < 0)
        return fd;
    int rc = birth_lock(fd, F_OFD_SETLK, F_WRLCK, slot, &found);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

int cmp_birth_held(const struct cmp_map *map, unsigned int slot)
{
    short found;
    int rc = birth_lock(cmp_map_fd(map), F_OFD_GETLK, F_WRLCK, slot, &found);
    return rc < 0 ? rc : found != F_UNLCK;
}

void cmp_birth_end(int fd, unsigned int slot)
{
    short found;
    birth_lock(fd, F_OFD_SETLK, F_UNLCK, slot, &found);
}

/* The first process of a new pid namespace, and those that others put into it: their
   parent has no number there.  A parent that has died leaves its children to another
   process of the same namespace.  */
bool cmp_same_pids_as_parent(void)
{
    return getppid() != 0;
}
