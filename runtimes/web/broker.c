/* "A socket belongs to the network namespace in which it was made" (network_namespaces(7)). A
 * server needs two networks at once: the machine's, to call others, and one that nobody else is in,
 * to be called. So its process stays where it is, and when it calls bind() on a TCP socket (or
 * connects to a port of its own), that call waits (os/notify.h) while we put a socket of our
 * namespace in the place of its own; then the kernel makes the call, on the new socket. What
 * follows (listen, accept, getsockname, passing it to other processes) needs no help.
 *
 * No rights hang on what we read of the program: a program that tricked us would have bound a port
 * of the machine, as any function with the network "host" may. It could not reach our namespace
 * from outside. */

#include "broker.h"

#include "packets.h"

#include "base/clock.h"
#include "http/http.h"
#include "os/cred.h"
#include "os/fd.h"
#include "os/net.h"
#include "os/notify.h"
#include "os/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PORTS_MAX       8    /* of the program, that are looked at */
#define LISTENS         0x0a /* TCP_LISTEN, as /proc says it */
#define PAUSE_FIRST_MS  1
#define PAUSE_MAX_MS    50
#define ATTEMPT_MS      5000 /* for one answer to the question whether it is ready */
#define ANSWER_HEAD_MAX 65536
#define STATUS_READY    500 /* below: it answers, whatever it thinks of the path */

enum attempt {
    ATTEMPT_NONE,
    ATTEMPT_CONNECTING,
    ATTEMPT_ASKED,
    ATTEMPT_HEARD, /* it is ready; the rest of its answer is read, so that nothing breaks for it */
};

struct broker {
    const struct broker_options *options;
    int notify;                /* the program's listener; -1: none */
    uint16_t ports[PORTS_MAX]; /* on which the program listens */
    unsigned n_ports;
    bool is_ready;
    uint16_t port; /* where it listens, once that is known; before, the one that is tried */
    int family;
    unsigned n_tried; /* addresses, in this round */

    enum attempt attempt;
    int fd; /* of the attempt */
    uint64_t attempt_until_ns;
    uint64_t next_ns; /* attempt; 0: not before something is bound */
    unsigned pause_ms;
    struct buf answer;
    struct http_parser parser;
    struct http_head head;
    char hint[WEB_HINT_MAX];
};

static struct broker the_broker = {.notify = -1, .fd = -1, .family = AF_INET};

static const struct http_limits answer_limits = {
    .line_max = ANSWER_HEAD_MAX,
    .head_max = ANSWER_HEAD_MAX,
    .n_headers_max = HTTP_HEADERS_MAX,
    .body_max = UINT64_MAX,
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* ---- where the program listens ---- */

static bool listens_on(const struct broker *b, uint16_t port)
{
    for (unsigned i = 0; i < b->n_ports; i++) {
        if (b->ports[i] == port)
            return true;
    }
    return false;
}

/* Nobody else's sockets are in this namespace: who listens here is the program. */
static void look_for_ports(struct broker *b, const char *file)
{
    FILE *f = fopen(file, "re");
    char line[512];
    unsigned port, state;

    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &port, &state) == 2 &&
            state == LISTENS && b->n_ports < PORTS_MAX && !listens_on(b, (uint16_t)port))
            b->ports[b->n_ports++] = (uint16_t)port;
    }
    if (f)
        (void)fclose(f);
}

static void find_ports(struct broker *b)
{
    b->n_ports = 0;
    look_for_ports(b, "/proc/self/net/tcp");
    look_for_ports(b, "/proc/self/net/tcp6");
}

/* ---- what the program binds ---- */

/* Options that may have been set before bind() and that a server would miss. */
static void copy_options(int from, int to)
{
    static const struct {
        int level, name;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR},  {SOL_SOCKET, SO_REUSEPORT},      {SOL_SOCKET, SO_KEEPALIVE},
        {IPPROTO_TCP, TCP_NODELAY},  {IPPROTO_TCP, TCP_DEFER_ACCEPT}, {IPPROTO_TCP, TCP_FASTOPEN},
        {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_TCP, TCP_KEEPINTVL},    {IPPROTO_TCP, TCP_KEEPCNT},
        {IPPROTO_IPV6, IPV6_V6ONLY},
    };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        int value = 0;
        socklen_t len = sizeof(value);

        if (getsockopt(from, options[i].level, options[i].name, &value, &len) == 0)
            (void)setsockopt(to, options[i].level, options[i].name, &value, len);
    }
}

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);

    return getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

static bool is_tcp(int fd)
{
    int domain = option(fd, SOL_SOCKET, SO_DOMAIN);

    return (domain == AF_INET || domain == AF_INET6) &&
           option(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM;
}

/* One that says it wants no port yet is about to connect. */
static bool is_servers(int fd)
{
    return is_tcp(fd) && option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) <= 0;
}

/* Without a network of our own: some port of the loopback interface, in place of the one asked for,
 * which may be taken. */
static int bind_somewhere(int fd, uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);

    if (bind(fd, (const struct sockaddr *)&at, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return -errno;
    *ret_port = ntohs(at.sin_port);
    return 0;
}

/* Puts a socket of ours in the place of the program's. Returns 1 if the kernel shall go on with the
 * call, 0 if it is answered, or -errno. */
static int move_socket(struct broker *b, const struct notify_call *call, int theirs)
{
    int target = (int)call->args[0], flags = fcntl(theirs, F_GETFL);
    int domain = b->options->own_network ? option(theirs, SOL_SOCKET, SO_DOMAIN) : AF_INET;
    int cloexec = notify_fd_is_cloexec(b->notify, call, target), r;
    _cleanup_close_ int ours =
        socket(domain, SOCK_STREAM | SOCK_CLOEXEC | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0);

    if (ours < 0)
        return -errno;
    copy_options(theirs, ours);
    if (!b->options->own_network && b->n_ports < PORTS_MAX) {
        r = bind_somewhere(ours, &b->ports[b->n_ports]);
        if (r < 0)
            return r;
        b->n_ports++;
    }
    r = notify_put_fd(b->notify, call, ours, target, cloexec > 0);
    if (r < 0)
        return r;
    return b->options->own_network ? 1 : notify_answer(b->notify, call, 0);
}

static int on_bind(struct broker *b, const struct notify_call *call)
{
    _cleanup_close_ int theirs = notify_take_fd(b->notify, call, (int)call->args[0]);

    if (!b->is_ready) {
        b->pause_ms = PAUSE_FIRST_MS;
        b->next_ns = clock_now_ns() + PAUSE_FIRST_MS * NS_PER_MS;
    }
    return theirs >= 0 && is_servers(theirs) ? move_socket(b, call, theirs) : 1;
}

/* The port of a loopback address, 0 for any other. */
static uint16_t own_port(const union address *at)
{
    static const struct in6_addr loopback6 = IN6ADDR_LOOPBACK_INIT;
    const uint8_t *v6 = at->v6.sin6_addr.s6_addr;
    static const uint8_t mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};

    if (at->any.sa_family == AF_INET && ntohl(at->v4.sin_addr.s_addr) >> 24 == 127)
        return ntohs(at->v4.sin_port);
    if (at->any.sa_family == AF_INET6 &&
        (memcmp(v6, &loopback6, sizeof(loopback6)) == 0 || memcmp(v6, mapped, sizeof(mapped)) == 0))
        return ntohs(at->v6.sin6_port);
    return 0;
}

/* What the program listens on, its other parts reach as ever: a connection to a port of its own is
 * made in our namespace, too. A look at /proc for each connection to this machine is the price. */
static int on_connect(struct broker *b, const struct notify_call *call)
{
    _cleanup_close_ int theirs = -1;
    union address at;
    uint16_t port;

    memset(&at, 0, sizeof(at));
    if (!b->options->own_network || call->args[2] < sizeof(at.v4) ||
        notify_read_memory(b->notify, call, call->args[1], &at,
                           MIN((size_t)call->args[2], sizeof(at))) < 0)
        return 1;
    port = own_port(&at);
    if (port == 0)
        return 1;
    find_ports(b);
    if (!listens_on(b, port))
        return 1;
    theirs = notify_take_fd(b->notify, call, (int)call->args[0]);
    return theirs >= 0 && is_tcp(theirs) ? move_socket(b, call, theirs) : 1;
}

static void on_call(struct broker *b)
{
    struct notify_call call;
    int r = notify_receive(b->notify, &call);

    if (r <= 0)
        return;
    r = call.number == SYS_bind ? on_bind(b, &call) : on_connect(b, &call);
    if (r == 1)
        (void)notify_continue(b->notify, &call);
    else if (r < 0)
        (void)notify_fail(b->notify, &call, -r);
}

/* ---- connections ---- */

/* Begins to connect, without waiting for the end. Returns the socket or -errno. */
static int dial(int family, uint16_t port)
{
    union address at = {.v4 = {.sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr = {htonl(INADDR_LOOPBACK)}}};
    socklen_t len = sizeof(at.v4);
    _cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1, result;

    if (fd < 0)
        return -errno;
    if (family == AF_INET6) {
        at.v6 = (struct sockaddr_in6){
            .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        len = sizeof(at.v6);
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, &at.any, len) < 0 && errno != EINPROGRESS)
        return -errno;
    result = fd;
    fd = -1;
    return result;
}

static void on_channel(struct broker *b)
{
    int fds[SOCK_FDS_MAX], fd;
    unsigned n_fds = 0;
    struct web_reply reply = {.error = 0};
    char packet[8];
    ssize_t n = sock_recv(b->options->channel, packet, sizeof(packet), fds, &n_fds);

    if (n == 0)
        _exit(EXIT_SUCCESS); /* the zygote has done with this server */
    if (n < 0 || packet[0] != WEB_CONNECT || n_fds != 1)
        return;
    fd = dial(b->family, b->port);
    if (fd < 0)
        reply.error = -fd;
    (void)sock_send(fds[0], slice((const char *)&reply, sizeof(reply)), &fd, fd >= 0);
    fd_close(fd);
    fd_close(fds[0]);
}

/* ---- whether it is ready ---- */

static void tell_hint(struct broker *b, const char *format, ...) _printf_(2, 3);

static void tell_hint(struct broker *b, const char *format, ...)
{
    char packet[1 + WEB_HINT_MAX] = {WEB_HINT};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(packet + 1, WEB_HINT_MAX, format, args);
    va_end(args);
    if (strcmp(b->hint, packet + 1) == 0)
        return;
    (void)snprintf(b->hint, sizeof(b->hint), "%s", packet + 1);
    (void)sock_send(b->options->channel, slice(packet, 1 + strlen(packet + 1)), NULL, 0);
}

static void attempt_end(struct broker *b)
{
    b->fd = fd_close(b->fd);
    b->attempt = ATTEMPT_NONE;
    buf_clear(&b->answer);
}

/* The next address to try: each port that may be meant, by IPv4 and IPv6. A program that does not
 * look at $PORT listens where it likes; as long as it does not listen there, the others count. */
static bool next_address(struct broker *b)
{
    bool asked;
    unsigned i = b->n_tried / 2;

    if (b->n_tried == 0 && b->options->own_network)
        find_ports(b);
    asked = listens_on(b, b->options->port);
    if (i >= (asked ? 1 : b->n_ports))
        return false;
    b->port = asked ? b->options->port : b->ports[i];
    b->family = b->n_tried % 2 == 0 ? AF_INET : AF_INET6;
    b->n_tried++;
    return true;
}

static void attempt_fails(struct broker *b)
{
    attempt_end(b);
    if (next_address(b)) {
        b->next_ns = clock_now_ns();
        return;
    }
    b->n_tried = 0;
    b->pause_ms = MIN(b->pause_ms * 2, (unsigned)PAUSE_MAX_MS);
    b->next_ns = clock_now_ns() + b->pause_ms * NS_PER_MS;
}

static void become_ready(struct broker *b)
{
    const char ready = WEB_READY;

    if (b->attempt == ATTEMPT_ASKED)
        b->attempt = ATTEMPT_HEARD;
    else
        attempt_end(b);
    b->is_ready = true;
    b->next_ns = 0;
    if (b->port != b->options->port && b->options->own_network)
        (void)dprintf(STDERR_FILENO,
                      "mayfly: the program listens on port %u, not on $PORT (%u); requests go "
                      "there\n",
                      b->port, b->options->port);
    (void)sock_send(b->options->channel, slice(&ready, 1), NULL, 0);
}

/* By IPv4 first: what was said there is not to be forgotten for IPv6. */
static void tell_refusal(struct broker *b)
{
    if (b->family == AF_INET)
        tell_hint(b, "nothing listens on port %u", b->port);
}

static void attempt_begin(struct broker *b)
{
    b->next_ns = 0;
    if (b->n_tried == 0 && !next_address(b)) {
        attempt_fails(b);
        return;
    }
    b->fd = dial(b->family, b->port);
    if (b->fd < 0) {
        tell_refusal(b);
        attempt_fails(b);
        return;
    }
    b->attempt = ATTEMPT_CONNECTING;
    b->attempt_until_ns = clock_now_ns() + ATTEMPT_MS * NS_PER_MS;
}

static void on_connected(struct broker *b)
{
    char request[8192];
    int n;

    if (option(b->fd, SOL_SOCKET, SO_ERROR) != 0) {
        tell_refusal(b);
        attempt_fails(b);
        return;
    }
    if (strcmp(b->options->readiness, "tcp") == 0) {
        become_ready(b);
        return;
    }
    n = snprintf(request, sizeof(request),
                 "GET %s HTTP/1.1\r\nHost: localhost:%u\r\nUser-Agent: mayfly-readiness\r\n"
                 "Accept: */*\r\nConnection: close\r\n\r\n",
                 b->options->readiness, b->port);
    if (send(b->fd, request, MIN((size_t)n, sizeof(request) - 1), MSG_NOSIGNAL) != n) {
        attempt_fails(b);
        return;
    }
    http_parser_init(&b->parser, HTTP_RESPONSE, &answer_limits);
    b->attempt = ATTEMPT_ASKED;
}

static void on_rest(struct broker *b)
{
    char dropped[4096];
    ssize_t n = read(b->fd, dropped, sizeof(dropped));

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        attempt_end(b);
}

/* Reads what has come of the answer; only its status counts. */
static void on_answer(struct broker *b)
{
    enum http_event event = HTTP_EVENT_MORE;
    struct slice data;
    size_t used = 0;
    ssize_t n = -1;

    if (buf_reserve(&b->answer, 4096) == 0)
        n = read(b->fd, buf_tail(&b->answer), 4096);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        buf_commit(&b->answer, (size_t)n);
        while ((event = http_parse(&b->parser, buf_slice(&b->answer), &used, &b->head, &data)) ==
                   HTTP_EVENT_HEAD &&
               b->head.status < 200) {
            buf_consume(&b->answer, used);
            (void)http_parse(&b->parser, buf_slice(&b->answer), &used, &b->head, &data);
            http_parser_next(&b->parser);
        }
    }
    if (event == HTTP_EVENT_MORE && n > 0)
        return;
    if (event == HTTP_EVENT_HEAD && b->head.status < STATUS_READY) {
        become_ready(b);
        return;
    }
    if (event == HTTP_EVENT_HEAD)
        tell_hint(b, "GET %.100s on port %u is answered with %u", b->options->readiness, b->port,
                  b->head.status);
    else if (buf_len(&b->answer) == 0)
        tell_hint(b, "port %u closes the connection without an answer to GET %.100s", b->port,
                  b->options->readiness);
    else
        tell_hint(b, "what port %u answers to GET %.100s is not HTTP", b->port,
                  b->options->readiness);
    attempt_fails(b);
}

static void on_time(struct broker *b)
{
    uint64_t now = clock_now_ns();

    if (b->attempt == ATTEMPT_HEARD && now >= b->attempt_until_ns) {
        attempt_end(b);
    } else if (b->attempt != ATTEMPT_NONE && now >= b->attempt_until_ns) {
        tell_hint(b, "GET %.100s on port %u is not answered", b->options->readiness, b->port);
        attempt_fails(b);
    }
    if (b->attempt == ATTEMPT_NONE && b->next_ns > 0 && now >= b->next_ns)
        attempt_begin(b);
}

/* ---- the loop ---- */

static int wait_ms(const struct broker *b)
{
    uint64_t until = b->attempt != ATTEMPT_NONE ? b->attempt_until_ns : b->next_ns;
    uint64_t now = clock_now_ns();

    if (until == 0)
        return -1;
    return until <= now ? 0 : (int)((until - now) / NS_PER_MS) + 1;
}

static void take_listener(struct broker *b)
{
    int fds[SOCK_FDS_MAX];
    unsigned n_fds = 0;
    char letter = 0;

    if (sock_recv(b->options->watched, &letter, 1, fds, &n_fds) == 1 && n_fds == 1)
        b->notify = fds[0];
    else if (!b->options->own_network) { /* not watched: it must take the port that it was given */
        b->ports[b->n_ports++] = b->options->port;
        b->pause_ms = PAUSE_FIRST_MS;
        b->next_ns = clock_now_ns();
    }
}

enum {
    POLL_CHANNEL,
    POLL_NOTIFY,
    POLL_ATTEMPT,
    _POLL_MAX,
};

static void step(struct broker *b)
{
    struct pollfd fds[_POLL_MAX] = {
        [POLL_CHANNEL] = {.fd = b->options->channel, .events = POLLIN},
        [POLL_NOTIFY] = {.fd = b->notify, .events = POLLIN},
        [POLL_ATTEMPT] = {.fd = b->fd,
                          .events = b->attempt == ATTEMPT_CONNECTING ? POLLOUT : POLLIN},
    };

    if (poll(fds, _POLL_MAX, wait_ms(b)) < 0 && errno != EINTR)
        _exit(EXIT_FAILURE);
    if (fds[POLL_NOTIFY].revents & POLLIN)
        on_call(b);
    else if (fds[POLL_NOTIFY].revents)
        b->notify = fd_close(b->notify); /* nobody is left who could call */
    if (fds[POLL_ATTEMPT].revents && b->attempt == ATTEMPT_CONNECTING)
        on_connected(b);
    else if (fds[POLL_ATTEMPT].revents && b->attempt == ATTEMPT_HEARD)
        on_rest(b);
    else if (fds[POLL_ATTEMPT].revents)
        on_answer(b);
    on_time(b);
    if (fds[POLL_CHANNEL].revents)
        on_channel(b);
}

/* Of what the zygote has, it keeps the two sockets and stderr; of its rights, that to look into the
 * program. */
static int prepare(const struct broker_options *o)
{
    int low = MIN(o->channel, o->watched), high = MAX(o->channel, o->watched), r = 0;

    (void)close_range(STDERR_FILENO + 1, (unsigned)low - 1, 0);
    if (high > low + 1)
        (void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
    (void)close_range((unsigned)high + 1, ~0U, 0);
    if (!o->own_network)
        return 0;
    r = net_loopback_up();
    return r < 0 ? r : cred_hold(1ULL << CAP_SYS_PTRACE | 1ULL << CAP_DAC_READ_SEARCH);
}

void broker_run(void *arg)
{
    struct broker *b = &the_broker;
    int r;

    b->options = arg;
    b->port = b->options->port;
    b->pause_ms = PAUSE_FIRST_MS;
    b->answer = BUF_INIT(ANSWER_HEAD_MAX + 4096);
    r = prepare(b->options);
    if (r < 0) {
        (void)dprintf(STDERR_FILENO, "mayfly: no network for the program: %s\n",
                      strerrordesc_np(-r));
        _exit(EXIT_FAILURE);
    }
    take_listener(b);
    tell_hint(b, "the program listens on no TCP port yet");
    for (;;)
        step(b);
}
