#pragma once

/* The errorType of what mayfly itself answers in a function's place: one table, one style. What a
 * function raises has its own language's names, and what keeps it from being loaded those of Lambda
 * (Runtime.InitTimeout). */

#include "model/record.h"

/* Of a request that has come to no invocation, by its status: "NotFound", "BodyTooLarge". */
const char *failure_type_of_status(unsigned status);

/* Of an invocation: the limit that was hit, or else how it ended. */
const char *failure_type(enum outcome outcome, unsigned status, enum limit_hit limit);
