/* A handler that writes raw HTTP (http.server's do) is read like a server behind a proxy: strictly,
 * with whatever framing it uses, and piece by piece, so that its body streams. */

#include "extension.h"

#include <errno.h>

#define RAW_BYTES_MAX (1024 * 1024) /* not yet understood: a head, a chunk's size line */

void raw_answer_begin(struct raw_answer *a, bool head_request)
{
    static const struct http_limits limits = {.line_max = 64 * 1024,
                                              .head_max = 512 * 1024,
                                              .n_headers_max = HTTP_HEADERS_MAX,
                                              .body_max = UINT64_MAX};

    http_parser_init(&a->parser, HTTP_RESPONSE, &limits);
    a->parser.head_request = head_request;
    if (a->in.max == 0)
        a->in = BUF_INIT(RAW_BYTES_MAX);
    buf_clear(&a->in);
    a->begun = a->ended = false;
}

static int on_event(struct raw_answer *a, struct worker *w, enum http_event event,
                    const struct http_head *head, struct slice data)
{
    switch (event) {
    case HTTP_EVENT_HEAD:
        if (head->status < 200 && head->status != 101)
            return 0; /* an interim answer: the gateway has said it already */
        a->begun = true;
        return !w ? 0
                  : worker_start(w, head->status, head->headers, head->n_headers,
                                 head->has_content_length ? (int64_t)head->content_length : -1);
    case HTTP_EVENT_DATA:
        return !w ? 0 : worker_write(w, data.base, data.len);
    case HTTP_EVENT_END:
        if (!a->begun)
            http_parser_next(&a->parser);
        a->ended = a->begun;
        return 0;
    case HTTP_EVENT_MORE:
    case HTTP_EVENT_ERROR:
        break;
    }
    return 0;
}

int raw_answer_feed(struct raw_answer *a, struct worker *w, struct slice bytes,
                    const char **ret_text)
{
    struct http_head head;

    /* In pieces, so that a large write need not fit the buffer at once. What comes behind the end
     * is dropped, as a client that has its answer would not read it. */
    while (bytes.len > 0 && !a->ended) {
        struct slice piece = slice(bytes.base, MIN(bytes.len, buf_room(&a->in)));
        enum http_event event;

        if (piece.len == 0) {
            *ret_text = "its head is too long";
            return RAW_E_BAD;
        }
        if (buf_append_slice(&a->in, piece) < 0)
            return -ENOMEM;
        bytes = slice(bytes.base + piece.len, bytes.len - piece.len);
        do {
            struct slice data = SLICE_NULL;
            size_t used = 0;
            int r;

            event = http_parse(&a->parser, buf_slice(&a->in), &used, &head, &data);
            if (event == HTTP_EVENT_ERROR) {
                *ret_text = a->parser.error_text;
                return RAW_E_BAD;
            }
            r = on_event(a, w, event, &head, data);
            buf_consume(&a->in, used);
            if (r < 0)
                return r;
        } while (event != HTTP_EVENT_MORE && !a->ended);
    }
    return RAW_E_OK;
}

int raw_answer_end(struct raw_answer *a, struct worker *w, const char **ret_text)
{
    enum http_event event;

    if (a->ended)
        return RAW_E_OK;
    event = http_parse_eof(&a->parser, buf_len(&a->in) > 0);
    if (event == HTTP_EVENT_END && a->begun) {
        a->ended = true;
        return RAW_E_OK;
    }
    *ret_text = a->begun ? "its body is shorter than announced" : "it has no complete head";
    return RAW_E_BAD;
}
