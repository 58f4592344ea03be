/* Which batches were stored, so that one that is offered twice counts once; and what is known to be
 * lost. */

#include "store/store-internal.h"

#include "base/clock.h"

#include <errno.h>

static int last_batch(struct store *s, uint64_t boot, bool *ret_known, uint64_t *ret_batch)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_BATCH_GET, &q);

    if (r < 0)
        return r;
    (void)sqlite3_bind_int64(q, 1, (sqlite3_int64)boot);
    r = store_step(s, q);
    if (r < 0)
        return r;
    *ret_known = r > 0;
    *ret_batch = column_u64(q, 0);
    return 0;
}

static int set_batch(struct store *s, uint64_t boot, uint64_t batch)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_BATCH_SET, &q);

    if (r < 0)
        return r;
    (void)sqlite3_bind_int64(q, 1, (sqlite3_int64)boot);
    bind_u64(q, 2, batch);
    bind_u64(q, 3, clock_wall_us());
    return store_run(s, q);
}

static int run(struct store *s, enum statement id)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, id, &q);

    return r < 0 ? r : store_run(s, q);
}

int store_batch_begin(struct store *s, uint64_t boot, uint64_t batch)
{
    uint64_t last = 0;
    bool known = false;
    int r = store_begin_adding(s);

    if (r < 0)
        return r;
    r = last_batch(s, boot, &known, &last);
    if (r >= 0 && known && batch <= last)
        return 1;
    r = r < 0 ? r : set_batch(s, boot, batch);
    if (r >= 0 && !known)
        r = run(s, STATEMENT_BATCH_PRUNE);
    return r < 0 ? store_spoil(s, r) : 0;
}

int store_add_loss(struct store *s, const char *what, uint64_t n, const char *why)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_begin_adding(s);

    if (r < 0)
        return r;
    r = store_prepare(s, STATEMENT_LOSS_ADD, &q);
    if (r >= 0) {
        bind_u64(q, 1, clock_wall_us());
        bind_text(q, 2, slice_str(what));
        bind_u64(q, 3, n);
        bind_text(q, 4, slice_str(why));
        r = store_run(s, q);
    }
    r = r < 0 ? r : run(s, STATEMENT_LOSS_PRUNE);
    return r < 0 ? store_spoil(s, r) : 0;
}

int store_losses(struct store *s, uint64_t since_us,
                 int (*row)(void *ctx, const struct store_loss *l), void *ctx)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_LOSSES, &q);

    if (r < 0)
        return r;
    bind_u64(q, 1, since_us);
    bind_u64(q, 2, STORE_LIMIT_MAX);
    while ((r = store_step(s, q)) > 0) {
        struct store_loss loss = {
            .time_us = column_u64(q, 0),
            .n = column_u64(q, 1),
            .what = column_bytes(q, 2),
            .why = column_bytes(q, 3),
        };

        r = row(ctx, &loss);
        if (r != 0)
            return r;
    }
    return r;
}
