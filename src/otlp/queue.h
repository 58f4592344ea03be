#pragma once

/* What waits to be exported of one signal (traces, or logs), the batch that is on its way, and when
 * to try again. It does no I/O and has no clock: it is told what came of a batch, and when that
 * was.
 *
 *   IDLE --enough, or old enough--> SENDING --delivered, refused--> IDLE
 *                                    |    ^
 *                                    v    | due
 *                                  WAITING --too often--> IDLE
 */

#include "base/buf.h"
#include "base/list.h"
#include "otlp/settings.h"

#define QUEUE_ITEMS_MAX 20000
#define QUEUE_BYTES_MAX (8 * 1024 * 1024)
#define BATCH_ITEMS_MAX 512
#define BATCH_BYTES_MAX (1024 * 1024) /* before gzip; one item more than this goes alone */

enum queue_signal {
    QUEUE_TRACES,
    QUEUE_LOGS,
    _QUEUE_SIGNAL_MAX,
};

const char *queue_signal_name(enum queue_signal signal); /* "traces" */

enum queue_state {
    QUEUE_IDLE,
    QUEUE_SENDING,
    QUEUE_WAITING, /* to send the same batch again */
    _QUEUE_STATE_MAX,
};

/* What is added: spans of one invocation, or one log record, as JSON. */
struct queue_item {
    struct slice json, function, version;
    uint64_t memory_bytes; /* of the function's limit; 0: not known */
    unsigned n;            /* spans in it, or log records */
};

struct queue {
    enum queue_signal signal;
    enum queue_state state;
    struct list items;
    unsigned n_items;
    size_t n_bytes;
    struct buf body;  /* of the batch on its way */
    unsigned n_batch; /* spans or records in it */
    unsigned n_tries;
    uint64_t first_try_ns, again_ns;
    uint64_t n_lost; /* since they were last asked for, and why the last of them was */
    char why[200];
};

void queue_init(struct queue *q, enum queue_signal signal);
void queue_deinit(struct queue *q);

/* Copies the item. Without room it is lost. */
void queue_add(struct queue *q, const struct queue_item *item, uint64_t now_ns);

/* So many spans or records did not even become an item. */
void queue_lose(struct queue *q, uint64_t n, const char *why);

/* When there is something to send; UINT64_MAX: nothing, or it is on its way. `ending`: at once. */
uint64_t queue_due_ns(const struct queue *q, bool ending);

/* Enters SENDING: a batch stands in q->body, made now or to be sent again. Returns 0 or -ENOMEM
 * (its items are lost). */
int queue_begin(struct queue *q, const struct otlp_settings *s, uint64_t now_ns);

/* What came of it; rejected of a delivered batch are lost. */
void queue_delivered(struct queue *q, uint64_t rejected, const char *why);
void queue_refused(struct queue *q, const char *why);

/* Try again: after retry_after_ms if the collector has said so (0: it has not), else after ever
 * longer times. Too long after the first try the batch is lost. `random` is any number. */
void queue_failed(struct queue *q, uint64_t now_ns, uint64_t retry_after_ms, uint32_t random,
                  const char *why);

/* Everything that is left is lost. */
void queue_give_up(struct queue *q, const char *why);
