#include "otlp/encode.h"
#include "otlp/error.h"
#include "otlp/values.h"

#include "base/clock.h"
#include "model/trace.h"
#include "json/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* opentelemetry/proto/trace/v1: SpanKind, Status.StatusCode, SpanFlags */
#define KIND_INTERNAL     1
#define KIND_SERVER       2
#define KIND_CONSUMER     5
#define STATUS_ERROR      2
#define FLAG_SAMPLED      0x001
#define FLAG_KNOWS_REMOTE 0x100
#define FLAG_IS_REMOTE    0x200

/* faas.trigger's values, and what they make of the span. */
static const struct {
    const char *name;
    int kind;
} triggers[_TRIGGER_MAX] = {
    [TRIGGER_HTTP] = {"http", KIND_SERVER},
    [TRIGGER_INVOKE] = {"other", KIND_SERVER},
    [TRIGGER_SCHEDULE] = {"timer", KIND_SERVER},
    [TRIGGER_QUEUE] = {"pubsub", KIND_CONSUMER},
    [TRIGGER_UPLOAD] = {"datasource", KIND_CONSUMER},
    [TRIGGER_DATABASE] = {"datasource", KIND_CONSUMER},
    [TRIGGER_REPLAY] = {"other", KIND_SERVER},
};

/* ---- spans ---- */

/* A phase's id comes of its invocation's: who is sent a batch twice sees the same spans. */
static void child_id(struct slice span_id, uint64_t n, char dst[static TRACE_SPAN_LEN + 1])
{
    uint64_t x = 0;

    for (size_t i = 0; i < span_id.len; i++)
        x = x << 4 |
            (uint64_t)(span_id.base[i] <= '9' ? span_id.base[i] - '0' : span_id.base[i] - 'a' + 10);
    x += n * 0x9E3779B97F4A7C15ULL; /* splitmix64: each step reaches each bit */
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
    x ^= x >> 31;
    (void)snprintf(dst, TRACE_SPAN_LEN + 1, "%016" PRIx64, x != 0 ? x : 1);
}

struct span {
    struct slice trace_id, span_id, parent, name;
    int kind;
    uint32_t flags;
    uint64_t begin_ns, end_ns;
};

static void span_begin(struct jsonw *w, const struct span *s)
{
    jsonw_object_begin(w);
    otlp_key_text(w, "traceId", s->trace_id);
    otlp_key_text(w, "spanId", s->span_id);
    if (s->parent.len > 0)
        otlp_key_text(w, "parentSpanId", s->parent);
    otlp_key_number(w, "flags", s->flags);
    otlp_key_text(w, "name", s->name);
    otlp_key_number(w, "kind", (uint64_t)s->kind);
    otlp_key_u64(w, "startTimeUnixNano", s->begin_ns);
    otlp_key_u64(w, "endTimeUnixNano", s->end_ns);
}

static void write_phase(struct jsonw *w, const struct record *r, const char *name, unsigned number,
                        uint64_t begin_ns, uint64_t duration_ns)
{
    char id[TRACE_SPAN_LEN + 1];
    struct span s = {.trace_id = r->trace_id,
                     .parent = r->span_id,
                     .name = slice_str(name),
                     .kind = KIND_INTERNAL,
                     .flags = FLAG_SAMPLED | FLAG_KNOWS_REMOTE,
                     .begin_ns = begin_ns,
                     .end_ns = begin_ns + duration_ns};

    child_id(r->span_id, number, id);
    s.span_id = slice_str(id);
    span_begin(w, &s);
    jsonw_object_end(w);
}

static void write_attributes(struct jsonw *w, const struct record *r,
                             const struct otlp_error *error)
{
    bool http = r->trigger == TRIGGER_HTTP;

    jsonw_key(w, "attributes");
    jsonw_array_begin(w);
    otlp_attribute(w, "faas.trigger", slice_str(triggers[r->trigger].name));
    otlp_attribute(w, "faas.invocation_id", r->request_id);
    otlp_attribute_bool(w, "faas.coldstart", r->cold != 0);
    if (http) {
        otlp_attribute(w, "http.request.method", r->method);
        otlp_attribute(w, "url.path", r->path);
        otlp_attribute(w, "url.scheme", SLICE_LIT("http"));
    }
    if (http && r->status > 0)
        otlp_attribute_u64(w, "http.response.status_code", r->status);
    otlp_attribute_u64(w, "http.request.body.size", r->bytes_in);
    otlp_attribute_u64(w, "http.response.body.size", r->bytes_out);
    if (r->pid > 0)
        otlp_attribute_u64(w, "process.pid", r->pid);
    otlp_attribute(w, "mayfly.outcome", slice_str(outcome_name((enum outcome)r->outcome)));
    otlp_attribute_u64(w, "mayfly.cpu.user_us", r->user_us);
    otlp_attribute_u64(w, "mayfly.cpu.system_us", r->system_us);
    otlp_attribute_u64(w, "mayfly.memory.peak_bytes", r->memory_peak_bytes);
    otlp_attribute_u64(w, "mayfly.page_faults.minor", r->minor_faults);
    otlp_attribute_u64(w, "mayfly.page_faults.major", r->major_faults);
    if (error)
        otlp_attribute(w, "error.type", slice_str(error->type));
    jsonw_array_end(w);
}

/* What went wrong, as the conventions for exceptions have it. */
static void write_exception(struct jsonw *w, const struct otlp_error *error, uint64_t time_ns)
{
    jsonw_key(w, "events");
    jsonw_array_begin(w);
    jsonw_object_begin(w);
    otlp_key_u64(w, "timeUnixNano", time_ns);
    otlp_key_text(w, "name", SLICE_LIT("exception"));
    jsonw_key(w, "attributes");
    jsonw_array_begin(w);
    otlp_attribute(w, "exception.type", slice_str(error->type));
    otlp_attribute(w, "exception.message", buf_slice(&error->message));
    if (buf_len(&error->trace) > 0)
        otlp_attribute(w, "exception.stacktrace", buf_slice(&error->trace));
    jsonw_array_end(w);
    jsonw_object_end(w);
    jsonw_array_end(w);
}

static void write_invocation(struct jsonw *w, const struct record *r,
                             const struct otlp_error *error)
{
    bool remote = r->parent_span_id.len > 0, failed = r->outcome != OUTCOME_OK;
    struct span s = {.trace_id = r->trace_id,
                     .span_id = r->span_id,
                     .parent = r->parent_span_id,
                     .name = r->function,
                     .kind = triggers[r->trigger].kind,
                     .flags = FLAG_SAMPLED | FLAG_KNOWS_REMOTE | (remote ? FLAG_IS_REMOTE : 0),
                     .begin_ns = r->start_us * NS_PER_US,
                     .end_ns = r->start_us * NS_PER_US + r->total_ns};

    span_begin(w, &s);
    write_attributes(w, r, failed ? error : NULL);
    if (failed)
        write_exception(w, error, s.end_ns);
    if (failed || r->status >= 500) {
        jsonw_key(w, "status");
        jsonw_object_begin(w);
        otlp_key_number(w, "code", STATUS_ERROR);
        if (r->error.len > 0)
            otlp_key_text(w, "message", r->error);
        jsonw_object_end(w);
    }
    jsonw_object_end(w);
}

/* Takes back what has been added since. */
static int undo(struct buf *b, size_t len, int r)
{
    if (r < 0)
        b->end = b->start + len;
    return r;
}

int otlp_write_spans(struct buf *b, const struct record *r)
{
    uint64_t at_ns = r->start_us * NS_PER_US;
    struct jsonw w = JSONW_INIT(b);
    size_t len = buf_len(b);
    struct otlp_error error;
    int n = 1, x;

    if (!otlp_is_id(r->trace_id, TRACE_ID_LEN) || !otlp_is_id(r->span_id, TRACE_SPAN_LEN) ||
        (r->parent_span_id.len > 0 && !otlp_is_id(r->parent_span_id, TRACE_SPAN_LEN)))
        return -EINVAL;
    x = otlp_error_read(&error, r);
    if (x == 0)
        write_invocation(&w, r, &error);
    otlp_error_deinit(&error);
    if (x < 0)
        return x;
    /* A load begins with the arrival, or has begun before it; the wait for a worker is behind it.
     */
    if (r->init_ns > 0) {
        write_phase(&w, r, "init", 1, at_ns, r->init_ns);
        n++;
    }
    if (r->wait_ns > 0) {
        write_phase(&w, r, "wait", 2, at_ns + r->init_ns, r->wait_ns);
        n++;
    }
    if (r->run_ns > 0) {
        write_phase(&w, r, "run", 3, at_ns + r->init_ns + r->wait_ns, r->run_ns);
        n++;
    }
    x = undo(b, len, jsonw_end(&w));
    return x < 0 ? x : n;
}

/* ---- resources ---- */

static bool has_attribute(const struct otlp_settings *s, const char *name)
{
    for (unsigned i = 0; i < s->n_attributes; i++) {
        if (strcmp(s->attributes[i].name, name) == 0)
            return true;
    }
    return false;
}

int otlp_write_resource(struct buf *b, const struct otlp_settings *s, struct slice function,
                        struct slice version, uint64_t memory_bytes)
{
    struct jsonw w = JSONW_INIT(b);

    jsonw_object_begin(&w);
    jsonw_key(&w, "attributes");
    jsonw_array_begin(&w);
    if (s->service_name)
        otlp_attribute(&w, "service.name", slice_str(s->service_name));
    else if (!has_attribute(s, "service.name"))
        otlp_attribute(&w, "service.name", function.len > 0 ? function : SLICE_LIT("mayfly"));
    if (s->host_name[0] && !has_attribute(s, "host.name"))
        otlp_attribute(&w, "host.name", slice_str(s->host_name));
    if (function.len > 0)
        otlp_attribute(&w, "faas.name", function);
    if (version.len > 0)
        otlp_attribute(&w, "faas.version", version);
    if (memory_bytes > 0)
        otlp_attribute_u64(&w, "faas.max_memory", memory_bytes);
    for (unsigned i = 0; i < s->n_attributes; i++) {
        if (!s->service_name || strcmp(s->attributes[i].name, "service.name") != 0)
            otlp_attribute(&w, s->attributes[i].name, slice_str(s->attributes[i].value));
    }
    jsonw_array_end(&w);
    jsonw_object_end(&w);
    return jsonw_end(&w);
}
