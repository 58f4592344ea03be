#include "endpoint.h"

#include "rapi.h"

#include "os/clone.h"
#include "os/fd.h"
#include "os/notify.h"
#include "os/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES       (128UL * 1024)
#define ACCEPT_MS         1000
#define BACKLOG           16
#define EXIT_NOT_EXECUTED 127
#define FD_FIRST          3

/* ---- connections ---- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
};

static bool is_mapped_loopback(const struct in6_addr *a)
{
    return IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr32[3] == htonl(INADDR_LOOPBACK);
}

static bool is_ours(const union address *a, size_t len)
{
    if (len >= sizeof(a->v4) && a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK) &&
               a->v4.sin_port == htons(RAPI_PORT);
    return len >= sizeof(a->v6) && a->any.sa_family == AF_INET6 &&
           is_mapped_loopback(&a->v6.sin6_addr) && a->v6.sin6_port == htons(RAPI_PORT);
}

static in_port_t port_of(int fd, bool peer)
{
    union address a = {.any.sa_family = AF_UNSPEC};
    socklen_t len = sizeof(a);
    int r = peer ? getpeername(fd, &a.any, &len) : getsockname(fd, &a.any, &len);

    if (r < 0)
        return 0;
    if (a.any.sa_family == AF_INET && a.v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK))
        return a.v4.sin_port;
    if (a.any.sa_family == AF_INET6 && is_mapped_loopback(&a.v6.sin6_addr))
        return a.v6.sin6_port;
    return 0;
}

static int option_of(int fd, int option)
{
    socklen_t len = sizeof(int);
    int value = -1;

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

/* Accepts until the peer is the program's socket: who else comes by in this moment is dropped. */
static int accept_own(int listener, int program)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};

    for (;;) {
        int fd, n = poll(&p, 1, ACCEPT_MS);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ETIMEDOUT;
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return -errno;
        if (port_of(fd, true) != 0 && port_of(fd, true) == port_of(program, false))
            return fd;
        fd_close(fd);
    }
}

/* Connects the program's socket, which blocks or not as the program likes, to one of ours. Returns
 * that, or -errno. */
static int connect_to_us(int program)
{
    union address at = {.v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
    _cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = sizeof(at.v4);
    int flags = fcntl(program, F_GETFL), fd, one = 1;

    if (listener < 0 || flags < 0 || bind(listener, &at.any, len) < 0 ||
        listen(listener, BACKLOG) < 0 || getsockname(listener, &at.any, &len) < 0)
        return -errno;
    if (option_of(program, SO_DOMAIN) == AF_INET6) {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = at.v4.sin_port};

        v6.sin6_addr.s6_addr32[2] = htonl(0xffff);
        v6.sin6_addr.s6_addr32[3] = htonl(INADDR_LOOPBACK);
        at.v6 = v6;
        len = sizeof(v6);
    }
    (void)fcntl(program, F_SETFL, flags | O_NONBLOCK);
    fd = connect(program, &at.any, len) < 0 && errno != EINPROGRESS ? -errno
                                                                    : accept_own(listener, program);
    (void)fcntl(program, F_SETFL, flags);
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

/* Returns 1 if the call has been answered, 0 if it is the kernel's affair. */
static int answer_connect(const struct endpoint *e, const struct notify_call *call)
{
    size_t len = (size_t)MIN(call->args[2], sizeof(struct sockaddr_in6));
    union address to = {.any.sa_family = AF_UNSPEC};
    _cleanup_close_ int program = -1, own = -1;
    int error;

    if (len < sizeof(to.v4) || notify_read_memory(e->notify, call, call->args[1], &to, len) < 0 ||
        !is_ours(&to, len))
        return 0;
    program = notify_take_fd(e->notify, call, (int)call->args[0]);
    if (program < 0 || option_of(program, SO_TYPE) != SOCK_STREAM)
        return 0;
    own = connect_to_us(program);
    error = own < 0 ? -own : 0;
    if (own < 0)
        own = -1;
    else if (sock_send(e->other, SLICE_LIT("c"), &own, 1) < 0)
        error = ECONNREFUSED; /* more connections than we care for */
    if (error > 0)
        (void)notify_fail(e->notify, call, error);
    else
        (void)notify_answer(e->notify, call, 0);
    return 1;
}

static void *watch(void *ctx)
{
    struct endpoint *e = ctx;
    struct pollfd p = {.fd = e->notify, .events = POLLIN};

    for (;;) {
        struct notify_call call;
        int r = poll(&p, 1, -1);

        if (r < 0 && errno != EINTR)
            break;
        if (r <= 0)
            continue;
        if (!(p.revents & POLLIN))
            break; /* nobody is left that is watched */
        r = notify_receive(e->notify, &call);
        if (r < 0)
            break;
        if (r > 0 && answer_connect(e, &call) == 0)
            (void)notify_continue(e->notify, &call);
    }
    fd_close(e->notify);
    fd_close(e->other);
    free(e);
    return NULL;
}

/* The thread has the descriptors to itself, and ends by itself. */
static int watch_start(struct endpoint *e)
{
    struct endpoint *own = malloc(sizeof(*own));
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    int r;

    if (!own)
        return -ENOMEM;
    *own = *e;
    sigfillset(&all); /* the report at the deadline is the main thread's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    r = pthread_create(&thread, &attributes, watch, own);
    (void)pthread_attr_destroy(&attributes);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        free(own);
        return -r;
    }
    e->notify = e->other = -1;
    return 0;
}

/* ---- the program ---- */

/* What the new process says before it is the program: its listener, or an errno. Nothing means
 * that it has been executed. */
struct word {
    int error;
};

static _noreturn_ void say_error(int to, int error)
{
    const struct word word = {.error = error};

    (void)sock_send(to, slice(&word, sizeof(word)), NULL, 0);
    _exit(EXIT_NOT_EXECUTED);
}

static _noreturn_ void become_program(int to, char *const *argv)
{
    static const int calls[] = {SYS_connect};
    const struct word word = {.error = 0};
    int fd;

    (void)setpgid(0, 0);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGQUIT, SIG_DFL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        say_error(to, errno);
    fd = notify_listen(calls, ARRAY_SIZE(calls));
    if (fd < 0)
        say_error(to, -fd);
    if (sock_send(to, slice(&word, sizeof(word)), &fd, 1) < 0)
        _exit(EXIT_NOT_EXECUTED);
    if (close_range(FD_FIRST, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        say_error(to, errno);
    (void)execve(argv[0], argv, environ);
    say_error(to, errno);
}

/* Returns 0, or -errno with what failed. */
static int hear(struct endpoint *e, int from, const char **ret_step)
{
    int fds[SOCK_FDS_MAX];
    struct word word;
    unsigned n = 0;
    ssize_t got;

    *ret_step = "watch";
    got = sock_recv(from, &word, sizeof(word), fds, &n);
    if (got != (ssize_t)sizeof(word) || word.error != 0 || n != 1)
        return got == (ssize_t)sizeof(word) && word.error > 0 ? -word.error : -ECHILD;
    e->notify = fds[0];
    *ret_step = "start";
    got = sock_recv(from, &word, sizeof(word), fds, &n);
    return got == (ssize_t)sizeof(word) && word.error > 0 ? -word.error : 0;
}

int endpoint_start(struct endpoint *e, char *const *argv, struct pidref *ret_child,
                   const char **ret_step)
{
    _cleanup_close_ int from = -1, to = -1;
    struct pidref child = PIDREF_NULL;
    int pair[2], r;

    *e = ENDPOINT_NULL;
    *ret_step = "fork";
    r = sock_pair(SOCK_SEQPACKET, pair);
    if (r < 0)
        return r;
    from = pair[0];
    to = pair[1];
    r = sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, pair);
    if (r < 0)
        return r;
    e->connections = pair[0];
    e->other = pair[1];
    r = os_clone(0, &child);
    if (r == 0)
        become_program(to, argv);
    to = fd_close(to);
    if (r > 0)
        r = hear(e, from, ret_step);
    if (r == 0)
        r = watch_start(e);
    if (r < 0) {
        if (pidref_is_set(&child)) {
            (void)pidref_kill(&child, SIGKILL);
            (void)waitpid(child.pid, NULL, 0);
        }
        pidref_done(&child);
        endpoint_end(e);
        return r;
    }
    *ret_child = child;
    return 0;
}

int endpoint_accept(struct endpoint *e)
{
    int fds[SOCK_FDS_MAX];
    unsigned n = 0;
    char byte;
    ssize_t got = sock_recv(e->connections, &byte, 1, fds, &n);

    if (got < 0)
        return (int)got;
    return got == 1 && n == 1 ? fds[0] : -EPIPE;
}

void endpoint_end(struct endpoint *e)
{
    fd_close(e->notify);
    fd_close(e->connections);
    fd_close(e->other);
    *e = ENDPOINT_NULL;
}
