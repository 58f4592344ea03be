#pragma once

/* The gateway: owns connections and invocations. Single-threaded, never blocks, opens no file after
 * its start.
 *
 *   client ──request──> invocation ──waits in──> pool ──gives──> worker ──answer──> client
 *                            └──────────── record ─────────────> journal ──> control
 */

#include "base/slots.h"
#include "http/http.h"
#include "loop/loop.h"
#include "model/record.h"
#include "model/snapshot.h"
#include "os/pidref.h"
#include "wire/wire.h"

#define BODY_WINDOW     65536 /* bytes held per direction before the sender has to wait */
#define READ_BYTES      16384
#define STACK_BYTES_MAX 16384
#define RECENT_RECORDS  256 /* kept for `invoke --verbose` */

/* How long a peer may take. */
#define HEAD_TIMEOUT_NS      (10 * NS_PER_S) /* from a request's first byte to its whole head */
#define KEEPALIVE_TIMEOUT_NS (60 * NS_PER_S)
#define BODY_CHECK_NS        (5 * NS_PER_S) /* the body must have come on by this many bytes: */
#define BODY_CHECK_BYTES     (5 * 1024)
#define WRITE_STALL_NS       (30 * NS_PER_S)
#define LINGER_NS            (1 * NS_PER_S) /* reading on after the last answer, so that it arrives */
#define LINGER_BYTES_MAX     65536
#define STACK_GRACE_NS       (250 * NS_PER_MS) /* between asking for the stack and killing */
#define END_GRACE_NS         (100 * NS_PER_MS) /* between the answer's end and killing */

struct gateway;
struct client;
struct pool;
struct worker;
struct invocation;

struct settings {
    struct http_limits http;
    uint32_t workers_max; /* processes of functions at once, standbys included */
    const char *url;
};

/* A snapshot in use: by the gateway as the current one, and by pools of functions from it. */
struct served {
    struct snapshot *snapshot;
    unsigned refs;
};

/* Records and log lines on their way to control, in batches. */
struct journal {
    struct buf records, logs; /* encoded one behind the other */
    uint32_t n_records, n_logs;
    uint64_t lost_records, lost_logs;
    struct loop_timer flush;
};

struct counter {
    char *project;
    uint64_t n_completed;
};

struct gateway {
    struct loop *loop;
    struct settings settings;
    struct wire supervisor;
    struct loop_io supervisor_io;
    struct wire control; /* may be closed for a while */
    struct loop_io control_io;
    int listen_fd, local_fd;
    struct loop_io listen_io, local_io;
    struct loop_timer accept_pause; /* out of descriptors */
    struct served *served;          /* NULL before the first snapshot */
    struct list clients;
    uint32_t n_clients;
    struct list pools;
    struct counter *counters; /* of projects, for ever: few */
    uint32_t n_counters;
    struct list waiting; /* pools whose queue waits for the machine's ceiling */
    struct slots workers;
    uint32_t n_workers;
    bool draining;
    struct journal journal;
    char *recent[RECENT_RECORDS]; /* JSON of the last records, a ring */
    unsigned next_recent;
    struct loop_task drain_check;
    struct loop_task bury; /* frees what ended in this round */
    struct list dead_clients, dead_invocations, dead_workers;
};

/* ---- client.c: a connection ----
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
    bool local;         /* came by the unix socket */
    bool body_ended;    /* the whole request has been read */
    bool body_is_small; /* so that reading it to its end is cheaper than a new connection */
    bool keep_alive;
    bool head_request;
    bool answered; /* the answer is complete, if not yet written */
    bool out_chunked;
    unsigned version_minor;
    uint64_t body_seen; /* bytes of it at the last check of the rate */
    uint64_t body_total;
    uint64_t lingered;
};

/* Accept what waits: on the TCP listener, on the unix socket; and again after a pause. */
void clients_on_listen(struct loop_io *io);
void clients_on_local(struct loop_io *io);
void clients_on_accept_pause(struct loop_timer *t);

/* Answers a request without an invocation, or one whose answer has not begun. `headers` are whole
 * lines ("A: b\r\n") or NULL. */
void client_answer(struct client *c, unsigned status, const char *headers, const char *type,
                   struct slice body);

/* {"errorType": type, "errorMessage": message, "requestId": id}; id may be empty. */
void client_answer_error(struct client *c, unsigned status, const char *headers, const char *type,
                         const char *message, struct slice request_id);

/* The same with a stack (lines), if there is one. */
void client_answer_failure(struct client *c, unsigned status, const char *headers, const char *type,
                           const char *message, struct slice request_id, struct slice stack);

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

/* Ends the connection; c stays readable (CLIENT_CLOSED) until the end of the round, then it is
 * freed by client_free(). May be called twice. */
void client_close(struct client *c);
void client_free(struct client *c);

/* ---- request.c: what a request becomes ---- */

/* Looks at a complete head and begins an invocation, or answers. */
void request_begin(struct client *c, const struct http_head *head);

/* The canonical head for the worker, all but its end (the deadline is known later). Returns 0 or
 * -errno. */
int request_write_head(struct buf *b, const struct client *c, const struct http_head *head,
                       const struct route_match *match, const struct invocation *inv);

/* Makes the request an invocation of f. */
void request_invoke(struct client *c, const struct http_head *head, const struct function *f,
                    const struct route_match *match, enum trigger trigger);

/* ---- builtin.c, local.c ---- */

void builtin_answer(struct client *c, const struct route *route);

/* How many requests the functions of a project have completed; NULL without memory. */
uint64_t *counter_of(struct gateway *g, const char *project);

/* Answers a request to the API of the unix socket. */
void local_answer(struct client *c, const struct http_head *head);

/* ---- invocation.c ----
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
    char method[32];
    char *path;
    struct buf head; /* canonical request, without its end */
    struct buf body; /* of it, framed; waits for the worker to take it */
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
    char *error;           /* for people */
    struct buf error_json; /* what the function said of its error */
    uint64_t bytes_in, bytes_out;
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

/* Ends it, if it has not: the outcome, the status for the client if it has no answer yet, and why.
 */
void invocation_fail(struct invocation *inv, enum outcome outcome, unsigned status,
                     const char *error);

/* The client went away, or broke off. */
void invocation_hangup(struct invocation *inv, enum outcome outcome, const char *error);

/* What happens at the worker. */
void invocation_assign(struct invocation *inv, struct worker *w);
void invocation_on_head(struct invocation *inv, const struct http_head *head);
void invocation_on_data(struct invocation *inv, struct slice data);
void invocation_on_end(struct invocation *inv);
void invocation_on_worker_lost(struct invocation *inv, const char *why);
void invocation_on_worker_ended(struct invocation *inv);

/* ---- worker.c ----
 *
 *   STANDBY --assigned--> BUSY --answer complete--> ENDING --ended--> (freed)
 *      |                   ^ \--------instance: answer complete---> STANDBY
 *      \__ not needed, died ______________________________^
 */

enum worker_state {
    WORKER_STANDBY,
    WORKER_BUSY,
    WORKER_ENDING,
    _WORKER_STATE_MAX,
};

struct log_pipe {
    struct worker *worker; /* NULL: of a zygote */
    struct pool *pool;
    enum log_stream stream;
    int fd;
    struct loop_io io;
    struct buf line; /* an incomplete one */
    bool in_stack;
};

struct usage {
    uint32_t status;
    uint64_t user_us, system_us, memory_peak_bytes, minor_faults, major_faults, voluntary_switches,
        involuntary_switches;
};

struct worker {
    struct list link; /* in the pool's standbys or busy */
    struct pool *pool;
    uint64_t id;
    enum worker_state state;
    struct pidref process;       /* unknown until WORKER_STARTED */
    bool kill_pending;           /* as soon as it is known */
    bool gone;                   /* its process has ended; what it wrote may still be here */
    bool eof;                    /* all that it wrote has been read */
    bool lost;                   /* it died with its zygote */
    bool buried;                 /* waits for the end of the round to be freed */
    bool interim;                /* the head being read is that of a 1xx */
    bool may_stay;               /* the answer's head left the connection open */
    bool tunnel;                 /* 101: the bytes are not HTTP any more */
    bool usable_again;           /* instance: the last answer left the connection in order */
    struct loop_timer eof_grace; /* closed its socket: how did it end? */
    int fd;
    struct loop_io io;
    struct http_parser parser;
    struct buf in;
    struct log_pipe out, err;
    struct buf stack;
    uint64_t log_bytes, log_lines, log_dropped;
    uint64_t since_ns;      /* in this state */
    uint64_t cpu_before_us; /* instance: used by earlier requests */
    uint64_t forked_ns;
    struct invocation *invocation;
    struct usage usage;
};

/* Asks the zygote for a worker. Returns it as STANDBY, or NULL. */
struct worker *worker_new(struct pool *pool);
void worker_move(struct worker *w, enum worker_state to);

/* Writes what the invocation holds for it; reads what it answered. */
void worker_pump_out(struct worker *w);
void worker_pump_in(struct worker *w);

/* Signals it, now or as soon as its process is known. */
void worker_kill(struct worker *w, int signal);

/* Its process has ended (or never was). Frees it as soon as its invocation is over. */
void worker_ended(struct worker *w, const struct usage *usage);
void worker_free(struct worker *w);

/* Instance: the CPU time since the last measurement, into usage. */
void worker_measure(struct worker *w);

/* Takes the pidfd that the zygote sent; a process that is none of its children is not believed. */
int worker_started(struct worker *w, int pidfd_consume);

/* ---- log.c ---- */

/* Reads the function's output in lines. Consumes fd. w is NULL for the output of a zygote. */
int log_pipe_open(struct log_pipe *p, struct gateway *g, int fd_consume, enum log_stream stream,
                  struct worker *w, struct pool *pool);

/* Reads what is there now. */
void log_pipe_drain(struct log_pipe *p);
void log_pipe_close(struct log_pipe *p); /* what is left of a line is told; may be called twice */

/* ---- pool.c: one version of a function ---- */

enum pool_state {
    POOL_COLD,
    POOL_LOADING, /* a zygote was asked for */
    POOL_WARM,
    _POOL_STATE_MAX,
};

struct pool {
    struct list link;
    struct list waiting_link;
    struct gateway *gateway;
    struct served *served;
    const struct function *function;
    enum pool_state state;
    bool retired; /* not in the current snapshot */
    uint64_t zygote;
    pid_t zygote_pid;
    struct wire wire;
    struct loop_io io;
    struct log_pipe zygote_log;
    struct list standbys;
    struct list busy;
    struct list queue;
    uint32_t n_standbys, n_busy, n_queue, n_invocations;
    struct loop_task refill;
    struct loop_timer idle;
    struct loop_timer refill_pause; /* after standbys that died unused */
    unsigned n_unused_deaths;
    uint64_t wanted_ns; /* when the zygote was asked for */
    uint64_t last_used_ns;
    double rate; /* arrivals per second, decaying */
    uint64_t rate_at_ns;
    double start_seconds; /* how long a worker takes from FORK to WORKER_STARTED, smoothed */
    double tokens;        /* of the rate limit */
    uint64_t tokens_at_ns;
    uint64_t n_completed;
    char *load_error; /* JSON, of the last load that failed */
    uint64_t load_failed_ns;
};

/* Makes pools for the functions of a new snapshot and retires those that are gone. */
int pools_serve(struct gateway *g, struct snapshot *snapshot_take);
struct pool *pools_find(struct gateway *g, const struct function *f);
struct pool *pools_find_zygote(struct gateway *g, uint64_t zygote);

/* Admits, queues or refuses the invocation. */
void pool_submit(struct pool *p, struct invocation *inv);

/* Gives standbys, new workers or the freed slot to those who wait. */
void pool_dispatch(struct pool *p);
void pools_dispatch_waiting(struct gateway *g);

/* Takes an invocation out of the queue. */
void pool_forget(struct pool *p, struct invocation *inv);

/* A worker has gone. */
void pool_on_worker_gone(struct pool *p);

/* The supervisor's word. */
void pool_on_zygote_started(struct gateway *g, struct wire_message *m);
void pool_on_zygote_ready(struct pool *p);
void pool_on_zygote_ended(struct pool *p, bool loaded, struct slice error);
void pools_on_zygote_refused(struct gateway *g, struct slice function, struct slice version,
                             struct slice error);
void pools_drop_standbys(struct gateway *g);

/* ---- journal.c ---- */

void journal_record(struct gateway *g, const struct record *r);
void journal_log(struct gateway *g, const struct log_line *l);
void journal_flush(struct gateway *g);
const char *journal_find_recent(struct gateway *g, struct slice request_id);

/* ---- links.c: supervisor and control ---- */

int links_open(struct gateway *g, int supervisor_fd);
void links_send_supervisor(struct gateway *g, struct wire_message *m);
void links_send_control(struct gateway *g, struct wire_message *m);
void gateway_drain(struct gateway *g);

/* ---- id.c ---- */

void request_id_make(uint64_t wall_us, char dst[static REQUEST_ID_LEN + 1]);
#define TRACE_PARENT_LEN 55
void trace_parent_make(char dst[static TRACE_PARENT_LEN + 1]); /* W3C traceparent of a new trace */
