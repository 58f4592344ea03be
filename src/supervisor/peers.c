/* Gateway and control as data: what they are, what they are given, what they may say. Both start
 * again when they die: at once after a long life, ever slower after short ones. */

#include "model/secret.h"
#include "os/fd.h"
#include "os/memfd.h"
#include "supervisor/supervisor.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGV_MAX             32
#define SANDBOX_JSON_MAX     16384
#define QUICK_DEATH_NS       (NS_PER_S / 2) /* a life shorter than this counts as one */
#define QUICK_FIRST_DEATH_NS (2 * NS_PER_S) /* before anything was ever served */
#define QUICK_DEATHS_MAX     5              /* in a row, before anything was ever served: give up */
#define RESTART_DELAY_NS     (50 * NS_PER_MS)
#define RESTART_DELAY_NS_MAX (2 * NS_PER_S)

struct role {
    const char *name; /* of the program: libexec/mayfly-NAME */
    enum wire_role wire_role;
    unsigned (*give_fds)(struct supervisor *s, int fds[static 3]); /* behind the channel */
    unsigned (*add_args)(struct supervisor *s, const char **argv); /* returns how many */
    void (*on_started)(struct supervisor *s);
    void (*on_message)(struct supervisor *s, struct wire_message *m);
};

static void on_peer_exit(struct loop_io *io);
static void on_peer_ready(struct loop_io *io);

void peer_init(struct supervisor *s, struct peer *p, const struct role *role)
{
    *p = (struct peer){.role = role, .supervisor = s, .process = PIDREF_NULL, .wire = {.fd = -1}};
    loop_io_init(&p->io);
    loop_io_init(&p->exit_io);
    list_init(&p->wire.queue);
}

static void peer_forget(struct peer *p)
{
    loop_io_remove(&p->io);
    loop_io_remove(&p->exit_io);
    wire_deinit(&p->wire);
    pidref_done(&p->process);
}

int peer_start(struct peer *p, struct error *err)
{
    struct supervisor *s = p->supervisor;
    const char *argv[ARGV_MAX] = {NULL};
    char program[PATH_MAX];
    int pair[2], fds[4];
    unsigned n_fds, n;
    int r;

    (void)snprintf(program, sizeof(program), "%s/mayfly-%s", s->options.libexec, p->role->name);
    if (access(program, X_OK) < 0)
        return error_set_errno(err, -errno, "cannot start %s", program);
    r = wire_pair(pair);
    if (r < 0)
        return error_set_errno(err, r, "cannot make a channel to %s", p->role->name);
    fds[0] = pair[1];
    n_fds = 1 + p->role->give_fds(s, fds + 1);
    argv[0] = program;
    n = 1 + p->role->add_args(s, argv + 1);
    assert(n < ARGV_MAX);
    r = spawn(&(struct spawn){.argv = (char *const *)argv,
                              .fds = fds,
                              .n_fds = n_fds,
                              .fd_first = 3,
                              .output_fd = -1},
              &p->process);
    fd_close(pair[1]);
    if (r == 0)
        r = wire_init_consume(&p->wire, pair[0], WIRE_SUPERVISOR, p->role->wire_role);
    else
        fd_close(pair[0]);
    if (r == 0)
        r = loop_io_add(s->loop, &p->io, p->wire.fd, EPOLLIN | EPOLLOUT, on_peer_ready);
    if (r == 0)
        r = loop_io_add(s->loop, &p->exit_io, p->process.fd, EPOLLIN, on_peer_exit);
    if (r < 0) {
        peer_kill(p);
        return error_set_errno(err, r, "cannot start %s", p->role->name);
    }
    p->started_ns = loop_now(s->loop);
    p->role->on_started(s);
    return 0;
}

void peer_kill(struct peer *p)
{
    loop_timer_cancel(&p->restart);
    (void)pidref_kill(&p->process, SIGKILL);
    peer_forget(p);
}

static void peer_fault(struct peer *p, const char *what)
{
    log_error("peer.fault", "program=%s what=%s", p->role->name, what);
    loop_io_remove(&p->io);
    (void)pidref_kill(&p->process, SIGKILL); /* on_peer_exit starts it again */
}

void peer_send(struct peer *p, struct wire_message *m)
{
    int r = wire_send(&p->wire, m);

    if (r < 0 && r != -EPIPE) /* gone: its exit tells */
        peer_fault(p, "does not take messages");
}

static void on_restart(struct loop_timer *t)
{
    struct peer *p = container_of(t, struct peer, restart);
    struct error err = ERROR_NULL;

    if (peer_start(p, &err) < 0) {
        log_error("peer.start", "%s", err.text);
        (void)loop_timer_after(p->supervisor->loop, t, RESTART_DELAY_NS_MAX, on_restart);
    }
}

static void on_peer_exit(struct loop_io *io)
{
    struct peer *p = container_of(io, struct peer, exit_io);
    struct supervisor *s = p->supervisor;
    uint64_t delay = 0, life, quick;
    int status = 0;

    if (pidref_reap(&p->process, &status) <= 0)
        return;
    on_peer_ready(&p->io); /* what it said before it died */
    peer_forget(p);
    if (s->state == SUPERVISOR_STOPPING) {
        if (p == &s->control)
            loop_stop(s->loop, s->result);
        return;
    }
    if (s->state == SUPERVISOR_DRAINING && p == &s->gateway) {
        supervisor_move(s, SUPERVISOR_STOPPING);
        return;
    }
    life = loop_now(s->loop) - p->started_ns;
    quick = s->state == SUPERVISOR_STARTING ? QUICK_FIRST_DEATH_NS : QUICK_DEATH_NS;
    p->n_quick_deaths = life < quick ? p->n_quick_deaths + 1 : 0;
    if (s->state == SUPERVISOR_STARTING && p->n_quick_deaths >= QUICK_DEATHS_MAX) {
        log_error("peer.hopeless", "program=%s what=it dies whenever it is started", p->role->name);
        s->result = EXIT_FAILURE;
        supervisor_move(s, SUPERVISOR_STOPPING);
        return;
    }
    if (p->n_quick_deaths > 1)
        delay = MIN(RESTART_DELAY_NS << MIN(p->n_quick_deaths, 10), RESTART_DELAY_NS_MAX);
    log_warning("peer.died", "program=%s status=%s%d restart_in_ms=%llu", p->role->name,
                WIFSIGNALED(status) ? "signal " : "",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                (unsigned long long)(delay / NS_PER_MS));
    (void)loop_timer_after(s->loop, &p->restart, delay, on_restart);
}

static void on_peer_ready(struct loop_io *io)
{
    struct peer *p = container_of(io, struct peer, io);
    struct wire_message m;
    int r = WIRE_E_CLOSED;

    if (io->ready & EPOLLOUT && wire_is_open(&p->wire) && wire_flush(&p->wire) < 0)
        loop_io_drained(io, EPOLLOUT);
    while (wire_is_open(&p->wire) && (r = wire_recv(&p->wire, &m)) == WIRE_E_OK) {
        p->role->on_message(p->supervisor, &m);
        wire_message_deinit(&m);
    }
    loop_io_drained(io, EPOLLIN);
    if (r < 0)
        peer_fault(p, "sent what it may not");
}

void peers_introduce(struct supervisor *s)
{
    struct wire_message to_gateway = {.type = WIRE_CONTROL_LINK, .n_fds = 1};
    struct wire_message to_control = {.type = WIRE_GATEWAY_LINK, .n_fds = 1};
    int pair[2];

    if (!wire_is_open(&s->gateway.wire) || !wire_is_open(&s->control.wire))
        return; /* whoever starts second introduces */
    if (wire_pair(pair) < 0) {
        peer_fault(&s->control, "cannot be introduced to the gateway"); /* its successor is */
        return;
    }
    to_gateway.fds[0] = pair[0];
    to_control.fds[0] = pair[1];
    peer_send(&s->gateway, &to_gateway);
    peer_send(&s->control, &to_control);
}

/* ---- the gateway ---- */

static unsigned gateway_fds(struct supervisor *s, int fds[static 3])
{
    fds[0] = s->listen_fd;
    fds[1] = s->local_fd;
    fds[2] = s->admin_fd; /* if there is one: --admin-address says so */
    return s->admin_fd >= 0 ? 3 : 2;
}

static unsigned gateway_args(struct supervisor *s, const char **argv)
{
    const struct {
        const char *option, *value;
    } pairs[] = {
        {"--workers-max", s->options.workers_max},
        {"--head-max", s->options.head_max},
        {"--line-max", s->options.line_max},
        {"--body-max", s->options.body_max},
        {"--head-timeout", s->options.head_timeout},
        {"--idle-timeout", s->options.idle_timeout},
        {"--body-timeout", s->options.body_timeout},
        {"--write-timeout", s->options.write_timeout},
        {"--url", s->url},
        {"--admin-address", s->admin_fd >= 0 ? s->admin_address : NULL},
        {"--admin-hosts", s->options.admin_hosts},
    };
    unsigned n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        if (!pairs[i].value)
            continue;
        argv[n++] = pairs[i].option;
        argv[n++] = pairs[i].value;
    }
    return n;
}

static void send_snapshot(struct supervisor *s)
{
    struct wire_message m = {.type = WIRE_SNAPSHOT, .n_fds = 1};

    if (s->snapshot_fd < 0)
        return;
    m.fds[0] = fcntl(s->snapshot_fd, F_DUPFD_CLOEXEC, 3);
    if (m.fds[0] < 0)
        peer_fault(&s->gateway, "cannot be given the snapshot"); /* its successor is */
    else
        peer_send(&s->gateway, &m);
}

static void send_sandbox(struct supervisor *s)
{
    struct wire_message m = {.type = WIRE_SANDBOX};
    struct buf json = BUF_INIT(SANDBOX_JSON_MAX);

    if (sandbox_report_json(&s->sandbox, &json) < 0) {
        peer_fault(&s->gateway, "cannot be told of the sandbox"); /* its successor is */
    } else {
        m.sandbox.missing = sandbox_report_missing(&s->sandbox);
        m.sandbox.json = buf_slice(&json);
        peer_send(&s->gateway, &m);
    }
    buf_deinit(&json);
}

static void on_gateway_started(struct supervisor *s)
{
    send_sandbox(s);
    send_snapshot(s);
    zygotes_introduce(s);
    peers_introduce(s);
}

static void on_gateway_message(struct supervisor *s, struct wire_message *m)
{
    if (m->type == WIRE_ZYGOTE_WANTED)
        zygotes_want(s, m->zygote_wanted.function, m->zygote_wanted.version);
    else if (m->type == WIRE_ZYGOTE_RELEASE)
        zygotes_release(s, m->zygote_release.zygote);
    else if (m->type == WIRE_KILL)
        zygotes_kill_worker(s, take_fd(&m->fds[0]), m->kill.signal);
    else if (m->type == WIRE_DRAINED && s->state == SUPERVISOR_DRAINING)
        supervisor_move(s, SUPERVISOR_STOPPING);
}

const struct role gateway_role = {
    .name = "gateway",
    .wire_role = WIRE_GATEWAY,
    .give_fds = gateway_fds,
    .add_args = gateway_args,
    .on_started = on_gateway_started,
    .on_message = on_gateway_message,
};

/* ---- control ---- */

static unsigned control_fds(struct supervisor *s, int fds[static 3])
{
    return 0;
}

static unsigned control_args(struct supervisor *s, const char **argv)
{
    const char *args[] = {"--project", s->options.project, "--state", s->options.state_dir,
                          "--lib",     s->options.lib,     "--url",   s->url};
    unsigned n = ARRAY_SIZE(args);

    memcpy(argv, args, sizeof(args));
    if (s->options.secrets_dir) {
        argv[n++] = "--secrets";
        argv[n++] = s->options.secrets_dir;
    }
    if (s->admin_url) {
        argv[n++] = "--admin-url";
        argv[n++] = s->admin_url;
    }
    if (s->options.otlp) {
        argv[n++] = "--otlp";
        argv[n++] = s->options.otlp;
    }
    if (s->options.dev)
        argv[n++] = "--dev";
    if (s->profile == SANDBOX_ROOT)
        argv[n++] = "--own-users";
    if (s->options.color)
        argv[n++] = "--color";
    return n;
}

static void on_control_started(struct supervisor *s)
{
    peers_introduce(s);
}

static int read_snapshot(int fd, struct snapshot **ret)
{
    struct slice bytes = SLICE_NULL;
    int r;

    r = memfd_map(fd, SNAPSHOT_BYTES_MAX, &bytes);
    if (r < 0)
        return r;
    r = snapshot_decode(bytes, ret);
    memfd_unmap(&bytes);
    return r;
}

/* Values are looked at when a zygote needs them; until then, that they are what they should be. */
static bool are_secrets(int fd)
{
    struct slice bytes = SLICE_NULL, none;
    int r = memfd_map(fd, SECRET_BUNDLES_MAX, &bytes);

    if (r == 0)
        r = secret_bundles_find(bytes, "", "", &none);
    memfd_unmap(&bytes);
    return r == -ENOENT;
}

static void on_publish(struct supervisor *s, struct wire_message *m)
{
    struct snapshot *old = s->snapshot, *now = NULL;
    int r = are_secrets(m->fds[1]) ? read_snapshot(m->fds[0], &now) : -EBADMSG;

    if (r < 0) {
        peer_fault(&s->control, "published what is no snapshot");
        return;
    }
    s->snapshot = now;
    if (old)
        network_update(s, old);
    snapshot_free(old);
    fd_close(s->snapshot_fd);
    s->snapshot_fd = take_fd(&m->fds[0]);
    fd_close(s->secrets_fd);
    s->secrets_fd = take_fd(&m->fds[1]);
    send_snapshot(s);
    network_announce(s);
    if (s->state == SUPERVISOR_STARTING)
        supervisor_move(s, SUPERVISOR_RUNNING);
}

static void on_control_message(struct supervisor *s, struct wire_message *m)
{
    if (m->type == WIRE_PUBLISH) {
        on_publish(s, m);
    } else if (m->type == WIRE_PUBLISH_FAILED && s->state == SUPERVISOR_STARTING &&
               !s->options.dev) {
        s->result = EXIT_FAILURE; /* control has said why */
        supervisor_move(s, SUPERVISOR_STOPPING);
    }
}

const struct role control_role = {
    .name = "control",
    .wire_role = WIRE_CONTROL,
    .give_fds = control_fds,
    .add_args = control_args,
    .on_started = on_control_started,
    .on_message = on_control_message,
};
