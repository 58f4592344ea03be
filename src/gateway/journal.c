/* Records and log lines go to control in batches: one message carries many, and nothing waits for
 * it. A batch is kept until control says that it has it, and sent again to the next control if this
 * one dies before; its number lets control skip what it has already. So each arrives once, as long
 * as this process lives.
 *
 *   open ──full, or 20 ms──> kept, unsent ──room on the channel──> kept, sent ──TAKEN──> (freed)
 *                                 ^───────────────a new control────────────┘
 *
 * What is kept has a ceiling for each kind, so that a flood of lines costs no records; the oldest
 * batch beyond it goes, and what was in it is counted. The next batch that is sent for the first
 * time tells it, and goes on telling the same when it is sent again. */

#include "gateway/journal.h"
#include "gateway/links.h"
#include "gateway/request.h"

#include "model/record-json.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define KEPT_BYTES_MAX  (2 * 1024 * 1024) /* of each kind */
#define BATCH_BYTES_MAX 65536             /* fits a message */
#define FLUSH_DELAY_NS  (20 * NS_PER_MS)

struct batch {
    struct list link;
    enum journal_kind kind;
    bool sent; /* to the control that is there */
    bool told; /* sent before, to whomever: it does not change any more */
    uint32_t n;
    uint64_t number;
    uint64_t lost;
    size_t len;
    char bytes[];
};

int journal_open(struct gateway *g)
{
    struct journal *j = &g->journal;

    list_init(&j->kept);
    for (int k = 0; k < _JOURNAL_KIND_MAX; k++)
        buf_init(&j->kinds[k].open, BATCH_BYTES_MAX);
    return getrandom(&j->boot, sizeof(j->boot), 0) == sizeof(j->boot) ? 0 : -EIO;
}

/* ---- batches ---- */

static void lose(struct journal *j, enum journal_kind kind, uint64_t n)
{
    j->kinds[kind].lost += n;
    j->kinds[kind].lost_ever += n;
}

static void batch_free(struct journal *j, struct batch *b)
{
    j->kinds[b->kind].kept_bytes -= sizeof(*b) + b->len;
    list_remove(&b->link);
    free(b);
}

/* One that was sent may have arrived: whether it is lost shows when control is. */
static void drop(struct journal *j, struct batch *b)
{
    if (b->sent) {
        j->kinds[b->kind].unsure += b->n + b->lost;
        j->kinds[b->kind].unsure_n += b->n;
        j->unsure_batch = b->number;
    } else {
        j->kinds[b->kind].lost += b->n + b->lost;
        j->kinds[b->kind].lost_ever += b->n;
    }
    batch_free(j, b);
}

static void drop_oldest(struct journal *j, enum journal_kind kind)
{
    struct list *i, *tmp;

    list_for_each_safe (i, tmp, &j->kept) {
        struct batch *b = list_entry(i, struct batch, link);

        if (b->kind == kind) {
            drop(j, b);
            return;
        }
    }
}

/* The open batch becomes one that is kept. */
static void seal(struct journal *j, enum journal_kind kind)
{
    struct buf *open = &j->kinds[kind].open;
    size_t len = buf_len(open);
    struct batch *b;

    if (len == 0 && j->kinds[kind].lost == 0)
        return;
    while (j->kinds[kind].kept_bytes + sizeof(*b) + len > KEPT_BYTES_MAX)
        drop_oldest(j, kind);
    b = malloc(sizeof(*b) + len);
    if (b) {
        *b = (struct batch){.kind = kind, .n = j->kinds[kind].n, .number = ++j->batch, .len = len};
        if (len > 0)
            memcpy(b->bytes, buf_slice(open).base, len);
        list_add_last(&j->kept, &b->link);
        j->kinds[kind].kept_bytes += sizeof(*b) + len;
    } else {
        lose(j, kind, j->kinds[kind].n);
    }
    j->kinds[kind].n = 0;
    buf_clear(open);
}

static uint64_t take_count(uint64_t *n)
{
    uint64_t taken = *n;

    *n = 0;
    return taken;
}

static void batch_send(struct gateway *g, struct batch *b)
{
    struct wire_message m = {.type = b->kind == JOURNAL_LOGS ? WIRE_LOGS : WIRE_RECORDS};
    struct slice bytes = slice(b->bytes, b->len);

    if (!b->told)
        b->lost = take_count(&g->journal.kinds[b->kind].lost);
    b->sent = b->told = true;
    if (b->kind == JOURNAL_LOGS)
        m.logs = (struct wire_logs){.boot = g->journal.boot,
                                    .batch = b->number,
                                    .n = b->n,
                                    .lost = b->lost,
                                    .bytes = bytes};
    else
        m.records = (struct wire_records){.boot = g->journal.boot,
                                          .batch = b->number,
                                          .n = b->n,
                                          .lost = b->lost,
                                          .bytes = bytes};
    links_send_control(g, &m);
}

static bool can_send(const struct gateway *g)
{
    return wire_is_open(&g->control) && !wire_has_queued(&g->control);
}

static void send_kept(struct gateway *g)
{
    struct list *i;

    list_for_each (i, &g->journal.kept) {
        struct batch *b = list_entry(i, struct batch, link);

        if (!b->sent && !can_send(g))
            return;
        if (!b->sent)
            batch_send(g, b);
    }
}

/* ---- flushing ---- */

static void on_flush(struct loop_timer *t)
{
    journal_flush(container_of(t, struct gateway, journal.flush));
}

bool journal_is_behind(const struct gateway *g)
{
    const struct journal *j = &g->journal;

    for (int k = 0; k < _JOURNAL_KIND_MAX; k++) {
        if (buf_len(&j->kinds[k].open) > 0 || j->kinds[k].lost > 0)
            return true;
    }
    return !list_is_empty(&j->kept) && !list_entry(j->kept.prev, struct batch, link)->sent;
}

/* With nobody there, batches are made when they are full, so that there are few. */
void journal_flush(struct gateway *g)
{
    struct journal *j = &g->journal;

    for (int k = 0; k < _JOURNAL_KIND_MAX; k++) {
        if (can_send(g) || buf_len(&j->kinds[k].open) > BATCH_BYTES_MAX / 2)
            seal(j, (enum journal_kind)k);
    }
    send_kept(g);
    loop_timer_cancel(&j->flush);
    if (journal_is_behind(g))
        (void)loop_timer_after(g->loop, &j->flush, FLUSH_DELAY_NS, on_flush);
}

static void flush_soon(struct gateway *g)
{
    struct journal *j = &g->journal;

    if (buf_len(&j->kinds[JOURNAL_RECORDS].open) > BATCH_BYTES_MAX / 2 ||
        buf_len(&j->kinds[JOURNAL_LOGS].open) > BATCH_BYTES_MAX / 2)
        journal_flush(g);
    else if (!loop_timer_is_armed(&j->flush))
        (void)loop_timer_after(g->loop, &j->flush, FLUSH_DELAY_NS, on_flush);
}

void journal_taken(struct gateway *g, uint64_t batch)
{
    struct journal *j = &g->journal;
    struct list *i, *tmp;

    list_for_each_safe (i, tmp, &j->kept) {
        struct batch *b = list_entry(i, struct batch, link);

        if (!b->sent || b->number > batch)
            break;
        batch_free(j, b);
    }
    if (batch < j->unsure_batch)
        return;
    for (int k = 0; k < _JOURNAL_KIND_MAX; k++)
        j->kinds[k].unsure = j->kinds[k].unsure_n = 0;
}

void journal_link_up(struct gateway *g)
{
    journal_flush(g);
}

void journal_link_down(struct gateway *g)
{
    struct journal *j = &g->journal;
    struct list *i;

    list_for_each (i, &j->kept)
        list_entry(i, struct batch, link)->sent = false;
    for (int k = 0; k < _JOURNAL_KIND_MAX; k++) {
        j->kinds[k].lost += take_count(&j->kinds[k].unsure);
        j->kinds[k].lost_ever += take_count(&j->kinds[k].unsure_n);
    }
}

/* ---- what comes in ---- */

/* The buffer to add n bytes to. */
static struct buf *room_for(struct journal *j, enum journal_kind kind, size_t n)
{
    if (buf_len(&j->kinds[kind].open) + n > BATCH_BYTES_MAX)
        seal(j, kind);
    return &j->kinds[kind].open;
}

static void count(struct gateway *g, enum journal_kind kind, int r)
{
    if (r == 0)
        g->journal.kinds[kind].n++;
    else
        lose(&g->journal, kind, 1);
    flush_soon(g);
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
    size_t n = 4096 + r->stack.len + r->error.len + r->path.len;

    if (r->trigger == TRIGGER_INVOKE)
        keep_recent(g, r);
    count(g, JOURNAL_RECORDS, record_encode(r, room_for(&g->journal, JOURNAL_RECORDS, n)));
}

void journal_log(struct gateway *g, const struct log_line *l)
{
    size_t n = 512 + l->text.len;

    count(g, JOURNAL_LOGS, log_line_encode(l, room_for(&g->journal, JOURNAL_LOGS, n)));
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
