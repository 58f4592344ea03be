#pragma once

/* One HTTP/1.1 request to the daemon's local socket, and its answer. */

#include "base/error.h"
#include "base/slice.h"
#include "http/http.h"

#define CLIENT_HEAD_MAX (64 * 1024) /* of an answer; a function's headers are in it */

struct client_request {
    const char *state; /* the daemon's state folder */
    const char *method;
    const char *target; /* already percent-coded */
    struct slice body;
    const char *header; /* one more header, name and value, or NULL */
    const char *value;
    uint64_t timeout_ms; /* for all of it; 0 for none */
};

/* What is done with the answer. What the slices point to is gone when the function returns. */
struct client_sink {
    void (*on_head)(void *ctx, const struct http_head *head);
    int (*on_data)(void *ctx, struct slice data); /* a negative result ends the call */
    void *ctx;
};

enum {
    CLIENT_E_OK,
    CLIENT_E_UNREACHABLE, /* nobody listens there */
    CLIENT_E_TIMEOUT,
};

/* Returns an outcome above, -EPROTO for an answer that is not HTTP or is cut off, what on_data
 * returned, or -errno; *err is set for all but CLIENT_E_OK. */
int client_call(const struct client_request *request, const struct client_sink *sink,
                struct error *err);
