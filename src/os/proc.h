#pragma once

/* What /proc tells of processes and the machine. */

#include "base/def.h"

#include <sys/types.h>

struct proc_stat {
    char state; /* R, S, D, Z, T ... */
    pid_t ppid;
    uint64_t user_us;
    uint64_t system_us;
    uint64_t rss_bytes;
    uint64_t start_ns; /* since boot, as CLOCK_BOOTTIME; in clock ticks' precision */
};

/* Returns 0, -ESRCH if there is no such process, or -errno. */
int proc_stat_read(pid_t pid, struct proc_stat *ret);

/* Memory that the process shares with nobody (needs the right to look). Returns 0 or -errno. */
int proc_private_bytes(pid_t pid, uint64_t *ret);

/* Calls on_child with the pid of each child of the calling thread, dead ones that nobody has reaped
 * included. Returns 0, or -errno where the kernel does not tell (CONFIG_PROC_CHILDREN). */
int proc_each_child(void (*on_child)(void *ctx, pid_t pid), void *ctx);

/* The first child of another process. Returns its pid, 0 if there is none, or -errno. */
pid_t proc_first_child(pid_t pid);

/* MemTotal. Returns 0 or -errno. */
int proc_memory_total(uint64_t *ret_bytes);
