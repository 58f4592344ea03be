/* Tokens and sessions: who may ask on TCP. Only hashes are kept. */

#include "store/store-internal.h"

#include <errno.h>
#include <string.h>

#define USE_NOTED_US 60000000ull /* a use is written at most so often */

static struct slice hash_slice(const uint8_t hash[static STORE_HASH_SIZE])
{
    return slice(hash, STORE_HASH_SIZE);
}

/* ---- tokens ---- */

/* Returns 0 if there is room for one of that name. */
static int may_add(struct store *s, struct slice name)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r;

    if (name.len == 0 || name.len > STORE_NAME_MAX)
        return store_complain(s, -EINVAL, "a name is 1 to 128 bytes long");
    r = store_prepare(s, STATEMENT_TOKEN_MAY_ADD, &q);
    if (r < 0)
        return r;
    bind_text(q, 1, name);
    r = store_step(s, q);
    if (r <= 0)
        return r;
    if (column_u64(q, 0) > 0)
        return store_complain(s, -EEXIST, "there is a token of that name");
    if (column_u64(q, 1) >= STORE_TOKENS_MAX)
        return store_complain(s, -EDQUOT, "there are too many tokens: remove one");
    return 0;
}

int store_token_add(struct store *s, struct slice name, const uint8_t hash[static STORE_HASH_SIZE],
                    uint64_t now_us)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = may_add(s, name);

    r = r < 0 ? r : store_begin(s);
    r = r < 0 ? r : store_prepare(s, STATEMENT_TOKEN_ADD, &q);
    if (r < 0)
        return r;
    bind_text(q, 1, name);
    bind_blob(q, 2, hash_slice(hash));
    bind_u64(q, 3, now_us);
    return store_finish(s, store_run(s, q));
}

int store_token_remove(struct store *s, struct slice name)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_TOKEN_REMOVE, &q);

    if (r < 0)
        return r;
    bind_text(q, 1, name);
    return store_remove(s, q);
}

/* Returns 1 if the use is worth writing down. */
static int token_use(struct store *s, const uint8_t hash[static STORE_HASH_SIZE], uint64_t now_us)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_TOKEN_USED_GET, &q);

    if (r < 0)
        return r;
    bind_blob(q, 1, hash_slice(hash));
    r = store_step(s, q);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    return now_us >= column_u64(q, 0) + USE_NOTED_US;
}

int store_token_used(struct store *s, const uint8_t hash[static STORE_HASH_SIZE], uint64_t now_us)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = token_use(s, hash, now_us);

    if (r <= 0)
        return r;
    r = store_begin(s);
    r = r < 0 ? r : store_prepare(s, STATEMENT_TOKEN_USED_SET, &q);
    if (r < 0)
        return r;
    bind_blob(q, 1, hash_slice(hash));
    bind_u64(q, 2, now_us);
    return store_finish(s, store_run(s, q));
}

int store_tokens(struct store *s, int (*row)(void *ctx, const struct store_token *t), void *ctx)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_TOKENS, &q);

    while (r >= 0 && (r = store_step(s, q)) > 0) {
        struct store_token t = {
            .name = column_bytes(q, 0),
            .created_us = column_u64(q, 1),
            .used_us = column_u64(q, 2),
        };

        r = row(ctx, &t);
        if (r != 0)
            return r;
    }
    return r;
}

/* ---- sessions ---- */

static int session_add(struct store *s, const uint8_t hash[static STORE_HASH_SIZE], uint64_t now_us,
                       uint64_t expires_us)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    _cleanup_reset_ sqlite3_stmt *prune = NULL;
    int r = store_prepare(s, STATEMENT_SESSION_ADD, &q);

    r = r < 0 ? r : store_prepare(s, STATEMENT_SESSIONS_PRUNE, &prune);
    if (r < 0)
        return r;
    bind_blob(q, 1, hash_slice(hash));
    bind_u64(q, 2, now_us);
    bind_u64(q, 3, expires_us);
    r = store_run(s, q);
    bind_u64(prune, 1, STORE_SESSIONS_MAX);
    return r < 0 ? r : store_run(s, prune);
}

int store_session_add(struct store *s, const uint8_t hash[static STORE_HASH_SIZE], uint64_t now_us,
                      uint64_t expires_us)
{
    int r = store_begin(s);

    return r < 0 ? r : store_finish(s, session_add(s, hash, now_us, expires_us));
}

int store_session_remove(struct store *s, const uint8_t hash[static STORE_HASH_SIZE])
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_SESSION_REMOVE, &q);

    if (r < 0)
        return r;
    bind_blob(q, 1, hash_slice(hash));
    return store_remove(s, q);
}

int store_hashes(struct store *s, uint64_t now_us, uint8_t (*ret)[STORE_HASH_SIZE], size_t max,
                 size_t *ret_n)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    size_t n = 0;
    int r = store_prepare(s, STATEMENT_HASHES, &q);

    if (r < 0)
        return r;
    bind_u64(q, 1, now_us);
    while (n < max && (r = store_step(s, q)) > 0) {
        struct slice hash = column_bytes(q, 0);

        if (hash.len == STORE_HASH_SIZE)
            memcpy(ret[n++], hash.base, STORE_HASH_SIZE);
    }
    if (r >= 0)
        *ret_n = n;
    return MIN(r, 0);
}
