/* The loop between request and program.
 *
 *   client's body --worker_read()--> in_bytes --pipe--> stdin
 *                                               program
 *   client <--worker_write()-- answer <-- out <--pipe-- stdout
 *
 * Reading the body never blocks, since the program may write before it reads, or never read.
 * Writing the answer may: a client that does not take its answer holds up the program, as it
 * should.
 *
 * The reply is over when the program has ended, or has closed its stdout. In the first case what it
 * left in the pipe still counts, but nobody waits for children of it that hold the pipe open. In
 * the second it is given a moment to end by itself, because the client has its answer then. */

#include "relay.h"

#include "cgi.h"
#include "environment.h"
#include "program.h"
#include "report.h"

#include "base/clock.h"
#include "os/fd.h"
#include "zygote/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPE_BYTES    65536
#define OUT_BYTES_MAX (CGI_HEAD_MAX + PIPE_BYTES)
#define EXIT_DEADLINE 124 /* as timeout(1) does */

/* How long output is held back, so that the reply of a program that is quick goes in one piece with
 * its length, and one that dawdles is streamed. */
#define FLUSH_AFTER_MS 10
#define FLUSH_AFTER_NS (FLUSH_AFTER_MS * NS_PER_MS)

/* After the answer is complete: how long the program may take to end. */
#define EXIT_GRACE_MS 1000

struct relay {
    struct worker *worker;
    const char *program;
    struct pidref child;
    bool exited;
    int exit_code;   /* of the program, or */
    int exit_signal; /* what killed it, or 0 */
    int exit_kind;   /* CLD_... */
    struct rusage usage;

    int in;         /* to its stdin; -1 when done */
    int program_in; /* the other ends */
    int program_out;
    int out; /* from its stdout; -1 at the end */
    char in_bytes[PIPE_BYTES];
    size_t in_start, in_end;
    bool body_ended;

    struct buf head; /* output, until it is known what the head is */
    struct cgi_parser parser;
    bool started;         /* the head is known */
    bool finished;        /* the answer is complete */
    bool refused;         /* the output was no reply: an error is the answer */
    uint64_t flush_at_ns; /* something is held back until then; 0 is nothing */
    bool any_output;
};

static struct relay the_relay = {
    .in = -1, .program_in = -1, .program_out = -1, .out = -1, .child = {.fd = -1}};

int relay_prepare(void)
{
    struct relay *r = &the_relay;
    int in[2], out[2], result;

    result = fd_pipe(in, 0);
    if (result < 0)
        return result;
    r->program_in = in[0];
    r->in = in[1];
    result = fd_pipe(out, 0);
    if (result < 0)
        return result;
    r->out = out[0];
    r->program_out = out[1];
    result = fd_set_nonblock(r->in, true);
    if (result == 0)
        result = fd_set_nonblock(r->out, true);
    r->head = BUF_INIT(OUT_BYTES_MAX);
    (void)buf_reserve(&r->head, 1);
    return result;
}

/* ---- body to stdin ---- */

static void close_stdin(struct relay *r)
{
    r->in = fd_close(r->in);
    r->body_ended = true;
}

/* Takes what is there of the body, without waiting. Returns 0 or -errno. */
static int read_body(struct relay *r)
{
    ssize_t n;
    int result;

    result = fd_set_nonblock(ZYGOTE_FD_WORKER, true);
    if (result < 0)
        return result;
    n = worker_read(r->worker, r->in_bytes, sizeof(r->in_bytes));
    result = fd_set_nonblock(ZYGOTE_FD_WORKER, false);
    if (result < 0 || n == -EAGAIN)
        return result;
    if (n < 0)
        return (int)n;
    r->in_start = 0;
    r->in_end = (size_t)n;
    r->body_ended = n == 0;
    return 0;
}

static void write_stdin(struct relay *r)
{
    ssize_t n = write(r->in, r->in_bytes + r->in_start, r->in_end - r->in_start);

    if (n >= 0)
        r->in_start += (size_t)n;
    else if (errno != EAGAIN && errno != EINTR)
        close_stdin(r); /* it does not want the rest */
}

/* Moves as much as goes now: until no more has come, or the pipe is full. Bytes that the worker
 * library holds already do not show in poll(), so this stops only when it has none. */
static int feed(struct relay *r)
{
    while (r->in >= 0) {
        if (r->in_start == r->in_end && !r->body_ended) {
            int result = read_body(r);

            if (result < 0)
                return result;
            if (r->in_start == r->in_end && !r->body_ended)
                return 0;
        }
        if (r->in_start < r->in_end)
            write_stdin(r);
        if (r->in_start < r->in_end && r->in >= 0)
            return 0;
        if (r->body_ended)
            close_stdin(r);
    }
    return 0;
}

/* ---- stdout to answer ---- */

/* Answers with an unhandled error, or breaks the answer off. */
#define refuse(r, type, ...) ((r)->refused = true, worker_failf((r)->worker, (type), __VA_ARGS__))

static int too_much(struct relay *r)
{
    return refuse(r, "BadReply", "%s wrote more than its Content-Length says", r->program);
}

static void hold_back(struct relay *r)
{
    if (r->flush_at_ns == 0)
        r->flush_at_ns = clock_now_ns() + FLUSH_AFTER_NS;
}

/* Looks for the head in what has come so far; then passes on what stands behind it. */
static int start(struct relay *r, bool eof)
{
    struct cgi_head head;
    struct slice body;
    size_t used = 0;
    int result;

    switch (cgi_parse(&r->parser, buf_slice(&r->head), eof, &head, &used)) {
    case CGI_EVENT_MORE:
        return 0;
    case CGI_EVENT_ERROR:
        return refuse(r, "BadReply", "%s: %s", r->program, r->parser.error_text);
    case CGI_EVENT_HEAD:
        break;
    }
    result =
        worker_start(r->worker, head.status, head.headers, head.n_headers, head.content_length);
    body = buf_slice(&r->head);
    if (result == 0 && body.len > used)
        result = worker_write(r->worker, body.base + used, body.len - used);
    r->started = true;
    hold_back(r);
    buf_clear(&r->head);
    return result == -EMSGSIZE ? too_much(r) : result;
}

/* Reads what is in the pipe, at most as much as it holds. Returns 1 if there was something, 0 if
 * not, or -errno; sets r->out to -1 at the end. */
static int read_stdout(struct relay *r)
{
    int result = buf_reserve(&r->head, PIPE_BYTES);
    ssize_t n;

    if (result < 0)
        return result;
    n = read(r->out, buf_tail(&r->head), PIPE_BYTES);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0) {
        r->out = fd_close(r->out);
        return 0;
    }
    r->any_output = true;
    buf_commit(&r->head, (size_t)n);
    if (r->started) {
        result = worker_write(r->worker, buf_slice(&r->head).base, (size_t)n);
        buf_clear(&r->head);
        hold_back(r);
        if (result == -EMSGSIZE)
            result = too_much(r);
    } else {
        result = start(r, false);
    }
    return result < 0 ? result : 1;
}

/* ---- the end ---- */

static int tell_exit(struct relay *r)
{
    static const char see[] = "what it said on stderr is in the log";

    worker_suspect_child(r->worker, r->exit_kind, r->exit_signal ? r->exit_signal : r->exit_code,
                         &r->usage);
    if (r->exit_signal != 0)
        return refuse(r, "ProgramKilled", "%s was killed by signal %d (%s)%s; %s", r->program,
                      r->exit_signal, strsignal(r->exit_signal),
                      r->exit_signal == SIGKILL ? ", perhaps for want of memory" : "", see);
    return refuse(r, "ProgramExit", "%s exited with code %d and wrote nothing; %s", r->program,
                  r->exit_code, see);
}

/* All output is there. A program that failed without a word has not answered; one that was killed
 * may have answered in part. What a program wrote before it exited with any code stands. */
static int finish(struct relay *r)
{
    int result;

    if (r->refused || r->finished)
        return 0;
    if (r->exit_signal != 0 || (r->exit_code != 0 && !r->any_output))
        return tell_exit(r);
    result = r->started ? 0 : start(r, true);
    if (result < 0 || r->refused)
        return result;
    result = worker_finish(r->worker);
    if (result == -EMSGSIZE)
        return refuse(r, "BadReply", "%s wrote less than its Content-Length says", r->program);
    r->finished = true;
    return result;
}

/* Looks whether the program has ended. It is not reaped, so that the number of its process group
 * cannot become another's. */
static void look_for_exit(struct relay *r)
{
    siginfo_t info = {.si_pid = 0};

    /* The system call tells what it used as well; waitid() does not. */
    if (syscall(SYS_waitid, P_PIDFD, r->child.fd, &info, WEXITED | WNOHANG | WNOWAIT, &r->usage) <
            0 ||
        info.si_pid == 0)
        return;
    r->exited = true;
    r->exit_kind = info.si_code;
    if (info.si_code == CLD_EXITED)
        r->exit_code = info.si_status;
    else
        r->exit_signal = info.si_status;
}

/* Returns whether the program has ended, waiting for that. */
static bool await_exit(struct relay *r, int timeout_ms)
{
    struct pollfd p = {.fd = r->child.fd, .events = POLLIN};

    if (!r->exited && poll(&p, 1, timeout_ms) > 0)
        look_for_exit(r);
    return r->exited;
}

/* Nothing of the program may outlive the request. */
static void end_program(struct relay *r)
{
    (void)killpg(r->child.pid, SIGKILL);
    (void)waitpid(r->child.pid, NULL, 0);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue; /* orphans that have come to us */
    pidref_done(&r->child);
}

/* ---- the loop ---- */

enum {
    POLL_BODY,
    POLL_STDIN,
    POLL_STDOUT,
    POLL_CHILD,
    _POLL_MAX,
};

static int flush_if_due(struct relay *r)
{
    if (r->flush_at_ns == 0 || clock_now_ns() < r->flush_at_ns)
        return 0;
    r->flush_at_ns = 0;
    return worker_flush(r->worker);
}

/* Waits for something to do, and does it. Returns 0 or -errno. */
static int step(struct relay *r)
{
    bool has_bytes = r->in_start < r->in_end;
    struct pollfd fds[_POLL_MAX] = {
        [POLL_BODY] = {.fd = r->in >= 0 && !has_bytes ? ZYGOTE_FD_WORKER : -1, .events = POLLIN},
        [POLL_STDIN] = {.fd = r->in >= 0 && has_bytes ? r->in : -1, .events = POLLOUT},
        [POLL_STDOUT] = {.fd = r->out, .events = POLLIN},
        [POLL_CHILD] = {.fd = r->child.fd, .events = POLLIN},
    };
    int result = 0;

    if (poll(fds, _POLL_MAX, r->flush_at_ns > 0 ? FLUSH_AFTER_MS : -1) < 0)
        return errno == EINTR ? 0 : -errno;
    if (fds[POLL_CHILD].revents)
        look_for_exit(r);
    if (fds[POLL_STDOUT].revents)
        result = read_stdout(r);
    if (result >= 0 && !r->refused && (fds[POLL_BODY].revents || fds[POLL_STDIN].revents))
        result = feed(r);
    return result < 0 || r->refused ? MIN(result, 0) : flush_if_due(r);
}

static int run(struct relay *r)
{
    int result = feed(r);

    while (result == 0 && !r->refused && !r->exited && (r->out >= 0 || !r->any_output))
        result = step(r);
    if (result < 0 || r->refused)
        return result;
    /* Its end follows close upon that of its output, and may be that of a killed program. */
    if (!await_exit(r, FLUSH_AFTER_MS)) {
        result = finish(r);
        close_stdin(r);
        (void)await_exit(r, EXIT_GRACE_MS);
        return result;
    }
    while (result == 0 && r->out >= 0 && !r->refused) {
        result = read_stdout(r);
        if (result == 0)
            r->out = fd_close(r->out); /* empty: what still holds it open is nobody's */
        result = MIN(result, 0);
    }
    return result == 0 ? finish(r) : result;
}

int relay_serve(struct worker *w, const char *program)
{
    struct relay *r = &the_relay;
    struct environment environment;
    int result;

    r->worker = w;
    r->program = program;
    result = r->in < 0 ? relay_prepare() : 0; /* a request that waited was not prepared for */
    if (result < 0)
        return result;
    r->body_ended = worker_head(w)->framing == HTTP_BODY_NONE;
    cgi_parser_init(&r->parser);
    result = environment_init(&environment, worker_head(w), environ);
    if (result == 0)
        result = program_start(program, environment.list, r->program_in, r->program_out, &r->child);
    environment_deinit(&environment);
    r->program_in = fd_close(r->program_in);
    r->program_out = fd_close(r->program_out);
    worker_suspect(w, result < 0 ? -result : 0);
    if (result < 0)
        return refuse(r, "StartError", "cannot start %s: %s", program, strerrordesc_np(-result));
    result = run(r);
    end_program(r);
    return result;
}

void relay_on_deadline(int signal)
{
    struct relay *r = &the_relay;

    report_processes(r->program, &r->child);
    if (pidref_is_set(&r->child))
        end_program(r);
    _exit(EXIT_DEADLINE);
}
