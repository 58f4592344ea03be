/* The page of metrics as the answer to a request: what is counted elsewhere, and what can only be
 * looked up now. */

#include "gateway/metrics-answer.h"
#include "gateway/client.h"
#include "gateway/invocation.h"
#include "gateway/pool.h"
#include "gateway/watchdog.h"
#include "gateway/worker.h"

struct metric_function *pool_metrics(struct pool *p)
{
    if (!p->metrics)
        p->metrics = metrics_of(p->gateway->metrics, slice_str(p->function->name));
    return p->metrics;
}

static void look_at_pool(struct pool *p, struct metric_machine *m, uint64_t now_ns)
{
    struct metric_function *f = p->metrics;
    struct list *i;

    m->workers[0] += p->n_standbys;
    list_for_each (i, &p->busy)
        m->workers[list_entry(i, struct worker, link)->state == WORKER_BUSY ? 1 : 2]++;
    m->zygotes[0] += p->state == POOL_LOADING;
    m->zygotes[1] += p->state == POOL_WARM;
    if (!f)
        return;
    f->now.is_served = true;
    list_for_each (i, &p->busy)
        f->now.busy += list_entry(i, struct worker, link)->state == WORKER_BUSY;
    f->now.queued += p->n_queue;
    f->now.standbys += p->n_standbys;
    if (!list_is_empty(&p->queue)) {
        const struct invocation *first = list_entry(list_first(&p->queue), struct invocation, link);

        f->now.oldest_ns = MAX(f->now.oldest_ns, now_ns - first->arrived_ns);
    }
    f->now.memory_peak_bytes = metrics_memory_peak(f, clock_wall_us());
    if (!p->retired || f->now.memory_limit_bytes == 0)
        f->now.memory_limit_bytes = p->function->limits.memory_bytes;
}

static void look(struct gateway *g, struct metric_machine *m)
{
    uint64_t now_ns = loop_now(g->loop);
    struct metrics *metrics = g->metrics;
    struct self_use self;
    struct list *i;

    for (uint32_t k = 0; k < metrics->n_functions; k++)
        memset(&metrics->functions[k]->now, 0, sizeof(metrics->functions[k]->now));
    memset(&metrics->other.now, 0, sizeof(metrics->other.now));
    list_for_each (i, &g->pools)
        look_at_pool(list_entry(i, struct pool, link), m, now_ns);
    self_meter_read(&g->self, &self);
    m->functions = g->served ? g->served->snapshot->n_functions : 0;
    m->workers_max = g->settings.workers_max;
    m->connections = g->n_clients;
    m->control_up = wire_is_open(&g->control);
    m->records_lost = g->journal.kinds[JOURNAL_RECORDS].lost_ever;
    m->log_lines_lost = g->journal.kinds[JOURNAL_LOGS].lost_ever;
    m->watchdog_kills = watchdog_n_kills(g->watchdog);
    m->cpu_us = self.cpu_us;
    m->resident_bytes = self.resident_bytes;
    m->virtual_bytes = self.virtual_bytes;
    m->open_fds = self.open_fds;
    m->max_fds = self.max_fds;
    m->start_us = g->started_us;
}

static int more(void *ctx, struct buf *b)
{
    return metrics_page_next(ctx, b);
}

void metrics_answer(struct client *c)
{
    struct metrics_page *page = calloc(1, sizeof(*page));

    if (!page) {
        client_answer_error(c, 503, NULL, "out of memory", SLICE_NULL);
        return;
    }
    page->metrics = c->gateway->metrics;
    look(c->gateway, &page->machine);
    client_answer_pieces(c, METRICS_TYPE, more, page);
}
