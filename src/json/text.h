#pragma once

/* JSON from people and peers, read by jansson within bounds. Errors say where: jansson keeps no
 * positions of what it has read, so json_locate() finds them again in the text, which only a
 * message to somebody needs.
 *
 * Context: allocates; not fork-safe. */

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#include <jansson.h>

#define JSON_DEPTH_MAX 64 /* objects and arrays within one another */

/* Reads a text whose outermost value is an object or array. `name` is what errors call it:
 * "mayfly.json:3:14: what is wrong; the mend". Refuses a key that stands twice in an object, NUL in
 * strings, more than JSON_DEPTH_MAX levels. Returns 0 with a reference in *ret, or -EINVAL with
 * *err. */
int json_text_load(struct slice text, const char *name, json_t **ret, struct error *err);

/* The same for a file, whose bytes are added to `text`; the buffer's ceiling is the file's. Returns
 * 0, -EINVAL, -EFBIG, -ENOMEM, or the -errno of opening and reading (-ENOENT), with *err. */
int json_file_load(const char *path, const char *name, struct buf *text, json_t **ret,
                   struct error *err);

/* The way to a value: the last step, and the one before it. Made on the stack while descending. */
struct json_path {
    const struct json_path *parent; /* NULL for a key or item of the outermost value */
    const char *key;                /* in an object; or NULL: */
    size_t index;                   /* in an array */
};

/* The line (from 1) in which the key or item stands, in a text that json_text_load() has accepted;
 * for a path that is not there, of the last step that is. NULL is the outermost value. */
uint32_t json_locate(struct slice text, const struct json_path *path);

/* functions.sleep.env, routes["GET /x"], include[2]; cut to fit. Returns dst. */
char *json_path_text(const struct json_path *path, char *dst, size_t dst_size);

/* "a string", "an object", ... for messages. */
const char *json_kind(const json_t *value);
