/* The channels to supervisor and control. Without a supervisor there is nothing to do but end. */

#include "gateway/links.h"
#include "gateway/client.h"
#include "gateway/journal.h"
#include "gateway/live.h"
#include "gateway/pool.h"
#include "gateway/recorder.h"

#include "base/log.h"
#include "os/fd.h"
#include "os/memfd.h"

#include <errno.h>

static void on_supervisor_ready(struct loop_io *io);
static void on_control_ready(struct loop_io *io);

int links_open(struct gateway *g, int supervisor_fd)
{
    int r = wire_init_consume(&g->supervisor, supervisor_fd, WIRE_GATEWAY, WIRE_SUPERVISOR);

    loop_io_init(&g->supervisor_io);
    loop_io_init(&g->control_io);
    g->control.fd = -1;
    list_init(&g->control.queue);
    return r < 0 ? r
                 : loop_io_add(g->loop, &g->supervisor_io, supervisor_fd, EPOLLIN | EPOLLOUT,
                               on_supervisor_ready);
}

void links_send_supervisor(struct gateway *g, struct wire_message *m)
{
    int r = wire_send(&g->supervisor, m);

    if (r < 0) {
        log_error("supervisor.lost", "error=%s", strerrordesc_np(-r));
        loop_stop(g->loop, EXIT_FAILURE);
    }
}

static void close_control(struct gateway *g)
{
    live_watch(g, 0); /* who watched is gone with it */
    free(take_ptr(g->status.json));
    journal_link_down(g);
    loop_io_remove(&g->control_io);
    wire_deinit(&g->control);
}

void links_send_control(struct gateway *g, struct wire_message *m)
{
    if (wire_send(&g->control, m) < 0)
        close_control(g); /* the supervisor introduces its successor */
}

static void on_control_message(struct gateway *g, struct wire_message *m)
{
    switch (m->type) {
    case WIRE_TAKEN:
        journal_taken(g, m->taken.batch);
        break;
    case WIRE_ADMISSION:
        if (admin_take_hashes(&g->admin, m->admission.n, m->admission.hashes) < 0)
            log_error("admission.bad", "n=%u", m->admission.n);
        break;
    case WIRE_STATUS:
        free(g->status.json);
        g->status.json = slice_dup(m->status.json);
        g->status.ready = m->status.ready;
        break;
    case WIRE_WATCH:
        live_watch(g, m->watch.interval_ms);
        break;
    case WIRE_REPLAY:
        replay_on_message(g, m);
        break;
    default: /* the table lets nothing else through */
        break;
    }
}

static void on_control_ready(struct loop_io *io)
{
    struct gateway *g = container_of(io, struct gateway, control_io);
    struct wire_message m;
    int r = WIRE_E_AGAIN;

    if (io->ready & EPOLLOUT && wire_flush(&g->control) < 0) {
        close_control(g);
        return;
    }
    if (io->ready & EPOLLOUT && journal_is_behind(g))
        journal_flush(g); /* what waited for room */
    while ((r = wire_recv(&g->control, &m)) == WIRE_E_OK) {
        on_control_message(g, &m);
        wire_message_deinit(&m);
    }
    loop_io_drained(io, EPOLLIN);
    if (r != WIRE_E_AGAIN)
        close_control(g);
}

static void on_control_link(struct gateway *g, int fd)
{
    close_control(g);
    if (wire_init_consume(&g->control, fd, WIRE_GATEWAY, WIRE_CONTROL) < 0 ||
        loop_io_add(g->loop, &g->control_io, g->control.fd, EPOLLIN | EPOLLOUT, on_control_ready) <
            0)
        close_control(g);
    else
        journal_link_up(g);
}

static void on_snapshot(struct gateway *g, int fd)
{
    struct slice bytes = SLICE_NULL;
    struct snapshot *snapshot = NULL;
    int r = memfd_map(fd, SNAPSHOT_BYTES_MAX, &bytes);

    if (r == 0)
        r = snapshot_decode(bytes, &snapshot);
    memfd_unmap(&bytes);
    if (r == 0)
        r = pools_serve(g, snapshot);
    if (r < 0)
        log_error("snapshot.take", "error=%s", strerrordesc_np(-r));
    if (g->served && !g->listen_io.loop && !g->draining) {
        /* The first one: from here on there is something to answer. */
        if (loop_io_add(g->loop, &g->listen_io, g->listen_fd, EPOLLIN, clients_on_listen) < 0)
            loop_stop(g->loop, EXIT_FAILURE);
    }
}

static void on_supervisor_message(struct gateway *g, struct wire_message *m)
{
    struct pool *p;

    switch (m->type) {
    case WIRE_SNAPSHOT:
        on_snapshot(g, m->fds[0]);
        break;
    case WIRE_SANDBOX:
        free(g->sandbox);
        g->sandbox = slice_dup(m->sandbox.json);
        g->degraded = m->sandbox.missing > 0;
        break;
    case WIRE_CONTROL_LINK:
        on_control_link(g, take_fd(&m->fds[0]));
        break;
    case WIRE_ZYGOTE_STARTED:
        pool_on_zygote_started(g, m);
        break;
    case WIRE_ZYGOTE_READY:
        p = pools_find_zygote(g, m->zygote_ready.zygote);
        if (p)
            pool_on_zygote_ready(p, (pid_t)m->zygote_ready.pid);
        break;
    case WIRE_ZYGOTE_ENDED:
        p = pools_find_zygote(g, m->zygote_ended.zygote);
        if (p)
            pool_on_zygote_ended(p, &m->zygote_ended);
        break;
    case WIRE_ZYGOTE_REFUSED:
        pools_on_zygote_refused(g, m->zygote_refused.function, m->zygote_refused.version,
                                m->zygote_refused.error);
        break;
    case WIRE_DRAIN:
        gateway_drain(g);
        break;
    default: /* the table lets nothing else through */
        break;
    }
}

static void on_supervisor_ready(struct loop_io *io)
{
    struct gateway *g = container_of(io, struct gateway, supervisor_io);
    struct wire_message m;
    int r;

    if (io->ready & EPOLLOUT && wire_flush(&g->supervisor) < 0)
        loop_stop(g->loop, EXIT_FAILURE);
    while ((r = wire_recv(&g->supervisor, &m)) == WIRE_E_OK) {
        on_supervisor_message(g, &m);
        wire_message_deinit(&m);
    }
    loop_io_drained(io, EPOLLIN);
    if (r != WIRE_E_AGAIN)
        loop_stop(g->loop, r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
