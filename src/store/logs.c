/* Log lines: putting them in, and reading them in either direction. */

#include "store/store-internal.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SQL_MAX    4096
#define CHECK_ROWS 256 /* between two looks at the clock */

enum flags {
    FLAG_GOES_ON = 1 << 0,
    FLAG_IS_CUT = 1 << 1,
};

int store_add_log(struct store *s, const struct log_line *l)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    uint64_t function_id, version_id;
    uint8_t id[REQUEST_ID_SIZE];
    int r = store_begin_adding(s);

    if (r < 0)
        return r;
    r = store_prepare(s, STATEMENT_LOG_ADD, &q);
    r = r < 0 ? r : names_intern(s, l->function, l->version, &function_id, &version_id);
    if (r < 0)
        return store_spoil(s, r);
    bind_u64(q, 1, s->state.last_log + 1);
    bind_u64(q, 2, l->time_us);
    if (request_id_parse(l->request_id, id) == 0)
        bind_blob(q, 3, slice(id, REQUEST_ID_SIZE));
    bind_u64(q, 4, function_id);
    bind_u64(q, 5, version_id);
    bind_u64(q, 6, l->stream);
    bind_u64(q, 7, (l->goes_on ? FLAG_GOES_ON : 0u) | (l->is_cut ? FLAG_IS_CUT : 0u));
    bind_text(q, 8, slice(l->text.base, MIN(l->text.len, (size_t)LOG_LINE_BYTES_MAX)));
    r = store_run(s, q);
    r = r < 0 ? r : names_count(s, function_id, 0, 1);
    if (r < 0)
        return store_spoil(s, r);
    s->state.last_log++;
    return 0;
}

/* ---- searching ---- */

/* A page goes forward from a place in (time, number), or backward; rows are handed out forward. */
struct log_search {
    const struct store_query *q;
    uint8_t low[REQUEST_ID_SIZE], high[REQUEST_ID_SIZE];
    uint64_t function_id, version_id;
    bool has_version_name;
    bool forward;
    bool has_place;
    uint64_t time_us, number; /* the last of the page before */
    uint32_t limit;
};

struct place {
    uint64_t time_us, number;
};

static int search_cursor(struct log_search *x)
{
    struct slice rest = x->q->cursor, first;

    if (rest.len == 0)
        return 0;
    x->has_place = true;
    first = slice_cut(&rest, '.');
    if (parse_u64(first, INT64_MAX, &x->time_us) < 0 || parse_u64(rest, INT64_MAX, &x->number) < 0)
        return -EINVAL;
    return 0;
}

static const char *search_index(const struct log_search *x)
{
    if (x->q->order == STORE_BY_NUMBER)
        return "NOT INDEXED";
    if (x->q->request_id.len > 0)
        return "INDEXED BY log_lines_by_request";
    if (x->function_id > 0)
        return "INDEXED BY log_lines_by_function";
    return "INDEXED BY log_lines_by_time";
}

static const char *search_place(const struct log_search *x)
{
    if (x->q->order == STORE_BY_NUMBER)
        return " AND number > ?6";
    if (!x->has_place)
        return "";
    return x->forward ? " AND time_us >= ?5 AND (time_us > ?5 OR number > ?6)"
                      : " AND time_us <= ?5 AND (time_us < ?5 OR number < ?6)";
}

static const char *search_order(const struct log_search *x)
{
    if (x->q->order == STORE_BY_NUMBER)
        return "number";
    return x->forward ? "time_us, number" : "time_us DESC, number DESC";
}

static int search_text(const struct log_search *x, struct buf *b)
{
    const struct store_query *q = x->q;
    const struct {
        bool holds;
        const char *sql;
    } conditions[] = {
        {q->request_id.len > 0, " AND request_id BETWEEN ?1 AND ?2"},
        {x->function_id > 0, " AND function_id = ?3"},
        {x->has_version_name, " AND version_id IN (SELECT id FROM versions WHERE name = ?4)"},
        {q->since_us > 0, " AND time_us >= ?7"},
        {q->until_us > 0, " AND time_us < ?8"},
    };
    int r = buf_printf(b,
                       "SELECT number, time_us, version_id, stream, text FROM log_lines %s"
                       " WHERE TRUE",
                       search_index(x));

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(conditions); i++)
        r = conditions[i].holds ? buf_append_str(b, conditions[i].sql) : 0;
    r = r < 0 ? r : buf_append_str(b, search_place(x));
    return r < 0 ? r : buf_printf(b, " ORDER BY %s", search_order(x));
}

static void search_bind(const struct log_search *x, sqlite3_stmt *q)
{
    bind_blob(q, 1, slice(x->low, REQUEST_ID_SIZE));
    bind_blob(q, 2, slice(x->high, REQUEST_ID_SIZE));
    bind_u64(q, 3, x->function_id);
    bind_text(q, 4, x->q->version);
    bind_u64(q, 5, x->time_us);
    bind_u64(q, 6, x->number);
    bind_u64(q, 7, x->q->since_us);
    bind_u64(q, 8, x->q->until_us);
}

/* What no index leads to is looked at here, so that one line after the other comes past the clock.
 */
static bool fits(const struct log_search *x, sqlite3_stmt *q)
{
    if (x->version_id > 0 && column_u64(q, 2) != x->version_id)
        return false;
    if (x->q->stream >= 0 && column_u64(q, 3) != (uint64_t)x->q->stream)
        return false;
    return x->q->text.len == 0 || holds(column_bytes(q, 4), x->q->text);
}

/* Fills the page with the numbers of lines that fit. Returns 1 if there may be more of them
 * behind *ret_last, 0 at the end, or -errno. */
static int search_numbers(struct store *s, const struct log_search *x, sqlite3_stmt *q,
                          uint64_t *numbers, size_t *ret_n, struct place *ret_last)
{
    uint64_t deadline_ns = clock_now_ns() + s->answer_ms * NS_PER_MS;
    size_t n = 0;
    int r;

    for (uint32_t seen = 1; (r = store_step(s, q)) > 0; seen++) {
        if (n == x->limit)
            break;
        *ret_last = (struct place){column_u64(q, 1), column_u64(q, 0)};
        if (fits(x, q))
            numbers[n++] = ret_last->number;
        if (seen % CHECK_ROWS == 0 && clock_now_ns() > deadline_ns)
            break;
    }
    if (r >= 0)
        *ret_n = n;
    return r;
}

static int read_row(struct store *s, uint64_t number,
                    int (*row)(void *ctx, uint64_t number, const struct log_line *l), void *ctx)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    char id[REQUEST_ID_LEN + 1];
    struct log_line line;
    uint64_t flags;
    int r = store_prepare(s, STATEMENT_LOG_GET, &q);

    if (r < 0)
        return r;
    bind_u64(q, 1, number);
    r = store_step(s, q);
    if (r <= 0)
        return r;
    flags = column_u64(q, 5);
    line = (struct log_line){
        .time_us = column_u64(q, 0),
        .request_id = column_request_id(q, 1, id),
        .function = column_bytes(q, 2),
        .version = column_bytes(q, 3),
        .stream = (enum log_stream)MIN(column_u64(q, 4), (uint64_t)_LOG_STREAM_MAX - 1),
        .goes_on = flags & FLAG_GOES_ON,
        .is_cut = flags & FLAG_IS_CUT,
        .text = column_bytes(q, 6),
    };
    return row(ctx, number, &line);
}

static int search_run(struct store *s, const struct log_search *x, uint64_t *numbers, size_t *ret_n,
                      char cursor[static STORE_CURSOR_MAX])
{
    _cleanup_finalize_ sqlite3_stmt *q = NULL;
    struct buf sql = BUF_INIT(SQL_MAX);
    struct place last = {0};
    int r = search_text(x, &sql);

    r = r < 0 || !buf_cstr(&sql) ? store_complain(s, -ENOMEM, "out of memory")
                                 : store_prepare_text(s, buf_cstr(&sql), &q);
    buf_deinit(&sql);
    if (r < 0)
        return r;
    search_bind(x, q);
    r = search_numbers(s, x, q, numbers, ret_n, &last);
    if (r > 0)
        (void)snprintf(cursor, STORE_CURSOR_MAX, "%llu.%llu", (unsigned long long)last.time_us,
                       (unsigned long long)last.number);
    return MIN(r, 0);
}

/* Returns 1 to go on, 0 if nothing can be found, or -errno. */
static int search_begin(struct store *s, struct log_search *x)
{
    const struct store_query *q = x->q;
    int r = 0;

    x->limit = q->limit > 0 ? MIN(q->limit, (uint32_t)STORE_LIMIT_MAX) : 100;
    x->forward = q->since_us > 0 || q->order == STORE_BY_NUMBER;
    x->number = q->after;
    if (search_cursor(x) < 0)
        return store_complain(s, -EINVAL, "a cursor that is none");
    if (request_id_span(q->request_id, x->low, x->high) < 0)
        return 0;
    if (q->function.len > 0)
        r = names_find_function(s, q->function, &x->function_id);
    if (r >= 0 && q->version.len > 0) {
        r = names_find_version(s, q->version, &x->function_id, &x->version_id);
        x->has_version_name = r > 0;
    }
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return 1;
}

int store_logs(struct store *s, const struct store_query *q,
               int (*row)(void *ctx, uint64_t number, const struct log_line *l), void *ctx,
               char ret_cursor[static STORE_CURSOR_MAX])
{
    struct log_search x = {.q = q};
    uint64_t numbers[STORE_LIMIT_MAX];
    char cursor[STORE_CURSOR_MAX] = "";
    size_t n = 0;
    int r = search_begin(s, &x);

    if (r > 0)
        r = search_run(s, &x, numbers, &n, cursor);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = read_row(s, numbers[x.forward ? i : n - 1 - i], row, ctx);
    if (r == 0)
        memcpy(ret_cursor, cursor, STORE_CURSOR_MAX);
    return r;
}
