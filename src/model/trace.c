#include "model/trace.h"

#include <errno.h>

#define FLAGS_KNOWN (TRACE_FLAG_SAMPLED | TRACE_FLAG_RANDOM)

/* Where the fields of a traceparent begin. */
enum {
    AT_VERSION = 0,
    AT_TRACE = 3,
    AT_SPAN = AT_TRACE + TRACE_ID_LEN + 1,
    AT_FLAGS = AT_SPAN + TRACE_SPAN_LEN + 1,
};
_Static_assert(AT_FLAGS + 2 == TRACE_PARENT_LEN, "a traceparent is four fields");

/* Upper case is not hex here: the standard says so. */
static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_hex(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (digit(s[i]) < 0)
            return false;
    }
    return true;
}

static bool is_id(const char *s, size_t n)
{
    static const char zeros[] = "00000000000000000000000000000000";

    return is_hex(s, n) && memcmp(s, zeros, n) != 0;
}

int trace_parse(struct slice text, struct trace *ret)
{
    const char *s = text.base;
    bool newer;

    if (text.len < TRACE_PARENT_LEN || !is_hex(s + AT_VERSION, 2) ||
        memcmp(s + AT_VERSION, "ff", 2) == 0)
        return -EINVAL;
    newer = memcmp(s + AT_VERSION, "00", 2) != 0;
    if (text.len > TRACE_PARENT_LEN && !(newer && s[TRACE_PARENT_LEN] == '-'))
        return -EINVAL;
    if (s[AT_TRACE - 1] != '-' || s[AT_SPAN - 1] != '-' || s[AT_FLAGS - 1] != '-' ||
        !is_id(s + AT_TRACE, TRACE_ID_LEN) || !is_id(s + AT_SPAN, TRACE_SPAN_LEN) ||
        !is_hex(s + AT_FLAGS, 2))
        return -EINVAL;
    memcpy(ret->trace_id, s + AT_TRACE, TRACE_ID_LEN);
    ret->trace_id[TRACE_ID_LEN] = '\0';
    memcpy(ret->parent_span_id, s + AT_SPAN, TRACE_SPAN_LEN);
    ret->parent_span_id[TRACE_SPAN_LEN] = '\0';
    ret->flags = (uint8_t)(digit(s[AT_FLAGS]) << 4 | digit(s[AT_FLAGS + 1])) & FLAGS_KNOWN;
    return 0;
}

static void write_hex(char *dst, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *dst++ = digits[bytes[i] >> 4];
        *dst++ = digits[bytes[i] & 15];
    }
}

/* An id of zeros means none. */
static void write_id(char *dst, const uint8_t *bytes, size_t n)
{
    static const uint8_t zeros[TRACE_ID_LEN / 2];

    write_hex(dst, bytes, n);
    dst[2 * n] = '\0';
    if (memcmp(bytes, zeros, n) == 0)
        dst[0] = '1';
}

void trace_begin(struct trace *t, const uint8_t random[static TRACE_ID_LEN / 2])
{
    write_id(t->trace_id, random, TRACE_ID_LEN / 2);
    t->parent_span_id[0] = '\0';
    t->flags = TRACE_FLAG_SAMPLED;
}

void trace_set_span(struct trace *t, const uint8_t random[static TRACE_SPAN_LEN / 2])
{
    write_id(t->span_id, random, TRACE_SPAN_LEN / 2);
}

void trace_write_parent(const struct trace *t, char dst[static TRACE_PARENT_LEN + 1])
{
    memcpy(dst + AT_VERSION, "00-", 3);
    memcpy(dst + AT_TRACE, t->trace_id, TRACE_ID_LEN);
    dst[AT_SPAN - 1] = dst[AT_FLAGS - 1] = '-';
    memcpy(dst + AT_SPAN, t->span_id, TRACE_SPAN_LEN);
    write_hex(dst + AT_FLAGS, &t->flags, 1);
    dst[TRACE_PARENT_LEN] = '\0';
}
