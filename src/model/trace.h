#pragma once

/* W3C trace context (https://www.w3.org/TR/trace-context/): which trace a request belongs to. A
 * traceparent is "00-" trace id "-" parent id "-" flags, in lower-case hex.
 *
 * Context: no allocation. */

#include "base/slice.h"

#define TRACE_ID_LEN     32
#define TRACE_SPAN_LEN   16
#define TRACE_PARENT_LEN 55

#define TRACE_FLAG_SAMPLED 0x01
#define TRACE_FLAG_RANDOM  0x02 /* level 2: the trace id is random */

/* A request's place in its trace; ids as text, so that nobody has to write them again. */
struct trace {
    char trace_id[TRACE_ID_LEN + 1];
    char span_id[TRACE_SPAN_LEN + 1]; /* of the request itself: what it calls has it as parent */
    char parent_span_id[TRACE_SPAN_LEN + 1]; /* of who called; empty: the trace begins here */
    uint8_t flags;
};

/* Reads a traceparent: fills trace_id and parent_span_id, and of the flags those that are defined.
 * A version that is newer is read as the standard says: as version 00, with more behind it. Returns
 * 0, or -EINVAL for what the standard calls invalid; then *ret is untouched. */
int trace_parse(struct slice text, struct trace *ret);

/* Of 16 random bytes, as the ids of a trace that begins; bytes that would be all zero are not. */
void trace_begin(struct trace *t, const uint8_t random[static TRACE_ID_LEN / 2]);

/* Of 8 random bytes, the request's own span. */
void trace_set_span(struct trace *t, const uint8_t random[static TRACE_SPAN_LEN / 2]);

/* The traceparent for what the request calls: version 00, with its own span as the parent. */
void trace_write_parent(const struct trace *t, char dst[static TRACE_PARENT_LEN + 1]);
