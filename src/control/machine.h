#pragma once

/* What the machine is doing, from /proc. */

#include "base/def.h"

struct machine {
    uint32_t cpus;
    uint64_t busy, total;  /* ticks of all CPUs at the last look */
    uint32_t cpu_permille; /* busy since the look before, of all CPUs together */
    uint64_t memory_bytes, memory_used_bytes;
};

/* Looks. The share of CPU time is 0 the first time. */
void machine_look(struct machine *m);

/* Resident memory of a process; 0 if it is gone. */
uint64_t machine_process_bytes(int pid);
