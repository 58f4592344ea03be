/* What the admin interface is asked and the gateway alone knows. */

#include "gateway/client.h"
#include "gateway/invocation.h"
#include "gateway/journal.h"
#include "gateway/metrics-answer.h"
#include "gateway/pool.h"
#include "gateway/request.h"
#include "gateway/watchdog.h"
#include "gateway/worker.h"

#include "base/utf8.h"

#include <string.h>

#define VERSION_JSON "{\"name\": \"mayfly\", \"version\": \"" MAYFLY_VERSION "\"}\n"
#define ANSWER_MAX   (8 * 1024 * 1024)
#define HEALTH_MAX   32768

static int write_process(struct buf *b, bool *first, const char *kind, const struct pool *p,
                         pid_t pid, uint64_t age_ns, const char *state, const char *request_id)
{
    int r = buf_append_str(b, *first ? "" : ", ");

    *first = false;
    if (r == 0)
        r = buf_printf(b, "{\"kind\": \"%s\", \"function\": ", kind);
    if (r == 0)
        r = utf8_write_json(b, slice_str(p->function->name));
    return r == 0 ? buf_printf(b,
                               ", \"version\": \"%s\", \"pid\": %d, \"age_ms\": %llu, "
                               "\"state\": \"%s\", \"request_id\": \"%s\"}",
                               p->function->version, (int)pid,
                               (unsigned long long)(age_ns / NS_PER_MS), state, request_id)
                  : r;
}

static int write_pool(struct buf *b, struct pool *p, bool *first)
{
    static const char *const pool_names[_POOL_STATE_MAX] = {"cold", "loading", "warm"};
    uint64_t now = loop_now(p->gateway->loop);
    struct list *i;
    int r = 0;

    if (p->state != POOL_COLD)
        r = write_process(b, first, "zygote", p, p->zygote_pid, now - p->wanted_ns,
                          pool_names[p->state], "");
    list_for_each (i, &p->standbys) {
        struct worker *w = list_entry(i, struct worker, link);

        if (r == 0)
            r = write_process(b, first, "standby", p, w->process.pid, now - w->since_ns, "standby",
                              "");
    }
    list_for_each (i, &p->busy) {
        struct worker *w = list_entry(i, struct worker, link);

        if (r == 0)
            r = write_process(b, first, "worker", p, w->process.pid, now - w->since_ns,
                              w->state == WORKER_BUSY ? "busy" : "ending",
                              w->invocation ? w->invocation->id : "");
    }
    return r;
}

/* What is known of it for people: its interpreter, its packages. */
static int write_about(struct buf *b, char *const *about)
{
    int r = buf_append_str(b, ", \"about\": [");

    for (size_t i = 0; about && about[i] && r == 0; i++) {
        r = i > 0 ? buf_append_str(b, ", ") : 0;
        if (r == 0)
            r = utf8_write_json(b, slice_str(about[i]));
    }
    return r < 0 ? r : buf_append_str(b, "]}");
}

static int write_functions(struct buf *b, const struct snapshot *s)
{
    int r = buf_append_str(b, "{\"functions\": [");

    for (uint32_t i = 0; s && r == 0 && i < s->n_functions; i++) {
        const struct function *f = &s->functions[i];

        r = buf_append_str(b, i == 0 ? "{\"name\": " : ", {\"name\": ");
        if (r == 0)
            r = utf8_write_json(b, slice_str(f->name));
        if (r == 0)
            r = buf_printf(b,
                           ", \"version\": \"%s\", \"runtime\": \"%s\", \"isolation\": \"%s\", "
                           "\"broken\": %s",
                           f->version, runtime_name(f->runtime), isolation_name(f->isolation),
                           f->broken ? "true" : "false");
        if (r == 0)
            r = write_about(b, f->about);
    }
    return r;
}

static void answer_ps(struct client *c)
{
    struct gateway *g = c->gateway;
    struct buf b = BUF_INIT(ANSWER_MAX);
    bool first = true;
    struct list *i;
    int r = write_functions(&b, g->served ? g->served->snapshot : NULL);

    if (r == 0)
        r = buf_append_str(&b, "], \"processes\": [");
    list_for_each (i, &g->pools) {
        if (r == 0)
            r = write_pool(&b, list_entry(i, struct pool, link), &first);
    }
    if (r == 0)
        r = buf_printf(&b,
                       "], \"watchdog\": {\"realtime\": %s, \"kills\": %llu, \"looks\": %llu}}\n",
                       g->watchdog_realtime ? "true" : "false",
                       (unsigned long long)watchdog_n_kills(g->watchdog),
                       (unsigned long long)watchdog_n_scans(g->watchdog));
    if (r == 0)
        client_answer(c, 200, NULL, "application/json", buf_slice(&b));
    else
        client_answer_error(c, 503, NULL, "too much to tell", SLICE_NULL);
    buf_deinit(&b);
}

/* "degraded" works, but functions are confined by less than they should be. */
static void answer_health(struct client *c)
{
    struct gateway *g = c->gateway;
    struct buf b = BUF_INIT(HEALTH_MAX);
    const char *status = !g->served ? "loading" : g->degraded ? "degraded" : "ok";
    int r = buf_printf(&b, "{\"status\": \"%s\", \"sandbox\": %s}\n", status,
                       g->sandbox ? g->sandbox : "null");

    if (r == 0)
        client_answer(c, g->served ? 200 : 503, NULL, "application/json", buf_slice(&b));
    else
        client_answer_error(c, 503, NULL, "out of memory", SLICE_NULL);
    buf_deinit(&b);
}

/* Whoever has just invoked a function need not wait until control has its record. */
static bool answer_record(struct client *c, struct slice id)
{
    const char *json = journal_find_recent(c->gateway, id);

    if (json)
        client_answer(c, 200, NULL, "application/json", slice_str(json));
    return json != NULL;
}

/* `name` may be percent-coded: names have '/' in them. */
static void answer_invoke(struct client *c, const struct http_head *head, struct slice name)
{
    struct snapshot *s = c->gateway->served ? c->gateway->served->snapshot : NULL;
    char decoded[FUNCTION_NAME_MAX];
    struct http_head event = *head;
    struct function *f;
    ssize_t n;

    n = http_percent_decode(name, false, decoded, sizeof(decoded));
    f = s && n > 0 ? snapshot_find(s, slice(decoded, (size_t)n)) : NULL;
    if (!f) {
        client_answer_error(c, 404, NULL, "there is no function of this name", SLICE_NULL);
        return;
    }
    event.target = event.path = SLICE_LIT("/");
    event.query = SLICE_NULL;
    request_invoke(c, &event, f, NULL, NULL, TRIGGER_INVOKE);
}

/* If path is prefix + middle + suffix with a middle that is not empty, gives the middle. */
static bool between(struct slice path, struct slice prefix, struct slice suffix, struct slice *ret)
{
    if (path.len <= prefix.len + suffix.len || !slice_starts(path, prefix) ||
        !slice_eq(slice(path.base + path.len - suffix.len, suffix.len), suffix))
        return false;
    *ret = slice(path.base + prefix.len, path.len - prefix.len - suffix.len);
    return true;
}

bool local_answer(struct client *c, const struct http_head *head)
{
    bool get = slice_eq(head->method, SLICE_LIT("GET"));
    struct slice path = head->path, part;

    if (get && slice_eq(path, SLICE_LIT("/api/v1/ps")))
        answer_ps(c);
    else if (get && slice_eq(path, SLICE_LIT("/api/v1/version")))
        client_answer(c, 200, NULL, "application/json", SLICE_LIT(VERSION_JSON));
    else if (get && slice_eq(path, SLICE_LIT("/healthz")))
        answer_health(c);
    else if (get && slice_eq(path, SLICE_LIT("/metrics")))
        metrics_answer(c);
    else if (get && between(path, SLICE_LIT("/api/v1/records/"), SLICE_LIT(""), &part))
        return answer_record(c, part);
    else if (slice_eq(head->method, SLICE_LIT("POST")) &&
             between(path, SLICE_LIT("/api/v1/functions/"), SLICE_LIT("/invoke"), &part))
        answer_invoke(c, head, part);
    else
        return false;
    return true;
}
