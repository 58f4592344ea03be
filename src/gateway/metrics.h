#pragma once

/* What the gateway counts, for Prometheus: docs/METRICS.md is the list. Counting takes constant
 * time and no memory; the page is written piece by piece, so that a scrape of many functions
 * neither holds up the loop nor grows a buffer.
 *
 * A function has its counters from its first request on, by its name: over all versions, and for
 * ever, since a counter never goes down. Beyond METRICS_FUNCTIONS_MAX names all others share
 * "(other)". They begin at 0 with each gateway, as Prometheus expects of a restart. */

#include "model/function.h"
#include "model/record.h"

#define METRICS_FUNCTIONS_MAX 2000
#define METRICS_PIECE_BYTES   16384 /* a page's piece is a little larger than this, at most */
#define METRICS_PIECE_MAX     65536
#define METRICS_TYPE          "text/plain; version=0.0.4; charset=utf-8"

#define METRIC_BUCKETS 18 /* with a bound; metrics.c */

/* The bounds as the page shows them. */
extern const char *const metric_bounds[METRIC_BUCKETS];

struct metric_histogram {
    uint64_t buckets[METRIC_BUCKETS + 1]; /* not cumulative; the last one is +Inf */
    uint64_t sum_ns;
};

/* Why a request was refused without having had a worker. */
enum throttle {
    THROTTLE_RATE,          /* over the function's `rate` */
    THROTTLE_QUEUE,         /* no worker free, and its `queue` full */
    THROTTLE_QUEUE_TIMEOUT, /* no worker became free within `queue_timeout` */
    THROTTLE_RESOURCES,     /* no process could be had: descriptors, memory, processes */
    _THROTTLE_MAX,
};

/* The counters of one name. */
struct metric_function {
    char label[FUNCTION_NAME_MAX * 3 + 1]; /* its name, escaped */
    char name[FUNCTION_NAME_MAX + 1];
    uint64_t invocations[_TRIGGER_MAX * _OUTCOME_MAX];
    uint64_t coldstarts, timeouts, throttled[_THROTTLE_MAX], init_failures, spawn_failures;
    uint64_t cpu_us, cpu_system_us, page_faults[2], context_switches[2]; /* minor, major; ... */
    uint64_t bytes_in, bytes_out, log_lines, log_dropped_bytes;
    struct metric_histogram total, wait, run, init, spawn;
    uint64_t peak_bytes[2], peak_minute; /* highest of this minute and of the one before */
    struct {                             /* as of the page that is being written */
        bool is_served;
        uint64_t busy, queued, standbys, oldest_ns, memory_peak_bytes, memory_limit_bytes;
    } now;
};

/* What the page says of the gateway and the machine. */
struct metric_machine {
    uint64_t functions, workers[3], workers_max, zygotes[2], connections;
    uint64_t control_up, records_lost, log_lines_lost, watchdog_kills;
    uint64_t cpu_us, resident_bytes, virtual_bytes, open_fds, max_fds, start_us;
};

struct metrics {
    struct metric_function *functions[METRICS_FUNCTIONS_MAX];
    uint32_t n_functions;
    uint16_t *index; /* hash table: number of a function + 1, 0 for none */
    struct metric_function other;
    bool has_other;
};

/* Returns NULL without memory. */
struct metrics *metrics_new(void);
struct metrics *metrics_free(struct metrics *m);

/* The counters of the name, made if need be; "(other)" beyond the ceiling, or without memory. */
struct metric_function *metrics_of(struct metrics *m, struct slice name);

/* An invocation is over. */
void metrics_record(struct metric_function *f, const struct record *r);
void metrics_throttled(struct metric_function *f, enum throttle reason);
void metric_observe(struct metric_histogram *h, uint64_t ns);

/* The highest peak of the minute that `wall_us` is in, and of the one before. */
uint64_t metrics_memory_peak(const struct metric_function *f, uint64_t wall_us);

/* A page that is being written. */
struct metrics_page {
    const struct metrics *metrics;
    struct metric_machine machine;
    size_t family, function; /* what comes next */
};

/* Adds a piece. Returns 1 if there is more to come, 0 at the end, -ENOBUFS or -ENOMEM. */
int metrics_page_next(struct metrics_page *p, struct buf *b);
