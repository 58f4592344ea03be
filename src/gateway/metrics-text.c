/* The page in Prometheus' text format, 0.0.4. What there is, is a table; a family is written
 * function by function, so that a page can stop anywhere between two of them and go on later. */

#include "gateway/metrics.h"

#include "base/clock.h"

#include <errno.h>

enum form {
    COUNT,
    MICROSECONDS, /* shown as seconds */
    NANOSECONDS,
    HISTOGRAM,
    INVOCATIONS, /* trigger and outcome as labels */
    BUILD,       /* 1, and the version as a label */
};

enum scope {
    MACHINE,
    FUNCTION,
    SERVED, /* functions of the current snapshot: gauges */
};

struct family {
    const char *name, *type;
    enum scope scope;
    enum form form;
    size_t offset; /* of a uint64_t in struct metric_machine, metrics or metric_function */
    const char *label;
    const char *const *values; /* of the label; a uint64_t each, one behind the other */
    size_t n_values;
    const char *help;
};

static const char *const throttle_names[_THROTTLE_MAX] = {
    [THROTTLE_RATE] = "rate",
    [THROTTLE_QUEUE] = "queue",
    [THROTTLE_QUEUE_TIMEOUT] = "queue_timeout",
    [THROTTLE_RESOURCES] = "resources",
};
static const char *const fault_names[] = {"minor", "major"};
static const char *const switch_names[] = {"voluntary", "involuntary"};
static const char *const worker_names[] = {"standby", "busy", "ending"};
static const char *const zygote_names[] = {"loading", "warm"};

#define OF_FUNCTION(field) FUNCTION, COUNT, offsetof(struct metric_function, field), NULL, NULL, 1
#define OF_SERVED(form, field)                                                                     \
    SERVED, form, offsetof(struct metric_function, now.field), NULL, NULL, 1
#define OF_HISTOGRAM(field)                                                                        \
    FUNCTION, HISTOGRAM, offsetof(struct metric_function, field), NULL, NULL, 1
#define OF_CPU(field) FUNCTION, MICROSECONDS, offsetof(struct metric_function, field), NULL, NULL, 1
#define OF_LABEL(field, label, names)                                                              \
    FUNCTION, COUNT, offsetof(struct metric_function, field), label, names, ARRAY_SIZE(names)
#define OF_MACHINE(form, field)                                                                    \
    MACHINE, form, offsetof(struct metrics_page, machine.field), NULL, NULL, 1
#define OF_STATES(field, names)                                                                    \
    MACHINE, COUNT, offsetof(struct metrics_page, machine.field), "state", names, ARRAY_SIZE(names)

/* docs/METRICS.md has them in the same order, and a test compares. */
static const struct family families[] = {
    {"mayfly_build_info", "gauge", MACHINE, BUILD, 0, NULL, NULL, 1, "The version that runs."},
    {"mayfly_invocations_total", "counter", FUNCTION, INVOCATIONS,
     offsetof(struct metric_function, invocations), NULL, NULL, 1,
     "Invocations that are over, by how they ended."},
    {"mayfly_invoke_duration_seconds", "histogram", OF_HISTOGRAM(run),
     "Run time: from the worker having the request to the end of its answer."},
    {"mayfly_wait_duration_seconds", "histogram", OF_HISTOGRAM(wait),
     "From a request's arrival to its having a worker, without loading."},
    {"mayfly_total_duration_seconds", "histogram", OF_HISTOGRAM(total),
     "From a request's arrival to the last byte of its answer, as the client feels it."},
    {"mayfly_init_duration_seconds", "histogram", OF_HISTOGRAM(init),
     "Loading a function: from asking for its zygote to its being warm."},
    {"mayfly_init_failures_total", "counter", OF_FUNCTION(init_failures),
     "Loads of a function that failed."},
    {"mayfly_coldstarts_total", "counter", OF_FUNCTION(coldstarts),
     "Invocations that had to wait for the function to be loaded."},
    {"mayfly_timeouts_total", "counter", OF_FUNCTION(timeouts),
     "Invocations that ran over the function's timeout or CPU time."},
    {"mayfly_throttled_total", "counter", OF_LABEL(throttled, "reason", throttle_names),
     "Requests refused with 429 or 503 before they had a worker."},
    {"mayfly_concurrent", "gauge", OF_SERVED(COUNT, busy), "Requests that have a worker now."},
    {"mayfly_queue_depth", "gauge", OF_SERVED(COUNT, queued), "Requests that wait for a worker."},
    {"mayfly_queue_oldest_age_seconds", "gauge", OF_SERVED(NANOSECONDS, oldest_ns),
     "How long the first of them has waited; 0 if none does."},
    {"mayfly_standbys", "gauge", OF_SERVED(COUNT, standbys),
     "Workers that are ready and wait for a request."},
    {"mayfly_spawn_seconds", "histogram", OF_HISTOGRAM(spawn),
     "Making a worker: from asking the zygote to fork to its process being known."},
    {"mayfly_spawn_failures_total", "counter", OF_FUNCTION(spawn_failures),
     "Workers that could not be made."},
    {"mayfly_cpu_seconds_total", "counter", OF_CPU(cpu_us),
     "CPU time of the workers and their children, user and system."},
    {"mayfly_cpu_system_seconds_total", "counter", OF_CPU(cpu_system_us),
     "The part of it that was spent in the kernel."},
    {"mayfly_memory_peak_bytes", "gauge", OF_SERVED(COUNT, memory_peak_bytes),
     "Highest resident memory of one worker that ended in this minute or the one before."},
    {"mayfly_memory_limit_bytes", "gauge", OF_SERVED(COUNT, memory_limit_bytes),
     "The function's memory limit, which holds for each worker."},
    {"mayfly_page_faults_total", "counter", OF_LABEL(page_faults, "kind", fault_names),
     "Page faults of the workers; major ones had to read from a disk."},
    {"mayfly_context_switches_total", "counter", OF_LABEL(context_switches, "kind", switch_names),
     "Context switches of the workers, by waiting (voluntary) or by force."},
    {"mayfly_request_bytes_total", "counter", OF_FUNCTION(bytes_in), "Bytes of request bodies."},
    {"mayfly_response_bytes_total", "counter", OF_FUNCTION(bytes_out), "Bytes of answers' bodies."},
    {"mayfly_log_lines_total", "counter", OF_FUNCTION(log_lines),
     "Lines that the function has printed and that were kept."},
    {"mayfly_log_dropped_bytes_total", "counter", OF_FUNCTION(log_dropped_bytes),
     "Bytes it has printed over its limit, which were dropped."},
    {"mayfly_functions", "gauge", OF_MACHINE(COUNT, functions), "Functions that are served."},
    {"mayfly_workers", "gauge", OF_STATES(workers, worker_names), "Processes of functions."},
    {"mayfly_workers_max", "gauge", OF_MACHINE(COUNT, workers_max),
     "As many there may be at once (--workers-max)."},
    {"mayfly_zygotes", "gauge", OF_STATES(zygotes, zygote_names),
     "Processes in which a function is loaded, to be forked."},
    {"mayfly_connections", "gauge", OF_MACHINE(COUNT, connections), "Clients that are connected."},
    {"mayfly_control_up", "gauge", OF_MACHINE(COUNT, control_up),
     "1 while the gateway has a link to control, which keeps records and logs."},
    {"mayfly_records_lost_total", "counter", OF_MACHINE(COUNT, records_lost),
     "Records that control will never have."},
    {"mayfly_log_lines_lost_total", "counter", OF_MACHINE(COUNT, log_lines_lost),
     "Log lines that control will never have."},
    {"mayfly_watchdog_kills_total", "counter", OF_MACHINE(COUNT, watchdog_kills),
     "Workers over their time that only the watchdog was in time to kill."},
    {"process_cpu_seconds_total", "counter", OF_MACHINE(MICROSECONDS, cpu_us),
     "CPU time of the gateway itself."},
    {"process_resident_memory_bytes", "gauge", OF_MACHINE(COUNT, resident_bytes),
     "Resident memory of the gateway."},
    {"process_virtual_memory_bytes", "gauge", OF_MACHINE(COUNT, virtual_bytes),
     "Virtual memory of the gateway."},
    {"process_open_fds", "gauge", OF_MACHINE(COUNT, open_fds), "Open descriptors of the gateway."},
    {"process_max_fds", "gauge", OF_MACHINE(COUNT, max_fds), "As many it may have."},
    {"process_start_time_seconds", "gauge", OF_MACHINE(MICROSECONDS, start_us),
     "When the gateway started, in seconds since 1970."},
};

static const uint64_t *number_at(const void *base, const struct family *f)
{
    return (const uint64_t *)(const void *)((const char *)base + f->offset);
}

/* Numbers without printf(): a page of many functions is some hundred thousand lines. */
static int put_u64(struct buf *b, uint64_t n, unsigned digits_min)
{
    char text[24];
    size_t i = sizeof(text);

    do {
        text[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0 || sizeof(text) - i < digits_min);
    return buf_append(b, text + i, sizeof(text) - i);
}

static int put_strs(struct buf *b, const char *const *strs)
{
    int r = 0;

    for (; *strs && r == 0; strs++)
        r = buf_append_str(b, *strs);
    return r;
}

#define PUT(b, ...) put_strs((b), (const char *const[]){__VA_ARGS__, NULL})

/* A number's end of a line. */
static int write_number(struct buf *b, enum form form, uint64_t n)
{
    uint64_t unit = form == MICROSECONDS ? US_PER_S : form == NANOSECONDS ? NS_PER_S : 1;
    int r = buf_append(b, " ", 1);

    if (r == 0)
        r = put_u64(b, n / unit, 1);
    if (r == 0 && unit > 1)
        r = buf_append(b, ".", 1);
    if (r == 0 && unit > 1)
        r = put_u64(b, n % unit, form == MICROSECONDS ? 6 : 9);
    return r == 0 ? buf_append(b, "\n", 1) : r;
}

/* One line for each value of the label. `fn` is NULL for the machine's. */
static int write_plain(struct buf *b, const struct family *f, const char *fn, const void *base)
{
    const uint64_t *n = number_at(base, f);
    int r = 0;

    for (size_t i = 0; i < f->n_values && r == 0; i++) {
        r = buf_append_str(b, f->name);
        if (r == 0 && fn)
            r = PUT(b, "{fn=\"", fn, "\"");
        if (r == 0 && f->label)
            r = PUT(b, fn ? "," : "{", f->label, "=\"", f->values[i], "\"");
        if (r == 0 && (fn || f->label))
            r = buf_append(b, "}", 1);
        if (r == 0)
            r = write_number(b, f->form, n[i]);
    }
    return r;
}

static int write_bucket(struct buf *b, const struct family *f, const char *fn, const char *bound,
                        uint64_t n)
{
    int r = PUT(b, f->name, "_bucket{fn=\"", fn, "\",le=\"", bound, "\"}");

    return r == 0 ? write_number(b, COUNT, n) : r;
}

static int write_histogram(struct buf *b, const struct family *f, const struct metric_function *fn)
{
    const struct metric_histogram *h = (const void *)((const char *)fn + f->offset);
    uint64_t n = 0, sum = 0;
    int r = 0;

    for (size_t i = 0; i <= METRIC_BUCKETS; i++)
        n += h->buckets[i];
    if (n == 0)
        return 0;
    for (size_t i = 0; i < METRIC_BUCKETS && r == 0; i++) {
        sum += h->buckets[i];
        r = write_bucket(b, f, fn->label, metric_bounds[i], sum);
    }
    if (r == 0)
        r = write_bucket(b, f, fn->label, "+Inf", n);
    if (r == 0)
        r = PUT(b, f->name, "_sum{fn=\"", fn->label, "\"}");
    if (r == 0)
        r = write_number(b, NANOSECONDS, h->sum_ns);
    if (r == 0)
        r = PUT(b, f->name, "_count{fn=\"", fn->label, "\"}");
    return r == 0 ? write_number(b, COUNT, n) : r;
}

/* Of the 60 combinations those that there were, and success by http from the start: an alert on a
 * rate needs a number to begin with. */
static int write_invocations(struct buf *b, const struct family *f,
                             const struct metric_function *fn)
{
    int r = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(fn->invocations) && r == 0; i++) {
        if (fn->invocations[i] == 0 && i != TRIGGER_HTTP * _OUTCOME_MAX + OUTCOME_OK)
            continue;
        r = PUT(b, f->name, "{fn=\"", fn->label, "\",trigger=\"", trigger_name(i / _OUTCOME_MAX),
                "\",outcome=\"", outcome_name(i % _OUTCOME_MAX), "\"}");
        if (r == 0)
            r = write_number(b, COUNT, fn->invocations[i]);
    }
    return r;
}

static int write_function(struct buf *b, const struct family *f, const struct metric_function *fn)
{
    if (f->scope == SERVED && !fn->now.is_served)
        return 0;
    if (f->form == HISTOGRAM)
        return write_histogram(b, f, fn);
    if (f->form == INVOCATIONS)
        return write_invocations(b, f, fn);
    return write_plain(b, f, fn->label, fn);
}

static int write_head(struct buf *b, const struct family *f)
{
    return buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, f->type);
}

/* The next function of the family, "(other)" behind them. Returns 1, or 0 if there are no more. */
static int write_next(struct metrics_page *p, struct buf *b, const struct family *f)
{
    const struct metrics *m = p->metrics;
    size_t i = p->function++;
    int r;

    if (f->scope == MACHINE && f->form == BUILD)
        r = buf_printf(b, "%s{version=\"%s\"} 1\n", f->name, MAYFLY_VERSION);
    else if (f->scope == MACHINE)
        r = write_plain(b, f, NULL, p);
    else if (i < m->n_functions)
        r = write_function(b, f, m->functions[i]);
    else
        r = m->has_other ? write_function(b, f, &m->other) : 0;
    return r < 0 ? r : f->scope != MACHINE && i < m->n_functions;
}

int metrics_page_next(struct metrics_page *p, struct buf *b)
{
    size_t begin = buf_len(b);

    while (p->family < ARRAY_SIZE(families)) {
        const struct family *f = &families[p->family];
        int r = p->function == 0 ? write_head(b, f) : 0;

        if (r == 0)
            r = write_next(p, b, f);
        if (r < 0)
            return r;
        if (r == 0) {
            p->family++;
            p->function = 0;
        }
        if (buf_len(b) - begin >= METRICS_PIECE_BYTES)
            return 1;
    }
    return 0;
}
