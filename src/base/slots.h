#pragma once

/* A table that gives objects numbers which are never used twice: an index in the low half, a
 * generation in the high half. A number from a peer that is stale or made up finds nothing.
 * 0 is never given out. */

#include "base/def.h"

struct slots {
    struct slot *slots;
    uint32_t n_slots;
    uint32_t n_used;
    uint32_t free_head; /* index + 1 of the first free slot, 0 for none */
    uint32_t max;       /* ceiling on n_used */
};

void slots_init(struct slots *s, uint32_t max);
void slots_deinit(struct slots *s);

/* Borrows the object. Returns 0, -ENOBUFS at the ceiling, or -ENOMEM. */
int slots_add(struct slots *s, void *object, uint64_t *ret_id);

/* Returns the object or NULL. */
void *slots_get(const struct slots *s, uint64_t id);

/* Does nothing if the id is stale. */
void slots_remove(struct slots *s, uint64_t id);
