/* Each object of mayfly.json has a table of the keys that it may hold, with a function that reads
 * the value; one loop walks any object by its table. So an unknown key, its nearest neighbour and
 * the list of what is known come from the same rows as the reading. */

#include "control/config-internal.h"

#include "base/log.h"
#include "control/words.h"
#include "json/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define STRING_MAX 4096

/* "mayfly.json:3: functions.a.timeout: ..." */
int config_fail(struct reader *rd, const struct json_path *here, const char *format, ...)
{
    char what[1024], place[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    (void)json_path_text(here, place, sizeof(place));
    return error_set(rd->err, -EINVAL, "%s:%u: %s%s%s", rd->name, json_locate(rd->text, here),
                     place, place[0] ? ": " : "", what);
}

int config_fail_memory(struct reader *rd)
{
    return error_set(rd->err, -ENOMEM, "%s: out of memory", rd->name);
}

/* `30`, `"x"`, `an object`: what stands there, for "must be ..., not ...". */
static const char *value_text(const json_t *value, char *dst, size_t dst_size)
{
    char *dump;

    if (json_is_object(value) || json_is_array(value))
        return json_kind(value);
    dump = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    if (!dump)
        return json_kind(value);
    (void)log_quote(slice_str(dump), dst, dst_size);
    free(dump);
    return dst;
}

int config_fail_type(struct reader *rd, const struct json_path *here, const char *wanted,
                     const json_t *value)
{
    char text[64];

    if (!value)
        return config_fail(rd, here, "is missing; it must be %s", wanted);
    return config_fail(rd, here, "must be %s, not %s", wanted,
                       value_text(value, text, sizeof(text)));
}

/* "a", "b" or "c" of a table's names, for messages. */
static const char *names_text(const struct config_row *keys, size_t n_keys, char *dst,
                              size_t dst_size)
{
    size_t len = 0;

    dst[0] = '\0';
    for (size_t i = 0; i < n_keys && len < dst_size; i++)
        len += (size_t)snprintf(dst + len, dst_size - len, "%s%s", i > 0 ? ", " : "", keys[i].name);
    return dst;
}

int config_read_object(struct reader *rd, json_t *object, const struct json_path *here,
                       const struct config_row *keys, size_t n_keys, void *into)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object))
        return config_fail_type(rd, here, "an object", object);
    json_object_foreach(object, name, value)
    {
        struct json_path step = {.parent = here, .key = name};
        const struct config_row *key = NULL;
        int r;

        for (size_t i = 0; i < n_keys && !key; i++)
            key = strcmp(keys[i].name, name) == 0 ? &keys[i] : NULL;
        if (!key) {
            const char *nearest = words_nearest(name, &keys[0].name, n_keys, sizeof(*keys));
            char known[512], quoted[128], place[512];

            (void)json_path_text(here, place, sizeof(place));
            (void)log_quote(slice_str(name), quoted, sizeof(quoted));
            (void)names_text(keys, n_keys, known, sizeof(known));
            return error_set(rd->err, -EINVAL, "%s:%u: %s%sunknown key \"%s\"; %s%s%s", rd->name,
                             json_locate(rd->text, &step), place, place[0] ? ": " : "", quoted,
                             nearest ? "did you mean \"" : "known are ", nearest ? nearest : known,
                             nearest ? "\"?" : "");
        }
        r = key->read(rd, into, value, &step, key->index);
        if (r < 0)
            return r;
    }
    return 0;
}

int config_read_string(struct reader *rd, json_t *value, const struct json_path *here, char **ret)
{
    if (!json_is_string(value))
        return config_fail_type(rd, here, "a string", value);
    if (json_string_length(value) == 0)
        return config_fail(rd, here, "must not be empty");
    if (json_string_length(value) > STRING_MAX)
        return config_fail(rd, here, "must not be longer than %d bytes", STRING_MAX);
    free(*ret);
    *ret = slice_dup(slice(json_string_value(value), json_string_length(value)));
    return *ret ? 0 : config_fail_memory(rd);
}

enum limit_index {
#define LIMIT(field, key, unit, min, max, dflt, text) LIMIT_INDEX_##field,
#include "model/limits.tbl.h"
#undef LIMIT
    _LIMIT_INDEX_MAX,
};
_Static_assert(_LIMIT_INDEX_MAX <= 64, "limits_given has a bit for each");

#define LIMIT_KEY(field, key) {key, config_read_limit, LIMIT_INDEX_##field},

/* ---- routes ---- */

static int route_read(struct reader *rd, const char *text, const struct json_path *here,
                      struct config_route *ret)
{
    struct slice method, pattern;
    struct error err = ERROR_NULL;
    int r = route_parse(slice_str(text), &method, &pattern, &err);

    if (r < 0) {
        char quoted[ERROR_TEXT_MAX / 2];

        return error_set(rd->err, r, "%s:%u: %s", rd->name, json_locate(rd->text, here),
                         log_quote(slice_str(err.text), quoted, sizeof(quoted)));
    }
    ret->line = json_locate(rd->text, here);
    ret->method = method.len > 0 ? slice_dup(method) : NULL;
    ret->pattern = slice_dup(pattern);
    return !ret->pattern || (method.len > 0 && !ret->method) ? config_fail_memory(rd) : 0;
}

static int read_function_routes(struct reader *rd, void *into, json_t *value,
                                const struct json_path *here, size_t index)
{
    struct config_function *f = into;

    if (!json_is_array(value))
        return config_fail_type(rd, here, "an array of routes, as in [\"GET /path\"]", value);
    f->routes = calloc(json_array_size(value) + 1, sizeof(*f->routes));
    if (!f->routes)
        return config_fail_memory(rd);
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct json_path step = {.parent = here, .index = i};
        json_t *item = json_array_get(value, i);
        int r;

        if (!json_is_string(item))
            return config_fail_type(rd, &step, "a string, as in \"GET /path\"", item);
        r = route_read(rd, json_string_value(item), &step, &f->routes[f->n_routes++]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int builtin_read(struct reader *rd, const char *name, const struct json_path *here,
                        struct config_route *ret)
{
    int builtin = builtin_from_name(slice_str(name));
    const char *known[_BUILTIN_MAX];
    const char *nearest;

    if (builtin >= 0) {
        ret->builtin = (enum builtin)builtin;
        return 0;
    }
    for (int i = 0; i < _BUILTIN_MAX; i++)
        known[i] = builtin_name((enum builtin)i);
    nearest = words_nearest(name, &known[1], _BUILTIN_MAX - 1, sizeof(*known));
    return config_fail(rd, here, "there is no builtin of that name; %s\"builtin:%s\"%s",
                       nearest ? "did you mean " : "there are ",
                       nearest ? nearest : "active_processes\" and \"builtin:request_counter",
                       nearest ? "?" : "");
}

static int read_routes(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                       size_t index)
{
    struct config *c = into;
    const char *text;
    json_t *item;

    if (!json_is_object(value))
        return config_fail_type(rd, here, "an object of routes and what they lead to", value);
    c->routes = calloc(json_object_size(value) + 1, sizeof(*c->routes));
    if (!c->routes)
        return config_fail_memory(rd);
    json_object_foreach(value, text, item)
    {
        struct json_path step = {.parent = here, .key = text};
        struct config_route *route = &c->routes[c->n_routes++];
        const char *target = json_string_value(item);
        int r = route_read(rd, text, &step, route);

        if (r < 0)
            return r;
        if (!target || !target[0])
            return config_fail_type(rd, &step, "a function's name or \"builtin:...\"", item);
        if (strncmp(target, "builtin:", 8) == 0)
            r = builtin_read(rd, target + 8, &step, route);
        else
            r = config_read_string(rd, item, &step, &route->function);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- functions ---- */

/* A relative path without "..": it stays below the folder. */
static bool path_is_below(const char *path)
{
    struct slice rest = slice_str(path);

    if (path[0] == '/')
        return false;
    while (rest.len > 0) {
        const char *end = memchr(rest.base, '/', rest.len);
        size_t n = end ? (size_t)(end - rest.base) : rest.len;

        if (slice_eq(slice(rest.base, n), SLICE_LIT("..")))
            return false;
        n += end != NULL;
        rest = slice(rest.base + n, rest.len - n);
    }
    return true;
}

static int read_handler(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                        size_t index)
{
    struct config_function *f = into;
    int r = config_read_string(rd, value, here, &f->handler);

    if (r < 0)
        return r;
    f->handler_line = json_locate(rd->text, here);
    if (f->handler[0] != '/' && !path_is_below(f->handler))
        return config_fail(rd, here, "must not leave the project's folder by \"..\"");
    return 0;
}

static int read_runtime(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                        size_t index)
{
    struct config_function *f = into;

    f->runtime = runtime_from_name(slice_str(json_string_value(value)));
    return f->runtime < 0 || f->runtime == RUNTIME_STATIC
               ? config_fail_type(rd, here,
                                  "\"python\", \"node\", \"ruby\", \"php\", \"perl\", \"native\", "
                                  "\"exec\", \"provided\" or \"web\"",
                                  value)
               : 0;
}

static const struct config_row function_keys[] = {
    {"handler", read_handler, 0},
    {"command", config_read_command, 0},
    {"port", config_read_port, 0},
    {"readiness", config_read_readiness, 0},
    {"per_process", config_read_per_process, 0},
    {"runtime", read_runtime, 0},
    {"routes", read_function_routes, 0},
    {"isolation", config_read_isolation, 0},
    {"env", config_read_env, 0},
    {"network", config_read_network, 0},
    {"reads", config_read_reads, 0},
    {"writes", config_read_writes, 0},
    {"secrets", config_read_secrets, 0},
    {"redact", config_read_redact, 0},
    {"records", config_read_function_records, 0},
#define LIMIT(field, key, unit, min, max, dflt, text) LIMIT_KEY(field, key)
#include "model/limits.tbl.h"
#undef LIMIT
};

static const struct config_row default_keys[] = {
    {"isolation", config_read_isolation, 0}, {"env", config_read_env, 0},
    {"network", config_read_network, 0},     {"reads", config_read_reads, 0},
    {"writes", config_read_writes, 0},       {"secrets", config_read_secrets, 0},
    {"redact", config_read_redact, 0},
#define LIMIT(field, key, unit, min, max, dflt, text) LIMIT_KEY(field, key)
#include "model/limits.tbl.h"
#undef LIMIT
};

static int read_functions(struct reader *rd, void *into, json_t *value,
                          const struct json_path *here, size_t index)
{
    struct config *c = into;
    const char *name;
    json_t *item;

    if (!json_is_object(value))
        return config_fail_type(rd, here, "an object of functions by their names", value);
    c->functions = calloc(json_object_size(value) + 1, sizeof(*c->functions));
    if (!c->functions)
        return config_fail_memory(rd);
    json_object_foreach(value, name, item)
    {
        struct json_path step = {.parent = here, .key = name};
        struct config_function *f = &c->functions[c->n_functions++];
        int r;

        f->runtime = f->settings.isolation = f->settings.network = f->settings.secrets_when = -1;
        if (!function_name_is_valid(slice_str(name)))
            return config_fail(
                rd, &step,
                "a function's name has letters, digits and \"-_./[]\", at most %d, and no "
                "part \".\" or \"..\"",
                FUNCTION_NAME_MAX);
        f->name = slice_dup(slice_str(name));
        if (!f->name)
            return config_fail_memory(rd);
        f->line = json_locate(rd->text, &step);
        r = config_read_object(rd, item, &step, function_keys, ARRAY_SIZE(function_keys), f);
        if (r < 0)
            return r;
        r = config_check_command(rd, f, &step);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_defaults(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                         size_t index)
{
    struct config *c = into;
    struct config_function f = {.settings = {.isolation = -1, .network = -1, .secrets_when = -1}};
    int r = config_read_object(rd, value, here, default_keys, ARRAY_SIZE(default_keys), &f);

    c->defaults = f.settings;
    return r;
}

/* ---- the file ---- */

static int read_include_path(struct reader *rd, void *into, json_t *value,
                             const struct json_path *here, size_t index)
{
    struct config_include *include = into;
    int r = config_read_string(rd, value, here, &include->path);
    size_t len;

    if (r < 0)
        return r;
    for (len = strlen(include->path); len > 1 && include->path[len - 1] == '/'; len--)
        include->path[len - 1] = '\0';
    if (!path_is_below(include->path) || strcmp(include->path, ".") == 0)
        return config_fail(rd, here, "must be a folder below this one, such as \"sub\"");
    return 0;
}

static int read_include_prefix(struct reader *rd, void *into, json_t *value,
                               const struct json_path *here, size_t index)
{
    struct config_include *include = into;
    _cleanup_free_ char *probe = NULL;
    struct slice method, pattern;
    int r = config_read_string(rd, value, here, &include->prefix);

    if (r < 0)
        return r;
    /* As a path in front of another it must not end it. */
    if (asprintf(&probe, "%s/x", include->prefix) < 0) {
        probe = NULL;
        return config_fail_memory(rd);
    }
    if (route_parse(slice_str(probe), &method, &pattern, NULL) < 0 || method.len > 0)
        return config_fail(rd, here,
                           "must be a path such as \"/c\": with '/' at its start, not at its "
                           "end, and without *");
    return 0;
}

static const struct config_row include_keys[] = {
    {"path", read_include_path, 0},
    {"prefix", read_include_prefix, 0},
};

static int read_include(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                        size_t index)
{
    struct config *c = into;

    if (!json_is_array(value))
        return config_fail_type(rd, here, "an array of folders", value);
    c->includes = calloc(json_array_size(value) + 1, sizeof(*c->includes));
    if (!c->includes)
        return config_fail_memory(rd);
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct json_path step = {.parent = here, .index = i};
        struct config_include *include = &c->includes[c->n_includes++];
        json_t *item = json_array_get(value, i);
        int r;

        include->line = json_locate(rd->text, &step);
        if (json_is_string(item))
            r = read_include_path(rd, include, item, &step, 0);
        else
            r = config_read_object(rd, item, &step, include_keys, ARRAY_SIZE(include_keys),
                                   include);
        if (r < 0)
            return r;
        if (!include->path)
            return config_fail(rd, &step, "has no \"path\"; name the folder");
        if (!include->prefix)
            include->prefix = slice_dup(SLICE_LIT(""));
        if (!include->prefix)
            return config_fail_memory(rd);
    }
    return 0;
}

static int read_python(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                       size_t index)
{
    struct config *c = into;

    c->python_line = json_locate(rd->text, here);
    return config_read_string(rd, value, here, &c->python);
}

static int read_node(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                     size_t index)
{
    struct config *c = into;

    c->node_line = json_locate(rd->text, here);
    return config_read_string(rd, value, here, &c->node);
}

/* For editors; not looked at. */
static int read_schema(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                       size_t index)
{
    return json_is_string(value) ? 0 : config_fail_type(rd, here, "a string", value);
}

static const struct config_row file_keys[] = {
    {"$schema", read_schema, 0},  {"functions", read_functions, 0},    {"routes", read_routes, 0},
    {"include", read_include, 0}, {"defaults", read_defaults, 0},      {"python", read_python, 0},
    {"node", read_node, 0},       {"records", config_read_records, 0},
};

const char *config_key(enum config_object object, size_t i)
{
    static const struct {
        const struct config_row *keys;
        size_t n_keys;
    } objects[_CONFIG_OBJECT_MAX] = {
        [CONFIG_OBJECT_FILE] = {file_keys, ARRAY_SIZE(file_keys)},
        [CONFIG_OBJECT_FUNCTION] = {function_keys, ARRAY_SIZE(function_keys)},
        [CONFIG_OBJECT_DEFAULTS] = {default_keys, ARRAY_SIZE(default_keys)},
        [CONFIG_OBJECT_INCLUDE] = {include_keys, ARRAY_SIZE(include_keys)},
    };

    if (object == CONFIG_OBJECT_RECORDS || object == CONFIG_OBJECT_FUNCTION_RECORDS)
        return config_records_key(object == CONFIG_OBJECT_RECORDS, i);
    assert((unsigned)object < _CONFIG_OBJECT_MAX);
    return i < objects[object].n_keys ? objects[object].keys[i].name : NULL;
}

static int config_read(struct slice text, const char *name, json_t *json, struct config **ret,
                       struct error *err)
{
    struct reader rd = {text, name, err};
    struct config *c = config_new();
    int r;

    if (!c)
        return config_fail_memory(&rd);
    r = config_read_object(&rd, json, NULL, file_keys, ARRAY_SIZE(file_keys), c);
    if (r < 0) {
        (void)config_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

int config_parse(struct slice text, const char *name, struct config **ret, struct error *err)
{
    json_t *json;
    int r = json_text_load(text, name, &json, err);

    if (r < 0)
        return r;
    r = config_read(text, name, json, ret, err);
    json_decref(json);
    return r;
}

int config_load(const char *path, const char *name, struct config **ret, struct error *err)
{
    _cleanup_(buf_deinit) struct buf text = BUF_INIT(CONFIG_BYTES_MAX);
    json_t *json;
    int r = json_file_load(path, name, &text, &json, err);

    if (r < 0)
        return r;
    r = config_read(buf_slice(&text), name, json, ret, err);
    json_decref(json);
    return r;
}

struct config *config_new(void)
{
    struct config *c = calloc(1, sizeof(*c));

    if (c)
        c->defaults.isolation = c->defaults.network = c->defaults.secrets_when = -1;
    return c;
}

static void list_free(char **list)
{
    for (char **e = list; e && *e; e++)
        free(*e);
    free(list);
}

static void settings_deinit(struct config_settings *s)
{
    list_free(s->env);
    list_free(s->egress);
    list_free(s->reads);
    list_free(s->writes);
    list_free(s->redact);
}

static void routes_free(struct config_route *routes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        free(routes[i].method);
        free(routes[i].pattern);
        free(routes[i].function);
    }
    free(routes);
}

struct config *config_free(struct config *c)
{
    if (!c)
        return NULL;
    for (uint32_t i = 0; i < c->n_functions; i++) {
        free(c->functions[i].name);
        free(c->functions[i].handler);
        free(c->functions[i].readiness);
        list_free(c->functions[i].command);
        settings_deinit(&c->functions[i].settings);
        routes_free(c->functions[i].routes, c->functions[i].n_routes);
    }
    for (uint32_t i = 0; i < c->n_includes; i++) {
        free(c->includes[i].path);
        free(c->includes[i].prefix);
    }
    free(c->functions);
    routes_free(c->routes, c->n_routes);
    free(c->includes);
    settings_deinit(&c->defaults);
    free(c->python);
    free(c->node);
    free(c);
    return NULL;
}
