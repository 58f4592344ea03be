#pragma once

/* System calls of one process that another one answers: seccomp's user notifications (Linux 5.5,
 * and 5.9 to put descriptors). The watched process installs the filter and hands its descriptor
 * over; whoever holds that sees each of the named calls, while its caller waits, and answers it, or
 * lets the kernel make it.
 *
 *   watched:  fd = notify_listen(calls, n); send fd; exec         watcher:  for (;;) {
 *                                                                     notify_receive(fd, &call);
 *                                                                     notify_answer(fd, &call, ..);
 *                                                                 }
 *
 * What the caller passes by address may change between our reading it and the kernel's: never
 * decide by it what the caller may do, only what is convenient for it.
 *
 * The watcher needs rights over the watched process as a debugger does (CAP_SYS_PTRACE over its
 * user namespace, or the same user) to look at its memory and descriptors. */

#include "base/def.h"

#include <sys/types.h>

#define NOTIFY_CALLS_MAX 8

/* In the watched process: from here on the system calls of these numbers (SYS_...) wait for an
 * answer, in all that it forks and executes. When nobody holds the descriptor any more they fail
 * with ENOSYS. The same filter takes away, with EPERM, what it takes to be a watcher: listening to
 * others in this way, taking their descriptors, and making network namespaces. Needs
 * no_new_privs, and a filter around it that permits SECCOMP_FILTER_FLAG_NEW_LISTENER.
 *
 * Context: one thread only; async-signal-safe. Returns the descriptor (CLOEXEC), or -errno: -EBUSY
 * if one is listening already. */
int notify_listen(const int *calls, size_t n_calls);

struct notify_call {
    uint64_t id;
    pid_t tid;  /* the calling thread, as the watcher sees it; 0: out of sight */
    int number; /* SYS_... */
    uint64_t args[6];
};

/* The next call that waits. Blocks; readable in poll() when there is one. Returns 1, 0 if the
 * caller is gone in the meantime (a spurious wake-up), or -errno. When no process is left that is
 * watched, poll() says POLLHUP. */
int notify_receive(int fd, struct notify_call *ret);

/* Each of these answers a call; -ENOENT: its caller is gone, which is no reason to stop. */
int notify_answer(int fd, const struct notify_call *call, int64_t value);
int notify_fail(int fd, const struct notify_call *call, int error); /* a positive errno */
int notify_continue(int fd, const struct notify_call *call);        /* let the kernel make it */

/* Puts a copy of our descriptor `source` into the caller, in the place of its number `target`.
 * Answers nothing yet. Returns 0, -ENOENT as above, or -errno. */
int notify_put_fd(int fd, const struct notify_call *call, int source, int target, bool cloexec);

/* A copy of the caller's descriptor. Returns it (CLOEXEC), -ENOENT as above, or -errno: -EBADF if
 * the caller has none of that number. */
int notify_take_fd(int fd, const struct notify_call *call, int target);

/* Whether the caller's descriptor is CLOEXEC: 1, 0 or -errno. */
int notify_fd_is_cloexec(int fd, const struct notify_call *call, int target);

/* Reads exactly `size` bytes of the caller's memory. Returns 0, -EFAULT, -ENOENT, or -errno. */
int notify_read_memory(int fd, const struct notify_call *call, uint64_t address, void *dst,
                       size_t size);
