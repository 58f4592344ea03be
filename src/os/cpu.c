#include "os/cpu.h"

#include "os/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FIRST_LINE_MAX 256

void cpu_meter_open(struct cpu_meter *m)
{
    *m = (struct cpu_meter){.fd = open("/proc/stat", O_RDONLY | O_CLOEXEC), .idle_share = 1};
}

void cpu_meter_close(struct cpu_meter *m)
{
    m->fd = fd_close(m->fd);
}

/* "cpu  user nice system idle iowait irq softirq steal ...": the sum of all CPUs. */
static bool read_ticks(int fd, uint64_t *ret_idle, uint64_t *ret_total)
{
    unsigned long long t[8] = {0};
    char text[FIRST_LINE_MAX];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    if (n <= 0)
        return false;
    text[n] = '\0';
    if (sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
               &t[4], &t[5], &t[6], &t[7]) < 4)
        return false;
    *ret_idle = t[3] + t[4];
    *ret_total = t[0] + t[1] + t[2] + t[3] + t[4] + t[5] + t[6] + t[7];
    return true;
}

double cpu_meter_idle(struct cpu_meter *m, uint64_t now_ns, uint64_t max_age_ns)
{
    uint64_t idle, total;

    if (m->fd < 0 || (m->read_ns > 0 && now_ns - m->read_ns < max_age_ns))
        return m->idle_share;
    if (!read_ticks(m->fd, &idle, &total))
        return m->idle_share;
    if (m->read_ns > 0 && total > m->total_ticks)
        m->idle_share =
            (double)(idle - MIN(idle, m->idle_ticks)) / (double)(total - m->total_ticks);
    m->idle_ticks = idle;
    m->total_ticks = total;
    m->read_ns = now_ns;
    return m->idle_share;
}
