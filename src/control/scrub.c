#include "control/scrub.h"

#include "json/text.h"

#include <ctype.h>
#include <errno.h>

static const char *const always[] = {
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api_key",
    "api-key",
    "apikey",
    "password",
    "passwd",
    "secret",
    "client_secret",
    "token",
    "id_token",
    "access_token",
    "refresh_token",
    "x-amz-security-token",
};

static bool is_named(char *const *names, struct slice name)
{
    for (size_t i = 0; i < ARRAY_SIZE(always); i++) {
        if (slice_eq_nocase(slice_str(always[i]), name))
            return true;
    }
    for (; names && *names; names++) {
        if (slice_eq_nocase(slice_str(*names), name))
            return true;
    }
    return false;
}

static bool contains_nocase(struct slice text, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= text.len; i++) {
        if (slice_eq_nocase(slice(text.base + i, n), slice(word, n)))
            return true;
    }
    return false;
}

static bool mentions_any(char *const *names, struct slice text)
{
    for (size_t i = 0; i < ARRAY_SIZE(always); i++) {
        if (contains_nocase(text, always[i]))
            return true;
    }
    for (; names && *names; names++) {
        if (contains_nocase(text, *names))
            return true;
    }
    return false;
}

/* ---- heads ---- */

struct slice scrub_line(struct slice *rest)
{
    struct slice line = slice_cut(rest, '\n');

    if (line.len > 0 && line.base[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* "a=1&b=2" */
static int scrub_pairs(char *const *names, struct slice pairs, struct buf *b)
{
    bool changed = false, more = pairs.len > 0;
    int r = 0;

    while (more && r == 0) {
        struct slice value = pairs;
        const char *end = memchr(pairs.base, '&', pairs.len);
        struct slice name;

        more = end != NULL;
        value = slice_cut(&pairs, '&');
        name = slice_cut(&value, '=');
        r = buf_append_slice(b, name);
        if (r == 0 && value.len > 0 && is_named(names, name)) {
            changed = true;
            r = buf_append_str(b, "=" SCRUBBED);
        } else if (r == 0 && value.base > name.base + name.len) {
            r = buf_append_str(b, "=");
            if (r == 0)
                r = buf_append_slice(b, value);
        }
        if (more && r == 0)
            r = buf_append_str(b, "&");
    }
    return r < 0 ? r : changed;
}

/* "GET /path?query HTTP/1.1" */
static int scrub_request_line(char *const *names, struct slice line, struct buf *b)
{
    const char *question = memchr(line.base, '?', line.len);
    struct slice rest;
    int r, changed = 0;

    if (!question)
        return buf_append_slice(b, line);
    r = buf_append(b, line.base, (size_t)(question - line.base) + 1);
    rest = slice(question + 1, (size_t)(line.base + line.len - question) - 1);
    if (r == 0)
        r = changed = scrub_pairs(names, slice_cut(&rest, ' '), b);
    if (r >= 0)
        r = buf_append_str(b, " ");
    if (r == 0)
        r = buf_append_slice(b, rest);
    return r < 0 ? r : changed;
}

int scrub_head(char *const *names, struct slice head, bool has_request_line, struct buf *b)
{
    bool changed = false;
    int r = 0;

    if (has_request_line && head.len > 0) {
        r = scrub_request_line(names, scrub_line(&head), b);
        changed = r > 0;
        r = r < 0 ? r : buf_append_str(b, "\r\n");
    }
    while (head.len > 0 && r == 0) {
        struct slice value = scrub_line(&head), name = slice_cut(&value, ':');
        bool take_out = is_named(names, name);

        changed = changed || take_out;
        r = buf_printf(b, "%.*s: %.*s\r\n", SLICE_ARG(name),
                       SLICE_ARG(take_out ? SLICE_LIT(SCRUBBED) : slice_trim(value)));
    }
    return r < 0 ? r : changed;
}

bool scrub_find(struct slice head, const char *name, struct slice *ret_value)
{
    while (head.len > 0) {
        struct slice value = scrub_line(&head), key = slice_cut(&value, ':');

        if (slice_eq_nocase(key, slice_str(name))) {
            *ret_value = slice_trim(value);
            return true;
        }
    }
    return false;
}

/* ---- bodies ---- */

/* json_text_load() has bounded the depth. */
static bool scrub_value(char *const *names, json_t *value)
{
    bool changed = false;
    const char *key;
    void *next;
    json_t *item;
    size_t i;

    json_object_foreach_safe(value, next, key, item)
    {
        if (!is_named(names, slice_str(key)))
            changed = scrub_value(names, item) || changed;
        else if (json_object_set_new(value, key, json_string(SCRUBBED)) == 0)
            changed = true;
    }
    json_array_foreach(value, i, item) changed = scrub_value(names, item) || changed;
    return changed;
}

static int append_left_out(struct buf *b)
{
    int r = buf_append_str(b, SCRUBBED_WHOLE);

    return r < 0 ? r : 1;
}

static int scrub_json(char *const *names, struct slice body, struct buf *b)
{
    struct error err = ERROR_NULL;
    json_t *value = NULL;
    char *text = NULL;
    int r = json_text_load(body, "body", &value, &err);

    if (r < 0 && r != -ENOMEM)
        return mentions_any(names, body) ? append_left_out(b) : buf_append_slice(b, body);
    if (r < 0)
        return r;
    if (scrub_value(names, value)) {
        text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        r = text ? buf_append_str(b, text) : -ENOMEM;
        r = r < 0 ? r : 1;
    } else {
        r = buf_append_slice(b, body);
    }
    free(text);
    json_decref(value);
    return r;
}

int scrub_body(char *const *names, struct slice head, struct slice body, struct buf *b)
{
    struct slice type = SLICE_NULL;
    bool looks_like_json = body.len > 0 && (body.base[0] == '{' || body.base[0] == '[');

    (void)scrub_find(head, "content-type", &type);
    if (contains_nocase(type, "json") || looks_like_json)
        return body.len > 0 ? scrub_json(names, body, b) : 0;
    if (contains_nocase(type, "application/x-www-form-urlencoded"))
        return scrub_pairs(names, body, b);
    if (contains_nocase(type, "multipart/") && mentions_any(names, body))
        return append_left_out(b);
    return buf_append_slice(b, body);
}
