#pragma once

/* What a collector's answer means, by OTLP/HTTP's rules. The answer is foreign. */

#include "base/slice.h"

#include <stddef.h>

#define ANSWER_BYTES_MAX 65536 /* of a body that is looked at */
#define ANSWER_WHY_MAX   200

enum answer {
    ANSWER_DELIVERED,
    ANSWER_RETRY,   /* 429, 502, 503, 504: the same again, later */
    ANSWER_REFUSED, /* the same would be refused again */
};

/* `rejected` is the name of the count in a partial success: rejectedSpans or rejectedLogRecords.
 * Gives how many of a delivered batch were rejected, and in `why`, for people and without control
 * characters, what the collector says (empty: nothing). */
enum answer otlp_answer_read(long status, struct slice body, const char *rejected,
                             uint64_t *ret_rejected, char why[static ANSWER_WHY_MAX]);
