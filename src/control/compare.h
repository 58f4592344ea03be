#pragma once

/* Two answers to the same request, and where they differ. Pure. */

#include "json/writer.h"

struct compared {
    unsigned status;
    struct slice head; /* header lines */
    struct slice body;
    bool is_cut; /* of the body only its beginning is there */
};

/* Writes an array of {"where", "before", "after"}: "status", "header content-type", "body.a[2].b"
 * in bodies that are both JSON, "body, line 3" in other texts, "body" in bytes; at most COMPARE_MAX
 * of them. What differs between any two answers (dates, ids, times) is left out, and so is what was
 * redacted. Returns how many there are. */
#define COMPARE_MAX 100
unsigned compare_write(const struct compared *before, const struct compared *after,
                       struct jsonw *w);
