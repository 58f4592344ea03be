#include "json/writer.h"

#include <stdio.h>

static void put(struct jsonw *w, const void *data, size_t len)
{
    w->r = w->r < 0 ? w->r : buf_append(w->b, data, len);
}

static void value_begin(struct jsonw *w)
{
    if (w->comma)
        put(w, ",", 1);
    w->comma = true;
}

static void open_with(struct jsonw *w, const char *bracket)
{
    value_begin(w);
    put(w, bracket, 1);
    w->depth++;
    w->comma = false;
}

static void close_with(struct jsonw *w, const char *bracket)
{
    assert(w->depth > 0);
    w->depth--;
    put(w, bracket, 1);
    w->comma = true;
}

void jsonw_object_begin(struct jsonw *w)
{
    open_with(w, "{");
}

void jsonw_object_end(struct jsonw *w)
{
    close_with(w, "}");
}

void jsonw_array_begin(struct jsonw *w)
{
    open_with(w, "[");
}

void jsonw_array_end(struct jsonw *w)
{
    close_with(w, "]");
}

/* The length of the UTF-8 sequence at p, or 0 if it is none. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xc2 ? 0
               : p[0] < 0xe0 ? 2
               : p[0] < 0xf0 ? 3
               : p[0] < 0xf5 ? 4
                             : 0;

    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    /* Too long for what it says, a surrogate, or beyond U+10FFFF. */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
        return 0;
    return n;
}

static void put_escape(struct jsonw *w, unsigned c)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    char text[8];

    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
        if ((unsigned char)shorts[i] == c) {
            put(w, (char[]){'\\', shorts[i + 1]}, 2);
            return;
        }
    }
    put(w, text, (size_t)snprintf(text, sizeof(text), "\\u%04x", c & 0xffff));
}

void jsonw_str(struct jsonw *w, struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.base;
    size_t plain = 0; /* where the bytes begin that go out as they are */

    value_begin(w);
    put(w, "\"", 1);
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_len(p + i, s.len - i);
        bool c1 = n == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0;

        if (n > 0 && !c1 && p[i] >= 0x20 && p[i] != 0x7f && p[i] != '"' && p[i] != '\\') {
            i += n;
            continue;
        }
        put(w, p + plain, i - plain);
        if (n == 0)
            put(w, "\xef\xbf\xbd", 3);
        else
            put_escape(w, c1 ? p[i + 1] : p[i]);
        i += MAX(n, 1);
        plain = i;
    }
    if (plain < s.len)
        put(w, p + plain, s.len - plain);
    put(w, "\"", 1);
}

void jsonw_key(struct jsonw *w, const char *key)
{
    jsonw_str(w, slice_str(key));
    put(w, ":", 1);
    w->comma = false;
}

void jsonw_u64(struct jsonw *w, uint64_t v)
{
    char text[24];

    value_begin(w);
    put(w, text, (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)v));
}

void jsonw_bool(struct jsonw *w, bool v)
{
    value_begin(w);
    put(w, v ? "true" : "false", v ? 4 : 5);
}

void jsonw_null(struct jsonw *w)
{
    value_begin(w);
    put(w, "null", 4);
}

int jsonw_end(struct jsonw *w)
{
    assert(w->depth == 0 || w->r < 0);
    return w->r;
}
