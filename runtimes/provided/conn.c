#include "conn.h"

#include <stdio.h>

#define HEAD_MAX  (CONN_IN_MAX / 2)
#define LINE_MAX_ 8192

static const struct http_limits limits = {
    .line_max = LINE_MAX_,
    .head_max = HEAD_MAX,
    .n_headers_max = 100,
    .body_max = UINT64_MAX, /* who takes the body counts */
};

static void on_trailer(void *ctx, const struct http_header *trailer)
{
    struct conn *c = ctx;

    if (slice_eq_nocase(trailer->name, SLICE_LIT("Lambda-Runtime-Function-Error-Type"))) {
        (void)snprintf(c->trailer_type, sizeof(c->trailer_type), "%.*s", SLICE_ARG(trailer->value));
    } else if (slice_eq_nocase(trailer->name, SLICE_LIT("Lambda-Runtime-Function-Error-Body"))) {
        buf_clear(&c->trailer_body);
        (void)buf_append_slice(&c->trailer_body, trailer->value); /* too long: left out */
    }
}

void conn_init(struct conn *c, int fd)
{
    *c = (struct conn){.fd = fd,
                       .in = BUF_INIT(CONN_IN_MAX),
                       .out = BUF_INIT(SIZE_MAX),
                       .trailer_body = BUF_INIT(CONN_TRAILER_MAX)};
    http_parser_init(&c->parser, HTTP_REQUEST, &limits);
    c->parser.on_trailer = on_trailer;
    c->parser.trailer_ctx = c;
}

void conn_deinit(struct conn *c)
{
    buf_deinit(&c->in);
    buf_deinit(&c->out);
    buf_deinit(&c->trailer_body);
}

/* An answer that cannot be written, for want of memory, ends the connection. */
static void wrote(struct conn *c, int r)
{
    if (r < 0 || !c->keep_alive)
        c->closing = true;
}

void conn_answer(struct conn *c)
{
    wrote(c, rapi_write_answer(&c->out, &c->request, c->keep_alive));
}

void conn_refuse(struct conn *c, unsigned status, const char *type, const char *message)
{
    wrote(c, rapi_write_refusal(&c->out, status, type, message, c->keep_alive));
}

void conn_give(struct conn *c, const struct rapi_event *event)
{
    c->parked = false;
    wrote(c, rapi_write_event(&c->out, event, c->keep_alive));
}

static enum conn_event break_off(struct conn *c, unsigned status, const char *type,
                                 const char *message)
{
    bool in_request = c->in_request;

    c->keep_alive = c->in_request = false;
    conn_refuse(c, status, type, message);
    return in_request ? CONN_CUT : CONN_MORE;
}

static void begin(struct conn *c, struct rapi *api, const struct http_head *head)
{
    c->in_request = true;
    c->keep_alive = head->keep_alive;
    c->trailer_type[0] = '\0';
    buf_clear(&c->trailer_body);
    if (head->expect_continue && buf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n") < 0)
        c->closing = true;
    rapi_take(api, head, &c->request);
}

enum conn_event conn_next(struct conn *c, struct rapi *api, struct slice *ret_data)
{
    static struct http_head head;
    size_t used = 0;

    buf_consume(&c->in, c->used);
    c->used = 0;
    if (c->parked || c->closing)
        return CONN_MORE;
    switch (http_parse(&c->parser, buf_slice(&c->in), &used, &head, ret_data)) {
    case HTTP_EVENT_HEAD:
        begin(c, api, &head);
        c->used = used;
        return CONN_BEGUN;
    case HTTP_EVENT_DATA:
        c->used = used;
        return CONN_DATA;
    case HTTP_EVENT_END:
        c->used = used;
        c->in_request = false;
        http_parser_next(&c->parser);
        return CONN_END;
    case HTTP_EVENT_ERROR:
        return break_off(c, c->parser.error_status, "InvalidRequest", c->parser.error_text);
    case HTTP_EVENT_MORE:
        break;
    }
    buf_consume(&c->in, used);
    return CONN_MORE;
}

enum conn_event conn_eof(struct conn *c)
{
    if (c->parked || c->closing || (!c->in_request && buf_len(&c->in) == 0)) {
        c->closing = true;
        return CONN_MORE;
    }
    return break_off(c, 400, "TruncatedHTTPRequest", "HTTP request detected as truncated");
}
