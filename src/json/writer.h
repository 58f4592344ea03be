#pragma once

/* JSON written as it comes, without a tree: the caller opens, names and closes, the writer sets
 * commas and escapes. After the first failure nothing more is written, and jsonw_end() tells; so
 * writing is straight-line code.
 *
 *   struct jsonw w = JSONW_INIT(&buf);
 *   jsonw_object_begin(&w);
 *   jsonw_key(&w, "status");
 *   jsonw_u64(&w, 200);
 *   jsonw_object_end(&w);
 *   r = jsonw_end(&w); */

#include "base/buf.h"
#include "base/slice.h"

struct jsonw {
    struct buf *b;
    int r;
    uint32_t depth;
    bool comma; /* a value stands before */
};

#define JSONW_INIT(buf_ptr) ((struct jsonw){.b = (buf_ptr)})

void jsonw_object_begin(struct jsonw *w);
void jsonw_object_end(struct jsonw *w);
void jsonw_array_begin(struct jsonw *w);
void jsonw_array_end(struct jsonw *w);
void jsonw_key(struct jsonw *w, const char *key);

/* Any bytes: what is not UTF-8 becomes U+FFFD; control characters, which a terminal would obey, are
 * escaped. */
void jsonw_str(struct jsonw *w, struct slice s);
void jsonw_u64(struct jsonw *w, uint64_t v);
void jsonw_milli(struct jsonw *w, uint64_t thousandths); /* 12345 as 12.345 */
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
void jsonw_json(struct jsonw *w, struct slice json); /* one value that is JSON already */

/* Everything is closed. Returns 0, -ENOBUFS or -ENOMEM: then an unfinished part stands in the
 * buffer. */
int jsonw_end(struct jsonw *w);
