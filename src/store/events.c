/* Saved events, and requests that were captured to be run again. */

#include "store/store-internal.h"

#include <errno.h>

/* ---- saved events ---- */

static int may_put(struct store *s, const struct store_event *e)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r;

    if (e->name.len == 0 || e->name.len > STORE_NAME_MAX)
        return store_complain(s, -EINVAL, "a name is 1 to 128 bytes long");
    if (e->content.len > STORE_EVENT_MAX)
        return store_complain(s, -EFBIG, "an event is at most 1 MiB");
    r = store_prepare(s, STATEMENT_EVENTS_COUNT, &q);
    if (r < 0)
        return r;
    bind_text(q, 1, e->function);
    bind_text(q, 2, e->name);
    r = store_step(s, q);
    if (r > 0 && column_u64(q, 0) >= STORE_EVENTS_MAX)
        return store_complain(s, -EDQUOT, "the function has too many events: remove one");
    return MIN(r, 0);
}

int store_event_put(struct store *s, const struct store_event *e)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = may_put(s, e);

    r = r < 0 ? r : store_begin(s);
    r = r < 0 ? r : store_prepare(s, STATEMENT_EVENT_PUT, &q);
    if (r < 0)
        return r;
    bind_text(q, 1, e->function);
    bind_text(q, 2, e->name);
    bind_blob(q, 3, e->content);
    bind_u64(q, 4, e->updated_us);
    return store_finish(s, store_run(s, q));
}

int store_event_remove(struct store *s, struct slice function, struct slice name)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_EVENT_REMOVE, &q);

    if (r < 0)
        return r;
    bind_text(q, 1, function);
    bind_text(q, 2, name);
    return store_remove(s, q);
}

int store_events(struct store *s, struct slice function, struct slice name,
                 int (*row)(void *ctx, const struct store_event *e), void *ctx)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    size_t n = 0;
    int r = store_prepare(s, STATEMENT_EVENTS, &q);

    if (r < 0)
        return r;
    bind_text(q, 1, function);
    bind_text(q, 2, name);
    for (; (r = store_step(s, q)) > 0; n++) {
        struct store_event e = {
            .function = column_bytes(q, 0),
            .name = column_bytes(q, 1),
            .content = column_bytes(q, 2),
            .updated_us = column_u64(q, 3),
        };

        r = row(ctx, &e);
        if (r != 0)
            return r;
    }
    return r == 0 && name.len > 0 && n == 0 ? -ENOENT : r;
}

/* ---- captures ---- */

int store_add_capture(struct store *s, const struct store_capture *c)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    size_t bytes =
        c->request_head.len + c->request_body.len + c->response_head.len + c->response_body.len;
    uint8_t id[REQUEST_ID_SIZE];
    int r;

    if (request_id_parse(c->request_id, id) < 0)
        return store_complain(s, -EINVAL, "a capture without a request id");
    if (bytes > STORE_CAPTURE_MAX)
        return store_complain(s, -EFBIG, "a capture is at most 8 MiB");
    r = store_begin_adding(s);
    if (r < 0)
        return r;
    r = store_prepare(s, STATEMENT_CAPTURE_ADD, &q);
    if (r < 0)
        return store_spoil(s, r);
    bind_blob(q, 1, slice(id, sizeof(id)));
    bind_u64(q, 2, c->time_us);
    bind_text(q, 3, c->function);
    bind_text(q, 4, c->version);
    bind_u64(q, 5, c->flags);
    bind_u64(q, 6, bytes);
    bind_blob(q, 7, c->request_head);
    bind_blob(q, 8, c->request_body);
    bind_blob(q, 9, c->response_head);
    bind_blob(q, 10, c->response_body);
    r = store_run(s, q);
    return r < 0 ? store_spoil(s, r) : 0;
}

int store_capture(struct store *s, struct slice request_id,
                  int (*row)(void *ctx, const struct store_capture *c), void *ctx)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    char text[REQUEST_ID_LEN + 1];
    uint8_t id[REQUEST_ID_SIZE];
    struct store_capture c;
    int r;

    if (request_id_parse(request_id, id) < 0)
        return -ENOENT;
    r = store_prepare(s, STATEMENT_CAPTURE_GET, &q);
    if (r < 0)
        return r;
    bind_blob(q, 1, slice(id, sizeof(id)));
    r = store_step(s, q);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    c = (struct store_capture){
        .request_id = column_request_id(q, 0, text),
        .time_us = column_u64(q, 1),
        .function = column_bytes(q, 2),
        .version = column_bytes(q, 3),
        .flags = column_u64(q, 4),
        .request_head = column_bytes(q, 5),
        .request_body = column_bytes(q, 6),
        .response_head = column_bytes(q, 7),
        .response_body = column_bytes(q, 8),
    };
    return row(ctx, &c);
}
