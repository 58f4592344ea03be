#pragma once

/* Text to numbers, strictly: the whole slice, no signs, blanks or prefixes. */

#include "base/slice.h"

/* Returns 0, -EINVAL if it is not 1*DIGIT, or -ERANGE above max. */
int parse_u64(struct slice s, uint64_t max, uint64_t *ret);

/* "128", "128K", "64M", "2G" (binary) as bytes. Returns 0, -EINVAL or -ERANGE. */
int parse_bytes(struct slice s, uint64_t *ret);

/* "250ms", "30s", "5m", "1h", "30d", or a plain number of seconds, as milliseconds. */
int parse_duration_ms(struct slice s, uint64_t *ret);
