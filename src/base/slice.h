#pragma once

/* Borrowed bytes: a pointer and a length, not terminated, never freed. */

#include "base/def.h"

#include <string.h>

struct slice {
    const char *base; /* may be NULL if len is 0 */
    size_t len;
};

#define SLICE_LIT(s) ((struct slice){(s), sizeof(s) - 1})
#define SLICE_NULL   ((struct slice){NULL, 0})

/* For printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)(s).len, ((s).base ? (s).base : "")

static inline struct slice slice(const void *base, size_t len)
{
    return (struct slice){base, len};
}

/* NULL gives the empty slice. */
static inline struct slice slice_str(const char *s)
{
    return (struct slice){s, s ? strlen(s) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.base, b.base, a.len) == 0);
}

/* ASCII case is ignored, the locale does not matter. */
bool slice_eq_nocase(struct slice a, struct slice b);

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice(s.base, prefix.len), prefix);
}

/* Cuts s at the first `c`: returns what is before it, s becomes what is behind it. Without one all
 * of s is returned, and s becomes empty. */
struct slice slice_cut(struct slice *s, char c);

/* Without the blanks and tabs at both ends. */
struct slice slice_trim(struct slice s);

/* Returns a heap copy that ends in NUL, or NULL without memory. */
char *slice_dup(struct slice s);
