/* A connection has two ends, and a fork would make three: two workers that write to one socket mix
 * their bytes and read each other's answers. So what the author's code has connected or opened to
 * listen while it was loaded is let go before the first fork. In its place stands a socket whose
 * peer has left: a library that keeps connections finds this one dead and makes another, in the
 * worker; and its number is not given out again to something else behind the library's back. */

#include "os/fd.h"
#include "zygote/zygote-internal.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TOLD_MAX 8 /* lines of the log for one load */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

struct held {
    int domain, type;
    bool listens;
    union address at; /* the peer's, or its own if it listens */
    socklen_t at_len;
};

static int option(int fd, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

/* Whether the socket leads out of this process. A pair that a library wakes itself with does not:
 * its ends have no names. A datagram socket without a peer is nobody's connection. */
static bool leads_out(int fd, struct held *ret)
{
    struct held h = {.domain = option(fd, SO_DOMAIN),
                     .type = option(fd, SO_TYPE),
                     .listens = option(fd, SO_ACCEPTCONN) > 0,
                     .at_len = sizeof(h.at)};

    if (h.domain != AF_INET && h.domain != AF_INET6 && h.domain != AF_UNIX)
        return false;
    if ((h.listens ? getsockname : getpeername)(fd, &h.at.any, &h.at_len) < 0)
        return false;
    *ret = h;
    return h.domain != AF_UNIX || h.at_len > offsetof(struct sockaddr_un, sun_path);
}

/* A socket of the same kind. Datagrams know no connection, only where to: it goes on. A stream is
 * at its end. */
static int put_in_place(int fd, const struct held *h)
{
    int flags = fcntl(fd, F_GETFL), cloexec = fcntl(fd, F_GETFD);
    _cleanup_close_ int other =
        socket(h->domain, h->type | SOCK_CLOEXEC | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0);

    if (other < 0)
        return -errno;
    if (h->type == SOCK_DGRAM)
        (void)connect(other, &h->at.any, h->at_len);
    else
        (void)shutdown(other, SHUT_RDWR); /* "not connected", but marked all the same */
    return dup3(other, fd, cloexec & FD_CLOEXEC ? O_CLOEXEC : 0) < 0 ? -errno : 0;
}

static void address_text(const struct held *h, char *dst, size_t dst_size)
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (h->domain == AF_UNIX) {
        const char *path = h->at.local.sun_path;
        size_t len = h->at_len - offsetof(struct sockaddr_un, sun_path);

        /* An abstract name begins with a NUL; a path ends with one. */
        (void)snprintf(dst, dst_size, "%s%.*s", *path ? "" : "@",
                       (int)strnlen(path + !*path, len - !*path), path + !*path);
        return;
    }
    (void)inet_ntop(h->domain,
                    h->domain == AF_INET ? (const void *)&h->at.v4.sin_addr
                                         : (const void *)&h->at.v6.sin6_addr,
                    host, sizeof(host));
    (void)snprintf(dst, dst_size, h->domain == AF_INET ? "%s:%u" : "[%s]:%u", host,
                   ntohs(h->domain == AF_INET ? h->at.v4.sin_port : h->at.v6.sin6_port));
}

static void tell(const struct held *h)
{
    char at[128];

    address_text(h, at, sizeof(at));
    if (h->listens)
        (void)dprintf(STDERR_FILENO,
                      "mayfly: the function listens on %s since it was loaded; nobody would answer "
                      "there, so this socket is closed. Requests come from mayfly.\n",
                      at);
    else
        (void)dprintf(
            STDERR_FILENO,
            "mayfly: the function was connected to %s when it was loaded; requests, each in "
            "a process of its own, cannot share a connection, so this one is closed. Connect "
            "in the handler.\n",
            at);
}

void sockets_let_go(void)
{
    DIR *d = opendir("/proc/self/fd");
    struct dirent *e;
    unsigned n = 0;

    while (d && (e = readdir(d))) {
        char *end;
        long fd = strtol(e->d_name, &end, 10);
        struct held h;

        if (*end || end == e->d_name || (fd >= ZYGOTE_FD_WORKER && fd <= ZYGOTE_FD_LAST) ||
            fd == dirfd(d) || !leads_out((int)fd, &h) || put_in_place((int)fd, &h) < 0)
            continue;
        if (h.type != SOCK_DGRAM && n++ < TOLD_MAX)
            tell(&h);
    }
    if (d)
        (void)closedir(d);
}
