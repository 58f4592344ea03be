#include "answer.h"

#include <errno.h>

static const struct http_head *rehearsal_head(void)
{
    static const char text[] = "GET /a?b=c HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\n"
                               "User-Agent: mayfly\r\nMayfly-Request-Id: 0\r\n\r\n";
    static struct http_head head;
    struct http_parser parser;
    struct slice data;
    size_t used;

    if (head.method.len == 0) {
        http_parser_init(&parser, HTTP_REQUEST, &HTTP_LIMITS_DEFAULT);
        (void)http_parse(&parser, slice_str(text), &used, &head, &data);
    }
    return &head;
}

void answer_begin(struct answer *a, struct worker *w)
{
    *a = (struct answer){.w = w, .head = w ? worker_head(w) : rehearsal_head()};
}

ssize_t answer_read(struct answer *a, void *dst, size_t size)
{
    if (!a->w || a->head->framing == HTTP_BODY_NONE)
        return 0;
    return worker_read(a->w, dst, size);
}

int64_t answer_body_length(const struct answer *a)
{
    if (a->head->framing == HTTP_BODY_LENGTH)
        return (int64_t)a->head->content_length;
    return a->head->framing == HTTP_BODY_NONE ? 0 : -1;
}

int answer_start(struct answer *a, unsigned status, const struct http_header *headers, size_t n,
                 int64_t length)
{
    int r;

    if (a->state >= ANSWER_WRITTEN)
        return -EALREADY;
    r = a->w ? worker_start(a->w, status, headers, n, length) : 0;
    if (r == 0)
        a->state = ANSWER_BEGUN;
    return r;
}

static bool is_open(const struct answer *a)
{
    return a->state == ANSWER_BEGUN || a->state == ANSWER_WRITTEN;
}

int answer_write(struct answer *a, struct slice data)
{
    if (!is_open(a))
        return -ENOTCONN;
    if (data.len == 0)
        return 0;
    a->state = ANSWER_WRITTEN;
    return a->w ? worker_write(a->w, data.base, data.len) : 0;
}

int answer_flush(struct answer *a)
{
    if (!is_open(a))
        return 0;
    a->state = ANSWER_WRITTEN;
    return a->w ? worker_flush(a->w) : 0;
}

int answer_finish(struct answer *a)
{
    int r;

    if (!is_open(a))
        return -ENOTCONN;
    r = a->w ? worker_finish(a->w) : 0;
    if (r == 0)
        a->state = ANSWER_ENDED;
    return r;
}

int answer_fail(struct answer *a, int error, const char *type, const char *message,
                const char *stack)
{
    int r;

    if (a->state == ANSWER_ENDED)
        return -EALREADY;
    if (!a->w)
        return 0;
    worker_suspect(a->w, error);
    r = worker_fail_text(a->w, type, message, stack);
    if (r == 0)
        a->state = ANSWER_ENDED;
    return r;
}
