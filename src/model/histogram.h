#pragma once

/* How often a duration occurred, in microseconds: counts in buckets that are narrow where values
 * are small. Below 32 each value has a bucket; above, each power of two has 16 of equal width. The
 * middle of a bucket is at most 1/32 away from any value in it. Two histograms add up to that of
 * all values.
 *
 * Values from 2^40 us on (12 days) count in the last bucket. */

#include "base/buf.h"

#define HISTOGRAM_BUCKETS   592 /* 32 + 35 powers of two * 16 */
#define HISTOGRAM_BYTES_MAX (1 + HISTOGRAM_BUCKETS * 12)

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value_us);
void histogram_merge(struct histogram *h, const struct histogram *other);
uint64_t histogram_count(const struct histogram *h);

/* The value below which `permille` of 1000 values lie (500: median, 999: p99.9), as the middle of
 * its bucket; 0 if there are none. */
uint64_t histogram_quantile(const struct histogram *h, unsigned permille);

/* The values that count in a bucket: from low up to, without it, high. */
uint64_t histogram_low(size_t bucket);
uint64_t histogram_high(size_t bucket);

/* Packed: the buckets that are not empty, at most HISTOGRAM_BYTES_MAX bytes; nothing for an empty
 * one. Returns 0, -ENOBUFS or -ENOMEM. */
int histogram_encode(const struct histogram *h, struct buf *b);

/* Adds what the bytes hold to *h. Returns 0, or -EBADMSG for bytes that histogram_encode() would
 * not write; *h is then as before. */
int histogram_decode(struct slice bytes, struct histogram *h);
