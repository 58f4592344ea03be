#include "control/keep.h"

#include "base/log.h"
#include "control/retention.h"

#include <errno.h>
#include <stdio.h>

#define RETRY_FIRST_NS   NS_PER_S
#define RETRY_MAX_NS     (60 * NS_PER_S)
#define RETAIN_PERIOD_NS (60 * NS_PER_S)
#define RETAIN_MORE_NS   (100 * NS_PER_MS) /* between pieces, for others to have their turn */
#define RETAIN_BUDGET_MS 15

static const char *const status_names[_KEEP_STATUS_MAX] = {
    [KEEP_OK] = "ok",
    [KEEP_DEGRADED] = "degraded",
    [KEEP_FAILED] = "failed",
};

const char *keep_status_name(enum keep_status status)
{
    assert((unsigned)status < _KEEP_STATUS_MAX);
    return status_names[status];
}

static void on_commit(struct loop_timer *t)
{
    keep_commit(container_of(t, struct keep, commit));
}

/* ---- trouble ---- */

static void lost_add(struct keep *k, uint64_t records, uint64_t log_lines)
{
    k->lost.records += records;
    k->lost.log_lines += log_lines;
    k->lost_ever.records += records;
    k->lost_ever.log_lines += log_lines;
}

static void status_set(struct keep *k, enum keep_status status, const char *detail)
{
    char quoted[ERROR_TEXT_MAX];

    if (k->status == status && strcmp(k->detail, detail) == 0)
        return;
    (void)snprintf(k->detail, sizeof(k->detail), "%.*s", SLICE_ARG(slice_str(detail)));
    (void)log_quote(slice_str(detail), quoted, sizeof(quoted));
    if (status == KEEP_OK && k->status != KEEP_OK)
        log_info("store.ok", "lost_records=%llu lost_log_lines=%llu",
                 (unsigned long long)k->lost.records, (unsigned long long)k->lost.log_lines);
    else if (status != KEEP_OK && k->status != status)
        log_warning(status == KEEP_FAILED ? "store.failed" : "store.degraded",
                    "%s; requests go on, and what cannot be kept is counted", quoted);
    k->status = status;
    if (k->on_status)
        k->on_status(k);
}

static void retry_later(struct keep *k)
{
    k->retry_delay_ns =
        k->retry_delay_ns == 0 ? RETRY_FIRST_NS : MIN(k->retry_delay_ns * 2, RETRY_MAX_NS);
    k->retry_ns = clock_now_ns() + k->retry_delay_ns;
    if (k->loop)
        (void)loop_timer_after(k->loop, &k->commit, k->retry_delay_ns, on_commit);
}

/* The store did not take something: all that was not committed is lost. */
static void write_failed(struct keep *k, int r)
{
    lost_add(k, k->pending.records, k->pending.log_lines);
    k->lost.recordings += k->pending.recordings;
    k->pending = (struct keep_lost){0};
    if (r == -EUCLEAN) {
        k->suspect = true;
        status_set(k, KEEP_FAILED, store_error(k->store));
        k->store = store_free(k->store);
    } else {
        status_set(k, KEEP_DEGRADED, store_error(k->store));
        (void)store_commit(k->store); /* ends what has failed, so that it can be tried again */
    }
    retry_later(k);
}

void keep_read_failed(struct keep *k, int r)
{
    if (r == -EUCLEAN && k->store)
        write_failed(k, r);
}

static void store_try_open(struct keep *k)
{
    struct error err = ERROR_NULL;
    int r = store_open_healing(k->path, k->suspect ? STORE_SUSPECT : 0, &k->store, &err);

    if (r < 0) {
        status_set(k, KEEP_FAILED, err.text);
        retry_later(k);
        return;
    }
    if (r == 1) {
        char quoted[ERROR_TEXT_MAX];

        log_warning("store.healed", "%s", log_quote(slice_str(err.text), quoted, sizeof(quoted)));
    }
    k->suspect = false;
    status_set(k, KEEP_OK, r == 1 ? err.text : "");
}

/* Whether rows may be given to the store now. */
static bool is_open(struct keep *k)
{
    if (k->status == KEEP_OK)
        return k->store != NULL;
    if (clock_now_ns() < k->retry_ns)
        return false;
    if (!k->store)
        store_try_open(k);
    return k->store != NULL;
}

/* ---- taking in ---- */

void keep_link(struct keep *k)
{
    keep_commit(k);
    k->boot = k->batch = k->taken = 0;
}

bool keep_batch_begin(struct keep *k, uint64_t boot, uint64_t batch)
{
    bool known = batch > 0 && boot == k->boot && batch <= k->batch;
    int r = 0;

    if (!known) {
        k->boot = boot;
        k->batch = batch;
        r = is_open(k) ? store_batch_begin(k->store, boot, batch) : 0;
    }
    if (r < 0)
        write_failed(k, r);
    return !known && r != 1;
}

void keep_record(struct keep *k, const struct record *r)
{
    int x = is_open(k) ? store_add_record(k->store, r) : -EAGAIN;

    if (x == 0)
        k->pending.records++;
    else
        lost_add(k, 1, 0);
    if (x < 0 && x != -EAGAIN && x != -EINVAL)
        write_failed(k, x);
}

uint64_t keep_log(struct keep *k, const struct log_line *l)
{
    int x = is_open(k) ? store_add_log(k->store, l) : -EAGAIN;

    if (x == 0)
        k->pending.log_lines++;
    else
        lost_add(k, 0, 1);
    if (x < 0 && x != -EAGAIN && x != -EINVAL)
        write_failed(k, x);
    return x == 0 ? store_last_log(k->store) : 0;
}

/* Belongs to no batch: it is told once, and lost with a control that is killed before the next
 * commit. */
void keep_capture(struct keep *k, const struct store_capture *c)
{
    int r = is_open(k) ? store_add_capture(k->store, c) : -EAGAIN;

    if (r == 0)
        k->pending.recordings++;
    else
        k->lost.recordings++;
    if (r < 0 && r != -EAGAIN && r != -EINVAL && r != -EFBIG)
        write_failed(k, r);
}

void keep_loss(struct keep *k, const char *what, uint64_t n, const char *why)
{
    int r = is_open(k) ? store_add_loss(k->store, what, n, why) : 0;

    if (r < 0)
        write_failed(k, r);
    keep_batch_end(k);
}

void keep_gateway_lost(struct keep *k, const char *what, uint64_t n)
{
    keep_loss(k, what, n, "more than could be handed on");
}

void keep_batch_end(struct keep *k)
{
    uint64_t n = k->pending.records + k->pending.log_lines;

    if (n >= KEEP_ROWS_MAX)
        keep_commit(k);
    else if (k->loop && !loop_timer_is_armed(&k->commit))
        (void)loop_timer_after(k->loop, &k->commit, KEEP_DELAY_NS, on_commit);
}

/* ---- making it stay ---- */

/* What was lost while there was no place for it is told as soon as there is one. */
static int losses_store(struct keep *k)
{
    const char *why = "the store did not take them";
    int r = 0;

    if (k->lost.records > 0)
        r = store_add_loss(k->store, "records", k->lost.records, why);
    if (k->lost.log_lines > 0 && r == 0)
        r = store_add_loss(k->store, "log lines", k->lost.log_lines, why);
    if (k->lost.recordings > 0 && r == 0)
        r = store_add_loss(k->store, "recordings", k->lost.recordings, why);
    return r;
}

void keep_commit(struct keep *k)
{
    int r = 0;

    loop_timer_cancel(&k->commit);
    if (is_open(k)) {
        r = losses_store(k);
        if (r == 0)
            r = store_commit(k->store);
        if (r == 0) {
            k->pending = k->lost = (struct keep_lost){0};
            k->retry_delay_ns = 0;
            status_set(k, KEEP_OK, k->status == KEEP_OK ? k->detail : "");
        } else {
            write_failed(k, r);
        }
    } else if (k->loop && !loop_timer_is_armed(&k->commit)) {
        (void)loop_timer_at(k->loop, &k->commit, k->retry_ns, on_commit);
    }
    /* What is lost is lost: to be given it again would change nothing, and push out what is newer.
     */
    if (k->batch > k->taken && k->on_taken)
        k->on_taken(k, k->batch);
    k->taken = k->batch;
}

/* ---- forgetting ---- */

/* Said once for all that went in a row. */
static void forgotten_say(struct keep *k)
{
    const struct store_retained *gone = &k->forgotten;

    if (gone->records + gone->log_lines + gone->captures > 0)
        log_info("store.forgot", "records=%llu log_lines=%llu captures=%llu",
                 (unsigned long long)gone->records, (unsigned long long)gone->log_lines,
                 (unsigned long long)gone->captures);
    k->forgotten = (struct store_retained){0};
}

static void on_retain(struct loop_timer *t)
{
    struct keep *k = container_of(t, struct keep, retain);
    bool waiting = k->pending.records + k->pending.log_lines > 0; /* let those go first */
    int r = 0;

    if (k->store && !waiting && k->status != KEEP_FAILED)
        r = store_retain(k->store, &k->retention, clock_wall_us(), RETAIN_BUDGET_MS, &k->forgotten);
    if (r < 0)
        write_failed(k, r);
    if (r == 0 && !waiting)
        forgotten_say(k);
    (void)loop_timer_after(k->loop, t, r == 1 || waiting ? RETAIN_MORE_NS : RETAIN_PERIOD_NS,
                           on_retain);
}

void keep_set_retention(struct keep *k, struct retention *r_consume)
{
    retention_free(&k->retention);
    k->retention = *r_consume;
    *r_consume = (struct retention){0};
    if (k->loop)
        (void)loop_timer_after(k->loop, &k->retain, NS_PER_S, on_retain);
}

/* ---- begin and end ---- */

void keep_init(struct keep *k, struct loop *loop, const char *dir,
               void (*on_taken)(struct keep *k, uint64_t batch), void (*on_status)(struct keep *k))
{
    *k = (struct keep){.loop = loop,
                       .status = KEEP_OK,
                       .retention = RETENTION_DEFAULT,
                       .on_taken = on_taken,
                       .on_status = on_status};
    if (asprintf(&k->path, "%s/%s", dir, STORE_NAME) < 0) {
        k->path = NULL;
        status_set(k, KEEP_FAILED, "out of memory");
        return;
    }
    store_try_open(k);
    if (loop)
        (void)loop_timer_after(loop, &k->retain, RETAIN_PERIOD_NS, on_retain);
}

void keep_deinit(struct keep *k)
{
    keep_commit(k);
    loop_timer_cancel(&k->commit);
    loop_timer_cancel(&k->retain);
    k->store = store_free(k->store);
    retention_free(&k->retention);
    free(k->path);
    *k = (struct keep){0};
}
