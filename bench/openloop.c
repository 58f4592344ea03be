/* An open-loop load generator for HTTP/1.1 over loopback.
 *
 * A closed-loop client (wrk) waits for an answer before it sends the next request, so a server that
 * stalls is asked less, and the stall is hardly seen. Here request i is due at start + i / rate,
 * whatever the server does, and its latency counts from that moment: also the time it waits for a
 * free connection, for connect() and in our own queue. With --burst all requests are due at once.
 *
 *   openloop --port P --path /x --rate R --seconds S [--connections N] [--timeout S]
 *   openloop --port P --path /x --burst N [--timeout S]
 *
 * Connections are kept alive where the server does so, the one used last is used next, and new ones
 * are opened while none is free, up to N. Requests without an answer at the end count as errors and
 * enter the percentiles with their age. One JSON object goes to stdout; times are microseconds.
 *
 * The process sleeps to just before the next due time and spins for the rest (SPIN_NS), because a
 * timer alone wakes up late by more than what is measured. */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SEC  1000000000ULL
#define SPIN_NS     60000ULL
#define ANSWER_MAX  8192
#define REQUEST_MAX 4096
#define CONNECTIONS 4096 /* ceiling of --connections */
#define EVENTS_MAX  256
#define NO_REQUEST  SIZE_MAX
#define ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

enum failure {
    FAILED_CONNECT,
    FAILED_CLOSED,  /* the connection ended before the answer did */
    FAILED_STATUS,  /* an answer other than 2xx */
    FAILED_ANSWER,  /* no HTTP, or larger than ANSWER_MAX */
    FAILED_TIMEOUT, /* no answer when the run ended */
    _FAILURE_MAX,
};

static const char *const failure_names[_FAILURE_MAX] = {
    [FAILED_CONNECT] = "connect", [FAILED_CLOSED] = "closed",   [FAILED_STATUS] = "status",
    [FAILED_ANSWER] = "answer",   [FAILED_TIMEOUT] = "timeout",
};

struct options {
    uint16_t port;
    const char *path;
    const char *body;
    double rate;
    double seconds;
    double timeout;
    size_t burst;
    size_t connections;
};

struct connection {
    int fd;         /* -1 when closed */
    bool connected; /* connect() is over */
    bool reused;    /* has carried an answer: the server may close it at any time */
    size_t request; /* the request under way, or NO_REQUEST */
    size_t len;
    char answer[ANSWER_MAX + 1];
};

struct run {
    struct options options;
    char request[REQUEST_MAX];
    size_t request_len;
    int epoll_fd;

    struct connection *connections;
    size_t n_connections;     /* ever used */
    struct connection **idle; /* a stack: connected, no request */
    size_t n_idle;
    struct connection **closed; /* a stack: to be opened again */
    size_t n_closed;

    size_t n_requests;
    size_t n_started;
    size_t n_done;
    uint64_t interval_ns;
    uint64_t start_ns;
    uint64_t end_ns; /* when the run is cut off */
    uint64_t first_answer_ns, last_answer_ns;
    uint64_t *latencies_ns;
    bool *is_done;
    size_t failures[_FAILURE_MAX];
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "openloop: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t due_ns(const struct run *run, size_t request)
{
    return run->start_ns + request * run->interval_ns;
}

static void request_finish(struct run *run, size_t request, uint64_t now)
{
    run->latencies_ns[request] = now - due_ns(run, request);
    run->is_done[request] = true;
    run->n_done++;
}

static void request_fail(struct run *run, size_t request, enum failure failure)
{
    run->failures[failure]++;
    request_finish(run, request, now_ns());
}

/* ---- connections ---- */

static void idle_remove(struct run *run, const struct connection *c)
{
    for (size_t i = 0; i < run->n_idle; i++) {
        if (run->idle[i] == c) {
            memmove(&run->idle[i], &run->idle[i + 1], (--run->n_idle - i) * sizeof(*run->idle));
            return;
        }
    }
}

static void connection_close(struct run *run, struct connection *c)
{
    if (c->request == NO_REQUEST)
        idle_remove(run, c);

    (void)close(c->fd); /* leaves the epoll set with it */
    c->fd = -1;
    c->request = NO_REQUEST;
    run->closed[run->n_closed++] = c;
}

static void connection_fail(struct run *run, struct connection *c, enum failure failure)
{
    request_fail(run, c->request, failure);
    connection_close(run, c);
}

static bool connection_open(struct run *run, struct connection *c)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(run->options.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");

    c->connected = false;
    c->reused = false;
    c->len = 0;
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* only a speed-up */
    if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
        return false;

    if (epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
    return true;
}

static void connection_send(struct run *run, struct connection *c)
{
    ssize_t n;

    c->len = 0;
    n = send(c->fd, run->request, run->request_len, MSG_NOSIGNAL);
    /* A request is far smaller than a fresh socket's buffer, so it goes out whole or not at all. A
     * failure shows up as an event, too, and is dealt with there. */
    if (n >= 0 && (size_t)n != run->request_len)
        connection_fail(run, c, FAILED_CLOSED);
}

/* Opens c for the request it has. */
static void connection_start(struct run *run, struct connection *c)
{
    if (!connection_open(run, c))
        connection_fail(run, c, FAILED_CONNECT);
}

static void connection_is_connected(struct run *run, struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0) {
        connection_fail(run, c, FAILED_CONNECT);
        return;
    }

    c->connected = true;
    if (epoll_ctl(run->epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0)
        die("epoll_ctl");
    connection_send(run, c);
}

/* ---- answers ---- */

static const char *header_find(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);

    return at ? at + strlen(name) : NULL;
}

static bool keeps_alive(const char *head)
{
    const char *connection = header_find(head, "\r\nConnection:");

    if (connection)
        return strncasecmp(connection + strspn(connection, " "), "close", 5) != 0;
    return strncmp(head, "HTTP/1.1", 8) == 0;
}

/* Whether the answer in c is complete. at_end: the server has closed the connection. */
static bool answer_is_complete(struct connection *c, bool at_end)
{
    char *body, *length, *coding;
    bool complete;

    c->answer[c->len] = '\0';
    body = strstr(c->answer, "\r\n\r\n");
    if (!body)
        return false;

    body[2] = '\0'; /* the searches below end with the head */
    body += 4;
    length = (char *)header_find(c->answer, "\r\nContent-Length:");
    coding = (char *)header_find(c->answer, "\r\nTransfer-Encoding:");
    if (coding)
        complete = c->len >= 5 && memcmp(c->answer + c->len - 5, "0\r\n\r\n", 5) == 0;
    else if (length)
        complete = c->len - (size_t)(body - c->answer) >= strtoul(length, NULL, 10);
    else
        complete = at_end;

    if (!complete)
        body[-2] = '\r';
    return complete;
}

static void connection_complete(struct run *run, struct connection *c, bool at_end)
{
    uint64_t now = now_ns();
    bool ok = strncmp(c->answer, "HTTP/1.", 7) == 0 && c->answer[9] == '2';

    if (!ok)
        run->failures[FAILED_STATUS]++;
    request_finish(run, c->request, now);
    run->last_answer_ns = now;
    if (run->first_answer_ns == 0)
        run->first_answer_ns = now;

    if (at_end || !keeps_alive(c->answer)) {
        connection_close(run, c);
        return;
    }
    c->request = NO_REQUEST;
    c->reused = true;
    run->idle[run->n_idle++] = c;
}

/* The connection ended without an answer. A server may close an idle connection just as a request
 * is sent on it; such a request is sent once more on a new one, as every HTTP client does. */
static void connection_is_cut(struct run *run, struct connection *c)
{
    size_t request = c->request;

    if (request == NO_REQUEST) {
        connection_close(run, c);
    } else if (c->reused && c->len == 0) {
        (void)close(c->fd);
        connection_start(run, c);
    } else {
        connection_fail(run, c, FAILED_CLOSED);
    }
}

static void connection_read(struct run *run, struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->len, ANSWER_MAX - c->len, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && c->request == NO_REQUEST) { /* speaks unasked */
        connection_close(run, c);
        return;
    }
    if (n > 0)
        c->len += (size_t)n;

    if (c->request != NO_REQUEST && answer_is_complete(c, n <= 0))
        connection_complete(run, c, n <= 0);
    else if (n <= 0)
        connection_is_cut(run, c);
    else if (c->len == ANSWER_MAX)
        connection_fail(run, c, FAILED_ANSWER);
}

/* ---- the run ---- */

static bool can_start(const struct run *run)
{
    return run->n_started < run->n_requests &&
           (run->n_idle > 0 || run->n_closed > 0 || run->n_connections < run->options.connections);
}

static void start_request(struct run *run)
{
    struct connection *c;

    if (run->n_idle > 0) {
        c = run->idle[--run->n_idle];
        c->request = run->n_started++;
        connection_send(run, c);
        return;
    }
    c = run->n_closed > 0 ? run->closed[--run->n_closed] : &run->connections[run->n_connections++];
    c->request = run->n_started++;
    connection_start(run, c);
}

/* How long to sleep: to shortly before the next due time; 0 to spin. */
static uint64_t sleep_ns(const struct run *run)
{
    uint64_t now = now_ns();
    uint64_t until = can_start(run) ? due_ns(run, run->n_started) : run->end_ns;

    return until > now + SPIN_NS ? until - now - SPIN_NS : 0;
}

static void wait_for_events(struct run *run)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t sleep = sleep_ns(run);
    struct timespec timeout = {(time_t)(sleep / NS_PER_SEC), (long)(sleep % NS_PER_SEC)};
    int n = epoll_pwait2(run->epoll_fd, events, EVENTS_MAX, &timeout, NULL);

    if (n < 0 && errno != EINTR)
        die("epoll_pwait2");

    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;

        if (c->fd < 0) /* closed by an earlier event */
            continue;
        if (!c->connected)
            connection_is_connected(run, c);
        else
            connection_read(run, c);
    }
}

static void run_all(struct run *run)
{
    const struct options *o = &run->options;

    run->start_ns = now_ns() + NS_PER_SEC / 1000;
    run->end_ns = due_ns(run, run->n_requests - 1) + (uint64_t)(o->timeout * NS_PER_SEC);

    while (run->n_done < run->n_requests && now_ns() < run->end_ns) {
        while (can_start(run) && due_ns(run, run->n_started) <= now_ns())
            start_request(run);
        wait_for_events(run);
    }

    for (size_t i = 0; i < run->n_requests; i++)
        if (!run->is_done[i])
            request_fail(run, i, FAILED_TIMEOUT);
}

/* ---- the report ---- */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double percentile_us(const struct run *run, double percent)
{
    size_t rank = (size_t)(percent / 100 * (double)run->n_requests);

    if (rank >= run->n_requests)
        rank = run->n_requests - 1;
    return (double)run->latencies_ns[rank] / 1000;
}

static double since_start_us(const struct run *run, uint64_t at_ns)
{
    return at_ns ? (double)(at_ns - run->start_ns) / 1000 : 0;
}

static void report(struct run *run)
{
    static const double percents[] = {50, 90, 99, 99.9, 100};
    static const char *const names[] = {"p50", "p90", "p99", "p999", "max"};
    size_t n_failed = 0;

    qsort(run->latencies_ns, run->n_requests, sizeof(*run->latencies_ns), compare_u64);
    for (size_t i = 0; i < _FAILURE_MAX; i++)
        n_failed += run->failures[i];

    printf("{\"sent\": %zu, \"ok\": %zu, \"errors\": %zu, \"errors_by_kind\": {", run->n_requests,
           run->n_requests - n_failed, n_failed);
    for (size_t i = 0; i < _FAILURE_MAX; i++)
        printf("%s\"%s\": %zu", i ? ", " : "", failure_names[i], run->failures[i]);
    printf("}, \"connections\": %zu, \"min\": %.1f", run->n_connections, percentile_us(run, 0));
    for (size_t i = 0; i < ELEMENTS(percents); i++)
        printf(", \"%s\": %.1f", names[i], percentile_us(run, percents[i]));
    printf(", \"first_answer\": %.1f, \"last_answer\": %.1f}\n",
           since_start_us(run, run->first_answer_ns), since_start_us(run, run->last_answer_ns));
}

/* ---- setting up ---- */

static void options_parse(int argc, char *argv[], struct options *o)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"path", required_argument, NULL, 'u'},
        {"body", required_argument, NULL, 'd'},
        {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},
        {"burst", required_argument, NULL, 'b'},
        {"connections", required_argument, NULL, 'c'},
        {"timeout", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *o = (struct options){.path = "/", .seconds = 1, .timeout = 5, .connections = 512};
    while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
        switch (option) {
        case 'p':
            o->port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'u':
            o->path = optarg;
            break;
        case 'd':
            o->body = optarg;
            break;
        case 'r':
            o->rate = strtod(optarg, NULL);
            break;
        case 's':
            o->seconds = strtod(optarg, NULL);
            break;
        case 'b':
            o->burst = strtoul(optarg, NULL, 10);
            break;
        case 'c':
            o->connections = strtoul(optarg, NULL, 10);
            break;
        case 't':
            o->timeout = strtod(optarg, NULL);
            break;
        default:
            exit(2);
        }
    }
    if (o->burst > 0)
        o->connections = o->burst;
    if (o->port == 0 || (o->rate <= 0 && o->burst == 0) || o->seconds <= 0 || o->timeout <= 0 ||
        o->connections == 0 || o->connections > CONNECTIONS) {
        fprintf(stderr,
                "usage: openloop --port P --path PATH (--rate R --seconds S | --burst N)"
                " [--connections 1..%d] [--timeout S] [--body TEXT]\n",
                CONNECTIONS);
        exit(2);
    }
}

static void request_build(struct run *run)
{
    const struct options *o = &run->options;
    int n;

    if (o->body)
        n = snprintf(run->request, sizeof(run->request),
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     o->path, strlen(o->body), o->body);
    else
        n = snprintf(run->request, sizeof(run->request),
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", o->path);
    if (n < 0 || (size_t)n >= sizeof(run->request)) {
        errno = EMSGSIZE;
        die("request");
    }
    run->request_len = (size_t)n;
}

static void *allocate(size_t n, size_t size)
{
    void *p = calloc(n, size);

    if (!p)
        die("calloc");
    memset(p, 0, n * size); /* its page faults come now, not during the run */
    return p;
}

static void run_init(struct run *run)
{
    const struct options *o = &run->options;

    run->n_requests = o->burst > 0 ? o->burst : (size_t)(o->rate * o->seconds);
    if (run->n_requests == 0)
        run->n_requests = 1;
    run->interval_ns = o->burst > 0 ? 0 : (uint64_t)((double)NS_PER_SEC / o->rate);
    run->connections = allocate(o->connections, sizeof(*run->connections));
    run->idle = allocate(o->connections, sizeof(*run->idle));
    run->closed = allocate(o->connections, sizeof(*run->closed));
    run->latencies_ns = allocate(run->n_requests, sizeof(*run->latencies_ns));
    run->is_done = allocate(run->n_requests, sizeof(*run->is_done));
    run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (run->epoll_fd < 0)
        die("epoll_create1");
}

int main(int argc, char *argv[])
{
    static struct run run;
    struct rlimit files;

    options_parse(argc, argv, &run.options);
    request_build(&run);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* socket() tells if it was not enough */
    }
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0); /* without it the spinning starts late */
    run_init(&run);
    run_all(&run);
    report(&run);
    return 0;
}
