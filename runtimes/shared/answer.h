#pragma once

/* A request and its answer as the hosts of Ruby, PHP and Perl see them: the worker's calls, and a
 * state that says what may still be done. Without a worker it is a rehearsal in the zygote: a fixed
 * head, no body, and an answer that goes nowhere. Context: in one thread. */

#include "zygote/worker.h"

enum answer_state {
    ANSWER_NONE,
    ANSWER_BEGUN,   /* answer_start() may still be called again */
    ANSWER_WRITTEN, /* the head cannot be taken back */
    ANSWER_ENDED,
};

struct answer {
    struct worker *w; /* or NULL: a rehearsal */
    const struct http_head *head;
    enum answer_state state;
};

void answer_begin(struct answer *a, struct worker *w);

/* Decoded bytes of the body: their number, 0 at the end, or -errno. */
ssize_t answer_read(struct answer *a, void *dst, size_t size);

/* The body's length: 0 if there is none, -1 if it comes in chunks. */
int64_t answer_body_length(const struct answer *a);

/* As worker_start() and its like; also -EALREADY when it is too late, -ENOTCONN when it has not
 * begun. */
int answer_start(struct answer *a, unsigned status, const struct http_header *headers, size_t n,
                 int64_t length);
int answer_write(struct answer *a, struct slice data);
int answer_flush(struct answer *a);
int answer_finish(struct answer *a);

/* Answers with an unhandled error; `error` is the errno that it comes from, or 0. Returns 0, or
 * -errno if the answer had gone too far to be taken back. */
int answer_fail(struct answer *a, int error, const char *type, const char *message,
                const char *stack);
