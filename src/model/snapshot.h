#pragma once

/* All that a running mayfly serves at one time: its functions and routes. Control makes one,
 * supervisor and gateway get it as sealed bytes in a memfd, and each decodes it for itself. */

#include "model/function.h"
#include "model/route.h"

#define SNAPSHOT_BYTES_MAX     (64 * MIB)
#define SNAPSHOT_FUNCTIONS_MAX 10000
#define SNAPSHOT_ROUTES_MAX    100000

struct snapshot {
    uint64_t generation; /* counts up with each load */
    bool dev;            /* stack traces go into responses, and loading happens at once */
    struct function *functions;
    uint32_t n_functions;
    struct route *routes;
    uint32_t n_routes;
    struct route_table table; /* over routes */
};

struct snapshot *snapshot_new(void); /* empty; NULL without memory */
struct snapshot *snapshot_free(struct snapshot *s);

/* Appends the snapshot's bytes to b. Returns 0, -ENOBUFS or -ENOMEM. */
int snapshot_encode(const struct snapshot *s, struct buf *b);

/* Returns 0, -EBADMSG or -ENOMEM; on failure *ret is untouched. */
int snapshot_decode(struct slice bytes, struct snapshot **ret);

/* Returns the function, or NULL. */
struct function *snapshot_find(const struct snapshot *s, struct slice name);
