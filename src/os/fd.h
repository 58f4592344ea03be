#pragma once

/* File descriptors as values: -1 is none, all are CLOEXEC from birth.
 * Context: async-signal-safe. */

#include "base/def.h"

/* Closes fd unless it is -1; keeps errno. Returns -1, for `fd = fd_close(fd)`. */
int fd_close(int fd);

static inline void fd_closep(int *fd)
{
    *fd = fd_close(*fd);
}
#define _cleanup_close_ _cleanup_(fd_closep)

/* Each returns 0 or -errno. */
int fd_set_nonblock(int fd, bool on);
int fd_set_cloexec(int fd, bool on);
int fd_pipe(int ret_fds[2], int flags); /* O_CLOEXEC and `flags` (O_NONBLOCK) */

/* Raises RLIMIT_NOFILE's soft limit to the hard one. Returns what it is then. */
uint64_t fd_raise_limit(void);
