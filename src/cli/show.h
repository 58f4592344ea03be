#pragma once

/* Amounts and times as people read them. Each function writes into dst, cuts to fit, and returns
 * dst. */

#include "base/slice.h"

#define SHOW_SIZE 64

char *show_us(uint64_t us, char dst[static SHOW_SIZE]); /* "820us", "12.3ms", "4.20s", "4m05s" */
char *show_bytes(uint64_t bytes, char dst[static SHOW_SIZE]); /* "512B", "1.5K", "12.3M" */
char *show_age_ms(uint64_t ms, char dst[static SHOW_SIZE]);   /* "950ms", "12.3s", "3h20m" */
char *show_clock(uint64_t us, char dst[static SHOW_SIZE]);    /* local: "13:05:01.123" */
char *show_moment(uint64_t us, char dst[static SHOW_SIZE]);   /* "2026-11-29 13:05:01.123" */
char *show_nano(int64_t nano, int decimals, char dst[static SHOW_SIZE]); /* 1500000000: "1.500" */

/* Whether both are in the same local day. */
bool show_same_day(uint64_t a_us, uint64_t b_us);

/* What of a request's id people are shown where room is short: milliseconds and a fraction of one,
 * enough to find it again by. */
#define SHOW_ID_LEN 18

/* Takes the locale's character set; returns whether it is UTF-8. */
bool show_has_utf8(void);
