#pragma once

/* What the files of src/store share. */

#include "store/store.h"

#include <sqlite3.h>

#define STORE_VERSION    1 /* PRAGMA user_version of a file that is up to date */
#define REQUEST_ID_SIZE  16
#define ALL_FUNCTIONS    0 /* function_id and version_id of the rollups of everything */
#define CACHE_BYTES      (16 * MIB)
#define WAL_BYTES        (4 * MIB) /* of the journal, from which on it is written into the file */
#define RESERVE_BYTES    (8 * MIB) /* twice the journal */
#define BUSY_MS          250       /* waiting for another process' lock, a look by hand, say */
#define ANSWER_MS        120       /* after which a search hands back what it has */
#define SEARCH_WHOLE_MAX 1500000   /* records of a file that are looked at in one go; of more, */
#define SEARCH_SLICE     100000    /* so many at a time: some 10 ms */
#define NAMES_CACHED_MAX 4096
#define ROLLUPS_OPEN_MAX 128 /* in memory at once, 19 KB each; beyond it they are written early */

/* STATEMENT(NAME, sql): prepared when first used, kept until the end. */
enum statement {
#define STATEMENT(name, sql) STATEMENT_##name,
#include "store/statements.tbl.h"
#undef STATEMENT
    _STATEMENT_MAX,
};

/* The one row of the table `state`: written with each commit, put back by a rollback. */
struct state {
    uint64_t last_record;
    uint64_t last_log;
    uint64_t folded_us;  /* minutes before that are in the rollups of hours and days */
    uint64_t minutes_us; /* rollups per minute are there from here on, */
    uint64_t hours_us;   /* and per hour */
};

struct names;
struct rollups;

struct store {
    sqlite3 *db;
    char *path;
    int lock_fd; /* held while it is open, so that there is one writer */
    sqlite3_stmt *statements[_STATEMENT_MAX];
    sqlite3_stmt *record_insert; /* made from RECORD_FIELDS (records.c) */
    sqlite3_stmt *record_select;
    sqlite3_stmt *rollup_put; /* likewise from what a rollup has (rollups.c) */
    sqlite3_stmt *rollup_get;

    bool has_reserve;

    bool in_transaction;
    bool owes;  /* somebody has added to it, and will hear from store_commit() how that went */
    int failed; /* why the open transaction was rolled back; until store_commit() */
    struct state state;
    struct state committed;

    struct names *names;
    struct rollups *rollups; /* what the open transaction adds */

    /* Constants, which tests make small. */
    unsigned answer_ms;
    uint64_t search_whole_max;
    uint64_t search_slice_rows;

    /* When the clock can be believed (retain.c). */
    uint64_t retained_wall_us;
    uint64_t retained_ns;
    uint64_t settled_ns;

    struct error error;
};

/* ---- store.c: statements and transactions ---- */

/* Notes why SQLite failed, and returns the -errno for it. */
int store_fail(struct store *s, int code, const char *doing);

/* Notes a failure that is not SQLite's. Returns r. */
int store_complain(struct store *s, int r, const char *what);

/* Gives the statement, ready to be bound: it is reset when *ret leaves its scope. */
int store_prepare(struct store *s, enum statement id, sqlite3_stmt **ret);
int store_prepare_text(struct store *s, const char *sql, sqlite3_stmt **ret); /* finalize it */

/* Returns 1 for a row, 0 at the end, or -errno. */
int store_step(struct store *s, sqlite3_stmt *q);

/* Steps to the end of a statement without rows. */
int store_run(struct store *s, sqlite3_stmt *q);
int store_exec(struct store *s, const char *sql);

static inline void statement_resetp(sqlite3_stmt **q)
{
    if (*q) {
        (void)sqlite3_reset(*q);
        (void)sqlite3_clear_bindings(*q);
    }
}
#define _cleanup_reset_ _cleanup_(statement_resetp)

static inline void statement_finalizep(sqlite3_stmt **q)
{
    (void)sqlite3_finalize(*q);
}
#define _cleanup_finalize_ _cleanup_(statement_finalizep)

/* Opens a transaction if none is. Returns 0, or why it, or one before that was not committed,
 * failed. */
int store_begin(struct store *s);
int store_begin_adding(struct store *s); /* the same for what stays only with store_commit() */

/* Rolls back after the failure r, which all calls get until store_commit(). Returns r. */
int store_spoil(struct store *s, int r);

/* For the functions that commit at once: r is how the writing went, from store_begin() on. */
int store_finish(struct store *s, int r);

/* Before sums are read: those that the open transaction has in memory go into it. */
int store_settle(struct store *s);

/* Runs a statement that deletes, and commits. Returns 0, -ENOENT if it found nothing, or another
 * -errno. */
int store_remove(struct store *s, sqlite3_stmt *q);

/* ---- reserve.c: room to delete in on a full disk ---- */

void reserve_hold(struct store *s); /* if there is room; else later */
int reserve_give_up(struct store *s);

/* ---- values ---- */

void bind_u64(sqlite3_stmt *q, int at, uint64_t v);        /* cut at 2^63 - 1 */
void bind_text(sqlite3_stmt *q, int at, struct slice s);   /* borrowed until the next reset */
void bind_blob(sqlite3_stmt *q, int at, struct slice s);   /* likewise; empty is NULL */
bool holds(struct slice bytes, struct slice part);         /* an empty part: always */
struct slice column_bytes(sqlite3_stmt *q, int at);        /* of a text or a blob */
static inline uint64_t column_u64(sqlite3_stmt *q, int at) /* below 0 is 0 */
{
    int64_t v = sqlite3_column_int64(q, at);

    return v > 0 ? (uint64_t)v : 0;
}

/* ---- request-id.c ---- */

/* Returns 0, or -EINVAL for what is no UUID. */
int request_id_parse(struct slice text, uint8_t ret[static REQUEST_ID_SIZE]);
void request_id_format(const uint8_t id[static REQUEST_ID_SIZE],
                       char dst[static REQUEST_ID_LEN + 1]);

/* The ids that begin with the text, a whole one as well: from low to high, both with. */
int request_id_span(struct slice text, uint8_t ret_low[static REQUEST_ID_SIZE],
                    uint8_t ret_high[static REQUEST_ID_SIZE]);

/* The lowest id of a moment, and the moment of an id; to the millisecond. */
void request_id_at(uint64_t time_us, uint8_t dst[static REQUEST_ID_SIZE]);
uint64_t request_id_time_us(const uint8_t id[static REQUEST_ID_SIZE]);

/* The id in a column, as text; empty for NULL. */
struct slice column_request_id(sqlite3_stmt *q, int at, char dst[static REQUEST_ID_LEN + 1]);

/* ---- schema.c ---- */

/* Makes the tables of an empty file, or takes an older one through the steps that it lacks. Returns
 * 0, -ENOTSUP for a newer one, or another -errno, with *err. */
int schema_migrate(struct store *s, struct error *err);

/* One step to the next version; all in one transaction with the new number. */
typedef int (*schema_step_f)(struct store *s);
int schema_apply(struct store *s, const schema_step_f *steps, int n, struct error *err);

/* Adds a column if the table has none of that name. `definition` is its type and default. */
int schema_column(struct store *s, const char *table, const char *name, const char *definition);

/* ---- names.c ---- */

struct names *names_new(void);
struct names *names_free(struct names *n);

/* Finds or makes the id of a function, and of a version of it. Within a transaction. */
int names_intern(struct store *s, struct slice function, struct slice version,
                 uint64_t *ret_function_id, uint64_t *ret_version_id);

/* Only finds. Returns 0 or -ENOENT. */
int names_find_function(struct store *s, struct slice function, uint64_t *ret_id);

/* Finds a version of the function, or, if *function_id is 0, of whichever one has it, and sets
 * both. Returns 0, 1 if several functions have one of that name, -ENOENT or another -errno. */
int names_find_version(struct store *s, struct slice version, uint64_t *function_id,
                       uint64_t *ret_id);

/* Counts what the open transaction adds to a function, or takes, to be written by names_write(). */
int names_count(struct store *s, uint64_t function_id, int64_t records, int64_t log_lines);
int names_write(struct store *s);

/* Forgets what a transaction that was rolled back has brought. */
void names_forget(struct names *n);

/* ---- records.c ---- */

/* Gives the record of a number: 1, or 0 if there is none. Its strings live until *q is reset. */
int records_read(struct store *s, uint64_t number, sqlite3_stmt **q, struct record *ret,
                 char id[static REQUEST_ID_LEN + 1]);
int records_columns(struct store *s); /* adds those that RECORD_FIELDS has and the table has not */

/* ---- rollups.c ---- */

struct rollups *rollups_new(void);
struct rollups *rollups_free(struct rollups *r);
int rollups_columns(struct store *s); /* likewise, for a new outcome */
int rollups_add(struct store *s, const struct record *r, uint64_t function_id, uint64_t version_id);
int rollups_write(struct store *s); /* into the open transaction */
void rollups_forget(struct rollups *r);

/* The columns of a rollup in SQL, comma-separated, and what one row of them holds, added to *into.
 */
int rollups_column_names(struct buf *b);
void rollups_read(sqlite3_stmt *q, int first, struct rollup *into);
