#pragma once

/* Secrets at rest: STATE/secrets/NAME, each sealed by itself with the key in STATE/secrets.key, or
 * in the file mayfly.key of a systemd credential. What names, key or format were at sealing is
 * authenticated, so a file that was changed, renamed or made with another key does not open.
 *
 * A file is: 8 bytes "MFSECRT1", 8 bytes that tell the key, 12 bytes nonce, 16 bytes tag, and the
 * value, encrypted by AES-256-GCM. Files appear and change whole, or not at all.
 *
 * Only control and the command line link this. Values are wiped when they are given back. */

#include "base/error.h"
#include "base/slice.h"
#include "model/secret.h"

#include <time.h>

#define SECRETS_MAX      1000
#define SECRETS_TAG_SIZE 32

struct secrets;

/* Opens the secrets of a state folder; nothing is made yet. `credentials` is a folder that may hold
 * mayfly.key ($CREDENTIALS_DIRECTORY), or NULL. Returns 0, -EPERM for a key that others can read,
 * or another -errno, with *err. */
int secrets_open(const char *state, const char *credentials, struct secrets **ret,
                 struct error *err);
struct secrets *secrets_close(struct secrets *s);

/* The folder of the sealed files. */
const char *secrets_dir(const struct secrets *s);

struct secret {
    char *value; /* terminated, without a NUL in it; secret_clear() wipes and frees it */
    size_t len;
    uint8_t tag[SECRETS_TAG_SIZE]; /* keyed, of the sealed bytes: other with each setting */
};

void secret_clear(struct secret *secret);

/* Unseals. Returns 0, -ENOENT (is not set), -ENOKEY, -EKEYREJECTED (sealed with another key),
 * -EBADMSG (damaged, or another's file), or another -errno, with *err. */
int secrets_get(struct secrets *s, const char *name, struct secret *ret, struct error *err);

/* Seals and stores; makes folder and key when they are missing. What root makes belongs to whom the
 * state folder belongs. Returns 0, -EINVAL for a name or value that cannot be one, -ENOSPC beyond
 * SECRETS_MAX, or as above, with *err. */
int secrets_set(struct secrets *s, const char *name, struct slice value, struct error *err);

/* Returns 0, -ENOENT or another -errno, with *err. */
int secrets_remove(struct secrets *s, const char *name, struct error *err);

struct secret_info {
    char name[SECRET_NAME_MAX + 1];
    struct timespec set; /* when */
};

/* All of them by name; *ret is the caller's to free. Needs no key. Returns 0 or -errno with *err.
 */
int secrets_list(const struct secrets *s, struct secret_info **ret, size_t *ret_n,
                 struct error *err);
