#pragma once

/* One request with one run of a program: the body goes to its stdin while its stdout comes back as
 * the answer, both as they come. */

#include "zygote/worker.h"

/* Makes the pipes ahead of the request, in a standby; else relay_serve() does. Returns 0 or -errno.
 */
int relay_prepare(void);

/* Returns as a zygote_host's serve(). When it returns, the program and its group are gone and it
 * has been reaped, so that its CPU time counts as the worker's. */
int relay_serve(struct worker *w, const char *program);

/* For WORKER_STACK_SIGNAL: tells on stderr what the program is doing, behind WORKER_STACK_MARK,
 * kills it and exits.
 *
 * Context: signal handler. */
void relay_on_deadline(int signal);
