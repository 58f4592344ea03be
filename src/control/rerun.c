#include "control/rerun.h"
#include "control/control.h"
#include "control/scrub.h"

#include "os/fd.h"
#include "os/sock.h"

#include <errno.h>
#include <sys/socket.h>

#define OUT_MAX     (512UL * 1024)
#define IN_MAX      (256UL * 1024)
#define TIMEOUT_NS  (1000 * NS_PER_S) /* above the longest that a function may run */
#define HEAD_MAX    (128UL * 1024)
#define ROUND_BYTES 65536

struct rerun {
    int fd;
    struct loop_io io;
    struct loop_timer timer;
    struct http_parser parser;
    struct buf out, in, head, body;
    unsigned status;
    bool is_cut;
    void (*done)(void *ctx, const struct rerun_answer *a);
    void *ctx;
};

static const struct http_limits limits = {.line_max = 8192,
                                          .head_max = HEAD_MAX,
                                          .n_headers_max = HTTP_HEADERS_MAX,
                                          .body_max = UINT64_MAX};

static void rerun_free(struct rerun *r)
{
    loop_io_remove(&r->io);
    loop_timer_cancel(&r->timer);
    (void)fd_close(r->fd);
    buf_deinit(&r->out);
    buf_deinit(&r->in);
    buf_deinit(&r->head);
    buf_deinit(&r->body);
    free(r);
}

void rerun_cancel(struct rerun *r)
{
    rerun_free(r);
}

static void end(struct rerun *r, const char *error)
{
    const struct rerun_answer a = {.error = error,
                                   .status = r->status,
                                   .head = buf_slice(&r->head),
                                   .body = buf_slice(&r->body),
                                   .is_cut = r->is_cut};

    r->done(r->ctx, &a);
    rerun_free(r);
}

static void on_timeout(struct loop_timer *t)
{
    end(container_of(t, struct rerun, timer), "the function did not answer in time");
}

/* ---- the answer ---- */

static int take_head(struct rerun *r, const struct http_head *head)
{
    int x = 0;

    r->status = head->status;
    for (uint32_t i = 0; i < head->n_headers && x == 0; i++)
        x = http_write_header(&r->head, head->headers[i].name, head->headers[i].value);
    return x;
}

static int take_data(struct rerun *r, struct slice data)
{
    size_t n = MIN(data.len, buf_room(&r->body));

    r->is_cut = r->is_cut || n < data.len;
    return buf_append(&r->body, data.base, n);
}

/* Returns false when it has ended. */
static bool parse(struct rerun *r)
{
    static struct http_head head; /* large; one at a time */

    for (;;) {
        struct slice data = SLICE_NULL;
        size_t used = 0;
        enum http_event e = http_parse(&r->parser, buf_slice(&r->in), &used, &head, &data);
        int x = 0;

        if (e == HTTP_EVENT_HEAD)
            x = take_head(r, &head);
        else if (e == HTTP_EVENT_DATA)
            x = take_data(r, data);
        buf_consume(&r->in, used);
        if (x < 0 || e == HTTP_EVENT_ERROR) {
            end(r, x < 0 ? "out of memory" : "the answer is no HTTP");
            return false;
        }
        if (e == HTTP_EVENT_END && r->status >= 200) {
            end(r, NULL);
            return false;
        }
        if (e == HTTP_EVENT_END)
            http_parser_next(&r->parser);
        if (e == HTTP_EVENT_MORE)
            return true;
    }
}

static void on_readable(struct rerun *r)
{
    for (;;) {
        ssize_t n = buf_reserve(&r->in, ROUND_BYTES) < 0
                        ? 0
                        : recv(r->fd, buf_tail(&r->in), ROUND_BYTES, MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            loop_io_drained(&r->io, EPOLLIN);
            return;
        }
        if (n <= 0) {
            if (http_parse_eof(&r->parser, buf_len(&r->in) > 0) == HTTP_EVENT_END)
                end(r, NULL);
            else
                end(r, "the connection was cut before the answer was complete");
            return;
        }
        buf_commit(&r->in, (size_t)n);
        if (!parse(r))
            return;
    }
}

static void on_ready(struct loop_io *io)
{
    struct rerun *r = container_of(io, struct rerun, io);

    while (buf_len(&r->out) > 0) {
        ssize_t n =
            send(r->fd, r->out.data + r->out.start, buf_len(&r->out), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break; /* full for now; or gone, as reading will tell */
        buf_consume(&r->out, (size_t)n);
    }
    loop_io_drained(io, EPOLLOUT);
    if (io->ready & EPOLLIN)
        on_readable(r);
}

/* ---- the request ---- */

static int request_write(struct buf *b, const struct rerun_request *q)
{
    int r = buf_append_slice(b, q->head);
    bool may_be_empty =
        slice_starts(q->head, SLICE_LIT("GET ")) || slice_starts(q->head, SLICE_LIT("HEAD "));

    if (r == 0 && !(may_be_empty && q->body.len == 0))
        r = http_write_header_u64(b, "Content-Length", q->body.len);
    if (r == 0)
        r = http_write_header_str(b, "Connection", "close");
    if (r == 0)
        r = http_write_head_end(b);
    return r == 0 ? buf_append_slice(b, q->body) : r;
}

static int rerun_connect(struct rerun *r, struct control *c, const struct rerun_request *q)
{
    struct wire_message m = {.type = WIRE_REPLAY, .n_fds = 1};
    int fds[2], x = sock_pair(SOCK_STREAM, fds);

    if (x < 0)
        return x;
    r->fd = fds[0];
    x = fd_set_nonblock(r->fd, true);
    if (x == 0)
        x = loop_io_add(c->loop, &r->io, r->fd, EPOLLIN | EPOLLOUT, on_ready);
    if (x < 0) {
        (void)fd_close(fds[1]);
        return x;
    }
    m.fds[0] = fds[1];
    m.replay = (struct wire_replay){.trigger = q->trigger, .function = q->function};
    return wire_send(&c->gateway, &m);
}

struct rerun *rerun_start(struct control *c, const struct rerun_request *request,
                          void (*done)(void *ctx, const struct rerun_answer *a), void *ctx)
{
    struct rerun *r = c->loop && wire_is_open(&c->gateway) ? calloc(1, sizeof(*r)) : NULL;

    if (!r)
        return NULL;
    r->fd = -1;
    r->done = done;
    r->ctx = ctx;
    loop_io_init(&r->io);
    buf_init(&r->out, OUT_MAX);
    buf_init(&r->in, IN_MAX);
    buf_init(&r->head, HEAD_MAX);
    buf_init(&r->body, RERUN_BODY_MAX);
    http_parser_init(&r->parser, HTTP_RESPONSE, &limits);
    r->parser.head_request = slice_starts(request->head, SLICE_LIT("HEAD "));
    if (request_write(&r->out, request) < 0 || rerun_connect(r, c, request) < 0 ||
        loop_timer_after(c->loop, &r->timer, TIMEOUT_NS, on_timeout) < 0) {
        rerun_free(r);
        return NULL;
    }
    return r;
}
