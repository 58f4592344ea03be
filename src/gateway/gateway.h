#pragma once

/* The gateway: owns connections and invocations. Single-threaded, never blocks, opens no file after
 * its start.
 *
 *   client ──request──> invocation ──waits in──> pool ──gives──> worker ──answer──> client
 *                            └──────────── record ─────────────> journal ──> control
 */

#include "base/slots.h"
#include "gateway/admin.h"
#include "gateway/metrics.h"
#include "http/http.h"
#include "loop/loop.h"
#include "model/record.h"
#include "model/snapshot.h"
#include "os/cpu.h"
#include "os/pidref.h"
#include "os/self.h"
#include "wire/wire.h"

#define BODY_WINDOW     65536 /* bytes held per direction before the sender has to wait */
#define READ_BYTES      16384
#define STACK_BYTES_MAX 16384
#define RECENT_RECORDS  256 /* kept for `invoke --verbose` */

/* How long a peer may take. */
#define PROGRESS_BYTES    (5 * 1024)     /* in each body_timeout and write_timeout, at least */
#define LINGER_NS         (1 * NS_PER_S) /* reading on after the last answer, so that it arrives */
#define LINGER_BYTES_MAX  65536
#define ADMIN_CLIENTS_MAX 128 /* connections to the admin listener that are still ours */
#define STACK_GRACE_NS    (250 * NS_PER_MS) /* between asking for the stack and killing */
#define END_GRACE_NS      (100 * NS_PER_MS) /* between the answer's end and killing */
#define WATCHDOG_NS       (10 * NS_PER_MS)  /* that the loop may be late with killing */

struct gateway;
struct client;
struct pool;
struct worker;
struct invocation;
struct watchdog;

struct settings {
    struct http_limits http;
    uint32_t workers_max;     /* processes of functions at once, standbys included */
    uint64_t head_timeout_ms; /* from a request's first byte to its whole head */
    uint64_t idle_timeout_ms; /* between two requests */
    uint64_t body_timeout_ms;
    uint64_t write_timeout_ms;
    const char *url;
    const char *admin_address; /* of the admin listener; NULL: there is none */
    const char *admin_hosts;   /* see admin_init() */
};

/* A snapshot in use: by the gateway as the current one, and by pools of functions from it. */
struct served {
    struct snapshot *snapshot;
    struct rules *rules; /* of its sites; NULL: it has none */
    unsigned refs;
};

/* Records and log lines on their way to control, in batches (journal.c). Lines first: in a terminal
 * they stand before the request that they belong to. */
enum journal_kind {
    JOURNAL_LOGS,
    JOURNAL_RECORDS,
    _JOURNAL_KIND_MAX,
};

struct journal {
    struct {
        struct buf open; /* the batch that is being made: encoded one behind the other */
        uint32_t n;
        uint64_t lost;      /* since the last batch */
        size_t kept_bytes;  /* of its batches that control has not taken */
        uint64_t unsure;    /* sent and not kept any more: lost, if this control never takes them */
        uint64_t unsure_n;  /* the same without what they told as lost */
        uint64_t lost_ever; /* for the metrics: never taken back */
    } kinds[_JOURNAL_KIND_MAX];
    struct list kept;      /* batches in their order, until control has taken them */
    uint64_t unsure_batch; /* the last of those that are not sure */
    uint64_t boot;         /* random: tells this gateway from others */
    uint64_t batch;        /* the last that was made */
    uint64_t lost_recordings;
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
    int listen_fd, local_fd, admin_fd; /* the last may be -1 */
    struct loop_io listen_io, local_io, admin_io;
    struct loop_timer accept_pause; /* out of descriptors */
    struct served *served;          /* NULL before the first snapshot */
    char *sandbox;                  /* JSON of how functions are confined; NULL before it is told */
    bool degraded;                  /* layers of it are missing */
    struct list clients;            /* of the public listener and of the unix socket */
    struct list admin_clients;      /* of the admin listener, oldest first */
    uint32_t n_clients;             /* all */
    uint32_t n_admin_clients;
    struct admin admin;
    struct list pools;
    struct counter *counters; /* of projects, for ever: few */
    uint32_t n_counters;
    struct list waiting; /* pools whose queue waits for the machine's ceiling */
    struct slots workers;
    uint32_t n_workers;
    struct watchdog *watchdog;
    bool watchdog_realtime;
    struct cpu_meter cpu;
    struct metrics *metrics;
    struct self_meter self;
    uint64_t started_us; /* wall clock */
    bool draining;
    struct {
        bool ready;
        char *json; /* control's word of itself; NULL: none since it is there */
    } status;
    struct journal journal;
    struct {
        uint32_t interval_ms;
        struct loop_timer tick; /* armed while somebody watches */
    } live;
    char *recent[RECENT_RECORDS]; /* JSON of the last records, a ring */
    unsigned next_recent;
    struct loop_task drain_check;
    struct loop_timer drain_again;
    uint64_t drain_until_ns; /* how long it may wait for control to take what is left */
    struct loop_task bury;   /* frees what ended in this round */
    struct list dead_clients, dead_invocations, dead_workers;
};
