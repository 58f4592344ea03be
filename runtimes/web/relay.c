/*   gateway --worker_read()--> out --> program
 *   gateway <--worker_write()-- in <-- program
 *
 * Neither direction waits for the other: a program may answer before it has read the body, or
 * never read it. What has come of an answer goes out as soon as there is nothing more to read, so
 * that events are not held back. Each request has a connection of its own: the program sees its
 * client leave when the request is ended, and a server with one thread is not held by a connection
 * on which nothing comes. */

#include "relay.h"

#include "forward.h"
#include "packets.h"

#include "os/fd.h"
#include "os/sock.h"
#include "zygote/zygote.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE_BYTES     65536
#define HEAD_MAX        (256UL * 1024)
#define OUT_MAX         (HEAD_MAX + PIECE_BYTES + 64)
#define IN_MAX          (HEAD_MAX + PIECE_BYTES)
#define CRASH_NOTICE_MS 100
#define EXIT_DEADLINE   124 /* as timeout(1) does */

struct relay {
    struct worker *worker;
    int lease_fd;
    int fd;         /* to the program; -1: none */
    struct buf out; /* for the program */
    struct buf in;  /* from it */
    bool body_ended;
    bool deaf;    /* the program takes no more of the request */
    bool started; /* its answer's head has been passed on */
    bool over;    /* the answer is complete, or has become an error */
    struct http_parser parser;
    const char *waits_for;
    struct http_head head; /* last: large */
};

static struct relay the_relay = {.lease_fd = -1, .fd = -1};

static const struct http_limits answer_limits = {
    .line_max = HEAD_MAX / 2,
    .head_max = HEAD_MAX,
    .n_headers_max = HTTP_HEADERS_MAX,
    .body_max = UINT64_MAX,
};

void relay_init(int lease_fd)
{
    the_relay.lease_fd = lease_fd;
    the_relay.out = BUF_INIT(OUT_MAX);
    the_relay.in = BUF_INIT(IN_MAX);
}

/* Answers with an unhandled error, or breaks the answer off. */
#define refuse(r, type, ...) ((r)->over = true, worker_failf((r)->worker, (type), __VA_ARGS__))

/* ---- the connection ---- */

/* Asks for one, and waits until the program has room. Returns the connection or -errno. */
static int ask_for_connection(struct relay *r)
{
    int pair[2], fds[SOCK_FDS_MAX], result;
    const char letter = WEB_LEASE;
    struct web_reply reply;
    unsigned n_fds = 0;
    ssize_t n;

    result = sock_pair(SOCK_SEQPACKET, pair);
    if (result < 0)
        return result;
    n = sock_send(r->lease_fd, slice(&letter, 1), &pair[1], 1);
    fd_close(pair[1]);
    if (n > 0)
        n = sock_recv(pair[0], &reply, sizeof(reply), fds, &n_fds);
    fd_close(pair[0]);
    if (n == 0)
        return -EAGAIN;
    if (n != sizeof(reply))
        return n < 0 ? (int)n : -EPROTO;
    return n_fds == 1 ? fds[0] : -(reply.error > 0 ? reply.error : EPROTO);
}

static int await_connected(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof(error);

    while (poll(&p, 1, -1) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? -errno : -error;
}

static int connect_to_program(struct relay *r)
{
    int result;

    r->waits_for = "a process of the program that has room for this request";
    result = ask_for_connection(r);
    if (result == -EAGAIN)
        return refuse(r, "Web.Busy", "too many requests wait for the program");
    if (result >= 0) {
        r->fd = result;
        r->waits_for = "the program to take the connection";
        result = await_connected(r->fd);
    }
    if (result < 0)
        return refuse(r, "Web.NotListening", "the program takes no connection: %s",
                      strerrordesc_np(-result));
    return 0;
}

/* Tells the zygote that the program has room again. */
static void disconnect(struct relay *r)
{
    const char letter = WEB_DONE;

    r->fd = fd_close(r->fd);
    (void)sock_send(r->lease_fd, slice(&letter, 1), NULL, 0);
}

/* ---- the request ---- */

/* Takes what is there of the body, without waiting. Returns 1 if there was something, or the end;
 * 0 if not, or -errno. */
static int read_body(struct relay *r)
{
    static char bytes[PIECE_BYTES];
    bool chunked = worker_head(r->worker)->framing == HTTP_BODY_CHUNKED;
    ssize_t n;
    int result;

    result = fd_set_nonblock(ZYGOTE_FD_WORKER, true);
    if (result < 0)
        return result;
    n = worker_read(r->worker, bytes, sizeof(bytes));
    result = fd_set_nonblock(ZYGOTE_FD_WORKER, false);
    if (result < 0 || n == -EAGAIN)
        return MIN(result, 0);
    if (n < 0)
        return (int)n;
    r->body_ended = n == 0;
    if (n == 0)
        result = chunked ? http_write_last_chunk(&r->out) : 0;
    else if (chunked)
        result = http_write_chunk_start(&r->out, (uint64_t)n);
    if (n > 0)
        result = result < 0 ? result : buf_append(&r->out, bytes, (size_t)n);
    if (n > 0 && chunked)
        result = result < 0 ? result : http_write_chunk_end(&r->out);
    return result < 0 ? result : 1;
}

/* Returns 1 if all has gone out, 0 if the program does not take more now. */
static int write_out(struct relay *r)
{
    while (buf_len(&r->out) > 0) {
        struct slice s = buf_slice(&r->out);
        ssize_t n = send(r->fd, s.base, s.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0) { /* it may have answered all the same */
            r->deaf = true;
            buf_clear(&r->out);
            return 1;
        }
        buf_consume(&r->out, (size_t)n);
    }
    return 1;
}

/* Moves as much of the request as goes now. Bytes that the worker library holds already do not show
 * in poll(), so this stops only when it has none. */
static int feed(struct relay *r)
{
    int result = write_out(r);

    while (result == 1 && !r->deaf && !r->body_ended) {
        result = read_body(r);
        if (result == 1)
            result = write_out(r);
    }
    return MIN(result, 0);
}

/* ---- the answer ---- */

static void tunnel(int gateway, int program, struct buf *early) _noreturn_;

static int on_head(struct relay *r)
{
    const struct http_head *head = &r->head;
    bool asked = worker_head(r->worker)->upgrade;
    int result;

    if (head->status == 101 && !asked)
        return refuse(r, "Web.BadAnswer",
                      "the program answered 101 to a request that asks for no "
                      "upgrade");
    if (head->status < 200 && head->status != 101)
        return 0; /* the gateway has told what there is to tell */
    result = worker_start(r->worker, head->status, head->headers, head->n_headers,
                          head->has_content_length ? (int64_t)head->content_length
                          : head->framing == HTTP_BODY_NONE && head->status != 304 ? 0
                                                                                   : -1);
    r->started = true;
    r->waits_for = "the rest of the program's answer";
    return result == -EINVAL
               ? refuse(r, "Web.BadAnswer", "the program answered with status %u", head->status)
               : result;
}

static int broken_off(struct relay *r)
{
    /* If it has crashed, the zygote ends, and we with it: then that is what the client is told. */
    if (!r->started)
        (void)poll(NULL, 0, CRASH_NOTICE_MS);
    return refuse(r, "Web.BadAnswer",
                  r->started ? "the program broke its answer off"
                             : "the program closed the connection without an answer");
}

/* Passes on what has been read. Returns 0 or -errno. */
static int parse_in(struct relay *r)
{
    int result = 0;

    while (result == 0 && !r->over) {
        struct slice data = SLICE_NULL;
        size_t used = 0;
        enum http_event event = http_parse(&r->parser, buf_slice(&r->in), &used, &r->head, &data);

        if (event == HTTP_EVENT_HEAD)
            result = on_head(r);
        else if (event == HTTP_EVENT_DATA)
            result = worker_write(r->worker, data.base, data.len);
        else if (event == HTTP_EVENT_ERROR)
            result = refuse(r, "Web.BadAnswer", "the program's answer is not HTTP: %s",
                            r->parser.error_text);
        buf_consume(&r->in, used);
        if (event == HTTP_EVENT_HEAD && r->head.status == 101 && !r->over && result == 0) {
            result = worker_upgrade(r->worker);
            if (result >= 0)
                tunnel(result, r->fd, &r->in);
        }
        if (event == HTTP_EVENT_END && r->started) {
            r->over = true;
            result = worker_finish(r->worker);
        } else if (event == HTTP_EVENT_END) {
            http_parser_next(&r->parser); /* behind a 1xx */
        }
        if (event == HTTP_EVENT_MORE)
            break;
    }
    return result;
}

static int on_eof(struct relay *r)
{
    if (!r->started || http_parse_eof(&r->parser, buf_len(&r->in) > 0) != HTTP_EVENT_END)
        return broken_off(r);
    r->over = true;
    return worker_finish(r->worker);
}

/* Reads until there is nothing more now; then what has come goes out. */
static int read_answer(struct relay *r)
{
    int result = 0;

    while (result == 0 && !r->over) {
        ssize_t n;

        result = buf_reserve(&r->in, PIECE_BYTES);
        if (result < 0)
            return result;
        n = recv(r->fd, buf_tail(&r->in), PIECE_BYTES, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return r->started ? worker_flush(r->worker) : 0;
        if (n <= 0)
            return on_eof(r); /* a reset ends what had no length, too */
        buf_commit(&r->in, (size_t)n);
        result = parse_in(r);
    }
    return result;
}

/* ---- after a 101 ---- */

struct direction {
    int from, to;
    struct buf bytes;
    bool ended;  /* nothing more will come */
    bool closed; /* and that is told */
};

/* Returns false when the connection is of no use any more. */
static bool move(struct direction *d)
{
    ssize_t n = 0;

    if (!d->ended && buf_len(&d->bytes) == 0 && buf_reserve(&d->bytes, PIECE_BYTES) == 0) {
        n = recv(d->from, buf_tail(&d->bytes), PIECE_BYTES, MSG_DONTWAIT);
        if (n > 0)
            buf_commit(&d->bytes, (size_t)n);
        d->ended = n == 0;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
    }
    if (buf_len(&d->bytes) > 0) {
        struct slice s = buf_slice(&d->bytes);

        n = send(d->to, s.base, s.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            buf_consume(&d->bytes, (size_t)n);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
    }
    if (d->ended && buf_len(&d->bytes) == 0 && !d->closed) {
        (void)shutdown(d->to, SHUT_WR);
        d->closed = true;
    }
    return true;
}

static void tunnel(int gateway, int program, struct buf *early)
{
    struct direction in = {.from = gateway, .to = program, .bytes = BUF_INIT(2UL * PIECE_BYTES)};
    struct direction out = {.from = program, .to = gateway, .bytes = *early};

    the_relay.waits_for = "either side of a connection that was upgraded";
    while (move(&in) && move(&out) && !(in.closed && out.closed)) {
        bool in_full = buf_len(&in.bytes) > 0, out_full = buf_len(&out.bytes) > 0;
        struct pollfd fds[] = {
            {.fd = gateway,
             .events = (short)((in.ended || in_full ? 0 : POLLIN) | (out_full ? POLLOUT : 0))},
            {.fd = program,
             .events = (short)((out.ended || out_full ? 0 : POLLIN) | (in_full ? POLLOUT : 0))},
        };

        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
            if (fds[i].events == 0)
                fds[i].fd = -1; /* else a peer that is gone would wake us for nothing */
        }
        if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
            break;
    }
    _exit(EXIT_SUCCESS);
}

/* ---- one request ---- */

static int step(struct relay *r)
{
    bool full = buf_len(&r->out) > 0, more = !r->body_ended && !r->deaf;
    struct pollfd fds[] = {
        {.fd = more && !full ? ZYGOTE_FD_WORKER : -1, .events = POLLIN},
        {.fd = r->fd, .events = (short)(POLLIN | (full ? POLLOUT : 0))},
    };
    int result = 0;

    if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
        return errno == EINTR ? 0 : -errno;
    if (fds[1].revents & ~POLLOUT)
        result = read_answer(r);
    if (result == 0 && !r->over && (fds[0].revents || (fds[1].revents & POLLOUT)))
        result = feed(r);
    return result;
}

static int carry(struct relay *r)
{
    int result = forward_head(&r->out, worker_head(r->worker));

    if (result < 0)
        return refuse(r, "Web.BadRequest", "the request's headers are too big");
    r->body_ended = worker_head(r->worker)->framing == HTTP_BODY_NONE;
    r->waits_for = "the program's answer";
    result = feed(r);
    while (result == 0 && !r->over)
        result = step(r);
    return result;
}

int relay_serve(struct worker *w)
{
    struct relay *r = &the_relay;
    int result;

    r->worker = w;
    r->body_ended = r->deaf = r->started = r->over = false;
    buf_clear(&r->out);
    buf_clear(&r->in);
    http_parser_init(&r->parser, HTTP_RESPONSE, &answer_limits);
    r->parser.head_request = slice_eq(worker_head(w)->method, SLICE_LIT("HEAD"));
    result = connect_to_program(r);
    if (result == 0 && !r->over)
        result = carry(r);
    disconnect(r);
    return result;
}

void relay_on_deadline(int signal)
{
    static const char mark[] = WORKER_STACK_MARK "waiting for ";
    const char *what = the_relay.waits_for ? the_relay.waits_for : "a request";

    (void)!write(STDERR_FILENO, mark, sizeof(mark) - 1);
    (void)!write(STDERR_FILENO, what, strlen(what));
    (void)!write(STDERR_FILENO, "\n", 1);
    _exit(EXIT_DEADLINE);
}
