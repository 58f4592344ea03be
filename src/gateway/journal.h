#pragma once

/* Records and log lines on their way to control. Nothing here fails: what cannot be kept is
 * counted. */

#include "gateway/gateway.h"

int journal_open(struct gateway *g); /* 0 or -errno */
void journal_record(struct gateway *g, const struct record *r);
void journal_log(struct gateway *g, const struct log_line *l);
void journal_flush(struct gateway *g);
const char *journal_find_recent(struct gateway *g, struct slice request_id);
