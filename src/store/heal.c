/* A damaged file is moved aside, for whoever wants to look into it, and a new one begun. */

#include "store/store-internal.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define NAMES_MAX 100 /* of files that were moved within one second */

/* ---- moving ---- */

static int move_one(const char *from, const char *to, const char *suffix)
{
    char old[PATH_MAX], new[PATH_MAX];
    int a = snprintf(old, sizeof(old), "%s%s", from, suffix);
    int b = snprintf(new, sizeof(new), "%s%s", to, suffix);

    if (a < 0 || b < 0 || a >= PATH_MAX || b >= PATH_MAX)
        return -ENAMETOOLONG;
    return rename(old, new) < 0 && errno != ENOENT ? -errno : 0;
}

/* Finds a name that is free. */
static int name_aside(const char *path, char dst[static PATH_MAX])
{
    time_t now = (time_t)(clock_wall_us() / US_PER_S);
    char when[32] = "";
    struct tm tm;

    if (gmtime_r(&now, &tm))
        (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        int n = i == 0 ? snprintf(dst, PATH_MAX, "%s.corrupt-%s", path, when)
                       : snprintf(dst, PATH_MAX, "%s.corrupt-%s-%u", path, when, i);

        if (n < 0 || n >= PATH_MAX)
            return -ENAMETOOLONG;
        if (access(dst, F_OK) < 0 && errno == ENOENT)
            return 0;
    }
    return -EEXIST;
}

/* The journal goes along: what it holds is part of the file. */
static int move_aside(const char *path, char dst[static PATH_MAX])
{
    int r = name_aside(path, dst);

    r = r < 0 ? r : move_one(path, dst, "-wal");
    r = r < 0 ? r : move_one(path, dst, "-shm");
    return r < 0 ? r : move_one(path, dst, "");
}

/* ---- what can still be read ---- */

static const struct {
    const char *read;
    const char *write;
} salvaged[] = {
    {"SELECT name, hash, created_us, used_us FROM tokens LIMIT 256",
     "INSERT OR IGNORE INTO tokens (name, hash, created_us, used_us) VALUES (?1, ?2, ?3, ?4)"},
    {"SELECT hash, created_us, expires_us FROM sessions LIMIT 512",
     "INSERT OR IGNORE INTO sessions (hash, created_us, expires_us) VALUES (?1, ?2, ?3)"},
    {"SELECT function, name, content, updated_us FROM events LIMIT 10000",
     "INSERT OR IGNORE INTO events (function, name, content, updated_us) VALUES (?1, ?2, ?3, ?4)"},
};

/* Returns how many rows were copied; -errno only for the new file. */
static int salvage_table(struct store *s, sqlite3 *old, const char *read, const char *write)
{
    _cleanup_finalize_ sqlite3_stmt *from = NULL;
    _cleanup_finalize_ sqlite3_stmt *to = NULL;
    int n = 0, r;

    if (sqlite3_prepare_v2(old, read, -1, &from, NULL) != SQLITE_OK)
        return 0;
    r = store_prepare_text(s, write, &to);
    for (; r >= 0 && sqlite3_step(from) == SQLITE_ROW; n++) {
        for (int i = 0; i < sqlite3_column_count(from); i++)
            (void)sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
        r = store_run(s, to);
    }
    return r < 0 ? r : n;
}

/* The index of the journal, which SQLite makes anew for whoever opens the file. */
static int unlink_index(const char *path)
{
    char name[PATH_MAX];
    int n = snprintf(name, sizeof(name), "%s-shm", path);

    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : unlink(name);
}

static int salvage(struct store *s, const char *path)
{
    sqlite3 *old = NULL;
    int n = 0, r = store_begin(s);

    if (r < 0)
        return r;
    if (sqlite3_open_v2(path, &old, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        (void)sqlite3_db_config(old, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        (void)sqlite3_db_config(old, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        /* What stands in the journal stays there. */
        (void)sqlite3_db_config(old, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(salvaged); i++) {
            r = salvage_table(s, old, salvaged[i].read, salvaged[i].write);
            n += MAX(r, 0);
        }
    }
    (void)sqlite3_close_v2(old);
    (void)unlink_index(path);
    r = store_finish(s, r);
    return r < 0 ? r : n;
}

/* ---- all of it ---- */

int store_open_healing(const char *path, unsigned flags, struct store **ret, struct error *err)
{
    struct error why = ERROR_NULL;
    char aside[PATH_MAX];
    struct store *s;
    int n, r = store_open(path, flags, ret, &why);

    if (r != -EUCLEAN) {
        if (r < 0)
            (void)error_set(err, r, "%s", why.text);
        return r;
    }
    r = move_aside(path, aside);
    if (r < 0)
        return error_set_errno(err, r, "%s; moving it aside", why.text);
    r = store_open(path, 0, &s, err);
    if (r < 0)
        return error_wrap(err, r, "%s; it was moved to %s; a new one", why.text, aside);
    n = salvage(s, aside);
    *ret = s;
    (void)error_set(err, 1,
                    "%s; it was moved to %s and a new one begun, with %d tokens, sessions and "
                    "saved events that could be read",
                    why.text, aside, MAX(n, 0));
    return 1;
}
