#pragma once

/* What functions print: one pipe for each worker and stream. */

#include "gateway/gateway.h"

struct log_pipe {
    struct worker *worker; /* NULL: of a zygote */
    struct pool *pool;
    enum log_stream stream;
    int fd;
    struct loop_io io;
    struct loop_timer pause; /* of one that is not kept any more */
    struct buf line;         /* an incomplete one */
    bool goes_on;            /* a piece of the line that is being read has been told */
    bool in_stack;
};

/* Reads the function's output in lines. Consumes fd. w is NULL for the output of a zygote. */
int log_pipe_open(struct log_pipe *p, struct gateway *g, int fd_consume, enum log_stream stream,
                  struct worker *w, struct pool *pool);

/* Reads what is there now. */
void log_pipe_drain(struct log_pipe *p);
void log_pipe_close(struct log_pipe *p); /* what is left of a line is told; may be called twice */
