/* From files to drafts: which functions there are, what each is called, what was said of it and
 * where. */

#include "control/draft.h"

#include "base/log.h"
#include "control/framework.h"
#include "control/secrets.h"
#include "control/words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

static int fail_memory(struct load *l)
{
    return error_set(l->err, -ENOMEM, "out of memory");
}

char *unit_path(const struct unit *u, const char *file)
{
    return u->rel[0] ? path_join(u->rel, file) : slice_dup(slice_str(file));
}

void draft_break(struct draft *d, const char *format, ...)
{
    char what[ERROR_TEXT_MAX];
    va_list args;

    if (d->f.broken)
        return;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (asprintf(&d->f.broken, "%s: %s", d->origin, what) < 0)
        d->f.broken = NULL;
}

/* ---- units ---- */

static struct unit *unit_free(struct unit *u)
{
    if (!u)
        return NULL;
    free(u->dir);
    free(u->rel);
    free(u->prefix);
    free(u->label);
    (void)config_free(u->config);
    api_files_deinit(&u->api);
    site_files_deinit(&u->files);
    (void)vercel_free(u->vercel);
    env_list_deinit(&u->env);
    free(u->python);
    free(u->python_broken);
    interpreter_deinit(&u->node);
    free(u->node_broken);
    free(u->node_why);
    free(u->npm_broken);
    tree_deinit(&u->tree);
    interpreter_deinit(&u->interpreter);
    free(u);
    return NULL;
}

static void drafts_free(struct load *l)
{
    for (uint32_t i = 0; i < l->n_drafts; i++) {
        function_deinit(&l->drafts[i].f);
        free(l->drafts[i].origin);
        target_deinit(&l->drafts[i].target);
        secrets_bundle_wipe(&l->drafts[i].bundle);
    }
    for (uint32_t i = 0; i < l->n_jobs; i++) {
        free(l->jobs[i].program);
        free(l->jobs[i].build.broken);
    }
    for (uint32_t i = 0; i < l->n_deps; i++)
        (void)deps_job_free(l->deps[i]);
    free(l->drafts);
    free(l->jobs);
}

void load_deinit(struct load *l)
{
    drafts_free(l);
    (void)load_secrets_free(l->secrets);
    buf_deinit(&l->warnings);
    for (uint32_t i = 0; i < l->n_units; i++)
        (void)unit_free(l->units[i]);
    *l = (struct load){0};
}

/* Reads its files. A folder that says nothing is a mistake. */
static int unit_read(struct load *l, struct unit *u)
{
    _cleanup_free_ char *path = path_join(u->dir, CONFIG_FILE);
    struct stat st;
    int r;

    if (!path)
        return fail_memory(l);
    if (stat(u->dir, &st) < 0 || !S_ISDIR(st.st_mode))
        return error_set(l->err, -ENOTDIR, "%s: there is no such folder", u->dir);
    u->has_config = stat(path, &st) == 0;
    if (u->has_config) {
        r = config_load(path, u->label, &u->config, l->err);
        if (r < 0)
            return r;
    } else {
        u->config = config_new();
        if (!u->config)
            return fail_memory(l);
    }
    r = api_scan(u->dir, &u->api, l->err);
    if (r == 0)
        r = framework_find(l, u);
    if (r < 0)
        return r;
    r = unit_site_read(l, u);
    if (r < 0)
        return r;
    if (!u->has_config && !u->vercel && u->api.n_files == 0 && u->files.n_files == 0)
        return error_set(l->err, -ENOENT,
                         "%s: there is no mayfly.json here, no function below api/, no application "
                         "such as app.py or server.js and no file below public/; `mayfly init` "
                         "makes a first function",
                         u->dir);
    return 0;
}

/* Adds a unit; whoever includes it is `by`, or NULL for the project itself. */
static int unit_add(struct load *l, const struct unit *by, const struct config_include *include)
{
    struct unit *u = calloc(1, sizeof(*u));

    if (!u)
        return fail_memory(l);
    if (l->n_units == PROJECT_UNITS_MAX) {
        assert(by); /* the project itself is the first */
        free(u);
        return error_set(l->err, -E2BIG, "%s:%u: more than %d projects in all", by->label,
                         include->line, PROJECT_UNITS_MAX);
    }
    l->units[l->n_units++] = u;
    if (by) {
        u->dir = path_join(by->dir, include->path);
        u->rel = unit_path(by, include->path);
        if (asprintf(&u->prefix, "%s%s", by->prefix, include->prefix) < 0)
            u->prefix = NULL;
    } else {
        u->dir = slice_dup(slice_str(l->options->dir));
        u->rel = slice_dup(SLICE_LIT(""));
        u->prefix = slice_dup(SLICE_LIT(""));
    }
    if (!u->dir || !u->rel || !u->prefix)
        return fail_memory(l);
    u->label = unit_path(u, CONFIG_FILE);
    if (!u->label)
        return fail_memory(l);
    for (uint32_t i = 0; by && i + 1 < l->n_units; i++) {
        if (strcmp(l->units[i]->rel, u->rel) == 0)
            return error_set(l->err, -EEXIST,
                             "%s:%u: the folder \"%s\" is included already; "
                             "remove one of them",
                             by->label, include->line, include->path);
    }
    return 0;
}

int units_load(struct load *l)
{
    int r = unit_add(l, NULL, NULL);

    if (r < 0)
        return r;
    /* Those that a unit includes are added behind, and read in their turn. */
    for (uint32_t i = 0; i < l->n_units; i++) {
        struct unit *u = l->units[i];

        r = unit_read(l, u);
        if (r < 0)
            return r;
        for (uint32_t k = 0; k < u->config->n_includes; k++) {
            r = unit_add(l, u, &u->config->includes[k]);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* ---- drafts ---- */

static const struct config_function *config_find(const struct unit *u, const char *name)
{
    for (uint32_t i = 0; i < u->config->n_functions; i++) {
        if (strcmp(u->config->functions[i].name, name) == 0)
            return &u->config->functions[i];
    }
    return NULL;
}

static const struct api_file *api_find(const struct unit *u, const char *name)
{
    for (uint32_t i = 0; i < u->api.n_files; i++) {
        if (strcmp(u->api.files[i].name, name) == 0)
            return &u->api.files[i];
    }
    return NULL;
}

static void settings_apply(struct function *f, const struct config_settings *s)
{
    for (size_t i = 0; i < n_limit_infos; i++) {
        size_t offset = limit_infos[i].offset;

        if (s->limits_given & 1ULL << i)
            memcpy((char *)&f->limits + offset, (const char *)&s->limits + offset,
                   sizeof(uint64_t));
    }
    if (s->isolation >= 0)
        f->isolation = (enum isolation)s->isolation;
    if (s->network >= 0)
        f->network = (enum network)s->network;
    if (s->secrets_when >= 0)
        f->secrets_when = (enum secrets_when)s->secrets_when;
}

/* What a function redacts of its recordings: its own list, or that of the file. */
static int redact_apply(struct draft *d)
{
    char *const *own = d->config ? d->config->settings.redact : NULL;
    char *const *names = own ? own : d->unit->config->defaults.redact;

    size_t n = 0;

    while (names && names[n])
        n++;
    d->f.redact = n > 0 ? calloc(n + 1, sizeof(*d->f.redact)) : NULL;
    if (n > 0 && !d->f.redact)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        d->f.redact[i] = slice_dup(slice_str(names[i]));
        if (!d->f.redact[i])
            return -ENOMEM;
    }
    return 0;
}

/* Fills in what does not depend on the runtime. */
static int draft_fill(struct load *l, struct draft *d, char *name_consume, char *origin_consume,
                      const char *handler)
{
    const struct config_settings *vercel = NULL;

    d->f.name = name_consume;
    d->origin = origin_consume;
    d->f.handler = slice_dup(slice_str(handler));
    d->f.code_dir = slice_dup(slice_str(d->unit->dir));
    d->f.project = slice_dup(slice_str(d->unit->rel));
    if (!d->f.name || !d->origin || !d->f.handler || !d->f.code_dir || !d->f.project)
        return fail_memory(l);
    limits_init(&d->f.limits);
    if (d->api && d->unit->vercel)
        vercel = vercel_settings(d->unit->vercel, d->api->target.file);
    if (vercel)
        settings_apply(&d->f, vercel);
    settings_apply(&d->f, &d->unit->config->defaults);
    if (d->config)
        settings_apply(&d->f, &d->config->settings);
    return redact_apply(d) < 0 ? fail_memory(l) : 0;
}

static int draft_from_api(struct load *l, struct unit *u, const struct api_file *file)
{
    struct draft *d = &l->drafts[l->n_drafts++];
    const struct target *t = &file->target;
    int r;

    *d = (struct draft){.unit = u, .api = file, .config = config_find(u, file->name)};
    r = draft_fill(l, d, unit_path(u, file->name), unit_path(u, t->file), file->handler);
    if (r < 0)
        return r;
    if (!function_name_is_valid(slice_str(d->f.name)))
        return error_set(
            l->err, -EINVAL,
            "%s: the path of a function's file is its name: at most %d letters, digits "
            "and \"-_./[]\"; rename it, or begin its name with '_' if it is none",
            d->origin, FUNCTION_NAME_MAX);
    d->target = (struct target){.kind = t->kind,
                                .runtime = t->runtime,
                                .file = slice_dup(slice_str(t->file)),
                                .symbol = t->symbol ? slice_dup(slice_str(t->symbol)) : NULL};
    d->f.runtime = t->runtime;
    return d->target.file && (!t->symbol || d->target.symbol) ? 0 : fail_memory(l);
}

static int draft_from_config(struct load *l, struct unit *u, const struct config_function *c)
{
    struct draft *d = &l->drafts[l->n_drafts];
    struct error err = ERROR_NULL;
    char *origin;
    int r;

    if (!c->handler && !c->command) {
        if (api_find(u, c->name))
            return 0; /* settings of that file's function */
        return error_set(l->err, -EINVAL,
                         "%s:%u: functions.%s: has no \"handler\", and there is no function file "
                         "%s.* of which these could be the settings",
                         u->label, c->line, c->name, c->name);
    }
    if (api_find(u, c->name))
        return error_set(l->err, -EEXIST,
                         "%s:%u: functions.%s: the file %s has that name, too; rename one, or "
                         "leave out \"handler\" to set up the file's function",
                         u->label, c->line, c->name, api_find(u, c->name)->target.file);
    l->n_drafts++;
    *d = (struct draft){.unit = u, .config = c};
    if (asprintf(&origin, "%s:%u", u->label, c->line) < 0)
        origin = NULL;
    r = draft_fill(l, d, slice_dup(slice_str(c->name)), origin,
                   c->handler ? c->handler : c->command[0]);
    if (r < 0)
        return r;
    if (c->command)
        r = target_of_command(c->command, c->command_is_line, (enum runtime)c->runtime, &d->target);
    else
        r = target_find(u->dir, c->handler, c->runtime, &d->target, &err);
    if (r == -ENOMEM)
        return fail_memory(l);
    if (r < 0) {
        free(d->f.broken);
        if (asprintf(&d->f.broken, "%s:%u: functions.%s.%s: %s", u->label,
                     c->command ? c->command_line : c->handler_line, c->name,
                     c->command ? "command" : "handler", err.text) < 0)
            d->f.broken = NULL;
    }
    d->f.runtime = r == 0            ? d->target.runtime
                   : c->runtime >= 0 ? (enum runtime)c->runtime
                                     : RUNTIME_EXEC;
    return 0;
}

/* The function that serves the unit's files: no code of the author's runs in it, so its process is
 * kept; it reaches nothing, and however long a download takes, it is not cut. */
static int draft_from_files(struct load *l, struct unit *u)
{
    struct draft *d = &l->drafts[l->n_drafts++];
    struct limits *limits = &d->f.limits;
    int r;

    *d = (struct draft){.unit = u};
    r = draft_fill(l, d, unit_path(u, SITE_FUNCTION), unit_path(u, u->files.root), u->files.root);
    if (r < 0)
        return r;
    limits_init(limits);
    for (size_t i = 0; i < n_limit_infos; i++) {
        if (strcmp(limit_infos[i].key, "timeout") == 0 ||
            strcmp(limit_infos[i].key, "response") == 0)
            memcpy((char *)limits + limit_infos[i].offset, &limit_infos[i].max, sizeof(uint64_t));
    }
    d->f.isolation = ISOLATION_INSTANCE;
    d->f.network = NETWORK_NONE;
    d->f.runtime = RUNTIME_STATIC;
    d->target = (struct target){.kind = TARGET_STATIC,
                                .runtime = RUNTIME_STATIC,
                                .file = slice_dup(slice_str(u->files.root))};
    return d->target.file ? 0 : fail_memory(l);
}

static int draft_cmp(const void *a, const void *b)
{
    return strcmp(((const struct draft *)a)->f.name, ((const struct draft *)b)->f.name);
}

int drafts_make(struct load *l)
{
    size_t n = 0;
    int r = 0;

    for (uint32_t i = 0; i < l->n_units; i++)
        n += (size_t)l->units[i]->api.n_files + l->units[i]->config->n_functions +
             (l->units[i]->files.n_files > 0);
    if (n > SNAPSHOT_FUNCTIONS_MAX)
        return error_set(l->err, -E2BIG, "%s: more than %d functions", l->options->dir,
                         SNAPSHOT_FUNCTIONS_MAX);
    l->drafts = calloc(n + 1, sizeof(*l->drafts));
    l->jobs = calloc(n + 1, sizeof(*l->jobs));
    if (!l->drafts || !l->jobs)
        return fail_memory(l);
    for (uint32_t i = 0; i < l->n_units; i++) {
        struct unit *u = l->units[i];

        for (uint32_t k = 0; k < u->config->n_functions && r == 0; k++)
            r = draft_from_config(l, u, &u->config->functions[k]);
        for (uint32_t k = 0; k < u->api.n_files && r == 0; k++)
            r = draft_from_api(l, u, &u->api.files[k]);
        if (r == 0 && u->files.n_files > 0)
            r = draft_from_files(l, u);
    }
    for (uint32_t i = 0; i < l->n_units && r == 0; i++)
        unit_warnings(l, l->units[i]);
    if (r < 0)
        return r;
    qsort(l->drafts, l->n_drafts, sizeof(*l->drafts), draft_cmp);
    for (uint32_t i = 1; i < l->n_drafts; i++) {
        const struct draft *a = &l->drafts[i - 1], *b = &l->drafts[i];

        if (strcmp(a->f.name, b->f.name) == 0)
            return error_set(l->err, -EEXIST,
                             "%s and %s both make a function \"%s\"; rename one of them", a->origin,
                             b->origin, a->f.name);
    }
    return 0;
}
