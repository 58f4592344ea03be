#pragma once

/* The address at which a program finds the Runtime API, without a port: nobody listens there. The
 * program's connect() to it waits for us; we make a TCP connection between its socket and one of
 * our own, and tell it that it is connected. All other connect() are the kernel's. So only what
 * this worker has started can reach it, and each worker has its own.
 *
 * A thread answers, because a program connects to other places at any time, also while the worker
 * waits for a request or for its client. */

#include "os/pidref.h"

struct endpoint {
    int notify;      /* the watched calls; the thread's */
    int connections; /* where new connections come from; -1: not begun */
    int other;       /* the thread's end of it */
};

#define ENDPOINT_NULL ((struct endpoint){.notify = -1, .connections = -1, .other = -1})

/* Executes argv in a process group of its own, with this process's stdout and stderr, /dev/null as
 * stdin and no other descriptor; everything it starts is watched, too. Returns 0, or -errno with
 * the name of what failed in *ret_step. */
int endpoint_start(struct endpoint *e, char *const *argv, struct pidref *ret_child,
                   const char **ret_step);

/* The next connection: a non-blocking socket, or -EAGAIN. e->connections is readable then. */
int endpoint_accept(struct endpoint *e);

/* When the program is gone. */
void endpoint_end(struct endpoint *e);
