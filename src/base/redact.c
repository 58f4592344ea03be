/* All forms of all values are patterns, sorted by their first two bytes and then by length, longest
 * first. A bit for each two bytes tells at most places of a text that no pattern begins there. */

#include "base/redact.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdio.h>

#define PAIRS    65536
#define LINE_MIN 8 /* of a line of a value, without blanks around it */
#define FORM_MAX (1024 * 1024)

struct pattern {
    char *bytes;
    size_t len;
    uint32_t value; /* whose name is told */
};

struct redact {
    struct pattern *patterns;
    size_t n_patterns;
    size_t patterns_cap;
    char **names;
    uint32_t n_values;
    uint32_t values_cap;
    size_t len_max;
    uint8_t pairs[PAIRS / 8];
};

struct redact *redact_new(void)
{
    return calloc(1, sizeof(struct redact));
}

struct redact *redact_free(struct redact *r)
{
    if (!r)
        return NULL;
    for (size_t i = 0; i < r->n_patterns; i++) {
        explicit_bzero(r->patterns[i].bytes, r->patterns[i].len);
        free(r->patterns[i].bytes);
    }
    for (uint32_t i = 0; i < r->n_values; i++)
        free(r->names[i]);
    free(r->patterns);
    free(r->names);
    free(r);
    return NULL;
}

/* ---- patterns ---- */

static unsigned pair_of(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static int pattern_cmp(const struct pattern *p, struct slice bytes)
{
    unsigned a = pair_of(p->bytes), b = pair_of(bytes.base);

    if (a != b)
        return a < b ? -1 : 1;
    if (p->len != bytes.len)
        return p->len > bytes.len ? -1 : 1;
    return memcmp(p->bytes, bytes.base, bytes.len);
}

/* Where it is or would be. */
static size_t pattern_place(const struct redact *r, struct slice bytes)
{
    size_t from = 0, to = r->n_patterns;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (pattern_cmp(&r->patterns[middle], bytes) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool pattern_is_known(const struct redact *r, struct slice bytes)
{
    size_t i = pattern_place(r, bytes);

    return i < r->n_patterns && pattern_cmp(&r->patterns[i], bytes) == 0;
}

static int pattern_add(struct redact *r, struct slice bytes)
{
    size_t i;
    char *copy;

    if (bytes.len < REDACT_VALUE_MIN || pattern_is_known(r, bytes))
        return 0;
    if (r->n_patterns == r->patterns_cap) {
        size_t cap = MAX(r->patterns_cap * 2, 16);
        void *more = reallocarray(r->patterns, cap, sizeof(*r->patterns));

        if (!more)
            return -ENOMEM;
        r->patterns = more;
        r->patterns_cap = cap;
    }
    copy = slice_dup(bytes);
    if (!copy)
        return -ENOMEM;
    i = pattern_place(r, bytes);
    memmove(&r->patterns[i + 1], &r->patterns[i], (r->n_patterns - i) * sizeof(*r->patterns));
    r->patterns[i] = (struct pattern){copy, bytes.len, r->n_values - 1};
    r->n_patterns++;
    r->len_max = MAX(r->len_max, bytes.len);
    r->pairs[pair_of(copy) / 8] |= (uint8_t)(1U << (pair_of(copy) % 8));
    return 0;
}

/* ---- forms of a value ---- */

typedef int form_writer(struct buf *b, struct slice value);

static int write_plain(struct buf *b, struct slice value)
{
    return buf_append_slice(b, value);
}

static int write_json(struct buf *b, struct slice value)
{
    int r = utf8_write_json(b, value);

    if (r == 0) {
        buf_consume(b, 1);
        b->end--; /* the quotes */
    }
    return r;
}

/* As Python's json and others write it: all but ASCII as \uXXXX. */
static int write_json_ascii(struct buf *b, struct slice value)
{
    const unsigned char *p = (const unsigned char *)value.base;
    int r = 0;

    for (size_t i = 0, n; i < value.len && r == 0; i += n) {
        uint32_t c = p[i];

        n = utf8_len(p + i, value.len - i);
        if (n <= 1) {
            const char *two = c == '"'    ? "\\\""
                              : c == '\\' ? "\\\\"
                              : c == '\n' ? "\\n"
                              : c == '\r' ? "\\r"
                              : c == '\t' ? "\\t"
                                          : NULL;

            n = 1;
            r = two                     ? buf_append_str(b, two)
                : c < 0x20 || c == 0x7f ? buf_printf(b, "\\u%04x", c)
                                        : buf_append(b, p + i, 1);
            continue;
        }
        c &= 0xffU >> (n + 1);
        for (size_t k = 1; k < n; k++)
            c = c << 6 | (p[i + k] & 0x3f);
        if (c >= 0x10000)
            r = buf_printf(b, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                           0xdc00 + ((c - 0x10000) & 0x3ff));
        else
            r = buf_printf(b, "\\u%04x", c);
    }
    return r;
}

static int write_percent(struct buf *b, struct slice value)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    int r = 0;

    for (size_t i = 0; i < value.len && r == 0; i++) {
        unsigned char c = (unsigned char)value.base[i];

        r = memchr(plain, c, sizeof(plain) - 1) ? buf_append(b, &value.base[i], 1)
                                                : buf_printf(b, "%%%02X", c);
    }
    return r;
}

/* The characters that are the value's alone when `before` bytes modulo 3 stand before it. */
static int write_base64(struct buf *b, struct slice value, unsigned before, const char *alphabet)
{
    size_t from = (before * 8 + 5) / 6, to = (before + value.len) * 8 / 6;
    int r = 0;

    for (size_t i = from; i < to && r == 0; i++) {
        unsigned six = 0;

        for (size_t bit = i * 6; bit < i * 6 + 6; bit++) {
            size_t at = bit - before * 8;

            six = six << 1 | ((unsigned char)value.base[at / 8] >> (7 - at % 8) & 1U);
        }
        r = buf_append(b, &alphabet[six], 1);
    }
    return r;
}

static void wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_deinit(b);
}

static int add_forms(struct redact *r, struct slice value)
{
    static form_writer *const writers[] = {write_plain, write_json, write_json_ascii,
                                           write_percent};
    static const char *const alphabets[] = {
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    };
    _cleanup_(wipe) struct buf b = BUF_INIT(FORM_MAX);
    int x = 0;

    for (size_t i = 0; i < ARRAY_SIZE(writers) && x == 0; i++) {
        buf_clear(&b);
        x = writers[i](&b, value);
        x = x < 0 ? x : pattern_add(r, buf_slice(&b));
    }
    for (unsigned i = 0; i < 6 && x == 0; i++) {
        buf_clear(&b);
        x = write_base64(&b, value, i / 2, alphabets[i % 2]);
        x = x < 0 ? x : pattern_add(r, buf_slice(&b));
    }
    return x;
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && strchr(" \t\r", s.base[0]))
        s = slice(s.base + 1, s.len - 1);
    while (s.len > 0 && strchr(" \t\r", s.base[s.len - 1]))
        s.len--;
    return s;
}

/* A log has lines: so each of a value's must be known by itself. */
static int add_lines(struct redact *r, struct slice value)
{
    int x = 0;

    while (value.len > 0 && x == 0) {
        const char *end = memchr(value.base, '\n', value.len);
        size_t n = end ? (size_t)(end - value.base) : value.len;
        struct slice line = trim(slice(value.base, n));

        if (line.len >= LINE_MIN)
            x = pattern_add(r, line);
        n += end != NULL;
        value = slice(value.base + n, value.len - n);
    }
    return x;
}

static int name_add(struct redact *r, struct slice name)
{
    char *copy;

    if (r->n_values >= REDACT_VALUES_MAX)
        return -ENOBUFS;
    if (r->n_values == r->values_cap) {
        uint32_t cap = MAX(r->values_cap * 2, 16U);
        void *more = reallocarray(r->names, cap, sizeof(*r->names));

        if (!more)
            return -ENOMEM;
        r->names = more;
        r->values_cap = cap;
    }
    copy = slice_dup(name);
    if (!copy)
        return -ENOMEM;
    r->names[r->n_values++] = copy;
    return 0;
}

int redact_add(struct redact *r, struct slice name, struct slice value)
{
    int x;

    if (value.len < REDACT_VALUE_MIN || pattern_is_known(r, value))
        return 0;
    x = name_add(r, name);
    x = x < 0 ? x : add_forms(r, value);
    return x < 0 || !memchr(value.base, '\n', value.len) ? x : add_lines(r, value);
}

/* ---- texts ---- */

/* The pattern that the text begins with, the longest one; with `cut` one that the end of the text
 * has cut goes before. Returns how many bytes it takes, 0 for none. */
static size_t match(const struct redact *r, struct slice text, bool cut, uint32_t *ret_value)
{
    unsigned pair = pair_of(text.base);
    size_t from = 0, to = r->n_patterns;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (pair_of(r->patterns[middle].bytes) < pair)
            from = middle + 1;
        else
            to = middle;
    }
    for (; from < r->n_patterns && pair_of(r->patterns[from].bytes) == pair; from++) {
        const struct pattern *p = &r->patterns[from];
        size_t n = MIN(p->len, text.len);

        if ((n == p->len || (cut && n >= REDACT_PART_MIN)) && memcmp(p->bytes, text.base, n) == 0) {
            *ret_value = p->value;
            return n;
        }
    }
    return 0;
}

/* How much of the text's start is the rest of a pattern, or all of it the middle of one. */
static size_t match_rest(const struct redact *r, struct slice text, uint32_t *ret_value)
{
    size_t best = 0;

    for (size_t i = 0; i < r->n_patterns; i++) {
        const struct pattern *p = &r->patterns[i];

        if (p->len > text.len && memmem(p->bytes, p->len, text.base, text.len) &&
            text.len >= REDACT_PART_MIN) {
            *ret_value = p->value;
            return text.len;
        }
        for (size_t n = MIN(p->len - 1, text.len); n >= REDACT_PART_MIN && n > best; n--) {
            if (memcmp(p->bytes + p->len - n, text.base, n) == 0) {
                *ret_value = p->value;
                best = n;
            }
        }
    }
    return best;
}

static int replace(const struct redact *r, struct buf *b, struct slice before, uint32_t value)
{
    int x = buf_append_slice(b, before);

    return x < 0 ? x : buf_printf(b, "[secret %s]", r->names[value]);
}

int redact_text(const struct redact *r, struct slice text, unsigned cut, struct buf *b)
{
    size_t done = 0, i = 0; /* up to `done` it is in b */
    uint32_t value = 0;
    int x = 0;

    if (r->n_patterns == 0)
        return 0;
    while (i + 1 < text.len && x == 0) {
        struct slice rest = slice(text.base + i, text.len - i);
        unsigned pair = pair_of(rest.base);
        size_t n = i == 0 && cut & REDACT_CUT_START ? match_rest(r, text, &value) : 0;

        if (n == 0 && r->pairs[pair / 8] & 1U << (pair % 8))
            n = match(r, rest, cut & REDACT_CUT_END, &value);
        if (n > 0) {
            x = replace(r, b, slice(text.base + done, i - done), value);
            done = i + n;
        }
        i += n > 0 ? n : 1;
    }
    if (x == 0 && done > 0)
        x = buf_append(b, text.base + done, text.len - done);
    return x < 0 ? x : done > 0;
}
