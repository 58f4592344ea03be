/* Each object of mayfly.json has a table of the keys that it may hold, with a function that reads
 * the value; one loop walks any object by its table. So an unknown key, its nearest neighbour and
 * the list of what is known come from the same rows as the reading. */

#include "control/config-internal.h"

#include "base/log.h"
#include "control/reach.h"
#include "control/words.h"
#include "model/secret.h"
#include "json/text.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define ENV_VALUE_MAX 65536
#define STRING_MAX    4096

struct key {
    const char *name;
    /* Reads `value` into the object that the table belongs to. */
    int (*read)(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                size_t index);
    size_t index; /* handed to read */
};

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

static int fail_memory(struct reader *rd)
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
static const char *names_text(const struct key *keys, size_t n_keys, char *dst, size_t dst_size)
{
    size_t len = 0;

    dst[0] = '\0';
    for (size_t i = 0; i < n_keys && len < dst_size; i++)
        len += (size_t)snprintf(dst + len, dst_size - len, "%s%s", i > 0 ? ", " : "", keys[i].name);
    return dst;
}

static int object_read(struct reader *rd, json_t *object, const struct json_path *here,
                       const struct key *keys, size_t n_keys, void *into)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object))
        return config_fail_type(rd, here, "an object", object);
    json_object_foreach(object, name, value)
    {
        struct json_path step = {.parent = here, .key = name};
        const struct key *key = NULL;
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
    return *ret ? 0 : fail_memory(rd);
}

/* ---- settings: isolation, env and the limits ---- */

static uint64_t unit_size(enum limit_unit unit)
{
    switch (unit) {
    case LIMIT_COUNT:
        return 1;
    case LIMIT_SECONDS:
    case LIMIT_CPUS:
        return 1000;
    case LIMIT_MEGABYTES:
        return MIB;
    }
    return 1;
}

char *config_limit_range(const struct limit_info *info, char *dst, size_t dst_size)
{
    static const char *const kinds[] = {
        [LIMIT_COUNT] = "a whole number",
        [LIMIT_SECONDS] = "a number of seconds",
        [LIMIT_CPUS] = "a number of CPUs",
        [LIMIT_MEGABYTES] = "a whole number of megabytes",
    };
    double size = (double)unit_size(info->unit);

    (void)snprintf(dst, dst_size, "%s from %.10g to %.10g", kinds[info->unit],
                   (double)info->min / size, (double)info->max / size);
    return dst;
}

static int read_limit(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                      size_t index)
{
    struct config_function *f = into;
    const struct limit_info *info = &limit_infos[index];
    double size = (double)unit_size(info->unit), v = json_number_value(value) * size;
    bool whole = info->unit == LIMIT_COUNT || info->unit == LIMIT_MEGABYTES;
    bool fits = whole ? json_is_integer(value) : json_is_number(value);
    char range[96];
    uint64_t limit;

    if (!fits || v < (double)info->min || v > (double)info->max)
        return config_fail_type(rd, here, config_limit_range(info, range, sizeof(range)), value);
    limit = (uint64_t)llround(v);
    memcpy((char *)&f->settings.limits + info->offset, &limit, sizeof(limit));
    f->settings.limits_given |= 1ULL << index;
    return 0;
}

static int read_isolation(struct reader *rd, void *into, json_t *value,
                          const struct json_path *here, size_t index)
{
    struct config_function *f = into;

    f->settings.isolation = isolation_from_name(slice_str(json_string_value(value)));
    return f->settings.isolation < 0
               ? config_fail_type(rd, here, "\"request\" or \"instance\"", value)
               : 0;
}

static int read_secrets(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                        size_t index)
{
    struct config_function *f = into;

    f->settings.secrets_when = secrets_when_from_name(slice_str(json_string_value(value)));
    return f->settings.secrets_when < 0
               ? config_fail_type(rd, here, "\"request\" or \"load\"", value)
               : 0;
}

/* A text with a mistake in it would be handed on as it is, and nobody would notice. */
static int mentions_check(struct reader *rd, const struct json_path *here, const json_t *value)
{
    struct slice rest = slice(json_string_value(value), json_string_length(value));
    struct secret_piece piece;
    int r;

    while ((r = secret_piece_next(&rest, &piece)) > 0)
        ;
    return r == 0 ? 0
                  : config_fail(
                        rd, here,
                        "\"${\" begins ${secret:NAME}, where NAME has letters, digits and \"_.-\", "
                        "at most %d; write \"$${\" for these two characters themselves",
                        SECRET_NAME_MAX);
}

static int env_check(struct reader *rd, const struct json_path *here, const char *name,
                     const json_t *value)
{
    if (name[0] == '\0' || strchr(name, '='))
        return config_fail(rd, here, "the name of a variable must not be empty or contain '='");
    if (strncmp(name, "MAYFLY_", 7) == 0)
        return config_fail(rd, here,
                           "names that begin with MAYFLY_ are mayfly's own; choose another");
    if (!json_is_string(value))
        return config_fail_type(rd, here, "a string, in quotes", value);
    if (json_string_length(value) > ENV_VALUE_MAX)
        return config_fail(rd, here, "must not be longer than %d bytes", ENV_VALUE_MAX);
    return mentions_check(rd, here, value);
}

static int read_env(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                    size_t index)
{
    struct config_function *f = into;
    const char *name;
    json_t *item;
    size_t n = 0;

    if (!json_is_object(value))
        return config_fail_type(rd, here, "an object of names and strings", value);
    if (json_object_size(value) > CONFIG_ENV_MAX)
        return config_fail(rd, here, "has more than %d variables", CONFIG_ENV_MAX);
    f->settings.env = calloc(json_object_size(value) + 1, sizeof(char *));
    if (!f->settings.env)
        return fail_memory(rd);
    json_object_foreach(value, name, item)
    {
        struct json_path step = {.parent = here, .key = name};
        int r = env_check(rd, &step, name, item);

        if (r < 0)
            return r;
        if (asprintf(&f->settings.env[n], "%s=%s", name, json_string_value(item)) < 0) {
            f->settings.env[n] = NULL;
            return fail_memory(rd);
        }
        n++;
    }
    return 0;
}

static int strings_read(struct reader *rd, json_t *value, const struct json_path *here,
                        int (*check)(const char *text, struct error *err), const char *wanted,
                        char ***ret)
{
    size_t n = json_array_size(value);

    if (!json_is_array(value))
        return config_fail_type(rd, here, wanted, value);
    if (n > CONFIG_LIST_MAX)
        return config_fail(rd, here, "has more than %d of them", CONFIG_LIST_MAX);
    *ret = calloc(n + 1, sizeof(**ret));
    if (!*ret)
        return fail_memory(rd);
    for (size_t i = 0; i < n; i++) {
        struct json_path step = {.parent = here, .index = i};
        struct error err = ERROR_NULL;
        int r = config_read_string(rd, json_array_get(value, i), &step, &(*ret)[i]);

        if (r < 0)
            return r;
        if (check((*ret)[i], &err) < 0) {
            char quoted[256];

            return config_fail(rd, &step, "\"%s\" %s",
                               log_quote(slice_str((*ret)[i]), quoted, sizeof(quoted)), err.text);
        }
    }
    return 0;
}

static int read_network(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                        size_t index)
{
    static const char wanted[] = "\"host\", \"none\" or an array of \"HOST:PORT\"";
    struct config_function *f = into;

    if (json_is_array(value)) {
        if (json_array_size(value) == 0)
            return config_fail(rd, here, "is empty; say \"none\"");
        f->settings.network = NETWORK_LIST;
        return strings_read(rd, value, here, reach_target_check, wanted, &f->settings.egress);
    }
    f->settings.network = network_from_name(slice_str(json_string_value(value)));
    return f->settings.network < 0 || f->settings.network == NETWORK_LIST
               ? config_fail_type(rd, here, wanted, value)
               : 0;
}

static int read_reads(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                      size_t index)
{
    struct config_function *f = into;

    return strings_read(rd, value, here, reach_path_check, "an array of absolute paths",
                        &f->settings.reads);
}

static int read_writes(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                       size_t index)
{
    struct config_function *f = into;

    return strings_read(rd, value, here, reach_path_check, "an array of absolute paths",
                        &f->settings.writes);
}

enum limit_index {
#define LIMIT(field, key, unit, min, max, dflt, text) LIMIT_INDEX_##field,
#include "model/limits.tbl.h"
#undef LIMIT
    _LIMIT_INDEX_MAX,
};
_Static_assert(_LIMIT_INDEX_MAX <= 64, "limits_given has a bit for each");

#define LIMIT_KEY(field, key) {key, read_limit, LIMIT_INDEX_##field},

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
    return !ret->pattern || (method.len > 0 && !ret->method) ? fail_memory(rd) : 0;
}

static int read_function_routes(struct reader *rd, void *into, json_t *value,
                                const struct json_path *here, size_t index)
{
    struct config_function *f = into;

    if (!json_is_array(value))
        return config_fail_type(rd, here, "an array of routes, as in [\"GET /path\"]", value);
    f->routes = calloc(json_array_size(value) + 1, sizeof(*f->routes));
    if (!f->routes)
        return fail_memory(rd);
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
        return fail_memory(rd);
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

static const struct key function_keys[] = {
    {"handler", read_handler, 0},
    {"command", config_read_command, 0},
    {"port", config_read_port, 0},
    {"readiness", config_read_readiness, 0},
    {"per_process", config_read_per_process, 0},
    {"runtime", read_runtime, 0},
    {"routes", read_function_routes, 0},
    {"isolation", read_isolation, 0},
    {"env", read_env, 0},
    {"network", read_network, 0},
    {"reads", read_reads, 0},
    {"writes", read_writes, 0},
    {"secrets", read_secrets, 0},
#define LIMIT(field, key, unit, min, max, dflt, text) LIMIT_KEY(field, key)
#include "model/limits.tbl.h"
#undef LIMIT
};

static const struct key default_keys[] = {
    {"isolation", read_isolation, 0}, {"env", read_env, 0},       {"network", read_network, 0},
    {"reads", read_reads, 0},         {"writes", read_writes, 0}, {"secrets", read_secrets, 0},
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
        return fail_memory(rd);
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
            return fail_memory(rd);
        f->line = json_locate(rd->text, &step);
        r = object_read(rd, item, &step, function_keys, ARRAY_SIZE(function_keys), f);
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
    int r = object_read(rd, value, here, default_keys, ARRAY_SIZE(default_keys), &f);

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
        return fail_memory(rd);
    }
    if (route_parse(slice_str(probe), &method, &pattern, NULL) < 0 || method.len > 0)
        return config_fail(rd, here,
                           "must be a path such as \"/c\": with '/' at its start, not at its "
                           "end, and without *");
    return 0;
}

static const struct key include_keys[] = {
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
        return fail_memory(rd);
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct json_path step = {.parent = here, .index = i};
        struct config_include *include = &c->includes[c->n_includes++];
        json_t *item = json_array_get(value, i);
        int r;

        include->line = json_locate(rd->text, &step);
        if (json_is_string(item))
            r = read_include_path(rd, include, item, &step, 0);
        else
            r = object_read(rd, item, &step, include_keys, ARRAY_SIZE(include_keys), include);
        if (r < 0)
            return r;
        if (!include->path)
            return config_fail(rd, &step, "has no \"path\"; name the folder");
        if (!include->prefix)
            include->prefix = slice_dup(SLICE_LIT(""));
        if (!include->prefix)
            return fail_memory(rd);
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

static const struct key file_keys[] = {
    {"$schema", read_schema, 0},  {"functions", read_functions, 0}, {"routes", read_routes, 0},
    {"include", read_include, 0}, {"defaults", read_defaults, 0},   {"python", read_python, 0},
    {"node", read_node, 0},
};

const char *config_key(enum config_object object, size_t i)
{
    static const struct {
        const struct key *keys;
        size_t n_keys;
    } objects[_CONFIG_OBJECT_MAX] = {
        [CONFIG_OBJECT_FILE] = {file_keys, ARRAY_SIZE(file_keys)},
        [CONFIG_OBJECT_FUNCTION] = {function_keys, ARRAY_SIZE(function_keys)},
        [CONFIG_OBJECT_DEFAULTS] = {default_keys, ARRAY_SIZE(default_keys)},
        [CONFIG_OBJECT_INCLUDE] = {include_keys, ARRAY_SIZE(include_keys)},
    };

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
        return fail_memory(&rd);
    r = object_read(&rd, json, NULL, file_keys, ARRAY_SIZE(file_keys), c);
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
