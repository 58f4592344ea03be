#include "gateway/client.h"
#include "gateway/invocation.h"
#include "gateway/recorder.h"
#include "gateway/request.h"
#include "gateway/rules.h"
#include "gateway/worker.h"

#include "base/log.h"
#include "base/sm.h"
#include "base/utf8.h"
#include "model/failure.h"
#include "os/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define IN_BYTES_MAX    (1024 * 1024) /* the configurable head_max stays below */
#define OUT_BYTES_MAX   (4 * 1024 * 1024)
#define ROUND_BYTES_MAX (256 * 1024) /* read from one client before others have their turn */

static const struct sm_state client_states[_CLIENT_STATE_MAX] = {
    [CLIENT_HEAD] = {"head", SM_TO(CLIENT_BUSY) | SM_TO(CLIENT_LINGER) | SM_TO(CLIENT_CLOSED)},
    [CLIENT_BUSY] = {"busy", SM_TO(CLIENT_HEAD) | SM_TO(CLIENT_TUNNEL) | SM_TO(CLIENT_LINGER) |
                                 SM_TO(CLIENT_CLOSED)},
    [CLIENT_TUNNEL] = {"tunnel", SM_TO(CLIENT_LINGER) | SM_TO(CLIENT_CLOSED)},
    [CLIENT_LINGER] = {"linger", SM_TO(CLIENT_CLOSED)},
    [CLIENT_CLOSED] = {"closed", 0},
};

static void on_client_ready(struct loop_io *io);
static void client_read(struct client *c);
static void client_settle(struct client *c);

/* ---- timers: which wait is limited depends on the state alone ---- */

static void client_arm(struct client *c, uint64_t delay_ns);

static int unsent(const struct client *c)
{
    int n = 0;

    return ioctl(c->fd, SIOCOUTQ, &n) == 0 ? n : 0;
}

static void watch_stall(struct client *c)
{
    c->stalled = true;
    c->unsent_seen = unsent(c);
    client_arm(c, c->gateway->settings.write_timeout_ms * NS_PER_MS);
}

/* The kernel holds megabytes for a client and asks for more only when much of them has gone: so who
 * takes its answer slowly, but does take it, is known by what is left. */
static bool takes_its_answer(const struct client *c)
{
    return c->stalled && c->unsent_seen - unsent(c) >= PROGRESS_BYTES;
}

static void on_client_timer(struct loop_timer *t)
{
    struct client *c = container_of(t, struct client, timer);
    bool body_comes = c->state == CLIENT_BUSY && !c->body_ended && !c->answered;

    if (c->state == CLIENT_HEAD && buf_len(&c->in) > 0) {
        client_answer_error(c, 408, NULL, "the request's head did not arrive in time", SLICE_NULL);
        return;
    }
    if (body_comes && buf_len(&c->out) == 0) {
        bool held = c->invocation && !invocation_has_room(c->invocation);

        if (held || c->body_total - c->body_seen >= PROGRESS_BYTES) {
            c->body_seen = c->body_total;
            client_arm(c, c->gateway->settings.body_timeout_ms * NS_PER_MS);
            return;
        }
        if (c->invocation)
            invocation_fail(c->invocation, OUTCOME_BAD_REQUEST, 408,
                            "the request's body came too slowly");
        else
            client_close(c);
        return;
    }
    if (takes_its_answer(c)) {
        watch_stall(c);
        return;
    }
    if (c->state == CLIENT_BUSY && buf_len(&c->out) == 0 && !c->answered)
        return; /* waits for the function, whose deadline is the invocation's */
    client_close(c);
}

static void client_arm(struct client *c, uint64_t delay_ns)
{
    if (loop_timer_after(c->gateway->loop, &c->timer, delay_ns, on_client_timer) < 0)
        log_error("client.timer", "no memory");
}

static void client_move(struct client *c, enum client_state to)
{
    sm_move(client_states, &c->state, to);
    loop_timer_cancel(&c->timer);
    switch (to) {
    case CLIENT_HEAD:
        c->head_begun = false;
        client_arm(c, c->gateway->settings.idle_timeout_ms * NS_PER_MS);
        break;
    case CLIENT_LINGER:
        (void)shutdown(c->fd, SHUT_WR);
        client_arm(c, LINGER_NS);
        break;
    case CLIENT_BUSY:
    case CLIENT_TUNNEL:
    case CLIENT_CLOSED:
    case _CLIENT_STATE_MAX:
        break;
    }
}

/* ---- birth and death ---- */

static void name_peer(struct client *c, const struct sockaddr_storage *addr)
{
    const void *host = addr->ss_family == AF_INET6
                           ? (const void *)&((const struct sockaddr_in6 *)addr)->sin6_addr
                           : (const void *)&((const struct sockaddr_in *)addr)->sin_addr;

    if (addr->ss_family == AF_UNIX || !inet_ntop(addr->ss_family, host, c->ip, sizeof(c->ip)))
        (void)snprintf(c->ip, sizeof(c->ip), "127.0.0.1");
}

/* What the parser takes. The admin interface is not for the project's author to narrow. */
static struct http_limits limits_of(const struct client *c)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;

    if (c->door == CLIENT_PUBLIC || c->door == CLIENT_REPLAY)
        return c->gateway->settings.http;
    limits.body_max = c->gateway->settings.http.body_max;
    return limits;
}

/* Returns NULL without memory; fd_consume is closed then. */
static struct client *client_make(struct gateway *g, int fd_consume, enum client_door door)
{
    struct client *c = calloc(1, sizeof(*c));
    struct http_limits limits;

    if (!c) {
        fd_close(fd_consume);
        return NULL;
    }
    c->gateway = g;
    c->fd = fd_consume;
    c->door = door;
    buf_init(&c->in, IN_BYTES_MAX);
    buf_init(&c->out, OUT_BYTES_MAX);
    limits = limits_of(c);
    http_parser_init(&c->parser, HTTP_REQUEST, &limits);
    loop_io_init(&c->io);
    list_add_last(door == CLIENT_ADMIN ? &g->admin_clients : &g->clients, &c->link);
    g->n_clients++;
    g->n_admin_clients += door == CLIENT_ADMIN;
    return c;
}

static void client_start(struct client *c)
{
    struct gateway *g = c->gateway;

    if (loop_io_add(g->loop, &c->io, c->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, on_client_ready) < 0) {
        client_close(c);
        return;
    }
    client_arm(c, g->settings.head_timeout_ms * NS_PER_MS);
    c->io.ready = EPOLLIN | EPOLLOUT; /* most send at once: saves a round of the loop */
    client_read(c);
}

void client_new(struct gateway *g, int fd_consume, enum client_door door,
                const struct sockaddr_storage *addr)
{
    struct client *c = client_make(g, fd_consume, door);

    if (!c)
        return;
    name_peer(c, addr);
    client_start(c);
}

void client_new_replay(struct gateway *g, int fd_consume, struct replay *replay_consume)
{
    struct client *c = client_make(g, fd_consume, CLIENT_REPLAY);

    if (!c) {
        (void)replay_free(replay_consume);
        return;
    }
    c->replay = replay_consume;
    (void)snprintf(c->ip, sizeof(c->ip), "127.0.0.1");
    client_start(c);
}

/* Frees at the end of the round: whoever is up the stack may still look at the state. */
void client_close(struct client *c)
{
    struct gateway *g = c->gateway;
    struct invocation *inv = take_ptr(c->invocation);

    if (c->state == CLIENT_CLOSED)
        return;
    client_move(c, CLIENT_CLOSED);
    loop_io_remove_closing(&c->io);
    c->fd = fd_close(c->fd);
    list_remove(&c->link);
    list_add_last(&g->dead_clients, &c->link);
    loop_task_put(g->loop, &g->bury);
    g->n_clients--;
    g->n_admin_clients -= c->door == CLIENT_ADMIN;
    if (inv) {
        inv->client = NULL;
        invocation_hangup(inv, OUTCOME_HANGUP, 0, "the client went away");
    }
}

int client_release(struct client *c)
{
    int fd = take_fd(&c->fd);

    loop_io_remove(&c->io); /* the connection goes on: the kernel would not forget it by itself */
    client_close(c);
    return fd;
}

void client_free(struct client *c)
{
    list_remove(&c->link);
    buf_deinit(&c->in);
    buf_deinit(&c->out);
    free(c->more_ctx);
    (void)replay_free(c->replay);
    free(c);
}

/* ---- reading ---- */

/* Receives what fits. Returns bytes, 0 when there is nothing now, or negative when the peer is
 * gone. */
static ssize_t receive(struct client *c)
{
    ssize_t n;

    if (!(c->io.ready & EPOLLIN))
        return 0;
    if (buf_reserve(&c->in, READ_BYTES) < 0)
        return -ENOBUFS;
    n = recv(c->fd, buf_tail(&c->in), READ_BYTES, MSG_DONTWAIT);
    if (n > 0) {
        buf_commit(&c->in, (size_t)n);
        /* Less than asked for: the socket is empty, and an edge tells when it is not. A FIN behind
         * the bytes is told apart by EPOLLRDHUP. */
        if (n < READ_BYTES && !(c->io.ready & EPOLLRDHUP))
            loop_io_drained(&c->io, EPOLLIN);
        return n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        loop_io_drained(&c->io, EPOLLIN);
        return 0;
    }
    return -EPIPE;
}

static void bad_request(struct client *c, unsigned status, const char *text)
{
    struct invocation *inv = c->invocation;

    c->keep_alive = false;
    c->body_ended = true;        /* nothing that follows can be trusted */
    if (inv && inv->head_sent) { /* no second answer into the middle of the first */
        invocation_hangup(inv, OUTCOME_BAD_REQUEST, 0, text);
        client_abort(c);
        return;
    }
    if (inv)
        invocation_hangup(inv, OUTCOME_BAD_REQUEST, status, text);
    if (c->state == CLIENT_HEAD || (c->state == CLIENT_BUSY && !c->answered))
        client_answer_error(c, status, NULL, text, SLICE_NULL);
    else if (c->state == CLIENT_BUSY && buf_len(&c->out) == 0)
        client_settle(c);
}

static void on_request_data(struct client *c, struct slice data)
{
    c->body_total += data.len;
    if (c->invocation && invocation_body(c->invocation, data) < 0)
        client_abort(c);
    else if (c->answered && c->body_total > LINGER_BYTES_MAX) {
        c->keep_alive = false; /* the rest is not worth reading */
        if (buf_len(&c->out) == 0)
            client_settle(c);
    }
}

static void on_request_end(struct client *c)
{
    c->body_ended = true;
    if (c->state == CLIENT_BUSY && buf_len(&c->out) == 0)
        loop_timer_cancel(&c->timer); /* from here on the function's deadline counts */
    if (c->invocation && invocation_body_end(c->invocation) < 0)
        client_abort(c);
    else if (c->state == CLIENT_BUSY && c->answered && buf_len(&c->out) == 0)
        client_settle(c);
}

static void on_request_head(struct client *c, const struct http_head *head)
{
    client_move(c, CLIENT_BUSY);
    c->answered = false;
    c->body_ended = head->framing == HTTP_BODY_NONE;
    c->body_is_small = head->framing == HTTP_BODY_LENGTH &&
                       head->content_length <= LINGER_BYTES_MAX && !head->expect_continue;
    c->body_total = c->body_seen = 0;
    c->version_minor = head->version_minor;
    c->keep_alive = head->keep_alive && !c->gateway->draining;
    c->head_request = slice_eq(head->method, SLICE_LIT("HEAD"));
    client_arm(c, c->gateway->settings.body_timeout_ms * NS_PER_MS);
    request_begin(c, head);
    if (c->state != CLIENT_BUSY || c->answered)
        return;
    if (c->body_ended)
        on_request_end(c);
    else if (head->expect_continue && buf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n") == 0)
        client_flush(c);
}

/* Takes what is received apart, up to the end of the current request or the window's. */
static void client_parse(struct client *c)
{
    struct http_head head;

    while (c->state == CLIENT_HEAD || (c->state == CLIENT_BUSY && !c->body_ended)) {
        struct slice data = SLICE_NULL;
        enum http_event event;
        size_t used = 0;

        if (c->invocation && !invocation_has_room(c->invocation))
            return;
        event = http_parse(&c->parser, buf_slice(&c->in), &used, &head, &data);
        if (event == HTTP_EVENT_HEAD)
            on_request_head(c, &head);
        else if (event == HTTP_EVENT_DATA) {
            on_request_data(c, data);
        } else if (event == HTTP_EVENT_END)
            on_request_end(c);
        else if (event == HTTP_EVENT_ERROR)
            bad_request(c, c->parser.error_status, c->parser.error_text);
        if (c->state == CLIENT_CLOSED)
            return;
        buf_consume(&c->in, MIN(used, buf_len(&c->in)));
        if (event == HTTP_EVENT_MORE || event == HTTP_EVENT_ERROR)
            return;
    }
}

/* A head that is under way is given its time from its first byte. */
static void watch_head(struct client *c)
{
    if (c->state != CLIENT_HEAD || c->head_begun || buf_len(&c->in) == 0)
        return;
    c->head_begun = true;
    client_arm(c, c->gateway->settings.head_timeout_ms * NS_PER_MS);
}

static void client_tunnel_in(struct client *c)
{
    struct invocation *inv = c->invocation;

    if (!inv || buf_len(&c->in) == 0 || !invocation_has_room(inv))
        return;
    if (buf_append_slice(&inv->body, buf_slice(&c->in)) < 0) {
        client_abort(c);
        return;
    }
    inv->bytes_in += buf_len(&c->in);
    buf_clear(&c->in);
    if (inv->worker)
        worker_pump_out(inv->worker);
}

static void client_linger(struct client *c)
{
    c->lingered += buf_len(&c->in);
    buf_clear(&c->in);
    if (c->lingered > LINGER_BYTES_MAX)
        client_close(c);
}

/* What the state wants with the bytes received. */
static void client_take(struct client *c)
{
    switch (c->state) {
    case CLIENT_HEAD:
    case CLIENT_BUSY:
        client_parse(c);
        break;
    case CLIENT_TUNNEL:
        client_tunnel_in(c);
        break;
    case CLIENT_LINGER:
        client_linger(c);
        break;
    case CLIENT_CLOSED:
    case _CLIENT_STATE_MAX:
        break;
    }
}

static bool wants_bytes(const struct client *c)
{
    switch (c->state) {
    case CLIENT_HEAD:
    case CLIENT_LINGER:
        return true;
    case CLIENT_BUSY:
        return !c->body_ended && (!c->invocation || invocation_has_room(c->invocation));
    case CLIENT_TUNNEL:
        return c->invocation && invocation_has_room(c->invocation);
    case CLIENT_CLOSED:
    case _CLIENT_STATE_MAX:
        break;
    }
    return false;
}

static void on_peer_closed(struct client *c)
{
    if (c->state == CLIENT_HEAD && buf_len(&c->in) > 0 && buf_len(&c->out) == 0)
        client_answer_error(c, 400, NULL, "the request breaks off", SLICE_NULL);
    else
        client_close(c);
}

static void client_read(struct client *c)
{
    size_t taken = 0;

    client_take(c); /* what was held, or came with the request before */
    watch_head(c);
    while (wants_bytes(c) && c->io.ready & EPOLLIN) {
        ssize_t n = receive(c);

        if (n < 0) {
            on_peer_closed(c);
            return;
        }
        if (n == 0)
            break;
        client_take(c);
        watch_head(c);
        taken += (size_t)n;
        if (taken > ROUND_BYTES_MAX) {
            loop_io_again(&c->io);
            return;
        }
    }
    if (c->state != CLIENT_CLOSED && buf_len(&c->in) == 0 && c->state == CLIENT_HEAD)
        buf_deinit(&c->in); /* an idle connection holds no buffers */
}

void client_resume(struct client *c)
{
    client_read(c);
}

static void on_client_ready(struct loop_io *io)
{
    struct client *c = container_of(io, struct client, io);

    if (io->ready & EPOLLOUT && buf_len(&c->out) > 0)
        client_flush(c);
    if (c->state != CLIENT_CLOSED && (io->ready & (EPOLLIN | EPOLLRDHUP) || buf_len(&c->in) > 0))
        client_read(c);
    /* Nobody is there to answer to any more, be it by close() or by a half-close: like other
     * gateways we do not finish work for a client that has said its last. */
    if ((c->state == CLIENT_BUSY && c->body_ended && io->ready & EPOLLRDHUP) ||
        (c->state != CLIENT_CLOSED && io->ready & (EPOLLHUP | EPOLLERR)))
        client_close(c);
}

/* ---- writing ---- */

/* The answer has been written: what next on this connection? */
static void client_settle(struct client *c)
{
    if (c->keep_alive && !c->body_ended) {
        client_arm(c, LINGER_NS); /* a small rest of the body: read it, and the connection lives */
        return;
    }
    if (c->keep_alive && !c->gateway->draining) {
        buf_deinit(&c->out);
        http_parser_next(&c->parser);
        c->parser.limits = limits_of(c); /* a function's own may have been set */
        client_move(c, CLIENT_HEAD);
        if (buf_len(&c->in) > 0 || c->io.ready & EPOLLIN)
            loop_io_again(&c->io); /* a pipelined request has its turn, not the whole round */
        return;
    }
    client_move(c, CLIENT_LINGER);
    client_linger(c);
}

/* The client has taken all: from here on a body that is under way has its time. */
static void end_stall(struct client *c)
{
    c->stalled = false;
    c->body_seen = c->body_total;
    if (c->state == CLIENT_BUSY && !c->body_ended && !c->answered)
        client_arm(c, c->gateway->settings.body_timeout_ms * NS_PER_MS);
    else
        loop_timer_cancel(&c->timer);
}

void client_flush(struct client *c)
{
    bool moved = false;

    while (buf_len(&c->out) > 0 && c->io.ready & EPOLLOUT) {
        struct slice bytes = buf_slice(&c->out);
        ssize_t n = send(c->fd, bytes.base, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            loop_io_drained(&c->io, EPOLLOUT);
            break;
        }
        if (n < 0 && errno != EINTR) {
            client_close(c);
            return;
        }
        buf_consume(&c->out, (size_t)MAX(n, 0));
        moved |= n > 0;
    }
    if (buf_len(&c->out) > 0) {
        if (moved || !c->stalled) /* the stall counts from the last byte taken */
            watch_stall(c);
        return;
    }
    if (c->stalled)
        end_stall(c);
    if ((c->state == CLIENT_BUSY || c->state == CLIENT_TUNNEL) && c->answered)
        client_settle(c);
    else if (c->more)
        client_pump(c);
    else if (c->invocation && c->invocation->worker)
        worker_pump_in(c->invocation->worker); /* there is room again */
}

int client_write_common_headers(struct client *c, bool has_date)
{
    char date[CLOCK_HTTP_SIZE];
    int r = 0;

    c->keep_alive = c->keep_alive && (c->body_ended || c->body_is_small);
    if (!has_date)
        r = http_write_header_str(&c->out, "Date", clock_http(clock_wall_us(), date));
    if (r == 0 && !c->keep_alive)
        r = http_write_header_str(&c->out, "Connection", "close");
    else if (r == 0 && c->version_minor == 0)
        r = http_write_header_str(&c->out, "Connection", "keep-alive");
    return r;
}

void client_answer(struct client *c, unsigned status, const char *headers, const char *type,
                   struct slice body)
{
    bool bodyless = status == 204 || status == 304;
    int r;

    if (c->state == CLIENT_HEAD) { /* a request that never became one */
        c->keep_alive = c->answered = c->head_request = false;
        c->version_minor = 1;
        client_move(c, CLIENT_BUSY);
    }
    if (c->state != CLIENT_BUSY)
        return;
    assert(!c->answered);
    c->answered = true;
    r = http_write_status_line(&c->out, status, slice_str(http_reason(status)));
    if (r == 0 && type)
        r = http_write_header_str(&c->out, "Content-Type", type);
    if (r == 0 && !bodyless)
        r = http_write_header_u64(&c->out, "Content-Length", body.len);
    if (r == 0 && headers)
        r = buf_append_str(&c->out, headers);
    if (r == 0)
        r = client_write_common_headers(c, false);
    if (r == 0)
        r = http_write_head_end(&c->out);
    if (r == 0 && !c->head_request && !bodyless)
        r = buf_append_slice(&c->out, body);
    if (r < 0)
        client_close(c);
    else
        client_flush(c);
}

static int write_lines(struct buf *b, struct slice lines)
{
    int r = buf_append_str(b, ", \"stackTrace\": [");

    for (bool first = true; r == 0 && lines.len > 0; first = false) {
        const char *end = memchr(lines.base, '\n', lines.len);
        size_t n = end ? (size_t)(end - lines.base) : lines.len;

        r = buf_append_str(b, first ? "" : ", ");
        if (r == 0)
            r = utf8_write_json(b, slice(lines.base, n));
        n = MIN(n + 1, lines.len);
        lines = slice(lines.base + n, lines.len - n);
    }
    return r == 0 ? buf_append_str(b, "]") : r;
}

static int write_failure(struct buf *b, const struct client_failure *f)
{
    int r = buf_append_str(b, "{\"errorType\": ");

    if (r == 0)
        r = utf8_write_json(b, slice_str(f->type));
    if (r == 0)
        r = buf_append_str(b, ", \"errorMessage\": ");
    if (r == 0)
        r = utf8_write_json(b, slice_str(f->message));
    if (r == 0 && f->request_id.len > 0)
        r = buf_printf(b, ", \"requestId\": \"%.*s\"", SLICE_ARG(f->request_id));
    if (r == 0 && f->stack.len > 0)
        r = write_lines(b, f->stack);
    if (r == 0 && f->cause.len > 0)
        r = buf_printf(b, ", \"cause\": %.*s", SLICE_ARG(f->cause));
    return r == 0 ? buf_append_str(b, "}\n") : r;
}

void client_answer_failure(struct client *c, const char *headers, const struct client_failure *f)
{
    struct buf b = BUF_INIT(256 * 1024);

    if (write_failure(&b, f) == 0)
        client_answer(c, f->status, headers, "application/json", buf_slice(&b));
    else
        client_close(c);
    buf_deinit(&b);
}

void client_answer_error(struct client *c, unsigned status, const char *headers,
                         const char *message, struct slice request_id)
{
    const struct client_failure f = {.status = status,
                                     .type = failure_type_of_status(status),
                                     .message = message,
                                     .request_id = request_id};

    client_answer_failure(c, headers, &f);
}

/* ---- a worker's answer ---- */

static int copy_headers(struct client *c, const struct http_head *head,
                        const struct invocation *inv, bool *ret_has_date)
{
    *ret_has_date = false;
    for (uint32_t i = 0; i < head->n_headers; i++) {
        const struct http_header *h = &head->headers[i];
        int r;

        if (http_is_hop_header(h->name) || http_connection_lists(head, h->name) ||
            slice_eq_nocase(h->name, SLICE_LIT("content-length")) ||
            slice_eq_nocase(slice(h->name.base, MIN(h->name.len, 7)), SLICE_LIT("mayfly-")) ||
            admin_is_set_cookie(h))
            continue;
        if (inv->extra_wins && rules_header_is_set(buf_slice(&inv->extra), h->name))
            continue;
        *ret_has_date |= slice_eq_nocase(h->name, SLICE_LIT("date"));
        r = http_write_header(&c->out, h->name, h->value);
        if (r < 0)
            return r;
    }
    return 0;
}

static int write_framing(struct client *c, const struct http_head *head)
{
    if (head->status == 101) {
        struct slice protocol = SLICE_NULL;

        (void)http_head_find(head, "upgrade", &protocol);
        c->keep_alive = true;
        return buf_printf(&c->out, "Upgrade: %.*s\r\nConnection: Upgrade\r\n", SLICE_ARG(protocol));
    }
    if (head->status == 204)
        return 0; /* RFC 9110 8.6: not even a Content-Length of 0 */
    if (head->has_content_length)
        return http_write_header_u64(&c->out, "Content-Length", head->content_length);
    if (head->status == 304 || c->head_request)
        return 0;
    if (c->version_minor == 0) {
        c->keep_alive = false; /* only the close can tell HTTP/1.0 where the body ends */
        return 0;
    }
    c->out_chunked = true;
    return http_write_header_str(&c->out, "Transfer-Encoding", "chunked");
}

int client_begin(struct client *c, const struct http_head *head, struct invocation *inv)
{
    uint64_t now = loop_now(c->gateway->loop);
    bool has_date;
    int r;

    c->out_chunked = false;
    r = http_write_status_line(&c->out, head->status,
                               head->reason.len > 0 ? head->reason
                                                    : slice_str(http_reason(head->status)));
    if (r == 0)
        r = copy_headers(c, head, inv, &has_date);
    if (r == 0 && buf_len(&inv->extra) > 0)
        r = rules_headers_write(&c->out, buf_slice(&inv->extra), head, inv->extra_wins);
    if (r == 0)
        r = write_framing(c, head);
    if (r == 0)
        r = http_write_header_str(&c->out, "Mayfly-Request-Id", inv->id);
    if (r == 0)
        r = buf_printf(&c->out, "Server-Timing: wait;dur=%.3f, init;dur=%.3f, run;dur=%.3f\r\n",
                       (double)(inv->assigned_ns - inv->arrived_ns - inv->init_ns) / 1e6,
                       (double)inv->init_ns / 1e6, (double)(now - inv->assigned_ns) / 1e6);
    if (r == 0 && client_is_admin(c))
        r = http_write_header_str(&c->out, "Mayfly-Outcome", outcome_name(inv->outcome));
    if (r == 0 && head->status != 101)
        r = client_write_common_headers(c, has_date);
    return r == 0 ? http_write_head_end(&c->out) : r;
}

int client_data(struct client *c, struct slice data)
{
    int r = 0;

    if (c->head_request)
        return 0;
    if (c->out_chunked)
        r = http_write_chunk_start(&c->out, data.len);
    if (r == 0)
        r = buf_append_slice(&c->out, data);
    if (r == 0 && c->out_chunked)
        r = http_write_chunk_end(&c->out);
    return r;
}

void client_end(struct client *c)
{
    c->invocation = NULL;
    if (c->state == CLIENT_TUNNEL) {
        c->keep_alive = false;
        c->answered = true;
        client_flush(c); /* what is left goes before the end */
        return;
    }
    if (c->state != CLIENT_BUSY)
        return;
    if (c->out_chunked && !c->head_request && http_write_last_chunk(&c->out) < 0) {
        client_close(c);
        return;
    }
    c->answered = true;
    client_flush(c);
}

void client_tunnel(struct client *c)
{
    client_move(c, CLIENT_TUNNEL);
    client_read(c); /* what came behind the request. The 101 is flushed by whoever reads it */
}

void client_abort(struct client *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    /* A reset, so that not even HTTP/1.0 takes what it has for the whole. */
    if (c->fd >= 0)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    client_close(c);
}
