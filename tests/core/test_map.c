/* Description: the memory of a family: sealed, private, out of core dumps, grown by
   several processes at once; attached elsewhere; under limits either there or a clear
   error; its two fallbacks. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "../../src/core/cmp.h"
#include "../../src/platform/kernel.h"
#include "../../src/platform/platform.h"
#include "check.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#define MIB ((size_t)1 << 20)
#define FIRST 262144

static struct cmp_kernel kernel;

static void in_a_child(void (*test)(void))
{
    pid_t pid = fork_child();
    if (pid == 0) {
        test();
        _exit(n_failed != 0);
    }
    CHECK_EQ(status_of(pid), 0);
}

static size_t accessible(struct cmp_map *map)
{
    return (size_t)load64_seqcst(&map->accessible);
}

/* One line of this process's smaps about the mapping that starts at base. */
static bool smaps_line(const char *base, const char *key, char *line, int size)
{
    char start[32];
    bool ours = false;
    FILE *f = fopen("/proc/self/smaps", "r");
    snprintf(start, sizeof start, "%lx-", (unsigned long)(uintptr_t)base);
    while (f != NULL && fgets(line, size, f) != NULL) {
        if (line[0] < 'A' || line[0] > 'Z')
            ours = strncmp(line, start, strlen(start)) == 0;
        else if (ours && strncmp(line, key, strlen(key)) == 0)
            break;
    }
    bool found = f != NULL && !feof(f);
    if (f != NULL)
        fclose(f);
    return found;
}

/* ---- what it is ---------------------------------------------------------------- */

static void test_properties(void)
{
    struct cmp_map map;
    struct stat st;
    char line[256];

    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    CHECK(map.fd > 2);
    CHECK(fcntl(map.fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(fstat(map.fd, &st), 0);
    CHECK_EQ(st.st_mode & 07777, 0600);
    CHECK_EQ(st.st_nlink, 0);
    CHECK_EQ(st.st_size, FIRST);
    CHECK(accessible(&map) >= FIRST && map.reserved >= 16 * MIB);
    for (size_t i = 0; i < FIRST; i++)
        if (map.base[i] != 0) {
            CHECK(!"all zeroes");
            break;
        }
    if (smaps_line(map.base, "VmFlags:", line, sizeof line)) {
        CHECK(strstr(line, " dd") != NULL); /* not in core dumps */
        CHECK(strstr(line, " sh") != NULL && strstr(line, " wr") != NULL);
        CHECK(strstr(line, " ex") == NULL);
    }
    if (smaps_line(map.base + FIRST, "VmFlags:", line, sizeof line)) {
        CHECK(strstr(line, " dd") != NULL);
        CHECK(strstr(line, " rd") == NULL && strstr(line, " wr") == NULL);
    }
    CHECK(cmp_map_same_file(&map, map.fd));
    CHECK(!cmp_map_same_file(&map, 0));
    CHECK(!cmp_map_same_file(&map, -1));
    cmp_map_detach(&map);
    CHECK_EQ(map.fd, -1);
    CHECK_EQ(cmp_map_create(&map, 0), -EINVAL);
    CHECK_EQ(cmp_map_create(&map, SIZE_MAX), -EINVAL);
}

static void test_seals(void)
{
    struct cmp_map map;
    if (kernel.memfd_seal != 1)
        return;
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    int seals = fcntl(map.fd, F_GET_SEALS);
    CHECK(seals & F_SEAL_SHRINK);
    CHECK(seals & F_SEAL_SEAL);
    CHECK(!(seals & (F_SEAL_GROW | F_SEAL_WRITE)));
    CHECK((seals & F_SEAL_EXEC) != 0 || kernel.memfd_noexec != 1);
    CHECK_EQ(ftruncate(map.fd, 0), -1);
    CHECK_EQ(ftruncate(map.fd, FIRST - 1), -1);
    if (seals & F_SEAL_EXEC)
        CHECK_EQ(fchmod(map.fd, 0700), -1);
    cmp_map_detach(&map);
}

/* Where the standard streams are closed it does not take their place. */
static void closed_stdio(void)
{
    struct cmp_map map, other;
    close(0);
    close(1);
    close(2);
    bool good = cmp_map_create(&map, FIRST) == 0 && map.fd > 2 && fcntl(0, F_GETFD) < 0 &&
                fcntl(1, F_GETFD) < 0;
    int fd = cmp_birth_open(&map, 1);
    good = good && (fd == -ENOTSUP || fd > 2);
    good = good && dup(map.fd) == 0 && cmp_map_attach(&other, 0) == 0 && other.fd > 2 &&
           (fcntl(other.fd, F_GETFD) & FD_CLOEXEC) && cmp_map_same_file(&other, 0);
    _exit(!good);
}

/* ---- growing and reaching ------------------------------------------------------ */

static sigjmp_buf back;

static void on_fault(int sig)
{
    siglongjmp(back, sig);
}

/* The signal that touching it brings, 0: none. */
static int fault_at(volatile char *p)
{
    struct sigaction action = {.sa_handler = on_fault}, segv, bus;
    sigaction(SIGSEGV, &action, &segv);
    sigaction(SIGBUS, &action, &bus);
    int sig = sigsetjmp(back, 1);
    if (sig == 0)
        *p = *p;
    sigaction(SIGSEGV, &segv, NULL);
    sigaction(SIGBUS, &bus, NULL);
    return sig;
}

static void test_grow(void)
{
    struct cmp_map map, other;
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    if (map.fd < 0)
        return;
    CHECK_EQ(cmp_map_attach(&other, dup(map.fd)), 0);
    CHECK(other.base != map.base);
    CHECK_EQ(accessible(&other), FIRST);
    map.base[FIRST - 1] = 5;
    CHECK_EQ(other.base[FIRST - 1], 5);

    CHECK_EQ(fault_at(map.base + FIRST), SIGSEGV);
    CHECK_EQ(cmp_map_reach(&map, FIRST + 1, 0), -ERANGE);
    CHECK_EQ(cmp_map_grow(&map, 3 * MIB), 0);
    CHECK_EQ(accessible(&map), 3 * MIB);
    CHECK_EQ(fault_at(map.base + 3 * MIB - 1), 0);
    CHECK_EQ(fault_at(map.base + 3 * MIB), SIGSEGV);
    map.base[3 * MIB - 1] = 6;

    CHECK_EQ(fault_at(other.base + 3 * MIB - 1), SIGSEGV);
    CHECK_EQ(cmp_map_reach(&other, 3 * MIB + 1, 0), -ERANGE);
    CHECK_EQ(cmp_map_reach(&other, 3 * MIB, 0), 0);
    CHECK_EQ(other.base[3 * MIB - 1], 6);

    CHECK_EQ(cmp_map_grow(&other, MIB), 0); /* less than there is: nothing */
    struct stat st;
    CHECK_EQ(fstat(map.fd, &st), 0);
    CHECK_EQ(st.st_size, 3 * MIB);
    CHECK_EQ(cmp_map_grow(&map, map.reserved + 1), -ENOMEM);
    CHECK_EQ(cmp_map_reach(&map, map.reserved + 1, 0), -ERANGE);
    cmp_map_detach(&map);
    CHECK_EQ(other.base[FIRST - 1], 5); /* the other mapping stays */
    cmp_map_detach(&other);
}

/* Several grow it at once, by steps of their own; the file never shrinks, and nobody
   loses what another wrote. */
enum { GROWERS = 4, STEPS = 400 };

static void grow_and_write(struct cmp_map *map, int me)
{
    for (int i = 1; i <= STEPS; i++) {
        size_t bytes = FIRST + (size_t)(i * GROWERS + me) * 4096;
        CHECK_EQ(cmp_map_grow(map, bytes), 0);
        map->base[bytes - 4096] = (char)(1 + me);
    }
}

static void test_growing_at_once(struct cmp_map *map)
{
    pid_t pids[GROWERS];
    for (int i = 0; i < GROWERS; i++)
        if ((pids[i] = fork_child()) == 0) {
            grow_and_write(map, i);
            _exit(n_failed != 0);
        }
    for (int i = 0; i < GROWERS; i++)
        CHECK_EQ(status_of(pids[i]), 0);
    size_t end = FIRST + (size_t)(STEPS * GROWERS + GROWERS - 1) * 4096;
    CHECK_EQ(cmp_map_reach(map, end, 0), 0);
    for (int me = 0; me < GROWERS; me++)
        for (int i = 1; i <= STEPS; i++)
            CHECK_EQ(map->base[FIRST + (size_t)(i * GROWERS + me - 1) * 4096], 1 + me);
}

/* ... also if one stands still at any instruction of its growing while another makes
   the file longer still.  A sanitizer adds many instructions. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE(steps) (37 + (steps) / 4)
#else
#define STRIDE(steps) 3
#endif

/* False: it has come through before so many steps. */
static bool grow_stopped_at(int steps)
{
    struct cmp_map map;
    struct stat st;
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    CHECK_EQ(cmp_map_grow(&map, FIRST + 4096), 0); /* all that it calls is resolved */
    pid_t pid = fork_child();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        _exit(-cmp_map_grow(&map, 2 * FIRST));
    }
    int status = status_of(pid);
    for (int i = 0; i < steps && WIFSTOPPED(status); i++) {
        ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
        status = status_of(pid);
    }
    bool stopped = WIFSTOPPED(status);
    CHECK_EQ(cmp_map_grow(&map, 3 * FIRST), 0);
    if (stopped) {
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
        status = status_of(pid);
    }
    CHECK_EQ(status, 0);
    CHECK_EQ(fstat(map.fd, &st), 0);
    CHECK_EQ(st.st_size, 3 * FIRST);
    cmp_map_detach(&map);
    return stopped;
}

/* On one processor: a step is then ten times cheaper. */
static void test_growth_stopped(void)
{
    int steps = 0;
    cpu_set_t before, one;
    sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&one);
    CPU_SET(cmp_cpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    while (n_failed == 0 && grow_stopped_at(steps))
        steps += STRIDE(steps);
    CHECK(steps > 50);
    sched_setaffinity(0, sizeof before, &before);
}

struct thread_arg {
    struct cmp_map *map;
    int me;
};

static void *grow_in_thread(void *arg)
{
    struct thread_arg *a = arg;
    grow_and_write(a->map, a->me);
    return NULL;
}

static void test_growing_in_threads(void)
{
    struct cmp_map map;
    pthread_t t[GROWERS];
    struct thread_arg args[GROWERS];
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    for (int i = 0; i < GROWERS; i++) {
        args[i] = (struct thread_arg){&map, i};
        pthread_create(&t[i], NULL, grow_in_thread, &args[i]);
    }
    for (int i = 0; i < GROWERS; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(accessible(&map), FIRST + (size_t)(STEPS * GROWERS + GROWERS - 1) * 4096);
    CHECK_EQ(fault_at(map.base + accessible(&map) - 1), 0);
    cmp_map_detach(&map);
}

static void test_growth(void)
{
    struct cmp_map map;
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    test_growing_at_once(&map);
    cmp_map_detach(&map);
}

/* Pages are there before they are touched, and go when they are cleared. */
static void test_commit_and_clear(void)
{
    struct cmp_map map;
    struct stat before, after;
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    CHECK_EQ(cmp_map_grow(&map, 2 * MIB), 0);
    if (map.fd < 0)
        return;
    fstat(map.fd, &before);
    CHECK_EQ(cmp_map_commit(&map, MIB, 65536), 0);
    fstat(map.fd, &after);
    CHECK_EQ(after.st_blocks - before.st_blocks, 65536 / 512);
    memset(map.base + MIB, 9, 65536);
    cmp_map_clear(&map, MIB, 65536);
    for (size_t i = 0; i < 65536; i += 512)
        CHECK_EQ(map.base[MIB + i], 0);
    fstat(map.fd, &after);
    CHECK_EQ(after.st_size, 2 * (off_t)MIB);
    cmp_map_detach(&map);
}

/* ---- attaching what is not one ------------------------------------------------- */

static void attach_as_another_user(void)
{
    struct cmp_map map, other;
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    if (map.fd < 0 || seteuid(65534) < 0)
        return; /* only root can become somebody else */
    CHECK_EQ(cmp_map_attach(&other, map.fd), -EPERM);
    CHECK(fcntl(map.fd, F_GETFD) >= 0); /* still the caller's */
}

static void test_attach_errors(void)
{
    struct cmp_map map;
    int ends[2], fd;
    CHECK_EQ(cmp_map_attach(&map, -1), -EBADF);
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(cmp_map_attach(&map, ends[0]), -EINVAL);
    fd = open("/proc/self/exe", O_RDONLY);
    CHECK_EQ(cmp_map_attach(&map, fd), -EINVAL);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    close(fd);
    fd = open("/", O_RDONLY);
    CHECK_EQ(cmp_map_attach(&map, fd), -EINVAL);
    close(fd);
    fd = (int)syscall(SYS_memfd_create, "empty", 0);
    if (fd >= 0)
        CHECK_EQ(cmp_map_attach(&map, fd), -EINVAL);
    close(fd);
    in_a_child(attach_as_another_user);
}

/* ---- limits -------------------------------------------------------------------- */

static void limit_to(int resource, rlim_t value)
{
    struct rlimit limit = {value, value};
    CHECK_EQ(setrlimit((__typeof__(RLIMIT_AS))resource, &limit), 0);
}

static rlim_t address_space_used(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%lu", &pages) != 1)
        exit(1);
    fclose(f);
    return pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* A sanitizer's own mappings are larger than any limit. */
static bool can_limit_space(void)
{
    return address_space_used() < 2048 * MIB;
}

static void little_space(void)
{
    struct cmp_map map;
    limit_to(RLIMIT_AS, address_space_used() + 256 * MIB);
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    CHECK(map.reserved >= 16 * MIB && map.reserved <= 128 * MIB);
    CHECK_EQ(cmp_map_grow(&map, map.reserved), 0);
    CHECK_EQ(fault_at(map.base + map.reserved - 1), 0);
    CHECK_EQ(cmp_map_grow(&map, map.reserved + 1), -ENOMEM);
    void *rest = malloc(100 * MIB); /* the program's own share */
    CHECK(rest != NULL);
    free(rest);
}

static void no_space(void)
{
    struct cmp_map map;
    limit_to(RLIMIT_AS, address_space_used() + 8 * MIB);
    int before = dup(0);
    close(before);
    CHECK_EQ(cmp_map_create(&map, FIRST), -ENOMEM);
    int after = dup(0);
    CHECK_EQ(before, after); /* nothing is left open */
}

/* SIGXFSZ would kill. */
static void no_long_files(void)
{
    struct cmp_map map;
    limit_to(RLIMIT_FSIZE, FIRST / 2);
    CHECK_EQ(cmp_map_create(&map, FIRST), -EFBIG);
}

static void no_longer_files(void)
{
    struct cmp_map map;
    limit_to(RLIMIT_FSIZE, FIRST + 8192);
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    CHECK_EQ(cmp_map_grow(&map, FIRST + 8192), 0);
    CHECK_EQ(cmp_map_grow(&map, FIRST + 8193), -EFBIG);
    limit_to(RLIMIT_FSIZE, 4096);
    CHECK_EQ(cmp_map_commit(&map, 0, FIRST), 0); /* not longer: allowed */
    CHECK_EQ(cmp_map_grow(&map, FIRST + 8192), 0);
    CHECK_EQ(cmp_map_grow(&map, FIRST + 8193), -EFBIG);
}

static void everything_locked(void)
{
    struct cmp_map map;
    char line[256];
    long resident = -1;
    if (mlockall(MCL_FUTURE) < 0)
        return;
    int64_t began = cmp_now_ns();
    int rc = cmp_map_create(&map, FIRST);
    CHECK(rc == 0 || rc == -ENOMEM);
    if (rc < 0)
        return;
    CHECK_EQ(cmp_map_grow(&map, 8 * MIB), 0);
    CHECK(cmp_now_ns() - began < 2000 * MS);
    CHECK_EQ(fault_at(map.base + 8 * MIB - 1), 0);
    if (smaps_line(map.base, "Rss:", line, sizeof line))
        resident = atol(line + 4);
    CHECK(resident <= 16 * 1024);
    CHECK(!smaps_line(map.base + 8 * MIB, "Rss:", line, sizeof line) || atol(line + 4) == 0);
}

static void little_locked(void)
{
    struct rlimit limit = {64 * MIB, 64 * MIB};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || (getuid() == 0 && seteuid(65534) < 0))
        return;
    everything_locked();
}

static void almost_none_locked(void)
{
    struct cmp_map map;
    limit_to(RLIMIT_MEMLOCK, 8 * MIB);
    if ((getuid() == 0 && seteuid(65534) < 0) || mlockall(MCL_FUTURE) < 0)
        return;
    int rc = cmp_map_create(&map, FIRST);
    CHECK(rc == 0 || rc == -ENOMEM);
}

static void few_descriptors(void)
{
    struct cmp_map map;
    limit_to(RLIMIT_NOFILE, 64);
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    cmp_map_detach(&map);
    while (dup(0) >= 0)
        ;
    CHECK_EQ(cmp_map_create(&map, FIRST), -EMFILE);
}

static void test_limits(void)
{
    if (can_limit_space()) {
        in_a_child(little_space);
        in_a_child(no_space);
        in_a_child(everything_locked);
        in_a_child(little_locked);
        in_a_child(almost_none_locked);
    }
    in_a_child(no_long_files);
    in_a_child(no_longer_files);
    in_a_child(few_descriptors);
}

/* ---- without memory files ------------------------------------------------------ */

static void on_dev_shm(void)
{
    struct cmp_map map;
    struct stat st;
    cmp_platform_pretend(CMP_LACKS_MEMFD);
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    if (map.fd < 0)
        return; /* nor can files be made there */
    CHECK_EQ(fstat(map.fd, &st), 0);
    CHECK_EQ(st.st_nlink, 0); /* no name is left */
    CHECK_EQ(st.st_mode & 07777, 0600);
    cmp_map_detach(&map);
    test_properties();
    test_grow();
    test_growth();
    test_commit_and_clear();
    test_growth_stopped();
    no_longer_files();
}

/* On a file system of 1 MiB: an error, not a signal at the first touch. */
static void on_full_dev_shm(void)
{
    struct cmp_map map;
    if (unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") < 0)
        return;
    cmp_platform_pretend(CMP_LACKS_MEMFD);
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    CHECK(map.fd > 2);
    CHECK_EQ(cmp_map_grow(&map, 4 * MIB), 0);
    CHECK_EQ(cmp_map_commit(&map, 0, 512 * 1024), 0);
    CHECK_EQ(cmp_map_commit(&map, MIB, 2 * MIB), -ENOMEM);
    CHECK_EQ(fault_at(map.base + 512 * 1024 - 1), 0);
}

static void by_fork_alone(void)
{
    struct cmp_map map;
    cmp_platform_pretend(CMP_LACKS_MEMFD | CMP_LACKS_DEV_SHM);
    CHECK_EQ(cmp_map_create(&map, FIRST), 0);
    CHECK_EQ(map.fd, -1);
    test_growing_at_once(&map);
    CHECK_EQ(cmp_map_commit(&map, 0, FIRST), 0);
    memset(map.base, 7, 8192);
    cmp_map_clear(&map, 0, 4096);
    CHECK_EQ(map.base[4095], 0);
    CHECK_EQ(map.base[4096], 7);
    CHECK_EQ(fault_at(map.base + accessible(&map)), SIGSEGV);
    CHECK_EQ(cmp_map_grow(&map, map.reserved), 0);
    CHECK_EQ(fault_at(map.base + map.reserved - 1), 0);
    CHECK_EQ(cmp_map_grow(&map, map.reserved + 1), -ENOMEM);
    CHECK(!cmp_map_same_file(&map, 0));
}

/* ---- CMP_LACKS ------------------------------------------------------------------ */

/* This program again, with that in its environment: which of them it lacks. */
static int lacks_of(const char *text)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        setenv("CMP_LACKS", text, 1);
        execl("/proc/self/exe", "test_map", "lacks", (char *)NULL);
        _exit(255);
    }
    int status = status_of(pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int lacks(void)
{
    return (int)(cmp_lacks(CMP_LACKS_WAITV) | cmp_lacks(CMP_LACKS_MEMFD) << 1 |
                 cmp_lacks(CMP_LACKS_BACKSTOP) << 2 | cmp_lacks(CMP_LACKS_SPIN) << 3 |
                 cmp_lacks(CMP_LACKS_PIDFD | CMP_LACKS_DEV_SHM | CMP_LACKS_ROBUST |
                           CMP_LACKS_PENDING | CMP_LACKS_OFD) << 4);
}

static void test_environment(void)
{
    CHECK_EQ(lacks_of(""), 0);
    CHECK_EQ(lacks_of("waitv"), 1);
    CHECK_EQ(lacks_of("memfd,waitv"), 3);
    CHECK_EQ(lacks_of(",,backstop,unknown,spin,wait,waitvv"), 12);
    CHECK_EQ(lacks_of("pidfd,dev_shm,robust,pending,ofd"), 16);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return lacks();
    start(120);
    cmp_kernel_read(&kernel);
    if (access("/proc/self/exe", X_OK) == 0)
        test_environment();
    test_properties();
    test_seals();
    in_a_child(closed_stdio);
    test_grow();
    test_growth();
    test_growing_in_threads();
    test_commit_and_clear();
    test_attach_errors();
    test_limits();
    in_a_child(on_dev_shm);
    in_a_child(on_full_dev_shm);
    in_a_child(by_fork_alone);
    return done();
}
