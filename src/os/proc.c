#include "os/proc.h"

#include "base/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROC_TEXT_MAX 4096

/* Reads a small file of /proc whole. Returns 0 or -errno. */
static int read_text(const char *path, char text[static PROC_TEXT_MAX])
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;

    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    while (len < PROC_TEXT_MAX - 1) {
        ssize_t n = read(fd, text + len, PROC_TEXT_MAX - 1 - len);

        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
    return 0;
}

int proc_stat_read(pid_t pid, struct proc_stat *ret)
{
    unsigned long long user, system, start;
    char path[64], text[PROC_TEXT_MAX], state;
    uint64_t tick_us;
    const char *rest;
    long ppid, rss;
    int r;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    r = read_text(path, text);
    if (r < 0)
        return r;
    rest = strrchr(text, ')'); /* the name before it may hold anything */
    if (!rest || sscanf(rest,
                        ") %c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d "
                        "%*d %*d %llu %*u %ld",
                        &state, &ppid, &user, &system, &start, &rss) != 6)
        return -EBADMSG;
    tick_us = US_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
    *ret = (struct proc_stat){
        .state = state,
        .ppid = (pid_t)ppid,
        .user_us = user * tick_us,
        .system_us = system * tick_us,
        .rss_bytes = (uint64_t)rss * (uint64_t)sysconf(_SC_PAGESIZE),
        .start_ns = start * tick_us * NS_PER_US,
    };
    return 0;
}

/* The number behind `key` in lines of "Key:   123 kB", in bytes. */
static int find_kb(const char *text, const char *key, uint64_t *ret)
{
    const char *line = strstr(text, key);
    unsigned long long kb;

    if (!line || sscanf(line + strlen(key), " %llu", &kb) != 1)
        return -EBADMSG;
    *ret = kb * 1024;
    return 0;
}

int proc_private_bytes(pid_t pid, uint64_t *ret)
{
    char path[64], text[PROC_TEXT_MAX];
    uint64_t clean, dirty;
    int r;

    (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    r = read_text(path, text);
    if (r < 0)
        return r;
    r = find_kb(text, "\nPrivate_Clean:", &clean);
    if (r == 0)
        r = find_kb(text, "\nPrivate_Dirty:", &dirty);
    if (r == 0)
        *ret = clean + dirty;
    return r;
}

pid_t proc_first_child(pid_t pid)
{
    char path[64], text[PROC_TEXT_MAX];
    int child = 0, r;

    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    r = read_text(path, text);
    if (r == 0)
        (void)sscanf(text, "%d", &child);
    return r < 0 ? r : child;
}

int proc_memory_total(uint64_t *ret_bytes)
{
    char text[PROC_TEXT_MAX];
    int r = read_text("/proc/meminfo", text);

    return r < 0 ? r : find_kb(text, "MemTotal:", ret_bytes);
}

int proc_each_child(void (*on_child)(void *ctx, pid_t pid), void *ctx)
{
    _cleanup_close_ int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    char text[PROC_TEXT_MAX];
    pid_t pid = 0;
    ssize_t n;

    if (fd < 0)
        return -errno;
    /* A number that the buffer cuts in two goes on in the next piece; a blank ends each. */
    while ((n = read(fd, text, sizeof(text))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (text[i] - '0');
            } else if (pid > 0) {
                on_child(ctx, pid);
                pid = 0;
            }
        }
    }
    return n < 0 ? -errno : 0;
}
