#pragma once

/* Takes the values of secrets out of log lines and records before anybody prints or keeps them.
 *
 * A line longer than LOG_LINE_BYTES_MAX comes in pieces, one may be broken off, and a text of a
 * record is cut at its ceiling. What of a value stands at such a cut is found from REDACT_PART_MIN
 * bytes on. A value with several lines is found line by line. */

#include "base/redact.h"
#include "model/record.h"

struct redactor {
    struct buf bufs[3]; /* what changed texts point into, until the next call */
};

void redactor_init(struct redactor *x);
void redactor_deinit(struct redactor *x);

/* Replaces texts of the line or the record by such without values; r may be NULL. */
void redactor_line(struct redactor *x, const struct redact *r, struct log_line *l);
void redactor_record(struct redactor *x, const struct redact *r, struct record *record);
