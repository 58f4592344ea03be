/* A file is taken to be unchanged while device, inode, size, mtime and ctime are. That is not so
 * for a file that is written twice within one tick of the file system's clock, so the hash of one
 * that has changed just now is not kept (the same trap as git's "racily clean" entries). */

#include "control/tree.h"

#include "base/clock.h"
#include "control/config.h"
#include "control/node.h"
#include "control/target.h"
#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRESH_US 100000 /* a tick is at most 10 ms */

struct cached {
    uint64_t dev, ino, size, mtime_ns, ctime_ns;
    uint8_t hash[TREE_HASH_SIZE];
    bool used;
};

/* Open addressing; n_slots is a power of two and at least twice n_used. */
struct table {
    struct cached *slots;
    size_t n_slots;
    size_t n_used;
};

struct tree_cache {
    struct table now;
    struct table before;
};

/* ---- digests ---- */

void digest_begin(struct digest *d)
{
    d->ctx = EVP_MD_CTX_new();
    d->bad = !d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1;
}

static void digest_bytes(struct digest *d, const void *bytes, size_t len)
{
    d->bad = d->bad || EVP_DigestUpdate(d->ctx, bytes, len) != 1;
}

void digest_u64(struct digest *d, uint64_t v)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    digest_bytes(d, bytes, sizeof(bytes));
}

void digest_str(struct digest *d, struct slice s)
{
    digest_u64(d, s.len);
    digest_bytes(d, s.base, s.len);
}

int digest_end(struct digest *d, uint8_t ret[static TREE_HASH_SIZE])
{
    bool bad = d->bad || EVP_DigestFinal_ex(d->ctx, ret, NULL) != 1;

    EVP_MD_CTX_free(d->ctx);
    d->ctx = NULL;
    return bad ? -ENOMEM : 0;
}

void digest_hex(const uint8_t *hash, size_t n, char *dst)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(dst + 2 * i, 3, "%02x", hash[i]);
}

/* ---- cache ---- */

static bool cached_eq(const struct cached *a, const struct cached *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* The slot that holds it, or the free one where it would be; NULL in an empty table. */
static struct cached *table_slot(const struct table *t, const struct cached *key)
{
    size_t i = (key->ino ^ key->mtime_ns ^ key->dev << 7) * 0x9e3779b97f4a7c15ULL;

    if (t->n_slots == 0)
        return NULL;
    for (i >>= 20;; i++) {
        struct cached *slot = &t->slots[i & (t->n_slots - 1)];

        if (!slot->used || cached_eq(slot, key))
            return slot;
    }
}

/* Without memory it is not remembered, which costs time only. */
static void table_put(struct table *t, const struct cached *entry)
{
    struct cached *slot;

    if (2 * (t->n_used + 1) > t->n_slots) {
        struct table grown = {.n_slots = MAX(2 * t->n_slots, 256)};

        grown.slots = calloc(grown.n_slots, sizeof(*grown.slots));
        if (!grown.slots)
            return;
        for (size_t i = 0; i < t->n_slots; i++) {
            if (t->slots[i].used)
                table_put(&grown, &t->slots[i]);
        }
        free(t->slots);
        *t = grown;
    }
    slot = table_slot(t, entry);
    t->n_used += !slot->used;
    *slot = *entry;
    slot->used = true;
}

struct tree_cache *tree_cache_new(void)
{
    return calloc(1, sizeof(struct tree_cache));
}

struct tree_cache *tree_cache_free(struct tree_cache *c)
{
    if (c) {
        free(c->now.slots);
        free(c->before.slots);
        free(c);
    }
    return NULL;
}

void tree_cache_begin(struct tree_cache *c)
{
    free(c->before.slots);
    c->before = c->now;
    c->now = (struct table){0};
}

void tree_deinit(struct tree *t)
{
    free(t->closed);
    t->closed = NULL;
}

static struct cached stat_key(const struct stat *st)
{
    return (struct cached){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = (uint64_t)st->st_mtim.tv_sec * NS_PER_S + (uint64_t)st->st_mtim.tv_nsec,
        .ctime_ns = (uint64_t)st->st_ctim.tv_sec * NS_PER_S + (uint64_t)st->st_ctim.tv_nsec};
}

static int content_hash(int fd, uint8_t ret[static TREE_HASH_SIZE])
{
    static char buffer[65536];
    struct digest d;
    int r = 0, x;

    digest_begin(&d);
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof(buffer));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = -errno;
        if (n <= 0)
            break;
        digest_bytes(&d, buffer, (size_t)n);
    }
    x = digest_end(&d, ret);
    return r < 0 ? r : x;
}

int tree_file_hash(struct tree_cache *c, const char *path, uint8_t ret[static TREE_HASH_SIZE])
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct cached key;
    const struct cached *known;
    struct stat st;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    key = stat_key(&st);
    known = table_slot(&c->now, &key);
    if (!known || !known->used)
        known = table_slot(&c->before, &key);
    if (known && known->used) {
        memcpy(ret, known->hash, TREE_HASH_SIZE);
        key = *known;
        table_put(&c->now, &key);
        return 0;
    }
    r = content_hash(fd, ret);
    if (r < 0)
        return r;
    memcpy(key.hash, ret, TREE_HASH_SIZE);
    if (MAX(key.mtime_ns, key.ctime_ns) / NS_PER_US + FRESH_US < clock_wall_us())
        table_put(&c->now, &key);
    return 0;
}

/* ---- folders ---- */

bool tree_ignores(const char *name)
{
    static const char *const names[] = {"__pycache__", "node_modules", "4913"};
    size_t len = strlen(name);

    if (strcmp(name, ".python-version") == 0 || node_is_version_file(name))
        return false; /* chooses the interpreter */
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    if (strncmp(name, ".env", 4) == 0 && (name[4] == '\0' || name[4] == '.'))
        return false; /* variables of the functions */
    return name[0] == '.' || name[0] == '#' || name[len - 1] == '~' ||
           (len > 4 && strcmp(name + len - 4, ".pyc") == 0) ||
           (len > 4 && strcmp(name + len - 4, ".swp") == 0);
}

bool tree_is_venv(const char *path)
{
    _cleanup_free_ char *mark = path_join(path, "pyvenv.cfg");

    return mark && path_is_file(mark);
}

struct walk {
    struct tree_cache *cache;
    struct digest digest;
    const char *dir;
    struct stat except; /* st_ino is 0 for none */
    uint32_t n_files;
    char *closed;
    struct error *err;
};

static int walk_dir(struct walk *w, const char *folder, const char *closed, unsigned depth);

static bool is_closed(const struct stat *folder)
{
    return (folder->st_mode & 05) != 05;
}

/* What a runtime loads or executes. Data that is kept from others is so because somebody wants it.
 */
static bool is_code(const char *file, const struct stat *st)
{
    static const char *const endings[] = {".py", ".so",  ".js",  ".mjs", ".cjs",
                                          ".ts", ".mts", ".cts", ".pl",  ".pm"};
    const char *ending = strrchr(file, '.');

    for (size_t i = 0; ending && i < ARRAY_SIZE(endings); i++) {
        if (strcmp(ending, endings[i]) == 0)
            return true;
    }
    return st->st_mode & 0111;
}

/* `closed` is the folder above it that others cannot read, or NULL. */
static void note_closed(struct walk *w, const char *file, const struct stat *st, const char *closed)
{
    bool readable = st->st_mode & S_IROTH;

    if (w->closed || (!closed && readable) || !is_code(file, st))
        return;
    if (closed && closed[0] == '\0')
        w->closed = slice_dup(slice_str(w->dir));
    else
        w->closed = path_join(w->dir, closed ? closed : file);
}

static int walk_entry(struct walk *w, const char *file, const char *closed, unsigned depth)
{
    _cleanup_free_ char *path = path_join(w->dir, file);
    uint8_t hash[TREE_HASH_SIZE];
    char link[PATH_MAX];
    struct stat st;
    ssize_t n;
    int r;

    if (!path)
        return error_set(w->err, -ENOMEM, "out of memory");
    if (lstat(path, &st) < 0)
        return 0; /* gone since the folder was read: there will be another load */
    if (S_ISDIR(st.st_mode)) {
        if ((st.st_ino == w->except.st_ino && st.st_dev == w->except.st_dev) || tree_is_venv(path))
            return 0;
        return walk_dir(w, file, closed ? closed : is_closed(&st) ? file : NULL, depth + 1);
    }
    if (++w->n_files > TREE_FILES_MAX)
        return error_set(w->err, -E2BIG,
                         "%s: more than %d files; keep data that is no code outside of the project",
                         w->dir, TREE_FILES_MAX);
    digest_str(&w->digest, slice_str(file));
    if (S_ISLNK(st.st_mode)) {
        n = readlink(path, link, sizeof(link));
        digest_str(&w->digest, slice(link, (size_t)MAX(n, 0)));
        if (stat(path, &st) < 0)
            return 0;
    }
    if (!S_ISREG(st.st_mode)) /* a link to a folder counts as where it points, a socket by name */
        return 0;
    r = tree_file_hash(w->cache, path, hash);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return error_set_errno(w->err, r, "%s: cannot read it", path);
    note_closed(w, file, &st, closed);
    digest_u64(&w->digest, st.st_mode & 0777);
    digest_str(&w->digest, slice(hash, sizeof(hash)));
    return 0;
}

static int name_cmp(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* not alphasort(), which asks the locale */
}

static int walk_dir(struct walk *w, const char *folder, const char *closed, unsigned depth)
{
    _cleanup_free_ char *path = path_join(w->dir, folder);
    struct dirent **entries = NULL;
    int n, r = 0;

    if (!path)
        return error_set(w->err, -ENOMEM, "out of memory");
    if (depth > TREE_DEPTH_MAX)
        return error_set(w->err, -ELOOP, "%s: more than %d folders within one another", path,
                         TREE_DEPTH_MAX);
    n = scandir(path, &entries, NULL, name_cmp);
    if (n < 0)
        return errno == ENOENT
                   ? 0
                   : error_set_errno(w->err, -errno, "%s: cannot read the folder", path);
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;

        if (r == 0 && !tree_ignores(name) && strcmp(name, CONFIG_FILE) != 0) {
            _cleanup_free_ char *file =
                folder[0] ? path_join(folder, name) : slice_dup(slice_str(name));

            r = file ? walk_entry(w, file, closed, depth)
                     : error_set(w->err, -ENOMEM, "out of memory");
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

int tree_hash(struct tree_cache *c, const char *dir, const char *except, struct tree *ret,
              struct error *err)
{
    struct walk w = {.cache = c, .dir = dir, .err = err};
    struct stat st;
    int r, x;

    *ret = (struct tree){.closed = NULL};
    if (!except || stat(except, &w.except) < 0)
        w.except = (struct stat){0};
    digest_begin(&w.digest);
    r = walk_dir(&w, "", stat(dir, &st) == 0 && is_closed(&st) ? "" : NULL, 0);
    x = digest_end(&w.digest, ret->hash);
    ret->closed = w.closed;
    if (r == 0 && x < 0)
        r = error_set(err, x, "%s: cannot compute a hash", dir);
    if (r < 0)
        tree_deinit(ret);
    return r;
}
