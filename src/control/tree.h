#pragma once

/* What a folder of code holds, as one hash: the paths, modes and contents of all files that can
 * make a difference to what runs. */

#include "base/error.h"
#include "base/slice.h"

#define TREE_HASH_SIZE 32 /* SHA-256 */
#define TREE_FILES_MAX 100000
#define TREE_DEPTH_MAX 64

/* Whether a file or folder of that name makes no difference: hidden, what Python and editors leave
 * behind, node_modules. The same names are not watched. */
bool tree_ignores(const char *name);

/* Whether the folder is a virtual environment of Python's. */
bool tree_is_venv(const char *path);

/* Remembers the hashes of files by device, inode, size and times, so that a reload reads what has
 * changed only. Between tree_cache_begin() and the next one, what was not asked for is forgotten.*/
struct tree_cache;

struct tree_cache *tree_cache_new(void); /* NULL without memory */
struct tree_cache *tree_cache_free(struct tree_cache *c);
void tree_cache_begin(struct tree_cache *c);

struct tree {
    uint8_t hash[TREE_HASH_SIZE];
    char *closed; /* the first file with code, or folder above one, that others may not read; or
                     NULL */
};

void tree_deinit(struct tree *t);

/* Hashes a folder. `except` is a folder within that is left out (mayfly's own state), or NULL; a
 * file mayfly.json is left out too, because what it says of a function counts for that function
 * alone. Returns 0, or -errno with *err; else *ret is for tree_deinit(). */
int tree_hash(struct tree_cache *c, const char *dir, const char *except, struct tree *ret,
              struct error *err);

/* Hashes one file's content. Returns 0 or -errno. */
int tree_file_hash(struct tree_cache *c, const char *path, uint8_t ret[static TREE_HASH_SIZE]);

/* A SHA-256 over several values, each kept apart from the next. After a failure the rest does
 * nothing, and digest_end() tells. */
struct digest {
    void *ctx; /* EVP_MD_CTX */
    bool bad;
};

void digest_begin(struct digest *d);
void digest_str(struct digest *d, struct slice s);
void digest_u64(struct digest *d, uint64_t v);
int digest_end(struct digest *d, uint8_t ret[static TREE_HASH_SIZE]); /* 0 or -ENOMEM */

/* The first n bytes as 2n hex digits and NUL. */
void digest_hex(const uint8_t *hash, size_t n, char *dst);
