#include "base/log.h"
#include "base/parse.h"
#include "base/sm.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/sock.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DRAIN_TIMEOUT_MS 30000
#define STOP_TIMEOUT_NS  (3 * NS_PER_S)
#define ENV_MAX          256

static const struct sm_state supervisor_states[_SUPERVISOR_STATE_MAX] = {
    [SUPERVISOR_STARTING] = {"starting", SM_TO(SUPERVISOR_RUNNING) | SM_TO(SUPERVISOR_STOPPING)},
    [SUPERVISOR_RUNNING] = {"running", SM_TO(SUPERVISOR_DRAINING)},
    [SUPERVISOR_DRAINING] = {"draining", SM_TO(SUPERVISOR_STOPPING)},
    [SUPERVISOR_STOPPING] = {"stopping", 0},
};

/* ---- states ---- */

static void on_deadline(struct loop_timer *t)
{
    struct supervisor *s = container_of(t, struct supervisor, deadline);

    if (s->state == SUPERVISOR_DRAINING)
        supervisor_move(s, SUPERVISOR_STOPPING);
    else
        loop_stop(s->loop, s->result);
}

/* A file that says where we listen, for tools: complete or not there. */
static int write_listen_file(struct supervisor *s)
{
    char path[PATH_MAX], temporary[PATH_MAX + 8];
    _cleanup_close_ int fd = -1;

    (void)snprintf(path, sizeof(path), "%s/listen", s->options.state_dir);
    (void)snprintf(temporary, sizeof(temporary), "%s.new", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || dprintf(fd, "%s\n", s->address) < 0 || rename(temporary, path) < 0)
        return -errno;
    return 0;
}

static void enter_stopping(struct supervisor *s)
{
    struct wire_message m = {.type = WIRE_STOPPING};

    zygotes_kill_all(s);
    peer_kill(&s->gateway);
    if (!wire_is_open(&s->control.wire)) {
        loop_stop(s->loop, s->result);
        return;
    }
    peer_send(&s->control, &m);
    (void)loop_timer_after(s->loop, &s->deadline, STOP_TIMEOUT_NS, on_deadline);
}

void supervisor_move(struct supervisor *s, enum supervisor_state to)
{
    struct wire_message drain = {.type = WIRE_DRAIN};

    sm_move(supervisor_states, &s->state, to);
    loop_timer_cancel(&s->deadline);
    switch (to) {
    case SUPERVISOR_RUNNING:
        if (write_listen_file(s) < 0)
            log_warning("state.listen", "cannot write %s/listen", s->options.state_dir);
        log_info("ready", "listen=%s project=%s sandbox=%s", s->address, s->options.project,
                 sandbox_profile_name(s->profile));
        break;
    case SUPERVISOR_DRAINING:
        peer_send(&s->gateway, &drain);
        (void)loop_timer_after(s->loop, &s->deadline, s->options.drain_timeout_ms * NS_PER_MS,
                               on_deadline);
        break;
    case SUPERVISOR_STOPPING:
        enter_stopping(s);
        break;
    case SUPERVISOR_STARTING:
    case _SUPERVISOR_STATE_MAX:
        break;
    }
}

/* Reaps what nobody holds a pidfd of: processes that a dead zygote's workers left behind become our
 * children where there are no PID namespaces, and are killed. */
static void reap_strays(struct supervisor *s)
{
    siginfo_t info;

    for (;;) {
        struct list *i;
        bool ours;

        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        ours = info.si_pid == s->gateway.process.pid || info.si_pid == s->control.process.pid;
        list_for_each (i, &s->zygotes)
            ours |= list_entry(i, struct zygote, link)->process.pid == info.si_pid;
        if (ours)
            return; /* its pidfd tells the owner, who reaps; the rest comes with the next one */
        (void)waitpid(info.si_pid, NULL, WNOHANG);
    }
}

static void on_signal(void *ctx, int signal)
{
    struct wire_message reload = {.type = WIRE_RELOAD};
    struct supervisor *s = ctx;

    switch (signal) {
    case SIGHUP:
        peer_send(&s->control, &reload);
        break;
    case SIGCHLD:
        reap_strays(s);
        break;
    default:
        if (s->state == SUPERVISOR_RUNNING)
            supervisor_move(s, SUPERVISOR_DRAINING);
        else if (s->state != SUPERVISOR_STOPPING)
            supervisor_move(s, SUPERVISOR_STOPPING);
        else
            loop_stop(s->loop, s->result);
        break;
    }
}

/* ---- start ---- */

enum option_id {
    OPTION_PROJECT,
    OPTION_STATE,
    OPTION_LISTEN,
    OPTION_LIBEXEC,
    OPTION_LIB,
    OPTION_WORKERS_MAX,
    OPTION_HEAD_MAX,
    OPTION_LINE_MAX,
    OPTION_BODY_MAX,
    OPTION_HEAD_TIMEOUT,
    OPTION_IDLE_TIMEOUT,
    OPTION_BODY_TIMEOUT,
    OPTION_WRITE_TIMEOUT,
    OPTION_DRAIN_TIMEOUT,
    OPTION_ENV,
    OPTION_DEV,
    OPTION_COLOR,
    OPTION_STATE_TEMPORARY,
    _OPTION_MAX,
};

static const struct option long_options[] = {
    {"project", required_argument, NULL, OPTION_PROJECT},
    {"state", required_argument, NULL, OPTION_STATE},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"libexec", required_argument, NULL, OPTION_LIBEXEC},
    {"lib", required_argument, NULL, OPTION_LIB},
    {"workers-max", required_argument, NULL, OPTION_WORKERS_MAX},
    {"head-max", required_argument, NULL, OPTION_HEAD_MAX},
    {"line-max", required_argument, NULL, OPTION_LINE_MAX},
    {"body-max", required_argument, NULL, OPTION_BODY_MAX},
    {"head-timeout", required_argument, NULL, OPTION_HEAD_TIMEOUT},
    {"idle-timeout", required_argument, NULL, OPTION_IDLE_TIMEOUT},
    {"body-timeout", required_argument, NULL, OPTION_BODY_TIMEOUT},
    {"write-timeout", required_argument, NULL, OPTION_WRITE_TIMEOUT},
    {"drain-timeout", required_argument, NULL, OPTION_DRAIN_TIMEOUT},
    {"env", required_argument, NULL, OPTION_ENV},
    {"dev", no_argument, NULL, OPTION_DEV},
    {"color", no_argument, NULL, OPTION_COLOR},
    {"state-temporary", no_argument, NULL, OPTION_STATE_TEMPORARY},
    {NULL, 0, NULL, 0},
};

/* NAME=value, or NAME for the value that our own environment has. */
static int add_env(struct options *o, size_t *n, const char *text)
{
    char *entry = NULL;
    const char *value;

    if (strchr(text, '=')) {
        entry = strdup(text);
    } else {
        value = getenv(text);
        if (!value)
            return 0;
        if (asprintf(&entry, "%s=%s", text, value) < 0)
            entry = NULL;
    }
    if (!entry || *n >= ENV_MAX) {
        free(entry);
        return -ENOMEM;
    }
    o->env[(*n)++] = entry;
    return 0;
}

static int parse_options(int argc, char **argv, struct options *o)
{
    const char **texts[_OPTION_MAX] = {
        [OPTION_PROJECT] = &o->project,
        [OPTION_STATE] = &o->state_dir,
        [OPTION_LISTEN] = &o->listen,
        [OPTION_LIBEXEC] = &o->libexec,
        [OPTION_LIB] = &o->lib,
        [OPTION_WORKERS_MAX] = &o->workers_max,
        [OPTION_HEAD_MAX] = &o->head_max,
        [OPTION_LINE_MAX] = &o->line_max,
        [OPTION_BODY_MAX] = &o->body_max,
        [OPTION_HEAD_TIMEOUT] = &o->head_timeout,
        [OPTION_IDLE_TIMEOUT] = &o->idle_timeout,
        [OPTION_BODY_TIMEOUT] = &o->body_timeout,
        [OPTION_WRITE_TIMEOUT] = &o->write_timeout,
    };
    bool *flags[_OPTION_MAX] = {[OPTION_DEV] = &o->dev,
                                [OPTION_COLOR] = &o->color,
                                [OPTION_STATE_TEMPORARY] = &o->state_temporary};
    size_t n_env = 0;
    int id;

    o->drain_timeout_ms = DRAIN_TIMEOUT_MS;
    o->env = calloc(ENV_MAX + 1, sizeof(*o->env));
    if (!o->env)
        return -ENOMEM;
    while ((id = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        if (id >= _OPTION_MAX)
            return -EINVAL;
        if (texts[id])
            *texts[id] = optarg;
        else if (flags[id])
            *flags[id] = true;
        else if (id == OPTION_ENV && add_env(o, &n_env, optarg) < 0)
            return -ENOMEM;
        else if (id == OPTION_DRAIN_TIMEOUT &&
                 parse_duration_ms(slice_str(optarg), &o->drain_timeout_ms) < 0)
            return -EINVAL;
    }
    return optind == argc && o->project && o->state_dir && o->listen && o->libexec && o->lib
               ? 0
               : -EINVAL;
}

static int open_listeners(struct supervisor *s, struct error *err)
{
    const char *listen = s->options.listen;
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/mayfly.sock", s->options.state_dir);
    s->local_fd = sock_listen_unix(path);
    if (s->local_fd == -EADDRINUSE)
        return error_set(err, -EADDRINUSE,
                         "another mayfly uses the state folder %s: stop it, or choose another with "
                         "--state DIR",
                         s->options.state_dir);
    if (s->local_fd < 0)
        return error_set_errno(err, s->local_fd, "cannot make the socket %s", path);
    s->listen_fd = sock_listen_tcp(listen);
    if (s->listen_fd == -EINVAL)
        return error_set(err, -EINVAL,
                         "--listen %s: give an address and a port, as in "
                         "127.0.0.1:8080 or [::1]:8080",
                         listen);
    if (s->listen_fd == -EADDRINUSE)
        return error_set(err, -EADDRINUSE,
                         "--listen %s: another program has this port: stop it, or "
                         "choose another with --listen ADDR:PORT",
                         listen);
    if (s->listen_fd < 0)
        return error_set_errno(err, s->listen_fd, "--listen %s", listen);
    (void)sock_local_address(s->listen_fd, s->address, sizeof(s->address));
    return asprintf(&s->url, "http://%s", s->address) < 0 ? -ENOMEM : 0;
}

static int start(struct supervisor *s, struct error *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, 0};
    int r;

    (void)fd_raise_limit();
    (void)signal(SIGPIPE, SIG_IGN);
    r = open_listeners(s, err);
    if (r < 0)
        return r;
    r = loop_new(&s->loop);
    if (r == 0)
        r = loop_signals(s->loop, signals, on_signal, s);
    if (r < 0)
        return error_set_errno(err, r, "cannot make the event loop");
    s->profile = sandbox_probe();
    if (s->profile == SANDBOX_DEGRADED) {
        log_warning("sandbox.degraded", "no PID namespaces here: what a request leaves behind is "
                                        "hunted down instead of dying with it");
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    r = peer_start(&s->control, err);
    return r < 0 ? r : peer_start(&s->gateway, err);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static void clean_up(struct supervisor *s)
{
    char path[PATH_MAX];

    zygotes_kill_all(s);
    peer_kill(&s->gateway);
    peer_kill(&s->control);
    if (s->local_fd >= 0) {
        (void)snprintf(path, sizeof(path), "%s/mayfly.sock", s->options.state_dir);
        (void)unlink(path);
        (void)snprintf(path, sizeof(path), "%s/listen", s->options.state_dir);
        (void)unlink(path);
    }
    if (s->options.state_temporary)
        (void)nftw(s->options.state_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int main(int argc, char **argv)
{
    static struct supervisor s = {.listen_fd = -1, .local_fd = -1, .snapshot_fd = -1};
    struct error err = ERROR_NULL;
    const char *fault = getenv("MAYFLY_FAULT");
    int r;

    log_init("mayfly", LOG_LEVEL_INFO);
    list_init(&s.zygotes);
    peer_init(&s, &s.gateway, &gateway_role);
    peer_init(&s, &s.control, &control_role);
    if (parse_options(argc, argv, &s.options) < 0) {
        (void)fprintf(stderr, "mayfly-supervisor is started by `mayfly serve` and `mayfly dev`\n");
        return 2;
    }
    if (fault && os_fault_arm_text(fault) < 0)
        log_warning("fault.arm", "MAYFLY_FAULT is not call:nth:errno");
    r = start(&s, &err);
    if (r < 0) {
        (void)fprintf(stderr, "mayfly: %s\n", err.text);
        s.result = EXIT_FAILURE;
    } else {
        r = loop_run(s.loop);
        s.result = r < 0 ? EXIT_FAILURE : r;
    }
    clean_up(&s);
    return s.result;
}
