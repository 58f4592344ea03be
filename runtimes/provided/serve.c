/* The loop between the request and the program.
 *
 *   client --worker_read()--> body --event--> answer to `next` --> program
 *   client <--worker_*()----- result <------- response, error <--- program
 *
 * One request at a time, one event at a time. The program may have several connections. Writing to
 * the client may block: then the program waits, too, as it should; what it connects to meanwhile is
 * the endpoint's thread's affair. */

#include "serve.h"

#include "conn.h"
#include "endpoint.h"
#include "event.h"
#include "report.h"
#include "result.h"

#include "base/clock.h"
#include "base/parse.h"
#include "os/fd.h"
#include "zygote/zygote.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX     32
#define READ_BYTES    65536
#define BODY_MAX      (512UL * 1024 * 1024) /* beside the function's own limit */
#define ERROR_MAX     (1024UL * 1024)
#define EXIT_DEADLINE 124 /* as timeout(1) does */

/* After the answer: how long the program may take to ask for the next event, which it will not get.
 * What it still has to say is in the log by then. */
#define GRACE_NS NS_PER_S

static struct {
    struct serve_setup setup;
    struct endpoint endpoint;
    struct pidref child;
    struct rapi api;
    struct conn conns[CONNS_MAX];

    bool exited;
    int exit_kind, exit_status; /* CLD_..., and the code or signal */
    struct rusage usage;
    bool has_served;  /* this run of the program */
    bool init_failed; /* it has told why it cannot, in `error` */
    struct buf error; /* what it reports */
    char init_type[RAPI_TYPE_SIZE];

    /* the request */
    struct worker *w;
    bool is_http;
    bool body_ended;
    bool has_event;
    bool given;
    bool answered;
    bool too_large;
    bool streaming;
    struct buf body;
    struct buf event;
    struct buf answer;
    struct result_stream stream;
    int r; /* the first failure of the worker's socket */
} s = {.endpoint = {-1, -1, -1}, .child = {.fd = -1}};

void serve_init(const struct serve_setup *setup)
{
    s.setup = *setup;
    for (size_t i = 0; i < CONNS_MAX; i++)
        s.conns[i].fd = -1;
    buf_init(&s.error, ERROR_MAX);
    buf_init(&s.body, BODY_MAX);
    buf_init(&s.event, SIZE_MAX);
    buf_init(&s.answer, RAPI_RESPONSE_MAX);
}

static void note(int r)
{
    if (s.r == 0 && r < 0)
        s.r = r;
}

/* The request is answered, well or not. */
static void done(int r)
{
    note(r);
    s.answered = true;
}

static struct slice header_of(const char *name)
{
    struct slice value = SLICE_NULL;

    (void)http_head_find(worker_head(s.w), name, &value);
    return value;
}

/* ---- the program ---- */

static void name_log_stream(void)
{
    char text[128], date[32] = "";
    unsigned char random[16] = {0};
    time_t now = time(NULL);
    struct tm tm;
    int n;

    (void)!getrandom(random, sizeof(random), 0);
    if (gmtime_r(&now, &tm))
        (void)strftime(date, sizeof(date), "%Y/%m/%d", &tm);
    n = snprintf(text, sizeof(text), "%s/[%s]", date, s.setup.version);
    for (size_t i = 0; i < sizeof(random) && n > 0 && (size_t)n + 2 < sizeof(text); i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x", random[i]);
    (void)setenv("AWS_LAMBDA_LOG_STREAM_NAME", text, 1);
}

static int program_run(const char **ret_step)
{
    name_log_stream();
    rapi_init(&s.api);
    s.exited = s.has_served = s.init_failed = false;
    return endpoint_start(&s.endpoint, s.setup.argv, &s.child, ret_step);
}

static void conn_end(struct conn *c)
{
    if (c->fd < 0)
        return;
    c->fd = fd_close(c->fd);
    conn_deinit(c);
}

/* Nothing of the program may outlive it. */
static void program_end(void)
{
    for (size_t i = 0; i < CONNS_MAX; i++)
        conn_end(&s.conns[i]);
    if (pidref_is_set(&s.child)) {
        (void)killpg(s.child.pid, SIGKILL); /* not reaped yet */
        (void)waitpid(s.child.pid, NULL, 0);
        pidref_done(&s.child);
    }
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue; /* orphans that have come to us */
    endpoint_end(&s.endpoint);
}

/* Looks whether it has ended. It is not reaped, so that the number of its process group cannot
 * become another's. */
static void look_for_exit(void)
{
    siginfo_t info = {.si_pid = 0};

    if (syscall(SYS_waitid, P_PIDFD, s.child.fd, &info, WEXITED | WNOHANG | WNOWAIT, &s.usage) <
            0 ||
        info.si_pid == 0)
        return;
    s.exited = true;
    s.exit_kind = info.si_code;
    s.exit_status = info.si_status;
}

static void fail_exit(void)
{
    char how[64], message[256];
    struct slice id = header_of("Mayfly-Request-Id");

    if (s.exit_kind == CLD_EXITED)
        (void)snprintf(how, sizeof(how), "exit status %d", s.exit_status);
    else
        (void)snprintf(how, sizeof(how), "signal: %s", strsignal(s.exit_status));
    for (char *c = how; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (s.exit_kind == CLD_EXITED && s.exit_status == 0)
        (void)snprintf(message, sizeof(message),
                       "RequestId: %.*s Error: Runtime exited without providing a reason",
                       SLICE_ARG(id));
    else
        (void)snprintf(message, sizeof(message),
                       "RequestId: %.*s Error: Runtime exited with error: %s", SLICE_ARG(id), how);
    worker_suspect_child(s.w, s.exit_kind, s.exit_status, &s.usage);
    done(worker_fail_text(s.w, "Runtime.ExitError", message, ""));
}

/* ---- what the program says ---- */

static void begin_response(const struct conn *c)
{
    buf_clear(&s.answer);
    s.too_large = false;
    s.streaming = c->request.streaming;
    if (s.streaming)
        result_stream_begin(&s.stream, s.w, c->request.content_type);
}

static void on_begun(const struct conn *c)
{
    if (c->request.call == RAPI_CALL_RESPONSE)
        begin_response(c);
    else if (c->request.call == RAPI_CALL_ERROR || c->request.call == RAPI_CALL_INIT_ERROR)
        buf_clear(&s.error);
    if (!c->request.bad_mode)
        return;
    rapi_complete(&s.api);
    done(worker_fail_text(s.w, "Runtime.InvalidResponseModeHeader",
                          "Invalid function response mode", ""));
}

static void on_data(const struct conn *c, struct slice data)
{
    switch (c->request.call) {
    case RAPI_CALL_RESPONSE:
        if (s.streaming)
            note(result_stream_data(&s.stream, data));
        else if (buf_append_slice(&s.answer, data) < 0)
            s.too_large = true; /* read to its end, or the program would not hear our answer */
        break;
    case RAPI_CALL_ERROR:
    case RAPI_CALL_INIT_ERROR:
        (void)buf_append_slice(&s.error, slice(data.base, MIN(data.len, buf_room(&s.error))));
        break;
    case RAPI_CALL_NONE:
    case RAPI_CALL_NEXT:
    case RAPI_CALL_PING:
        break;
    }
}

static int fail_by_trailer(struct conn *c)
{
    struct buf json = BUF_INIT(CONN_TRAILER_MAX);
    int r = result_base64(buf_slice(&c->trailer_body), &json);

    r = result_error(s.w, c->trailer_type, r == 0 ? buf_slice(&json) : SLICE_NULL);
    buf_deinit(&json);
    return r;
}

static void end_response(struct conn *c)
{
    static const char too_large[] =
        "Response payload size exceeded maximum allowed payload size (6291556 bytes).";
    static const char refusal[] = "Exceeded maximum allowed payload size (6291556 bytes).";

    if (c->trailer_type[0] != '\0')
        done(fail_by_trailer(c));
    else if (s.streaming)
        done(result_stream_end(&s.stream));
    else if (s.too_large)
        done(worker_fail_text(s.w, "Function.ResponseSizeTooLarge", too_large, ""));
    else
        done(result_answer(s.w, s.is_http, buf_slice(&s.answer)));
    if (s.streaming)
        result_stream_deinit(&s.stream);
    rapi_complete(&s.api);
    if (s.too_large)
        conn_refuse(c, 413, "RequestEntityTooLarge", refusal);
    else
        conn_answer(c);
}

static void park(struct conn *c)
{
    for (size_t i = 0; i < CONNS_MAX; i++) {
        if (s.conns[i].fd >= 0 && s.conns[i].parked)
            conn_end(&s.conns[i]); /* the newest is the one that is still read */
    }
    c->parked = true;
}

static void init_fail(const struct conn *c)
{
    rapi_error_type(slice_str(c->request.error_type), s.init_type);
    s.init_failed = true;
}

static void on_end(struct conn *c)
{
    char type[RAPI_TYPE_SIZE];

    switch (c->request.call) {
    case RAPI_CALL_NEXT:
        park(c);
        return;
    case RAPI_CALL_RESPONSE:
        end_response(c);
        return;
    case RAPI_CALL_ERROR:
        rapi_error_type(slice_str(c->request.error_type), type);
        done(result_error(s.w, type, buf_slice(&s.error)));
        rapi_complete(&s.api);
        break;
    case RAPI_CALL_INIT_ERROR:
        init_fail(c);
        break;
    case RAPI_CALL_NONE:
    case RAPI_CALL_PING:
        break;
    }
    conn_answer(c);
}

static void on_cut(const struct conn *c)
{
    bool again = !s.streaming || !worker_is_started(s.w);

    if (c->request.call == RAPI_CALL_INIT_ERROR) {
        init_fail(c);
    } else if (c->request.call == RAPI_CALL_ERROR) {
        rapi_cut(&s.api, true);
    } else if (c->request.call == RAPI_CALL_RESPONSE) {
        rapi_cut(&s.api, again);
        if (!again)
            done(worker_fail_text(s.w, "Runtime.TruncatedResponse",
                                  "the program broke its response off", ""));
        if (s.streaming)
            result_stream_deinit(&s.stream);
    }
}

/* ---- connections ---- */

static void conn_write(struct conn *c)
{
    while (buf_len(&c->out) > 0) {
        ssize_t n = send(c->fd, buf_slice(&c->out).base, buf_len(&c->out), MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            conn_end(c);
            return;
        }
        buf_consume(&c->out, (size_t)n);
    }
    if (c->closing) {
        (void)shutdown(c->fd, SHUT_WR);
        conn_end(c);
    }
}

static void conn_work(struct conn *c)
{
    struct slice data;

    for (;;) {
        switch (conn_next(c, &s.api, &data)) {
        case CONN_BEGUN:
            on_begun(c);
            break;
        case CONN_DATA:
            on_data(c, data);
            break;
        case CONN_END:
            on_end(c);
            break;
        case CONN_CUT:
            on_cut(c);
            return;
        case CONN_MORE:
            return;
        }
        if (s.r < 0)
            return;
    }
}

/* Reads what is there, and answers what can be answered. */
static void conn_serve(struct conn *c)
{
    size_t room = MIN(buf_room(&c->in), (size_t)READ_BYTES);
    ssize_t n = -1;

    errno = ENOBUFS; /* it sends on and on while it waits: dropped */
    if (room > 0 && buf_reserve(&c->in, room) == 0)
        n = recv(c->fd, buf_tail(&c->in), room, 0);
    if (n > 0) {
        buf_commit(&c->in, (size_t)n);
        conn_work(c);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        if (conn_eof(c) == CONN_CUT)
            on_cut(c);
    }
    conn_write(c);
}

static void take_connections(void)
{
    for (;;) {
        int fd = endpoint_accept(&s.endpoint);
        struct conn *free_one = NULL;

        if (fd < 0)
            return;
        for (size_t i = 0; i < CONNS_MAX && !free_one; i++) {
            if (s.conns[i].fd < 0)
                free_one = &s.conns[i];
        }
        if (free_one)
            conn_init(free_one, fd);
        else
            fd_close(fd);
    }
}

/* ---- the request ---- */

/* Takes what is there of the body, without waiting. */
static void read_body(void)
{
    int r = fd_set_nonblock(ZYGOTE_FD_WORKER, true);

    while (r == 0 && !s.body_ended) {
        ssize_t n;

        r = buf_reserve(&s.body, READ_BYTES);
        if (r < 0)
            break;
        n = worker_read(s.w, buf_tail(&s.body), READ_BYTES);
        if (n > 0)
            buf_commit(&s.body, (size_t)n);
        s.body_ended = n == 0;
        r = (int)MIN(n, 0);
    }
    (void)fd_set_nonblock(ZYGOTE_FD_WORKER, false);
    if (r == -ENOMEM || r == -ENOBUFS) {
        worker_suspect(s.w, ENOMEM);
        done(worker_fail_text(s.w, "RequestEntityTooLarge",
                              "there is no memory for an event of this size", ""));
    } else if (r != -EAGAIN) {
        note(r);
    }
}

/* The request's body is the event, but for requests of the web, which are described in one. */
static void make_event(void)
{
    struct slice body = buf_slice(&s.body);
    int r;

    buf_clear(&s.event);
    if (s.is_http)
        r = lambda_event_write(&s.event, worker_head(s.w), body, clock_wall_us());
    else
        r = buf_append_slice(&s.event, body.len > 0 ? body : SLICE_LIT("{}"));
    if (r < 0) {
        worker_suspect(s.w, -r);
        done(worker_fail_text(s.w, "RequestEntityTooLarge",
                              "there is no memory for an event of this size", ""));
    }
    s.has_event = true;
    buf_deinit(&s.body);
}

static void give_event(void)
{
    char trace[LAMBDA_TRACE_SIZE];
    struct rapi_event event = {.id = header_of("Mayfly-Request-Id"),
                               .arn = slice_str(s.setup.arn),
                               .body = buf_slice(&s.event)};

    lambda_trace(header_of("traceparent"), trace);
    event.trace = slice_str(trace);
    if (parse_u64(header_of("Mayfly-Deadline-Ms"), UINT64_MAX, &event.deadline_ms) < 0)
        event.deadline_ms = clock_wall_us() / 1000 + 1000;
    for (size_t i = 0; i < CONNS_MAX; i++) {
        struct conn *c = &s.conns[i];

        if (c->fd < 0 || !c->parked || c->closing)
            continue;
        rapi_give(&s.api, event.id);
        conn_give(c, &event);
        s.given = true;
        buf_deinit(&s.event);
        conn_write(c);
        return;
    }
}

static bool is_parked(void)
{
    for (size_t i = 0; i < CONNS_MAX; i++) {
        if (s.conns[i].fd >= 0 && s.conns[i].parked && !s.conns[i].closing)
            return true;
    }
    return false;
}

/* ---- the loop ---- */

enum {
    POLL_BODY,
    POLL_CONNECTIONS,
    POLL_CHILD,
    POLL_CONNS,
};

static void serve_conns(const struct pollfd *fds)
{
    for (size_t i = 0; i < CONNS_MAX && s.r == 0; i++) {
        struct conn *c = &s.conns[i];

        if (c->fd >= 0 && fds[i].revents & POLLOUT)
            conn_write(c);
        if (c->fd >= 0 && fds[i].revents & (POLLIN | POLLHUP | POLLERR))
            conn_serve(c);
    }
}

/* What it has said before it ended counts. */
static void hear_last_words(void)
{
    take_connections();
    for (size_t round = 0; round < 2 * RAPI_RESPONSE_MAX / READ_BYTES; round++) {
        bool any = false;

        for (size_t i = 0; i < CONNS_MAX && s.r == 0 && !s.answered; i++) {
            struct conn *c = &s.conns[i];
            struct pollfd p = {.fd = c->fd, .events = POLLIN};

            if (c->fd >= 0 && poll(&p, 1, 0) > 0) {
                conn_serve(c);
                any = true;
            }
        }
        if (!any)
            return;
    }
}

static void step(int timeout_ms)
{
    struct pollfd fds[POLL_CONNS + CONNS_MAX] = {
        [POLL_BODY] = {.fd = s.body_ended || s.answered ? -1 : ZYGOTE_FD_WORKER, .events = POLLIN},
        [POLL_CONNECTIONS] = {.fd = s.endpoint.connections, .events = POLLIN},
        [POLL_CHILD] = {.fd = s.child.fd, .events = POLLIN},
    };

    for (size_t i = 0; i < CONNS_MAX; i++) {
        const struct conn *c = &s.conns[i];

        fds[POLL_CONNS + i].fd = c->fd;
        fds[POLL_CONNS + i].events = (short)(POLLIN | (buf_len(&c->out) > 0 ? POLLOUT : 0));
    }
    if (poll(fds, ARRAY_SIZE(fds), timeout_ms) < 0) {
        note(errno == EINTR ? 0 : -errno);
        return;
    }
    if (fds[POLL_BODY].revents)
        read_body();
    serve_conns(fds + POLL_CONNS);
    if (fds[POLL_CONNECTIONS].revents)
        take_connections();
    if (fds[POLL_CHILD].revents) {
        look_for_exit();
        hear_last_words();
    }
}

/* Starts it if it does not run, or has ended since it answered the request before. */
static void program_want(void)
{
    const char *why = "";
    int r;

    if (pidref_is_set(&s.child) && !s.exited)
        return;
    program_end();
    r = program_run(&why);
    worker_suspect(s.w, r < 0 ? -r : 0);
    if (r < 0) {
        char message[512];

        (void)snprintf(message, sizeof(message), "cannot %s %s: %s", why, s.setup.name,
                       strerrordesc_np(-r));
        done(worker_fail_text(s.w, "StartError", message, ""));
    }
}

static void request_run(void)
{
    bool again = true; /* it may be started anew once, if it ends between two requests */

    while (!s.answered && s.r == 0) {
        if (s.body_ended && !s.has_event) {
            make_event();
        } else if (s.init_failed) {
            done(result_error(s.w, s.init_type, buf_slice(&s.error)));
        } else if (s.exited && !s.given && s.has_served && again) {
            again = false;
            program_want();
        } else if (s.exited) {
            fail_exit();
        } else if (s.has_event && !s.given && is_parked()) {
            give_event();
        } else {
            step(-1);
        }
    }
}

static void linger(void)
{
    uint64_t until = clock_now_ns() + GRACE_NS, now;

    while (s.r == 0 && !s.exited && !is_parked() && (now = clock_now_ns()) < until)
        step((int)((until - now) / NS_PER_MS + 1));
}

int serve_request(struct worker *w)
{
    struct slice trigger;
    int r;

    s.w = w;
    s.is_http = !http_head_find(worker_head(w), "Mayfly-Trigger", &trigger) ||
                slice_eq(trigger, SLICE_LIT("http"));
    s.body_ended = worker_head(w)->framing == HTTP_BODY_NONE;
    s.has_event = s.given = s.answered = s.streaming = false;
    s.r = 0;
    if (pidref_is_set(&s.child))
        look_for_exit();
    if (!pidref_is_set(&s.child) || (s.exited && s.has_served))
        program_want();
    if (pidref_is_set(&s.child) && s.exited)
        hear_last_words();
    if (!s.body_ended)
        read_body(); /* some of it may have come with the head: poll() does not tell */
    request_run();
    r = s.r;
    if (r == 0 && !s.setup.is_instance)
        linger();
    if (!s.setup.is_instance || r < 0 || s.exited || s.init_failed)
        program_end();
    s.has_served = true;
    return r;
}

void serve_prepare(void)
{
    const char *step;

    /* If it cannot be started, the request will find that out, and tell. */
    (void)program_run(&step);
}

void serve_on_deadline(int signal)
{
    report_processes(s.setup.name, &s.child);
    if (pidref_is_set(&s.child))
        (void)killpg(s.child.pid, SIGKILL);
    _exit(EXIT_DEADLINE);
}
