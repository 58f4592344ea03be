/* A file of its own: all that a zygote links of this. */

#include "cgroup/internal.h"

#include <stdio.h>

int cgroup_slot_join(int slots_fd, bool v2, unsigned slot)
{
    char path[CGROUP_PATH_MAX];

    (void)snprintf(path, sizeof(path), "s%u/%s", slot, v2 ? "cgroup.procs" : "tasks");
    return cgroup_file_write(slots_fd, path, "0");
}

static int read_number(int slots_fd, unsigned slot, const char *file, const char *key,
                       uint64_t *ret)
{
    char path[CGROUP_PATH_MAX], text[CGROUP_TEXT_MAX];
    int r;

    (void)snprintf(path, sizeof(path), "s%u/%s", slot, file);
    r = cgroup_file_read(slots_fd, path, text);
    if (r < 0)
        return r;
    *ret = cgroup_text_number(text, key);
    return 0;
}

int cgroup_slot_end(int slots_fd, bool v2, unsigned slot, uint64_t *seen,
                    struct cgroup_slot_report *ret)
{
    struct cgroup_slot_report report = {0};
    uint64_t kills;
    int r;

    r = read_number(slots_fd, slot, v2 ? "memory.events" : "memory.oom_control", "oom_kill",
                    &kills);
    if (r < 0)
        return r;
    report.out_of_memory = kills > *seen;
    *seen = kills;
    /* The peak is that of all workers so far: right for one that reached the limit, and to read and
     * reset it for each would cost as much as the rest of this. */
    if (report.out_of_memory)
        r = read_number(slots_fd, slot, v2 ? "memory.peak" : "memory.max_usage_in_bytes", NULL,
                        &report.peak_bytes);
    if (r == 0)
        *ret = report;
    return r;
}
