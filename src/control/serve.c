/* Control at work: one loop around the channels, the folders that are watched, and standard output.
 *
 * A load runs between two rounds, never in one. What it waits for (compilers, installations, name
 * servers) calls on_idle(), which runs rounds of its own: so everything is served meanwhile, but
 * for the next load. */

#include "base/clock.h"
#include "base/log.h"
#include "control/control.h"
#include "os/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FD_SUPERVISOR 3

/* ---- what has happened ---- */

static void on_supervisor(struct loop_io *io)
{
    struct control *c = container_of(io, struct control, supervisor_io);

    if (channels_serve_supervisor(c) < 0)
        c->stopping = true;
    loop_io_drained(io, EPOLLIN | EPOLLOUT);
}

static void on_watch(struct loop_io *io)
{
    struct control *c = container_of(io, struct control, watch_io);

    watch_read(&c->watch, loop_now(c->loop));
    loop_io_drained(io, EPOLLIN);
}

static void on_secrets_watch(struct loop_io *io)
{
    struct control *c = container_of(io, struct control, secrets_watch_io);

    watch_read(&c->secrets_watch, loop_now(c->loop));
    loop_io_drained(io, EPOLLIN);
}

static void on_output(struct loop_io *io)
{
    output_flush(&container_of(io, struct control, output_io)->output);
    loop_io_drained(io, EPOLLOUT);
}

static void on_signal(void *ctx, int signal)
{
    struct control *c = ctx;

    c->stopping = true;
}

static void on_tick(struct loop_timer *t)
{
    /* It has ended the wait; what is due is looked at behind each round. */
}

/* ---- rounds ---- */

/* A load may begin to watch what was not there before. */
static int watches_add(struct control *c)
{
    int r = 0;

    if (c->watch.fd >= 0 && !c->watch_io.loop)
        r = loop_io_add(c->loop, &c->watch_io, c->watch.fd, EPOLLIN, on_watch);
    if (c->secrets_watch.fd >= 0 && !c->secrets_watch_io.loop && r == 0)
        r = loop_io_add(c->loop, &c->secrets_watch_io, c->secrets_watch.fd, EPOLLIN,
                        on_secrets_watch);
    return r;
}

static int tick_arm(struct control *c)
{
    uint64_t now_ns = clock_now_ns();
    uint64_t due_ns = MIN(c->watch.due_ns, c->secrets_watch.due_ns);

    due_ns = MIN(due_ns, printer_tick(&c->printer, now_ns));
    due_ns = MIN(due_ns, project_due_ns(c->project, now_ns));
    if (due_ns != UINT64_MAX)
        return loop_timer_at(c->loop, &c->tick, due_ns, on_tick);
    loop_timer_cancel(&c->tick);
    return 0;
}

static int round_run(struct control *c, bool poll)
{
    int r = tick_arm(c);

    if (r == 0)
        r = loop_round(c->loop, poll);
    (void)printer_tick(&c->printer, clock_now_ns());
    output_flush(&c->output);
    return c->stopping ? -ECANCELED : r;
}

/* While a load waits. Whoever asks for another one now does not want to wait for what this one
 * makes of files that were mended since. */
static int on_idle(void *ctx)
{
    struct control *c = ctx;
    int r = round_run(c, true);

    return r == 0 && c->load_forced ? -ECANCELED : r;
}

static int serve_once(struct control *c)
{
    uint64_t now_ns;
    int r = round_run(c, c->load_wanted);

    if (r < 0)
        return r;
    now_ns = clock_now_ns();
    if (watch_is_due(&c->watch, now_ns))
        c->load_wanted = true;
    if (watch_is_due(&c->secrets_watch, now_ns))
        c->load_wanted = true;
    if (project_tick(c->project, now_ns))
        c->load_wanted = true;
    if (!c->load_wanted)
        return 0;
    publish(c);
    return c->stopping ? -ECANCELED : watches_add(c);
}

/* ---- begin and end ---- */

static const char *find_code(void *ctx, struct slice function)
{
    struct control *c = ctx;
    const struct function *f = c->last ? snapshot_find(c->last, function) : NULL;

    return f ? f->code_dir : NULL;
}

static int loop_start(struct control *c)
{
    static const int signals[] = {SIGTERM, 0};
    int r;

    /* Ctrl-C reaches everybody in the terminal; the supervisor decides what comes of it. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL);
    r = loop_new(&c->loop);
    if (r == 0)
        r = loop_signals(c->loop, signals, on_signal, c);
    if (r == 0)
        r = loop_io_add(c->loop, &c->supervisor_io, c->supervisor.fd, EPOLLIN | EPOLLOUT,
                        on_supervisor);
    if (r < 0)
        return r;
    /* What cannot be waited for (a file) never makes anybody wait. */
    (void)loop_io_add(c->loop, &c->output_io, c->output.fd, EPOLLOUT, on_output);
    return 0;
}

static int supervisor_open(struct control *c)
{
    int r = fd_set_cloexec(FD_SUPERVISOR, true);

    if (r == 0)
        r = fd_set_nonblock(FD_SUPERVISOR, true);
    if (r == 0)
        r = wire_init_consume(&c->supervisor, FD_SUPERVISOR, WIRE_CONTROL, WIRE_SUPERVISOR);
    if (r < 0)
        log_error("supervisor.missing", "error=%s", strerrordesc_np(-r));
    return r;
}

static void on_otlp_lost(void *ctx, const char *what, uint64_t n, const char *why)
{
    struct control *c = ctx;

    keep_loss(&c->keep, what, n, why);
}

static int control_init(struct control *c, const struct project_options *options, bool color)
{
    struct error err = ERROR_NULL;
    int r;

    *c = (struct control){.options = *options,
                          .gateway = {.fd = -1},
                          .watch = {.fd = -1, .due_ns = UINT64_MAX},
                          .secrets_watch = {.fd = -1, .due_ns = UINT64_MAX},
                          .load_wanted = true,
                          .started_us = clock_wall_us(),
                          .color = color};
    c->options.idle = on_idle;
    c->options.idle_ctx = c;
    list_init(&c->gateway.queue);
    loop_io_init(&c->supervisor_io);
    loop_io_init(&c->gateway_io);
    loop_io_init(&c->watch_io);
    loop_io_init(&c->secrets_watch_io);
    loop_io_init(&c->output_io);
    redactor_init(&c->redactor);
    output_init(&c->output, STDOUT_FILENO);
    printer_init(&c->printer, options->dev ? &printer_pretty : &printer_json, &c->output, color);
    c->printer.find_code = find_code;
    c->printer.find_code_ctx = c;
    r = supervisor_open(c);
    if (r < 0)
        return r;
    /* Values of secrets are in here: not for a debugger of the same user, nor for a core. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (options->dev && watch_init(&c->watch, &err) < 0)
        log_warning("watch.failed", "%s", err.text);
    c->project = project_new(&c->options);
    if (!c->project)
        return -ENOMEM;
    r = loop_start(c);
    if (r < 0)
        return r;
    streams_init(&c->streams, c);
    keep_init(&c->keep, c->loop, options->state, channels_on_taken, channels_on_status);
    api_init(&c->api, c, c->loop);
    c->otlp.on_lost = on_otlp_lost;
    c->otlp.on_lost_ctx = c;
    if (options->otlp && otlp_start(&c->otlp, c->loop, options->libexec, options->otlp, &err) < 0)
        log_error("otlp.start", "%s", err.text); /* what is served goes on without */
    return 0;
}

/* What is left is written out, if somebody reads. */
static void serve_end(struct control *c)
{
    uint64_t until_ns = clock_now_ns() + NS_PER_S;

    (void)channels_serve(c);
    otlp_stop(&c->otlp); /* may know of losses */
    keep_commit(&c->keep);
    (void)printer_tick(&c->printer, UINT64_MAX);
    output_flush(&c->output);
    while (output_is_pending(&c->output) && clock_now_ns() < until_ns) {
        struct pollfd fd = {.fd = c->output.fd, .events = POLLOUT};

        (void)poll(&fd, 1, 100);
        output_flush(&c->output);
    }
    if (c->output.n_dropped > 0)
        log_warning("output.dropped", "messages=%llu", (unsigned long long)c->output.n_dropped);
}

static void control_deinit(struct control *c)
{
    api_deinit(&c->api);
    streams_deinit(&c->streams);
    keep_deinit(&c->keep);
    wire_deinit(&c->gateway);
    wire_deinit(&c->supervisor);
    watch_deinit(&c->watch);
    watch_deinit(&c->secrets_watch);
    redactor_deinit(&c->redactor);
    printer_deinit(&c->printer);
    output_deinit(&c->output);
    free(c->warned);
    (void)snapshot_free(c->last);
    (void)project_free(c->project);
    c->loop = loop_free(c->loop);
}

int control_run(const struct project_options *options, bool color)
{
    static struct control c; /* the printer's store is too large for a stack */
    int r = control_init(&c, options, color);

    if (r < 0)
        return r;
    publish(&c);
    (void)watches_add(&c);
    while (!c.stopping && serve_once(&c) == 0)
        ;
    serve_end(&c);
    control_deinit(&c);
    return 0;
}
