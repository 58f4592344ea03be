#pragma once

/* The line that AWS Lambda ends each request's log with, for handlers that are Lambda's. */

#include "model/function.h"
#include "model/record.h"

#define REPORT_SIZE 320

/* By its runtime, or because its handler is called one ("app.handler", "lambda_handler"). */
bool report_is_for(const struct function *f);

/* "REPORT RequestId: ... Duration: 5.74 ms ..." as AWS writes it, with what was measured. Returns
 * the line, whose time and text (in dst) are ours; the rest borrows the record's. */
struct log_line report_line(const struct record *r, char dst[static REPORT_SIZE]);
