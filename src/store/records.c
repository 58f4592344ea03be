/* Records: putting them in, and reading them by their number. The columns come from RECORD_FIELDS,
 * so that a field that a record gets has its column with the next start. */

#include "store/store-internal.h"

#include <errno.h>
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

int records_read(struct store *s, uint64_t number, sqlite3_stmt **q, struct record *ret,
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
