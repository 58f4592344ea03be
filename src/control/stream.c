#include "control/stream.h"

#include "control/api-internal.h"
#include "control/api-rows.h"
#include "control/control.h"

#include "base/log.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>

#define LIVE_PERIOD_NS  NS_PER_S
#define BEAT_PERIOD_NS  (15 * NS_PER_S)
#define LIVE_MS         1000
#define WORKERS_MS      200
#define HURRY_MS        100 /* until the first one is there */
#define WAIT_NS         (1200 * NS_PER_MS)
#define EVENT_BYTES_MAX (2UL * 1024 * 1024)
#define ITEMS_BYTES_MAX (4UL * 1024 * 1024)

static const struct {
    const char *name;
    unsigned bit;
} event_names[] = {
    {"live", STREAM_LIVE},
    {"workers", STREAM_WORKERS},
    {"record", STREAM_RECORD},
    {"log", STREAM_LOG},
};

/* ---- what the gateway is to tell ---- */

static bool somebody_is_new(const struct streams *s)
{
    struct list *i;

    list_for_each (i, &s->list) {
        const struct stream *t = list_entry(i, struct stream, link);

        if (t->events & (STREAM_LIVE | STREAM_WORKERS) && !t->begun)
            return true;
    }
    return s->n_waiting > 0;
}

static void watch_send(struct streams *s, uint32_t interval_ms)
{
    struct wire_message m = {.type = WIRE_WATCH, .watch = {.interval_ms = interval_ms}};

    s->interval_ms = interval_ms;
    channels_send_gateway(s->control, &m);
}

static void watch_update(struct streams *s)
{
    uint32_t interval_ms = somebody_is_new(s) ? HURRY_MS
                           : s->n_workers > 0 ? WORKERS_MS
                           : s->n_live > 0    ? LIVE_MS
                                              : 0;

    if (interval_ms != s->interval_ms)
        watch_send(s, interval_ms);
}

void streams_link(struct streams *s)
{
    live_forget_gateway(&s->live);
    s->interval_ms = 0;
    watch_update(s);
}

/* ---- events ---- */

/* Adds s->event, which is complete, to the client's bytes. Returns false if it does not fit: a
 * client that is that far behind gets what comes later. */
static bool event_put(struct streams *s, struct stream *t)
{
    struct buf *out = &t->connection->out;
    size_t n = buf_len(&s->event);

    return buf_len(out) + n <= API_STREAM_MAX && buf_append_slice(out, buf_slice(&s->event)) == 0;
}

/* What a client has missed, as soon as there is room again. Returns whether there was something. */
static bool gap_put(struct stream *t)
{
    struct buf *out = &t->connection->out;

    if ((t->gap_records == 0 && t->gap_lines == 0) || buf_len(out) > API_STREAM_MAX / 2 ||
        buf_printf(out, "event: gap\ndata: {\"records\":%llu,\"lines\":%llu}\n\n",
                   (unsigned long long)t->gap_records, (unsigned long long)t->gap_lines) < 0)
        return false;
    t->gap_records = t->gap_lines = 0;
    return true;
}

bool stream_drained(struct api_connection *c)
{
    return c->stream && gap_put(c->stream);
}

static int event_begin(struct streams *s, const char *name, bool with_id, struct jsonw *w)
{
    const struct store *store = keep_store(&s->control->keep);
    int r;

    buf_clear(&s->event);
    r = buf_printf(&s->event, "event: %s\n", name);
    if (r == 0 && with_id && store)
        r = buf_printf(&s->event, "id: %llu-%llu\n", (unsigned long long)store_last_record(store),
                       (unsigned long long)store_last_log(store));
    if (r == 0)
        r = buf_append_str(&s->event, "data: ");
    *w = JSONW_INIT(&s->event);
    return r;
}

static int event_end(struct streams *s, struct jsonw *w)
{
    int r = jsonw_end(w);

    return r == 0 ? buf_append_str(&s->event, "\n\n") : r;
}

/* ---- live ---- */

static void live_put(struct streams *s, bool new_ones_only)
{
    struct list *i, *tmp;
    struct jsonw w;
    int r = event_begin(s, "live", false, &w);

    if (r < 0)
        return;
    live_write(&s->live, s->control->last, &w);
    if (event_end(s, &w) < 0)
        return;
    list_for_each_safe (i, tmp, &s->list) {
        struct stream *t = list_entry(i, struct stream, link);

        if (!(t->events & STREAM_LIVE) || (new_ones_only && t->begun))
            continue;
        t->begun = true;
        (void)event_put(s, t); /* else the next one */
        api_stream_kick(t->connection);
    }
}

static void workers_put(struct streams *s)
{
    struct list *i, *tmp;
    struct jsonw w;

    if (event_begin(s, "workers", false, &w) < 0)
        return;
    live_write_workers(&s->live, &w);
    if (event_end(s, &w) < 0)
        return;
    list_for_each_safe (i, tmp, &s->list) {
        struct stream *t = list_entry(i, struct stream, link);

        if (!(t->events & STREAM_WORKERS))
            continue;
        t->begun = t->begun || !(t->events & STREAM_LIVE);
        (void)event_put(s, t);
        api_stream_kick(t->connection);
    }
}

static void waiting_answer(struct streams *s)
{
    struct buf b = BUF_INIT(EVENT_BYTES_MAX);
    struct jsonw w = JSONW_INIT(&b);
    int r;

    if (s->n_waiting == 0)
        return;
    live_write(&s->live, s->control->last, &w);
    r = jsonw_end(&w);
    while (s->n_waiting > 0) {
        struct api_connection *c = s->waiting[--s->n_waiting];

        c->on_closed = NULL;
        if (r < 0)
            connection_refuse(c, 503, "too much to tell");
        else
            api_answer_later(c, 200, buf_slice(&b));
    }
    loop_timer_cancel(&s->wait);
    buf_deinit(&b);
}

void streams_on_live(struct streams *s, struct slice json)
{
    if (live_take(&s->live, json, clock_now_ns()) < 0) {
        log_warning("live.bad", "bytes=%zu", json.len);
        return;
    }
    waiting_answer(s);
    if (s->n_live > 0 && somebody_is_new(s))
        live_put(s, true);
    if (s->n_workers > 0)
        workers_put(s);
    watch_update(s);
}

static void on_tick(struct loop_timer *t)
{
    struct streams *s = container_of(t, struct streams, tick);

    if (s->n_live == 0)
        return;
    (void)loop_timer_after(s->control->loop, t, LIVE_PERIOD_NS, on_tick);
    live_put(s, false);
    watch_update(s);
}

/* So that nobody between takes a quiet stream for a dead one, and we notice who is gone. */
static void on_beat(struct loop_timer *t)
{
    struct streams *s = container_of(t, struct streams, beat);
    struct list *i, *tmp;

    if (list_is_empty(&s->list))
        return;
    (void)loop_timer_after(s->control->loop, t, BEAT_PERIOD_NS, on_beat);
    list_for_each_safe (i, tmp, &s->list) {
        struct stream *one = list_entry(i, struct stream, link);

        (void)gap_put(one);
        if (buf_len(&one->connection->out) == 0)
            (void)buf_append_str(&one->connection->out, ":\n\n");
        api_stream_kick(one->connection);
    }
}

/* ---- records and lines ---- */

static void item_add(struct stream_items *x, struct slice function, struct slice request,
                     void (*write)(struct jsonw *w, const void *row, uint64_t number),
                     const void *row, uint64_t number)
{
    struct stream_item *item = &x->items[x->n];
    struct jsonw w = JSONW_INIT(&x->text);
    size_t mark = buf_len(&x->text);
    int r = x->n < STREAM_BATCH_MAX ? 0 : -ENOBUFS;

    if (r == 0)
        r = buf_append_slice(&x->text, function);
    if (r == 0)
        r = buf_append_slice(&x->text, request);
    if (r == 0) {
        item->at = buf_len(&x->text);
        write(&w, row, number);
        r = jsonw_end(&w);
    }
    if (r < 0) {
        x->text.end = x->text.start + mark;
        x->n_omitted++;
        return;
    }
    item->len = buf_len(&x->text) - item->at;
    item->function_at = mark;
    item->function_len = function.len;
    item->request_at = mark + function.len;
    item->request_len = request.len;
    x->n++;
}

static void write_record(struct jsonw *w, const void *row, uint64_t number)
{
    api_write_record(w, row);
}

static void write_line(struct jsonw *w, const void *row, uint64_t number)
{
    api_write_line(w, number, row);
}

void streams_record(struct streams *s, const struct record *r)
{
    if (!s->control)
        return;
    live_record(&s->live, r, clock_now_ns());
    if (s->n_record > 0)
        item_add(&s->records, r->function, r->request_id, write_record, r, 0);
}

void streams_line(struct streams *s, uint64_t number, const struct log_line *l)
{
    if (s->control && s->n_log > 0)
        item_add(&s->lines, l->function, l->request_id, write_line, l, number);
}

static struct slice item_text(const struct stream_items *x, size_t at, size_t len)
{
    return slice(x->text.data + x->text.start + at, len);
}

static bool stream_wants(const struct stream *t, struct slice function, struct slice request)
{
    return (!t->function[0] || slice_eq(slice_str(t->function), function)) &&
           (!t->request[0] || slice_eq(slice_str(t->request), request));
}

/* Writes those that t wants into s->event. Returns how many there are, written or not. */
static uint64_t items_write(struct streams *s, const struct stream *t, const struct stream_items *x,
                            bool records)
{
    uint32_t most = records ? STREAM_RECORDS_MAX : STREAM_LINES_MAX;
    uint64_t n = 0;
    struct jsonw w;

    if (event_begin(s, records ? "record" : "log", true, &w) < 0)
        return 0;
    jsonw_object_begin(&w);
    jsonw_key(&w, records ? "records" : "lines");
    jsonw_array_begin(&w);
    for (uint32_t i = 0; i < x->n; i++) {
        const struct stream_item *item = &x->items[i];

        if (stream_wants(t, item_text(x, item->function_at, item->function_len),
                         item_text(x, item->request_at, item->request_len)) &&
            n++ < most)
            jsonw_json(&w, item_text(x, item->at, item->len));
    }
    jsonw_array_end(&w);
    jsonw_key(&w, "omitted");
    jsonw_u64(&w, x->n_omitted + (n > most ? n - most : 0));
    jsonw_object_end(&w);
    if (event_end(s, &w) < 0)
        buf_clear(&s->event);
    return n;
}

static void items_put(struct streams *s, struct stream *t, const struct stream_items *x,
                      bool records)
{
    uint64_t n;

    if (!(t->events & (records ? STREAM_RECORD : STREAM_LOG)) || (x->n == 0 && x->n_omitted == 0))
        return;
    n = items_write(s, t, x, records);
    if (n == 0)
        return;
    if (buf_len(&s->event) == 0 || !event_put(s, t))
        *(records ? &t->gap_records : &t->gap_lines) += n;
}

static void items_clear(struct stream_items *x)
{
    x->n = 0;
    x->n_omitted = 0;
    buf_clear(&x->text);
}

void streams_flush(struct streams *s)
{
    struct list *i, *tmp;

    if (s->records.n + s->lines.n == 0 && s->records.n_omitted + s->lines.n_omitted == 0)
        return;
    list_for_each_safe (i, tmp, &s->list) {
        struct stream *t = list_entry(i, struct stream, link);

        (void)gap_put(t);
        items_put(s, t, &s->lines, false);
        items_put(s, t, &s->records, true);
        api_stream_kick(t->connection);
    }
    items_clear(&s->records);
    items_clear(&s->lines);
}

/* ---- coming back ---- */

struct resume {
    struct streams *streams;
    struct stream *stream;
    struct api_connection *connection; /* outlives the stream */
    uint64_t last;                     /* the number of the last that was sent */
    uint64_t record, line;             /* for ids */
};

static int resume_put(struct resume *x, const char *event, const char *list,
                      void (*write)(struct jsonw *w, const void *row, uint64_t number),
                      const void *row, uint64_t number)
{
    struct buf *b = &x->streams->event;
    struct jsonw w;
    int r;

    buf_clear(b);
    r = buf_printf(b, "event: %s\nid: %llu-%llu\ndata: ", event, (unsigned long long)x->record,
                   (unsigned long long)x->line);
    w = JSONW_INIT(b);
    jsonw_object_begin(&w);
    jsonw_key(&w, list);
    jsonw_array_begin(&w);
    write(&w, row, number);
    jsonw_array_end(&w);
    jsonw_key(&w, "omitted");
    jsonw_u64(&w, 0);
    jsonw_object_end(&w);
    r = r < 0 ? r : event_end(x->streams, &w);
    if (r < 0 || !event_put(x->streams, x->stream))
        return 1; /* no room: the rest is a gap */
    api_stream_kick(x->connection);
    x->last = number;
    return x->connection->state == API_STREAMING ? 0 : -EPIPE;
}

static int on_resume_record(void *ctx, uint64_t number, const struct record *r)
{
    struct resume *x = ctx;

    x->record = number;
    return resume_put(x, "record", "records", write_record, r, number);
}

static int on_resume_line(void *ctx, uint64_t number, const struct log_line *l)
{
    struct resume *x = ctx;

    x->line = number;
    return resume_put(x, "log", "lines", write_line, l, number);
}

/* Sends what was stored since. What is more than can be sent is told as a gap: at most so many. */
static void resume_run(struct streams *s, struct stream *t, uint64_t record, uint64_t line)
{
    struct store *store = keep_store(&s->control->keep);
    struct resume x = {.streams = s,
                       .stream = t,
                       .connection = t->connection,
                       .record = record,
                       .line = line,
                       .last = record};
    struct store_query q = STORE_QUERY_ANY;
    char cursor[STORE_CURSOR_MAX] = "";
    int r = 0;

    if (!store)
        return;
    q.order = STORE_BY_NUMBER;
    q.limit = STREAM_RESUME_MAX;
    q.function = slice_str(t->function);
    q.request_id = slice_str(t->request);
    q.after = record;
    if (t->events & STREAM_RECORD && record < store_last_record(store)) {
        r = store_records(store, &q, on_resume_record, &x, cursor);
        if (r == 1 || (r == 0 && cursor[0]))
            t->gap_records += store_last_record(store) - x.last;
        x.record = store_last_record(store);
    }
    q.after = x.last = line;
    cursor[0] = '\0';
    if (r >= 0 && t->events & STREAM_LOG && line < store_last_log(store)) {
        r = store_logs(store, &q, on_resume_line, &x, cursor);
        if (r == 1 || (r == 0 && cursor[0]))
            t->gap_lines += store_last_log(store) - x.last;
    }
    if (r != -EPIPE)
        keep_read_failed(&s->control->keep, r);
}

static bool last_event_read(const struct api_call *call, uint64_t *ret_record, uint64_t *ret_line)
{
    struct slice id, record;

    if (!http_head_find(call->head, "last-event-id", &id))
        return false;
    record = slice_cut(&id, '-');
    return parse_u64(record, UINT64_MAX, ret_record) == 0 &&
           parse_u64(id, UINT64_MAX, ret_line) == 0;
}

/* ---- handlers ---- */

static bool events_read(struct api_call *call, unsigned *ret)
{
    struct slice list = api_param(call, "events");

    *ret = list.len == 0 ? STREAM_LIVE : 0;
    while (list.len > 0) {
        struct slice one = slice_cut(&list, ',');
        unsigned bit = 0;

        for (size_t i = 0; i < ARRAY_SIZE(event_names); i++)
            bit |= slice_eq(one, slice_str(event_names[i].name)) ? event_names[i].bit : 0;
        if (!bit) {
            api_fail(call, 400, "\"events\" is a list of live, workers, record, log");
            return false;
        }
        *ret |= bit;
    }
    return true;
}

static void stream_count(struct streams *s, const struct stream *t, unsigned n)
{
    s->n_live += t->events & STREAM_LIVE ? n : 0;
    s->n_workers += t->events & STREAM_WORKERS ? n : 0;
    s->n_record += t->events & STREAM_RECORD ? n : 0;
    s->n_log += t->events & STREAM_LOG ? n : 0;
}

void stream_end(struct api_connection *c)
{
    struct stream *t = take_ptr(c->stream);

    if (!t)
        return;
    list_remove(&t->link);
    stream_count(&c->api->control->streams, t, -1U);
    watch_update(&c->api->control->streams);
    free(t);
}

void api_stream(struct api_call *call)
{
    struct streams *s = &call->control->streams;
    struct slice function = api_param(call, "function"), request = api_param(call, "request");
    struct api_connection *c = call->connection;
    uint64_t record, line;
    struct stream *t;
    unsigned events;

    if (!events_read(call, &events))
        return;
    if (function.len >= sizeof(t->function) || request.len >= sizeof(t->request)) {
        api_fail(call, 400, "\"function\" or \"request\" is too long");
        return;
    }
    t = calloc(1, sizeof(*t));
    if (!t || !api_stream_begin(call, "text/event-stream")) {
        free(t);
        if (!call->answered)
            api_fail(call, 503, "out of memory");
        return;
    }
    *t = (struct stream){.connection = c, .events = events};
    if (function.len > 0)
        memcpy(t->function, function.base, function.len);
    if (request.len > 0)
        memcpy(t->request, request.base, request.len);
    c->stream = t;
    list_add_last(&s->list, &t->link);
    stream_count(s, t, 1);
    (void)buf_append_str(&c->out, "retry: 1000\n\n");
    if (last_event_read(call, &record, &line))
        resume_run(s, t, record, line);
    if (s->n_live > 0 && !loop_timer_is_armed(&s->tick))
        (void)loop_timer_after(call->control->loop, &s->tick, LIVE_PERIOD_NS, on_tick);
    if (!loop_timer_is_armed(&s->beat))
        (void)loop_timer_after(call->control->loop, &s->beat, BEAT_PERIOD_NS, on_beat);
    watch_update(s);
    api_stream_kick(c);
}

static void on_wait(struct loop_timer *t)
{
    struct streams *s = container_of(t, struct streams, wait);

    waiting_answer(s); /* without the gateway's part */
    watch_update(s);
}

static void on_waiting_closed(void *ctx, struct api_connection *c)
{
    struct streams *s = ctx;

    for (uint32_t i = 0; i < s->n_waiting; i++) {
        if (s->waiting[i] == c)
            s->waiting[i] = s->waiting[--s->n_waiting];
    }
}

void api_live(struct api_call *call)
{
    struct streams *s = &call->control->streams;

    if (live_is_fresh(&s->live, clock_now_ns()) || s->n_waiting == API_CONNECTIONS_MAX) {
        live_write(&s->live, call->control->last, api_json(call));
        api_json_end(call, 200);
        return;
    }
    s->waiting[s->n_waiting++] = api_put_off(call, on_waiting_closed, s);
    if (!loop_timer_is_armed(&s->wait))
        (void)loop_timer_after(call->control->loop, &s->wait, WAIT_NS, on_wait);
    watch_update(s);
}

/* ---- begin and end ---- */

void streams_init(struct streams *s, struct control *c)
{
    *s = (struct streams){.control = c};
    list_init(&s->list);
    buf_init(&s->event, EVENT_BYTES_MAX);
    buf_init(&s->records.text, ITEMS_BYTES_MAX);
    buf_init(&s->lines.text, ITEMS_BYTES_MAX);
    machine_look(&s->live.machine);
}

void streams_deinit(struct streams *s)
{
    if (!s->control)
        return;
    loop_timer_cancel(&s->tick);
    loop_timer_cancel(&s->beat);
    loop_timer_cancel(&s->wait);
    buf_deinit(&s->event);
    buf_deinit(&s->records.text);
    buf_deinit(&s->lines.text);
    live_deinit(&s->live);
}
