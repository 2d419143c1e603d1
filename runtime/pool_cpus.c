// How many CPUs this process may use. A container often shows all CPUs of its host in the affinity
// mask and cuts their time by a quota: more threads than the quota allows would all be stopped for
// the rest of each period, the ones that hold up a barrier included.
#define _GNU_SOURCE // sets of CPUs
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/pool.h"

enum { PATH_BYTES = 4096 };

static int32_t cpus_from_quota(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = quota / period + (quota % period != 0);
    return cpus < POOL_THREADS_MAX ? (int32_t)cpus : POOL_THREADS_MAX;
}

int32_t pool_quota_from_text(const char *text)
{
    char *end;
    long long quota = strtoll(text, &end, 10);
    if (end == text)
        return 0;
    return cpus_from_quota(quota, strtoll(end, NULL, 10));
}

static bool read_line(const char *path, char *line, int bytes)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool good = fgets(line, bytes, file) != NULL;
    fclose(file);
    return good;
}

static int32_t quota_v2(const char *folder)
{
    char path[PATH_BYTES], line[128];
    int length = snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", folder);
    if (length < (int)sizeof path && read_line(path, line, sizeof line))
        return pool_quota_from_text(line);
    return 0;
}

static int32_t quota_v1(const char *folder)
{
    char path[PATH_BYTES], quota[64], period[64];
    int length = snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", folder);
    if (length >= (int)sizeof path || !read_line(path, quota, sizeof quota))
        return 0;
    length = snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", folder);
    if (length >= (int)sizeof path || !read_line(path, period, sizeof period))
        return 0;
    return cpus_from_quota(strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

static int32_t least_quota(int32_t a, int32_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

// The least quota of a group and all groups above it; the mounted root is asked too, since a
// container may not see its own path.
static int32_t quota_of_group(char *folder, int32_t (*quota_of)(const char *))
{
    int32_t quota = quota_of("");
    while (folder[0]) {
        quota = least_quota(quota, quota_of(folder));
        char *slash = strrchr(folder, '/');
        if (!slash)
            break;
        *slash = 0;
    }
    return quota;
}

// Whether a list of controllers "cpu,cpuacct" names cpu.
static bool lists_cpu(const char *controllers, size_t length)
{
    for (const char *at = controllers; at < controllers + length;) {
        size_t rest = (size_t)(controllers + length - at), word = strcspn(at, ",:");
        if (word == 3 && rest >= 3 && memcmp(at, "cpu", 3) == 0)
            return true;
        at += word + 1;
    }
    return false;
}

// Lines of /proc/self/cgroup: "0::/path" (v2) or "4:cpu,cpuacct:/path" (v1).
static int32_t group_quota(void)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    int32_t quota = 0;
    char line[PATH_BYTES];
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *folder = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!folder)
            continue;
        size_t length = (size_t)(folder - controllers - 1);
        if (length == 0)
            quota = least_quota(quota, quota_of_group(folder + 1, quota_v2));
        else if (lists_cpu(controllers + 1, length))
            quota = least_quota(quota, quota_of_group(folder + 1, quota_v1));
    }
    if (file)
        fclose(file);
    return quota;
}

// The mask is asked for with ever more room: machines may have more CPUs than a cpu_set_t.
static int32_t affinity_cpus(void)
{
    for (size_t room = CPU_SETSIZE; room <= 1 << 20; room *= 4) {
        cpu_set_t *set = CPU_ALLOC(room);
        if (!set)
            return 1;
        size_t bytes = CPU_ALLOC_SIZE(room);
        int result = sched_getaffinity(0, bytes, set), cpus = 0;
        if (result == 0)
            cpus = CPU_COUNT_S(bytes, set);
        CPU_FREE(set);
        if (cpus > 0)
            return cpus < POOL_THREADS_MAX ? cpus : POOL_THREADS_MAX;
    }
    return 1;
}

int32_t pool_default_threads(void)
{
    return least_quota(group_quota(), affinity_cpus());
}
