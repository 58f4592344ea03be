/*   LOADING --READY--> READY --released, fault, exit--> ENDING --reaped--> DONE
 *      \__FAILED, timeout, fault, exit____________________/
 *
 * A zygote's exit is seen through its pidfd. DONE is entered once, tells the gateway and frees.
 * A zygote has run foreign code: a message that is not right costs it its life, nothing else. */

#include "base/log.h"
#include "base/sm.h"
#include "base/utf8.h"
#include "model/secret.h"
#include "os/fd.h"
#include "os/memfd.h"
#include "os/proc.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_CONTROL        4 /* zygote/zygote.h's ZYGOTE_FD_CONTROL, and the gateway's behind it */
#define SANDBOX_BYTES_MAX 4096 /* of a worker's part of the plan */
#define FAILURE_MAX       65536
#define GRACE_NS          (2500 * NS_PER_MS) /* a little more than a zygote gives its programs */
#define SECRET_NAMES_MAX  65536              /* of the variables of one function */
#define SLOTS_WANTED_MAX  64                 /* messages; each asks for more than the one before */

static const struct sm_state zygote_states[_ZYGOTE_STATE_MAX] = {
    [ZYGOTE_LOADING] = {"loading", SM_TO(ZYGOTE_READY) | SM_TO(ZYGOTE_ENDING)},
    [ZYGOTE_READY] = {"ready", SM_TO(ZYGOTE_ENDING)},
    [ZYGOTE_ENDING] = {"ending", SM_TO(ZYGOTE_DONE)},
    [ZYGOTE_DONE] = {"done", 0},
};

static void tell_ended(struct zygote *z, bool killed)
{
    struct wire_message m = {
        .type = WIRE_ZYGOTE_ENDED,
        .zygote_ended = {.zygote = z->id,
                         .loaded = z->was_ready,
                         .killed = killed,
                         .error = slice_str(z->failure)},
    };

    peer_send(&z->supervisor->gateway, &m);
}

static void zygote_free(struct zygote *z)
{
    list_remove(&z->link);
    loop_io_remove(&z->io);
    loop_io_remove(&z->exit_io);
    loop_timer_cancel(&z->init_timeout);
    loop_timer_cancel(&z->grace);
    group_bury(z);
    wire_deinit(&z->wire);
    pidref_done(&z->process);
    fd_close(z->log_fd);
    free(z->function);
    free(z->failure);
    free(z);
}

/* Entering a state disarms what it may not hold. */
static void zygote_move(struct zygote *z, enum zygote_state to)
{
    sm_move(zygote_states, &z->state, to);
    if (to != ZYGOTE_LOADING)
        loop_timer_cancel(&z->init_timeout);
    if (to == ZYGOTE_READY)
        z->was_ready = true;
    if (to == ZYGOTE_ENDING)
        loop_io_remove(&z->io);
}

static void zygote_kill(struct zygote *z)
{
    loop_timer_cancel(&z->grace);
    group_lift(z, NULL);
    (void)pidref_kill(&z->process, SIGKILL); /* PID 1 of its namespace: its workers go with it */
    (void)cgroup_kill(&z->group);            /* and who got out of it */
}

static void zygote_end(struct zygote *z)
{
    if (z->state == ZYGOTE_ENDING)
        return;
    zygote_move(z, ZYGOTE_ENDING);
    zygote_kill(z);
}

static void on_grace_over(struct loop_timer *t)
{
    zygote_kill(container_of(t, struct zygote, grace));
}

/* A closed channel tells a zygote to end. One with a program beside it asks that to end, as
 * init systems do, and is killed if it takes its time. */
static void zygote_ask(struct zygote *z)
{
    if (z->state != ZYGOTE_READY || !z->has_program) {
        zygote_end(z);
        return;
    }
    zygote_move(z, ZYGOTE_ENDING);
    wire_deinit(&z->wire);
    if (loop_timer_after(z->supervisor->loop, &z->grace, GRACE_NS, on_grace_over) < 0)
        zygote_kill(z);
}

/* Notes why, if nothing is known yet: {"errorType": ..., "errorMessage": ...}. */
static void zygote_blame(struct zygote *z, const char *type, const char *message)
{
    struct buf b = BUF_INIT(FAILURE_MAX);

    if (z->failure)
        return;
    if (buf_append_str(&b, "{\"errorType\": ") == 0 && utf8_write_json(&b, slice_str(type)) == 0 &&
        buf_append_str(&b, ", \"errorMessage\": ") == 0 &&
        utf8_write_json(&b, slice_str(message)) == 0 &&
        buf_append_str(&b, ", \"stackTrace\": []}") == 0)
        z->failure = slice_dup(buf_slice(&b));
    buf_deinit(&b);
}

/* ---- events ---- */

static void on_ready_message(struct zygote *z)
{
    struct wire_message m = {.type = WIRE_ZYGOTE_READY};
    pid_t child = z->supervisor->profile == SANDBOX_DEGRADED ? 0 : proc_first_child(z->process.pid);

    z->init_ns = loop_now(z->supervisor->loop) - z->started_ns;
    z->pid = child > 0 ? child : z->process.pid;
    zygote_move(z, ZYGOTE_READY);
    log_debug("zygote.ready", "function=%s pid=%d init_us=%llu", z->function, z->pid,
              (unsigned long long)(z->init_ns / NS_PER_US));
    m.zygote_ready.zygote = z->id;
    m.zygote_ready.pid = (uint64_t)z->pid;
    m.zygote_ready.init_ns = z->init_ns;
    peer_send(&z->supervisor->gateway, &m);
}

static void on_zygote_ready(struct loop_io *io)
{
    struct zygote *z = container_of(io, struct zygote, io);
    struct wire_message m;
    int r;

    if (io->ready & EPOLLOUT)
        (void)wire_flush(&z->wire); /* a zygote that is gone is seen through its pidfd */
    while ((r = wire_recv(&z->wire, &m)) == WIRE_E_OK) {
        bool allowed = m.type == WIRE_SLOTS_WANTED ? ++z->n_slots_wanted <= SLOTS_WANTED_MAX
                                                   : z->state == ZYGOTE_LOADING;

        if (allowed && m.type == WIRE_SLOTS_WANTED)
            group_more_slots(z, m.slots_wanted.slots);
        else if (allowed && m.type == WIRE_READY)
            on_ready_message(z);
        else if (allowed && m.type == WIRE_FAILED && !z->failure)
            z->failure =
                slice_dup(slice(m.failed.error.base, MIN(m.failed.error.len, FAILURE_MAX)));
        wire_message_deinit(&m);
        if (!allowed)
            r = -EBADMSG;
        if (r < 0)
            break;
    }
    loop_io_drained(io, EPOLLIN);
    if (r < 0) {
        log_warning("zygote.fault", "function=%s pid=%d", z->function, z->process.pid);
        zygote_end(z);
    }
}

/* Its init exits as it did: with its status, or with 128 and the number of the signal. */
static int status_of_zygote(const struct zygote *z, int status)
{
    bool by_init = z->supervisor->profile != SANDBOX_DEGRADED && WIFEXITED(status);

    return by_init && WEXITSTATUS(status) > 128 ? WEXITSTATUS(status) - 128 : status;
}

static void on_zygote_exit(struct loop_io *io)
{
    struct zygote *z = container_of(io, struct zygote, exit_io);
    bool killed = false;
    char text[96];
    int status = 0;

    if (pidref_reap(&z->process, &status) <= 0)
        return;
    status = status_of_zygote(z, status);
    if (z->state != ZYGOTE_ENDING) {
        on_zygote_ready(&z->io); /* its last words */
        if (z->state != ZYGOTE_ENDING)
            zygote_move(z, ZYGOTE_ENDING);
        killed = !z->failure && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (WIFSIGNALED(status))
            (void)snprintf(text, sizeof(text),
                           "the process that holds the function was killed by "
                           "signal %d (%s)",
                           WTERMSIG(status), sigdescr_np(WTERMSIG(status)));
        else
            (void)snprintf(text, sizeof(text),
                           "the process that holds the function exited with "
                           "status %d",
                           WEXITSTATUS(status));
        zygote_blame(z, "Runtime.ExitError", text);
    }
    tell_ended(z, killed);
    zygote_move(z, ZYGOTE_DONE);
    zygote_free(z);
}

static void on_init_timeout(struct loop_timer *t)
{
    struct zygote *z = container_of(t, struct zygote, init_timeout);

    zygote_blame(z, "Runtime.InitTimeout",
                 "the function did not finish loading within its init_timeout");
    zygote_end(z);
}

/* ---- starting ---- */

/* In the child: tells the supervisor why, in the zygote's name. */
static void on_spawn_failure(const struct error *err)
{
    struct wire_message m = {.type = WIRE_FAILED};
    struct buf b = BUF_INIT(FAILURE_MAX);
    struct wire w;

    wire_init_with(&w, FD_CONTROL, WIRE_ZYGOTE, WIRE_SUPERVISOR, NULL);
    (void)buf_append_str(&b, "{\"errorType\": \"Runtime.StartFailed\", \"errorMessage\": ");
    (void)utf8_write_json(&b, slice_str(err->text));
    (void)buf_append_str(&b, ", \"stackTrace\": []}");
    m.failed.error = buf_slice(&b);
    (void)wire_send(&w, &m);
}

/* Sends the gateway its ends: of the channel (consumed) and of the zygote's output (a copy). */
static int introduce(struct zygote *z, int channel_consume)
{
    struct wire_message m = {.type = WIRE_ZYGOTE_STARTED,
                             .n_fds = 2,
                             .fds = {channel_consume, -1, -1, -1},
                             .zygote_started = {.zygote = z->id,
                                                .pid = (uint64_t)z->process.pid,
                                                .function = slice_str(z->function),
                                                .version = slice_str(z->version)}};

    m.fds[1] = fcntl(z->log_fd, F_DUPFD_CLOEXEC, 3);
    if (m.fds[1] < 0) {
        fd_close(channel_consume);
        return -errno;
    }
    peer_send(&z->supervisor->gateway, &m);
    return 0;
}

static int secret_names(const struct function *f, struct buf *b)
{
    int r = 0;

    for (char *const *v = f->secrets; *v && r == 0; v++) {
        r = buf_append(b, *v, (size_t)(strchrnul(*v, '=') - *v));
        r = r < 0 ? r : buf_append(b, "", 1);
    }
    return r;
}

/* A memory file of its own: what is another function's must not come along. */
static int bundle_open(const struct supervisor *s, const struct function *f)
{
    struct slice all = SLICE_NULL, bundle;
    int r = memfd_map(s->secrets_fd, SECRET_BUNDLES_MAX, &all);

    if (r == 0)
        r = secret_bundles_find(all, f->name, f->version, &bundle);
    if (r == 0)
        r = memfd_new("mayfly-secrets", bundle);
    memfd_unmap(&all);
    return r;
}

/* Hands the zygote what is secret of its function, if anything is. */
static int send_secrets(struct zygote *z, const struct function *f)
{
    _cleanup_(buf_deinit) struct buf names = BUF_INIT(SECRET_NAMES_MAX);
    struct wire_message m = {.type = WIRE_SECRETS, .n_fds = 1};
    int r;

    if (!f->secrets || !f->secrets[0])
        return 0;
    r = secret_names(f, &names);
    if (r < 0)
        return r;
    m.fds[0] = bundle_open(z->supervisor, f);
    if (m.fds[0] < 0)
        return m.fds[0];
    m.secrets.at_load = f->secrets_when == SECRETS_LOAD;
    m.secrets.names = buf_slice(&names);
    return wire_send(&z->wire, &m);
}

static int send_start(struct zygote *z, const struct function *f, const struct sandbox_plan *plan)
{
    struct buf sandbox = BUF_INIT(SANDBOX_BYTES_MAX);
    int r = sandbox_worker_encode(&plan->worker, &sandbox);
    struct wire_message m = {.type = WIRE_START,
                             .start = {.function = slice_str(f->name),
                                       .version = slice_str(f->version),
                                       .handler = slice_str(f->handler),
                                       .isolation = f->isolation,
                                       .dev = z->supervisor->options.dev,
                                       .timeout_ms = f->limits.timeout_ms,
                                       .memory_bytes = f->limits.memory_bytes,
                                       .sandbox = buf_slice(&sandbox)}};

    r = r < 0 ? r : wire_send(&z->wire, &m);
    buf_deinit(&sandbox);
    return r;
}

static int spawn_process(struct zygote *z, const struct function *f,
                         const struct sandbox_plan *plan, const int fds[2], int log_fd)
{
    struct supervisor *s = z->supervisor;
    char **env = spawn_environment(plan, s->options.env, f->env);
    char **argv = env ? spawn_words(plan, f->argv) : NULL;
    struct cgroup_door door = CGROUP_DOOR_NULL;
    int r = argv ? 0 : -ENOMEM;

    if (r == 0)
        r = cgroup_door_open(&z->group, &door);
    if (r == 0)
        r = spawn(&(struct spawn){.argv = argv,
                                  .env = env,
                                  .dir = f->code_dir,
                                  .fds = fds,
                                  .n_fds = 2,
                                  .fd_first = FD_CONTROL,
                                  .output_fd = log_fd,
                                  .plan = plan,
                                  .door = &door,
                                  .init_fd = s->init_fd,
                                  .on_failure = on_spawn_failure},
                  &z->process);
    cgroup_door_close(&door);
    free(argv);
    free(env);
    return r;
}

/* Makes the channels and the process, and tells both ends. What was made is z's on failure, too. */
static int zygote_launch(struct zygote *z, const struct function *f, struct error *err)
{
    const struct sandbox_request request = {.profile = z->supervisor->profile,
                                            .function = f,
                                            .lib = z->supervisor->options.lib,
                                            .uid = geteuid(),
                                            .gid = getegid(),
                                            .index = z->index};
    struct loop *loop = z->supervisor->loop;
    int control[2] = {-1, -1}, gateway[2] = {-1, -1}, log[2] = {-1, -1}, r;
    struct sandbox_plan plan;

    sandbox_plan_build(&request, &plan);
    r = group_make(z, f, sandbox_plan_zygote_uid(&plan));
    if (r == 0)
        r = network_bind(z, f, err);
    if (r == 0)
        r = wire_pair(control);
    if (r == 0)
        r = wire_pair(gateway);
    if (r == 0)
        r = fd_pipe(log, 0);
    if (r == 0) {
        r = wire_init_consume(&z->wire, take_fd(&control[0]), WIRE_SUPERVISOR, WIRE_ZYGOTE);
        z->log_fd = take_fd(&log[0]);
    }
    if (r == 0)
        r = spawn_process(z, f, &plan, (int[]){control[1], gateway[1]}, log[1]);
    if (r == 0)
        r = introduce(z, take_fd(&gateway[0]));
    if (r == 0)
        r = send_secrets(z, f);
    if (r == 0)
        r = group_send_slots(z);
    if (r == 0)
        r = send_start(z, f, &plan);
    if (r == 0)
        r = loop_io_add(loop, &z->io, z->wire.fd, EPOLLIN | EPOLLOUT, on_zygote_ready);
    if (r == 0)
        r = loop_io_add(loop, &z->exit_io, z->process.fd, EPOLLIN, on_zygote_exit);
    if (r == 0)
        r = loop_timer_after(loop, &z->init_timeout, f->limits.init_timeout_ms * NS_PER_MS,
                             on_init_timeout);
    for (int i = 0; i < 2; i++) {
        fd_close(control[i]);
        fd_close(gateway[i]);
        fd_close(log[i]);
    }
    return r;
}

static void refuse(struct supervisor *s, struct slice function, struct slice version,
                   const char *why)
{
    struct wire_message m = {.type = WIRE_ZYGOTE_REFUSED,
                             .zygote_refused = {function, version, slice_str(why)}};

    peer_send(&s->gateway, &m);
}

static bool index_is_free(const struct supervisor *s, uint32_t index)
{
    struct list *i;

    list_for_each (i, (struct list *)&s->zygotes) {
        if (list_entry(i, struct zygote, link)->index == index)
            return false;
    }
    return true;
}

/* Goes round, so that a range of user ids rests for long before it is used again. */
static int take_index(struct supervisor *s, uint32_t *ret)
{
    for (uint32_t n = 0; n < SANDBOX_VERSIONS_MAX; n++) {
        uint32_t index = s->next_index++ % SANDBOX_VERSIONS_MAX;

        if (index_is_free(s, index)) {
            *ret = index;
            return 0;
        }
    }
    return -EAGAIN;
}

static struct zygote *zygote_new(struct supervisor *s, const struct function *f)
{
    uint32_t index;
    struct zygote *z = take_index(s, &index) == 0 ? calloc(1, sizeof(*z)) : NULL;

    if (!z)
        return NULL;
    z->index = index;
    z->function = strdup(f->name);
    if (!z->function) {
        free(z);
        return NULL;
    }
    memcpy(z->version, f->version, sizeof(z->version));
    z->has_program = f->runtime == RUNTIME_WEB || f->runtime == RUNTIME_PROVIDED;
    z->supervisor = s;
    z->id = ++s->next_zygote;
    z->process = PIDREF_NULL;
    z->log_fd = -1;
    z->wire.fd = -1;
    z->started_ns = clock_now_ns();
    list_init(&z->wire.queue);
    loop_io_init(&z->io);
    loop_io_init(&z->exit_io);
    list_init(&z->dying);
    list_add_last(&s->zygotes, &z->link);
    return z;
}

void zygotes_want(struct supervisor *s, struct slice function, struct slice version)
{
    struct function *f = s->snapshot ? snapshot_find(s->snapshot, function) : NULL;
    struct error err = ERROR_NULL;
    struct zygote *z;
    int r;

    if (s->state != SUPERVISOR_RUNNING || !f || !slice_eq(version, slice_str(f->version))) {
        refuse(s, function, version, "this version is not served any more");
        return;
    }
    if (!f->broken && network_judge(s, f, &err) < 0) {
        refuse(s, function, version, err.text);
        return;
    }
    z = f->broken ? NULL : zygote_new(s, f);
    if (!z) {
        refuse(s, function, version, f->broken ? f->broken : strerrordesc_np(ENOMEM));
        return;
    }
    r = zygote_launch(z, f, &err);
    if (r < 0) {
        const char *why = err.text[0] ? err.text : strerrordesc_np(-r);

        log_error("zygote.start", "function=%s error=%s", z->function, why);
        refuse(s, function, version, why);
        (void)pidref_kill(&z->process, SIGKILL); /* the main loop reaps what has no owner */
        zygote_free(z);
    }
}

void zygotes_release(struct supervisor *s, uint64_t id)
{
    struct list *i;

    list_for_each (i, &s->zygotes) {
        struct zygote *z = list_entry(i, struct zygote, link);

        if (z->id == id) {
            zygote_ask(z);
            return;
        }
    }
}

void zygotes_kill_all(struct supervisor *s)
{
    struct list *i;

    list_for_each (i, &s->zygotes) {
        struct zygote *z = list_entry(i, struct zygote, link);

        if (loop_timer_is_armed(&z->grace))
            zygote_kill(z);
        else
            zygote_end(z);
    }
}

void zygotes_end_all(struct supervisor *s)
{
    struct list *i;

    list_for_each (i, &s->zygotes)
        zygote_ask(list_entry(i, struct zygote, link));
}

void zygotes_await(struct supervisor *s)
{
    uint64_t until = clock_now_ns() + GRACE_NS;
    struct list *i;

    list_for_each (i, &s->zygotes) {
        struct zygote *z = list_entry(i, struct zygote, link);
        struct pollfd p = {.fd = z->process.fd, .events = POLLIN};
        uint64_t now = clock_now_ns();

        if (loop_timer_is_armed(&z->grace) && now < until)
            (void)poll(&p, 1, (int)((until - now) / NS_PER_MS));
    }
}

void zygotes_introduce(struct supervisor *s)
{
    struct list *i;

    list_for_each (i, &s->zygotes) {
        struct zygote *z = list_entry(i, struct zygote, link);
        struct wire_message changed = {.type = WIRE_GATEWAY_CHANGED, .n_fds = 1};
        struct wire_message ready = {.type = WIRE_ZYGOTE_READY};
        int pair[2];

        if (z->state == ZYGOTE_ENDING)
            continue;
        if (wire_pair(pair) < 0) {
            zygote_end(z);
            continue;
        }
        changed.fds[0] = pair[1];
        if (introduce(z, pair[0]) < 0 || wire_send(&z->wire, &changed) < 0) {
            wire_message_deinit(&changed);
            zygote_end(z);
            continue;
        }
        ready.zygote_ready.zygote = z->id;
        ready.zygote_ready.pid = (uint64_t)z->pid;
        ready.zygote_ready.init_ns = z->init_ns;
        if (z->state == ZYGOTE_READY)
            peer_send(&s->gateway, &ready);
    }
}

/* Whether the pid, as we see it, is that of the zygote: a child of the sandbox's init. */
static bool is_zygote(const struct zygote *z, pid_t pid)
{
    struct proc_stat stat;

    return z->process.pid == pid || z->pid == pid ||
           (proc_stat_read(pid, &stat) == 0 && stat.ppid == z->process.pid);
}

void zygotes_kill_worker(struct supervisor *s, int pidfd_consume, uint32_t signal)
{
    struct pidref worker = PIDREF_NULL;
    struct list *i;
    pid_t parent;

    if ((signal != SIGKILL && signal != SIGQUIT) ||
        pidref_from_fd_take(pidfd_consume, &worker, &parent) < 0) {
        fd_close(pidfd_consume);
        return;
    }
    /* The gateway faces the network: it may end workers, not any process it names. */
    list_for_each (i, &s->zygotes) {
        struct zygote *z = list_entry(i, struct zygote, link);

        if (is_zygote(z, parent)) {
            if (signal == SIGKILL)
                group_lift(z, &worker);
            (void)pidref_kill(&worker, (int)signal);
            break;
        }
    }
    pidref_done(&worker);
}
