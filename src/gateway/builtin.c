/* Routes that the gateway answers itself, out of its own books. */

#include "gateway/client.h"
#include "gateway/pool.h"
#include "gateway/request.h"
#include "gateway/worker.h"

#include "base/log.h"

#include <string.h>

static bool in_scope(const struct pool *p, const struct route *route)
{
    return strcmp(p->function->project, route->project ? route->project : "") == 0;
}

static int write_active(struct buf *b, struct gateway *g, const struct route *route)
{
    struct list *i, *k;
    bool first = true;
    int r = buf_append_str(b, "[");

    list_for_each (i, &g->pools) {
        struct pool *p = list_entry(i, struct pool, link);

        if (!in_scope(p, route))
            continue;
        list_for_each (k, &p->busy) {
            struct worker *w = list_entry(k, struct worker, link);

            if (r < 0 || w->process.pid == 0 || w->state != WORKER_BUSY)
                continue;
            r = buf_printf(b, "%s%d", first ? "" : ", ", (int)w->process.pid);
            first = false;
        }
    }
    return r == 0 ? buf_append_str(b, "]\n") : r;
}

static int write_count(struct buf *b, struct gateway *g, const struct route *route)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < g->n_counters; i++) {
        if (strcmp(g->counters[i].project, route->project ? route->project : "") == 0)
            n += g->counters[i].n_completed;
    }
    return buf_printf(b, "%llu\n", (unsigned long long)n);
}

void builtin_answer(struct client *c, const struct route *route)
{
    struct buf b = BUF_INIT(1024 * 1024);
    int r = -1;

    switch (route->builtin) {
    case BUILTIN_ACTIVE_PROCESSES:
        r = write_active(&b, c->gateway, route);
        break;
    case BUILTIN_REQUEST_COUNTER:
        r = write_count(&b, c->gateway, route);
        break;
    case BUILTIN_NONE:
    case _BUILTIN_MAX:
        break;
    }
    if (r == 0)
        client_answer(c, 200, "Cache-Control: no-store\r\n",
                      route->builtin == BUILTIN_ACTIVE_PROCESSES ? "application/json"
                                                                 : "text/plain",
                      buf_slice(&b));
    else
        client_answer_error(c, 503, NULL, "out of memory", SLICE_NULL);
    buf_deinit(&b);
}

/* Counters outlive the versions of a function: they belong to its project. */
uint64_t *counter_of(struct gateway *g, const char *project)
{
    struct counter *counters;

    for (uint32_t i = 0; i < g->n_counters; i++) {
        if (strcmp(g->counters[i].project, project) == 0)
            return &g->counters[i].n_completed;
    }
    counters = realloc(g->counters, (g->n_counters + 1) * sizeof(*counters));
    if (!counters)
        return NULL;
    g->counters = counters;
    counters[g->n_counters] = (struct counter){.project = strdup(project)};
    if (!counters[g->n_counters].project)
        return NULL;
    return &counters[g->n_counters++].n_completed;
}
