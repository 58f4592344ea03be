/* What the admin interface is asked and the gateway alone knows. */

#include "gateway/client.h"
#include "gateway/invocation.h"
#include "gateway/journal.h"
#include "gateway/live.h"
#include "gateway/metrics-answer.h"
#include "gateway/pool.h"
#include "gateway/request.h"
#include "gateway/watchdog.h"

#include "json/writer.h"

#include <string.h>

#define VERSION_JSON "{\"name\": \"mayfly\", \"version\": \"" MAYFLY_VERSION "\"}\n"
#define ANSWER_MAX   (8 * 1024 * 1024)
#define HEALTH_MAX   32768

/* r: what jsonw_end() has said of it. Frees the buffer. */
static void answer_json(struct client *c, unsigned status, struct buf *b, int r)
{
    if (r == 0)
        r = buf_append(b, "\n", 1);
    if (r == 0)
        client_answer(c, status, "Cache-Control: no-store\r\n", "application/json", buf_slice(b));
    else
        client_answer_error(c, 503, NULL, "too much to tell", SLICE_NULL);
    buf_deinit(b);
}

/* What is known of each for people: its interpreter, its packages. */
static void write_function(struct jsonw *w, const struct function *f)
{
    jsonw_object_begin(w);
    jsonw_key(w, "name");
    jsonw_str(w, slice_str(f->name));
    jsonw_key(w, "version");
    jsonw_str(w, slice_str(f->version));
    jsonw_key(w, "runtime");
    jsonw_str(w, slice_str(runtime_name(f->runtime)));
    jsonw_key(w, "isolation");
    jsonw_str(w, slice_str(isolation_name(f->isolation)));
    jsonw_key(w, "broken");
    jsonw_bool(w, f->broken != NULL);
    jsonw_key(w, "about");
    jsonw_array_begin(w);
    for (size_t i = 0; f->about && f->about[i]; i++)
        jsonw_str(w, slice_str(f->about[i]));
    jsonw_array_end(w);
    jsonw_object_end(w);
}

static void write_watchdog(struct jsonw *w, struct gateway *g)
{
    jsonw_object_begin(w);
    jsonw_key(w, "realtime");
    jsonw_bool(w, g->watchdog_realtime);
    jsonw_key(w, "kills");
    jsonw_u64(w, watchdog_n_kills(g->watchdog));
    jsonw_key(w, "looks");
    jsonw_u64(w, watchdog_n_scans(g->watchdog));
    jsonw_object_end(w);
}

static void answer_ps(struct client *c)
{
    struct gateway *g = c->gateway;
    const struct snapshot *s = g->served ? g->served->snapshot : NULL;
    struct buf b = BUF_INIT(ANSWER_MAX);
    struct jsonw w = JSONW_INIT(&b);

    jsonw_object_begin(&w);
    jsonw_key(&w, "functions");
    jsonw_array_begin(&w);
    for (uint32_t i = 0; s && i < s->n_functions; i++)
        write_function(&w, &s->functions[i]);
    jsonw_array_end(&w);
    jsonw_key(&w, "processes");
    jsonw_array_begin(&w);
    (void)live_write_processes(g, &w, UINT32_MAX, ANSWER_MAX);
    jsonw_array_end(&w);
    jsonw_key(&w, "watchdog");
    write_watchdog(&w, g);
    jsonw_object_end(&w);
    answer_json(c, 200, &b, jsonw_end(&w));
}

static void write_sandbox(struct jsonw *w, const struct gateway *g)
{
    jsonw_key(w, "sandbox");
    if (g->sandbox)
        jsonw_json(w, slice_str(g->sandbox));
    else
        jsonw_null(w);
}

/* "degraded" works, but functions are confined by less than they should be. */
static void answer_health(struct client *c)
{
    struct gateway *g = c->gateway;
    struct buf b = BUF_INIT(HEALTH_MAX);
    struct jsonw w = JSONW_INIT(&b);

    jsonw_object_begin(&w);
    jsonw_key(&w, "status");
    jsonw_str(&w, slice_str(!g->served ? "loading" : g->degraded ? "degraded" : "ok"));
    write_sandbox(&w, g);
    jsonw_object_end(&w);
    answer_json(c, g->served ? 200 : 503, &b, jsonw_end(&w));
}

/* STATUS is an object with a member for each part that control knows of: they become ours. */
static void write_told_status(struct jsonw *w, const char *json)
{
    struct slice s = slice_trim(slice_str(json));

    if (s.len > 2 && s.base[0] == '{' && s.base[s.len - 1] == '}')
        jsonw_json(w, slice(s.base + 1, s.len - 2)); /* "name": value, ... */
}

/* Whether all parts are in order; /healthz says whether requests are carried out. */
static void answer_ready(struct client *c)
{
    struct gateway *g = c->gateway;
    bool control = wire_is_open(&g->control) && g->status.json;
    bool ready = g->served && !g->draining && control && g->status.ready;
    struct buf b = BUF_INIT(HEALTH_MAX);
    struct jsonw w = JSONW_INIT(&b);

    jsonw_object_begin(&w);
    jsonw_key(&w, "ready");
    jsonw_bool(&w, ready);
    jsonw_key(&w, "gateway");
    jsonw_str(&w, slice_str(g->draining ? "draining" : g->served ? "ok" : "loading"));
    jsonw_key(&w, "control");
    jsonw_str(&w, slice_str(control ? "ok" : "away"));
    if (g->status.json)
        write_told_status(&w, g->status.json);
    write_sandbox(&w, g);
    jsonw_object_end(&w);
    answer_json(c, ready ? 200 : 503, &b, jsonw_end(&w));
}

static void answer_kill(struct client *c, struct slice id)
{
    struct invocation *inv = live_find_invocation(c->gateway, id);

    if (!inv) {
        client_answer_error(c, 404, NULL, "no request of this id runs or waits", SLICE_NULL);
        return;
    }
    invocation_fail(inv, OUTCOME_CRASH, 502, "killed by an operator");
    client_answer(c, 202, NULL, "application/json", SLICE_LIT("{}\n"));
}

/* Whoever has just invoked a function need not wait until control has its record. */
static bool answer_record(struct client *c, struct slice id)
{
    const char *json = journal_find_recent(c->gateway, id);

    if (json)
        client_answer(c, 200, NULL, "application/json", slice_str(json));
    return json != NULL;
}

static bool is_plain_target(struct slice target)
{
    for (size_t i = 0; i < target.len; i++) {
        if (target.base[i] <= ' ' || target.base[i] > '~' || target.base[i] == '#')
            return false;
    }
    return target.len > 0 && target.base[0] == '/';
}

/* Takes "GET /path?x=1", the request that the function is to see in the place of the one that
 * carries it. HEAD is none: the one that carries it has an answer with a body. */
static bool read_event(struct slice text, struct http_head *event)
{
    struct slice rest = text, method = slice_cut(&rest, ' '), path;

    event->method = method;
    event->target = event->query = rest;
    path = slice_cut(&event->query, '?');
    event->path = path;
    return http_is_token(method) && !slice_eq(method, SLICE_LIT("HEAD")) &&
           !slice_eq(method, SLICE_LIT("CONNECT")) && is_plain_target(rest) &&
           http_path_is_routable(path);
}

/* Where the request's own path leads to the function, its [name] values are had from there. */
static void invoke_as_http(struct client *c, const struct http_head *event,
                           const struct function *f)
{
    struct snapshot *s = c->gateway->served->snapshot;
    struct route_match match;
    bool routed = route_table_match(&s->table, event->method, event->path, &match) == ROUTE_E_OK &&
                  match.route->builtin == BUILTIN_NONE && &s->functions[match.route->function] == f;

    request_invoke(c, event, f, routed ? &match : NULL, NULL, TRIGGER_HTTP);
}

/* `name` may be percent-coded: names have '/' in them. */
static void answer_invoke(struct client *c, const struct http_head *head, struct slice name)
{
    struct snapshot *s = c->gateway->served ? c->gateway->served->snapshot : NULL;
    char decoded[FUNCTION_NAME_MAX];
    struct http_head event = *head;
    struct slice wanted;
    struct function *f;
    ssize_t n;

    n = http_percent_decode(name, false, decoded, sizeof(decoded));
    f = s && n > 0 ? snapshot_find(s, slice(decoded, (size_t)n)) : NULL;
    if (!f) {
        client_answer_error(c, 404, NULL, "there is no function of this name", SLICE_NULL);
        return;
    }
    if (!http_head_find(head, "mayfly-invoke", &wanted)) {
        event.target = event.path = SLICE_LIT("/");
        event.query = SLICE_NULL;
        request_invoke(c, &event, f, NULL, NULL, TRIGGER_INVOKE);
    } else if (read_event(wanted, &event)) {
        invoke_as_http(c, &event, f);
    } else {
        client_answer_error(
            c, 400, NULL,
            "Mayfly-Invoke is a method and a path, like \"GET /hello?name=you\"; the "
            "method is neither HEAD nor CONNECT, the path is plain",
            SLICE_NULL);
    }
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
    bool get = slice_eq(head->method, SLICE_LIT("GET")) || c->head_request;
    struct slice path = head->path, part;

    if (get && slice_eq(path, SLICE_LIT("/api/v1/ps")))
        answer_ps(c);
    else if (get && (slice_eq(path, SLICE_LIT("/api/v1/version")) ||
                     slice_eq(path, SLICE_LIT("/version"))))
        client_answer(c, 200, NULL, "application/json", SLICE_LIT(VERSION_JSON));
    else if (get && slice_eq(path, SLICE_LIT("/healthz")))
        answer_health(c);
    else if (get && slice_eq(path, SLICE_LIT("/readyz")))
        answer_ready(c);
    else if (get && slice_eq(path, SLICE_LIT("/metrics")))
        metrics_answer(c);
    else if (get && between(path, SLICE_LIT("/api/v1/records/"), SLICE_LIT(""), &part))
        return answer_record(c, part);
    else if (slice_eq(head->method, SLICE_LIT("POST")) &&
             between(path, SLICE_LIT("/api/v1/functions/"), SLICE_LIT("/invoke"), &part))
        answer_invoke(c, head, part);
    else if (slice_eq(head->method, SLICE_LIT("POST")) &&
             between(path, SLICE_LIT("/api/v1/requests/"), SLICE_LIT("/kill"), &part))
        answer_kill(c, part);
    else
        return false;
    return true;
}
