/* One version of a function: its zygote, its workers, and who waits for them.
 *
 *   COLD --first request--> LOADING --ready--> WARM --quiet for zygote_idle--> COLD
 *     ^______________________/ failed              \__ zygote died ____________^
 *
 * A request takes a standby, else a new worker, else a place in the queue. Standbys are made at the
 * end of a round and only while nobody waits, so that their cost falls where it does not hurt. */

#include "gateway/pool.h"
#include "gateway/invocation.h"
#include "gateway/journal.h"
#include "gateway/links.h"
#include "gateway/log.h"
#include "gateway/rules.h"
#include "gateway/worker.h"

#include "base/log.h"
#include "base/sm.h"
#include "base/utf8.h"
#include "os/fd.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define RATE_TAU_SECONDS    0.5
#define START_SECONDS_GUESS 0.002 /* before the first worker has been seen */
#define STANDBY_MARGIN      2.0   /* standbys per arrival expected while one is made */
/* Zygotes that die in a row before one has answered: what each weighs, and how much is too much. */
#define DEAD_ZYGOTES_MAX  12
#define DEAD_BY_ITSELF    4
#define DEAD_SOMEHOW      2 /* killed, as a rule: nobody closes its channel otherwise */
#define DEAD_BY_KILL      1
#define UNUSED_DEATHS_MAX 3    /* standbys that died before a request, in a row */
#define CPU_IDLE_MIN      0.10 /* share of the machine's time */
#define CPU_MAX_AGE_NS    (100 * NS_PER_MS)
#define REFILL_DELAY_NS   (2 * NS_PER_MS) /* or when a worker has ended, if that is sooner */
#define REFILL_PAUSE_NS   (1 * NS_PER_S)
#define LOAD_RETRY_NS     (1 * NS_PER_S) /* a failed load answers requests for this long */
#define ERRNO_MAX         4096           /* as in the kernel */
#define REFILL_BATCH      4 /* forks put into the zygote's queue at once, before requests */

static const struct sm_state pool_states[_POOL_STATE_MAX] = {
    [POOL_COLD] = {"cold", SM_TO(POOL_LOADING)},
    [POOL_LOADING] = {"loading", SM_TO(POOL_WARM) | SM_TO(POOL_COLD)},
    [POOL_WARM] = {"warm", SM_TO(POOL_COLD)},
};

static void on_idle(struct loop_timer *t);
static void on_refill(struct loop_task *t);
static void on_refused(struct pool *p, struct slice error);
static void on_zygote_message(struct loop_io *io);

/* ---- snapshots ---- */

static void served_unref(struct served *s)
{
    if (!s || --s->refs > 0)
        return;
    (void)rules_free(s->rules);
    snapshot_free(s->snapshot);
    free(s);
}

static struct pool *pool_new(struct gateway *g, struct served *served, const struct function *f)
{
    struct pool *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->gateway = g;
    p->served = served;
    served->refs++;
    p->function = f;
    p->wire.fd = -1;
    p->zygote_log.fd = -1;
    p->start_seconds = START_SECONDS_GUESS;
    p->tokens = (double)(f->limits.burst > 0 ? f->limits.burst : f->limits.rate);
    p->tokens_at_ns = p->rate_at_ns = loop_now(g->loop);
    list_init(&p->wire.queue);
    list_init(&p->standbys);
    list_init(&p->busy);
    list_init(&p->queue);
    list_init(&p->waiting_link);
    loop_io_init(&p->io);
    loop_task_init(&p->refill, on_refill);
    list_add_last(&g->pools, &p->link);
    return p;
}

static void pool_free(struct pool *p)
{
    list_remove(&p->link);
    list_remove(&p->waiting_link);
    list_remove(&p->refill.link);
    loop_timer_cancel(&p->idle);
    loop_timer_cancel(&p->refill_pause);
    loop_timer_cancel(&p->refill_soon);
    free(p->load_error);
    served_unref(p->served);
    free(p);
}

struct pool *pools_find(struct gateway *g, const struct function *f)
{
    struct list *i;

    list_for_each (i, &g->pools) {
        struct pool *p = list_entry(i, struct pool, link);

        if (p->function == f)
            return p;
    }
    return NULL;
}

static struct pool *find_version(struct gateway *g, struct slice name, struct slice version)
{
    struct list *i;

    list_for_each (i, &g->pools) {
        struct pool *p = list_entry(i, struct pool, link);

        if (slice_eq(name, slice_str(p->function->name)) &&
            slice_eq(version, slice_str(p->function->version)))
            return p;
    }
    return NULL;
}

struct pool *pools_find_zygote(struct gateway *g, uint64_t zygote)
{
    struct list *i;

    list_for_each (i, &g->pools) {
        struct pool *p = list_entry(i, struct pool, link);

        if (p->state != POOL_COLD && p->zygote == zygote)
            return p;
    }
    return NULL;
}

/* A version that is served on takes the new snapshot's copy of itself; its processes stay. */
static int serve_function(struct gateway *g, struct served *served, const struct function *f)
{
    struct pool *p = find_version(g, slice_str(f->name), slice_str(f->version));

    if (!p)
        return pool_new(g, served, f) ? 0 : -ENOMEM;
    served->refs++;
    served_unref(p->served);
    p->served = served;
    p->function = f;
    p->retired = false;
    return 0;
}

/* What is still at work goes on to its end, with the snapshot that it came from. */
static void retire_pools(struct gateway *g)
{
    struct list *i, *tmp;

    list_for_each_safe (i, tmp, &g->pools) {
        struct pool *p = list_entry(i, struct pool, link);

        if (p->served == g->served)
            continue;
        p->retired = true;
        loop_task_put(g->loop, &p->refill);
    }
}

int pools_serve(struct gateway *g, struct snapshot *snapshot_take)
{
    struct served *served = calloc(1, sizeof(*served));
    int r = 0;

    if (!served) {
        snapshot_free(snapshot_take);
        return -ENOMEM;
    }
    served->snapshot = snapshot_take;
    served->refs = 1;
    served->rules = snapshot_take->n_sites > 0 ? rules_new(snapshot_take) : NULL;
    if (snapshot_take->n_sites > 0 && !served->rules) {
        served_unref(served);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < snapshot_take->n_functions && r == 0; i++)
        r = serve_function(g, served, &snapshot_take->functions[i]);
    served_unref(g->served);
    g->served = served;
    retire_pools(g);
    return r;
}

/* ---- zygote ---- */

static void want_zygote(struct pool *p)
{
    struct wire_message m = {
        .type = WIRE_ZYGOTE_WANTED,
        .zygote_wanted = {slice_str(p->function->name), slice_str(p->function->version)}};

    sm_move(pool_states, &p->state, POOL_LOADING);
    p->zygote = 0;
    p->asked = true;
    p->wanted_ns = loop_now(p->gateway->loop);
    links_send_supervisor(p->gateway, &m);
}

static void drop_standbys(struct pool *p)
{
    struct list *i, *tmp;

    list_for_each_safe (i, tmp, &p->standbys)
        worker_move(list_entry(i, struct worker, link), WORKER_ENDING);
}

static void fail_queue(struct pool *p, enum outcome outcome, unsigned status, const char *error)
{
    struct list *link;

    while ((link = list_first(&p->queue))) {
        struct invocation *inv = list_entry(link, struct invocation, link);

        inv->cold = true;
        inv->init_ns =
            p->wanted_ns > 0 ? loop_now(p->gateway->loop) - MAX(p->wanted_ns, inv->arrived_ns) : 0;
        if (p->load_error)
            (void)buf_append(&inv->error_json, p->load_error,
                             MIN(strlen(p->load_error), buf_room(&inv->error_json)));
        invocation_fail(inv, outcome, status, error);
    }
}

/* A version that is not served any more cannot be started any more: who waits for it is served by
 * the version that is. */
static void hand_over(struct pool *p)
{
    struct gateway *g = p->gateway;
    const struct function *f =
        g->served ? snapshot_find(g->served->snapshot, slice_str(p->function->name)) : NULL;
    struct pool *to = f ? pools_find(g, f) : NULL;
    struct list *link;

    if (!to || to == p) {
        fail_queue(p, OUTCOME_UNAVAILABLE, 503, "this function is not served any more");
        return;
    }
    while ((link = list_first(&p->queue))) {
        struct invocation *inv = list_entry(link, struct invocation, link);

        pool_forget(p, inv);
        invocation_hand_over(inv, to);
        list_add_last(&to->queue, &inv->link);
        to->n_queue++;
    }
    pool_dispatch(to);
}

/* The zygote is gone, or was never there. Its workers went with it. */
static void enter_cold(struct pool *p)
{
    struct gateway *g = p->gateway;
    struct list *lists[] = {&p->standbys, &p->busy}, *i, *tmp;

    sm_move(pool_states, &p->state, POOL_COLD);
    loop_timer_cancel(&p->idle);
    loop_io_remove(&p->io);
    wire_deinit(&p->wire);
    log_pipe_drain(&p->zygote_log);
    log_pipe_close(&p->zygote_log);
    p->zygote = 0;
    for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
        list_for_each_safe (i, tmp, lists[k])
            worker_ended(list_entry(i, struct worker, link), NULL);
    }
    loop_task_put(g->loop, &p->refill);
}

static void release_zygote(struct pool *p)
{
    struct wire_message m = {.type = WIRE_ZYGOTE_RELEASE, .zygote_release = {p->zygote}};

    if (p->zygote > 0)
        links_send_supervisor(p->gateway, &m);
    enter_cold(p);
}

/* Who waits gets a new zygote, unless they die as fast as they are made. */
static void start_over(struct pool *p, unsigned weight)
{
    p->n_dead_zygotes += weight;
    if (p->n_dead_zygotes < DEAD_ZYGOTES_MAX)
        pool_dispatch(p);
    else
        on_refused(p, SLICE_LIT("the process that holds the function ends again and again before "
                                "it has answered a request"));
}

static void drop_zygote(struct pool *p, const char *what, unsigned weight)
{
    log_warning("zygote.fault", "function=%s what=%s", p->function->name, what);
    release_zygote(p);
    start_over(p, weight);
}

void pool_drop_zygote(struct pool *p, const char *what)
{
    drop_zygote(p, what, DEAD_BY_ITSELF);
}

void pool_on_zygote_started(struct gateway *g, struct wire_message *m)
{
    struct pool *p = find_version(g, m->zygote_started.function, m->zygote_started.version);
    struct wire_message release = {.type = WIRE_ZYGOTE_RELEASE,
                                   .zygote_release = {m->zygote_started.zygote}};
    int r;

    /* A new gateway is told of zygotes that it has not asked for: they are welcome, if current. */
    if (p && p->state == POOL_COLD && !p->retired) {
        sm_move(pool_states, &p->state, POOL_LOADING);
        p->asked = false;
        p->wanted_ns = loop_now(g->loop);
    }
    if (!p || p->state != POOL_LOADING || p->zygote > 0) {
        links_send_supervisor(g, &release);
        return;
    }
    p->zygote = m->zygote_started.zygote;
    p->zygote_pid = (pid_t)m->zygote_started.pid;
    r = wire_init_consume(&p->wire, take_fd(&m->fds[0]), WIRE_GATEWAY, WIRE_ZYGOTE);
    if (r == 0)
        r = loop_io_add(g->loop, &p->io, p->wire.fd, EPOLLIN | EPOLLOUT, on_zygote_message);
    if (r == 0)
        r = log_pipe_open(&p->zygote_log, g, take_fd(&m->fds[1]), LOG_STDERR, NULL, p);
    if (r < 0)
        release_zygote(p);
}

void pool_on_zygote_ready(struct pool *p, pid_t pid)
{
    uint64_t now = loop_now(p->gateway->loop);
    struct list *i;

    if (p->state != POOL_LOADING)
        return;
    sm_move(pool_states, &p->state, POOL_WARM);
    if (p->asked)
        metric_observe(&pool_metrics(p)->init, now - p->wanted_ns);
    free(take_ptr(p->load_error));
    p->zygote_pid = pid;
    p->n_unused_deaths = 0;
    p->last_used_ns = now;
    list_for_each (i, &p->queue) {
        struct invocation *inv = list_entry(i, struct invocation, link);

        inv->cold = true;
        inv->init_ns = now - MAX(p->wanted_ns, inv->arrived_ns);
    }
    (void)loop_timer_after(
        p->gateway->loop, &p->idle,
        MIN(p->function->limits.standby_idle_ms, p->function->limits.zygote_idle_ms) * NS_PER_MS,
        on_idle);
    pool_dispatch(p);
}

/* A load that failed is the answer to all who waited for it, and for a moment to those who come. */
static void on_load_failed(struct pool *p, struct slice error)
{
    struct log_line line = {.time_us = clock_wall_us(),
                            .stream = LOG_SYSTEM,
                            .function = slice_str(p->function->name),
                            .version = slice_str(p->function->version),
                            .text = error};

    pool_metrics(p)->init_failures++;
    free(p->load_error);
    p->load_error = slice_dup(error);
    p->load_failed_ns = loop_now(p->gateway->loop);
    if (p->n_queue == 0) /* else the records say it */
        journal_log(p->gateway, &line);
    if (p->state != POOL_COLD)
        enter_cold(p);
    if (p->retired)
        hand_over(p); /* its files are the next version's already */
    else
        fail_queue(p, OUTCOME_INIT, 500, "the function could not be loaded");
}

void pool_on_zygote_ended(struct pool *p, const struct wire_zygote_ended *ended)
{
    /* Killed while it loaded: not for what the function did, so that another may have more luck. */
    bool again =
        ended->loaded || (ended->killed && p->n_dead_zygotes + DEAD_BY_KILL < DEAD_ZYGOTES_MAX);

    if (!again) {
        on_load_failed(p, ended->error);
        return;
    }
    enter_cold(p);
    start_over(p, ended->killed ? DEAD_BY_KILL : DEAD_BY_ITSELF);
}

/* What the supervisor or control says of a version that cannot be started. */
static void on_refused(struct pool *p, struct slice error)
{
    struct buf b = BUF_INIT(65536);

    (void)buf_append_str(&b, "{\"errorType\": \"Runtime.StartFailed\", \"errorMessage\": ");
    (void)utf8_write_json(&b, error);
    (void)buf_append_str(&b, ", \"stackTrace\": []}");
    on_load_failed(p, buf_slice(&b));
    buf_deinit(&b);
}

void pools_on_zygote_refused(struct gateway *g, struct slice function, struct slice version,
                             struct slice error)
{
    struct pool *p = find_version(g, function, version);

    if (p && p->state == POOL_LOADING)
        on_refused(p, error);
}

static void on_worker_message(struct pool *p, struct wire_message *m)
{
    struct gateway *g = p->gateway;
    struct worker *w;
    int r;

    if (m->type == WIRE_WORKER_STARTED) {
        w = slots_get(&g->workers, m->worker_started.worker);
        r = w && w->pool == p && !pidref_is_set(&w->process)
                ? worker_started(w, take_fd(&m->fds[0]))
                : 0;
        if (r == -EPERM)
            pool_drop_zygote(p, "names a process that is none of its own");
        else if (r < 0)
            log_warning("zygote.fault", "function=%s what=no pidfd", p->function->name);
    } else if (m->type == WIRE_FORK_FAILED) {
        w = slots_get(&g->workers, m->fork_failed.worker);
        if (w && w->pool == p) {
            w->fork_error = m->fork_failed.error < ERRNO_MAX ? (int)m->fork_failed.error : EAGAIN;
            pool_metrics(p)->spawn_failures++;
            log_warning("fork.failed", "function=%s error=%s", p->function->name,
                        strerrordesc_np(w->fork_error));
            worker_ended(w, NULL);
        }
    } else if (m->type == WIRE_WORKER_ENDED) {
        const struct wire_worker_ended *e = &m->worker_ended;
        struct usage usage = {e->status,
                              e->user_us,
                              e->system_us,
                              e->memory_peak_bytes,
                              e->minor_faults,
                              e->major_faults,
                              e->voluntary_switches,
                              e->involuntary_switches,
                              limit_use_believe(&p->function->limits, (enum limit_hit)e->limit,
                                                e->limit_used, e->limit_max)};

        w = slots_get(&g->workers, e->worker);
        if (w && w->pool == p)
            worker_ended(w, &usage);
    }
}

static void on_zygote_message(struct loop_io *io)
{
    struct pool *p = container_of(io, struct pool, io);
    struct wire_message m;
    int r = WIRE_E_AGAIN;

    if (io->ready & EPOLLOUT && wire_has_queued(&p->wire))
        (void)wire_flush(&p->wire); /* a zygote that is gone: the supervisor tells */
    while (wire_is_open(&p->wire) && (r = wire_recv(&p->wire, &m)) == WIRE_E_OK) {
        on_worker_message(p, &m);
        wire_message_deinit(&m);
    }
    loop_io_drained(io, EPOLLIN);
    if (r < 0)
        pool_drop_zygote(p, "sent what it may not");
    else if (r == WIRE_E_CLOSED && p->state == POOL_WARM)
        drop_zygote(p, "is gone", DEAD_SOMEHOW); /* of one that loads the supervisor knows why */
}

/* ---- idle ---- */

static void on_idle(struct loop_timer *t)
{
    struct pool *p = container_of(t, struct pool, idle);
    const struct limits *limits = &p->function->limits;
    uint64_t now = loop_now(p->gateway->loop), quiet = now - p->last_used_ns, next;
    bool at_rest = p->n_busy == 0 && p->n_queue == 0;

    if (p->state != POOL_WARM)
        return;
    if (at_rest && quiet >= limits->zygote_idle_ms * NS_PER_MS) {
        drop_standbys(p);
        release_zygote(p);
        return;
    }
    if (at_rest && quiet >= limits->standby_idle_ms * NS_PER_MS)
        drop_standbys(p);
    next = quiet < limits->standby_idle_ms * NS_PER_MS ? limits->standby_idle_ms * NS_PER_MS
                                                       : limits->zygote_idle_ms * NS_PER_MS;
    next = MAX(next, quiet + 100 * NS_PER_MS) - quiet; /* busy: look again, not too often */
    (void)loop_timer_after(p->gateway->loop, t, next, on_idle);
}

/* ---- admission ---- */

static void note_arrival(struct pool *p)
{
    uint64_t now = loop_now(p->gateway->loop);
    double dt = (double)(now - p->rate_at_ns) / 1e9;

    p->rate = p->rate * exp(-dt / RATE_TAU_SECONDS) + 1 / RATE_TAU_SECONDS;
    p->rate_at_ns = now;
    p->last_used_ns = now;
}

/* A token bucket: `rate` a second, at most `burst` saved up. */
static bool within_rate(struct pool *p)
{
    const struct limits *l = &p->function->limits;
    uint64_t now = loop_now(p->gateway->loop);
    double burst = (double)(l->burst > 0 ? l->burst : l->rate);

    if (l->rate == 0)
        return true;
    p->tokens += (double)(now - p->tokens_at_ns) / 1e9 * (double)l->rate;
    p->tokens = MIN(p->tokens, MAX(burst, 1));
    p->tokens_at_ns = now;
    if (p->tokens < 1)
        return false;
    p->tokens -= 1;
    return true;
}

/* Another function's standby makes room for a request of this one. */
static bool reclaim_standby(struct gateway *g)
{
    struct list *i;

    list_for_each (i, &g->pools) {
        struct pool *p = list_entry(i, struct pool, link);

        if (p->n_standbys > 0) {
            worker_move(list_entry(list_first(&p->standbys), struct worker, link), WORKER_ENDING);
            return true;
        }
    }
    return false;
}

static struct worker *take_standby(struct pool *p)
{
    struct list *i, *tmp;

    list_for_each_safe (i, tmp, &p->standbys) {
        struct worker *w = list_entry(i, struct worker, link);

        if (!w->eof && !w->gone)
            return w;
    }
    return NULL;
}

/* A worker for the request: a standby or a new one; NULL if it must wait, or has failed because no
 * worker can be made and nobody is at work whose end could change that. */
static struct worker *find_worker(struct pool *p, struct invocation *inv)
{
    struct gateway *g = p->gateway;
    struct worker *w;

    if (p->state != POOL_WARM || p->n_busy >= p->function->limits.concurrency)
        return NULL;
    w = take_standby(p);
    if (w)
        return w;
    if (g->n_workers >= g->settings.workers_max) {
        if (list_is_empty(&p->waiting_link))
            list_add_last(&g->waiting, &p->waiting_link);
        (void)reclaim_standby(g);
        return NULL;
    }
    w = worker_new(p);
    if (!w && p->n_busy == 0)
        invocation_refuse(inv, THROTTLE_RESOURCES, 503,
                          "the gateway has no file descriptors or memory left for another worker");
    return w;
}

void pool_forget(struct pool *p, struct invocation *inv)
{
    if (!list_is_empty(&inv->link)) {
        list_remove(&inv->link);
        p->n_queue--;
    }
}

static void on_refill_soon(struct loop_timer *t)
{
    struct pool *p = container_of(t, struct pool, refill_soon);

    loop_task_put(p->gateway->loop, &p->refill);
}

void pool_dispatch(struct pool *p)
{
    struct list *link;

    while ((link = list_first(&p->queue))) {
        struct invocation *inv = list_entry(link, struct invocation, link);
        struct worker *w = find_worker(p, inv);

        if (w) {
            pool_forget(p, inv);
            invocation_assign(inv, w);
        } else if (inv->state == INVOCATION_QUEUED) {
            break;
        }
    }
    if (p->state == POOL_COLD && p->n_queue > 0 && p->retired)
        hand_over(p);
    else if (p->state == POOL_COLD && p->n_queue > 0 && !p->gateway->draining)
        want_zygote(p);
    /* A fork now would take the CPU from the request that has just been given out. */
    if (loop_timer_is_armed(&p->refill_soon))
        return;
    if (p->n_busy > 0)
        (void)loop_timer_after(p->gateway->loop, &p->refill_soon, REFILL_DELAY_NS, on_refill_soon);
    else
        loop_task_put(p->gateway->loop, &p->refill);
}

void pools_dispatch_waiting(struct gateway *g)
{
    struct list *link;

    /* Who takes a slot and wants more goes to the end: so each has its turn. */
    while (g->n_workers < g->settings.workers_max && (link = list_first(&g->waiting))) {
        list_remove(link);
        pool_dispatch(container_of(link, struct pool, waiting_link));
    }
}

static bool recently_failed(const struct pool *p)
{
    return p->load_error && p->state == POOL_COLD &&
           loop_now(p->gateway->loop) - p->load_failed_ns < LOAD_RETRY_NS;
}

void pool_submit(struct pool *p, struct invocation *inv)
{
    const struct limits *limits = &p->function->limits;

    if (!within_rate(p)) {
        invocation_refuse(inv, THROTTLE_RATE, 429,
                          "more requests a second than the function's `rate` allows");
        return;
    }
    note_arrival(p);
    if (p->function->broken || recently_failed(p)) {
        list_add_last(&p->queue, &inv->link);
        p->n_queue++;
        if (p->function->broken)
            on_refused(p, slice_str(p->function->broken));
        else
            fail_queue(p, OUTCOME_INIT, 500, "the function could not be loaded");
        return;
    }
    if (p->n_queue > limits->queue_max) {
        invocation_refuse(inv, THROTTLE_QUEUE, 429,
                          "the function's queue is full: see its `concurrency` and `queue`");
        return;
    }
    list_add_last(&p->queue, &inv->link);
    p->n_queue++;
    pool_dispatch(p);
    /* A queue of 0 still lets a request wait for a zygote: that is its cold start. */
    if (inv->state == INVOCATION_QUEUED && p->state == POOL_WARM && p->n_queue > limits->queue_max)
        invocation_refuse(inv, THROTTLE_QUEUE, 429,
                          "all workers are busy and the function's `queue` is full");
}

void pool_on_worker_gone(struct pool *p)
{
    struct gateway *g = p->gateway;
    struct list *first = list_first(&g->waiting);

    if (p->n_queue == 0) {
        loop_task_put(g->loop, &p->refill);
    } else if (!first || first == &p->waiting_link) {
        list_remove(&p->waiting_link); /* if it wants more, its next turn is the last */
        pool_dispatch(p);
    } else if (list_is_empty(&p->waiting_link)) {
        list_add_last(&g->waiting, &p->waiting_link); /* others have waited longer for the slot */
    }
    pools_dispatch_waiting(g);
    /* What has become free may be an instance, which holds its slot. */
    if (!list_is_empty(&g->waiting) && g->n_workers >= g->settings.workers_max)
        (void)reclaim_standby(g);
}

/* ---- standbys ---- */

static uint32_t standbys_wanted(struct pool *p)
{
    const struct limits *l = &p->function->limits;
    uint64_t now = loop_now(p->gateway->loop);
    double rate = p->rate * exp(-(double)(now - p->rate_at_ns) / 1e9 / RATE_TAU_SECONDS);
    double wanted = 1 + STANDBY_MARGIN * rate * p->start_seconds;

    if (now - p->last_used_ns >= l->standby_idle_ms * NS_PER_MS)
        return 0;
    if (p->function->isolation == ISOLATION_INSTANCE)
        wanted = p->n_standbys + p->n_busy > 0 ? 0 : 1; /* those that there are come back */
    return (uint32_t)MIN(wanted, (double)l->standby_max);
}

static void on_refill_pause(struct loop_timer *t)
{
    struct pool *p = container_of(t, struct pool, refill_pause);

    p->n_unused_deaths = 0;
    loop_task_put(p->gateway->loop, &p->refill);
}

static void pause_refill(struct pool *p, uint64_t delay_ns)
{
    if (!loop_timer_is_armed(&p->refill_pause))
        (void)loop_timer_after(p->gateway->loop, &p->refill_pause, delay_ns, on_refill_pause);
}

/* A standby is made of time that nobody else wants. Where all CPUs are busy its rehearsal takes the
 * requests' time: measured, forking on request then serves 15 % more. */
static bool has_idle_cpu(struct pool *p)
{
    struct gateway *g = p->gateway;

    return cpu_meter_idle(&g->cpu, loop_now(g->loop), CPU_MAX_AGE_NS) >= CPU_IDLE_MIN;
}

/* A version that is not served any more, and at which nobody is at work. */
static bool try_end_retired(struct pool *p)
{
    if (!p->retired || p->n_invocations > 0)
        return false;
    if (p->state != POOL_COLD) {
        drop_standbys(p);
        release_zygote(p);
    }
    if (p->n_busy + p->n_standbys == 0 && list_is_empty(&p->gateway->dead_workers))
        pool_free(p);
    else if (p->n_busy + p->n_standbys == 0)
        loop_task_put(p->gateway->loop, &p->refill); /* they look at it until they are buried */
    return true;
}

static void on_refill(struct loop_task *t)
{
    struct pool *p = container_of(t, struct pool, refill);
    struct gateway *g = p->gateway;
    uint32_t wanted;

    if (try_end_retired(p))
        return;
    if (p->state != POOL_WARM || p->retired || g->draining || p->n_queue > 0 ||
        loop_timer_is_armed(&p->refill_pause))
        return;
    if (p->n_unused_deaths >= UNUSED_DEATHS_MAX) {
        log_warning("standby.dies", "function=%s what=workers end before they are used",
                    p->function->name);
        pause_refill(p, REFILL_PAUSE_NS);
        return;
    }
    wanted = standbys_wanted(p);
    if (p->n_standbys < wanted && !has_idle_cpu(p)) {
        pause_refill(p, CPU_MAX_AGE_NS);
        return;
    }
    for (int i = 0; i < REFILL_BATCH && p->n_standbys < wanted; i++) {
        if (g->n_workers >= g->settings.workers_max || !worker_new(p))
            return;
    }
}

void pools_drop_standbys(struct gateway *g)
{
    struct list *i;

    list_for_each (i, &g->pools)
        drop_standbys(list_entry(i, struct pool, link));
}
