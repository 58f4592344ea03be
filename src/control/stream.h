#pragma once

/* Server-sent events of /api/v1/stream, and who waits for /api/v1/live.
 *
 * Nobody is waited for: what does not fit a client's buffer is left out and counted, and an event
 * `gap` says how much it was once there is room. Records and log lines carry as id the numbers
 * under which the store has the last of each ("records-lines"), so that a client that comes back
 * with Last-Event-ID is given what it has missed. */

#include "control/api.h"
#include "control/live.h"

#define STREAM_RECORDS_MAX 200 /* of one event */
#define STREAM_LINES_MAX   500
#define STREAM_RESUME_MAX  1000 /* of each kind, from the store */
#define STREAM_BATCH_MAX   4096 /* of each kind, of one batch */

enum stream_events {
    STREAM_LIVE = 1 << 0,
    STREAM_WORKERS = 1 << 1,
    STREAM_RECORD = 1 << 2,
    STREAM_LOG = 1 << 3,
};

struct stream {
    struct list link;
    struct api_connection *connection;
    unsigned events;
    bool begun; /* has had its first `live` */
    char function[65];
    char request[65];
    uint64_t gap_records, gap_lines;
};

/* One record or line of the batch that has just come, as JSON. */
struct stream_item {
    size_t at, len; /* in struct stream_items' text */
    size_t function_at, function_len, request_at, request_len;
};

struct stream_items {
    struct buf text;
    struct stream_item items[STREAM_BATCH_MAX];
    uint32_t n;
    uint64_t n_omitted;
};

struct streams {
    struct control *control;
    struct live live;
    struct list list;
    unsigned n_live, n_workers, n_record, n_log;
    struct stream_items records, lines;
    struct loop_timer tick, beat, wait;
    struct api_connection *waiting[API_CONNECTIONS_MAX]; /* for /live */
    uint32_t n_waiting;
    uint32_t interval_ms; /* that the gateway was told */
    struct buf event;
};

void streams_init(struct streams *s, struct control *c);
void streams_deinit(struct streams *s);

/* A gateway is there, and knows nothing yet; or it has told what it does. */
void streams_link(struct streams *s);
void streams_on_live(struct streams *s, struct slice json);

/* What has come, one by one, then the end of the batch. */
void streams_record(struct streams *s, const struct record *r);
void streams_line(struct streams *s, uint64_t number, const struct log_line *l);
void streams_flush(struct streams *s);

/* Handlers. */
void api_stream(struct api_call *call);
void api_live(struct api_call *call);
