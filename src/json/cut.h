#pragma once

/* JSON that is too long, made shorter and still JSON. */

#include "base/buf.h"

/* Adds to b the longest beginning of `text` that can be made whole by closing what is open, within
 * max bytes; a long string is cut between two of its characters. `text` may itself break off
 * anywhere. What fits as a whole stays as it is. Returns 0, -EBADMSG if it is not the beginning of
 * JSON or is nested too deeply, -ENOBUFS, or -ENOMEM. */
int json_cut(struct slice text, size_t max, struct buf *b);
