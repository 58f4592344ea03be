#pragma once

/* An event stream of the daemon that comes back when it breaks off, where it was: by
 * Last-Event-ID. It waits for nothing itself: the caller polls. */

#include "cli/client.h"
#include "cli/sse.h"

#define STREAM_SILENCE_S                                                                           \
    50 /* the daemon says something each 15 s; so long without is a dead one                       \
        */

struct stream;

/* target is borrowed. on_event() as in sse.h; a negative result ends stream_step() with it. */
struct stream *stream_new(const struct client_peer *peer, const char *target,
                          int (*on_event)(void *ctx, const struct sse_event *event), void *ctx);
struct stream *stream_free(struct stream *s);

/* Asks somebody else from the next connection on, from the beginning. */
void stream_set_peer(struct stream *s, const struct client_peer *peer);

/* Whether the next connection goes on where this one is: an event had an id. */
bool stream_resumes(const struct stream *s);

enum {
    STREAM_E_OK,
    STREAM_E_LIVE, /* connected, the first time or again */
    STREAM_E_LOST, /* broke off, or the first try failed; *err says why; it will be tried again */
    STREAM_E_REFUSED, /* for good: see stream_status() */
};

/* Connects, reads, tries again: whatever can be done now. Returns an outcome, what on_event()
 * returned, or -EMSGSIZE for a stream that is not one. */
int stream_step(struct stream *s, struct error *err);

/* Of the last answer, if that was no stream. */
unsigned stream_status(const struct stream *s);
struct slice stream_refusal(const struct stream *s); /* the body */

int stream_fd(const struct stream *s); /* -1: there is none now */
short stream_events(const struct stream *s);
int stream_timeout_ms(const struct stream *s); /* for poll(): when stream_step() is due anyway */
