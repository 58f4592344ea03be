/* Records: putting them in, and finding them. The columns come from RECORD_FIELDS, so that a field
 * that a record gets has its column with the next start. */

#include "store/store-internal.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SQL_MAX 8192

static const struct field {
    const char *name;
    size_t offset;
    size_t max; /* of a text; 0: a number */
} fields[] = {
#define FIELD_U64(name, text)      {#name, offsetof(struct record, name), 0},
#define FIELD_STR(name, max, text) {#name, offsetof(struct record, name), max},
    RECORD_FIELDS(FIELD_U64, FIELD_STR)
#undef FIELD_U64
#undef FIELD_STR
};

/* The first three are kept as numbers and 16 bytes, in columns of their own. */
#define FIELDS_APART 3

static void *field_at(const struct field *f, struct record *r)
{
    return (char *)r + f->offset;
}

/* ---- columns ---- */

int records_columns(struct store *s)
{
    int r = 0;

    for (size_t i = FIELDS_APART; r >= 0 && i < ARRAY_SIZE(fields); i++)
        r = schema_column(s, "records", fields[i].name,
                          fields[i].max > 0 ? "TEXT NOT NULL DEFAULT ''"
                                            : "INTEGER NOT NULL DEFAULT 0");
    return r;
}

/* Makes the two statements that name all columns. */
static int prepare_rows(struct store *s)
{
    struct buf put = BUF_INIT(SQL_MAX), get = BUF_INIT(SQL_MAX);
    int r =
        buf_append_str(&put, "INSERT INTO records (number, request_id, function_id, version_id");

    r = r < 0 ? r : buf_append_str(&get, "SELECT r.request_id, f.name, v.name");
    for (size_t i = FIELDS_APART; r >= 0 && i < ARRAY_SIZE(fields); i++) {
        r = buf_printf(&put, ", \"%s\"", fields[i].name);
        r = r < 0 ? r : buf_printf(&get, ", r.\"%s\"", fields[i].name);
    }
    r = r < 0 ? r : buf_append_str(&put, ") VALUES (?1, ?2, ?3, ?4");
    for (size_t i = FIELDS_APART; r >= 0 && i < ARRAY_SIZE(fields); i++)
        r = buf_append_str(&put, ", ?");
    r = r < 0 ? r : buf_append_str(&put, ")");
    r = r < 0 ? r
              : buf_append_str(&get, " FROM records r LEFT JOIN functions f ON f.id = r.function_id"
                                     " LEFT JOIN versions v ON v.id = r.version_id"
                                     " WHERE r.number = ?1");
    if (r < 0 || !buf_cstr(&put) || !buf_cstr(&get))
        r = store_complain(s, -ENOMEM, "out of memory");
    else if ((r = store_prepare_text(s, buf_cstr(&put), &s->record_insert)) >= 0)
        r = store_prepare_text(s, buf_cstr(&get), &s->record_select);
    buf_deinit(&put);
    buf_deinit(&get);
    return r;
}

/* ---- adding ---- */

static int insert(struct store *s, const struct record *r, const uint8_t id[static REQUEST_ID_SIZE],
                  uint64_t function_id, uint64_t version_id)
{
    struct record copy = *r;
    sqlite3_stmt *q = s->record_insert;
    int x;

    bind_u64(q, 1, s->state.last_record + 1);
    bind_blob(q, 2, slice(id, REQUEST_ID_SIZE));
    bind_u64(q, 3, function_id);
    bind_u64(q, 4, version_id);
    for (size_t i = FIELDS_APART; i < ARRAY_SIZE(fields); i++) {
        int at = (int)(i - FIELDS_APART) + 5;

        if (fields[i].max > 0) {
            struct slice *text = field_at(&fields[i], &copy);

            bind_text(q, at, slice(text->base, MIN(text->len, fields[i].max)));
        } else {
            bind_u64(q, at, *(uint64_t *)field_at(&fields[i], &copy));
        }
    }
    x = store_run(s, q);
    if (x >= 0)
        s->state.last_record++;
    return x;
}

int store_add_record(struct store *s, const struct record *r)
{
    uint64_t function_id, version_id;
    uint8_t id[REQUEST_ID_SIZE];
    int x;

    if (request_id_parse(r->request_id, id) < 0 || r->outcome >= _OUTCOME_MAX)
        return store_complain(s, -EINVAL, "a record without a request id, or an outcome");
    x = store_begin_adding(s);
    if (x < 0)
        return x;
    x = s->record_insert ? 0 : prepare_rows(s);
    x = x < 0 ? x : names_intern(s, r->function, r->version, &function_id, &version_id);
    x = x < 0 ? x : insert(s, r, id, function_id, version_id);
    x = x < 0 ? x : names_count(s, function_id, 1, 0);
    x = x < 0 ? x : rollups_add(s, r, function_id, version_id);
    return x < 0 ? store_spoil(s, x) : 0;
}

/* ---- reading a row ---- */

/* Gives the record of a number: 1, or 0 if there is none. Its strings live until *q is reset. */
static int read_row(struct store *s, uint64_t number, sqlite3_stmt **q, struct record *ret,
                    char id[static REQUEST_ID_LEN + 1])
{
    int r = s->record_select ? 0 : prepare_rows(s);

    if (r < 0)
        return r;
    *q = s->record_select;
    bind_u64(*q, 1, number);
    r = store_step(s, *q);
    if (r <= 0)
        return r;
    memset(ret, 0, sizeof(*ret));
    ret->request_id = column_request_id(*q, 0, id);
    ret->function = column_bytes(*q, 1);
    ret->version = column_bytes(*q, 2);
    for (size_t i = FIELDS_APART; i < ARRAY_SIZE(fields); i++) {
        int at = (int)i;

        if (fields[i].max > 0)
            *(struct slice *)field_at(&fields[i], ret) = column_bytes(*q, at);
        else
            *(uint64_t *)field_at(&fields[i], ret) = column_u64(*q, at);
    }
    /* The file may have been written by others. */
    ret->outcome = MIN(ret->outcome, (uint64_t)_OUTCOME_MAX - 1);
    ret->trigger = MIN(ret->trigger, (uint64_t)_TRIGGER_MAX - 1);
    ret->limit = ret->limit < _LIMIT_HIT_MAX ? ret->limit : LIMIT_HIT_NONE;
    return 1;
}

/* ---- searching ---- */

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

static void narrow(uint8_t low[static REQUEST_ID_SIZE], const uint8_t other[static REQUEST_ID_SIZE],
                   int sign)
{
    if (memcmp(other, low, REQUEST_ID_SIZE) * sign > 0)
        memcpy(low, other, REQUEST_ID_SIZE);
}

static void search_span(struct search *x)
{
    uint8_t low[REQUEST_ID_SIZE], high[REQUEST_ID_SIZE];

    if (request_id_span(x->q->request_id, x->low, x->high) < 0) {
        x->is_empty = true;
        return;
    }
    request_id_at(x->q->since_us, low);
    narrow(x->low, low, 1);
    if (x->q->until_us > 0) {
        request_id_at(x->q->until_us + 999, high);
        x->is_empty = !id_before(high);
        narrow(x->high, high, -1);
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
        narrow(x->high, id, -1);
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

static const char *search_index(const struct search *x)
{
    bool failed = x->q->failed || x->q->outcome > OUTCOME_OK;

    if (x->q->order == STORE_BY_NUMBER)
        return "NOT INDEXED";
    if (x->function_id > 0)
        return failed ? "INDEXED BY records_failed_by_function" : "INDEXED BY records_by_function";
    return failed ? "INDEXED BY records_failed" : "INDEXED BY records_by_time";
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
        {q->failed || q->outcome > OUTCOME_OK, " AND outcome > 0"},
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
static void search_bind(const struct search *x, sqlite3_stmt *q, uint32_t candidates)
{
    bind_u64(q, 13, candidates);
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
    return text.len == 0 || memmem(r->path.base, r->path.len, text.base, text.len) ||
           memmem(r->error.base, r->error.len, text.base, text.len);
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

static int search_rows(struct store *s, const struct search *x, sqlite3_stmt *q,
                       uint32_t candidates,
                       int (*row)(void *ctx, uint64_t number, const struct record *r), void *ctx,
                       char cursor[static STORE_CURSOR_MAX])
{
    uint64_t deadline_ns = clock_now_ns() + ANSWER_MS * NS_PER_MS;
    uint32_t n = 0, seen = 0;
    int r;

    while ((r = store_step(s, q)) > 0) {
        _cleanup_reset_ sqlite3_stmt *fetch = NULL;
        char id[REQUEST_ID_LEN + 1];
        struct record record;

        if (n == x->limit)
            return 0; /* there is one more: the cursor is that of the row before */
        r = read_row(s, column_u64(q, 0), &fetch, &record, id);
        if (r < 0)
            return r;
        write_cursor(x, q, cursor);
        if (r > 0 && holds_text(&record, x->q->text)) {
            r = row(ctx, column_u64(q, 0), &record);
            if (r != 0)
                return r;
            n++;
        }
        if (++seen == candidates && n < x->limit)
            return 0;
        if (x->q->text.len > 0 && clock_now_ns() > deadline_ns)
            return 0;
    }
    cursor[0] = '\0';
    return r;
}

int store_records(struct store *s, const struct store_query *q,
                  int (*row)(void *ctx, uint64_t number, const struct record *r), void *ctx,
                  char ret_cursor[static STORE_CURSOR_MAX])
{
    struct search x = {.q = q, .after = q->after};
    _cleanup_finalize_ sqlite3_stmt *find = NULL;
    struct buf sql = BUF_INIT(SQL_MAX);
    char cursor[STORE_CURSOR_MAX] = "";
    uint32_t candidates;
    int r;

    x.limit = q->limit > 0 ? MIN(q->limit, (uint32_t)STORE_LIMIT_MAX) : 100;
    candidates = q->text.len > 0 ? CANDIDATES_MAX : x.limit + 1;
    search_span(&x);
    if (search_cursor(&x) < 0)
        return store_complain(s, -EINVAL, "a cursor that is none");
    r = search_names(s, &x);
    if (r >= 0 && !x.is_empty) {
        r = search_text(&x, &sql);
        r = r < 0 || !buf_cstr(&sql) ? store_complain(s, -ENOMEM, "out of memory")
                                     : store_prepare_text(s, buf_cstr(&sql), &find);
        buf_deinit(&sql);
        if (r < 0)
            return r;
        search_bind(&x, find, candidates);
        r = search_rows(s, &x, find, candidates, row, ctx, cursor);
    }
    if (r == 0)
        memcpy(ret_cursor, cursor, STORE_CURSOR_MAX);
    return r;
}
