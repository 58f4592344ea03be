#include "gateway/request.h"
#include "gateway/admin-request.h"
#include "gateway/client.h"
#include "gateway/invocation.h"
#include "gateway/pool.h"
#include "gateway/recorder.h"
#include "gateway/rules.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALLOWED_MAX 256

/* ---- the canonical request ---- */

static int write_params(struct buf *b, const struct route_match *match)
{
    for (uint32_t i = 0; match && i < match->n_params; i++) {
        const struct route_param *p = &match->params[i];
        int r = buf_printf(b, "%c%.*s=%.*s", i == 0 ? '?' : '&', SLICE_ARG(p->name),
                           SLICE_ARG(p->value));

        if (r < 0)
            return r;
    }
    return 0;
}

/* The target as sent, with the values of the route's [names] in front of the query, and what
 * rewrites add to it. */
static int write_request_line(struct buf *b, const struct http_head *head,
                              const struct route_match *match, const struct rules_plan *plan)
{
    bool has_params = match && match->n_params > 0;
    bool has_query = plan && buf_len(&plan->query) > 0;
    int r;

    if (!has_params && !has_query)
        return http_write_request_line(b, head->method, head->target);
    r = buf_printf(b, "%.*s %.*s", SLICE_ARG(head->method), SLICE_ARG(head->path));
    if (r == 0)
        r = write_params(b, match);
    if (r == 0 && has_query)
        r = buf_printf(b, "%c%.*s", has_params ? '&' : '?', SLICE_ARG(buf_slice(&plan->query)));
    if (r == 0 && head->query.len > 0)
        r = buf_printf(b, "&%.*s", SLICE_ARG(head->query));
    return r == 0 ? buf_append_str(b, " HTTP/1.1\r\n") : r;
}

/* For the runtime static: which file, and the status if it is not for the runtime to say. */
static int write_file(struct buf *b, const struct rules_plan *plan)
{
    int r;

    if (!plan || !plan->file)
        return 0;
    r = buf_append_str(b, "Mayfly-File: ");
    if (r == 0)
        r = http_percent_encode(b, slice_str(plan->file));
    if (r == 0)
        r = buf_append_str(b, "\r\n");
    return r == 0 && plan->status ? http_write_header_u64(b, "Mayfly-Status", plan->status) : r;
}

/* Not passed on: what belongs to the connection, what we say ourselves, and our own prefix. */
static bool is_ours(const struct http_head *head, struct slice name)
{
    return http_is_hop_header(name) || http_connection_lists(head, name) ||
           slice_eq_nocase(name, SLICE_LIT("host")) ||
           slice_eq_nocase(name, SLICE_LIT("content-length")) ||
           slice_eq_nocase(name, SLICE_LIT("expect")) ||
           slice_eq_nocase(slice(name.base, MIN(name.len, 7)), SLICE_LIT("mayfly-"));
}

/* The caller's word of the trace gives way to ours; what vendors say of it is passed on, if it is
 * of this trace. */
static bool is_of_trace(const struct trace *trace, struct slice name)
{
    return slice_eq_nocase(name, SLICE_LIT("traceparent")) ||
           (trace->parent_span_id[0] == '\0' && slice_eq_nocase(name, SLICE_LIT("tracestate")));
}

static int write_client_headers(struct buf *b, const struct client *c, const struct http_head *head,
                                const struct trace *trace)
{
    struct slice protocol;
    char parent[TRACE_PARENT_LEN + 1];
    int r;

    r = http_write_header(b, SLICE_LIT("Host"),
                          head->host.len > 0 ? head->host : SLICE_LIT("localhost"));
    for (uint32_t i = 0; r == 0 && i < head->n_headers; i++) {
        const struct http_header *h = &head->headers[i];

        if (is_ours(head, h->name) || is_of_trace(trace, h->name))
            continue;
        /* What lets somebody in at the admin interface is not for functions. */
        if (c->door == CLIENT_ADMIN && slice_eq_nocase(h->name, SLICE_LIT("authorization")))
            continue;
        r = admin_is_in_cookie(h) ? admin_write_cookie(b, h)
                                  : http_write_header(b, h->name, h->value);
    }
    if (r == 0 && head->upgrade && http_head_find(head, "upgrade", &protocol))
        r = buf_printf(b, "Connection: Upgrade\r\nUpgrade: %.*s\r\n", SLICE_ARG(protocol));
    trace_write_parent(trace, parent);
    if (r == 0)
        r = http_write_header_str(b, "traceparent", parent);
    return r == 0 ? http_write_header_str(b, "Mayfly-Client-Ip", c->ip) : r;
}

static int write_framing(struct buf *b, const struct http_head *head)
{
    if (head->framing == HTTP_BODY_CHUNKED)
        return http_write_header_str(b, "Transfer-Encoding", "chunked");
    if (head->has_content_length)
        return http_write_header_u64(b, "Content-Length", head->content_length);
    return 0;
}

int request_write_head(struct buf *b, const struct client *c, const struct http_head *head,
                       const struct route_match *match, const struct rules_plan *plan,
                       const struct invocation *inv)
{
    int r = write_request_line(b, head, match, plan);

    if (r == 0)
        r = write_client_headers(b, c, head, &inv->trace);
    if (r == 0)
        r = write_framing(b, head);
    if (r == 0)
        r = write_file(b, plan);
    if (r == 0)
        r = buf_printf(b,
                       "Mayfly-Request-Id: %s\r\nMayfly-Function: %s\r\nMayfly-Version: %s\r\n"
                       "Mayfly-Trigger: %s\r\n",
                       inv->id, inv->pool->function->name, inv->pool->function->version,
                       trigger_name(inv->trigger));
    return r;
}

/* ---- what becomes of a request ---- */

/* looked_up is the one that has routes for other methods: a rewrite's, maybe. */
static void answer_no_route(struct client *c, const struct http_head *head, struct slice looked_up,
                            int outcome)
{
    const struct route_table *table = &c->gateway->served->snapshot->table;
    char allowed[ALLOWED_MAX], header[ALLOWED_MAX + 16], message[512], path[160];

    (void)log_quote(slice(head->path.base, MIN(head->path.len, 100)), path, sizeof(path));
    if (outcome == ROUTE_E_METHOD) {
        route_table_allowed(table, looked_up, allowed, sizeof(allowed));
        (void)snprintf(header, sizeof(header), "Allow: %s\r\n", allowed);
        (void)snprintf(message, sizeof(message), "%s takes %s only", path, allowed);
        client_answer_error(c, 405, header, message, SLICE_NULL);
        return;
    }
    (void)snprintf(message, sizeof(message), "no function has the route %s", path);
    client_answer_error(c, 404, NULL, message, SLICE_NULL);
}

void request_invoke(struct client *c, const struct http_head *head, const struct function *f,
                    const struct route_match *match, const struct rules_plan *plan,
                    enum trigger trigger)
{
    struct pool *pool = pools_find(c->gateway, f);
    struct invocation *inv;
    int r;

    c->parser.limits.body_max = MIN(c->parser.limits.body_max, f->limits.body_max);
    if (head->has_content_length && head->content_length > f->limits.body_max) {
        client_answer_error(c, 413, NULL,
                            "the request's body is larger than the function's `body` limit",
                            SLICE_NULL);
        return;
    }
    inv = pool ? invocation_new(c->gateway, c, pool, trigger, head) : NULL;
    if (!inv) {
        client_answer_error(c, 503, "Retry-After: 1\r\n", "out of memory", SLICE_NULL);
        return;
    }
    r = request_write_head(&inv->head, c, head, match, plan, inv);
    if (r == 0 && plan && buf_len(&plan->headers) > 0) {
        buf_init(&inv->extra, buf_len(&plan->headers));
        r = buf_append_slice(&inv->extra, buf_slice(&plan->headers));
        inv->extra_wins = plan->outcome == RULES_FILE;
    }
    if (r == -ENOMEM) {
        invocation_fail(inv, OUTCOME_UNAVAILABLE, 503, "out of memory");
        return;
    }
    if (r < 0) {
        invocation_fail(inv, OUTCOME_BAD_REQUEST, 431, "the request's headers are too big");
        return;
    }
    inv->recording = recorder_begin(inv);
    pool_submit(pool, inv);
}

/* ---- rules ---- */

static void answer_from_rules(struct client *c, const struct rules_plan *plan)
{
    _cleanup_(buf_deinit) struct buf lines = BUF_INIT(65536);
    struct slice location = buf_slice(&plan->location);
    const char *text, *reason = http_reason(plan->status);
    int r = buf_append_slice(&lines, buf_slice(&plan->headers));

    if (r == 0 && location.len > 0)
        r = http_write_header(&lines, SLICE_LIT("Location"), location);
    text = r == 0 ? buf_cstr(&lines) : NULL;
    if (!text)
        client_answer_error(c, 503, "Retry-After: 1\r\n", "out of memory", SLICE_NULL);
    else if (plan->status >= 400)
        client_answer_error(c, plan->status, text, "a rule of the project answers so", SLICE_NULL);
    else
        client_answer(c, plan->status, text, "text/plain; charset=utf-8", slice_str(reason));
}

static void answer_from_plan(struct client *c, const struct http_head *head,
                             const struct rules_plan *plan)
{
    const struct snapshot *s = c->gateway->served->snapshot;

    switch (plan->outcome) {
    case RULES_ROUTE:
        if (plan->match.route->builtin != BUILTIN_NONE)
            builtin_answer(c, plan->match.route);
        else
            request_invoke(c, head, &s->functions[plan->match.route->function], &plan->match, plan,
                           TRIGGER_HTTP);
        break;
    case RULES_FILE:
        request_invoke(c, head, &s->functions[plan->site->function], NULL, plan, TRIGGER_HTTP);
        break;
    case RULES_ANSWER:
        answer_from_rules(c, plan);
        break;
    case RULES_METHOD:
        if (plan->file_method)
            client_answer_error(c, 405, "Allow: GET, HEAD\r\n", "a file takes GET and HEAD only",
                                SLICE_NULL);
        else
            answer_no_route(c, head, plan->rewritten ? buf_slice(&plan->path) : head->path,
                            ROUTE_E_METHOD);
        break;
    case RULES_NONE:
    case RULES_NOT_FOUND:
        answer_no_route(c, head, head->path, ROUTE_E_NOT_FOUND);
        break;
    case RULES_TOO_SLOW:
        client_answer_error(c, 400, NULL,
                            "a pattern of the project's rules takes too long for this path",
                            SLICE_NULL);
        break;
    }
}

/* The project's rules and files come first, if it has any. Returns whether there was an answer. */
static bool request_by_rules(struct client *c, const struct http_head *head)
{
    struct rules_plan plan;
    int r = rules_ask(c->gateway->served->rules, head, &plan);
    bool answered = r < 0 || plan.outcome != RULES_NONE;

    if (r < 0)
        client_answer_error(c, 431, NULL, "the address is too long for the project's rules",
                            SLICE_NULL);
    else if (answered)
        answer_from_plan(c, head, &plan);
    rules_plan_deinit(&plan);
    return answered;
}

void request_begin(struct client *c, const struct http_head *head)
{
    struct gateway *g = c->gateway;
    struct route_match match;
    int r;

    if (c->door == CLIENT_REPLAY) {
        replay_answer(c, head);
        return;
    }
    if (client_is_admin(c)) {
        admin_request_begin(c, head);
        return;
    }
    if (!g->served) {
        client_answer_error(c, 503, "Retry-After: 1\r\n", "the project is being loaded",
                            SLICE_NULL);
        return;
    }
    if (slice_eq(head->target, SLICE_LIT("*"))) {
        client_answer(c, 204, NULL, NULL, SLICE_NULL);
        return;
    }
    if (!http_path_is_routable(head->path)) {
        client_answer_error(c, 400, NULL,
                            "the path is not plain: no '.' or '..' segments, no backslash, no "
                            "control bytes, and '%' with two hex digits",
                            SLICE_NULL);
        return;
    }
    if (g->served->rules && request_by_rules(c, head))
        return;
    r = route_table_match(&g->served->snapshot->table, head->method, head->path, &match);
    if (r != ROUTE_E_OK)
        answer_no_route(c, head, head->path, r);
    else if (match.route->builtin != BUILTIN_NONE)
        builtin_answer(c, match.route);
    else
        request_invoke(c, head, &g->served->snapshot->functions[match.route->function], &match,
                       NULL, TRIGGER_HTTP);
}
