#pragma once

/* One request's life, from its arrival to its record. */

#include "gateway/gateway.h"

#include "model/trace.h"

/* States:
 *
 *   QUEUED --worker--> RUNNING --head--> ANSWERING --end--> ENDING --worker gone--> DONE
 *     |                  | \--deadline--> EXPIRING --stack, grace--^                  ^
 *     |                  |                   ^---deadline--- ANSWERING                |
 *     |                  \__ crash, hang-up ________________________^                 |
 *     \___________________________ late, refused, hang-up ____________________________/
 *
 * DONE is entered exactly once, and only there the slot is given back and the record written.
 * The client is answered when ENDING or DONE is entered, at the latest. */

enum invocation_state {
    INVOCATION_QUEUED,
    INVOCATION_RUNNING,
    INVOCATION_ANSWERING,
    INVOCATION_EXPIRING, /* asked for its stack */
    INVOCATION_ENDING,   /* the outcome is known; the worker has not ended yet */
    INVOCATION_DONE,
    _INVOCATION_STATE_MAX,
};

struct invocation {
    struct list link; /* in the pool's queue while QUEUED */
    struct gateway *gateway;
    struct pool *pool;
    struct client *client; /* NULL when it is answered or gone */
    struct worker *worker;
    enum invocation_state state;
    enum trigger trigger;
    char id[REQUEST_ID_LEN + 1];
    struct trace trace;
    char method[32];
    char *path;
    struct buf head;  /* canonical request, without its end */
    struct buf extra; /* header lines that rules add to the answer */
    bool extra_wins;  /* over the answer's own; else these win */
    struct buf body;  /* of it, framed; waits for the worker to take it */
    bool body_chunked;
    bool body_ended;
    bool cold;
    bool upgrade_asked;
    bool head_sent;     /* the client's answer has begun */
    bool capture_error; /* the body of an unhandled error goes into `error_json` */
    bool hide_error;    /* and not to the client */
    struct loop_timer timer;
    uint64_t arrived_ns, assigned_ns, answered_ns;
    uint64_t arrived_wall_us;
    uint64_t init_ns;
    enum outcome outcome;
    unsigned status;
    struct limit_use limit; /* the first one that was hit */
    char *error;            /* for people */
    struct buf error_json;  /* what the function said of its error */
    bool error_json_settled;
    bool error_json_whole; /* it is JSON */
    uint64_t bytes_in, bytes_out;
    struct recording *recording; /* NULL: its function does not record */
    bool is_replay;
};

/* Makes one for the client's request and hands it to the pool. */
struct invocation *invocation_new(struct gateway *g, struct client *c, struct pool *pool,
                                  enum trigger trigger, const struct http_head *head);

void invocation_move(struct invocation *inv, enum invocation_state to);
void invocation_free(struct invocation *inv);

/* A piece of the request's body, decoded; and its end. */
int invocation_body(struct invocation *inv, struct slice data);
int invocation_body_end(struct invocation *inv);
static inline bool invocation_has_room(const struct invocation *inv)
{
    return buf_len(&inv->body) < BODY_WINDOW;
}

/* Notes which limit it has hit, unless one is known already; without a hit it does nothing. Who
 * ends it says the outcome; why it failed are the limit's own words then. */
void invocation_hit(struct invocation *inv, const struct limit_use *limit);

/* Ends it, if it has not: the outcome, the status for the client if it has no answer yet, and why.
 */
void invocation_fail(struct invocation *inv, enum outcome outcome, unsigned status,
                     const char *error);

/* The same for want of something, with 429 or 503; counted by what it is that it had to wait for.
 */
void invocation_refuse(struct invocation *inv, enum throttle reason, unsigned status,
                       const char *error);

/* The client went away (status 0), or is answered by the caller with that status. */
void invocation_hangup(struct invocation *inv, enum outcome outcome, unsigned status,
                       const char *error);

/* Moves one that is still QUEUED, and in no queue, to another version of its function. */
void invocation_hand_over(struct invocation *inv, struct pool *pool);

/* What happens at the worker. */
void invocation_assign(struct invocation *inv, struct worker *w);
void invocation_watch(struct invocation *inv); /* its worker's process has become known */
void invocation_on_head(struct invocation *inv, const struct http_head *head);
void invocation_on_data(struct invocation *inv, struct slice data);
void invocation_on_end(struct invocation *inv);
void invocation_on_cpu_time(struct invocation *inv, uint64_t used_ms); /* over its limit */
void invocation_on_worker_lost(struct invocation *inv, const char *why);
void invocation_on_worker_ended(struct invocation *inv);

void request_id_make(uint64_t wall_us, char dst[static REQUEST_ID_LEN + 1]);

/* Goes on with the trace that the request names, if it names one as it should; else a new one. */
void request_trace_make(const struct http_head *head, struct trace *ret);
