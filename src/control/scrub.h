#pragma once

/* Takes the values of named headers and fields out of what is recorded of a request and its answer.
 * Pure. Names are compared without regard to case; besides those that a function gives in `redact`,
 * those that mean a secret everywhere are always among them (scrub.c).
 *
 * Fields are looked for in the query of the request line, in JSON at any depth, and in forms. A
 * body of these kinds that cannot be read in full, and has one of the names in it, is left out as a
 * whole; so is a form with files. Bodies of other kinds stay as they are. */

#include "base/buf.h"

/* What stands in the place of a value. */
#define SCRUBBED "[redacted]"
/* And of a whole body. */
#define SCRUBBED_WHOLE "[left out: it has a field to be redacted, and cannot be read in full]"

/* names: NULL-terminated, or NULL. Each adds the text to b. Returns 1 if something was taken out, 0
 * if not, -ENOBUFS or -ENOMEM. */

/* Header lines, with a request line ahead of them or none. */
int scrub_head(char *const *names, struct slice head, bool has_request_line, struct buf *b);

/* head: its header lines, which say what it is. */
int scrub_body(char *const *names, struct slice head, struct slice body, struct buf *b);

/* Takes the first line off, without its end. */
struct slice scrub_line(struct slice *rest);

/* The value of a header among the lines; false if there is none. */
bool scrub_find(struct slice head, const char *name, struct slice *ret_value);
