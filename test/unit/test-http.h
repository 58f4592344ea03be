#pragma once

/* The harness of http's tests: every row of a table is read whole, cut in two at every place, and
 * byte by byte, and must tell the same each time. The bytes are handed over in blocks of their
 * exact size, so that a sanitizer sees a byte read too far. */

#include "http/http.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct row {
    const char *name; /* what it protects */
    struct slice input;
    const char *expected;      /* see tell_head() */
    struct http_limits limits; /* a member that is 0: as in the default */
    bool head_request;
};

#define BYTES(s)  SLICE_LIT(s)
#define GET(rest) BYTES("GET / HTTP/1.1\r\nHost: h\r\n" rest)

static inline void add(struct buf *b, struct slice s)
{
    assert_int_equal(buf_append_slice(b, s), 0);
}

static inline void tell_head(struct buf *out, enum http_kind kind, const struct http_head *h)
{
    static const char *const framings[] = {
        [HTTP_BODY_NONE] = "none",
        [HTTP_BODY_LENGTH] = "length",
        [HTTP_BODY_CHUNKED] = "chunked",
        [HTTP_BODY_CLOSE] = "close",
    };

    if (kind == HTTP_REQUEST)
        (void)buf_printf(out, "%.*s %.*s 1.%u h=%.*s", SLICE_ARG(h->method), SLICE_ARG(h->target),
                         h->version_minor, SLICE_ARG(h->host));
    else
        (void)buf_printf(out, "%u '%.*s' 1.%u", h->status, SLICE_ARG(h->reason), h->version_minor);
    (void)buf_printf(out, "%s%s%s %s", h->keep_alive ? " keep" : " once",
                     h->upgrade ? " upgrade" : "", h->expect_continue ? " expect" : "",
                     framings[h->framing]);
    if (h->has_content_length)
        (void)buf_printf(out, "=%llu", (unsigned long long)h->content_length);
    for (uint32_t i = 0; i < h->n_headers; i++)
        (void)buf_printf(out, "%s{%.*s=%.*s}", i == 0 ? " " : "", SLICE_ARG(h->headers[i].name),
                         SLICE_ARG(h->headers[i].value));
}

struct reading {
    struct http_parser parser;
    struct buf pending;
    struct buf out;
    bool in_body;
};

static inline void close_body(struct reading *r)
{
    if (r->in_body)
        add(&r->out, BYTES("\""));
    r->in_body = false;
}

/* Takes one event into the transcript. Returns false when there is nothing more to tell. */
static inline bool tell(struct reading *r, enum http_event event, const struct http_head *head,
                        struct slice data)
{
    if (event == HTTP_EVENT_MORE)
        return false;
    if (event != HTTP_EVENT_DATA)
        close_body(r);
    switch (event) {
    case HTTP_EVENT_HEAD:
        tell_head(&r->out, r->parser.kind, head);
        break;
    case HTTP_EVENT_DATA:
        assert_int_not_equal(data.len, 0);
        if (!r->in_body)
            add(&r->out, BYTES(" \""));
        r->in_body = true;
        add(&r->out, data);
        break;
    case HTTP_EVENT_END:
        add(&r->out, BYTES(" end; "));
        http_parser_next(&r->parser);
        break;
    case HTTP_EVENT_ERROR:
        (void)buf_printf(&r->out, " !%u", r->parser.error_status);
        assert_non_null(r->parser.error_text);
        return false;
    case HTTP_EVENT_MORE:
        break;
    }
    return true;
}

/* Hands the pending bytes over until there is nothing more to tell. */
static inline void drain(struct reading *r)
{
    bool more = true;

    while (more && r->parser.state != HTTP_STATE_ERROR) {
        struct slice s = buf_slice(&r->pending), data = SLICE_NULL;
        char *exact = malloc(s.len > 0 ? s.len : 1);
        static struct http_head head;
        size_t used = SIZE_MAX;
        enum http_event event;

        assert_non_null(exact);
        if (s.len > 0)
            memcpy(exact, s.base, s.len);
        event = http_parse(&r->parser, slice(exact, s.len), &used, &head, &data);
        assert_true(used <= s.len);
        more = tell(r, event, &head, data);
        free(exact);
        buf_consume(&r->pending, used);
    }
}

/* Reads the input in pieces: first `first` bytes, then `step` at a time. The transcript is
 * malloced. */
static inline char *transcript(const struct row *row, enum http_kind kind, size_t first,
                               size_t step)
{
    struct reading r = {.pending = BUF_INIT(SIZE_MAX / 2), .out = BUF_INIT(SIZE_MAX / 2)};
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    size_t at = 0, n = first;
    char *text;

    limits.line_max = row->limits.line_max ?: limits.line_max;
    limits.head_max = row->limits.head_max ?: limits.head_max;
    limits.n_headers_max = row->limits.n_headers_max ?: limits.n_headers_max;
    limits.body_max = row->limits.body_max ?: limits.body_max;
    http_parser_init(&r.parser, kind, &limits);
    r.parser.head_request = row->head_request;
    drain(&r); /* a call without a byte changes nothing */
    while (at < row->input.len) {
        n = MIN(n, row->input.len - at);
        add(&r.pending, slice(row->input.base + at, n));
        at += n;
        n = step;
        drain(&r);
    }
    if (r.parser.state != HTTP_STATE_ERROR) {
        enum http_event event = http_parse_eof(&r.parser, buf_len(&r.pending) > 0);

        if (event != HTTP_EVENT_MORE)
            close_body(&r);
        if (event == HTTP_EVENT_ERROR)
            add(&r.out, BYTES(" eof"));
        (void)tell(&r, event, NULL, SLICE_NULL);
    }
    text = slice_dup(buf_slice(&r.out));
    assert_non_null(text);
    buf_deinit(&r.pending);
    buf_deinit(&r.out);
    return text;
}

static inline void expect_transcript(const struct row *row, enum http_kind kind, size_t first,
                                     size_t step)
{
    _cleanup_free_ char *got = transcript(row, kind, first, step);

    if (strcmp(got, row->expected) != 0)
        fail_msg("%s (first piece %zu, then %zu):\n got      %s\n expected %s", row->name, first,
                 step, got, row->expected);
}

static inline void run_row(const struct row *row, enum http_kind kind)
{
    expect_transcript(row, kind, row->input.len, 1);
    for (size_t first = 1; first < row->input.len; first++)
        expect_transcript(row, kind, first, row->input.len);
    expect_transcript(row, kind, 1, 1);
}

static inline enum http_event parse_once(struct http_parser *p, struct slice bytes,
                                         struct http_head *head)
{
    struct slice data;
    size_t used;

    return http_parse(p, bytes, &used, head, &data);
}

static inline void start(struct http_parser *p, enum http_kind kind)
{
    http_parser_init(p, kind, &HTTP_LIMITS_DEFAULT);
}

static inline void run_request(void **state)
{
    run_row(*state, HTTP_REQUEST);
}

static inline void run_response(void **state)
{
    run_row(*state, HTTP_RESPONSE);
}

/* A row is a test, named for what it protects. Returns what main() returns. */
static inline int run_rows(const char *group, const struct row *rows, size_t n_rows,
                           CMUnitTestFunction run)
{
    struct CMUnitTest *tests = calloc(n_rows, sizeof(*tests));
    int r;

    if (!tests)
        return EXIT_FAILURE;
    for (size_t i = 0; i < n_rows; i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = run, .initial_state = (void *)&rows[i]};
    r = _cmocka_run_group_tests(group, tests, n_rows, NULL, NULL);
    free(tests);
    return r;
}
