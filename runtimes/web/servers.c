/*   FREE --start--> STARTING --ready--> READY --idle--> LEAVING --ended--> FREE
 *                       \_________ended, of one that is not the first______/
 *
 * A request has a lease: of the process that has most and still room, so that the others become
 * idle. When all are full it waits, in order, and another process is started. A lease ends when its
 * relay says so, or has died: nobody has to be believed for that.
 *
 * The end of a process that is ready is the end of the zygote: nobody knows what state the program
 * left behind, and the next request starts it anew. */

#include "servers.h"

#include "broker.h"
#include "packets.h"
#include "program.h"

#include "base/clock.h"
#include "os/fd.h"
#include "os/pidref.h"
#include "os/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_FIRST        32 /* ours begin here, out of the way of the zygote's and of FORKs' */
#define LEASES_MAX      16384
#define WAITING_MAX     4096
#define IDLE_NS         (10 * NS_PER_S) /* guess: how long a process waits for work */
#define GRACE_NS        (2 * NS_PER_S)  /* from SIGTERM to SIGKILL */
#define START_PAUSE_NS  (5 * NS_PER_S)  /* after a process that did not get ready */
#define INIT_RESERVE_MS 250 /* before the supervisor's own timeout, to tell more than it can */
#define TEXT_MAX        1024

enum server_state {
    SERVER_FREE,
    SERVER_STARTING,
    SERVER_READY,
    SERVER_LEAVING,
};

struct server {
    enum server_state state;
    struct pidref program;
    struct pidref broker;
    int channel; /* to the broker */
    uint32_t n_leases;
    uint64_t since_ns; /* idle, or leaving */
    char hint[WEB_HINT_MAX];
    struct broker_options broker_options;
    struct program_options program_options;
};

struct lease {
    pid_t pid;
    unsigned server;
};

struct waiting {
    pid_t pid;
    int reply;
};

static struct {
    const struct servers_options *options;
    struct server servers[SERVERS_MAX];
    unsigned n_max;
    int requests; /* from the relays */
    int lease_fd; /* their end */
    uint64_t start_after_ns;
    struct lease leases[LEASES_MAX];
    uint32_t n_leases;
    struct waiting waiting[WAITING_MAX]; /* a ring */
    uint32_t first, n_waiting;
} all = {.requests = -1, .lease_fd = -1};

int servers_lease_fd(void)
{
    return all.lease_fd;
}

/* As its author calls it. */
static const char *program_name(void)
{
    const char *path = all.options->words[0], *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* ---- starting ---- */

static int move_up(int fd_consume)
{
    int fd = fd_consume < 0 ? fd_consume : fcntl(fd_consume, F_DUPFD_CLOEXEC, FD_FIRST);
    int error = errno;

    fd_close(fd_consume);
    return fd_consume < 0 ? fd_consume : fd < 0 ? -error : fd;
}

static int pair_up(int ret[2])
{
    int pair[2], r = sock_pair(SOCK_SEQPACKET, pair);

    if (r < 0)
        return r;
    ret[0] = move_up(pair[0]);
    ret[1] = move_up(pair[1]);
    return ret[0] < 0 || ret[1] < 0 ? -EMFILE : 0;
}

static int server_launch(struct zygote *z, struct server *s)
{
    const struct servers_options *o = all.options;
    int channel[2] = {-1, -1}, watch[2] = {-1, -1}, r;
    bool own = zygote_has_namespaces(z);

    r = pair_up(channel);
    r = r < 0 ? r : pair_up(watch);
    if (r == 0) {
        s->broker_options = (struct broker_options){.channel = channel[1],
                                                    .watched = watch[1],
                                                    .port = o->port,
                                                    .readiness = o->readiness,
                                                    .own_network = own};
        s->program_options = (struct program_options){
            .watched = watch[0], .port = o->port, .bin = o->bin, .words = o->words};
        r = zygote_helper_start(z, own ? CLONE_NEWNET : 0, broker_run, &s->broker_options,
                                &s->broker);
    }
    s->broker.fd = r < 0 ? -1 : move_up(s->broker.fd);
    if (r == 0)
        r = zygote_program_start(z, program_run, &s->program_options, &s->program);
    s->program.fd = r < 0 ? -1 : move_up(s->program.fd);
    s->channel = channel[0];
    fd_close(channel[1]);
    fd_close(watch[0]);
    fd_close(watch[1]);
    return r;
}

static int server_start(struct zygote *z, struct server *s)
{
    int r;

    *s = (struct server){.state = SERVER_STARTING,
                         .program = PIDREF_NULL,
                         .broker = PIDREF_NULL,
                         .channel = -1,
                         .since_ns = clock_now_ns()};
    r = server_launch(z, s);
    if (r == 0)
        r = fd_set_nonblock(s->channel, true);
    return r;
}

/* Both of its processes are to end; what is left of them is reaped by the zygote. */
static void server_free(struct server *s)
{
    if (pidref_is_set(&s->program))
        (void)pidref_kill(&s->program, SIGKILL);
    if (pidref_is_set(&s->broker))
        (void)pidref_kill(&s->broker, SIGKILL);
    pidref_done(&s->program);
    pidref_done(&s->broker);
    s->channel = fd_close(s->channel);
    s->state = SERVER_FREE;
}

/* ---- leases ---- */

static void lease_give(unsigned server, pid_t pid, int reply_consume)
{
    struct server *s = &all.servers[server];
    const char letter = WEB_CONNECT;

    if (all.n_leases < LEASES_MAX &&
        sock_send(s->channel, slice(&letter, 1), &reply_consume, 1) == 1) {
        all.leases[all.n_leases++] = (struct lease){pid, server};
        s->n_leases++;
    }
    fd_close(reply_consume); /* whoever has no answer sees that it is closed */
}

/* The fullest with room; -1: there is none. */
static int server_with_room(void)
{
    int best = -1;

    for (unsigned i = 0; i < all.n_max; i++) {
        const struct server *s = &all.servers[i];

        if (s->state == SERVER_READY && s->n_leases < all.options->per_process &&
            (best < 0 || s->n_leases > all.servers[best].n_leases))
            best = (int)i;
    }
    return best;
}

static void serve_waiting(void)
{
    int server;

    while (all.n_waiting > 0 && (server = server_with_room()) >= 0) {
        struct waiting *w = &all.waiting[all.first];

        lease_give((unsigned)server, w->pid, w->reply);
        all.first = (all.first + 1) % WAITING_MAX;
        all.n_waiting--;
    }
}

/* One at a time: what a new process brings shows before the next is started. */
static void start_more(struct zygote *z)
{
    struct server *vacant = NULL;

    for (unsigned i = 0; i < all.n_max; i++) {
        if (all.servers[i].state == SERVER_STARTING)
            return;
        if (all.servers[i].state == SERVER_FREE && !vacant)
            vacant = &all.servers[i];
    }
    if (!vacant || clock_now_ns() < all.start_after_ns)
        return;
    if (server_start(z, vacant) < 0) {
        server_free(vacant);
        all.start_after_ns = clock_now_ns() + START_PAUSE_NS;
    }
}

static void on_lease(struct zygote *z, pid_t pid, int reply_consume)
{
    int server = all.n_waiting == 0 ? server_with_room() : -1;

    if (server >= 0) {
        lease_give((unsigned)server, pid, reply_consume);
        return;
    }
    if (all.n_waiting == WAITING_MAX) {
        fd_close(reply_consume);
        return;
    }
    all.waiting[(all.first + all.n_waiting++) % WAITING_MAX] = (struct waiting){pid, reply_consume};
    start_more(z);
}

static void on_done(pid_t pid)
{
    for (uint32_t i = 0; i < all.n_leases; i++) {
        struct server *s = &all.servers[all.leases[i].server];

        if (all.leases[i].pid != pid)
            continue;
        all.leases[i] = all.leases[--all.n_leases];
        if (--s->n_leases == 0)
            s->since_ns = clock_now_ns();
        break;
    }
    serve_waiting();
}

/* A relay that died while it waited. */
static void forget_waiting(pid_t pid)
{
    uint32_t n = all.n_waiting;

    all.n_waiting = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct waiting w = all.waiting[(all.first + i) % WAITING_MAX];

        if (w.pid == pid)
            fd_close(w.reply);
        else
            all.waiting[(all.first + all.n_waiting++) % WAITING_MAX] = w;
    }
}

/* One packet of a relay's; the kernel says whose. Returns false when there is none. */
static bool on_request(struct zygote *z)
{
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char letter = 0;
    struct iovec iov = {&letter, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control)};
    struct ucred from = {.pid = 0};
    int reply = -1;

    if (recvmsg(all.requests, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
            memcpy(&from, CMSG_DATA(c), sizeof(from));
        else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(&reply, CMSG_DATA(c), sizeof(reply));
    }
    if (letter == WEB_DONE)
        on_done(from.pid);
    else if (letter == WEB_LEASE && reply >= 0)
        on_lease(z, from.pid, move_up(reply));
    return true;
}

/* ---- the loop's hooks ---- */

unsigned servers_polls(void *ctx, struct pollfd fds[static ZYGOTE_POLLS_MAX], int *timeout_ms)
{
    uint64_t now = clock_now_ns(), soonest = UINT64_MAX;
    unsigned n = 0, n_ready = 0;

    fds[n++] = (struct pollfd){.fd = all.requests, .events = POLLIN};
    for (unsigned i = 0; i < all.n_max; i++)
        n_ready += all.servers[i].state == SERVER_READY;
    for (unsigned i = 0; i < all.n_max; i++) {
        const struct server *s = &all.servers[i];
        bool idle = s->state == SERVER_READY && s->n_leases == 0 && n_ready > 1;

        fds[n++] =
            (struct pollfd){.fd = s->state == SERVER_FREE ? -1 : s->channel, .events = POLLIN};
        if (idle)
            soonest = MIN(soonest, s->since_ns + IDLE_NS);
        if (s->state == SERVER_LEAVING)
            soonest = MIN(soonest, s->since_ns + GRACE_NS);
    }
    if (all.n_waiting > 0 && all.start_after_ns > now)
        soonest = MIN(soonest, all.start_after_ns);
    if (soonest != UINT64_MAX)
        *timeout_ms = soonest <= now ? 0 : (int)((soonest - now) / NS_PER_MS) + 1;
    return n;
}

/* Returns false when the broker has nothing more to say. */
static bool on_word(struct server *s)
{
    int fds[SOCK_FDS_MAX];
    unsigned n_fds = 0;
    char packet[1 + WEB_HINT_MAX + 1];
    ssize_t n = sock_recv(s->channel, packet, sizeof(packet) - 1, fds, &n_fds);

    for (unsigned i = 0; i < n_fds; i++)
        fd_close(fds[i]);
    if (n <= 0)
        return false;
    packet[n] = '\0';
    if (packet[0] == WEB_HINT)
        (void)snprintf(s->hint, sizeof(s->hint), "%.*s", WEB_HINT_MAX - 1, packet + 1);
    if (packet[0] == WEB_READY && s->state == SERVER_STARTING) {
        s->state = SERVER_READY;
        s->since_ns = clock_now_ns();
    }
    return true;
}

/* Ends what has had nothing to do for a while, but for the last. */
static void end_idle(void)
{
    uint64_t now = clock_now_ns();
    unsigned n_ready = 0;

    for (unsigned i = 0; i < all.n_max; i++)
        n_ready += all.servers[i].state == SERVER_READY;
    for (unsigned i = all.n_max; i-- > 0;) {
        struct server *s = &all.servers[i];

        if (s->state == SERVER_LEAVING && now - s->since_ns >= GRACE_NS) {
            server_free(s);
        } else if (s->state == SERVER_READY && s->n_leases == 0 && n_ready > 1 &&
                   now - s->since_ns >= IDLE_NS) {
            s->state = SERVER_LEAVING;
            s->since_ns = now;
            n_ready--;
            (void)pidref_kill(&s->program, SIGTERM);
        }
    }
}

void servers_on_polls(void *ctx, const struct pollfd *fds, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        while (fds[i].revents && all.servers[i - 1].state != SERVER_FREE &&
               on_word(&all.servers[i - 1]))
            ;
    }
    while (fds[0].revents && on_request(ctx))
        ;
    serve_waiting();
    if (all.n_waiting > 0)
        start_more(ctx);
    end_idle();
}

static const char *end_text(int status, char *dst, size_t size)
{
    if (WIFSIGNALED(status))
        (void)snprintf(dst, size, "was killed by signal %d (%s)", WTERMSIG(status),
                       sigdescr_np(WTERMSIG(status)));
    else if (WEXITSTATUS(status) > 128)
        (void)snprintf(dst, size, "was killed by signal %d (%s)", WEXITSTATUS(status) - 128,
                       sigdescr_np(WEXITSTATUS(status) - 128));
    else
        (void)snprintf(dst, size, "exited with status %d", WEXITSTATUS(status));
    return dst;
}

static void on_server_end(struct server *s, int status, const char *who)
{
    char text[128];

    if (s->state != SERVER_LEAVING)
        (void)dprintf(STDERR_FILENO, "mayfly: %s %s%s\n", who, end_text(status, text, sizeof(text)),
                      s->state == SERVER_READY ? "; the next request starts it again" : "");
    if (s->state == SERVER_READY)
        _exit(EXIT_FAILURE);
    if (s->state == SERVER_STARTING)
        all.start_after_ns = clock_now_ns() + START_PAUSE_NS;
    server_free(s);
}

void servers_on_child_end(void *ctx, pid_t pid, int status)
{
    for (unsigned i = 0; i < all.n_max; i++) {
        struct server *s = &all.servers[i];

        if (s->state == SERVER_FREE)
            continue;
        if (s->program.pid == pid) {
            on_server_end(s, status, program_name());
            return;
        }
        if (s->broker.pid == pid) {
            on_server_end(s, status, "the broker of the program's network");
            return;
        }
    }
    forget_waiting(pid);
    on_done(pid);
}

void servers_on_end(void *ctx)
{
    uint64_t until = clock_now_ns() + GRACE_NS, now;

    for (unsigned i = 0; i < all.n_max; i++) {
        if (all.servers[i].state != SERVER_FREE)
            (void)pidref_kill(&all.servers[i].program, SIGTERM);
    }
    for (unsigned i = 0; i < all.n_max; i++) {
        struct pollfd p = {.fd = all.servers[i].program.fd, .events = POLLIN};

        now = clock_now_ns();
        if (all.servers[i].state != SERVER_FREE && now < until)
            (void)poll(&p, 1, (int)((until - now) / NS_PER_MS));
    }
}

/* ---- loading ---- */

static _noreturn_ void fail_to_load(struct zygote *z, const struct server *s, const char *type,
                                    const char *how)
{
    char text[TEXT_MAX];

    (void)snprintf(text, sizeof(text), "%s %s%s%s", program_name(), how, s->hint[0] ? ": " : "",
                   s->hint);
    zygote_fail_text(z, type, text, "");
}

static void await_ready(struct zygote *z, struct server *s, uint64_t until_ns)
{
    while (s->state != SERVER_READY) {
        struct pollfd fds[] = {{.fd = s->channel, .events = POLLIN},
                               {.fd = s->program.fd, .events = POLLIN}};
        uint64_t now = clock_now_ns();
        char text[128];
        int status = 0;

        if (now >= until_ns)
            fail_to_load(z, s, "Runtime.InitTimeout", "was not ready within its init_timeout");
        if (poll(fds, ARRAY_SIZE(fds), (int)((until_ns - now) / NS_PER_MS) + 1) < 0)
            continue;
        while (fds[0].revents && s->state != SERVER_READY && on_word(s))
            ;
        if (s->state != SERVER_READY && fds[1].revents && pidref_reap(&s->program, &status) > 0) {
            s->hint[0] = '\0';
            (void)end_text(status, text, sizeof(text));
            (void)strncat(text, " before it was ready; what it said is in the log",
                          sizeof(text) - strlen(text) - 1);
            fail_to_load(z, s, "Runtime.ExitError", text);
        }
        if (s->state != SERVER_READY && (fds[0].revents & POLLHUP))
            zygote_fail_text(z, "Runtime.Network", "the network of the program cannot be made", "");
    }
}

void servers_load(struct zygote *z, const struct servers_options *options)
{
    uint64_t timeout_ms = options->init_timeout_ms, begun = clock_now_ns();
    struct server *first = &all.servers[0];
    int pair[2], one = 1, r;

    timeout_ms -= MIN((uint64_t)INIT_RESERVE_MS, timeout_ms / 2);
    all.options = options;
    all.n_max = MIN((options->concurrency + options->per_process - 1) / options->per_process,
                    (uint32_t)SERVERS_MAX);
    all.n_max = MAX(all.n_max, 1u);
    r = server_start(z, first);
    r = r < 0 ? r : pair_up(pair);
    if (r == 0) {
        all.requests = pair[0];
        all.lease_fd = pair[1];
        if (setsockopt(all.requests, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0)
            r = -errno;
    }
    if (r < 0)
        zygote_fail_text(z, "Runtime.StartFailed", strerrordesc_np(-r), "");
    await_ready(z, first, begun + timeout_ms * NS_PER_MS);
}
