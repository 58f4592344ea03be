#include "http/internal.h"

#include "base/parse.h"

#include <errno.h>

/* Decodes the byte at s[*i] and moves behind it. Returns it, or -EINVAL for a bad %HH. */
static int decode_at(struct slice s, size_t *i)
{
    unsigned char c = (unsigned char)s.base[*i];

    if (c != '%') {
        (*i)++;
        return c;
    }
    if (s.len - *i < 3 || !http_byte_is(s.base[*i + 1], HTTP_BYTE_HEX) ||
        !http_byte_is(s.base[*i + 2], HTTP_BYTE_HEX))
        return -EINVAL;
    c = (unsigned char)(http_hex_value(s.base[*i + 1]) << 4 | http_hex_value(s.base[*i + 2]));
    *i += 3;
    return c;
}

ssize_t http_percent_decode(struct slice s, bool plus_is_blank, char *dst, size_t dst_size)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len;) {
        bool is_plus = s.base[i] == '+';
        int c = decode_at(s, &i);

        if (c <= 0)
            return -EINVAL;
        if (n == dst_size)
            return -ENOBUFS;
        dst[n++] = (char)(is_plus && plus_is_blank ? ' ' : c);
    }
    return (ssize_t)n;
}

int http_percent_encode(struct buf *b, struct slice s)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    char *at;
    int r;

    for (size_t i = 0; i < s.len; i++)
        n += http_byte_is(s.base[i], HTTP_BYTE_UNRESERVED) ? 1 : 3;
    r = buf_reserve(b, n);
    if (r < 0)
        return r;
    at = buf_tail(b);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.base[i];

        if (http_byte_is(s.base[i], HTTP_BYTE_UNRESERVED)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = digits[c >> 4];
        *at++ = digits[c & 15];
    }
    buf_commit(b, n);
    return 0;
}

/* An encoded '/' ends a segment here too: whoever decodes before splitting would find "..". */
bool http_path_is_routable(struct slice path)
{
    size_t segment_len = 0;
    bool only_dots = true;

    if (path.len == 0 || path.base[0] != '/')
        return false;
    for (size_t i = 0; i < path.len;) {
        int c = decode_at(path, &i);

        if (c < 0x20 || c == 0x7f || c == '\\')
            return false;
        if (c == '/') {
            if (only_dots && (segment_len == 1 || segment_len == 2))
                return false;
            segment_len = 0;
            only_dots = true;
            continue;
        }
        segment_len++;
        only_dots = only_dots && c == '.';
    }
    return !only_dots || segment_len == 0 || segment_len > 2;
}

bool http_is_target(struct slice s)
{
    return s.len > 0 && http_bytes_are(s, HTTP_BYTE_TARGET);
}

static bool is_port(struct slice s)
{
    uint64_t port;

    return s.len <= 5 && parse_u64(s, UINT16_MAX, &port) == 0;
}

/* Narrower than RFC 3986: no %HH and no sub-delims in a name, no IPvFuture, no empty name or port.
 * None of them is met in practice, and programs differ in how they read them. */
bool http_host_is_valid(struct slice host)
{
    size_t n = 0;

    if (host.len > 0 && host.base[0] == '[') {
        n = 1;
        while (n < host.len && (http_byte_is(host.base[n], HTTP_BYTE_HEX) || host.base[n] == ':' ||
                                host.base[n] == '.'))
            n++;
        if (n == 1 || n == host.len || host.base[n] != ']')
            return false;
        n++;
    } else {
        while (n < host.len && http_byte_is(host.base[n], HTTP_BYTE_UNRESERVED))
            n++;
        if (n == 0)
            return false;
    }
    if (n == host.len)
        return true;
    return host.base[n] == ':' && is_port(slice(host.base + n + 1, host.len - n - 1));
}
