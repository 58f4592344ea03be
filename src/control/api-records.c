/* /records, /logs, /traces. */

#include "control/api-handlers.h"
#include "control/api-rows.h"
#include "control/control.h"

#include <errno.h>

#define TRACE_LINES_MAX STORE_LIMIT_MAX

struct rows {
    struct jsonw *w;
    uint32_t n;
};

static int on_record(void *ctx, uint64_t number, const struct record *r)
{
    struct rows *rows = ctx;

    rows->n++;
    api_write_record(rows->w, r);
    return 0;
}

static int on_line(void *ctx, uint64_t number, const struct log_line *l)
{
    struct rows *rows = ctx;

    rows->n++;
    api_write_line(rows->w, number, l);
    return 0;
}

static void put_next(struct jsonw *w, const char *cursor)
{
    jsonw_key(w, "next");
    if (cursor[0])
        jsonw_str(w, slice_str(cursor));
    else
        jsonw_null(w);
}

/* A page: asks the store for it and writes what it has. */
static void page_answer(struct api_call *call, const char *key,
                        int (*ask)(struct store *s, const struct store_query *q, struct rows *rows,
                                   char *ret_cursor))
{
    char cursor[STORE_CURSOR_MAX] = "";
    struct store *store = api_store(call);
    struct store_query q;
    struct rows rows;

    if (!store || !api_query_read(call, &q))
        return;
    rows = (struct rows){.w = api_json(call)};
    jsonw_object_begin(rows.w);
    jsonw_key(rows.w, key);
    jsonw_array_begin(rows.w);
    if (!api_store_did(call, ask(store, &q, &rows, cursor)))
        return;
    jsonw_array_end(rows.w);
    put_next(rows.w, cursor);
    jsonw_object_end(rows.w);
    api_json_end(call, 200);
}

static int ask_records(struct store *s, const struct store_query *q, struct rows *rows,
                       char *ret_cursor)
{
    return store_records(s, q, on_record, rows, ret_cursor);
}

static int ask_logs(struct store *s, const struct store_query *q, struct rows *rows,
                    char *ret_cursor)
{
    return store_logs(s, q, on_line, rows, ret_cursor);
}

void api_records(struct api_call *call)
{
    page_answer(call, "records", ask_records);
}

void api_logs(struct api_call *call)
{
    page_answer(call, "lines", ask_logs);
}

/* ---- one request ---- */

/* Writes the record of this id. Returns false if there is none, or trouble: the call is answered.
 */
static bool record_put(struct api_call *call, struct store *store, struct slice id, struct jsonw *w)
{
    char cursor[STORE_CURSOR_MAX];
    struct store_query q = STORE_QUERY_ANY;
    struct rows rows = {.w = w};

    q.request_id = id;
    q.limit = 1;
    if (id.len == REQUEST_ID_LEN &&
        !api_store_did(call, store_records(store, &q, on_record, &rows, cursor)))
        return false;
    if (rows.n == 0)
        api_fail(call, 404, "there is no record of this request, or not any more, or not yet");
    return rows.n > 0;
}

void api_record(struct api_call *call)
{
    struct store *store = api_store(call);

    if (store && record_put(call, store, call->args[0], api_json(call)))
        api_json_end(call, 200);
}

struct trace_ids {
    char text[64]; /* as in a traceparent header */
};

static int on_trace_ids(void *ctx, uint64_t number, const struct record *r)
{
    struct trace_ids *ids = ctx;

    if (r->trace_id.len > 0)
        (void)snprintf(ids->text, sizeof(ids->text), "00-%.*s-%.*s-01", SLICE_ARG(r->trace_id),
                       SLICE_ARG(r->span_id));
    return 0;
}

void api_trace(struct api_call *call)
{
    char cursor[STORE_CURSOR_MAX] = "";
    struct store *store = api_store(call);
    struct store_query q = STORE_QUERY_ANY;
    struct trace_ids ids = {.text = ""};
    struct rows rows;

    if (!store)
        return;
    rows = (struct rows){.w = api_json(call)};
    jsonw_object_begin(rows.w);
    jsonw_key(rows.w, "record");
    if (!record_put(call, store, call->args[0], rows.w))
        return;
    q.request_id = call->args[0];
    q.limit = 1;
    if (!api_store_did(call, store_records(store, &q, on_trace_ids, &ids, cursor)))
        return;
    q.since_us = 1; /* oldest first */
    q.limit = TRACE_LINES_MAX;
    jsonw_key(rows.w, "logs");
    jsonw_array_begin(rows.w);
    if (!api_store_did(call, store_logs(store, &q, on_line, &rows, cursor)))
        return;
    jsonw_array_end(rows.w);
    put_next(rows.w, cursor);
    jsonw_key(rows.w, "traceparent");
    if (ids.text[0])
        jsonw_str(rows.w, slice_str(ids.text));
    else
        jsonw_null(rows.w);
    jsonw_object_end(rows.w);
    api_json_end(call, 200);
}
