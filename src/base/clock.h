#pragma once

/* Time: monotonic nanoseconds for everything that measures or waits, wall-clock microseconds for
 * what people read. Context: async-signal-safe. */

#include "base/def.h"

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL
#define US_PER_S  1000000ULL

uint64_t clock_now_ns(void);  /* CLOCK_MONOTONIC */
uint64_t clock_wall_us(void); /* since 1970, UTC */

/* "2026-11-21T01:02:03.456789Z"; needs 28 bytes. Returns dst. */
#define CLOCK_ISO_SIZE 32
char *clock_iso(uint64_t wall_us, char dst[static CLOCK_ISO_SIZE]);

/* "Sat, 21 Nov 2026 01:02:03 GMT", as HTTP wants it; needs 30 bytes. Returns dst. */
#define CLOCK_HTTP_SIZE 32
char *clock_http(uint64_t wall_us, char dst[static CLOCK_HTTP_SIZE]);
