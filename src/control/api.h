#pragma once

/* The admin API: one request on each connection that the gateway hands over, answered with
 * `Connection: close`. Which requests there are is data (api-table.c); what they do stands in
 * api-*.c.
 *
 * Nothing here blocks: an answer is made whole in memory, up to a ceiling, and sent as the client
 * takes it; a stream (stream.h) drops what its client does not take. A client that is slow in
 * either direction is closed. */

#include "base/clock.h"
#include "base/list.h"
#include "control/access.h"
#include "http/http.h"
#include "loop/loop.h"
#include "json/writer.h"

#define API_CONNECTIONS_MAX 128
#define API_HEAD_MAX        32768
#define API_BODY_MAX        (1536UL * 1024)      /* of a request */
#define API_ANSWER_MAX      (32UL * 1024 * 1024) /* of one answer */
#define API_BYTES_MAX       (96UL * 1024 * 1024) /* of all together: beyond it, 503 */
#define API_STREAM_MAX      (1024UL * 1024)      /* what a stream's client has not taken yet */
#define API_READ_NS         (15 * NS_PER_S)      /* from the first byte to the last of a request */
#define API_STALL_NS        (30 * NS_PER_S)      /* a client that takes nothing of what there is */
#define API_PARAMS_MAX      24
#define API_ARGS_MAX        2

struct control;
struct api_call;
struct api_connection;

/* ---- what there is ---- */

enum endpoint_flags {
    ENDPOINT_LOCAL = 1 << 0, /* only for who comes by the unix socket */
    ENDPOINT_BODY = 1 << 1,  /* it reads a body */
};

struct endpoint {
    const char *method;
    const char *path;   /* "{name}" stands for one segment, which comes decoded */
    const char *params; /* what may stand in the query, with blanks between; NULL: nothing */
    void (*handle)(struct api_call *call);
    unsigned flags;
};

extern const struct endpoint endpoints[];
extern const size_t n_endpoints;

/* The table as JSON, for tests and tools: [{"method", "path", "params": [..], "local"}]. */
int endpoints_write(struct jsonw *w);

/* ---- one request ---- */

struct api_param {
    struct slice name, value; /* decoded */
};

struct api_call {
    struct control *control;
    struct api_connection *connection;
    const struct http_head *head;
    struct slice body;
    bool local;
    const struct endpoint *endpoint;
    struct slice args[API_ARGS_MAX]; /* what stood for the {names} of the path, never empty */
    struct api_param params[API_PARAMS_MAX];
    uint32_t n_params;
    struct buf text;  /* decoded values, which these point into */
    struct buf extra; /* header lines of the answer, each with its CRLF */
    struct buf json;  /* see api_json() */
    struct jsonw writer;
    bool answered;
};

/* Each call ends in exactly one of these, at once or, of a call that was put off, later. */

/* An answer of any type. */
void api_answer(struct api_call *call, unsigned status, const char *type, struct slice body);

/* An answer in JSON: begun by the first, written by the handler, sent by the second. */
struct jsonw *api_json(struct api_call *call);
void api_json_end(struct api_call *call, unsigned status);

/* {"errorType", "errorMessage"}; the type is that of the status. */
void api_fail(struct api_call *call, unsigned status, const char *format, ...) _printf_(3, 4);

/* ---- its parameters ---- a bad one is answered, and gives false */

struct slice api_param(const struct api_call *call, const char *name); /* empty if not given */
bool api_param_u64(struct api_call *call, const char *name, uint64_t max, uint64_t *ret);
bool api_param_bool(struct api_call *call, const char *name, bool *ret);
/* One of n names; *ret is its index. */
bool api_param_choice(struct api_call *call, const char *name, const char *(*choice)(unsigned i),
                      unsigned n, int *ret);

/* ---- connections ---- */

enum api_state {
    API_READING,   /* the request comes in */
    API_WAITING,   /* complete, and its answer is not there yet */
    API_WRITING,   /* the answer goes out */
    API_STREAMING, /* it has no end */
    API_LINGERING, /* all is sent; the client is to have read it before we close */
    API_CLOSED,
    _API_STATE_MAX,
};

struct api {
    struct control *control;
    struct loop *loop;
    struct list connections;
    uint32_t n_connections;
    size_t n_bytes; /* of answers that wait to be sent */
    struct loop_task reap;
    struct list closed;
};

struct stream;

struct api_connection {
    struct list link;
    struct api *api;
    enum api_state state;
    int fd;
    struct loop_io io;
    struct loop_timer timer;
    struct http_parser parser;
    struct buf in;   /* received, not yet parsed */
    struct buf head; /* the bytes of the head, once it is complete */
    struct buf body;
    struct buf out;
    bool local;
    uint8_t hash[ACCESS_HASH_SIZE]; /* of the token or session that it came with */
    bool head_only;                 /* HEAD */
    struct stream *stream;          /* or NULL; owned */
    void (*on_closed)(void *ctx, struct api_connection *c); /* while it waits; or NULL */
    void *ctx;
};

void api_init(struct api *a, struct control *c, struct loop *l);
void api_deinit(struct api *a);

/* Takes over the connection, of which `bytes` have been read. */
void api_take(struct api *a, int fd_consume, struct slice bytes, bool local);

/* A handler that cannot answer yet: the head is gone when it comes back, the connection stays until
 * `on_closed` says that it does not. Then one of api_answer_later() or api_close(). */
struct api_connection *api_put_off(struct api_call *call,
                                   void (*on_closed)(void *ctx, struct api_connection *c),
                                   void *ctx);
void api_answer_later(struct api_connection *c, unsigned status, struct slice json);

/* A handler that begins a stream: the head is sent, then whatever is in c->out. Returns false if
 * that could not be: the call is answered. */
bool api_stream_begin(struct api_call *call, const char *type);
/* There is something in c->out. May close the connection. */
void api_stream_kick(struct api_connection *c);

void api_close(struct api_connection *c); /* freed at the end of the round */
