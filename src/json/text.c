#include "json/text.h"

#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* What to do about jansson's complaint, where that is not plain from the complaint. */
static const struct {
    enum json_error_code code;
    const char *mend;
} mends[] = {
    {json_error_premature_end_of_input, "close what is open: a quote, a bracket"},
    {json_error_end_of_input_expected, "nothing may stand behind the last bracket"},
    {json_error_invalid_syntax, "look for a comma, quote or bracket too many or too few before it"},
    {json_error_duplicate_key, "a key may stand once; remove one of them"},
    {json_error_invalid_utf8, "save the text as UTF-8"},
    {json_error_null_character, "leave the NUL character out"},
    {json_error_numeric_overflow, "the number is too large"},
};

/* ---- a tokenizer for what is needed to find places: it trusts the syntax, never the length ----
 */

struct scan {
    const char *p;
    const char *end;
    uint32_t line;
};

static void scan_init(struct scan *s, struct slice text)
{
    const char *base = text.base ? text.base : "";

    *s = (struct scan){base, base + text.len, 1};
}

/* The next byte without passing it, or NUL at the end. */
static char scan_peek(const struct scan *s)
{
    return s->p < s->end ? *s->p : '\0';
}

static void scan_pass(struct scan *s)
{
    s->line += *s->p++ == '\n';
}

static void scan_blanks(struct scan *s)
{
    while (s->p < s->end && memchr(" \t\r\n", *s->p, 4))
        scan_pass(s);
}

/* Passes a string and returns it with its quotes. */
static struct slice scan_string(struct scan *s)
{
    const char *start = s->p;

    for (scan_pass(s); s->p < s->end && *s->p != '"'; scan_pass(s)) {
        if (*s->p == '\\' && s->p + 1 < s->end)
            scan_pass(s);
    }
    if (s->p < s->end)
        scan_pass(s);
    return slice(start, (size_t)(s->p - start));
}

/* Passes a whole value. */
static void scan_value(struct scan *s)
{
    size_t depth = 0;

    scan_blanks(s);
    while (s->p < s->end) {
        char c = *s->p;

        if (c == '"') {
            (void)scan_string(s);
        } else if (c == ',' || c == ']' || c == '}') {
            if (depth == 0)
                return;
            depth -= c != ',';
            scan_pass(s);
        } else {
            depth += c == '[' || c == '{';
            scan_pass(s);
        }
        if (depth == 0 && (c == ']' || c == '}' || c == '"'))
            return;
    }
}

/* Keys may be written with escapes; jansson takes care of them. */
static bool key_is(struct slice quoted, const char *key)
{
    json_t *value;
    bool is;

    if (quoted.len < 2)
        return false;
    if (!memchr(quoted.base, '\\', quoted.len))
        return slice_eq(slice(quoted.base + 1, quoted.len - 2), slice_str(key));
    value = json_loadb(quoted.base, quoted.len, JSON_DECODE_ANY, NULL);
    is = json_is_string(value) && strcmp(json_string_value(value), key) == 0;
    json_decref(value);
    return is;
}

/* Goes to the value of that step; *ret_line is the line of its key or, in an array, its own. */
static bool scan_enter(struct scan *s, const struct json_path *step, uint32_t *ret_line)
{
    scan_blanks(s);
    if (scan_peek(s) != (step->key ? '{' : '['))
        return false;
    scan_pass(s);
    for (size_t i = 0;; i++) {
        struct slice key = SLICE_NULL;
        uint32_t line;

        scan_blanks(s);
        line = s->line;
        if (s->p == s->end || *s->p == '}' || *s->p == ']')
            return false;
        if (step->key) {
            if (*s->p != '"')
                return false;
            key = scan_string(s);
            scan_blanks(s);
            if (scan_peek(s) != ':')
                return false;
            scan_pass(s);
        }
        if (step->key ? key_is(key, step->key) : i == step->index) {
            *ret_line = line;
            return true;
        }
        scan_value(s);
        scan_blanks(s);
        if (scan_peek(s) != ',')
            return false;
        scan_pass(s);
    }
}

uint32_t json_locate(struct slice text, const struct json_path *path)
{
    const struct json_path *steps[JSON_DEPTH_MAX];
    struct scan s;
    uint32_t line;
    size_t n = 0;

    for (; path && n < JSON_DEPTH_MAX; path = path->parent)
        steps[n++] = path;
    scan_init(&s, text);
    scan_blanks(&s);
    line = s.line;
    while (n > 0 && scan_enter(&s, steps[n - 1], &line))
        n--;
    return line;
}

/* Returns the line in which the text becomes too deep, or 0. */
static uint32_t too_deep(struct slice text)
{
    struct scan s;
    size_t depth = 0;

    scan_init(&s, text);
    while (s.p < s.end) {
        if (*s.p == '"') {
            (void)scan_string(&s);
            continue;
        }
        if ((*s.p == '[' || *s.p == '{') && ++depth > JSON_DEPTH_MAX)
            return s.line;
        if ((*s.p == ']' || *s.p == '}') && depth > 0)
            depth--;
        scan_pass(&s);
    }
    return 0;
}

/* ---- loading ---- */

int json_text_load(struct slice text, const char *name, json_t **ret, struct error *err)
{
    const char *mend = NULL;
    char what[3 * JSON_ERROR_TEXT_LENGTH];
    json_error_t error;
    uint32_t line = too_deep(text);
    json_t *value;

    if (line > 0)
        return error_set(err, -EINVAL, "%s:%u: more than %d brackets within one another", name,
                         line, JSON_DEPTH_MAX);
    value = json_loadb(text.len > 0 ? text.base : "", text.len, JSON_REJECT_DUPLICATES, &error);
    if (value) {
        *ret = value;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(mends); i++) {
        if (mends[i].code == json_error_code(&error))
            mend = mends[i].mend;
    }
    return error_set(err, -EINVAL, "%s:%d:%d: %s%s%s", name, MAX(error.line, 1),
                     MAX(error.column, 0), log_quote(slice_str(error.text), what, sizeof(what)),
                     mend ? "; " : "", mend ? mend : "");
}

static int file_read(int fd, const char *name, struct buf *text, struct error *err)
{
    for (;;) {
        size_t room = MIN(buf_room(text), (size_t)65536);
        ssize_t n;
        char beyond;
        int r;

        r = room > 0 ? buf_reserve(text, room) : 0;
        if (r < 0)
            return error_set_errno(err, r, "%s", name);
        n = room > 0 ? read(fd, buf_tail(text), room) : read(fd, &beyond, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, -errno, "%s: cannot read it", name);
        if (n == 0)
            return 0;
        if (room == 0)
            return error_set(err, -EFBIG, "%s: is larger than %zu bytes", name, text->max);
        buf_commit(text, (size_t)n);
    }
}

int json_file_load(const char *path, const char *name, struct buf *text, json_t **ret,
                   struct error *err)
{
    /* Not blocking: what looks like a file may be a pipe that nobody writes. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r;

    if (fd < 0)
        return error_set_errno(err, -errno, "%s: cannot open it", name);
    r = file_read(fd, name, text, err);
    (void)close(fd);
    if (r < 0)
        return r;
    return json_text_load(buf_slice(text), name, ret, err);
}

/* ---- words for messages ---- */

static bool key_is_plain(const char *key)
{
    for (const char *p = key; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("_-$", *p))
            return false;
    }
    return *key != '\0';
}

char *json_path_text(const struct json_path *path, char *dst, size_t dst_size)
{
    const struct json_path *steps[JSON_DEPTH_MAX];
    size_t n = 0, len = 0;

    assert(dst_size > 0);
    dst[0] = '\0';
    for (; path && n < JSON_DEPTH_MAX; path = path->parent)
        steps[n++] = path;
    while (n-- > 0 && len < dst_size) {
        const char *key = steps[n]->key;
        char quoted[256];
        int added;

        if (!key)
            added = snprintf(dst + len, dst_size - len, "[%zu]", steps[n]->index);
        else if (key_is_plain(key))
            added = snprintf(dst + len, dst_size - len, "%s%s", len > 0 ? "." : "", key);
        else
            added = snprintf(dst + len, dst_size - len, "[\"%s\"]",
                             log_quote(slice_str(key), quoted, sizeof(quoted)));
        len += (size_t)MAX(added, 0);
    }
    return dst;
}

const char *json_kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return "nothing";
}
