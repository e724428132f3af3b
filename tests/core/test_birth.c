/* Description: birth locks: held by whoever has the descriptor, the child of a fork
   included, and by nobody once they are dead; asked through the family's own. */
#include <fcntl.h>
#include "../../src/core/cmp.h"
#include "../../src/platform/platform.h"
#include "check.h"

static struct cmp_map map;

static void test_hold_and_end(void)
{
    CHECK_EQ(cmp_birth_held(&map, 3), 0);
    int fd = cmp_birth_open(&map, 3);
    CHECK(fd > 2);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(cmp_birth_held(&map, 3), 1);
    CHECK_EQ(cmp_birth_held(&map, 2), 0);
    CHECK_EQ(cmp_birth_held(&map, 4), 0);
    CHECK_EQ(cmp_birth_held(&map, 8191), 0);
    int other = cmp_birth_open(&map, 8191);
    CHECK_EQ(cmp_birth_held(&map, 8191), 1);
    cmp_birth_end(fd, 3);
    CHECK_EQ(cmp_birth_held(&map, 3), 0);
    CHECK_EQ(cmp_birth_held(&map, 8191), 1);
    close(other);
    CHECK_EQ(cmp_birth_held(&map, 8191), 0);
    close(fd);
}

/* Two cannot be born in one slot. */
static void test_exclusive(void)
{
    int fd = cmp_birth_open(&map, 5);
    CHECK_EQ(cmp_birth_open(&map, 5), -EAGAIN);
    close(fd);
    fd = cmp_birth_open(&map, 5);
    CHECK(fd > 2);
    close(fd);
}

/* The child has it as well; then it alone; killed, nobody. */
static void test_child(void)
{
    int fd = cmp_birth_open(&map, 7);
    pid_t child = fork_child();
    if (child == 0)
        for (;;)
            pause();
    close(fd);
    CHECK_EQ(cmp_birth_held(&map, 7), 1);
    kill_and_reap(child);
    CHECK_EQ(cmp_birth_held(&map, 7), 0);
}

/* ... and the child may give it up for both. */
static void test_child_ends_it(void)
{
    int fd = cmp_birth_open(&map, 7);
    pid_t child = fork_child();
    if (child == 0) {
        cmp_birth_end(fd, 7);
        _exit(cmp_birth_held(&map, 7));
    }
    CHECK_EQ(status_of(child), 0);
    CHECK_EQ(cmp_birth_held(&map, 7), 0);
    close(fd);
}

/* The creator is killed before the fork. */
static void test_creator_dies(void)
{
    pid_t child = fork_child();
    if (child == 0) {
        int fd = cmp_birth_open(&map, 9);
        CHECK_EQ(cmp_birth_held(&map, 9), 1);
        kill(getpid(), fd > 2 ? SIGKILL : SIGTERM);
    }
    CHECK_EQ(WTERMSIG(status_of(child)), SIGKILL);
    CHECK_EQ(cmp_birth_held(&map, 9), 0);
}

static void test_lacking(void)
{
    struct cmp_map anonymous;
    cmp_platform_pretend(CMP_LACKS_OFD);
    CHECK_EQ(cmp_birth_open(&map, 1), -ENOTSUP);
    CHECK_EQ(cmp_birth_held(&map, 1), -ENOTSUP);
    cmp_platform_pretend(CMP_LACKS_MEMFD | CMP_LACKS_DEV_SHM);
    CHECK_EQ(cmp_map_create(&anonymous, 65536), 0);
    CHECK_EQ(anonymous.fd, -1);
    CHECK_EQ(cmp_birth_open(&anonymous, 1), -ENOTSUP);
    CHECK_EQ(cmp_birth_held(&anonymous, 1), -ENOTSUP);
    cmp_map_detach(&anonymous);
    cmp_platform_pretend(0);
}

static int n_open(void)
{
    int n = 0;
    for (int fd = 0; fd < 1000; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_all(void)
{
    int before = n_open();
    test_hold_and_end();
    test_exclusive();
    test_child();
    test_child_ends_it();
    test_creator_dies();
    CHECK_EQ(n_open(), before);
}

int main(void)
{
    start(60);
    CHECK_EQ(cmp_map_create(&map, 65536), 0);
    if (cmp_birth_held(&map, 0) == -ENOTSUP)
        skip("there are no locks that belong to a descriptor, or no memory files");
    int fd = cmp_birth_open(&map, 0);
    if (fd == -ENOTSUP)
        skip("/proc/self/fd is not there");
    close(fd);
    test_all();
    test_lacking();
    cmp_map_detach(&map);
    cmp_platform_pretend(CMP_LACKS_MEMFD); /* the same on a file in /dev/shm */
    CHECK_EQ(cmp_map_create(&map, 65536), 0);
    if (map.fd >= 0)
        test_all();
    return done();
}
