#pragma once

/* A process as a value: its pid for people, its pidfd for everything else. A bare pid never reaches
 * kill(). Context: async-signal-safe. */

#include "base/def.h"

#include <signal.h>
#include <sys/types.h>

struct pidref {
    pid_t pid; /* as this process sees it; 0 is none */
    int fd;    /* -1 is none */
};

#define PIDREF_NULL ((struct pidref){.pid = 0, .fd = -1})

static inline bool pidref_is_set(const struct pidref *p)
{
    return p->fd >= 0;
}

/* Takes over a pidfd that came from a peer, after checking that it is one: finds its pid and, if
 * ret_ppid is not NULL, its parent. Returns 0, -EBADF if it is no pidfd (fd is not closed then),
 * -ESRCH if the process is gone or out of sight. */
int pidref_from_fd_take(int fd, struct pidref *ret, pid_t *ret_ppid);

/* Of a child that is not reaped yet, so that its pid cannot be another's. Returns 0 or -errno. */
int pidref_open_child(pid_t pid, struct pidref *ret);

/* Closes the pidfd and forgets; may be called twice. */
void pidref_done(struct pidref *p);

/* Returns 0, -ESRCH if the process is gone, or -errno. */
int pidref_kill(const struct pidref *p, int signal);

/* Reaps a child. Returns 1 with *ret_status as wait() gives it, 0 if it has not ended, or -errno.
 */
int pidref_reap(const struct pidref *p, int *ret_status);
