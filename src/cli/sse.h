#pragma once

/* Server-sent events without I/O: bytes in, events out, by the rules of the HTML standard (its
 * section 9.2.6). However the bytes are cut the same is told.
 *
 * Context: allocates. */

#include "base/buf.h"
#include "base/slice.h"

#define SSE_EVENT_MAX (16 * 1024 * 1024) /* data of one event, and a line of it */
#define SSE_NAME_MAX  256
#define SSE_ID_MAX    256

/* What the slices point to is gone when on_event() returns. */
struct sse_event {
    struct slice name; /* "message" if it has none */
    struct slice data; /* lines are parted by \n */
    struct slice id;   /* of this event or the last one before that had one; empty: none had */
};

struct sse {
    struct buf line;
    struct buf name;
    struct buf data;
    struct buf id;
    uint64_t retry_ms; /* what the server asks for before a reconnect; 0: it has not */
    bool has_data;     /* a data line stands, even an empty one */
    bool after_cr;     /* a \n that comes now belongs to the line before */
    bool begun;        /* a byte order mark may stand at the very beginning only */
};

void sse_init(struct sse *s);
void sse_deinit(struct sse *s);

/* Reads on. Returns 0, -EMSGSIZE above a ceiling, -ENOMEM, or what on_event() returned if that is
 * negative; after a failure only sse_deinit() may follow. */
int sse_push(struct sse *s, struct slice bytes,
             int (*on_event)(void *ctx, const struct sse_event *event), void *ctx);
