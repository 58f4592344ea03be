#pragma once

/* A connection: reads requests, writes answers, and closes what is slow or wrong. */

#include "gateway/gateway.h"

/* A connection:
 *
 *   HEAD --request--> BUSY --answered--> HEAD (keep-alive), LINGER (unread body, close)
 *     |                 \--101--> TUNNEL
 *     \______________________\__ gone, timeout, error ___> CLOSED (freed)
 */

enum client_state {
    CLIENT_HEAD,   /* between requests, or a head that is not complete */
    CLIENT_BUSY,   /* a request has its invocation, or its answer is being written */
    CLIENT_TUNNEL, /* bytes pass through both ways */
    CLIENT_LINGER, /* all is said; reads on for a moment so that it arrives */
    CLIENT_CLOSED,
    _CLIENT_STATE_MAX,
};

/* Adds the next piece of an answer's body to b. Returns 1 if there is more, 0 at the end, or a
 * negative errno, which breaks the answer off. */
typedef int client_more(void *ctx, struct buf *b);

/* Where it came in. */
enum client_door {
    CLIENT_PUBLIC,
    CLIENT_LOCAL,  /* the unix socket, whose peers are the daemon's own user */
    CLIENT_ADMIN,  /* the admin listener */
    CLIENT_REPLAY, /* from control: a request that is carried out again */
};

struct client {
    struct list link;
    struct gateway *gateway;
    enum client_state state;
    int fd;
    struct loop_io io;
    struct loop_timer timer;
    struct http_parser parser;
    struct buf in;
    struct buf out;
    struct invocation *invocation; /* in BUSY and TUNNEL, until its answer is complete */
    char ip[46];
    enum client_door door;
    struct replay *replay; /* of CLIENT_REPLAY: for which function */
    bool body_ended;       /* the whole request has been read */
    bool body_is_small;    /* so that reading it to its end is cheaper than a new connection */
    bool head_begun;       /* the first byte of the next request has come */
    bool stalled;          /* the client does not take its answer as fast as it comes */
    bool keep_alive;
    bool head_request;
    bool answered; /* the answer is complete, if not yet written */
    bool out_chunked;
    unsigned version_minor;
    uint64_t body_seen; /* bytes of it at the last check of the rate */
    int unsent_seen;    /* bytes of the answer in the kernel at the last check, while stalled */
    uint64_t body_total;
    uint64_t lingered;
    client_more *more; /* of an answer by pieces; NULL: there are none, or no more */
    void *more_ctx;
};

/* Whether errors are told in full: who uses the admin interface may know. */
static inline bool client_is_trusted(const struct client *c)
{
    return c->door != CLIENT_PUBLIC;
}

/* Whether it speaks to the admin interface. */
static inline bool client_is_admin(const struct client *c)
{
    return c->door == CLIENT_LOCAL || c->door == CLIENT_ADMIN;
}

/* A connection that was accepted: reads from it at once. Takes fd_consume. */
struct sockaddr_storage;
void client_new(struct gateway *g, int fd_consume, enum client_door door,
                const struct sockaddr_storage *addr);

/* One for a request that is carried out again. Takes both. */
void client_new_replay(struct gateway *g, int fd_consume, struct replay *replay_consume);

/* Accept what waits at each door; and again after a pause. */
void clients_on_listen(struct loop_io *io);
void clients_on_local(struct loop_io *io);
void clients_on_admin(struct loop_io *io);
void clients_on_accept_pause(struct loop_timer *t);

/* Answers a request without an invocation, or one whose answer has not begun. `headers` are whole
 * lines ("A: b\r\n") or NULL. */
void client_answer(struct client *c, unsigned status, const char *headers, const char *type,
                   struct slice body);

/* Answers with a body that is made as fast as the client takes it: more() is asked again when all
 * that it has given is on its way. Frees ctx, with free(), when it is not needed any more. */
void client_answer_pieces(struct client *c, const char *type, client_more *more, void *ctx_consume);

void client_pump(struct client *c); /* its next piece */

/* Date and Connection. */
int client_write_common_headers(struct client *c, bool has_date);

/* {"errorType": ..., "errorMessage": message, "requestId": id}, with the type that belongs to the
 * status (model/failure.h); id may be empty. */
void client_answer_error(struct client *c, unsigned status, const char *headers,
                         const char *message, struct slice request_id);

/* What went wrong, as the client hears of it. What is empty is left out. */
struct client_failure {
    unsigned status;
    const char *type;
    const char *message;
    struct slice request_id;
    struct slice stack; /* lines */
    struct slice cause; /* JSON: the function's own word of its error */
};

void client_answer_failure(struct client *c, const char *headers, const struct client_failure *f);

/* The pieces of a worker's answer. begin: the worker's head; data: bytes of the body; end:
 * complete. */
int client_begin(struct client *c, const struct http_head *head, struct invocation *inv);
int client_data(struct client *c, struct slice data);
void client_end(struct client *c);

/* The answer cannot be completed: the connection goes, which is how the client can tell. */
void client_abort(struct client *c);

/* After begin with 101. */
void client_tunnel(struct client *c);

/* Room for more of the answer: the worker's side reads only while there is. */
static inline bool client_has_room(const struct client *c)
{
    return buf_len(&c->out) < BODY_WINDOW;
}

/* Reads on after the worker's side has taken what was held. */
void client_resume(struct client *c);
void client_flush(struct client *c);

/* Gives the connection out of hand: returns its descriptor, which the caller owns, and ends c as
 * client_close() does, without the peer noticing. */
int client_release(struct client *c);

/* Ends the connection; c stays readable (CLIENT_CLOSED) until the end of the round, then it is
 * freed by client_free(). May be called twice. */
void client_close(struct client *c);
void client_free(struct client *c);
