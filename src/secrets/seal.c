/* AES-256-GCM. A nonce is random: with one key some 2^32 values may be sealed. What is not
 * encrypted (format, key, name) is authenticated. */

#include "secrets/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "os/fd.h"

#define KEY_BYTES_MIN 32
#define KEY_BYTES_MAX 4096
#define KEY_NEW_BYTES 32

#define AT_KEY_ID (sizeof(SEALED_MAGIC) - 1)
#define AT_NONCE  (AT_KEY_ID + KEY_ID_SIZE)
#define AT_TAG    (AT_NONCE + NONCE_SIZE)

_Static_assert(AT_TAG + TAG_SIZE == SEALED_HEAD_SIZE, "the head is these four");

static void wipep(EVP_CIPHER_CTX **ctx)
{
    EVP_CIPHER_CTX_free(*ctx);
}

/* ---- the key ---- */

/* Each use has a key of its own, so that none tells of another. */
static bool derive(struct slice material, const char *use, uint8_t *dst, size_t size)
{
    uint8_t digest[32];
    unsigned len = 0;
    bool done = HMAC(EVP_sha256(), material.base, (int)material.len, (const uint8_t *)use,
                     strlen(use), digest, &len) &&
                len == sizeof(digest);

    if (done)
        memcpy(dst, digest, size);
    OPENSSL_cleanse(digest, sizeof(digest));
    return done;
}

int key_load(const char *path, unsigned forbidden, struct secrets_key *ret, struct error *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    uint8_t bytes[KEY_BYTES_MAX];
    struct secrets_key key = {.there = true};
    struct slice material;
    struct stat st;
    ssize_t n;
    bool done;

    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(err, -errno, "cannot read the key of the secrets %s", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "the key of the secrets %s is not a file", path);
    if (st.st_mode & forbidden)
        return error_set(err, -EPERM,
                         "others can read the key of the secrets %s (mode %04o); run: chmod 600 "
                         "%s, and set the secrets anew if somebody may have read it",
                         path, (unsigned)st.st_mode & 07777, path);
    n = read(fd, bytes, sizeof(bytes));
    if (n < 0)
        return error_set_errno(err, -errno, "cannot read the key of the secrets %s", path);
    if (n < KEY_BYTES_MIN)
        return error_set(err, -EINVAL,
                         "the key of the secrets %s has %zd bytes, at least %d are needed", path, n,
                         KEY_BYTES_MIN);
    material = slice(bytes, (size_t)n);
    done = derive(material, "mayfly secrets 1: seal", key.seal, sizeof(key.seal)) &&
           derive(material, "mayfly secrets 1: digest", key.digest, sizeof(key.digest)) &&
           derive(material, "mayfly secrets 1: id", key.id, sizeof(key.id));
    OPENSSL_cleanse(bytes, sizeof(bytes));
    if (done)
        *ret = key;
    OPENSSL_cleanse(&key, sizeof(key));
    return done ? 0 : error_set(err, -EIO, "cannot derive the key of the secrets");
}

/* Complete before it has its name: a link fails where a rename would replace. */
int key_make(const char *path, uid_t uid, gid_t gid, struct error *err)
{
    _cleanup_free_ char *temporary = NULL;
    _cleanup_close_ int fd = -1;
    uint8_t bytes[KEY_NEW_BYTES];
    int r = 0;

    if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        temporary = NULL;
        return error_set(err, -ENOMEM, "out of memory");
    }
    fd = mkostemp(temporary, O_CLOEXEC); /* 0600 and O_EXCL */
    if (fd < 0)
        return error_set_errno(err, -errno, "cannot make %s", temporary);
    if (RAND_priv_bytes(bytes, sizeof(bytes)) != 1)
        r = -EIO;
    else if (write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes) || fsync(fd) < 0 ||
             fchown(fd, uid, gid) < 0 || (link(temporary, path) < 0 && errno != EEXIST))
        r = errno ? -errno : -EIO;
    OPENSSL_cleanse(bytes, sizeof(bytes));
    (void)unlink(temporary);
    return r < 0 ? error_set_errno(err, r, "cannot make the key of the secrets %s", path) : 0;
}

/* ---- values ---- */

/* What both directions do before the value: cipher, key, nonce, and what is authenticated. */
static bool begin(EVP_CIPHER_CTX *ctx, const struct secrets_key *key, const char *name,
                  const uint8_t *head, int encrypt)
{
    int n;

    return EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, NULL, NULL, encrypt) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, NONCE_SIZE, NULL) == 1 &&
           EVP_CipherInit_ex(ctx, NULL, NULL, key->seal, head + AT_NONCE, encrypt) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &n, head, (int)AT_NONCE) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)name, (int)strlen(name)) == 1;
}

int seal(const struct secrets_key *key, const char *name, struct slice value, uint8_t *dst)
{
    _cleanup_(wipep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t *end = dst + SEALED_HEAD_SIZE;
    int n = 0, rest;

    memcpy(dst, SEALED_MAGIC, AT_KEY_ID);
    memcpy(dst + AT_KEY_ID, key->id, KEY_ID_SIZE);
    if (!ctx || RAND_bytes(dst + AT_NONCE, NONCE_SIZE) != 1 || !begin(ctx, key, name, dst, 1) ||
        EVP_CipherUpdate(ctx, end, &n, (const uint8_t *)value.base, (int)value.len) != 1 ||
        EVP_CipherFinal_ex(ctx, end + n, &rest) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, dst + AT_TAG) != 1)
        return -EIO;
    return 0;
}

int unseal(const struct secrets_key *key, const char *name, struct slice sealed, uint8_t *dst)
{
    _cleanup_(wipep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const uint8_t *head = (const uint8_t *)sealed.base;
    uint8_t tag[TAG_SIZE];
    int n = 0, rest;

    if (sealed.len < SEALED_HEAD_SIZE || memcmp(head, SEALED_MAGIC, AT_KEY_ID) != 0)
        return -EBADMSG;
    if (memcmp(head + AT_KEY_ID, key->id, KEY_ID_SIZE) != 0)
        return -EKEYREJECTED;
    memcpy(tag, head + AT_TAG, TAG_SIZE);
    if (!ctx || !begin(ctx, key, name, head, 0) ||
        EVP_CipherUpdate(ctx, dst, &n, head + SEALED_HEAD_SIZE,
                         (int)(sealed.len - SEALED_HEAD_SIZE)) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) != 1 ||
        EVP_CipherFinal_ex(ctx, dst + n, &rest) != 1)
        return -EBADMSG;
    return 0;
}

int sealed_tag(const struct secrets_key *key, struct slice sealed,
               uint8_t ret[static SECRETS_TAG_SIZE])
{
    unsigned len = 0;

    return HMAC(EVP_sha256(), key->digest, sizeof(key->digest), (const uint8_t *)sealed.base,
                sealed.len, ret, &len) &&
                   len == SECRETS_TAG_SIZE
               ? 0
               : -EIO;
}
