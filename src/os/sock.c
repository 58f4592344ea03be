#include "os/sock.h"

#include "os/fault.h"
#include "os/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* How many connections may wait to be accepted: a restart of the gateway must not refuse any. */
#define LISTEN_BACKLOG 4096

int sock_pair(int type, int ret_fds[2])
{
    int r = os_fault(OS_CALL_SOCKET);

    if (r < 0)
        return r;
    return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_fds) < 0 ? -errno : 0;
}

union control {
    char bytes[CMSG_SPACE(SOCK_FDS_MAX * sizeof(int))];
    struct cmsghdr align;
};

ssize_t sock_send(int fd, struct slice bytes, const int *fds, unsigned n_fds)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes.base, .iov_len = bytes.len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control;
    ssize_t n;
    int r;

    assert(n_fds <= SOCK_FDS_MAX);
    r = os_fault(OS_CALL_SEND);
    if (r < 0)
        return r;
    if (n_fds > 0) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof(control));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    do {
        n = sendmsg(fd, &msg, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t sock_recv(int fd, void *dst, size_t size, int ret_fds[static SOCK_FDS_MAX],
                  unsigned *ret_n_fds)
{
    struct iovec iov = {.iov_base = dst, .iov_len = size};
    union control control;
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    unsigned n_fds = 0;
    ssize_t n;
    int r;

    *ret_n_fds = 0;
    r = os_fault(OS_CALL_RECV);
    if (r < 0)
        return r;
    do {
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count && n_fds < SOCK_FDS_MAX; i++)
            memcpy(&ret_fds[n_fds++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        for (unsigned i = 0; i < n_fds; i++)
            fd_close(ret_fds[i]);
        return -EMSGSIZE;
    }
    *ret_n_fds = n_fds;
    return n;
}

/* Splits "host:port" or "[host]:port" and fills in the address. */
static int parse_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    struct sockaddr_in *in = (struct sockaddr_in *)ret;
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + 2], *end;
    const char *h = host;
    unsigned long port;

    memset(ret, 0, sizeof(*ret));
    if (!colon || (size_t)(colon - text) >= sizeof(host) || colon[1] < '0' || colon[1] > '9')
        return -EINVAL;
    port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || port > UINT16_MAX)
        return -EINVAL;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    if (strcmp(host, "localhost") == 0)
        h = "127.0.0.1";
    if (inet_pton(AF_INET, h, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        *ret_len = sizeof(*in);
        return 0;
    }
    if (host[0] != '[' || host[strlen(host) - 1] != ']')
        return -EINVAL;
    host[strlen(host) - 1] = '\0';
    if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1)
        return -EINVAL;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    *ret_len = sizeof(*in6);
    return 0;
}

int sock_listen_tcp(const char *address)
{
    struct sockaddr_storage addr;
    _cleanup_close_ int fd = -1;
    socklen_t len;
    int on = 1, r;

    r = parse_address(address, &addr, &len);
    if (r < 0)
        return r;
    r = os_fault(OS_CALL_SOCKET);
    if (r < 0)
        return r;
    fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* Inherited by what is accepted: answers are written whole, so waiting for more helps nobody.
     */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&addr, len) < 0)
        return -errno;
    if (listen(fd, LISTEN_BACKLOG) < 0)
        return -errno;
    return take_fd(&fd);
}

/* Whether a process listens on the socket file. */
static bool unix_is_alive(const struct sockaddr_un *addr)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd >= 0 &&
           (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN);
}

int sock_listen_unix(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = -1;
    mode_t mask;
    int r;

    if (strlen(path) >= sizeof(addr.sun_path))
        return -ENAMETOOLONG;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (unix_is_alive(&addr))
        return -EADDRINUSE;
    (void)unlink(path); /* left behind by a daemon that was killed; bind() tells if it stays */
    mask = umask(0177);
    r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
    (void)umask(mask);
    if (r < 0)
        return r;
    if (listen(fd, LISTEN_BACKLOG) < 0)
        return -errno;
    return take_fd(&fd);
}

int sock_local_address(int fd, char *dst, size_t dst_size)
{
    struct sockaddr_storage addr = {0};
    char host[INET6_ADDRSTRLEN] = "";
    socklen_t len = sizeof(addr);

    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        return -errno;
    if (addr.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&addr;

        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        (void)snprintf(dst, dst_size, "%s:%u", host, ntohs(in->sin_port));
    } else if (addr.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr;

        (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        (void)snprintf(dst, dst_size, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        return -EAFNOSUPPORT;
    }
    return 0;
}
