#include "gateway/client.h"
#include "gateway/invocation.h"
#include "gateway/journal.h"
#include "gateway/links.h"
#include "gateway/pool.h"
#include "gateway/watchdog.h"
#include "gateway/worker.h"

#include "base/log.h"
#include "base/parse.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/proc.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#define FD_SUPERVISOR 3
#define FD_LISTEN     4
#define FD_LOCAL      5
#define FD_ADMIN      6 /* with --admin-address */

/* The ceiling of workers, if nobody says otherwise: by memory, as if each had this for itself (a
 * sleeping Python worker has about 2 MB), and by descriptors, of which a request takes up to five:
 * its client, the worker's socket, two pipes and a pidfd. */
#define WORKER_BYTES_GUESS (8 * MIB)
#define WORKER_FDS         5
#define FDS_RESERVED       256
#define WORKERS_MAX_MAX    16000 /* what a zygote keeps books of (zygote/children.c) */

#define TIMEOUT_MS_MAX (3600 * 1000)

/* At the end, control is given the time to take what is left, if it takes anything. */
#define DRAIN_JOURNAL_NS (1 * NS_PER_S)
#define DRAIN_AGAIN_NS   (10 * NS_PER_MS)

/* ---- the end of a round, and of the program ---- */

static void on_bury(struct loop_task *t)
{
    struct gateway *g = container_of(t, struct gateway, bury);
    struct list *link;

    while ((link = list_first(&g->dead_clients)))
        client_free(list_entry(link, struct client, link));
    while ((link = list_first(&g->dead_invocations)))
        invocation_free(list_entry(link, struct invocation, link));
    while ((link = list_first(&g->dead_workers)))
        worker_free(list_entry(link, struct worker, link));
    if (g->draining)
        loop_task_put(g->loop, &g->drain_check); /* who ended may have been the last */
}

static uint32_t n_invocations(struct gateway *g)
{
    struct list *i;
    uint32_t n = 0;

    list_for_each (i, &g->pools)
        n += list_entry(i, struct pool, link)->n_invocations;
    return n;
}

static void on_drain_again(struct loop_timer *t)
{
    struct gateway *g = container_of(t, struct gateway, drain_again);

    loop_task_put(g->loop, &g->drain_check);
}

static void on_drain_check(struct loop_task *t)
{
    struct gateway *g = container_of(t, struct gateway, drain_check);
    struct wire_message m = {.type = WIRE_DRAINED};

    if (!g->draining || g->n_clients > 0 || n_invocations(g) > 0)
        return;
    journal_flush(g);
    if (g->drain_until_ns == 0)
        g->drain_until_ns = loop_now(g->loop) + DRAIN_JOURNAL_NS;
    if (wire_is_open(&g->control) && journal_is_behind(g) &&
        loop_now(g->loop) < g->drain_until_ns) {
        (void)loop_timer_after(g->loop, &g->drain_again, DRAIN_AGAIN_NS, on_drain_again);
        return;
    }
    links_send_supervisor(g, &m);
}

static void drain_clients(struct list *clients)
{
    struct list *i, *tmp;

    list_for_each_safe (i, tmp, clients) {
        struct client *c = list_entry(i, struct client, link);

        if (c->state == CLIENT_HEAD && buf_len(&c->in) == 0)
            client_close(c); /* nothing asked; the others are told by Connection: close */
        else
            c->keep_alive = false;
    }
}

void gateway_drain(struct gateway *g)
{
    g->draining = true;
    loop_io_remove(&g->listen_io);
    g->listen_fd = fd_close(g->listen_fd);
    loop_io_remove(&g->admin_io);
    g->admin_fd = fd_close(g->admin_fd);
    drain_clients(&g->clients);
    drain_clients(&g->admin_clients);
    pools_drop_standbys(g);
    loop_task_put(g->loop, &g->drain_check);
}

/* ---- start ---- */

enum option_id {
    OPTION_WORKERS_MAX,
    OPTION_HEAD_MAX,
    OPTION_LINE_MAX,
    OPTION_BODY_MAX,
    OPTION_HEAD_TIMEOUT,
    OPTION_IDLE_TIMEOUT,
    OPTION_BODY_TIMEOUT,
    OPTION_WRITE_TIMEOUT,
    OPTION_URL,
    OPTION_ADMIN_ADDRESS,
    OPTION_ADMIN_HOSTS,
    _OPTION_MAX,
};

static const struct option long_options[] = {
    {"workers-max", required_argument, NULL, OPTION_WORKERS_MAX},
    {"head-max", required_argument, NULL, OPTION_HEAD_MAX},
    {"line-max", required_argument, NULL, OPTION_LINE_MAX},
    {"body-max", required_argument, NULL, OPTION_BODY_MAX},
    {"head-timeout", required_argument, NULL, OPTION_HEAD_TIMEOUT},
    {"idle-timeout", required_argument, NULL, OPTION_IDLE_TIMEOUT},
    {"body-timeout", required_argument, NULL, OPTION_BODY_TIMEOUT},
    {"write-timeout", required_argument, NULL, OPTION_WRITE_TIMEOUT},
    {"url", required_argument, NULL, OPTION_URL},
    {"admin-address", required_argument, NULL, OPTION_ADMIN_ADDRESS},
    {"admin-hosts", required_argument, NULL, OPTION_ADMIN_HOSTS},
    {NULL, 0, NULL, 0},
};

static uint32_t workers_max_default(uint64_t n_fds)
{
    uint64_t memory = 0, by_memory, by_fds;

    (void)proc_memory_total(&memory);
    by_memory = memory * 3 / 4 / WORKER_BYTES_GUESS;
    by_fds = n_fds > FDS_RESERVED ? (n_fds - FDS_RESERVED) / WORKER_FDS : 1;
    return (uint32_t)MAX(1, MIN(MIN(by_memory, by_fds), WORKERS_MAX_MAX));
}

static int parse_options(int argc, char **argv, struct settings *s)
{
    uint64_t *times[_OPTION_MAX] = {[OPTION_HEAD_TIMEOUT] = &s->head_timeout_ms,
                                    [OPTION_IDLE_TIMEOUT] = &s->idle_timeout_ms,
                                    [OPTION_BODY_TIMEOUT] = &s->body_timeout_ms,
                                    [OPTION_WRITE_TIMEOUT] = &s->write_timeout_ms};
    const char **texts[_OPTION_MAX] = {[OPTION_URL] = &s->url,
                                       [OPTION_ADMIN_ADDRESS] = &s->admin_address,
                                       [OPTION_ADMIN_HOSTS] = &s->admin_hosts};
    uint64_t n;
    int id;

    s->http = HTTP_LIMITS_DEFAULT;
    s->head_timeout_ms = 10000;
    s->idle_timeout_ms = 60000;
    s->body_timeout_ms = 5000;
    s->write_timeout_ms = 30000;
    while ((id = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        if (id < _OPTION_MAX && texts[id]) {
            *texts[id] = optarg;
            continue;
        }
        if (id < _OPTION_MAX && times[id]) {
            if (parse_duration_ms(slice_str(optarg), &n) < 0)
                return -1;
            *times[id] = MAX(1, MIN(n, TIMEOUT_MS_MAX));
            continue;
        }
        if (parse_bytes(slice_str(optarg), &n) < 0)
            return -1;
        if (id == OPTION_WORKERS_MAX)
            s->workers_max = (uint32_t)MAX(1, MIN(n, WORKERS_MAX_MAX));
        else if (id == OPTION_HEAD_MAX)
            s->http.head_max = MAX(1024, MIN(n, MIB / 2));
        else if (id == OPTION_LINE_MAX)
            s->http.line_max = MAX(256, MIN(n, MIB / 4));
        else if (id == OPTION_BODY_MAX)
            s->http.body_max = n;
        else
            return -1;
    }
    return 0;
}

/* One slot for each worker, and for those that end while others begin. */
static int start_watchdog(struct gateway *g)
{
    int refused = 0, r;

    r = watchdog_new(g->settings.workers_max * 2, &g->watchdog);
    if (r == 0)
        r = watchdog_start(g->watchdog, &refused);
    g->watchdog_realtime = r == 0;
    if (r > 0)
        log_info("watchdog.priority",
                 "real-time priority is refused (%s): workers over their time may live a little "
                 "longer while every CPU is busy",
                 strerrordesc_np(refused));
    return MIN(r, 0);
}

static int start(struct gateway *g)
{
    int r = loop_new(&g->loop);

    list_init(&g->clients);
    list_init(&g->admin_clients);
    list_init(&g->pools);
    list_init(&g->waiting);
    list_init(&g->dead_clients);
    list_init(&g->dead_invocations);
    list_init(&g->dead_workers);
    loop_io_init(&g->listen_io);
    loop_io_init(&g->local_io);
    loop_io_init(&g->admin_io);
    loop_task_init(&g->bury, on_bury);
    loop_task_init(&g->drain_check, on_drain_check);
    cpu_meter_open(&g->cpu);
    self_meter_open(&g->self);
    g->started_us = clock_wall_us();
    g->metrics = metrics_new();
    slots_init(&g->workers, WORKERS_MAX_MAX * 2);
    if (r == 0)
        r = journal_open(g);
    if (r == 0 && !g->metrics)
        r = -ENOMEM;
    if (r == 0)
        r = admin_init(&g->admin, g->settings.admin_address, g->settings.admin_hosts);
    if (r == 0)
        r = start_watchdog(g);
    if (r == 0)
        r = links_open(g, FD_SUPERVISOR);
    if (r == 0)
        r = loop_io_add(g->loop, &g->local_io, FD_LOCAL, EPOLLIN, clients_on_local);
    if (r == 0 && g->admin_fd >= 0)
        r = loop_io_add(g->loop, &g->admin_io, g->admin_fd, EPOLLIN, clients_on_admin);
    return r;
}

int main(int argc, char **argv)
{
    static struct gateway g = {.listen_fd = FD_LISTEN, .local_fd = FD_LOCAL, .admin_fd = -1};
    const char *fault = getenv("MAYFLY_FAULT_GATEWAY");
    uint64_t n_fds = fd_raise_limit();
    int r;

    log_init("mayfly-gateway", LOG_LEVEL_INFO);
    if (parse_options(argc, argv, &g.settings) < 0 || !g.settings.url) {
        (void)fprintf(stderr, "mayfly-gateway is started by mayfly's supervisor\n");
        return 2;
    }
    if (fault)
        (void)os_fault_arm_text(fault);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN); /* a terminal sends it to all; the supervisor decides */
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)prctl(PR_SET_TIMERSLACK, 1);
    if (g.settings.admin_address)
        g.admin_fd = FD_ADMIN;
    for (int fd = FD_SUPERVISOR; fd <= MAX(FD_LOCAL, g.admin_fd); fd++)
        (void)fd_set_cloexec(fd, true);
    if (g.settings.workers_max == 0)
        g.settings.workers_max = workers_max_default(n_fds);
    r = start(&g);
    if (r < 0) {
        log_error("start", "error=%s", strerrordesc_np(-r));
        return EXIT_FAILURE;
    }
    return loop_run(g.loop) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
