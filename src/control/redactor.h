#pragma once

/* Takes the values of secrets out of log lines and records before anybody prints or keeps them.
 *
 * A line longer than LOG_LINE_BYTES_MAX comes in pieces, and a text of a record is cut at its
 * ceiling. What of a value stands at such a cut is found from REDACT_PART_MIN bytes on. A value
 * with several lines is found line by line. */

#include "base/redact.h"
#include "model/record.h"

#define REDACTOR_CUTS_MAX 64 /* outputs whose last line was a piece; more are forgotten */

struct redactor {
    struct {
        char request_id[REQUEST_ID_LEN + 1];
        char function[65];
        enum log_stream stream;
        bool used;
    } cuts[REDACTOR_CUTS_MAX];
    unsigned next_cut;
    struct buf bufs[3]; /* what changed texts point into, until the next call */
};

void redactor_init(struct redactor *x);
void redactor_deinit(struct redactor *x);

/* Replaces texts of the line or the record by such without values; r may be NULL. */
void redactor_line(struct redactor *x, const struct redact *r, struct log_line *l);
void redactor_record(struct redactor *x, const struct redact *r, struct record *record);
