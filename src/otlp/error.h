#pragma once

/* What a record knows of an error, taken apart: a function's own word of it is JSON, {errorType,
 * errorMessage, stackTrace}, or lines that a crash has left, or nothing. */

#include "base/buf.h"
#include "model/record.h"

struct otlp_error {
    char type[128];     /* the function's, else the outcome's name */
    struct buf message; /* for people */
    struct buf trace;   /* lines; empty: none is known */
};

/* Returns 0 or -ENOMEM. The caller ends with otlp_error_deinit() in any case. */
int otlp_error_read(struct otlp_error *e, const struct record *r);
void otlp_error_deinit(struct otlp_error *e);
