#include "gateway/metrics.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define INDEX_SIZE    4096 /* a power of two, twice the functions at least */
#define US_PER_MINUTE (60 * US_PER_S)

_Static_assert(INDEX_SIZE >= 2 * METRICS_FUNCTIONS_MAX, "the hash table stays half empty");
_Static_assert(METRICS_FUNCTIONS_MAX < UINT16_MAX, "a number of a function fits the hash table");

/* Those of OpenTelemetry's conventions for FaaS, and finer ones in front of them: most of what
 * mayfly does is over before the first of theirs. */
static const uint64_t bounds_ns[METRIC_BUCKETS] = {
    250 * NS_PER_US, 500 * NS_PER_US,  1 * NS_PER_MS,   2500 * NS_PER_US, 5 * NS_PER_MS,
    10 * NS_PER_MS,  25 * NS_PER_MS,   50 * NS_PER_MS,  75 * NS_PER_MS,   100 * NS_PER_MS,
    250 * NS_PER_MS, 500 * NS_PER_MS,  750 * NS_PER_MS, 1 * NS_PER_S,     2500 * NS_PER_MS,
    5 * NS_PER_S,    7500 * NS_PER_MS, 10 * NS_PER_S,
};

const char *const metric_bounds[METRIC_BUCKETS] = {
    "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.075",
    "0.1",     "0.25",   "0.5",   "0.75",   "1.0",   "2.5",  "5.0",   "7.5",  "10.0",
};

/* As a label's value: \, " and the line feed escaped, and what is no UTF-8 replaced. */
static void write_label(char *dst, size_t size, struct slice name)
{
    size_t n = 0;

    for (size_t i = 0; i < name.len && n + 4 < size;) {
        const unsigned char *p = (const unsigned char *)name.base + i;
        size_t len = utf8_len(p, name.len - i);

        if (len == 0) {
            memcpy(dst + n, "\xEF\xBF\xBD", 3);
            n += 3;
            i++;
            continue;
        }
        if (*p == '\\' || *p == '"' || *p == '\n')
            dst[n++] = '\\';
        if (*p == '\n')
            dst[n++] = 'n';
        else
            memcpy(dst + n, p, len);
        n += *p == '\n' ? 0 : len;
        i += len;
    }
    dst[n] = '\0';
}

struct metrics *metrics_new(void)
{
    struct metrics *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    m->index = calloc(INDEX_SIZE, sizeof(*m->index));
    if (!m->index)
        return metrics_free(m);
    write_label(m->other.label, sizeof(m->other.label), SLICE_LIT("(other)"));
    return m;
}

struct metrics *metrics_free(struct metrics *m)
{
    for (uint32_t i = 0; m && i < m->n_functions; i++)
        free(m->functions[i]);
    if (m)
        free(m->index);
    free(m);
    return NULL;
}

/* FNV-1a: names are the author's, the table is never more than half full, and it is asked once for
 * each version of a function. */
static uint32_t hash(struct slice name)
{
    uint32_t h = 2166136261U;

    for (size_t i = 0; i < name.len; i++)
        h = (h ^ (unsigned char)name.base[i]) * 16777619U;
    return h;
}

struct metric_function *metrics_of(struct metrics *m, struct slice name)
{
    uint32_t at = hash(name) & (INDEX_SIZE - 1);
    struct metric_function *f;

    while (m->index[at] != 0) {
        f = m->functions[m->index[at] - 1];
        if (slice_eq(slice_str(f->name), name))
            return f;
        at = (at + 1) & (INDEX_SIZE - 1);
    }
    f = m->n_functions < METRICS_FUNCTIONS_MAX && name.len <= FUNCTION_NAME_MAX
            ? calloc(1, sizeof(*f))
            : NULL;
    if (!f) {
        m->has_other = true;
        return &m->other;
    }
    memcpy(f->name, name.base, name.len);
    write_label(f->label, sizeof(f->label), name);
    m->functions[m->n_functions++] = f;
    m->index[at] = (uint16_t)m->n_functions;
    return f;
}

void metric_observe(struct metric_histogram *h, uint64_t ns)
{
    size_t i = 0;

    while (i < METRIC_BUCKETS && ns > bounds_ns[i])
        i++;
    h->buckets[i]++;
    h->sum_ns += ns;
}

void metrics_throttled(struct metric_function *f, enum throttle reason)
{
    f->throttled[reason]++;
}

static void note_peak(struct metric_function *f, uint64_t bytes, uint64_t wall_us)
{
    uint64_t minute = wall_us / US_PER_MINUTE;

    if (minute != f->peak_minute) {
        f->peak_bytes[1] = minute == f->peak_minute + 1 ? f->peak_bytes[0] : 0;
        f->peak_bytes[0] = 0;
        f->peak_minute = minute;
    }
    f->peak_bytes[0] = MAX(f->peak_bytes[0], bytes);
}

uint64_t metrics_memory_peak(const struct metric_function *f, uint64_t wall_us)
{
    uint64_t minute = wall_us / US_PER_MINUTE;

    if (minute == f->peak_minute)
        return MAX(f->peak_bytes[0], f->peak_bytes[1]);
    return minute == f->peak_minute + 1 ? f->peak_bytes[0] : 0;
}

void metrics_record(struct metric_function *f, const struct record *r)
{
    f->invocations[r->trigger * _OUTCOME_MAX + r->outcome]++;
    f->coldstarts += r->cold != 0;
    f->timeouts += r->outcome == OUTCOME_TIMEOUT;
    f->bytes_in += r->bytes_in;
    f->bytes_out += r->bytes_out;
    if (r->run_ns == 0)
        return; /* never had a worker */
    metric_observe(&f->total, r->total_ns);
    metric_observe(&f->wait, r->wait_ns);
    metric_observe(&f->run, r->run_ns);
    f->cpu_us += r->user_us + r->system_us;
    f->cpu_system_us += r->system_us;
    f->page_faults[0] += r->minor_faults;
    f->page_faults[1] += r->major_faults;
    f->context_switches[0] += r->voluntary_switches;
    f->context_switches[1] += r->involuntary_switches;
    f->log_lines += r->log_lines;
    f->log_dropped_bytes += r->log_dropped;
    note_peak(f, r->memory_peak_bytes, r->start_us + r->total_ns / NS_PER_US);
}
