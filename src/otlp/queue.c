#include "otlp/queue.h"
#include "otlp/encode.h"

#include "base/clock.h"
#include "base/sm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINGER_NS      (1 * NS_PER_S) /* the first of a batch waits for others */
#define RETRY_NS       (1 * NS_PER_S) /* doubled with each try */
#define RETRY_NS_MAX   (30 * NS_PER_S)
#define RETRY_AFTER_MS (120 * 1000) /* that a collector may ask for, at most */
#define GIVE_UP_NS     (300 * NS_PER_S)

static const struct sm_state queue_states[_QUEUE_STATE_MAX] = {
    [QUEUE_IDLE] = {"idle", SM_TO(QUEUE_SENDING)},
    [QUEUE_SENDING] = {"sending", SM_TO(QUEUE_IDLE) | SM_TO(QUEUE_WAITING)},
    [QUEUE_WAITING] = {"waiting", SM_TO(QUEUE_SENDING) | SM_TO(QUEUE_IDLE)},
};

/* The words around a batch of each signal. */
static const struct {
    const char *name, *resources, *scopes, *items;
} words[_QUEUE_SIGNAL_MAX] = {
    [QUEUE_TRACES] = {"traces", "resourceSpans", "scopeSpans", "spans"},
    [QUEUE_LOGS] = {"logs", "resourceLogs", "scopeLogs", "logRecords"},
};

struct item {
    struct list link;
    struct queue_item item; /* its slices point into bytes */
    uint64_t added_ns;
    char bytes[];
};

const char *queue_signal_name(enum queue_signal signal)
{
    return words[signal].name;
}

void queue_init(struct queue *q, enum queue_signal signal)
{
    *q = (struct queue){.signal = signal};
    list_init(&q->items);
    /* Resources and brackets come to the items; a queue full of one item each is not batched. */
    buf_init(&q->body, 4 * BATCH_BYTES_MAX);
}

static void item_remove(struct queue *q, struct item *item)
{
    list_remove(&item->link);
    q->n_items--;
    q->n_bytes -= item->item.json.len;
    free(item);
}

void queue_deinit(struct queue *q)
{
    struct list *link;

    while ((link = list_first(&q->items)))
        item_remove(q, list_entry(link, struct item, link));
    buf_deinit(&q->body);
}

void queue_lose(struct queue *q, uint64_t n, const char *why)
{
    if (n == 0)
        return;
    q->n_lost += n;
    (void)snprintf(q->why, sizeof(q->why), "%s", why);
}

/* ---- adding ---- */

static struct slice copy(char **to, struct slice s)
{
    char *at = *to;

    if (s.len > 0)
        memcpy(at, s.base, s.len);
    *to += s.len;
    return slice(at, s.len);
}

void queue_add(struct queue *q, const struct queue_item *item, uint64_t now_ns)
{
    size_t len = item->json.len + item->function.len + item->version.len;
    struct item *i;
    char *to;

    if (q->n_items >= QUEUE_ITEMS_MAX || q->n_bytes + item->json.len > QUEUE_BYTES_MAX) {
        queue_lose(q, item->n, "more came than the collector takes");
        return;
    }
    i = malloc(sizeof(*i) + len);
    if (!i) {
        queue_lose(q, item->n, "no memory");
        return;
    }
    to = i->bytes;
    i->item = *item;
    i->item.json = copy(&to, item->json);
    i->item.function = copy(&to, item->function);
    i->item.version = copy(&to, item->version);
    i->added_ns = now_ns;
    list_add_last(&q->items, &i->link);
    q->n_items++;
    q->n_bytes += item->json.len;
}

/* ---- batches ---- */

uint64_t queue_due_ns(const struct queue *q, bool ending)
{
    const struct item *first;

    if (q->state == QUEUE_SENDING)
        return UINT64_MAX;
    if (q->state == QUEUE_WAITING)
        return q->again_ns;
    if (q->n_items == 0)
        return UINT64_MAX;
    if (ending || q->n_items >= BATCH_ITEMS_MAX || q->n_bytes >= BATCH_BYTES_MAX)
        return 0;
    first = list_entry(q->items.next, struct item, link);
    return first->added_ns + LINGER_NS;
}

static bool same_resource(const struct queue_item *a, const struct queue_item *b)
{
    return slice_eq(a->function, b->function) && slice_eq(a->version, b->version);
}

/* Moves the first items, as many as make a batch, to `batch`. */
static void take_items(struct queue *q, struct list *batch)
{
    size_t bytes = 0;
    unsigned n = 0;
    struct list *link;

    while ((link = list_first(&q->items)) && n < BATCH_ITEMS_MAX) {
        struct item *i = list_entry(link, struct item, link);

        if (n > 0 && bytes + i->item.json.len > BATCH_BYTES_MAX)
            break;
        bytes += i->item.json.len;
        n++;
        q->n_batch += i->item.n;
        list_remove(link);
        q->n_items--;
        q->n_bytes -= i->item.json.len;
        list_add_last(batch, link);
    }
}

/* All items of the batch that come from where the first does, under their resource. */
static int write_group(struct queue *q, const struct otlp_settings *s, struct list *batch)
{
    struct item *first = list_entry(batch->next, struct item, link);
    struct queue_item resource = first->item;
    struct buf *b = &q->body;
    struct list *link, *tmp;
    bool comma = false;
    int r = buf_append_str(b, "{\"resource\":");

    if (r == 0)
        r = otlp_write_resource(b, s, resource.function, resource.version, resource.memory_bytes);
    if (r == 0)
        r = buf_printf(b, ",\"%s\":[{\"scope\":{\"name\":\"mayfly\",\"version\":\"%s\"},\"%s\":[",
                       words[q->signal].scopes, MAYFLY_VERSION, words[q->signal].items);
    list_for_each_safe (link, tmp, batch) {
        struct item *i = list_entry(link, struct item, link);

        if (!same_resource(&i->item, &resource))
            continue;
        if (r == 0 && comma)
            r = buf_append(b, ",", 1);
        if (r == 0)
            r = buf_append_slice(b, i->item.json);
        comma = true;
        if (i != first) { /* which the others are compared with */
            list_remove(link);
            free(i);
        }
    }
    list_remove(&first->link);
    free(first);
    return r == 0 ? buf_append_str(b, "]}]}") : r;
}

static int make_batch(struct queue *q, const struct otlp_settings *s)
{
    struct list batch, *link;
    bool comma = false;
    int r;

    list_init(&batch);
    q->n_batch = 0;
    take_items(q, &batch);
    buf_clear(&q->body);
    r = buf_printf(&q->body, "{\"%s\":[", words[q->signal].resources);
    while (r == 0 && !list_is_empty(&batch)) {
        if (comma)
            r = buf_append(&q->body, ",", 1);
        comma = true;
        if (r == 0)
            r = write_group(q, s, &batch);
    }
    while ((link = list_first(&batch))) { /* only after a failure */
        list_remove(link);
        free(list_entry(link, struct item, link));
    }
    return r == 0 ? buf_append_str(&q->body, "]}") : r;
}

static void end_batch(struct queue *q)
{
    q->n_batch = 0;
    q->n_tries = 0;
    buf_deinit(&q->body);
}

int queue_begin(struct queue *q, const struct otlp_settings *s, uint64_t now_ns)
{
    int r = q->state == QUEUE_IDLE ? make_batch(q, s) : 0;

    if (r < 0) {
        queue_lose(q, q->n_batch, "no memory");
        end_batch(q);
        return r;
    }
    if (q->state == QUEUE_IDLE)
        q->first_try_ns = now_ns;
    sm_move(queue_states, &q->state, QUEUE_SENDING);
    q->n_tries++;
    return 0;
}

void queue_delivered(struct queue *q, uint64_t rejected, const char *why)
{
    queue_lose(q, MIN(rejected, (uint64_t)q->n_batch), why);
    end_batch(q);
    sm_move(queue_states, &q->state, QUEUE_IDLE);
}

void queue_refused(struct queue *q, const char *why)
{
    queue_lose(q, q->n_batch, why);
    end_batch(q);
    sm_move(queue_states, &q->state, QUEUE_IDLE);
}

void queue_failed(struct queue *q, uint64_t now_ns, uint64_t retry_after_ms, uint32_t random,
                  const char *why)
{
    uint64_t delay = RETRY_NS;

    for (unsigned i = 1; i < q->n_tries && delay < RETRY_NS_MAX; i++)
        delay *= 2;
    delay = MIN(delay, RETRY_NS_MAX);
    delay = delay / 2 + delay / 2 * (random % 1024) / 1024; /* so that not all come at once */
    if (retry_after_ms > 0)
        delay = MIN(retry_after_ms, (uint64_t)RETRY_AFTER_MS) * NS_PER_MS;
    if (now_ns + delay - q->first_try_ns > GIVE_UP_NS) {
        queue_refused(q, why);
        return;
    }
    q->again_ns = now_ns + delay;
    sm_move(queue_states, &q->state, QUEUE_WAITING);
}

void queue_give_up(struct queue *q, const char *why)
{
    struct list *link;

    queue_lose(q, q->n_batch, why);
    end_batch(q);
    if (q->state != QUEUE_IDLE)
        sm_move(queue_states, &q->state, QUEUE_IDLE);
    while ((link = list_first(&q->items))) {
        queue_lose(q, list_entry(link, struct item, link)->item.n, why);
        item_remove(q, list_entry(link, struct item, link));
    }
}
