#pragma once

/* Times and durations as people write them. */

#include "base/slice.h"

#define WHEN_FORMS "10m, 2h30m, 1.5d, 2026-11-29, 2026-11-29T13:05, 13:05 or 2026-11-29T13:05:10Z"

/* "250us", "1.5s", "10m", "2h30m", "3d", "1w", or a plain number of seconds, as microseconds.
 * Returns 0, -EINVAL or -ERANGE (above 100 years). */
int when_duration_us(struct slice s, uint64_t *ret);

/* A moment, in microseconds since 1970: a duration before now_us ("10m"), "now", "today",
 * "yesterday", or a date, a time of today, or both, parted by T or a blank, in local time unless
 * Z or +HH:MM stands behind it. Returns 0 or -EINVAL. */
int when_parse(struct slice s, uint64_t now_us, uint64_t *ret);
