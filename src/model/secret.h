#pragma once

/* Secrets as the processes speak of them: names, the texts of mayfly.json that mention them, and
 * values as bytes on their way from control to a worker. What keeps them is src/secrets. */

#include "base/buf.h"
#include "model/function.h"

#define SECRET_NAME_MAX     128
#define SECRET_VALUE_MAX    65536
#define SECRET_BUNDLE_MAX   (1 * MIB)  /* all of one function */
#define SECRET_BUNDLES_MAX  (64 * MIB) /* of all functions */
#define SECRET_REDACTED_MIN 6          /* bytes of a value, for it to be looked for in texts */

/* Letters, digits and "_.-", no '.' or '-' at the start: it is the name of a file. */
bool secret_name_is_valid(struct slice name);

/* ---- "postgres://me:${secret:PASSWORD}@db" ---- */

struct secret_piece {
    bool is_secret;
    struct slice text; /* the secret's name, or what stands there as it is */
};

/* Takes the next piece off *rest; `$${` becomes the text `${`. Returns 1 with *ret, 0 at the end,
 * -EINVAL for a `${` with something else behind it than `secret:NAME}`. */
int secret_piece_next(struct slice *rest, struct secret_piece *ret);

/* Whether the text mentions a secret; of a bad one, whether it does before it is bad. */
bool secret_is_in(struct slice text);

/* ---- the bundle of one function: what its workers get ---- */

enum secret_entry_kind {
    SECRET_ENTRY_VARIABLE = 'V', /* a variable of the environment, complete */
    SECRET_ENTRY_SECRET = 'S',   /* a secret by its own name, to know what must not be told */
};

struct secret_entry {
    enum secret_entry_kind kind;
    char *text; /* NAME=value, terminated; borrowed */
    size_t name_len;
    size_t value_len;
};

/* An entry is its kind, NAME=value and a NUL. Adds kind and name; the value's pieces and the NUL
 * are the caller's to add. Returns 0, -ENOBUFS or -ENOMEM. */
int secret_entry_begin(struct buf *b, enum secret_entry_kind kind, struct slice name);

/* Takes the next entry off *rest, which is in memory that may be pointed into for ever. Returns 1
 * with *ret, 0 at the end, -EBADMSG. Allocates nothing. */
int secret_entry_next(struct slice *rest, struct secret_entry *ret);

/* ---- the bundles of all functions: a sealed memfd from control to the supervisor ---- */

/* begin; add for each function that has one; end sets the number at the place that begin left. */
int secret_bundles_begin(struct buf *b);
int secret_bundles_add(struct buf *b, const char *function, const char *version,
                       struct slice bundle);
void secret_bundles_end(struct buf *b, uint32_t n);

/* Finds the bundle of a version, after a look at all: bytes that control would never have written
 * give -EBADMSG. Returns 0, -ENOENT or -EBADMSG. Allocates nothing. */
int secret_bundles_find(struct slice bytes, const char *function, const char *version,
                        struct slice *ret);
