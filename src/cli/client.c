#include "cli/client.h"

#include "base/buf.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/paths.h"
#include "os/fd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct call {
    const struct client_request *request;
    const struct client_sink *sink;
    struct http_parser parser;
    struct buf in;
    uint64_t deadline_ns; /* 0 for none */
    int fd;
};

static int call_connect(struct call *c, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n =
        snprintf(address.sun_path, sizeof address.sun_path, "%s" PATHS_SOCKET, c->request->state);

    if (n < 0 || (size_t)n >= sizeof address.sun_path) {
        return error_set(err, -ENAMETOOLONG, "the name of the state folder is too long: %s",
                         c->request->state);
    }
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        return error_set_errno(err, -errno, "socket");
    }
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0) {
        return fd_set_nonblock(c->fd, true);
    }
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR) {
        (void)error_set_errno(err, -errno, "nobody listens at %s", address.sun_path);
        return CLIENT_E_UNREACHABLE;
    }
    return error_set_errno(err, -errno, "cannot reach the daemon at %s", address.sun_path);
}

/* Waits for events on the socket. Returns 0, CLIENT_E_TIMEOUT or -errno. */
static int call_wait(struct call *c, short events, struct error *err)
{
    struct pollfd pollfd = {.fd = c->fd, .events = events};
    int timeout_ms = -1;
    int r;

    if (c->deadline_ns) {
        uint64_t now_ns = clock_now_ns();

        if (now_ns >= c->deadline_ns) {
            (void)error_set(err, 0, "no answer within %.3g s",
                            (double)c->request->timeout_ms / 1000);
            return CLIENT_E_TIMEOUT;
        }
        timeout_ms = (int)MIN((c->deadline_ns - now_ns) / NS_PER_MS + 1, 3600 * 1000);
    }
    r = poll(&pollfd, 1, timeout_ms);
    return r < 0 && errno != EINTR ? error_set_errno(err, -errno, "poll") : 0;
}

/* Takes what the daemon has sent. Returns the number of bytes, 0 at the end, or -errno; -EAGAIN
 * when there is nothing. */
static ssize_t call_receive(struct call *c, struct error *err)
{
    ssize_t n;
    int r;

    r = buf_reserve(&c->in, MIN((size_t)65536, MAX(buf_room(&c->in), 1)));
    if (r < 0) {
        return error_set(err, -EPROTO, "the daemon's answer has too large a head");
    }
    n = recv(c->fd, buf_tail(&c->in), c->in.cap - c->in.end, 0);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? -EAGAIN : error_set_errno(err, -errno, "daemon");
    }
    buf_commit(&c->in, (size_t)n);
    return n;
}

/* Hands on what has arrived. Returns 1 when the answer is complete, 0 when more must come, or a
 * negative result. */
static int call_parse(struct call *c, struct error *err)
{
    static struct http_head head; /* large; one call at a time */

    for (;;) {
        struct slice data = SLICE_NULL;
        size_t used = 0;
        enum http_event event = http_parse(&c->parser, buf_slice(&c->in), &used, &head, &data);
        int r = 0;

        if (event == HTTP_EVENT_HEAD && (head.status >= 200 || head.status == 101)) {
            c->sink->on_head(c->sink->ctx, &head);
        } else if (event == HTTP_EVENT_DATA) {
            r = c->sink->on_data(c->sink->ctx, data);
        } else if (event == HTTP_EVENT_END && head.status >= 200) {
            return 1;
        } else if (event == HTTP_EVENT_END) {
            http_parser_next(&c->parser); /* an answer of the kind 100 Continue */
        } else if (event == HTTP_EVENT_ERROR) {
            r = error_set(err, -EPROTO, "the daemon's answer is not HTTP: %s",
                          c->parser.error_text);
        }
        buf_consume(&c->in, used);
        if (r < 0) {
            return r;
        }
        if (event == HTTP_EVENT_MORE) {
            return 0;
        }
    }
}

static int call_write_head(const struct client_request *request, struct buf *out)
{
    int r;

    r = http_write_request_line(out, slice_str(request->method), slice_str(request->target));
    if (r == 0) {
        r = http_write_header_str(out, "Host", "mayfly");
    }
    if (r == 0) {
        r = http_write_header_str(out, "Connection", "close");
    }
    if (r == 0 && (request->body.len > 0 || strcmp(request->method, "POST") == 0)) {
        r = http_write_header_str(out, "Content-Type", "application/json");
        r = r ?: http_write_header_u64(out, "Content-Length", request->body.len);
    }
    return r ?: http_write_head_end(out);
}

/* Sends what the socket takes. Returns whether all is sent, or never will be: a daemon that wants
 * no more may still answer why. */
static bool call_send(const struct call *c, struct slice parts[2])
{
    for (size_t i = 0; i < 2; i++) {
        while (parts[i].len > 0) {
            ssize_t n = send(c->fd, parts[i].base, parts[i].len, MSG_NOSIGNAL);

            if (n < 0) {
                return errno != EAGAIN && errno != EINTR;
            }
            parts[i] = slice(parts[i].base + n, parts[i].len - (size_t)n);
        }
    }
    return true;
}

/* Sends the request and takes the answer, which may begin before all is sent. */
static int call_exchange(struct call *c, const struct buf *head, struct error *err)
{
    struct slice parts[] = {buf_slice(head), c->request->body};

    for (;;) {
        bool sent = call_send(c, parts);
        ssize_t n;
        int r;

        r = call_wait(c, (short)(POLLIN | (sent ? 0 : POLLOUT)), err);
        if (r != 0) {
            return r;
        }
        n = call_receive(c, err);
        if (n == -EAGAIN) {
            continue;
        }
        if (n < 0) {
            return (int)n;
        }
        if (n == 0) {
            return http_parse_eof(&c->parser, buf_len(&c->in) > 0) == HTTP_EVENT_END
                       ? CLIENT_E_OK
                       : error_set(err, -EPROTO, "the daemon broke off its answer");
        }
        r = call_parse(c, err);
        if (r != 0) {
            return r > 0 ? CLIENT_E_OK : r;
        }
    }
}

int client_call(const struct client_request *request, const struct client_sink *sink,
                struct error *err)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct call c = {
        .request = request, .sink = sink, .fd = -1, .in = BUF_INIT(CLIENT_HEAD_MAX + 65536)};
    struct buf head = BUF_INIT(65536);
    int r;

    limits.head_max = CLIENT_HEAD_MAX;
    limits.n_headers_max = HTTP_HEADERS_MAX;
    http_parser_init(&c.parser, HTTP_RESPONSE, &limits);
    if (request->timeout_ms) {
        c.deadline_ns = clock_now_ns() + request->timeout_ms * NS_PER_MS;
    }
    r = call_write_head(request, &head);
    if (r < 0) {
        (void)error_set_errno(err, r, "the request cannot be written");
    } else {
        r = call_connect(&c, err);
    }
    if (r == 0) {
        r = call_exchange(&c, &head, err);
    }
    c.fd = fd_close(c.fd);
    buf_deinit(&head);
    buf_deinit(&c.in);
    return r;
}
