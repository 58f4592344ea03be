#include "control/compare.h"

#include "base/utf8.h"
#include "control/scrub.h"
#include "json/text.h"

#include <stdio.h>

#define VALUE_MAX 1024 /* of a value that is shown */
#define PLACE_MAX 512

struct comparison {
    struct jsonw *w;
    unsigned n;
};

static void put(struct jsonw *w, const char *key, struct slice value)
{
    jsonw_key(w, key);
    if (value.base)
        jsonw_str(w, slice(value.base, MIN(value.len, (size_t)VALUE_MAX)));
    else
        jsonw_null(w);
}

/* A value that is not there is SLICE_NULL. */
static void differ(struct comparison *c, const char *where, struct slice before, struct slice after)
{
    if (++c->n > COMPARE_MAX)
        return;
    jsonw_object_begin(c->w);
    put(c->w, "where", slice_str(where));
    put(c->w, "before", before);
    put(c->w, "after", after);
    jsonw_object_end(c->w);
}

/* ---- heads ---- */

static bool differs_always(struct slice name)
{
    static const char *const names[] = {"date",       "server-timing",     "content-length",
                                        "connection", "transfer-encoding", "keep-alive"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (slice_eq_nocase(name, slice_str(names[i])))
            return true;
    }
    return slice_eq_nocase(slice(name.base, MIN(name.len, (size_t)7)), SLICE_LIT("mayfly-"));
}

/* The n-th header of this name. */
static bool find_nth(struct slice head, struct slice name, unsigned n, struct slice *ret)
{
    while (head.len > 0) {
        struct slice value = scrub_line(&head), key = slice_cut(&value, ':');

        if (slice_eq_nocase(key, name) && n-- == 0) {
            *ret = slice_trim(value);
            return true;
        }
    }
    return false;
}

/* Tells of headers in `a` that `b` does not have; if `a` is what was before, also of those with
 * another value. */
static void compare_heads(struct comparison *c, struct slice a, struct slice b, bool is_before)
{
    struct slice rest = a;

    while (rest.len > 0) {
        size_t at = (size_t)(rest.base - a.base);
        struct slice value = scrub_line(&rest), name = slice_cut(&value, ':');
        struct slice other = SLICE_NULL, earlier, before = slice(a.base, at);
        char where[PLACE_MAX];
        unsigned nth = 0;
        bool found;

        if (differs_always(name))
            continue;
        while (find_nth(before, name, nth, &earlier))
            nth++;
        value = slice_trim(value);
        found = find_nth(b, name, nth, &other);
        if (found && (!is_before || slice_eq(value, other) ||
                      slice_eq(value, SLICE_LIT(SCRUBBED)) || slice_eq(other, SLICE_LIT(SCRUBBED))))
            continue;
        (void)snprintf(where, sizeof(where), "header %.*s", SLICE_ARG(name));
        if (is_before)
            differ(c, where, value, found ? other : SLICE_NULL);
        else
            differ(c, where, SLICE_NULL, value);
    }
}

/* ---- bodies ---- */

static void differ_values(struct comparison *c, const char *where, const json_t *before,
                          const json_t *after)
{
    char *a = before ? json_dumps(before, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    char *b = after ? json_dumps(after, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

    differ(c, where, a ? slice_str(a) : SLICE_NULL, b ? slice_str(b) : SLICE_NULL);
    free(a);
    free(b);
}

static bool is_scrubbed(const json_t *value)
{
    return json_is_string(value) && strcmp(json_string_value(value), SCRUBBED) == 0;
}

static void compare_values(struct comparison *c, const char *where, const json_t *a,
                           const json_t *b);

static void compare_objects(struct comparison *c, const char *where, json_t *a, json_t *b)
{
    char place[PLACE_MAX];
    const char *key;
    json_t *value;

    json_object_foreach(a, key, value)
    {
        (void)snprintf(place, sizeof(place), "%s.%s", where, key);
        compare_values(c, place, value, json_object_get(b, key));
    }
    json_object_foreach(b, key, value)
    {
        (void)snprintf(place, sizeof(place), "%s.%s", where, key);
        if (!json_object_get(a, key))
            differ_values(c, place, NULL, value);
    }
}

/* Recursion is bounded by json_text_load(). */
static void compare_values(struct comparison *c, const char *where, const json_t *a,
                           const json_t *b)
{
    char place[PLACE_MAX];

    if (json_is_object(a) && json_is_object(b)) {
        compare_objects(c, where, (json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
    } else if (json_is_array(a) && json_is_array(b)) {
        size_t n = MAX(json_array_size(a), json_array_size(b));

        for (size_t i = 0; i < n && c->n <= COMPARE_MAX; i++) {
            (void)snprintf(place, sizeof(place), "%s[%zu]", where, i);
            compare_values(c, place, json_array_get(a, i), json_array_get(b, i));
        }
    } else if (!(a && b && json_equal(a, b)) && !is_scrubbed(a) && !is_scrubbed(b)) {
        differ_values(c, where, a, b);
    }
}

static bool is_text(struct slice s)
{
    return !memchr(s.base ? s.base : "", '\0', s.len) && utf8_is_valid(s);
}

static void compare_lines(struct comparison *c, struct slice a, struct slice b)
{
    char where[PLACE_MAX];

    for (unsigned line = 1; (a.len > 0 || b.len > 0) && c->n <= COMPARE_MAX; line++) {
        bool has_a = a.len > 0, has_b = b.len > 0;
        struct slice x = slice_cut(&a, '\n'), y = slice_cut(&b, '\n');

        if (has_a == has_b && slice_eq(x, y))
            continue;
        (void)snprintf(where, sizeof(where), "body, line %u", line);
        differ(c, where, has_a ? x : SLICE_NULL, has_b ? y : SLICE_NULL);
    }
}

static void differ_bytes(struct comparison *c, struct slice a, struct slice b)
{
    char before[64], after[64];

    (void)snprintf(before, sizeof(before), "%zu bytes", a.len);
    (void)snprintf(after, sizeof(after), "%zu bytes", b.len);
    differ(c, "body", slice_str(before), slice_str(after));
}

static bool is_left_out(struct slice body)
{
    return slice_eq(body, SLICE_LIT(SCRUBBED_WHOLE));
}

static void compare_bodies(struct comparison *c, const struct compared *before,
                           const struct compared *after)
{
    struct slice a = before->body, b = after->body;
    json_t *x = NULL, *y = NULL;
    struct error err = ERROR_NULL;

    if (before->is_cut || after->is_cut)
        a.len = b.len = MIN(a.len, b.len);
    if (slice_eq(a, b) || is_left_out(before->body) || is_left_out(after->body))
        return;
    if (json_text_load(a, "body", &x, &err) == 0 && json_text_load(b, "body", &y, &err) == 0)
        compare_values(c, "body", x, y);
    else if (is_text(a) && is_text(b))
        compare_lines(c, a, b);
    else
        differ_bytes(c, a, b);
    json_decref(x);
    json_decref(y);
}

unsigned compare_write(const struct compared *before, const struct compared *after, struct jsonw *w)
{
    struct comparison c = {.w = w};

    jsonw_array_begin(w);
    if (before->status != after->status) {
        char a[16], b[16];

        (void)snprintf(a, sizeof(a), "%u", before->status);
        (void)snprintf(b, sizeof(b), "%u", after->status);
        differ(&c, "status", slice_str(a), slice_str(b));
    }
    compare_heads(&c, before->head, after->head, true);
    compare_heads(&c, after->head, before->head, false);
    compare_bodies(&c, before, after);
    jsonw_array_end(w);
    return c.n;
}
