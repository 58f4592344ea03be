#pragma once

/* Inside src/secrets only: key and cipher, without files of secrets. */

#include "secrets/secrets.h"

#define KEY_ID_SIZE 8
#define NONCE_SIZE  12
#define TAG_SIZE    16

/* Two keys and a name for them, from the bytes of a key file. */
struct secrets_key {
    uint8_t seal[32];
    uint8_t digest[32];
    uint8_t id[KEY_ID_SIZE];
    bool there;
};

/* Reads a key file. Returns 0, -ENOENT, -EPERM if others than the allowed may read it, or another
 * -errno, with *err but for -ENOENT. `forbidden` are the bits of its mode that must not be set. */
int key_load(const char *path, unsigned forbidden, struct secrets_key *ret, struct error *err);

/* Makes a new key file of `uid` and `gid` (-1: ours) if there is none; whoever comes first wins.
 * Returns 0 or -errno with *err. */
int key_make(const char *path, uid_t uid, gid_t gid, struct error *err);

/* One sealed file as bytes. */
#define SEALED_MAGIC     "MFSECRT1"
#define SEALED_HEAD_SIZE (8 + KEY_ID_SIZE + NONCE_SIZE + TAG_SIZE)

/* `dst` has room for SEALED_HEAD_SIZE + value.len. Returns 0 or -EIO. */
int seal(const struct secrets_key *key, const char *name, struct slice value, uint8_t *dst);

/* `dst` has room for the value. Returns 0, -EKEYREJECTED or -EBADMSG. */
int unseal(const struct secrets_key *key, const char *name, struct slice sealed, uint8_t *dst);

/* Returns 0 or -EIO. */
int sealed_tag(const struct secrets_key *key, struct slice sealed,
               uint8_t ret[static SECRETS_TAG_SIZE]);
