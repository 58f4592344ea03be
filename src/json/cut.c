/* One pass over the text with a stack of what is open. After each value, and behind each opening
 * bracket, stands a place where the text could end: `safe`. From a safe place on there can only be
 * scalars, keys and the bracket being opened, so the stack that it had is the stack that there is
 * when the budget runs out. */

#include "json/cut.h"

#include "base/utf8.h"

#include <ctype.h>
#include <errno.h>

#define DEPTH_MAX   32
#define ESCAPE_LEN  2
#define UNICODE_LEN 6 /* \u1234 */

enum step {
    STEP_ON,
    STEP_OUT, /* the text, or the budget, is used up */
    STEP_BAD,
};

enum want {
    WANT_VALUE,
    WANT_VALUE_OR_END, /* behind '[' */
    WANT_KEY,
    WANT_KEY_OR_END, /* behind '{' */
    WANT_COLON,
    WANT_COMMA_OR_END,
};

struct cutter {
    struct slice in;
    size_t max;
    size_t at;
    enum want want;
    char closers[DEPTH_MAX]; /* of what is open, outermost first */
    size_t depth;
    size_t safe;
    bool in_string; /* the safe place is inside a string value */
};

/* Returns false if the text could not end before `end` any more. */
static bool mark_safe(struct cutter *c, size_t end, bool in_string)
{
    if (end + in_string + c->depth > c->max)
        return false;
    c->safe = end;
    c->in_string = in_string;
    return true;
}

/* The length of the escape at p, or 0 if it is none or not all there. *ret_unit is the UTF-16 unit
 * that it stands for, where that matters. */
static size_t escape_len(const char *p, size_t left, unsigned *ret_unit)
{
    unsigned unit = 0;

    *ret_unit = 0;
    if (left < ESCAPE_LEN || p[0] != '\\')
        return 0;
    if (p[1] != 'u')
        return strchr("\"\\/bfnrt", p[1]) && p[1] ? ESCAPE_LEN : 0;
    if (left < UNICODE_LEN)
        return 0;
    for (size_t i = 2; i < UNICODE_LEN; i++) {
        int digit = tolower((unsigned char)p[i]);

        if (!isxdigit(digit))
            return 0;
        unit = unit * 16 + (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    *ret_unit = unit;
    return UNICODE_LEN;
}

/* The length of the character at p, or 0 if it is none or not all there. */
static size_t char_len(const char *p, size_t left)
{
    unsigned unit, low;
    size_t n;

    if ((unsigned char)*p < 0x20)
        return 0;
    if (*p != '\\')
        return utf8_len((const unsigned char *)p, left);
    n = escape_len(p, left, &unit);
    if (unit < 0xd800 || unit > 0xdfff)
        return n;
    /* A pair is one character. */
    if (unit > 0xdbff || escape_len(p + n, left - n, &low) != UNICODE_LEN || low < 0xdc00 ||
        low > 0xdfff)
        return 0;
    return 2 * UNICODE_LEN;
}

/* From the opening quote to behind the closing one. */
static enum step take_string(struct cutter *c, bool is_value)
{
    size_t at = c->at + 1;

    if (is_value && !mark_safe(c, at, true))
        return STEP_OUT;
    while (at < c->in.len && c->in.base[at] != '"') {
        size_t n = char_len(c->in.base + at, c->in.len - at);

        if (n == 0) /* nothing longer than a pair of escapes can be cut off */
            return c->in.len - at < 2 * UNICODE_LEN ? STEP_OUT : STEP_BAD;
        at += n;
        if (is_value && !mark_safe(c, at, true))
            return STEP_OUT;
    }
    if (at >= c->in.len)
        return STEP_OUT;
    c->at = at + 1;
    return STEP_ON;
}

static size_t skip_digits(struct slice s, size_t i)
{
    while (i < s.len && isdigit((unsigned char)s.base[i]))
        i++;
    return i;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool is_number(struct slice s)
{
    size_t start = s.len > 0 && s.base[0] == '-', i = skip_digits(s, start);

    if (i == start || (s.base[start] == '0' && i > start + 1))
        return false;
    if (i < s.len && s.base[i] == '.') {
        start = i + 1;
        i = skip_digits(s, start);
        if (i == start)
            return false;
    }
    if (i < s.len && (s.base[i] | 0x20) == 'e') {
        start = i + 1;
        if (start < s.len && (s.base[start] == '+' || s.base[start] == '-'))
            start++;
        i = skip_digits(s, start);
        if (i == start)
            return false;
    }
    return i == s.len;
}

/* A number, true, false or null: up to what ends it. Where the text breaks off, nobody knows
 * whether it would have gone on. */
static enum step take_word(struct cutter *c)
{
    struct slice word = slice(c->in.base + c->at, 0);

    while (c->at + word.len < c->in.len && !strchr(" \t\r\n,]}", word.base[word.len]))
        word.len++;
    if (c->at + word.len == c->in.len && c->depth > 0)
        return STEP_OUT;
    c->at += word.len;
    return slice_eq(word, SLICE_LIT("true")) || slice_eq(word, SLICE_LIT("false")) ||
                   slice_eq(word, SLICE_LIT("null")) || is_number(word)
               ? STEP_ON
               : STEP_BAD;
}

static enum step end_value(struct cutter *c)
{
    c->want = WANT_COMMA_OR_END;
    return mark_safe(c, c->at, false) ? STEP_ON : STEP_OUT;
}

static enum step open_container(struct cutter *c, char closer)
{
    if (c->depth == DEPTH_MAX)
        return STEP_BAD;
    c->at++;
    if (c->at + 1 + c->depth > c->max)
        return STEP_OUT; /* the old stack stays with the old place */
    c->closers[c->depth++] = closer;
    c->want = closer == ']' ? WANT_VALUE_OR_END : WANT_KEY_OR_END;
    (void)mark_safe(c, c->at, false);
    return STEP_ON;
}

static enum step take_value(struct cutter *c, char first)
{
    enum step step;

    if (first == '[' || first == '{')
        return open_container(c, first == '[' ? ']' : '}');
    step = first == '"' ? take_string(c, true) : take_word(c);
    return step == STEP_ON ? end_value(c) : step;
}

static enum step take_key(struct cutter *c)
{
    enum step step = take_string(c, false);

    c->want = WANT_COLON;
    return step;
}

static enum step take_sign(struct cutter *c, char sign, enum want next)
{
    if (c->in.base[c->at] != sign)
        return STEP_BAD;
    c->at++;
    c->want = next;
    return STEP_ON;
}

static enum step take_next(struct cutter *c)
{
    char first;
    bool may_end =
        c->want == WANT_VALUE_OR_END || c->want == WANT_KEY_OR_END || c->want == WANT_COMMA_OR_END;

    while (c->at < c->in.len && strchr(" \t\r\n", c->in.base[c->at]) && c->in.base[c->at])
        c->at++;
    if (c->at == c->in.len)
        return STEP_OUT;
    first = c->in.base[c->at];
    if (may_end && c->depth > 0 && first == c->closers[c->depth - 1]) {
        if (c->at + c->depth > c->max)
            return STEP_OUT; /* blanks before it: the place before them has this stack */
        c->depth--;
        c->at++;
        return end_value(c);
    }
    switch (c->want) {
    case WANT_VALUE:
    case WANT_VALUE_OR_END:
        return take_value(c, first);
    case WANT_KEY:
    case WANT_KEY_OR_END:
        return first == '"' ? take_key(c) : STEP_BAD;
    case WANT_COLON:
        return take_sign(c, ':', WANT_VALUE);
    case WANT_COMMA_OR_END:
        return take_sign(c, ',', c->closers[c->depth - 1] == ']' ? WANT_VALUE : WANT_KEY);
    }
    return STEP_BAD;
}

int json_cut(struct slice text, size_t max, struct buf *b)
{
    struct cutter c = {.in = text, .max = max, .want = WANT_VALUE};
    enum step step = STEP_ON;
    int r;

    while (step == STEP_ON && !(c.depth == 0 && c.want == WANT_COMMA_OR_END))
        step = take_next(&c);
    if (step == STEP_ON) { /* whole; only blanks may follow */
        for (size_t i = c.at; i < text.len; i++) {
            if (!isspace((unsigned char)text.base[i]))
                return -EBADMSG;
        }
    }
    if (step == STEP_BAD || c.safe == 0)
        return -EBADMSG;
    r = buf_append(b, text.base, c.safe);
    if (r == 0 && c.in_string)
        r = buf_append(b, "\"", 1);
    while (r == 0 && step != STEP_ON && c.depth > 0)
        r = buf_append(b, &c.closers[--c.depth], 1);
    return r;
}
