/* linux_cgroup.c -- the CPU quota of the control groups around this process.

   Version 2: <mount>/<group>/cpu.max holds "QUOTA PERIOD" or "max PERIOD".
   Version 1: <mount>/<controllers>/<group>/cpu.cfs_quota_us and _period_us, with
   -1 for none.  Both may be mounted at once.  Every group up to the root of the
   mount limits those below it, so the least counts.  */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "linux.h"

#define NO_LIMIT INT64_C(-1)

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

/* The least quota in root/group, its parents and root.  In a container the name
   of the group is often the host's and not to be found: the missing levels are
   skipped, and root is the container's own group. */
static int64_t quota_up_to(const char *root, const char *group)
{
    char dir[PATH_MAX];
    size_t root_length = strlen(root);
    int64_t least = NO_LIMIT;

    int n = snprintf(dir, sizeof dir, "%s%s", root, group);
    if (n < 0 || (size_t)n >= sizeof dir || strstr(group, "/..") != NULL)
        snprintf(dir, sizeof dir, "%s", root);
    for (;;) {
        least = lesser(least, quota_in(dir));
        char *slash = strrchr(dir, '/');
        if (slash == NULL || (size_t)(slash - dir) < root_length)
            return least;
        *slash = '\0';
    }
}

static bool names_cpu(const char *controllers)
{
    size_t n;
    for (const char *c = controllers; *c != '\0'; c += n + (c[n] == ',')) {
        n = strcspn(c, ",");
        if (n == 3 && memcmp(c, "cpu", 3) == 0)
            return true;
    }
    return false;
}

/* One line of the membership file: "0::/group" or "4:cpu,cpuacct:/group". */
static int64_t quota_of_line(char *line, const char *mount)
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
                             ? quota_up_to(root, group) : NO_LIMIT;
        return lesser(quota_up_to(mount, group), beside);
    }
    if (!names_cpu(controllers))
        return NO_LIMIT;
    int64_t least = NO_LIMIT;
    const char *names[] = {controllers, "cpu"}; /* "cpu,cpuacct", or the link to it */
    for (int i = 0; i < 2; i++) {
        int n = snprintf(root, sizeof root, "%s/%s", mount, names[i]);
        if (n > 0 && (size_t)n < sizeof root)
            least = lesser(least, quota_up_to(root, group));
    }
    return least;
}

int64_t linux_cpu_quota_milli(const char *membership, const char *mount)
{
    char text[8192], *rest;
    int64_t least = NO_LIMIT;

    if (linux_read_file(membership, text, sizeof text) < 0)
        return NO_LIMIT;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        least = lesser(least, quota_of_line(line, mount));
    return least;
}
