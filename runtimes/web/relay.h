#pragma once

/* In the worker: carries one request to the program and its answer back, both streaming. */

#include "zygote/worker.h"

/* lease_fd: where connections are asked for. */
void relay_init(int lease_fd);

/* struct zygote_host's serve. Does not return after an upgrade (101): the connection is used up,
 * and the worker with it. */
int relay_serve(struct worker *w);

/* Signal handler for WORKER_STACK_SIGNAL: says what the request waits for, and exits. */
void relay_on_deadline(int signal);
