#pragma once

/* One HTTP/1.1 request to a daemon, and its answer: by its local socket, or by its admin listener.
 * client_call() waits for all of it; the rest is for those who have more than that to wait for. */

#include "base/error.h"
#include "base/slice.h"
#include "http/http.h"

#define CLIENT_HEAD_MAX       (64 * 1024) /* of an answer; a function's headers are in it */
#define CLIENT_CONNECT_MAX_MS 5000        /* over TCP */

/* Whom to ask; all borrowed. */
struct client_peer {
    const char *state; /* the daemon's state folder; NULL for an admin listener: */
    const char *host;  /* name or address, an IPv6 one without its brackets */
    const char *port;
    const char *token; /* or NULL */
};

struct client_request {
    const struct client_peer *peer;
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
    CLIENT_E_MORE, /* of client_step(): the answer goes on */
};

/* Returns CLIENT_E_OK, _UNREACHABLE or _TIMEOUT, -EPROTO for an answer that is not HTTP or is cut
 * off, what on_data returned, or -errno; *err is set for all but CLIENT_E_OK and what on_data
 * returned. */
int client_call(const struct client_request *request, const struct client_sink *sink,
                struct error *err);

struct client;

/* Connects; request and sink are borrowed until client_close(). timeout_ms is the caller's affair.
 * Returns 0 with *ret, CLIENT_E_UNREACHABLE or -errno. */
int client_open(const struct client_request *request, const struct client_sink *sink,
                struct client **ret, struct error *err);

/* What to poll() for before client_step(). */
int client_fd(const struct client *c);
short client_events(const struct client *c);

/* Sends and takes what can be now. Returns CLIENT_E_MORE, or what client_call() would. */
int client_step(struct client *c, struct error *err);

/* Takes NULL. Returns NULL. */
struct client *client_close(struct client *c);
