#pragma once

/* What a program answers, as the response to the client. The rules for objects with a statusCode
 * are those of Python's host (runtimes/python/mayfly_host/lambda_event.py); everything else is
 * passed on as it is.
 *
 * All return 0 (an answer that is no answer has then been told to the client as an error), or the
 * negative errno of the worker's socket. */

#include "zygote/worker.h"

/* A whole result. is_http: a client of the web waits, else whoever invoked the function. */
int result_answer(struct worker *w, bool is_http, struct slice body);

/* One that comes in pieces. Zeroed is valid after result_stream_begin(). */
struct result_stream {
    struct worker *w;
    bool in_prelude; /* JSON with status and headers comes first, and eight NULs */
    bool failed;     /* an error was the answer; the rest is dropped */
    char content_type[256];
    struct buf prelude;
};

void result_stream_begin(struct result_stream *s, struct worker *w, const char *content_type);
int result_stream_data(struct result_stream *s, struct slice data);
int result_stream_end(struct result_stream *s);
void result_stream_deinit(struct result_stream *s);

/* An error that the program reports: JSON with errorType, errorMessage, and stackTrace (Python, Go)
 * or trace (Node); `type` is the header's, for JSON that has none, or ''. Answers with it, or
 * breaks off what has been answered already. */
int result_error(struct worker *w, const char *type, struct slice json);

/* Decodes base64, leaving out what does not belong; for the trailer, too. */
int result_base64(struct slice text, struct buf *b);
