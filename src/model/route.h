#pragma once

/* Which request goes where. A pattern is '/' and segments: text, `[name]` for any one segment, and
 * as the last one `*` for the rest (none included). The most specific pattern wins, wherever it was
 * declared: at the first segment that differs text goes before [name], and that before `*`; a
 * pattern with a method goes before the same one without. */

#include "base/error.h"
#include "base/slice.h"

enum builtin {
    BUILTIN_NONE,
    BUILTIN_ACTIVE_PROCESSES, /* JSON array: PIDs of the workers that carry out requests now */
    BUILTIN_REQUEST_COUNTER,  /* how many requests its project's functions have completed */
    _BUILTIN_MAX,
};

const char *builtin_name(enum builtin builtin); /* "active_processes" */
int builtin_from_name(struct slice name);       /* or -1 */

struct route {
    char *method;  /* upper case, or NULL for any */
    char *pattern; /* as declared, with the project's prefix */
    char *origin;  /* "file:line" or the file that gave rise to it, for messages */
    enum builtin builtin;
    uint32_t function; /* index into the snapshot's functions, if builtin is BUILTIN_NONE */
    char *project;     /* scope of a builtin */
};

void route_deinit(struct route *r);

#define ROUTE_PATTERN_MAX  1024 /* bytes */
#define ROUTE_SEGMENTS_MAX 64   /* of a pattern; bounds the depth of a search */
#define ROUTE_METHOD_MAX   32

/* Splits "[METHOD ]/path". The pattern is plain text, not percent-coded; its parameters' names are
 * letters, digits and "_-.", each used once. A method is one or more of A-Z, '-' and '_'. Returns 0
 * with slices into text (ret_method empty if there is none), or -EINVAL with *err. */
int route_parse(struct slice text, struct slice *ret_method, struct slice *ret_pattern,
                struct error *err);

#define ROUTE_PARAMS_MAX 16

struct route_param {
    struct slice name;  /* into the pattern */
    struct slice value; /* into the path, as sent (still percent-coded) */
};

struct route_match {
    const struct route *route;
    struct route_param params[ROUTE_PARAMS_MAX];
    uint32_t n_params;
};

enum {
    ROUTE_E_OK,
    ROUTE_E_NOT_FOUND, /* no pattern fits the path */
    ROUTE_E_METHOD,    /* a pattern fits, but not for this method: 405 */
};

/* Sorted for lookup; borrows the routes' strings. */
struct route_table {
    struct route *routes;
    uint32_t n_routes;
};

/* Sorts `routes` in place by specificity. Returns 0, or -EEXIST with an *err that names both
 * origins if two routes claim the same requests. The table borrows the array. */
int route_table_init(struct route_table *t, struct route *routes, uint32_t n_routes,
                     struct error *err);

/* Finds the route for a path that http_path_is_routable(). A trailing '/' is ignored. Segments are
 * compared percent-decoded; an empty one fits only `*`. HEAD fits a route for GET, unless the same
 * pattern has one for HEAD. On any outcome but ROUTE_E_OK, *ret is untouched.
 *
 * Context: no allocation; as many string comparisons as the pattern has segments, times the
 * logarithm of the routes. Returns an outcome above. */
int route_table_match(const struct route_table *t, struct slice method, struct slice path,
                      struct route_match *ret);

/* For a 405: the methods that fit the path, as "GET, HEAD, POST", into dst; cut between two of them
 * if they do not fit. */
void route_table_allowed(const struct route_table *t, struct slice path, char *dst,
                         size_t dst_size);
