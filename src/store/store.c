/* One file: opening it, its statements, its transactions, and what its failures are called. */

#include "store/store-internal.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- failures ---- */

static const struct failure {
    int code; /* of SQLite, without its details */
    int r;
    const char *text;
} failures[] = {
    {SQLITE_FULL, -ENOSPC, "the disk is full"},
    {SQLITE_CORRUPT, -EUCLEAN, "the file is damaged"},
    {SQLITE_NOTADB, -EUCLEAN, "the file is not a database"},
    {SQLITE_READONLY, -EROFS, "the file cannot be written to"},
    {SQLITE_BUSY, -EBUSY, "another process has locked it"},
    {SQLITE_LOCKED, -EBUSY, "another process has locked it"},
    {SQLITE_PERM, -EACCES, "no permission"},
    {SQLITE_AUTH, -EACCES, "no permission"},
    {SQLITE_CANTOPEN, -EACCES, "the file cannot be opened"},
    {SQLITE_NOMEM, -ENOMEM, "out of memory"},
    {SQLITE_TOOBIG, -EFBIG, "a value is too big"},
    {SQLITE_CONSTRAINT, -EEXIST, "it is there already"},
};

static const struct failure *failure_of(int code)
{
    static const struct failure other = {SQLITE_ERROR, -EIO, NULL};

    for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
        if (failures[i].code == (code & 0xff))
            return &failures[i];
    }
    return &other;
}

int store_complain(struct store *s, int r, const char *what)
{
    return error_set(&s->error, r, "%s: %s", s->path, what);
}

int store_fail(struct store *s, int code, const char *doing)
{
    const struct failure *f = failure_of(code);
    int system = s->db ? sqlite3_system_errno(s->db) : 0;
    int r = f->r;

    /* SQLite calls it an I/O error when a write finds no room; and a folder that cannot be written
     * to, when the journal cannot be made. */
    if (((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN) && system > 0) {
        r = system == EDQUOT ? -ENOSPC : -system;
        return error_set_errno(&s->error, r, "%s: %s", s->path, doing);
    }
    if (f->text)
        return error_set(&s->error, r, "%s: %s: %s", s->path, doing, f->text);
    return error_set(&s->error, r, "%s: %s: %s", s->path, doing,
                     s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code));
}

const char *store_error(const struct store *s)
{
    return s->error.text;
}

/* ---- statements ---- */

static const char *const statement_texts[_STATEMENT_MAX] = {
#define STATEMENT(name, sql) [STATEMENT_##name] = sql,
#include "store/statements.tbl.h"
#undef STATEMENT
};

int store_prepare_text(struct store *s, const char *sql, sqlite3_stmt **ret)
{
    int code = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);

    return code == SQLITE_OK ? 0 : store_fail(s, code, "preparing");
}

int store_prepare(struct store *s, enum statement id, sqlite3_stmt **ret)
{
    if (!s->statements[id]) {
        int r = store_prepare_text(s, statement_texts[id], &s->statements[id]);

        if (r < 0)
            return r;
    }
    *ret = s->statements[id];
    return 0;
}

int store_step(struct store *s, sqlite3_stmt *q)
{
    int code = sqlite3_step(q);

    if (code == SQLITE_ROW)
        return 1;
    if (code == SQLITE_DONE)
        return 0;
    return store_fail(s, code, sqlite3_stmt_readonly(q) ? "reading" : "writing");
}

int store_run(struct store *s, sqlite3_stmt *q)
{
    int r;

    do
        r = store_step(s, q);
    while (r > 0);
    (void)sqlite3_reset(q);
    return r;
}

int store_exec(struct store *s, const char *sql)
{
    int code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? 0 : store_fail(s, code, "writing");
}

void bind_u64(sqlite3_stmt *q, int at, uint64_t v)
{
    (void)sqlite3_bind_int64(q, at, (sqlite3_int64)MIN(v, (uint64_t)INT64_MAX));
}

void bind_text(sqlite3_stmt *q, int at, struct slice s)
{
    (void)sqlite3_bind_text64(q, at, s.base ? s.base : "", s.len, SQLITE_STATIC, SQLITE_UTF8);
}

void bind_blob(sqlite3_stmt *q, int at, struct slice s)
{
    (void)sqlite3_bind_blob64(q, at, s.base, s.len, SQLITE_STATIC);
}

bool holds(struct slice bytes, struct slice part)
{
    if (part.len == 0 || bytes.len < part.len)
        return part.len == 0;
    return memmem(bytes.base, bytes.len, part.base, part.len) != NULL;
}

struct slice column_bytes(sqlite3_stmt *q, int at)
{
    const void *bytes = sqlite3_column_blob(q, at);

    return slice(bytes, bytes ? (size_t)sqlite3_column_bytes(q, at) : 0);
}

/* ---- transactions ---- */

static void rollback(struct store *s)
{
    /* Some failures have rolled back by themselves. */
    if (!sqlite3_get_autocommit(s->db))
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    s->in_transaction = false;
    s->state = s->committed;
    names_forget(s->names);
    rollups_forget(s->rollups);
}

int store_begin(struct store *s)
{
    sqlite3_stmt *q;
    int r;

    if (s->failed < 0 || s->in_transaction)
        return s->failed;
    r = store_prepare(s, STATEMENT_BEGIN, &q);
    r = r < 0 ? r : store_run(s, q);
    if (r < 0)
        return r;
    s->in_transaction = true;
    s->committed = s->state;
    return 0;
}

int store_begin_adding(struct store *s)
{
    int r = store_begin(s);

    if (r < 0)
        s->failed = r;
    else
        s->owes = true;
    return r;
}

int store_spoil(struct store *s, int r)
{
    struct error why = s->error;

    rollback(s);
    s->error = why;
    s->failed = r;
    return r;
}

static int write_state(struct store *s)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_STATE_SET, &q);

    if (r < 0)
        return r;
    bind_u64(q, 1, s->state.last_record);
    bind_u64(q, 2, s->state.last_log);
    bind_u64(q, 3, s->state.folded_us);
    bind_u64(q, 4, s->state.minutes_us);
    bind_u64(q, 5, s->state.hours_us);
    return store_run(s, q);
}

int store_settle(struct store *s)
{
    int r;

    if (!s->in_transaction)
        return 0;
    r = rollups_write(s);
    r = r < 0 ? r : names_write(s);
    return r < 0 ? store_spoil(s, r) : 0;
}

int store_commit(struct store *s)
{
    sqlite3_stmt *q;
    int r = s->failed;

    s->failed = 0;
    s->owes = false;
    if (r < 0 || !s->in_transaction)
        return r;
    r = rollups_write(s);
    r = r < 0 ? r : names_write(s);
    r = r < 0 ? r : write_state(s);
    r = r < 0 ? r : store_prepare(s, STATEMENT_COMMIT, &q);
    r = r < 0 ? r : store_run(s, q);
    if (r < 0) {
        (void)store_spoil(s, r);
        s->failed = 0;
        return r;
    }
    s->in_transaction = false;
    return 0;
}

int store_finish(struct store *s, int r)
{
    bool owes = s->owes;

    if (s->failed < 0)
        return r; /* store_begin() was refused */
    if (r >= 0)
        r = store_commit(s);
    else if (s->in_transaction)
        (void)store_spoil(s, r);
    s->failed = r < 0 && owes ? r : 0;
    return r;
}

int store_remove(struct store *s, sqlite3_stmt *q)
{
    int r = store_begin(s), n = 0;

    if (r < 0)
        return r;
    r = store_run(s, q);
    if (r >= 0)
        n = sqlite3_changes(s->db);
    r = store_finish(s, r);
    return r < 0 ? r : n > 0 ? 0 : -ENOENT;
}

uint64_t store_last_record(const struct store *s)
{
    return s->state.last_record;
}

uint64_t store_last_log(const struct store *s)
{
    return s->state.last_log;
}

/* ---- opening ---- */

struct store *store_free(struct store *s)
{
    if (!s)
        return NULL;
    if (s->db && s->in_transaction)
        rollback(s);
    for (size_t i = 0; i < _STATEMENT_MAX; i++)
        (void)sqlite3_finalize(s->statements[i]);
    (void)sqlite3_finalize(s->record_insert);
    (void)sqlite3_finalize(s->record_select);
    (void)sqlite3_finalize(s->rollup_put);
    (void)sqlite3_finalize(s->rollup_get);
    (void)sqlite3_close_v2(s->db);
    (void)names_free(s->names);
    (void)rollups_free(s->rollups);
    if (s->lock_fd >= 0)
        (void)close(s->lock_fd);
    free(s->path);
    free(s);
    return NULL;
}

static void store_freep(struct store **s)
{
    (void)store_free(*s);
}

/* A lock of its own: those that SQLite takes on its file come and go, and would let two writers in.
 */
static int lock(struct store *s, struct error *err)
{
    _cleanup_free_ char *path = NULL;

    if (asprintf(&path, "%s.lock", s->path) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return error_set_errno(err, -errno, "%s: opening", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(err, errno == EWOULDBLOCK ? -EBUSY : -errno,
                         "%s: is in use by another mayfly; a state folder is for one at a time",
                         s->path);
    return 0;
}

/* Sees to it that there is a file of ours, for nobody else to read; SQLite gives its journal the
 * same mode. (SQLite's own flag against links would refuse those in the folder's path, too.) */
static int make_file(struct store *s)
{
    int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat st;
    int r = 0;

    if (fd < 0)
        return error_set_errno(&s->error, -errno, "%s: opening", s->path);
    if (fstat(fd, &st) < 0)
        r = error_set_errno(&s->error, -errno, "%s: opening", s->path);
    else if (!S_ISREG(st.st_mode))
        r = store_complain(s, -EINVAL, "is no regular file");
    (void)close(fd);
    return r;
}

static int open_db(struct store *s)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    char pragmas[512];
    int code, r = make_file(s);

    if (r < 0)
        return r;
    /* One thread, and nobody asks SQLite how much memory it has. Refused, harmlessly, from the
     * second file on. */
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    code = sqlite3_open_v2(s->path, &s->db, flags, NULL);
    if (code != SQLITE_OK)
        return store_fail(s, code, "opening");
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 1280, 400);
    (void)sqlite3_busy_timeout(s->db, BUSY_MS);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* auto_vacuum has to come before the first table, and page_size before WAL. */
    (void)snprintf(pragmas, sizeof(pragmas),
                   "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL;"
                   "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                   "PRAGMA cache_size = -%llu; PRAGMA wal_autocheckpoint = %llu;"
                   "PRAGMA journal_size_limit = %llu; PRAGMA foreign_keys = OFF;"
                   "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;",
                   CACHE_BYTES / 1024, WAL_BYTES / 8192, WAL_BYTES);
    return store_exec(s, pragmas);
}

/* Says of a file that reads as a database whether all of it does. */
static int check(struct store *s)
{
    _cleanup_finalize_ sqlite3_stmt *q = NULL;
    int r = store_prepare_text(s, "PRAGMA quick_check(1)", &q);

    r = r < 0 ? r : store_step(s, q);
    if (r > 0 && !slice_eq(column_bytes(q, 0), SLICE_LIT("ok")))
        return error_set(&s->error, -EUCLEAN, "%s: is damaged: %.*s", s->path,
                         SLICE_ARG(column_bytes(q, 0)));
    return r < 0 ? r : 0;
}

static int read_state(struct store *s)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_STATE_GET, &q);

    r = r < 0 ? r : store_step(s, q);
    if (r <= 0)
        return r < 0 ? r : store_complain(s, -EUCLEAN, "the file is damaged: it has no state");
    s->state.last_record = MAX(column_u64(q, 0), column_u64(q, 5));
    s->state.last_log = MAX(column_u64(q, 1), column_u64(q, 6));
    s->state.folded_us = column_u64(q, 2);
    s->state.minutes_us = column_u64(q, 3);
    s->state.hours_us = column_u64(q, 4);
    return 0;
}

static int fill(struct store *s, unsigned flags, struct error *err)
{
    int r = open_db(s);

    if (r >= 0 && (flags & STORE_SUSPECT))
        r = check(s);
    r = r < 0 ? r : schema_migrate(s, &s->error);
    r = r < 0 ? r : records_columns(s);
    r = r < 0 ? r : rollups_columns(s);
    r = r < 0 ? r : read_state(s);
    if (r < 0)
        return error_set(err, r, "%s", s->error.text);
    return 0;
}

int store_open(const char *path, unsigned flags, struct store **ret, struct error *err)
{
    _cleanup_(store_freep) struct store *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return error_set(err, -ENOMEM, "out of memory");
    s->lock_fd = -1;
    s->answer_ms = ANSWER_MS;
    s->search_whole_max = SEARCH_WHOLE_MAX;
    s->search_slice_rows = SEARCH_SLICE;
    s->path = slice_dup(slice_str(path));
    s->names = names_new();
    s->rollups = rollups_new();
    if (!s->path || !s->names || !s->rollups)
        return error_set(err, -ENOMEM, "out of memory");
    r = lock(s, err);
    r = r < 0 ? r : fill(s, flags, err);
    if (r < 0)
        return r;
    reserve_hold(s);
    *ret = take_ptr(s);
    return 0;
}
