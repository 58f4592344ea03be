/* /records/{id}/recording and /records/{id}/replay. */

#include "control/api-handlers.h"
#include "control/api-rows.h"
#include "control/compare.h"
#include "control/control.h"
#include "control/recording.h"
#include "control/rerun.h"
#include "control/scrub.h"

#include "base/utf8.h"

#include <errno.h>
#include <openssl/evp.h>

/* ---- what was recorded ---- */

/* A copy of what the store lends, with what the record says. */
struct recorded {
    char *request_id, *function, *version;
    struct buf request_head, request_body, answer_head, answer_body;
    uint64_t flags, time_us;
    unsigned status;
    enum trigger trigger;
};

static void recorded_deinit(struct recorded *r)
{
    free(r->request_id);
    free(r->function);
    free(r->version);
    buf_deinit(&r->request_head);
    buf_deinit(&r->request_body);
    buf_deinit(&r->answer_head);
    buf_deinit(&r->answer_body);
}

static int copy(struct buf *b, struct slice s)
{
    buf_init(b, s.len);
    return buf_append_slice(b, s);
}

static int on_capture(void *ctx, const struct store_capture *c)
{
    struct recorded *r = ctx;
    int x = copy(&r->request_head, c->request_head);

    r->request_id = slice_dup(c->request_id);
    r->function = slice_dup(c->function);
    r->version = slice_dup(c->version);
    r->flags = c->flags;
    if (c->flags >> RECORDING_TRIGGER_SHIFT < _TRIGGER_MAX)
        r->trigger = (enum trigger)(c->flags >> RECORDING_TRIGGER_SHIFT);
    r->time_us = c->time_us;
    if (x == 0)
        x = copy(&r->request_body, c->request_body);
    if (x == 0)
        x = copy(&r->answer_head, c->response_head);
    if (x == 0)
        x = copy(&r->answer_body, c->response_body);
    return x == 0 && r->request_id && r->function && r->version ? 0 : -ENOMEM;
}

static int on_record(void *ctx, uint64_t number, const struct record *record)
{
    struct recorded *r = ctx;

    r->status = (unsigned)record->status;
    return 0;
}

/* Returns false if there is none, or trouble: the call is answered. */
static bool recorded_find(struct api_call *call, struct recorded *ret)
{
    struct store *store = api_store(call);
    struct slice id = call->args[0];
    struct store_query q = STORE_QUERY_ANY;
    char cursor[STORE_CURSOR_MAX];
    int r;

    *ret = (struct recorded){.trigger = TRIGGER_HTTP};
    if (!store)
        return false;
    r = id.len == REQUEST_ID_LEN ? store_capture(store, id, on_capture, ret) : -ENOENT;
    if (r == -ENOENT || r == -EINVAL) {
        api_fail(call, 404,
                 "this request was not recorded, or is not any more; \"recording\": 16384 for its "
                 "function in mayfly.json records requests with up to so many bytes of each body");
        return false;
    }
    q.request_id = id;
    q.limit = 1;
    if (r == 0)
        r = store_records(store, &q, on_record, ret, cursor);
    if (!api_store_did(call, r)) {
        recorded_deinit(ret);
        return false;
    }
    return true;
}

/* ---- as JSON ---- */

static void put_body(struct jsonw *w, struct slice body)
{
    _cleanup_free_ unsigned char *base64 = NULL;

    if (utf8_is_valid(body)) {
        api_put_str(w, "body", body);
        return;
    }
    base64 = malloc(body.len / 3 * 4 + 5);
    if (base64)
        (void)EVP_EncodeBlock(base64, (const unsigned char *)body.base, (int)body.len);
    api_put_str(w, "body_base64", slice_str(base64 ? (const char *)base64 : ""));
}

/* [[name, value], ...] */
static void put_headers(struct jsonw *w, struct slice head)
{
    jsonw_key(w, "headers");
    jsonw_array_begin(w);
    while (head.len > 0) {
        struct slice value = scrub_line(&head), name = slice_cut(&value, ':');

        jsonw_array_begin(w);
        jsonw_str(w, name);
        jsonw_str(w, slice_trim(value));
        jsonw_array_end(w);
    }
    jsonw_array_end(w);
}

static void put_flag(struct jsonw *w, const char *key, bool v)
{
    jsonw_key(w, key);
    jsonw_bool(w, v);
}

/* "POST /orders?a=1 HTTP/1.1", and the headers. */
static void put_request(struct jsonw *w, const struct recorded *r)
{
    struct slice head = buf_slice(&r->request_head), line = scrub_line(&head);

    jsonw_key(w, "request");
    jsonw_object_begin(w);
    api_put_str(w, "method", slice_cut(&line, ' '));
    api_put_str(w, "target", slice_cut(&line, ' '));
    put_headers(w, head);
    put_body(w, buf_slice(&r->request_body));
    put_flag(w, "cut", (r->flags & STORE_CAPTURE_REQUEST_CUT) != 0);
    jsonw_object_end(w);
}

static void put_answer(struct jsonw *w, const char *key, const struct compared *a,
                       struct slice request_id, struct slice version)
{
    jsonw_key(w, key);
    jsonw_object_begin(w);
    api_put_str(w, "request_id", request_id);
    api_put_str(w, "version", version);
    api_put_u64(w, "status", a->status);
    put_headers(w, a->head);
    put_body(w, a->body);
    put_flag(w, "cut", a->is_cut);
    jsonw_object_end(w);
}

static struct compared recorded_answer(const struct recorded *r)
{
    return (struct compared){.status = r->status,
                             .head = buf_slice(&r->answer_head),
                             .body = buf_slice(&r->answer_body),
                             .is_cut = (r->flags & STORE_CAPTURE_RESPONSE_CUT) != 0};
}

void api_recording(struct api_call *call)
{
    struct recorded r;
    struct compared answer;
    struct jsonw *w;

    if (!recorded_find(call, &r))
        return;
    answer = recorded_answer(&r);
    w = api_json(call);
    jsonw_object_begin(w);
    api_put_str(w, "function", slice_str(r.function));
    api_put_str(w, "trigger", slice_str(trigger_name(r.trigger)));
    api_put_u64(w, "time_us", r.time_us);
    put_flag(w, "redacted", (r.flags & STORE_CAPTURE_REDACTED) != 0);
    put_request(w, &r);
    put_answer(w, "answer", &answer, slice_str(r.request_id), slice_str(r.version));
    jsonw_object_end(w);
    api_json_end(call, 200);
    recorded_deinit(&r);
}

/* ---- again ---- */

struct replaying {
    struct recorded recorded;
    char version[FUNCTION_VERSION_LEN + 1]; /* that it is carried out by */
    struct api_connection *connection;
    struct rerun *rerun;
};

static void replaying_free(struct replaying *p)
{
    recorded_deinit(&p->recorded);
    free(p);
}

static void on_closed(void *ctx, struct api_connection *c)
{
    struct replaying *p = ctx;

    rerun_cancel(p->rerun);
    replaying_free(p);
}

static int write_result(struct replaying *p, const struct compared *after, struct jsonw *w)
{
    const struct compared before = recorded_answer(&p->recorded);
    struct slice id = SLICE_NULL;
    unsigned n;

    (void)scrub_find(after->head, "mayfly-request-id", &id);
    jsonw_object_begin(w);
    put_answer(w, "original", &before, slice_str(p->recorded.request_id),
               slice_str(p->recorded.version));
    put_answer(w, "again", after, id, slice_str(p->version));
    put_flag(w, "redacted", (p->recorded.flags & STORE_CAPTURE_REDACTED) != 0);
    jsonw_key(w, "differences");
    n = compare_write(&before, after, w);
    put_flag(w, "same", n == 0);
    jsonw_object_end(w);
    return jsonw_end(w);
}

/* What was taken out of the recorded answer is taken out of this one, too. */
static int write_cleaned(struct replaying *p, const struct rerun_answer *a, struct jsonw *w)
{
    _cleanup_(buf_deinit) struct buf head = BUF_INIT(API_ANSWER_MAX);
    _cleanup_(buf_deinit) struct buf body = BUF_INIT(API_ANSWER_MAX);
    struct compared after = {.status = a->status, .is_cut = a->is_cut};
    int r = recording_clean_answer(p->connection->api->control, slice_str(p->recorded.function),
                                   a->head, a->body, &head, &body);

    if (r < 0)
        return r;
    after.head = buf_slice(&head);
    after.body = buf_slice(&body);
    return write_result(p, &after, w);
}

static void on_done(void *ctx, const struct rerun_answer *a)
{
    struct replaying *p = ctx;
    struct buf b = BUF_INIT(API_ANSWER_MAX);
    struct jsonw w = JSONW_INIT(&b);
    unsigned status = 200;
    int r;

    p->connection->on_closed = NULL;
    if (a->error) {
        status = 502;
        jsonw_object_begin(&w);
        api_put_str(&w, "errorType", SLICE_LIT("BadGateway"));
        api_put_str(&w, "errorMessage", slice_str(a->error));
        jsonw_object_end(&w);
        r = jsonw_end(&w);
    } else {
        r = write_cleaned(p, a, &w);
    }
    if (r == 0)
        api_answer_later(p->connection, status, buf_slice(&b));
    else
        api_close(p->connection);
    buf_deinit(&b);
    replaying_free(p);
}

/* Whether the recording may be carried out, by the version that is wished; else the call is
 * answered. */
static bool replay_check(struct api_call *call, const struct recorded *r, const json_t *body,
                         const struct function **ret)
{
    struct snapshot *s = call->control->last;
    const char *wished = json_string_value(json_object_get(body, "version"));
    const struct function *f = s ? snapshot_find(s, slice_str(r->function)) : NULL;

    *ret = f;
    if (!f)
        api_fail(call, 404, "there is no function %s any more", r->function);
    else if (r->flags & STORE_CAPTURE_REQUEST_CUT)
        api_fail(call, 409,
                 "of this request only the first %zu bytes of the body were recorded; a larger "
                 "\"recording\" for %s in mayfly.json keeps more of the next ones",
                 buf_len(&r->request_body), r->function);
    else if (wished && strncmp(f->version, wished, strlen(wished)) != 0)
        api_fail(call, 409, "version %s of %s is not there; what is served is %s", wished, f->name,
                 f->version);
    else
        return true;
    return false;
}

static void replay_begin(struct api_call *call, struct replaying *p)
{
    const struct rerun_request request = {.function = slice_str(p->recorded.function),
                                          .trigger = p->recorded.trigger,
                                          .head = buf_slice(&p->recorded.request_head),
                                          .body = buf_slice(&p->recorded.request_body)};

    p->rerun = rerun_start(call->control, &request, on_done, p);
    if (!p->rerun) {
        api_fail(call, 503, "the gateway is away; try again in a moment");
        replaying_free(p);
        return;
    }
    p->connection = api_put_off(call, on_closed, p);
}

void api_replay(struct api_call *call)
{
    json_t *body = call->body.len > 0 ? api_body(call) : NULL;
    struct replaying *p = call->answered ? NULL : calloc(1, sizeof(*p));
    const struct function *f;

    if (!call->answered && !p)
        api_fail(call, 503, "out of memory");
    if (p && !recorded_find(call, &p->recorded)) {
        free(p);
        p = NULL;
    }
    if (p && !replay_check(call, &p->recorded, body, &f)) {
        replaying_free(p);
        p = NULL;
    }
    if (p) {
        (void)snprintf(p->version, sizeof(p->version), "%s", f->version);
        replay_begin(call, p);
    }
    json_decref(body);
}
