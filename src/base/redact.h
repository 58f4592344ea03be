#pragma once

/* Finds values in texts that may not tell them, and puts "[secret NAME]" in their place: as they
 * are, each line of one with several, and as JSON, percent-encoding and Base64 (also as a part of
 * something longer) write them. What is disguised in any other way is not found. */

#include "base/buf.h"

#define REDACT_VALUE_MIN  6 /* shorter ones would make a riddle of any text */
#define REDACT_VALUES_MAX 4096

struct redact;

struct redact *redact_new(void);              /* NULL without memory */
struct redact *redact_free(struct redact *r); /* wipes */

/* Looks for `value`, too; one that is known already, or too short, is left out. Returns 0, -ENOBUFS
 * beyond the ceiling, or -ENOMEM. */
int redact_add(struct redact *r, struct slice name, struct slice value);

/* A text that is a piece of a longer one: a value may have been cut in two there. Then parts of at
 * least REDACT_PART_MIN bytes are found, too, at that end. */
#define REDACT_PART_MIN 4
enum {
    REDACT_CUT_START = 1,
    REDACT_CUT_END = 2,
};

/* Adds `text` to b without the values. Returns 1 if there was one, 0 if there was none (then
 * nothing is added), -ENOBUFS or -ENOMEM. */
int redact_text(const struct redact *r, struct slice text, unsigned cut, struct buf *b);
