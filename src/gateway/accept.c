/* Connections as they come, in batches, so that who is there already has his turn between them. */

#include "gateway/client.h"

#include "base/log.h"

#include <errno.h>
#include <sys/socket.h>

#define ACCEPT_BATCH    64
#define ACCEPT_PAUSE_NS (100 * NS_PER_MS)

/* Returns false when nobody waits any more. */
static bool accept_one(struct gateway *g, struct loop_io *io, bool local)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);
    int fd = accept4(io->fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        client_new(g, fd, local, &addr);
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

static void accept_batch(struct gateway *g, struct loop_io *io, bool local)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        if (!accept_one(g, io, local))
            return;
    }
    loop_io_again(io);
}

void clients_on_accept_pause(struct loop_timer *t)
{
    struct gateway *g = container_of(t, struct gateway, accept_pause);

    loop_io_again(&g->listen_io);
    loop_io_again(&g->local_io);
}

void clients_on_listen(struct loop_io *io)
{
    accept_batch(container_of(io, struct gateway, listen_io), io, false);
}

void clients_on_local(struct loop_io *io)
{
    accept_batch(container_of(io, struct gateway, local_io), io, true);
}
