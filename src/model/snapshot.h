#pragma once

/* All that a running mayfly serves at one time: its functions and routes. Control makes one,
 * supervisor and gateway get it as sealed bytes in a memfd, and each decodes it for itself. */

#include "model/function.h"
#include "model/route.h"
#include "model/site.h"

#define SNAPSHOT_BYTES_MAX     (64 * MIB)
#define SNAPSHOT_FUNCTIONS_MAX 10000
#define SNAPSHOT_ROUTES_MAX    100000
#define SNAPSHOT_ARGS_MAX      64   /* words of a zygote's command line */
#define SNAPSHOT_ENV_MAX       1024 /* variables of one function */
#define SNAPSHOT_EGRESS_MAX    1024 /* addresses that one function may reach */
#define SNAPSHOT_MOUNTS_MAX    16   /* twice as many as there are mounts */
#define SNAPSHOT_ABOUT_MAX     16
#define SNAPSHOT_PATHS_MAX     64 /* that one function may read, or write; names that it redacts */

struct snapshot {
    uint64_t generation; /* counts up with each load */
    bool dev;            /* stack traces go into responses, and loading happens at once */
    struct function *functions;
    uint32_t n_functions;
    struct route *routes;
    uint32_t n_routes;
    struct site *sites; /* the folders that have files or rules; often none */
    uint32_t n_sites;
    struct route_table table; /* over routes */
    uint32_t *by_name;        /* functions sorted by name, for snapshot_find(); NULL: not indexed */
};

struct snapshot *snapshot_new(void); /* empty; NULL without memory */
struct snapshot *snapshot_free(struct snapshot *s);

/* Appends the snapshot's bytes to b. Returns 0, -ENOBUFS or -ENOMEM. */
int snapshot_encode(const struct snapshot *s, struct buf *b);

/* Sorts the routes into the table and indexes the names, after functions and routes were filled
 * in. Returns 0, -EEXIST with *err if two routes or two names clash, or -ENOMEM. */
int snapshot_index(struct snapshot *s, struct error *err);

/* Reads and indexes. Refuses what control would never have written: an enum or limit out of range,
 * a name that is none, a route to a function that is not there, a clash. Returns 0, -EBADMSG or
 * -ENOMEM; on failure *ret is untouched. */
int snapshot_decode(struct slice bytes, struct snapshot **ret);

/* Returns the function, or NULL. */
struct function *snapshot_find(const struct snapshot *s, struct slice name);
