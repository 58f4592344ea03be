#pragma once

/* Lambda's Runtime API without I/O: which request may come when, and what is answered. The requests
 * come from the author's program, which may do anything.
 *
 *                  init/error
 *     STARTED -----------------> INIT_FAILED
 *        |
 *        | next      +-- next (its connection was lost)
 *        v           v |
 *      READY <---------+
 *        |       ^
 *        | event  \----------------------------------- next
 *        v                                               |
 *     RUNNING --response--> RESPONSE --complete--------> SENT
 *        |    <---cut-----/                              ^
 *        \------error----> ERROR ----complete-----------/
 *             <---cut-----/
 */

#include "http/http.h"

#define RAPI_ADDRESS "127.0.0.1:9001" /* where programs find it; nobody listens there */
#define RAPI_PORT    9001

#define RAPI_ID_SIZE      64
#define RAPI_TYPE_SIZE    128
#define RAPI_CONTENT_SIZE 256
#define RAPI_MESSAGE_SIZE 192

/* AWS's limit on the body of a response that is not streamed. */
#define RAPI_RESPONSE_MAX (6 * 1024 * 1024 + 100)

enum rapi_state {
    RAPI_STARTED,     /* the program runs, and has not asked yet */
    RAPI_INIT_FAILED, /* it has told why it cannot */
    RAPI_READY,       /* it has asked for an event */
    RAPI_RUNNING,     /* it has one */
    RAPI_RESPONSE,    /* its answer is coming */
    RAPI_ERROR,       /* its error is coming */
    RAPI_SENT,        /* it has answered */
    _RAPI_STATE_MAX,
};

struct rapi {
    enum rapi_state state;
    char id[RAPI_ID_SIZE]; /* of the event it has, or had; empty: none yet */
};

enum rapi_call {
    RAPI_CALL_NONE, /* refused */
    RAPI_CALL_NEXT, /* to be answered when there is an event */
    RAPI_CALL_RESPONSE,
    RAPI_CALL_ERROR,
    RAPI_CALL_INIT_ERROR,
    RAPI_CALL_PING,
};

/* What is to be remembered of a request whose body is still to come. */
struct rapi_request {
    enum rapi_call call;
    bool streaming;
    bool bad_mode; /* refused, and the invocation has failed by it */
    char error_type[RAPI_TYPE_SIZE];
    char content_type[RAPI_CONTENT_SIZE];
    /* When call is NONE: */
    unsigned status;
    const char *type; /* NULL: the message is plain text */
    char message[RAPI_MESSAGE_SIZE];
};

void rapi_init(struct rapi *r);
const char *rapi_state_name(enum rapi_state state);

/* The head of a request: makes the move that it asks for, or refuses. */
void rapi_take(struct rapi *r, const struct http_head *head, struct rapi_request *ret);

/* Whether an answer of this type begins with status and headers as JSON, and eight NULs. Such a one
 * is streamed, also if it names no mode: Go's client names none. */
bool rapi_has_prelude(const char *content_type);

/* The event has been given to the program that has asked. */
void rapi_give(struct rapi *r, struct slice id);

/* The body of the response or error is there, or has been judged without it. */
void rapi_complete(struct rapi *r);

/* The connection was lost in it; `again`: the program may send it once more. */
void rapi_cut(struct rapi *r, bool again);

/* An error type as the platform passes it on: what has not its form becomes Runtime.Unknown, or
 * Function.Unknown. dst has RAPI_TYPE_SIZE bytes. */
void rapi_error_type(struct slice given, char *dst);

/* ---- answers ---- return 0, -ENOBUFS or -ENOMEM. */

/* The answer to everything but `next`. `keep_alive` of the request's head. */
int rapi_write_answer(struct buf *b, const struct rapi_request *request, bool keep_alive);

/* Any refusal; `type` NULL: message as plain text. */
int rapi_write_refusal(struct buf *b, unsigned status, const char *type, const char *message,
                       bool keep_alive);

struct rapi_event {
    struct slice id;
    struct slice arn;
    struct slice trace;
    uint64_t deadline_ms;
    struct slice body;
};

/* The answer to `next`. */
int rapi_write_event(struct buf *b, const struct rapi_event *event, bool keep_alive);
