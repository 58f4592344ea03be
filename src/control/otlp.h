#pragma once

/* Records and log lines for an OpenTelemetry collector: handed in batches to the helper that sends
 * them (libexec/mayfly-otlp, src/otlp). Nothing here waits for it: what it does not take is lost
 * beyond a ceiling, counted, and told. A helper that ends is started again. docs/OTLP.md */

#include "base/error.h"
#include "loop/loop.h"
#include "model/record.h"
#include "os/pidref.h"
#include "wire/wire.h"

struct otlp {
    struct loop *loop; /* NULL: nothing is exported */
    char *program, *endpoint;
    struct pidref process;
    struct loop_io exit_io, wire_io;
    struct wire wire;
    struct buf records, lines; /* encoded, for the next message */
    uint32_t n_records, n_lines;
    struct loop_timer flush, restart, tell;
    uint64_t started_ns, delay_ns;
    uint64_t n_lost_records, n_lost_lines; /* here, and not told yet */
    void (*on_lost)(void *ctx, const char *what, uint64_t n, const char *why); /* or NULL */
    void *on_lost_ctx;
};

/* Starts the helper, which is in the folder `libexec`. Returns 0, -ENOENT with *err if this build
 * has none, or -errno. */
int otlp_start(struct otlp *o, struct loop *loop, const char *libexec, const char *endpoint,
               struct error *err);

/* After redaction. Without otlp_start() these do nothing. */
void otlp_record(struct otlp *o, const struct record *r);
void otlp_line(struct otlp *o, const struct log_line *l);

/* Lets the helper send what it has, for a moment, and ends it. */
void otlp_stop(struct otlp *o);
