#include "control/machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/fd.h"

static const char *read_text(const char *path, char *dst, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, dst, size - 1);

    (void)fd_close(fd);
    dst[MAX(n, 0)] = '\0';
    return dst;
}

static uint64_t field_kib(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void cpu_look(struct machine *m)
{
    enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, N };
    uint64_t total = 0, idle = 0, busy;
    char text[512], *at;

    (void)read_text("/proc/stat", text, sizeof(text));
    if (strncmp(text, "cpu ", 4) != 0)
        return;
    at = text + 4;
    for (int i = 0; i < N; i++) {
        uint64_t ticks = strtoull(at, &at, 10);

        total += ticks;
        idle += i == IDLE || i == IOWAIT ? ticks : 0;
    }
    busy = total - idle;
    if (m->total > 0 && total > m->total && busy >= m->busy)
        m->cpu_permille = (uint32_t)(1000 * (busy - m->busy) / (total - m->total));
    m->busy = busy;
    m->total = total;
}

void machine_look(struct machine *m)
{
    char text[4096];

    m->cpus = (uint32_t)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
    cpu_look(m);
    (void)read_text("/proc/meminfo", text, sizeof(text));
    m->memory_bytes = field_kib(text, "MemTotal:") * 1024;
    m->memory_used_bytes =
        m->memory_bytes - MIN(m->memory_bytes, field_kib(text, "MemAvailable:") * 1024);
}

uint64_t machine_process_bytes(int pid)
{
    char path[32], text[128];
    char *at;

    (void)snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    (void)read_text(path, text, sizeof(text));
    (void)strtoull(text, &at, 10);
    return strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}
