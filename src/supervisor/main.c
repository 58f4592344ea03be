#include "base/log.h"
#include "base/parse.h"
#include "base/sm.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/proc.h"
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
#include <time.h>
#include <unistd.h>

#define DRAIN_TIMEOUT_MS 30000
#define STOP_TIMEOUT_NS  (3 * NS_PER_S)
#define LAST_CHILDREN_NS (2 * NS_PER_S)
/* Of a process' start in /proc: two clock ticks. */
#define START_PRECISION_NS (20 * NS_PER_MS)
#define ENV_MAX            256

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
static void write_address_file(struct supervisor *s, const char *name, const char *address)
{
    char path[PATH_MAX], temporary[PATH_MAX + 8];
    _cleanup_close_ int fd = -1;

    (void)snprintf(path, sizeof(path), "%s/%s", s->options.state_dir, name);
    (void)snprintf(temporary, sizeof(temporary), "%s.new", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || dprintf(fd, "%s\n", address) < 0 || rename(temporary, path) < 0)
        log_warning("state.address", "cannot write %s: %s", path, strerrordesc_np(errno));
}

/* Those that are left behind by a daemon that was killed are not ours; nor is ours anybody's. */
static void remove_address_files(struct supervisor *s)
{
    static const char *const names[] = {"listen", "admin"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof(path), "%s/%s", s->options.state_dir, names[i]);
        (void)unlink(path);
    }
}

static void enter_stopping(struct supervisor *s)
{
    struct wire_message m = {.type = WIRE_STOPPING};

    zygotes_end_all(s);
    peer_kill(&s->gateway);
    if (!wire_is_open(&s->control.wire)) {
        loop_stop(s->loop, s->result);
        return;
    }
    peer_send(&s->control, &m);
    (void)loop_timer_after(s->loop, &s->deadline, STOP_TIMEOUT_NS, on_deadline);
}

static void log_ready(const struct supervisor *s)
{
    char names[LAYER_NAMES_MAX];
    bool whole = sandbox_report_missing(&s->sandbox) == 0;

    log_info("ready", "listen=%s admin=%s project=%s sandbox=%s%s%s", s->address,
             s->admin_fd >= 0 ? s->admin_address : "off", s->options.project,
             sandbox_profile_name(s->profile), whole ? "" : " missing=",
             sandbox_report_names(&s->sandbox, ",", names, sizeof(names)));
}

void supervisor_move(struct supervisor *s, enum supervisor_state to)
{
    struct wire_message drain = {.type = WIRE_DRAIN};

    sm_move(supervisor_states, &s->state, to);
    loop_timer_cancel(&s->deadline);
    switch (to) {
    case SUPERVISOR_RUNNING:
        if (s->admin_fd >= 0) /* before the other, for which tools wait */
            write_address_file(s, "admin", s->admin_address);
        write_address_file(s, "listen", s->address);
        log_ready(s);
        break;
    case SUPERVISOR_DRAINING:
        s->listen_fd = fd_close(s->listen_fd); /* who connects now is told so, not kept waiting */
        s->admin_fd = fd_close(s->admin_fd);
        if (!wire_is_open(&s->gateway.wire)) {
            supervisor_move(s, SUPERVISOR_STOPPING);
            break;
        }
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

static bool is_known(const struct supervisor *s, pid_t pid)
{
    struct list *i;

    if (pid == s->gateway.process.pid || pid == s->control.process.pid)
        return true;
    list_for_each (i, (struct list *)&s->zygotes) {
        if (list_entry(i, struct zygote, link)->process.pid == pid)
            return true;
    }
    return false;
}

/* Whether a child is what a function left behind: without PID namespaces it comes to us when the
 * zygote is dead. Whoever is older than we are belongs to the script that became us by an exec. */
static bool is_stray(const struct supervisor *s, pid_t pid)
{
    struct proc_stat stat;

    return s->profile == SANDBOX_DEGRADED && proc_stat_read(pid, &stat) == 0 &&
           stat.start_ns + START_PRECISION_NS >= s->born_ns;
}

static void end_child(pid_t pid)
{
    struct pidref child = PIDREF_NULL;

    if (pidref_open_child(pid, &child) < 0)
        return;
    (void)pidref_kill(&child, SIGKILL);
    pidref_done(&child);
}

/* Reaps what nobody holds a pidfd of, and ends strays. */
static void on_child(void *ctx, pid_t pid)
{
    struct supervisor *s = ctx;

    if (is_known(s, pid))
        return; /* its pidfd tells the owner, who reaps */
    if (is_stray(s, pid))
        end_child(pid);
    (void)waitpid(pid, NULL, WNOHANG);
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
        (void)proc_each_child(on_child, s);
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
    OPTION_SECRETS,
    OPTION_LISTEN,
    OPTION_ADMIN_LISTEN,
    OPTION_ADMIN_HOSTS,
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
    OPTION_ALLOW_DEGRADED,
    OPTION_DEV,
    OPTION_COLOR,
    OPTION_OTLP,
    OPTION_STATE_TEMPORARY,
    _OPTION_MAX,
};

static const struct option long_options[] = {
    {"project", required_argument, NULL, OPTION_PROJECT},
    {"state", required_argument, NULL, OPTION_STATE},
    {"secrets", required_argument, NULL, OPTION_SECRETS},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"admin-listen", required_argument, NULL, OPTION_ADMIN_LISTEN},
    {"admin-hosts", required_argument, NULL, OPTION_ADMIN_HOSTS},
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
    {"allow-degraded", no_argument, NULL, OPTION_ALLOW_DEGRADED},
    {"dev", no_argument, NULL, OPTION_DEV},
    {"color", no_argument, NULL, OPTION_COLOR},
    {"otlp", required_argument, NULL, OPTION_OTLP},
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
        [OPTION_SECRETS] = &o->secrets_dir,
        [OPTION_LISTEN] = &o->listen,
        [OPTION_ADMIN_LISTEN] = &o->admin_listen,
        [OPTION_ADMIN_HOSTS] = &o->admin_hosts,
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
        [OPTION_OTLP] = &o->otlp,
    };
    bool *flags[_OPTION_MAX] = {[OPTION_ALLOW_DEGRADED] = &o->allow_degraded,
                                [OPTION_DEV] = &o->dev,
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

/* Opens a TCP listener and says in ret_address where it is; `option` is for the errors. */
static int open_tcp(const char *option, const char *listen, int *ret_fd,
                    char ret_address[static 64], struct error *err)
{
    int fd = sock_listen_tcp(listen);

    if (fd == -EINVAL)
        return error_set(err, -EINVAL,
                         "%s %s: give an address and a port, as in 127.0.0.1:8080 or [::1]:8080",
                         option, listen);
    if (fd == -EADDRINUSE)
        return error_set(err, -EADDRINUSE,
                         "%s %s: another program has this port: stop it, or choose another with "
                         "%s ADDR:PORT",
                         option, listen, option);
    if (fd < 0)
        return error_set_errno(err, fd, "%s %s", option, listen);
    *ret_fd = fd;
    return sock_local_address(fd, ret_address, 64);
}

/* A dashboard beside the one of another project that is being worked on: any port will do. */
static int open_admin_elsewhere(struct supervisor *s, struct error *err)
{
    const char *wanted = s->options.admin_listen, *colon = strrchr(wanted, ':');
    char any[64];
    int r;

    (void)snprintf(any, sizeof(any), "%.*s:0", (int)(colon - wanted), wanted);
    r = open_tcp("--admin-listen", any, &s->admin_fd, s->admin_address, err);
    if (r == 0)
        log_info("admin.elsewhere", "another program has %s: the admin interface is at %s", wanted,
                 s->admin_address);
    return r;
}

/* For people on this machine: of all its addresses, the one that they have at hand. */
static int make_admin_url(struct supervisor *s)
{
    const char *port = strrchr(s->admin_address, ':'), *host = NULL;
    int n;

    if (strncmp(s->admin_address, "0.0.0.0:", 8) == 0)
        host = "127.0.0.1";
    else if (strncmp(s->admin_address, "[::]:", 5) == 0)
        host = "[::1]";
    n = host ? asprintf(&s->admin_url, "http://%s%s", host, port)
             : asprintf(&s->admin_url, "http://%s", s->admin_address);
    return n < 0 ? -ENOMEM : 0;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0;
}

static int open_admin(struct supervisor *s, struct error *err)
{
    int r;

    if (!s->options.admin_listen)
        return 0;
    r = open_tcp("--admin-listen", s->options.admin_listen, &s->admin_fd, s->admin_address, err);
    if (r == -EADDRINUSE && s->options.dev)
        r = open_admin_elsewhere(s, err);
    if (r < 0)
        return r;
    if (!is_loopback(s->admin_address))
        log_warning("admin.exposed",
                    "the admin interface at %s can be reached from other machines and speaks plain "
                    "HTTP: put a proxy with TLS in front",
                    s->admin_address);
    return make_admin_url(s);
}

static int open_listeners(struct supervisor *s, struct error *err)
{
    char path[PATH_MAX];
    int r;

    (void)snprintf(path, sizeof(path), "%s/mayfly.sock", s->options.state_dir);
    s->local_fd = sock_listen_unix(path);
    if (s->local_fd == -EADDRINUSE)
        return error_set(err, -EADDRINUSE,
                         "another mayfly uses the state folder %s: stop it, or choose another with "
                         "--state DIR",
                         s->options.state_dir);
    if (s->local_fd < 0)
        return error_set_errno(err, s->local_fd, "cannot make the socket %s", path);
    remove_address_files(s);
    r = open_tcp("--listen", s->options.listen, &s->listen_fd, s->address, err);
    if (r < 0)
        return r;
    if (asprintf(&s->url, "http://%s", s->address) < 0)
        return -ENOMEM;
    return open_admin(s, err);
}

/* A layer that is missing is never passed over in silence. */
static int judge_sandbox(const struct supervisor *s, struct error *err)
{
    char names[LAYER_NAMES_MAX];

    if (sandbox_report_missing(&s->sandbox) == 0)
        return 0;
    sandbox_report_names(&s->sandbox, ", ", names, sizeof(names));
    if (!s->options.allow_degraded && !s->options.dev)
        return error_set(
            err, -EPERM,
            "layers of the sandbox are missing here: %s; `mayfly doctor` tells why and "
            "what to do, --allow-degraded serves without them",
            names);
    log_warning("sandbox.degraded", "functions are confined without: %s (see `mayfly doctor`)",
                names);
    return 0;
}

static int probe_sandbox(struct supervisor *s, struct error *err)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/mayfly-init", s->options.libexec);
    s->init_fd = open(path, O_PATH | O_CLOEXEC);
    if (s->init_fd < 0)
        return error_set_errno(err, -errno, "cannot open %s", path);
    sandbox_probe(s->init_fd, &s->sandbox);
    s->profile = s->sandbox.profile;
    return 0;
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
    r = probe_sandbox(s, err);
    if (r < 0)
        return r;
    if (s->profile == SANDBOX_DEGRADED) {
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    groups_open(s); /* before the peers start: they belong to it */
    sandbox_report_groups(&s->sandbox, &s->cgroups);
    network_probe(s);
    sandbox_probe_realtime(&s->sandbox);
    r = judge_sandbox(s, err);
    r = r < 0 ? r : peer_start(&s->control, err);
    return r < 0 ? r : peer_start(&s->gateway, err);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

struct last_children {
    struct supervisor *supervisor;
    unsigned n;
};

static void on_last_child(void *ctx, pid_t pid)
{
    struct last_children *last = ctx;

    if (is_known(last->supervisor, pid) || is_stray(last->supervisor, pid)) {
        last->n++;
        end_child(pid);
    }
    (void)waitpid(pid, NULL, WNOHANG);
}

/* Who waits for us finds nothing of ours left. What dies gives us its children to end. */
static void end_children(struct supervisor *s)
{
    uint64_t deadline = clock_now_ns() + LAST_CHILDREN_NS;
    struct last_children last = {.supervisor = s, .n = 1};

    while (last.n > 0 && clock_now_ns() < deadline) {
        last.n = 0;
        (void)proc_each_child(on_last_child, &last);
        (void)usleep(last.n > 0 ? 1000 : 0);
    }
}

static void clean_up(struct supervisor *s)
{
    char path[PATH_MAX];

    zygotes_await(s);
    zygotes_kill_all(s);
    peer_kill(&s->gateway);
    peer_kill(&s->control);
    end_children(s);
    groups_close(s);
    sandbox_egress_deinit(&s->egress);
    if (s->local_fd >= 0) {
        (void)snprintf(path, sizeof(path), "%s/mayfly.sock", s->options.state_dir);
        (void)unlink(path);
        remove_address_files(s);
    }
    if (s->options.state_temporary)
        (void)nftw(s->options.state_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static uint64_t boot_time_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_BOOTTIME, &ts); /* cannot fail: the clock exists */
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int main(int argc, char **argv)
{
    static struct supervisor s = {.init_fd = -1,
                                  .listen_fd = -1,
                                  .local_fd = -1,
                                  .admin_fd = -1,
                                  .snapshot_fd = -1,
                                  .secrets_fd = -1};
    struct error err = ERROR_NULL;
    const char *fault = getenv("MAYFLY_FAULT");
    int r;

    log_init("mayfly", LOG_LEVEL_INFO);
    s.born_ns = boot_time_ns();
    s.next_index = (uint32_t)getpid() % SANDBOX_VERSIONS_MAX;
    list_init(&s.zygotes);
    list_init(&s.leftovers);
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
