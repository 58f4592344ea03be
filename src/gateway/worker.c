#include "gateway/worker.h"
#include "gateway/client.h"
#include "gateway/cpu-time.h"
#include "gateway/invocation.h"
#include "gateway/links.h"
#include "gateway/log.h"
#include "gateway/pool.h"
#include "gateway/watchdog.h"

#include "base/log.h"
#include "base/sm.h"
#include "os/fd.h"
#include "os/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define IN_BYTES_MAX (1024 * 1024)
#define ROUND_BYTES  (256 * 1024)
#define EOF_GRACE_NS (1 * NS_PER_S)  /* a group over its CPU quota dies slowly */
#define END_TOLD_NS  (10 * NS_PER_S) /* by then the zygote has told of a worker's end */

static const struct sm_state worker_states[_WORKER_STATE_MAX] = {
    [WORKER_STANDBY] = {"standby", SM_TO(WORKER_BUSY) | SM_TO(WORKER_ENDING)},
    [WORKER_BUSY] = {"busy", SM_TO(WORKER_ENDING) | SM_TO(WORKER_STANDBY)},
    [WORKER_ENDING] = {"ending", 0},
};

static const struct http_limits answer_limits = {
    .line_max = 8192,
    .head_max = 256 * 1024,
    .n_headers_max = HTTP_HEADERS_MAX,
    .body_max = UINT64_MAX,
};

static void on_worker_ready(struct loop_io *io);
static void worker_try_finish(struct worker *w);
static void on_finish(struct loop_task *t);
static void bury(struct worker *w);

/* ---- birth ---- */

static int send_fork(struct worker *w, const int socket[2], const int out[2], const int err[2])
{
    struct wire_message m = {.type = WIRE_FORK,
                             .n_fds = 3,
                             .fds = {socket[1], out[1], err[1], -1},
                             .fork = {.worker = w->id}};

    return wire_send(&w->pool->wire, &m);
}

/* Makes the three connections; what was made is closed again on failure. */
static int make_pipes(int socket[2], int out[2], int err[2])
{
    int r = sock_pair(SOCK_STREAM, socket);

    if (r == 0)
        r = fd_pipe(out, 0);
    if (r == 0)
        r = fd_pipe(err, 0);
    for (int i = 0; i < 2 && r < 0; i++) {
        socket[i] = fd_close(socket[i]);
        out[i] = fd_close(out[i]);
        err[i] = fd_close(err[i]);
    }
    return r;
}

static int worker_connect(struct worker *w)
{
    struct gateway *g = w->pool->gateway;
    int socket[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, r;

    r = make_pipes(socket, out, err);
    if (r < 0)
        return r;
    w->fd = socket[0];
    r = loop_io_add(g->loop, &w->io, w->fd, EPOLLIN | EPOLLOUT, on_worker_ready);
    w->io.ready = EPOLLOUT; /* a new socket takes bytes; no need to wait to be told */
    if (r == 0)
        r = log_pipe_open(&w->out, g, out[0], LOG_STDOUT, w, w->pool);
    else
        fd_close(out[0]);
    if (r == 0)
        r = log_pipe_open(&w->err, g, err[0], LOG_STDERR, w, w->pool);
    else
        fd_close(err[0]);
    if (r == 0)
        return send_fork(w, socket, out, err);
    fd_close(socket[1]);
    fd_close(out[1]);
    fd_close(err[1]);
    return r;
}

struct worker *worker_new(struct pool *p)
{
    struct gateway *g = p->gateway;
    struct worker *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return NULL;
    list_init(&w->link);
    w->pool = p;
    w->fd = w->out.fd = w->err.fd = -1;
    w->process = PIDREF_NULL;
    w->watch = WATCHDOG_NONE;
    w->since_ns = w->forked_ns = loop_now(g->loop);
    buf_init(&w->in, IN_BYTES_MAX);
    buf_init(&w->stack, STACK_BYTES_MAX);
    loop_io_init(&w->io);
    loop_task_init(&w->finish, on_finish);
    http_parser_init(&w->parser, HTTP_RESPONSE, &answer_limits);
    r = slots_add(&g->workers, w, &w->id);
    if (r < 0) {
        free(w);
        return NULL;
    }
    g->n_workers++;
    list_add_last(&p->standbys, &w->link);
    p->n_standbys++;
    r = worker_connect(w);
    if (r < 0) {
        pool_metrics(p)->spawn_failures++;
        log_warning("worker.start", "function=%s error=%s", p->function->name, strerrordesc_np(-r));
        bury(w);
        return NULL;
    }
    return w;
}

int worker_started(struct worker *w, int pidfd_consume)
{
    struct pool *p = w->pool;
    double seconds = (double)(loop_now(p->gateway->loop) - w->forked_ns) / 1e9;
    pid_t parent = 0;
    int r;

    r = pidref_from_fd_take(pidfd_consume, &w->process, &parent);
    if (r == -ESRCH) {
        fd_close(pidfd_consume); /* over already: WORKER_ENDED comes */
        return 0;
    }
    if (r < 0) {
        fd_close(pidfd_consume);
        return r;
    }
    metric_observe(&pool_metrics(p)->spawn, loop_now(p->gateway->loop) - w->forked_ns);
    p->start_seconds += (seconds - p->start_seconds) / 8;
    if (parent != p->zygote_pid) {
        pidref_done(&w->process); /* what the watchdog kills on a zygote's word is the zygote's */
        return -EPERM;
    }
    if (w->kill_pending)
        worker_kill(w, SIGKILL);
    if (w->invocation)
        invocation_watch(w->invocation);
    return 0;
}

/* ---- states ---- */

static void leave_list(struct worker *w)
{
    struct pool *p = w->pool;

    list_remove(&w->link);
    if (w->state == WORKER_STANDBY)
        p->n_standbys--;
    else
        p->n_busy--;
}

static void close_socket(struct worker *w)
{
    loop_timer_cancel(&w->eof_grace);
    loop_io_remove_closing(&w->io);
    w->fd = fd_close(w->fd);
    buf_deinit(&w->in);
}

/* Until its end is told a worker holds a slot of the machine's; a zygote that keeps it to itself
 * has no right to it. */
static void on_end_untold(struct loop_timer *t)
{
    pool_drop_zygote(container_of(t, struct worker, eof_grace)->pool,
                     "does not tell of its worker's end");
}

void worker_move(struct worker *w, enum worker_state to)
{
    struct pool *p = w->pool;

    leave_list(w);
    cpu_time_unwatch(w);
    sm_move(worker_states, &w->state, to);
    w->since_ns = loop_now(p->gateway->loop);
    if (to == WORKER_STANDBY) {
        watchdog_disarm(p->gateway->watchdog, w->watch);
        list_add_first(&p->standbys, &w->link); /* the warmest caches first */
        p->n_standbys++;
        w->log_bytes = w->log_lines = w->log_dropped = 0;
        w->told.hit = LIMIT_HIT_NONE;
        buf_clear(&w->stack);
        pool_on_worker_gone(p);
        return;
    }
    list_add_last(&p->busy, &w->link);
    p->n_busy++;
    if (to == WORKER_BUSY) {
        w->usable_again = false;
        cpu_time_watch(w);
    }
    if (to == WORKER_ENDING) {
        close_socket(w); /* a worker that waits for a request takes this as its end */
        (void)loop_timer_after(p->gateway->loop, &w->eof_grace, END_TOLD_NS, on_end_untold);
        if (w->gone)
            loop_task_put(p->gateway->loop, &w->finish); /* nothing else will come to finish it */
    }
}

void worker_kill(struct worker *w, int signal)
{
    struct wire_message m = {.type = WIRE_KILL, .n_fds = 1, .kill = {(uint32_t)signal}};

    if (w->gone)
        return;
    if (!pidref_is_set(&w->process)) {
        w->kill_pending = w->kill_pending || signal == SIGKILL;
        return;
    }
    m.fds[0] = fcntl(w->process.fd, F_DUPFD_CLOEXEC, 3);
    if (m.fds[0] >= 0)
        links_send_supervisor(w->pool->gateway, &m);
}

void worker_watch(struct worker *w, uint64_t at_ns)
{
    /* Without a slot the loop and the supervisor still do what they can. */
    if (pidref_is_set(&w->process) && !w->gone)
        (void)watchdog_arm(w->pool->gateway->watchdog, &w->watch, w->process.fd, at_ns);
}

bool worker_was_overdue(const struct worker *w)
{
    return watchdog_fired(w->pool->gateway->watchdog, w->watch);
}

/* ---- death ---- */

static void describe_end(const struct worker *w, char *dst, size_t size)
{
    int status = (int)w->usage.status;

    if (w->lost)
        (void)snprintf(dst, size,
                       "the process that holds the function died, and its workers "
                       "with it");
    else if (WIFSIGNALED(status))
        (void)snprintf(dst, size, "the function was killed by signal %d (%s)", WTERMSIG(status),
                       sigdescr_np(WTERMSIG(status)) ? sigdescr_np(WTERMSIG(status)) : "unknown");
    else if (WEXITSTATUS(status) > 128 && sigdescr_np(WEXITSTATUS(status) - 128))
        (void)snprintf(dst, size, "the function crashed with signal %d (%s)",
                       WEXITSTATUS(status) - 128, sigdescr_np(WEXITSTATUS(status) - 128));
    else
        (void)snprintf(dst, size,
                       "the function exited with status %d before its answer was "
                       "complete",
                       WEXITSTATUS(status));
}

/* The limit that its end speaks of: what it said itself while it crashed, what the zygote knows of
 * its memory, or how it died. */
static struct limit_use limit_of_end(const struct worker *w)
{
    const struct usage *u = &w->usage;
    const struct limit_end end = {.status = u->status,
                                  .cpu_us = u->user_us + u->system_us,
                                  .memory_peak_bytes = u->memory_peak_bytes,
                                  .memory_own_bytes = u->minor_faults * 4096};

    if (w->told.hit != LIMIT_HIT_NONE)
        return w->told;
    if (u->limit.hit != LIMIT_HIT_NONE || w->lost)
        return u->limit;
    return limit_use_of_end(&w->pool->function->limits, &end);
}

/* Its slot is free from now on, itself at the end of the round. */
static void bury(struct worker *w)
{
    struct gateway *g = w->pool->gateway;

    loop_timer_cancel(&w->eof_grace);
    cpu_time_unwatch(w);
    leave_list(w);
    slots_remove(&g->workers, w->id);
    g->n_workers--;
    list_add_last(&g->dead_workers, &w->link);
    loop_task_put(g->loop, &g->bury);
}

/* Frees the worker when nothing is left to come of it. */
static void worker_try_finish(struct worker *w)
{
    struct pool *p = w->pool;
    char why[160];

    if (!w->gone || w->buried)
        return;
    if (w->state == WORKER_BUSY && !w->eof)
        return; /* a slow client has not taken it all */
    log_pipe_drain(&w->out);
    log_pipe_drain(&w->err);
    if (worker_was_overdue(w))
        log_warning("watchdog.kill", "function=%s pid=%d", p->function->name, w->process.pid);
    if (w->state == WORKER_BUSY && w->fork_error != 0) {
        (void)snprintf(why, sizeof(why), "no process can be started for the request: %s",
                       strerrordesc_np(w->fork_error));
        invocation_refuse(w->invocation, THROTTLE_RESOURCES, 503, why);
    } else if (w->state == WORKER_BUSY) {
        struct limit_use limit = limit_of_end(w);

        if (!worker_was_overdue(w)) /* then it is the timeout, and its end is ours */
            invocation_hit(w->invocation, &limit);
        describe_end(w, why, sizeof(why));
        invocation_on_worker_lost(w->invocation, why);
    } else if (w->state == WORKER_STANDBY) {
        p->n_unused_deaths++;
        worker_move(w, WORKER_ENDING);
    }
    w->buried = true;
    if (w->invocation)
        invocation_hit(w->invocation, &w->usage.limit); /* if it is the only one to know of any */
    if (w->invocation)
        invocation_on_worker_ended(w->invocation);
    bury(w);
    pool_on_worker_gone(p);
}

static void on_finish(struct loop_task *t)
{
    worker_try_finish(container_of(t, struct worker, finish));
}

void worker_free(struct worker *w)
{
    list_remove(&w->link);
    list_remove(&w->finish.link);
    close_socket(w);
    log_pipe_close(&w->out);
    log_pipe_close(&w->err);
    watchdog_release(w->pool->gateway->watchdog, &w->watch, &w->process.fd);
    pidref_done(&w->process);
    buf_deinit(&w->stack);
    free(w);
}

void worker_ended(struct worker *w, const struct usage *usage)
{
    if (w->gone)
        return;
    w->gone = true;
    if (usage)
        w->usage = *usage;
    else
        w->lost = true;
    if (w->state == WORKER_BUSY && !w->eof)
        worker_pump_in(w);
    worker_try_finish(w);
}

void worker_measure(struct worker *w)
{
    uint64_t total;

    if (!cpu_time_of(w, &total))
        return;
    w->usage = (struct usage){.user_us = total - w->cpu_before_us};
    w->cpu_before_us = total;
}

/* ---- bytes ---- */

void worker_pump_out(struct worker *w)
{
    struct invocation *inv = w->invocation;
    bool was_full;

    if (!inv || w->fd < 0)
        return;
    was_full = !invocation_has_room(inv);
    while (w->io.ready & EPOLLOUT) {
        struct slice head = buf_slice(&inv->head), body = buf_slice(&inv->body);
        struct iovec iov[] = {{(void *)(uintptr_t)head.base, head.len},
                              {(void *)(uintptr_t)body.base, body.len}};
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
        ssize_t n;

        if (head.len + body.len == 0)
            break;
        n = sendmsg(w->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            loop_io_drained(&w->io, EPOLLOUT);
            break;
        }
        if (n < 0 && errno != EINTR) {
            /* It reads no more; what it answers still counts. */
            buf_clear(&inv->head);
            buf_clear(&inv->body);
            break;
        }
        n = MAX(n, 0);
        buf_consume(&inv->head, MIN((size_t)n, head.len));
        buf_consume(&inv->body, (size_t)n - MIN((size_t)n, head.len));
    }
    if (was_full && invocation_has_room(inv) && inv->client)
        loop_io_again(&inv->client->io);
}

static void on_eof_grace(struct loop_timer *t)
{
    struct worker *w = container_of(t, struct worker, eof_grace);

    if (w->state == WORKER_BUSY)
        invocation_on_worker_lost(w->invocation,
                                  "the function closed its connection (file descriptor 3) before "
                                  "its answer was complete");
}

static void on_eof(struct worker *w)
{
    w->eof = true;
    loop_io_drained(&w->io, EPOLLIN);
    if (w->state == WORKER_STANDBY) {
        return; /* it is ending: WORKER_ENDED comes */
    }
    if (w->state != WORKER_BUSY)
        return;
    if (w->invocation->state == INVOCATION_ANSWERING && !worker_was_overdue(w) &&
        (w->tunnel || http_parse_eof(&w->parser, buf_len(&w->in) > 0) == HTTP_EVENT_END)) {
        invocation_on_end(w->invocation);
        return;
    }
    /* How it ended is worth waiting for: the zygote tells at once. */
    (void)loop_timer_after(w->pool->gateway->loop, &w->eof_grace, EOF_GRACE_NS, on_eof_grace);
}

/* Receives. Returns false when there is nothing more now. */
static bool receive(struct worker *w)
{
    ssize_t n;

    if (buf_reserve(&w->in, READ_BYTES) < 0)
        return false;
    n = recv(w->fd, buf_tail(&w->in), READ_BYTES, MSG_DONTWAIT);
    if (n > 0) {
        buf_commit(&w->in, (size_t)n);
        return true;
    }
    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && errno == EAGAIN)
        loop_io_drained(&w->io, EPOLLIN);
    else
        on_eof(w);
    return false;
}

static void bad_reply(struct worker *w)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "the function's answer is not what HTTP allows: %s",
                   w->parser.error_text);
    log_warning("worker.bad_reply", "function=%s what=%s", w->pool->function->name,
                w->parser.error_text);
    invocation_fail(w->invocation, OUTCOME_BAD_REPLY, 502, text);
}

/* Takes one event out of the bytes received. Returns false when there is none. */
static bool parse_step(struct worker *w)
{
    struct invocation *inv = w->invocation;
    struct slice data = SLICE_NULL;
    struct http_head head;
    enum http_event event;
    size_t used = 0;

    if (w->tunnel) {
        data = buf_slice(&w->in);
        used = data.len;
        event = used > 0 ? HTTP_EVENT_DATA : HTTP_EVENT_MORE;
    } else {
        event = http_parse(&w->parser, buf_slice(&w->in), &used, &head, &data);
    }
    switch (event) {
    case HTTP_EVENT_HEAD:
        w->interim = head.status < 200 && head.status != 101;
        w->may_stay = head.keep_alive;
        w->tunnel = head.status == 101;
        if (!w->interim)
            invocation_on_head(inv, &head);
        break;
    case HTTP_EVENT_DATA:
        invocation_on_data(inv, data);
        break;
    case HTTP_EVENT_END:
        if (w->interim) {
            http_parser_next(&w->parser);
        } else if (!w->tunnel) {
            buf_consume(&w->in, used);
            used = 0;
            w->usable_again = w->may_stay && buf_len(&w->in) == 0 && inv->body_ended &&
                              buf_len(&inv->body) == 0 && !w->eof &&
                              w->pool->function->isolation == ISOLATION_INSTANCE;
            invocation_on_end(inv);
        }
        break;
    case HTTP_EVENT_ERROR:
        bad_reply(w);
        break;
    case HTTP_EVENT_MORE:
        break;
    }
    if (w->state == WORKER_BUSY && w->fd >= 0)
        buf_consume(&w->in, MIN(used, buf_len(&w->in)));
    return event != HTTP_EVENT_MORE;
}

static bool may_pump(const struct worker *w)
{
    return w->state == WORKER_BUSY && w->invocation &&
           (!w->invocation->client || client_has_room(w->invocation->client));
}

void worker_pump_in(struct worker *w)
{
    struct client *c = w->invocation ? w->invocation->client : NULL;
    size_t before, taken = 0;

    while (may_pump(w)) {
        before = buf_len(&w->in);
        if (parse_step(w)) /* also without bytes: the end of a message is an event, too */
            continue;
        if (!may_pump(w) || w->eof || !(w->io.ready & EPOLLIN || w->gone) || !receive(w))
            break;
        taken += buf_len(&w->in) - before;
        if (taken > ROUND_BYTES) {
            loop_io_again(&w->io);
            break;
        }
    }
    /* One write for all that has come. An answer that is complete has been flushed already. */
    if (!c || !w->invocation || w->invocation->client != c || buf_len(&c->out) == 0)
        return;
    client_flush(c);
    if (may_pump(w) && (buf_len(&w->in) > 0 || w->io.ready & EPOLLIN))
        loop_io_again(&w->io);
}

/* A standby's socket has something to read before it was asked anything. */
static void on_unasked(struct worker *w)
{
    char byte;
    ssize_t n = recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    if (n == 0)
        on_eof(w);
    else if (n > 0)
        worker_kill(w, SIGKILL);
    loop_io_drained(&w->io, EPOLLIN);
}

static void on_worker_ready(struct loop_io *io)
{
    struct worker *w = container_of(io, struct worker, io);

    if (io->ready & EPOLLOUT)
        worker_pump_out(w);
    if (w->state == WORKER_BUSY)
        worker_pump_in(w);
    else if (w->state == WORKER_STANDBY && io->ready & EPOLLIN)
        on_unasked(w);
    worker_try_finish(w);
}
