/* For who watches: every now and then what runs goes to control in one message. What does not fit
 * is counted. Nobody watching costs nothing. */

#include "gateway/live.h"
#include "gateway/invocation.h"
#include "gateway/links.h"
#include "gateway/pool.h"
#include "gateway/worker.h"

#include "json/writer.h"

#define PROCESSES_MAX   600
#define JSON_BYTES_MAX  (120 * 1024) /* fits a message */
#define FUNCTIONS_BYTES (56 * 1024)  /* of that, at most */
#define ITEM_BYTES_MAX  512          /* one process or function, with room for its name escaped */
#define END_BYTES       256          /* what stands behind the last array */
#define INTERVAL_MS_MIN 50
#define INTERVAL_MS_MAX 60000

static const char *const pool_names[_POOL_STATE_MAX] = {"cold", "loading", "warm"};

static void put_str(struct jsonw *w, const char *key, const char *value)
{
    jsonw_key(w, key);
    jsonw_str(w, slice_str(value));
}

static void put_u64(struct jsonw *w, const char *key, uint64_t value)
{
    jsonw_key(w, key);
    jsonw_u64(w, value);
}

/* ---- processes ---- */

struct writing {
    struct jsonw *w;
    uint32_t left;
    size_t until; /* bytes in the buffer */
    uint64_t omitted;
};

static void write_process(struct writing *x, const char *kind, const struct pool *p, pid_t pid,
                          uint64_t age_ns, const char *state, const char *request_id)
{
    struct jsonw *w = x->w;

    if (x->left == 0 || buf_len(w->b) + ITEM_BYTES_MAX > x->until) {
        x->omitted++;
        return;
    }
    x->left--;
    jsonw_object_begin(w);
    put_str(w, "kind", kind);
    put_str(w, "function", p->function->name);
    put_str(w, "version", p->function->version);
    put_u64(w, "pid", (uint64_t)pid);
    put_u64(w, "age_ms", age_ns / NS_PER_MS);
    put_str(w, "state", state);
    put_str(w, "request_id", request_id);
    jsonw_object_end(w);
}

static void write_pool(struct writing *x, struct pool *p)
{
    uint64_t now = loop_now(p->gateway->loop);
    struct list *i;

    if (p->state != POOL_COLD)
        write_process(x, "zygote", p, p->zygote_pid, now - p->wanted_ns, pool_names[p->state], "");
    list_for_each (i, &p->busy) {
        struct worker *w = list_entry(i, struct worker, link);

        write_process(x, "worker", p, w->process.pid, now - w->since_ns,
                      w->state == WORKER_BUSY ? "busy" : "ending",
                      w->invocation ? w->invocation->id : "");
    }
    list_for_each (i, &p->standbys) {
        struct worker *w = list_entry(i, struct worker, link);

        write_process(x, "standby", p, w->process.pid, now - w->since_ns, "standby", "");
    }
}

uint64_t live_write_processes(struct gateway *g, struct jsonw *w, uint32_t max, size_t bytes_left)
{
    struct writing x = {.w = w, .left = max, .until = buf_len(w->b) + bytes_left};
    struct list *i;

    list_for_each (i, &g->pools)
        write_pool(&x, list_entry(i, struct pool, link));
    return x.omitted;
}

static struct invocation *find_in_pool(struct pool *p, struct slice id)
{
    struct list *i;

    list_for_each (i, &p->busy) {
        struct worker *w = list_entry(i, struct worker, link);

        if (w->state == WORKER_BUSY && w->invocation && slice_eq(slice_str(w->invocation->id), id))
            return w->invocation;
    }
    list_for_each (i, &p->queue) {
        struct invocation *inv = list_entry(i, struct invocation, link);

        if (slice_eq(slice_str(inv->id), id))
            return inv;
    }
    return NULL;
}

struct invocation *live_find_invocation(struct gateway *g, struct slice id)
{
    struct invocation *found = NULL;
    struct list *i;

    list_for_each (i, &g->pools) {
        found = find_in_pool(list_entry(i, struct pool, link), id);
        if (found)
            break;
    }
    return found;
}

/* ---- functions ---- */

static uint64_t oldest_queued_ms(const struct pool *p)
{
    const struct list *first = list_first((struct list *)&p->queue);
    uint64_t now = loop_now(p->gateway->loop);

    if (!first)
        return 0;
    return (now - MIN(now, list_entry(first, struct invocation, link)->arrived_ns)) / NS_PER_MS;
}

/* Versions that are not served any more are of interest as long as something of them is there. */
static void write_function(struct jsonw *w, const struct pool *p)
{
    if (p->retired && p->state == POOL_COLD && p->n_busy + p->n_queue == 0)
        return;
    jsonw_object_begin(w);
    put_str(w, "name", p->function->name);
    put_str(w, "version", p->function->version);
    put_str(w, "state", pool_names[p->state]);
    put_u64(w, "standbys", p->n_standbys);
    put_u64(w, "busy", p->n_busy);
    put_u64(w, "queued", p->n_queue);
    put_u64(w, "oldest_queued_ms", oldest_queued_ms(p));
    jsonw_object_end(w);
}

static void write_functions(struct gateway *g, struct jsonw *w)
{
    struct list *i;

    list_for_each (i, &g->pools) {
        if (buf_len(w->b) + ITEM_BYTES_MAX <= FUNCTIONS_BYTES)
            write_function(w, list_entry(i, struct pool, link));
    }
}

/* ---- telling ---- */

static int write_all(struct gateway *g, struct buf *b)
{
    struct jsonw w = JSONW_INIT(b);
    uint64_t omitted;

    jsonw_object_begin(&w);
    jsonw_key(&w, "functions");
    jsonw_array_begin(&w);
    write_functions(g, &w);
    jsonw_array_end(&w);
    jsonw_key(&w, "processes");
    jsonw_array_begin(&w);
    omitted = live_write_processes(g, &w, PROCESSES_MAX, JSON_BYTES_MAX - END_BYTES - buf_len(b));
    jsonw_array_end(&w);
    put_u64(&w, "omitted", omitted);
    put_u64(&w, "workers", g->n_workers);
    put_u64(&w, "workers_max", g->settings.workers_max);
    jsonw_object_end(&w);
    return jsonw_end(&w);
}

static void tell(struct gateway *g)
{
    struct buf b = BUF_INIT(JSON_BYTES_MAX);

    if (!wire_is_open(&g->control) || wire_has_queued(&g->control))
        return; /* what is now will be old when control can read it */
    if (write_all(g, &b) == 0) {
        struct wire_message m = {.type = WIRE_LIVE, .live = {.json = buf_slice(&b)}};

        links_send_control(g, &m);
    }
    buf_deinit(&b);
}

static void on_tick(struct loop_timer *t)
{
    struct gateway *g = container_of(t, struct gateway, live.tick);

    (void)loop_timer_after(g->loop, t, g->live.interval_ms * NS_PER_MS, on_tick);
    tell(g);
}

void live_watch(struct gateway *g, uint32_t interval_ms)
{
    loop_timer_cancel(&g->live.tick);
    if (interval_ms == 0)
        return;
    g->live.interval_ms = MAX(INTERVAL_MS_MIN, MIN(interval_ms, INTERVAL_MS_MAX));
    on_tick(&g->live.tick);
}
