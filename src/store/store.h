#pragma once

/* What mayfly remembers, in one SQLite file: records, log lines, their sums (rollups), and the
 * small things of control (store/items.h). The only user of sqlite3.h. docs/STORE.md draws the
 * tables.
 *
 * One process, one thread, one `struct store` for a file; a second one gets -EBUSY. Times are wall
 * clock microseconds since 1970 (`_us` of a moment) or durations (`_us` of a length).
 *
 * Every function may return, besides what it says itself: -ENOSPC (the disk, or the quota of it, is
 * full), -EUCLEAN (the file is damaged: free the store, and open it with STORE_SUSPECT), -EROFS (it
 * cannot be written to), -EBUSY (another process has locked it: try again), -EIO, -ENOMEM or
 * another -errno. What it was says store_error(), in a sentence.
 *
 * Rows are borrowed: what a callback gets is valid until it returns. A callback that returns other
 * than 0 ends the query, which then returns the same. Callbacks may not call the store. */

#include "base/error.h"
#include "base/slice.h"
#include "model/histogram.h"
#include "model/record.h"
#include "store/items.h"  /* the small things */
#include "store/retain.h" /* forgetting */

#define STORE_NAME       "mayfly.db"
#define STORE_CURSOR_MAX 64   /* with its NUL */
#define STORE_LIMIT_MAX  1000 /* rows of one page */

struct store; /* one open file */

/* ---- opening ---- */

enum store_open_flags {
    STORE_SUSPECT = 1 << 0, /* read all of it first, to find damage: some 2 s per million records */
};

/* Opens or makes the file, and brings an older version's up to date. Returns 0, -EUCLEAN (damaged,
 * or not a database), -ENOTSUP (of a newer mayfly), -EBUSY (in use by another process), or another
 * -errno, with *err. Nothing is ever deleted. */
int store_open(const char *path, unsigned flags, struct store **ret, struct error *err);

/* The same, but a damaged file is moved aside to PATH.corrupt-YYYYMMDDTHHMMSSZ and a new one begun,
 * with the tokens, sessions and saved events that could still be read. Returns 0, 1 if that was
 * done (*err says what and where to), or -errno with *err. */
int store_open_healing(const char *path, unsigned flags, struct store **ret, struct error *err);

/* Commits nothing. NULL is let pass. Returns NULL. */
struct store *store_free(struct store *s);

/* The last failure in a sentence that names the file; empty if there was none. */
const char *store_error(const struct store *s);

/* ---- taking in ---- */

/* A transaction is opened by the first of these that writes. When one fails, the transaction is
 * rolled back and all up to the commit fail alike. */

/* Returns 0: new, or 1: was stored already, leave it out. A boot's batches come in ascending order.
 */
int store_batch_begin(struct store *s, uint64_t boot, uint64_t batch);

/* Stores a record and counts it in the rollups of its function, version and arrival. The meter
 * takes its memory limit, or the peak if it has none. -EINVAL for a request id that is no UUID
 * spoils nothing. */
int store_add_record(struct store *s, const struct record *r);
int store_add_log(struct store *s, const struct log_line *l);

/* What is known to be missing: `n` of `what` ("records", "log lines"), at the present time. */
int store_add_loss(struct store *s, const char *what, uint64_t n, const char *why);

/* Makes what was added since the last commit stay. Returns 0; else it was rolled back: the caller
 * counts it as lost, or offers it again. Without a transaction: 0. The functions of items.h that
 * write commit too, with all that was added before. */
int store_commit(struct store *s);

/* Records and log lines are numbered as they are stored, each from 1; these are the last numbers
 * given. */
uint64_t store_last_record(const struct store *s);
uint64_t store_last_log(const struct store *s);

/* ---- searching ---- */

enum store_order {
    STORE_BY_TIME,     /* newest first */
    STORE_BY_DURATION, /* slowest first; records only */
    STORE_BY_NUMBER,   /* as they were stored, oldest first; goes with `after` */
};

struct store_query {
    struct slice function; /* empty: any, as below */
    struct slice version;
    struct slice request_id; /* the whole, or how it begins */
    struct slice text;       /* bytes that a log line holds, or a record's path or error */
    int outcome;             /* -1: any */
    int trigger;             /* -1: any */
    int stream;              /* -1: any; logs only */
    bool failed;             /* any outcome but ok; records only */
    uint64_t since_us;       /* from; a record's is its arrival, to the millisecond */
    uint64_t until_us;       /* to, without it; 0: no end */
    uint64_t min_us;         /* total duration; records only */
    uint64_t max_us;         /* 0: any */
    uint64_t after;          /* STORE_BY_NUMBER: only what has a higher number */
    enum store_order order;
    uint32_t limit;      /* rows; 0: 100; at most STORE_LIMIT_MAX */
    struct slice cursor; /* what the page before gave; the other fields must be as they were then */
};

#define STORE_QUERY_ANY ((struct store_query){.outcome = -1, .trigger = -1, .stream = -1})

/* Calls row() for each record of a page. ret_cursor is where the next page begins, "" if there is
 * none. An answer that would take too long ends early: it has fewer rows than asked for, maybe
 * none, and a cursor. Returns 0, -EINVAL for a cursor that is none, or what row() returned. */
int store_records(struct store *s, const struct store_query *q,
                  int (*row)(void *ctx, uint64_t number, const struct record *r), void *ctx,
                  char ret_cursor[static STORE_CURSOR_MAX]);

/* Log lines, oldest first within the page, by time and then number. With since_us (or by number)
 * pages go on to newer lines; else the first page is the newest, and pages go on to older ones. */
int store_logs(struct store *s, const struct store_query *q,
               int (*row)(void *ctx, uint64_t number, const struct log_line *l), void *ctx,
               char ret_cursor[static STORE_CURSOR_MAX]);

/* ---- sums ---- */

/* The sums of a span of time; all are of requests that arrived in it, not committed ones included.
 */
struct rollup {
    uint64_t start_us;
    uint32_t step_s;
    uint64_t count;
    uint64_t outcomes[_OUTCOME_MAX];
    uint64_t cold;
    uint64_t run_ns;
    uint64_t user_us;
    uint64_t system_us;
    uint64_t mib_us; /* run time * memory in 2^20 bytes: 1024 of them are a "gb_us" */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t log_lines;
    uint64_t memory_peak_bytes;              /* the highest of one request */
    uint64_t total_max_us;                   /* the slowest, exactly */
    struct histogram total, run, wait, init; /* us; init only of those that waited for it */
};

/* Steps with something in them, oldest first, over all versions. step_s is a multiple of 60 that
 * divides a day, or a multiple of days; the span is widened to whole steps. An empty function: all.
 * Steps below an hour exist for the last 7 days, below a day for 90 (struct retention). Returns 0,
 * -EINVAL for a step, or what row() returned. */
int store_series(struct store *s, struct slice function, uint64_t since_us, uint64_t until_us,
                 uint32_t step_s, int (*row)(void *ctx, const struct rollup *r), void *ctx);

enum store_usage_by {
    STORE_USAGE_FUNCTION, /* by name */
    STORE_USAGE_VERSION,  /* by function and version */
    STORE_USAGE_DAY,      /* UTC, oldest first */
};

struct store_usage {
    struct slice function, version; /* empty where rows are not by it */
    uint64_t day_us;                /* its start; 0 likewise */
    uint64_t invocations, errors;   /* errors: any outcome but ok */
    uint64_t run_ns, user_us, system_us, mib_us, bytes_in, bytes_out, cold;
};

/* The span is widened to whole minutes, or to the hours or days that are all that is left of it: to
 * [*ret_since_us, *ret_until_us). until_us 0: now. An empty function: all. */
int store_usage(struct store *s, enum store_usage_by by, struct slice function, uint64_t since_us,
                uint64_t until_us, int (*row)(void *ctx, const struct store_usage *u), void *ctx,
                uint64_t *ret_since_us, uint64_t *ret_until_us);

/* Versions that ever ran, by function and then the latest first. An empty function: all. */
struct store_version {
    struct slice function, version;
    uint64_t first_us, last_us; /* arrival of its first and latest request */
    uint64_t invocations;
};
int store_versions(struct store *s, struct slice function,
                   int (*row)(void *ctx, const struct store_version *v), void *ctx);

struct store_loss {
    uint64_t time_us;
    uint64_t n;
    struct slice what, why;
};
/* The latest first, at most STORE_LIMIT_MAX. */
int store_losses(struct store *s, uint64_t since_us,
                 int (*row)(void *ctx, const struct store_loss *l), void *ctx);

struct store_info {
    uint64_t bytes;      /* of the file that are in use */
    uint64_t file_bytes; /* with what is free in it, and its journal */
    uint64_t records, log_lines, captures;
    uint64_t oldest_us, newest_us; /* of the records; 0 if there are none */
};
int store_info(struct store *s, struct store_info *ret);
