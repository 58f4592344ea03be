#pragma once

/* Threads of other processes in /proc, which may be that of a PID namespace around one's own: there
 * the numbers differ. */

#include "base/def.h"

#include <sys/types.h>

struct thread_place {
    pid_t in_proc; /* the thread's number in /proc */
    pid_t pid;     /* its process, as the caller's namespace numbers it */
};

/* Finds the thread with this number in the caller's PID namespace. Where /proc is of another one,
 * only what descends from the caller is looked through. Returns 0, -ESRCH if it is not there, or
 * -errno. */
int thread_find(pid_t tid, struct thread_place *ret);
