/* redirects, rewrites, headers and the older routes of vercel.json become rules. */

#include "control/vercel-internal.h"

#include "control/pattern.h"

#include <errno.h>
#include <stdio.h>

#define RULES_EACH_MAX 2048
#define TEXT_MAX       16384

static int fail_memory(struct vercel_reader *vr)
{
    return error_set(vr->rd.err, -ENOMEM, "%s: out of memory", vr->rd.name);
}

/* Room for one more rule; NULL without memory. */
static struct rule *rule_add(struct vercel *v)
{
    struct rule *more = reallocarray(v->rules, (size_t)v->n_rules + 1, sizeof(*more));

    if (!more)
        return NULL;
    v->rules = more;
    more[v->n_rules] = (struct rule){.kind = RULE_HEADERS};
    return &more[v->n_rules++];
}

static void rule_remove_last(struct vercel *v)
{
    rule_deinit(&v->rules[--v->n_rules]);
}

static char *text_take(struct buf *b)
{
    return slice_dup(buf_slice(b));
}

/* ---- has, missing ---- */

static const char *const condition_keys[] = {"type", "key", "value", NULL};

static int condition_read(struct vercel_reader *vr, struct rule *rule, json_t *item,
                          const struct json_path *here, bool missing, struct pattern_keys *keys)
{
    static const char *const kinds[_CONDITION_KIND_MAX] = {"host", "header", "cookie", "query"};
    struct rule_condition *c = &rule->conditions[rule->n_conditions];
    json_t *value = json_object_get(item, "value");
    struct error err = ERROR_NULL;
    struct json_path at = {.parent = here, .key = "type"};
    int kind = -1, r = 0;

    if (!json_is_object(item))
        return config_fail_type(&vr->rd, here, "an object with \"type\", \"key\" and \"value\"",
                                item);
    for (int i = 0; i < _CONDITION_KIND_MAX; i++) {
        const char *type = json_string_value(json_object_get(item, "type"));

        kind = type && strcmp(type, kinds[i]) == 0 ? i : kind;
    }
    if (kind < 0)
        return config_fail(&vr->rd, &at, "must be \"host\", \"header\", \"cookie\" or \"query\"");
    vercel_warn_keys(vr, item, here, condition_keys);
    rule->n_conditions++;
    *c = (struct rule_condition){.kind = (enum condition_kind)kind, .missing = missing};
    at.key = "key";
    if (kind != CONDITION_HOST)
        r = config_read_string(&vr->rd, json_object_get(item, "key"), &at, &c->key);
    at.key = "value";
    if (r == 0 && value && !json_is_string(value))
        return config_fail(&vr->rd, &at,
                           "must be a string; comparisons as objects are not carried out "
                           "by mayfly, write a regular expression");
    if (r == 0 && (value || kind == CONDITION_HOST))
        r = config_read_string(&vr->rd, value, &at, &c->pattern);
    if (r == 0 && c->pattern && pattern_check(c->pattern, &err) < 0)
        return config_fail(&vr->rd, &at, "%s", err.text);
    if (r == 0 && !missing)
        pattern_keys_add_condition(keys, c->key, c->pattern, kind == CONDITION_HOST);
    return r;
}

static int conditions_read(struct vercel_reader *vr, struct rule *rule, json_t *object,
                           const struct json_path *here, struct pattern_keys *keys)
{
    static const char *const names[] = {"has", "missing"};
    int r = 0;

    rule->conditions = calloc(2 * SITE_CONDITIONS_MAX, sizeof(*rule->conditions));
    if (!rule->conditions)
        return fail_memory(vr);
    for (unsigned k = 0; k < 2 && r == 0; k++) {
        struct json_path at = {.parent = here, .key = names[k]};
        json_t *list = json_object_get(object, names[k]);

        if (!list)
            continue;
        if (!json_is_array(list) || json_array_size(list) > SITE_CONDITIONS_MAX)
            return config_fail(&vr->rd, &at, "must be an array of at most %d conditions",
                               SITE_CONDITIONS_MAX);
        for (size_t i = 0; i < json_array_size(list) && r == 0; i++) {
            struct json_path step = {.parent = &at, .index = i};

            r = condition_read(vr, rule, json_array_get(list, i), &step, k == 1, keys);
        }
    }
    return r;
}

/* ---- one rule ---- */

static int source_read(struct vercel_reader *vr, struct rule *rule, json_t *object,
                       const struct json_path *here, struct pattern_keys *keys)
{
    _cleanup_(buf_deinit) struct buf regex = BUF_INIT(TEXT_MAX);
    struct json_path at = {.parent = here, .key = "source"};
    _cleanup_free_ char *source = NULL;
    struct error err = ERROR_NULL;
    int r = config_read_string(&vr->rd, json_object_get(object, "source"), &at, &source);

    if (r < 0)
        return r;
    if (source[0] != '/')
        return config_fail(&vr->rd, &at, "must begin with '/'");
    r = pattern_translate(source, &regex, keys, &err);
    if (r == -ENOMEM)
        return fail_memory(vr);
    rule->pattern = r == 0 ? text_take(&regex) : NULL;
    if (r == 0 && !rule->pattern)
        return fail_memory(vr);
    if (r == 0)
        r = pattern_check(rule->pattern, &err);
    return r < 0 ? config_fail(&vr->rd, &at, "%s", err.text[0] ? err.text : "is too long") : 0;
}

static bool is_address(const char *s)
{
    return strstr(s, "://") != NULL || strncmp(s, "//", 2) == 0;
}

/* Returns 1 if the rule is not to be: it leads to another server. */
static int destination_read(struct vercel_reader *vr, struct rule *rule, json_t *object,
                            const struct json_path *here, const struct pattern_keys *keys)
{
    _cleanup_(buf_deinit) struct buf template = BUF_INIT(TEXT_MAX);
    struct json_path at = {.parent = here, .key = "destination"};
    bool rewrite = rule->kind == RULE_REWRITE;
    _cleanup_free_ char *text = NULL;
    int r = config_read_string(&vr->rd, json_object_get(object, "destination"), &at, &text);

    if (r < 0)
        return r;
    if (rewrite && is_address(text)) {
        vercel_warn_at(vr, &at, "a rewrite to another server is not carried out by mayfly");
        return 1;
    }
    if (text[0] != '/' && !is_address(text) && (rewrite || text[0] != ':'))
        return config_fail(&vr->rd, &at, "must begin with '/' or be an address");
    r = pattern_destination(text, keys, rewrite, &template);
    if (r == -ENOBUFS)
        return config_fail(&vr->rd, &at, "is too long");
    rule->destination = r == 0 ? text_take(&template) : NULL;
    return rule->destination ? 0 : fail_memory(vr);
}

static int status_read(struct vercel_reader *vr, struct rule *rule, json_t *object,
                       const struct json_path *here)
{
    struct json_path permanent_at = {.parent = here, .key = "permanent"};
    struct json_path at = {.parent = here, .key = "statusCode"};
    json_t *permanent = json_object_get(object, "permanent");
    json_t *status = json_object_get(object, "statusCode");
    json_int_t code = json_integer_value(status);

    if (permanent && status)
        return config_fail(&vr->rd, &at, "stands beside \"permanent\"; leave one of them out");
    if (permanent && !json_is_boolean(permanent))
        return config_fail_type(&vr->rd, &permanent_at, "true or false", permanent);
    if (status && (!json_is_integer(status) || code < 100 || code > 999 ||
                   (rule->kind == RULE_REDIRECT && (code < 300 || code > 399))))
        return config_fail_type(&vr->rd, &at, "a status of HTTP that fits", status);
    if (rule->kind == RULE_REDIRECT)
        rule->status = permanent ? json_is_true(permanent) ? 308 : 307
                       : status  ? (uint32_t)code
                                 : 308;
    return 0;
}

static int header_list_read(struct vercel_reader *vr, struct rule *rule, json_t *object,
                            const struct json_path *here, const struct pattern_keys *keys)
{
    struct json_path at = {.parent = here, .key = "headers"};
    json_t *list = json_object_get(object, "headers");
    static const char *const names[] = {"key", "value"};

    if (!json_is_array(list) || json_array_size(list) > SITE_HEADERS_MAX)
        return config_fail(&vr->rd, &at,
                           "must be an array of at most %d headers, each with \"key\" and "
                           "\"value\"",
                           SITE_HEADERS_MAX);
    rule->headers = calloc(json_array_size(list) + 1, sizeof(*rule->headers));
    if (!rule->headers)
        return fail_memory(vr);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct json_path step = {.parent = &at, .index = i};
        struct rule_header *h = &rule->headers[rule->n_headers++];
        char **texts[] = {&h->name, &h->value};

        if (!json_is_object(json_array_get(list, i)))
            return config_fail_type(&vr->rd, &step, "an object with \"key\" and \"value\"",
                                    json_array_get(list, i));
        for (unsigned k = 0; k < 2; k++) {
            _cleanup_(buf_deinit) struct buf template = BUF_INIT(TEXT_MAX);
            struct json_path last = {.parent = &step, .key = names[k]};
            json_t *value = json_object_get(json_array_get(list, i), names[k]);

            if (!json_is_string(value))
                return config_fail_type(&vr->rd, &last, "a string", value);
            if (pattern_destination(json_string_value(value), keys, false, &template) < 0 ||
                !(*texts[k] = text_take(&template)))
                return config_fail(&vr->rd, &last, "is too long");
        }
    }
    return 0;
}

static const char *const redirect_keys[] = {"source", "destination", "permanent", "statusCode",
                                            "has",    "missing",     NULL};
static const char *const rewrite_keys[] = {"source", "destination", "has", "missing", NULL};
static const char *const header_keys[] = {"source", "headers", "has", "missing", NULL};

static int rule_read(struct vercel_reader *vr, enum rule_kind kind, json_t *object,
                     const struct json_path *here)
{
    struct rule *rule = rule_add(vr->v);
    struct pattern_keys keys;
    int r;

    if (!rule)
        return fail_memory(vr);
    rule->kind = kind;
    if (!json_is_object(object))
        return config_fail_type(&vr->rd, here, "an object with a \"source\"", object);
    vercel_warn_keys(vr, object, here,
                     kind == RULE_REDIRECT  ? redirect_keys
                     : kind == RULE_REWRITE ? rewrite_keys
                                            : header_keys);
    r = source_read(vr, rule, object, here, &keys);
    if (r == 0)
        r = conditions_read(vr, rule, object, here, &keys);
    if (r == 0 && kind == RULE_HEADERS)
        return header_list_read(vr, rule, object, here, &keys);
    if (r == 0)
        r = status_read(vr, rule, object, here);
    if (r == 0)
        r = destination_read(vr, rule, object, here, &keys);
    if (r == 1) {
        rule_remove_last(vr->v);
        r = 0;
    }
    return r;
}

static int rules_read(struct vercel_reader *vr, enum rule_kind kind, json_t *list,
                      const struct json_path *here)
{
    int r = 0;

    if (!json_is_array(list))
        return config_fail_type(&vr->rd, here, "an array", list);
    if (json_array_size(list) > RULES_EACH_MAX)
        return config_fail(&vr->rd, here, "has more than %d of them", RULES_EACH_MAX);
    for (size_t i = 0; i < json_array_size(list) && r == 0; i++) {
        struct json_path step = {.parent = here, .index = i};

        r = rule_read(vr, kind, json_array_get(list, i), &step);
    }
    return r;
}

int vercel_read_redirects(struct vercel_reader *vr, json_t *value, const struct json_path *here)
{
    return rules_read(vr, RULE_REDIRECT, value, here);
}

int vercel_read_headers(struct vercel_reader *vr, json_t *value, const struct json_path *here)
{
    return rules_read(vr, RULE_HEADERS, value, here);
}

/* Behind the files. */
int vercel_read_rewrites(struct vercel_reader *vr, json_t *value, const struct json_path *here)
{
    struct rule *rule = rule_add(vr->v);

    if (!rule)
        return fail_memory(vr);
    rule->kind = RULE_FILESYSTEM;
    return rules_read(vr, RULE_REWRITE, value, here);
}

/* ---- routes ---- */

static const char *const route_keys[] = {"src",     "dest",     "status", "headers",
                                         "methods", "continue", "check",  "handle",
                                         "has",     "missing",  NULL};

/* The whole path must fit, whether the author has said so or not. */
static int src_read(struct vercel_reader *vr, struct rule *rule, json_t *object,
                    const struct json_path *here)
{
    struct json_path at = {.parent = here, .key = "src"};
    _cleanup_free_ char *src = NULL;
    struct error err = ERROR_NULL;
    int r = config_read_string(&vr->rd, json_object_get(object, "src"), &at, &src);
    size_t len;

    if (r < 0)
        return r;
    len = strlen(src);
    if (asprintf(&rule->pattern, "%s%s%s", src[0] == '^' ? "" : "^", src,
                 len > 0 && src[len - 1] == '$' ? "" : "$") < 0) {
        rule->pattern = NULL;
        return fail_memory(vr);
    }
    return pattern_check(rule->pattern, &err) < 0 ? config_fail(&vr->rd, &at, "%s", err.text) : 0;
}

static int methods_read(struct vercel_reader *vr, struct rule *rule, json_t *list,
                        const struct json_path *here)
{
    _cleanup_(buf_deinit) struct buf b = BUF_INIT(1024);

    if (!list)
        return 0;
    if (!json_is_array(list))
        return config_fail_type(&vr->rd, here, "an array of methods", list);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *method = json_string_value(json_array_get(list, i));

        if (!method || buf_printf(&b, "%s%s", i ? " " : "", method) < 0)
            return config_fail(&vr->rd, here, "must be an array of methods, as in [\"GET\"]");
    }
    rule->methods = text_take(&b);
    return rule->methods ? 0 : fail_memory(vr);
}

/* "headers" is an object here; its Location is where a redirect leads. */
static int route_headers_read(struct vercel_reader *vr, struct rule *rule, json_t *object,
                              const struct json_path *here)
{
    const char *name;
    json_t *value;

    if (!object)
        return 0;
    if (!json_is_object(object) || json_object_size(object) > SITE_HEADERS_MAX)
        return config_fail_type(&vr->rd, here, "an object of headers", object);
    rule->headers = calloc(json_object_size(object) + 1, sizeof(*rule->headers));
    if (!rule->headers)
        return fail_memory(vr);
    json_object_foreach(object, name, value)
    {
        struct json_path step = {.parent = here, .key = name};
        char **into;

        if (!json_is_string(value))
            return config_fail_type(&vr->rd, &step, "a string", value);
        if (strcasecmp(name, "location") == 0 && rule->status >= 300 && rule->status < 400 &&
            !rule->destination) {
            into = &rule->destination;
        } else {
            rule->headers[rule->n_headers].name = slice_dup(slice_str(name));
            into = &rule->headers[rule->n_headers++].value;
            if (!rule->headers[rule->n_headers - 1].name)
                return fail_memory(vr);
        }
        *into = slice_dup(slice_str(json_string_value(value)));
        if (!*into)
            return fail_memory(vr);
    }
    return 0;
}

static int flag_read(struct vercel_reader *vr, json_t *object, const struct json_path *here,
                     const char *name, bool *ret)
{
    struct json_path at = {.parent = here, .key = name};
    json_t *value = json_object_get(object, name);

    if (value && !json_is_boolean(value))
        return config_fail_type(&vr->rd, &at, "true or false", value);
    *ret = json_is_true(value);
    return 0;
}

static int route_handle(struct vercel_reader *vr, struct rule *rule, json_t *object,
                        const struct json_path *here)
{
    struct json_path at = {.parent = here, .key = "handle"};
    const char *handle = json_string_value(json_object_get(object, "handle"));

    if (handle && strcmp(handle, "filesystem") == 0) {
        rule->kind = RULE_FILESYSTEM;
        return 0;
    }
    if (!handle)
        return config_fail_type(&vr->rd, &at, "a string", json_object_get(object, "handle"));
    vercel_warn_at(vr, &at,
                   "the phase \"%.32s\" is not carried out by mayfly, nor the routes behind it",
                   handle);
    rule_remove_last(vr->v);
    return 1;
}

/* Returns 1 behind a phase that is left out with all that follows. */
static int route_read(struct vercel_reader *vr, json_t *object, const struct json_path *here)
{
    struct json_path at = {.parent = here, .key = "methods"};
    struct rule *rule = rule_add(vr->v);
    struct pattern_keys keys = {.n_keys = 0};
    json_t *dest = json_object_get(object, "dest"), *status = json_object_get(object, "status");
    int r;

    if (!rule)
        return fail_memory(vr);
    if (!json_is_object(object))
        return config_fail_type(&vr->rd, here, "an object with \"src\" or \"handle\"", object);
    vercel_warn_keys(vr, object, here, route_keys);
    if (json_object_get(object, "handle"))
        return route_handle(vr, rule, object, here);
    rule->kind = RULE_ROUTE;
    r = src_read(vr, rule, object, here);
    if (r == 0)
        r = methods_read(vr, rule, json_object_get(object, "methods"), &at);
    at.key = "dest";
    if (r == 0 && dest)
        r = config_read_string(&vr->rd, dest, &at, &rule->destination);
    at.key = "status";
    if (r == 0 && status &&
        (!json_is_integer(status) || json_integer_value(status) < 100 ||
         json_integer_value(status) > 999))
        return config_fail_type(&vr->rd, &at, "a status of HTTP", status);
    rule->status = (uint32_t)json_integer_value(status);
    at.key = "headers";
    if (r == 0)
        r = route_headers_read(vr, rule, json_object_get(object, "headers"), &at);
    if (r == 0)
        r = flag_read(vr, object, here, "continue", &rule->proceed);
    if (r == 0)
        r = flag_read(vr, object, here, "check", &rule->check);
    if (r == 0)
        r = conditions_read(vr, rule, object, here, &keys);
    if (r == 0 && dest && is_address(rule->destination)) {
        at.key = "dest";
        vercel_warn_at(vr, &at, "a route to another server is not carried out by mayfly");
        rule_remove_last(vr->v);
    }
    return r;
}

int vercel_read_routes(struct vercel_reader *vr, json_t *value, const struct json_path *here)
{
    int r = 0;

    if (!json_is_array(value))
        return config_fail_type(&vr->rd, here, "an array", value);
    if (json_array_size(value) > RULES_EACH_MAX)
        return config_fail(&vr->rd, here, "has more than %d of them", RULES_EACH_MAX);
    for (size_t i = 0; i < json_array_size(value) && r == 0; i++) {
        struct json_path step = {.parent = here, .index = i};

        r = route_read(vr, json_array_get(value, i), &step);
    }
    return r < 0 ? r : 0;
}
