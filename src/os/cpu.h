#pragma once

/* How busy the machine's CPUs are. */

#include "base/def.h"

struct cpu_meter {
    int fd;                           /* /proc/stat, or -1 */
    uint64_t idle_ticks, total_ticks; /* when last read */
    uint64_t read_ns;
    double idle_share; /* of all CPUs' time between the last two readings, 0 to 1 */
};

/* A machine that cannot be measured counts as idle. */
void cpu_meter_open(struct cpu_meter *m);
void cpu_meter_close(struct cpu_meter *m); /* may be called twice */

/* Reads again if the last reading is older than max_age_ns, which should be some ticks of the
 * kernel's clock (10 ms each). Returns the idle share. */
double cpu_meter_idle(struct cpu_meter *m, uint64_t now_ns, uint64_t max_age_ns);
