/* The tables, and how a file of an earlier version gets those of this one. docs/STORE.md draws
 * them. */

#include "store/store-internal.h"

#include <errno.h>
#include <stdio.h>

/* Sums of a rollup are columns, so that whoever opens the file with another program can add them
 * up. */
static const char version_1[] =
    "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1),"
    "  last_record INTEGER NOT NULL, last_log INTEGER NOT NULL, folded_us INTEGER NOT NULL,"
    "  minutes_us INTEGER NOT NULL, hours_us INTEGER NOT NULL);"
    "INSERT INTO state VALUES (1, 0, 0, 0, 0, 0);"
    "CREATE TABLE functions (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  records INTEGER NOT NULL DEFAULT 0, log_lines INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE versions (id INTEGER PRIMARY KEY, function_id INTEGER NOT NULL,"
    "  name TEXT NOT NULL, first_us INTEGER NOT NULL DEFAULT 0,"
    "  last_us INTEGER NOT NULL DEFAULT 0, invocations INTEGER NOT NULL DEFAULT 0,"
    "  UNIQUE (function_id, name));"
    /* records_columns() adds a column for each other field of a record. */
    "CREATE TABLE records (number INTEGER PRIMARY KEY, request_id BLOB NOT NULL,"
    "  function_id INTEGER NOT NULL, version_id INTEGER NOT NULL,"
    "  outcome INTEGER NOT NULL, trigger INTEGER NOT NULL, total_ns INTEGER NOT NULL);"
    "CREATE INDEX records_by_time ON records"
    "  (request_id, function_id, version_id, outcome, trigger, total_ns);"
    "CREATE INDEX records_by_function ON records"
    "  (function_id, request_id, version_id, outcome, trigger, total_ns);"
    "CREATE INDEX records_failed ON records"
    "  (request_id, function_id, version_id, outcome, trigger, total_ns) WHERE outcome > 0;"
    "CREATE INDEX records_failed_by_function ON records"
    "  (function_id, request_id, version_id, outcome, trigger, total_ns) WHERE outcome > 0;"
    "CREATE TABLE log_lines (number INTEGER PRIMARY KEY, time_us INTEGER NOT NULL,"
    "  request_id BLOB, function_id INTEGER NOT NULL, version_id INTEGER NOT NULL,"
    "  stream INTEGER NOT NULL, flags INTEGER NOT NULL, text TEXT NOT NULL);"
    "CREATE INDEX log_lines_by_time ON log_lines (time_us);"
    "CREATE INDEX log_lines_by_function ON log_lines (function_id, time_us);"
    "CREATE INDEX log_lines_by_request ON log_lines (request_id, time_us)"
    "  WHERE request_id IS NOT NULL;"
    "CREATE TABLE batches (boot INTEGER PRIMARY KEY, batch INTEGER NOT NULL,"
    "  time_us INTEGER NOT NULL);"
    "CREATE TABLE losses (id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, what TEXT NOT NULL,"
    "  n INTEGER NOT NULL, why TEXT NOT NULL);"
    "CREATE TABLE tokens (name TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
    "  created_us INTEGER NOT NULL, used_us INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE sessions (hash BLOB PRIMARY KEY, created_us INTEGER NOT NULL,"
    "  expires_us INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE events (function TEXT NOT NULL, name TEXT NOT NULL, content BLOB,"
    "  updated_us INTEGER NOT NULL, PRIMARY KEY (function, name));"
    "CREATE TABLE captures (request_id BLOB NOT NULL UNIQUE, number INTEGER PRIMARY KEY,"
    "  time_us INTEGER NOT NULL, function TEXT NOT NULL, version TEXT NOT NULL,"
    "  flags INTEGER NOT NULL, bytes INTEGER NOT NULL, request_head BLOB, request_body BLOB,"
    "  response_head BLOB, response_body BLOB);"
    "CREATE INDEX captures_by_time ON captures (time_us, bytes);"
    /* rollups_columns() adds the sums. By function first: that is how they are read. */
    "CREATE TABLE rollups (resolution_s INTEGER NOT NULL, function_id INTEGER NOT NULL,"
    "  start_s INTEGER NOT NULL, version_id INTEGER NOT NULL,"
    "  total BLOB, run BLOB, wait BLOB, init BLOB,"
    "  PRIMARY KEY (resolution_s, function_id, start_s, version_id)) WITHOUT ROWID;";

static int make_version_1(struct store *s)
{
    return store_exec(s, version_1);
}

/* steps[n] takes a file of version n to n + 1. */
static const schema_step_f steps[STORE_VERSION] = {
    make_version_1,
};

static int read_version(struct store *s, int *ret)
{
    _cleanup_finalize_ sqlite3_stmt *q = NULL;
    int r = store_prepare_text(s, "PRAGMA user_version", &q);

    r = r < 0 ? r : store_step(s, q);
    if (r < 0)
        return r;
    *ret = r > 0 ? sqlite3_column_int(q, 0) : 0;
    return 0;
}

static int is_empty(struct store *s)
{
    _cleanup_finalize_ sqlite3_stmt *q = NULL;
    int r = store_prepare_text(s, "SELECT 1 FROM sqlite_schema LIMIT 1", &q);

    r = r < 0 ? r : store_step(s, q);
    return r < 0 ? r : r == 0;
}

static int set_version(struct store *s, int version)
{
    char sql[64];

    (void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version);
    return store_exec(s, sql);
}

int schema_apply(struct store *s, const schema_step_f *all, int n, struct error *err)
{
    int version = 0;
    int r = store_exec(s, "BEGIN IMMEDIATE");

    r = r < 0 ? r : read_version(s, &version);
    if (r >= 0 && (version < 0 || version > n))
        r = error_set(&s->error, -ENOTSUP,
                      "%s: was written by a newer mayfly (version %d, this one knows %d); it is "
                      "left alone: use that mayfly, or another state folder",
                      s->path, version, n);
    if (r >= 0 && version == 0 && (r = is_empty(s)) == 0)
        r = error_set(&s->error, -ENOTSUP,
                      "%s: is a database, but not one of mayfly's; it is left alone", s->path);
    for (; r >= 0 && version < n; version++) {
        r = all[version](s);
        r = r < 0 ? r : set_version(s, version + 1);
    }
    r = r < 0 ? r : store_exec(s, "COMMIT");
    if (r < 0) {
        struct error why = s->error;

        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        return error_set(err, r, "%s", why.text);
    }
    return 0;
}

int schema_migrate(struct store *s, struct error *err)
{
    return schema_apply(s, steps, STORE_VERSION, err);
}

static int has_column(struct store *s, const char *table, const char *name)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_HAS_COLUMN, &q);

    if (r < 0)
        return r;
    bind_text(q, 1, slice_str(table));
    bind_text(q, 2, slice_str(name));
    return store_step(s, q);
}

int schema_column(struct store *s, const char *table, const char *name, const char *definition)
{
    int r = has_column(s, table, name);
    char *sql;

    if (r != 0)
        return MIN(r, 0);
    sql = sqlite3_mprintf("ALTER TABLE %s ADD COLUMN \"%w\" %s", table, name, definition);
    r = sql ? store_exec(s, sql) : store_complain(s, -ENOMEM, "out of memory");
    sqlite3_free(sql);
    return r;
}
