/* /functions, and /system. */

#include "control/api-handlers.h"
#include "control/api-rows.h"
#include "control/control.h"

#include <errno.h>
#include <stdio.h>

#define MS_PER_S 1000

/* ---- functions ---- */

/* The routes of each function, so that not all are gone through for each: there may be very many of
 * both. */
struct routes_index {
    uint32_t *first; /* of each function; ROUTES_END: none */
    uint32_t *next;  /* of each route: the next of the same function */
};

#define ROUTES_END UINT32_MAX

static void routes_index_free(struct routes_index *x)
{
    free(x->first);
    free(x->next);
}

/* Returns 0 or -ENOMEM. s may be NULL. */
static int routes_index_make(const struct snapshot *s, struct routes_index *ret)
{
    struct routes_index x = {
        .first = malloc(((s ? s->n_functions : 0) + 1ULL) * sizeof(uint32_t)),
        .next = malloc(((s ? s->n_routes : 0) + 1ULL) * sizeof(uint32_t)),
    };

    if (!x.first || !x.next) {
        routes_index_free(&x);
        return -ENOMEM;
    }
    for (uint32_t i = 0; s && i < s->n_functions; i++)
        x.first[i] = ROUTES_END;
    for (uint32_t i = s ? s->n_routes : 0; i-- > 0;) {
        const struct route *r = &s->routes[i];

        if (r->builtin != BUILTIN_NONE)
            continue;
        x.next[i] = x.first[r->function];
        x.first[r->function] = i;
    }
    *ret = x;
    return 0;
}

static void put_routes(struct jsonw *w, const struct snapshot *s, const struct routes_index *x,
                       uint32_t function)
{
    char text[ROUTE_PATTERN_MAX + 64];

    jsonw_key(w, "routes");
    jsonw_array_begin(w);
    for (uint32_t i = x->first[function]; i != ROUTES_END; i = x->next[i]) {
        const struct route *r = &s->routes[i];

        (void)snprintf(text, sizeof(text), "%s%s%s", r->method ? r->method : "",
                       r->method ? " " : "", r->pattern);
        jsonw_str(w, slice_str(text));
    }
    jsonw_array_end(w);
}

/* Names only: values are nobody's business. */
static void put_names(struct jsonw *w, const char *key, char *const *env)
{
    jsonw_key(w, key);
    jsonw_array_begin(w);
    for (; env && *env; env++)
        jsonw_str(w, slice(*env, (size_t)(strchrnul(*env, '=') - *env)));
    jsonw_array_end(w);
}

static void put_texts(struct jsonw *w, const char *key, char *const *texts)
{
    jsonw_key(w, key);
    jsonw_array_begin(w);
    for (; texts && *texts; texts++)
        jsonw_str(w, slice_str(*texts));
    jsonw_array_end(w);
}

static void put_text_or_null(struct jsonw *w, const char *key, const char *text)
{
    jsonw_key(w, key);
    if (text)
        jsonw_str(w, slice_str(text));
    else
        jsonw_null(w);
}

static int on_version(void *ctx, const struct store_version *v)
{
    struct jsonw *w = ctx;

    jsonw_object_begin(w);
    api_put_str(w, "version", v->version);
    api_put_u64(w, "first_us", v->first_us);
    api_put_u64(w, "last_us", v->last_us);
    api_put_u64(w, "invocations", v->invocations);
    jsonw_object_end(w);
    return 0;
}

static void put_limits(struct jsonw *w, const struct limits *limits)
{
    jsonw_key(w, "limits");
    jsonw_object_begin(w);
    for (size_t i = 0; i < n_limit_infos; i++) {
        uint64_t value;

        memcpy(&value, (const char *)limits + limit_infos[i].offset, sizeof(value));
        api_put_u64(w, limit_infos[i].key, value);
    }
    jsonw_object_end(w);
}

/* Returns what the store said; without a store there are no versions. */
static int put_function(struct jsonw *w, const struct snapshot *s,
                        const struct routes_index *routes, uint32_t i, struct store *store)
{
    const struct function *f = &s->functions[i];
    int r = 0;

    jsonw_object_begin(w);
    api_put_str(w, "name", slice_str(f->name));
    api_put_str(w, "version", slice_str(f->version));
    api_put_str(w, "project", slice_str(f->project));
    api_put_str(w, "runtime", slice_str(runtime_name(f->runtime)));
    api_put_str(w, "handler", slice_str(f->handler));
    api_put_str(w, "isolation", slice_str(isolation_name(f->isolation)));
    put_routes(w, s, routes, i);
    api_put_u64(w, "timeout_ms", f->limits.timeout_ms);
    api_put_u64(w, "memory_bytes", f->limits.memory_bytes);
    api_put_u64(w, "concurrency", f->limits.concurrency);
    api_put_u64(w, "queue_timeout_ms", f->limits.queue_timeout_ms);
    put_limits(w, &f->limits);
    api_put_str(w, "network", slice_str(network_name(f->network)));
    jsonw_key(w, "broken");
    jsonw_bool(w, f->broken != NULL);
    put_text_or_null(w, "error", f->broken);
    put_texts(w, "about", f->about);
    put_names(w, "env", f->env);
    put_names(w, "secrets", f->secrets);
    jsonw_key(w, "versions");
    jsonw_array_begin(w);
    if (store)
        r = store_versions(store, slice_str(f->name), on_version, w);
    jsonw_array_end(w);
    jsonw_object_end(w);
    return r;
}

void api_functions(struct api_call *call)
{
    const struct snapshot *s = call->control->last;
    struct store *store = keep_store(&call->control->keep);
    struct jsonw *w = api_json(call);
    struct routes_index routes;
    int r = 0;

    if (routes_index_make(s, &routes) < 0) {
        api_fail(call, 503, "out of memory");
        return;
    }
    jsonw_object_begin(w);
    jsonw_key(w, "functions");
    jsonw_array_begin(w);
    for (uint32_t i = 0; s && i < s->n_functions && r == 0; i++)
        r = put_function(w, s, &routes, i, store);
    routes_index_free(&routes);
    if (!api_store_did(call, r))
        return;
    jsonw_array_end(w);
    jsonw_object_end(w);
    api_json_end(call, 200);
}

void api_function(struct api_call *call)
{
    const struct snapshot *s = call->control->last;
    const struct function *f = s ? snapshot_find(s, call->args[0]) : NULL;
    struct routes_index routes;
    int r;

    if (!f) {
        api_fail(call, 404, "there is no function of this name");
        return;
    }
    if (routes_index_make(s, &routes) < 0) {
        api_fail(call, 503, "out of memory");
        return;
    }
    r = put_function(api_json(call), s, &routes, (uint32_t)(f - s->functions),
                     keep_store(&call->control->keep));
    routes_index_free(&routes);
    if (api_store_did(call, r))
        api_json_end(call, 200);
}

/* ---- what starts it ---- */

static void put_words(struct jsonw *w, const char *key, char *const *words)
{
    jsonw_key(w, key);
    jsonw_array_begin(w);
    for (; words && *words; words++)
        jsonw_str(w, slice_str(*words));
    jsonw_array_end(w);
}

/* For a debugger, which starts it outside of the sandbox. Values of secrets are not in it. */
void api_function_launch(struct api_call *call)
{
    const struct snapshot *s = call->control->last;
    const struct function *f = s ? snapshot_find(s, call->args[0]) : NULL;
    struct jsonw *w;

    if (!f || f->broken) {
        api_fail(call, f ? 409 : 404, "%s",
                 f ? f->broken : "there is no function of this name any more");
        return;
    }
    w = api_json(call);
    jsonw_object_begin(w);
    api_put_str(w, "name", slice_str(f->name));
    api_put_str(w, "version", slice_str(f->version));
    api_put_str(w, "runtime", slice_str(runtime_name(f->runtime)));
    api_put_str(w, "handler", slice_str(f->handler));
    api_put_str(w, "directory", slice_str(f->code_dir));
    api_put_u64(w, "memory_bytes", f->limits.memory_bytes);
    put_words(w, "argv", f->argv);
    put_words(w, "env", f->env);
    put_words(w, "secrets", f->secrets);
    jsonw_object_end(w);
    api_json_end(call, 200);
}

/* ---- system ---- */

static void put_rule(struct jsonw *w, const struct retention_rule *rule)
{
    api_put_u64(w, "keep_us", rule->age_us);
    api_put_u64(w, "count", rule->records);
}

static void put_retention(struct jsonw *w, const struct retention *r)
{
    jsonw_key(w, "retention");
    jsonw_object_begin(w);
    put_rule(w, &r->all);
    api_put_u64(w, "bytes", r->bytes);
    jsonw_key(w, "functions");
    jsonw_array_begin(w);
    for (size_t i = 0; i < r->n_overrides; i++) {
        jsonw_object_begin(w);
        api_put_str(w, "name", r->overrides[i].function);
        put_rule(w, &r->overrides[i].rule);
        jsonw_object_end(w);
    }
    jsonw_array_end(w);
    jsonw_object_end(w);
}

static int put_store(struct jsonw *w, struct keep *k)
{
    struct store_info info = {0};
    int r = keep_store(k) ? store_info(keep_store(k), &info) : 0;

    if (r < 0)
        return r;
    jsonw_key(w, "store");
    jsonw_object_begin(w);
    api_put_str(w, "status", slice_str(keep_status_name(k->status)));
    put_text_or_null(w, "detail", k->detail[0] ? k->detail : NULL);
    api_put_u64(w, "bytes", info.bytes);
    api_put_u64(w, "file_bytes", info.file_bytes);
    api_put_u64(w, "records", info.records);
    api_put_u64(w, "log_lines", info.log_lines);
    api_put_u64(w, "captures", info.captures);
    api_put_u64(w, "oldest_us", info.oldest_us);
    api_put_u64(w, "newest_us", info.newest_us);
    put_retention(w, &k->retention);
    jsonw_object_end(w);
    return 0;
}

static void put_loss(struct jsonw *w, uint64_t time_us, struct slice what, uint64_t n,
                     struct slice why)
{
    jsonw_object_begin(w);
    api_put_u64(w, "time_us", time_us);
    api_put_str(w, "what", what);
    api_put_u64(w, "n", n);
    api_put_str(w, "why", why);
    jsonw_object_end(w);
}

static int on_loss(void *ctx, const struct store_loss *l)
{
    put_loss(ctx, l->time_us, l->what, l->n, l->why);
    return 0;
}

/* What is not stored yet, because the store does not take it, is first. */
static int put_losses(struct jsonw *w, const struct keep *k)
{
    int r = 0;

    jsonw_key(w, "losses");
    jsonw_array_begin(w);
    if (k->lost.records > 0)
        put_loss(w, clock_wall_us(), SLICE_LIT("records"), k->lost.records, slice_str(k->detail));
    if (k->lost.recordings > 0)
        put_loss(w, clock_wall_us(), SLICE_LIT("recordings"), k->lost.recordings,
                 slice_str(k->detail));
    if (k->lost.log_lines > 0)
        put_loss(w, clock_wall_us(), SLICE_LIT("log lines"), k->lost.log_lines,
                 slice_str(k->detail));
    if (keep_store(k))
        r = store_losses(keep_store(k), 0, on_loss, w);
    jsonw_array_end(w);
    return r;
}

void api_system(struct api_call *call)
{
    struct control *c = call->control;
    struct jsonw *w = api_json(call);
    struct machine m = {.cpus = 0};

    machine_look(&m);
    jsonw_object_begin(w);
    api_put_str(w, "version", SLICE_LIT(MAYFLY_VERSION));
    api_put_str(w, "url", slice_str(c->options.url));
    api_put_u64(w, "started_us", c->started_us);
    api_put_u64(w, "cpus", m.cpus);
    api_put_u64(w, "memory_bytes", m.memory_bytes);
    jsonw_key(w, "dev");
    jsonw_bool(w, c->options.dev);
    if (!api_store_did(call, put_store(w, &c->keep)) ||
        !api_store_did(call, put_losses(w, &c->keep)))
        return;
    jsonw_object_end(w);
    api_json_end(call, 200);
}
