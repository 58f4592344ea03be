#pragma once

/* Requests that are recorded (`recording` in mayfly.json) on their way into the store. */

#include "wire/wire.h"

struct control;

/* In a capture's flags, above the store's: the enum trigger that the request came by. */
#define RECORDING_TRIGGER_SHIFT 8

/* Takes out what is not to be kept, and keeps the rest. */
void recording_take(struct control *c, const struct wire_recording *m);

/* An answer of the function without what is not kept of it: so it can be compared with one that was
 * kept, and shown to whoever may see that. Adds to the bufs. Returns 0, -ENOBUFS or -ENOMEM. */
int recording_clean_answer(struct control *c, struct slice function, struct slice head,
                           struct slice body, struct buf *ret_head, struct buf *ret_body);
