#include "rapi.h"

#include "base/sm.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define RAPI_PRELUDE "application/vnd.awslambda.http-integration-response"

/* The names are those that programs see in messages. */
static const struct sm_state states[_RAPI_STATE_MAX] = {
    [RAPI_STARTED] = {"Started", SM_TO(RAPI_INIT_FAILED) | SM_TO(RAPI_READY)},
    [RAPI_INIT_FAILED] = {"InitError", 0},
    [RAPI_READY] = {"Ready", SM_TO(RAPI_READY) | SM_TO(RAPI_RUNNING)},
    [RAPI_RUNNING] = {"Running", SM_TO(RAPI_RESPONSE) | SM_TO(RAPI_ERROR)},
    [RAPI_RESPONSE] = {"InvocationResponse", SM_TO(RAPI_SENT) | SM_TO(RAPI_RUNNING)},
    [RAPI_ERROR] = {"InvocationErrorResponse", SM_TO(RAPI_SENT) | SM_TO(RAPI_RUNNING)},
    [RAPI_SENT] = {"RuntimeResponseSentState", SM_TO(RAPI_READY)},
};

void rapi_init(struct rapi *r)
{
    *r = (struct rapi){.state = RAPI_STARTED};
}

const char *rapi_state_name(enum rapi_state state)
{
    return states[state].name;
}

static void rapi_move(struct rapi *r, enum rapi_state to)
{
    sm_move(states, &r->state, to);
}

void rapi_give(struct rapi *r, struct slice id)
{
    (void)snprintf(r->id, sizeof(r->id), "%.*s", SLICE_ARG(id));
    rapi_move(r, RAPI_RUNNING);
}

void rapi_complete(struct rapi *r)
{
    rapi_move(r, RAPI_SENT);
}

void rapi_cut(struct rapi *r, bool again)
{
    rapi_move(r, again ? RAPI_RUNNING : RAPI_SENT);
}

/* ---- requests ---- */

bool rapi_has_prelude(const char *content_type)
{
    return strncasecmp(content_type, RAPI_PRELUDE, strlen(RAPI_PRELUDE)) == 0;
}

static void refuse(struct rapi_request *q, unsigned status, const char *type, const char *message)
{
    q->call = RAPI_CALL_NONE;
    q->status = status;
    q->type = type;
    (void)snprintf(q->message, sizeof(q->message), "%s", message);
}

/* Moves, or refuses. Returns whether it moved. */
static bool ask(struct rapi *r, enum rapi_state to, struct rapi_request *q)
{
    char message[RAPI_MESSAGE_SIZE];

    if (sm_may_move(states, r->state, to)) {
        rapi_move(r, to);
        return true;
    }
    (void)snprintf(message, sizeof(message),
                   "State transition from %s to %s failed for runtime. Error: State transition is "
                   "not allowed",
                   states[r->state].name, states[to].name);
    refuse(q, 403, "InvalidStateTransition", message);
    return false;
}

static void copy_header(const struct http_head *head, const char *name, char *dst, size_t size)
{
    struct slice value = SLICE_NULL;

    (void)http_head_find(head, name, &value);
    (void)snprintf(dst, size, "%.*s", SLICE_ARG(value));
}

/* "{id}/response", "{id}/error" */
static void take_invocation(struct rapi *r, const struct http_head *head, struct slice rest,
                            struct rapi_request *q)
{
    const char *slash = rest.len > 0 ? memchr(rest.base, '/', rest.len) : NULL;
    struct slice id = slash ? slice(rest.base, (size_t)(slash - rest.base)) : SLICE_NULL;
    struct slice verb = slash ? slice(slash + 1, rest.len - id.len - 1) : SLICE_NULL, mode;
    bool is_response = slice_eq(verb, SLICE_LIT("response"));

    if (!is_response && !slice_eq(verb, SLICE_LIT("error"))) {
        refuse(q, 404, NULL, "404 page not found\n");
        return;
    }
    /* Before the first event no number can be right: then it is the order that is wrong. */
    if (r->id[0] != '\0' &&
        (!slice_eq(id, slice_str(r->id)) || r->state == RAPI_SENT || r->state == RAPI_READY)) {
        refuse(q, 400, "InvalidRequestID", "Invalid request ID");
        return;
    }
    if (!ask(r, is_response ? RAPI_RESPONSE : RAPI_ERROR, q))
        return;
    q->call = is_response ? RAPI_CALL_RESPONSE : RAPI_CALL_ERROR;
    q->streaming = is_response && rapi_has_prelude(q->content_type);
    if (!is_response || !http_head_find(head, "Lambda-Runtime-Function-Response-Mode", &mode))
        return;
    q->streaming = slice_eq_nocase(mode, SLICE_LIT("streaming"));
    if (!q->streaming) {
        q->bad_mode = true;
        refuse(q, 400, "InvalidFunctionResponseMode", "Invalid function response mode");
    }
}

static void take_plain(struct rapi *r, struct slice rest, bool is_get, struct rapi_request *q)
{
    if (is_get && slice_eq(rest, SLICE_LIT("ping")))
        q->call = RAPI_CALL_PING;
    else if (is_get && slice_eq(rest, SLICE_LIT("runtime/invocation/next")))
        q->call = ask(r, RAPI_READY, q) ? RAPI_CALL_NEXT : RAPI_CALL_NONE;
    else if (!is_get && slice_eq(rest, SLICE_LIT("runtime/init/error")))
        q->call = ask(r, RAPI_INIT_FAILED, q) ? RAPI_CALL_INIT_ERROR : RAPI_CALL_NONE;
    else if (slice_eq(rest, SLICE_LIT("ping")) ||
             slice_eq(rest, SLICE_LIT("runtime/invocation/next")) ||
             slice_eq(rest, SLICE_LIT("runtime/init/error")))
        refuse(q, 405, NULL, "");
    else
        refuse(q, 404, NULL, "404 page not found\n");
}

void rapi_take(struct rapi *r, const struct http_head *head, struct rapi_request *ret)
{
    static const struct slice version = {"/2018-06-01/", 12},
                              next = {"runtime/invocation/next", 23},
                              invocation = {"runtime/invocation/", 19};
    bool is_get = slice_eq(head->method, SLICE_LIT("GET"));
    struct slice rest = head->path;

    *ret = (struct rapi_request){.call = RAPI_CALL_NONE};
    copy_header(head, "Content-Type", ret->content_type, sizeof(ret->content_type));
    copy_header(head, "Lambda-Runtime-Function-Error-Type", ret->error_type,
                sizeof(ret->error_type));
    if (!slice_starts(rest, version)) {
        refuse(ret, 404, NULL, "404 page not found\n");
        return;
    }
    rest = slice(rest.base + version.len, rest.len - version.len);
    if (!is_get && !slice_eq(head->method, SLICE_LIT("POST")))
        refuse(ret, 405, NULL, "");
    else if (slice_starts(rest, invocation) && !slice_eq(rest, next) && is_get)
        refuse(ret, 405, NULL, "");
    else if (slice_starts(rest, invocation) && !slice_eq(rest, next))
        take_invocation(r, head, slice(rest.base + invocation.len, rest.len - invocation.len), ret);
    else
        take_plain(r, rest, is_get, ret);
}

static bool is_letter(char c, bool any)
{
    return (c >= 'A' && c <= 'Z') || (any && c >= 'a' && c <= 'z');
}

/* (Runtime|Function)\.[A-Z][a-zA-Z]+ */
void rapi_error_type(struct slice given, char *dst)
{
    static const struct slice function = {"Function.", 9}, runtime = {"Runtime.", 8};
    bool is_function = slice_starts(given, function);
    size_t at = is_function ? function.len : runtime.len;
    bool good = (is_function || slice_starts(given, runtime)) && given.len >= at + 2 &&
                is_letter(given.base[at], false);

    for (size_t i = at; good && i < given.len; i++)
        good = is_letter(given.base[i], true);
    if (good && given.len < RAPI_TYPE_SIZE)
        (void)snprintf(dst, RAPI_TYPE_SIZE, "%.*s", SLICE_ARG(given));
    else
        (void)snprintf(dst, RAPI_TYPE_SIZE, "%s",
                       is_function ? "Function.Unknown" : "Runtime.Unknown");
}

/* ---- answers ---- */

static int write_head(struct buf *b, unsigned status, const char *content_type, size_t length,
                      bool keep_alive)
{
    int r = http_write_status_line(b, status, slice_str(http_reason(status)));

    if (r == 0)
        r = http_write_header_str(b, "Content-Type", content_type);
    if (r == 0)
        r = http_write_header_u64(b, "Content-Length", length);
    if (r == 0 && !keep_alive)
        r = http_write_header_str(b, "Connection", "close");
    return r;
}

static int write_whole(struct buf *b, unsigned status, const char *content_type, struct slice body,
                       bool keep_alive)
{
    int r = write_head(b, status, content_type, body.len, keep_alive);

    if (r == 0)
        r = http_write_head_end(b);
    return r == 0 ? buf_append_slice(b, body) : r;
}

int rapi_write_refusal(struct buf *b, unsigned status, const char *type, const char *message,
                       bool keep_alive)
{
    struct buf json = BUF_INIT(16384);
    int r;

    if (!type)
        return write_whole(b, status, "text/plain; charset=utf-8", slice_str(message), keep_alive);
    r = buf_append_str(&json, "{\"errorMessage\":");
    if (r == 0)
        r = utf8_write_json(&json, slice_str(message));
    if (r == 0)
        r = buf_append_str(&json, ",\"errorType\":");
    if (r == 0)
        r = utf8_write_json(&json, slice_str(type));
    if (r == 0)
        r = buf_append_str(&json, "}");
    if (r == 0)
        r = write_whole(b, status, "application/json", buf_slice(&json), keep_alive);
    buf_deinit(&json);
    return r;
}

int rapi_write_answer(struct buf *b, const struct rapi_request *request, bool keep_alive)
{
    if (request->call == RAPI_CALL_NONE)
        return rapi_write_refusal(b, request->status, request->type, request->message, keep_alive);
    if (request->call == RAPI_CALL_PING)
        return write_whole(b, 200, "text/plain; charset=utf-8", SLICE_LIT("pong"), keep_alive);
    return write_whole(b, 202, "application/json", SLICE_LIT("{\"status\":\"OK\"}"), keep_alive);
}

int rapi_write_event(struct buf *b, const struct rapi_event *event, bool keep_alive)
{
    const struct {
        const char *name;
        struct slice value;
    } headers[] = {
        {"Lambda-Runtime-Aws-Request-Id", event->id},
        {"Lambda-Runtime-Invoked-Function-Arn", event->arn},
        {"Lambda-Runtime-Trace-Id", event->trace},
    };
    int r = write_head(b, 200, "application/json", event->body.len, keep_alive);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(headers); i++) {
        if (headers[i].value.len > 0)
            r = http_write_header(b, slice_str(headers[i].name), headers[i].value);
    }
    if (r == 0)
        r = http_write_header_u64(b, "Lambda-Runtime-Deadline-Ms", event->deadline_ms);
    if (r == 0)
        r = http_write_head_end(b);
    return r == 0 ? buf_append_slice(b, event->body) : r;
}
