/* What is written is checked by the same rules as what is read, so that no byte from a function or
 * a client can end a header or begin another one. Every call reserves first: it adds all or
 * nothing. */

#include "http/internal.h"

#include <errno.h>

#define U64_DIGITS_MAX 20

/* Adds the pieces in order. */
static int put(struct buf *b, const struct slice *pieces, size_t n_pieces)
{
    size_t n = 0;
    char *at;
    int r;

    for (size_t i = 0; i < n_pieces; i++)
        n += pieces[i].len;
    r = buf_reserve(b, n);
    if (r < 0)
        return r;
    at = buf_tail(b);
    for (size_t i = 0; i < n_pieces; i++) {
        if (pieces[i].len > 0)
            at = mempcpy(at, pieces[i].base, pieces[i].len);
    }
    buf_commit(b, n);
    return 0;
}

#define PUT(b, ...)                                                                                \
    put((b), (const struct slice[]){__VA_ARGS__},                                                  \
        sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))

/* Writes v in the base (10 or 16) at the end of dst. Returns the digits. */
static struct slice number(uint64_t v, unsigned base, char dst[static U64_DIGITS_MAX])
{
    size_t at = U64_DIGITS_MAX;

    do {
        dst[--at] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v > 0);
    return slice(dst + at, U64_DIGITS_MAX - at);
}

int http_write_request_line(struct buf *b, struct slice method, struct slice target)
{
    if (!http_is_token(method) || !http_is_target(target))
        return -EINVAL;
    if (target.base[0] != '/' && !slice_eq(target, SLICE_LIT("*")))
        return -EINVAL;
    return PUT(b, method, SLICE_LIT(" "), target, SLICE_LIT(" HTTP/1.1\r\n"));
}

int http_write_status_line(struct buf *b, unsigned status, struct slice reason)
{
    char digits[U64_DIGITS_MAX];

    if (status < 100 || status > 599 || !http_is_value(reason))
        return -EINVAL;
    return PUT(b, SLICE_LIT("HTTP/1.1 "), number(status, 10, digits), SLICE_LIT(" "), reason,
               SLICE_LIT("\r\n"));
}

int http_write_header(struct buf *b, struct slice name, struct slice value)
{
    if (!http_is_token(name) || !http_is_value(value))
        return -EINVAL;
    return PUT(b, name, SLICE_LIT(": "), value, SLICE_LIT("\r\n"));
}

int http_write_header_str(struct buf *b, const char *name, const char *value)
{
    return http_write_header(b, slice_str(name), slice_str(value));
}

int http_write_header_u64(struct buf *b, const char *name, uint64_t value)
{
    char digits[U64_DIGITS_MAX];

    return http_write_header(b, slice_str(name), number(value, 10, digits));
}

int http_write_head_end(struct buf *b)
{
    return PUT(b, SLICE_LIT("\r\n"));
}

int http_write_chunk_start(struct buf *b, uint64_t n)
{
    char digits[U64_DIGITS_MAX];

    assert(n > 0); /* a chunk of 0 would end the body */
    return PUT(b, number(n, 16, digits), SLICE_LIT("\r\n"));
}

int http_write_chunk_end(struct buf *b)
{
    return PUT(b, SLICE_LIT("\r\n"));
}

int http_write_last_chunk(struct buf *b)
{
    return PUT(b, SLICE_LIT("0\r\n\r\n"));
}
