#include "model/histogram.h"

#include <errno.h>
#include <string.h>

#define LINEAR_BITS 5 /* values below 32 have a bucket each */
#define LINEAR      (1u << LINEAR_BITS)
#define PARTS_BITS  4 /* parts of a power of two above */
#define PARTS       (1u << PARTS_BITS)
#define VALUE_BITS  40
#define FORMAT      1 /* first byte of what is packed */

static_assert(LINEAR + (VALUE_BITS - LINEAR_BITS) * PARTS == HISTOGRAM_BUCKETS, "buckets");

static size_t bucket_of(uint64_t v)
{
    unsigned power, part;

    if (v < LINEAR)
        return v;
    if (v >> VALUE_BITS)
        return HISTOGRAM_BUCKETS - 1;
    power = 63 - (unsigned)__builtin_clzll(v);
    part = (unsigned)(v >> (power - PARTS_BITS)) & (PARTS - 1);
    return LINEAR + (size_t)(power - LINEAR_BITS) * PARTS + part;
}

uint64_t histogram_low(size_t bucket)
{
    size_t above = bucket - LINEAR;

    if (bucket < LINEAR)
        return bucket;
    return (uint64_t)(PARTS + above % PARTS) << (above / PARTS + LINEAR_BITS - PARTS_BITS);
}

uint64_t histogram_high(size_t bucket)
{
    if (bucket < LINEAR)
        return bucket + 1;
    return histogram_low(bucket) + (1ull << ((bucket - LINEAR) / PARTS + LINEAR_BITS - PARTS_BITS));
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

void histogram_add(struct histogram *h, uint64_t value_us)
{
    h->buckets[bucket_of(value_us)]++;
}

void histogram_merge(struct histogram *h, const struct histogram *other)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        h->buckets[i] = add_capped(h->buckets[i], other->buckets[i]);
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t n = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        n = add_capped(n, h->buckets[i]);
    return n;
}

uint64_t histogram_quantile(const struct histogram *h, unsigned permille)
{
    uint64_t n = histogram_count(h);
    /* The rank from 1 of the value asked for: rounded up, without overflow. */
    uint64_t rank = n / 1000 * permille + (n % 1000 * permille + 999) / 1000;
    uint64_t seen = 0;

    rank = MAX(MIN(rank, n), 1u);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen = add_capped(seen, h->buckets[i]);
        if (seen >= rank)
            return (histogram_low(i) + histogram_high(i) - 1) / 2;
    }
    return 0;
}

/* ---- packed: FORMAT, then for each bucket in use how many were skipped before it, and its count
 * ---- */

static size_t put_varint(uint8_t *dst, uint64_t v)
{
    size_t n = 0;

    while (v >= 0x80) {
        dst[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    dst[n++] = (uint8_t)v;
    return n;
}

int histogram_encode(const struct histogram *h, struct buf *b)
{
    uint8_t bytes[HISTOGRAM_BYTES_MAX];
    size_t len = 0, next = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (h->buckets[i] == 0)
            continue;
        if (len == 0)
            bytes[len++] = FORMAT;
        len += put_varint(bytes + len, i - next);
        len += put_varint(bytes + len, h->buckets[i]);
        next = i + 1;
    }
    return buf_append(b, bytes, len);
}

/* Returns false for what put_varint() would not write. */
static bool take_varint(struct slice *rest, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned shift = 0; rest->len > 0 && shift < 64; shift += 7) {
        uint8_t byte = (uint8_t)*rest->base;

        *rest = slice(rest->base + 1, rest->len - 1);
        if (shift == 63 && byte > 1)
            return false;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = v;
            return byte != 0 || shift == 0;
        }
    }
    return false;
}

/* Takes a bucket and its count off the bytes; *next is the first bucket that may come. */
static bool take_bucket(struct slice *rest, size_t *next, size_t *ret_bucket, uint64_t *ret_count)
{
    uint64_t skipped;

    if (!take_varint(rest, &skipped) || !take_varint(rest, ret_count))
        return false;
    if (*ret_count == 0 || skipped >= HISTOGRAM_BUCKETS - *next)
        return false;
    *ret_bucket = *next + (size_t)skipped;
    *next = *ret_bucket + 1;
    return true;
}

int histogram_decode(struct slice bytes, struct histogram *h)
{
    size_t next = 0, bucket;
    struct slice rest;
    uint64_t count;

    if (bytes.len == 0)
        return 0;
    if (*bytes.base != FORMAT || bytes.len == 1)
        return -EBADMSG;
    bytes = slice(bytes.base + 1, bytes.len - 1);
    for (rest = bytes; rest.len > 0;) {
        if (!take_bucket(&rest, &next, &bucket, &count))
            return -EBADMSG;
    }
    next = 0;
    for (rest = bytes; rest.len > 0 && take_bucket(&rest, &next, &bucket, &count);)
        h->buckets[bucket] = add_capped(h->buckets[bucket], count);
    return 0;
}
