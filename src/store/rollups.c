/* Sums per minute, hour and day. A transaction's records are added up in memory, and merged into
 * the rows of their minutes when it is committed. Hours and days get a minute once, a little after
 * its end ("folded"); a record that comes later still is added to all three. So each record counts
 * exactly once in each, whenever it comes and whenever the process ends. */

#include "store/store-internal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MINUTE_S   60
#define HOUR_S     3600
#define DAY_S      86400
#define FOLD_LAG_S 60 /* most requests that begin in a minute have ended then */
#define SQL_MAX    4096
#define SANE_MAX   (1ull << 50) /* 13 days in ns, a petabyte */

/* Numbers of a rollup: added up, or the highest of them. Outcomes come behind, as "outcome_ok". */
static const struct sum {
    const char *name;
    size_t offset;
    bool is_peak;
} sums[] = {
#define SUM(name)                                                                                  \
    {                                                                                              \
#name, offsetof(struct rollup, name), false                                                \
    }
#define PEAK(name)                                                                                 \
    {                                                                                              \
#name, offsetof(struct rollup, name), true                                                 \
    }
    SUM(count),         SUM(cold),     SUM(run_ns),    SUM(user_us),   SUM(system_us),
    SUM(mib_us),        SUM(bytes_in), SUM(bytes_out), SUM(log_lines), PEAK(memory_peak_bytes),
    PEAK(total_max_us),
#undef SUM
#undef PEAK
};

static const struct {
    const char *name;
    size_t offset;
} histograms[] = {
    {"total", offsetof(struct rollup, total)},
    {"run", offsetof(struct rollup, run)},
    {"wait", offsetof(struct rollup, wait)},
    {"init", offsetof(struct rollup, init)},
};

static uint64_t *sum_of(const struct sum *sum, struct rollup *r)
{
    return (uint64_t *)((char *)r + sum->offset);
}

static struct histogram *histogram_of(size_t i, struct rollup *r)
{
    return (struct histogram *)((char *)r + histograms[i].offset);
}

/* ---- in memory ---- */

struct open_rollup {
    uint64_t function_id, version_id;
    uint64_t first_us, last_us; /* the arrivals in it */
    struct rollup sums;         /* of a minute */
};

struct rollups {
    struct open_rollup
        *open[ROLLUPS_OPEN_MAX]; /* the first n are in use, the others kept for later */
    size_t n;
    struct rollup scratch;
    struct buf bytes[ARRAY_SIZE(histograms)];
};

struct rollups *rollups_new(void)
{
    struct rollups *r = calloc(1, sizeof(*r));

    for (size_t i = 0; r && i < ARRAY_SIZE(histograms); i++)
        buf_init(&r->bytes[i], HISTOGRAM_BYTES_MAX);
    return r;
}

struct rollups *rollups_free(struct rollups *r)
{
    if (!r)
        return NULL;
    for (size_t i = 0; i < ROLLUPS_OPEN_MAX; i++)
        free(r->open[i]);
    for (size_t i = 0; i < ARRAY_SIZE(histograms); i++)
        buf_deinit(&r->bytes[i]);
    free(r);
    return NULL;
}

void rollups_forget(struct rollups *r)
{
    r->n = 0;
}

static struct open_rollup *find(struct rollups *r, uint64_t start_us, uint64_t function_id,
                                uint64_t version_id)
{
    for (size_t i = r->n; i-- > 0;) {
        struct open_rollup *o = r->open[i];

        if (o->function_id == function_id && o->version_id == version_id &&
            o->sums.start_us == start_us)
            return o;
    }
    return NULL;
}

static int open_rollup(struct store *s, uint64_t start_us, uint64_t function_id,
                       uint64_t version_id, struct open_rollup **ret)
{
    struct rollups *r = s->rollups;
    struct open_rollup *o = find(r, start_us, function_id, version_id);

    if (!o) {
        int x = r->n == ROLLUPS_OPEN_MAX ? rollups_write(s) : 0;

        if (x < 0)
            return x;
        if (!r->open[r->n])
            r->open[r->n] = malloc(sizeof(*o));
        o = r->open[r->n];
        if (!o) {
            (void)store_complain(s, -ENOMEM, "out of memory");
            return -ENOMEM;
        }
        memset(o, 0, sizeof(*o));
        o->function_id = function_id;
        o->version_id = version_id;
        o->first_us = UINT64_MAX;
        o->sums.start_us = start_us;
        r->n++;
    }
    *ret = o;
    return 0;
}

/* One number that cannot be true must not make a sum overflow for ever. */
static uint64_t sane(uint64_t v)
{
    return MIN(v, SANE_MAX);
}

static uint64_t mib_us(const struct record *r)
{
    uint64_t bytes = r->memory_limit_bytes > 0 ? r->memory_limit_bytes : r->memory_peak_bytes;
    uint64_t mib = (bytes + MIB - 1) / MIB, ns;

    return __builtin_mul_overflow(mib, r->run_ns, &ns) ? UINT64_MAX / 1000 : (ns + 500) / 1000;
}

static void add(struct open_rollup *o, const struct record *r)
{
    struct rollup *s = &o->sums;

    o->first_us = MIN(o->first_us, r->start_us);
    o->last_us = MAX(o->last_us, r->start_us);
    s->count++;
    s->outcomes[r->outcome]++;
    s->cold += r->cold > 0;
    s->run_ns += sane(r->run_ns);
    s->user_us += sane(r->user_us);
    s->system_us += sane(r->system_us);
    s->mib_us += sane(mib_us(r));
    s->bytes_in += sane(r->bytes_in);
    s->bytes_out += sane(r->bytes_out);
    s->log_lines += sane(r->log_lines);
    s->memory_peak_bytes = MAX(s->memory_peak_bytes, r->memory_peak_bytes);
    s->total_max_us = MAX(s->total_max_us, r->total_ns / 1000);
    histogram_add(&s->total, r->total_ns / 1000);
    histogram_add(&s->wait, r->wait_ns / 1000);
    if (r->run_ns > 0)
        histogram_add(&s->run, r->run_ns / 1000);
    if (r->init_ns > 0)
        histogram_add(&s->init, r->init_ns / 1000);
}

int rollups_add(struct store *s, const struct record *r, uint64_t function_id, uint64_t version_id)
{
    uint64_t start_us = r->start_us - r->start_us % (MINUTE_S * US_PER_S);
    struct open_rollup *o = NULL;
    int x = open_rollup(s, start_us, function_id, version_id, &o);

    if (x < 0)
        return x;
    add(o, r);
    x = open_rollup(s, start_us, ALL_FUNCTIONS, ALL_FUNCTIONS, &o);
    if (x < 0)
        return x;
    add(o, r);
    return 0;
}

/* ---- rows ---- */

int rollups_column_names(struct buf *b)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(histograms); i++)
        r = buf_printf(b, "%s%s", i > 0 ? ", " : "", histograms[i].name);
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(sums); i++)
        r = buf_printf(b, ", %s", sums[i].name);
    for (unsigned i = 0; r >= 0 && i < _OUTCOME_MAX; i++)
        r = buf_printf(b, ", outcome_%s", outcome_name((enum outcome)i));
    return r;
}

#define COLUMNS (ARRAY_SIZE(histograms) + ARRAY_SIZE(sums) + _OUTCOME_MAX)

int rollups_columns(struct store *s)
{
    char name[64];
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(sums); i++)
        r = schema_column(s, "rollups", sums[i].name, "INTEGER NOT NULL DEFAULT 0");
    for (unsigned i = 0; r >= 0 && i < _OUTCOME_MAX; i++) {
        (void)snprintf(name, sizeof(name), "outcome_%s", outcome_name((enum outcome)i));
        r = schema_column(s, "rollups", name, "INTEGER NOT NULL DEFAULT 0");
    }
    return r;
}

void rollups_read(sqlite3_stmt *q, int first, struct rollup *into)
{
    int at = first;

    /* Bytes that are no histogram cost the percentiles of one row, not its sums. */
    for (size_t i = 0; i < ARRAY_SIZE(histograms); i++)
        (void)histogram_decode(column_bytes(q, at++), histogram_of(i, into));
    for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
        uint64_t *sum = sum_of(&sums[i], into);
        uint64_t v = column_u64(q, at++);

        *sum = sums[i].is_peak ? MAX(*sum, v) : *sum + v;
    }
    for (size_t i = 0; i < _OUTCOME_MAX; i++)
        into->outcomes[i] += column_u64(q, at++);
}

static int prepare_rows(struct store *s)
{
    struct buf put = BUF_INIT(SQL_MAX), get = BUF_INIT(SQL_MAX);
    int r = buf_append_str(&put, "INSERT OR REPLACE INTO rollups"
                                 " (resolution_s, function_id, start_s, version_id, ");

    r = r < 0 ? r : rollups_column_names(&put);
    r = r < 0 ? r : buf_append_str(&put, ") VALUES (?1, ?2, ?3, ?4");
    for (size_t i = 0; r >= 0 && i < COLUMNS; i++)
        r = buf_append_str(&put, ", ?");
    r = r < 0 ? r : buf_append_str(&put, ")");
    r = r < 0 ? r : buf_append_str(&get, "SELECT ");
    r = r < 0 ? r : rollups_column_names(&get);
    r = r < 0 ? r
              : buf_append_str(&get, " FROM rollups WHERE resolution_s = ?1 AND function_id = ?2"
                                     " AND start_s = ?3 AND version_id = ?4");
    if (r < 0 || !buf_cstr(&put) || !buf_cstr(&get))
        r = store_complain(s, -ENOMEM, "out of memory");
    else if ((r = store_prepare_text(s, buf_cstr(&put), &s->rollup_put)) >= 0)
        r = store_prepare_text(s, buf_cstr(&get), &s->rollup_get);
    buf_deinit(&put);
    buf_deinit(&get);
    return r;
}

struct key {
    uint32_t resolution_s;
    uint64_t function_id, version_id;
    uint64_t start_s;
};

static void bind_key(sqlite3_stmt *q, const struct key *k)
{
    bind_u64(q, 1, k->resolution_s);
    bind_u64(q, 2, k->function_id);
    bind_u64(q, 3, k->start_s);
    bind_u64(q, 4, k->version_id);
}

/* Adds the row, if there is one. */
static int get(struct store *s, const struct key *k, struct rollup *into)
{
    _cleanup_reset_ sqlite3_stmt *q = s->rollup_get;
    int r;

    bind_key(q, k);
    r = store_step(s, q);
    if (r > 0)
        rollups_read(q, 0, into);
    return MIN(r, 0);
}

static int put(struct store *s, const struct key *k, struct rollup *sum)
{
    _cleanup_reset_ sqlite3_stmt *q = s->rollup_put;
    int at = 5;

    bind_key(q, k);
    for (size_t i = 0; i < ARRAY_SIZE(histograms); i++) {
        struct buf *bytes = &s->rollups->bytes[i];

        buf_clear(bytes);
        if (histogram_encode(histogram_of(i, sum), bytes) < 0)
            return store_complain(s, -ENOMEM, "out of memory");
        bind_blob(q, at++, buf_slice(bytes));
    }
    for (size_t i = 0; i < ARRAY_SIZE(sums); i++)
        bind_u64(q, at++, *sum_of(&sums[i], sum));
    for (size_t i = 0; i < _OUTCOME_MAX; i++)
        bind_u64(q, at++, sum->outcomes[i]);
    return store_run(s, q);
}

/* Adds *sum, which starts at start_s, to the row of a resolution. */
static int merge(struct store *s, struct key k, const struct rollup *sum)
{
    struct rollup *whole = &s->rollups->scratch;
    int r;

    k.start_s -= k.start_s % k.resolution_s;
    *whole = *sum;
    r = get(s, &k, whole);
    return r < 0 ? r : put(s, &k, whole);
}

/* ---- writing ---- */

static int fold_minute(struct store *s, struct key k)
{
    struct rollup *minute = calloc(1, sizeof(*minute));
    int r = minute ? 0 : store_complain(s, -ENOMEM, "out of memory");

    r = r < 0 ? r : get(s, &k, minute);
    k.resolution_s = HOUR_S;
    r = r < 0 ? r : merge(s, k, minute);
    k.resolution_s = DAY_S;
    r = r < 0 ? r : merge(s, k, minute);
    free(minute);
    return r;
}

/* Adds the minutes that are over to their hours and days. */
static int fold(struct store *s)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    uint64_t now_s = clock_wall_us() / US_PER_S;
    uint64_t to_s = now_s - now_s % MINUTE_S;
    int r;

    to_s -= MIN(to_s, (uint64_t)FOLD_LAG_S);
    if (to_s * US_PER_S <= s->state.folded_us)
        return 0;
    r = store_prepare(s, STATEMENT_ROLLUPS_TO_FOLD, &q);
    if (r < 0)
        return r;
    bind_u64(q, 1, s->state.folded_us / US_PER_S);
    bind_u64(q, 2, to_s);
    while ((r = store_step(s, q)) > 0) {
        struct key k = {
            .resolution_s = MINUTE_S,
            .function_id = column_u64(q, 0),
            .start_s = column_u64(q, 1),
            .version_id = column_u64(q, 2),
        };

        r = fold_minute(s, k);
        if (r < 0)
            return r;
    }
    if (r >= 0)
        s->state.folded_us = to_s * US_PER_S;
    return r;
}

static int count_version(struct store *s, const struct open_rollup *o)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_VERSION_COUNT, &q);

    if (r < 0)
        return r;
    bind_u64(q, 1, o->version_id);
    bind_u64(q, 2, o->first_us);
    bind_u64(q, 3, o->last_us);
    bind_u64(q, 4, o->sums.count);
    return store_run(s, q);
}

static int write_one(struct store *s, const struct open_rollup *o)
{
    static const uint32_t resolutions[] = {MINUTE_S, HOUR_S, DAY_S};
    size_t n = o->sums.start_us < s->state.folded_us ? ARRAY_SIZE(resolutions) : 1;
    struct key k = {
        .function_id = o->function_id,
        .version_id = o->version_id,
        .start_s = o->sums.start_us / US_PER_S,
    };
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++) {
        k.resolution_s = resolutions[i];
        r = merge(s, k, &o->sums);
    }
    if (r >= 0 && o->version_id != ALL_FUNCTIONS)
        r = count_version(s, o);
    return r;
}

int rollups_write(struct store *s)
{
    struct rollups *all = s->rollups;
    int r = s->rollup_put ? 0 : prepare_rows(s);

    if (all->n == 0)
        return r;
    r = r < 0 ? r : fold(s);
    for (size_t i = 0; r >= 0 && i < all->n; i++)
        r = write_one(s, all->open[i]);
    all->n = 0;
    return r;
}
