/* linux_cgroup.c -- what the control groups around this process leave it.

   Version 2: <mount>/<group>/cpu.max holds "QUOTA PERIOD" or "max PERIOD"; memory.max a
   number or "max", memory.current what is used of it.
   Version 1: <mount>/<controllers>/<group>/cpu.cfs_quota_us and _period_us, with
   -1 for none; memory.limit_in_bytes and .usage_in_bytes.  Both may be mounted at once.
   Every group up to the root of the mount limits those below it, so the least counts.  */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "linux.h"

#define NO_LIMIT INT64_C(-1)

/* What is asked for, and how a group's folder tells it. */
struct resource {
    const char *controller;
    int64_t (*in)(const char *dir);
};

static int64_t lesser(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

static int64_t milli(long long quota_us, long long period_us)
{
    return quota_us <= 0 || period_us <= 0 ? NO_LIMIT : quota_us * 1000 / period_us;
}

static int read_in(const char *dir, const char *file, char *text, size_t size)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", dir, file);
    return n < 0 || (size_t)n >= sizeof path ? -1 : linux_read_file(path, text, size);
}

static int64_t quota_in(const char *dir)
{
    char text[64], period[64];
    long long quota_us, period_us;

    if (read_in(dir, "cpu.max", text, sizeof text) > 0)
        return sscanf(text, "%lld %lld", &quota_us, &period_us) == 2
                   ? milli(quota_us, period_us) : NO_LIMIT; /* "max" */
    if (read_in(dir, "cpu.cfs_quota_us", text, sizeof text) > 0 &&
        read_in(dir, "cpu.cfs_period_us", period, sizeof period) > 0)
        return milli(atoll(text), atoll(period));
    return NO_LIMIT;
}

/* The number that a file begins with, or that follows a name in it; -1: there is none. */
static int64_t number_in(const char *dir, const char *file, const char *name)
{
    char text[8192];
    if (read_in(dir, file, text, sizeof text) <= 0)
        return -1;
    char *at = *name == '\0' ? text : strstr(text, name);
    long long number;
    return at == NULL || sscanf(at + strlen(name), "%lld", &number) != 1 ? -1 : number;
}

/* What is left below a limit, with the file cache, which gives way. */
static int64_t left_below(const char *dir, int64_t limit, int64_t used, const char *cache[2])
{
    if (limit < 0 || used < 0)
        return NO_LIMIT;
    for (int i = 0; i < 2; i++) {
        int64_t cached = number_in(dir, "memory.stat", cache[i]);
        used -= cached > 0 ? cached : 0;
    }
    return used < limit ? limit - (used > 0 ? used : 0) : 0;
}

static int64_t memory_in(const char *dir)
{
    const char *cache_1[] = {"total_inactive_file ", "total_active_file "};
    const char *cache_2[] = {"\ninactive_file ", "\nactive_file "};
    int64_t one = left_below(dir, number_in(dir, "memory.limit_in_bytes", ""),
                             number_in(dir, "memory.usage_in_bytes", ""), cache_1);
    return lesser(one, left_below(dir, number_in(dir, "memory.max", ""),
                                  number_in(dir, "memory.current", ""), cache_2));
}

/* The least in root/group, its parents and root.  In a container the name
   of the group is often the host's and not to be found: the missing levels are
   skipped, and root is the container's own group. */
static int64_t least_up_to(const struct resource *r, const char *root, const char *group)
{
    char dir[PATH_MAX];
    size_t root_length = strlen(root);
    int64_t least = NO_LIMIT;

    int n = snprintf(dir, sizeof dir, "%s%s", root, group);
    if (n < 0 || (size_t)n >= sizeof dir || strstr(group, "/..") != NULL)
        snprintf(dir, sizeof dir, "%s", root);
    for (;;) {
        least = lesser(least, r->in(dir));
        char *slash = strrchr(dir, '/');
        if (slash == NULL || (size_t)(slash - dir) < root_length)
            return least;
        *slash = '\0';
    }
}

static bool names(const char *controllers, const char *wanted)
{
    size_t n;
    for (const char *c = controllers; *c != '\0'; c += n + (c[n] == ',')) {
        n = strcspn(c, ",");
        if (n == strlen(wanted) && memcmp(c, wanted, n) == 0)
            return true;
    }
    return false;
}

/* One line of the membership file: "0::/group" or "4:cpu,cpuacct:/group". */
static int64_t least_of_line(const struct resource *r, char *line, const char *mount)
{
    char root[PATH_MAX];
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL)
        return NO_LIMIT;
    *group++ = '\0';
    controllers++;

    if (*controllers == '\0') { /* version 2, alone or beside version 1 */
        int n = snprintf(root, sizeof root, "%s/unified", mount);
        int64_t beside = n > 0 && (size_t)n < sizeof root
                             ? least_up_to(r, root, group) : NO_LIMIT;
        return lesser(least_up_to(r, mount, group), beside);
    }
    if (!names(controllers, r->controller))
        return NO_LIMIT;
    int64_t least = NO_LIMIT;
    const char *names[] = {controllers, r->controller}; /* "cpu,cpuacct", or the link to it */
    for (int i = 0; i < 2; i++) {
        int n = snprintf(root, sizeof root, "%s/%s", mount, names[i]);
        if (n > 0 && (size_t)n < sizeof root)
            least = lesser(least, least_up_to(r, root, group));
    }
    return least;
}

static int64_t least_of_all(const struct resource *r, const char *membership, const char *mount)
{
    char text[8192], *rest;
    int64_t least = NO_LIMIT;

    if (linux_read_file(membership, text, sizeof text) < 0)
        return NO_LIMIT;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        least = lesser(least, least_of_line(r, line, mount));
    return least;
}

int64_t linux_cpu_quota_milli(const char *membership, const char *mount)
{
    return least_of_all(&(struct resource){"cpu", quota_in}, membership, mount);
}

int64_t linux_memory_left(const char *membership, const char *mount)
{
    return least_of_all(&(struct resource){"memory", memory_in}, membership, mount);
}

/* Two lines of /proc/meminfo, which is the host's in many containers. */
static int64_t system_left(void)
{
    int64_t available = number_in("/proc", "meminfo", "MemAvailable:");
    int64_t swap = number_in("/proc", "meminfo", "SwapFree:");
    return available < 0 ? NO_LIMIT : (available + (swap > 0 ? swap : 0)) * 1024;
}

int64_t cmp_memory_left(void)
{
    return lesser(system_left(), linux_memory_left("/proc/self/cgroup", "/sys/fs/cgroup"));
}
