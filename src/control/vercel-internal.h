#pragma once

/* What vercel.c (the file) and vercel-rules.c (its rules) share. */

#include "control/config-internal.h"
#include "control/vercel.h"

struct vercel_reader {
    struct reader rd;
    struct vercel *v;
};

/* One for each key; `here` is where the value stands. */
typedef int vercel_read(struct vercel_reader *vr, json_t *value, const struct json_path *here);

vercel_read vercel_read_redirects, vercel_read_rewrites, vercel_read_headers, vercel_read_routes;

/* Warns with file and line. */
void vercel_warn_at(struct vercel_reader *vr, const struct json_path *here, const char *format, ...)
    _printf_(3, 4);

/* Warns of the keys of an object that are none of these (NULL-terminated). */
void vercel_warn_keys(struct vercel_reader *vr, json_t *object, const struct json_path *here,
                      const char *const *known);
