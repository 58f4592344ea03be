/* The zygote's loop: FORK in, WORKER_STARTED and WORKER_ENDED out, and the supervisor's word.
 *
 * What the loop writes to is what each fork pays for again: a page shared with a child is copied at
 * the next write. So its state lives in one mapping with MADV_DONTFORK, which a fork neither copies
 * nor protects; a worker must not touch it (and would die if it did).
 *
 * Blocking is right here: whoever the zygote waits for (its gateway) never waits for a zygote. */

#include "model/limit-hit.h"
#include "os/fd.h"
#include "os/pidref.h"
#include "os/proc.h"
#include "zygote/zygote-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    POLL_CONTROL,
    POLL_GATEWAY,
    POLL_SIGNAL,
    _POLL_MAX,
};

struct zygote {
    struct zygote_start start;
    struct wire control;
    struct wire gateway;
    char control_in[WIRE_BYTES_MAX];
    char gateway_in[WIRE_BYTES_MAX];
    int signal_fd;
    struct sandbox_fork *sandbox; /* not in this mapping: the workers need it */
    struct children children;
    struct worker_slots slots;
    bool is_prepared; /* for forks */
};

/* Reserves 3 (a worker's socket) and the numbers up to ZYGOTE_FD_LAST while foreign code loads, so
 * that what it opens lands above. */
static int reserve_fds(const struct zygote *z)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return -errno;
    for (int fd = ZYGOTE_FD_WORKER; fd <= ZYGOTE_FD_LAST; fd++) {
        if (fd == ZYGOTE_FD_CONTROL || fd == ZYGOTE_FD_GATEWAY || fd == null ||
            (fd == ZYGOTE_FD_SLOTS && z->slots.n > 0) ||
            (fd == ZYGOTE_FD_OOM && z->slots.oom_len > 0))
            continue;
        if (dup3(null, fd, O_CLOEXEC) < 0)
            return -errno;
    }
    if (null > ZYGOTE_FD_LAST)
        fd_close(null);
    return 0;
}

static const char *keep(struct slice s)
{
    char *copy = slice_dup(s);

    if (!copy)
        _exit(EXIT_FAILURE);
    return copy;
}

/* Whether each worker is the init of a namespace: then nothing that it started outlives it. */
static bool has_own_processes(const struct zygote *z)
{
    return z->sandbox->worker.namespaces & CLONE_NEWPID;
}

/* The names, each ended by a NUL, as a list of strings. */
static const char **keep_names(struct slice names)
{
    const char *next = keep(names), *end = next + names.len;
    const char **list;
    size_t n = 0;

    for (size_t i = 0; i < names.len; i++)
        n += names.base[i] == '\0';
    list = calloc(n + 1, sizeof(*list));
    if (!list)
        _exit(EXIT_FAILURE);
    for (size_t i = 0; i < n && next < end; next += strlen(next) + 1)
        list[i++] = next;
    return list;
}

static int await_message(struct zygote *z, struct wire_message *m, struct error *err)
{
    struct pollfd p = {.fd = z->control.fd, .events = POLLIN};
    int r;

    do {
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return error_set_errno(err, -errno, "cannot wait for the supervisor");
        r = wire_recv(&z->control, m);
    } while (r == WIRE_E_AGAIN);
    return r == WIRE_E_OK
               ? 0
               : error_set(err, -EPROTO, "started by something that is not mayfly's supervisor");
}

/* What comes ahead of START. */
static int take_secrets(struct wire_message *m, struct zygote_start *start, struct error *err)
{
    int r = secrets_keep(take_fd(&m->fds[0]));

    if (r < 0)
        return error_set_errno(err, r, "cannot keep the secrets");
    start->secrets = keep_names(m->secrets.names);
    start->secrets_at_load = m->secrets.at_load != 0;
    return 0;
}

static int await_start(struct zygote *z, struct error *err)
{
    static const char *const none[] = {NULL};
    struct zygote_start before = {.secrets = none};
    struct wire_message m;
    int r;

    while ((r = await_message(z, &m, err)) == 0 && m.type != WIRE_START) {
        if (m.type == WIRE_SECRETS)
            r = take_secrets(&m, &before, err);
        else if (m.type == WIRE_CGROUP)
            (void)slots_take(&z->slots, &m); /* without: its workers share the version's group */
        else
            r = error_set(err, -EPROTO, "started by something that is not mayfly's supervisor");
        wire_message_deinit(&m);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r;
    z->start = (struct zygote_start){
        .secrets = before.secrets,
        .secrets_at_load = before.secrets_at_load,
        .function = keep(m.start.function),
        .version = keep(m.start.version),
        .handler = keep(m.start.handler),
        .isolation = m.start.isolation < _ISOLATION_MAX ? (enum isolation)m.start.isolation
                                                        : ISOLATION_REQUEST,
        .dev = m.start.dev != 0,
        .timeout_ms = m.start.timeout_ms,
        .memory_bytes = m.start.memory_bytes,
    };
    r = sandbox_worker_decode(m.start.sandbox, &z->sandbox->worker);
    wire_message_deinit(&m);
    return r < 0 ? error_set_errno(err, r, "the supervisor's word of the sandbox") : 0;
}

int zygote_open(struct zygote **ret, struct error *err)
{
    struct zygote *z;
    sigset_t chld;
    int r;

    z = mmap(NULL, sizeof(*z), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (z == MAP_FAILED)
        return error_set_errno(err, -errno, "no memory for the zygote");
    z->signal_fd = -1;
    /* Before foreign code: a thread that it starts must not be given SIGCHLD in place of our loop.
     */
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &chld, NULL) < 0)
        return error_set_errno(err, -errno, "cannot block SIGCHLD");
    z->sandbox = calloc(1, sizeof(*z->sandbox));
    if (!z->sandbox)
        return error_set_errno(err, -ENOMEM, "no memory for the zygote");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    slots_init(&z->slots);
    wire_init_with(&z->control, ZYGOTE_FD_CONTROL, WIRE_ZYGOTE, WIRE_SUPERVISOR, z->control_in);
    wire_init_with(&z->gateway, ZYGOTE_FD_GATEWAY, WIRE_ZYGOTE, WIRE_GATEWAY, z->gateway_in);
    r = await_start(z, err);
    if (r < 0)
        return r;
    if (!has_own_processes(z))
        (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    else
        (void)prctl(PR_SET_DUMPABLE, 0); /* nobody of the same user looks into it */
    r = reserve_fds(z);
    if (r < 0)
        return error_set_errno(err, r, "cannot reserve file descriptors");
    r = z->start.secrets_at_load ? secrets_take(NULL, NULL) : 0;
    if (r < 0)
        return error_set_errno(err, r, "cannot read the secrets");
    *ret = z;
    return 0;
}

const struct zygote_start *zygote_start(const struct zygote *z)
{
    return &z->start;
}

/* Sends, waiting for the peer if need be. A peer that is gone shows when we read. */
static void send_blocking(struct wire *w, struct wire_message *m)
{
    (void)wire_send(w, m);
    while (wire_has_queued(w)) {
        struct pollfd p = {.fd = w->fd, .events = POLLOUT};

        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return;
        if (wire_flush(w) < 0 || (p.revents & (POLLERR | POLLHUP)))
            return;
    }
}

void zygote_fail(struct zygote *z, struct slice json)
{
    struct wire_message m = {.type = WIRE_FAILED, .failed = {.error = json}};
    struct buf b = BUF_INIT(SIZE_MAX);
    int r = secrets_redact(json, &b);

    if (r != 0)
        m.failed.error = r > 0 ? buf_slice(&b) : SLICE_LIT(WORKER_ERROR_WITHHELD);
    m.failed.error.len = MIN(m.failed.error.len, (size_t)WIRE_BYTES_MAX / 2);
    send_blocking(&z->control, &m);
    _exit(EXIT_FAILURE);
}

void zygote_fail_text(struct zygote *z, const char *type, const char *message, const char *stack)
{
    struct buf b = BUF_INIT(WIRE_BYTES_MAX / 2);

    (void)worker_error_json(&b, type, message, stack);
    zygote_fail(z, buf_slice(&b));
}

/* ---- the loop ---- */

struct clone_call {
    const struct inheritance *in;
    struct pidref *ret;
};

static int clone_worker(void *arg)
{
    const struct clone_call *call = arg;

    return fork_worker(call->in, call->ret);
}

static int fork_by(const struct zygote_host *host, void *ctx, const struct inheritance *in,
                   struct pidref *ret)
{
    struct clone_call call = {in, ret};

    return host->fork ? host->fork(ctx, clone_worker, &call) : fork_worker(in, ret);
}

/* Returns true in the new worker, where z is not there any more. */
static bool on_fork(struct zygote *z, struct wire_message *m, const struct zygote_host *host,
                    void *ctx)
{
    struct inheritance in = {.socket = m->fds[0],
                             .out = m->fds[1],
                             .err = m->fds[2],
                             .slot = children_next_slot(&z->children),
                             .n_alive = z->children.n,
                             .slots_v2 = z->slots.v2,
                             .sandbox = z->sandbox};
    struct wire_message reply, more = {.type = WIRE_SLOTS_WANTED};
    struct pidref child = PIDREF_NULL;
    int r;

    in.has_slot = slots_has(&z->slots, in.slot);
    slots_fork_begin(&z->slots);
    r = z->children.n < CHILDREN_MAX ? fork_by(host, ctx, &in, &child) : -EAGAIN;
    if (r == 0)
        return true;
    slots_fork_end(&z->slots);
    if (r < 0) {
        reply = (struct wire_message){.type = WIRE_FORK_FAILED,
                                      .fork_failed = {m->fork.worker, (uint32_t)-r}};
    } else {
        (void)children_add(&z->children, child.pid, m->fork.worker, in.slot);
        reply = (struct wire_message){.type = WIRE_WORKER_STARTED,
                                      .n_fds = 1,
                                      .fds = {child.fd, -1, -1, -1},
                                      .worker_started = {m->fork.worker}};
    }
    send_blocking(&z->gateway, &reply);
    more.slots_wanted.slots = r < 0 ? 0 : slots_wanted(&z->slots, in.slot);
    if (more.slots_wanted.slots > 0)
        send_blocking(&z->control, &more);
    return false;
}

static uint64_t timeval_us(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

static void report_end(struct zygote *z, const struct child *child, int status,
                       const struct rusage *u)
{
    uint64_t peak = 0;
    bool out_of_memory = slots_end(&z->slots, child->slot, &peak);
    struct wire_message m = {
        .type = WIRE_WORKER_ENDED,
        .worker_ended =
            {
                .worker = child->worker,
                .status = (uint32_t)status,
                .user_us = timeval_us(u->ru_utime),
                .system_us = timeval_us(u->ru_stime),
                .memory_peak_bytes = (uint64_t)u->ru_maxrss * 1024,
                .minor_faults = (uint64_t)u->ru_minflt,
                .major_faults = (uint64_t)u->ru_majflt,
                .voluntary_switches = (uint64_t)u->ru_nvcsw,
                .involuntary_switches = (uint64_t)u->ru_nivcsw,
                .limit = out_of_memory ? LIMIT_HIT_MEMORY : LIMIT_HIT_NONE,
                .limit_used = out_of_memory ? peak : 0,
                .limit_max = out_of_memory ? z->start.memory_bytes : 0,
            },
    };

    send_blocking(&z->gateway, &m);
}

/* A program of the host's that has ended: the log says so if it was for want of memory. */
static void tell_memory(struct zygote *z, const struct child *child)
{
    uint64_t peak = 0;

    if (slots_end(&z->slots, child->slot, &peak))
        (void)dprintf(STDERR_FILENO, "mayfly: OutOfMemory: used %llu MB of %llu MB\n",
                      (unsigned long long)(peak / MIB),
                      (unsigned long long)(z->start.memory_bytes / MIB));
}

/* Without PID namespaces: what a dead worker left behind has become a child of the zygote. */
static void kill_if_stray(void *ctx, pid_t pid)
{
    struct zygote *z = ctx;
    struct pidref stray = PIDREF_NULL;

    if (children_has(&z->children, pid) || pidref_open_child(pid, &stray) < 0)
        return;
    (void)pidref_kill(&stray, SIGKILL);
    pidref_done(&stray);
}

static void on_signal(struct zygote *z, const struct zygote_host *host, void *ctx)
{
    struct signalfd_siginfo info;
    struct rusage usage;
    bool ended = false;
    int status;
    pid_t pid;

    (void)!read(z->signal_fd, &info, sizeof(info)); /* only clears it: wait4() knows the rest */
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        const struct child *child = children_get(&z->children, pid);
        uint64_t worker;

        ended = true;
        if (child && child->worker == CHILD_OF_HOST)
            tell_memory(z, child);
        else if (child)
            report_end(z, child, status, &usage);
        (void)children_remove(&z->children, pid, &worker);
        if (host->on_child_end)
            host->on_child_end(ctx, pid, status);
    }
    /* In a namespace of its own /proc shows other pids; there strays end with the zygote. */
    if (ended && !has_own_processes(z))
        (void)proc_each_child(kill_if_stray, z);
}

/* The gateway is gone, and with it all clients of the workers. What is the host's stays. */
static void drop_gateway(struct zygote *z)
{
    struct child kept[2 * ZYGOTE_POLLS_MAX];
    unsigned n_kept = 0;

    wire_deinit(&z->gateway);
    for (uint32_t i = 0; i < CHILDREN_SIZE; i++) {
        struct pidref child = PIDREF_NULL;

        if (z->children.table[i].pid != 0 && z->children.table[i].worker == CHILD_OF_HOST &&
            n_kept < ARRAY_SIZE(kept)) {
            kept[n_kept++] = z->children.table[i];
            continue;
        }
        if (z->children.table[i].pid == 0 ||
            pidref_open_child(z->children.table[i].pid, &child) < 0)
            continue;
        (void)pidref_kill(&child, SIGKILL);
        pidref_done(&child);
    }
    memset(&z->children, 0, sizeof(z->children));
    for (unsigned i = 0; i < n_kept; i++)
        (void)children_add(&z->children, kept[i].pid, kept[i].worker, kept[i].slot);
}

/* The three that come with FORK land side by side as long as nobody opens anything in between. */
static void close_fork_fds(struct wire_message *m)
{
    const int *fds = m->fds;

    if (m->n_fds == 3 && fds[1] == fds[0] + 1 && fds[2] == fds[1] + 1 &&
        close_range((unsigned)fds[0], (unsigned)fds[2], 0) == 0)
        m->n_fds = 0;
    wire_message_deinit(m);
}

/* Returns true in a new worker. */
static bool on_gateway(struct zygote *z, const struct zygote_host *host, void *ctx)
{
    struct wire_message m;
    int r;

    while ((r = wire_recv(&z->gateway, &m)) == WIRE_E_OK) {
        if (m.type == WIRE_FORK && on_fork(z, &m, host, ctx))
            return true;
        close_fork_fds(&m);
    }
    if (r != WIRE_E_AGAIN)
        drop_gateway(z);
    return false;
}

static void on_control(struct zygote *z, const struct zygote_host *host, void *ctx)
{
    struct wire_message m;
    int r;

    while ((r = wire_recv(&z->control, &m)) == WIRE_E_OK) {
        if (m.type == WIRE_GATEWAY_CHANGED) {
            drop_gateway(z);
            wire_init_with(&z->gateway, take_fd(&m.fds[0]), WIRE_ZYGOTE, WIRE_GATEWAY,
                           z->gateway_in);
        } else if (m.type == WIRE_SLOTS) {
            slots_grown(&z->slots, m.slots.slots);
        }
        wire_message_deinit(&m);
    }
    if (r == WIRE_E_AGAIN)
        return;
    drop_gateway(z);
    if (host->on_end)
        host->on_end(ctx);
    _exit(EXIT_SUCCESS);
}

/* What a fork needs, and nothing that only workers do. */
static int prepare_forks(struct zygote *z)
{
    sigset_t chld;
    int r;

    if (z->is_prepared)
        return 0;
    /* Packets are small: what FORK needs fits a page. Both ends of the channels stay non-blocking
     * and waiting is send_blocking()'s. */
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &chld, NULL) < 0)
        return -errno;
    /* Frees the reserved numbers behind the signal fd: an incoming FORK's three land there. */
    if (close_range(ZYGOTE_FD_OOM + 1, ZYGOTE_FD_LAST, 0) < 0)
        return -errno;
    z->signal_fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    if (z->signal_fd < 0)
        return -errno;
    r = sandbox_fork_prepare(z->sandbox, &z->sandbox->worker);
    if (r < 0)
        return r;
    limits_remember(&z->sandbox->worker);
    (void)madvise(z, sizeof(*z), MADV_DONTFORK);
    z->is_prepared = true;
    return 0;
}

static int prepare(struct zygote *z)
{
    int r = prepare_forks(z);

    sockets_let_go();
    return r;
}

bool zygote_has_namespaces(const struct zygote *z)
{
    return has_own_processes(z);
}

/* Notes the child under the slot that it was given. */
static int keep_child(struct zygote *z, uint32_t slot, const struct pidref *child)
{
    return children_add(&z->children, child->pid, CHILD_OF_HOST, slot);
}

int zygote_program_start(struct zygote *z, void (*run)(void *arg), void *arg, struct pidref *ret)
{
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int r = null < 0 ? -errno : prepare_forks(z);
    struct inheritance in = {.socket = null,
                             .out = STDOUT_FILENO,
                             .err = STDERR_FILENO,
                             .slot = children_next_slot(&z->children),
                             .n_alive = z->children.n,
                             .slots_v2 = z->slots.v2,
                             .sandbox = z->sandbox};

    if (r < 0 || z->children.n >= CHILDREN_MAX)
        return r < 0 ? r : -EAGAIN;
    in.has_slot = slots_has(&z->slots, in.slot);
    slots_fork_begin(&z->slots);
    r = fork_worker(&in, ret);
    if (r == 0) { /* in the child: z is not there any more */
        if (secrets_take(NULL, NULL) == 0)
            run(arg);
        _exit(EXIT_FAILURE);
    }
    slots_fork_end(&z->slots);
    return r < 0 ? r : keep_child(z, in.slot, ret);
}

int zygote_helper_start(struct zygote *z, uint64_t namespaces, void (*run)(void *arg), void *arg,
                        struct pidref *ret)
{
    int r = prepare_forks(z);
    uint32_t slot = children_next_slot(&z->children);

    if (r < 0 || z->children.n >= CHILDREN_MAX)
        return r < 0 ? r : -EAGAIN;
    r = fork_helper(namespaces, ret);
    if (r == 0) {
        run(arg);
        _exit(EXIT_FAILURE);
    }
    return r < 0 ? r : keep_child(z, slot, ret);
}

/* Serves until it finds itself in a new worker: then it returns. */
static void loop(struct zygote *z, const struct zygote_host *host, void *ctx)
{
    for (;;) {
        struct pollfd fds[_POLL_MAX + ZYGOTE_POLLS_MAX] = {
            [POLL_CONTROL] = {.fd = z->control.fd, .events = POLLIN},
            [POLL_GATEWAY] = {.fd = z->gateway.fd, .events = POLLIN},
            [POLL_SIGNAL] = {.fd = z->signal_fd, .events = POLLIN},
        };
        int timeout_ms = -1, n_ready;
        unsigned n_host = host->polls ? host->polls(ctx, fds + _POLL_MAX, &timeout_ms) : 0;

        n_ready = poll(fds, _POLL_MAX + n_host, timeout_ms);
        if (n_ready < 0) {
            if (errno == EINTR)
                continue;
            _exit(EXIT_FAILURE);
        }
        if (fds[POLL_GATEWAY].revents && on_gateway(z, host, ctx))
            return;
        if (host->on_polls)
            host->on_polls(ctx, fds + _POLL_MAX, n_host);
        if (fds[POLL_SIGNAL].revents)
            on_signal(z, host, ctx);
        if (fds[POLL_CONTROL].revents)
            on_control(z, host, ctx);
    }
}

static void begin(struct zygote *z)
{
    struct wire_message ready = {.type = WIRE_READY};
    int r = prepare(z);

    if (r < 0)
        zygote_fail_text(z, "Runtime.Zygote", strerrordesc_np(-r), "");
    send_blocking(&z->control, &ready);
}

void zygote_run(struct zygote *z, const struct zygote_host *host, void *ctx)
{
    enum isolation isolation = z->start.isolation;

    begin(z);
    loop(z, host, ctx);
    worker_run(host, ctx, isolation);
}

void zygote_run_bare(struct zygote *z, const struct zygote_host *host, void *ctx)
{
    begin(z);
    loop(z, host, ctx);
    worker_begin(host, ctx);
}
