#include "base/utf8.h"

#include <errno.h>

size_t utf8_len(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

    if (n > left || (p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    /* Longer than need be, surrogates, and above U+10FFFF. */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
        return 0;
    return n;
}

bool utf8_is_valid(struct slice s)
{
    for (size_t i = 0, n; i < s.len; i += n) {
        n = utf8_len((const unsigned char *)s.base + i, s.len - i);
        if (n == 0)
            return false;
    }
    return true;
}

bool utf8_is_control(const unsigned char *p, size_t n)
{
    if (n == 1)
        return p[0] < 0x20 || p[0] == 0x7f;
    if (n == 2)
        return p[0] == 0xc2 && p[1] < 0xa0; /* C1 */
    if (n == 3 && p[0] == 0xe2 && p[1] == 0x80)
        return p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae);
    return n == 3 && p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9;
}

static int write_escaped(struct buf *b, unsigned c)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
        if ((unsigned char)shorts[i] == c)
            return buf_append(b, (char[]){'\\', shorts[i + 1]}, 2);
    }
    return buf_printf(b, "\\u%04x", c & 0xffff);
}

int utf8_write_json(struct buf *b, struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.base;
    size_t plain = 0; /* where the bytes begin that go out as they are */
    int r = buf_append(b, "\"", 1);

    for (size_t i = 0; r == 0 && i < s.len;) {
        size_t n = utf8_len(p + i, s.len - i);
        bool c1 = n == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0;

        if (n > 0 && !c1 && p[i] >= 0x20 && p[i] != 0x7f && p[i] != '"' && p[i] != '\\') {
            i += n;
            continue;
        }
        r = buf_append(b, p + plain, i - plain);
        if (r == 0)
            r = n == 0 ? buf_append(b, "\xef\xbf\xbd", 3) : write_escaped(b, c1 ? p[i + 1] : p[i]);
        i += MAX(n, 1);
        plain = i;
    }
    if (r == 0 && plain < s.len)
        r = buf_append(b, p + plain, s.len - plain);
    return r == 0 ? buf_append(b, "\"", 1) : r;
}
