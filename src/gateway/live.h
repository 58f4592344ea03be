#pragma once

/* What runs at this moment, out of the gateway's own books. */

#include "gateway/gateway.h"

struct jsonw;

/* Writes the values of an array: all processes, of a function its zygote, its busy workers and its
 * standbys; as many as `max` and bytes_left in the writer's buffer allow. Returns how many it has
 * left out. */
uint64_t live_write_processes(struct gateway *g, struct jsonw *w, uint32_t max, size_t bytes_left);

/* The request of that id, if it waits or runs; NULL if it is over, or never was. */
struct invocation *live_find_invocation(struct gateway *g, struct slice id);

/* Control wants to be told every so many milliseconds; 0: no more. */
void live_watch(struct gateway *g, uint32_t interval_ms);
