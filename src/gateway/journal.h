#pragma once

/* Records and log lines on their way to control. Nothing here fails: what cannot be kept is
 * counted. */

#include "gateway/gateway.h"

int journal_open(struct gateway *g); /* 0 or -errno */
void journal_record(struct gateway *g, const struct record *r);
void journal_log(struct gateway *g, const struct log_line *l);
void journal_flush(struct gateway *g);

/* Whether there is something that control has not been sent. */
bool journal_is_behind(const struct gateway *g);

/* The channel to control: it has all batches up to this one; it is new; it is gone. */
void journal_taken(struct gateway *g, uint64_t batch);
void journal_link_up(struct gateway *g);
void journal_link_down(struct gateway *g);

/* The record of a request that was invoked, as JSON; borrowed. NULL: none, or too long ago. */
const char *journal_find_recent(struct gateway *g, struct slice request_id);
