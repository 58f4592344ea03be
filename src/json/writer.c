#include "json/writer.h"

#include "base/utf8.h"

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

void jsonw_str(struct jsonw *w, struct slice s)
{
    value_begin(w);
    if (w->r == 0)
        w->r = utf8_write_json(w->b, s);
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

void jsonw_milli(struct jsonw *w, uint64_t thousandths)
{
    char text[32];

    value_begin(w);
    put(w, text,
        (size_t)snprintf(text, sizeof(text), "%llu.%03llu",
                         (unsigned long long)(thousandths / 1000),
                         (unsigned long long)(thousandths % 1000)));
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

void jsonw_json(struct jsonw *w, struct slice json)
{
    value_begin(w);
    put(w, json.base, json.len);
}

int jsonw_end(struct jsonw *w)
{
    assert(w->depth == 0 || w->r < 0);
    return w->r;
}
