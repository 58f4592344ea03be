#pragma once

/* The event of a Lambda Function URL (payload format 2.0), as JSON, made of a request. It says
 * exactly what Python's host says (runtimes/python): a handler that moves from one to the other
 * sees no difference. No I/O.
 *
 * Context: allocates. */

#include "http/http.h"

/* Adds the event to b. wall_us is the time of the request. Returns 0, -ENOBUFS or -ENOMEM. */
int lambda_event_write(struct buf *b, const struct http_head *head, struct slice body,
                       uint64_t wall_us);

/* "Root=1-...;Parent=...;Sampled=0" of W3C's traceparent, as X-Ray writes it; empty if it is none.
 */
#define LAMBDA_TRACE_SIZE 128
void lambda_trace(struct slice traceparent, char dst[static LAMBDA_TRACE_SIZE]);
