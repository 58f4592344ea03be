#include "secrets/secrets.h"

#include "os/fd.h"
#include "secrets/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define FORBIDDEN_KEY        0077 /* nobody but its owner */
#define FORBIDDEN_CREDENTIAL 0007 /* systemd lets the service in by its group or an ACL */
#define SEALED_MAX           (SEALED_HEAD_SIZE + SECRET_VALUE_MAX)

struct secrets {
    char *state;
    char *dir;
    char *key_path; /* where a key is made if there is none */
    bool key_is_credential;
    struct secrets_key key;
};

/* ---- opening ---- */

static int out_of_memory(struct error *err)
{
    return error_set(err, -ENOMEM, "out of memory");
}

struct secrets *secrets_close(struct secrets *s)
{
    if (s) {
        OPENSSL_cleanse(&s->key, sizeof(s->key));
        free(s->state);
        free(s->dir);
        free(s->key_path);
        free(s);
    }
    return NULL;
}

static void secrets_closep(struct secrets **s)
{
    (void)secrets_close(*s);
}

const char *secrets_dir(const struct secrets *s)
{
    return s->dir;
}

static int find_key(struct secrets *s, const char *credentials, struct error *err)
{
    _cleanup_free_ char *path = NULL;
    int r;

    if (credentials && *credentials) {
        if (asprintf(&path, "%s/mayfly.key", credentials) < 0) {
            path = NULL;
            return out_of_memory(err);
        }
        r = key_load(path, FORBIDDEN_CREDENTIAL, &s->key, err);
        s->key_is_credential = r == 0;
        if (r != -ENOENT)
            return r;
    }
    r = key_load(s->key_path, FORBIDDEN_KEY, &s->key, err);
    return r == -ENOENT ? 0 : r;
}

int secrets_open(const char *state, const char *credentials, struct secrets **ret,
                 struct error *err)
{
    _cleanup_(secrets_closep) struct secrets *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return out_of_memory(err);
    s->state = slice_dup(slice_str(state));
    if (asprintf(&s->dir, "%s/secrets", state) < 0)
        s->dir = NULL;
    if (asprintf(&s->key_path, "%s/secrets.key", state) < 0)
        s->key_path = NULL;
    if (!s->state || !s->dir || !s->key_path)
        return out_of_memory(err);
    r = find_key(s, credentials, err);
    if (r < 0)
        return r;
    *ret = take_ptr(s);
    return 0;
}

/* ---- files ---- */

static int file_path(const struct secrets *s, const char *name, char **ret, struct error *err)
{
    if (!secret_name_is_valid(slice_str(name)))
        return error_set(err, -EINVAL,
                         "the name of a secret has letters, digits and \"_.-\", at most %d, and "
                         "does not begin with '.' or '-'",
                         SECRET_NAME_MAX);
    if (asprintf(ret, "%s/%s", s->dir, name) < 0) {
        *ret = NULL;
        return out_of_memory(err);
    }
    return 0;
}

/* Reads a sealed file; SEALED_MAX + 1 bytes tell that it is too long. */
static ssize_t sealed_read(const char *path, uint8_t *bytes)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    size_t len = 0;

    if (fd < 0)
        return -errno;
    while (len < SEALED_MAX + 1) {
        ssize_t n = read(fd, bytes + len, SEALED_MAX + 1 - len);

        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static int fail_unseal(const struct secrets *s, const char *name, int r, struct error *err)
{
    if (r == -ENOENT)
        return error_set(err, r, "secret %s is not set", name);
    if (r == -ENOKEY)
        return error_set(err, r,
                         "secret %s cannot be opened: the key %s is missing; put it back, or set "
                         "the secret anew",
                         name, s->key_path);
    if (r == -EKEYREJECTED)
        return error_set(err, r,
                         "secret %s was sealed with another key than %s; put that key back, or set "
                         "the secret anew",
                         name, s->key_is_credential ? "the credential mayfly.key" : s->key_path);
    if (r == -EBADMSG)
        return error_set(err, r, "secret %s: the file %s/%s is damaged; set the secret anew", name,
                         s->dir, name);
    return error_set_errno(err, r, "secret %s: cannot read %s/%s", name, s->dir, name);
}

void secret_clear(struct secret *secret)
{
    if (secret->value)
        OPENSSL_cleanse(secret->value, secret->len);
    free(secret->value);
    *secret = (struct secret){0};
}

int secrets_get(struct secrets *s, const char *name, struct secret *ret, struct error *err)
{
    _cleanup_(secret_clear) struct secret secret = {0};
    _cleanup_free_ uint8_t *sealed = NULL;
    _cleanup_free_ char *path = NULL;
    ssize_t n;
    int r = file_path(s, name, &path, err);

    if (r < 0)
        return r;
    sealed = malloc(SEALED_MAX + 1);
    if (!sealed)
        return out_of_memory(err);
    n = sealed_read(path, sealed);
    if (n < 0)
        return fail_unseal(s, name, (int)n, err);
    if (!s->key.there)
        return fail_unseal(s, name, -ENOKEY, err);
    if (n < (ssize_t)SEALED_HEAD_SIZE || n > (ssize_t)SEALED_MAX)
        return fail_unseal(s, name, -EBADMSG, err);
    secret.len = (size_t)n - SEALED_HEAD_SIZE;
    secret.value = calloc(1, secret.len + 1);
    if (!secret.value)
        return out_of_memory(err);
    r = unseal(&s->key, name, slice(sealed, (size_t)n), (uint8_t *)secret.value);
    if (r == 0)
        r = sealed_tag(&s->key, slice(sealed, (size_t)n), secret.tag);
    if (r < 0)
        return fail_unseal(s, name, r, err);
    *ret = secret;
    secret.value = NULL;
    return 0;
}

/* ---- listing ---- */

static int info_cmp(const void *a, const void *b)
{
    return strcmp(((const struct secret_info *)a)->name, ((const struct secret_info *)b)->name);
}

int secrets_list(const struct secrets *s, struct secret_info **ret, size_t *ret_n,
                 struct error *err)
{
    struct secret_info *infos = calloc(SECRETS_MAX, sizeof(*infos));
    DIR *dir = infos ? opendir(s->dir) : NULL;
    struct dirent *e;
    size_t n = 0;

    if (!infos)
        return out_of_memory(err);
    if (!dir && errno != ENOENT) {
        free(infos);
        return error_set_errno(err, -errno, "cannot read %s", s->dir);
    }
    while (dir && n < SECRETS_MAX && (e = readdir(dir))) {
        struct stat st;

        if (!secret_name_is_valid(slice_str(e->d_name)) ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        memcpy(infos[n].name, e->d_name, strlen(e->d_name) + 1);
        infos[n++].set = st.st_mtim;
    }
    if (dir)
        (void)closedir(dir);
    qsort(infos, n, sizeof(*infos), info_cmp);
    *ret = infos;
    *ret_n = n;
    return 0;
}

/* ---- setting ---- */

/* What root makes on behalf of a daemon, the daemon must be able to read. */
static void owner_find(const struct secrets *s, uid_t *ret_uid, gid_t *ret_gid)
{
    struct stat st;
    bool for_another = geteuid() == 0 && stat(s->state, &st) == 0 && st.st_uid != 0;

    *ret_uid = for_another ? st.st_uid : (uid_t)-1;
    *ret_gid = for_another ? st.st_gid : (gid_t)-1;
}

/* A new key must not come beside values that another one has sealed. */
static int key_ensure(struct secrets *s, size_t n_there, uid_t uid, gid_t gid, struct error *err)
{
    int r;

    if (s->key.there)
        return 0;
    if (n_there > 0)
        return error_set(err, -ENOKEY,
                         "there are sealed secrets in %s, but the key %s is missing; put it back, "
                         "say by CREDENTIALS_DIRECTORY where it is if systemd keeps it, or remove "
                         "the secrets",
                         s->dir, s->key_path);
    r = key_make(s->key_path, uid, gid, err);
    if (r == 0)
        r = key_load(s->key_path, FORBIDDEN_KEY, &s->key, err);
    return r == -ENOENT ? error_set(err, r, "the key %s is gone again", s->key_path) : r;
}

static int dir_ensure(const struct secrets *s, uid_t uid, gid_t gid, struct error *err)
{
    struct stat st;

    if (mkdir(s->dir, 0700) == 0) {
        if (lchown(s->dir, uid, gid) < 0)
            return error_set_errno(err, -errno, "cannot give %s away", s->dir);
    } else if (errno != EEXIST) {
        return error_set_errno(err, -errno, "cannot make the folder %s", s->dir);
    }
    if (lstat(s->dir, &st) < 0 || !S_ISDIR(st.st_mode))
        return error_set(err, -ENOTDIR, "%s is not a folder", s->dir);
    if (st.st_mode & FORBIDDEN_KEY)
        return error_set(err, -EPERM, "others can look into %s; run: chmod 700 %s", s->dir, s->dir);
    return 0;
}

/* Each is sealed with the same key, or the daemon could not open all of them. */
static int key_check(struct secrets *s, const struct secret_info *infos, size_t n,
                     const char *but_for, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        struct secret secret = {0};
        int r;

        if (strcmp(infos[i].name, but_for) == 0)
            continue;
        r = secrets_get(s, infos[i].name, &secret, err);
        secret_clear(&secret);
        if (r == -EKEYREJECTED)
            return r;
        if (r == 0)
            break;
    }
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, bytes + done, len - done);

        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static void dir_sync(const char *path)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        (void)fsync(fd); /* what cannot be made sure of is there all the same */
}

/* The file appears whole under its name. */
static int file_write(const struct secrets *s, const char *path, struct slice bytes, uid_t uid,
                      gid_t gid, struct error *err)
{
    _cleanup_free_ char *temporary = NULL;
    _cleanup_close_ int fd = -1;
    int r;

    if (asprintf(&temporary, "%s/.new-XXXXXX", s->dir) < 0) {
        temporary = NULL;
        return out_of_memory(err);
    }
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, -errno, "cannot make a file in %s", s->dir);
    r = write_all(fd, (const uint8_t *)bytes.base, bytes.len);
    if (r == 0 && (fchown(fd, uid, gid) < 0 || rename(temporary, path) < 0))
        r = -errno;
    if (r < 0) {
        (void)unlink(temporary);
        return error_set_errno(err, r, "cannot write %s", path);
    }
    dir_sync(s->dir);
    return 0;
}

static int value_check(struct slice value, struct error *err)
{
    if (value.len == 0)
        return error_set(err, -EINVAL, "the value is empty");
    if (value.len > SECRET_VALUE_MAX)
        return error_set(err, -EINVAL, "the value is larger than %d bytes", SECRET_VALUE_MAX);
    if (memchr(value.base, '\0', value.len))
        return error_set(err, -EINVAL,
                         "the value has a NUL byte, which no variable can hold; encode it, as by "
                         "base64");
    return 0;
}

/* Folder, key and room for one more. */
static int prepare(struct secrets *s, const char *name, uid_t uid, gid_t gid, struct error *err)
{
    _cleanup_free_ struct secret_info *infos = NULL;
    bool is_new = true;
    size_t n = 0;
    int r = dir_ensure(s, uid, gid, err);

    if (r == 0)
        r = secrets_list(s, &infos, &n, err);
    for (size_t i = 0; i < n; i++)
        is_new = is_new && strcmp(infos[i].name, name) != 0;
    if (r == 0 && is_new && n >= SECRETS_MAX)
        r = error_set(err, -ENOSPC, "there are %d secrets already, which is the most", SECRETS_MAX);
    if (r == 0)
        r = key_ensure(s, n - !is_new, uid, gid, err);
    return r < 0 ? r : key_check(s, infos, n, name, err);
}

int secrets_set(struct secrets *s, const char *name, struct slice value, struct error *err)
{
    _cleanup_free_ uint8_t *sealed = NULL;
    _cleanup_free_ char *path = NULL;
    uid_t uid;
    gid_t gid;
    int r = file_path(s, name, &path, err);

    if (r == 0)
        r = value_check(value, err);
    if (r < 0)
        return r;
    owner_find(s, &uid, &gid);
    r = prepare(s, name, uid, gid, err);
    if (r < 0)
        return r;
    sealed = malloc(SEALED_HEAD_SIZE + value.len);
    if (!sealed)
        return out_of_memory(err);
    r = seal(&s->key, name, value, sealed);
    if (r < 0)
        return error_set(err, r, "the value cannot be sealed: OpenSSL failed");
    return file_write(s, path, slice(sealed, SEALED_HEAD_SIZE + value.len), uid, gid, err);
}

int secrets_remove(struct secrets *s, const char *name, struct error *err)
{
    _cleanup_free_ char *path = NULL;
    int r = file_path(s, name, &path, err);

    if (r < 0)
        return r;
    if (unlink(path) < 0)
        return errno == ENOENT ? error_set(err, -ENOENT, "secret %s is not set", name)
                               : error_set_errno(err, -errno, "cannot remove %s", path);
    dir_sync(s->dir);
    return 0;
}
