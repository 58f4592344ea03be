/* The answer is held back as long as it may be: head and body go out in one write with an exact
 * Content-Length if the body fits the buffer, and only a longer or a flushed one is chunked. */

#include "zygote/worker.h"

#include "base/utf8.h"
#include "zygote/zygote-internal.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_BYTES_MAX   (1024 * 1024) /* a head with long headers, or pieces of body */
#define READ_BYTES     16384
#define OUT_HEAD_MAX   (256 * 1024)
#define OUT_BODY_BYTES 65536 /* written out when it would be exceeded */
#define NO_SECRETS     "mayfly: the secrets are lost: the function closed their descriptor\n"

enum answer {
    ANSWER_NONE,    /* nothing said yet */
    ANSWER_STARTED, /* worker_start() was called, the head is still here */
    ANSWER_SENT,    /* the head has gone out */
    ANSWER_DONE,
};

struct worker {
    int fd;
    bool is_touch;         /* a rehearsal: nothing goes out */
    bool is_upgraded;      /* fd is the program's own */
    int recv_flags;        /* MSG_DONTWAIT in worker_read_now() */
    struct buf in;         /* received and not yet used */
    struct buf head_bytes; /* what the slices of head point into */
    struct http_parser parser;
    struct slice piece; /* of the request's body, parsed but not taken */
    size_t piece_used;  /* bytes at the front of `in` that go when the piece is taken */
    bool body_ended;

    enum answer answer;
    struct buf out_head; /* status line and headers, without the framing */
    struct buf out_body;
    int suspect;            /* errno that an error may come from */
    struct limit_use limit; /* or the limit, if it is known */
    bool chunked;
    bool bodyless;    /* HEAD, 1xx, 204, 304 */
    int64_t length;   /* announced, or -1 */
    uint64_t written; /* of the body, by the function */

    struct http_head head; /* last: it ends in room for headers that are seldom all there */
};

static const struct http_limits worker_limits = {
    .line_max = IN_BYTES_MAX / 2,
    .head_max = IN_BYTES_MAX / 2,
    .n_headers_max = HTTP_HEADERS_MAX,
    .body_max = UINT64_MAX,
};

/* ---- the request ---- */

/* Reads more bytes. Returns their number, 0 at the end, or -errno. */
static ssize_t fill(struct worker *w)
{
    ssize_t n;
    int r;

    r = buf_reserve(&w->in, READ_BYTES);
    if (r < 0)
        return r;
    do {
        n = recv(w->fd, buf_tail(&w->in), READ_BYTES, w->recv_flags);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? 0 : -errno;
    buf_commit(&w->in, (size_t)n);
    return n;
}

/* The head's bytes must stay where they are while the function looks at them, but reading the body
 * moves `in`: so they change places with the buffer of the head before. */
static int set_head_aside(struct worker *w, size_t used)
{
    struct buf head = w->in;

    w->in = w->head_bytes;
    w->head_bytes = head;
    buf_clear(&w->in);
    return buf_append(&w->in, head.data + head.start + used, buf_len(&head) - used);
}

/* Waits for the next request's head. Returns 1, 0 if there will be none, or -errno. */
static int next_request(struct worker *w)
{
    for (;;) {
        enum http_event event;
        struct slice data;
        size_t used = 0;
        ssize_t n;

        event = http_parse(&w->parser, buf_slice(&w->in), &used, &w->head, &data);
        if (event == HTTP_EVENT_HEAD) {
            int r = set_head_aside(w, used);

            return r < 0 ? r : 1;
        }
        if (event != HTTP_EVENT_MORE)
            return -EPROTO;
        buf_consume(&w->in, used);
        n = fill(w);
        if (n <= 0)
            return (int)n;
    }
}

const struct http_head *worker_head(const struct worker *w)
{
    return &w->head;
}

/* Makes the piece not empty, or the body ended. Returns 0 or -errno. */
static int next_piece(struct worker *w)
{
    while (w->piece.len == 0 && !w->body_ended) {
        enum http_event event;
        size_t used = 0;
        ssize_t n;

        buf_consume(&w->in, w->piece_used);
        w->piece_used = 0;
        event = http_parse(&w->parser, buf_slice(&w->in), &used, &w->head, &w->piece);
        if (event == HTTP_EVENT_DATA) {
            w->piece_used = used;
            return 0;
        }
        buf_consume(&w->in, used);
        if (event == HTTP_EVENT_END) {
            w->body_ended = true;
            return 0;
        }
        if (event != HTTP_EVENT_MORE)
            return -EPROTO;
        n = fill(w);
        if (n <= 0)
            return n < 0 ? (int)n : -EPIPE;
    }
    return 0;
}

ssize_t worker_read(struct worker *w, void *dst, size_t size)
{
    size_t n;
    int r;

    if (w->is_touch || size == 0)
        return 0;
    r = next_piece(w);
    if (r < 0)
        return r;
    if (w->piece.len == 0)
        return 0;
    n = MIN(size, w->piece.len);
    memcpy(dst, w->piece.base, n);
    w->piece.base += n;
    w->piece.len -= n;
    return (ssize_t)n;
}

ssize_t worker_read_now(struct worker *w, void *dst, size_t size)
{
    ssize_t n;

    w->recv_flags = MSG_DONTWAIT;
    n = worker_read(w, dst, size);
    w->recv_flags = 0;
    return n;
}

static short poll_now(const struct worker *w, short events)
{
    struct pollfd p = {.fd = w->fd, .events = events};

    return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

bool worker_is_writable(const struct worker *w)
{
    return w->is_touch || poll_now(w, POLLOUT) != 0; /* an error is for the write to tell */
}

bool worker_is_hung_up(const struct worker *w)
{
    return !w->is_touch && (poll_now(w, POLLRDHUP) & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* Reads what the function left of the body, so that the next request is found behind it. */
static int skip_body(struct worker *w)
{
    while (!w->body_ended) {
        int r;

        w->piece = SLICE_NULL;
        r = next_piece(w);
        if (r < 0)
            return r;
    }
    buf_consume(&w->in, w->piece_used);
    w->piece_used = 0;
    return 0;
}

/* ---- the answer ---- */

static bool is_gateways_header(struct slice name)
{
    return slice_eq_nocase(name, SLICE_LIT("content-length")) || http_is_hop_header(name);
}

int worker_start(struct worker *w, unsigned status, const struct http_header *headers, size_t n,
                 int64_t content_length)
{
    bool upgrade = status == 101;
    int r;

    assert(w->answer == ANSWER_NONE || w->answer == ANSWER_STARTED);
    if (status < 100 || status > 599 || (status < 200 && !upgrade))
        return -EINVAL;
    buf_clear(&w->out_head);
    buf_clear(&w->out_body);
    r = http_write_status_line(&w->out_head, status, SLICE_NULL);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (upgrade ? slice_eq_nocase(headers[i].name, SLICE_LIT("connection"))
                    : is_gateways_header(headers[i].name))
            continue;
        r = http_write_header(&w->out_head, headers[i].name, headers[i].value);
    }
    if (r == 0 && upgrade)
        r = http_write_header_str(&w->out_head, "Connection", "Upgrade");
    if (r < 0)
        return r;
    w->bodyless =
        upgrade || status == 204 || status == 304 || slice_eq(w->head.method, SLICE_LIT("HEAD"));
    w->length = content_length;
    w->written = 0;
    w->chunked = false;
    w->answer = ANSWER_STARTED;
    return 0;
}

bool worker_is_started(const struct worker *w)
{
    return w->answer != ANSWER_NONE;
}

static int write_all(struct worker *w, struct iovec *iov, int n_iov)
{
    while (n_iov > 0 && !w->is_touch) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n_iov};
        ssize_t n = sendmsg(w->fd, &msg, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == ECONNRESET ? -EPIPE : -errno;
        while (n_iov > 0 && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            n_iov--;
        }
        if (n_iov > 0) {
            iov->iov_base = (char *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static int end_head(struct worker *w, bool whole)
{
    bool known = w->length >= 0 || whole;
    int r = 0;

    if (!w->bodyless && known)
        r = http_write_header_u64(&w->out_head, "Content-Length",
                                  w->length >= 0 ? (uint64_t)w->length : w->written);
    else if (w->bodyless && w->length >= 0)
        r = http_write_header_u64(&w->out_head, "Content-Length", (uint64_t)w->length);
    else if (!w->bodyless)
        r = http_write_header_str(&w->out_head, "Transfer-Encoding", "chunked");
    w->chunked = !w->bodyless && !known;
    return r < 0 ? r : http_write_head_end(&w->out_head);
}

/* Sends what is held back: the head if it has not gone, the body's bytes, and with `last` the end.
 */
static int send_out(struct worker *w, bool last)
{
    struct slice body = buf_slice(&w->out_body), head;
    struct iovec iov[3];
    int r = 0, n = 0;

    if (w->answer == ANSWER_STARTED)
        r = end_head(w, last);
    if (r == 0 && w->chunked && body.len > 0)
        r = http_write_chunk_start(&w->out_head, body.len);
    if (r < 0)
        return r;
    head = buf_slice(&w->out_head);
    if (head.len > 0)
        iov[n++] = (struct iovec){(void *)(uintptr_t)head.base, head.len};
    if (body.len > 0)
        iov[n++] = (struct iovec){(void *)(uintptr_t)body.base, body.len};
    if (w->chunked && last)
        iov[n++] =
            body.len > 0 ? (struct iovec){"\r\n0\r\n\r\n", 7} : (struct iovec){"0\r\n\r\n", 5};
    else if (w->chunked && body.len > 0)
        iov[n++] = (struct iovec){"\r\n", 2};
    r = write_all(w, iov, n);
    buf_clear(&w->out_head);
    buf_clear(&w->out_body);
    w->answer = last ? ANSWER_DONE : ANSWER_SENT;
    return r;
}

int worker_write(struct worker *w, const void *data, size_t len)
{
    const char *p = data;
    int r;

    assert(w->answer == ANSWER_STARTED || w->answer == ANSWER_SENT);
    if (w->length >= 0 && len > (uint64_t)w->length - w->written)
        return -EMSGSIZE;
    w->written += len;
    if (w->bodyless)
        return 0;
    while (len > 0) {
        size_t n = MIN(len, buf_room(&w->out_body));

        r = buf_append(&w->out_body, p, n);
        if (r < 0)
            return r;
        p += n;
        len -= n;
        if (len > 0) {
            r = send_out(w, false);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

int worker_flush(struct worker *w)
{
    if (w->answer == ANSWER_SENT && buf_len(&w->out_body) == 0)
        return 0;
    return send_out(w, false);
}

int worker_finish(struct worker *w)
{
    if (w->answer == ANSWER_DONE)
        return 0;
    if (w->length >= 0 && !w->bodyless && w->written < (uint64_t)w->length)
        return -EMSGSIZE;
    return send_out(w, true);
}

int worker_answer(struct worker *w, unsigned status, const struct http_header *headers, size_t n,
                  struct slice body)
{
    int r = worker_start(w, status, headers, n, (int64_t)body.len);

    if (r == 0)
        r = worker_write(w, body.base, body.len);
    return r == 0 ? worker_finish(w) : r;
}

int worker_upgrade(struct worker *w)
{
    int r = worker_flush(w);

    w->is_upgraded = true;
    return r < 0 ? r : w->fd;
}

struct slice worker_unread(const struct worker *w)
{
    struct slice in = buf_slice(&w->in);

    return slice(in.base + w->piece_used, in.len - w->piece_used);
}

/* ---- errors ---- */

int worker_json_string(struct buf *b, struct slice s)
{
    return utf8_write_json(b, s);
}

int worker_error_json(struct buf *b, const char *type, const char *message, const char *stack)
{
    int r = buf_append_str(b, "{\"errorType\": ");

    if (r == 0)
        r = utf8_write_json(b, slice_str(type));
    if (r == 0)
        r = buf_append_str(b, ", \"errorMessage\": ");
    if (r == 0)
        r = utf8_write_json(b, slice_str(message));
    if (r == 0)
        r = buf_append_str(b, ", \"stackTrace\": [");
    for (bool first = true; r == 0 && stack && *stack; first = false) {
        const char *end = strchrnul(stack, '\n');

        if (!first)
            r = buf_append_str(b, ", ");
        if (r == 0)
            r = utf8_write_json(b, slice(stack, (size_t)(end - stack)));
        stack = *end ? end + 1 : end;
    }
    return r == 0 ? buf_append_str(b, "]}") : r;
}

void worker_suspect(struct worker *w, int error)
{
    w->suspect = error;
}

void worker_suspect_child(struct worker *w, int code, int status, const struct rusage *usage)
{
    (void)limits_of_child(code, status, usage, &w->limit);
}

static int error_body(const struct limit_use *limit, struct slice json, struct buf *ret_body,
                      char ret_limit[static LIMIT_WORDS_MAX])
{
    int r = secrets_redact(json, ret_body);

    *ret_limit = '\0';
    if (limit->hit != LIMIT_HIT_NONE)
        (void)limit_use_write(limit, ret_limit);
    if (r == 0)
        return buf_append_slice(ret_body, json);
    if (r < 0)
        buf_clear(ret_body);
    return r < 0 ? buf_append_str(ret_body, WORKER_ERROR_WITHHELD) : 0;
}

static_assert(WORKER_LIMIT_MAX == LIMIT_WORDS_MAX, "the same words");

int worker_error_body(int error, struct slice json, struct buf *ret_body,
                      char ret_limit[static WORKER_LIMIT_MAX])
{
    struct limit_use limit = {.hit = LIMIT_HIT_NONE};

    (void)limits_find(error, &limit);
    return error_body(&limit, json, ret_body, ret_limit);
}

int worker_fail(struct worker *w, struct slice json)
{
    char limit[LIMIT_WORDS_MAX] = "";
    struct http_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/json")},
        {SLICE_LIT("Mayfly-Error"), SLICE_LIT("Unhandled")},
        {SLICE_LIT("Mayfly-Limit"), SLICE_NULL},
    };
    struct buf b = BUF_INIT(SIZE_MAX);
    int r;

    if (w->limit.hit == LIMIT_HIT_NONE)
        (void)limits_find(w->suspect, &w->limit);
    if (w->answer == ANSWER_SENT) {
        /* Too late: a broken-off answer is all that can still tell, and the log. */
        worker_tell_limit(w->suspect);
        return -EPIPE;
    }
    w->answer = ANSWER_NONE;
    r = error_body(&w->limit, json, &b, limit);
    headers[2].value = slice_str(limit);
    r = worker_answer(w, 500, headers, ARRAY_SIZE(headers) - (*limit == '\0'),
                      r < 0 ? SLICE_LIT(WORKER_ERROR_WITHHELD) : buf_slice(&b));
    buf_deinit(&b);
    return r;
}

int worker_fail_text(struct worker *w, const char *type, const char *message, const char *stack)
{
    struct buf b = BUF_INIT(OUT_HEAD_MAX);
    int r = worker_error_json(&b, type, message, stack);

    if (r == 0)
        r = worker_fail(w, buf_slice(&b));
    buf_deinit(&b);
    return r;
}

int worker_failf(struct worker *w, const char *type, const char *format, ...)
{
    char message[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return worker_fail_text(w, type, message, "");
}

/* ---- life ---- */

static void begin(struct worker *w)
{
    http_parser_next(&w->parser);
    w->answer = ANSWER_NONE;
    w->suspect = 0;
    w->limit.hit = LIMIT_HIT_NONE;
    w->piece = SLICE_NULL;
    w->body_ended = false;
}

int worker_touch_begin(struct worker *w, struct slice request)
{
    (void)buf_append_slice(&w->in, request);
    w->is_touch = true;
    return next_request(w) == 1 ? 0 : -EPROTO;
}

void worker_touch_end(struct worker *w)
{
    w->is_touch = false;
    buf_clear(&w->in);
    (void)buf_reserve(&w->in, READ_BYTES);
    buf_tail(&w->in)[0] = '\0';
    begin(w);
}

/* What every request touches: the buffers, the parser and the writer. */
static void rehearse(struct worker *w, const struct zygote_host *host, void *ctx)
{
    static const char request[] = "GET /?a=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";

    if (worker_touch_begin(w, slice(request, sizeof(request) - 1)) == 0 && host->touch)
        host->touch(ctx, w);
    if (w->answer == ANSWER_NONE)
        (void)worker_answer(w, 200, NULL, 0, SLICE_LIT("touched"));
    worker_touch_end(w);
}

/* Whether somebody waits already: then a rehearsal would only delay the performance. */
static bool request_waits(const struct worker *w)
{
    return poll_now(w, POLLIN) != 0;
}

static struct worker the_worker __attribute__((aligned(4096))); /* one page, as a rule */

void worker_begin(const struct zygote_host *host, void *ctx)
{
    if (secrets_take(host, ctx) < 0) {
        (void)!write(STDERR_FILENO, NO_SECRETS, sizeof(NO_SECRETS) - 1);
        _exit(EXIT_FAILURE);
    }
    if (host->after_fork)
        host->after_fork(ctx);
}

struct worker *worker_open(void)
{
    struct worker *w = &the_worker;

    /* The rest is zero, and pages that nobody writes to cost nothing. */
    w->fd = ZYGOTE_FD_WORKER;
    buf_init(&w->in, IN_BYTES_MAX);
    buf_init(&w->head_bytes, IN_BYTES_MAX);
    buf_init(&w->out_head, OUT_HEAD_MAX);
    buf_init(&w->out_body, OUT_BODY_BYTES);
    http_parser_init(&w->parser, HTTP_REQUEST, &worker_limits);
    begin(w);
    return w;
}

int worker_next_now(struct worker *w)
{
    int r;

    w->recv_flags = MSG_DONTWAIT;
    r = next_request(w);
    w->recv_flags = 0;
    return r;
}

void worker_run(const struct zygote_host *host, void *ctx, enum isolation isolation)
{
    struct worker *w = worker_open();
    int r;

    worker_begin(host, ctx);
    if (!request_waits(w))
        rehearse(w, host, ctx);
    do {
        begin(w);
        r = next_request(w);
        errno = 0; /* what a crash finds in there is then of this request */
        if (r > 0)
            r = host->serve(ctx, w);
        else if (r == 0)
            _exit(EXIT_SUCCESS); /* a standby that is not needed any more */
        if (r == 0 && isolation == ISOLATION_INSTANCE && !w->is_upgraded)
            r = skip_body(w);
    } while (r == 0 && isolation == ISOLATION_INSTANCE && !w->is_upgraded);
    _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
