/* What a function prints: lines, credited to the worker whose pipe it is, whoever wrote them. */

#include "gateway/log.h"
#include "gateway/invocation.h"
#include "gateway/journal.h"
#include "gateway/pool.h"
#include "gateway/request.h"
#include "gateway/worker.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define READ_MAX   65536        /* at most this from one pipe before others have their turn */
#define LINE_COST  16           /* bytes of the limit that even an empty line takes */
#define STACK_MARK "\036stack"  /* zygote/worker.h: WORKER_STACK_MARK without its line end */
#define LIMIT_MARK "\036limit " /* WORKER_LIMIT_MARK */

/* What is dropped is still read, so that the function goes on, but not as fast as it can print: the
 * gateway has others to serve. */
#define FLOOD_PAUSE_NS (4 * NS_PER_MS) /* after READ_MAX at the most: 16 MB a second */

static struct gateway *gateway_of(struct log_pipe *p)
{
    return p->pool->gateway;
}

/* Charges a line to the request's limit, and cuts the one that does not fit; from there on nothing
 * is kept, so that what is kept is the beginning. Returns false if it is dropped as a whole. */
static bool count_line(struct worker *w, struct slice *text)
{
    uint64_t room = w->pool->function->limits.log_bytes - w->log_bytes, whole = text->len;

    if (w->log_dropped > 0 || room < LINE_COST) {
        w->log_dropped += whole + 1;
        return false;
    }
    text->len = MIN(whole, room);
    w->log_dropped += whole - text->len;
    w->log_bytes += MIN(room, MAX(whole + 1, (uint64_t)LINE_COST));
    w->log_lines++;
    return true;
}

static void tell_line(struct log_pipe *p, struct slice text, bool is_cut)
{
    struct worker *w = p->worker;
    const struct invocation *inv = w ? w->invocation : NULL;
    struct log_line line = {
        .time_us = clock_wall_us(),
        .stream = p->stream,
        .request_id = inv ? slice_str(inv->id) : SLICE_NULL,
        .trace_id = inv ? slice_str(inv->trace.trace_id) : SLICE_NULL,
        .span_id = inv ? slice_str(inv->trace.span_id) : SLICE_NULL,
        .function = slice_str(p->pool->function->name),
        .version = slice_str(p->pool->function->version),
        .text = text,
        .goes_on = p->goes_on,
        .is_cut = is_cut,
    };

    if (w && !count_line(w, &line.text))
        return;
    line.is_cut = is_cut || line.text.len < text.len;
    journal_log(gateway_of(p), &line);
}

/* A worker that crashes names the limit that it ran into. */
static void take_limit(struct worker *w, struct slice text)
{
    size_t mark = strlen(LIMIT_MARK);
    struct limit_use u;

    if (limit_use_read(slice(text.base + mark, text.len - mark), &u))
        w->told = limit_use_believe(&w->pool->function->limits, u.hit, u.used, u.max);
}

static void take_line(struct log_pipe *p, struct slice text, bool is_cut)
{
    if (p->worker && p->stream == LOG_STDERR && slice_eq(text, SLICE_LIT(STACK_MARK))) {
        p->in_stack = true;
        return;
    }
    if (p->worker && p->stream == LOG_STDERR && slice_starts(text, SLICE_LIT(LIMIT_MARK))) {
        take_limit(p->worker, text);
        return;
    }
    if (text.len > 0 && text.base[text.len - 1] == '\r')
        text.len--;
    if (p->in_stack) {
        struct buf *stack = &p->worker->stack;

        if (text.len + 1 <= buf_room(stack)) {
            (void)buf_append_slice(stack, text);
            (void)buf_append(stack, "\n", 1);
        }
        return;
    }
    tell_line(p, text, is_cut);
    p->goes_on = is_cut;
}

static void split_lines(struct log_pipe *p)
{
    for (;;) {
        struct slice held = buf_slice(&p->line);
        const char *end = held.len > 0 ? memchr(held.base, '\n', held.len) : NULL;
        size_t n = end ? (size_t)(end - held.base) : held.len;
        bool is_cut = n > LOG_LINE_BYTES_MAX;

        if (!end && !is_cut)
            return;
        n = MIN(n, LOG_LINE_BYTES_MAX);
        take_line(p, slice(held.base, n), is_cut);
        buf_consume(&p->line, is_cut ? n : n + 1);
    }
}

static void on_pause_over(struct loop_timer *t)
{
    struct log_pipe *p = container_of(t, struct log_pipe, pause);

    if (p->io.ready & EPOLLIN)
        log_pipe_drain(p);
}

void log_pipe_drain(struct log_pipe *p)
{
    size_t taken = 0;

    while (p->fd >= 0 && taken < READ_MAX) {
        ssize_t n;

        if (buf_reserve(&p->line, READ_BYTES) < 0)
            return;
        n = read(p->fd, buf_tail(&p->line), READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            loop_io_drained(&p->io, EPOLLIN);
            break;
        }
        if (n == 0) {
            log_pipe_close(p);
            return;
        }
        buf_commit(&p->line, (size_t)n);
        taken += (size_t)n;
        split_lines(p);
        if (n < READ_BYTES)
            break;
    }
    if (buf_len(&p->line) == 0)
        buf_deinit(&p->line);
    if (taken > 0 && p->worker && p->worker->log_dropped > 0)
        (void)loop_timer_after(gateway_of(p)->loop, &p->pause, FLOOD_PAUSE_NS, on_pause_over);
    else if (taken >= READ_MAX)
        loop_io_again(&p->io);
}

static void on_pipe_ready(struct loop_io *io)
{
    struct log_pipe *p = container_of(io, struct log_pipe, io);

    /* The usual end of a worker that printed nothing needs no read to be known. */
    if ((io->ready & (EPOLLIN | EPOLLHUP)) == EPOLLHUP)
        log_pipe_close(p);
    else if (!loop_timer_is_armed(&p->pause))
        log_pipe_drain(p);
}

int log_pipe_open(struct log_pipe *p, struct gateway *g, int fd_consume, enum log_stream stream,
                  struct worker *w, struct pool *pool)
{
    int r;

    *p = (struct log_pipe){.worker = w, .pool = pool, .stream = stream, .fd = fd_consume};
    buf_init(&p->line, LOG_LINE_BYTES_MAX + READ_BYTES);
    loop_io_init(&p->io);
    /* Only this end: the function's own blocks, as programs expect. */
    r = fcntl(fd_consume, F_SETFL, O_RDONLY | O_NONBLOCK) < 0 ? -errno : 0;
    if (r == 0)
        r = loop_io_add(g->loop, &p->io, fd_consume, EPOLLIN, on_pipe_ready);
    if (r < 0)
        p->fd = fd_close(p->fd);
    return r;
}

void log_pipe_close(struct log_pipe *p)
{
    if (p->fd < 0)
        return;
    if (buf_len(&p->line) > 0)
        take_line(p, buf_slice(&p->line), true); /* whether it was to go on, nobody knows */
    buf_deinit(&p->line);
    loop_timer_cancel(&p->pause);
    if (p->worker)
        loop_io_remove_closing(&p->io);
    else
        loop_io_remove(&p->io); /* a zygote's: the supervisor holds the same pipe */
    p->fd = fd_close(p->fd);
}
