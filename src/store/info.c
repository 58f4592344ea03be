/* How much there is in the file. */

#include "store/store-internal.h"

#include <stdio.h>
#include <sys/stat.h>

static uint64_t size_of(const char *path, const char *suffix)
{
    _cleanup_free_ char *name = NULL;
    struct stat st;

    if (asprintf(&name, "%s%s", path, suffix) < 0) {
        name = NULL;
        return 0;
    }
    return stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
}

int store_info(struct store *s, struct store_info *ret)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    struct store_info info;
    struct slice oldest, newest;
    int r = store_settle(s);

    r = r < 0 ? r : store_prepare(s, STATEMENT_INFO, &q);
    r = r < 0 ? r : store_step(s, q);
    if (r <= 0)
        return r;
    info = (struct store_info){
        .bytes = column_u64(q, 0),
        .file_bytes = size_of(s->path, "") + size_of(s->path, "-wal"),
        .records = column_u64(q, 1),
        .log_lines = column_u64(q, 2),
        .captures = column_u64(q, 3),
    };
    oldest = column_bytes(q, 4);
    newest = column_bytes(q, 5);
    if (oldest.len == REQUEST_ID_SIZE)
        info.oldest_us = request_id_time_us((const uint8_t *)oldest.base);
    if (newest.len == REQUEST_ID_SIZE)
        info.newest_us = request_id_time_us((const uint8_t *)newest.base);
    *ret = info;
    return 0;
}
