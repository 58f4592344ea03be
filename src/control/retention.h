#pragma once

/* What a project says of how long records are kept, as the store takes it. */

#include "control/draft.h"
#include "store/store.h"

/* Returns 0 with *ret, whose overrides and their names are the caller's (retention_free()), or
 * -ENOMEM. */
int retention_make(const struct load *l, struct retention *ret);
void retention_free(struct retention *r);
