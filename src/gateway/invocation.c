#include "gateway/invocation.h"
#include "gateway/client.h"
#include "gateway/journal.h"
#include "gateway/log.h"
#include "gateway/pool.h"
#include "gateway/recorder.h"
#include "gateway/request.h"
#include "gateway/worker.h"

#include "base/sm.h"
#include "model/failure.h"
#include "json/cut.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEAD_BYTES_MAX (2 * 1024 * 1024) /* the client's head is bounded far below */
#define BODY_BYTES_MAX (BODY_WINDOW + 4 * READ_BYTES + 1024 * 1024)

static const struct sm_state invocation_states[_INVOCATION_STATE_MAX] = {
    [INVOCATION_QUEUED] = {"queued", SM_TO(INVOCATION_RUNNING) | SM_TO(INVOCATION_DONE)},
    [INVOCATION_RUNNING] = {"running", SM_TO(INVOCATION_ANSWERING) | SM_TO(INVOCATION_EXPIRING) |
                                           SM_TO(INVOCATION_ENDING)},
    [INVOCATION_ANSWERING] = {"answering", SM_TO(INVOCATION_EXPIRING) | SM_TO(INVOCATION_ENDING)},
    [INVOCATION_EXPIRING] = {"expiring", SM_TO(INVOCATION_ENDING)},
    [INVOCATION_ENDING] = {"ending", SM_TO(INVOCATION_DONE)},
    [INVOCATION_DONE] = {"done", 0},
};

static bool is_over(const struct invocation *inv)
{
    return inv->state == INVOCATION_ENDING || inv->state == INVOCATION_DONE;
}

/* ---- limits ---- */

void invocation_hit(struct invocation *inv, const struct limit_use *limit)
{
    if (inv->limit.hit == LIMIT_HIT_NONE)
        inv->limit = *limit;
}

/* Puts the limit's words in the place of what is known otherwise. */
static void explain_by_limit(struct invocation *inv)
{
    char text[LIMIT_TEXT_MAX];

    if (inv->limit.hit == LIMIT_HIT_NONE)
        return;
    limit_use_text(&inv->limit, text, sizeof(text));
    free(inv->error);
    inv->error = strdup(text);
}

static void tell_in_log(struct invocation *inv, const char *text)
{
    const struct function *f = inv->pool->function;
    struct log_line line = {.time_us = clock_wall_us(),
                            .stream = LOG_SYSTEM,
                            .request_id = slice_str(inv->id),
                            .trace_id = slice_str(inv->trace.trace_id),
                            .span_id = slice_str(inv->trace.span_id),
                            .function = slice_str(f->name),
                            .version = slice_str(f->version),
                            .text = slice_str(text)};

    journal_log(inv->gateway, &line);
}

/* Each limit that was hit has a line in the log, behind what the function printed itself. */
static void tell_limits(struct invocation *inv)
{
    const struct worker *w = inv->worker;
    struct limit_use log;
    char text[LIMIT_TEXT_MAX], more[LIMIT_TEXT_MAX + 64];

    if (inv->limit.hit != LIMIT_HIT_NONE) {
        if (inv->outcome != OUTCOME_OK)
            explain_by_limit(inv); /* what is known only now: the client had to hear less */
        limit_use_text(&inv->limit, text, sizeof(text));
        tell_in_log(inv, text);
    }
    if (!w || w->log_dropped == 0)
        return;
    log = limit_use_all(&inv->pool->function->limits, LIMIT_HIT_LOG);
    limit_use_text(&log, text, sizeof(text));
    (void)snprintf(more, sizeof(more), "%s: %llu bytes more were dropped", text,
                   (unsigned long long)w->log_dropped);
    tell_in_log(inv, more);
    invocation_hit(inv, &log);
}

/* ---- the record ---- */

/* What the function says of its error may be any bytes, of any length: it becomes JSON that fits
 * the record, or stays what it is and is shown as text. */
static void error_json_settle(struct invocation *inv)
{
    struct buf whole = BUF_INIT(STACK_BYTES_MAX);

    if (inv->error_json_settled)
        return;
    inv->error_json_settled = true;
    inv->error_json_whole = json_cut(buf_slice(&inv->error_json), STACK_BYTES_MAX, &whole) == 0;
    if (inv->error_json_whole) {
        buf_deinit(&inv->error_json);
        inv->error_json = whole;
    } else {
        buf_deinit(&whole);
    }
}

static struct slice cut(const char *s)
{
    return slice_str(s ? s : "");
}

static void write_record(struct invocation *inv)
{
    const struct usage none = {0}, *u = inv->worker ? &inv->worker->usage : &none;
    struct record r = {
        .request_id = slice_str(inv->id),
        .function = slice_str(inv->pool->function->name),
        .version = slice_str(inv->pool->function->version),
        .method = slice_str(inv->method),
        .path = cut(inv->path),
        .trace_id = slice_str(inv->trace.trace_id),
        .span_id = slice_str(inv->trace.span_id),
        .parent_span_id = slice_str(inv->trace.parent_span_id),
        .error = cut(inv->error),
        .stack = buf_len(&inv->error_json) > 0 ? buf_slice(&inv->error_json)
                 : inv->worker                 ? buf_slice(&inv->worker->stack)
                                               : SLICE_NULL,
        .start_us = inv->arrived_wall_us,
        .trigger = inv->is_replay ? TRIGGER_REPLAY : inv->trigger,
        .outcome = inv->outcome,
        .status = inv->status,
        .cold = inv->cold,
        .pid = inv->worker ? (uint64_t)inv->worker->process.pid : 0,
        .exit_status = u->status,
        .init_ns = inv->init_ns,
        .total_ns = inv->answered_ns - inv->arrived_ns,
        .user_us = u->user_us,
        .system_us = u->system_us,
        .memory_peak_bytes = u->memory_peak_bytes,
        .memory_own_bytes = u->minor_faults * 4096,
        .memory_limit_bytes = inv->pool->function->limits.memory_bytes,
        .minor_faults = u->minor_faults,
        .major_faults = u->major_faults,
        .voluntary_switches = u->voluntary_switches,
        .involuntary_switches = u->involuntary_switches,
        .bytes_in = inv->bytes_in,
        .bytes_out = inv->bytes_out,
        .log_lines = inv->worker ? inv->worker->log_lines : 0,
        .log_dropped = inv->worker ? inv->worker->log_dropped : 0,
        .limit = inv->limit.hit,
        .limit_used = inv->limit.used,
        .limit_max = inv->limit.max,
    };

    if (inv->assigned_ns > 0) {
        r.wait_ns = inv->assigned_ns - inv->arrived_ns - inv->init_ns;
        r.run_ns = inv->answered_ns - inv->assigned_ns;
    } else {
        r.wait_ns = r.total_ns - MIN(r.total_ns, inv->init_ns);
    }
    metrics_record(pool_metrics(inv->pool), &r);
    journal_record(inv->gateway, &r);
}

/* ---- states ---- */

void invocation_free(struct invocation *inv)
{
    list_remove(&inv->link);
    buf_deinit(&inv->head);
    buf_deinit(&inv->extra);
    buf_deinit(&inv->body);
    buf_deinit(&inv->error_json);
    free(inv->path);
    free(inv->error);
    free(inv);
}

/* The one place where an invocation ends: the slot goes back, the record is written. */
static void enter_done(struct invocation *inv)
{
    struct gateway *g = inv->gateway;

    assert(!inv->client);
    tell_limits(inv);
    error_json_settle(inv);
    inv->recording = recorder_end(inv->recording, inv);
    write_record(inv);
    if (inv->worker)
        inv->worker->invocation = NULL;
    inv->pool->n_invocations--;
    list_remove(&inv->link);
    list_add_last(&g->dead_invocations, &inv->link);
    loop_task_put(g->loop, &g->bury);
}

static void on_end_grace(struct loop_timer *t)
{
    struct invocation *inv = container_of(t, struct invocation, timer);

    worker_kill(inv->worker, SIGKILL); /* what did not leave by itself */
}

static void on_stack_grace(struct loop_timer *t)
{
    invocation_move(container_of(t, struct invocation, timer), INVOCATION_ENDING);
}

static void on_queue_timeout(struct loop_timer *t)
{
    struct invocation *inv = container_of(t, struct invocation, timer);
    const struct limits *l = &inv->pool->function->limits;
    uint64_t waited_ms = (loop_now(inv->gateway->loop) - inv->arrived_ns) / NS_PER_MS;

    if (inv->pool->state == POOL_LOADING && waited_ms < l->init_timeout_ms) {
        /* Loading has a timeout of its own; the queue's is for a function that could serve. */
        (void)loop_timer_after(inv->gateway->loop, t, l->queue_timeout_ms * NS_PER_MS,
                               on_queue_timeout);
        return;
    }
    invocation_refuse(inv, THROTTLE_QUEUE_TIMEOUT, 503,
                      "no worker became free within the function's queue_timeout");
}

static void note_over_time(struct invocation *inv, enum limit_hit hit, uint64_t used_ms)
{
    struct limit_use limit = limit_use_believe(&inv->pool->function->limits, hit, used_ms, 0);

    inv->outcome = OUTCOME_TIMEOUT;
    invocation_hit(inv, &limit);
    explain_by_limit(inv);
    inv->status = inv->head_sent ? inv->status : 504;
}

static void note_timeout(struct invocation *inv)
{
    note_over_time(inv, LIMIT_HIT_TIMEOUT, 0);
}

void invocation_on_cpu_time(struct invocation *inv, uint64_t used_ms)
{
    if (inv->state != INVOCATION_RUNNING && inv->state != INVOCATION_ANSWERING)
        return; /* its time is up already */
    note_over_time(inv, LIMIT_HIT_CPU_TIME, used_ms);
    invocation_move(inv, INVOCATION_EXPIRING);
}

static void on_deadline(struct loop_timer *t)
{
    struct invocation *inv = container_of(t, struct invocation, timer);

    note_timeout(inv);
    invocation_move(inv, INVOCATION_EXPIRING);
}

/* The message for a client whose answer has not begun: in development with all that is known. */
static void answer_failure(struct invocation *inv, struct client *c)
{
    bool dev = inv->gateway->served && inv->gateway->served->snapshot->dev;
    bool tell = dev || client_is_trusted(c);
    struct client_failure failure = {
        .status = inv->status,
        .type = failure_type(inv->outcome, inv->status, inv->limit.hit),
        .message = inv->error ? inv->error : "",
        .request_id = slice_str(inv->id),
        .stack = tell && inv->worker ? buf_slice(&inv->worker->stack) : SLICE_NULL,
    };
    const char *retry = inv->status == 429 || inv->status == 503 ? "Retry-After: 1\r\n" : "";
    char headers[192];

    (void)snprintf(headers, sizeof(headers), "%sMayfly-Request-Id: %s\r\n%s%s%s", retry, inv->id,
                   client_is_admin(c) ? "Mayfly-Outcome: " : "",
                   client_is_admin(c) ? outcome_name(inv->outcome) : "",
                   client_is_admin(c) ? "\r\n" : "");
    error_json_settle(inv);
    if (tell && buf_len(&inv->error_json) > 0 && inv->limit.hit == LIMIT_HIT_NONE) {
        client_answer(c, inv->status, headers, "application/json", buf_slice(&inv->error_json));
        return;
    }
    failure.cause = tell && inv->error_json_whole ? buf_slice(&inv->error_json) : SLICE_NULL;
    client_answer_failure(c, headers, &failure);
}

/* Answers the client, if there is one and its answer has not begun; breaks it off if it has. */
static void settle_client(struct invocation *inv, bool begun)
{
    struct client *c = take_ptr(inv->client);

    if (!c)
        return;
    c->invocation = NULL;
    if (!begun)
        answer_failure(inv, c);
    else if (inv->outcome == OUTCOME_OK || inv->outcome == OUTCOME_ERROR)
        client_end(c);
    else
        client_abort(c);
}

static void count_completed(struct invocation *inv)
{
    uint64_t *n = counter_of(inv->gateway, inv->pool->function->project);

    if (n)
        (*n)++;
}

static void enter_ending(struct invocation *inv)
{
    bool ok = inv->outcome == OUTCOME_OK || inv->outcome == OUTCOME_ERROR;
    struct worker *w = inv->worker;

    inv->answered_ns = clock_now_ns();
    if (inv->outcome == OUTCOME_OK)
        count_completed(inv); /* before the client can ask */
    log_pipe_drain(&w->out);
    log_pipe_drain(&w->err);
    settle_client(inv, inv->head_sent);
    if (ok && w->usable_again) {
        worker_measure(w);
        invocation_move(inv, INVOCATION_DONE);
        worker_move(w, WORKER_STANDBY);
        return;
    }
    worker_move(w, WORKER_ENDING);
    if (!ok)
        worker_kill(w, SIGKILL);
    (void)loop_timer_after(inv->gateway->loop, &inv->timer, END_GRACE_NS, on_end_grace);
}

void invocation_move(struct invocation *inv, enum invocation_state to)
{
    enum invocation_state from = inv->state;
    struct loop *loop = inv->gateway->loop;

    sm_move(invocation_states, &inv->state, to);
    loop_timer_cancel(&inv->timer);
    switch (to) {
    case INVOCATION_RUNNING:
        (void)loop_timer_after(loop, &inv->timer,
                               inv->pool->function->limits.timeout_ms * NS_PER_MS, on_deadline);
        break;
    case INVOCATION_ANSWERING:
        (void)loop_timer_at(loop, &inv->timer,
                            inv->assigned_ns + inv->pool->function->limits.timeout_ms * NS_PER_MS,
                            on_deadline);
        break;
    case INVOCATION_EXPIRING:
        worker_kill(inv->worker, SIGQUIT);
        (void)loop_timer_after(loop, &inv->timer, STACK_GRACE_NS, on_stack_grace);
        break;
    case INVOCATION_ENDING:
        enter_ending(inv);
        break;
    case INVOCATION_DONE:
        if (from == INVOCATION_QUEUED) {
            inv->answered_ns = clock_now_ns();
            settle_client(inv, false);
        }
        enter_done(inv);
        break;
    case INVOCATION_QUEUED:
    case _INVOCATION_STATE_MAX:
        break;
    }
}

/* ---- birth ---- */

struct invocation *invocation_new(struct gateway *g, struct client *c, struct pool *pool,
                                  enum trigger trigger, const struct http_head *head)
{
    struct invocation *inv = calloc(1, sizeof(*inv));

    if (!inv)
        return NULL;
    list_init(&inv->link);
    inv->gateway = g;
    inv->pool = pool;
    inv->trigger = trigger;
    inv->arrived_ns = loop_now(g->loop);
    inv->arrived_wall_us = clock_wall_us();
    request_id_make(inv->arrived_wall_us, inv->id);
    request_trace_make(head, &inv->trace);
    (void)snprintf(inv->method, sizeof(inv->method), "%.*s", SLICE_ARG(head->method));
    inv->path = slice_dup(slice(head->path.base, MIN(head->path.len, 1024)));
    inv->body_chunked = head->framing == HTTP_BODY_CHUNKED;
    inv->upgrade_asked = head->upgrade;
    inv->outcome = OUTCOME_OK;
    buf_init(&inv->head, HEAD_BYTES_MAX);
    buf_init(&inv->body, BODY_BYTES_MAX);
    buf_init(&inv->error_json, STACK_BYTES_MAX);
    inv->client = c;
    inv->is_replay = c->replay;
    c->invocation = inv;
    pool->n_invocations++;
    if (pool->function->limits.queue_timeout_ms > 0)
        (void)loop_timer_after(g->loop, &inv->timer,
                               pool->function->limits.queue_timeout_ms * NS_PER_MS,
                               on_queue_timeout);
    return inv;
}

/* ---- the request's body ---- */

int invocation_body(struct invocation *inv, struct slice data)
{
    int r = 0;

    inv->bytes_in += data.len;
    recorder_body(inv->recording, data);
    if (is_over(inv))
        return 0; /* answered already: the rest is read and dropped */
    if (inv->body_chunked)
        r = http_write_chunk_start(&inv->body, data.len);
    if (r == 0)
        r = buf_append_slice(&inv->body, data);
    if (r == 0 && inv->body_chunked)
        r = http_write_chunk_end(&inv->body);
    if (r == 0 && inv->worker)
        worker_pump_out(inv->worker);
    return r;
}

int invocation_body_end(struct invocation *inv)
{
    int r;

    inv->body_ended = true;
    if (is_over(inv) || !inv->body_chunked)
        return 0;
    r = http_write_last_chunk(&inv->body);
    if (r == 0 && inv->worker)
        worker_pump_out(inv->worker);
    return r;
}

/* ---- ends ---- */

void invocation_fail(struct invocation *inv, enum outcome outcome, unsigned status,
                     const char *error)
{
    if (is_over(inv))
        return;
    if (inv->state != INVOCATION_EXPIRING) { /* else it has its outcome */
        inv->outcome = outcome;
        if (!inv->head_sent)
            inv->status = status;
        if (!inv->error)
            inv->error = strdup(error);
        explain_by_limit(inv);
    }
    if (inv->state == INVOCATION_QUEUED)
        pool_forget(inv->pool, inv);
    invocation_move(inv, inv->state == INVOCATION_QUEUED ? INVOCATION_DONE : INVOCATION_ENDING);
}

void invocation_refuse(struct invocation *inv, enum throttle reason, unsigned status,
                       const char *error)
{
    metrics_throttled(pool_metrics(inv->pool), reason);
    invocation_fail(inv, status == 429 ? OUTCOME_THROTTLED : OUTCOME_UNAVAILABLE, status, error);
}

void invocation_hangup(struct invocation *inv, enum outcome outcome, unsigned status,
                       const char *error)
{
    if (inv->client) {
        inv->client->invocation = NULL;
        inv->client = NULL;
    }
    invocation_fail(inv, outcome, status, error);
}

void invocation_hand_over(struct invocation *inv, struct pool *pool)
{
    static const char name[] = "\r\nMayfly-Version: "; /* which clients cannot say (request.c) */
    struct slice head = buf_slice(&inv->head);
    char *place = memmem(head.base, head.len, name, strlen(name));

    assert(inv->state == INVOCATION_QUEUED);
    inv->pool->n_invocations--;
    pool->n_invocations++;
    inv->pool = pool;
    if (place) /* all versions have the same length */
        memcpy(place + strlen(name), pool->function->version, FUNCTION_VERSION_LEN);
}

/* ---- the worker's side ---- */

void invocation_assign(struct invocation *inv, struct worker *w)
{
    uint64_t deadline_ms;

    inv->assigned_ns = clock_now_ns();
    inv->worker = w;
    w->invocation = inv;
    worker_move(w, WORKER_BUSY);
    invocation_move(inv, INVOCATION_RUNNING);
    deadline_ms = clock_wall_us() / 1000 + inv->pool->function->limits.timeout_ms;
    if (http_write_header_u64(&inv->head, "Mayfly-Deadline-Ms", deadline_ms) < 0 ||
        http_write_head_end(&inv->head) < 0) {
        invocation_fail(inv, OUTCOME_UNAVAILABLE, 503, "out of memory");
        return;
    }
    http_parser_next(&w->parser);
    w->parser.head_request = strcmp(inv->method, "HEAD") == 0;
    invocation_watch(inv);
    worker_pump_out(w);
}

void invocation_watch(struct invocation *inv)
{
    /* It stays on watch until its process has ended, whatever becomes of the invocation. */
    worker_watch(inv->worker, inv->assigned_ns +
                                  inv->pool->function->limits.timeout_ms * NS_PER_MS +
                                  STACK_GRACE_NS + WATCHDOG_NS);
}

static void refuse_response(struct invocation *inv)
{
    struct limit_use limit = limit_use_all(&inv->pool->function->limits, LIMIT_HIT_RESPONSE);

    invocation_hit(inv, &limit);
    invocation_fail(inv, OUTCOME_BAD_REPLY, 502, "");
}

/* Known before anything of it has gone out: the client can still be told. */
static bool announces_too_much(const struct invocation *inv, const struct http_head *head)
{
    bool bodyless = strcmp(inv->method, "HEAD") == 0 || head->status == 304;

    return !bodyless && head->has_content_length &&
           head->content_length > inv->pool->function->limits.response_max;
}

/* The worker names the limit that its function's error comes from. */
static void note_limit(struct invocation *inv, const struct http_head *head)
{
    struct limit_use told;
    struct slice text;

    if (!http_head_find(head, "mayfly-limit", &text) || !limit_use_read(text, &told))
        return;
    told = limit_use_believe(&inv->pool->function->limits, told.hit, told.used, told.max);
    invocation_hit(inv, &told);
    explain_by_limit(inv);
    if (told.hit == LIMIT_HIT_CPU_TIME) { /* a child's, which the worker has outlived */
        inv->outcome = OUTCOME_TIMEOUT;
        inv->status = 504;
    }
}

void invocation_on_head(struct invocation *inv, const struct http_head *head)
{
    bool dev = inv->gateway->served && inv->gateway->served->snapshot->dev;
    struct client *c = inv->client;
    struct slice error;

    if (inv->state != INVOCATION_RUNNING)
        return;
    if (head->status == 101 && !(inv->upgrade_asked && inv->body_ended)) {
        invocation_fail(inv, OUTCOME_BAD_REPLY, 502,
                        inv->upgrade_asked
                            ? "the function answered 101 before the request's body had ended"
                            : "the function answered 101 to a request that asks for no upgrade");
        return;
    }
    if (announces_too_much(inv, head)) {
        refuse_response(inv);
        return;
    }
    inv->status = head->status;
    recorder_answer_head(inv->recording, head);
    inv->pool->n_dead_zygotes = 0;
    if (http_head_find(head, "mayfly-error", &error)) {
        inv->outcome = OUTCOME_ERROR;
        note_limit(inv, head);
        inv->capture_error = true;
        /* A limit is told in mayfly's words; the function's own go along as the cause. */
        inv->hide_error =
            inv->limit.hit != LIMIT_HIT_NONE || (!dev && !(c && client_is_trusted(c)));
        if (!inv->error)
            inv->error = strdup("the function raised an error");
    }
    invocation_move(inv, INVOCATION_ANSWERING);
    if (!c || inv->hide_error)
        return;
    if (client_begin(c, head, inv) < 0) {
        invocation_fail(inv, OUTCOME_BAD_REPLY, 502, "the answer's headers are too big");
        return;
    }
    inv->head_sent = true;
    if (head->status == 101)
        client_tunnel(c);
}

void invocation_on_data(struct invocation *inv, struct slice data)
{
    inv->bytes_out += data.len;
    recorder_answer_body(inv->recording, data);
    if (inv->bytes_out > inv->pool->function->limits.response_max && inv->status != 101) {
        refuse_response(inv);
        return;
    }
    if (inv->capture_error && buf_room(&inv->error_json) > 0)
        (void)buf_append(&inv->error_json, data.base, MIN(data.len, buf_room(&inv->error_json)));
    if (inv->state != INVOCATION_ANSWERING || !inv->client || inv->hide_error)
        return;
    if (client_data(inv->client, data) < 0)
        client_abort(inv->client);
}

void invocation_on_end(struct invocation *inv)
{
    if (!is_over(inv) && inv->state != INVOCATION_EXPIRING)
        invocation_move(inv, INVOCATION_ENDING);
}

void invocation_on_worker_lost(struct invocation *inv, const char *why)
{
    if (!is_over(inv) && inv->state != INVOCATION_EXPIRING && worker_was_overdue(inv->worker))
        note_timeout(inv); /* before this loop's turn came */
    if (inv->outcome == OUTCOME_TIMEOUT && !is_over(inv))
        invocation_move(inv, INVOCATION_ENDING);
    else if (inv->limit.hit == LIMIT_HIT_CPU_TIME)
        invocation_fail(inv, OUTCOME_TIMEOUT, 504, why);
    else
        invocation_fail(inv, OUTCOME_CRASH, 502, why);
}

void invocation_on_worker_ended(struct invocation *inv)
{
    assert(inv->state == INVOCATION_ENDING);
    invocation_move(inv, INVOCATION_DONE);
}
