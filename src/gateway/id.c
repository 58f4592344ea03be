#include "gateway/invocation.h"
#include "gateway/request.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Random bytes by the page: one system call serves many requests. */
static void random_bytes(uint8_t *dst, size_t n)
{
    static uint8_t pool[1024];
    static size_t left;

    assert(n <= sizeof(pool));
    if (left < n) {
        for (size_t got = 0; got < sizeof(pool);) {
            ssize_t r = getrandom(pool + got, sizeof(pool) - got, 0);

            got += (size_t)MAX(r, 0); /* only a signal can interrupt it */
        }
        left = sizeof(pool);
    }
    left -= n;
    memcpy(dst, pool + left, n);
}

static char *write_hex(char *dst, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *dst++ = digits[bytes[i] >> 4];
        *dst++ = digits[bytes[i] & 15];
    }
    return dst;
}

/* RFC 9562 version 7: 48 bits of milliseconds, and in 12 bits behind them the fraction of one (its
 * method 3): so ids sort by time, also those of one millisecond. */
void request_id_make(uint64_t wall_us, char dst[static REQUEST_ID_LEN + 1])
{
    static const size_t groups[] = {4, 2, 2, 2, 6};
    uint64_t ms = wall_us / 1000, fraction = wall_us % 1000 * 4096 / 1000;
    uint8_t id[16];
    size_t at = 0;

    random_bytes(id + 8, 8);
    for (int i = 0; i < 6; i++)
        id[i] = (uint8_t)(ms >> (40 - 8 * i));
    id[6] = (uint8_t)(0x70 | fraction >> 8);
    id[7] = (uint8_t)fraction;
    id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        if (i > 0)
            *dst++ = '-';
        dst = write_hex(dst, id + at, groups[i]);
        at += groups[i];
    }
    *dst = '\0';
}

/* More than one traceparent is none: nobody knows which of them is meant. */
static bool is_continued(const struct http_head *head, struct trace *ret)
{
    struct slice value = SLICE_NULL;
    unsigned n = 0;

    for (uint32_t i = 0; i < head->n_headers; i++) {
        if (slice_eq_nocase(head->headers[i].name, SLICE_LIT("traceparent"))) {
            value = head->headers[i].value;
            n++;
        }
    }
    return n == 1 && trace_parse(value, ret) == 0;
}

void request_trace_make(const struct http_head *head, struct trace *ret)
{
    uint8_t ids[(TRACE_ID_LEN + TRACE_SPAN_LEN) / 2];

    if (is_continued(head, ret)) {
        random_bytes(ids, TRACE_SPAN_LEN / 2);
    } else {
        random_bytes(ids, sizeof(ids));
        trace_begin(ret, ids + TRACE_SPAN_LEN / 2);
    }
    trace_set_span(ret, ids);
}
