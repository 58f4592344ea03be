/* Request ids: UUIDs of version 7, whose first 48 bits are milliseconds since 1970, so that their
 * bytes sort by time. Kept as 16 bytes. */

#include "store/store-internal.h"

#include <errno.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

static bool is_dash(size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int request_id_span(struct slice text, uint8_t ret_low[static REQUEST_ID_SIZE],
                    uint8_t ret_high[static REQUEST_ID_SIZE])
{
    uint8_t low[REQUEST_ID_SIZE], high[REQUEST_ID_SIZE];
    size_t n = 0; /* digits */

    memset(low, 0, sizeof(low));
    memset(high, 0xff, sizeof(high));
    if (text.len > REQUEST_ID_LEN)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.base[i]);
        unsigned shift = n % 2 ? 0 : 4;

        if (is_dash(i)) {
            if (text.base[i] != '-')
                return -EINVAL;
            continue;
        }
        if (digit < 0)
            return -EINVAL;
        low[n / 2] = (uint8_t)(low[n / 2] | digit << shift);
        high[n / 2] = (uint8_t)((high[n / 2] & ~(15u << shift)) | (unsigned)digit << shift);
        n++;
    }
    memcpy(ret_low, low, sizeof(low));
    memcpy(ret_high, high, sizeof(high));
    return 0;
}

int request_id_parse(struct slice text, uint8_t ret[static REQUEST_ID_SIZE])
{
    uint8_t high[REQUEST_ID_SIZE];

    return text.len == REQUEST_ID_LEN ? request_id_span(text, ret, high) : -EINVAL;
}

void request_id_format(const uint8_t id[static REQUEST_ID_SIZE],
                       char dst[static REQUEST_ID_LEN + 1])
{
    size_t n = 0;

    for (size_t i = 0; i < REQUEST_ID_LEN; i++) {
        if (is_dash(i)) {
            dst[i] = '-';
            continue;
        }
        dst[i] = digits[n % 2 ? id[n / 2] & 15 : id[n / 2] >> 4];
        n++;
    }
    dst[REQUEST_ID_LEN] = '\0';
}

void request_id_at(uint64_t time_us, uint8_t dst[static REQUEST_ID_SIZE])
{
    uint64_t ms = time_us / 1000;

    ms = MIN(ms, (1ull << 48) - 1);
    memset(dst, 0, REQUEST_ID_SIZE);
    for (unsigned i = 0; i < 6; i++)
        dst[i] = (uint8_t)(ms >> (40 - 8 * i));
}

uint64_t request_id_time_us(const uint8_t id[static REQUEST_ID_SIZE])
{
    uint64_t ms = 0;

    for (unsigned i = 0; i < 6; i++)
        ms = ms << 8 | id[i];
    return ms * 1000;
}

struct slice column_request_id(sqlite3_stmt *q, int at, char dst[static REQUEST_ID_LEN + 1])
{
    struct slice id = column_bytes(q, at);

    if (id.len != REQUEST_ID_SIZE)
        return SLICE_NULL;
    request_id_format((const uint8_t *)id.base, dst);
    return slice(dst, REQUEST_ID_LEN);
}
