/* The bytes go from control to supervisor and gateway, which must not fall over whatever happened
 * to control: the decoder reads them as foreign. Nothing in them is used as a size or an index
 * before it has been held against what is really there. */

#include "model/snapshot.h"

#include "model/egress.h"

#include <errno.h>

#define SNAPSHOT_MAGIC 0x3453464dU /* "MFS4" */

/* The fewest bytes that one of them can take: they bound what a count may ask for. */
#define FUNCTION_BYTES_MIN 64
#define ROUTE_BYTES_MIN    16
#define SITE_BYTES_MIN     26
#define RULE_BYTES_MIN     18

struct snapshot *snapshot_new(void)
{
    return calloc(1, sizeof(struct snapshot));
}

struct snapshot *snapshot_free(struct snapshot *s)
{
    if (!s)
        return NULL;
    for (uint32_t i = 0; i < s->n_functions; i++)
        function_deinit(&s->functions[i]);
    for (uint32_t i = 0; i < s->n_routes; i++)
        route_deinit(&s->routes[i]);
    for (uint32_t i = 0; i < s->n_sites; i++)
        site_deinit(&s->sites[i]);
    free(s->functions);
    free(s->routes);
    free(s->sites);
    free(s->by_name);
    free(s);
    return NULL;
}

static void snapshot_freep(struct snapshot **s)
{
    (void)snapshot_free(*s);
}

/* ---- writing: after the first failure nothing more is written ---- */

struct writer {
    struct buf *b;
    int r;
};

static void put_u8(struct writer *w, unsigned v)
{
    w->r = w->r < 0 ? w->r : pack_u8(w->b, (uint8_t)v);
}

static void put_u32(struct writer *w, uint32_t v)
{
    w->r = w->r < 0 ? w->r : pack_u32(w->b, v);
}

static void put_u64(struct writer *w, uint64_t v)
{
    w->r = w->r < 0 ? w->r : pack_u64(w->b, v);
}

static void put_str(struct writer *w, const char *s)
{
    w->r = w->r < 0 ? w->r : pack_str(w->b, slice_str(s));
}

/* One that may be missing. */
static void put_optional(struct writer *w, const char *s)
{
    put_u8(w, s != NULL);
    if (s)
        put_str(w, s);
}

static void put_strings(struct writer *w, char *const *strings)
{
    uint32_t n = 0;

    while (strings && strings[n])
        n++;
    put_u32(w, n);
    for (uint32_t i = 0; i < n; i++)
        put_str(w, strings[i]);
}

static void put_function(struct writer *w, const struct function *f)
{
    put_str(w, f->name);
    put_str(w, f->version);
    put_str(w, f->project);
    put_str(w, f->handler);
    put_str(w, f->code_dir);
    put_strings(w, f->argv);
    put_strings(w, f->env);
    put_strings(w, f->secrets);
    put_optional(w, f->broken);
    put_u8(w, f->runtime);
    put_u8(w, f->isolation);
    put_u8(w, f->network);
    put_u8(w, f->secrets_when);
    put_strings(w, f->egress);
    put_strings(w, f->reads);
    put_strings(w, f->writes);
    put_strings(w, f->mounts);
    put_strings(w, f->redact);
    put_strings(w, f->about);
#define LIMIT(field, key, unit, min, max, dflt, text) put_u64(w, f->limits.field);
#include "model/limits.tbl.h"
#undef LIMIT
}

static void put_route(struct writer *w, const struct route *r)
{
    put_optional(w, r->method);
    put_str(w, r->pattern);
    put_str(w, r->origin);
    put_u8(w, r->builtin);
    put_u32(w, r->function);
    put_str(w, r->project);
}

static void put_rule(struct writer *w, const struct rule *r)
{
    put_u8(w, r->kind);
    put_optional(w, r->pattern);
    put_optional(w, r->methods);
    put_optional(w, r->destination);
    put_u32(w, r->status);
    put_u8(w, r->proceed);
    put_u8(w, r->check);
    put_u32(w, r->n_conditions);
    for (uint32_t i = 0; i < r->n_conditions; i++) {
        put_u8(w, r->conditions[i].kind);
        put_u8(w, r->conditions[i].missing);
        put_optional(w, r->conditions[i].key);
        put_optional(w, r->conditions[i].pattern);
    }
    put_u32(w, r->n_headers);
    for (uint32_t i = 0; i < r->n_headers; i++) {
        put_str(w, r->headers[i].name);
        put_str(w, r->headers[i].value);
    }
}

/* The files' names are one run of bytes, each with its NUL: thousands of them cost one copy. */
static void put_site(struct writer *w, const struct site *s)
{
    size_t len = 0;

    put_str(w, s->prefix);
    put_u32(w, s->function);
    put_u8(w, s->clean_urls);
    put_u8(w, s->slash);
    for (uint32_t i = 0; i < s->n_files; i++)
        len += strlen(s->files[i]) + 1;
    put_u32(w, s->n_files);
    w->r = w->r < 0 ? w->r : len > UINT32_MAX ? -ENOBUFS : pack_u32(w->b, (uint32_t)len);
    for (uint32_t i = 0; i < s->n_files; i++)
        w->r = w->r < 0 ? w->r : buf_append(w->b, s->files[i], strlen(s->files[i]) + 1);
    put_u32(w, s->n_rules);
    for (uint32_t i = 0; i < s->n_rules; i++)
        put_rule(w, &s->rules[i]);
    put_u32(w, s->n_crons);
    for (uint32_t i = 0; i < s->n_crons; i++) {
        put_str(w, s->crons[i].path);
        put_str(w, s->crons[i].schedule);
    }
}

int snapshot_encode(const struct snapshot *s, struct buf *b)
{
    struct writer w = {.b = b};

    put_u32(&w, SNAPSHOT_MAGIC);
    put_u64(&w, s->generation);
    put_u8(&w, s->dev);
    put_u32(&w, s->n_functions);
    for (uint32_t i = 0; i < s->n_functions; i++)
        put_function(&w, &s->functions[i]);
    put_u32(&w, s->n_routes);
    for (uint32_t i = 0; i < s->n_routes; i++)
        put_route(&w, &s->routes[i]);
    put_u32(&w, s->n_sites);
    for (uint32_t i = 0; i < s->n_sites; i++)
        put_site(&w, &s->sites[i]);
    return w.r;
}

/* ---- reading ---- */

struct reader {
    struct unpack u;
    bool no_memory;
};

/* NULL when the bytes are bad or hold a NUL, or without memory. */
static char *get_str(struct reader *r)
{
    struct slice s = unpack_str(&r->u);
    char *copy;

    if (s.len > 0 && memchr(s.base, '\0', s.len))
        r->u.bad = true;
    if (r->u.bad)
        return NULL;
    copy = slice_dup(s);
    r->no_memory = r->no_memory || !copy;
    return copy;
}

static bool get_flag(struct reader *r)
{
    uint8_t v = unpack_u8(&r->u);

    r->u.bad = r->u.bad || v > 1;
    return v == 1;
}

static unsigned get_enum(struct reader *r, unsigned max)
{
    uint8_t v = unpack_u8(&r->u);

    r->u.bad = r->u.bad || v >= max;
    return r->u.bad ? 0 : v;
}

static char **get_strings(struct reader *r, uint32_t max)
{
    uint32_t n = unpack_count(&r->u, sizeof(uint32_t));
    char **strings;

    r->u.bad = r->u.bad || n > max;
    if (r->u.bad)
        return NULL;
    strings = calloc((size_t)n + 1, sizeof(*strings));
    if (!strings) {
        r->no_memory = true;
        return NULL;
    }
    for (uint32_t i = 0; i < n && !r->no_memory; i++) {
        strings[i] = get_str(r);
        if (!strings[i])
            break;
    }
    return strings;
}

static bool is_version(const char *s)
{
    return strlen(s) == FUNCTION_VERSION_LEN &&
           strspn(s, "0123456789abcdef") == FUNCTION_VERSION_LEN;
}

static void get_version(struct reader *r, char dst[static FUNCTION_VERSION_LEN + 1])
{
    _cleanup_free_ char *version = get_str(r);

    if (!version)
        return;
    if (is_version(version))
        memcpy(dst, version, FUNCTION_VERSION_LEN + 1);
    else
        r->u.bad = true;
}

static void get_limits(struct reader *r, struct limits *limits)
{
    for (size_t i = 0; i < n_limit_infos; i++) {
        const struct limit_info *info = &limit_infos[i];
        uint64_t v = unpack_u64(&r->u);

        r->u.bad = r->u.bad || v < info->min || v > info->max;
        memcpy((char *)limits + info->offset, &v, sizeof(v));
    }
}

static bool are_absolute(char *const *paths)
{
    for (; *paths; paths++) {
        if ((*paths)[0] != '/')
            return false;
    }
    return true;
}

/* Pairs of where from and where to. */
static bool are_mounts(char *const *mounts)
{
    for (; *mounts; mounts += 2) {
        if (mounts[0][0] != '/' || !mounts[1] || !function_mount_is_valid(mounts[1]))
            return false;
    }
    return true;
}

static bool are_rules(char *const *rules)
{
    for (; *rules; rules++) {
        struct egress_rule rule;
        struct slice name;

        if (egress_parse(slice_str(*rules), &rule, &name, NULL) < 0 || name.len > 0)
            return false;
    }
    return true;
}

static bool are_variables(char *const *env)
{
    for (; *env; env++) {
        if (!strchr(*env, '=') || **env == '=')
            return false;
    }
    return true;
}

static void get_function(struct reader *r, struct function *f)
{
    f->name = get_str(r);
    get_version(r, f->version);
    f->project = get_str(r);
    f->handler = get_str(r);
    f->code_dir = get_str(r);
    f->argv = get_strings(r, SNAPSHOT_ARGS_MAX);
    f->env = get_strings(r, SNAPSHOT_ENV_MAX);
    f->secrets = get_strings(r, SNAPSHOT_ENV_MAX);
    if (get_flag(r))
        f->broken = get_str(r);
    f->runtime = get_enum(r, _RUNTIME_MAX);
    f->isolation = get_enum(r, _ISOLATION_MAX);
    f->network = get_enum(r, _NETWORK_MAX);
    f->secrets_when = get_enum(r, _SECRETS_MAX);
    f->egress = get_strings(r, SNAPSHOT_EGRESS_MAX);
    f->reads = get_strings(r, SNAPSHOT_PATHS_MAX);
    f->writes = get_strings(r, SNAPSHOT_PATHS_MAX);
    f->mounts = get_strings(r, SNAPSHOT_MOUNTS_MAX);
    f->redact = get_strings(r, SNAPSHOT_PATHS_MAX);
    f->about = get_strings(r, SNAPSHOT_ABOUT_MAX);
    get_limits(r, &f->limits);
    if (r->u.bad || r->no_memory)
        return;
    if (!function_name_is_valid(slice_str(f->name)) || f->code_dir[0] != '/' ||
        (!f->broken && (!f->argv[0] || f->argv[0][0] != '/')))
        r->u.bad = true;
    if (!are_absolute(f->reads) || !are_absolute(f->writes) || !are_mounts(f->mounts) ||
        !are_rules(f->egress))
        r->u.bad = true;
    if (!are_variables(f->env) || !are_variables(f->secrets))
        r->u.bad = true;
}

static void get_route(struct reader *r, struct route *route, uint32_t n_functions)
{
    struct slice none, pattern;

    if (get_flag(r))
        route->method = get_str(r);
    route->pattern = get_str(r);
    route->origin = get_str(r);
    route->builtin = get_enum(r, _BUILTIN_MAX);
    route->function = unpack_u32(&r->u);
    route->project = get_str(r);
    if (r->u.bad || r->no_memory)
        return;
    if ((route->builtin == BUILTIN_NONE && route->function >= n_functions) ||
        route_parse(slice_str(route->pattern), &none, &pattern, NULL) < 0 || none.len > 0 ||
        (route->method &&
         strspn(route->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != strlen(route->method)))
        r->u.bad = true;
    if (route->method && (route->method[0] == '\0' || strlen(route->method) > ROUTE_METHOD_MAX))
        r->u.bad = true;
}

/* Room for n of them, of at most max; NULL if there is none, then r tells why. */
static void *get_array(struct reader *r, size_t bytes_min, uint32_t max, size_t size, uint32_t *ret)
{
    uint32_t n = unpack_count(&r->u, bytes_min);
    void *array;

    r->u.bad = r->u.bad || n > max;
    if (r->u.bad || r->no_memory)
        return NULL;
    array = calloc(MAX(n, 1), size);
    r->no_memory = !array;
    *ret = n;
    return array;
}

static char *get_optional(struct reader *r)
{
    return get_flag(r) ? get_str(r) : NULL;
}

static void get_rule(struct reader *r, struct rule *rule)
{
    uint32_t n = 0;

    rule->kind = get_enum(r, _RULE_KIND_MAX);
    rule->pattern = get_optional(r);
    rule->methods = get_optional(r);
    rule->destination = get_optional(r);
    rule->status = unpack_u32(&r->u);
    rule->proceed = get_flag(r);
    rule->check = get_flag(r);
    if ((rule->kind != RULE_FILESYSTEM && !rule->pattern) ||
        (rule->status != 0 && (rule->status < 100 || rule->status > 999)))
        r->u.bad = true;
    if ((rule->kind == RULE_REDIRECT || rule->kind == RULE_REWRITE) && !rule->destination)
        r->u.bad = true;
    rule->conditions = get_array(r, 4, SITE_CONDITIONS_MAX * 2, sizeof(*rule->conditions), &n);
    while (rule->n_conditions < n && !r->u.bad && !r->no_memory) {
        struct rule_condition *c = &rule->conditions[rule->n_conditions++];

        c->kind = get_enum(r, _CONDITION_KIND_MAX);
        c->missing = get_flag(r);
        c->key = get_optional(r);
        c->pattern = get_optional(r);
        r->u.bad = r->u.bad || (c->kind == CONDITION_HOST ? !c->pattern : !c->key);
    }
    n = 0;
    rule->headers = get_array(r, 8, SITE_HEADERS_MAX, sizeof(*rule->headers), &n);
    while (rule->n_headers < n && !r->u.bad && !r->no_memory) {
        struct rule_header *h = &rule->headers[rule->n_headers++];

        h->name = get_str(r);
        h->value = get_str(r);
    }
}

/* Sorted, and each with a NUL behind it. */
static void get_files(struct reader *r, struct site *s)
{
    uint32_t n = unpack_count(&r->u, 1);
    struct slice names = unpack_str(&r->u);
    size_t at = 0;

    r->u.bad = r->u.bad || n > SITE_FILES_MAX || (n > 0 && names.len == 0) ||
               (names.len > 0 && names.base[names.len - 1] != '\0');
    if (r->u.bad || r->no_memory)
        return;
    s->names = slice_dup(names);
    s->files = calloc(MAX(n, 1), sizeof(*s->files));
    r->no_memory = !s->names || !s->files;
    for (; s->n_files < n && at < names.len && !r->no_memory; s->n_files++) {
        s->files[s->n_files] = s->names + at;
        at += strlen(s->names + at) + 1;
        r->u.bad = r->u.bad ||
                   (s->n_files > 0 && strcmp(s->files[s->n_files - 1], s->files[s->n_files]) >= 0);
    }
    r->u.bad = r->u.bad || s->n_files != n || at != names.len;
}

static void get_site(struct reader *r, struct site *s, uint32_t n_functions)
{
    uint32_t n = 0;

    s->prefix = get_str(r);
    s->function = unpack_u32(&r->u);
    s->clean_urls = get_flag(r);
    s->slash = get_enum(r, _SITE_SLASH_MAX);
    get_files(r, s);
    if (!r->u.bad &&
        (s->function == SITE_NO_FUNCTION ? s->n_files > 0 : s->function >= n_functions))
        r->u.bad = true;
    s->rules = get_array(r, RULE_BYTES_MIN, SITE_RULES_MAX, sizeof(*s->rules), &n);
    while (s->n_rules < n && !r->u.bad && !r->no_memory)
        get_rule(r, &s->rules[s->n_rules++]);
    n = 0;
    s->crons = get_array(r, 8, SITE_CRONS_MAX, sizeof(*s->crons), &n);
    while (s->n_crons < n && !r->u.bad && !r->no_memory) {
        s->crons[s->n_crons].path = get_str(r);
        s->crons[s->n_crons++].schedule = get_str(r);
    }
}

/* The arrays are counted up while they are filled, so that a failure frees what is there. */
static void get_snapshot(struct reader *r, struct snapshot *s)
{
    uint32_t n;

    if (unpack_u32(&r->u) != SNAPSHOT_MAGIC)
        r->u.bad = true;
    s->generation = unpack_u64(&r->u);
    s->dev = get_flag(r);

    n = unpack_count(&r->u, FUNCTION_BYTES_MIN);
    r->u.bad = r->u.bad || n > SNAPSHOT_FUNCTIONS_MAX;
    if (r->u.bad)
        return;
    s->functions = calloc(MAX(n, 1), sizeof(*s->functions));
    r->no_memory = !s->functions;
    while (s->n_functions < n && !r->u.bad && !r->no_memory)
        get_function(r, &s->functions[s->n_functions++]);

    n = unpack_count(&r->u, ROUTE_BYTES_MIN);
    r->u.bad = r->u.bad || n > SNAPSHOT_ROUTES_MAX;
    if (r->u.bad || r->no_memory)
        return;
    s->routes = calloc(MAX(n, 1), sizeof(*s->routes));
    r->no_memory = !s->routes;
    while (s->n_routes < n && !r->u.bad && !r->no_memory)
        get_route(r, &s->routes[s->n_routes++], s->n_functions);

    n = 0;
    s->sites = get_array(r, SITE_BYTES_MIN, SITES_MAX, sizeof(*s->sites), &n);
    while (s->n_sites < n && !r->u.bad && !r->no_memory)
        get_site(r, &s->sites[s->n_sites++], s->n_functions);
}

int snapshot_decode(struct slice bytes, struct snapshot **ret)
{
    _cleanup_(snapshot_freep) struct snapshot *s = NULL;
    struct reader reader = {.no_memory = false};
    int r;

    if (bytes.len > SNAPSHOT_BYTES_MAX)
        return -EBADMSG;
    s = snapshot_new();
    if (!s)
        return -ENOMEM;
    unpack_init(&reader.u, bytes);
    get_snapshot(&reader, s);
    if (reader.no_memory)
        return -ENOMEM;
    if (unpack_end(&reader.u) < 0)
        return -EBADMSG;
    r = snapshot_index(s, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : -EBADMSG;
    *ret = take_ptr(s);
    return 0;
}

/* ---- looking up ---- */

static int index_cmp(const void *a, const void *b, void *functions)
{
    const struct function *f = functions;

    return strcmp(f[*(const uint32_t *)a].name, f[*(const uint32_t *)b].name);
}

int snapshot_index(struct snapshot *s, struct error *err)
{
    int r = route_table_init(&s->table, s->routes, s->n_routes, err);

    if (r < 0)
        return r;
    free(s->by_name);
    s->by_name = calloc(MAX(s->n_functions, 1), sizeof(*s->by_name));
    if (!s->by_name)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->n_functions; i++)
        s->by_name[i] = i;
    qsort_r(s->by_name, s->n_functions, sizeof(*s->by_name), index_cmp, s->functions);
    for (uint32_t i = 1; i < s->n_functions; i++) {
        const char *name = s->functions[s->by_name[i]].name;

        if (strcmp(name, s->functions[s->by_name[i - 1]].name) == 0)
            return error_set(err, -EEXIST, "two functions are named \"%s\"", name);
    }
    return 0;
}

static int name_cmp(struct slice a, const char *b)
{
    size_t len = strlen(b), n = MIN(a.len, len);
    int r = n > 0 ? memcmp(a.base, b, n) : 0;

    return r != 0 ? r : (a.len > len) - (a.len < len);
}

struct function *snapshot_find(const struct snapshot *s, struct slice name)
{
    uint32_t from = 0, to = s->n_functions;

    for (uint32_t i = 0; !s->by_name && i < s->n_functions; i++) {
        if (slice_eq(slice_str(s->functions[i].name), name))
            return &s->functions[i];
    }
    while (s->by_name && from < to) {
        uint32_t middle = from + (to - from) / 2;
        struct function *f = &s->functions[s->by_name[middle]];
        int r = name_cmp(name, f->name);

        if (r == 0)
            return f;
        if (r < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}
