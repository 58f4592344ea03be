#pragma once

/* For the HTTP targets: all that is told of an input, as bytes that can be compared. */

#include "fuzz.h"
#include "http/http.h"

struct http_how {
    enum http_kind kind;
    struct http_limits limits;
    bool head_request;
    uint64_t seed;   /* cut at places drawn from it; 0: not at all */
    bool every_byte; /* one byte at a time */
};

static inline void told_bytes(struct buf *out, struct slice s)
{
    FUZZ_CHECK(buf_append(out, &s.len, sizeof(s.len)) == 0);
    FUZZ_CHECK(buf_append_slice(out, s) == 0);
}

static inline void told_number(struct buf *out, uint64_t v)
{
    FUZZ_CHECK(buf_append(out, &v, sizeof(v)) == 0);
}

static inline void told_head(struct buf *out, const struct http_head *h)
{
    told_bytes(out, h->method);
    told_bytes(out, h->target);
    told_bytes(out, h->path);
    told_bytes(out, h->query);
    told_bytes(out, h->host);
    told_bytes(out, h->reason);
    told_number(out, h->status);
    told_number(out, h->version_minor);
    told_number(out, h->keep_alive | h->upgrade << 1 | h->expect_continue << 2 |
                         h->has_content_length << 3);
    told_number(out, h->framing);
    told_number(out, h->content_length);
    told_number(out, h->n_headers);
    for (uint32_t i = 0; i < h->n_headers; i++) {
        told_bytes(out, h->headers[i].name);
        told_bytes(out, h->headers[i].value);
    }
}

struct http_reading {
    struct http_parser parser;
    struct buf *out;
    uint64_t n_body;
};

static inline bool read_event(struct http_reading *r, enum http_event event,
                              const struct http_head *head, struct slice data)
{
    if (event == HTTP_EVENT_MORE)
        return false;
    if (event == HTTP_EVENT_DATA) {
        FUZZ_CHECK(data.len > 0);
        FUZZ_CHECK(buf_append_slice(r->out, data) == 0);
        r->n_body += data.len;
        return true;
    }
    told_number(r->out, r->n_body);
    told_number(r->out, event);
    r->n_body = 0;
    if (event == HTTP_EVENT_HEAD)
        told_head(r->out, head);
    if (event == HTTP_EVENT_END)
        http_parser_next(&r->parser);
    if (event != HTTP_EVENT_ERROR)
        return true;
    told_number(r->out, r->parser.error_status);
    told_bytes(r->out, slice_str(r->parser.error_text));
    return false;
}

/* Hands over the bytes from *at up to `have`, in a block of their own, until no more is told. */
static inline void read_pending(struct http_reading *r, struct slice input, size_t *at, size_t have)
{
    static struct http_head head;
    bool more = true;

    while (more && r->parser.state != HTTP_STATE_ERROR) {
        struct slice data = SLICE_NULL;
        size_t n = have - *at, used = SIZE_MAX;
        char *block = malloc(n > 0 ? n : 1);

        FUZZ_CHECK(block);
        if (n > 0)
            memcpy(block, input.base + *at, n);
        more = read_event(r, http_parse(&r->parser, slice(block, n), &used, &head, &data), &head,
                          data);
        FUZZ_CHECK(used <= n);
        *at += used;
        free(block);
    }
}

/* Fills *out, which the caller has initialised. */
static inline void http_read_all(struct slice input, const struct http_how *how, struct buf *out)
{
    struct http_reading r = {.out = out};
    uint64_t seed = how->seed;
    size_t at = 0, have = 0;

    http_parser_init(&r.parser, how->kind, &how->limits);
    r.parser.head_request = how->head_request;
    while (have < input.len && r.parser.state != HTTP_STATE_ERROR) {
        size_t n = input.len - have;

        if (how->every_byte)
            n = 1;
        else if (seed != 0)
            n = 1 + fuzz_next(&seed) % n;
        have += n;
        read_pending(&r, input, &at, have);
    }
    if (r.parser.state != HTTP_STATE_ERROR)
        (void)read_event(&r, http_parse_eof(&r.parser, at < have), NULL, SLICE_NULL);
    told_number(out, r.parser.state);
}

#define EVERY_BYTE_MAX 512 /* above, one byte at a time is left out: it is quadratic here */

/* However the input is cut, the same is told. */
static inline void http_check_cuts(struct slice input, struct http_how how)
{
    struct buf whole = BUF_INIT(SIZE_MAX / 2), cut = BUF_INIT(SIZE_MAX / 2);

    how.seed = 0;
    http_read_all(input, &how, &whole);
    how.seed = fuzz_seed(input);
    http_read_all(input, &how, &cut);
    FUZZ_CHECK(slice_eq(buf_slice(&whole), buf_slice(&cut)));
    if (input.len <= EVERY_BYTE_MAX) {
        buf_clear(&cut);
        how.every_byte = true;
        http_read_all(input, &how, &cut);
        FUZZ_CHECK(slice_eq(buf_slice(&whole), buf_slice(&cut)));
    }
    buf_deinit(&whole);
    buf_deinit(&cut);
}

/* The same with limits that the input is likely to hit. */
static inline void http_check_cuts_small(struct slice input, struct http_how how)
{
    uint64_t seed = fuzz_seed(input);
    size_t n = MIN(input.len, 200) + 1;

    how.limits = (struct http_limits){
        .line_max = 1 + fuzz_next(&seed) % 64,
        .head_max = 1 + fuzz_next(&seed) % n,
        .n_headers_max = (uint32_t)(fuzz_next(&seed) % 4),
        .body_max = fuzz_next(&seed) % 16,
    };
    http_check_cuts(input, how);
}

/* Writes a message with our writer: the body in one piece, framed as head says. */
static inline void http_write_again(struct buf *b, enum http_kind kind,
                                    const struct http_head *head, struct slice body)
{
    FUZZ_CHECK((kind == HTTP_REQUEST ? http_write_request_line(b, head->method, head->target)
                                     : http_write_status_line(b, head->status, head->reason)) == 0);
    for (uint32_t i = 0; i < head->n_headers; i++)
        FUZZ_CHECK(http_write_header(b, head->headers[i].name, head->headers[i].value) == 0);
    FUZZ_CHECK(http_write_head_end(b) == 0);
    if (head->framing != HTTP_BODY_CHUNKED) {
        FUZZ_CHECK(buf_append_slice(b, body) == 0);
        return;
    }
    if (body.len > 0) {
        FUZZ_CHECK(http_write_chunk_start(b, body.len) == 0);
        FUZZ_CHECK(buf_append_slice(b, body) == 0);
        FUZZ_CHECK(http_write_chunk_end(b) == 0);
    }
    FUZZ_CHECK(http_write_last_chunk(b) == 0);
}

/* One message of an input. */
struct http_message {
    struct http_head head;
    struct buf body;
    size_t end;           /* how many bytes it took */
    enum http_event last; /* END, ERROR, or MORE where bytes are missing */
    bool has_head;
};

/* Reads one message from the start of the input; the head points into the input. */
static inline void http_read_one(struct slice input, const struct http_how *how,
                                 struct http_message *m)
{
    struct http_parser p;
    struct slice data;
    size_t used;

    m->has_head = false;
    m->end = 0;
    buf_clear(&m->body);
    http_parser_init(&p, how->kind, &how->limits);
    p.head_request = how->head_request;
    do {
        struct slice rest = slice(input.base + m->end, input.len - m->end);

        m->last = http_parse(&p, rest, &used, &m->head, &data);
        m->end += used;
        m->has_head = m->has_head || m->last == HTTP_EVENT_HEAD;
        if (m->last == HTTP_EVENT_DATA)
            FUZZ_CHECK(buf_append_slice(&m->body, data) == 0);
    } while (m->last == HTTP_EVENT_HEAD || m->last == HTTP_EVENT_DATA);
    if (m->last == HTTP_EVENT_MORE)
        m->last = http_parse_eof(&p, m->end < input.len) == HTTP_EVENT_END ? HTTP_EVENT_END
                                                                           : HTTP_EVENT_MORE;
}

/* What we write of a message that we have read is read as the same message. */
static inline void http_check_written(const struct http_message *m, const struct http_how *how)
{
    struct http_message again = {.body = BUF_INIT(SIZE_MAX / 2)};
    struct buf written = BUF_INIT(SIZE_MAX / 2), a = BUF_INIT(SIZE_MAX / 2),
               b = BUF_INIT(SIZE_MAX / 2);
    struct http_how wide = *how;

    /* Written, a message may be longer by the blanks behind its colons. */
    wide.limits.line_max += 64;
    wide.limits.head_max *= 2;
    http_write_again(&written, how->kind, &m->head, buf_slice(&m->body));
    http_read_one(buf_slice(&written), &wide, &again);
    FUZZ_CHECK(again.last == HTTP_EVENT_END);
    FUZZ_CHECK(again.end == buf_len(&written));
    FUZZ_CHECK(slice_eq(buf_slice(&m->body), buf_slice(&again.body)));
    told_head(&a, &m->head);
    told_head(&b, &again.head);
    FUZZ_CHECK(slice_eq(buf_slice(&a), buf_slice(&b)));
    buf_deinit(&again.body);
    buf_deinit(&written);
    buf_deinit(&a);
    buf_deinit(&b);
}
