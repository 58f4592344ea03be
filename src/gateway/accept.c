/* Connections as they come, at each of the three doors. */

#include "gateway/client.h"

#include "base/log.h"
#include "os/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define ACCEPT_BATCH    64
#define ACCEPT_PAUSE_NS (100 * NS_PER_MS)

/* With the admin listener full, who waits there without having asked anything makes room: else a
 * few connections that stay silent would keep everybody out. Returns whether there is room. */
static bool make_admin_room(struct gateway *g)
{
    struct list *i, *tmp;

    if (g->n_admin_clients < ADMIN_CLIENTS_MAX)
        return true;
    list_for_each_safe (i, tmp, &g->admin_clients) {
        struct client *c = list_entry(i, struct client, link);

        if (c->state == CLIENT_HEAD || c->state == CLIENT_LINGER) {
            client_close(c);
            return true;
        }
    }
    return false;
}

/* Returns false when nobody waits any more. */
static bool accept_one(struct gateway *g, struct loop_io *io, enum client_door door)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);
    int fd = accept4(io->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        if (door != CLIENT_ADMIN || make_admin_room(g))
            client_new(g, fd, door, &addr);
        else
            fd_close(fd);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        /* They stay in the backlog; asking at once again would only burn the CPU. */
        log_warning("accept.pause", "error=%s clients=%u", strerrordesc_np(errno), g->n_clients);
        (void)loop_timer_after(g->loop, &g->accept_pause, ACCEPT_PAUSE_NS, clients_on_accept_pause);
        return false;
    }
    if (errno == EAGAIN)
        loop_io_drained(io, EPOLLIN);
    return errno != EAGAIN; /* ECONNABORTED and the like concern that connection only */
}

static void accept_batch(struct gateway *g, struct loop_io *io, enum client_door door)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        if (!accept_one(g, io, door))
            return;
    }
    loop_io_again(io);
}

void clients_on_accept_pause(struct loop_timer *t)
{
    struct gateway *g = container_of(t, struct gateway, accept_pause);

    loop_io_again(&g->listen_io);
    loop_io_again(&g->local_io);
    loop_io_again(&g->admin_io);
}

void clients_on_listen(struct loop_io *io)
{
    accept_batch(container_of(io, struct gateway, listen_io), io, CLIENT_PUBLIC);
}

void clients_on_local(struct loop_io *io)
{
    accept_batch(container_of(io, struct gateway, local_io), io, CLIENT_LOCAL);
}

void clients_on_admin(struct loop_io *io)
{
    accept_batch(container_of(io, struct gateway, admin_io), io, CLIENT_ADMIN);
}
