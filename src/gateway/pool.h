#pragma once

/* One version of a function: its zygote, its workers, and the requests that wait for them. */

#include "gateway/log.h"

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
    struct metric_function *metrics; /* NULL: nobody has asked for it yet; see pool_metrics() */
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
    struct loop_timer refill_soon;
    struct loop_timer refill_pause; /* then it looks again whether to make standbys */
    unsigned n_unused_deaths;
    unsigned n_dead_zygotes; /* weighed */
    uint64_t wanted_ns;      /* when the zygote was asked for */
    bool asked;              /* by this gateway: it has not taken over one that was there */
    uint64_t last_used_ns;
    double rate; /* arrivals per second, decaying */
    uint64_t rate_at_ns;
    double start_seconds; /* how long a worker takes from FORK to WORKER_STARTED, smoothed */
    double tokens;        /* of the rate limit */
    uint64_t tokens_at_ns;
    char *load_error; /* JSON, of the last load that failed */
    uint64_t load_failed_ns;
};

/* Makes pools for the functions of a new snapshot and retires those that are gone. */
int pools_serve(struct gateway *g, struct snapshot *snapshot_take);
struct pool *pools_find(struct gateway *g, const struct function *f);
struct metric_function *pool_metrics(struct pool *p); /* its counters; never NULL */
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

/* Ends a zygote that does not do its part, and all its workers. */
void pool_drop_zygote(struct pool *p, const char *what);

/* The supervisor's word. */
void pool_on_zygote_started(struct gateway *g, struct wire_message *m);
void pool_on_zygote_ready(struct pool *p, pid_t pid);
void pool_on_zygote_ended(struct pool *p, const struct wire_zygote_ended *ended);
void pools_on_zygote_refused(struct gateway *g, struct slice function, struct slice version,
                             struct slice error);
void pools_drop_standbys(struct gateway *g);
