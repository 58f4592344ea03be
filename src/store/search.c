/* Finding records. A search reads one covering index in its order; what is not in the way of that
 * order (a trigger, a duration) is looked at row by row. That takes some 0.1 us a row: of a file
 * with many more records than usual a search by time reads slices, and ends between two of them
 * when it has taken long enough. */

#include "store/store-internal.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SQL_MAX 8192

typedef int (*row_f)(void *ctx, uint64_t number, const struct record *r);

#define CANDIDATES_MAX 40000 /* rows that one answer reads whole, in search of a text */

/* What a query comes down to: ids from low to high (both with), and a place to go on. */
struct search {
    const struct store_query *q;
    uint8_t low[REQUEST_ID_SIZE], high[REQUEST_ID_SIZE];
    uint64_t function_id, version_id; /* 0: any */
    bool has_version_name;            /* versions of several functions have it */
    bool is_empty;                    /* nothing can be found */
    uint64_t after;                   /* by number */
    uint64_t slowest_ns;              /* by duration: the last of the page before, */
    uint8_t slowest_id[REQUEST_ID_SIZE];
    bool has_slowest;
    uint32_t limit;
    uint32_t candidates; /* rows to look at, at most */
    uint32_t found;
    uint64_t deadline_ns;
};

/* The last id before this one. Returns false if there is none. */
static bool id_before(uint8_t id[static REQUEST_ID_SIZE])
{
    for (size_t i = REQUEST_ID_SIZE; i-- > 0;) {
        if (id[i]-- > 0)
            return true;
    }
    return false;
}

static void raise_to(uint8_t low[static REQUEST_ID_SIZE],
                     const uint8_t other[static REQUEST_ID_SIZE])
{
    if (memcmp(other, low, REQUEST_ID_SIZE) > 0)
        memcpy(low, other, REQUEST_ID_SIZE);
}

static void lower_to(uint8_t high[static REQUEST_ID_SIZE],
                     const uint8_t other[static REQUEST_ID_SIZE])
{
    if (memcmp(other, high, REQUEST_ID_SIZE) < 0)
        memcpy(high, other, REQUEST_ID_SIZE);
}

static void search_span(struct search *x)
{
    uint8_t low[REQUEST_ID_SIZE], high[REQUEST_ID_SIZE];

    if (request_id_span(x->q->request_id, x->low, x->high) < 0) {
        x->is_empty = true;
        return;
    }
    request_id_at(x->q->since_us, low);
    raise_to(x->low, low);
    if (x->q->until_us > 0) {
        request_id_at(MIN(x->q->until_us, UINT64_MAX - 999) + 999, high);
        x->is_empty = !id_before(high);
        lower_to(x->high, high);
    }
}

static int search_cursor(struct search *x)
{
    struct slice rest = x->q->cursor, first;
    uint8_t id[REQUEST_ID_SIZE];

    if (rest.len == 0)
        return 0;
    if (x->q->order == STORE_BY_NUMBER)
        return parse_u64(rest, INT64_MAX, &x->after);
    if (x->q->order == STORE_BY_TIME) {
        if (request_id_parse(rest, id) < 0)
            return -EINVAL;
        x->is_empty = !id_before(id) || x->is_empty;
        lower_to(x->high, id);
        return 0;
    }
    first = slice_cut(&rest, '.');
    x->has_slowest = true;
    if (request_id_parse(rest, x->slowest_id) < 0)
        return -EINVAL;
    return parse_u64(first, INT64_MAX, &x->slowest_ns);
}

static int search_names(struct store *s, struct search *x)
{
    int r = 0;

    if (x->q->function.len > 0)
        r = names_find_function(s, x->q->function, &x->function_id);
    if (r >= 0 && x->q->version.len > 0) {
        r = names_find_version(s, x->q->version, &x->function_id, &x->version_id);
        x->has_version_name = r > 0;
    }
    if (r == -ENOENT)
        x->is_empty = true;
    return r == -ENOENT ? 0 : MIN(r, 0);
}

/* Only failures can be meant. */
static bool of_failed(const struct search *x)
{
    return x->q->failed || x->q->outcome > OUTCOME_OK;
}

static const char *search_index(const struct search *x)
{
    if (x->q->order == STORE_BY_NUMBER)
        return "NOT INDEXED";
    if (x->function_id > 0)
        return of_failed(x) ? "INDEXED BY records_failed_by_function"
                            : "INDEXED BY records_by_function";
    return of_failed(x) ? "INDEXED BY records_failed" : "INDEXED BY records_by_time";
}

static int search_text(const struct search *x, struct buf *b)
{
    static const char *const orders[] = {
        [STORE_BY_TIME] = "request_id DESC",
        [STORE_BY_DURATION] = "total_ns DESC, request_id DESC",
        [STORE_BY_NUMBER] = "number",
    };
    const struct store_query *q = x->q;
    const struct {
        bool holds;
        const char *sql;
    } conditions[] = {
        {q->order == STORE_BY_NUMBER, " AND number > ?1"},
        {x->function_id > 0, " AND function_id = ?4"},
        {x->version_id > 0, " AND version_id = ?5"},
        {x->has_version_name, " AND version_id IN (SELECT id FROM versions WHERE name = ?6)"},
        {of_failed(x), " AND outcome > 0"},
        {q->outcome >= 0, " AND outcome = ?7"},
        {q->trigger >= 0, " AND trigger = ?8"},
        {q->min_us > 0, " AND total_ns >= ?9"},
        {q->max_us > 0, " AND total_ns <= ?10"},
        {x->has_slowest, " AND (total_ns < ?11 OR (total_ns = ?11 AND request_id < ?12))"},
    };
    int r = buf_printf(b,
                       "SELECT number, request_id, total_ns FROM records %s"
                       " WHERE request_id BETWEEN ?2 AND ?3",
                       search_index(x));

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(conditions); i++)
        r = conditions[i].holds ? buf_append_str(b, conditions[i].sql) : 0;
    return r < 0 ? r : buf_printf(b, " ORDER BY %s LIMIT ?13", orders[q->order]);
}

/* What the text does not mention is out of range there, and let pass. */
static void search_bind(const struct search *x, sqlite3_stmt *q)
{
    bind_u64(q, 13, x->candidates);
    bind_u64(q, 1, x->after);
    bind_blob(q, 2, slice(x->low, REQUEST_ID_SIZE));
    bind_blob(q, 3, slice(x->high, REQUEST_ID_SIZE));
    bind_u64(q, 4, x->function_id);
    bind_u64(q, 5, x->version_id);
    bind_text(q, 6, x->q->version);
    bind_u64(q, 7, (uint64_t)MAX(x->q->outcome, 0));
    bind_u64(q, 8, (uint64_t)MAX(x->q->trigger, 0));
    bind_u64(q, 9, x->q->min_us > INT64_MAX / 1000 ? INT64_MAX : x->q->min_us * 1000);
    bind_u64(q, 10, x->q->max_us > INT64_MAX / 1000 - 1 ? INT64_MAX : x->q->max_us * 1000 + 999);
    bind_u64(q, 11, x->slowest_ns);
    bind_blob(q, 12, slice(x->slowest_id, REQUEST_ID_SIZE));
}

static bool holds_text(const struct record *r, struct slice text)
{
    return holds(r->path, text) || holds(r->error, text);
}

static void write_cursor(const struct search *x, sqlite3_stmt *q, char dst[static STORE_CURSOR_MAX])
{
    char id[REQUEST_ID_LEN + 1] = "";

    (void)column_request_id(q, 1, id);
    if (x->q->order == STORE_BY_NUMBER)
        (void)snprintf(dst, STORE_CURSOR_MAX, "%llu", (unsigned long long)column_u64(q, 0));
    else if (x->q->order == STORE_BY_DURATION)
        (void)snprintf(dst, STORE_CURSOR_MAX, "%llu.%s", (unsigned long long)column_u64(q, 2), id);
    else
        (void)snprintf(dst, STORE_CURSOR_MAX, "%s", id);
}

/* Prepares what was written into *b, with the result r, and frees it. */
static int prepare(struct store *s, struct buf *b, int r, sqlite3_stmt **ret)
{
    r = r < 0 || !buf_cstr(b) ? store_complain(s, -ENOMEM, "out of memory")
                              : store_prepare_text(s, buf_cstr(b), ret);
    buf_deinit(b);
    return r;
}

/* Hands out rows until the page is full. *cursor is where to go on, "" if all was looked at. */
static int search_rows(struct store *s, struct search *x, sqlite3_stmt *q, row_f row, void *ctx,
                       char cursor[static STORE_CURSOR_MAX])
{
    uint32_t seen = 0;
    int r;

    while ((r = store_step(s, q)) > 0) {
        _cleanup_reset_ sqlite3_stmt *fetch = NULL;
        char id[REQUEST_ID_LEN + 1];
        struct record record;

        if (x->found == x->limit)
            return 0; /* there is one more: the cursor is that of the row before */
        r = records_read(s, column_u64(q, 0), &fetch, &record, id);
        if (r < 0)
            return r;
        write_cursor(x, q, cursor);
        if (r > 0 && holds_text(&record, x->q->text)) {
            r = row(ctx, column_u64(q, 0), &record);
            if (r != 0)
                return r;
            x->found++;
        }
        if (++seen == x->candidates && x->found < x->limit)
            return 0;
        if (x->q->text.len > 0 && clock_now_ns() > x->deadline_ns)
            return 0;
    }
    cursor[0] = '\0';
    return r;
}

/* ---- slices ---- */

/* Whether rows may have to be passed over, and so many that it must not be done in one go. */
static int in_slices(struct store *s, const struct search *x)
{
    const struct store_query *q = x->q;
    _cleanup_reset_ sqlite3_stmt *count = NULL;
    int r;

    if (q->order != STORE_BY_TIME ||
        !(x->version_id > 0 || x->has_version_name || q->outcome >= 0 || q->trigger >= 0 ||
          q->min_us > 0 || q->max_us > 0))
        return 0;
    r = store_prepare(s, STATEMENT_RETAIN_TOTALS, &count);
    r = r < 0 ? r : store_step(s, count);
    return r < 0 ? r : column_u64(count, 0) > s->search_whole_max;
}

static int slice_text(const struct search *x, struct buf *b)
{
    return buf_printf(b,
                      "SELECT request_id FROM records %s WHERE request_id BETWEEN ?1 AND ?2%s%s"
                      " ORDER BY request_id DESC LIMIT 1 OFFSET ?4",
                      search_index(x), x->function_id > 0 ? " AND function_id = ?3" : "",
                      of_failed(x) ? " AND outcome > 0" : "");
}

/* Sets x->low to the lowest id of the next slice. Returns 1 if there is more below it. */
static int slice_next(struct store *s, struct search *x, sqlite3_stmt *q,
                      const uint8_t bottom[static REQUEST_ID_SIZE])
{
    struct slice id;
    int r;

    memcpy(x->low, bottom, REQUEST_ID_SIZE);
    (void)sqlite3_reset(q);
    bind_blob(q, 1, slice(bottom, REQUEST_ID_SIZE));
    bind_blob(q, 2, slice(x->high, REQUEST_ID_SIZE));
    bind_u64(q, 3, x->function_id);
    bind_u64(q, 4, s->search_slice_rows);
    r = store_step(s, q);
    id = r > 0 ? column_bytes(q, 0) : SLICE_NULL;
    if (id.len == REQUEST_ID_SIZE)
        memcpy(x->low, id.base, REQUEST_ID_SIZE);
    return r;
}

static int search_slices(struct store *s, struct search *x, sqlite3_stmt *find, row_f row,
                         void *ctx, char cursor[static STORE_CURSOR_MAX])
{
    _cleanup_finalize_ sqlite3_stmt *next = NULL;
    struct buf sql = BUF_INIT(SQL_MAX);
    uint8_t bottom[REQUEST_ID_SIZE];
    int more, r = prepare(s, &sql, slice_text(x, &sql), &next);

    memcpy(bottom, x->low, sizeof(bottom));
    while (r >= 0) {
        more = slice_next(s, x, next, bottom);
        if (more < 0)
            return more;
        search_bind(x, find);
        r = search_rows(s, x, find, row, ctx, cursor);
        (void)sqlite3_reset(find);
        if (r != 0 || *cursor || !more)
            return r;
        if (x->found == x->limit || clock_now_ns() > x->deadline_ns) {
            request_id_format(x->low, cursor);
            return 0;
        }
        memcpy(x->high, x->low, sizeof(x->high));
        if (!id_before(x->high))
            return 0;
    }
    return r;
}

int store_records(struct store *s, const struct store_query *q, row_f row, void *ctx,
                  char ret_cursor[static STORE_CURSOR_MAX])
{
    struct search x = {.q = q, .after = q->after};
    _cleanup_finalize_ sqlite3_stmt *find = NULL;
    struct buf sql = BUF_INIT(SQL_MAX);
    char cursor[STORE_CURSOR_MAX] = "";
    int r;

    x.limit = q->limit > 0 ? MIN(q->limit, (uint32_t)STORE_LIMIT_MAX) : 100;
    x.candidates = q->text.len > 0 ? CANDIDATES_MAX : x.limit + 1;
    x.deadline_ns = clock_now_ns() + s->answer_ms * NS_PER_MS;
    search_span(&x);
    if (search_cursor(&x) < 0)
        return store_complain(s, -EINVAL, "a cursor that is none");
    r = search_names(s, &x);
    if (r >= 0 && !x.is_empty) {
        r = prepare(s, &sql, search_text(&x, &sql), &find);
        r = r < 0 ? r : in_slices(s, &x);
        if (r > 0) {
            r = search_slices(s, &x, find, row, ctx, cursor);
        } else if (r == 0) {
            search_bind(&x, find);
            r = search_rows(s, &x, find, row, ctx, cursor);
        }
    }
    if (r == 0)
        memcpy(ret_cursor, cursor, STORE_CURSOR_MAX);
    return r;
}
