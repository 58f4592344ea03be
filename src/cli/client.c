#include "cli/client.h"

#include "base/buf.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/paths.h"
#include "os/fd.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct client {
    const struct client_request *request;
    const struct client_sink *sink;
    struct http_parser parser;
    struct http_head head;
    struct buf in;
    struct buf out; /* head and body of the request */
    int fd;
};

/* ---- connecting ---- */

static int connect_local(struct client *c, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *state = c->request->peer->state;
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s" PATHS_SOCKET, state);

    if (n < 0 || (size_t)n >= sizeof address.sun_path)
        return error_set(err, -ENAMETOOLONG, "the name of the state folder is too long: %s", state);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return error_set_errno(err, -errno, "socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd_set_nonblock(c->fd, true);
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR) {
        (void)error_set_errno(err, -errno, "nobody listens at %s", address.sun_path);
        return CLIENT_E_UNREACHABLE;
    }
    return error_set_errno(err, -errno, "cannot reach the daemon at %s", address.sun_path);
}

/* Tries one address of the listener. Returns the socket or -errno. */
static int connect_address(const struct addrinfo *info)
{
    _cleanup_close_ int fd =
        socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, info->ai_protocol);
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int result = 0, one = 1;
    socklen_t size = sizeof result;

    if (fd < 0)
        return -errno;
    if (connect(fd, info->ai_addr, info->ai_addrlen) < 0) {
        if (errno != EINPROGRESS)
            return -errno;
        if (poll(&wait, 1, CLIENT_CONNECT_MAX_MS) <= 0)
            return -ETIMEDOUT;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &size) < 0)
            return -errno;
        if (result)
            return -result;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* only makes it quicker */
    return take_fd(&fd);
}

static int connect_remote(struct client *c, struct error *err)
{
    const struct client_peer *peer = c->request->peer;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int r;

    r = getaddrinfo(peer->host, peer->port, &hints, &list);
    if (r != 0) {
        (void)error_set(err, 0, "%s: %s", peer->host, gai_strerror(r));
        return CLIENT_E_UNREACHABLE;
    }
    r = -EADDRNOTAVAIL;
    for (struct addrinfo *info = list; info; info = info->ai_next) {
        r = connect_address(info);
        if (r >= 0)
            break;
    }
    freeaddrinfo(list);
    if (r < 0) {
        (void)error_set_errno(err, r, "cannot reach a daemon at %s, port %s", peer->host,
                              peer->port);
        return CLIENT_E_UNREACHABLE;
    }
    c->fd = r;
    return 0;
}

/* ---- the request ---- */

static int write_host(const struct client_peer *peer, struct buf *out)
{
    bool is_v6 = peer->host && strchr(peer->host, ':');
    _cleanup_free_ char *host = NULL;

    if (!peer->host)
        return http_write_header_str(out, "Host", "mayfly");
    host = cli_printf("%s%s%s:%s", is_v6 ? "[" : "", peer->host, is_v6 ? "]" : "", peer->port);
    return http_write_header_str(out, "Host", host);
}

static int write_token(const struct client_peer *peer, struct buf *out)
{
    _cleanup_free_ char *value = NULL;

    if (!peer->token)
        return 0;
    value = cli_printf("Bearer %s", peer->token);
    return http_write_header_str(out, "Authorization", value);
}

static int write_request(const struct client_request *request, struct buf *out)
{
    bool has_body = request->body.len > 0 || strcmp(request->method, "POST") == 0;
    int r;

    r = http_write_request_line(out, slice_str(request->method), slice_str(request->target));
    r = r ?: write_host(request->peer, out);
    r = r ?: write_token(request->peer, out);
    r = r ?: http_write_header_str(out, "Connection", "close");
    if (r == 0 && has_body) {
        r = http_write_header_str(out, "Content-Type", "application/json");
        r = r ?: http_write_header_u64(out, "Content-Length", request->body.len);
    }
    if (r == 0 && request->header)
        r = http_write_header_str(out, request->header, request->value);
    r = r ?: http_write_head_end(out);
    return r ?: buf_append_slice(out, request->body);
}

/* ---- the answer ---- */

/* Takes what the daemon has sent. Returns the number of bytes, 0 at the end, or -errno; -EAGAIN
 * when there is nothing. */
static ssize_t receive(struct client *c, struct error *err)
{
    ssize_t n;

    if (buf_reserve(&c->in, MIN((size_t)65536, MAX(buf_room(&c->in), 1))) < 0)
        return error_set(err, -EPROTO, "the daemon's answer has too large a head");
    n = recv(c->fd, buf_tail(&c->in), c->in.cap - c->in.end, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -EAGAIN : error_set_errno(err, -errno, "daemon");
    buf_commit(&c->in, (size_t)n);
    return n;
}

/* Hands on what has arrived. Returns CLIENT_E_OK when the answer is complete, CLIENT_E_MORE, or a
 * negative result. */
static int parse(struct client *c, struct error *err)
{
    for (;;) {
        struct slice data = SLICE_NULL;
        size_t used = 0;
        enum http_event event = http_parse(&c->parser, buf_slice(&c->in), &used, &c->head, &data);
        int r = 0;

        if (event == HTTP_EVENT_HEAD && (c->head.status >= 200 || c->head.status == 101))
            c->sink->on_head(c->sink->ctx, &c->head);
        else if (event == HTTP_EVENT_DATA)
            r = c->sink->on_data(c->sink->ctx, data);
        else if (event == HTTP_EVENT_END && c->head.status >= 200)
            return CLIENT_E_OK;
        else if (event == HTTP_EVENT_END)
            http_parser_next(&c->parser); /* an answer of the kind 100 Continue */
        else if (event == HTTP_EVENT_ERROR)
            r = error_set(err, -EPROTO, "the daemon's answer is not HTTP: %s",
                          c->parser.error_text);
        buf_consume(&c->in, used);
        if (r < 0)
            return r;
        if (event == HTTP_EVENT_MORE)
            return CLIENT_E_MORE;
    }
}

/* Sends what the socket takes. A daemon that wants no more may still answer why. */
static void send_some(struct client *c)
{
    while (buf_len(&c->out) > 0) {
        struct slice rest = buf_slice(&c->out);
        ssize_t n = send(c->fd, rest.base, rest.len, MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        buf_consume(&c->out, n < 0 ? rest.len : (size_t)n);
    }
}

int client_step(struct client *c, struct error *err)
{
    ssize_t n;

    send_some(c);
    n = receive(c, err);
    if (n == -EAGAIN)
        return CLIENT_E_MORE;
    if (n < 0)
        return (int)n;
    if (n > 0)
        return parse(c, err);
    return http_parse_eof(&c->parser, buf_len(&c->in) > 0) == HTTP_EVENT_END
               ? CLIENT_E_OK
               : error_set(err, -EPROTO, "the daemon broke off its answer");
}

/* ---- the whole ---- */

int client_open(const struct client_request *request, const struct client_sink *sink,
                struct client **ret, struct error *err)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct client *c = cli_check(calloc(1, sizeof *c));
    int r;

    c->request = request;
    c->sink = sink;
    c->fd = -1;
    c->in = BUF_INIT(CLIENT_HEAD_MAX + 65536);
    c->out = BUF_INIT(65536 + request->body.len);
    limits.head_max = CLIENT_HEAD_MAX;
    limits.n_headers_max = HTTP_HEADERS_MAX;
    http_parser_init(&c->parser, HTTP_RESPONSE, &limits);
    r = write_request(request, &c->out);
    if (r < 0)
        (void)error_set_errno(err, r, "the request cannot be written");
    else
        r = request->peer->state ? connect_local(c, err) : connect_remote(c, err);
    if (r != 0) {
        (void)client_close(c);
        return r;
    }
    *ret = c;
    return 0;
}

int client_fd(const struct client *c)
{
    return c->fd;
}

short client_events(const struct client *c)
{
    return (short)(POLLIN | (buf_len(&c->out) > 0 ? POLLOUT : 0));
}

struct client *client_close(struct client *c)
{
    if (c) {
        (void)fd_close(c->fd);
        buf_deinit(&c->in);
        buf_deinit(&c->out);
        free(c);
    }
    return NULL;
}

/* Waits until client_step() may do something. Returns 0, CLIENT_E_TIMEOUT or -errno. */
static int wait_for(struct client *c, uint64_t deadline_ns, struct error *err)
{
    struct pollfd pollfd = {.fd = c->fd, .events = client_events(c)};
    int timeout_ms = -1;

    if (deadline_ns) {
        uint64_t now_ns = clock_now_ns();

        if (now_ns >= deadline_ns) {
            (void)error_set(err, 0, "no answer within %.3g s",
                            (double)c->request->timeout_ms / 1000);
            return CLIENT_E_TIMEOUT;
        }
        timeout_ms = (int)MIN((deadline_ns - now_ns) / NS_PER_MS + 1, 3600 * 1000);
    }
    if (poll(&pollfd, 1, timeout_ms) < 0 && errno != EINTR)
        return error_set_errno(err, -errno, "poll");
    return 0;
}

int client_call(const struct client_request *request, const struct client_sink *sink,
                struct error *err)
{
    uint64_t deadline_ns = 0;
    struct client *c = NULL;
    int r;

    if (request->timeout_ms)
        deadline_ns = clock_now_ns() + request->timeout_ms * NS_PER_MS;
    r = client_open(request, sink, &c, err);
    if (r != 0)
        return r;
    do {
        send_some(c);
        r = wait_for(c, deadline_ns, err);
        if (r == 0)
            r = client_step(c, err);
    } while (r == CLIENT_E_MORE);
    (void)client_close(c);
    return r;
}
