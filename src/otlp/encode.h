#pragma once

/* Records and log lines as OTLP's JSON (protobuf's mapping: ids in hex, 64-bit numbers as strings,
 * enums as numbers), with the names of OpenTelemetry's conventions for FaaS. All text is foreign.
 *
 * Context: allocates by its buffer, and reads lines that are JSON. */

#include "base/buf.h"
#include "model/record.h"
#include "otlp/settings.h"

/* The spans of an invocation with commas between: itself, and below it init, wait and run as far as
 * there were such. Returns how many, -EINVAL for a record without a trace, -ENOBUFS or -ENOMEM; on
 * failure nothing was added. */
int otlp_write_spans(struct buf *b, const struct record *r);

/* One log record. */
int otlp_write_log(struct buf *b, const struct log_line *l, uint64_t observed_us);

/* {"attributes": [...]} of what a function's spans or lines come from. memory_bytes 0: not known.
 */
int otlp_write_resource(struct buf *b, const struct otlp_settings *s, struct slice function,
                        struct slice version, uint64_t memory_bytes);
