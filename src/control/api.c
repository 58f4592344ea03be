/* Connections of the admin API.
 *
 *   READING --> WRITING --> LINGERING --> CLOSED
 *      |  \        ^                        ^
 *      |   `-> WAITING                      | (from each: gone, too slow, broken)
 *      `-----> STREAMING ------------------'
 */

#include "control/api.h"

#include "base/log.h"
#include "base/sm.h"
#include "control/api-internal.h"
#include "os/fd.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 16384
#define LINGER_NS  (2 * NS_PER_S)

static const struct sm_state states[_API_STATE_MAX] = {
    [API_READING] = {"reading", SM_TO(API_WAITING) | SM_TO(API_WRITING) | SM_TO(API_STREAMING) |
                                    SM_TO(API_CLOSED)},
    [API_WAITING] = {"waiting", SM_TO(API_WRITING) | SM_TO(API_CLOSED)},
    [API_WRITING] = {"writing", SM_TO(API_LINGERING) | SM_TO(API_CLOSED)},
    [API_STREAMING] = {"streaming", SM_TO(API_CLOSED)},
    [API_LINGERING] = {"lingering", SM_TO(API_CLOSED)},
    [API_CLOSED] = {"closed", 0},
};

static void on_timer(struct loop_timer *t)
{
    struct api_connection *c = container_of(t, struct api_connection, timer);

    if (c->state == API_READING)
        connection_refuse(c, 408, "the request did not come to its end in time");
    else
        api_close(c);
}

static void timer_arm(struct api_connection *c, uint64_t ns)
{
    if (loop_timer_after(c->api->loop, &c->timer, ns, on_timer) < 0)
        api_close(c);
}

static void connection_move(struct api_connection *c, enum api_state to)
{
    sm_move(states, &c->state, to);
    loop_timer_cancel(&c->timer);
    if (to == API_WRITING)
        timer_arm(c, API_STALL_NS);
    else if (to == API_LINGERING)
        timer_arm(c, LINGER_NS);
}

void api_close(struct api_connection *c)
{
    struct api *a = c->api;

    if (c->state == API_CLOSED)
        return;
    if (c->state == API_WAITING && c->on_closed)
        c->on_closed(c->ctx, c);
    connection_move(c, API_CLOSED);
    stream_end(c);
    loop_io_remove(&c->io);
    c->fd = fd_close(c->fd);
    list_remove(&c->link);
    list_add_last(&a->closed, &c->link);
    a->n_connections--;
    a->n_bytes -= MIN(a->n_bytes, buf_len(&c->out));
    buf_deinit(&c->out);
    loop_task_put(a->loop, &a->reap);
}

static void connection_free(struct api_connection *c)
{
    list_remove(&c->link);
    buf_deinit(&c->in);
    buf_deinit(&c->head);
    buf_deinit(&c->body);
    buf_deinit(&c->out);
    free(c);
}

static void on_reap(struct loop_task *t)
{
    struct api *a = container_of(t, struct api, reap);
    struct list *i;

    while ((i = list_first(&a->closed)))
        connection_free(list_entry(i, struct api_connection, link));
}

/* ---- writing ---- */

/* Returns false when the connection is closed. */
static bool connection_write(struct api_connection *c)
{
    bool moved = false;

    while (buf_len(&c->out) > 0 || stream_drained(c)) {
        struct slice s = buf_slice(&c->out);
        ssize_t n = send(c->fd, s.base, s.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            api_close(c);
            return false;
        }
        buf_consume(&c->out, (size_t)n);
        if (c->state == API_WRITING)
            c->api->n_bytes -= MIN(c->api->n_bytes, (size_t)n);
        moved = true;
    }
    if (buf_len(&c->out) == 0 && c->state == API_WRITING) {
        (void)shutdown(c->fd, SHUT_WR);
        connection_move(c, API_LINGERING);
    } else if (buf_len(&c->out) == 0) {
        loop_timer_cancel(&c->timer);
    } else if (moved || !loop_timer_is_armed(&c->timer)) {
        timer_arm(c, API_STALL_NS);
    }
    return c->state != API_CLOSED;
}

void connection_answer(struct api_connection *c)
{
    c->api->n_bytes += buf_len(&c->out);
    connection_move(c, API_WRITING);
    (void)connection_write(c);
}

bool api_stream_begin(struct api_call *call, const char *type)
{
    struct api_connection *c = call->connection;

    if (answer_head(call, 200, type, NULL) < 0) {
        api_fail(call, 503, "out of memory");
        return false;
    }
    call->answered = true;
    c->out.max = API_STREAM_MAX;
    connection_move(c, API_STREAMING);
    return true;
}

void api_stream_kick(struct api_connection *c)
{
    if (c->state == API_STREAMING)
        (void)connection_write(c);
}

/* ---- reading ---- */

struct api_connection *api_put_off(struct api_call *call,
                                   void (*on_closed)(void *ctx, struct api_connection *c),
                                   void *ctx)
{
    struct api_connection *c = call->connection;

    call->answered = true;
    c->on_closed = on_closed;
    c->ctx = ctx;
    connection_move(c, API_WAITING);
    return c;
}

/* The bytes of the head are kept, because those behind it move. */
static int head_keep(struct api_connection *c, size_t used)
{
    return buf_append(&c->head, c->in.data + c->in.start, used);
}

/* Looks at what has come; 100 Continue was said by the gateway. Returns false when the connection
 * is closed, or its request complete. */
static bool connection_parse(struct api_connection *c)
{
    static struct http_head head; /* large; one at a time */

    for (;;) {
        struct slice data = SLICE_NULL;
        size_t used = 0;
        enum http_event e = http_parse(&c->parser, buf_slice(&c->in), &used, &head, &data);
        int r = 0;

        if (e == HTTP_EVENT_HEAD)
            r = head_keep(c, used);
        else if (e == HTTP_EVENT_DATA)
            r = buf_append_slice(&c->body, data);
        buf_consume(&c->in, used);
        if (e == HTTP_EVENT_ERROR || r < 0) {
            connection_refuse(c, r < 0 ? 503 : c->parser.error_status,
                              r < 0 ? "out of memory" : c->parser.error_text);
            return false;
        }
        if (e == HTTP_EVENT_END) {
            loop_timer_cancel(&c->timer);
            connection_dispatch(c);
            return false;
        }
        if (e == HTTP_EVENT_MORE)
            return true;
    }
}

/* What a client sends behind its request is of no use. Returns false when it has closed. */
static bool connection_discard(struct api_connection *c)
{
    char scratch[4096];

    for (unsigned i = 0; i < 64; i++) {
        ssize_t n = recv(c->fd, scratch, sizeof(scratch), MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN) {
            loop_io_drained(&c->io, EPOLLIN);
            return true;
        }
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
    }
    loop_io_again(&c->io);
    return true;
}

static void connection_read(struct api_connection *c)
{
    while (c->state == API_READING) {
        int r = buf_reserve(&c->in, MIN((size_t)READ_BYTES, buf_room(&c->in)));
        ssize_t n;

        if (r < 0 || buf_room(&c->in) == 0) {
            api_close(c);
            return;
        }
        n = recv(c->fd, buf_tail(&c->in), MIN(c->in.cap - c->in.end, buf_room(&c->in)),
                 MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            loop_io_drained(&c->io, EPOLLIN);
            return;
        }
        if (n <= 0) {
            api_close(c);
            return;
        }
        buf_commit(&c->in, (size_t)n);
        if (!connection_parse(c))
            return;
    }
}

static void on_ready(struct loop_io *io)
{
    struct api_connection *c = container_of(io, struct api_connection, io);

    if (io->ready & EPOLLERR) {
        api_close(c);
        return;
    }
    if (io->ready & EPOLLOUT) {
        loop_io_drained(io, EPOLLOUT);
        if ((c->state == API_WRITING || c->state == API_STREAMING) && !connection_write(c))
            return;
    }
    if (c->state == API_READING)
        connection_read(c);
    /* A client may say that it sends no more and still wait for its answer. */
    if (c->state > API_READING && c->state != API_CLOSED && !connection_discard(c) &&
        (c->state == API_LINGERING || io->ready & EPOLLHUP))
        api_close(c);
}

/* ---- connections ---- */

void api_take(struct api *a, int fd_consume, struct slice bytes, bool local)
{
    const struct http_limits limits = {.line_max = 16384,
                                       .head_max = API_HEAD_MAX,
                                       .n_headers_max = 100,
                                       .body_max = API_BODY_MAX};
    struct api_connection *c = calloc(1, sizeof(*c));
    int r;

    if (!c || fd_set_nonblock(fd_consume, true) < 0) {
        free(c);
        (void)fd_close(fd_consume);
        return;
    }
    c->api = a;
    c->fd = fd_consume;
    c->local = local;
    loop_io_init(&c->io);
    http_parser_init(&c->parser, HTTP_REQUEST, &limits);
    buf_init(&c->in, MAX((size_t)API_HEAD_MAX + 4096, bytes.len));
    buf_init(&c->head, API_HEAD_MAX);
    buf_init(&c->body, API_BODY_MAX);
    buf_init(&c->out, API_ANSWER_MAX);
    list_add_last(&a->connections, &c->link);
    a->n_connections++;
    timer_arm(c, API_READ_NS);
    r = loop_io_add(a->loop, &c->io, c->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, on_ready);
    if (r == 0)
        r = buf_append_slice(&c->in, bytes);
    if (r < 0 || c->state == API_CLOSED)
        api_close(c);
    else if (a->n_connections > API_CONNECTIONS_MAX || a->n_bytes > API_BYTES_MAX)
        connection_refuse(c, 503, "too many requests to the API at once; try again in a moment");
    else if (connection_parse(c))
        connection_read(c);
}

void api_init(struct api *a, struct control *c, struct loop *l)
{
    *a = (struct api){.control = c, .loop = l};
    list_init(&a->connections);
    list_init(&a->closed);
    loop_task_init(&a->reap, on_reap);
}

void api_deinit(struct api *a)
{
    struct list *i, *tmp;

    if (!a->loop)
        return;
    list_for_each_safe (i, tmp, &a->connections)
        api_close(list_entry(i, struct api_connection, link));
    list_remove(&a->reap.link);
    on_reap(&a->reap);
}
