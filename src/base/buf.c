/* The data moves to the front only when it must grow or when it has become empty, so consuming is
 * cheap and appending amortised constant. */

#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUF_CAP_MIN 256

void buf_deinit(struct buf *b)
{
    free(b->data);
    b->data = NULL;
    b->start = b->end = b->cap = 0;
}

int buf_reserve(struct buf *b, size_t n)
{
    size_t len = buf_len(b), cap;
    char *data;

    if (n > b->max - len)
        return -ENOBUFS;
    if (b->cap - b->end >= n && b->data)
        return 0;
    if (b->start > 0) {
        memmove(b->data, b->data + b->start, len);
        b->start = 0;
        b->end = len;
        if (b->cap - b->end >= n)
            return 0;
    }
    cap = MAX(b->cap, BUF_CAP_MIN);
    while (cap < len + n)
        cap *= 2;
    data = realloc(b->data, cap);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= buf_len(b));
    b->start += n;
    if (b->start == b->end)
        b->start = b->end = 0;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
    int r;

    if (len == 0)
        return 0;
    r = buf_reserve(b, len);
    if (r < 0)
        return r;
    memcpy(b->data + b->end, data, len);
    b->end += len;
    return 0;
}

int buf_append_slice(struct buf *b, struct slice s)
{
    return buf_append(b, s.base, s.len);
}

int buf_append_str(struct buf *b, const char *s)
{
    return buf_append(b, s, strlen(s));
}

int buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    int r, n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        return -EINVAL;
    r = buf_reserve(b, (size_t)n + 1);
    if (r < 0)
        return r;
    va_start(args, format);
    (void)vsnprintf(b->data + b->end, (size_t)n + 1, format, args);
    va_end(args);
    b->end += (size_t)n;
    return 0;
}

const char *buf_cstr(struct buf *b)
{
    if (buf_reserve(b, 1) < 0)
        return NULL;
    b->data[b->end] = '\0';
    return b->data + b->start;
}
