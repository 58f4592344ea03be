#pragma once

/* What the calling process uses, for a program that opens no file after its start. */

#include "base/def.h"

struct self_meter {
    int statm_fd, fds_fd; /* /proc/self/statm and /proc/self/fd, or -1 */
};

struct self_use {
    uint64_t cpu_us; /* all threads, user and system */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fds, max_fds;
};

void self_meter_open(struct self_meter *m);
void self_meter_close(struct self_meter *m); /* may be called twice */

/* What cannot be known is 0. */
void self_meter_read(const struct self_meter *m, struct self_use *ret);
