/* Records and log lines go to control in batches: one message carries many, and nothing waits for
 * it. While control is away they are kept up to a ceiling; what is lost is counted and told. */

#include "gateway/journal.h"
#include "gateway/links.h"
#include "gateway/request.h"

#include "model/record-json.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define HELD_BYTES_MAX  (1024 * 1024)
#define BATCH_BYTES_MAX 65536 /* fits a message */
#define OWN_BYTES_MAX   32768 /* beyond that, for mayfly's own lines: a flood is told of, too */
#define FLUSH_DELAY_NS  (20 * NS_PER_MS)

static void on_flush(struct loop_timer *t)
{
    journal_flush(container_of(t, struct gateway, journal.flush));
}

static void flush_soon(struct gateway *g)
{
    struct journal *j = &g->journal;

    if (buf_len(&j->records) > BATCH_BYTES_MAX / 2 || buf_len(&j->logs) > BATCH_BYTES_MAX / 2)
        journal_flush(g);
    else if (!loop_timer_is_armed(&j->flush))
        (void)loop_timer_after(g->loop, &j->flush, FLUSH_DELAY_NS, on_flush);
}

/* Returns false when there is nobody to send to. */
static bool send_batch(struct gateway *g, enum wire_type type, struct buf *b, uint32_t *n,
                       uint64_t *lost)
{
    struct wire_message m = {.type = type};

    if (buf_len(b) == 0 && *lost == 0)
        return true;
    if (!wire_is_open(&g->control) || wire_has_queued(&g->control))
        return false;
    g->journal.batch++;
    if (type == WIRE_RECORDS)
        m.records = (struct wire_records){.boot = g->journal.boot,
                                          .batch = g->journal.batch,
                                          .n = *n,
                                          .lost = *lost,
                                          .bytes = buf_slice(b)};
    else
        m.logs = (struct wire_logs){.boot = g->journal.boot,
                                    .batch = g->journal.batch,
                                    .n = *n,
                                    .lost = *lost,
                                    .bytes = buf_slice(b)};
    links_send_control(g, &m);
    buf_clear(b);
    *n = 0;
    *lost = 0;
    return true;
}

int journal_open(struct gateway *g)
{
    struct journal *j = &g->journal;

    buf_init(&j->records, HELD_BYTES_MAX);
    buf_init(&j->logs, HELD_BYTES_MAX);
    return getrandom(&j->boot, sizeof(j->boot), 0) == sizeof(j->boot) ? 0 : -EIO;
}

void journal_flush(struct gateway *g)
{
    struct journal *j = &g->journal;
    /* Lines first: in a terminal they stand before the request that they belong to. */
    bool sent = send_batch(g, WIRE_LOGS, &j->logs, &j->n_logs, &j->lost_logs);

    sent = send_batch(g, WIRE_RECORDS, &j->records, &j->n_records, &j->lost_records) && sent;
    loop_timer_cancel(&j->flush);
    if (!sent)
        (void)loop_timer_after(g->loop, &j->flush, FLUSH_DELAY_NS, on_flush);
}

/* A batch must fit a message, so a full one is sent or, with nobody there, its successor lost. */
static bool has_room(struct gateway *g, const struct buf *b, size_t n, size_t extra)
{
    if (buf_len(b) + n <= BATCH_BYTES_MAX)
        return true;
    journal_flush(g);
    return buf_len(b) + n <= BATCH_BYTES_MAX + extra;
}

/* To tell control of, and for the metrics, which nobody takes back to 0. */
static void lose(uint64_t *untold, uint64_t *ever)
{
    ++*untold;
    ++*ever;
}

static void keep_recent(struct gateway *g, const struct record *r)
{
    char **slot = &g->recent[g->next_recent];
    struct buf b = BUF_INIT(256 * 1024);
    struct jsonw w = JSONW_INIT(&b);

    jsonw_object_begin(&w);
    record_write_json(r, &w);
    jsonw_object_end(&w);
    g->next_recent = (g->next_recent + 1) % RECENT_RECORDS;
    free(*slot);
    *slot = jsonw_end(&w) == 0 ? slice_dup(buf_slice(&b)) : NULL;
    buf_deinit(&b);
}

void journal_record(struct gateway *g, const struct record *r)
{
    struct journal *j = &g->journal;

    if (r->trigger == TRIGGER_INVOKE)
        keep_recent(g, r);
    if (has_room(g, &j->records, 4096 + r->stack.len + r->error.len + r->path.len, 0) &&
        record_encode(r, &j->records) == 0)
        j->n_records++;
    else
        lose(&j->lost_records, &g->metrics->records_lost);
    flush_soon(g);
}

void journal_log(struct gateway *g, const struct log_line *l)
{
    struct journal *j = &g->journal;

    size_t extra = l->stream == LOG_SYSTEM ? OWN_BYTES_MAX : 0;

    if (has_room(g, &j->logs, 512 + l->text.len, extra) && log_line_encode(l, &j->logs) == 0)
        j->n_logs++;
    else
        lose(&j->lost_logs, &g->metrics->log_lines_lost);
    flush_soon(g);
}

const char *journal_find_recent(struct gateway *g, struct slice request_id)
{
    char key[REQUEST_ID_LEN + 3];

    if (request_id.len != REQUEST_ID_LEN)
        return NULL;
    key[0] = '"';
    memcpy(key + 1, request_id.base, REQUEST_ID_LEN);
    memcpy(key + 1 + REQUEST_ID_LEN, "\"", 2);
    for (size_t i = 0; i < RECENT_RECORDS; i++) {
        if (g->recent[i] && strstr(g->recent[i], key))
            return g->recent[i];
    }
    return NULL;
}
