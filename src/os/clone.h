#pragma once

/* fork() by hand: no at-fork handlers run, and a pidfd comes with the child. */

#include "os/pidref.h"

/* Clones the calling thread into a new process. `flags` are CLONE_NEWPID and the like, those of
 * the low 32 bits. In the
 * parent returns 1 with *ret (its pid as seen here); in the child returns 0, with the thread id
 * that glibc keeps made right; else -errno.
 *
 * Context: the caller must be single-threaded, or the child may call only async-signal-safe
 * functions: locks held by other threads stay held in the child. */
int os_clone(uint64_t flags, struct pidref *ret);

/* The same, born in the control group of a v2 hierarchy whose folder this is. A process that is
 * moved there later makes the kernel wait for a grace period: some 10 ms.
 *
 * Context: as above, and not behind the sandbox's filter of system calls. */
int os_clone_into(uint64_t flags, int cgroup_fd, struct pidref *ret);
