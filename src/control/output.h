#pragma once

/* Standard output for a program that must not wait for its reader: what cannot be written now is
 * kept up to a ceiling, then dropped and counted. */

#include "base/buf.h"

#define OUTPUT_BYTES_MAX (4UL * 1024 * 1024)

struct output {
    int fd;
    bool owned;  /* fd was opened by us */
    bool closed; /* the reader is gone */
    struct buf buf;
    uint64_t n_dropped; /* messages */
    size_t mark;        /* see output_begin() */
};

/* A pipe is opened anew, so that our not waiting does not change it for others who write to it. */
void output_init(struct output *o, int fd);
void output_deinit(struct output *o);

/* Between these, out->buf is written to: one message, kept whole or not at all. */
void output_begin(struct output *o);
void output_end(struct output *o, int r); /* r: 0, or why the message is not complete */

static inline bool output_is_pending(const struct output *o)
{
    return buf_len(&o->buf) > 0;
}

/* Writes what can be written now, in as few pieces as can be. */
void output_flush(struct output *o);
