#include "control/otlp.h"

#include "base/log.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FD_HELPER       3
#define BATCH_BYTES_MAX 65536 /* fits a message, with room for one more record */
#define BATCH_BYTES     32768 /* is sent at once */
#define FLUSH_DELAY_NS  (100 * NS_PER_MS)
#define RESTART_NS      (1 * NS_PER_S) /* doubled while it keeps ending */
#define RESTART_NS_MAX  (60 * NS_PER_S)
#define LONG_LIFE_NS    (60 * NS_PER_S)
#define TELL_NS         (10 * NS_PER_S)
#define STOP_NS         (1500 * NS_PER_MS)
#define ENV_MAX         128

extern char **environ;

static void on_restart(struct loop_timer *t);
static void on_flush(struct loop_timer *t);

/* ---- losses ---- */

static void tell(struct otlp *o, const char *what, uint64_t n, struct slice why)
{
    char quoted[512];

    if (n == 0)
        return;
    log_warning("otlp.lost", "what=%s n=%llu why=%s", what, (unsigned long long)n,
                log_quote(why, quoted, sizeof(quoted)));
    if (o->on_lost)
        o->on_lost(o->on_lost_ctx, what, n, quoted);
}

static void tell_own(struct otlp *o)
{
    struct slice why = SLICE_LIT("the helper does not take as much as there is");

    tell(o, "exported records", o->n_lost_records, why);
    tell(o, "exported log lines", o->n_lost_lines, why);
    o->n_lost_records = o->n_lost_lines = 0;
}

static void on_tell(struct loop_timer *t)
{
    tell_own(container_of(t, struct otlp, tell));
}

static void lose(struct otlp *o, uint64_t *count, uint64_t n)
{
    *count += n;
    if (!loop_timer_is_armed(&o->tell))
        (void)loop_timer_after(o->loop, &o->tell, TELL_NS, on_tell);
}

/* ---- the helper ---- */

static void helper_forget(struct otlp *o)
{
    loop_io_remove(&o->wire_io);
    loop_io_remove(&o->exit_io);
    wire_deinit(&o->wire);
    pidref_done(&o->process);
}

static void restart_later(struct otlp *o)
{
    uint64_t now_ns = loop_now(o->loop);

    o->delay_ns = now_ns - o->started_ns > LONG_LIFE_NS || o->delay_ns == 0
                      ? RESTART_NS
                      : MIN(o->delay_ns * 2, RESTART_NS_MAX);
    (void)loop_timer_after(o->loop, &o->restart, o->delay_ns, on_restart);
}

static void on_exit_of_helper(struct loop_io *io)
{
    struct otlp *o = container_of(io, struct otlp, exit_io);
    int status = 0;

    if (pidref_reap(&o->process, &status) == 0)
        return;
    log_warning("otlp.ended", "status=%#x again_in=%llu s", (unsigned)status,
                (unsigned long long)(MAX(o->delay_ns * 2, RESTART_NS) / NS_PER_S));
    helper_forget(o);
    restart_later(o);
}

static void read_helper(struct otlp *o)
{
    struct wire_message m;
    int r;

    while ((r = wire_recv(&o->wire, &m)) == WIRE_E_OK) {
        tell(o, m.export_lost.what.len == strlen("spans") ? "exported spans" : "exported log lines",
             m.export_lost.n, m.export_lost.why);
        wire_message_deinit(&m);
    }
    if (r < 0) /* it talks to a collector: it is not believed more than others */
        (void)pidref_kill(&o->process, SIGKILL);
    if (r != WIRE_E_AGAIN)
        loop_io_remove(&o->wire_io);
}

static void on_helper(struct loop_io *io)
{
    struct otlp *o = container_of(io, struct otlp, wire_io);

    if (io->ready & EPOLLOUT)
        (void)wire_flush(&o->wire); /* one that is gone shows by its exit */
    read_helper(o);
    loop_io_drained(io, EPOLLIN | EPOLLOUT);
}

/* What the daemon was started with may hold other programs' secrets: the helper gets its own. */
static void choose_environment(char **env)
{
    static const char *const prefixes[] = {
        "OTEL_",         "HTTPS_PROXY=",   "https_proxy=",  "http_proxy=", "ALL_PROXY=",
        "all_proxy=",    "NO_PROXY=",      "no_proxy=",     "SSL_CERT_",   "MAYFLY_LOG=",
        "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=",
    };
    unsigned n = 0;

    for (char **e = environ; *e && n < ENV_MAX - 1; e++) {
        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
            if (strncmp(*e, prefixes[i], strlen(prefixes[i])) == 0) {
                env[n++] = *e;
                break;
            }
        }
    }
    env[n] = NULL;
}

static int spawn(const struct otlp *o, int fd, pid_t *ret)
{
    char *argv[] = {o->program, (char *)(uintptr_t) "--endpoint", o->endpoint, NULL};
    posix_spawn_file_actions_t actions;
    char *env[ENV_MAX];
    posix_spawnattr_t attr;
    sigset_t none;
    int r;

    choose_environment(env);
    (void)sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attr);
    r = posix_spawn_file_actions_adddup2(&actions, fd, FD_HELPER);
    r = r ? r : posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    r = r ? r : posix_spawn_file_actions_adddup2(&actions, 2, 1);
    r = r ? r : posix_spawnattr_setsigmask(&attr, &none);
    r = r ? r : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    r = r ? r : posix_spawn(ret, o->program, &actions, &attr, argv, env);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    return -r;
}

static int helper_start(struct otlp *o)
{
    int pair[2], r = wire_pair(pair);
    pid_t pid = 0;

    if (r < 0)
        return r;
    r = spawn(o, pair[1], &pid);
    fd_close(pair[1]);
    if (r == 0)
        r = pidref_open_child(pid, &o->process);
    if (r < 0) {
        fd_close(pair[0]);
        return r;
    }
    o->started_ns = clock_now_ns();
    r = wire_init_consume(&o->wire, pair[0], WIRE_CONTROL, WIRE_OTLP);
    if (r == 0)
        r = loop_io_add(o->loop, &o->wire_io, o->wire.fd, EPOLLIN | EPOLLOUT, on_helper);
    if (r == 0)
        r = loop_io_add(o->loop, &o->exit_io, o->process.fd, EPOLLIN, on_exit_of_helper);
    if (r < 0)
        (void)pidref_kill(&o->process, SIGKILL);
    return r;
}

static void on_restart(struct loop_timer *t)
{
    struct otlp *o = container_of(t, struct otlp, restart);
    int r = helper_start(o);

    if (r < 0) {
        log_warning("otlp.start", "error=%s", strerrordesc_np(-r));
        helper_forget(o);
        restart_later(o);
    }
}

int otlp_start(struct otlp *o, struct loop *loop, const char *libexec, const char *endpoint,
               struct error *err)
{
    int r;

    *o = (struct otlp){.process = PIDREF_NULL,
                       .wire = {.fd = -1},
                       .on_lost = o->on_lost,
                       .on_lost_ctx = o->on_lost_ctx};
    list_init(&o->wire.queue);
    loop_io_init(&o->exit_io);
    loop_io_init(&o->wire_io);
    buf_init(&o->records, BATCH_BYTES_MAX);
    buf_init(&o->lines, BATCH_BYTES_MAX);
    o->endpoint = strdup(endpoint);
    if (!o->endpoint || asprintf(&o->program, "%s/mayfly-otlp", libexec) < 0)
        return -ENOMEM;
    if (access(o->program, X_OK) < 0)
        return error_set(err, -ENOENT,
                         "--otlp: this build has no %s; build mayfly with libcurl "
                         "(Debian: libcurl4-openssl-dev)",
                         o->program);
    o->loop = loop;
    r = helper_start(o);
    if (r < 0)
        o->loop = NULL;
    return r < 0 ? error_set_errno(err, r, "cannot start %s", o->program) : 0;
}

/* ---- handing over ---- */

static void send_batch(struct otlp *o, enum wire_type type, struct buf *b, uint32_t *n,
                       uint64_t *lost)
{
    struct wire_message m = {.type = type};

    if (*n == 0)
        return;
    if (type == WIRE_EXPORT_RECORDS)
        m.export_records = (struct wire_export_records){.n = *n, .bytes = buf_slice(b)};
    else
        m.export_logs = (struct wire_export_logs){.n = *n, .bytes = buf_slice(b)};
    if (!wire_is_open(&o->wire) || wire_send(&o->wire, &m) < 0)
        lose(o, lost, *n);
    buf_clear(b);
    *n = 0;
}

static void send_all(struct otlp *o)
{
    send_batch(o, WIRE_EXPORT_LOGS, &o->lines, &o->n_lines, &o->n_lost_lines);
    send_batch(o, WIRE_EXPORT_RECORDS, &o->records, &o->n_records, &o->n_lost_records);
    loop_timer_cancel(&o->flush);
}

static void on_flush(struct loop_timer *t)
{
    send_all(container_of(t, struct otlp, flush));
}

static void send_soon(struct otlp *o)
{
    if (buf_len(&o->records) >= BATCH_BYTES || buf_len(&o->lines) >= BATCH_BYTES)
        send_all(o);
    else if (!loop_timer_is_armed(&o->flush))
        (void)loop_timer_after(o->loop, &o->flush, FLUSH_DELAY_NS, on_flush);
}

void otlp_record(struct otlp *o, const struct record *r)
{
    if (!o->loop)
        return;
    if (record_encode(r, &o->records) == 0)
        o->n_records++;
    else
        lose(o, &o->n_lost_records, 1);
    send_soon(o);
}

void otlp_line(struct otlp *o, const struct log_line *l)
{
    if (!o->loop)
        return;
    if (log_line_encode(l, &o->lines) == 0)
        o->n_lines++;
    else
        lose(o, &o->n_lost_lines, 1);
    send_soon(o);
}

/* ---- end ---- */

/* It reads to the end of what was sent and then has a moment to pass it on. */
static void helper_end(struct otlp *o)
{
    uint64_t until_ns = clock_now_ns() + STOP_NS, now_ns;
    bool told = false;

    while ((now_ns = clock_now_ns()) < until_ns) {
        struct pollfd fds[] = {{.fd = o->process.fd, .events = POLLIN},
                               {.fd = o->wire.fd, .events = told ? POLLIN : POLLIN | POLLOUT}};

        if (!told && (wire_flush(&o->wire) < 0 || !wire_has_queued(&o->wire)))
            told = shutdown(o->wire.fd, SHUT_WR) == 0;
        if (told)
            fds[1].events = POLLIN;
        if (poll(fds, ARRAY_SIZE(fds), (int)((until_ns - now_ns) / NS_PER_MS + 1)) < 0 &&
            errno != EINTR)
            break;
        if (fds[0].revents)
            break;
        if (fds[1].revents & POLLIN)
            read_helper(o);
        if (fds[1].revents & POLLHUP) /* only the exit is left to come */
            (void)poll(fds, 1, (int)((until_ns - now_ns) / NS_PER_MS));
    }
    if (wire_is_open(&o->wire))
        read_helper(o);
    (void)pidref_kill(&o->process, SIGKILL);
}

void otlp_stop(struct otlp *o)
{
    int status;

    if (o->loop) {
        send_all(o);
        if (pidref_is_set(&o->process)) {
            helper_end(o);
            while (pidref_reap(&o->process, &status) == 0)
                (void)poll(&(struct pollfd){.fd = o->process.fd, .events = POLLIN}, 1, 1000);
        }
        tell_own(o);
        helper_forget(o);
        loop_timer_cancel(&o->restart);
        loop_timer_cancel(&o->tell);
    }
    buf_deinit(&o->records);
    buf_deinit(&o->lines);
    free(o->program);
    free(o->endpoint);
    *o = (struct otlp){.process = PIDREF_NULL, .wire = {.fd = -1}};
}
