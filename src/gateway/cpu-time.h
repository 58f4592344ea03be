#pragma once

/* The CPU time that a request may use: looked after from outside, where the function cannot reach.
 */

#include "gateway/gateway.h"

/* The worker has begun a request: from now on its process' CPU time is looked at, as often as need
 * be. Does nothing if the function has no `cpu_time`. */
void cpu_time_watch(struct worker *w);
void cpu_time_unwatch(struct worker *w);

/* What the worker's process, with all its threads, has used since its birth, in microseconds.
 * Returns false if that cannot be known. */
bool cpu_time_of(const struct worker *w, uint64_t *ret_us);
