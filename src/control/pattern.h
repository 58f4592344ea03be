#pragma once

/* Paths as vercel.json writes them become what the gateway asks with: `source` is a pattern in the
 * syntax of path-to-regexp 6 ("/blog/:slug", "/:path*", "/post/:id(\\d{1,})"), `destination` speaks
 * of its parameters. Pure. */

#include "base/buf.h"
#include "base/error.h"

#define PATTERN_SOURCE_MAX 4096
#define PATTERN_KEYS_MAX   32
#define PATTERN_NAME_MAX   63

/* The parameters of a source, in the order of their groups; and those of conditions. */
struct pattern_keys {
    struct {
        char name[PATTERN_NAME_MAX + 1]; /* "" for one without a name */
        uint32_t group;                  /* 0: a condition's */
    } keys[PATTERN_KEYS_MAX];
    uint32_t n_keys;
};

/* Adds the PCRE2 pattern of a source to `regex`. Returns 0, -EINVAL with *err, -ENOBUFS or -ENOMEM.
 */
int pattern_translate(const char *source, struct buf *regex, struct pattern_keys *keys,
                      struct error *err);

/* Adds the names under which a condition's value can be used. */
void pattern_keys_add_condition(struct pattern_keys *keys, const char *key, const char *value,
                                bool is_host);

/* Adds a template (model/site.h). With `query`, parameters of which the destination makes no use in
 * its path are added to its query, all of them, as Vercel does for rewrites. Returns 0 or -errno.
 */
int pattern_destination(const char *destination, const struct pattern_keys *keys, bool query,
                        struct buf *template);

/* Whether PCRE2 takes it. Returns 0, or -EINVAL with *err. */
int pattern_check(const char *regex, struct error *err);
