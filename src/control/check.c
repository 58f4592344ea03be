#include "control/check.h"

#include "base/log.h"
#include "json/writer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    EXIT_BROKEN = 1,
    EXIT_NOT_FOUND = 3,
};

#define OUTPUT_MAX (64UL * 1024 * 1024)

static bool is_shown(const struct check_options *o, const struct function *f)
{
    return !o->function || (f && strcmp(o->function, f->name) == 0);
}

static const struct function *route_function(const struct snapshot *s, const struct route *r)
{
    return r->builtin == BUILTIN_NONE ? &s->functions[r->function] : NULL;
}

/* ---- JSON ---- */

static void put_str(struct jsonw *w, const char *name, const char *value)
{
    jsonw_key(w, name);
    if (value)
        jsonw_str(w, slice_str(value));
    else
        jsonw_null(w);
}

static void put_strings(struct jsonw *w, const char *name, char *const *values)
{
    jsonw_key(w, name);
    jsonw_array_begin(w);
    for (; values && *values; values++)
        jsonw_str(w, slice_str(*values));
    jsonw_array_end(w);
}

/* What is known of it for people: name=value each. */
static void put_about(struct jsonw *w, char *const *about)
{
    jsonw_key(w, "about");
    jsonw_object_begin(w);
    for (; about && *about; about++) {
        const char *equals = strchr(*about, '=');
        _cleanup_free_ char *name =
            equals ? slice_dup(slice(*about, (size_t)(equals - *about))) : NULL;

        if (name)
            put_str(w, name, equals + 1);
    }
    jsonw_object_end(w);
}

/* Variables that mention secrets, as mayfly.json has them. */
static void put_secrets(struct jsonw *w, char *const *variables)
{
    jsonw_key(w, "secrets");
    jsonw_object_begin(w);
    for (; variables && *variables; variables++) {
        const char *equals = strchr(*variables, '=');
        _cleanup_free_ char *name = slice_dup(slice(*variables, (size_t)(equals - *variables)));

        if (name)
            put_str(w, name, equals + 1);
    }
    jsonw_object_end(w);
}

static void put_function(struct jsonw *w, const struct function *f)
{
    jsonw_object_begin(w);
    put_str(w, "name", f->name);
    put_str(w, "version", f->version);
    put_str(w, "runtime", runtime_name(f->runtime));
    put_str(w, "isolation", isolation_name(f->isolation));
    put_str(w, "handler", f->handler);
    put_str(w, "project", f->project);
    put_str(w, "broken", f->broken);
    put_str(w, "network", network_name(f->network));
    put_strings(w, "egress", f->egress);
    put_strings(w, "reads", f->reads);
    put_strings(w, "writes", f->writes);
    put_strings(w, "redact", f->redact);
    put_secrets(w, f->secrets);
    put_about(w, f->about);
    /* In the units of struct limits, which their names tell. */
    jsonw_key(w, "limits");
    jsonw_object_begin(w);
#define LIMIT(field, key, unit, min, max, dflt, text)                                              \
    jsonw_key(w, #field);                                                                          \
    jsonw_u64(w, f->limits.field);
#include "model/limits.tbl.h"
#undef LIMIT
    jsonw_object_end(w);
    jsonw_object_end(w);
}

static void put_route(struct jsonw *w, const struct snapshot *s, const struct route *r)
{
    const struct function *f = route_function(s, r);

    jsonw_object_begin(w);
    put_str(w, "method", r->method);
    put_str(w, "path", r->pattern);
    put_str(w, "function", f ? f->name : NULL);
    put_str(w, "builtin", f ? NULL : builtin_name(r->builtin));
    put_str(w, "project", r->project);
    put_str(w, "origin", r->origin);
    jsonw_object_end(w);
}

/* An array of lines. */
static void put_warnings(struct jsonw *w, struct slice lines)
{
    jsonw_key(w, "warnings");
    jsonw_array_begin(w);
    while (lines.len > 0) {
        const char *end = memchr(lines.base, '\n', lines.len);
        size_t n = end ? (size_t)(end - lines.base) : lines.len;

        jsonw_str(w, slice(lines.base, n));
        n += end != NULL;
        lines = slice(lines.base + n, lines.len - n);
    }
    jsonw_array_end(w);
}

static void put_crons(struct jsonw *w, const struct snapshot *s)
{
    jsonw_key(w, "crons");
    jsonw_array_begin(w);
    for (uint32_t i = 0; i < s->n_sites; i++) {
        for (uint32_t k = 0; k < s->sites[i].n_crons; k++) {
            _cleanup_free_ char *path = NULL;

            if (asprintf(&path, "%s%s", s->sites[i].prefix, s->sites[i].crons[k].path) < 0)
                path = NULL;
            jsonw_object_begin(w);
            put_str(w, "path", path);
            put_str(w, "schedule", s->sites[i].crons[k].schedule);
            put_str(w, "state", "not run yet");
            jsonw_object_end(w);
        }
    }
    jsonw_array_end(w);
}

static int print_json(const struct snapshot *s, const struct check_options *o,
                      struct slice warnings)
{
    _cleanup_(buf_deinit) struct buf b = BUF_INIT(OUTPUT_MAX);
    struct jsonw w = JSONW_INIT(&b);

    jsonw_object_begin(&w);
    jsonw_key(&w, "functions");
    jsonw_array_begin(&w);
    for (uint32_t i = 0; i < s->n_functions; i++) {
        if (is_shown(o, &s->functions[i]))
            put_function(&w, &s->functions[i]);
    }
    jsonw_array_end(&w);
    jsonw_key(&w, "routes");
    jsonw_array_begin(&w);
    for (uint32_t i = 0; i < s->n_routes; i++) {
        if (is_shown(o, route_function(s, &s->routes[i])))
            put_route(&w, s, &s->routes[i]);
    }
    jsonw_array_end(&w);
    put_crons(&w, s);
    put_warnings(&w, warnings);
    jsonw_object_end(&w);
    if (jsonw_end(&w) < 0)
        return EXIT_BROKEN;
    (void)fwrite(b.data + b.start, 1, buf_len(&b), stdout);
    (void)fputc('\n', stdout);
    return 0;
}

/* ---- for people ---- */

/* Of one that was asked for by its name. */
static void print_about(const struct function *f)
{
    char text[600];

    for (char *const *about = f->about; about && *about; about++)
        (void)printf("  %s\n", log_quote(slice_str(*about), text, sizeof(text)));
}

static void print_table(const struct snapshot *s, const struct check_options *o)
{
    char name[300];

    (void)printf("%-28s %-16s %-8s %-9s %s\n", "FUNCTION", "VERSION", "RUNTIME", "ISOLATION",
                 "HANDLER");
    for (uint32_t i = 0; i < s->n_functions; i++) {
        const struct function *f = &s->functions[i];

        if (is_shown(o, f))
            (void)printf("%-28s %-16s %-8s %-9s %s%s\n", f->name, f->version,
                         runtime_name(f->runtime), isolation_name(f->isolation),
                         log_quote(slice_str(f->handler), name, sizeof(name)),
                         f->broken ? "  (broken)" : "");
        if (o->function && is_shown(o, f))
            print_about(f);
    }
    (void)printf("\n%-7s %-40s %-28s %s\n", "METHOD", "ROUTE", "FUNCTION", "DECLARED");
    for (uint32_t i = 0; i < s->n_routes; i++) {
        const struct route *r = &s->routes[i];
        const struct function *f = route_function(s, r);
        char origin[300];

        if (is_shown(o, f))
            (void)printf("%-7s %-40s %s%-*s %s\n", r->method ? r->method : "any",
                         log_quote(slice_str(r->pattern), name, sizeof(name)),
                         f ? "" : "builtin:", f ? 28 : 20, f ? f->name : builtin_name(r->builtin),
                         log_quote(slice_str(r->origin), origin, sizeof(origin)));
    }
}

static void print_crons(const struct snapshot *s)
{
    for (uint32_t i = 0, n = 0; i < s->n_sites; i++) {
        for (uint32_t k = 0; k < s->sites[i].n_crons; k++) {
            char path[600], schedule[300];

            if (n++ == 0)
                (void)printf("\n%-28s %s\n", "SCHEDULE", "PATH");
            (void)printf(
                "%-28s %s%s  (not run yet)\n",
                log_quote(slice_str(s->sites[i].crons[k].schedule), schedule, sizeof(schedule)),
                s->sites[i].prefix,
                log_quote(slice_str(s->sites[i].crons[k].path), path, sizeof(path)));
        }
    }
}

static int print(const struct snapshot *s, const struct check_options *o, struct slice warnings)
{
    int result = 0, n = 0;

    for (uint32_t i = 0; i < s->n_functions; i++) {
        const struct function *f = &s->functions[i];

        if (!is_shown(o, f))
            continue;
        n++;
        if (f->broken) {
            (void)fprintf(stderr, "%s: %s\n", f->name, f->broken);
            result = EXIT_BROKEN;
        }
        if (o->names)
            (void)printf("%s\n", f->name);
    }
    if (o->function && n == 0) {
        (void)fprintf(stderr, "mayfly-control: there is no function of that name\n");
        return EXIT_NOT_FOUND;
    }
    if (o->json) {
        int printed = print_json(s, o, warnings); /* not within MAX(), which would do it twice */

        result = MAX(result, printed);
    } else if (!o->names) {
        print_table(s, o);
        print_crons(s);
        if (warnings.len > 0)
            (void)fprintf(stderr, "%.*s", SLICE_ARG(warnings));
    }
    return result;
}

int check_run(const struct project_options *project, const struct check_options *options)
{
    struct error err = ERROR_NULL;
    struct snapshot *s = NULL;
    struct project *p = project_new(project);
    int r = p ? project_load(p, 1, &s, &err) : error_set(&err, -1, "out of memory");
    int result = EXIT_BROKEN;

    if (r < 0 || !s)
        (void)fprintf(stderr, "%s\n", err.text);
    else
        result = print(s, options, project_warnings(p));
    (void)snapshot_free(s);
    (void)project_free(p);
    if (fflush(stdout) != 0)
        result = MAX(result, EXIT_BROKEN);
    return result;
}
