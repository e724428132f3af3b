/* Description: the CPU quota, and the memory that is left, are found in both versions of control groups, at any
   level, and in containers that see the host's group names: in forged trees. */
#include <fcntl.h>
#include <sys/stat.h>
#include "../../src/platform/linux.h"
#include "check.h"

static char top[] = "/tmp/cmp-test-cgroup-XXXXXX";

/* Write text to top/path, making the folders on the way. */
static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", top, path);
    char *slash = full + strlen(top) + 1;
    for (; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(full);
        exit(1);
    }
}

static int64_t quota(const char *membership, const char *mount)
{
    char file[512], dir[512];
    put("membership", membership);
    snprintf(file, sizeof file, "%s/membership", top);
    snprintf(dir, sizeof dir, "%s/%s", top, mount);
    return linux_cpu_quota_milli(file, dir);
}

static void test_version_2(void)
{
    put("two/cpu.max", "max 100000\n");
    put("two/a/cpu.max", "300000 100000\n");
    put("two/a/b/cpu.max", "max 100000\n");
    put("two/a/b/c/cpu.max", "50000 100000\n");
    CHECK_EQ(quota("0::/\n", "two"), -1);
    CHECK_EQ(quota("0::/a\n", "two"), 3000);
    CHECK_EQ(quota("0::/a/b\n", "two"), 3000);
    CHECK_EQ(quota("0::/a/b/c\n", "two"), 500);
    CHECK_EQ(quota("0::/a/b/missing/deeper\n", "two"), 3000);
}

static void test_container(void)
{
    put("box/cpu.max", "150000 100000\n");
    CHECK_EQ(quota("0::/\n", "box"), 1500);
    CHECK_EQ(quota("0::/docker/0123\n", "box"), 1500);
    CHECK_EQ(quota("0::/../../elsewhere\n", "box"), 1500);
}

static void test_version_1(void)
{
    put("one/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put("one/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("one/cpu,cpuacct/g/cpu.cfs_quota_us", "250000\n");
    put("one/cpu,cpuacct/g/cpu.cfs_period_us", "100000\n");
    CHECK_EQ(quota("7:cpu,cpuacct:/\n", "one"), -1);
    CHECK_EQ(quota("9:memory:/g\n7:cpu,cpuacct:/g\n0::/\n", "one"), 2500);
    CHECK_EQ(quota("7:cpuacct,cpuset:/g\n", "one"), -1);
    put("mixed/unified/h/cpu.max", "200000 100000\n");
    put("mixed/cpu/g/cpu.cfs_quota_us", "900000\n");
    put("mixed/cpu/g/cpu.cfs_period_us", "100000\n");
    CHECK_EQ(quota("4:cpu:/g\n0::/h\n", "mixed"), 2000);
}

static int64_t memory(const char *membership, const char *mount)
{
    char file[512], dir[512];
    put("membership", membership);
    snprintf(file, sizeof file, "%s/membership", top);
    snprintf(dir, sizeof dir, "%s/%s", top, mount);
    return linux_memory_left(file, dir);
}

static void test_memory(void)
{
    put("two/memory.max", "max\n");
    put("two/a/memory.max", "1000000\n");
    put("two/a/memory.current", "700000\n");
    put("two/a/memory.stat", "anon 5\ninactive_anon 7\ninactive_file 20000\nactive_file 3000\n");
    put("two/a/b/memory.max", "500000\n");
    put("two/a/b/memory.current", "600000\n");
    CHECK_EQ(memory("0::/\n", "two"), -1);
    CHECK_EQ(memory("0::/a\n", "two"), 323000);
    CHECK_EQ(memory("0::/a/b\n", "two"), 0);
    put("one/memory/g/memory.limit_in_bytes", "4000000000\n");
    put("one/memory/g/memory.usage_in_bytes", "1000\n");
    put("one/memory/g/memory.stat", "inactive_file 1\ntotal_inactive_file 600\n");
    CHECK_EQ(memory("9:memory:/g\n7:cpu,cpuacct:/g\n0::/\n", "one"), 3999999600);
    CHECK_EQ(memory("7:cpu,cpuacct:/g\n", "one"), -1);
    CHECK(cmp_memory_left() != 0);
}

static void test_nonsense(void)
{
    put("odd/cpu.max", "nonsense\n");
    put("odd/z/cpu.max", "0 0\n");
    CHECK_EQ(quota("0::/z\n", "odd"), -1);
    CHECK_EQ(quota("", "odd"), -1);
    CHECK_EQ(quota("\n:\n0:\n::\nabc\n", "odd"), -1);
    CHECK_EQ(quota("0::/\n", "nowhere"), -1);
    CHECK_EQ(linux_cpu_quota_milli("/nowhere/at/all", "/sys/fs/cgroup"), -1);
}

int main(void)
{
    char command[64];
    start(30);
    if (mkdtemp(top) == NULL)
        skip("no temporary folder can be made in /tmp");
    test_version_2();
    test_container();
    test_version_1();
    test_memory();
    test_nonsense();
    snprintf(command, sizeof command, "rm -rf %s", top);
    CHECK_EQ(system(command), 0);
    return done();
}
