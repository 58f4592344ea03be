/* Sums as they are asked for: steps of time, the meter, versions. */

#include "store/store-internal.h"

#include "base/clock.h"

#include <errno.h>

#define MINUTE_S 60ull
#define HOUR_S   3600ull
#define DAY_S    86400ull
#define SQL_MAX  8192

static uint64_t down(uint64_t v, uint64_t step)
{
    return v - v % step;
}

static uint64_t up(uint64_t v, uint64_t step)
{
    return down(MIN(v, UINT64_MAX - step) + step - 1, step);
}

/* The coarsest rollups that a step is made of; 0: it is none. */
static uint32_t resolution_of(uint32_t step_s)
{
    if (step_s > 0 && step_s % DAY_S == 0)
        return DAY_S;
    if (step_s == 0 || step_s % MINUTE_S != 0 || DAY_S % step_s != 0)
        return 0;
    return step_s % HOUR_S == 0 ? HOUR_S : MINUTE_S;
}

/* ---- series ---- */

/* Hours and days lack the minutes that are not folded yet: those come beside them. */
static int series_text(struct buf *b, bool with_minutes)
{
    int r = buf_append_str(b, "SELECT start_s, ");

    r = r < 0 ? r : rollups_column_names(b);
    r = r < 0 ? r
              : buf_append_str(b, " FROM rollups WHERE resolution_s = ?1 AND function_id = ?2"
                                  " AND start_s >= ?3 AND start_s < ?4");
    if (r >= 0 && with_minutes) {
        r = buf_append_str(b, " UNION ALL SELECT start_s, ");
        r = r < 0 ? r : rollups_column_names(b);
        r = r < 0 ? r
                  : buf_append_str(b, " FROM rollups WHERE resolution_s = 60 AND function_id = ?2"
                                      " AND start_s >= max(?3, ?5) AND start_s < ?4");
    }
    return r < 0 ? r : buf_append_str(b, " ORDER BY 1");
}

static int series_rows(struct store *s, sqlite3_stmt *q, uint32_t step_s,
                       int (*row)(void *ctx, const struct rollup *r), void *ctx)
{
    struct rollup *sum = calloc(1, sizeof(*sum));
    int r;

    if (!sum)
        return store_complain(s, -ENOMEM, "out of memory");
    while ((r = store_step(s, q)) > 0) {
        uint64_t start_us = down(column_u64(q, 0), step_s) * US_PER_S;

        if (sum->step_s > 0 && sum->start_us != start_us) {
            r = row(ctx, sum);
            if (r != 0)
                break;
            *sum = (struct rollup){.step_s = 0};
        }
        sum->start_us = start_us;
        sum->step_s = step_s;
        rollups_read(q, 1, sum);
    }
    if (r == 0 && sum->step_s > 0)
        r = row(ctx, sum);
    free(sum);
    return r;
}

int store_series(struct store *s, struct slice function, uint64_t since_us, uint64_t until_us,
                 uint32_t step_s, int (*row)(void *ctx, const struct rollup *r), void *ctx)
{
    uint32_t resolution_s = resolution_of(step_s);
    _cleanup_finalize_ sqlite3_stmt *q = NULL;
    struct buf sql = BUF_INIT(SQL_MAX);
    uint64_t function_id = ALL_FUNCTIONS;
    int r;

    if (resolution_s == 0)
        return store_complain(s, -EINVAL, "a step is whole minutes that divide a day, or days");
    r = store_settle(s);
    if (r >= 0 && function.len > 0)
        r = names_find_function(s, function, &function_id);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = series_text(&sql, resolution_s != MINUTE_S);
    r = r < 0 || !buf_cstr(&sql) ? store_complain(s, -ENOMEM, "out of memory")
                                 : store_prepare_text(s, buf_cstr(&sql), &q);
    buf_deinit(&sql);
    if (r < 0)
        return r;
    bind_u64(q, 1, resolution_s);
    bind_u64(q, 2, function_id);
    bind_u64(q, 3, down(since_us / US_PER_S, step_s));
    bind_u64(q, 4, up(up(until_us, US_PER_S) / US_PER_S, step_s));
    bind_u64(q, 5, s->state.folded_us / US_PER_S);
    return series_rows(s, q, step_s, row, ctx);
}

/* ---- the meter ---- */

/* A span of time as rows of the coarsest rollups that fit: days in the middle, hours and minutes
 * towards its ends, and the minutes that hours and days lack. */
struct span {
    uint64_t resolution_s, from_s, to_s;
};

#define SPANS_MAX 6

/* Widens an end of the span to what is left of its time. */
static void widen(const struct store *s, uint64_t *since_s, uint64_t *until_s)
{
    uint64_t minutes_s = up(s->state.minutes_us, US_PER_S) / US_PER_S;
    uint64_t hours_s = up(s->state.hours_us, US_PER_S) / US_PER_S;

    *since_s = down(*since_s, MINUTE_S);
    *until_s = up(*until_s, MINUTE_S);
    if (*since_s < minutes_s)
        *since_s = down(*since_s, HOUR_S);
    if (*since_s < hours_s)
        *since_s = down(*since_s, DAY_S);
    if (down(*until_s, HOUR_S) < minutes_s)
        *until_s = up(*until_s, HOUR_S);
    if (down(*until_s, DAY_S) < hours_s)
        *until_s = up(*until_s, DAY_S);
}

static size_t split(const struct store *s, uint64_t since_s, uint64_t until_s,
                    struct span spans[static SPANS_MAX])
{
    uint64_t hours_from = up(since_s, HOUR_S), hours_to = down(until_s, HOUR_S);
    uint64_t days_from = up(since_s, DAY_S), days_to = down(until_s, DAY_S);
    size_t n = 0;

    if (hours_from >= hours_to) {
        spans[n++] = (struct span){MINUTE_S, since_s, until_s};
        return n;
    }
    spans[n++] = (struct span){MINUTE_S, since_s, hours_from};
    spans[n++] = (struct span){MINUTE_S, hours_to, until_s};
    spans[n++] = (struct span){MINUTE_S, MAX(hours_from, s->state.folded_us / US_PER_S), hours_to};
    if (days_from >= days_to) {
        spans[n++] = (struct span){HOUR_S, hours_from, hours_to};
        return n;
    }
    spans[n++] = (struct span){HOUR_S, hours_from, days_from};
    spans[n++] = (struct span){HOUR_S, days_to, hours_to};
    spans[n++] = (struct span){DAY_S, days_from, days_to};
    return n;
}

/* ?1 to ?18: the spans; ?19: the function. */
#define USAGE(columns, from, functions, group)                                                     \
    "WITH span (resolution, since, until) AS (VALUES (?1, ?2, ?3), (?4, ?5, ?6), (?7, ?8, ?9),"    \
    " (?10, ?11, ?12), (?13, ?14, ?15), (?16, ?17, ?18))"                                          \
    " SELECT " columns ", sum(count), sum(count) - sum(outcome_ok), sum(run_ns), sum(user_us),"    \
    " sum(system_us), sum(mib_us), sum(bytes_in), sum(bytes_out), sum(cold)"                       \
    " FROM span CROSS JOIN rollups r ON r.resolution_s = span.resolution"                          \
    " AND r.function_id " functions " AND r.start_s >= span.since AND r.start_s < span.until" from \
    " GROUP BY " group " ORDER BY " group

#define JOIN_FUNCTION " JOIN functions f ON f.id = r.function_id"
#define JOIN_VERSION  " JOIN versions v ON v.id = r.version_id"

/* By what, and whether of one function only. */
static const char *const usage_texts[][2] = {
    [STORE_USAGE_FUNCTION] = {USAGE("f.name, '', 0", JOIN_FUNCTION, "IN (SELECT id FROM functions)",
                                    "f.name"),
                              USAGE("f.name, '', 0", JOIN_FUNCTION, "= ?19", "f.name")},
    [STORE_USAGE_VERSION] = {USAGE("f.name, v.name, 0", JOIN_FUNCTION JOIN_VERSION,
                                   "IN (SELECT id FROM functions)", "f.name, v.name"),
                             USAGE("f.name, v.name, 0", JOIN_FUNCTION JOIN_VERSION, "= ?19",
                                   "f.name, v.name")},
    [STORE_USAGE_DAY] = {USAGE("'', '', r.start_s / 86400", "", "= 0", "r.start_s / 86400"),
                         USAGE("'', '', r.start_s / 86400", "", "= ?19", "r.start_s / 86400")},
};

static int usage_rows(struct store *s, sqlite3_stmt *q,
                      int (*row)(void *ctx, const struct store_usage *u), void *ctx)
{
    int r;

    while ((r = store_step(s, q)) > 0) {
        struct store_usage u = {
            .function = column_bytes(q, 0),
            .version = column_bytes(q, 1),
            .day_us = column_u64(q, 2) * DAY_S * US_PER_S,
            .invocations = column_u64(q, 3),
            .errors = column_u64(q, 4),
            .run_ns = column_u64(q, 5),
            .user_us = column_u64(q, 6),
            .system_us = column_u64(q, 7),
            .mib_us = column_u64(q, 8),
            .bytes_in = column_u64(q, 9),
            .bytes_out = column_u64(q, 10),
            .cold = column_u64(q, 11),
        };

        r = row(ctx, &u);
        if (r != 0)
            return r;
    }
    return r;
}

int store_usage(struct store *s, enum store_usage_by by, struct slice function, uint64_t since_us,
                uint64_t until_us, int (*row)(void *ctx, const struct store_usage *u), void *ctx,
                uint64_t *ret_since_us, uint64_t *ret_until_us)
{
    uint64_t until = until_us > 0 ? until_us : clock_wall_us();
    uint64_t since_s = since_us / US_PER_S, until_s = up(until, US_PER_S) / US_PER_S;
    _cleanup_finalize_ sqlite3_stmt *q = NULL;
    struct span spans[SPANS_MAX] = {0};
    uint64_t function_id = ALL_FUNCTIONS;
    int r = store_settle(s);

    widen(s, &since_s, &until_s);
    if (r >= 0 && function.len > 0)
        r = names_find_function(s, function, &function_id);
    if (r >= 0)
        r = store_prepare_text(s, usage_texts[by][function.len > 0], &q);
    if (r >= 0) {
        (void)split(s, since_s, until_s, spans);
        for (int i = 0; i < SPANS_MAX; i++) {
            bind_u64(q, 3 * i + 1, spans[i].resolution_s);
            bind_u64(q, 3 * i + 2, spans[i].from_s);
            bind_u64(q, 3 * i + 3, spans[i].to_s);
        }
        bind_u64(q, 3 * SPANS_MAX + 1, function_id);
        r = usage_rows(s, q, row, ctx);
    }
    if (r != 0 && r != -ENOENT)
        return r;
    *ret_since_us = since_s * US_PER_S;
    *ret_until_us = until_s * US_PER_S;
    return 0;
}

/* ---- versions ---- */

int store_versions(struct store *s, struct slice function,
                   int (*row)(void *ctx, const struct store_version *v), void *ctx)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_settle(s);

    r = r < 0 ? r : store_prepare(s, STATEMENT_VERSIONS, &q);

    if (r < 0)
        return r;
    bind_text(q, 1, function);
    while ((r = store_step(s, q)) > 0) {
        struct store_version v = {
            .function = column_bytes(q, 0),
            .version = column_bytes(q, 1),
            .first_us = column_u64(q, 2),
            .last_us = column_u64(q, 3),
            .invocations = column_u64(q, 4),
        };

        r = row(ctx, &v);
        if (r != 0)
            return r;
    }
    return r;
}
