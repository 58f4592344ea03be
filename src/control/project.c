/* The steps of a load, in order: units, drafts, hashes, compilations, versions, routes. */

#include "control/project.h"

#include "control/draft.h"
#include "control/reach.h"
#include "control/retention.h"
#include "control/secrets.h"
#include "control/words.h"
#include "model/secret.h"

#include <errno.h>
#include <stdio.h>

struct project {
    struct project_options options;
    struct tree_cache *cache;
    struct resolver *resolver;
    bool renew; /* the next load looks all names up */
    /* Programs of the last snapshot may still be started while the next one is being made known. */
    char (*keys)[sizeof(((struct compile_job *)0)->key)];
    size_t n_keys;
    struct buf bundles; /* of secrets, of all functions */
    bool has_secrets;
    struct buf warnings; /* of the last load, lines */
    struct redact *redact;
    struct deps_failures failures;
    struct retention retention;
    bool has_retention;
};

struct project *project_new(const struct project_options *options)
{
    struct project *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->options = *options;
    p->cache = tree_cache_new();
    p->resolver = resolver_new();
    p->redact = redact_new();
    return p->cache && p->resolver && p->redact ? p : project_free(p);
}

struct project *project_free(struct project *p)
{
    if (p) {
        (void)tree_cache_free(p->cache);
        (void)resolver_free(p->resolver);
        free(p->keys);
        buf_deinit(&p->warnings);
        deps_failures_clear(&p->failures);
        secrets_bundle_wipe(&p->bundles);
        (void)redact_free(p->redact);
        retention_free(&p->retention);
        free(p);
    }
    return NULL;
}

struct slice project_secrets(const struct project *p)
{
    return buf_slice(&p->bundles);
}

bool project_has_secrets(const struct project *p)
{
    return p->has_secrets;
}

struct slice project_warnings(const struct project *p)
{
    return buf_slice(&p->warnings);
}

bool project_take_retention(struct project *p, struct retention *ret)
{
    bool has = p->has_retention;

    if (has) {
        *ret = p->retention;
        p->retention = (struct retention){0};
        p->has_retention = false;
    }
    return has;
}

const struct redact *project_redact(const struct project *p)
{
    return p->redact;
}

/* ---- versions ---- */

static void digest_env(struct digest *digest, char *const *env)
{
    for (; env && *env; env++)
        digest_str(digest, slice_str(*env));
    digest_str(digest, SLICE_LIT(""));
}

/* The code and what was said of the function, but not where either lies: the same project has the
 * same versions on another machine. A broken function differs from what it becomes when it is
 * mended from outside, by installing a compiler say. */
static int version_make(const struct load *l, struct draft *d)
{
    uint8_t hash[TREE_HASH_SIZE];
    struct digest digest;
    int r;

    digest_begin(&digest);
    digest_str(&digest, SLICE_LIT("version 1"));
    digest_str(&digest, slice(d->unit->tree.hash, TREE_HASH_SIZE));
    digest_str(&digest, slice_str(d->f.name));
    digest_str(&digest, slice_str(d->f.handler));
    digest_u64(&digest, d->f.isolation);
    digest_str(&digest, slice(&d->f.limits, sizeof(d->f.limits)));
    digest_env(&digest, d->unit->config->defaults.env);
    if (d->f.runtime != RUNTIME_STATIC)
        digest_env(&digest, d->unit->env.variables);
    digest_env(&digest, d->config ? d->config->settings.env : NULL);
    reach_digest(d, &digest);
    digest_str(&digest, slice_str(d->f.broken));
    runtime_digest(d, &digest);
    secrets_digest(l, d, &digest);
    r = digest_end(&digest, hash);
    if (r == 0)
        digest_hex(hash, FUNCTION_VERSION_LEN / 2, d->f.version);
    return r;
}

/* ---- compilations ---- */

static void builds_prune(struct project *p, struct load *l)
{
    size_t n = p->n_keys + l->n_jobs;
    _cleanup_free_ const char **keys = calloc(n + 1, sizeof(*keys));
    void *kept = calloc((size_t)l->n_jobs + 1, sizeof(*p->keys));

    if (!keys || !kept) {
        free(kept);
        return;
    }
    for (size_t i = 0; i < n; i++)
        keys[i] = i < p->n_keys ? p->keys[i] : l->jobs[i - p->n_keys].key;
    compile_prune(p->options.state, keys, n);
    free(p->keys);
    p->keys = kept;
    p->n_keys = l->n_jobs;
    for (uint32_t i = 0; i < l->n_jobs; i++)
        memcpy(p->keys[i], l->jobs[i].key, sizeof(l->jobs[i].key));
}

/* Root may read everything; the users that functions run as may not. */
static void break_closed(struct load *l)
{
    for (uint32_t i = 0; l->options->own_users && i < l->n_drafts; i++) {
        const struct unit *u = l->drafts[i].unit;

        if (u->tree.closed)
            draft_break(&l->drafts[i],
                        "others may not read %s, and each function runs as a user of its own; run: "
                        "chmod -R o+rX %s",
                        u->tree.closed, u->dir);
    }
}

static int compilations_run(struct load *l, const struct build_context *ctx)
{
    _cleanup_free_ struct build_job **jobs =
        calloc((size_t)l->n_jobs + 1, sizeof(struct build_job *));

    if (!jobs)
        return -ENOMEM;
    for (uint32_t i = 0; i < l->n_jobs; i++)
        jobs[i] = &l->jobs[i].build;
    return build_run(jobs, l->n_jobs, ctx);
}

static int drafts_build(struct project *p, struct load *l)
{
    const struct project_options *o = &p->options;
    const struct build_context ctx = {.state = o->state,
                                      .lib = o->lib,
                                      .libexec = o->libexec,
                                      .deps = o->deps,
                                      .progress = o->progress,
                                      .idle = o->idle,
                                      .idle_ctx = o->idle_ctx};
    int r = 0;

    for (uint32_t i = 0; i < l->n_units && r == 0; i++)
        r = tree_hash(l->cache, l->units[i]->dir, o->state, &l->units[i]->tree, l->err);
    if (r < 0)
        return r;
    break_closed(l);
    for (uint32_t i = 0; i < l->n_drafts && r == 0; i++)
        r = runtime_prepare(l, &l->drafts[i]);
    if (r == 0)
        r = compilations_run(l, &ctx);
    if (r == 0 && p->renew)
        deps_failures_clear(&p->failures);
    if (r == 0)
        r = deps_run(l, &ctx);
    if (r == 0)
        r = reach_resolve(l, p->renew ? 0 : RESOLVE_FRESH_MS);
    p->renew = p->renew && r < 0;
    for (uint32_t i = 0; i < l->n_drafts && r == 0; i++) {
        r = runtime_finish(&l->drafts[i]);
        if (r == 0)
            r = reach_finish(l, &l->drafts[i]);
        if (r == 0)
            r = secrets_prepare(l, &l->drafts[i]);
        if (r == 0)
            r = version_make(l, &l->drafts[i]);
        if (r == 0)
            r = runtime_env(l, &l->drafts[i]);
    }
    if (r == -ECANCELED)
        return error_set(l->err, r, "the load was broken off");
    return r < 0 ? error_set(l->err, r, "out of memory") : 0;
}

/* ---- routes ---- */

static int route_add(struct snapshot *s, const struct unit *u, const char *method,
                     const char *pattern, const char *origin, struct error *err)
{
    struct route *route = &s->routes[s->n_routes];
    struct slice none, parsed;
    struct error why = ERROR_NULL;
    bool root = strcmp(pattern, "/") == 0 && u->prefix[0];

    *route = (struct route){.method = method ? slice_dup(slice_str(method)) : NULL,
                            .origin = slice_dup(slice_str(origin)),
                            .project = slice_dup(slice_str(u->rel))};
    if (asprintf(&route->pattern, "%s%s", u->prefix, root ? "" : pattern) < 0)
        route->pattern = NULL;
    s->n_routes++;
    if (!route->origin || !route->project || !route->pattern || (method && !route->method))
        return error_set(err, -ENOMEM, "out of memory");
    /* With the prefix before it, or from a file's name, it has not been checked yet. */
    if (route_parse(slice_str(route->pattern), &none, &parsed, &why) < 0)
        return error_set(err, -EINVAL, "%s: %s", origin, why.text);
    return 0;
}

/* A function by the name that its own project knows it by, or by its full name. */
static const struct draft *draft_find(const struct load *l, const struct unit *u, const char *name)
{
    _cleanup_free_ char *full = unit_path(u, name);

    for (uint32_t i = 0; i < l->n_drafts; i++) {
        const struct draft *d = &l->drafts[i];

        if (d->unit == u &&
            (strcmp(d->f.name, name) == 0 || (d->api && full && strcmp(d->f.name, full) == 0)))
            return d;
    }
    for (uint32_t i = 0; i < l->n_drafts; i++) {
        if (strcmp(l->drafts[i].f.name, name) == 0)
            return &l->drafts[i];
    }
    return NULL;
}

static int config_routes_add(struct load *l, struct unit *u, struct snapshot *s)
{
    for (uint32_t i = 0; i < u->config->n_routes; i++) {
        const struct config_route *c = &u->config->routes[i];
        const struct draft *d = c->function ? draft_find(l, u, c->function) : NULL;
        char origin[4096 + 16];
        int r;

        (void)snprintf(origin, sizeof(origin), "%s:%u", u->label, c->line);
        if (c->function && !d) {
            const char *nearest = l->n_drafts == 0
                                      ? NULL
                                      : words_nearest(c->function, &l->drafts[0].f.name,
                                                      l->n_drafts, sizeof(*l->drafts));

            return error_set(
                l->err, -ENOENT, "%s: route \"%s%s%s\": there is no function \"%s\"%s%s%s", origin,
                c->method ? c->method : "", c->method ? " " : "", c->pattern, c->function,
                nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
        }
        r = route_add(s, u, c->method, c->pattern, origin, l->err);
        if (r < 0)
            return r;
        s->routes[s->n_routes - 1].builtin = c->builtin;
        s->routes[s->n_routes - 1].function = d ? (uint32_t)(d - l->drafts) : 0;
    }
    return 0;
}

static int draft_routes_add(struct load *l, uint32_t index, struct snapshot *s)
{
    const struct draft *d = &l->drafts[index];
    char origin[4096 + 16];
    int r = 0;

    for (unsigned i = 0; d->api && i < d->api->n_patterns && r == 0; i++) {
        r = route_add(s, d->unit, NULL, d->api->patterns[i], d->origin, l->err);
        s->routes[s->n_routes - 1].function = index;
    }
    for (uint32_t i = 0; d->config && i < d->config->n_routes && r == 0; i++) {
        const struct config_route *c = &d->config->routes[i];

        (void)snprintf(origin, sizeof(origin), "%s:%u", d->unit->label, c->line);
        r = route_add(s, d->unit, c->method, c->pattern, origin, l->err);
        s->routes[s->n_routes - 1].function = index;
    }
    return r;
}

static int routes_make(struct load *l, struct snapshot *s)
{
    size_t n = 0;
    int r = 0;

    for (uint32_t i = 0; i < l->n_units; i++)
        n += l->units[i]->config->n_routes;
    for (uint32_t i = 0; i < l->n_drafts; i++)
        n += (l->drafts[i].api ? l->drafts[i].api->n_patterns : 0) +
             (l->drafts[i].config ? l->drafts[i].config->n_routes : 0);
    if (n > SNAPSHOT_ROUTES_MAX)
        return error_set(l->err, -E2BIG, "%s: more than %d routes", l->options->dir,
                         SNAPSHOT_ROUTES_MAX);
    s->routes = calloc(n + 1, sizeof(*s->routes));
    if (!s->routes)
        return error_set(l->err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < l->n_units && r == 0; i++)
        r = config_routes_add(l, l->units[i], s);
    for (uint32_t i = 0; i < l->n_drafts && r == 0; i++)
        r = draft_routes_add(l, i, s);
    return r;
}

/* ---- all ---- */

/* The drafts' functions move over; their indices stay. */
static int snapshot_fill(struct load *l, struct snapshot *s)
{
    int r = routes_make(l, s);

    if (r < 0)
        return r;
    if (l->n_drafts == 0 && s->n_routes == 0)
        return error_set(l->err, -ENOENT,
                         "%s: declares no function; add one to \"functions\" or below api/",
                         l->units[0]->label);
    s->functions = calloc((size_t)l->n_drafts + 1, sizeof(*s->functions));
    if (!s->functions)
        return error_set(l->err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < l->n_drafts; i++) {
        s->functions[i] = l->drafts[i].f;
        l->drafts[i].f = (struct function){0};
    }
    s->n_functions = l->n_drafts;
    r = sites_make(l, s);
    if (r < 0)
        return r == -ENOMEM ? error_set(l->err, r, "out of memory") : r;
    r = snapshot_index(s, l->err);
    return r == -ENOMEM ? error_set(l->err, r, "out of memory") : r;
}

uint64_t project_due_ns(const struct project *p, uint64_t now_ns)
{
    return resolver_due_ns(p->resolver, now_ns);
}

bool project_tick(struct project *p, uint64_t now_ns)
{
    return resolver_tick(p->resolver, now_ns);
}

void project_renew(struct project *p)
{
    p->renew = true;
}

/* Keeps what of the secrets is needed beyond the load. */
static int secrets_keep(struct project *p, const struct load *l)
{
    struct buf bundles = BUF_INIT(SECRET_BUNDLES_MAX);
    int r = secrets_encode(l, &bundles);

    if (r == 0) {
        r = secrets_redact_all(l, p->redact);
        if (r == -ENOBUFS) { /* after very many changes: those of long ago are forgotten */
            struct redact *fresh = redact_new();

            r = fresh ? secrets_redact_all(l, fresh) : -ENOMEM;
            (void)redact_free(fresh ? p->redact : NULL);
            p->redact = fresh ? fresh : p->redact;
        }
    }
    if (r < 0) {
        secrets_bundle_wipe(&bundles);
        return error_set_errno(l->err, r, "cannot hand on the secrets");
    }
    secrets_bundle_wipe(&p->bundles);
    p->bundles = bundles;
    p->has_secrets = l->secrets != NULL;
    return 0;
}

static int retention_keep(struct project *p, const struct load *l)
{
    struct retention retention;
    int r = retention_make(l, &retention);

    if (r < 0)
        return error_set(l->err, r, "out of memory");
    retention_free(&p->retention);
    p->retention = retention;
    p->has_retention = true;
    return 0;
}

int project_load(struct project *p, uint64_t generation, struct snapshot **ret, struct error *err)
{
    struct load l = {.options = &p->options,
                     .cache = p->cache,
                     .resolver = p->resolver,
                     .warnings = BUF_INIT(PROJECT_WARNINGS_MAX),
                     .err = err,
                     .failures = &p->failures};
    struct snapshot *s = snapshot_new();
    int r;

    if (!s)
        return error_set(err, -ENOMEM, "out of memory");
    s->generation = generation;
    s->dev = p->options.dev;
    tree_cache_begin(p->cache);
    r = units_load(&l);
    if (r == 0)
        r = drafts_make(&l);
    if (r == 0)
        r = drafts_build(p, &l);
    if (r == 0)
        r = secrets_keep(p, &l);
    if (r == 0)
        r = retention_keep(p, &l);
    if (r == 0)
        r = snapshot_fill(&l, s);
    if (r == 0)
        builds_prune(p, &l);
    if (r == 0)
        deps_prune(p->options.deps, &l);
    buf_deinit(&p->warnings);
    p->warnings = l.warnings;
    l.warnings = BUF_INIT(0);
    load_deinit(&l);
    if (r < 0) {
        (void)snapshot_free(s);
        return r;
    }
    *ret = s;
    return 0;
}
