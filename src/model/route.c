/* The routes are sorted so that, of all patterns that fit a path, the first is the most specific.
 * Patterns that agree in their first segments stand side by side, so a search narrows a range:
 * segment by segment it takes the part with that text, and if nothing comes of it the part with a
 * parameter there, and last the part with `*`. Which parameter name stands at a place makes no
 * difference to what a pattern fits, so it makes none to the order either. */

#include "model/route.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

static const char *const builtin_names[_BUILTIN_MAX] = {
    [BUILTIN_NONE] = "",
    [BUILTIN_ACTIVE_PROCESSES] = "active_processes",
    [BUILTIN_REQUEST_COUNTER] = "request_counter",
};

/* In the order of specificity. */
enum segment_kind {
    SEGMENT_END, /* the pattern has no more */
    SEGMENT_TEXT,
    SEGMENT_PARAM,
    SEGMENT_REST,
};

struct segment {
    enum segment_kind kind;
    struct slice text; /* what a text segment says, or a parameter's name */
};

struct range {
    uint32_t from;
    uint32_t to; /* behind the last */
};

const char *builtin_name(enum builtin builtin)
{
    assert((unsigned)builtin < _BUILTIN_MAX);
    return builtin_names[builtin];
}

int builtin_from_name(struct slice name)
{
    for (int i = BUILTIN_NONE + 1; i < _BUILTIN_MAX; i++) {
        if (slice_eq(slice_str(builtin_names[i]), name))
            return i;
    }
    return -1;
}

void route_deinit(struct route *r)
{
    free(r->method);
    free(r->pattern);
    free(r->origin);
    free(r->project);
    *r = (struct route){0};
}

/* ---- patterns ---- */

/* Takes the next segment off *rest, which begins with '/' or is empty. */
static struct segment segment_next(struct slice *rest)
{
    struct slice s;
    const char *end;

    if (rest->len <= 1) {
        rest->len = 0;
        return (struct segment){.kind = SEGMENT_END};
    }
    s = slice(rest->base + 1, rest->len - 1);
    end = memchr(s.base, '/', s.len);
    if (end)
        s.len = (size_t)(end - s.base);
    *rest = slice(s.base + s.len, rest->len - 1 - s.len);
    if (slice_eq(s, SLICE_LIT("*")))
        return (struct segment){SEGMENT_REST, s};
    if (s.len >= 2 && s.base[0] == '[' && s.base[s.len - 1] == ']')
        return (struct segment){SEGMENT_PARAM, slice(s.base + 1, s.len - 2)};
    return (struct segment){SEGMENT_TEXT, s};
}

static struct segment segment_at(const char *pattern, uint32_t depth)
{
    struct slice rest = slice_str(pattern);
    struct segment s = segment_next(&rest);

    while (depth-- > 0 && s.kind != SEGMENT_END)
        s = segment_next(&rest);
    return s;
}

static int param_check(struct slice pattern, struct segment param, struct error *err)
{
    if (param.text.len == 0)
        return error_set(err, -EINVAL, "route \"%.*s\": [] has no name between its brackets",
                         SLICE_ARG(pattern));
    for (size_t i = 0; i < param.text.len; i++) {
        unsigned char c = (unsigned char)param.text.base[i];

        if (c >= 0x80 || (!isalnum(c) && !memchr("_-.", c, 3)))
            return error_set(err, -EINVAL,
                             "route \"%.*s\": the name in [%.*s] may have letters, digits, '_', "
                             "'-' and '.' only",
                             SLICE_ARG(pattern), SLICE_ARG(param.text));
    }
    for (struct slice rest = pattern;;) {
        struct segment s = segment_next(&rest);

        if (s.text.base == param.text.base)
            return 0;
        if (s.kind == SEGMENT_PARAM && slice_eq(s.text, param.text))
            return error_set(err, -EINVAL,
                             "route \"%.*s\": [%.*s] stands there twice; give each its own name",
                             SLICE_ARG(pattern), SLICE_ARG(param.text));
    }
}

static int text_check(struct slice pattern, struct slice text, struct error *err)
{
    if (text.len == 0)
        return error_set(err, -EINVAL, "route \"%.*s\": has an empty segment", SLICE_ARG(pattern));
    if (slice_eq(text, SLICE_LIT(".")) || slice_eq(text, SLICE_LIT("..")))
        return error_set(err, -EINVAL, "route \"%.*s\": a segment may not be \".\" or \"..\"",
                         SLICE_ARG(pattern));
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];

        if (c == '%')
            return error_set(err, -EINVAL,
                             "route \"%.*s\": '%%' is not allowed; write the character itself, it "
                             "is compared decoded",
                             SLICE_ARG(pattern));
        if (c == '[' || c == ']' || c == '*')
            return error_set(err, -EINVAL, "route \"%.*s\": [name] and * stand for a whole segment",
                             SLICE_ARG(pattern));
        if (c <= 0x20 || c == 0x7f || memchr("?#\\", c, 3))
            return error_set(err, -EINVAL,
                             "route \"%.*s\": blanks, control characters, '?', '#' and '\\' are "
                             "not allowed in a path",
                             SLICE_ARG(pattern));
    }
    return 0;
}

static int pattern_check(struct slice pattern, struct error *err)
{
    struct slice rest = pattern;
    uint32_t n_segments = 0, n_params = 0;
    int r = 0;

    if (pattern.len > ROUTE_PATTERN_MAX)
        return error_set(err, -EINVAL, "route \"%.40s...\": is longer than %d bytes", pattern.base,
                         ROUTE_PATTERN_MAX);
    if (pattern.len > 1 && pattern.base[pattern.len - 1] == '/')
        return error_set(err, -EINVAL,
                         "route \"%.*s\": leave out the '/' at the end, it is ignored in requests",
                         SLICE_ARG(pattern));
    while (rest.len > 1) {
        struct segment s = segment_next(&rest);

        if (s.kind == SEGMENT_TEXT)
            r = text_check(pattern, s.text, err);
        else if (s.kind == SEGMENT_PARAM)
            r = param_check(pattern, s, err);
        if (r < 0)
            return r;
        if (s.kind == SEGMENT_REST && rest.len > 0)
            return error_set(err, -EINVAL,
                             "route \"%.*s\": * stands for the rest, nothing may follow it",
                             SLICE_ARG(pattern));
        n_segments++;
        n_params += s.kind == SEGMENT_PARAM;
        if (n_segments > ROUTE_SEGMENTS_MAX || n_params > ROUTE_PARAMS_MAX)
            return error_set(err, -EINVAL,
                             "route \"%.*s\": has more than %d segments or %d parameters",
                             SLICE_ARG(pattern), ROUTE_SEGMENTS_MAX, ROUTE_PARAMS_MAX);
    }
    return 0;
}

int route_parse(struct slice text, struct slice *ret_method, struct slice *ret_pattern,
                struct error *err)
{
    const char *blank = text.len > 0 ? memchr(text.base, ' ', text.len) : NULL;
    const char *path = text.len > 0 ? memchr(text.base, '/', text.len) : NULL;
    struct slice method = SLICE_NULL, pattern = text;
    int r;

    if (path && blank && blank < path) {
        method = slice(text.base, (size_t)(blank - text.base));
        pattern = slice(blank + 1, text.len - method.len - 1);
        if (method.len == 0 || method.len > ROUTE_METHOD_MAX)
            return error_set(err, -EINVAL,
                             "route \"%.*s\": the method before the path is no "
                             "method; write \"GET /path\" or \"/path\"",
                             SLICE_ARG(text));
    }
    for (size_t i = 0; i < method.len; i++) {
        char c = method.base[i];

        if (!(c >= 'A' && c <= 'Z') && c != '-' && c != '_')
            return error_set(err, -EINVAL,
                             "route \"%.*s\": a method is written in capital letters, as in "
                             "\"GET /path\"",
                             SLICE_ARG(text));
    }
    if (pattern.len == 0 || pattern.base[0] != '/')
        return error_set(err, -EINVAL,
                         "route \"%.*s\": the path must begin with '/', as in \"/path\" or "
                         "\"GET /path\"",
                         SLICE_ARG(text));
    r = pattern_check(pattern, err);
    if (r < 0)
        return r;
    *ret_method = method;
    *ret_pattern = pattern;
    return 0;
}

/* ---- order ---- */

static int slice_cmp(struct slice a, struct slice b)
{
    size_t n = MIN(a.len, b.len);
    int r = n > 0 ? memcmp(a.base, b.base, n) : 0;

    return r != 0 ? r : (a.len > b.len) - (a.len < b.len);
}

/* HEAD stands before GET, which would also fit it. */
static int method_cmp(const char *a, const char *b)
{
    if (!a || !b)
        return (a == NULL) - (b == NULL);
    if ((strcmp(a, "HEAD") == 0) != (strcmp(b, "HEAD") == 0))
        return strcmp(a, "HEAD") == 0 ? -1 : 1;
    return strcmp(a, b);
}

static int route_cmp(const void *left, const void *right)
{
    const struct route *a = left, *b = right;
    struct slice rest_a = slice_str(a->pattern), rest_b = slice_str(b->pattern);

    for (;;) {
        struct segment sa = segment_next(&rest_a), sb = segment_next(&rest_b);
        int r = 0;

        if (sa.kind != sb.kind)
            return sa.kind < sb.kind ? -1 : 1;
        if (sa.kind == SEGMENT_END)
            return method_cmp(a->method, b->method);
        if (sa.kind == SEGMENT_TEXT)
            r = slice_cmp(sa.text, sb.text);
        if (r != 0)
            return r;
    }
}

int route_table_init(struct route_table *t, struct route *routes, uint32_t n_routes,
                     struct error *err)
{
    if (n_routes > 1)
        qsort(routes, n_routes, sizeof(*routes), route_cmp);
    for (uint32_t i = 1; i < n_routes; i++) {
        const struct route *a = &routes[i - 1], *b = &routes[i];

        if (route_cmp(a, b) != 0)
            continue;
        if (strcmp(a->origin, b->origin) > 0) {
            const struct route *tmp = a;

            a = b;
            b = tmp;
        }
        return error_set(err, -EEXIST,
                         "%s: route \"%s%s%s\" claims the same requests as \"%s%s%s\" of %s; "
                         "change one of them",
                         b->origin, b->method ? b->method : "", b->method ? " " : "", b->pattern,
                         a->method ? a->method : "", a->method ? " " : "", a->pattern, a->origin);
    }
    *t = (struct route_table){routes, n_routes};
    return 0;
}

/* ---- search ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* Compares plain text with a percent-coded segment of a path, in the order of slice_cmp(). */
static int coded_cmp(struct slice plain, struct slice coded)
{
    size_t i = 0, k = 0;

    for (; i < plain.len && k < coded.len; i++) {
        unsigned char c = (unsigned char)coded.base[k], p = (unsigned char)plain.base[i];

        if (c == '%' && k + 2 < coded.len) {
            int high = hex_digit(coded.base[k + 1]), low = hex_digit(coded.base[k + 2]);

            if (high >= 0 && low >= 0) {
                c = (unsigned char)(high << 4 | low);
                k += 2;
            }
        }
        k++;
        if (p != c)
            return p < c ? -1 : 1;
    }
    return (i < plain.len) - (k < coded.len);
}

/* What one search carries along. */
struct search {
    const struct route_table *table;
    struct slice method;
    const struct route *found;
    bool path_fits;
    char *allowed; /* instead of finding: collects the methods */
    size_t allowed_size;
};

/* The first route in the range whose segment at that depth is not less than (kind, text) or, with
 * behind, is greater. */
static uint32_t range_bound(const struct search *s, struct range in, uint32_t depth,
                            enum segment_kind kind, struct slice text, bool behind)
{
    while (in.from < in.to) {
        uint32_t middle = in.from + (in.to - in.from) / 2;
        struct segment seg = segment_at(s->table->routes[middle].pattern, depth);
        int r = (seg.kind > kind) - (seg.kind < kind);

        if (r == 0 && kind == SEGMENT_TEXT)
            r = coded_cmp(seg.text, text);
        if (r < 0 || (behind && r == 0))
            in.from = middle + 1;
        else
            in.to = middle;
    }
    return in.from;
}

static struct range range_narrow(const struct search *s, struct range in, uint32_t depth,
                                 enum segment_kind kind, struct slice text)
{
    in.from = range_bound(s, in, depth, kind, text, false);
    in.to = range_bound(s, in, depth, kind, text, true);
    return in;
}

static void allowed_add(struct search *s, const char *method)
{
    size_t len = strlen(s->allowed), n = strlen(method);

    for (const char *p = s->allowed; (p = strstr(p, method)); p += n) {
        if ((p == s->allowed || p[-1] == ' ') && (p[n] == '\0' || p[n] == ','))
            return;
    }
    if (len + 2 + n < s->allowed_size)
        (void)snprintf(s->allowed + len, s->allowed_size - len, "%s%s", len > 0 ? ", " : "",
                       method);
}

/* The path fits every route of the range; picks the first whose method does, too. */
static bool range_pick(struct search *s, struct range in)
{
    for (uint32_t i = in.from; i < in.to; i++) {
        const struct route *route = &s->table->routes[i];
        struct slice method = slice_str(route->method);

        s->path_fits = true;
        if (s->allowed && route->method) {
            allowed_add(s, route->method);
            if (slice_eq(method, SLICE_LIT("GET")))
                allowed_add(s, "HEAD");
            continue;
        }
        if (!route->method || slice_eq(method, s->method) ||
            (slice_eq(s->method, SLICE_LIT("HEAD")) && slice_eq(method, SLICE_LIT("GET")))) {
            s->found = route;
            return true;
        }
    }
    return false;
}

/* Takes the next segment off a path; false at its end. One '/' at the end is no segment. */
static bool path_next(struct slice *rest, struct slice *ret)
{
    const char *end;

    if (rest->len <= 1)
        return false;
    *ret = slice(rest->base + 1, rest->len - 1);
    end = memchr(ret->base, '/', ret->len);
    if (end)
        ret->len = (size_t)(end - ret->base);
    *rest = slice(ret->base + ret->len, rest->len - 1 - ret->len);
    return true;
}

/* The recursion is as deep as the longest pattern: ROUTE_SEGMENTS_MAX. */
static bool search_below(struct search *s, struct range in, uint32_t depth, struct slice path)
{
    struct slice segment;

    if (in.from == in.to)
        return false;
    if (!path_next(&path, &segment)) {
        if (range_pick(s, range_narrow(s, in, depth, SEGMENT_END, SLICE_NULL)))
            return true;
    } else if (segment.len > 0) {
        if (search_below(s, range_narrow(s, in, depth, SEGMENT_TEXT, segment), depth + 1, path) ||
            search_below(s, range_narrow(s, in, depth, SEGMENT_PARAM, SLICE_NULL), depth + 1, path))
            return true;
    }
    return range_pick(s, range_narrow(s, in, depth, SEGMENT_REST, SLICE_NULL));
}

int route_table_match(const struct route_table *t, struct slice method, struct slice path,
                      struct route_match *ret)
{
    struct search s = {.table = t, .method = method};
    struct slice pattern, segment;

    if (!search_below(&s, (struct range){0, t->n_routes}, 0, path))
        return s.path_fits ? ROUTE_E_METHOD : ROUTE_E_NOT_FOUND;

    ret->route = s.found;
    ret->n_params = 0;
    pattern = slice_str(s.found->pattern);
    for (;;) {
        struct segment p = segment_next(&pattern);

        if (p.kind == SEGMENT_END || p.kind == SEGMENT_REST || !path_next(&path, &segment))
            return ROUTE_E_OK;
        if (p.kind == SEGMENT_PARAM && ret->n_params < ROUTE_PARAMS_MAX)
            ret->params[ret->n_params++] = (struct route_param){p.text, segment};
    }
}

void route_table_allowed(const struct route_table *t, struct slice path, char *dst, size_t dst_size)
{
    struct search s = {.table = t, .allowed = dst, .allowed_size = dst_size};

    assert(dst_size > 0);
    dst[0] = '\0';
    (void)search_below(&s, (struct range){0, t->n_routes}, 0, path);
}
