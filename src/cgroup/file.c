#include "cgroup/internal.h"

#include "os/fault.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cgroup_file_write(int dir, const char *path, const char *text)
{
    int r = os_fault(OS_CALL_CGROUP);
    _cleanup_close_ int fd = -1;

    if (r < 0)
        return r;
    fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int cgroup_file_read(int dir, const char *path, char text[static CGROUP_TEXT_MAX])
{
    int r = os_fault(OS_CALL_CGROUP);
    _cleanup_close_ int fd = -1;
    ssize_t n;

    if (r < 0)
        return r;
    fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = read(fd, text, CGROUP_TEXT_MAX - 1); /* the kernel gives all of such a file at once */
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return (int)n;
}

int cgroup_file_mkdir(int dir, const char *path)
{
    int r = os_fault(OS_CALL_CGROUP);

    if (r < 0)
        return r;
    return mkdirat(dir, path, 0755) < 0 ? -errno : 0;
}

/* A v1 group that somebody still refers to lives on unseen, and keeps its share of the time for
 * real-time priorities: what it has is given back first. */
static void give_back(int dir, const char *path)
{
    char file[CGROUP_PATH_MAX];

    if (snprintf(file, sizeof(file), "%s/cpu.rt_runtime_us", path) < (int)sizeof(file))
        (void)cgroup_file_write(dir, file, "0");
}

int cgroup_file_rmdir(int dir, const char *path)
{
    int r = os_fault(OS_CALL_CGROUP);

    if (r < 0)
        return r;
    give_back(dir, path);
    return unlinkat(dir, path, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* Digits at the start; stays at the largest number instead of running over. */
static uint64_t number(const char *p)
{
    uint64_t n = 0;

    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
            return UINT64_MAX;
    }
    return n;
}

uint64_t cgroup_text_number(const char *text, const char *key)
{
    size_t len = key ? strlen(key) : 0;

    if (!key)
        return number(text);
    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, key, len) == 0 && p[len] == ' ')
            return number(p + len + 1);
    }
    return 0;
}

bool cgroup_text_has(const char *text, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " ,\n");

        if (n == len && memcmp(p, word, len) == 0)
            return true;
        p += n + (p[n] != '\0');
    }
    return false;
}
