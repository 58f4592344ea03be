#include "control/vercel-internal.h"

#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static int fail_memory(struct vercel_reader *vr)
{
    return error_set(vr->rd.err, -ENOMEM, "%s: out of memory", vr->rd.name);
}

/* ---- warnings ---- */

static void warn_text(struct vercel *v, const char *text)
{
    char **more;

    if (v->n_warnings == VERCEL_WARNINGS_MAX)
        return;
    more = reallocarray(v->warnings, (size_t)v->n_warnings + 1, sizeof(*more));
    if (!more)
        return;
    v->warnings = more;
    more[v->n_warnings] = slice_dup(slice_str(text));
    v->n_warnings += more[v->n_warnings] != NULL;
}

void vercel_warn(struct vercel *v, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    warn_text(v, text);
}

void vercel_warn_at(struct vercel_reader *vr, const struct json_path *here, const char *format, ...)
{
    char what[ERROR_TEXT_MAX / 2], place[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    (void)json_path_text(here, place, sizeof(place));
    vercel_warn(vr->v, "%s:%u: %s: %s", vr->rd.name, json_locate(vr->rd.text, here), place, what);
}

static void warn_key(struct vercel_reader *vr, const struct json_path *here, const char *key,
                     const char *what)
{
    char quoted[128], place[256] = "";

    if (here->parent)
        (void)json_path_text(here->parent, place, sizeof(place));
    vercel_warn(vr->v, "%s:%u: %s%s\"%s\" %s", vr->rd.name, json_locate(vr->rd.text, here), place,
                place[0] ? ": " : "", log_quote(slice_str(key), quoted, sizeof(quoted)), what);
}

void vercel_warn_keys(struct vercel_reader *vr, json_t *object, const struct json_path *here,
                      const char *const *known)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        struct json_path step = {.parent = here, .key = name};
        bool found = false;

        for (const char *const *k = known; *k; k++)
            found = found || strcmp(*k, name) == 0;
        if (!found)
            warn_key(vr, &step, name, "is not carried out by mayfly");
    }
}

/* ---- globs ---- */

/* The recursion is as deep as the glob has stars; each looks at what is left of the path once. */
static bool glob_match(const char *g, const char *p, unsigned *budget)
{
    for (; *g; g++) {
        if (*budget == 0)
            return false;
        --*budget;
        if (g[0] == '*' && g[1] == '*') {
            g += 2 + (g[2] == '/');
            for (const char *q = p;; q++) {
                if ((q == p || q[-1] == '/' || *g == '\0') && glob_match(g, q, budget))
                    return true;
                if (!*q)
                    return false;
            }
        }
        if (*g == '*') {
            for (const char *q = p;; q++) {
                if (glob_match(g + 1, q, budget))
                    return true;
                if (!*q || *q == '/')
                    return false;
            }
        }
        if (*g == '\\' && g[1])
            g++;
        else if (*g == '?' && *p && *p != '/') {
            p++;
            continue;
        }
        if (*g != *p)
            return false;
        p++;
    }
    return *p == '\0';
}

/* The alternatives of the first {a,b} are tried one after the other. */
static bool glob_braces(const char *glob, const char *path, unsigned *budget)
{
    const char *open = strchr(glob, '{'), *close = open ? strchr(open, '}') : NULL;

    if (!close)
        return glob_match(glob, path, budget);
    for (const char *p = open + 1; p <= close;) {
        size_t n = strcspn(p, ",}");
        _cleanup_free_ char *one = NULL;

        if (asprintf(&one, "%.*s%.*s%s", (int)(open - glob), glob, (int)n, p, close + 1) < 0) {
            one = NULL;
            return false;
        }
        if (glob_braces(one, path, budget))
            return true;
        p += n + 1;
    }
    return false;
}

bool glob_fits(const char *glob, const char *path)
{
    unsigned budget = 100000; /* of steps: nobody's glob may keep us */

    return strcmp(glob, path) == 0 || glob_braces(glob, path, &budget);
}

const struct config_settings *vercel_settings(struct vercel *v, const char *file)
{
    for (uint32_t i = 0; i < v->n_functions; i++) {
        if (glob_fits(v->functions[i].glob, file)) {
            v->functions[i].used = true;
            return &v->functions[i].settings;
        }
    }
    return NULL;
}

/* ---- functions ---- */

static void limit_set(struct config_settings *s, const char *key, uint64_t value)
{
    for (size_t i = 0; i < n_limit_infos; i++) {
        const struct limit_info *info = &limit_infos[i];

        if (strcmp(info->key, key) != 0)
            continue;
        value = MIN(MAX(value, info->min), info->max);
        memcpy((char *)&s->limits + info->offset, &value, sizeof(value));
        s->limits_given |= 1ULL << i;
    }
}

static int function_limits_read(struct vercel_reader *vr, struct vercel_function *f, json_t *object,
                                const struct json_path *here)
{
    json_t *memory = json_object_get(object, "memory");
    json_t *duration = json_object_get(object, "maxDuration");
    json_t *concurrency = json_object_get(object, "maxConcurrency");
    struct json_path at = {.parent = here, .key = "memory"};
    json_int_t n = json_integer_value(memory);

    if (memory && (!json_is_integer(memory) || n < 128 || n > 10240))
        return config_fail_type(&vr->rd, &at, "a whole number of megabytes from 128 to 10240",
                                memory);
    if (memory)
        limit_set(&f->settings, "memory", (uint64_t)n * MIB);
    at.key = "maxDuration";
    n = json_integer_value(duration);
    if (duration && json_is_string(duration) && strcmp(json_string_value(duration), "max") == 0)
        n = 1800;
    else if (duration && (!json_is_integer(duration) || n < 1 || n > 1800))
        return config_fail_type(&vr->rd, &at,
                                "a whole number of seconds from 1 to 1800, or \"max\"", duration);
    if (duration)
        limit_set(&f->settings, "timeout", (uint64_t)n * 1000);
    if (duration && json_is_integer(duration) && n > 900)
        vercel_warn_at(vr, &at, "mayfly ends a request after 900 s at the latest");
    at.key = "maxConcurrency";
    n = json_integer_value(concurrency);
    if (concurrency && (!json_is_integer(concurrency) || n < 1))
        return config_fail_type(&vr->rd, &at, "a whole number from 1 on", concurrency);
    if (concurrency)
        limit_set(&f->settings, "concurrency", (uint64_t)n);
    return 0;
}

static int read_functions(struct vercel_reader *vr, json_t *value, const struct json_path *here)
{
    static const char *const known[] = {"memory", "maxDuration", "maxConcurrency", NULL};
    struct vercel *v = vr->v;
    const char *glob;
    json_t *item;
    int r = 0;

    if (!json_is_object(value))
        return config_fail_type(&vr->rd, here, "an object of globs and settings", value);
    if (json_object_size(value) > VERCEL_FUNCTIONS_MAX)
        return config_fail(&vr->rd, here, "has more than %d entries", VERCEL_FUNCTIONS_MAX);
    v->functions = calloc(json_object_size(value) + 1, sizeof(*v->functions));
    if (!v->functions)
        return fail_memory(vr);
    json_object_foreach(value, glob, item)
    {
        struct json_path step = {.parent = here, .key = glob};
        struct vercel_function *f = &v->functions[v->n_functions++];

        f->settings.isolation = f->settings.network = f->settings.secrets_when = -1;
        f->glob = slice_dup(slice_str(glob));
        f->line = json_locate(vr->rd.text, &step);
        if (!f->glob)
            return fail_memory(vr);
        if (strlen(glob) > 256 || glob[0] == '\0')
            return config_fail(&vr->rd, here, "a glob has 1 to 256 characters");
        if (!json_is_object(item))
            return config_fail_type(&vr->rd, &step, "an object", item);
        vercel_warn_keys(vr, item, &step, known);
        r = function_limits_read(vr, f, item, &step);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- crons ---- */

/* One of five fields: numbers, ranges, lists and steps. */
static bool is_cron_field(struct slice field, long min, long max)
{
    size_t i = 0;

    while (i < field.len) {
        long n[2] = {min, max};
        unsigned k = 0;

        if (field.base[i] == '*') {
            i++;
        } else {
            for (k = 0; k < 2; k++) {
                size_t digits = 0;

                for (n[k] = 0; i < field.len && isdigit((unsigned char)field.base[i]) && digits < 4;
                     digits++)
                    n[k] = 10 * n[k] + field.base[i++] - '0';
                if (digits == 0 || n[k] < min || n[k] > max)
                    return false;
                if (k == 0 && (i == field.len || field.base[i] != '-'))
                    break;
                i += k == 0;
            }
            if (k >= 1 && n[1] < n[0])
                return false;
        }
        if (i < field.len && field.base[i] == '/') {
            size_t from = ++i;

            while (i < field.len && isdigit((unsigned char)field.base[i]))
                i++;
            if (i == from || i - from > 4 || field.base[from] == '0')
                return false;
        }
        if (i == field.len)
            return true;
        if (field.base[i++] != ',')
            return false;
    }
    return false;
}

static bool is_schedule(const char *s)
{
    static const long ranges[5][2] = {{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}};

    for (unsigned i = 0; i < 5; i++) {
        size_t n = strcspn(s, " ");

        if (!is_cron_field(slice(s, n), ranges[i][0], ranges[i][1]))
            return false;
        s += n;
        if ((i < 4) != (*s == ' '))
            return false;
        s += strspn(s, " ");
    }
    return *s == '\0';
}

static int read_crons(struct vercel_reader *vr, json_t *value, const struct json_path *here)
{
    static const char *const known[] = {"path", "schedule", NULL};
    struct vercel *v = vr->v;

    if (!json_is_array(value))
        return config_fail_type(&vr->rd, here, "an array of objects with \"path\" and \"schedule\"",
                                value);
    if (json_array_size(value) > SITE_CRONS_MAX)
        return config_fail(&vr->rd, here, "has more than %d of them", SITE_CRONS_MAX);
    v->crons = calloc(json_array_size(value) + 1, sizeof(*v->crons));
    if (!v->crons)
        return fail_memory(vr);
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct json_path step = {.parent = here, .index = i};
        struct json_path at = {.parent = &step, .key = "path"};
        json_t *item = json_array_get(value, i);
        struct site_cron *c = &v->crons[v->n_crons];
        int r;

        if (!json_is_object(item))
            return config_fail_type(&vr->rd, &step, "an object with \"path\" and \"schedule\"",
                                    item);
        v->n_crons++;
        vercel_warn_keys(vr, item, &step, known);
        r = config_read_string(&vr->rd, json_object_get(item, "path"), &at, &c->path);
        if (r < 0)
            return r;
        if (c->path[0] != '/' || strlen(c->path) > 512)
            return config_fail(&vr->rd, &at, "must begin with '/' and have at most 512 characters");
        at.key = "schedule";
        r = config_read_string(&vr->rd, json_object_get(item, "schedule"), &at, &c->schedule);
        if (r < 0)
            return r;
        if (!is_schedule(c->schedule))
            return config_fail(
                &vr->rd, &at,
                "must be a schedule of five fields (minute, hour, day, month, weekday), "
                "as in \"0 5 * * 1\"");
        vercel_warn_at(vr, &step, "is listed, but not run yet");
    }
    return 0;
}

/* ---- the file ---- */

static int read_clean_urls(struct vercel_reader *vr, json_t *value, const struct json_path *here)
{
    vr->v->clean_urls = json_is_true(value);
    return json_is_boolean(value) ? 0 : config_fail_type(&vr->rd, here, "true or false", value);
}

static int read_trailing_slash(struct vercel_reader *vr, json_t *value,
                               const struct json_path *here)
{
    vr->v->slash = json_is_true(value) ? SITE_SLASH_ADD : SITE_SLASH_REMOVE;
    return json_is_boolean(value) ? 0 : config_fail_type(&vr->rd, here, "true or false", value);
}

static int read_output(struct vercel_reader *vr, json_t *value, const struct json_path *here)
{
    int r;

    if (json_is_null(value))
        return 0;
    r = config_read_string(&vr->rd, value, here, &vr->v->output);
    if (r == 0 &&
        (vr->v->output[0] == '/' || strstr(vr->v->output, "..") || strlen(vr->v->output) > 200))
        return config_fail(&vr->rd, here, "must be a folder below this one");
    return r;
}

/* The older way to set variables. "@name" stood for a secret of Vercel's. */
static int read_env(struct vercel_reader *vr, json_t *value, const struct json_path *here)
{
    const char *name;
    json_t *item;
    size_t n = 0;

    if (!json_is_object(value) || json_object_size(value) > CONFIG_ENV_MAX)
        return config_fail_type(&vr->rd, here, "an object of names and strings", value);
    vr->v->env = calloc(json_object_size(value) + 1, sizeof(char *));
    if (!vr->v->env)
        return fail_memory(vr);
    json_object_foreach(value, name, item)
    {
        struct json_path step = {.parent = here, .key = name};
        const char *text = json_string_value(item);

        if (!text)
            return config_fail_type(&vr->rd, &step, "a string", item);
        if (!name[0] || strchr(name, '=') || strncmp(name, "MAYFLY_", 7) == 0)
            return config_fail(&vr->rd, &step, "is no name of a variable that may be set");
        if (text[0] == '@') {
            vercel_warn_at(vr, &step,
                           "secrets of Vercel's are not known; use `mayfly secret set` and "
                           "\"env\" in mayfly.json");
            continue;
        }
        if (asprintf(&vr->v->env[n], "%s=%s", name, text) < 0) {
            vr->v->env[n] = NULL;
            return fail_memory(vr);
        }
        n++;
    }
    return 0;
}

/* The older way to say which files are functions. Those that mayfly finds by itself need no word;
 * unit_warnings() tells of the others. */
static int read_builds(struct vercel_reader *vr, json_t *value, const struct json_path *here)
{
    static const char *const known[] = {"@vercel/python", "@vercel/node", "@vercel/ruby",
                                        "@now/python",    "@now/node",    "@vercel/static",
                                        "@now/static"};
    struct vercel *v = vr->v;

    if (!json_is_array(value) || json_array_size(value) > SITE_CONDITIONS_MAX * 16)
        return config_fail_type(&vr->rd, here, "an array of objects with \"src\" and \"use\"",
                                value);
    v->builds = calloc(json_array_size(value) + 1, sizeof(*v->builds));
    if (!v->builds)
        return fail_memory(vr);
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct json_path step = {.parent = here, .index = i}, at = {.parent = &step, .key = "src"};
        json_t *item = json_array_get(value, i);
        const char *use = json_string_value(json_object_get(item, "use"));
        bool is_known = false;
        int r;

        if (!json_is_object(item))
            return config_fail_type(&vr->rd, &step, "an object with \"src\" and \"use\"", item);
        for (size_t k = 0; use && k < ARRAY_SIZE(known); k++)
            is_known = is_known || strncmp(use, known[k], strlen(known[k])) == 0;
        if (!is_known) {
            vercel_warn_at(vr, &step, "is not carried out by mayfly");
            continue;
        }
        if (strstr(use, "/static"))
            continue;
        v->builds[v->n_builds].line = json_locate(vr->rd.text, &step);
        r = config_read_string(&vr->rd, json_object_get(item, "src"), &at,
                               &v->builds[v->n_builds++].src);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_nothing(struct vercel_reader *vr, json_t *value, const struct json_path *here)
{
    return 0;
}

/* In the order in which they are carried out, not in that of the file. */
static const struct {
    const char *name;
    vercel_read *read; /* NULL: known, but not carried out */
    bool excludes_routes;
} keys[] = {
    {"redirects", vercel_read_redirects, true},
    {"headers", vercel_read_headers, true},
    {"rewrites", vercel_read_rewrites, true},
    {"routes", vercel_read_routes, false},
    {"cleanUrls", read_clean_urls, true},
    {"trailingSlash", read_trailing_slash, true},
    {"functions", read_functions, false},
    {"crons", read_crons, false},
    {"outputDirectory", read_output, false},
    {"env", read_env, false},
    {"$schema", read_nothing, false},
    {"version", read_nothing, false},
    {"name", read_nothing, false},
    {"alias", read_nothing, false},
    {"public", read_nothing, false},
    {"bulkRedirectsPath", NULL, false},
    {"build", NULL, false},
    {"buildCommand", NULL, false},
    {"builds", read_builds, false},
    {"bunVersion", NULL, false},
    {"devCommand", NULL, false},
    {"fluid", NULL, false},
    {"framework", NULL, false},
    {"functionFailoverRegions", NULL, false},
    {"git", NULL, false},
    {"github", NULL, false},
    {"ignoreCommand", NULL, false},
    {"images", NULL, false},
    {"installCommand", NULL, false},
    {"proxy", NULL, false},
    {"regions", NULL, false},
    {"relatedProjects", NULL, false},
    {"services", NULL, false},
    {"experimentalServices", NULL, false},
};

static void warn_unread(struct vercel_reader *vr, json_t *json)
{
    const char *name;
    json_t *value;

    json_object_foreach(json, name, value)
    {
        struct json_path step = {.key = name};
        bool known = false, carried_out = false;

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
            if (strcmp(keys[i].name, name) == 0) {
                known = true;
                carried_out = keys[i].read != NULL;
            }
        }
        if (!carried_out && !json_is_null(value))
            warn_key(vr, &step, name,
                     known ? "is not carried out by mayfly" : "is no key that mayfly knows");
    }
}

static int file_read(struct vercel_reader *vr, json_t *json)
{
    int r = 0;

    if (!json_is_object(json))
        return config_fail_type(&vr->rd, NULL, "an object", json);
    for (size_t i = 0; i < ARRAY_SIZE(keys) && r == 0; i++) {
        struct json_path step = {.key = keys[i].name};
        json_t *value = json_object_get(json, keys[i].name);

        if (!value)
            continue;
        if (keys[i].excludes_routes && json_object_get(json, "routes"))
            return config_fail(
                &vr->rd, &step,
                "cannot stand beside \"routes\"; write those as rewrites, redirects and "
                "headers");
        if (keys[i].read)
            r = keys[i].read(vr, value, &step);
    }
    if (r == 0)
        warn_unread(vr, json);
    return r;
}

static int vercel_read_json(struct slice text, const char *name, json_t *json, struct vercel **ret,
                            struct error *err)
{
    struct vercel_reader vr = {.rd = {text, name, err}, .v = calloc(1, sizeof(*vr.v))};
    int r = vr.v ? file_read(&vr, json) : fail_memory(&vr);

    if (r < 0) {
        (void)vercel_free(vr.v);
        return r;
    }
    *ret = vr.v;
    return 0;
}

int vercel_parse(struct slice text, const char *name, struct vercel **ret, struct error *err)
{
    json_t *json;
    int r = json_text_load(text, name, &json, err);

    if (r < 0)
        return r;
    r = vercel_read_json(text, name, json, ret, err);
    json_decref(json);
    return r;
}

int vercel_load(const char *path, const char *name, struct vercel **ret, struct error *err)
{
    _cleanup_(buf_deinit) struct buf text = BUF_INIT(VERCEL_BYTES_MAX);
    json_t *json;
    int r = json_file_load(path, name, &text, &json, err);

    if (r < 0)
        return r;
    r = vercel_read_json(buf_slice(&text), name, json, ret, err);
    json_decref(json);
    return r;
}

struct vercel *vercel_free(struct vercel *v)
{
    if (!v)
        return NULL;
    for (uint32_t i = 0; i < v->n_rules; i++)
        rule_deinit(&v->rules[i]);
    for (uint32_t i = 0; i < v->n_crons; i++) {
        free(v->crons[i].path);
        free(v->crons[i].schedule);
    }
    for (uint32_t i = 0; i < v->n_functions; i++)
        free(v->functions[i].glob);
    for (uint32_t i = 0; i < v->n_warnings; i++)
        free(v->warnings[i]);
    for (char **e = v->env; e && *e; e++)
        free(*e);
    free(v->rules);
    free(v->crons);
    for (uint32_t i = 0; i < v->n_builds; i++)
        free(v->builds[i].src);
    free(v->functions);
    free(v->builds);
    free(v->warnings);
    free(v->env);
    free(v->output);
    free(v);
    return NULL;
}
